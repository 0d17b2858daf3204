//! Puts a snapshot in force and tells those who wait.

use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::watch;

use super::snapshot::Snapshot;
use crate::domain::ids::Revision;

/// Holds the snapshot in force. Readers never wait; there is one writer at a time, by the caller's arrangement.
#[derive(Debug)]
pub struct Publisher {
    current: ArcSwap<Snapshot>,
    revisions: watch::Sender<Revision>,
}

impl Publisher {
    /// Starts with `first` in force.
    #[must_use]
    pub fn new(first: Snapshot) -> Self {
        let (revisions, _) = watch::channel(first.revision());
        Self { current: ArcSwap::from_pointee(first), revisions }
    }

    /// The snapshot in force. Take it once per request and keep it.
    #[must_use]
    pub fn current(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// Puts `next` in force. A snapshot older than the one in force is ignored.
    pub fn publish(&self, next: Snapshot) {
        let revision = next.revision();
        if revision >= self.current.load().revision() {
            self.replace(next);
        }
    }

    /// Puts `next` in force even if it is older: the store itself went back, such as to a backup.
    pub fn replace(&self, next: Snapshot) {
        let revision = next.revision();
        self.current.store(Arc::new(next));
        self.revisions.send_replace(revision);
    }

    /// Follows the revision in force. The first value is the present one.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<Revision> {
        self.revisions.subscribe()
    }
}
