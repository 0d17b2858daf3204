//! `echo`: answers by itself, without a network, deterministically. Not a model: it shows the whole path to a newcomer and
//! lets an operator load-test the gateway.
//!
//! It repeats the last user message. It calls a tool when `tool_choice` demands it or the message names the tool, and
//! repeats the result of a tool. The deployment's metadata can slow it down or make it fail, see [`Options`].

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Auth, Provider};
use crate::canonical::Json;
use crate::canonical::text::collect::unfold;
use crate::canonical::text::{Delta, Finish, Part, Reply, Request, Role, Tool, ToolCall, ToolChoice, Turn};
use crate::dialects::media::MediaWays;
use crate::dialects::openai_chat::Quirks;
use crate::dialects::question::Ways;
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
    transports: &[
        (Operation::TextGenerate, &[Transport::ChatCompletions]),
        (Operation::EmbeddingCreate, &[Transport::Embeddings]),
        (Operation::Rerank, &[Transport::Rerank]),
        (Operation::Moderate, &[Transport::Moderations]),
        (Operation::ImageGenerate, &[Transport::Images]),
        (Operation::ImageEdit, &[Transport::ImageEdits]),
        (Operation::AudioTranscribe, &[Transport::AudioTranscriptions]),
        (Operation::AudioSpeech, &[Transport::AudioSpeech]),
    ],
    by_pin_only: &[],
    requires_known_model: false,
    roots: &[],
    quirks: Quirks::REFERENCE,
    ways: Ways::REFERENCE,
    media: MediaWays::REFERENCE,
    headers: &[],
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
    let last_user = request.turns.iter().rev().find(|turn| turn.role == Role::User && !turn.text().is_empty());
    let said = last_user.map(Turn::text).unwrap_or_default();
    let input = request.turns.iter().map(|turn| count_words(&words(turn))).sum();
    let (part, mut finish) = match tool_to_call(request, &said) {
        Some((name, parameters)) => {
            let arguments = Value::Object(arguments(parameters, &said)).to_string();
            let call = ToolCall { id: format!("call_{id}"), name: name.to_owned(), arguments, ..ToolCall::default() };
            (Part::ToolCall(call), Finish::ToolCalls)
        }
        None => (Part::text(options.reply.clone().unwrap_or_else(|| repeat(request, &said))), Finish::Stop),
    };
    let mut part = part;
    if let (Some(most), Part::Text { text, .. }) = (request.max_output_tokens, &mut part)
        && count_words(text) > most
    {
        *text = pieces(text).take(usize::try_from(most).unwrap_or(usize::MAX)).collect();
        finish = Finish::Length;
    }
    let output = match &part {
        Part::ToolCall(call) => count_words(&call.arguments),
        part => count_words(part.as_text().unwrap_or_default()),
    };
    let usage = TokenUsage { input, output, ..TokenUsage::default() };
    Reply {
        id: format!("chatcmpl-{id}"),
        parts: vec![part],
        finish: Some(finish),
        usage: Some(usage),
        ..Reply::default()
    }
}

/// The same answer as events, word by word.
#[must_use]
pub fn deltas(reply: &Reply) -> Vec<Delta> {
    let split = |delta: Delta| -> Vec<Delta> {
        match delta {
            Delta::Text { part, text } => {
                pieces(&text).map(|piece| Delta::Text { part, text: piece.to_owned() }).collect()
            }
            other => vec![other],
        }
    };
    unfold(reply).into_iter().flat_map(split).collect()
}

/// A tool's result is repeated, else the user's words.
fn repeat(request: &Request, said: &str) -> String {
    match request.turns.last() {
        Some(turn) if answers_a_call(turn) => words(turn),
        _ if said.is_empty() => "(nothing to repeat)".to_owned(),
        _ => said.to_owned(),
    }
}

fn answers_a_call(turn: &Turn) -> bool {
    turn.parts.iter().any(|part| matches!(part, Part::ToolResult(_)))
}

/// All text of a turn, results of tools included.
fn words(turn: &Turn) -> String {
    let texts: Vec<&str> = turn
        .parts
        .iter()
        .flat_map(|part| match part {
            Part::ToolResult(result) => result.parts.iter().filter_map(Part::as_text).collect(),
            part => part.as_text().into_iter().collect::<Vec<_>>(),
        })
        .collect();
    texts.join("\n")
}

/// The name and schema of the tool to call.
fn tool_to_call<'a>(request: &'a Request, said: &str) -> Option<(&'a str, Option<&'a Json>)> {
    // After a result the conversation goes on in words.
    if request.turns.last().is_some_and(answers_a_call) {
        return None;
    }
    let mut functions = request.tools.iter().filter_map(|tool| match tool {
        Tool::Function { name, parameters, .. } => Some((name.as_str(), parameters.as_ref())),
        Tool::Custom { .. } | Tool::Native { .. } => None,
    });
    match &request.tool_choice {
        Some(ToolChoice::None) => None,
        None | Some(ToolChoice::Auto | ToolChoice::Native { .. }) => functions.find(|(name, _)| said.contains(name)),
        Some(ToolChoice::Required) => functions.next(),
        Some(ToolChoice::Named(chosen)) => functions.find(|(name, _)| name == chosen),
        Some(ToolChoice::Allowed { is_required, names }) => {
            functions.find(|(name, _)| names.iter().any(|own| own == name) && (*is_required || said.contains(name)))
        }
    }
}

/// The smallest arguments that fit the schema's required properties; strings get the user's words.
fn arguments(parameters: Option<&Json>, said: &str) -> Map<String, Value> {
    let parameters: Value = parameters.and_then(Json::read).unwrap_or_default();
    let required = parameters.get("required").and_then(Value::as_array);
    let names = required.into_iter().flatten().filter_map(Value::as_str);
    let value = |name: &str| {
        let schema = parameters.get("properties").and_then(|properties| properties.get(name));
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
    use crate::canonical::text::ToolResult;
    use serde_json::json;

    fn turn(role: Role, text: &str) -> Turn {
        Turn::new(role, vec![Part::text(text)])
    }

    fn weather() -> Tool {
        Tool::Function {
            name: "get_weather".to_owned(),
            description: None,
            strict: None,
            cache: None,
            parameters: Some(Json::of(
                &json!({"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}, "unit": {"enum": ["c", "f"]}}, "required": ["city", "days", "unit"]}),
            )),
        }
    }

    fn ask(text: &str) -> Request {
        Request { turns: vec![turn(Role::System, "be brief"), turn(Role::User, text)], ..Request::default() }
    }

    #[test]
    fn it_repeats_the_last_user_message() {
        let reply = answer(&ask("Say hello, now."), &Options::default(), "1");
        assert_eq!((reply.text().as_str(), reply.finish.clone()), ("Say hello, now.", Some(Finish::Stop)));
        assert_eq!(reply.usage.map(|usage| (usage.input, usage.output)), Some((5, 3)));
        let text: String = deltas(&reply)
            .into_iter()
            .filter_map(|delta| if let Delta::Text { text, .. } = delta { Some(text) } else { None })
            .collect();
        assert_eq!(text, reply.text());
    }

    #[test]
    fn it_stops_at_the_limit() {
        let request = Request { max_output_tokens: Some(2), ..ask("one two three") };
        let reply = answer(&request, &Options::default(), "1");
        assert_eq!((reply.text().as_str(), reply.finish), ("one two ", Some(Finish::Length)));
    }

    #[test]
    fn it_calls_a_tool_when_asked_and_repeats_its_result() {
        let mut request = Request { tools: vec![weather()], ..ask("please get_weather in Rome") };
        let reply = answer(&request, &Options::default(), "1");
        assert_eq!(reply.finish, Some(Finish::ToolCalls));
        assert_eq!(
            serde_json::from_str::<Value>(&reply.tool_calls().next().unwrap().arguments).unwrap(),
            json!({"city": "please get_weather in Rome", "days": 1, "unit": "c"})
        );
        let result = ToolResult {
            call_id: "call_1".to_owned(),
            parts: vec![Part::text("sunny")],
            is_error: None,
            is_custom: false,
            cache: None,
        };
        request.turns.push(Turn::new(Role::Tool, vec![Part::ToolResult(result)]));
        assert_eq!(answer(&request, &Options::default(), "1").text(), "sunny");
        let calls = |request: &Request| answer(request, &Options::default(), "1").tool_calls().count();
        let plain = Request { tools: vec![weather()], ..ask("hello") };
        assert_eq!(calls(&plain), 0);
        assert_eq!(calls(&Request { tool_choice: Some(ToolChoice::Required), ..plain.clone() }), 1);
        assert_eq!(calls(&Request { tool_choice: Some(ToolChoice::Named("get_weather".into())), ..plain }), 1);
        assert_eq!(calls(&Request { tool_choice: Some(ToolChoice::None), ..ask("get_weather") }), 0);
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
