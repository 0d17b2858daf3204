//! Canonical to bytes: requests for providers, whole answers for clients.

use std::borrow::Cow;

use bytes::Bytes;

use super::wire::{self, PARAMETERS};
use crate::canonical::text::{
    Effort, Format, Media, Parameter, Part, Reasoning, ReasoningKind, Reply, Request, Role, Source, Thinking, Tool,
    ToolChoice, ToolResult,
};
use crate::canonical::{Json, Wire};
use crate::dialects::node::Node;
use crate::dialects::out::{self, Out};
use crate::dialects::{Addressee, Frame, Written, breakpoint, dropped, fields, state};
use crate::fault::{Fault, Kind, Outcome};

/// What `max_tokens`, which this wire requires, is when the client stated none and the model's limit is unknown.
const DEFAULT_MAX_TOKENS: u64 = 8_192;
/// More than this is asked for only by name.
const MOST_UNASKED: u64 = 32_000;
/// The least number of tokens of thinking that is accepted.
const LEAST_BUDGET: u64 = 1_024;
/// The schema under which a tool that takes free text is called.
pub const FREE_TEXT: &str =
    r#"{"type":"object","properties":{"input":{"type":"string"}},"required":["input"],"additionalProperties":false}"#;
const ONLY_JSON: &str = "Answer with one JSON object and nothing else.";

type Lost = Vec<Cow<'static, str>>;

/// Writes a request for a provider.
///
/// # Errors
/// `UnsupportedParameter` for several answers at once.
pub fn write_request(request: &Request, to: &Addressee<'_>) -> Outcome<Written> {
    if crate::dialects::openai_chat::write::wants_several(request) {
        let sentence = "n: this model gives one answer at a time";
        return Err(Fault::new(Kind::UnsupportedParameter).param("n").say(sentence));
    }
    let mut lost = Lost::new();
    let most = request.max_output_tokens;
    let most = most.unwrap_or_else(|| to.max_output_tokens.map_or(DEFAULT_MAX_TOKENS, |most| most.min(MOST_UNASKED)));
    let plan = plan_thinking(request, to, most, &mut lost);
    let text = out::object(|out| {
        out.text("model", to.model).number("max_tokens", most);
        write_system(out, request, &mut lost);
        out.list("messages", |list| write_turns(list, request, to, &mut lost));
        write_tools(out, request, &mut lost);
        if !request.stop.is_empty() {
            let said: Vec<&String> = request.stop.iter().filter(|text| !text.trim().is_empty()).collect();
            if said.len() < request.stop.len() {
                lost.push(dropped("stop"));
            }
            out.texts("stop_sequences", &said);
        }
        plan.write(out);
        write_config(out, request, plan.effort, &mut lost);
        write_parameters(out, request, plan.is_on(), &mut lost);
        if request.is_stream {
            out.boolean("stream", true);
        }
    });
    lost.sort();
    lost.dedup();
    Ok(Written { body: vec![Bytes::from(text)], dropped: lost })
}

/// How thinking is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Plan {
    mode: Option<Mode>,
    effort: Option<Effort>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Adaptive,
    Budget(u64),
    Off,
}

impl Plan {
    fn is_on(self) -> bool {
        matches!(self.mode, Some(Mode::Adaptive | Mode::Budget(_)))
    }

    fn write(self, out: &mut Out<'_>) {
        let Some(mode) = self.mode else { return };
        out.object("thinking", |thinking| match mode {
            Mode::Adaptive => {
                thinking.text("type", "adaptive");
            }
            Mode::Budget(tokens) => {
                thinking.text("type", "enabled").number("budget_tokens", tokens);
            }
            Mode::Off => {
                thinking.text("type", "disabled");
            }
        });
    }
}

fn plan_thinking(request: &Request, to: &Addressee<'_>, most: u64, lost: &mut Lost) -> Plan {
    let asked = &request.thinking;
    if *asked == (Thinking { wants_state: asked.wants_state, ..Thinking::default() }) {
        return Plan::default();
    }
    let is_forced = matches!(request.tool_choice, Some(ToolChoice::Required | ToolChoice::Named(_)));
    let step = asked.step();
    let settled = step.map(|step| to.control.settle(step));
    match to.control.kind {
        Some(ReasoningKind::AnthropicAdaptive) => {
            let step = step.map(|step| step.clamp(&to.control.levels));
            match step {
                Some(Effort::None) => Plan { mode: Some(Mode::Off), effort: None },
                // A forced tool and thinking exclude each other.
                _ if is_forced => {
                    lost.push(dropped("reasoning_effort"));
                    Plan { mode: Some(Mode::Off), effort: step }
                }
                step => Plan { mode: Some(Mode::Adaptive), effort: step },
            }
        }
        Some(ReasoningKind::AnthropicBudget) | None if step == Some(Effort::None) => {
            Plan { mode: Some(Mode::Off), effort: None }
        }
        Some(ReasoningKind::AnthropicBudget) => {
            let tokens =
                asked.budget.or_else(|| settled.map(Effort::budget)).unwrap_or_else(|| Effort::Medium.budget());
            plan_budget(request, tokens, most, is_forced, lost)
        }
        // Nothing is known of the model: what the client said is all there is.
        None => match (asked.budget, asked.is_adaptive) {
            (Some(tokens), _) => plan_budget(request, tokens, most, is_forced, lost),
            (None, is_adaptive) => Plan { mode: is_adaptive.then_some(Mode::Adaptive), effort: asked.effort },
        },
        Some(_) => {
            lost.push(dropped("reasoning_effort"));
            Plan::default()
        }
    }
}

/// The number must leave room for the answer, and the last turn of a tool loop must show what was thought before.
fn plan_budget(request: &Request, tokens: u64, most: u64, is_forced: bool, lost: &mut Lost) -> Plan {
    let tokens = tokens.max(LEAST_BUDGET).min(most.saturating_sub(1));
    if tokens < LEAST_BUDGET || is_forced || !shows_its_thoughts(request) {
        lost.push(dropped("reasoning_effort"));
        return Plan::default();
    }
    Plan { mode: Some(Mode::Budget(tokens)), effort: None }
}

/// Whether the assistant's last turn, if it calls tools, begins with thinking that can be sent back.
fn shows_its_thoughts(request: &Request) -> bool {
    let last = request.turns.iter().rev().find(|turn| turn.role == Role::Assistant);
    let Some(last) = last else { return true };
    let calls = last.parts.iter().any(|part| matches!(part, Part::ToolCall(_)));
    let thinks = last.parts.iter().any(
        |part| matches!(part, Part::Reasoning(Reasoning { state: Some(state), .. }) if state.wire == Wire::Messages),
    );
    !calls || thinks
}

fn write_system(out: &mut Out<'_>, request: &Request, lost: &mut Lost) {
    let turns = request.turns.iter().filter(|turn| matches!(turn.role, Role::System | Role::Developer));
    let turns = turns.inspect(|turn| lost.extend(turn.name.iter().map(|_| dropped("messages.name"))));
    let turns: Vec<_> = turns.collect();
    let parts: Vec<&Part> =
        turns.into_iter().flat_map(|turn| &turn.parts).filter(|part| !is_empty_text(part)).collect();
    let wants_json = request.format == Some(Format::JsonObject);
    if parts.is_empty() && !wants_json {
        return;
    }
    out.list("system", |list| {
        for part in parts {
            write_block(list, part, lost);
        }
        if wants_json {
            write_block(list, &Part::text(ONLY_JSON), lost);
        }
    });
}

/// Turns of one role that follow each other are one message; the results of tools come first in it.
fn write_turns(list: &mut Out<'_>, request: &Request, to: &Addressee<'_>, lost: &mut Lost) {
    let mut messages: Vec<(&str, Vec<&Part>)> = Vec::new();
    for turn in &request.turns {
        let role = match turn.role {
            Role::System | Role::Developer => continue,
            Role::User | Role::Tool => "user",
            Role::Assistant => "assistant",
        };
        if turn.name.is_some() {
            lost.push(dropped("messages.name"));
        }
        let parts = turn.parts.iter().filter(|part| is_kept(part, to, lost)).collect::<Vec<_>>();
        match messages.last_mut() {
            Some((last, known)) if *last == role => known.extend(parts),
            _ => messages.push((role, parts)),
        }
    }
    let count = messages.len();
    for (position, (role, mut parts)) in messages.into_iter().enumerate() {
        if role == "user" {
            parts.sort_by_key(|part| !matches!(part, Part::ToolResult(_)));
        }
        if parts.is_empty() && position + 1 < count {
            continue;
        }
        let is_prefill = role == "assistant" && position + 1 == count;
        list.item(|message| {
            message.text("role", role).list("content", |content| {
                let last = parts.len().saturating_sub(1);
                for (index, part) in parts.iter().enumerate() {
                    match part {
                        // A prefilled answer must not end in white space.
                        Part::Text { text, cache, .. } if is_prefill && index == last => {
                            let text = text.trim_end().to_owned();
                            let part = Part::Text { text, annotations: Vec::new(), cache: cache.clone() };
                            write_block(content, &part, lost);
                        }
                        part => write_block(content, part, lost),
                    }
                }
            });
        });
    }
}

fn is_empty_text(part: &Part) -> bool {
    part.as_text().is_some_and(|text| text.trim().is_empty())
}

fn is_kept(part: &Part, to: &Addressee<'_>, lost: &mut Lost) -> bool {
    match part {
        Part::Reasoning(reasoning) => {
            let is_ours = reasoning.state.as_ref().is_some_and(|state| state::is_for(state, Wire::Messages, to.origin));
            if !is_ours {
                lost.push(dropped("reasoning"));
            }
            is_ours
        }
        part => !is_empty_text(part),
    }
}

fn write_block(list: &mut Out<'_>, part: &Part, lost: &mut Lost) {
    match part {
        Part::Text { text, cache, .. } => {
            list.item(|block| {
                block.text("type", "text").text("text", text);
                breakpoint::write_ephemeral(block, cache.as_ref());
            });
        }
        Part::Refusal(text) => {
            list.item(|block| {
                block.text("type", "text").text("text", text);
            });
        }
        Part::Image { source, cache, detail } => {
            if detail.as_deref().is_some_and(|detail| detail != "auto") {
                lost.push(dropped("detail"));
            }
            list.item(|block| {
                block.text("type", "image");
                write_source(block, source);
                breakpoint::write_ephemeral(block, cache.as_ref());
            });
        }
        Part::File(media) => write_document(list, media),
        Part::Audio { .. } => lost.push(dropped("input_audio")),
        Part::ToolCall(call) => {
            list.item(|block| {
                block.text("type", "tool_use").text("id", &wire::tool_id(&call.id)).text("name", &call.name);
                block.raw("input", &wire::input_of(&call.arguments, call.is_custom));
                breakpoint::write_ephemeral(block, call.cache.as_ref());
            });
        }
        Part::ToolResult(result) => write_result(list, result, lost),
        Part::Reasoning(reasoning) => {
            let Some(state) = &reasoning.state else { return };
            list.item(|block| {
                if state.is_redacted {
                    block.text("type", "redacted_thinking").text("data", &state.data);
                } else {
                    block.text("type", "thinking").text("thinking", &reasoning.visible());
                    block.text("signature", &state.data);
                }
            });
        }
        Part::Native { wire: Wire::Messages, json, .. } => {
            list.item_raw(json.as_str());
        }
        Part::Native { kind, .. } => lost.push(Cow::Owned(kind.clone())),
    }
}

fn write_source(block: &mut Out<'_>, source: &Source) {
    block.object("source", |out| match source {
        Source::Url(url) => {
            out.text("type", "url").text("url", url);
        }
        Source::Data { media_type, data } => {
            out.text("type", "base64").text("media_type", media_type).text("data", data);
        }
        Source::Id(id) => {
            out.text("type", "file").text("file_id", id);
        }
        Source::Text(text) => {
            out.text("type", "text").text("media_type", "text/plain").text("data", text);
        }
    });
}

fn write_document(list: &mut Out<'_>, media: &Media) {
    // Only PDFs come as data; text that came as data is text here.
    let text = match &media.source {
        Source::Data { media_type, data } if media_type.starts_with("text/") => decode_text(data),
        _ => None,
    };
    let source = text.map_or_else(|| media.source.clone(), Source::Text);
    list.item(|block| {
        block.text("type", "document");
        write_source(block, &source);
        block.text_if("title", media.name.as_deref());
        for (name, json) in &media.extra {
            block.raw(name, json.as_str());
        }
        breakpoint::write_ephemeral(block, media.cache.as_ref());
    });
}

fn decode_text(data: &str) -> Option<String> {
    use base64::Engine as _;
    String::from_utf8(base64::engine::general_purpose::STANDARD.decode(data).ok()?).ok()
}

fn write_result(list: &mut Out<'_>, result: &ToolResult, lost: &mut Lost) {
    list.item(|block| {
        block.text("type", "tool_result").text("tool_use_id", &wire::tool_id(&result.call_id));
        let parts: Vec<&Part> = result.parts.iter().filter(|part| !is_empty_text(part)).collect();
        match parts.as_slice() {
            [] => {}
            [Part::Text { text, cache: None, .. }] => {
                block.text("content", text);
            }
            many => {
                block.list("content", |content| {
                    for part in many {
                        write_block(content, part, lost);
                    }
                });
            }
        }
        if let Some(is_error) = result.is_error {
            block.boolean("is_error", is_error);
        }
        breakpoint::write_ephemeral(block, result.cache.as_ref());
    });
}

fn write_tools(out: &mut Out<'_>, request: &Request, lost: &mut Lost) {
    let mut written: Vec<(Option<&str>, String)> = Vec::new();
    for tool in &request.tools {
        let text = match tool {
            Tool::Function { name, description, parameters, strict, cache } => out::object(|tool| {
                tool.text("name", name).text_if("description", description.as_deref());
                tool.raw("input_schema", parameters.as_ref().map_or(r#"{"type":"object"}"#, Json::as_str));
                if *strict == Some(true) {
                    tool.boolean("strict", true);
                }
                breakpoint::write_ephemeral(tool, cache.as_ref());
            }),
            Tool::Custom { name, description, format } => {
                if format.as_ref().is_some_and(|format| !is_any_text(format)) {
                    lost.push(dropped("tools.format"));
                }
                out::object(|tool| {
                    tool.text("name", name).text_if("description", description.as_deref());
                    tool.raw("input_schema", FREE_TEXT);
                })
            }
            Tool::Native { wire: Wire::Messages, json, .. } => json.as_str().to_owned(),
            Tool::Native { kind, .. } => {
                lost.push(Cow::Owned(format!("tools.{kind}")));
                continue;
            }
        };
        written.push((tool.name(), text));
    }
    if matches!(&request.tool_choice, Some(ToolChoice::Native { .. })) {
        lost.push(dropped("tool_choice"));
    }
    if written.is_empty() {
        return;
    }
    let chosen = match &request.tool_choice {
        Some(ToolChoice::Allowed { names, .. }) => Some(names),
        _ => None,
    };
    out.list("tools", |list| {
        for (name, text) in &written {
            // A subset of the tools is those tools alone.
            let is_allowed = chosen.is_none_or(|names| name.is_none_or(|name| names.iter().any(|own| own == name)));
            if is_allowed {
                list.item_raw(text);
            }
        }
    });
    let one_at_a_time = request.parallel_tool_calls == Some(false);
    let (kind, name) = match &request.tool_choice {
        None | Some(ToolChoice::Native { .. }) if !one_at_a_time => return,
        None | Some(ToolChoice::Native { .. } | ToolChoice::Auto) => ("auto", None),
        Some(ToolChoice::None) => ("none", None),
        Some(ToolChoice::Required) => ("any", None),
        Some(ToolChoice::Named(name)) => ("tool", Some(name)),
        Some(ToolChoice::Allowed { is_required, .. }) => (if *is_required { "any" } else { "auto" }, None),
    };
    out.object("tool_choice", |choice| {
        choice.text("type", kind).text_if("name", name.map(String::as_str));
        if one_at_a_time && kind != "none" {
            choice.boolean("disable_parallel_tool_use", true);
        }
    });
}

/// Whether the format of a custom tool allows any text.
fn is_any_text(format: &Json) -> bool {
    Node::root(format.as_str()).object().is_ok_and(|fields| fields.any_text("type").as_deref() == Some("text"))
}

fn write_config(out: &mut Out<'_>, request: &Request, effort: Option<Effort>, lost: &mut Lost) {
    let schema = match &request.format {
        Some(Format::Schema { schema, description, .. }) => {
            lost.extend(description.iter().map(|_| dropped("response_format.description")));
            Some(schema)
        }
        _ => None,
    };
    if schema.is_none() && effort.is_none() {
        return;
    }
    out.object("output_config", |config| {
        config.text_if("effort", effort.map(Effort::as_str));
        if let Some(schema) = schema {
            config.object("format", |format| {
                format.text("type", "json_schema").raw("schema", schema.as_str());
            });
        }
    });
}

fn write_parameters(out: &mut Out<'_>, request: &Request, thinks: bool, lost: &mut Lost) {
    let mut rest = request.clone();
    let user = rest.parameters.remove(&Parameter::User);
    let user = rest.parameters.remove(&Parameter::SafetyIdentifier).or(user).and_then(|user| user.read::<String>());
    if let Some(user) = user {
        out.object("metadata", |metadata| {
            metadata.text("user_id", &user);
        });
    }
    let tier = rest.parameters.remove(&Parameter::ServiceTier);
    match tier.and_then(|tier| tier.read::<String>()).as_deref() {
        None | Some("auto") => {}
        Some("default" | "standard") => {
            out.text("service_tier", "standard_only");
        }
        Some(_) => lost.push(dropped("service_tier")),
    }
    if thinks {
        // Thinking fixes them.
        for parameter in [Parameter::Temperature, Parameter::TopK, Parameter::TopP] {
            if rest.parameters.remove(&parameter).is_some_and(|value| value.as_str() != "1") {
                lost.push(dropped(parameter.as_str()));
            }
        }
    }
    // This wire ends where others have a second half.
    if let Some(value) = rest.parameters.get(&Parameter::Temperature).and_then(|value| value.read::<f64>())
        && value > 1.0
    {
        rest.parameters.insert(Parameter::Temperature, Json::of(&1));
    }
    fields::write(out, &rest, PARAMETERS, lost);
}

/// Writes a whole answer for a client.
#[must_use]
pub fn write_reply(reply: &Reply, frame: &Frame) -> Bytes {
    let calls = reply.tool_calls().next().is_some();
    let json = out::object(|out| {
        out.text("id", &answer_id(&reply.id, frame)).text("type", "message").text("role", "assistant");
        out.text("model", &frame.model);
        out.list("content", |list| {
            for part in &reply.parts {
                write_answer_block(list, part, frame);
            }
        });
        out.text("stop_reason", wire::write_stop(reply.finish.as_ref(), calls));
        out.text_or_null("stop_sequence", wire::sequence_of(reply.finish.as_ref()));
        out.object("usage", |out| wire::write_usage(out, &reply.usage.unwrap_or_default()));
    });
    json.into()
}

fn write_answer_block(list: &mut Out<'_>, part: &Part, frame: &Frame) {
    match part {
        Part::Text { text, annotations, .. } => {
            list.item(|block| {
                block.text("type", "text").text("text", text);
                let citations: Vec<String> = annotations.iter().filter_map(wire::write_citation).collect();
                // Left out rather than `null`: clients that check shapes take a list or nothing.
                if !citations.is_empty() {
                    block.list("citations", |list| {
                        for citation in &citations {
                            list.item_raw(citation);
                        }
                    });
                }
            });
        }
        Part::Reasoning(reasoning) => {
            list.item(|block| match &reasoning.state {
                Some(state) if state.is_redacted && state.wire == Wire::Messages => {
                    block.text("type", "redacted_thinking").text("data", &state.data);
                }
                state => {
                    let signature = state.as_ref().map(|state| state::write(state, Wire::Messages, &frame.origin));
                    block.text("type", "thinking").text("thinking", &reasoning.visible());
                    block.text("signature", &signature.unwrap_or_default());
                }
            });
        }
        Part::Image { source: Source::Data { media_type, data }, .. } => {
            list.item(|block| {
                block.text("type", "image").object("source", |out| {
                    out.text("type", "base64").text("media_type", media_type).text("data", data);
                });
            });
        }
        Part::Native { wire, .. } if *wire != Wire::Messages => {}
        part => write_block(list, part, &mut Lost::new()),
    }
}

/// The provider's id of an answer where it is one of this wire's, or one of ours.
pub(super) fn answer_id(stated: &str, frame: &Frame) -> String {
    if stated.starts_with("msg_") { stated.to_owned() } else { format!("msg_{}", frame.id) }
}
