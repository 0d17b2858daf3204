//! A form that a client uploaded: its fields, and where the bytes of its files lie. Names and kinds of files are ours: a name
//! is cut down to what is harmless, a kind is what the bytes are.

use bytes::Bytes;

use super::sniff::{Media, MediaKind, sniff_media};
use crate::canonical::{BodyPart, Field, FieldValue, FileRef, Form};
use crate::fault::{Fault, Kind, Outcome};
use crate::transport::{Piece, Upload};

/// Longest name of a file, in characters.
const MAX_FILE_NAME: usize = 100;

/// What a form may carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carries {
    /// Sound.
    Sound,
    /// Pictures.
    Pictures,
}

/// A form and its files.
#[derive(Debug, Clone, Default)]
pub struct Uploaded {
    form: Form,
    files: Vec<Upload>,
}

impl Uploaded {
    /// Adds a text.
    pub fn push_text(&mut self, name: String, text: String) {
        self.form.fields.push(Field { name, value: FieldValue::Text(text) });
    }

    /// Adds a file.
    ///
    /// # Errors
    /// `BadRequest` when it is empty, or not of the kind that the form carries.
    pub fn push_file(&mut self, name: String, sent_as: Option<&str>, file: Upload, carries: Carries) -> Outcome<()> {
        if file.bytes() == 0 {
            return Err(Fault::invalid(name, "the file is empty"));
        }
        let (kind, what) = match carries {
            Carries::Sound => (MediaKind::Sound, "sound (flac, mp3, mp4, m4a, ogg, wav, webm, aac, …)"),
            Carries::Pictures => (MediaKind::Picture, "a picture (png, jpeg, webp, gif, …)"),
        };
        let media = sniff_media(file.head()).filter(|media| media.kind == kind);
        let media = media.ok_or_else(|| {
            Fault::invalid(name.clone(), format!("the file is not {what}; what it is called does not count"))
        })?;
        let file_ref = FileRef {
            place: self.files.len(),
            name: safe_name(sent_as.unwrap_or_default(), &media),
            media_type: media.media_type,
            bytes: file.bytes(),
        };
        self.form.fields.push(Field { name, value: FieldValue::File(file_ref) });
        self.files.push(file);
        Ok(())
    }

    /// Checks what only the whole form shows: that no field is ambiguous.
    ///
    /// # Errors
    /// `BadRequest` that names the field.
    pub fn check(&self, lists: &[&str]) -> Outcome<()> {
        for (at, field) in self.form.fields.iter().enumerate() {
            let name = field.base_name();
            if !lists.contains(&name) && self.form.fields.iter().take(at).any(|other| other.is(name)) {
                return Err(Fault::invalid(field.name.clone(), "is stated twice"));
            }
            if name != "model" && name.eq_ignore_ascii_case("model") {
                return Err(Fault::invalid(field.name.clone(), "must be spelt `model`"));
            }
        }
        Ok(())
    }

    /// The fields.
    #[must_use]
    pub fn form(&self) -> &Form {
        &self.form
    }

    /// The file at a place.
    #[must_use]
    pub fn file(&self, place: usize) -> Option<&Upload> {
        self.files.get(place)
    }

    /// Bytes of all texts and files.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let texts = self.form.fields.iter().map(|field| match &field.value {
            FieldValue::Text(text) => text.len() as u64,
            FieldValue::File(_) | FieldValue::Inline { .. } => 0,
        });
        texts.sum::<u64>().saturating_add(self.file_bytes())
    }

    /// Bytes of all files.
    #[must_use]
    pub fn file_bytes(&self) -> u64 {
        self.files.iter().map(Upload::bytes).sum()
    }

    /// A written body with the files in their places.
    ///
    /// # Errors
    /// `Internal` for a place without a file.
    pub(super) fn pieces(&self, parts: Vec<BodyPart>) -> Outcome<Vec<Piece>> {
        let file = |place: usize| self.files.get(place).cloned().ok_or_else(|| Fault::from(Kind::Internal));
        let piece = |part| {
            Ok(match part {
                BodyPart::Bytes(bytes) => Piece::Bytes(bytes),
                BodyPart::File(place) => Piece::File(file(place)?),
                BodyPart::Base64(place) => Piece::Base64(file(place)?),
            })
        };
        parts.into_iter().map(piece).collect()
    }
}

/// The last part of a name, without what means something to a shell, a path or a header, and with the extension of what the
/// file is.
fn safe_name(sent: &str, media: &Media) -> String {
    let last = sent.rsplit(['/', '\\']).next().unwrap_or_default();
    let is_plain = |c: &char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | ' ' | '(' | ')');
    let plain: String = last.chars().filter(is_plain).take(MAX_FILE_NAME).collect();
    let plain = plain.trim_matches(['.', ' ']);
    let (stem, extension) = plain.rsplit_once('.').unwrap_or((plain, ""));
    let stem = if stem.is_empty() { "file" } else { stem };
    let known = media.extensions.iter().find(|known| known.eq_ignore_ascii_case(extension));
    let extension = known.or(media.extensions.first()).copied().unwrap_or("bin");
    format!("{stem}.{extension}")
}

/// A form as a `multipart/form-data` body.
#[must_use]
pub(super) fn write_multipart(form: &Form, boundary: &str) -> Vec<BodyPart> {
    let mut parts = Vec::with_capacity(form.fields.len() * 2 + 1);
    let mut text = String::new();
    for field in &form.fields {
        let name = escaped(&field.name);
        text.push_str(&format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\""));
        match &field.value {
            FieldValue::Text(value) => {
                text.push_str("\r\n\r\n");
                text.push_str(value);
            }
            FieldValue::File(file) => {
                let (name, kind) = (escaped(&file.name), file.media_type);
                text.push_str(&format!("; filename=\"{name}\"\r\nContent-Type: {kind}\r\n\r\n"));
                parts.push(BodyPart::Bytes(Bytes::from(std::mem::take(&mut text))));
                parts.push(BodyPart::File(file.place));
            }
            FieldValue::Inline { name, media_type, content } => {
                let name = escaped(name);
                text.push_str(&format!("; filename=\"{name}\"\r\nContent-Type: {media_type}\r\n\r\n"));
                parts.push(BodyPart::Bytes(Bytes::from(std::mem::take(&mut text))));
                parts.push(BodyPart::Bytes(content.clone()));
            }
        }
        text.push_str("\r\n");
    }
    text.push_str(&format!("--{boundary}--\r\n"));
    parts.push(BodyPart::Bytes(Bytes::from(text)));
    parts
}

/// As browsers write names: <https://html.spec.whatwg.org/multipage/form-control-infrastructure.html#multipart-form-data>
fn escaped(name: &str) -> String {
    name.replace('"', "%22").replace('\r', "%0D").replace('\n', "%0A")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::Uploads;

    async fn upload(content: &[u8]) -> Upload {
        let folder = tempfile::tempdir().unwrap();
        let uploads = Uploads::new(folder.path().to_owned(), 1 << 20);
        let mut writer = uploads.create().await.unwrap();
        uploads.write(&mut writer, content).await.unwrap();
        writer.finish().await.unwrap()
    }

    #[test]
    fn names_of_files_are_harmless_and_say_what_the_file_is() {
        let png = sniff_media(b"\x89PNG\r\n\x1a\n").unwrap();
        let mp3 = sniff_media(b"ID3\x04").unwrap();
        for (sent, media, name) in [
            ("cat.png", &png, "cat.png"),
            ("../../etc/passwd", &png, "passwd.png"),
            ("C:\\Windows\\..\\evil.exe", &png, "evil.png"),
            ("a\"; filename=\"b.png", &png, "a filenameb.png"),
            ("\r\nX-Evil: 1", &png, "X-Evil 1.png"),
            ("....", &png, "file.png"),
            ("", &png, "file.png"),
            ("Grüße 1.MPGA", &mp3, "Grüße 1.mpga"),
            ("x.wav", &mp3, "x.mp3"),
        ] {
            assert_eq!(safe_name(sent, media), name, "{sent:?}");
        }
        assert_eq!(safe_name(&"x".repeat(500), &png).len(), MAX_FILE_NAME + 4);
    }

    #[tokio::test]
    async fn files_are_what_their_bytes_are() {
        let mut form = Uploaded::default();
        let wav = b"RIFF\x24\x00\x00\x00WAVEfmt ";
        form.push_file("file".to_owned(), Some("talk.mp3"), upload(wav).await, Carries::Sound).unwrap();
        let FieldValue::File(file) = &form.form().fields[0].value else { panic!("no file") };
        assert_eq!((file.name.as_str(), file.media_type), ("talk.wav", "audio/wav"));
        for (content, carries) in [
            (&b""[..], Carries::Sound),
            (b"<html>", Carries::Pictures),
            (wav, Carries::Pictures),
            (b"PK", Carries::Sound),
        ] {
            let refused = form.push_file("image[]".to_owned(), None, upload(content).await, carries).unwrap_err();
            assert_eq!((refused.kind(), refused.at()), (Kind::BadRequest, Some("image[]")));
        }
    }

    #[test]
    fn a_field_that_can_be_read_in_two_ways_is_refused() {
        let form = |names: &[&str]| {
            let mut form = Uploaded::default();
            names.iter().for_each(|name| form.push_text((*name).to_owned(), "x".to_owned()));
            form.check(&["k"]).err().and_then(|fault| fault.at().map(str::to_owned))
        };
        assert_eq!(form(&["model", "k", "k[]", "k[]"]), None);
        assert_eq!(form(&["model", "k", "model"]).as_deref(), Some("model"));
        assert_eq!(form(&["model", "model[]"]).as_deref(), Some("model[]"));
        assert_eq!(form(&["Model"]).as_deref(), Some("Model"));
    }

    #[test]
    fn fields_keep_their_order_and_names_stay_in_their_quotes() {
        let file = FileRef { place: 3, name: "a.png".to_owned(), media_type: "image/png", bytes: 9 };
        let form = Form {
            fields: vec![
                Field { name: "model".to_owned(), value: FieldValue::Text("m".to_owned()) },
                Field { name: "image[]".to_owned(), value: FieldValue::File(file) },
                Field { name: "x\"\r\ny".to_owned(), value: FieldValue::Text("1\r\n2".to_owned()) },
            ],
        };
        let written: Vec<String> = write_multipart(&form, "B")
            .into_iter()
            .map(|part| match part {
                BodyPart::Bytes(bytes) => String::from_utf8(bytes.to_vec()).unwrap(),
                BodyPart::File(place) => format!("<file {place}>"),
                BodyPart::Base64(_) => panic!("base64 in a form"),
            })
            .collect();
        assert_eq!(
            written.concat(),
            "--B\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nm\r\n\
             --B\r\nContent-Disposition: form-data; name=\"image[]\"; filename=\"a.png\"\r\nContent-Type: image/png\r\n\r\n\
             <file 3>\r\n\
             --B\r\nContent-Disposition: form-data; name=\"x%22%0D%0Ay\"\r\n\r\n1\r\n2\r\n--B--\r\n"
        );
    }
}
