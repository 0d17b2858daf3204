//! Every fixture through every contract: what a client reads is what the provider meant, whole or streamed, however the
//! bytes are cut. `make matrix` prints how many cases pass.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bytes::{Bytes, BytesMut};

use crate::canonical::Wire;
use crate::canonical::text::{Collector, Finish, Part, Reply};
use crate::dialects::native::{NativeStream, Signal, StreamError};
use crate::dialects::translate::Translation;
use crate::dialects::{Asked, Frame, scan, state, transport};
use crate::fault::{Fault, Kind};
use crate::transport::framing::SseFramer;

fn folder(wire: Wire) -> PathBuf {
    let folder = match wire {
        Wire::Chat => "integration-tests/fixtures/openai_chat",
        Wire::Responses => "integration-tests/fixtures/openai_responses",
        Wire::Messages => "integration-tests/fixtures/anthropic_messages",
        Wire::GenerateContent => "integration-tests/fixtures/gemini",
    };
    Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)
}

fn fixtures(wire: Wire, extension: &str, are_bad: bool) -> Vec<(String, Vec<u8>)> {
    let mut found: Vec<PathBuf> = std::fs::read_dir(folder(wire)).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.retain(|path| path.extension().is_some_and(|own| own == extension));
    found.sort();
    let named = found.into_iter().map(|path| {
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        (name, std::fs::read(path).unwrap())
    });
    // `models` is no answer; `n2` has two, of which other contracts have one.
    named.filter(|(name, _)| name.starts_with("bad_") == are_bad && name != "models" && name != "n2").collect()
}

pub(super) fn asked(contract: Wire, is_stream: bool) -> Box<dyn Asked> {
    let rest = match contract {
        Wire::Chat => r#""messages":[{"role":"user","content":"hi"}],"stream_options":{"include_usage":true}"#,
        Wire::Responses => r#""input":"hi""#,
        Wire::Messages => r#""max_tokens":100,"messages":[{"role":"user","content":"hi"}]"#,
        Wire::GenerateContent => unreachable!("it is no contract"),
    };
    let rest =
        if is_stream { rest.to_owned() } else { rest.replace(r#","stream_options":{"include_usage":true}"#, "") };
    scan(contract, Bytes::from(format!(r#"{{"model":"pub","stream":{is_stream},{rest}}}"#))).unwrap()
}

pub(super) fn frame() -> Frame {
    Frame {
        id: "0123456789abcdef".to_owned(),
        created: 1_790_000_000,
        model: "pub".to_owned(),
        origin: "dep_1".to_owned(),
    }
}

fn relay(contract: Wire, wire: Wire) -> Box<dyn NativeStream> {
    let asked = asked(contract, true);
    if contract == wire {
        return asked.native_stream();
    }
    Box::new(Translation::new(transport(wire).decoder(), asked.encoder(frame())))
}

/// What a client gets of a provider's stream that arrives in `pieces`.
pub(super) fn play(contract: Wire, wire: Wire, pieces: &[&[u8]]) -> Result<Vec<u8>, StreamError> {
    let mut relay = relay(contract, wire);
    let mut framer = SseFramer::new(1 << 20);
    let mut out = BytesMut::new();
    for piece in pieces {
        framer.push(&Bytes::copy_from_slice(piece));
        while let Some(frame) = framer.next_frame().unwrap() {
            let Some(data) = &frame.data else { continue };
            if relay.relay(frame.event.as_deref(), data, &mut out)? == Signal::Done {
                relay.write_closing(&mut out);
                return Ok(out.to_vec());
            }
        }
    }
    if !relay.is_complete() {
        return Err(StreamError::Malformed("no terminal event"));
    }
    relay.write_closing(&mut out);
    Ok(out.to_vec())
}

/// Reads a stream as its provider's client would.
fn collect(wire: Wire, bytes: &[u8]) -> Reply {
    let mut decoder = transport(wire).decoder();
    let mut collector = Collector::default();
    let mut framer = SseFramer::new(1 << 20);
    framer.push(&Bytes::copy_from_slice(bytes));
    while let Some(frame) = framer.next_frame().unwrap() {
        let Some(data) = &frame.data else { continue };
        let mut deltas = Vec::new();
        let is_done = decoder.decode(frame.event.as_deref(), data, &mut deltas).unwrap();
        deltas.iter().for_each(|delta| collector.take(delta));
        if is_done {
            break;
        }
    }
    collector.finish()
}

/// What all contracts have a place for.
#[derive(Debug, PartialEq)]
struct Essence {
    text: String,
    thought: String,
    refusal: String,
    calls: Vec<(String, String, String)>,
    state: Option<String>,
    finish: String,
    usage: Option<(u64, u64, u64, u64, u64)>,
}

fn essence(reply: &Reply, contract: Wire) -> Essence {
    let mut refusal = String::new();
    let mut text = String::new();
    let mut thoughts = Vec::new();
    let mut carried = None;
    let mut calls = Vec::new();
    for part in &reply.parts {
        match part {
            Part::Text { text: piece, .. } => text.push_str(piece),
            // Messages has no place of its own for the words of a refusal.
            Part::Refusal(piece) if contract == Wire::Messages => text.push_str(piece),
            Part::Refusal(piece) => refusal.push_str(piece),
            Part::Reasoning(reasoning) => {
                let visible = reasoning.visible();
                // Messages joins the summaries of one thought without a blank line between them while they stream.
                thoughts.push(visible.replace("\n\n", ""));
                let state = reasoning.state.as_ref().map(|state| state::read(&state.data, state.wire));
                carried = state.filter(|state| !state.data.is_empty()).map(|state| state.data).or(carried);
            }
            Part::ToolCall(call) => {
                let (id, state) = state::read_id(&call.id);
                carried = state.map(|state| state.data).or(carried);
                // A tool with free text is called with `{"input": …}` on Messages.
                let arguments = if call.is_custom && contract == Wire::Messages {
                    serde_json::json!({"input": call.arguments}).to_string()
                } else {
                    call.arguments.clone()
                };
                calls.push((id.to_owned(), call.name.clone(), arguments));
            }
            _ => {}
        }
    }
    // Chat Completions has no place for state where no tool is called.
    let state = carried.filter(|_| contract != Wire::Chat || !calls.is_empty());
    let finish = match (reply.finish.as_ref(), contract) {
        (None, _) => "stop",
        (Some(Finish::StopSequence(_) | Finish::Pause), Wire::Chat | Wire::Responses) => "stop",
        (Some(Finish::ContextWindow), Wire::Chat | Wire::Responses) => "length",
        (Some(Finish::Refusal), Wire::Chat | Wire::Responses) => "content_filter",
        (Some(Finish::ContentFilter), Wire::Messages) => "refusal",
        (Some(Finish::Other(_)), Wire::Responses | Wire::Messages) => "stop",
        (Some(finish), _) => finish.as_str(),
    };
    // A stream whose provider says nothing of usage has none; Messages has to say something.
    let usage = reply.usage.filter(|usage| usage.input > 0);
    Essence {
        text,
        thought: thoughts.concat(),
        refusal,
        calls,
        state,
        finish: finish.to_owned(),
        usage: usage.map(|usage| (usage.input, usage.output, usage.cache_read, usage.cache_write, usage.reasoning)),
    }
}

fn print_matrix(mode: &str, matrix: &BTreeMap<(Wire, Wire), usize>) {
    for ((wire, contract), cases) in matrix {
        println!("{mode:<6} {:<17} -> {:<17} {cases} cases", wire.as_str(), contract.as_str());
    }
}

#[test]
fn whole_answers() {
    let mut matrix = BTreeMap::new();
    for wire in Wire::ALL {
        for (name, body) in fixtures(wire, "json", false) {
            let meant = transport(wire).read_reply(&body).unwrap_or_else(|error| panic!("{wire:?} {name}: {error:?}"));
            for contract in Wire::CONTRACTS {
                let asked = asked(contract, false);
                let answer = if contract == wire {
                    asked.native_reply(Bytes::from(body.clone())).unwrap().body.concat()
                } else {
                    asked.write_reply(&meant, &frame()).to_vec()
                };
                let read = transport(contract).read_reply(&answer).unwrap();
                assert_eq!(essence(&read, contract), essence(&meant, contract), "{wire:?} {name} as {contract:?}");
                let root: serde_json::Value = serde_json::from_slice(&answer).unwrap();
                assert_eq!(root["model"], "pub", "{wire:?} {name} as {contract:?}");
                *matrix.entry((wire, contract)).or_default() += 1;
            }
        }
    }
    print_matrix("whole", &matrix);
}

#[test]
fn streams() {
    let mut matrix = BTreeMap::new();
    for wire in Wire::ALL {
        for (name, body) in fixtures(wire, "sse", false) {
            let meant = collect(wire, &body);
            for contract in Wire::CONTRACTS {
                let answer = play(contract, wire, &[&body])
                    .unwrap_or_else(|error| panic!("{wire:?} {name} as {contract:?}: {error:?}"));
                let read = collect(contract, &answer);
                let shown = String::from_utf8_lossy(&answer);
                assert_eq!(
                    essence(&read, contract),
                    essence(&meant, contract),
                    "{wire:?} {name} as {contract:?}\n{shown}"
                );
                assert!(!shown.contains("up-model") && !shown.contains("claude-up"), "{wire:?} {name} as {contract:?}");
                *matrix.entry((wire, contract)).or_default() += 1;
            }
        }
    }
    print_matrix("stream", &matrix);
}

#[test]
fn where_bytes_are_cut_makes_no_difference() {
    for wire in Wire::ALL {
        for (name, body) in fixtures(wire, "sse", false) {
            for contract in Wire::CONTRACTS {
                let joined = play(contract, wire, &[&body]).unwrap();
                // Two pieces at some sixty places; single bytes below meet every other one.
                for at in (1..body.len()).step_by(1 + body.len() / 60) {
                    let (head, tail) = body.split_at(at);
                    let cut = play(contract, wire, &[head, tail]).unwrap();
                    assert!(cut == joined, "{wire:?} {name} as {contract:?} cut at {at}");
                }
                let bytes: Vec<&[u8]> = body.chunks(1).collect();
                assert!(
                    play(contract, wire, &bytes).unwrap() == joined,
                    "{wire:?} {name} as {contract:?} byte by byte"
                );
            }
        }
    }
}

#[test]
fn a_stream_that_fails_is_never_a_success() {
    for wire in Wire::ALL {
        let bad = fixtures(wire, "sse", true);
        assert!(bad.len() >= 2, "{wire:?}");
        for (name, body) in bad {
            for contract in Wire::CONTRACTS {
                assert!(play(contract, wire, &[&body]).is_err(), "{wire:?} {name} as {contract:?}");
            }
        }
    }
}

#[test]
fn the_failure_of_a_stream_is_told_in_the_words_of_its_contract() {
    let fault = Fault::new(Kind::Upstream);
    for wire in Wire::ALL {
        let (_, body) = fixtures(wire, "sse", true).into_iter().find(|(name, _)| name == "bad_no_terminal").unwrap();
        for (contract, words, never) in [
            (Wire::Chat, "data: {\"error\":{", "[DONE]"),
            (Wire::Responses, "event: response.failed\n", "response.completed"),
            (Wire::Messages, "event: error\ndata: {\"type\":\"error\"", "message_stop"),
        ] {
            let mut relay = relay(contract, wire);
            let mut framer = SseFramer::new(1 << 20);
            let mut out = BytesMut::new();
            framer.push(&Bytes::from(body.clone()));
            while let Some(frame) = framer.next_frame().unwrap() {
                if let Some(data) = &frame.data {
                    relay.relay(frame.event.as_deref(), data, &mut out).unwrap();
                }
            }
            relay.write_failure(&fault, &mut out);
            let told = String::from_utf8(out.to_vec()).unwrap();
            assert!(told.contains(words) && !told.contains(never), "{wire:?} as {contract:?}: {told}");
        }
    }
}

#[test]
fn garbage_is_refused_and_panics_nowhere() {
    let garbage: [&[u8]; 9] = [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"\"x\"",
        b"{\"type\":7}",
        b"\xff\xfe",
        b"{\"choices\":[{\"delta\":[1]}]}",
        b"{\"type\":\"response.completed\"}",
    ];
    for wire in Wire::ALL {
        for body in garbage {
            _ = transport(wire).read_reply(body).unwrap_err();
            _ = transport(wire).read_error(body);
            for contract in Wire::CONTRACTS {
                _ = relay(contract, wire).relay(None, &Bytes::copy_from_slice(body), &mut BytesMut::new());
            }
        }
    }
}
