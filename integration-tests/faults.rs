//! The fault matrix: what a provider can do wrong against retries, fallbacks and circuits, each with the number of calls
//! it causes. `make faults` prints it, and the share of requests that fail while a provider is out.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::support::Answer;
use crate::support::tunnel::{Passage, Tunnel};
use crate::world::{CHAT, World, question, streamed};

/// Where a fault happens.
#[derive(Debug, Clone, Copy)]
enum At {
    /// At an address where nobody listens.
    Nobody,
    /// At a port that speaks no TLS.
    Plain,
    /// At a name that leads nowhere.
    NoName,
    /// At the stub, as the model says.
    Stub(&'static str),
    /// The same behind a preset.
    Preset(&'static str, &'static str),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Whole,
    Stream,
}

/// What is expected of a fault: with one deployment of its own; with chains for every reason behind it; and how the
/// deployment stands after two requests, where one failure is allowed.
struct Row {
    name: &'static str,
    at: At,
    mode: Mode,
    /// Calls of the provider, of three that are allowed.
    calls: u64,
    /// What the caller is told: a status, or 200 and then an error event.
    told: &'static str,
    /// The same with a chain.
    chained: &'static str,
    standing: &'static str,
}

const fn row(
    name: &'static str,
    at: At,
    mode: Mode,
    (calls, told, chained, standing): (u64, &'static str, &'static str, &'static str),
) -> Row {
    Row { name, at, mode, calls, told, chained, standing }
}

const BROKEN: &str = "200, error event";

#[rustfmt::skip]
const ROWS: [Row; 31] = {
    use At::{Nobody, NoName, Plain, Preset, Stub};
    use Mode::{Stream, Whole};
    [
        row("connection refused",               Nobody,                           Whole,  (3, "502", "200", "cooldown")),
        row("TLS failure",                      Plain,                            Whole,  (3, "502", "200", "cooldown")),
        row("DNS failure",                      NoName,                           Whole,  (3, "502", "200", "cooldown")),
        row("stall before the headers",         Stub("stub-stall-headers"),       Stream, (2, "504", "200", "cooldown")),
        row("stall before the first event",     Stub("stub-stall-first"),         Stream, (2, "504", "200", "cooldown")),
        row("stall in the middle of a body",    Stub("stub-stall-json"),          Whole,  (2, "504", "200", "cooldown")),
        row("stall in the middle of a stream",  Stub("stub-stall-mid"),           Stream, (1, BROKEN, BROKEN, "cooldown")),
        row("connection closed, no answer",     Stub("stub-reset-before"),        Whole,  (2, "502", "200", "cooldown")),
        row("reset in the middle of a body",    Stub("stub-reset-mid"),           Whole,  (2, "502", "200", "cooldown")),
        row("reset in the middle of a stream",  Stub("stub-reset-mid"),           Stream, (1, BROKEN, BROKEN, "cooldown")),
        row("end of a stream, no terminal",     Stub("stub-eof-no-terminal"),     Stream, (1, BROKEN, BROKEN, "cooldown")),
        row("429 with retry-after",             Stub("stub-429"),                 Whole,  (1, "429", "200", "rate_limited")),
        row("429 without",                      Stub("stub-429-plain"),           Whole,  (1, "429", "200", "rate_limited")),
        row("429, the quota is used up",        Stub("stub-429-quota"),           Whole,  (1, "502", "200", "cooldown")),
        row("500",                              Stub("stub-500"),                 Whole,  (3, "502", "200", "cooldown")),
        row("503",                              Stub("stub-503"),                 Stream, (3, "502", "200", "cooldown")),
        row("502 with a page",                  Stub("stub-html-502"),            Whole,  (3, "502", "200", "cooldown")),
        row("401",                              Stub("stub-401"),                 Whole,  (1, "502", "200", "cooldown")),
        row("402",                              Stub("stub-402"),                 Whole,  (1, "502", "200", "cooldown")),
        row("403, the account",                 Stub("stub-403"),                 Whole,  (1, "502", "200", "cooldown")),
        row("403, the content",                 Preset("xai", "stub-403-content"), Whole, (1, "400", "200", "available")),
        row("404, the model",                   Stub("stub-404-model"),           Whole,  (1, "502", "200", "cooldown")),
        row("400, the caller",                  Stub("stub-400"),                 Whole,  (1, "400", "400", "available")),
        row("400, the context is too long",     Stub("stub-400-context"),         Whole,  (1, "400", "200", "available")),
        row("malformed JSON",                   Stub("stub-json-garbage"),        Whole,  (2, "502", "200", "cooldown")),
        row("malformed events, the first",      Stub("stub-sse-garbage"),         Stream, (2, "502", "200", "cooldown")),
        row("malformed events, later",          Stub("stub-sse-garbage-mid"),     Stream, (1, BROKEN, BROKEN, "cooldown")),
        row("gzip though identity was asked",   Stub("stub-gzip"),                Whole,  (2, "502", "200", "cooldown")),
        row("an event of 20 MB",                Stub("stub-giant-frame"),         Stream, (2, "502", "200", "cooldown")),
        row("error event in a 200, the first",  Stub("stub-stream-error-first"),  Stream, (3, "502", "200", "cooldown")),
        row("error event in a 200, later",      Stub("stub-stream-error-mid"),    Stream, (1, BROKEN, BROKEN, "cooldown")),
    ]
};

fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

impl Row {
    /// A deployment with this fault, with an account of its own.
    async fn deploy(&self, world: &World, public: &str) {
        let (upstream, preset) = match self.at {
            At::Stub(upstream) => (upstream, "openaicompatible"),
            At::Preset(preset, upstream) => (upstream, preset),
            At::Nobody | At::Plain | At::NoName => ("stub-text", "openaicompatible"),
        };
        let base_url = match self.at {
            At::Nobody => format!("http://127.0.0.1:{}/v1", free_port()),
            At::Plain => format!("https://127.0.0.1:{}/v1", world.stub.address().port()),
            At::NoName => "http://nobody.invalid/v1".to_owned(),
            At::Stub(_) | At::Preset(..) => world.stub.base_url(),
        };
        let credentials = json!({"apiKey": format!("sk-{public}"), "baseUrl": base_url});
        world.deploy_with(public, upstream, json!({"provider": preset, "credentials": credentials})).await;
    }

    async fn ask(&self, world: &World, public: &str) -> Answer {
        let bearer = format!("Bearer {}", world.key);
        let headers = [
            ("authorization", bearer.as_str()),
            ("content-type", "application/json"),
            ("x-unified-routing-metadata", "true"),
        ];
        let body = if self.mode == Mode::Stream { streamed(public) } else { question(public) };
        world.client.send("POST", CHAT, &headers, body.to_string()).await
    }

    /// What happens: calls, what the caller is told, the same with a chain, the standing.
    async fn observe(&self, world: &World, number: usize) -> (u64, String, String, String) {
        let names = ["alone", "chained", "twice"].map(|word| format!("my/{word}-{number}"));
        for name in &names {
            self.deploy(world, name).await;
        }
        let [alone, chained, twice] = names;
        for reason in ["general", "context_window", "content_policy"] {
            world.set_chain(&chained, reason, &["my/text"]).await;
        }
        let answer = self.ask(world, &alone).await;
        let calls = facts(&answer).await["attempt_count"].as_u64().unwrap_or_default();
        let with_chain = told(&self.ask(world, &chained).await).await;
        for _ in 0..2 {
            self.ask(world, &twice).await;
        }
        let pool = world.client.get(&format!("/v1/models/{twice}/deployments"), Some(&world.key)).await;
        let standing = pool.ok()["data"][0]["status"].as_str().unwrap().to_owned();
        (calls, told(&answer).await, with_chain, standing)
    }
}

async fn facts(answer: &Answer) -> Value {
    if let Ok(whole) = serde_json::from_slice::<Value>(&answer.body) {
        return whole["unified_routing"].clone();
    }
    let events = answer.events().await;
    let found = events.iter().rev().find(|event| event.contains("unified_routing"));
    found.map(|event| serde_json::from_str::<Value>(event).unwrap()["unified_routing"].clone()).unwrap_or_default()
}

async fn told(answer: &Answer) -> String {
    let is_stream = answer.header("content-type").is_some_and(|kind| kind.starts_with("text/event-stream"));
    let broke = is_stream && answer.events().await.iter().any(|event| event.starts_with("{\"error\""));
    if broke { BROKEN.to_owned() } else { answer.status.to_string() }
}

/// Where an answer may take so long, and a silence.
async fn world(ms: u32) -> World {
    let world = World::of(&["stub-text"]).await;
    let settings = json!({"allowedFails": 1, "cooldownSeconds": 60, "executionPolicies": {"text.generate":
        {"firstOutputMs": ms, "idleMs": ms, "totalMs": 60_000, "maxAttempts": 3}}});
    world.configure("PUT", "/admin/router-settings", &settings).await;
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_of_a_provider_has_its_retries_its_fallback_and_its_circuit() {
    // Those that wait for the end of a deadline have a short one; a busy machine may take long for the others.
    let (impatient, patient) = (world(400).await, world(20_000).await);
    let observed = join_all(ROWS.iter().enumerate().map(|(number, row)| {
        let world = if row.name.starts_with("stall") { &impatient } else { &patient };
        row.observe(world, number)
    }))
    .await;
    println!("\n{:<34} {:<7} {:>5}  {:<17} {:<17} standing", "fault", "answer", "calls", "the caller", "with a chain");
    let mut wrong = Vec::new();
    for (row, seen) in ROWS.iter().zip(observed) {
        let mode = if row.mode == Mode::Stream { "stream" } else { "whole" };
        println!("{:<34} {mode:<7} {:>5}  {:<17} {:<17} {}", row.name, seen.0, seen.1, seen.2, seen.3);
        let expected = (row.calls, row.told.to_owned(), row.chained.to_owned(), row.standing.to_owned());
        if seen != expected {
            wrong.push(format!("{}: {seen:?}, expected {expected:?}", row.name));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_read_is_no_fault_of_the_provider() {
    let world = World::of(&["stub-flood"]).await;
    let settings =
        json!({"allowedFails": 0, "executionPolicies": {"text.generate": {"idleMs": 1_000, "maxAttempts": 1}}});
    world.configure("PUT", "/admin/router-settings", &settings).await;
    let opened = world.open(&streamed("my/flood")).await;
    // Twice as long as the provider may be silent.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let answer = opened.whole().await;
    assert!(answer.text().ends_with("data: [DONE]\n\n"), "all of it came");
    let pool = world.client.get("/v1/models/my/flood/deployments", Some(&world.key)).await;
    let shown = pool.ok()["data"][0].clone();
    assert_eq!((&shown["status"], &shown["metrics"]["health_score"]), (&json!("available"), &json!(1.0)));
}

fn is_long() -> bool {
    #[expect(clippy::disallowed_methods, reason = "`make faults` asks for the long form")]
    std::env::var("UNIFIED_RELIABILITY").is_ok_and(|form| form == "long")
}

/// Clients that ask all the time.
#[derive(Default)]
struct Clients {
    asked: AtomicUsize,
    failed: AtomicUsize,
    failed_since_open: AtomicUsize,
    is_open: AtomicBool,
    ends: AtomicBool,
}

impl Clients {
    async fn run(&self, world: &World) {
        while !self.ends.load(Ordering::Relaxed) {
            let was_open = self.is_open.load(Ordering::Relaxed);
            let status = world.ask("my/pool").await.status;
            self.asked.fetch_add(1, Ordering::Relaxed);
            if status != 200 {
                self.failed.fetch_add(1, Ordering::Relaxed);
                self.failed_since_open.fetch_add(usize::from(was_open), Ordering::Relaxed);
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// One provider of two is out for a while: what do clients notice? In the long form for five minutes.
#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_one_provider_of_two_is_not_noticed_by_clients() {
    let world = Arc::new(World::of(&[]).await);
    world.configure("PUT", "/admin/router-settings", &json!({"cooldownSeconds": 1, "maxCooldownSeconds": 5})).await;
    let tunnel = Tunnel::to(world.stub.address(), Passage::Open).await;
    let behind = json!({"credentials": {"apiKey": "sk-a", "baseUrl": format!("http://{}/v1", tunnel.address)}});
    world.deploy_with("my/pool", "gpt-out", behind).await;
    world.deploy_with("my/pool", "gpt-well", json!({})).await;
    let clients = Arc::new(Clients::default());
    let outage = if is_long() { Duration::from_secs(300) } else { Duration::from_millis(1_500) };
    let workers = (0..4).map(|_| clients.run(&world));
    let conduct = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert!(world.stub.calls_of("gpt-out") > 0, "both serve");
        tunnel.set(Passage::Cut);
        let begun = Instant::now();
        let mut opened_after = None;
        while begun.elapsed() < outage {
            let pool = world.client.get("/v1/models/my/pool/deployments", Some(&world.key)).await;
            if opened_after.is_none()
                && pool.ok()["data"].as_array().unwrap().iter().any(|one| one["status"] == "cooldown")
            {
                opened_after = Some(begun.elapsed());
                clients.is_open.store(true, Ordering::Relaxed);
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        tunnel.set(Passage::Open);
        let before = world.stub.calls_of("gpt-out");
        // The longest cooldown, and a little.
        let until = Instant::now() + Duration::from_secs(8);
        while world.stub.calls_of("gpt-out") == before && Instant::now() < until {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(world.stub.calls_of("gpt-out") > before, "it serves again");
        clients.ends.store(true, Ordering::Relaxed);
        opened_after
    };
    let (opened_after, _) = tokio::join!(conduct, join_all(workers));
    let [asked, failed, since] =
        [&clients.asked, &clients.failed, &clients.failed_since_open].map(|count| count.load(Ordering::Relaxed));
    println!(
        "an outage of {} s of one provider of two: {asked} requests, {failed} failed ({:.3} %), {since} since its circuit opened ({} ms after it began)",
        outage.as_secs_f32(),
        100.0 * failed as f64 / asked as f64,
        opened_after.map_or(0, |after| after.as_millis()),
    );
    assert!(opened_after.is_some(), "the circuit opened");
    assert_eq!((failed, since), (0, 0));
}
