//! Time and connections: keep-alives, deadlines, back-pressure, HTTP/2, echo, drain.

use std::time::Duration;

use bytes::Bytes;
use serde_json::json;

use crate::support::gateway::settings;
use crate::support::wait::{settled, until};
use crate::support::{Client, MASTER_KEY, RawClient, TestGateway, chat_stream};

#[tokio::test]
async fn echo_answers_out_of_the_box_in_both_modes_and_obeys_its_options() {
    let gateway = TestGateway::start().await;
    assert_eq!(gateway.ask("echo").await.content(), "Hello");
    let transcript = gateway.ask_stream("echo").await;
    assert_eq!(transcript.is_complete().text(), "Hello");
    gateway.deploy_echo("fails", json!({"failStatus": 503}), json!({})).await;
    gateway.ask("fails").await.refused((502, "server_error", "upstream_error", ""));
    gateway.deploy_echo("cut", json!({"cutAfterChunks": 2, "reply": "one two three"}), json!({})).await;
    gateway.ask_stream("cut").await.fails_with("server_error", "upstream_error");
}

#[tokio::test]
async fn http2_without_negotiation_serves_json_and_streams() {
    let gateway = TestGateway::serving(&["stub-text"]).await;
    let client = Client::http2(gateway.address);
    let answer =
        client.chat(MASTER_KEY, &json!({"model": "echo", "messages": [{"role": "user", "content": "h2"}]})).await;
    assert_eq!(answer.content(), "h2");
    let transcript = client.transcript(MASTER_KEY, &chat_stream("stub-text")).await;
    assert_eq!(transcript.is_complete().chunks()[0]["model"], "stub-text");
}

#[tokio::test]
async fn silence_after_the_commit_point_is_filled_with_keep_alives_and_ends_as_a_timeout() {
    let gateway = TestGateway::with(&[("STREAM_KEEPALIVE_MS", "100")]).await;
    gateway.deploy("quiet", "stub-stall-mid").await;
    gateway.set_policy(&json!({"idleMs": 700})).await;
    let transcript = gateway.ask_stream("quiet").await;
    transcript.fails_with("server_error", "timeout");
    assert!(transcript.keep_alives() >= 2, "{} keep-alives", transcript.keep_alives());
}

#[tokio::test]
async fn a_long_thinker_is_committed_by_the_clock_and_its_failure_is_an_event() {
    let gateway = TestGateway::with(&[("STREAM_KEEPALIVE_MS", "100")]).await;
    gateway.deploy("thinker", "stub-stall-first").await;
    gateway.set_policy(&json!({"commitByMs": 200, "firstOutputMs": 900, "maxAttempts": 1})).await;
    let transcript = gateway.ask_stream("thinker").await;
    transcript.fails_with("server_error", "timeout");
    assert!(transcript.keep_alives() >= 1);
}

#[tokio::test]
async fn a_client_that_reads_late_still_gets_everything() {
    let gateway = TestGateway::serving(&["stub-bulk"]).await;
    let mut events = gateway.client.open_chat(MASTER_KEY, &chat_stream("stub-bulk")).await;
    events.until("data: ").await;
    // Until the buffers on the way are full, or the provider has sent all it has.
    settled("the provider to pause", Duration::from_millis(300), || gateway.stub.sent_bytes()).await;
    let transcript = events.finish().await;
    assert!(transcript.is_complete().chunks().len() >= 10_000);
}

#[tokio::test]
async fn a_drain_lets_a_running_stream_end_and_ends_a_longer_one_with_an_error() {
    let mut gateway = TestGateway::serving(&["stub-slow"]).await;
    let mut events = gateway.client.open_chat(MASTER_KEY, &chat_stream("stub-slow")).await;
    events.until("data: ").await;
    let (_, transcript) = tokio::join!(gateway.stop(), events.finish());
    transcript.is_complete();

    let mut gateway = TestGateway::with(&[("SHUTDOWN_TIMEOUT_MS", "300")]).await;
    gateway.deploy("stub-slow", "stub-slow").await;
    let mut events = gateway.client.open_chat(MASTER_KEY, &chat_stream("stub-slow")).await;
    events.until("data: ").await;
    let (_, transcript) = tokio::join!(gateway.stop(), events.finish());
    transcript.fails_with("server_error", "service_unavailable");
}

#[tokio::test]
async fn a_body_that_stalls_is_answered_and_not_waited_for() {
    let gateway = TestGateway::with(&[("BODY_READ_TIMEOUT_MS", "1000")]).await;
    let mut raw = RawClient::connect(gateway.address).await;
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {MASTER_KEY}\r\n\
         content-type: application/json\r\ncontent-length: 100\r\n\r\n{{\"model\""
    );
    raw.send(head).await.unwrap();
    let answer = raw.read_until("request_timeout").await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
}

#[tokio::test]
async fn a_disabled_key_is_refused_by_the_very_next_request() {
    let gateway = TestGateway::start().await;
    let (id, key) = gateway.create_key(&json!({"name": "app"})).await;
    let request = json!({"model": "echo", "messages": [{"role": "user", "content": "x"}]});
    gateway.client.chat(&key, &request).await.ok();
    gateway.configure("PATCH", &format!("/admin/keys/{id}"), &json!({"enabled": false})).await;
    gateway.client.chat(&key, &request).await.refused((401, "authentication_error", "invalid_api_key", ""));
    until("the revision to be shown", || async {
        let health = gateway.client.send("GET", "/health/ready", &[], Bytes::new()).await.json();
        health["snapshot"]["revision"] == 3
    })
    .await;
}

#[tokio::test]
async fn a_second_process_cannot_use_the_same_data() {
    let gateway = TestGateway::start().await;
    let second = unified_gateway::app::start(settings(gateway.folder.path(), &[])).await.unwrap_err();
    assert!(second.message().contains("is in use by another gateway process"), "{second}");
}

#[tokio::test]
async fn what_is_not_http_is_refused_and_the_connection_closed() {
    let gateway = TestGateway::start().await;
    let mut raw = RawClient::connect(gateway.address).await;
    raw.send("NONSENSE\r\n\r\n").await.unwrap();
    let answer = raw.read_to_end().await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
}
