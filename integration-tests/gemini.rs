//! Gemini behind the gateway, through all three contracts.

use serde_json::{Value, json};

use crate::support::{Answer, PROVIDER_KEY};
use crate::world::World;

const SAID: &str = "Grüße \"x\" 🌍";
const STREAMED: &str = "Grüße, \"world\" \\ 🌍\n";
const SIGNATURE: &str = "SigA+/==";
const CONTRACTS: [&str; 3] = ["/v1/chat/completions", "/v1/responses", "/v1/messages"];

/// A gateway with a deployment for each of these fixtures, called `g/<fixture>`.
async fn world(fixtures: &[&str]) -> World {
    let world = World::of(&[]).await;
    let reasoning = json!({"kind": "gemini_level", "levels": ["low", "medium", "high"]});
    let entry = json!({"operations": {"text.generate": {
        "capabilities": {"tools": true, "vision": true}, "reasoning": reasoning, "maxOutputTokens": 8000}}});
    for fixture in fixtures {
        let deployment = json!({
            "publicModel": format!("g/{fixture}"),
            "provider": "googleaistudio",
            "upstreamModel": fixture,
            "catalogEntry": entry,
            "credentials": {"apiKey": PROVIDER_KEY, "baseUrl": format!("http://{}/v1beta", world.stub.address())},
        });
        world.create_deployment(&deployment).await;
    }
    world.once().await;
    world
}

async fn post(world: &World, path: &str, body: &Value) -> Answer {
    let bearer = format!("Bearer {}", world.key);
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    world.client.send("POST", path, &headers, body.to_string()).await
}

fn request(path: &str, model: &str, history: &[Value], is_stream: bool) -> Value {
    let mut turns = vec![json!({"role": "user", "content": "Hello"})];
    turns.extend(history.iter().cloned());
    let name = if path == "/v1/responses" { "input" } else { "messages" };
    let mut body = json!({"model": model, "stream": is_stream});
    body[name] = json!(turns);
    if path == "/v1/messages" {
        body["max_tokens"] = json!(100);
    }
    if path == "/v1/chat/completions" && is_stream {
        body["stream_options"] = json!({"include_usage": true});
    }
    body
}

/// The events of a stream, those that are JSON.
fn events(answer: &Answer) -> Vec<Value> {
    let text = answer.text();
    let data = text.lines().filter_map(|line| line.strip_prefix("data: "));
    data.filter_map(|data| serde_json::from_str(data).ok()).collect()
}

#[tokio::test]
async fn a_whole_answer_is_read_in_every_contract() {
    let world = world(&["text"]).await;
    for (path, text, usage) in [
        (CONTRACTS[0], "/choices/0/message/content", [("/usage/prompt_tokens", 40), ("/usage/completion_tokens", 16)]),
        (CONTRACTS[1], "/output/0/content/0/text", [("/usage/input_tokens", 40), ("/usage/output_tokens", 16)]),
        (CONTRACTS[2], "/content/0/text", [("/usage/input_tokens", 10), ("/usage/output_tokens", 16)]),
    ] {
        world.stub.take_requests();
        let answer = post(&world, path, &request(path, "g/text", &[], false)).await.ok();
        assert_eq!(answer.pointer(text), Some(&json!(SAID)), "{answer}");
        assert_eq!(answer["model"], "g/text");
        for (place, count) in usage {
            assert_eq!(answer.pointer(place), Some(&json!(count)), "{path} {place} {answer}");
        }
        let seen = &world.stub.requests()[0];
        assert_eq!(seen.path, "/v1beta/models/text:generateContent");
        assert_eq!(seen.header("x-goog-api-key"), Some(PROVIDER_KEY));
        assert_eq!(seen.header("authorization"), None);
        let turns = json!([{"role": "user", "parts": [{"text": "Hello"}]}]);
        assert_eq!(seen.json()["contents"], turns);
    }
}

#[tokio::test]
async fn a_stream_is_read_in_every_contract() {
    let world = world(&["text"]).await;
    for (path, kind, piece, last) in [
        (CONTRACTS[0], "", "/choices/0/delta/content", "data: [DONE]"),
        (CONTRACTS[1], "response.output_text.delta", "/delta", "event: response.completed"),
        (CONTRACTS[2], "content_block_delta", "/delta/text", "event: message_stop"),
    ] {
        world.stub.take_requests();
        let answer = post(&world, path, &request(path, "g/text", &[], true)).await;
        assert_eq!((answer.status, answer.header("content-type")), (200, Some("text/event-stream")));
        let events = events(&answer);
        let of_kind = events.iter().filter(|event| event["type"].as_str().unwrap_or_default() == kind);
        let text: String = of_kind.filter_map(|event| event.pointer(piece)?.as_str()).collect();
        assert_eq!(text, STREAMED, "{path}");
        assert!(answer.text().contains(last), "{path}");
        assert_eq!(world.stub.requests()[0].path, "/v1beta/models/text:streamGenerateContent?alt=sse");
    }
}

/// What the assistant said, as a client would send it back, and the results of both of its calls.
fn loop_of(path: &str, answer: &Value) -> Vec<Value> {
    match path {
        "/v1/chat/completions" => {
            let message = answer["choices"][0]["message"].clone();
            let calls = message["tool_calls"].as_array().unwrap().clone();
            let results = calls.iter().map(|call| json!({"role": "tool", "tool_call_id": call["id"], "content": "42"}));
            let results: Vec<Value> = results.collect();
            [vec![message], results].concat()
        }
        "/v1/responses" => {
            let items = answer["output"].as_array().unwrap().clone();
            let calls = items.iter().filter(|item| item["type"] == "function_call");
            let results =
                calls.map(|call| json!({"type": "function_call_output", "call_id": call["call_id"], "output": "42"}));
            let results: Vec<Value> = results.collect();
            [items, results].concat()
        }
        _ => {
            let blocks = answer["content"].as_array().unwrap();
            let calls = blocks.iter().filter(|block| block["type"] == "tool_use");
            let results = calls.map(|call| json!({"type": "tool_result", "tool_use_id": call["id"], "content": "42"}));
            let results: Vec<Value> = results.collect();
            vec![json!({"role": "assistant", "content": blocks}), json!({"role": "user", "content": results})]
        }
    }
}

/// The message of a stream in Chat Completions, as its client puts it together.
fn whole_message(answer: &Answer) -> Value {
    let mut calls: Vec<Value> = Vec::new();
    for event in events(answer) {
        for piece in event["choices"][0]["delta"]["tool_calls"].as_array().into_iter().flatten() {
            let index = usize::try_from(piece["index"].as_u64().unwrap()).unwrap();
            if index == calls.len() {
                calls.push(piece.clone());
            } else {
                let known = calls[index]["function"]["arguments"].as_str().unwrap().to_owned();
                let more = piece["function"]["arguments"].as_str().unwrap();
                calls[index]["function"]["arguments"] = json!(known + more);
            }
        }
    }
    json!({"choices": [{"message": {"role": "assistant", "content": null, "tool_calls": calls}}]})
}

#[tokio::test]
async fn a_tool_loop_takes_its_signature_back_to_the_call_it_came_with() {
    let world = world(&["parallel_tools"]).await;
    for (path, is_stream) in [(CONTRACTS[0], false), (CONTRACTS[0], true), (CONTRACTS[1], false), (CONTRACTS[2], false)]
    {
        let first = post(&world, path, &request(path, "g/parallel_tools", &[], is_stream)).await;
        let first = if is_stream { whole_message(&first) } else { first.ok() };
        let history = loop_of(path, &first);
        world.stub.take_requests();
        let second = post(&world, path, &request(path, "g/parallel_tools", &history, false)).await;
        second.ok();
        assert_eq!(second.header("x-unified-dropped"), None, "{path}");
        let sent = world.stub.requests()[0].json();
        let calls = json!([
            {"functionCall": {"id": "abc123", "name": "get_weather", "args": {"city": "Zürich", "n": 1.5}},
                "thoughtSignature": SIGNATURE},
            {"functionCall": {"id": "abc124", "name": "get_time", "args": {}}},
        ]);
        assert_eq!(sent["contents"][1], json!({"role": "model", "parts": calls}), "{path}");
        let result =
            |id: &str, name: &str| json!({"functionResponse": {"id": id, "name": name, "response": {"output": "42"}}});
        let results = json!([result("abc123", "get_weather"), result("abc124", "get_time")]);
        assert_eq!(sent["contents"][2], json!({"role": "user", "parts": results}), "{path}");
        let text = sent.to_string();
        assert!(!text.contains("ug1.") && !text.contains("__thought__"), "{text}");
    }
}

#[tokio::test]
async fn errors_are_judged_and_told_in_the_words_of_each_contract() {
    for (fixture, status, kind, code) in [
        ("error_400_api_key", 502, "server_error", "upstream_error"),
        ("error_404_model", 502, "server_error", "upstream_error"),
        ("unknown", 502, "server_error", "upstream_error"),
        ("error_503_overloaded", 502, "server_error", "upstream_error"),
        ("error_400_tokens", 400, "invalid_request_error", "context_length_exceeded"),
        ("error_400_schema", 400, "invalid_request_error", ""),
        ("error_429_quota", 429, "rate_limit_error", "rate_limit_exceeded"),
    ] {
        for path in CONTRACTS {
            for is_stream in [false, true] {
                // A gateway each: what one request finds out keeps the next from being called.
                let world = world(&[fixture]).await;
                let model = format!("g/{fixture}");
                let answer = post(&world, path, &request(path, &model, &[], is_stream)).await;
                assert_eq!(answer.status, status, "{fixture} {path} {}", answer.text());
                let error = &answer.json()["error"];
                if path != "/v1/messages" {
                    assert_eq!((&error["type"], error["code"].as_str().unwrap_or_default()), (&json!(kind), code));
                }
                assert!(!answer.text().contains("generativelanguage") && !answer.text().contains("v1beta"));
                if fixture == "error_429_quota" {
                    assert_eq!(answer.header("retry-after"), Some("38"));
                }
            }
        }
    }
}

#[tokio::test]
async fn a_stream_that_breaks_is_never_a_success() {
    let world = world(&["bad_error_event", "bad_no_terminal", "bad_malformed"]).await;
    for fixture in ["bad_error_event", "bad_no_terminal", "bad_malformed"] {
        for (path, told, never) in [
            (CONTRACTS[0], "data: {\"error\":{", "[DONE]"),
            (CONTRACTS[1], "event: response.failed", "response.completed"),
            (CONTRACTS[2], "event: error", "message_stop"),
        ] {
            let answer = post(&world, path, &request(path, &format!("g/{fixture}"), &[], true)).await;
            let text = answer.text();
            assert!(text.contains("half") && text.contains(told) && !text.contains(never), "{fixture} {path} {text}");
        }
    }
}

#[tokio::test]
async fn blocked_prompts_are_filtered_answers() {
    let world = world(&["prompt_blocked"]).await;
    for (path, place, word) in [
        (CONTRACTS[0], "/choices/0/finish_reason", "content_filter"),
        (CONTRACTS[1], "/incomplete_details/reason", "content_filter"),
        (CONTRACTS[2], "/stop_reason", "refusal"),
    ] {
        let answer = post(&world, path, &request(path, "g/prompt_blocked", &[], false)).await.ok();
        assert_eq!(answer.pointer(place), Some(&json!(word)), "{answer}");
    }
}

#[tokio::test]
async fn what_gemini_has_no_place_for_is_named_or_refused() {
    let world = world(&["text"]).await;
    let mut body = request(CONTRACTS[0], "g/text", &[], false);
    body["logit_bias"] = json!({"1": 2});
    body["seed"] = json!(7);
    let answer = post(&world, CONTRACTS[0], &body).await;
    assert_eq!(answer.header("x-unified-dropped"), Some("logit_bias"));
    assert_eq!(world.stub.requests()[0].json()["generationConfig"], json!({"seed": 7}));
    let bearer = format!("Bearer {}", world.key);
    let headers =
        [("authorization", bearer.as_str()), ("content-type", "application/json"), ("x-unified-strict", "true")];
    let strict = world.client.send("POST", CONTRACTS[0], &headers, body.to_string()).await;
    assert_eq!((strict.status, strict.json()["error"]["param"].as_str()), (400, Some("logit_bias")));
}
