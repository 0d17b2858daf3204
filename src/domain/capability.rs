//! What a model can do and how much of it, per operation.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::operation::Operation;
use super::price::Pricing;

/// How a model's reasoning is controlled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the words are those of the catalog")]
pub enum ReasoningKind {
    OpenaiEffort,
    OpenaiBody,
    AnthropicAdaptive,
    AnthropicBudget,
    GeminiLevel,
    GeminiBudget,
    ChatTemplateFlag,
    Fixed,
}

impl ReasoningKind {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::OpenaiEffort,
        Self::OpenaiBody,
        Self::AnthropicAdaptive,
        Self::AnthropicBudget,
        Self::GeminiLevel,
        Self::GeminiBudget,
        Self::ChatTemplateFlag,
        Self::Fixed,
    ];

    /// The catalog's word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OpenaiEffort => "openai_effort",
            Self::OpenaiBody => "openai_body",
            Self::AnthropicAdaptive => "anthropic_adaptive",
            Self::AnthropicBudget => "anthropic_budget",
            Self::GeminiLevel => "gemini_level",
            Self::GeminiBudget => "gemini_budget",
            Self::ChatTemplateFlag => "chat_template_flag",
            Self::Fixed => "fixed",
        }
    }

    /// Reads the catalog's word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

/// The reasoning ladder, weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the words of the reasoning ladder")]
pub enum ReasoningLevel {
    None,
    Minimal,
    Low,
    Medium,
    High,
    Xhigh,
    Max,
}

impl ReasoningLevel {
    /// All of them, weakest first.
    pub const ALL: [Self; 7] = [Self::None, Self::Minimal, Self::Low, Self::Medium, Self::High, Self::Xhigh, Self::Max];

    /// The word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Minimal => "minimal",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Xhigh => "xhigh",
            Self::Max => "max",
        }
    }

    /// Reads the word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.as_str() == word)
    }

    /// The nearest step that a model declares: down to the highest not above it, or up to the floor. A positive effort
    /// never becomes `none`; `none` where thinking cannot be switched off becomes the lowest step. Without declared steps
    /// it stays what it is.
    #[must_use]
    pub fn clamp(self, levels: &[Self]) -> Self {
        if levels.is_empty() || levels.contains(&self) {
            return self;
        }
        let usable = || levels.iter().copied().filter(|level| self == Self::None || *level > Self::None);
        let below = usable().filter(|level| *level <= self).max();
        below.or_else(|| usable().min()).unwrap_or(self)
    }

    /// Tokens of thinking that stand for it where only a number is understood.
    #[must_use]
    pub const fn budget(self) -> u64 {
        match self {
            Self::None => 0,
            Self::Minimal | Self::Low => 1_024,
            Self::Medium => 4_096,
            Self::High => 16_384,
            Self::Xhigh => 24_576,
            Self::Max => 32_768,
        }
    }

    /// The step that a number of tokens of thinking stands for.
    #[must_use]
    pub const fn of_budget(tokens: u64) -> Self {
        match tokens {
            0 => Self::None,
            1..=2_048 => Self::Low,
            2_049..=8_192 => Self::Medium,
            8_193..=20_480 => Self::High,
            20_481..=28_672 => Self::Xhigh,
            _ => Self::Max,
        }
    }
}

/// How a model reasons.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reasoning {
    /// The control.
    pub kind: ReasoningKind,
    /// The levels it has, ascending. Empty only with [`ReasoningKind::Fixed`]: it reasons, and there is nothing to steer.
    pub levels: Vec<ReasoningLevel>,
}

/// What one operation of a model supports. Flags: `false` means no, or not known to.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct OperationProfile {
    /// Function calling.
    pub tools: bool,
    /// Images in.
    pub vision: bool,
    /// Audio in.
    pub audio_input: bool,
    /// PDF in.
    pub pdf_input: bool,
    /// JSON-schema-constrained output.
    pub structured_outputs: bool,
    /// Reasoning, if the model reasons.
    pub reasoning: Option<Reasoning>,
    /// Most input tokens.
    pub max_input_tokens: Option<u64>,
    /// Most output tokens.
    pub max_output_tokens: Option<u64>,
    /// Request parameters it takes, when stated. Empty: not stated.
    pub parameters: Vec<String>,
    /// Sizes of the vectors, for embedding models that state them.
    pub dimensions: Option<EmbeddingDimensions>,
    /// Values that parameters may have, where they are stated: sizes and qualities of images, formats, voices, languages;
    /// `stream` without `true` for a model that does not stream; `input` without `tokens` for one that takes text alone.
    /// [`valued_fields`] says which.
    pub values: BTreeMap<String, Vec<String>>,
    /// Most results of one request, such as images.
    pub most_results: Option<u32>,
    /// Most inputs of one call, for embeddings: more are sent in several.
    pub most_inputs: Option<u32>,
}

/// Fields of an operation whose values are checked against [`OperationProfile::values`].
#[must_use]
pub const fn valued_fields(operation: Operation) -> &'static [&'static str] {
    match operation {
        Operation::ImageGenerate | Operation::ImageEdit => &[
            "size",
            "aspect_ratio",
            "image_size",
            "quality",
            "output_format",
            "background",
            "person_generation",
            "stream",
        ],
        Operation::AudioTranscribe => &["response_format", "language", "stream"],
        Operation::AudioSpeech => &["response_format", "voice", "stream_format"],
        Operation::EmbeddingCreate => &["input"],
        Operation::TextGenerate | Operation::Rerank | Operation::VideoGenerate | Operation::Moderate => &[],
    }
}

/// Sizes of an embedding model's vectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmbeddingDimensions {
    /// What it answers with unless asked otherwise.
    pub default: u32,
    /// Smallest size that can be asked for. `None`: not stated.
    #[serde(default)]
    pub min: Option<u32>,
    /// Largest size that can be asked for. `None`: not stated.
    #[serde(default)]
    pub max: Option<u32>,
}

/// What a known or custom model supports.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ModelProfile {
    /// Per operation; presence means support.
    pub operations: BTreeMap<Operation, OperationProfile>,
    /// What it costs.
    pub pricing: Pricing,
}

#[cfg(test)]
mod tests {
    use super::ReasoningLevel::{High, Low, Max, Medium, Minimal, None, Xhigh};

    #[test]
    fn a_step_is_clamped_and_never_refused() {
        for (asked, levels, effective) in [
            (Xhigh, &[Low, Medium, High][..], High),
            (Minimal, &[Low, Medium, High], Low),
            (Minimal, &[None, Medium], Medium),
            (None, &[Low, High], Low),
            (None, &[None, High], None),
            (Max, &[None, Low], Low),
            (Medium, &[], Medium),
            (Low, &[None], Low),
        ] {
            assert_eq!(asked.clamp(levels), effective, "{asked:?} of {levels:?}");
        }
    }
}
