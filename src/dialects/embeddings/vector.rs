//! Vectors as JSON numbers, and as base64 of 32-bit floats, little-endian.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

/// The numbers of a list as base64 with its quotes. `None`: not a list of finite numbers.
pub(super) fn to_base64(numbers: &str) -> Option<String> {
    let numbers: Vec<f64> = serde_json::from_str(numbers).ok()?;
    let bytes: Vec<u8> = numbers.iter().flat_map(|number| (*number as f32).to_le_bytes()).collect();
    Some(format!("\"{}\"", BASE64_STANDARD.encode(bytes)))
}

/// Base64, in its quotes, as a list of numbers. `None`: not the bytes of finite 32-bit floats.
pub(super) fn to_numbers(quoted: &str) -> Option<String> {
    let text: String = serde_json::from_str(quoted).ok()?;
    let bytes = BASE64_STANDARD.decode(text).ok()?;
    if bytes.len() % 4 != 0 {
        return None;
    }
    let numbers: Vec<f32> =
        bytes.chunks_exact(4).filter_map(|four| four.try_into().ok()).map(f32::from_le_bytes).collect();
    if numbers.iter().any(|number| !number.is_finite()) {
        return None;
    }
    serde_json::to_string(&numbers).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_base64_are_the_same_vector() {
        assert_eq!(to_base64("[1, -2.5, 0]").as_deref(), Some("\"AACAPwAAIMAAAAAA\""));
        assert_eq!(to_numbers("\"AACAPwAAIMAAAAAA\"").as_deref(), Some("[1.0,-2.5,0.0]"));
        assert_eq!(to_numbers(&to_base64("[0.1,3.0e-8]").unwrap()).as_deref(), Some("[0.1,3e-8]"));
        for wrong in ["\"AAA=\"", "\"?\"", "\"AADAfw==\"", "7"] {
            assert_eq!(to_numbers(wrong), None, "{wrong}");
        }
        assert_eq!(to_base64("[\"a\"]"), None);
    }
}
