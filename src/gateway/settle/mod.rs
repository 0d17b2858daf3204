//! The end of a request: its usage becomes its price, its price its key's spending, and all of it one record. Always,
//! even when the client hangs up: dropping the record settles it.

mod attempts;
mod beside;
mod closing;
mod entry;

use std::sync::Arc;
use std::time::{Duration, Instant};

use self::beside::Aside;
use super::account::Account;
use super::metadata::Strategies;
use super::observe::Watch;
use super::trace::{Moments, Seen};
use crate::canonical::text::Steps;
use crate::domain::operation::Operation;
use crate::domain::record::AttemptRecord;
use crate::domain::usage::TokenUsage;
use crate::fault::Fault;
use crate::ledger::Standing;
use crate::providers::FailureClass;
use crate::routing::{Impact, Pass, Target};
use crate::telemetry::otel::context::TraceContext;
use crate::telemetry::otel::trace::AttemptTrace;
use crate::time::Timestamp;

/// Longest text kept of what went wrong.
const MAX_DETAIL_CHARS: usize = 1_000;

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The answer was complete.
    Success,
    /// The answer failed or was refused.
    Error,
    /// The client left, or took nothing for too long.
    Cancelled,
}

impl Ending {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Error => "error",
            Self::Cancelled => "cancelled",
        }
    }
}

/// What is known of a request from its start.
#[derive(Debug, Clone)]
pub(super) struct Facts {
    pub request_id: String,
    pub tags: Vec<String>,
    pub public_model: String,
    pub operation: Operation,
    pub contract: &'static str,
    pub is_stream: bool,
    pub revision: i64,
}

/// The record of one request. Dropping it without an ending records a hang-up.
pub(super) struct Record {
    account: Account,
    facts: Facts,
    started: Instant,
    started_at: Timestamp,
    watch: Watch,
    served_by: Option<Arc<Target>>,
    attempts: Vec<AttemptRecord>,
    attempt_began: Option<Instant>,
    /// A second candidate that is asked beside the attempt under way.
    beside: Option<Aside>,
    /// The attempt under way, as health sees it.
    pass: Option<Pass>,
    /// What failed attempts did to their deployments.
    impacts: Vec<Option<Impact>>,
    /// How long a slow client held up the answer.
    blocked: Duration,
    /// For a client that asked for routing facts.
    strategies: Option<Strategies>,
    /// What failed attempts are thought to have cost.
    lost: i128,
    steps: Steps,
    is_native: Option<bool>,
    /// Whether an answer was committed to.
    is_committed: bool,
    /// What the last attempt showed on the wire.
    seen: Seen,
    first_reasoning_ms: Option<u64>,
    first_output_ms: Option<u64>,
    longest_gap_ms: Option<u64>,
    usage: Option<TokenUsage>,
    output_bytes: u64,
    response_bytes: u64,
    dropped: Vec<String>,
    finish_reason: Option<String>,
    /// The public model that once made the answer, where no provider was called for this one.
    cached_from: Option<String>,
    is_settled: bool,
    /// Whether it is for the log alone.
    is_log_only: bool,
}

impl Record {
    /// Starts the record of a request.
    pub(super) fn start(account: Account, facts: Facts) -> Self {
        let clock = &account.parts().clock;
        Self {
            started: clock.instant(),
            started_at: clock.now(),
            watch: Watch::begin(account.parts()),
            account,
            facts,
            served_by: None,
            attempts: Vec::new(),
            attempt_began: None,
            beside: None,
            pass: None,
            impacts: Vec::new(),
            blocked: Duration::ZERO,
            strategies: None,
            lost: 0,
            steps: Steps::default(),
            is_native: None,
            is_committed: false,
            seen: Seen::default(),
            first_reasoning_ms: None,
            first_output_ms: None,
            longest_gap_ms: None,
            usage: None,
            output_bytes: 0,
            response_bytes: 0,
            dropped: Vec::new(),
            finish_reason: None,
            cached_from: None,
            is_settled: false,
            is_log_only: false,
        }
    }

    /// Begins its trace, below that of the client.
    pub(super) fn traced_by(&mut self, client: Option<TraceContext>) {
        let begins = (self.started, self.started_at.unix_ms());
        let tracer = self.account.parts().tracer.as_ref();
        self.watch.follows(tracer.and_then(|tracer| tracer.begin(client, begins)));
    }

    /// The trace of the attempt under way.
    pub(super) fn attempt_trace(&self) -> Option<&Arc<AttemptTrace>> {
        self.watch.attempt()
    }

    /// The trace of the attempt beside it.
    pub(super) fn beside_trace(&self) -> Option<&Arc<AttemptTrace>> {
        self.beside.as_ref()?.span.as_ref()
    }

    /// The request's id, for the log.
    pub(super) fn request_id(&self) -> &str {
        &self.facts.request_id
    }

    /// What the request holds.
    pub(super) fn account(&mut self) -> &mut Account {
        &mut self.account
    }

    /// How the key's limits stand, where it has some.
    pub(super) fn standing(&self) -> Option<Standing> {
        self.account.standing()
    }

    /// Keeps it out of the store: nothing was generated.
    pub(super) fn is_not_kept(&mut self) {
        self.is_log_only = true;
    }

    /// Notes that a slow client held up the answer.
    pub(super) fn was_blocked(&mut self, by: Duration) {
        self.blocked += by;
    }

    /// Attempts so far.
    pub(super) fn attempts(&self) -> u32 {
        u32::try_from(self.attempts.len()).unwrap_or(u32::MAX)
    }

    /// Notes that the answer was there: nothing is called, and it costs nothing.
    pub(super) fn found_in_cache(&mut self, made_by: &str) {
        self.cached_from = Some(made_by.to_owned());
        self.first_output_ms = Some(self.elapsed_ms());
    }

    /// Notes that the answer came whole.
    pub(super) fn came_whole(&mut self) {
        self.first_output_ms = Some(self.elapsed_ms());
    }

    /// Notes the moments of a stream.
    pub(super) fn streamed(&mut self, moments: &Moments) {
        self.first_reasoning_ms = moments.first_reasoning.map(|at| self.ms_until(at));
        self.first_output_ms = moments.first_output.map(|at| self.ms_until(at));
        self.longest_gap_ms = moments.longest_gap.map(whole_ms);
    }

    /// Notes how much was written for the client.
    pub(super) fn wrote(&mut self, bytes: u64) {
        self.response_bytes = bytes;
    }

    /// Notes request fields that did not reach the provider as sent.
    pub(super) fn left_out(&mut self, dropped: &[std::borrow::Cow<'static, str>]) {
        self.dropped = dropped.iter().map(|name| name.clone().into_owned()).collect();
    }

    /// Notes what the provider reported, and how much was written.
    pub(super) fn reported(&mut self, usage: Option<TokenUsage>, finish_reason: Option<&str>, output_bytes: u64) {
        self.usage = usage;
        self.finish_reason = finish_reason.map(capped);
        self.output_bytes = output_bytes;
    }

    fn elapsed_ms(&self) -> u64 {
        self.ms_until(self.account.parts().clock.instant())
    }

    fn ms_until(&self, at: Instant) -> u64 {
        whole_ms(at.saturating_duration_since(self.started))
    }
}

pub(super) fn whole_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Text for a column: bounded, and without what a database does not take.
pub(super) fn capped(text: &str) -> String {
    text.chars().filter(|c| !c.is_control() || *c == '\n').take(MAX_DETAIL_CHARS).collect()
}

/// What happened, for a column: the private cause, else what the client is told.
pub(super) fn detail_of(fault: &Fault) -> String {
    capped(&fault.cause().unwrap_or_else(|| fault.message().to_owned()))
}

const fn class_word(class: FailureClass) -> &'static str {
    match class {
        FailureClass::Request => "request",
        FailureClass::ContextWindow => "context_window",
        FailureClass::ContentPolicy => "content_policy",
        FailureClass::Throttle => "throttle",
        FailureClass::Transient => "transient",
        FailureClass::Configuration => "configuration",
    }
}

impl std::fmt::Debug for Record {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Record").field("request_id", &self.facts.request_id).finish_non_exhaustive()
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        drop(self.close(Ending::Cancelled, None));
    }
}
