//! What the outside sees of the inside: names, log set-up, redaction, metrics.

pub mod log;
pub mod metrics;
pub mod names;
pub mod redact;
