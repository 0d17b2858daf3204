//! Messages to domain values (`…_from_proto`) and back (`…_into_proto`), one file per noun.

pub(super) mod catalog;
pub(super) mod declarative;
pub(super) mod deployment;
pub(super) mod explain;
pub(super) mod metadata;
pub(super) mod model;
pub(super) mod routing;
pub(super) mod system;
pub(super) mod time;
pub(super) mod usage;
pub(super) mod virtual_key;

use crate::domain::ids::Revision;
use crate::fault::{Fault, Outcome};

/// Reads an etag. Empty: no condition.
///
/// # Errors
/// `BadRequest` on `etag` when it is not one of ours.
pub(super) fn etag_from_proto(etag: &str) -> Outcome<Option<Revision>> {
    if etag.is_empty() {
        return Ok(None);
    }
    Revision::from_etag(etag)
        .map(Some)
        .ok_or_else(|| Fault::invalid("etag", "is not an etag of this resource; send one that was answered"))
}

/// The etag of a revision; empty for what is not stored.
pub(super) fn etag_into_proto(revision: Revision) -> String {
    if revision == Revision(0) { String::new() } else { revision.to_etag() }
}

/// A text field of a message: empty is not set.
pub(super) fn filled(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}
