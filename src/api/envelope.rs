//! Faults in the error envelope of a contract, with the headers that go with them.

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};

use crate::dialects::anthropic_messages;
use crate::dialects::openai_chat::fault::write_fault;
use crate::fault::{Blame, Fault};

const RETRY_AFTER_MS: HeaderName = HeaderName::from_static("retry-after-ms");
const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

/// The HTTP status of a fault.
#[must_use]
pub fn status(fault: &Fault) -> StatusCode {
    StatusCode::from_u16(fault.kind().row().http).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// Adds what a fault says in headers: `retry-after` (whole seconds, rounded up), `retry-after-ms` for waits under a
/// second, `x-should-retry: false` where a client library must not repeat the request by itself.
pub fn write_headers(fault: &Fault, headers: &mut HeaderMap) {
    if let Some(wait) = fault.wait() {
        headers.insert(RETRY_AFTER, HeaderValue::from(whole_seconds(wait)));
        if wait < Duration::from_secs(1) {
            headers.insert(RETRY_AFTER_MS, HeaderValue::from(wait.subsec_millis()));
        }
    }
    if fault.is_final() {
        headers.insert(SHOULD_RETRY, HeaderValue::from_static("false"));
    }
}

/// The whole answer to a fault in the OpenAI envelope.
#[must_use]
pub fn openai_response(fault: &Fault) -> Response<Body> {
    response(fault, write_fault(fault))
}

/// The whole answer to a fault in the Anthropic envelope.
#[must_use]
pub fn anthropic_response(fault: &Fault, request_id: Option<&str>) -> Response<Body> {
    response(fault, anthropic_messages::fault::write_fault(fault, request_id))
}

fn response(fault: &Fault, body: Bytes) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status(fault);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    write_headers(fault, response.headers_mut());
    response
}

/// Logs the private side of a fault, once, where it leaves the gateway. What the caller has to mend is not logged.
pub fn log(fault: &Fault, request_id: Option<&str>) {
    let (slug, error) = (fault.kind().row().slug, fault.cause());
    let request_id = request_id.unwrap_or("-");
    match fault.kind().row().blame {
        Blame::Caller => {}
        Blame::Gateway => {
            tracing::error!(fault = slug, request_id, error, "{}", fault.message());
        }
        Blame::Operator | Blame::Provider => {
            tracing::warn!(fault = slug, request_id, error, "{}", fault.message());
        }
    }
}

fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::Kind;

    #[test]
    fn the_envelope_has_message_type_param_and_code() {
        let fault = Fault::invalid("rpm", "must be \"whole\"").because(std::io::Error::other("private"));
        assert_eq!(
            String::from_utf8(write_fault(&fault).to_vec()).unwrap(),
            r#"{"error":{"message":"rpm: must be \"whole\"","type":"invalid_request_error","param":"rpm","code":null}}"#
        );
    }

    #[test]
    fn waits_are_rounded_up_and_short_ones_are_exact_too() {
        let response =
            openai_response(&Fault::new(Kind::RateLimited).retry_after(Duration::from_millis(250)).never_retry());
        assert_eq!(response.status(), 429);
        assert_eq!(response.headers()["retry-after"], "1");
        assert_eq!(response.headers()["retry-after-ms"], "250");
        assert_eq!(response.headers()["x-should-retry"], "false");
        let response = openai_response(&Fault::new(Kind::Unavailable).retry_after(Duration::from_millis(40_001)));
        assert_eq!(response.headers()["retry-after"], "41");
        assert!(!response.headers().contains_key("retry-after-ms"));
        assert!(!openai_response(&Kind::Internal.into()).headers().contains_key("retry-after"));
    }
}
