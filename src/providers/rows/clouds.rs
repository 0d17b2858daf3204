//! Clouds and routers that resell models of many makers.

use super::super::compatible::{ALL_THREE, AZURE_EVERYTHING, FOUNDRY, HOST, PINNED, ROUTER, part_of_url};
use super::super::judge::{FailureClass, Match, Rule};
use super::super::{API_KEY, Auth, BASE_URL, Provider, Root};
use crate::dialects::media::MediaWays;
use crate::dialects::openai_chat::{Quirks, ThinkingField};
use crate::dialects::question::Ways;
use crate::domain::operation::Transport;
use crate::domain::preset::CredentialField;

const RESOURCE: CredentialField =
    part_of_url("resource", "Name of the Azure resource, or its endpoint URL; not needed with `baseUrl`");
const API_VERSION: CredentialField =
    part_of_url("apiVersion", "Value of `api-version`, such as `preview`; the v1 API needs none");

/// The v1 API: learn.microsoft.com/azure/ai-foundry/openai/api-version-lifecycle.
const AZURE: Provider = Provider {
    auth: Auth::Header("api-key"),
    credentials: &[API_KEY, RESOURCE, API_VERSION, BASE_URL],
    roots: &[
        Root { transport: Transport::ChatCompletions, path: "/openai/v1", auth: None },
        Root { transport: Transport::Responses, path: "/openai/v1", auth: None },
        Root { transport: Transport::Messages, path: "/anthropic/v1", auth: Some(Auth::Header("x-api-key")) },
        Root { transport: Transport::Embeddings, path: "/openai/v1", auth: None },
        Root { transport: Transport::Images, path: "/openai/v1", auth: None },
        Root { transport: Transport::ImageEdits, path: "/openai/v1", auth: None },
        Root { transport: Transport::AudioTranscriptions, path: "/openai/v1", auth: None },
        Root { transport: Transport::AudioSpeech, path: "/openai/v1", auth: None },
        Root { transport: Transport::Rerank, path: "/providers/cohere/v2", auth: None },
    ],
    by_pin_only: &[],
    quirks: Quirks::REFERENCE,
    ways: Ways { takes_max_tokens_per_doc: true, ..Ways::REFERENCE },
    media: MediaWays::REFERENCE,
    // learn.microsoft.com/azure/ai-foundry/openai/concepts/content-filter; …/how-to/quota.
    rules: &[
        Rule { when: Match::Word("content_filter"), then: FailureClass::ContentPolicy },
        Rule { when: Match::Word("ResponsibleAIPolicyViolation"), then: FailureClass::ContentPolicy },
        Rule { when: Match::Word("DeploymentNotFound"), then: FailureClass::Configuration },
        Rule { when: Match::Word("OperationNotSupported"), then: FailureClass::Configuration },
        Rule { when: Match::Word("unknown_model"), then: FailureClass::Configuration },
        Rule { when: Match::Word("NoCapacity"), then: FailureClass::Throttle },
    ],
    ..HOST
};

pub(in super::super) const ROWS: &[Provider] = &[
    Provider {
        name: "azureopenai",
        adapter: "azureopenai",
        title: "Azure OpenAI",
        base_url: Some("https://{resource}.openai.azure.com/openai/v1"),
        transports: AZURE_EVERYTHING,
        requires_known_model: true,
        ..AZURE
    },
    Provider {
        name: "azurefoundry",
        adapter: "azurefoundry",
        title: "Azure AI Foundry",
        base_url: Some("https://{resource}.services.ai.azure.com/openai/v1"),
        transports: FOUNDRY,
        ..AZURE
    },
    // openrouter.ai/docs/api-reference/errors: 402 is an empty account, 403 flagged input, 408 a timeout of the provider
    // behind; docs/use-cases/reasoning-tokens; docs/features/prompt-caching.
    Provider {
        name: "openrouter",
        adapter: "openrouter",
        title: "OpenRouter",
        base_url: Some("https://openrouter.ai/api/v1"),
        ways: Ways { takes_max_tokens_per_doc: true, ..Ways::HOST },
        transports: ROUTER,
        media: MediaWays { most_images: 1, ..MediaWays::HOST },
        quirks: Quirks { thinking: ThinkingField::Reasoning, takes_cache_control: true, ..Quirks::HOST },
        rules: &[
            Rule { when: Match::Status(402), then: FailureClass::Configuration },
            Rule { when: Match::Status(403), then: FailureClass::ContentPolicy },
            Rule { when: Match::Status(408), then: FailureClass::Transient },
            Rule { when: Match::Phrase("no endpoints found"), then: FailureClass::Configuration },
        ],
        ..HOST
    },
    // vercel.com/docs/ai-gateway/openai-compat: `reasoning`, `cache_control`.
    Provider {
        name: "vercel",
        title: "Vercel AI Gateway",
        base_url: Some("https://ai-gateway.vercel.sh/v1"),
        quirks: Quirks { thinking: ThinkingField::Reasoning, takes_cache_control: true, ..Quirks::HOST },
        ..HOST
    },
    // huggingface.co/docs/inference-providers
    Provider { name: "huggingface", title: "Hugging Face", base_url: Some("https://router.huggingface.co/v1"), ..HOST },
    // docs.github.com/en/rest/models/inference
    Provider {
        name: "github",
        title: "GitHub Models",
        base_url: Some("https://models.github.ai/inference"),
        rules: &[
            Rule { when: Match::Word("tokens_limit_reached"), then: FailureClass::ContextWindow },
            Rule { when: Match::Word("unknown_model"), then: FailureClass::Configuration },
            Rule { when: Match::Word("RateLimitReached"), then: FailureClass::Throttle },
        ],
        ..HOST
    },
    // docs.snowflake.com/en/user-guide/snowflake-cortex/cortex-rest-api
    Provider {
        name: "snowflake",
        title: "Snowflake Cortex",
        base_url: Some("https://{account}.snowflakecomputing.com/api/v2/cortex/v1"),
        credentials: &[
            API_KEY,
            part_of_url("account", "Account identifier, such as myorg-myaccount; not needed with `baseUrl`"),
            BASE_URL,
        ],
        transports: ALL_THREE,
        by_pin_only: PINNED,
        quirks: Quirks { renames: &[], takes_top_k: false, ..Quirks::HOST },
        ..HOST
    },
    // docs.databricks.com/aws/en/machine-learning/model-serving/score-foundation-models
    Provider {
        name: "databricks",
        title: "Databricks",
        base_url: Some("https://{workspace}/serving-endpoints"),
        credentials: &[
            API_KEY,
            part_of_url(
                "workspace",
                "Host of the workspace, such as dbc-1.cloud.databricks.com; not needed with `baseUrl`",
            ),
            BASE_URL,
        ],
        quirks: Quirks { takes_cache_control: true, ..Quirks::HOST },
        rules: &[Rule { when: Match::Word("REQUEST_LIMIT_EXCEEDED"), then: FailureClass::Throttle }],
        ..HOST
    },
    // developers.cloudflare.com/workers-ai/configuration/open-ai-compatibility
    Provider {
        name: "cloudflare",
        title: "Cloudflare Workers AI",
        base_url: Some("https://api.cloudflare.com/client/v4/accounts/{accountId}/ai/v1"),
        credentials: &[API_KEY, part_of_url("accountId", "Account id; not needed with `baseUrl`"), BASE_URL],
        ..HOST
    },
    // docs.requesty.ai/quickstart
    Provider {
        name: "requesty",
        title: "Requesty",
        base_url: Some("https://router.requesty.ai/v1"),
        quirks: Quirks { takes_cache_control: true, ..Quirks::HOST },
        ..HOST
    },
];
