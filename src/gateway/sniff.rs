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

/// What an uploaded file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Media {
    pub kind: MediaKind,
    pub media_type: &'static str,
    /// The usual extension first, then others that say the same.
    pub extensions: &'static [&'static str],
}

/// What a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MediaKind {
    /// Sound, or a film with sound.
    Sound,
    Picture,
}

/// Recognises sound and pictures in more formats than content at URLs may have; `None` for anything else.
pub(super) fn sniff_media(bytes: &[u8]) -> Option<Media> {
    use MediaKind::{Picture, Sound};
    let media = |kind, media_type, extensions| Some(Media { kind, media_type, extensions });
    let brand = if bytes.get(4..8) == Some(b"ftyp") { bytes.get(8..12) } else { None };
    match (brand, bytes) {
        (Some(b"heic" | b"heix" | b"mif1" | b"hevc"), _) => media(Picture, "image/heic", &["heic", "heif"]),
        (Some(b"avif" | b"avis"), _) => media(Picture, "image/avif", &["avif"]),
        (Some(b"M4A " | b"M4B "), _) => media(Sound, "audio/mp4", &["m4a", "mp4", "m4b"]),
        (Some(_), _) => media(Sound, "video/mp4", &["mp4", "m4a", "mov", "m4b"]),
        (None, [b'f', b'L', b'a', b'C', ..]) => media(Sound, "audio/flac", &["flac"]),
        (None, [b'O', b'g', b'g', b'S', ..]) => media(Sound, "audio/ogg", &["ogg", "oga", "opus"]),
        (None, [0x1a, 0x45, 0xdf, 0xa3, ..]) => media(Sound, "video/webm", &["webm", "mkv", "weba"]),
        (None, [0xff, 0xf1 | 0xf9, ..]) => media(Sound, "audio/aac", &["aac"]),
        (None, [0x00, 0x00, 0x01, 0xba | 0xb3, ..]) => media(Sound, "video/mpeg", &["mpeg", "mpg"]),
        (None, [b'#', b'!', b'A', b'M', b'R', ..]) => media(Sound, "audio/amr", &["amr"]),
        (None, [b'c', b'a', b'f', b'f', ..]) => media(Sound, "audio/x-caf", &["caf"]),
        (None, [b'F', b'O', b'R', b'M', _, _, _, _, b'A', b'I', b'F', b'F' | b'C', ..]) => {
            media(Sound, "audio/aiff", &["aiff", "aif"])
        }
        (None, [b'B', b'M', _, _, _, _, 0, 0, 0, 0, ..]) => media(Picture, "image/bmp", &["bmp"]),
        (None, [b'I', b'I', 0x2a, 0, ..] | [b'M', b'M', 0, 0x2a, ..]) => media(Picture, "image/tiff", &["tiff", "tif"]),
        (None, _) => match sniff(bytes)? {
            Kind::Image("image/jpeg") => media(Picture, "image/jpeg", &["jpg", "jpeg"]),
            Kind::Image("image/png") => media(Picture, "image/png", &["png"]),
            Kind::Image("image/gif") => media(Picture, "image/gif", &["gif"]),
            Kind::Image("image/webp") => media(Picture, "image/webp", &["webp"]),
            Kind::Audio("wav") => media(Sound, "audio/wav", &["wav"]),
            Kind::Audio("mp3") => media(Sound, "audio/mpeg", &["mp3", "mpga", "mpeg"]),
            Kind::Image(_) | Kind::Audio(_) | Kind::Pdf | Kind::Text => None,
        },
    }
}

fn is_text(bytes: &[u8]) -> bool {
    let is_plain = |c: char| !c.is_control() || matches!(c, '\t' | '\n' | '\r' | '\u{c}');
    !bytes.is_empty() && std::str::from_utf8(bytes).is_ok_and(|text| text.chars().all(is_plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uploads_are_what_they_begin_with() {
        for (bytes, expected) in [
            (&b"\0\0\0\x20ftypM4A \0\0"[..], Some("audio/mp4")),
            (b"\0\0\0\x20ftypisom\0\0", Some("video/mp4")),
            (b"\0\0\0\x20ftypavif\0\0", Some("image/avif")),
            (b"fLaC\0\0\0\x22", Some("audio/flac")),
            (b"OggS\0\x02", Some("audio/ogg")),
            (b"\x1a\x45\xdf\xa3\x9f", Some("video/webm")),
            (b"\xff\xf1\x50\x80", Some("audio/aac")),
            (b"\xff\xfb\x90\x00", Some("audio/mpeg")),
            (b"RIFF\x01\x02\x03\x04WAVEfmt ", Some("audio/wav")),
            (b"\x89PNG\r\n\x1a\nPK\x03\x04", Some("image/png")),
            (b"<svg onload=alert(1)>", None),
            (b"%PDF-1.7", None),
            (b"PK\x03\x04", None),
            (b"", None),
        ] {
            assert_eq!(sniff_media(bytes).map(|media| media.media_type), expected, "{bytes:?}");
        }
    }

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
