//! What is wrong with a setting, and the small readers that find it.

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

/// Longer values are shortened in messages.
const SHOWN_CHARS: usize = 60;

/// One setting that cannot be used. Displays as one line: variable, flag, what was given (never of a secret), what is
/// allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    subject: String,
    complaint: String,
}

impl Problem {
    /// About something that is no setting of its own, such as the `.env` file.
    pub(super) fn about(subject: impl Into<String>, complaint: impl Into<String>) -> Self {
        Self { subject: subject.into(), complaint: complaint.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.subject, self.complaint)
    }
}

/// The flag of a variable: `GRPC_PORT` is `--grpc-port`.
pub(super) fn flag_of(variable: &str) -> String {
    format!("--{}", variable.to_ascii_lowercase().replace('_', "-"))
}

/// The variable of a flag's long name: `grpc-port` is `GRPC_PORT`.
pub(super) fn variable_of(long: &str) -> String {
    long.to_ascii_uppercase().replace('-', "_")
}

/// Collects problems, so that all are reported at once. A reader that finds one answers with a stand-in value, which
/// never gets out: [`Problems::into_result`] yields no value when there is a problem.
#[derive(Default)]
pub(super) struct Problems {
    found: Vec<Problem>,
}

impl Problems {
    /// Notes a problem made elsewhere.
    pub(super) fn note(&mut self, problem: Problem) {
        self.found.push(problem);
    }

    /// Notes that `variable` cannot be used, without saying what was given: for secrets, and where there is nothing.
    pub(super) fn refuse(&mut self, variable: &str, complaint: impl Into<String>) {
        self.found.push(Problem::about(format!("{variable} ({})", flag_of(variable)), complaint));
    }

    /// Notes that `variable` cannot be used as given.
    pub(super) fn refuse_given(&mut self, variable: &str, given: &str, allowed: impl fmt::Display) {
        let mut shown: String = given.chars().take(SHOWN_CHARS).collect();
        if shown.len() < given.len() {
            shown.push('…');
        }
        self.refuse(variable, format!("given {shown:?}; allowed: {allowed}"));
    }

    /// A whole number within bounds.
    pub(super) fn number(&mut self, variable: &str, given: &str, allowed: RangeInclusive<u64>) -> u64 {
        // `parse` alone would also take a leading plus sign.
        let digits = given.bytes().all(|byte| byte.is_ascii_digit());
        match given.parse() {
            Ok(number) if digits && allowed.contains(&number) => number,
            Ok(_) | Err(_) => {
                let (low, high) = (allowed.start(), allowed.end());
                self.refuse_given(variable, given, format_args!("a whole number from {low} to {high}"));
                *low
            }
        }
    }

    /// A TCP port; 0 lets the system choose.
    pub(super) fn port(&mut self, variable: &str, given: &str) -> u16 {
        u16::try_from(self.number(variable, given, 0..=u64::from(u16::MAX))).unwrap_or_default()
    }

    /// A number of things, such as bytes, within bounds.
    pub(super) fn count(&mut self, variable: &str, given: &str, allowed: RangeInclusive<u64>) -> usize {
        usize::try_from(self.number(variable, given, allowed)).unwrap_or(usize::MAX)
    }

    /// A number of seconds within bounds.
    pub(super) fn seconds(&mut self, variable: &str, given: &str, allowed: RangeInclusive<u64>) -> Duration {
        Duration::from_secs(self.number(variable, given, allowed))
    }

    /// A number of milliseconds within bounds.
    pub(super) fn milliseconds(&mut self, variable: &str, given: &str, allowed: RangeInclusive<u64>) -> Duration {
        Duration::from_millis(self.number(variable, given, allowed))
    }

    /// One of two words.
    pub(super) fn choice<T: Copy>(&mut self, variable: &str, given: &str, choices: [(&str, T); 2]) -> T {
        let [(first, stand_in), (second, _)] = choices;
        let chosen = choices.into_iter().find_map(|(word, value)| (word == given).then_some(value));
        chosen.unwrap_or_else(|| {
            self.refuse_given(variable, given, format_args!("{first} or {second}"));
            stand_in
        })
    }

    /// `value` when there is no problem, else all of them.
    pub(super) fn into_result<T>(self, value: T) -> Result<T, Vec<Problem>> {
        if self.found.is_empty() { Ok(value) } else { Err(self.found) }
    }
}
