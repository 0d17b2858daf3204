//! A second candidate that is asked beside the attempt under way, in the record of the request.

use std::sync::Arc;
use std::time::Instant;

use super::{Record, capped, class_word, whole_ms};
use crate::canonical::text::Steps;
use crate::domain::record::AttemptRecord;
use crate::gateway::failure::{Failure, Repeat};
use crate::gateway::prepare::Prepared;
use crate::routing::{Impact, Pass, Target};
use crate::telemetry::otel::trace::AttemptTrace;

/// The class of an attempt that was cancelled because another candidate answered first.
const HEDGE: &str = "hedge";
const OVERTAKEN: &str = "another candidate answered first";

/// An attempt at a second candidate, beside the first.
pub(super) struct Aside {
    target: Arc<Target>,
    pass: Pass,
    began: Instant,
    steps: Steps,
    is_native: bool,
    /// What its input may cost, noted already.
    cost: i128,
    pub(super) span: Option<Arc<AttemptTrace>>,
}

impl Record {
    /// A second candidate is asked because the first is late. Whichever loses may be billed all the same; that is noted
    /// now, so that nothing is lost with a client that leaves.
    pub(in crate::gateway) fn second_begins(&mut self, target: &Arc<Target>, mut pass: Pass, prepared: &Prepared) {
        let began = self.account.parts().clock.instant();
        pass.begins(began);
        let cost = self.input_cost(target);
        self.lost += cost;
        let (steps, is_native) = (prepared.steps, prepared.is_native);
        let span = self.watch.beside_begins(began);
        self.beside = Some(Aside { target: Arc::clone(target), pass, began, steps, is_native, cost, span });
    }

    /// The first has answered, and the second is cancelled.
    pub(in crate::gateway) fn second_lost(&mut self) {
        self.second_ends(HEDGE, Some(OVERTAKEN));
    }

    pub(super) fn second_ends(&mut self, class: &str, detail: Option<&str>) {
        let Some(aside) = self.beside.take() else { return };
        let ended = AttemptRecord {
            class: Some(class.to_owned()),
            detail: detail.map(str::to_owned),
            ..self.attempt_of(&aside)
        };
        self.measure_beside(&aside, class, None);
        self.note_beside(ended, None);
    }

    /// The second has failed; the first goes on.
    pub(in crate::gateway) fn second_failed(&mut self, failure: &Failure) {
        let Some(mut aside) = self.beside.take() else { return };
        let now = self.account.parts().clock.instant();
        let impact = aside.pass.failed(failure.blow(), true, now);
        if failure.repeat == Repeat::Safe {
            self.lost -= aside.cost;
        }
        let failed = AttemptRecord {
            class: Some(class_word(failure.class).to_owned()),
            http_status: failure.status,
            detail: Some(capped(&failure.cause)),
            ..self.attempt_of(&aside)
        };
        self.measure_beside(&aside, class_word(failure.class), failure.status);
        self.note_beside(failed, Some(impact));
    }

    /// The second has answered, or is what is left. `is_overtaken`: the first is cancelled.
    pub(in crate::gateway) fn second_takes_over(&mut self, is_overtaken: bool) {
        let Some(aside) = self.beside.take() else { return };
        if is_overtaken {
            self.measure_attempt(HEDGE, None);
        }
        let first = self.served_by.take();
        if is_overtaken {
            // Its circuit hears nothing: it did not fail.
            self.pass = None;
            self.lost += first.map_or(0, |target| self.input_cost(&target));
            let duration_ms = self.attempt_ms();
            if let Some(attempt) = self.attempts.last_mut() {
                attempt.class = Some(HEDGE.to_owned());
                attempt.detail = Some(OVERTAKEN.to_owned());
                attempt.duration_ms = duration_ms;
            }
        }
        self.lost -= aside.cost;
        self.attempt_begins(&aside.target, None);
        self.attempt_began = Some(aside.began);
        self.watch.goes_on_with(aside.span);
        self.pass = Some(aside.pass);
        self.is_asked(aside.steps, aside.is_native);
    }

    fn attempt_of(&self, aside: &Aside) -> AttemptRecord {
        let now = self.account.parts().clock.instant();
        AttemptRecord {
            deployment_id: aside.target.id.to_string(),
            provider: aside.target.provider.clone(),
            upstream_model: aside.target.upstream_model.clone(),
            duration_ms: whole_ms(now.saturating_duration_since(aside.began)),
            ..AttemptRecord::default()
        }
    }

    fn measure_beside(&mut self, aside: &Aside, outcome: &str, status: Option<u16>) {
        let now = self.account.parts().clock.instant();
        let of = (aside.target.as_ref(), self.facts.operation.as_str());
        self.watch.beside_ends(aside.span.as_deref(), of, (outcome, status), (aside.began, now));
    }

    /// Puts an attempt before the one that goes on.
    fn note_beside(&mut self, attempt: AttemptRecord, impact: Option<Impact>) {
        let place = self.attempts.len().saturating_sub(1);
        self.attempts.insert(place, attempt);
        self.impacts.insert(place, impact);
        for (number, attempt) in (1..).zip(&mut self.attempts) {
            attempt.number = number;
        }
    }
}
