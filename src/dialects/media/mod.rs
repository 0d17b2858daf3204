//! Sound and pictures, in the contracts that OpenAI has for them: transcriptions and translations, speech, generations and
//! edits of images. Spoken to providers as they are, with what a provider does differently in [`MediaWays`], or as a request
//! for content (Gemini) or predictions (Imagen), or as a chat that answers with pictures.
//!
//! Sources: developers.openai.com/api/reference (audio, images), ai.google.dev/gemini-api/docs (image-generation,
//! imagen, speech-generation, audio), openrouter.ai/docs/guides/overview/multimodal/image-generation, docs.mistral.ai (audio),
//! docs.x.ai (images).

mod drawing;
mod drawn;
mod given;
mod google;
mod image;
mod imagen;
mod images_wire;
mod picture;
mod size;
mod speech;
mod stream;
mod transcript;
mod transcription;
mod ways;

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;

pub use drawing::{Drawing, LISTS as EDIT_LISTS};
pub use picture::{Item, replace_urls, urls};
pub use speech::Speech;
pub use stream::Told;
pub use transcription::{LISTS as TRANSCRIPTION_LISTS, Transcription};
pub use ways::{EditBody, ImageFormatField, ImageSizeField, MediaWays, SpeechAnswer, TranscriptAnswer};

use super::native::{NativeReply, NativeStream, ReplyError};
use super::question::Answered;
use crate::canonical::{BodyPart, Form, Operation, OperationProfile, TokenUsage, Transport};
use crate::fault::{Fault, Kind, Outcome};

/// A client's request for or about sound or pictures.
pub trait Medium: Send + Sync + fmt::Debug {
    /// What is asked for.
    fn operation(&self) -> Operation;

    /// The contract's word, for the record.
    fn contract(&self) -> &'static str;

    /// The public model it names.
    fn model(&self) -> &str;

    /// Whether the answer is to be streamed.
    fn is_stream(&self) -> bool;

    /// Whether a stream is asked of a provider; otherwise the answer comes whole, and is told as one.
    fn asks_stream(&self, to: &MediaRecipient<'_>) -> bool {
        self.is_stream() && to.transport != Transport::GenerateContent
    }

    /// Whether what is streamed is the content itself, and not events.
    fn is_bytes(&self) -> bool {
        false
    }

    /// The media type of a stream.
    fn stream_type(&self) -> &'static str {
        "text/event-stream"
    }

    /// Wire shapes that can carry it, its own first.
    fn transports(&self) -> &'static [Transport];

    /// Bytes of text that its input tokens are estimated from.
    fn text_bytes(&self) -> u64;

    /// Writes it for a provider.
    ///
    /// # Errors
    /// `UnsupportedParameter` for what the model is known not to take and what nothing can stand for.
    fn write(&self, to: &MediaRecipient<'_>) -> Outcome<Penned>;

    /// Reads a whole answer into the client's: into its events where it asked for a stream.
    ///
    /// # Errors
    /// [`ReplyError`].
    fn read(&self, from: &MediaRecipient<'_>, answer: Answered) -> Result<NativeReply, ReplyError>;

    /// Relays a stream.
    fn relay(&self, from: &MediaRecipient<'_>) -> Box<dyn NativeStream>;

    /// What it is expected to use, and what is paid where the provider does not say; `input`: tokens of its text.
    fn expects(&self, input: u64) -> TokenUsage;

    /// What it may use at most, for a key whose budget is never to be overdrawn.
    fn may_use(&self, input: u64) -> TokenUsage {
        self.expects(input)
    }

    /// URLs of pictures that are not in the request itself.
    fn urls(&self) -> Vec<String> {
        Vec::new()
    }

    /// Whether a provider reads pictures by their URLs, so that nothing need be fetched for it.
    fn reads_urls(&self, _to: &MediaRecipient<'_>) -> bool {
        true
    }

    /// The same with pictures in the place of their URLs.
    fn with_pictures(&self, found: &[Found]) -> Box<dyn Medium>;

    /// What the built-in preset answers, in the wire of the contract.
    fn echo(&self) -> Bytes;
}

/// A picture that was at a URL.
#[derive(Debug, Clone)]
pub struct Found {
    /// Where it was.
    pub url: String,
    /// What it is.
    pub media_type: &'static str,
    /// Its bytes.
    pub content: Bytes,
}

/// Whom a request is written for.
#[derive(Debug, Clone, Copy)]
pub struct MediaRecipient<'a> {
    /// The wire shape.
    pub transport: Transport,
    /// The provider's name of the model.
    pub model: &'a str,
    /// What the model is known to do.
    pub profile: &'a OperationProfile,
    /// What the provider makes of the wires.
    pub ways: &'a MediaWays,
    /// Seconds since the Unix epoch.
    pub now: i64,
}

/// A request, written for a provider.
#[derive(Debug)]
pub struct Penned {
    /// Its body.
    pub body: PennedBody,
    /// The last part of the path, where it is not that of the wire shape.
    pub sibling: Option<&'static str>,
    /// Names of fields that do not reach the provider as sent.
    pub dropped: Vec<Cow<'static, str>>,
}

/// The body of a written request.
#[derive(Debug)]
pub enum PennedBody {
    /// A form, for `multipart/form-data`.
    Form(Form),
    /// JSON, with files in it.
    Json(Vec<BodyPart>),
}

impl Penned {
    fn json(pieces: impl IntoIterator<Item = Bytes>) -> Self {
        let parts = pieces.into_iter().map(BodyPart::Bytes).collect();
        Self { body: PennedBody::Json(parts), sibling: None, dropped: Vec::new() }
    }
}

/// Refuses a value that a model is known not to take.
///
/// # Errors
/// `UnsupportedParameter`.
fn check_value(to: &MediaRecipient<'_>, field: &str, value: &str) -> Outcome<()> {
    match to.profile.values.get(field) {
        Some(known) if !known.iter().any(|known| known == value) => Err(unsupported(field, value, &known.join(", "))),
        Some(_) | None => Ok(()),
    }
}

fn unsupported(field: &str, value: &str, allowed: &str) -> Fault {
    let shown: String = value.chars().take(60).collect();
    let sentence = format!("This model does not support {field} `{shown}`; it takes: {allowed}.");
    Fault::new(Kind::UnsupportedParameter).param(field).say(sentence)
}

/// A number of images, as forms and bodies state it.
///
/// # Errors
/// `BadRequest`.
fn read_count(text: &str) -> Outcome<u64> {
    let count = text.trim().parse::<u64>().ok().filter(|count| (1..=10).contains(count));
    count.ok_or_else(|| Fault::invalid("n", "must be a whole number from 1 to 10"))
}

fn check_count(to: &MediaRecipient<'_>, count: u64) -> Outcome<()> {
    let by_wire = if to.transport == Transport::Predict { imagen::MOST_IMAGES } else { to.ways.most_images };
    let most = to.profile.most_results.map_or(by_wire, u64::from);
    if count > most {
        return Err(unsupported("n", &count.to_string(), &format!("1 to {most}")));
    }
    Ok(())
}

/// `true` or `false`.
///
/// # Errors
/// `BadRequest`.
fn read_switch(field: &str, text: &str) -> Outcome<bool> {
    match text.trim() {
        "true" | "True" | "1" => Ok(true),
        "false" | "False" | "0" | "" | "null" => Ok(false),
        _ => Err(Fault::invalid(field, "must be true or false")),
    }
}

fn whole_reply(body: Bytes, media_type: Option<&str>, usage: TokenUsage) -> NativeReply {
    let media_type = media_type.map(str::to_owned);
    NativeReply { body: vec![body], usage: Some(usage), finish_reason: Some("stop".to_owned()), media_type }
}
