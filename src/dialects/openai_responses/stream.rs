//! Streamed answers: events of providers to canonical ones, canonical ones to events for clients.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};

use super::fault::{code_of, write_fault_event};
use super::read::{image_url, own_state};
use super::wire;
use super::write::{
    Echo, Resource, answer_id, call_item, call_prefix, image_item, item_id, message_item, reasoning_item, refusal_part,
    text_part, write_resource,
};
use crate::canonical::text::{Collector, Delta, Finish, Part, PartKind, Source};
use crate::canonical::{Json, TokenUsage, Wire};
use crate::dialects::native::{ProviderError, StreamError};
use crate::dialects::node::{Members, Node};
use crate::dialects::openai_chat::fault::read_error_value;
use crate::dialects::out::{self, Out};
use crate::dialects::{Decode, Encode, Frame};
use crate::fault::Fault;

/// An item being read.
#[derive(Debug, Default)]
struct Item {
    /// Parts of a message by their content index; the only part of others is 0.
    parts: BTreeMap<u64, Seen>,
    has_ended: bool,
}

#[derive(Debug)]
struct Seen {
    part: u32,
    has_text: bool,
    has_ended: bool,
}

/// Reads events.
#[derive(Debug, Default)]
pub struct EventReader {
    has_started: bool,
    parts: u32,
    items: BTreeMap<u64, Item>,
    called: bool,
}

impl EventReader {
    fn begin(&mut self, item: u64, content: u64, kind: PartKind, out: &mut Vec<Delta>) -> u32 {
        let part = self.parts;
        self.parts += 1;
        self.called |= matches!(kind, PartKind::ToolCall { .. });
        let seen = Seen { part, has_text: false, has_ended: false };
        self.items.entry(item).or_default().parts.insert(content, seen);
        out.push(Delta::Begin { part, kind });
        part
    }

    /// The part of an event that brings a piece; it begins here where its beginning was not announced.
    fn part(&mut self, item: u64, content: u64, kind: &PartKind, out: &mut Vec<Delta>) -> u32 {
        let known = self.items.get_mut(&item).and_then(|item| item.parts.get_mut(&content));
        match known {
            Some(seen) => {
                seen.has_text = true;
                seen.part
            }
            None => {
                let part = self.begin(item, content, kind.clone(), out);
                if let Some(seen) = self.items.get_mut(&item).and_then(|item| item.parts.get_mut(&content)) {
                    seen.has_text = true;
                }
                part
            }
        }
    }

    fn item_added(&mut self, index: u64, event: &Members<'_>, out: &mut Vec<Delta>) {
        let item = event.any_object("item");
        match item.any_text("type").as_deref() {
            Some(kind @ ("function_call" | "custom_tool_call")) => {
                self.begin(index, 0, call_kind(&item, kind == "custom_tool_call"), out);
            }
            Some("reasoning") => {
                self.begin(index, 0, PartKind::Reasoning { id: item.any_text("id") }, out);
            }
            _ => {}
        }
    }

    /// An item is complete: what of it did not come in pieces comes now.
    fn item_done(&mut self, index: u64, node: &Node<'_>, out: &mut Vec<Delta>) {
        let Ok(item) = node.object() else { return };
        if self.items.get(&index).is_some_and(|item| item.has_ended) {
            return;
        }
        let kind = item.any_text("type").unwrap_or_default();
        match kind.as_str() {
            "message" => {
                for (content, part) in (0_u64..).zip(item.any_list("content")) {
                    let Ok(part) = part.object() else { continue };
                    let refusal = part.any_text("refusal");
                    let kind = if refusal.is_some() { PartKind::Refusal } else { PartKind::Text };
                    let text = refusal.or_else(|| part.any_text("text")).unwrap_or_default();
                    let annotations = part.any_list("annotations").iter().map(Node::json).collect();
                    self.complete((index, content), kind, &text, annotations, out);
                }
            }
            "function_call" | "custom_tool_call" => {
                let is_custom = kind == "custom_tool_call";
                let text = item.any_text(if is_custom { "input" } else { "arguments" }).unwrap_or_default();
                self.complete((index, 0), call_kind(&item, is_custom), &text, Vec::new(), out);
            }
            "reasoning" => {
                let reasoning = super::read::read_reasoning(&item);
                let is_new = !self.items.get(&index).is_some_and(|item| item.parts.contains_key(&0));
                if is_new {
                    self.begin(index, 0, PartKind::Reasoning { id: reasoning.id.clone() }, out);
                }
                let seen = self.items.get(&index).and_then(|item| item.parts.get(&0));
                let Some((part, has_text)) = seen.map(|seen| (seen.part, seen.has_text)) else { return };
                if !has_text {
                    if !reasoning.text.is_empty() {
                        out.push(Delta::Text { part, text: reasoning.text });
                    }
                    let summaries = (0_u32..).zip(reasoning.summary).filter(|(_, text)| !text.is_empty());
                    out.extend(summaries.map(|(index, text)| Delta::Summary { part, index, text }));
                }
                out.extend(own_state(&item).map(|state| Delta::State { part, state }));
                out.push(Delta::End { part });
            }
            "image_generation_call" if item.has("result") => {
                if let Some(url) = image_url(&item) {
                    let part = self.begin(index, 0, PartKind::Image { url }, out);
                    out.push(Delta::End { part });
                }
            }
            _ => {
                let kind = PartKind::Native { wire: Wire::Responses, kind, json: node.json() };
                let part = self.begin(index, 0, kind, out);
                out.push(Delta::End { part });
            }
        }
        self.items.entry(index).or_default().has_ended = true;
    }

    /// Ends a part; its text and annotations come now if no piece of it came before.
    fn complete(
        &mut self,
        (item, content): (u64, u64),
        kind: PartKind,
        text: &str,
        annotations: Vec<Json>,
        out: &mut Vec<Delta>,
    ) {
        if !self.items.get(&item).is_some_and(|item| item.parts.contains_key(&content)) {
            self.begin(item, content, kind, out);
        }
        let Some(seen) = self.items.get_mut(&item).and_then(|item| item.parts.get_mut(&content)) else { return };
        if std::mem::replace(&mut seen.has_ended, true) {
            return;
        }
        let part = seen.part;
        if !seen.has_text {
            if !text.is_empty() {
                out.push(Delta::Text { part, text: text.to_owned() });
            }
            out.extend(annotations.into_iter().map(|json| Delta::Annotation { part, json }));
        }
        out.push(Delta::End { part });
    }

    fn piece(&mut self, event: &Members<'_>, kind: &PartKind, out: &mut Vec<Delta>) {
        let Some(text) = event.any_text("delta").filter(|text| !text.is_empty()) else { return };
        let index = event.any_count("output_index").unwrap_or_default();
        let content = match kind {
            PartKind::Text | PartKind::Refusal => event.any_count("content_index").unwrap_or_default(),
            _ => 0,
        };
        let part = self.part(index, content, kind, out);
        match event.any_count("summary_index") {
            Some(summary) if matches!(kind, PartKind::Reasoning { .. }) => {
                let index = u32::try_from(summary).unwrap_or(u32::MAX);
                out.push(Delta::Summary { part, index, text });
            }
            _ => out.push(Delta::Text { part, text }),
        }
        if let Some(logprobs) = event.get("logprobs").filter(|list| list.is_list() && list.raw() != "[]") {
            out.push(Delta::Logprobs { part, json: logprobs.json() });
        }
    }

    fn finish(&mut self, event: &Members<'_>, out: &mut Vec<Delta>) {
        let response = event.any_object("response");
        for (index, item) in (0_u64..).zip(response.any_list("output")) {
            self.item_done(index, &item, out);
        }
        if let Some(tier) = response.any_text("service_tier") {
            out.push(Delta::ServiceTier(tier));
        }
        out.extend(wire::read_usage(&response).map(Delta::Usage));
        out.push(Delta::Finish(wire::read_finish(&response, self.called)));
    }
}

fn call_kind(item: &Members<'_>, is_custom: bool) -> PartKind {
    PartKind::ToolCall {
        id: item.any_text("call_id").or_else(|| item.any_text("id")).unwrap_or_default(),
        name: item.any_text("name").unwrap_or_default(),
        is_custom,
    }
}

/// What a failed response or an error event says.
pub(super) fn read_failure(event: &Members<'_>) -> ProviderError {
    let response = event.any_object("response");
    if let Some(error) = response.get("error").or_else(|| event.get("error")) {
        return read_error_value(error.raw().as_bytes());
    }
    ProviderError {
        code: event.any_text("code"),
        param: event.any_text("param"),
        message: event.any_text("message").unwrap_or_default(),
        ..ProviderError::default()
    }
}

impl Decode for EventReader {
    fn decode(&mut self, _event: Option<&[u8]>, data: &[u8], out: &mut Vec<Delta>) -> Result<bool, StreamError> {
        const BROKEN: StreamError = StreamError::Malformed("it is not a JSON object");
        if data.trim_ascii() == b"[DONE]" {
            return Ok(true);
        }
        let text = std::str::from_utf8(data).map_err(|_| StreamError::Malformed("it is not UTF-8"))?;
        let json = serde_json::from_str::<&serde_json::value::RawValue>(text).map_err(|_| BROKEN)?;
        let event = Node::root(json.get()).object().map_err(|_| BROKEN)?;
        let index = event.any_count("output_index").unwrap_or_default();
        let kind = event.any_text("type").unwrap_or_default();
        if !self.has_started && kind.starts_with("response.") && kind != "response.failed" {
            self.has_started = true;
            out.push(Delta::Start { id: event.any_object("response").any_text("id") });
        }
        match kind.as_str() {
            "response.output_item.added" => self.item_added(index, &event, out),
            "response.output_item.done" => {
                if let Some(item) = event.get("item") {
                    self.item_done(index, &item, out);
                }
            }
            "response.content_part.added" => {
                let content = event.any_count("content_index").unwrap_or_default();
                match event.any_object("part").any_text("type").as_deref() {
                    Some("output_text") => {
                        self.begin(index, content, PartKind::Text, out);
                    }
                    Some("refusal") => {
                        self.begin(index, content, PartKind::Refusal, out);
                    }
                    _ => {}
                }
            }
            "response.content_part.done" => {
                let content = event.any_count("content_index").unwrap_or_default();
                let part = event.any_object("part");
                let (kind, text) = match part.any_text("type").as_deref() {
                    Some("output_text") => (PartKind::Text, part.any_text("text")),
                    Some("refusal") => (PartKind::Refusal, part.any_text("refusal")),
                    _ => return Ok(false),
                };
                let annotations = part.any_list("annotations").iter().map(Node::json).collect();
                self.complete((index, content), kind, &text.unwrap_or_default(), annotations, out);
            }
            "response.output_text.delta" => self.piece(&event, &PartKind::Text, out),
            "response.refusal.delta" => self.piece(&event, &PartKind::Refusal, out),
            "response.reasoning_summary_text.delta" | "response.reasoning_text.delta" => {
                self.piece(&event, &PartKind::Reasoning { id: event.any_text("item_id") }, out);
            }
            "response.function_call_arguments.delta" => self.piece(&event, &call_kind(&event, false), out),
            "response.custom_tool_call_input.delta" => self.piece(&event, &call_kind(&event, true), out),
            "response.output_text.annotation.added" => {
                let content = event.any_count("content_index").unwrap_or_default();
                let seen = self.items.get(&index).and_then(|item| item.parts.get(&content));
                if let (Some(seen), Some(annotation)) = (seen, event.get("annotation")) {
                    out.push(Delta::Annotation { part: seen.part, json: annotation.json() });
                }
            }
            "response.completed" | "response.incomplete" => {
                self.finish(&event, out);
                return Ok(true);
            }
            "response.failed" | "response.cancelled" | "error" => {
                return Err(StreamError::Provider(Box::new(read_failure(&event))));
            }
            _ => {}
        }
        Ok(false)
    }
}

/// A message being written.
#[derive(Debug)]
struct Message {
    index: usize,
    id: String,
    parts: Vec<String>,
}

/// Writes events for a client.
#[derive(Debug)]
pub struct EventWriter {
    frame: Frame,
    echo: Echo,
    id: String,
    has_started: bool,
    sequence: u64,
    collected: Collector,
    /// Complete items, by their place.
    items: Vec<Option<String>>,
    message: Option<Message>,
    /// Where a part is: its item, and its place in the item.
    places: BTreeMap<u32, (usize, usize)>,
    /// The summary of a reasoning part that is open.
    summaries: BTreeMap<u32, u32>,
    open: Vec<u32>,
    finish: Option<Finish>,
    usage: Option<TokenUsage>,
    service_tier: Option<String>,
}

impl EventWriter {
    /// Writes the events of one answer.
    #[must_use]
    pub fn new(frame: Frame, echo: Echo) -> Self {
        Self {
            id: answer_id("", &frame, &echo),
            frame,
            echo,
            has_started: false,
            sequence: 0,
            collected: Collector::default(),
            items: Vec::new(),
            message: None,
            places: BTreeMap::new(),
            summaries: BTreeMap::new(),
            open: Vec::new(),
            finish: None,
            usage: None,
            service_tier: None,
        }
    }

    fn event(&mut self, out: &mut BytesMut, name: &str, fill: impl FnOnce(&mut Out<'_>)) {
        let sequence = self.sequence;
        self.sequence += 1;
        let json = out::object(|out| {
            out.text("type", name).number("sequence_number", sequence);
            fill(out);
        });
        out.extend_from_slice(b"event: ");
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"\ndata: ");
        out.extend_from_slice(json.as_bytes());
        out.extend_from_slice(b"\n\n");
    }

    fn resource(&mut self, out: &mut BytesMut, name: &str, status: &str, error: Option<(&str, &str)>) {
        let response = self.response(status, error);
        self.event(out, name, |out| {
            out.raw("response", &response);
        });
    }

    /// The response as it is now.
    fn response(&self, status: &str, error: Option<(&str, &str)>) -> String {
        let items: Vec<&str> = self.items.iter().flatten().map(String::as_str).collect();
        let is_over = status != "in_progress";
        let resource = Resource {
            id: &self.id,
            status,
            output: &format!("[{}]", items.join(",")),
            usage: self.usage.as_ref().filter(|_| is_over),
            finish: self.finish.as_ref(),
            service_tier: self.service_tier.as_deref(),
            error,
        };
        out::object(|out| write_resource(out, &self.frame, &self.echo, &resource))
    }

    /// How a whole answer ended.
    fn status(&self) -> &'static str {
        if wire::incomplete_reason(self.finish.as_ref()).is_some() { "incomplete" } else { "completed" }
    }

    fn start(&mut self, id: Option<&str>, out: &mut BytesMut) {
        if std::mem::replace(&mut self.has_started, true) {
            return;
        }
        self.id = answer_id(id.unwrap_or_default(), &self.frame, &self.echo);
        self.resource(out, "response.created", "in_progress", None);
        self.resource(out, "response.in_progress", "in_progress", None);
    }

    fn add_item(&mut self, out: &mut BytesMut, item: &str) -> usize {
        let index = self.items.len();
        self.items.push(None);
        self.event(out, "response.output_item.added", |out| {
            out.number("output_index", index as u64).raw("item", item);
        });
        index
    }

    fn end_item(&mut self, out: &mut BytesMut, index: usize, item: String) {
        self.event(out, "response.output_item.done", |out| {
            out.number("output_index", index as u64).raw("item", &item);
        });
        if let Some(place) = self.items.get_mut(index) {
            *place = Some(item);
        }
    }

    fn end_message(&mut self, out: &mut BytesMut) {
        if let Some(message) = self.message.take() {
            let item = message_item(&message.id, &message.parts, "completed");
            self.end_item(out, message.index, item);
        }
    }

    fn begin(&mut self, part: u32, kind: &PartKind, out: &mut BytesMut) {
        let next = self.items.len();
        match kind {
            PartKind::Text | PartKind::Refusal => {
                if self.message.is_none() {
                    let id = item_id("msg", &self.frame, next);
                    let index = self.add_item(out, &message_item(&id, &[], "in_progress"));
                    self.message = Some(Message { index, id, parts: Vec::new() });
                }
                let Some(message) = &mut self.message else { return };
                let content = message.parts.len();
                let empty = if *kind == PartKind::Text { text_part("", &[], None) } else { refusal_part("") };
                message.parts.push(empty.clone());
                let (index, id) = (message.index, message.id.clone());
                self.places.insert(part, (index, content));
                self.event(out, "response.content_part.added", |out| {
                    out.text("item_id", &id).number("output_index", index as u64);
                    out.number("content_index", content as u64).raw("part", &empty);
                });
            }
            PartKind::Reasoning { .. } => {
                self.end_message(out);
                let id = item_id("rs", &self.frame, next);
                let item = out::object(|out| {
                    out.text("id", &id).text("type", "reasoning").list("summary", |_| {});
                });
                let index = self.add_item(out, &item);
                self.places.insert(part, (index, 0));
            }
            PartKind::ToolCall { is_custom, .. } => {
                self.end_message(out);
                let id = item_id(call_prefix(*is_custom), &self.frame, next);
                if let Some(Part::ToolCall(call)) = self.collected.get(part) {
                    let item = call_item(&id, call, "in_progress");
                    let index = self.add_item(out, &item);
                    self.places.insert(part, (index, 0));
                }
            }
            PartKind::Image { url } => {
                if let Source::Data { data, .. } = Source::from_url(url) {
                    self.end_message(out);
                    let item = image_item(&item_id("ig", &self.frame, next), &data);
                    let index = self.add_item(out, &item);
                    self.end_item(out, index, item);
                }
                return;
            }
            PartKind::Native { wire: Wire::Responses, json, .. } => {
                self.end_message(out);
                let index = self.add_item(out, json.as_str());
                self.end_item(out, index, json.as_str().to_owned());
                return;
            }
            PartKind::Native { .. } | PartKind::Audio => return,
        }
        self.open.push(part);
    }

    /// The id of the item at a place.
    fn id_at(&self, part: &Part, index: usize) -> String {
        match part {
            Part::Reasoning(_) => item_id("rs", &self.frame, index),
            Part::ToolCall(call) => item_id(call_prefix(call.is_custom), &self.frame, index),
            _ => item_id("msg", &self.frame, index),
        }
    }

    fn text(&mut self, part: u32, text: &str, logprobs: Option<&Json>, out: &mut BytesMut) {
        let Some(&(index, content)) = self.places.get(&part) else { return };
        let Some(known) = self.collected.get(part) else { return };
        let id = self.id_at(known, index);
        match known {
            Part::Reasoning(_) => self.summary(part, 0, text, out),
            Part::ToolCall(call) => {
                let name = if call.is_custom {
                    "response.custom_tool_call_input.delta"
                } else {
                    "response.function_call_arguments.delta"
                };
                self.event(out, name, |out| {
                    out.text("item_id", &id).number("output_index", index as u64).text("delta", text);
                });
            }
            Part::Refusal(_) => self.event(out, "response.refusal.delta", |out| {
                out.text("item_id", &id).number("output_index", index as u64);
                out.number("content_index", content as u64).text("delta", text);
            }),
            _ => {
                let logprobs = logprobs.map_or("[]", Json::as_str).to_owned();
                self.event(out, "response.output_text.delta", |out| {
                    out.text("item_id", &id).number("output_index", index as u64);
                    out.number("content_index", content as u64).text("delta", text).raw("logprobs", &logprobs);
                });
            }
        }
    }

    fn summary(&mut self, part: u32, summary: u32, text: &str, out: &mut BytesMut) {
        let Some(&(index, _)) = self.places.get(&part) else { return };
        let id = item_id("rs", &self.frame, index);
        if self.summaries.get(&part) != Some(&summary) {
            self.end_summary(part, out);
            self.summaries.insert(part, summary);
            self.event(out, "response.reasoning_summary_part.added", |out| {
                out.text("item_id", &id).number("output_index", index as u64).number("summary_index", summary);
                out.object("part", |part| {
                    part.text("type", "summary_text").text("text", "");
                });
            });
        }
        self.event(out, "response.reasoning_summary_text.delta", |out| {
            out.text("item_id", &id).number("output_index", index as u64).number("summary_index", summary);
            out.text("delta", text);
        });
    }

    fn end_summary(&mut self, part: u32, out: &mut BytesMut) {
        let Some(summary) = self.summaries.remove(&part) else { return };
        let Some(&(index, _)) = self.places.get(&part) else { return };
        let text = match self.collected.get(part) {
            Some(Part::Reasoning(reasoning)) if reasoning.text.is_empty() => {
                reasoning.summary.get(usize::try_from(summary).unwrap_or(usize::MAX)).cloned().unwrap_or_default()
            }
            Some(Part::Reasoning(reasoning)) => reasoning.text.clone(),
            _ => String::new(),
        };
        let id = item_id("rs", &self.frame, index);
        self.event(out, "response.reasoning_summary_text.done", |out| {
            out.text("item_id", &id).number("output_index", index as u64).number("summary_index", summary);
            out.text("text", &text);
        });
        self.event(out, "response.reasoning_summary_part.done", |out| {
            out.text("item_id", &id).number("output_index", index as u64).number("summary_index", summary);
            out.object("part", |part| {
                part.text("type", "summary_text").text("text", &text);
            });
        });
    }

    fn end(&mut self, part: u32, out: &mut BytesMut) {
        let Some(position) = self.open.iter().position(|open| *open == part) else { return };
        self.open.remove(position);
        let Some(&(index, content)) = self.places.get(&part) else { return };
        let Some(known) = self.collected.get(part).cloned() else { return };
        let id = self.id_at(&known, index);
        match &known {
            Part::Text { text, annotations, .. } => {
                let whole = text_part(text, annotations, None);
                self.event(out, "response.output_text.done", |out| {
                    out.text("item_id", &id).number("output_index", index as u64);
                    out.number("content_index", content as u64).text("text", text).list("logprobs", |_| {});
                });
                self.end_content(&id, index, content, whole, out);
            }
            Part::Refusal(text) => {
                self.event(out, "response.refusal.done", |out| {
                    out.text("item_id", &id).number("output_index", index as u64);
                    out.number("content_index", content as u64).text("refusal", text);
                });
                self.end_content(&id, index, content, refusal_part(text), out);
            }
            Part::Reasoning(reasoning) => {
                self.end_summary(part, out);
                let item = reasoning_item(&id, reasoning, &self.frame);
                self.end_item(out, index, item);
            }
            Part::ToolCall(call) => {
                let (name, field) = if call.is_custom {
                    ("response.custom_tool_call_input.done", "input")
                } else {
                    ("response.function_call_arguments.done", "arguments")
                };
                self.event(out, name, |out| {
                    out.text("item_id", &id).number("output_index", index as u64).text("name", &call.name);
                    out.text(field, &call.arguments);
                });
                self.end_item(out, index, call_item(&id, call, "completed"));
            }
            _ => {}
        }
    }

    fn end_content(&mut self, id: &str, index: usize, content: usize, whole: String, out: &mut BytesMut) {
        self.event(out, "response.content_part.done", |out| {
            out.text("item_id", id).number("output_index", index as u64);
            out.number("content_index", content as u64).raw("part", &whole);
        });
        if let Some(place) = self.message.as_mut().and_then(|message| message.parts.get_mut(content)) {
            *place = whole;
        }
    }

    fn end_all(&mut self, out: &mut BytesMut) {
        for part in std::mem::take(&mut self.open) {
            self.open.push(part);
            self.end(part, out);
        }
        self.end_message(out);
    }
}

impl Encode for EventWriter {
    fn encode(&mut self, delta: &Delta, out: &mut BytesMut) {
        self.collected.take(delta);
        match delta {
            Delta::Start { id } => self.start(id.as_deref(), out),
            Delta::Begin { part, kind } => {
                self.start(None, out);
                if !matches!(kind, PartKind::Text | PartKind::Refusal) {
                    self.end_texts(out);
                }
                self.begin(*part, kind, out);
            }
            Delta::Text { part, text } => self.text(*part, text, None, out),
            Delta::Summary { part, index, text } => self.summary(*part, *index, text, out),
            Delta::Annotation { part, json } => self.annotate(*part, json, out),
            Delta::End { part } => self.end(*part, out),
            Delta::Finish(finish) => self.finish = Some(finish.clone()),
            Delta::Usage(usage) => self.usage = Some(*usage),
            Delta::ServiceTier(tier) => self.service_tier = Some(tier.clone()),
            Delta::State { .. } | Delta::Logprobs { .. } => {}
        }
    }

    fn complete(&mut self, out: &mut BytesMut) -> Option<Bytes> {
        self.start(None, out);
        self.end_all(out);
        Some(self.response(self.status(), None).into())
    }

    fn not_kept(&mut self) {
        self.echo.not_kept();
    }

    fn close(&mut self, out: &mut BytesMut) {
        self.start(None, out);
        self.end_all(out);
        match self.status() {
            "incomplete" => self.resource(out, "response.incomplete", "incomplete", None),
            status => self.resource(out, "response.completed", status, None),
        }
    }

    fn fail(&mut self, fault: &Fault, out: &mut BytesMut) {
        if self.has_started {
            self.resource(out, "response.failed", "failed", Some((code_of(fault), fault.message())));
        } else {
            out.extend_from_slice(&write_fault_event(fault, self.sequence));
        }
    }
}

impl EventWriter {
    /// Ends the texts that are open: a message is one item, and what follows is another.
    fn end_texts(&mut self, out: &mut BytesMut) {
        let is_text = |part: &u32| matches!(self.collected.get(*part), Some(Part::Text { .. } | Part::Refusal(_)));
        let texts: Vec<u32> = self.open.iter().copied().filter(is_text).collect();
        for part in texts {
            self.end(part, out);
        }
    }

    fn annotate(&mut self, part: u32, json: &Json, out: &mut BytesMut) {
        let Some(&(index, content)) = self.places.get(&part) else { return };
        let Some(Part::Text { annotations, .. }) = self.collected.get(part) else { return };
        let annotation = annotations.len().saturating_sub(1);
        let id = item_id("msg", &self.frame, index);
        self.event(out, "response.output_text.annotation.added", |out| {
            out.text("item_id", &id).number("output_index", index as u64).number("content_index", content as u64);
            out.number("annotation_index", annotation as u64).raw("annotation", json.as_str());
        });
    }
}
