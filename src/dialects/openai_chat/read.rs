//! Requests of clients to canonical.

use std::collections::BTreeMap;

pub use super::read_reply::read_reply;
pub(super) use super::read_reply::{chat_state, read_details, read_thought};
use super::wire::{PARAMETERS, READ_ELSEWHERE};
use crate::canonical::text::{
    Effort, Format, Media, Part, Reasoning, Request, Role, Source, State, Thinking, Tool, ToolCall, ToolChoice,
    ToolResult, Turn,
};
use crate::canonical::{Json, Wire};
use crate::dialects::node::{Members, Node, Unread};
use crate::dialects::state;
use crate::dialects::{breakpoint, fields};
use crate::fault::Outcome;

/// Reads a request into the canonical form.
///
/// # Errors
/// `BadRequest` that names the field.
pub fn read_request(body: &str) -> Outcome<Request> {
    let unread = Unread::but(READ_ELSEWHERE);
    let request = read_fields(&Node::watched(body, &unread).object()?)?;
    Ok(Request { unknown: unread.paths(), ..request })
}

fn read_fields(root: &Members<'_>) -> Outcome<Request> {
    let mut turns = Vec::new();
    for message in root.need("messages")?.list()? {
        turns.extend(read_message(&message)?);
    }
    let mut tools = Vec::new();
    for tool in root.list("tools")? {
        tools.push(read_tool(&tool)?);
    }
    for function in root.list("functions")? {
        tools.push(read_function(&function.object()?)?);
    }
    let choice = root.get("tool_choice").map(|choice| read_tool_choice(&choice)).transpose()?;
    let choice = match (choice, root.get("function_call")) {
        (None, Some(call)) => Some(read_function_choice(&call)?),
        (choice, _) => choice,
    };
    let max_output_tokens = match root.whole("max_completion_tokens")? {
        Some(most) => Some(most),
        None => root.whole("max_tokens")?,
    };
    Ok(Request {
        turns,
        tools,
        tool_choice: choice,
        parallel_tool_calls: root.boolean("parallel_tool_calls")?,
        max_output_tokens,
        stop: read_stop(root)?,
        format: root.get("response_format").map(|format| read_format(&format)).transpose()?,
        thinking: read_thinking(root)?,
        parameters: fields::read(root, PARAMETERS),
        unknown: Vec::new(),
        is_stream: root.boolean("stream")?.unwrap_or_default(),
    })
}

fn read_message(message: &Node<'_>) -> Outcome<Vec<Turn>> {
    let fields = message.object()?;
    let role_node = fields.need("role")?;
    let role = match role_node.text()?.as_str() {
        "system" => Role::System,
        "developer" => Role::Developer,
        "user" => Role::User,
        "assistant" => Role::Assistant,
        "tool" | "function" => Role::Tool,
        other => {
            let shown: String = other.chars().take(40).collect();
            return Err(
                role_node.refuse(format!("must be one of developer, system, user, assistant, tool; is `{shown}`"))
            );
        }
    };
    let mut parts = Vec::new();
    let mut calls = Vec::new();
    if role == Role::Assistant {
        let thought = fields.any_text("reasoning_content").or_else(|| fields.any_text("reasoning"));
        let thought = thought.filter(|text| !text.is_empty());
        let mut reasoning = thought.map(|text| Reasoning { text, state: Some(chat_state()), ..Reasoning::default() });
        if let Some(details) = fields.get("reasoning_details").filter(Node::is_list) {
            let state = State { data: details.raw().to_owned(), ..chat_state() };
            reasoning.get_or_insert_default().state = Some(state);
        }
        for call in fields.list("tool_calls")? {
            let (call, carried) = read_call(&call)?;
            if let Some(carried) = carried {
                // The first goes with what was thought; further ones stay with their calls.
                match &mut reasoning {
                    Some(Reasoning { state: Some(known), .. }) if !known.data.is_empty() => {
                        let state = Some(carried);
                        calls.push(Part::Reasoning(Reasoning { state, ..Reasoning::default() }));
                    }
                    reasoning => reasoning.get_or_insert_default().state = Some(carried),
                }
            }
            calls.push(Part::ToolCall(call));
        }
        if let Some(call) = fields.object("function_call")? {
            let name = call.need("name")?.text()?;
            let arguments = call.text("arguments")?.unwrap_or_default();
            calls.push(Part::ToolCall(ToolCall { id: name.clone(), name, arguments, ..ToolCall::default() }));
        }
        parts.extend(reasoning.map(Part::Reasoning));
    }
    if let Some(content) = fields.get("content") {
        parts.extend(read_content(&content)?);
    }
    if let Some(refusal) = fields.text("refusal")? {
        parts.push(Part::Refusal(refusal));
    }
    if role == Role::Tool {
        let call_id = match fields.text("tool_call_id")? {
            Some(id) => state::read_id(&id).0.to_owned(),
            None => fields.need("name")?.text()?,
        };
        let cache = fields.get("cache_control").map(|node| node.json());
        let result = ToolResult { call_id, parts, is_error: None, is_custom: false, cache };
        return Ok(vec![Turn::new(role, vec![Part::ToolResult(result)])]);
    }
    parts.extend(calls);
    Ok(vec![Turn { role, parts, name: fields.text("name")? }])
}

fn read_content(content: &Node<'_>) -> Outcome<Vec<Part>> {
    if content.is_text() {
        return Ok(vec![Part::text(content.text()?)]);
    }
    if !content.is_list() {
        return Err(content.refuse("must be a string or an array of parts"));
    }
    content.list()?.iter().map(read_part).collect()
}

fn read_part(part: &Node<'_>) -> Outcome<Part> {
    let fields = part.object()?;
    let kind = fields.need("type")?;
    // Sound has no place for it.
    let cache = if fields.has("input_audio") { None } else { breakpoint::read(&fields) };
    Ok(match kind.text()?.as_str() {
        "text" => Part::Text { text: fields.need("text")?.text()?, annotations: Vec::new(), cache },
        "refusal" => Part::Refusal(fields.need("refusal")?.text()?),
        "image_url" => {
            let image = fields.need("image_url")?;
            if image.is_text() {
                return Ok(Part::Image { source: Source::from_url(&image.text()?), detail: None, cache });
            }
            let image = image.object()?;
            let url = image.need("url")?.text()?;
            Part::Image { source: Source::from_url(&url), detail: image.text("detail")?, cache }
        }
        "input_audio" => {
            let audio = fields.need("input_audio")?.object()?;
            Part::Audio { data: audio.need("data")?.text()?, format: audio.need("format")?.text()? }
        }
        "file" => {
            let file = fields.need("file")?.object()?;
            let source = match (file.text("file_id")?, file.text("file_data")?) {
                (Some(id), _) => Source::Id(id),
                (None, Some(data)) => file_data(&data),
                (None, None) => return Err(part.refuse("needs file.file_id or file.file_data")),
            };
            Part::File(Media { source, name: file.text("filename")?, cache, extra: Vec::new() })
        }
        other => {
            let shown: String = other.chars().take(40).collect();
            return Err(
                kind.refuse(format!("must be one of text, image_url, input_audio, file, refusal; is `{shown}`"))
            );
        }
    })
}

/// A `data:` URL, or bare base64, which is a PDF by the API's own reference.
pub(in crate::dialects) fn file_data(data: &str) -> Source {
    match Source::from_url(data) {
        Source::Url(url) if !url.contains("://") => {
            Source::Data { media_type: "application/pdf".to_owned(), data: url }
        }
        source => source,
    }
}

fn read_call(call: &Node<'_>) -> Outcome<(ToolCall, Option<State>)> {
    let fields = call.object()?;
    let id = fields.need("id")?.text()?;
    let (id, carried) = state::read_id(&id);
    let id = id.to_owned();
    let call = match fields.object("custom")? {
        Some(custom) => ToolCall {
            id,
            name: custom.need("name")?.text()?,
            arguments: custom.text("input")?.unwrap_or_default(),
            is_custom: true,
            ..ToolCall::default()
        },
        None => {
            let function = fields.need("function")?.object()?;
            let arguments = function.text("arguments")?.unwrap_or_default();
            ToolCall { id, name: function.need("name")?.text()?, arguments, ..ToolCall::default() }
        }
    };
    Ok((call, carried))
}

pub(super) fn read_tool(tool: &Node<'_>) -> Outcome<Tool> {
    let fields = tool.object()?;
    // Hosts whose own libraries leave the type out take nothing else.
    let kind = if fields.has("function") { fields.text("type")? } else { Some(fields.need("type")?.text()?) };
    match kind.as_deref().unwrap_or("function") {
        "function" => {
            let mut read = read_function(&fields.need("function")?.object()?)?;
            if let Tool::Function { cache, .. } = &mut read
                && let Some(breakpoint) = fields.get("cache_control")
            {
                *cache = Some(breakpoint.json());
            }
            Ok(read)
        }
        "custom" => {
            let custom = fields.need("custom")?.object()?;
            Ok(Tool::Custom {
                name: custom.need("name")?.text()?,
                description: custom.text("description")?,
                format: custom.get("format").map(|node| node.json()),
            })
        }
        kind => Ok(Tool::Native { wire: Wire::Chat, kind: kind.to_owned(), json: fields.carried(tool) }),
    }
}

fn read_function(function: &Members<'_>) -> Outcome<Tool> {
    Ok(Tool::Function {
        name: function.need("name")?.text()?,
        description: function.text("description")?,
        parameters: function.get("parameters").map(|node| node.whole_object()).transpose()?,
        strict: function.boolean("strict")?,
        cache: None,
    })
}

pub(super) fn read_tool_choice(choice: &Node<'_>) -> Outcome<ToolChoice> {
    const ALLOWED: &str = "must be auto, none, required, or an object that names a tool";
    if choice.is_text() {
        return match choice.text()?.as_str() {
            "auto" => Ok(ToolChoice::Auto),
            "none" => Ok(ToolChoice::None),
            "required" | "any" => Ok(ToolChoice::Required),
            _ => Err(choice.refuse(ALLOWED)),
        };
    }
    let fields = choice.object().map_err(|_| choice.refuse(ALLOWED))?;
    match fields.any_text("type").as_deref() {
        Some("custom") => Ok(ToolChoice::Named(fields.need("custom")?.object()?.need("name")?.text()?)),
        Some("allowed_tools") => {
            let allowed = fields.need("allowed_tools")?.object()?;
            let mut names = Vec::new();
            for tool in allowed.need("tools")?.list()? {
                let tool = tool.object()?;
                let inner = tool.object("function")?.or(tool.object("custom")?);
                names.push(match inner {
                    Some(inner) => inner.need("name")?.text()?,
                    None => tool.need("name")?.text()?,
                });
            }
            let is_required = allowed.any_text("mode").as_deref() == Some("required");
            Ok(ToolChoice::Allowed { is_required, names })
        }
        Some("function") | None => Ok(ToolChoice::Named(fields.need("function")?.object()?.need("name")?.text()?)),
        Some(_) => Ok(ToolChoice::Native { wire: Wire::Chat, json: fields.carried(choice) }),
    }
}

fn read_function_choice(call: &Node<'_>) -> Outcome<ToolChoice> {
    if call.is_text() {
        return match call.text()?.as_str() {
            "auto" => Ok(ToolChoice::Auto),
            "none" => Ok(ToolChoice::None),
            _ => Err(call.refuse("must be auto, none, or an object with a name")),
        };
    }
    Ok(ToolChoice::Named(call.object()?.need("name")?.text()?))
}

fn read_stop(root: &Members<'_>) -> Outcome<Vec<String>> {
    match root.get("stop") {
        None => Ok(Vec::new()),
        Some(stop) if stop.is_text() => Ok(vec![stop.text()?]),
        Some(stop) => stop
            .list()
            .map_err(|_| stop.refuse("must be a string or an array of strings"))?
            .iter()
            .map(Node::text)
            .collect(),
    }
}

pub(super) fn read_format(format: &Node<'_>) -> Outcome<Format> {
    let fields = format.object()?;
    let kind = fields.need("type")?;
    match kind.text()?.as_str() {
        "text" => Ok(Format::Text),
        "json_object" => Ok(Format::JsonObject),
        "json_schema" => {
            let schema = fields.need("json_schema")?.object()?;
            Ok(Format::Schema {
                name: schema.text("name")?,
                description: schema.text("description")?,
                schema: schema
                    .get("schema")
                    .map_or_else(|| Json::of(&BTreeMap::<String, String>::new()), |node| node.json()),
                strict: schema.boolean("strict")?,
            })
        }
        _ => Err(kind.refuse("must be text, json_object or json_schema")),
    }
}

fn read_thinking(root: &Members<'_>) -> Outcome<Thinking> {
    let mut thinking = Thinking { wants_state: true, ..Thinking::default() };
    if let Some(effort) = root.get("reasoning_effort") {
        thinking.effort = Some(read_effort(&effort)?);
        return Ok(thinking);
    }
    // The forms of OpenRouter, of Anthropic and those that follow it, and of Alibaba.
    let reasoning = root.any_object("reasoning");
    let switch = root.any_object("thinking");
    let is_off = |fields: &Members<'_>| fields.get("enabled").and_then(|on| on.read::<bool>()) == Some(false);
    let says = switch.any_text("type");
    thinking.effort = reasoning.get("effort").map(|effort| read_effort(&effort)).transpose()?;
    thinking.budget = reasoning.any_count("max_tokens").or_else(|| switch.any_count("budget_tokens"));
    thinking.budget = thinking.budget.or_else(|| root.any_count("thinking_budget"));
    thinking.is_adaptive = says.as_deref() == Some("adaptive");
    let enabled = root.get("enable_thinking").and_then(|on| on.read::<bool>());
    if is_off(&reasoning) || says.as_deref() == Some("disabled") || enabled == Some(false) {
        thinking.effort = Some(Effort::None);
    } else if (says.as_deref() == Some("enabled") || enabled == Some(true)) && thinking.step().is_none() {
        thinking.effort = Some(Effort::Medium);
    }
    Ok(thinking)
}

/// A step of the ladder.
pub(in crate::dialects) fn read_effort(effort: &Node<'_>) -> Outcome<Effort> {
    Effort::parse(&effort.text()?)
        .ok_or_else(|| effort.refuse("must be one of none, minimal, low, medium, high, xhigh, max"))
}
