//! Sends one request and hands back the reply as soon as its headers are here.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::{HeaderMap, Method, Request, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::capture_connection;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::body::{ChunkedRequestBody, Pieces, Reply};
use super::connect::Connector;
use super::line::{Connects, counted};
use crate::fault::{Fault, Kind, Outcome};

/// Per-stream receive window: enough for the fastest stream, small enough that one slow reader holds little.
const STREAM_WINDOW_BYTES: u32 = 1024 * 1024;
/// Connection window: many stalled streams fit before they could starve the others.
const CONNECTION_WINDOW_BYTES: u32 = 16 * 1024 * 1024;

/// How the client connects.
#[derive(Debug, Clone)]
pub struct ClientSettings {
    /// Name resolution, TCP and TLS together.
    pub connect_timeout: Duration,
    /// PEM text of certificate authorities trusted beside the system's.
    pub extra_authorities_pem: Option<String>,
}

/// A request to a provider.
#[derive(Debug)]
pub struct Outgoing {
    /// Method.
    pub method: Method,
    /// Absolute `http` or `https` address.
    pub uri: Uri,
    /// All headers but those of framing, which are the client's own.
    pub headers: HeaderMap,
    /// The body in pieces.
    pub body: Pieces,
}

/// Why no reply came.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// No connection, so nothing was sent. Always safe to repeat.
    #[error("could not connect")]
    Connect(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The peer declared the request unprocessed, or it was never written. Safe to repeat.
    #[error("the request was not processed")]
    Unprocessed(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The connection broke after the request may have been read.
    #[error("the connection broke before the reply")]
    Broken(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// No headers in time, though the request may have been read.
    #[error("no reply in time")]
    TimedOut,
}

/// The pooled client. Cloning shares the pool.
#[derive(Clone)]
pub struct HttpClient {
    pool: Client<Connector, ChunkedRequestBody>,
    connects: Arc<Connects>,
}

impl std::fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HttpClient")
    }
}

impl HttpClient {
    /// Builds the client with the system's certificate authorities and those of `settings.extra_authorities_pem`.
    ///
    /// # Errors
    /// `Internal`, saying what is wrong with the CA file.
    pub fn new(settings: &ClientSettings) -> Outcome<Self> {
        let connector = Connector::new(tls_config(settings)?, settings.connect_timeout);
        let connects = connector.connects();
        let pool = Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(90))
            .pool_max_idle_per_host(256)
            .http2_initial_stream_window_size(STREAM_WINDOW_BYTES)
            .http2_initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .http2_keep_alive_interval(Duration::from_secs(20))
            .http2_keep_alive_timeout(Duration::from_secs(10))
            .http1_max_buf_size(256 * 1024)
            .build(connector);
        Ok(Self { pool, connects })
    }

    /// What became of its connections.
    #[must_use]
    pub fn connects(&self) -> Arc<Connects> {
        Arc::clone(&self.connects)
    }

    /// Sends `outgoing` and waits for the reply's headers, at most for `within`.
    ///
    /// # Errors
    /// [`SendError`], which says whether the request can have been processed.
    pub async fn send(&self, outgoing: Outgoing, within: Duration) -> Result<Reply, SendError> {
        let touched = Arc::new(AtomicBool::new(false));
        let mut request = Request::new(ChunkedRequestBody::new(outgoing.body, Arc::clone(&touched)));
        *request.method_mut() = outgoing.method;
        *request.uri_mut() = outgoing.uri;
        *request.headers_mut() = outgoing.headers;
        let line = capture_connection(&mut request);
        let answer = counted(line, self.pool.request(request));
        match tokio::time::timeout(within, answer).await {
            Err(_) if touched.load(Ordering::Relaxed) => Err(SendError::TimedOut),
            Err(elapsed) => Err(SendError::Connect(elapsed.into())),
            Ok((Err(error), _)) if error.is_connect() => Err(SendError::Connect(error.into())),
            Ok((Err(error), _)) if !touched.load(Ordering::Relaxed) || is_unprocessed(&error) => {
                Err(SendError::Unprocessed(error.into()))
            }
            Ok((Err(error), _)) => Err(SendError::Broken(error.into())),
            Ok((Ok(response), call)) => Ok(Reply::new(response).on(call)),
        }
    }
}

/// Whether an HTTP/2 peer said that it did not process the request: `REFUSED_STREAM`, or a graceful `GOAWAY`
/// (RFC 9113, 8.7).
fn is_unprocessed(error: &hyper_util::client::legacy::Error) -> bool {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(cause) = next {
        if let Some(h2) = cause.downcast_ref::<h2::Error>() {
            return h2.reason() == Some(h2::Reason::REFUSED_STREAM)
                || (h2.is_go_away() && h2.is_remote() && h2.reason() == Some(h2::Reason::NO_ERROR));
        }
        next = cause.source();
    }
    false
}

/// TLS with the system's certificate authorities and those of the settings.
///
/// # Errors
/// `Internal`, saying what is wrong with the CA file.
pub(super) fn tls_config(settings: &ClientSettings) -> Outcome<rustls::ClientConfig> {
    let builder = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| Fault::new(Kind::Internal).because(error))?;
    Ok(builder.with_root_certificates(roots(settings)?).with_no_client_auth())
}

fn roots(settings: &ClientSettings) -> Outcome<RootCertStore> {
    let mut roots = RootCertStore::empty();
    let system = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(system.certs);
    if let Some(pem) = &settings.extra_authorities_pem {
        let unusable = |reason: String| Fault::new(Kind::Internal).say(format!("UPSTREAM_CA_FILE {reason}"));
        let extra = CertificateDer::pem_slice_iter(pem.as_bytes())
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| unusable(format!("is not PEM: {error}")))?;
        if extra.is_empty() {
            return Err(unusable("holds no certificate".to_owned()));
        }
        for certificate in extra {
            roots.add(certificate).map_err(|error| unusable(format!("holds a bad certificate: {error}")))?;
        }
    }
    if roots.is_empty() {
        tracing::warn!("no certificate authorities found on this system: calls to https providers will fail");
    }
    Ok(roots)
}
