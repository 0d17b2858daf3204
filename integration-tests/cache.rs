//! The response cache from end to end: who gets an answer from it, what it costs, and what it never mixes up.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};
use sqlx::Connection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use tokio::time::Instant;
use url::Url;

use crate::support::fleet::{Database, Replica, redis_url};
use crate::support::stub_provider::StubProvider;
use crate::support::tunnel::{Passage, Tunnel};
use crate::support::wait::{soon, until};
use crate::support::{Answer, Client, MASTER_KEY, PROVIDER_KEY, TestGateway, chat, chat_stream};

/// The stub answers with five tokens in and five out; at this price that is one cent.
const STUB: &str = "stub-echo-request";
const OPT_IN: (&str, &str) = ("x-unified-cache", "true");

async fn gateway() -> TestGateway {
    let gateway = TestGateway::start().await;
    let prices = json!({"pricing": {"inputCentsPerMTokens": "100000", "outputCentsPerMTokens": "100000"}});
    gateway.deploy_with("priced", STUB, prices).await;
    gateway
}

async fn key(gateway: &TestGateway, limits: Value) -> (String, String) {
    let mut key = limits;
    key["name"] = json!("app");
    gateway.create_key(&key).await
}

async fn post(client: &Client, key: &str, path: &str, headers: &[(&str, &str)], request: &Value) -> Answer {
    let bearer = format!("Bearer {key}");
    let mut all = vec![("authorization", bearer.as_str()), ("content-type", "application/json")];
    all.extend_from_slice(headers);
    client.send("POST", path, &all, request.to_string()).await
}

/// One request that opted in.
async fn ask(gateway: &TestGateway, key: &str, request: &Value) -> Answer {
    post(&gateway.client, key, "/v1/chat/completions", &[OPT_IN], request).await
}

fn status(answer: &Answer) -> Option<&str> {
    answer.header("x-unified-cache-status")
}

/// Names of the headers that tell of limits.
fn limits_of(answer: &Answer) -> Vec<String> {
    let names = answer.headers.keys().map(|name| name.as_str().to_owned());
    let mut names: Vec<String> = names.filter(|name| name.starts_with("x-ratelimit-")).collect();
    names.sort_unstable();
    names
}

/// How long half of 40 hits take at most.
async fn half_of(ask: impl AsyncFn() -> Answer) -> Duration {
    let mut times = Vec::new();
    for _ in 0..40 {
        let from = Instant::now();
        assert_eq!(status(&ask().await), Some("hit"));
        times.push(from.elapsed());
    }
    times.sort_unstable();
    times[times.len() / 2]
}

async fn spent(gateway: &TestGateway, id: &str) -> Value {
    gateway.configure("GET", &format!("/admin/keys/{id}/usage"), &Value::Null).await["spendCents"].clone()
}

#[tokio::test]
async fn an_equal_request_is_answered_without_a_call_and_costs_nothing() {
    let gateway = gateway().await;
    let (id, key) = key(&gateway, json!({"rpm": 10, "tpm": 100_000, "maxBudgetCents": "100000"})).await;
    let first = ask(&gateway, &key, &chat("priced")).await;
    first.ok();
    assert_eq!(status(&first), Some("miss"));
    assert_eq!(first.header("x-ratelimit-remaining-requests"), Some("9"));
    assert!(first.header("x-ratelimit-remaining-tokens").is_some());
    assert_eq!(spent(&gateway, &id).await, json!("1"));

    let request = json!({"messages": [{"content": "Hello", "role": "user"}], "model": "priced"});
    let second = ask(&gateway, &key, &request).await;
    assert_eq!((status(&second), &second.body), (Some("hit"), &first.body));
    assert_eq!(second.header("x-ratelimit-remaining-requests"), Some("8"), "a hit counts as a request");
    assert_eq!(second.header("content-type"), Some("application/json"));
    assert_eq!(spent(&gateway, &id).await, json!("1"), "a hit costs nothing");
    assert_eq!(limits_of(&second), limits_of(&first), "the same limits are told of");
    let left = |answer: &Answer, of: &str| -> f64 {
        answer.header(&format!("x-ratelimit-remaining-{of}")).unwrap().parse().unwrap()
    };
    assert_eq!(left(&second, "budget-cents"), 99_999.0, "as it stands after the first");
    assert!(left(&second, "tokens") > left(&first, "tokens"), "nothing is held for a hit");
    assert_eq!(gateway.stub.calls_of(STUB), 1);

    let plain = gateway.client.chat(&key, &chat("priced")).await;
    assert_eq!((plain.status, status(&plain)), (200, None), "who did not opt in is told nothing");
    assert_eq!(gateway.stub.calls_of(STUB), 2);
    let usage = gateway.configure("GET", &format!("/admin/keys/{id}/usage"), &Value::Null).await;
    assert_eq!((&usage["requestsLastMinute"], &usage["requestsInFlight"]), (&json!(3), &json!(0)), "{usage}");
}

#[tokio::test]
async fn a_key_whose_budget_is_spent_still_gets_what_is_cached_and_no_more_requests_than_it_may_make() {
    let gateway = gateway().await;
    let (id, key) = key(&gateway, json!({"rpm": 3, "maxParallelRequests": 1, "maxBudgetCents": "1000"})).await;
    let request = chat("priced");
    let first = ask(&gateway, &key, &request).await;
    assert_eq!((first.status, status(&first)), (200, Some("miss")), "{}", first.text());
    gateway.configure("PATCH", &format!("/admin/keys/{id}"), &json!({"maxBudgetCents": "1"})).await;
    let mut other = request.clone();
    other["messages"][0]["content"] = json!("Bye");
    ask(&gateway, &key, &other).await.refused((429, "rate_limit_error", "insufficient_quota", ""));
    let hit = ask(&gateway, &key, &request).await;
    assert_eq!((hit.status, status(&hit)), (200, Some("hit")));
    assert_eq!(hit.header("x-ratelimit-remaining-budget-cents"), Some("0"));
    let over = ask(&gateway, &key, &request).await;
    over.refused((429, "rate_limit_error", "rate_limit_exceeded", ""));
    assert_eq!(over.header("x-ratelimit-remaining-requests"), Some("0"));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_shares_an_answer_that_was_cut_off_or_blocked_is_recorded_so() {
    let gateway = TestGateway::start().await;
    let (_, key) = key(&gateway, json!({})).await;
    let tunnel = Tunnel::to(gateway.stub.address(), Passage::Silent).await;
    let credentials = json!({"apiKey": PROVIDER_KEY, "baseUrl": format!("http://{}/v1", tunnel.address)});
    gateway.deploy_with("filtered", "stub-filter", json!({"credentials": credentials})).await;
    let request = chat("filtered");
    let both = async {
        let (one, other) = tokio::join!(ask(&gateway, &key, &request), ask(&gateway, &key, &request));
        [one, other]
    };
    let open = async {
        tokio::time::sleep(Duration::from_millis(150)).await;
        tunnel.set(Passage::Open);
    };
    let (both, ()) = tokio::join!(both, open);
    let mut told: Vec<_> = both.iter().map(|answer| status(answer).unwrap()).collect();
    told.sort_unstable();
    assert_eq!(told, ["hit", "miss"]);
    assert_eq!(gateway.stub.calls_of("stub-filter"), 1);
    for answer in &both {
        let id = answer.header("x-request-id").unwrap();
        let record = gateway.configure("GET", &format!("/admin/logs/{id}"), &Value::Null).await;
        assert_eq!(
            (&record["outcome"], &record["finishReason"]),
            (&json!("blocked"), &json!("content_filter")),
            "{record}"
        );
    }
}

#[tokio::test]
async fn answers_stay_with_their_key_their_contract_and_their_pool() {
    let gateway = gateway().await;
    let ((_, one), (_, other)) = (key(&gateway, json!({})).await, key(&gateway, json!({})).await);
    let request = chat("priced");
    assert_eq!(status(&ask(&gateway, &one, &request).await), Some("miss"));
    assert_eq!(status(&ask(&gateway, &other, &request).await), Some("miss"), "of another key");
    let messages = json!({"model": "priced", "max_tokens": 50, "messages": [{"role": "user", "content": "Hello"}]});
    let on_chat = ask(&gateway, &one, &messages).await;
    let on_messages = post(&gateway.client, &one, "/v1/messages", &[OPT_IN], &messages).await;
    assert_eq!((status(&on_chat), status(&on_messages)), (Some("miss"), Some("miss")), "of another contract");
    assert_ne!(on_chat.body, on_messages.body);
    let again = post(&gateway.client, &one, "/v1/messages", &[OPT_IN], &messages).await;
    assert_eq!((status(&again), &again.body), (Some("hit"), &on_messages.body));
    let strict = post(&gateway.client, &one, "/v1/messages", &[OPT_IN, ("x-unified-strict", "true")], &messages).await;
    assert_ne!(status(&strict), Some("hit"), "of a strict request");
    let responses = json!({"model": "priced", "input": "Hello", "store": false});
    for expected in ["miss", "hit"] {
        let answer = post(&gateway.client, &one, "/v1/responses", &[OPT_IN], &responses).await;
        assert_eq!(status(&answer), Some(expected), "{}", answer.text());
    }

    assert_eq!(status(&ask(&gateway, &one, &request).await), Some("hit"));
    let listed = gateway.configure("GET", "/admin/deployments?publicModel=priced", &Value::Null).await;
    let id = listed[0]["id"].as_str().unwrap();
    gateway.configure("PATCH", &format!("/admin/deployments/{id}"), &json!({"label": "changed"})).await;
    assert_eq!(status(&ask(&gateway, &one, &request).await), Some("miss"), "of another pool");
}

#[tokio::test]
async fn what_is_not_text_in_and_text_out_passes_the_cache_by() {
    let gateway = gateway().await;
    let (_, key) = key(&gateway, json!({})).await;
    let mut with_tools = chat("priced");
    with_tools["tools"] = json!([{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]);
    let mut with_image = chat("priced");
    with_image["messages"][0]["content"] =
        json!([{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}]);
    let mut large = chat("priced");
    large["messages"][0]["content"] = json!("x".repeat(512 * 1024));
    for request in [with_tools, with_image, large] {
        for _ in 0..2 {
            let answer = ask(&gateway, &key, &request).await;
            assert_eq!((answer.status, status(&answer)), (200, Some("bypass")), "{}", answer.text());
        }
    }
    let stored = json!({"model": "priced", "input": "Hello"});
    let answer = post(&gateway.client, &key, "/v1/responses", &[OPT_IN], &stored).await;
    assert_eq!((answer.status, status(&answer)), (200, Some("bypass")), "{}", answer.text());
    let stream = ask(&gateway, &key, &chat_stream("priced")).await;
    assert_eq!((stream.status, status(&stream)), (200, Some("bypass")));
    for _ in 0..2 {
        let answer = ask(&gateway, MASTER_KEY, &chat("priced")).await;
        assert_eq!((answer.status, status(&answer)), (200, Some("bypass")), "the operator");
    }
}

#[tokio::test]
async fn only_whole_answers_of_the_model_that_was_asked_are_kept() {
    let gateway = gateway().await;
    for model in ["stub-filter", "stub-refusal", "stub-tools", "stub-500"] {
        gateway.deploy(model, model).await;
    }
    gateway.set_chain("stub-500", "general", &["priced"]).await;
    gateway.set_policy(&json!({"maxAttempts": 2})).await;
    let (_, key) = key(&gateway, json!({})).await;
    for model in ["stub-filter", "stub-refusal", "stub-tools", "stub-500"] {
        for _ in 0..2 {
            let answer = ask(&gateway, &key, &chat(model)).await;
            assert_eq!((answer.status, status(&answer)), (200, Some("miss")), "{model}: {}", answer.text());
        }
    }
}

#[tokio::test]
async fn an_answer_lives_as_long_as_its_request_says() {
    let gateway = gateway().await;
    let (_, key) = key(&gateway, json!({})).await;
    let request = chat("priced");
    let path = "/v1/chat/completions";
    let short = [OPT_IN, ("x-unified-cache-ttl", "1")];
    assert_eq!(status(&post(&gateway.client, &key, path, &short, &request).await), Some("miss"));
    assert_eq!(status(&post(&gateway.client, &key, path, &short, &request).await), Some("hit"));
    tokio::time::sleep(Duration::from_millis(1_050)).await;
    assert_eq!(status(&post(&gateway.client, &key, path, &short, &request).await), Some("miss"));
    for (name, value) in [
        ("x-unified-cache", "yes"),
        ("x-unified-cache", "1"),
        ("x-unified-cache-ttl", "0"),
        ("x-unified-cache-ttl", "86401"),
        ("x-unified-cache-ttl", "+5"),
        ("x-unified-cache-ttl", "five"),
        ("x-unified-cache-ttl", "99999999999999999999"),
    ] {
        let answer = post(&gateway.client, &key, path, &[(name, value)], &request).await;
        answer.refused((400, "invalid_request_error", "", name));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_equal_requests_at_once_are_one_call() {
    let gateway = gateway().await;
    let (id, key) = key(&gateway, json!({"maxBudgetCents": "100000", "rpm": 200})).await;
    let request = chat("priced");
    let answers = join_all((0..100).map(|_| ask(&gateway, &key, &request))).await;
    assert_eq!(gateway.stub.calls_of(STUB), 1);
    assert!(answers.iter().all(|answer| answer.status == 200 && answer.body == answers[0].body));
    let misses = answers.iter().filter(|answer| status(answer) == Some("miss")).count();
    let hits = answers.iter().filter(|answer| status(answer) == Some("hit")).count();
    assert_eq!((misses, hits), (1, 99));
    assert_eq!(spent(&gateway, &id).await, json!("1"));
    let p50 = half_of(async || ask(&gateway, &key, &request).await).await;
    println!("hit in the process, p50: {p50:?}");
}

#[tokio::test]
async fn a_failure_is_told_to_all_who_wait_and_is_not_kept() {
    let gateway = gateway().await;
    gateway.deploy("broken", "stub-400").await;
    let (_, key) = key(&gateway, json!({})).await;
    let request = chat("broken");
    let answers = join_all((0..20).map(|_| ask(&gateway, &key, &request))).await;
    for answer in &answers {
        assert_eq!(answer.status, 400, "{}", answer.text());
        assert_eq!(answer.json()["error"]["message"], answers[0].json()["error"]["message"]);
    }
    let calls = gateway.stub.calls_of("stub-400");
    assert!((1..=20).contains(&calls));
    assert_eq!(ask(&gateway, &key, &chat("broken")).await.status, 400);
    assert_eq!(gateway.stub.calls_of("stub-400"), calls + 1);
}

#[tokio::test]
async fn a_client_that_leaves_takes_the_call_along_only_when_nobody_else_waits() {
    let gateway = gateway().await;
    gateway.deploy_echo("slow", json!({"delayMs": 400}), json!({})).await;
    let (_, key) = key(&gateway, json!({})).await;
    let request = chat("slow");
    let impatient = tokio::time::timeout(Duration::from_millis(100), ask(&gateway, &key, &request));
    let patient = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        ask(&gateway, &key, &request).await
    };
    let (left, answer) = tokio::join!(impatient, patient);
    assert!(left.is_err(), "it left");
    assert_eq!((answer.status, status(&answer)), (200, Some("hit")), "{}", answer.text());
    assert_eq!(status(&ask(&gateway, &key, &request).await), Some("hit"));

    let mut other = request.clone();
    other["messages"][0]["content"] = json!("Bye");
    let left = tokio::time::timeout(Duration::from_millis(100), ask(&gateway, &key, &other)).await;
    assert!(left.is_err(), "it left");
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(status(&ask(&gateway, &key, &other).await), Some("miss"), "its call was given up");
}

#[tokio::test]
async fn a_hit_tells_its_own_routing_facts() {
    let gateway = gateway().await;
    let (_, key) = key(&gateway, json!({})).await;
    let headers = [OPT_IN, ("x-unified-routing-metadata", "true")];
    let path = "/v1/chat/completions";
    let miss = post(&gateway.client, &key, path, &headers, &chat("priced")).await.json();
    assert_eq!(miss["unified_routing"]["attempt_count"], 1);
    let hit = post(&gateway.client, &key, path, &headers, &chat("priced")).await.json();
    let routing = &hit["unified_routing"];
    assert_eq!((&routing["served_model"], &routing["attempt_count"]), (&json!("priced"), &json!(0)), "{routing}");
    assert_eq!((&routing["fallback_used"], &hit["choices"]), (&json!(false), &miss["choices"]));
    let plain = ask(&gateway, &key, &chat("priced")).await;
    assert_eq!((status(&plain), plain.json().get("unified_routing")), (Some("hit"), None));
}

#[tokio::test]
async fn hits_are_recorded_as_such() {
    let gateway = gateway().await;
    let (_, key) = key(&gateway, json!({"rpm": 10, "maxBudgetCents": "100000"})).await;
    for _ in 0..2 {
        ask(&gateway, &key, &chat("priced")).await.ok();
    }
    let options = SqliteConnectOptions::new().filename(gateway.folder.path().join("gateway.db"));
    let mut database = SqliteConnection::connect_with(&options).await.unwrap();
    let columns = "SELECT cache_hit, outcome, served_model, cost_nanocents, input_tokens FROM operations ORDER BY id";
    // They are stored behind the answers.
    let rows = soon("both records", async {
        loop {
            let rows: Vec<(bool, String, String, i64, i64)> =
                sqlx::query_as(columns).fetch_all(&mut database).await.unwrap();
            if rows.len() == 2 {
                return rows;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    let row = |is_hit, cost, tokens| (is_hit, "success".to_owned(), "priced".to_owned(), cost, tokens);
    assert_eq!(rows, [row(false, 1_000_000_000, 5), row(true, 0, 0)]);
    let charges: i64 = sqlx::query_scalar("SELECT SUM(spent) FROM key_spend").fetch_one(&mut database).await.unwrap();
    assert_eq!(charges, 1_000_000_000);
}

#[tokio::test]
async fn what_an_operator_invalidates_is_asked_for_again() {
    let gateway = gateway().await;
    let ((id, one), (_, other)) = (key(&gateway, json!({})).await, key(&gateway, json!({})).await);
    let request = chat("priced");
    for key in [&one, &other] {
        assert_eq!(status(&ask(&gateway, key, &request).await), Some("miss"));
    }
    let invalidate = async |query: &str| {
        gateway.configure("DELETE", &format!("/admin/cache{query}"), &Value::Null).await["removed"].clone()
    };
    assert_eq!(invalidate("?callType=embedding.create").await, json!(0));
    assert_eq!(invalidate(&format!("?callType=text.generate&namespace={id}")).await, json!(1));
    assert_eq!(status(&ask(&gateway, &one, &request).await), Some("miss"));
    assert_eq!(status(&ask(&gateway, &other, &request).await), Some("hit"));
    assert_eq!(invalidate("").await, json!(2));
    assert_eq!(status(&ask(&gateway, &other, &request).await), Some("miss"));
}

#[tokio::test]
async fn what_is_no_text_but_json_is_cached_as_well() {
    let gateway = TestGateway::start().await;
    let (_, key) = key(&gateway, json!({"rpm": 50})).await;
    for (path, operation, request) in [
        ("/v1/embeddings", "embedding.create", json!({"model": "echo", "input": ["Hello", "World"]})),
        ("/v1/rerank", "rerank", json!({"model": "echo", "query": "bread", "documents": ["rye", "rain"]})),
        ("/v1/moderations", "moderate", json!({"model": "echo", "input": "Hello"})),
    ] {
        let first = post(&gateway.client, &key, path, &[OPT_IN], &request).await;
        assert_eq!((first.status, status(&first)), (200, Some("miss")), "{path}: {}", first.text());
        let second = post(&gateway.client, &key, path, &[OPT_IN], &request).await;
        assert_eq!((status(&second), &second.body), (Some("hit"), &first.body), "{path}");
        let all = gateway.configure("DELETE", &format!("/admin/cache?callType={operation}"), &Value::Null).await;
        assert_eq!(all["removed"], 1, "{path}");
    }
}

/// Two replicas around one Redis, and the stub behind them.
struct Fleet {
    a: Replica,
    b: Replica,
    stub: StubProvider,
    _database: Database,
}

impl Fleet {
    async fn start(redis: &str, limits: Value) -> (Self, String) {
        let database = Database::create().await;
        let (url, extra) = (database.url(), [("REDIS_URL", redis)]);
        let (a, b) = tokio::join!(Replica::begin(&url, &extra), Replica::begin(&url, &extra));
        a.until_ready("ready").await;
        b.until_ready("ready").await;
        let stub = StubProvider::start().await;
        let deployment = json!({
            "publicModel": "shared", "provider": "openaicompatible", "upstreamModel": STUB,
            "credentials": {"apiKey": PROVIDER_KEY, "baseUrl": stub.base_url()},
            "pricing": {"inputCentsPerMTokens": "100000", "outputCentsPerMTokens": "100000"},
        });
        a.configure("POST", "/admin/deployments", &deployment).await;
        let mut key = limits;
        key["name"] = json!("app");
        let key = a.configure("POST", "/admin/keys", &key).await["key"].as_str().unwrap().to_owned();
        let unknown = chat("no-such-model");
        until("the key", || async { b.client.chat(&key, &unknown).await.status == 404 }).await;
        (Self { a, b, stub, _database: database }, key)
    }
}

async fn ask_replica(replica: &Replica, key: &str, request: &Value) -> Answer {
    post(&replica.client, key, "/v1/chat/completions", &[OPT_IN], request).await
}

/// What one replica brought is there for the other; so is what an operator removed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_share_what_is_cached_and_what_is_invalidated() {
    let (fleet, key) = Fleet::start(&redis_url(), json!({"rpm": 500})).await;
    let request = chat("shared");
    let first = ask_replica(&fleet.a, &key, &request).await;
    assert_eq!((first.status, status(&first)), (200, Some("miss")), "{}", first.text());
    let second = ask_replica(&fleet.b, &key, &request).await;
    assert_eq!((status(&second), &second.body), (Some("hit"), &first.body));
    assert_eq!(second.header("x-ratelimit-remaining-requests"), Some("498"));
    assert_eq!(fleet.stub.calls_of(STUB), 1);

    let removed = fleet.b.configure("DELETE", "/admin/cache?callType=text.generate", &Value::Null).await;
    assert!(removed["removed"].as_u64().unwrap() >= 1, "{removed}");
    assert_eq!(status(&ask_replica(&fleet.a, &key, &request).await), Some("miss"));
    assert_eq!(status(&ask_replica(&fleet.b, &key, &request).await), Some("hit"));

    let p50 = half_of(async || ask_replica(&fleet.b, &key, &request).await).await;
    println!("hit over Redis, p50: {p50:?}");
}

/// A cache that is away is no cache, and never an error; nor is one that answers too late.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_is_away_or_silent_is_passed_by() {
    let server: Url = redis_url().parse().unwrap();
    let address = (server.host_str().unwrap(), server.port().unwrap_or(6379));
    let address = tokio::net::lookup_host(address).await.unwrap().next().unwrap();
    let tunnel = Tunnel::to(address, Passage::Open).await;
    let mut through = server.clone();
    through.set_port(Some(tunnel.address.port())).unwrap();
    // Without limits a key needs no Redis but for the cache.
    let (fleet, key) = Fleet::start(through.as_str(), json!({})).await;
    let request = chat("shared");
    until("the cache", || async { status(&ask_replica(&fleet.a, &key, &request).await) == Some("hit") }).await;
    for passage in [Passage::Cut, Passage::Silent] {
        tunnel.set(passage);
        for _ in 0..3 {
            let from = Instant::now();
            let answer = ask_replica(&fleet.a, &key, &request).await;
            assert_eq!((answer.status, status(&answer)), (200, Some("bypass")), "{}", answer.text());
            assert!(from.elapsed() < Duration::from_secs(1), "{:?}", from.elapsed());
        }
        let refused = fleet.a.admin("DELETE", "/admin/cache", &Value::Null).await;
        assert_eq!(refused.status, 503, "{}", refused.text());
        tunnel.set(Passage::Open);
        until("the cache again", || async { status(&ask_replica(&fleet.a, &key, &request).await) == Some("hit") })
            .await;
    }
}
