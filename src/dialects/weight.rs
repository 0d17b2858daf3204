//! What of a request bears on its size and price, in any contract. Read without the rest of it.
//!
//! The fields that change a price are a closed table: what is not priced is named, so that it can be refused to callers
//! whose spending is capped.

use bytes::Bytes;
use memchr::memmem;
use serde::Deserialize;

use super::raw::{RawObject, malformed};
use crate::canonical::Wire;
use crate::fault::{Fault, Kind, Outcome};

/// What bears on size and price.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Weight {
    /// Most output tokens per answer, where stated.
    pub max_output: Option<u64>,
    /// Answers that are asked for.
    pub choices: u64,
    /// Whether it points to content that is not in it.
    pub has_references: bool,
    /// Whether sound is asked for.
    pub wants_audio: bool,
    /// The first field whose effect on the price is not known here.
    pub unpriced: Option<String>,
    /// The first field that lets the provider read or write more than the request says, at known rates.
    pub unbounded: Option<String>,
}

/// Values of `service_tier` that cost what the catalog says.
const TIERS: [&str; 4] = ["auto", "default", "standard", "standard_only"];
/// Fields with a price of their own; the values beside them cost nothing extra.
const PRICED_BY_VALUE: [(&str, &[&str]); 3] =
    [("service_tier", &TIERS), ("speed", &["standard"]), ("inference_geo", &["global"])];
/// Fields that hire something with a price of its own, or another model.
const PRICED_BY_PRESENCE: [&str; 10] = [
    "container",
    "enable_search",
    "fallbacks",
    "models",
    "plugins",
    "provider",
    "route",
    "search_parameters",
    "web_search_options",
    "compound_custom",
];
/// Fields that add tokens beyond those that can be bounded.
const OPEN_ENDED: [&str; 3] = ["mcp_servers", "prediction", "context_management"];
/// Tools that the client runs: they cost tokens and nothing else. Dated ones are known by their beginning.
const CLIENT_TOOLS: [&str; 7] =
    ["function", "custom", "local_shell", "apply_patch", "computer", "computer_use_preview", "namespace"];
const DATED_CLIENT_TOOLS: [&str; 4] = ["bash_", "text_editor_", "computer_", "memory_"];
/// Tools that a provider runs without a price per call.
const OPEN_ENDED_TOOLS: [&str; 3] = ["mcp", "mcp_toolset", "tool_search"];
/// Names of fields that point elsewhere, and a disguise of names.
const REFERENCES: [&[u8]; 9] = [
    b"\"url\"",
    b"\"image_url\"",
    b"\"file_id\"",
    b"\"file_url\"",
    b"\"previous_response_id\"",
    b"\"conversation\"",
    b"\"prompt\"",
    b"\"item_reference\"",
    b"\\u00",
];

#[derive(Deserialize)]
struct Tool {
    #[serde(rename = "type")]
    kind: Option<String>,
}

/// Weighs a request.
///
/// # Errors
/// `BadRequest` that names a field that bears on the price and cannot be understood.
pub fn weigh(contract: Wire, body: &Bytes) -> Outcome<Weight> {
    let raw =
        RawObject::scan(body.clone()).map_err(|error| Fault::new(Kind::InvalidJson).because(malformed(&error)))?;
    let limits: &[&'static str] = match contract {
        Wire::Chat => &["max_completion_tokens", "max_tokens"],
        Wire::Responses => &["max_output_tokens"],
        Wire::Messages => &["max_tokens"],
        // No client speaks it.
        Wire::GenerateContent => &[],
    };
    let mut weight = Weight { choices: 1, ..Weight::default() };
    for field in limits {
        weight.max_output = weight.max_output.or(number(&raw, field)?);
    }
    if contract == Wire::Chat {
        weight.choices = number(&raw, "n")?.unwrap_or(1).max(1);
        let modalities: Option<Vec<String>> = read(&raw, "modalities", "a list of words")?;
        weight.wants_audio =
            is_stated(&raw, "audio") || modalities.is_some_and(|all| all.iter().any(|one| one == "audio"));
    }
    weight.has_references = REFERENCES.iter().any(|name| memmem::find(body, name).is_some());
    for (field, free) in PRICED_BY_VALUE {
        let stated: Option<String> = read(&raw, field, "a word")?;
        if stated.is_some_and(|word| !free.contains(&word.as_str())) {
            note(&mut weight.unpriced, field);
        }
    }
    if let Some(field) = PRICED_BY_PRESENCE.iter().find(|field| is_stated(&raw, field)) {
        note(&mut weight.unpriced, field);
    }
    if let Some(field) = OPEN_ENDED.iter().find(|field| is_stated(&raw, field)) {
        note(&mut weight.unbounded, field);
    }
    weigh_tools(&raw, &mut weight)?;
    Ok(weight)
}

fn weigh_tools(raw: &RawObject, weight: &mut Weight) -> Outcome<()> {
    let tools: Option<Vec<Tool>> = read(raw, "tools", "a list of tools")?;
    for (position, tool) in tools.iter().flatten().enumerate() {
        let Some(kind) = tool.kind.as_deref() else { continue };
        let is_clients = CLIENT_TOOLS.contains(&kind) || DATED_CLIENT_TOOLS.iter().any(|name| kind.starts_with(name));
        if is_clients {
            continue;
        }
        let noted = if OPEN_ENDED_TOOLS.contains(&kind) { &mut weight.unbounded } else { &mut weight.unpriced };
        note(noted, &format!("tools[{position}].type"));
    }
    Ok(())
}

fn note(noted: &mut Option<String>, field: &str) {
    noted.get_or_insert_with(|| field.to_owned());
}

fn is_stated(raw: &RawObject, field: &str) -> bool {
    raw.get(field).is_some_and(|json| json != b"null")
}

fn number(raw: &RawObject, field: &'static str) -> Outcome<Option<u64>> {
    read(raw, field, "a whole number")
}

fn read<'a, T: Deserialize<'a>>(raw: &'a RawObject, field: &'static str, allowed: &str) -> Outcome<Option<T>> {
    match raw.get(field) {
        None | Some(b"null") => Ok(None),
        Some(_) => raw.read(field).map_err(|_| Fault::invalid(field, format!("must be {allowed}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weigh_text(contract: Wire, text: &str) -> Weight {
        weigh(contract, &Bytes::copy_from_slice(text.as_bytes())).unwrap()
    }

    #[test]
    fn output_and_answers_are_read_by_contract() {
        let weight = weigh_text(Wire::Chat, r#"{"max_tokens":9,"max_completion_tokens":7,"n":3,"tools":null}"#);
        assert_eq!((weight.max_output, weight.choices), (Some(7), 3));
        assert_eq!(weigh_text(Wire::Chat, r#"{"max_tokens":9,"n":null}"#).max_output, Some(9));
        assert_eq!(weigh_text(Wire::Responses, r#"{"max_output_tokens":5,"max_tokens":9}"#).max_output, Some(5));
        assert_eq!(weigh_text(Wire::Messages, r#"{"max_tokens":4}"#).max_output, Some(4));
        let fault = weigh(Wire::Messages, &Bytes::from_static(br#"{"max_tokens":-4}"#)).unwrap_err();
        assert_eq!(fault.at(), Some("max_tokens"));
    }

    #[test]
    fn what_changes_the_price_is_named_and_what_does_not_is_let_through() {
        for (text, unpriced, unbounded) in [
            (r#"{"service_tier":"priority"}"#, Some("service_tier"), None),
            (r#"{"service_tier":"default"}"#, None, None),
            (r#"{"service_tier":null,"models":null}"#, None, None),
            (r#"{"speed":"fast"}"#, Some("speed"), None),
            (r#"{"web_search_options":{}}"#, Some("web_search_options"), None),
            (r#"{"models":["a","b"]}"#, Some("models"), None),
            (r#"{"tools":[{"type":"function"},{"type":"web_search"}]}"#, Some("tools[1].type"), None),
            (r#"{"tools":[{"type":"code_execution_20250825"}]}"#, Some("tools[0].type"), None),
            (r#"{"tools":[{"name":"f"},{"type":"bash_20250124"},{"type":"custom"}]}"#, None, None),
            (r#"{"tools":[{"type":"mcp"}]}"#, None, Some("tools[0].type")),
            (r#"{"prediction":{"type":"content"}}"#, None, Some("prediction")),
        ] {
            let weight = weigh_text(Wire::Chat, text);
            assert_eq!((weight.unpriced.as_deref(), weight.unbounded.as_deref()), (unpriced, unbounded), "{text}");
        }
    }

    #[test]
    fn sound_and_references_are_seen() {
        assert!(weigh_text(Wire::Chat, r#"{"modalities":["text","audio"]}"#).wants_audio);
        assert!(!weigh_text(Wire::Chat, r#"{"modalities":["text"]}"#).wants_audio);
        for text in [r#"{"messages":[{"image_url" : {"url":"https://x"}}]}"#, r#"{"a":[{"\u0075rl":1}]}"#] {
            assert!(weigh_text(Wire::Chat, text).has_references, "{text}");
        }
        assert!(!weigh_text(Wire::Chat, r#"{"messages":[{"content":"words"}]}"#).has_references);
    }
}
