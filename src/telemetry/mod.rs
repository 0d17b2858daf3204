//! What the outside sees of the inside: names, log set-up, redaction.

pub mod log;
pub mod names;
pub mod redact;
