//! Answers in the provider's wire format: fixtures, and the few that depend on the request.

use super::script::{Script, Step};
use super::server::Received;
use bytes::Bytes;
use serde_json::{Value, json};
use std::time::Duration;

/// One canned conversation: its JSON body and its event stream.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fixture {
    json: &'static str,
    events: &'static str,
}

macro_rules! fixture {
    ($name:literal) => {
        Fixture {
            json: include_str!(concat!("../../fixtures/openai_chat/", $name, ".json")),
            events: include_str!(concat!("../../fixtures/openai_chat/", $name, ".sse")),
        }
    };
}

pub(super) const TEXT: Fixture = fixture!("text");
pub(super) const TOOLS: Fixture = fixture!("tools");
pub(super) const REASONING: Fixture = fixture!("reasoning");
pub(super) const LOGPROBS: Fixture = fixture!("logprobs");
pub(super) const TWO_CHOICES: Fixture = fixture!("n2");
pub(super) const REFUSAL: Fixture = fixture!("refusal");
pub(super) const FILTER: Fixture = fixture!("filter");
pub(super) const THINK_TAGS: Fixture = fixture!("think_tags");
pub(super) const DETAILS: Fixture = fixture!("reasoning_details_encrypted");
pub(super) const PARTS: Fixture = fixture!("thinking_and_reference_parts");
pub(super) const CITATIONS: Fixture = fixture!("citations_beside_the_choices");
pub(super) const NO_IDS: Fixture = fixture!("calls_without_ids");
pub(super) const BESIDE: Fixture = fixture!("usage_with_reasoning_beside");

const MODELS: &str = include_str!("../../fixtures/openai_chat/models.json");
/// Long enough for a reader to have taken what was sent before.
pub(super) const PAUSE: Duration = Duration::from_millis(100);
const DONE: &str = "data: [DONE]\n\n";

/// What of a request decides its answer.
#[derive(Debug)]
pub(super) struct Call<'a> {
    pub(super) received: &'a Received,
    pub(super) body: Value,
    pub(super) stream: bool,
    include_usage: bool,
    /// Which call of its model this is, from 1.
    pub(super) nth: usize,
}

impl<'a> Call<'a> {
    pub(super) fn read(received: &'a Received, nth: usize) -> Self {
        let body = received.json();
        let stream = body["stream"] == true;
        let include_usage = body["stream_options"]["include_usage"] == true;
        Self { received, body, stream, include_usage, nth }
    }

    /// The fixture, as JSON or as events, whichever was asked for.
    pub(super) fn answer(&self, fixture: Fixture) -> Script {
        if self.stream { Script::events(self.frames(fixture)) } else { Script::json(200, fixture.json) }
    }

    /// The event stream of a fixture. Without `include_usage` its frames do not speak of usage at all.
    pub(super) fn frames(&self, fixture: Fixture) -> Vec<String> {
        let frames = fixture.events.split_inclusive("\n\n");
        if self.include_usage {
            return frames.map(str::to_owned).collect();
        }
        frames
            .filter(|frame| !frame.contains(r#""choices":[]"#))
            .map(|frame| frame.replace(r#","usage":null"#, ""))
            .collect()
    }

    /// Role, two words, a pause long enough for them to be read, and then whatever `then` says. As JSON: the first half
    /// of the body.
    pub(super) fn begun(&self, then: impl IntoIterator<Item = Step>) -> Script {
        let begun = if self.stream {
            Script::events(self.frames(TEXT)).cut(3)
        } else {
            let half = TEXT.json.len() / 2;
            Script::new(200, "application/json", [Step::Send(Bytes::from_static(&TEXT.json.as_bytes()[..half]))])
        };
        then.into_iter().fold(begun.then(Step::Wait(PAUSE)), Script::then)
    }

    /// An answer whose text is made for this request.
    pub(super) fn say(&self, content: &str) -> Script {
        self.say_for(
            content,
            json!({
                "prompt_tokens": 5, "completion_tokens": 5, "total_tokens": 10,
                "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
                "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0,
                    "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0},
            }),
        )
    }

    /// The same with this usage.
    pub(super) fn say_for(&self, content: &str, usage: Value) -> Script {
        if !self.stream {
            let message = json!({"role": "assistant", "content": content, "refusal": null, "annotations": []});
            let mut reply = envelope("chat.completion");
            reply["choices"] = json!([{"index": 0, "message": message, "logprobs": null, "finish_reason": "stop"}]);
            reply["usage"] = usage;
            return Script::json(200, reply.to_string());
        }
        let mut frames = vec![
            delta(&json!({"role": "assistant", "content": "", "refusal": null}), &Value::Null),
            delta(&json!({ "content": content }), &Value::Null),
            delta(&json!({}), &json!("stop")),
        ];
        if self.include_usage {
            let mut last = envelope("chat.completion.chunk");
            last["choices"] = json!([]);
            last["usage"] = usage;
            frames.push(format!("data: {last}\n\n"));
        }
        frames.push(DONE.to_owned());
        Script::events(frames)
    }
}

/// A completion without choices.
fn envelope(object: &str) -> Value {
    json!({
        "id": "chatcmpl-Stub0099Made", "object": object, "created": 1_772_323_299, "model": "stub-made-2026-03-01",
        "service_tier": "default", "system_fingerprint": "fp_57ab0c1d2e",
    })
}

/// One frame with one choice.
pub(super) fn delta(delta: &Value, finish_reason: &Value) -> String {
    let mut chunk = envelope("chat.completion.chunk");
    chunk["choices"] = json!([{"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish_reason}]);
    format!("data: {chunk}\n\n")
}

/// The provider's list of models.
pub(super) fn models() -> Script {
    Script::json(200, MODELS)
}

/// The provider's answer to a path it does not know.
pub(super) fn unknown_url(method: &str, path: &str) -> Script {
    let message = format!("Invalid URL ({method} {path})");
    Script::json(404, error_body(&message, "invalid_request_error", None, None))
}

/// An error in the provider's envelope.
pub(super) fn error_body(message: &str, kind: &str, param: Option<&str>, code: Option<&str>) -> String {
    json!({"error": {"message": message, "type": kind, "param": param, "code": code}}).to_string()
}

/// A value that fits a JSON Schema of the subset that structured outputs allow.
pub(super) fn example(schema: &Value, root: &Value) -> Value {
    if let Some(reference) = schema["$ref"].as_str() {
        return root.pointer(reference.trim_start_matches('#')).map_or(Value::Null, |target| example(target, root));
    }
    for first in [&schema["const"], &schema["enum"][0]] {
        if !first.is_null() {
            return first.clone();
        }
    }
    if !schema["anyOf"][0].is_null() {
        return example(&schema["anyOf"][0], root);
    }
    let kind = schema["type"].as_str().or_else(|| schema["type"][0].as_str()).unwrap_or_default();
    match kind {
        "object" => {
            let properties = schema["properties"].as_object();
            properties.into_iter().flatten().map(|(name, inner)| (name.clone(), example(inner, root))).collect()
        }
        "array" => json!([example(&schema["items"], root)]),
        "string" => json!("Köln"),
        "integer" => json!(7),
        "number" => json!(1.5),
        "boolean" => json!(true),
        _ => Value::Null,
    }
}
