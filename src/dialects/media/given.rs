//! Pictures that a client gives: uploaded, inside JSON, or at a URL.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use super::unsupported;
use crate::canonical::{BodyPart, FileRef};
use crate::dialects::node::Node;
use crate::dialects::out::quoted;
use crate::fault::Outcome;

/// Where a picture comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Picture {
    /// An uploaded file.
    File(FileRef),
    /// Base64 in the request.
    Data { media_type: String, data: String },
    /// Elsewhere.
    Url(String),
    /// A file that the provider keeps.
    Id(String),
}

impl Picture {
    /// `{"image_url": …}` or `{"file_id": …}`; a bare text is a URL, too.
    ///
    /// # Errors
    /// `BadRequest` that names the place.
    pub(super) fn read(node: &Node<'_>) -> Outcome<Self> {
        let url = if node.is_text() {
            node.text()?
        } else {
            let members = node.object()?;
            if let Some(id) = members.text("file_id")? {
                return Ok(Self::Id(id));
            }
            let url = members.need("image_url")?;
            if url.is_object() { url.object()?.need("url")?.text()? } else { url.text()? }
        };
        let Some(rest) = url.strip_prefix("data:") else {
            return if url.starts_with("https://") {
                Ok(Self::Url(url))
            } else {
                Err(node.refuse("must be a data URL or an https URL"))
            };
        };
        let found = rest.split_once(',').and_then(|(head, data)| Some((head.strip_suffix(";base64")?, data)));
        let (media_type, data) = found.ok_or_else(|| node.refuse("must be a data URL in base64"))?;
        // It becomes part of a header where the picture is sent in a form.
        let is_plain = media_type.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/.+-".contains(&byte));
        if !is_plain || !media_type.starts_with("image/") || STANDARD.decode(data).is_err() {
            return Err(node.refuse("must be a picture in base64"));
        }
        Ok(Self::Data { media_type: media_type.to_owned(), data: data.to_owned() })
    }

    /// Writes it as a JSON string that is a URL.
    ///
    /// # Errors
    /// `UnsupportedParameter` for what a provider keeps.
    pub(super) fn push_url(&self, text: &mut String, parts: &mut Vec<BodyPart>) -> Outcome<()> {
        match self {
            Self::File(file) => {
                text.push_str(&format!("\"data:{};base64,", file.media_type));
                parts.push(BodyPart::Bytes(Bytes::from(std::mem::take(text))));
                parts.push(BodyPart::Base64(file.place));
                text.push('"');
            }
            Self::Data { media_type, data } => text.push_str(&quoted(&format!("data:{media_type};base64,{data}"))),
            Self::Url(url) => text.push_str(&quoted(url)),
            Self::Id(_) => return Err(unsupported("images", "file_id", "pictures as files, data URLs or URLs")),
        }
        Ok(())
    }
}
