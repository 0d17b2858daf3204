//! Bytes to canonical: requests of clients, whole answers of providers.

use super::wire::{self, ENCRYPTED_REASONING, LOGPROBS, PARAMETERS, READ_ELSEWHERE};
use crate::canonical::text::{
    Format, Media, Parameter, Part, Reasoning, Reply, Request, Role, Source, State, Thinking, Tool, ToolCall,
    ToolChoice, ToolResult, Turn,
};
use crate::canonical::{Json, Wire};
use crate::dialects::native::ReplyError;
use crate::dialects::node::{Members, Node, Unread};
use crate::dialects::openai_chat::fault::read_error_value;
use crate::dialects::openai_chat::read::{file_data, read_effort};
use crate::dialects::state;
use crate::dialects::{breakpoint, fields};
use crate::fault::{Fault, Kind, Outcome};

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
    if let Some(instructions) = root.get("instructions") {
        turns.push(Turn::new(Role::System, vec![Part::text(instructions.text()?)]));
    }
    if let Some(input) = root.get("input") {
        read_input(&input, &mut turns)?;
    }
    let mut tools = Vec::new();
    for tool in root.list("tools")? {
        tools.push(read_tool(&tool)?);
    }
    let text = root.object("text")?.unwrap_or_else(Members::none);
    let mut parameters = fields::read(root, PARAMETERS);
    parameters.extend(text.get("verbosity").map(|verbosity| (Parameter::Verbosity, verbosity.json())));
    let include = root.list("include")?.iter().map(Node::text).collect::<Outcome<Vec<_>>>()?;
    if include.iter().any(|name| name == LOGPROBS) {
        parameters.insert(Parameter::Logprobs, Json::of(&true));
    }
    let others: Vec<&String> =
        include.iter().filter(|name| *name != ENCRYPTED_REASONING && *name != LOGPROBS).collect();
    if !others.is_empty() {
        parameters.insert(Parameter::Include, Json::of(&others));
    }
    let reasoning = root.object("reasoning")?.unwrap_or_else(Members::none);
    let thinking = Thinking {
        effort: reasoning.get("effort").map(|effort| read_effort(&effort)).transpose()?,
        summary: match reasoning.text("summary")? {
            Some(summary) => Some(summary),
            None => reasoning.text("generate_summary")?,
        },
        wants_state: include.iter().any(|name| name == ENCRYPTED_REASONING),
        ..Thinking::default()
    };
    Ok(Request {
        turns,
        tools,
        tool_choice: root.get("tool_choice").map(|choice| read_choice(&choice)).transpose()?,
        parallel_tool_calls: root.boolean("parallel_tool_calls")?,
        max_output_tokens: root.whole("max_output_tokens")?,
        stop: Vec::new(),
        format: text.get("format").map(|format| read_format(&format)).transpose()?,
        thinking,
        parameters,
        unknown: Vec::new(),
        is_stream: root.boolean("stream")?.unwrap_or_default(),
    })
}

/// Items of the assistant that follow each other are one turn.
fn read_input(input: &Node<'_>, turns: &mut Vec<Turn>) -> Outcome<()> {
    if input.is_text() {
        turns.push(Turn::new(Role::User, vec![Part::text(input.text()?)]));
        return Ok(());
    }
    let items = input.list().map_err(|_| input.refuse("must be a string or an array of items"))?;
    for item in items {
        let (role, parts) = read_item(&item)?;
        match turns.last_mut() {
            Some(last) if role == Role::Assistant && last.role == Role::Assistant => last.parts.extend(parts),
            _ => turns.push(Turn::new(role, parts)),
        }
    }
    Ok(())
}

/// Checks an item of a client's input.
///
/// # Errors
/// `BadRequest` that names the field.
pub fn check_item(item: &Node<'_>) -> Outcome<()> {
    read_item(item).map(drop)
}

fn read_item(item: &Node<'_>) -> Outcome<(Role, Vec<Part>)> {
    let fields = item.object()?;
    let kind = match fields.get("type") {
        Some(kind) => kind.text()?,
        None => "message".to_owned(),
    };
    Ok(match kind.as_str() {
        "message" => read_message(&fields)?,
        "function_call" | "custom_tool_call" => {
            let is_custom = kind == "custom_tool_call";
            let text = if is_custom { "input" } else { "arguments" };
            let id = fields.need("call_id")?.text()?;
            let (id, _) = state::read_id(&id);
            let call = ToolCall {
                id: id.to_owned(),
                name: fields.need("name")?.text()?,
                arguments: fields.need(text)?.text()?,
                is_custom,
                item_id: fields.text("id")?,
                cache: None,
            };
            (Role::Assistant, vec![Part::ToolCall(call)])
        }
        "function_call_output" | "custom_tool_call_output" => {
            let id = fields.need("call_id")?.text()?;
            let output = fields.need("output")?;
            let result = ToolResult {
                call_id: state::read_id(&id).0.to_owned(),
                parts: read_content(&output)?,
                is_error: None,
                is_custom: kind == "custom_tool_call_output",
                cache: None,
            };
            (Role::Tool, vec![Part::ToolResult(result)])
        }
        "reasoning" => (Role::Assistant, vec![Part::Reasoning(read_reasoning(&fields))]),
        "item_reference" => {
            let id = fields.need("id")?;
            return Err(id.refuse("names an item that is not known here; send the item itself"));
        }
        _ => (Role::Assistant, vec![Part::Native { wire: Wire::Responses, kind, json: fields.carried(item) }]),
    })
}

fn read_message(fields: &Members<'_>) -> Outcome<(Role, Vec<Part>)> {
    let role = fields.need("role")?;
    let role = match role.text()?.as_str() {
        "system" => Role::System,
        "developer" => Role::Developer,
        "user" => Role::User,
        "assistant" => Role::Assistant,
        other => {
            let shown: String = other.chars().take(40).collect();
            return Err(role.refuse(format!("must be one of user, assistant, system, developer; is `{shown}`")));
        }
    };
    Ok((role, read_content(&fields.need("content")?)?))
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
    Ok(match kind.text()?.as_str() {
        "input_text" | "output_text" | "text" | "summary_text" => Part::Text {
            text: fields.need("text")?.text()?,
            annotations: fields.any_list("annotations").iter().map(Node::json).collect(),
            cache: breakpoint::read(&fields),
        },
        "refusal" => Part::Refusal(fields.need("refusal")?.text()?),
        "input_image" => {
            let source = match (fields.text("image_url")?, fields.text("file_id")?) {
                (Some(url), _) => Source::from_url(&url),
                (None, Some(id)) => Source::Id(id),
                (None, None) => return Err(part.refuse("needs image_url or file_id")),
            };
            Part::Image { source, detail: fields.text("detail")?, cache: breakpoint::read(&fields) }
        }
        "input_file" => {
            let source = match (fields.text("file_id")?, fields.text("file_url")?, fields.text("file_data")?) {
                (Some(id), _, _) => Source::Id(id),
                (None, Some(url), _) => Source::Url(url),
                (None, None, Some(data)) => file_data(&data),
                (None, None, None) => return Err(part.refuse("needs file_id, file_url or file_data")),
            };
            let cache = breakpoint::read(&fields);
            Part::File(Media { source, name: fields.text("filename")?, cache, extra: Vec::new() })
        }
        "input_audio" => {
            let audio = fields.object("input_audio")?.unwrap_or_else(|| fields.clone());
            Part::Audio { data: audio.need("data")?.text()?, format: audio.need("format")?.text()? }
        }
        other => {
            let shown: String = other.chars().take(40).collect();
            let allowed = "must be one of input_text, input_image, input_file, input_audio, output_text, refusal";
            return Err(kind.refuse(format!("{allowed}; is `{shown}`")));
        }
    })
}

/// A reasoning item, of a request or of an answer.
pub(super) fn read_reasoning(fields: &Members<'_>) -> Reasoning {
    let texts = |name: &str| -> Vec<String> {
        let list = fields.any_list(name);
        list.iter().filter_map(|part| part.object().ok()?.any_text("text")).collect()
    };
    let encrypted = fields.any_text("encrypted_content").filter(|data| !data.is_empty());
    Reasoning {
        id: fields.any_text("id"),
        text: texts("content").concat(),
        summary: texts("summary"),
        state: encrypted.map(|data| state::read(&data, Wire::Responses)),
    }
}

fn read_tool(tool: &Node<'_>) -> Outcome<Tool> {
    let fields = tool.object()?;
    let kind = fields.need("type")?.text()?;
    Ok(match kind.as_str() {
        "function" => Tool::Function {
            name: fields.need("name")?.text()?,
            description: fields.text("description")?,
            parameters: fields.get("parameters").map(|node| node.whole_object()).transpose()?,
            strict: fields.boolean("strict")?,
            cache: None,
        },
        "custom" => Tool::Custom {
            name: fields.need("name")?.text()?,
            description: fields.text("description")?,
            format: fields.get("format").map(|node| node.json()),
        },
        _ => Tool::Native { wire: Wire::Responses, kind, json: fields.carried(tool) },
    })
}

fn read_choice(choice: &Node<'_>) -> Outcome<ToolChoice> {
    if choice.is_text() {
        return match choice.text()?.as_str() {
            "auto" => Ok(ToolChoice::Auto),
            "none" => Ok(ToolChoice::None),
            "required" => Ok(ToolChoice::Required),
            _ => Err(choice.refuse("must be auto, none, required, or an object that names a tool")),
        };
    }
    let fields = choice.object()?;
    Ok(match fields.need("type")?.text()?.as_str() {
        "function" | "custom" => ToolChoice::Named(fields.need("name")?.text()?),
        "allowed_tools" => {
            let tools = fields.need("tools")?.list()?;
            let names = tools.iter().map(|tool| tool.object()?.text("name")).collect::<Outcome<Vec<_>>>()?;
            let is_required = fields.any_text("mode").as_deref() == Some("required");
            ToolChoice::Allowed { is_required, names: names.into_iter().flatten().collect() }
        }
        _ => ToolChoice::Native { wire: Wire::Responses, json: fields.carried(choice) },
    })
}

fn read_format(format: &Node<'_>) -> Outcome<Format> {
    let fields = format.object()?;
    let kind = fields.need("type")?;
    match kind.text()?.as_str() {
        "text" => Ok(Format::Text),
        "json_object" => Ok(Format::JsonObject),
        "json_schema" => Ok(Format::Schema {
            name: fields.text("name")?,
            description: fields.text("description")?,
            schema: fields.need("schema")?.json(),
            strict: fields.boolean("strict")?,
        }),
        _ => Err(kind.refuse("must be text, json_object or json_schema")),
    }
}

/// Reads a whole answer.
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
    if !root.get("output").is_some_and(|output| output.is_list()) {
        return Err(ReplyError::Malformed("there is no `output`"));
    }
    if let Some(status @ ("failed" | "cancelled" | "queued" | "in_progress")) = root.any_text("status").as_deref() {
        let message = format!("the response is {status}");
        let error = crate::dialects::ProviderError { message, ..Default::default() };
        return Err(ReplyError::Provider(Box::new(error)));
    }
    let mut parts = Vec::new();
    let mut logprobs: Vec<Json> = Vec::new();
    for item in root.any_list("output") {
        read_output(&item, &mut parts, &mut logprobs);
    }
    let calls = parts.iter().any(|part| matches!(part, Part::ToolCall(_)));
    Ok(Reply {
        id: root.any_text("id").unwrap_or_default(),
        finish: Some(wire::read_finish(&root, calls)),
        parts,
        usage: wire::read_usage(&root),
        service_tier: root.any_text("service_tier"),
        logprobs: (!logprobs.is_empty()).then(|| Json::of(&logprobs)),
    })
}

/// Reads one item of an answer.
pub(super) fn read_output(item: &Node<'_>, parts: &mut Vec<Part>, logprobs: &mut Vec<Json>) {
    let Ok(fields) = item.object() else { return };
    let kind = fields.any_text("type").unwrap_or_default();
    match kind.as_str() {
        "message" => {
            for part in fields.any_list("content") {
                let Ok(content) = part.object() else { continue };
                logprobs.extend(content.any_list("logprobs").iter().map(Node::json));
                if let Some(text) = content.any_text("refusal") {
                    parts.push(Part::Refusal(text));
                } else if let Some(text) = content.any_text("text") {
                    let annotations = content.any_list("annotations").iter().map(Node::json).collect();
                    parts.push(Part::Text { text, annotations, cache: None });
                }
            }
        }
        "function_call" | "custom_tool_call" => {
            let is_custom = kind == "custom_tool_call";
            let text = if is_custom { "input" } else { "arguments" };
            parts.push(Part::ToolCall(ToolCall {
                id: fields.any_text("call_id").or_else(|| fields.any_text("id")).unwrap_or_default(),
                name: fields.any_text("name").unwrap_or_default(),
                arguments: fields.any_text(text).unwrap_or_default(),
                is_custom,
                item_id: fields.any_text("id"),
                cache: None,
            }));
        }
        "reasoning" => parts.push(Part::Reasoning(read_reasoning(&fields))),
        "image_generation_call" if fields.has("result") => {
            if let Some(url) = image_url(&fields) {
                parts.push(Part::Image { source: Source::from_url(&url), detail: None, cache: None });
            }
        }
        _ => parts.push(Part::Native { wire: Wire::Responses, kind, json: item.json() }),
    }
}

/// The image that a tool of the provider made.
pub(super) fn image_url(item: &Members<'_>) -> Option<String> {
    let format = item.any_text("output_format").unwrap_or_else(|| "png".to_owned());
    Some(format!("data:image/{format};base64,{}", item.any_text("result")?))
}

/// Encrypted content of an answer's own reasoning item.
pub(super) fn own_state(item: &Members<'_>) -> Option<State> {
    let data = item.any_text("encrypted_content").filter(|data| !data.is_empty())?;
    Some(State { wire: Wire::Responses, is_redacted: false, data, origin: None })
}

/// Refuses what is not there yet, by name.
///
/// # Errors
/// `BadRequest` that names the field.
pub fn refuse_unsupported(root: &Members<'_>) -> Outcome<()> {
    if root.boolean("background")?.unwrap_or_default() {
        return Err(unsupported("background", "leave it out"));
    }
    if root.has("conversation") {
        return Err(unsupported("conversation", "send the input, or go on from a previous_response_id"));
    }
    Ok(())
}

fn unsupported(field: &'static str, instead: &str) -> Fault {
    let sentence = format!("{field}: is not supported by this gateway; {instead}");
    Fault::new(Kind::UnsupportedParameter).param(field).say(sentence)
}
