//! Folds the events of a stream into the whole answer.

use std::collections::BTreeMap;

use super::content::{Part, Reasoning, Source, ToolCall};
use super::delta::{Delta, PartKind};
use super::reply::Reply;
use crate::canonical::Json;

/// An answer in the making.
#[derive(Debug, Default)]
pub struct Collector {
    reply: Reply,
    /// Number of a part to its place in the answer.
    places: BTreeMap<u32, usize>,
    logprobs: Vec<Json>,
}

impl Collector {
    /// Takes one event. Events for parts that never began are ignored.
    pub fn take(&mut self, delta: &Delta) {
        match delta {
            Delta::Start { id } => self.reply.id = id.clone().unwrap_or_default(),
            Delta::Begin { part, kind } => {
                self.places.insert(*part, self.reply.parts.len());
                self.reply.parts.push(begin(kind));
            }
            Delta::Text { part, text } => match self.part(*part) {
                Some(Part::Text { text: whole, .. } | Part::Refusal(whole) | Part::Audio { data: whole, .. }) => {
                    whole.push_str(text);
                }
                Some(Part::Reasoning(reasoning)) => reasoning.text.push_str(text),
                Some(Part::ToolCall(call)) => call.arguments.push_str(text),
                Some(Part::Image { .. } | Part::File(_) | Part::ToolResult(_) | Part::Native { .. }) | None => {}
            },
            Delta::Summary { part, index, text } => {
                let index = usize::try_from(*index).unwrap_or(usize::MAX).min(1024);
                if let Some(Part::Reasoning(reasoning)) = self.part(*part) {
                    if reasoning.summary.len() <= index {
                        reasoning.summary.resize(index + 1, String::new());
                    }
                    if let Some(summary) = reasoning.summary.get_mut(index) {
                        summary.push_str(text);
                    }
                }
            }
            Delta::State { part, state } => {
                if let Some(Part::Reasoning(reasoning)) = self.part(*part) {
                    reasoning.state = Some(state.clone());
                }
            }
            Delta::Annotation { part, json } => {
                if let Some(Part::Text { annotations, .. }) = self.part(*part) {
                    annotations.push(json.clone());
                }
            }
            Delta::Logprobs { json, .. } => self.logprobs.extend(json.read::<Vec<Json>>().unwrap_or_default()),
            Delta::End { .. } => {}
            Delta::Finish(finish) => self.reply.finish = Some(finish.clone()),
            Delta::Usage(usage) => self.reply.usage = Some(*usage),
            Delta::ServiceTier(tier) => self.reply.service_tier = Some(tier.clone()),
        }
    }

    fn part(&mut self, number: u32) -> Option<&mut Part> {
        self.reply.parts.get_mut(*self.places.get(&number)?)
    }

    /// A part as it is now.
    #[must_use]
    pub fn get(&self, number: u32) -> Option<&Part> {
        self.reply.parts.get(*self.places.get(&number)?)
    }

    /// The answer as it is now.
    #[must_use]
    pub fn reply(&self) -> &Reply {
        &self.reply
    }

    /// The whole answer.
    #[must_use]
    pub fn finish(mut self) -> Reply {
        if !self.logprobs.is_empty() {
            self.reply.logprobs = Some(Json::of(&self.logprobs));
        }
        self.reply
    }
}

fn begin(kind: &PartKind) -> Part {
    match kind {
        PartKind::Text => Part::text(""),
        PartKind::Refusal => Part::Refusal(String::new()),
        PartKind::Reasoning { id } => Part::Reasoning(Reasoning { id: id.clone(), ..Reasoning::default() }),
        PartKind::ToolCall { id, name, is_custom } => Part::ToolCall(ToolCall {
            id: id.clone(),
            name: name.clone(),
            is_custom: *is_custom,
            ..ToolCall::default()
        }),
        PartKind::Audio => Part::Audio { data: String::new(), format: String::new() },
        PartKind::Image { url } => Part::Image { source: Source::from_url(url), detail: None, cache: None },
        PartKind::Native { wire, kind, json } => Part::Native { wire: *wire, kind: kind.clone(), json: json.clone() },
    }
}

/// An answer as the events it would have come in, each text in one piece.
#[must_use]
pub fn unfold(reply: &Reply) -> Vec<Delta> {
    let mut deltas = vec![Delta::Start { id: (!reply.id.is_empty()).then(|| reply.id.clone()) }];
    for (part, content) in (0_u32..).zip(&reply.parts) {
        let Some(kind) = kind_of(content) else { continue };
        deltas.push(Delta::Begin { part, kind });
        let mut text = |text: &str| {
            if !text.is_empty() {
                deltas.push(Delta::Text { part, text: text.to_owned() });
            }
        };
        match content {
            Part::Text { text: whole, annotations, .. } => {
                text(whole);
                deltas.extend(annotations.iter().map(|json| Delta::Annotation { part, json: json.clone() }));
            }
            Part::Refusal(whole) | Part::Audio { data: whole, .. } => text(whole),
            Part::ToolCall(call) => text(&call.arguments),
            Part::Reasoning(reasoning) => {
                text(&reasoning.text);
                deltas.extend((0_u32..).zip(&reasoning.summary).map(|(index, summary)| Delta::Summary {
                    part,
                    index,
                    text: summary.clone(),
                }));
                deltas.extend(reasoning.state.clone().map(|state| Delta::State { part, state }));
            }
            Part::Image { .. } | Part::File(_) | Part::ToolResult(_) | Part::Native { .. } => {}
        }
        deltas.push(Delta::End { part });
    }
    deltas.extend(reply.service_tier.clone().map(Delta::ServiceTier));
    deltas.extend(reply.finish.clone().map(Delta::Finish));
    deltas.extend(reply.usage.map(Delta::Usage));
    deltas
}

fn kind_of(part: &Part) -> Option<PartKind> {
    Some(match part {
        Part::Text { .. } => PartKind::Text,
        Part::Refusal(_) => PartKind::Refusal,
        Part::Audio { .. } => PartKind::Audio,
        Part::Reasoning(reasoning) => PartKind::Reasoning { id: reasoning.id.clone() },
        Part::ToolCall(call) => {
            PartKind::ToolCall { id: call.id.clone(), name: call.name.clone(), is_custom: call.is_custom }
        }
        Part::Image { source, .. } => PartKind::Image { url: source.to_url()? },
        Part::Native { wire, kind, json } => PartKind::Native { wire: *wire, kind: kind.clone(), json: json.clone() },
        Part::File(_) | Part::ToolResult(_) => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::canonical::TokenUsage;
    use crate::canonical::Wire;
    use crate::canonical::text::{Finish, State};

    #[test]
    fn an_answer_unfolds_and_folds_back() {
        let state = State { wire: Wire::Messages, is_redacted: false, data: "sig".to_owned(), origin: None };
        let reply = Reply {
            id: "a".to_owned(),
            parts: vec![
                Part::Reasoning(Reasoning {
                    text: "hm".to_owned(),
                    summary: vec!["one".to_owned(), "two".to_owned()],
                    state: Some(state),
                    id: None,
                }),
                Part::text("hello"),
                Part::ToolCall(ToolCall {
                    id: "c1".to_owned(),
                    name: "f".to_owned(),
                    arguments: "{\"a\": 1.0}".to_owned(),
                    ..ToolCall::default()
                }),
                Part::Refusal("no".to_owned()),
            ],
            finish: Some(Finish::ToolCalls),
            usage: Some(TokenUsage { input: 3, output: 4, ..TokenUsage::default() }),
            service_tier: Some("default".to_owned()),
            logprobs: None,
        };
        let mut collector = Collector::default();
        unfold(&reply).iter().for_each(|delta| collector.take(delta));
        assert_eq!(collector.finish(), reply);
    }
}
