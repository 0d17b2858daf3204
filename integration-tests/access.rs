//! Who may call what, and where a key may stand.

use serde_json::{Value, json};

use crate::support::{Answer, MASTER_KEY, TestGateway, chat};
use crate::world::{CHAT, World};

const UNAUTHENTICATED: (u16, &str, &str, &str) = (401, "authentication_error", "invalid_api_key", "");

async fn ask_with(gateway: &TestGateway, headers: &[(&str, &str)]) -> Answer {
    let mut all = vec![("content-type", "application/json")];
    all.extend_from_slice(headers);
    gateway.client.send("POST", CHAT, &all, chat("my/text").to_string()).await
}

#[tokio::test]
async fn no_answer_tells_why_a_key_is_not_taken() {
    let world = World::of(&["stub-text"]).await;
    let (disabled, disabled_key) = world.create_key(&json!({"name": "disabled"})).await;
    let (deleted, deleted_key) = world.create_key(&json!({"name": "deleted"})).await;
    for key in [&disabled_key, &deleted_key] {
        assert_eq!(world.client.chat(key, &chat("my/text")).await.status, 200);
    }
    world.configure("PATCH", &format!("/admin/keys/{disabled}"), &json!({"enabled": false})).await;
    world.configure("DELETE", &format!("/admin/keys/{deleted}"), &Value::Null).await;
    let missing = ask_with(&world, &[]).await;
    missing.refused(UNAUTHENTICATED);
    for key in [disabled_key.as_str(), &deleted_key, "sk-foreign", "unified-nonsense", ""] {
        let answer = world.client.chat(key, &chat("my/text")).await;
        answer.refused(UNAUTHENTICATED);
        assert_eq!(answer.body, missing.body);
    }
    assert_eq!(world.stub.requests().len(), 2);
}

#[tokio::test]
async fn a_key_may_stand_in_three_headers_and_foreign_ones_are_ignored() {
    let world = World::of(&["stub-text"]).await;
    let bearer = format!("Bearer {}", world.key);
    for headers in [
        vec![("authorization", bearer.as_str())],
        vec![("x-api-key", world.key.as_str())],
        vec![("api-key", world.key.as_str())],
        vec![("authorization", "Bearer sk-foreign"), ("x-api-key", world.key.as_str())],
        vec![("authorization", bearer.as_str()), ("api-key", world.key.as_str())],
    ] {
        assert_eq!(ask_with(&world, &headers).await.status, 200, "{headers:?}");
    }
    let (_, other) = world.create_key(&json!({"name": "other"})).await;
    for second in [other.as_str(), MASTER_KEY] {
        let answer = ask_with(&world, &[("authorization", bearer.as_str()), ("x-api-key", second)]).await;
        answer.refused((400, "invalid_request_error", "", ""));
    }
    assert_eq!(world.stub.requests().len(), 5);
}

#[tokio::test]
async fn a_key_in_the_query_is_refused_even_beside_a_good_one() {
    let world = World::of(&["stub-text"]).await;
    for query in [format!("foo={}", world.key), "api_key=x".to_owned(), "key=x".to_owned()] {
        let answer = world.client.get(&format!("/v1/models?{query}"), Some(&world.key)).await;
        answer.refused((400, "invalid_request_error", "", ""));
        assert!(!answer.text().contains(&world.key));
    }
}

#[tokio::test]
async fn a_scoped_key_sees_and_calls_its_models_alone() {
    let world = World::of(&["stub-text", "stub-n2"]).await;
    let (_, scoped) = world.create_key(&json!({"name": "scoped", "allowedModels": ["my/text"]})).await;
    assert_eq!(world.client.chat(&scoped, &chat("my/text")).await.status, 200);
    for model in ["my/n2", "my/nowhere"] {
        let answer = world.client.chat(&scoped, &chat(model)).await;
        answer.refused((403, "invalid_request_error", "model_not_allowed", "model"));
    }
    world.ask("my/nowhere").await.refused((404, "invalid_request_error", "model_not_found", "model"));
    assert_eq!(world.stub.requests().len(), 1);

    let ids = |list: &Value| -> Vec<String> {
        list["data"].as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(ids(&world.client.get("/v1/models", Some(&scoped)).await.ok()), ["my/text"]);
    let mut all = ids(&world.client.get("/v1/models", Some(&world.key)).await.ok());
    all.sort_unstable();
    assert_eq!(all, ["echo", "my/n2", "my/text"]);
    assert_eq!(world.client.get("/v1/models/my/text", Some(&scoped)).await.ok()["id"], "my/text");
    let hidden = world.client.get("/v1/models/my/n2", Some(&scoped)).await;
    hidden.refused((404, "invalid_request_error", "model_not_found", "model"));
    // By default the list is open; a key that is shown must be right all the same.
    assert_eq!(ids(&world.client.get("/v1/models", None).await.ok()).len(), 3);
    world.client.get("/v1/models", Some("sk-foreign")).await.refused(UNAUTHENTICATED);
}

#[tokio::test]
async fn a_rotated_key_lives_on_for_its_grace_alone() {
    let world = World::of(&["stub-text"]).await;
    let (id, first) = world.create_key(&json!({"name": "rotated"})).await;
    let path = format!("/admin/keys/{id}/rotate");
    let second = world.configure("POST", &path, &json!({"gracePeriodSeconds": 600})).await;
    let second = second["key"].as_str().unwrap();
    for key in [first.as_str(), second] {
        assert_eq!(world.client.chat(key, &chat("my/text")).await.status, 200);
    }
    let third = world.configure("POST", &path, &json!({"gracePeriodSeconds": 0})).await;
    assert_eq!(world.client.chat(third["key"].as_str().unwrap(), &chat("my/text")).await.status, 200);
    world.client.chat(second, &chat("my/text")).await.refused(UNAUTHENTICATED);
}

#[tokio::test]
async fn a_request_id_is_the_clients_where_it_can_be() {
    let world = World::of(&[]).await;
    let echoed = async |id: &str| {
        let answer = world.client.send("GET", "/v1/models", &[("x-request-id", id)], "").await;
        answer.header("x-request-id").unwrap().to_owned()
    };
    assert_eq!(echoed("mine-1").await, "mine-1");
    let made = echoed("two words").await;
    assert!(made.starts_with("req_") && made.len() == 36, "{made}");
    assert_ne!(echoed(&"x".repeat(201)).await, made);
}
