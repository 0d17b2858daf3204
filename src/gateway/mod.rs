//! The data plane's use case: one client request, from the key it shows to the bytes it gets back.
//!
//! - [`admission`]: who calls, and what they may; `account`: what a request may use, held before its first attempt.
//! - [`dispatch`]: candidates, retries and fallbacks until one answer commits.
//! - [`caching`]: answers from the response cache, and one call for all who ask the same at once.
//! - `task`: what is asked for, of whatever operation; `query`: all of it that is no text;
//!   `media`: sound and pictures; `sound`: how long an upload plays.
//! - [`attempt`]: one call of one deployment; `hedge`: two at a time, where the first is late.
//! - [`form`]: what clients upload.
//! - `prepare`: the request as a candidate gets it; `materialise`: content by URL, fetched for those that read no URLs.
//! - `lane`: the request and its answer in the wire of a candidate.
//! - `metadata`: routing facts in an answer.
//! - [`stream`]: a committed stream, pumped to the client with back-pressure and deadlines.
//! - [`settle`]: what is recorded of it, always, even on a hang-up; `trace`: what was seen on the wire;
//!   [`refusals`]: requests that came no further than the door.
//! - `observe`: what is told of a request to those who watch.
//! - [`models`]: what clients can discover; `probe`: one call that an operator asks for; `explain`: what would become of
//!   a request.
//! - `routes`: the primary pool and the chains behind it.
//!
//! - [`count`]: tokens, counted before a request.
//! - [`states`]: responses that are kept for those who made them.
//!
//! It reads the snapshot and never the store; what is kept of responses goes through a port.

mod account;
pub mod admission;
mod attachments;
pub mod attempt;
pub mod caching;
pub mod count;
pub mod dispatch;
mod exif;
mod explain;
pub mod failure;
pub mod form;
mod hedge;
mod lane;
mod materialise;
mod media;
mod metadata;
pub mod models;
mod observe;
mod prepare;
mod probe;
mod query;
pub mod refusals;
mod routes;
pub mod settle;
mod sniff;
mod sound;
pub mod states;
pub mod stream;
mod task;
mod trace;
pub mod turns;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

pub use admission::Caller;
pub use caching::{CacheStatus, Caching};
pub use count::Counted;
pub use dispatch::{Answer, Call};
pub use metadata::add_to_body;
pub use refusals::{Intake, Refusals};
pub use states::{StateParts, States};
pub use turns::Turns;

/// How the limits of a key stand, for the headers of an answer.
pub use crate::ledger::{BudgetMeter, Meter, Standing};

/// What clients upload, on disk.
pub use crate::transport::{Upload, UploadWriter, Uploads};

/// What a request is served by; taken once with [`Gateway::snapshot`].
pub use crate::routing::Snapshot;

use crate::documents::Documents;
use crate::fault::Fault;
use crate::ledger::Ledger;
use crate::ledger::estimate::Learned;
use crate::routing::{Health, Publisher};
use crate::telemetry::metrics::Metrics;
use crate::telemetry::otel::Tracer;
use crate::telemetry::rate::Rate;
use crate::time::Clock;
use crate::transport::{HttpClient, RemoteContent};
use crate::vault::MasterKey;

/// Starts background work that shutdown waits for.
pub trait Spawn: Send + Sync {
    /// Runs `work` to its end.
    fn spawn(&self, work: Pin<Box<dyn Future<Output = ()> + Send>>);
}

/// Why a request has no answer, and how the limits of its key stand.
#[derive(Debug)]
pub struct Denied {
    /// What the caller is told.
    pub fault: Fault,
    /// The limits, where the key has some and they were looked at.
    pub standing: Option<Box<Standing>>,
    /// Routing facts as JSON, where the client asked for them and there are some.
    pub routing: Option<String>,
}

impl Denied {
    /// The same for another request that waited for the same.
    #[must_use]
    pub(crate) fn twin(&self) -> Self {
        Self { fault: self.fault.twin(), standing: self.standing.clone(), routing: None }
    }
}

impl From<Fault> for Denied {
    fn from(fault: Fault) -> Self {
        Self { fault, standing: None, routing: None }
    }
}

/// How much of a provider's error a caller sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorDetail {
    /// The provider's words, sanitised, where the caller can mend the request.
    Sanitized,
    /// Only our sentences.
    Generic,
}

/// Bounds of one answer.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Largest JSON answer.
    pub reply_bytes: usize,
    /// Largest error body that is read.
    pub error_bytes: usize,
    /// Largest event of a stream.
    pub frame_bytes: usize,
    /// A keep-alive goes out after so much silence.
    pub keepalive: Duration,
    /// A client that takes nothing for so long is cut off.
    pub client_write_timeout: Duration,
}

/// What the data plane works with.
#[derive(Clone)]
pub struct Parts {
    /// The snapshot in force.
    pub publisher: Arc<Publisher>,
    /// The operator's credential.
    pub master_key: MasterKey,
    /// Calls providers.
    pub client: HttpClient,
    /// Fetches content that clients name by URL.
    pub remote: RemoteContent,
    /// Whether EXIF is taken out of pictures that providers answer with.
    pub strips_exif: bool,
    /// Extracts the text of documents for models that read none.
    pub documents: Documents,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Answers a number below its argument.
    pub dice: Arc<dyn Fn(u64) -> u64 + Send + Sync>,
    /// Runs the pumps of streams.
    pub spawn: Arc<dyn Spawn>,
    /// Becomes `true` when streams still open have to end.
    pub stopping: watch::Receiver<bool>,
    /// Limits, budgets and records.
    pub ledger: Arc<dyn Ledger>,
    /// How deployments do.
    pub health: Arc<Health>,
    /// What was learned of models, for what requests hold.
    pub learned: Arc<Learned>,
    /// Who waits for money that others hold.
    pub turns: Arc<Turns>,
    /// Bounds of one answer.
    pub bounds: Bounds,
    /// How much of a provider's error a caller sees.
    pub error_detail: ErrorDetail,
    /// Keeps responses.
    pub states: Arc<States>,
    /// Which refused requests are recorded.
    pub refusals: Arc<Refusals>,
    /// The response cache.
    pub caching: Arc<Caching>,
    /// Counts what happens.
    pub metrics: Arc<Metrics>,
    /// Makes traces; `None`: there are none.
    pub tracer: Option<Arc<Tracer>>,
    /// Bounds log lines of refused requests.
    pub refusal_lines: Arc<Rate>,
}

impl std::fmt::Debug for Parts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Parts")
    }
}

/// The data plane.
#[derive(Clone)]
pub struct Gateway {
    parts: Arc<Parts>,
}

impl std::fmt::Debug for Gateway {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Gateway")
    }
}

impl Gateway {
    /// Builds the data plane.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self { parts: Arc::new(parts) }
    }

    /// The snapshot in force. Take it once per request.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.parts.publisher.current()
    }
}
