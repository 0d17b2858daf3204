//! `/v1`, the probes and this document itself. Bodies of the contracts are open: what a provider knows beyond what is named
//! here passes through. The names come from the table of what becomes of each field.

use serde_json::{Map, Value, json};

use super::row::{By, Param, Row, header, query};
use super::schema::reference;
use crate::canonical::Wire;
use crate::dialects::fidelity;
use crate::telemetry::names::header as name;

const TEXT: &str = "Text";
const OTHERS: &str = "Embeddings, rankings, moderations";
const MEDIA: &str = "Sound and pictures";
const MODELS: &str = "Models";
const GATEWAY: &str = "Gateway";

const ID: Param = header(name::REQUEST_ID, "string", "Names the request; answered as it was sent.");
const STRICT: Param = header(name::STRICT, "boolean", "Refuses the request rather than leaving a field of it out.");
const ROUTING: Param = header(name::ROUTING_METADATA, "boolean", "Adds routing facts to the answer.");
const CACHE: Param = header(name::CACHE, "boolean", "Opts in to the response cache.");
const CACHE_TTL: Param =
    header(name::CACHE_TTL, "integer", "Seconds for which the answer may be found: 1 to 86400, 300 unless said.");
const TAGS: Param = header(
    name::TAGS,
    "string",
    "Tags of the request's record: at most 16 of at most 64 characters, separated by commas.",
);
const SESSION: Param = header(
    name::SESSION,
    "string",
    "Requests of one session go to one deployment, where the operator has switched that on.",
);
const GENERATING: [Param; 7] = [ID, STRICT, ROUTING, SESSION, CACHE, CACHE_TTL, TAGS];
const EVENTS: &str = "text/event-stream";
const FORM: &str = "multipart/form-data";

pub(super) fn rows() -> Vec<Row> {
    text().into_iter().chain(stored()).chain(questions()).chain(media()).chain(models()).chain(gateway()).collect()
}

fn events() -> Value {
    json!({"type": "string", "description": "Server-sent events of the contract."})
}

fn text() -> Vec<Row> {
    let hello = json!([{"role": "user", "content": "Hello"}]);
    let generating = |path, summary, schema: &str, answer: &str| {
        let row = Row::new("post", path, summary).tag(TEXT).by(By::Client).with(&GENERATING);
        row.takes(reference(schema)).answers(reference(answer)).answers_as(EVENTS, events())
    };
    vec![
        generating("/v1/chat/completions", "OpenAI Chat Completions", "ChatCompletionRequest", "ChatCompletion")
            .example("whole", json!({"model": "echo", "messages": hello}))
            .example("streamed", json!({"model": "echo", "messages": hello, "stream": true})),
        generating("/v1/responses", "OpenAI Responses", "ResponseRequest", "Response")
            .example("whole", json!({"model": "echo", "input": "Hello"}))
            .example("streamed", json!({"model": "echo", "input": "Hello", "stream": true, "store": false})),
        generating("/v1/messages", "Anthropic Messages", "MessageRequest", "Message")
            .example("whole", json!({"model": "echo", "max_tokens": 100, "messages": hello}))
            .example("streamed", json!({"model": "echo", "max_tokens": 100, "messages": hello, "stream": true})),
        Row::new("post", "/v1/messages/count_tokens", "Count the tokens of a request in the Messages contract")
            .tag(TEXT)
            .by(By::Client)
            .with(&[ID])
            .takes(reference("MessageRequest"))
            .example("count", json!({"model": "echo", "messages": hello}))
            .answers(json!({
                "type": "object", "required": ["input_tokens"], "properties": {"input_tokens": {"type": "integer"}},
            })),
    ]
}

fn stored() -> Vec<Row> {
    const RESPONSE: (&str, &str) = ("id", "resp_0199f0c4a7e1700088a1b2c3d4e5f607");
    let about = |method, path, summary| {
        Row::new(method, path, summary).tag(TEXT).by(By::Client).with(&[ID]).at(RESPONSE.0, RESPONSE.1)
    };
    vec![
        about("get", "/v1/responses/{id}", "Read a stored response").answers(reference("Response")),
        about("delete", "/v1/responses/{id}", "Delete a stored response").answers(json!({
            "type": "object",
            "properties": {"id": {"type": "string"}, "object": {"type": "string"}, "deleted": {"type": "boolean"}},
        })),
        about("get", "/v1/responses/{id}/input_items", "List the input of a stored response")
            .with(&[
                query("limit", "integer", "At most so many: 1 to 100, 20 unless said."),
                query("order", "string", "`asc` or `desc`."),
                query("after", "string", "The item after which the page begins."),
            ])
            .answers(list(&json!({"type": "object"}))),
    ]
}

/// Operations that answer whole JSON.
fn questions() -> Vec<Row> {
    let about = |path, summary, schema: &str, answer: &str| {
        let row = Row::new("post", path, summary).tag(OTHERS).by(By::Client).with(&GENERATING);
        row.takes(reference(schema)).answers(reference(answer))
    };
    let reranking = |path, summary| {
        about(path, summary, "RerankRequest", "Ranking").example(
            "three",
            json!({"model": "echo", "query": "bread", "documents": ["rye", "rain", "roll"], "top_n": 2}),
        )
    };
    vec![
        about("/v1/embeddings", "OpenAI Embeddings", "EmbeddingRequest", "Embeddings")
            .example("one", json!({"model": "echo", "input": "Hello"}))
            .example("several", json!({"model": "echo", "input": ["Hello", "World"]})),
        reranking("/v1/rerank", "Order documents by relevance"),
        reranking("/v2/rerank", "The same, where Cohere's clients look for it"),
        reranking("/rerank", "The same, where other clients look for it"),
        about("/v1/moderations", "OpenAI Moderations", "ModerationRequest", "Moderation")
            .example("text", json!({"model": "echo", "input": "Hello"})),
    ]
}

/// Sound and pictures.
fn media() -> Vec<Row> {
    let about = |path, summary| Row::new("post", path, summary).tag(MEDIA).by(By::Client).with(&[ID, STRICT, ROUTING]);
    let listening = |path, summary| {
        about(path, summary)
            .takes_as(FORM, reference("TranscriptionForm"))
            .example("a sound", json!({"model": "echo", "file": "(a sound)"}))
            .answers(reference("Transcription"))
            .answers_as("text/plain", json!({"type": "string"}))
    };
    vec![
        about("/v1/images/generations", "OpenAI Images: make pictures")
            .takes(reference("ImageRequest"))
            .example("one", json!({"model": "echo", "prompt": "A lighthouse"}))
            .answers(reference("Images"))
            .answers_as(EVENTS, events()),
        about("/v1/images/edits", "OpenAI Images: change pictures")
            .about("Also as JSON, with `images` by URL.")
            .takes_as(FORM, reference("ImageForm"))
            .example("one", json!({"model": "echo", "prompt": "At night", "image": "(a picture)"}))
            .answers(reference("Images"))
            .answers_as(EVENTS, events()),
        listening("/v1/audio/transcriptions", "OpenAI Audio: what is said in a sound").answers_as(EVENTS, events()),
        listening("/v1/audio/translations", "OpenAI Audio: the same in English"),
        about("/v1/audio/speech", "OpenAI Audio: say a text")
            .takes(reference("SpeechRequest"))
            .example("a word", json!({"model": "echo", "input": "Hello", "voice": "alloy"}))
            .answers_as("audio/*", json!({"type": "string", "format": "binary"}))
            .answers_as(EVENTS, events()),
    ]
}

fn models() -> Vec<Row> {
    let about = |path, summary| Row::new("get", path, summary).tag(MODELS).by(By::Visitor).with(&[ID]);
    vec![
        about("/v1/models", "List the public models").answers(list(&reference("Model"))),
        about("/v1/models/{model}", "Read one public model")
            .routed("/v1/models/{*model}")
            .at("model", "echo")
            .answers(reference("Model")),
        about("/v1/models/{model}/deployments", "List the deployments of a public model, and how they do")
            .routed("/v1/models/{*model}")
            .by(By::Client)
            .at("model", "echo")
            .answers(list(&reference("ModelDeployment"))),
    ]
}

fn gateway() -> Vec<Row> {
    vec![
        Row::new("get", "/health/live", "Whether the process lives").tag(GATEWAY).answers(json!({
            "type": "object", "required": ["status"], "properties": {"status": {"const": "live"}},
        })),
        Row::new("get", "/health/ready", "Whether it takes traffic")
            .about("503 with the same shape while it does not.")
            .tag(GATEWAY)
            .answers(reference("Readiness")),
        Row::new("get", "/metrics", "Figures for Prometheus")
            .about("On a listener of its own, without a key, where METRICS_PORT is set.")
            .tag(GATEWAY)
            .by(By::Operator)
            .answers_as("text/plain", json!({"type": "string"}))
            .answers_as("application/openmetrics-text", json!({"type": "string"})),
        Row::new("get", "/openapi.json", "This document").tag(GATEWAY).answers(json!({"type": "object"})),
    ]
}

fn list(items: &Value) -> Value {
    json!({
        "type": "object",
        "required": ["object", "data"],
        "properties": {"object": {"const": "list"}, "data": {"type": "array", "items": items}},
    })
}

/// What the rows refer to.
pub(super) fn schemas() -> Vec<(&'static str, Value)> {
    let mut all = question_schemas();
    all.extend(media_schemas());
    all.extend(vec![
        ("ChatCompletionRequest", request(Wire::Chat, &["model", "messages"])),
        ("ResponseRequest", request(Wire::Responses, &["model", "input"])),
        ("MessageRequest", request(Wire::Messages, &["model", "messages"])),
        ("ChatCompletion", answer("chat.completion", &["id", "object", "created", "model", "choices"])),
        ("Response", answer("response", &["id", "object", "status", "model", "output"])),
        (
            "Message",
            json!({
                "type": "object",
                "required": ["id", "type", "role", "content", "model", "stop_reason", "usage"],
                "properties": {"type": {"const": "message"}, "content": {"type": "array"}, "usage": {"type": "object"}},
            }),
        ),
        ("Model", model()),
        (
            "ModelDeployment",
            json!({
                "type": "object",
                "required": ["id", "object", "provider", "status", "weight", "limits", "metrics"],
                "properties": {
                    "id": {"type": "string"},
                    "object": {"const": "deployment"},
                    "provider": {"type": "string"},
                    "status": {"enum": ["available", "cooldown", "half_open", "rate_limited"]},
                    "retry_after_ms": {"type": ["integer", "null"]},
                    "weight": {"type": "integer"},
                    "limits": {"type": "object"},
                    "metrics": {"type": "object"},
                },
            }),
        ),
        (
            "Readiness",
            json!({
                "type": "object",
                "required": ["status", "snapshot"],
                "properties": {
                    "status": {"enum": ["ready", "degraded", "starting", "standby", "draining"]},
                    "snapshot": {"type": "object", "properties": {
                        "revision": {"type": "integer"}, "ageMs": {"type": "integer"}, "quarantined": {"type": "integer"},
                    }},
                    "postgres": {"enum": ["up", "down"]},
                    "redis": {"enum": ["up", "down"]},
                },
            }),
        ),
    ]);
    all
}

/// The request of a contract: an open object with the fields whose fate is known.
fn request(contract: Wire, required: &[&str]) -> Value {
    let mut properties = Map::new();
    for (path, _) in fidelity::rows(contract) {
        let name = path.split(['.', '[']).next().unwrap_or(path);
        let kind = match name {
            "model" => json!({"type": "string", "description": "A public model, see `GET /v1/models`."}),
            "messages" => json!({"type": "array"}),
            "stream" => {
                json!({"type": ["boolean", "null"], "description": "Whether the answer is a stream of events."})
            }
            _ => json!({}),
        };
        properties.entry(name).or_insert(kind);
    }
    json!({
        "type": "object",
        "description": "Fields that are not named here pass through to a provider that speaks the contract; \
                        docs/fidelity.md says what becomes of each on the others.",
        "required": required,
        "properties": properties,
        "additionalProperties": true,
    })
}

fn answer(object: &str, required: &[&str]) -> Value {
    json!({
        "type": "object",
        "required": required,
        "properties": {
            "id": {"type": "string"},
            "object": {"const": object},
            "created": {"type": "integer"},
            "model": {"type": "string", "description": "The public model."},
            "choices": {"type": "array"},
            "output": {"type": "array"},
            "usage": {"type": ["object", "null"]},
            "unified_routing": {"type": "object", "description": "Routing facts, where they were asked for."},
        },
        "additionalProperties": true,
    })
}

fn model() -> Value {
    let text = json!({"type": ["string", "null"], "description": "US dollars per token."});
    json!({
        "type": "object",
        "required": ["id", "object", "created", "owned_by", "architecture", "operations"],
        "properties": {
            "id": {"type": "string"},
            "object": {"const": "model"},
            "created": {"type": "integer"},
            "owned_by": {"type": "string"},
            "architecture": {"type": "object"},
            "top_provider": {"type": "object"},
            "pricing": {"type": "object", "properties": {"prompt": text, "completion": text}},
            "operations": {"type": "array", "items": {"type": "object"}},
            "supported_parameters": {"type": "array", "items": {"type": "string"}},
            "endpoint_count": {"type": "integer"},
        },
        "additionalProperties": true,
    })
}

/// Bodies of the operations that answer whole JSON.
fn question_schemas() -> Vec<(&'static str, Value)> {
    let open = |required: &[&str], properties: Value| json!({"type": "object", "required": required, "properties": properties, "additionalProperties": true});
    let model = json!({"type": "string", "description": "A public model, see `GET /v1/models`."});
    vec![
        (
            "EmbeddingRequest",
            open(
                &["model", "input"],
                json!({
                    "model": model,
                    "input": {"type": ["string", "array"], "description": "A text, several, or their tokens."},
                    "dimensions": {"type": "integer", "minimum": 1},
                    "encoding_format": {"enum": ["float", "base64"]},
                    "user": {"type": "string"},
                }),
            ),
        ),
        (
            "Embeddings",
            open(
                &["object", "data", "model"],
                json!({
                    "object": {"const": "list"},
                    "data": {"type": "array", "items": {"type": "object", "required": ["index", "embedding"]}},
                    "model": model,
                    "usage": {"type": "object"},
                }),
            ),
        ),
        (
            "RerankRequest",
            open(
                &["model", "query", "documents"],
                json!({
                    "model": model,
                    "query": {"type": "string"},
                    "documents": {"type": "array", "items": {"type": ["string", "object"]}},
                    "top_n": {"type": "integer", "minimum": 1},
                    "return_documents": {"type": "boolean"},
                    "max_tokens_per_doc": {"type": "integer"},
                }),
            ),
        ),
        (
            "Ranking",
            open(
                &["results"],
                json!({"results": {"type": "array", "items": {
                    "type": "object",
                    "required": ["index", "relevance_score"],
                    "properties": {"index": {"type": "integer"}, "relevance_score": {"type": "number"}},
                }}}),
            ),
        ),
        ("ModerationRequest", open(&["input"], json!({"model": model, "input": {"type": ["string", "array"]}}))),
        (
            "Moderation",
            open(
                &["results"],
                json!({"results": {"type": "array", "items": {"type": "object", "required": ["flagged"]}}}),
            ),
        ),
    ]
}

/// Bodies of sound and pictures.
fn media_schemas() -> Vec<(&'static str, Value)> {
    let open = |required: &[&str], properties: Value| json!({"type": "object", "required": required, "properties": properties, "additionalProperties": true});
    let (text, file) = (json!({"type": "string"}), json!({"type": "string", "format": "binary"}));
    vec![
        ("ImageRequest", open(&["model", "prompt"], json!({"model": text, "prompt": text, "n": {"type": "integer"}}))),
        (
            "ImageForm",
            open(&["model", "prompt", "image"], json!({"model": text, "prompt": text, "image": file, "mask": file})),
        ),
        ("Images", open(&["data"], json!({"created": {"type": "integer"}, "data": {"type": "array"}}))),
        ("TranscriptionForm", open(&["model", "file"], json!({"model": text, "file": file, "response_format": text}))),
        ("Transcription", open(&["text"], json!({"text": text}))),
        (
            "SpeechRequest",
            open(&["model", "input"], json!({"model": text, "input": text, "voice": {}, "response_format": text})),
        ),
    ]
}
