//! Hosts of open models.

use super::super::Provider;
use super::super::compatible::{HOST, WITH_SOUND};
use super::super::judge::{FailureClass, Match, Rule};
use crate::dialects::media::MediaWays;
use crate::dialects::openai_chat::{Quirks, ThinkingField, ThoughtField};

/// A host that gives reasoning in `reasoning` and takes it back there.
const REASONS: Quirks = Quirks { thoughts: ThoughtField::Reasoning, ..Quirks::HOST };

pub(in super::super) const ROWS: &[Provider] = &[
    // console.groq.com/docs/openai: `logprobs`, `top_logprobs`, `logit_bias` answer 400; docs/reasoning: `reasoning`;
    // docs/errors: 413 and 498; docs/service-tiers: the tiers.
    Provider {
        name: "groq",
        title: "Groq",
        base_url: Some("https://api.groq.com/openai/v1"),
        transports: WITH_SOUND,
        // console.groq.com/docs/speech-to-text: `json`, `verbose_json` and `text`, no streams.
        media: MediaWays {
            transcripts: &["json", "verbose_json", "text"],
            streams_transcripts: false,
            transcript_refuses: &[
                "include",
                "keywords",
                "languages",
                "chunking_strategy",
                "known_speaker_names",
                "known_speaker_references",
            ],
            speech_refuses: &["instructions"],
            ..MediaWays::HOST
        },
        quirks: Quirks {
            renames: &[],
            refuses: &["logprobs", "top_logprobs", "logit_bias"],
            takes_top_k: false,
            service_tiers: &["auto", "on_demand", "flex", "performance"],
            ..REASONS
        },
        rules: &[
            Rule { when: Match::Both(413, "too large"), then: FailureClass::ContextWindow },
            Rule { when: Match::Status(498), then: FailureClass::Throttle },
            Rule { when: Match::Word("capacity_exceeded"), then: FailureClass::Throttle },
        ],
        ..HOST
    },
    // docs.together.ai/docs/openai-api-compatibility, docs/error-codes: 402 is a spending limit, 403 a prompt over the
    // model's length, 503 an overloaded engine.
    Provider {
        name: "together",
        title: "Together AI",
        base_url: Some("https://api.together.xyz/v1"),
        quirks: REASONS,
        rules: &[
            Rule { when: Match::Both(403, "token"), then: FailureClass::ContextWindow },
            Rule {
                when: Match::Phrase("`inputs` tokens + `max_new_tokens` must be"),
                then: FailureClass::ContextWindow,
            },
        ],
        ..HOST
    },
    // docs.fireworks.ai/tools-sdks/openai-compatibility, guides/inference-error-codes: 412 is a suspended account.
    Provider {
        name: "fireworks",
        title: "Fireworks AI",
        base_url: Some("https://api.fireworks.ai/inference/v1"),
        rules: &[
            Rule { when: Match::Status(412), then: FailureClass::Configuration },
            Rule { when: Match::Phrase("prompt is too long"), then: FailureClass::ContextWindow },
        ],
        ..HOST
    },
    // inference-docs.cerebras.ai/resources/openai: the penalties and `logit_bias` answer 400.
    Provider {
        name: "cerebras",
        title: "Cerebras",
        base_url: Some("https://api.cerebras.ai/v1"),
        quirks: Quirks {
            renames: &[],
            refuses: &["frequency_penalty", "presence_penalty", "logit_bias"],
            takes_top_k: false,
            ..REASONS
        },
        rules: &[
            Rule { when: Match::Word("token_quota_exceeded"), then: FailureClass::Throttle },
            Rule { when: Match::Word("request_quota_exceeded"), then: FailureClass::Throttle },
            Rule { when: Match::Word("queue_exceeded"), then: FailureClass::Throttle },
        ],
        ..HOST
    },
    // docs.api.nvidia.com/nim/reference/llm-apis: templates take `chat_template_kwargs`.
    Provider {
        name: "nvidia",
        title: "NVIDIA NIM",
        base_url: Some("https://integrate.api.nvidia.com/v1"),
        quirks: Quirks { thinking: ThinkingField::TemplateFlag, ..Quirks::HOST },
        ..HOST
    },
    // docs.sambanova.ai/docs/en/features/openai-compatibility
    Provider { name: "sambanova", title: "SambaNova", base_url: Some("https://api.sambanova.ai/v1"), ..HOST },
    // deepinfra.com/docs/openai_api
    Provider { name: "deepinfra", title: "DeepInfra", base_url: Some("https://api.deepinfra.com/v1/openai"), ..HOST },
    // docs.baseten.co/development/model-apis/overview
    Provider { name: "baseten", title: "Baseten", base_url: Some("https://inference.baseten.co/v1"), ..HOST },
    // novita.ai/docs/guides/llm-api
    Provider { name: "novita", title: "Novita AI", base_url: Some("https://api.novita.ai/openai/v1"), ..HOST },
    // docs.hyperbolic.xyz/docs/rest-api
    Provider { name: "hyperbolic", title: "Hyperbolic", base_url: Some("https://api.hyperbolic.xyz/v1"), ..HOST },
    // docs.siliconflow.com/en/api-reference/chat-completions: `enable_thinking`, `thinking_budget`.
    Provider {
        name: "siliconflow",
        title: "SiliconFlow",
        base_url: Some("https://api.siliconflow.com/v1"),
        quirks: Quirks { thinking: ThinkingField::EnableThinking, ..Quirks::HOST },
        ..HOST
    },
    // docs.tokenfactory.nebius.com/quickstart
    Provider { name: "nebius", title: "Nebius", base_url: Some("https://api.tokenfactory.nebius.com/v1"), ..HOST },
    // friendli.ai/docs/guides/serverless_endpoints/openai-compatibility
    Provider { name: "friendli", title: "FriendliAI", base_url: Some("https://api.friendli.ai/serverless/v1"), ..HOST },
    // www.scaleway.com/en/docs/generative-apis
    Provider { name: "scaleway", title: "Scaleway", base_url: Some("https://api.scaleway.ai/v1"), ..HOST },
    // endpoints.ai.cloud.ovh.net
    Provider {
        name: "ovhcloud",
        title: "OVHcloud AI Endpoints",
        base_url: Some("https://oai.endpoints.kepler.ai.cloud.ovh.net/v1"),
        ..HOST
    },
    // chutes.ai/docs
    Provider { name: "chutes", title: "Chutes", base_url: Some("https://llm.chutes.ai/v1"), ..HOST },
    // docs.parasail.io
    Provider { name: "parasail", title: "Parasail", base_url: Some("https://api.parasail.io/v1"), ..HOST },
    // docs.venice.ai/overview/getting-started
    Provider { name: "venice", title: "Venice", base_url: Some("https://api.venice.ai/api/v1"), ..HOST },
    // featherless.ai/docs
    Provider { name: "featherless", title: "Featherless", base_url: Some("https://api.featherless.ai/v1"), ..HOST },
    // docs.digitalocean.com/products/gradient-ai-platform
    Provider { name: "digitalocean", title: "DigitalOcean", base_url: Some("https://inference.do-ai.run/v1"), ..HOST },
];
