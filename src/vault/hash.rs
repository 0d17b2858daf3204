//! The one digest in use.

use sha2::{Digest, Sha256};

/// SHA-256 of the pieces, one after the other.
#[must_use]
pub fn digest<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> [u8; 32] {
    let mut hasher = Sha256::new();
    pieces.into_iter().for_each(|piece| hasher.update(piece));
    hasher.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_count_as_one_text() {
        assert_eq!(digest([b"ab".as_slice(), b"c"]), digest([b"abc".as_slice()]));
        // FIPS 180-2, appendix B.1.
        assert_eq!(digest([b"abc".as_slice()])[..4], [0xba, 0x78, 0x16, 0xbf]);
    }
}
