//! Streamed answers: events of providers to canonical ones, canonical ones to events for clients.

use std::collections::{BTreeMap, VecDeque};

use bytes::BytesMut;

use super::fault::write_fault_event;
use super::wire;
use super::write::answer_id;
use crate::canonical::text::{Delta, Finish, PartKind, State};
use crate::canonical::{TokenUsage, Wire};
use crate::dialects::native::StreamError;
use crate::dialects::node::{Members, Node};
use crate::dialects::openai_chat::fault::read_error_value;
use crate::dialects::out::{self, Out};
use crate::dialects::{Decode, Encode, Frame, state};
use crate::fault::Fault;

/// How the object begins that carries free text to a wire whose tools take objects.
const FREE_TEXT_START: &str = "{\"input\":\"";

/// A block being read.
#[derive(Debug)]
struct Block {
    part: u32,
    is_native: bool,
    /// Pieces of a signature.
    signature: String,
    /// Arguments stated with the start, used when no piece follows.
    stated: Option<String>,
}

/// Reads events.
#[derive(Debug, Default)]
pub struct EventReader {
    parts: u32,
    blocks: BTreeMap<u64, Block>,
    usage: TokenUsage,
}

impl EventReader {
    fn start(&mut self, event: &Members<'_>, out: &mut Vec<Delta>) {
        let message = event.any_object("message");
        out.push(Delta::Start { id: message.any_text("id") });
        self.read_usage(&message, out);
    }

    fn read_usage(&mut self, holder: &Members<'_>, out: &mut Vec<Delta>) {
        if let Some(usage) = holder.get("usage").and_then(|usage| usage.object().ok()) {
            wire::read_usage(&usage, &mut self.usage);
            out.push(Delta::Usage(self.usage));
        }
    }

    fn begin(&mut self, event: &Members<'_>, out: &mut Vec<Delta>) {
        let index = event.any_count("index").unwrap_or_default();
        let Some(node) = event.get("content_block") else { return };
        let Ok(block) = node.object() else { return };
        let part = self.parts;
        self.parts += 1;
        let mut is_native = false;
        let mut stated = None;
        let kind = block.any_text("type").unwrap_or_default();
        let kind = match kind.as_str() {
            "text" => PartKind::Text,
            "thinking" | "redacted_thinking" => PartKind::Reasoning { id: None },
            "tool_use" => {
                // A call without arguments has no pieces: what the start states is all of them.
                stated = Some(block.get("input").map_or_else(|| "{}".to_owned(), |input| input.raw().to_owned()));
                PartKind::ToolCall {
                    id: block.any_text("id").unwrap_or_default(),
                    name: block.any_text("name").unwrap_or_default(),
                    is_custom: false,
                }
            }
            _ => {
                is_native = true;
                PartKind::Native { wire: Wire::Messages, kind, json: node.json() }
            }
        };
        out.push(Delta::Begin { part, kind });
        let said = block.any_text("text").or_else(|| block.any_text("thinking"));
        if let Some(text) = said.filter(|text| !text.is_empty()) {
            out.push(Delta::Text { part, text });
        }
        if let Some(data) = block.any_text("data").filter(|_| !is_native) {
            let state = State { wire: Wire::Messages, is_redacted: true, data, origin: None };
            out.push(Delta::State { part, state });
        }
        let signature = block.any_text("signature").unwrap_or_default();
        self.blocks.insert(index, Block { part, is_native, signature, stated });
    }

    fn delta(&mut self, event: &Members<'_>, out: &mut Vec<Delta>) {
        let index = event.any_count("index").unwrap_or_default();
        let delta = event.any_object("delta");
        let Some(block) = self.blocks.get_mut(&index).filter(|block| !block.is_native) else { return };
        let part = block.part;
        let piece = match delta.any_text("type").as_deref() {
            Some("text_delta") => delta.any_text("text"),
            Some("thinking_delta") => delta.any_text("thinking"),
            Some("input_json_delta") => {
                let piece = delta.any_text("partial_json").filter(|piece| !piece.is_empty());
                if piece.is_some() {
                    block.stated = None;
                }
                piece
            }
            Some("signature_delta") => {
                block.signature.push_str(&delta.any_text("signature").unwrap_or_default());
                None
            }
            Some("citations_delta") => {
                let json = delta.get("citation").and_then(|citation| wire::read_citation(&citation));
                out.extend(json.map(|json| Delta::Annotation { part, json }));
                None
            }
            _ => None,
        };
        if let Some(text) = piece.filter(|text| !text.is_empty()) {
            out.push(Delta::Text { part, text });
        }
    }

    fn end(&mut self, event: &Members<'_>, out: &mut Vec<Delta>) {
        let index = event.any_count("index").unwrap_or_default();
        if let Some(block) = self.blocks.remove(&index) {
            end_block(block, out);
        }
    }

    fn finish(&mut self, event: &Members<'_>, out: &mut Vec<Delta>) {
        self.read_usage(event, out);
        let delta = event.any_object("delta");
        if let Some(word) = delta.any_text("stop_reason") {
            for block in std::mem::take(&mut self.blocks).into_values() {
                end_block(block, out);
            }
            out.push(Delta::Finish(wire::read_stop(&word, delta.any_text("stop_sequence"))));
        }
    }
}

fn end_block(block: Block, out: &mut Vec<Delta>) {
    let part = block.part;
    if let Some(text) = block.stated {
        out.push(Delta::Text { part, text });
    }
    if !block.signature.is_empty() {
        let state = State { wire: Wire::Messages, is_redacted: false, data: block.signature, origin: None };
        out.push(Delta::State { part, state });
    }
    out.push(Delta::End { part });
}

impl Decode for EventReader {
    fn decode(&mut self, _event: Option<&[u8]>, data: &[u8], out: &mut Vec<Delta>) -> Result<bool, StreamError> {
        const BROKEN: StreamError = StreamError::Malformed("it is not a JSON object");
        let text = std::str::from_utf8(data).map_err(|_| StreamError::Malformed("it is not UTF-8"))?;
        let json = serde_json::from_str::<&serde_json::value::RawValue>(text).map_err(|_| BROKEN)?;
        let event = Node::root(json.get()).object().map_err(|_| BROKEN)?;
        match event.any_text("type").as_deref() {
            Some("message_start") => self.start(&event, out),
            Some("content_block_start") => self.begin(&event, out),
            Some("content_block_delta") => self.delta(&event, out),
            Some("content_block_stop") => self.end(&event, out),
            Some("message_delta") => self.finish(&event, out),
            Some("message_stop") => return Ok(true),
            Some("error") => {
                let error = event.get("error").map(|error| read_error_value(error.raw().as_bytes()));
                return Err(StreamError::Provider(Box::new(error.unwrap_or_default())));
            }
            // `ping`, and what is new.
            _ => {}
        }
        Ok(false)
    }
}

/// A part that is being written, or waits until the one before it is complete: blocks of this wire do not overlap.
#[derive(Debug)]
struct Pending {
    part: u32,
    kind: PartKind,
    deltas: Vec<Delta>,
    has_ended: bool,
}

/// Writes events for a client.
#[derive(Debug)]
pub struct EventWriter {
    frame: Frame,
    has_started: bool,
    blocks: u32,
    queue: VecDeque<Pending>,
    /// Whether the first of the queue has its start event.
    is_open: bool,
    /// Arguments of the open tool call so far.
    arguments: String,
    has_state: bool,
    calls: bool,
    finish: Option<Finish>,
    usage: TokenUsage,
}

impl EventWriter {
    /// Writes the events of one answer.
    #[must_use]
    pub fn new(frame: Frame) -> Self {
        Self {
            frame,
            has_started: false,
            blocks: 0,
            queue: VecDeque::new(),
            is_open: false,
            arguments: String::new(),
            has_state: false,
            calls: false,
            finish: None,
            usage: TokenUsage::default(),
        }
    }

    fn start(&mut self, id: Option<&str>, out: &mut BytesMut) {
        if std::mem::replace(&mut self.has_started, true) {
            return;
        }
        let id = answer_id(id.unwrap_or_default(), &self.frame);
        let usage = TokenUsage { output: self.usage.output.max(1), ..self.usage };
        event(out, "message_start", |out| {
            out.object("message", |message| {
                message.text("id", &id).text("type", "message").text("role", "assistant");
                message.text("model", &self.frame.model).list("content", |_| {}).null("stop_reason");
                message.null("stop_sequence").object("usage", |out| wire::write_usage(out, &usage));
            });
        });
    }

    /// Writes what can be written: the first part of the queue as far as it is there, the next ones once it is complete.
    fn flush(&mut self, is_last: bool, out: &mut BytesMut) {
        loop {
            let waits = self.queue.len() > 1;
            let Some(front) = self.queue.front_mut() else { return };
            let deltas = std::mem::take(&mut front.deltas);
            let (kind, part_ended) = (front.kind.clone(), front.has_ended);
            for delta in deltas {
                self.write(&kind, &delta, out);
            }
            // A call whose arguments are complete ends when the next part begins, whatever the provider says later.
            let is_complete = part_ended
                || is_last
                || (waits && !matches!(kind, PartKind::ToolCall { .. }))
                || (waits && serde_json::from_str::<serde::de::IgnoredAny>(&self.arguments).is_ok());
            if !is_complete {
                return;
            }
            self.end(&kind, out);
            self.queue.pop_front();
        }
    }

    fn open(&mut self, fill: impl FnOnce(&mut Out<'_>), out: &mut BytesMut) {
        if std::mem::replace(&mut self.is_open, true) {
            return;
        }
        let index = self.blocks;
        event(out, "content_block_start", |out| {
            out.number("index", index).object("content_block", fill);
        });
    }

    fn open_as(&mut self, kind: &PartKind, out: &mut BytesMut) {
        match kind {
            PartKind::Text | PartKind::Refusal => {
                self.open(
                    |block| {
                        block.text("type", "text").text("text", "");
                    },
                    out,
                );
            }
            PartKind::Reasoning { .. } => self.open(
                |block| {
                    block.text("type", "thinking").text("thinking", "").text("signature", "");
                },
                out,
            ),
            PartKind::ToolCall { id, name, .. } => {
                self.calls = true;
                self.open(
                    |block| {
                        block.text("type", "tool_use").text("id", &wire::tool_id(id)).text("name", name);
                        block.object("input", |_| {});
                    },
                    out,
                );
            }
            PartKind::Native { wire: Wire::Messages, json, .. } => {
                let index = self.blocks;
                if !std::mem::replace(&mut self.is_open, true) {
                    event(out, "content_block_start", |out| {
                        out.number("index", index).raw("content_block", json.as_str());
                    });
                }
            }
            PartKind::Native { .. } | PartKind::Audio | PartKind::Image { .. } => {}
        }
    }

    fn write(&mut self, kind: &PartKind, delta: &Delta, out: &mut BytesMut) {
        match delta {
            Delta::Begin { .. } => {
                // Thinking opens with its first word: what is redacted opens as something else.
                if !matches!(kind, PartKind::Reasoning { .. }) {
                    self.open_as(kind, out);
                }
            }
            Delta::Text { text, .. } | Delta::Summary { text, .. } => {
                let (name, field) = match kind {
                    PartKind::Text | PartKind::Refusal => ("text_delta", "text"),
                    PartKind::Reasoning { .. } => ("thinking_delta", "thinking"),
                    PartKind::ToolCall { is_custom, .. } => return self.write_arguments(kind, *is_custom, text, out),
                    PartKind::Audio | PartKind::Image { .. } | PartKind::Native { .. } => return,
                };
                self.open_as(kind, out);
                self.piece(out, |delta| {
                    delta.text("type", name).text(field, text);
                });
            }
            Delta::State { state, .. } => {
                self.has_state = true;
                if state.is_redacted && state.wire == Wire::Messages && !self.is_open {
                    self.open(
                        |block| {
                            block.text("type", "redacted_thinking").text("data", &state.data);
                        },
                        out,
                    );
                    return;
                }
                self.open_as(kind, out);
                let signature = state::write(state, Wire::Messages, &self.frame.origin);
                self.piece(out, |delta| {
                    delta.text("type", "signature_delta").text("signature", &signature);
                });
            }
            Delta::Annotation { json, .. } => {
                if let Some(citation) = wire::write_citation(json) {
                    self.open_as(kind, out);
                    self.piece(out, |delta| {
                        delta.text("type", "citations_delta").raw("citation", &citation);
                    });
                }
            }
            Delta::Start { .. }
            | Delta::Logprobs { .. }
            | Delta::End { .. }
            | Delta::Finish(_)
            | Delta::Usage(_)
            | Delta::ServiceTier(_) => {}
        }
    }

    /// A piece of arguments. Free text becomes an object of one string, which ends with the part.
    fn write_arguments(&mut self, kind: &PartKind, is_custom: bool, text: &str, out: &mut BytesMut) {
        self.open_as(kind, out);
        let piece = if is_custom {
            let quoted = out::quoted(text);
            let inner = quoted.get(1..quoted.len() - 1).unwrap_or_default();
            if self.arguments.is_empty() { format!("{FREE_TEXT_START}{inner}") } else { inner.to_owned() }
        } else {
            text.to_owned()
        };
        self.arguments.push_str(&piece);
        self.piece(out, |delta| {
            delta.text("type", "input_json_delta").text("partial_json", &piece);
        });
    }

    fn piece(&self, out: &mut BytesMut, fill: impl FnOnce(&mut Out<'_>)) {
        let index = self.blocks;
        event(out, "content_block_delta", |out| {
            out.number("index", index).object("delta", fill);
        });
    }

    fn end(&mut self, kind: &PartKind, out: &mut BytesMut) {
        if let PartKind::ToolCall { is_custom: true, .. } = kind {
            let start = if self.arguments.is_empty() { FREE_TEXT_START } else { "" };
            let last = format!("{start}\"}}");
            self.piece(out, |delta| {
                delta.text("type", "input_json_delta").text("partial_json", &last);
            });
        }
        self.arguments.clear();
        if !std::mem::take(&mut self.is_open) {
            return;
        }
        let index = self.blocks;
        event(out, "content_block_stop", |out| {
            out.number("index", index);
        });
        self.blocks += 1;
    }
}

impl Encode for EventWriter {
    fn encode(&mut self, delta: &Delta, out: &mut BytesMut) {
        match delta {
            Delta::Start { id } => self.start(id.as_deref(), out),
            Delta::Begin { part, kind } => {
                self.start(None, out);
                let deltas = vec![delta.clone()];
                self.queue.push_back(Pending { part: *part, kind: kind.clone(), deltas, has_ended: false });
                self.flush(false, out);
            }
            Delta::Text { part, .. }
            | Delta::Summary { part, .. }
            | Delta::State { part, .. }
            | Delta::Annotation { part, .. } => {
                if let Some(pending) = self.queue.iter_mut().find(|pending| pending.part == *part) {
                    pending.deltas.push(delta.clone());
                    self.flush(false, out);
                }
            }
            Delta::End { part } => {
                if let Some(pending) = self.queue.iter_mut().find(|pending| pending.part == *part) {
                    pending.has_ended = true;
                    self.flush(false, out);
                }
            }
            Delta::Finish(finish) => self.finish = Some(finish.clone()),
            Delta::Usage(usage) => self.usage = *usage,
            Delta::Logprobs { .. } | Delta::ServiceTier(_) => {}
        }
    }

    fn close(&mut self, out: &mut BytesMut) {
        self.start(None, out);
        self.flush(true, out);
        let stop = wire::write_stop(self.finish.as_ref(), self.calls);
        let sequence = wire::sequence_of(self.finish.as_ref());
        event(out, "message_delta", |out| {
            out.object("delta", |delta| {
                delta.text("stop_reason", stop).text_or_null("stop_sequence", sequence);
            });
            out.object("usage", |out| wire::write_usage(out, &self.usage));
        });
        event(out, "message_stop", |_| {});
    }

    fn fail(&mut self, fault: &Fault, out: &mut BytesMut) {
        out.extend_from_slice(&write_fault_event(fault));
    }
}

fn event(out: &mut BytesMut, name: &str, fill: impl FnOnce(&mut Out<'_>)) {
    let json = out::object(|out| {
        out.text("type", name);
        fill(out);
    });
    out.extend_from_slice(b"event: ");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\ndata: ");
    out.extend_from_slice(json.as_bytes());
    out.extend_from_slice(b"\n\n");
}
