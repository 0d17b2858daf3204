//! Model profiles and prices.

use std::collections::BTreeMap;

use crate::api::grpc::proto;
use crate::api::problems::{Problems, one_of};
use crate::domain::capability::{
    EmbeddingDimensions, ModelProfile, OperationProfile, Reasoning, ReasoningKind, ReasoningLevel,
};
use crate::domain::money::NanoCents;
use crate::domain::operation::Operation;
use crate::domain::price::{PriceTier, Pricing};

/// A profile. What is wrong is noted under `path`.
pub(crate) fn profile_from_proto(message: proto::ModelProfile, path: &str, problems: &mut Problems) -> ModelProfile {
    let mut operations = BTreeMap::new();
    for (word, profile) in message.operations {
        let at = format!("{path}.operations.{word}");
        match word.parse::<Operation>() {
            Ok(operation) => {
                operations.insert(operation, operation_profile_from_proto(profile, &at, problems));
            }
            Err(_) => problems.add(at, unknown_operation()),
        }
    }
    let pricing = message.pricing.map(|pricing| pricing_from_proto(pricing, &format!("{path}.pricing"), problems));
    ModelProfile { operations, pricing: pricing.unwrap_or_default() }
}

/// A profile as a message.
pub(crate) fn profile_into_proto(profile: &ModelProfile) -> proto::ModelProfile {
    proto::ModelProfile {
        operations: profile
            .operations
            .iter()
            .map(|(operation, profile)| (operation.as_str().to_owned(), operation_profile_into_proto(profile)))
            .collect(),
        pricing: (!profile.pricing.is_empty()).then(|| pricing_into_proto(&profile.pricing)),
    }
}

/// The sentence about a word that names no operation.
pub(crate) fn unknown_operation() -> String {
    one_of(Operation::ALL.map(Operation::as_str))
}

fn operation_profile_from_proto(
    message: proto::OperationProfile,
    path: &str,
    problems: &mut Problems,
) -> OperationProfile {
    OperationProfile {
        tools: message.tools,
        vision: message.vision,
        audio_input: message.audio_input,
        pdf_input: message.pdf_input,
        structured_outputs: message.structured_outputs,
        reasoning: message
            .reasoning
            .and_then(|reasoning| reasoning_from_proto(&reasoning, &format!("{path}.reasoning"), problems)),
        max_input_tokens: message.max_input_tokens,
        max_output_tokens: message.max_output_tokens,
        parameters: message.parameters,
        dimensions: message.dimensions.map(|sizes| EmbeddingDimensions {
            default: sizes.default,
            min: sizes.min,
            max: sizes.max,
        }),
        values: message.values.into_iter().map(|(field, known)| (field, known.values)).collect(),
        most_results: message.most_results,
        most_inputs: message.most_inputs,
    }
}

/// One operation's profile as a message.
pub(crate) fn operation_profile_into_proto(profile: &OperationProfile) -> proto::OperationProfile {
    proto::OperationProfile {
        tools: profile.tools,
        vision: profile.vision,
        audio_input: profile.audio_input,
        pdf_input: profile.pdf_input,
        structured_outputs: profile.structured_outputs,
        reasoning: profile.reasoning.as_ref().map(|reasoning| proto::Reasoning {
            kind: reasoning.kind.as_str().to_owned(),
            levels: reasoning.levels.iter().map(|level| level.as_str().to_owned()).collect(),
        }),
        max_input_tokens: profile.max_input_tokens,
        max_output_tokens: profile.max_output_tokens,
        parameters: profile.parameters.clone(),
        dimensions: profile.dimensions.map(|sizes| proto::EmbeddingDimensions {
            default: sizes.default,
            min: sizes.min,
            max: sizes.max,
        }),
        values: profile
            .values
            .iter()
            .map(|(field, values)| (field.clone(), proto::FieldValues { values: values.clone() }))
            .collect(),
        most_results: profile.most_results,
        most_inputs: profile.most_inputs,
    }
}

fn reasoning_from_proto(message: &proto::Reasoning, path: &str, problems: &mut Problems) -> Option<Reasoning> {
    let kind = ReasoningKind::parse(&message.kind);
    if kind.is_none() {
        problems.add(format!("{path}.kind"), one_of(ReasoningKind::ALL.map(ReasoningKind::as_str)));
    }
    let mut levels = Vec::with_capacity(message.levels.len());
    for (position, word) in message.levels.iter().enumerate() {
        match ReasoningLevel::parse(word) {
            Some(level) => levels.push(level),
            None => {
                let allowed = one_of(ReasoningLevel::ALL.map(ReasoningLevel::as_str));
                problems.add(format!("{path}.levels[{position}]"), allowed);
            }
        }
    }
    levels.sort_unstable();
    kind.map(|kind| Reasoning { kind, levels })
}

/// Prices. What is wrong is noted under `path`.
pub(crate) fn pricing_from_proto(message: proto::Pricing, path: &str, problems: &mut Problems) -> Pricing {
    let tiers = message
        .tiers
        .iter()
        .enumerate()
        .map(|(position, tier)| tier_from_proto(tier, &format!("{path}.tiers[{position}]"), problems))
        .collect();
    let mut price = |field: &str, nanocents: Option<i64>| price(nanocents, &format!("{path}.{field}"), problems);
    Pricing {
        input: price("input_nanocents_per_mtok", message.input_nanocents_per_mtok),
        output: price("output_nanocents_per_mtok", message.output_nanocents_per_mtok),
        cache_read: price("cache_read_nanocents_per_mtok", message.cache_read_nanocents_per_mtok),
        cache_write: price("cache_write_nanocents_per_mtok", message.cache_write_nanocents_per_mtok),
        cache_write_1h: price("cache_write_1h_nanocents_per_mtok", message.cache_write_1h_nanocents_per_mtok),
        tiers,
        units: message
            .units
            .into_iter()
            .filter_map(|(unit, nanocents)| {
                let amount = price(&format!("units.{unit}"), Some(nanocents))?;
                Some((unit, amount))
            })
            .collect(),
        ..Pricing::default()
    }
}

fn tier_from_proto(message: &proto::PriceTier, path: &str, problems: &mut Problems) -> PriceTier {
    let mut price = |field: &str, nanocents: Option<i64>| price(nanocents, &format!("{path}.{field}"), problems);
    PriceTier {
        above_input_tokens: message.above_input_tokens,
        input: price("input_nanocents_per_mtok", message.input_nanocents_per_mtok),
        output: price("output_nanocents_per_mtok", message.output_nanocents_per_mtok),
        cache_read: price("cache_read_nanocents_per_mtok", message.cache_read_nanocents_per_mtok),
        cache_write: price("cache_write_nanocents_per_mtok", message.cache_write_nanocents_per_mtok),
    }
}

/// An amount of money that is not negative.
pub(crate) fn price(nanocents: Option<i64>, path: &str, problems: &mut Problems) -> Option<NanoCents> {
    let nanocents = nanocents?;
    if nanocents < 0 {
        problems.add(path, "must not be negative");
        return None;
    }
    Some(NanoCents(nanocents))
}

/// Prices as a message.
pub(crate) fn pricing_into_proto(pricing: &Pricing) -> proto::Pricing {
    let nanocents = |price: Option<NanoCents>| price.map(|price| price.0);
    proto::Pricing {
        input_nanocents_per_mtok: nanocents(pricing.input),
        output_nanocents_per_mtok: nanocents(pricing.output),
        cache_read_nanocents_per_mtok: nanocents(pricing.cache_read),
        cache_write_nanocents_per_mtok: nanocents(pricing.cache_write),
        cache_write_1h_nanocents_per_mtok: nanocents(pricing.cache_write_1h),
        tiers: pricing
            .tiers
            .iter()
            .map(|tier| proto::PriceTier {
                above_input_tokens: tier.above_input_tokens,
                input_nanocents_per_mtok: nanocents(tier.input),
                output_nanocents_per_mtok: nanocents(tier.output),
                cache_read_nanocents_per_mtok: nanocents(tier.cache_read),
                cache_write_nanocents_per_mtok: nanocents(tier.cache_write),
            })
            .collect(),
        units: pricing.units.iter().map(|(unit, price)| (unit.clone(), price.0)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> ModelProfile {
        let text = OperationProfile {
            tools: true,
            vision: true,
            reasoning: Some(Reasoning {
                kind: ReasoningKind::OpenaiEffort,
                levels: vec![ReasoningLevel::Low, ReasoningLevel::High],
            }),
            max_input_tokens: Some(1),
            max_output_tokens: Some(2),
            parameters: vec!["top_k".to_owned()],
            ..OperationProfile::default()
        };
        let embedding = OperationProfile {
            dimensions: Some(EmbeddingDimensions { default: 1024, min: None, max: Some(4096) }),
            values: BTreeMap::from([("input".to_owned(), vec!["text".to_owned()])]),
            most_inputs: Some(96),
            ..OperationProfile::default()
        };
        let image = OperationProfile {
            values: BTreeMap::from([("quality".to_owned(), vec!["low".to_owned(), "high".to_owned()])]),
            most_results: Some(4),
            ..OperationProfile::default()
        };
        let tier = PriceTier { above_input_tokens: 200_000, input: Some(NanoCents(3)), ..PriceTier::default() };
        ModelProfile {
            operations: BTreeMap::from([
                (Operation::TextGenerate, text),
                (Operation::EmbeddingCreate, embedding),
                (Operation::ImageGenerate, image),
            ]),
            pricing: Pricing {
                input: Some(NanoCents(1)),
                cache_write_1h: Some(NanoCents(5)),
                tiers: vec![tier],
                units: vec![("per_image".to_owned(), NanoCents(7))],
                ..Pricing::default()
            },
        }
    }

    #[test]
    fn a_profile_round_trips() {
        let mut problems = Problems::default();
        let back = profile_from_proto(profile_into_proto(&full()), "catalog_entry", &mut problems);
        assert_eq!(problems.finish(back).unwrap(), full());
    }

    #[test]
    fn every_wrong_word_and_amount_is_named() {
        let mut message = profile_into_proto(&full());
        if let Some(profile) = message.operations.get_mut("text.generate") {
            profile.reasoning = Some(proto::Reasoning { kind: "magic".to_owned(), levels: vec!["huge".to_owned()] });
        }
        message.operations.insert("text.sing".to_owned(), proto::OperationProfile::default());
        if let Some(pricing) = &mut message.pricing {
            pricing.input_nanocents_per_mtok = Some(-1);
        }
        let mut problems = Problems::default();
        let profile = profile_from_proto(message, "catalog_entry", &mut problems);
        let fault = problems.finish(profile).unwrap_err();
        let fields: Vec<&str> = fault.violations().iter().map(|violation| violation.field.as_str()).collect();
        assert_eq!(
            fields,
            [
                "catalog_entry.operations.text.generate.reasoning.kind",
                "catalog_entry.operations.text.generate.reasoning.levels[0]",
                "catalog_entry.operations.text.sing",
                "catalog_entry.pricing.input_nanocents_per_mtok",
            ]
        );
    }
}
