//! What passes through the gateway untouched, and what must not pass.

use serde_json::{Value, json};

use crate::support::PROVIDER_KEY;
use crate::world::{CHAT, World, question, streamed};

const REPLY: &str = include_str!("fixtures/openai_chat/text.json");

#[tokio::test]
async fn a_request_reaches_the_provider_byte_for_byte_but_for_the_model() {
    let world = World::of(&["stub-text"]).await;
    let sent = concat!(
        r#"{ "temperature" : 1.50,"#,
        "\n",
        r#" "seed":9007199254740993, "model":"my/text", "x_new":{"deep":[1,null,"ü"]},"#,
        r#" "messages":[{"role":"user","content":"\u00fc\/ 🦀"}], "stop":null }"#
    );
    let authorization = format!("Bearer {}", world.key);
    let headers = [("authorization", authorization.as_str()), ("content-type", "application/json; charset=utf-8")];
    let answer = world.gateway.client.send("POST", CHAT, &headers, sent).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let seen = &world.stub.requests()[0];
    assert_eq!(String::from_utf8_lossy(&seen.body), sent.replace("my/text", "stub-text"));
    assert_eq!((seen.method.as_str(), seen.path.as_str()), ("POST", "/v1/chat/completions"));
}

#[tokio::test]
async fn an_answer_reaches_the_client_byte_for_byte_but_for_the_model() {
    let world = World::of(&["stub-text"]).await;
    let answer = world.ask("my/text").await;
    let (before, rest) = REPLY.split_once(r#""model": "#).expect("a model");
    let (_, after) = rest.split_once(',').expect("a member behind the model");
    assert_eq!(answer.text(), format!(r#"{before}"model": "my/text",{after}"#));
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("content-length"), Some(answer.body.len().to_string().as_str()));
}

#[tokio::test]
async fn a_streamed_request_asks_for_usage_and_is_otherwise_the_clients() {
    let world = World::of(&["stub-text"]).await;
    for (stated, expected) in [
        (None, json!({"include_usage": true})),
        (Some(Value::Null), json!({"include_usage": true})),
        (Some(json!({"include_usage": false, "x": [1]})), json!({"include_usage": true, "x": [1]})),
        (Some(json!({"include_obfuscation": false})), json!({"include_obfuscation": false, "include_usage": true})),
    ] {
        world.stub.take_requests();
        let mut request = streamed("my/text");
        request["x_new"] = json!({"deep": [1, null]});
        if let Some(stated) = stated {
            request["stream_options"] = stated;
        }
        assert_eq!(world.chat(&request).await.status, 200);
        request["model"] = json!("stub-text");
        request["stream_options"] = expected;
        assert_eq!(world.stub.requests()[0].json(), request);
    }
}

#[tokio::test]
async fn unknown_fields_of_a_stream_reach_the_client() {
    let world = World::of(&["stub-text"]).await;
    let events = world.stream("my/text").await.events().await;
    let chunks: Vec<Value> = events.iter().filter_map(|data| serde_json::from_str(data).ok()).collect();
    assert!(chunks.iter().all(|chunk| chunk["x_stub"] == json!({"region": "eu-test", "attempt": 1})));
    assert_eq!(chunks.iter().filter(|chunk| chunk["choices"][0]["delta"]["x_note"] == "kept").count(), 1);
}

#[tokio::test]
async fn nothing_is_kept_at_the_provider_and_the_client_is_told() {
    let world = World::of(&["stub-text"]).await;
    let mut request = question("my/text");
    request["store"] = json!(true);
    let answer = world.chat(&request).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("x-unified-dropped"), Some("store"));
    assert_eq!(world.stub.requests()[0].json()["store"], false);
    assert_eq!(world.ask("my/text").await.header("x-unified-dropped"), None);
}

#[tokio::test]
async fn only_listed_headers_go_up() {
    let world = World::of(&["stub-text"]).await;
    let authorization = format!("Bearer {}", world.key);
    let headers = [
        ("authorization", authorization.as_str()),
        ("content-type", "application/json"),
        ("accept-encoding", "gzip, br"),
        ("cookie", "a=b"),
        ("idempotency-key", "once-1"),
        ("openai-beta", "assistants=v2"),
        ("openai-organization", "org-client"),
        ("openai-project", "proj-client"),
        ("user-agent", "OpenAI/Python"),
        ("x-forwarded-for", "10.0.0.9"),
        ("x-private", "mine"),
        ("x-request-id", "mine-1"),
        ("x-stainless-lang", "python"),
    ];
    let answer = world.gateway.client.send("POST", CHAT, &headers, question("my/text").to_string()).await;
    assert_eq!(answer.status, 200);
    let seen = &world.stub.requests()[0];
    let mut names: Vec<&str> = seen.headers.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    let expected = [
        "accept",
        "accept-encoding",
        "authorization",
        "content-length",
        "content-type",
        "host",
        "idempotency-key",
        "openai-beta",
        "user-agent",
    ];
    assert_eq!(names, expected);
    assert_eq!(seen.header("authorization"), Some(format!("Bearer {PROVIDER_KEY}").as_str()));
    assert_eq!(seen.header("accept-encoding"), Some("identity"));
    assert_eq!(seen.header("openai-beta"), Some("assistants=v2"));
    assert_eq!(seen.header("idempotency-key"), Some("once-1"));
    assert!(seen.header("user-agent").unwrap().starts_with("unified-gateway/"));
}

#[tokio::test]
async fn headers_of_the_provider_stay_here() {
    let world = World::of(&["stub-leaky-headers"]).await;
    let whole = world.ask("my/leaky-headers").await;
    let stream = world.stream("my/leaky-headers").await;
    let names = |answer: &crate::support::Answer| {
        let mut names: Vec<String> = answer.headers.keys().map(ToString::to_string).collect();
        names.sort_unstable();
        names
    };
    assert_eq!(names(&whole), ["content-length", "content-type", "date", "x-request-id"]);
    let of_streams =
        ["cache-control", "content-type", "date", "transfer-encoding", "x-accel-buffering", "x-request-id"];
    assert_eq!(names(&stream), of_streams);
    for answer in [whole, stream] {
        assert_ne!(answer.header("x-request-id"), Some("req_StubLeaky"));
        world.assert_nothing_leaks(&answer);
    }
}
