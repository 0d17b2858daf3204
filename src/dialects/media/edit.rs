//! Images made of images: a form with files, or JSON with pictures as data URLs, URLs or ids.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use super::image::{Wishes, echo_body, read_scalar, streams};
use super::stream::ImageRelay;
use super::{
    EditBody, Found, ImageFormatField, ImageSizeField, MediaRecipient, Medium, Penned, PennedBody, google, unsupported,
};
use crate::canonical::{BodyPart, Field, FieldValue, FileRef, Form, Operation, TokenUsage, Transport};
use crate::dialects::native::{NativeReply, NativeStream, ReplyError};
use crate::dialects::node::Node;
use crate::dialects::out::quoted;
use crate::dialects::question::Answered;
use crate::dialects::raw::{RawObject, json_string};
use crate::fault::{Fault, Kind, Outcome};

const KNOWN: [&str; 15] = [
    "model",
    "prompt",
    "images",
    "mask",
    "n",
    "size",
    "quality",
    "response_format",
    "output_format",
    "output_compression",
    "background",
    "moderation",
    "user",
    "stream",
    "partial_images",
];
/// Fields of a form that may occur several times.
pub const LISTS: [&str; 1] = ["image"];
const MAX_IMAGES: usize = 16;
/// Tokens of a picture that is read, as the guides of OpenAI and Gemini have them at most.
const TOKENS_OF_A_PICTURE: u64 = 1_600;

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

#[derive(Debug, Clone)]
enum Source {
    Form(Form),
    Json(RawObject),
}

/// A request to change images.
#[derive(Debug, Clone)]
pub struct Edit {
    source: Source,
    wishes: Wishes,
    images: Vec<Picture>,
    mask: Option<Picture>,
}

impl Edit {
    /// Reads a form.
    ///
    /// # Errors
    /// `BadRequest` that names the field; `UnsupportedParameter` for answers as URLs.
    pub fn read(form: Form) -> Outcome<Self> {
        let wishes = Wishes::read(|key| Ok(form.text(key).map(str::to_owned)))?;
        let images: Vec<Picture> = form.files("image").cloned().map(Picture::File).collect();
        let mask = form.files("mask").next().cloned().map(Picture::File);
        if form.text("image").is_some() {
            return Err(Fault::invalid("image", "must be an uploaded file: its part needs a `filename`"));
        }
        Self { source: Source::Form(form), wishes, images, mask }.checked("image")
    }

    /// Scans a JSON body.
    ///
    /// # Errors
    /// As [`Self::read`], or `InvalidJson`.
    pub fn scan(body: Bytes) -> Outcome<Self> {
        let raw = RawObject::scan_request(body, &KNOWN)?;
        let wishes = Wishes::read(|key| read_scalar(&raw, key))?;
        let node = |key: &'static str| {
            let json = raw.get(key).filter(|json| *json != b"null")?;
            Some(Node::at(std::str::from_utf8(json).ok()?, key))
        };
        let images = match node("images") {
            Some(list) => list.list()?.iter().map(read_picture).collect::<Outcome<Vec<_>>>()?,
            None => Vec::new(),
        };
        let mask = node("mask").map(|mask| read_picture(&mask)).transpose()?;
        Self { source: Source::Json(raw), wishes, images, mask }.checked("images")
    }

    fn checked(self, field: &str) -> Outcome<Self> {
        match self.images.len() {
            0 => Err(Fault::invalid(field, "needs one picture at least")),
            1..=MAX_IMAGES => Ok(self),
            _ => Err(Fault::invalid(field, format!("may have {MAX_IMAGES} pictures at most"))),
        }
    }

    fn left_out(&self) -> Vec<Cow<'static, str>> {
        const ONLY_HERE: [&str; 11] = [
            "quality",
            "output_format",
            "output_compression",
            "background",
            "moderation",
            "user",
            "safety_identifier",
            "partial_images",
            "input_fidelity",
            "complexity",
            "markup",
        ];
        let has = |name: &&str| match &self.source {
            Source::Form(form) => form.fields.iter().any(|field| field.is(name)),
            Source::Json(raw) => raw.get(name).is_some_and(|json| json != b"null"),
        };
        ONLY_HERE.into_iter().filter(has).map(Cow::Borrowed).collect()
    }

    /// Refuses a mask where there is no word for one.
    fn without_mask(&self) -> Outcome<()> {
        if self.mask.is_none() {
            return Ok(());
        }
        let sentence = "This model does not support mask; describe in the prompt what is to change.";
        Err(Fault::new(Kind::UnsupportedParameter).param("mask").say(sentence))
    }

    /// The form as a provider gets it.
    fn write_form(&self, form: &Form, to: &MediaRecipient<'_>) -> Outcome<Penned> {
        let mut form = form.clone();
        form.set("model", to.model);
        match to.ways.image_format {
            ImageFormatField::Refuses => _ = form.remove("response_format"),
            ImageFormatField::Asked => form.set("response_format", "b64_json"),
        }
        if to.ways.image_size == ImageSizeField::Size && self.wishes.size.is_none() {
            form.remove("size");
        }
        let mut dropped = Vec::new();
        for field in to.ways.image_refuses {
            if form.remove(field) {
                dropped.push(Cow::Borrowed(*field));
            }
        }
        if !streams(to) {
            form.remove("stream");
            form.remove("partial_images");
        }
        Ok(Penned { body: PennedBody::Form(form), sibling: None, dropped })
    }

    /// The JSON of the client as a form: texts and numbers as they are, pictures as files.
    fn form_of(&self, raw: &RawObject) -> Outcome<Form> {
        let mut form = Form::default();
        for key in raw.keys().filter(|key| !matches!(*key, "images" | "mask")) {
            let json = raw.get(key).unwrap_or_default();
            let text = match raw.read::<String>(key) {
                Ok(None) => continue,
                Ok(Some(text)) => text,
                // A number, a truth value, or JSON that the provider reads as such.
                Err(_) => String::from_utf8_lossy(json).into_owned(),
            };
            form.fields.push(Field { name: key.to_owned(), value: FieldValue::Text(text) });
        }
        let pictures = self.images.iter().map(|image| ("image[]", image));
        for (name, picture) in pictures.chain(self.mask.iter().map(|mask| ("mask", mask))) {
            let Picture::Data { media_type, data } = picture else {
                return Err(unsupported("images", "file_id", "pictures as files, data URLs or URLs"));
            };
            let content = STANDARD.decode(data).map_err(|_| Fault::invalid("images", "must be a picture in base64"))?;
            let extension = media_type.rsplit('/').next().unwrap_or("png");
            let value = FieldValue::Inline {
                name: format!("image.{extension}"),
                media_type: media_type.clone(),
                content: content.into(),
            };
            form.fields.push(Field { name: name.to_owned(), value });
        }
        Ok(form)
    }

    fn write_json(&self, raw: &RawObject, to: &MediaRecipient<'_>) -> Penned {
        let mut splice = raw.splice();
        splice.set("model", json_string(to.model));
        if to.ways.image_format == ImageFormatField::Refuses {
            splice.remove("response_format");
        }
        if !streams(to) {
            splice.remove("stream");
            splice.remove("partial_images");
        }
        Penned::json(splice.finish())
    }

    /// JSON with every picture as `{"url","type"}`.
    fn write_image_urls(&self, to: &MediaRecipient<'_>) -> Outcome<Penned> {
        self.without_mask()?;
        let mut text = format!("{{\"model\":{},\"prompt\":{}", quoted(to.model), quoted(&self.wishes.prompt));
        if self.wishes.count > 1 {
            text.push_str(&format!(",\"n\":{}", self.wishes.count));
        }
        if let Some((shape, _)) = self.wishes.shape()? {
            text.push_str(&format!(",\"aspect_ratio\":{}", quoted(shape)));
        }
        text.push_str(",\"response_format\":\"b64_json\",");
        let is_list = self.images.len() > 1;
        text.push_str(if is_list { "\"images\":[" } else { "\"image\":" });
        let mut parts = Vec::new();
        for (at, picture) in self.images.iter().enumerate() {
            text.push_str(if at > 0 {
                ",{\"type\":\"image_url\",\"url\":"
            } else {
                "{\"type\":\"image_url\",\"url\":"
            });
            push_url(picture, &mut text, &mut parts)?;
            text.push('}');
        }
        text.push_str(if is_list { "]}" } else { "}" });
        parts.push(BodyPart::Bytes(Bytes::from(text)));
        Ok(Penned { body: PennedBody::Json(parts), sibling: None, dropped: self.left_out() })
    }
}

/// A picture as a JSON string that is a URL.
pub(super) fn push_url(picture: &Picture, text: &mut String, parts: &mut Vec<BodyPart>) -> Outcome<()> {
    match picture {
        Picture::File(file) => {
            text.push_str(&format!("\"data:{};base64,", file.media_type));
            parts.push(BodyPart::Bytes(Bytes::from(std::mem::take(text))));
            parts.push(BodyPart::Base64(file.place));
            text.push('"');
        }
        Picture::Data { media_type, data } => text.push_str(&quoted(&format!("data:{media_type};base64,{data}"))),
        Picture::Url(url) => text.push_str(&quoted(url)),
        Picture::Id(_) => return Err(unsupported("images", "file_id", "pictures as files, data URLs or URLs")),
    }
    Ok(())
}

/// `{"image_url": …}` or `{"file_id": …}`; a bare text is a URL, too.
fn read_picture(node: &Node<'_>) -> Outcome<Picture> {
    let url = if node.is_text() {
        node.text()?
    } else {
        let members = node.object()?;
        if let Some(id) = members.text("file_id")? {
            return Ok(Picture::Id(id));
        }
        let url = members.need("image_url")?;
        if url.is_object() { url.object()?.need("url")?.text()? } else { url.text()? }
    };
    let Some(rest) = url.strip_prefix("data:") else {
        return if url.starts_with("https://") {
            Ok(Picture::Url(url))
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
    Ok(Picture::Data { media_type: media_type.to_owned(), data: data.to_owned() })
}

impl Medium for Edit {
    fn operation(&self) -> Operation {
        Operation::ImageEdit
    }

    fn contract(&self) -> &'static str {
        "images_edits"
    }

    fn model(&self) -> &str {
        &self.wishes.model
    }

    fn is_stream(&self) -> bool {
        self.wishes.is_stream
    }

    fn transports(&self) -> &'static [Transport] {
        &[Transport::ImageEdits, Transport::GenerateContent, Transport::ChatCompletions]
    }

    fn text_bytes(&self) -> u64 {
        self.wishes.prompt.len() as u64
    }

    fn write(&self, to: &MediaRecipient<'_>) -> Outcome<Penned> {
        self.wishes.check(to)?;
        match (to.transport, &self.source, to.ways.edits) {
            (Transport::GenerateContent, ..) => {
                self.without_mask()?;
                let penned = google::write_image(&self.wishes, &self.images)?;
                Ok(Penned { dropped: self.left_out(), ..penned })
            }
            (Transport::ChatCompletions, ..) => {
                self.without_mask()?;
                let penned = google::write_chat(&self.wishes, to.model, &self.images)?;
                Ok(Penned { dropped: self.left_out(), ..penned })
            }
            (_, _, EditBody::ImageUrl) => self.write_image_urls(to),
            (_, Source::Form(form), _) => self.write_form(form, to),
            (_, Source::Json(raw), EditBody::Either) => Ok(self.write_json(raw, to)),
            (_, Source::Json(raw), EditBody::Form) => self.write_form(&self.form_of(raw)?, to),
        }
    }

    fn read(&self, from: &MediaRecipient<'_>, answer: Answered) -> Result<NativeReply, ReplyError> {
        let prefix = "image_edit";
        match from.transport {
            Transport::GenerateContent => {
                let (items, usage) = google::read_images(&answer.body)?;
                Ok(self.wishes.tell(&items, usage, from.now, prefix))
            }
            Transport::ChatCompletions => {
                let (items, usage) = google::read_chat_images(&answer.body)?;
                Ok(self.wishes.tell(&items, usage, from.now, prefix))
            }
            _ => self.wishes.read_answer(answer.body, from.now, prefix),
        }
    }

    fn relay(&self, _from: &MediaRecipient<'_>) -> Box<dyn NativeStream> {
        Box::new(ImageRelay::new(self.wishes.count))
    }

    fn expects(&self, input: u64) -> TokenUsage {
        let pictures = self.images.len().saturating_add(usize::from(self.mask.is_some())) as u64;
        self.wishes.expects(input, pictures.saturating_mul(TOKENS_OF_A_PICTURE))
    }

    fn may_use(&self, input: u64) -> TokenUsage {
        let pictures = self.images.len().saturating_add(usize::from(self.mask.is_some())) as u64;
        self.wishes.may_use(input, pictures.saturating_mul(TOKENS_OF_A_PICTURE * 4))
    }

    fn urls(&self) -> Vec<String> {
        let all = self.images.iter().chain(&self.mask);
        all.filter_map(|picture| if let Picture::Url(url) = picture { Some(url.clone()) } else { None }).collect()
    }

    fn reads_urls(&self, to: &MediaRecipient<'_>) -> bool {
        to.transport == Transport::ChatCompletions
            || (to.transport == Transport::ImageEdits && matches!(to.ways.edits, EditBody::Either | EditBody::ImageUrl))
    }

    fn with_pictures(&self, found: &[Found]) -> Box<dyn Medium> {
        let mut with = self.clone();
        for picture in with.images.iter_mut().chain(&mut with.mask) {
            if let Picture::Url(url) = picture
                && let Some(found) = found.iter().find(|found| found.url == *url)
            {
                let (media_type, data) = (found.media_type.to_owned(), STANDARD.encode(&found.content));
                *picture = Picture::Data { media_type, data };
            }
        }
        Box::new(with)
    }

    fn echo(&self) -> Bytes {
        echo_body(self.wishes.count)
    }
}
