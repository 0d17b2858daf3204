//! Responses, Messages and Gemini: the request's model names the fixture that answers it, or how tokens are counted.

use super::script::Script;
use super::server::Received;
use serde_json::json;
use std::path::Path;

/// The model and whether a stream is asked for, where a path of Gemini says so: `/v1beta/models/text:generateContent`.
pub(super) fn read_gemini_path(path: &str) -> Option<(&str, bool)> {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let name = path.strip_prefix("/v1beta/").or_else(|| path.strip_prefix("/v1/"))?.strip_prefix("models/")?;
    match name.split_once(':')? {
        (model, "generateContent") => Some((model, false)),
        // Without `alt=sse` the provider answers with one long list.
        (model, "streamGenerateContent") if query == "alt=sse" => Some((model, true)),
        _ => None,
    }
}

/// The fixture of Gemini that a path names; `error_429_quota` is an error of that status.
pub(super) fn answer_gemini(model: &str, is_stream: bool) -> Script {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("integration-tests/fixtures/gemini");
    let is_name = model.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    let name = if is_name { model } else { "unknown" };
    if let Some(status) = name.strip_prefix("error_").and_then(|rest| rest.get(..3)?.parse().ok())
        && let Ok(text) = std::fs::read_to_string(folder.join(format!("errors/{name}.json")))
    {
        return Script::json(status, text);
    }
    let extension = if is_stream { "sse" } else { "json" };
    match std::fs::read_to_string(folder.join(format!("{name}.{extension}"))) {
        Ok(text) if is_stream => Script::events(text.split_inclusive("\r\n\r\n").map(str::to_owned)),
        Ok(text) => Script::json(200, text),
        Err(_) => {
            let message = format!("models/{model} is not found for API version v1beta.");
            Script::json(404, json!({"error": {"code": 404, "message": message, "status": "NOT_FOUND"}}).to_string())
        }
    }
}

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
