//! Prices and model profiles that an operator states.

use super::Problems;
use crate::domain::capability::{ModelProfile, OperationProfile, valued_fields};
use crate::domain::money::NanoCents;
use crate::domain::operation::Operation;
use crate::domain::price::{PriceTier, Pricing};

const MAX_TIERS: usize = 16;
const MAX_UNITS: usize = 32;
const MAX_PARAMETERS: usize = 256;
/// Languages are the most there are of a field.
const MAX_VALUES: usize = 256;
const MAX_VALUE_BYTES: usize = 100;
/// The most that a request may ask for: images, and inputs of embeddings.
const MOST_IMAGES: u32 = 10;
const MOST_INPUTS: u32 = 4_096;

/// Checks prices: none below zero, tiers ascending, every unit once. `path` is the field that holds them.
pub(in crate::control) fn pricing(path: &str, pricing: &Pricing, problems: &mut Problems) {
    let rates = [
        ("inputCentsPerMTokens", pricing.input),
        ("outputCentsPerMTokens", pricing.output),
        ("cacheReadCentsPerMTokens", pricing.cache_read),
        ("cacheWriteCentsPerMTokens", pricing.cache_write),
        ("cacheWrite1hCentsPerMTokens", pricing.cache_write_1h),
    ];
    for (name, rate) in rates {
        not_negative(|| format!("{path}.{name}"), rate, problems);
    }
    if pricing.tiers.len() > MAX_TIERS {
        problems.add(format!("{path}.tiers"), format!("must be at most {MAX_TIERS}"));
    }
    let mut above = 0;
    for (position, tier) in pricing.tiers.iter().enumerate() {
        let path = format!("{path}.tiers[{position}]");
        if tier.above_input_tokens <= above {
            problems.add(format!("{path}.aboveInputTokens"), "must be greater than 0 and than that of the tier before");
        }
        above = tier.above_input_tokens;
        tier_rates(&path, tier, problems);
    }
    units(path, pricing, problems);
}

/// Checks a custom model profile.
pub(in crate::control) fn catalog_entry(entry: &ModelProfile, problems: &mut Problems) {
    if entry.operations.is_empty() {
        problems.add("catalogEntry.operations", "must name at least one operation");
    }
    for (operation, profile) in &entry.operations {
        operation_profile(*operation, profile, problems);
    }
    pricing("catalogEntry.pricing", &entry.pricing, problems);
}

fn operation_profile(operation: Operation, profile: &OperationProfile, problems: &mut Problems) {
    let path = format!("catalogEntry.operations.{operation}");
    for (name, limit) in [("maxInputTokens", profile.max_input_tokens), ("maxOutputTokens", profile.max_output_tokens)]
    {
        if limit == Some(0) {
            problems.add(format!("{path}.{name}"), "must be greater than 0, or absent when it is not known");
        }
    }
    if let Some(reasoning) = &profile.reasoning
        && !reasoning.levels.is_sorted_by(|weaker, stronger| weaker < stronger)
    {
        problems.add(format!("{path}.reasoning.levels"), "must be distinct and ascending");
    }
    if profile.parameters.len() > MAX_PARAMETERS {
        problems.add(format!("{path}.parameters"), format!("must be at most {MAX_PARAMETERS}"));
    }
    for (field, values) in &profile.values {
        profile_values(operation, field, values, &format!("{path}.values.{field}"), problems);
    }
    let makes_images = matches!(operation, Operation::ImageGenerate | Operation::ImageEdit);
    let makes_vectors = operation == Operation::EmbeddingCreate;
    for (name, count, is_of_it, whose, most) in [
        ("mostResults", profile.most_results, makes_images, "images", MOST_IMAGES),
        ("mostInputs", profile.most_inputs, makes_vectors, "embeddings", MOST_INPUTS),
    ] {
        let Some(count) = count else { continue };
        if !is_of_it {
            problems.add(format!("{path}.{name}"), format!("is for {whose} alone"));
        } else if !(1..=most).contains(&count) {
            problems.add(format!("{path}.{name}"), format!("must be from 1 to {most}, is {count}"));
        }
    }
}

/// Checks the values that a field may have.
fn profile_values(operation: Operation, field: &str, values: &[String], path: &str, problems: &mut Problems) {
    let known = valued_fields(operation);
    if !known.contains(&field) {
        let allowed = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        problems.add(path, format!("is no field whose values are checked for {operation}; those are: {allowed}"));
        return;
    }
    if values.is_empty() || values.len() > MAX_VALUES {
        problems.add(path, format!("must hold 1 to {MAX_VALUES} values; leave it out where all are taken"));
    }
    for (position, value) in values.iter().enumerate() {
        if value.is_empty() || value.len() > MAX_VALUE_BYTES {
            problems.add(format!("{path}[{position}]"), format!("must have 1 to {MAX_VALUE_BYTES} bytes"));
        } else if values.iter().take(position).any(|earlier| earlier == value) {
            problems.add(format!("{path}[{position}]"), "is stated twice");
        }
    }
}

fn tier_rates(path: &str, tier: &PriceTier, problems: &mut Problems) {
    let rates = [
        ("inputCentsPerMTokens", tier.input),
        ("outputCentsPerMTokens", tier.output),
        ("cacheReadCentsPerMTokens", tier.cache_read),
        ("cacheWriteCentsPerMTokens", tier.cache_write),
    ];
    for (name, rate) in rates {
        not_negative(|| format!("{path}.{name}"), rate, problems);
    }
}

fn units(path: &str, pricing: &Pricing, problems: &mut Problems) {
    if pricing.units.len() > MAX_UNITS {
        problems.add(format!("{path}.units"), format!("must be at most {MAX_UNITS}"));
    }
    for (position, (unit, price)) in pricing.units.iter().enumerate() {
        let field = || format!("{path}.units.{unit}");
        if pricing.units.iter().take(position).any(|(earlier, _)| earlier == unit) {
            problems.add(field(), "is stated twice");
        }
        not_negative(field, Some(*price), problems);
    }
}

fn not_negative(field: impl FnOnce() -> String, price: Option<NanoCents>, problems: &mut Problems) {
    if price.is_some_and(|price| price.0 < 0) {
        problems.add(field(), "must not be negative");
    }
}
