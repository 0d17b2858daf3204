//! What hosts make of this wire, read whole and streamed: fixtures beside what they mean.

use std::path::Path;

use bytes::Bytes;
use serde_json::{Value, json};

use crate::canonical::text::{Collector, Finish, Part, Reply, Request, Role, Turn};
use crate::canonical::{TokenUsage, Wire};
use crate::dialects::openai_chat::{Quirks, ThoughtField, fault, read};
use crate::dialects::{Addressee, Frame, scan, transport};
use crate::transport::framing::SseFramer;

fn fixture(name: &str) -> Option<Vec<u8>> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("integration-tests/fixtures/openai_chat").join(name)).ok()
}

fn streamed(body: &[u8]) -> Reply {
    let mut decoder = transport(Wire::Chat).decoder();
    let mut collector = Collector::default();
    let mut framer = SseFramer::new(1 << 20);
    framer.push(&Bytes::copy_from_slice(body));
    while let Some(frame) = framer.next_frame().unwrap() {
        let mut deltas = Vec::new();
        decoder.decode(None, frame.data.as_deref().unwrap_or_default(), &mut deltas).unwrap();
        deltas.iter().for_each(|delta| collector.take(delta));
    }
    collector.finish()
}

/// Everything but ids, in one line.
fn shown(reply: &Reply) -> String {
    let part = |part: &Part| match part {
        Part::Text { text, annotations, .. } => {
            let url = |json: &crate::canonical::Json| json.read::<Value>().unwrap()["url"].as_str().unwrap().to_owned();
            let urls: Vec<String> = annotations.iter().map(url).collect();
            format!("text({text}{})", urls.iter().map(|url| format!(" @{url}")).collect::<String>())
        }
        Part::Reasoning(reasoning) => {
            let data = reasoning.state.as_ref().map(|state| state.data.clone()).unwrap_or_default();
            format!("thought({}{})", reasoning.text, if data.is_empty() { "" } else { " +state" })
        }
        Part::ToolCall(call) => format!("call({} {})", call.name, call.arguments),
        other => format!("{other:?}"),
    };
    reply.parts.iter().map(part).collect::<Vec<_>>().join(" ")
}

#[test]
fn every_place_that_hosts_have_for_something_is_read() {
    let usage = |input, output| TokenUsage { input, output, ..TokenUsage::default() };
    let plain = usage(21, 34);
    let rows: [(&str, &str, Option<Finish>, TokenUsage); 14] = [
        (
            "think_tags",
            "thought(\nThe tide is asked for.\n) text(\n\nHigh water is at 6:40.)",
            Some(Finish::Stop),
            plain,
        ),
        (
            "reasoning_details_encrypted",
            r#"thought(Weighing two routes. +state) call(plan_route {"to": "Vigo"})"#,
            Some(Finish::ToolCalls),
            TokenUsage { cache_read: 40, cache_write: 16, reasoning: 25, ..usage(120, 60) },
        ),
        (
            "thinking_and_reference_parts",
            "thought(Two sources agree.) text(The bridge opened in 1932.)",
            Some(Finish::Stop),
            TokenUsage { cache_read: 64, ..usage(300, 50) },
        ),
        ("reasoning_as_an_object", "thought(Three threes.) text(Nine.)", Some(Finish::Stop), plain),
        ("usage_beside_the_choice", "text(Ja.)", Some(Finish::Stop), TokenUsage { cache_read: 8, ..usage(12, 2) }),
        (
            "usage_with_reasoning_beside",
            "thought(Carry nothing.) text(101 x 3 = 303.)",
            Some(Finish::Stop),
            TokenUsage { cache_read: 6, reasoning: 200, ..usage(32, 209) },
        ),
        (
            "usage_with_cache_beside",
            "text(Done.)",
            Some(Finish::Stop),
            TokenUsage { cache_read: 500, cache_write: 300, ..usage(900, 10) },
        ),
        (
            "citations_beside_the_choices",
            "text(High water at 6:40 [1][2]. @https://tides.example/a @https://harbour.example/b)",
            Some(Finish::Stop),
            usage(9, 8),
        ),
        ("citations_with_the_usage", "text(It rains [1]. @https://rain.example)", Some(Finish::Stop), usage(9, 8)),
        ("calls_without_ids", r#"call(add {"a":1,"b":2.50}) call(add {"a":3,"b":4})"#, Some(Finish::ToolCalls), plain),
        ("finish_of_a_starved_host", "text(Half an)", Some(Finish::Length), plain),
        ("finish_null", "text(All.)", None, plain),
        ("finish_in_capitals", "text(Cut)", Some(Finish::Length), plain),
        ("message_instead_of_delta", "thought(Why not.) text(All at once.)", Some(Finish::Stop), plain),
    ];
    for (name, expected, finish, usage) in rows {
        let whole = fixture(&format!("{name}.json")).map(|body| read::read_reply(&body).unwrap());
        let events = fixture(&format!("{name}.sse")).map(|body| streamed(&body));
        assert!(whole.is_some() || events.is_some(), "{name}");
        for reply in whole.into_iter().chain(events) {
            assert_eq!(shown(&reply), expected, "{name}");
            // What is billed beside tokens is tried elsewhere.
            let tokens = reply.usage.map(|used| TokenUsage { terms: usage.terms, ..used });
            assert_eq!((reply.finish, tokens), (finish.clone(), Some(usage)), "{name}");
        }
    }
}

#[test]
fn ids_that_are_made_differ_within_an_answer_and_between_answers() {
    let reply = streamed(&fixture("calls_without_ids.sse").unwrap());
    let ids: Vec<&str> = reply.tool_calls().map(|call| call.id.as_str()).collect();
    assert_eq!(ids, ["call_ncallswithoutids_0", "call_ncallswithoutids_1"]);
}

/// What a host gets of a thought of its own that a client gives back.
fn given_back(reply: &Reply, contract: Wire, quirks: &'static Quirks) -> Value {
    let request = match contract {
        Wire::Messages => json!({"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": "q"}]}),
        Wire::Responses => json!({"model": "m", "input": [{"role": "user", "content": "q"}]}),
        Wire::Chat | Wire::GenerateContent => json!({"model": "m", "messages": [{"role": "user", "content": "q"}]}),
    };
    let asked = scan(contract, Bytes::from(request.to_string())).unwrap();
    let frame = Frame { id: "a".into(), created: 1, model: "m".into(), origin: "dep_1".into() };
    let answer: Value = serde_json::from_slice(&asked.write_reply(reply, &frame)).unwrap();
    let mut next = request;
    match contract {
        Wire::Messages => {
            let turn = json!({"role": "assistant", "content": answer["content"]});
            next["messages"].as_array_mut().unwrap().push(turn);
        }
        Wire::Responses => {
            next["input"].as_array_mut().unwrap().extend(answer["output"].as_array().unwrap().iter().cloned());
        }
        Wire::Chat | Wire::GenerateContent => {
            next["messages"].as_array_mut().unwrap().push(answer["choices"][0]["message"].clone());
        }
    }
    let read = scan(contract, Bytes::from(next.to_string())).unwrap().read().unwrap();
    let to = Addressee { model: "up", quirks, origin: "dep_1", ..Addressee::default() };
    let written = transport(Wire::Chat).write_request(&read, &to).unwrap();
    let body: Value = serde_json::from_slice(&written.body.concat()).unwrap();
    body["messages"][1].clone()
}

#[test]
fn a_thought_returns_to_its_maker_where_the_maker_wants_it() {
    const REASONING: Quirks = Quirks { thoughts: ThoughtField::Reasoning, ..Quirks::HOST };
    const PART: Quirks = Quirks { thoughts: ThoughtField::Part, ..Quirks::HOST };
    const TAGS: Quirks = Quirks { thoughts: ThoughtField::Tags, ..Quirks::HOST };
    const NOTHING: Quirks = Quirks { thoughts: ThoughtField::Nothing, ..Quirks::HOST };
    let plain = read::read_reply(&fixture("usage_with_reasoning_beside.json").unwrap()).unwrap();
    let (thought, text) = ("Carry nothing.", "101 x 3 = 303.");
    for contract in [Wire::Messages, Wire::Responses] {
        let message = given_back(&plain, contract, &Quirks::HOST);
        assert_eq!(
            (&message["reasoning_content"], &message["content"]),
            (&json!(thought), &json!(text)),
            "{contract:?}"
        );
        assert_eq!(given_back(&plain, contract, &REASONING)["reasoning"], thought, "{contract:?}");
        let part = json!({"type": "thinking", "thinking": [{"type": "text", "text": thought}]});
        assert_eq!(given_back(&plain, contract, &PART)["content"][0], part, "{contract:?}");
        let tagged = format!("<think>{thought}</think>{text}");
        assert_eq!(given_back(&plain, contract, &TAGS)["content"], tagged, "{contract:?}");
        let nothing = given_back(&plain, contract, &NOTHING).to_string();
        assert!(!nothing.contains(thought), "{contract:?}: {nothing}");
        for source in ["json", "sse"] {
            let body = fixture(&format!("reasoning_details_encrypted.{source}")).unwrap();
            let reply = if source == "json" { read::read_reply(&body).unwrap() } else { streamed(&body) };
            let message = given_back(&reply, contract, &Quirks::HOST);
            assert_eq!(message["reasoning_details"][0]["summary"], "Weighing two routes.", "{contract:?} {source}");
            assert_eq!(message["reasoning_details"][1]["data"], "b3BhcXVl", "{contract:?} {source}");
            assert_eq!(message["tool_calls"][0]["id"], "call_rd1", "{contract:?} {source}");
        }
    }
}

#[test]
fn requests_are_written_in_what_a_host_knows() {
    const ODD: Quirks = Quirks {
        takes_stream_options: false,
        takes_json_schema: false,
        takes_strict: false,
        needs_alternation: true,
        has_short_call_ids: true,
        refuses: &["user", "parallel_tool_calls"],
        ..Quirks::HOST
    };
    let request = json!({
        "model": "m", "stream": true, "max_completion_tokens": 9, "user": "u", "parallel_tool_calls": false,
        "messages": [
            {"role": "developer", "content": "Be brief."},
            {"role": "user", "content": "a"}, {"role": "user", "content": "b"},
            {"role": "assistant", "content": null, "tool_calls":
                [{"id": "call_long_id", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "call_long_id", "content": "r"},
        ],
        "tools": [
            {"type": "function", "function": {"name": "f", "strict": true, "parameters": {"type": "object"}}},
            {"type": "custom", "custom": {"name": "patch"}},
        ],
        "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}},
    });
    let read = scan(Wire::Chat, Bytes::from(request.to_string())).unwrap().read().unwrap();
    let to = Addressee { model: "up", quirks: &ODD, ..Addressee::default() };
    let written = transport(Wire::Chat).write_request(&read, &to).unwrap();
    let body: Value = serde_json::from_slice(&written.body.concat()).unwrap();
    assert_eq!(body["max_tokens"], 9);
    assert_eq!(body["stream_options"], Value::Null);
    assert_eq!(body["messages"][0]["role"], "system");
    assert!(body["messages"][0]["content"].to_string().contains("JSON Schema"), "{body}");
    assert_eq!(body["messages"][1]["content"].as_array().unwrap().len(), 2);
    assert_eq!(body["messages"][2]["tool_calls"][0]["id"], body["messages"][3]["tool_call_id"]);
    assert_eq!(body["messages"][3]["tool_call_id"].as_str().unwrap().len(), 9);
    assert_eq!(body["tools"][0]["function"]["strict"], Value::Null);
    assert_eq!(body["tools"][1]["function"]["parameters"]["required"], json!(["input"]));
    assert_eq!(body["response_format"], json!({"type": "json_object"}));
    assert_eq!(written.dropped, ["parallel_tool_calls", "response_format.json_schema", "tools.strict", "user"]);
}

#[test]
fn cache_breakpoints_stay_where_a_host_reads_them() {
    const CACHES: Quirks = Quirks { takes_cache_control: true, ..Quirks::HOST };
    let cache = crate::canonical::Json::parse(r#"{"type":"ephemeral"}"#.to_owned());
    let text = Part::Text { text: "long".to_owned(), annotations: Vec::new(), cache };
    let request = Request { turns: vec![Turn::new(Role::System, vec![text])], ..Request::default() };
    let write = |quirks: &'static Quirks| {
        let to = Addressee { quirks, ..Addressee::default() };
        let written = transport(Wire::Chat).write_request(&request, &to).unwrap();
        (serde_json::from_slice::<Value>(&written.body.concat()).unwrap(), written.dropped)
    };
    let (body, dropped) = write(&CACHES);
    assert_eq!(body["messages"][0]["content"][0]["cache_control"]["type"], "ephemeral");
    assert!(dropped.is_empty());
    let (body, dropped) = write(&Quirks::HOST);
    assert_eq!(body["messages"][0]["content"], "long");
    assert_eq!(dropped, ["cache_control"]);
}

#[test]
fn every_shape_of_an_error_says_its_message_code_and_status() {
    for (body, message, kind, code, status) in [
        (r#"{"error":{"message":"m","type":"t","code":"c"}}"#, "m", Some("t"), Some("c"), None),
        (r#"{"error":"m","code":"invalid-argument"}"#, "m", None, Some("invalid-argument"), None),
        (r#"{"error":"m","error_type":"validation"}"#, "m", Some("validation"), None, None),
        (
            r#"{"error":{"code":"content_filter","message":"m","status":400}}"#,
            "m",
            None,
            Some("content_filter"),
            Some(400),
        ),
        (r#"{"detail":"m"}"#, "m", None, None, None),
        (
            r#"{"detail":[{"loc":["body","messages",0],"msg":"Field required","type":"missing"}]}"#,
            "body.messages.0: Field required",
            None,
            None,
            None,
        ),
        (
            r#"{"object":"error","message":{"detail":[{"loc":["body","x"],"msg":"Extra inputs are not permitted"}]},"type":"invalid_request_error","code":null,"raw_status_code":422}"#,
            "body.x: Extra inputs are not permitted",
            Some("invalid_request_error"),
            None,
            Some(422),
        ),
        (r#"{"id":"e1","message":"m"}"#, "m", None, None, None),
        (r#"{"errors":[{"message":"m","code":5007}],"success":false}"#, "m", None, Some("5007"), None),
        (r#"{"base_resp":{"status_code":1008,"status_msg":"m"}}"#, "m", None, Some("1008"), None),
        (r#"{"type":"error","error":{"type":"t","message":"m","http_code":"429"}}"#, "m", Some("t"), None, Some(429)),
        (r#"{"error_code":"REQUEST_LIMIT_EXCEEDED","message":"m"}"#, "m", None, Some("REQUEST_LIMIT_EXCEEDED"), None),
        (r#"{"status":404,"title":"Not Found","detail":"m"}"#, "m", None, None, Some(404)),
        (
            r#"[{"error":{"code":400,"message":"m","status":"INVALID_ARGUMENT"}}]"#,
            "m",
            Some("INVALID_ARGUMENT"),
            Some("400"),
            Some(400),
        ),
        (
            r#"{"error":{"message":"Provider returned error","code":400,"metadata":{"raw":"{\"error\":{\"message\":\"prompt is too long\"}}","provider_name":"P"}}}"#,
            "Provider returned error: prompt is too long",
            None,
            Some("400"),
            Some(400),
        ),
        (r#"{"error":["first"]}"#, "first", None, None, None),
        ("Bad Gateway", "Bad Gateway", None, None, None),
        ("{}", "", None, None, None),
    ] {
        let error = fault::read_error(body.as_bytes());
        let read = (error.message.as_str(), error.kind.as_deref(), error.code.as_deref(), error.status);
        assert_eq!(read, (message, kind, code, status), "{body}");
    }
}

#[test]
fn an_error_under_a_success_status_is_none_of_the_answers() {
    use crate::dialects::ReplyError;
    for body in [
        r#"{"error":{"message":"m"}}"#,
        r#"{"choices":[],"error":{"message":"m"}}"#,
        r#"{"id":"x","choices":null,"base_resp":{"status_code":1008,"status_msg":"m"}}"#,
        r#"{"object":"error","message":"m","code":400}"#,
        r#"{"detail":"m"}"#,
    ] {
        for wire in [Wire::Chat, Wire::Messages] {
            let result = match wire {
                Wire::Chat => super::super::native::read_reply(Bytes::from(body), "p").map(|_| ()),
                _ => read::read_reply(body.as_bytes()).map(|_| ()),
            };
            match result {
                Err(ReplyError::Provider(error)) => assert_eq!(error.message, "m", "{body}"),
                other => panic!("{body}: {other:?}"),
            }
        }
    }
}
