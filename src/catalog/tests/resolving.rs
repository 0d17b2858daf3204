//! What deployments resolve to.

use super::{catalog, pins};
use crate::catalog::{ProfileSource, Resolved};
use crate::domain::capability::{ModelProfile, OperationProfile};
use crate::domain::deployment::DeploymentSpec;
use crate::domain::money::NanoCents;
use crate::domain::names::PublicModel;
use crate::domain::operation::{Operation, Transport};
use crate::domain::price::Pricing;
use crate::fault::{Fault, Kind};
use Operation::{EmbeddingCreate, ImageEdit, ImageGenerate, Moderate, TextGenerate};

fn spec(provider: &str, model: &str) -> DeploymentSpec {
    DeploymentSpec::new(PublicModel::parse("public").unwrap(), provider, model)
}

fn entry(operations: &[Operation]) -> ModelProfile {
    let known = OperationProfile { tools: true, max_input_tokens: Some(9), ..OperationProfile::default() };
    ModelProfile {
        operations: operations.iter().map(|operation| (*operation, known.clone())).collect(),
        pricing: Pricing { input: Some(NanoCents(3)), output: Some(NanoCents(4)), ..Pricing::default() },
    }
}

fn resolved(spec: &DeploymentSpec) -> Resolved {
    catalog().resolve(spec).unwrap()
}

fn refused(result: Result<impl std::fmt::Debug, Fault>, field: &str, says: &str) {
    let fault = result.unwrap_err();
    assert_eq!(fault.kind(), Kind::BadRequest);
    assert_eq!(fault.at(), Some(field));
    assert_eq!(fault.message(), format!("{field}: {says}"));
}

fn from_catalog(model: &str) -> ProfileSource {
    ProfileSource::Catalog { model: model.to_owned() }
}

#[test]
fn a_known_model_has_its_facts_wires_and_prices() {
    let resolved = resolved(&spec("openai", "gpt-5.4-2026-11-30"));
    assert_eq!(resolved.source, from_catalog("gpt-5.4"));
    assert_eq!(resolved.operations.keys().copied().collect::<Vec<_>>(), [TextGenerate]);
    let text = &resolved.operations[&TextGenerate];
    assert!(text.profile.tools && text.profile.vision);
    assert_eq!(text.profile.max_input_tokens, Some(922_000));
    assert_eq!(text.transport, Transport::ChatCompletions);
    assert_eq!(text.transports, [Transport::ChatCompletions, Transport::Responses]);
    assert_eq!(resolved.pricing.input, Some(NanoCents(250_000_000_000)));
    assert_eq!(resolved.pricing.tiers[0].above_input_tokens, 272_000);

    let image = super::catalog().resolve(&spec("openai", "gpt-image-2")).unwrap();
    assert_eq!(image.operations[&ImageGenerate].transports, [Transport::Images]);
    assert_eq!(image.operations[&ImageEdit].transports, [Transport::ImageEdits]);
}

#[test]
fn the_models_first_wire_that_the_preset_speaks_is_the_default() {
    let pro = resolved(&spec("openai", "gpt-5.4-pro"));
    assert_eq!(pro.operations[&TextGenerate].transports, [Transport::Responses], "the model has no other");
    let narrow = resolved(&spec("openai-eu", "gpt-5.4"));
    assert_eq!(narrow.operations[&TextGenerate].transports, [Transport::ChatCompletions], "the preset has no other");
    let disjoint = resolved(&spec("openai-eu", "gpt-5.4-pro"));
    assert_eq!(disjoint.operations[&TextGenerate].transport, Transport::ChatCompletions, "nothing in common");
}

#[test]
fn an_unknown_preset_is_refused_with_the_known_ones() {
    let says = "`opnai` is not a known preset; known: openai, anthropic, groq, openai-eu, openaicompatible, echo";
    refused(catalog().resolve(&spec("opnai", "gpt-5.4")), "provider", says);
    refused(catalog().check_entry_allowed(&spec("opnai", "gpt-5.4")), "provider", says);
}

#[test]
fn catalog_model_lends_its_profile_to_a_name_of_ones_own() {
    let mut own = spec("openai", "my-deployment");
    own.catalog_model = Some("gpt-5.4-2026-11-30".to_owned());
    let lent = resolved(&own);
    assert_eq!(lent, resolved(&spec("openai", "gpt-5.4")));
    own.catalog_model = Some("gpt-9".to_owned());
    refused(catalog().resolve(&own), "catalogModel", "`gpt-9` is not in the catalog of `openai`");
}

#[test]
fn an_unknown_model_needs_an_entry_where_the_preset_says_so() {
    let mut unknown = spec("openai", "gpt-9");
    let says = "is required because `gpt-9` is not in the catalog of `openai`";
    refused(catalog().resolve(&unknown), "catalogEntry", says);

    unknown.catalog_entry = Some(entry(&[TextGenerate, Moderate]));
    catalog().check_entry_allowed(&unknown).unwrap();
    let resolved = resolved(&unknown);
    assert_eq!(resolved.source, ProfileSource::CatalogEntry);
    assert_eq!(resolved.operations.keys().copied().collect::<Vec<_>>(), [TextGenerate], "the preset cannot moderate");
    assert_eq!(resolved.operations[&TextGenerate].profile.max_input_tokens, Some(9));
    assert_eq!(resolved.operations[&TextGenerate].transports, [Transport::ChatCompletions, Transport::Responses]);
    assert_eq!(resolved.pricing.input, Some(NanoCents(3)));
}

#[test]
fn an_open_host_serves_anything_with_nothing_known() {
    let open = resolved(&spec("openaicompatible", "my-llama"));
    assert_eq!(open.source, ProfileSource::Preset);
    assert_eq!(open.operations.keys().copied().collect::<Vec<_>>(), [TextGenerate, EmbeddingCreate]);
    assert_eq!(open.operations[&TextGenerate].profile, OperationProfile::default());
    assert_eq!(open.operations[&TextGenerate].transports, [Transport::ChatCompletions, Transport::Responses]);
    assert!(open.pricing.is_empty());
    assert_eq!(resolved(&spec("echo", "anything")).operations[&TextGenerate].transport, Transport::ChatCompletions);
}

#[test]
fn an_entry_for_a_known_model_is_refused_on_write_and_honoured_once_stored() {
    let mut known = spec("openai", "gpt-5.4-2026-11-30");
    catalog().check_entry_allowed(&known).unwrap();
    known.catalog_entry = Some(entry(&[TextGenerate]));
    let says = "is only for models outside the catalog, and `gpt-5.4-2026-11-30` is in it as `gpt-5.4`; \
                `pricing` overrides its prices";
    refused(catalog().check_entry_allowed(&known), "catalogEntry", says);
    let stored = resolved(&known);
    assert_eq!(stored.source, ProfileSource::CatalogEntry);
    assert_eq!(stored.operations[&TextGenerate].profile.max_input_tokens, Some(9));

    let mut both = spec("openai", "gpt-9");
    both.catalog_entry = Some(entry(&[TextGenerate]));
    both.catalog_model = Some("gpt-5.4".to_owned());
    let says = "cannot be combined with `catalogModel`; state one of them";
    refused(catalog().check_entry_allowed(&both), "catalogEntry", says);
}

#[test]
fn a_deployment_with_no_operation_left_is_refused() {
    let says = "`omni-moderation-latest` does moderate, and `openai` serves \
                text.generate, embedding.create, image.generate, image.edit";
    refused(catalog().resolve(&spec("openai", "omni-moderation-latest")), "upstreamModel", says);
    for (operations, names) in [(&[][..], "nothing"), (&[Moderate][..], "moderate")] {
        let mut custom = spec("anthropic", "mine");
        custom.catalog_entry = Some(entry(operations));
        let says = format!("must name an operation that `anthropic` serves: text.generate; it names {names}");
        refused(catalog().resolve(&custom), "catalogEntry.operations", &says);
    }
}

#[test]
fn a_pin_must_fit_the_model_and_the_preset() {
    let mut pinned = spec("openai", "gpt-5.4");
    pinned.transport_overrides = pins(&[(TextGenerate, Transport::Responses)]);
    let text = &resolved(&pinned).operations[&TextGenerate];
    assert_eq!((text.transport, text.transports.as_slice()), (Transport::Responses, &[Transport::Responses][..]));

    pinned.transport_overrides = pins(&[(TextGenerate, Transport::Messages)]);
    let says = "`messages` is not spoken by `openai`; allowed: chat_completions, responses";
    refused(catalog().resolve(&pinned), "transportOverrides.text.generate", says);

    pinned.transport_overrides = pins(&[(EmbeddingCreate, Transport::Embeddings)]);
    let says = "is not an operation of this deployment; it has: text.generate";
    refused(catalog().resolve(&pinned), "transportOverrides.embedding.create", says);
}

#[test]
fn the_specs_prices_go_before_the_catalogs() {
    let mut priced = spec("openai", "gpt-5.4");
    priced.pricing = Some(Pricing { input: Some(NanoCents(1)), ..Pricing::default() });
    let pricing = resolved(&priced).pricing;
    assert_eq!(pricing.input, Some(NanoCents(1)));
    assert_eq!(pricing.output, Some(NanoCents(1_500_000_000_000)), "not stated, so the catalog's");
    assert!(pricing.tiers.is_empty(), "tiers belong to the rates they were stated with");

    let mut open = spec("openaicompatible", "my-llama");
    open.pricing = priced.pricing;
    assert_eq!(resolved(&open).pricing.input, Some(NanoCents(1)));
}
