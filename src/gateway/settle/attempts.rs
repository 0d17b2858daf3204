//! The attempts of a request in its record: how each begins, fails or is committed to, and what health hears of it.

use std::sync::Arc;

use super::{Record, capped, class_word, whole_ms};
use crate::canonical::text::Steps;
use crate::domain::record::AttemptRecord;
use crate::domain::usage::TokenUsage;
use crate::gateway::failure::{Failure, Repeat};
use crate::gateway::metadata::{self, Strategies};
use crate::gateway::trace::Trace;
use crate::routing::{Impact, Pass, Target};

impl Record {
    /// Notes that an attempt begins.
    pub(in crate::gateway) fn attempt_begins(&mut self, target: &Arc<Target>, mut pass: Option<Pass>) {
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
    pub(super) fn input_cost(&self, target: &Target) -> i128 {
        let usage = TokenUsage { input: self.estimated_input(target), ..TokenUsage::default() };
        i128::from(target.resolved.pricing.cost(&usage).unwrap_or_default().0)
    }

    /// Notes how this attempt is asked: how much it is to think, and whether in the client's own words.
    pub(in crate::gateway) fn is_asked(&mut self, steps: Steps, is_native: bool) {
        self.steps = steps;
        self.is_native = Some(is_native);
    }

    /// Notes what the attempt under way showed on the wire.
    pub(in crate::gateway) fn traced(&mut self, trace: &Trace) {
        self.seen = trace.seen();
        if let Some(attempt) = self.attempts.last_mut() {
            attempt.provider_request_id.clone_from(&self.seen.provider_request_id);
        }
    }

    /// Logs that a deployment could not be sent the request.
    pub(in crate::gateway) fn candidate_refused(&self, target: &Target, failure: &Failure) {
        tracing::info!(
            request_id = self.facts.request_id,
            deployment_id = %target.id,
            provider = target.provider,
            reason = failure.detail.as_ref().map_or(failure.cause.as_str(), |detail| detail.message.as_str()),
            "a deployment cannot take the request"
        );
    }

    /// Notes and logs that an attempt failed.
    pub(in crate::gateway) fn attempt_failed(&mut self, failure: &Failure) {
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

    /// Notes that the client wants routing facts.
    pub(in crate::gateway) fn explain(&mut self, strategies: Strategies) {
        self.strategies = Some(strategies);
    }

    /// Whether the client asked for routing facts.
    pub(in crate::gateway) fn explains(&self) -> bool {
        self.strategies.is_some()
    }

    /// The routing facts as JSON, if the client asked for them.
    pub(in crate::gateway) fn routing(&self) -> Option<String> {
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

    /// Notes that an answer is committed to: it is whole, or its first output was seen.
    pub(in crate::gateway) fn commits(&mut self) {
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

    /// Tells those who watch of the attempt that is over.
    pub(super) fn measure_attempt(&mut self, outcome: &str, status: Option<u16>) {
        let (Some(target), Some(began)) = (self.served_by.clone(), self.attempt_began) else { return };
        let now = self.account.parts().clock.instant();
        let operation = self.facts.operation.as_str();
        self.watch.attempt_ends((&target, operation), (outcome, status), (began, now));
    }

    pub(super) fn attempt_ms(&self) -> u64 {
        let now = self.account.parts().clock.instant();
        self.attempt_began.map_or(0, |began| whole_ms(now.saturating_duration_since(began)))
    }
}
