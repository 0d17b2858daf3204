//! Two replicas around one PostgreSQL: how long after its answer a change is in force on the replica that made it and on
//! the other, undisturbed, and with the listening session killed, its packets lost, or PostgreSQL restarted.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use http::{Method, StatusCode};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tokio::task::JoinSet;
use unified_gateway::time::{Clock, SystemClock};
use unified_gateway::vault::SystemEntropy;
use url::Url;

use super::{Caller, Gateway, KEYS, MASTER_KEY, Outcome, drain, ensure, millis, percentile, print};

const CHANGES: usize = 200;
const PATIENCE: Duration = Duration::from_secs(30);
const ENCRYPTION_KEY: &str = "abababababababababababababababababababababababababababababababab";
/// Ends the sessions that listen.
const END_LISTENERS: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
     WHERE query ILIKE '%LISTEN%' AND pid <> pg_backend_pid() AND datname = current_database()";
/// The network of a replica of its own: its end and ours.
const NAMESPACE: &str = "unified-figures";
const REPLICA_IP: &str = "10.213.77.2";
const HOST_IP: &str = "10.213.77.1";

/// Measures and prints.
pub(super) async fn measure() -> Outcome<()> {
    let database = database("propagation").await?;
    let redis = variable("UNIFIED_TEST_REDIS_URL")?;
    let folders = (tempfile::tempdir()?, tempfile::tempdir()?);
    let settings = fleet(&database, &redis);
    let a = Gateway::start_with(folders.0.path(), &settings, &[]).await?;
    let b = Gateway::start_with(folders.1.path(), &settings, &[]).await?;
    let pair = Pair { a: Caller::new(&a.base, MASTER_KEY), b: Caller::new(&b.base, MASTER_KEY) };

    head(&format!("{CHANGES} changes each, from the answer on replica A"))?;
    pair.keys().await?;
    pair.deployments().await?;

    head("disturbed: from the answer on replica A to replica B obeying")?;
    pair.deploy("echo").await?;
    pair.disturbed("listening session killed", async || run(&database, END_LISTENERS).await).await?;
    match variable("UNIFIED_TEST_POSTGRES_RESTART") {
        Ok(restart) => pair.disturbed("PostgreSQL restarted", async || shell(&restart)).await?,
        Err(_) => print("PostgreSQL restarted", "skipped", "the server is not ours to restart")?,
    }
    b.stop()?;
    half_open(&database, &redis, &pair.a).await?;

    head("very many keys")?;
    insert_keys(&database).await?;
    let begun = SystemClock.instant();
    let b = Gateway::start_with(folders.1.path(), &settings, &[]).await?;
    print("cold start with 200,000 keys", &millis(begun.elapsed()), "< 2 s")?;
    let b_caller = Caller::new(&b.base, MASTER_KEY);
    let mut changes = Vec::new();
    let (id, _) = b_caller.create_key().await?;
    for nth in 0..CHANGES {
        let begun = SystemClock.instant();
        change(&b_caller, Method::PATCH, &format!("/admin/keys/{id}"), &json!({"enabled": nth % 2 == 1})).await?;
        changes.push(begun.elapsed());
    }
    row("change of a key among 200,000 (round trip)", &mut changes, "p50 < 5 ms")?;
    b.stop()?;
    a.stop()
}

/// Settings of a replica.
fn fleet<'a>(database: &'a str, redis: &'a str) -> [(&'a str, &'a str); 4] {
    [
        ("DATABASE_URL", database),
        ("REDIS_URL", redis),
        ("CREDENTIALS_ENCRYPTION_KEY", ENCRYPTION_KEY),
        ("HOST", "127.0.0.1"),
    ]
}

/// The operator on both replicas. Changes are made on A.
struct Pair {
    a: Caller,
    b: Caller,
}

impl Pair {
    async fn keys(&self) -> Outcome<()> {
        self.deploy("echo").await?;
        let mut timed = [const { (Vec::new(), Vec::new()) }; 3];
        for _ in 0..CHANGES {
            let (id, secret) = self.a.create_key().await?;
            let answered = SystemClock.instant();
            let (here, there) = (Caller::new(&self.a.base, &secret), Caller::new(&self.b.base, &secret));
            timed[0].0.push(obeys(&here, "echo", StatusCode::OK, answered).await?);
            timed[0].1.push(obeys(&there, "echo", StatusCode::OK, answered).await?);
            let path = format!("/admin/keys/{id}");
            change(&self.a, Method::PATCH, &path, &json!({"enabled": false})).await?;
            let answered = SystemClock.instant();
            timed[1].0.push(obeys(&here, "echo", StatusCode::UNAUTHORIZED, answered).await?);
            timed[1].1.push(obeys(&there, "echo", StatusCode::UNAUTHORIZED, answered).await?);
            change(&self.a, Method::PATCH, &path, &json!({"enabled": true})).await?;
            obeys(&there, "echo", StatusCode::OK, SystemClock.instant()).await?;
            change(&self.a, Method::DELETE, &path, &Value::Null).await?;
            let answered = SystemClock.instant();
            timed[2].0.push(obeys(&here, "echo", StatusCode::UNAUTHORIZED, answered).await?);
            timed[2].1.push(obeys(&there, "echo", StatusCode::UNAUTHORIZED, answered).await?);
        }
        table("key", timed)
    }

    async fn deployments(&self) -> Outcome<()> {
        let mut timed = [const { (Vec::new(), Vec::new()) }; 3];
        for nth in 0..CHANGES {
            let model = format!("model-{nth}");
            let id = self.deploy(&model).await?;
            let answered = SystemClock.instant();
            timed[0].0.push(obeys(&self.a, &model, StatusCode::OK, answered).await?);
            timed[0].1.push(obeys(&self.b, &model, StatusCode::OK, answered).await?);
            let path = format!("/admin/deployments/{id}");
            change(&self.a, Method::PATCH, &path, &json!({"enabled": false})).await?;
            let answered = SystemClock.instant();
            timed[1].0.push(obeys(&self.a, &model, StatusCode::SERVICE_UNAVAILABLE, answered).await?);
            timed[1].1.push(obeys(&self.b, &model, StatusCode::SERVICE_UNAVAILABLE, answered).await?);
            change(&self.a, Method::DELETE, &path, &Value::Null).await?;
            let answered = SystemClock.instant();
            timed[2].0.push(obeys(&self.a, &model, StatusCode::NOT_FOUND, answered).await?);
            timed[2].1.push(obeys(&self.b, &model, StatusCode::NOT_FOUND, answered).await?);
        }
        table("deployment", timed)
    }

    async fn deploy(&self, model: &str) -> Outcome<String> {
        let body = json!({"publicModel": model, "provider": "echo", "upstreamModel": "echo"});
        let created = self.a.create("/admin/deployments", &body).await?;
        created["id"].as_str().map(str::to_owned).ok_or_else(|| "a deployment without id".into())
    }

    /// Does something to the replicas' connections, then writes as soon as that is possible: nothing may be missed.
    async fn disturbed(&self, name: &str, disturb: impl AsyncFn() -> Outcome<()>) -> Outcome<()> {
        let mut delays = Vec::new();
        for _ in 0..5 {
            disturb().await?;
            let begun = SystemClock.instant();
            let (id, secret) = loop {
                match self.a.create_key().await {
                    Ok(created) => break created,
                    Err(error) if begun.elapsed() > PATIENCE => return Err(error),
                    Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
                }
            };
            let there = Caller::new(&self.b.base, &secret);
            delays.push(obeys(&there, "echo", StatusCode::OK, SystemClock.instant()).await?);
            change(&self.a, Method::DELETE, &format!("/admin/keys/{id}"), &Value::Null).await?;
            delays.push(obeys(&there, "echo", StatusCode::UNAUTHORIZED, SystemClock.instant()).await?);
        }
        row(name, &mut delays, "nothing missed")
    }
}

/// A replica in a network namespace, from whose database no packet arrives any more while ours still reach it.
async fn half_open(database: &str, redis: &str, a: &Caller) -> Outcome<()> {
    let name = "packets from PostgreSQL lost for 10 s";
    let network = match Network::lay() {
        Ok(network) => network,
        Err(error) => return print(name, "skipped", &format!("no network namespace: {error}")),
    };
    let (database, postgres_port, _postgres) = relayed(database).await?;
    let (redis, _, _redis) = relayed(redis).await?;
    let mut settings = fleet(&database, &redis);
    settings[3] = ("HOST", REPLICA_IP);
    let folder = tempfile::tempdir()?;
    let b = Gateway::start_with(folder.path(), &settings, &["ip", "netns", "exec", NAMESPACE]).await?;
    let rule = format!("INPUT -p tcp --sport {postgres_port} -j DROP");
    network.inside(&format!("iptables -A {rule}"))?;
    let (_, secret) = a.create_key().await?;
    let there = Caller::new(&b.base, &secret);
    let begun = SystemClock.instant();
    while begun.elapsed() < Duration::from_secs(10) {
        let flows = status(&Caller::new(&b.base, MASTER_KEY), "echo").await?;
        ensure(flows == StatusCode::OK, "traffic flows while packets are lost")?;
        ensure(status(&there, "echo").await? == StatusCode::UNAUTHORIZED, "nothing is heard while packets are lost")?;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    network.inside(&format!("iptables -D {rule}"))?;
    let mut delay = vec![obeys(&there, "echo", StatusCode::OK, SystemClock.instant()).await?];
    row(name, &mut delay, "after packets arrive again")?;
    b.stop()
}

/// A namespace with a link to us; taken down when dropped.
struct Network;

impl Network {
    fn lay() -> Outcome<Self> {
        _ = shell(&format!("ip netns del {NAMESPACE}"));
        let network = Self;
        for command in [
            format!("ip netns add {NAMESPACE}"),
            format!("ip link add ugfig0 type veth peer name ugfig1 netns {NAMESPACE}"),
            format!("ip addr add {HOST_IP}/30 dev ugfig0"),
            "ip link set ugfig0 up".to_owned(),
        ] {
            shell(&command)?;
        }
        network.inside(&format!("ip addr add {REPLICA_IP}/30 dev ugfig1"))?;
        network.inside("ip link set ugfig1 up")?;
        network.inside("ip link set lo up")?;
        network.inside("iptables -L -n")?;
        Ok(network)
    }

    fn inside(&self, command: &str) -> Outcome<()> {
        shell(&format!("ip netns exec {NAMESPACE} {command}"))
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        // Its links go with it.
        _ = shell(&format!("ip netns del {NAMESPACE}"));
    }
}

/// The same server, reached by a port on our end of the link.
async fn relayed(url: &str) -> Outcome<(String, u16, JoinSet<()>)> {
    let mut url: Url = url.parse()?;
    let target = (url.host_str().unwrap_or("127.0.0.1").to_owned(), url.port().ok_or("a URL without a port")?);
    let listener = tokio::net::TcpListener::bind((HOST_IP, 0)).await?;
    let port = listener.local_addr()?.port();
    let mut relay = JoinSet::new();
    relay.spawn(async move {
        let mut carrying = JoinSet::new();
        while let Ok((mut near, _)) = listener.accept().await {
            let target = target.clone();
            carrying.spawn(async move {
                if let Ok(mut far) = tokio::net::TcpStream::connect(target).await {
                    _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
                }
            });
        }
    });
    url.set_host(Some(HOST_IP))?;
    url.set_port(Some(port)).map_err(|()| "a URL without a port")?;
    Ok((url.to_string(), port, relay))
}

/// Asks without a pause until the answer is as expected; how long after `since` that was.
async fn obeys(caller: &Caller, model: &str, expected: StatusCode, since: Instant) -> Outcome<Duration> {
    loop {
        let seen = status(caller, model).await?;
        if seen == expected {
            return Ok(since.elapsed());
        }
        ensure(since.elapsed() < PATIENCE, &format!("{model} still answers {seen}, not {expected}"))?;
    }
}

async fn status(caller: &Caller, model: &str) -> Outcome<StatusCode> {
    let answer = caller.chat(model, false).await?;
    let status = answer.status();
    drain(answer).await?;
    Ok(status)
}

async fn change(caller: &Caller, method: Method, path: &str, body: &Value) -> Outcome<()> {
    let answer = caller.send(method, path, body).await?;
    let status = answer.status();
    drain(answer).await?;
    ensure(status == StatusCode::OK, &format!("a change of {path} answers {status}"))
}

async fn run(database: &str, sql: &str) -> Outcome<()> {
    let mut connection = PgConnection::connect(database).await?;
    connection.execute(AssertSqlSafe(sql.to_owned())).await?;
    Ok(())
}

/// A new database on the test server.
async fn database(name: &str) -> Outcome<String> {
    let mut url: Url = variable("UNIFIED_TEST_DATABASE_URL")?.parse()?;
    let name = format!("{name}_{:016x}", SystemEntropy::roll(u64::MAX));
    run(url.as_str(), &format!("CREATE DATABASE {name}")).await?;
    url.set_path(&name);
    Ok(url.to_string())
}

async fn insert_keys(database: &str) -> Outcome<()> {
    // As one revision, so that the replicas that run do not have to read them one by one: they load everything.
    let sql = format!(
        "BEGIN;
         UPDATE config_revision SET revision = revision + 20000;
         INSERT INTO virtual_keys
             (id, revision, created_at, updated_at, hash, prefix, name, allowed_models, rpm, enabled)
         SELECT gen_random_uuid(), revision, 1772323299000, 1772323299000, sha256(('key ' || n)::bytea),
                'unified-' || lpad(to_hex(n % 65536), 4, '0'), 'application ' || n, '[\"echo\"]', 600, TRUE
         FROM generate_series(1, {KEYS}) AS n, config_revision;
         DELETE FROM config_changes;
         COMMIT"
    );
    run(database, &sql).await?;
    // As autovacuum does a minute later.
    run(database, "ANALYZE").await
}

fn variable(name: &str) -> Outcome<String> {
    #[expect(clippy::disallowed_methods, reason = "the command that starts the servers tells where they are")]
    let value = std::env::var(name);
    value.map_err(|_| format!("{name} is not set: run `make propagation`, which starts the servers").into())
}

fn shell(command: &str) -> Outcome<()> {
    let output = Command::new("sh").arg("-c").arg(command).current_dir(Path::new("/")).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure(output.status.success(), said.trim())
}

fn head(title: &str) -> Outcome<()> {
    print("", "", "")?;
    print(&format!("{title}:"), "", "")?;
    print(&format!("{:<46}{:>11}{:>11}{:>11}", "", "p50", "p99", "max"), "", "")
}

fn table(noun: &str, timed: [(Vec<Duration>, Vec<Duration>); 3]) -> Outcome<()> {
    for (action, (mut here, mut there)) in ["created", "disabled", "deleted"].into_iter().zip(timed) {
        row(&format!("{noun} {action}, on A (one call)"), &mut here, "at once")?;
        row(&format!("{noun} {action}, on B"), &mut there, "p99 < 100 ms")?;
    }
    Ok(())
}

fn row(name: &str, durations: &mut [Duration], target: &str) -> Outcome<()> {
    let [p50, p99, max] = [50, 99, 100].map(|percent| millis(percentile(durations, percent)));
    print(&format!("{name:<46}{p50:>11}{p99:>11}{max:>11}  {target}"), "", "")
}
