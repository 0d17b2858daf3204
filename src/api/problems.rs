//! Collects everything that is wrong with a request, so that one answer says it all.

use std::fmt::Display;

use crate::domain::patch::Patch;
use crate::fault::{Fault, Outcome, Violation};

/// What is wrong so far.
#[derive(Debug, Default)]
pub(super) struct Problems(Vec<Violation>);

impl Problems {
    /// Notes that a field is wrong.
    pub(super) fn add(&mut self, field: impl Into<String>, description: impl Into<String>) {
        self.0.push(Violation { field: field.into(), description: description.into() });
    }

    /// Notes that a required field is not there, unless something is noted about it already.
    pub(super) fn add_missing(&mut self, field: String) {
        if !self.0.iter().any(|violation| violation.field == field) {
            self.add(field, "is required");
        }
    }

    /// The value, or a note why there is none.
    pub(super) fn keep<T>(&mut self, field: &str, read: Result<T, impl Display>) -> Option<T> {
        read.map_err(|description| self.add(field, description.to_string())).ok()
    }

    /// The patch with its value turned into something else; a value that is refused is noted and left out.
    pub(super) fn turn<T, U, E: Display>(
        &mut self,
        field: &str,
        patch: Patch<T>,
        turn: impl FnOnce(T) -> Result<U, E>,
    ) -> Patch<U> {
        match patch.try_map(turn) {
            Ok(patch) => patch,
            Err(description) => {
                self.add(field, description.to_string());
                Patch::Keep
            }
        }
    }

    /// The value, if nothing is wrong.
    ///
    /// # Errors
    /// `BadRequest` with everything that was noted.
    pub(super) fn finish<T>(self, value: T) -> Outcome<T> {
        Fault::from_violations(self.0).map_or(Ok(value), Err)
    }
}

/// The words of a closed list, for the sentence that says what is allowed.
pub(super) fn one_of<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    let words: Vec<String> = words.into_iter().map(|word| format!("`{word}`")).collect();
    format!("must be one of {}", words.join(", "))
}
