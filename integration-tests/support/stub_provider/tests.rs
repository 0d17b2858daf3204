//! The stub keeps its own word.

use super::StubProvider;
use super::behaviour::MODELS;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Sends one chat request over a connection of its own.
async fn send(stub: &StubProvider, body: &Value) -> TcpStream {
    let mut stream = TcpStream::connect(stub.address()).await.unwrap();
    let body = body.to_string();
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: stub\r\nconnection: close\r\nx-mark: here\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
    stream
}

/// The whole answer, head included.
async fn call(stub: &StubProvider, body: &Value) -> std::io::Result<String> {
    let mut answer = Vec::new();
    send(stub, body).await.read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

fn chat(model: &str, stream: bool) -> Value {
    json!({"model": model, "stream": stream, "messages": [{"role": "user", "content": "Hello"}]})
}

#[test]
fn every_model_has_one_row() {
    assert_eq!(MODELS.iter().collect::<BTreeSet<_>>().len(), MODELS.len());
}

#[tokio::test]
async fn usage_is_streamed_only_when_it_is_asked_for() {
    let stub = StubProvider::start().await;
    let without = call(&stub, &chat("stub-text", true)).await.unwrap();
    assert!(without.contains("data: [DONE]"));
    assert!(!without.contains("usage"));
    let mut request = chat("stub-text", true);
    request["stream_options"] = json!({"include_usage": true});
    let with = call(&stub, &request).await.unwrap();
    assert!(with.contains(r#""usage":null"#) && with.contains(r#""total_tokens":32"#));
}

#[tokio::test]
async fn what_arrives_is_kept_until_it_is_taken() {
    let stub = StubProvider::start().await;
    call(&stub, &chat("stub-text", false)).await.unwrap();
    call(&stub, &chat("stub-429", false)).await.unwrap();
    stub.requests_reach(2).await;
    assert_eq!((stub.calls_of("stub-text"), stub.calls_of("stub-429"), stub.calls_of("stub-500")), (1, 1, 0));
    let [first, second] = &stub.take_requests()[..] else { panic!("two requests") };
    assert_eq!((first.method.as_str(), first.path.as_str()), ("POST", "/v1/chat/completions"));
    assert_eq!(first.header("x-mark"), Some("here"));
    assert_eq!(first.json(), chat("stub-text", false));
    assert!(!first.hung_up && !second.hung_up);
    assert!(stub.requests().is_empty());
    assert_eq!(stub.hang_ups(), 0);
    assert!(stub.base_url().ends_with("/v1"));
    assert!(stub.sent_bytes() > 0);
}

#[tokio::test]
async fn errors_have_their_status_and_the_provider_envelope() {
    let stub = StubProvider::start().await;
    for (model, status) in [("stub-400", 400), ("stub-401", 401), ("stub-413", 413), ("stub-529", 529), ("other", 404)]
    {
        let answer = call(&stub, &chat(model, false)).await.unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{model}: {answer}");
        assert!(answer.contains(r#"{"error":{"#), "{model}: {answer}");
    }
    let throttled = call(&stub, &chat("stub-429", false)).await.unwrap();
    assert!(throttled.contains("retry-after: 7\r\n"), "{throttled}");
}

#[tokio::test]
async fn a_flaky_model_fails_every_other_time() {
    let stub = StubProvider::start().await;
    for status in ["500", "200", "500", "200"] {
        let answer = call(&stub, &chat("stub-flaky", false)).await.unwrap();
        assert_eq!(&answer[9..12], status);
    }
}

#[tokio::test]
async fn connections_break_as_announced() {
    let stub = StubProvider::start().await;
    let reset = call(&stub, &chat("stub-reset-mid", true)).await;
    assert_eq!(reset.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
    assert_eq!(call(&stub, &chat("stub-reset-before", true)).await.unwrap(), "");
    let cut = call(&stub, &chat("stub-eof-no-terminal", true)).await.unwrap();
    assert!(cut.ends_with("\r\n0\r\n\r\n"), "a clean end: {cut}");
    assert!(cut.contains("Grüße") && !cut.contains("[DONE]") && !cut.contains(r#""finish_reason":"stop""#));
    assert_eq!(stub.hang_ups(), 0, "these were the stub's doing");
}

#[tokio::test]
async fn a_caller_that_leaves_is_noticed() {
    let stub = StubProvider::start().await;
    for (count, model) in ["stub-stall-headers", "stub-stall-first", "stub-stall-mid", "stub-slow"].iter().enumerate() {
        let connection = send(&stub, &chat(model, true)).await;
        stub.requests_reach(count + 1).await;
        drop(connection);
        stub.hang_ups_reach(count + 1).await;
    }
    assert!(stub.requests().iter().all(|request| request.hung_up));
}

#[tokio::test]
async fn every_byte_can_travel_alone() {
    let stub = StubProvider::start().await;
    let split = call(&stub, &chat("stub-split", true)).await.unwrap();
    let chunks = split.matches("\r\n1\r\n").count();
    assert!(chunks > 1000, "{chunks} chunks");
}
