//! The calendar windows of budgets, in UTC: hours, days, weeks from Monday, months. Without a reset there is one, for ever.

use super::virtual_key::BudgetReset;
use crate::time::Timestamp;

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;
/// 1970-01-05 was the first Monday.
const FIRST_MONDAY: i64 = 4;

/// One window of a budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Window {
    /// What ends it; `None`: nothing.
    pub reset: Option<BudgetReset>,
    /// Its first moment; the epoch for the one without end.
    pub start: Timestamp,
    /// The first moment of the next one.
    pub end: Option<Timestamp>,
}

impl Window {
    /// The window that a moment lies in.
    #[must_use]
    pub fn at(reset: Option<BudgetReset>, moment: Timestamp) -> Self {
        let ms = moment.unix_ms();
        let (start, end) = match reset {
            None => return Self { reset, start: Timestamp::from_unix_ms(0), end: None },
            Some(BudgetReset::Hourly) => aligned(ms, HOUR_MS, 0),
            Some(BudgetReset::Daily) => aligned(ms, DAY_MS, 0),
            Some(BudgetReset::Weekly) => aligned(ms, 7 * DAY_MS, FIRST_MONDAY * DAY_MS),
            Some(BudgetReset::Monthly) => month(ms),
        };
        Self { reset, start: Timestamp::from_unix_ms(start), end: Some(Timestamp::from_unix_ms(end)) }
    }

    /// The word of its length in the store: that of the reset, or `never`.
    #[must_use]
    pub fn word(&self) -> &'static str {
        self.reset.map_or("never", BudgetReset::as_str)
    }
}

fn aligned(ms: i64, length: i64, offset: i64) -> (i64, i64) {
    let start = (ms - offset).div_euclid(length) * length + offset;
    (start, start + length)
}

/// The month around a moment. After "chrono-Compatible Low-Level Date Algorithms" (Howard Hinnant), years begin in March.
fn month(ms: i64) -> (i64, i64) {
    let days = ms.div_euclid(DAY_MS) + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let first = |month: i64| {
        let year = year_of_era + era * 400 + month.div_euclid(12);
        let (era, year) = (year.div_euclid(400), year.rem_euclid(400));
        let day_of_era = 365 * year + year / 4 - year / 100 + (153 * month.rem_euclid(12) + 2) / 5;
        (era * 146_097 + day_of_era - 719_468) * DAY_MS
    };
    (first(month), first(month + 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use BudgetReset::{Daily, Hourly, Monthly, Weekly};

    #[test]
    fn windows_are_those_of_the_calendar() {
        let at = |text: &str| Timestamp::parse_rfc3339(text).unwrap();
        for (reset, moment, start, end) in [
            (Hourly, "2026-11-25T18:59:59.999Z", "2026-11-25T18:00:00Z", "2026-11-25T19:00:00Z"),
            (Daily, "2026-11-25T00:00:00Z", "2026-11-25T00:00:00Z", "2026-11-26T00:00:00Z"),
            (Weekly, "2026-11-25T12:00:00Z", "2026-11-23T00:00:00Z", "2026-11-30T00:00:00Z"),
            (Weekly, "2026-11-30T00:00:00Z", "2026-11-30T00:00:00Z", "2026-12-07T00:00:00Z"),
            (Weekly, "2026-11-29T23:59:59Z", "2026-11-23T00:00:00Z", "2026-11-30T00:00:00Z"),
            (Monthly, "2026-12-31T23:59:59Z", "2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z"),
            (Monthly, "2028-02-29T10:00:00Z", "2028-02-01T00:00:00Z", "2028-03-01T00:00:00Z"),
            (Monthly, "2027-02-28T10:00:00Z", "2027-02-01T00:00:00Z", "2027-03-01T00:00:00Z"),
            (Monthly, "2027-01-01T00:00:00Z", "2027-01-01T00:00:00Z", "2027-02-01T00:00:00Z"),
            (Monthly, "1969-12-31T23:00:00Z", "1969-12-01T00:00:00Z", "1970-01-01T00:00:00Z"),
        ] {
            let window = Window::at(Some(reset), at(moment));
            assert_eq!((window.start, window.end), (at(start), Some(at(end))), "{reset:?} {moment}");
        }
        assert_eq!(Window::at(None, at("2026-11-25T12:00:00Z")).end, None);
    }

    #[test]
    fn months_follow_each_other_without_gaps() {
        let mut moment = Timestamp::parse_rfc3339("1999-12-15T00:00:00Z").unwrap();
        for _ in 0..1_300 {
            let window = Window::at(Some(Monthly), moment);
            let end = window.end.unwrap();
            assert!(window.start <= moment && moment < end);
            assert_eq!(Window::at(Some(Monthly), end).start, end);
            let days = (end.unix_ms() - window.start.unix_ms()) / DAY_MS;
            assert!((28..=31).contains(&days), "{days}");
            moment = end;
        }
    }
}
