//! OpenTelemetry: traces and metrics to a collector, over OTLP.
//!
//! - [`context`]: what a client says of its trace; [`sampler`]: which traces are recorded.
//! - [`trace`]: the spans of one request.
//! - [`export`]: batches of spans, and metrics at intervals, to whoever delivers them.
//! - `figures`: the metrics of the gateway as OpenTelemetry names them; `wire`: the messages.
//!
//! A request hands its spans to a queue with a bound and never waits: what finds the queue full, and what a collector does
//! not take, is dropped and counted. Prompts, answers and secrets are in no span.

pub mod context;
pub mod export;
mod figures;
pub mod sampler;
pub mod trace;
mod wire;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use context::TraceContext;
use sampler::Sampler;
use trace::{Span, Trace};

/// How traces and metrics are made and sent.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Which traces are recorded.
    pub sampler: Sampler,
    /// Whether clients' trace context is read and providers are told of the trace.
    pub propagates: bool,
    /// Whether spans are sent.
    pub sends_traces: bool,
    /// Whether metrics are sent.
    pub sends_metrics: bool,
    /// What is said of this process, `service.name` first.
    pub resource: Vec<(String, String)>,
    /// Spans that wait to be sent; more are dropped.
    pub queue: usize,
    /// Spans that are sent together.
    pub batch: usize,
    /// How long spans wait for others.
    pub delay: Duration,
    /// Between reports of metrics.
    pub interval: Duration,
}

/// `gen_ai.operation.name` of an operation; those that the conventions do not know keep their word.
#[must_use]
pub fn operation_name(operation: &str) -> &str {
    match operation {
        "text.generate" => "chat",
        "embedding.create" => "embeddings",
        other => other,
    }
}

/// What became of what was to be sent.
#[derive(Debug, Default)]
pub struct Sent {
    /// Spans that a collector took.
    pub spans: AtomicU64,
    /// Spans that found the queue full.
    pub spans_crowded_out: AtomicU64,
    /// Spans that a collector did not take.
    pub spans_undelivered: AtomicU64,
    /// Reports of metrics that a collector took.
    pub reports: AtomicU64,
    /// Reports of metrics that it did not take.
    pub reports_undelivered: AtomicU64,
    /// Whether the last message was not taken.
    pub is_down: AtomicBool,
}

/// Fills a buffer with random bytes.
pub type Dice = Arc<dyn Fn(&mut [u8]) + Send + Sync>;

/// Makes traces.
pub struct Tracer {
    settings: Settings,
    dice: Dice,
    queue: mpsc::Sender<Span>,
    sent: Arc<Sent>,
}

impl std::fmt::Debug for Tracer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tracer").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Tracer {
    /// A tracer, and where its spans come out.
    #[must_use]
    pub fn new(settings: Settings, dice: Dice, sent: Arc<Sent>) -> (Arc<Self>, mpsc::Receiver<Span>) {
        let (queue, spans) = mpsc::channel(settings.queue.max(1));
        (Arc::new(Self { settings, dice, queue, sent }), spans)
    }

    /// The trace of a request that begins at `now`, monotonic and in milliseconds since 1970. `None` where no traces are
    /// made.
    #[must_use]
    pub fn begin(self: &Arc<Self>, caller: Option<TraceContext>, now: (Instant, i64)) -> Option<Trace> {
        let caller = caller.filter(|_| self.settings.propagates);
        self.settings.sends_traces.then(|| Trace::begin(Arc::clone(self), caller, now))
    }

    fn hand_over(&self, span: Span) {
        if self.queue.try_send(span).is_err() {
            self.sent.spans_crowded_out.fetch_add(1, Ordering::Relaxed);
        }
    }
}
