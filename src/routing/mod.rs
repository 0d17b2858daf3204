//! Where a request can go: an immutable snapshot of the configuration, and a pure plan over it.
//!
//! - [`snapshot`]: what every request reads, without a lock. Persistent maps, so that one changed row costs one changed
//!   path and not a copy of the table.
//! - [`build`]: rows to snapshot entries; a row that does not validate or decrypt is quarantined, never an outage.
//! - [`publish`]: swaps the snapshot in and tells those who wait for a revision.
//! - [`health`]: what is known of how deployments do: circuits, throttles, averages.
//! - [`mod@plan`]: public model to ordered candidates. Pure: snapshot, health and dice are passed in.
//! - [`strategy`]: the order of the candidates of one tier.
//! - [`explain`]: the port for what would become of a request, and the answer.
//! - [`probe`]: the port for one real call of a deployment that an operator wants tested.
//!
//! Deliberately not here: how a candidate is called (`gateway`, `providers`), and where rows come from (`control`).

pub mod build;
pub mod explain;
pub mod health;
pub mod plan;
pub mod probe;
pub mod publish;
pub mod snapshot;
pub mod strategy;

pub use explain::{ExplainRoute, Explanation};
pub use health::{Availability, Blow, Health, Impact, Pass, Shared, Standing};
pub use plan::{Candidate, Plan, Verdict, Wants, candidate, plan, survey};
pub use probe::{ProbeDeployment, ProbeFailure, Probed};
pub use publish::Publisher;
pub use snapshot::{KeyEntry, Pool, Quarantined, Snapshot, SnapshotEdit, Target};

#[cfg(test)]
mod tests;
