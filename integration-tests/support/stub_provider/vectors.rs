//! What is asked for beside text: vectors, rankings and judgements, in the wires of several providers.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use super::behaviour;
use super::chat::Call;
use super::script::{Behaviour, Script};
use super::server::Received;

/// The answer to a path, unless it is none of ours.
pub(super) fn answer(received: &Received, nth: usize) -> Option<Behaviour> {
    let path = received.path.split('?').next().unwrap_or_default();
    let body = received.json();
    let write = match path.rsplit(['/', ':']).next().unwrap_or_default() {
        "embeddings" => openai,
        "embed" => cohere,
        "batchEmbedContents" => google,
        "rerank" => ranks,
        "moderations" => judgements,
        _ => return None,
    };
    // Failures are those of chat.
    if behaviour::MODELS.contains(&received.model.as_str()) {
        return Some(behaviour::choose(&Call::read(received, nth)));
    }
    Some(Script::json(200, write(&received.model, &body).to_string()).into())
}

/// A vector that tells its input: its length, and two numbers that need no rounding.
fn vector(input: &Value) -> Vec<f32> {
    let length = match input {
        Value::String(text) => text.len(),
        Value::Array(tokens) => tokens.len(),
        _ => 0,
    };
    vec![length as f32, 0.5, -0.25]
}

fn to_base64(vector: &[f32]) -> String {
    BASE64_STANDARD.encode(vector.iter().flat_map(|number| number.to_le_bytes()).collect::<Vec<u8>>())
}

fn inputs(body: &Value) -> Vec<Value> {
    match &body["input"] {
        Value::Array(items) if !items.iter().any(Value::is_number) => items.clone(),
        other => vec![other.clone()],
    }
}

/// `stub-embed-numbers` knows no base64, `stub-embed-reversed` answers the last first, `stub-embed-short` too few,
/// `stub-embed-silent` does not count.
fn openai(model: &str, body: &Value) -> Value {
    let wants_base64 = body["encoding_format"] == "base64" && model != "stub-embed-numbers";
    let inputs = inputs(body);
    let write = |(index, input): (usize, &Value)| {
        let vector = vector(input);
        let embedding = if wants_base64 { json!(to_base64(&vector)) } else { json!(vector) };
        json!({"object": "embedding", "index": index, "embedding": embedding})
    };
    let mut data: Vec<Value> = inputs.iter().enumerate().map(write).collect();
    match model {
        "stub-embed-reversed" => data.reverse(),
        "stub-embed-short" => drop(data.pop()),
        _ => {}
    }
    let mut answer = json!({"object": "list", "data": data, "model": model, "of_its_own": 1.0});
    if model != "stub-embed-silent" {
        let tokens = inputs.len() * 5;
        answer["usage"] = json!({"prompt_tokens": tokens, "total_tokens": tokens});
    }
    answer
}

fn cohere(_model: &str, body: &Value) -> Value {
    let texts = body["texts"].as_array().cloned().unwrap_or_default();
    let kind = body["embedding_types"][0].as_str().unwrap_or("float");
    let write = |text: &Value| match kind {
        "base64" => json!(to_base64(&vector(text))),
        _ => json!(vector(text)),
    };
    let vectors: Vec<Value> = texts.iter().map(write).collect();
    json!({
        "id": "da6e531f-54c5-4a73-bf92-f60566d8d753",
        "embeddings": {kind: vectors},
        "texts": texts,
        "meta": {"api_version": {"version": "2"}, "billed_units": {"input_tokens": texts.len() * 3}},
    })
}

fn google(_model: &str, body: &Value) -> Value {
    let requests = body["requests"].as_array().cloned().unwrap_or_default();
    let vectors = requests.iter().map(|request| json!({"values": vector(&request["content"]["parts"][0]["text"])}));
    json!({"embeddings": vectors.collect::<Vec<_>>()})
}

/// Longer documents rank higher. `stub-rank-twice` and `stub-rank-far` name documents that are not to be named,
/// `stub-rank-tokens` counts tokens, `stub-rank-data` answers as Voyage does.
fn ranks(model: &str, body: &Value) -> Value {
    let documents = body["documents"].as_array().cloned().unwrap_or_default();
    let length = |document: &Value| document.as_str().or(document["text"].as_str()).unwrap_or_default().len();
    let mut order: Vec<usize> = (0..documents.len()).collect();
    order.sort_by_key(|index| std::cmp::Reverse(documents.get(*index).map(length)));
    let most = body["top_n"].as_u64().or(body["top_k"].as_u64()).map_or(order.len(), |most| most as usize);
    order.truncate(most);
    match (model, order.first().copied()) {
        ("stub-rank-twice", Some(first)) => order.iter_mut().for_each(|index| *index = first),
        ("stub-rank-far", _) => order.iter_mut().for_each(|index| *index += 100),
        _ => {}
    }
    let results: Vec<Value> = order
        .iter()
        .enumerate()
        .map(|(place, index)| json!({"index": index, "relevance_score": 0.9 - place as f64 / 10.0}))
        .collect();
    match model {
        "stub-rank-data" => json!({"object": "list", "data": results, "model": model, "usage": {"total_tokens": 26}}),
        "stub-rank-tokens" => json!({"model": model, "results": results, "usage": {"total_tokens": 26}}),
        _ => json!({
            "id": "07734bd2-2473-4f07-94e1-0d9f0e6843cf",
            "results": results,
            "meta": {"api_version": {"version": "2"}, "billed_units": {"search_units": 1}},
        }),
    }
}

fn judgements(model: &str, body: &Value) -> Value {
    let judge = |input: &Value| {
        let is_harm = input.to_string().contains("harm");
        json!({
            "flagged": is_harm,
            "categories": {"violence": is_harm, "hate": false},
            "category_scores": {"violence": if is_harm { 0.98 } else { 0.01 }, "hate": 0.002},
        })
    };
    // Parts of one message are judged as one.
    let is_one = body["input"].as_array().is_some_and(|items| items.iter().any(Value::is_object));
    let asked = if is_one { vec![body["input"].clone()] } else { inputs(body) };
    let results: Vec<Value> = asked.iter().map(judge).collect();
    json!({"id": "modr-Stub5", "model": model, "results": results})
}
