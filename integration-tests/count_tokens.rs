//! `POST /v1/messages/count_tokens` from end to end.

use serde_json::{Value, json};

use crate::support::{Answer, MASTER_KEY, PROVIDER_KEY, TestGateway};

const PATH: &str = "/v1/messages/count_tokens";

async fn count(gateway: &TestGateway, body: &Value) -> Answer {
    let headers = [("x-api-key", MASTER_KEY), ("content-type", "application/json"), ("anthropic-beta", "b1")];
    gateway.client.send("POST", PATH, &headers, body.to_string()).await
}

fn question(model: &str) -> Value {
    json!({"model": model, "system": "be brief", "messages": [{"role": "user", "content": "Hello there"}]})
}

async fn deploy(gateway: &TestGateway, model: &str) {
    let deployment = json!({
        "publicModel": format!("my/{model}"), "provider": "anthropic", "upstreamModel": model,
        "catalogEntry": {"operations": {"text.generate": {"capabilities": {}, "maxOutputTokens": 8000}}},
        "credentials": {"apiKey": PROVIDER_KEY, "baseUrl": gateway.stub.base_url()},
    });
    gateway.create_deployment(&deployment).await;
}

#[tokio::test]
async fn a_provider_of_the_same_wire_counts() {
    let gateway = TestGateway::start().await;
    deploy(&gateway, "text").await;
    let answer = count(&gateway, &question("my/text")).await;
    assert_eq!(answer.ok(), json!({"input_tokens": 1234}));
    assert_eq!(answer.header("x-unified-estimated"), None);
    assert!(answer.header("request-id").is_some());
    let sent = gateway.stub.requests().pop().unwrap();
    assert_eq!((sent.path.as_str(), sent.header("x-api-key")), (PATH, Some(PROVIDER_KEY)));
    assert_eq!((sent.header("anthropic-beta"), sent.header("anthropic-version")), (Some("b1"), Some("2023-06-01")));
    assert_eq!(sent.json(), json!({"model": "text", "system": "be brief", "messages": question("x")["messages"]}));
    // State that was tagged here is written anew for its maker; what is not counted stays away.
    let mut tagged = question("my/text");
    let thinking = json!({"type": "thinking", "thinking": "hm", "signature": "ug1.r.s.dep_other.gAAA"});
    tagged["messages"] = json!([
        {"role": "user", "content": "Hello"}, {"role": "assistant", "content": [thinking, {"type": "text", "text": "x"}]},
        {"role": "user", "content": "go on"},
    ]);
    let answer = count(&gateway, &tagged).await;
    assert_eq!(answer.ok(), json!({"input_tokens": 1234}));
    assert_eq!(answer.header("x-unified-dropped"), Some("reasoning"));
}

#[tokio::test]
async fn others_are_estimated_and_say_so() {
    let gateway = TestGateway::start().await;
    deploy(&gateway, "nothing").await;
    for model in ["echo", "my/nothing"] {
        let answer = count(&gateway, &question(model)).await;
        let counted = answer.ok()["input_tokens"].as_u64().unwrap();
        assert!((10..30).contains(&counted), "{counted}");
        assert_eq!(answer.header("x-unified-estimated"), Some("true"), "{model}");
    }
    let mut with_image = question("echo");
    let data = "iVBORw0KGgo".repeat(50_000);
    let source = json!({"type": "base64", "media_type": "image/png", "data": data});
    with_image["messages"][0]["content"] = json!([{"type": "image", "source": source}]);
    let counted = count(&gateway, &with_image).await.ok()["input_tokens"].as_u64().unwrap();
    assert!((1_600..1_700).contains(&counted), "{counted}");
}

#[tokio::test]
async fn refusals_have_the_shape_of_the_contract() {
    let gateway = TestGateway::start().await;
    deploy(&gateway, "text_too_strange").await;
    for (body, status, kind) in [
        (question("my/text_too_strange"), 400, "invalid_request_error"),
        (question("unknown"), 404, "not_found_error"),
        (json!({"model": "echo"}), 400, "invalid_request_error"),
    ] {
        let answer = count(&gateway, &body).await;
        let json = answer.json();
        assert_eq!((answer.status, &json["type"], &json["error"]["type"]), (status, &json!("error"), &json!(kind)));
        assert_eq!(json["request_id"].as_str(), answer.header("request-id"));
        assert!(!answer.text().contains("req_Stub1"), "{}", answer.text());
    }
    let none = gateway.client.send("POST", PATH, &[("content-type", "application/json")], "{}").await;
    assert_eq!((none.status, none.json()["error"]["type"].as_str()), (401, Some("authentication_error")));
}
