//! A request for embeddings as a provider gets it: its own body with a few fields changed, or written anew for another wire;
//! in several calls where it holds more inputs than the provider takes at once.

use std::borrow::Cow;

use bytes::Bytes;

use super::{Embedding, Format, Input};
use crate::canonical::Transport;
use crate::dialects::out::{Out, object};
use crate::dialects::question::{FormatField, Posed, Recipient, Sending};
use crate::dialects::raw::json_string;
use crate::fault::{Fault, Kind, Outcome};

/// <https://docs.cohere.com/reference/embed>: texts of one call.
const COHERE_TEXTS: usize = 96;
/// <https://ai.google.dev/api/embeddings#method:-models.batchembedcontents>: requests of one call.
const GOOGLE_REQUESTS: usize = 100;
/// Fields of the contract, which every wire is told in its own way or not at all.
const READ: [&str; 5] = ["model", "input", "encoding_format", "dimensions", "input_type"];

pub(super) fn write(asked: &Embedding, to: &Recipient<'_>) -> Outcome<Posed> {
    check(asked, to)?;
    match to.transport {
        Transport::CohereEmbed => {
            Ok(translated(asked, most_inputs(to, COHERE_TEXTS), |inputs| cohere(asked, to, inputs)))
        }
        Transport::EmbedContent => {
            Ok(translated(asked, most_inputs(to, GOOGLE_REQUESTS), |inputs| google(asked, to, inputs)))
        }
        _ => Ok(native(asked, to)),
    }
}

/// What the model is known not to do is refused before it is asked.
fn check(asked: &Embedding, to: &Recipient<'_>) -> Outcome<()> {
    let refuse =
        |param: &'static str, sentence: String| Err(Fault::new(Kind::UnsupportedParameter).param(param).say(sentence));
    if let (Some(wanted), Some(sizes)) = (asked.dimensions, to.profile.dimensions) {
        let (min, max) = (sizes.min.unwrap_or(sizes.default), sizes.max.unwrap_or(sizes.default));
        if !(min..=max).contains(&wanted) {
            let allowed = if min == max { format!("{max}") } else { format!("{min} to {max}") };
            return refuse("dimensions", format!("The vectors of this model have {allowed} dimensions, not {wanted}."));
        }
    }
    let by_model = to.profile.values.get("input").is_none_or(|known| known.iter().any(|word| word == "tokens"));
    let speaks_tokens = to.transport == Transport::Embeddings && to.ways.takes_tokens && by_model;
    let longest = asked.inputs.iter().filter_map(|input| match input {
        Input::Text(_) => None,
        Input::Tokens(_, count) => Some(*count),
    });
    let Some(longest) = longest.max() else { return Ok(()) };
    if !speaks_tokens {
        return refuse("input", "This model takes text as input, not tokens.".to_owned());
    }
    match to.profile.max_input_tokens {
        Some(most) if longest > most => {
            let sentence = format!("An input of this model may have {most} tokens at most; the longest has {longest}.");
            Err(Fault::new(Kind::ContextWindow).param("input").say(sentence))
        }
        Some(_) | None => Ok(()),
    }
}

/// Most inputs of one call: what the provider takes, and fewer where the model is known to.
fn most_inputs(to: &Recipient<'_>, of_provider: usize) -> usize {
    let of_model = to.profile.most_inputs.and_then(|most| usize::try_from(most).ok());
    of_model.map_or(of_provider, |most| most.min(of_provider)).max(1)
}

/// The body as it came but for a few fields.
fn native(asked: &Embedding, to: &Recipient<'_>) -> Posed {
    let ways = to.ways;
    let mut dropped = Vec::new();
    let most = most_inputs(to, ways.most_inputs);
    let chunks = asked.inputs.chunks(most);
    let is_split = asked.inputs.len() > most;
    let mut sends = Vec::with_capacity(chunks.len());
    for inputs in chunks {
        let mut splice = asked.raw.splice();
        splice.set("model", json_string(to.model));
        if is_split {
            splice.set("input", list(inputs));
        }
        let is_sent = match ways.format {
            FormatField::Both => true,
            FormatField::OnlyBase64 => asked.format == Format::Base64,
            FormatField::Nothing => false,
        };
        if !is_sent {
            // The answer is converted where it has to be.
            splice.remove("encoding_format");
        }
        if ways.dimensions != "dimensions" && asked.dimensions.is_some() {
            splice.remove("dimensions");
        }
        if let Some(dimensions) = asked.dimensions.filter(|_| ways.dimensions != "dimensions") {
            splice.set(ways.dimensions, Bytes::from(dimensions.to_string()));
        }
        let refused = ways.refuses.iter().filter(|name| !to.forwards && is_stated(asked, name));
        for name in refused {
            splice.remove(name);
            if sends.is_empty() {
                dropped.push(Cow::Borrowed(*name));
            }
        }
        sends.push(Sending::json(splice.finish()));
    }
    Posed { sends, dropped }
}

fn is_stated(asked: &Embedding, name: &str) -> bool {
    asked.raw.get(name).is_some_and(|json| json != b"null")
}

/// Inputs as a list.
fn list(inputs: &[Input]) -> Bytes {
    let mut json = Vec::with_capacity(inputs.iter().map(|input| input.raw().len() + 1).sum::<usize>() + 2);
    json.push(b'[');
    for (at, input) in inputs.iter().enumerate() {
        if at > 0 {
            json.push(b',');
        }
        json.extend_from_slice(input.raw());
    }
    json.push(b']');
    json.into()
}

/// Bodies in another wire. What it has no place for is named.
fn translated(asked: &Embedding, most: usize, write: impl Fn(&[Input]) -> String) -> Posed {
    let sends = asked.inputs.chunks(most).map(|inputs| Sending::json(vec![Bytes::from(write(inputs))])).collect();
    let unread = asked.raw.keys().filter(|name| !READ.contains(name) && is_stated(asked, name));
    Posed { sends, dropped: unread.map(|name| Cow::Owned(name.to_owned())).collect() }
}

/// <https://docs.cohere.com/reference/embed>. Its models want to know what a text is for; where the client does not say, it
/// is a document.
fn cohere(asked: &Embedding, to: &Recipient<'_>, inputs: &[Input]) -> String {
    let kind = input_type(asked);
    let kind = match kind.as_deref() {
        None | Some("document" | "passage") => "search_document",
        Some("query") => "search_query",
        Some(other) => other,
    };
    object(|out| {
        out.text("model", to.model).list("texts", |list| raw_texts(list, inputs)).text("input_type", kind);
        out.texts("embedding_types", &[if asked.format == Format::Base64 { "base64" } else { "float" }]);
        if let Some(dimensions) = asked.dimensions {
            out.number("output_dimension", dimensions);
        }
    })
}

fn raw_texts(list: &mut Out<'_>, inputs: &[Input]) {
    for input in inputs {
        list.item_raw(std::str::from_utf8(input.raw()).unwrap_or("\"\""));
    }
}

/// <https://ai.google.dev/api/embeddings>
fn google(asked: &Embedding, to: &Recipient<'_>, inputs: &[Input]) -> String {
    let model = if to.model.contains('/') { to.model.to_owned() } else { format!("models/{}", to.model) };
    let kind = input_type(asked);
    let kind = kind.as_deref().map(|kind| match kind {
        "document" | "passage" | "search_document" => "RETRIEVAL_DOCUMENT".to_owned(),
        "query" | "search_query" => "RETRIEVAL_QUERY".to_owned(),
        other => other.to_uppercase(),
    });
    object(|out| {
        out.list("requests", |requests| {
            for input in inputs {
                let text = std::str::from_utf8(input.raw()).unwrap_or("\"\"");
                requests.item(|request| {
                    request.text("model", &model).object("content", |content| {
                        content.list("parts", |parts| {
                            parts.item(|part| {
                                part.raw("text", text);
                            });
                        });
                    });
                    request.text_if("taskType", kind.as_deref());
                    if let Some(dimensions) = asked.dimensions {
                        request.number("outputDimensionality", dimensions);
                    }
                });
            }
        });
    })
}

/// What a text is for, where the client says so. No field of OpenAI's, but of all others'.
fn input_type(asked: &Embedding) -> Option<String> {
    asked.raw.read::<String>("input_type").ok().flatten()
}
