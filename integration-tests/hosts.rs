//! Hosts that make something of their own of the chat wire, behind presets that know it: what they are sent, and what
//! clients of each contract get, whole and streamed.

use serde_json::{Value, json};

use crate::support::PROVIDER_KEY;
use crate::support::client::Answer;
use crate::world::World;

/// A deployment of the stub behind a preset.
async fn deploy(world: &World, preset: &str, upstream: &str) -> String {
    let public = format!("{preset}/{upstream}");
    world.deploy_with(&public, upstream, json!({"provider": preset})).await;
    public
}

async fn post(world: &World, path: &str, body: &Value) -> Answer {
    let bearer = format!("Bearer {}", world.key);
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    world.client.send("POST", path, &headers, body.to_string()).await
}

/// What a client of Messages reads: thinking, text, calls, stop reason, tokens in (all kinds) and out.
#[derive(Debug, Default, PartialEq)]
struct Read {
    thought: String,
    text: String,
    calls: Vec<(String, Value)>,
    stop: String,
    input: u64,
    output: u64,
}

fn usage(read: &mut Read, usage: &Value) {
    let count = |name: &str| usage[name].as_u64().unwrap_or_default();
    read.input = count("input_tokens") + count("cache_read_input_tokens") + count("cache_creation_input_tokens");
    read.output = count("output_tokens");
}

fn read_message(message: &Value) -> Read {
    let mut read = Read { stop: message["stop_reason"].as_str().unwrap().to_owned(), ..Read::default() };
    for block in message["content"].as_array().unwrap() {
        match block["type"].as_str().unwrap() {
            "thinking" => read.thought.push_str(block["thinking"].as_str().unwrap()),
            "text" => read.text.push_str(block["text"].as_str().unwrap()),
            "tool_use" => read.calls.push((block["name"].as_str().unwrap().to_owned(), block["input"].clone())),
            other => panic!("{other}"),
        }
    }
    usage(&mut read, &message["usage"]);
    read
}

async fn read_stream(answer: &Answer) -> Read {
    let mut read = Read::default();
    let mut arguments: Vec<(String, String)> = Vec::new();
    for event in answer.events().await {
        let event: Value = serde_json::from_str(&event).unwrap();
        let text = |name: &str| event["delta"][name].as_str().unwrap_or_default().to_owned();
        match event["type"].as_str().unwrap() {
            "content_block_start" if event["content_block"]["type"] == "tool_use" => {
                arguments.push((event["content_block"]["name"].as_str().unwrap().to_owned(), String::new()));
            }
            "content_block_delta" => {
                read.thought.push_str(&text("thinking"));
                read.text.push_str(&text("text"));
                if let Some((_, last)) = arguments.last_mut() {
                    last.push_str(&text("partial_json"));
                }
            }
            "message_delta" => {
                read.stop = text("stop_reason");
                usage(&mut read, &event["usage"]);
            }
            _ => {}
        }
    }
    read.calls = arguments.into_iter().map(|(name, text)| (name, serde_json::from_str(&text).unwrap())).collect();
    read
}

#[tokio::test]
async fn what_hosts_have_in_places_of_their_own_reaches_clients_of_messages() {
    let world = World::of(&[]).await;
    let rows = [
        ("minimax", "stub-think-tags", "\nThe tide is asked for.\n", "\n\nHigh water is at 6:40.", "end_turn", 21, 34),
        ("openrouter", "stub-details", "Weighing two routes.", "", "tool_use", 120, 60),
        ("mistral", "stub-parts", "Two sources agree.", "The bridge opened in 1932.", "end_turn", 300, 50),
        ("perplexity", "stub-citations", "", "High water at 6:40 [1][2].", "end_turn", 9, 8),
        ("ollama", "stub-no-ids", "", "", "tool_use", 21, 34),
        ("xai", "stub-beside", "Carry nothing.", "101 x 3 = 303.", "end_turn", 32, 209),
    ];
    for (preset, upstream, thought, text, stop, input, output) in rows {
        let model = deploy(&world, preset, upstream).await;
        let calls = match upstream {
            "stub-details" => vec![("plan_route".to_owned(), json!({"to": "Vigo"}))],
            "stub-no-ids" => {
                vec![("add".to_owned(), json!({"a": 1, "b": 2.5})), ("add".to_owned(), json!({"a": 3, "b": 4}))]
            }
            _ => Vec::new(),
        };
        let expected =
            Read { thought: thought.to_owned(), text: text.to_owned(), calls, stop: stop.to_owned(), input, output };
        let mut body = json!({"model": model, "max_tokens": 50, "messages": [{"role": "user", "content": "Hello"}]});
        let whole = post(&world, "/v1/messages", &body).await;
        assert_eq!(read_message(&whole.ok()), expected, "{preset}");
        body["stream"] = json!(true);
        let streamed = post(&world, "/v1/messages", &body).await;
        assert_eq!(read_stream(&streamed).await, expected, "{preset} streamed");
    }
}

#[tokio::test]
async fn clients_of_chat_get_what_the_host_said_untouched() {
    let world = World::of(&[]).await;
    for (preset, upstream, pointer, expected) in [
        ("perplexity", "stub-citations", "/search_results/0/title", json!("Tide tables")),
        ("mistral", "stub-parts", "/choices/0/message/content/0/type", json!("thinking")),
        ("openrouter", "stub-details", "/choices/0/message/reasoning_details/1/data", json!("b3BhcXVl")),
    ] {
        let model = deploy(&world, preset, upstream).await;
        assert_eq!(world.ask(&model).await.ok().pointer(pointer), Some(&expected), "{preset}");
        let events = world.stream(&model).await.events().await;
        assert_eq!(events.last().unwrap(), "[DONE]", "{preset}");
        assert!(events.iter().all(|event| !event.contains("up-model")), "{preset}");
    }
}

/// What the stub was sent for a request of a contract.
async fn sent(world: &World, path: &str, body: &Value) -> (Value, String) {
    world.stub.take_requests();
    let answer = post(world, path, body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let dropped = answer.header("x-unified-dropped").unwrap_or_default().to_owned();
    (world.stub.take_requests().remove(0).json(), dropped)
}

#[tokio::test]
async fn a_host_is_sent_what_it_knows_whatever_the_contract() {
    let world = World::of(&[]).await;
    let chat = |model: &str, rest: Value| {
        let mut body = json!({"model": model, "messages": [{"role": "developer", "content": "Be brief."}, {"role": "user", "content": "Hi"}]});
        for (name, value) in rest.as_object().unwrap() {
            body[name] = value.clone();
        }
        body
    };
    let model = deploy(&world, "mistral", "stub-text").await;
    let (body, dropped) = sent(
        &world,
        "/v1/chat/completions",
        &chat(&model, json!({"max_completion_tokens": 9, "seed": 4, "user": "u"})),
    )
    .await;
    assert_eq!(
        (&body["max_tokens"], &body["random_seed"], &body["messages"][0]["role"]),
        (&json!(9), &json!(4), &json!("system"))
    );
    assert!(body.get("max_completion_tokens").is_none() && body.get("user").is_none(), "{body}");
    assert_eq!(dropped, "user");

    let model = deploy(&world, "zai", "stub-text").await;
    let tools = json!([{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]);
    let asked = chat(&model, json!({"tools": tools, "tool_choice": "required", "reasoning_effort": "none"}));
    let (body, dropped) = sent(&world, "/v1/chat/completions", &asked).await;
    assert_eq!((&body["tool_choice"], &body["thinking"]), (&json!("auto"), &json!({"type": "disabled"})));
    assert_eq!(dropped, "tool_choice");

    let model = deploy(&world, "openrouter", "stub-text").await;
    let messages = json!({
        "model": model, "max_tokens": 4000, "thinking": {"type": "enabled", "budget_tokens": 2000},
        "system": [{"type": "text", "text": "Long.", "cache_control": {"type": "ephemeral"}}],
        "messages": [{"role": "user", "content": "Hi"}],
    });
    let (body, dropped) = sent(&world, "/v1/messages", &messages).await;
    assert_eq!(body["reasoning"], json!({"max_tokens": 2000}));
    assert_eq!(body["messages"][0]["content"][0]["cache_control"], json!({"type": "ephemeral"}));
    assert_eq!(dropped, "");

    let model = deploy(&world, "deepseek", "stub-text").await;
    let responses = json!({
        "model": model, "input": "Hi",
        "text": {"format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}}},
    });
    let (body, dropped) = sent(&world, "/v1/responses", &responses).await;
    assert_eq!(body["response_format"], json!({"type": "json_object"}));
    assert!(body["messages"][0]["content"].as_str().unwrap().contains("JSON Schema"), "{body}");
    assert_eq!(dropped, "response_format.json_schema");
}

#[tokio::test]
async fn errors_in_a_hosts_own_shape_are_understood() {
    let world = World::of(&[]).await;
    world.once().await;
    let model = deploy(&world, "minimax", "stub-base-resp").await;
    for answer in [world.ask(&model).await, world.stream(&model).await] {
        answer.assert_error(400, "invalid_request_error", Some("content_policy_violation"), None);
    }
    let model = deploy(&world, "mistral", "stub-detail-422").await;
    let answer = world.ask(&model).await;
    assert_eq!(answer.status, 400, "{}", answer.text());
    assert!(answer.text().contains("body.temperature: Input should be less than 1.5"), "{}", answer.text());
}

#[tokio::test]
async fn azure_is_called_with_its_key_and_a_known_model_behind_a_name_of_ones_own() {
    let world = World::of(&[]).await;
    let base = world.stub.base_url();
    let refused = world
        .admin(
            "POST",
            "/admin/deployments",
            &json!({
                "publicModel": "my/azure", "provider": "azureopenai", "upstreamModel": "stub-text",
                "catalogModel": "gpt-4.1", "credentials": {"apiKey": PROVIDER_KEY},
            }),
        )
        .await;
    assert_eq!(refused.status, 400, "{}", refused.text());
    assert!(refused.text().contains("credentials.resource"), "{}", refused.text());
    let fields = json!({"provider": "azureopenai", "catalogModel": "gpt-4.1", "credentials": {"apiKey": PROVIDER_KEY, "baseUrl": base}});
    world.deploy_with("my/azure", "stub-text", fields).await;
    world.stub.take_requests();
    assert_eq!(world.ask("my/azure").await.status, 200);
    let request = world.stub.take_requests().remove(0);
    assert_eq!((request.header("api-key"), request.header("authorization")), (Some(PROVIDER_KEY), None));
}

#[tokio::test]
async fn every_preset_is_listed_with_what_it_asks_for() {
    let world = World::of(&[]).await;
    let presets = world.configure("GET", "/admin/provider-presets", &Value::Null).await;
    let presets = presets.as_array().unwrap();
    assert!(presets.len() >= 50, "{}", presets.len());
    let find = |name: &str| presets.iter().find(|preset| preset["provider"] == name).unwrap();
    assert_eq!(find("groq")["defaultBaseUrl"], "https://api.groq.com/openai/v1");
    let required = |name: &str| -> Vec<String> {
        let fields = find(name)["credentials"].as_array().unwrap();
        let required = fields.iter().filter(|field| field["required"] == true);
        required.map(|field| field["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(required("groq"), ["apiKey"]);
    assert_eq!(required("vllm"), ["baseUrl"]);
    assert!(required("ollama").is_empty());
}
