//! Routing facts in an answer, for a client that asked for them with `x-unified-routing-metadata: true`.

use bytes::{Bytes, BytesMut};
use serde::{Deserialize, Serialize};

use crate::canonical::Wire;
use crate::domain::settings::{ParameterStrategy, RoutingStrategy};

/// The name of the object in JSON bodies and in the last event of a stream.
const FIELD: &str = "unified_routing";

/// What decided.
#[derive(Debug, Clone, Copy)]
pub(super) struct Strategies {
    pub routing: RoutingStrategy,
    pub parameters: ParameterStrategy,
}

/// `unified_routing`.
#[derive(Debug, Serialize)]
pub(super) struct Routing<'a> {
    pub served_model: &'a str,
    /// The opaque id of the deployment that answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub served_by: Option<&'a str>,
    pub routing_strategy: &'static str,
    pub unsupported_parameter_strategy: &'static str,
    pub fallback_used: bool,
    pub attempt_count: usize,
    pub attempts: Vec<Attempt<'a>>,
}

/// One upstream call.
#[derive(Debug, Serialize)]
pub(super) struct Attempt<'a> {
    /// 0 for the first.
    pub index: usize,
    pub ok: bool,
    pub latency_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_class: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health_impact: Option<&'static str>,
}

/// The object as JSON.
pub(super) fn write(routing: &Routing<'_>) -> String {
    // Plain fields: nothing of it can fail to be written.
    serde_json::to_string(routing).unwrap_or_else(|_| "null".to_owned())
}

/// Adds `unified_routing` at the end of a JSON body. What is no object stays as it is.
#[must_use]
pub fn add_to_body(mut body: Vec<Bytes>, routing: &str) -> Vec<Bytes> {
    let at = body.iter().rposition(|piece| piece.iter().any(|byte| !byte.is_ascii_whitespace()));
    let Some((at, last)) = at.and_then(|at| Some((at, body.get(at)?))) else { return body };
    if let Some(longer) = add_to_object(last, routing) {
        body.truncate(at);
        body.push(longer);
    }
    body
}

/// Bytes of a JSON body once the object, if there is one, is added.
pub(super) fn length_with(body: &[Bytes], routing: Option<&str>) -> u64 {
    let length = |body: &[Bytes]| body.iter().map(|piece| piece.len() as u64).sum();
    routing.map_or_else(|| length(body), |routing| length(&add_to_body(body.to_vec(), routing)))
}

/// Adds the object to the last event of a stream, which is in `pending`; in Chat Completions as a chunk of its own, with
/// the identity of the others.
pub(super) fn add_to_stream(contract: Wire, pending: &mut BytesMut, head: Option<&Head>, routing: &str) {
    let changed = match contract {
        Wire::Chat => {
            let head = head.and_then(|head| serde_json::to_string(head).ok()).unwrap_or_else(|| "{}".to_owned());
            let fields = format!(r#""object":"chat.completion.chunk","choices":[],"{FIELD}":{routing}"#);
            let separator = if head == "{}" { "" } else { "," };
            let chunk = format!("data: {}{separator}{fields}}}\n\n", head.trim_end_matches('}'));
            memchr::memmem::rfind(pending, b"data: [DONE]").map(|at| insert(pending, at..at, chunk.as_bytes()))
        }
        Wire::Responses | Wire::Messages | Wire::GenerateContent => return add_to_last_event(pending, routing),
    };
    if let Some(changed) = changed {
        *pending = changed;
    }
}

/// Adds the object to the last event with an object, which is in `pending`: the end of a stream, or its failure.
pub(super) fn add_to_last_event(pending: &mut BytesMut, routing: &str) {
    let changed = memchr::memmem::rfind(pending, b"data: {").and_then(|start| {
        let line = pending.get(start..)?;
        let end = start + memchr::memchr(b'\n', line).unwrap_or(line.len());
        let longer = add_to_object(pending.get(start..end)?, routing)?;
        Some(insert(pending, start..end, &longer))
    });
    if let Some(changed) = changed {
        *pending = changed;
    }
}

/// What chunks of one answer share.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Head {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    created: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<String>,
}

impl Head {
    /// Reads it from the first chunk of a stream.
    pub(super) fn read(events: &[u8]) -> Option<Self> {
        let start = memchr::memmem::find(events, b"data: {")? + "data: ".len();
        let line = events.get(start..)?;
        let end = memchr::memchr(b'\n', line).unwrap_or(line.len());
        serde_json::from_slice(line.get(..end)?).ok()
    }
}

fn add_to_object(text: &[u8], routing: &str) -> Option<Bytes> {
    let end = text.iter().rposition(|byte| !byte.is_ascii_whitespace())?;
    let (before, after) = text.split_at(end);
    let after = after.strip_prefix(b"}")?;
    let is_empty = before.iter().rfind(|byte| !byte.is_ascii_whitespace()) == Some(&b'{');
    let separator: &[u8] = if is_empty { b"" } else { b"," };
    let field = format!(r#""{FIELD}":{routing}}}"#);
    Some([before, separator, field.as_bytes(), after].concat().into())
}

fn insert(text: &BytesMut, at: std::ops::Range<usize>, middle: &[u8]) -> BytesMut {
    let before = text.get(..at.start).unwrap_or_default();
    let after = text.get(at.end..).unwrap_or_default();
    BytesMut::from([before, middle, after].concat().as_slice())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(pieces: &[&'static str]) -> String {
        let pieces = pieces.iter().map(|piece| Bytes::from_static(piece.as_bytes())).collect();
        String::from_utf8(add_to_body(pieces, "7").concat()).unwrap()
    }

    #[test]
    fn the_object_is_the_last_field_of_a_body_and_nothing_else_changes() {
        assert_eq!(body(&[r#"{"a": 1.50"#, "}\n"]), "{\"a\": 1.50,\"unified_routing\":7}\n");
        assert_eq!(body(&[r#"{"a":{}}"#, "\n"]), r#"{"a":{},"unified_routing":7}"#);
        assert_eq!(body(&["{ }"]), r#"{ "unified_routing":7}"#);
        assert_eq!(body(&["[1]"]), "[1]");
        assert_eq!(body(&[]), "");
    }

    #[test]
    fn a_stream_of_chat_gets_a_chunk_before_its_end_and_one_of_responses_a_field_in_its_last_event() {
        let head = Head::read(b": hi\n\ndata: {\"id\":\"x\",\"created\":5,\"model\":\"m\",\"choices\":[]}\n\n");
        let mut pending = BytesMut::from("data: {\"id\":\"x\"}\n\ndata: [DONE]\n\n");
        add_to_stream(Wire::Chat, &mut pending, head.as_ref(), "7");
        let expected = "data: {\"id\":\"x\"}\n\ndata: {\"id\":\"x\",\"created\":5,\"model\":\"m\",\
             \"object\":\"chat.completion.chunk\",\"choices\":[],\"unified_routing\":7}\n\ndata: [DONE]\n\n";
        assert_eq!(pending, expected);
        let mut pending = BytesMut::from("data: [DONE]\n\n");
        add_to_stream(Wire::Chat, &mut pending, None, "7");
        assert!(pending.starts_with(b"data: {\"object\""), "{pending:?}");
        let mut pending = BytesMut::from("event: a\ndata: {\"b\":{}}\n\n");
        add_to_stream(Wire::Responses, &mut pending, None, "7");
        assert_eq!(pending, "event: a\ndata: {\"b\":{},\"unified_routing\":7}\n\n");
        let mut pending = BytesMut::from("event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n");
        add_to_stream(Wire::Messages, &mut pending, None, "8");
        assert_eq!(pending, "event: message_stop\ndata: {\"type\":\"message_stop\",\"unified_routing\":8}\n\n");
        let mut pending = BytesMut::from("data: {\"error\":{}}\n\ndata: [DONE]\n\n");
        add_to_last_event(&mut pending, "9");
        assert_eq!(pending, "data: {\"error\":{},\"unified_routing\":9}\n\ndata: [DONE]\n\n");
    }
}
