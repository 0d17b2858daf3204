//! Logs of a whole run at the finest level: every request has its line, refused ones too, and what clients and operators
//! want kept is in none.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::client::Client;
use crate::support::gateway::{chat, chat_stream};
use crate::support::stub_provider::StubProvider;
use crate::support::wait::until;

// Not shaped like keys: nothing that looks for the looks of a key would blank them.
const MASTER: &str = "marker-one-of-the-operator-who-keeps-it";
const PROVIDER: &str = "marker-two-of-the-provider";
const HEADER: &str = "marker-three-in-a-header";
const PROMPT: &str = "marker four in a prompt and in its answer";
const COLLECTOR: &str = "marker-five-of-the-collector";
const WRONG: &str = "marker-six-no-key-at-all";

/// A gateway in a process of its own, that logs into a file.
struct Process {
    child: Child,
    client: Client,
    folder: TempDir,
}

impl Process {
    async fn start(format: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let free = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let (address, grpc): (SocketAddr, SocketAddr) = (free(), free());
        let child = Command::new(env!("CARGO_BIN_EXE_unified-gateway"))
            .env_clear()
            .current_dir(folder.path())
            .envs([("LOG_LEVEL", "trace"), ("LOG_FORMAT", format), ("MASTER_KEY", MASTER)])
            .envs([("PORT", address.port().to_string()), ("GRPC_PORT", grpc.port().to_string())])
            .env("DATA_DIR", folder.path().join("data"))
            // Nobody listens there: what is tried says so in the log.
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
            .env("OTEL_EXPORTER_OTLP_HEADERS", format!("x-key={COLLECTOR}"))
            .env("OTEL_BSP_SCHEDULE_DELAY", "10")
            .stdout(Stdio::null())
            .stderr(Stdio::from(File::create(folder.path().join("log")).unwrap()))
            .spawn()
            .unwrap();
        until("the process to listen", || async { tokio::net::TcpStream::connect(address).await.is_ok() }).await;
        Self { child, client: Client::new(address), folder }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    async fn create(&self, path: &str, body: &Value) -> Value {
        let bearer = format!("Bearer {MASTER}");
        let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
        let answer = self.client.send("POST", path, &headers, body.to_string()).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        answer.json()["data"].clone()
    }

    /// Deployments and a key.
    async fn furnish(&self, stub: &StubProvider) -> String {
        for model in ["stub-echo-request", "stub-secret-error"] {
            let deployment = json!({
                "publicModel": model, "provider": "openaicompatible", "upstreamModel": model,
                "credentials": {"apiKey": PROVIDER, "baseUrl": stub.base_url(), "headers": {"x-team": HEADER}},
            });
            self.create("/admin/deployments", &deployment).await;
        }
        let key = json!({"name": "app", "allowedModels": ["stub-echo-request", "stub-secret-error"]});
        self.create("/admin/keys", &key).await["key"].as_str().unwrap().to_owned()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may be dead already.
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// Requests of every kind: served, streamed, failed, refused.
async fn use_it(process: &Process, stub: &StubProvider) -> String {
    let key = process.furnish(stub).await;
    let mut request = chat("stub-echo-request");
    request["messages"][0]["content"] = Value::from(PROMPT);
    let answer = process.client.chat(&key, &request).await;
    assert!(answer.text().contains("marker four"), "the answer has the prompt in it: {}", answer.text());
    let mut stream = chat_stream("stub-echo-request");
    stream["messages"][0]["content"] = Value::from(PROMPT);
    process.client.transcript(&key, &stream).await.is_complete();
    request["model"] = Value::from("stub-secret-error");
    assert_eq!(process.client.chat(&key, &request).await.status, 400);
    request["model"] = Value::from("beyond-its-scope");
    assert_eq!(process.client.chat(&key, &request).await.status, 403);
    assert_eq!(process.client.chat(WRONG, &request).await.status, 401);
    let bearer = format!("Bearer {key}");
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json"), ("cookie", WRONG)];
    let broken = format!("{{\"model\": \"stub-echo-request\", \"{PROMPT}\"");
    assert_eq!(process.client.send("POST", "/v1/chat/completions", &headers, broken).await.status, 400);
    assert_eq!(process.client.get(&format!("/v1/models?key={WRONG}"), None).await.status, 400);
    assert_eq!(process.client.get("/admin/keys", Some(WRONG)).await.status, 401);
    until("the collector to be tried", || async { process.log().contains("a collector did not take telemetry") }).await;
    key
}

#[tokio::test]
async fn at_the_finest_level_no_secret_prompt_or_answer_is_in_a_line_and_every_request_has_one() {
    let stub = StubProvider::start().await;
    let process = Process::start("json").await;
    let key = use_it(&process, &stub).await;
    let log = process.log();
    for secret in [MASTER, PROVIDER, HEADER, PROMPT, "marker four", COLLECTOR, WRONG, &key, &key[..20]] {
        let leak = log.lines().find(|line| line.contains(secret));
        assert_eq!(leak, None, "{secret}");
    }
    let lines: Vec<Value> =
        log.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect();
    let of = |message: &str| lines.iter().filter(|line| line["message"] == message).cloned().collect::<Vec<_>>();
    let served = of("request served");
    assert_eq!(served.len(), 3, "{served:#?}");
    for line in &served {
        assert!(line["request_id"].as_str().unwrap().starts_with("req_"));
        assert_eq!(line["key"], Value::from(&key[..12]));
        assert!(line["duration_ms"].is_u64() && line["operation_id"].is_string(), "{line}");
    }
    let refused: Vec<(u64, String)> = of("request refused")
        .iter()
        .map(|line| (line["status"].as_u64().unwrap(), line["fault"].as_str().unwrap().to_owned()))
        .collect();
    let statuses: Vec<u64> = refused.iter().map(|(status, _)| *status).collect();
    assert_eq!(statuses, [403, 401, 400], "{refused:?}");
}

#[tokio::test]
async fn lines_for_people_have_the_same_facts_and_keep_the_same_secrets() {
    let stub = StubProvider::start().await;
    let process = Process::start("pretty").await;
    let key = use_it(&process, &stub).await;
    let log = process.log();
    for secret in [MASTER, PROVIDER, HEADER, PROMPT, "marker four", COLLECTOR, WRONG, &key] {
        assert!(!log.contains(secret), "{secret}");
    }
    let served = log.lines().find(|line| line.contains("request served")).unwrap();
    assert!(
        served.contains("outcome=\"success\"") && served.contains("public_model=\"stub-echo-request\""),
        "{served}"
    );
    assert!(!log.contains('\u{1b}'), "no colours in a file");
}
