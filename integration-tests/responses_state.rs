//! Stored responses from end to end: chains over both lanes, retrieval, deletion, and whose they are.

use serde_json::{Value, json};

use crate::support::{Answer, MASTER_KEY, PROVIDER_KEY, TestGateway};
use crate::world::events;

const PATH: &str = "/v1/responses";

async fn call(gateway: &TestGateway, key: &str, method: &str, path: &str, body: &Value) -> Answer {
    let bearer = format!("Bearer {key}");
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    let text = if body.is_null() { String::new() } else { body.to_string() };
    gateway.client.send(method, path, &headers, text).await
}

async fn create(gateway: &TestGateway, body: &Value) -> Answer {
    call(gateway, MASTER_KEY, "POST", PATH, body).await
}

async fn get(gateway: &TestGateway, path: &str) -> Answer {
    call(gateway, MASTER_KEY, "GET", &format!("{PATH}/{path}"), &Value::Null).await
}

/// A gateway with the built-in model as `echo`, and the stub's fixtures of Responses in their own wire.
async fn serving(fixtures: &[&str]) -> TestGateway {
    let gateway = TestGateway::start().await;
    for fixture in fixtures {
        deploy(&gateway, fixture, fixture).await;
    }
    gateway
}

async fn deploy(gateway: &TestGateway, public: &str, fixture: &str) {
    let profile = json!({"capabilities": {"tools": true, "reasoning": true}, "maxOutputTokens": 8000,
                         "reasoning": {"kind": "openai_effort", "levels": ["low", "medium", "high"]}});
    let deployment = json!({
        "publicModel": public, "provider": "openai", "upstreamModel": fixture,
        "transportOverrides": {"text.generate": "responses"},
        "catalogEntry": {"operations": {"text.generate": profile}},
        "credentials": {"apiKey": PROVIDER_KEY, "baseUrl": gateway.stub.base_url()},
    });
    gateway.create_deployment(&deployment).await;
}

#[track_caller]
fn text_of(response: &Value) -> &str {
    let message = response["output"].as_array().unwrap().iter().find(|item| item["type"] == "message").unwrap();
    message["content"][0]["text"].as_str().unwrap()
}

#[tokio::test]
async fn three_turns_go_on_from_each_other_over_a_wire_without_state() {
    let gateway = serving(&[]).await;
    let mut previous = Value::Null;
    for (turn, text) in ["one", "two", "three"].into_iter().enumerate() {
        let body = json!({"model": "echo", "input": text, "instructions": "i", "previous_response_id": previous});
        let response = create(&gateway, &body).await.ok();
        assert_eq!((&response["store"], &response["previous_response_id"]), (&json!(true), &previous));
        assert_eq!(text_of(&response), text);
        let id = response["id"].as_str().unwrap().to_owned();
        assert_eq!(get(&gateway, &id).await.ok(), response, "what was answered is what is kept");
        let items = get(&gateway, &format!("{id}/input_items?order=asc")).await.ok();
        let data = items["data"].as_array().unwrap();
        assert_eq!(data.len(), turn * 2 + 1, "{items}");
        assert_eq!(data.last().unwrap()["content"], json!([{"type": "input_text", "text": text}]));
        assert!(data.iter().all(|item| item["role"] != "system"), "instructions are no input");
        previous = json!(id);
    }
}

#[tokio::test]
async fn the_next_turn_of_the_same_wire_gets_items_and_state_as_the_provider_made_them() {
    let gateway = serving(&["reasoning_and_tools"]).await;
    let first = create(&gateway, &json!({"model": "reasoning_and_tools", "input": "Hello"})).await.ok();
    let output = first["output"].as_array().unwrap();
    let call = output.iter().find(|item| item["type"] == "function_call").unwrap();
    let result = json!({"type": "function_call_output", "call_id": call["call_id"], "output": "42"});
    let next = json!({"model": "reasoning_and_tools", "input": [result], "previous_response_id": first["id"]});
    let answer = create(&gateway, &next).await;
    assert_eq!(answer.header("x-unified-dropped"), None);
    let response = answer.ok();
    assert_ne!(response["id"], first["id"], "the ids are ours");
    let sent = gateway.stub.requests().last().unwrap().json();
    assert_eq!((&sent["store"], sent.get("previous_response_id")), (&json!(false), None));
    let input = sent["input"].as_array().unwrap();
    assert_eq!(input.len(), output.len() + 2);
    assert_eq!(input[0]["content"], json!([{"type": "input_text", "text": "Hello"}]));
    assert_eq!(input.last().unwrap(), &result);
    for (sent, made) in input[1..].iter().zip(output) {
        for field in ["type", "encrypted_content", "arguments", "call_id", "name", "content", "summary"] {
            assert_eq!(sent.get(field), made.get(field), "{field} of {made}");
        }
        assert_eq!(sent.get("id"), None, "the provider keeps nothing, so its ids mean nothing");
    }
    assert!(input.iter().any(|item| item["encrypted_content"].is_string()), "{sent}");
    assert!(!sent.to_string().contains("ug1."), "tags of ours stay here");
}

#[tokio::test]
async fn reasoning_goes_back_to_its_maker_alone() {
    let gateway = serving(&["reasoning_and_tools", "text"]).await;
    let first = create(&gateway, &json!({"model": "reasoning_and_tools", "input": "Hello"})).await.ok();
    let next = json!({"model": "text", "input": "go on", "previous_response_id": first["id"]});
    let answer = create(&gateway, &next).await;
    assert_eq!(answer.header("x-unified-dropped"), Some("reasoning"));
    let sent = gateway.stub.requests().last().unwrap().json().to_string();
    assert!(!sent.contains("encrypted_content\":") && sent.contains("function_call"), "{sent}");
    // A wire without items gets the conversation all the same.
    let next = json!({"model": "echo", "input": "go on", "previous_response_id": first["id"]});
    assert_eq!(text_of(&create(&gateway, &next).await.ok()), "go on");
}

#[tokio::test]
async fn a_stream_is_kept_when_its_last_event_says_so() {
    let gateway = serving(&["reasoning_and_interleaved_tools"]).await;
    for model in ["echo", "reasoning_and_interleaved_tools"] {
        let answer = create(&gateway, &json!({"model": model, "input": "Hello", "stream": true})).await;
        let events: Vec<Value> =
            events(answer.body.clone()).await.iter().map(|data| serde_json::from_str(data).unwrap()).collect();
        let (first, last) = (&events[0]["response"], &events[events.len() - 1]);
        assert_eq!(last["type"], "response.completed", "{}", answer.text());
        let id = first["id"].as_str().unwrap();
        assert!(id.starts_with("resp_") && id.len() == 37, "{id}");
        let responses = events.iter().filter_map(|event| event.get("response"));
        assert!(responses.clone().all(|response| response["id"] == id && response["store"] == true));
        assert!(responses.clone().all(|response| response["model"] == model));
        let numbers: Vec<u64> = events.iter().map(|event| event["sequence_number"].as_u64().unwrap()).collect();
        assert_eq!(numbers, (0..numbers.len() as u64).collect::<Vec<_>>());
        assert_eq!(get(&gateway, id).await.ok(), last["response"]);
        let next = json!({"model": "echo", "input": "and now?", "previous_response_id": id});
        assert_eq!(text_of(&create(&gateway, &next).await.ok()), "and now?");
    }
}

#[tokio::test]
async fn what_is_not_to_be_kept_is_not() {
    let gateway = serving(&["text"]).await;
    for model in ["echo", "text"] {
        let response = create(&gateway, &json!({"model": model, "input": "Hello", "store": false})).await.ok();
        assert_eq!(response["store"], false);
        let id = response["id"].as_str().unwrap();
        get(&gateway, id).await.refused((404, "invalid_request_error", "not_found", ""));
        let next = json!({"model": model, "input": "x", "previous_response_id": id});
        let expected = (400, "invalid_request_error", "previous_response_not_found", "previous_response_id");
        create(&gateway, &next).await.refused(expected);
    }
    let unset = TestGateway::with(&[("RESPONSES_STORE_DEFAULT", "false")]).await;
    for (store, expected) in [(json!(null), false), (json!(true), true)] {
        let response = create(&unset, &json!({"model": "echo", "input": "Hello", "store": store})).await.ok();
        assert_eq!(response["store"], expected);
        let status = get(&unset, response["id"].as_str().unwrap()).await.status;
        assert_eq!(status, if expected { 200 } else { 404 });
    }
}

#[tokio::test]
async fn responses_belong_to_the_key_that_made_them() {
    let gateway = serving(&[]).await;
    let (_, own) = gateway.create_key(&json!({"name": "own"})).await;
    let (_, other) = gateway.create_key(&json!({"name": "other"})).await;
    let made = call(&gateway, &own, "POST", PATH, &json!({"model": "echo", "input": "Hello"})).await.ok();
    let path = format!("{PATH}/{}", made["id"].as_str().unwrap());
    let items = format!("{path}/input_items");
    for key in [other.as_str(), MASTER_KEY] {
        for (method, path) in [("GET", &path), ("GET", &items), ("DELETE", &path)] {
            let refused = call(&gateway, key, method, path, &Value::Null).await;
            let message = refused.refused((404, "invalid_request_error", "not_found", ""));
            assert_eq!(message, format!("Response with id '{}' not found.", made["id"].as_str().unwrap()));
        }
        let next = json!({"model": "echo", "input": "x", "previous_response_id": made["id"]});
        let expected = (400, "invalid_request_error", "previous_response_not_found", "previous_response_id");
        call(&gateway, key, "POST", PATH, &next).await.refused(expected);
    }
    let none = call(&gateway, "unified-nobody", "GET", &path, &Value::Null).await;
    none.refused((401, "authentication_error", "invalid_api_key", ""));
    assert_eq!(call(&gateway, &own, "GET", &path, &Value::Null).await.ok(), made);
    let deleted = call(&gateway, &own, "DELETE", &path, &Value::Null).await.ok();
    assert_eq!(deleted, json!({"id": made["id"], "object": "response", "deleted": true}));
    for (method, path) in [("GET", &path), ("GET", &items), ("DELETE", &path)] {
        assert_eq!(call(&gateway, &own, method, path, &Value::Null).await.status, 404, "{method} {path}");
    }
}

#[tokio::test]
async fn input_items_come_in_pages() {
    let gateway = serving(&[]).await;
    let input: Vec<Value> = (0..25).map(|n| json!({"role": "user", "content": n.to_string()})).collect();
    let made = create(&gateway, &json!({"model": "echo", "input": input})).await.ok();
    let id = made["id"].as_str().unwrap();
    let page = get(&gateway, &format!("{id}/input_items")).await.ok();
    assert_eq!((page["data"].as_array().unwrap().len(), &page["has_more"]), (20, &json!(true)));
    assert_eq!(page["data"][0]["content"][0]["text"], "24", "the last comes first");
    let after = page["last_id"].as_str().unwrap();
    let rest =
        get(&gateway, &format!("{id}/input_items?after={after}&include[]=message.input_image.image_url")).await.ok();
    assert_eq!((rest["data"].as_array().unwrap().len(), &rest["has_more"]), (5, &json!(false)));
    assert_eq!(rest["first_id"], rest["data"][0]["id"]);
    for (query, param) in [("limit=0", "limit"), ("limit=101", "limit"), ("order=up", "order"), ("after=x", "after")] {
        let refused = get(&gateway, &format!("{id}/input_items?{query}")).await;
        refused.refused((400, "invalid_request_error", "", param));
    }
}

#[tokio::test]
async fn what_is_not_there_is_refused_by_name() {
    let gateway = serving(&[]).await;
    for (field, value) in [("background", json!(true)), ("conversation", json!("conv_1"))] {
        let refused = create(&gateway, &json!({"model": "echo", "input": "x", field: value})).await;
        refused.refused((400, "invalid_request_error", "unsupported_parameter", field));
    }
    for path in ["compact", "input_tokens", "resp_1/cancel"] {
        let refused = call(&gateway, MASTER_KEY, "POST", &format!("{PATH}/{path}"), &json!({})).await;
        let message = refused.refused((404, "invalid_request_error", "not_found", ""));
        assert!(message.contains("is not supported"), "{message}");
    }
    let made = create(&gateway, &json!({"model": "echo", "input": "Hello"})).await.ok();
    let id = made["id"].as_str().unwrap();
    get(&gateway, &format!("{id}?stream=true")).await.refused((
        400,
        "invalid_request_error",
        "unsupported_parameter",
        "stream",
    ));
    assert_eq!(get(&gateway, &format!("{id}?stream=false&include[]=x")).await.status, 200);
    let reference = json!({"model": "echo", "input": [{"type": "item_reference", "id": "msg_x"}]});
    let expected = (400, "invalid_request_error", "previous_response_not_found", "input[0].id");
    create(&gateway, &reference).await.refused(expected);
    let answered = made["output"][0]["id"].as_str().unwrap();
    let reference = json!({"model": "echo", "input": [{"id": answered}, {"role": "user", "content": "yes"}]});
    assert_eq!(text_of(&create(&gateway, &reference).await.ok()), "yes");
}
