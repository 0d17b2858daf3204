//! Limits, budgets and the record of what was used.
//!
//! [`Ledger`] is the contract: an admission holds what a request may use, in one step and all or nothing; its settlement
//! replaces the hold by what was used and hands the record over to be stored. [`memory`] counts in this process;
//! [`settle`] stores records in groups; [`estimate`] says what to hold; `minute` counts the last 60 seconds;
//! [`redis`] counts in Redis, for replicas together; [`spool`] keeps records on disk while the store is away; [`journal`] keeps
//! them until the store has them; [`figures`] says how it all goes.
//!
//! Every backend passes `conformance`.

#[cfg(test)]
mod conformance;
pub mod estimate;
pub mod figures;
pub mod journal;
pub mod memory;
mod minute;
pub mod redis;
pub mod settle;
pub mod spool;

use std::time::Duration;

use async_trait::async_trait;
use serde::Serialize;

use figures::Figures;

use crate::domain::ids::{DeploymentId, OperationId, VirtualKeyId};
pub use crate::domain::limits::Limits;
use crate::domain::money::NanoCents;
use crate::domain::record::OperationRecord;
use crate::domain::window::Window;
use crate::fault::Outcome;
use crate::time::Timestamp;

/// Whose limits are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Subject {
    /// A virtual key.
    Key(VirtualKeyId),
    /// A deployment; it has no budget.
    Deployment(DeploymentId),
}

/// What a request asks to hold.
#[derive(Debug, Clone)]
pub struct Ask {
    /// The request.
    pub operation: OperationId,
    /// Whose limits.
    pub subject: Subject,
    /// The limits.
    pub limits: Limits,
    /// Tokens to hold.
    pub tokens: u64,
    /// Money to hold.
    pub budget: NanoCents,
    /// What it costs at least: charged where the process that serves it dies under way.
    pub least: NanoCents,
}

/// What a request is, for its record should the process that serves it die.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct About<'a> {
    /// The model the client named.
    pub public_model: &'a str,
    /// The client's contract.
    pub contract: &'a str,
    /// What is asked for.
    pub operation: &'a str,
}

/// What a request holds until it is settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// The request.
    pub operation: OperationId,
    /// Whose limits.
    pub subject: Subject,
    /// The window its cost belongs to.
    pub window: Window,
    /// The epoch its cost belongs to; `None`: the one in force when it is stored.
    pub epoch: Option<i64>,
    /// Money held.
    pub budget: NanoCents,
    /// How the limits stood once it was held.
    pub standing: Standing,
    /// Whether the backend remembers it; without limits there is nothing to remember.
    is_counted: bool,
}

/// How a subject stands with its limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Standing {
    /// By the ledger's clock.
    pub at: Timestamp,
    /// Requests per minute.
    pub requests: Option<Meter>,
    /// Tokens per minute.
    pub tokens: Option<Meter>,
    /// Budget.
    pub budget: Option<BudgetMeter>,
}

/// One limit per minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meter {
    /// The limit.
    pub limit: u64,
    /// What is left of it.
    pub remaining: u64,
    /// Until all of it is there again.
    pub reset: Duration,
}

/// A budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BudgetMeter {
    /// The cap.
    pub limit: NanoCents,
    /// What is neither spent nor held.
    pub remaining: NanoCents,
    /// Until the next window; `None`: never.
    pub reset: Option<Duration>,
}

/// Why a request is not admitted. Nothing is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The budget is spent.
    BudgetSpent,
    /// The request could cost more than what is left, even with nothing else under way.
    BudgetTooSmall {
        /// What it could cost.
        could_cost: NanoCents,
        /// What is left.
        left: NanoCents,
    },
    /// Only holds of requests under way stand in the way.
    BudgetReserved,
    /// Too many requests in the last 60 seconds.
    Requests,
    /// Too many tokens in the last 60 seconds.
    Tokens,
    /// More tokens than the limit allows in any 60 seconds.
    TooManyTokens {
        /// Tokens that it needs.
        needed: u64,
    },
    /// Too many requests at the same time.
    Parallel,
}

/// A request that is not admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// Why.
    pub reason: Reason,
    /// How long to wait, where waiting helps.
    pub retry_after: Option<Duration>,
    /// How the limits stand.
    pub standing: Standing,
}

/// The answer to an [`Ask`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admitted {
    /// It may go on.
    Held(Hold),
    /// It may not.
    Refused(Refusal),
}

/// What a request used, at its end.
#[derive(Debug)]
pub struct Settlement {
    /// Its hold; `None` where nobody's limits count, such as for the master key.
    pub hold: Option<Hold>,
    /// Tokens it used.
    pub tokens: u64,
    /// What it costs its key.
    pub cost: NanoCents,
    /// What is stored of it.
    pub record: OperationRecord,
}

/// How a key stands, for its operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyUsage {
    /// The window of its budget.
    pub window: Window,
    /// Spent in it.
    pub spent: NanoCents,
    /// Held by requests under way.
    pub held: NanoCents,
    /// Requests under way that count.
    pub in_flight: u64,
    /// Requests in the last 60 seconds, where they are limited.
    pub requests: u64,
    /// Tokens in the last 60 seconds, held ones included, where they are limited.
    pub tokens: u64,
}

impl KeyUsage {
    /// What was spent beyond the cap: answers that outgrew what was held for them.
    #[must_use]
    pub fn overshoot(&self, budget: Option<NanoCents>) -> NanoCents {
        NanoCents(budget.map_or(0, |budget| self.spent.0.saturating_sub(budget.0).max(0)))
    }
}

/// Counts what is used against limits, and keeps it.
#[async_trait]
pub trait Ledger: Send + Sync + std::fmt::Debug {
    /// Holds what a request may use, all of it or nothing.
    ///
    /// # Errors
    /// `Unavailable` when it cannot be told: nobody is let through on a guess.
    async fn admit(&self, ask: &Ask) -> Outcome<Admitted>;

    /// The same, and says what the request is. Only who can outlive the process remembers it.
    ///
    /// # Errors
    /// As [`Self::admit`].
    async fn admit_for(&self, ask: &Ask, _about: About<'_>) -> Outcome<Admitted> {
        self.admit(ask).await
    }

    /// Raises the money of a hold to `budget`. `false`: there is not enough, and nothing changed.
    ///
    /// # Errors
    /// `Unavailable`.
    async fn top_up(&self, hold: &mut Hold, budget: NanoCents) -> Outcome<bool>;

    /// Replaces the hold by what was used and stores the record. Answers when the record is safe. Doing it twice does it
    /// once.
    ///
    /// # Errors
    /// `Unavailable`.
    async fn settle(&self, settlement: Settlement) -> Outcome<()>;

    /// Ends a hold that has no record of its own: that of a deployment.
    ///
    /// # Errors
    /// `Unavailable`.
    async fn release(&self, hold: &Hold, tokens: u64) -> Outcome<()>;

    /// How keys stand, in order.
    ///
    /// # Errors
    /// `Unavailable`.
    async fn usage(&self, keys: &[(VirtualKeyId, Limits)]) -> Outcome<Vec<KeyUsage>>;

    /// Starts the spending of a key from zero. Requests under way are charged to what was before.
    ///
    /// # Errors
    /// `Unavailable`.
    async fn reset_spend(&self, key: VirtualKeyId) -> Outcome<()>;

    /// Waits until what this process settled can be read from the store, where it is settled before that; not for ever.
    async fn caught_up(&self) {}

    /// How it goes: counters and gauges of this process.
    fn figures(&self) -> &Figures;
}
