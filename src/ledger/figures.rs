//! What the ledger knows of itself, as plain numbers: who exports them reads them here.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use super::Reason;
use crate::time::Timestamp;

/// Upper bounds of the buckets of [`Reading::settle_buckets`], in microseconds; a last one has no bound.
pub const SETTLE_BOUNDS_US: [u64; 10] = [100, 250, 500, 1_000, 2_500, 10_000, 50_000, 250_000, 500_000, 1_000_000];
const BUCKETS: usize = SETTLE_BOUNDS_US.len() + 1;
const REASONS: [&str; 7] =
    ["budget_spent", "budget_too_small", "budget_reserved", "requests", "tokens", "too_many_tokens", "parallel"];

/// Counters and gauges of one process. All of them may be read and changed at any time.
#[derive(Debug, Default)]
pub struct Figures {
    waits: AtomicU64,
    waited_us: AtomicU64,
    refusals: [AtomicU64; REASONS.len()],
    settle_buckets: [AtomicU64; BUCKETS],
    settle_us: AtomicU64,
    unsafe_answers: AtomicU64,
    let_through: AtomicU64,
    not_kept: AtomicU64,
    waiting: AtomicU64,
    /// Unix milliseconds; 0: nothing waits.
    oldest_ms: AtomicI64,
    spool_bytes: AtomicU64,
    kept: AtomicU64,
    inherited: AtomicU64,
}

/// The figures at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// Requests that waited for money that others held.
    pub waits: u64,
    /// How long they waited, together.
    pub waited: Duration,
    /// Requests that were refused, by reason.
    pub refusals: [(&'static str, u64); REASONS.len()],
    /// Answers whose end waited for their record, by how long: see [`SETTLE_BOUNDS_US`]. Each counts in one bucket.
    pub settle_buckets: [u64; BUCKETS],
    /// How long they waited, together.
    pub settle: Duration,
    /// Answers that went out before their record was safe.
    pub unsafe_answers: u64,
    /// Requests with limits that were let through uncounted, where the settings say so.
    pub let_through: u64,
    /// Ends of requests that Redis could not be told in time; their answers waited for the store or the spool.
    pub not_kept: u64,
    /// Records, and questions behind them, that wait in memory for the store.
    pub waiting: u64,
    /// Age of the oldest record that is not in the store: how far apart two failures have to be.
    pub lag: Duration,
    /// Bytes of records on disk.
    pub spool_bytes: u64,
    /// Records that Redis keeps for this replica.
    pub kept: u64,
    /// Records taken over from replicas that fell silent.
    pub inherited: u64,
}

impl Figures {
    /// A request waited so long for money that others held, for the first time or again.
    pub fn waited(&self, duration: Duration, is_first: bool) {
        self.waits.fetch_add(u64::from(is_first), Ordering::Relaxed);
        self.waited_us.fetch_add(us(duration), Ordering::Relaxed);
    }

    /// A request was refused.
    pub fn refused(&self, reason: Reason) {
        let at = match reason {
            Reason::BudgetSpent => 0,
            Reason::BudgetTooSmall { .. } => 1,
            Reason::BudgetReserved => 2,
            Reason::Requests => 3,
            Reason::Tokens => 4,
            Reason::TooManyTokens { .. } => 5,
            Reason::Parallel => 6,
        };
        if let Some(count) = self.refusals.get(at) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The end of an answer waited so long for its record.
    pub fn settled(&self, after: Duration) {
        let after = us(after);
        let at = SETTLE_BOUNDS_US.iter().position(|bound| after <= *bound).unwrap_or(BUCKETS - 1);
        if let Some(count) = self.settle_buckets.get(at) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.settle_us.fetch_add(after, Ordering::Relaxed);
    }

    /// An answer went out before its record was safe.
    pub fn went_out_unsafe(&self) {
        self.unsafe_answers.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn was_let_through(&self) {
        self.let_through.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn were_not_kept(&self, count: usize) {
        self.not_kept.fetch_add(number(count), Ordering::Relaxed);
    }

    pub(super) fn inherited(&self, count: usize) {
        self.inherited.fetch_add(number(count), Ordering::Relaxed);
    }

    pub(super) fn set_kept(&self, count: usize) {
        self.kept.store(number(count), Ordering::Relaxed);
    }

    pub(super) fn set_waiting(&self, count: usize, oldest: Option<Timestamp>) {
        self.waiting.store(number(count), Ordering::Relaxed);
        self.oldest_ms.store(oldest.map_or(0, Timestamp::unix_ms), Ordering::Relaxed);
    }

    pub(super) fn set_spool_bytes(&self, bytes: u64) {
        self.spool_bytes.store(bytes, Ordering::Relaxed);
    }

    /// All of them.
    #[must_use]
    pub fn read(&self, now: Timestamp) -> Reading {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let oldest = self.oldest_ms.load(Ordering::Relaxed);
        let age = if oldest == 0 { 0 } else { now.unix_ms().saturating_sub(oldest) };
        let mut refusals = REASONS.map(|reason| (reason, 0));
        for ((_, count), counted) in refusals.iter_mut().zip(&self.refusals) {
            *count = of(counted);
        }
        Reading {
            waits: of(&self.waits),
            waited: Duration::from_micros(of(&self.waited_us)),
            refusals,
            settle_buckets: std::array::from_fn(|at| self.settle_buckets.get(at).map_or(0, of)),
            settle: Duration::from_micros(of(&self.settle_us)),
            unsafe_answers: of(&self.unsafe_answers),
            let_through: of(&self.let_through),
            not_kept: of(&self.not_kept),
            waiting: of(&self.waiting),
            lag: Duration::from_millis(u64::try_from(age).unwrap_or_default()),
            spool_bytes: of(&self.spool_bytes),
            kept: of(&self.kept),
            inherited: of(&self.inherited),
        }
    }
}

fn us(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

fn number(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_read() {
        let figures = Figures::default();
        let now = Timestamp::from_unix_ms(10_000);
        assert_eq!((figures.read(now).lag, figures.read(now).waits), (Duration::ZERO, 0));
        figures.waited(Duration::from_millis(3), true);
        figures.waited(Duration::from_millis(4), false);
        figures.refused(Reason::TooManyTokens { needed: 1 });
        figures.settled(Duration::from_micros(250));
        figures.settled(Duration::from_secs(9));
        figures.set_waiting(3, Some(Timestamp::from_unix_ms(8_500)));
        let read = figures.read(now);
        assert_eq!((read.waits, read.waited), (1, Duration::from_millis(7)));
        assert_eq!(read.refusals[5], ("too_many_tokens", 1));
        assert_eq!(read.settle_buckets, [0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        assert_eq!((read.waiting, read.lag), (3, Duration::from_millis(1_500)));
    }
}
