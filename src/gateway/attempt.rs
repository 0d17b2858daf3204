//! One call of one deployment, up to the point where its answer commits: a whole body, or the first output of a stream.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::{FutureExt, StreamExt, TryStreamExt};
use http::header::{ACCEPT, CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use tokio::time::{Instant, timeout_at};

use super::failure::{Detail, Failure, Repeat, sanitise};
use super::prepare::Prepared;
use super::task::Task;
use super::trace::{Moments, Trace};
use super::{Bounds, Parts};
use crate::dialects::media::Told;
use crate::dialects::native::{NativeReply, NativeStream, ProviderError, ReplyError, Signal, StreamError};
use crate::dialects::question::{Answered, Sending};
use crate::providers::echo::{self, Options};
use crate::providers::judge::{Evidence, judge};
use crate::providers::{self, Endpoint, Provider};
use crate::routing::{Candidate, Target};
use crate::telemetry::names::header;
use crate::telemetry::otel::trace::AttemptTrace;
use crate::transport::framing::{SseFrame, SseFramer};
use crate::transport::{Outgoing, ReadError, Reply, SendError};

const TRACEPARENT: HeaderName = HeaderName::from_static(header::TRACEPARENT);

/// Calls of one attempt that are under way at the same time.
const CALLS_AT_A_TIME: usize = 4;

/// What one attempt works with.
pub(super) struct AttemptInput<'a> {
    pub parts: &'a Parts,
    pub candidate: &'a Candidate,
    pub task: &'a dyn Task,
    pub forwarded: &'a HeaderMap,
    /// What it is sent.
    pub prepared: Prepared,
    /// Its trace, where there is one.
    pub span: Option<&'a AttemptTrace>,
    pub deadlines: Deadlines,
    /// What the wire shows.
    pub trace: &'a Trace,
}

/// When to give up, for one attempt.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadlines {
    /// The first semantic output of a stream.
    pub first_output: Duration,
    /// Silence while reading.
    pub idle: Duration,
    /// The whole request.
    pub end: Instant,
}

/// An answer that commits.
pub(super) enum Opened {
    /// A JSON body, and the names of request fields that were left out.
    Whole(Box<NativeReply>, Dropped),
    /// A stream whose first output was seen.
    Stream(Box<OpenStream>),
}

/// Names of request fields that did not reach the provider as sent.
pub type Dropped = Vec<Cow<'static, str>>;

/// A stream being read.
pub(super) struct OpenStream {
    upstream: Upstream,
    /// `None`: what comes is the content itself.
    framer: Option<SseFramer>,
    pub relay: Box<dyn NativeStream>,
    /// The media type of the answer; `None`: that of events.
    pub media_type: Option<String>,
    pub dropped: Dropped,
    /// Bytes for the client that are not sent yet.
    pub pending: BytesMut,
    pub moments: Moments,
    is_done: bool,
}

/// What reading on brought.
pub(super) enum Step {
    /// Bytes were added to `pending`, or not; nothing semantic was new.
    More(Signal),
    /// The protocol's last event, or the end of the body.
    End,
}

/// Where the bytes of an answer come from.
enum Upstream {
    Http(Reply),
    Local(LocalBody),
}

/// The body of an answer that is made here.
struct LocalBody {
    chunks: VecDeque<Bytes>,
    delay: Duration,
    /// When the next chunk is due. Kept here, so that a reader that gives up in between loses no time.
    due: Option<Instant>,
}

impl Upstream {
    fn media_type(&self) -> Option<String> {
        match self {
            Self::Http(reply) => content_type(&reply.headers).map(str::to_owned),
            Self::Local(_) => None,
        }
    }

    /// Whether it is a stream; what is made here for those who tell is whole.
    fn flows(&self, input: &AttemptInput<'_>) -> bool {
        match self {
            Self::Http(reply) => input.task.flows(input.candidate, content_type(&reply.headers)),
            Self::Local(_) => false,
        }
    }

    async fn next_chunk(&mut self, idle: Duration) -> Result<Option<Bytes>, ReadError> {
        match self {
            Self::Http(reply) => reply.next_chunk(idle).await,
            Self::Local(body) => {
                if !body.delay.is_zero() && !body.chunks.is_empty() {
                    let due = *body.due.get_or_insert_with(|| Instant::now() + body.delay);
                    tokio::time::timeout(idle, tokio::time::sleep_until(due)).await.map_err(|_| ReadError::Stalled)?;
                    body.due = None;
                }
                Ok(body.chunks.pop_front())
            }
        }
    }
}

/// Makes one attempt.
pub(super) async fn attempt(input: &AttemptInput<'_>) -> Result<Opened, Failure> {
    let target = &input.candidate.target;
    let provider = providers::find(&target.provider)
        .ok_or_else(|| Failure::configuration(format!("unknown provider `{}`", target.provider)))?;
    let is_stream = input.task.is_stream();
    let until = if is_stream {
        input.deadlines.end.min(Instant::now() + input.deadlines.first_output)
    } else {
        input.deadlines.end
    };
    let attempted = async {
        if !is_stream {
            return read_whole(input, provider, until).await;
        }
        let upstream = open(input, provider, input.prepared.sends.first(), until).await?;
        if input.task.tells() && !upstream.flows(input) {
            return tell_whole(upstream, input, provider).await;
        }
        let media_type =
            upstream.media_type().filter(|kind| input.task.streams_as().is_some() && kind.starts_with("audio/"));
        let relay = input.task.relay(input.candidate).ok_or_else(|| {
            Failure::configuration("the wire shape of the deployment has no streams for this operation".to_owned())
        })?;
        let dropped = input.prepared.dropped.clone();
        let frame_bytes = if input.task.tells() {
            // Whole pictures come in one event.
            input.parts.bounds.reply_bytes
        } else {
            input.parts.bounds.frame_bytes
        };
        let framer = input.task.streams_as().is_none().then(|| SseFramer::new(frame_bytes));
        let moments = Moments::new(Arc::clone(&input.parts.clock));
        let stream = OpenStream { media_type, ..OpenStream::new(upstream, framer, relay, dropped, moments) };
        stream.until_first_output(provider, target, input.deadlines.idle.max(input.deadlines.first_output)).await
    };
    timeout_at(until, attempted).await.unwrap_or_else(|_| Err(Failure::timed_out("no output in time")))
}

/// Reads a whole answer, and tells it as a stream.
async fn tell_whole(upstream: Upstream, input: &AttemptInput<'_>, provider: &Provider) -> Result<Opened, Failure> {
    let answered = read_answered(upstream, input).await?;
    let reply = read_reply(input, provider, vec![answered]).await?;
    let chunks = reply.body.into_iter().filter(|piece| !piece.is_empty()).collect();
    let upstream = Upstream::Local(LocalBody { chunks, delay: Duration::ZERO, due: None });
    let relay = Box::new(Told::new(reply.usage, reply.finish_reason));
    let media_type = reply.media_type.filter(|_| input.task.streams_as().is_some());
    let moments = Moments::new(Arc::clone(&input.parts.clock));
    let dropped = input.prepared.dropped.clone();
    let stream = OpenStream { media_type, ..OpenStream::new(upstream, None, relay, dropped, moments) };
    let idle = input.deadlines.idle;
    stream.until_first_output(provider, &input.candidate.target, idle).await
}

/// Sends one request. The built-in preset answers without a socket.
async fn open(
    input: &AttemptInput<'_>,
    provider: &Provider,
    sending: Option<&Sending>,
    until: Instant,
) -> Result<Upstream, Failure> {
    match sending {
        Some(sending) => open_http(input, provider, sending, until).await,
        None => {
            let opened = open_echo(input, &input.candidate.target).await;
            input.trace.answered(input.parts.clock.instant(), &HeaderMap::new());
            opened
        }
    }
}

async fn open_http(
    input: &AttemptInput<'_>,
    provider: &Provider,
    sending: &Sending,
    until: Instant,
) -> Result<Upstream, Failure> {
    let target = &input.candidate.target;
    let nothing = HeaderMap::new();
    let transport = input.candidate.transport;
    let forwarded = if input.task.forwards_headers(transport) { input.forwarded } else { &nothing };
    let is_stream = input.task.asks_stream(input.candidate);
    let endpoint = Endpoint { transport, model: &target.upstream_model, is_stream };
    let mut outgoing = providers::address(provider, &target.credentials, endpoint, forwarded, sending.body.clone())
        .map_err(|error| Failure::configuration(error.to_string()))?;
    if let Some(media_type) = &sending.media_type {
        let media_type =
            HeaderValue::try_from(media_type).map_err(|error| Failure::configuration(error.to_string()))?;
        outgoing.headers.insert(CONTENT_TYPE, media_type);
    }
    if let Some(span) = input.span {
        name_trace(span, &mut outgoing);
    }
    if let (Some(uploaded), false) = (input.task.uploaded(), sending.parts.is_empty()) {
        let pieces = uploaded.pieces(sending.parts.clone()).map_err(|fault| Failure::refused(&fault))?;
        outgoing.body = pieces.into();
    }
    if let Some(sibling) = sending.sibling {
        outgoing = providers::beside(outgoing, sibling).map_err(|error| Failure::configuration(error.to_string()))?;
    }
    if input.task.streams_as().is_some() {
        outgoing.headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
    }
    let within = until.saturating_duration_since(Instant::now());
    let mut reply = input.parts.client.send(outgoing, within).await.map_err(|error| send_failure(&error))?;
    input.trace.answered(input.parts.clock.instant(), &reply.headers);
    if reply.status != StatusCode::OK {
        let read = |body: &[u8]| input.task.read_error(transport, body);
        return Err(error_answer(&mut reply, provider, target, &read, input.parts.bounds).await);
    }
    if let Some(encoding) = reply.headers.get(CONTENT_ENCODING)
        && encoding != "identity"
    {
        return Err(Failure::transient(Repeat::Once, "the answer is compressed though identity was asked for"));
    }
    let flows = input.task.flows(input.candidate, content_type(&reply.headers));
    if input.task.is_stream() && !flows && !input.task.tells() {
        return Err(not_a_stream(&mut reply, input, provider).await);
    }
    Ok(Upstream::Http(reply))
}

/// Notes where the call goes, and tells the provider of the trace: its own id and span of ours. What vendors keep in a
/// trace, and what clients say of themselves in it, stays here.
fn name_trace(span: &AttemptTrace, outgoing: &mut Outgoing) {
    if let Some(host) = outgoing.uri.host() {
        let is_plain = outgoing.uri.scheme_str() == Some("http");
        span.goes_to(host, outgoing.uri.port_u16().unwrap_or(if is_plain { 80 } else { 443 }));
    }
    if let Some(value) = span.traceparent().and_then(|text| HeaderValue::try_from(text).ok()) {
        outgoing.headers.insert(TRACEPARENT, value);
    }
}

/// A stream was asked for and something else came: an error in JSON, usually.
async fn not_a_stream(reply: &mut Reply, input: &AttemptInput<'_>, provider: &Provider) -> Failure {
    let body = match reply.read_capped(input.parts.bounds.error_bytes, input.deadlines.idle).await {
        Ok(body) => body,
        Err(error) => return read_failure(&error),
    };
    match input.task.read_reply(input.candidate, vec![Answered { body, media_type: None }]) {
        Err(ReplyError::Provider(error)) => stated(&error, Some(200), provider, &input.candidate.target),
        Err(ReplyError::Malformed(_)) | Ok(_) => {
            Failure::transient(Repeat::Once, "a stream was asked for and the answer is none")
        }
    }
}

/// Sends all requests of an attempt, a few at a time, and reads their answers into one.
async fn read_whole(input: &AttemptInput<'_>, provider: &Provider, until: Instant) -> Result<Opened, Failure> {
    let answers = match input.prepared.sends.as_slice() {
        [] | [_] => vec![read_one(input, provider, input.prepared.sends.first(), until).await?],
        sends => {
            let mut reading = Vec::with_capacity(sends.len());
            for sending in sends {
                reading.push(read_one(input, provider, Some(sending), until).boxed());
            }
            futures_util::stream::iter(reading).buffered(CALLS_AT_A_TIME).try_collect().await?
        }
    };
    let reply = read_reply(input, provider, answers).await?;
    Ok(Opened::Whole(Box::new(reply), input.prepared.dropped.clone()))
}

async fn read_reply(
    input: &AttemptInput<'_>,
    provider: &Provider,
    answers: Vec<Answered>,
) -> Result<NativeReply, Failure> {
    let reply = input.task.read_reply(input.candidate, answers).map_err(|error| match error {
        ReplyError::Provider(error) => stated(&error, Some(200), provider, &input.candidate.target),
        ReplyError::Malformed(what) => Failure::transient(Repeat::Once, format!("the answer is malformed: {what}")),
    })?;
    input.task.complete(input.parts, reply).await
}

async fn read_one(
    input: &AttemptInput<'_>,
    provider: &Provider,
    sending: Option<&Sending>,
    until: Instant,
) -> Result<Answered, Failure> {
    let upstream = open(input, provider, sending, until).await?;
    read_answered(upstream, input).await
}

async fn read_answered(upstream: Upstream, input: &AttemptInput<'_>) -> Result<Answered, Failure> {
    match upstream {
        Upstream::Http(mut reply) => {
            let media_type = content_type(&reply.headers).map(str::to_owned);
            let body = reply.read_capped(input.parts.bounds.reply_bytes, input.deadlines.idle).await;
            Ok(Answered { body: body.map_err(|error| read_failure(&error))?, media_type })
        }
        Upstream::Local(mut body) => {
            Ok(Answered { body: body.chunks.pop_front().unwrap_or_default(), media_type: None })
        }
    }
}

impl OpenStream {
    fn new(
        upstream: Upstream,
        framer: Option<SseFramer>,
        relay: Box<dyn NativeStream>,
        dropped: Dropped,
        moments: Moments,
    ) -> Self {
        Self { upstream, framer, relay, media_type: None, dropped, pending: BytesMut::new(), moments, is_done: false }
    }

    /// Whether it is one of events, amid which more can be said.
    pub(super) fn is_events(&self) -> bool {
        self.framer.is_some()
    }

    async fn until_first_output(
        mut self,
        provider: &Provider,
        target: &Target,
        idle: Duration,
    ) -> Result<Opened, Failure> {
        loop {
            match self.read_on(idle).await {
                Ok(Step::More(Signal::Nothing)) => {}
                Ok(Step::More(Signal::Output | Signal::Finished | Signal::Done)) => {
                    return Ok(Opened::Stream(Box::new(self)));
                }
                Ok(Step::End) if self.relay.is_complete() => return Ok(Opened::Stream(Box::new(self))),
                Ok(Step::End) => return Err(Failure::transient(Repeat::Once, "the stream ended before any output")),
                Err(error) => return Err(stream_failure(error, provider, target)),
            }
        }
    }

    /// Reads the next bytes and relays the frames in them. Everything that one read brings is one piece for the client.
    pub(super) async fn read_on(&mut self, idle: Duration) -> Result<Step, BrokenStream> {
        if self.is_done {
            return Ok(Step::End);
        }
        self.moments.waits();
        let chunk = self.upstream.next_chunk(idle).await?;
        self.moments.came();
        let Some(chunk) = chunk else {
            self.is_done = true;
            let last = self.framer.as_mut().and_then(SseFramer::finish);
            let Some(last) = last else { return Ok(Step::End) };
            return Ok(match self.relay_frame(&last)? {
                Signal::Nothing | Signal::Done => Step::End,
                signal @ (Signal::Output | Signal::Finished) => Step::More(signal),
            });
        };
        let Some(framer) = &mut self.framer else {
            let signal = self.relay.relay(None, &chunk, &mut self.pending);
            self.moments.progressed(self.relay.progress());
            return Ok(Step::More(signal?));
        };
        framer.push(&chunk);
        let mut signal = Signal::Nothing;
        while let Some(frame) = self
            .framer
            .as_mut()
            .map_or(Ok(None), SseFramer::next_frame)
            .map_err(|_| BrokenStream::Malformed("an event is too large"))?
        {
            signal = signal.max(self.relay_frame(&frame)?);
            if signal == Signal::Done {
                self.is_done = true;
                // A `[DONE]` without any output is no answer.
                let has_output = self.relay.output_bytes() > 0 || self.relay.is_finished();
                return Ok(if has_output { Step::More(Signal::Done) } else { Step::End });
            }
        }
        Ok(Step::More(signal))
    }

    fn relay_frame(&mut self, frame: &SseFrame) -> Result<Signal, BrokenStream> {
        // Comments are the provider's keep-alives; ours are sent by us.
        let Some(data) = &frame.data else { return Ok(Signal::Nothing) };
        let signal = self.relay.relay(frame.event.as_deref(), data, &mut self.pending);
        self.moments.progressed(self.relay.progress());
        Ok(signal?)
    }
}

/// Why a stream broke.
#[derive(Debug)]
pub(super) enum BrokenStream {
    Read(ReadError),
    Provider(Box<ProviderError>),
    Malformed(&'static str),
}

impl From<ReadError> for BrokenStream {
    fn from(error: ReadError) -> Self {
        Self::Read(error)
    }
}

impl From<StreamError> for BrokenStream {
    fn from(error: StreamError) -> Self {
        match error {
            StreamError::Provider(error) => Self::Provider(error),
            StreamError::Malformed(what) => Self::Malformed(what),
        }
    }
}

/// What a broken stream is and does.
pub(super) fn stream_failure(error: BrokenStream, provider: &Provider, target: &Target) -> Failure {
    match error {
        BrokenStream::Read(error) => read_failure(&error),
        BrokenStream::Provider(error) => stated(&error, None, provider, target),
        BrokenStream::Malformed(what) => Failure::transient(Repeat::Once, format!("the stream is malformed: {what}")),
    }
}

pub(super) fn send_failure(error: &SendError) -> Failure {
    let cause = chain(error);
    match error {
        SendError::Connect(_) | SendError::Unprocessed(_) => Failure::transient(Repeat::Safe, cause),
        SendError::Broken(_) => Failure::transient(Repeat::Once, cause),
        SendError::TimedOut => Failure::timed_out(cause),
    }
}

pub(super) fn read_failure(error: &ReadError) -> Failure {
    match error {
        ReadError::Stalled => Failure::timed_out(chain(error)),
        ReadError::Cut(_) => Failure::transient(Repeat::Once, chain(error)),
        ReadError::TooLarge(_) => Failure { is_ours: true, ..Failure::transient(Repeat::Once, chain(error)) },
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

pub(super) async fn error_answer(
    reply: &mut Reply,
    provider: &Provider,
    target: &Target,
    read: &(dyn Fn(&[u8]) -> ProviderError + Sync),
    bounds: Bounds,
) -> Failure {
    let status = reply.status.as_u16();
    let retry_after = read_retry_after(&reply.headers);
    // The body explains; without it the status has to do.
    let body = reply.read_capped(bounds.error_bytes, Duration::from_secs(5)).await.unwrap_or_default();
    let error = read(&body);
    let failure = stated(&error, Some(status), provider, target);
    Failure { retry_after: retry_after.or(failure.retry_after), ..failure }
}

fn stated(error: &ProviderError, status: Option<u16>, provider: &Provider, target: &Target) -> Failure {
    let evidence = Evidence {
        status,
        stated_status: error.status,
        kind: error.kind.as_deref(),
        code: error.code.as_deref(),
        message: &error.message,
        retry_after: error.retry_after,
    };
    let verdict = judge(provider, &evidence);
    let message = sanitise(&error.message, target);
    let shown_status = status.filter(|status| *status >= 400).or(error.status);
    let cause = format!(
        "the provider answered {} {}: {message}",
        shown_status.map_or_else(|| "an error".to_owned(), |status| status.to_string()),
        error.code.as_deref().or(error.kind.as_deref()).unwrap_or("(no code)"),
    );
    let param = error.param.as_deref().filter(|param| param.len() <= 200).map(|param| sanitise(param, target));
    Failure {
        class: verdict.class,
        repeat: Repeat::Safe,
        timed_out: shown_status == Some(504),
        status: shown_status,
        retry_after: verdict.retry_after,
        detail: Some(Detail { message, param }),
        refused_as: None,
        is_ours: false,
        cause,
    }
}

fn content_type(headers: &HeaderMap) -> Option<&str> {
    headers.get(CONTENT_TYPE)?.to_str().ok()
}

/// `retry-after` in seconds, or `retry-after-ms`. Dates are not used by providers.
fn read_retry_after(headers: &HeaderMap) -> Option<Duration> {
    let number = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse::<f64>().ok().filter(|n| *n >= 0.0);
    let ms = number(crate::telemetry::names::header::RETRY_AFTER_MS).map(|ms| ms / 1000.0);
    let seconds = ms.or_else(|| number(RETRY_AFTER.as_str()))?;
    Duration::try_from_secs_f64(seconds.min(86_400.0)).ok()
}

/// The built-in preset: the same lane, without a socket.
async fn open_echo(input: &AttemptInput<'_>, target: &Target) -> Result<Upstream, Failure> {
    let options = Options::from_metadata(target.metadata.as_deref()).map_err(Failure::configuration)?;
    if !options.delay().is_zero() {
        tokio::time::sleep(options.delay()).await;
    }
    if let Some(status) = options.fail_status {
        let error =
            ProviderError { message: format!("echo was told to fail with {status}"), ..ProviderError::default() };
        return Err(stated(&error, Some(status), &echo::PROVIDER, target));
    }
    let mut chunks = input.task.echo(input.candidate, &options)?;
    if !input.task.is_stream() {
        return Ok(Upstream::Local(LocalBody { chunks, delay: Duration::ZERO, due: None }));
    }
    if let Some(most) = options.cut_after_chunks {
        chunks.truncate(usize::try_from(most).unwrap_or(usize::MAX));
    }
    Ok(Upstream::Local(LocalBody { chunks, delay: options.chunk_delay(), due: None }))
}
