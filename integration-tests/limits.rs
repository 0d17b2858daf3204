//! Limits and budgets from end to end: what a key may use, what it is told, what is counted and kept.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::wait::soon;
use crate::support::{Answer, PROVIDER_KEY, TestGateway, chat, chat_stream};

/// The stub answers with five tokens in and five out; at this price that is one cent.
const STUB: &str = "stub-echo-request";

async fn gateway() -> TestGateway {
    let gateway = TestGateway::start().await;
    deploy(&gateway, "priced", STUB, json!({})).await;
    gateway
}

async fn deploy(gateway: &TestGateway, name: &str, upstream: &str, extra: Value) {
    let mut fields = json!({"pricing": {"inputCentsPerMTokens": "100000", "outputCentsPerMTokens": "100000"}});
    for (name, value) in extra.as_object().unwrap() {
        fields[name] = value.clone();
    }
    gateway.deploy_with(name, upstream, fields).await;
}

async fn key(gateway: &TestGateway, limits: Value) -> (String, String) {
    let mut key = json!({"name": "app"});
    for (name, value) in limits.as_object().unwrap() {
        key[name] = value.clone();
    }
    gateway.create_key(&key).await
}

async fn usage(gateway: &TestGateway, id: &str) -> Value {
    gateway.configure("GET", &format!("/admin/keys/{id}/usage"), &Value::Null).await
}

async fn spent(gateway: &TestGateway, id: &str) -> String {
    usage(gateway, id).await["spendCents"].as_str().unwrap().to_owned()
}

fn bounded(model: &str) -> Value {
    let mut request = chat(model);
    request["max_tokens"] = json!(5);
    request
}

/// The same small request in each contract.
fn in_every_contract(model: &str) -> [(&'static str, Value); 3] {
    let messages = json!([{"role": "user", "content": "Hello"}]);
    [
        ("/v1/chat/completions", chat(model)),
        ("/v1/responses", json!({"model": model, "input": "Hello"})),
        ("/v1/messages", json!({"model": model, "max_tokens": 5, "messages": messages})),
    ]
}

async fn post(gateway: &TestGateway, key: &str, path: &str, request: &Value) -> Answer {
    let bearer = format!("Bearer {key}");
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    gateway.client.send("POST", path, &headers, request.to_string()).await
}

#[tokio::test]
async fn the_minute_is_told_and_kept_in_every_contract() {
    let gateway = gateway().await;
    for (path, request) in in_every_contract("priced") {
        let (_, secret) = key(&gateway, json!({"rpm": 2, "tpm": 100_000})).await;
        for left in ["1", "0"] {
            let answer = post(&gateway, &secret, path, &request).await;
            assert_eq!(answer.status, 200, "{path}: {}", answer.text());
            assert_eq!(answer.header("x-ratelimit-limit-requests"), Some("2"), "{path}");
            assert_eq!(answer.header("x-ratelimit-remaining-requests"), Some(left), "{path}");
            assert!(answer.header("x-ratelimit-reset-tokens").is_some(), "{path}");
        }
        let answer = post(&gateway, &secret, path, &request).await;
        assert_eq!(answer.status, 429, "{path}");
        let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=60).contains(&wait), "{path}: {wait}");
        assert_eq!(answer.header("x-ratelimit-remaining-requests"), Some("0"), "{path}");
        if path == "/v1/messages" {
            assert_eq!(answer.json()["error"]["type"], "rate_limit_error");
            assert_eq!(answer.header("anthropic-ratelimit-requests-remaining"), Some("0"));
        } else {
            answer.refused((429, "rate_limit_error", "rate_limit_exceeded", ""));
        }
    }
}

#[tokio::test]
async fn a_key_without_limits_is_told_nothing_and_its_spending_is_counted() {
    let gateway = gateway().await;
    let (id, secret) = key(&gateway, json!({})).await;
    let answer = gateway.client.chat(&secret, &chat("priced")).await;
    assert_eq!(answer.status, 200);
    assert!(!answer.headers.keys().any(|name| name.as_str().contains("ratelimit")));
    assert_eq!(spent(&gateway, &id).await, "1");
}

#[tokio::test]
async fn what_was_answered_is_charged_before_the_answer_is_whole() {
    let gateway = gateway().await;
    let (id, secret) = key(&gateway, json!({"maxBudgetCents": 1000})).await;
    for calls in 1..=5 {
        let request = if calls % 2 == 0 { chat("priced") } else { chat_stream("priced") };
        let answer = gateway.client.chat(&secret, &request).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let usage = usage(&gateway, &id).await;
        assert_eq!((&usage["spendCents"], &usage["heldCents"]), (&json!(calls.to_string()), &json!("0")));
    }
}

#[tokio::test]
async fn a_spent_budget_is_final_until_it_is_reset_and_survives_a_restart() {
    let mut gateway = gateway().await;
    let (id, secret) = key(&gateway, json!({"maxBudgetCents": 1000})).await;
    assert_eq!(gateway.client.chat(&secret, &chat("priced")).await.status, 200);
    let patch = json!({"maxBudgetCents": 1});
    gateway.configure("PATCH", &format!("/admin/keys/{id}"), &patch).await;
    for (path, request) in in_every_contract("priced") {
        let answer = post(&gateway, &secret, path, &request).await;
        assert_eq!((answer.status, answer.header("x-should-retry")), (429, Some("false")), "{path}");
        assert_eq!(answer.header("retry-after"), None, "{path}");
        assert_eq!(answer.header("x-ratelimit-remaining-budget-cents"), Some("0"), "{path}");
        if path != "/v1/messages" {
            answer.refused((429, "rate_limit_error", "insufficient_quota", ""));
        }
    }
    gateway.stop().await;
    let again = gateway.restarted().await;
    assert_eq!(spent(&again, &id).await, "1");
    assert_eq!(again.client.chat(&secret, &chat("priced")).await.status, 429);
    let reset = json!({"resetSpend": true, "maxBudgetCents": 500});
    let shown = again.configure("PATCH", &format!("/admin/keys/{id}"), &reset).await;
    assert_eq!(shown["spendCents"], "0");
    assert_eq!(again.client.chat(&secret, &chat("priced")).await.status, 200);
}

#[tokio::test]
async fn a_request_that_could_cost_more_than_is_left_is_told_what_fits() {
    let gateway = gateway().await;
    let (_, secret) = key(&gateway, json!({"maxBudgetCents": 20})).await;
    let answer = gateway.client.chat(&secret, &chat("priced")).await;
    let message = answer.refused((429, "rate_limit_error", "insufficient_quota", ""));
    let (_, rest) = message.split_once("A limit of ").unwrap();
    let fits: u64 = rest.split_once(' ').unwrap().0.parse().unwrap();
    let mut request = chat("priced");
    request["max_tokens"] = json!(fits);
    assert_eq!(gateway.client.chat(&secret, &request).await.status, 200);
}

#[tokio::test]
async fn a_hard_budget_lets_exactly_so_many_through_however_many_ask() {
    let gateway = gateway().await;
    let request = bounded("priced");
    // One cent each; what is held for one has to be left at the last.
    let held = (request.to_string().len() as u64 + 1_024 + 5) * 100;
    let milli_cents = 29 * 1_000 + held;
    let budget = format!("{}.{:03}", milli_cents / 1_000, milli_cents % 1_000);
    let limits = json!({"maxBudgetCents": budget, "budgetMode": "hard", "budgetWaitMs": 60_000});
    let (id, secret) = key(&gateway, limits).await;
    let asked = (0..120).map(|_| gateway.client.chat(&secret, &request));
    let answers = soon("all answers", futures_util::future::join_all(asked)).await;
    let passed = answers.iter().filter(|answer| answer.status == 200).count();
    assert_eq!(passed, 30);
    for answer in answers.iter().filter(|answer| answer.status != 200) {
        answer.refused((429, "rate_limit_error", "insufficient_quota", ""));
    }
    assert_eq!(spent(&gateway, &id).await, "30");
    assert_eq!(usage(&gateway, &id).await["overshootCents"], "0");
}

#[tokio::test]
async fn money_that_others_hold_is_waited_for_and_then_refused_as_reserved() {
    let gateway = gateway().await;
    gateway
        .deploy_echo(
            "slow",
            json!({"chunkDelayMs": 3_000}),
            json!({
                "pricing": {"inputCentsPerMTokens": "100000", "outputCentsPerMTokens": "100000"},
            }),
        )
        .await;
    let (_, secret) = key(&gateway, json!({"maxBudgetCents": 500, "budgetWaitMs": 50})).await;
    let mut open = gateway.client.open_chat(&secret, &chat_stream("slow")).await;
    open.until("data:").await;
    let answer = gateway.client.chat(&secret, &chat("priced")).await;
    answer.refused((429, "rate_limit_error", "budget_reserved", ""));
    assert!(answer.header("retry-after").is_some());
}

#[tokio::test]
async fn places_are_given_back_when_a_client_leaves_and_what_was_streamed_is_charged() {
    let gateway = gateway().await;
    deploy(&gateway, "stalling", "stub-stall-mid", json!({})).await;
    let (id, secret) = key(&gateway, json!({"maxParallelRequests": 1})).await;
    let mut open = gateway.client.open_chat(&secret, &chat_stream("stalling")).await;
    open.until("content").await;
    let refused = gateway.client.chat(&secret, &chat("priced")).await;
    refused.refused((429, "rate_limit_error", "rate_limit_exceeded", ""));
    drop(open);
    soon("the place", async {
        while gateway.client.chat(&secret, &chat("priced")).await.status != 200 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    let spent: f64 = spent(&gateway, &id).await.parse().unwrap();
    assert!(spent > 1.5, "the estimate of what was streamed and one whole answer: {spent}");
}

#[tokio::test]
async fn what_cannot_be_priced_is_refused_to_keys_with_a_budget_alone() {
    let gateway = gateway().await;
    gateway.deploy("unpriced", STUB).await;
    let (_, capped) = key(&gateway, json!({"maxBudgetCents": 100_000})).await;
    let (_, free) = key(&gateway, json!({})).await;
    let mut dear = chat("priced");
    dear["service_tier"] = json!("priority");
    for (request, param) in [(chat("unpriced"), "model"), (dear, "service_tier")] {
        let answer = gateway.client.chat(&capped, &request).await;
        answer.refused((400, "invalid_request_error", "", param));
        assert_eq!(gateway.client.chat(&free, &request).await.status, 200);
    }
}

#[tokio::test]
async fn fields_that_change_the_price_are_priced_where_the_model_has_a_price_for_them_and_named_where_not() {
    let gateway = gateway().await;
    for (name, provider, upstream, known) in [
        ("chat", "openai", "gpt-4.1", "gpt-4.1"),
        ("responses", "openai", "text", "gpt-4.1"),
        ("messages", "anthropic", "text", "claude-opus-5"),
    ] {
        let deployment = json!({
            "publicModel": name, "provider": provider, "upstreamModel": upstream, "catalogModel": known,
            "credentials": {"apiKey": PROVIDER_KEY, "baseUrl": gateway.stub.base_url()},
        });
        gateway.create_deployment(&deployment).await;
    }
    let (_, capped) = key(&gateway, json!({"maxBudgetCents": 100_000})).await;
    let (_, hard) = key(&gateway, json!({"maxBudgetCents": 100_000, "budgetMode": "hard"})).await;
    let (_, free) = key(&gateway, json!({})).await;
    let [(chat_path, chat), (responses_path, responses), (messages_path, messages)] = [
        ("/v1/chat/completions", chat("chat")),
        ("/v1/responses", json!({"model": "responses", "input": "Hello", "store": false})),
        (
            "/v1/messages",
            json!({"model": "messages", "max_tokens": 5,
            "messages": [{"role": "user", "content": "Hello"}]}),
        ),
    ];
    let search = json!([{"type": "web_search_20250305", "name": "web_search", "max_uses": 2}]);
    // A field and its value; what a budget says of it, and a hard one.
    for (path, request, field, value, named, named_hard) in [
        (chat_path, &chat, "service_tier", json!("priority"), "", ""),
        (chat_path, &chat, "service_tier", json!("auto"), "", ""),
        (chat_path, &chat, "service_tier", json!("flex"), "service_tier", "service_tier"),
        (chat_path, &chat, "web_search_options", json!({}), "web_search_options", "web_search_options"),
        (chat_path, &chat, "n", json!(2), "", ""),
        (responses_path, &responses, "tools", json!([{"type": "web_search"}]), "", "tools[0].type"),
        (
            responses_path,
            &responses,
            "tools",
            json!([{"type": "code_interpreter", "container": {"type": "auto"}}]),
            "tools[0].type",
            "tools[0].type",
        ),
        (messages_path, &messages, "speed", json!("fast"), "", ""),
        (messages_path, &messages, "inference_geo", json!("us"), "", ""),
        (messages_path, &messages, "inference_geo", json!("eu"), "inference_geo", "inference_geo"),
        (messages_path, &messages, "tools", search, "", "tools[0].type"),
    ] {
        let mut request = request.clone();
        request[field] = value;
        for (key, named) in [(&capped, named), (&hard, named_hard), (&free, "")] {
            let answer = post(&gateway, key, path, &request).await;
            if named.is_empty() {
                assert_eq!(answer.status, 200, "{request}: {}", answer.text());
            } else {
                assert_eq!(answer.status, 400, "{request}: {}", answer.text());
                let said = answer.text();
                assert!(said.contains(named), "{request}: {said}");
            }
        }
    }
}

#[tokio::test]
async fn a_request_that_an_estimate_would_refuse_is_counted_first() {
    let gateway = gateway().await;
    deploy(&gateway, "exact", "gpt-4.1", json!({})).await;
    let (_, secret) = key(&gateway, json!({"tpm": 3_600})).await;
    // 14,000 bytes are thought to be 4,000 tokens; they are 3,000 of those that this model has.
    let text = "one two three ".repeat(1_000);
    for (model, status) in [("exact", 200), ("priced", 429)] {
        let mut request = bounded(model);
        request["messages"][0]["content"] = json!(text);
        let answer = gateway.client.chat(&secret, &request).await;
        assert_eq!(answer.status, status, "{model}: {}", answer.text());
    }
}

#[tokio::test]
async fn a_dearer_fallback_is_skipped_when_the_budget_does_not_reach() {
    let gateway = gateway().await;
    deploy(&gateway, "failing", "stub-503", json!({})).await;
    let dear = json!({"pricing": {"inputCentsPerMTokens": "100000000", "outputCentsPerMTokens": "100000000"}});
    deploy(&gateway, "dear", STUB, dear).await;
    gateway.set_policy(&json!({"maxAttempts": 2})).await;
    gateway.set_chain("failing", "general", &["dear", "priced"]).await;
    let (id, secret) = key(&gateway, json!({"maxBudgetCents": 10})).await;
    assert_eq!(gateway.client.chat(&secret, &bounded("failing")).await.status, 200);
    assert_eq!(spent(&gateway, &id).await, "1");
}

#[tokio::test]
async fn a_deployment_at_its_limit_is_skipped_and_a_pool_at_its_limit_calls_nobody() {
    let gateway = TestGateway::start().await;
    let high = json!({"rpmLimit": 1, "priority": 1});
    deploy(&gateway, "pool", STUB, high).await;
    deploy(&gateway, "pool", "stub-text", json!({"rpmLimit": 1})).await;
    let (_, secret) = key(&gateway, json!({})).await;
    for _ in 0..2 {
        assert_eq!(gateway.client.chat(&secret, &chat("pool")).await.status, 200);
    }
    let models: Vec<String> = gateway.stub.requests().iter().map(|received| received.model.clone()).collect();
    assert_eq!(models, [STUB, "stub-text"]);
    let answer = gateway.client.chat(&secret, &chat("pool")).await;
    answer.refused((429, "rate_limit_error", "rate_limit_exceeded", ""));
    assert!(answer.header("retry-after").is_some());
    assert_eq!(gateway.stub.requests().len(), 2);
}
