//! A client's request for embeddings, in the OpenAI contract.

use bytes::Bytes;
use serde::de::{Deserialize, IgnoredAny};
use serde_json::value::RawValue;

use super::{Embedding, Format, Input};
use crate::dialects::question::{field, place_in, scan_model};
use crate::dialects::raw::RawObject;
use crate::fault::{Fault, Outcome};

const KNOWN: [&str; 5] = ["model", "input", "encoding_format", "dimensions", "user"];
/// Most inputs of one request; those above a provider's own bound go in several calls.
const MOST_INPUTS: usize = 4_096;
const ALLOWED: &str = "must be a string, an array of strings, an array of tokens or an array of arrays of tokens";

/// Scans a client's request.
///
/// # Errors
/// `InvalidJson`, or `BadRequest` that names the field.
pub fn scan(body: Bytes) -> Outcome<Embedding> {
    let raw = RawObject::scan_request(body, &KNOWN)?;
    let model = scan_model(&raw)?;
    let format = match field::<String>(&raw, "encoding_format", "`float` or `base64`")?.as_deref() {
        None | Some("float") => Format::Float,
        Some("base64") => Format::Base64,
        Some(_) => return Err(Fault::invalid("encoding_format", "must be `float` or `base64`")),
    };
    let dimensions: Option<u32> = field(&raw, "dimensions", "a whole number above 0")?;
    if dimensions == Some(0) {
        return Err(Fault::invalid("dimensions", "must be a whole number above 0, is 0"));
    }
    field::<String>(&raw, "user", "a string")?;
    let inputs = inputs(&raw)?;
    Ok(Embedding { raw, model, inputs, format, dimensions })
}

fn inputs(raw: &RawObject) -> Outcome<Vec<Input>> {
    let stated = raw.get("input").filter(|stated| *stated != b"null");
    let stated = stated.ok_or_else(|| Fault::invalid("input", "is required"))?;
    let whole = place_in(raw.bytes(), stated);
    let items: Vec<&RawValue> = match stated.first() {
        Some(b'"') => return Ok(vec![text(whole, "input")?]),
        Some(b'[') => serde_json::from_slice(stated).map_err(|_| Fault::invalid("input", ALLOWED))?,
        _ => return Err(Fault::invalid("input", ALLOWED)),
    };
    let first = items.first().ok_or_else(|| Fault::invalid("input", "must not be empty"))?;
    let kind = first.get().as_bytes().first().copied().unwrap_or_default();
    if kind.is_ascii_digit() {
        let count = count_tokens(stated).ok_or_else(|| Fault::invalid("input", "must hold tokens: whole numbers"))?;
        return Ok(vec![Input::Tokens(whole, count)]);
    }
    if items.len() > MOST_INPUTS {
        let sentence = format!("must hold at most {MOST_INPUTS} inputs, holds {}", items.len());
        return Err(Fault::invalid("input", sentence));
    }
    let read = |(at, item): (usize, &&RawValue)| {
        let path = || format!("input[{at}]");
        let json = item.get().as_bytes();
        let place = place_in(raw.bytes(), json);
        match json.first() {
            Some(b'"') if kind == b'"' => text(place, &path()),
            Some(b'[') if kind == b'[' => match count_tokens(json) {
                Some(count) if count > 0 => Ok(Input::Tokens(place, count)),
                _ => Err(Fault::invalid(path(), "must be an array of tokens that is not empty")),
            },
            _ => Err(Fault::invalid(
                path(),
                "must be of the same kind as the first input: a string, or an array of tokens",
            )),
        }
    };
    items.iter().enumerate().map(read).collect()
}

fn text(json: Bytes, path: &str) -> Outcome<Input> {
    if json.as_ref() == b"\"\"" {
        return Err(Fault::invalid(path, "must not be empty"));
    }
    Ok(Input::Text(json))
}

/// How many whole numbers a list holds; `None` where it holds anything else.
fn count_tokens(json: &[u8]) -> Option<u64> {
    let tokens: Vec<Token> = serde_json::from_slice(json).ok()?;
    Some(tokens.len() as u64)
}

/// A token, of which only the kind matters.
struct Token;

impl<'de> Deserialize<'de> for Token {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        u32::deserialize(deserializer).map(|_| Self)
    }
}

/// Whether a list holds nothing.
pub(super) fn is_empty(json: &[u8]) -> bool {
    serde_json::from_slice::<Vec<IgnoredAny>>(json).is_ok_and(|items| items.is_empty())
}
