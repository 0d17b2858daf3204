//! AES-256-GCM envelopes bound to what they belong to.
//!
//! Layout: version (1 byte, `1`), length of the key id (1 byte), key id, nonce (12 bytes), ciphertext with its 16-byte
//! tag. The additional authenticated data is `purpose NUL row`, so an envelope copied to another row or used for another
//! purpose does not decrypt.

use std::collections::BTreeMap;
use std::fmt;

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Key, Nonce};
use zeroize::Zeroizing;

use super::Entropy;

const VERSION: u8 = 1;
const NONCE_BYTES: usize = 12;

/// Name of one key of the ring: 1..=32 of `a-z A-Z 0-9 _ -`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyId(String);

impl KeyId {
    /// Checks a name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let fits = (1..=32).contains(&text.len());
        let clean = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
        (fits && clean).then(|| Self(text.to_owned()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What an envelope is for. Part of the authenticated data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Credentials of a deployment; the row is the deployment id.
    DeploymentCredentials,
    /// A stored response; the row is its id.
    ResponseState,
    /// An answer in the shared response cache; the row is the digest of what was asked.
    CachedAnswer,
}

impl Purpose {
    const fn as_str(self) -> &'static str {
        match self {
            Self::DeploymentCredentials => "deployment-credentials",
            Self::ResponseState => "response-state",
            Self::CachedAnswer => "cached-answer",
        }
    }
}

/// Why an envelope could not be made or opened. Says nothing of its contents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VaultError {
    /// Not an envelope of a version we know.
    #[error("is not an encrypted envelope of a known version")]
    Malformed,
    /// The key that sealed it is not in the keyring.
    #[error("was sealed with a key that is not in the keyring")]
    UnknownKey,
    /// Wrong key, wrong row, wrong purpose, or altered.
    #[error("does not decrypt: wrong key, moved from another row, or altered")]
    Refused,
    /// It decrypted to something we cannot read.
    #[error("decrypts to something that is not understood")]
    Garbled,
}

/// The encryption keys, and which of them seals.
pub struct Keyring {
    keys: BTreeMap<KeyId, Aes256Gcm>,
    active: KeyId,
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyring").field("active", &self.active).finish_non_exhaustive()
    }
}

impl Keyring {
    /// A ring of these keys, sealing with `active`. `None` when `active` is not among them.
    #[must_use]
    pub fn new(keys: BTreeMap<KeyId, Zeroizing<[u8; 32]>>, active: KeyId) -> Option<Self> {
        let keys: BTreeMap<_, _> = keys.into_iter().map(|(id, key)| (id, cipher(&key))).collect();
        keys.contains_key(&active).then_some(Self { keys, active })
    }

    /// A ring of one key.
    #[must_use]
    pub fn single(id: KeyId, key: &Zeroizing<[u8; 32]>) -> Self {
        Self { keys: BTreeMap::from([(id.clone(), cipher(key))]), active: id }
    }

    /// Seals `plaintext` for one row.
    ///
    /// # Errors
    /// [`VaultError::Refused`] when the plaintext is too large for the cipher (64 GiB).
    pub fn seal(
        &self,
        purpose: Purpose,
        row: &[u8],
        plaintext: &[u8],
        entropy: &dyn Entropy,
    ) -> Result<Vec<u8>, VaultError> {
        let cipher = self.keys.get(&self.active).ok_or(VaultError::UnknownKey)?;
        let mut nonce = [0; NONCE_BYTES];
        entropy.fill(&mut nonce);
        let aad = aad(purpose, row);
        let payload = Payload { msg: plaintext, aad: &aad };
        let ciphertext = cipher.encrypt(&Nonce::from(nonce), payload).map_err(|_| VaultError::Refused)?;
        let id = self.active.as_str().as_bytes();
        let mut envelope = Vec::with_capacity(2 + id.len() + NONCE_BYTES + ciphertext.len());
        envelope.push(VERSION);
        // A key id is at most 32 bytes long.
        envelope.push(u8::try_from(id.len()).map_err(|_| VaultError::Malformed)?);
        envelope.extend_from_slice(id);
        envelope.extend_from_slice(&nonce);
        envelope.extend_from_slice(&ciphertext);
        Ok(envelope)
    }

    /// Seals an envelope of one row anew with the active key; `None` when that key sealed it already.
    ///
    /// # Errors
    /// Why it does not open, as [`Self::open`].
    pub fn reseal(
        &self,
        purpose: Purpose,
        row: &[u8],
        envelope: &[u8],
        entropy: &dyn Entropy,
    ) -> Result<Option<Vec<u8>>, VaultError> {
        let plaintext = self.open(purpose, row, envelope)?;
        if sealed_with(envelope) == Some(self.active.as_str().as_bytes()) {
            return Ok(None);
        }
        self.seal(purpose, row, &plaintext, entropy).map(Some)
    }

    /// Name of the key that seals.
    #[must_use]
    pub fn active(&self) -> &KeyId {
        &self.active
    }

    /// Opens an envelope of one row.
    ///
    /// # Errors
    /// Why not, without a hint of what is inside.
    pub fn open(&self, purpose: Purpose, row: &[u8], envelope: &[u8]) -> Result<Zeroizing<Vec<u8>>, VaultError> {
        let [VERSION, id_len, rest @ ..] = envelope else { return Err(VaultError::Malformed) };
        let (id, rest) = rest.split_at_checked(usize::from(*id_len)).ok_or(VaultError::Malformed)?;
        let (nonce, ciphertext) = rest.split_first_chunk::<NONCE_BYTES>().ok_or(VaultError::Malformed)?;
        let id = std::str::from_utf8(id).ok().and_then(KeyId::parse).ok_or(VaultError::Malformed)?;
        let cipher = self.keys.get(&id).ok_or(VaultError::UnknownKey)?;
        let aad = aad(purpose, row);
        let payload = Payload { msg: ciphertext, aad: &aad };
        cipher.decrypt(&Nonce::from(*nonce), payload).map(Zeroizing::new).map_err(|_| VaultError::Refused)
    }
}

/// The name of the key that sealed an envelope.
fn sealed_with(envelope: &[u8]) -> Option<&[u8]> {
    let [VERSION, id_len, rest @ ..] = envelope else { return None };
    rest.get(..usize::from(*id_len))
}

fn cipher(key: &Zeroizing<[u8; 32]>) -> Aes256Gcm {
    let key: &Key<Aes256Gcm> = (&**key).into();
    Aes256Gcm::new(key)
}

fn aad(purpose: Purpose, row: &[u8]) -> Vec<u8> {
    [purpose.as_str().as_bytes(), b"\0", row].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vault::SystemEntropy;

    fn ring(id: &str, byte: u8) -> Keyring {
        Keyring::single(KeyId::parse(id).unwrap(), &Zeroizing::new([byte; 32]))
    }

    const FOR: Purpose = Purpose::DeploymentCredentials;

    #[test]
    fn what_is_sealed_opens_only_in_its_own_row_and_with_its_own_key() {
        let keys = ring("k1", 1);
        let envelope = keys.seal(FOR, b"row-a", b"sk-secret", &SystemEntropy).unwrap();
        assert!(!envelope.windows(9).any(|window| window == b"sk-secret"));
        assert_eq!(keys.open(FOR, b"row-a", &envelope).unwrap().as_slice(), b"sk-secret");
        assert_eq!(keys.open(FOR, b"row-b", &envelope), Err(VaultError::Refused));
        assert_eq!(ring("k1", 2).open(FOR, b"row-a", &envelope), Err(VaultError::Refused));
        assert_eq!(ring("k2", 1).open(FOR, b"row-a", &envelope), Err(VaultError::UnknownKey));
    }

    #[test]
    fn resealing_moves_to_the_active_key_once_and_keeps_the_row() {
        let (old, new) = (KeyId::parse("old").unwrap(), KeyId::parse("new").unwrap());
        let keys = [(old, Zeroizing::new([1; 32])), (new.clone(), Zeroizing::new([2; 32]))];
        let both = Keyring::new(keys.into(), new).unwrap();
        let envelope = ring("old", 1).seal(FOR, b"row", b"secret", &SystemEntropy).unwrap();
        let moved = both.reseal(FOR, b"row", &envelope, &SystemEntropy).unwrap().unwrap();
        assert_eq!(ring("new", 2).open(FOR, b"row", &moved).unwrap().as_slice(), b"secret");
        assert_eq!(both.reseal(FOR, b"row", &moved, &SystemEntropy), Ok(None));
        assert_eq!(both.reseal(FOR, b"other", &envelope, &SystemEntropy), Err(VaultError::Refused));
    }

    #[test]
    fn every_altered_or_cut_envelope_is_refused() {
        let keys = ring("k1", 1);
        let envelope = keys.seal(FOR, b"row", b"secret", &SystemEntropy).unwrap();
        for position in 0..envelope.len() {
            let mut altered = envelope.clone();
            altered[position] ^= 1;
            assert!(keys.open(FOR, b"row", &altered).is_err(), "byte {position}");
            assert!(keys.open(FOR, b"row", &envelope[..position]).is_err(), "cut at {position}");
        }
    }

    #[test]
    fn two_seals_of_the_same_secret_differ() {
        let keys = ring("k1", 1);
        let seal = || keys.seal(FOR, b"row", b"secret", &SystemEntropy).unwrap();
        assert_ne!(seal(), seal());
    }
}
