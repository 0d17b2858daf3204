//! Arguments of a call that are streamed value by value (`partialArgs`): each piece names its place by a JSON Path
//! (RFC 9535) of names and indexes, and a string may come in several pieces.

use crate::dialects::node::Node;
use crate::dialects::out::quoted;

/// Deeper places than this have none.
const MOST_STEPS: usize = 64;

/// Arguments in the making.
#[derive(Debug, Default)]
pub(super) struct Arguments(Tree);

#[derive(Debug, Default)]
enum Tree {
    #[default]
    Empty,
    Object(Vec<(String, Tree)>),
    List(Vec<Tree>),
    Text(String),
    Raw(String),
}

enum Step {
    Name(String),
    Index(usize),
}

impl Arguments {
    /// Takes one piece; `None` when it is none or has no place.
    pub(super) fn take(&mut self, piece: &Node<'_>) -> Option<()> {
        let piece = piece.object().ok()?;
        let mut place = &mut self.0;
        for step in read_path(&piece.any_text("jsonPath")?)? {
            place = place.enter(step)?;
        }
        if let Some(text) = piece.any_text("stringValue") {
            match place {
                Tree::Text(known) => known.push_str(&text),
                place => *place = Tree::Text(text),
            }
        } else if let Some(value) = piece.get("numberValue").or_else(|| piece.get("boolValue")) {
            *place = Tree::Raw(value.raw().to_owned());
        } else if piece.has("nullValue") || piece.get("willContinue").is_none() {
            *place = Tree::Raw("null".to_owned());
        }
        Some(())
    }

    /// All of them as a JSON object.
    pub(super) fn write(&self) -> String {
        let mut out = String::new();
        match &self.0 {
            tree @ Tree::Object(_) => tree.write(&mut out),
            _ => out.push_str("{}"),
        }
        out
    }
}

impl Tree {
    /// The place one step further. Lists grow by one at a time.
    fn enter(&mut self, step: Step) -> Option<&mut Self> {
        match step {
            Step::Name(name) => {
                if matches!(self, Self::Empty) {
                    *self = Self::Object(Vec::new());
                }
                let Self::Object(members) = self else { return None };
                let at = members.iter().position(|(known, _)| *known == name).unwrap_or_else(|| {
                    members.push((name, Self::Empty));
                    members.len() - 1
                });
                members.get_mut(at).map(|(_, value)| value)
            }
            Step::Index(index) => {
                if matches!(self, Self::Empty) {
                    *self = Self::List(Vec::new());
                }
                let Self::List(items) = self else { return None };
                if index == items.len() {
                    items.push(Self::Empty);
                }
                items.get_mut(index)
            }
        }
    }

    fn write(&self, out: &mut String) {
        match self {
            Self::Empty => out.push_str("null"),
            Self::Text(text) => out.push_str(&quoted(text)),
            Self::Raw(raw) => out.push_str(raw),
            Self::Object(members) => {
                out.push('{');
                for (position, (name, value)) in members.iter().enumerate() {
                    if position > 0 {
                        out.push(',');
                    }
                    out.push_str(&quoted(name));
                    out.push(':');
                    value.write(out);
                }
                out.push('}');
            }
            Self::List(items) => {
                out.push('[');
                for (position, value) in items.iter().enumerate() {
                    if position > 0 {
                        out.push(',');
                    }
                    value.write(out);
                }
                out.push(']');
            }
        }
    }
}

/// `$.a.b[0]['c d']`, at least one step.
fn read_path(path: &str) -> Option<Vec<Step>> {
    let mut rest = path.strip_prefix('$')?;
    let mut steps = Vec::new();
    while !rest.is_empty() {
        let step;
        (step, rest) = if let Some(inner) = rest.strip_prefix('[') {
            read_bracket(inner)?
        } else {
            let name = rest.strip_prefix('.')?;
            let end = name.find(['.', '[']).unwrap_or(name.len());
            let (name, rest) = name.split_at(end);
            (Step::Name(name.to_owned()), rest)
        };
        steps.push(step);
        if steps.len() > MOST_STEPS {
            return None;
        }
    }
    (!steps.is_empty()).then_some(steps)
}

/// What is between brackets, and what is behind them.
fn read_bracket(inner: &str) -> Option<(Step, &str)> {
    let Some(quote @ ('\'' | '"')) = inner.chars().next() else {
        let (index, rest) = inner.split_once(']')?;
        return Some((Step::Index(index.parse().ok()?), rest));
    };
    let mut name = String::new();
    let mut is_escaped = false;
    for (at, sign) in inner.char_indices().skip(1) {
        match sign {
            sign if is_escaped => {
                name.push(sign);
                is_escaped = false;
            }
            '\\' => is_escaped = true,
            sign if sign == quote => {
                return Some((Step::Name(name), inner.get(at + 1..)?.strip_prefix(']')?));
            }
            sign => name.push(sign),
        }
    }
    None
}
