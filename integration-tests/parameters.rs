//! The parameter policy: what becomes of a parameter that a deployment does not take.

use serde_json::{Value, json};

use crate::support::{Answer, PROVIDER_KEY};
use crate::world::World;

async fn world(strategy: &str) -> World {
    let world = World::of(&["stub-text"]).await;
    let settings = json!({"unsupportedParameterStrategy": strategy});
    world.configure("PUT", "/admin/router-settings", &settings).await;
    world
}

async fn deploy_gemini(world: &World, public: &str, priority: i32) {
    let entry = json!({"operations": {"text.generate": {"capabilities": {"tools": true}, "maxOutputTokens": 8000}}});
    let deployment = json!({
        "publicModel": public, "provider": "googleaistudio", "upstreamModel": "text", "catalogEntry": entry,
        "priority": priority,
        "credentials": {"apiKey": PROVIDER_KEY, "baseUrl": format!("http://{}/v1beta", world.stub.address())},
    });
    world.create_deployment(&deployment).await;
}

async fn post(world: &World, path: &str, body: &Value, strict: &str) -> Answer {
    let bearer = format!("Bearer {}", world.key);
    let headers =
        [("authorization", bearer.as_str()), ("content-type", "application/json"), ("x-unified-strict", strict)];
    world.client.send("POST", path, &headers, body.to_string()).await
}

fn ask(model: &str) -> Value {
    json!({"model": model, "messages": [{"role": "user", "content": "Hi"}], "logit_bias": {"5": 1}})
}

#[tokio::test]
async fn what_a_deployment_does_not_take_is_left_out_and_named_by_default() {
    let world = world("drop").await;
    deploy_gemini(&world, "g", 0).await;
    let answer = post(&world, "/v1/chat/completions", &ask("g"), "false").await;
    assert_eq!((answer.status, answer.header("x-unified-dropped")), (200, Some("logit_bias")));
    let answer = post(&world, "/v1/chat/completions", &ask("g"), "true").await;
    answer.assert_error(400, "invalid_request_error", None, Some("logit_bias"));
    // A deployment that takes all of it serves a strict request.
    deploy_gemini(&world, "my/text", 5).await;
    let answer = post(&world, "/v1/chat/completions", &ask("my/text"), "true").await;
    assert_eq!((answer.status, answer.header("x-unified-dropped")), (200, None));
}

#[tokio::test]
async fn under_error_such_deployments_are_passed_over_and_without_others_the_parameter_is_named() {
    let world = world("error").await;
    deploy_gemini(&world, "g", 0).await;
    let answer = post(&world, "/v1/chat/completions", &ask("g"), "false").await;
    answer.assert_error(400, "invalid_request_error", Some("unsupported_parameter"), Some("logit_bias"));
    assert!(world.stub.requests().is_empty());
    deploy_gemini(&world, "my/text", 5).await;
    post(&world, "/v1/chat/completions", &ask("my/text"), "false").await.ok();
    let seen = world.stub.take_requests();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].json()["logit_bias"], json!({"5": 1}));
    // Content, and what is ours to set, are no parameters.
    let part = json!({"type": "text", "text": "Hi", "cache_control": {"type": "ephemeral"}});
    let body = json!({"model": "g", "store": true, "messages": [{"role": "user", "content": [part]}]});
    let answer = post(&world, "/v1/chat/completions", &body, "false").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(answer.header("x-unified-dropped").is_some_and(|names| names.contains("cache_control")));
}

#[tokio::test]
async fn under_allow_fields_of_the_same_family_are_forwarded_but_no_secrets() {
    let world = world("allow").await;
    deploy_gemini(&world, "g", 0).await;
    let body = json!({"model": "my/text", "input": "Hi", "min_p": 0.5, "api_key": "sk-mine", "seed": 4});
    let answer = post(&world, "/v1/responses", &body, "false").await;
    assert_eq!((answer.status, answer.header("x-unified-dropped")), (200, Some("api_key")), "{}", answer.text());
    let sent = world.stub.take_requests()[0].json();
    assert_eq!((&sent["min_p"], &sent["seed"], &sent["api_key"]), (&json!(0.5), &json!(4), &Value::Null));
    // Gemini names its fields otherwise: there is nowhere to put it.
    let answer = post(&world, "/v1/chat/completions", &ask("g"), "false").await;
    assert_eq!((answer.status, answer.header("x-unified-dropped")), (200, Some("logit_bias")));
}
