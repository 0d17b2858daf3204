//! Metadata: `google.protobuf.Struct` and JSON text.

use prost_types::value::Kind;
use prost_types::{ListValue, Struct, Value};
use serde_json::{Map, Number, Value as Json};

use crate::api::metadata::check_text;

/// Largest whole number that a double holds exactly.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// JSON object text.
///
/// # Errors
/// A sentence when it holds a number that JSON has not, or is nested too deeply.
pub(crate) fn metadata_from_proto(message: Struct) -> Result<String, String> {
    let text = Json::Object(object(message)?).to_string();
    check_text(&text)?;
    Ok(text)
}

/// JSON object text of any size.
///
/// # Errors
/// A sentence when it holds a number that JSON has not.
pub(crate) fn text_from_proto(message: Struct) -> Result<String, String> {
    Ok(Json::Object(object(message)?).to_string())
}

/// A struct of JSON object text. `None` when the text is not one, which a stored text always is.
pub(crate) fn metadata_into_proto(text: &str) -> Option<Struct> {
    match serde_json::from_str(text).ok()? {
        Json::Object(fields) => Some(structure(fields)),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) | Json::Array(_) => None,
    }
}

fn object(message: Struct) -> Result<Map<String, Json>, String> {
    message.fields.into_iter().map(|(name, value)| Ok((name, json(value)?))).collect()
}

fn json(value: Value) -> Result<Json, String> {
    Ok(match value.kind {
        None | Some(Kind::NullValue(_)) => Json::Null,
        Some(Kind::BoolValue(flag)) => Json::Bool(flag),
        Some(Kind::StringValue(text)) => Json::String(text),
        Some(Kind::NumberValue(number)) => Json::Number(number_of(number)?),
        Some(Kind::ListValue(list)) => Json::Array(list.values.into_iter().map(json).collect::<Result<_, _>>()?),
        Some(Kind::StructValue(inner)) => Json::Object(object(inner)?),
    })
}

#[expect(clippy::cast_possible_truncation, reason = "checked to be whole and within 2^53")]
fn number_of(number: f64) -> Result<Number, String> {
    if number.fract() == 0.0 && number.abs() <= EXACT {
        return Ok(Number::from(number as i64));
    }
    Number::from_f64(number).ok_or_else(|| "must not hold NaN or an infinity".to_owned())
}

fn structure(fields: Map<String, Json>) -> Struct {
    Struct { fields: fields.into_iter().map(|(name, value)| (name, message(value))).collect() }
}

fn message(value: Json) -> Value {
    let kind = match value {
        Json::Null => Kind::NullValue(0),
        Json::Bool(flag) => Kind::BoolValue(flag),
        Json::String(text) => Kind::StringValue(text),
        // A struct has no other numbers; beyond 2^53 digits are lost.
        Json::Number(number) => Kind::NumberValue(number.as_f64().unwrap_or_default()),
        Json::Array(items) => Kind::ListValue(ListValue { values: items.into_iter().map(message).collect() }),
        Json::Object(fields) => Kind::StructValue(structure(fields)),
    };
    Value { kind: Some(kind) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_round_trips_and_whole_numbers_stay_whole() {
        let text = r#"{"a":3,"b":-2.5,"c":[null,true,"x",{"d":9007199254740992}],"e":{},"f":1e300}"#;
        let back = metadata_from_proto(metadata_into_proto(text).unwrap()).unwrap();
        assert_eq!(back, text.replace("1e300", "1e+300"));
        assert!(metadata_into_proto("[]").is_none());
    }

    #[test]
    fn numbers_that_json_has_not_are_refused() {
        for number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let value = Value { kind: Some(Kind::NumberValue(number)) };
            let message = Struct { fields: [("a".to_owned(), value)].into() };
            assert!(metadata_from_proto(message).unwrap_err().contains("NaN"));
        }
    }
}
