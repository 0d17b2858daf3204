//! The OpenAPI document: it names every route and no other, its copy is the one that is served, and its examples work.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use unified_gateway::api::openapi;

use crate::support::{Answer, MASTER_KEY, TestGateway};

const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn the_copy_in_the_documentation_is_the_document() {
    let path = root().join("docs/openapi.json");
    #[expect(clippy::disallowed_methods, reason = "`make openapi` asks for a new copy")]
    if std::env::var_os("UNIFIED_WRITE_OPENAPI").is_some() {
        fs::write(&path, openapi::document()).unwrap();
    }
    let copy = fs::read_to_string(&path).unwrap_or_default();
    assert!(copy == openapi::document(), "docs/openapi.json is not the document any more: `make openapi` writes it");
}

#[test]
fn every_route_is_documented_and_no_other() {
    let documented: BTreeSet<(String, String)> =
        openapi::operations().into_iter().map(|(method, path)| (path.to_owned(), method.to_owned())).collect();
    let mut routed = BTreeSet::new();
    for path in sources(&root().join("src/api")) {
        routed.extend(routes(&fs::read_to_string(path).unwrap()));
    }
    assert!(routed.len() > 30, "the routers were not found");
    let missing: Vec<_> = routed.difference(&documented).collect();
    let gone: Vec<_> = documented.difference(&routed).collect();
    assert!(missing.is_empty(), "without a row in src/api/openapi: {missing:?}");
    assert!(gone.is_empty(), "with a row in src/api/openapi and without a route: {gone:?}");
}

#[test]
fn routes_are_read_from_their_source() {
    let source = r#"
        .route("/a", post(a::create))
        .route(
            "/b/{id}",
            only(get(b::get).patch(b::update).delete(b::delete), "GET, HEAD, PATCH, DELETE"),
        )
        .route("/c", any(c::not_here))
        .route("/d", get(async || json(StatusCode::OK, "{}".to_owned())))"#;
    let found: Vec<_> = routes(source).into_iter().map(|(path, method)| format!("{method} {path}")).collect();
    assert_eq!(found, ["post /a", "delete /b/{id}", "get /b/{id}", "patch /b/{id}", "get /d"].map(str::to_owned));
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] })
        .filter(|path| path.extension().is_some_and(|end| end == "rs"))
        .collect()
}

/// Path and method of each `.route(…)`; those that only say that something is not there are left out.
fn routes(source: &str) -> BTreeSet<(String, String)> {
    let mut found = BTreeSet::new();
    for call in source.split(".route(").skip(1) {
        let mut depth = 1;
        let end = call.find(|c: char| {
            depth += i32::from(c == '(') - i32::from(c == ')');
            depth == 0
        });
        let call = &call[..end.unwrap_or(call.len())];
        let mut quoted = call.split('"');
        let (Some(_), Some(path), Some(_)) = (quoted.next(), quoted.next(), quoted.next()) else { continue };
        let handlers = &call[call.find(path).unwrap() + path.len()..];
        for method in METHODS {
            let is_method = handlers.match_indices(&format!("{method}(")).any(|(at, _)| {
                let before = handlers[..at].chars().next_back().unwrap_or(' ');
                !before.is_alphanumeric() && before != '_' && before != ':'
            });
            if is_method && path.starts_with('/') {
                found.insert((path.to_owned(), method.to_owned()));
            }
        }
    }
    found
}

/// What a path with variables leads to, made anew for each call.
async fn resource(gateway: &TestGateway, path: &str) -> String {
    let id = if path.starts_with("/admin/deployments/{id}") {
        gateway.deploy_echo("made", json!({}), json!({})).await
    } else if path.starts_with("/admin/keys/{id}") {
        gateway.create_key(&json!({"name": "made"})).await.0
    } else if path.starts_with("/admin/logs/{id}") {
        gateway.ask("echo").await.header("x-request-id").unwrap().to_owned()
    } else if path.starts_with("/v1/responses/{id}") {
        let request = json!({"model": "echo", "input": "Hello", "store": true});
        let made = send(gateway, "POST", "/v1/responses", &request).await.json();
        made["id"].as_str().unwrap().to_owned()
    } else {
        if path.starts_with("/admin/fallbacks/") {
            gateway.set_chain("echo", "general", &["spare"]).await;
        }
        String::new()
    };
    path.replace("{id}", &id)
        .replace("{model}", "echo")
        .replace("{primaryModel}", "echo")
        .replace("{reason}", "general")
}

async fn send(gateway: &TestGateway, method: &str, path: &str, body: &Value) -> Answer {
    let bearer = format!("Bearer {MASTER_KEY}");
    let mut headers = vec![("authorization", bearer.as_str())];
    let text = if body.is_null() { String::new() } else { body.to_string() };
    if !text.is_empty() {
        headers.push(("content-type", "application/json"));
    }
    gateway.client.send(method, path, &headers, text).await
}

/// A second of silence as a WAV file, and the smallest of pictures.
fn file(name: &str) -> Vec<u8> {
    if name == "image" {
        let pixel = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
        return BASE64_STANDARD.decode(pixel).unwrap();
    }
    let mut file = b"RIFF".to_vec();
    file.extend(16_036_u32.to_le_bytes());
    file.extend(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
    file.extend(8_000_u32.to_le_bytes());
    file.extend(16_000_u32.to_le_bytes());
    file.extend(b"\x02\0\x10\0data");
    file.extend(16_000_u32.to_le_bytes());
    file.resize(file.len() + 16_000, 0);
    file
}

/// An example as a form: members that stand for a file have one.
fn form(example: &Value) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, value) in example.as_object().unwrap() {
        let value = value.as_str().unwrap();
        let is_file = value.starts_with('(');
        let named = if is_file { "; filename=\"example\"" } else { "" };
        body.extend(format!("--XX\r\nContent-Disposition: form-data; name=\"{name}\"{named}\r\n\r\n").into_bytes());
        body.extend(if is_file { file(name) } else { value.as_bytes().to_vec() });
        body.extend(b"\r\n");
    }
    body.extend(b"--XX--\r\n");
    body
}

/// Status and media type. A stream that does not end by itself is left after its head.
async fn answer_to(gateway: &TestGateway, method: &str, path: &str, (media, body): &(String, Value)) -> (u16, String) {
    let bearer = format!("Bearer {MASTER_KEY}");
    let mut headers = vec![("authorization", bearer.as_str())];
    let bytes = match media.as_str() {
        "multipart/form-data" => form(body),
        "" => Vec::new(),
        _ => body.to_string().into_bytes(),
    };
    let boundary = format!("{media}; boundary=XX");
    if !media.is_empty() {
        headers.push(("content-type", if media.starts_with("multipart") { boundary.as_str() } else { media.as_str() }));
    }
    let answer = gateway.client.open(&method.to_uppercase(), path, &headers, bytes).await;
    let media = answer.headers["content-type"].to_str().unwrap().split(';').next().unwrap().to_owned();
    let (status, is_endless) = (answer.status, path.ends_with("/tail"));
    if !is_endless {
        let whole = answer.whole().await;
        assert!(whole.status < 400, "{method} {path}: {}", whole.text());
    }
    (status, media)
}

#[tokio::test]
async fn every_example_of_the_served_document_works() {
    let gateway = TestGateway::start().await;
    gateway.deploy_echo("spare", json!({}), json!({})).await;
    let served = gateway.client.get("/openapi.json", None).await;
    assert_eq!((served.status, served.text().as_str()), (200, openapi::document()));
    let document = served.json();
    let mut count = 0;
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let mut bodies = Vec::new();
            for (media, content) in operation["requestBody"]["content"].as_object().into_iter().flatten() {
                let examples = content["examples"].as_object().unwrap().values();
                bodies.extend(examples.map(|example| (media.clone(), example["value"].clone())));
            }
            if bodies.is_empty() {
                bodies.push((String::new(), Value::Null));
            }
            let responses = operation["responses"].as_object().unwrap();
            let (status, success) = responses.iter().find(|(status, _)| status.starts_with('2')).unwrap();
            for body in bodies {
                let place = resource(&gateway, path).await;
                let (answered, media) = answer_to(&gateway, method, &place, &body).await;
                assert_eq!(answered.to_string(), *status, "{method} {path} {body:?}");
                let kind = format!("{}/*", media.split('/').next().unwrap());
                let known = success["content"].get(&media).or(success["content"].get(kind));
                assert!(known.is_some(), "{method} {path}: {media}");
                count += 1;
            }
        }
    }
    assert!(count > 30, "only {count} examples");
}
