//! Canonical to bytes: requests for providers, whole answers for clients.

use std::borrow::Cow;

use bytes::Bytes;

use super::native::Shown;
use super::wire::{self, ENCRYPTED_REASONING, LOGPROBS, PARAMETERS};
use crate::canonical::text::{
    Finish, Format, Media, Parameter, Part, Reasoning, ReasoningKind, Reply, Request, Role, Source, Tool, ToolCall,
    ToolChoice, ToolResult, Turn,
};
use crate::canonical::{Json, TokenUsage, Wire};
use crate::dialects::node::{Members, Node};
use crate::dialects::out::{self, Out};
use crate::dialects::{Addressee, Frame, Written, breakpoint, dropped, fields, state};
use crate::fault::{Fault, Kind, Outcome};

type Lost = Vec<Cow<'static, str>>;

/// Writes a request for a provider. Nothing is kept there.
///
/// # Errors
/// `UnsupportedParameter` for several answers at once.
pub fn write_request(request: &Request, to: &Addressee<'_>) -> Outcome<Written> {
    if crate::dialects::openai_chat::write::wants_several(request) {
        let sentence = "n: this model gives one answer at a time";
        return Err(Fault::new(Kind::UnsupportedParameter).param("n").say(sentence));
    }
    let mut lost = Lost::new();
    let mut rest = request.clone();
    let wants_logprobs = rest.parameters.remove(&Parameter::Logprobs).is_some_and(|value| value.as_str() == "true");
    let verbosity = rest.parameters.remove(&Parameter::Verbosity);
    let mut include: Vec<String> =
        rest.parameters.remove(&Parameter::Include).and_then(|names| names.read()).unwrap_or_default();
    if to.control.kind.is_some() {
        include.push(ENCRYPTED_REASONING.to_owned());
    }
    if wants_logprobs {
        include.push(LOGPROBS.to_owned());
    }
    let text = out::object(|out| {
        out.text("model", to.model);
        out.list("input", |list| {
            for turn in &request.turns {
                write_turn(list, turn, to, &mut lost);
            }
        });
        write_tools(out, request, &mut lost);
        if let Some(most) = request.max_output_tokens {
            // Less is refused.
            out.number("max_output_tokens", most.max(16));
        }
        if !request.stop.is_empty() {
            lost.push(dropped("stop"));
        }
        write_text(out, request.format.as_ref(), verbosity.as_ref());
        write_reasoning(out, request, to, &mut lost);
        if !include.is_empty() {
            out.texts("include", &include);
        }
        out.boolean("store", false);
        fields::write(out, &rest, PARAMETERS, &mut lost);
        if request.is_stream {
            out.boolean("stream", true);
        }
    });
    lost.sort();
    lost.dedup();
    Ok(Written { body: vec![Bytes::from(text)], dropped: lost })
}

fn write_turn(list: &mut Out<'_>, turn: &Turn, to: &Addressee<'_>, lost: &mut Lost) {
    if turn.name.is_some() {
        lost.push(dropped("messages.name"));
    }
    let role = match turn.role {
        Role::System => "system",
        Role::Developer => "developer",
        Role::User | Role::Tool => "user",
        Role::Assistant => "assistant",
    };
    let mut said: Vec<&Part> = Vec::new();
    for part in &turn.parts {
        match part {
            Part::ToolCall(call) => {
                write_message(list, role, &mut said, lost);
                breakpoint::note(call.cache.as_ref(), lost);
                write_call(list, call);
            }
            Part::ToolResult(result) => {
                write_message(list, role, &mut said, lost);
                write_result(list, result, lost);
            }
            Part::Reasoning(reasoning) => {
                write_message(list, role, &mut said, lost);
                write_thought(list, reasoning, to, lost);
            }
            Part::Native { wire: Wire::Responses, json, .. } => {
                write_message(list, role, &mut said, lost);
                list.item_raw(json.as_str());
            }
            other => said.push(other),
        }
    }
    write_message(list, role, &mut said, lost);
}

fn write_message(list: &mut Out<'_>, role: &str, said: &mut Vec<&Part>, lost: &mut Lost) {
    let parts = std::mem::take(said);
    if parts.is_empty() {
        return;
    }
    list.item(|message| {
        message.text("type", "message").text("role", role);
        if let [Part::Text { text, cache, .. }] = parts.as_slice()
            && !breakpoint::is_explicit(cache.as_ref())
        {
            breakpoint::note(cache.as_ref(), lost);
            message.text("content", text);
            return;
        }
        message.list("content", |content| {
            for part in parts {
                write_part(content, part, role == "assistant", lost);
            }
        });
    });
}

fn write_part(list: &mut Out<'_>, part: &Part, is_assistant: bool, lost: &mut Lost) {
    match part {
        Part::Text { text, cache, .. } => {
            list.item(|item| {
                item.text("type", if is_assistant { "output_text" } else { "input_text" }).text("text", text);
                breakpoint::write_explicit(item, cache.as_ref(), lost);
            });
        }
        Part::Refusal(text) => {
            list.item(|item| {
                item.text("type", "refusal").text("refusal", text);
            });
        }
        Part::Image { source, detail, cache } => {
            list.item(|item| {
                item.text("type", "input_image");
                match source {
                    Source::Id(id) => item.text("file_id", id),
                    other => item.text("image_url", &other.to_url().unwrap_or_default()),
                };
                item.text("detail", detail.as_deref().unwrap_or("auto"));
                breakpoint::write_explicit(item, cache.as_ref(), lost);
            });
        }
        Part::File(media) => write_file(list, media, lost),
        Part::Audio { data, format } => {
            list.item(|item| {
                item.text("type", "input_audio").object("input_audio", |audio| {
                    audio.text("data", data).text("format", format);
                });
            });
        }
        Part::Native { kind, .. } => lost.push(Cow::Owned(kind.clone())),
        // Items of their own, or in the result of a tool, where they have no place.
        Part::ToolCall(_) => lost.push(dropped("tool_calls")),
        Part::ToolResult(_) => lost.push(dropped("tool_result")),
        Part::Reasoning(_) => lost.push(dropped("reasoning")),
    }
}

fn write_file(list: &mut Out<'_>, media: &Media, lost: &mut Lost) {
    lost.extend(media.extra.iter().map(|(name, _)| Cow::Owned(format!("document.{name}"))));
    list.item(|item| {
        if let Source::Text(text) = &media.source {
            let titled = media.name.as_ref().map(|name| format!("{name}\n\n{text}"));
            item.text("type", "input_text").text("text", titled.as_deref().unwrap_or(text));
            breakpoint::write_explicit(item, media.cache.as_ref(), lost);
            return;
        }
        item.text("type", "input_file");
        match &media.source {
            Source::Id(id) => {
                item.text("file_id", id);
            }
            Source::Url(url) => {
                item.text("file_url", url);
            }
            other => {
                item.text("filename", media.name.as_deref().unwrap_or("document.pdf"));
                item.text("file_data", &other.to_url().unwrap_or_default());
            }
        }
        breakpoint::write_explicit(item, media.cache.as_ref(), lost);
    });
}

fn write_call(list: &mut Out<'_>, call: &ToolCall) {
    list.item(|item| {
        if call.is_custom {
            item.text("type", "custom_tool_call").text("call_id", &call.id).text("name", &call.name);
            item.text("input", &call.arguments);
        } else {
            let arguments = if call.arguments.trim().is_empty() { "{}" } else { &call.arguments };
            item.text("type", "function_call").text("call_id", &call.id).text("name", &call.name);
            item.text("arguments", arguments);
        }
    });
}

fn write_result(list: &mut Out<'_>, result: &ToolResult, lost: &mut Lost) {
    breakpoint::note(result.cache.as_ref(), lost);
    if result.is_error == Some(true) {
        lost.push(dropped("is_error"));
    }
    list.item(|item| {
        let kind = if result.is_custom { "custom_tool_call_output" } else { "function_call_output" };
        item.text("type", kind).text("call_id", &result.call_id);
        match result.parts.as_slice() {
            [] => {
                item.text("output", if result.is_error == Some(true) { "error" } else { "" });
            }
            [Part::Text { text, cache, .. }] if !breakpoint::is_explicit(cache.as_ref()) => {
                breakpoint::note(cache.as_ref(), lost);
                item.text("output", text);
            }
            many => {
                item.list("output", |list| {
                    for part in many {
                        write_part(list, part, false, lost);
                    }
                });
            }
        }
    });
}

fn write_thought(list: &mut Out<'_>, reasoning: &Reasoning, to: &Addressee<'_>, lost: &mut Lost) {
    let Some(state) = reasoning.state.as_ref().filter(|state| state::is_for(state, Wire::Responses, to.origin)) else {
        return lost.push(dropped("reasoning"));
    };
    list.item(|item| {
        item.text("type", "reasoning");
        // Nothing is kept at the provider: the content is what it goes by, not the id.
        item.list("summary", |list| {
            let visible = reasoning.visible();
            if !visible.is_empty() {
                list.item(|part| {
                    part.text("type", "summary_text").text("text", &visible);
                });
            }
        });
        item.text("encrypted_content", &state.data);
    });
}

fn write_tools(out: &mut Out<'_>, request: &Request, lost: &mut Lost) {
    let mut written = Vec::new();
    for tool in &request.tools {
        match tool {
            Tool::Function { name, description, parameters, strict, cache } => {
                breakpoint::note(cache.as_ref(), lost);
                written.push(out::object(|tool| {
                    tool.text("type", "function").text("name", name).text_if("description", description.as_deref());
                    tool.raw(
                        "parameters",
                        parameters.as_ref().map_or(r#"{"type":"object","properties":{}}"#, Json::as_str),
                    );
                    // This wire is strict where nothing is said; the others are not.
                    tool.boolean("strict", strict.unwrap_or_default());
                }));
            }
            Tool::Custom { name, description, format } => written.push(out::object(|tool| {
                tool.text("type", "custom").text("name", name).text_if("description", description.as_deref());
                tool.json_if("format", format.as_ref().map(flat_grammar).as_ref());
            })),
            Tool::Native { wire: Wire::Responses, json, .. } => written.push(json.as_str().to_owned()),
            Tool::Native { kind, .. } => lost.push(Cow::Owned(format!("tools.{kind}"))),
        }
    }
    if written.is_empty() {
        return;
    }
    out.list("tools", |list| {
        for tool in &written {
            list.item_raw(tool);
        }
    });
    match &request.tool_choice {
        None => {}
        Some(ToolChoice::Auto) => {
            out.text("tool_choice", "auto");
        }
        Some(ToolChoice::None) => {
            out.text("tool_choice", "none");
        }
        Some(ToolChoice::Required) => {
            out.text("tool_choice", "required");
        }
        Some(ToolChoice::Named(name)) => {
            out.object("tool_choice", |choice| {
                choice.text("type", kind_of(request, name)).text("name", name);
            });
        }
        Some(ToolChoice::Allowed { is_required, names }) => {
            out.object("tool_choice", |choice| {
                choice.text("type", "allowed_tools").text("mode", if *is_required { "required" } else { "auto" });
                choice.list("tools", |list| {
                    for name in names {
                        list.item(|tool| {
                            tool.text("type", kind_of(request, name)).text("name", name);
                        });
                    }
                });
            });
        }
        Some(ToolChoice::Native { wire: Wire::Responses, json }) => {
            out.raw("tool_choice", json.as_str());
        }
        Some(ToolChoice::Native { .. }) => lost.push(dropped("tool_choice")),
    }
    if let Some(parallel) = request.parallel_tool_calls {
        out.boolean("parallel_tool_calls", parallel);
    }
}

/// The format of a custom tool; Chat Completions nests the grammar, this wire does not.
fn flat_grammar(format: &Json) -> Json {
    let Ok(fields) = Node::root(format.as_str()).object() else { return format.clone() };
    let Some(grammar) = fields.get("grammar").and_then(|grammar| grammar.object().ok()) else { return format.clone() };
    let flat = out::object(|out| {
        out.text("type", "grammar");
        for (name, value) in grammar.iter() {
            out.raw(name, value.raw());
        }
    });
    Json::parse(flat).unwrap_or_else(|| format.clone())
}

fn kind_of(request: &Request, name: &str) -> &'static str {
    let is_custom = |tool: &Tool| matches!(tool, Tool::Custom { name: own, .. } if own == name);
    if request.tools.iter().any(is_custom) { "custom" } else { "function" }
}

fn write_text(out: &mut Out<'_>, format: Option<&Format>, verbosity: Option<&Json>) {
    let format = format.filter(|format| **format != Format::Text);
    if format.is_none() && verbosity.is_none() {
        return;
    }
    out.object("text", |text| {
        match format {
            None | Some(Format::Text) => {}
            Some(Format::JsonObject) => {
                text.object("format", |out| {
                    out.text("type", "json_object");
                });
            }
            Some(Format::Schema { name, description, schema, strict }) => {
                text.object("format", |out| {
                    out.text("type", "json_schema").text("name", name.as_deref().unwrap_or("answer"));
                    out.text_if("description", description.as_deref()).raw("schema", schema.as_str());
                    if let Some(strict) = strict {
                        out.boolean("strict", *strict);
                    }
                });
            }
        }
        text.json_if("verbosity", verbosity);
    });
}

fn write_reasoning(out: &mut Out<'_>, request: &Request, to: &Addressee<'_>, lost: &mut Lost) {
    let thinking = &request.thinking;
    let step = thinking.step().map(|step| step.clamp(&to.control.levels));
    // Whoever turned thinking on in the Messages contract wants to see it.
    let is_fixed = to.control.kind == Some(ReasoningKind::Fixed);
    let step = if is_fixed { None } else { step };
    if is_fixed && thinking.step().is_some() {
        lost.push(dropped("reasoning_effort"));
    }
    let wants_words = thinking.is_adaptive || thinking.budget.is_some();
    let wants_words = wants_words && thinking.display.as_deref() != Some("omitted");
    let summary = thinking.summary.as_deref().or(wants_words.then_some("auto"));
    if step.is_none() && summary.is_none() {
        return;
    }
    // A model that does not reason refuses the field; of one that nothing is known of, the client knows best.
    if to.control.kind.is_none() && to.max_output_tokens.is_some() {
        return lost.push(dropped("reasoning_effort"));
    }
    out.object("reasoning", |reasoning| {
        reasoning.text_if("effort", step.map(|step| step.as_str())).text_if("summary", summary);
    });
}

/// What an answer repeats of its request.
#[derive(Debug, Clone)]
pub struct Echo {
    body: String,
    shown: Shown,
}

impl Echo {
    /// Repeats the request `body`, which must be an object, and says how the answer is kept.
    #[must_use]
    pub fn of(body: &str, shown: Shown) -> Self {
        let fields = Node::root(body).object().unwrap_or_else(|_| Members::none());
        // The input is not repeated, and may be large.
        let body = out::object(|out| {
            for (name, value) in fields.iter().filter(|(name, _)| *name != "input") {
                out.raw(name, value.raw());
            }
        });
        Self { body, shown }
    }

    /// The answer is not kept after all.
    pub(super) fn not_kept(&mut self) {
        self.shown.is_stored = false;
    }

    fn fields(&self) -> Members<'_> {
        Node::root(&self.body).object().unwrap_or_else(|_| Members::none())
    }
}

/// What a resource says of itself, besides what it repeats.
pub(super) struct Resource<'a> {
    pub id: &'a str,
    pub status: &'a str,
    /// JSON.
    pub output: &'a str,
    pub usage: Option<&'a TokenUsage>,
    pub finish: Option<&'a Finish>,
    pub service_tier: Option<&'a str>,
    pub error: Option<(&'a str, &'a str)>,
}

/// Writes the complete resource: every member is there, with `null` or the default where nothing was said.
pub(super) fn write_resource(out: &mut Out<'_>, frame: &Frame, echo: &Echo, resource: &Resource<'_>) {
    let asked = echo.fields();
    let repeat = |out: &mut Out<'_>, name: &str, default: &str| {
        out.raw(name, asked.get(name).map_or(default, |node| node.raw()));
    };
    let is_over = !matches!(resource.status, "in_progress" | "queued");
    out.text("id", resource.id).text("object", "response").number("created_at", frame.created);
    out.text("status", resource.status).boolean("background", false);
    if is_over && resource.status == "completed" {
        out.number("completed_at", frame.created);
    } else {
        out.null("completed_at");
    }
    match resource.error {
        Some((code, message)) => {
            out.object("error", |error| {
                error.text("code", code).text("message", message);
            });
        }
        None => {
            out.null("error");
        }
    }
    repeat(out, "frequency_penalty", "0.0");
    match wire::incomplete_reason(resource.finish).filter(|_| resource.status == "incomplete") {
        Some(reason) => {
            out.object("incomplete_details", |details| {
                details.text("reason", reason);
            });
        }
        None => {
            out.null("incomplete_details");
        }
    }
    repeat(out, "instructions", "null");
    repeat(out, "max_output_tokens", "null");
    repeat(out, "max_tool_calls", "null");
    out.text("model", &frame.model).raw("output", resource.output);
    repeat(out, "parallel_tool_calls", "true");
    repeat(out, "presence_penalty", "0.0");
    out.text_or_null("previous_response_id", echo.shown.previous.as_deref());
    repeat(out, "prompt_cache_key", "null");
    repeat(out, "prompt_cache_retention", "null");
    let reasoning = asked.any_object("reasoning");
    out.object("reasoning", |out| {
        out.raw("effort", reasoning.get("effort").map_or("null", |node| node.raw()));
        out.raw("summary", reasoning.get("summary").map_or("null", |node| node.raw()));
    });
    repeat(out, "safety_identifier", "null");
    out.text("service_tier", resource.service_tier.unwrap_or("default")).boolean("store", echo.shown.is_stored);
    repeat(out, "temperature", "1.0");
    let text = asked.any_object("text");
    out.object("text", |out| {
        out.raw("format", text.get("format").map_or(r#"{"type":"text"}"#, |node| node.raw()));
        out.raw("verbosity", text.get("verbosity").map_or("\"medium\"", |node| node.raw()));
    });
    repeat(out, "tool_choice", "\"auto\"");
    repeat(out, "tools", "[]");
    repeat(out, "top_logprobs", "0");
    repeat(out, "top_p", "1.0");
    repeat(out, "truncation", "\"disabled\"");
    match resource.usage {
        Some(usage) => {
            out.object("usage", |out| wire::write_usage(out, usage));
        }
        None => {
            out.null("usage");
        }
    }
    repeat(out, "user", "null");
    repeat(out, "metadata", "{}");
    repeat(out, "prompt", "null");
    repeat(out, "prompt_cache_options", "null");
    for absent in ABSENT {
        out.null(absent);
    }
}

/// Members of a response for what is not done here.
const ABSENT: [&str; 7] = [
    "access_programs",
    "conversation",
    "image",
    "input_transformations",
    "moderation",
    "prompt_cache_diagnostics",
    "tool_usage",
];

/// Writes a whole answer for a client.
#[must_use]
pub fn write_reply(reply: &Reply, frame: &Frame, echo: &Echo) -> Bytes {
    let mut items: Vec<String> = Vec::new();
    let mut message: Vec<String> = Vec::new();
    let flush = |message: &mut Vec<String>, items: &mut Vec<String>| {
        if !message.is_empty() {
            let parts = std::mem::take(message);
            items.push(message_item(&item_id("msg", frame, items.len()), &parts, "completed"));
        }
    };
    for part in &reply.parts {
        match part {
            Part::Text { text, annotations, .. } => {
                let logprobs = reply.logprobs.as_ref().filter(|_| message.is_empty());
                message.push(text_part(text, annotations, logprobs));
            }
            Part::Refusal(text) => message.push(refusal_part(text)),
            other => {
                flush(&mut message, &mut items);
                items.extend(output_item(other, frame, items.len()));
            }
        }
    }
    flush(&mut message, &mut items);
    let status = if wire::incomplete_reason(reply.finish.as_ref()).is_some() { "incomplete" } else { "completed" };
    let resource = Resource {
        id: &answer_id(&reply.id, frame, echo),
        status,
        output: &format!("[{}]", items.join(",")),
        usage: reply.usage.as_ref(),
        finish: reply.finish.as_ref(),
        service_tier: reply.service_tier.as_deref(),
        error: None,
    };
    out::object(|out| write_resource(out, frame, echo, &resource)).into()
}

/// An item other than a message, complete. `None` for what this wire has no place for.
fn output_item(part: &Part, frame: &Frame, index: usize) -> Option<String> {
    match part {
        Part::Reasoning(reasoning) => Some(reasoning_item(&item_id("rs", frame, index), reasoning, frame)),
        Part::ToolCall(call) => Some(call_item(&item_id(call_prefix(call.is_custom), frame, index), call, "completed")),
        Part::Image { source: Source::Data { data, .. }, .. } => Some(image_item(&item_id("ig", frame, index), data)),
        Part::Native { wire: Wire::Responses, json, .. } => Some(json.as_str().to_owned()),
        _ => None,
    }
}

/// The prefix of the id of a call's item.
pub(super) const fn call_prefix(is_custom: bool) -> &'static str {
    if is_custom { "ctc" } else { "fc" }
}

/// The id of an item of an answer.
pub(super) fn item_id(prefix: &str, frame: &Frame, index: usize) -> String {
    format!("{prefix}_{}_{index}", frame.id)
}

pub(super) fn message_item(id: &str, parts: &[String], status: &str) -> String {
    out::object(|out| {
        out.text("id", id).text("type", "message").text("status", status).text("role", "assistant");
        out.list("content", |list| {
            for part in parts {
                list.item_raw(part);
            }
        });
    })
}

pub(super) fn text_part(text: &str, annotations: &[Json], logprobs: Option<&Json>) -> String {
    out::object(|out| {
        out.text("type", "output_text").list("annotations", |list| {
            for annotation in annotations {
                list.item_raw(annotation.as_str());
            }
        });
        out.raw("logprobs", logprobs.map_or("[]", Json::as_str)).text("text", text);
    })
}

pub(super) fn refusal_part(text: &str) -> String {
    out::object(|out| {
        out.text("type", "refusal").text("refusal", text);
    })
}

/// A reasoning item. Words are given as summaries, which is where clients of this contract look for them.
pub(super) fn reasoning_item(id: &str, reasoning: &Reasoning, frame: &Frame) -> String {
    out::object(|out| {
        out.text("id", id).text("type", "reasoning").list("summary", |list| {
            for text in summaries(reasoning) {
                list.item(|part| {
                    part.text("type", "summary_text").text("text", text);
                });
            }
        });
        if let Some(state) = &reasoning.state {
            out.text("encrypted_content", &state::write(state, Wire::Responses, &frame.origin));
        }
    })
}

fn summaries(reasoning: &Reasoning) -> Vec<&str> {
    if reasoning.text.is_empty() {
        reasoning.summary.iter().map(String::as_str).collect()
    } else {
        vec![reasoning.text.as_str()]
    }
}

pub(super) fn call_item(id: &str, call: &ToolCall, status: &str) -> String {
    out::object(|out| {
        out.text("id", id);
        if call.is_custom {
            out.text("type", "custom_tool_call").text("status", status).text("input", &call.arguments);
        } else {
            out.text("type", "function_call").text("status", status).text("arguments", &call.arguments);
        }
        out.text("call_id", &call.id).text("name", &call.name);
    })
}

pub(super) fn image_item(id: &str, data: &str) -> String {
    out::object(|out| {
        out.text("id", id).text("type", "image_generation_call").text("status", "completed").text("result", data);
    })
}

/// Our id of an answer that is kept here; else the provider's where it is one of this wire's, or one of ours.
pub(super) fn answer_id(stated: &str, frame: &Frame, echo: &Echo) -> String {
    if let Some(id) = &echo.shown.id {
        return id.clone();
    }
    if stated.starts_with("resp_") { stated.to_owned() } else { format!("resp_{}", frame.id) }
}
