//! A real gateway in this process: free ports, a folder of its own, a stub provider behind it.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

use serde_json::{Value, json};
use tempfile::TempDir;
use unified_gateway::app::{self, Running, Stage};
use unified_gateway::config::{Command, Config, Surroundings, parse_with};
use unified_gateway::transport::Places;

use super::client::{Answer, Client};
use super::stub_provider::StubProvider;
use super::wait::soon;

pub(crate) const MASTER_KEY: &str = "master-of-the-tests-4f2a9c7b1e8d6035";
/// What the deployments show the stub provider.
pub(crate) const PROVIDER_KEY: &str = "sk-stub-0123456789abcdef";

/// A running gateway and its provider.
#[derive(Debug)]
pub(crate) struct TestGateway {
    running: Option<Running>,
    pub(crate) folder: TempDir,
    pub(crate) stub: StubProvider,
    pub(crate) client: Client,
    pub(crate) address: SocketAddr,
}

/// Settings as a process would read them, on free ports and in `folder`.
pub(crate) fn settings(folder: &std::path::Path, extra: &[(&str, &str)]) -> Config {
    let folder = folder.to_str().unwrap();
    let own = [("PORT", "0"), ("GRPC_PORT", "0"), ("DATA_DIR", folder), ("MASTER_KEY", MASTER_KEY)];
    let variables: Vec<_> = own.into_iter().chain(extra.iter().copied()).collect();
    match parse_with([OsString::from("unified-gateway")], &Surroundings::made_up(&variables, "")) {
        Ok(Command::Serve(config)) => *config,
        Ok(other) => panic!("not a server: {other:?}"),
        Err(stop) => panic!("{stop}"),
    }
}

/// A minimal request.
pub(crate) fn chat(model: &str) -> Value {
    json!({"model": model, "messages": [{"role": "user", "content": "Hello"}]})
}

/// The same, streamed.
pub(crate) fn chat_stream(model: &str) -> Value {
    json!({"model": model, "stream": true, "messages": [{"role": "user", "content": "Hello"}]})
}

impl TestGateway {
    /// With default settings.
    pub(crate) async fn start() -> Self {
        Self::with(&[]).await
    }

    /// With these variables set.
    pub(crate) async fn with(variables: &[(&str, &str)]) -> Self {
        Self::among(variables, Places::default()).await
    }

    /// The same where hosts of content are at these places.
    pub(crate) async fn among(variables: &[(&str, &str)], places: Places) -> Self {
        let program = Some(PathBuf::from(env!("CARGO_BIN_EXE_unified-gateway")));
        let stage = Stage { places, program };
        let folder = TempDir::new().unwrap();
        let running = Box::pin(app::start_on(settings(folder.path(), variables), stage)).await.unwrap();
        let address = running.http_address;
        let stub = StubProvider::start().await;
        Self { running: Some(running), folder, stub, client: Client::new(address), address }
    }

    /// With one deployment of the same name for each of these models of the stub.
    pub(crate) async fn serving(models: &[&str]) -> Self {
        let gateway = Self::start().await;
        for model in models {
            gateway.deploy(model, model).await;
        }
        gateway
    }

    /// Another one in the same folder, after this one has stopped.
    pub(crate) async fn restarted(self) -> Self {
        let Self { running, folder, stub, .. } = self;
        assert!(running.is_none(), "it still runs");
        let running = app::start(settings(folder.path(), &[])).await.unwrap();
        let address = running.http_address;
        Self { running: Some(running), folder, stub, client: Client::new(address), address }
    }

    /// Where gRPC is served.
    pub(crate) fn grpc_address(&self) -> SocketAddr {
        self.running.as_ref().unwrap().grpc_address
    }

    /// Where the administration is served.
    pub(crate) fn admin_address(&self) -> SocketAddr {
        self.running.as_ref().unwrap().admin_http_address.unwrap()
    }

    /// Where metrics are served, with a port of their own.
    pub(crate) fn metrics_address(&self) -> SocketAddr {
        self.running.as_ref().unwrap().metrics_address.unwrap()
    }

    /// Drains and stops.
    pub(crate) async fn stop(&mut self) {
        let running = self.running.take().unwrap();
        soon("the gateway to stop", running.stop()).await;
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

    /// A deployment of the stub's model `upstream` under the name `public`; its id.
    pub(crate) async fn deploy(&self, public: &str, upstream: &str) -> String {
        self.deploy_with(public, upstream, json!({})).await
    }

    /// The same with further fields.
    pub(crate) async fn deploy_with(&self, public: &str, upstream: &str, fields: Value) -> String {
        let mut deployment = json!({
            "publicModel": public,
            "provider": "openaicompatible",
            "upstreamModel": upstream,
            "credentials": {"apiKey": PROVIDER_KEY, "baseUrl": self.stub.base_url()},
        });
        for (name, value) in fields.as_object().unwrap() {
            deployment[name] = value.clone();
        }
        self.create_deployment(&deployment).await
    }

    /// A deployment of the built-in preset with these options.
    pub(crate) async fn deploy_echo(&self, public: &str, options: Value, fields: Value) -> String {
        let mut deployment = json!({
            "publicModel": public, "provider": "echo", "upstreamModel": "echo", "metadata": {"echo": options},
        });
        for (name, value) in fields.as_object().unwrap() {
            deployment[name] = value.clone();
        }
        self.create_deployment(&deployment).await
    }

    /// Any deployment; its id.
    pub(crate) async fn create_deployment(&self, deployment: &Value) -> String {
        let created = self.configure("POST", "/admin/deployments", deployment).await;
        created["id"].as_str().unwrap().to_owned()
    }

    /// A virtual key: its id and the key itself.
    pub(crate) async fn create_key(&self, key: &Value) -> (String, String) {
        let created = self.configure("POST", "/admin/keys", key).await;
        (created["id"].as_str().unwrap().to_owned(), created["key"].as_str().unwrap().to_owned())
    }

    /// Sets the execution policy of text.
    pub(crate) async fn set_policy(&self, policy: &Value) {
        let settings = json!({"executionPolicies": {"text.generate": policy}});
        self.configure("PUT", "/admin/router-settings", &settings).await;
    }

    /// Sets a fallback chain.
    pub(crate) async fn set_chain(&self, primary: &str, reason: &str, targets: &[&str]) {
        let chain = json!({"primaryModel": primary, "reason": reason, "fallbackModels": targets});
        self.configure("PUT", "/admin/fallbacks", &chain).await;
    }

    /// Asks a model as the operator.
    pub(crate) async fn ask(&self, model: &str) -> Answer {
        self.client.chat(MASTER_KEY, &chat(model)).await
    }

    /// Asks a model for a stream, as the operator, and reads all of it.
    pub(crate) async fn ask_stream(&self, model: &str) -> super::Transcript {
        self.client.transcript(MASTER_KEY, &chat_stream(model)).await
    }
}
