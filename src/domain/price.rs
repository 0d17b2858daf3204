//! Prices. Integers of nano-cents; prices per token are held per million tokens so that they stay exact.

use serde::{Deserialize, Serialize};

use super::money::NanoCents;
use super::terms::{Factor, SearchSize, Terms, US};
use super::usage::TokenUsage;

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
    /// What rates of tokens are multiplied by under other terms: key is the word of a [`Service`](super::terms::Service), or `us`.
    pub factors: Vec<(String, Factor)>,
}

/// Terms whose price is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnknownTerm {
    /// How it is served.
    Service,
    /// Where it is served.
    Place,
    /// Searches of the web.
    Search,
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
            factors: if overrides.factors.is_empty() { self.factors.clone() } else { overrides.factors.clone() },
        }
    }

    /// Whether anything is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

const PER: i128 = 1_000_000;
const AUDIO_INPUT: &str = "audio_input_per_mtok";
const AUDIO_OUTPUT: &str = "audio_output_per_mtok";
const REASONING_OUTPUT: &str = "reasoning_output_per_mtok";
const SEARCH: &str = "web_search_per_1k";
const SEARCH_LOW: &str = "web_search_per_1k_low";
const SEARCH_MEDIUM: &str = "web_search_per_1k_medium";
const SEARCH_HIGH: &str = "web_search_per_1k_high";
const SEARCH_UNIT: &str = "per_search_unit";
const IMAGE_INPUT: &str = "image_input_per_mtok";
const IMAGE_OUTPUT: &str = "image_output_per_mtok";
const TEXT_OUTPUT: &str = "text_output_per_mtok";
const IMAGE: &str = "per_image";
const MINUTE: &str = "per_minute";
const MINUTE_OUTPUT: &str = "per_minute_output";
const MILLION_CHARACTERS: &str = "per_mchar";
const MINUTE_MS: i128 = 60_000;

impl Pricing {
    /// What tokens cost. Summed exactly, rounded half up once. `None`: a rate that is needed is unknown.
    ///
    /// Searches that have a price are all that is paid. A cache rate that is unknown is the input rate; sound without a rate of its own costs what text does.
    #[must_use]
    pub fn cost(&self, usage: &TokenUsage) -> Option<NanoCents> {
        // What is sold by searches is not sold by tokens.
        if let (1.., Some(price)) = (usage.search_units, self.unit(SEARCH_UNIT)) {
            let units = i64::try_from(usage.search_units).unwrap_or(i64::MAX);
            return Some(NanoCents(price.0.saturating_mul(units)));
        }
        if usage.search_units > 0 && usage.input == 0 {
            return None;
        }
        if let Some(cost) = self.cost_of_units(usage) {
            return cost;
        }
        let rates = self.rates(usage.input);
        let audio_input = usage.audio_input.min(usage.input);
        let cache_read = usage.cache_read.min(usage.input - audio_input);
        let cache_write = usage.cache_write.min(usage.input - audio_input - cache_read);
        let cache_write_1h = usage.cache_write_1h.min(cache_write);
        let image_input = usage.image_input.min(usage.input - audio_input - cache_read - cache_write);
        let audio_output = usage.audio_output.min(usage.output);
        let image_output = usage.image_output.min(usage.output - audio_output);
        let words = if usage.images + usage.audio_output_ms > 0 { self.unit(TEXT_OUTPUT) } else { None };
        // Reasoning costs what other output does, but for those who bill it apart.
        let reasoning_rate = self.unit(REASONING_OUTPUT);
        let reasoning = reasoning_rate.map_or(0, |_| usage.reasoning.min(usage.output - audio_output - image_output));
        let parts = [
            (usage.input - audio_input - image_input - cache_read - cache_write, rates.input),
            (image_input, self.unit(IMAGE_INPUT).or(rates.input)),
            (audio_input, self.unit(AUDIO_INPUT).or(rates.input)),
            (cache_read, rates.cache_read.or(rates.input)),
            (cache_write - cache_write_1h, rates.cache_write.or(rates.input)),
            (cache_write_1h, rates.cache_write_1h.or(rates.cache_write).or(rates.input)),
            (usage.output - audio_output - image_output - reasoning, words.or(rates.output)),
            (image_output, self.unit(IMAGE_OUTPUT).or(rates.output)),
            (reasoning, reasoning_rate),
            (audio_output, self.unit(AUDIO_OUTPUT).or(rates.output)),
        ];
        let mut sum: i128 = 0;
        for (tokens, rate) in parts.into_iter().filter(|(tokens, _)| *tokens > 0) {
            sum = sum.saturating_add(i128::from(tokens).saturating_mul(i128::from(rate?.0)));
        }
        let (above, below) = self.factor(&usage.terms);
        let sum = sum.saturating_mul(above).saturating_add(self.searching(&usage.terms).saturating_mul(below));
        Some(rounded(sum, PER * below, PER * below / 2))
    }

    /// What is sold by the image, the minute or the character, and not by tokens: where the units have a price, and tokens
    /// have none or were not counted. `Some(None)`: it is sold by units whose price is unknown.
    fn cost_of_units(&self, usage: &TokenUsage) -> Option<Option<NanoCents>> {
        let units = |count: u64, name: &str, per: i128| {
            let price = self.unit(name).filter(|_| count > 0)?;
            let sum = i128::from(count).saturating_mul(i128::from(price.0));
            Some(sum.saturating_add(per / 2) / per)
        };
        let characters = units(usage.characters, MILLION_CHARACTERS, PER);
        let by_tokens = self.input.is_some() && self.output.is_some() && usage.input.saturating_add(usage.output) > 0;
        let sum = match characters {
            Some(characters) => characters,
            None if by_tokens => return None,
            None => {
                let parts = [
                    units(usage.images, IMAGE, 1),
                    units(usage.audio_ms, MINUTE, MINUTE_MS),
                    units(usage.audio_output_ms, MINUTE_OUTPUT, MINUTE_MS),
                ];
                let has_units = [usage.images, usage.audio_ms, usage.audio_output_ms, usage.characters];
                if has_units.into_iter().all(|count| count == 0) {
                    return None;
                }
                match parts.into_iter().flatten().reduce(i128::saturating_add) {
                    Some(sum) => sum,
                    // Tokens tell the price, if any were counted.
                    None if usage.input.saturating_add(usage.output) > 0 => return None,
                    None => return Some(None),
                }
            }
        };
        Some(Some(NanoCents(i64::try_from(sum).unwrap_or(i64::MAX))))
    }

    /// What searches cost, times a million. Those without a price of their own cost nothing apart.
    fn searching(&self, terms: &Terms) -> i128 {
        let per_1k = self.search_price(terms.search_size).unwrap_or_default();
        // By size: once for an answer, however many queries it took.
        let searches = if self.always_searches() { terms.searches.min(1) } else { terms.searches };
        i128::from(searches).saturating_mul(i128::from(per_1k.0)).saturating_mul(PER / 1_000)
    }

    fn search_price(&self, size: Option<SearchSize>) -> Option<NanoCents> {
        let sized = match size.unwrap_or(SearchSize::Low) {
            SearchSize::Low => SEARCH_LOW,
            SearchSize::Medium => SEARCH_MEDIUM,
            SearchSize::High => SEARCH_HIGH,
        };
        self.unit(sized).or_else(|| self.unit(SEARCH))
    }

    /// What the rates of tokens are multiplied by: a fraction. Terms without a factor cost what the standard does.
    fn factor(&self, terms: &Terms) -> (i128, i128) {
        let service = terms.service.word().and_then(|word| self.named_factor(word));
        let place = terms.in_us.then(|| self.named_factor(US)).flatten();
        service.into_iter().chain(place).fold((1, 1), |(above, below), factor| {
            (above * i128::from(factor.numerator), below * i128::from(factor.denominator))
        })
    }

    fn named_factor(&self, word: &str) -> Option<Factor> {
        self.factors.iter().find(|(name, _)| name == word).map(|(_, factor)| *factor)
    }

    /// The first of the terms whose price is not known.
    #[must_use]
    pub fn unknown_term(&self, terms: &Terms) -> Option<UnknownTerm> {
        if terms.service.word().is_some_and(|word| self.named_factor(word).is_none()) {
            return Some(UnknownTerm::Service);
        }
        if terms.in_us && self.named_factor(US).is_none() {
            return Some(UnknownTerm::Place);
        }
        (terms.searches > 0 && self.search_price(terms.search_size).is_none()).then_some(UnknownTerm::Search)
    }

    /// Whether every answer is billed one search, by how much it reads.
    #[must_use]
    pub fn always_searches(&self) -> bool {
        self.unit(SEARCH_LOW).is_some()
    }

    /// The most that so many tokens can cost under these terms, whatever kinds they turn out to be. `None`: the price is
    /// unknown.
    #[must_use]
    pub fn most(&self, input: u64, output: u64, terms: &Terms) -> Option<NanoCents> {
        let tiers = self.tiers.iter().filter(|tier| input > tier.above_input_tokens);
        let sizes = std::iter::once(0).chain(tiers.map(|tier| tier.above_input_tokens.saturating_add(1)));
        let (mut dearest_input, mut dearest_output) = (self.input?, self.output?);
        for size in sizes {
            let rates = self.rates(size);
            let inputs =
                [rates.input, rates.cache_read, rates.cache_write, rates.cache_write_1h, self.unit(AUDIO_INPUT)];
            dearest_input = inputs.into_iter().flatten().fold(dearest_input, NanoCents::max);
            let outputs = [rates.output, self.unit(AUDIO_OUTPUT), self.unit(REASONING_OUTPUT)];
            dearest_output = outputs.into_iter().flatten().fold(dearest_output, NanoCents::max);
        }
        let sum = i128::from(input).saturating_mul(i128::from(dearest_input.0));
        let sum = sum.saturating_add(i128::from(output).saturating_mul(i128::from(dearest_output.0)));
        // What is cheaper may be served at the standard all the same.
        let (above, below) = self.factor(&Terms { service: terms.service.at_least_standard(), ..*terms });
        let sum = sum.saturating_mul(above).saturating_add(self.searching(terms).saturating_mul(below));
        Some(rounded(sum, PER * below, PER * below - 1))
    }

    /// Whether text can be priced: both base rates are known.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.input.is_some() && self.output.is_some()
    }

    /// Whether it is sold by the searches that rerankings make.
    #[must_use]
    pub fn is_by_search_unit(&self) -> bool {
        self.unit(SEARCH_UNIT).is_some()
    }

    /// Whether sound that is written can be priced apart from text.
    #[must_use]
    pub fn has_audio_output(&self) -> bool {
        self.unit(AUDIO_OUTPUT).is_some()
    }

    fn unit(&self, name: &str) -> Option<NanoCents> {
        self.units.iter().find(|(unit, _)| unit == name).map(|(_, price)| *price)
    }

    /// The rates for a request of this input size. A tier states its base rates; what it leaves out stays.
    fn rates(&self, input: u64) -> Rates {
        let base = Rates {
            input: self.input,
            output: self.output,
            cache_read: self.cache_read,
            cache_write: self.cache_write,
            cache_write_1h: self.cache_write_1h,
        };
        let applies = self.tiers.iter().filter(|tier| input > tier.above_input_tokens);
        let Some(tier) = applies.max_by_key(|tier| tier.above_input_tokens) else { return base };
        Rates {
            input: tier.input.or(base.input),
            output: tier.output.or(base.output),
            cache_read: tier.cache_read.or(base.cache_read),
            cache_write: tier.cache_write.or(base.cache_write),
            cache_write_1h: base.cache_write_1h.map(|rate| in_proportion(rate, base.input, tier.input)),
        }
    }
}

/// Rates for one request.
struct Rates {
    input: Option<PerMTokens>,
    output: Option<PerMTokens>,
    cache_read: Option<PerMTokens>,
    cache_write: Option<PerMTokens>,
    cache_write_1h: Option<PerMTokens>,
}

/// A rate that tiers do not state, raised as the input rate is, rounded up.
fn in_proportion(rate: PerMTokens, base: Option<PerMTokens>, tier: Option<PerMTokens>) -> PerMTokens {
    match (base, tier) {
        (Some(base), Some(tier)) if base.0 > 0 => {
            let base = i128::from(base.0);
            let raised = (i128::from(rate.0) * i128::from(tier.0) + base - 1) / base;
            NanoCents(i64::try_from(raised).unwrap_or(i64::MAX))
        }
        _ => rate,
    }
}

fn rounded(sum: i128, divisor: i128, add: i128) -> NanoCents {
    NanoCents(i64::try_from(sum.saturating_add(add) / divisor).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::super::terms::Service;
    use super::*;

    fn pricing() -> Pricing {
        Pricing {
            input: Some(NanoCents(300)),
            output: Some(NanoCents(1_500)),
            cache_read: Some(NanoCents(30)),
            cache_write: Some(NanoCents(375)),
            cache_write_1h: Some(NanoCents(600)),
            tiers: vec![PriceTier {
                above_input_tokens: 200_000,
                input: Some(NanoCents(600)),
                output: Some(NanoCents(2_250)),
                ..PriceTier::default()
            }],
            units: vec![(AUDIO_OUTPUT.to_owned(), NanoCents(6_000)), (SEARCH.to_owned(), NanoCents(10_000))],
            factors: [("flex", "0.5"), ("priority", "1.75"), ("fast", "5/3"), (US, "1.1")]
                .map(|(name, factor)| (name.to_owned(), Factor::parse(factor).unwrap()))
                .to_vec(),
        }
    }

    fn under(terms: Terms, usage: TokenUsage) -> TokenUsage {
        TokenUsage { terms, ..usage }
    }

    fn usage(input: u64, output: u64) -> TokenUsage {
        TokenUsage { input, output, ..TokenUsage::default() }
    }

    #[test]
    fn every_kind_of_token_has_its_rate() {
        const M: u64 = 100_000;
        let cases = [
            (usage(M, 0), 30),
            (usage(0, M), 150),
            (TokenUsage { cache_read: M, ..usage(M, 0) }, 3),
            (TokenUsage { cache_write: M, ..usage(M, 0) }, 38),
            (TokenUsage { cache_write: M, cache_write_1h: M, ..usage(M, 0) }, 60),
            (TokenUsage { reasoning: M, ..usage(0, M) }, 150),
            (TokenUsage { audio_input: M, ..usage(M, 0) }, 30),
            (TokenUsage { audio_output: M, ..usage(0, M) }, 600),
            // Above the tier all of it is dearer.
            (usage(200_000, 0), 60),
            (usage(300_000, M), 180 + 225),
            (TokenUsage { cache_write: 300_000, cache_write_1h: 300_000, ..usage(300_000, 0) }, 360),
            // Other terms: rates are multiplied, searches are not.
            (under(Terms { service: Service::Flex, ..Terms::default() }, usage(M, M)), 90),
            (under(Terms { service: Service::Priority, ..Terms::default() }, usage(M, M)), 315),
            (under(Terms { service: Service::Fast, ..Terms::default() }, usage(M, M)), 300),
            (under(Terms { in_us: true, ..Terms::default() }, usage(M, M)), 198),
            (under(Terms { service: Service::Fast, in_us: true, ..Terms::default() }, usage(M, M)), 330),
            (under(Terms { service: Service::Priority, ..Terms::default() }, usage(300_000, M)), 709),
            (under(Terms { searches: 3, ..Terms::default() }, usage(M, M)), 180 + 30),
            (under(Terms { service: Service::Flex, searches: 1, ..Terms::default() }, usage(M, M)), 90 + 10),
            // A term without a factor costs what the standard does.
            (under(Terms { service: Service::Ultrafast, ..Terms::default() }, usage(M, M)), 180),
            // Parts that are larger than the whole are cut.
            (TokenUsage { cache_read: 9 * M, ..usage(M, 0) }, 3),
        ];
        for (usage, expected) in cases {
            assert_eq!(pricing().cost(&usage), Some(NanoCents(expected)), "{usage:?}");
        }
    }

    #[test]
    fn parts_are_summed_before_they_are_rounded_half_up_once() {
        let rate =
            |nanos| Pricing { input: Some(NanoCents(nanos)), output: Some(NanoCents(nanos)), ..Pricing::default() };
        assert_eq!(rate(1).cost(&usage(499_999, 0)), Some(NanoCents(0)));
        assert_eq!(rate(1).cost(&usage(500_000, 0)), Some(NanoCents(1)));
        assert_eq!(rate(1).cost(&usage(250_000, 250_000)), Some(NanoCents(1)));
        assert_eq!(rate(i64::MAX).cost(&usage(u64::MAX, u64::MAX)), Some(NanoCents(i64::MAX)));
    }

    #[test]
    fn searches_are_priced_by_the_unit_where_they_have_a_price() {
        let by_unit = Pricing { units: vec![(SEARCH_UNIT.to_owned(), NanoCents(200))], ..Pricing::default() };
        let searched = |search_units, input| TokenUsage { search_units, input, ..TokenUsage::default() };
        assert_eq!(by_unit.cost(&searched(3, 0)), Some(NanoCents(600)));
        assert_eq!(by_unit.cost(&searched(3, 1_000_000)), Some(NanoCents(600)));
        assert_eq!(pricing().cost(&searched(1, 100_000)), Some(NanoCents(30)));
        assert_eq!(Pricing::default().cost(&searched(1, 0)), None);
        assert_eq!(pricing().cost(&searched(1, 0)), None);
    }

    #[test]
    fn sound_and_pictures_are_priced_by_their_units_or_by_tokens() {
        let by = |units: &[(&str, i64)]| Pricing {
            units: units.iter().map(|(name, price)| ((*name).to_owned(), NanoCents(*price))).collect(),
            ..Pricing::default()
        };
        let tokens =
            Pricing { input: Some(NanoCents(5_000_000)), output: Some(NanoCents(30_000_000)), ..Pricing::default() };
        let images = |images| TokenUsage { images, ..TokenUsage::default() };
        let minutes = |audio_ms| TokenUsage { audio_ms, ..TokenUsage::default() };
        let spoken = |characters| TokenUsage { characters, audio_output_ms: 9, output: 9, ..TokenUsage::default() };
        for (pricing, usage, expected) in [
            (by(&[(IMAGE, 4_000)]), images(3), Some(12_000)),
            (by(&[(IMAGE, 4_000)]), TokenUsage { output: 4_160, ..images(3) }, Some(12_000)),
            (by(&[(MINUTE, 6_000)]), minutes(90_000), Some(9_000)),
            (by(&[(MINUTE, 6_000)]), TokenUsage { input: 900, audio_input: 900, ..minutes(1) }, Some(0)),
            (by(&[(MILLION_CHARACTERS, 15_000_000)]), spoken(100), Some(1_500)),
            (
                by(&[(MINUTE_OUTPUT, 15_000)]),
                TokenUsage { audio_output_ms: 60_000, ..TokenUsage::default() },
                Some(15_000),
            ),
            (by(&[]), images(1), None),
            (by(&[]), minutes(1), None),
            (by(&[]), spoken(1), None),
            // Tokens, where they have a price and were counted.
            (
                Pricing { units: by(&[(IMAGE, 1), (IMAGE_INPUT, 8_000_000)]).units, ..tokens.clone() },
                TokenUsage { input: 1_000, image_input: 500, output: 1_000, image_output: 1_000, ..images(1) },
                Some(500 * 5 + 500 * 8 + 1_000 * 30),
            ),
            (
                Pricing { units: by(&[(TEXT_OUTPUT, 10_000_000)]).units, ..tokens.clone() },
                TokenUsage { output: 100, image_output: 40, ..images(1) },
                Some(40 * 30 + 60 * 10),
            ),
            (Pricing { units: by(&[(IMAGE, 7)]).units, ..tokens }, images(2), Some(14)),
        ] {
            assert_eq!(pricing.cost(&usage), expected.map(NanoCents), "{usage:?} {pricing:?}");
        }
    }

    #[test]
    fn an_unknown_price_is_no_price() {
        assert_eq!(Pricing::default().cost(&usage(1, 0)), None);
        assert_eq!(Pricing::default().cost(&usage(0, 0)), Some(NanoCents(0)));
        assert_eq!(Pricing { output: None, ..pricing() }.cost(&usage(1, 1)), None);
        assert_eq!(Pricing { output: None, ..pricing() }.most(1, 1, &Terms::default()), None);
        // Unknown cache rates are never free.
        let plain = Pricing { cache_read: None, cache_write: None, cache_write_1h: None, ..pricing() };
        let cached =
            TokenUsage { cache_read: 50_000, cache_write: 50_000, cache_write_1h: 50_000, ..usage(100_000, 0) };
        assert_eq!(plain.cost(&cached), Some(NanoCents(30)));
    }

    #[test]
    fn no_usage_within_the_bounds_costs_more_than_the_most() {
        let kinds = |input, output| {
            [
                usage(input, output),
                TokenUsage { cache_write: input, cache_write_1h: input, ..usage(input, output) },
                TokenUsage { audio_input: input, audio_output: output, ..usage(input, output) },
                TokenUsage { cache_read: input, ..usage(input, output) },
            ]
        };
        for (input, output) in [(1, 1), (1000, 7), (200_000, 10), (200_001, 10), (1_000_000, 100_000)] {
            let most = pricing().most(input, output, &Terms::default()).unwrap();
            for usage in kinds(input, output).into_iter().chain(kinds(input / 2, output / 2)) {
                assert!(pricing().cost(&usage).unwrap() <= most, "{usage:?}");
            }
        }
    }

    #[test]
    fn the_first_term_without_a_price_is_named() {
        let none = Pricing { units: Vec::new(), factors: Vec::new(), ..pricing() };
        let sized = Pricing {
            units: [(SEARCH_LOW, 5), (SEARCH_HIGH, 12)]
                .map(|(unit, price)| (unit.to_owned(), NanoCents(price)))
                .to_vec(),
            ..none.clone()
        };
        let priority = Terms { service: Service::Priority, ..Terms::default() };
        let in_us = Terms { in_us: true, ..Terms::default() };
        let searches = Terms { searches: 1, ..Terms::default() };
        assert_eq!(none.unknown_term(&Terms::default()), None);
        assert_eq!(none.unknown_term(&priority), Some(UnknownTerm::Service));
        assert_eq!(none.unknown_term(&in_us), Some(UnknownTerm::Place));
        assert_eq!(none.unknown_term(&searches), Some(UnknownTerm::Search));
        for terms in [priority, in_us, searches] {
            assert_eq!(pricing().unknown_term(&terms), None);
        }
        assert_eq!(sized.unknown_term(&searches), None);
        assert_eq!(
            sized.unknown_term(&Terms { search_size: Some(SearchSize::Medium), ..searches }),
            Some(UnknownTerm::Search)
        );
        assert!(sized.always_searches() && !pricing().always_searches());
    }

    #[test]
    fn reasoning_and_searches_by_size_cost_what_is_billed_apart() {
        let per_1k = 1_000;
        let research = Pricing {
            units: vec![
                (REASONING_OUTPUT.to_owned(), NanoCents(3_000_000)),
                (SEARCH.to_owned(), NanoCents(5 * per_1k)),
            ],
            input: Some(NanoCents(2_000_000)),
            output: Some(NanoCents(8_000_000)),
            ..Pricing::default()
        };
        let terms = Terms { searches: 18, ..Terms::default() };
        let used = TokenUsage { reasoning: 70, terms, ..usage(50, 100) };
        assert_eq!(research.cost(&used), Some(NanoCents(50 * 2 + 30 * 8 + 70 * 3 + 18 * 5)));
        let sized = Pricing { units: vec![(SEARCH_LOW.to_owned(), NanoCents(6 * per_1k))], ..research };
        let terms = Terms { search_size: Some(SearchSize::Low), ..terms };
        assert_eq!(sized.cost(&TokenUsage { terms, ..used }), Some(NanoCents(50 * 2 + 100 * 8 + 6)));
    }

    #[test]
    fn published_rates_come_out_to_the_nano_cent() {
        // USD per million tokens as a vendor publishes them, in nano-cents: times 10^11.
        let usd = |text: &str| NanoCents(NanoCents::parse_cents(text).unwrap().0 * 100);
        let model = Pricing {
            input: Some(usd("3")),
            output: Some(usd("15")),
            cache_read: Some(usd("0.3")),
            cache_write: Some(usd("3.75")),
            cache_write_1h: Some(usd("6")),
            units: vec![(SEARCH.to_owned(), usd("10"))],
            factors: vec![(US.to_owned(), Factor::parse("1.1").unwrap())],
            ..Pricing::default()
        };
        let all = TokenUsage {
            input: 1_000 + 20_000 + 300 + 40,
            cache_read: 20_000,
            cache_write: 300 + 40,
            cache_write_1h: 40,
            output: 777,
            reasoning: 500,
            terms: Terms { in_us: true, searches: 2, ..Terms::default() },
            ..TokenUsage::default()
        };
        // (1000*3 + 20000*0.3 + 300*3.75 + 40*6 + 777*15) * 1.1 / 10^6 + 2 * 0.01 USD
        assert_eq!(model.cost(&all), Some(NanoCents(4_422_200_000)));
        let mini = Pricing {
            input: Some(usd("0.15")),
            output: Some(usd("0.6")),
            factors: vec![("priority".to_owned(), Factor::parse("5/3").unwrap())],
            ..Pricing::default()
        };
        let terms = Terms { service: Service::Priority, ..Terms::default() };
        // 0.25 and 1 USD.
        assert_eq!(mini.cost(&TokenUsage { terms, ..usage(1, 0) }), Some(NanoCents(25_000)));
        assert_eq!(mini.cost(&TokenUsage { terms, ..usage(7, 3) }), Some(NanoCents(7 * 25_000 + 3 * 100_000)));
    }
}
