//! The audit trail: who changed what, when, from where, before and after; without secrets.

use super::ids::{AuditId, Revision};
use crate::time::Timestamp;

/// Who calls the control plane and how. Recorded with every write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Who: `master` (the master key) or `system` (the gateway itself).
    pub actor: &'static str,
    /// Through which face: `grpc`, `rest` or `internal`.
    pub face: &'static str,
    /// Source address, where there is one.
    pub source: Option<String>,
    /// The request id, where there is one.
    pub request_id: Option<String>,
}

impl Caller {
    /// The gateway itself.
    #[must_use]
    pub const fn system() -> Self {
        Self { actor: "system", face: "internal", source: None, request_id: None }
    }
}

/// One write, as it is recorded. The store adds the revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditDraft {
    /// Its id.
    pub id: AuditId,
    /// When.
    pub at: Timestamp,
    /// Who and from where.
    pub caller: Caller,
    /// What: `deployment.create`, `virtual_key.rotate`, …
    pub action: &'static str,
    /// On which resource: its id, or its name where it has no id.
    pub resource: String,
    /// JSON of the state before, without secrets. `None` for a creation.
    pub before: Option<String>,
    /// JSON of the state after, without secrets. `None` for a deletion.
    pub after: Option<String>,
}

/// A recorded write, as read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// Its id.
    pub id: AuditId,
    /// When.
    pub at: Timestamp,
    /// `master` or `system`.
    pub actor: String,
    /// `grpc`, `rest` or `internal`.
    pub face: String,
    /// Source address.
    pub source: Option<String>,
    /// Request id.
    pub request_id: Option<String>,
    /// What.
    pub action: String,
    /// On which resource.
    pub resource: String,
    /// State before.
    pub before: Option<String>,
    /// State after.
    pub after: Option<String>,
    /// The revision it made.
    pub revision: Revision,
}
