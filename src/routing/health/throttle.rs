//! Upstream models whose provider asked to wait: one entry per account and upstream model, whoever deploys it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::seconds;
use crate::domain::settings::RouterSettings;

/// A throttle that ended so long ago is forgotten; the next wait is a short one again.
const MEMORY: Duration = Duration::from_secs(300);

#[derive(Debug)]
struct Throttle {
    until: Instant,
    /// Waits in a row whose length the provider did not say.
    unsaid: u32,
}

#[derive(Debug, Default)]
pub(super) struct Throttles {
    known: Mutex<HashMap<[u8; 16], Throttle>>,
    /// How many are known: none, nearly always, and then no lock is taken.
    count: AtomicUsize,
}

impl Throttles {
    pub(super) fn wait(&self, account: &[u8; 16], now: Instant) -> Option<Duration> {
        if self.count.load(Ordering::Acquire) == 0 {
            return None;
        }
        let wait = self.lock().get(account)?.until.saturating_duration_since(now);
        (!wait.is_zero()).then_some(wait)
    }

    pub(super) fn throttled(
        &self,
        account: &[u8; 16],
        said: Option<Duration>,
        settings: &RouterSettings,
        now: Instant,
    ) {
        let mut known = self.lock();
        known.retain(|_, throttle| now.saturating_duration_since(throttle.until) < MEMORY);
        let throttle = known.entry(*account).or_insert(Throttle { until: now, unsaid: 0 });
        let longest = seconds(settings.throttle_cooldown_seconds);
        // Requests that were under way together are one event.
        let is_anew = throttle.until <= now;
        let wait = said.unwrap_or_else(|| {
            let first = u64::from(settings.retry_after_seconds);
            Duration::from_secs(first.saturating_mul(1 << throttle.unsaid.min(20)))
        });
        if said.is_some() {
            throttle.unsaid = 0;
        } else if is_anew {
            throttle.unsaid = throttle.unsaid.saturating_add(1);
        } else {
            // The wait is running.
            return;
        }
        throttle.until = throttle.until.max(now + wait.min(longest));
        self.count.store(known.len(), Ordering::Release);
    }

    /// Another replica was told to wait.
    pub(super) fn hear(&self, account: [u8; 16], until: Instant, now: Instant) {
        let mut known = self.lock();
        known.retain(|_, throttle| now.saturating_duration_since(throttle.until) < MEMORY);
        let throttle = known.entry(account).or_insert(Throttle { until, unsaid: 0 });
        throttle.until = throttle.until.max(until);
        self.count.store(known.len(), Ordering::Release);
    }

    /// Those that run, and for how long.
    pub(super) fn running(&self, now: Instant) -> Vec<([u8; 16], Duration)> {
        let known = self.lock();
        let left = |throttle: &Throttle| throttle.until.saturating_duration_since(now);
        let running = known.iter().map(|(account, throttle)| (*account, left(throttle)));
        running.filter(|(_, wait)| !wait.is_zero()).collect()
    }

    /// A request passed: the next throttle is the first again, unless one is running.
    pub(super) fn passed(&self, account: &[u8; 16], now: Instant) {
        if self.count.load(Ordering::Acquire) == 0 {
            return;
        }
        let mut known = self.lock();
        if known.get(account).is_some_and(|throttle| throttle.until <= now) {
            known.remove(account);
            self.count.store(known.len(), Ordering::Release);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<[u8; 16], Throttle>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
