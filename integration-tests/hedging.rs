//! A second candidate is asked where the first is later than usual: where that is switched on, and where the money of the
//! key covers both.

use std::time::Duration;

use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::support::MASTER_KEY;
use crate::support::tunnel::{Passage, Tunnel};
use crate::support::wait::until;
use crate::telemetry::{collector, hex, number, reporting, text};
use crate::world::{CHAT, World, streamed};

/// A pool whose first choice is behind a tunnel and has answered thirty streams.
async fn pool(world: &World) -> Tunnel {
    pool_behind(world, false).await
}

/// The same, where all of it may be behind the tunnel.
async fn pool_behind(world: &World, is_all: bool) -> Tunnel {
    let tunnel = Tunnel::to(world.stub.address(), Passage::Open).await;
    let price = json!({"inputCentsPerMTokens": "1000", "outputCentsPerMTokens": "1000"});
    let credentials = json!({"apiKey": "sk-a", "baseUrl": format!("http://{}/v1", tunnel.address)});
    let mut spare = json!({"pricing": price});
    if is_all {
        spare["credentials"] = credentials.clone();
    }
    world
        .deploy_with("my/pool", "gpt-late", json!({"priority": 5, "pricing": price, "credentials": credentials}))
        .await;
    world.deploy_with("my/pool", "gpt-spare", spare).await;
    for _ in 0..30 {
        assert_eq!(world.stream("my/pool").await.status, 200);
    }
    assert_eq!((world.stub.calls_of("gpt-late"), world.stub.calls_of("gpt-spare")), (30, 0));
    tunnel
}

async fn hedged(world: &World, on: bool) {
    let settings = json!({"modelOverrides": {"my/pool": {"hedging": on}}, "executionPolicies": {"text.generate":
        {"firstOutputMs": 900, "maxAttempts": 3}}});
    world.configure("PUT", "/admin/router-settings", &settings).await;
}

/// The routing facts of a stream, and how long it took.
async fn routing(world: &World, key: &str) -> (Value, Duration) {
    let bearer = format!("Bearer {key}");
    let headers = [
        ("authorization", bearer.as_str()),
        ("content-type", "application/json"),
        ("x-unified-routing-metadata", "true"),
    ];
    let mut body = streamed("my/pool");
    body["max_tokens"] = json!(1_000);
    let begun = Instant::now();
    let answer = world.client.send("POST", CHAT, &headers, body.to_string()).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let events = answer.events().await;
    let last: Value = serde_json::from_str(&events[events.len() - 2]).unwrap();
    (last["unified_routing"].clone(), begun.elapsed())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_candidate_wins_where_the_first_is_late_and_the_first_is_not_blamed() {
    let world = World::of(&[]).await;
    let tunnel = pool(&world).await;
    hedged(&world, true).await;
    let (usual, _) = routing(&world, &world.key).await;
    assert_eq!(usual["attempt_count"], 1, "{usual}");
    tunnel.set(Passage::Silent);
    let (facts, took) = routing(&world, &world.key).await;
    assert!(took < Duration::from_millis(850), "before the first one's time was over: {took:?}");
    assert_eq!(facts["attempt_count"], 2, "{facts}");
    let attempts = facts["attempts"].as_array().unwrap();
    assert_eq!((&attempts[0]["ok"], &attempts[0]["error_class"]), (&json!(false), &json!("hedge")));
    assert!(attempts[0].get("health_impact").is_none() && attempts[1]["ok"] == true, "{facts}");
    let shown = world.client.get("/v1/models/my/pool/deployments", Some(&world.key)).await;
    let first = &shown.ok()["data"][0];
    assert_eq!((&first["status"], &first["metrics"]["inflight"]), (&json!("available"), &json!(0)));
    hedged(&world, false).await;
    let (facts, took) = routing(&world, &world.key).await;
    assert!(took > Duration::from_millis(850), "off: the second comes when the first has failed: {took:?}");
    assert_eq!(facts["attempts"][0]["error_class"], "transient");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_whose_money_does_not_cover_both_gets_no_second_candidate() {
    let world = World::of(&[]).await;
    let tunnel = pool(&world).await;
    hedged(&world, true).await;
    tunnel.set(Passage::Silent);
    // A request holds a little more than one cent.
    let (_, poor) = world.create_key(&json!({"name": "poor", "maxBudgetCents": "1.5"})).await;
    let (_, rich) = world.create_key(&json!({"name": "rich", "maxBudgetCents": "15"})).await;
    let (facts, took) = routing(&world, &poor).await;
    assert!(took > Duration::from_millis(850), "{took:?} {facts}");
    assert_eq!(facts["attempts"][0]["error_class"], "transient");
    let (facts, took) = routing(&world, &rich).await;
    assert!(took < Duration::from_millis(850), "{took:?}");
    assert_eq!(facts["attempts"][0]["error_class"], "hedge");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_call_of_a_race_is_a_span_of_its_own_that_its_provider_hears_of() {
    let (address, inbox, _collector) = collector().await;
    let gateway = reporting(&format!("http://{address}"), &[("OTEL_METRICS_EXPORTER", "none")]).await;
    let (_, key) = gateway.create_key(&json!({"name": "test"})).await;
    let world = World { gateway, key };
    let tunnel = pool(&world).await;
    hedged(&world, true).await;
    tunnel.set(Passage::Unanswered);
    let (facts, _) = routing(&world, &world.key).await;
    assert_eq!(facts["attempt_count"], 2, "{facts}");
    assert_eq!((world.stub.calls_of("gpt-late"), world.stub.calls_of("gpt-spare")), (31, 1));
    let of_spare = |span: &Span| span.name == "chat gpt-spare";
    until("the spans", async || inbox.spans().iter().any(of_spare)).await;

    let spans = inbox.spans();
    let won = spans.iter().find(|span| of_spare(span)).unwrap();
    let of_race = |span: &&Span| span.trace_id == won.trace_id;
    let server = spans.iter().filter(of_race).find(|span| span.kind() == SpanKind::Server).unwrap();
    let lost = spans.iter().filter(of_race).find(|span| span.name == "chat gpt-late").unwrap();
    assert_eq!(spans.iter().filter(of_race).count(), 3);
    assert_eq!((text(&lost.attributes, "error.type"), won.status.is_none()), ("hedge".to_owned(), true));
    assert_eq!(number(&server.attributes, "unified_gateway.attempts"), 2);
    for (span, port) in [(lost, tunnel.address.port()), (won, world.stub.address().port())] {
        assert_eq!(span.parent_span_id, server.span_id);
        assert_eq!(number(&span.attributes, "server.port"), i64::from(port));
        let parent = format!("00-{}-{}-01", hex(&server.trace_id), hex(&span.span_id));
        let requests = world.stub.requests();
        let told = requests.iter().filter(|request| request.header("traceparent") == Some(parent.as_str()));
        assert_eq!(told.count(), 1, "{}", span.name);
    }
    assert!(won.start_time_unix_nano > lost.start_time_unix_nano, "the second began later");
    assert!(lost.end_time_unix_nano < won.end_time_unix_nano, "and the first was over before its answer was");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_a_race_leaves_both_calls_and_both_are_recorded() {
    let world = World::of(&[]).await;
    let tunnel = pool_behind(&world, true).await;
    hedged(&world, true).await;
    tunnel.set(Passage::Unanswered);
    let bearer = format!("Bearer {}", world.key);
    let headers = [
        ("authorization", bearer.as_str()),
        ("content-type", "application/json"),
        ("x-request-id", "a-race-that-is-left"),
    ];
    tokio::select! {
        answer = world.client.send("POST", CHAT, &headers, streamed("my/pool").to_string()) => {
            panic!("it is answered: {}", answer.text())
        }
        () = until("the second call", async || world.stub.calls_of("gpt-spare") == 1) => {}
    }
    let path = "/admin/logs/a-race-that-is-left";
    until("the record", async || world.client.get(path, Some(MASTER_KEY)).await.status == 200).await;
    let record = world.configure("GET", path, &Value::Null).await;
    let attempts = record["attempts"].as_array().unwrap();
    let mut models: Vec<_> = attempts.iter().map(|attempt| attempt["upstreamModel"].as_str().unwrap()).collect();
    models.sort_unstable();
    assert_eq!((models, &record["outcome"]), (vec!["gpt-late", "gpt-spare"], &json!("cancelled")), "{record}");
    assert!(attempts.iter().all(|attempt| attempt["ok"] == false), "{record}");
}
