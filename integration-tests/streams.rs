//! Streams from end to end: what a client reads while the provider behaves, misbehaves or breaks.

use serde_json::{Value, json};

use crate::support::Answer;
use crate::support::wait::soon;
use crate::world::{CHAT, TEXT, World, events, raw, streamed, without_chunks};

fn parse(events: &[String]) -> Vec<Value> {
    events.iter().map(|data| serde_json::from_str(data).unwrap_or_else(|error| panic!("{error}: {data}"))).collect()
}

fn text_of(chunks: &[Value]) -> String {
    chunks.iter().filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str()).collect()
}

/// The chunks of a stream that has to end well: `[DONE]` once, last.
async fn chunks_of(answer: &Answer) -> Vec<Value> {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let mut events = answer.events().await;
    assert_eq!(events.pop().as_deref(), Some("[DONE]"), "{}", answer.text());
    // Another `[DONE]` would not parse.
    parse(&events)
}

/// The chunks before the error of a stream that has to end with one, and the error.
async fn broken_off(answer: &Answer) -> (Vec<Value>, Value) {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let mut chunks = parse(&answer.events().await);
    let mut last = chunks.pop().expect("an event");
    assert!(chunks.iter().all(|chunk| chunk.get("error").is_none()), "one error event: {}", answer.text());
    (chunks, last["error"].take())
}

#[tokio::test]
async fn a_stream_is_the_text_under_the_public_name_with_one_done_at_the_end() {
    let world = World::of(&["stub-text"]).await;
    let answer = world.stream("my/text").await;
    assert_eq!(answer.header("content-type"), Some("text/event-stream"));
    assert_eq!(answer.header("cache-control"), Some("no-cache"));
    assert_eq!(answer.header("x-accel-buffering"), Some("no"));
    let chunks = chunks_of(&answer).await;
    assert_eq!(text_of(&chunks), TEXT);
    assert!(chunks.iter().all(|chunk| chunk["model"] == "my/text" && chunk["object"] == "chat.completion.chunk"));
    assert_eq!(chunks.last().unwrap()["choices"][0]["finish_reason"], "stop");
    world.assert_nothing_leaks(&answer);
}

#[tokio::test]
async fn the_usage_chunk_comes_only_to_those_who_ask() {
    let world = World::of(&["stub-text"]).await;
    for options in [json!(null), json!({"include_usage": false}), json!({})] {
        let mut request = streamed("my/text");
        request["stream_options"] = options.clone();
        let chunks = chunks_of(&world.chat(&request).await).await;
        let speaks_of_usage = |chunk: &Value| chunk.get("usage").is_some() || chunk["choices"] == json!([]);
        assert!(!chunks.iter().any(speaks_of_usage), "{options}");
    }
    let mut request = streamed("my/text");
    request["stream_options"] = json!({"include_usage": true});
    let chunks = chunks_of(&world.chat(&request).await).await;
    let (last, others) = chunks.split_last().unwrap();
    assert_eq!((&last["choices"], &last["usage"]["total_tokens"]), (&json!([]), &json!(32)));
    assert_eq!(last["model"], "my/text");
    assert!(others.iter().all(|chunk| chunk["usage"] == Value::Null && chunk.get("usage").is_some()));
}

#[tokio::test]
async fn an_error_in_the_middle_is_told_and_no_done_follows() {
    let world = World::of(&["stub-stream-error-mid", "stub-eof-no-terminal", "stub-reset-mid"]).await;
    for model in ["my/stream-error-mid", "my/eof-no-terminal", "my/reset-mid"] {
        let answer = world.stream(model).await;
        let (chunks, error) = broken_off(&answer).await;
        assert_eq!(text_of(&chunks), "Grüße aus", "{model}");
        assert_eq!((&error["type"], &error["code"]), (&json!("server_error"), &json!("upstream_error")), "{model}");
        world.assert_nothing_leaks(&answer);
    }
    assert_eq!(world.stub.requests().len(), 3, "what was begun is not repeated");
}

#[tokio::test]
async fn a_silence_in_the_middle_times_out_and_is_told() {
    let world = World::of(&["stub-stall-mid"]).await;
    world.set_policy(&json!({"idleMs": 500})).await;
    let (chunks, error) = broken_off(&world.stream("my/stall-mid").await).await;
    assert_eq!(text_of(&chunks), "Grüße aus");
    assert_eq!(error["code"], "timeout");
    soon("the provider to notice", world.stub.hang_ups_reach(1)).await;
}

#[tokio::test]
async fn unusual_wrapping_changes_nothing() {
    for (upstream, public) in [
        ("stub-pings", "my/pings"),
        ("stub-split", "my/split"),
        ("stub-finish-no-done", "my/finish-no-done"),
        ("stub-leaky-headers", "my/leaky-headers"),
    ] {
        let world = World::of(&[upstream]).await;
        let chunks = chunks_of(&world.stream(public).await).await;
        assert_eq!(text_of(&chunks), TEXT, "{upstream}");
        assert!(chunks.iter().all(|chunk| chunk["model"] == public), "{upstream}");
    }
}

#[tokio::test]
async fn data_over_several_lines_with_other_line_ends_is_a_valid_event_again() {
    let world = World::of(&["stub-crlf"]).await;
    let answer = world.stream("my/crlf").await;
    let chunks = chunks_of(&answer).await;
    assert_eq!(text_of(&chunks), TEXT);
    assert!(chunks.iter().all(|chunk| chunk["model"] == "my/crlf"));
    let is_field = |line: &str| line.is_empty() || line.starts_with("data:") || line.starts_with("event:");
    assert!(answer.text().lines().all(is_field), "{}", answer.text());
}

#[tokio::test]
async fn an_error_before_any_output_has_its_true_status() {
    let world = World::of(&["stub-stream-error-first", "stub-400", "stub-503"]).await;
    world.once().await;
    world.stream("my/stream-error-first").await.assert_error(502, "server_error", Some("upstream_error"), None);
    world.stream("my/503").await.assert_error(502, "server_error", Some("upstream_error"), None);
    world.stream("my/400").await.assert_error(400, "invalid_request_error", None, Some("temperature"));
}

#[tokio::test]
async fn a_client_that_leaves_takes_the_providers_work_with_it() {
    let world = World::of(&["stub-stall-mid"]).await;
    let mut open = world.open(&streamed("my/stall-mid")).await;
    assert_eq!(open.status, 200);
    assert!(open.next().await.is_some());
    assert_eq!(world.stub.hang_ups(), 0);
    drop(open);
    soon("the provider to notice", world.stub.hang_ups_reach(1)).await;
    assert!(world.stub.requests()[0].hung_up);
}

#[tokio::test]
async fn a_client_that_leaves_before_the_first_output_takes_the_providers_work_with_it() {
    let world = World::of(&["stub-stall-headers"]).await;
    let request = streamed("my/stall-headers");
    tokio::select! {
        _ = world.open(&request) => panic!("the provider never answers"),
        () = soon("the provider to notice", world.stub.requests_reach(1)) => {}
    }
    soon("the provider to notice", world.stub.hang_ups_reach(1)).await;
}

#[tokio::test]
async fn a_slow_reader_gets_every_byte() {
    let world = World::of(&["stub-bulk"]).await;
    let body = streamed("my/bulk").to_string();
    let request = format!(
        "POST {CHAT} HTTP/1.1\r\nhost: gateway\r\nconnection: close\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        world.key,
        body.len()
    );
    let answer = raw(world.address, request.as_bytes(), 512).await;
    assert!(answer.starts_with(b"HTTP/1.1 200 OK\r\n"));
    let mut events = events(without_chunks(&answer)).await;
    assert_eq!(events.pop().as_deref(), Some("[DONE]"));
    let expected: String = (0..10_000).map(|number| format!("{number} ")).collect();
    assert!(text_of(&parse(&events)) == expected, "every delta, in order, once");
}
