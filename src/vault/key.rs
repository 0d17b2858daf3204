//! Virtual keys: `unified-` + 43 random base62 characters + a 6-character base62 CRC-32 of what precedes it.
//!
//! 43 base62 characters carry 256 bits. The checksum lets secret scanners recognise a key and lets us refuse a typo
//! without a look-up; it protects nothing.

use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::Entropy;
use crate::domain::virtual_key::KeyHash;

/// What every virtual key starts with.
pub const VIRTUAL_KEY_PREFIX: &str = "unified-";
const PREFIX: &str = VIRTUAL_KEY_PREFIX;
const RANDOM_CHARS: usize = 43;
const CHECKSUM_CHARS: usize = 6;
const KEY_BYTES: usize = PREFIX.len() + RANDOM_CHARS + CHECKSUM_CHARS;
const SHOWN_CHARS: usize = 12;
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A fresh virtual key. The plaintext is shown once and then forgotten.
#[derive(Debug)]
pub struct MintedKey {
    /// The key itself.
    pub plaintext: SecretString,
    /// What is stored.
    pub hash: KeyHash,
    /// The first 12 characters, for people.
    pub prefix: String,
}

/// Makes a new virtual key.
#[must_use]
pub fn mint_key(entropy: &dyn Entropy) -> MintedKey {
    let mut text = String::with_capacity(KEY_BYTES);
    text.push_str(PREFIX);
    text.push_str(&random_base62(RANDOM_CHARS, entropy));
    let checksum = checksum(&text);
    text.push_str(&checksum);
    let hash = hash_key(&text);
    let prefix = text.chars().take(SHOWN_CHARS).collect();
    MintedKey { plaintext: SecretString::from(text), hash, prefix }
}

/// That many random base62 characters, each equally likely (43 carry 256 bits).
#[must_use]
pub fn random_base62(chars: usize, entropy: &dyn Entropy) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(chars));
    while text.len() < chars {
        let mut bytes = Zeroizing::new([0; 64]);
        entropy.fill(&mut *bytes);
        // 248 = 4 * 62: the remainder is unbiased below it.
        for byte in bytes.iter().copied().filter(|byte| *byte < 248) {
            if text.len() < chars {
                text.push(base62_digit(u32::from(byte)));
            }
        }
    }
    text
}

/// SHA-256 of a key's plaintext, as it is stored and looked up.
#[must_use]
pub fn hash_key(plaintext: &str) -> KeyHash {
    KeyHash(Sha256::digest(plaintext.as_bytes()).into())
}

/// Whether a text has the shape and the checksum of a virtual key.
#[must_use]
pub fn looks_like_virtual_key(text: &str) -> bool {
    if text.len() != KEY_BYTES || !text.starts_with(PREFIX) || !text.is_ascii() {
        return false;
    }
    let (body, stated) = text.split_at(KEY_BYTES - CHECKSUM_CHARS);
    checksum(body) == stated
}

fn checksum(body: &str) -> String {
    let mut rest = crc32fast::hash(body.as_bytes());
    let mut digits = ['0'; CHECKSUM_CHARS];
    for digit in digits.iter_mut().rev() {
        *digit = base62_digit(rest);
        rest /= 62;
    }
    digits.iter().collect()
}

fn base62_digit(number: u32) -> char {
    let index = usize::try_from(number % 62).unwrap_or_default();
    ALPHABET.get(index).copied().map_or('0', char::from)
}

impl MintedKey {
    /// The plaintext, to be shown to the operator now and never again.
    #[must_use]
    pub fn reveal(&self) -> &str {
        self.plaintext.expose_secret()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vault::SystemEntropy;

    #[test]
    fn a_key_is_recognised_and_a_typo_is_not() {
        let minted = mint_key(&SystemEntropy);
        let key = minted.reveal();
        assert_eq!(key.len(), 57);
        assert!(looks_like_virtual_key(key));
        assert_eq!(minted.prefix, key[..12]);
        assert_eq!(minted.hash, hash_key(key));
        let last = if key.ends_with('0') { "1" } else { "0" };
        assert!(!looks_like_virtual_key(&format!("{}{last}", &key[..56])));
        assert!(!looks_like_virtual_key("unified-short"));
        assert!(!looks_like_virtual_key(&"é".repeat(29)));
    }

    #[test]
    fn keys_do_not_repeat() {
        assert_ne!(mint_key(&SystemEntropy).reveal(), mint_key(&SystemEntropy).reveal());
    }

    #[test]
    fn debug_does_not_show_the_key() {
        let minted = mint_key(&SystemEntropy);
        assert!(!format!("{minted:?}").contains(minted.reveal()));
    }
}
