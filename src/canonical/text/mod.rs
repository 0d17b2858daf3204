//! Text generation.

pub mod collect;
pub mod content;
pub mod delta;
pub mod parameter;
pub mod reasoning;
pub mod reply;
pub mod request;
pub mod tool;

pub use collect::Collector;
pub use content::{Media, Part, Reasoning, Source, State, ToolCall, ToolResult};
pub use delta::{Delta, PartKind};
pub use parameter::Parameter;
pub use reasoning::{Control, Effort, ReasoningKind, Steps, Thinking};
pub use reply::{Finish, Reply};
pub use request::{Format, Request, Role, Turn};
pub use tool::{Tool, ToolChoice};
