//! Replicas of a gateway around one PostgreSQL and one Redis, which the test command has started.

use std::net::SocketAddr;

use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tempfile::TempDir;
use unified_gateway::app::{self, Running};
use unified_gateway::vault::SystemEntropy;
use url::Url;

use super::gateway::{MASTER_KEY, settings};
use super::tunnel::{Passage, Tunnel};
use super::wait::soon;
use super::{Answer, Client};

const ENCRYPTION_KEY: &str = "abababababababababababababababababababababababababababababababab";

/// A database of its own on the test server; dropped with this.
#[derive(Debug)]
pub(crate) struct Database {
    server: Url,
    name: String,
}

/// One replica.
#[derive(Debug)]
pub(crate) struct Replica {
    running: Option<Running>,
    _folder: TempDir,
    pub(crate) client: Client,
}

fn variable(name: &str) -> String {
    #[expect(clippy::disallowed_methods, reason = "the test command tells where its servers are")]
    let value = std::env::var(name);
    value.unwrap_or_else(|_| panic!("{name} is not set: run `make test`, which starts the servers"))
}

/// The Redis of the test command.
pub(crate) fn redis_url() -> String {
    variable("UNIFIED_TEST_REDIS_URL")
}

impl Database {
    /// A new, empty one.
    pub(crate) async fn create() -> Self {
        let server: Url = variable("UNIFIED_TEST_DATABASE_URL").parse().unwrap();
        let database = Self { server, name: format!("fleet_{:016x}", SystemEntropy::roll(u64::MAX)) };
        let create = format!("CREATE DATABASE {}", database.name);
        let mut connection = PgConnection::connect(database.server.as_str()).await.unwrap();
        connection.execute(AssertSqlSafe(create)).await.unwrap();
        database
    }

    /// Its URL.
    pub(crate) fn url(&self) -> String {
        let mut url = self.server.clone();
        url.set_path(&self.name);
        url.to_string()
    }

    /// Its URL through a tunnel.
    pub(crate) fn url_through(&self, tunnel: &Tunnel) -> String {
        let mut url: Url = self.url().parse().unwrap();
        url.set_port(Some(tunnel.address.port())).unwrap();
        url.to_string()
    }

    /// A tunnel to its server.
    pub(crate) async fn tunnel(&self, first: Passage) -> Tunnel {
        let address = (self.server.host_str().unwrap(), self.server.port().unwrap_or(5432));
        let address: SocketAddr = tokio::net::lookup_host(address).await.unwrap().next().unwrap();
        Tunnel::to(address, first).await
    }

    /// Runs a statement past every gateway.
    pub(crate) async fn run(&self, sql: &str) {
        let mut connection = PgConnection::connect(&self.url()).await.unwrap();
        connection.execute(AssertSqlSafe(sql.to_owned())).await.unwrap();
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let (server, name) = (self.server.clone(), std::mem::take(&mut self.name));
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let mut connection = PgConnection::connect(server.as_str()).await.unwrap();
                connection.execute(AssertSqlSafe(format!("DROP DATABASE {name} WITH (FORCE)"))).await.unwrap();
            });
        });
        drop(dropped.join());
    }
}

impl Replica {
    /// Around this database and the test command's Redis; not ready yet, perhaps.
    pub(crate) async fn begin(database_url: &str, extra: &[(&str, &str)]) -> Self {
        let folder = TempDir::new().unwrap();
        let redis = redis_url();
        let own = [
            ("HOST", "127.0.0.1"),
            ("DATABASE_URL", database_url),
            ("REDIS_URL", &redis),
            ("CREDENTIALS_ENCRYPTION_KEY", ENCRYPTION_KEY),
        ];
        let variables: Vec<_> = own.into_iter().chain(extra.iter().copied()).collect();
        let running = Box::pin(app::start(settings(folder.path(), &variables))).await.unwrap();
        let client = Client::new(running.http_address);
        Self { running: Some(running), _folder: folder, client }
    }

    /// The same, ready.
    pub(crate) async fn start(database: &Database) -> Self {
        let replica = Self::begin(&database.url(), &[]).await;
        replica.until_ready("ready").await;
        replica
    }

    /// Drains and stops.
    pub(crate) async fn stop(&mut self) {
        let running = self.running.take().unwrap();
        soon("the replica to stop", running.stop()).await;
    }

    /// What readiness says: status and body.
    pub(crate) async fn ready(&self) -> (u16, Value) {
        let answer = self.client.get("/health/ready", None).await;
        (answer.status, answer.json())
    }

    /// Waits for this word of readiness.
    pub(crate) async fn until_ready(&self, word: &str) {
        soon(&format!("readiness to be `{word}`"), async {
            while self.ready().await.1["status"] != word {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        })
        .await;
    }

    /// One call of the administration.
    pub(crate) async fn admin(&self, method: &str, path: &str, body: &Value) -> Answer {
        let bearer = format!("Bearer {MASTER_KEY}");
        let mut headers = vec![("authorization", bearer.as_str())];
        let text = if body.is_null() { String::new() } else { body.to_string() };
        if !text.is_empty() {
            headers.push(("content-type", "application/json"));
        }
        self.client.send(method, path, &headers, text).await
    }

    /// One call of the administration that succeeds; its `data`.
    pub(crate) async fn configure(&self, method: &str, path: &str, body: &Value) -> Value {
        let answer = self.admin(method, path, body).await;
        assert!(matches!(answer.status, 200 | 201), "{method} {path} {body}: {}", answer.text());
        answer.json()["data"].clone()
    }

    /// A deployment of the model that answers by itself; its id.
    pub(crate) async fn deploy_echo(&self, public: &str) -> String {
        let body = serde_json::json!({"publicModel": public, "provider": "echo", "upstreamModel": "echo"});
        self.configure("POST", "/admin/deployments", &body).await["id"].as_str().unwrap().to_owned()
    }

    /// A virtual key: its id and the key itself.
    pub(crate) async fn create_key(&self) -> (String, String) {
        let created = self.configure("POST", "/admin/keys", &serde_json::json!({"name": "k"})).await;
        (created["id"].as_str().unwrap().to_owned(), created["key"].as_str().unwrap().to_owned())
    }

    /// The status that a call of `model` with `key` answers.
    pub(crate) async fn status(&self, key: &str, model: &str) -> u16 {
        self.client.chat(key, &super::chat(model)).await.status
    }

    /// Waits until a call of `model` with `key` answers this status; how long that took.
    pub(crate) async fn until_status(&self, key: &str, model: &str, status: u16) -> std::time::Duration {
        let from = tokio::time::Instant::now();
        soon(&format!("status {status}"), async {
            while self.status(key, model).await != status {
                tokio::time::sleep(std::time::Duration::from_millis(2)).await;
            }
        })
        .await;
        from.elapsed()
    }
}
