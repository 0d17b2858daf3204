//! Two candidates at a time: a stream whose first output is later than usual is asked of one more, and the first to commit
//! wins. The other is cancelled; it may be billed all the same, so the money held covers both or the second is not asked.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use super::attempt::{AttemptInput, Opened, attempt};
use super::dispatch::Run;
use super::failure::Failure;
use super::prepare::Prepared;
use super::trace::Trace;
use crate::routing::{Candidate, Pass};

/// What came of a race.
pub(super) struct Raced {
    /// The attempt that ended it, not noted yet where it failed.
    pub ended: (Result<Opened, Failure>, Candidate),
    /// The other one, where it had failed before; it is noted.
    pub failed: Option<(Candidate, Failure)>,
    /// Whether the second was asked.
    pub used_second: bool,
}

impl Raced {
    fn alone(outcome: Result<Opened, Failure>, candidate: Candidate) -> Self {
        Self { ended: (outcome, candidate), failed: None, used_second: false }
    }
}

impl Run {
    /// When a candidate is late: for models that are hedged, once it is known how long their first output usually takes.
    pub(super) fn late_after(&self, candidate: &Candidate) -> Option<Duration> {
        let is_hedged = self.task.is_stream() && self.snapshot.settings().hedges(self.task.model());
        let has_attempts = self.record.attempts() + 1 < self.policy.max_attempts;
        if !is_hedged || !has_attempts {
            return None;
        }
        let pool = self.snapshot.find_pool(candidate.target.public_model.as_str())?;
        self.parts.health.usual_first_output(pool.enabled().map(AsRef::as_ref))
    }

    /// Asks a candidate, and a second one when it is late.
    pub(super) async fn race(&mut self, first: Candidate, pass: Pass, second: Candidate, late: Duration) -> Raced {
        let prepared = match self.begin(&first, pass).await {
            Ok(prepared) => prepared,
            Err(failure) => return Raced::alone(Err(failure), first),
        };
        // What both work with outlives what is noted of them meanwhile.
        let (parts, task, forwarded) = (Arc::clone(&self.parts), Arc::clone(&self.task), self.forwarded.clone());
        let (one_trace, other_trace) = (Trace::default(), Trace::default());
        let one_span = self.record.attempt_trace().map(Arc::clone);
        let other_span;
        let input = |prepared, candidate, deadlines, trace, span| AttemptInput {
            parts: &parts,
            candidate,
            task: task.as_ref(),
            forwarded: &forwarded,
            prepared,
            span,
            deadlines,
            trace,
        };
        let one = input(prepared, &first, self.deadlines(&first), &one_trace, one_span.as_deref());
        let mut one_attempt = pin!(attempt(&one));
        if let Ok(outcome) = tokio::time::timeout(late, &mut one_attempt).await {
            self.record.traced(&one_trace);
            return Raced::alone(outcome, first.clone());
        }
        let Some(prepared) = self.begin_second(&first, &second).await else {
            let outcome = one_attempt.await;
            self.record.traced(&one_trace);
            return Raced::alone(outcome, first.clone());
        };
        other_span = self.record.beside_trace().map(Arc::clone);
        let other = input(prepared, &second, self.deadlines(&second), &other_trace, other_span.as_deref());
        let mut other_attempt = pin!(attempt(&other));
        let (ended, failed) = tokio::select! {
            outcome = &mut one_attempt => match outcome {
                Ok(opened) => {
                    self.record.traced(&one_trace);
                    self.record.second_lost();
                    ((Ok(opened), first.clone()), None)
                }
                Err(failure) => {
                    self.record.traced(&one_trace);
                    self.record.attempt_failed(&failure);
                    self.record.second_takes_over(false);
                    let outcome = other_attempt.await;
                    self.record.traced(&other_trace);
                    ((outcome, second.clone()), Some((first.clone(), failure)))
                }
            },
            outcome = &mut other_attempt => match outcome {
                Ok(opened) => {
                    self.record.traced(&one_trace);
                    self.record.second_takes_over(true);
                    self.record.traced(&other_trace);
                    ((Ok(opened), second.clone()), None)
                }
                Err(failure) => {
                    self.record.second_failed(&failure);
                    let outcome = one_attempt.await;
                    self.record.traced(&one_trace);
                    ((outcome, first.clone()), Some((second.clone(), failure)))
                }
            },
        };
        Raced { ended, failed, used_second: true }
    }

    /// Asks the second candidate's circuit, then the ledger. What stands in the way is no failure: the first goes on.
    async fn begin_second(&mut self, first: &Candidate, second: &Candidate) -> Option<Prepared> {
        let now = self.parts.clock.instant();
        let pass = self.parts.health.enter(&second.target, self.snapshot.shared_settings(), now).ok()?;
        if !self.record.account().ask_leave_beside(first, second).await.is_ok_and(|leave| leave) {
            return None;
        }
        let prepared = self.prepare(second).await.ok()?;
        self.record.second_begins(&second.target, pass, &prepared);
        Some(prepared)
    }
}
