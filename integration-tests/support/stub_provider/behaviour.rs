//! Which model behaves how.

use super::chat::{
    self, BESIDE, CITATIONS, Call, DETAILS, FILTER, LOGPROBS, NO_IDS, PARTS, PAUSE, REASONING, REFUSAL, TEXT,
    THINK_TAGS, TOOLS, TWO_CHOICES,
};
use super::script::{Behaviour, Script, Step};
use bytes::Bytes;
use serde_json::{Value, json};

const INVALID: &str = "invalid_request_error";
/// An error under a success status, as MiniMax has them.
const BASE_RESP: &str =
    r#"{"id":"x","choices":null,"base_resp":{"status_code":1026,"status_msg":"input new_sensitive"}}"#;
/// A list of fields that were not understood, as Mistral and others that use FastAPI have it.
const DETAIL: &str =
    r#"{"detail":[{"type":"less_than_equal","loc":["body","temperature"],"msg":"Input should be less than 1.5"}]}"#;
const GARBAGE: &str = "data: {\"id\":\"chatcmpl-Stub\",\"choi\n\n";
const MEBIBYTE: usize = 1 << 20;
static FILLER: [u8; MEBIBYTE] = [b'x'; MEBIBYTE];

/// A provider error: model, status, `type`, `param`, `code`, message.
type ErrorRow = (&'static str, u16, &'static str, Option<&'static str>, Option<&'static str>, &'static str);

#[rustfmt::skip]
const ERRORS: [ErrorRow; 18] = [
    ("stub-400", 400, INVALID, Some("temperature"), Some("decimal_above_max_value"),
        "Invalid 'temperature': decimal above maximum value. Expected a value <= 2, but got 3.5 instead."),
    ("stub-400-context", 400, INVALID, Some("messages"), Some("context_length_exceeded"),
        "This model's maximum context length is 128000 tokens. However, your messages resulted in 130412 tokens. Please reduce the length of the messages."),
    ("stub-400-policy", 400, INVALID, None, Some("content_policy_violation"),
        "Your request was rejected as a result of our safety system."),
    ("stub-401", 401, INVALID, None, Some("invalid_api_key"),
        "Incorrect API key provided: sk-stub*********cret. You can find your API key at https://platform.stub.example/account/api-keys."),
    ("stub-403", 403, INVALID, None, Some("model_access_denied"),
        "Project `proj_Stub7Hq2` does not have access to model `stub-403`."),
    ("stub-404-model", 404, INVALID, None, Some("model_not_found"),
        "The model `stub-404-model` does not exist or you do not have access to it."),
    ("stub-413", 413, INVALID, None, Some("request_too_large"),
        "Request too large: the maximum is 1048576 bytes."),
    ("stub-422", 422, INVALID, Some("messages[0].content"), None,
        "Input should be a valid string or a list of content parts at messages[0].content."),
    ("stub-429", 429, "requests", None, Some("rate_limit_exceeded"),
        "Rate limit reached for stub-429 in organization org-Stub9Xk3 on requests per min (RPM): Limit 3, Used 3, Requested 1. Please try again in 7s."),
    ("stub-402", 402, INVALID, None, Some("insufficient_balance"),
        "Insufficient balance."),
    ("stub-403-content", 403, INVALID, None, None,
        "Content violates usage guidelines. Team: 0f1e, Failed check: SAFETY_CHECK_TYPE_BIO"),
    ("stub-429-plain", 429, "requests", None, Some("rate_limit_exceeded"),
        "Rate limit reached."),
    ("stub-429-quota", 429, "insufficient_quota", None, Some("insufficient_quota"),
        "You exceeded your current quota, please check your plan and billing details."),
    ("stub-500", 500, "server_error", None, None,
        "The server had an error while processing your request (request ID req_Stub0500) at https://api.stub.example."),
    ("stub-503", 503, "server_error", None, None,
        "The engine is currently overloaded, please try again later."),
    ("stub-529", 529, "overloaded_error", None, None,
        "Overloaded"),
    ("stub-error-in-200", 200, "server_error", None, Some("server_error"),
        "The model produced invalid content. Consider modifying your prompt. (req_Stub0200)"),
    ("stub-secret-error", 400, INVALID, Some("messages"), Some("invalid_value"),
        "Invalid value for 'messages' with key sk-stub-secret-key-0001 in organization org-Stub9Xk3 calling stub-secret-error at https://api.stub.example/v1/chat/completions (request req_StubSecret77)."),
];

type Row = (&'static str, fn(&Call<'_>) -> Behaviour);

#[rustfmt::skip]
const ROWS: [Row; 54] = [
    // Good answers.
    ("stub-text", |call| call.answer(TEXT).into()),
    ("stub-tools", |call| call.answer(if follows_a_tool(call) { TEXT } else { TOOLS }).into()),
    ("stub-structured", |call| call.say(&structured(call)).into()),
    ("stub-reasoning", |call| call.answer(REASONING).into()),
    ("stub-logprobs", |call| call.answer(LOGPROBS).into()),
    ("stub-n2", |call| call.answer(TWO_CHOICES).into()),
    ("stub-refusal", |call| call.answer(REFUSAL).into()),
    ("stub-filter", |call| call.answer(FILTER).into()),
    // What hosts make of the wire.
    ("stub-think-tags", |call| call.answer(THINK_TAGS).into()),
    ("stub-details", |call| call.answer(DETAILS).into()),
    ("stub-parts", |call| call.answer(PARTS).into()),
    ("stub-citations", |call| call.answer(CITATIONS).into()),
    ("stub-no-ids", |call| call.answer(NO_IDS).into()),
    ("stub-beside", |call| call.answer(BESIDE).into()),
    ("stub-base-resp", |_| Script::json(200, BASE_RESP).into()),
    ("stub-detail-422", |_| Script::json(422, DETAIL).into()),
    ("stub-echo-request", |call| call.say(&echo(call)).into()),
    ("stub-leaky-headers", |call| leaky(call.answer(TEXT)).into()),
    ("stub-counted", |call| counted(call).into()),
    ("stub-counted-flaky", |call| if call.nth % 2 == 1 { fault("stub-500") } else { counted(call).into() }),
    ("stub-flaky", |call| if call.nth % 2 == 1 { fault("stub-500") } else { call.answer(TEXT).into() }),
    // Good answers in unusual wrapping.
    ("stub-gzip", |call| gzipped(call).into()),
    ("stub-slow", |call| slow(call).into()),
    ("stub-bulk", |call| bulk(call).into()),
    ("stub-flood", |call| flood(call).into()),
    ("stub-late", |call| late(call.answer(TEXT)).into()),
    ("stub-late-error", |call| late(failing_at_once(call)).into()),
    ("stub-long-pings", |call| long_pings(call).into()),
    ("stub-one-piece", |call| in_one_piece(call.answer(TEXT)).into()),
    ("stub-pings", |call| rewritten(call, pinged).into()),
    ("stub-crlf", |call| rewritten(call, carriage_returned).into()),
    ("stub-split", |call| call.answer(TEXT).portioned(1).into()),
    ("stub-giant-frame", |call| giant_frame(call).into()),
    ("stub-giant-json", |_| giant_json().into()),
    // Answers that are none.
    ("stub-html-502", |_| html().into()),
    ("stub-empty-200", |_| Script::new(200, "application/json", []).into()),
    ("stub-json-garbage", |_| Script::json(200, r#"{"id":"chatcmpl-Stub","choices":[{"index":0,"mess"#).into()),
    ("stub-stream-error-first", |call| failing_at_once(call).into()),
    ("stub-stream-error-mid", |call| failing_midway(call).into()),
    ("stub-sse-garbage", |_| Script::events([GARBAGE]).into()),
    ("stub-sse-garbage-mid", |call| call.begun([Step::Send(GARBAGE.into())]).into()),
    ("stub-eof-no-terminal", |call| call.begun([]).into()),
    ("stub-finish-no-done", |call| without_done(call).into()),
    ("stub-finish-stall", |call| without_done(call).then(Step::Stall).into()),
    ("stub-finish-then-error", |call| finished_then_failing(call).into()),
    ("stub-done-no-finish", |call| done_without_finish(call).into()),
    ("stub-done-only", |_| Script::events(["data: [DONE]\n\n"]).into()),
    ("stub-tell-tale", |call| tell_tale(call).into()),
    ("stub-stall-json", |call| call.begun([Step::Stall]).into()),
    // Broken connections.
    ("stub-reset-mid", |call| call.begun([Step::Reset]).into()),
    ("stub-reset-before", |_| Behaviour::HangUp),
    ("stub-stall-headers", |_| Behaviour::Silence),
    ("stub-stall-first", |call| call.answer(TEXT).cut(0).then(Step::Stall).into()),
    ("stub-stall-mid", |call| call.begun([Step::Stall]).into()),
];

/// Every model the stub knows.
pub(crate) const MODELS: [&str; ROWS.len() + ERRORS.len()] = {
    let mut names = [""; ROWS.len() + ERRORS.len()];
    let mut at = 0;
    while at < names.len() {
        names[at] = if at < ROWS.len() { ROWS[at].0 } else { ERRORS[at - ROWS.len()].0 };
        at += 1;
    }
    names
};

/// What happens to this call.
pub(super) fn choose(call: &Call<'_>) -> Behaviour {
    let model = call.received.model.as_str();
    match ROWS.iter().find(|(name, _)| *name == model) {
        Some((_, behave)) => behave(call),
        // Documented commands name real models; they can be tried against the stub as written.
        None if model.starts_with("gpt-") => call.answer(TEXT).into(),
        None => fault(model),
    }
}

impl From<Script> for Behaviour {
    fn from(script: Script) -> Self {
        Self::Answer(script)
    }
}

fn fault(model: &str) -> Behaviour {
    let Some((_, status, kind, param, code, message)) = ERRORS.iter().find(|row| row.0 == model) else {
        let message = format!("The model `{model}` does not exist or you do not have access to it.");
        return Script::json(404, chat::error_body(&message, INVALID, None, Some("model_not_found"))).into();
    };
    let mut script = Script::json(*status, chat::error_body(message, kind, *param, *code));
    if model == "stub-429" {
        script = script.header("retry-after", "7").header("x-ratelimit-remaining-requests", "0");
    }
    script.header("x-request-id", "req_StubFault").into()
}

fn follows_a_tool(call: &Call<'_>) -> bool {
    call.body["messages"].as_array().and_then(|messages| messages.last()).is_some_and(|last| last["role"] == "tool")
}

fn structured(call: &Call<'_>) -> String {
    let schema = &call.body["response_format"]["json_schema"]["schema"];
    chat::example(schema, schema).to_string()
}

fn echo(call: &Call<'_>) -> String {
    json!({
        "path": call.received.path,
        "headers": call.received.headers,
        "body": String::from_utf8_lossy(&call.received.body),
    })
    .to_string()
}

/// Usage that depends on the number in the last message.
fn counted(call: &Call<'_>) -> Script {
    let text = call.body["messages"].as_array().and_then(|all| all.last()).map(|last| last["content"].to_string());
    let digits: String = text.unwrap_or_default().chars().filter(char::is_ascii_digit).collect();
    let number: u64 = digits.parse().unwrap_or_default();
    let (input, output) = (200 + number % 977, 20 + number % 389);
    call.say_for(
        "counted",
        json!({
            "prompt_tokens": input, "completion_tokens": output, "total_tokens": input + output,
            "prompt_tokens_details": {"cached_tokens": number % 53, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": number % 17, "audio_tokens": 0},
        }),
    )
}

fn leaky(script: Script) -> Script {
    [
        ("set-cookie", "__cf_bm=stub-cookie; path=/; HttpOnly"),
        ("openai-organization", "org-Stub9Xk3"),
        ("openai-processing-ms", "123"),
        ("openai-version", "2020-10-01"),
        ("x-request-id", "req_StubLeaky"),
        ("x-ratelimit-limit-requests", "10000"),
        ("x-ratelimit-remaining-tokens", "29999"),
        ("cf-ray", "8f00stub-ZRH"),
        ("server", "stub-edge"),
    ]
    .into_iter()
    .fold(script, |script, (name, value)| script.header(name, value))
}

/// Gzip with one stored block: the format without the compression.
fn gzipped(call: &Call<'_>) -> Script {
    let mut script = call.answer(TEXT);
    let plain: Vec<u8> = script.sent().flatten().copied().collect();
    let mut gzip = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
    let blocks = plain.chunks(usize::from(u16::MAX));
    let last = blocks.len().saturating_sub(1);
    for (at, block) in blocks.enumerate() {
        // A chunk of at most u16::MAX bytes has a length of two bytes.
        let length = u16::try_from(block.len()).unwrap_or(u16::MAX);
        gzip.push(u8::from(at == last));
        gzip.extend(length.to_le_bytes());
        gzip.extend((!length).to_le_bytes());
        gzip.extend(block);
    }
    gzip.extend(crc32fast::hash(&plain).to_le_bytes());
    gzip.extend(u32::try_from(plain.len()).unwrap_or(u32::MAX).to_le_bytes());
    script.steps = [Step::Send(gzip.into())].into();
    script.header("content-encoding", "gzip")
}

fn slow(call: &Call<'_>) -> Script {
    if !call.stream {
        return call.answer(TEXT).paced(PAUSE * 20);
    }
    let words = (1..=20).map(|number| chat::delta(&json!({ "content": format!("{number} ") }), &Value::Null));
    let ending = [chat::delta(&json!({}), &json!("stop")), "data: [DONE]\n\n".to_owned()];
    Script::events(words.chain(ending)).paced(PAUSE)
}

fn bulk(call: &Call<'_>) -> Script {
    if !call.stream {
        return call.answer(TEXT);
    }
    let word = |number| chat::delta(&json!({ "content": format!("{number} ") }), &Value::Null).into();
    Script::events(Vec::<String>::new())
        .then(Step::Many(0..10_000, word))
        .then(Step::Send(chat::delta(&json!({}), &json!("stop")).into()))
        .then(Step::Send("data: [DONE]\n\n".into()))
}

/// 64 KiB in each of 512 frames.
fn flood(call: &Call<'_>) -> Script {
    if !call.stream {
        return call.answer(TEXT);
    }
    let filled = |_| {
        let filler = std::str::from_utf8(&FILLER[..64 << 10]).unwrap_or_default();
        chat::delta(&json!({ "content": filler }), &Value::Null).into()
    };
    Script::events(Vec::<String>::new())
        .then(Step::Many(0..512, filled))
        .then(Step::Send(chat::delta(&json!({}), &json!("stop")).into()))
        .then(Step::Send("data: [DONE]\n\n".into()))
}

/// The same answer after a time in which nothing at all is sent but the head.
fn late(mut script: Script) -> Script {
    script.steps.push_front(Step::Wait(PAUSE * 6));
    script
}

/// Two words, then comments alone for a while, then the rest.
fn long_pings(call: &Call<'_>) -> Script {
    if !call.stream {
        return call.answer(TEXT);
    }
    let mut frames = call.frames(TEXT);
    let rest = frames.split_off(3);
    let mut script = Script::events(frames);
    for _ in 0..20 {
        script = script.then(Step::Wait(PAUSE / 2)).then(Step::Send(": ping\n\n".into()));
    }
    rest.into_iter().fold(script, |script, frame| script.then(Step::Send(frame.into())))
}

/// All of it in one write.
fn in_one_piece(mut script: Script) -> Script {
    let all: Vec<u8> = script.sent().flatten().copied().collect();
    script.steps = [Step::Send(all.into())].into();
    script
}

/// The text stream with every frame written differently.
fn rewritten(call: &Call<'_>, rewrite: fn(usize, &str) -> String) -> Script {
    if !call.stream {
        return call.answer(TEXT);
    }
    Script::events(call.frames(TEXT).iter().enumerate().map(|(at, frame)| rewrite(at, frame)))
}

fn pinged(at: usize, frame: &str) -> String {
    format!(": ping {at}\n\n: still here\n{frame}")
}

/// A byte order mark first, CRLF line ends, an event name, and the JSON spread over two `data` lines.
fn carriage_returned(at: usize, frame: &str) -> String {
    let mark = if at == 0 { "\u{feff}" } else { "" };
    let data = frame.trim_start_matches("data: ").trim_end();
    match data.strip_prefix('{') {
        Some(rest) => format!("{mark}event: message\r\ndata: {{\r\ndata:{rest}\r\n\r\n"),
        None => format!("data: {data}\r\n\r\n"),
    }
}

fn giant_frame(call: &Call<'_>) -> Script {
    if !call.stream {
        return call.answer(TEXT);
    }
    let content = "y".repeat(20 * MEBIBYTE);
    Script::events([
        chat::delta(&json!({ "content": content }), &Value::Null),
        chat::delta(&json!({}), &json!("stop")),
        "data: [DONE]\n\n".to_owned(),
    ])
}

fn giant_json() -> Script {
    let head = r#"{"id":"chatcmpl-Stub","object":"chat.completion","created":1772323299,"model":"stub-giant-2026-03-01","choices":[{"index":0,"finish_reason":"stop","message":{"role":"assistant","content":""#;
    Script::json(200, head)
        .then(Step::Many(0..200, |_| Bytes::from_static(&FILLER)))
        .then(Step::Send(r#""}}],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}"#.into()))
}

fn html() -> Script {
    let page = "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body><center><h1>502 Bad Gateway</h1></center>\
        <hr><center>edge.stub.example</center></body>\r\n</html>\r\n";
    Script::new(502, "text/html", [Step::Send(page.into())])
}

fn midway_error() -> String {
    let message = "The server had an error while processing your request. (req_StubMid, https://help.stub.example)";
    chat::error_body(message, "server_error", None, None)
}

/// A stream whose first event is an error. As JSON: the error itself, under status 200.
fn failing_at_once(call: &Call<'_>) -> Script {
    let error = midway_error();
    if call.stream { Script::events([format!("data: {error}\n\n")]) } else { Script::json(200, error) }
}

/// The same after two words.
fn failing_midway(call: &Call<'_>) -> Script {
    let event = format!("data: {}\n\n", midway_error());
    if call.stream { call.begun([Step::Send(event.into())]) } else { failing_at_once(call) }
}

/// A whole answer, and an error in the same write.
fn finished_then_failing(call: &Call<'_>) -> Script {
    let script = without_done(call);
    let error = Step::Send(format!("data: {}\n\n", midway_error()).into());
    if call.stream { in_one_piece(script.then(error)) } else { script }
}

/// Text and the protocol's last event without a reason why it ended; all in one write.
fn done_without_finish(call: &Call<'_>) -> Script {
    let script = call.answer(TEXT);
    if !call.stream {
        return script;
    }
    in_one_piece(script.cut(3).then(Step::Send("data: [DONE]\n\n".into())))
}

/// A refusal that repeats the secrets it was sent.
fn tell_tale(call: &Call<'_>) -> Script {
    let sent = |name: &str| call.received.header(name).unwrap_or_default();
    let message =
        format!("Who sends '{}' and {}, must not ask for this.", sent("authorization"), sent("x-stub-secret"));
    Script::json(400, chat::error_body(&message, INVALID, None, Some("invalid_value")))
}

fn without_done(call: &Call<'_>) -> Script {
    if !call.stream {
        return call.answer(TEXT);
    }
    Script::events(call.frames(TEXT).into_iter().filter(|frame| frame != "data: [DONE]\n\n"))
}
