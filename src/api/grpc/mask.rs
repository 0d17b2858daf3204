//! Field masks of updates, after AIP-134 and AIP-161.

use std::collections::BTreeSet;

use prost_types::FieldMask;

use super::status::snake_case;
use crate::domain::patch::Patch;
use crate::fault::{Fault, Outcome, Violation};

const FIELD: &str = "update_mask";

/// Which fields an update means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Mask {
    /// No mask was sent, or the message is that of a creation: every field that has a value.
    Populated,
    /// `*`: every field, also to clear it.
    Everything,
    /// These fields, also to clear them.
    Named(BTreeSet<String>),
}

/// The fields of a message, as masks may name them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fields {
    /// The message, for people.
    pub(super) message: &'static str,
    /// Fields that can be changed.
    pub(super) changeable: &'static [&'static str],
    /// Fields that only answers have; naming them changes nothing.
    pub(super) output_only: &'static [&'static str],
}

impl Mask {
    /// Reads a mask.
    ///
    /// # Errors
    /// `BadRequest` on `update_mask` with every path that names no field, or only a part of one.
    pub(super) fn read(mask: Option<FieldMask>, fields: Fields) -> Outcome<Self> {
        let paths: Vec<String> = mask
            .unwrap_or_default()
            .paths
            .iter()
            .flat_map(|paths| paths.split(','))
            .map(|path| snake_case(path.trim()))
            .filter(|path| !path.is_empty())
            .collect();
        if paths.is_empty() {
            return Ok(Self::Populated);
        }
        if paths.iter().any(|path| path == "*") {
            if paths.len() > 1 {
                return Err(Fault::invalid(FIELD, "`*` must stand alone"));
            }
            return Ok(Self::Everything);
        }
        let violations = paths.iter().filter_map(|path| fields.refuse(path)).collect();
        match Fault::from_violations(violations) {
            Some(fault) => Err(fault),
            None => Ok(Self::Named(paths.into_iter().collect())),
        }
    }

    /// What the update means for one field.
    pub(super) fn patch<T>(&self, field: &str, value: Option<T>) -> Patch<T> {
        match self {
            Self::Populated => value.map_or(Patch::Keep, Patch::Set),
            Self::Everything => Patch::mentioned(value),
            Self::Named(fields) if fields.contains(field) => Patch::mentioned(value),
            Self::Named(_) => Patch::Keep,
        }
    }

    /// Whether the update names this field itself, not only through `*`.
    pub(super) fn names(&self, field: &str) -> bool {
        match self {
            Self::Populated | Self::Everything => false,
            Self::Named(fields) => fields.contains(field),
        }
    }
}

impl Fields {
    fn refuse(self, path: &str) -> Option<Violation> {
        let description = match path.split_once('.') {
            None if self.changeable.contains(&path) || self.output_only.contains(&path) => return None,
            Some((whole, _)) if self.changeable.contains(&whole) => {
                format!("`{path}` is a part of `{whole}`, which is replaced as a whole: name `{whole}`")
            }
            Some(_) | None => {
                format!("`{}` is no field of {}; it has {}", short(path), self.message, self.changeable.join(", "))
            }
        };
        Some(Violation { field: FIELD.to_owned(), description })
    }
}

fn short(path: &str) -> String {
    path.chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIELDS: Fields = Fields {
        message: "Thing",
        changeable: &["label", "rpm_limit", "credentials"],
        output_only: &["id", "create_time"],
    };

    fn read(paths: &[&str]) -> Result<Mask, String> {
        let paths = paths.iter().map(|path| (*path).to_owned()).collect();
        Mask::read(Some(FieldMask { paths }), FIELDS).map_err(|fault| fault.message().to_owned())
    }

    #[test]
    fn named_fields_are_set_or_cleared_and_others_are_left() {
        let mask = read(&["label", "rpmLimit,id"]).unwrap();
        assert_eq!(mask.patch("label", Some(1)), Patch::Set(1));
        assert_eq!(mask.patch("rpm_limit", None::<u8>), Patch::Clear);
        assert_eq!(mask.patch("credentials", Some(1)), Patch::Keep);
        assert!(mask.names("label") && !mask.names("credentials"));
    }

    #[test]
    fn no_mask_means_what_is_populated_and_a_star_means_all() {
        assert_eq!(Mask::read(None, FIELDS).unwrap(), Mask::Populated);
        assert_eq!(read(&[""]), Ok(Mask::Populated));
        assert_eq!(Mask::Populated.patch("label", None::<u8>), Patch::Keep);
        assert_eq!(read(&["*"]), Ok(Mask::Everything));
        assert_eq!(Mask::Everything.patch("label", None::<u8>), Patch::Clear);
    }

    #[test]
    fn paths_that_name_no_field_are_refused_with_what_there_is() {
        assert_eq!(
            read(&["labl"]).unwrap_err(),
            "update_mask: `labl` is no field of Thing; it has label, rpm_limit, credentials"
        );
        assert!(read(&["credentials.apiKey"]).unwrap_err().contains("name `credentials`"));
        assert!(read(&["*", "label"]).unwrap_err().contains("stand alone"));
    }
}
