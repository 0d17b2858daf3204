//! Figures of a running gateway, for Prometheus and for OpenTelemetry.
//!
//! - `events`: what happens, and the rows that count it.
//! - [`names`]: every metric, by name.
//! - [`cells`]: what is counted into, by atomics alone.
//! - [`readings`]: what all metrics say at one moment.
//!
//! What happens is counted as it happens; what merely is (circuits, queues, memory) is read when somebody asks, from
//! sources that `app` registers. Labels have values that the operator configured or that are closed lists: a client cannot
//! make a series.

pub mod cells;
mod events;
pub mod names;
pub mod process;
pub mod readings;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

pub use events::{AttemptEnded, Ended, TokenCounts};

use cells::{Level, Table, as_f64};
use events::{Ends, Use};
use readings::Readings;

/// Rows of requests and of attempts, each. A row has several series.
const MOST_ROWS: usize = 2_000;
/// Stands for a model that is not configured, and for a provider that was not called.
pub const NONE: &str = "none";
const NANOS_PER_CENT: f64 = 1e9;

/// Adds what is true now to readings.
pub type Source = Arc<dyn Fn(&mut Readings) + Send + Sync>;

/// All figures of a process.
pub struct Metrics {
    requests: Table<5, Ends>,
    usage: Table<4, Use>,
    errors: Table<3, AtomicU64>,
    attempts: Table<5, Ends>,
    retries: Table<2, AtomicU64>,
    fallbacks: Table<2, AtomicU64>,
    refusals: Table<2, AtomicU64>,
    cached: Table<2, AtomicU64>,
    responses: Table<3, AtomicU64>,
    in_flight: Level,
    streams: Level,
    sources: Mutex<Vec<Source>>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            requests: Table::new(MOST_ROWS),
            usage: Table::new(MOST_ROWS),
            errors: Table::new(MOST_ROWS),
            attempts: Table::new(MOST_ROWS),
            retries: Table::new(MOST_ROWS),
            fallbacks: Table::new(MOST_ROWS),
            refusals: Table::new(MOST_ROWS),
            cached: Table::new(MOST_ROWS),
            responses: Table::new(MOST_ROWS),
            in_flight: Level::default(),
            streams: Level::default(),
            sources: Mutex::default(),
        }
    }
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Metrics")
    }
}

impl Metrics {
    /// Counts a request that begins.
    pub fn request_begins(&self) {
        self.in_flight.rise();
    }

    /// Counts a request that ended.
    pub fn request_ended(&self, ended: &Ended<'_>) {
        self.in_flight.fall();
        let Ended { model, provider, operation, contract, outcome, .. } = *ended;
        self.requests.with([model, provider, operation, contract, outcome], |row| {
            row.count.fetch_add(1, Ordering::Relaxed);
            row.seconds.observe_time(ended.duration);
        });
        if let Some(fault) = ended.fault {
            self.errors.with([model, operation, fault], add_one);
        }
        if ended.is_cached {
            self.cached.with([model, operation], add_one);
        }
        if ended.attempts > 1 {
            let more = u64::try_from(ended.attempts - 1).unwrap_or(u64::MAX);
            self.retries.with([model, operation], |row| _ = row.fetch_add(more, Ordering::Relaxed));
        }
        if ended.attempts > 0 {
            self.usage.with([model, provider, operation, contract], |row| row.count(ended));
        }
    }

    /// Counts a call of a provider that ended.
    pub fn attempt_ended(&self, ended: &AttemptEnded<'_>) {
        let labels = [ended.model, ended.provider, ended.upstream_model, ended.operation, ended.outcome];
        self.attempts.with(labels, |row| {
            row.count.fetch_add(1, Ordering::Relaxed);
            row.seconds.observe_time(ended.duration);
        });
    }

    /// Counts a request that was refused before a deployment was looked for.
    pub fn refused(&self, contract: &str, fault: &str) {
        self.refusals.with([contract, fault], add_one);
    }

    /// Counts an answer over HTTP. `route` is a pattern, not a path.
    pub fn responded(&self, route: &str, method: &str, status: u16) {
        let mut digits = [b'0'; 3];
        for (digit, divisor) in digits.iter_mut().zip([100, 10, 1]) {
            *digit += u8::try_from(status / divisor % 10).unwrap_or_default();
        }
        self.responses.with([route, method, std::str::from_utf8(&digits).unwrap_or_default()], add_one);
    }

    /// Counts a stream as open for as long as the answer lives.
    #[must_use]
    pub fn stream_opens(self: &Arc<Self>) -> OpenStream {
        self.streams.rise();
        OpenStream(Arc::clone(self))
    }

    /// Counts that the chain of a model was asked, for this reason.
    pub fn fell_back(&self, model: &str, reason: &str) {
        self.fallbacks.with([model, reason], add_one);
    }

    /// Reads `source` whenever somebody asks.
    pub fn register(&self, source: Source) {
        self.sources.lock().unwrap_or_else(PoisonError::into_inner).push(source);
    }

    /// What all metrics say now.
    #[must_use]
    pub fn read(&self) -> Readings {
        let mut readings = Readings::default();
        self.read_requests(&mut readings);
        self.read_usage(&mut readings);
        self.attempts.each(|labels, row| {
            let labels = labels.each_ref().map(|label| label.to_string());
            readings.number(&names::ATTEMPTS, labels.clone(), read(&row.count));
            readings.sizes(&names::ATTEMPT_SECONDS, labels, row.seconds.read());
        });
        let lost = [
            self.requests.lost(),
            self.usage.lost(),
            self.errors.lost(),
            self.attempts.lost(),
            self.retries.lost(),
            self.fallbacks.lost(),
            self.refusals.lost(),
            self.cached.lost(),
            self.responses.lost(),
        ];
        readings.number(&names::SERIES_LOST, NO_LABELS, as_f64(lost.into_iter().sum()));
        let sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner).clone();
        sources.iter().for_each(|source| source(&mut readings));
        readings
    }

    fn read_requests(&self, readings: &mut Readings) {
        self.requests.each(|labels, row| {
            let labels = labels.each_ref().map(|label| label.to_string());
            readings.number(&names::REQUESTS, labels.clone(), read(&row.count));
            readings.sizes(&names::REQUEST_SECONDS, labels, row.seconds.read());
        });
        read_counts(&self.errors, &names::REQUEST_ERRORS, readings);
        read_counts(&self.retries, &names::RETRIES, readings);
        read_counts(&self.fallbacks, &names::FALLBACKS, readings);
        read_counts(&self.cached, &names::CACHE_HITS, readings);
        read_counts(&self.refusals, &names::REFUSALS, readings);
        read_counts(&self.responses, &names::HTTP_RESPONSES, readings);
        readings.number(&names::REQUESTS_IN_FLIGHT, NO_LABELS, self.in_flight.read());
        readings.number(&names::OPEN_STREAMS, NO_LABELS, self.streams.read());
    }

    fn read_usage(&self, readings: &mut Readings) {
        self.usage.each(|labels, row| {
            let labels = labels.each_ref().map(|label| label.to_string());
            let and = |last: &'static str| labels.iter().cloned().chain([last.to_owned()]).collect::<Vec<_>>();
            for (kind, count) in TokenCounts::KINDS.into_iter().zip(&row.kinds) {
                readings.number(&names::TOKENS, and(kind), read(count));
            }
            readings.sizes(&names::REQUEST_TOKENS, and("input"), row.input.read());
            readings.sizes(&names::REQUEST_TOKENS, and("output"), row.output.read());
            readings.number(&names::COST, labels.clone(), read(&row.nano_cents) / NANOS_PER_CENT);
            readings.number(&names::ESTIMATED, labels.clone(), read(&row.estimated));
            readings.sizes(&names::FIRST_OUTPUT_SECONDS, labels, row.first_output.read());
        });
    }
}

/// A stream that is open.
#[derive(Debug)]
pub struct OpenStream(Arc<Metrics>);

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.0.streams.fall();
    }
}

/// For metrics without labels.
pub const NO_LABELS: [&str; 0] = [];

fn read_counts<const N: usize>(table: &Table<N, AtomicU64>, metric: &'static names::Metric, readings: &mut Readings) {
    table.each(|labels, row| {
        readings.number(metric, labels.each_ref().map(|label| label.to_string()), read(row));
    });
}

fn add_one(count: &AtomicU64) {
    count.fetch_add(1, Ordering::Relaxed);
}

fn read(count: &AtomicU64) -> f64 {
    as_f64(count.load(Ordering::Relaxed))
}

#[cfg(test)]
mod tests;
