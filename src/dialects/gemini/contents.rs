//! The conversation: turns of `user` and `model`, results of tools in the turn after their calls, thought signatures on
//! the part that they came with.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::wire::{NO_SIGNATURE, Place};
use crate::canonical::Wire;
use crate::canonical::text::{Media, Part, Reasoning, ReasoningKind, Request, Role, Source, ToolCall, ToolResult};
use crate::dialects::anthropic_messages::wire::input_of;
use crate::dialects::node::Node;
use crate::dialects::out::{self, Out};
use crate::dialects::{Addressee, dropped, state};
use crate::fault::{Fault, Kind, Outcome};

pub(super) type Lost = Vec<Cow<'static, str>>;

/// One part, written but for its signature.
#[derive(Debug)]
struct Written {
    kind: PartOf,
    /// Members of the part, without braces.
    fields: String,
    signature: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PartOf {
    Text,
    Data,
    Call,
    /// A result, by the place of its call in the turn before.
    Result(usize),
    Other,
}

#[derive(Debug)]
struct Content {
    role: &'static str,
    parts: Vec<Written>,
    /// A signature that waits for the part it belongs to.
    waiting: Option<(Place, String)>,
}

/// Calls seen so far, and the place of each among those of its turn.
type Calls = BTreeMap<String, (String, usize)>;

/// Writes `systemInstruction` and `contents`.
///
/// # Errors
/// `BadRequest` for content that this wire cannot fetch.
pub(super) fn write(out: &mut Out<'_>, request: &Request, to: &Addressee<'_>, lost: &mut Lost) -> Outcome<()> {
    let mut contents = read_turns(request, to, lost)?;
    let system = request.turns.iter().filter(|turn| matches!(turn.role, Role::System | Role::Developer));
    let system = system.inspect(|turn| lost.extend(turn.name.iter().map(|_| dropped("messages.name"))));
    let system: Vec<_> = system.collect();
    let system: Vec<&str> = system
        .into_iter()
        .flat_map(|turn| &turn.parts)
        .inspect(|part| note_system(part, lost))
        .filter_map(Part::as_text)
        .filter(|text| !text.is_empty())
        .collect();
    if contents.is_empty() {
        // A conversation of instructions alone: they are what is asked.
        let parts = system.iter().map(|text| text_part(text)).collect();
        contents.push(Content { role: "user", parts, waiting: None });
    } else if !system.is_empty() {
        out.object("systemInstruction", |instruction| {
            instruction.list("parts", |list| {
                for text in &system {
                    list.item(|part| {
                        part.text("text", text);
                    });
                }
            });
        });
    }
    // A conversation begins with the user.
    if contents.first().is_some_and(|content| content.role == "model") {
        contents.insert(0, Content { role: "user", parts: Vec::new(), waiting: None });
    }
    let needs_signatures = to.control.kind == Some(ReasoningKind::GeminiLevel);
    out.list("contents", |list| {
        for content in &mut contents {
            content.finish(needs_signatures);
            list.item(|item| {
                item.text("role", content.role).list("parts", |list| {
                    for part in &content.parts {
                        part.write(list);
                    }
                });
            });
        }
    });
    Ok(())
}

fn note_system(part: &Part, lost: &mut Lost) {
    match part {
        Part::Text { cache, .. } => note_cache(cache.as_ref(), lost),
        _ => lost.push(dropped("system")),
    }
}

pub(super) fn note_cache(cache: Option<&crate::canonical::Json>, lost: &mut Lost) {
    if cache.is_some() {
        lost.push(dropped("cache_control"));
    }
}

/// Turns of one role that follow each other are one.
fn read_turns(request: &Request, to: &Addressee<'_>, lost: &mut Lost) -> Outcome<Vec<Content>> {
    let mut contents: Vec<Content> = Vec::new();
    let mut calls = Calls::new();
    for turn in &request.turns {
        let role = match turn.role {
            Role::System | Role::Developer => continue,
            Role::User | Role::Tool => "user",
            Role::Assistant => "model",
        };
        if turn.name.is_some() {
            lost.push(dropped("messages.name"));
        }
        if contents.last().is_none_or(|last| last.role != role) {
            contents.push(Content { role, parts: Vec::new(), waiting: None });
        }
        let Some(content) = contents.last_mut() else { continue };
        for part in &turn.parts {
            content.take(part, &mut calls, to, lost)?;
        }
    }
    let last = contents.len().saturating_sub(1);
    let mut position = 0;
    contents.retain(|content| {
        position += 1;
        // Turns without anything in them are no turns, but for a last question that is empty.
        !content.parts.is_empty() || content.waiting.is_some() || (position > last && content.role == "user")
    });
    Ok(contents)
}

impl Content {
    fn push(&mut self, kind: PartOf, fields: String) {
        let fits = match self.waiting {
            Some((Place::Call, _)) => kind == PartOf::Call,
            Some((Place::Text | Place::Empty, _)) => kind == PartOf::Text,
            Some((Place::Data, _)) => kind == PartOf::Data,
            Some((Place::Thought, _)) | None => false,
        };
        let signature = if fits { self.waiting.take().map(|(_, signature)| signature) } else { None };
        self.parts.push(Written { kind, fields, signature });
    }

    fn take(&mut self, part: &Part, calls: &mut Calls, to: &Addressee<'_>, lost: &mut Lost) -> Outcome<()> {
        match part {
            Part::Text { text, cache, .. } => {
                note_cache(cache.as_ref(), lost);
                if !text.is_empty() {
                    self.push(PartOf::Text, fields(|out| text_field(out, text)));
                }
            }
            Part::Refusal(text) => self.push(PartOf::Text, fields(|out| text_field(out, text))),
            Part::Image { source, detail, cache } => {
                note_cache(cache.as_ref(), lost);
                if detail.as_deref().is_some_and(|detail| detail != "auto") {
                    lost.push(dropped("detail"));
                }
                self.media(source, None, lost)?;
            }
            Part::File(media) => {
                note_cache(media.cache.as_ref(), lost);
                lost.extend(media.extra.iter().map(|(name, _)| dropped(name)));
                self.file(media, lost)?;
            }
            Part::Audio { data, format } => {
                let kind = format!("audio/{format}");
                self.push(PartOf::Data, inline_data(&kind, data));
            }
            Part::ToolCall(call) => self.call(call, calls, lost),
            Part::ToolResult(result) => self.result(result, calls, to, lost)?,
            Part::Reasoning(reasoning) => self.reasoning(reasoning, to, lost),
            Part::Native { wire: Wire::GenerateContent, json, .. } => {
                let inner = json.as_str().trim();
                let inner = inner.strip_prefix('{').and_then(|inner| inner.strip_suffix('}'));
                self.push(PartOf::Other, inner.unwrap_or_default().to_owned());
            }
            Part::Native { kind, .. } => lost.push(Cow::Owned(kind.clone())),
        }
        Ok(())
    }

    fn media(&mut self, source: &Source, kind: Option<&str>, lost: &mut Lost) -> Outcome<()> {
        match source {
            Source::Data { media_type, data } => self.push(PartOf::Data, inline_data(media_type, data)),
            Source::Text(text) => self.push(PartOf::Text, fields(|out| text_field(out, text))),
            Source::Url(url) => {
                let is_fetched = url.starts_with("https://") || url.starts_with("gs://");
                if !is_fetched {
                    let shown: String = url.chars().take(40).collect();
                    let sentence = format!(
                        "This model reads content at https:// and gs:// URLs and inline data; `{shown}` is neither"
                    );
                    return Err(Fault::new(Kind::BadRequest).say(sentence));
                }
                self.push(PartOf::Data, file_data(url, kind.or_else(|| kind_of(url))));
            }
            // Ids of files are URIs here.
            Source::Id(id) if id.contains('/') => self.push(PartOf::Data, file_data(id, kind)),
            Source::Id(_) => lost.push(dropped("file_id")),
        }
        Ok(())
    }

    fn file(&mut self, media: &Media, lost: &mut Lost) -> Outcome<()> {
        // The name of a document is said before it: there is no field for it.
        if let (Some(name), Source::Text(text)) = (&media.name, &media.source) {
            self.push(PartOf::Text, fields(|out| text_field(out, &format!("{name}\n\n{text}"))));
            return Ok(());
        }
        if media.name.as_deref().is_some_and(|name| name != "document.pdf") {
            lost.push(dropped("filename"));
        }
        let is_pdf = matches!(&media.source, Source::Url(url) if kind_of(url).is_none());
        self.media(&media.source, is_pdf.then_some("application/pdf"), lost)
    }

    fn call(&mut self, call: &ToolCall, calls: &mut Calls, lost: &mut Lost) {
        note_cache(call.cache.as_ref(), lost);
        let place = self.parts.iter().filter(|part| part.kind == PartOf::Call).count();
        calls.insert(call.id.clone(), (call.name.clone(), place));
        let args = input_of(&call.arguments, call.is_custom);
        let text = fields(|out| {
            out.object("functionCall", |out| {
                out.text_if("id", Some(call.id.as_str()).filter(|id| !id.is_empty()));
                out.text("name", &call.name).raw("args", &args);
            });
        });
        self.push(PartOf::Call, text);
    }

    fn result(&mut self, result: &ToolResult, calls: &Calls, to: &Addressee<'_>, lost: &mut Lost) -> Outcome<()> {
        note_cache(result.cache.as_ref(), lost);
        let known = calls.get(&result.call_id);
        let (name, place) = known.map_or((result.call_id.as_str(), usize::MAX), |(name, place)| (name, *place));
        let texts: Vec<&str> = result.parts.iter().filter_map(Part::as_text).collect();
        let said = texts.join("\n");
        let is_error = result.is_error == Some(true);
        let text = fields(|out| {
            out.object("functionResponse", |out| {
                out.text_if("id", Some(result.call_id.as_str()).filter(|id| !id.is_empty())).text("name", name);
                write_response(out, &said, is_error);
            });
        });
        self.push(PartOf::Result(place), text);
        // Pictures and documents follow the results.
        let mut unknown = Calls::new();
        for part in &result.parts {
            match part {
                Part::Text { cache, .. } => note_cache(cache.as_ref(), lost),
                part => self.take(part, &mut unknown, to, lost)?,
            }
        }
        Ok(())
    }

    fn reasoning(&mut self, reasoning: &Reasoning, to: &Addressee<'_>, lost: &mut Lost) {
        let own = reasoning.state.as_ref().filter(|state| state::is_for(state, Wire::GenerateContent, to.origin));
        let Some(own) = own else { return lost.push(dropped("reasoning")) };
        let visible = reasoning.visible();
        let (place, signature) = Place::read(&own.data);
        let has_thought = !visible.is_empty();
        if has_thought {
            let text = fields(|out| {
                text_field(out, &visible);
                out.boolean("thought", true);
            });
            self.parts.push(Written { kind: PartOf::Other, fields: text, signature: None });
        }
        if signature.is_empty() {
            return;
        }
        let is_behind = |last: &Written| match place {
            Place::Thought => has_thought,
            Place::Text => last.kind == PartOf::Text && last.signature.is_none(),
            Place::Data => last.kind == PartOf::Data && last.signature.is_none(),
            Place::Call | Place::Empty => false,
        };
        let has_said = self.parts.iter().any(|part| part.kind != PartOf::Other);
        match self.parts.last_mut().filter(|last| is_behind(last)) {
            Some(last) => last.signature = Some(signature.to_owned()),
            None if place == Place::Empty && has_said => {
                let text = fields(|out| text_field(out, ""));
                let signature = Some(signature.to_owned());
                self.parts.push(Written { kind: PartOf::Other, fields: text, signature });
            }
            None => self.waiting = Some((place, signature.to_owned())),
        }
    }

    /// Orders results as their calls were, and sees to the signatures.
    fn finish(&mut self, needs_signatures: bool) {
        if let Some((_, signature)) = self.waiting.take() {
            let text = fields(|out| text_field(out, ""));
            self.parts.push(Written { kind: PartOf::Other, fields: text, signature: Some(signature) });
        }
        if self.parts.is_empty() {
            self.parts.push(text_part(""));
        }
        self.parts.sort_by_key(|part| match part.kind {
            PartOf::Result(place) => (0, place),
            _ => (1, 0),
        });
        // The first call of a step is checked, and no other.
        let first = self.parts.iter_mut().find(|part| part.kind == PartOf::Call);
        if let Some(first) = first.filter(|first| needs_signatures && first.signature.is_none()) {
            first.signature = Some(NO_SIGNATURE.to_owned());
        }
    }
}

impl Written {
    fn write(&self, list: &mut Out<'_>) {
        let signature = self.signature.as_ref().map(|signature| {
            fields(|out| {
                out.text("thoughtSignature", signature);
            })
        });
        let parts = [Some(self.fields.as_str()), signature.as_deref()];
        let parts: Vec<&str> = parts.into_iter().flatten().filter(|text| !text.trim().is_empty()).collect();
        list.item_raw(&format!("{{{}}}", parts.join(",")));
    }
}

/// Members without the braces around them.
fn fields(fill: impl FnOnce(&mut Out<'_>)) -> String {
    let object = out::object(fill);
    object.get(1..object.len() - 1).unwrap_or_default().to_owned()
}

fn text_field(out: &mut Out<'_>, text: &str) {
    out.text("text", text);
}

fn text_part(text: &str) -> Written {
    Written { kind: PartOf::Text, fields: fields(|out| text_field(out, text)), signature: None }
}

fn inline_data(kind: &str, data: &str) -> String {
    fields(|out| {
        out.object("inlineData", |out| {
            out.text("mimeType", kind).text("data", data);
        });
    })
}

fn file_data(uri: &str, kind: Option<&str>) -> String {
    fields(|out| {
        out.object("fileData", |out| {
            out.text_if("mimeType", kind).text("fileUri", uri);
        });
    })
}

/// The type of what is at a URL, as far as its name says it.
fn kind_of(url: &str) -> Option<&'static str> {
    let path = url.split(['?', '#']).next().unwrap_or(url);
    let (_, extension) = path.rsplit_once('/')?.1.rsplit_once('.')?;
    Some(match extension.to_ascii_lowercase().as_str() {
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "webp" => "image/webp",
        "gif" => "image/gif",
        "heic" => "image/heic",
        "heif" => "image/heif",
        "pdf" => "application/pdf",
        "txt" | "md" => "text/plain",
        "html" => "text/html",
        "csv" => "text/csv",
        "mp3" => "audio/mp3",
        "wav" => "audio/wav",
        "mp4" => "video/mp4",
        _ => return None,
    })
}

/// An object as it is; anything else under a name that says how it went.
fn write_response(out: &mut Out<'_>, said: &str, is_error: bool) {
    let text = said.trim();
    let is_object = text.starts_with('{') && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
    let name = if is_error { "error" } else { "output" };
    match (is_object, is_error) {
        (true, false) => out.raw("response", Node::root(text).raw()),
        (true, true) => out.object("response", |out| {
            out.raw(name, text);
        }),
        (false, _) => out.object("response", |out| {
            out.text(name, said);
        }),
    };
}
