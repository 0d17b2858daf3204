//! Finding and listing.

use super::{catalog, preset, presets};
use crate::catalog::{Catalog, ModelFilter};
use crate::domain::operation::Operation;
use crate::domain::page::PageRequest;
use crate::fault::Kind;

#[test]
fn exact_ids_win_and_snapshots_resolve_to_their_base() {
    let catalog = catalog();
    let cases = [
        ("openai", "gpt-5.4", Some("gpt-5.4")),
        ("openai", "gpt-5.4-2026-03-05", Some("gpt-5.4-2026-03-05")),
        ("openai", "gpt-5.4-2026-11-30", Some("gpt-5.4")),
        ("anthropic", "claude-sonnet-5-20260203", Some("claude-sonnet-5")),
        ("anthropic", "claude-sonnet-5@20260203", Some("claude-sonnet-5")),
        ("anthropic", "claude-haiku-4-5-20251001", Some("claude-haiku-4-5-20251001")),
        ("openai", "gpt-5.4-2026-13-05", None),
        ("openai", "gpt-5.4-turbo", None),
        ("openai", "GPT-5.4", None),
        ("openai", "", None),
        ("openai", "claude-sonnet-5", None),
        ("nobody", "gpt-5.4", None),
    ];
    for (key, model, expected) in cases {
        assert_eq!(catalog.find(key, model).map(|known| known.id.as_str()), expected, "{key} {model}");
    }
}

#[test]
fn models_are_counted_by_file_and_operation() {
    let counts = catalog().counts();
    let openai = &counts["openai"];
    let text = openai.operations[&Operation::TextGenerate];
    assert!(text > 0 && text <= openai.models, "{openai:?}");
    assert!(counts.values().all(|count| count.operations.values().all(|number| *number <= count.models)));
}

#[test]
fn a_preset_has_the_models_of_its_name_before_those_of_its_adapter() {
    let catalog = catalog();
    assert!(catalog.find("groq", "openai/gpt-oss-120b").is_some(), "filed under the preset");
    assert!(catalog.find("openai-eu", "gpt-5.4").is_some(), "filed under the adapter");
    assert!(catalog.find("openaicompatible", "gpt-5.4").is_none());
    assert!(catalog.find("bedrock", "amazon.nova-pro-v1:0").is_some(), "an adapter without a preset");
}

#[test]
fn presets_are_found_by_name_and_a_repeated_name_is_refused() {
    let catalog = catalog();
    assert_eq!(catalog.presets(), presets());
    assert_eq!(catalog.preset("groq").map(|preset| preset.adapter), Some("openaicompatible"));
    assert!(catalog.preset("bedrock").is_none());

    let twice = vec![preset("echo", "echo", false, &[]), preset("echo", "other", false, &[])];
    let fault = Catalog::load(twice).unwrap_err();
    assert_eq!(fault.kind(), Kind::Internal);
    assert_eq!(fault.cause().as_deref(), Some("preset echo: is named twice"));
}

#[test]
fn a_list_is_ordered_and_its_pages_fit_together() {
    let catalog = catalog();
    let everything = PageRequest { limit: 500, ..PageRequest::default() };
    let all = catalog.list(&ModelFilter::default(), &everything);
    assert_eq!(usize::try_from(all.total).unwrap(), all.items.len());
    assert!(!all.has_more);
    assert!(all.items.is_sorted_by(|a, b| (a.preset, &a.model.id) < (b.preset, &b.model.id)));
    assert!(all.items.iter().all(|item| !item.operations.is_empty()));
    assert!(!all.items.iter().any(|item| item.model.id == "omni-moderation-latest"), "no preset serves it");

    let mut paged = Vec::new();
    loop {
        let offset = u32::try_from(paged.len()).unwrap();
        let page = catalog.list(&ModelFilter::default(), &PageRequest { limit: 7, offset, after: None });
        assert_eq!(page.total, all.total);
        paged.extend(page.items);
        if !page.has_more {
            break;
        }
    }
    assert_eq!(paged, all.items);
    let beyond = catalog.list(&ModelFilter::default(), &PageRequest { limit: 7, offset: u32::MAX, after: None });
    assert!(beyond.items.is_empty() && !beyond.has_more);
}

#[test]
fn every_condition_of_a_filter_holds() {
    let catalog = catalog();
    let ids = |filter: &ModelFilter| {
        let page = catalog.list(filter, &PageRequest { limit: 500, ..PageRequest::default() });
        page.items.into_iter().map(|item| (item.preset, item.model.id.clone())).collect::<Vec<_>>()
    };
    let openai = ModelFilter { preset: Some("openai".to_owned()), ..ModelFilter::default() };
    assert!(ids(&openai).iter().all(|(preset, _)| *preset == "openai"));
    let embeddings = ModelFilter { operation: Some(Operation::EmbeddingCreate), ..openai.clone() };
    let expected = ["text-embedding-3-large", "text-embedding-3-small", "text-embedding-ada-002"];
    assert_eq!(ids(&embeddings), expected.map(|id| ("openai", id.to_owned())));
    let text = ModelFilter { text: Some("LARGE".to_owned()), ..embeddings };
    assert_eq!(ids(&text), [("openai", "text-embedding-3-large".to_owned())]);
    let unserved = ModelFilter { operation: Some(Operation::Moderate), ..openai };
    assert_eq!(ids(&unserved), []);
    let unknown = ModelFilter { preset: Some("nobody".to_owned()), ..ModelFilter::default() };
    assert_eq!(ids(&unknown), []);
}
