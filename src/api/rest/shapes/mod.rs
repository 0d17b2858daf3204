//! What bodies and answers hold, one file per noun.

pub(super) mod catalog;
pub(super) mod declarative;
pub(super) mod deployment;
pub(super) mod explain;
pub(super) mod model;
pub(super) mod replica;
pub(super) mod routing;
pub(super) mod usage;
pub(super) mod virtual_key;

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use super::body::Object;
use crate::api::problems::Problems;
use crate::domain::ids::Revision;
use crate::domain::money::NanoCents;
use crate::domain::patch::Patch;

/// Money as a JSON number, written exactly.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cents(pub(super) NanoCents);

impl Serialize for Cents {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        RawValue::from_string(self.0.to_cents_text()).map_err(serde::ser::Error::custom)?.serialize(serializer)
    }
}

/// The etag in a body.
pub(super) fn etag(object: &mut Object<'_>, problems: &mut Problems) -> Option<String> {
    given(object.text("etag", problems))
}

/// The value of a field where `null` means the same as absent.
pub(super) fn given<T>(patch: Patch<T>) -> Option<T> {
    match patch {
        Patch::Set(value) => Some(value),
        Patch::Keep | Patch::Clear => None,
    }
}

/// Stored JSON text, to be written as it is.
pub(super) fn stored_json(text: Option<String>) -> Option<Box<RawValue>> {
    text.and_then(|text| RawValue::from_string(text).ok())
}

/// The etag of a revision; none for what is not stored.
pub(super) fn etag_of(revision: Revision) -> Option<String> {
    (revision != Revision(0)).then(|| revision.to_etag())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_is_written_exactly() {
        let written = |nano| serde_json::to_string(&Cents(NanoCents(nano))).unwrap();
        assert_eq!(written(9_000_000_000_000_000_001), "9000000000.000000001");
        assert_eq!(written(250_000_000_000), "250");
        assert_eq!(written(0), "0");
    }
}
