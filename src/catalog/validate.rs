//! Checks that reading does not make: facts that can be written down but cannot be true.

use std::collections::BTreeSet;

use super::index::KnownModel;
use crate::domain::capability::{EmbeddingDimensions, OperationProfile, Reasoning, ReasoningKind, valued_fields};
use crate::domain::operation::Operation;
use crate::domain::preset::Preset;
use crate::domain::price::Pricing;
use crate::domain::terms::{Service, US};

/// No model takes or writes more tokens than this; a larger figure is a slip of the pen.
const MOST_TOKENS: u64 = 100_000_000;
/// No token price is higher (10,000 USD per million, in nano-cents); a larger one was stated per thousand or per token.
const HIGHEST_PER_MTOK: i64 = 10_000 * 100_000_000_000;
/// Longest vector.
const MOST_DIMENSIONS: u32 = 65_536;

/// Units that have no `_per_mtok` at the end and no family of their own.
const UNITS: [&str; 14] = [
    "offpeak_cache_read",
    "offpeak_input",
    "offpeak_output",
    "per_image",
    "per_input_image",
    "per_item",
    "per_mchar",
    "per_minute",
    "per_minute_output",
    "per_request",
    "per_search_unit",
    "per_second",
    "per_step",
    "web_search_per_1k",
];
/// Units that go on with a variant: a resolution, a quality and size, a depth of search.
const UNIT_FAMILIES: [&str; 3] = ["img_", "per_second_", "web_search_per_1k_"];
/// What a token price of another kind than text starts with.
const TOKEN_UNITS: [&str; 10] = [
    "audio_cache_read",
    "audio_input",
    "audio_output",
    "image_cache_read",
    "image_input",
    "image_output",
    "reasoning_output",
    "text_output",
    "video_input",
    "video_output",
];

/// Names that more than one preset has.
pub(super) fn repeated_presets(presets: &[Preset]) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let repeated = presets.iter().filter(|preset| !seen.insert(preset.name));
    repeated.map(|preset| format!("preset {}: is named twice", preset.name)).collect()
}

/// What is wrong with the presets.
pub(super) fn presets(presets: &[Preset]) -> Vec<String> {
    let mut problems = repeated_presets(presets);
    for preset in presets {
        let mut add = |problem: String| problems.push(format!("preset {}: {problem}", preset.name));
        if preset.name.is_empty() || preset.adapter.is_empty() || preset.title.is_empty() {
            add("needs a name, an adapter and a title".to_owned());
        }
        if preset.transports.is_empty() {
            add("serves no operation".to_owned());
        }
        for (operation, wires) in &preset.transports {
            if wires.is_empty() {
                add(format!("speaks no wire for `{operation}`"));
            }
            if wires.iter().collect::<BTreeSet<_>>().len() < wires.len() {
                add(format!("has a wire for `{operation}` twice"));
            }
        }
        let mut fields = BTreeSet::new();
        for field in preset.credentials.iter().filter(|field| !fields.insert(field.name)) {
            add(format!("asks for the credential `{}` twice", field.name));
        }
    }
    problems
}

/// What is wrong with one model of the file `key`.
pub(super) fn model(key: &str, model: &KnownModel) -> Vec<String> {
    let mut problems = Vec::new();
    for (operation, profile) in &model.profile.operations {
        check_operation(*operation, profile, &mut |problem| problems.push(format!("{operation}: {problem}")));
    }
    check_pricing(&model.profile.pricing, &mut |problem| problems.push(format!("price: {problem}")));
    problems.into_iter().map(|problem| format!("{key}: {}: {problem}", model.id)).collect()
}

fn check_operation(operation: Operation, profile: &OperationProfile, add: &mut impl FnMut(String)) {
    for (name, limit) in [("max_input", profile.max_input_tokens), ("max_output", profile.max_output_tokens)] {
        if limit.is_some_and(|limit| limit == 0 || limit > MOST_TOKENS) {
            add(format!("`{name}` must be between 1 and {MOST_TOKENS}"));
        }
    }
    if let Some(reasoning) = &profile.reasoning {
        check_reasoning(operation, reasoning, add);
    }
    match (&profile.dimensions, operation) {
        (None, _) => {}
        (Some(dimensions), Operation::EmbeddingCreate) => check_dimensions(*dimensions, add),
        (Some(_), _) => add("only embeddings have dimensions".to_owned()),
    }
    for (field, values) in &profile.values {
        if !valued_fields(operation).contains(&field.as_str()) {
            add(format!("values of `{field}` are not checked for this operation"));
        }
        if values.is_empty() || values.iter().collect::<BTreeSet<_>>().len() < values.len() {
            add(format!("values of `{field}` must be stated, each once"));
        }
    }
    if profile.parameters.iter().collect::<BTreeSet<_>>().len() < profile.parameters.len() {
        add("a parameter is stated twice".to_owned());
    }
}

fn check_reasoning(operation: Operation, reasoning: &Reasoning, add: &mut impl FnMut(String)) {
    if operation != Operation::TextGenerate {
        add("only text models reason".to_owned());
    }
    if reasoning.levels.is_empty() && reasoning.kind != ReasoningKind::Fixed {
        add(format!("`{}` needs levels", reasoning.kind.as_str()));
    }
    if !reasoning.levels.is_sorted_by(|weaker, stronger| weaker < stronger) {
        add("reasoning levels must ascend, each once".to_owned());
    }
}

fn check_dimensions(dimensions: EmbeddingDimensions, add: &mut impl FnMut(String)) {
    let (least, most) = (dimensions.min.unwrap_or(dimensions.default), dimensions.max.unwrap_or(dimensions.default));
    if least == 0 || least > dimensions.default || dimensions.default > most || most > MOST_DIMENSIONS {
        add(format!("dimensions must be 1 <= min <= default <= max <= {MOST_DIMENSIONS}"));
    }
}

fn check_pricing(pricing: &Pricing, add: &mut impl FnMut(String)) {
    let mut token_prices = vec![
        ("input", pricing.input),
        ("output", pricing.output),
        ("cache_read", pricing.cache_read),
        ("cache_write", pricing.cache_write),
        ("cache_write_1h", pricing.cache_write_1h),
    ];
    for tier in &pricing.tiers {
        token_prices.extend([
            ("tier input", tier.input),
            ("tier output", tier.output),
            ("tier cache_read", tier.cache_read),
            ("tier cache_write", tier.cache_write),
        ]);
        if tier.above_input_tokens == 0 || tier.above_input_tokens > MOST_TOKENS {
            add(format!("a tier must begin between 1 and {MOST_TOKENS} input tokens"));
        }
        if tier.input.is_none() && tier.output.is_none() {
            add("a tier must have an input or an output price".to_owned());
        }
    }
    token_prices
        .extend(pricing.units.iter().filter(|unit| is_token_unit(&unit.0)).map(|unit| (unit.0.as_str(), Some(unit.1))));
    for (name, price) in token_prices {
        if price.is_some_and(|price| price.0 < 0 || price.0 > HIGHEST_PER_MTOK) {
            add(format!("`{name}` is not a price per million tokens"));
        }
    }
    if !pricing.tiers.is_sorted_by(|lower, higher| lower.above_input_tokens < higher.above_input_tokens) {
        add("tiers must ascend, each threshold once".to_owned());
    }
    for (position, (name, _)) in pricing.factors.iter().enumerate() {
        if name != US && !Service::NAMED.iter().any(|service| service.word() == Some(name)) {
            add(format!("`{name}` is not a known factor"));
        }
        if pricing.factors.iter().take(position).any(|(known, _)| known == name) {
            add(format!("factor `{name}` is stated twice"));
        }
    }
    let mut seen = BTreeSet::new();
    for (unit, _) in &pricing.units {
        if !is_unit(unit) {
            add(format!("`{unit}` is not a known unit"));
        }
        if !seen.insert(unit) {
            add(format!("unit `{unit}` is stated twice"));
        }
    }
}

fn is_unit(word: &str) -> bool {
    let of_family = |family: &&str| word.strip_prefix(*family).is_some_and(|variant| !variant.is_empty());
    UNITS.contains(&word) || UNIT_FAMILIES.iter().any(of_family) || is_token_unit(word)
}

fn is_token_unit(word: &str) -> bool {
    word.strip_suffix("_per_mtok").is_some_and(|kind| TOKEN_UNITS.contains(&kind))
}
