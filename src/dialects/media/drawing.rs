//! Images made of a text, or of images and a text: JSON, or a form with files. `images_wire` writes them in the wire of the
//! contract.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use super::drawn::PictureRelay;
use super::given::Picture;
use super::image::{Wishes, read_scalar};
use super::stream::ImageRelay;
use super::{EditBody, Found, MediaRecipient, Medium, Penned, google, imagen};
use crate::canonical::{Form, Operation, TokenUsage, Transport};
use crate::dialects::native::{NativeReply, NativeStream, ReplyError};
use crate::dialects::node::Node;
use crate::dialects::question::Answered;
use crate::dialects::raw::RawObject;
use crate::fault::{Fault, Kind, Outcome};

/// Fields of both contracts.
const KNOWN: [&str; 16] = [
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
    "style",
    "user",
    "stream",
    "partial_images",
];
/// Fields that every wire is told in its own way, or that are for the gateway alone.
const READ: [&str; 6] = ["model", "prompt", "n", "size", "response_format", "stream"];
/// Fields with pictures; those of a generation mean nothing.
const PICTURES: [&str; 3] = ["images", "image", "mask"];
/// Fields of an edit's form that may occur several times.
pub const LISTS: [&str; 1] = ["image"];
const MAX_IMAGES: usize = 16;
/// Tokens of a picture that is read, as the guides of OpenAI and Gemini have them at most.
const TOKENS_OF_A_PICTURE: u64 = 1_600;

#[derive(Debug, Clone)]
pub(super) enum Source {
    Form(Form),
    Json(RawObject),
}

/// A request for images.
#[derive(Debug, Clone)]
pub struct Drawing {
    pub(super) source: Source,
    pub(super) wishes: Wishes,
    /// What is to be changed; empty: they are made of the text alone.
    pub(super) images: Vec<Picture>,
    pub(super) mask: Option<Picture>,
}

impl Drawing {
    /// Scans a body that asks for images made of a text.
    ///
    /// # Errors
    /// `InvalidJson`, or `BadRequest` that names the field; `UnsupportedParameter` for answers as URLs.
    pub fn of_text(body: Bytes) -> Outcome<Self> {
        let raw = RawObject::scan_request(body, &KNOWN)?;
        let wishes = Wishes::read(|key| read_scalar(&raw, key))?;
        Ok(Self { source: Source::Json(raw), wishes, images: Vec::new(), mask: None })
    }

    /// Reads a form that asks for images to be changed.
    ///
    /// # Errors
    /// `BadRequest` that names the field; `UnsupportedParameter` for answers as URLs.
    pub fn of_form(form: Form) -> Outcome<Self> {
        let wishes = Wishes::read(|key| Ok(form.text(key).map(str::to_owned)))?;
        let images: Vec<Picture> = form.files("image").cloned().map(Picture::File).collect();
        let mask = form.files("mask").next().cloned().map(Picture::File);
        if form.text("image").is_some() {
            return Err(Fault::invalid("image", "must be an uploaded file: its part needs a `filename`"));
        }
        Self { source: Source::Form(form), wishes, images, mask }.checked("image")
    }

    /// Scans a body that asks for images to be changed.
    ///
    /// # Errors
    /// As [`Self::of_form`], or `InvalidJson`.
    pub fn of_images(body: Bytes) -> Outcome<Self> {
        let raw = RawObject::scan_request(body, &KNOWN)?;
        let wishes = Wishes::read(|key| read_scalar(&raw, key))?;
        let node = |key: &'static str| {
            let json = raw.get(key).filter(|json| *json != b"null")?;
            Some(Node::at(std::str::from_utf8(json).ok()?, key))
        };
        let images = match node("images") {
            Some(list) => list.list()?.iter().map(Picture::read).collect::<Outcome<Vec<_>>>()?,
            None => Vec::new(),
        };
        let mask = node("mask").map(|mask| Picture::read(&mask)).transpose()?;
        Self { source: Source::Json(raw), wishes, images, mask }.checked("images")
    }

    fn checked(self, field: &str) -> Outcome<Self> {
        match self.images.len() {
            0 => Err(Fault::invalid(field, "needs one picture at least")),
            1..=MAX_IMAGES => Ok(self),
            _ => Err(Fault::invalid(field, format!("may have {MAX_IMAGES} pictures at most"))),
        }
    }

    fn is_edit(&self) -> bool {
        !self.images.is_empty()
    }

    /// What its events are called.
    fn prefix(&self) -> &'static str {
        if self.is_edit() { "image_edit" } else { "image_generation" }
    }

    /// Names of stated fields, each once. What is `null`, empty or `auto` says nothing.
    pub(super) fn stated(&self) -> Vec<String> {
        let says = |text: &str| !matches!(text, "" | "auto");
        let mut names: Vec<String> = match &self.source {
            Source::Json(raw) => raw
                .keys()
                .filter(|key| raw.get(key).is_some_and(|json| !matches!(json, b"null" | b"\"auto\"" | b"\"\"")))
                .map(str::to_owned)
                .collect(),
            Source::Form(form) => form
                .fields
                .iter()
                .filter(|field| form.texts(field.base_name()).next().is_none_or(says))
                .map(|field| field.base_name().to_owned())
                .collect(),
        };
        let mut seen = std::collections::BTreeSet::new();
        names.retain(|name| seen.insert(name.clone()));
        names
    }

    /// The same request where nothing of it but what is `also` read has a word: the others are named.
    pub(super) fn translated(&self, penned: Penned, also: &[&str]) -> Penned {
        let is_read =
            |name: &str| READ.contains(&name) || also.contains(&name) || (self.is_edit() && PICTURES.contains(&name));
        let dropped = self.stated().into_iter().filter(|name| !is_read(name)).map(Cow::Owned).collect();
        Penned { dropped, ..penned }
    }

    /// Refuses a mask where there is no word for one.
    pub(super) fn without_mask(&self) -> Outcome<()> {
        if self.mask.is_none() {
            return Ok(());
        }
        let sentence = "This model does not support mask; describe in the prompt what is to change.";
        Err(Fault::new(Kind::UnsupportedParameter).param("mask").say(sentence))
    }

    /// Pictures that are read, the mask too.
    fn read_pictures(&self) -> u64 {
        self.images.len().saturating_add(usize::from(self.mask.is_some())) as u64
    }
}

/// Whether a stream is asked of a provider.
pub(super) fn streams(to: &MediaRecipient<'_>) -> bool {
    let by_model = to.profile.values.get("stream").is_none_or(|known| known.iter().any(|word| word == "true"));
    to.ways.streams_images && by_model && to.transport != Transport::Predict
}

impl Medium for Drawing {
    fn operation(&self) -> Operation {
        if self.is_edit() { Operation::ImageEdit } else { Operation::ImageGenerate }
    }

    fn contract(&self) -> &'static str {
        if self.is_edit() { "images_edits" } else { "images_generations" }
    }

    fn model(&self) -> &str {
        &self.wishes.model
    }

    fn is_stream(&self) -> bool {
        self.wishes.is_stream
    }

    fn asks_stream(&self, to: &MediaRecipient<'_>) -> bool {
        self.wishes.is_stream && streams(to)
    }

    fn transports(&self) -> &'static [Transport] {
        if self.is_edit() {
            return &[Transport::ImageEdits, Transport::GenerateContent, Transport::ChatCompletions];
        }
        &[Transport::Images, Transport::GenerateContent, Transport::Predict, Transport::ChatCompletions]
    }

    fn text_bytes(&self) -> u64 {
        self.wishes.prompt.len() as u64
    }

    fn write(&self, to: &MediaRecipient<'_>) -> Outcome<Penned> {
        self.wishes.check(to)?;
        let streamed: &[&str] = if self.asks_stream(to) { &["partial_images"] } else { &[] };
        match (to.transport, &self.source, to.ways.edits) {
            (Transport::GenerateContent, ..) => {
                self.without_mask()?;
                Ok(self.translated(google::write_image(&self.wishes, to, &self.images)?, streamed))
            }
            (Transport::ChatCompletions, ..) => {
                self.without_mask()?;
                let penned = google::write_chat(&self.wishes, to, &self.images, self.asks_stream(to))?;
                Ok(self.translated(penned, streamed))
            }
            (Transport::Predict, ..) => Ok(self.translated(imagen::write(&self.wishes, to)?, &imagen::READ)),
            (_, Source::Json(raw), _) if !self.is_edit() => self.write_json(raw, to),
            (_, _, EditBody::ImageUrl) => self.write_image_urls(to),
            (_, Source::Form(form), _) => self.write_form(form, to),
            (_, Source::Json(raw), EditBody::Either) => self.write_json(raw, to),
            (_, Source::Json(raw), EditBody::Form) => self.write_form(&self.form_of(raw)?, to),
        }
    }

    fn read(&self, from: &MediaRecipient<'_>, answer: Answered) -> Result<NativeReply, ReplyError> {
        let (items, usage) = match from.transport {
            Transport::GenerateContent => google::read_images(&answer.body)?,
            Transport::ChatCompletions => google::read_chat_images(&answer.body)?,
            Transport::Predict => imagen::read(&answer.body)?,
            _ => return self.wishes.read_answer(answer.body, from.now, self.prefix()),
        };
        Ok(self.wishes.tell(&items, usage, from.now, self.prefix()))
    }

    fn relay(&self, from: &MediaRecipient<'_>) -> Box<dyn NativeStream> {
        match from.transport {
            Transport::GenerateContent | Transport::ChatCompletions => {
                Box::new(PictureRelay::new(from.transport, &self.wishes, self.prefix(), from.now))
            }
            _ => Box::new(ImageRelay::new(self.wishes.count)),
        }
    }

    fn expects(&self, input: u64) -> TokenUsage {
        self.wishes.expects(input, self.read_pictures().saturating_mul(TOKENS_OF_A_PICTURE))
    }

    fn may_use(&self, input: u64) -> TokenUsage {
        self.wishes.may_use(input, self.read_pictures().saturating_mul(TOKENS_OF_A_PICTURE * 4))
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

    /// One pixel, transparent, as often as asked.
    fn echo(&self) -> Bytes {
        const PIXEL: &str =
            "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
        let items: Vec<String> =
            (0..self.wishes.count.min(10)).map(|_| format!("{{\"b64_json\":\"{PIXEL}\"}}")).collect();
        Bytes::from(format!("{{\"created\":0,\"data\":[{}]}}", items.join(",")))
    }
}
