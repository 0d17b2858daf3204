//! Shapes on the wire that are read or written field by field. What passes through raw has no shape here.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::canonical::terms::{SearchSize, Terms};
use crate::canonical::text::{Finish, Parameter};
use crate::canonical::{Json, TokenUsage};
use crate::dialects::fields::Names;
use crate::dialects::node::{Members, Node};
use crate::dialects::out::{self, Out};

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
    "moderation",
    "n",
    "parallel_tool_calls",
    "prediction",
    "presence_penalty",
    "prompt_cache_key",
    "prompt_cache_options",
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
    "top_k",
    "top_logprobs",
    "top_p",
    "user",
    "verbosity",
    "web_search_options",
];

/// What reading a request into the canonical form may pass over: the gateway reads it itself, or it describes an earlier
/// answer and means nothing to whom it is sent.
pub(super) const READ_ELSEWHERE: &[&str] = &[
    "model",
    "stream",
    "stream_options",
    "messages.annotations",
    "messages.tool_calls.type",
    "messages.tool_calls.index",
];

/// Fields that are carried by name.
pub const PARAMETERS: Names = &[
    ("temperature", Parameter::Temperature),
    ("top_p", Parameter::TopP),
    ("top_k", Parameter::TopK),
    ("presence_penalty", Parameter::PresencePenalty),
    ("frequency_penalty", Parameter::FrequencyPenalty),
    ("seed", Parameter::Seed),
    ("logit_bias", Parameter::LogitBias),
    ("logprobs", Parameter::Logprobs),
    ("top_logprobs", Parameter::TopLogprobs),
    ("n", Parameter::Choices),
    ("user", Parameter::User),
    ("safety_identifier", Parameter::SafetyIdentifier),
    ("prompt_cache_key", Parameter::PromptCacheKey),
    ("prompt_cache_options", Parameter::PromptCacheOptions),
    ("prompt_cache_retention", Parameter::PromptCacheRetention),
    ("metadata", Parameter::Metadata),
    ("moderation", Parameter::Moderation),
    ("service_tier", Parameter::ServiceTier),
    ("verbosity", Parameter::Verbosity),
    ("modalities", Parameter::Modalities),
    ("audio", Parameter::AudioOutput),
    ("prediction", Parameter::Prediction),
    ("web_search_options", Parameter::WebSearchOptions),
];

/// Tokens as answers state them. Ill-typed details are ignored: they must not fail an answer.
#[must_use]
pub fn read_usage(usage: &Members<'_>) -> Option<TokenUsage> {
    let input = usage.any_count("prompt_tokens").or_else(|| usage.any_count("input_tokens"))?;
    let prompt = usage.any_object("prompt_tokens_details");
    let completion = usage.any_object("completion_tokens_details");
    let first = |counts: [Option<u64>; 5]| counts.into_iter().flatten().next().unwrap_or_default();
    // Beside the details: DeepSeek, Moonshot and Together, Mistral, those that resell Anthropic's models.
    let cache_read = first([
        prompt.any_count("cached_tokens"),
        usage.any_count("prompt_cache_hit_tokens"),
        usage.any_count("cached_tokens"),
        usage.any_count("num_cached_tokens"),
        usage.any_count("cache_read_input_tokens"),
    ]);
    // OpenRouter, Alibaba, LiteLLM, those that resell Anthropic's models.
    let cache_write = first([
        prompt.any_count("cache_write_tokens"),
        prompt.any_count("cache_creation_input_tokens"),
        prompt.any_count("cache_creation_tokens"),
        usage.any_count("cache_creation_input_tokens"),
        None,
    ]);
    let hour = prompt.any_object("cache_creation").any_count("ephemeral_1h_input_tokens");
    let hour = hour.or_else(|| usage.any_object("cache_creation").any_count("ephemeral_1h_input_tokens"));
    let reasoning = completion.any_count("reasoning_tokens").or_else(|| usage.any_count("reasoning_tokens"));
    let reasoning = reasoning.unwrap_or_default();
    let stated = usage.any_count("completion_tokens").or_else(|| usage.any_count("output_tokens")).unwrap_or_default();
    // xAI counts reasoning beside the completion; its total tells.
    let total = usage.any_count("total_tokens").unwrap_or_default();
    // Perplexity counts it beside the completion, too, and what it read elsewhere beside the prompt.
    let cited = usage.any_count("citation_tokens");
    let is_beside = cited.is_some()
        || reasoning > 0 && Some(total) == input.checked_add(stated).and_then(|sum| sum.checked_add(reasoning));
    Some(TokenUsage {
        input: input.saturating_add(cited.unwrap_or_default()),
        output: if is_beside { stated.saturating_add(reasoning) } else { stated },
        cache_read,
        cache_write,
        cache_write_1h: hour.unwrap_or_default().min(cache_write),
        audio_input: prompt.any_count("audio_tokens").unwrap_or_default(),
        reasoning,
        audio_output: completion.any_count("audio_tokens").unwrap_or_default(),
        terms: searched(usage),
        ..TokenUsage::default()
    })
}

/// Searches for an answer, and how much they read: Perplexity.
fn searched(usage: &Members<'_>) -> Terms {
    let size = usage.any_text("search_context_size").and_then(|word| SearchSize::of(&word));
    let searches = usage.any_count("num_search_queries").unwrap_or_else(|| u64::from(size.is_some()));
    Terms { searches, search_size: size, ..Terms::default() }
}

/// Usage as a member of something else.
pub(super) fn usage_in(holder: &Node<'_>) -> Option<TokenUsage> {
    read_usage(&holder.object().ok()?.get("usage")?.object().ok()?)
}

/// Writes tokens in this wire's convention: input counts cached tokens.
pub fn write_usage(out: &mut Out<'_>, usage: &TokenUsage) {
    out.number("prompt_tokens", usage.input).number("completion_tokens", usage.output);
    out.number("total_tokens", usage.input.saturating_add(usage.output));
    out.object("prompt_tokens_details", |details| {
        details.number("cached_tokens", usage.cache_read).number("audio_tokens", usage.audio_input);
        if usage.cache_write > 0 {
            details.number("cache_write_tokens", usage.cache_write);
        }
    });
    out.object("completion_tokens_details", |details| {
        details.number("reasoning_tokens", usage.reasoning).number("audio_tokens", usage.audio_output);
        details.number("accepted_prediction_tokens", 0).number("rejected_prediction_tokens", 0);
    });
}

/// Why an answer ended, in the words of this wire and of hosts that have others.
#[must_use]
pub fn read_finish(word: &str) -> Finish {
    match word.to_ascii_lowercase().as_str() {
        "stop" | "eos" | "eos_token" | "end_turn" | "complete" | "completed" | "done" => Finish::Stop,
        "stop_sequence" => Finish::StopSequence(None),
        "length" | "max_tokens" | "model_length" | "max_output_tokens" | "incomplete" => Finish::Length,
        // Cut off by the host (DeepSeek, vLLM): what there is of the answer stands, and is not all of it.
        "insufficient_system_resource" | "abort" | "aborted" | "cancelled" => Finish::Length,
        "model_context_window_exceeded" => Finish::ContextWindow,
        "tool_calls" | "tool_call" | "function_call" | "tool_use" => Finish::ToolCalls,
        "content_filter" | "content_filtered" | "sensitive" | "safety" => Finish::ContentFilter,
        "refusal" => Finish::Refusal,
        _ => Finish::Other(word.to_owned()),
    }
}

/// Whether a finish reason says that the host failed.
pub(super) fn is_failure(word: &str) -> bool {
    matches!(word.to_ascii_lowercase().as_str(), "error" | "network_error")
}

/// The word for why an answer ended.
#[must_use]
pub fn write_finish(finish: Option<&Finish>, calls_tools: bool) -> &str {
    match finish {
        None if calls_tools => "tool_calls",
        None | Some(Finish::Stop | Finish::StopSequence(_) | Finish::Pause) => "stop",
        Some(Finish::Length | Finish::ContextWindow) => "length",
        Some(Finish::ToolCalls) => "tool_calls",
        Some(Finish::ContentFilter | Finish::Refusal) => "content_filter",
        Some(Finish::Other(word)) => word,
    }
}

/// A piece of content given as a list.
pub(super) enum Piece {
    Text(String),
    Thought(String),
    Image(String),
    Citation(Json),
}

/// Reads a piece of content: `text`, `thinking` (Mistral), `image_url`.
pub(super) fn read_piece(piece: &Node<'_>) -> Option<Piece> {
    let fields = piece.object().ok()?;
    match fields.any_text("type").as_deref() {
        Some("thinking") => {
            let thinking = fields.get("thinking")?;
            if thinking.is_text() {
                return thinking.read().map(Piece::Thought);
            }
            let pieces = thinking.list().ok()?;
            let texts = pieces.iter().filter_map(|piece| piece.object().ok()?.any_text("text"));
            Some(Piece::Thought(texts.collect()))
        }
        Some("image_url") => image_url(piece).map(Piece::Image),
        // Mistral's own searches; its `reference` parts point to documents of the request and have no place elsewhere.
        Some("tool_reference") => {
            let title = fields.any_text("title");
            Some(Piece::Citation(citation(&fields.any_text("url")?, title.as_deref())?))
        }
        _ => fields.any_text("text").map(Piece::Text),
    }
}

/// The URL of `{"image_url": {"url": …}}`.
pub(super) fn image_url(image: &Node<'_>) -> Option<String> {
    let image = image.object().ok()?.get("image_url")?;
    if image.is_text() { image.read() } else { image.object().ok()?.any_text("url") }
}

/// Arguments as text; hosts that answer them as an object have them as they were written.
pub(super) fn arguments(function: &Members<'_>) -> String {
    match function.get("arguments") {
        Some(arguments) if arguments.is_text() => arguments.read().unwrap_or_default(),
        Some(arguments) => arguments.raw().to_owned(),
        None => String::new(),
    }
}

/// Most citations that are carried.
pub(super) const MOST_CITATIONS: usize = 1_000;

/// Citations beside the choices, as annotations: `search_results` with titles, else `citations` (Perplexity, xAI).
pub(super) fn citations(answer: &Members<'_>) -> Vec<Json> {
    let results = answer.any_list("search_results");
    let list = if results.is_empty() { answer.any_list("citations") } else { results };
    let read = |item: &Node<'_>| match item.read::<String>() {
        Some(url) => citation(&url, None),
        None => {
            let fields = item.object().ok()?;
            citation(&fields.any_text("url")?, fields.any_text("title").as_deref())
        }
    };
    list.iter().take(MOST_CITATIONS).filter_map(read).collect()
}

/// A citation of the whole answer, in the shape of Responses.
fn citation(url: &str, title: Option<&str>) -> Option<Json> {
    Json::parse(out::object(|out| {
        out.text("type", "url_citation").text("url", url).text("title", title.unwrap_or(url));
        out.number("start_index", 0).number("end_index", 0);
    }))
}

/// `{"type":"url_citation","url_citation":{…}}` in the flat shape of Responses; what is flat already stays so.
pub(super) fn read_annotation(annotation: &Node<'_>) -> Option<Json> {
    let fields = annotation.object().ok()?;
    let kind = fields.any_text("type")?;
    let Some(inner) = fields.get(&kind).and_then(|inner| inner.object().ok()) else {
        return fields.has("url").then(|| annotation.json());
    };
    let flat = out::object(|out| {
        out.text("type", &kind);
        for (name, value) in inner.iter() {
            out.raw(name, value.raw());
        }
    });
    Json::parse(flat)
}

/// An id for a call that has none: of the answer's id, so that ids of several answers differ.
pub(super) fn made_call_id(answer_id: &str, number: u32) -> String {
    let tail: String = answer_id.chars().rev().filter(char::is_ascii_alphanumeric).take(16).collect();
    let tail: String = tail.chars().rev().collect();
    if tail.is_empty() { format!("call_{number}") } else { format!("call_{tail}_{number}") }
}

/// An annotation in the nested shape of this wire; kinds that it does not know are left out.
pub(super) fn write_annotation(annotation: &Json) -> Option<String> {
    let fields = Node::root(annotation.as_str()).object().ok()?;
    let kind = fields.any_text("type").filter(|kind| kind == "url_citation")?;
    Some(out::object(|out| {
        out.text("type", &kind);
        out.object(&kind, |out| {
            for (name, value) in fields.iter().filter(|(name, _)| *name != "type") {
                out.raw(name, value.raw());
            }
        });
    }))
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
