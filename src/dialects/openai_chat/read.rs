//! Bytes to canonical: requests of clients, whole answers of providers.

use std::collections::BTreeMap;

use super::wire::{self, PARAMETERS, READ_ELSEWHERE};
use crate::canonical::text::{
    Effort, Finish, Format, Media, Part, Reasoning, Reply, Request, Role, Source, State, Thinking, Tool, ToolCall,
    ToolChoice, ToolResult, Turn,
};
use crate::canonical::{Json, Wire};
use crate::dialects::native::{ReplyError, StreamError};
use crate::dialects::node::{Members, Node, Unread};
use crate::dialects::openai_chat::fault::read_error_value;
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
        let mut reasoning = thought.map(|text| Reasoning { text, ..Reasoning::default() });
        for call in fields.list("tool_calls")? {
            let (call, carried) = read_call(&call)?;
            if let Some(carried) = carried {
                // The first goes with what was thought; further ones stay with their calls.
                match &mut reasoning {
                    Some(Reasoning { state: Some(_), .. }) => {
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

fn read_tool(tool: &Node<'_>) -> Outcome<Tool> {
    let fields = tool.object()?;
    match fields.need("type")?.text()?.as_str() {
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

fn read_tool_choice(choice: &Node<'_>) -> Outcome<ToolChoice> {
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

fn read_format(format: &Node<'_>) -> Outcome<Format> {
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
    let stated = match root.get("reasoning_effort") {
        Some(effort) => Some(effort),
        // The form of OpenRouter.
        None => root.get("reasoning").and_then(|node| node.object().ok()).and_then(|fields| fields.get("effort")),
    };
    let effort = stated.map(|effort| read_effort(&effort)).transpose()?;
    Ok(Thinking { effort, wants_state: true, ..Thinking::default() })
}

/// A step of the ladder.
pub(in crate::dialects) fn read_effort(effort: &Node<'_>) -> Outcome<Effort> {
    Effort::parse(&effort.text()?)
        .ok_or_else(|| effort.refuse("must be one of none, minimal, low, medium, high, xhigh, max"))
}

/// Reads a whole answer; the first choice is the answer.
///
/// # Errors
/// [`ReplyError`].
pub fn read_reply(body: &[u8]) -> Result<Reply, ReplyError> {
    let text = std::str::from_utf8(body).map_err(|_| ReplyError::Malformed("it is not UTF-8"))?;
    let json = serde_json::from_str::<&serde_json::value::RawValue>(text);
    let json = json.map_err(|_| ReplyError::Malformed("it is not JSON"))?;
    let root = Node::root(json.get()).object().map_err(|_| ReplyError::Malformed("it is not a JSON object"))?;
    if let Some(error) = root.get("error") {
        return Err(ReplyError::Provider(Box::new(read_error_value(error.raw().as_bytes()))));
    }
    let choices = root.any_list("choices");
    let choice = choices.first().and_then(|choice| choice.object().ok());
    let choice = choice.ok_or(ReplyError::Malformed("there are no `choices`"))?;
    if let Some(error) = choice.get("error") {
        return Err(ReplyError::Provider(Box::new(read_error_value(error.raw().as_bytes()))));
    }
    let message = choice.get("message").and_then(|node| node.object().ok());
    let message = message.ok_or(ReplyError::Malformed("a choice has no `message`"))?;
    let parts = read_answer(&message);
    let mut finish =
        choice.any_text("finish_reason").filter(|word| !word.is_empty()).map(|word| wire::read_finish(&word));
    let calls = parts.iter().any(|part| matches!(part, Part::ToolCall(_)));
    if calls && matches!(finish, None | Some(Finish::Stop)) {
        finish = Some(Finish::ToolCalls);
    }
    Ok(Reply {
        id: root.any_text("id").unwrap_or_default(),
        parts,
        finish,
        usage: root.get("usage").and_then(|node| node.object().ok()).and_then(|usage| wire::read_usage(&usage)),
        service_tier: root.any_text("service_tier"),
        logprobs: choice.any_object("logprobs").get("content").map(|node| node.json()),
    })
}

fn read_answer(message: &Members<'_>) -> Vec<Part> {
    let mut parts = Vec::new();
    let thought = read_thought(message);
    if !thought.is_empty() {
        parts.push(Part::Reasoning(Reasoning { text: thought, state: Some(chat_state()), ..Reasoning::default() }));
    }
    let annotations = message.any_list("annotations").iter().filter_map(wire::read_annotation).collect::<Vec<_>>();
    match message.get("content") {
        Some(content) if content.is_text() => {
            let text = content.text().unwrap_or_default();
            if !text.is_empty() || !annotations.is_empty() {
                parts.push(Part::Text { text, annotations, cache: None });
            }
        }
        Some(content) => {
            for piece in content.list().unwrap_or_default() {
                match wire::read_piece(&piece) {
                    Some(wire::Piece::Text(text)) => parts.push(Part::text(text)),
                    Some(wire::Piece::Thought(text)) => parts.push(Part::Reasoning(Reasoning {
                        text,
                        state: Some(chat_state()),
                        ..Reasoning::default()
                    })),
                    Some(wire::Piece::Image(url)) => {
                        parts.push(Part::Image { source: Source::from_url(&url), detail: None, cache: None });
                    }
                    None => {}
                }
            }
        }
        None => {}
    }
    parts.extend(message.any_text("refusal").filter(|text| !text.is_empty()).map(Part::Refusal));
    for image in message.any_list("images") {
        if let Some(url) = wire::image_url(&image) {
            parts.push(Part::Image { source: Source::from_url(&url), detail: None, cache: None });
        }
    }
    if let Some(audio) = message.get("audio").and_then(|node| node.object().ok()) {
        if let Some(transcript) = audio.any_text("transcript").filter(|text| !text.is_empty()) {
            parts.push(Part::text(transcript));
        }
        if let Some(data) = audio.any_text("data") {
            parts.push(Part::Audio { data, format: String::new() });
        }
    }
    for (index, call) in message.any_list("tool_calls").iter().enumerate() {
        let Ok(call) = call.object() else { continue };
        let id = call.any_text("id").unwrap_or_else(|| format!("call_{index}"));
        let custom = call.any_object("custom");
        if let Some(name) = custom.any_text("name") {
            let arguments = custom.any_text("input").unwrap_or_default();
            parts.push(Part::ToolCall(ToolCall { id, name, arguments, is_custom: true, ..ToolCall::default() }));
            continue;
        }
        let function = call.any_object("function");
        let arguments = wire::arguments(&function);
        let name = function.any_text("name").unwrap_or_default();
        parts.push(Part::ToolCall(ToolCall { id, name, arguments, ..ToolCall::default() }));
    }
    if let Some(call) = message.get("function_call").and_then(|node| node.object().ok())
        && let Some(name) = call.any_text("name")
    {
        let arguments = wire::arguments(&call);
        parts.push(Part::ToolCall(ToolCall { id: format!("call_{name}"), name, arguments, ..ToolCall::default() }));
    }
    parts
}

/// Reasoning under the names that hosts give it.
pub(super) fn read_thought(message: &Members<'_>) -> String {
    let named = message.any_text("reasoning_content").or_else(|| message.any_text("reasoning"));
    if let Some(text) = named.filter(|text| !text.is_empty()) {
        return text;
    }
    let details = message.any_list("reasoning_details");
    let text = |detail: &Node<'_>| {
        let detail = detail.object().ok()?;
        detail.any_text("text").or_else(|| detail.any_text("summary"))
    };
    details.iter().filter_map(text).collect()
}

/// Marks reasoning that its maker wants back in `reasoning_content`, though nothing in it is opaque.
pub(super) fn chat_state() -> State {
    State { wire: Wire::Chat, is_redacted: false, data: String::new(), origin: None }
}

impl From<StreamError> for ReplyError {
    fn from(error: StreamError) -> Self {
        match error {
            StreamError::Provider(error) => Self::Provider(error),
            StreamError::Malformed(what) => Self::Malformed(what),
        }
    }
}
