//! Unified Gateway: one server between an organisation's applications and its AI providers.
//!
//! One request, left to right:
//!
//! ```text
//! bytes -> api/http -> dialects (read) -> canonical -> gateway::admission -> gateway::dispatch
//!                                                         |                   routing::plan(snapshot)
//!                                                         v
//! bytes <- api/http <- dialects (write) <- canonical <- gateway::attempt -> providers -> transport -> provider
//!
//! operator -> api/grpc -+
//!                       +-> control::<noun> -> store -> revision -> routing::publish -> Snapshot
//! operator -> api/rest -+
//! ```
//!
//! The native lane skips reading and writing: the raw body is spliced and the answer relayed frame by frame.
//! `ARCHITECTURE.md` has the map, the invariants and the table of who may import whom; a test keeps it true.

pub mod api;
pub mod app;
pub mod cache;
pub mod canonical;
pub mod catalog;
pub mod cli;
pub mod config;
pub mod control;
pub mod dialects;
pub mod documents;
pub mod domain;
pub mod fault;
pub mod gateway;
pub mod ledger;
pub mod providers;
pub mod routing;
pub mod store;
pub mod telemetry;
pub mod time;
pub mod tokens;
pub mod transport;
pub mod vault;
