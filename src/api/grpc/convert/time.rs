//! Timestamps and durations. Ours are whole milliseconds; finer ones are cut.

use std::time::Duration;

use crate::time::Timestamp;

const NANOS_PER_MS: i32 = 1_000_000;
// 0001-01-01T00:00:00Z and the last second of 9999: what google.protobuf.Timestamp allows.
const EARLIEST_S: i64 = -62_135_596_800;
const LATEST_S: i64 = 253_402_300_799;

/// A moment.
///
/// # Errors
/// A sentence when it is outside years 1 to 9999 or garbled.
pub(crate) fn timestamp_from_proto(message: &prost_types::Timestamp) -> Result<Timestamp, &'static str> {
    if !(EARLIEST_S..=LATEST_S).contains(&message.seconds) || !(0..1_000_000_000).contains(&message.nanos) {
        return Err("is not a moment of the years 1 to 9999");
    }
    Ok(Timestamp::from_unix_ms(message.seconds * 1000 + i64::from(message.nanos / NANOS_PER_MS)))
}

/// A moment as a message.
pub(crate) fn timestamp_into_proto(moment: Timestamp) -> prost_types::Timestamp {
    let ms = moment.unix_ms().rem_euclid(1000);
    prost_types::Timestamp { seconds: moment.unix_s(), nanos: i32::try_from(ms).unwrap_or_default() * NANOS_PER_MS }
}

/// A duration that is not negative.
///
/// # Errors
/// A sentence when it is negative or garbled.
pub(crate) fn duration_from_proto(message: &prost_types::Duration) -> Result<Duration, &'static str> {
    let seconds = u64::try_from(message.seconds).map_err(|_| "must not be negative")?;
    let nanos = u32::try_from(message.nanos).map_err(|_| "must not be negative")?;
    if nanos >= 1_000_000_000 { Err("has a second or more of nanoseconds") } else { Ok(Duration::new(seconds, nanos)) }
}

/// A duration as a message.
pub(crate) fn duration_into_proto(duration: Duration) -> prost_types::Duration {
    prost_types::Duration {
        seconds: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        nanos: i32::try_from(duration.subsec_nanos()).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_round_trip_before_and_after_the_epoch() {
        for ms in [0, 1, -1, -1001, 1_795_424_400_250] {
            let moment = Timestamp::from_unix_ms(ms);
            assert_eq!(timestamp_from_proto(&timestamp_into_proto(moment)), Ok(moment));
        }
    }

    #[test]
    fn impossible_moments_and_negative_durations_are_refused() {
        for (seconds, nanos) in [(i64::MAX, 0), (i64::MIN, 0), (0, -1), (0, 1_000_000_000)] {
            assert!(timestamp_from_proto(&prost_types::Timestamp { seconds, nanos }).is_err());
        }
        for (seconds, nanos) in [(-1, 0), (0, -1), (0, 1_000_000_000)] {
            assert!(duration_from_proto(&prost_types::Duration { seconds, nanos }).is_err());
        }
        let hour = Duration::from_millis(3_600_500);
        assert_eq!(duration_from_proto(&duration_into_proto(hour)), Ok(hour));
    }
}
