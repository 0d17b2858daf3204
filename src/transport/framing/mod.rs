//! Cuts byte streams into the units of their protocol.

pub mod sse;

pub use sse::{FrameTooLarge, SseFrame, SseFramer};
