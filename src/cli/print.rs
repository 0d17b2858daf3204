//! Answers for people (tables) and for programs (JSON).

use std::io::Write as _;

use comfy_table::Table;
use comfy_table::presets::NOTHING;
use serde_json::Value;

use super::{Done, Failure};

/// How answers are printed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Output {
    /// As JSON.
    pub(super) json: bool,
}

/// A column: its heading, and the field it shows.
pub(super) type Column = (&'static str, &'static str);

impl Output {
    /// One resource: its fields, one a line.
    pub(super) fn one(self, value: &Value) -> Done {
        if self.json {
            return json(value);
        }
        let mut table = plain();
        for (name, value) in value.as_object().into_iter().flatten() {
            table.add_row([name.clone(), cell(value)]);
        }
        say(&format!("{table}\n"))
    }

    /// A list.
    pub(super) fn list(self, items: &[Value], columns: &[Column]) -> Done {
        if self.json {
            return json(&Value::from(items.to_vec()));
        }
        let mut table = plain();
        table.set_header(columns.iter().map(|(heading, _)| *heading));
        for item in items {
            table.add_row(columns.iter().map(|(_, field)| item.get(field).map(cell).unwrap_or_default()));
        }
        say(&format!("{table}\n"))
    }

    /// A sentence, where JSON was not asked for.
    pub(super) fn note(self, sentence: &str) -> Done {
        if self.json { Ok(()) } else { say(&format!("{sentence}\n")) }
    }
}

fn plain() -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING);
    table
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items) if items.iter().all(Value::is_string) => {
            items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
        }
        other => other.to_string(),
    }
}

/// Prints JSON.
pub(super) fn json(value: &Value) -> Done {
    let text = serde_json::to_string_pretty(value).map_err(|error| Failure(error.to_string()))?;
    say(&format!("{text}\n"))
}

/// Prints text.
pub(super) fn say(text: &str) -> Done {
    let mut out = std::io::stdout();
    // A closed pipe: whoever read has what they wanted.
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(Failure(format!("cannot print: {error}"))),
        Ok(()) | Err(_) => Ok(()),
    }
}
