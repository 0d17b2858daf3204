//! What accompanies every write, and what comes of reads that meet a row they cannot understand.

use uuid::Uuid;

use crate::domain::audit::AuditDraft;
use crate::domain::ids::Revision;

/// The change log reaches back so many revisions at least; a replica farther behind loads everything.
pub const LOG_REVISIONS: i64 = 10_000;
/// How long a `request_id` is remembered, in milliseconds of the audit entries' time.
pub const IDEMPOTENCY_MS: i64 = 24 * 60 * 60 * 1000;

/// What accompanies a write and is committed with it.
#[derive(Debug, Clone)]
pub struct Write {
    /// The audit entry.
    pub audit: AuditDraft,
    /// For creations: the client's `request_id`.
    pub idempotency: Option<Idempotency>,
}

/// A client's `request_id`, remembered with the resource it created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idempotency {
    /// The client's id, 1..=200 visible ASCII characters; unique per resource kind.
    pub request_id: String,
    /// Digest of the request's content: the same id with other content is a conflict, not a replay.
    pub fingerprint: [u8; 32],
}

/// What a creation did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Created {
    /// It is new, as of this revision.
    New(Revision),
    /// The same `request_id` created this resource before; nothing was written. It may have been deleted since.
    Replayed(Uuid),
}

/// A row that cannot be understood. It is quarantined and reported; it never holds back the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadRow {
    /// The row's key as stored.
    pub id: String,
    /// What is wrong with it, in our words, without its contents.
    pub reason: String,
}

/// Rows of a bulk read: each understood, or named as bad.
pub type Loaded<T> = Vec<Result<T, BadRow>>;
