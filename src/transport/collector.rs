//! Takes messages to a collector: one POST, or one gRPC call of a message each way.

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use http::header::{CONTENT_TYPE, TE, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, Request, Uri, Version};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use super::client::{ClientSettings, tls_config};
use super::connect::Connector;
use crate::fault::Outcome;

const GRPC_STATUS: &str = "grpc-status";
/// Most of an answer that is read.
const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// A client of collectors. Cloning shares its connections.
#[derive(Clone)]
pub struct CollectorClient {
    pool: Client<Connector, Full<Bytes>>,
    is_grpc: bool,
    within: Duration,
}

impl std::fmt::Debug for CollectorClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CollectorClient").field("is_grpc", &self.is_grpc).finish_non_exhaustive()
    }
}

/// Why a message was not taken.
#[derive(Debug, thiserror::Error)]
pub enum PostError {
    /// There was no answer; the message may be sent again.
    #[error("no answer: {0}")]
    NoAnswer(Box<dyn std::error::Error + Send + Sync>),
    /// It was refused with this HTTP status.
    #[error("HTTP status {0}")]
    Status(u16),
    /// It was refused with this gRPC status.
    #[error("gRPC status {0}")]
    Grpc(u16),
}

impl PostError {
    /// Whether the same message may be taken later: the statuses that OTLP calls retryable.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            Self::NoAnswer(_) => true,
            Self::Status(status) => matches!(status, 429 | 502..=504),
            Self::Grpc(status) => matches!(status, 1 | 4 | 8 | 10 | 11 | 14 | 15),
        }
    }
}

impl CollectorClient {
    /// A client that speaks gRPC, or plain HTTP.
    ///
    /// # Errors
    /// `Internal`, saying what is wrong with the CA file.
    pub fn new(settings: &ClientSettings, is_grpc: bool, within: Duration) -> Outcome<Self> {
        let connector = Connector::new(tls_config(settings)?, settings.connect_timeout);
        let pool = Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(90))
            .pool_max_idle_per_host(1)
            .http2_only(is_grpc)
            .build(connector);
        Ok(Self { pool, is_grpc, within })
    }

    /// Takes `message` to `uri`: with gRPC the address of the method.
    ///
    /// # Errors
    /// [`PostError`].
    pub async fn post(&self, uri: Uri, headers: &HeaderMap, message: Bytes) -> Result<(), PostError> {
        let mut request = Request::new(Full::new(if self.is_grpc { framed(&message) } else { message }));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = uri;
        *request.headers_mut() = headers.clone();
        let kind = if self.is_grpc { "application/grpc" } else { "application/x-protobuf" };
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        request
            .headers_mut()
            .insert(USER_AGENT, HeaderValue::from_static(concat!("unified-gateway/", env!("CARGO_PKG_VERSION"))));
        if self.is_grpc {
            *request.version_mut() = Version::HTTP_2;
            request.headers_mut().insert(TE, HeaderValue::from_static("trailers"));
        }
        let answered = async {
            let response = self.pool.request(request).await.map_err(|error| PostError::NoAnswer(error.into()))?;
            self.read(response).await
        };
        tokio::time::timeout(self.within, answered).await.unwrap_or_else(|late| Err(PostError::NoAnswer(late.into())))
    }

    async fn read(&self, response: http::Response<Incoming>) -> Result<(), PostError> {
        let (parts, mut body) = response.into_parts();
        if !parts.status.is_success() {
            return Err(PostError::Status(parts.status.as_u16()));
        }
        let mut status = grpc_status(&parts.headers);
        let mut bytes = 0;
        // Read to its end, so that the connection serves again.
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| PostError::NoAnswer(error.into()))?;
            bytes += frame.data_ref().map_or(0, Bytes::len);
            status = status.or_else(|| frame.trailers_ref().and_then(grpc_status));
            if bytes > MAX_ANSWER_BYTES {
                break;
            }
        }
        match status {
            Some(status) if self.is_grpc && status != 0 => Err(PostError::Grpc(status)),
            None if self.is_grpc => Err(PostError::NoAnswer("the call ended without a status".into())),
            Some(_) | None => Ok(()),
        }
    }
}

fn grpc_status(headers: &HeaderMap) -> Option<u16> {
    headers.get(GRPC_STATUS)?.to_str().ok()?.parse().ok()
}

/// One message of gRPC: not compressed, its length, itself.
fn framed(message: &Bytes) -> Bytes {
    let mut framed = BytesMut::with_capacity(message.len() + 5);
    framed.put_u8(0);
    framed.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    framed.extend_from_slice(message);
    framed.freeze()
}
