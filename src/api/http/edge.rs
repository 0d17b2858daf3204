//! What every request passes first and every answer last: request ids, framing doubts, keys in the wrong place.

use std::sync::Arc;

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::api::envelope;
use crate::fault::{Fault, Kind};
use crate::telemetry::names::header;
use crate::time::Clock;
use crate::vault::{Entropy, VIRTUAL_KEY_PREFIX};

const REQUEST_ID: HeaderName = HeaderName::from_static(header::REQUEST_ID);
const MAX_REQUEST_ID_BYTES: usize = 200;

/// Makes request ids.
#[derive(Clone)]
pub struct RequestIds {
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
}

impl std::fmt::Debug for RequestIds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RequestIds")
    }
}

impl RequestIds {
    /// Makes ids from time and entropy.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>) -> Self {
        Self { clock, entropy }
    }

    /// `req_` + a UUIDv7 without dashes: sorts by time.
    fn next(&self) -> String {
        let mut random = [0; 10];
        self.entropy.fill(&mut random);
        let ms = u64::try_from(self.clock.now().unix_ms()).unwrap_or_default();
        format!("req_{}", uuid::Builder::from_unix_timestamp_millis(ms, &random).into_uuid().simple())
    }
}

/// Gives every request an id (its own, if it is usable) and every answer the same. Handlers find it with [`request_id`].
pub async fn request_ids(ids: RequestIds, mut request: Request, next: Next) -> Response {
    let id = request.headers().get(REQUEST_ID).filter(|sent| is_usable(sent)).cloned();
    let id = id.or_else(|| HeaderValue::try_from(ids.next()).ok());
    let is_doubtful = has_two_lengths(request.headers());
    request.headers_mut().remove(REQUEST_ID);
    if let Some(id) = &id {
        request.headers_mut().insert(REQUEST_ID, id.clone());
    }
    let mut response = next.run(request).await;
    if let Some(id) = id {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    if is_doubtful {
        // Whoever is in front of us may have framed this request differently: nothing that follows can be trusted.
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Refuses a credential in the query string, whatever it is: such URLs end up in logs.
pub async fn no_keys_in_query(request: Request, next: Next) -> Response {
    if request.uri().query().is_some_and(has_key) {
        let sentence = "API keys are not taken from the query string; send the header `authorization: Bearer …`.";
        return envelope::openai_response(&Fault::new(Kind::BadRequest).say(sentence));
    }
    next.run(request).await
}

/// The request's id, as [`request_ids`] settled it.
#[must_use]
pub fn request_id(headers: &HeaderMap) -> String {
    headers.get(REQUEST_ID).and_then(|id| id.to_str().ok()).unwrap_or_default().to_owned()
}

fn is_usable(id: &HeaderValue) -> bool {
    let bytes = id.as_bytes();
    (1..=MAX_REQUEST_ID_BYTES).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_graphic)
}

fn has_two_lengths(headers: &HeaderMap) -> bool {
    let lengths = headers.get_all(CONTENT_LENGTH).iter().count();
    lengths > 1 || (lengths == 1 && headers.contains_key(TRANSFER_ENCODING))
}

fn has_key(query: &str) -> bool {
    const NAMES: [&str; 6] = ["key", "api_key", "api-key", "apikey", "x-api-key", "access_token"];
    url::form_urlencoded::parse(query.as_bytes()).any(|(name, value)| {
        NAMES.iter().any(|known| known.eq_ignore_ascii_case(&name)) || value.starts_with(VIRTUAL_KEY_PREFIX)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_visible_ascii_of_bounded_length_is_echoed() {
        let usable = |text: &str| is_usable(&HeaderValue::from_bytes(text.as_bytes()).unwrap());
        assert!(usable("abc-123"));
        assert!(usable(&"x".repeat(200)));
        assert!(!usable(&"x".repeat(201)));
        assert!(!usable("two words"));
        assert!(!usable("é"));
        assert!(!usable(""));
    }

    #[test]
    fn keys_in_a_query_are_found_by_name_or_shape() {
        for query in ["key=1", "a=1&API_KEY=x", "foo=unified-abc", "api%2Dkey=1"] {
            assert!(has_key(query), "{query}");
        }
        for query in ["beta=true", "monkey=1", "limit=5"] {
            assert!(!has_key(query), "{query}");
        }
    }
}
