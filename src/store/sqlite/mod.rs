//! SQLite backend of the control store (embedded mode): one file, one process.
//!
//! One connection writes and every write begins `IMMEDIATE`, so writes are serial and never fail for want of a lock in
//! the middle. Readers have connections of their own; with the write-ahead log they neither wait for a writer nor hold
//! one up. What begins with [`BEGIN`] is on the disk when it is answered; records of requests are not waited for that long, see
//! [`usage`]. All SQL is static.
//!
//! A row that does not parse is named, never guessed at: [`rows`] turns it into a `BadRow` for bulk reads and into a
//! fault for single reads. Replacing and deleting look only at a row's key and revision, so both cure a bad row.

mod audit;
mod batch;
mod change;
mod deployment;
mod errors;
mod fallback;
mod insert;
mod lock;
mod open;
mod operations;
mod replica;
mod response_state;
mod rows;
mod settings;
mod sums;
#[cfg(test)]
mod tests;
mod tx;
mod usage;
mod virtual_key;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sqlx::SqlitePool;

use super::Stores;

pub use lock::{DataDirLock, lock_data_dir};
pub use open::{open, open_in_memory};

/// Begins a write that is on the disk once it is committed. The setting is the connection's, so every such write makes it.
const BEGIN: &str = "PRAGMA synchronous = FULL; BEGIN IMMEDIATE";
/// Begins a write that survives the death of the process once it is committed, and soon that of the machine.
const BEGIN_SOON_DURABLE: &str = "PRAGMA synchronous = NORMAL; BEGIN IMMEDIATE";

/// The control store in one SQLite database. Cheap to clone; clones share the connections.
#[derive(Debug, Clone)]
pub struct SqliteStore {
    /// One connection.
    writer: SqlitePool,
    readers: SqlitePool,
    /// The change log keeps the entries of so many revisions.
    log_revisions: i64,
    heartbeats: replica::Heartbeats,
    /// Writes that wait for the writer.
    waiting: Arc<AtomicU64>,
}

/// A write that waits for its turn, until it is dropped.
struct Waits<'a>(&'a AtomicU64);

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl SqliteStore {
    /// Connections by pool: its name, those in use, and those that are idle.
    #[must_use]
    pub fn connections(&self) -> [(&'static str, (usize, usize)); 2] {
        [("sqlite_readers", &self.readers), ("sqlite_writer", &self.writer)].map(|(name, pool)| {
            let idle = pool.num_idle();
            (name, (usize::try_from(pool.size()).unwrap_or(usize::MAX).saturating_sub(idle), idle))
        })
    }

    /// Writes that wait for the one connection that writes.
    #[must_use]
    pub fn writes_waiting(&self) -> u64 {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Waits for the writer, and is counted meanwhile.
    async fn turn<T>(&self, turn: impl Future<Output = T>) -> T {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let _counted = Waits(&self.waiting);
        turn.await
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

    /// Waits for what is under way and closes the database. Every later call answers `Unavailable`.
    pub async fn close(&self) {
        self.readers.close().await;
        // Last, because the last connection to close folds the write-ahead log into the file.
        self.writer.close().await;
    }

    /// The same database with a change log of another length.
    #[cfg(test)]
    pub(in crate::store) fn with_log_of(mut self, revisions: i64) -> Self {
        self.log_revisions = revisions;
        self
    }
}
