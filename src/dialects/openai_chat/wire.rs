//! Shapes on the wire that are read or written field by field. What passes through raw has no shape here.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

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
    let input = usage.any_count("prompt_tokens")?;
    let prompt = usage.any_object("prompt_tokens_details");
    let completion = usage.any_object("completion_tokens_details");
    // DeepSeek and Moonshot state cached tokens beside the details.
    let cache_read = prompt
        .any_count("cached_tokens")
        .or_else(|| usage.any_count("prompt_cache_hit_tokens"))
        .or_else(|| usage.any_count("cached_tokens"));
    Some(TokenUsage {
        input,
        output: usage.any_count("completion_tokens").unwrap_or_default(),
        cache_read: cache_read.unwrap_or_default(),
        cache_write: prompt.any_count("cache_write_tokens").unwrap_or_default(),
        audio_input: prompt.any_count("audio_tokens").unwrap_or_default(),
        reasoning: completion.any_count("reasoning_tokens").unwrap_or_default(),
        audio_output: completion.any_count("audio_tokens").unwrap_or_default(),
        ..TokenUsage::default()
    })
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

/// Why an answer ended.
#[must_use]
pub fn read_finish(word: &str) -> Finish {
    match word {
        "stop" | "eos" | "end_turn" | "STOP" => Finish::Stop,
        "length" | "max_tokens" | "model_length" => Finish::Length,
        "tool_calls" | "function_call" | "tool_use" => Finish::ToolCalls,
        "content_filter" | "sensitive" => Finish::ContentFilter,
        other => Finish::Other(other.to_owned()),
    }
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

/// `{"type":"url_citation","url_citation":{…}}` in the flat shape of Responses.
pub(super) fn read_annotation(annotation: &Node<'_>) -> Option<Json> {
    let fields = annotation.object().ok()?;
    let kind = fields.any_text("type")?;
    let inner = fields.get(&kind)?.object().ok()?;
    let flat = out::object(|out| {
        out.text("type", &kind);
        for (name, value) in inner.iter() {
            out.raw(name, value.raw());
        }
    });
    Json::parse(flat)
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
