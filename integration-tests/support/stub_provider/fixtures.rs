//! Responses and Messages: the request's model names the fixture that answers it, or how tokens are counted.

use super::script::Script;
use super::server::Received;
use serde_json::json;
use std::path::Path;

/// The fixture `model` of a wire, whole or streamed as asked for; 404 in the wire's envelope when there is none.
pub(super) fn answer(wire: &str, received: &Received) -> Script {
    let is_stream = received.json()["stream"] == true;
    let extension = if is_stream { "sse" } else { "json" };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("integration-tests/fixtures").join(wire);
    let is_name = received.model.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    let fixture = is_name.then(|| std::fs::read_to_string(folder.join(format!("{}.{extension}", received.model))));
    match fixture {
        Some(Ok(text)) if is_stream => {
            let frames: Vec<String> = text.split_inclusive("\n\n").map(str::to_owned).collect();
            Script::events(frames)
        }
        Some(Ok(text)) => Script::json(200, text),
        Some(Err(_)) | None => {
            let error = json!({"type": "not_found_error", "message": "model: unknown", "code": "model_not_found"});
            Script::json(404, json!({"type": "error", "error": error}).to_string())
        }
    }
}

/// A count of tokens: `text` has a counter, `text_too_strange` refuses, others have none.
pub(super) fn count(received: &Received) -> Script {
    let refusal = |kind: &str, message: &str| {
        json!({"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_Stub1"}).to_string()
    };
    match received.model.as_str() {
        "text" if received.json().get("max_tokens").is_some() => {
            Script::json(400, refusal("invalid_request_error", "max_tokens: Extra inputs are not permitted"))
        }
        "text" => Script::json(200, r#"{"input_tokens": 1234}"#),
        "text_too_strange" => Script::json(400, refusal("invalid_request_error", "messages.0: role is unknown")),
        _ => Script::json(404, refusal("not_found_error", "Not Found")),
    }
}
