//! Free metadata of a resource: a JSON object, kept as text.

use serde_json::Value;

/// Deepest nesting. What is deeper could be stored and then not be read back through gRPC.
pub(super) const MAX_DEPTH: usize = 32;

/// Checks that a text is a JSON object that both faces can carry.
///
/// # Errors
/// A sentence that says what is allowed.
pub(super) fn check_text(text: &str) -> Result<(), String> {
    let too_deep = || format!("must not be nested deeper than {MAX_DEPTH} levels");
    let value: Value = serde_json::from_str(text).map_err(|_| too_deep())?;
    if !value.is_object() {
        return Err("must be a JSON object".to_owned());
    }
    if depth(&value, 0) > MAX_DEPTH { Err(too_deep()) } else { Ok(()) }
}

// Parsing has bounded the recursion already.
fn depth(value: &Value, above: usize) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => above,
        Value::Array(items) => items.iter().map(|item| depth(item, above + 1)).max().unwrap_or(above + 1),
        Value::Object(fields) => fields.values().map(|item| depth(item, above + 1)).max().unwrap_or(above + 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_objects_of_moderate_depth_are_metadata() {
        let nested = |levels: usize| format!("{}1{}", "{\"a\":".repeat(levels), "}".repeat(levels));
        assert_eq!(check_text("{}"), Ok(()));
        assert_eq!(check_text(&nested(MAX_DEPTH)), Ok(()));
        assert!(check_text(&nested(MAX_DEPTH + 1)).is_err());
        assert!(check_text(&nested(1000)).is_err());
        assert!(check_text("[1]").is_err());
    }
}
