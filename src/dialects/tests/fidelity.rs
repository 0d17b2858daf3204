//! Every field of the official SDKs' request types over every wire, compared with the table. `UPDATE_FIXTURES=1` writes the
//! table anew, and run once more its page, for review; `integration-tests/e2e/request_fields.py` writes the requests.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use serde_json::Value;

use super::requests::addressee;
use crate::canonical::Wire;
use crate::dialects::fidelity::{Fate, find, render, rows};
use crate::dialects::{scan, transport};

const CONTRACTS: [(Wire, &str); 3] =
    [(Wire::Chat, "chat"), (Wire::Responses, "responses"), (Wire::Messages, "messages")];

type Fates = [Fate; Wire::ALL.len()];

/// What a request becomes on a wire: its body and what is named as left out; nothing when it is refused.
fn written(contract: Wire, body: &Value, wire: Wire) -> Option<(Value, Vec<String>)> {
    let asked = scan(contract, Bytes::from(body.to_string())).ok()?;
    let written = if contract == wire {
        asked.for_upstream(&addressee(wire)).ok()?
    } else {
        transport(wire).write_request(&asked.read().ok()?, &addressee(wire)).ok()?
    };
    let body = serde_json::from_slice(&written.body.concat()).unwrap();
    Some((body, written.dropped.iter().map(ToString::to_string).collect()))
}

/// How often a member of this name and value occurs.
fn count(value: &Value, name: &str, wanted: &Value) -> usize {
    match value {
        Value::Object(members) => {
            let own = usize::from(members.get(name) == Some(wanted));
            own + members.values().map(|inner| count(inner, name, wanted)).sum::<usize>()
        }
        Value::Array(items) => items.iter().map(|inner| count(inner, name, wanted)).sum(),
        _ => 0,
    }
}

/// Values of members of this name, wherever they are.
fn collect<'a>(value: &'a Value, name: &str, found: &mut Vec<&'a Value>) {
    match value {
        Value::Object(members) => {
            found.extend(members.get(name));
            members.values().for_each(|inner| collect(inner, name, found));
        }
        Value::Array(items) => items.iter().for_each(|inner| collect(inner, name, found)),
        _ => {}
    }
}

fn fate(contract: Wire, case: &Value, wire: Wire) -> Fate {
    let Some((with, lost)) = written(contract, &case["with"], wire) else { return Fate::Refused };
    let (without, lost_without) = written(contract, &case["without"], wire).unwrap_or_default();
    let names_more = lost.iter().any(|name| !lost_without.contains(name));
    match (with == without, names_more) {
        (false, true) => Fate::Emulated,
        (true, true) => Fate::Dropped,
        // What holds it is named already.
        (true, false) if !lost.is_empty() => Fate::Dropped,
        (true, false) => Fate::Needless,
        (false, false) => {
            let path = case["path"].as_str().unwrap();
            let leaf = path.rsplit('.').next().unwrap().split('[').next().unwrap();
            let mut values = Vec::new();
            collect(&case["with"], leaf, &mut values);
            let arrives = |value: &&Value| count(&with, leaf, value) > count(&without, leaf, value);
            if values.iter().any(arrives) { Fate::Kept } else { Fate::Mapped }
        }
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

/// Every field of a contract and what becomes of it.
fn observed(contract: Wire, name: &str) -> Vec<(String, Fates)> {
    let text = std::fs::read_to_string(root().join(format!("integration-tests/fixtures/fields/{name}.jsonl"))).unwrap();
    let observe = |line: &str| {
        let case: Value = serde_json::from_str(line).unwrap();
        (case["path"].as_str().unwrap().to_owned(), Wire::ALL.map(|wire| fate(contract, &case, wire)))
    };
    text.lines().map(observe).collect()
}

#[expect(clippy::disallowed_methods, reason = "a switch for people, not a setting")]
fn wants_update() -> bool {
    std::env::var_os("UPDATE_FIXTURES").is_some()
}

/// The fewest rows that say it: one where the row above it says something else.
fn write_table(contract: Wire, name: &str) {
    let mut rows: Vec<(&'static str, Fates)> = Vec::new();
    let fields = observed(contract, name);
    for (path, fates) in &fields {
        if find(&rows, path) != Some(*fates) {
            rows.push((path.clone().leak(), *fates));
        }
    }
    let letter = |fate: &Fate| if *fate == Fate::Needless { "N".to_owned() } else { fate.as_str()[..1].to_uppercase() };
    let used: BTreeSet<String> =
        rows.iter().flat_map(|(_, fates)| fates).map(|fate| format!("{fate:?} as {}", letter(fate))).collect();
    let used = used.into_iter().collect::<Vec<_>>().join(", ");
    let title = contract.as_str();
    let mut code = format!("//! Fields of {title}.\n\nuse super::Fate::{{{used}}};\nuse super::Row;\n\n");
    code.push_str("#[rustfmt::skip]\npub(super) const ROWS: &[Row] = &[\n");
    for (path, fates) in rows {
        writeln!(code, "    ({path:?}, [{}]),", fates.each_ref().map(letter).join(", ")).unwrap();
    }
    code.push_str("];\n");
    std::fs::write(root().join(format!("src/dialects/fidelity/{name}.rs")), code).unwrap();
}

#[test]
fn every_field_of_the_official_types_meets_the_fate_that_the_table_says() {
    let mut wrong = String::new();
    let mut seen = 0;
    for (contract, name) in CONTRACTS {
        if wants_update() {
            write_table(contract, name);
            continue;
        }
        for (path, fates) in observed(contract, name) {
            let says = find(rows(contract), &path);
            if says != Some(fates) {
                writeln!(wrong, "{name} {path}: the table says {says:?}, it is {fates:?}").unwrap();
            }
            seen += fates.len();
        }
    }
    assert!(wrong.is_empty(), "{wrong}UPDATE_FIXTURES=1 writes the table anew");
    println!("{seen} fields x wires are as the table says");
}

#[test]
fn the_page_is_the_table() {
    let path = root().join("docs/fidelity.md");
    if wants_update() {
        std::fs::write(&path, render()).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap(), render(), "UPDATE_FIXTURES=1 writes the page anew");
}

#[test]
fn a_longer_row_speaks_before_a_shorter_one() {
    let all = |fate| [fate; Wire::ALL.len()];
    let rows = [("a", all(Fate::Kept)), ("a.b", all(Fate::Dropped)), ("a.b[c].d", all(Fate::Mapped))];
    let fate = |path| find(&rows, path).map(|fates| fates[0]);
    assert_eq!(fate("a"), Some(Fate::Kept));
    assert_eq!(fate("a.bc"), Some(Fate::Kept));
    assert_eq!(fate("a.b[c]"), Some(Fate::Dropped));
    assert_eq!(fate("a.b[c].d.e"), Some(Fate::Mapped));
    assert_eq!(fate("b"), None);
}
