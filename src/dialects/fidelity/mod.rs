//! What becomes of every request field on every wire, as a table.
//!
//! A test sends every field of the official SDKs' request types over every wire and compares what comes out with the
//! table, so that it can be believed; `docs/fidelity.md` is the table rendered. A row speaks for its path and for all below
//! it that no longer row speaks for.

mod chat;
mod messages;
mod responses;

use std::fmt::Write as _;

use crate::canonical::Wire;

/// What becomes of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It arrives under its own name with its own value.
    Kept,
    /// It arrives as what the wire calls it, or in another shape.
    Mapped,
    /// Part of it arrives; the rest is named in `x-unified-dropped`.
    Emulated,
    /// It does not arrive, and it, or what holds it, is named in `x-unified-dropped`; refused under `x-unified-strict`.
    Dropped,
    /// The request is refused with an error that names it.
    Refused,
    /// There is nothing to send: the gateway acts on it itself, or it says what holds without it, or it describes an earlier
    /// answer.
    Needless,
}

impl Fate {
    /// Its word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::Mapped => "mapped",
            Self::Emulated => "emulated",
            Self::Dropped => "dropped",
            Self::Refused => "refused",
            Self::Needless => "–",
        }
    }
}

/// The path of a field, and its fate on each wire in the order of [`Wire::ALL`].
pub type Row = (&'static str, [Fate; Wire::ALL.len()]);

/// The rows of a contract; none for a wire that is no contract.
#[must_use]
pub const fn rows(contract: Wire) -> &'static [Row] {
    match contract {
        Wire::Chat => chat::ROWS,
        Wire::Responses => responses::ROWS,
        Wire::Messages => messages::ROWS,
        Wire::GenerateContent => &[],
    }
}

/// The fates of a field: those of the longest row that is the path or leads to it.
#[must_use]
pub fn find(rows: &[Row], path: &str) -> Option<[Fate; Wire::ALL.len()]> {
    let leads =
        |row: &&Row| path.strip_prefix(row.0).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']));
    rows.iter().filter(leads).max_by_key(|row| row.0.len()).map(|row| row.1)
}

const INTRODUCTION: &str = "# Fidelity

What becomes of each request field of the three contracts on each wire a provider may speak. A test sends every field that
the request types of the official SDKs declare, and compares; the page is made from the table in `src/dialects/fidelity/`.

| word | meaning |
|---|---|
| kept | arrives under its own name with its own value |
| mapped | arrives as what the wire calls it, or in another shape |
| emulated | part of it arrives; the rest is named in `x-unified-dropped` |
| dropped | does not arrive, and it, or what holds it, is named in `x-unified-dropped`; refused with `x-unified-strict: true` |
| refused | the request is refused with an error that names it |
| – | nothing to send: the gateway acts on it itself, or it says what holds without it, or it describes an earlier answer |

`name[word]` is an element or object of that `type` or `role`. A row speaks for its path and for all below it that no longer
row speaks for. The wires are spoken to models that reason and to hosts without peculiarities; a host that lacks more has
the fields it lacks named in `x-unified-dropped` all the same.
";

/// The table as a page of Markdown.
#[must_use]
pub fn render() -> String {
    let mut page = INTRODUCTION.to_owned();
    for contract in Wire::ALL {
        let rows = rows(contract);
        if rows.is_empty() {
            continue;
        }
        // Writing to a string cannot fail.
        _ = write!(page, "\n## {}\n\n| field |", contract.as_str());
        Wire::ALL.iter().for_each(|wire| page.push_str(&format!(" {} |", wire.as_str())));
        page.push_str("\n|---|");
        page.push_str(&"---|".repeat(Wire::ALL.len()));
        for (path, fates) in rows {
            _ = write!(page, "\n| `{path}` |");
            fates.iter().for_each(|fate| page.push_str(&format!(" {} |", fate.as_str())));
        }
        page.push('\n');
    }
    page
}
