//! Encryption keys as text: 64 hexadecimal digits for 32 bytes.

use zeroize::Zeroizing;

/// Reads a key. `None` when it is not 64 hexadecimal digits.
pub(super) fn read_key(text: &str) -> Option<Zeroizing<[u8; 32]>> {
    let mut key = Zeroizing::new([0; 32]);
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if pairs.len() != key.len() || !rest.is_empty() {
        return None;
    }
    for (byte, [high, low]) in key.iter_mut().zip(pairs) {
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(key)
}

/// Writes a key, in lower case.
pub(super) fn write_key(key: &[u8; 32]) -> Zeroizing<String> {
    let nibbles = key.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    Zeroizing::new(nibbles.filter_map(|nibble| char::from_digit(u32::from(nibble), 16)).collect())
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}
