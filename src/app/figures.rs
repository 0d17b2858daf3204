//! What is read when somebody asks for metrics: facts that merely are, from those who know them.

use std::sync::Arc;
use std::time::Instant;

use crate::control::system::Mode;
use crate::telemetry::metrics::{Metrics, NO_LABELS, names};
use crate::time::Clock;

/// Those who know.
pub(super) struct Sources {
    pub mode: Mode,
    pub clock: Arc<dyn Clock>,
    pub began: Instant,
}

/// Has everything read that `metrics` does not count itself.
pub(super) fn register(metrics: &Metrics, sources: &Sources) {
    let (clock, began, mode) = (Arc::clone(&sources.clock), sources.began, sources.mode);
    metrics.register(Arc::new(move |readings| {
        readings.number(&names::BUILD_INFO, [env!("CARGO_PKG_VERSION"), mode_word(mode)], 1.0);
        let uptime = clock.instant().saturating_duration_since(began);
        readings.number(&names::UPTIME_SECONDS, NO_LABELS, uptime.as_secs_f64());
    }));
}

const fn mode_word(mode: Mode) -> &'static str {
    match mode {
        Mode::Embedded => "embedded",
        Mode::Clustered => "clustered",
    }
}
