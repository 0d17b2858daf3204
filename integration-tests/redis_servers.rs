//! Redis as operators run it: with users, over TLS, behind Sentinels, and as a cluster, which is refused. Each test starts
//! the servers that it needs.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::json;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use unified_gateway::app;

use crate::support::fleet::{Database, Replica};
use crate::support::gateway::settings;
use crate::support::wait::until;
use crate::support::{Client, MASTER_KEY};

const ENCRYPTION_KEY: &str = "abababababababababababababababababababababababababababababababab";

/// A process that ends with this.
struct Server {
    child: Child,
    port: u16,
    _folder: TempDir,
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn program() -> &'static str {
    let has = |name: &str| Command::new(name).arg("--version").stdout(Stdio::null()).status().is_ok();
    if has("redis-server") { "redis-server" } else { "valkey-server" }
}

impl Server {
    /// On a free port, with these further arguments.
    async fn start(arguments: &[&str]) -> Self {
        let port = free_port();
        let port_text = port.to_string();
        let own = ["--port", port_text.as_str(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"];
        Self::run(port, TempDir::new().unwrap(), own.iter().chain(arguments)).await
    }

    async fn run<'a>(port: u16, folder: TempDir, arguments: impl Iterator<Item = &'a &'a str>) -> Self {
        let child = Command::new(program())
            .args(arguments)
            .current_dir(folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let server = Self { child, port, _folder: folder };
        let address: SocketAddr = ([127, 0, 0, 1], port).into();
        until("the server", || async { tokio::net::TcpStream::connect(address).await.is_ok() }).await;
        server
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// A key of one request per minute lets one through: limits are counted.
async fn counts(replica: &Replica) {
    replica.until_ready("ready").await;
    replica.deploy_echo("echo").await;
    let created = replica.configure("POST", "/admin/keys", &json!({"name": "k", "rpm": 1})).await;
    let key = created["key"].as_str().unwrap();
    assert_eq!(replica.status(key, "echo").await, 200);
    assert_eq!(replica.status(key, "echo").await, 429);
}

#[tokio::test]
async fn a_redis_cluster_is_refused_at_the_start() {
    let server = Server::start(&["--cluster-enabled", "yes"]).await;
    let folder = TempDir::new().unwrap();
    let url = format!("redis://127.0.0.1:{}", server.port);
    let variables = [
        ("DATABASE_URL", "postgres://nobody@127.0.0.1:1/none"),
        ("REDIS_URL", url.as_str()),
        ("CREDENTIALS_ENCRYPTION_KEY", ENCRYPTION_KEY),
    ];
    let fault = Box::pin(app::start(settings(folder.path(), &variables))).await.unwrap_err();
    assert!(fault.to_string().contains("Redis Cluster"), "{fault}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_with_a_password_and_few_rights_suffices() {
    let user = ["--user", "app", "on", ">pass/word", "~unified:*", "+@all", "-@admin", "-@dangerous", "+info"];
    let server = Server::start(&user).await;
    let database = Database::create().await;
    let url = format!("redis://app:pass%2Fword@127.0.0.1:{}", server.port);
    counts(&Replica::begin(&database.url(), &[("REDIS_URL", &url)]).await).await;
    // Another password is no way in.
    let url = format!("redis://app:other@127.0.0.1:{}", server.port);
    let stranger = Replica::begin(&database.url(), &[("REDIS_URL", &url), ("READINESS", "strict")]).await;
    until("the refusal", || async { stranger.ready().await.1["redis"] == "down" }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sentinels_tell_where_the_server_is() {
    let server = Server::start(&[]).await;
    let folder = TempDir::new().unwrap();
    let port = free_port();
    let configuration = format!(
        "port {port}\nbind 127.0.0.1\nsentinel monitor main 127.0.0.1 {} 1\nsentinel down-after-milliseconds main 500\n",
        server.port
    );
    let file = folder.path().join("sentinel.conf");
    std::fs::write(&file, configuration).unwrap();
    let file = file.to_str().unwrap().to_owned();
    let _sentinel = Server::run(port, folder, [file.as_str(), "--sentinel"].iter()).await;
    let database = Database::create().await;
    // The first one is not there.
    let url = format!("redis+sentinel://127.0.0.1:{}/main/2?sentinel=127.0.0.1:{port}", free_port());
    counts(&Replica::begin(&database.url(), &[("REDIS_URL", &url)]).await).await;
}

/// What a server answers to one command.
async fn ask(port: u16, command: &str) -> String {
    let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    stream.write_all(format!("{command}\r\n").as_bytes()).await.unwrap();
    // Sentinels know no QUIT.
    stream.shutdown().await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_sentinels_promote_another_server_the_gateway_follows() {
    let mut first = Server::start(&["--repl-diskless-sync-delay", "0"]).await;
    let first_port = first.port.to_string();
    let second = Server::start(&["--replicaof", "127.0.0.1", &first_port]).await;
    // Sentinels look for copies when they begin, and then every ten seconds.
    until("the copy", || async { ask(first.port, "INFO replication").await.contains("state=online") }).await;
    let folder = TempDir::new().unwrap();
    let port = free_port();
    let configuration = format!(
        "port {port}\nbind 127.0.0.1\nsentinel monitor main 127.0.0.1 {first_port} 1\n\
         sentinel down-after-milliseconds main 300\nsentinel failover-timeout main 5000\n"
    );
    let file = folder.path().join("sentinel.conf");
    std::fs::write(&file, configuration).unwrap();
    let file = file.to_str().unwrap().to_owned();
    let _sentinel = Server::run(port, folder, [file.as_str(), "--sentinel"].iter()).await;
    let second_port = second.port.to_string();
    until("the Sentinel", || async { ask(port, "SENTINEL replicas main").await.contains(&second_port) }).await;

    let database = Database::create().await;
    let url = format!("redis+sentinel://127.0.0.1:{port}/main");
    let replica = Replica::begin(&database.url(), &[("REDIS_URL", &url)]).await;
    counts(&replica).await;
    first.child.kill().unwrap();
    first.child.wait().unwrap();
    until("the other server", || async {
        ask(port, "SENTINEL get-master-addr-by-name main").await.contains(&second_port)
    })
    .await;
    // Limits are counted again.
    let created = replica.configure("POST", "/admin/keys", &json!({"name": "later", "rpm": 1})).await;
    let key = created["key"].as_str().unwrap();
    until("limits", || async { replica.status(key, "echo").await == 200 }).await;
    assert_eq!(replica.status(key, "echo").await, 429);
    assert!(ask(second.port, "INFO replication").await.contains("role:master"));
}

/// An authority and a certificate of it for 127.0.0.1: three files in the folder.
fn certificates(folder: &Path) {
    let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &authority).unwrap();
    for (name, text) in [("ca.pem", authority.pem()), ("cert.pem", certificate.pem()), ("key.pem", key.serialize_pem())]
    {
        std::fs::write(folder.join(name), text).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_is_spoken_to_over_tls() {
    let folder = TempDir::new().unwrap();
    certificates(folder.path());
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let port = free_port();
    let (authority, certificate, key) = (path("ca.pem"), path("cert.pem"), path("key.pem"));
    let port_text = port.to_string();
    let arguments = [
        "--port",
        "0",
        "--tls-port",
        port_text.as_str(),
        "--bind",
        "127.0.0.1",
        "--save",
        "",
        "--tls-auth-clients",
        "no",
        "--tls-cert-file",
        certificate.as_str(),
        "--tls-key-file",
        key.as_str(),
        "--tls-ca-cert-file",
        authority.as_str(),
    ];
    let _server = Server::run(port, TempDir::new().unwrap(), arguments.iter()).await;
    let database = Database::create().await;
    // The system's authorities are those of the process, so this one is a process of its own.
    let (http, grpc) = (free_port(), free_port());
    let mut gateway = Command::new(env!("CARGO_BIN_EXE_unified-gateway"))
        .env_clear()
        .env("PORT", http.to_string())
        .env("GRPC_PORT", grpc.to_string())
        .env("DATA_DIR", folder.path())
        .env("MASTER_KEY", MASTER_KEY)
        .env("DATABASE_URL", database.url())
        .env("REDIS_URL", format!("rediss://127.0.0.1:{port}"))
        .env("CREDENTIALS_ENCRYPTION_KEY", ENCRYPTION_KEY)
        .env("SSL_CERT_FILE", &authority)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let address: SocketAddr = ([127, 0, 0, 1], http).into();
    until("the process to listen", || async { tokio::net::TcpStream::connect(address).await.is_ok() }).await;
    let client = Client::new(address);
    until("Redis", || async { client.get("/health/ready", None).await.json()["redis"] == "up" }).await;
    gateway.kill().unwrap();
    gateway.wait().unwrap();
}
