//! Bytes to canonical: requests of clients, whole answers of providers.

use super::wire::{self, PARAMETERS, READ_ELSEWHERE};
use crate::canonical::text::{
    Format, Media, Parameter, Part, Reasoning, Reply, Request, Role, Source, State, Thinking, Tool, ToolCall,
    ToolChoice, ToolResult, Turn,
};
use crate::canonical::{Json, TokenUsage, Wire};
use crate::dialects::fields;
use crate::dialects::native::ReplyError;
use crate::dialects::node::{Members, Node, Unread};
use crate::dialects::openai_chat::fault::read_error_value;
use crate::dialects::openai_chat::read::read_effort;
use crate::dialects::state;
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
    if let Some(system) = root.get("system") {
        turns.push(Turn::new(Role::System, read_content(&system)?));
    }
    for message in root.need("messages")?.list()? {
        turns.push(read_message(&message)?);
    }
    let mut tools = Vec::new();
    for tool in root.list("tools")? {
        tools.push(read_tool(&tool)?);
    }
    let choice = root.get("tool_choice");
    let config = root.object("output_config")?.unwrap_or_else(Members::none);
    let format = match config.get("format") {
        Some(format) => Some(format),
        None => root.get("output_format"),
    };
    let mut parameters = fields::read(root, PARAMETERS);
    if let Some(metadata) = root.object("metadata")?
        && let Some(user) = metadata.get("user_id")
    {
        parameters.insert(Parameter::User, user.json());
    }
    if let Some(tier) = root.text("service_tier")? {
        let tier = if tier == "standard_only" { "default" } else { "auto" };
        parameters.insert(Parameter::ServiceTier, Json::text(tier));
    }
    if root.any_object("thinking").any_text("type").as_deref() == Some("between_tools") {
        parameters.insert(Parameter::ThinkingBetweenTools, Json::of(&true));
    }
    let one_at_a_time = choice.as_ref().and_then(|choice| choice.object().ok());
    let one_at_a_time = one_at_a_time.and_then(|choice| choice.get("disable_parallel_tool_use")?.read::<bool>());
    Ok(Request {
        turns,
        tools,
        tool_choice: choice.map(|choice| read_choice(&choice)).transpose()?,
        parallel_tool_calls: one_at_a_time.map(|only_one| !only_one),
        max_output_tokens: root.whole("max_tokens")?,
        stop: root.list("stop_sequences")?.iter().map(Node::text).collect::<Outcome<_>>()?,
        format: format.map(|format| read_format(&format)).transpose()?,
        thinking: read_thinking(root, &config)?,
        parameters,
        unknown: Vec::new(),
        is_stream: root.boolean("stream")?.unwrap_or_default(),
    })
}

fn read_message(message: &Node<'_>) -> Outcome<Turn> {
    let fields = message.object()?;
    let role = fields.need("role")?;
    let role = match role.text()?.as_str() {
        "user" => Role::User,
        "assistant" => Role::Assistant,
        "system" => Role::System,
        "developer" => Role::Developer,
        other => {
            let shown: String = other.chars().take(40).collect();
            return Err(role.refuse(format!("must be user, assistant, system or developer; is `{shown}`")));
        }
    };
    Ok(Turn::new(role, read_content(&fields.need("content")?)?))
}

fn read_content(content: &Node<'_>) -> Outcome<Vec<Part>> {
    if content.is_text() {
        return Ok(vec![Part::text(content.text()?)]);
    }
    if !content.is_list() {
        return Err(content.refuse("must be a string or an array of blocks"));
    }
    content.list()?.iter().map(read_block).collect()
}

fn read_block(block: &Node<'_>) -> Outcome<Part> {
    let fields = block.object()?;
    let cache = fields.get("cache_control").map(|node| node.json());
    let kind = fields.need("type")?.text()?;
    Ok(match kind.as_str() {
        "text" => Part::Text {
            text: fields.need("text")?.text()?,
            annotations: fields.any_list("citations").iter().filter_map(wire::read_citation).collect(),
            cache,
        },
        "image" => {
            let source = fields.need("source")?;
            let source = read_source(&source)?.ok_or_else(|| source.refuse("must not be of type content"))?;
            Part::Image { source, detail: None, cache }
        }
        "document" => {
            let mut extra = Vec::new();
            for name in ["context", "citations"] {
                extra.extend(fields.get(name).map(|node| (name, node.json())));
            }
            let name = fields.text("title")?;
            match read_source(&fields.need("source")?)? {
                Some(source) => Part::File(Media { source, name, cache, extra }),
                // Blocks inside a document have no other home.
                None => Part::Native { wire: Wire::Messages, kind, json: fields.carried(block) },
            }
        }
        "tool_use" => {
            let id = fields.need("id")?.text()?;
            let input = fields.get("input");
            Part::ToolCall(ToolCall {
                id: state::read_id(&id).0.to_owned(),
                name: fields.need("name")?.text()?,
                arguments: input.map_or_else(|| "{}".to_owned(), |input| input.raw().to_owned()),
                cache,
                ..ToolCall::default()
            })
        }
        "tool_result" => {
            let id = fields.need("tool_use_id")?.text()?;
            Part::ToolResult(ToolResult {
                call_id: state::read_id(&id).0.to_owned(),
                parts: fields.get("content").map(|content| read_content(&content)).transpose()?.unwrap_or_default(),
                is_error: fields.boolean("is_error")?,
                is_custom: false,
                cache,
            })
        }
        "thinking" => {
            let signature = fields.text("signature")?.filter(|signature| !signature.is_empty());
            Part::Reasoning(Reasoning {
                text: fields.need("thinking")?.text()?,
                state: signature.map(|signature| state::read(&signature, Wire::Messages)),
                ..Reasoning::default()
            })
        }
        "redacted_thinking" => {
            let data = fields.need("data")?.text()?;
            let state = State { is_redacted: true, ..state::read(&data, Wire::Messages) };
            Part::Reasoning(Reasoning { state: Some(state), ..Reasoning::default() })
        }
        _ => Part::Native { wire: Wire::Messages, kind, json: fields.carried(block) },
    })
}

/// `None` for content that is blocks.
fn read_source(source: &Node<'_>) -> Outcome<Option<Source>> {
    let fields = source.object()?;
    let kind = fields.need("type")?;
    Ok(Some(match kind.text()?.as_str() {
        "base64" => Source::Data { media_type: fields.need("media_type")?.text()?, data: fields.need("data")?.text()? },
        "url" => Source::Url(fields.need("url")?.text()?),
        "file" => Source::Id(fields.need("file_id")?.text()?),
        "text" => {
            fields.text("media_type")?;
            Source::Text(fields.need("data")?.text()?)
        }
        "content" => {
            fields.need("content")?;
            return Ok(None);
        }
        _ => return Err(kind.refuse("must be base64, url, file, text or content")),
    }))
}

fn read_tool(tool: &Node<'_>) -> Outcome<Tool> {
    let fields = tool.object()?;
    match fields.text("type")?.as_deref() {
        None | Some("custom") => Ok(Tool::Function {
            name: fields.need("name")?.text()?,
            description: fields.text("description")?,
            parameters: fields.get("input_schema").map(|schema| schema.whole_object()).transpose()?,
            strict: fields.boolean("strict")?,
            cache: fields.get("cache_control").map(|node| node.json()),
        }),
        Some(kind) => Ok(Tool::Native { wire: Wire::Messages, kind: kind.to_owned(), json: fields.carried(tool) }),
    }
}

fn read_choice(choice: &Node<'_>) -> Outcome<ToolChoice> {
    let fields = choice.object()?;
    let kind = fields.need("type")?;
    Ok(match kind.text()?.as_str() {
        "auto" => ToolChoice::Auto,
        "any" => ToolChoice::Required,
        "none" => ToolChoice::None,
        "tool" => ToolChoice::Named(fields.need("name")?.text()?),
        _ => return Err(kind.refuse("must be auto, any, tool or none")),
    })
}

fn read_format(format: &Node<'_>) -> Outcome<Format> {
    let fields = format.object()?;
    let kind = fields.need("type")?;
    match kind.text()?.as_str() {
        "json_schema" => Ok(Format::Schema {
            name: fields.text("name")?,
            description: None,
            schema: fields.need("schema")?.json(),
            strict: Some(true),
        }),
        _ => Err(kind.refuse("must be json_schema")),
    }
}

fn read_thinking(root: &Members<'_>, config: &Members<'_>) -> Outcome<Thinking> {
    let mut thinking = Thinking {
        effort: config.get("effort").map(|effort| read_effort(&effort)).transpose()?,
        wants_state: true,
        ..Thinking::default()
    };
    let Some(stated) = root.object("thinking")? else { return Ok(thinking) };
    thinking.display = stated.text("display")?;
    let kind = stated.need("type")?;
    match kind.text()?.as_str() {
        "enabled" => thinking.budget = Some(stated.need("budget_tokens")?.whole()?),
        "adaptive" => thinking.is_adaptive = true,
        "disabled" => thinking.effort = Some(crate::canonical::text::Effort::None),
        // No other wire thinks between calls of tools only: `parameters` has it, to be named.
        "between_tools" => {}
        _ => return Err(kind.refuse("must be enabled, adaptive, between_tools or disabled")),
    }
    Ok(thinking)
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
    if !root.get("content").is_some_and(|content| content.is_list()) {
        return Err(ReplyError::Malformed("there is no `content`"));
    }
    let parts = root.any_list("content").iter().filter_map(|block| read_answer_block(block)).collect();
    let usage = root.get("usage").and_then(|usage| usage.object().ok()).map(|usage| {
        let mut known = TokenUsage::default();
        wire::read_usage(&usage, &mut known);
        known
    });
    let finish = root.any_text("stop_reason").map(|word| wire::read_stop(&word, root.any_text("stop_sequence")));
    Ok(Reply { id: root.any_text("id").unwrap_or_default(), parts, finish, usage, service_tier: None, logprobs: None })
}

fn read_answer_block(block: &Node<'_>) -> Option<Part> {
    // Blocks of answers are those of requests; one that is broken is left out rather than failing the answer.
    match read_block(block).ok()? {
        Part::Text { text, annotations, .. } if text.is_empty() && annotations.is_empty() => None,
        part => Some(part),
    }
}
