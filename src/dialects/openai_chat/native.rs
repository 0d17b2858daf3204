//! The native lane of chat completions: what is read of the raw bytes, and what is spliced into them.
//!
//! Up: `model`, `stream_options.include_usage` (usage is always asked for), `store` (nothing is kept at the provider).
//! Down: `model`, and the usage event when the client did not ask for it. All else passes byte for byte.

use bytes::{Bytes, BytesMut};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::fault::{read_error_value, stated_error, write_fault_event};
use super::fit::fit;
use super::stream::ChunkWriter;
use super::wire::{self, REQUEST_FIELDS, WatchedChoice, WatchedChunk, WatchedDelta};
use super::{read, write};
use crate::canonical::text::{Reply, Request};
use crate::canonical::{TokenUsage, Wire};
use crate::dialects::native::{NativeReply, NativeStream, Progress, ProviderError, ReplyError, Signal, StreamError};
use crate::dialects::node::Node;
use crate::dialects::raw::{RawObject, json_string, malformed};
use crate::dialects::{Addressee, Asked, Encode, Frame, Written, dropped};
use crate::fault::{Fault, Outcome};

/// A client's request, scanned.
#[derive(Debug, Clone)]
pub struct NativeRequest {
    raw: RawObject,
    model: String,
    is_stream: bool,
    wants_usage: bool,
    choices: u32,
    reasoning_effort: Option<String>,
}

/// Scans a client's request.
///
/// # Errors
/// `InvalidJson`, or `BadRequest` that names the field.
pub fn read_request(body: Bytes) -> Outcome<NativeRequest> {
    let raw = RawObject::scan_request(body, REQUEST_FIELDS)?;
    let model: String = read_field(&raw, "model", "a string")?.ok_or_else(|| Fault::invalid("model", "is required"))?;
    if model.is_empty() {
        return Err(Fault::invalid("model", "must not be empty"));
    }
    let is_stream = read_field::<bool>(&raw, "stream", "true or false")?.unwrap_or(false);
    match raw.get("messages").map(first_byte) {
        None | Some(b'n') => return Err(Fault::invalid("messages", "is required")),
        Some(b'[') => {}
        Some(_) => return Err(Fault::invalid("messages", "must be an array")),
    }
    let wants_usage = match raw.get("stream_options").map(first_byte) {
        None | Some(b'n') => false,
        Some(b'{') => stream_options(&raw)?,
        Some(_) => return Err(Fault::invalid("stream_options", "must be an object")),
    };
    if wants_usage && !is_stream {
        return Err(Fault::invalid("stream_options", "is only allowed when `stream` is true"));
    }
    // Only a hint for deadlines here: the provider judges its value.
    let reasoning_effort = raw.read::<String>("reasoning_effort").ok().flatten();
    // Likewise a hint: how many answers have to end before the stream has.
    let choices = raw.read::<u32>("n").ok().flatten().unwrap_or(1).max(1);
    Ok(NativeRequest { raw, model, is_stream, wants_usage, choices, reasoning_effort })
}

impl Asked for NativeRequest {
    fn wire(&self) -> Wire {
        Wire::Chat
    }

    fn model(&self) -> &str {
        &self.model
    }

    fn is_stream(&self) -> bool {
        self.is_stream
    }

    fn effort(&self) -> Option<&str> {
        self.reasoning_effort.as_deref()
    }

    fn for_upstream(&self, to: &Addressee<'_>) -> Outcome<Written> {
        let fitting = fit(&self.raw, to)?;
        let mut lost = fitting.lost;
        let mut splice = self.raw.splice();
        splice.set("model", json_string(to.model));
        for name in &fitting.removed {
            splice.remove(name);
        }
        for (name, json) in fitting.set {
            splice.set(name, json);
        }
        if !to.quirks.refuses("store") {
            splice.replace("store", Bytes::from_static(b"false"));
        }
        if self.is_stream && to.quirks.takes_stream_options {
            splice.set("stream_options", self.upstream_stream_options()?);
        }
        lost.extend((self.raw.get("store") == Some(b"true")).then(|| dropped("store")));
        Ok(Written { body: splice.finish(), dropped: lost })
    }

    fn native_reply(&self, body: Bytes) -> Result<NativeReply, ReplyError> {
        read_reply(body, &self.model)
    }

    fn native_stream(&self) -> Box<dyn NativeStream> {
        Box::new(ChatStream::new(self))
    }

    fn read(&self) -> Outcome<Request> {
        read::read_request(self.raw.text())
    }

    fn write_reply(&self, reply: &Reply, frame: &Frame) -> Bytes {
        write::write_reply(reply, frame)
    }

    fn encoder(&self, frame: Frame) -> Box<dyn Encode> {
        Box::new(ChunkWriter::new(frame, self.wants_usage))
    }

    fn bytes(&self) -> &Bytes {
        self.raw.bytes()
    }
}

impl NativeRequest {
    fn upstream_stream_options(&self) -> Outcome<Bytes> {
        const ONLY_USAGE: Bytes = Bytes::from_static(b"{\"include_usage\":true}");
        let Some(stated) = self.raw.get("stream_options").filter(|options| first_byte(options) == b'{') else {
            return Ok(ONLY_USAGE);
        };
        let options = scan_options(stated)?;
        let mut splice = options.splice();
        splice.set("include_usage", Bytes::from_static(b"true"));
        Ok(splice.finish().concat().into())
    }
}

fn scan_options(stated: &[u8]) -> Outcome<RawObject> {
    RawObject::scan(Bytes::copy_from_slice(stated))
        .map_err(|_| Fault::invalid("stream_options", "must be an object without duplicate keys"))
}

fn stream_options(raw: &RawObject) -> Outcome<bool> {
    let options = scan_options(raw.get("stream_options").unwrap_or_default())?;
    options
        .read::<bool>("include_usage")
        .map(Option::unwrap_or_default)
        .map_err(|_| Fault::invalid("stream_options.include_usage", "must be true or false"))
}

fn read_field<'a, T: Deserialize<'a>>(raw: &'a RawObject, key: &'static str, allowed: &str) -> Outcome<Option<T>> {
    raw.read(key).map_err(|_| {
        let sent: String = String::from_utf8_lossy(raw.get(key).unwrap_or_default()).chars().take(40).collect();
        Fault::invalid(key, format!("must be {allowed}, is {sent}"))
    })
}

fn first_byte(json: &[u8]) -> u8 {
    json.first().copied().unwrap_or_default()
}

/// Reads a whole answer and splices the public model in.
///
/// # Errors
/// [`ReplyError`].
pub fn read_reply(body: Bytes, public_model: &str) -> Result<NativeReply, ReplyError> {
    let raw = RawObject::scan(body).map_err(|error| ReplyError::Malformed(malformed(&error)))?;
    if let Some(error) = error_in(&raw) {
        return Err(ReplyError::Provider(Box::new(error)));
    }
    let choices: Option<Vec<ReplyChoice<'_>>> =
        raw.read("choices").map_err(|_| ReplyError::Malformed("`choices` is not a list of choices"))?;
    let choices = choices.filter(|choices| !choices.is_empty());
    let choices = choices.ok_or(ReplyError::Malformed("there are no `choices`"))?;
    if let Some(error) = choices.iter().find_map(|choice| choice.error) {
        return Err(ReplyError::Provider(Box::new(read_error_value(error.get().as_bytes()))));
    }
    let finish_reason = choices.iter().find_map(|choice| choice.finish_reason.as_deref()).map(str::to_owned);
    let usage = read_usage(&raw);
    let mut splice = raw.splice();
    splice.set("model", json_string(public_model));
    Ok(NativeReply { body: splice.finish(), usage, finish_reason, media_type: None })
}

#[derive(Deserialize)]
struct ReplyChoice<'a> {
    #[serde(borrow, default)]
    finish_reason: Option<std::borrow::Cow<'a, str>>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
}

/// The error that an answer states instead of being one.
fn error_in(raw: &RawObject) -> Option<ProviderError> {
    // What has choices is an answer; only a named error counts then.
    let is_answer = raw.get("choices").is_some_and(|choices| choices != b"null");
    if is_answer && raw.get("error").is_none() {
        return None;
    }
    stated_error(&Node::root(raw.text()).object().ok()?)
}

fn read_usage(raw: &RawObject) -> Option<TokenUsage> {
    let read = |json: &[u8]| {
        let usage = std::str::from_utf8(json).ok()?;
        wire::read_usage(&Node::root(usage).object().ok()?)
    };
    // Beside the answer, under a name of Groq's, or beside a choice (Moonshot).
    let elsewhere = |key: &str, inner: fn(&Node<'_>) -> Option<TokenUsage>| {
        inner(&Node::root(std::str::from_utf8(raw.get(key)?).ok()?))
    };
    let usage = raw
        .get("usage")
        .and_then(read)
        .or_else(|| elsewhere("x_groq", wire::usage_in))
        .or_else(|| elsewhere("choices", |choices| choices.list().ok()?.iter().find_map(wire::usage_in)))?;
    Some(usage.served_as(service(raw).as_deref()))
}

/// The word for how it was served.
fn service(raw: &RawObject) -> Option<String> {
    raw.read("service_tier").ok().flatten()
}

/// Watches a streamed answer and splices the public model into its events.
#[derive(Debug)]
pub struct ChatStream {
    model_json: Bytes,
    wants_usage: bool,
    choices: u32,
    /// Bit per choice index that was seen, and that has finished.
    seen: u128,
    finished: u128,
    finish_reason: Option<String>,
    usage: Option<TokenUsage>,
    service: Option<String>,
    output_bytes: u64,
    progress: Progress,
}

impl ChatStream {
    /// Watches the answer to `request`.
    #[must_use]
    pub fn new(request: &NativeRequest) -> Self {
        Self {
            model_json: json_string(&request.model),
            wants_usage: request.wants_usage,
            choices: request.choices,
            seen: 0,
            finished: 0,
            finish_reason: None,
            usage: None,
            service: None,
            output_bytes: 0,
            progress: Progress::default(),
        }
    }

    fn watch(&mut self, choice: &WatchedChoice<'_>) -> Signal {
        let bit = 1_u128.checked_shl(choice.index.unwrap_or_default()).unwrap_or_default();
        self.seen |= bit;
        let bytes = choice.delta.as_ref().map_or(0, output_bytes);
        self.output_bytes += bytes;
        let reasoning = choice.delta.as_ref().map_or(0, reasoning_bytes);
        self.progress.has_reasoned |= reasoning > 0;
        self.progress.has_answered |= bytes > reasoning;
        if let Some(reason) = choice.finish_reason.as_deref().filter(|reason| !reason.is_empty()) {
            self.finished |= bit;
            self.finish_reason = Some(reason.to_owned());
            return Signal::Finished;
        }
        if bytes > 0 { Signal::Output } else { Signal::Nothing }
    }
}

impl NativeStream for ChatStream {
    fn relay(&mut self, _event: Option<&[u8]>, data: &Bytes, out: &mut BytesMut) -> Result<Signal, StreamError> {
        if data.as_ref() == b"[DONE]" {
            return Ok(Signal::Done);
        }
        let raw = RawObject::scan(data.clone()).map_err(|error| StreamError::Malformed(malformed(&error)))?;
        if let Some(error) = error_in(&raw) {
            return Err(StreamError::Provider(Box::new(error)));
        }
        let chunk: WatchedChunk<'_> = WatchedChunk {
            choices: raw.read("choices").map_err(|_| StreamError::Malformed("`choices` is malformed"))?,
        };
        let choices = chunk.choices.unwrap_or_default();
        let mut signal = Signal::Nothing;
        for choice in &choices {
            if choice.finish_reason.as_deref() == Some("error") {
                return Err(StreamError::Provider(Box::default()));
            }
            signal = signal.max(self.watch(choice));
        }
        // A finish of one of several choices is output, not the end.
        if signal == Signal::Finished && !self.is_finished() {
            signal = Signal::Output;
        }
        let usage = read_usage(&raw);
        let has_usage = usage.is_some();
        self.usage = usage.or(self.usage);
        // Some say it only in chunks before that with usage.
        self.service = service(&raw).or_else(|| self.service.take());
        if has_usage && choices.is_empty() && !self.wants_usage {
            return Ok(signal);
        }
        let mut splice = raw.splice();
        splice.replace("model", self.model_json.clone());
        if !self.wants_usage {
            splice.remove("usage");
        }
        out.extend_from_slice(b"data: ");
        let start = out.len();
        splice.finish().iter().for_each(|piece| out.extend_from_slice(piece));
        // An event of several `data` lines is joined by line feeds, which are white space in JSON and would end ours.
        if data.contains(&b'\n') {
            out.iter_mut().skip(start).filter(|byte| **byte == b'\n').for_each(|byte| *byte = b' ');
        }
        out.extend_from_slice(b"\n\n");
        Ok(signal)
    }

    fn write_closing(&mut self, out: &mut BytesMut) {
        out.extend_from_slice(b"data: [DONE]\n\n");
    }

    fn write_failure(&mut self, fault: &Fault, out: &mut BytesMut) {
        out.extend_from_slice(&write_fault_event(fault));
    }

    fn is_finished(&self) -> bool {
        // Choices may come one after the other: the first to end is not the end of all.
        self.is_complete() && self.finished.count_ones() >= self.choices
    }

    fn is_complete(&self) -> bool {
        self.finished != 0 && self.finished == self.seen
    }

    fn usage(&self) -> Option<TokenUsage> {
        self.usage.map(|usage| usage.served_as(self.service.as_deref()))
    }

    fn finish_reason(&self) -> Option<&str> {
        self.finish_reason.as_deref()
    }

    fn progress(&self) -> Progress {
        self.progress
    }

    fn output_bytes(&self) -> u64 {
        self.output_bytes
    }
}

/// Bytes of everything in a delta that a user or an application would see.
fn output_bytes(delta: &WatchedDelta<'_>) -> u64 {
    let parts = [delta.content, delta.refusal, delta.tool_calls, delta.function_call, delta.audio, delta.images];
    weigh(&parts) + reasoning_bytes(delta)
}

/// Those of them that are reasoning.
fn reasoning_bytes(delta: &WatchedDelta<'_>) -> u64 {
    weigh(&[delta.reasoning_content, delta.reasoning, delta.reasoning_details])
}

fn weigh(parts: &[Option<&serde_json::value::RawValue>]) -> u64 {
    parts.iter().flatten().map(|value| weight(value.get())).sum()
}

/// Length of a raw value, 0 for those that say nothing: `null`, `""`, `[]`, `{}`.
fn weight(json: &str) -> u64 {
    match json {
        "null" | "\"\"" | "[]" | "{}" => 0,
        json if json.starts_with('"') => json.len() as u64 - 2,
        json => json.len() as u64,
    }
}
