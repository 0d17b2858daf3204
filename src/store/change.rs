//! The configuration revision and its change log.

use async_trait::async_trait;

use crate::domain::change::ChangesSince;
use crate::domain::ids::Revision;
use crate::fault::Outcome;

/// The configuration revision and its change log.
#[async_trait]
pub trait ChangeStore: Send + Sync {
    /// The revision of the last committed write; 0 before the first.
    ///
    /// # Errors
    /// `Unavailable`.
    async fn revision(&self) -> Outcome<Revision>;

    /// What changed after `seen`, oldest first; [`ChangesSince::Gap`] when the log no longer reaches back that far.
    ///
    /// # Errors
    /// `Unavailable`.
    async fn changes_since(&self, seen: Revision) -> Outcome<ChangesSince>;
}
