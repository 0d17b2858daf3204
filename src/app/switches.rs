//! What ends the parts of a running gateway, each in its turn.

use std::future::Future;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::tasks::Tasks;
use crate::api::ops::health::Readiness;

/// Switches that the shutdown turns, and the tasks that it waits for.
pub(super) struct Switches {
    /// Requests, connections and listeners.
    pub tasks: Tasks,
    /// What goes on until requests are over.
    pub background: Tasks,
    pub readiness: watch::Sender<Readiness>,
    /// Becomes `false` when no new connections are taken.
    pub accepting: watch::Sender<bool>,
    /// Becomes `true` when streams still open have to end.
    pub stopping: watch::Sender<bool>,
    /// Becomes `true` when nothing more is recorded.
    pub recording_ends: watch::Sender<bool>,
    /// Ends what lives until the store is closed.
    pub last_breath: CancellationToken,
}

impl Switches {
    pub(super) fn new(readiness: Readiness) -> Self {
        Self {
            tasks: Tasks::default(),
            background: Tasks::default(),
            readiness: watch::Sender::new(readiness),
            accepting: watch::Sender::new(true),
            stopping: watch::Sender::new(false),
            recording_ends: watch::Sender::new(false),
            last_breath: CancellationToken::new(),
        }
    }

    /// Starts what has no end of its own; it lives until the store is closed.
    pub(super) fn keep(&self, work: impl Future<Output = ()> + Send + 'static) {
        let stop = self.last_breath.clone();
        self.background.start(async move {
            _ = stop.run_until_cancelled(work).await;
        });
    }
}
