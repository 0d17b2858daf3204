//! The HTTP surface as an OpenAPI 3.1 document: `GET /openapi.json`, and a copy in `docs/openapi.json`.
//!
//! A [`row`] per operation, in the order of the routers; [`schema`] reads the administration's shapes from the protobuf
//! contract. Tests compare the rows with the routers, the copy with the document, and send every example.

mod admin;
mod answers;
mod data_plane;
mod row;
mod schema;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use axum::routing::get;
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use serde_json::{Map, Value, json};

use crate::fault::Kind;
use row::Row;
use schema::{Messages, reference};

const INTRODUCTION: &str = "One gateway between applications and their AI providers. `/v1` speaks the contracts of OpenAI \
                            and Anthropic and takes a virtual key; `/admin` takes the master key.";

static DOCUMENT: LazyLock<String> = LazyLock::new(|| {
    // Plain values: nothing of it can fail to be written.
    serde_json::to_string_pretty(&build()).unwrap_or_default() + "\n"
});

/// The document, as JSON text.
#[must_use]
pub fn document() -> &'static str {
    &DOCUMENT
}

/// Every documented operation: method, and path as the router has it.
#[must_use]
pub fn operations() -> Vec<(&'static str, &'static str)> {
    rows().iter().map(|row| (row.method, row.route)).collect()
}

/// `GET /openapi.json`.
pub fn router() -> Router {
    Router::new().route("/openapi.json", get(serve))
}

async fn serve() -> Response {
    let mut response = Response::new(Body::from(document()));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn rows() -> Vec<Row> {
    data_plane::rows().into_iter().chain(admin::rows()).collect()
}

fn build() -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for row in rows() {
        let path = paths.entry(row.path).or_insert_with(|| json!({}));
        path[row.method] = row.render();
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Unified Gateway",
            "version": env!("CARGO_PKG_VERSION"),
            "description": INTRODUCTION,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "http://localhost:4000"}],
        "tags": tags(),
        "components": {
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "A virtual key or the master key."},
                "apiKeyHeader": {"type": "apiKey", "in": "header", "name": "x-api-key"},
                "azureKeyHeader": {"type": "apiKey", "in": "header", "name": "api-key"},
                "masterKey": {"type": "http", "scheme": "bearer", "description": "The master key."},
            },
            "headers": {"RequestId": {"description": "Names the request.", "schema": {"type": "string"}}},
            "responses": refusals(),
            "schemas": schemas(&paths),
        },
        "paths": paths,
    })
}

fn tags() -> Value {
    let mut tags: Vec<&str> = Vec::new();
    for row in rows() {
        if !tags.contains(&row.tag) {
            tags.push(row.tag);
        }
    }
    tags.into_iter().map(|name| json!({"name": name})).collect()
}

/// What the paths refer to, and what that refers to.
fn schemas(paths: &Map<String, Value>) -> Value {
    let mut schemas: BTreeMap<String, Value> = errors();
    let written = data_plane::schemas().into_iter().chain(answers::schemas());
    schemas.extend(written.map(|(name, schema)| (name.to_owned(), schema)));
    // The paths stand in for a schema while all that they refer to is sought.
    schemas.insert(String::new(), Value::Object(paths.clone()));
    if let Some(messages) = Messages::load() {
        messages.complete(&mut schemas);
    }
    schemas.remove("");
    json!(schemas)
}

/// The envelopes of errors, with every type and every code.
fn errors() -> BTreeMap<String, Value> {
    let distinct = |word: fn(Kind) -> Option<&'static str>| {
        let mut words: Vec<&str> = Kind::ALL.into_iter().filter_map(word).collect();
        words.sort_unstable();
        words.dedup();
        words
    };
    let openai = distinct(|kind| Some(kind.row().openai_type));
    let anthropic = distinct(|kind| Some(kind.row().anthropic_type));
    let codes = distinct(|kind| kind.row().code);
    let message = json!({"type": "string", "description": "What is wrong, in a sentence."});
    let code = json!({
        "type": ["string", "null"],
        "description": format!("For programs. By kind: {}. Some refusals say more, such as `insufficient_quota`.", codes.join(", ")),
        "examples": codes,
    });
    let error = json!({
        "type": "object",
        "required": ["error"],
        "properties": {"error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {
                "message": message,
                "type": {"enum": openai},
                "param": {"type": ["string", "null"], "description": "Path of the field at fault: `messages[2].content`."},
                "code": code,
            },
        }},
    });
    let anthropic_error = json!({
        "type": "object",
        "required": ["type", "error"],
        "properties": {
            "type": {"const": "error"},
            "error": {
                "type": "object",
                "required": ["type", "message"],
                "properties": {"type": {"enum": anthropic}, "message": message},
            },
            "request_id": {"type": "string"},
        },
    });
    [("Error", error), ("AnthropicError", anthropic_error)].map(|(name, schema)| (name.to_owned(), schema)).into()
}

/// A response for each status of a refusal, in both envelopes, which lists the kinds of fault that have it.
fn refusals() -> Value {
    let mut responses = Map::new();
    for kind in Kind::ALL {
        let status = kind.row().http;
        let same = Kind::ALL.into_iter().filter(|other| other.row().http == status);
        let lines = same.map(|kind| {
            let row = kind.row();
            format!("- `{}` ({}): {}", row.slug, row.code.unwrap_or("no code"), row.sentence)
        });
        let description = lines.collect::<Vec<_>>().join("\n");
        for (shape, schema) in [("", "Error"), ("Anthropic", "AnthropicError")] {
            let content = json!({"application/json": {"schema": reference(schema)}});
            let response = json!({"description": description, "content": content});
            responses.insert(format!("{shape}Refusal{status}"), response);
        }
    }
    Value::Object(responses)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::schema::references;
    use super::*;

    #[test]
    fn nothing_is_referred_to_that_is_not_there_and_ids_are_unique() {
        let document: Value = serde_json::from_str(document()).unwrap();
        let mut wanted = Vec::new();
        references(&document, &mut wanted);
        let components = &document["components"];
        for name in wanted {
            let is_there = ["schemas", "responses", "headers"].iter().any(|kind| components[kind].get(&name).is_some());
            assert!(is_there, "{name}");
        }
        let rows = rows();
        let places: BTreeSet<_> = rows.iter().map(|row| (row.method, row.path)).collect();
        assert_eq!(places.len(), rows.len());
        assert!(rows.iter().all(|row| !row.tag.is_empty() && !row.answers.is_empty()));
        for row in &rows {
            let named: Vec<_> = row.path.split(['{', '}']).skip(1).step_by(2).collect();
            let stated: Vec<_> = row.variables.iter().map(|(name, _)| *name).collect();
            assert_eq!(named, stated, "{}", row.path);
            assert_eq!(row.body.is_some(), !row.examples.is_empty(), "{} has an example for its body", row.path);
        }
    }
}
