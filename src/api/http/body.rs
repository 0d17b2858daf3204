//! Reads JSON bodies: by type, under a cap for each and a cap for all together, without waiting forever.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http_body_util::BodyExt;

use crate::fault::{Fault, Kind, Outcome};

/// Reads bodies. One per listener: it knows how many bytes of bodies are in memory.
#[derive(Debug)]
pub struct BodyReader {
    /// Largest decoded body.
    pub max_bytes: usize,
    /// Most bytes of bodies at the same time.
    pub max_inflight_bytes: usize,
    /// Longest wait for the next piece.
    pub read_timeout: Duration,
    inflight_bytes: Arc<AtomicUsize>,
}

/// A body, and its share of the bytes in flight until it is dropped.
#[derive(Debug)]
pub struct HeldBody {
    /// The bytes.
    pub bytes: Bytes,
    _share: Share,
}

/// A part of the bytes in flight, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Share {
    bytes: usize,
    inflight_bytes: Arc<AtomicUsize>,
}

impl Drop for Share {
    fn drop(&mut self) {
        self.inflight_bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl BodyReader {
    /// A reader with these bounds.
    #[must_use]
    pub fn new(max_bytes: usize, max_inflight_bytes: usize, read_timeout: Duration) -> Self {
        Self { max_bytes, max_inflight_bytes, read_timeout, inflight_bytes: Arc::new(AtomicUsize::new(0)) }
    }

    /// Bytes of bodies in memory now.
    #[must_use]
    pub fn inflight_bytes(&self) -> usize {
        self.inflight_bytes.load(Ordering::Relaxed)
    }

    /// Nothing yet of the bytes in flight.
    pub(super) fn share(&self) -> Share {
        Share { bytes: 0, inflight_bytes: Arc::clone(&self.inflight_bytes) }
    }

    /// Reads a JSON body.
    ///
    /// # Errors
    /// `MediaType`, `TooLarge` as soon as it is, `Unavailable` when too many bodies are in flight, `RequestTimeout`,
    /// `BadRequest` when it breaks off or does not decode.
    pub async fn read_json(&self, headers: &HeaderMap, mut body: Body) -> Outcome<HeldBody> {
        check_type(headers)?;
        self.check_stated_length(headers)?;
        let mut share = self.share();
        let mut first: Option<Bytes> = None;
        let mut rest = BytesMut::new();
        loop {
            let frame = tokio::time::timeout(self.read_timeout, body.frame()).await;
            let frame = match frame.map_err(|_| Fault::new(Kind::RequestTimeout))? {
                None => break,
                Some(frame) => frame.map_err(|error| Fault::new(Kind::BadRequest).say(BROKEN).because(error))?,
            };
            let Ok(piece) = frame.into_data() else { continue };
            self.take_share(&mut share, piece.len())?;
            match &first {
                None => first = Some(piece),
                Some(head) => {
                    if rest.is_empty() {
                        rest.reserve(head.len() + piece.len());
                        rest.extend_from_slice(head);
                    }
                    rest.extend_from_slice(&piece);
                }
            }
        }
        let bytes = if rest.is_empty() { first.unwrap_or_default() } else { rest.freeze() };
        Ok(HeldBody { bytes, _share: share })
    }

    fn check_stated_length(&self, headers: &HeaderMap) -> Outcome<()> {
        // Of an encoded body the length says little; it is counted while it is decoded.
        let stated = headers.get(CONTENT_LENGTH).filter(|_| !headers.contains_key(CONTENT_ENCODING));
        let bytes = stated.and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
        if bytes.is_some_and(|bytes| bytes > self.max_bytes) { Err(self.too_large()) } else { Ok(()) }
    }

    fn take_share(&self, share: &mut Share, bytes: usize) -> Outcome<()> {
        if share.bytes.saturating_add(bytes) > self.max_bytes {
            return Err(self.too_large());
        }
        self.add_to(share, bytes)
    }

    /// Takes more of the bytes in flight.
    ///
    /// # Errors
    /// `Unavailable` when too many are.
    pub(super) fn add_to(&self, share: &mut Share, bytes: usize) -> Outcome<()> {
        share.bytes += bytes;
        let inflight_bytes = self.inflight_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if inflight_bytes > self.max_inflight_bytes {
            let sentence = "The gateway is reading too many large requests at the moment; try again shortly.";
            return Err(Fault::new(Kind::Unavailable).say(sentence).retry_after(Duration::from_secs(1)));
        }
        Ok(())
    }

    fn too_large(&self) -> Fault {
        Fault::new(Kind::TooLarge).say(format!("The body is larger than {} bytes.", self.max_bytes))
    }
}

pub(super) const BROKEN: &str = "The body broke off, or is not encoded as its content-encoding says.";

fn check_type(headers: &HeaderMap) -> Outcome<()> {
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case("application/json") {
        let shown: String = essence.chars().take(100).collect();
        let sent = if shown.is_empty() { "none".to_owned() } else { format!("`{shown}`") };
        let sentence = format!("The content-type must be application/json; the request has {sent}.");
        return Err(Fault::new(Kind::MediaType).say(sentence));
    }
    // What the decoder does not know passes it by and is still stated here.
    match headers.get(CONTENT_ENCODING).map(|value| value.to_str().unwrap_or_default()) {
        None | Some("identity") => Ok(()),
        Some(other) => {
            let shown: String = other.chars().take(40).collect();
            let sentence = format!("The content-encoding must be gzip, br, zstd or none; the request has `{shown}`.");
            Err(Fault::new(Kind::MediaType).say(sentence))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader(max_bytes: usize, max_inflight_bytes: usize) -> BodyReader {
        BodyReader::new(max_bytes, max_inflight_bytes, Duration::from_millis(50))
    }

    fn json() -> HeaderMap {
        HeaderMap::from_iter([(CONTENT_TYPE, "application/json; charset=utf-8".parse().unwrap())])
    }

    async fn kind(reader: &BodyReader, headers: &HeaderMap, body: Body) -> Option<Kind> {
        reader.read_json(headers, body).await.err().map(|fault| fault.kind())
    }

    #[tokio::test]
    async fn pieces_are_joined_and_their_share_is_given_back() {
        let reader = reader(100, 100);
        let pieces = ["{\"a\"", ":", "1}"].map(|piece| Ok::<_, std::io::Error>(Bytes::from(piece)));
        let body = Body::from_stream(futures_util::stream::iter(pieces));
        let held = reader.read_json(&json(), body).await.unwrap();
        assert_eq!(held.bytes, "{\"a\":1}");
        assert_eq!(reader.inflight_bytes.load(Ordering::Relaxed), 7);
        drop(held);
        assert_eq!(reader.inflight_bytes.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn what_is_too_much_is_refused_and_not_held() {
        let reader = reader(10, 15);
        assert_eq!(kind(&reader, &json(), Body::from("x".repeat(11))).await, Some(Kind::TooLarge));
        let mut stated = json();
        stated.insert(CONTENT_LENGTH, "11".parse().unwrap());
        assert_eq!(kind(&reader, &stated, Body::empty()).await, Some(Kind::TooLarge));
        let held = reader.read_json(&json(), Body::from("x".repeat(10))).await.unwrap();
        assert_eq!(kind(&reader, &json(), Body::from("x".repeat(10))).await, Some(Kind::Unavailable));
        drop(held);
        assert_eq!(kind(&reader, &json(), Body::from("x".repeat(10))).await, None);
    }

    #[tokio::test]
    async fn other_types_encodings_and_stalls_are_refused() {
        let reader = reader(10, 10);
        assert_eq!(kind(&reader, &HeaderMap::new(), Body::from("{}")).await, Some(Kind::MediaType));
        let mut text = HeaderMap::new();
        text.insert(CONTENT_TYPE, "text/plain".parse().unwrap());
        assert_eq!(kind(&reader, &text, Body::from("{}")).await, Some(Kind::MediaType));
        let mut encoded = json();
        encoded.insert(CONTENT_ENCODING, "compress".parse().unwrap());
        assert_eq!(kind(&reader, &encoded, Body::from("{}")).await, Some(Kind::MediaType));
        let never = Body::from_stream(futures_util::stream::pending::<Result<Bytes, std::io::Error>>());
        assert_eq!(kind(&reader, &json(), never).await, Some(Kind::RequestTimeout));
    }
}
