//! Names on the wire, and small shapes shared by requests, answers and events.

use crate::canonical::text::{Finish, Parameter, State};
use crate::canonical::{Json, TokenUsage, Wire};
use crate::dialects::fields::Names;
use crate::dialects::node::{Members, Node};
use crate::dialects::out::{self, Out};

/// Fields of `generationConfig` that are carried by name.
pub const PARAMETERS: Names = &[
    ("temperature", Parameter::Temperature),
    ("topP", Parameter::TopP),
    ("topK", Parameter::TopK),
    ("presencePenalty", Parameter::PresencePenalty),
    ("frequencyPenalty", Parameter::FrequencyPenalty),
    ("responseLogprobs", Parameter::Logprobs),
    ("logprobs", Parameter::TopLogprobs),
];

/// Passes the check of thought signatures where a call was not made by this model. Documented in the guide on thought
/// signatures for histories of other models.
pub const NO_SIGNATURE: &str = "skip_thought_signature_validator";

/// Which part of a turn a thought signature came with, and goes back on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The thought itself.
    Thought,
    /// The call that follows.
    Call,
    /// The text before.
    Text,
    /// An empty text of its own, with which a stream ends.
    Empty,
    /// The image or sound before.
    Data,
}

impl Place {
    const ALL: [(Self, &'static str); 5] = [
        (Self::Thought, "thought"),
        (Self::Call, "call"),
        (Self::Text, "text"),
        (Self::Empty, "empty"),
        (Self::Data, "data"),
    ];

    /// A signature as opaque state. An empty signature marks thoughts that had none.
    #[must_use]
    pub fn state(self, signature: &str) -> State {
        let word = Self::ALL.iter().find(|(place, _)| *place == self).map_or("", |(_, word)| word);
        let data = if signature.is_empty() { String::new() } else { format!("{word}:{signature}") };
        State { wire: Wire::GenerateContent, is_redacted: false, data, origin: None }
    }

    /// Reads a signature back. One without a place is a call's: there it is needed.
    #[must_use]
    pub fn read(data: &str) -> (Self, &str) {
        let (word, signature) = data.split_once(':').unwrap_or(("call", data));
        let place = Self::ALL.iter().find(|(_, known)| *known == word).map_or(Self::Call, |(place, _)| *place);
        (place, signature)
    }
}

/// Tokens as answers state them, over what was stated before: a stream repeats its counts as they grow, and leaves out
/// what it does not know yet. Input counts what tools of the provider read, output what was thought.
pub fn read_usage(usage: &Members<'_>, known: &mut TokenUsage, parts: &mut UsageParts) {
    let count = |name: &str, last: &mut u64| *last = usage.any_count(name).unwrap_or(*last);
    count("promptTokenCount", &mut parts.prompt);
    count("toolUsePromptTokenCount", &mut parts.tools);
    count("candidatesTokenCount", &mut parts.answer);
    count("thoughtsTokenCount", &mut known.reasoning);
    count("cachedContentTokenCount", &mut known.cache_read);
    known.input = parts.prompt.saturating_add(parts.tools);
    known.output = parts.answer.saturating_add(known.reasoning);
    let sound = |name: &str| {
        let details = usage.any_list(name);
        let counts = details.iter().filter_map(|detail| {
            let detail = detail.object().ok()?;
            (detail.any_text("modality")? == "AUDIO").then(|| detail.any_count("tokenCount")).flatten()
        });
        counts.reduce(u64::saturating_add)
    };
    known.audio_input = sound("promptTokensDetails").unwrap_or(known.audio_input);
    known.audio_output = sound("candidatesTokensDetails").unwrap_or(known.audio_output);
}

/// Counts that are added up.
#[derive(Debug, Clone, Copy, Default)]
pub struct UsageParts {
    prompt: u64,
    tools: u64,
    answer: u64,
}

/// Why an answer ended. Words that speak of a fault of the model are kept; calls that were made are to be answered
/// all the same.
#[must_use]
pub fn read_finish(word: &str, calls_tools: bool) -> Finish {
    match word {
        "MAX_TOKENS" => Finish::Length,
        "SAFETY"
        | "RECITATION"
        | "LANGUAGE"
        | "BLOCKLIST"
        | "PROHIBITED_CONTENT"
        | "SPII"
        | "MODEL_ARMOR"
        | "IMAGE_SAFETY"
        | "IMAGE_PROHIBITED_CONTENT"
        | "IMAGE_RECITATION" => Finish::ContentFilter,
        _ if calls_tools => Finish::ToolCalls,
        "STOP" => Finish::Stop,
        other => Finish::Other(other.to_ascii_lowercase()),
    }
}

/// The tier that served an answer, in the words of OpenAI.
#[must_use]
pub fn read_tier(usage: &Members<'_>) -> Option<String> {
    let tier = usage.any_text("serviceTier")?.to_ascii_lowercase();
    Some(if tier == "standard" { "default".to_owned() } else { tier })
}

/// `logprobsResult` as a list in the shape of OpenAI.
#[must_use]
pub fn read_logprobs(result: &Members<'_>) -> Option<Json> {
    let chosen = result.any_list("chosenCandidates");
    let others = result.any_list("topCandidates");
    if chosen.is_empty() {
        return None;
    }
    let mut list = Vec::with_capacity(chosen.len());
    for (position, token) in chosen.iter().enumerate() {
        let Ok(token) = token.object() else { continue };
        let others = others.get(position).and_then(|others| others.object().ok());
        let others = others.map(|others| others.any_list("candidates")).unwrap_or_default();
        list.push(out::object(|out| {
            write_logprob(out, &token);
            out.list("top_logprobs", |list| {
                for other in others.iter().filter_map(|other| other.object().ok()) {
                    list.item(|out| write_logprob(out, &other));
                }
            });
        }));
    }
    Json::parse(format!("[{}]", list.join(",")))
}

fn write_logprob(out: &mut Out<'_>, token: &Members<'_>) {
    let text = token.any_text("token").unwrap_or_default();
    let bytes: Vec<String> = text.bytes().map(|byte| byte.to_string()).collect();
    let probability = token.get("logProbability").filter(|node| node.read::<f64>().is_some());
    out.text("token", &text).raw("logprob", probability.as_ref().map_or("0", Node::raw));
    out.raw("bytes", &format!("[{}]", bytes.join(",")));
}

/// Citations of a text from `groundingMetadata`, in the flat shape of Responses. Segments are counted in bytes of UTF-8
/// there and in characters here; one that is not found in the text is left out.
#[must_use]
pub fn read_citations(grounding: &Members<'_>, text: &str) -> Vec<Json> {
    let chunks = grounding.any_list("groundingChunks");
    let mut citations = Vec::new();
    for support in grounding.any_list("groundingSupports") {
        let Ok(support) = support.object() else { continue };
        let Some((start, end)) = find_segment(&support.any_object("segment"), text) else { continue };
        let indexes = support.any_list("groundingChunkIndices");
        let cited = indexes.iter().filter_map(|index| chunks.get(index.read::<usize>()?));
        citations.extend(cited.filter_map(|chunk| write_citation(chunk, start, end)));
    }
    citations
}

/// Where a segment is, in characters.
fn find_segment(segment: &Members<'_>, text: &str) -> Option<(usize, usize)> {
    let place = |name: &str| segment.any_count(name).and_then(|place| usize::try_from(place).ok());
    let (start, end) = (place("startIndex").unwrap_or_default(), place("endIndex")?);
    let words = segment.any_text("text");
    let is_there = text.get(start..end).is_some_and(|found| words.as_deref().is_none_or(|words| words == found));
    let start = if is_there { start } else { text.find(words.as_deref().filter(|words| !words.is_empty())?)? };
    let end = if is_there { end } else { start + words.as_deref().map_or(0, str::len) };
    let before = text.get(..start)?.chars().count();
    Some((before, before + text.get(start..end)?.chars().count()))
}

fn write_citation(chunk: &Node<'_>, start: usize, end: usize) -> Option<Json> {
    let web = chunk.object().ok()?.get("web")?.object().ok()?;
    let url = web.any_text("uri")?;
    Json::parse(out::object(|out| {
        out.text("type", "url_citation").text("url", &url);
        out.text("title", &web.any_text("title").unwrap_or_default());
        out.number("start_index", start as u64).number("end_index", end as u64);
    }))
}
