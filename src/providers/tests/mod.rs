//! Addresses, presets and the documented table.

mod fields;

use super::*;
use std::collections::BTreeSet;

fn to(transport: Transport) -> Endpoint<'static> {
    Endpoint { transport, model: "up/model 1", is_stream: false }
}

fn credentials(base_url: Option<&str>) -> Credentials {
    Credentials {
        api_key: Some("sk-1".into()),
        base_url: base_url.map(str::to_owned),
        headers: BTreeMap::from([("x-title".to_owned(), "mine".into())]),
        ..Credentials::default()
    }
}

#[test]
fn every_preset_has_a_name_of_its_own() {
    let names: BTreeSet<_> = registry().map(|provider| provider.name).collect();
    assert_eq!(names.len(), registry().count());
    assert!(registry().all(|provider| !provider.transports.is_empty()));
}

#[test]
fn a_call_is_addressed_with_our_headers_and_the_deployments() {
    let openai = find("openai").unwrap();
    let mut forwarded = HeaderMap::new();
    forwarded.insert("openai-beta", HeaderValue::from_static("x=1"));
    forwarded.insert("x-title", HeaderValue::from_static("theirs"));
    let call = address(openai, &credentials(None), to(Transport::ChatCompletions), &forwarded, Vec::new()).unwrap();
    assert_eq!(call.uri, "https://api.openai.com/v1/chat/completions");
    assert_eq!(call.headers["authorization"], "Bearer sk-1");
    assert!(call.headers["authorization"].is_sensitive());
    assert_eq!(call.headers["x-title"], "mine");
    assert_eq!(call.headers["openai-beta"], "x=1");
    assert_eq!(call.headers["accept-encoding"], "identity");
    let own = credentials(Some("http://127.0.0.1:9/v1"));
    let call = address(openai, &own, to(Transport::ChatCompletions), &HeaderMap::new(), Vec::new()).unwrap();
    assert_eq!(call.uri, "http://127.0.0.1:9/v1/chat/completions");
}

fn uri_of(preset: &str, credentials: &Credentials, transport: Transport) -> Result<String, AddressError> {
    let call = address(find(preset).unwrap(), credentials, to(transport), &HeaderMap::new(), Vec::new())?;
    Ok(call.uri.to_string())
}

#[test]
fn a_resource_an_endpoint_or_a_whole_base_say_where_azure_is() {
    use Transport::{ChatCompletions, Messages, Responses};
    let resource = |value: &str| Credentials {
        api_key: Some("k".into()),
        extra: BTreeMap::from([("resource".to_owned(), value.into())]),
        ..Credentials::default()
    };
    let base = |value: &str| Credentials { base_url: Some(value.to_owned()), ..Credentials::default() };
    let chat = "https://r.openai.azure.com/openai/v1/chat/completions";
    for credentials in [
        resource("r"),
        resource("https://r.openai.azure.com/"),
        resource("https://r.openai.azure.com/openai/v1/"),
        base("https://r.openai.azure.com"),
        base("https://r.openai.azure.com/openai"),
        base("https://r.openai.azure.com/openai/v1"),
    ] {
        assert_eq!(uri_of("azureopenai", &credentials, ChatCompletions).unwrap(), chat);
    }
    assert_eq!(
        uri_of("azurefoundry", &resource("r"), Responses).unwrap(),
        "https://r.services.ai.azure.com/openai/v1/responses"
    );
    let messages =
        address(find("azurefoundry").unwrap(), &resource("r"), to(Messages), &HeaderMap::new(), Vec::new()).unwrap();
    assert_eq!(messages.uri, "https://r.services.ai.azure.com/anthropic/v1/messages");
    assert_eq!(
        (&messages.headers["x-api-key"], &messages.headers["anthropic-version"]),
        (&HeaderValue::from_static("k"), &HeaderValue::from_static("2023-06-01"))
    );
    let mut versioned = resource("r");
    versioned.extra.insert("apiVersion".to_owned(), "preview".into());
    assert_eq!(uri_of("azureopenai", &versioned, ChatCompletions).unwrap(), format!("{chat}?api-version=preview"));
    assert_eq!(uri_of("azureopenai", &resource("evil.example/#"), ChatCompletions), Err(AddressError::BadUrl));
    assert_eq!(uri_of("azureopenai", &Credentials::default(), ChatCompletions), Err(AddressError::NoBaseUrl));
    // A proxy in front of it is where it says it is.
    let proxy = base("http://127.0.0.1:9/azure");
    assert_eq!(uri_of("azureopenai", &proxy, ChatCompletions).unwrap(), "http://127.0.0.1:9/azure/chat/completions");
}

#[test]
fn every_host_has_an_address_of_its_own_or_asks_for_one() {
    let mut with_default = 0;
    for provider in registry().filter(|provider| !matches!(provider.name, "echo" | "googleaistudio")) {
        let asks = provider.credentials.iter().any(|field| field.name == "baseUrl" && field.required);
        assert_ne!(provider.base_url.is_some(), asks, "{}", provider.name);
        let Some(base) = provider.base_url else { continue };
        with_default += 1;
        assert!(!base.ends_with('/') && base.starts_with("http"), "{}", provider.name);
        let mut own = credentials(None);
        for field in provider.credentials {
            own.extra.insert(field.name.to_owned(), "x.example".into());
        }
        let transport = provider.transports[0].1[0];
        let call = address(provider, &own, to(transport), &HeaderMap::new(), Vec::new()).unwrap();
        assert!(
            call.uri.path().ends_with("/chat/completions")
                || matches!(transport, Transport::Messages | Transport::Embeddings),
            "{}",
            provider.name
        );
        assert!(!call.uri.to_string().contains(['{', '}']), "{}", provider.name);
    }
    assert!(with_default >= 35, "{with_default}");
}

#[test]
fn vectors_and_rankings_have_their_places() {
    use Transport::{CohereEmbed, EmbedContent, Embeddings, Moderations, Rerank};
    let own = |value: &str| Credentials { base_url: Some(value.to_owned()), ..Credentials::default() };
    let resource =
        Credentials { extra: BTreeMap::from([("resource".to_owned(), "r".into())]), ..Credentials::default() };
    let none = credentials(None);
    for (preset, credentials, transport, uri) in [
        ("openai", &none, Embeddings, "https://api.openai.com/v1/embeddings"),
        ("openai", &none, Moderations, "https://api.openai.com/v1/moderations"),
        ("azureopenai", &resource, Embeddings, "https://r.openai.azure.com/openai/v1/embeddings"),
        ("azurefoundry", &resource, Rerank, "https://r.services.ai.azure.com/providers/cohere/v2/rerank"),
        ("cohere", &none, CohereEmbed, "https://api.cohere.ai/v2/embed"),
        ("cohere", &none, Rerank, "https://api.cohere.ai/v2/rerank"),
        ("cohere", &none, Transport::ChatCompletions, "https://api.cohere.ai/compatibility/v1/chat/completions"),
        ("cohere", &own("https://c.example"), Rerank, "https://c.example/v2/rerank"),
        ("cohere", &own("https://c.example/v1"), Rerank, "https://c.example/v2/rerank"),
        ("voyage", &none, Rerank, "https://api.voyageai.com/v1/rerank"),
        ("openrouter", &none, Rerank, "https://openrouter.ai/api/v1/rerank"),
        ("vllm", &own("http://v:8000/v1"), Rerank, "http://v:8000/v1/rerank"),
        (
            "googleaistudio",
            &none,
            EmbedContent,
            "https://generativelanguage.googleapis.com/v1beta/up/model%201:batchEmbedContents",
        ),
    ] {
        assert_eq!(uri_of(preset, credentials, transport).as_deref(), Ok(uri), "{preset}");
    }
}

#[test]
fn a_host_is_one_row() {
    const NEW: Provider =
        Provider { name: "new", title: "New", base_url: Some("https://api.new.example/v1"), ..compatible::HOST };
    let call =
        address(&NEW, &credentials(None), to(Transport::ChatCompletions), &HeaderMap::new(), Vec::new()).unwrap();
    assert_eq!(call.uri, "https://api.new.example/v1/chat/completions");
    assert_eq!(call.headers["authorization"], "Bearer sk-1");
    let preset = preset(&NEW);
    assert_eq!((preset.name, preset.default_base_url), ("new", Some("https://api.new.example/v1")));
    assert_eq!(preset.credentials.iter().map(|field| field.name).collect::<Vec<_>>(), ["apiKey", "baseUrl"]);
    let evidence = judge::Evidence { status: Some(429), ..judge::Evidence::default() };
    assert_eq!(judge::judge(&NEW, &evidence).class, FailureClass::Throttle);
}

/// `docs/providers.md` is written from the table; the failing test prints what it should be.
#[test]
fn the_table_of_providers_is_the_documented_one() {
    let mut table = String::from("| `provider` | host | base URL | credentials | notes |\n|---|---|---|---|---|\n");
    for provider in registry() {
        let base = provider.base_url.map_or_else(|| "(stated)".to_owned(), |base| format!("`{base}`"));
        let asks = |field: &CredentialField| match field.required {
            true => format!("**`{}`**", field.name),
            false => format!("`{}`", field.name),
        };
        let asks: Vec<String> = provider.credentials.iter().map(asks).collect();
        let row = format!(
            "| `{}` | {} | {base} | {} | {} |\n",
            provider.name,
            provider.title,
            asks.join(", "),
            notes(provider)
        );
        table.push_str(&row);
    }
    let written = include_str!("../../../docs/providers.md");
    let current = written.split_once("<!-- table -->\n").and_then(|(_, rest)| rest.split_once("<!-- end -->"));
    assert!(current.is_some_and(|(current, _)| current == table), "docs/providers.md is out of date:\n{table}");
}

fn notes(provider: &Provider) -> String {
    let quirks = &provider.quirks;
    let list = |names: &[&str]| names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let mut notes = Vec::new();
    if !provider.by_pin_only.is_empty() {
        notes
            .push(format!("{} by pin", list(&provider.by_pin_only.iter().map(|one| one.as_str()).collect::<Vec<_>>())));
    }
    if provider.requires_known_model {
        notes.push("other models need a `catalogEntry`".to_owned());
    }
    if !quirks.refuses.is_empty() {
        notes.push(format!("left out: {}", list(quirks.refuses)));
    }
    if !quirks.takes_json_schema {
        notes.push("JSON Schema in words".to_owned());
    }
    if !quirks.choices.required {
        notes.push("no forced tools".to_owned());
    }
    if quirks.takes_cache_control {
        notes.push("cache breakpoints".to_owned());
    }
    notes.join("; ")
}

#[test]
fn what_cannot_be_addressed_is_a_fault_of_the_configuration() {
    let generic = find("openaicompatible").unwrap();
    let take = |credentials: &Credentials, transport| {
        address(generic, credentials, to(transport), &HeaderMap::new(), Vec::new()).err()
    };
    assert_eq!(take(&credentials(None), Transport::ChatCompletions), Some(AddressError::NoBaseUrl));
    assert_eq!(take(&credentials(Some("http://h")), Transport::Videos), Some(AddressError::NoEndpoint));
    let mut bad = credentials(Some("http://h"));
    bad.api_key = Some("line\nfeed".into());
    assert_eq!(take(&bad, Transport::ChatCompletions), Some(AddressError::BadHeader));
}
