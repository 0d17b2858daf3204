//! Which deployment serves, what is tried again, and what a caller is told when nothing served.

use std::net::TcpListener;

use serde_json::{Value, json};

use crate::world::{TEXT, World, question};

fn content(body: &Value) -> &str {
    body["choices"][0]["message"]["content"].as_str().unwrap_or_default()
}

/// An address of this machine where nothing listens.
fn nobody() -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    format!("http://{}/v1", listener.local_addr().unwrap())
}

#[tokio::test]
async fn a_failure_of_the_provider_is_tried_again() {
    let world = World::of(&["stub-flaky"]).await;
    let answer = world.ask("my/flaky").await;
    assert_eq!((answer.status, content(&answer.json())), (200, TEXT));
    assert_eq!(world.stub.calls_of("stub-flaky"), 2);
    let answer = world.stream("my/flaky").await;
    assert_eq!(answer.status, 200);
    assert_eq!(world.stub.calls_of("stub-flaky"), 4);
}

#[tokio::test]
async fn attempts_end_where_the_policy_says() {
    let world = World::of(&["stub-500"]).await;
    for attempts in [1, 3] {
        world.set_policy(&json!({"maxAttempts": attempts})).await;
        world.stub.take_requests();
        let answer = world.ask("my/500").await;
        answer.assert_error(502, "server_error", Some("upstream_error"), None);
        world.assert_nothing_leaks(&answer);
        assert_eq!(world.stub.calls_of("stub-500"), attempts);
    }
}

#[tokio::test]
async fn what_may_have_been_processed_is_repeated_once_at_most() {
    let world = World::of(&["stub-reset-before"]).await;
    world.ask("my/reset-before").await.assert_error(502, "server_error", Some("upstream_error"), None);
    assert_eq!(world.stub.calls_of("stub-reset-before"), 2);
}

#[tokio::test]
async fn a_deployment_that_refuses_connections_is_passed_over() {
    let world = World::of(&[]).await;
    let dead = json!({"priority": 10, "credentials": {"apiKey": "x", "baseUrl": nobody()}});
    world.deploy_with("my/pool", "gpt-dead", dead).await;
    world.deploy_with("my/pool", "stub-text", json!({})).await;
    for _ in 0..3 {
        let answer = world.ask("my/pool").await;
        assert_eq!((answer.status, content(&answer.json())), (200, TEXT));
    }
    assert_eq!(world.stub.requests().len(), 3);
}

#[tokio::test]
async fn a_provider_that_is_nowhere_is_an_upstream_error_without_its_address() {
    let world = World::of(&[]).await;
    world.once().await;
    let address = nobody();
    world.deploy_with("my/dead", "gpt-dead", json!({"credentials": {"apiKey": "x", "baseUrl": address}})).await;
    let answer = world.ask("my/dead").await;
    answer.assert_error(502, "server_error", Some("upstream_error"), None);
    assert!(!answer.text().contains("127.0.0.1"), "{}", answer.text());
}

#[tokio::test]
async fn a_throttled_pool_says_when_to_come_back() {
    let world = World::of(&["stub-429"]).await;
    for answer in [world.ask("my/429").await, world.stream("my/429").await] {
        answer.assert_error(429, "rate_limit_error", Some("rate_limit_exceeded"), None);
        let wait: u32 = answer.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=7).contains(&wait), "{wait}");
        world.assert_nothing_leaks(&answer);
    }
    assert_eq!(world.stub.calls_of("stub-429"), 1, "it is left alone for as long as it asked");
}

#[tokio::test]
async fn a_throttled_deployment_leaves_the_request_to_another() {
    let world = World::of(&[]).await;
    world.deploy_with("my/pool", "stub-429", json!({"priority": 10})).await;
    world.deploy_with("my/pool", "stub-text", json!({})).await;
    assert_eq!(world.ask("my/pool").await.status, 200);
    assert_eq!((world.stub.calls_of("stub-429"), world.stub.calls_of("stub-text")), (1, 1));
}

#[tokio::test]
async fn a_wrong_provider_key_or_model_is_the_operators_business() {
    let upstream = ["stub-401", "stub-403", "stub-404-model", "stub-429-quota"];
    let world = World::of(&upstream).await;
    for model in upstream {
        let answer = world.ask(&model.replace("stub-", "my/")).await;
        answer.assert_error(502, "server_error", Some("upstream_error"), None);
        world.assert_nothing_leaks(&answer);
        assert_eq!(world.stub.calls_of(model), 1, "{model}");
    }
}

#[tokio::test]
async fn a_request_the_provider_refuses_goes_nowhere_else_and_its_words_are_clean() {
    let world = World::of(&[]).await;
    for (upstream, status, code, param, words) in [
        ("stub-400", 400, None, Some("temperature"), "Expected a value <= 2"),
        ("stub-413", 413, Some("request_too_large"), None, "too large"),
        ("stub-422", 400, None, Some("messages[0].content"), "Input should be a valid string"),
        ("stub-secret-error", 400, None, Some("messages"), "Invalid value for 'messages'"),
    ] {
        let public = upstream.replace("stub-", "my/");
        world.deploy_with(&public, upstream, json!({"priority": 10})).await;
        world.deploy_with(&public, "stub-text", json!({})).await;
        let answer = world.ask(&public).await;
        answer.assert_error(status, "invalid_request_error", code, param);
        assert!(answer.text().contains(words), "{}", answer.text());
        world.assert_nothing_leaks(&answer);
        assert_eq!(world.stub.calls_of(upstream), 1, "{upstream}");
    }
    assert_eq!(world.stub.calls_of("stub-text"), 0);
}

#[tokio::test]
async fn answers_that_are_none_are_upstream_errors() {
    let upstream = ["stub-html-502", "stub-empty-200", "stub-json-garbage", "stub-error-in-200", "stub-gzip"];
    let world = World::of(&upstream).await;
    world.once().await;
    for model in upstream {
        let answer = world.ask(&model.replace("stub-", "my/")).await;
        answer.assert_error(502, "server_error", Some("upstream_error"), None);
        world.assert_nothing_leaks(&answer);
    }
}

#[tokio::test]
async fn a_provider_that_stays_silent_is_a_timeout() {
    let world = World::of(&["stub-stall-headers"]).await;
    world.set_policy(&json!({"totalMs": 300})).await;
    world.ask("my/stall-headers").await.assert_error(504, "server_error", Some("timeout"), None);
    assert_eq!(world.stub.calls_of("stub-stall-headers"), 1);
}

#[tokio::test]
async fn each_reason_has_its_chain() {
    for (upstream, reason) in
        [("stub-400-context", "context_window"), ("stub-400-policy", "content_policy"), ("stub-401", "general")]
    {
        let world = World::of(&[upstream, "stub-text"]).await;
        let public = upstream.replace("stub-", "my/");
        world.set_chain(&public, reason, &["my/text"]).await;
        let answer = world.ask(&public).await;
        assert_eq!((answer.status, content(&answer.json())), (200, TEXT), "{reason}: {}", answer.text());
        assert_eq!(answer.json()["model"], public.as_str(), "the model that was asked for");
        assert_eq!((world.stub.calls_of(upstream), world.stub.calls_of("stub-text")), (1, 1), "{reason}");
        let streamed = world.stream(&public).await;
        assert_eq!(streamed.events().await.last().map(String::as_str), Some("[DONE]"), "{reason}");
    }
}

#[tokio::test]
async fn a_chain_of_another_reason_is_not_followed() {
    for (upstream, other, code, param) in [
        ("stub-400-context", "general", "context_length_exceeded", Some("messages")),
        ("stub-400-policy", "context_window", "content_policy_violation", None),
    ] {
        let world = World::of(&[upstream, "stub-text"]).await;
        let public = upstream.replace("stub-", "my/");
        world.set_chain(&public, other, &["my/text"]).await;
        let answer = world.ask(&public).await;
        answer.assert_error(400, "invalid_request_error", Some(code), param);
        world.assert_nothing_leaks(&answer);
        assert_eq!(world.stub.calls_of("stub-text"), 0);
    }
}

#[tokio::test]
async fn the_higher_priority_serves_while_it_can() {
    let world = World::of(&[]).await;
    world.deploy_with("my/pool", "gpt-low", json!({"priority": 1, "weight": 1000})).await;
    world.deploy_with("my/pool", "gpt-high", json!({"priority": 2, "weight": 1})).await;
    for _ in 0..10 {
        assert_eq!(world.ask("my/pool").await.status, 200);
    }
    assert_eq!((world.stub.calls_of("gpt-high"), world.stub.calls_of("gpt-low")), (10, 0));
}

#[tokio::test]
async fn weight_zero_is_the_last_resort() {
    let world = World::of(&[]).await;
    world.deploy_with("my/pool", "gpt-reserve", json!({"weight": 0})).await;
    world.deploy_with("my/pool", "gpt-first", json!({"weight": 1})).await;
    for _ in 0..10 {
        assert_eq!(world.ask("my/pool").await.status, 200);
    }
    assert_eq!((world.stub.calls_of("gpt-first"), world.stub.calls_of("gpt-reserve")), (10, 0));
}

#[tokio::test]
async fn a_deployment_that_is_switched_off_serves_nothing() {
    let world = World::of(&[]).await;
    world.deploy_with("my/off", "stub-text", json!({"enabled": false})).await;
    let answer = world.chat(&question("my/off")).await;
    answer.assert_error(503, "server_error", Some("no_deployments_available"), None);
    assert_eq!(world.stub.requests().len(), 0);
}
