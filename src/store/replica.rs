//! Heartbeats of the replicas around one store.

use async_trait::async_trait;

use crate::domain::replica::{Heartbeat, Replica, ReplicaId};
use crate::fault::Outcome;

/// Heartbeats of the replicas around one store. No configuration: they take no revision.
#[async_trait]
pub trait ReplicaStore: Send + Sync {
    /// Records a heartbeat, now by the store's clock, and forgets replicas that were silent for longer than
    /// [`crate::domain::replica::FORGOTTEN_AFTER`].
    ///
    /// # Errors
    /// `Unavailable`.
    async fn beat(&self, heartbeat: &Heartbeat) -> Outcome<()>;

    /// Every replica that is not forgotten, in order of their ids, which is that of their starts.
    ///
    /// # Errors
    /// `Unavailable`.
    async fn list(&self) -> Outcome<Vec<Replica>>;

    /// Forgets one replica: it has ended in good order.
    ///
    /// # Errors
    /// `Unavailable`.
    async fn retire(&self, id: ReplicaId) -> Outcome<()>;
}
