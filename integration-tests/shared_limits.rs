//! Limits of replicas that count together: two of them around one PostgreSQL and one Redis.
//!
//! Tests that empty Redis, or lose it, have a database of it for themselves.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use tempfile::TempDir;
use tokio::time::{Instant, timeout};
use url::Url;

use crate::support::fleet::{Database, Replica, redis_url};
use crate::support::stub_provider::StubProvider;
use crate::support::tunnel::{Passage, Tunnel};
use crate::support::wait::until;
use crate::support::{Client, MASTER_KEY, PROVIDER_KEY, chat};

/// The long form takes a while.
const PATIENCE: Duration = Duration::from_secs(120);

/// What the replicas of a fleet share.
const ENCRYPTION_KEY: &str = "abababababababababababababababababababababababababababababababab";

fn is_long() -> bool {
    #[expect(clippy::disallowed_methods, reason = "`make reliability` asks for the long form")]
    std::env::var("UNIFIED_RELIABILITY").is_ok_and(|form| form == "long")
}

/// A database of the test command's Redis that no other test uses.
fn own_redis(number: u32) -> Url {
    let mut url: Url = redis_url().parse().unwrap();
    url.set_path(&format!("/{number}"));
    url
}

/// Sends Redis one command.
async fn redis(url: &Url, command: &str) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let address = (url.host_str().unwrap(), url.port().unwrap_or(6379));
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let database = url.path().trim_start_matches('/');
    stream.write_all(format!("SELECT {database}\r\n{command}\r\nQUIT\r\n").as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(!answer.contains('-'), "{answer}");
}

struct Fleet {
    a: Replica,
    b: Replica,
    database: Database,
    _stub: StubProvider,
}

impl Fleet {
    async fn start(redis: &str, extra: &[(&str, &str)]) -> Self {
        let database = Database::create().await;
        let url = database.url();
        let variables: Vec<_> = [("REDIS_URL", redis)].into_iter().chain(extra.iter().copied()).collect();
        let (a, b) = tokio::join!(Replica::begin(&url, &variables), Replica::begin(&url, &variables));
        a.until_ready("ready").await;
        b.until_ready("ready").await;
        let stub = StubProvider::start().await;
        let deployment = json!({
            "publicModel": "priced", "provider": "openaicompatible", "upstreamModel": "stub-echo-request",
            "credentials": {"apiKey": PROVIDER_KEY, "baseUrl": stub.base_url()},
            "pricing": {"inputCentsPerMTokens": "100000", "outputCentsPerMTokens": "100000"},
        });
        a.configure("POST", "/admin/deployments", &deployment).await;
        Self { a, b, database, _stub: stub }
    }

    /// A key with these limits, in force on both, in a ledger that is old enough: its id and itself.
    async fn key(&self, mut limits: Value) -> (String, String) {
        limits["name"] = json!("app");
        let created = self.a.configure("POST", "/admin/keys", &limits).await;
        let key = created["key"].as_str().unwrap().to_owned();
        let unknown = chat("no-such-model");
        until("the key", || async { self.b.client.chat(&key, &unknown).await.status == 404 }).await;
        (created["id"].as_str().unwrap().to_owned(), key)
    }

    /// Waits until budgets and places are counted.
    async fn until_old_enough(&self) {
        let (_, key) = self.key(json!({"maxParallelRequests": 5})).await;
        for replica in [&self.a, &self.b] {
            replica.until_status(&key, "priced", 200).await;
        }
    }

    /// Asks both replicas in turn, all at once; one that is told to come again later does. The statuses.
    async fn ask(&self, key: &str, request: &Value, count: usize) -> Vec<u16> {
        let asked = (0..count).map(|number| async move {
            let replica = if number.is_multiple_of(2) { &self.a } else { &self.b };
            loop {
                let status = replica.client.chat(key, request).await.status;
                if status != 503 {
                    return status;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        });
        timeout(PATIENCE, join_all(asked)).await.expect("all answers")
    }

    async fn spent(&self, id: &str) -> (Value, Value) {
        let usage = self.b.configure("GET", &format!("/admin/keys/{id}/usage"), &Value::Null).await;
        (usage["spendCents"].clone(), usage["overshootCents"].clone())
    }

    /// Sums of what is stored: of spending, of the records; and how many records there are.
    async fn stored(&self, id: &str) -> (i64, i64, i64) {
        let mut connection = PgConnection::connect(&self.database.url()).await.unwrap();
        let sums = "SELECT COALESCE((SELECT SUM(spent) FROM key_spend WHERE key_id = $1::uuid), 0)::bigint,
            COALESCE(SUM(cost_nanocents), 0)::bigint, COUNT(*) FROM operations
            WHERE key_id = $1::uuid AND outcome <> 'error'";
        sqlx::query_as(sums).bind(id).fetch_one(&mut connection).await.unwrap()
    }
}

impl Fleet {
    /// Waits until so much is stored, of spending and of the records: an answer does not wait for PostgreSQL.
    async fn until_stored(&self, id: &str, nano_cents: i64) {
        until("the records", || async {
            let (spent, cost, _) = self.stored(id).await;
            (spent, cost) == (nano_cents, nano_cents)
        })
        .await;
    }
}

fn passed(statuses: &[u16]) -> usize {
    statuses.iter().filter(|status| **status == 200).count()
}

/// A request of one cent, and a key whose budget is enough for exactly so many.
fn exactly(count: u64) -> (Value, Value) {
    let mut request = chat("priced");
    request["max_tokens"] = json!(5);
    // What is held for one has to be left at the last.
    let held = (request.to_string().len() as u64 + 1_024 + 5) * 100;
    let milli_cents = (count - 1) * 1_000 + held;
    let budget = format!("{}.{:03}", milli_cents / 1_000, milli_cents % 1_000);
    (request, json!({"maxBudgetCents": budget, "budgetMode": "hard", "budgetWaitMs": 60_000}))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_replicas_let_exactly_so_many_through_as_the_budget_is_for() {
    let fleet = Fleet::start(&redis_url(), &[]).await;
    fleet.until_old_enough().await;
    let (asked, fits) = if is_long() { (400, 150) } else { (100, 25) };
    let (request, limits) = exactly(fits);
    let (id, key) = fleet.key(limits).await;
    let from = Instant::now();
    let statuses = fleet.ask(&key, &request, asked).await;
    println!("{asked} asked two replicas at once, {} passed, {:?}", passed(&statuses), from.elapsed());
    assert_eq!(passed(&statuses) as u64, fits, "{statuses:?}");
    assert!(statuses.iter().all(|status| matches!(status, 200 | 429)), "{statuses:?}");
    let cents = i64::try_from(fits).unwrap() * 1_000_000_000;
    fleet.until_stored(&id, cents).await;
    until("the shown spending", || async { fleet.spent(&id).await == (json!(fits.to_string()), json!("0")) }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_replicas_keep_the_minute_and_the_places_of_a_key_together() {
    let fleet = Fleet::start(&redis_url(), &[]).await;
    fleet.until_old_enough().await;
    let (_, key) = fleet.key(json!({"rpm": 20})).await;
    assert_eq!(passed(&fleet.ask(&key, &chat("priced"), 60).await), 20);

    let echo = json!({
        "publicModel": "slow", "provider": "echo", "upstreamModel": "echo", "metadata": {"echo": {"delayMs": 700}},
    });
    fleet.a.configure("POST", "/admin/deployments", &echo).await;
    let (_, key) = fleet.key(json!({"maxParallelRequests": 3})).await;
    fleet.b.until_status(crate::support::MASTER_KEY, "slow", 200).await;
    assert_eq!(passed(&fleet.ask(&key, &chat("slow"), 20).await), 3);
    assert_eq!(passed(&fleet.ask(&key, &chat("priced"), 2).await), 2, "places are free again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_emptied_redis_grants_no_budget_twice() {
    let own = own_redis(1);
    let fleet = Fleet::start(own.as_str(), &[]).await;
    fleet.until_old_enough().await;
    let (asked, fits, times) = if is_long() { (300, 200, 5) } else { (60, 40, 1) };
    let (request, limits) = exactly(fits);
    let (id, key) = fleet.key(limits).await;
    let is_done = AtomicBool::new(false);
    let from = Instant::now();
    let emptied = async {
        let mut count = 0;
        while count < times && !is_done.load(Ordering::Relaxed) {
            tokio::time::sleep(Duration::from_millis(250)).await;
            redis(&own, "FLUSHDB").await;
            count += 1;
            tokio::time::sleep(Duration::from_millis(2_500)).await;
        }
        count
    };
    let answered = async {
        let statuses = fleet.ask(&key, &request, asked).await;
        is_done.store(true, Ordering::Relaxed);
        statuses
    };
    let (statuses, count) = tokio::join!(answered, emptied);
    println!("Redis emptied {count} times: {} of {asked} passed, {:?}", passed(&statuses), from.elapsed());
    assert_eq!(passed(&statuses) as u64, fits, "{statuses:?}");
    fleet.until_stored(&id, i64::try_from(fits).unwrap() * 1_000_000_000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_redis_keys_without_limits_flow_and_others_wait_or_flow_by_choice() {
    let own = own_redis(2);
    let target = tokio::net::lookup_host((own.host_str().unwrap(), own.port().unwrap())).await.unwrap().next().unwrap();
    let tunnel = Tunnel::to(target, Passage::Open).await;
    let mut through = own.clone();
    through.set_port(Some(tunnel.address.port())).unwrap();
    let fleet = Fleet::start(through.as_str(), &[]).await;
    let lenient = [("REDIS_URL", through.as_str()), ("LEDGER_FAIL_OPEN", "true")];
    let open = Replica::begin(&fleet.database.url(), &lenient).await;
    open.until_ready("ready").await;
    fleet.until_old_enough().await;
    let (_, limited) = fleet.key(json!({"rpm": 1_000, "maxBudgetCents": 100_000})).await;
    let (free_id, free) = fleet.key(json!({})).await;
    assert_eq!(fleet.a.status(&limited, "priced").await, 200);
    open.until_status(&limited, "priced", 200).await;
    for passage in [Passage::Silent, Passage::Cut] {
        tunnel.set(passage);
        for _ in 0..5 {
            assert_eq!(fleet.a.status(&free, "priced").await, 200, "{passage:?}");
            let refused = fleet.a.client.chat(&limited, &chat("priced")).await;
            assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")), "{passage:?}");
            assert_eq!(open.status(&limited, "priced").await, 200, "{passage:?}");
        }
        tunnel.set(Passage::Open);
        fleet.a.until_ready("ready").await;
        open.until_ready("ready").await;
        fleet.a.until_status(&limited, "priced", 200).await;
    }
    fleet.until_stored(&free_id, 10_000_000_000).await;
    assert_eq!(fleet.stored(&free_id).await.2, 10);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_postgresql_away_traffic_flows_and_every_record_comes_after() {
    let database = Database::create().await;
    let tunnel = database.tunnel(Passage::Open).await;
    let replica = Replica::begin(&database.url_through(&tunnel), &[]).await;
    replica.until_ready("ready").await;
    replica.deploy_echo("echo").await;
    let (id, key) = replica.create_key().await;
    assert_eq!(replica.status(&key, "echo").await, 200);
    let each = if is_long() { 400 } else { 20 };
    let slowest = Arc::new(std::sync::Mutex::new(Duration::ZERO));
    for passage in [Passage::Cut, Passage::Silent] {
        tunnel.set(passage);
        for _ in 0..each {
            let from = Instant::now();
            assert_eq!(replica.status(&key, "echo").await, 200, "{passage:?}");
            let mut slowest = slowest.lock().unwrap();
            *slowest = slowest.max(from.elapsed());
        }
        tunnel.set(Passage::Open);
        replica.until_ready("ready").await;
    }
    println!("PostgreSQL away: {} requests, the slowest {:?}", 2 * each, slowest.lock().unwrap());
    let count = async || {
        let mut connection = PgConnection::connect(&database.url()).await.unwrap();
        let count = "SELECT COUNT(*) FROM operations WHERE key_id = $1::uuid";
        sqlx::query_scalar::<_, i64>(count).bind(&id).fetch_one(&mut connection).await.unwrap()
    };
    until("all records", || async { count().await == 2 * each + 1 }).await;
}

/// A replica in a process of its own, to be killed.
struct Process {
    child: Child,
    client: Client,
    _folder: TempDir,
}

impl Process {
    async fn start(database_url: &str, redis_url: &str) -> Self {
        let free = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let (address, grpc, folder) = (free(), free(), TempDir::new().unwrap());
        let child = Command::new(env!("CARGO_BIN_EXE_unified-gateway"))
            .env_clear()
            .env("PORT", address.port().to_string())
            .env("GRPC_PORT", grpc.port().to_string())
            .env("DATA_DIR", folder.path())
            .env("MASTER_KEY", MASTER_KEY)
            .env("DATABASE_URL", database_url)
            .env("REDIS_URL", redis_url)
            .env("CREDENTIALS_ENCRYPTION_KEY", ENCRYPTION_KEY)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let process = Self { child, client: Client::new(address), _folder: folder };
        until("the process to listen", || async { tokio::net::TcpStream::connect(address).await.is_ok() }).await;
        process
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may be dead already.
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// Another replica waits fifteen seconds before it believes in a death, so this is for the long form.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_replica_answered_while_postgresql_was_away_is_stored_by_another() {
    if !is_long() {
        return;
    }
    let own = own_redis(3);
    let fleet = Fleet::start(own.as_str(), &[]).await;
    let tunnel = fleet.database.tunnel(Passage::Open).await;
    let mut doomed = Process::start(&fleet.database.url_through(&tunnel), own.as_str()).await;
    fleet.until_old_enough().await;
    let (id, key) = fleet.key(json!({"maxBudgetCents": 100_000, "rpm": 1_000})).await;
    until("the key", || async { doomed.client.chat(&key, &chat("priced")).await.status == 200 }).await;
    let cent = 1_000_000_000;
    fleet.until_stored(&id, cent).await;
    tunnel.set(Passage::Silent);
    let question = chat("priced");
    let answers = join_all((0..50).map(|_| doomed.client.chat(&key, &question))).await;
    let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    assert_eq!(passed(&statuses), 50, "{statuses:?}");
    doomed.child.kill().unwrap();
    let all = async {
        while fleet.stored(&id).await.0 < 51 * cent {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    timeout(PATIENCE, all).await.expect("all records");
    fleet.until_stored(&id, 51 * cent).await;
    // Money that nobody uses any more is free.
    until("the shown spending", || async { fleet.spent(&id).await == (json!("51"), json!("0")) }).await;
}
