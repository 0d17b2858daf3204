//! Names on the wire, and small shapes shared by requests, answers and events.

use crate::canonical::TokenUsage;
use crate::canonical::terms::{Service, Terms};
use crate::canonical::text::{Finish, Parameter};
use crate::dialects::fields::Names;
use crate::dialects::node::{Members, Node};
use crate::dialects::out::Out;

/// The fields of a request, as the API reference names them. A key that differs from one of these only in case is refused.
pub const REQUEST_FIELDS: &[&str] = &[
    "background",
    "context_management",
    "conversation",
    "include",
    "input",
    "instructions",
    "max_output_tokens",
    "max_tool_calls",
    "metadata",
    "model",
    "moderation",
    "parallel_tool_calls",
    "previous_response_id",
    "prompt",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "reasoning",
    "safety_identifier",
    "service_tier",
    "store",
    "stream",
    "stream_options",
    "temperature",
    "text",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
    "truncation",
    "user",
];

/// What reading a request into the canonical form may pass over: the gateway reads it itself, or it describes an earlier
/// answer and means nothing to whom it is sent.
pub(super) const READ_ELSEWHERE: &[&str] = &[
    "model",
    "store",
    "stream",
    "stream_options",
    "previous_response_id",
    "input.id",
    "input.status",
    "input.phase",
    "input.content.logprobs",
    "input.content.type",
    "input.summary.type",
    "tool_choice.tools.type",
];

/// Fields that are carried by name.
pub const PARAMETERS: Names = &[
    ("temperature", Parameter::Temperature),
    ("top_p", Parameter::TopP),
    ("top_logprobs", Parameter::TopLogprobs),
    ("user", Parameter::User),
    ("safety_identifier", Parameter::SafetyIdentifier),
    ("prompt_cache_key", Parameter::PromptCacheKey),
    ("prompt_cache_options", Parameter::PromptCacheOptions),
    ("prompt_cache_retention", Parameter::PromptCacheRetention),
    ("metadata", Parameter::Metadata),
    ("service_tier", Parameter::ServiceTier),
    ("truncation", Parameter::Truncation),
    ("max_tool_calls", Parameter::MaxToolCalls),
    ("prompt", Parameter::Prompt),
    ("moderation", Parameter::Moderation),
    ("context_management", Parameter::ContextManagement),
];

/// The type of an input item that stands for another one.
pub const ITEM_REFERENCE: &str = "item_reference";
/// Types of items that a provider goes by the content of, whatever their ids.
pub const ITEMS_BY_CONTENT: [&str; 6] =
    ["message", "function_call", "function_call_output", "custom_tool_call", "custom_tool_call_output", "reasoning"];
/// What a client asks for to get opaque reasoning state.
pub const ENCRYPTED_REASONING: &str = "reasoning.encrypted_content";
/// What a client asks for to get log probabilities.
pub const LOGPROBS: &str = "message.output_text.logprobs";

/// Tokens as answers state them.
#[must_use]
pub fn read_usage(response: &Members<'_>) -> Option<TokenUsage> {
    let usage = response.get("usage")?.object().ok()?;
    let input = usage.any_count("input_tokens")?;
    let details = usage.any_object("input_tokens_details");
    Some(TokenUsage {
        input,
        output: usage.any_count("output_tokens").unwrap_or_default(),
        cache_read: details.any_count("cached_tokens").unwrap_or_default(),
        cache_write: details.any_count("cache_write_tokens").unwrap_or_default(),
        reasoning: usage.any_object("output_tokens_details").any_count("reasoning_tokens").unwrap_or_default(),
        terms: Terms {
            service: response.any_text("service_tier").map(|word| Service::of(&word)).unwrap_or_default(),
            searches: response.any_list("output").iter().filter(|item| is_search(item)).count() as u64,
            ..Terms::default()
        },
        ..TokenUsage::default()
    })
}

/// Whether an item is a search of the web that is billed: pages that are opened and looked through are not.
fn is_search(item: &Node<'_>) -> bool {
    let Ok(item) = item.object() else { return false };
    let action = item.any_object("action").any_text("type");
    item.any_text("type").as_deref() == Some("web_search_call") && matches!(action.as_deref(), None | Some("search"))
}

/// Writes tokens in this wire's convention: input counts cached tokens.
pub fn write_usage(out: &mut Out<'_>, usage: &TokenUsage) {
    out.number("input_tokens", usage.input).object("input_tokens_details", |details| {
        details.number("cached_tokens", usage.cache_read).number("cache_write_tokens", usage.cache_write);
    });
    out.number("output_tokens", usage.output).object("output_tokens_details", |details| {
        details.number("reasoning_tokens", usage.reasoning);
    });
    out.number("total_tokens", usage.input.saturating_add(usage.output));
}

/// Why an answer ended: its status, the reason of one that is incomplete, and whether it calls tools.
#[must_use]
pub fn read_finish(response: &Members<'_>, calls_tools: bool) -> Finish {
    match response.any_object("incomplete_details").any_text("reason").as_deref() {
        Some("max_output_tokens" | "max_tokens") => Finish::Length,
        Some("content_filter") => Finish::ContentFilter,
        Some(other) => Finish::Other(other.to_owned()),
        None if response.any_text("status").as_deref() == Some("incomplete") => Finish::Length,
        None if calls_tools => Finish::ToolCalls,
        None => Finish::Stop,
    }
}

/// The reason of an answer that is incomplete.
#[must_use]
pub fn incomplete_reason(finish: Option<&Finish>) -> Option<&'static str> {
    match finish {
        Some(Finish::Length | Finish::ContextWindow) => Some("max_output_tokens"),
        Some(Finish::ContentFilter | Finish::Refusal) => Some("content_filter"),
        None | Some(Finish::Stop | Finish::StopSequence(_) | Finish::ToolCalls | Finish::Pause | Finish::Other(_)) => {
            None
        }
    }
}
