//! One attempt at one deployment, and what it tells of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::cell::Cell;
use super::{Blow, Health, Impact};
use crate::domain::ids::{DeploymentId, Revision};
use crate::domain::ports::HealthNews;
use crate::domain::settings::RouterSettings;

/// One attempt at one deployment. Dropping it without an outcome counts for nothing.
#[derive(Debug)]
pub struct Pass {
    pub(super) health: Arc<Health>,
    pub(super) deployment: DeploymentId,
    pub(super) cell: Arc<Cell>,
    pub(super) settings: Arc<RouterSettings>,
    pub(super) account: [u8; 16],
    pub(super) revision: Revision,
    /// Held by the one request that tries a half-open circuit.
    pub(super) ticket: Option<u64>,
    pub(super) began: Option<Instant>,
}

impl Pass {
    /// The request is on its way.
    pub fn begins(&mut self, now: Instant) {
        self.began = Some(now);
        self.cell.counts_request(self.health.at(now));
    }

    /// The attempt brought its first output: a half-open circuit lets others in again, on probation.
    pub fn committed(&mut self, now: Instant, is_stream: bool) {
        if let Some(began) = self.began.filter(|_| is_stream) {
            self.cell.began_to_answer(now.saturating_duration_since(began));
        }
        if let Some(ticket) = self.ticket.take() {
            let closed = self.cell.on_probation(self.revision, ticket, (&self.settings, now));
            self.tell_closed(closed);
        }
    }

    fn tell_closed(&self, closed: bool) {
        let (deployment, revision) = (self.deployment, self.revision);
        self.health.tell(|| closed.then_some(HealthNews::Closed { deployment, revision }));
    }

    /// The answer was whole: it took `latency` to its last byte and has so many tokens in all and of output.
    pub fn succeeded(&mut self, latency: Duration, tokens: u64, output: u64, now: Instant) {
        let ticket = self.ticket.take();
        self.health.throttles.passed(&self.account, now);
        let closed = self.cell.succeeded(self.revision, ticket, self.health.at(now), (latency, tokens, output));
        self.tell_closed(closed);
    }

    /// The attempt failed. `counts`: whether it is the request's first failure at this deployment.
    pub fn failed(&mut self, blow: Blow, counts: bool, now: Instant) -> Impact {
        let ticket = self.ticket.take();
        let impact = self.strike(blow, (ticket, counts), now);
        match impact {
            Impact::Opened | Impact::Quarantined => self.health.tell_opened(self.deployment, &self.cell, now),
            Impact::Throttled => self.health.tell(|| {
                let wait = self.health.throttles.wait(&self.account, now)?;
                Some(HealthNews::Throttled { account: self.account, wait })
            }),
            Impact::None | Impact::Counted => {}
        }
        impact
    }

    fn strike(&self, blow: Blow, (ticket, counts): (Option<u64>, bool), now: Instant) -> Impact {
        match blow {
            Blow::Transient => {
                let at = self.health.at(now);
                self.cell.failed(self.revision, (ticket, counts), at, &self.settings)
            }
            Blow::Configuration => {
                let at = self.health.at(now);
                self.cell.misconfigured(self.revision, (ticket, counts), at, &self.settings)
            }
            Blow::Throttle(wait) => {
                self.cell.give_back(ticket);
                self.health.throttles.throttled(&self.account, wait, &self.settings, now);
                Impact::Throttled
            }
            Blow::Harmless => {
                self.cell.give_back(ticket);
                Impact::None
            }
        }
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.cell.leave(self.ticket.take());
    }
}
