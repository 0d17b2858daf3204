//! The outward HTTP client: the only room that opens sockets to providers.
//!
//! Pooled keep-alive connections, TLS with ALPN (HTTP/2 where the provider has it), bounded connect time, capped reads,
//! and an egress guard under the resolver; a stricter one for what clients name by URL. Knows nothing of providers, models or JSON.

pub mod body;
pub mod client;
pub mod collector;
mod connect;
pub mod framing;
mod line;
pub mod remote;
pub mod upload;

pub use body::{ChunkedRequestBody, Piece, Pieces, ReadError, Reply};
pub use client::{ClientSettings, HttpClient, Outgoing, SendError};
pub use collector::{CollectorClient, PostError};
pub use line::Connects;
pub use remote::{Places, RemoteContent, RemoteError};
pub use upload::{Upload, UploadWriter, Uploads};
