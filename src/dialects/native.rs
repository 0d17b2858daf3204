//! What every dialect's native lane answers to the gateway: the body is relayed, not rebuilt, and watched on the way.

use std::time::Duration;

use bytes::{Bytes, BytesMut};

use crate::canonical::TokenUsage;
use crate::fault::Fault;

/// An error as a provider stated it. Its words never reach a client unread.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProviderError {
    /// The status stated inside the error, where there is one.
    pub status: Option<u16>,
    /// `type` of the error.
    pub kind: Option<String>,
    /// `code` of the error; numbers as text.
    pub code: Option<String>,
    /// `param` of the error.
    pub param: Option<String>,
    /// The provider's words.
    pub message: String,
    /// How long it asks to wait, where the error itself says so.
    pub retry_after: Option<Duration>,
}

/// A whole answer, ready for the client.
#[derive(Debug, Default)]
pub struct NativeReply {
    /// The body in pieces, the public model spliced in.
    pub body: Vec<Bytes>,
    /// What it used, when the provider said.
    pub usage: Option<TokenUsage>,
    /// Its finish reason, as stated.
    pub finish_reason: Option<String>,
    /// Its media type; `None`: JSON.
    pub media_type: Option<String>,
}

/// Why a whole answer is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReplyError {
    /// The provider stated an error under a success status.
    Provider(Box<ProviderError>),
    /// Not an answer of this protocol.
    Malformed(&'static str),
}

/// What one event of a stream means, the weightier later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Signal {
    /// Nothing that counts: a role, an empty delta, usage.
    Nothing,
    /// The first kind of thing that commits the answer: text, reasoning, a tool call.
    Output,
    /// The protocol's semantic end was seen; usage may still follow.
    Finished,
    /// The protocol's last event.
    Done,
}

/// Why a stream cannot go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamError {
    /// The provider said so in an event.
    Provider(Box<ProviderError>),
    /// An event that is not what the protocol allows.
    Malformed(&'static str),
}

/// How far a streamed answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// Whether reasoning was streamed.
    pub has_reasoned: bool,
    /// Whether anything else of the answer was: text, a tool call, sound.
    pub has_answered: bool,
}

/// Watches and splices one streamed answer.
pub trait NativeStream: Send {
    /// Takes one event, writes what the client is to get of it to `out`, and says what it means.
    ///
    /// # Errors
    /// [`StreamError`]; nothing of the event is for the client.
    fn relay(&mut self, event: Option<&[u8]>, data: &Bytes, out: &mut BytesMut) -> Result<Signal, StreamError>;

    /// Writes what comes before the last event of a stream whose semantic end was seen, and answers the whole answer as
    /// the client has it by then, in contracts whose answers can be kept. [`Self::write_closing`] follows.
    fn complete(&mut self, _out: &mut BytesMut) -> Option<Bytes> {
        None
    }

    /// Notes that the answer is not kept after all: its last event says so.
    fn not_kept(&mut self) {}

    /// Writes what the client gets after the last event of a stream whose semantic end was seen.
    fn write_closing(&mut self, out: &mut BytesMut);

    /// Writes what the client gets when the answer fails on the way.
    fn write_failure(&mut self, fault: &Fault, out: &mut BytesMut);

    /// Whether the semantic end was seen: nothing but usage can follow.
    fn is_finished(&self) -> bool;

    /// Whether a stream that ends here is a whole answer.
    fn is_complete(&self) -> bool;

    /// Usage seen so far.
    fn usage(&self) -> Option<TokenUsage>;

    /// Finish reason seen so far.
    fn finish_reason(&self) -> Option<&str>;

    /// How far the answer is.
    fn progress(&self) -> Progress {
        Progress { has_reasoned: false, has_answered: self.output_bytes() > 0 }
    }

    /// Bytes of text, reasoning and tool arguments seen so far, for an estimate where usage never came.
    fn output_bytes(&self) -> u64;
}
