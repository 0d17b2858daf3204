//! The end of a request: its usage becomes its price, its price its key's spending, and all of it one record. Always,
//! even when the client hangs up: dropping the record settles it.

mod beside;
mod entry;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use self::beside::Aside;
use super::account::Account;
use super::failure::{Failure, Repeat};
use super::metadata::{self, Strategies};
use super::observe::Watch;
use super::refusals;
use super::trace::{Moments, Seen, Trace};
use crate::canonical::text::Steps;
use crate::domain::money::NanoCents;
use crate::domain::operation::Operation;
use crate::domain::record::{AttemptRecord, Charge};
use crate::domain::usage::TokenUsage;
use crate::fault::Fault;
use crate::ledger::{Hold, Settlement, Standing};
use crate::providers::FailureClass;
use crate::routing::{Impact, Pass, Target};
use crate::telemetry::otel::context::TraceContext;
use crate::telemetry::otel::trace::AttemptTrace;
use crate::time::Timestamp;

/// An answer goes out after this even if its record is not safe yet; the record goes on being stored.
const PATIENCE: Duration = Duration::from_secs(1);
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

    /// Notes that an attempt begins.
    pub(super) fn attempt_begins(&mut self, target: &Arc<Target>, mut pass: Option<Pass>) {
        let now = self.account.parts().clock.instant();
        self.attempt_began = Some(now);
        self.watch.attempt_begins(now);
        if let Some(pass) = &mut pass {
            pass.begins(now);
        }
        self.pass = pass;
        self.impacts.push(None);
        self.attempts.push(AttemptRecord {
            number: u32::try_from(self.attempts.len()).unwrap_or(u32::MAX).saturating_add(1),
            deployment_id: target.id.to_string(),
            provider: target.provider.clone(),
            upstream_model: target.upstream_model.clone(),
            ..AttemptRecord::default()
        });
        self.served_by = Some(Arc::clone(target));
    }

    /// What the input costs at a deployment, where that is known.
    fn input_cost(&self, target: &Target) -> i128 {
        let usage = TokenUsage { input: self.estimated_input(target), ..TokenUsage::default() };
        i128::from(target.resolved.pricing.cost(&usage).unwrap_or_default().0)
    }

    /// Notes how this attempt is asked: how much it is to think, and whether in the client's own words.
    pub(super) fn is_asked(&mut self, steps: Steps, is_native: bool) {
        self.steps = steps;
        self.is_native = Some(is_native);
    }

    /// Notes what the attempt under way showed on the wire.
    pub(super) fn traced(&mut self, trace: &Trace) {
        self.seen = trace.seen();
        if let Some(attempt) = self.attempts.last_mut() {
            attempt.provider_request_id.clone_from(&self.seen.provider_request_id);
        }
    }

    /// Keeps it out of the store: nothing was generated.
    pub(super) fn is_not_kept(&mut self) {
        self.is_log_only = true;
    }

    /// Logs that a deployment could not be sent the request.
    pub(super) fn candidate_refused(&self, target: &Target, failure: &Failure) {
        tracing::info!(
            request_id = self.facts.request_id,
            deployment_id = %target.id,
            provider = target.provider,
            reason = failure.detail.as_ref().map_or(failure.cause.as_str(), |detail| detail.message.as_str()),
            "a deployment cannot take the request"
        );
    }

    /// Notes and logs that an attempt failed.
    pub(super) fn attempt_failed(&mut self, failure: &Failure) {
        tracing::warn!(
            request_id = self.facts.request_id,
            deployment_id = self.served_by.as_ref().map(|target| tracing::field::display(target.id)),
            provider = self.served_by.as_ref().map(|target| target.provider.as_str()),
            attempt = self.attempts.len(),
            class = ?failure.class,
            status = failure.status,
            error = failure.cause,
            "an attempt failed"
        );
        let impact = self.blame(failure);
        if let Some(last) = self.impacts.last_mut() {
            *last = Some(impact);
        }
        self.measure_attempt(class_word(failure.class), failure.status);
        let duration_ms = self.attempt_ms();
        if let Some(attempt) = self.attempts.last_mut() {
            attempt.ok = false;
            attempt.class = Some(class_word(failure.class).to_owned());
            attempt.http_status = failure.status;
            attempt.detail = Some(capped(&failure.cause));
            attempt.duration_ms = duration_ms;
        }
        // It may have been processed and billed, though nothing of it came back.
        if failure.repeat == Repeat::Once
            && let Some(target) = &self.served_by
        {
            self.lost += self.input_cost(target);
        }
    }

    /// Tells health of a failure. A request counts once against a deployment.
    fn blame(&mut self, failure: &Failure) -> Impact {
        let now = self.account.parts().clock.instant();
        let Some(mut pass) = self.pass.take() else { return Impact::None };
        let own = self.attempts.last().map(|attempt| attempt.deployment_id.as_str());
        let earlier = self.attempts.iter().rev().skip(1).zip(self.impacts.iter().rev().skip(1));
        let was_blamed = |impact: &Option<Impact>| matches!(impact, Some(Impact::Counted | Impact::Opened));
        let counts = !earlier
            .filter(|(attempt, _)| Some(attempt.deployment_id.as_str()) == own)
            .any(|(_, impact)| was_blamed(impact));
        pass.failed(failure.blow(), counts, now)
    }

    /// Notes that a slow client held up the answer.
    pub(super) fn was_blocked(&mut self, by: Duration) {
        self.blocked += by;
    }

    /// Notes that the client wants routing facts.
    pub(super) fn explain(&mut self, strategies: Strategies) {
        self.strategies = Some(strategies);
    }

    /// Whether the client asked for routing facts.
    pub(super) fn explains(&self) -> bool {
        self.strategies.is_some()
    }

    /// The routing facts as JSON, if the client asked for them.
    pub(super) fn routing(&self) -> Option<String> {
        let strategies = self.strategies?;
        let cached = self.cached_from.as_deref().unwrap_or_default();
        let served = self.served_by.as_ref().map_or(cached, |target| target.public_model.as_str());
        let attempts = self.attempts.iter().zip(&self.impacts).enumerate();
        let attempts = attempts.map(|(index, (attempt, impact))| metadata::Attempt {
            index,
            ok: attempt.ok,
            latency_ms: attempt.duration_ms,
            error_class: attempt.class.as_deref(),
            http_status: attempt.http_status,
            health_impact: impact.map(Impact::as_str),
        });
        let answered = self.attempts.last().is_some_and(|attempt| attempt.ok);
        let served_by = self.served_by.as_ref().filter(|_| answered).map(|target| target.opaque_id.as_str());
        Some(metadata::write(&metadata::Routing {
            served_model: served,
            served_by,
            routing_strategy: strategies.routing.as_str(),
            unsupported_parameter_strategy: strategies.parameters.as_str(),
            fallback_used: !served.is_empty() && served != self.facts.public_model,
            attempt_count: self.attempts.len(),
            attempts: attempts.collect(),
        }))
    }

    /// Attempts so far.
    pub(super) fn attempts(&self) -> u32 {
        u32::try_from(self.attempts.len()).unwrap_or(u32::MAX)
    }

    /// Notes that an answer is committed to: it is whole, or its first output was seen.
    pub(super) fn commits(&mut self) {
        self.is_committed = true;
        let now = self.account.parts().clock.instant();
        if let Some(pass) = &mut self.pass {
            pass.committed(now, self.facts.is_stream);
        }
        let duration_ms = self.attempt_ms();
        if let Some(attempt) = self.attempts.last_mut() {
            attempt.ok = true;
            attempt.duration_ms = duration_ms;
        }
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

    /// Ends the record and waits until it is safe, but not for long. Nothing of the answer's end may go out before.
    pub(super) async fn settle(&mut self, ending: Ending, fault: Option<&Fault>) {
        let Some(safe) = self.close(ending, fault) else { return };
        let (parts, began) = (Arc::clone(self.account.parts()), self.account.parts().clock.instant());
        match tokio::time::timeout(PATIENCE, safe).await {
            Ok(Ok(true)) => {
                parts.ledger.figures().settled(parts.clock.instant().saturating_duration_since(began));
            }
            Ok(Ok(false) | Err(_)) | Err(_) => {
                parts.ledger.figures().went_out_unsafe();
                parts.refusals.was_late();
                let request_id = self.facts.request_id.as_str();
                tracing::warn!(request_id, "an answer goes out before its record is safe");
            }
        }
    }

    /// Ends the record. The receiver hears whether it is safe.
    fn close(&mut self, ending: Ending, fault: Option<&Fault>) -> Option<oneshot::Receiver<bool>> {
        if std::mem::replace(&mut self.is_settled, true) {
            return None;
        }
        // A client that leaves a race leaves both.
        self.second_ends(Ending::Cancelled.as_str(), None);
        let (usage, estimated) = self.used(ending);
        self.praise(ending, &usage);
        let pricing = self.served_by.as_ref().map(|target| &target.resolved.pricing);
        // What was sent to nobody costs nothing.
        let cost = pricing.map_or(Some(NanoCents(0)), |pricing| pricing.cost(&usage));
        self.log(ending, fault, &usage, cost);
        self.measure(ending, fault, (&usage, estimated), cost);
        if let (Ending::Success, Some(target), false) = (ending, &self.served_by, estimated) {
            let learned = &self.account.parts().learned;
            learned.learn(&target.upstream_model, self.account.size(), usage.input, usage.output);
        }
        let (hold, deployment) = self.account.take_holds();
        if self.is_log_only {
            return None;
        }
        let mut record = self.record(ending, fault, &usage, cost);
        record.estimated = estimated || self.is_doubtful(&usage);
        if hold.is_none() && self.attempts.is_empty() && self.cached_from.is_none() {
            // Never admitted: nothing was used, so nobody waits for it.
            refusals::hand_in(self.account.parts(), self.account.key().map(|key| key.id), record);
            return None;
        }
        record.charge = self.charge(hold.as_ref(), cost.unwrap_or_default());
        let tokens = usage.input.saturating_add(usage.output);
        let settlement = Settlement { hold, tokens, cost: cost.unwrap_or_default(), record };
        Some(self.hand_over(settlement, deployment))
    }

    /// Tells health of an answer, and that the attempt is over.
    fn praise(&mut self, ending: Ending, usage: &TokenUsage) {
        let now = self.account.parts().clock.instant();
        let (Some(mut pass), Some(began)) = (self.pass.take(), self.attempt_began) else { return };
        if ending == Ending::Success {
            let latency = now.saturating_duration_since(began).saturating_sub(self.blocked);
            pass.succeeded(latency, usage.input.saturating_add(usage.output), usage.output, now);
        }
    }

    /// Settles in a task of its own, which neither a client that leaves nor a slow store can stop.
    fn hand_over(&self, settlement: Settlement, deployment: Option<Hold>) -> oneshot::Receiver<bool> {
        let (done, safe) = oneshot::channel();
        let ledger = Arc::clone(&self.account.parts().ledger);
        let request_id = self.facts.request_id.clone();
        let turns = Arc::clone(&self.account.parts().turns);
        let budgeted = self.account.key().filter(|key| key.limits.budget.is_some()).map(|key| key.id);
        self.account.parts().spawn.spawn(Box::pin(async move {
            let tokens = settlement.tokens;
            let settled = ledger.settle(settlement).await;
            if let Some(key) = budgeted {
                turns.freed(key);
            }
            if let Err(fault) = &settled {
                tracing::error!(request_id, error = fault.cause(), "a request could not be settled: {fault}");
            }
            // Nobody may be waiting any more.
            _ = done.send(settled.is_ok());
            if let Some(hold) = deployment
                && let Err(fault) = ledger.release(&hold, tokens).await
            {
                tracing::warn!(request_id, error = fault.cause(), "a deployment's hold was not released: {fault}");
            }
        }));
        safe
    }

    /// What was used, and whether that is an estimate.
    fn used(&self, ending: Ending) -> (TokenUsage, bool) {
        if let Some(usage) = self.usage {
            return (usage, false);
        }
        let Some(target) = &self.served_by else { return (TokenUsage::default(), false) };
        let has_output = self.is_committed;
        // A refusal or failure before any output is not billed; a request that was cut off under way may well be.
        if ending == Ending::Error && !has_output {
            return (TokenUsage::default(), false);
        }
        if let Some(usage) = self.account.expects(target) {
            return (usage, true);
        }
        let output = self.account.parts().learned.output(&target.upstream_model, self.output_bytes);
        (TokenUsage { input: self.estimated_input(target), output, ..TokenUsage::default() }, true)
    }

    /// Whether a price that is needed is not known, and the standard one stands in for it.
    fn is_doubtful(&self, usage: &TokenUsage) -> bool {
        let pricing = self.served_by.as_ref().map(|target| &target.resolved.pricing);
        pricing.is_some_and(|pricing| pricing.is_known() && pricing.unknown_term(&usage.terms).is_some())
    }

    fn estimated_input(&self, target: &Target) -> u64 {
        self.account.parts().learned.input(&target.upstream_model, self.account.size())
    }

    fn charge(&self, hold: Option<&Hold>, cost: NanoCents) -> Option<Charge> {
        let (key, hold) = (self.account.key()?, hold.filter(|_| self.cached_from.is_none())?);
        Some(Charge {
            key_id: key.id.to_string(),
            window: hold.window.word().to_owned(),
            window_start: hold.window.start.unix_ms(),
            epoch: hold.epoch,
            amount: cost.0,
        })
    }

    /// Tells those who watch of the attempt that is over.
    fn measure_attempt(&mut self, outcome: &str, status: Option<u16>) {
        let (Some(target), Some(began)) = (self.served_by.clone(), self.attempt_began) else { return };
        let now = self.account.parts().clock.instant();
        let operation = self.facts.operation.as_str();
        self.watch.attempt_ends((&target, operation), (outcome, status), (began, now));
    }

    fn attempt_ms(&self) -> u64 {
        let now = self.account.parts().clock.instant();
        self.attempt_began.map_or(0, |began| whole_ms(now.saturating_duration_since(began)))
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
