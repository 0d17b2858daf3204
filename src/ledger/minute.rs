//! What was used in the last 60 seconds: a bucket for each.

use std::time::Duration;

const SECONDS: usize = 60;
const SPAN: i64 = 60;

/// Sixty buckets of one second.
#[derive(Debug, Clone)]
pub(super) struct Minute {
    buckets: [u64; SECONDS],
    /// The newest second.
    newest: i64,
    sum: u64,
}

impl Default for Minute {
    fn default() -> Self {
        Self { buckets: [0; SECONDS], newest: 0, sum: 0 }
    }
}

impl Minute {
    /// The sum up to a second. Time that goes back is taken to stand still.
    pub(super) fn sum(&mut self, second: i64) -> u64 {
        self.advance(second);
        self.sum
    }

    /// Counts in the newest second; answers it.
    pub(super) fn add(&mut self, second: i64, amount: u64) -> i64 {
        self.advance(second);
        let newest = self.newest;
        self.change(newest, |bucket| bucket.saturating_add(amount));
        newest
    }

    /// Replaces what was counted in a second. What has left the window stays as it was.
    pub(super) fn replace(&mut self, second: i64, before: u64, after: u64) {
        if second > self.newest - SPAN && second <= self.newest {
            self.change(second, |bucket| bucket.saturating_sub(before).saturating_add(after));
        }
    }

    /// How long until `amount` more fits below `limit`. `None`: never.
    pub(super) fn wait(&self, now_ms: i64, limit: u64, amount: u64) -> Option<Duration> {
        if amount > limit {
            return None;
        }
        let mut sum = self.sum;
        let oldest = self.newest - SPAN + 1;
        for second in oldest..=self.newest {
            if sum.saturating_add(amount) <= limit {
                return Some(until(second - 1, now_ms));
            }
            sum -= self.bucket(second);
        }
        Some(until(self.newest, now_ms))
    }

    /// How long until nothing is counted any more.
    pub(super) fn empty_in(&self, now_ms: i64) -> Duration {
        let oldest = self.newest - SPAN + 1;
        let last = (oldest..=self.newest).rev().find(|second| self.bucket(*second) > 0);
        last.map_or(Duration::ZERO, |second| until(second, now_ms))
    }

    /// The seconds in which something was counted, and how much.
    pub(super) fn seconds(&self) -> impl Iterator<Item = (i64, u64)> {
        let all = self.newest - SPAN + 1..=self.newest;
        all.map(|second| (second, self.bucket(second))).filter(|(_, amount)| *amount > 0)
    }

    fn advance(&mut self, second: i64) {
        if second - self.newest >= SPAN {
            *self = Self { newest: second, ..Self::default() };
        }
        while self.newest < second {
            self.newest += 1;
            self.change(self.newest, |_| 0);
        }
    }

    fn change(&mut self, second: i64, to: impl FnOnce(u64) -> u64) {
        let Some(bucket) = self.buckets.get_mut(index(second)) else { return };
        let after = to(*bucket);
        self.sum = self.sum.saturating_sub(*bucket).saturating_add(after);
        *bucket = after;
    }

    fn bucket(&self, second: i64) -> u64 {
        self.buckets.get(index(second)).copied().unwrap_or_default()
    }
}

fn index(second: i64) -> usize {
    usize::try_from(second.rem_euclid(SPAN)).unwrap_or_default()
}

/// Until a second has left the window.
fn until(second: i64, now_ms: i64) -> Duration {
    let ms = (second + SPAN).saturating_mul(1000).saturating_sub(now_ms);
    Duration::from_millis(u64::try_from(ms).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sixty_seconds_old_no_longer_counts() {
        let mut minute = Minute::default();
        minute.add(1_000, 5);
        minute.add(1_030, 7);
        assert_eq!(minute.sum(1_059), 12);
        assert_eq!(minute.sum(1_060), 7);
        assert_eq!(minute.sum(1_089), 7);
        assert_eq!(minute.sum(1_090), 0);
        minute.add(5_000, 1);
        assert_eq!(minute.sum(5_000), 1);
        // A clock that goes back does not bring anything back.
        assert_eq!(minute.sum(4_000), 1);
    }

    #[test]
    fn the_wait_is_until_enough_has_left() {
        let mut minute = Minute::default();
        minute.add(100, 3);
        minute.add(110, 2);
        assert_eq!(minute.wait(110_500, 5, 1), Some(Duration::from_millis(49_500)));
        assert_eq!(minute.wait(110_500, 5, 3), Some(Duration::from_millis(49_500)));
        assert_eq!(minute.wait(110_500, 5, 4), Some(Duration::from_millis(59_500)));
        assert_eq!(minute.wait(110_500, 5, 5), Some(Duration::from_millis(59_500)));
        assert_eq!(minute.wait(110_500, 5, 6), None);
        assert_eq!(minute.empty_in(110_500), Duration::from_millis(59_500));
        assert_eq!(Minute::default().empty_in(0), Duration::ZERO);
    }

    #[test]
    fn a_settlement_counts_in_the_second_of_its_admission() {
        let mut minute = Minute::default();
        let second = minute.add(100, 4_000);
        minute.add(150, 1);
        minute.replace(second, 4_000, 12);
        assert_eq!(minute.sum(159), 13);
        assert_eq!(minute.sum(160), 1);
        // It has left: nothing to change.
        minute.replace(second, 12, 500);
        assert_eq!(minute.sum(160), 1);
    }
}
