//! The ledger that replicas share: counters in Redis, records straight to the store.
//!
//! What Redis says was spent is a copy of what the store says. It only grows within a window and an epoch, so the largest
//! word is the newest, and saying it twice does no harm. A request's money stays held until the store has its record; so
//! at any moment what Redis calls spent and held together is no less than the truth. That is why a Redis that was emptied
//! costs nothing: every replica holds again what it held, and spending is read from the store.
//!
//! - [`link`]: the connection, and the scripts on the server;
//! - [`shared`]: the ledger; `held`: what this replica holds, in its own memory;
//! - [`health`]: news of how deployments do, and who tries a circuit;
//! - [`beat`]: signs of life, joining a ledger that is new, ending what silent replicas held.

pub mod beat;
pub mod health;
mod held;
pub mod link;
pub mod shared;

pub use health::RedisHealth;
pub use link::RedisLink;
pub use shared::{RedisLedger, Setup};
