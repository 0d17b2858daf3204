//! What a request asks for, and the wire shapes it can travel in.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "&'static str")]
pub enum Operation {
    /// Text generation (chat completions, responses, messages).
    TextGenerate,
    /// Embedding vectors.
    EmbeddingCreate,
    /// Images from text.
    ImageGenerate,
    /// Images from images.
    ImageEdit,
    /// Text from audio.
    AudioTranscribe,
    /// Audio from text.
    AudioSpeech,
    /// Ordering of documents by relevance.
    Rerank,
    /// Video from text or images.
    VideoGenerate,
    /// Classification of content against a policy.
    Moderate,
}

/// A wire shape spoken to a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "&'static str")]
#[expect(missing_docs, reason = "each is named after the provider endpoint it is")]
pub enum Transport {
    ChatCompletions,
    Responses,
    Messages,
    GenerateContent,
    Predict,
    Embeddings,
    EmbedContent,
    CohereEmbed,
    Images,
    ImageEdits,
    AudioTranscriptions,
    AudioSpeech,
    Rerank,
    Videos,
    Moderations,
}

/// A word that names no operation or transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not known")]
pub struct UnknownWord;

impl Operation {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::TextGenerate,
        Self::EmbeddingCreate,
        Self::ImageGenerate,
        Self::ImageEdit,
        Self::AudioTranscribe,
        Self::AudioSpeech,
        Self::Rerank,
        Self::VideoGenerate,
        Self::Moderate,
    ];

    /// The word used in APIs, logs and the store.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TextGenerate => "text.generate",
            Self::EmbeddingCreate => "embedding.create",
            Self::ImageGenerate => "image.generate",
            Self::ImageEdit => "image.edit",
            Self::AudioTranscribe => "audio.transcribe",
            Self::AudioSpeech => "audio.speech",
            Self::Rerank => "rerank",
            Self::VideoGenerate => "video.generate",
            Self::Moderate => "moderate",
        }
    }

    /// Whether doing it twice costs too much to be risked: no other attempt follows one that may have been processed.
    #[must_use]
    pub const fn is_dear(self) -> bool {
        match self {
            Self::TextGenerate | Self::EmbeddingCreate | Self::Rerank | Self::Moderate => false,
            Self::ImageGenerate | Self::ImageEdit | Self::AudioTranscribe | Self::AudioSpeech | Self::VideoGenerate => {
                true
            }
        }
    }
}

impl Transport {
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::ChatCompletions,
        Self::Responses,
        Self::Messages,
        Self::GenerateContent,
        Self::Predict,
        Self::Embeddings,
        Self::EmbedContent,
        Self::CohereEmbed,
        Self::Images,
        Self::ImageEdits,
        Self::AudioTranscriptions,
        Self::AudioSpeech,
        Self::Rerank,
        Self::Videos,
        Self::Moderations,
    ];

    /// The word used in APIs, logs and the store.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ChatCompletions => "chat_completions",
            Self::Responses => "responses",
            Self::Messages => "messages",
            Self::GenerateContent => "generate_content",
            Self::Predict => "predict",
            Self::Embeddings => "embeddings",
            Self::EmbedContent => "embed_content",
            Self::CohereEmbed => "cohere_embed",
            Self::Images => "images",
            Self::ImageEdits => "image_edits",
            Self::AudioTranscriptions => "audio_transcriptions",
            Self::AudioSpeech => "audio_speech",
            Self::Rerank => "rerank",
            Self::Videos => "videos",
            Self::Moderations => "moderations",
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Operation {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        Self::ALL.into_iter().find(|operation| operation.as_str() == text).ok_or(UnknownWord)
    }
}

impl FromStr for Transport {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        Self::ALL.into_iter().find(|transport| transport.as_str() == text).ok_or(UnknownWord)
    }
}

impl TryFrom<String> for Operation {
    type Error = UnknownWord;

    fn try_from(text: String) -> Result<Self, UnknownWord> {
        text.parse()
    }
}

impl TryFrom<String> for Transport {
    type Error = UnknownWord;

    fn try_from(text: String) -> Result<Self, UnknownWord> {
        text.parse()
    }
}

impl From<Operation> for &'static str {
    fn from(operation: Operation) -> Self {
        operation.as_str()
    }
}

impl From<Transport> for &'static str {
    fn from(transport: Transport) -> Self {
        transport.as_str()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_reads_back() {
        for operation in Operation::ALL {
            assert_eq!(operation.as_str().parse(), Ok(operation));
        }
        for transport in Transport::ALL {
            assert_eq!(transport.as_str().parse(), Ok(transport));
        }
        assert_eq!("text".parse::<Operation>(), Err(UnknownWord));
    }
}
