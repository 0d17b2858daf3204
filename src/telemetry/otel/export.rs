//! Sends what was gathered: spans in batches, metrics at intervals. One task, one message under way.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use prost::Message;
use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

pub use super::figures::ProviderName;

use super::super::metrics::Metrics;
use super::trace::Span;
use super::wire::{
    Figures, KeyValue, Resource, ResourceMetrics, ResourceSpans, Scope, ScopeMetrics, ScopeSpans, Traces,
};
use super::{Sent, Settings, figures};
use crate::time::Clock;

/// At the end of the process, what is still there is sent within this.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// A collector that may take it later is asked so often.
const TRIES: u32 = 3;
const FIRST_PAUSE: Duration = Duration::from_millis(250);

/// What is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// `ExportTraceServiceRequest`.
    Traces,
    /// `ExportMetricsServiceRequest`.
    Metrics,
}

/// Why a collector did not take something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undelivered {
    /// Whether it may take it later.
    pub may_pass: bool,
    /// For the log.
    pub reason: String,
}

/// Takes messages to a collector, each within a bounded time.
#[async_trait]
pub trait Deliver: Send + Sync {
    /// Delivers one.
    ///
    /// # Errors
    /// [`Undelivered`].
    async fn deliver(&self, signal: Signal, message: Bytes) -> Result<(), Undelivered>;
}

/// What the task works with.
pub struct Exporter {
    /// How.
    pub settings: Settings,
    /// Where spans come out.
    pub spans: mpsc::Receiver<Span>,
    /// What is reported.
    pub metrics: Arc<Metrics>,
    /// Names of the conventions.
    pub provider_name: ProviderName,
    /// The collector.
    pub collector: Arc<dyn Deliver>,
    /// Counts what becomes of it.
    pub sent: Arc<Sent>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for Exporter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Exporter").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Exporter {
    /// Until `stop` is `true`; what is there by then is sent, for a moment.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let start = self.unix_ns();
        let mut ending = stop.clone();
        let mut reports = interval(self.settings.interval);
        reports.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The first one is due after an interval, not at once.
        reports.reset();
        let mut batch = Vec::new();
        let mut due = pin!(sleep(self.settings.delay));
        loop {
            tokio::select! {
                () = ends(&mut stop) => break,
                Some(span) = self.spans.recv() => {
                    if batch.is_empty() {
                        due.set(sleep(self.settings.delay));
                    }
                    batch.push(span);
                    if batch.len() >= self.settings.batch {
                        self.send_spans(&mut batch, &mut ending).await;
                    }
                }
                () = &mut due, if !batch.is_empty() => self.send_spans(&mut batch, &mut ending).await,
                _ = reports.tick(), if self.settings.sends_metrics => self.report(start, &mut ending).await,
            }
        }
        let flush = async {
            while let Ok(span) = self.spans.try_recv() {
                batch.push(span);
                if batch.len() >= self.settings.batch {
                    self.send_spans(&mut batch, &mut ending).await;
                }
            }
            self.send_spans(&mut batch, &mut ending).await;
            if self.settings.sends_metrics {
                self.report(start, &mut ending).await;
            }
        };
        if timeout(LAST_WORDS, flush).await.is_err() {
            tracing::warn!("the collector of traces and metrics did not take the last of them in time");
        }
    }

    async fn send_spans(&self, batch: &mut Vec<Span>, stop: &mut watch::Receiver<bool>) {
        if batch.is_empty() {
            return;
        }
        let spans: Vec<_> = batch.drain(..).map(|span| *span.wire).collect();
        let count = u64::try_from(spans.len()).unwrap_or(u64::MAX);
        let scope_spans = vec![ScopeSpans { scope: Some(scope()), spans }];
        let message = Traces { resource_spans: vec![ResourceSpans { resource: Some(self.resource()), scope_spans }] };
        let counter = match self.send(Signal::Traces, message.encode_to_vec().into(), stop).await {
            true => &self.sent.spans,
            false => &self.sent.spans_undelivered,
        };
        counter.fetch_add(count, Ordering::Relaxed);
    }

    async fn report(&self, start: u64, stop: &mut watch::Receiver<bool>) {
        let span = figures::Span { start, now: self.unix_ns() };
        let metrics = figures::write(&self.metrics.read(), self.provider_name, span);
        let scope_metrics = vec![ScopeMetrics { scope: Some(scope()), metrics }];
        let message =
            Figures { resource_metrics: vec![ResourceMetrics { resource: Some(self.resource()), scope_metrics }] };
        let counter = match self.send(Signal::Metrics, message.encode_to_vec().into(), stop).await {
            true => &self.sent.reports,
            false => &self.sent.reports_undelivered,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Answers whether it was taken. Asks again where that may help, but not at the end of the process.
    async fn send(&self, signal: Signal, message: Bytes, stop: &mut watch::Receiver<bool>) -> bool {
        let mut pause = FIRST_PAUSE;
        for nth in 1..=TRIES {
            let Err(undelivered) = self.collector.deliver(signal, message.clone()).await else {
                if self.sent.is_down.swap(false, Ordering::Relaxed) {
                    tracing::info!("the collector takes telemetry again");
                }
                return true;
            };
            let is_last = nth == TRIES || !undelivered.may_pass || *stop.borrow();
            let reason = undelivered.reason;
            if is_last {
                // Said once; what follows is counted.
                if self.sent.is_down.swap(true, Ordering::Relaxed) {
                    tracing::debug!(?signal, reason, "a collector did not take telemetry: it is dropped");
                } else {
                    tracing::warn!(?signal, reason, "a collector did not take telemetry: it is dropped");
                }
                return false;
            }
            tracing::debug!(?signal, reason, "a collector did not take telemetry: it is asked again");
            // An end that is asked for now ends the pause, too.
            _ = timeout(pause, ends(stop)).await;
            pause *= 2;
        }
        false
    }

    fn resource(&self) -> Resource {
        let attributes = self.settings.resource.iter().map(|(key, value)| KeyValue::text(key, value));
        Resource { attributes: attributes.collect() }
    }

    fn unix_ns(&self) -> u64 {
        u64::try_from(self.clock.now().unix_ms()).unwrap_or_default().saturating_mul(1_000_000)
    }
}

/// A closed channel means that nobody is left to ask for an end: it has come.
async fn ends(stop: &mut watch::Receiver<bool>) {
    _ = stop.wait_for(|stop| *stop).await;
}

fn scope() -> Scope {
    Scope { name: "unified-gateway".to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() }
}
