//! Probes.

pub mod health;
