//! A whole answer.

use crate::domain::usage::TokenUsage;

/// What was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The answer's id, stable over all its events.
    pub id: String,
    /// Its text; empty when it only calls tools.
    pub text: String,
    /// The calls it makes, in order.
    pub tool_calls: Vec<ToolCall>,
    /// Why it ended.
    pub finish_reason: FinishReason,
    /// What it used.
    pub usage: TokenUsage,
}

/// A call of a tool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolCall {
    /// The call's id.
    pub id: String,
    /// The tool's name.
    pub name: String,
    /// The arguments: raw JSON text, never re-serialised.
    pub arguments: String,
}

/// Why an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FinishReason {
    /// It was complete.
    Stop,
    /// It reached the limit of output tokens.
    Length,
    /// It waits for the results of tool calls.
    ToolCalls,
}
