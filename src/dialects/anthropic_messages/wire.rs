//! Names on the wire, and small shapes shared by requests, answers and events.

use crate::canonical::terms::Service;
use crate::canonical::text::{Finish, Parameter};
use crate::canonical::{Json, TokenUsage};
use crate::dialects::fields::Names;
use crate::dialects::node::{Members, Node};
use crate::dialects::out::{self, Out};

/// The fields of a request, as the API reference names them. A key that differs from one of these only in case is refused.
pub const REQUEST_FIELDS: &[&str] = &[
    "cache_control",
    "container",
    "context_management",
    "inference_geo",
    "max_tokens",
    "mcp_servers",
    "messages",
    "metadata",
    "model",
    "output_config",
    "output_format",
    "service_tier",
    "speed",
    "stop_sequences",
    "stream",
    "system",
    "temperature",
    "thinking",
    "tool_choice",
    "tools",
    "top_k",
    "top_p",
];

/// What reading a request into the canonical form may pass over: the gateway reads it itself, or it describes an earlier
/// answer and means nothing to whom it is sent.
pub(super) const READ_ELSEWHERE: &[&str] = &[
    "model",
    "stream",
    "tool_choice.disable_parallel_tool_use",
    "thinking.budget_tokens",
    "thinking.display",
    "system.citations",
    "messages.content.citations",
    "messages.content.content.citations",
];

/// Fields that are carried by name.
pub const PARAMETERS: Names = &[
    ("temperature", Parameter::Temperature),
    ("top_p", Parameter::TopP),
    ("top_k", Parameter::TopK),
    ("cache_control", Parameter::CacheControl),
    ("container", Parameter::Container),
    ("context_management", Parameter::ContextManagement),
    ("mcp_servers", Parameter::McpServers),
    ("inference_geo", Parameter::InferenceGeo),
    ("speed", Parameter::Speed),
];

/// Tokens as answers state them, over what was stated before: fields that a later event leaves out keep their value.
/// `input_tokens` counts neither cached reads nor writes; the canonical `input` counts both.
pub fn read_usage(usage: &Members<'_>, known: &mut TokenUsage) {
    let written = usage.any_count("cache_creation_input_tokens");
    let read = usage.any_count("cache_read_input_tokens");
    let fresh = usage.any_count("input_tokens");
    let fresh = fresh.unwrap_or_else(|| known.input.saturating_sub(known.cache_read).saturating_sub(known.cache_write));
    known.cache_write = written.unwrap_or(known.cache_write);
    known.cache_read = read.unwrap_or(known.cache_read);
    known.input = fresh.saturating_add(known.cache_write).saturating_add(known.cache_read);
    let kept = usage.any_object("cache_creation").any_count("ephemeral_1h_input_tokens");
    known.cache_write_1h = kept.unwrap_or(known.cache_write_1h);
    known.output = usage.any_count("output_tokens").unwrap_or(known.output);
    let thought = usage.any_object("output_tokens_details").any_count("thinking_tokens");
    known.reasoning = thought.unwrap_or(known.reasoning);
    if let Some(speed) = usage.any_text("speed") {
        known.terms.service = Service::of(&speed);
    }
    if let Some(place) = usage.any_text("inference_geo") {
        known.terms.in_us = place == "us";
    }
    let searches = usage.any_object("server_tool_use").any_count("web_search_requests");
    known.terms.searches = searches.unwrap_or(known.terms.searches);
}

/// Writes tokens in this wire's convention.
pub fn write_usage(out: &mut Out<'_>, usage: &TokenUsage) {
    let fresh = usage.input.saturating_sub(usage.cache_read).saturating_sub(usage.cache_write);
    out.number("input_tokens", fresh);
    out.number("cache_creation_input_tokens", usage.cache_write).number("cache_read_input_tokens", usage.cache_read);
    out.object("cache_creation", |kept| {
        kept.number("ephemeral_5m_input_tokens", usage.cache_write.saturating_sub(usage.cache_write_1h));
        kept.number("ephemeral_1h_input_tokens", usage.cache_write_1h);
    });
    out.number("output_tokens", usage.output);
    if usage.reasoning > 0 {
        out.object("output_tokens_details", |details| {
            details.number("thinking_tokens", usage.reasoning);
        });
    }
}

/// Why an answer ended.
#[must_use]
pub fn read_stop(word: &str, sequence: Option<String>) -> Finish {
    match word {
        "end_turn" => Finish::Stop,
        "stop_sequence" => Finish::StopSequence(sequence),
        "max_tokens" => Finish::Length,
        "model_context_window_exceeded" => Finish::ContextWindow,
        "tool_use" => Finish::ToolCalls,
        "refusal" => Finish::Refusal,
        "pause_turn" => Finish::Pause,
        other => Finish::Other(other.to_owned()),
    }
}

/// The word for why an answer ended.
#[must_use]
pub fn write_stop(finish: Option<&Finish>, calls_tools: bool) -> &'static str {
    match finish {
        None | Some(Finish::Other(_)) if calls_tools => "tool_use",
        None | Some(Finish::Stop | Finish::Other(_)) => "end_turn",
        Some(Finish::StopSequence(_)) => "stop_sequence",
        Some(Finish::Length) => "max_tokens",
        Some(Finish::ContextWindow) => "model_context_window_exceeded",
        Some(Finish::ToolCalls) => "tool_use",
        Some(Finish::ContentFilter | Finish::Refusal) => "refusal",
        Some(Finish::Pause) => "pause_turn",
    }
}

/// The stop sequence that was met.
#[must_use]
pub fn sequence_of(finish: Option<&Finish>) -> Option<&str> {
    match finish {
        Some(Finish::StopSequence(sequence)) => sequence.as_deref(),
        _ => None,
    }
}

/// A citation in the flat shape of Responses. Those of web pages have one; others are for people who read the source.
#[must_use]
pub fn read_citation(citation: &Node<'_>) -> Option<Json> {
    let fields = citation.object().ok()?;
    let url = fields.any_text("url")?;
    let flat = out::object(|out| {
        out.text("type", "url_citation").text("url", &url);
        out.text("title", &fields.any_text("title").unwrap_or_default());
        out.number("start_index", 0).number("end_index", 0);
    });
    Json::parse(flat)
}

/// A citation in this wire's shape.
#[must_use]
pub fn write_citation(annotation: &Json) -> Option<String> {
    let fields = Node::root(annotation.as_str()).object().ok()?;
    let url = fields.any_text("url")?;
    Some(out::object(|out| {
        out.text("type", "web_search_result_location").text("url", &url);
        out.text("title", &fields.any_text("title").unwrap_or_default());
        out.text("cited_text", "").text("encrypted_index", "");
    }))
}

/// An id as this wire allows it: letters, digits, `_` and `-`.
#[must_use]
pub fn tool_id(id: &str) -> String {
    let allowed = |c: char| if c.is_ascii_alphanumeric() || c == '_' || c == '-' { c } else { '_' };
    let clean: String = id.chars().map(allowed).collect();
    if clean.is_empty() { "call".to_owned() } else { clean }
}

/// Arguments as the object that this wire wants. What is none is wrapped, so that nothing is lost.
#[must_use]
pub fn input_of(arguments: &str, is_custom: bool) -> String {
    let text = arguments.trim();
    if is_custom {
        return out::object(|out| {
            out.text("input", arguments);
        });
    }
    if text.is_empty() {
        return "{}".to_owned();
    }
    let is_object = text.starts_with('{') && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
    if is_object {
        text.to_owned()
    } else {
        out::object(|out| {
            out.text("arguments", text);
        })
    }
}
