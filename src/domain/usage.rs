//! Tokens used by one request, in one convention: `input` counts everything the model read, cached or not.

/// Token counts of one answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TokenUsage {
    /// All input tokens, cached ones included.
    pub input: u64,
    /// All output tokens, reasoning included.
    pub output: u64,
    /// Input tokens read from the provider's cache (part of `input`).
    pub cache_read: u64,
    /// Input tokens written to the provider's cache (part of `input`).
    pub cache_write: u64,
    /// Output tokens spent on reasoning (part of `output`).
    pub reasoning: u64,
}
