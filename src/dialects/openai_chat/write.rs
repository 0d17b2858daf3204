//! Canonical to bytes: requests for providers, whole answers for clients.

use std::borrow::Cow;

use bytes::Bytes;

use super::adapt::{self, Chosen, Shaped};
use super::quirks::ThoughtField;
use super::wire::PARAMETERS;
pub use super::write_reply::{wants_several, write_reply};
use crate::canonical::text::{
    Media, Parameter, Part, Reasoning, Request, Role, Source, Tool, ToolCall, ToolResult, Turn,
};
use crate::canonical::{Json, Wire};
use crate::dialects::anthropic_messages::write::FREE_TEXT;
use crate::dialects::out::{self, Out};
use crate::dialects::{Addressee, Written, breakpoint, dropped, fields, state};
use crate::fault::Outcome;

/// A request on its way: whom it is for, and what does not reach it.
struct Way<'a> {
    to: &'a Addressee<'a>,
    lost: Vec<Cow<'static, str>>,
}

impl Way<'_> {
    fn lose(&mut self, name: &'static str) {
        self.lost.push(dropped(name));
    }

    /// Writes a cache breakpoint where the host reads its kind.
    fn cache(&mut self, item: &mut Out<'_>, cache: Option<&Json>) {
        match cache {
            Some(own) if self.to.quirks.takes_cache_control && !breakpoint::is_explicit(cache) => {
                item.raw("cache_control", own.as_str());
            }
            cache => breakpoint::write_explicit(item, cache, &mut self.lost),
        }
    }

    /// Whether a part has to be written out for its breakpoint's sake.
    fn has_place_for(&self, cache: Option<&Json>) -> bool {
        cache.is_some() && (self.to.quirks.takes_cache_control || breakpoint::is_explicit(cache))
    }

    fn lose_cache(&mut self, cache: Option<&Json>) {
        breakpoint::note(cache, &mut self.lost);
    }
}

/// Writes a request for a provider.
///
/// # Errors
/// None at present: what the wire has no place for is named in `dropped`.
pub fn write_request(request: &Request, to: &Addressee<'_>) -> Outcome<Written> {
    let mut way = Way { to, lost: Vec::new() };
    let shaped = request.format.as_ref().map(|format| adapt::shape(format, to.quirks)).unwrap_or_default();
    way.lost.extend(shaped.lost.map(dropped));
    let text = out::object(|out| {
        out.text("model", to.model);
        out.list("messages", |list| {
            let turns = instructed(&request.turns, &shaped);
            let turns = if to.quirks.needs_alternation { alternating(&turns) } else { turns };
            write_turns(list, &turns, &mut way);
        });
        write_tools(out, request, &mut way);
        if let Some(most) = request.max_output_tokens {
            out.number(to.quirks.name_of("max_completion_tokens"), most);
        }
        if !request.stop.is_empty() {
            out.texts("stop", &request.stop);
        }
        if let Some(format) = &shaped.json {
            out.raw("response_format", format);
        }
        let steering = adapt::steer(&request.thinking, to);
        for (name, json) in &steering.fields {
            out.raw(name, json);
        }
        if steering.is_lost {
            way.lose("reasoning_effort");
        }
        if let Some("omitted") = request.thinking.display.as_deref() {
            way.lose("thinking.display");
        }
        let known: Vec<_> = PARAMETERS
            .iter()
            .filter(|(name, parameter)| {
                let tier = request.parameters.get(parameter).filter(|_| *parameter == Parameter::ServiceTier);
                !to.quirks.refuses(name) && tier.is_none_or(|tier| adapt::takes_tier(tier.as_str(), to.quirks))
            })
            .map(|(name, parameter)| (to.quirks.name_of(name), *parameter))
            .collect();
        fields::write(out, request, &known, &mut way.lost);
        if request.is_stream {
            out.boolean("stream", true);
        }
        if request.is_stream && to.quirks.takes_stream_options {
            out.object("stream_options", |options| {
                options.boolean("include_usage", true);
            });
        }
    });
    way.lost.sort();
    way.lost.dedup();
    Ok(Written { body: vec![Bytes::from(text)], dropped: way.lost })
}

/// The turns with what the format has to say in words, in the first system prompt.
fn instructed<'a>(turns: &'a [Turn], shaped: &Shaped) -> Cow<'a, [Turn]> {
    let Some(instruction) = &shaped.instruction else { return Cow::Borrowed(turns) };
    let mut turns = turns.to_vec();
    match turns.first_mut().filter(|turn| matches!(turn.role, Role::System | Role::Developer)) {
        Some(first) => first.parts.push(Part::text(format!("\n\n{instruction}"))),
        None => turns.insert(0, Turn::new(Role::System, vec![Part::text(instruction.clone())])),
    }
    Cow::Owned(turns)
}

/// Turns of the same side that follow each other as one.
fn alternating(turns: &[Turn]) -> Cow<'static, [Turn]> {
    let mut merged: Vec<Turn> = Vec::new();
    for turn in turns {
        match merged.last_mut().filter(|last| last.role == turn.role && turn.role != Role::Tool) {
            Some(last) => last.parts.extend(turn.parts.iter().cloned()),
            None => merged.push(turn.clone()),
        }
    }
    Cow::Owned(merged)
}

fn write_turns(list: &mut Out<'_>, turns: &[Turn], way: &mut Way<'_>) {
    for turn in turns {
        match turn.role {
            // Every host knows `system`; OpenAI reads it as `developer` where that is what a model has.
            Role::System | Role::Developer => write_plain(list, "system", turn, way),
            Role::User | Role::Tool => write_user(list, turn, way),
            Role::Assistant => write_assistant(list, turn, way),
        }
    }
}

fn write_plain(list: &mut Out<'_>, role: &str, turn: &Turn, way: &mut Way<'_>) {
    list.item(|message| {
        message.text("role", role);
        write_content(message, &turn.parts, way);
        message.text_if("name", turn.name.as_deref());
    });
}

/// Tool results are messages of their own, before what else the turn says.
fn write_user(list: &mut Out<'_>, turn: &Turn, way: &mut Way<'_>) {
    let mut said: Vec<Part> = Vec::new();
    for part in &turn.parts {
        match part {
            Part::ToolResult(result) => said.extend(write_result(list, result, way)),
            other => said.push(other.clone()),
        }
    }
    if !said.is_empty() {
        write_plain(list, "user", &Turn { parts: said, ..turn.clone() }, way);
    }
}

/// Writes the text of a result; answers what a tool message cannot hold, which the user's next message then does.
fn write_result(list: &mut Out<'_>, result: &ToolResult, way: &mut Way<'_>) -> Vec<Part> {
    let (texts, others): (Vec<Part>, Vec<Part>) =
        result.parts.iter().cloned().partition(|part| matches!(part, Part::Text { .. }));
    way.lose_cache(result.cache.as_ref());
    if result.is_error == Some(true) {
        way.lose("is_error");
    }
    list.item(|message| {
        message.text("role", "tool").text("tool_call_id", &adapt::call_id(&result.call_id, way.to.quirks));
        if texts.is_empty() {
            message.text("content", if result.is_error == Some(true) { "error" } else { "" });
        } else {
            write_content(message, &texts, way);
        }
    });
    others
}

/// What an assistant's turn says, apart by where it is written.
#[derive(Default)]
struct Assistant<'a> {
    said: Vec<Part>,
    calls: Vec<&'a ToolCall>,
    refusal: Option<&'a str>,
    thought: String,
    /// Members of `reasoning_details`.
    details: Vec<Json>,
}

impl<'a> Assistant<'a> {
    fn read(turn: &'a Turn, way: &mut Way<'_>) -> Self {
        let mut assistant = Self::default();
        for part in &turn.parts {
            match part {
                Part::ToolCall(call) => assistant.calls.push(call),
                Part::Refusal(text) => assistant.refusal = Some(text),
                Part::Reasoning(reasoning) => assistant.think(reasoning, way),
                other => assistant.said.push(other.clone()),
            }
        }
        assistant
    }

    /// Thoughts go back to their maker alone.
    fn think(&mut self, reasoning: &Reasoning, way: &mut Way<'_>) {
        let Some(state) = reasoning.state.as_ref().filter(|state| state::is_for(state, Wire::Chat, way.to.origin))
        else {
            return way.lose("reasoning");
        };
        match Json::parse(state.data.clone()).and_then(|json| json.read::<Vec<Json>>()) {
            Some(details) => self.details.extend(details),
            None if way.to.quirks.thoughts == ThoughtField::Nothing => way.lose("reasoning"),
            None => self.thought.push_str(&reasoning.visible()),
        }
    }

    /// The thought where it is part of the content.
    fn place_thought(&mut self, field: ThoughtField) {
        if self.thought.is_empty() {
            return;
        }
        match field {
            ThoughtField::Tags => {
                let tagged = format!("<think>{}</think>", std::mem::take(&mut self.thought));
                match self.said.first_mut() {
                    Some(Part::Text { text, .. }) => text.insert_str(0, &tagged),
                    _ => self.said.insert(0, Part::text(tagged)),
                }
            }
            ThoughtField::Part => {
                let json = out::object(|out| {
                    out.text("type", "thinking").list("thinking", |list| {
                        list.item(|text| {
                            text.text("type", "text").text("text", &self.thought);
                        });
                    });
                });
                self.thought.clear();
                if let Some(json) = Json::parse(json) {
                    self.said.insert(0, Part::Native { wire: Wire::Chat, kind: "thinking".to_owned(), json });
                }
            }
            ThoughtField::ReasoningContent | ThoughtField::Reasoning | ThoughtField::Nothing => {}
        }
    }
}

fn write_assistant(list: &mut Out<'_>, turn: &Turn, way: &mut Way<'_>) {
    let field = way.to.quirks.thoughts;
    let mut assistant = Assistant::read(turn, way);
    assistant.place_thought(field);
    list.item(|message| {
        message.text("role", "assistant");
        if assistant.said.is_empty() {
            message.null("content");
        } else {
            write_content(message, &assistant.said, way);
        }
        message.text_if("refusal", assistant.refusal).text_if("name", turn.name.as_deref());
        let name = if field == ThoughtField::Reasoning { "reasoning" } else { "reasoning_content" };
        message.text_if(name, Some(assistant.thought.as_str()).filter(|text| !text.is_empty()));
        if !assistant.details.is_empty() {
            message.list("reasoning_details", |list| {
                for detail in &assistant.details {
                    list.item_raw(detail.as_str());
                }
            });
        }
        if !assistant.calls.is_empty() {
            message.list("tool_calls", |list| {
                for call in &assistant.calls {
                    way.lose_cache(call.cache.as_ref());
                    let id = adapt::call_id(&call.id, way.to.quirks);
                    match call.is_custom && !way.to.quirks.takes_custom_tools {
                        true => list.item(|item| write_call(item, &as_function(call), &id)),
                        false => list.item(|item| write_call(item, call, &id)),
                    };
                }
            });
        }
    });
}

/// A call with free text as one with an object.
fn as_function(call: &ToolCall) -> ToolCall {
    let arguments = out::object(|out| {
        out.text("input", &call.arguments);
    });
    ToolCall { arguments, is_custom: false, ..call.clone() }
}

pub(super) fn write_call(item: &mut Out<'_>, call: &ToolCall, id: &str) {
    item.text("id", id);
    if call.is_custom {
        item.text("type", "custom").object("custom", |custom| {
            custom.text("name", &call.name).text("input", &call.arguments);
        });
    } else {
        // Every host reads the arguments as an object.
        let arguments = if call.arguments.trim().is_empty() { "{}" } else { &call.arguments };
        item.text("type", "function").object("function", |function| {
            function.text("name", &call.name).text("arguments", arguments);
        });
    }
}

fn write_content(message: &mut Out<'_>, parts: &[Part], way: &mut Way<'_>) {
    if let [Part::Text { text, cache, .. }] = parts
        && !way.has_place_for(cache.as_ref())
    {
        way.lose_cache(cache.as_ref());
        message.text("content", text);
        return;
    }
    message.list("content", |list| {
        for part in parts {
            write_part(list, part, way);
        }
    });
}

fn write_part(list: &mut Out<'_>, part: &Part, way: &mut Way<'_>) {
    match part {
        Part::Text { text, cache, .. } => {
            list.item(|item| {
                item.text("type", "text").text("text", text);
                way.cache(item, cache.as_ref());
            });
        }
        Part::Refusal(text) => {
            list.item(|item| {
                item.text("type", "refusal").text("refusal", text);
            });
        }
        Part::Image { source, detail, cache } => match source.to_url() {
            Some(url) => {
                list.item(|item| {
                    item.text("type", "image_url").object("image_url", |image| {
                        image.text("url", &url).text_if("detail", detail.as_deref());
                    });
                    way.cache(item, cache.as_ref());
                });
            }
            None => way.lose("image.file_id"),
        },
        Part::Audio { data, format } => {
            list.item(|item| {
                item.text("type", "input_audio").object("input_audio", |audio| {
                    audio.text("data", data).text("format", format);
                });
            });
        }
        Part::File(media) => {
            way.lost.extend(media.extra.iter().map(|(name, _)| Cow::Owned(format!("document.{name}"))));
            list.item(|item| {
                write_file(item, media);
                way.cache(item, media.cache.as_ref());
            });
        }
        Part::Native { wire: Wire::Chat, json, .. } => {
            list.item_raw(json.as_str());
        }
        Part::Native { kind, .. } => way.lost.push(Cow::Owned(kind.clone())),
        // In a turn of a role that has none.
        Part::Reasoning(_) => way.lose("reasoning"),
        Part::ToolCall(_) => way.lose("tool_calls"),
        Part::ToolResult(_) => way.lose("tool_result"),
    }
}

fn write_file(item: &mut Out<'_>, media: &Media) {
    if let Source::Text(text) = &media.source {
        let titled = media.name.as_ref().map(|name| format!("{name}\n\n{text}"));
        item.text("type", "text").text("text", titled.as_deref().unwrap_or(text));
        return;
    }
    // Chat Completions takes no URLs of files; hosts that do, take them here.
    item.text("type", "file").object("file", |file| {
        match &media.source {
            Source::Id(id) => file.text("file_id", id),
            other => file.text("file_data", &other.to_url().unwrap_or_default()),
        };
        file.text_if("filename", media.name.as_deref().or(Some("document.pdf")));
    });
}

fn write_tools(out: &mut Out<'_>, request: &Request, way: &mut Way<'_>) {
    let mut tools: Vec<&Tool> = Vec::new();
    for tool in &request.tools {
        match tool {
            Tool::Native { wire, kind, .. } if *wire != Wire::Chat => {
                way.lost.push(Cow::Owned(format!("tools.{kind}")));
            }
            tool => tools.push(tool),
        }
    }
    if tools.is_empty() {
        return;
    }
    if way.to.quirks.refuses("tools") {
        return way.lose("tools");
    }
    let chosen = request.tool_choice.as_ref().map(|choice| adapt::choose(choice, &request.tools, way.to.quirks));
    let chosen: Chosen = chosen.unwrap_or_default();
    if chosen.is_lost {
        way.lose("tool_choice");
    }
    if let Some(only) = &chosen.only {
        tools.retain(|tool| tool.name().is_some_and(|name| only.iter().any(|own| own == name)));
    }
    if tools.is_empty() {
        return;
    }
    out.list("tools", |list| {
        for tool in &tools {
            write_tool(list, tool, way);
        }
    });
    if let Some(choice) = &chosen.json {
        out.raw("tool_choice", choice);
    }
    match request.parallel_tool_calls {
        Some(_) if way.to.quirks.refuses("parallel_tool_calls") => way.lose("parallel_tool_calls"),
        Some(parallel) => {
            out.boolean("parallel_tool_calls", parallel);
        }
        None => {}
    }
}

fn write_tool(list: &mut Out<'_>, tool: &Tool, way: &mut Way<'_>) {
    match tool {
        Tool::Function { name, description, parameters, strict, cache } => {
            way.lose_cache(cache.as_ref());
            list.item(|item| {
                item.text("type", "function").object("function", |function| {
                    function.text("name", name).text_if("description", description.as_deref());
                    function.json_if("parameters", parameters.as_ref());
                    match strict {
                        Some(strict) if way.to.quirks.takes_strict => {
                            function.boolean("strict", *strict);
                        }
                        Some(true) => way.lose("tools.strict"),
                        Some(false) | None => {}
                    }
                });
            });
        }
        Tool::Custom { name, description, format } if !way.to.quirks.takes_custom_tools => {
            if format.is_some() {
                way.lose("tools.format");
            }
            list.item(|item| {
                item.text("type", "function").object("function", |function| {
                    function.text("name", name).text_if("description", description.as_deref());
                    function.raw("parameters", FREE_TEXT);
                });
            });
        }
        Tool::Custom { name, description, format } => {
            list.item(|item| {
                item.text("type", "custom").object("custom", |custom| {
                    custom.text("name", name).text_if("description", description.as_deref());
                    custom.json_if("format", format.as_ref());
                });
            });
        }
        Tool::Native { json, .. } => {
            list.item_raw(json.as_str());
        }
    }
}
