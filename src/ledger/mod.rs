//! The ledger's shared memory: what replicas count together.
//!
//! [`redis`] keeps the connection that limits and budgets across replicas need, and says whether it works.

pub mod redis;
