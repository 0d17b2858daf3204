//! Reasoning in the places where hosts put it besides a field of its own: tags in the text, and lists of details.

use crate::dialects::node::Node;
use crate::dialects::out;

const OPEN: &str = "<think>";
const CLOSE: &str = "</think>";
/// Most bytes of opaque details that are kept for the next turn.
const MOST_DETAILS: usize = 4 << 20;

/// A piece of content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Said {
    Text(String),
    Thought(String),
}

/// Tells `<think>…</think>` at the start of an answer from the text behind it, however the pieces are cut.
#[derive(Debug, Default)]
pub(super) enum ThinkTags {
    /// Nothing but what may become the tag.
    #[default]
    Start,
    /// Bytes that are held back.
    Waiting(String),
    /// Behind the tag, with what may become its end.
    Thinking(String),
    /// Behind its end, or without any.
    Text,
}

impl ThinkTags {
    /// Takes a piece.
    pub(super) fn push(&mut self, piece: &str, said: &mut Vec<Said>) {
        match std::mem::take(self) {
            Self::Text => {
                *self = Self::Text;
                said.push(Said::Text(piece.to_owned()));
            }
            Self::Start => self.open(piece.to_owned(), said),
            Self::Waiting(mut held) => {
                held.push_str(piece);
                self.open(held, said);
            }
            Self::Thinking(mut held) => {
                held.push_str(piece);
                self.think(&held, said);
            }
        }
    }

    fn open(&mut self, held: String, said: &mut Vec<Said>) {
        let start = held.trim_start();
        if let Some(rest) = start.strip_prefix(OPEN) {
            self.think(rest, said);
        } else if OPEN.starts_with(start) && held.len() < 256 {
            *self = Self::Waiting(held);
        } else {
            *self = Self::Text;
            said.push(Said::Text(held));
        }
    }

    fn think(&mut self, held: &str, said: &mut Vec<Said>) {
        if let Some((thought, text)) = held.split_once(CLOSE) {
            *self = Self::Text;
            said.extend([Said::Thought(thought.to_owned()), Said::Text(text.to_owned())]);
            return;
        }
        let kept = (1..CLOSE.len()).rev().find(|length| CLOSE.get(..*length).is_some_and(|part| held.ends_with(part)));
        let (thought, rest) = held.split_at(held.len() - kept.unwrap_or_default());
        said.push(Said::Thought(thought.to_owned()));
        *self = Self::Thinking(rest.to_owned());
    }

    /// Gives what is held back: nothing more comes that could make a tag of it.
    pub(super) fn flush(&mut self, said: &mut Vec<Said>) {
        match std::mem::take(self) {
            Self::Start => {}
            Self::Waiting(held) => {
                *self = Self::Text;
                said.push(Said::Text(held));
            }
            Self::Thinking(held) => {
                *self = Self::Thinking(String::new());
                said.push(Said::Thought(held));
            }
            Self::Text => *self = Self::Text,
        }
    }
}

/// `reasoning_details` of a stream, put together again: pieces of one detail share their index and type.
#[derive(Debug, Default)]
pub(super) struct Details {
    list: Vec<Detail>,
    bytes: usize,
}

#[derive(Debug)]
struct Detail {
    index: Option<u64>,
    kind: String,
    /// `text`, `summary`, `data`, which come in pieces.
    texts: Vec<(String, String)>,
    /// The other members, as JSON.
    rest: Vec<(String, String)>,
}

impl Details {
    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Takes one member of a chunk's list.
    pub(super) fn push(&mut self, detail: &Node<'_>) {
        let Ok(fields) = detail.object() else { return };
        self.bytes = self.bytes.saturating_add(detail.raw().len());
        if self.bytes > MOST_DETAILS {
            return;
        }
        let index = fields.any_count("index");
        let kind = fields.any_text("type").unwrap_or_default();
        let is_same = |last: &&mut Detail| last.kind == kind && last.index == index;
        let position = self.list.len();
        if self.list.last_mut().as_ref().is_none_or(|last| !is_same(last)) {
            self.list.push(Detail { index, kind, texts: Vec::new(), rest: Vec::new() });
        }
        let last = self.list.len().saturating_sub(1).min(position);
        let Some(known) = self.list.get_mut(last) else { return };
        for (name, value) in fields.iter().filter(|(name, _)| !matches!(*name, "type" | "index")) {
            match value.read::<String>().filter(|_| matches!(name, "text" | "summary" | "data")) {
                Some(text) => match known.texts.iter_mut().find(|(own, _)| own == name) {
                    Some((_, whole)) => whole.push_str(&text),
                    None => known.texts.push((name.to_owned(), text)),
                },
                None => match known.rest.iter_mut().find(|(own, _)| own == name) {
                    Some((_, json)) => value.raw().clone_into(json),
                    None => known.rest.push((name.to_owned(), value.raw().to_owned())),
                },
            }
        }
    }

    /// The whole list as JSON; empty where it became too large to be carried.
    pub(super) fn take(&mut self) -> String {
        let details = std::mem::take(self);
        if details.bytes > MOST_DETAILS {
            return String::new();
        }
        let items: Vec<String> = details
            .list
            .iter()
            .map(|detail| {
                out::object(|out| {
                    out.text("type", &detail.kind);
                    for (name, text) in &detail.texts {
                        out.text(name, text);
                    }
                    for (name, json) in &detail.rest {
                        out.raw(name, json);
                    }
                    if let Some(index) = detail.index {
                        out.number("index", index);
                    }
                })
            })
            .collect();
        format!("[{}]", items.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(pieces: &[&str]) -> (String, String) {
        let (mut tags, mut said) = (ThinkTags::default(), Vec::new());
        pieces.iter().for_each(|piece| tags.push(piece, &mut said));
        tags.flush(&mut said);
        let mut whole = (String::new(), String::new());
        for piece in said {
            match piece {
                Said::Thought(text) => whole.0.push_str(&text),
                Said::Text(text) => whole.1.push_str(&text),
            }
        }
        whole
    }

    #[test]
    fn tags_are_found_wherever_the_text_is_cut() {
        for (text, thought, rest) in [
            ("<think>hm</think>yes", "hm", "yes"),
            ("\n<think>\na </thin b\n</think>\n\nyes <think>x</think>", "\na </thin b\n", "\n\nyes <think>x</think>"),
            ("<think>never ends</thi", "never ends</thi", ""),
            ("<thinker> is text", "", "<thinker> is text"),
            ("  plain", "", "  plain"),
            ("<thi", "", "<thi"),
            ("<think></think>", "", ""),
            ("größer <think>", "", "größer <think>"),
        ] {
            let expected = (thought.to_owned(), rest.to_owned());
            assert_eq!(split(&[text]), expected, "{text:?}");
            for at in (1..text.len()).filter(|at| text.is_char_boundary(*at)) {
                let (head, tail) = text.split_at(at);
                assert_eq!(split(&[head, tail]), expected, "{text:?} at {at}");
            }
            let single: Vec<String> = text.chars().map(String::from).collect();
            let single: Vec<&str> = single.iter().map(String::as_str).collect();
            assert_eq!(split(&single), expected, "{text:?} one by one");
        }
    }

    #[test]
    fn pieces_of_details_are_put_together() {
        let mut details = Details::default();
        for piece in [
            r#"{"type":"reasoning.text","text":"a","format":"f","index":0}"#,
            r#"{"type":"reasoning.text","text":"b","index":0,"signature":null}"#,
            r#"{"type":"reasoning.text","signature":"s","index":0}"#,
            r#"{"type":"reasoning.encrypted","data":"Zm9v","id":"r1","index":1}"#,
        ] {
            details.push(&Node::root(piece));
        }
        assert_eq!(
            details.take(),
            r#"[{"type":"reasoning.text","text":"ab","format":"f","signature":"s","index":0},{"type":"reasoning.encrypted","data":"Zm9v","id":"r1","index":1}]"#
        );
        assert!(details.is_empty());
    }
}
