use super::*;
use std::net::Ipv4Addr;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

const CAP: usize = 64 * 1024;
const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// A server of `https://files.example` whose paths are what it does, and a client that finds it.
async fn world() -> (RemoteContent, JoinSet<()>) {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(vec!["files.example".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let tls = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    let listener = TcpListener::bind((HERE, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(tls));
    let mut serving = JoinSet::new();
    serving.spawn(async move {
        let mut connections = JoinSet::new();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let acceptor = acceptor.clone();
            connections.spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let mut head = vec![0; 4096];
                let count = stream.read(&mut head).await.unwrap_or_default();
                let head = String::from_utf8_lossy(&head[..count]).into_owned();
                assert!(!head.to_lowercase().contains("authorization"), "{head}");
                let path = head.split(' ').nth(1).unwrap_or_default();
                let _ = stream.write_all(answer(path).as_bytes()).await;
                if path == "/slow" {
                    tokio::time::sleep(Duration::from_secs(30)).await;
                }
                let _ = stream.shutdown().await;
            });
        }
    });
    let private = SocketAddr::from(([10, 0, 0, 1], 443));
    let names = [
        ("files.example", vec![address]),
        ("inner.example", vec![private]),
        ("mixed.example", vec![SocketAddr::from(([1, 1, 1, 1], 443)), private]),
        ("mapped.example", vec!["[::ffff:10.0.0.1]:443".parse().unwrap()]),
    ];
    let places = Places {
        names: names.into_iter().map(|(name, addresses)| (name.to_owned(), addresses)).collect(),
        allowed: BTreeSet::from([HERE]),
        within: Some(Duration::from_secs(1)),
    };
    let settings = ClientSettings { connect_timeout: Duration::from_secs(1), extra_authorities_pem: Some(cert.pem()) };
    (RemoteContent::new(&settings, places).unwrap(), serving)
}

fn answer(path: &str) -> String {
    let to = |location: &str| format!("HTTP/1.1 302 Found\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n");
    match path {
        "/small" => "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello".to_owned(),
        "/stated" => format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", CAP + 1),
        "/endless" => format!("HTTP/1.1 200 OK\r\n\r\n{}", "x".repeat(CAP + 1)),
        "/slow" => "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhe".to_owned(),
        "/packed" => "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 1\r\n\r\nx".to_owned(),
        "/hop3" => to("/hop2"),
        "/hop2" => to("https://files.example/hop1"),
        "/hop1" => to("small"),
        "/loop" => to("/loop"),
        "/to-inner" => to("https://inner.example/"),
        "/to-metadata" => to("https://169.254.169.254/latest/meta-data"),
        "/to-hex" => to("https://0xa000001/"),
        "/to-plain" => to("http://files.example/small"),
        "/nowhere" => "HTTP/1.1 302 Found\r\ncontent-length: 0\r\n\r\n".to_owned(),
        _ => "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n".to_owned(),
    }
}

#[tokio::test]
async fn content_comes_from_public_addresses_whole_or_not_at_all() {
    let (remote, _serving) = world().await;
    for (url, expected) in [
        ("https://files.example/small", "hello"),
        ("https://files.example/small#part", "hello"),
        ("https://files.example/hop3", "hello"),
        ("https://files.example/loop", "it redirects more than 3 times"),
        ("https://files.example/stated", "it is too large"),
        ("https://files.example/endless", "it is too large"),
        ("https://files.example/slow", "it took longer than 15 seconds"),
        ("https://files.example/packed", "its server cannot be reached"),
        ("https://files.example/missing", "its server answered with status 404"),
        ("https://files.example/nowhere", "its server answered with status 302"),
        ("https://files.example/to-inner", "it does not lead to a public address"),
        ("https://files.example/to-metadata", "it does not lead to a public address"),
        ("https://files.example/to-hex", "it does not lead to a public address"),
        ("https://files.example/to-plain", "it is not an https URL that can be fetched"),
        ("https://inner.example/", "it does not lead to a public address"),
        ("https://mixed.example/", "it does not lead to a public address"),
        ("https://mapped.example/", "it does not lead to a public address"),
        ("https://10.0.0.1/", "it does not lead to a public address"),
        ("https://[::1]/", "it does not lead to a public address"),
        ("https://0x7f.2/", "it does not lead to a public address"),
        ("https://[64:ff9b::8.8.8.8]/", "it does not lead to a public address"),
        ("https://metadata.google.internal/", "it does not lead to a public address"),
        ("https://user:pass@files.example/small", "it is not an https URL that can be fetched"),
        ("http://files.example/small", "it is not an https URL that can be fetched"),
        ("file:///etc/passwd", "it is not an https URL that can be fetched"),
        ("nonsense", "it is not an https URL that can be fetched"),
        // The certificate is of another name.
        ("https://127.0.0.1:1/", "its server cannot be reached"),
    ] {
        let fetched = remote.fetch(url, CAP).await;
        let said = fetched.map_or_else(|error| error.to_string(), |body| String::from_utf8_lossy(&body).into_owned());
        assert_eq!(said, expected, "{url}");
    }
}
