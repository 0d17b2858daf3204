//! The master key, compared in constant time.

use std::fmt;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// The operator's credential. Kept as a digest, so that comparing it takes the same time whatever is presented.
#[derive(Clone)]
pub struct MasterKey {
    digest: [u8; 32],
}

impl MasterKey {
    /// Takes the configured key.
    #[must_use]
    pub fn new(plaintext: &str) -> Self {
        Self { digest: Sha256::digest(plaintext.as_bytes()).into() }
    }

    /// Whether `presented` is the master key.
    #[must_use]
    pub fn matches(&self, presented: &str) -> bool {
        let presented: [u8; 32] = Sha256::digest(presented.as_bytes()).into();
        self.digest.ct_eq(&presented).into()
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_key_matches() {
        let key = MasterKey::new("correct horse");
        assert!(key.matches("correct horse"));
        assert!(!key.matches("correct horse "));
        assert!(!key.matches(""));
    }
}
