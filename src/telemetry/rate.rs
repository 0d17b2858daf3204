//! A bound on log lines that strangers can cause.

use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};

use crate::time::Timestamp;

/// At most so many lines in a second. Two threads at the turn of a second may let one more through; none waits.
#[derive(Debug)]
pub struct Rate {
    most: u32,
    second: AtomicI64,
    lines: AtomicU32,
}

/// Whether a line may be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leave {
    /// Yes; so many were left out in the second before.
    Granted(u32),
    /// There were too many in this second.
    Refused,
}

impl Rate {
    /// At most `most` lines in a second.
    #[must_use]
    pub const fn new(most: u32) -> Self {
        Self { most, second: AtomicI64::new(0), lines: AtomicU32::new(0) }
    }

    /// Asks for a line at `now`.
    pub fn ask(&self, now: Timestamp) -> Leave {
        let second = now.unix_s();
        if self.second.swap(second, Ordering::Relaxed) != second {
            let before = self.lines.swap(1, Ordering::Relaxed);
            return Leave::Granted(before.saturating_sub(self.most));
        }
        let nth = self.lines.fetch_add(1, Ordering::Relaxed);
        if nth < self.most { Leave::Granted(0) } else { Leave::Refused }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_cut_and_what_was_left_out_is_said_in_the_next_second() {
        let rate = Rate::new(3);
        let at = Timestamp::from_unix_ms(1_000);
        let granted = (0..10).filter(|_| rate.ask(at) != Leave::Refused).count();
        assert_eq!(granted, 3);
        assert_eq!(rate.ask(Timestamp::from_unix_ms(2_500)), Leave::Granted(7));
        assert_eq!(rate.ask(Timestamp::from_unix_ms(2_600)), Leave::Granted(0));
    }
}
