//! Canonical to bytes: requests for providers, whole answers for clients.

use std::borrow::Cow;

use bytes::Bytes;

use super::wire::{self, PARAMETERS};
use crate::canonical::Wire;
use crate::canonical::text::{
    Format, Parameter, Part, Reply, Request, Role, Source, Tool, ToolCall, ToolChoice, ToolResult, Turn,
};
use crate::dialects::out::{self, Out};
use crate::dialects::{Addressee, Frame, Written, breakpoint, dropped, fields, state};
use crate::fault::Outcome;

/// Writes a request for a provider.
///
/// # Errors
/// None at present: what the wire has no place for is named in `dropped`.
pub fn write_request(request: &Request, to: &Addressee<'_>) -> Outcome<Written> {
    let mut lost = Vec::new();
    let text = out::object(|out| {
        out.text("model", to.model);
        out.list("messages", |list| write_turns(list, &request.turns, to, &mut lost));
        write_tools(out, request, &mut lost);
        if let Some(most) = request.max_output_tokens {
            out.number(if to.wants_max_tokens { "max_tokens" } else { "max_completion_tokens" }, most);
        }
        if !request.stop.is_empty() {
            out.texts("stop", &request.stop);
        }
        if let Some(format) = &request.format {
            write_format(out, format);
        }
        if let Some(step) = request.thinking.step() {
            // Of a model that nothing is known of the provider judges it.
            if to.control.kind.is_some() || to.max_output_tokens.is_none() {
                out.text("reasoning_effort", step.clamp(&to.control.levels).as_str());
            } else {
                lost.push(dropped("reasoning_effort"));
            }
        }
        if let Some("omitted") = request.thinking.display.as_deref() {
            lost.push(dropped("thinking.display"));
        }
        let known = |(_, parameter): &&(&str, Parameter)| *parameter != Parameter::TopK || to.takes_top_k;
        let known: Vec<_> = PARAMETERS.iter().filter(known).copied().collect();
        fields::write(out, request, &known, &mut lost);
        if request.is_stream {
            out.boolean("stream", true);
            out.object("stream_options", |options| {
                options.boolean("include_usage", true);
            });
        }
    });
    lost.sort();
    lost.dedup();
    Ok(Written { body: vec![Bytes::from(text)], dropped: lost })
}

fn write_turns(list: &mut Out<'_>, turns: &[Turn], to: &Addressee<'_>, lost: &mut Vec<Cow<'static, str>>) {
    for turn in turns {
        match turn.role {
            // Every host knows `system`; OpenAI reads it as `developer` where that is what a model has.
            Role::System | Role::Developer => write_plain(list, "system", turn, lost),
            Role::User | Role::Tool => write_user(list, turn, lost),
            Role::Assistant => write_assistant(list, turn, to, lost),
        }
    }
}

fn write_plain(list: &mut Out<'_>, role: &str, turn: &Turn, lost: &mut Vec<Cow<'static, str>>) {
    list.item(|message| {
        message.text("role", role);
        write_content(message, &turn.parts, lost);
        message.text_if("name", turn.name.as_deref());
    });
}

/// Tool results are messages of their own, before what else the turn says.
fn write_user(list: &mut Out<'_>, turn: &Turn, lost: &mut Vec<Cow<'static, str>>) {
    let mut said: Vec<Part> = Vec::new();
    for part in &turn.parts {
        match part {
            Part::ToolResult(result) => said.extend(write_result(list, result, lost)),
            other => said.push(other.clone()),
        }
    }
    if !said.is_empty() {
        write_plain(list, "user", &Turn { parts: said, ..turn.clone() }, lost);
    }
}

/// Writes the text of a result; answers what a tool message cannot hold, which the user's next message then does.
fn write_result(list: &mut Out<'_>, result: &ToolResult, lost: &mut Vec<Cow<'static, str>>) -> Vec<Part> {
    let texts: Vec<&Part> = result.parts.iter().filter(|part| matches!(part, Part::Text { .. })).collect();
    breakpoint::note(result.cache.as_ref(), lost);
    if result.is_error == Some(true) {
        lost.push(dropped("is_error"));
    }
    list.item(|message| {
        message.text("role", "tool").text("tool_call_id", &result.call_id);
        match texts.as_slice() {
            [] => message.text("content", if result.is_error == Some(true) { "error" } else { "" }),
            [Part::Text { text, cache, .. }] if !breakpoint::is_explicit(cache.as_ref()) => {
                breakpoint::note(cache.as_ref(), lost);
                message.text("content", text)
            }
            many => message.list("content", |content| {
                for part in many {
                    write_part(content, part, lost);
                }
            }),
        };
    });
    result.parts.iter().filter(|part| !matches!(part, Part::Text { .. })).cloned().collect()
}

fn write_assistant(list: &mut Out<'_>, turn: &Turn, to: &Addressee<'_>, lost: &mut Vec<Cow<'static, str>>) {
    let mut said = Vec::new();
    let mut calls = Vec::new();
    let mut thought = String::new();
    let mut refusal: Option<&str> = None;
    for part in &turn.parts {
        match part {
            Part::ToolCall(call) => calls.push(call),
            Part::Refusal(text) => refusal = Some(text),
            Part::Reasoning(reasoning) => match &reasoning.state {
                Some(state) if state::is_for(state, Wire::Chat, to.origin) => thought.push_str(&reasoning.text),
                _ => lost.push(dropped("reasoning")),
            },
            other => said.push(other.clone()),
        }
    }
    list.item(|message| {
        message.text("role", "assistant");
        if said.is_empty() {
            message.null("content");
        } else {
            write_content(message, &said, lost);
        }
        message.text_if("refusal", refusal).text_if("name", turn.name.as_deref());
        message.text_if("reasoning_content", Some(thought.as_str()).filter(|text| !text.is_empty()));
        if !calls.is_empty() {
            message.list("tool_calls", |list| {
                for call in calls {
                    breakpoint::note(call.cache.as_ref(), lost);
                    list.item(|item| write_call(item, call, &call.id));
                }
            });
        }
    });
}

fn write_call(item: &mut Out<'_>, call: &ToolCall, id: &str) {
    item.text("id", id);
    if call.is_custom {
        item.text("type", "custom").object("custom", |custom| {
            custom.text("name", &call.name).text("input", &call.arguments);
        });
    } else {
        // Every host reads the arguments as an object.
        let arguments = if call.arguments.trim().is_empty() { "{}" } else { &call.arguments };
        item.text("type", "function").object("function", |function| {
            function.text("name", &call.name).text("arguments", arguments);
        });
    }
}

fn write_content(message: &mut Out<'_>, parts: &[Part], lost: &mut Vec<Cow<'static, str>>) {
    if let [Part::Text { text, cache, .. }] = parts
        && !breakpoint::is_explicit(cache.as_ref())
    {
        breakpoint::note(cache.as_ref(), lost);
        message.text("content", text);
        return;
    }
    message.list("content", |list| {
        for part in parts {
            write_part(list, part, lost);
        }
    });
}

fn write_part(list: &mut Out<'_>, part: &Part, lost: &mut Vec<Cow<'static, str>>) {
    match part {
        Part::Text { text, cache, .. } => {
            list.item(|item| {
                item.text("type", "text").text("text", text);
                breakpoint::write_explicit(item, cache.as_ref(), lost);
            });
        }
        Part::Refusal(text) => {
            list.item(|item| {
                item.text("type", "refusal").text("refusal", text);
            });
        }
        Part::Image { source, detail, cache } => match source.to_url() {
            Some(url) => {
                list.item(|item| {
                    item.text("type", "image_url").object("image_url", |image| {
                        image.text("url", &url).text_if("detail", detail.as_deref());
                    });
                    breakpoint::write_explicit(item, cache.as_ref(), lost);
                });
            }
            None => lost.push(dropped("image.file_id")),
        },
        Part::Audio { data, format } => {
            list.item(|item| {
                item.text("type", "input_audio").object("input_audio", |audio| {
                    audio.text("data", data).text("format", format);
                });
            });
        }
        Part::File(media) => {
            lost.extend(media.extra.iter().map(|(name, _)| Cow::Owned(format!("document.{name}"))));
            match &media.source {
                Source::Text(text) => {
                    list.item(|item| {
                        let titled = media.name.as_ref().map(|name| format!("{name}\n\n{text}"));
                        item.text("type", "text").text("text", titled.as_deref().unwrap_or(text));
                        breakpoint::write_explicit(item, media.cache.as_ref(), lost);
                    });
                }
                // Chat Completions takes no URLs of files; hosts that do, take them here.
                source => {
                    list.item(|item| {
                        item.text("type", "file").object("file", |file| {
                            match source {
                                Source::Id(id) => file.text("file_id", id),
                                other => file.text("file_data", &other.to_url().unwrap_or_default()),
                            };
                            file.text_if("filename", media.name.as_deref().or(Some("document.pdf")));
                        });
                        breakpoint::write_explicit(item, media.cache.as_ref(), lost);
                    });
                }
            }
        }
        Part::Native { wire: Wire::Chat, json, .. } => {
            list.item_raw(json.as_str());
        }
        Part::Native { kind, .. } => lost.push(Cow::Owned(kind.clone())),
        // In a turn of a role that has none.
        Part::Reasoning(_) => lost.push(dropped("reasoning")),
        Part::ToolCall(_) => lost.push(dropped("tool_calls")),
        Part::ToolResult(_) => lost.push(dropped("tool_result")),
    }
}

fn write_tools(out: &mut Out<'_>, request: &Request, lost: &mut Vec<Cow<'static, str>>) {
    let is_known = |tool: &&Tool| !matches!(tool, Tool::Native { wire, .. } if *wire != Wire::Chat);
    for tool in request.tools.iter().filter(|tool| !is_known(tool)) {
        if let Tool::Native { kind, .. } = tool {
            lost.push(Cow::Owned(format!("tools.{kind}")));
        }
    }
    let tools: Vec<&Tool> = request.tools.iter().filter(is_known).collect();
    if tools.is_empty() {
        return;
    }
    out.list("tools", |list| {
        for tool in &tools {
            match tool {
                Tool::Function { name, description, parameters, strict, cache } => {
                    breakpoint::note(cache.as_ref(), lost);
                    list.item(|item| {
                        item.text("type", "function").object("function", |function| {
                            function.text("name", name).text_if("description", description.as_deref());
                            function.json_if("parameters", parameters.as_ref());
                            if let Some(strict) = strict {
                                function.boolean("strict", *strict);
                            }
                        });
                    });
                }
                Tool::Custom { name, description, format } => {
                    list.item(|item| {
                        item.text("type", "custom").object("custom", |custom| {
                            custom.text("name", name).text_if("description", description.as_deref());
                            custom.json_if("format", format.as_ref());
                        });
                    });
                }
                Tool::Native { json, .. } => {
                    list.item_raw(json.as_str());
                }
            }
        }
    });
    if let Some(choice) = &request.tool_choice {
        write_choice(out, choice, request, lost);
    }
    if let Some(parallel) = request.parallel_tool_calls {
        out.boolean("parallel_tool_calls", parallel);
    }
}

fn write_choice(out: &mut Out<'_>, choice: &ToolChoice, request: &Request, lost: &mut Vec<Cow<'static, str>>) {
    let kind_of = |name: &str| {
        let is_custom = |tool: &Tool| matches!(tool, Tool::Custom { name: own, .. } if own == name);
        if request.tools.iter().any(is_custom) { "custom" } else { "function" }
    };
    match choice {
        ToolChoice::Auto => {
            out.text("tool_choice", "auto");
        }
        ToolChoice::None => {
            out.text("tool_choice", "none");
        }
        ToolChoice::Required => {
            out.text("tool_choice", "required");
        }
        ToolChoice::Named(name) => {
            out.object("tool_choice", |named| {
                let kind = kind_of(name);
                named.text("type", kind).object(kind, |tool| {
                    tool.text("name", name);
                });
            });
        }
        ToolChoice::Allowed { is_required, names } => {
            out.object("tool_choice", |named| {
                named.text("type", "allowed_tools").object("allowed_tools", |allowed| {
                    allowed.text("mode", if *is_required { "required" } else { "auto" });
                    allowed.list("tools", |list| {
                        for name in names {
                            list.item(|item| {
                                let kind = kind_of(name);
                                item.text("type", kind).object(kind, |tool| {
                                    tool.text("name", name);
                                });
                            });
                        }
                    });
                });
            });
        }
        ToolChoice::Native { wire: Wire::Chat, json } => {
            out.raw("tool_choice", json.as_str());
        }
        ToolChoice::Native { .. } => lost.push(dropped("tool_choice")),
    }
}

fn write_format(out: &mut Out<'_>, format: &Format) {
    out.object("response_format", |out| match format {
        Format::Text => {
            out.text("type", "text");
        }
        Format::JsonObject => {
            out.text("type", "json_object");
        }
        Format::Schema { name, description, schema, strict } => {
            out.text("type", "json_schema").object("json_schema", |out| {
                out.text("name", name.as_deref().unwrap_or("answer")).text_if("description", description.as_deref());
                out.raw("schema", schema.as_str());
                if let Some(strict) = strict {
                    out.boolean("strict", *strict);
                }
            });
        }
    });
}

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
