//! The test call of a deployment: it says what is wrong, and nothing that is secret.

use serde_json::{Value, json};

use crate::support::{PROVIDER_KEY, TestGateway};

async fn test(gateway: &TestGateway, upstream: &str) -> Value {
    let id = gateway.deploy(upstream, upstream).await;
    gateway.configure("POST", &format!("/admin/deployments/{id}/test"), &Value::Null).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_that_works_says_so_and_what_it_counted() {
    let gateway = TestGateway::start().await;
    let sound = test(&gateway, "stub-text").await;
    assert_eq!(
        (&sound["ok"], &sound["status"], &sound["transport"]),
        (&json!(true), &json!(200), &json!("chat_completions"))
    );
    assert!(sound["inputTokens"].as_u64().unwrap() > 0 && sound["failure"].is_null(), "{sound}");
    let call = gateway.stub.requests().pop().unwrap();
    let asked: Value = serde_json::from_slice(&call.body).unwrap();
    assert_eq!(asked["max_tokens"], 16, "{asked}");
    let id = gateway.deploy_echo("own", json!({}), json!({"enabled": false})).await;
    let own = gateway.configure("POST", &format!("/admin/deployments/{id}/test"), &Value::Null).await;
    assert_eq!(own["ok"], true, "disabled ones can be tested, too: {own}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_does_not_says_why_without_secrets() {
    let gateway = TestGateway::start().await;
    for (upstream, status, failure) in [
        ("stub-401", Some(401), "configuration"),
        ("stub-403", Some(403), "configuration"),
        ("stub-404-model", Some(404), "configuration"),
        ("stub-429", Some(429), "throttle"),
        ("stub-500", Some(500), "transient"),
        ("stub-400", Some(400), "request"),
        ("stub-json-garbage", None, "transient"),
        ("stub-html-502", Some(502), "transient"),
    ] {
        let tested = test(&gateway, upstream).await;
        assert_eq!((&tested["ok"], &tested["failure"]), (&json!(false), &json!(failure)), "{upstream}: {tested}");
        if let Some(status) = status {
            assert_eq!(tested["status"], status, "{upstream}");
        }
        let message = tested["message"].as_str().unwrap();
        let address = gateway.stub.address().to_string();
        for secret in [PROVIDER_KEY, &address, "stub.example"] {
            assert!(!message.is_empty() && !message.contains(secret), "{upstream}: {message}");
        }
    }
    let calls = gateway.stub.requests().len();
    assert_eq!(calls, 8, "each was called once");
}

#[tokio::test(flavor = "multi_thread")]
async fn other_credentials_and_what_is_not_stored_can_be_tested() {
    let gateway = TestGateway::start().await;
    let id = gateway.deploy("m", "stub-text").await;
    let nowhere = json!({"credentials": {"apiKey": "sk-x", "baseUrl": "http://127.0.0.1:9/v1"}});
    let tested = gateway.configure("POST", &format!("/admin/deployments/{id}/test"), &nowhere).await;
    assert_eq!(
        (&tested["ok"], &tested["failure"], &tested["status"]),
        (&json!(false), &json!("transient"), &Value::Null)
    );
    assert!(!tested["message"].as_str().unwrap().contains("127.0.0.1"), "{tested}");
    let draft = json!({
        "publicModel": "new", "provider": "openaicompatible", "upstreamModel": "stub-text",
        "credentials": {"apiKey": PROVIDER_KEY, "baseUrl": gateway.stub.base_url()},
    });
    assert_eq!(gateway.configure("POST", "/admin/deployments/test", &draft).await["ok"], true);
    let list = gateway.configure("GET", "/admin/deployments?publicModel=new", &Value::Null).await;
    assert_eq!(list, json!([]), "nothing was saved");
    let wrong =
        gateway.admin("POST", &format!("/admin/deployments/{id}/test"), &json!({"credentials": {"apikey": "x"}})).await;
    assert_eq!(wrong.status, 400);
    let none =
        gateway.admin("POST", "/admin/deployments/01900000-0000-7000-8000-000000000000/test", &Value::Null).await;
    assert_eq!(none.status, 404);
}
