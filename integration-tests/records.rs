//! What the record of a request says of it, checked against what the client saw.

use serde_json::{Value, json};
use sqlx::sqlite::SqliteRow;
use sqlx::{Connection, Row, SqliteConnection};

use crate::support::wait::{soon, until};
use crate::support::{Answer, TestGateway, chat, chat_stream};

/// A gateway with one key, without limits.
async fn gateway() -> (TestGateway, String) {
    let gateway = TestGateway::start().await;
    for model in ["stub-text", "stub-reasoning", "stub-leaky-headers", "stub-500", "stub-flood"] {
        gateway.deploy(model, model).await;
    }
    let (_, key) = gateway.create_key(&json!({"name": "app"})).await;
    (gateway, key)
}

async fn database(gateway: &TestGateway) -> SqliteConnection {
    let url = format!("sqlite://{}", gateway.folder.path().join("gateway.db").display());
    SqliteConnection::connect(&url).await.unwrap()
}

/// The record of a request; it may come a little after the answer.
async fn record(gateway: &TestGateway, request_id: &str) -> SqliteRow {
    let mut database = database(gateway).await;
    soon("the record", async {
        loop {
            let found = sqlx::query("SELECT * FROM operations WHERE request_id = ?1").bind(request_id);
            if let Some(row) = found.fetch_optional(&mut database).await.unwrap() {
                return row;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    })
    .await
}

fn text(row: &SqliteRow, column: &str) -> Option<String> {
    row.get(column)
}

fn number(row: &SqliteRow, column: &str) -> Option<i64> {
    row.get(column)
}

async fn post(gateway: &TestGateway, key: &str, path: &str, more: &[(&str, &str)], body: String) -> Answer {
    let bearer = format!("Bearer {key}");
    let mut headers = vec![("authorization", bearer.as_str()), ("content-type", "application/json")];
    headers.extend_from_slice(more);
    gateway.client.send("POST", path, &headers, body).await
}

const CHAT: &str = "/v1/chat/completions";

#[tokio::test]
async fn a_stream_is_recorded_with_its_moments_its_bytes_its_tags_and_its_lane() {
    let (gateway, key) = gateway().await;
    let mut request = chat_stream("stub-reasoning");
    request["reasoning_effort"] = json!("high");
    let sent = request.to_string();
    let answer = post(&gateway, &key, CHAT, &[("x-unified-tags", "team-a, nightly,team-a")], sent.clone()).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let row = record(&gateway, answer.header("x-request-id").unwrap()).await;
    assert_eq!(text(&row, "tags").as_deref(), Some(r#"["team-a","nightly"]"#));
    assert_eq!(text(&row, "lane").as_deref(), Some("native"));
    assert_eq!(number(&row, "request_bytes"), Some(i64::try_from(sent.len()).unwrap()));
    assert_eq!(number(&row, "response_bytes"), Some(i64::try_from(answer.body.len()).unwrap()));
    assert_eq!(text(&row, "reasoning_requested").as_deref(), Some("high"));
    assert_eq!(text(&row, "reasoning_effective").as_deref(), Some("high"));
    assert_eq!(number(&row, "reasoning_clamped"), Some(0));
    let moments = ["first_byte_ms", "first_reasoning_ms", "first_output_ms", "duration_ms"];
    let moments: Vec<i64> = moments.iter().map(|column| number(&row, column).expect(column)).collect();
    assert!(moments.is_sorted(), "{moments:?}");
    assert!(number(&row, "longest_gap_ms").is_some());
    assert_eq!((number(&row, "cache_hit"), number(&row, "http_status")), (Some(0), Some(200)));
}

#[tokio::test]
async fn a_translated_answer_says_so_and_its_bytes_are_the_clients() {
    let (gateway, key) = gateway().await;
    let messages = json!([{"role": "user", "content": "Hello"}]);
    for is_stream in [false, true] {
        let request = json!({"model": "stub-text", "max_tokens": 50, "messages": messages, "stream": is_stream});
        let answer = post(&gateway, &key, "/v1/messages", &[], request.to_string()).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let row = record(&gateway, answer.header("x-request-id").unwrap()).await;
        assert_eq!(
            (text(&row, "lane").as_deref(), text(&row, "contract")),
            (Some("translated"), Some("messages".into()))
        );
        assert_eq!(number(&row, "response_bytes"), Some(i64::try_from(answer.body.len()).unwrap()), "{is_stream}");
        assert_eq!(number(&row, "first_reasoning_ms"), None);
        assert!(number(&row, "first_output_ms").is_some());
    }
}

#[tokio::test]
async fn an_attempt_keeps_the_providers_id_and_a_failure_its_class() {
    let (gateway, key) = gateway().await;
    let answer = gateway.client.chat(&key, &chat("stub-leaky-headers")).await;
    let good = record(&gateway, answer.header("x-request-id").unwrap()).await;
    assert_eq!(text(&good, "error_class"), None);
    let answer = gateway.client.chat(&key, &chat("stub-500")).await;
    assert_eq!(answer.status, 502);
    let bad = record(&gateway, answer.header("x-request-id").unwrap()).await;
    assert_eq!(text(&bad, "error_class").as_deref(), Some("transient"));
    assert_eq!((number(&bad, "response_bytes"), number(&bad, "cost_nanocents")), (Some(0), Some(0)));
    let mut database = database(&gateway).await;
    for (row, id) in [(good, "req_StubLeaky"), (bad, "req_StubFault")] {
        let operation: Vec<u8> = row.get("id");
        let named = sqlx::query_scalar("SELECT DISTINCT provider_request_id FROM attempts WHERE operation_id = ?1");
        let named: Vec<Option<String>> = named.bind(operation).fetch_all(&mut database).await.unwrap();
        assert_eq!(named, [Some(id.to_owned())]);
    }
}

#[tokio::test]
async fn a_client_that_takes_its_time_is_told_apart_from_a_slow_provider() {
    let (gateway, key) = gateway().await;
    let mut events = gateway.client.open_chat(&key, &chat_stream("stub-flood")).await;
    let id = events.headers["x-request-id"].to_str().unwrap().to_owned();
    events.next().await.unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(1_500)).await;
    let received = events.finish().await.raw.len();
    let row = record(&gateway, &id).await;
    assert_eq!(number(&row, "response_bytes"), Some(i64::try_from(received).unwrap()));
    assert!(number(&row, "blocked_ms").unwrap() >= 1_000, "{:?}", number(&row, "blocked_ms"));
    assert!(number(&row, "longest_gap_ms").unwrap() < 1_000, "{:?}", number(&row, "longest_gap_ms"));
}

#[tokio::test]
async fn refused_requests_are_recorded_without_attempts_where_the_key_is_known() {
    let (gateway, _) = gateway().await;
    let limited = json!({"name": "narrow", "rpm": 1, "allowedModels": ["stub-text", "gone"]});
    let (id, key) = gateway.create_key(&limited).await;
    let text_request = chat("stub-text").to_string();
    assert_eq!(post(&gateway, &key, CHAT, &[], text_request.clone()).await.status, 200);
    let long =
        format!("{},x", vec!["t"; 16].iter().enumerate().map(|(n, t)| format!("{t}{n}")).collect::<Vec<_>>().join(","));
    type Case<'a> = (u16, &'a str, &'a str, &'a [(&'a str, &'a str)], String);
    let cases: [Case<'_>; 6] = [
        (429, "stub-text", "rate_limit", &[], text_request.clone()),
        (403, "stub-500", "", &[], chat("stub-500").to_string()),
        (404, "gone", "", &[], chat("gone").to_string()),
        (400, "", "", &[], "{\"model\":".to_owned()),
        (400, "", "x-unified-tags", &[("x-unified-tags", &long)], text_request.clone()),
        (400, "", "x-unified-strict", &[("x-unified-strict", "perhaps")], text_request),
    ];
    for (status, model, param, headers, body) in cases {
        let answer = post(&gateway, &key, CHAT, headers, body.clone()).await;
        assert_eq!(answer.status, status, "{body}: {}", answer.text());
        if status == 400 && !param.is_empty() {
            assert_eq!(answer.json()["error"]["param"], param);
        }
        let row = record(&gateway, answer.header("x-request-id").unwrap()).await;
        assert_eq!(number(&row, "http_status"), Some(i64::from(status)));
        assert_eq!(
            (text(&row, "outcome").as_deref(), text(&row, "public_model").as_deref()),
            (Some("error"), Some(model))
        );
        assert_eq!((number(&row, "cost_nanocents"), text(&row, "deployment_id")), (Some(0), None), "{body}");
        assert!(text(&row, "error").is_some() && text(&row, "error_detail").is_some());
        let key_id: Vec<u8> = row.get("key_id");
        assert_eq!(uuid::Uuid::from_slice(&key_id).unwrap().to_string(), id);
    }
    // Nobody is known here.
    let unknown = post(&gateway, "unified-none", CHAT, &[], chat("stub-text").to_string()).await;
    assert_eq!(unknown.status, 401);
    let mut database = database(&gateway).await;
    let attempts: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM attempts").fetch_one(&mut database).await.unwrap();
    assert_eq!(attempts, 1);
    let rows: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM operations").fetch_one(&mut database).await.unwrap();
    assert_eq!(rows, 7);
}

#[tokio::test]
async fn a_flood_of_refusals_neither_fills_the_store_nor_holds_others_up() {
    let (gateway, key) = gateway().await;
    let from = tokio::time::Instant::now();
    for _ in 0..300 {
        assert_eq!(gateway.client.chat(&key, &chat("none")).await.status, 404);
    }
    let seconds = i64::try_from(from.elapsed().as_secs()).unwrap() + 2;
    assert_eq!(gateway.client.chat(&key, &chat("stub-text")).await.status, 200);
    let mut database = database(&gateway).await;
    let count = "SELECT COUNT(*) FROM operations WHERE outcome = 'error'";
    let mut count = async || sqlx::query_scalar::<_, i64>(count).fetch_one(&mut database).await.unwrap();
    let kept = count().await;
    assert!(kept > 0 && kept <= 20 * seconds, "{kept} in {seconds} s");
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "a client of a test is no task of the gateway")]
async fn a_client_that_leaves_before_an_answer_is_recorded_as_such() {
    let (gateway, key) = gateway().await;
    gateway.deploy("stub-stall-headers", "stub-stall-headers").await;
    let client = gateway.client.clone();
    let waiting = tokio::spawn(async move { client.chat(&key, &chat("stub-stall-headers")).await });
    until("the call", || async { gateway.stub.requests().len() == 1 }).await;
    waiting.abort();
    let mut database = database(&gateway).await;
    let row: Value = soon("the record", async {
        loop {
            let read =
                "SELECT json_object('outcome', outcome, 'status', http_status, 'input', input_tokens) FROM operations";
            if let Some(row) = sqlx::query_scalar::<_, String>(read).fetch_optional(&mut database).await.unwrap() {
                return serde_json::from_str(&row).unwrap();
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    })
    .await;
    assert_eq!((&row["outcome"], &row["status"]), (&json!("cancelled"), &json!(499)));
}
