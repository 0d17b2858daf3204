//! A whole answer.

use super::content::{Part, ToolCall};
use crate::canonical::{Json, TokenUsage};

/// What was answered.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Reply {
    /// The provider's id of the answer; empty when it has none.
    pub id: String,
    /// Text, reasoning, refusals, tool calls, images, in order.
    pub parts: Vec<Part>,
    /// Why it ended; `None` when the provider does not say.
    pub finish: Option<Finish>,
    /// What it used, when the provider says.
    pub usage: Option<TokenUsage>,
    /// The tier that served it.
    pub service_tier: Option<String>,
    /// Log probabilities of the text: a list in the shape of OpenAI.
    pub logprobs: Option<Json>,
}

impl Reply {
    /// All its text, parts joined.
    #[must_use]
    pub fn text(&self) -> String {
        self.parts.iter().filter_map(Part::as_text).collect()
    }

    /// The calls it makes, in order.
    pub fn tool_calls(&self) -> impl Iterator<Item = &ToolCall> {
        self.parts.iter().filter_map(|part| match part {
            Part::ToolCall(call) => Some(call),
            _ => None,
        })
    }
}

/// Why an answer ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finish {
    /// It was complete.
    Stop,
    /// It met a stop sequence; the sequence, where the provider names it.
    StopSequence(Option<String>),
    /// It reached the limit of output tokens.
    Length,
    /// It filled the context window.
    ContextWindow,
    /// It waits for the results of tool calls.
    ToolCalls,
    /// A filter stopped it.
    ContentFilter,
    /// The model refused.
    Refusal,
    /// The provider paused a long turn; it is sent back to go on.
    Pause,
    /// The provider's own word for something else.
    Other(String),
}

impl Finish {
    /// Its word in records and logs, that of Chat Completions where there is one.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Stop => "stop",
            Self::StopSequence(_) => "stop_sequence",
            Self::Length => "length",
            Self::ContextWindow => "context_window",
            Self::ToolCalls => "tool_calls",
            Self::ContentFilter => "content_filter",
            Self::Refusal => "refusal",
            Self::Pause => "pause_turn",
            Self::Other(word) => word,
        }
    }
}
