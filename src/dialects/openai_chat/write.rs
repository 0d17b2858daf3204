//! Canonical to bytes: whole answers.

use bytes::Bytes;

use super::wire::{
    AssistantMessage, Choice, Completion, CompletionDetailsOut, FunctionCall, PromptDetailsOut, ToolCall, UsageOut,
};
use crate::canonical::TokenUsage;
use crate::canonical::text::{FinishReason, Reply};
use crate::fault::{Fault, Kind, Outcome};

/// Writes a whole answer. `created` is in seconds since the Unix epoch.
///
/// # Errors
/// `Internal` when it cannot be serialised, which no value of these types causes.
pub fn write_reply(reply: &Reply, model: &str, created: i64) -> Outcome<Bytes> {
    let tool_calls = reply.tool_calls.iter().map(|call| ToolCall {
        index: None,
        id: Some(&call.id),
        kind: Some("function"),
        function: FunctionCall { name: Some(&call.name), arguments: &call.arguments },
    });
    let completion = Completion {
        id: &reply.id,
        object: "chat.completion",
        created,
        model,
        choices: [Choice {
            index: 0,
            message: AssistantMessage {
                role: "assistant",
                content: (!reply.text.is_empty() || reply.tool_calls.is_empty()).then_some(reply.text.as_str()),
                refusal: None,
                tool_calls: tool_calls.collect(),
            },
            logprobs: None,
            finish_reason: finish_word(reply.finish_reason),
        }],
        usage: write_usage(&reply.usage),
    };
    let json = serde_json::to_vec(&completion).map_err(|error| Fault::new(Kind::Internal).because(error))?;
    Ok(json.into())
}

/// The word for why an answer ended.
#[must_use]
pub fn finish_word(reason: FinishReason) -> &'static str {
    match reason {
        FinishReason::Stop => "stop",
        FinishReason::Length => "length",
        FinishReason::ToolCalls => "tool_calls",
    }
}

/// Usage in this dialect's convention: input counts cached tokens.
#[must_use]
pub fn write_usage(usage: &TokenUsage) -> UsageOut {
    UsageOut {
        prompt_tokens: usage.input,
        completion_tokens: usage.output,
        total_tokens: usage.input + usage.output,
        prompt_tokens_details: PromptDetailsOut { cached_tokens: usage.cache_read },
        completion_tokens_details: CompletionDetailsOut { reasoning_tokens: usage.reasoning },
    }
}
