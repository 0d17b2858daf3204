//! The end of a record: what was used, what it costs, and the ledger that hears of it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::{Ending, Record};
use crate::domain::money::NanoCents;
use crate::domain::record::Charge;
use crate::domain::usage::TokenUsage;
use crate::fault::Fault;
use crate::gateway::refusals;
use crate::ledger::{Hold, Settlement};
use crate::routing::Target;

/// An answer goes out after this even if its record is not safe yet; the record goes on being stored.
const PATIENCE: Duration = Duration::from_secs(1);

impl Record {
    /// Ends the record and waits until it is safe, but not for long. Nothing of the answer's end may go out before.
    pub(in crate::gateway) async fn settle(&mut self, ending: Ending, fault: Option<&Fault>) {
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
    pub(super) fn close(&mut self, ending: Ending, fault: Option<&Fault>) -> Option<oneshot::Receiver<bool>> {
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

    pub(super) fn estimated_input(&self, target: &Target) -> u64 {
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
}
