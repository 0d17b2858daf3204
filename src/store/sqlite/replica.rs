//! Heartbeats beside SQLite: one process has one database, so they stay in memory.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use super::SqliteStore;
use crate::domain::replica::{Heartbeat, Replica, ReplicaId};
use crate::fault::Outcome;
use crate::store::ReplicaStore;

/// The heartbeats of this process, which are always fresh.
pub(super) type Heartbeats = Arc<Mutex<BTreeMap<ReplicaId, Heartbeat>>>;

#[async_trait]
impl ReplicaStore for SqliteStore {
    async fn beat(&self, heartbeat: &Heartbeat) -> Outcome<()> {
        self.heartbeats.lock().unwrap_or_else(PoisonError::into_inner).insert(heartbeat.id, heartbeat.clone());
        Ok(())
    }

    async fn list(&self) -> Outcome<Vec<Replica>> {
        let heartbeats = self.heartbeats.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = |heartbeat: &Heartbeat| Replica { heartbeat: heartbeat.clone(), silent_for: Duration::ZERO };
        Ok(heartbeats.values().map(fresh).collect())
    }

    async fn retire(&self, id: ReplicaId) -> Outcome<()> {
        self.heartbeats.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
        Ok(())
    }
}
