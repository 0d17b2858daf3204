//! Content that a request names by URL, for a provider that takes it inline only.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::{self, ServerConfig};
use unified_gateway::transport::Places;

use crate::support::{PROVIDER_KEY, TestGateway};
use crate::world::World;

const PNG: &[u8] = b"\x89PNG\r\n\x1a\nrest";
const CAT: &str = "https://files.example/cat.png";

/// `https://files.example`, and the paths that it was asked for.
struct Files {
    address: SocketAddr,
    authority: String,
    asked: Arc<Mutex<Vec<String>>>,
    _serving: JoinSet<()>,
}

impl Files {
    async fn start() -> Self {
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(vec!["files.example".to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let tls = tls.with_no_client_auth().with_single_cert(vec![cert.der().clone()], key).unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(tls));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let paths = Arc::clone(&asked);
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, paths) = (acceptor.clone(), Arc::clone(&paths));
                connections.spawn(async move {
                    let Ok(mut stream) = acceptor.accept(stream).await else { return };
                    let mut head = vec![0; 4096];
                    let count = stream.read(&mut head).await.unwrap_or_default();
                    let head = String::from_utf8_lossy(&head[..count]).into_owned();
                    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
                    paths.lock().unwrap().push(path.clone());
                    let _ = stream.write_all(&answer(&path)).await;
                    if path == "/slow" {
                        tokio::time::sleep(Duration::from_secs(30)).await;
                    }
                    let _ = stream.shutdown().await;
                });
            }
        });
        Self { address, authority: cert.pem(), asked, _serving: serving }
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }
}

fn answer(path: &str) -> Vec<u8> {
    let with = |body: &[u8]| [b"HTTP/1.1 200 OK\r\ncontent-type: image/jpeg\r\n\r\n", body].concat();
    match path {
        "/cat.png" => with(PNG),
        "/paper" => with(b"%PDF-1.7\n\x00"),
        "/notes" => with("Grüße".as_bytes()),
        "/program" => with(b"MZ\x00\x01"),
        "/large" => b"HTTP/1.1 200 OK\r\ncontent-length: 20971521\r\n\r\n".to_vec(),
        "/slow" => b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n".to_vec(),
        "/inner" => b"HTTP/1.1 302 Found\r\nlocation: https://10.1.2.3/x\r\ncontent-length: 0\r\n\r\n".to_vec(),
        _ => b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n".to_vec(),
    }
}

async fn world() -> (World, Files, TempDir) {
    let files = Files::start().await;
    let folder = TempDir::new().unwrap();
    let authority = folder.path().join("ca.pem");
    std::fs::write(&authority, &files.authority).unwrap();
    let places = Places {
        names: BTreeMap::from([
            ("files.example".to_owned(), vec![files.address]),
            ("inner.example".to_owned(), vec![SocketAddr::from(([192, 168, 0, 1], 443))]),
        ]),
        allowed: BTreeSet::from([files.address.ip()]),
        within: Some(Duration::from_secs(2)),
    };
    let gateway = TestGateway::among(&[("UPSTREAM_CA_FILE", authority.to_str().unwrap())], places).await;
    let (_, key) = gateway.create_key(&json!({"name": "test"})).await;
    (World { gateway, key }, files, folder)
}

async fn deploy_gemini(world: &World, public: &str, fixture: &str, priority: i32) {
    let entry = json!({"operations": {"text.generate": {"capabilities": {"vision": true, "pdfInput": true}, "maxOutputTokens": 8000}}});
    let deployment = json!({
        "publicModel": public, "provider": "googleaistudio", "upstreamModel": fixture, "catalogEntry": entry,
        "priority": priority,
        "credentials": {"apiKey": PROVIDER_KEY, "baseUrl": format!("http://{}/v1beta", world.stub.address())},
    });
    world.create_deployment(&deployment).await;
}

fn look(model: &str, url: &str) -> Value {
    let image = json!({"type": "image_url", "image_url": {"url": url}});
    json!({"model": model, "messages": [{"role": "user", "content": [{"type": "text", "text": url}, image]}]})
}

#[tokio::test]
async fn content_goes_inline_to_a_provider_that_reads_no_urls() {
    let (world, files, _folder) = world().await;
    deploy_gemini(&world, "g", "text", 0).await;
    let base64 = |bytes: &[u8]| base64::engine::general_purpose::STANDARD.encode(bytes);
    world.chat(&look("g", CAT)).await.ok();
    let parts = world.stub.take_requests()[0].json()["contents"][0]["parts"].clone();
    assert_eq!(parts[0], json!({"text": CAT}));
    assert_eq!(parts[1], json!({"inlineData": {"mimeType": "image/png", "data": base64(PNG)}}));
    let block = |kind: &str, url: &str| json!({"type": kind, "source": {"type": "url", "url": url}});
    let content = json!([
        block("image", CAT),
        block("document", "https://files.example/paper"),
        block("image", CAT),
        block("document", "https://files.example/notes"),
    ]);
    files.take();
    let turns = json!([{"role": "user", "content": content}]);
    world.post("/v1/messages", &json!({"model": "g", "max_tokens": 9, "messages": turns})).await.ok();
    let parts = world.stub.take_requests()[0].json()["contents"][0]["parts"].clone();
    assert_eq!(parts[1]["inlineData"]["mimeType"], "application/pdf");
    assert_eq!(parts[2]["inlineData"]["data"], base64(PNG));
    assert_eq!(parts[3], json!({"text": "Grüße"}));
    let mut asked = files.take();
    asked.sort();
    assert_eq!(asked, ["/cat.png", "/notes", "/paper"], "each once");
}

#[tokio::test]
async fn content_that_cannot_be_had_is_refused_by_its_place_and_tells_no_address() {
    let (world, _files, _folder) = world().await;
    deploy_gemini(&world, "g", "text", 0).await;
    for (url, why) in [
        ("https://files.example/notes", "it is no picture in PNG, JPEG, GIF or WebP"),
        ("https://files.example/program", "its type is none that is known"),
        ("https://files.example/large", "it is larger than 20 MB"),
        ("https://files.example/slow", "it took longer than 15 seconds"),
        ("https://files.example/inner", "it does not lead to a public address"),
        ("https://files.example/missing", "its server answered with status 404"),
        ("https://inner.example/", "it does not lead to a public address"),
        ("https://169.254.169.254/latest", "it does not lead to a public address"),
        ("https://[::ffff:10.0.0.1]/", "it does not lead to a public address"),
    ] {
        let answer = world.chat(&look("g", url)).await;
        let place = "messages[0].content[1].image_url.url";
        answer.assert_error(400, "invalid_request_error", None, Some(place));
        let said = answer.json()["error"]["message"].as_str().unwrap().to_owned();
        assert_eq!(said, format!("{place}: the content at this URL cannot be sent to the model: {why}"));
    }
    assert!(world.stub.requests().is_empty(), "nothing reached the provider");
}

#[tokio::test]
async fn content_is_fetched_once_for_all_attempts_and_not_for_a_provider_that_reads_urls() {
    let (world, files, _folder) = world().await;
    deploy_gemini(&world, "m", "error_503_overloaded", 2).await;
    deploy_gemini(&world, "m", "text", 1).await;
    world.chat(&look("m", CAT)).await.ok();
    assert_eq!(world.stub.take_requests().len(), 2);
    assert_eq!(files.take(), ["/cat.png"]);
    // A host of the same wire reads the URL itself, also where another cannot be sent it.
    world.gateway.deploy_with("m", "stub-text", json!({"priority": 0})).await;
    let url = "https://files.example/program";
    world.chat(&look("m", url)).await.ok();
    let seen = world.stub.take_requests();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].json()["messages"][0]["content"][1]["image_url"]["url"], url);
    assert_eq!(files.take(), ["/program"]);
}
