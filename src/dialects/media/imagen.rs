//! Images of Imagen: `:predict`. <https://ai.google.dev/gemini-api/docs/imagen>, and, for the names of parameters in JSON,
//! <https://github.com/googleapis/js-genai> (`generateImagesConfigToMldev`).

use bytes::Bytes;

use super::google::{no_image, root_of};
use super::image::Wishes;
use super::picture::Item;
use super::{MediaRecipient, Penned, unsupported};
use crate::canonical::TokenUsage;
use crate::dialects::gemini::fault::read_error;
use crate::dialects::native::{ProviderError, ReplyError};
use crate::dialects::out::object;
use crate::fault::{Fault, Outcome};

/// Fields that have a word here, besides those that all wires read.
pub(super) const READ: [&str; 3] = ["output_format", "output_compression", "person_generation"];
/// Most images of one request.
pub(super) const MOST_IMAGES: u64 = 4;
const SHAPES: [&str; 5] = ["1:1", "3:4", "4:3", "9:16", "16:9"];
const STEPS: [&str; 2] = ["1K", "2K"];
const PEOPLE: [&str; 3] = ["dont_allow", "allow_adult", "allow_all"];
/// Formats, and the media types that they are asked for by.
const FORMATS: [(&str, &str); 2] = [("png", "image/png"), ("jpeg", "image/jpeg")];

/// Asks for images.
///
/// # Errors
/// `UnsupportedParameter` for what it has no word for.
pub(super) fn write(wishes: &Wishes, to: &MediaRecipient<'_>) -> Outcome<Penned> {
    let size = wishes.shape(to)?;
    if let Some((shape, step)) = size {
        let sent = wishes.asked.size.as_deref().unwrap_or_default();
        if !SHAPES.contains(&shape) {
            return Err(unsupported("size", sent, &format!("shapes {}", SHAPES.join(", "))));
        }
        if !STEPS.contains(&step) {
            return Err(unsupported("size", sent, "sizes of about 1024 and 2048 pixels"));
        }
    }
    let format = wishes.asked.output_format.as_deref().filter(|format| *format != "auto");
    let kind = format.map(|format| {
        let known = FORMATS.iter().find(|(name, _)| *name == format).map(|(_, kind)| *kind);
        known.ok_or_else(|| unsupported("output_format", format, "png, jpeg"))
    });
    let kind = kind.transpose()?;
    let compression = wishes.compression.as_deref().map(|text| read_compression(text, kind)).transpose()?;
    let people = wishes.person_generation.as_deref();
    if let Some(people) = people.filter(|people| !PEOPLE.contains(&people.to_ascii_lowercase().as_str())) {
        return Err(unsupported("person_generation", people, &PEOPLE.join(", ")));
    }
    let body = object(|out| {
        out.list("instances", |list| {
            list.item(|out| _ = out.text("prompt", &wishes.prompt));
        });
        out.object("parameters", |out| {
            // It makes four unless told.
            out.number("sampleCount", wishes.count);
            if let Some((shape, step)) = size {
                out.text("aspectRatio", shape);
                // One step is what every model has, and its default.
                out.text_if("sampleImageSize", Some(step).filter(|step| *step != "1K"));
            }
            out.text_if("personGeneration", people);
            if let Some(kind) = kind {
                out.object("outputOptions", |out| {
                    out.text("mimeType", kind);
                    if let Some(compression) = compression {
                        out.number("compressionQuality", compression);
                    }
                });
            }
            out.boolean("includeRaiReason", true);
        });
    });
    Ok(Penned::json([Bytes::from(body)]))
}

/// Only JPEG is compressed.
fn read_compression(text: &str, kind: Option<&str>) -> Outcome<u64> {
    if kind != Some("image/jpeg") {
        return Err(unsupported("output_compression", text, "output_compression with output_format jpeg"));
    }
    let percent = text.trim().parse::<u64>().ok().filter(|percent| *percent <= 100);
    percent.ok_or_else(|| Fault::invalid("output_compression", "must be a whole number from 0 to 100"))
}

/// Pictures of an answer: `predictions[].bytesBase64Encoded`. It does not say what was used but how many they are.
///
/// # Errors
/// A refusal that the answer states; malformed JSON.
pub(super) fn read(body: &Bytes) -> Result<(Vec<Item>, TokenUsage), ReplyError> {
    let root = root_of(body)?;
    if root.has("error") {
        return Err(ReplyError::Provider(Box::new(read_error(body))));
    }
    let predictions = root.any_list("predictions");
    let predictions: Vec<_> = predictions.iter().filter_map(|prediction| prediction.object().ok()).collect();
    let item = |data, kind: Option<String>| Item { data, media_type: kind.unwrap_or_default(), revised_prompt: None };
    let items: Vec<Item> = predictions
        .iter()
        .filter_map(|prediction| {
            Some(item(prediction.any_text("bytesBase64Encoded")?, prediction.any_text("mimeType")))
        })
        .collect();
    if !items.is_empty() {
        return Ok((items, TokenUsage::default()));
    }
    // What its filters take out is missing; the reason is there where it is told.
    let reason = predictions.iter().find_map(|prediction| prediction.any_text("raiFilteredReason"));
    Err(reason.map_or_else(no_image, |reason| {
        let code = Some("content_policy_violation".to_owned());
        let message = format!("The images were filtered: {reason}");
        ReplyError::Provider(Box::new(ProviderError { code, message, ..ProviderError::default() }))
    }))
}
