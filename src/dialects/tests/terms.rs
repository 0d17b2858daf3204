//! What answers say of the terms they were made under: each field that changes a price, in each wire, whole and streamed.

use bytes::{Bytes, BytesMut};

use crate::canonical::Wire;
use crate::canonical::terms::{SearchSize, Service, Terms};
use crate::dialects::scan;

const NONE: Terms = Terms { service: Service::Standard, in_us: false, searches: 0, search_size: None };

/// The terms that a native answer is read to have.
fn of_answer(wire: Wire, answer: &str) -> Terms {
    let request = match wire {
        Wire::Responses => r#"{"model":"m","input":"x"}"#,
        _ => r#"{"model":"m","max_tokens":1,"messages":[{"role":"user","content":"x"}]}"#,
    };
    let asked = scan(wire, Bytes::from_static(request.as_bytes())).unwrap();
    let reply = asked.native_reply(Bytes::copy_from_slice(answer.as_bytes())).unwrap();
    reply.usage.unwrap().terms
}

/// The same of a stream: name and data of each event.
fn of_stream(wire: Wire, events: &[(&str, &str)]) -> Terms {
    let request = match wire {
        Wire::Responses => r#"{"model":"m","stream":true,"input":"x"}"#,
        _ => r#"{"model":"m","stream":true,"max_tokens":1,"messages":[{"role":"user","content":"x"}]}"#,
    };
    let asked = scan(wire, Bytes::from_static(request.as_bytes())).unwrap();
    let (mut stream, mut out) = (asked.native_stream(), BytesMut::new());
    for (name, data) in events {
        stream.relay(Some(name.as_bytes()), &Bytes::copy_from_slice(data.as_bytes()), &mut out).unwrap();
    }
    stream.usage().unwrap().terms
}

#[test]
fn chat_completions_say_their_tier_and_the_size_of_their_search() {
    let whole = |tier: &str, usage: &str| {
        format!(
            r#"{{"id":"c","object":"chat.completion","model":"up"{tier},"choices":[{{"index":0,"finish_reason":"stop","message":{{"role":"assistant","content":"x"}}}}],"usage":{{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2{usage}}}}}"#
        )
    };
    let cases = [
        (whole("", ""), NONE),
        (whole(r#","service_tier":null"#, ""), NONE),
        (whole(r#","service_tier":"default""#, ""), NONE),
        (whole(r#","service_tier":"flex""#, ""), Terms { service: Service::Flex, ..NONE }),
        (whole(r#","service_tier":"priority""#, ""), Terms { service: Service::Priority, ..NONE }),
        (whole(r#","service_tier":"ultrafast""#, ""), Terms { service: Service::Ultrafast, ..NONE }),
        (
            whole("", r#","search_context_size":"medium","num_search_queries":2"#),
            Terms { searches: 2, search_size: Some(SearchSize::Medium), ..NONE },
        ),
        (
            whole("", r#","search_context_size":"low""#),
            Terms { searches: 1, search_size: Some(SearchSize::Low), ..NONE },
        ),
    ];
    for (answer, expected) in cases {
        assert_eq!(of_answer(Wire::Chat, &answer), expected, "{answer}");
    }
    let first = r#"{"id":"c","object":"chat.completion.chunk","service_tier":"flex","model":"up","choices":[{"index":0,"delta":{"content":"x"},"finish_reason":"stop"}]}"#;
    let last = r#"{"id":"c","object":"chat.completion.chunk","model":"up","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}"#;
    assert_eq!(of_stream(Wire::Chat, &[("", first), ("", last)]), Terms { service: Service::Flex, ..NONE });
}

#[test]
fn responses_say_their_tier_and_searches_that_are_billed_are_counted() {
    let response = |more: &str, items: &str| {
        format!(
            r#"{{"id":"r","object":"response","status":"completed","model":"up"{more},"output":[{items}],"usage":{{"input_tokens":1,"output_tokens":1,"total_tokens":2}}}}"#
        )
    };
    let search = |action: &str| format!(r#"{{"type":"web_search_call","id":"ws","status":"completed"{action}}}"#);
    let searched = search(r#","action":{"type":"search","query":"q"}"#);
    let items = [&searched, &search(r#","action":{"type":"open_page","url":"u"}"#), &searched, &search("")];
    let items = items.map(String::as_str).join(",");
    let priority = Terms { service: Service::Priority, ..NONE };
    let cases = [
        (response("", ""), NONE),
        (response(r#","service_tier":"default""#, ""), NONE),
        (response(r#","service_tier":"priority""#, ""), priority),
        (response("", &items), Terms { searches: 3, ..NONE }),
    ];
    for (answer, expected) in cases {
        assert_eq!(of_answer(Wire::Responses, &answer), expected, "{answer}");
        let event = format!(r#"{{"type":"response.completed","sequence_number":1,"response":{answer}}}"#);
        assert_eq!(of_stream(Wire::Responses, &[("response.completed", &event)]), expected, "{answer}");
    }
}

#[test]
fn messages_say_their_speed_their_place_and_their_searches() {
    let usage = |more: &str| format!(r#"{{"input_tokens":1,"output_tokens":1{more}}}"#);
    let cases = [
        ("", NONE),
        (r#","speed":"standard","inference_geo":"global","service_tier":"priority""#, NONE),
        (r#","speed":"fast""#, Terms { service: Service::Fast, ..NONE }),
        (r#","inference_geo":"us""#, Terms { in_us: true, ..NONE }),
        (r#","inference_geo":"not_available""#, NONE),
        (r#","server_tool_use":{"web_search_requests":3,"web_fetch_requests":1}"#, Terms { searches: 3, ..NONE }),
    ];
    for (more, expected) in cases {
        let answer = format!(
            r#"{{"id":"m","type":"message","role":"assistant","model":"up","content":[],"stop_reason":"end_turn","usage":{}}}"#,
            usage(more)
        );
        assert_eq!(of_answer(Wire::Messages, &answer), expected, "{more}");
        let start = format!(
            r#"{{"type":"message_start","message":{{"id":"m","type":"message","role":"assistant","model":"up","content":[],"usage":{}}}}}"#,
            usage(more)
        );
        let delta = r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":2}}"#;
        let events = [("message_start", start.as_str()), ("message_delta", delta)];
        assert_eq!(of_stream(Wire::Messages, &events), expected, "{more}");
    }
}
