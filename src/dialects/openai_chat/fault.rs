//! Errors in the OpenAI envelope: `{"error":{"message","type","param","code"}}`, and what hosts make of it.

use bytes::Bytes;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::dialects::native::ProviderError;
use crate::dialects::node::Members;
use crate::dialects::out::quoted;
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

/// Reads the body of an error answer, whatever it is. Text that is not JSON becomes the message.
///
/// Shapes seen in the wild: the envelope, the bare body, `error` as text, `detail` as text or as a list of fields
/// (FastAPI, Mistral, Hugging Face), `errors` (Cloudflare), `base_resp` (MiniMax), a list with one envelope (Google), and
/// the provider's own answer inside a router's.
#[must_use]
pub fn read_error(body: &[u8]) -> ProviderError {
    match serde_json::from_slice(body) {
        Ok(Value::Object(fields)) => read_value(&Value::Object(fields)),
        Ok(value) if value.get(0).is_some() || value.is_string() => read_value(&value),
        Ok(_) | Err(_) => ProviderError { message: plain_text(body), ..ProviderError::default() },
    }
}

/// Reads the value of an `error` member.
#[must_use]
pub fn read_error_value(error: &[u8]) -> ProviderError {
    serde_json::from_slice(error).map_or_else(|_| ProviderError::default(), |value| read_value(&value))
}

/// The error that an answer or an event states instead of being one.
pub(super) fn stated_error(root: &Members<'_>) -> Option<ProviderError> {
    if let Some(error) = root.get("error").filter(|error| !matches!(error.raw(), "\"\"" | "false" | "{}")) {
        let mut error = read_error_value(error.raw().as_bytes());
        error.code = error.code.or_else(|| root.get("code").and_then(|code| to_text(&code.read()?)));
        return Some(error);
    }
    if root.has("choices") {
        return None;
    }
    let failed = root.any_object("base_resp").any_count("status_code").is_some_and(|code| code != 0);
    let says_so =
        root.any_text("object").as_deref() == Some("error") || root.any_text("type").as_deref() == Some("error");
    let is_bare = !root.has("id") && ["message", "detail", "msg"].iter().any(|name| root.has(name));
    (failed || says_so || is_bare).then(|| {
        let members: Vec<String> =
            root.iter().map(|(name, value)| format!("{}:{}", quoted(name), value.raw())).collect();
        read_error(format!("{{{}}}", members.join(",")).as_bytes())
    })
}

/// Errors are told in a few nestings; what is deeper is no error of an API.
const MOST_NESTED: usize = 4;

fn read_value(value: &Value) -> ProviderError {
    let mut error = ProviderError::default();
    read_into(value, &mut error, MOST_NESTED);
    error
}

/// Fills in what is not known yet; outer values come first, but the innermost message is the one that explains.
fn read_into(value: &Value, error: &mut ProviderError, depth: usize) {
    let Some(depth) = depth.checked_sub(1) else { return };
    match value {
        Value::Array(items) if items.iter().any(|item| item.get("msg").is_some()) => {
            error.message = items.iter().take(8).filter_map(field_problem).collect::<Vec<_>>().join("; ");
        }
        Value::Array(items) => {
            if let Some(first) = items.first() {
                read_into(first, error, depth);
            }
        }
        Value::Object(fields) => read_fields(fields, error, depth),
        other => error.message = to_text(other).unwrap_or_default(),
    }
}

fn read_fields(fields: &Map<String, Value>, error: &mut ProviderError, depth: usize) {
    let text = |names: &[&str]| names.iter().find_map(|name| fields.get(*name).and_then(to_text));
    let kind = text(&["type", "error_type", "object"]).filter(|kind| kind != "error");
    let status = text(&["status"]);
    let code = text(&["code", "error_code", "status_code"]);
    let http = text(&["http_code", "http_status_code", "raw_status_code"]);
    let stated = [&code, &http, &status].into_iter().flatten().find_map(|text| read_status(text));
    error.status = error.status.or(stated);
    // A word such as `INVALID_ARGUMENT`, not a number.
    let word = status.filter(|status| status.parse::<u64>().is_err());
    error.kind = error.kind.take().or(kind).or(word);
    error.param = error.param.take().or_else(|| text(&["param"]));
    error.code = error.code.take().or(code);
    for name in ["message", "Message", "msg", "status_msg", "title", "detail"] {
        match fields.get(name) {
            Some(nested @ (Value::Array(_) | Value::Object(_))) => read_into(nested, error, depth),
            Some(plain) => {
                if let Some(words) = to_text(plain) {
                    error.message = words;
                }
            }
            None => {}
        }
    }
    for name in ["error", "errors", "base_resp"] {
        if let Some(nested) = fields.get(name).filter(|nested| !nested.is_null()) {
            read_into(nested, error, depth);
        }
    }
    // A router's words around those of the provider behind it.
    if let Some(raw) = fields.get("metadata").and_then(|metadata| metadata.get("raw")).and_then(to_text) {
        let inner = read_error(raw.as_bytes());
        let words = [error.message.clone(), inner.message];
        error.message = words.into_iter().filter(|words| !words.is_empty()).collect::<Vec<_>>().join(": ");
    }
}

/// `{"loc": ["body", "messages", 0], "msg": "Field required"}` as a sentence.
fn field_problem(item: &Value) -> Option<String> {
    let words = item.get("msg").and_then(to_text)?;
    let place: Vec<String> = item.get("loc")?.as_array()?.iter().filter_map(to_text).collect();
    Some(if place.is_empty() { words } else { format!("{}: {words}", place.join(".")) })
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
