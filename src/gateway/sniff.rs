//! What bytes are, by what they begin with. What a stranger's server calls them does not count.

/// What was recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A picture, by its media type.
    Image(&'static str),
    Pdf,
    /// Sound, by its format.
    Audio(&'static str),
    /// UTF-8 without control characters.
    Text,
}

/// Recognises content; `None` for anything else.
pub(super) fn sniff(bytes: &[u8]) -> Option<Kind> {
    let riff = |form: &[u8]| bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(form);
    Some(match bytes {
        [0x89, b'P', b'N', b'G', 0x0d, 0x0a, 0x1a, 0x0a, ..] => Kind::Image("image/png"),
        [0xff, 0xd8, 0xff, ..] => Kind::Image("image/jpeg"),
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Kind::Image("image/gif"),
        [b'%', b'P', b'D', b'F', b'-', ..] => Kind::Pdf,
        _ if riff(b"WEBP") => Kind::Image("image/webp"),
        _ if riff(b"WAVE") => Kind::Audio("wav"),
        [b'I', b'D', b'3', ..] => Kind::Audio("mp3"),
        // The head of a frame of MPEG audio, layer III.
        [0xff, second, ..] if second & 0xe6 == 0xe2 => Kind::Audio("mp3"),
        _ if is_text(bytes) => Kind::Text,
        _ => return None,
    })
}

fn is_text(bytes: &[u8]) -> bool {
    let is_plain = |c: char| !c.is_control() || matches!(c, '\t' | '\n' | '\r' | '\u{c}');
    !bytes.is_empty() && std::str::from_utf8(bytes).is_ok_and(|text| text.chars().all(is_plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_is_what_it_begins_with() {
        for (bytes, kind) in [
            (&b"\x89PNG\r\n\x1a\nrest"[..], Some(Kind::Image("image/png"))),
            (b"\xff\xd8\xff\xe0", Some(Kind::Image("image/jpeg"))),
            (b"GIF89a..", Some(Kind::Image("image/gif"))),
            (b"RIFF\x01\x02\x03\x04WEBPVP8 ", Some(Kind::Image("image/webp"))),
            (b"RIFF\x01\x02\x03\x04WAVEfmt ", Some(Kind::Audio("wav"))),
            (b"ID3\x04", Some(Kind::Audio("mp3"))),
            (b"\xff\xfb\x90\x00", Some(Kind::Audio("mp3"))),
            (b"\xff\xfe\x00", None),
            (b"%PDF-1.7\n\x00", Some(Kind::Pdf)),
            ("Grüße\n".as_bytes(), Some(Kind::Text)),
            (b"<html>", Some(Kind::Text)),
            (b"MZ\x00\x01", None),
            (b"\xc3\x28", None),
            (b"", None),
        ] {
            assert_eq!(sniff(bytes), kind, "{bytes:?}");
        }
    }
}
