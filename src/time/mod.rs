//! The one place that reads a clock. Everything else is handed a [`Clock`] or a value read from it.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

/// A moment of wall-clock time: whole milliseconds since 1970-01-01T00:00:00Z.
///
/// Milliseconds are what every table, event and API of the gateway carries; finer wall-clock time is noise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

impl Timestamp {
    /// From milliseconds since the Unix epoch.
    #[must_use]
    pub const fn from_unix_ms(ms: i64) -> Self {
        Self(ms)
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub const fn unix_ms(self) -> i64 {
        self.0
    }

    /// Whole seconds since the Unix epoch, rounded down.
    #[must_use]
    pub const fn unix_s(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// Reads RFC 3339 (`2026-11-23T09:00:00Z`, any offset). `None` when it is not one.
    #[must_use]
    pub fn parse_rfc3339(text: &str) -> Option<Self> {
        let parsed: jiff::Timestamp = text.parse().ok()?;
        Some(Self(parsed.as_millisecond()))
    }

    /// RFC 3339 in UTC with milliseconds: `2026-11-23T09:00:00.000Z`.
    #[must_use]
    pub fn to_rfc3339(self) -> String {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(timestamp) => format!("{timestamp:.3}"),
            // Outside years -9999..9999: the number itself is the only honest rendering.
            Err(_) => self.0.to_string(),
        }
    }

    /// This moment plus `duration`, saturating.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        let ms = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        Self(self.0.saturating_add(ms))
    }
}

/// Wall-clock and monotonic time, passed in wherever time matters.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// Wall-clock time, for what people and tables read.
    fn now(&self) -> Timestamp;
    /// Monotonic time, for measuring durations.
    fn instant(&self) -> Instant;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

#[expect(clippy::disallowed_methods, reason = "this is the clock that everything else is handed")]
impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
    }

    fn instant(&self) -> Instant {
        Instant::now()
    }
}

/// A clock that moves only when told to. For tests.
#[derive(Debug)]
pub struct ManualClock {
    start: Instant,
    start_ms: i64,
    elapsed_ms: AtomicI64,
}

impl ManualClock {
    /// Stands still at `at`.
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "an Instant can only be had from the machine; it never moves afterwards"
    )]
    pub fn at(at: Timestamp) -> Self {
        Self { start: Instant::now(), start_ms: at.unix_ms(), elapsed_ms: AtomicI64::new(0) }
    }

    /// Moves both clocks forward.
    pub fn advance(&self, by: Duration) {
        let ms = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        self.elapsed_ms.fetch_add(ms, Ordering::SeqCst);
    }

    fn elapsed_ms(&self) -> i64 {
        self.elapsed_ms.load(Ordering::SeqCst)
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.start_ms + self.elapsed_ms())
    }

    fn instant(&self) -> Instant {
        self.start + Duration::from_millis(u64::try_from(self.elapsed_ms()).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc3339_round_trips_in_utc_with_milliseconds() {
        let moment = Timestamp::parse_rfc3339("2026-11-23T10:00:00.25+01:00").unwrap();
        assert_eq!(moment.to_rfc3339(), "2026-11-23T09:00:00.250Z");
        assert_eq!(moment.unix_s(), 1_795_424_400);
        assert_eq!(Timestamp::parse_rfc3339("yesterday"), None);
    }

    #[test]
    fn a_manual_clock_moves_only_when_told() {
        let clock = ManualClock::at(Timestamp::from_unix_ms(1_000));
        let before = clock.instant();
        clock.advance(Duration::from_secs(2));
        assert_eq!(clock.now().unix_ms(), 3_000);
        assert_eq!(clock.instant() - before, Duration::from_secs(2));
    }
}
