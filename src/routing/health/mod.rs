//! What is known here of how deployments do: circuits, quarantines, throttles, requests in flight, and averages.
//!
//! Facts of this process alone. Each deployment has a cell with a lock of its own, held for a few instructions and never
//! across a wait; finding the cell takes no lock. Time and settings are passed in.
//!
//! A circuit opens after more than `allowedFails` transient failures within the window. When its cooldown is over exactly
//! one request may try the deployment; its outcome closes the circuit or opens it for twice as long. A quarantine is the
//! same circuit, opened by faults of configuration. What a caller did wrong, and what the gateway refuses itself, is no
//! fact about a deployment and is not told here.
//!
//! With other replicas, what opens, closes and throttles is told to them and heard of them ([`share`]), beside requests; and
//! the one request that tries a circuit is one over all replicas.

mod cell;
mod pass;
mod share;
mod throttle;
mod window;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use imbl::HashMap;

use super::snapshot::{Snapshot, Target};
use crate::domain::ids::DeploymentId;
use crate::domain::ports::{HealthNews, SharedHealth};
use crate::domain::settings::RouterSettings;
use cell::{Cell, Entry};
use throttle::Throttles;

pub use pass::Pass;
pub use share::Shared;

/// Cells of deployments that are gone are let go when there are so many more cells than deployments.
const SPARE_CELLS: usize = 256;
/// Streams that have to have answered before their usual time says something.
const ENOUGH_FIRSTS: usize = 20;

/// Whether a deployment takes a request now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Availability {
    /// Yes.
    Available,
    /// One request may try it.
    HalfOpen,
    /// Its circuit is open, or another request is trying it; so long.
    Cooldown(Duration),
    /// Its provider asked to wait; so long.
    RateLimited(Duration),
}

/// How a deployment stands.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Standing {
    /// Whether it takes a request.
    pub availability: Availability,
    /// Requests under way.
    pub in_flight: u32,
    /// Requests of the last 60 seconds.
    pub requests_per_minute: u64,
    /// Tokens of the last 60 seconds, input and output.
    pub tokens_per_minute: u64,
    /// Time to the last byte in milliseconds, averaged exponentially; `None` before the first answer.
    pub latency_ms: Option<f64>,
    /// Output tokens a second, averaged exponentially; `None` before the first answer with tokens.
    pub tokens_per_second: Option<f64>,
    /// Share of answers among the attempts of the last ten minutes; `None` without any.
    pub success_rate: Option<f64>,
}

impl Standing {
    /// Of a deployment of which nothing is known.
    pub const UNKNOWN: Self = Self {
        availability: Availability::Available,
        in_flight: 0,
        requests_per_minute: 0,
        tokens_per_minute: 0,
        latency_ms: None,
        tokens_per_second: None,
        success_rate: None,
    };
}

/// A failed attempt, as far as health needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blow {
    /// The provider failed.
    Transient,
    /// Our key, access or model name is wrong.
    Configuration,
    /// The provider is over its rate and asks to wait, or does not say how long.
    Throttle(Option<Duration>),
    /// Says nothing of the deployment.
    Harmless,
}

/// What a failed attempt did to its deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Impact {
    /// Nothing.
    None,
    /// It was counted.
    Counted,
    /// The circuit opened.
    Opened,
    /// The deployment was quarantined.
    Quarantined,
    /// The upstream model is left alone for a while.
    Throttled,
}

impl Impact {
    /// Its word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Counted => "failure_counted",
            Self::Opened => "circuit_opened",
            Self::Quarantined => "quarantined",
            Self::Throttled => "throttled",
        }
    }
}

/// The facts of all deployments.
pub struct Health {
    origin: Instant,
    cells: ArcSwap<HashMap<DeploymentId, Arc<Cell>>>,
    throttles: Throttles,
    tickets: AtomicU64,
    others: OnceLock<Arc<dyn SharedHealth>>,
}

impl Health {
    /// Nothing is known. `origin` is the present.
    #[must_use]
    pub fn new(origin: Instant) -> Self {
        Self {
            origin,
            cells: ArcSwap::default(),
            throttles: Throttles::default(),
            tickets: AtomicU64::new(1),
            others: OnceLock::new(),
        }
    }

    /// How a deployment stands.
    #[must_use]
    pub fn standing(&self, target: &Target, now: Instant) -> Standing {
        let known = self.cells.load().get(&target.id).cloned();
        let mut standing =
            known.map_or(Standing::UNKNOWN, |cell| cell.standing(target.revision, self.at(now), self.is_shared()));
        if let (Availability::Available | Availability::HalfOpen, Some(wait)) =
            (standing.availability, self.throttles.wait(&target.upstream_account, now))
        {
            standing.availability = Availability::RateLimited(wait);
        }
        standing
    }

    /// Lets a request in. A circuit that is half open lets one in at a time.
    ///
    /// # Errors
    /// Why not, and for how long.
    pub fn enter(
        self: &Arc<Self>,
        target: &Target,
        settings: &Arc<RouterSettings>,
        now: Instant,
    ) -> Result<Pass, Availability> {
        if let Some(wait) = self.throttles.wait(&target.upstream_account, now) {
            return Err(Availability::RateLimited(wait));
        }
        let cell = self.cell(target.id);
        let ticket = self.tickets.fetch_add(1, Ordering::Relaxed);
        let patience = seconds(settings.half_open_probe_seconds);
        let is_probe = match cell.enter(target.revision, self.at(now), (ticket, patience), self.is_shared()) {
            Entry::Open => false,
            Entry::Probe => true,
            Entry::Closed(wait) => return Err(Availability::Cooldown(wait)),
        };
        Ok(Pass {
            health: Arc::clone(self),
            deployment: target.id,
            cell,
            settings: Arc::clone(settings),
            account: target.upstream_account,
            revision: target.revision,
            ticket: is_probe.then_some(ticket),
            began: None,
        })
    }

    /// The time within which 95 of 100 streams of these deployments began to answer; `None` before enough did.
    #[must_use]
    pub fn usual_first_output<'a>(&self, targets: impl IntoIterator<Item = &'a Target>) -> Option<Duration> {
        let cells = self.cells.load();
        let mut all = Vec::new();
        for cell in targets.into_iter().filter_map(|target| cells.get(&target.id)) {
            cell.add_firsts(&mut all);
        }
        if all.len() < ENOUGH_FIRSTS {
            return None;
        }
        all.sort_unstable();
        let ms = all.get((all.len() * 95).div_ceil(100) - 1).copied()?;
        Some(Duration::from_millis(ms.into()))
    }

    /// A test of the deployment succeeded: circuit and quarantine end.
    pub fn absolve(&self, target: &Target) {
        if let Some(cell) = self.cells.load().get(&target.id) {
            cell.absolve();
            self.tell(|| Some(HealthNews::Closed { deployment: target.id, revision: target.revision }));
        }
    }

    /// A test found the deployment's configuration wrong.
    pub fn condemn(&self, target: &Target, settings: &RouterSettings, now: Instant) {
        let cell = self.cell(target.id);
        cell.condemn(target.revision, settings, now);
        self.tell_opened(target.id, &cell, now);
    }

    /// Forgets deployments that are no more, once they are many.
    pub fn tidy(&self, snapshot: &Snapshot) {
        let (deployments, _, _) = snapshot.counts();
        if self.cells.load().len() > deployments.saturating_mul(2).saturating_add(SPARE_CELLS) {
            self.cells.rcu(|cells| {
                let mut kept = HashMap::clone(cells);
                kept.retain(|id, _| snapshot.find_deployment(*id).is_some());
                kept
            });
        }
    }

    fn cell(&self, id: DeploymentId) -> Arc<Cell> {
        if let Some(cell) = self.cells.load().get(&id) {
            return Arc::clone(cell);
        }
        let new = Arc::new(Cell::default());
        self.cells.rcu(|cells| {
            let mut more = HashMap::clone(cells);
            more.entry(id).or_insert_with(|| Arc::clone(&new));
            more
        });
        self.cells.load().get(&id).cloned().unwrap_or(new)
    }

    fn at(&self, now: Instant) -> Moment {
        Moment { now, second: now.saturating_duration_since(self.origin).as_secs() }
    }
}

/// A moment, and the whole seconds since the gateway began.
#[derive(Debug, Clone, Copy)]
struct Moment {
    now: Instant,
    second: u64,
}

fn seconds(seconds: u32) -> Duration {
    Duration::from_secs(seconds.into())
}

#[cfg(test)]
mod tests;
