//! Known models and provider presets.
