//! What must hold when whole processes die or hang under load: gateways, Redis, PostgreSQL. All of it real.
//!
//! `make reliability` runs the long form and prints figures; `make test` a short one.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection, Row, SqliteConnection};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use crate::support::chat;
use crate::support::fleet::Database;
use crate::support::process::{Postgres, Process, Redis, is_long};
use crate::support::stub_provider::StubProvider;

const ENCRYPTION_KEY: &str = "abababababababababababababababababababababababababababababababab";
/// A request that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(15);
/// By when all that was answered is to be in the database.
const DRAINED: Duration = Duration::from_secs(60);
/// By when what a dead replica held is to be free.
const RELEASED: Duration = Duration::from_secs(20);

/// Two gateways around a database and a Redis of their own.
struct Pair {
    a: Process,
    b: Process,
    folders: [TempDir; 2],
    redis: Redis,
    database: Database,
    stub: StubProvider,
}

impl Pair {
    async fn start() -> Self {
        let (database, redis, stub) = (Database::create().await, Redis::start().await, StubProvider::start().await);
        let folders = [TempDir::new().unwrap(), TempDir::new().unwrap()];
        let (url, redis_url) = (database.url(), redis.url());
        let variables = variables(&url, &redis_url);
        let a = Process::start(folders[0].path(), &variables).await;
        a.until_ready("ready").await;
        let b = Process::start(folders[1].path(), &variables).await;
        b.until_ready("ready").await;
        a.deploy("priced", "stub-echo-request", &stub.base_url()).await;
        Self { a, b, folders, redis, database, stub }
    }

    /// Starts the first one again in its folder.
    async fn restart_a(&mut self) {
        let (url, redis_url) = (self.database.url(), self.redis.url());
        self.a = Process::start(self.folders[0].path(), &variables(&url, &redis_url)).await;
        self.a.until_ready("ready").await;
    }

    /// A key with these limits, served by both.
    async fn key(&self, limits: Value) -> (String, String) {
        let (id, key) = self.a.key(limits).await;
        for process in [&self.a, &self.b] {
            self.until_served(process, &key).await;
        }
        (id, key)
    }

    /// A key with these limits, known to both and not used yet.
    async fn unused_key(&self, limits: Value) -> (String, String) {
        let (id, key) = self.a.key(limits).await;
        let from = Instant::now();
        while self.b.client.chat(&key, &chat("no-such-model")).await.status != 404 {
            assert!(from.elapsed() < PATIENCE, "the key is not known");
            sleep(Duration::from_millis(20)).await;
        }
        (id, key)
    }

    async fn until_served(&self, process: &Process, key: &str) {
        let from = Instant::now();
        while process.client.chat(key, &bounded()).await.status != 200 {
            assert!(from.elapsed() < PATIENCE, "the key is not served");
            sleep(Duration::from_millis(50)).await;
        }
    }

    async fn connect(&self) -> PgConnection {
        PgConnection::connect(&self.database.url()).await.unwrap()
    }

    /// How often each request of a client is recorded.
    async fn recorded(&self) -> HashMap<String, i64> {
        let rows = sqlx::query("SELECT request_id, COUNT(*) AS times FROM operations GROUP BY request_id");
        let rows = rows.fetch_all(&mut self.connect().await).await.unwrap();
        rows.iter().map(|row| (row.get("request_id"), row.get("times"))).collect()
    }

    /// Waits until every answer that came whole is recorded, and checks that it is once. How long that took.
    async fn until_drained(&self, whole: &[String]) -> Duration {
        let from = Instant::now();
        loop {
            let recorded = self.recorded().await;
            let missing: Vec<&String> = whole.iter().filter(|id| !recorded.contains_key(*id)).collect();
            if missing.is_empty() {
                for id in whole {
                    assert_eq!(recorded.get(id), Some(&1), "{id} is recorded more than once");
                }
                return from.elapsed();
            }
            assert!(from.elapsed() < DRAINED, "{} of {} are not recorded: {missing:?}", missing.len(), whole.len());
            sleep(Duration::from_millis(100)).await;
        }
    }

    /// Checks that spending is the sum of the records; what is still on its way is waited for.
    async fn until_spending_is_the_sum(&self) -> i64 {
        let from = Instant::now();
        loop {
            let sums = "SELECT COALESCE((SELECT SUM(spent) FROM key_spend), 0)::bigint,
                (SELECT COALESCE(SUM(cost_nanocents), 0) FROM operations WHERE key_id IS NOT NULL)::bigint";
            let sums = sqlx::query_as(sums).fetch_one(&mut self.connect().await).await;
            let (spent, cost): (i64, i64) = sums.unwrap();
            if spent == cost {
                return spent;
            }
            assert!(from.elapsed() < DRAINED, "spent {spent}, recorded {cost}");
            sleep(Duration::from_millis(100)).await;
        }
    }

    async fn usage(&self, id: &str) -> Option<Value> {
        let answer = self.b.admin("GET", &format!("/admin/keys/{id}/usage"), &Value::Null).await;
        (answer.status == 200).then(|| answer.json()["data"].clone())
    }

    /// Waits until a key holds nothing. How long that took.
    async fn until_nothing_is_held(&self, id: &str, from: Instant) -> Duration {
        loop {
            let usage = self.usage(id).await;
            if usage.is_some_and(|usage| usage["heldCents"] == "0" && usage["requestsInFlight"] == 0) {
                return from.elapsed();
            }
            assert!(from.elapsed() < RELEASED, "what a dead replica held is not free");
            sleep(Duration::from_millis(100)).await;
        }
    }
}

fn variables<'a>(database: &'a str, redis: &'a str) -> [(&'a str, &'a str); 3] {
    [("DATABASE_URL", database), ("REDIS_URL", redis), ("CREDENTIALS_ENCRYPTION_KEY", ENCRYPTION_KEY)]
}

/// A request that costs one cent.
fn bounded() -> Value {
    let mut request = chat("priced");
    request["max_tokens"] = json!(5);
    request
}

/// What became of one request.
#[derive(Debug, Clone)]
struct Outcome {
    id: String,
    class: &'static str,
    is_whole: bool,
    began: Instant,
    ended: Instant,
}

/// One request over a connection of its own, which may break: the status, and whether the answer came whole.
async fn call(address: SocketAddr, path: &str, key: &str, id: &str, request: &Value) -> Option<(u16, bool)> {
    let mut stream = send(address, path, key, id, request).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.ok()?;
    let answer = String::from_utf8_lossy(&answer);
    let status = answer.get(9..12)?.parse().ok()?;
    let is_whole = if request["stream"] == true {
        let last = ["data: [DONE]", "event: message_stop", "event: response.completed", "event: response.incomplete"];
        last.iter().any(|last| answer.contains(last))
    } else {
        answer.trim_end().ends_with('}') || answer.ends_with("0\r\n\r\n")
    };
    Some((status, is_whole && status == 200))
}

/// Sends one request.
async fn send(address: SocketAddr, path: &str, key: &str, id: &str, request: &Value) -> Option<TcpStream> {
    let body = request.to_string();
    let text = format!(
        "POST {path} HTTP/1.1\r\nhost: here\r\nauthorization: Bearer {key}\r\nx-request-id: {id}\r\n\
         content-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut stream = TcpStream::connect(address).await.ok()?;
    stream.write_all(text.as_bytes()).await.ok()?;
    Some(stream)
}

/// Sends one request and leaves with the first event of its answer.
async fn leave(address: SocketAddr, path: &str, key: &str, id: &str, request: &Value) -> Option<(u16, bool)> {
    let mut stream = send(address, path, key, id, request).await?;
    let (mut answer, mut piece) = (Vec::new(), [0; 4096]);
    while !String::from_utf8_lossy(&answer).contains("data: ") {
        let length = stream.read(&mut piece).await.ok().filter(|length| *length > 0)?;
        answer.extend_from_slice(&piece[..length]);
    }
    None
}

/// Callers that ask again and again until they are told to stop.
struct Load {
    stop: AtomicBool,
    count: AtomicUsize,
    name: &'static str,
}

impl Load {
    fn new(name: &'static str) -> Arc<Self> {
        Arc::new(Self { stop: AtomicBool::new(false), count: AtomicUsize::new(0), name })
    }

    /// Starts so many callers for each class of key at each address.
    #[expect(clippy::disallowed_methods, reason = "clients of a test are no tasks of the gateway")]
    fn start(
        self: &Arc<Self>,
        each: usize,
        addresses: &[SocketAddr],
        classes: &[(&'static str, String)],
        pause: Duration,
    ) -> tokio::task::JoinHandle<Vec<Outcome>> {
        let mut callers = Vec::new();
        for (class, key) in classes {
            for address in addresses {
                for _ in 0..each {
                    callers.push(Arc::clone(self).caller(class, key.clone(), *address, pause));
                }
            }
        }
        tokio::spawn(async move { join_all(callers).await.concat() })
    }

    async fn caller(
        self: Arc<Self>,
        class: &'static str,
        key: String,
        address: SocketAddr,
        pause: Duration,
    ) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        while !self.stop.load(Ordering::Relaxed) {
            let number = self.count.fetch_add(1, Ordering::Relaxed);
            let id = format!("{}-{number}", self.name);
            let mut request = bounded();
            request["stream"] = json!(number.is_multiple_of(2));
            let began = Instant::now();
            let called = timeout(PATIENCE, call(address, "/v1/chat/completions", &key, &id, &request)).await;
            let called = called.ok().flatten();
            let is_whole = called.is_some_and(|called| called.1);
            outcomes.push(Outcome { id, class, is_whole, began, ended: Instant::now() });
            // Who finds nobody does not insist.
            sleep(if called.is_none() { pause.max(Duration::from_millis(50)) } else { pause }).await;
        }
        outcomes
    }

    fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn whole(outcomes: &[Outcome]) -> Vec<String> {
    outcomes.iter().filter(|outcome| outcome.is_whole).map(|outcome| outcome.id.clone()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_killed_under_load_loses_and_doubles_nothing_and_its_holds_are_freed() {
    let mut pair = Pair::start().await;
    let (id, budget) = pair.key(json!({"maxBudgetCents": 10_000_000, "maxParallelRequests": 500})).await;
    let (_, free) = pair.key(json!({})).await;
    let classes = [("budget", budget), ("free", free)];
    let mut all = Vec::new();
    let mut released = Vec::new();
    for round in 0..if is_long() { 3 } else { 1 } {
        let load = Load::new(["kill-a", "kill-b", "kill-c"][round]);
        let addresses = [pair.a.address, pair.b.address];
        let running = load.start(8, &addresses, &classes, Duration::ZERO);
        sleep(Duration::from_millis(if is_long() { 5_000 } else { 700 })).await;
        pair.a.kill();
        let killed = Instant::now();
        // Those that asked the dead one find nobody.
        sleep(Duration::from_millis(if is_long() { 2_000 } else { 200 })).await;
        load.stop();
        all.extend(running.await.unwrap());
        if is_long() {
            released.push(pair.until_nothing_is_held(&id, killed).await);
        }
        pair.restart_a().await;
    }
    let whole = whole(&all);
    assert!(whole.len() > 50, "{} answers are too few to tell", whole.len());
    let drained = pair.until_drained(&whole).await;
    let spent = pair.until_spending_is_the_sum().await;
    println!(
        "kill -9 of a replica, {} times: {} answers whole, each recorded once within {drained:?}; spent {spent} = the sum; \
         holds free after {released:?}",
        if is_long() { 3 } else { 1 },
        whole.len(),
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_killed_and_started_empty_under_load_grants_no_budget_twice() {
    let mut pair = Pair::start().await;
    let (asked, fits, times) = if is_long() { (600_usize, 300_u64, 3) } else { (60, 30, 1) };
    let request = bounded();
    // What is held for one has to be left at the last; two were spent to see that the key is served.
    let held = (request.to_string().len() as u64 + 1_024 + 5) * 100;
    let milli_cents = (fits + 2 - 1) * 1_000 + held;
    let budget = format!("{}.{:03}", milli_cents / 1_000, milli_cents % 1_000);
    let (id, key) = pair.key(json!({"maxBudgetCents": budget, "budgetMode": "hard", "budgetWaitMs": 60_000})).await;
    let addresses = [pair.a.address, pair.b.address];
    let from = Instant::now();
    let passed = AtomicUsize::new(0);
    let done = AtomicUsize::new(0);
    let ids = std::sync::Mutex::new(Vec::new());
    let callers = (0..asked).map(|number| {
        let (key, request, passed, done, ids) = (&key, &request, &passed, &done, &ids);
        async move {
            sleep(Duration::from_millis(10 * number as u64)).await;
            for again in 0.. {
                let id = format!("budget-{number}-{again}");
                let called = call(addresses[number % 2], "/v1/chat/completions", key, &id, request).await;
                match called {
                    Some((200, true)) => {
                        passed.fetch_add(1, Ordering::Relaxed);
                        ids.lock().unwrap().push(id);
                        break;
                    }
                    Some((429, _)) => break,
                    _ => sleep(Duration::from_millis(200)).await,
                }
                assert!(from.elapsed() < 2 * DRAINED, "a caller was never answered: {called:?}");
            }
            done.fetch_add(1, Ordering::Relaxed);
        }
    });
    let redis = &mut pair.redis;
    let disturbed = async {
        let mut count = 0;
        while count < times && done.load(Ordering::Relaxed) < asked {
            sleep(Duration::from_millis(150)).await;
            redis.kill();
            sleep(Duration::from_millis(200)).await;
            redis.begin().await;
            count += 1;
            sleep(Duration::from_millis(2_500)).await;
        }
        count
    };
    let (_, count) = tokio::join!(join_all(callers), disturbed);
    let passed = passed.into_inner() as u64;
    let drained = pair.until_drained(&ids.into_inner().unwrap()).await;
    let spent = pair.until_spending_is_the_sum().await;
    println!(
        "Redis killed and started empty {count} times: {passed} of {asked} passed, the budget is for {fits}; drained {drained:?}, {:?}",
        from.elapsed()
    );
    let cap = i64::try_from(milli_cents).unwrap() * 1_000_000;
    assert!(spent <= cap, "spent {spent} of {cap}");
    assert!(passed <= fits, "{passed} passed, the budget is for {fits}");
    assert!(passed > 0 && pair.usage(&id).await.is_some());
}

/// How many scripts a Redis has run.
async fn scripts_run(url: &str) -> u64 {
    let url: url::Url = url.parse().unwrap();
    let mut stream = TcpStream::connect((url.host_str().unwrap(), url.port().unwrap())).await.unwrap();
    stream.write_all(b"INFO commandstats\r\nQUIT\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let line = answer.lines().find_map(|line| line.strip_prefix("cmdstat_evalsha:calls=")).unwrap_or("0");
    line.split(',').next().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_who_wait_for_one_budget_ask_redis_little_and_are_all_served() {
    let pair = Pair::start().await;
    let asked = if is_long() { 600_usize } else { 120 };
    let request = bounded();
    // Enough for all of them, one after the other; a few at a time.
    let held = (request.to_string().len() as u64 + 1_024 + 5) * 100;
    let milli_cents = asked as u64 * 1_000 + held;
    let budget = format!("{}.{:03}", milli_cents / 1_000, milli_cents % 1_000);
    let (id, key) =
        pair.unused_key(json!({"maxBudgetCents": budget, "budgetMode": "hard", "budgetWaitMs": 60_000})).await;
    let addresses = [pair.a.address, pair.b.address];
    let (before, from) = (scripts_run(&pair.redis.url()).await, Instant::now());
    let callers = (0..asked + asked / 10).map(|number| {
        let (key, request) = (&key, &request);
        async move {
            let called = |again: usize| async move {
                let id = format!("waits-{number}-{again}");
                call(addresses[number % 2], "/v1/chat/completions", key, &id, request).await
            };
            if number >= asked {
                // Some hang up while they wait.
                return timeout(Duration::from_millis(20 * (number - asked) as u64), called(0)).await.ok().flatten();
            }
            for again in 0..100 {
                match called(again).await {
                    // A ledger that is too young for budgets is soon old enough.
                    Some((503, _)) => sleep(Duration::from_millis(200)).await,
                    called => return called,
                }
            }
            None
        }
    });
    let answers = timeout(2 * DRAINED, join_all(callers)).await.expect("all answers");
    let served = answers.iter().take(asked).filter(|answer| **answer == Some((200, true))).count();
    let (asks, took) = (scripts_run(&pair.redis.url()).await - before, from.elapsed());
    println!("{asked} waited for one budget at two replicas: {served} served, {asks} scripts in Redis, {took:?}");
    // Each asks when it comes, when its turn comes and when it is woken, and ends in steps; who is first asks 50 times a second.
    assert!(asks < 12 * asked as u64 + 150 * took.as_secs() + 100, "{asks}");
    // Those who hung up may have been served, too, and then the last find nothing left.
    let left = answers.iter().skip(asked).filter(|answer| answer.is_some()).count() + asked / 10;
    assert!(served + left >= asked, "{served} of {asked}: {answers:?}");
    pair.until_nothing_is_held(&id, Instant::now()).await;
}

/// What is taken away, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Loss {
    RedisKilled,
    RedisFrozen,
    PostgresFrozen,
    PostgresKilled,
    BothFrozen,
}

impl Loss {
    async fn begin(self, pair: &mut Pair, postgres: Option<&Postgres>) {
        match self {
            Self::RedisKilled => pair.redis.kill(),
            Self::RedisFrozen => pair.redis.signal("STOP"),
            Self::PostgresFrozen => postgres.unwrap().freeze(),
            Self::PostgresKilled => postgres.unwrap().kill(),
            Self::BothFrozen => {
                pair.redis.signal("STOP");
                postgres.unwrap().freeze();
            }
        }
    }

    async fn end(self, pair: &mut Pair, postgres: Option<&Postgres>) {
        match self {
            Self::RedisKilled => pair.redis.begin().await,
            Self::RedisFrozen => pair.redis.signal("CONT"),
            Self::PostgresFrozen => postgres.unwrap().thaw(),
            Self::PostgresKilled => postgres.unwrap().restart().await,
            Self::BothFrozen => {
                postgres.unwrap().thaw();
                pair.redis.signal("CONT");
            }
        }
    }
}

/// Share of requests of a class that failed between two moments, and the slowest answer.
fn failed(outcomes: &[Outcome], class: &str, from: Instant, to: Instant) -> (usize, usize, Duration) {
    let within =
        outcomes.iter().filter(|outcome| outcome.class == class && outcome.began >= from && outcome.began < to);
    let mut figures = (0, 0, Duration::ZERO);
    for outcome in within {
        figures.0 += 1;
        figures.1 += usize::from(!outcome.is_whole);
        figures.2 = figures.2.max(outcome.ended - outcome.began);
    }
    figures
}

async fn lose(losses: &[Loss], outage: Duration, after: Duration) {
    let postgres = Postgres::ours();
    for loss in losses {
        if *loss != Loss::RedisKilled && *loss != Loss::RedisFrozen && postgres.is_none() {
            println!("{loss:?}: skipped, the server is not ours");
            continue;
        }
        let mut pair = Pair::start().await;
        let (_, free) = pair.key(json!({})).await;
        let (_, paced) = pair.key(json!({"rpm": 1_000_000})).await;
        let (_, budget) = pair.key(json!({"maxBudgetCents": 10_000_000})).await;
        let classes = [("free", free), ("rpm", paced), ("budget", budget)];
        let load = Load::new("loss");
        let addresses = [pair.a.address, pair.b.address];
        let running = load.start(2, &addresses, &classes, Duration::from_millis(20));
        sleep(Duration::from_millis(300)).await;
        let began = Instant::now();
        loss.begin(&mut pair, postgres.as_ref()).await;
        sleep(outage).await;
        let ending = Instant::now();
        loss.end(&mut pair, postgres.as_ref()).await;
        let ended = Instant::now();
        sleep(after).await;
        load.stop();
        let outcomes = running.await.unwrap();
        let drained = pair.until_drained(&whole(&outcomes)).await;
        pair.until_spending_is_the_sum().await;
        println!("{loss:?} for {:?}, records complete {drained:?} after the load", ending - began);
        for (class, _) in &classes {
            let (asked, lost, slowest) = failed(&outcomes, class, began, ended);
            // The last failure, after it was there again.
            let late = outcomes.iter().filter(|outcome| outcome.class == *class && !outcome.is_whole);
            let recovered =
                late.map(|outcome| outcome.ended.saturating_duration_since(ended)).max().unwrap_or_default();
            let share = 100.0 * lost as f64 / asked.max(1) as f64;
            println!(
                "  {class:7} {asked:6} asked, {share:5.1} % failed, slowest {slowest:?}, recovered after {recovered:?}"
            );
            if *class == "free" {
                assert_eq!(lost, 0, "{loss:?}: keys without limits flow");
                let bound = Duration::from_millis(if is_long() { 2_500 } else { 4_000 });
                assert!(slowest < bound, "{loss:?}: an answer took {slowest:?}");
            }
            assert!(recovered < Duration::from_secs(15), "{loss:?}: {class} took {recovered:?} to recover");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_lost_for_a_while_stops_nobody_without_limits_and_no_record() {
    if is_long() {
        let losses =
            [Loss::RedisKilled, Loss::RedisFrozen, Loss::PostgresFrozen, Loss::PostgresKilled, Loss::BothFrozen];
        lose(&losses, Duration::from_secs(20), Duration::from_secs(12)).await;
    } else {
        // Frozen and killed servers of others are for the long form; networks that fail are in `shared_limits`.
        lose(&[Loss::RedisKilled], Duration::from_millis(700), Duration::from_millis(300)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_file_that_stalls_holds_up_no_answer_and_loses_no_record() {
    let (folder, stub) = (TempDir::new().unwrap(), StubProvider::start().await);
    let process = Process::start(folder.path(), &[]).await;
    process.deploy("priced", "stub-echo-request", &stub.base_url()).await;
    let (_, key) = process.key(json!({})).await;
    assert_eq!(process.client.chat(&key, &bounded()).await.status, 200);
    let url = format!("sqlite://{}", folder.path().join("gateway.db").display());
    let mut database = SqliteConnection::connect(&url).await.unwrap();
    sqlx::query("BEGIN IMMEDIATE").execute(&mut database).await.unwrap();
    let many = if is_long() { 100 } else { 8 };
    let asked = (0..many).map(|_| async {
        let from = Instant::now();
        assert_eq!(process.client.chat(&key, &bounded()).await.status, 200);
        from.elapsed()
    });
    let took = join_all(asked).await;
    let (least, most) = (took.iter().min().unwrap(), took.iter().max().unwrap());
    let said = process.logged("before its record is safe");
    println!("database file stalled: {many} answers took {least:?} to {most:?}");
    assert!(*most < Duration::from_millis(900), "{took:?}");
    assert_eq!(said, 0);
    sqlx::query("ROLLBACK").execute(&mut database).await.unwrap();
    let from = Instant::now();
    let count = "SELECT COUNT(*) FROM operations WHERE outcome = 'success'";
    while sqlx::query_scalar::<_, i64>(count).fetch_one(&mut database).await.unwrap() < 1 + many as i64 {
        assert!(from.elapsed() < DRAINED, "records are missing");
        sleep(Duration::from_millis(20)).await;
    }
}

/// Requests of one class of the mixture: where it is sent, and what the provider reports for it.
struct Kind {
    path: &'static str,
    model: &'static str,
}

/// The tokens that the stub reports for the request with this number: input, cached, output, reasoning.
const fn counted(number: u64) -> [u64; 4] {
    [200 + number % 977, number % 53, 20 + number % 389, number % 17]
}

/// Nano-cents per million tokens: input, cache read, output.
const RATES: [u64; 3] = [300_000_000_001, 30_000_000_007, 1_500_000_000_013];

/// What those tokens cost, to the nano-cent.
fn cost([input, cached, output, _]: [u64; 4]) -> i64 {
    let sum = u128::from(input - cached) * u128::from(RATES[0])
        + u128::from(cached) * u128::from(RATES[1])
        + u128::from(output) * u128::from(RATES[2]);
    i64::try_from((sum + 500_000) / 1_000_000).unwrap()
}

fn cents(nanos: u64) -> String {
    format!("{}.{:09}", nanos / 1_000_000_000, nanos % 1_000_000_000)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_providers_report_is_recorded_to_the_last_token_and_nano_cent() {
    let pair = Pair::start().await;
    for (public, upstreams) in [
        ("counted", &["stub-counted"][..]),
        ("flaky", &["stub-counted-flaky", "stub-counted"][..]),
        ("broken", &["stub-500"][..]),
        ("slow", &["stub-slow"][..]),
    ] {
        for upstream in upstreams {
            let deployment = json!({
                "publicModel": public, "provider": "openaicompatible", "upstreamModel": upstream,
                "credentials": {"apiKey": "sk-stub", "baseUrl": pair.stub.base_url()},
                "pricing": {
                    "inputCentsPerMTokens": cents(RATES[0]), "cacheReadCentsPerMTokens": cents(RATES[1]),
                    "outputCentsPerMTokens": cents(RATES[2]),
                },
            });
            pair.a.configure("POST", "/admin/deployments", &deployment).await;
        }
    }
    let (_, key) = pair.key(json!({"maxBudgetCents": 10_000_000})).await;
    let many: u64 = if is_long() { 2_000 } else { 120 };
    let from = Instant::now();
    let kinds = [
        Kind { path: "/v1/chat/completions", model: "counted" },
        Kind { path: "/v1/messages", model: "counted" },
        Kind { path: "/v1/responses", model: "counted" },
        Kind { path: "/v1/chat/completions", model: "flaky" },
        Kind { path: "/v1/messages", model: "flaky" },
        Kind { path: "/v1/chat/completions", model: "broken" },
        Kind { path: "/v1/chat/completions", model: "slow" },
    ];
    let gate = Arc::new(tokio::sync::Semaphore::new(64));
    let asked = (0..many).map(|number| {
        let (kind, key, gate) = (&kinds[usize::try_from(number).unwrap() % kinds.len()], &key, Arc::clone(&gate));
        let address = if number.is_multiple_of(2) { pair.a.address } else { pair.b.address };
        async move {
            let _place = gate.acquire().await.unwrap();
            let text = format!("count {number}");
            let is_stream = kind.model == "slow" || (number / 7).is_multiple_of(2);
            let request = match kind.path {
                "/v1/responses" => json!({"model": kind.model, "input": text, "stream": is_stream, "store": false}),
                _ => json!({"model": kind.model, "max_tokens": 500, "stream": is_stream,
                    "messages": [{"role": "user", "content": text}]}),
            };
            let id = format!("mix-{number}");
            // Those who ask the slow one leave.
            let called = async {
                if kind.model == "slow" {
                    leave(address, kind.path, key, &id, &request).await
                } else {
                    call(address, kind.path, key, &id, &request).await
                }
            };
            let called = timeout(PATIENCE, called).await.ok().flatten();
            (number, id, kind.model, called)
        }
    });
    let answered = join_all(asked).await;
    // Of those refused before any attempt, as by an open circuit, no more than so many a second are recorded.
    let all = answered.iter().filter(|(_, _, model, _)| *model != "broken");
    let all: Vec<String> = all.map(|(_, id, ..)| id.clone()).collect();
    let drained = pair.until_drained(&all).await;
    let rows = sqlx::query("SELECT * FROM operations WHERE request_id LIKE 'mix-%'");
    let rows = rows.fetch_all(&mut pair.connect().await).await.unwrap();
    assert!(rows.len() >= all.len() && rows.len() <= answered.len(), "one record for each request");
    let by_id: HashMap<String, _> = rows.iter().map(|row| (row.get::<String, _>("request_id"), row)).collect();
    let (mut exact, mut estimated, mut failed) = (0, 0, 0);
    for (number, id, model, called) in &answered {
        let Some(row) = by_id.get(id) else { continue };
        if row.get::<bool, _>("estimated") {
            estimated += 1;
            assert_eq!(*model, "slow", "{id} is estimated");
            continue;
        }
        let tokens = ["input_tokens", "cache_read_tokens", "output_tokens", "reasoning_tokens"];
        let tokens = tokens.map(|column| u64::try_from(row.get::<i64, _>(column)).unwrap());
        let (outcome, recorded) = (row.get::<String, _>("outcome"), row.get::<i64, _>("cost_nanocents"));
        match *model {
            "counted" | "flaky" => {
                assert!(called.is_some_and(|called| called.1), "{id}: {called:?}");
                assert_eq!((outcome.as_str(), tokens), ("success", counted(*number)), "{id}");
                assert_eq!(recorded, cost(tokens), "{id}");
                exact += 1;
            }
            "broken" => {
                assert_eq!((outcome.as_str(), tokens, recorded), ("error", [0; 4], 0), "{id}");
                failed += 1;
            }
            _ => assert_eq!((outcome.as_str(), tokens), ("cancelled", [0; 4]), "{id}: one that was left is estimated"),
        }
    }
    let spent = pair.until_spending_is_the_sum().await;
    assert_eq!(by_id.len(), rows.len(), "no request is recorded twice");
    println!(
        "{many} mixed requests in {:?}: {exact} to the last token and nano-cent, {failed} failed, {estimated} estimated; \
         spent {spent} = the sum of the records; drained {drained:?}",
        from.elapsed()
    );
}

/// Asks both replicas without end; when each of those that passed was answered.
async fn passes(pair: &Pair, key: &str, callers: usize, during: Duration, request: &Value) -> Vec<Instant> {
    let from = Instant::now();
    let asked = (0..callers).map(|number| async move {
        let process = if number.is_multiple_of(2) { &pair.a } else { &pair.b };
        let mut passed = Vec::new();
        while from.elapsed() < during {
            if process.client.chat(key, request).await.status == 200 {
                passed.push(Instant::now());
            }
            sleep(Duration::from_millis(30)).await;
        }
        passed
    });
    let mut all = join_all(asked).await.concat();
    all.sort_unstable();
    all
}

/// The most that fell into any 60 seconds. An answer may be seen a little later than it was let through.
fn most_in_a_minute(moments: &[Instant]) -> usize {
    let window = Duration::from_millis(59_000);
    (0..moments.len())
        .map(|first| moments[first..].iter().take_while(|moment| **moment - moments[first] < window).count())
        .max()
        .unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_minute_is_kept_over_two_replicas_and_all_of_it_can_be_used_at_once() {
    let pair = Pair::start().await;
    let (_, paced) = pair.unused_key(json!({"rpm": 40})).await;
    let (_, tokens) = pair.unused_key(json!({"tpm": 1_000})).await;
    let (at_once, during) = if is_long() {
        (Duration::from_secs(2), Duration::from_secs(130))
    } else {
        (Duration::from_secs(1), Duration::from_secs(1))
    };
    let request = bounded();
    let (by_request, by_token) = tokio::join!(
        passes(&pair, &paced, 20, during, &request),
        // Two at a time: what is held of tokens is more than what is used, and holds count.
        passes(&pair, &tokens, 2, during, &request),
    );
    let first = by_request[0];
    let burst = by_request.iter().filter(|moment| **moment - first < at_once).count();
    println!(
        "rpm 40 on two replicas for {during:?}: {burst} at once, {} in all, at most {} in 60 s",
        by_request.len(),
        most_in_a_minute(&by_request)
    );
    println!(
        "tpm 1000: {} requests of ten tokens in all, at most {} tokens in 60 s",
        by_token.len(),
        10 * most_in_a_minute(&by_token)
    );
    assert_eq!(burst, 40, "all of the minute can be used at once");
    assert!(most_in_a_minute(&by_request) <= 40);
    assert!(10 * most_in_a_minute(&by_token) <= 1_000);
    if is_long() {
        assert!(by_request.len() >= 40 + 40, "the next minutes are usable, too: {}", by_request.len());
        assert!(by_token.len() >= 90 + 90, "{}", by_token.len());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_budget_for_exactly_so_many_serves_exactly_so_many_and_holds_refuse_nobody() {
    let pair = Pair::start().await;
    let (asked, fits) = if is_long() { (400_usize, 150_u64) } else { (80, 30) };
    // Input is free and output is limited: what is held is what it costs.
    for (model, most) in [("exact", 5), ("loose", 20)] {
        let deployment = json!({
            "publicModel": model, "provider": "openaicompatible", "upstreamModel": "stub-echo-request",
            "credentials": {"apiKey": "sk-stub", "baseUrl": pair.stub.base_url()},
            "pricing": {"inputCentsPerMTokens": "0", "outputCentsPerMTokens": "200000"},
        });
        pair.a.configure("POST", "/admin/deployments", &deployment).await;
        let limits = json!({"maxBudgetCents": fits, "budgetMode": "hard", "budgetWaitMs": 60_000});
        let (id, key) = pair.unused_key(limits).await;
        let mut request = chat(model);
        request["max_tokens"] = json!(most);
        let from = Instant::now();
        let all = (0..asked).map(|number| {
            let (process, key, request) = (if number % 2 == 0 { &pair.a } else { &pair.b }, &key, &request);
            async move {
                // Where the model is not known yet, it is soon; so is a ledger that is too young for budgets.
                loop {
                    let answer = process.client.chat(key, request).await;
                    if !matches!(answer.status, 404 | 503) {
                        let code = answer.json()["error"]["code"].as_str().unwrap_or_default().to_owned();
                        return (answer.status, code);
                    }
                    sleep(Duration::from_millis(20)).await;
                }
            }
        });
        let answers = timeout(DRAINED, join_all(all)).await.expect("all answers");
        let served = answers.iter().filter(|(status, _)| *status == 200).count() as u64;
        let reserved = answers.iter().filter(|(_, code)| code == "budget_reserved").count();
        assert!(answers.iter().all(|(status, _)| matches!(status, 200 | 429)), "{answers:?}");
        let spent = pair.usage(&id).await.unwrap();
        println!(
            "{model}: {asked} asked two replicas at once for a budget of {fits}: {served} served, {reserved} refused for holds, \
             spent {}, {:?}",
            spent["spendCents"],
            from.elapsed()
        );
        let hold_over_cost = most / 5;
        if hold_over_cost == 1 {
            assert_eq!((served, reserved), (fits, 0), "{answers:?}");
        }
        assert!(served <= fits && served > fits - hold_over_cost, "{served} of {fits}");
        assert_eq!(spent["spendCents"], served.to_string());
    }
}
