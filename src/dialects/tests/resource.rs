//! The response resource of the Responses contract: complete, numbered, and told in its last event only when it is kept.

use bytes::{Bytes, BytesMut};
use serde_json::{Value, json};

use crate::canonical::Wire;
use crate::dialects::openai_responses::native::{Shown, read_request};
use crate::dialects::translate::Translation;
use crate::dialects::{Addressee, Asked, Frame, NativeStream, Signal, scan, transport};
use crate::transport::framing::SseFramer;

/// Every member that OpenAI's own library knows, `output_text` apart, which it makes itself.
const MEMBERS: [&str; 42] = [
    "access_programs",
    "background",
    "completed_at",
    "conversation",
    "created_at",
    "error",
    "frequency_penalty",
    "id",
    "image",
    "incomplete_details",
    "input_transformations",
    "instructions",
    "max_output_tokens",
    "max_tool_calls",
    "metadata",
    "model",
    "moderation",
    "object",
    "output",
    "parallel_tool_calls",
    "presence_penalty",
    "previous_response_id",
    "prompt",
    "prompt_cache_diagnostics",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "reasoning",
    "safety_identifier",
    "service_tier",
    "status",
    "store",
    "temperature",
    "text",
    "tool_choice",
    "tool_usage",
    "tools",
    "top_logprobs",
    "top_p",
    "truncation",
    "usage",
    "user",
];

fn frame() -> Frame {
    Frame { id: "0".repeat(32), created: 1_790_000_000, model: "pub".to_owned(), origin: "dep_1".to_owned() }
}

fn asked() -> Box<dyn Asked> {
    let body = json!({"model": "pub", "input": "hi", "stream": true, "metadata": {"a": "b"}, "temperature": 0.5});
    let shown = Shown { id: Some("resp_ours".to_owned()), is_stored: true, previous: Some("resp_before".to_owned()) };
    Box::new(read_request(Bytes::from(body.to_string())).unwrap().showing(shown))
}

/// The events of a fixture in the contract of Responses, those before the last and the last.
fn play(mut relay: Box<dyn NativeStream>, fixture: &str, is_kept: bool) -> (Vec<Value>, Value, Option<Value>) {
    let mut out = BytesMut::new();
    let mut framer = SseFramer::new(1 << 20);
    framer.push(&Bytes::copy_from_slice(fixture.as_bytes()));
    while let Some(frame) = framer.next_frame().unwrap() {
        let Some(data) = &frame.data else { continue };
        if relay.relay(frame.event.as_deref(), data, &mut out).unwrap() == Signal::Done {
            break;
        }
    }
    let whole = relay.complete(&mut out).map(|whole| serde_json::from_slice(&whole).unwrap());
    if !is_kept {
        relay.not_kept();
    }
    let before = events(&out.split());
    relay.write_closing(&mut out);
    let mut last = events(&out);
    assert_eq!(last.len(), 1, "one event ends it");
    (before, last.remove(0), whole)
}

fn events(bytes: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(bytes).unwrap();
    let data = text.lines().filter_map(|line| line.strip_prefix("data: "));
    data.map(|data| serde_json::from_str(data).unwrap()).collect()
}

fn relays() -> [(&'static str, Box<dyn NativeStream>, &'static str); 3] {
    let translated = |wire: Wire| -> Box<dyn NativeStream> {
        Box::new(Translation::new(transport(wire).decoder(), asked().encoder(frame())))
    };
    let native =
        include_str!("../../../integration-tests/fixtures/openai_responses/reasoning_and_interleaved_tools.sse");
    let messages =
        include_str!("../../../integration-tests/fixtures/anthropic_messages/thinking_and_parallel_tools.sse");
    let chat = include_str!("../../../integration-tests/fixtures/openai_chat/text_then_tool.sse");
    [
        ("native", asked().native_stream(), native),
        ("messages", translated(Wire::Messages), messages),
        ("chat", translated(Wire::Chat), chat),
    ]
}

#[test]
fn the_last_event_waits_until_the_answer_is_kept_and_says_whether_it_is() {
    for is_kept in [true, false] {
        for (lane, relay, fixture) in relays() {
            let (before, last, whole) = play(relay, fixture, is_kept);
            assert!(before.iter().all(|event| event["type"] != "response.completed"), "{lane}");
            assert_eq!(last["type"], "response.completed", "{lane}");
            let whole = whole.expect("the whole answer");
            assert_eq!((&whole["store"], &last["response"]["store"]), (&json!(true), &json!(is_kept)), "{lane}");
            assert_eq!((&whole["id"], &whole["model"]), (&json!("resp_ours"), &json!("pub")), "{lane}");
            assert_eq!(whole["previous_response_id"], "resp_before", "{lane}");
            for field in ["id", "output", "usage", "status", "model"] {
                assert_eq!(whole[field], last["response"][field], "{lane} {field}");
            }
            let numbers: Vec<u64> =
                before.iter().chain([&last]).map(|event| event["sequence_number"].as_u64().unwrap()).collect();
            assert_eq!(numbers, (0..numbers.len() as u64).collect::<Vec<_>>(), "{lane}");
        }
    }
}

#[test]
fn a_translated_response_has_every_member() {
    for (lane, relay, fixture) in relays().into_iter().skip(1) {
        let (before, last, _) = play(relay, fixture, true);
        for response in before.iter().chain([&last]).filter_map(|event| event.get("response")) {
            let mut members: Vec<&str> = response.as_object().unwrap().keys().map(String::as_str).collect();
            members.sort_unstable();
            assert_eq!(members, MEMBERS, "{lane}");
        }
        let response = &last["response"];
        assert_eq!((&response["metadata"], &response["temperature"]), (&json!({"a": "b"}), &json!(0.5)), "{lane}");
        assert_eq!((&response["instructions"], &response["truncation"]), (&json!(null), &json!("disabled")), "{lane}");
        let details = &response["usage"]["input_tokens_details"];
        assert!(details["cached_tokens"].is_u64() && details["cache_write_tokens"].is_u64(), "{lane}: {details}");
    }
}

#[test]
fn the_ids_of_items_and_parts_are_the_same_in_all_their_events() {
    for (lane, relay, fixture) in relays().into_iter().skip(1) {
        let (before, last, _) = play(relay, fixture, true);
        let output = last["response"]["output"].as_array().unwrap();
        assert!(output.len() >= 2, "{lane}");
        for event in &before {
            let Some(index) = event["output_index"].as_u64() else { continue };
            let item = &output[usize::try_from(index).unwrap()];
            let id = event.get("item_id").unwrap_or(&event["item"]["id"]);
            assert_eq!(id, &item["id"], "{lane}: {event}");
        }
    }
}

#[test]
fn a_developers_turn_in_messages_is_a_system_prompt_for_providers() {
    let body = json!({"model": "pub", "max_tokens": 9, "system": "one", "messages": [
        {"role": "developer", "content": "two"}, {"role": "user", "content": "hi"},
    ]});
    let asked = scan(Wire::Messages, Bytes::from(body.to_string())).unwrap();
    let written = asked.for_upstream(&Addressee { model: "up", ..Addressee::default() }).unwrap();
    let sent: Value = serde_json::from_slice(&written.body.concat()).unwrap();
    assert_eq!(sent["messages"].as_array().unwrap().len(), 1, "{sent}");
    assert!(sent["system"].to_string().contains("one") && sent["system"].to_string().contains("two"), "{sent}");
    let user = json!({"model": "pub", "max_tokens": 9, "messages": [{"role": "user", "content": "a developer"}]});
    let asked = scan(Wire::Messages, Bytes::from(user.to_string())).unwrap();
    let written = asked.for_upstream(&Addressee { model: "up", ..Addressee::default() }).unwrap();
    assert_eq!(
        written.body.concat(),
        user.to_string().replace("\"pub\"", "\"up\"").into_bytes(),
        "untouched otherwise"
    );
}
