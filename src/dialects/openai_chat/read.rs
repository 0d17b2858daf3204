//! Bytes to canonical: requests.

use serde_json::Value;

use super::wire;
use crate::canonical::text::{Request, Role, Tool, ToolChoice, Turn};
use crate::fault::{Fault, Outcome};

/// Reads a request into the canonical form.
///
/// # Errors
/// `BadRequest` that names the field.
pub fn read_request(body: &[u8]) -> Outcome<Request> {
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let request: wire::Request = serde_path_to_error::deserialize(&mut deserializer)
        .map_err(|error| Fault::invalid(error.path().to_string(), "has the wrong type"))?;
    let turns = request.messages.iter().enumerate().map(|(index, message)| read_turn(index, message));
    let tools = request
        .tools
        .unwrap_or_default()
        .into_iter()
        .filter_map(|tool| tool.function)
        .map(|function| Tool { name: function.name, parameters: function.parameters.unwrap_or(Value::Null) });
    Ok(Request {
        turns: turns.collect::<Outcome<_>>()?,
        tools: tools.collect(),
        tool_choice: read_tool_choice(request.tool_choice.as_ref())?,
        max_output_tokens: request.max_completion_tokens.or(request.max_tokens),
    })
}

fn read_turn(index: usize, message: &wire::Message) -> Outcome<Turn> {
    let role = match message.role.as_str() {
        "system" | "developer" => Role::System,
        "user" => Role::User,
        "assistant" => Role::Assistant,
        "tool" | "function" => Role::Tool,
        other => {
            let shown: String = other.chars().take(40).collect();
            let allowed = "must be one of developer, system, user, assistant, tool";
            return Err(Fault::invalid(format!("messages[{index}].role"), format!("{allowed}; is `{shown}`")));
        }
    };
    Ok(Turn { role, text: message.content.as_ref().map(read_text).unwrap_or_default() })
}

fn read_text(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => {
            let texts: Vec<&str> = parts.iter().filter_map(|part| part.get("text").and_then(Value::as_str)).collect();
            texts.join("\n")
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => String::new(),
    }
}

fn read_tool_choice(choice: Option<&Value>) -> Outcome<ToolChoice> {
    match choice {
        None | Some(Value::Null) => Ok(ToolChoice::Auto),
        Some(Value::String(word)) => match word.as_str() {
            "auto" => Ok(ToolChoice::Auto),
            "none" => Ok(ToolChoice::None),
            "required" => Ok(ToolChoice::Required),
            _ => Err(Fault::invalid("tool_choice", "must be auto, none, required or a named function")),
        },
        Some(named) => named
            .pointer("/function/name")
            .and_then(Value::as_str)
            .map(|name| ToolChoice::Named(name.to_owned()))
            .ok_or_else(|| Fault::invalid("tool_choice.function.name", "is required")),
    }
}
