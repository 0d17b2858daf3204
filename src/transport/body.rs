//! Bodies: requests sent as a list of shared slices and files, replies read under a cap and a deadline.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::task::JoinHandle;

use super::line::Call;
use super::upload::Upload;

/// Read of an uploaded file at a time; a multiple of three, so that each is base64 of its own.
const FILE_PIECE_BYTES: usize = 96 * 1024;

/// A part of a request body.
#[derive(Debug, Clone)]
pub enum Piece {
    /// Bytes in memory, shared.
    Bytes(Bytes),
    /// An uploaded file.
    File(Upload),
    /// An uploaded file in base64.
    Base64(Upload),
}

impl Piece {
    fn bytes(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File(file) => file.bytes(),
            Self::Base64(file) => file.bytes().div_ceil(3).saturating_mul(4),
        }
    }
}

impl From<Bytes> for Piece {
    fn from(bytes: Bytes) -> Self {
        Self::Bytes(bytes)
    }
}

/// The parts of a request body, in order. They can be read again and again.
#[derive(Debug, Clone, Default)]
pub struct Pieces(pub Vec<Piece>);

impl From<Vec<Bytes>> for Pieces {
    fn from(pieces: Vec<Bytes>) -> Self {
        Self(pieces.into_iter().map(Piece::Bytes).collect())
    }
}

impl From<Vec<Piece>> for Pieces {
    fn from(pieces: Vec<Piece>) -> Self {
        Self(pieces)
    }
}

/// A request body of slices of other buffers, so that a spliced body is never copied, and of files, which are read as they
/// are sent. Length known, framing ours.
#[derive(Debug)]
pub struct ChunkedRequestBody {
    pieces: VecDeque<Piece>,
    left: u64,
    touched: Arc<AtomicBool>,
    /// How much of the first piece, a file, was read.
    at: u64,
    reading: Option<JoinHandle<io::Result<Bytes>>>,
}

impl ChunkedRequestBody {
    pub(super) fn new(pieces: Pieces, touched: Arc<AtomicBool>) -> Self {
        let left = pieces.0.iter().map(Piece::bytes).sum();
        Self { pieces: pieces.0.into(), left, touched, at: 0, reading: None }
    }

    /// The next bytes of the first piece, a file.
    fn poll_file(&mut self, file: &Upload, context: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        let at = self.at;
        let reading = self.reading.get_or_insert_with(|| {
            let file = file.clone();
            tokio::task::spawn_blocking(move || file.read_at(at, FILE_PIECE_BYTES))
        });
        let read = ready!(Pin::new(reading).poll(context));
        self.reading = None;
        let bytes = read.map_err(io::Error::other)??;
        self.at += bytes.len() as u64;
        if self.at >= file.bytes() {
            self.pieces.pop_front();
            self.at = 0;
        }
        Poll::Ready(Ok(bytes))
    }
}

impl Body for ChunkedRequestBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        self.touched.store(true, Ordering::Relaxed);
        let this = &mut *self;
        let bytes = match this.pieces.front().cloned() {
            None => return Poll::Ready(None),
            Some(Piece::Bytes(bytes)) => {
                this.pieces.pop_front();
                bytes
            }
            Some(Piece::File(file)) => ready!(this.poll_file(&file, context))?,
            Some(Piece::Base64(file)) => Bytes::from(STANDARD.encode(ready!(this.poll_file(&file, context))?)),
        };
        this.left = this.left.saturating_sub(bytes.len() as u64);
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.pieces.is_empty()
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
    /// Counts its connection as used for as long as it may be read.
    _call: Option<Call>,
}

impl Reply {
    pub(super) fn new(response: http::Response<Incoming>) -> Self {
        let (parts, body) = response.into_parts();
        Self { status: parts.status, headers: parts.headers, body, _call: None }
    }

    /// The same as the answer of a call that is counted.
    pub(super) fn on(self, call: Option<Call>) -> Self {
        Self { _call: call, ..self }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::Uploads;

    #[tokio::test]
    async fn files_are_sent_as_they_are_or_in_base64_as_often_as_asked() {
        let folder = tempfile::tempdir().unwrap();
        let uploads = Uploads::new(folder.path().to_owned(), 1 << 20);
        // Longer than one read, and not a multiple of three.
        let content: Vec<u8> = (0..=255).cycle().take(FILE_PIECE_BYTES * 2 + 7).collect();
        let mut writer = uploads.create().await.unwrap();
        uploads.write(&mut writer, &content).await.unwrap();
        let file = writer.finish().await.unwrap();
        let pieces = Pieces(vec![
            Piece::Bytes(Bytes::from_static(b"<")),
            Piece::File(file.clone()),
            Piece::Bytes(Bytes::from_static(b"|")),
            Piece::Base64(file),
        ]);
        let expected = [&b"<"[..], &content, b"|", STANDARD.encode(&content).as_bytes()].concat();
        for _ in 0..2 {
            let touched = Arc::new(AtomicBool::new(false));
            let mut body = ChunkedRequestBody::new(pieces.clone(), Arc::clone(&touched));
            assert_eq!(body.size_hint().exact(), Some(expected.len() as u64));
            let mut sent = Vec::new();
            while let Some(frame) = body.frame().await {
                sent.extend_from_slice(&frame.unwrap().into_data().unwrap());
            }
            assert!(sent == expected, "the bytes differ");
            assert!(touched.load(Ordering::Relaxed));
        }
    }
}
