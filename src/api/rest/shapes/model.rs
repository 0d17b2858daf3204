//! Model profiles and prices.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Cents, given};
use crate::api::problems::{Problems, one_of};
use crate::api::rest::body::{Field, Object};
use crate::domain::capability::{
    EmbeddingDimensions, ModelProfile, OperationProfile, Reasoning, ReasoningKind, ReasoningLevel,
};
use crate::domain::operation::Operation;
use crate::domain::price::{PriceTier, Pricing};

/// A profile, as answered.
#[derive(Debug, Serialize)]
pub(crate) struct ProfileShape {
    operations: BTreeMap<&'static str, OperationShape>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pricing: Option<PricingShape>,
}

/// One operation's profile, as answered.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OperationShape {
    capabilities: Capabilities,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_input_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_output_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    parameters: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning: Option<ReasoningShape>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dimensions: Option<DimensionsShape>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    values: BTreeMap<String, Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    most_results: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    most_inputs: Option<u32>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Capabilities {
    tools: bool,
    vision: bool,
    reasoning: bool,
    structured_outputs: bool,
    audio_input: bool,
    pdf_input: bool,
}

#[derive(Debug, Serialize)]
struct ReasoningShape {
    kind: &'static str,
    levels: Vec<&'static str>,
}

#[derive(Debug, Serialize)]
struct DimensionsShape {
    default: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    min: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max: Option<u32>,
}

/// Prices, as answered: cents per million tokens.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PricingShape {
    #[serde(flatten)]
    rates: Rates,
    #[serde(rename = "cacheWrite1hCentsPerMTokens", skip_serializing_if = "Option::is_none")]
    cache_write_1h: Option<Cents>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tiers: Vec<TierShape>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    units: BTreeMap<String, Cents>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct TierShape {
    above_input_tokens: u64,
    #[serde(flatten)]
    rates: Rates,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Rates {
    #[serde(skip_serializing_if = "Option::is_none")]
    input_cents_per_m_tokens: Option<Cents>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_cents_per_m_tokens: Option<Cents>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_read_cents_per_m_tokens: Option<Cents>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_write_cents_per_m_tokens: Option<Cents>,
}

/// Reads a profile.
pub(crate) fn read_profile(object: &mut Object<'_>, problems: &mut Problems) -> ModelProfile {
    let operations = given(object.object("operations", problems, read_operations)).unwrap_or_default();
    let pricing = given(object.object("pricing", problems, read_pricing)).unwrap_or_default();
    ModelProfile { operations, pricing }
}

fn read_operations(object: &mut Object<'_>, problems: &mut Problems) -> BTreeMap<Operation, OperationProfile> {
    let mut operations = BTreeMap::new();
    for (word, field) in object.rest() {
        let Ok(operation) = word.parse::<Operation>() else {
            problems.add(field.path, one_of(Operation::ALL.map(Operation::as_str)));
            continue;
        };
        if let Some(profile) = field.read_object(problems, read_operation) {
            operations.insert(operation, profile);
        }
    }
    operations
}

fn read_operation(object: &mut Object<'_>, problems: &mut Problems) -> OperationProfile {
    let mut profile = OperationProfile::default();
    let reasons = given(object.object("capabilities", problems, |flags, problems| {
        let mut flag = |name| given(flags.boolean(name, problems));
        profile.tools = flag("tools").unwrap_or_default();
        profile.vision = flag("vision").unwrap_or_default();
        profile.structured_outputs = flag("structuredOutputs").unwrap_or_default();
        profile.audio_input = flag("audioInput").unwrap_or_default();
        profile.pdf_input = flag("pdfInput").unwrap_or_default();
        flag("reasoning")
    }))
    .flatten();
    profile.max_input_tokens = given(object.read("maxInputTokens", problems, Field::large));
    profile.max_output_tokens = given(object.read("maxOutputTokens", problems, Field::large));
    profile.parameters = given(object.read("parameters", problems, read_words)).unwrap_or_default();
    let reasoning_field = object.take("reasoning");
    profile.reasoning = match (given(reasoning_field), reasons) {
        (Some(field), Some(false)) => {
            problems.add(field.path, "states how the model reasons while `capabilities.reasoning` is false");
            None
        }
        (Some(field), Some(true) | None) => field.read_object(problems, read_reasoning).flatten(),
        // It reasons, and nothing is said of how to steer it.
        (None, Some(true)) => Some(Reasoning { kind: ReasoningKind::Fixed, levels: Vec::new() }),
        (None, Some(false) | None) => None,
    };
    profile.dimensions = match given(object.take("dimensions")) {
        Some(field) => read_dimensions(&field, problems),
        None => None,
    };
    profile.values = given(object.object("values", problems, |values, problems| {
        let read = |(name, field): (String, Field<'_>)| {
            let known = problems.keep(&field.path, read_words(&field))?;
            Some((name, known))
        };
        values.rest().into_iter().filter_map(read).collect()
    }))
    .unwrap_or_default();
    profile.most_results = given(object.whole("mostResults", problems));
    profile.most_inputs = given(object.whole("mostInputs", problems));
    profile
}

fn read_words(field: &Field<'_>) -> Result<Vec<String>, String> {
    field.list()?.iter().map(Field::text).collect()
}

fn read_reasoning(object: &mut Object<'_>, problems: &mut Problems) -> Option<Reasoning> {
    let kinds = one_of(ReasoningKind::ALL.map(ReasoningKind::as_str));
    let rungs = one_of(ReasoningLevel::ALL.map(ReasoningLevel::as_str));
    let kind = given(object.read("kind", problems, |field| field.word(ReasoningKind::parse, &kinds)));
    let levels = given(object.read("levels", problems, |field| {
        field.list()?.iter().map(|item| item.word(ReasoningLevel::parse, &rungs)).collect::<Result<Vec<_>, _>>()
    }));
    let mut levels = levels.unwrap_or_default();
    levels.sort_unstable();
    match kind {
        Some(kind) => Some(Reasoning { kind, levels }),
        None => {
            problems.add_missing(object.path_of("kind"));
            None
        }
    }
}

fn read_dimensions(field: &Field<'_>, problems: &mut Problems) -> Option<EmbeddingDimensions> {
    if let Ok(default) = field.whole() {
        return Some(EmbeddingDimensions { default, min: None, max: None });
    }
    field
        .read_object(problems, |object, problems| {
            let default = given(object.whole("default", problems));
            let min = given(object.whole("min", problems));
            let max = given(object.whole("max", problems));
            if default.is_none() {
                problems.add_missing(object.path_of("default"));
            }
            default.map(|default| EmbeddingDimensions { default, min, max })
        })
        .flatten()
}

/// Reads prices.
pub(crate) fn read_pricing(object: &mut Object<'_>, problems: &mut Problems) -> Pricing {
    let tiers = given(object.read("tiers", problems, Field::list)).unwrap_or_default();
    let units = given(object.object("units", problems, |units, problems| {
        let read = |(unit, field): (String, Field<'_>)| {
            let price = problems.keep(&field.path, field.cents())?;
            Some((unit, price))
        };
        units.rest().into_iter().filter_map(read).collect()
    }));
    Pricing {
        input: given(object.cents("inputCentsPerMTokens", problems)),
        output: given(object.cents("outputCentsPerMTokens", problems)),
        cache_read: given(object.cents("cacheReadCentsPerMTokens", problems)),
        cache_write: given(object.cents("cacheWriteCentsPerMTokens", problems)),
        cache_write_1h: given(object.cents("cacheWrite1hCentsPerMTokens", problems)),
        tiers: tiers.iter().filter_map(|tier| tier.read_object(problems, read_tier)).collect(),
        units: units.unwrap_or_default(),
        ..Pricing::default()
    }
}

fn read_tier(object: &mut Object<'_>, problems: &mut Problems) -> PriceTier {
    let above = given(object.read("aboveInputTokens", problems, Field::large));
    if above.is_none() {
        problems.add_missing(object.path_of("aboveInputTokens"));
    }
    PriceTier {
        above_input_tokens: above.unwrap_or_default(),
        input: given(object.cents("inputCentsPerMTokens", problems)),
        output: given(object.cents("outputCentsPerMTokens", problems)),
        cache_read: given(object.cents("cacheReadCentsPerMTokens", problems)),
        cache_write: given(object.cents("cacheWriteCentsPerMTokens", problems)),
    }
}

/// A profile, to be answered.
pub(crate) fn profile_shape(profile: &ModelProfile) -> ProfileShape {
    ProfileShape {
        operations: profile
            .operations
            .iter()
            .map(|(operation, profile)| (operation.as_str(), operation_shape(profile)))
            .collect(),
        pricing: (!profile.pricing.is_empty()).then(|| pricing_shape(&profile.pricing)),
    }
}

/// One operation's profile, to be answered.
pub(crate) fn operation_shape(profile: &OperationProfile) -> OperationShape {
    OperationShape {
        capabilities: Capabilities {
            tools: profile.tools,
            vision: profile.vision,
            reasoning: profile.reasoning.is_some(),
            structured_outputs: profile.structured_outputs,
            audio_input: profile.audio_input,
            pdf_input: profile.pdf_input,
        },
        max_input_tokens: profile.max_input_tokens,
        max_output_tokens: profile.max_output_tokens,
        parameters: profile.parameters.clone(),
        reasoning: profile.reasoning.as_ref().map(|reasoning| ReasoningShape {
            kind: reasoning.kind.as_str(),
            levels: reasoning.levels.iter().map(|level| level.as_str()).collect(),
        }),
        dimensions: profile.dimensions.map(|sizes| DimensionsShape {
            default: sizes.default,
            min: sizes.min,
            max: sizes.max,
        }),
        values: profile.values.clone(),
        most_results: profile.most_results,
        most_inputs: profile.most_inputs,
    }
}

/// Prices, to be answered.
pub(crate) fn pricing_shape(pricing: &Pricing) -> PricingShape {
    PricingShape {
        rates: Rates {
            input_cents_per_m_tokens: pricing.input.map(Cents),
            output_cents_per_m_tokens: pricing.output.map(Cents),
            cache_read_cents_per_m_tokens: pricing.cache_read.map(Cents),
            cache_write_cents_per_m_tokens: pricing.cache_write.map(Cents),
        },
        cache_write_1h: pricing.cache_write_1h.map(Cents),
        tiers: pricing
            .tiers
            .iter()
            .map(|tier| TierShape {
                above_input_tokens: tier.above_input_tokens,
                rates: Rates {
                    input_cents_per_m_tokens: tier.input.map(Cents),
                    output_cents_per_m_tokens: tier.output.map(Cents),
                    cache_read_cents_per_m_tokens: tier.cache_read.map(Cents),
                    cache_write_cents_per_m_tokens: tier.cache_write.map(Cents),
                },
            })
            .collect(),
        units: pricing.units.iter().map(|(unit, price)| (unit.clone(), Cents(*price))).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::rest::body;
    use crate::domain::money::NanoCents;

    const FULL: &str = r#"{
        "operations": {
            "text.generate": {
                "capabilities": {"tools": true, "vision": false, "reasoning": true, "structuredOutputs": true},
                "maxInputTokens": 131072, "maxOutputTokens": 8192, "parameters": ["top_k"],
                "reasoning": {"kind": "openai_effort", "levels": ["high", "low"]}
            },
            "embedding.create": {"dimensions": 1024, "values": {"input": ["text"]}, "mostInputs": 96},
            "image.generate": {"values": {"quality": ["low", "high"], "size": ["1024x1024"]}, "mostResults": 4}
        },
        "pricing": {
            "inputCentsPerMTokens": 0.1, "outputCentsPerMTokens": "250", "cacheWrite1hCentsPerMTokens": 3,
            "tiers": [{"aboveInputTokens": 200000, "inputCentsPerMTokens": 1}], "units": {"per_image": "4.5"}
        }
    }"#;

    fn read(text: &str) -> crate::fault::Outcome<ModelProfile> {
        body::read(text, read_profile)
    }

    #[test]
    fn a_profile_is_read_and_written_back_to_the_same() {
        let profile = read(FULL).unwrap();
        let text = &profile.operations[&Operation::TextGenerate];
        assert!(text.tools && text.structured_outputs && !text.vision);
        let levels = vec![ReasoningLevel::Low, ReasoningLevel::High];
        assert_eq!(text.reasoning, Some(Reasoning { kind: ReasoningKind::OpenaiEffort, levels }));
        assert_eq!(profile.pricing.input, Some(NanoCents(100_000_000)));
        assert_eq!(profile.pricing.units, [("per_image".to_owned(), NanoCents(4_500_000_000))]);
        let image = &profile.operations[&Operation::ImageGenerate];
        assert_eq!((image.values["quality"].len(), image.most_results), (2, Some(4)));
        let written = serde_json::to_string(&profile_shape(&profile)).unwrap();
        assert!(written.contains(r#""inputCentsPerMTokens":0.1,"outputCentsPerMTokens":250"#), "{written}");
        assert_eq!(read(&written).unwrap(), profile);
    }

    #[test]
    fn the_flag_alone_says_that_it_reasons() {
        let profile = read(r#"{"operations":{"text.generate":{"capabilities":{"reasoning":true}}}}"#).unwrap();
        let reasoning = profile.operations[&Operation::TextGenerate].reasoning.as_ref().unwrap();
        assert_eq!((reasoning.kind, reasoning.levels.len()), (ReasoningKind::Fixed, 0));
    }

    #[test]
    fn what_is_wrong_inside_is_named_by_its_path() {
        let fault = read(
            r#"{"operations":{"text.generate":{"capabilities":{"flying":true,"reasoning":false},
                "reasoning":{"kind":"fixed"},"maxInputTokens":"many"},"text.sing":{},
                "image.edit":{"values":{"size":"1024x1024"},"mostResults":-1}},
                "pricing":{"tiers":[{"inputCentsPerMTokens":1}],"units":{"per_image":-1}}}"#,
        )
        .unwrap_err();
        let mut fields: Vec<&str> = fault.violations().iter().map(|violation| violation.field.as_str()).collect();
        fields.sort_unstable();
        assert_eq!(
            fields,
            [
                "operations.image.edit.mostResults",
                "operations.image.edit.values.size",
                "operations.text.generate.capabilities.flying",
                "operations.text.generate.maxInputTokens",
                "operations.text.generate.reasoning",
                "operations.text.sing",
                "pricing.tiers[0].aboveInputTokens",
                "pricing.units.per_image",
            ]
        );
    }
}
