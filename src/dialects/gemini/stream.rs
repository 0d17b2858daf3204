//! Streamed answers: each event is a whole `GenerateContentResponse` with the next parts of the one candidate. There is no
//! event that ends a stream; the one with a `finishReason` completes it.

use super::fault;
use super::partial::Arguments;
use super::wire::{self, Place, UsageParts};
use crate::canonical::text::{Delta, Finish, PartKind, State};
use crate::canonical::{Json, TokenUsage, Wire};
use crate::dialects::Decode;
use crate::dialects::native::StreamError;
use crate::dialects::node::{Members, Node};

/// Citations are found in so much of a text and no more, in bytes.
const MOST_CITED: usize = 4 << 20;

/// A part that may go on with the next event.
#[derive(Debug)]
enum Open {
    Text { part: u32, text: String, state: Option<State> },
    Thought { part: u32 },
    Audio { part: u32 },
}

/// A call whose arguments come piece by piece.
#[derive(Debug)]
struct Call {
    part: u32,
    arguments: Arguments,
}

/// Reads events, or a whole answer as the only one.
#[derive(Debug, Default)]
pub struct ChunkReader {
    has_started: bool,
    id: Option<String>,
    parts: u32,
    calls: u32,
    open: Option<Open>,
    call: Option<Call>,
    grounding: Option<Json>,
    usage: TokenUsage,
    usage_parts: UsageParts,
    /// Whether anything was said of an answer at all.
    has_candidate: bool,
}

impl ChunkReader {
    /// Whether anything was said of an answer, its refusal included.
    #[must_use]
    pub(super) fn has_candidate(&self) -> bool {
        self.has_candidate
    }

    /// Ends what is open.
    pub(super) fn end(&mut self, out: &mut Vec<Delta>) {
        self.close(out);
        self.end_call(out);
    }

    /// Takes one event.
    ///
    /// # Errors
    /// [`StreamError`].
    pub(super) fn take(&mut self, event: &Node<'_>, out: &mut Vec<Delta>) -> Result<(), StreamError> {
        if let Some(error) = fault::find(event) {
            return Err(StreamError::Provider(Box::new(fault::read_error_value(&error))));
        }
        let event = event.object().map_err(|_| StreamError::Malformed("it is not a JSON object"))?;
        if !self.has_started {
            self.has_started = true;
            self.id = event.any_text("responseId").filter(|id| !id.is_empty());
            out.push(Delta::Start { id: self.id.clone() });
        }
        if let Some(usage) = event.get("usageMetadata").and_then(|usage| usage.object().ok()) {
            wire::read_usage(&usage, &mut self.usage, &mut self.usage_parts);
            out.extend(wire::read_tier(&usage).map(Delta::ServiceTier));
            if self.usage != TokenUsage::default() {
                out.push(Delta::Usage(self.usage));
            }
        }
        let candidates = event.any_list("candidates");
        let candidates = candidates.iter().filter_map(|candidate| candidate.object().ok());
        // One answer is asked for; others would be numbered.
        match candidates.into_iter().find(|candidate| candidate.any_count("index").unwrap_or_default() == 0) {
            Some(candidate) => self.candidate(&candidate, out)?,
            None if event.any_object("promptFeedback").has("blockReason") => {
                self.has_candidate = true;
                self.close(out);
                out.push(Delta::Finish(Finish::ContentFilter));
            }
            None => {}
        }
        Ok(())
    }

    fn candidate(&mut self, candidate: &Members<'_>, out: &mut Vec<Delta>) -> Result<(), StreamError> {
        self.has_candidate = true;
        if let Some(grounding) = candidate.get("groundingMetadata") {
            self.grounding = Some(grounding.json());
        }
        for part in candidate.any_object("content").any_list("parts") {
            self.part(&part, out)?;
        }
        let logprobs = candidate.get("logprobsResult").and_then(|result| result.object().ok());
        if let (Some(json), Some(Open::Text { part, .. })) =
            (logprobs.and_then(|result| wire::read_logprobs(&result)), &self.open)
        {
            out.push(Delta::Logprobs { part: *part, json });
        }
        if let Some(word) = candidate.any_text("finishReason").filter(|word| word != "FINISH_REASON_UNSPECIFIED") {
            self.end(out);
            out.push(Delta::Finish(wire::read_finish(&word, self.calls > 0)));
        }
        Ok(())
    }

    fn part(&mut self, node: &Node<'_>, out: &mut Vec<Delta>) -> Result<(), StreamError> {
        let Ok(part) = node.object() else { return Ok(()) };
        let signature = part.any_text("thoughtSignature").filter(|signature| !signature.is_empty());
        let is_thought = part.get("thought").and_then(|thought| thought.read()).unwrap_or(false);
        if let Some(call) = part.get("functionCall").and_then(|call| call.object().ok()) {
            return self.function_call(&call, signature.as_deref(), out);
        }
        let media = part.any_object("inlineData");
        let kind = media.any_text("mimeType").unwrap_or_default();
        match (part.any_text("text"), media.any_text("data")) {
            (Some(text), _) if is_thought => self.thought(text, signature.as_deref(), out),
            (Some(text), _) => self.text(text, signature.as_deref(), out),
            (None, Some(data)) if !is_thought && kind.starts_with("image/") => {
                self.close(out);
                let number = self.begin(PartKind::Image { url: format!("data:{kind};base64,{data}") }, out);
                out.push(Delta::End { part: number });
                self.state(signature.map(|signature| Place::Data.state(&signature)), out);
            }
            (None, Some(data)) if !is_thought && kind.starts_with("audio/") => {
                self.audio(data, out);
                if let Some(signature) = signature {
                    self.close(out);
                    self.state(Some(Place::Data.state(&signature)), out);
                }
            }
            (None, _) => self.native(node, &part, out),
        }
        Ok(())
    }

    fn begin(&mut self, kind: PartKind, out: &mut Vec<Delta>) -> u32 {
        let part = self.parts;
        self.parts += 1;
        out.push(Delta::Begin { part, kind });
        part
    }

    /// State that no thought was shown with.
    fn state(&mut self, state: Option<State>, out: &mut Vec<Delta>) {
        if let Some(state) = state {
            let part = self.begin(PartKind::Reasoning { id: None }, out);
            out.extend([Delta::State { part, state }, Delta::End { part }]);
        }
    }

    /// Ends what is open.
    fn close(&mut self, out: &mut Vec<Delta>) {
        match self.open.take() {
            Some(Open::Text { part, text, state }) => {
                let grounding = self.grounding.as_ref().and_then(|json| Node::root(json.as_str()).object().ok());
                let citations = grounding.map(|grounding| wire::read_citations(&grounding, &text));
                let annotate = |json| Delta::Annotation { part, json };
                out.extend(citations.into_iter().flatten().map(annotate));
                out.push(Delta::End { part });
                self.state(state, out);
            }
            Some(Open::Thought { part }) => end_thought(part, Place::Thought.state(""), out),
            Some(Open::Audio { part }) => out.push(Delta::End { part }),
            None => {}
        }
    }

    fn text(&mut self, piece: String, signature: Option<&str>, out: &mut Vec<Delta>) {
        if !piece.is_empty() {
            if !matches!(self.open, Some(Open::Text { state: None, .. })) {
                self.close(out);
                let part = self.begin(PartKind::Text, out);
                self.open = Some(Open::Text { part, text: String::new(), state: None });
            }
            if let Some(Open::Text { part, text, state }) = &mut self.open {
                if text.len() < MOST_CITED {
                    text.push_str(&piece);
                }
                *state = signature.map(|signature| Place::Text.state(signature));
                out.push(Delta::Text { part: *part, text: piece });
            }
            return;
        }
        let Some(signature) = signature else { return };
        let alone = Place::Empty.state(signature);
        match &mut self.open {
            Some(Open::Text { state: state @ None, .. }) => *state = Some(alone),
            Some(Open::Thought { part }) => {
                end_thought(*part, alone, out);
                self.open = None;
            }
            _ => {
                self.close(out);
                self.state(Some(alone), out);
            }
        }
    }

    fn thought(&mut self, text: String, signature: Option<&str>, out: &mut Vec<Delta>) {
        if !matches!(self.open, Some(Open::Thought { .. })) {
            self.close(out);
            if text.is_empty() && signature.is_none() {
                return;
            }
            let part = self.begin(PartKind::Reasoning { id: None }, out);
            self.open = Some(Open::Thought { part });
        }
        let Some(Open::Thought { part }) = self.open else { return };
        if !text.is_empty() {
            out.push(Delta::Text { part, text });
        }
        if let Some(signature) = signature {
            end_thought(part, Place::Thought.state(signature), out);
            self.open = None;
        }
    }

    fn audio(&mut self, data: String, out: &mut Vec<Delta>) {
        if !matches!(self.open, Some(Open::Audio { .. })) {
            self.close(out);
            let part = self.begin(PartKind::Audio, out);
            self.open = Some(Open::Audio { part });
        }
        if let (Some(Open::Audio { part }), false) = (&self.open, data.is_empty()) {
            out.push(Delta::Text { part: *part, text: data });
        }
    }

    /// Code that ran at the provider, its searches, and what is new: all of the part, its signature included.
    fn native(&mut self, node: &Node<'_>, part: &Members<'_>, out: &mut Vec<Delta>) {
        let mut names = part.iter().map(|(name, _)| name);
        let Some(kind) = names.find(|name| !matches!(*name, "thought" | "thoughtSignature")).map(str::to_owned) else {
            let signature = part.any_text("thoughtSignature").unwrap_or_default();
            // Nothing but a signature is an empty text.
            return self.text(String::new(), Some(signature.as_str()).filter(|text| !text.is_empty()), out);
        };
        self.close(out);
        let kind = PartKind::Native { wire: Wire::GenerateContent, kind, json: node.json() };
        let number = self.begin(kind, out);
        out.push(Delta::End { part: number });
    }

    fn function_call(
        &mut self,
        call: &Members<'_>,
        signature: Option<&str>,
        out: &mut Vec<Delta>,
    ) -> Result<(), StreamError> {
        let goes_on = call.get("willContinue").and_then(|goes_on| goes_on.read()).unwrap_or(false);
        let pieces = call.any_list("partialArgs");
        let name = call.any_text("name").filter(|name| !name.is_empty());
        if name.is_some() || self.call.is_none() {
            self.end_call(out);
            let part = self.begin_call(name.unwrap_or_default(), call.any_text("id"), signature, out);
            if !goes_on && pieces.is_empty() {
                let text = call.get("args").map_or_else(|| "{}".to_owned(), |args| args.raw().to_owned());
                out.extend([Delta::Text { part, text }, Delta::End { part }]);
                return Ok(());
            }
            self.call = Some(Call { part, arguments: Arguments::default() });
        }
        if let Some(call) = &mut self.call {
            for piece in &pieces {
                call.arguments.take(piece).ok_or(StreamError::Malformed("a piece of arguments has no place"))?;
            }
        }
        if !goes_on {
            self.end_call(out);
        }
        Ok(())
    }

    fn begin_call(&mut self, name: String, id: Option<String>, signature: Option<&str>, out: &mut Vec<Delta>) -> u32 {
        let state = signature.map(|signature| Place::Call.state(signature));
        match (&self.open, state) {
            (Some(Open::Thought { part }), Some(state)) => {
                end_thought(*part, state, out);
                self.open = None;
            }
            (_, state) => {
                self.close(out);
                self.state(state, out);
            }
        }
        let count = self.calls;
        self.calls += 1;
        // Older models do not name their calls; results have to.
        let made = || self.id.as_ref().map_or_else(|| format!("call_{count}"), |id| format!("call_{id}_{count}"));
        let id = id.filter(|id| !id.is_empty()).unwrap_or_else(made);
        self.begin(PartKind::ToolCall { id, name, is_custom: false }, out)
    }

    fn end_call(&mut self, out: &mut Vec<Delta>) {
        if let Some(Call { part, arguments }) = self.call.take() {
            out.extend([Delta::Text { part, text: arguments.write() }, Delta::End { part }]);
        }
    }
}

fn end_thought(part: u32, state: State, out: &mut Vec<Delta>) {
    out.extend([Delta::State { part, state }, Delta::End { part }]);
}

impl Decode for ChunkReader {
    fn decode(&mut self, _event: Option<&[u8]>, data: &[u8], out: &mut Vec<Delta>) -> Result<bool, StreamError> {
        const BROKEN: StreamError = StreamError::Malformed("it is not a JSON object");
        let text = std::str::from_utf8(data).map_err(|_| StreamError::Malformed("it is not UTF-8"))?;
        let json = serde_json::from_str::<&serde_json::value::RawValue>(text).map_err(|_| BROKEN)?;
        self.take(&Node::root(json.get()), out)?;
        Ok(false)
    }
}
