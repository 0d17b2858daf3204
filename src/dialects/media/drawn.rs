//! Pictures that come as content (Gemini) or as deltas of a chat, told as events of the images contract while they come.
//!
//! A picture is a partial image as soon as it is there, where those are asked for, and complete when the answer is: only
//! then it is known what it has cost. Of several the earlier are complete when the next one comes.

use bytes::{Bytes, BytesMut};

use super::google::{Inline, no_image, read_chat_image, read_chat_usage, refusal};
use super::image::Wishes;
use super::picture::{Asked, Item, write_completed, write_partial};
use crate::canonical::{TokenUsage, Transport};
use crate::dialects::gemini::fault as gemini_fault;
use crate::dialects::gemini::wire::{self, UsageParts};
use crate::dialects::native::{NativeStream, ReplyError, Signal, StreamError};
use crate::dialects::node::{Members, Node};
use crate::dialects::openai_chat::fault::{read_error, write_fault_event};
use crate::fault::Fault;

/// More pictures than this are no answer to a request for one.
const MOST_PICTURES: u64 = 16;

/// Reads a stream of content or of chat, and tells its pictures.
#[derive(Debug)]
pub(super) struct PictureRelay {
    is_chat: bool,
    asked: Asked,
    prefix: &'static str,
    now: i64,
    /// Partial images that may still be sent.
    partials_left: u64,
    partials: u64,
    /// The last picture, which is not complete yet.
    held: Option<Item>,
    pictures: u64,
    usage: TokenUsage,
    parts: UsageParts,
    finish: Option<String>,
    bytes: u64,
}

impl PictureRelay {
    pub(super) fn new(transport: Transport, wishes: &Wishes, prefix: &'static str, now: i64) -> Self {
        Self {
            is_chat: transport == Transport::ChatCompletions,
            asked: wishes.asked.clone(),
            prefix,
            now,
            partials_left: wishes.partial_images,
            partials: 0,
            held: None,
            pictures: 0,
            usage: TokenUsage::default(),
            parts: UsageParts::default(),
            finish: None,
            bytes: 0,
        }
    }

    fn partial(&mut self, item: &Item, out: &mut BytesMut) {
        if self.partials_left == 0 {
            return;
        }
        self.partials_left -= 1;
        write_partial(out, item, &self.asked, (self.partials, self.now), self.prefix);
        self.partials += 1;
    }

    fn take(&mut self, item: Item, out: &mut BytesMut) -> Result<(), StreamError> {
        self.pictures += 1;
        if self.pictures > MOST_PICTURES {
            return Err(StreamError::Malformed("more pictures than anybody asked for"));
        }
        self.partial(&item, out);
        if let Some(before) = self.held.replace(item) {
            // The last tells what all of them used.
            write_completed(out, &before, &self.asked, &TokenUsage::default(), self.now, self.prefix);
        }
        Ok(())
    }

    /// The answer is complete, or is none.
    fn ends(&mut self, reason: &str, refused: impl FnOnce() -> ReplyError) -> Result<(), StreamError> {
        if self.pictures == 0 {
            return Err(match refused() {
                ReplyError::Provider(error) => StreamError::Provider(error),
                ReplyError::Malformed(what) => StreamError::Malformed(what),
            });
        }
        self.finish.get_or_insert_with(|| reason.to_owned());
        Ok(())
    }

    fn content(&mut self, root: &Members<'_>, out: &mut BytesMut) -> Result<(), StreamError> {
        if let Some(usage) = root.get("usageMetadata").and_then(|usage| usage.object().ok()) {
            wire::read_usage(&usage, &mut self.usage, &mut self.parts);
            // What was thought is text.
            self.usage.image_output = self.usage.output.saturating_sub(self.usage.reasoning);
        }
        let candidates = root.any_list("candidates");
        let Some(candidate) = candidates.first().and_then(|candidate| candidate.object().ok()) else {
            return match root.any_object("promptFeedback").any_text("blockReason") {
                Some(reason) => self.ends("content_filter", || refusal(Some(reason.as_str()))),
                None => Ok(()),
            };
        };
        for part in candidate.any_object("content").any_list("parts") {
            let Some((item, is_thought)) = read_part(&part) else { continue };
            // Thoughts are pictures on the way to the one that was asked for.
            if is_thought { self.partial(&item, out) } else { self.take(item, out)? }
        }
        match candidate.any_text("finishReason").filter(|word| word != "FINISH_REASON_UNSPECIFIED") {
            Some(word) if matches!(word.as_str(), "STOP" | "MAX_TOKENS") => self.ends("stop", no_image),
            Some(word) => self.ends("stop", || refusal(Some(word.as_str()))),
            None => Ok(()),
        }
    }

    fn chunk(&mut self, root: &Members<'_>, out: &mut BytesMut) -> Result<(), StreamError> {
        if root.get("usage").is_some_and(|usage| usage.is_object()) {
            self.usage = read_chat_usage(&root.any_object("usage"));
        }
        let choices = root.any_list("choices");
        let Some(choice) = choices.first().and_then(|choice| choice.object().ok()) else { return Ok(()) };
        for image in choice.any_object("delta").any_list("images") {
            let item = read_chat_image(&image).ok_or(StreamError::Malformed("a picture that is no data URL"))?;
            self.take(item, out)?;
        }
        match choice.any_text("finish_reason").as_deref() {
            None => Ok(()),
            Some("content_filter") => self.ends("content_filter", || refusal(Some("IMAGE_SAFETY"))),
            Some(reason) => self.ends(reason, no_image),
        }
    }
}

/// A picture among the parts of content, and whether it is a thought.
fn read_part(part: &Node<'_>) -> Option<(Item, bool)> {
    let part = part.object().ok()?;
    let is_thought = part.get("thought").is_some_and(|thought| thought.raw() == "true");
    let file = Inline::read(&part)?;
    let is_picture = file.media_type.starts_with("image/");
    is_picture.then_some((Item { data: file.data, media_type: file.media_type, revised_prompt: None }, is_thought))
}

impl NativeStream for PictureRelay {
    fn relay(&mut self, _event: Option<&[u8]>, data: &Bytes, out: &mut BytesMut) -> Result<Signal, StreamError> {
        if data.as_ref() == b"[DONE]" {
            self.ends("stop", no_image)?;
            return Ok(Signal::Done);
        }
        let text = std::str::from_utf8(data).map_err(|_| StreamError::Malformed("not UTF-8"))?;
        let is_json = serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
        let root = if is_json { Node::root(text).object().ok() } else { None };
        let root = root.ok_or(StreamError::Malformed("an event that is not a JSON object"))?;
        if root.has("error") {
            let error = if self.is_chat { read_error(data) } else { gemini_fault::read_error(data) };
            return Err(StreamError::Provider(Box::new(error)));
        }
        self.bytes += data.len() as u64;
        let (was_finished, before) = (self.is_finished(), out.len());
        if self.is_chat { self.chunk(&root, out) } else { self.content(&root, out) }?;
        Ok(match (self.is_finished() && !was_finished, out.len() > before) {
            (true, _) => Signal::Finished,
            (false, true) => Signal::Output,
            (false, false) => Signal::Nothing,
        })
    }

    fn write_closing(&mut self, out: &mut BytesMut) {
        if let Some(last) = self.held.take() {
            let usage = TokenUsage { images: self.pictures, ..self.usage };
            write_completed(out, &last, &self.asked, &usage, self.now, self.prefix);
        }
    }

    fn write_failure(&mut self, fault: &Fault, out: &mut BytesMut) {
        out.extend_from_slice(&write_fault_event(fault));
    }

    fn is_finished(&self) -> bool {
        self.finish.is_some()
    }

    fn is_complete(&self) -> bool {
        self.is_finished()
    }

    fn usage(&self) -> Option<TokenUsage> {
        (self.pictures > 0).then_some(TokenUsage { images: self.pictures, ..self.usage })
    }

    fn finish_reason(&self) -> Option<&str> {
        self.finish.as_deref()
    }

    fn output_bytes(&self) -> u64 {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn relay(transport: Transport, partials: u64) -> PictureRelay {
        let body = json!({"model": "m", "prompt": "p", "stream": true, "partial_images": partials});
        let text =
            |key: &str| Ok(body.get(key).map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned)));
        PictureRelay::new(transport, &Wishes::read(text).unwrap(), "image_generation", 7)
    }

    fn content(parts: &Value, finish: Option<&str>) -> Value {
        json!({"candidates": [{"content": {"parts": parts}, "finishReason": finish}],
            "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 9, "thoughtsTokenCount": 2}})
    }

    fn picture(data: &str, is_thought: bool) -> Value {
        json!({"thought": is_thought, "inlineData": {"mimeType": "image/png", "data": data}})
    }

    fn delta(images: &[&str], finish: Option<&str>) -> Value {
        let image =
            |data: &&str| json!({"type": "image_url", "image_url": {"url": format!("data:image/png;base64,{data}")}});
        let images: Vec<Value> = images.iter().map(image).collect();
        json!({"choices": [{"delta": {"content": "", "images": images}, "finish_reason": finish}]})
    }

    /// The events that a client gets, or what the provider said instead.
    fn told(mut relay: PictureRelay, events: &[Value]) -> Result<Vec<Value>, StreamError> {
        let mut out = BytesMut::new();
        for event in events {
            let data = event.as_str().map_or_else(|| event.to_string(), str::to_owned);
            if relay.relay(None, &Bytes::from(data), &mut out)? == Signal::Done {
                break;
            }
        }
        if relay.is_complete() {
            relay.write_closing(&mut out);
        }
        let text = String::from_utf8(out.to_vec()).unwrap();
        Ok(text.lines().filter_map(|line| Some(serde_json::from_str(line.strip_prefix("data: ")?).unwrap())).collect())
    }

    fn seen(events: &[Value]) -> Vec<(&str, &str, u64)> {
        let used = |event: &Value| event["usage"]["output_tokens"].as_u64().unwrap_or(0);
        events
            .iter()
            .map(|event| {
                let kind = event["type"].as_str().unwrap();
                (kind.rsplit('.').next().unwrap(), event["b64_json"].as_str().unwrap(), used(event))
            })
            .collect()
    }

    #[test]
    fn thoughts_and_the_picture_itself_are_partial_images_as_far_as_they_are_asked_for() {
        let events = [
            content(&json!([{"text": "Here"}, picture("VEg=", true)]), None),
            content(&json!([picture("QUE=", false)]), None),
            content(&json!([]), Some("STOP")),
        ];
        for (partials, expected) in [
            (0, vec![("completed", "QUE=", 11)]),
            (1, vec![("partial_image", "VEg=", 0), ("completed", "QUE=", 11)]),
            (2, vec![("partial_image", "VEg=", 0), ("partial_image", "QUE=", 0), ("completed", "QUE=", 11)]),
        ] {
            let events = told(relay(Transport::GenerateContent, partials), &events).unwrap();
            assert_eq!(seen(&events), expected);
        }
    }

    #[test]
    fn pictures_of_a_chat_are_complete_one_by_one_and_the_last_says_what_they_used() {
        let usage = json!({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 8}});
        let events = [delta(&["QUE="], None), delta(&["QkI="], Some("stop")), usage, json!("[DONE]")];
        let events = told(relay(Transport::ChatCompletions, 1), &events).unwrap();
        let expected = vec![("partial_image", "QUE=", 0), ("completed", "QUE=", 0), ("completed", "QkI=", 8)];
        assert_eq!(seen(&events), expected);
        assert_eq!((&events[2]["created_at"], &events[2]["output_format"]), (&json!(7), &json!("png")));
    }

    #[test]
    fn an_answer_without_a_picture_is_a_refusal_and_a_cut_one_is_not_complete() {
        let code = |relay, events: &[Value]| match told(relay, events) {
            Err(StreamError::Provider(error)) => error.code.unwrap_or_default(),
            other => panic!("{other:?}"),
        };
        let google = || relay(Transport::GenerateContent, 0);
        assert_eq!(code(google(), &[content(&json!([]), Some("IMAGE_SAFETY"))]), "content_policy_violation");
        assert_eq!(code(google(), &[content(&json!([{"text": "no"}]), Some("STOP"))]), "no_image");
        assert_eq!(code(google(), &[json!({"promptFeedback": {"blockReason": "SAFETY"}})]), "content_policy_violation");
        assert_eq!(code(google(), &[json!({"error": {"code": 503, "status": "UNAVAILABLE"}})]), "UNAVAILABLE");
        let chat = || relay(Transport::ChatCompletions, 0);
        assert_eq!(code(chat(), &[delta(&[], Some("stop"))]), "no_image");
        assert_eq!(code(chat(), &[json!("[DONE]")]), "no_image");
        assert_eq!(told(google(), &[content(&json!([picture("QUE=", false)]), None)]).unwrap(), Vec::<Value>::new());
        let many = content(&json!(vec![picture("QUE=", false); 17]), None);
        assert!(matches!(told(google(), &[many]), Err(StreamError::Malformed(_))));
        assert!(matches!(told(google(), &[json!("{")]), Err(StreamError::Malformed(_))));
    }
}
