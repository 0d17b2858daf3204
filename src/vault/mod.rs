//! Secrets at rest and in comparison: encrypted envelopes, virtual keys, constant-time checks.
//!
//! The only room that knows cryptography. Randomness is passed in, so that everything in here is pure.

mod credentials;
mod hash;
mod key;
mod keyring;
mod master;

pub use credentials::{open_credentials, seal_credentials};
pub use hash::digest;
pub use key::{MintedKey, VIRTUAL_KEY_PREFIX, hash_key, looks_like_virtual_key, mint_key, random_base62};
pub use keyring::{KeyId, Keyring, Purpose, VaultError};
pub use master::MasterKey;

/// Fills a buffer with bytes from a cryptographically secure source.
pub trait Entropy: Send + Sync {
    /// Fills `buffer`.
    fn fill(&self, buffer: &mut [u8]);
}

/// The operating system's entropy, through the thread-local generator it seeds.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemEntropy;

impl SystemEntropy {
    /// A number below `below` (at least 1), evenly distributed.
    #[must_use]
    pub fn roll(below: u64) -> u64 {
        rand::RngExt::random_range(&mut rand::rng(), 0..below.max(1))
    }
}

impl Entropy for SystemEntropy {
    fn fill(&self, buffer: &mut [u8]) {
        rand::Rng::fill_bytes(&mut rand::rng(), buffer);
    }
}
