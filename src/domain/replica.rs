//! Replicas of the gateway around one store, as they see each other.

use std::time::Duration;

use uuid::Uuid;

use super::ids::Revision;
use crate::time::Timestamp;

/// A replica that was silent for longer does not count as one that serves.
pub const ALIVE_FOR: Duration = Duration::from_secs(15);
/// How often a replica reports when nothing happens; it reports at once when a new revision is in force.
pub const BEAT_EVERY: Duration = Duration::from_secs(5);
/// A replica that was silent for longer is forgotten.
pub const FORGOTTEN_AFTER: Duration = Duration::from_secs(3600);

/// Identifies one process from its start to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReplicaId(Uuid);

impl ReplicaId {
    /// Wraps a UUIDv7.
    #[must_use]
    pub const fn from_uuid(uuid: Uuid) -> Self {
        Self(uuid)
    }

    /// The UUID.
    #[must_use]
    pub const fn as_uuid(&self) -> &Uuid {
        &self.0
    }
}

impl std::fmt::Display for ReplicaId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// What a replica reports of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heartbeat {
    /// Which process.
    pub id: ReplicaId,
    /// Its machine's name, at most 255 bytes.
    pub host: String,
    /// Version of the gateway.
    pub version: String,
    /// When the process started.
    pub started_at: Timestamp,
    /// The revision in force there.
    pub revision: Revision,
    /// Rows left out of the configuration there.
    pub quarantined: u32,
    /// Whether it is shutting down.
    pub is_draining: bool,
}

/// A replica as the others see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replica {
    /// Its last report.
    pub heartbeat: Heartbeat,
    /// How long ago that was, by the store's clock.
    pub silent_for: Duration,
}

impl Replica {
    /// Whether it counts as one that serves.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.silent_for < ALIVE_FOR
    }
}
