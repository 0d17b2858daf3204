//! What only REST has, and whole walks through it.

use http::{Method, StatusCode};
use serde_json::json;

use super::support::{Sent, World};

/// The bodies of the quickstart, as an operator would paste them.
const REGISTER: &str = r#"{
    "publicModel": "general",
    "provider": "openai",
    "upstreamModel": "gpt-5.4",
    "credentials": { "apiKey": "sk-..." }
  }"#;
const ISSUE: &str = r#"{
    "name": "my-app",
    "allowedModels": ["general"]
  }"#;

#[tokio::test]
async fn the_quickstart_works_as_written() {
    let world = World::new().await;
    let resolved = world.rest(Method::POST, "/admin/deployments/resolve", REGISTER).await;
    assert_eq!(resolved.status, StatusCode::OK, "{}", resolved.body);
    let data = &resolved.body["data"];
    assert_eq!((&data["source"], &data["adapter"]), (&json!("catalog"), &json!("openai")));
    assert_eq!(data["operations"]["text.generate"]["profile"]["capabilities"]["tools"], true);
    assert!(data["pricing"]["inputCentsPerMTokens"].is_number(), "{data}");

    let created = world.rest(Method::POST, "/admin/deployments", REGISTER).await;
    assert_eq!(created.status, StatusCode::CREATED, "{}", created.body);
    let data = &created.body["data"];
    assert_eq!(data["credentialFields"], json!(["apiKey"]));
    assert!(!created.body.to_string().contains("sk-..."));
    let path = format!("/admin/deployments/{}", data["id"].as_str().unwrap());
    assert_eq!(created.headers["location"], path);
    assert_eq!(created.headers["etag"], format!("\"{}\"", data["etag"].as_str().unwrap()));

    let issued = world.rest(Method::POST, "/admin/keys", ISSUE).await;
    assert_eq!(issued.status, StatusCode::CREATED, "{}", issued.body);
    let data = &issued.body["data"];
    let key = data["key"].as_str().unwrap();
    assert!(key.starts_with("unified-") && key.starts_with(data["keyPrefix"].as_str().unwrap()));
    assert_eq!((&data["allowedModels"], &data["spendCents"]), (&json!(["general"]), &json!("0")));
    let read = world.rest(Method::GET, &format!("/admin/keys/{}", data["id"].as_str().unwrap()), "").await;
    assert!(read.body["data"]["key"].is_null());
    assert_eq!(read.headers["cache-control"], "no-store");
}

#[tokio::test]
async fn the_same_idempotency_key_creates_once() {
    let world = World::new().await;
    let send = || Sent::new(Method::POST, "/admin/keys", ISSUE).header("idempotency-key", "once");
    let first = world.send(send()).await;
    let second = world.send(send()).await;
    assert_eq!((first.status, second.status), (StatusCode::CREATED, StatusCode::OK));
    assert_eq!(first.body["data"]["id"], second.body["data"]["id"]);
    assert!(first.body["data"].get("replayed").is_none());
    assert_eq!(second.body["data"]["replayed"], true);
    assert!(second.body["data"].get("key").is_none());
    let other = Sent::new(Method::POST, "/admin/keys", r#"{"name":"other"}"#).header("idempotency-key", "once");
    assert_eq!(world.send(other).await.status, StatusCode::CONFLICT);
    let long = Sent::new(Method::POST, "/admin/keys", ISSUE).header("idempotency-key", "x".repeat(201));
    assert_eq!(world.send(long).await.body["error"]["param"], "idempotency-key");
}

#[tokio::test]
async fn null_clears_what_absent_leaves() {
    let world = World::new().await;
    let path = format!("/admin/deployments/{}", world.general.id);
    let body = r#"{"label":"blue","weight":7,"metadata":{"team":"a","rate":1.10}}"#;
    let set = world.rest(Method::PATCH, &path, body).await;
    assert_eq!((&set.body["data"]["label"], &set.body["data"]["weight"]), (&json!("blue"), &json!(7)));
    let cleared = world.rest(Method::PATCH, &path, r#"{"label":null}"#).await;
    let data = &cleared.body["data"];
    assert_eq!((&data["label"], &data["weight"], &data["metadata"]["team"]), (&json!(null), &json!(7), &json!("a")));
    let stale = Sent::new(Method::PATCH, path.clone(), r#"{"weight":1}"#)
        .header("if-match", set.headers["etag"].to_str().unwrap());
    assert_eq!(world.send(stale).await.status, StatusCode::CONFLICT);
    let current = Sent::new(Method::DELETE, path, "").header("if-match", cleared.headers["etag"].to_str().unwrap());
    let deleted = world.send(current).await;
    assert_eq!(deleted.body, json!({"data": {"id": world.general.id.to_string(), "deleted": true}}));
}

#[tokio::test]
async fn lists_page_by_offset_and_by_cursor() {
    let world = World::new().await;
    let first = world.rest(Method::GET, "/admin/deployments?limit=1", "").await;
    let pagination = &first.body["pagination"];
    assert_eq!(
        (&pagination["limit"], &pagination["offset"], &pagination["total"], &pagination["nextOffset"]),
        (&json!(1), &json!(0), &json!(2), &json!(1))
    );
    let cursor = pagination["nextCursor"].as_str().unwrap();
    let by_offset = world.rest(Method::GET, "/admin/deployments?limit=1&offset=1", "").await;
    let by_cursor = world.rest(Method::GET, &format!("/admin/deployments?limit=1&cursor={cursor}"), "").await;
    assert_eq!(by_offset.body["data"], by_cursor.body["data"]);
    assert_ne!(by_offset.body["data"], first.body["data"]);
    for last in [&by_offset, &by_cursor] {
        assert!(last.body["pagination"]["nextOffset"].is_null() && last.body["pagination"]["nextCursor"].is_null());
    }
    let refused = [
        (format!("/admin/deployments?enabled=true&cursor={cursor}"), "cursor"),
        (format!("/admin/keys?cursor={cursor}"), "cursor"),
        (format!("/admin/deployments?offset=1&cursor={cursor}"), "cursor"),
        ("/admin/deployments?limit=501".to_owned(), "limit"),
        ("/admin/deployments?limit=0".to_owned(), "limit"),
        ("/admin/deployments?enabled=yes".to_owned(), "enabled"),
        ("/admin/deployments?enabld=true".to_owned(), "enabld"),
        ("/admin/deployments?q=a&q=b".to_owned(), "q"),
    ];
    for (path, param) in refused {
        let answered = world.rest(Method::GET, &path, "").await;
        assert_eq!((answered.status, &answered.body["error"]["param"]), (StatusCode::BAD_REQUEST, &json!(param)));
    }
}

#[tokio::test]
async fn what_is_no_json_no_path_or_no_method_is_said_in_the_envelope() {
    let world = World::new().await;
    let plain = Sent { headers: Vec::new(), ..Sent::new(Method::POST, "/admin/keys", ISSUE) };
    let answered = world.send(plain).await;
    assert_eq!(answered.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert!(answered.body["error"]["message"].as_str().unwrap().contains("content-type: application/json"));

    let broken = world.rest(Method::POST, "/admin/keys", "{\n \"name\": }").await;
    assert_eq!((broken.status, &broken.body["error"]["code"]), (StatusCode::BAD_REQUEST, &json!("invalid_json")));
    assert!(broken.body["error"]["message"].as_str().unwrap().contains("line 2 column"));

    let large = format!(r#"{{"name":"{}"}}"#, "x".repeat(crate::api::rest::MAX_BODY_BYTES));
    assert_eq!(world.rest(Method::POST, "/admin/keys", &large).await.status, StatusCode::PAYLOAD_TOO_LARGE);

    for path in ["/admin", "/admin/", "/admin/log", "/admin/keys/a/b/c", "/admin/deployments/x/y"] {
        let answered = world.rest(Method::GET, path, "").await;
        assert_eq!(
            (answered.status, &answered.body["error"]["code"]),
            (StatusCode::NOT_FOUND, &json!("not_found")),
            "{path}"
        );
    }
    let unknown = Sent::new(Method::GET, "/admin/logs", "").key(None);
    assert_eq!(world.send(unknown).await.status, StatusCode::UNAUTHORIZED);

    let answered = world.rest(Method::PUT, "/admin/keys", "{}").await;
    assert_eq!(answered.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(answered.headers["allow"], "GET, HEAD, POST");
    assert_eq!(answered.body["error"]["code"], "method_not_allowed");
}

#[tokio::test]
async fn a_typo_never_makes_an_unlimited_key() {
    let world = World::new().await;
    let answered = world.rest(Method::POST, "/admin/keys", r#"{"name":"x","maxBudgetCent":5}"#).await;
    assert_eq!((answered.status, &answered.body["error"]["param"]), (StatusCode::BAD_REQUEST, &json!("maxBudgetCent")));
    let path = format!("/admin/keys/{}", world.key.id);
    let reset = world.rest(Method::PATCH, &path, r#"{"resetSpent":true}"#).await;
    assert_eq!((reset.status, &reset.body["error"]["param"]), (StatusCode::BAD_REQUEST, &json!("resetSpent")));
}

#[tokio::test]
async fn settings_and_chains_are_read_and_written() {
    let world = World::new().await;
    let settings = world.rest(Method::GET, "/admin/router-settings", "").await;
    assert_eq!(settings.body["data"]["routingStrategy"], "simple-shuffle");
    assert!(settings.body["data"]["updatedAt"].is_null());
    let body = r#"{"executionPolicies":{"text.generate":{"maxAttempts":2}}}"#;
    let changed = world.rest(Method::PUT, "/admin/router-settings", body).await;
    assert_eq!(changed.status, StatusCode::OK, "{}", changed.body);
    let policy = &changed.body["data"]["executionPolicies"]["text.generate"];
    assert_eq!((&policy["maxAttempts"], &policy["idleMs"]), (&json!(2), &json!(60_000)));

    let listed = world.rest(Method::GET, "/admin/fallbacks?primaryModel=general", "").await;
    assert_eq!(listed.body["data"][0]["fallbackModels"], json!(["backup"]));
    let none = world.rest(Method::GET, "/admin/fallbacks?primaryModel=other", "").await;
    assert_eq!((&none.body["data"], &none.body["pagination"]["total"]), (&json!([]), &json!(0)));
    let put = r#"{"primaryModel":"backup","reason":"context_window","fallbackModels":["general"]}"#;
    assert_eq!(world.rest(Method::PUT, "/admin/fallbacks", put).await.status, StatusCode::OK);
    let deleted = world.rest(Method::DELETE, "/admin/fallbacks/back%75p/context_window", "").await;
    assert_eq!(deleted.body["data"]["deleted"], true);
    assert_eq!(world.rest(Method::GET, "/admin/fallbacks", "").await.body["pagination"]["total"], 1);
}

#[tokio::test]
async fn rotation_gives_a_new_secret_and_keeps_the_old_one_for_a_while() {
    let world = World::new().await;
    let path = format!("/admin/keys/{}/rotate", world.key.id);
    let rotated = world.rest(Method::POST, &path, r#"{"gracePeriodSeconds":60}"#).await;
    assert_eq!(rotated.status, StatusCode::OK, "{}", rotated.body);
    assert_ne!(rotated.body["data"]["key"].as_str().unwrap(), world.plaintext);
    assert_eq!(rotated.body["data"]["previousSecretExpiresAt"], "2027-01-15T08:01:00.000Z");
    let bare = Sent { headers: Vec::new(), ..Sent::new(Method::POST, path, "") };
    assert_eq!(world.send(bare).await.status, StatusCode::OK);
}

#[tokio::test]
async fn presets_and_adapters_are_listed() {
    let world = World::new().await;
    let presets = world.rest(Method::GET, "/admin/provider-presets", "").await;
    let named = |name: &str| presets.body["data"].as_array().unwrap().iter().any(|preset| preset["provider"] == name);
    assert!(named("openai") && named("echo"));
    let operations = world.rest(Method::GET, "/admin/operations", "").await;
    let first = &operations.body["data"][0];
    assert!(first["adapter"].is_string() && first["operations"].is_object() && first["credentials"].is_array());
}

#[tokio::test]
async fn the_audit_trail_names_the_face_and_the_request() {
    let world = World::new().await;
    let sent = Sent::new(Method::POST, "/admin/keys", ISSUE).header("x-request-id", "req-7");
    assert_eq!(world.send(sent).await.status, StatusCode::CREATED);
    let entry = world.stores.audit.list(None, 1).await.unwrap().remove(0);
    assert_eq!(
        (entry.actor.as_str(), entry.face.as_str(), entry.request_id.as_deref()),
        ("master", "rest", Some("req-7"))
    );
}

#[tokio::test]
async fn usage_is_read_and_spending_reset_through_both_faces() {
    use crate::api::grpc::proto;
    use crate::domain::ids::OperationId;
    use crate::domain::record::{Charge, OperationRecord};
    let world = World::new().await;
    let id = world.key.id.to_string();
    let at = (1_800_000_000_000_u128) << 80;
    let record = OperationRecord {
        id: OperationId::from_uuid(uuid::Uuid::from_u128(at | 1)).to_string(),
        outcome: "success".to_owned(),
        charge: Some(Charge {
            key_id: id.clone(),
            window: "never".to_owned(),
            amount: 1_500_000_000,
            ..Charge::default()
        }),
        ..OperationRecord::default()
    };
    world.stores.usage.record(&[record]).await.unwrap();

    let path = format!("/admin/keys/{id}");
    let shown = world.rest(Method::GET, &path, "").await;
    assert_eq!(shown.body["data"]["spendCents"], "1.5");
    let listed = world.rest(Method::GET, "/admin/keys", "").await;
    assert_eq!(listed.body["data"][0]["spendCents"], "1.5");
    let usage = world.rest(Method::GET, &format!("{path}/usage"), "").await;
    assert_eq!((&usage.body["data"]["spendCents"], &usage.body["data"]["windowEnd"]), (&json!("1.5"), &json!(null)));
    let mut grpc = world.as_operator().virtual_keys;
    let request = proto::GetVirtualKeyUsageRequest { id: id.clone() };
    assert_eq!(grpc.get_virtual_key_usage(request).await.unwrap().into_inner().spend_nanocents, 1_500_000_000);

    let reset = world.rest(Method::PATCH, &path, r#"{"resetSpend":true}"#).await;
    assert_eq!((reset.status, &reset.body["data"]["spendCents"]), (StatusCode::OK, &json!("0")));
    let request = proto::ResetVirtualKeySpendRequest { id, etag: String::new() };
    assert_eq!(grpc.reset_virtual_key_spend(request).await.unwrap().into_inner().spend_nanocents, 0);
}
