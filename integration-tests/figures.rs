//! Measures what the documentation promises, on this machine, and prints a line per figure.
//!
//! `make figures` builds both programs and runs this one. The gateway under test is a process of its own, found next to
//! this program; its provider is the stub, in this process. A promise that does not hold, such as a disabled key that
//! still works, ends the run; a figure that misses its target is printed as it is.
//!
//! With the argument `propagation` it measures two replicas around one PostgreSQL instead (`make propagation`).

#[path = "figures_propagation.rs"]
mod propagation;
#[path = "support/stub_provider/mod.rs"]
#[cfg_attr(not(test), expect(dead_code, reason = "part of it is for tests in the same process"))]
mod stub_provider;

use bytes::{Bytes, BytesMut};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use sqlx::Connection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use std::io::{self, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use stub_provider::StubProvider;
use tokio::task::JoinSet;
use unified_gateway::time::{Clock, SystemClock};

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

const MASTER_KEY: &str = "figures-master-key-of-more-than-32-characters";
const STARTS: usize = 5;
const KEYS: u32 = 200_000;
const KEY_CHANGES: usize = 200;
const WARM_UP: usize = 200;
const CALLS: usize = 3_000;
const CALLERS: usize = 64;
const CALLS_PER_CALLER: usize = 50;
/// What `stub-bulk` sends, besides the last chunk and the terminal.
const BULK_FRAMES: usize = 10_000;
const PATIENCE: Duration = Duration::from_secs(120);

#[tokio::main]
async fn main() -> Outcome<()> {
    if std::env::args().nth(1).as_deref() == Some("propagation") {
        return propagation::measure().await;
    }
    start_up().await?;
    many_keys().await?;
    overhead().await?;
    throughput().await
}

async fn start_up() -> Outcome<()> {
    let (mut first, mut second) = (Vec::new(), Vec::new());
    for _ in 0..STARTS {
        let data = tempfile::tempdir()?;
        first.push(stopped(Gateway::start(data.path()).await?)?);
        second.push(stopped(Gateway::start(data.path()).await?)?);
    }
    print("start, new database", &millis(percentile(&mut first, 50)), "< 150 ms")?;
    print("start, existing database", &millis(percentile(&mut second, 50)), "< 150 ms")?;

    let data = tempfile::tempdir()?;
    let gateway = Gateway::start(data.path()).await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    print("memory, idle", &gateway.memory()?, "< 30 MiB")
}

/// How long the gateway took to be ready; it has ended.
fn stopped(gateway: Gateway) -> Outcome<Duration> {
    let ready_after = gateway.ready_after;
    gateway.stop()?;
    Ok(ready_after)
}

/// Changes to one key among very many.
async fn many_keys() -> Outcome<()> {
    let data = tempfile::tempdir()?;
    Gateway::start(data.path()).await?.stop()?;
    insert_keys(data.path()).await?;
    let gateway = Gateway::start(data.path()).await?;
    print("start, 200,000 keys", &millis(gateway.ready_after), "")?;
    let before = gateway.memory()?;
    print("memory, 200,000 keys", &before, "")?;

    let caller = Caller::new(&gateway.base, MASTER_KEY);
    let (id, secret) = caller.create_key().await?;
    let application = Caller::new(&gateway.base, &secret);
    let change = format!("/admin/keys/{id}");
    let mut changes = Vec::new();
    for nth in 0..KEY_CHANGES {
        let enabled = nth % 2 == 1;
        let body = json!({ "enabled": enabled });
        let begun = SystemClock.instant();
        let answer = caller.send(Method::PATCH, &change, &body).await?;
        let status = answer.status();
        drain(answer).await?;
        changes.push(begun.elapsed());
        ensure(status == StatusCode::OK, &format!("a key change answers {status}"))?;

        let expected = if enabled { StatusCode::OK } else { StatusCode::UNAUTHORIZED };
        let answer = application.chat("echo", false).await?;
        let status = answer.status();
        drain(answer).await?;
        ensure(status == expected, &format!("a key with enabled={enabled} is answered {status} at once"))?;
    }
    print("key change among 200,000, p50", &millis(percentile(&mut changes, 50)), "")?;
    print("key change among 200,000, p99", &millis(percentile(&mut changes, 99)), "")?;
    print("memory after 200 key changes", &gateway.memory()?, &format!("about {before}: no copy of the table"))?;
    gateway.stop()
}

/// Straight into the database of a gateway that does not run, as one revision.
async fn insert_keys(data: &Path) -> Outcome<()> {
    let options = SqliteConnectOptions::new().filename(data.join("gateway.db"));
    let mut database = SqliteConnection::connect_with(&options).await?;
    let mut transaction = database.begin().await?;
    sqlx::query("UPDATE config_revision SET revision = revision + 1").execute(&mut *transaction).await?;
    let inserted = sqlx::query(
        "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ?)
         INSERT INTO virtual_keys
             (id, revision, created_at, updated_at, hash, prefix, name, allowed_models, rpm, enabled)
         SELECT unhex(printf('%012x70008%015x', 1772323299000, n)), revision, 1772323299000, 1772323299000,
                randomblob(32), printf('unified-%04x', n % 65536), printf('application %d', n), '[\"echo\"]', 600, 1
         FROM numbers, config_revision",
    )
    .bind(KEYS)
    .execute(&mut *transaction)
    .await?;
    ensure(inserted.rows_affected() == u64::from(KEYS), "every key is inserted")?;
    transaction.commit().await?;
    database.close().await?;
    Ok(())
}

/// The same calls to the provider directly and through the gateway, one after the other on one connection.
async fn overhead() -> Outcome<()> {
    // A stub each: it keeps what it is sent, and both are to start empty.
    let (direct_stub, stub) = (listen().await?, listen().await?);
    let data = tempfile::tempdir()?;
    let gateway = Gateway::start(data.path()).await?;
    let caller = application(&gateway, &stub, "stub-text").await?;
    let direct = Caller::new(&format!("http://{}", direct_stub.address()), "sk-figures");
    let mut direct = in_sequence(&direct, "stub-text").await?;
    let mut through = in_sequence(&caller, "stub-text").await?;
    let reached = stub.requests().len();
    ensure(reached == WARM_UP + CALLS, &format!("the provider saw {reached} calls"))?;

    let added = percentile(&mut through, 50).saturating_sub(percentile(&mut direct, 50));
    for (name, durations) in [("provider directly", &mut direct), ("through the gateway", &mut through)] {
        print(&format!("call {name}, p50"), &micros(percentile(durations, 50)), "")?;
        print(&format!("call {name}, p99"), &micros(percentile(durations, 99)), "")?;
    }
    print("added by the gateway, p50", &micros(added), "")?;
    let mut hits = in_sequence(&Caller { opts_in: true, ..caller }, "stub-text").await?;
    ensure(stub.requests().len() == reached + 1, "the cache answers all but the first")?;
    print("answer from the response cache, p50", &micros(percentile(&mut hits, 50)), "")?;
    gateway.stop()
}

async fn in_sequence(caller: &Caller, model: &str) -> Outcome<Vec<Duration>> {
    let mut durations = Vec::with_capacity(CALLS);
    for nth in 0..WARM_UP + CALLS {
        let begun = SystemClock.instant();
        caller.chat_completes(model).await?;
        if nth >= WARM_UP {
            durations.push(begun.elapsed());
        }
    }
    Ok(durations)
}

/// Many connections at once, and one stream of many frames.
async fn throughput() -> Outcome<()> {
    let stub = listen().await?;
    let data = tempfile::tempdir()?;
    let gateway = Gateway::start(data.path()).await?;
    let caller = application(&gateway, &stub, "stub-bulk").await?;

    let mut callers = JoinSet::new();
    let begun = SystemClock.instant();
    for _ in 0..CALLERS {
        let caller = Caller::new(&caller.base, &caller.key);
        callers.spawn(async move {
            for _ in 0..CALLS_PER_CALLER {
                caller.chat_completes("echo").await?;
            }
            Outcome::Ok(())
        });
    }
    while let Some(finished) = callers.join_next().await {
        finished??;
    }
    print("calls to echo, 64 connections", &per_second(CALLERS * CALLS_PER_CALLER, begun), "")?;

    let begun = SystemClock.instant();
    let answer = caller.chat("stub-bulk", true).await?;
    ensure(answer.status() == StatusCode::OK, "the stream begins")?;
    let body = drain(answer).await?;
    ensure(body.ends_with(b"data: [DONE]\n\n"), "the stream ends as it must")?;
    // Frames end with an empty line and have no other.
    let frames = body.windows(2).filter(|pair| pair == b"\n\n").count();
    ensure(frames >= BULK_FRAMES, &format!("only {frames} frames arrived"))?;
    print("stream of 10,000 frames", &per_second(frames, begun).replace("/s", " frames/s"), "")?;
    print("memory after the load", &gateway.memory()?, "")?;
    gateway.stop()
}

async fn listen() -> io::Result<StubProvider> {
    StubProvider::listen((Ipv4Addr::LOCALHOST, 0).into()).await
}

/// A deployment of the stub, and an application with a key of its own.
async fn application(gateway: &Gateway, stub: &StubProvider, model: &str) -> Outcome<Caller> {
    let admin = Caller::new(&gateway.base, MASTER_KEY);
    let deployment = json!({
        "publicModel": model,
        "provider": "openaicompatible",
        "upstreamModel": model,
        "credentials": { "apiKey": "sk-figures", "baseUrl": stub.base_url() },
    });
    admin.create("/admin/deployments", &deployment).await?;
    let (_, secret) = admin.create_key().await?;
    Ok(Caller::new(&gateway.base, &secret))
}

/// A gateway process. Dropping it kills it.
#[derive(Debug)]
struct Gateway {
    child: Child,
    base: String,
    /// From the start of the process to its first word of being ready.
    ready_after: Duration,
}

impl Gateway {
    async fn start(data: &Path) -> Outcome<Self> {
        Self::start_with(data, &[], &[]).await
    }

    /// With further settings, run by another program (such as `ip netns exec …`) if one is given.
    async fn start_with(data: &Path, settings: &[(&str, &str)], runner: &[&str]) -> Outcome<Self> {
        let program = std::env::current_exe()?.with_file_name("../unified-gateway");
        let (port, grpc_port) = free_ports()?;
        let begun = SystemClock.instant();
        // In a folder and an environment of its own, so that no setting of the developer is read.
        let mut words = runner.iter().map(std::ffi::OsStr::new).chain([program.as_os_str()]);
        let mut command = Command::new(words.next().ok_or("no program")?);
        let child = command
            .args(words)
            .current_dir(data)
            .env_clear()
            .envs([("HOST", "127.0.0.1"), ("MASTER_KEY", MASTER_KEY), ("LOG_LEVEL", "warn")])
            .envs([("PORT", port.to_string()), ("GRPC_PORT", grpc_port.to_string())])
            .env("DATA_DIR", data)
            .envs(settings.iter().copied())
            .stdout(Stdio::null())
            .spawn()?;
        let host = settings.iter().find_map(|(name, value)| (*name == "HOST").then_some(*value)).unwrap_or("127.0.0.1");
        let base = format!("http://{host}:{port}");
        let mut gateway = Self { child, base, ready_after: Duration::ZERO };
        let caller = Caller::new(&gateway.base, "");
        while !caller.ready().await {
            ensure(gateway.child.try_wait()?.is_none(), "the gateway ended before it was ready")?;
            ensure(begun.elapsed() < PATIENCE, "the gateway does not become ready")?;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        gateway.ready_after = begun.elapsed();
        Ok(gateway)
    }

    /// Resident memory.
    fn memory(&self) -> Outcome<String> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
        let kibibytes: f64 = resident.trim().trim_end_matches(" kB").parse()?;
        Ok(format!("{:.1} MiB", kibibytes / 1024.0))
    }

    /// Asks it to end and waits until it has.
    fn stop(mut self) -> Outcome<()> {
        Command::new("kill").arg(self.child.id().to_string()).status()?;
        let status = self.child.wait()?;
        ensure(status.success(), &format!("the gateway ends with {status}"))
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // Fails only where it has ended already, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Two at the same time, so that they differ.
fn free_ports() -> io::Result<(u16, u16)> {
    let (one, other) = (TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?, TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?);
    Ok((one.local_addr()?.port(), other.local_addr()?.port()))
}

/// A client with one key. Calls one after the other share a connection.
#[derive(Debug)]
struct Caller {
    client: Client<HttpConnector, Full<Bytes>>,
    base: String,
    key: String,
    /// Whether its answers may come from the response cache.
    opts_in: bool,
}

impl Caller {
    fn new(base: &str, key: &str) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new()).build(connector);
        Self { client, base: base.to_owned(), key: key.to_owned(), opts_in: false }
    }

    async fn ready(&self) -> bool {
        let answer = self.send(Method::GET, "/health/ready", &Value::Null).await;
        answer.is_ok_and(|answer| answer.status() == StatusCode::OK)
    }

    async fn send(&self, method: Method, path: &str, body: &Value) -> Outcome<Response<Incoming>> {
        let body = if body.is_null() { Bytes::new() } else { body.to_string().into() };
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base))
            .header("authorization", format!("Bearer {}", self.key))
            .header("content-type", "application/json")
            .header("x-unified-cache", self.opts_in.to_string())
            .body(Full::new(body))?;
        Ok(self.client.request(request).await?)
    }

    async fn chat(&self, model: &str, stream: bool) -> Outcome<Response<Incoming>> {
        let messages = json!([{ "role": "user", "content": "Say hello in one word." }]);
        let body = json!({ "model": model, "stream": stream, "messages": messages });
        self.send(Method::POST, "/v1/chat/completions", &body).await
    }

    async fn chat_completes(&self, model: &str) -> Outcome<()> {
        let answer = self.chat(model, false).await?;
        let status = answer.status();
        drain(answer).await?;
        ensure(status == StatusCode::OK, &format!("a call of {model} answers {status}"))
    }

    /// Creates and answers what was created.
    async fn create(&self, path: &str, body: &Value) -> Outcome<Value> {
        let answer = self.send(Method::POST, path, body).await?;
        let status = answer.status();
        let mut created: Value = serde_json::from_slice(&drain(answer).await?)?;
        ensure(status == StatusCode::CREATED, &format!("POST {path} answers {status}: {created}"))?;
        Ok(created["data"].take())
    }

    /// A virtual key for everything: its id and its secret.
    async fn create_key(&self) -> Outcome<(String, String)> {
        let key = self.create("/admin/keys", &json!({ "name": "figures" })).await?;
        let text = |field: &str| key[field].as_str().map(str::to_owned).ok_or(format!("a key without {field}"));
        Ok((text("id")?, text("key")?))
    }
}

async fn drain(mut answer: Response<Incoming>) -> Outcome<BytesMut> {
    let mut body = BytesMut::new();
    while let Some(frame) = answer.frame().await {
        if let Ok(data) = frame?.into_data() {
            body.extend_from_slice(&data);
        }
    }
    Ok(body)
}

fn ensure(holds: bool, what: &str) -> Outcome<()> {
    if holds { Ok(()) } else { Err(what.into()) }
}

/// The smallest duration that this share of them does not exceed. Zero if there are none.
fn percentile(durations: &mut [Duration], percent: usize) -> Duration {
    durations.sort_unstable();
    let rank = (durations.len() * percent).div_ceil(100).saturating_sub(1);
    durations.get(rank).copied().unwrap_or_default()
}

fn millis(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1e3)
}

fn micros(duration: Duration) -> String {
    format!("{} µs", duration.as_micros())
}

fn per_second(count: usize, begun: Instant) -> String {
    let seconds = begun.elapsed().as_secs_f64();
    let count = u32::try_from(count).map_or(f64::INFINITY, f64::from);
    format!("{:.0}/s", count / seconds)
}

fn print(name: &str, value: &str, target: &str) -> Outcome<()> {
    writeln!(io::stdout(), "{}", format!("{name:<36}{value:>18}  {target}").trim_end())?;
    Ok(())
}
