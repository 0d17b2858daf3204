//! Events to chunks for clients.

use std::collections::BTreeMap;

use bytes::BytesMut;

use crate::canonical::TokenUsage;
use crate::canonical::text::{Delta, Finish, PartKind, State};
use crate::dialects::openai_chat::fault::write_fault_event;
use crate::dialects::openai_chat::wire;
use crate::dialects::openai_chat::write_reply::answer_id;
use crate::dialects::out::{self, Out};
use crate::dialects::{Encode, Frame, state};
use crate::fault::Fault;

/// Writes chunks for a client.
#[derive(Debug)]
pub struct ChunkWriter {
    frame: Frame,
    wants_usage: bool,
    id: String,
    has_begun: bool,
    kinds: BTreeMap<u32, PartKind>,
    calls: BTreeMap<u32, u32>,
    carried: Option<State>,
    /// The reasoning part, and which of its summaries, that was written last.
    last_thought: Option<(u32, Option<u32>)>,
    service_tier: Option<String>,
    finish: Option<Finish>,
    usage: Option<TokenUsage>,
}

impl ChunkWriter {
    /// Writes the chunks of one answer; with a last one for usage if the client asked for it.
    #[must_use]
    pub fn new(frame: Frame, wants_usage: bool) -> Self {
        let id = answer_id("", &frame);
        Self {
            frame,
            wants_usage,
            id,
            has_begun: false,
            kinds: BTreeMap::new(),
            calls: BTreeMap::new(),
            carried: None,
            last_thought: None,
            service_tier: None,
            finish: None,
            usage: None,
        }
    }

    fn chunk(&self, out: &mut BytesMut, fill: impl FnOnce(&mut Out<'_>)) {
        let json = out::object(|out| {
            out.text("id", &self.id).text("object", "chat.completion.chunk").number("created", self.frame.created);
            out.text("model", &self.frame.model).text_if("service_tier", self.service_tier.as_deref());
            fill(out);
        });
        out.extend_from_slice(b"data: ");
        out.extend_from_slice(json.as_bytes());
        out.extend_from_slice(b"\n\n");
    }

    fn choice(&mut self, out: &mut BytesMut, logprobs: Option<&str>, fill: impl FnOnce(&mut Out<'_>)) {
        let is_first = !std::mem::replace(&mut self.has_begun, true);
        self.chunk(out, |chunk| {
            chunk.list("choices", |list| {
                list.item(|choice| {
                    choice.number("index", 0).object("delta", |delta| {
                        if is_first {
                            delta.text("role", "assistant");
                        }
                        fill(delta);
                    });
                    match logprobs {
                        Some(content) => {
                            choice.object("logprobs", |out| {
                                out.raw("content", content).null("refusal");
                            });
                        }
                        None => {
                            choice.null("logprobs");
                        }
                    }
                    choice.null("finish_reason");
                });
            });
            if self.wants_usage {
                chunk.null("usage");
            }
        });
    }

    fn begin(&mut self, part: u32, kind: &PartKind, out: &mut BytesMut) {
        match kind {
            PartKind::ToolCall { id, name, is_custom } => {
                let index = u32::try_from(self.calls.len()).unwrap_or(u32::MAX);
                self.calls.insert(part, index);
                let id = match self.carried.take() {
                    Some(carried) => state::write_in_id(id, &carried, &self.frame.origin),
                    None => id.clone(),
                };
                let kind = if *is_custom { "custom" } else { "function" };
                let text = if *is_custom { "input" } else { "arguments" };
                self.choice(out, None, |delta| {
                    delta.list("tool_calls", |list| {
                        list.item(|call| {
                            call.number("index", index).text("id", &id).text("type", kind);
                            call.object(kind, |function| {
                                function.text("name", name).text(text, "");
                            });
                        });
                    });
                });
            }
            PartKind::Image { url } => self.choice(out, None, |delta| {
                delta.list("images", |list| {
                    list.item(|item| {
                        item.text("type", "image_url").object("image_url", |image| {
                            image.text("url", url);
                        });
                    });
                });
            }),
            PartKind::Text
            | PartKind::Refusal
            | PartKind::Audio
            | PartKind::Reasoning { .. }
            | PartKind::Native { .. } => {}
        }
        self.kinds.insert(part, kind.clone());
    }

    /// Words of reasoning, a blank line between one thought and the next.
    fn thought(&mut self, place: (u32, Option<u32>), text: &str, out: &mut BytesMut) {
        let is_next = self.last_thought.replace(place).is_some_and(|last| last != place);
        let parted = is_next.then(|| format!("\n\n{text}"));
        self.choice(out, None, |delta| {
            delta.text("reasoning_content", parted.as_deref().unwrap_or(text));
        });
    }

    fn text(&mut self, part: u32, text: &str, out: &mut BytesMut) {
        let Some(kind) = self.kinds.get(&part).cloned() else { return };
        match kind {
            PartKind::Text => self.choice(out, None, |delta| {
                delta.text("content", text);
            }),
            PartKind::Refusal => self.choice(out, None, |delta| {
                delta.text("refusal", text);
            }),
            PartKind::Reasoning { .. } => self.thought((part, None), text, out),
            PartKind::Audio => self.choice(out, None, |delta| {
                delta.object("audio", |audio| {
                    audio.text("data", text);
                });
            }),
            PartKind::ToolCall { is_custom, .. } => {
                let index = self.calls.get(&part).copied().unwrap_or_default();
                self.choice(out, None, |delta| {
                    delta.list("tool_calls", |list| {
                        list.item(|call| {
                            call.number("index", index);
                            if is_custom {
                                call.object("custom", |custom| {
                                    custom.text("input", text);
                                });
                            } else {
                                call.object("function", |function| {
                                    function.text("arguments", text);
                                });
                            }
                        });
                    });
                });
            }
            PartKind::Image { .. } | PartKind::Native { .. } => {}
        }
    }
}

impl Encode for ChunkWriter {
    fn encode(&mut self, delta: &Delta, out: &mut BytesMut) {
        match delta {
            Delta::Start { id } => {
                self.id = answer_id(id.as_deref().unwrap_or_default(), &self.frame);
                self.choice(out, None, |delta| {
                    delta.text("content", "");
                });
            }
            Delta::Begin { part, kind } => self.begin(*part, kind, out),
            Delta::Text { part, text } => self.text(*part, text, out),
            Delta::Summary { part, index, text } => self.thought((*part, Some(*index)), text, out),
            Delta::State { state, .. } if !state.data.is_empty() => self.carried = Some(state.clone()),
            Delta::Annotation { json, .. } => {
                if let Some(annotation) = wire::write_annotation(json) {
                    self.choice(out, None, |delta| {
                        delta.list("annotations", |list| {
                            list.item_raw(&annotation);
                        });
                    });
                }
            }
            Delta::Logprobs { json, .. } => self.choice(out, Some(json.as_str()), |_| {}),
            Delta::Finish(finish) => self.finish = Some(finish.clone()),
            Delta::Usage(usage) => self.usage = Some(*usage),
            Delta::ServiceTier(tier) => self.service_tier = Some(tier.clone()),
            Delta::State { .. } | Delta::End { .. } => {}
        }
    }

    fn close(&mut self, out: &mut BytesMut) {
        let finish = wire::write_finish(self.finish.as_ref(), !self.calls.is_empty()).to_owned();
        self.chunk(out, |chunk| {
            chunk.list("choices", |list| {
                list.item(|choice| {
                    choice.number("index", 0).object("delta", |_| {}).null("logprobs").text("finish_reason", &finish);
                });
            });
            if self.wants_usage {
                chunk.null("usage");
            }
        });
        if let (true, Some(usage)) = (self.wants_usage, self.usage) {
            self.chunk(out, |chunk| {
                chunk.list("choices", |_| {}).object("usage", |out| wire::write_usage(out, &usage));
            });
        }
        out.extend_from_slice(b"data: [DONE]\n\n");
    }

    fn fail(&mut self, fault: &Fault, out: &mut BytesMut) {
        out.extend_from_slice(&write_fault_event(fault));
    }
}
