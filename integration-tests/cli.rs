//! The command line of the administration: the real program against a real gateway.

use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::{Client, MASTER_KEY, PROVIDER_KEY, TestGateway, chat};

/// What the program said.
#[derive(Debug)]
struct Said {
    code: i32,
    out: String,
    err: String,
}

impl Said {
    /// Its JSON.
    #[track_caller]
    fn json(&self) -> Value {
        assert_eq!(self.code, 0, "{self:?}");
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Its text.
    #[track_caller]
    fn text(&self) -> &str {
        assert_eq!(self.code, 0, "{self:?}");
        &self.out
    }

    /// Its complaint.
    #[track_caller]
    fn complaint(&self) -> &str {
        assert_eq!((self.code, self.out.as_str()), (1, ""), "{self:?}");
        &self.err
    }
}

/// Runs the program with these variables and this standard input.
async fn run(args: &[&str], variables: &[(&str, &str)], input: &str) -> Said {
    let mut command = Command::new(env!("CARGO_BIN_EXE_unified-gateway"));
    command.args(args).env_clear().envs(variables.iter().copied());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let input = input.to_owned();
    let work = move || {
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    };
    let output = tokio::task::spawn_blocking(work).await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Said { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
}

/// Runs it as the operator of this gateway.
async fn cli(gateway: &TestGateway, args: &[&str]) -> Said {
    cli_with(gateway, args, &[], "").await
}

async fn cli_with(gateway: &TestGateway, args: &[&str], more: &[(&str, &str)], input: &str) -> Said {
    let server = format!("http://{}", gateway.grpc_address());
    let own = [("UNIFIED_GATEWAY_SERVER", server.as_str()), ("MASTER_KEY", MASTER_KEY)];
    let variables: Vec<_> = own.into_iter().chain(more.iter().copied()).collect();
    run(args, &variables, input).await
}

#[tokio::test]
async fn a_deployment_is_created_shown_changed_tested_and_deleted() {
    let gateway = TestGateway::start().await;
    let base_url = format!("credentials.baseUrl={}", gateway.stub.base_url());
    let create = [
        "admin",
        "deployments",
        "create",
        "publicModel=general",
        "provider=openaicompatible",
        "upstreamModel=stub-text",
        "credentials.apiKey=env:STUB_KEY",
        &base_url,
        "--json",
    ];
    let created = cli_with(&gateway, &create, &[("STUB_KEY", PROVIDER_KEY)], "").await;
    let (created, shown) = (created.json(), format!("{created:?}"));
    assert!(!shown.contains(PROVIDER_KEY));
    let id = created["id"].as_str().unwrap();
    // In the shape of the REST API, but for what is not set.
    let mut rest = gateway.configure("GET", &format!("/admin/deployments/{id}"), &Value::Null).await;
    rest.as_object_mut().unwrap().retain(|_, value| !value.is_null() && *value != json!({}));
    assert_eq!(created, rest);
    assert_eq!(gateway.ask("general").await.status, 200);

    let listed = cli(&gateway, &["admin", "deployments", "list", "publicModel=general"]).await;
    let lines: Vec<_> = listed.text().lines().collect();
    assert!(lines[0].starts_with("ID ") && lines[0].ends_with("LABEL"), "{listed:?}");
    assert!(lines.len() == 2 && lines[1].starts_with(id) && lines[1].contains("openaicompatible"), "{listed:?}");

    let tested = cli(&gateway, &["admin", "deployments", "test", id]).await;
    assert!(tested.text().lines().any(|line| line.split_whitespace().eq(["ok", "true"])), "{tested:?}");

    let update = ["admin", "deployments", "update", id, "weight=7", "label=the main one", "--json"];
    let updated = cli(&gateway, &update).await.json();
    assert_eq!((&updated["weight"], &updated["label"]), (&json!(7), &json!("the main one")));
    let cleared = cli(&gateway, &["admin", "deployments", "update", id, "label=null", "--json"]).await.json();
    assert_eq!((&cleared["weight"], cleared.get("label")), (&json!(7), None));
    let stale = ["admin", "deployments", "update", id, "weight=8", "--etag", created["etag"].as_str().unwrap()];
    assert!(cli(&gateway, &stale).await.complaint().contains("changed"));

    assert_eq!(cli(&gateway, &["admin", "deployments", "delete", id]).await.text(), format!("deleted {id}\n"));
    assert!(cli(&gateway, &["admin", "deployments", "get", id]).await.complaint().starts_with("unified-gateway: "));
}

#[tokio::test]
async fn a_key_is_shown_once_and_rotated() {
    let gateway = TestGateway::start().await;
    let secret = |said: &Said| said.text().lines().last().unwrap().trim().to_owned();
    let created = cli(&gateway, &["admin", "keys", "create", "name=my app", r#"allowedModels=["echo"]"#]).await;
    let first = secret(&created);
    assert!(first.starts_with("unified-"), "{created:?}");
    let client = Client::new(gateway.address);
    assert_eq!(client.chat(&first, &chat("echo")).await.status, 200);

    let listed = cli(&gateway, &["admin", "keys", "list", "--json"]).await.json();
    let id = listed[0]["id"].as_str().unwrap();
    assert!(!listed.to_string().contains(&first));
    let second = secret(&cli(&gateway, &["admin", "keys", "rotate", id]).await);
    assert_eq!(client.chat(&first, &chat("echo")).await.status, 401);
    assert_eq!(client.chat(&second, &chat("echo")).await.status, 200);
    cli(&gateway, &["admin", "keys", "update", id, "enabled=false"]).await.text();
    assert_eq!(client.chat(&second, &chat("echo")).await.status, 401);
}

#[tokio::test]
async fn chains_settings_and_replicas() {
    let gateway = TestGateway::serving(&["stub-text", "stub-tools"]).await;
    let set =
        ["admin", "fallbacks", "set", "primaryModel=stub-text", "reason=general", r#"fallbackModels=["stub-tools"]"#];
    cli(&gateway, &set).await.text();
    assert!(cli(&gateway, &["admin", "fallbacks", "list"]).await.text().contains("stub-tools"));
    cli(&gateway, &["admin", "fallbacks", "delete", "stub-text"]).await.text();
    assert_eq!(cli(&gateway, &["admin", "fallbacks", "list", "--json"]).await.json(), json!([]));

    let set = ["admin", "settings", "set", "executionPolicies.text.generate.totalMs=1000"];
    assert!(cli(&gateway, &set).await.complaint().contains("executionPolicies"));
    let policy = r#"executionPolicies={"text.generate":{"totalMs":90000}}"#;
    let settings = cli(&gateway, &["admin", "settings", "set", policy, "--json"]).await.json();
    assert_eq!(settings["executionPolicies"]["text.generate"]["totalMs"], 90_000);
    let shown = cli(&gateway, &["admin", "settings", "get"]).await;
    assert!(shown.text().contains("executionPolicies.text.generate.totalMs"), "{shown:?}");

    let replicas = cli(&gateway, &["admin", "replicas", "--json"]).await.json();
    let revision = format!("revision={}", replicas["revision"]);
    cli(&gateway, &["admin", "replicas", "--wait", &revision]).await.text();
    assert!(cli(&gateway, &["admin", "info"]).await.text().contains("embedded"));
}

#[tokio::test]
async fn mistakes_are_named() {
    let gateway = TestGateway::start().await;
    let complaint = async |args: &[&str]| cli(&gateway, args).await.complaint().to_owned();
    let create = |field: &'static str| ["admin", "keys", "create", "name=x", field];
    assert!(complaint(&create("rpmm=1")).await.contains("rpmm"));
    assert!(complaint(&create("enabled=perhaps")).await.contains("enabled"));
    assert!(complaint(&create("expiresAt=yesterday")).await.contains("expiresAt"));
    assert!(complaint(&create("words")).await.contains("name=value"));
    assert!(complaint(&["admin", "keys", "update", "x"]).await.contains("nothing to change"));
    let missing = ["admin", "deployments", "create", "credentials.apiKey=env:NO_SUCH_VARIABLE"];
    assert!(complaint(&missing).await.contains("NO_SUCH_VARIABLE is not set"));
    assert!(complaint(&["admin", "info", "--server", "http://127.0.0.1:1"]).await.contains("cannot be reached"));
    assert!(complaint(&["admin", "info", "--server", "127.0.0.1:1"]).await.contains("--server must be a URL"));

    let refused = cli_with(&gateway, &["admin", "info"], &[("MASTER_KEY", "wrong")], "").await;
    assert!(refused.complaint().contains("master key"), "{refused:?}");
    let keyless = run(&["admin", "info"], &[("DATA_DIR", "/nonexistent")], "").await;
    assert!(keyless.code == 2 && keyless.err.contains("MASTER_KEY"), "{keyless:?}");
    assert_eq!(run(&["admin", "nonsense"], &[], "").await.code, 2);
}

#[tokio::test]
async fn the_configuration_is_exported_compared_and_applied() {
    let gateway = TestGateway::serving(&["stub-text"]).await;
    let exported = cli(&gateway, &["config", "export"]).await;
    assert!(exported.text().starts_with("# Revision "), "{exported:?}");
    assert!(!exported.out.contains(PROVIDER_KEY) && !exported.out.contains("etag"));

    // As it is, nothing differs; standard input is a file, too.
    let same = cli_with(&gateway, &["config", "diff", "-f", "-"], &[], &exported.out).await;
    assert_eq!(same.text(), "Nothing differs.\n");

    let changed = exported.out.replace("weight: 1", "weight: 4");
    let differs = cli_with(&gateway, &["config", "diff", "-f", "-"], &[], &changed).await;
    assert_eq!(differs.code, 1, "{differs:?}");
    assert!(differs.out.contains("    weight: 1 -> 4\n"), "{differs:?}");
    let applied = cli_with(&gateway, &["config", "apply", "-f", "-"], &[], &changed).await;
    assert!(applied.text().contains("Applied: revision "), "{applied:?}");
    assert_eq!(gateway.ask("stub-text").await.status, 200, "credentials are kept");

    // What a file leaves out stays without --prune, and goes with it when that is confirmed.
    let echo = "deployments:\n- {publicModel: echo, provider: echo, upstreamModel: echo, label: only}\n";
    let apply = ["config", "apply", "-f", "-"];
    cli_with(&gateway, &apply, &[], echo).await.text();
    assert_eq!(gateway.ask("stub-text").await.status, 200);
    let prune = [&apply[..], &["--prune"]].concat();
    let unconfirmed = cli_with(&gateway, &prune, &[], echo).await;
    assert!(unconfirmed.code == 1 && unconfirmed.err.contains("--yes"), "{unconfirmed:?}");
    assert_eq!(gateway.ask("stub-text").await.status, 200);
    // A kind of which there is none is rather forgotten than meant.
    cli_with(&gateway, &[&prune[..], &["--yes"]].concat(), &[], "deployments: []\n").await.text();
    assert_eq!(gateway.ask("stub-text").await.status, 200);
    let pruned = cli_with(&gateway, &[&prune[..], &["--yes"]].concat(), &[], echo).await;
    assert!(pruned.text().contains("- deployment stub-text"), "{pruned:?}");
    assert_eq!(gateway.ask("stub-text").await.status, 404);
    assert_eq!(gateway.ask("echo").await.status, 200);

    let broken = cli_with(&gateway, &["config", "apply", "-f", "-"], &[], "deployments: [").await;
    assert!(broken.complaint().contains("neither YAML nor JSON"), "{broken:?}");
}

#[tokio::test]
async fn shells_complete_the_command() {
    let script = run(&["completion", "bash"], &[], "").await;
    assert!(script.text().contains("rotate-encryption"));
    assert_eq!(run(&["completion", "tcsh"], &[], "").await.code, 2);
}

#[tokio::test]
async fn a_route_is_explained_as_a_table_and_as_json() {
    let gateway = TestGateway::start().await;
    let id = gateway.deploy("general", "stub-text").await;
    let explain = ["admin", "route", "explain", "publicModel=general", "tools=true", "inputTokens=100"];
    let shown = cli(&gateway, &explain).await;
    let lines: Vec<_> = shown.text().lines().collect();
    assert!(lines[0].starts_with("NO ") && lines[1].contains(&id) && lines[1].contains("kept"), "{shown:?}");
    assert!(lines.iter().any(|line| line.split_whitespace().eq(["scope", "allowed"])), "{shown:?}");
    let json = cli(&gateway, &[&explain[..], &["--json"]].concat()).await.json();
    let question = json!({"publicModel": "general", "tools": true, "inputTokens": 100});
    let rest = gateway.configure("POST", "/admin/route/explain", &question).await;
    assert_eq!(json["candidates"][0]["inputTokens"], rest["candidates"][0]["inputTokens"]);
    assert_eq!((&json["candidates"][0]["lane"], &json["scope"]), (&rest["candidates"][0]["lane"], &rest["scope"]));
}

#[tokio::test]
async fn an_invalidation_says_how_many_answers_are_gone() {
    let gateway = TestGateway::start().await;
    let said = cli(&gateway, &["admin", "cache", "invalidate", "operation=text.generate", "--json"]).await;
    assert_eq!(said.json(), json!({"removed": 0}));
    let said = cli(&gateway, &["admin", "cache", "invalidate", "operation=text.sing"]).await;
    assert!(said.complaint().contains("operation"), "{said:?}");
}
