//! One event of a streamed answer.

use super::State;
use super::reply::Finish;
use crate::canonical::{Json, TokenUsage, Wire};

/// One event. Parts are numbered by their decoder in the order in which they begin; several may be open at once.
#[derive(Debug, Clone, PartialEq)]
pub enum Delta {
    /// The answer begins. The first event, and only the first.
    Start {
        /// The provider's id of the answer.
        id: Option<String>,
    },
    /// A part begins.
    Begin {
        /// Its number.
        part: u32,
        /// What it is.
        kind: PartKind,
    },
    /// More of a part: text, words of reasoning, a refusal, arguments, base64 of sound.
    Text {
        /// Its number.
        part: u32,
        /// The piece; never empty.
        text: String,
    },
    /// More of a summary of reasoning.
    Summary {
        /// The part's number.
        part: u32,
        /// Which of its summaries.
        index: u32,
        /// The piece.
        text: String,
    },
    /// The opaque state of reasoning; pieces of one state are joined by the decoder.
    State {
        /// The part's number.
        part: u32,
        /// The state.
        state: State,
    },
    /// An annotation of a text part, in the shape of Responses.
    Annotation {
        /// The part's number.
        part: u32,
        /// The annotation.
        json: Json,
    },
    /// Log probabilities of the last piece of a text part: a list in the shape of OpenAI.
    Logprobs {
        /// The part's number.
        part: u32,
        /// The list.
        json: Json,
    },
    /// A part is complete.
    End {
        /// Its number.
        part: u32,
    },
    /// Why the answer ended.
    Finish(Finish),
    /// What it used so far; a later one replaces an earlier one.
    Usage(TokenUsage),
    /// The tier that served it.
    ServiceTier(String),
}

/// What a part is.
#[derive(Debug, Clone, PartialEq)]
pub enum PartKind {
    /// Text.
    Text,
    /// The model's words why it does not answer.
    Refusal,
    /// What the model thinks.
    Reasoning {
        /// The provider's id of it (Responses).
        id: Option<String>,
    },
    /// A call of a tool.
    ToolCall {
        /// The call's id.
        id: String,
        /// The tool's name.
        name: String,
        /// Whether the arguments are free text instead of JSON.
        is_custom: bool,
    },
    /// Sound.
    Audio,
    /// An image, whole: a URL, `data:` included.
    Image {
        /// The URL.
        url: String,
    },
    /// Something that only one wire knows, whole.
    Native {
        /// That wire.
        wire: Wire,
        /// Its `type`.
        kind: String,
        /// All of it.
        json: Json,
    },
}
