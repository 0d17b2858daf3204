//! Prices. Integers of nano-cents; prices per token are held per million tokens so that they stay exact.

use serde::{Deserialize, Serialize};

use super::money::NanoCents;

/// A price per million tokens, in nano-cents.
pub type PerMTokens = NanoCents;

/// What a model costs. `None` means unknown, never free.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Pricing {
    /// Input tokens that were not read from a cache.
    pub input: Option<PerMTokens>,
    /// Output tokens, reasoning included.
    pub output: Option<PerMTokens>,
    /// Input tokens read from the provider's cache.
    pub cache_read: Option<PerMTokens>,
    /// Input tokens written to the provider's cache (five minutes where there is a choice).
    pub cache_write: Option<PerMTokens>,
    /// Input tokens written to the provider's one-hour cache.
    pub cache_write_1h: Option<PerMTokens>,
    /// Whole-request rates above an input size, ascending by threshold.
    pub tiers: Vec<PriceTier>,
    /// Other units: key such as `per_image`, `per_minute`, `per_search_unit`; nano-cents per unit.
    pub units: Vec<(String, NanoCents)>,
}

/// Rates for the whole request when its input is larger than a threshold.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct PriceTier {
    /// Applies above so many input tokens.
    pub above_input_tokens: u64,
    /// Input rate.
    pub input: Option<PerMTokens>,
    /// Output rate.
    pub output: Option<PerMTokens>,
    /// Cache read rate.
    pub cache_read: Option<PerMTokens>,
    /// Cache write rate.
    pub cache_write: Option<PerMTokens>,
}

impl Pricing {
    /// This pricing with every field that `overrides` states replaced by it.
    #[must_use]
    pub fn overridden_by(&self, overrides: &Self) -> Self {
        let tiers = if overrides.tiers.is_empty() && overrides.input.is_none() && overrides.output.is_none() {
            self.tiers.clone()
        } else {
            // Tiers belong to the base rates they were stated with.
            overrides.tiers.clone()
        };
        Self {
            input: overrides.input.or(self.input),
            output: overrides.output.or(self.output),
            cache_read: overrides.cache_read.or(self.cache_read),
            cache_write: overrides.cache_write.or(self.cache_write),
            cache_write_1h: overrides.cache_write_1h.or(self.cache_write_1h),
            tiers,
            units: if overrides.units.is_empty() { self.units.clone() } else { overrides.units.clone() },
        }
    }

    /// Whether anything is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
