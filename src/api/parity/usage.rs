//! Finished requests through both faces.

use http::{Method, StatusCode};
use serde_json::{Value, json};
use tokio_stream::StreamExt;
use tonic::Code;
use tonic_types::StatusExt;

use super::support::{Sent, World};
use crate::api::grpc::proto;
use crate::domain::ids::OperationId;
use crate::domain::record::{AttemptRecord, OperationRecord};

/// The world's clock stands here: 2027-01-15T08:00:00Z.
const NOW_MS: i64 = 1_800_000_000_000;

fn record(number: u128, age_ms: i64) -> OperationRecord {
    let at = NOW_MS - age_ms;
    let id = uuid::Uuid::from_u128((u128::try_from(at).unwrap() << 80) | (7 << 76) | number);
    OperationRecord {
        id: OperationId::from_uuid(id).to_string(),
        request_id: format!("req_{number}"),
        public_model: "general".to_owned(),
        provider: Some("echo".to_owned()),
        operation: "text.generate".to_owned(),
        contract: "chat_completions".to_owned(),
        outcome: "success".to_owned(),
        http_status: 200,
        input_tokens: 10,
        output_tokens: 5,
        cost: Some(1_500_000_000),
        upstream_cost: Some(1_000_000_000),
        started_at: at,
        duration_ms: 20,
        tags: vec!["team=a".to_owned()],
        attempts: vec![AttemptRecord {
            number: 1,
            deployment_id: uuid::Uuid::from_u128(9).to_string(),
            provider: "echo".to_owned(),
            upstream_model: "m".to_owned(),
            ok: true,
            ..AttemptRecord::default()
        }],
        ..OperationRecord::default()
    }
}

async fn world_with(records: &[OperationRecord]) -> World {
    let world = World::new().await;
    world.stores.usage.record(records).await.unwrap();
    world
}

async fn get(world: &World, path: &str) -> Value {
    let answered = world.rest(Method::GET, path, "").await;
    assert_eq!(answered.status, StatusCode::OK, "{path}: {}", answered.body);
    answered.body
}

#[tokio::test]
async fn a_request_is_found_by_its_own_id_and_by_the_clients() {
    let one = record(1, 1000);
    let world = world_with(&[one.clone(), record(2, 500)]).await;
    let mut grpc = world.as_operator().usage;
    for id in [one.id.as_str(), "req_1"] {
        let found = get(&world, &format!("/admin/logs/{id}")).await;
        let data = &found["data"];
        assert_eq!((&data["id"], &data["requestId"]), (&json!(one.id), &json!("req_1")));
        assert_eq!((&data["costCents"], &data["attempts"][0]["ok"]), (&json!("1.5"), &json!(true)));
        assert_eq!(data["startedAt"], "2027-01-15T07:59:59.000Z");
        let found = grpc.get_operation(proto::GetOperationRequest { id: id.to_owned() }).await.unwrap().into_inner();
        assert_eq!(
            (found.id.clone(), found.cost_nanocents, found.attempts.len()),
            (one.id.clone(), Some(1_500_000_000), 1)
        );
        assert_eq!(found.outcome(), proto::Outcome::Success);
    }
    let none = world.rest(Method::GET, "/admin/logs/req_9", "").await;
    assert_eq!(none.status, StatusCode::NOT_FOUND);
    let none = grpc.get_operation(proto::GetOperationRequest { id: "req_9".to_owned() }).await.unwrap_err();
    assert_eq!(none.code(), Code::NotFound);
}

#[tokio::test]
async fn lists_are_filtered_and_paged_by_cursor() {
    let failed = OperationRecord { outcome: "error".to_owned(), http_status: 503, ..record(3, 100) };
    let world = world_with(&[record(1, 1000), record(2, 500), failed.clone()]).await;
    let first = get(&world, "/admin/logs?limit=2").await;
    assert_eq!((&first["data"][0]["id"], &first["pagination"]["total"]), (&json!(failed.id), &json!(3)));
    assert!(first["data"][0].get("attempts").is_none());
    let cursor = first["pagination"]["nextCursor"].as_str().unwrap();
    let second = get(&world, &format!("/admin/logs?limit=2&cursor={cursor}")).await;
    assert_eq!((second["data"].as_array().unwrap().len(), &second["pagination"]["total"]), (1, &json!(null)));
    assert_eq!((&second["data"][0]["requestId"], &second["pagination"]["nextCursor"]), (&json!("req_1"), &json!(null)));
    let other = world.rest(Method::GET, &format!("/admin/logs?status=200&cursor={cursor}"), "").await;
    assert_eq!((other.status, &other.body["error"]["param"]), (StatusCode::BAD_REQUEST, &json!("cursor")));

    let filtered = get(&world, "/admin/logs?outcome=error&status=503&tag=team%3Da&start=2027-01-15").await;
    assert_eq!((filtered["data"].as_array().unwrap().len(), &filtered["data"][0]["id"]), (1, &json!(failed.id)));

    let mut grpc = world.as_operator().usage;
    let filter = proto::OperationFilter { outcome: proto::Outcome::Error.into(), ..Default::default() };
    let request = proto::ListOperationsRequest { filter: Some(filter), ..Default::default() };
    let listed = grpc.list_operations(request).await.unwrap().into_inner();
    assert_eq!((listed.total_size, listed.operations.len()), (Some(1), 1));
    assert_eq!(listed.operations[0].id, failed.id);
    let request = proto::ListOperationsRequest { page_size: 2, ..Default::default() };
    let token = grpc.list_operations(request.clone()).await.unwrap().into_inner().next_page_token;
    let second = proto::ListOperationsRequest { page_token: token, ..request };
    let second = grpc.list_operations(second).await.unwrap().into_inner();
    assert_eq!((second.operations.len(), second.next_page_token.as_str(), second.total_size), (1, "", None));
}

#[tokio::test]
async fn wrong_conditions_are_named_in_the_words_of_each_face() {
    let world = World::new().await;
    let cases = [
        ("/admin/logs?virtualKeyId=x&status=99999&outcome=fine&start=soon", "virtualKeyId"),
        ("/admin/logs?model=x", "model"),
        ("/admin/logs?start=2027-01-02&end=2027-01-01", "end"),
        ("/admin/logs?status=99", "status"),
        ("/admin/usage?groupBy=colour", "groupBy"),
        ("/admin/usage?groupBy=model,key,day", "groupBy"),
        ("/admin/usage?groupBy=model,model", "groupBy"),
        ("/admin/usage?start=2025-01-01&end=2026-12-01", "start"),
        ("/admin/usage?start=2026-10-01&end=2026-12-01&degraded=true", "start"),
        ("/admin/usage?format=xml", "format"),
        ("/admin/observability/summary?window=2h", "window"),
        ("/admin/logs/tail?start=2027-01-01", "start"),
        ("/admin/logs/tail?after=018f0000-0000-7000-8000-000000000000", "after"),
    ];
    for (path, param) in cases {
        let answered = world.rest(Method::GET, path, "").await;
        let seen = (answered.status, &answered.body["error"]["param"]);
        assert_eq!(seen, (StatusCode::BAD_REQUEST, &json!(param)), "{path}: {}", answered.body);
    }
    let many = world.rest(Method::GET, cases[0].0, "").await.body["error"]["message"].to_string();
    assert!(["virtualKeyId", "status", "outcome", "start"].iter().all(|field| many.contains(field)), "{many}");

    let field = |status: tonic::Status| status.get_details_bad_request().unwrap().field_violations[0].field.clone();
    let mut grpc = world.as_operator().usage;
    let filter = proto::OperationFilter { virtual_key_id: "x".to_owned(), ..Default::default() };
    let request = proto::ListOperationsRequest { filter: Some(filter), ..Default::default() };
    assert_eq!(field(grpc.list_operations(request).await.unwrap_err()), "filter.virtual_key_id");
    let filter = proto::OperationFilter { http_status: Some(99), ..Default::default() };
    let request = proto::ListOperationsRequest { filter: Some(filter.clone()), ..Default::default() };
    assert_eq!(field(grpc.list_operations(request).await.unwrap_err()), "filter.http_status");
    let request = proto::AggregateUsageRequest { filter: None, group_by: vec![1, 1] };
    assert_eq!(field(grpc.aggregate_usage(request).await.unwrap_err()), "group_by");
    let window = Some(prost_types::Duration { seconds: 7200, nanos: 0 });
    assert_eq!(field(grpc.get_summary(proto::GetSummaryRequest { window }).await.unwrap_err()), "window");
    let request = proto::TailOperationsRequest { filter: None, after_operation_id: "x".to_owned() };
    assert_eq!(field(grpc.tail_operations(request).await.map(drop).unwrap_err()), "after_operation_id");
}

#[tokio::test]
async fn sums_are_answered_as_json_and_as_a_table() {
    let unpriced = OperationRecord { cost: None, public_model: "other, one".to_owned(), ..record(3, 100) };
    let world = world_with(&[record(1, 1000), record(2, 500), unpriced]).await;
    let body = get(&world, "/admin/usage?groupBy=model").await;
    let general = &body["data"][0];
    assert_eq!((&general["publicModel"], &general["requests"]), (&json!("general"), &json!(2)));
    assert_eq!((&general["costCents"], &general["totalTokens"]), (&json!("3"), &json!(30)));
    assert_eq!((&body["total"]["requests"], &body["total"]["unpriced"]), (&json!(3), &json!(1)));
    assert_eq!(
        (&body["start"], &body["end"]),
        (&json!("2026-12-17T00:00:00.000Z"), &json!("2027-01-16T00:00:00.000Z"))
    );
    let none = get(&world, "/admin/usage?start=2027-01-15T08:00:00Z&end=2027-01-15T08:10:00Z").await;
    assert_eq!((&none["data"][0]["requests"], &none["end"]), (&json!(0), &json!("2027-01-15T09:00:00.000Z")));

    let accepted = Sent::new(Method::GET, "/admin/usage?groupBy=model,day", "").header("accept", "text/csv");
    for sent in [accepted, Sent::new(Method::GET, "/admin/usage?groupBy=model,day&format=csv", "")] {
        let answered = world.send(sent).await;
        assert!(answered.headers["content-type"].to_str().unwrap().starts_with("text/csv"));
        let lines: Vec<&str> = answered.text.lines().collect();
        assert!(lines[0].starts_with("publicModel,day,requests,errors,inputTokens,"), "{lines:?}");
        assert!(lines[1].starts_with("general,2027-01-15,2,0,20,"), "{lines:?}");
        assert!(lines[2].starts_with("\"other, one\",2027-01-15,1,0,10,"), "{lines:?}");
    }

    let mut grpc = world.as_operator().usage;
    let dimension = proto::UsageDimension::Tag.into();
    let request = proto::AggregateUsageRequest { filter: None, group_by: vec![dimension] };
    let sums = grpc.aggregate_usage(request).await.unwrap().into_inner();
    assert_eq!(sums.rows[0].group, ["team=a"]);
    assert_eq!(sums.rows[0].totals.as_ref().unwrap().cost_nanocents, 3_000_000_000);
    assert_eq!(sums.total.unwrap().requests, 3);
}

#[tokio::test]
async fn a_summary_tells_outcomes_and_times() {
    let failed = OperationRecord { outcome: "error".to_owned(), ..record(3, 100) };
    let old = record(4, 600_000);
    let world = world_with(&[record(1, 1000), record(2, 500), failed, old]).await;
    let body = get(&world, "/admin/observability/summary").await;
    let data = &body["data"];
    assert_eq!((&data["window"], &data["requests"]), (&json!("1h"), &json!(4)));
    assert_eq!((&data["outcomes"]["error"], &data["durationMs"]["p95"]), (&json!(1), &json!(20)));
    assert_eq!((&data["models"][0]["publicModel"], &data["costCents"]), (&json!("general"), &json!("6")));
    let several = get(&world, "/admin/observability/summary?window=5m,24h").await;
    assert_eq!((&several["data"][0]["requests"], &several["data"][1]["requests"]), (&json!(3), &json!(4)));
    let mut grpc = world.as_operator().usage;
    let window = Some(prost_types::Duration { seconds: 300, nanos: 0 });
    let summary = grpc.get_summary(proto::GetSummaryRequest { window }).await.unwrap().into_inner().all.unwrap();
    assert_eq!((summary.requests, summary.outcomes["success"], summary.duration.unwrap().p50_ms), (3, 2, 20));
}

#[tokio::test]
async fn a_tail_begins_now_or_after_a_record_and_ends_with_the_gateway() {
    let (one, two, three) = (record(1, 1000), record(2, 500), record(3, 100));
    let world = world_with(std::slice::from_ref(&one)).await;
    let mut grpc = world.as_operator().usage;
    let request = proto::TailOperationsRequest::default();
    let mut from_now = grpc.tail_operations(request).await.unwrap().into_inner();
    let other = OperationRecord { public_model: "other".to_owned(), ..record(9, 50) };
    world.stores.usage.record(&[two.clone(), other]).await.unwrap();
    assert_eq!(from_now.next().await.unwrap().unwrap().id, two.id);

    let filter = proto::OperationFilter { public_model: "general".to_owned(), ..Default::default() };
    let request = proto::TailOperationsRequest { filter: Some(filter), after_operation_id: one.id.clone() };
    let mut resumed = grpc.tail_operations(request).await.unwrap().into_inner();
    assert_eq!(resumed.next().await.unwrap().unwrap().id, two.id);
    world.stores.usage.record(std::slice::from_ref(&three)).await.unwrap();
    assert_eq!(resumed.next().await.unwrap().unwrap().id, three.id);

    let path = format!("/admin/logs/tail?publicModel=general&after={}", two.id);
    let reading = world.rest(Method::GET, &path, "");
    let ending = async {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        world.control.usage.end_tails();
    };
    let (answered, ()) = tokio::join!(reading, ending);
    assert_eq!(answered.headers["content-type"], "text/event-stream");
    assert!(answered.text.starts_with(&format!("event: operation\nid: {}\ndata: {{", three.id)), "{}", answered.text);
    assert!(answered.text.contains("event: error\ndata: {"), "{}", answered.text);
    assert_eq!(resumed.next().await.unwrap().unwrap_err().code(), Code::Unavailable);
    assert!(resumed.next().await.is_none());
}
