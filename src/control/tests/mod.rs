//! The use cases against SQLite in memory and a clock that stands still.

mod deployments;
mod propagation;
mod settings;
mod support;
mod virtual_keys;
