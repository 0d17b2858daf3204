//! The native lane of Responses: what is read of the raw bytes, and what is spliced into them.
//!
//! Up: `model`, `store` (nothing is kept at the provider), `include` (so that reasoning can go on without being kept).
//! Down: `model` of the response. All else passes byte for byte.

use bytes::{Bytes, BytesMut};

use super::fault::write_fault_event;
use super::read::{self, refuse_unsupported};
use super::stream::{EventWriter, read_failure};
use super::wire::{self, ENCRYPTED_REASONING, REQUEST_FIELDS};
use super::write::{self, Echo};
use crate::canonical::text::{Finish, Reply, Request};
use crate::canonical::{TokenUsage, Wire};
use crate::dialects::native::{NativeReply, NativeStream, ProviderError, ReplyError, Signal, StreamError};
use crate::dialects::node::{Members, Node};
use crate::dialects::openai_chat::fault::read_error_value;
use crate::dialects::raw::{RawObject, json_string, malformed};
use crate::dialects::{Addressee, Asked, Encode, Frame, Written, dropped};
use crate::fault::{Fault, Outcome};

/// A client's request, scanned.
#[derive(Debug, Clone)]
pub struct NativeRequest {
    raw: RawObject,
    model: String,
    is_stream: bool,
    effort: Option<String>,
    include: Vec<String>,
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
    if !root.has("input") && !root.has("prompt") {
        return Err(Fault::invalid("input", "is required"));
    }
    refuse_unsupported(&root)?;
    if let Some(id) = root.get("previous_response_id") {
        return Err(id.refuse("names a response that is not known here; send the whole input"));
    }
    let is_stream = root.boolean("stream")?.unwrap_or_default();
    let effort = root.any_object("reasoning").any_text("effort");
    let include = root.list("include")?.iter().map(Node::text).collect::<Outcome<Vec<_>>>()?;
    Ok(NativeRequest { is_stream, effort, model, include, raw })
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

    fn for_upstream(&self, to: &Addressee<'_>) -> Outcome<Written> {
        let mut splice = self.raw.splice();
        splice.set("model", json_string(to.model));
        splice.set("store", Bytes::from_static(b"false"));
        if to.control.kind.is_some() && !self.include.iter().any(|name| name == ENCRYPTED_REASONING) {
            let all: Vec<&str> = self.include.iter().map(String::as_str).chain([ENCRYPTED_REASONING]).collect();
            splice.set("include", Bytes::from(serde_json::Value::from(all).to_string()));
        }
        let keeps_state = self.raw.get("store") == Some(b"true");
        Ok(Written { body: splice.finish(), dropped: keeps_state.then(|| dropped("store")).into_iter().collect() })
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
        let usage = root.get("usage").and_then(|usage| usage.object().ok()).and_then(|usage| wire::read_usage(&usage));
        let finish_reason = Some(finish_word(&root));
        let mut splice = raw.splice();
        splice.set("model", json_string(&self.model));
        Ok(NativeReply { body: splice.finish(), usage, finish_reason })
    }

    fn native_stream(&self) -> Box<dyn NativeStream> {
        Box::new(ResponseStream {
            model_json: json_string(&self.model),
            usage: None,
            finish_reason: None,
            output_bytes: 0,
            sequence: 0,
            response: None,
        })
    }

    fn read(&self) -> Outcome<Request> {
        read::read_request(self.raw.text())
    }

    fn write_reply(&self, reply: &Reply, frame: &Frame) -> Bytes {
        write::write_reply(reply, frame, &Echo::of(self.raw.text()))
    }

    fn encoder(&self, frame: Frame) -> Box<dyn Encode> {
        Box::new(EventWriter::new(frame, Echo::of(self.raw.text())))
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
    usage: Option<TokenUsage>,
    finish_reason: Option<String>,
    output_bytes: u64,
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
                let usage = response.get("usage").and_then(|usage| usage.object().ok());
                self.usage = usage.and_then(|usage| wire::read_usage(&usage));
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
                Signal::Output
            }
            _ => Signal::Nothing,
        }
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
        let mut splice = raw.splice();
        if let Some(response) = raw.get("response")
            && let Ok(response) = RawObject::scan(Bytes::copy_from_slice(response))
        {
            let mut inner = response.splice();
            inner.replace("model", self.model_json.clone());
            let spliced = Bytes::from(inner.finish().concat());
            self.response = Some(spliced.clone());
            splice.set("response", spliced);
        }
        out.extend_from_slice(b"event: ");
        out.extend_from_slice(event.unwrap_or(kind.as_bytes()));
        out.extend_from_slice(b"\ndata: ");
        let start = out.len();
        splice.finish().iter().for_each(|piece| out.extend_from_slice(piece));
        // An event of several `data` lines is joined by line feeds, which are white space in JSON and would end ours.
        out.iter_mut().skip(start).filter(|byte| **byte == b'\n').for_each(|byte| *byte = b' ');
        out.extend_from_slice(b"\n\n");
        Ok(signal)
    }

    /// The provider's last event was the protocol's.
    fn write_closing(&mut self, _out: &mut BytesMut) {}

    fn write_failure(&mut self, fault: &Fault, out: &mut BytesMut) {
        let response = self.response.take().and_then(|response| RawObject::scan(response).ok());
        let Some(response) = response else {
            return out.extend_from_slice(&write_fault_event(fault, self.sequence));
        };
        let error = crate::dialects::out::object(|out| {
            out.text("code", super::fault::code_of(fault)).text("message", fault.message());
        });
        let mut splice = response.splice();
        splice.set("status", Bytes::from_static(b"\"failed\""));
        splice.set("error", Bytes::from(error));
        let json = crate::dialects::out::object(|out| {
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

    fn output_bytes(&self) -> u64 {
        self.output_bytes
    }
}
