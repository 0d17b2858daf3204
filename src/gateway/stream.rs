//! A committed stream, pumped to the client.
//!
//! Back-pressure is the bounded channel: while the client does not take, nothing is read and no timer of the provider
//! runs. A client that leaves cancels the provider's work at once; a client that takes nothing for too long is cut off.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout, timeout_at};

use super::Parts;
use super::attempt::{BrokenStream, OpenStream, Step, stream_failure};
use super::dispatch::{Opening, Told};
use super::metadata::{self, Head};
use super::settle::{Ending, Record};
use super::states::Keep;
use crate::canonical::Wire;
use crate::dialects::native::Signal;
use crate::dialects::write_fault_event;
use crate::fault::{Fault, Kind};
use crate::providers;
use crate::routing::Target;

/// After the semantic end we read on for usage, but not for longer than this.
const USAGE_WAIT: Duration = Duration::from_secs(5);
const KEEP_ALIVE: Bytes = Bytes::from_static(b": keep-alive\n\n");

/// A stream whose first output was seen.
pub(super) struct Committed {
    pub open: Box<OpenStream>,
    pub target: Arc<Target>,
    pub contract: Wire,
    pub record: Record,
    /// What keeps the answer when it is whole.
    pub keep: Option<Keep>,
    pub idle: Duration,
    pub end: Instant,
    /// Set when all of the answer was sent.
    pub is_whole: Arc<AtomicBool>,
}

/// Why a pump stops before the end of its stream.
enum Stop {
    /// The client left or takes nothing.
    ClientGone,
    /// The answer cannot be completed; the client is told.
    Failed(Fault),
}

/// Where the client's bytes go.
struct Client {
    sender: mpsc::Sender<Bytes>,
    write_timeout: Duration,
    /// Bytes of the answer that were sent.
    sent: AtomicU64,
}

impl Client {
    /// Sends a piece of the answer.
    async fn send(&self, bytes: Bytes) -> Result<(), Stop> {
        let length = bytes.len() as u64;
        self.send_uncounted(bytes).await?;
        self.sent.fetch_add(length, Ordering::Relaxed);
        Ok(())
    }

    fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    async fn send_uncounted(&self, bytes: Bytes) -> Result<(), Stop> {
        match timeout(self.write_timeout, self.sender.send(bytes)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Stop::ClientGone),
        }
    }
}

/// Keeps the client warm until the stream opens, then pumps it.
pub(super) async fn pump_when_open(
    parts: Arc<Parts>,
    mut opening: Opening,
    (contract, told): (Wire, Told),
    sender: mpsc::Sender<Bytes>,
) {
    let mut stopping = parts.stopping.clone();
    loop {
        let opened = tokio::select! {
            () = sender.closed() => return,
            opened = timeout(parts.bounds.keepalive, &mut opening) => opened,
            () = must_stop(&mut stopping) => Ok(Err(stopped())),
        };
        match opened {
            Ok(Ok(committed)) => return pump(parts, committed, sender).await,
            // The opening has recorded it.
            Ok(Err(fault)) => {
                let mut event = BytesMut::from(write_fault_event(contract, &fault).as_ref());
                if let Some(routing) = told.get() {
                    metadata::add_to_last_event(&mut event, routing);
                }
                return drop(sender.send(event.freeze()).await);
            }
            Err(_) => {
                if !matches!(timeout(parts.bounds.client_write_timeout, sender.send(KEEP_ALIVE)).await, Ok(Ok(()))) {
                    return;
                }
            }
        }
    }
}

/// Pumps a committed stream to its end and records it.
pub(super) async fn pump(parts: Arc<Parts>, mut stream: Committed, sender: mpsc::Sender<Bytes>) {
    let client = Client { sender, write_timeout: parts.bounds.client_write_timeout, sent: AtomicU64::new(0) };
    let _open = parts.metrics.stream_opens();
    let mut stopping = parts.stopping.clone();
    let head = if stream.record.explains() { Head::read(&stream.open.pending) } else { None };
    let ending = tokio::select! {
        pumped = stream.pump(&parts, &client) => pumped,
        () = must_stop(&mut stopping) => Err(Stop::Failed(stopped())),
    };
    let relay = &stream.open.relay;
    stream.record.reported(relay.usage(), relay.finish_reason(), relay.output_bytes());
    stream.record.streamed(&stream.open.moments);
    stream.record.wrote(client.sent());
    match ending {
        Ok(()) => {
            stream.keep_answer().await;
            stream.open.relay.write_closing(&mut stream.open.pending);
            if let Some(routing) = stream.record.routing().filter(|_| stream.open.is_events()) {
                metadata::add_to_stream(stream.contract, &mut stream.open.pending, head.as_ref(), &routing);
            }
            stream.record.wrote(client.sent() + stream.open.pending.len() as u64);
            stream.record.settle(Ending::Success, None).await;
            stream.is_whole.store(true, Ordering::Release);
            // Settled: a client that leaves now has its answer.
            _ = client.send(stream.open.pending.split().freeze()).await;
        }
        Err(Stop::ClientGone) if stream.open.relay.is_finished() => {
            stream.record.settle(Ending::Success, None).await;
            stream.keep_answer().await;
        }
        Err(Stop::ClientGone) => stream.record.settle(Ending::Cancelled, None).await,
        Err(Stop::Failed(fault)) => {
            let mut last = stream.open.pending.split();
            stream.open.relay.write_failure(&fault, &mut last);
            if let Some(routing) = stream.record.routing() {
                metadata::add_to_last_event(&mut last, &routing);
            }
            stream.record.wrote(client.sent() + last.len() as u64);
            stream.record.settle(Ending::Error, Some(&fault)).await;
            if !last.is_empty() {
                _ = client.send(last.freeze()).await;
            }
        }
    }
}

impl Committed {
    /// Keeps the whole answer before its last event says that it is kept.
    async fn keep_answer(&mut self) {
        let Some(keep) = self.keep.take() else { return };
        let is_kept = match self.open.relay.complete(&mut self.open.pending) {
            Some(response) => keep.save(&response, &self.target.opaque_id, self.record.request_id()).await,
            None => false,
        };
        if !is_kept {
            self.open.relay.not_kept();
        }
    }

    /// Reads and sends until the protocol's end. What is still to be sent then is in `open.pending`.
    async fn pump(&mut self, parts: &Parts, client: &Client) -> Result<(), Stop> {
        loop {
            if self.open.relay.is_finished() {
                return self.read_to_the_end(client).await;
            }
            if !self.open.pending.is_empty() {
                let before = Instant::now();
                client.send(self.open.pending.split().freeze()).await?;
                // What a slow client takes is not the provider's time.
                self.end += before.elapsed();
                self.record.was_blocked(before.elapsed());
            }
            let step = timeout_at(self.end, self.step(parts, client)).await.unwrap_or_else(|_| {
                Err(Stop::Failed(Fault::new(Kind::Timeout).say("The answer took longer than the gateway allows.")))
            })?;
            match step {
                Step::More(Signal::Done) => return Ok(()),
                Step::More(Signal::Nothing | Signal::Output | Signal::Finished) => {}
                Step::End if self.open.relay.is_complete() => return Ok(()),
                Step::End => {
                    let fault =
                        Fault::new(Kind::Upstream).say("The provider's stream ended before the answer was complete.");
                    // It counts against the provider as any other break does.
                    _ = self.failed(BrokenStream::Malformed("end without a terminal event"));
                    return Err(Stop::Failed(fault.because("end of stream without a terminal event")));
                }
            }
        }
    }

    /// One read, with keep-alives while the provider is silent.
    async fn step(&mut self, parts: &Parts, client: &Client) -> Result<Step, Stop> {
        let silent_until = Instant::now() + self.idle;
        loop {
            // A read that is cut short by a keep-alive has taken nothing from the socket yet.
            let read = tokio::select! {
                read = self.open.read_on(self.idle) => read,
                () = tokio::time::sleep(parts.bounds.keepalive) => {
                    if Instant::now() >= silent_until {
                        return Err(self.failed(BrokenStream::Read(crate::transport::ReadError::Stalled)));
                    }
                    if self.open.is_events() {
                        client.send_uncounted(KEEP_ALIVE).await?;
                    }
                    continue;
                }
                () = client.sender.closed() => return Err(Stop::ClientGone),
            };
            return read.map_err(|broken| self.failed(broken));
        }
    }

    /// The answer is complete: usage may follow. Nothing that goes wrong now can unmake it, nor can a client that leaves.
    async fn read_to_the_end(&mut self, client: &Client) -> Result<(), Stop> {
        let until = Instant::now() + USAGE_WAIT;
        let mut client_is_here = true;
        loop {
            if client_is_here && !self.open.pending.is_empty() {
                client_is_here = client.send(self.open.pending.split().freeze()).await.is_ok();
            }
            match timeout_at(until, self.open.read_on(self.idle)).await {
                Ok(Ok(Step::More(Signal::Nothing | Signal::Output | Signal::Finished))) => {}
                Ok(Ok(Step::More(Signal::Done) | Step::End) | Err(_)) | Err(_) => return Ok(()),
            }
        }
    }

    fn failed(&mut self, broken: BrokenStream) -> Stop {
        let Some(provider) = providers::find(&self.target.provider) else { return Stop::Failed(Kind::Upstream.into()) };
        let failure = stream_failure(broken, provider, &self.target);
        self.record.attempt_failed(&failure);
        // After the commit point every failure is the provider's: the request was good enough to be answered.
        let kind = if failure.timed_out { Kind::Timeout } else { Kind::Upstream };
        let sentence = "The provider failed while it was answering; the answer is incomplete.";
        Stop::Failed(Fault::new(kind).say(sentence).because(failure.cause))
    }
}

async fn must_stop(stopping: &mut watch::Receiver<bool>) {
    // A closed channel means that nobody will ever ask to stop.
    if stopping.wait_for(|must| *must).await.is_err() {
        std::future::pending::<()>().await;
    }
}

fn stopped() -> Fault {
    Fault::new(Kind::Unavailable).say("The gateway is shutting down; the answer is incomplete.")
}
