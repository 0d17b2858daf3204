//! The edges of the server: TLS and mutual TLS, renewed certificates, the administration on a port of its own, web
//! pages, and many wrong master keys.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{Full, Limited};
use hyper::body::{Body as _, Incoming};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::support::wait::soon;
use crate::support::{Answer, Client, MASTER_KEY, TestGateway, chat, chat_stream};

/// An authority, and what it has issued, as files.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: TempDir,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let authority = Self { issuer, folder: TempDir::new().unwrap() };
        std::fs::write(authority.path("ca.pem"), authority.issuer.pem()).unwrap();
        authority
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    /// Issues a certificate into `<name>.pem` and `<name>.key`; its DER.
    fn issue(&self, name: &str) -> CertificateDer<'static> {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let cert = params.signed_by(&key, &self.issuer).unwrap();
        std::fs::write(self.path(&format!("{name}.pem")), cert.pem()).unwrap();
        std::fs::write(self.path(&format!("{name}.key")), key.serialize_pem()).unwrap();
        cert.der().clone()
    }

    /// A client that trusts this authority, and shows `identity` if it has one.
    fn client(&self, protocol: &[u8], identity: Option<&Path>) -> TlsConnector {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(self.path("ca.pem")).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let builder = builder.with_root_certificates(roots);
        let mut config = match identity {
            None => builder.with_no_client_auth(),
            Some(path) => {
                let chain = vec![CertificateDer::from_pem_file(path.with_extension("pem")).unwrap()];
                let key = PrivateKeyDer::from_pem_file(path.with_extension("key")).unwrap();
                builder.with_client_auth_cert(chain, key).unwrap()
            }
        };
        config.alpn_protocols = vec![protocol.to_vec()];
        TlsConnector::from(Arc::new(config))
    }
}

async fn connect(connector: &TlsConnector, address: SocketAddr) -> std::io::Result<TlsStream<TcpStream>> {
    let name = ServerName::try_from("localhost").unwrap();
    connector.connect(name, TcpStream::connect(address).await?).await
}

/// Most bytes of an answer.
const MOST: usize = 1 << 20;

/// Sends one request over a connection of its own and reads the whole answer; `None` when the connection breaks.
async fn exchange<S>(stream: S, is_http2: bool, request: Request<Full<Bytes>>) -> Option<(Answer, String)>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let mut connections = JoinSet::new();
    let io = TokioIo::new(stream);
    let answer = if is_http2 {
        let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.ok()?;
        connections.spawn(connection);
        sender.send_request(request).await.ok()?
    } else {
        let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.ok()?;
        connections.spawn(connection);
        sender.send_request(request).await.ok()?
    };
    read(answer).await
}

/// Reads the whole answer, with its trailers beside the headers.
async fn read(answer: Response<Incoming>) -> Option<(Answer, String)> {
    let (mut head, body) = answer.into_parts();
    let mut body = Box::pin(Limited::new(body, MOST));
    let mut bytes = Vec::new();
    while let Some(frame) = poll_fn(|context| body.as_mut().poll_frame(context)).await {
        match frame.ok()?.into_data() {
            Ok(data) => bytes.extend_from_slice(&data),
            Err(other) => head.headers.extend(other.into_trailers().ok()?),
        }
    }
    let answer = Answer { status: head.status.as_u16(), headers: head.headers, body: bytes.into() };
    Some((answer, format!("{:?}", head.version)))
}

/// One call over TLS, in HTTP/2 or HTTP/1.1 as negotiated; `None` when there is no connection.
async fn call(
    connector: &TlsConnector,
    address: SocketAddr,
    request: Request<Full<Bytes>>,
) -> Option<(Answer, String)> {
    Box::pin(async {
        let stream = connect(connector, address).await.ok()?;
        let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        exchange(stream, is_http2, request).await
    })
    .await
}

fn post(path: &str, body: &Value) -> Request<Full<Bytes>> {
    Request::post(format!("https://localhost{path}"))
        .header("host", "localhost")
        .header("authorization", format!("Bearer {MASTER_KEY}"))
        .header("content-type", "application/json")
        .body(Full::from(body.to_string()))
        .unwrap()
}

/// A gRPC call with an empty message.
fn grpc(path: &str, key: &str) -> Request<Full<Bytes>> {
    Request::post(format!("https://localhost{path}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("authorization", format!("Bearer {key}"))
        .body(Full::from(Bytes::from_static(&[0; 5])))
        .unwrap()
}

#[tokio::test]
async fn http_over_tls_in_both_versions_and_never_plain() {
    let authority = Authority::new();
    authority.issue("server");
    let (cert, key) = (authority.path("server.pem"), authority.path("server.key"));
    let mut gateway = TestGateway::with(&[("TLS_CERT", &cert), ("TLS_KEY", &key), ("ADMIN_HTTP_PORT", "0")]).await;
    for (protocol, version) in [(&b"h2"[..], "HTTP/2.0"), (b"http/1.1", "HTTP/1.1")] {
        let client = authority.client(protocol, None);
        let (answer, spoken) =
            soon("an answer", call(&client, gateway.address, post("/v1/chat/completions", &chat("echo"))))
                .await
                .unwrap();
        assert_eq!((answer.content().as_str(), spoken.as_str()), ("Hello", version));
        let stream = post("/v1/chat/completions", &chat_stream("echo"));
        let (answer, _) = soon("a stream", call(&client, gateway.address, stream)).await.unwrap();
        assert!(answer.text().ends_with("data: [DONE]\n\n"));
        let admin = gateway.admin_address();
        let (answer, _) =
            soon("the administration", call(&client, admin, post("/admin/keys", &json!({"name": "x"})))).await.unwrap();
        assert_eq!(answer.status, 201, "{}", answer.text());
    }
    // Plain HTTP on a TLS port gets nothing but a closed connection.
    let mut plain = TcpStream::connect(gateway.address).await.unwrap();
    plain.write_all(b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut got = Vec::new();
    _ = soon("the end", plain.read_to_end(&mut got)).await;
    assert!(!String::from_utf8_lossy(&got).contains("HTTP/1.1"));
    gateway.stop().await;
}

#[tokio::test]
async fn grpc_over_tls_asks_for_certificates_when_told_to() {
    let authority = Authority::new();
    authority.issue("server");
    authority.issue("operator");
    let stranger = Authority::new();
    stranger.issue("operator");
    let files = [authority.path("server.pem"), authority.path("server.key"), authority.path("ca.pem")];
    let health = || grpc("/grpc.health.v1.Health/Check", "");
    let info = || grpc("/unifiedgateway.admin.v1.SystemService/GetInfo", MASTER_KEY);

    let mut gateway = TestGateway::with(&[("GRPC_TLS_CERT", &files[0]), ("GRPC_TLS_KEY", &files[1])]).await;
    let anyone = authority.client(b"h2", None);
    let (answer, _) = soon("health", call(&anyone, gateway.grpc_address(), health())).await.unwrap();
    assert_eq!((answer.status, answer.header("grpc-status")), (200, Some("0")));
    let (answer, _) = soon("info", call(&anyone, gateway.grpc_address(), info())).await.unwrap();
    assert_eq!(answer.header("grpc-status"), Some("0"));
    assert!(answer.header("x-unified-config-revision").is_some());
    gateway.stop().await;

    let mutual = [("GRPC_TLS_CERT", files[0].as_str()), ("GRPC_TLS_KEY", &files[1]), ("GRPC_TLS_CLIENT_CA", &files[2])];
    let mut gateway = TestGateway::with(&mutual).await;
    let operator = authority.client(b"h2", Some(&authority.folder.path().join("operator")));
    let (answer, _) = soon("info", call(&operator, gateway.grpc_address(), info())).await.unwrap();
    assert_eq!(answer.header("grpc-status"), Some("0"));
    let wrong = authority.client(b"h2", Some(&stranger.folder.path().join("operator")));
    for client in [&anyone, &wrong] {
        assert!(soon("a refusal", call(client, gateway.grpc_address(), health())).await.is_none());
    }
    gateway.stop().await;
}

#[tokio::test]
async fn renewed_certificates_are_taken_up_and_broken_ones_are_not() {
    let authority = Authority::new();
    let first = authority.issue("server");
    let (cert, key) = (authority.path("server.pem"), authority.path("server.key"));
    let settings = [("TLS_CERT", cert.as_str()), ("TLS_KEY", &key), ("TLS_RELOAD_SECONDS", "1")];
    let mut gateway = TestGateway::with(&settings).await;
    let client = authority.client(b"http/1.1", None);
    let address = gateway.address;
    let shown = async || connect(&client, address).await.unwrap().get_ref().1.peer_certificates().unwrap()[0].clone();
    assert_eq!(shown().await, first);
    let open = connect(&client, address).await.unwrap();
    std::fs::write(&cert, "no certificate").unwrap();
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(shown().await, first);
    let second = authority.issue("server");
    let mut tries = 0;
    while shown().await != second {
        tries += 1;
        assert!(tries < 100, "the renewed certificate is not taken up");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // What was open before goes on.
    let request = post("/v1/chat/completions", &chat("echo"));
    let (answer, _) = soon("an answer", Box::pin(exchange(open, false, request))).await.unwrap();
    assert_eq!(answer.status, 200);
    gateway.stop().await;
}

#[tokio::test]
async fn a_silent_handshake_is_cut_and_holds_nothing_up() {
    let authority = Authority::new();
    authority.issue("server");
    let (cert, key) = (authority.path("server.pem"), authority.path("server.key"));
    let settings = [("TLS_CERT", cert.as_str()), ("TLS_KEY", &key), ("HEADER_READ_TIMEOUT_MS", "300")];
    let mut gateway = TestGateway::with(&settings).await;
    let mut silent = TcpStream::connect(gateway.address).await.unwrap();
    let mut got = Vec::new();
    assert_eq!(soon("the cut", silent.read_to_end(&mut got)).await.unwrap_or_default(), 0);
    gateway.stop().await;
}

#[tokio::test]
async fn the_administration_moves_to_a_port_of_its_own() {
    let mut gateway = TestGateway::with(&[("ADMIN_HTTP_PORT", "0")]).await;
    let admin = Client::new(gateway.admin_address());
    let bearer = format!("Bearer {MASTER_KEY}");
    let headers = [("authorization", bearer.as_str())];
    assert_eq!(admin.send("GET", "/admin/keys", &headers, "").await.status, 200);
    assert_eq!(gateway.client.send("GET", "/admin/keys", &headers, "").await.status, 404);
    assert_eq!(admin.send("GET", "/v1/models", &headers, "").await.status, 404);
    assert_eq!(gateway.client.send("GET", "/v1/models", &headers, "").await.status, 200);
    gateway.stop().await;
}

#[tokio::test]
async fn listed_pages_may_call_the_data_plane_and_nothing_else() {
    let page = "https://app.example.com";
    let mut gateway = TestGateway::with(&[("CORS_ALLOWED_ORIGINS", page)]).await;
    let preflight = async |path: &str, origin: &str| {
        let headers = [
            ("origin", origin),
            ("access-control-request-method", "POST"),
            ("access-control-request-headers", "authorization,x-stainless-os"),
        ];
        gateway.client.send("OPTIONS", path, &headers, "").await
    };
    let answer = preflight("/v1/chat/completions", page).await;
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (200, Some(page)));
    assert_eq!(answer.header("access-control-allow-headers"), Some("authorization,x-stainless-os"));
    for (path, origin) in [("/v1/chat/completions", "https://evil.example.com"), ("/admin/keys", page)] {
        assert_eq!(preflight(path, origin).await.header("access-control-allow-origin"), None, "{path} {origin}");
    }
    // A page must be able to read its errors.
    let headers = [("origin", page), ("content-type", "application/json")];
    for (path, status) in [("/v1/chat/completions", 401), ("/v1/nothing", 404)] {
        let answer = gateway.client.send("POST", path, &headers, "{}").await;
        assert_eq!((answer.status, answer.header("access-control-allow-origin")), (status, Some(page)), "{path}");
        assert!(answer.header("access-control-expose-headers").unwrap().contains("x-request-id"));
    }
    gateway.stop().await;
}

#[tokio::test]
async fn many_wrong_master_keys_slow_down_one_address_on_both_faces() {
    let gateway = TestGateway::with(&[("TRUSTED_PROXY_HOPS", "1")]).await;
    let attempt = async |from: &str, key: &str| {
        let bearer = format!("Bearer {key}");
        let headers = [("authorization", bearer.as_str()), ("x-forwarded-for", from)];
        gateway.client.send("GET", "/admin/keys", &headers, "").await
    };
    for _ in 0..10 {
        assert_eq!(attempt("9.9.9.9", "wrong").await.status, 401);
    }
    let slowed = attempt("9.9.9.9", "wrong").await;
    assert_eq!(slowed.status, 429);
    assert!(slowed.header("retry-after").is_some());
    assert_eq!(attempt("8.8.8.8", "wrong").await.status, 401);
    // Whoever guesses from the operator's own network must not lock the operator out.
    assert_eq!(attempt("9.9.9.9", MASTER_KEY).await.status, 200);
    // The other face counts with it, by the address that the proxy saw.
    for (from, key, status) in [("9.9.9.9", "wrong", "8"), ("8.8.8.8", "wrong", "16"), ("9.9.9.9", MASTER_KEY, "0")] {
        let mut request = grpc("/unifiedgateway.admin.v1.SystemService/GetInfo", key);
        request.headers_mut().insert("x-forwarded-for", from.parse().unwrap());
        *request.uri_mut() = request.uri().to_string().replace("https", "http").parse().unwrap();
        let stream = TcpStream::connect(gateway.grpc_address()).await.unwrap();
        let (answer, _) = soon("an answer", exchange(stream, true, request)).await.unwrap();
        assert_eq!(answer.header("grpc-status"), Some(status), "{from}");
    }
}

#[tokio::test]
async fn without_proxies_of_ours_a_forwarded_address_is_not_believed() {
    let gateway = TestGateway::start().await;
    for number in 0..10 {
        let from = format!("7.7.7.{number}");
        let headers = [("authorization", "Bearer wrong"), ("x-forwarded-for", from.as_str())];
        assert_eq!(gateway.client.send("GET", "/admin/keys", &headers, "").await.status, 401);
    }
    let headers = [("authorization", "Bearer wrong"), ("x-forwarded-for", "1.1.1.1")];
    assert_eq!(gateway.client.send("GET", "/admin/keys", &headers, "").await.status, 429);
}
