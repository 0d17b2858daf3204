//! Finished requests, from the call to the record: found by the client's id, summed up, followed.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::{MASTER_KEY, TestGateway, chat, chat_stream};

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_found_by_the_id_that_the_client_saw_and_is_in_the_sums() {
    let gateway = TestGateway::serving(&["stub-text"]).await;
    let answer = gateway.ask("stub-text").await;
    let request_id = answer.header("x-request-id").unwrap().to_owned();
    assert_eq!(gateway.client.transcript(MASTER_KEY, &chat_stream("stub-text")).await.status, 200);
    assert_eq!(gateway.client.chat(MASTER_KEY, &chat("stub-500")).await.status, 404);

    let found = gateway.configure("GET", &format!("/admin/logs/{request_id}"), &Value::Null).await;
    assert_eq!((&found["requestId"], &found["outcome"]), (&json!(request_id), &json!("success")));
    assert_eq!((&found["httpStatus"], &found["attempts"][0]["ok"]), (&json!(200), &json!(true)));
    let id = found["id"].as_str().unwrap();
    let by_id = gateway.configure("GET", &format!("/admin/logs/{id}"), &Value::Null).await;
    assert_eq!(by_id, found);
    let path = "/admin/logs?publicModel=stub-text&outcome=success&provider=openaicompatible";
    let listed = gateway.configure("GET", path, &Value::Null).await;
    assert_eq!(listed.as_array().unwrap().len(), 2, "{listed}");
    assert_eq!(listed[1]["id"], *id);

    let sums = gateway.configure("GET", "/admin/usage?groupBy=model&publicModel=stub-text", &Value::Null).await;
    let tokens: u64 = listed.as_array().unwrap().iter().map(|one| one["inputTokens"].as_u64().unwrap()).sum();
    assert_eq!((&sums[0]["requests"], &sums[0]["inputTokens"]), (&json!(2), &json!(tokens)));
    let summary = gateway.configure("GET", "/admin/observability/summary?window=5m", &Value::Null).await;
    assert!(summary["requests"].as_u64().unwrap() >= 2 && summary["durationMs"]["p50"].is_number(), "{summary}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_lists_shows_sums_up_and_follows() {
    let gateway = TestGateway::serving(&["stub-text"]).await;
    let request_id = gateway.ask("stub-text").await.header("x-request-id").unwrap().to_owned();
    let server = format!("http://{}", gateway.grpc_address());
    let command = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_unified-gateway"));
        command.args(args).env_clear().env("UNIFIED_GATEWAY_SERVER", &server).env("MASTER_KEY", MASTER_KEY);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    };
    let run = async |args: &[&str]| {
        let mut command = command(args);
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let listed = run(&["admin", "logs", "list", "publicModel=stub-text", "status=200", "start=2020-01-01"]).await;
    assert!(listed.starts_with("ID ") && listed.contains(&request_id), "{listed}");
    let shown: Value = serde_json::from_str(&run(&["admin", "logs", "show", &request_id, "--json"]).await).unwrap();
    assert_eq!((&shown["outcome"], shown["attempts"].as_array().unwrap().len()), (&json!("success"), 1));
    let table = run(&["admin", "usage", "groupBy=model,day"]).await;
    assert!(table.starts_with("MODEL ") && table.contains("stub-text"), "{table}");
    let csv = run(&["admin", "usage", "groupBy=model", "--csv"]).await;
    assert!(csv.starts_with("model,requests,") && csv.contains("\r\nstub-text,1,0,"), "{csv}");
    assert!(run(&["admin", "summary", "5m"]).await.contains("(all)"));

    let mut command = command(&["admin", "logs", "tail", "--json", "--after", shown["id"].as_str().unwrap()]);
    let mut child = command.spawn().unwrap();
    let second = gateway.ask("stub-text").await.header("x-request-id").unwrap().to_owned();
    let out = BufReader::new(child.stdout.take().unwrap());
    let line = tokio::task::spawn_blocking(move || out.lines().next().unwrap().unwrap()).await.unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let tailed: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(tailed["requestId"], *second, "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tail_does_not_hold_up_a_shutdown() {
    let mut gateway = TestGateway::serving(&["stub-text"]).await;
    let bearer = format!("Bearer {MASTER_KEY}");
    let headers = [("authorization", bearer.as_str())];
    let mut events = gateway.client.open("GET", "/admin/logs/tail", &headers, String::new()).await;
    let request_id = gateway.ask("stub-text").await.header("x-request-id").unwrap().to_owned();
    events.until(&request_id).await;
    gateway.stop().await;
    assert!(events.whole().await.text().contains("event: error"));
}
