//! Probes and figures.

pub mod health;
pub mod metrics;
