//! The audit trail, durable. Entries are written with the change they describe; here they are read.

use async_trait::async_trait;

use crate::domain::audit::{AuditDraft, AuditEntry};
use crate::fault::Outcome;

/// Most entries that one call answers.
pub const MAX_ENTRIES: u32 = 500;

/// The audit trail.
#[async_trait]
pub trait AuditStore: Send + Sync {
    /// Records what was done beside the configuration, at the revision in force in the store.
    ///
    /// # Errors
    /// `Unavailable`.
    async fn note(&self, entry: &AuditDraft) -> Outcome<()>;

    /// The newest entries, newest first, optionally of one resource. At most `limit` (1..=500).
    ///
    /// # Errors
    /// `Unavailable`.
    async fn list(&self, resource: Option<&str>, limit: u32) -> Outcome<Vec<AuditEntry>>;
}
