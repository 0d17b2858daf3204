//! What the outside sees of the inside: names, log set-up, redaction, metrics, traces.

pub mod log;
pub mod metrics;
pub mod names;
pub mod otel;
pub mod rate;
pub mod redact;
