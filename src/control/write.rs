//! What every write does besides its own: ids, the audit entry, the way into force.

use serde::Serialize;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::check::{Problems, text};
use super::{CreateOptions, Parts};
use crate::domain::audit::{AuditDraft, Caller};
use crate::domain::ids::{AuditId, Revision};
use crate::fault::{Fault, Kind, Outcome};
use crate::store::{Idempotency, Write};
use crate::time::Timestamp;

/// How often a read-modify-write is repeated when others write in between.
pub(super) const ATTEMPTS: usize = 5;

/// One write, as the audit trail shows it.
pub(super) struct Entry<'a> {
    /// What is done.
    pub(super) action: &'static str,
    /// To which resource.
    pub(super) resource: String,
    /// Its state before, without secrets.
    pub(super) before: Option<&'a dyn View>,
    /// Its state after, without secrets.
    pub(super) after: Option<&'a dyn View>,
}

/// Something the audit trail can show.
pub(super) trait View {
    /// It as JSON, without secrets.
    fn json(&self) -> serde_json::Result<String>;
}

impl<T: Serialize> View for T {
    fn json(&self) -> serde_json::Result<String> {
        serde_json::to_string(self)
    }
}

impl Parts {
    /// A fresh UUIDv7 of this moment.
    pub(super) fn new_uuid(&self, now: Timestamp) -> Uuid {
        let mut random = [0; 10];
        self.entropy.fill(&mut random);
        uuid::Builder::from_unix_timestamp_millis(u64::try_from(now.unix_ms()).unwrap_or_default(), &random).into_uuid()
    }

    /// A write that carries this audit entry.
    pub(super) fn write(&self, caller: &Caller, at: Timestamp, entry: Entry<'_>) -> Outcome<Write> {
        let json = |view: Option<&dyn View>| {
            view.map(View::json).transpose().map_err(|error| Fault::new(Kind::Internal).because(error))
        };
        let audit = AuditDraft {
            id: AuditId::from_uuid(self.new_uuid(at)),
            at,
            caller: caller.clone(),
            action: entry.action,
            resource: entry.resource,
            before: json(entry.before)?,
            after: json(entry.after)?,
        };
        Ok(Write { audit, idempotency: None })
    }

    /// Waits until this replica has `revision` in force.
    pub(super) async fn in_force(&self, revision: Revision) -> Outcome<()> {
        self.propagation.reach(revision).await.map_err(|fault| {
            Fault::new(Kind::Unavailable)
                .say(format!("The change is saved (revision {revision}) but not yet in force on this replica."))
                .never_retry()
                .because(fault)
        })
    }

    /// As [`Self::in_force`], for answers that must not be lost: a failure is logged.
    pub(super) async fn in_force_or_warn(&self, revision: Revision, resource: &impl std::fmt::Display) {
        if let Err(fault) = self.in_force(revision).await {
            let cause = fault.cause().unwrap_or_default();
            tracing::warn!(%resource, %revision, cause, "{fault}");
        }
    }
}

/// The idempotency record of a creation with this content.
///
/// # Errors
/// `Internal` when the content cannot be rendered.
pub(super) fn idempotency(options: &CreateOptions, content: &impl Serialize) -> Outcome<Option<Idempotency>> {
    let Some(request_id) = &options.request_id else { return Ok(None) };
    let rendered = serde_json::to_vec(content).map_err(|error| Fault::new(Kind::Internal).because(error))?;
    let rendered = Zeroizing::new(rendered);
    Ok(Some(Idempotency { request_id: request_id.clone(), fingerprint: crate::vault::digest([rendered.as_slice()]) }))
}

/// Checks the options of a creation.
pub(super) fn check_options(options: &CreateOptions, problems: &mut Problems) {
    if let Some(request_id) = &options.request_id {
        problems.check("requestId", text::request_id(request_id));
    }
}

/// Refuses a state that is not the one the caller has read.
///
/// # Errors
/// `Stale`.
pub(super) fn check_expected(expected: Option<Revision>, stored: Revision) -> Outcome<()> {
    match expected {
        Some(expected) if expected != stored => Err(Kind::Stale.into()),
        Some(_) | None => Ok(()),
    }
}

/// Whether a write that failed may be tried again on a fresh state: someone else was faster, and the caller did not
/// insist on a state.
pub(super) fn lost_a_race(fault: &Fault, expected: Option<Revision>) -> bool {
    fault.kind() == Kind::Stale && expected.is_none()
}

/// The fault for a replayed creation whose resource is gone.
pub(super) fn replay_of_a_deleted_one() -> Fault {
    Fault::new(Kind::NotFound).say("What this request id created has been deleted since.")
}
