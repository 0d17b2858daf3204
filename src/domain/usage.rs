//! Tokens used by one request, in one convention: `input` counts everything the model read, cached or not.

use super::terms::{Service, Terms};

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
    /// Those of them that are kept for an hour (part of `cache_write`).
    pub cache_write_1h: u64,
    /// Input tokens that are sound (part of `input`).
    pub audio_input: u64,
    /// Output tokens spent on reasoning (part of `output`).
    pub reasoning: u64,
    /// Output tokens that are sound (part of `output`).
    pub audio_output: u64,
    /// Searches of rerankings, as their providers count them.
    pub search_units: u64,
    /// Input tokens that are pictures (part of `input`).
    pub image_input: u64,
    /// Output tokens that are pictures (part of `output`).
    pub image_output: u64,
    /// Images made.
    pub images: u64,
    /// Milliseconds of sound that were heard.
    pub audio_ms: u64,
    /// Milliseconds of sound that were made.
    pub audio_output_ms: u64,
    /// Characters that were spoken.
    pub characters: u64,
    /// What else its price depends on.
    pub terms: Terms,
}

impl TokenUsage {
    /// The same, served as a word of the provider says; without one, as it was.
    #[must_use]
    pub fn served_as(mut self, word: Option<&str>) -> Self {
        if let Some(word) = word {
            self.terms.service = Service::of(word);
        }
        self
    }
}
