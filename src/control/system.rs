//! The gateway itself: version, uptime, the snapshot in force.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::domain::ids::Revision;
use crate::routing::{Publisher, Quarantined};
use crate::time::{Clock, Timestamp};

/// How the gateway is set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// One process with its own files.
    Embedded,
    /// One replica of several, with shared databases.
    Clustered,
}

/// What the gateway says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Info {
    /// Its version.
    pub version: &'static str,
    /// How it is set up.
    pub mode: Mode,
    /// When it started.
    pub started_at: Timestamp,
    /// For how long it has run.
    pub uptime: Duration,
    /// The configuration in force.
    pub snapshot: SnapshotStatus,
}

/// The configuration in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotStatus {
    /// Its revision.
    pub revision: Revision,
    /// When it came into force on this replica.
    pub in_force_since: Timestamp,
    /// Deployments in it.
    pub deployments: usize,
    /// Virtual keys in it.
    pub virtual_keys: usize,
    /// Fallback chains in it.
    pub fallbacks: usize,
    /// Rows left out, and why.
    pub quarantined: Vec<Quarantined>,
}

/// The use cases of the gateway itself.
#[derive(Debug)]
pub struct System {
    publisher: Arc<Publisher>,
    clock: Arc<dyn Clock>,
    started_at: Timestamp,
    started: Instant,
    mode: Mode,
    version: &'static str,
}

impl System {
    pub(super) fn new(
        publisher: Arc<Publisher>,
        clock: Arc<dyn Clock>,
        started_at: Timestamp,
        mode: Mode,
        version: &'static str,
    ) -> Self {
        let started = clock.instant();
        Self { publisher, clock, started_at, started, mode, version }
    }

    /// Version, mode, uptime and the configuration in force.
    #[must_use]
    pub fn info(&self) -> Info {
        Info {
            version: self.version,
            mode: self.mode,
            started_at: self.started_at,
            uptime: self.clock.instant().saturating_duration_since(self.started),
            snapshot: self.snapshot(),
        }
    }

    /// The configuration in force.
    #[must_use]
    pub fn snapshot(&self) -> SnapshotStatus {
        let snapshot = self.publisher.current();
        let (deployments, virtual_keys, fallbacks) = snapshot.counts();
        SnapshotStatus {
            revision: snapshot.revision(),
            in_force_since: snapshot.in_force_since(),
            deployments,
            virtual_keys,
            fallbacks,
            quarantined: snapshot.quarantined(),
        }
    }

    /// Follows the revision in force; the first value is the present one.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Revision> {
        self.publisher.subscribe()
    }
}
