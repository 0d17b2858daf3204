//! Whole answers for clients.

use bytes::Bytes;

use super::wire;
use super::write::write_call;
use crate::canonical::text::{Parameter, Part, Reply, Request};
use crate::dialects::out::{self, Out};
use crate::dialects::{Frame, state};

/// Writes a whole answer for a client.
#[must_use]
pub fn write_reply(reply: &Reply, frame: &Frame) -> Bytes {
    let text: String = reply.parts.iter().filter_map(Part::as_text).collect();
    let mut thought = String::new();
    let mut refusal = String::new();
    let mut carried = None;
    let mut calls = Vec::new();
    for part in &reply.parts {
        match part {
            Part::Reasoning(reasoning) => {
                let visible = reasoning.visible();
                // State of its own says nothing.
                if !thought.is_empty() && !visible.is_empty() {
                    thought.push_str("\n\n");
                }
                thought.push_str(&visible);
                carried = reasoning.state.as_ref().filter(|state| !state.data.is_empty()).or(carried);
            }
            Part::Refusal(words) => refusal.push_str(words),
            Part::ToolCall(call) => {
                let id = carried.take().map(|state| state::write_in_id(&call.id, state, &frame.origin));
                calls.push((call, id.unwrap_or_else(|| call.id.clone())));
            }
            _ => {}
        }
    }
    let json = out::object(|out| {
        out.text("id", &answer_id(&reply.id, frame)).text("object", "chat.completion");
        out.number("created", frame.created).text("model", &frame.model);
        out.list("choices", |list| {
            list.item(|choice| {
                choice.number("index", 0).object("message", |message| {
                    message.text("role", "assistant");
                    let says_something = !text.is_empty() || (calls.is_empty() && refusal.is_empty());
                    message.text_or_null("content", says_something.then_some(text.as_str()));
                    message.text_or_null("refusal", Some(refusal.as_str()).filter(|words| !words.is_empty()));
                    message.text_if("reasoning_content", Some(thought.as_str()).filter(|words| !words.is_empty()));
                    write_annotations(message, &reply.parts);
                    write_images(message, &reply.parts);
                    write_audio(message, &reply.parts, frame);
                    if !calls.is_empty() {
                        message.list("tool_calls", |list| {
                            for (call, id) in &calls {
                                list.item(|item| write_call(item, call, id));
                            }
                        });
                    }
                });
                match &reply.logprobs {
                    Some(logprobs) => {
                        choice.object("logprobs", |out| {
                            out.raw("content", logprobs.as_str()).null("refusal");
                        });
                    }
                    None => {
                        choice.null("logprobs");
                    }
                }
                choice.text("finish_reason", wire::write_finish(reply.finish.as_ref(), !calls.is_empty()));
            });
        });
        if let Some(usage) = &reply.usage {
            out.object("usage", |out| wire::write_usage(out, usage));
        }
        out.text_if("service_tier", reply.service_tier.as_deref());
    });
    json.into()
}

fn write_annotations(message: &mut Out<'_>, parts: &[Part]) {
    let all = parts.iter().filter_map(|part| match part {
        Part::Text { annotations, .. } => Some(annotations.iter().filter_map(wire::write_annotation)),
        _ => None,
    });
    let all: Vec<String> = all.flatten().collect();
    if !all.is_empty() {
        message.list("annotations", |list| {
            for annotation in &all {
                list.item_raw(annotation);
            }
        });
    }
}

fn write_images(message: &mut Out<'_>, parts: &[Part]) {
    let urls = parts.iter().filter_map(|part| match part {
        Part::Image { source, .. } => source.to_url(),
        _ => None,
    });
    let urls: Vec<String> = urls.collect();
    if !urls.is_empty() {
        message.list("images", |list| {
            for url in &urls {
                list.item(|item| {
                    item.text("type", "image_url").object("image_url", |image| {
                        image.text("url", url);
                    });
                });
            }
        });
    }
}

fn write_audio(message: &mut Out<'_>, parts: &[Part], frame: &Frame) {
    let audio = parts.iter().find_map(|part| match part {
        Part::Audio { data, .. } => Some(data),
        _ => None,
    });
    if let Some(data) = audio {
        message.object("audio", |out| {
            out.text("id", &format!("audio_{}", frame.id)).text("data", data);
            out.number("expires_at", frame.created).text("transcript", "");
        });
    }
}

/// The provider's id of an answer, or one of ours.
pub(super) fn answer_id(stated: &str, frame: &Frame) -> String {
    if stated.is_empty() { format!("chatcmpl-{}", frame.id) } else { stated.to_owned() }
}

/// Whether a parameter asks for more than one answer, which only this wire has.
#[must_use]
pub fn wants_several(request: &Request) -> bool {
    request.parameters.get(&Parameter::Choices).and_then(|n| n.read::<u64>()).is_some_and(|n| n > 1)
}
