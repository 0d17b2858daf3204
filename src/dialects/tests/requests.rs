//! Requests as applications and coding agents send them, written for every wire. The files beside each request are what
//! a provider gets; `UPDATE_FIXTURES=1` writes them anew, for review.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use serde_json::{Value, json};

use crate::canonical::Wire;
use crate::canonical::text::{Control, Effort, ReasoningKind};
use crate::dialects::{Addressee, scan, transport};
use crate::fault::Kind;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("integration-tests/fixtures/requests")
}

/// A model of each wire that reasons.
pub(super) fn addressee(wire: Wire) -> Addressee<'static> {
    let (kind, levels) = match wire {
        Wire::Chat | Wire::Responses => {
            (ReasoningKind::OpenaiEffort, vec![Effort::Low, Effort::Medium, Effort::High, Effort::Xhigh])
        }
        Wire::Messages => {
            (ReasoningKind::AnthropicAdaptive, vec![Effort::Low, Effort::Medium, Effort::High, Effort::Max])
        }
        Wire::GenerateContent => (ReasoningKind::GeminiLevel, vec![Effort::Low, Effort::Medium, Effort::High]),
    };
    Addressee {
        model: "up",
        control: Control { kind: Some(kind), levels },
        max_output_tokens: Some(64_000),
        quirks: &crate::dialects::openai_chat::Quirks::REFERENCE,
        origin: "dep_1",
    }
}

/// The contract in a file's name, `name.<contract>.json`; `None` for what was written by this test.
fn contract_of(path: &Path) -> Option<Wire> {
    let name = path.file_name()?.to_str()?;
    let (_, rest) = name.split_once('.')?;
    match rest {
        "chat.json" => Some(Wire::Chat),
        "responses.json" => Some(Wire::Responses),
        "messages.json" => Some(Wire::Messages),
        _ => None,
    }
}

#[test]
fn a_provider_gets_what_the_client_meant() {
    let mut seen = 0;
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    for path in files {
        let Some(contract) = contract_of(&path) else { continue };
        let body = Bytes::from(std::fs::read(&path).unwrap());
        let asked = scan(contract, body).unwrap();
        let request = asked.read().unwrap();
        for wire in Wire::ALL {
            let written = transport(wire).write_request(&request, &addressee(wire)).unwrap();
            let body: Value = serde_json::from_slice(&written.body.concat()).unwrap();
            let got = json!({"dropped": written.dropped, "body": body});
            let golden = path.with_extension(format!("to_{}.json", wire.as_str()));
            #[expect(clippy::disallowed_methods, reason = "a switch for people, not a setting")]
            if std::env::var_os("UPDATE_FIXTURES").is_some() {
                std::fs::write(&golden, serde_json::to_string_pretty(&got).unwrap() + "\n").unwrap();
            }
            let expected: Value = serde_json::from_slice(&std::fs::read(&golden).unwrap()).unwrap();
            assert_eq!(got, expected, "{}", golden.display());
            seen += 1;
        }
    }
    assert!(seen >= 12);
}

#[test]
fn carried_json_keeps_its_order_and_numbers() {
    let body = r#"{"model":"pub","messages":[{"role":"assistant","content":null,"tool_calls":[{"id":"c","type":"function",
        "function":{"name":"f","arguments":"{\"z\": 1.0, \"a\":1e3}"}}]}],"tools":[{"type":"function","function":{"name":"f",
        "parameters":{"type":"object","properties":{"z":{"minimum":1.50},"a":{}}}}}]}"#;
    let request = scan(Wire::Chat, Bytes::from(body)).unwrap().read().unwrap();
    for wire in Wire::ALL {
        let text = transport(wire).write_request(&request, &addressee(wire)).unwrap().body.concat();
        let text = String::from_utf8(text).unwrap();
        assert!(text.contains(r#"{"type":"object","properties":{"z":{"minimum":1.50},"a":{}}}"#), "{text}");
        let are_objects = matches!(wire, Wire::Messages | Wire::GenerateContent);
        let arguments = if are_objects { r#"{"z": 1.0, "a":1e3}"# } else { r#"{\"z\": 1.0, \"a\":1e3}"# };
        assert!(text.contains(arguments), "{text}");
    }
}

#[test]
fn state_goes_back_to_its_maker_only() {
    let path = folder().join("coding_agent.messages.json");
    let request = scan(Wire::Messages, Bytes::from(std::fs::read(path).unwrap())).unwrap().read().unwrap();
    let written = |origin| {
        let to = Addressee { origin, ..addressee(Wire::Messages) };
        let written = transport(Wire::Messages).write_request(&request, &to).unwrap();
        (String::from_utf8(written.body.concat()).unwrap(), written.dropped)
    };
    let (body, dropped) = written("dep_1");
    assert!(body.contains(r#""signature":"SIG==""#) && !dropped.iter().any(|name| name == "reasoning"), "{body}");
    let (body, dropped) = written("dep_2");
    assert!(!body.contains("SIG==") && dropped.iter().any(|name| name == "reasoning"), "{body}");
}

#[test]
fn several_answers_are_refused_where_there_is_only_one() {
    let body = r#"{"model":"pub","n":2,"messages":[{"role":"user","content":"hi"}]}"#;
    let request = scan(Wire::Chat, Bytes::from(body)).unwrap().read().unwrap();
    for wire in [Wire::Responses, Wire::Messages, Wire::GenerateContent] {
        let fault = transport(wire).write_request(&request, &addressee(wire)).unwrap_err();
        assert_eq!((fault.kind(), fault.at()), (Kind::UnsupportedParameter, Some("n")));
    }
    transport(Wire::Chat).write_request(&request, &addressee(Wire::Chat)).unwrap();
}

#[test]
fn a_budget_of_thinking_leaves_room_for_the_answer() {
    let control = Control { kind: Some(ReasoningKind::AnthropicBudget), levels: vec![Effort::Low, Effort::High] };
    let to = Addressee { control, ..addressee(Wire::Messages) };
    for (most, effort, thinking) in [
        (20_000, "high", json!({"type": "enabled", "budget_tokens": 16_384})),
        (2_000, "high", json!({"type": "enabled", "budget_tokens": 1_999})),
        (1_000, "high", Value::Null),
        (20_000, "none", json!({"type": "disabled"})),
    ] {
        let body = json!({"model": "pub", "max_tokens": most, "reasoning_effort": effort,
            "messages": [{"role": "user", "content": "hi"}]});
        let request = scan(Wire::Chat, Bytes::from(body.to_string())).unwrap().read().unwrap();
        let written = transport(Wire::Messages).write_request(&request, &to).unwrap();
        let body: Value = serde_json::from_slice(&written.body.concat()).unwrap();
        assert_eq!(body["thinking"], thinking, "{most} {effort}");
    }
}

#[test]
fn malformed_requests_are_refused_by_field() {
    let chat = |rest: Value| (Wire::Chat, json!({"model": "m", "messages": [{"role": "user", "content": "x"}]}), rest);
    let responses = |rest: Value| (Wire::Responses, json!({"model": "m", "input": "x"}), rest);
    let messages = |rest: Value| {
        (Wire::Messages, json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "x"}]}), rest)
    };
    let user = |content: Value| json!({"messages": [{"role": "user", "content": content}]});
    for ((contract, mut body, rest), param) in [
        (chat(json!({"model": null})), "model"),
        (chat(json!({"messages": [{"role": "wizard", "content": "x"}]})), "messages[0].role"),
        (chat(json!({"messages": [{"content": "x"}]})), "messages[0].role"),
        (chat(user(json!(7))), "messages[0].content"),
        (chat(user(json!([{"type": "hologram"}]))), "messages[0].content[0].type"),
        (chat(user(json!([{"type": "image_url"}]))), "messages[0].content[0].image_url"),
        (chat(user(json!([{"type": "file", "file": {}}]))), "messages[0].content[0]"),
        (chat(json!({"tools": [{"type": "function"}]})), "tools[0].function"),
        (
            chat(json!({"tools": [{"type": "function", "function": {"name": "f", "parameters": "x"}}]})),
            "tools[0].function.parameters",
        ),
        (chat(json!({"tool_choice": "maybe"})), "tool_choice"),
        (chat(json!({"stop": 7})), "stop"),
        (chat(json!({"reasoning_effort": "extreme"})), "reasoning_effort"),
        (chat(json!({"response_format": {"type": "xml"}})), "response_format.type"),
        (chat(json!({"max_tokens": "many"})), "max_tokens"),
        (chat(json!({"stream": "yes"})), "stream"),
        (responses(json!({"input": null})), "input"),
        (responses(json!({"input": 7})), "input"),
        (responses(json!({"input": [{"role": "user"}]})), "input[0].content"),
        (responses(json!({"input": [{"type": "item_reference", "id": "msg_1"}]})), "input[0].id"),
        (responses(json!({"input": [{"type": "function_call", "call_id": "c", "name": "f"}]})), "input[0].arguments"),
        (responses(json!({"previous_response_id": 7})), "previous_response_id"),
        (responses(json!({"store": "yes"})), "store"),
        (responses(json!({"text": {"format": {"type": "xml"}}})), "text.format.type"),
        (responses(json!({"reasoning": {"effort": "extreme"}})), "reasoning.effort"),
        (responses(json!({"tools": [{"name": "f"}]})), "tools[0].type"),
        (responses(json!({"Input": "x"})), "Input"),
        (messages(json!({"messages": null})), "messages"),
        (messages(json!({"messages": {}})), "messages"),
        (messages(json!({"max_tokens": "many"})), "max_tokens"),
        (messages(json!({"messages": [{"role": "tool", "content": "x"}]})), "messages[0].role"),
        (messages(user(json!([{"type": "image"}]))), "messages[0].content[0].source"),
        (messages(user(json!([{"type": "tool_result"}]))), "messages[0].content[0].tool_use_id"),
        (messages(json!({"thinking": {"type": "enabled"}})), "thinking.budget_tokens"),
        (messages(json!({"thinking": {"type": "deep"}})), "thinking.type"),
        (messages(json!({"tool_choice": {"type": "tool"}})), "tool_choice.name"),
        (messages(json!({"tools": [{"input_schema": {}}]})), "tools[0].name"),
        (messages(json!({"system": 7})), "system"),
    ] {
        body.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        let refused = scan(contract, Bytes::from(body.to_string())).and_then(|asked| asked.read().map(|_| ()));
        let fault = refused.expect_err(&body.to_string());
        assert_eq!((fault.kind(), fault.at()), (Kind::BadRequest, Some(param)), "{body}");
    }
}

#[test]
fn what_is_not_there_yet_is_refused_by_name() {
    for (field, value) in [("background", json!(true)), ("conversation", json!("conv_1"))] {
        let body = json!({"model": "m", "input": "x", field: value});
        let fault = scan(Wire::Responses, Bytes::from(body.to_string())).expect_err(field);
        assert_eq!((fault.kind(), fault.at()), (Kind::UnsupportedParameter, Some(field)));
    }
}
