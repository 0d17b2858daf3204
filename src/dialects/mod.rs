//! How bytes look. One folder per wire format; pure, synchronous, no I/O.
//!
//! A dialect knows JSON fields and no provider. Spoken to a client it is the *contract*, spoken to a provider the
//! *transport*. Each folder has the same files: `wire` (the shapes), `read` (bytes to canonical), `write` (canonical to
//! bytes), `stream` (events of a streamed answer), `native` (what the native lane scans and splices), `fault` (errors, both ways).

pub mod native;
pub mod openai_chat;
pub mod raw;

pub use native::{NativeReply, NativeStream, ProviderError, Signal, StreamError};
