//! The use cases against SQLite in memory and a clock that stands still.

mod cache;
mod declarative;
mod deployments;
mod encryption;
mod propagation;
mod replicas;
mod settings;
mod support;
mod virtual_keys;
