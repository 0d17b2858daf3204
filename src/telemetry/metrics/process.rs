//! What the system says of this process: Linux keeps it under `/proc`. Elsewhere nothing is said.

use std::fs;

use super::cells::as_f64;
use super::readings::Readings;
use super::{NO_LABELS, names};

/// Clock ticks in a second, as `/proc` counts them: 100 on every Linux (`USER_HZ`).
const TICKS: f64 = 100.0;

/// Adds what is true now.
pub fn read(readings: &mut Readings) {
    if let Some(seconds) = fs::read_to_string("/proc/self/stat").ok().and_then(|text| cpu_seconds(&text)) {
        readings.number(&names::PROCESS_CPU, NO_LABELS, seconds);
    }
    if let Ok(status) = fs::read_to_string("/proc/self/status") {
        if let Some(kibibytes) = field(&status, "VmRSS:") {
            readings.number(&names::PROCESS_MEMORY, NO_LABELS, kibibytes * 1024.0);
        }
        if let Some(threads) = field(&status, "Threads:") {
            readings.number(&names::PROCESS_THREADS, NO_LABELS, threads);
        }
    }
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        // The one that counts them is open, too.
        let count = u64::try_from(open.count().saturating_sub(1)).unwrap_or_default();
        readings.number(&names::PROCESS_FDS, NO_LABELS, as_f64(count));
    }
    if let Some(most) = fs::read_to_string("/proc/self/limits").ok().and_then(|text| field(&text, "Max open files")) {
        readings.number(&names::PROCESS_MAX_FDS, NO_LABELS, most);
    }
}

/// The first number after `name` at the start of a line.
fn field(text: &str, name: &str) -> Option<f64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    rest.split_whitespace().next()?.parse().ok()
}

/// Time in user and system mode: fields 14 and 15. The second field may hold spaces, and ends with the last parenthesis.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let (user, system): (f64, f64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some((user + system) / TICKS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_the_system_are_understood() {
        let stat = "42 (a ) b) S 1 42 42 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 4 0 12345 1 2";
        assert_eq!(cpu_seconds(stat), Some(3.0));
        assert_eq!(field("Name:\tx\nVmRSS:\t  2048 kB\n", "VmRSS:"), Some(2048.0));
        assert_eq!(
            field("Max open files            1024                 524288               files\n", "Max open files"),
            Some(1024.0)
        );
        assert_eq!(
            field("Max open files            unlimited            unlimited            files\n", "Max open files"),
            None
        );
        assert_eq!((cpu_seconds(""), field("", "VmRSS:")), (None, None));
    }
}
