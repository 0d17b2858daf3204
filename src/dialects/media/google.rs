//! Sound and pictures as content that is generated: Gemini, and chats that answer with pictures.

use bytes::Bytes;

use super::given::Picture;
use super::image::Wishes;
use super::picture::Item;
use super::{MediaRecipient, Penned, PennedBody, unsupported};
use crate::canonical::{BodyPart, Field, FileRef, Form, TokenUsage};
use crate::dialects::gemini::fault::read_error;
use crate::dialects::gemini::wire::{self, UsageParts};
use crate::dialects::native::{ProviderError, ReplyError};
use crate::dialects::node::{Members, Node};
use crate::dialects::openai_chat::fault as chat_fault;
use crate::dialects::out::{self, quoted};
use crate::fault::Outcome;

/// Most images of one answer that asks for content.
const ONE: u64 = 1;

/// Fields of a transcription that become part of the request for content; others are named.
const LISTENED: [&str; 9] =
    ["model", "file", "response_format", "stream", "language", "languages", "keywords", "prompt", "temperature"];

/// A picture or sound inside an answer.
#[derive(Debug, Clone, Default)]
pub(super) struct Inline {
    pub media_type: String,
    /// Base64.
    pub data: String,
}

impl Inline {
    /// That of a part, where it has one.
    pub(super) fn read(part: &Members<'_>) -> Option<Self> {
        let inline = part.any_object("inlineData");
        let data = inline.any_text("data")?;
        Some(Self { media_type: inline.any_text("mimeType").unwrap_or_default(), data })
    }
}

/// What an answer holds.
#[derive(Debug, Default)]
pub(super) struct Content {
    pub text: String,
    pub files: Vec<Inline>,
    pub usage: TokenUsage,
}

/// The object of a whole answer.
///
/// # Errors
/// It is none.
pub(super) fn root_of(body: &Bytes) -> Result<Members<'_>, ReplyError> {
    let text = std::str::from_utf8(body).map_err(|_| ReplyError::Malformed("not UTF-8"))?;
    let is_json = serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
    let root = if is_json { Node::root(text).object().ok() } else { None };
    root.ok_or(ReplyError::Malformed("not a JSON object"))
}

/// Reads an answer of `generateContent`.
///
/// # Errors
/// A refusal that the answer states; malformed JSON.
pub(super) fn read_content(body: &Bytes) -> Result<Content, ReplyError> {
    let root = root_of(body)?;
    if root.has("error") {
        return Err(ReplyError::Provider(Box::new(read_error(body))));
    }
    let mut content = Content::default();
    wire::read_usage(&root.any_object("usageMetadata"), &mut content.usage, &mut UsageParts::default());
    let candidates = root.any_list("candidates");
    let candidate = candidates.first().and_then(|candidate| candidate.object().ok());
    let parts =
        candidate.as_ref().map(|candidate| candidate.any_object("content").any_list("parts")).unwrap_or_default();
    for part in parts.iter().filter_map(|part| part.object().ok()) {
        if part.get("thought").is_some_and(|thought| thought.raw() == "true") {
            continue;
        }
        content.text.push_str(&part.any_text("text").unwrap_or_default());
        content.files.extend(Inline::read(&part));
    }
    if content.text.is_empty() && content.files.is_empty() {
        let reason = root.any_object("promptFeedback").any_text("blockReason");
        let reason = reason.or_else(|| candidate?.any_text("finishReason"));
        return Err(refusal(reason.as_deref()));
    }
    Ok(content)
}

/// Why there is no content.
pub(super) fn refusal(reason: Option<&str>) -> ReplyError {
    let Some(reason) = reason.filter(|reason| !matches!(*reason, "STOP" | "MAX_TOKENS")) else {
        return ReplyError::Malformed("an answer without content");
    };
    let code = match wire::read_finish(reason, false) {
        crate::canonical::text::Finish::ContentFilter => "content_policy_violation",
        _ => "no_content",
    };
    let message = format!("The model answered with nothing: {reason}");
    ReplyError::Provider(Box::new(ProviderError { code: Some(code.to_owned()), message, ..ProviderError::default() }))
}

/// Why there is no picture, where nothing says why.
pub(super) fn no_image() -> ReplyError {
    let message = "The model answered in words and made no image.".to_owned();
    let code = Some("no_image".to_owned());
    ReplyError::Provider(Box::new(ProviderError { code, message, ..ProviderError::default() }))
}

/// Pictures of an answer of `generateContent`.
pub(super) fn read_images(body: &Bytes) -> Result<(Vec<Item>, TokenUsage), ReplyError> {
    let content = read_content(body)?;
    let is_picture = |file: &Inline| file.media_type.starts_with("image/");
    let items = content.files.into_iter().filter(is_picture);
    let items: Vec<Item> =
        items.map(|file| Item { data: file.data, media_type: file.media_type, revised_prompt: None }).collect();
    if items.is_empty() {
        return Err(no_image());
    }
    let usage = content.usage;
    // What was thought is text.
    let image_output = usage.output.saturating_sub(usage.reasoning);
    Ok((items, TokenUsage { image_output, ..usage }))
}

fn instruction(form: &Form, is_translation: bool) -> String {
    let mut text = if is_translation {
        "Translate what is said in the recording into English. Answer with the translation alone.".to_owned()
    } else {
        "Write down word for word what is said in the recording, in the language that is spoken. Answer with the transcript alone."
            .to_owned()
    };
    let languages: Vec<&str> = form.texts("language").chain(form.texts("languages")).collect();
    if !languages.is_empty() {
        text.push_str(&format!(" Spoken language: {}.", languages.join(", ")));
    }
    let keywords: Vec<&str> = form.texts("keywords").collect();
    if !keywords.is_empty() {
        text.push_str(&format!(" Words that may occur: {}.", keywords.join(", ")));
    }
    if let Some(prompt) = form.text("prompt").filter(|prompt| !prompt.is_empty()) {
        text.push_str(&format!(" Context: {prompt}"));
    }
    text
}

/// Asks for a transcript.
pub(super) fn write_transcription(form: &Form, file: &FileRef, is_translation: bool) -> Penned {
    let instruction = quoted(&instruction(form, is_translation));
    let head = format!(
        "{{\"contents\":[{{\"role\":\"user\",\"parts\":[{{\"text\":{instruction}}},{{\"inlineData\":{{\"mimeType\":{},\"data\":\"",
        quoted(file.media_type)
    );
    let temperature = form.text("temperature").and_then(|text| text.trim().parse::<f64>().ok());
    let config =
        temperature.map(|value| format!(",\"generationConfig\":{{\"temperature\":{value}}}")).unwrap_or_default();
    let tail = format!("\"}}}}]}}]{config}}}");
    let mut dropped: Vec<String> = Vec::new();
    for name in form.fields.iter().map(Field::base_name) {
        let is_stated = form.text(name).is_none_or(|text| !text.is_empty());
        if is_stated && !LISTENED.contains(&name) && !dropped.iter().any(|known| known == name) {
            dropped.push(name.to_owned());
        }
    }
    Penned {
        body: PennedBody::Json(vec![
            BodyPart::Bytes(Bytes::from(head)),
            BodyPart::Base64(file.place),
            BodyPart::Bytes(Bytes::from(tail)),
        ]),
        sibling: None,
        dropped: dropped.into_iter().map(std::borrow::Cow::Owned).collect(),
    }
}

/// Asks for speech.
pub(super) fn write_speech(input: &str, instructions: Option<&str>, voice: Option<&str>) -> Penned {
    let text = instructions.map_or_else(|| input.to_owned(), |how| format!("{how}:\n{input}"));
    Penned::json([Bytes::from(out::object(|out| {
        out.list("contents", |list| {
            list.item(|out| {
                out.text("role", "user").list("parts", |list| {
                    list.item(|out| _ = out.text("text", &text));
                });
            });
        });
        out.object("generationConfig", |out| {
            out.texts("responseModalities", &["AUDIO"]);
            if let Some(voice) = voice {
                out.object("speechConfig", |out| {
                    out.object("voiceConfig", |out| {
                        out.object("prebuiltVoiceConfig", |out| _ = out.text("voiceName", voice));
                    });
                });
            }
        });
    }))])
}

/// Asks for an image.
pub(super) fn write_image(wishes: &Wishes, to: &MediaRecipient<'_>, pictures: &[Picture]) -> Outcome<Penned> {
    if wishes.count > ONE {
        return Err(unsupported("n", &wishes.count.to_string(), "1"));
    }
    let mut text = format!("{{\"contents\":[{{\"role\":\"user\",\"parts\":[{{\"text\":{}}}", quoted(&wishes.prompt));
    let mut parts = Vec::new();
    for picture in pictures {
        match picture {
            Picture::File(file) => {
                text.push_str(&format!(",{{\"inlineData\":{{\"mimeType\":\"{}\",\"data\":\"", file.media_type));
                parts.push(BodyPart::Bytes(Bytes::from(std::mem::take(&mut text))));
                parts.push(BodyPart::Base64(file.place));
                text.push_str("\"}}");
            }
            Picture::Data { media_type, data } => {
                let (media_type, data) = (quoted(media_type), quoted(data));
                text.push_str(&format!(",{{\"inlineData\":{{\"mimeType\":{media_type},\"data\":{data}}}}}"));
            }
            Picture::Url(_) => return Err(unsupported("images", "https URL", "pictures as files or data URLs")),
            Picture::Id(_) => return Err(unsupported("images", "file_id", "pictures as files or data URLs")),
        }
    }
    text.push_str("]}],\"generationConfig\":{\"responseModalities\":[\"TEXT\",\"IMAGE\"]");
    if let Some((shape, step)) = wishes.shape(to)? {
        text.push_str(&format!(",\"imageConfig\":{{\"aspectRatio\":{}", quoted(shape)));
        // One step is what every model has, and its default.
        if step != "1K" {
            text.push_str(&format!(",\"imageSize\":{}", quoted(step)));
        }
        text.push('}');
    }
    text.push_str("}}");
    parts.push(BodyPart::Bytes(Bytes::from(text)));
    Ok(Penned { body: PennedBody::Json(parts), sibling: None, dropped: Vec::new() })
}

/// Asks a chat for an image.
pub(super) fn write_chat(
    wishes: &Wishes,
    to: &MediaRecipient<'_>,
    pictures: &[Picture],
    is_stream: bool,
) -> Outcome<Penned> {
    if wishes.count > ONE {
        return Err(unsupported("n", &wishes.count.to_string(), "1"));
    }
    let mut text = format!("{{\"model\":{},\"messages\":[{{\"role\":\"user\",\"content\":", quoted(to.model));
    let mut parts = Vec::new();
    if pictures.is_empty() {
        text.push_str(&quoted(&wishes.prompt));
    } else {
        text.push_str(&format!("[{{\"type\":\"text\",\"text\":{}}}", quoted(&wishes.prompt)));
        for picture in pictures {
            text.push_str(",{\"type\":\"image_url\",\"image_url\":{\"url\":");
            picture.push_url(&mut text, &mut parts)?;
            text.push_str("}}");
        }
        text.push(']');
    }
    text.push_str("}],\"modalities\":[\"image\",\"text\"]");
    if let Some((shape, step)) = wishes.shape(to)? {
        text.push_str(&format!(",\"image_config\":{{\"aspect_ratio\":{}", quoted(shape)));
        if step != "1K" {
            text.push_str(&format!(",\"image_size\":{}", quoted(step)));
        }
        text.push('}');
    }
    text.push_str(if is_stream { ",\"stream\":true,\"stream_options\":{\"include_usage\":true}}" } else { "}" });
    parts.push(BodyPart::Bytes(Bytes::from(text)));
    Ok(Penned { body: PennedBody::Json(parts), sibling: None, dropped: Vec::new() })
}

/// Pictures of a chat's answer: `choices[0].message.images[].image_url.url`, data URLs.
pub(super) fn read_chat_images(body: &Bytes) -> Result<(Vec<Item>, TokenUsage), ReplyError> {
    let root = root_of(body)?;
    let choices = root.any_list("choices");
    let Some(choice) = choices.first().and_then(|choice| choice.object().ok()) else {
        return Err(ReplyError::Provider(Box::new(chat_fault::read_error(body))));
    };
    let images = choice.any_object("message").any_list("images");
    let items: Vec<Item> = images.iter().filter_map(read_chat_image).collect();
    if items.is_empty() {
        return Err(no_image());
    }
    let usage = read_chat_usage(&root.any_object("usage"));
    Ok((items, usage))
}

pub(super) fn read_chat_image(image: &Node<'_>) -> Option<Item> {
    let url = image.object().ok()?.any_object("image_url").any_text("url")?;
    let (head, data) = url.strip_prefix("data:")?.split_once(',')?;
    let media_type = head.strip_suffix(";base64")?.to_owned();
    Some(Item { data: data.to_owned(), media_type, revised_prompt: None })
}

pub(super) fn read_chat_usage(usage: &Members<'_>) -> TokenUsage {
    let count = |name: &str| usage.any_count(name).unwrap_or_default();
    let details = usage.any_object("completion_tokens_details");
    TokenUsage {
        input: count("prompt_tokens"),
        output: count("completion_tokens"),
        image_output: details.any_count("image_tokens").unwrap_or_default(),
        ..TokenUsage::default()
    }
}

/// The rate of `audio/L16;codec=pcm;rate=24000`.
pub(super) fn sample_rate(media_type: &str) -> u32 {
    let rate = media_type.split(';').find_map(|part| part.trim().strip_prefix("rate=")?.parse().ok());
    rate.filter(|rate| (8_000..=192_000).contains(rate)).unwrap_or(24_000)
}

/// Samples of two bytes, one channel, in a WAV file. <http://soundfile.sapp.org/doc/WaveFormat/>
pub(super) fn wav(pcm: &[u8], rate: u32) -> Vec<u8> {
    let length = u32::try_from(pcm.len()).unwrap_or(u32::MAX - 36);
    let mut file = Vec::with_capacity(44 + pcm.len());
    file.extend_from_slice(b"RIFF");
    file.extend_from_slice(&length.saturating_add(36).to_le_bytes());
    file.extend_from_slice(b"WAVEfmt ");
    for word in
        [16_u32.to_le_bytes(), [1, 0, 1, 0], rate.to_le_bytes(), rate.saturating_mul(2).to_le_bytes(), [2, 0, 16, 0]]
    {
        file.extend_from_slice(&word);
    }
    file.extend_from_slice(b"data");
    file.extend_from_slice(&length.to_le_bytes());
    file.extend_from_slice(pcm);
    file
}
