//! What of a request bears on its size and price, in any contract. Read without the rest of it.
//!
//! The fields that change a price are a closed table: what is not priced is named, so that it can be refused to callers
//! whose spending is capped.

use bytes::Bytes;
use memchr::memmem;
use serde::Deserialize;

use super::raw::{RawObject, malformed};
use crate::canonical::Wire;
use crate::canonical::terms::{SearchSize, Service, Terms, US};
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
    /// What it asks for beyond tokens, at a price that the model may have.
    pub terms: Terms,
    /// The field that names the service of those terms.
    pub service_field: &'static str,
    /// The field that hires their searches.
    pub search_field: Option<String>,
    /// The first field whose effect on the price is not known here.
    pub unpriced: Option<String>,
    /// The first field that lets the provider read or write more than the request says, at known rates.
    pub unbounded: Option<String>,
}

/// Searches that are thought to be made where the request sets no limit.
const USUAL_SEARCHES: u64 = 5;
/// More are not held for, whatever the limit.
const MOST_SEARCHES: u64 = 100;
/// Fields with a price of their own: values that cost nothing extra, values that a model may have a price for.
const PRICED_BY_VALUE: [(&str, &[&str], &[&str]); 3] = [
    ("service_tier", &["auto", "default", "standard", "standard_only"], &["flex", "priority", "ultrafast"]),
    ("speed", &["standard"], &["fast"]),
    ("inference_geo", &["global"], &[US]),
];
/// Fields that hire something with a price of its own, or another model.
const PRICED_BY_PRESENCE: [&str; 9] = [
    "container",
    "enable_search",
    "fallbacks",
    "models",
    "plugins",
    "provider",
    "route",
    "search_parameters",
    "compound_custom",
];
/// Fields that add tokens beyond those that can be bounded.
const OPEN_ENDED: [&str; 3] = ["mcp_servers", "prediction", "context_management"];
/// Tools that the client runs: they cost tokens and nothing else. Dated ones are known by their beginning.
const CLIENT_TOOLS: [&str; 7] =
    ["function", "custom", "local_shell", "apply_patch", "computer", "computer_use_preview", "namespace"];
const DATED_CLIENT_TOOLS: [&str; 4] = ["bash_", "text_editor_", "computer_", "memory_"];
/// Tools that a provider runs without a price per call. Dated ones are known by their beginning.
const OPEN_ENDED_TOOLS: [&str; 3] = ["mcp", "mcp_toolset", "tool_search"];
const DATED_OPEN_ENDED_TOOLS: [&str; 2] = ["web_fetch_", "tool_search_tool_"];
/// Searches of the web that a provider runs, bills by the search, and counts in its answer.
const SEARCH_TOOLS: [&str; 2] = ["web_search", "web_search_preview"];
const DATED_SEARCH_TOOLS: [&str; 2] = ["web_search_2", "web_search_preview_2"];
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
    max_uses: Option<u64>,
}

#[derive(Deserialize)]
struct SearchOptions {
    search_context_size: Option<String>,
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
    let mut weight = Weight { choices: 1, service_field: "service_tier", ..Weight::default() };
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
    for (field, free, dear) in PRICED_BY_VALUE {
        let stated: Option<String> = read(&raw, field, "a word")?;
        let Some(word) = stated.filter(|word| !free.contains(&word.as_str())) else { continue };
        if !dear.contains(&word.as_str()) {
            note(&mut weight.unpriced, field);
        } else if field == "inference_geo" {
            weight.terms.in_us = true;
        } else {
            weight.terms.service = Service::of(&word);
            weight.service_field = field;
        }
    }
    if let Some(field) = PRICED_BY_PRESENCE.iter().find(|field| is_stated(&raw, field)) {
        note(&mut weight.unpriced, field);
    }
    if let Some(field) = OPEN_ENDED.iter().find(|field| is_stated(&raw, field)) {
        note(&mut weight.unbounded, field);
    }
    weigh_tools(contract, &raw, &mut weight)?;
    weigh_search_options(&raw, &mut weight)?;
    Ok(weight)
}

/// Searches for every answer, by how much they read: for models that are billed so.
fn weigh_search_options(raw: &RawObject, weight: &mut Weight) -> Outcome<()> {
    const FIELD: &str = "web_search_options";
    let stated: Option<SearchOptions> = read(raw, FIELD, "an object")?;
    let Some(options) = stated else { return Ok(()) };
    let size = options.search_context_size.as_deref();
    weight.terms.searches = weight.terms.searches.max(1);
    weight.terms.search_size = Some(size.and_then(SearchSize::of).unwrap_or(SearchSize::Low));
    weight.search_field = Some(FIELD.to_owned());
    if size.is_some_and(|size| SearchSize::of(size).is_none()) {
        note(&mut weight.unpriced, FIELD);
    }
    Ok(())
}

fn weigh_tools(contract: Wire, raw: &RawObject, weight: &mut Weight) -> Outcome<()> {
    let is_one_of = |kind: &str, names: &[&str], beginnings: &[&str]| {
        names.contains(&kind) || beginnings.iter().any(|name| kind.starts_with(name))
    };
    let tools: Option<Vec<Tool>> = read(raw, "tools", "a list of tools")?;
    let max_tool_calls = number(raw, "max_tool_calls")?;
    for (position, tool) in tools.iter().flatten().enumerate() {
        let Some(kind) = tool.kind.as_deref() else { continue };
        let field = || format!("tools[{position}].type");
        if is_one_of(kind, &CLIENT_TOOLS, &DATED_CLIENT_TOOLS) {
            continue;
        }
        // In Chat Completions no answer says how often a tool was used.
        if contract != Wire::Chat && is_one_of(kind, &SEARCH_TOOLS, &DATED_SEARCH_TOOLS) {
            // What is found is read by the model, however much it is.
            note(&mut weight.unbounded, &field());
            note(&mut weight.search_field, &field());
            let most = tool.max_uses.or(max_tool_calls).unwrap_or(USUAL_SEARCHES).min(MOST_SEARCHES);
            weight.terms.searches = weight.terms.searches.saturating_add(most);
        } else if is_one_of(kind, &OPEN_ENDED_TOOLS, &DATED_OPEN_ENDED_TOOLS) {
            note(&mut weight.unbounded, &field());
        } else {
            note(&mut weight.unpriced, &field());
        }
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
            (r#"{"service_tier":"scale"}"#, Some("service_tier"), None),
            (r#"{"service_tier":"default"}"#, None, None),
            (r#"{"service_tier":null,"models":null}"#, None, None),
            (r#"{"speed":"warp"}"#, Some("speed"), None),
            (r#"{"inference_geo":"eu"}"#, Some("inference_geo"), None),
            (r#"{"web_search_options":{"search_context_size":"huge"}}"#, Some("web_search_options"), None),
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
    fn what_a_model_may_have_a_price_for_is_read_as_terms() {
        fn terms(contract: Wire, text: &str) -> (Terms, &'static str, Option<String>, Option<String>) {
            let weight = weigh_text(contract, text);
            assert_eq!(weight.unpriced, None, "{text}");
            (weight.terms, weight.service_field, weight.search_field, weight.unbounded)
        }
        use Wire::{Chat, Messages, Responses};
        let tool = Some("tools[0].type".to_owned());
        let none = Terms::default();
        for (word, service) in
            [("flex", Service::Flex), ("priority", Service::Priority), ("ultrafast", Service::Ultrafast)]
        {
            let read = terms(Chat, &format!(r#"{{"service_tier":"{word}"}}"#));
            assert_eq!(read, (Terms { service, ..none }, "service_tier", None, None));
        }
        let fast = Terms { service: Service::Fast, ..none };
        assert_eq!(terms(Messages, r#"{"speed":"fast"}"#), (fast, "speed", None, None));
        assert_eq!(terms(Messages, r#"{"inference_geo":"us"}"#).0, Terms { in_us: true, ..none });
        for (contract, text, searches) in [
            (Messages, r#"{"tools":[{"type":"web_search_20250305","name":"web_search","max_uses":3}]}"#, 3),
            (Messages, r#"{"tools":[{"type":"web_search_20260209","name":"web_search"}]}"#, 5),
            (Messages, r#"{"tools":[{"type":"web_search_20260209","max_uses":9000}]}"#, 100),
            (Responses, r#"{"tools":[{"type":"web_search"}],"max_tool_calls":7}"#, 7),
            (Responses, r#"{"tools":[{"type":"web_search_preview_2025_03_11"}]}"#, 5),
        ] {
            let read = terms(contract, text);
            assert_eq!(read, (Terms { searches, ..none }, "service_tier", tool.clone(), tool.clone()), "{text}");
        }
        let sized = Terms { searches: 1, search_size: Some(SearchSize::High), ..none };
        let read = terms(Chat, r#"{"web_search_options":{"search_context_size":"high"}}"#);
        assert_eq!(read, (sized, "service_tier", Some("web_search_options".to_owned()), None));
        assert_eq!(terms(Messages, r#"{"tools":[{"type":"web_fetch_20250910"}]}"#).3, tool);
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
