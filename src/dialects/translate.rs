//! A provider's stream in one wire, as a client's stream in another.

use std::collections::{BTreeMap, BTreeSet};

use bytes::{Bytes, BytesMut};

use super::native::{NativeStream, Progress, Signal, StreamError};
use super::node::Node;
use super::{Decode, Encode};
use crate::canonical::TokenUsage;
use crate::canonical::text::{Delta, Finish, Part, PartKind, Reply};
use crate::fault::Fault;

/// Reads one wire and writes the other.
#[derive(Debug)]
pub struct Translation {
    decoder: Box<dyn Decode>,
    encoder: Box<dyn Encode>,
    deltas: Vec<Delta>,
    finish: Option<Finish>,
    usage: Option<TokenUsage>,
    service: Option<String>,
    output_bytes: u64,
    is_done: bool,
    /// Parts that are reasoning.
    thoughts: BTreeSet<u32>,
    progress: Progress,
}

impl Translation {
    /// Puts the two together.
    #[must_use]
    pub fn new(decoder: Box<dyn Decode>, encoder: Box<dyn Encode>) -> Self {
        Self {
            decoder,
            encoder,
            deltas: Vec::new(),
            finish: None,
            usage: None,
            service: None,
            output_bytes: 0,
            is_done: false,
            thoughts: BTreeSet::new(),
            progress: Progress::default(),
        }
    }

    /// Notes how far the answer is.
    fn note_progress(&mut self, delta: &Delta) {
        match delta {
            Delta::Begin { part, kind: PartKind::Reasoning { .. } } => {
                self.thoughts.insert(*part);
            }
            Delta::Summary { .. } => self.progress.has_reasoned = true,
            Delta::Text { part, .. } if self.thoughts.contains(part) => self.progress.has_reasoned = true,
            Delta::Text { .. }
            | Delta::Begin {
                kind: PartKind::ToolCall { .. } | PartKind::Image { .. } | PartKind::Native { .. }, ..
            } => self.progress.has_answered = true,
            _ => {}
        }
    }

    /// Notes what a delta means.
    fn watch(&mut self, delta: &Delta) -> Signal {
        self.note_progress(delta);
        match delta {
            Delta::Text { text, .. } | Delta::Summary { text, .. } => {
                self.output_bytes += text.len() as u64;
                Signal::Output
            }
            Delta::Begin { kind: PartKind::ToolCall { name, .. }, .. } => {
                self.output_bytes += name.len() as u64;
                Signal::Output
            }
            Delta::Begin { kind: PartKind::Image { .. } | PartKind::Native { .. }, .. } | Delta::State { .. } => {
                Signal::Output
            }
            Delta::Finish(finish) => {
                self.finish = Some(finish.clone());
                Signal::Finished
            }
            Delta::Usage(usage) => {
                self.usage = Some(*usage);
                Signal::Nothing
            }
            Delta::ServiceTier(word) => {
                self.service = Some(word.clone());
                Signal::Nothing
            }
            Delta::Start { .. }
            | Delta::Begin { .. }
            | Delta::Annotation { .. }
            | Delta::Logprobs { .. }
            | Delta::End { .. } => Signal::Nothing,
        }
    }
}

impl NativeStream for Translation {
    fn relay(&mut self, event: Option<&[u8]>, data: &Bytes, out: &mut BytesMut) -> Result<Signal, StreamError> {
        let mut deltas = std::mem::take(&mut self.deltas);
        let decoded = self.decoder.decode(event, data, &mut deltas);
        let mut signal = Signal::Nothing;
        for delta in deltas.drain(..) {
            signal = signal.max(self.watch(&delta));
            self.encoder.encode(&delta, out);
        }
        self.deltas = deltas;
        self.is_done = decoded?;
        Ok(if self.is_done { Signal::Done } else { signal })
    }

    fn complete(&mut self, out: &mut BytesMut) -> Option<Bytes> {
        self.encoder.complete(out)
    }

    fn not_kept(&mut self) {
        self.encoder.not_kept();
    }

    fn write_closing(&mut self, out: &mut BytesMut) {
        self.encoder.close(out);
    }

    fn write_failure(&mut self, fault: &Fault, out: &mut BytesMut) {
        self.encoder.fail(fault, out);
    }

    fn is_finished(&self) -> bool {
        self.finish.is_some()
    }

    fn is_complete(&self) -> bool {
        self.finish.is_some()
    }

    fn usage(&self) -> Option<TokenUsage> {
        self.usage.map(|usage| usage.served_as(self.service.as_deref()))
    }

    fn finish_reason(&self) -> Option<&str> {
        self.finish.as_ref().map(Finish::as_str)
    }

    fn progress(&self) -> Progress {
        self.progress
    }

    fn output_bytes(&self) -> u64 {
        self.output_bytes
    }
}

/// Gives tools that take free text their text back on wires that call them with an object: `{"input": "…"}`.
#[derive(Debug)]
pub struct FreeText {
    decoder: Box<dyn Decode>,
    names: Vec<String>,
    /// Arguments so far of the calls under way.
    open: BTreeMap<u32, String>,
}

impl FreeText {
    /// Wraps a decoder when the request has such tools.
    #[must_use]
    pub fn around(decoder: Box<dyn Decode>, names: Vec<String>) -> Box<dyn Decode> {
        if names.is_empty() { decoder } else { Box::new(Self { decoder, names, open: BTreeMap::new() }) }
    }

    fn restore(&mut self, delta: Delta, out: &mut Vec<Delta>) {
        match delta {
            Delta::Begin { part, kind: PartKind::ToolCall { id, name, is_custom: false } }
                if self.names.contains(&name) =>
            {
                self.open.insert(part, String::new());
                out.push(Delta::Begin { part, kind: PartKind::ToolCall { id, name, is_custom: true } });
            }
            Delta::Text { part, text } => match self.open.get_mut(&part) {
                Some(arguments) => arguments.push_str(&text),
                None => out.push(Delta::Text { part, text }),
            },
            Delta::End { part } => {
                let text = self.open.remove(&part).map(|arguments| free_text(&arguments));
                out.extend(text.filter(|text| !text.is_empty()).map(|text| Delta::Text { part, text }));
                out.push(Delta::End { part });
            }
            other => out.push(other),
        }
    }
}

impl Decode for FreeText {
    fn decode(&mut self, event: Option<&[u8]>, data: &[u8], out: &mut Vec<Delta>) -> Result<bool, StreamError> {
        let mut deltas = Vec::new();
        let decoded = self.decoder.decode(event, data, &mut deltas);
        deltas.into_iter().for_each(|delta| self.restore(delta, out));
        decoded
    }
}

/// The same for a whole answer.
pub fn restore_free_text(reply: &mut Reply, names: &[String]) {
    for part in &mut reply.parts {
        if let Part::ToolCall(call) = part
            && !call.is_custom
            && names.contains(&call.name)
        {
            call.arguments = free_text(&call.arguments);
            call.is_custom = true;
        }
    }
}

/// The text in `{"input": "…"}`; arguments of another shape as they are.
fn free_text(arguments: &str) -> String {
    let input = Node::root(arguments).object().ok().and_then(|fields| fields.any_text("input"));
    input.unwrap_or_else(|| arguments.to_owned())
}
