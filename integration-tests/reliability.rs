//! What must hold when processes die: nothing that a client received is lost or counted twice.
//!
//! `make reliability` runs the long form; `make test` a short one.

use std::collections::HashMap;
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::join_all;
use serde_json::{Value, json};
use sqlx::{Connection, Row, SqliteConnection};
use tempfile::TempDir;

use crate::support::fleet::Database;
use crate::support::gateway::settings;
use crate::support::stub_provider::StubProvider;
use crate::support::wait::{soon, until};
use crate::support::{Client, MASTER_KEY, PROVIDER_KEY, chat, chat_stream};
use unified_gateway::app;

const ENCRYPTION_KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

/// How often to repeat what depends on luck.
fn rounds() -> usize {
    #[expect(clippy::disallowed_methods, reason = "`make reliability` asks for the long form")]
    let long = std::env::var("UNIFIED_RELIABILITY").is_ok_and(|form| form == "long");
    if long { 20 } else { 2 }
}

/// A gateway in a process of its own, to be killed.
struct Process {
    child: Child,
    client: Client,
    address: SocketAddr,
}

impl Process {
    async fn start(folder: &TempDir) -> Self {
        let free = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let (address, grpc) = (free(), free());
        let child = Command::new(env!("CARGO_BIN_EXE_unified-gateway"))
            .env_clear()
            .env("PORT", address.port().to_string())
            .env("GRPC_PORT", grpc.port().to_string())
            .env("DATA_DIR", folder.path())
            .env("MASTER_KEY", MASTER_KEY)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let process = Self { child, client: Client::new(address), address };
        until("the process to listen", || async { tokio::net::TcpStream::connect(process.address).await.is_ok() })
            .await;
        // It listens before it has stored what the one before it answered.
        until("the process", || async { process.client.get("/health/ready", None).await.status == 200 }).await;
        process
    }

    /// Ends it as a power failure would.
    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may be dead already.
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

async fn configure(client: &Client, path: &str, body: &Value) -> Value {
    let bearer = format!("Bearer {MASTER_KEY}");
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    let answer = client.send("POST", path, &headers, body.to_string()).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    answer.json()["data"].clone()
}

/// One cent a request, and a key.
async fn furnish(client: &Client, stub: &StubProvider, key: &Value) -> String {
    let deployment = json!({
        "publicModel": "priced", "provider": "openaicompatible", "upstreamModel": "stub-echo-request",
        "credentials": {"apiKey": PROVIDER_KEY, "baseUrl": stub.base_url()},
        "pricing": {"inputCentsPerMTokens": "100000", "outputCentsPerMTokens": "100000"},
    });
    configure(client, "/admin/deployments", &deployment).await;
    configure(client, "/admin/keys", key).await["key"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answered_request_is_recorded_exactly_once_though_the_process_is_killed() {
    let folder = TempDir::new().unwrap();
    let stub = StubProvider::start().await;
    let mut process = Process::start(&folder).await;
    let key = furnish(&process.client, &stub, &json!({"name": "app"})).await;
    let mut answered: Vec<String> = Vec::new();
    for round in 0..rounds() {
        let done = Arc::new(AtomicUsize::new(0));
        let callers = (0..8).map(|caller| call_until_dead(&process, &key, caller, Arc::clone(&done)));
        let killed = async {
            until("enough answers", || async { done.load(Ordering::Relaxed) >= 40 + 7 * round }).await;
        };
        let (ids, ()) = tokio::join!(join_all(callers), async {
            killed.await;
            // The callers see it die.
            let pid = process.child.id().to_string();
            assert!(Command::new("kill").args(["-9", &pid]).status().unwrap().success());
        });
        answered.extend(ids.into_iter().flatten());
        process.kill();
        process = Process::start(&folder).await;
    }
    process.kill();
    let url = format!("sqlite://{}", folder.path().join("gateway.db").display());
    let mut database = SqliteConnection::connect(&url).await.unwrap();
    let rows = sqlx::query("SELECT request_id, COUNT(*) AS times FROM operations GROUP BY request_id")
        .fetch_all(&mut database)
        .await
        .unwrap();
    let times: HashMap<String, i64> = rows.iter().map(|row| (row.get("request_id"), row.get("times"))).collect();
    for id in &answered {
        assert_eq!(times.get(id), Some(&1), "{id}");
    }
    let spent: i64 = sqlx::query_scalar("SELECT SUM(spent) FROM key_spend").fetch_one(&mut database).await.unwrap();
    let cost: i64 =
        sqlx::query_scalar("SELECT SUM(cost_nanocents) FROM operations").fetch_one(&mut database).await.unwrap();
    assert_eq!(spent, cost, "spending is the sum of the records");
    assert!(answered.len() >= 40 * rounds());
}

/// Calls until the process is gone; the ids of the requests whose answers came whole.
async fn call_until_dead(process: &Process, key: &str, caller: usize, done: Arc<AtomicUsize>) -> Vec<String> {
    let mut answered = Vec::new();
    let http = caller_of(process.address);
    for number in 0.. {
        let request = if (caller + number).is_multiple_of(2) { chat("priced") } else { chat_stream("priced") };
        let Some(id) = http(key.to_owned(), request).await else { break };
        answered.push(id);
        done.fetch_add(1, Ordering::Relaxed);
    }
    answered
}

/// A caller that survives the death of its server: answers the request's id when the answer came whole.
fn caller_of(
    address: SocketAddr,
) -> impl Fn(String, Value) -> futures_util::future::BoxFuture<'static, Option<String>> {
    move |key, request| {
        Box::pin(async move {
            use tokio::io::{AsyncReadExt, AsyncWriteExt};
            let body = request.to_string();
            let text = format!(
                "POST /v1/chat/completions HTTP/1.1\r\nhost: here\r\nauthorization: Bearer {key}\r\n\
                 content-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            );
            let mut stream = tokio::net::TcpStream::connect(address).await.ok()?;
            stream.write_all(text.as_bytes()).await.ok()?;
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).await.ok()?;
            let answer = String::from_utf8(answer).ok()?;
            // The end of a JSON answer, of a stream.
            let is_stream = request["stream"] == true;
            let is_whole = if is_stream { answer.contains("[DONE]") } else { answer.ends_with('}') };
            let id = answer.lines().find_map(|line| line.strip_prefix("x-request-id: "))?;
            (is_whole && answer.starts_with("HTTP/1.1 200")).then(|| id.to_owned())
        })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_replica_alone_on_postgresql_keeps_a_budget_exactly_and_over_a_restart() {
    let database = Database::create().await;
    let stub = StubProvider::start().await;
    let folder = TempDir::new().unwrap();
    let url = database.url();
    let variables =
        [("HOST", "127.0.0.1"), ("DATABASE_URL", url.as_str()), ("CREDENTIALS_ENCRYPTION_KEY", ENCRYPTION_KEY)];
    let running = app::start(settings(folder.path(), &variables)).await.unwrap();
    let client = Client::new(running.http_address);
    until("readiness", || async { client.get("/health/ready", None).await.status == 200 }).await;
    let mut request = chat("priced");
    request["max_tokens"] = json!(5);
    let held = (request.to_string().len() as u64 + 1_024 + 5) * 100;
    let milli_cents = 49 * 1_000 + held;
    let budget = format!("{}.{:03}", milli_cents / 1_000, milli_cents % 1_000);
    let key = json!({"name": "app", "maxBudgetCents": budget, "budgetMode": "hard", "budgetWaitMs": 60_000});
    let key = furnish(&client, &stub, &key).await;
    let ask = |client: Client| {
        let (key, request) = (key.clone(), request.clone());
        async move { client.chat(&key, &request).await.status }
    };
    let first = join_all((0..30).map(|_| ask(client.clone()))).await;
    assert!(first.iter().all(|status| *status == 200), "{first:?}");
    soon("the stop", running.stop()).await;

    let running = app::start(settings(folder.path(), &variables)).await.unwrap();
    let client = Client::new(running.http_address);
    until("readiness", || async { client.get("/health/ready", None).await.status == 200 }).await;
    let second = soon("all answers", join_all((0..100).map(|_| ask(client.clone())))).await;
    assert_eq!(second.iter().filter(|status| **status == 200).count(), 20, "{second:?}");
    assert!(second.iter().all(|status| matches!(status, 200 | 429)), "{second:?}");
    soon("the stop", running.stop()).await;
}
