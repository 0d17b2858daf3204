//! Those who make the models.

use super::super::compatible::{
    ALL_THREE, COHERE, EVERYTHING, GENERATE_CONTENT, HOST, MESSAGES, PINNED, VECTORS_AND_RANKS,
    WITH_IMAGES_AND_TRANSCRIPTS, WITH_SOUND_AND_MODERATIONS,
};
use super::super::judge::{FailureClass, Match, Rule};
use super::super::{Auth, Provider, Root};
use crate::dialects::media::{EditBody, ImageSizeField, MediaWays, SpeechAnswer, TranscriptAnswer};
use crate::dialects::openai_chat::{Choices, Quirks, ThinkingField, ThoughtField};
use crate::dialects::question::{FormatField, Ways};
use crate::domain::operation::Transport;

/// An Anthropic-style endpoint beside the OpenAI-style one.
const BESIDE: &[Root] = &[Root { transport: Transport::Messages, path: "/anthropic/v1", auth: None }];

pub(in super::super) const ROWS: &[Provider] = &[
    Provider {
        name: "openai",
        adapter: "openai",
        title: "OpenAI",
        base_url: Some("https://api.openai.com/v1"),
        transports: EVERYTHING,
        media: MediaWays::REFERENCE,
        by_pin_only: &[],
        requires_known_model: true,
        quirks: Quirks::REFERENCE,
        ways: Ways::REFERENCE,
        ..HOST
    },
    // docs.anthropic.com/en/api/errors: 529 is an overloaded service; an empty account is a 400.
    Provider {
        name: "anthropic",
        adapter: "anthropic",
        title: "Anthropic",
        base_url: Some("https://api.anthropic.com/v1"),
        auth: Auth::Header("x-api-key"),
        transports: MESSAGES,
        by_pin_only: &[],
        requires_known_model: true,
        rules: &[
            Rule { when: Match::Phrase("credit balance is too low"), then: FailureClass::Configuration },
            Rule { when: Match::Word("overloaded_error"), then: FailureClass::Transient },
            Rule { when: Match::Word("not_found_error"), then: FailureClass::Configuration },
        ],
        ..HOST
    },
    // ai.google.dev/gemini-api/docs/troubleshooting and google.rpc.Code: a bad key is a 400 with the reason
    // API_KEY_INVALID, a region or an account without billing a 400 FAILED_PRECONDITION; the limit of input tokens is a
    // 400 whose words alone tell it.
    Provider {
        name: "googleaistudio",
        adapter: "googleaistudio",
        title: "Google AI Studio (Gemini API)",
        base_url: Some("https://generativelanguage.googleapis.com/v1beta"),
        auth: Auth::Header("x-goog-api-key"),
        transports: GENERATE_CONTENT,
        media: MediaWays { most_images: 1, ..MediaWays::REFERENCE },
        by_pin_only: &[],
        requires_known_model: true,
        rules: &[
            Rule { when: Match::Word("API_KEY_INVALID"), then: FailureClass::Configuration },
            Rule { when: Match::Phrase("API key not valid"), then: FailureClass::Configuration },
            Rule { when: Match::Phrase("API key expired"), then: FailureClass::Configuration },
            Rule { when: Match::Word("FAILED_PRECONDITION"), then: FailureClass::Configuration },
            Rule { when: Match::Word("RESOURCE_EXHAUSTED"), then: FailureClass::Throttle },
            Rule { when: Match::Word("CANCELLED"), then: FailureClass::Transient },
        ],
        ..HOST
    },
    // api-docs.deepseek.com/guides/thinking_mode: `thinking`, `reasoning_effort`; guides/json_mode: no schema;
    // quick_start/error_codes: 402 is an empty account.
    Provider {
        name: "deepseek",
        title: "DeepSeek",
        base_url: Some("https://api.deepseek.com"),
        roots: BESIDE,
        transports: ALL_THREE,
        by_pin_only: PINNED,
        quirks: Quirks {
            thinking: ThinkingField::Switch,
            takes_json_schema: false,
            takes_strict: false,
            takes_top_k: false,
            ..Quirks::HOST
        },
        rules: &[Rule { when: Match::Phrase("insufficient balance"), then: FailureClass::Configuration }],
        ..HOST
    },
    // docs.mistral.ai/api: unknown fields answer 422, `seed` is `random_seed`, usage comes unasked; ids of tool calls have
    // nine characters (github.com/langchain-ai/langchain/pull/24668); docs.mistral.ai/capabilities/reasoning: thinking parts.
    Provider {
        name: "mistral",
        title: "Mistral AI",
        base_url: Some("https://api.mistral.ai/v1"),
        transports: WITH_SOUND_AND_MODERATIONS,
        // docs.mistral.ai/studio/audio: no `response_format` of transcripts but segments, and speech inside JSON.
        media: MediaWays {
            transcript_answer: TranscriptAnswer::Segments,
            brackets: false,
            transcript_renames: &[("keywords", "context_bias")],
            transcript_refuses: &[
                "prompt",
                "include",
                "languages",
                "chunking_strategy",
                "known_speaker_names",
                "known_speaker_references",
            ],
            speech_answer: SpeechAnswer::Json,
            speech_formats: &["mp3", "wav", "pcm", "flac", "opus"],
            speech_renames: &[("voice", "voice_id")],
            speech_refuses: &["instructions", "speed"],
            ..MediaWays::HOST
        },
        // docs.mistral.ai/api/endpoint/embeddings: `output_dimension`; its own library sends 128 texts at a time at most.
        ways: Ways {
            dimensions: "output_dimension",
            takes_tokens: false,
            refuses: &["user"],
            format: FormatField::Both,
            most_inputs: 128,
            ..Ways::HOST
        },
        quirks: Quirks {
            renames: &[("max_completion_tokens", "max_tokens"), ("seed", "random_seed")],
            refuses: &[
                "audio",
                "logit_bias",
                "logprobs",
                "modalities",
                "prompt_cache_key",
                "prompt_cache_retention",
                "safety_identifier",
                "service_tier",
                "store",
                "top_logprobs",
                "user",
                "verbosity",
                "web_search_options",
            ],
            takes_top_k: false,
            takes_stream_options: false,
            thoughts: ThoughtField::Part,
            has_short_call_ids: true,
            ..Quirks::HOST
        },
        rules: &[
            Rule { when: Match::Phrase("too large for model with"), then: FailureClass::ContextWindow },
            Rule { when: Match::Word("1900"), then: FailureClass::Throttle },
            Rule { when: Match::Word("1500"), then: FailureClass::Configuration },
        ],
        ..HOST
    },
    // docs.x.ai/docs/api-reference; docs.x.ai/docs/key-information/debugging: 403 is the account or the content.
    Provider {
        name: "xai",
        title: "xAI",
        base_url: Some("https://api.x.ai/v1"),
        transports: WITH_IMAGES_AND_TRANSCRIPTS,
        // docs.x.ai/developers/model-capabilities/images: shapes instead of sizes, edits as JSON, no streams.
        media: MediaWays {
            image_size: ImageSizeField::AspectRatio,
            image_refuses: &[
                "quality",
                "style",
                "background",
                "moderation",
                "output_format",
                "output_compression",
                "safety_identifier",
            ],
            streams_images: false,
            streams_transcripts: false,
            edits: EditBody::ImageUrl,
            ..MediaWays::HOST
        },
        quirks: Quirks { renames: &[], takes_top_k: false, ..Quirks::HOST },
        rules: &[
            Rule { when: Match::Phrase("violates usage guidelines"), then: FailureClass::ContentPolicy },
            Rule { when: Match::Phrase("failed check: safety_check"), then: FailureClass::ContentPolicy },
            Rule { when: Match::Phrase("incorrect api key"), then: FailureClass::Configuration },
            Rule { when: Match::Phrase("used all available credits"), then: FailureClass::Configuration },
            Rule { when: Match::Phrase("reached its monthly spending limit"), then: FailureClass::Configuration },
        ],
        ..HOST
    },
    // platform.moonshot.ai/docs/api/chat: `thinking`, no forced tools; docs/api/errors.
    Provider {
        name: "moonshot",
        title: "Moonshot AI (Kimi)",
        base_url: Some("https://api.moonshot.ai/v1"),
        roots: BESIDE,
        transports: ALL_THREE,
        by_pin_only: PINNED,
        quirks: Quirks {
            renames: &[],
            thinking: ThinkingField::Switch,
            choices: Choices::FREE,
            takes_strict: false,
            takes_top_k: false,
            ..Quirks::HOST
        },
        rules: &[
            Rule { when: Match::Word("exceeded_current_quota_error"), then: FailureClass::Configuration },
            Rule { when: Match::Word("engine_overloaded_error"), then: FailureClass::Throttle },
            Rule { when: Match::Word("rate_limit_reached_error"), then: FailureClass::Throttle },
            Rule { when: Match::Word("content_filter"), then: FailureClass::ContentPolicy },
        ],
        ..HOST
    },
    // docs.z.ai/api-reference/llm/chat-completion: `thinking`, `tool_choice` is `auto`; docs.z.ai/api-reference/api-code.
    Provider {
        name: "zai",
        title: "Z.ai (GLM)",
        base_url: Some("https://api.z.ai/api/paas/v4"),
        quirks: Quirks {
            thinking: ThinkingField::Switch,
            choices: Choices::AUTO,
            takes_json_schema: false,
            takes_strict: false,
            takes_top_k: false,
            ..Quirks::HOST
        },
        rules: &[
            Rule { when: Match::Word("1113"), then: FailureClass::Configuration },
            Rule { when: Match::Word("1211"), then: FailureClass::Configuration },
            Rule { when: Match::Word("1220"), then: FailureClass::Configuration },
            Rule { when: Match::Word("1261"), then: FailureClass::ContextWindow },
            Rule { when: Match::Word("1301"), then: FailureClass::ContentPolicy },
            Rule { when: Match::Word("1302"), then: FailureClass::Throttle },
            Rule { when: Match::Word("1303"), then: FailureClass::Throttle },
            Rule { when: Match::Word("1304"), then: FailureClass::Configuration },
            Rule { when: Match::Word("1305"), then: FailureClass::Throttle },
            Rule { when: Match::Word("1308"), then: FailureClass::Configuration },
            Rule { when: Match::Word("1309"), then: FailureClass::Configuration },
        ],
        ..HOST
    },
    // platform.minimax.io/docs/api-reference/text-openai-api: thoughts in tags, which must come back;
    // platform.minimax.io/docs/api-reference/errorcode: codes under a 200.
    Provider {
        name: "minimax",
        title: "MiniMax",
        base_url: Some("https://api.minimax.io/v1"),
        roots: BESIDE,
        transports: ALL_THREE,
        by_pin_only: PINNED,
        quirks: Quirks {
            renames: &[],
            thinking: ThinkingField::AdaptiveSwitch,
            thoughts: ThoughtField::Tags,
            choices: Choices::AUTO,
            takes_top_k: false,
            ..Quirks::HOST
        },
        rules: &[
            Rule { when: Match::Word("1001"), then: FailureClass::Transient },
            Rule { when: Match::Word("1002"), then: FailureClass::Throttle },
            Rule { when: Match::Word("1004"), then: FailureClass::Configuration },
            Rule { when: Match::Word("1008"), then: FailureClass::Configuration },
            Rule { when: Match::Word("1026"), then: FailureClass::ContentPolicy },
            Rule { when: Match::Word("1027"), then: FailureClass::ContentPolicy },
            Rule { when: Match::Word("1039"), then: FailureClass::Throttle },
            Rule { when: Match::Phrase("context window exceeds limit"), then: FailureClass::ContextWindow },
            Rule { when: Match::Word("2013"), then: FailureClass::Request },
            Rule { when: Match::Word("2049"), then: FailureClass::Configuration },
            Rule { when: Match::Word("2056"), then: FailureClass::Configuration },
        ],
        ..HOST
    },
    // docs.cohere.com/docs/compatibility-api: the fields it lists as unsupported.
    Provider {
        name: "cohere",
        title: "Cohere",
        base_url: Some("https://api.cohere.ai/compatibility/v1"),
        // docs.cohere.com/reference/embed, docs.cohere.com/reference/rerank: the API of its own beside.
        roots: &[
            Root { transport: Transport::ChatCompletions, path: "/compatibility/v1", auth: None },
            Root { transport: Transport::CohereEmbed, path: "/v2", auth: None },
            Root { transport: Transport::Rerank, path: "/v2", auth: None },
        ],
        transports: COHERE,
        by_pin_only: &[],
        ways: Ways { takes_max_tokens_per_doc: true, ..Ways::HOST },
        quirks: Quirks {
            refuses: &[
                "audio",
                "logit_bias",
                "metadata",
                "modalities",
                "n",
                "parallel_tool_calls",
                "prediction",
                "service_tier",
                "store",
                "top_logprobs",
            ],
            takes_top_k: false,
            takes_developer: true,
            choices: Choices { named: false, ..Choices::PLAIN },
            ..Quirks::HOST
        },
        rules: &[
            Rule { when: Match::Phrase("too many tokens: total number of tokens"), then: FailureClass::ContextWindow },
            Rule { when: Match::Phrase("trial key"), then: FailureClass::Throttle },
        ],
        ..HOST
    },
    // docs.voyageai.com/reference/embeddings-api: `output_dimension`, 1,000 texts, `encoding_format` is `base64` or absent;
    // docs.voyageai.com/reference/reranker-api: `top_k`.
    Provider {
        name: "voyage",
        title: "Voyage AI",
        base_url: Some("https://api.voyageai.com/v1"),
        transports: VECTORS_AND_RANKS,
        by_pin_only: &[],
        ways: Ways {
            most_inputs: 1_000,
            dimensions: "output_dimension",
            takes_tokens: false,
            refuses: &["user"],
            format: FormatField::OnlyBase64,
            top_n: "top_k",
            ..Ways::HOST
        },
        ..HOST
    },
    // jina.ai/embeddings, jina.ai/reranker, api.jina.ai/redoc: the format is `embedding_type`; 2,048 texts.
    Provider {
        name: "jina",
        title: "Jina AI",
        base_url: Some("https://api.jina.ai/v1"),
        transports: VECTORS_AND_RANKS,
        by_pin_only: &[],
        ways: Ways { takes_tokens: false, refuses: &["user"], takes_return_documents: true, ..Ways::HOST },
        ..HOST
    },
    // docs.perplexity.ai/api-reference/chat-completions-post: no tools, no `json_object`; turns have to alternate.
    Provider {
        name: "perplexity",
        title: "Perplexity",
        base_url: Some("https://api.perplexity.ai"),
        quirks: Quirks {
            refuses: &["tools", "parallel_tool_calls"],
            takes_json_object: false,
            takes_stream_options: false,
            needs_alternation: true,
            thoughts: ThoughtField::Nothing,
            ..Quirks::HOST
        },
        ..HOST
    },
    // www.alibabacloud.com/help/en/model-studio/compatibility-of-openai-with-dashscope: `enable_thinking`, no `required`;
    // …/error-code.
    Provider {
        name: "alibaba",
        title: "Alibaba Cloud Model Studio (Qwen)",
        base_url: Some("https://dashscope-intl.aliyuncs.com/compatible-mode/v1"),
        quirks: Quirks {
            thinking: ThinkingField::EnableThinking,
            choices: Choices { required: false, ..Choices::PLAIN },
            takes_cache_control: true,
            takes_strict: false,
            ..Quirks::HOST
        },
        rules: &[
            Rule { when: Match::Word("data_inspection_failed"), then: FailureClass::ContentPolicy },
            Rule { when: Match::Word("DataInspectionFailed"), then: FailureClass::ContentPolicy },
            Rule { when: Match::Word("Arrearage"), then: FailureClass::Configuration },
            Rule { when: Match::Phrase("range of input length should be"), then: FailureClass::ContextWindow },
        ],
        ..HOST
    },
    // www.volcengine.com/docs/82379/1494384: `thinking`.
    Provider {
        name: "volcengine",
        title: "Volcengine Ark (Doubao)",
        base_url: Some("https://ark.cn-beijing.volces.com/api/v3"),
        quirks: Quirks { thinking: ThinkingField::Switch, ..Quirks::HOST },
        rules: &[
            Rule { when: Match::Word("SensitiveContentDetected"), then: FailureClass::ContentPolicy },
            Rule { when: Match::Word("AccountOverdueError"), then: FailureClass::Configuration },
        ],
        ..HOST
    },
    // platform.stepfun.com/docs
    Provider { name: "stepfun", title: "StepFun", base_url: Some("https://api.stepfun.com/v1"), ..HOST },
    // docs.ai21.com/reference/jamba-1-6-api-ref
    Provider { name: "ai21", title: "AI21", base_url: Some("https://api.ai21.com/studio/v1"), ..HOST },
    // docs.inceptionlabs.ai/get-started
    Provider { name: "inception", title: "Inception", base_url: Some("https://api.inceptionlabs.ai/v1"), ..HOST },
    // console.upstage.ai/docs/getting-started
    Provider { name: "upstage", title: "Upstage", base_url: Some("https://api.upstage.ai/v1"), ..HOST },
];
