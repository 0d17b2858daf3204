//! The provider-neutral form inside: what requests, answers and stream events mean, apart from how they look.

pub mod form;
pub mod json;
pub mod text;

pub use crate::domain::capability::OperationProfile;
pub use crate::domain::operation::{Operation, Transport};
pub use crate::domain::terms;
pub use crate::domain::usage::TokenUsage;
pub use form::{BodyPart, Field, FieldValue, FileRef, Form};
pub use json::Json;

/// A family of wire formats for text, as a contract spoken by clients and as a transport spoken to providers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Wire {
    /// OpenAI Chat Completions.
    Chat,
    /// OpenAI Responses.
    Responses,
    /// Anthropic Messages.
    Messages,
    /// Gemini `generateContent`; a transport only.
    GenerateContent,
}

impl Wire {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Chat, Self::Responses, Self::Messages, Self::GenerateContent];

    /// Those that clients speak.
    pub const CONTRACTS: [Self; 3] = [Self::Chat, Self::Responses, Self::Messages];

    /// Its word in tables and tags.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Chat => "chat_completions",
            Self::Responses => "responses",
            Self::Messages => "messages",
            Self::GenerateContent => "generate_content",
        }
    }
}
