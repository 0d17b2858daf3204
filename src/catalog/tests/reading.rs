//! The data files and the checks on them.

use std::collections::BTreeSet;

use super::{catalog, presets};
use crate::catalog::data::{DataFile, FILES};
use crate::catalog::read::{dollars, read};
use crate::catalog::{Catalog, validate};
use crate::domain::capability::{OperationProfile, ReasoningKind};
use crate::domain::money::{MoneyError, NanoCents};

#[test]
fn every_data_file_is_sound() {
    for file in FILES {
        assert_eq!(read(file).problems, Vec::<String>::new());
    }
    assert_eq!(catalog().validate(), Vec::<String>::new());
}

#[test]
fn every_data_file_in_the_folder_is_part_of_the_binary() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/catalog/data");
    let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let embedded: BTreeSet<String> = FILES.iter().map(|file| format!("{}.jsonl", file.key)).collect();
    assert_eq!(names.collect::<BTreeSet<_>>(), embedded);
}

#[test]
fn dollars_become_nano_cents_exactly_or_not_at_all() {
    let cases = [
        ("0.075", Ok(7_500_000_000)),
        ("2.5", Ok(250_000_000_000)),
        ("0", Ok(0)),
        ("0.00000000001", Ok(1)),
        ("0.1", Ok(10_000_000_000)),
        ("92233720.36854775807", Ok(i64::MAX)),
        ("92233720.36854775808", Err(MoneyError::TooLarge)),
        ("0.000000000001", Err(MoneyError::TooPrecise)),
        ("-1", Err(MoneyError::Negative)),
        ("1e3", Err(MoneyError::NotDecimal)),
        ("1 ", Err(MoneyError::NotDecimal)),
        ("", Err(MoneyError::NotDecimal)),
        (".5", Err(MoneyError::NotDecimal)),
        ("1.", Err(MoneyError::NotDecimal)),
        ("free", Err(MoneyError::NotDecimal)),
    ];
    for (text, expected) in cases {
        assert_eq!(dollars(text), expected.map(NanoCents), "{text:?}");
    }
}

const WIRE: &str = r#""wire":["responses"]"#;

fn problems_of(text: String) -> Vec<String> {
    // A data file is part of the binary; a test's file lives as long as the test binary, too.
    let file = DataFile { key: "x", text: text.leak() };
    let reading = read(&file);
    let mut problems = reading.problems;
    problems.extend(reading.models.iter().flat_map(|model| validate::model("x", model)));
    problems
}

fn problems_of_text(facts: &str) -> Vec<String> {
    problems_of(format!(r#"{{"id":"m","operations":{{"text.generate":{{{facts}}}}}}}"#))
}

#[test]
fn a_mistake_in_a_line_is_named() {
    let price = |price: &str| {
        problems_of(format!(r#"{{"id":"m","operations":{{"text.generate":{{{WIRE}}}}},"price":{{{price}}}}}"#))
    };
    let cases = [
        (problems_of_text(r#""wire":["telegraph"]"#), "x:1: `telegraph` is not a known wire"),
        (problems_of_text(r#""wire":[]"#), "x:1: `wire` is empty"),
        (problems_of_text(r#""wire":["converse","converse"]"#), "x:1: wire `converse` is stated twice"),
        (problems_of_text(&format!(r#"{WIRE},"can":["fly"]"#)), "x:1: `fly` is not a known capability"),
        (problems_of_text(&format!(r#"{WIRE},"can":["tools","tools"]"#)), "x:1: capability `tools` is stated twice"),
        (
            problems_of_text(&format!(r#"{WIRE},"reasoning":{{"kind":"deep","levels":[]}}"#)),
            "x:1: `deep` is not a known reasoning kind",
        ),
        (
            problems_of_text(&format!(r#"{WIRE},"reasoning":{{"kind":"fixed","levels":["ultra"]}}"#)),
            "x:1: `ultra` is not a known reasoning level",
        ),
        (
            problems_of_text(&format!(r#"{WIRE},"reasoning":{{"kind":"openai_effort","levels":[]}}"#)),
            "x: m: text.generate: `openai_effort` needs levels",
        ),
        (
            problems_of_text(&format!(r#"{WIRE},"reasoning":{{"kind":"fixed","levels":["low","low"]}}"#)),
            "x: m: text.generate: reasoning levels must ascend, each once",
        ),
        (
            problems_of_text(&format!(r#"{WIRE},"max_output":0"#)),
            "x: m: text.generate: `max_output` must be between 1 and 100000000",
        ),
        (
            problems_of_text(&format!(r#"{WIRE},"dimensions":{{"default":8}}"#)),
            "x: m: text.generate: only embeddings have dimensions",
        ),
        (price(r#""input":"1,5""#), "x:1: price `input` is not a decimal number: \"1,5\""),
        (price(r#""input":"10001""#), "x: m: price: `input` is not a price per million tokens"),
        (price(r#""units":{"per_furlong":"1"}"#), "x: m: price: `per_furlong` is not a known unit"),
        (price(r#""units":{"per_image":"1","per_image":"2"}"#), "x: m: price: unit `per_image` is stated twice"),
        (
            price(r#""tiers":[{"above":9,"input":"1"},{"above":9,"input":"2"}]"#),
            "x: m: price: tiers must ascend, each threshold once",
        ),
        (price(r#""tiers":[{"above":9}]"#), "x: m: price: a tier must have an input or an output price"),
        (problems_of(r#"{"id":"m","operations":{}}"#.to_owned()), "x:1: has no operations"),
        (
            problems_of(format!(r#"{{"id":"m","operations":{{"text.dream":{{{WIRE}}}}}}}"#)),
            "x:1: `text.dream` is not a known operation",
        ),
        (
            problems_of(format!(r#"{{"id":"m","operations":{{"rerank":{{{WIRE}}},"rerank":{{{WIRE}}}}}}}"#)),
            "x:1: operation `rerank` is stated twice",
        ),
        (
            problems_of(format!(r#"{{"id":" m","operations":{{"rerank":{{{WIRE}}}}}}}"#)),
            "x:1: the id \" m\" is empty or has spaces around it",
        ),
        (problems_of(String::new()), "x: has no models"),
    ];
    for (problems, expected) in cases {
        assert_eq!(problems, [expected]);
    }
}

#[test]
fn a_repeated_id_and_an_unknown_field_are_named_with_their_line() {
    let line = r#"{"id":"m","operations":{"rerank":{"wire":["rerank"]}}}"#;
    let problems = problems_of(format!("{line}\n{line}\n{}", line.replace("wire", "wired")));
    assert_eq!(problems.len(), 2);
    assert_eq!(problems[0], "x:2: `m` must sort after `m`, each id once");
    assert!(problems[1].starts_with("x:3: unknown field `wired`"), "{}", problems[1]);
}

#[test]
fn presets_that_make_no_sense_are_reported() {
    let mut presets = presets();
    presets[0].title = "";
    presets[1].transports.clear();
    for wires in presets[2].transports.values_mut() {
        wires.clear();
    }
    for wires in presets[3].transports.values_mut() {
        wires.push(wires[0]);
    }
    assert_eq!(
        Catalog::load(presets).unwrap().validate(),
        [
            "preset openai: needs a name, an adapter and a title",
            "preset anthropic: serves no operation",
            "preset groq: speaks no wire for `text.generate`",
            "preset openai-eu: has a wire for `text.generate` twice",
        ]
    );
}

#[test]
fn a_profile_stored_before_dimensions_were_known_still_reads() {
    let stored = r#"{"tools":true,"reasoning":{"kind":"fixed","levels":["high"]},"max_input_tokens":7}"#;
    let profile: OperationProfile = serde_json::from_str(stored).unwrap();
    assert!(profile.tools && profile.dimensions.is_none());
    assert_eq!(profile.max_input_tokens, Some(7));
    assert_eq!(profile.reasoning.map(|reasoning| reasoning.kind), Some(ReasoningKind::Fixed));
    let profile: OperationProfile = serde_json::from_str(r#"{"dimensions":{"default":1024}}"#).unwrap();
    assert_eq!(profile.dimensions.map(|d| (d.default, d.min, d.max)), Some((1024, None, None)));
}
