//! Money is an integer number of nano-cents (1 cent = 10^9). It is read from decimal text and never passes a float.

use std::fmt;

use serde::{Deserialize, Serialize};

const NANOS_PER_CENT: i64 = 1_000_000_000;

/// An amount of money in nano-cents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NanoCents(pub i64);

/// Why a text is not an amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// Not a plain decimal number.
    #[error("is not a decimal number")]
    NotDecimal,
    /// More than nine decimal places that are not zero.
    #[error("has more than 9 decimal places")]
    TooPrecise,
    /// Below zero.
    #[error("must not be negative")]
    Negative,
    /// Beyond what fits (about 9.2 thousand million cents).
    #[error("is too large")]
    TooLarge,
}

impl NanoCents {
    /// Reads cents from decimal text, as JSON writes numbers: `250`, `0.5`, `1.5e3`. Exact or an error, never rounded.
    ///
    /// # Errors
    /// When the text is not a decimal number, is negative, needs more than nine decimals or does not fit.
    pub fn parse_cents(text: &str) -> Result<Self, MoneyError> {
        let text = text.trim();
        if text.starts_with('-') {
            return Err(MoneyError::Negative);
        }
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().map_err(|_| MoneyError::NotDecimal)?),
            None => (text, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        if whole.is_empty() || (fraction.is_empty() && mantissa.contains('.')) {
            return Err(MoneyError::NotDecimal);
        }
        let digits = whole.bytes().chain(fraction.bytes());
        let mut value: i128 = 0;
        for digit in digits {
            if !digit.is_ascii_digit() {
                return Err(MoneyError::NotDecimal);
            }
            value = value
                .checked_mul(10)
                .and_then(|v| v.checked_add(i128::from(digit - b'0')))
                .ok_or(MoneyError::TooLarge)?;
        }
        let scale = i64::from(exponent) + 9 - i64::try_from(fraction.len()).unwrap_or(i64::MAX);
        let nanos = scale_by_power_of_ten(value, scale)?;
        i64::try_from(nanos).map(Self).map_err(|_| MoneyError::TooLarge)
    }

    /// Cents as decimal text without trailing zeros: `250`, `0.5`.
    #[must_use]
    pub fn to_cents_text(self) -> String {
        let sign = if self.0 < 0 { "-" } else { "" };
        let nanos = self.0.unsigned_abs();
        let (whole, rest) = (nanos / NANOS_PER_CENT.unsigned_abs(), nanos % NANOS_PER_CENT.unsigned_abs());
        if rest == 0 {
            return format!("{sign}{whole}");
        }
        let fraction = format!("{rest:09}");
        format!("{sign}{whole}.{}", fraction.trim_end_matches('0'))
    }
}

fn scale_by_power_of_ten(value: i128, power: i64) -> Result<i128, MoneyError> {
    if value == 0 {
        return Ok(0);
    }
    if power >= 0 {
        let power = u32::try_from(power).map_err(|_| MoneyError::TooLarge)?;
        return 10_i128.checked_pow(power).and_then(|factor| value.checked_mul(factor)).ok_or(MoneyError::TooLarge);
    }
    let divisor =
        u32::try_from(-power).ok().and_then(|power| 10_i128.checked_pow(power)).ok_or(MoneyError::TooPrecise)?;
    if value % divisor != 0 {
        return Err(MoneyError::TooPrecise);
    }
    Ok(value / divisor)
}

impl fmt::Display for NanoCents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_cents_text())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_read_exactly() {
        let cases = [
            ("250", Ok(250_000_000_000)),
            ("0.5", Ok(500_000_000)),
            ("1.5e3", Ok(1_500_000_000_000)),
            ("25e-1", Ok(2_500_000_000)),
            ("0.000000001", Ok(1)),
            ("0.0000000010", Ok(1)),
            ("0.0000000001", Err(MoneyError::TooPrecise)),
            ("1e400", Err(MoneyError::TooLarge)),
            ("0e400", Ok(0)),
            ("1e-400", Err(MoneyError::TooPrecise)),
            ("-1", Err(MoneyError::Negative)),
            ("1.", Err(MoneyError::NotDecimal)),
            (".5", Err(MoneyError::NotDecimal)),
            ("1_000", Err(MoneyError::NotDecimal)),
            ("", Err(MoneyError::NotDecimal)),
            ("99999999999", Err(MoneyError::TooLarge)),
        ];
        for (text, expected) in cases {
            assert_eq!(NanoCents::parse_cents(text).map(|money| money.0), expected, "{text:?}");
        }
    }

    #[test]
    fn cents_are_written_without_noise() {
        assert_eq!(NanoCents(250_000_000_000).to_string(), "250");
        assert_eq!(NanoCents(500_000_000).to_string(), "0.5");
        assert_eq!(NanoCents(1).to_string(), "0.000000001");
        assert_eq!(NanoCents(0).to_string(), "0");
    }
}
