//! Faults of providers against circuits, throttles and quarantines; what is shown of it to clients who ask.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Answer, chat_stream};
use crate::world::{CHAT, World, question};

const ASKING: (&str, &str) = ("x-unified-routing-metadata", "true");

async fn settings(world: &World, settings: Value) {
    world.configure("PUT", "/admin/router-settings", &settings).await;
}

/// Posts with our key and asks for routing facts.
async fn asking(world: &World, path: &str, body: &Value) -> Answer {
    let bearer = format!("Bearer {}", world.key);
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json"), ASKING];
    world.client.send("POST", path, &headers, body.to_string()).await
}

async fn deployments(world: &World, model: &str) -> Vec<Value> {
    let answer = world.client.get(&format!("/v1/models/{model}/deployments"), Some(&world.key)).await;
    answer.ok()["data"].as_array().unwrap().clone()
}

fn is_in_cooldown(answer: &Answer, longest: u32) {
    answer.assert_error(503, "server_error", Some("deployments_in_cooldown"), None);
    let wait: u32 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=longest).contains(&wait), "{wait}");
}

#[tokio::test]
async fn faults_of_the_provider_open_the_circuit_and_faults_of_the_caller_never_do() {
    let world = World::of(&[]).await;
    world.once().await;
    settings(&world, json!({"cooldownSeconds": 60})).await;
    for (upstream, opens) in [
        ("stub-500", true),
        ("stub-503", true),
        ("stub-529", true),
        ("stub-reset-before", true),
        ("stub-html-502", true),
        ("stub-json-garbage", true),
        ("stub-error-in-200", true),
        ("stub-400", false),
        ("stub-413", false),
        ("stub-422", false),
        ("stub-400-context", false),
        ("stub-400-policy", false),
    ] {
        let public = upstream.replace("stub-", "my/");
        world.deploy(&public, upstream).await;
        let mut last = None;
        for _ in 0..8 {
            last = Some(world.ask(&public).await);
        }
        let calls = world.stub.calls_of(upstream);
        assert_eq!(calls, if opens { 4 } else { 8 }, "{upstream}: {}", last.unwrap().text());
        let status = deployments(&world, &public).await[0]["status"].clone();
        assert_eq!(status, if opens { "cooldown" } else { "available" }, "{upstream}");
    }
    is_in_cooldown(&world.ask("my/500").await, 60);
}

#[tokio::test]
async fn a_stream_that_breaks_midway_counts_against_its_deployment() {
    let world = World::of(&["stub-reset-mid"]).await;
    world.once().await;
    settings(&world, json!({"cooldownSeconds": 60, "allowedFails": 1})).await;
    for _ in 0..4 {
        world.stream("my/reset-mid").await;
    }
    assert_eq!(world.stub.calls_of("stub-reset-mid"), 2);
}

#[tokio::test]
async fn no_client_fails_for_one_dead_deployment_of_two() {
    let world = World::of(&[]).await;
    settings(&world, json!({"cooldownSeconds": 60})).await;
    world.deploy("my/pool", "stub-500").await;
    world.deploy("my/pool", "stub-text").await;
    for _ in 0..60 {
        assert_eq!(world.ask("my/pool").await.status, 200);
    }
    // One failure per request counts: four requests met it, each once.
    assert_eq!(world.stub.calls_of("stub-500"), 4);
    assert_eq!(world.stub.calls_of("stub-text"), 60);
}

#[tokio::test]
async fn a_deployment_that_is_well_again_is_found_by_one_request() {
    let world = World::of(&["stub-flaky"]).await;
    world.once().await;
    settings(&world, json!({"cooldownSeconds": 1, "allowedFails": 0})).await;
    assert_eq!(world.ask("my/flaky").await.status, 502);
    is_in_cooldown(&world.ask("my/flaky").await, 1);
    tokio::time::sleep(Duration::from_millis(1_050)).await;
    assert_eq!(deployments(&world, "my/flaky").await[0]["status"], "half_open");
    assert_eq!(world.ask("my/flaky").await.status, 200);
    assert_eq!(deployments(&world, "my/flaky").await[0]["status"], "available");
    assert_eq!(world.stub.calls_of("stub-flaky"), 2);
}

#[tokio::test]
async fn two_requests_quarantine_what_is_configured_wrong_until_it_is_changed() {
    let world = World::of(&[]).await;
    for upstream in ["stub-401", "stub-403", "stub-404-model", "stub-429-quota"] {
        let public = upstream.replace("stub-", "my/");
        let id = world.deploy(&public, upstream).await;
        for _ in 0..2 {
            world.ask(&public).await.assert_error(502, "server_error", Some("upstream_error"), None);
        }
        for _ in 0..5 {
            is_in_cooldown(&world.ask(&public).await, 300);
        }
        assert_eq!(world.stub.calls_of(upstream), 2, "{upstream}");
        world.configure("PATCH", &format!("/admin/deployments/{id}"), &json!({"weight": 2})).await;
        world.ask(&public).await.assert_error(502, "server_error", Some("upstream_error"), None);
        assert_eq!(world.stub.calls_of(upstream), 3, "{upstream}: the update cleared it");
    }
}

#[tokio::test]
async fn a_successful_test_ends_a_cooldown() {
    let world = World::of(&[]).await;
    world.once().await;
    settings(&world, json!({"cooldownSeconds": 600, "maxCooldownSeconds": 600, "allowedFails": 0})).await;
    let id = world.deploy("my/flaky", "stub-flaky").await;
    assert_eq!(world.ask("my/flaky").await.status, 502);
    is_in_cooldown(&world.ask("my/flaky").await, 600);
    let tested = world.admin("POST", &format!("/admin/deployments/{id}/test"), &json!({})).await;
    assert_eq!(tested.status, 200, "{}", tested.text());
    assert_eq!(deployments(&world, "my/flaky").await[0]["status"], "available");
}

#[tokio::test]
async fn a_pool_in_cooldown_leaves_its_requests_to_the_chain() {
    let world = World::of(&["stub-500", "stub-text"]).await;
    settings(&world, json!({"cooldownSeconds": 60, "allowedFails": 0})).await;
    world.set_chain("my/500", "general", &["my/text"]).await;
    for _ in 0..5 {
        assert_eq!(world.ask("my/500").await.status, 200);
    }
    assert_eq!((world.stub.calls_of("stub-500"), world.stub.calls_of("stub-text")), (1, 5));
}

#[tokio::test]
async fn a_throttled_pool_is_refused_without_a_call_and_shown_as_such() {
    let world = World::of(&["stub-429"]).await;
    for _ in 0..3 {
        world.ask("my/429").await.assert_error(429, "rate_limit_error", Some("rate_limit_exceeded"), None);
    }
    assert_eq!(world.stub.calls_of("stub-429"), 1);
    let shown = deployments(&world, "my/429").await;
    assert_eq!(shown[0]["status"], "rate_limited");
    assert!((1..=7_000).contains(&shown[0]["retry_after_ms"].as_u64().unwrap()));
}

#[tokio::test]
async fn a_strategy_is_in_force_with_the_next_request() {
    let world = World::of(&[]).await;
    let price = |cents: &str| json!({"pricing": {"inputCentsPerMTokens": cents, "outputCentsPerMTokens": cents}});
    world.deploy_with("my/pool", "gpt-dear", price("200")).await;
    world.deploy_with("my/pool", "gpt-cheap", price("100")).await;
    settings(&world, json!({"modelOverrides": {"my/pool": "price-based"}})).await;
    for _ in 0..12 {
        assert_eq!(world.ask("my/pool").await.status, 200);
    }
    assert_eq!((world.stub.calls_of("gpt-cheap"), world.stub.calls_of("gpt-dear")), (12, 0));
    settings(&world, json!({"modelOverrides": null, "routingStrategy": "usage-based-rpm"})).await;
    for _ in 0..12 {
        assert_eq!(world.ask("my/pool").await.status, 200);
    }
    assert_eq!((world.stub.calls_of("gpt-cheap"), world.stub.calls_of("gpt-dear")), (12, 12));
}

#[tokio::test]
async fn state_is_sent_to_the_deployment_that_made_it() {
    let world = World::of(&[]).await;
    for upstream in ["gpt-a", "gpt-b", "gpt-c"] {
        world.deploy("my/pool", upstream).await;
    }
    let maker = deployments(&world, "my/pool").await[1]["id"].as_str().unwrap().to_owned();
    let id = format!("call_1__thought__ug1.r.s.{maker}.gAAAA");
    let mut request = question("my/pool");
    request["messages"] = json!([
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": null, "tool_calls": [
            {"id": id, "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": id, "content": "42"},
    ]);
    for _ in 0..12 {
        let answer = asking(&world, CHAT, &request).await;
        assert_eq!((answer.status, answer.header("x-unified-served-by")), (200, Some(maker.as_str())));
    }
}

#[tokio::test]
async fn an_answer_says_how_it_was_routed_when_it_is_asked() {
    let world = World::of(&[]).await;
    world.deploy_with("my/pool", "stub-500", json!({"priority": 9})).await;
    world.deploy_with("my/pool", "stub-text", json!({})).await;
    let id = deployments(&world, "my/pool").await[1]["id"].as_str().unwrap().to_owned();
    let message = json!([{"role": "user", "content": "Hello"}]);
    for (path, body) in [
        (CHAT, json!({"model": "my/pool", "messages": message})),
        ("/v1/responses", json!({"model": "my/pool", "input": "Hello"})),
        ("/v1/messages", json!({"model": "my/pool", "max_tokens": 50, "messages": message})),
    ] {
        let answer = asking(&world, path, &body).await;
        assert_eq!(answer.header("x-unified-served-by"), Some(id.as_str()), "{path}: {}", answer.text());
        routed(&answer.ok()["unified_routing"]);
        world.assert_nothing_leaks(&answer);
        settings(&world, json!({"allowedFails": 9})).await;
    }
    let plain = world.ask("my/pool").await;
    assert!(plain.ok().get("unified_routing").is_none() && plain.header("x-unified-served-by").is_none());
    let bearer = format!("Bearer {}", world.key);
    let wrong = [("authorization", bearer.as_str()), ("content-type", "application/json"), (ASKING.0, "1")];
    let bad = world.client.send("POST", CHAT, &wrong, question("my/pool").to_string());
    bad.await.assert_error(400, "invalid_request_error", None, Some("x-unified-routing-metadata"));
}

#[tokio::test]
async fn a_stream_says_in_its_last_event_how_it_was_routed() {
    let world = World::of(&[]).await;
    settings(&world, json!({"allowedFails": 9})).await;
    world.deploy_with("my/pool", "stub-500", json!({"priority": 9})).await;
    world.deploy_with("my/pool", "stub-text", json!({})).await;
    let answer = asking(&world, CHAT, &chat_stream("my/pool")).await;
    let events = answer.events().await;
    assert_eq!(events.last().map(String::as_str), Some("[DONE]"), "{}", answer.text());
    let chunks: Vec<Value> =
        events[..events.len() - 1].iter().map(|event| serde_json::from_str(event).unwrap()).collect();
    let (last, others) = chunks.split_last().unwrap();
    routed(&last["unified_routing"]);
    assert_eq!((&last["id"], &last["model"]), (&others[0]["id"], &others[0]["model"]));
    assert!(others.iter().all(|chunk| chunk.get("unified_routing").is_none()));
    assert!(answer.header("x-unified-served-by").unwrap().starts_with("dep_"));
    let request = json!({"model": "my/pool", "input": "Hello", "stream": true});
    let answer = asking(&world, "/v1/responses", &request).await;
    let last: Value = serde_json::from_str(answer.events().await.last().unwrap()).unwrap();
    assert_eq!(last["type"], "response.completed");
    routed(&last["unified_routing"]);
    let message = json!([{"role": "user", "content": "Hello"}]);
    let request = json!({"model": "my/pool", "max_tokens": 50, "messages": message, "stream": true});
    let answer = asking(&world, "/v1/messages", &request).await;
    let last: Value = serde_json::from_str(answer.events().await.last().unwrap()).unwrap();
    assert_eq!(last["type"], "message_stop");
    routed(&last["unified_routing"]);
}

#[tokio::test]
async fn an_error_says_how_it_was_routed_when_it_is_asked() {
    let world = World::of(&["stub-500", "stub-stream-error-mid"]).await;
    world.set_policy(&json!({"maxAttempts": 2})).await;
    settings(&world, json!({"allowedFails": 99})).await;
    let message = json!([{"role": "user", "content": "Hello"}]);
    for stream in [false, true] {
        for (path, body) in [
            (CHAT, json!({"model": "my/500", "messages": message, "stream": stream})),
            ("/v1/responses", json!({"model": "my/500", "input": "Hello", "stream": stream})),
            ("/v1/messages", json!({"model": "my/500", "max_tokens": 50, "messages": message, "stream": stream})),
        ] {
            let answer = asking(&world, path, &body).await;
            assert_eq!(answer.status, 502, "{path}: {}", answer.text());
            let routing = &answer.json()["unified_routing"];
            assert!(answer.json()["error"]["message"].is_string(), "{}", answer.text());
            assert_eq!((&routing["attempt_count"], &routing["served_by"]), (&json!(2), &Value::Null), "{path}");
            assert_eq!(routing["attempts"][1]["error_class"], "transient", "{path}: {routing}");
            world.assert_nothing_leaks(&answer);
        }
    }
    // Nothing was called: that is said, too.
    settings(&world, json!({"allowedFails": 0, "cooldownSeconds": 60})).await;
    world.ask("my/500").await;
    let answer = asking(&world, CHAT, &question("my/500")).await;
    let code = &answer.json()["error"]["code"];
    assert_eq!((answer.status, code), (503, &json!("deployments_in_cooldown")), "{}", answer.text());
    assert_eq!(answer.json()["unified_routing"]["attempt_count"], 0);
    assert!(world.ask("my/500").await.json().get("unified_routing").is_none());
}

#[tokio::test]
async fn a_stream_that_breaks_or_commits_by_the_clock_says_in_its_last_frame_how_it_was_routed() {
    let world = World::of(&["stub-stream-error-mid", "stub-late", "stub-late-error"]).await;
    let answer = asking(&world, CHAT, &chat_stream("my/stream-error-mid")).await;
    let broken = answer.events().await.into_iter().find(|event| event.contains("\"error\"")).unwrap();
    let broken: Value = serde_json::from_str(&broken).unwrap();
    assert_eq!(broken["unified_routing"]["attempts"][0]["ok"], false, "{broken}");
    world.set_policy(&json!({"commitByMs": 100, "maxAttempts": 1})).await;
    let answer = asking(&world, CHAT, &chat_stream("my/late")).await;
    assert_eq!((answer.status, answer.header("x-unified-served-by")), (200, None), "not known when it committed");
    let events = answer.events().await;
    let last: Value = serde_json::from_str(&events[events.len() - 2]).unwrap();
    assert!(last["unified_routing"]["served_by"].as_str().unwrap().starts_with("dep_"), "{last}");
    let answer = asking(&world, CHAT, &chat_stream("my/late-error")).await;
    let failed = answer.events().await.into_iter().find(|event| event.contains("\"error\"")).unwrap();
    let failed: Value = serde_json::from_str(&failed).unwrap();
    assert_eq!((answer.status, &failed["unified_routing"]["attempt_count"]), (200, &json!(1)), "{failed}");
}

#[tokio::test]
async fn requests_of_a_session_go_to_one_deployment_where_that_is_switched_on() {
    let world = World::of(&[]).await;
    for upstream in ["gpt-a", "gpt-b", "gpt-c", "gpt-d"] {
        world.deploy("my/pool", upstream).await;
    }
    let served = async |session: &str, body: &Value| {
        let bearer = format!("Bearer {}", world.key);
        let mut headers = vec![("authorization", bearer.as_str()), ("content-type", "application/json"), ASKING];
        if !session.is_empty() {
            headers.push(("x-unified-session", session));
        }
        let answer = world.client.send("POST", CHAT, &headers, body.to_string()).await;
        answer.header("x-unified-served-by").unwrap_or_else(|| panic!("{}", answer.text())).to_owned()
    };
    let all = async |session: &str, body: &Value| {
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..12 {
            seen.insert(served(session, body).await);
        }
        seen
    };
    let plain = question("my/pool");
    assert!(all("one", &plain).await.len() > 1, "off by default");
    settings(&world, json!({"modelOverrides": {"my/pool": {"sessionPinning": true}}})).await;
    let first = all("one", &plain).await;
    assert_eq!(first.len(), 1);
    let mut cached = plain.clone();
    cached["prompt_cache_key"] = json!("one");
    assert_eq!(all("", &cached).await, first, "the key of the prompt's cache is a session, too");
    assert_eq!(
        all("one", &json!({"model": "my/pool", "messages": plain["messages"], "prompt_cache_key": "two"})).await,
        first
    );
    assert!(all("", &plain).await.len() > 1, "without a session chance decides");
    let mut homes = std::collections::BTreeSet::new();
    for session in 0..24 {
        homes.insert(served(&format!("session {session}"), &plain).await);
    }
    assert!(homes.len() > 2, "{homes:?}");
    let explained =
        world.configure("POST", "/admin/route/explain", &json!({"publicModel": "my/pool", "session": "one"})).await;
    assert_eq!(explained["pinnedBy"], "session");
    assert_eq!(explained["candidates"][0]["opaqueId"].as_str(), first.first().map(String::as_str));
    settings(&world, json!({"sessionPinning": true, "modelOverrides": {"my/pool": {"sessionPinning": false}}})).await;
    assert!(all("one", &plain).await.len() > 1, "what is said of a model counts");
    let empty = world.admin("PUT", "/admin/router-settings", &json!({"modelOverrides": {"my/pool": {}}})).await;
    empty.assert_error(400, "invalid_request_error", None, Some("modelOverrides.my/pool"));
}

/// One failed attempt and one that served.
#[track_caller]
fn routed(routing: &Value) {
    assert_eq!(routing["served_model"], "my/pool", "{routing}");
    assert_eq!(routing["routing_strategy"], "simple-shuffle");
    assert_eq!(routing["unsupported_parameter_strategy"], "drop");
    assert_eq!((&routing["fallback_used"], &routing["attempt_count"]), (&json!(false), &json!(2)));
    let failed = &routing["attempts"][0];
    assert_eq!((&failed["index"], &failed["ok"], &failed["http_status"]), (&json!(0), &json!(false), &json!(500)));
    assert_eq!((&failed["error_class"], &failed["health_impact"]), (&json!("transient"), &json!("failure_counted")));
    let served = &routing["attempts"][1];
    assert_eq!((&served["index"], &served["ok"]), (&json!(1), &json!(true)));
    assert!(served["latency_ms"].is_u64() && served.get("error_class").is_none());
}

#[tokio::test]
async fn the_pool_is_shown_to_those_who_may_see_it_and_says_nothing_private() {
    let world = World::of(&[]).await;
    world.deploy_with("my/pool", "stub-text", json!({"label": "secret label", "weight": 7, "rpmLimit": 100})).await;
    assert_eq!(world.ask("my/pool").await.status, 200);
    let path = "/v1/models/my/pool/deployments";
    let answer = world.client.get(path, Some(&world.key)).await;
    world.assert_nothing_leaks(&answer);
    let shown = &answer.ok()["data"][0];
    assert!(!answer.text().contains("secret label"));
    assert_eq!((&shown["provider"], &shown["status"]), (&json!("openaicompatible"), &json!("available")));
    assert_eq!((&shown["weight"], &shown["limits"]), (&json!(7), &json!({"rpm": 100, "tpm": null})));
    assert_eq!((&shown["metrics"]["inflight"], &shown["metrics"]["rpm"]), (&json!(0), &json!(1)));
    assert_eq!(shown["metrics"]["health_score"], 1.0);
    assert_eq!(world.client.get(path, None).await.status, 401);
    let (_, other) = world.create_key(&json!({"name": "other", "allowedModels": ["elsewhere"]})).await;
    assert_eq!(world.client.get(path, Some(&other)).await.status, 404);
}
