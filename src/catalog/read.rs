//! Data lines into known models. Every problem is named with its file and line; a line with a problem gives no model.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};

use super::data::DataFile;
use super::index::KnownModel;
use crate::domain::capability::{
    EmbeddingDimensions, ModelProfile, OperationProfile, Reasoning, ReasoningKind, ReasoningLevel,
};
use crate::domain::money::{MoneyError, NanoCents};
use crate::domain::operation::{Operation, Transport};
use crate::domain::price::{PriceTier, Pricing};
use crate::domain::terms::Factor;

/// Wire words that the data may use although no preset speaks them yet: they are facts about the model.
const UNSPOKEN: [&str; 9] = [
    "cohere_chat",
    "converse",
    "interactions",
    "invoke_model",
    "predict_long_running",
    "rank",
    "speech_recognize",
    "t2a_v2",
    "video_generation",
];

/// What a file holds and what is wrong with it.
#[derive(Debug, Default)]
pub(super) struct Reading {
    /// Models of the lines that are right, by id.
    pub(super) models: Vec<KnownModel>,
    /// `<key>:<line>: …`, in the order of the file.
    pub(super) problems: Vec<String>,
}

/// Reads one file.
pub(super) fn read(file: &DataFile) -> Reading {
    let mut reading = Reading::default();
    for (line, text) in file.text.lines().enumerate() {
        let mut problems = Problems::default();
        let model = match serde_json::from_str::<ModelLine>(text) {
            Ok(line) => Some(model(line, &mut problems)),
            Err(error) => {
                problems.add(error.to_string());
                None
            }
        };
        if let (Some(model), Some(last)) = (&model, reading.models.last())
            && model.id <= last.id
        {
            problems.add(format!("`{}` must sort after `{}`, each id once", model.id, last.id));
        }
        if problems.0.is_empty() {
            reading.models.extend(model);
        }
        reading.problems.extend(problems.0.into_iter().map(|problem| format!("{}:{}: {problem}", file.key, line + 1)));
    }
    if reading.models.is_empty() && reading.problems.is_empty() {
        reading.problems.push(format!("{}: has no models", file.key));
    }
    reading
}

/// Dollars in decimal text, exactly. At most eleven decimal places.
pub(super) fn dollars(text: &str) -> Result<NanoCents, MoneyError> {
    if !text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return Err(if text.starts_with('-') { MoneyError::Negative } else { MoneyError::NotDecimal });
    }
    // A dollar is a hundred cents: the decimal point moves, no digit changes.
    NanoCents::parse_cents(&format!("{text}e2"))
}

#[derive(Default)]
struct Problems(Vec<String>);

impl Problems {
    fn add(&mut self, problem: String) {
        self.0.push(problem);
    }

    fn price(&mut self, name: &str, text: &str) -> Option<NanoCents> {
        match dollars(text) {
            Ok(price) => Some(price),
            Err(error) => {
                self.add(format!("price `{name}` {error}: {text:?}"));
                None
            }
        }
    }

    fn maybe_price(&mut self, name: &str, text: Option<&String>) -> Option<NanoCents> {
        text.and_then(|text| self.price(name, text))
    }

    fn word<T>(&mut self, what: &str, word: &str, meaning: Option<T>) -> Option<T> {
        if meaning.is_none() {
            self.add(format!("`{word}` is not a known {what}"));
        }
        meaning
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ModelLine {
    id: String,
    operations: Pairs<OperationLine>,
    #[serde(default)]
    price: PriceLine,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OperationLine {
    wire: Vec<String>,
    #[serde(default)]
    can: Vec<String>,
    reasoning: Option<ReasoningLine>,
    max_input: Option<u64>,
    max_output: Option<u64>,
    dimensions: Option<DimensionsLine>,
    #[serde(default)]
    parameters: Vec<String>,
    #[serde(default)]
    values: BTreeMap<String, Vec<String>>,
    most_results: Option<u32>,
    most_inputs: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReasoningLine {
    kind: String,
    levels: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DimensionsLine {
    default: u32,
    min: Option<u32>,
    max: Option<u32>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct PriceLine {
    input: Option<String>,
    output: Option<String>,
    cache_read: Option<String>,
    cache_write: Option<String>,
    cache_write_1h: Option<String>,
    tiers: Vec<TierLine>,
    units: Pairs<String>,
    factors: Pairs<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TierLine {
    above: u64,
    input: Option<String>,
    output: Option<String>,
    cache_read: Option<String>,
    cache_write: Option<String>,
}

fn model(line: ModelLine, problems: &mut Problems) -> KnownModel {
    if line.id.is_empty() || line.id.trim() != line.id {
        problems.add(format!("the id {:?} is empty or has spaces around it", line.id));
    }
    if line.operations.0.is_empty() {
        problems.add("has no operations".to_owned());
    }
    let mut profile = ModelProfile { pricing: pricing(line.price, problems), ..ModelProfile::default() };
    let mut transports = BTreeMap::new();
    for (word, operation_line) in line.operations.0 {
        let Some(operation) = problems.word("operation", &word, word.parse::<Operation>().ok()) else {
            continue;
        };
        let wires = wires(&operation_line.wire, problems);
        let read = operation_profile(operation_line, problems);
        transports.insert(operation, wires);
        if profile.operations.insert(operation, read).is_some() {
            problems.add(format!("operation `{word}` is stated twice"));
        }
    }
    KnownModel { id: line.id, profile, transports }
}

fn wires(words: &[String], problems: &mut Problems) -> Vec<Transport> {
    if words.is_empty() {
        problems.add("`wire` is empty".to_owned());
    }
    let mut spoken = Vec::with_capacity(words.len());
    for (at, word) in words.iter().enumerate() {
        if words[..at].contains(word) {
            problems.add(format!("wire `{word}` is stated twice"));
        }
        if !UNSPOKEN.contains(&word.as_str()) {
            spoken.extend(problems.word("wire", word, word.parse::<Transport>().ok()));
        }
    }
    spoken
}

fn operation_profile(line: OperationLine, problems: &mut Problems) -> OperationProfile {
    let mut profile = OperationProfile {
        reasoning: line.reasoning.and_then(|line| reasoning(&line, problems)),
        max_input_tokens: line.max_input,
        max_output_tokens: line.max_output,
        parameters: line.parameters,
        values: line.values,
        most_results: line.most_results,
        most_inputs: line.most_inputs,
        dimensions: line.dimensions.map(|d| EmbeddingDimensions { default: d.default, min: d.min, max: d.max }),
        ..OperationProfile::default()
    };
    for word in &line.can {
        let flag = match word.as_str() {
            "tools" => Some(&mut profile.tools),
            "vision" => Some(&mut profile.vision),
            "audio_input" => Some(&mut profile.audio_input),
            "pdf_input" => Some(&mut profile.pdf_input),
            "structured_outputs" => Some(&mut profile.structured_outputs),
            _ => None,
        };
        if let Some(flag) = problems.word("capability", word, flag)
            && std::mem::replace(flag, true)
        {
            problems.add(format!("capability `{word}` is stated twice"));
        }
    }
    profile
}

fn reasoning(line: &ReasoningLine, problems: &mut Problems) -> Option<Reasoning> {
    let kind = problems.word("reasoning kind", &line.kind, ReasoningKind::parse(&line.kind));
    let levels = line
        .levels
        .iter()
        .filter_map(|word| problems.word("reasoning level", word, ReasoningLevel::parse(word)))
        .collect();
    kind.map(|kind| Reasoning { kind, levels })
}

fn pricing(line: PriceLine, problems: &mut Problems) -> Pricing {
    let tiers = line.tiers.into_iter().map(|tier| PriceTier {
        above_input_tokens: tier.above,
        input: problems.maybe_price("tiers.input", tier.input.as_ref()),
        output: problems.maybe_price("tiers.output", tier.output.as_ref()),
        cache_read: problems.maybe_price("tiers.cache_read", tier.cache_read.as_ref()),
        cache_write: problems.maybe_price("tiers.cache_write", tier.cache_write.as_ref()),
    });
    let tiers = tiers.collect();
    let units =
        line.units.0.into_iter().filter_map(|(unit, text)| problems.price(&unit, &text).map(|price| (unit, price)));
    let units = units.collect();
    let factors =
        line.factors.0.into_iter().filter_map(|(name, text)| {
            problems.word("factor", &text, Factor::parse(&text)).map(|factor| (name, factor))
        });
    let factors = factors.collect();
    Pricing {
        input: problems.maybe_price("input", line.input.as_ref()),
        output: problems.maybe_price("output", line.output.as_ref()),
        cache_read: problems.maybe_price("cache_read", line.cache_read.as_ref()),
        cache_write: problems.maybe_price("cache_write", line.cache_write.as_ref()),
        cache_write_1h: problems.maybe_price("cache_write_1h", line.cache_write_1h.as_ref()),
        tiers,
        units,
        factors,
    }
}

/// A JSON object in its own order, repeated keys included, so that they can be reported.
struct Pairs<T>(Vec<(String, T)>);

impl<T> Default for Pairs<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Pairs<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(PairsVisitor(PhantomData))
    }
}

struct PairsVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for PairsVisitor<T> {
    type Value = Pairs<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs<T>, A::Error> {
        let mut pairs = Vec::new();
        while let Some(pair) = map.next_entry()? {
            pairs.push(pair);
        }
        Ok(Pairs(pairs))
    }
}
