//! Streamed answers: chunks of providers to events, events to chunks for clients.

use std::collections::BTreeMap;

use bytes::BytesMut;

use super::fault::{read_error_value, write_fault_event};
use super::read::{chat_state, read_thought};
use super::wire::{self, Piece};
use super::write::answer_id;
use crate::canonical::TokenUsage;
use crate::canonical::text::{Delta, Finish, PartKind, State};
use crate::dialects::native::StreamError;
use crate::dialects::node::{Members, Node};
use crate::dialects::out::{self, Out};
use crate::dialects::{Decode, Encode, Frame, state};
use crate::fault::Fault;

/// What is open besides tool calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Open {
    Text(u32),
    Thought(u32),
    Refusal(u32),
    Audio(u32),
}

impl Open {
    const fn part(self) -> u32 {
        match self {
            Self::Text(part) | Self::Thought(part) | Self::Refusal(part) | Self::Audio(part) => part,
        }
    }
}

#[derive(Debug)]
struct Call {
    part: u32,
    id: String,
}

/// Reads chunks. The first choice is the answer.
#[derive(Debug, Default)]
pub struct ChunkReader {
    has_started: bool,
    parts: u32,
    open: Option<Open>,
    calls: BTreeMap<u64, Call>,
    called: bool,
    last_text: Option<u32>,
}

impl ChunkReader {
    fn begin(&mut self, kind: PartKind, out: &mut Vec<Delta>) -> u32 {
        let part = self.parts;
        self.parts += 1;
        out.push(Delta::Begin { part, kind });
        part
    }

    fn end_open(&mut self, out: &mut Vec<Delta>) {
        let Some(open) = self.open.take() else { return };
        if let Open::Thought(part) = open {
            out.push(Delta::State { part, state: chat_state() });
        }
        out.push(Delta::End { part: open.part() });
    }

    fn text(&mut self, text: String, out: &mut Vec<Delta>) {
        if text.is_empty() {
            return;
        }
        let part = match self.open {
            Some(Open::Text(part)) => part,
            _ => {
                self.end_open(out);
                let part = self.begin(PartKind::Text, out);
                self.open = Some(Open::Text(part));
                self.last_text = Some(part);
                part
            }
        };
        out.push(Delta::Text { part, text });
    }

    fn thought(&mut self, text: String, out: &mut Vec<Delta>) {
        if text.is_empty() {
            return;
        }
        let part = match self.open {
            Some(Open::Thought(part)) => part,
            _ => {
                self.end_open(out);
                let part = self.begin(PartKind::Reasoning { id: None }, out);
                self.open = Some(Open::Thought(part));
                part
            }
        };
        out.push(Delta::Text { part, text });
    }

    fn refusal(&mut self, text: String, out: &mut Vec<Delta>) {
        if text.is_empty() {
            return;
        }
        let part = match self.open {
            Some(Open::Refusal(part)) => part,
            _ => {
                self.end_open(out);
                let part = self.begin(PartKind::Refusal, out);
                self.open = Some(Open::Refusal(part));
                part
            }
        };
        out.push(Delta::Text { part, text });
    }

    fn audio(&mut self, audio: &Members<'_>, out: &mut Vec<Delta>) {
        if let Some(transcript) = audio.any_text("transcript") {
            self.text(transcript, out);
        }
        let Some(data) = audio.any_text("data").filter(|data| !data.is_empty()) else { return };
        let part = match self.open {
            Some(Open::Audio(part)) => part,
            _ => {
                self.end_open(out);
                let part = self.begin(PartKind::Audio, out);
                self.open = Some(Open::Audio(part));
                part
            }
        };
        out.push(Delta::Text { part, text: data });
    }

    fn call(&mut self, position: usize, call: &Members<'_>, out: &mut Vec<Delta>) {
        self.end_open(out);
        let index = call.any_count("index").unwrap_or(position as u64);
        let stated = call.any_text("id").filter(|id| !id.is_empty());
        let custom = call.any_object("custom");
        let is_custom = custom.has("name") || custom.has("input");
        let function = if is_custom { custom } else { call.any_object("function") };
        let name = function.any_text("name").filter(|name| !name.is_empty());
        // Hosts that count every call as the first tell them apart by their ids.
        let is_new = match (self.calls.get(&index), &stated) {
            (None, _) => true,
            (Some(known), Some(id)) => known.id != *id && name.is_some(),
            (Some(_), None) => false,
        };
        if is_new {
            if let Some(before) = self.calls.remove(&index) {
                out.push(Delta::End { part: before.part });
            }
            let id = stated.unwrap_or_else(|| format!("call_{}", self.parts));
            let kind = PartKind::ToolCall { id: id.clone(), name: name.unwrap_or_default(), is_custom };
            let part = self.begin(kind, out);
            self.calls.insert(index, Call { part, id });
            self.called = true;
        }
        let Some(part) = self.calls.get(&index).map(|call| call.part) else { return };
        let text = if is_custom { function.any_text("input").unwrap_or_default() } else { wire::arguments(&function) };
        if !text.is_empty() {
            out.push(Delta::Text { part, text });
        }
    }

    fn choice(&mut self, choice: &Members<'_>, out: &mut Vec<Delta>) -> Result<(), StreamError> {
        // Some hosts send the last chunk with a whole message instead of a delta.
        let delta = choice.any_object("delta");
        self.thought(read_thought(&delta), out);
        match delta.get("content") {
            Some(content) if content.is_text() => self.text(content.read().unwrap_or_default(), out),
            Some(content) => {
                for piece in content.list().unwrap_or_default() {
                    match wire::read_piece(&piece) {
                        Some(Piece::Text(text)) => self.text(text, out),
                        Some(Piece::Thought(text)) => self.thought(text, out),
                        Some(Piece::Image(url)) => self.image(url, out),
                        None => {}
                    }
                }
            }
            None => {}
        }
        if let Some(json) = choice.any_object("logprobs").get("content").map(|node| node.json())
            && let Some(part) = self.last_text
        {
            out.push(Delta::Logprobs { part, json });
        }
        self.refusal(delta.any_text("refusal").unwrap_or_default(), out);
        self.audio(&delta.any_object("audio"), out);
        for image in delta.any_list("images") {
            if let Some(url) = wire::image_url(&image) {
                self.image(url, out);
            }
        }
        for annotation in delta.any_list("annotations") {
            if let (Some(json), Some(part)) = (wire::read_annotation(&annotation), self.last_text) {
                out.push(Delta::Annotation { part, json });
            }
        }
        for (position, call) in delta.any_list("tool_calls").iter().enumerate() {
            if let Ok(call) = call.object() {
                self.call(position, &call, out);
            }
        }
        if let Some(function) = delta.get("function_call") {
            let whole = out::object(|out| {
                out.number("index", 0).raw("function", function.raw());
            });
            if let Ok(call) = Node::root(&whole).object() {
                self.call(0, &call, out);
            }
        }
        match choice.any_text("finish_reason").as_deref() {
            None | Some("") => {}
            Some("error") => {
                let error = choice.get("error").map(|error| read_error_value(error.raw().as_bytes()));
                return Err(StreamError::Provider(Box::new(error.unwrap_or_default())));
            }
            Some(word) => self.finish(word, out),
        }
        Ok(())
    }

    fn image(&mut self, url: String, out: &mut Vec<Delta>) {
        self.end_open(out);
        let part = self.begin(PartKind::Image { url }, out);
        out.push(Delta::End { part });
    }

    fn finish(&mut self, word: &str, out: &mut Vec<Delta>) {
        self.end_open(out);
        for call in std::mem::take(&mut self.calls).into_values() {
            out.push(Delta::End { part: call.part });
        }
        let finish = match wire::read_finish(word) {
            Finish::Stop if self.called => Finish::ToolCalls,
            finish => finish,
        };
        out.push(Delta::Finish(finish));
    }
}

impl Decode for ChunkReader {
    fn decode(&mut self, _event: Option<&[u8]>, data: &[u8], out: &mut Vec<Delta>) -> Result<bool, StreamError> {
        const BROKEN: StreamError = StreamError::Malformed("it is not a JSON object");
        if data.trim_ascii() == b"[DONE]" {
            return Ok(true);
        }
        let text = std::str::from_utf8(data).map_err(|_| StreamError::Malformed("it is not UTF-8"))?;
        let json = serde_json::from_str::<&serde_json::value::RawValue>(text).map_err(|_| BROKEN)?;
        let chunk = Node::root(json.get()).object().map_err(|_| BROKEN)?;
        if let Some(error) = chunk.get("error") {
            return Err(StreamError::Provider(Box::new(read_error_value(error.raw().as_bytes()))));
        }
        if !self.has_started {
            self.has_started = true;
            out.push(Delta::Start { id: chunk.any_text("id").filter(|id| !id.is_empty()) });
        }
        for choice in chunk.any_list("choices") {
            if let Ok(choice) = choice.object()
                && choice.any_count("index").unwrap_or_default() == 0
            {
                self.choice(&choice, out)?;
            }
        }
        if let Some(tier) = chunk.any_text("service_tier") {
            out.push(Delta::ServiceTier(tier));
        }
        // Groq states usage under a name of its own.
        let usage = chunk.get("usage").or_else(|| chunk.any_object("x_groq").get("usage"));
        if let Some(usage) = usage.and_then(|node| node.object().ok()).and_then(|usage| wire::read_usage(&usage)) {
            out.push(Delta::Usage(usage));
        }
        Ok(false)
    }
}

/// Writes chunks for a client.
#[derive(Debug)]
pub struct ChunkWriter {
    frame: Frame,
    wants_usage: bool,
    id: String,
    has_begun: bool,
    kinds: BTreeMap<u32, PartKind>,
    calls: BTreeMap<u32, u32>,
    carried: Option<State>,
    /// The reasoning part, and which of its summaries, that was written last.
    last_thought: Option<(u32, Option<u32>)>,
    service_tier: Option<String>,
    finish: Option<Finish>,
    usage: Option<TokenUsage>,
}

impl ChunkWriter {
    /// Writes the chunks of one answer; with a last one for usage if the client asked for it.
    #[must_use]
    pub fn new(frame: Frame, wants_usage: bool) -> Self {
        let id = answer_id("", &frame);
        Self {
            frame,
            wants_usage,
            id,
            has_begun: false,
            kinds: BTreeMap::new(),
            calls: BTreeMap::new(),
            carried: None,
            last_thought: None,
            service_tier: None,
            finish: None,
            usage: None,
        }
    }

    fn chunk(&self, out: &mut BytesMut, fill: impl FnOnce(&mut Out<'_>)) {
        let json = out::object(|out| {
            out.text("id", &self.id).text("object", "chat.completion.chunk").number("created", self.frame.created);
            out.text("model", &self.frame.model).text_if("service_tier", self.service_tier.as_deref());
            fill(out);
        });
        out.extend_from_slice(b"data: ");
        out.extend_from_slice(json.as_bytes());
        out.extend_from_slice(b"\n\n");
    }

    fn choice(&mut self, out: &mut BytesMut, logprobs: Option<&str>, fill: impl FnOnce(&mut Out<'_>)) {
        let is_first = !std::mem::replace(&mut self.has_begun, true);
        self.chunk(out, |chunk| {
            chunk.list("choices", |list| {
                list.item(|choice| {
                    choice.number("index", 0).object("delta", |delta| {
                        if is_first {
                            delta.text("role", "assistant");
                        }
                        fill(delta);
                    });
                    match logprobs {
                        Some(content) => {
                            choice.object("logprobs", |out| {
                                out.raw("content", content).null("refusal");
                            });
                        }
                        None => {
                            choice.null("logprobs");
                        }
                    }
                    choice.null("finish_reason");
                });
            });
            if self.wants_usage {
                chunk.null("usage");
            }
        });
    }

    fn begin(&mut self, part: u32, kind: &PartKind, out: &mut BytesMut) {
        match kind {
            PartKind::ToolCall { id, name, is_custom } => {
                let index = u32::try_from(self.calls.len()).unwrap_or(u32::MAX);
                self.calls.insert(part, index);
                let id = match self.carried.take() {
                    Some(carried) => state::write_in_id(id, &carried, &self.frame.origin),
                    None => id.clone(),
                };
                let kind = if *is_custom { "custom" } else { "function" };
                let text = if *is_custom { "input" } else { "arguments" };
                self.choice(out, None, |delta| {
                    delta.list("tool_calls", |list| {
                        list.item(|call| {
                            call.number("index", index).text("id", &id).text("type", kind);
                            call.object(kind, |function| {
                                function.text("name", name).text(text, "");
                            });
                        });
                    });
                });
            }
            PartKind::Image { url } => self.choice(out, None, |delta| {
                delta.list("images", |list| {
                    list.item(|item| {
                        item.text("type", "image_url").object("image_url", |image| {
                            image.text("url", url);
                        });
                    });
                });
            }),
            PartKind::Text
            | PartKind::Refusal
            | PartKind::Audio
            | PartKind::Reasoning { .. }
            | PartKind::Native { .. } => {}
        }
        self.kinds.insert(part, kind.clone());
    }

    /// Words of reasoning, a blank line between one thought and the next.
    fn thought(&mut self, place: (u32, Option<u32>), text: &str, out: &mut BytesMut) {
        let is_next = self.last_thought.replace(place).is_some_and(|last| last != place);
        let parted = is_next.then(|| format!("\n\n{text}"));
        self.choice(out, None, |delta| {
            delta.text("reasoning_content", parted.as_deref().unwrap_or(text));
        });
    }

    fn text(&mut self, part: u32, text: &str, out: &mut BytesMut) {
        let Some(kind) = self.kinds.get(&part).cloned() else { return };
        match kind {
            PartKind::Text => self.choice(out, None, |delta| {
                delta.text("content", text);
            }),
            PartKind::Refusal => self.choice(out, None, |delta| {
                delta.text("refusal", text);
            }),
            PartKind::Reasoning { .. } => self.thought((part, None), text, out),
            PartKind::Audio => self.choice(out, None, |delta| {
                delta.object("audio", |audio| {
                    audio.text("data", text);
                });
            }),
            PartKind::ToolCall { is_custom, .. } => {
                let index = self.calls.get(&part).copied().unwrap_or_default();
                self.choice(out, None, |delta| {
                    delta.list("tool_calls", |list| {
                        list.item(|call| {
                            call.number("index", index);
                            if is_custom {
                                call.object("custom", |custom| {
                                    custom.text("input", text);
                                });
                            } else {
                                call.object("function", |function| {
                                    function.text("arguments", text);
                                });
                            }
                        });
                    });
                });
            }
            PartKind::Image { .. } | PartKind::Native { .. } => {}
        }
    }
}

impl Encode for ChunkWriter {
    fn encode(&mut self, delta: &Delta, out: &mut BytesMut) {
        match delta {
            Delta::Start { id } => {
                self.id = answer_id(id.as_deref().unwrap_or_default(), &self.frame);
                self.choice(out, None, |delta| {
                    delta.text("content", "");
                });
            }
            Delta::Begin { part, kind } => self.begin(*part, kind, out),
            Delta::Text { part, text } => self.text(*part, text, out),
            Delta::Summary { part, index, text } => self.thought((*part, Some(*index)), text, out),
            Delta::State { state, .. } if !state.data.is_empty() => self.carried = Some(state.clone()),
            Delta::Annotation { json, .. } => {
                if let Some(annotation) = wire::write_annotation(json) {
                    self.choice(out, None, |delta| {
                        delta.list("annotations", |list| {
                            list.item_raw(&annotation);
                        });
                    });
                }
            }
            Delta::Logprobs { json, .. } => self.choice(out, Some(json.as_str()), |_| {}),
            Delta::Finish(finish) => self.finish = Some(finish.clone()),
            Delta::Usage(usage) => self.usage = Some(*usage),
            Delta::ServiceTier(tier) => self.service_tier = Some(tier.clone()),
            Delta::State { .. } | Delta::End { .. } => {}
        }
    }

    fn close(&mut self, out: &mut BytesMut) {
        let finish = wire::write_finish(self.finish.as_ref(), !self.calls.is_empty()).to_owned();
        self.chunk(out, |chunk| {
            chunk.list("choices", |list| {
                list.item(|choice| {
                    choice.number("index", 0).object("delta", |_| {}).null("logprobs").text("finish_reason", &finish);
                });
            });
            if self.wants_usage {
                chunk.null("usage");
            }
        });
        if let (true, Some(usage)) = (self.wants_usage, self.usage) {
            self.chunk(out, |chunk| {
                chunk.list("choices", |_| {}).object("usage", |out| wire::write_usage(out, &usage));
            });
        }
        out.extend_from_slice(b"data: [DONE]\n\n");
    }

    fn fail(&mut self, fault: &Fault, out: &mut BytesMut) {
        out.extend_from_slice(&write_fault_event(fault));
    }
}
