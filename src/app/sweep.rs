//! Deletes stored responses whose time is over: a batch at a time, so that nobody waits for a long transaction.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::store::ResponseStateStore;
use crate::store::response_state::MAX_EXPIRED;
use crate::time::Clock;

/// How often it is looked for them; what has expired is not found from that moment on.
const EVERY: Duration = Duration::from_secs(60);
/// Between two batches.
const PAUSE: Duration = Duration::from_millis(50);

/// Until `stop`.
pub(super) async fn run(states: Arc<dyn ResponseStateStore>, clock: Arc<dyn Clock>, stop: CancellationToken) {
    let mut is_failing = false;
    let sweeps = async {
        // At the start the schema may not be there yet.
        tokio::time::sleep(EVERY).await;
        loop {
            let deleted = states.delete_expired(clock.now(), MAX_EXPIRED).await;
            match &deleted {
                Ok(0) => {}
                Ok(deleted) => tracing::debug!(deleted, "stored responses whose time was over are deleted"),
                Err(fault) if !is_failing => {
                    tracing::warn!(error = fault.cause(), "expired responses cannot be deleted now: {fault}");
                }
                Err(_) => {}
            }
            is_failing = deleted.is_err();
            let has_more = deleted.is_ok_and(|deleted| deleted >= u64::from(MAX_EXPIRED));
            tokio::time::sleep(if has_more { PAUSE } else { EVERY }).await;
        }
    };
    _ = stop.run_until_cancelled(sweeps).await;
}
