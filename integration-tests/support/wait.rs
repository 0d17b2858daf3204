//! Bounded waiting for what happens elsewhere: a test that would wait forever fails instead, and says for what.

use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

/// Longer than anything takes on a busy machine, shorter than anyone's patience.
const PATIENCE: Duration = Duration::from_secs(20);
const STEP: Duration = Duration::from_millis(10);

/// The outcome of `future`, which must come in time.
pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("waited in vain for {what}"))
}

/// Polls until `check` holds.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, mut check: impl FnMut() -> F) {
    soon(what, async {
        while !check().await {
            sleep(STEP).await;
        }
    })
    .await;
}

/// Polls until a figure has stood still for `calm`, and answers it.
pub(crate) async fn settled(what: &str, calm: Duration, read: impl Fn() -> usize) -> usize {
    soon(what, async {
        let (mut last, mut since) = (read(), Instant::now());
        while since.elapsed() < calm {
            sleep(STEP).await;
            let now = read();
            if now != last {
                (last, since) = (now, Instant::now());
            }
        }
        last
    })
    .await
}
