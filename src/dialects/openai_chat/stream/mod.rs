//! Streamed answers: chunks of providers to events, events to chunks for clients.

mod read;
mod write;

pub use read::ChunkReader;
pub use write::ChunkWriter;
