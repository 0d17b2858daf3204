//! How the process stops: not ready, no new connections, wait for what is under way, tell what is left, close the store.

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use super::build::Running;
use crate::api::grpc;

/// What is left after the drain gets so long to hear that it ends.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Waits for SIGINT or SIGTERM, then stops. A second signal stops at once.
pub(super) async fn wait_and_stop(running: Running) {
    next_signal().await;
    tracing::info!("stopping: waiting for requests under way (a second signal stops at once)");
    tokio::select! {
        () = running.stop() => tracing::info!("stopped"),
        () = next_signal() => tracing::warn!("stopped at once"),
    }
}

impl Running {
    /// Drains and stops.
    pub async fn stop(self) {
        self.switches.readiness.send_modify(|readiness| readiness.is_draining = true);
        grpc::set_health(&self.grpc_health, false).await;
        tokio::time::sleep(self.drain_delay).await;
        self.switches.accepting.send_replace(false);
        self.usage.end_tails();
        if tokio::time::timeout(self.shutdown_timeout, self.switches.tasks.wait()).await.is_err() {
            tracing::warn!("requests under way are ended: SHUTDOWN_TIMEOUT_MS is over");
            self.switches.stopping.send_replace(true);
            // Whoever does not listen now is cut off when the process ends.
            _ = tokio::time::timeout(LAST_WORDS, self.switches.tasks.wait()).await;
        }
        // The others would notice by the silence, too.
        if let Ok(Err(fault)) = tokio::time::timeout(LAST_WORDS, self.replicas.retire()).await {
            tracing::debug!(error = fault.cause(), "the other replicas could not be told of the end: {fault}");
        }
        self.switches.last_breath.cancel();
        self.switches.recording_ends.send_replace(true);
        self.switches.background.wait().await;
        if tokio::time::timeout(LAST_WORDS, self.storage.close()).await.is_err() {
            tracing::warn!("connections to the store did not close in time");
        }
    }
}

async fn next_signal() {
    let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        tracing::error!("signals cannot be received on this system");
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}
