//! An answer as a list of steps, and the body that plays them.

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::Sleep;

/// What happens next on the wire.
#[derive(Debug)]
pub(super) enum Step {
    /// These bytes leave before the next step begins.
    Send(Bytes),
    /// One chunk per number, as fast as the reader takes them.
    Many(Range<usize>, fn(usize) -> Bytes),
    /// Silence for a while.
    Wait(Duration),
    /// Silence until the reader goes away.
    Stall,
    /// TCP reset.
    Reset,
}

/// A response: status, headers, and the steps of its body.
#[derive(Debug)]
pub(super) struct Script {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) steps: VecDeque<Step>,
}

/// What the stub does with one request.
#[derive(Debug)]
pub(super) enum Behaviour {
    Answer(Script),
    /// The request is read and the connection closed without an answer.
    HangUp,
    /// The request is read and nothing ever comes.
    Silence,
}

impl Script {
    pub(super) fn new(status: u16, content_type: &str, steps: impl IntoIterator<Item = Step>) -> Self {
        Self { status, headers: vec![("content-type", content_type.to_owned())], steps: steps.into_iter().collect() }
    }

    pub(super) fn json(status: u16, body: impl Into<Bytes>) -> Self {
        Self::new(status, "application/json", [Step::Send(body.into())])
    }

    /// An event stream, each frame in a write of its own.
    pub(super) fn events(frames: impl IntoIterator<Item = impl Into<Bytes>>) -> Self {
        Self::new(200, "text/event-stream; charset=utf-8", frames.into_iter().map(|frame| Step::Send(frame.into())))
    }

    pub(super) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(super) fn then(mut self, step: Step) -> Self {
        self.steps.push_back(step);
        self
    }

    /// Keeps the first `count` steps.
    pub(super) fn cut(mut self, count: usize) -> Self {
        self.steps.truncate(count);
        self
    }

    /// The same bytes in other portions.
    pub(super) fn portioned(mut self, size: usize) -> Self {
        let all: Vec<u8> = self.sent().flatten().copied().collect();
        self.steps = all.chunks(size).map(|portion| Step::Send(Bytes::copy_from_slice(portion))).collect();
        self
    }

    /// The same frames with a pause before each.
    pub(super) fn paced(mut self, pause: Duration) -> Self {
        self.steps = self.steps.into_iter().flat_map(|step| [Step::Wait(pause), step]).collect();
        self
    }

    /// What the steps send, in order.
    pub(super) fn sent(&self) -> impl Iterator<Item = &Bytes> {
        self.steps.iter().filter_map(|step| match step {
            Step::Send(bytes) => Some(bytes),
            Step::Many(..) | Step::Wait(_) | Step::Stall | Step::Reset => None,
        })
    }
}

/// Calls back if it is dropped before the exchange was over: then the reader has gone.
pub(super) struct Witness(Option<Box<dyn FnOnce() + Send + Sync>>);

impl Witness {
    pub(super) fn new(on_hang_up: impl FnOnce() + Send + Sync + 'static) -> Self {
        Self(Some(Box::new(on_hang_up)))
    }

    /// The exchange is over as far as the stub is concerned.
    pub(super) fn dismiss(&mut self) {
        self.0 = None;
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        if let Some(on_hang_up) = self.0.take() {
            on_hang_up();
        }
    }
}

/// Plays the steps of a [`Script`].
pub(super) struct Player {
    steps: VecDeque<Step>,
    wait: Option<Pin<Box<Sleep>>>,
    /// Set after each `Send`, so that its bytes are flushed before the next step.
    flush: bool,
    reset: Arc<AtomicBool>,
    sent_bytes: Arc<AtomicUsize>,
    witness: Witness,
}

impl Player {
    /// `reset` tells the socket to end with a TCP reset instead of a regular close; `sent_bytes` counts what is handed
    /// to it.
    pub(super) fn new(
        steps: VecDeque<Step>,
        reset: Arc<AtomicBool>,
        sent_bytes: Arc<AtomicUsize>,
        mut witness: Witness,
    ) -> Self {
        if steps.is_empty() {
            witness.dismiss();
        }
        Self { steps, wait: None, flush: false, reset, sent_bytes, witness }
    }

    fn only(&self) -> Option<&Bytes> {
        match (self.steps.len(), self.steps.front()) {
            (1, Some(Step::Send(bytes))) => Some(bytes),
            _ => None,
        }
    }

    fn frame(&mut self, bytes: Bytes) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if self.steps.is_empty() {
            self.witness.dismiss();
        }
        self.sent_bytes.fetch_add(bytes.len(), Ordering::Relaxed);
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }
}

impl Body for Player {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let this = self.get_mut();
        if std::mem::take(&mut this.flush) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        loop {
            if let Some(wait) = &mut this.wait {
                ready!(wait.as_mut().poll(context));
                this.wait = None;
            }
            match this.steps.pop_front() {
                None => {
                    this.witness.dismiss();
                    return Poll::Ready(None);
                }
                Some(Step::Send(bytes)) => {
                    this.flush = true;
                    return this.frame(bytes);
                }
                Some(Step::Many(mut range, make)) => {
                    let Some(number) = range.next() else { continue };
                    if !range.is_empty() {
                        this.steps.push_front(Step::Many(range, make));
                    }
                    return this.frame(make(number));
                }
                Some(Step::Wait(pause)) => this.wait = Some(Box::pin(tokio::time::sleep(pause))),
                Some(Step::Stall) => {
                    this.steps.push_front(Step::Stall);
                    return Poll::Pending;
                }
                Some(Step::Reset) => {
                    this.witness.dismiss();
                    this.reset.store(true, Ordering::Release);
                    return Poll::Ready(Some(Err(io::ErrorKind::ConnectionReset.into())));
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.steps.is_empty() && self.wait.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        match self.only() {
            Some(bytes) => SizeHint::with_exact(bytes.len() as u64),
            None => SizeHint::default(),
        }
    }
}
