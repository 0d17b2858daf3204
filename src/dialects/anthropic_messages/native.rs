//! The native lane of Messages: what is read of the raw bytes, and what is spliced into them: `model`, both ways.

use std::borrow::Cow;

use bytes::{Bytes, BytesMut};
use serde::Deserialize;

use super::fault::write_fault_event;
use super::stream::EventWriter;
use super::wire::{self, REQUEST_FIELDS};
use super::{read, write};
use crate::canonical::text::{Effort, ReasoningKind, Reply, Request};
use crate::canonical::{TokenUsage, Wire};
use crate::dialects::native::{NativeReply, NativeStream, Progress, ReplyError, Signal, StreamError};
use crate::dialects::node::{Members, Node};
use crate::dialects::openai_chat::fault::read_error_value;
use crate::dialects::raw::{RawObject, Splice, json_string, malformed};
use crate::dialects::{Addressee, Asked, Encode, Frame, Written, dropped};
use crate::fault::{Fault, Outcome};

/// A client's request, scanned.
#[derive(Debug, Clone)]
pub struct NativeRequest {
    raw: RawObject,
    model: String,
    is_stream: bool,
    effort: Option<String>,
    /// Whether a turn is the developer's, which is a role that providers of this wire do not know.
    has_developer: bool,
    /// The word of `output_config`.
    word: Option<String>,
    step: Option<Effort>,
    is_off: bool,
}

/// Scans a client's request.
///
/// # Errors
/// `InvalidJson`, or `BadRequest` that names the field.
pub fn read_request(body: Bytes) -> Outcome<NativeRequest> {
    let raw = RawObject::scan_request(body, REQUEST_FIELDS)?;
    let field = |key: &'static str| -> Option<Node<'_>> {
        let text = std::str::from_utf8(raw.get(key)?).ok()?;
        (text != "null").then(|| Node::at(text, key))
    };
    let model = field("model").ok_or_else(|| Fault::invalid("model", "is required"))?.text()?;
    if model.is_empty() {
        return Err(Fault::invalid("model", "must not be empty"));
    }
    let messages = field("messages").ok_or_else(|| Fault::invalid("messages", "is required"))?;
    if !messages.is_list() {
        return Err(messages.refuse("must be an array"));
    }
    if let Some(most) = field("max_tokens") {
        most.whole()?;
    }
    let is_stream = field("stream").map(|stream| stream.boolean()).transpose()?.unwrap_or_default();
    let config = field("output_config").and_then(|config| config.object().ok());
    let word = config.and_then(|config| config.any_text("effort"));
    // Thinking that was asked for by number takes as long as that of high effort.
    let thinking = field("thinking").and_then(|thinking| thinking.object().ok());
    let thinks = thinking.as_ref().and_then(|thinking| thinking.any_text("type"));
    let is_off = thinks.as_deref() == Some("disabled");
    let tokens = thinking.and_then(|thinking| thinking.any_count("budget_tokens"));
    let step = if is_off && word.is_none() { Some(Effort::None) } else { tokens.map(Effort::of_budget) };
    let step = word.as_deref().and_then(Effort::parse).or(step);
    let effort = word.clone().or_else(|| thinks.filter(|_| !is_off).map(|_| "high".to_owned()));
    let has_developer = has_developer(&messages, raw.bytes())?;
    Ok(NativeRequest { model, is_stream, effort, word, step, is_off, has_developer, raw })
}

impl NativeRequest {
    /// A step that the model does not have becomes one that it has; of a model that cannot be steered it is left out.
    fn fit_thinking(
        &self,
        splice: &mut Splice<'_>,
        to: &Addressee<'_>,
        lost: &mut Vec<Cow<'static, str>>,
    ) -> Outcome<()> {
        let is_known = to.max_output_tokens.is_some();
        let cannot_be_steered =
            to.control.kind == Some(ReasoningKind::Fixed) || (to.control.kind.is_none() && is_known);
        // Thinking cannot be switched off: as little of it as there is.
        let has_no_switch = self.is_off && self.word.is_none() && to.control.settle(Effort::None) != Effort::None;
        let asked = self.word.as_deref().and_then(Effort::parse).or(has_no_switch.then_some(Effort::None));
        let Some(asked) = asked else { return Ok(()) };
        let settled = to.control.settle(asked);
        if settled == asked && !cannot_be_steered {
            return Ok(());
        }
        let stated = self.raw.get("output_config").filter(|config| *config != b"null").unwrap_or(b"{}");
        let config = RawObject::scan(Bytes::copy_from_slice(stated))
            .map_err(|_| Fault::invalid("output_config", "must be an object without repeated keys"))?;
        let mut inner = config.splice();
        if cannot_be_steered {
            inner.remove("effort");
            lost.push(dropped("reasoning_effort"));
        } else {
            inner.set("effort", json_string(settled.as_str()));
        }
        if has_no_switch {
            splice.remove("thinking");
        }
        match inner.finish().concat() {
            empty if empty == b"{}" => splice.remove("output_config"),
            config => splice.set("output_config", Bytes::from(config)),
        }
        Ok(())
    }
}

fn has_developer(messages: &Node<'_>, body: &[u8]) -> Outcome<bool> {
    // Most requests do not even have the word.
    if memchr::memmem::find(body, b"developer").is_none() {
        return Ok(false);
    }
    let role = |message: &Node<'_>| message.object().ok().and_then(|message| message.any_text("role"));
    Ok(messages.list()?.iter().any(|message| role(message).as_deref() == Some("developer")))
}

impl Asked for NativeRequest {
    fn wire(&self) -> Wire {
        Wire::Messages
    }

    fn model(&self) -> &str {
        &self.model
    }

    fn is_stream(&self) -> bool {
        self.is_stream
    }

    fn effort(&self) -> Option<&str> {
        self.effort.as_deref()
    }

    fn step(&self) -> Option<Effort> {
        self.step
    }

    fn states_effort(&self) -> bool {
        self.word.is_some()
    }

    fn bytes(&self) -> &Bytes {
        self.raw.bytes()
    }

    fn for_upstream(&self, to: &Addressee<'_>) -> Outcome<Written> {
        if self.has_developer {
            return write::write_request(&self.read()?, to);
        }
        let mut splice = self.raw.splice();
        splice.set("model", json_string(to.model));
        let mut lost = Vec::new();
        self.fit_thinking(&mut splice, to, &mut lost)?;
        Ok(Written { body: splice.finish(), dropped: lost })
    }

    fn native_reply(&self, body: Bytes) -> Result<NativeReply, ReplyError> {
        let raw = RawObject::scan(body).map_err(|error| ReplyError::Malformed(malformed(&error)))?;
        let root = Node::root(raw.text()).object().map_err(|_| ReplyError::Malformed("it is not a JSON object"))?;
        if let Some(error) = root.get("error") {
            return Err(ReplyError::Provider(Box::new(read_error_value(error.raw().as_bytes()))));
        }
        if !root.get("content").is_some_and(|content| content.is_list()) {
            return Err(ReplyError::Malformed("there is no `content`"));
        }
        let usage = root.get("usage").and_then(|usage| usage.object().ok()).map(|usage| {
            let mut known = TokenUsage::default();
            wire::read_usage(&usage, &mut known);
            known
        });
        let finish_reason = root.any_text("stop_reason");
        let mut splice = raw.splice();
        splice.set("model", json_string(&self.model));
        Ok(NativeReply { body: splice.finish(), usage, finish_reason, media_type: None })
    }

    fn native_stream(&self) -> Box<dyn NativeStream> {
        Box::new(MessageStream {
            model_json: json_string(&self.model),
            usage: None,
            finish_reason: None,
            is_done: false,
            output_bytes: 0,
            progress: Progress::default(),
        })
    }

    fn read(&self) -> Outcome<Request> {
        read::read_request(self.raw.text())
    }

    fn write_reply(&self, reply: &Reply, frame: &Frame) -> Bytes {
        write::write_reply(reply, frame)
    }

    fn encoder(&self, frame: Frame) -> Box<dyn Encode> {
        Box::new(EventWriter::new(frame))
    }
}

/// Watches a streamed answer and splices the public model into its first event.
#[derive(Debug)]
struct MessageStream {
    model_json: Bytes,
    usage: Option<TokenUsage>,
    finish_reason: Option<String>,
    is_done: bool,
    output_bytes: u64,
    progress: Progress,
}

/// The parts of an event that are watched.
#[derive(Deserialize)]
struct Watched<'a> {
    #[serde(borrow, rename = "type")]
    kind: std::borrow::Cow<'a, str>,
}

impl MessageStream {
    fn note_usage(&mut self, holder: &Members<'_>) {
        if let Some(usage) = holder.get("usage").and_then(|usage| usage.object().ok()) {
            wire::read_usage(&usage, self.usage.get_or_insert_default());
        }
    }

    fn note_progress(&mut self, is_reasoning: bool) {
        self.progress.has_reasoned |= is_reasoning;
        self.progress.has_answered |= !is_reasoning;
    }

    fn watch(&mut self, kind: &str, event: &Members<'_>) -> Signal {
        match kind {
            "message_start" => {
                self.note_usage(&event.any_object("message"));
                Signal::Nothing
            }
            "content_block_start" => {
                let block = event.any_object("content_block");
                let is_silent = matches!(block.any_text("type").as_deref(), Some("text" | "thinking"));
                let said = block.any_text("text").or_else(|| block.any_text("thinking")).unwrap_or_default();
                if is_silent && said.is_empty() {
                    return Signal::Nothing;
                }
                self.note_progress(matches!(block.any_text("type").as_deref(), Some("thinking" | "redacted_thinking")));
                Signal::Output
            }
            "content_block_delta" => {
                let delta = event.any_object("delta");
                let text =
                    ["text", "thinking", "partial_json", "signature"].iter().find_map(|name| delta.any_text(name));
                self.output_bytes += text.map_or(0, |text| text.len() as u64);
                self.note_progress(delta.get("thinking").is_some() || delta.get("signature").is_some());
                Signal::Output
            }
            "message_delta" => {
                self.note_usage(event);
                match event.any_object("delta").any_text("stop_reason") {
                    Some(reason) => {
                        self.finish_reason = Some(reason);
                        Signal::Finished
                    }
                    None => Signal::Nothing,
                }
            }
            "message_stop" => {
                self.is_done = true;
                Signal::Done
            }
            _ => Signal::Nothing,
        }
    }
}

impl NativeStream for MessageStream {
    fn relay(&mut self, event: Option<&[u8]>, data: &Bytes, out: &mut BytesMut) -> Result<Signal, StreamError> {
        let raw = RawObject::scan(data.clone()).map_err(|error| StreamError::Malformed(malformed(&error)))?;
        let watched: Watched<'_> =
            serde_json::from_slice(data).map_err(|_| StreamError::Malformed("it has no type"))?;
        let root = Node::root(raw.text()).object().map_err(|_| StreamError::Malformed("it is not a JSON object"))?;
        if watched.kind == "error" {
            let error = root.get("error").map(|error| read_error_value(error.raw().as_bytes()));
            return Err(StreamError::Provider(Box::new(error.unwrap_or_default())));
        }
        let signal = self.watch(&watched.kind, &root);
        // Our own last event says the same; it is written when the answer is settled.
        if signal == Signal::Done {
            return Ok(signal);
        }
        let mut splice = raw.splice();
        if watched.kind == "message_start"
            && let Some(message) = raw.get("message")
            && let Ok(message) = RawObject::scan(Bytes::copy_from_slice(message))
        {
            let mut inner = message.splice();
            inner.replace("model", self.model_json.clone());
            splice.set("message", inner.finish().concat());
        }
        out.extend_from_slice(b"event: ");
        out.extend_from_slice(event.unwrap_or(watched.kind.as_bytes()));
        out.extend_from_slice(b"\ndata: ");
        let start = out.len();
        splice.finish().iter().for_each(|piece| out.extend_from_slice(piece));
        // An event of several `data` lines is joined by line feeds, which are white space in JSON and would end ours.
        out.iter_mut().skip(start).filter(|byte| **byte == b'\n').for_each(|byte| *byte = b' ');
        out.extend_from_slice(b"\n\n");
        Ok(signal)
    }

    fn write_closing(&mut self, out: &mut BytesMut) {
        out.extend_from_slice(b"event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n");
    }

    fn write_failure(&mut self, fault: &Fault, out: &mut BytesMut) {
        out.extend_from_slice(&write_fault_event(fault));
    }

    fn is_finished(&self) -> bool {
        self.finish_reason.is_some()
    }

    fn is_complete(&self) -> bool {
        self.finish_reason.is_some()
    }

    fn usage(&self) -> Option<TokenUsage> {
        self.usage
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
