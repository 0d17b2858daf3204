//! The native lane of Responses: what is read of the raw bytes, and what is spliced into them.
//!
//! Up: `model`, `store` (nothing is kept at the provider), `include` (so that reasoning can go on without being kept), a
//! step of reasoning that the model does not have, and `input` where it was completed here or brings tagged state. Down: `model` and `store` of the response, and `id` and
//! `previous_response_id` where responses are kept here. All else passes byte for byte.

use std::borrow::Cow;

use bytes::{Bytes, BytesMut};

use super::fault::{code_of, write_fault_event};
use super::read::{self, refuse_unsupported};
use super::stored::{self, Stored};
use super::stream::{EventWriter, read_failure};
use super::wire::{self, ENCRYPTED_REASONING, REQUEST_FIELDS};
use super::write::{self, Echo};
use crate::canonical::text::{Effort, Finish, ReasoningKind, Reply, Request};
use crate::canonical::{Json, TokenUsage, Wire};
use crate::dialects::native::{NativeReply, NativeStream, Progress, ProviderError, ReplyError, Signal, StreamError};
use crate::dialects::node::{Members, Node};
use crate::dialects::openai_chat::fault::read_error_value;
use crate::dialects::out::object;
use crate::dialects::raw::{RawObject, Splice, json_string, malformed};
use crate::dialects::{Addressee, Asked, Encode, Frame, Written, dropped, state};
use crate::fault::{Fault, Outcome};

/// A client's request, scanned.
#[derive(Debug, Clone)]
pub struct NativeRequest {
    raw: RawObject,
    model: String,
    is_stream: bool,
    effort: Option<String>,
    include: Vec<String>,
    wish: Wish,
    shown: Shown,
    /// Whether its input was completed here.
    is_resumed: bool,
}

/// What a request wants of stored responses.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Wish {
    /// Whether its answer is to be kept, where it says so.
    pub store: Option<bool>,
    /// The response it goes on from.
    pub previous: Option<String>,
    /// Items it refers to: their place in `input` and their ids.
    pub references: Vec<(usize, String)>,
}

/// What an answer says of how it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Shown {
    /// Its id, where it is ours to give.
    pub id: Option<String>,
    /// Whether it is kept.
    pub is_stored: bool,
    /// The response it went on from.
    pub previous: Option<String>,
}

impl Shown {
    /// Splices it and the public model into a response.
    fn splice(&self, splice: &mut Splice<'_>, model_json: &Bytes) {
        splice.set("model", model_json.clone());
        splice.set("store", Bytes::from_static(if self.is_stored { b"true" } else { b"false" }));
        if let Some(id) = &self.id {
            splice.set("id", json_string(id));
        }
        if let Some(previous) = &self.previous {
            splice.set("previous_response_id", json_string(previous));
        }
    }
}

/// Scans a client's request.
///
/// # Errors
/// `InvalidJson`, or `BadRequest` that names the field.
pub fn read_request(body: Bytes) -> Outcome<NativeRequest> {
    let raw = RawObject::scan_request(body, REQUEST_FIELDS)?;
    let root = Node::root(raw.text()).object()?;
    let model = root.need("model")?.text()?;
    if model.is_empty() {
        return Err(Fault::invalid("model", "must not be empty"));
    }
    let previous = root.text("previous_response_id")?;
    if !root.has("input") && !root.has("prompt") && previous.is_none() {
        return Err(Fault::invalid("input", "is required"));
    }
    refuse_unsupported(&root)?;
    let items = root.get("input").filter(Node::is_list).map(|input| input.list()).transpose()?.unwrap_or_default();
    let references = items.iter().enumerate().filter_map(|(place, item)| Some((place, stored::reference_of(item)?)));
    let wish = Wish { store: root.boolean("store")?, previous, references: references.collect() };
    let is_stream = root.boolean("stream")?.unwrap_or_default();
    let effort = root.any_object("reasoning").any_text("effort");
    let include = root.list("include")?.iter().map(Node::text).collect::<Outcome<Vec<_>>>()?;
    let shown = Shown::default();
    Ok(NativeRequest { is_stream, effort, model, include, wish, shown, is_resumed: false, raw })
}

impl NativeRequest {
    /// What it wants of stored responses.
    #[must_use]
    pub fn wish(&self) -> &Wish {
        &self.wish
    }

    /// The same request with its input complete: what it goes on from stands before its own input, and each item it
    /// refers to in the place of the reference. `found` has one item for each of [`Wish::references`], in order.
    ///
    /// # Errors
    /// `BadRequest` when an item of its own is not valid, named by its place in the client's request; `InvalidJson` when
    /// what comes together is nested too deeply.
    pub fn resume(self, previous: Option<&Stored>, found: &[Json]) -> Outcome<Self> {
        let root = Node::root(self.raw.text()).object()?;
        let mut items: Vec<Json> = previous.map(Stored::context).unwrap_or_default();
        match root.get("input") {
            Some(text) if text.is_text() => items.extend(Json::parse(object(|item| {
                item.text("type", "message").text("role", "user").raw("content", text.raw());
            }))),
            Some(list) => {
                for (place, item) in list.list()?.iter().enumerate() {
                    let reference = self.wish.references.iter().position(|(referring, _)| *referring == place);
                    match reference.and_then(|which| found.get(which)) {
                        Some(item) => items.push(item.clone()),
                        None => {
                            read::check_item(item)?;
                            items.push(item.json());
                        }
                    }
                }
            }
            None => {}
        }
        let list = items.iter().map(Json::as_str).collect::<Vec<_>>().join(",");
        let mut splice = self.raw.splice();
        splice.remove("previous_response_id");
        splice.set("input", format!("[{list}]"));
        let resumed = read_request(Bytes::from(splice.finish().concat()))?;
        Ok(Self { wish: self.wish, is_resumed: true, ..resumed })
    }

    /// Says how its answer is kept.
    #[must_use]
    pub fn showing(self, shown: Shown) -> Self {
        Self { shown, ..self }
    }

    /// The items of its input as they are kept with the response `hex`.
    #[must_use]
    pub fn kept_input(&self, hex: &str) -> Vec<Json> {
        let root = Node::root(self.raw.text()).object().unwrap_or_else(|_| Members::none());
        stored::kept_input(root.get("input").as_ref(), hex)
    }

    fn echo(&self) -> Echo {
        Echo::of(self.raw.text(), self.shown.clone())
    }
}

impl Asked for NativeRequest {
    fn wire(&self) -> Wire {
        Wire::Responses
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

    fn bytes(&self) -> &Bytes {
        self.raw.bytes()
    }

    fn untags(&self) -> bool {
        true
    }

    fn for_upstream(&self, to: &Addressee<'_>) -> Outcome<Written> {
        let mut splice = self.raw.splice();
        let mut lost = Vec::new();
        if self.is_resumed || state::is_in(self.raw.bytes()) {
            let root = Node::root(self.raw.text()).object()?;
            if let Some((input, lost_reasoning)) = root.get("input").and_then(|input| stored::untag(&input, to.origin))
            {
                splice.set("input", input);
                lost.extend(lost_reasoning.then(|| dropped("reasoning")));
            }
        }
        splice.set("model", json_string(to.model));
        splice.set("store", Bytes::from_static(b"false"));
        // It names a response of ours.
        splice.remove("previous_response_id");
        if to.control.kind.is_some() && !self.include.iter().any(|name| name == ENCRYPTED_REASONING) {
            let all: Vec<&str> = self.include.iter().map(String::as_str).chain([ENCRYPTED_REASONING]).collect();
            splice.set("include", Bytes::from(serde_json::Value::from(all).to_string()));
        }
        self.fit_reasoning(&mut splice, to, &mut lost)?;
        Ok(Written { body: splice.finish(), dropped: lost })
    }

    fn native_reply(&self, body: Bytes) -> Result<NativeReply, ReplyError> {
        let raw = RawObject::scan(body).map_err(|error| ReplyError::Malformed(malformed(&error)))?;
        let root = Node::root(raw.text()).object().map_err(|_| ReplyError::Malformed("it is not a JSON object"))?;
        if let Some(error) = root.get("error") {
            return Err(ReplyError::Provider(Box::new(read_error_value(error.raw().as_bytes()))));
        }
        if !root.get("output").is_some_and(|output| output.is_list()) {
            return Err(ReplyError::Malformed("there is no `output`"));
        }
        if let Some(status @ ("failed" | "cancelled" | "queued" | "in_progress")) = root.any_text("status").as_deref() {
            let error = ProviderError { message: format!("the response is {status}"), ..ProviderError::default() };
            return Err(ReplyError::Provider(Box::new(error)));
        }
        let usage = wire::read_usage(&root);
        let finish_reason = Some(finish_word(&root));
        let mut splice = raw.splice();
        self.shown.splice(&mut splice, &json_string(&self.model));
        Ok(NativeReply { body: splice.finish(), usage, finish_reason, media_type: None })
    }

    fn native_stream(&self) -> Box<dyn NativeStream> {
        Box::new(ResponseStream {
            model_json: json_string(&self.model),
            shown: self.shown.clone(),
            terminal: None,
            usage: None,
            finish_reason: None,
            output_bytes: 0,
            progress: Progress::default(),
            sequence: 0,
            response: None,
        })
    }

    fn read(&self) -> Outcome<Request> {
        read::read_request(self.raw.text())
    }

    fn write_reply(&self, reply: &Reply, frame: &Frame) -> Bytes {
        write::write_reply(reply, frame, &self.echo())
    }

    fn encoder(&self, frame: Frame) -> Box<dyn Encode> {
        Box::new(EventWriter::new(frame, self.echo()))
    }
}

/// A whole answer that is not kept after all.
#[must_use]
pub fn not_kept(response: Bytes) -> Vec<Bytes> {
    let Ok(raw) = RawObject::scan(response.clone()) else { return vec![response] };
    let mut splice = raw.splice();
    splice.set("store", Bytes::from_static(b"false"));
    splice.finish()
}

impl NativeRequest {
    /// A step that the model does not have becomes one that it has; of a model that cannot be steered it is left out.
    fn fit_reasoning(
        &self,
        splice: &mut Splice<'_>,
        to: &Addressee<'_>,
        lost: &mut Vec<Cow<'static, str>>,
    ) -> Outcome<()> {
        let Some(asked) = self.effort.as_deref().and_then(Effort::parse) else { return Ok(()) };
        let stated = self.raw.get("reasoning").unwrap_or_default();
        let reasoning = RawObject::scan(Bytes::copy_from_slice(stated))
            .map_err(|_| Fault::invalid("reasoning", "must be an object without repeated keys"))?;
        let mut inner = reasoning.splice();
        let is_known = to.max_output_tokens.is_some();
        match to.control.kind {
            // A model that does not reason refuses all of it.
            None if is_known => {
                splice.remove("reasoning");
                if asked != Effort::None {
                    lost.push(dropped("reasoning_effort"));
                }
                return Ok(());
            }
            Some(ReasoningKind::Fixed) => {
                inner.remove("effort");
                lost.push(dropped("reasoning_effort"));
            }
            _ if to.control.settle(asked) == asked => return Ok(()),
            _ => inner.set("effort", json_string(to.control.settle(asked).as_str())),
        }
        splice.set("reasoning", Bytes::from(inner.finish().concat()));
        Ok(())
    }
}

/// Why an answer ended, as a word for the record.
fn finish_word(response: &Members<'_>) -> String {
    let is_call = |item: &Node<'_>| {
        let kind = item.object().ok().and_then(|item| item.any_text("type"));
        matches!(kind.as_deref(), Some("function_call" | "custom_tool_call"))
    };
    let calls = response.any_list("output").iter().any(is_call);
    let finish: Finish = wire::read_finish(response, calls);
    finish.as_str().to_owned()
}

/// Watches a streamed answer and splices the public model into its events.
#[derive(Debug)]
struct ResponseStream {
    model_json: Bytes,
    shown: Shown,
    /// The protocol's last event without its response, which waits until the answer is kept.
    terminal: Option<(String, RawObject)>,
    usage: Option<TokenUsage>,
    finish_reason: Option<String>,
    output_bytes: u64,
    progress: Progress,
    /// The number after the last one seen.
    sequence: u64,
    /// The last response resource seen, for an answer that fails on the way.
    response: Option<Bytes>,
}

impl ResponseStream {
    fn watch(&mut self, kind: &str, event: &Members<'_>) -> Signal {
        match kind {
            "response.completed" | "response.incomplete" => {
                let response = event.any_object("response");
                self.usage = wire::read_usage(&response);
                self.finish_reason = Some(finish_word(&response));
                Signal::Done
            }
            "response.created" | "response.queued" | "response.in_progress" | "response.content_part.added" => {
                Signal::Nothing
            }
            "response.output_item.added" => match event.any_object("item").any_text("type").as_deref() {
                Some("message" | "reasoning") | None => Signal::Nothing,
                Some(_) => Signal::Output,
            },
            kind if kind.starts_with("response.") => {
                self.output_bytes += event.any_text("delta").map_or(0, |delta| delta.len() as u64);
                let is_reasoning = kind.starts_with("response.reasoning");
                self.progress.has_reasoned |= is_reasoning;
                // Items that open, close and carry annotations are no output by themselves.
                self.progress.has_answered |= !is_reasoning && kind.ends_with(".delta");
                Signal::Output
            }
            _ => Signal::Nothing,
        }
    }
}

impl ResponseStream {
    /// Writes an event, with the response as it was spliced last where it has one.
    fn write_event(&self, name: &str, raw: &RawObject, out: &mut BytesMut) {
        let mut splice = raw.splice();
        if let Some(response) = &self.response {
            splice.replace("response", response.clone());
        }
        out.extend_from_slice(b"event: ");
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"\ndata: ");
        let start = out.len();
        splice.finish().iter().for_each(|piece| out.extend_from_slice(piece));
        // An event of several `data` lines is joined by line feeds, which are white space in JSON and would end ours.
        out.iter_mut().skip(start).filter(|byte| **byte == b'\n').for_each(|byte| *byte = b' ');
        out.extend_from_slice(b"\n\n");
    }
}

impl NativeStream for ResponseStream {
    fn relay(&mut self, event: Option<&[u8]>, data: &Bytes, out: &mut BytesMut) -> Result<Signal, StreamError> {
        if data.trim_ascii() == b"[DONE]" {
            return Ok(Signal::Done);
        }
        let raw = RawObject::scan(data.clone()).map_err(|error| StreamError::Malformed(malformed(&error)))?;
        let root = Node::root(raw.text()).object().map_err(|_| StreamError::Malformed("it is not a JSON object"))?;
        let kind = root.any_text("type").ok_or(StreamError::Malformed("it has no type"))?;
        if matches!(kind.as_str(), "response.failed" | "response.cancelled" | "error") {
            return Err(StreamError::Provider(Box::new(read_failure(&root))));
        }
        let signal = self.watch(&kind, &root);
        self.sequence = root.any_count("sequence_number").map_or(self.sequence, |number| number + 1);
        if let Some(response) = raw.get("response")
            && let Ok(response) = RawObject::scan(Bytes::copy_from_slice(response))
        {
            let mut inner = response.splice();
            self.shown.splice(&mut inner, &self.model_json);
            self.response = Some(Bytes::from(inner.finish().concat()));
        }
        let name = String::from_utf8_lossy(event.unwrap_or(kind.as_bytes())).into_owned();
        if signal == Signal::Done {
            self.terminal = Some((name, raw));
        } else {
            self.write_event(&name, &raw, out);
        }
        Ok(signal)
    }

    fn complete(&mut self, _out: &mut BytesMut) -> Option<Bytes> {
        self.terminal.as_ref().and(self.response.clone())
    }

    fn not_kept(&mut self) {
        self.shown.is_stored = false;
        self.response = self.response.take().map(|response| Bytes::from(not_kept(response).concat()));
    }

    fn write_closing(&mut self, out: &mut BytesMut) {
        if let Some((name, raw)) = self.terminal.take() {
            self.write_event(&name, &raw, out);
        }
    }

    fn write_failure(&mut self, fault: &Fault, out: &mut BytesMut) {
        let response = self.response.take().and_then(|response| RawObject::scan(response).ok());
        let Some(response) = response else {
            return out.extend_from_slice(&write_fault_event(fault, self.sequence));
        };
        let error = object(|out| {
            out.text("code", code_of(fault)).text("message", fault.message());
        });
        let mut splice = response.splice();
        splice.set("status", Bytes::from_static(b"\"failed\""));
        splice.set("error", Bytes::from(error));
        let json = object(|out| {
            let response = splice.finish().concat();
            out.text("type", "response.failed").number("sequence_number", self.sequence);
            out.raw("response", std::str::from_utf8(&response).unwrap_or("null"));
        });
        out.extend_from_slice(format!("event: response.failed\ndata: {json}\n\n").as_bytes());
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
