//! Bodies: requests sent as a list of shared slices, replies read under a cap and a deadline.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;

/// A request body of slices of other buffers, so that a spliced body is never copied. Length known, framing ours.
#[derive(Debug)]
pub struct ChunkedRequestBody {
    chunks: VecDeque<Bytes>,
    left: u64,
    touched: Arc<AtomicBool>,
}

impl ChunkedRequestBody {
    pub(super) fn new(chunks: Vec<Bytes>, touched: Arc<AtomicBool>) -> Self {
        let left = chunks.iter().map(|chunk| chunk.len() as u64).sum();
        Self { chunks: chunks.into(), left, touched }
    }
}

impl Body for ChunkedRequestBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.touched.store(true, Ordering::Relaxed);
        let next = self.chunks.pop_front();
        if let Some(chunk) = &next {
            self.left -= chunk.len() as u64;
        }
        Poll::Ready(next.map(|chunk| Ok(Frame::data(chunk))))
    }

    fn is_end_stream(&self) -> bool {
        self.chunks.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

/// Why a reply could not be read to its end.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The connection broke, or the peer broke the protocol.
    #[error("the reply was cut off")]
    Cut(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Nothing arrived for too long.
    #[error("the reply stalled")]
    Stalled,
    /// It is larger than we read.
    #[error("the reply is larger than {0} bytes")]
    TooLarge(usize),
}

/// A reply whose headers have arrived.
#[derive(Debug)]
pub struct Reply {
    /// Status line.
    pub status: StatusCode,
    /// All headers, as sent.
    pub headers: HeaderMap,
    body: Incoming,
}

impl Reply {
    pub(super) fn new(response: http::Response<Incoming>) -> Self {
        let (parts, body) = response.into_parts();
        Self { status: parts.status, headers: parts.headers, body }
    }

    /// The next piece of the body, `None` at its end.
    ///
    /// # Errors
    /// [`ReadError::Cut`], or [`ReadError::Stalled`] when nothing arrives within `idle`.
    pub async fn next_chunk(&mut self, idle: Duration) -> Result<Option<Bytes>, ReadError> {
        loop {
            let frame = tokio::time::timeout(idle, self.body.frame()).await.map_err(|_| ReadError::Stalled)?;
            match frame {
                None => return Ok(None),
                Some(Err(error)) => return Err(ReadError::Cut(error.into())),
                Some(Ok(frame)) => {
                    // Trailers carry nothing for us.
                    if let Ok(data) = frame.into_data()
                        && !data.is_empty()
                    {
                        return Ok(Some(data));
                    }
                }
            }
        }
    }

    /// The whole body, if it has at most `cap` bytes and never stalls for longer than `idle`.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn read_capped(&mut self, cap: usize, idle: Duration) -> Result<Bytes, ReadError> {
        let Some(first) = self.next_chunk(idle).await? else { return Ok(Bytes::new()) };
        if first.len() > cap {
            return Err(ReadError::TooLarge(cap));
        }
        let Some(second) = self.next_chunk(idle).await? else { return Ok(first) };
        let mut whole = BytesMut::with_capacity((first.len() + second.len()).max(16 * 1024).min(cap));
        whole.extend_from_slice(&first);
        let mut next = Some(second);
        while let Some(chunk) = next {
            if whole.len() + chunk.len() > cap {
                return Err(ReadError::TooLarge(cap));
            }
            whole.extend_from_slice(&chunk);
            next = self.next_chunk(idle).await?;
        }
        Ok(whole.freeze())
    }
}
