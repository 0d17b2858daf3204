//! Canonical to bytes: streamed answers.

use bytes::{Bytes, BytesMut};

use super::wire::{Chunk, ChunkChoice, DeltaOut, FunctionCall, ToolCall};
use super::write::{finish_word, write_usage};
use crate::canonical::text::Delta;
use crate::fault::{Fault, Kind, Outcome};

/// What all events of one answer share.
#[derive(Debug, Clone)]
pub struct ChunkWriter {
    id: String,
    model: String,
    created: i64,
}

impl ChunkWriter {
    /// Writes the events of the answer `id`. `created` is in seconds since the Unix epoch.
    #[must_use]
    pub fn new(id: String, model: String, created: i64) -> Self {
        Self { id, model, created }
    }

    /// One canonical event as one server-sent event.
    ///
    /// # Errors
    /// `Internal` when it cannot be serialised, which no value of these types causes.
    pub fn write_delta(&self, delta: &Delta) -> Outcome<Bytes> {
        let mut out = DeltaOut::default();
        let mut finish_reason = None;
        match delta {
            Delta::Start => {
                out.role = Some("assistant");
                out.content = Some("");
            }
            Delta::Text(text) => out.content = Some(text),
            Delta::ToolCallStart { index, id, name } => out.tool_calls.push(ToolCall {
                index: Some(*index),
                id: Some(id),
                kind: Some("function"),
                function: FunctionCall { name: Some(name), arguments: "" },
            }),
            Delta::ToolCallArguments { index, text } => out.tool_calls.push(ToolCall {
                index: Some(*index),
                id: None,
                kind: None,
                function: FunctionCall { name: None, arguments: text },
            }),
            Delta::Finish(reason) => finish_reason = Some(finish_word(*reason)),
            Delta::Usage(usage) => return self.write_chunk(&[], Some(Some(write_usage(usage)))),
        }
        self.write_chunk(&[ChunkChoice { index: 0, delta: out, logprobs: None, finish_reason }], Some(None))
    }

    /// The last event.
    #[must_use]
    pub const fn done() -> Bytes {
        Bytes::from_static(b"data: [DONE]\n\n")
    }

    fn write_chunk(&self, choices: &[ChunkChoice<'_>], usage: Option<Option<super::wire::UsageOut>>) -> Outcome<Bytes> {
        let chunk = Chunk {
            id: &self.id,
            object: "chat.completion.chunk",
            created: self.created,
            model: &self.model,
            choices,
            usage,
        };
        let json = serde_json::to_vec(&chunk).map_err(|error| Fault::new(Kind::Internal).because(error))?;
        let mut event = BytesMut::with_capacity(json.len() + 8);
        event.extend_from_slice(b"data: ");
        event.extend_from_slice(&json);
        event.extend_from_slice(b"\n\n");
        Ok(event.freeze())
    }
}
