//! Sound and pictures, in the wires of several providers. What arrives is told back, so that a test sees that it is whole:
//! name, kind, size and checksum of every file.

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use serde_json::{Value, json};

use super::behaviour;
use super::chat::Call;
use super::script::{Behaviour, Script, Step};
use super::server::Received;

/// One pixel.
pub(crate) const PIXEL: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
/// A picture in JPEG that says in EXIF where it was made; the answer to a prompt that asks for a photo.
pub(crate) const PHOTO: &str = "/9j/4QAXRXhpZgAATU0AKmhlcmUgaXQgd2Fz/9oAAgQFBv/Z";
/// A tenth of a second of silence as Gemini sends it.
const PCM_BYTES: usize = 4_800;

/// One part of a form.
#[derive(Debug, Clone)]
struct Part {
    name: String,
    file: Option<(String, String)>,
    content: Bytes,
}

/// The `model` of a form.
pub(super) fn model_of(content_type: &str, body: &Bytes) -> Option<String> {
    let parts = parts(content_type, body);
    parts.iter().find(|part| part.name == "model").map(|part| String::from_utf8_lossy(&part.content).into_owned())
}

/// Reads a form as strictly as one that is written by us must be readable.
fn parts(content_type: &str, body: &Bytes) -> Vec<Part> {
    let Some((_, boundary)) = content_type.split_once("multipart/form-data; boundary=") else { return Vec::new() };
    let delimiter = format!("--{boundary}\r\n");
    let between = format!("\r\n--{boundary}");
    let mut parts = Vec::new();
    let mut rest = body.clone();
    while let Some(start) = find(&rest, delimiter.as_bytes()) {
        let part = rest.slice(start + delimiter.len()..);
        let Some(end) = find(&part, between.as_bytes()) else { break };
        rest = part.slice(end + 2..);
        let part = part.slice(..end);
        let Some(head_end) = find(&part, b"\r\n\r\n") else { break };
        let head = String::from_utf8_lossy(&part[..head_end]).into_owned();
        let quoted = |key: &str| {
            let (_, rest) = head.split_once(&format!("; {key}=\""))?;
            rest.split_once('"').map(|(value, _)| value.to_owned())
        };
        let kind = head.split_once("Content-Type: ").map(|(_, kind)| kind.trim().to_owned()).unwrap_or_default();
        parts.push(Part {
            name: quoted("name").unwrap_or_default(),
            file: quoted("filename").map(|name| (name, kind)),
            content: part.slice(head_end + 4..),
        });
    }
    parts
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    memchr::memmem::find(bytes, wanted)
}

/// A form as text: `name=value`, files as `name=file(name,type,bytes,checksum)`, in order.
fn told(parts: &[Part]) -> String {
    let tell = |part: &Part| match &part.file {
        None => format!("{}={}", part.name, String::from_utf8_lossy(&part.content)),
        Some((file, kind)) => {
            let (size, sum) = (part.content.len(), crc32fast::hash(&part.content));
            format!("{}=file({file},{kind},{size},{sum:08x})", part.name)
        }
    };
    parts.iter().map(tell).collect::<Vec<_>>().join("; ")
}

/// The answer to a request about sound or pictures; `None`: it is about neither.
pub(super) fn answer(received: &Received, nth: usize) -> Option<Behaviour> {
    let path = received.path.split('?').next().unwrap_or_default();
    let model = received.model.as_str();
    let parts = parts(received.header("content-type").unwrap_or_default(), &received.body);
    let body = received.json();
    let write: fn(&str, &[Part], &Value) -> Script = match path.rsplit('/').next().unwrap_or_default() {
        last if last.ends_with(":predict") => predict,
        last if last.ends_with(":streamGenerateContent") && model.contains("image") => paint,
        "transcriptions" | "translations" => listen,
        "speech" => speak,
        "generations" | "edits" => draw,
        "completions" if body["modalities"] == json!(["image", "text"]) => chat,
        last if last.ends_with(":generateContent")
            && ["image", "tts", "transcribe"].iter().any(|word| model.contains(word)) =>
        {
            generate
        }
        _ => return None,
    };
    // Failures are those of chat.
    if behaviour::MODELS.contains(&model) {
        return Some(behaviour::choose(&Call::read(received, nth)));
    }
    Some(write(model, &parts, &body).into())
}

fn text_of<'a>(parts: &'a [Part], name: &str) -> Option<&'a str> {
    parts.iter().find(|part| part.name == name).and_then(|part| std::str::from_utf8(&part.content).ok())
}

fn event(data: &Value) -> String {
    format!("data: {data}\n\n")
}

fn listen(model: &str, parts: &[Part], _: &Value) -> Script {
    let text = told(parts);
    let is_stream = text_of(parts, "stream") == Some("true");
    if model.starts_with("voxtral") {
        return mistral(&text, is_stream);
    }
    let usage = if model.contains("whisper") {
        json!({"type": "duration", "seconds": 2})
    } else {
        json!({"type": "tokens", "input_tokens": 14, "output_tokens": 45, "total_tokens": 59,
            "input_token_details": {"audio_tokens": 14, "text_tokens": 0}})
    };
    if is_stream && !model.contains("whisper") {
        let (head, tail) = text.split_at(text.len() / 2);
        return Script::events([
            event(
                &json!({"type": "transcript.text.delta", "delta": head, "logprobs": [{"token": "x", "logprob": -0.5}]}),
            ),
            event(&json!({"type": "transcript.text.delta", "delta": tail})),
            event(&json!({"type": "transcript.text.done", "text": text, "usage": usage})),
        ]);
    }
    let plain = |text: &str| Script::new(200, "text/plain; charset=utf-8", [Step::Send(text.to_owned().into())]);
    match text_of(parts, "response_format").unwrap_or("json") {
        "text" => plain(&format!("{text}\n")),
        "srt" => plain("1\n00:00:00,000 --> 00:00:01,500\nof its own\n\n"),
        "vtt" => plain("WEBVTT\n\n00:00:00.000 --> 00:00:01.500\nof its own\n\n"),
        "verbose_json" => Script::json(
            200,
            json!({"task": "transcribe", "language": "english", "duration": 1.5, "text": text, "segments": [
                {"id": 0, "seek": 0, "start": 0.0, "end": 0.5, "text": " Hello -->", "avg_logprob": -0.25},
                {"id": 1, "seek": 0, "start": 0.5, "end": 1.5, "text": " world"},
            ], "x_own": 1.0})
            .to_string(),
        ),
        "diarized_json" => Script::json(
            200,
            json!({"task": "transcribe", "duration": 1.5, "text": text, "segments": [
                {"type": "transcript.text.segment", "id": "seg_0", "start": 0.0, "end": 1.5, "text": text, "speaker": "agent"}
            ], "usage": usage})
            .to_string(),
        ),
        _ => Script::json(200, json!({"text": text, "usage": usage, "x_own": 1.0}).to_string()),
    }
}

fn mistral(text: &str, is_stream: bool) -> Script {
    let usage = json!({"prompt_audio_seconds": 3, "prompt_tokens": 7, "completion_tokens": 4, "total_tokens": 400});
    let segments = json!([
        {"text": "Hello", "start": 0.0, "end": 0.5, "speaker_id": "speaker_1", "type": "transcription_segment"},
        {"text": "world", "start": 0.5, "end": 1.25, "speaker_id": "speaker_2", "type": "transcription_segment"},
    ]);
    if !is_stream {
        let answer = json!({"model": "voxtral", "text": text, "language": "en", "segments": segments, "usage": usage});
        return Script::json(200, answer.to_string());
    }
    let named = |name: &str, data: Value| format!("event: {name}\ndata: {data}\n\n");
    Script::events([
        named("transcription.language", json!({"type": "transcription.language", "audio_language": "en"})),
        named("transcription.text.delta", json!({"type": "transcription.text.delta", "text": "Hello"})),
        named(
            "transcription.segment",
            json!({"type": "transcription.segment", "text": "Hello", "start": 0.0, "end": 0.5}),
        ),
        named(
            "transcription.done",
            json!({"type": "transcription.done", "model": "voxtral", "text": "Hello world",
            "language": "en", "segments": segments, "usage": usage}),
        ),
    ])
}

/// `stub-speak-cut` breaks off, `stub-speak-flood` never stops by itself, `voxtral…` answers JSON.
fn speak(model: &str, _: &[Part], body: &Value) -> Script {
    let input = body["input"].as_str().unwrap_or_default();
    let format = body["response_format"].as_str().unwrap_or("mp3");
    let sound = format!("ID3:{format}:{}:{input}", body["voice"].as_str().or(body["voice_id"].as_str()).unwrap_or("?"));
    if model.starts_with("voxtral") {
        return Script::json(200, json!({"audio_data": BASE64_STANDARD.encode(sound)}).to_string());
    }
    if body["stream_format"] == "sse" {
        return Script::events([
            event(&json!({"type": "speech.audio.delta", "audio": BASE64_STANDARD.encode(&sound)})),
            event(&json!({"type": "speech.audio.done",
                "usage": {"input_tokens": 5, "output_tokens": 50, "total_tokens": 55}})),
        ]);
    }
    let script = Script::new(200, "audio/mpeg", []);
    match model {
        "stub-speak-cut" => {
            script.then(Step::Send(sound.into())).then(Step::Wait(Duration::from_millis(50))).then(Step::Reset)
        }
        "stub-speak-flood" => script.then(Step::Many(0..4_096, |_| Bytes::from_static(&[7; 64 * 1024]))),
        _ => {
            let (head, tail) = sound.split_at(3);
            script.then(Step::Send(head.to_owned().into())).then(Step::Send(tail.to_owned().into()))
        }
    }
}

/// Those of the OpenAI kind refuse `response_format`; `stub-draw-url` answers where its pictures are.
fn draw(model: &str, parts: &[Part], body: &Value) -> Script {
    let text = |name: &str| {
        let of_body = || body[name].as_str().map(str::to_owned).or_else(|| body[name].as_u64().map(|n| n.to_string()));
        text_of(parts, name).map(str::to_owned).or_else(of_body)
    };
    if model.starts_with("gpt-image") && text("response_format").is_some() {
        let error = json!({"error": {"message": "Unknown parameter: 'response_format'.", "type": "invalid_request_error",
            "param": "response_format", "code": "unknown_parameter"}});
        return Script::json(400, error.to_string());
    }
    let prompt = if parts.is_empty() { body.to_string() } else { told(parts) };
    let picture = if prompt.contains("photo") { PHOTO } else { PIXEL };
    let usage = json!({"input_tokens": 60, "input_tokens_details": {"image_tokens": 40, "text_tokens": 20},
        "output_tokens": 1_056, "total_tokens": 1_116});
    if body["stream"] == true || text_of(parts, "stream") == Some("true") {
        let prefix = if parts.is_empty() { "image_generation" } else { "image_edit" };
        let named = |kind: &str, data: Value| format!("event: {prefix}.{kind}\ndata: {data}\n\n");
        let with = |kind: &str, extra: Value| {
            let mut data = json!({"type": format!("{prefix}.{kind}"), "b64_json": picture, "created_at": 1, "size": "1024x1024",
                "quality": "low", "background": "opaque", "output_format": "png"});
            if let Some(data) = data.as_object_mut() {
                data.extend(extra.as_object().cloned().unwrap_or_default());
            }
            named(kind, data)
        };
        return Script::events([
            with("partial_image", json!({"partial_image_index": 0})),
            with("partial_image", json!({"partial_image_index": 1})),
            with("completed", json!({"usage": usage})),
        ]);
    }
    let count: usize = text("n").and_then(|n| n.parse().ok()).unwrap_or(1);
    let item = match model {
        "stub-draw-url" => json!({"url": "https://127.0.0.1/one.png", "revised_prompt": prompt}),
        _ => json!({"b64_json": picture, "revised_prompt": prompt}),
    };
    let mut answer = json!({"created": 1_772_323_299, "data": vec![item; count], "x_own": 1.0});
    if model.starts_with("gpt-image") {
        answer["usage"] = usage;
    }
    Script::json(200, answer.to_string())
}

/// What a chat says of its pictures: `…-cut` breaks off after the first, `refuse` makes none.
fn chat(model: &str, _: &[Part], body: &Value) -> Script {
    let url = format!("data:image/png;base64,{PIXEL}");
    if body["stream"] == true {
        let chunk = |delta: Value, finish: Option<&str>| {
            event(&json!({"id": "gen-1", "object": "chat.completion.chunk", "model": model,
                "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}))
        };
        let usage = json!({"id": "gen-1", "object": "chat.completion.chunk", "model": model, "choices": [],
            "usage": {"prompt_tokens": 11, "completion_tokens": 1_290, "total_tokens": 1_301,
                "completion_tokens_details": {"image_tokens": 1_290}}});
        let image = json!({"images": [{"type": "image_url", "image_url": {"url": url}, "index": 0}]});
        return cut_if(
            model.ends_with("-cut"),
            vec![
                ": OPENROUTER PROCESSING\n\n".to_owned()
                    + &chunk(json!({"role": "assistant", "content": "Here"}), None),
                chunk(image, None),
                chunk(json!({}), Some("stop")),
                event(&usage),
                "data: [DONE]\n\n".to_owned(),
            ],
        );
    }
    let answer = json!({"id": "gen-1", "object": "chat.completion", "model": model, "choices": [{"index": 0,
        "finish_reason": "stop", "message": {"role": "assistant", "content": body.to_string(),
            "images": [{"type": "image_url", "image_url": {"url": url}}]}}],
        "usage": {"prompt_tokens": 11, "completion_tokens": 1_290, "total_tokens": 1_301,
            "completion_tokens_details": {"image_tokens": 1_290}}});
    Script::json(200, answer.to_string())
}

/// All of a stream, or its first two events.
fn cut_if(is_cut: bool, mut events: Vec<String>) -> Script {
    if is_cut {
        events.truncate(2);
    }
    Script::events(events)
}

/// Pictures as they come of a model that thinks in pictures; `…-cut` breaks off after the thought.
fn paint(model: &str, _: &[Part], body: &Value) -> Script {
    let picture = |is_thought: bool| {
        let mut part = json!({"inlineData": {"mimeType": "image/png", "data": PIXEL}});
        if is_thought {
            part["thought"] = json!(true);
        }
        part
    };
    let chunk = |parts: Value, finish: Option<&str>, output: u64| {
        event(
            &json!({"candidates": [{"content": {"role": "model", "parts": parts}, "finishReason": finish, "index": 0}],
            "usageMetadata": {"promptTokenCount": 12, "candidatesTokenCount": output, "totalTokenCount": 12 + output},
            "modelVersion": model}),
        )
    };
    if body["contents"][0]["parts"][0]["text"] == "refuse" {
        return Script::events([chunk(json!([]), Some("IMAGE_SAFETY"), 0)]);
    }
    cut_if(
        model.ends_with("-cut"),
        vec![
            chunk(json!([{"text": "Let me think", "thought": true}]), None, 0),
            chunk(json!([picture(true)]), None, 0),
            chunk(json!([picture(false)]), None, 1_290),
            chunk(json!([]), Some("STOP"), 1_290),
        ],
    )
}

/// Imagen: as many pictures as `sampleCount` says, four without it; the prompt `refuse` is filtered.
fn predict(_: &str, _: &[Part], body: &Value) -> Script {
    if body["instances"][0]["prompt"] == "refuse" {
        let reason = json!({"predictions": [{"raiFilteredReason": "the prompt breaks the policy: 58061214"}]});
        return Script::json(200, reason.to_string());
    }
    let count = body["parameters"]["sampleCount"].as_u64().unwrap_or(4);
    let kind = body["parameters"]["outputOptions"]["mimeType"].as_str().unwrap_or("image/png");
    let prediction = json!({"mimeType": kind, "bytesBase64Encoded": PIXEL});
    Script::json(200, json!({"predictions": vec![prediction; usize::try_from(count).unwrap_or(4)]}).to_string())
}

fn generate(model: &str, _: &[Part], body: &Value) -> Script {
    let modality = |output: &str, count: u64| {
        json!({"promptTokenCount": 12, "candidatesTokenCount": count, "totalTokenCount": 12 + count,
            "promptTokensDetails": [{"modality": "AUDIO", "tokenCount": 8}, {"modality": "TEXT", "tokenCount": 4}],
            "candidatesTokensDetails": [{"modality": output, "tokenCount": count}]})
    };
    let (part, usage) = if model.contains("tts") {
        let data = BASE64_STANDARD.encode(vec![1; PCM_BYTES]);
        (json!({"inlineData": {"mimeType": "audio/L16;codec=pcm;rate=24000", "data": data}}), modality("AUDIO", 3))
    } else if model.contains("image") {
        (json!({"inlineData": {"mimeType": "image/png", "data": PIXEL}}), modality("IMAGE", 1_290))
    } else {
        (json!({"text": format!("heard {body}")}), modality("TEXT", 5))
    };
    let parts = if body["contents"][0]["parts"][0]["text"] == "refuse" { json!([]) } else { json!([part]) };
    let finish = if parts == json!([]) { "IMAGE_SAFETY" } else { "STOP" };
    let answer = json!({"candidates": [{"content": {"role": "model", "parts": parts}, "finishReason": finish, "index": 0}],
        "usageMetadata": usage, "modelVersion": model});
    Script::json(200, answer.to_string())
}
