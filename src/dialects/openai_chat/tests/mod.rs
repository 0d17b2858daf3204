//! Requests spliced, answers relayed, errors read.

mod hosts;

use bytes::{Bytes, BytesMut};
use serde_json::{Value, json};

use super::fault::{read_error, write_fault};
use super::native::{ChatStream, NativeRequest, read_reply, read_request};
use crate::dialects::native::{NativeStream, Signal, StreamError};
use crate::dialects::raw::join;
use crate::dialects::{Addressee, Asked as _, ReplyError};
use crate::fault::{Fault, Kind};

fn request(body: &Value) -> NativeRequest {
    read_request(Bytes::from(body.to_string())).unwrap()
}

fn upstream(body: &str) -> String {
    let request = read_request(Bytes::from(body.to_owned())).unwrap();
    String::from_utf8(
        join(&request.for_upstream(&Addressee { model: "gpt-up", ..Addressee::default() }).unwrap().body).to_vec(),
    )
    .unwrap()
}

#[test]
fn only_our_own_fields_are_spliced_into_a_request() {
    assert_eq!(
        upstream(
            r#"{"messages": [ {"role":"user","content":"h\u00e9"} ],"model":"pub", "seed": 1e3, "x_new": {"a":[1, 2]}}"#
        ),
        r#"{"messages": [ {"role":"user","content":"h\u00e9"} ],"model":"gpt-up", "seed": 1e3, "x_new": {"a":[1, 2]}}"#
    );
}

#[test]
fn usage_is_always_asked_of_a_stream() {
    assert_eq!(
        upstream(r#"{"model":"m","messages":[],"stream":true}"#),
        r#"{"model":"gpt-up","messages":[],"stream":true,"stream_options":{"include_usage":true}}"#
    );
    assert_eq!(
        upstream(
            r#"{"model":"m","messages":[],"stream":true,"stream_options":{"include_usage":false,"include_obfuscation":false}}"#
        ),
        r#"{"model":"gpt-up","messages":[],"stream":true,"stream_options":{"include_usage":true,"include_obfuscation":false}}"#
    );
    assert_eq!(
        upstream(r#"{"model":"m","messages":[],"stream":true,"stream_options":null}"#),
        r#"{"model":"gpt-up","messages":[],"stream":true,"stream_options":{"include_usage":true}}"#
    );
}

#[test]
fn nothing_is_stored_at_the_provider() {
    assert_eq!(
        upstream(r#"{"model":"m","messages":[],"store":true}"#),
        r#"{"model":"gpt-up","messages":[],"store":false}"#
    );
    assert_eq!(
        request(&json!({"model": "m", "messages": [], "store": true}))
            .for_upstream(&Addressee::default())
            .unwrap()
            .dropped,
        ["store"]
    );
    assert!(
        request(&json!({"model": "m", "messages": []})).for_upstream(&Addressee::default()).unwrap().dropped.is_empty()
    );
}

#[test]
fn malformed_requests_are_refused_by_field() {
    for (body, param) in [
        (json!({"messages": []}), "model"),
        (json!({"model": 5, "messages": []}), "model"),
        (json!({"model": "", "messages": []}), "model"),
        (json!({"model": null, "messages": []}), "model"),
        (json!({"model": "m"}), "messages"),
        (json!({"model": "m", "messages": null}), "messages"),
        (json!({"model": "m", "messages": {}}), "messages"),
        (json!({"model": "m", "messages": [], "stream": "yes"}), "stream"),
        (json!({"model": "m", "messages": [], "stream_options": 1}), "stream_options"),
        (json!({"model": "m", "messages": [], "stream_options": {"include_usage": true}}), "stream_options"),
        (
            json!({"model": "m", "messages": [], "stream": true, "stream_options": {"include_usage": 1}}),
            "stream_options.include_usage",
        ),
        (json!({"model": "m", "messages": [], "Stream": true}), "Stream"),
    ] {
        let fault = read_request(Bytes::from(body.to_string())).unwrap_err();
        assert_eq!((fault.kind(), fault.at()), (Kind::BadRequest, Some(param)), "{body}");
    }
}

#[test]
fn an_answer_shows_the_public_model_and_is_otherwise_untouched() {
    let body = r#"{"id":"x","model":"gpt-up-2026","choices":[{"index":0,"message":{"content":"a"},"finish_reason":"stop"}],"usage":{"prompt_tokens":7,"completion_tokens":3,"prompt_tokens_details":{"cached_tokens":4},"completion_tokens_details":{"reasoning_tokens":2}},"new":1.50}"#;
    let reply = read_reply(Bytes::from(body), "pub/lic").unwrap();
    let text = String::from_utf8(join(&reply.body).to_vec()).unwrap();
    assert_eq!(text, body.replace("gpt-up-2026", "pub/lic"));
    let usage = reply.usage.unwrap();
    assert_eq!((usage.input, usage.output, usage.cache_read, usage.reasoning), (7, 3, 4, 2));
    assert_eq!(reply.finish_reason.as_deref(), Some("stop"));
}

#[test]
fn an_error_under_a_success_status_is_an_error() {
    for body in [
        r#"{"error":{"message":"no","code":502}}"#,
        r#"{"choices":[{"error":{"message":"no","code":502},"finish_reason":"error"}]}"#,
    ] {
        match read_reply(Bytes::from(body), "m") {
            Err(ReplyError::Provider(error)) => assert_eq!((error.message.as_str(), error.status), ("no", Some(502))),
            other => panic!("{other:?}"),
        }
    }
    for body in ["", "[]", "{}", r#"{"choices":[]}"#, r#"{"choices":3}"#, "<html>"] {
        assert!(matches!(read_reply(Bytes::from(body), "m"), Err(ReplyError::Malformed(_))), "{body}");
    }
}

fn stream(wants_usage: bool) -> ChatStream {
    ChatStream::new(&request(
        &json!({"model": "pub", "messages": [], "stream": true, "stream_options": {"include_usage": wants_usage}}),
    ))
}

fn relay(stream: &mut ChatStream, data: &str) -> (Signal, String) {
    let mut out = BytesMut::new();
    let signal = stream.relay(None, &Bytes::from(data.to_owned()), &mut out).unwrap();
    (signal, String::from_utf8(out.to_vec()).unwrap())
}

#[test]
fn events_are_relayed_with_the_public_model_and_judged() {
    let mut stream = stream(false);
    let role = r#"{"model":"up","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}],"usage":null}"#;
    let (signal, out) = relay(&mut stream, role);
    assert_eq!(signal, Signal::Nothing);
    assert_eq!(
        out,
        "data: {\"model\":\"pub\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":null}]}\n\n"
    );
    assert_eq!(relay(&mut stream, r#"{"choices":[{"index":0,"delta":{"content":"é"}}]}"#).0, Signal::Output);
    assert!(!stream.is_finished());
    assert_eq!(
        relay(&mut stream, r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#).0,
        Signal::Finished
    );
    let (signal, out) = relay(&mut stream, r#"{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}}"#);
    assert_eq!((signal, out.as_str()), (Signal::Nothing, ""));
    assert_eq!(stream.usage().unwrap().output, 2);
    assert_eq!(relay(&mut stream, "[DONE]").0, Signal::Done);
    assert_eq!((stream.finish_reason(), stream.output_bytes()), (Some("stop"), 2));
}

#[test]
fn the_usage_event_goes_to_a_client_that_asked() {
    let mut stream = stream(true);
    let usage = r#"{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}}"#;
    assert_eq!(relay(&mut stream, usage).1, format!("data: {usage}\n\n"));
}

#[test]
fn tool_calls_reasoning_and_refusals_commit() {
    for delta in [
        r#"{"tool_calls":[{"index":0,"id":"c","function":{"name":"f","arguments":""}}]}"#,
        r#"{"reasoning_content":"hm"}"#,
        r#"{"reasoning":"hm"}"#,
        r#"{"refusal":"no"}"#,
        r#"{"content":[{"type":"text","text":"x"}]}"#,
        r#"{"audio":{"id":"a"}}"#,
    ] {
        let event = format!(r#"{{"choices":[{{"index":0,"delta":{delta},"finish_reason":""}}]}}"#);
        assert_eq!(relay(&mut stream(false), &event).0, Signal::Output, "{delta}");
    }
}

#[test]
fn an_event_of_several_data_lines_goes_out_as_one_line() {
    let (_, out) = relay(&mut stream(false), "{\n\"choices\":[{\"index\":0,\n\"delta\":{\"content\":\"a\"}}]}");
    assert_eq!(out, "data: { \"choices\":[{\"index\":0, \"delta\":{\"content\":\"a\"}}]}\n\n");
}

#[test]
fn choices_that_come_one_after_the_other_end_with_the_last() {
    let two = request(&json!({"model": "pub", "messages": [], "stream": true, "n": 2}));
    let mut stream = ChatStream::new(&two);
    relay(&mut stream, r#"{"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":"stop"}]}"#);
    assert!(!stream.is_finished() && stream.is_complete());
    relay(&mut stream, r#"{"choices":[{"index":1,"delta":{"content":"b"}}]}"#);
    assert!(!stream.is_finished() && !stream.is_complete());
    relay(&mut stream, r#"{"choices":[{"index":1,"delta":{},"finish_reason":"stop"}]}"#);
    assert!(stream.is_finished());
}

#[test]
fn several_choices_end_when_all_have() {
    let mut stream = stream(false);
    relay(&mut stream, r#"{"choices":[{"index":0,"delta":{"content":"a"}},{"index":1,"delta":{"content":"b"}}]}"#);
    assert_eq!(relay(&mut stream, r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#).0, Signal::Output);
    assert_eq!(
        relay(&mut stream, r#"{"choices":[{"index":1,"delta":{},"finish_reason":"length"}]}"#).0,
        Signal::Finished
    );
}

#[test]
fn error_and_malformed_events_end_a_stream() {
    let take = |data: &str| stream(false).relay(None, &Bytes::from(data.to_owned()), &mut BytesMut::new());
    assert!(matches!(take(r#"{"error":{"message":"x","code":"server_error"}}"#), Err(StreamError::Provider(_))));
    assert!(matches!(take(r#"{"choices":[{"delta":{},"finish_reason":"error"}]}"#), Err(StreamError::Provider(_))));
    for data in ["nonsense", "[1]", r#"{"choices":"x"}"#, ""] {
        assert!(matches!(take(data), Err(StreamError::Malformed(_))), "{data}");
    }
}

#[test]
fn errors_are_read_in_every_shape_hosts_send() {
    let read = |body: &str| {
        let error = read_error(body.as_bytes());
        (error.message, error.kind, error.code, error.status)
    };
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(
        read(r#"{"error":{"message":"m","type":"t","param":null,"code":"c"}}"#),
        ("m".into(), some("t"), some("c"), None)
    );
    assert_eq!(read(r#"{"error":{"message":"m","code":429}}"#), ("m".into(), None, some("429"), Some(429)));
    assert_eq!(read(r#"[{"error":{"message":"m","status":"INVALID"}}]"#).1, some("INVALID"));
    assert_eq!(read(r#"{"error":"m"}"#).0, "m");
    assert_eq!(read(r#"{"detail":"m"}"#).0, "m");
    assert_eq!(read(r#"{"message":"m","type":"t"}"#), ("m".into(), some("t"), None, None));
    assert_eq!(read("plain words").0, "plain words");
    assert_eq!(read("<html><h1>502</h1>").0, "");
    assert_eq!(read("").0, "");
}

#[test]
fn a_fault_is_written_in_the_envelope() {
    let json: Value = serde_json::from_slice(&write_fault(&Fault::invalid("model", "is required"))).unwrap();
    assert_eq!(
        json,
        json!({"error": {"message": "model: is required", "type": "invalid_request_error", "param": "model", "code": null}})
    );
}
