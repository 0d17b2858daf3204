//! Images made of a text.

use std::borrow::Cow;

use bytes::Bytes;

use super::picture::{self, Asked, Item};
use super::size::Size;
use super::stream::ImageRelay;
use super::{
    Found, ImageFormatField, ImageSizeField, MediaRecipient, Medium, Penned, check_count, check_value, google,
    unsupported,
};
use crate::canonical::{Operation, TokenUsage, Transport};
use crate::dialects::native::{NativeReply, NativeStream, ReplyError};
use crate::dialects::node::Node;
use crate::dialects::openai_chat::fault::read_error;
use crate::dialects::question::Answered;
use crate::dialects::raw::{RawObject, json_string};
use crate::fault::{Fault, Outcome};

const KNOWN: [&str; 14] = [
    "model",
    "prompt",
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
/// Fields whose values a model may be known to take or not.
const LISTED: [&str; 4] = ["size", "quality", "output_format", "background"];
/// Fields of images that only this wire knows; where another is spoken they are left out.
const ONLY_HERE: [&str; 10] = [
    "quality",
    "output_format",
    "output_compression",
    "background",
    "moderation",
    "style",
    "user",
    "safety_identifier",
    "partial_images",
    "input_fidelity",
];

/// What a request for images says besides its pictures.
#[derive(Debug, Clone)]
pub(super) struct Wishes {
    pub model: String,
    pub prompt: String,
    pub count: u64,
    pub size: Option<Size>,
    pub is_stream: bool,
    pub partial_images: u64,
    pub asked: Asked,
}

impl Wishes {
    /// Reads what `text` and its like find under a name.
    pub(super) fn read(text: impl Fn(&str) -> Outcome<Option<String>>) -> Outcome<Self> {
        let need = |key: &str| {
            let found = text(key)?.filter(|text| !text.trim().is_empty());
            found.ok_or_else(|| Fault::invalid(key, "is required and must not be empty"))
        };
        let switch = |key: &str| text(key)?.map_or(Ok(false), |text| super::read_switch(key, &text));
        match text("response_format")?.as_deref() {
            None | Some("" | "b64_json") => {}
            Some("url") => {
                let sentence = "Images are answered in base64 (`b64_json`); URLs of providers are not passed on.";
                let fault = Fault::new(crate::fault::Kind::UnsupportedParameter);
                return Err(fault.param("response_format").say(sentence));
            }
            Some(_) => return Err(Fault::invalid("response_format", "must be `b64_json`")),
        }
        let partial_images = match text("partial_images")? {
            None => 0,
            Some(text) => {
                let count = text.trim().parse::<u64>().ok().filter(|count| *count <= 3);
                count.ok_or_else(|| Fault::invalid("partial_images", "must be a whole number from 0 to 3"))?
            }
        };
        let asked = Asked {
            size: text("size")?,
            quality: text("quality")?,
            background: text("background")?,
            output_format: text("output_format")?,
        };
        Ok(Self {
            model: need("model")?,
            prompt: need("prompt")?,
            count: text("n")?.map_or(Ok(1), |text| super::read_count(&text))?,
            size: asked.size.as_deref().map_or(Ok(None), Size::read)?,
            is_stream: switch("stream")?,
            partial_images,
            asked,
        })
    }

    /// Refuses what the model is known not to take.
    pub(super) fn check(&self, to: &MediaRecipient<'_>) -> Outcome<()> {
        check_count(to, self.count)?;
        let values = [&self.asked.size, &self.asked.quality, &self.asked.output_format, &self.asked.background];
        for (field, value) in LISTED.into_iter().zip(values) {
            // `auto` leaves it to the model, which every model can do.
            if let Some(value) = value.as_deref().filter(|value| *value != "auto") {
                check_value(to, field, value)?;
            }
        }
        Ok(())
    }

    /// Tokens of an image of this size and quality, by the table of OpenAI's guide; other makers count fewer.
    fn tokens(&self, quality: &str) -> u64 {
        let of_a_square = match quality {
            "low" => 272_u64,
            "medium" | "standard" => 1_056,
            "xhigh" | "max" => 8_320,
            _ => 4_160,
        };
        let pixels = self.size.map_or(1_536 * 1_024, Size::pixels);
        of_a_square.saturating_mul(pixels).div_ceil(1_024 * 1_024).max(100)
    }

    pub(super) fn expects(&self, input: u64, image_input: u64) -> TokenUsage {
        self.usage(input, image_input, self.asked.quality.as_deref().unwrap_or("auto"))
    }

    pub(super) fn may_use(&self, input: u64, image_input: u64) -> TokenUsage {
        let known = self.asked.quality.as_deref().filter(|quality| matches!(*quality, "low" | "medium" | "high"));
        let quality = known.unwrap_or("max");
        self.usage(input, image_input, quality)
    }

    fn usage(&self, input: u64, image_input: u64, quality: &str) -> TokenUsage {
        // A picture on the way is 100 tokens more.
        let one = self.tokens(quality).saturating_add(self.partial_images.saturating_mul(100));
        let output = one.saturating_mul(self.count);
        let input = input.saturating_add(image_input);
        TokenUsage { input, image_input, output, image_output: output, images: self.count, ..TokenUsage::default() }
    }

    /// The client's answer, made of pictures.
    pub(super) fn tell(&self, items: &[Item], usage: TokenUsage, now: i64, prefix: &str) -> NativeReply {
        let usage = TokenUsage { images: items.len() as u64, ..usage };
        if self.is_stream {
            let events = picture::write_events(items, &self.asked, &usage, now, prefix);
            return super::whole_reply(events, Some("text/event-stream"), usage);
        }
        super::whole_reply(picture::write(items, &self.asked, &usage, now), None, usage)
    }

    /// Reads an answer in the images contract.
    pub(super) fn read_answer(&self, body: Bytes, now: i64, prefix: &str) -> Result<NativeReply, ReplyError> {
        let text = std::str::from_utf8(&body).map_err(|_| ReplyError::Malformed("not UTF-8"))?;
        let is_json = serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
        let root = if is_json { Node::root(text).object().ok() } else { None };
        let root = root.ok_or(ReplyError::Malformed("not a JSON object"))?;
        let images = root.any_list("data").len() as u64;
        if images == 0 {
            return Err(match root.has("data") && !root.has("error") {
                true => ReplyError::Malformed("an answer without images"),
                false => ReplyError::Provider(Box::new(read_error(&body))),
            });
        }
        let usage = picture::read_usage(&root.any_object("usage"), images);
        if self.is_stream {
            let items = picture::read_items(&root).ok_or(ReplyError::Malformed("an image without its bytes"))?;
            return Ok(self.tell(&items, usage, now, prefix));
        }
        Ok(super::whole_reply(body, None, usage))
    }

    /// The fields that name a size in words other than `size`.
    pub(super) fn shape(&self) -> Outcome<Option<(&'static str, &'static str)>> {
        let Some(size) = self.size else { return Ok(None) };
        let shape = size.shape().ok_or_else(|| {
            unsupported(
                "size",
                self.asked.size.as_deref().unwrap_or_default(),
                "shapes such as 1:1, 3:2, 2:3, 4:3, 3:4, 16:9, 9:16",
            )
        })?;
        Ok(Some((shape, size.step())))
    }
}

/// A request for images.
#[derive(Debug, Clone)]
pub struct Generation {
    raw: RawObject,
    wishes: Wishes,
}

impl Generation {
    /// Scans a body.
    ///
    /// # Errors
    /// `InvalidJson`, or `BadRequest` that names the field; `UnsupportedParameter` for answers as URLs.
    pub fn scan(body: Bytes) -> Outcome<Self> {
        let raw = RawObject::scan_request(body, &KNOWN)?;
        let wishes = Wishes::read(|key| read_scalar(&raw, key))?;
        Ok(Self { raw, wishes })
    }

    fn left_out(&self) -> Vec<Cow<'static, str>> {
        ONLY_HERE
            .into_iter()
            .filter(|name| self.raw.get(name).is_some_and(|json| !matches!(json, b"null" | b"\"auto\"")))
            .map(Cow::Borrowed)
            .collect()
    }
}

/// A text, number or truth value as text.
pub(super) fn read_scalar(raw: &RawObject, key: &str) -> Outcome<Option<String>> {
    match raw.get(key) {
        None | Some(b"null") => Ok(None),
        Some([b'"', ..]) => raw.read(key).map_err(|_| Fault::invalid(key, "must be a string")),
        Some(json @ [b'0'..=b'9' | b'-' | b't' | b'f', ..]) => Ok(Some(String::from_utf8_lossy(json).into_owned())),
        Some(_) => Err(Fault::invalid(key, "must be a string, a number, or true or false")),
    }
}

impl Medium for Generation {
    fn operation(&self) -> Operation {
        Operation::ImageGenerate
    }

    fn contract(&self) -> &'static str {
        "images_generations"
    }

    fn model(&self) -> &str {
        &self.wishes.model
    }

    fn is_stream(&self) -> bool {
        self.wishes.is_stream
    }

    fn transports(&self) -> &'static [Transport] {
        &[Transport::Images, Transport::GenerateContent, Transport::ChatCompletions]
    }

    fn text_bytes(&self) -> u64 {
        self.wishes.prompt.len() as u64
    }

    fn write(&self, to: &MediaRecipient<'_>) -> Outcome<Penned> {
        self.wishes.check(to)?;
        match to.transport {
            Transport::GenerateContent => {
                let penned = google::write_image(&self.wishes, &[])?;
                return Ok(Penned { dropped: self.left_out(), ..penned });
            }
            Transport::ChatCompletions => {
                let penned = google::write_chat(&self.wishes, to.model, &[])?;
                return Ok(Penned { dropped: self.left_out(), ..penned });
            }
            _ => {}
        }
        let mut splice = self.raw.splice();
        splice.set("model", json_string(to.model));
        match to.ways.image_format {
            ImageFormatField::Refuses => splice.remove("response_format"),
            ImageFormatField::Asked => splice.set("response_format", Bytes::from_static(b"\"b64_json\"")),
        }
        let mut dropped = Vec::new();
        for field in to.ways.image_refuses {
            if self.raw.get(field).is_some() {
                splice.remove(field);
                dropped.push(Cow::Borrowed(*field));
            }
        }
        match to.ways.image_size {
            ImageSizeField::SizeOrAuto => {}
            ImageSizeField::Size if self.wishes.size.is_none() => splice.remove("size"),
            ImageSizeField::Size => {}
            ImageSizeField::AspectRatio => {
                splice.remove("size");
                if let Some((shape, step)) = self.wishes.shape()? {
                    splice.set("aspect_ratio", json_string(shape));
                    if step == "2K" {
                        splice.set("resolution", json_string("2k"));
                    }
                }
            }
        }
        if !streams(to) {
            // The answer comes whole and is told as a stream.
            splice.remove("stream");
            splice.remove("partial_images");
        }
        Ok(Penned { dropped, ..Penned::json(splice.finish()) })
    }

    fn read(&self, from: &MediaRecipient<'_>, answer: Answered) -> Result<NativeReply, ReplyError> {
        let prefix = "image_generation";
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
        self.wishes.expects(input, 0)
    }

    fn may_use(&self, input: u64) -> TokenUsage {
        self.wishes.may_use(input, 0)
    }

    fn with_pictures(&self, _found: &[Found]) -> Box<dyn Medium> {
        Box::new(self.clone())
    }

    fn echo(&self) -> Bytes {
        echo_body(self.wishes.count)
    }
}

/// Whether a stream is asked of a provider.
pub(super) fn streams(to: &MediaRecipient<'_>) -> bool {
    let by_model = to.profile.values.get("stream").is_none_or(|known| known.iter().any(|word| word == "true"));
    to.ways.streams_images && by_model
}

/// One pixel, transparent, as often as asked.
pub(super) fn echo_body(count: u64) -> Bytes {
    const PIXEL: &str =
        "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
    let items: Vec<String> = (0..count.min(10)).map(|_| format!("{{\"b64_json\":\"{PIXEL}\"}}")).collect();
    Bytes::from(format!("{{\"created\":0,\"data\":[{}]}}", items.join(",")))
}
