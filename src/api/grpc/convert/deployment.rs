//! Deployments.

use std::collections::BTreeMap;

use secrecy::SecretString;

use super::metadata::{metadata_from_proto, metadata_into_proto};
use super::model::{
    operation_profile_into_proto, pricing_from_proto, pricing_into_proto, profile_from_proto, profile_into_proto,
    unknown_operation,
};
use super::time::{duration_into_proto, timestamp_into_proto};
use super::{etag_into_proto, filled};
use crate::api::grpc::mask::{Fields, Mask};
use crate::api::grpc::proto;
use crate::api::problems::{Problems, one_of};
use crate::control::{Probed, ProfileSource, Resolved};
use crate::domain::deployment::{Deployment, DeploymentPatch};
use crate::domain::names::PublicModel;
use crate::domain::operation::{Operation, Transport};
use crate::domain::patch::Patch;
use crate::domain::secret::Credentials;
use crate::domain::usage::TokenUsage;
use crate::fault::Outcome;
use proto::resolved_deployment::Source;

/// The fields of a deployment, as masks name them.
pub(crate) const FIELDS: Fields = Fields {
    message: "Deployment",
    changeable: &[
        "public_model",
        "provider",
        "upstream_model",
        "credentials",
        "catalog_entry",
        "pricing",
        "transport_overrides",
        "label",
        "metadata",
        "enabled",
        "weight",
        "rpm_limit",
        "tpm_limit",
        "failure_domain",
        "priority",
        "catalog_model",
    ],
    output_only: &["id", "etag", "create_time", "update_time", "credential_fields"],
};

/// What a message with its mask asks to change.
///
/// # Errors
/// `BadRequest` with every field that is wrong.
pub(crate) fn patch_from_proto(message: proto::Deployment, mask: &Mask) -> Outcome<DeploymentPatch> {
    let mut problems = Problems::default();
    let credentials = match (mask.patch("credentials", message.credentials), mask.names("credentials")) {
        // `*` keeps credentials that are not given: they cannot be read back to be sent again.
        (Patch::Clear, false) => Patch::Keep,
        (patch, _) => patch,
    };
    let pins = (!message.transport_overrides.is_empty()).then_some(message.transport_overrides);
    let public_model = mask.patch("public_model", filled(message.public_model));
    let metadata = mask.patch("metadata", message.metadata);
    let catalog_entry =
        message.catalog_entry.map(|profile| profile_from_proto(profile, "catalog_entry", &mut problems));
    let pricing = message.pricing.map(|pricing| pricing_from_proto(pricing, "pricing", &mut problems));
    let pins = pins.map(|pins| pins_from_proto(pins, &mut problems));
    let patch = DeploymentPatch {
        public_model: problems.turn("public_model", public_model, |name| PublicModel::parse(&name)),
        provider: mask.patch("provider", filled(message.provider)),
        upstream_model: mask.patch("upstream_model", filled(message.upstream_model)),
        credentials: match credentials {
            Patch::Keep => Patch::Keep,
            Patch::Clear => Patch::Clear,
            Patch::Set(message) => Patch::Set(credentials_from_proto(message)),
        },
        catalog_model: mask.patch("catalog_model", message.catalog_model),
        catalog_entry: mask.patch("catalog_entry", catalog_entry),
        pricing: mask.patch("pricing", pricing),
        transport_overrides: mask.patch("transport_overrides", pins),
        label: mask.patch("label", message.label),
        metadata: problems.turn("metadata", metadata, metadata_from_proto),
        enabled: mask.patch("enabled", message.enabled),
        weight: mask.patch("weight", message.weight),
        priority: mask.patch("priority", message.priority),
        rpm_limit: mask.patch("rpm_limit", message.rpm_limit),
        tpm_limit: mask.patch("tpm_limit", message.tpm_limit),
        failure_domain: mask.patch("failure_domain", message.failure_domain),
    };
    problems.finish(patch)
}

/// Credentials from a message.
pub(crate) fn credentials_from_proto(message: proto::Credentials) -> Credentials {
    let hide = |map: BTreeMap<String, String>| {
        map.into_iter().map(|(name, value)| (name, SecretString::from(value))).collect()
    };
    Credentials {
        api_key: message.api_key.map(SecretString::from),
        base_url: message.base_url,
        headers: hide(message.headers),
        extra: hide(message.extra),
    }
}

fn pins_from_proto(message: BTreeMap<String, String>, problems: &mut Problems) -> BTreeMap<Operation, Transport> {
    let mut pins = BTreeMap::new();
    for (operation, transport) in message {
        let at = format!("transport_overrides.{operation}");
        match (operation.parse(), transport.parse()) {
            (Ok(operation), Ok(transport)) => {
                pins.insert(operation, transport);
            }
            (Err(_), _) => problems.add(at, unknown_operation()),
            (_, Err(_)) => problems.add(at, one_of(Transport::ALL.map(Transport::as_str))),
        }
    }
    pins
}

/// What came of a test call, as a message.
pub(crate) fn probed_into_proto(probed: Probed) -> proto::TestDeploymentResponse {
    let tokens = |count: fn(&TokenUsage) -> u64| {
        probed.usage.as_ref().map(|usage| i64::try_from(count(usage)).unwrap_or(i64::MAX))
    };
    let (input_tokens, output_tokens) = (tokens(|usage| usage.input), tokens(|usage| usage.output));
    proto::TestDeploymentResponse {
        ok: probed.failure.is_none(),
        latency: Some(duration_into_proto(probed.latency)),
        status: probed.status.map(i32::from),
        transport: probed.transport.map_or_else(String::new, |transport| transport.as_str().to_owned()),
        failure: probed.failure.as_ref().map_or_else(String::new, |failure| failure.class.to_owned()),
        message: probed.failure.map(|failure| failure.message).unwrap_or_default(),
        input_tokens,
        output_tokens,
    }
}

/// A deployment as a message, without credentials. What was only validated has no id, etag and times.
pub(crate) fn deployment_into_proto(deployment: Deployment) -> proto::Deployment {
    let stored = !deployment.id.as_uuid().is_nil();
    let spec = deployment.spec;
    proto::Deployment {
        id: if stored { deployment.id.to_string() } else { String::new() },
        etag: etag_into_proto(deployment.revision),
        create_time: stored.then(|| timestamp_into_proto(deployment.created_at)),
        update_time: stored.then(|| timestamp_into_proto(deployment.updated_at)),
        public_model: spec.public_model.as_str().to_owned(),
        provider: spec.provider,
        upstream_model: spec.upstream_model,
        credentials: None,
        credential_fields: deployment.credentials.fields,
        catalog_entry: spec.catalog_entry.as_ref().map(profile_into_proto),
        pricing: spec.pricing.as_ref().map(pricing_into_proto),
        transport_overrides: spec
            .transport_overrides
            .iter()
            .map(|(operation, transport)| (operation.as_str().to_owned(), transport.as_str().to_owned()))
            .collect(),
        label: spec.label,
        metadata: spec.metadata.as_deref().and_then(metadata_into_proto),
        enabled: Some(spec.enabled),
        weight: Some(spec.weight),
        rpm_limit: spec.rpm_limit,
        tpm_limit: spec.tpm_limit,
        failure_domain: spec.failure_domain,
        priority: Some(spec.priority),
        catalog_model: spec.catalog_model,
    }
}

/// A dry run's answer as a message.
pub(crate) fn resolved_into_proto(resolved: Resolved, adapter: &str) -> proto::ResolvedDeployment {
    let (source, catalog_model) = match resolved.source {
        ProfileSource::Catalog { model } => (Source::Catalog, model),
        ProfileSource::CatalogEntry => (Source::CatalogEntry, String::new()),
        ProfileSource::Preset => (Source::Preset, String::new()),
    };
    proto::ResolvedDeployment {
        source: source.into(),
        catalog_model,
        operations: resolved
            .operations
            .into_iter()
            .map(|(operation, resolved)| proto::ResolvedOperation {
                operation: operation.as_str().to_owned(),
                transport: resolved.transport.as_str().to_owned(),
                transports: resolved.transports.iter().map(|transport| transport.as_str().to_owned()).collect(),
                profile: Some(operation_profile_into_proto(&resolved.profile)),
            })
            .collect(),
        pricing: Some(pricing_into_proto(&resolved.pricing)),
        adapter: adapter.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::draft;
    use crate::domain::deployment::DeploymentSpec;
    use crate::domain::ids::{DeploymentId, Revision};
    use crate::domain::money::NanoCents;
    use crate::domain::price::Pricing;
    use crate::domain::secret::{ExposeSecret, SealedCredentials};
    use crate::time::Timestamp;
    use prost_types::FieldMask;
    use uuid::Uuid;

    fn full() -> Deployment {
        let model = PublicModel::parse("team/general").unwrap();
        Deployment {
            id: DeploymentId::from_uuid(Uuid::from_u128(7)),
            revision: Revision(9),
            created_at: Timestamp::from_unix_ms(1),
            updated_at: Timestamp::from_unix_ms(2),
            spec: DeploymentSpec {
                catalog_model: Some("gpt-5.4".to_owned()),
                catalog_entry: Some(Default::default()),
                pricing: Some(Pricing { input: Some(NanoCents(5)), ..Pricing::default() }),
                transport_overrides: BTreeMap::from([(Operation::TextGenerate, Transport::Responses)]),
                label: Some("blue".to_owned()),
                metadata: Some(r#"{"n":3,"team":"a"}"#.to_owned()),
                enabled: false,
                weight: 0,
                priority: -1,
                rpm_limit: Some(10),
                tpm_limit: Some(20),
                failure_domain: Some("eu".to_owned()),
                ..DeploymentSpec::new(model, "openai", "gpt")
            },
            credentials: SealedCredentials { envelope: vec![1], fields: vec!["apiKey".to_owned()] },
        }
    }

    #[test]
    fn a_deployment_round_trips_without_its_credentials() {
        let message = deployment_into_proto(full());
        assert_eq!((message.id.len(), message.etag.as_str()), (36, "r9"));
        assert_eq!(message.credential_fields, ["apiKey"]);
        assert!(message.credentials.is_none());
        let patch = patch_from_proto(message, &Mask::Populated).unwrap();
        assert_eq!(draft::deployment(patch).unwrap().spec, full().spec);
    }

    #[test]
    fn what_was_only_validated_has_no_identity() {
        let dry = Deployment { id: DeploymentId::from_uuid(Uuid::nil()), revision: Revision(0), ..full() };
        let message = deployment_into_proto(dry);
        assert_eq!((message.id.as_str(), message.etag.as_str(), message.create_time), ("", "", None));
    }

    #[test]
    fn a_star_clears_what_is_unset_but_not_the_credentials() {
        let message = proto::Deployment { label: Some("x".to_owned()), ..proto::Deployment::default() };
        let patch = patch_from_proto(message.clone(), &Mask::Everything).unwrap();
        assert_eq!(patch.label, Patch::Set("x".to_owned()));
        assert_eq!(patch.weight, Patch::Clear);
        assert_eq!(patch.provider, Patch::Clear);
        assert!(!patch.credentials.is_mentioned());
        let named = Mask::read(Some(FieldMask { paths: vec!["credentials".to_owned()] }), FIELDS).unwrap();
        assert!(matches!(patch_from_proto(message, &named).unwrap().credentials, Patch::Clear));
    }

    #[test]
    fn credentials_replace_all_of_them() {
        let message = proto::Deployment {
            credentials: Some(proto::Credentials {
                api_key: Some("sk-1".to_owned()),
                extra: BTreeMap::from([("apiVersion".to_owned(), "v1".to_owned())]),
                ..proto::Credentials::default()
            }),
            ..proto::Deployment::default()
        };
        let Patch::Set(credentials) = patch_from_proto(message, &Mask::Populated).unwrap().credentials else {
            panic!("credentials were given");
        };
        assert_eq!(credentials.api_key.unwrap().expose_secret(), "sk-1");
        assert_eq!(credentials.extra["apiVersion"].expose_secret(), "v1");
        assert!(credentials.base_url.is_none());
    }

    #[test]
    fn wrong_words_are_named() {
        let message = proto::Deployment {
            public_model: "two words".to_owned(),
            transport_overrides: BTreeMap::from([("text.generate".to_owned(), "pigeon".to_owned())]),
            ..proto::Deployment::default()
        };
        let fault = patch_from_proto(message, &Mask::Populated).unwrap_err();
        let fields: Vec<&str> = fault.violations().iter().map(|violation| violation.field.as_str()).collect();
        assert_eq!(fields, ["transport_overrides.text.generate", "public_model"]);
    }
}
