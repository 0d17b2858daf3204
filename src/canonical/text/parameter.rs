//! Request fields that are one value and mean the same wherever they are known.

/// A field. Its value is carried as JSON; what a transport calls it, or that it does not know it, is in its `wire` file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "each is named after the field it is")]
pub enum Parameter {
    Temperature,
    TopP,
    TopK,
    PresencePenalty,
    FrequencyPenalty,
    Seed,
    LogitBias,
    Logprobs,
    TopLogprobs,
    Choices,
    User,
    SafetyIdentifier,
    PromptCacheKey,
    PromptCacheRetention,
    Metadata,
    ServiceTier,
    Verbosity,
    Modalities,
    AudioOutput,
    Prediction,
    WebSearchOptions,
    Moderation,
    Truncation,
    MaxToolCalls,
    Include,
    Prompt,
    Instructions,
    ContextManagement,
    CacheControl,
    Container,
    McpServers,
    InferenceGeo,
    Speed,
}

impl Parameter {
    /// Its name for people and headers: the field's own in the contract that is best known for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Temperature => "temperature",
            Self::TopP => "top_p",
            Self::TopK => "top_k",
            Self::PresencePenalty => "presence_penalty",
            Self::FrequencyPenalty => "frequency_penalty",
            Self::Seed => "seed",
            Self::LogitBias => "logit_bias",
            Self::Logprobs => "logprobs",
            Self::TopLogprobs => "top_logprobs",
            Self::Choices => "n",
            Self::User => "user",
            Self::SafetyIdentifier => "safety_identifier",
            Self::PromptCacheKey => "prompt_cache_key",
            Self::PromptCacheRetention => "prompt_cache_retention",
            Self::Metadata => "metadata",
            Self::ServiceTier => "service_tier",
            Self::Verbosity => "verbosity",
            Self::Modalities => "modalities",
            Self::AudioOutput => "audio",
            Self::Prediction => "prediction",
            Self::WebSearchOptions => "web_search_options",
            Self::Moderation => "moderation",
            Self::Truncation => "truncation",
            Self::MaxToolCalls => "max_tool_calls",
            Self::Include => "include",
            Self::Prompt => "prompt",
            Self::Instructions => "instructions",
            Self::ContextManagement => "context_management",
            Self::CacheControl => "cache_control",
            Self::Container => "container",
            Self::McpServers => "mcp_servers",
            Self::InferenceGeo => "inference_geo",
            Self::Speed => "speed",
        }
    }
}
