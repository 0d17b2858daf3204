//! `echo`: answers by itself, without a network, deterministically. Not a model: it shows the whole path to a newcomer and
//! lets an operator load-test the gateway.
//!
//! It repeats the last user message. It calls a tool when `tool_choice` demands it or the message names the tool, and
//! repeats the result of a tool. The deployment's metadata can slow it down or make it fail, see [`Options`].

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Auth, Provider};
use crate::canonical::text::{Delta, FinishReason, Reply, Request, Role, Tool, ToolCall, ToolChoice};
use crate::domain::operation::{Operation, Transport};
use crate::domain::usage::TokenUsage;

/// The preset.
pub const PROVIDER: Provider = Provider {
    name: "echo",
    adapter: "echo",
    title: "Echo (built in, not a model)",
    base_url: None,
    auth: Auth::None,
    credentials: &[],
    transports: &[(Operation::TextGenerate, &[Transport::ChatCompletions])],
    requires_known_model: false,
    rules: &[],
};

/// What a deployment's metadata can say: `{"echo": {"delayMs": 200, "failStatus": 500}}`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Options {
    /// Answers this instead of the last user message.
    pub reply: Option<String>,
    /// Waits before the answer. At most ten minutes.
    pub delay_ms: u32,
    /// Waits before each piece of a stream. At most a minute.
    pub chunk_delay_ms: u32,
    /// Fails with this status (400..=599) instead of answering.
    pub fail_status: Option<u16>,
    /// Ends a stream without its terminal after so many pieces.
    pub cut_after_chunks: Option<u32>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Metadata {
    echo: Options,
}

impl Options {
    /// Reads the options out of a deployment's metadata.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn from_metadata(metadata: Option<&str>) -> Result<Self, String> {
        let Some(text) = metadata else { return Ok(Self::default()) };
        let options = serde_json::from_str::<Metadata>(text).map_err(|error| format!("metadata.echo: {error}"))?.echo;
        if options.delay_ms > 600_000 || options.chunk_delay_ms > 60_000 {
            return Err("metadata.echo: delayMs is at most 600000, chunkDelayMs at most 60000".to_owned());
        }
        if options.fail_status.is_some_and(|status| !(400..600).contains(&status)) {
            return Err("metadata.echo: failStatus must be 400 to 599".to_owned());
        }
        Ok(options)
    }

    /// The wait before the answer.
    #[must_use]
    pub fn delay(&self) -> Duration {
        Duration::from_millis(self.delay_ms.into())
    }

    /// The wait before each piece of a stream.
    #[must_use]
    pub fn chunk_delay(&self) -> Duration {
        Duration::from_millis(self.chunk_delay_ms.into())
    }
}

/// The answer to a request. `id` names it.
#[must_use]
pub fn answer(request: &Request, options: &Options, id: &str) -> Reply {
    let last_user = request.turns.iter().rev().find(|turn| turn.role == Role::User);
    let said = last_user.map(|turn| turn.text.as_str()).unwrap_or_default();
    let input = request.turns.iter().map(|turn| count_words(&turn.text)).sum();
    let tool = tool_to_call(request, said);
    let (mut text, tool_calls) = match tool {
        Some(tool) => {
            let arguments = Value::Object(arguments(tool, said)).to_string();
            (String::new(), vec![ToolCall { id: format!("call_{id}"), name: tool.name.clone(), arguments }])
        }
        None => (options.reply.clone().unwrap_or_else(|| repeat(request, said)), Vec::new()),
    };
    let mut finish_reason = if tool_calls.is_empty() { FinishReason::Stop } else { FinishReason::ToolCalls };
    if let Some(most) = request.max_output_tokens
        && tool_calls.is_empty()
        && count_words(&text) > most
    {
        text = pieces(&text).take(usize::try_from(most).unwrap_or(usize::MAX)).collect();
        finish_reason = FinishReason::Length;
    }
    let output = count_words(&text) + tool_calls.iter().map(|call| count_words(&call.arguments)).sum::<u64>();
    let usage = TokenUsage { input, output, ..TokenUsage::default() };
    Reply { id: format!("chatcmpl-{id}"), text, tool_calls, finish_reason, usage }
}

/// The same answer as events.
#[must_use]
pub fn deltas(reply: &Reply) -> Vec<Delta> {
    let mut deltas = vec![Delta::Start];
    deltas.extend(pieces(&reply.text).map(|piece| Delta::Text(piece.to_owned())));
    for (index, call) in (0_u32..).zip(&reply.tool_calls) {
        deltas.push(Delta::ToolCallStart { index, id: call.id.clone(), name: call.name.clone() });
        let pieces = pieces(&call.arguments).map(|piece| Delta::ToolCallArguments { index, text: piece.to_owned() });
        deltas.extend(pieces);
    }
    deltas.push(Delta::Finish(reply.finish_reason));
    deltas.push(Delta::Usage(reply.usage));
    deltas
}

/// A tool's result is repeated, else the user's words.
fn repeat(request: &Request, said: &str) -> String {
    match request.turns.last() {
        Some(turn) if turn.role == Role::Tool => turn.text.clone(),
        _ if said.is_empty() => "(nothing to repeat)".to_owned(),
        _ => said.to_owned(),
    }
}

fn tool_to_call<'a>(request: &'a Request, said: &str) -> Option<&'a Tool> {
    // After a result the conversation goes on in words.
    if request.turns.last().is_some_and(|turn| turn.role == Role::Tool) {
        return None;
    }
    match &request.tool_choice {
        ToolChoice::None => None,
        ToolChoice::Auto => request.tools.iter().find(|tool| said.contains(&tool.name)),
        ToolChoice::Required => request.tools.first(),
        ToolChoice::Named(name) => request.tools.iter().find(|tool| tool.name == *name),
    }
}

/// The smallest arguments that fit the schema's required properties; strings get the user's words.
fn arguments(tool: &Tool, said: &str) -> Map<String, Value> {
    let required = tool.parameters.get("required").and_then(Value::as_array);
    let names = required.into_iter().flatten().filter_map(Value::as_str);
    let value = |name: &str| {
        let schema = tool.parameters.get("properties").and_then(|properties| properties.get(name));
        if let Some(first) = schema.and_then(|schema| schema.get("enum")).and_then(|words| words.get(0)) {
            return first.clone();
        }
        match schema.and_then(|schema| schema.get("type")).and_then(Value::as_str) {
            Some("number" | "integer") => Value::from(1),
            Some("boolean") => Value::from(true),
            Some("array") => Value::Array(Vec::new()),
            Some("object") => Value::Object(Map::new()),
            Some("null") => Value::Null,
            _ => Value::from(said),
        }
    };
    names.map(|name| (name.to_owned(), value(name))).collect()
}

/// Words with the white space that follows them, so that the pieces joined are the text.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    text.split_inclusive(char::is_whitespace)
}

fn count_words(text: &str) -> u64 {
    pieces(text).count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::canonical::text::Turn;
    use serde_json::json;

    fn turn(role: Role, text: &str) -> Turn {
        Turn { role, text: text.to_owned() }
    }

    fn weather() -> Tool {
        Tool {
            name: "get_weather".to_owned(),
            parameters: json!({"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}, "unit": {"enum": ["c", "f"]}}, "required": ["city", "days", "unit"]}),
        }
    }

    fn ask(text: &str) -> Request {
        Request { turns: vec![turn(Role::System, "be brief"), turn(Role::User, text)], ..Request::default() }
    }

    #[test]
    fn it_repeats_the_last_user_message() {
        let reply = answer(&ask("Say hello, now."), &Options::default(), "1");
        assert_eq!((reply.text.as_str(), reply.finish_reason), ("Say hello, now.", FinishReason::Stop));
        assert_eq!((reply.usage.input, reply.usage.output), (5, 3));
        let text: String = deltas(&reply)
            .into_iter()
            .filter_map(|delta| if let Delta::Text(text) = delta { Some(text) } else { None })
            .collect();
        assert_eq!(text, reply.text);
    }

    #[test]
    fn it_stops_at_the_limit() {
        let request = Request { max_output_tokens: Some(2), ..ask("one two three") };
        let reply = answer(&request, &Options::default(), "1");
        assert_eq!((reply.text.as_str(), reply.finish_reason), ("one two ", FinishReason::Length));
    }

    #[test]
    fn it_calls_a_tool_when_asked_and_repeats_its_result() {
        let mut request = Request { tools: vec![weather()], ..ask("please get_weather in Rome") };
        let reply = answer(&request, &Options::default(), "1");
        assert_eq!(reply.finish_reason, FinishReason::ToolCalls);
        assert_eq!(
            serde_json::from_str::<Value>(&reply.tool_calls[0].arguments).unwrap(),
            json!({"city": "please get_weather in Rome", "days": 1, "unit": "c"})
        );
        request.turns.push(turn(Role::Tool, "sunny"));
        assert_eq!(answer(&request, &Options::default(), "1").text, "sunny");
        let calls = |request: &Request| answer(request, &Options::default(), "1").tool_calls.len();
        let plain = Request { tools: vec![weather()], ..ask("hello") };
        assert_eq!(calls(&plain), 0);
        assert_eq!(calls(&Request { tool_choice: ToolChoice::Required, ..plain.clone() }), 1);
        assert_eq!(calls(&Request { tool_choice: ToolChoice::Named("get_weather".into()), ..plain }), 1);
        assert_eq!(calls(&Request { tool_choice: ToolChoice::None, ..ask("get_weather") }), 0);
    }

    #[test]
    fn options_come_from_metadata_and_a_typo_is_refused() {
        let read = |text: &str| Options::from_metadata(Some(text));
        assert_eq!(read(r#"{"echo":{"failStatus":503},"team":"x"}"#).unwrap().fail_status, Some(503));
        assert_eq!(Options::from_metadata(None), Ok(Options::default()));
        assert!(read(r#"{"echo":{"failstatus":503}}"#).is_err());
        assert!(read(r#"{"echo":{"failStatus":200}}"#).is_err());
    }
}
