//! Chunks of providers to events.

use std::collections::BTreeMap;

use crate::canonical::text::{Delta, Finish, PartKind, State};
use crate::canonical::{Json, Wire};
use crate::dialects::Decode;
use crate::dialects::native::StreamError;
use crate::dialects::node::{Members, Node};
use crate::dialects::openai_chat::fault::{read_error_value, stated_error};
use crate::dialects::openai_chat::read::{chat_state, read_details, read_thought};
use crate::dialects::openai_chat::thoughts::{Details, Said, ThinkTags};
use crate::dialects::openai_chat::wire::{self, Piece};
use crate::dialects::out;

/// The part that is open besides tool calls.
#[derive(Debug, Clone, Copy)]
struct Open {
    kind: Kind,
    part: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Thought,
    Refusal,
    Audio,
}

#[derive(Debug)]
struct Call {
    part: u32,
    id: String,
    /// Whether its first piece was all of its arguments.
    is_whole: bool,
}

/// Reads chunks. The first choice is the answer.
#[derive(Debug, Default)]
pub struct ChunkReader {
    answer_id: Option<String>,
    parts: u32,
    open: Option<Open>,
    calls: BTreeMap<u64, Call>,
    called: bool,
    last_text: Option<u32>,
    tags: ThinkTags,
    details: Details,
    has_named_thought: bool,
    /// Citations that are no annotations of their own, for the text.
    citations: Vec<Json>,
    is_annotated: bool,
}

impl ChunkReader {
    fn begin(&mut self, kind: PartKind, out: &mut Vec<Delta>) -> u32 {
        let part = self.parts;
        self.parts += 1;
        out.push(Delta::Begin { part, kind });
        part
    }

    fn end_open(&mut self, out: &mut Vec<Delta>) {
        self.close(out);
        self.settle(out);
    }

    fn close(&mut self, out: &mut Vec<Delta>) {
        let Some(open) = self.open.take() else { return };
        if open.kind == Kind::Thought {
            let state = self.state();
            out.push(Delta::State { part: open.part, state });
        }
        if open.kind == Kind::Text {
            self.annotate(open.part, out);
        }
        out.push(Delta::End { part: open.part });
    }

    /// State that came without words, or behind the text.
    fn settle(&mut self, out: &mut Vec<Delta>) {
        if !self.details.is_empty() {
            let state = self.state();
            let part = self.begin(PartKind::Reasoning { id: None }, out);
            out.extend([Delta::State { part, state }, Delta::End { part }]);
        }
    }

    /// What the maker of a thought wants back with it.
    fn state(&mut self) -> State {
        if self.details.is_empty() {
            return chat_state();
        }
        State { wire: Wire::Chat, is_redacted: false, data: self.details.take(), origin: None }
    }

    /// Hands out the citations that have gathered.
    fn annotate(&mut self, part: u32, out: &mut Vec<Delta>) {
        let citations = std::mem::take(&mut self.citations);
        if !self.is_annotated && !citations.is_empty() {
            self.is_annotated = true;
            out.extend(citations.into_iter().map(|json| Delta::Annotation { part, json }));
        }
    }

    /// More of a part of this kind, which begins where another was open.
    fn more(&mut self, kind: Kind, text: String, out: &mut Vec<Delta>) {
        if text.is_empty() {
            return;
        }
        let part = self.part(kind, out);
        out.push(Delta::Text { part, text });
    }

    fn part(&mut self, kind: Kind, out: &mut Vec<Delta>) -> u32 {
        if let Some(open) = self.open.filter(|open| open.kind == kind) {
            return open.part;
        }
        self.close(out);
        if kind != Kind::Thought {
            self.settle(out);
        }
        let part = self.begin(
            match kind {
                Kind::Text => PartKind::Text,
                Kind::Thought => PartKind::Reasoning { id: None },
                Kind::Refusal => PartKind::Refusal,
                Kind::Audio => PartKind::Audio,
            },
            out,
        );
        self.open = Some(Open { kind, part });
        if kind == Kind::Text {
            self.last_text = Some(part);
        }
        part
    }

    fn content(&mut self, text: &str, out: &mut Vec<Delta>) {
        let mut said = Vec::new();
        self.tags.push(text, &mut said);
        self.say(said, out);
    }

    fn flush_tags(&mut self, out: &mut Vec<Delta>) {
        let mut said = Vec::new();
        self.tags.flush(&mut said);
        self.say(said, out);
    }

    fn say(&mut self, said: Vec<Said>, out: &mut Vec<Delta>) {
        for piece in said {
            match piece {
                Said::Text(text) => self.more(Kind::Text, text, out),
                Said::Thought(text) => self.more(Kind::Thought, text, out),
            }
        }
    }

    fn audio(&mut self, audio: &Members<'_>, out: &mut Vec<Delta>) {
        self.more(Kind::Text, audio.any_text("transcript").unwrap_or_default(), out);
        self.more(Kind::Audio, audio.any_text("data").unwrap_or_default(), out);
    }

    fn call(&mut self, position: usize, call: &Members<'_>, out: &mut Vec<Delta>) {
        self.flush_tags(out);
        self.end_open(out);
        let index = call.any_count("index").unwrap_or(position as u64);
        let stated = call.any_text("id").filter(|id| !id.is_empty());
        let custom = call.any_object("custom");
        let is_custom = custom.has("name") || custom.has("input");
        let function = if is_custom { custom } else { call.any_object("function") };
        let name = function.any_text("name").filter(|name| !name.is_empty());
        let text = if is_custom { function.any_text("input").unwrap_or_default() } else { wire::arguments(&function) };
        // Hosts that count every call as the first tell them apart by their ids, or send each whole.
        let is_new = match (self.calls.get(&index), &stated) {
            (None, _) => true,
            (Some(known), Some(id)) => known.id != *id && name.is_some(),
            (Some(known), None) => known.is_whole && name.is_some(),
        };
        if is_new {
            if let Some(before) = self.calls.remove(&index) {
                out.push(Delta::End { part: before.part });
            }
            let made = || wire::made_call_id(self.answer_id.as_deref().unwrap_or_default(), self.parts);
            let id = stated.unwrap_or_else(made);
            let kind = PartKind::ToolCall { id: id.clone(), name: name.unwrap_or_default(), is_custom };
            let part = self.begin(kind, out);
            let is_whole = serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok();
            self.calls.insert(index, Call { part, id, is_whole });
            self.called = true;
        }
        let Some(part) = self.calls.get(&index).map(|call| call.part) else { return };
        if !text.is_empty() {
            out.push(Delta::Text { part, text });
        }
    }

    fn choice(&mut self, choice: &Members<'_>, out: &mut Vec<Delta>) -> Result<(), StreamError> {
        // Some hosts send the last chunk with a whole message instead of a delta, others nothing but that.
        let says_all = !choice.has("delta") && self.parts == 0;
        let delta = choice.any_object(if says_all { "message" } else { "delta" });
        let details = delta.any_list("reasoning_details");
        details.iter().for_each(|detail| self.details.push(detail));
        // Pieces of details repeat the words of a named field, in the same chunk or another.
        let named = read_thought(&delta);
        self.has_named_thought |= named.is_some();
        let unnamed = || if self.has_named_thought { String::new() } else { read_details(&delta) };
        self.more(Kind::Thought, named.unwrap_or_else(unnamed), out);
        match delta.get("content") {
            Some(content) if content.is_text() => self.content(&content.read::<String>().unwrap_or_default(), out),
            Some(content) => {
                for piece in content.list().unwrap_or_default() {
                    match wire::read_piece(&piece) {
                        Some(Piece::Text(text)) => self.more(Kind::Text, text, out),
                        Some(Piece::Thought(text)) => self.more(Kind::Thought, text, out),
                        Some(Piece::Image(url)) => self.image(url, out),
                        Some(Piece::Citation(json)) => self.cite(json),
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
        self.more(Kind::Refusal, delta.any_text("refusal").unwrap_or_default(), out);
        self.audio(&delta.any_object("audio"), out);
        for image in delta.any_list("images") {
            if let Some(url) = wire::image_url(&image) {
                self.image(url, out);
            }
        }
        for annotation in delta.any_list("annotations") {
            if let (Some(json), Some(part)) = (wire::read_annotation(&annotation), self.last_text) {
                self.is_annotated = true;
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
            None | Some("") => Ok(()),
            Some(word) if wire::is_failure(word) => {
                let error = choice.get("error").map(|error| read_error_value(error.raw().as_bytes()));
                Err(StreamError::Provider(Box::new(error.unwrap_or_default())))
            }
            Some(word) => {
                self.finish(word, out);
                Ok(())
            }
        }
    }

    fn image(&mut self, url: String, out: &mut Vec<Delta>) {
        self.flush_tags(out);
        self.end_open(out);
        let part = self.begin(PartKind::Image { url }, out);
        out.push(Delta::End { part });
    }

    fn cite(&mut self, json: Json) {
        if self.citations.len() < wire::MOST_CITATIONS && !self.citations.contains(&json) {
            self.citations.push(json);
        }
    }

    fn finish(&mut self, word: &str, out: &mut Vec<Delta>) {
        self.flush_tags(out);
        // Text stays open: its citations may come with the usage.
        if self.open.is_none_or(|open| open.kind != Kind::Text) || !self.details.is_empty() {
            self.end_open(out);
        }
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
            self.end_open(out);
            return Ok(true);
        }
        let text = std::str::from_utf8(data).map_err(|_| StreamError::Malformed("it is not UTF-8"))?;
        let json = serde_json::from_str::<&serde_json::value::RawValue>(text).map_err(|_| BROKEN)?;
        let chunk = Node::root(json.get()).object().map_err(|_| BROKEN)?;
        if let Some(error) = stated_error(&chunk) {
            return Err(StreamError::Provider(Box::new(error)));
        }
        if self.answer_id.is_none() {
            let id = chunk.any_text("id").filter(|id| !id.is_empty());
            self.answer_id = Some(id.clone().unwrap_or_default());
            out.push(Delta::Start { id });
        }
        wire::citations(&chunk).into_iter().for_each(|json| self.cite(json));
        let choices = chunk.any_list("choices");
        for choice in &choices {
            if let Ok(choice) = choice.object()
                && choice.any_count("index").unwrap_or_default() == 0
            {
                self.choice(&choice, out)?;
            }
        }
        if let (Some(part), true) = (self.last_text.filter(|_| choices.is_empty()), self.open.is_some()) {
            self.annotate(part, out);
        }
        if let Some(tier) = chunk.any_text("service_tier") {
            out.push(Delta::ServiceTier(tier));
        }
        // Groq states usage under a name of its own, Moonshot beside the choice.
        let usage = chunk.get("usage").and_then(|usage| wire::read_usage(&usage.object().ok()?));
        let usage =
            usage.or_else(|| wire::usage_in(&chunk.get("x_groq")?)).or_else(|| choices.iter().find_map(wire::usage_in));
        out.extend(usage.map(Delta::Usage));
        Ok(false)
    }
}
