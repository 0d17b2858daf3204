//! Embeddings from end to end: every wire, both formats, batches above a provider's bound, and the frame that they share with
//! text: keys, limits, records, retries.

use serde_json::{Value, json};

use crate::support::Answer;
use crate::world::World;

const PATH: &str = "/v1/embeddings";

async fn embed(world: &World, body: &Value) -> Answer {
    world.post_as(PATH, &world.key, body).await
}

#[tokio::test]
async fn vectors_come_in_the_clients_format_from_every_wire() {
    let world = World::of(&[]).await;
    let embed_v4 = json!({"provider": "cohere"});
    let gemini = json!({"provider": "googleaistudio", "credentials":
        {"apiKey": "sk-stub", "baseUrl": format!("http://{}", world.stub.address())}});
    for (public, upstream, fields) in [
        ("plain", "stub-embed", json!({})),
        ("known", "text-embedding-3-small", json!({"provider": "openai"})),
        ("numbers", "stub-embed-numbers", json!({})),
        ("backwards", "stub-embed-reversed", json!({"provider": "vllm"})),
        ("mistral", "mistral-embed", json!({"provider": "mistral"})),
        ("voyage", "voyage-3.5", json!({"provider": "voyage"})),
        ("jina", "jina-embeddings-v4", json!({"provider": "jina"})),
        ("ollama", "nomic-embed-text", json!({"provider": "ollama"})),
        ("cohere", "embed-v4.0", embed_v4),
        ("gemini", "gemini-embedding-001", gemini),
    ] {
        world.deploy_with(public, upstream, fields).await;
        let body = json!({"model": public, "input": ["four", "seventeen letters"]});
        let answer = embed(&world, &body).await.ok();
        assert_eq!(answer["model"], public);
        let vectors: Vec<&Value> = answer["data"].as_array().unwrap().iter().map(|item| &item["embedding"]).collect();
        let numbers =
            |index: usize| vectors[index].as_array().unwrap().iter().map(|n| n.as_f64().unwrap()).collect::<Vec<_>>();
        let by_index = |wanted: u64| {
            let place = answer["data"].as_array().unwrap().iter().position(|item| item["index"] == wanted).unwrap();
            numbers(place)
        };
        assert_eq!((by_index(0), by_index(1)), (vec![4.0, 0.5, -0.25], vec![17.0, 0.5, -0.25]), "{public}");
        assert!(answer["usage"]["prompt_tokens"].as_u64().unwrap() > 0, "{public}");
        let body = json!({"model": public, "input": "four", "encoding_format": "base64"});
        let answer = embed(&world, &body).await.ok();
        assert_eq!(answer["data"][0]["embedding"], "AACAQAAAAD8AAIC+", "{public}");
    }
    let paths: Vec<String> = world.stub.requests().into_iter().map(|request| request.path).collect();
    for path in ["/v1/embeddings", "/v2/embed", "/v1beta/models/gemini-embedding-001:batchEmbedContents"] {
        assert!(paths.iter().any(|sent| sent == path), "{path}: {paths:?}");
    }
}

#[tokio::test]
async fn a_batch_above_the_providers_bound_is_split_and_joined_in_order() {
    let world = World::of(&[]).await;
    world.deploy_with("cohere", "embed-v4.0", json!({"provider": "cohere"})).await;
    let inputs: Vec<String> = (1..=200).map(|length| "x".repeat(length)).collect();
    let answer = embed(&world, &json!({"model": "cohere", "input": inputs})).await.ok();
    let lengths: Vec<f64> =
        answer["data"].as_array().unwrap().iter().map(|item| item["embedding"][0].as_f64().unwrap()).collect();
    assert_eq!(lengths, (1..=200).map(f64::from).collect::<Vec<_>>());
    assert_eq!(answer["usage"], json!({"prompt_tokens": 600, "total_tokens": 600}));
    assert_eq!(world.stub.requests().len(), 3);
}

#[tokio::test]
async fn what_a_model_is_known_not_to_do_reaches_no_provider() {
    let world = World::of(&[]).await;
    world.deploy_with("small", "text-embedding-3-small", json!({"provider": "openai"})).await;
    world.deploy_with("ada", "text-embedding-ada-002", json!({"provider": "openai"})).await;
    world.deploy_with("gemini", "gemini-embedding-001", json!({"provider": "googleaistudio"})).await;
    for (model, field, value, param) in [
        ("small", "dimensions", json!(4_000), "dimensions"),
        ("ada", "dimensions", json!(512), "dimensions"),
        ("gemini", "input", json!([[1, 2, 3]]), "input"),
    ] {
        let mut body = json!({"model": model, "input": "x"});
        body[field] = value;
        let answer = embed(&world, &body).await;
        answer.assert_error(400, "invalid_request_error", Some("unsupported_parameter"), Some(param));
    }
    let answer = embed(&world, &json!({"model": "small", "input": [[1, 2], [3]], "dimensions": 8})).await.ok();
    assert_eq!(answer["data"][0]["embedding"][0], 2.0);
    assert_eq!(world.stub.requests().len(), 1);
    // A chat model has no vectors, and the other way round.
    let answer = world.ask("small").await;
    answer.assert_error(400, "invalid_request_error", Some("unsupported_model_capability"), Some("model"));
}

#[tokio::test]
async fn tokens_go_to_whoever_takes_them_and_are_refused_before_any_call() {
    let world = World::of(&[]).await;
    // Those who take text alone come first, and are passed over without a call.
    world.deploy_with("vectors", "embed-v4.0", json!({"provider": "cohere", "priority": 2})).await;
    world.deploy_with("vectors", "voyage-3.5", json!({"provider": "voyage", "priority": 1})).await;
    world.deploy_with("vectors", "text-embedding-3-small", json!({"provider": "openai", "priority": 0})).await;
    let tokens = json!({"model": "vectors", "input": [[1, 2, 3], [4]]});
    let answer = embed(&world, &tokens).await.ok();
    assert_eq!(answer["data"][0]["embedding"][0], 3.0);
    let sent = world.stub.requests();
    assert_eq!((sent.len(), sent[0].model.as_str()), (1, "text-embedding-3-small"));
    embed(&world, &json!({"model": "vectors", "input": "four"})).await.ok();
    assert_eq!(world.stub.requests().pop().unwrap().model, "embed-v4.0");
    // Nobody takes them: nobody is called, also where a deployment's own profile says so.
    let entry = json!({"operations": {"embedding.create": {"values": {"input": ["text"]}, "mostInputs": 2}}});
    world.deploy_with("own", "stub-embed", json!({"provider": "openai", "catalogEntry": entry})).await;
    world.deploy_with("texts", "embed-v4.0", json!({"provider": "cohere"})).await;
    let before = world.stub.requests().len();
    for model in ["own", "texts"] {
        for input in [json!([1, 2]), json!([[1], [2]])] {
            let answer = embed(&world, &json!({"model": model, "input": input})).await;
            answer.assert_error(400, "invalid_request_error", Some("unsupported_parameter"), Some("input"));
        }
    }
    assert_eq!(world.stub.requests().len(), before, "a provider was called");
    let answer = embed(&world, &json!({"model": "own", "input": ["a", "bb", "ccc", "dddd", "eeeee"]})).await.ok();
    assert_eq!(answer["data"][4]["embedding"][0], 5.0);
    assert_eq!(world.stub.requests().len(), before + 3, "five inputs are three calls of two at most");
}

#[tokio::test]
async fn keys_limits_and_records_are_those_of_text() {
    let world = World::of(&[]).await;
    let pricing = json!({"pricing": {"inputCentsPerMTokens": "100000"}});
    world.deploy_with("priced", "stub-embed", pricing).await;
    world.deploy_with("unpriced", "stub-embed", json!({})).await;
    let (id, key) =
        world.create_key(&json!({"name": "a", "allowedModels": ["priced"], "maxBudgetCents": "100", "rpm": 3})).await;
    let body = json!({"model": "priced", "input": ["one", "two"]});
    let answer = world.post_as(PATH, &key, &body).await;
    answer.ok();
    assert_eq!(answer.header("x-ratelimit-remaining-requests"), Some("2"));
    let usage = world.configure("GET", &format!("/admin/keys/{id}/usage"), &Value::Null).await;
    // Ten tokens at a tenth of a cent.
    assert_eq!(usage["spendCents"], "1");
    let answer = world.post_as(PATH, &key, &json!({"model": "unpriced", "input": "x"})).await;
    answer.assert_error(403, "invalid_request_error", Some("model_not_allowed"), Some("model"));
    let (_, budgeted) = world.create_key(&json!({"name": "b", "maxBudgetCents": "100"})).await;
    let answer = world.post_as(PATH, &budgeted, &json!({"model": "unpriced", "input": "x"})).await;
    answer.assert_error(400, "invalid_request_error", None, Some("model"));
    for expected in [200, 200, 429] {
        assert_eq!(world.post_as(PATH, &key, &body).await.status, expected);
    }
}

#[tokio::test]
async fn failures_are_retried_and_fall_back_as_those_of_text_do() {
    let world = World::of(&[]).await;
    world.deploy_with("shaky", "stub-503", json!({"weight": 1})).await;
    world.deploy("steady", "stub-embed").await;
    world.set_chain("shaky", "general", &["steady"]).await;
    let answer = embed(&world, &json!({"model": "shaky", "input": "four"})).await.ok();
    assert_eq!((&answer["model"], &answer["data"][0]["embedding"][0]), (&json!("shaky"), &json!(4.0)));
    world.deploy("refused", "stub-400").await;
    let answer = embed(&world, &json!({"model": "refused", "input": "four"})).await;
    answer.assert_error(400, "invalid_request_error", None, Some("temperature"));
    world.deploy("short", "stub-embed-short").await;
    let answer = embed(&world, &json!({"model": "short", "input": ["a", "b"]})).await;
    answer.assert_error(502, "server_error", Some("upstream_error"), None);
}

#[tokio::test]
async fn the_built_in_preset_has_vectors_too() {
    let world = World::of(&[]).await;
    world.deploy_echo("echo", json!({}), json!({})).await;
    let body = json!({"model": "echo", "input": ["same", "same", "other"], "dimensions": 4});
    let answer = embed(&world, &body).await.ok();
    let vector = |index: usize| answer["data"][index]["embedding"].as_array().unwrap().clone();
    assert_eq!(vector(0), vector(1));
    assert_ne!(vector(0), vector(2));
    assert_eq!(vector(2).len(), 4);
}
