//! Errors in Google's envelope: `{"error":{"code","message","status","details"}}`, alone or as the one item of a list.
//! Source: google.rpc.Status with `ErrorInfo` and `RetryInfo` among its details (cloud.google.com/apis/design/errors).

use std::time::Duration;

use bytes::Bytes;

use crate::dialects::native::ProviderError;
use crate::dialects::node::{Members, Node};
use crate::dialects::openai_chat::fault as loose;
use crate::dialects::out;
use crate::fault::Fault;

/// Longer waits than this are not believed.
const LONGEST_WAIT_S: f64 = 86_400.0;

/// Reads the body of an error answer, whatever it is.
#[must_use]
pub fn read_error(body: &[u8]) -> ProviderError {
    let text = std::str::from_utf8(body).unwrap_or_default();
    let is_json = serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
    let stated = if is_json { find(&Node::root(text)) } else { None };
    stated.map_or_else(|| loose::read_error(body), |error| read_error_value(&error))
}

/// The `error` of an envelope, or of the first envelope of a list.
pub(super) fn find<'a>(body: &Node<'a>) -> Option<Members<'a>> {
    let first = if body.is_list() { body.list().ok()?.into_iter().next()? } else { body.clone() };
    first.object().ok()?.get("error")?.object().ok()
}

/// Reads an `error`. The reason of its `ErrorInfo` says more than the status word, so it is the code.
#[must_use]
pub(super) fn read_error_value(error: &Members<'_>) -> ProviderError {
    let kind = error.any_text("status");
    let mut reason = None;
    let mut retry_after = None;
    for detail in error.any_list("details") {
        let Ok(detail) = detail.object() else { continue };
        reason = reason.or_else(|| detail.any_text("reason"));
        retry_after = retry_after.or_else(|| read_delay(&detail.any_text("retryDelay")?));
    }
    let status = error.any_count("code").and_then(|code| u16::try_from(code).ok());
    ProviderError {
        status: status.filter(|status| (400..600).contains(status)),
        code: reason.or_else(|| kind.clone()),
        kind,
        param: None,
        message: error.any_text("message").unwrap_or_default(),
        retry_after,
    }
}

/// A duration as Protocol Buffers write it in JSON: `37.5s`.
fn read_delay(text: &str) -> Option<Duration> {
    let seconds: f64 = text.strip_suffix('s')?.parse().ok()?;
    if seconds.is_nan() {
        return None;
    }
    Duration::try_from_secs_f64(seconds.min(LONGEST_WAIT_S)).ok()
}

/// The envelope of a fault, as a JSON document.
#[must_use]
pub fn write_fault(fault: &Fault) -> Bytes {
    let row = fault.kind().row();
    let json = out::object(|out| {
        out.object("error", |error| {
            error.number("code", row.http).text("message", fault.message()).text("status", status_word(row.http));
        });
    });
    json.into()
}

/// The error event of a stream that has begun.
#[must_use]
pub fn write_fault_event(fault: &Fault) -> Bytes {
    let mut event = b"data: ".to_vec();
    event.extend_from_slice(&write_fault(fault));
    event.extend_from_slice(b"\n\n");
    event.into()
}

/// Google's word for a status.
const fn status_word(status: u16) -> &'static str {
    match status {
        400 | 413 | 415 | 422 => "INVALID_ARGUMENT",
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 | 405 => "NOT_FOUND",
        409 => "ABORTED",
        429 => "RESOURCE_EXHAUSTED",
        503 => "UNAVAILABLE",
        504 => "DEADLINE_EXCEEDED",
        _ => "INTERNAL",
    }
}
