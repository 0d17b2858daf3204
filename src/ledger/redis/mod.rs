//! The ledger that replicas share: counters in Redis, records in the store and, on their way there, in Redis.
//!
//! A request ends in one step there: its hold becomes its cost, its place is free, and its record is kept. That is what its
//! last byte waits for. The replica that served it stores the record from its own memory at the same time and then has it
//! removed, so what Redis keeps is read only when a replica has fallen silent: another one stores what it left.
//!
//! What Redis says was spent is a copy of what the store says. It only grows within a window and an epoch, so the largest
//! word is the newest, and saying it twice does no harm. A request's money, and then its cost, stays held until the store
//! has its record; so at any moment what Redis calls spent and held together is no less than the truth. That is why a Redis
//! that was emptied costs nothing: every replica holds again what it held, records are in the memory of who served them or
//! stored, and spending is read from the store.
//!
//! - [`link`]: the connection, and the scripts on the server; `source` and `check`: where and what the server is;
//! - [`shared`]: the ledger; `held`: what this replica holds, in its own memory;
//! - [`close`]: the ends of requests, in groups;
//! - [`health`]: news of how deployments do, and who tries a circuit;
//! - [`beat`]: signs of life, joining a ledger that is new, what silent replicas left.

pub mod beat;
mod check;
pub mod close;
pub mod health;
mod held;
pub mod link;
pub mod shared;
mod source;

pub use health::RedisHealth;
pub use link::RedisLink;
pub use shared::{RedisLedger, Setup};
pub use source::Source;
