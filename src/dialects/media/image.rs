//! What requests for images say besides their pictures, and answers made of pictures.

use bytes::Bytes;

use super::picture::{self, Asked, Item};
use super::size::Size;
use super::{MediaRecipient, check_count, check_value, unsupported};
use crate::canonical::TokenUsage;
use crate::dialects::native::{NativeReply, ReplyError};
use crate::dialects::node::Node;
use crate::dialects::openai_chat::fault::read_error;
use crate::dialects::raw::RawObject;
use crate::fault::{Fault, Outcome};

/// Fields whose values a model may be known to take or not.
const LISTED: [&str; 4] = ["size", "quality", "output_format", "background"];

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
    /// `output_compression`, as it was written.
    pub compression: Option<String>,
    /// `person_generation`, a field of Imagen's.
    pub person_generation: Option<String>,
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
            compression: text("output_compression")?.filter(|text| !text.is_empty()),
            person_generation: text("person_generation")?.filter(|text| !text.is_empty()),
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

    /// The shape and the step of resolution that stand for `size` where it is said in such words.
    ///
    /// # Errors
    /// `UnsupportedParameter` for a size that has no shape, or that the model is known not to take.
    pub(super) fn shape(&self, to: &MediaRecipient<'_>) -> Outcome<Option<(&'static str, &'static str)>> {
        let Some(size) = self.size else { return Ok(None) };
        let sent = self.asked.size.as_deref().unwrap_or_default();
        let known = |name: &str| to.profile.values.get(name);
        let shapes = known("aspect_ratio").map(|shapes| shapes.join(", "));
        let allowed = || shapes.clone().unwrap_or_else(|| "1:1, 3:2, 2:3, 4:3, 3:4, 16:9, 9:16".to_owned());
        let shape = size.shape().ok_or_else(|| unsupported("size", sent, &format!("shapes such as {}", allowed())))?;
        if known("aspect_ratio").is_some_and(|shapes| !shapes.iter().any(|known| known == shape)) {
            return Err(unsupported("size", sent, &format!("shapes {}", allowed())));
        }
        let step = size.step();
        if let Some(steps) = known("image_size").filter(|steps| !steps.iter().any(|known| known == step)) {
            return Err(unsupported("size", sent, &format!("sizes of {}", steps.join(", "))));
        }
        Ok(Some((shape, step)))
    }

    /// The same where there are two steps, and the lower is the default.
    ///
    /// # Errors
    /// As [`Self::shape`].
    pub(super) fn resolution(&self, to: &MediaRecipient<'_>) -> Outcome<Option<(&'static str, Option<&'static str>)>> {
        let Some((shape, step)) = self.shape(to)? else { return Ok(None) };
        match step {
            "1K" => Ok(Some((shape, None))),
            "2K" => Ok(Some((shape, Some("2k")))),
            _ => {
                let sent = self.asked.size.as_deref().unwrap_or_default();
                Err(unsupported("size", sent, "sizes of about 1024 and 2048 pixels"))
            }
        }
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
