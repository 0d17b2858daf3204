//! The provider-neutral form inside: what requests, answers and stream events mean, apart from how they look.

pub mod text;

pub use crate::domain::usage::TokenUsage;
