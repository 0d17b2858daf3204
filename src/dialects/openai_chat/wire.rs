//! Shapes on the wire that are read or written field by field. What passes through raw has no shape here.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// The fields of a request, as the API reference names them. A key that differs from one of these only in case is refused.
pub const REQUEST_FIELDS: &[&str] = &[
    "audio",
    "frequency_penalty",
    "function_call",
    "functions",
    "logit_bias",
    "logprobs",
    "max_completion_tokens",
    "max_tokens",
    "messages",
    "metadata",
    "modalities",
    "model",
    "n",
    "parallel_tool_calls",
    "prediction",
    "presence_penalty",
    "prompt_cache_key",
    "prompt_cache_retention",
    "reasoning_effort",
    "response_format",
    "safety_identifier",
    "seed",
    "service_tier",
    "stop",
    "store",
    "stream",
    "stream_options",
    "temperature",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
    "user",
    "verbosity",
    "web_search_options",
];

/// Tokens used, as answers state them. Unknown or ill-typed details are ignored: they must not fail an answer.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Usage {
    /// Input, cached included.
    pub prompt_tokens: Option<u64>,
    /// Output, reasoning included.
    pub completion_tokens: Option<u64>,
    /// Input details.
    pub prompt_tokens_details: Option<PromptDetails>,
    /// Output details.
    pub completion_tokens_details: Option<CompletionDetails>,
}

/// Input details.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct PromptDetails {
    /// Read from the provider's cache.
    pub cached_tokens: Option<u64>,
    /// Written to the provider's cache (`OpenRouter`).
    pub cache_write_tokens: Option<u64>,
}

/// Output details.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct CompletionDetails {
    /// Spent on reasoning.
    pub reasoning_tokens: Option<u64>,
}

/// One event of a stream, as far as it is watched.
#[derive(Debug, Deserialize)]
pub struct WatchedChunk<'a> {
    /// Choices; absent in some hosts' usage or keep-alive events.
    #[serde(borrow, default)]
    pub choices: Option<Vec<WatchedChoice<'a>>>,
}

/// One choice of an event.
#[derive(Debug, Deserialize)]
pub struct WatchedChoice<'a> {
    /// Which of the answers (`n`).
    #[serde(default)]
    pub index: Option<u32>,
    /// The increment.
    #[serde(borrow, default)]
    pub delta: Option<WatchedDelta<'a>>,
    /// Why it ended.
    #[serde(borrow, default)]
    pub finish_reason: Option<Cow<'a, str>>,
}

/// The increment, as far as it is watched.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct WatchedDelta<'a> {
    /// Text, or a list of parts on some hosts.
    #[serde(borrow)]
    pub content: Option<&'a RawValue>,
    /// Refusal text.
    #[serde(borrow)]
    pub refusal: Option<&'a RawValue>,
    /// Reasoning text under the name most hosts use.
    #[serde(borrow)]
    pub reasoning_content: Option<&'a RawValue>,
    /// Reasoning text under the name others use.
    #[serde(borrow)]
    pub reasoning: Option<&'a RawValue>,
    /// Structured reasoning.
    #[serde(borrow)]
    pub reasoning_details: Option<&'a RawValue>,
    /// Tool calls.
    #[serde(borrow)]
    pub tool_calls: Option<&'a RawValue>,
    /// A call in the way of 2023.
    #[serde(borrow)]
    pub function_call: Option<&'a RawValue>,
    /// Audio.
    #[serde(borrow)]
    pub audio: Option<&'a RawValue>,
    /// Images, on hosts that answer with them.
    #[serde(borrow)]
    pub images: Option<&'a RawValue>,
}

/// A request, as far as the canonical form holds it.
#[derive(Debug, Deserialize)]
pub struct Request {
    /// The conversation.
    pub messages: Vec<Message>,
    /// Functions that may be called.
    #[serde(default)]
    pub tools: Option<Vec<Tool>>,
    /// Which of them.
    #[serde(default)]
    pub tool_choice: Option<serde_json::Value>,
    /// Most tokens to write.
    #[serde(default)]
    pub max_completion_tokens: Option<u64>,
    /// Most tokens to write, the old name.
    #[serde(default)]
    pub max_tokens: Option<u64>,
}

/// One message.
#[derive(Debug, Deserialize)]
pub struct Message {
    /// Who speaks.
    pub role: String,
    /// Text, or parts.
    #[serde(default)]
    pub content: Option<serde_json::Value>,
}

/// One tool.
#[derive(Debug, Deserialize)]
pub struct Tool {
    /// Present on function tools.
    #[serde(default)]
    pub function: Option<Function>,
}

/// One function.
#[derive(Debug, Deserialize)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// JSON Schema of its arguments.
    #[serde(default)]
    pub parameters: Option<serde_json::Value>,
}

/// A whole answer, written.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "the names are the wire's own")]
pub struct Completion<'a> {
    pub id: &'a str,
    pub object: &'static str,
    pub created: i64,
    pub model: &'a str,
    pub choices: [Choice<'a>; 1],
    pub usage: UsageOut,
}

/// One choice, written.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "the names are the wire's own")]
pub struct Choice<'a> {
    pub index: u32,
    pub message: AssistantMessage<'a>,
    pub logprobs: Option<()>,
    pub finish_reason: &'static str,
}

/// The assistant's message, written.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "the names are the wire's own")]
pub struct AssistantMessage<'a> {
    pub role: &'static str,
    pub content: Option<&'a str>,
    pub refusal: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tool_calls: Vec<ToolCall<'a>>,
}

/// A tool call, written.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "the names are the wire's own")]
pub struct ToolCall<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<&'a str>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<&'static str>,
    pub function: FunctionCall<'a>,
}

/// The function of a call, written.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "the names are the wire's own")]
pub struct FunctionCall<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<&'a str>,
    pub arguments: &'a str,
}

/// Tokens used, written.
#[derive(Debug, Clone, Copy, Serialize)]
#[expect(missing_docs, reason = "the names are the wire's own")]
pub struct UsageOut {
    pub prompt_tokens: u64,
    pub completion_tokens: u64,
    pub total_tokens: u64,
    pub prompt_tokens_details: PromptDetailsOut,
    pub completion_tokens_details: CompletionDetailsOut,
}

/// Input details, written.
#[derive(Debug, Clone, Copy, Serialize)]
#[expect(missing_docs, reason = "the names are the wire's own")]
pub struct PromptDetailsOut {
    pub cached_tokens: u64,
}

/// Output details, written.
#[derive(Debug, Clone, Copy, Serialize)]
#[expect(missing_docs, reason = "the names are the wire's own")]
pub struct CompletionDetailsOut {
    pub reasoning_tokens: u64,
}

/// One event, written.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "the names are the wire's own")]
pub struct Chunk<'a> {
    pub id: &'a str,
    pub object: &'static str,
    pub created: i64,
    pub model: &'a str,
    pub choices: &'a [ChunkChoice<'a>],
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<Option<UsageOut>>,
}

/// One choice of an event, written.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "the names are the wire's own")]
pub struct ChunkChoice<'a> {
    pub index: u32,
    pub delta: DeltaOut<'a>,
    pub logprobs: Option<()>,
    pub finish_reason: Option<&'static str>,
}

/// The increment, written.
#[derive(Debug, Default, Serialize)]
#[expect(missing_docs, reason = "the names are the wire's own")]
pub struct DeltaOut<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tool_calls: Vec<ToolCall<'a>>,
}
