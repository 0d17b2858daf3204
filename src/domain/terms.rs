//! The terms that an answer was made under, beyond its tokens: what makes the same tokens dearer or cheaper, and what is
//! billed beside them.

use serde::{Deserialize, Serialize};

/// How fast, and with what claim to be served, a provider works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Service {
    /// As the catalog's rates say.
    #[default]
    Standard,
    /// Cheaper and slower (`service_tier` of OpenAI's wires).
    Flex,
    /// Dearer and served first (`service_tier` of OpenAI's wires).
    Priority,
    /// Dearer and much faster (`service_tier` of OpenAI's wires).
    Ultrafast,
    /// Dearer and faster (`speed` of Anthropic's wire).
    Fast,
}

impl Service {
    /// All that have a word.
    pub const NAMED: [Self; 4] = [Self::Flex, Self::Priority, Self::Ultrafast, Self::Fast];

    /// Its word, on the wire, in the catalog and in records; the standard one has none.
    #[must_use]
    pub const fn word(self) -> Option<&'static str> {
        match self {
            Self::Standard => None,
            Self::Flex => Some("flex"),
            Self::Priority => Some("priority"),
            Self::Ultrafast => Some("ultrafast"),
            Self::Fast => Some("fast"),
        }
    }

    /// The standard in place of what is cheaper.
    #[must_use]
    pub const fn at_least_standard(self) -> Self {
        match self {
            Self::Flex => Self::Standard,
            other => other,
        }
    }

    /// What a word says; every other word is the standard.
    #[must_use]
    pub fn of(word: &str) -> Self {
        Self::NAMED.into_iter().find(|service| service.word() == Some(word)).unwrap_or_default()
    }
}

/// How much a search reads, for providers that bill by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SearchSize {
    /// Little.
    Low,
    /// Some.
    Medium,
    /// Much.
    High,
}

impl SearchSize {
    /// What a word says.
    #[must_use]
    pub fn of(word: &str) -> Option<Self> {
        match word {
            "low" => Some(Self::Low),
            "medium" => Some(Self::Medium),
            "high" => Some(Self::High),
            _ => None,
        }
    }
}

/// The terms of one answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Terms {
    /// How it was served.
    pub service: Service,
    /// Whether it was kept in the United States at a price (`inference_geo`).
    pub in_us: bool,
    /// Searches of the web that the provider ran.
    pub searches: u64,
    /// How much they read, where the provider bills by it.
    pub search_size: Option<SearchSize>,
}

/// The name of the factor for answers that are kept in the United States.
pub const US: &str = "us";

/// What rates are multiplied by: a fraction, so that what it makes of them is exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Factor {
    /// Above the line.
    pub numerator: u32,
    /// Below it; not 0.
    pub denominator: u32,
}

impl Factor {
    /// Reads `2`, `1.75` or `5/3`; at most three decimals. `None`: not a factor between 1/1000 and 1000.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let whole = |text: &str| {
            let is_plain = !text.is_empty() && text.len() <= 6 && text.bytes().all(|byte| byte.is_ascii_digit());
            is_plain.then(|| text.parse::<u32>().ok()).flatten()
        };
        let factor = if let Some((above, below)) = text.split_once('/') {
            Self { numerator: whole(above)?, denominator: whole(below)? }
        } else {
            let (units, decimals) = text.split_once('.').unwrap_or((text, ""));
            let scale = 10_u32.checked_pow(u32::try_from(decimals.len()).ok().filter(|length| *length <= 3)?)?;
            let decimals = if decimals.is_empty() { 0 } else { whole(decimals)? };
            Self { numerator: whole(units)?.checked_mul(scale)?.checked_add(decimals)?, denominator: scale }
        };
        let (above, below) = (u64::from(factor.numerator), u64::from(factor.denominator));
        (below > 0 && above > 0 && above <= below * 1_000 && below <= above * 1_000).then_some(factor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn factors_are_read_exactly_or_not_at_all() {
        let of = |text| Factor::parse(text).map(|factor| (factor.numerator, factor.denominator));
        assert_eq!(of("2"), Some((2, 1)));
        assert_eq!(of("1.75"), Some((175, 100)));
        assert_eq!(of("0.5"), Some((5, 10)));
        assert_eq!(of("5/3"), Some((5, 3)));
        for text in ["", "0", "-1", "1.2345", "1/0", "0/1", "x", "1.", ".5", "2000", "1/2000", "1e3"] {
            assert!(matches!(text, "1.") || of(text).is_none(), "{text}");
        }
    }

    #[test]
    fn words_of_services_are_read_and_others_are_the_standard() {
        for service in Service::NAMED {
            assert_eq!(Service::of(service.word().unwrap()), service);
        }
        for word in ["default", "auto", "scale", "", "Flex"] {
            assert_eq!(Service::of(word), Service::Standard, "{word}");
        }
    }
}
