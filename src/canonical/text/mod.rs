//! Text generation.

pub mod delta;
pub mod reply;
pub mod request;

pub use delta::Delta;
pub use reply::{FinishReason, Reply, ToolCall};
pub use request::{Request, Role, Tool, ToolChoice, Turn};
