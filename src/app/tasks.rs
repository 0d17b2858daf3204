//! The only home of spawn. Everything started here is waited for at shutdown.

use std::future::Future;
use std::pin::Pin;

use tokio_util::task::TaskTracker;

use crate::gateway::Spawn;

/// Background work. Cloning shares it.
#[derive(Debug, Clone, Default)]
pub(super) struct Tasks(TaskTracker);

impl Tasks {
    /// Starts `work`.
    pub(super) fn start(&self, work: impl Future<Output = ()> + Send + 'static) {
        drop(self.0.spawn(work));
    }

    /// Waits until all work has ended.
    pub(super) async fn wait(&self) {
        self.0.close();
        self.0.wait().await;
    }
}

impl Spawn for Tasks {
    fn spawn(&self, work: Pin<Box<dyn Future<Output = ()> + Send>>) {
        self.start(work);
    }
}
