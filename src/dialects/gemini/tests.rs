//! What is peculiar to this wire.

use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};

use super::GenerateContent;
use super::wire::{self, Place};
use crate::canonical::text::{Control, Delta, Effort, Finish, Part, ReasoningKind};
use crate::canonical::{TokenUsage, Wire};
use crate::dialects::native::StreamError;
use crate::dialects::{Addressee, Transport, Written, scan};
use crate::fault::{Fault, Kind, Outcome};

fn addressee(kind: ReasoningKind, levels: &[Effort]) -> Addressee<'static> {
    Addressee {
        model: "up",
        control: Control { kind: Some(kind), levels: levels.to_vec() },
        origin: "dep_1",
        ..Addressee::default()
    }
}

fn levels() -> Addressee<'static> {
    addressee(ReasoningKind::GeminiLevel, &[Effort::Low, Effort::Medium, Effort::High])
}

fn write(contract: Wire, body: &Value, to: &Addressee<'_>) -> Outcome<Written> {
    let request = scan(contract, Bytes::from(body.to_string()))?.read()?;
    GenerateContent.write_request(&request, to)
}

/// The request and what it lost.
fn written(body: &Value, to: &Addressee<'_>) -> (Value, Vec<String>) {
    let written = write(Wire::Chat, body, to).unwrap();
    let lost = written.dropped.iter().map(ToString::to_string).collect();
    (serde_json::from_slice(&written.body.concat()).unwrap(), lost)
}

fn chat(fields: Value) -> Value {
    let mut body = json!({"model": "pub", "messages": [{"role": "user", "content": "hi"}]});
    let Value::Object(fields) = fields else { panic!("fields are an object") };
    body.as_object_mut().unwrap().extend(fields);
    body
}

fn answer(parts: Value) -> Value {
    let mut body = json!({"candidates": [{"finishReason": "STOP"}], "responseId": "r1"});
    body["candidates"][0]["content"]["parts"] = parts;
    body
}

fn read(answer: &Value) -> crate::canonical::text::Reply {
    GenerateContent.read_reply(answer.to_string().as_bytes()).unwrap()
}

#[test]
fn every_finish_reason_has_its_meaning() {
    for (word, calls, finish) in [
        ("STOP", false, Finish::Stop),
        ("STOP", true, Finish::ToolCalls),
        ("MAX_TOKENS", false, Finish::Length),
        ("MAX_TOKENS", true, Finish::Length),
        ("SAFETY", false, Finish::ContentFilter),
        ("SAFETY", true, Finish::ContentFilter),
        ("RECITATION", false, Finish::ContentFilter),
        ("LANGUAGE", false, Finish::ContentFilter),
        ("BLOCKLIST", false, Finish::ContentFilter),
        ("PROHIBITED_CONTENT", false, Finish::ContentFilter),
        ("SPII", false, Finish::ContentFilter),
        ("IMAGE_SAFETY", false, Finish::ContentFilter),
        ("UNEXPECTED_TOOL_CALL", true, Finish::ToolCalls),
        ("MALFORMED_FUNCTION_CALL", false, Finish::Other("malformed_function_call".to_owned())),
        ("OTHER", false, Finish::Other("other".to_owned())),
        ("OF_TOMORROW", false, Finish::Other("of_tomorrow".to_owned())),
    ] {
        assert_eq!(wire::read_finish(word, calls), finish, "{word}");
    }
}

#[test]
fn tokens_are_counted_in_our_convention() {
    let mut body = answer(json!([{"text": "x"}]));
    body["usageMetadata"] = json!({
        "promptTokenCount": 100, "toolUsePromptTokenCount": 20, "cachedContentTokenCount": 60,
        "candidatesTokenCount": 7, "thoughtsTokenCount": 30, "totalTokenCount": 157, "serviceTier": "FLEX",
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 90}, {"modality": "AUDIO", "tokenCount": 10}],
        "candidatesTokensDetails": [{"modality": "AUDIO", "tokenCount": 5}, {"modality": "IMAGE", "tokenCount": 2}],
    });
    let reply = read(&body);
    let usage = TokenUsage {
        input: 120,
        output: 37,
        cache_read: 60,
        reasoning: 30,
        audio_input: 10,
        audio_output: 5,
        ..TokenUsage::default()
    };
    assert_eq!((reply.usage, reply.service_tier.as_deref()), (Some(usage), Some("flex")));
}

#[test]
fn counts_that_a_later_event_leaves_out_keep_their_value() {
    let mut decoder = GenerateContent.decoder();
    let mut deltas = Vec::new();
    for usage in
        [json!({"promptTokenCount": 9, "thoughtsTokenCount": 4}), json!({"candidatesTokenCount": 2}), json!({})]
    {
        let event = json!({"usageMetadata": usage}).to_string();
        assert_eq!(decoder.decode(None, event.as_bytes(), &mut deltas), Ok(false));
    }
    let last = deltas.iter().rev().find_map(|delta| match delta {
        Delta::Usage(usage) => Some(*usage),
        _ => None,
    });
    assert_eq!(last.map(|usage| (usage.input, usage.output, usage.reasoning)), Some((9, 6, 4)));
}

#[test]
fn calls_without_ids_get_ids_that_stay() {
    let body = answer(json!([{"functionCall": {"name": "f", "args": {"z": 1}}}, {"functionCall": {"name": "f"}}]));
    let calls: Vec<_> = read(&body).tool_calls().map(|call| (call.id.clone(), call.arguments.clone())).collect();
    let expected = [("call_r1_0", "{\"z\":1}"), ("call_r1_1", "{}")];
    assert_eq!(calls, expected.map(|(id, text)| (id.to_owned(), text.to_owned())));
}

#[test]
fn arguments_stay_as_they_were_written() {
    let body = r#"{"candidates":[{"content":{"parts":[{"functionCall":{"name":"f","args":{ "z" : 1.0,
 "a":1e3, "u":"\u00fc" }}}]},"finishReason":"STOP"}]}"#;
    let reply = GenerateContent.read_reply(body.as_bytes()).unwrap();
    let arguments = reply.tool_calls().next().unwrap().arguments.clone();
    assert_eq!(arguments, "{ \"z\" : 1.0,\n \"a\":1e3, \"u\":\"\\u00fc\" }");
}

#[test]
fn a_signature_remembers_its_part() {
    for (parts, places) in [
        (json!([{"text": "t", "thoughtSignature": "S"}]), vec!["text:S"]),
        (json!([{"text": "", "thoughtSignature": "S"}]), vec!["empty:S"]),
        (json!([{"thoughtSignature": "S"}]), vec!["empty:S"]),
        (json!([{"text": "h", "thought": true, "thoughtSignature": "S"}]), vec!["thought:S"]),
        (json!([{"text": "h", "thought": true}]), vec![""]),
        (json!([{"functionCall": {"name": "f"}, "thoughtSignature": "S"}]), vec!["call:S"]),
        (
            json!([{"text": "h", "thought": true}, {"functionCall": {"name": "f"}, "thoughtSignature": "S"}]),
            vec!["call:S"],
        ),
        (json!([{"inlineData": {"mimeType": "image/png", "data": "AA=="}, "thoughtSignature": "S"}]), vec!["data:S"]),
        (
            json!([{"text": "t", "thoughtSignature": "S"}, {"functionCall": {"name": "f"}, "thoughtSignature": "T"}]),
            vec!["text:S", "call:T"],
        ),
    ] {
        let reply = read(&answer(parts.clone()));
        let states = reply.parts.iter().filter_map(|part| match part {
            Part::Reasoning(reasoning) => reasoning.state.as_ref(),
            _ => None,
        });
        let states: Vec<&str> = states.map(|state| state.data.as_str()).collect();
        assert_eq!(states, places, "{parts}");
    }
    assert_eq!(Place::read("text:S"), (Place::Text, "S"));
    assert_eq!(Place::read("S+/="), (Place::Call, "S+/="));
}

#[test]
fn calls_of_other_makers_pass_the_check_where_there_is_one() {
    let call = |id: &str| json!({"id": id, "type": "function", "function": {"name": "f", "arguments": "{}"}});
    let body = chat(json!({"messages": [
        {"role": "user", "content": "u"},
        {"role": "assistant", "tool_calls": [call("a"), call("b")]},
        {"role": "tool", "tool_call_id": "b", "content": "2"},
        {"role": "tool", "tool_call_id": "a", "content": "1"},
    ]}));
    for (to, signature) in [
        (levels(), json!("skip_thought_signature_validator")),
        (addressee(ReasoningKind::GeminiBudget, &[Effort::Low]), Value::Null),
        (Addressee::default(), Value::Null),
    ] {
        let (sent, _) = written(&body, &to);
        assert_eq!(sent["contents"][1]["parts"][0]["thoughtSignature"], signature);
        assert_eq!(sent["contents"][1]["parts"][1]["thoughtSignature"], Value::Null);
        // Results stand in the order of their calls.
        assert_eq!(sent["contents"][2]["parts"][0]["functionResponse"]["response"], json!({"output": "1"}));
    }
}

#[test]
fn a_conversation_has_a_user_and_begins_with_one() {
    let (sent, _) = written(&chat(json!({"messages": [{"role": "system", "content": "s"}]})), &levels());
    assert_eq!(sent["contents"], json!([{"role": "user", "parts": [{"text": "s"}]}]));
    assert_eq!(sent["systemInstruction"], Value::Null);
    let prefilled = json!({"messages": [{"role": "assistant", "content": "a"}, {"role": "user", "content": "u"}]});
    let (sent, _) = written(&chat(prefilled), &levels());
    assert_eq!(sent["contents"][0], json!({"role": "user", "parts": [{"text": ""}]}));
    assert_eq!(sent["contents"][1]["role"], "model");
    let (sent, _) = written(&chat(json!({"messages": [{"role": "user", "content": ""}]})), &levels());
    assert_eq!(sent["contents"], json!([{"role": "user", "parts": [{"text": ""}]}]));
}

#[test]
fn thinking_is_asked_for_as_the_model_is_controlled() {
    use Effort::{High, Low, Medium, Minimal, Xhigh};
    let level = |levels: &[Effort]| addressee(ReasoningKind::GeminiLevel, levels);
    let budget = |levels: &[Effort]| addressee(ReasoningKind::GeminiBudget, levels);
    let all = [Effort::None, Minimal, Low, Medium, High, Xhigh];
    for (to, effort, config) in [
        (level(&[Low, High]), "medium", json!({"thinkingLevel": "low", "includeThoughts": true})),
        (level(&[Low, High]), "max", json!({"thinkingLevel": "high", "includeThoughts": true})),
        (level(&[Minimal, High]), "none", json!({"thinkingLevel": "minimal"})),
        (budget(&all), "none", json!({"thinkingBudget": 0})),
        (budget(&all), "high", json!({"thinkingBudget": 16_384, "includeThoughts": true})),
        (budget(&all), "max", json!({"thinkingBudget": 24_576, "includeThoughts": true})),
        (budget(&[Low, High]), "none", json!({"thinkingBudget": 1_024})),
        (addressee(ReasoningKind::Fixed, &[]), "low", json!({"includeThoughts": true})),
        (Addressee::default(), "low", Value::Null),
        (Addressee::default(), "none", Value::Null),
    ] {
        let (sent, lost) = written(&chat(json!({"reasoning_effort": effort})), &to);
        assert_eq!(sent["generationConfig"]["thinkingConfig"], config, "{effort} {:?}", to.control);
        let is_lost = !matches!(to.control.kind, Some(ReasoningKind::GeminiLevel | ReasoningKind::GeminiBudget));
        assert_eq!(lost.contains(&"reasoning_effort".to_owned()), is_lost && effort != "none", "{effort}");
    }
    let (sent, _) = written(&chat(json!({})), &level(&[Low, High]));
    assert_eq!(sent["generationConfig"], Value::Null);
    let adaptive = json!({"model": "pub", "max_tokens": 9, "thinking": {"type": "adaptive"},
        "messages": [{"role": "user", "content": "x"}]});
    let text = write(Wire::Messages, &adaptive, &budget(&all)).unwrap().body.concat();
    assert!(String::from_utf8(text).unwrap().contains(r#""thinkingBudget":-1,"includeThoughts":true"#));
}

#[test]
fn json_beside_functions_is_left_out_where_both_are_refused() {
    let body = chat(json!({"response_format": {"type": "json_object"},
        "tools": [{"type": "function", "function": {"name": "f"}}]}));
    let (sent, lost) = written(&body, &addressee(ReasoningKind::GeminiBudget, &[Effort::Low]));
    assert_eq!((&sent["generationConfig"], lost), (&Value::Null, vec!["response_format".to_owned()]));
    let (sent, lost) = written(&body, &levels());
    assert_eq!(sent["generationConfig"], json!({"responseMimeType": "application/json"}));
    assert!(lost.is_empty());
}

#[test]
fn content_that_cannot_be_fetched_is_refused() {
    let image = |url: &str| {
        chat(json!({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}]}))
    };
    let (sent, _) = written(&image("https://youtu.be/x"), &levels());
    assert_eq!(sent["contents"][0]["parts"][0], json!({"fileData": {"fileUri": "https://youtu.be/x"}}));
    let (sent, _) = written(&image("gs://bucket/a.webp"), &levels());
    let file = json!({"fileData": {"mimeType": "image/webp", "fileUri": "gs://bucket/a.webp"}});
    assert_eq!(sent["contents"][0]["parts"][0], file);
    let refused: Fault = write(Wire::Chat, &image("http://h/a.png"), &levels()).unwrap_err();
    assert_eq!(refused.kind(), Kind::BadRequest);
    assert!(refused.message().contains("`http://h/a.png`"), "{}", refused.message());
}

#[test]
fn schemas_grow_no_larger_than_they_may() {
    // Each level refers twice to the next: 2^40 schemas if all were written.
    let mut defs = json!({"d40": {"type": "string"}});
    for level in 0..40 {
        let next = json!({"$ref": format!("#/$defs/d{}", level + 1)});
        defs[format!("d{level}")] = json!({"type": "object", "properties": {"a": next, "b": next}});
    }
    let mut all = json!([]);
    for _ in 0..30 {
        all = json!([{"allOf": all, "anyOf": [{"$ref": "#/$defs/d0"}]}]);
    }
    let bomb = json!({"$ref": "#/$defs/d0", "$defs": defs, "allOf": all});
    let tool = json!({"type": "function", "function": {"name": "f", "parameters": bomb}});
    let (sent, lost) = written(&chat(json!({"tools": [tool]})), &levels());
    assert!(sent.to_string().len() < 16 << 20);
    assert!(lost.contains(&"tools.depth".to_owned()), "{lost:?}");
    let mut deep = json!({});
    for _ in 0..60 {
        deep = json!({"type": "array", "items": deep});
    }
    let tool = json!({"type": "function", "function": {"name": "f", "parameters": deep}});
    assert_eq!(written(&chat(json!({"tools": [tool]})), &levels()).1, ["tools.depth"]);
}

#[test]
fn citations_are_counted_in_characters_and_found_by_their_words() {
    let mut body = answer(json!([{"text": "Größe Höhe"}]));
    let support = |segment: Value| json!({"segment": segment, "groundingChunkIndices": [0, 7]});
    body["candidates"][0]["groundingMetadata"] = json!({
        "groundingChunks": [{"web": {"uri": "https://e/1", "title": "t"}}],
        "groundingSupports": [
            support(json!({"endIndex": 7, "text": "Größe"})),
            support(json!({"startIndex": 1, "endIndex": 3, "text": "Höhe"})),
            support(json!({"startIndex": 3, "endIndex": 4})),
            support(json!({"endIndex": 99, "text": "nowhere"})),
        ],
    });
    let reply = read(&body);
    let Some(Part::Text { annotations, .. }) = reply.parts.first() else { panic!("{reply:?}") };
    let places: Vec<Value> = annotations.iter().map(|json| json.read::<Value>().unwrap()).collect();
    let at = |start: u64, end: u64| json!({"type": "url_citation", "url": "https://e/1", "title": "t", "start_index": start, "end_index": end});
    assert_eq!(places, [at(0, 5), at(6, 10)]);
}

#[test]
fn streamed_arguments_are_put_together_by_their_places() {
    let call = |pieces: Value, goes_on: bool| {
        json!({"candidates": [{"content": {"parts": [
            {"functionCall": {"partialArgs": pieces, "willContinue": goes_on}}]}}]})
    };
    let mut start = call(json!([{"jsonPath": "$.a.b", "stringValue": "x\""}]), true);
    start["candidates"][0]["content"]["parts"][0]["functionCall"]["name"] = json!("f");
    let mut decoder = GenerateContent.decoder();
    let mut deltas = Vec::new();
    for event in [
        start,
        call(
            json!([{"jsonPath": "$.a.b", "stringValue": "y"}, {"jsonPath": "$.a.l[0][\"k.k\"]", "numberValue": 1.5}]),
            true,
        ),
        call(
            json!([{"jsonPath": "$['q\\'s']", "boolValue": false}, {"jsonPath": "$.n", "nullValue": "NULL_VALUE"}]),
            false,
        ),
    ] {
        decoder.decode(None, event.to_string().as_bytes(), &mut deltas).unwrap();
    }
    let text = deltas.iter().find_map(|delta| match delta {
        Delta::Text { text, .. } => Some(text.as_str()),
        _ => None,
    });
    assert_eq!(text, Some(r#"{"a":{"b":"x\"y","l":[{"k.k":1.5}]},"q's":false,"n":null}"#));
    for path in ["", "$", "a", "$.a[x]", "$[5]", "$['a", "$.a.b.c[3]"] {
        let mut decoder = GenerateContent.decoder();
        let mut event = call(json!([{"jsonPath": path, "stringValue": "x"}]), true);
        event["candidates"][0]["content"]["parts"][0]["functionCall"]["name"] = json!("f");
        let broken = decoder.decode(None, event.to_string().as_bytes(), &mut Vec::new());
        assert!(matches!(broken, Err(StreamError::Malformed(_))), "{path}");
    }
}

#[test]
fn errors_are_read_alone_and_in_a_list() {
    let error = json!({"error": {"code": 429, "message": "m", "status": "RESOURCE_EXHAUSTED", "details": [
        {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "RATE_LIMIT_EXCEEDED"},
        {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "3.5s"},
    ]}});
    for body in [error.clone(), json!([error])] {
        let read = GenerateContent.read_error(body.to_string().as_bytes());
        assert_eq!((read.status, read.kind.as_deref()), (Some(429), Some("RESOURCE_EXHAUSTED")));
        assert_eq!((read.code.as_deref(), read.message.as_str()), (Some("RATE_LIMIT_EXCEEDED"), "m"));
        assert_eq!(read.retry_after, Some(Duration::from_millis(3_500)));
        _ = GenerateContent.read_reply(body.to_string().as_bytes()).unwrap_err();
    }
    for (body, message) in [("upstream is down", "upstream is down"), ("<html>", ""), ("[]", "[]"), ("", "")] {
        assert_eq!(GenerateContent.read_error(body.as_bytes()).message, message, "{body}");
    }
    let negative = json!({"error": {"details": [{"retryDelay": "-1s"}, {"retryDelay": "NaNs"}]}}).to_string();
    assert_eq!(GenerateContent.read_error(negative.as_bytes()).retry_after, None);
}

#[test]
fn faults_are_written_in_googles_envelope() {
    let fault = Fault::new(Kind::RateLimited).say("Slow down.");
    let body: Value = serde_json::from_slice(&super::fault::write_fault(&fault)).unwrap();
    assert_eq!(body, json!({"error": {"code": 429, "message": "Slow down.", "status": "RESOURCE_EXHAUSTED"}}));
    assert!(super::fault::write_fault_event(&fault).starts_with(b"data: {\"error\":{"));
}
