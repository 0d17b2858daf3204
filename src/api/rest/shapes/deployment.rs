//! Deployments.

use std::collections::BTreeMap;

use secrecy::SecretString;
use serde::Serialize;
use serde_json::value::RawValue;

use super::model::{
    OperationShape, PricingShape, ProfileShape, operation_shape, pricing_shape, profile_shape, read_pricing,
    read_profile,
};
use super::{etag_of, given, stored_json};
use crate::api::metadata::check_text;
use crate::api::problems::{Problems, one_of};
use crate::api::rest::body::{Field, Object};
use crate::control::{Probed, ProfileSource, Resolved};
use crate::domain::deployment::{Deployment, DeploymentPatch};
use crate::domain::names::PublicModel;
use crate::domain::operation::{Operation, Transport};
use crate::domain::patch::Patch;
use crate::domain::secret::Credentials;

/// A deployment, as answered: never its credentials.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DeploymentShape {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    public_model: String,
    provider: String,
    upstream_model: String,
    credential_fields: Vec<String>,
    catalog_model: Option<String>,
    catalog_entry: Option<ProfileShape>,
    pricing: Option<PricingShape>,
    transport_overrides: BTreeMap<&'static str, &'static str>,
    label: Option<String>,
    metadata: Option<Box<RawValue>>,
    enabled: bool,
    weight: u32,
    priority: i32,
    rpm_limit: Option<u32>,
    tpm_limit: Option<u32>,
    failure_domain: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    created_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    updated_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    etag: Option<String>,
}

/// What came of a test call, as answered.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ProbedShape {
    ok: bool,
    latency_ms: u64,
    status: Option<u16>,
    transport: Option<&'static str>,
    failure: Option<&'static str>,
    message: Option<String>,
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
}

/// What a deployment would be able to do, as answered.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ResolvedShape {
    source: &'static str,
    catalog_model: Option<String>,
    adapter: Option<&'static str>,
    operations: BTreeMap<&'static str, ResolvedOperationShape>,
    pricing: PricingShape,
}

#[derive(Debug, Serialize)]
struct ResolvedOperationShape {
    transport: &'static str,
    transports: Vec<&'static str>,
    profile: OperationShape,
}

/// Reads the fields of a deployment.
pub(crate) fn read(object: &mut Object<'_>, problems: &mut Problems) -> DeploymentPatch {
    DeploymentPatch {
        public_model: object.read("publicModel", problems, public_model),
        provider: read_provider(object, problems),
        upstream_model: object.text("upstreamModel", problems),
        credentials: object.object("credentials", problems, read_credentials),
        catalog_model: object.text("catalogModel", problems),
        catalog_entry: object.object("catalogEntry", problems, read_profile),
        pricing: object.object("pricing", problems, read_pricing),
        transport_overrides: object.object("transportOverrides", problems, read_pins),
        label: object.text("label", problems),
        metadata: object.read("metadata", problems, metadata),
        enabled: object.boolean("enabled", problems),
        weight: object.whole("weight", problems),
        priority: object.read("priority", problems, Field::integer),
        rpm_limit: object.whole("rpmLimit", problems),
        tpm_limit: object.whole("tpmLimit", problems),
        failure_domain: object.text("failureDomain", problems),
    }
}

/// A public model's name.
pub(crate) fn public_model(field: &Field<'_>) -> Result<PublicModel, String> {
    PublicModel::parse(&field.text()?).map_err(str::to_owned)
}

/// Metadata: a JSON object, kept as it was sent.
pub(crate) fn metadata(field: &Field<'_>) -> Result<String, String> {
    let text = field.json_object()?;
    check_text(&text)?;
    Ok(text)
}

fn read_provider(object: &mut Object<'_>, problems: &mut Problems) -> Patch<String> {
    let provider = object.text("provider", problems);
    let alias = object.text("adapterKey", problems);
    if provider.is_mentioned() && alias.is_mentioned() {
        problems.add("adapterKey", "is another name of `provider`; send one of them");
    }
    if provider.is_mentioned() { provider } else { alias }
}

/// Reads `{"credentials": …}`.
pub(crate) fn read_given_credentials(object: &mut Object<'_>, problems: &mut Problems) -> Option<Credentials> {
    given(object.object("credentials", problems, read_credentials))
}

fn read_credentials(object: &mut Object<'_>, problems: &mut Problems) -> Credentials {
    object.hide_values();
    let api_key = given(object.text("apiKey", problems)).map(SecretString::from);
    let base_url = given(object.text("baseUrl", problems));
    let headers = given(object.object("headers", problems, read_secrets)).unwrap_or_default();
    // What else there is belongs to the preset, which knows its names.
    Credentials { api_key, base_url, headers, extra: read_secrets(object, problems) }
}

fn read_secrets(object: &mut Object<'_>, problems: &mut Problems) -> BTreeMap<String, SecretString> {
    let mut secrets = BTreeMap::new();
    for (name, field) in object.rest() {
        if field.is_null() {
            continue;
        }
        if let Some(text) = problems.keep(&field.path, field.text()) {
            secrets.insert(name, SecretString::from(text));
        }
    }
    secrets
}

fn read_pins(object: &mut Object<'_>, problems: &mut Problems) -> BTreeMap<Operation, Transport> {
    let transports = one_of(Transport::ALL.map(Transport::as_str));
    let mut pins = BTreeMap::new();
    for (word, field) in object.rest() {
        let Ok(operation) = word.parse::<Operation>() else {
            problems.add(field.path, one_of(Operation::ALL.map(Operation::as_str)));
            continue;
        };
        let transport = field.word(|word| word.parse().ok(), &transports);
        if let Some(transport) = problems.keep(&field.path, transport) {
            pins.insert(operation, transport);
        }
    }
    pins
}

/// A deployment, to be answered. What was only validated has no id, etag and times.
pub(crate) fn write(deployment: Deployment) -> DeploymentShape {
    let stored = !deployment.id.as_uuid().is_nil();
    let spec = deployment.spec;
    DeploymentShape {
        id: stored.then(|| deployment.id.to_string()),
        public_model: spec.public_model.as_str().to_owned(),
        provider: spec.provider,
        upstream_model: spec.upstream_model,
        credential_fields: deployment.credentials.fields,
        catalog_model: spec.catalog_model,
        catalog_entry: spec.catalog_entry.as_ref().map(profile_shape),
        pricing: spec.pricing.as_ref().map(pricing_shape),
        transport_overrides: spec
            .transport_overrides
            .iter()
            .map(|(operation, transport)| (operation.as_str(), transport.as_str()))
            .collect(),
        label: spec.label,
        metadata: stored_json(spec.metadata),
        enabled: spec.enabled,
        weight: spec.weight,
        priority: spec.priority,
        rpm_limit: spec.rpm_limit,
        tpm_limit: spec.tpm_limit,
        failure_domain: spec.failure_domain,
        created_at: stored.then(|| deployment.created_at.to_rfc3339()),
        updated_at: stored.then(|| deployment.updated_at.to_rfc3339()),
        etag: etag_of(deployment.revision),
    }
}

/// What came of a test call.
pub(crate) fn write_probed(probed: Probed) -> ProbedShape {
    ProbedShape {
        ok: probed.failure.is_none(),
        latency_ms: u64::try_from(probed.latency.as_millis()).unwrap_or(u64::MAX),
        status: probed.status,
        transport: probed.transport.map(Transport::as_str),
        failure: probed.failure.as_ref().map(|failure| failure.class),
        message: probed.failure.map(|failure| failure.message),
        input_tokens: probed.usage.map(|usage| usage.input),
        output_tokens: probed.usage.map(|usage| usage.output),
    }
}

/// A dry run's answer.
pub(crate) fn write_resolved(resolved: Resolved, adapter: Option<&'static str>) -> ResolvedShape {
    let (source, catalog_model) = match resolved.source {
        ProfileSource::Catalog { model } => ("catalog", Some(model)),
        ProfileSource::CatalogEntry => ("custom", None),
        ProfileSource::Preset => ("preset", None),
    };
    ResolvedShape {
        source,
        catalog_model,
        adapter,
        operations: resolved
            .operations
            .iter()
            .map(|(operation, resolved)| {
                let shape = ResolvedOperationShape {
                    transport: resolved.transport.as_str(),
                    transports: resolved.transports.iter().map(|transport| transport.as_str()).collect(),
                    profile: operation_shape(&resolved.profile),
                };
                (operation.as_str(), shape)
            })
            .collect(),
        pricing: pricing_shape(&resolved.pricing),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::rest::body;
    use crate::domain::secret::ExposeSecret;

    #[test]
    fn every_field_is_kept_cleared_or_set() {
        let patch = body::read(
            r#"{"weight":null,"label":"x","metadata":{ "n": 3.0 },"transportOverrides":{"text.generate":"responses"}}"#,
            read,
        )
        .unwrap();
        assert_eq!(patch.weight, Patch::Clear);
        assert_eq!(patch.label, Patch::Set("x".to_owned()));
        assert_eq!(patch.metadata, Patch::Set(r#"{ "n": 3.0 }"#.to_owned()));
        assert_eq!(
            patch.transport_overrides,
            Patch::Set(BTreeMap::from([(Operation::TextGenerate, Transport::Responses)]))
        );
        assert_eq!(patch.enabled, Patch::Keep);
        assert!(!patch.credentials.is_mentioned());
    }

    #[test]
    fn adapter_key_is_another_name_of_provider() {
        let patch = body::read(r#"{"adapterKey":"openai"}"#, read).unwrap();
        assert_eq!(patch.provider, Patch::Set("openai".to_owned()));
        let fault = body::read(r#"{"adapterKey":"openai","provider":"openai"}"#, read).unwrap_err();
        assert_eq!(fault.at(), Some("adapterKey"));
    }

    #[test]
    fn preset_specific_credentials_are_kept_by_name() {
        let patch = body::read(
            r#"{"credentials":{"apiKey":"sk-1","apiVersion":"v1","headers":{"x-title":"t"},"organization":null}}"#,
            read,
        )
        .unwrap();
        let Patch::Set(credentials) = patch.credentials else { panic!("credentials were given") };
        assert_eq!(credentials.api_key.unwrap().expose_secret(), "sk-1");
        assert_eq!(credentials.headers["x-title"].expose_secret(), "t");
        assert_eq!(credentials.extra.keys().collect::<Vec<_>>(), ["apiVersion"]);
    }

    #[test]
    fn several_mistakes_are_answered_together_and_secrets_are_not() {
        let fault = body::read(
            r#"{"publicModel":"two words","wieght":3,"credentials":{"apiKey":["sk-very-secret"]},"metadata":[1],
                "transportOverrides":{"text.generate":"pigeon"}}"#,
            read,
        )
        .unwrap_err();
        let fields: Vec<&str> = fault.violations().iter().map(|violation| violation.field.as_str()).collect();
        assert_eq!(
            fields,
            ["publicModel", "credentials.apiKey", "transportOverrides.text.generate", "metadata", "wieght"]
        );
        assert!(fault.message().contains("did you mean `weight`?"));
        assert!(!fault.message().contains("very-secret"));
    }
}
