//! Errors in the OpenAI envelope: `{"error":{"message","type","param","code"}}`, and what hosts make of it.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::dialects::native::ProviderError;
use crate::fault::Fault;

#[derive(Serialize)]
struct Envelope<'a> {
    error: Body<'a>,
}

#[derive(Serialize)]
struct Body<'a> {
    message: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    param: Option<&'a str>,
    code: Option<&'static str>,
}

/// The envelope of a fault, as a JSON document.
#[must_use]
pub fn write_fault(fault: &Fault) -> Bytes {
    let row = fault.kind().row();
    let body = Body { message: fault.message(), kind: row.openai_type, param: fault.at(), code: fault.error_code() };
    // Strings always serialise; the fallback keeps the promise of an envelope without a panic.
    serde_json::to_vec(&Envelope { error: body }).map_or_else(
        |_| {
            Bytes::from_static(
                b"{\"error\":{\"message\":\"error\",\"type\":\"server_error\",\"param\":null,\"code\":null}}",
            )
        },
        Bytes::from,
    )
}

/// The error event of a stream that has begun.
#[must_use]
pub fn write_fault_event(fault: &Fault) -> Bytes {
    let json = write_fault(fault);
    let mut event = Vec::with_capacity(json.len() + 8);
    event.extend_from_slice(b"data: ");
    event.extend_from_slice(&json);
    event.extend_from_slice(b"\n\n");
    event.into()
}

/// Shapes seen in the wild: the envelope, the bare body, `{"detail": …}`, `{"message": …}`, a list with one envelope.
#[derive(Deserialize)]
struct Loose {
    error: Option<Value>,
    message: Option<Value>,
    detail: Option<Value>,
    #[serde(rename = "type")]
    kind: Option<Value>,
    code: Option<Value>,
    param: Option<Value>,
}

/// Reads the body of an error answer, whatever it is. Text that is not JSON becomes the message.
#[must_use]
pub fn read_error(body: &[u8]) -> ProviderError {
    let parsed: Option<Value> = serde_json::from_slice(body).ok();
    let first = match parsed {
        Some(Value::Array(mut items)) if !items.is_empty() => Some(items.swap_remove(0)),
        other => other,
    };
    match first.and_then(|value| serde_json::from_value::<Loose>(value).ok()) {
        Some(loose) => read_loose(loose),
        None => ProviderError { message: plain_text(body), ..ProviderError::default() },
    }
}

/// Reads the value of an `error` member.
#[must_use]
pub fn read_error_value(error: &[u8]) -> ProviderError {
    let value: Value = serde_json::from_slice(error).unwrap_or(Value::Null);
    read_loose(Loose { error: Some(value), message: None, detail: None, kind: None, code: None, param: None })
}

fn read_loose(loose: Loose) -> ProviderError {
    match loose.error {
        Some(Value::Object(fields)) => {
            let text = |name: &str| fields.get(name).and_then(to_text);
            let code = text("code");
            ProviderError {
                status: code.as_deref().or(text("status_code").as_deref()).and_then(read_status),
                kind: text("type").or_else(|| text("status")),
                param: text("param"),
                message: text("message").unwrap_or_default(),
                retry_after: None,
                code,
            }
        }
        error => {
            let code = loose.code.as_ref().and_then(to_text);
            let message = [error, loose.message, loose.detail].into_iter().flatten().find_map(|value| to_text(&value));
            ProviderError {
                status: code.as_deref().and_then(read_status),
                kind: loose.kind.as_ref().and_then(to_text),
                param: loose.param.as_ref().and_then(to_text),
                message: message.unwrap_or_default(),
                retry_after: None,
                code,
            }
        }
    }
}

fn to_text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => (!text.is_empty()).then(|| text.clone()),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => Some(value.to_string()),
    }
}

fn read_status(code: &str) -> Option<u16> {
    code.parse().ok().filter(|status| (400..600).contains(status))
}

/// The start of a body that is not JSON, without markup.
fn plain_text(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body.get(..2000).unwrap_or(body));
    if text.trim_start().starts_with('<') { String::new() } else { text.trim().to_owned() }
}
