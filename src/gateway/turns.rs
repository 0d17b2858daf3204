//! Who waits for money that others hold: a line for each key. The first in it asks the ledger, again and again; the others
//! wait for their turn and ask nothing. So many who wait cost Redis what one costs, and of those who wait the first is served
//! first; a request that can be served at once does not wait behind them.
//!
//! A replica has lines of its own; its first takes its chance with the first of the others.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use crate::domain::ids::VirtualKeyId;

/// Most requests of a key that wait at one time; further ones are refused at once.
const MOST_WAITING: usize = 1_000;

/// The lines of a replica.
#[derive(Debug, Default)]
pub struct Turns(Mutex<HashMap<VirtualKeyId, Line>>);

#[derive(Debug, Default)]
struct Line {
    waiting: usize,
    shared: Arc<Shared>,
}

/// What those in a line share.
#[derive(Debug)]
struct Shared {
    /// One permit, given in the order in which it was asked for.
    first: Arc<Semaphore>,
    /// Money came free here.
    freed: Notify,
}

impl Default for Shared {
    fn default() -> Self {
        Self { first: Arc::new(Semaphore::new(1)), freed: Notify::new() }
    }
}

impl Turns {
    /// Whether somebody waits.
    #[cfg(test)]
    fn is_line(&self, key: VirtualKeyId) -> bool {
        self.lines().contains_key(&key)
    }

    /// Lines up. `None`: too many wait.
    pub(super) fn join(self: &Arc<Self>, key: VirtualKeyId) -> Option<Turn> {
        let mut lines = self.lines();
        let line = lines.entry(key).or_default();
        if line.waiting >= MOST_WAITING {
            return None;
        }
        line.waiting += 1;
        Some(Turn { turns: Arc::clone(self), key, shared: Arc::clone(&line.shared), first: None })
    }

    /// Tells who is first in a key's line that money may have come free.
    pub(super) fn freed(&self, key: VirtualKeyId) {
        if let Some(line) = self.lines().get(&key) {
            line.shared.freed.notify_one();
        }
    }

    fn lines(&self) -> MutexGuard<'_, HashMap<VirtualKeyId, Line>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place in a line. Dropping it leaves.
#[derive(Debug)]
pub(super) struct Turn {
    turns: Arc<Turns>,
    key: VirtualKeyId,
    shared: Arc<Shared>,
    first: Option<OwnedSemaphorePermit>,
}

impl Turn {
    /// Waits until all who came before have left.
    pub(super) async fn comes(&mut self) {
        if self.first.is_none() {
            // It is never closed.
            self.first = Arc::clone(&self.shared.first).acquire_owned().await.ok();
        }
    }

    /// Waits until money may have come free here, or for so long.
    pub(super) async fn freed(&self, pause: Duration) {
        _ = tokio::time::timeout(pause, self.shared.freed.notified()).await;
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut lines = self.turns.lines();
        if let Some(line) = lines.get_mut(&self.key) {
            line.waiting -= 1;
            if line.waiting == 0 {
                lines.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use uuid::Uuid;

    use super::*;

    fn key(number: u128) -> VirtualKeyId {
        VirtualKeyId::from_uuid(Uuid::from_u128(number))
    }

    #[test]
    fn who_came_first_is_first_and_who_leaves_makes_room_at_once() {
        let turns = Arc::new(Turns::default());
        let [mut a, mut b, mut c] = [1, 1, 1].map(|number| turns.join(key(number)).unwrap());
        assert!(a.comes().now_or_never().is_some());
        {
            let (mut b_waits, mut c_waits) = (Box::pin(b.comes()), Box::pin(c.comes()));
            assert!(b_waits.as_mut().now_or_never().is_none() && c_waits.as_mut().now_or_never().is_none());
            // The one in the middle gives up; the last moves up.
            drop(b_waits);
            drop(a);
            assert!(c_waits.as_mut().now_or_never().is_some());
        }
        assert!(b.comes().now_or_never().is_none(), "who gave up waits behind");
        drop(c);
        assert!(b.comes().now_or_never().is_some());
        assert!(turns.is_line(key(1)) && !turns.is_line(key(2)));
        drop(b);
        assert!(!turns.is_line(key(1)), "nothing is left of a line without anyone");
    }

    #[test]
    fn a_line_has_an_end_and_keys_have_lines_of_their_own() {
        let turns = Arc::new(Turns::default());
        let line: Vec<_> = (0..MOST_WAITING).map(|_| turns.join(key(1)).unwrap()).collect();
        assert!(turns.join(key(1)).is_none() && turns.join(key(2)).is_some());
        drop(line);
        assert!(turns.join(key(1)).is_some());
    }

    #[tokio::test]
    async fn the_first_is_woken_when_money_comes_free() {
        let turns = Arc::new(Turns::default());
        let turn = turns.join(key(1)).unwrap();
        let began = tokio::time::Instant::now();
        // Also where it comes free before the first waits for it.
        turns.freed(key(1));
        turn.freed(Duration::from_secs(60)).await;
        assert!(began.elapsed() < Duration::from_secs(10));
        turn.freed(Duration::from_millis(20)).await;
        assert!(began.elapsed() >= Duration::from_millis(20));
    }
}
