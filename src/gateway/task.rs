//! What a client asks for, as the frame of every operation sees it. Admission, routing, deadlines, retries, settlement and
//! errors are the same for all; an operation says what it is, how it is written for a candidate, and how an answer is read.

use std::borrow::Cow;
use std::collections::VecDeque;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::time::Instant;

use super::Parts;
use super::failure::Failure;
use super::form::Uploaded;
use super::prepare::{Manner, Prepared};
use crate::canonical::text::Request;
use crate::canonical::{TokenUsage, Wire};
use crate::dialects::native::{NativeReply, NativeStream, ProviderError, ReplyError};
use crate::dialects::question::Answered;
use crate::dialects::weight::Weight;
use crate::domain::operation::{Operation, Transport};
use crate::fault::Outcome;
use crate::ledger::estimate::Size;
use crate::providers::echo::Options;
use crate::routing::{Candidate, Target};

/// What a client asks for.
#[async_trait]
pub(super) trait Task: Send + Sync {
    /// What it is.
    fn operation(&self) -> Operation;

    /// The contract's word, for the record.
    fn contract(&self) -> &'static str;

    /// Whose way of writing events and errors a stream has.
    fn wire(&self) -> Wire {
        Wire::Chat
    }

    /// The public model it names.
    fn model(&self) -> &str;

    /// The size of its body.
    fn size(&self) -> Size;

    /// Its body, where the response cache may have a part in it: JSON that says all that is asked.
    fn cacheable(&self) -> Option<&Bytes> {
        None
    }

    /// Whether the answer is to be streamed.
    fn is_stream(&self) -> bool {
        false
    }

    /// Whether a stream is asked of a candidate; otherwise its answer comes whole, and is told as one.
    fn asks_stream(&self, _candidate: &Candidate) -> bool {
        self.is_stream()
    }

    /// Wire shapes that can carry it, the client's own first.
    fn transports(&self) -> &'static [Transport];

    /// The opaque id of the deployment whose state it brings.
    fn origin(&self) -> Option<&str> {
        None
    }

    /// What keeps requests together that one deployment is to serve.
    fn session(&self) -> Option<Cow<'_, str>> {
        None
    }

    /// How much of it a candidate loses, compared with others: those of a tier that lose less are tried first.
    fn loss(&self, _candidate: &Candidate) -> u8 {
        0
    }

    /// How long the first output of a stream may take at a deployment, where the operator has not said.
    fn first_output_ms(&self, _target: &Target) -> u32 {
        0
    }

    /// What its price depends on; looked at for keys with limits only.
    ///
    /// # Errors
    /// `BadRequest` that names a field.
    fn weigh(&self) -> Outcome<Weight> {
        Ok(Weight { choices: 1, ..Weight::default() })
    }

    /// The request in the neutral form, where it is text that can be counted.
    fn text(&self) -> Option<Request> {
        None
    }

    /// What it will use at a deployment, where its input is so many tokens by its size: for holds, and for answers that do
    /// not say. `None`: the input, and as much text as the model usually writes.
    fn expects(&self, _target: &Target, _input: u64) -> Option<TokenUsage> {
        None
    }

    /// What it may use at most, for a key whose budget is never to be overdrawn.
    fn may_use(&self, target: &Target, input: u64) -> Option<TokenUsage> {
        self.expects(target, input)
    }

    /// The media type of a stream that is the content itself; `None`: a stream of events.
    fn streams_as(&self) -> Option<&'static str> {
        None
    }

    /// Whether an answer of a candidate is a stream, by its media type.
    fn flows(&self, _candidate: &Candidate, media_type: Option<&str>) -> bool {
        media_type.is_some_and(|kind| kind.starts_with("text/event-stream"))
    }

    /// Whether an answer that comes whole, though a stream was asked for, is read and told as one.
    fn tells(&self) -> bool {
        false
    }

    /// The files that [`crate::dialects::question::Sending::parts`] speaks of.
    fn uploaded(&self) -> Option<&Uploaded> {
        None
    }

    /// Completes an answer with what is not in it.
    ///
    /// # Errors
    /// The answer cannot be had whole.
    async fn complete(&self, _parts: &Parts, reply: NativeReply) -> Result<NativeReply, Failure> {
        Ok(reply)
    }

    /// The request as one candidate gets it.
    ///
    /// # Errors
    /// `Request` failures that are our own refusal: another candidate may take it.
    async fn prepare(
        &self,
        parts: &Parts,
        candidate: &Candidate,
        manner: Manner,
        end: Instant,
    ) -> Result<Prepared, Failure>;

    /// Whether the client's own headers mean something to a candidate.
    fn forwards_headers(&self, _transport: Transport) -> bool {
        false
    }

    /// Reads the body of an error answer, whatever it is.
    fn read_error(&self, transport: Transport, body: &[u8]) -> ProviderError;

    /// Reads whole answers, one for each of [`Prepared::sends`], and writes one for the client.
    ///
    /// # Errors
    /// [`ReplyError`].
    fn read_reply(&self, candidate: &Candidate, answers: Vec<Answered>) -> Result<NativeReply, ReplyError>;

    /// What relays a streamed answer; `None` where the operation has none.
    fn relay(&self, _candidate: &Candidate) -> Option<Box<dyn NativeStream>> {
        None
    }

    /// What the built-in preset answers, in the wire of the candidate: a body, or one piece for each event.
    ///
    /// # Errors
    /// Our own refusal.
    fn echo(&self, candidate: &Candidate, options: &Options) -> Result<VecDeque<Bytes>, Failure>;
}
