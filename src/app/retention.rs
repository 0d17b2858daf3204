//! Forgets records that are older than their retention, and makes room for those of the days ahead, once an hour.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::domain::ports::UsageSink;
use crate::time::Clock;

const EVERY: Duration = Duration::from_secs(60 * 60);
/// The first time comes after start-up, when the store is there.
const FIRST: Duration = Duration::from_secs(60);
const DAY_MS: i64 = 86_400_000;
/// Room is made for so many days ahead, so it is there before midnight even when it fails for hours.
const DAYS_AHEAD: i64 = 2;

/// Runs until it is stopped.
pub(super) async fn run(sink: Arc<dyn UsageSink>, clock: Arc<dyn Clock>, days: u32, stop: CancellationToken) {
    let mut pause = FIRST;
    while stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_some() {
        let now = clock.now().unix_ms();
        let room = sink.make_room(now, now + DAYS_AHEAD * DAY_MS);
        if let Some(Err(error)) = stop.run_until_cancelled(room).await {
            tracing::warn!(%error, "no room could be made for the records of the days ahead; it will be within the hour");
        }
        let before = now - i64::from(days) * DAY_MS;
        if let Some(Err(error)) = stop.run_until_cancelled(sink.forget_before(before)).await {
            tracing::warn!(%error, "old records of requests could not be forgotten; they will be within the hour");
        }
        pause = EVERY;
    }
}
