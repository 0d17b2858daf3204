//! PostgreSQL backend of the control store (production mode): shared by all replicas.
//!
//! A write takes the next revision first; that row is the lock that makes writers take turns, so revisions have no gaps
//! and are seen in order. Its last statement notifies [`CHANNEL`], which reaches the others with the commit. Nothing
//! relies on state of a session, so a pooler in transaction mode may stand in between: every statement is part of a
//! transaction and no prepared statement outlives one. What needs a session of its own (listening, the lock that says
//! who may share the database, migrations) goes through [`Session`] or a direct connection.
//!
//! Every call is bounded by [`PATIENCE`], however dead the network is.

mod audit;
mod batch;
mod change;
mod deployment;
mod errors;
mod fallback;
mod open;
mod operations;
mod replica;
mod response_state;
mod rows;
mod session;
mod settings;
mod statement;
mod sums;
#[cfg(test)]
pub(in crate::store) mod tests;
mod tx;
mod usage;
mod virtual_key;

use std::sync::Arc;
use std::time::Duration;

use sqlx::PgPool;
use sqlx::postgres::PgConnectOptions;

use super::Stores;
use crate::fault::{Fault, Kind, Outcome};

pub use open::{PostgresSettings, open};
pub use session::{Session, SessionState, Sharing};

/// What is notified after every write, with the revision as payload.
const CHANNEL: &str = "gateway_config";
/// Longest time of one call, the wait for a connection included.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longest time to load all rows of a table.
const LOAD_PATIENCE: Duration = Duration::from_secs(60);
/// Longest time to look for changes, which everything that waits for them stands behind.
const LOOK_PATIENCE: Duration = Duration::from_secs(3);

/// The control store in one PostgreSQL database. Cheap to clone; clones share the connections.
#[derive(Debug, Clone)]
pub struct PostgresStore {
    pool: PgPool,
    /// Leads to the database itself, past any pooler.
    direct: PgConnectOptions,
    /// The change log keeps the entries of so many revisions.
    log_revisions: i64,
}

impl PostgresStore {
    /// Connections of the pool: in use, and idle.
    #[must_use]
    pub fn connections(&self) -> (usize, usize) {
        let idle = self.pool.num_idle();
        (usize::try_from(self.pool.size()).unwrap_or(usize::MAX).saturating_sub(idle), idle)
    }

    /// The stores of this database, one per noun.
    #[must_use]
    pub fn stores(&self) -> Stores {
        let store = Arc::new(self.clone());
        Stores {
            deployments: store.clone(),
            virtual_keys: store.clone(),
            fallbacks: store.clone(),
            settings: store.clone(),
            changes: store.clone(),
            audit: store.clone(),
            batches: store.clone(),
            replicas: store.clone(),
            response_states: store.clone(),
            usage: store.clone(),
            operations: store,
        }
    }

    /// A session of its own that listens for changes and holds this replica's place.
    #[must_use]
    pub fn session(&self, sharing: Sharing) -> Session {
        Session::new(self.direct.clone(), sharing)
    }

    /// Waits for what is under way and closes the connections. Every later call answers `Unavailable`.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// The same database with a change log of another length.
    #[cfg(test)]
    pub(in crate::store) fn with_log_of(mut self, revisions: i64) -> Self {
        self.log_revisions = revisions;
        self
    }
}

/// Gives a call up that takes longer than it should, such as on a connection whose packets are lost.
async fn within<T>(call: impl Future<Output = Outcome<T>>) -> Outcome<T> {
    within_time(PATIENCE, call).await
}

async fn within_time<T>(patience: Duration, call: impl Future<Output = Outcome<T>>) -> Outcome<T> {
    let silent = |_| Err(Fault::new(Kind::Unavailable).say(UNREACHABLE).because("PostgreSQL did not answer in time"));
    tokio::time::timeout(patience, call).await.unwrap_or_else(silent)
}

/// The public sentence for a store that cannot be reached.
const UNREACHABLE: &str = "The control store cannot be reached now; try again.";
