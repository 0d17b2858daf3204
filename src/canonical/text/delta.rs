//! One event of a streamed answer.

use super::reply::FinishReason;
use crate::domain::usage::TokenUsage;

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delta {
    /// The answer begins.
    Start,
    /// More text.
    Text(String),
    /// A tool call begins.
    ToolCallStart {
        /// Its place among the calls.
        index: u32,
        /// Its id.
        id: String,
        /// The tool's name.
        name: String,
    },
    /// More of a call's arguments: raw JSON text.
    ToolCallArguments {
        /// Its place among the calls.
        index: u32,
        /// The piece.
        text: String,
    },
    /// The answer ends.
    Finish(FinishReason),
    /// What it used.
    Usage(TokenUsage),
}
