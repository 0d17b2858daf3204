//! Texts for people, metadata and client-chosen request ids.

use crate::domain::deployment::{MAX_LABEL_BYTES, MAX_METADATA_BYTES};
use crate::domain::virtual_key::MAX_KEY_NAME_BYTES;

const MAX_REQUEST_ID_BYTES: usize = 200;

/// A label or failure domain: 1..=200 bytes, no control characters, not only spaces.
pub(in crate::control) fn label(text: &str) -> Result<(), String> {
    line(text, MAX_LABEL_BYTES)
}

/// The name of a key: as a label.
pub(in crate::control) fn key_name(text: &str) -> Result<(), String> {
    line(text, MAX_KEY_NAME_BYTES)
}

/// A JSON object, at most 16 KiB as text.
pub(in crate::control) fn metadata(text: &str) -> Result<(), String> {
    if text.len() > MAX_METADATA_BYTES {
        return Err(format!("must be at most {MAX_METADATA_BYTES} bytes of JSON, is {}", text.len()));
    }
    match serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(text) {
        Ok(_) => Ok(()),
        Err(_) => Err("must be a JSON object".to_owned()),
    }
}

/// A client's `request_id`: 1..=200 visible ASCII characters.
pub(in crate::control) fn request_id(text: &str) -> Result<(), String> {
    let fits = (1..=MAX_REQUEST_ID_BYTES).contains(&text.len());
    if fits && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(());
    }
    Err(format!("must be 1 to {MAX_REQUEST_ID_BYTES} visible ASCII characters without spaces"))
}

fn line(text: &str, max: usize) -> Result<(), String> {
    if text.trim().is_empty() {
        return Err("must not be empty".to_owned());
    }
    if text.len() > max {
        return Err(format!("must be at most {max} bytes, is {}", text.len()));
    }
    if text.chars().any(char::is_control) {
        return Err("must not contain control characters".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_is_an_object_of_bounded_size() {
        assert!(metadata("{}").is_ok());
        assert!(metadata(r#"{"team":["a"]}"#).is_ok());
        for wrong in ["", "[]", "null", "1", "{", "{} {}"] {
            assert_eq!(metadata(wrong).unwrap_err(), "must be a JSON object", "{wrong}");
        }
        let at_limit = format!(r#"{{"a":"{}"}}"#, "x".repeat(MAX_METADATA_BYTES - 8));
        assert_eq!(at_limit.len(), MAX_METADATA_BYTES);
        assert!(metadata(&at_limit).is_ok());
        assert!(metadata(&format!("{at_limit} ")).is_err());
    }

    #[test]
    fn lines_are_short_visible_and_not_blank() {
        assert!(label("EU, blue").is_ok());
        assert!(key_name(&"n".repeat(MAX_KEY_NAME_BYTES)).is_ok());
        for wrong in ["", "  ", "a\nb", "\u{7}"] {
            assert!(label(wrong).is_err(), "{wrong:?}");
        }
        assert!(label(&"x".repeat(MAX_LABEL_BYTES + 1)).is_err());
    }

    #[test]
    fn request_ids_are_visible_ascii() {
        assert!(request_id("3f1c/é".trim_end_matches('é')).is_ok());
        for wrong in ["", "two words", "é", &"x".repeat(201)] {
            assert!(request_id(wrong).is_err(), "{wrong:?}");
        }
    }
}
