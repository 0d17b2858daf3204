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
        let mut rows = Vec::new();
        flatten("", value, &mut rows);
        let mut table = plain();
        table.add_rows(rows);
        say(&text_of(&table))
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
        say(&text_of(&table))
    }

    /// A list whose cells are texts.
    pub(super) fn rows(self, headings: Vec<String>, rows: Vec<Vec<String>>) -> Done {
        let mut table = plain();
        table.set_header(headings).add_rows(rows);
        say(&text_of(&table))
    }

    /// One of many that come one after the other: JSON on one line, or its cells.
    pub(super) fn line(self, item: &Value, columns: &[Column]) -> Done {
        if self.json {
            return say(&format!("{item}\n"));
        }
        let cells = columns.iter().map(|(_, field)| item.get(field).map(cell).unwrap_or_default());
        say(&format!("{}\n", cells.collect::<Vec<_>>().join("  ")))
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

/// Lines without the blanks that fill up columns on both sides.
fn text_of(table: &Table) -> String {
    let trimmed = |line: String| line.strip_prefix(' ').unwrap_or(&line).trim_end().to_owned() + "\n";
    table.lines().map(trimmed).collect()
}

/// Fields of objects within objects, with dots between their names.
fn flatten(place: &str, value: &Value, rows: &mut Vec<[String; 2]>) {
    match value {
        Value::Object(fields) if !fields.is_empty() || place.is_empty() => {
            for (name, value) in fields {
                let dot = if place.is_empty() { "" } else { "." };
                flatten(&format!("{place}{dot}{name}"), value, rows);
            }
        }
        value => rows.push([place.to_owned(), cell(value)]),
    }
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        // Some of it is a client's, and a terminal takes control characters for commands.
        Value::String(text) => text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect(),
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn objects_are_flattened_and_lists_stay_in_their_cell() {
        let mut rows = Vec::new();
        flatten(
            "",
            &json!({"a": {"b": 1, "c": {"d": "x"}}, "models": ["m", "n"], "metadata": {}, "none": null}),
            &mut rows,
        );
        let rows: Vec<_> = rows.iter().map(|[name, value]| format!("{name}={value}")).collect();
        assert_eq!(rows, ["a.b=1", "a.c.d=x", "metadata={}", "models=m, n", "none="]);
    }

    #[test]
    fn tables_have_no_blanks_at_either_side() {
        let mut table = plain();
        table.set_header(["ID", "LABEL"]);
        table.add_row(["1", "a label"]).add_row(["22", ""]);
        assert_eq!(text_of(&table), "ID  LABEL\n1   a label\n22\n");
    }
}
