//! Whole answers of providers to canonical.

use super::fault::{read_error_value, stated_error};
use super::thoughts::{Said, ThinkTags};
use super::wire;
use crate::canonical::Wire;
use crate::canonical::text::{Finish, Part, Reasoning, Reply, Source, State, ToolCall};
use crate::dialects::native::{ReplyError, StreamError};
use crate::dialects::node::{Members, Node};

/// Reads a whole answer; the first choice is the answer.
///
/// # Errors
/// [`ReplyError`].
pub fn read_reply(body: &[u8]) -> Result<Reply, ReplyError> {
    let text = std::str::from_utf8(body).map_err(|_| ReplyError::Malformed("it is not UTF-8"))?;
    let json = serde_json::from_str::<&serde_json::value::RawValue>(text);
    let json = json.map_err(|_| ReplyError::Malformed("it is not JSON"))?;
    let root = Node::root(json.get()).object().map_err(|_| ReplyError::Malformed("it is not a JSON object"))?;
    if let Some(error) = stated_error(&root) {
        return Err(ReplyError::Provider(Box::new(error)));
    }
    let choices = root.any_list("choices");
    let choice = choices.first().and_then(|choice| choice.object().ok());
    let choice = choice.ok_or(ReplyError::Malformed("there are no `choices`"))?;
    if let Some(error) = choice.get("error") {
        return Err(ReplyError::Provider(Box::new(read_error_value(error.raw().as_bytes()))));
    }
    let word = choice.any_text("finish_reason").filter(|word| !word.is_empty());
    if word.as_deref().is_some_and(wire::is_failure) {
        return Err(ReplyError::Provider(Box::default()));
    }
    let message = choice.get("message").and_then(|node| node.object().ok());
    let message = message.ok_or(ReplyError::Malformed("a choice has no `message`"))?;
    let id = root.any_text("id").unwrap_or_default();
    let mut parts = read_answer(&message, &id);
    cite(&mut parts, &root);
    let mut finish = word.map(|word| wire::read_finish(&word));
    let calls = parts.iter().any(|part| matches!(part, Part::ToolCall(_)));
    if calls && matches!(finish, None | Some(Finish::Stop)) {
        finish = Some(Finish::ToolCalls);
    }
    Ok(Reply {
        id,
        parts,
        finish,
        usage: root
            .get("usage")
            .and_then(|usage| wire::read_usage(&usage.object().ok()?))
            .or_else(|| choices.iter().find_map(wire::usage_in))
            .map(|usage| usage.served_as(root.any_text("service_tier").as_deref())),
        service_tier: root.any_text("service_tier"),
        logprobs: choice.any_object("logprobs").get("content").map(|node| node.json()),
    })
}

/// Citations beside the choices become annotations of the last text, where it has none of its own.
fn cite(parts: &mut [Part], root: &Members<'_>) {
    let has_own = |part: &Part| matches!(part, Part::Text { annotations, .. } if !annotations.is_empty());
    if parts.iter().any(has_own) {
        return;
    }
    let last = parts.iter_mut().rev().find_map(|part| match part {
        Part::Text { annotations, .. } => Some(annotations),
        _ => None,
    });
    if let Some(annotations) = last {
        annotations.extend(wire::citations(root));
    }
}

fn thought_part(text: String) -> Part {
    Part::Reasoning(Reasoning { text, state: Some(chat_state()), ..Reasoning::default() })
}

fn read_answer(message: &Members<'_>, answer_id: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let thought = read_thought(message).unwrap_or_else(|| read_details(message));
    let details = message.get("reasoning_details").filter(|details| details.list().is_ok_and(|list| !list.is_empty()));
    if !thought.is_empty() || details.is_some() {
        let data = details.map(|details| details.raw().to_owned()).unwrap_or_default();
        let state = State { data, ..chat_state() };
        parts.push(Part::Reasoning(Reasoning { text: thought, state: Some(state), ..Reasoning::default() }));
    }
    let annotations = message.any_list("annotations").iter().filter_map(wire::read_annotation).collect::<Vec<_>>();
    match message.get("content") {
        Some(content) if content.is_text() => {
            let (mut tags, mut said) = (ThinkTags::default(), Vec::new());
            tags.push(&content.text().unwrap_or_default(), &mut said);
            tags.flush(&mut said);
            let mut annotations = annotations;
            for piece in said {
                match piece {
                    Said::Thought(text) if !text.is_empty() => parts.push(thought_part(text)),
                    Said::Text(text) if !text.is_empty() || !annotations.is_empty() => {
                        parts.push(Part::Text { text, annotations: std::mem::take(&mut annotations), cache: None });
                    }
                    Said::Thought(_) | Said::Text(_) => {}
                }
            }
        }
        Some(content) => {
            let mut cited = Vec::new();
            for piece in content.list().unwrap_or_default() {
                match wire::read_piece(&piece) {
                    // Words between citations are one text.
                    Some(wire::Piece::Text(text)) => match parts.last_mut() {
                        Some(Part::Text { text: whole, .. }) => whole.push_str(&text),
                        _ => parts.push(Part::text(text)),
                    },
                    Some(wire::Piece::Thought(text)) => parts.push(thought_part(text)),
                    Some(wire::Piece::Image(url)) => {
                        parts.push(Part::Image { source: Source::from_url(&url), detail: None, cache: None });
                    }
                    Some(wire::Piece::Citation(json)) => cited.push(json),
                    None => {}
                }
            }
            if let Some(Part::Text { annotations, .. }) = parts.iter_mut().rev().find(|part| part.as_text().is_some()) {
                annotations.extend(cited);
            }
        }
        None => {}
    }
    read_other_places(message, answer_id, &mut parts);
    parts
}

/// Refusals, images, sound and calls.
fn read_other_places(message: &Members<'_>, answer_id: &str, parts: &mut Vec<Part>) {
    parts.extend(message.any_text("refusal").filter(|text| !text.is_empty()).map(Part::Refusal));
    for image in message.any_list("images") {
        if let Some(url) = wire::image_url(&image) {
            parts.push(Part::Image { source: Source::from_url(&url), detail: None, cache: None });
        }
    }
    if let Some(audio) = message.get("audio").and_then(|node| node.object().ok()) {
        if let Some(transcript) = audio.any_text("transcript").filter(|text| !text.is_empty()) {
            parts.push(Part::text(transcript));
        }
        if let Some(data) = audio.any_text("data") {
            parts.push(Part::Audio { data, format: String::new() });
        }
    }
    for (index, call) in message.any_list("tool_calls").iter().enumerate() {
        let Ok(call) = call.object() else { continue };
        let stated = call.any_text("id").filter(|id| !id.is_empty());
        let id = stated.unwrap_or_else(|| wire::made_call_id(answer_id, u32::try_from(index).unwrap_or(u32::MAX)));
        let custom = call.any_object("custom");
        if let Some(name) = custom.any_text("name") {
            let arguments = custom.any_text("input").unwrap_or_default();
            parts.push(Part::ToolCall(ToolCall { id, name, arguments, is_custom: true, ..ToolCall::default() }));
            continue;
        }
        let function = call.any_object("function");
        let arguments = wire::arguments(&function);
        let name = function.any_text("name").unwrap_or_default();
        parts.push(Part::ToolCall(ToolCall { id, name, arguments, ..ToolCall::default() }));
    }
    if let Some(call) = message.get("function_call").and_then(|node| node.object().ok())
        && let Some(name) = call.any_text("name")
    {
        let arguments = wire::arguments(&call);
        parts.push(Part::ToolCall(ToolCall { id: format!("call_{name}"), name, arguments, ..ToolCall::default() }));
    }
}

/// Reasoning under the names that hosts give it: text, or an object with text.
pub(super) fn read_thought(message: &Members<'_>) -> Option<String> {
    let named = |name: &str| {
        let node = message.get(name)?;
        let text = node.read::<String>().or_else(|| {
            let fields = node.object().ok()?;
            ["text", "content", "summary"].into_iter().find_map(|inner| fields.any_text(inner))
        });
        text.filter(|text| !text.is_empty())
    };
    named("reasoning_content").or_else(|| named("reasoning"))
}

/// What of `reasoning_details` can be read, for answers that have nothing else.
pub(super) fn read_details(message: &Members<'_>) -> String {
    let details = message.any_list("reasoning_details");
    let text = |detail: &Node<'_>| {
        let detail = detail.object().ok()?;
        detail.any_text("text").or_else(|| detail.any_text("summary"))
    };
    details.iter().filter_map(text).collect()
}

/// Marks reasoning that its maker wants back in `reasoning_content`, though nothing in it is opaque.
pub(super) fn chat_state() -> State {
    State { wire: Wire::Chat, is_redacted: false, data: String::new(), origin: None }
}

impl From<StreamError> for ReplyError {
    fn from(error: StreamError) -> Self {
        match error {
            StreamError::Provider(error) => Self::Provider(error),
            StreamError::Malformed(what) => Self::Malformed(what),
        }
    }
}
