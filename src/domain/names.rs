//! Names that operators choose, checked once.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

/// Longest public or upstream model name, in bytes.
pub const MAX_MODEL_NAME_BYTES: usize = 256;

/// The name a client puts into `model`. 1..=256 bytes of visible ASCII; may contain `/`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicModel(Arc<str>);

impl PublicModel {
    /// Checks a name.
    ///
    /// # Errors
    /// A sentence that says what is allowed.
    pub fn parse(name: &str) -> Result<Self, &'static str> {
        check_model_name(name)?;
        Ok(Self(name.into()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for PublicModel {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PublicModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Checks a public or upstream model name.
///
/// # Errors
/// A sentence that says what is allowed.
pub fn check_model_name(name: &str) -> Result<(), &'static str> {
    if name.is_empty() {
        return Err("must not be empty");
    }
    if name.len() > MAX_MODEL_NAME_BYTES {
        return Err("must be at most 256 characters");
    }
    if !name.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("must be visible ASCII without spaces");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slashes_and_colons_are_fine_spaces_are_not() {
        assert!(PublicModel::parse("meta/llama-4:free").is_ok());
        assert!(PublicModel::parse("two words").is_err());
        assert!(PublicModel::parse("").is_err());
        assert!(PublicModel::parse(&"x".repeat(257)).is_err());
    }
}
