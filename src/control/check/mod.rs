//! Checks that several nouns share. Everything that is wrong is collected, so that one answer names all of it.

pub(super) mod address;
pub(super) mod credentials;
pub(super) mod money;
pub(super) mod text;

use crate::fault::{Fault, Kind, Outcome, Violation};

/// What is wrong with a request, so far.
#[derive(Debug, Default)]
pub(super) struct Problems(Vec<Violation>);

impl Problems {
    /// Notes a problem of one field, named by its JSON path.
    pub(super) fn add(&mut self, field: impl Into<String>, description: impl Into<String>) {
        self.0.push(Violation { field: field.into(), description: description.into() });
    }

    /// Notes a problem if the check found one.
    pub(super) fn check<E: Into<String>>(&mut self, field: &str, checked: Result<(), E>) {
        if let Err(description) = checked {
            self.add(field, description);
        }
    }

    /// Takes over the violations of another check's fault; `None` when there were any.
    ///
    /// # Errors
    /// The fault itself when it is not about the request.
    pub(super) fn absorb<T>(&mut self, outcome: Outcome<T>) -> Outcome<Option<T>> {
        match outcome {
            Ok(value) => Ok(Some(value)),
            Err(fault) if fault.kind() == Kind::BadRequest && !fault.violations().is_empty() => {
                self.0.extend_from_slice(fault.violations());
                Ok(None)
            }
            Err(fault) => Err(fault),
        }
    }

    /// Whether a field has a problem already.
    pub(super) fn concern(&self, field: &str) -> bool {
        self.0.iter().any(|violation| violation.field == field)
    }

    /// Takes over what was noted of something inside, at `path`. Says whether that was nothing.
    pub(super) fn nest(&mut self, path: &str, inner: Self) -> bool {
        let is_sound = inner.0.is_empty();
        let nested = inner.0.into_iter().map(|violation| Violation {
            field: format!("{path}.{}", violation.field),
            description: violation.description,
        });
        self.0.extend(nested);
        is_sound
    }

    /// Done.
    ///
    /// # Errors
    /// `BadRequest` with everything that was noted.
    pub(super) fn finish(self) -> Outcome<()> {
        Fault::from_violations(self.0).map_or(Ok(()), Err)
    }
}
