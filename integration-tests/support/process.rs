//! Real processes that can be killed: a gateway, a Redis of one's own; and the PostgreSQL of the test command.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use super::client::Answer;
use super::gateway::MASTER_KEY;
use super::wait::until;
use super::{Client, PROVIDER_KEY};

/// Whether the long form is asked for.
pub(crate) fn is_long() -> bool {
    variable("UNIFIED_RELIABILITY").is_some_and(|form| form == "long")
}

fn variable(name: &str) -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "the test command says what it has started and which form it wants")]
    std::env::var(name).ok()
}

fn free_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

async fn until_listening(what: &str, address: SocketAddr) {
    until(what, || async { tokio::net::TcpStream::connect(address).await.is_ok() }).await;
}

/// Sends a process a signal by its number.
pub(crate) fn signal(pid: u32, name: &str) {
    let sent = Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).status().unwrap();
    assert!(sent.success(), "no process {pid}");
}

/// A gateway in a process of its own.
pub(crate) struct Process {
    child: Child,
    log: PathBuf,
    pub(crate) client: Client,
    pub(crate) address: SocketAddr,
}

impl Process {
    /// With its data in `folder` and these variables; listening, not ready yet, perhaps.
    pub(crate) async fn start(folder: &Path, variables: &[(&str, &str)]) -> Self {
        let (address, grpc) = (free_port(), free_port());
        let log = folder.join("log");
        let output = std::fs::File::options().create(true).append(true).open(&log).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_unified-gateway"))
            .env_clear()
            .env("HOST", "127.0.0.1")
            .env("PORT", address.port().to_string())
            .env("GRPC_PORT", grpc.port().to_string())
            .env("DATA_DIR", folder)
            .env("MASTER_KEY", MASTER_KEY)
            .envs(variables.iter().copied())
            .stdout(Stdio::from(output.try_clone().unwrap()))
            .stderr(Stdio::from(output))
            .spawn()
            .unwrap();
        let process = Self { child, log, client: Client::new(address), address };
        until_listening("the process to listen", process.address).await;
        process
    }

    /// Lines of its log that have this text.
    pub(crate) fn logged(&self, text: &str) -> usize {
        std::fs::read_to_string(&self.log).unwrap().lines().filter(|line| line.contains(text)).count()
    }

    /// Ends it as a power failure would.
    pub(crate) fn kill(&mut self) {
        // It may be dead already.
        _ = self.child.kill();
        self.child.wait().unwrap();
    }

    /// Waits for this word of readiness.
    pub(crate) async fn until_ready(&self, word: &str) {
        until(&format!("readiness to be `{word}`"), || async {
            self.client.get("/health/ready", None).await.json()["status"] == word
        })
        .await;
    }

    /// One call of the administration.
    pub(crate) async fn admin(&self, method: &str, path: &str, body: &Value) -> Answer {
        let bearer = format!("Bearer {MASTER_KEY}");
        let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
        let (headers, text) =
            if body.is_null() { (&headers[..1], String::new()) } else { (&headers[..], body.to_string()) };
        self.client.send(method, path, headers, text).await
    }

    /// One call of the administration that succeeds; its `data`.
    pub(crate) async fn configure(&self, method: &str, path: &str, body: &Value) -> Value {
        let answer = self.admin(method, path, body).await;
        assert!(matches!(answer.status, 200 | 201), "{method} {path} {body}: {}", answer.text());
        answer.json()["data"].clone()
    }

    /// A deployment of a model of the stub at one cent for ten tokens.
    pub(crate) async fn deploy(&self, public: &str, upstream: &str, base_url: &str) {
        let deployment = serde_json::json!({
            "publicModel": public, "provider": "openaicompatible", "upstreamModel": upstream,
            "credentials": {"apiKey": PROVIDER_KEY, "baseUrl": base_url},
            "pricing": {"inputCentsPerMTokens": "100000", "outputCentsPerMTokens": "100000"},
        });
        self.configure("POST", "/admin/deployments", &deployment).await;
    }

    /// A virtual key: its id and itself.
    pub(crate) async fn key(&self, mut limits: Value) -> (String, String) {
        limits["name"] = serde_json::json!("app");
        let created = self.configure("POST", "/admin/keys", &limits).await;
        (created["id"].as_str().unwrap().to_owned(), created["key"].as_str().unwrap().to_owned())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may be dead already.
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// A Redis of one's own, without a file: killed, it has forgotten everything.
pub(crate) struct Redis {
    child: Option<Child>,
    address: SocketAddr,
    folder: TempDir,
}

impl Redis {
    /// Empty, and listening.
    pub(crate) async fn start() -> Self {
        let mut redis = Self { child: None, address: free_port(), folder: TempDir::new().unwrap() };
        redis.begin().await;
        redis
    }

    /// Its URL.
    pub(crate) fn url(&self) -> String {
        format!("redis://{}/0", self.address)
    }

    /// Starts it anew at the same address, empty.
    pub(crate) async fn begin(&mut self) {
        let port = self.address.port().to_string();
        let options = ["--port", &port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"];
        let start = |program: &str| {
            Command::new(program)
                .args(options)
                .arg("--dir")
                .arg(self.folder.path())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
        };
        self.child = Some(start("redis-server").or_else(|_| start("valkey-server")).unwrap());
        until_listening("Redis to listen", self.address).await;
    }

    /// Ends it at once.
    pub(crate) fn kill(&mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, name: &str) {
        signal(self.child.as_ref().unwrap().id(), name);
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            _ = child.kill();
            _ = child.wait();
        }
    }
}

/// The PostgreSQL of the test command, where it is ours to disturb. Nobody else may use it meanwhile.
pub(crate) struct Postgres {
    restart: String,
}

impl Postgres {
    /// Where it is ours.
    pub(crate) fn ours() -> Option<Self> {
        variable("UNIFIED_TEST_POSTGRES_RESTART").map(|restart| Self { restart })
    }

    fn pid(&self) -> u32 {
        let mut words = self.restart.split_whitespace().skip_while(|word| *word != "-D");
        let folder = words.nth(1).unwrap();
        let text = std::fs::read_to_string(Path::new(folder).join("postmaster.pid")).unwrap();
        text.lines().next().unwrap().trim().parse().unwrap()
    }

    /// Stops it and all that it has started, as a machine that hangs.
    pub(crate) fn freeze(&self) {
        for pid in self.all() {
            signal(pid, "STOP");
        }
    }

    /// Lets it go on.
    pub(crate) fn thaw(&self) {
        for pid in self.all() {
            signal(pid, "CONT");
        }
    }

    /// Kills it and all that it has started.
    pub(crate) fn kill(&self) {
        for pid in self.all() {
            // Its children end with it.
            _ = Command::new("kill").args(["-9", &pid.to_string()]).stderr(Stdio::null()).status();
        }
    }

    /// Starts it again.
    pub(crate) async fn restart(&self) {
        for _ in 0..20 {
            if Command::new("sh").args(["-c", &self.restart]).stderr(Stdio::null()).status().unwrap().success() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
        panic!("PostgreSQL does not start again");
    }

    /// The numbers of its processes, the first its own.
    fn all(&self) -> Vec<u32> {
        let own = self.pid();
        let children = Command::new("pgrep").args(["-P", &own.to_string()]).output().unwrap();
        let children = String::from_utf8(children.stdout).unwrap();
        std::iter::once(own).chain(children.lines().map(|line| line.trim().parse().unwrap())).collect()
    }
}
