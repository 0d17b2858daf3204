//! Which replica has which revision in force, and this replica's own reports.

use std::sync::Arc;
use std::time::Duration;

use crate::domain::ids::Revision;
use crate::domain::replica::{Heartbeat, Replica, ReplicaId};
use crate::fault::{Fault, Outcome};
use crate::routing::Publisher;
use crate::store::Stores;
use crate::time::{Clock, Timestamp};

/// Longest wait for a revision.
pub const MAX_WAIT: Duration = Duration::from_secs(60);
/// Wait for a revision when nothing else is asked for.
pub const DEFAULT_WAIT: Duration = Duration::from_secs(10);
/// How often the reports are looked at while waiting.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// The process that this is, as the others see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// New with every start.
    pub id: ReplicaId,
    /// Name of its machine.
    pub host: String,
    /// Version of the gateway.
    pub version: String,
    /// When it started.
    pub started_at: Timestamp,
}

/// What to wait for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WaitRequest {
    /// `None`: the newest of the store.
    pub revision: Option<i64>,
    /// `None`: every replica that serves.
    pub replicas: Option<i64>,
    /// `None`: [`DEFAULT_WAIT`].
    pub timeout: Option<Duration>,
}

/// How far a revision has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reach {
    /// Whether enough replicas have it.
    pub is_reached: bool,
    /// The revision.
    pub revision: Revision,
    /// Replicas that have it or a newer one and serve.
    pub in_force: usize,
    /// Replicas that serve.
    pub serving: usize,
}

/// The use cases of the replicas.
pub struct Replicas {
    stores: Stores,
    publisher: Arc<Publisher>,
    clock: Arc<dyn Clock>,
    identity: Identity,
}

impl std::fmt::Debug for Replicas {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Replicas").field("identity", &self.identity).finish_non_exhaustive()
    }
}

impl Replicas {
    /// Reports as `identity` what `publisher` has in force.
    #[must_use]
    pub fn new(stores: Stores, publisher: Arc<Publisher>, clock: Arc<dyn Clock>, identity: Identity) -> Self {
        Self { stores, publisher, clock, identity }
    }

    /// This replica.
    #[must_use]
    pub fn own_id(&self) -> ReplicaId {
        self.identity.id
    }

    /// Reports what is in force here.
    ///
    /// # Errors
    /// `Unavailable` when the store is.
    pub async fn report(&self, is_draining: bool) -> Outcome<()> {
        let snapshot = self.publisher.current();
        let Identity { id, host, version, started_at } = self.identity.clone();
        let quarantined = u32::try_from(snapshot.quarantined().len()).unwrap_or(u32::MAX);
        let revision = snapshot.revision();
        self.stores
            .replicas
            .beat(&Heartbeat { id, host, version, started_at, revision, quarantined, is_draining })
            .await
    }

    /// Takes this replica off the list, at a shutdown in good order.
    ///
    /// # Errors
    /// `Unavailable` when the store is; the others then forget it by its silence.
    pub async fn retire(&self) -> Outcome<()> {
        self.stores.replicas.retire(self.identity.id).await
    }

    /// Every replica heard of within the last hour, oldest first.
    ///
    /// # Errors
    /// `Unavailable` when the store is.
    pub async fn list(&self) -> Outcome<Vec<Replica>> {
        self.stores.replicas.list().await
    }

    /// Waits until enough replicas have the revision in force, or the time is over.
    ///
    /// # Errors
    /// `BadRequest` naming the field that is out of bounds; `Unavailable` when the store is.
    pub async fn wait(&self, wanted: WaitRequest) -> Outcome<Reach> {
        let timeout = wanted.timeout.unwrap_or(DEFAULT_WAIT);
        if timeout > MAX_WAIT {
            return Err(Fault::invalid("timeout", format!("must be at most {} seconds", MAX_WAIT.as_secs())));
        }
        let enough = match wanted.replicas.map(usize::try_from) {
            None => None,
            Some(Ok(count)) if (1..=10_000).contains(&count) => Some(count),
            Some(Ok(_) | Err(_)) => return Err(Fault::invalid("replicas", "must be from 1 to 10000")),
        };
        let revision = match wanted.revision {
            Some(revision) if revision < 0 => return Err(Fault::invalid("revision", "must not be negative")),
            Some(revision) => Revision(revision),
            None => self.stores.changes.revision().await?,
        };
        let until = self.clock.instant() + timeout;
        loop {
            let reach = self.look(revision, enough).await?;
            if reach.is_reached || self.clock.instant() >= until {
                return Ok(reach);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    async fn look(&self, revision: Revision, enough: Option<usize>) -> Outcome<Reach> {
        let replicas = self.list().await?;
        let serving = replicas.iter().filter(|replica| serves(replica));
        let (mut in_force, mut count) = (0, 0);
        for replica in serving {
            count += 1;
            in_force += usize::from(replica.heartbeat.revision >= revision);
        }
        let is_reached = count > 0 && in_force >= enough.unwrap_or(count);
        Ok(Reach { is_reached, revision, in_force, serving: count })
    }
}

/// Whether a replica takes traffic.
#[must_use]
pub fn serves(replica: &Replica) -> bool {
    replica.is_alive() && !replica.heartbeat.is_draining
}
