//! How bytes look. One folder per wire format; pure, synchronous, no I/O.
//!
//! A dialect knows JSON fields and no provider. Spoken to a client it is the *contract*, spoken to a provider the
//! *transport*. Each folder has the same files: `wire` (names and small shapes), `read` (bytes to canonical), `write`
//! (canonical to bytes), `stream` (events of a streamed answer), `native` (what the native lane scans and splices),
//! `fault` (errors, both ways).
//!
//! A request whose contract is the transport of its candidate takes the native lane; any other is translated:
//! [`Asked::read`], then [`Transport::write_request`] up, and down [`Transport::read_reply`] or [`translate::Translation`].

pub mod anthropic_messages;
mod breakpoint;
pub mod cacheable;
pub mod embeddings;
pub mod fidelity;
mod fields;
pub mod forward;
pub mod gemini;
pub mod media;
pub mod moderations;
pub mod native;
pub mod node;
pub mod openai_chat;
pub mod openai_responses;
pub mod out;
pub mod question;
pub mod raw;
pub mod rerank;
pub mod state;
pub mod translate;
pub mod weight;

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::fmt;

use bytes::{Bytes, BytesMut};

pub use native::{NativeReply, NativeStream, ProviderError, ReplyError, Signal, StreamError};

use crate::canonical::Wire;
use crate::canonical::text::{Control, Delta, Effort, Reply, Request};
use crate::fault::{Fault, Kind, Outcome};

/// A client's request, scanned in the contract it was sent in.
pub trait Asked: Send + Sync + fmt::Debug {
    /// The contract.
    fn wire(&self) -> Wire;

    /// The public model it names.
    fn model(&self) -> &str;

    /// Whether the answer is to be streamed.
    fn is_stream(&self) -> bool;

    /// The reasoning effort it states, as a hint for deadlines.
    fn effort(&self) -> Option<&str>;

    /// The step of the reasoning ladder that it asks for, by word or by number.
    fn step(&self) -> Option<Effort> {
        self.effort().and_then(Effort::parse)
    }

    /// Whether it asks for reasoning in a word.
    fn states_effort(&self) -> bool {
        self.effort().is_some()
    }

    /// The body as it came.
    fn bytes(&self) -> &Bytes;

    /// Whether [`Self::for_upstream`] gives tagged state back to its maker. If not, a body with tags is written anew.
    fn untags(&self) -> bool {
        false
    }

    /// The body for a provider that speaks the same wire, in pieces.
    ///
    /// # Errors
    /// `BadRequest` when a field that has to be completed cannot be.
    fn for_upstream(&self, to: &Addressee<'_>) -> Outcome<Written>;

    /// Reads a provider's whole answer in the same wire and splices the public model in.
    ///
    /// # Errors
    /// [`ReplyError`].
    fn native_reply(&self, body: Bytes) -> Result<NativeReply, ReplyError>;

    /// Watches a provider's stream in the same wire.
    fn native_stream(&self) -> Box<dyn NativeStream>;

    /// Reads all of it.
    ///
    /// # Errors
    /// `BadRequest` that names the field.
    fn read(&self) -> Outcome<Request>;

    /// Writes a whole answer to it.
    fn write_reply(&self, reply: &Reply, frame: &Frame) -> Bytes;

    /// Writes a streamed answer to it.
    fn encoder(&self, frame: Frame) -> Box<dyn Encode>;
}

/// What an answer has that its provider did not say, or says otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// The answer's id without a prefix, for answers of providers that have none.
    pub id: String,
    /// Seconds since the Unix epoch.
    pub created: i64,
    /// The public model.
    pub model: String,
    /// Who made opaque state: given back to the client with it, so that it returns to its maker.
    pub origin: String,
}

/// A request for a provider.
#[derive(Debug, Clone, Default)]
pub struct Written {
    /// The body in pieces.
    pub body: Vec<Bytes>,
    /// Names of fields that do not reach the provider as the client meant them.
    pub dropped: Vec<Cow<'static, str>>,
}

/// Whom a request is written for.
#[derive(Debug, Clone, Default)]
pub struct Addressee<'a> {
    /// The provider's name of the model.
    pub model: &'a str,
    /// How its thinking is controlled.
    pub control: Control,
    /// Most tokens it writes, where known.
    pub max_output_tokens: Option<u64>,
    /// What it makes of the Chat Completions wire.
    pub quirks: &'a openai_chat::Quirks,
    /// Who it is to opaque state: only its own is sent to it.
    pub origin: &'a str,
}

/// A wire format spoken to providers.
pub trait Transport: Send + Sync {
    /// The wire.
    fn wire(&self) -> Wire;

    /// Writes a request. What the wire has no place for is named in `dropped`.
    ///
    /// # Errors
    /// `UnsupportedParameter` or `BadRequest` for what must not be left out silently.
    fn write_request(&self, request: &Request, to: &Addressee<'_>) -> Outcome<Written>;

    /// Reads a whole answer.
    ///
    /// # Errors
    /// [`ReplyError`].
    fn read_reply(&self, body: &[u8]) -> Result<Reply, ReplyError>;

    /// Reads a streamed answer.
    fn decoder(&self) -> Box<dyn Decode>;

    /// Reads the body of an error answer, whatever it is.
    fn read_error(&self, body: &[u8]) -> ProviderError;
}

/// Reads a provider's stream.
pub trait Decode: Send + fmt::Debug {
    /// Takes one event and answers whether it is the protocol's last.
    ///
    /// # Errors
    /// [`StreamError`].
    fn decode(&mut self, event: Option<&[u8]>, data: &[u8], out: &mut Vec<Delta>) -> Result<bool, StreamError>;
}

/// Writes a client's stream.
pub trait Encode: Send + fmt::Debug {
    /// Writes one event.
    fn encode(&mut self, delta: &Delta, out: &mut BytesMut);

    /// Writes what comes before the last event of a whole answer, and answers it as the client has it by then, in
    /// contracts whose answers can be kept. [`Self::close`] follows.
    fn complete(&mut self, _out: &mut BytesMut) -> Option<Bytes> {
        None
    }

    /// Notes that the answer is not kept after all: its last event says so.
    fn not_kept(&mut self) {}

    /// Writes the end of a whole answer.
    fn close(&mut self, out: &mut BytesMut);

    /// Writes the end of an answer that failed on the way.
    fn fail(&mut self, fault: &Fault, out: &mut BytesMut);
}

/// Scans a client's request.
///
/// # Errors
/// `InvalidJson`, or `BadRequest` that names the field; `NotFound` for a wire that clients do not speak.
pub fn scan(contract: Wire, body: Bytes) -> Outcome<Box<dyn Asked>> {
    Ok(match contract {
        Wire::Chat => Box::new(openai_chat::native::read_request(body)?),
        Wire::Responses => Box::new(openai_responses::native::read_request(body)?),
        Wire::Messages => Box::new(anthropic_messages::native::read_request(body)?),
        Wire::GenerateContent => return Err(Fault::new(Kind::NotFound).say("There is no endpoint of this contract.")),
    })
}

/// The transport that speaks a wire.
#[must_use]
pub fn transport(wire: Wire) -> &'static dyn Transport {
    match wire {
        Wire::Chat => &openai_chat::Chat,
        Wire::Responses => &openai_responses::Responses,
        Wire::Messages => &anthropic_messages::Messages,
        Wire::GenerateContent => &gemini::GenerateContent,
    }
}

/// The error event of a stream of which nothing was written yet but keep-alives.
#[must_use]
pub fn write_fault_event(contract: Wire, fault: &Fault) -> Bytes {
    match contract {
        Wire::Chat => openai_chat::fault::write_fault_event(fault),
        Wire::Responses => openai_responses::fault::write_fault_event(fault, 0),
        Wire::Messages => anthropic_messages::fault::write_fault_event(fault),
        Wire::GenerateContent => gemini::fault::write_fault_event(fault),
    }
}

/// A name of a field that is left out.
#[must_use]
pub fn dropped(name: &'static str) -> Cow<'static, str> {
    Cow::Borrowed(name)
}
