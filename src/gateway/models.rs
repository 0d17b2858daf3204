//! What clients can discover: one entry per public model, without labels, credentials, database or upstream ids.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{Caller, Gateway};
use crate::domain::money::NanoCents;
use crate::domain::operation::Operation;
use crate::fault::Outcome;
use crate::routing::plan::model_not_found;
use crate::routing::{Availability, Pool, Snapshot, Standing, Target};

/// One public model, as discovery shows it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ModelCard {
    /// The public model.
    pub id: String,
    /// When its oldest deployment was created; seconds since the Unix epoch.
    pub created_s: i64,
    /// What can go in, the union over the pool: `text`, `image`, `audio`, `file`.
    pub input_modalities: Vec<&'static str>,
    /// What can come out.
    pub output_modalities: Vec<&'static str>,
    /// Most input tokens of any deployment.
    pub max_input_tokens: Option<u64>,
    /// Most output tokens of any deployment.
    pub max_output_tokens: Option<u64>,
    /// The lowest price of input per token in USD, as decimal text.
    pub input_usd_per_token: Option<String>,
    /// The lowest price of output per token in USD, as decimal text.
    pub output_usd_per_token: Option<String>,
    /// The lowest price of each other unit in USD, as decimal text: `per_image`, `per_minute`, `per_search_unit` and so on.
    pub usd_per_unit: BTreeMap<String, String>,
    /// What it can be asked for.
    pub operations: Vec<Operation>,
    /// Request parameters of any deployment, where stated.
    pub supported_parameters: Vec<String>,
    /// Enabled deployments.
    pub endpoint_count: usize,
}

/// One deployment of a public model, as discovery shows it.
#[derive(Debug, Clone, PartialEq)]
pub struct DeploymentCard {
    /// Its opaque id.
    pub id: String,
    /// Its preset.
    pub provider: String,
    /// `available`, `cooldown`, `half_open` or `rate_limited`.
    pub status: &'static str,
    /// How long it is not called.
    pub wait: Option<Duration>,
    /// Its share of the traffic within its tier.
    pub weight: u32,
    /// Requests a minute that it takes.
    pub rpm_limit: Option<u32>,
    /// Tokens a minute that it takes.
    pub tpm_limit: Option<u32>,
    /// How it does.
    pub standing: Standing,
}

impl Gateway {
    /// The enabled deployments of a model, and how they do.
    ///
    /// # Errors
    /// `ModelNotFound`, also for a model outside the caller's scope.
    pub fn list_deployments(&self, snapshot: &Snapshot, caller: &Caller, id: &str) -> Outcome<Vec<DeploymentCard>> {
        let pool = snapshot.find_pool(id).filter(|_| caller.sees(id)).ok_or_else(|| model_not_found(id))?;
        let now = self.parts.clock.instant();
        let cards = pool.enabled().map(|target| {
            let standing = self.parts.health.standing(target, now);
            let (status, wait) = match standing.availability {
                Availability::Available => ("available", None),
                Availability::HalfOpen => ("half_open", None),
                Availability::Cooldown(wait) => ("cooldown", Some(wait)),
                Availability::RateLimited(wait) => ("rate_limited", Some(wait)),
            };
            DeploymentCard {
                id: target.opaque_id.clone(),
                provider: target.provider.clone(),
                status,
                wait,
                weight: target.weight,
                rpm_limit: target.limits.rpm,
                tpm_limit: target.limits.tpm,
                standing,
            }
        });
        Ok(cards.collect())
    }

    /// The models a caller can see, by name. `None`: someone without a credential, where that is allowed.
    #[must_use]
    pub fn list_models(&self, snapshot: &Snapshot, caller: Option<&Caller>) -> Vec<ModelCard> {
        let visible =
            |pool: &&std::sync::Arc<Pool>| caller.is_none_or(|caller| caller.sees(pool.public_model.as_str()));
        snapshot.pools().filter(visible).filter_map(|pool| card(pool)).collect()
    }

    /// One model.
    ///
    /// # Errors
    /// `ModelNotFound`, also for a model outside the caller's scope.
    pub fn get_model(&self, snapshot: &Snapshot, caller: Option<&Caller>, id: &str) -> Outcome<ModelCard> {
        let visible = caller.is_none_or(|caller| caller.sees(id));
        let pool = snapshot.find_pool(id).filter(|_| visible);
        pool.and_then(|pool| card(pool)).ok_or_else(|| model_not_found(id))
    }
}

/// `None` when no deployment takes traffic.
fn card(pool: &Pool) -> Option<ModelCard> {
    let targets: Vec<&Target> = pool.enabled().map(AsRef::as_ref).collect();
    let oldest = targets.iter().map(|target| target.created_at).min()?;
    let profiles =
        || targets.iter().flat_map(|target| target.resolved.operations.values()).map(|operation| &operation.profile);
    let operations: BTreeSet<Operation> =
        targets.iter().flat_map(|target| target.resolved.operations.keys().copied()).collect();
    let lowest = |price: fn(&Target) -> Option<NanoCents>| {
        targets.iter().filter_map(|target| price(target)).min().map(usd_per_token)
    };
    let mut input_modalities: BTreeSet<&'static str> =
        operations.iter().flat_map(|operation| inputs(*operation)).copied().collect();
    for profile in profiles() {
        let extra = [("image", profile.vision), ("audio", profile.audio_input), ("file", profile.pdf_input)];
        input_modalities.extend(extra.iter().filter(|(_, has)| *has).map(|(name, _)| *name));
    }
    let parameters: BTreeSet<&String> = profiles().flat_map(|profile| &profile.parameters).collect();
    Some(ModelCard {
        id: pool.public_model.as_str().to_owned(),
        created_s: oldest.unix_s(),
        input_modalities: input_modalities.into_iter().collect(),
        output_modalities: operations
            .iter()
            .map(|operation| output(*operation))
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect(),
        max_input_tokens: profiles().filter_map(|profile| profile.max_input_tokens).max(),
        max_output_tokens: profiles().filter_map(|profile| profile.max_output_tokens).max(),
        input_usd_per_token: lowest(|target| target.resolved.pricing.input),
        output_usd_per_token: lowest(|target| target.resolved.pricing.output),
        usd_per_unit: lowest_units(&targets),
        operations: operations.into_iter().collect(),
        supported_parameters: parameters.into_iter().cloned().collect(),
        endpoint_count: targets.len(),
    })
}

fn inputs(operation: Operation) -> &'static [&'static str] {
    match operation {
        Operation::TextGenerate
        | Operation::EmbeddingCreate
        | Operation::ImageGenerate
        | Operation::AudioSpeech
        | Operation::Rerank
        | Operation::VideoGenerate
        | Operation::Moderate => &["text"],
        Operation::ImageEdit => &["text", "image"],
        Operation::AudioTranscribe => &["audio"],
    }
}

fn output(operation: Operation) -> &'static str {
    match operation {
        Operation::TextGenerate | Operation::AudioTranscribe | Operation::Moderate => "text",
        Operation::EmbeddingCreate => "embedding",
        Operation::ImageGenerate | Operation::ImageEdit => "image",
        Operation::AudioSpeech => "audio",
        Operation::Rerank => "score",
        Operation::VideoGenerate => "video",
    }
}

fn lowest_units(targets: &[&Target]) -> BTreeMap<String, String> {
    let mut lowest: BTreeMap<&String, NanoCents> = BTreeMap::new();
    for (name, price) in targets.iter().flat_map(|target| &target.resolved.pricing.units) {
        lowest.entry(name).and_modify(|known| *known = (*known).min(*price)).or_insert(*price);
    }
    lowest.into_iter().map(|(name, price)| (name.clone(), usd(price, 11))).collect()
}

/// Nano-cents per million tokens to USD per token: 10^-9 cents, 10^-6, 10^-2, so 17 decimal places.
fn usd_per_token(price: NanoCents) -> String {
    usd(price, 17)
}

/// A number with so many decimal places as text, without zeros at the end.
fn usd(price: NanoCents, places: usize) -> String {
    let digits = format!("{:0width$}", price.0.max(0), width = places + 1);
    let (whole, fraction) = digits.split_at(digits.len() - places);
    let fraction = fraction.trim_end_matches('0');
    if fraction.is_empty() { whole.to_owned() } else { format!("{whole}.{fraction}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_are_shown_per_token_without_rounding() {
        // 2.50 USD per million tokens are 250 cents.
        assert_eq!(usd_per_token(NanoCents(250_000_000_000)), "0.0000025");
        assert_eq!(usd_per_token(NanoCents(7_500_000_000)), "0.000000075");
        assert_eq!(usd_per_token(NanoCents(1)), "0.00000000000000001");
        assert_eq!(usd_per_token(NanoCents(0)), "0");
        // 0.2 cents for a search.
        assert_eq!(usd(NanoCents(200_000_000), 11), "0.002");
    }
}
