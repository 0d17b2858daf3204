//! EXIF in pictures that providers answer with, for operators who do not want it passed on. A picture that says where it
//! comes from (C2PA) passes untouched: taking anything out of it would break that seal.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use img_parts::{DynImage, ImageEXIF as _};
use memchr::memmem;

use crate::canonical::TokenUsage;
use crate::dialects::native::{NativeStream, Progress, Signal, StreamError};
use crate::fault::Fault;

/// The member of answers and events that has a picture.
const MEMBER: &[u8] = b"\"b64_json\"";

/// A body or events of the contract without EXIF in its pictures. `None`: there is none.
pub(super) fn without_exif(text: &[u8]) -> Option<Bytes> {
    let mut out = BytesMut::new();
    let mut copied = 0;
    for at in memmem::find_iter(text, MEMBER) {
        let from = at + MEMBER.len();
        let Some((start, end)) = value_of(text, from) else { continue };
        let stripped = text.get(start..end).and_then(|data| {
            let data = unescaped(data);
            strip(STANDARD.decode(data.as_ref()).ok()?)
        });
        if let Some(picture) = stripped {
            out.extend_from_slice(text.get(copied..start).unwrap_or_default());
            out.extend_from_slice(STANDARD.encode(picture).as_bytes());
            copied = end;
        }
    }
    if copied == 0 {
        return None;
    }
    out.extend_from_slice(text.get(copied..).unwrap_or_default());
    Some(out.freeze())
}

/// Where the text behind a member's name begins and ends, without its quotes.
fn value_of(text: &[u8], from: usize) -> Option<(usize, usize)> {
    let rest = text.get(from..)?;
    let quote = rest.iter().position(|byte| !byte.is_ascii_whitespace() && *byte != b':')?;
    if rest.get(quote) != Some(&b'"') {
        return None;
    }
    let start = from + quote + 1;
    // Base64 has neither quotes nor escapes of them.
    let length = memchr::memchr(b'"', text.get(start..)?)?;
    Some((start, start + length))
}

/// Some writers of JSON escape slashes.
fn unescaped(data: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr(b'\\', data).is_none() {
        return Cow::Borrowed(data);
    }
    Cow::Owned(data.iter().copied().filter(|byte| *byte != b'\\').collect())
}

/// A picture in JPEG, PNG or WebP without EXIF. `None`: it has none, is none of these, or says where it comes from.
fn strip(picture: Vec<u8>) -> Option<Bytes> {
    let has = |word: &[u8]| memmem::find(&picture, word).is_some();
    if has(b"jumb") && has(b"c2pa") {
        return None;
    }
    let mut image = DynImage::from_bytes(picture.into()).ok()??;
    image.exif()?;
    image.set_exif(None);
    Some(image.encoder().bytes())
}

/// A stream of pictures without EXIF.
pub(super) struct Stripped(pub Box<dyn NativeStream>);

impl Stripped {
    fn written(out: &mut BytesMut, from: usize) {
        let events = out.split_off(from);
        let stripped = without_exif(&events);
        out.extend_from_slice(stripped.as_deref().unwrap_or(&events));
    }
}

impl NativeStream for Stripped {
    fn relay(&mut self, event: Option<&[u8]>, data: &Bytes, out: &mut BytesMut) -> Result<Signal, StreamError> {
        let from = out.len();
        let signal = self.0.relay(event, data, out);
        Self::written(out, from);
        signal
    }

    fn complete(&mut self, out: &mut BytesMut) -> Option<Bytes> {
        self.0.complete(out)
    }

    fn not_kept(&mut self) {
        self.0.not_kept();
    }

    fn write_closing(&mut self, out: &mut BytesMut) {
        let from = out.len();
        self.0.write_closing(out);
        Self::written(out, from);
    }

    fn write_failure(&mut self, fault: &Fault, out: &mut BytesMut) {
        self.0.write_failure(fault, out);
    }

    fn is_finished(&self) -> bool {
        self.0.is_finished()
    }

    fn is_complete(&self) -> bool {
        self.0.is_complete()
    }

    fn usage(&self) -> Option<TokenUsage> {
        self.0.usage()
    }

    fn finish_reason(&self) -> Option<&str> {
        self.0.finish_reason()
    }

    fn progress(&self) -> Progress {
        self.0.progress()
    }

    fn output_bytes(&self) -> u64 {
        self.0.output_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A picture of one pixel, as a camera of ours would name it.
    fn jpeg(segments: &[(u8, &[u8])]) -> Vec<u8> {
        let mut bytes = vec![0xff, 0xd8];
        for (marker, contents) in segments {
            bytes.extend_from_slice(&[0xff, *marker]);
            bytes.extend_from_slice(&u16::try_from(contents.len() + 2).unwrap().to_be_bytes());
            bytes.extend_from_slice(contents);
        }
        bytes.extend_from_slice(&[0xff, 0xda, 0x00, 0x02, 4, 5, 6, 0xff, 0xd9]);
        bytes
    }

    const EXIF: (u8, &[u8]) = (0xe1, b"Exif\0\0MM\0*here it was made");
    const XMP: (u8, &[u8]) = (0xe1, b"http://ns.adobe.com/xap/1.0/\0<x/>");
    const C2PA: (u8, &[u8]) = (0xeb, b"JP\0\x01\0\0\0\x01\0\0\0\x20jumb c2pa");

    fn body(picture: &[u8]) -> String {
        format!("{{\"created\": 1, \"data\": [{{\"b64_json\" : \"{}\", \"n\": 1e400}}]}}", STANDARD.encode(picture))
    }

    #[test]
    fn exif_goes_and_everything_else_stays_as_it_was() {
        let (with, without) = (jpeg(&[EXIF, XMP]), jpeg(&[XMP]));
        let stripped = without_exif(body(&with).as_bytes()).unwrap();
        assert_eq!(stripped, body(&without));
        for untouched in [without, jpeg(&[EXIF, C2PA]), b"GIF89a".to_vec(), Vec::new(), vec![0xff, 0xd8, 0xff, 0xe1, 9]]
        {
            assert_eq!(without_exif(body(&untouched).as_bytes()), None, "{untouched:?}");
        }
    }

    #[test]
    fn every_picture_of_a_body_is_looked_at_and_no_body_is_broken() {
        let (with, without) = (STANDARD.encode(jpeg(&[EXIF])), STANDARD.encode(jpeg(&[])));
        let two = |one: &str, other: &str| {
            format!("[{{\"b64_json\":\"{one}\"}},{{\"b64_json\":null}},{{\"b64_json\":\"{other}\"}}]")
        };
        let stripped = without_exif(two(&with, &with).as_bytes()).unwrap();
        assert_eq!(stripped, two(&without, &without));
        let escaped = two(&with.replace('/', "\\/"), &without);
        assert_eq!(without_exif(escaped.as_bytes()).unwrap(), two(&without, &without));
        for text in ["", "\"b64_json\"", "\"b64_json\":", "\"b64_json\":\"", "\"b64_json\":\"%\"", "\"b64_json\":{}"] {
            assert_eq!(without_exif(text.as_bytes()), None, "{text}");
        }
    }
}
