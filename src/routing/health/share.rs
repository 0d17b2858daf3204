//! What replicas tell each other of health, and what they make of it.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::cell::Cell;
use super::{Health, seconds};
use crate::domain::ids::DeploymentId;
use crate::domain::ports::{HalfOpen, HealthNews, HearHealth, SharedHealth};
use crate::routing::publish::Publisher;
use crate::time::Clock;

/// Nothing that is told may keep a deployment away for longer.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

impl Health {
    /// From here on, what is learned is told to others. Once; a second call changes nothing.
    pub fn share(&self, others: Arc<dyn SharedHealth>) {
        _ = self.others.set(others);
    }

    pub(super) fn is_shared(&self) -> bool {
        self.others.get().is_some_and(|others| others.is_up())
    }

    /// Tells the others, where there are any.
    pub(super) fn tell(&self, news: impl FnOnce() -> Option<HealthNews>) {
        if let Some(others) = self.others.get()
            && let Some(news) = news()
        {
            others.tell(news);
        }
    }

    pub(super) fn tell_opened(&self, deployment: DeploymentId, cell: &Cell, now: Instant) {
        self.tell(|| {
            let (revision, wait, openings) = cell.opened(now)?;
            Some(HealthNews::Opened { deployment, revision, wait, openings })
        });
    }
}

impl fmt::Debug for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Health").field("cells", &self.cells.load().len()).finish_non_exhaustive()
    }
}

/// The health of this replica, as it hears of the others.
pub struct Shared {
    health: Arc<Health>,
    publisher: Arc<Publisher>,
    clock: Arc<dyn Clock>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shared")
    }
}

impl Shared {
    /// Listens for `health`.
    #[must_use]
    pub fn new(health: Arc<Health>, publisher: Arc<Publisher>, clock: Arc<dyn Clock>) -> Self {
        Self { health, publisher, clock }
    }
}

impl HearHealth for Shared {
    fn hear(&self, news: HealthNews) {
        let now = self.clock.instant();
        match news {
            HealthNews::Opened { deployment, revision, wait, openings } => {
                // A deployment that is not known here is of no interest, and of no memory.
                if self.publisher.current().find_deployment(deployment).is_some() {
                    self.health.cell(deployment).hear_opened(revision, now + wait.min(LONGEST), openings);
                }
            }
            HealthNews::Closed { deployment, revision } => {
                if let Some(cell) = self.health.cells.load().get(&deployment) {
                    cell.hear_closed(revision);
                }
            }
            HealthNews::Throttled { account, wait } => {
                self.health.throttles.hear(account, now + wait.min(LONGEST), now);
            }
        }
    }

    fn half_open(&self) -> Vec<HalfOpen> {
        let now = self.clock.instant();
        let lease = seconds(self.publisher.current().settings().half_open_probe_seconds);
        let cells = self.health.cells.load();
        let waiting = cells.iter().filter_map(|(deployment, cell)| {
            Some(HalfOpen { deployment: *deployment, revision: cell.half_open(now)?, lease })
        });
        waiting.collect()
    }

    fn settle_probe(&self, half_open: HalfOpen, is_ours: bool) {
        let until = self.clock.instant() + half_open.lease;
        if let Some(cell) = self.health.cells.load().get(&half_open.deployment) {
            cell.settle_probe(half_open.revision, until, is_ours);
        }
    }

    fn is_idle(&self, half_open: HalfOpen) -> bool {
        let cells = self.health.cells.load();
        cells.get(&half_open.deployment).is_none_or(|cell| cell.is_idle(half_open.revision))
    }

    fn all(&self) -> Vec<HealthNews> {
        let now = self.clock.instant();
        let cells = self.health.cells.load();
        let opened = cells.iter().filter_map(|(deployment, cell)| {
            let (revision, wait, openings) = cell.opened(now).filter(|(_, wait, _)| !wait.is_zero())?;
            Some(HealthNews::Opened { deployment: *deployment, revision, wait, openings })
        });
        let throttled = self.health.throttles.running(now).into_iter();
        opened.chain(throttled.map(|(account, wait)| HealthNews::Throttled { account, wait })).collect()
    }
}
