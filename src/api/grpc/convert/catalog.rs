//! Presets and known models.

use super::model::profile_into_proto;
use crate::api::grpc::proto;
use crate::control::catalog::KnownModel;
use crate::domain::preset::Preset;

/// A preset as a message.
pub(crate) fn preset_into_proto(preset: &Preset) -> proto::ProviderPreset {
    proto::ProviderPreset {
        name: preset.name.to_owned(),
        adapter: preset.adapter.to_owned(),
        title: preset.title.to_owned(),
        default_base_url: preset.default_base_url.unwrap_or_default().to_owned(),
        credentials: preset
            .credentials
            .iter()
            .map(|field| proto::CredentialField {
                name: field.name.to_owned(),
                required: field.required,
                description: field.description.to_owned(),
            })
            .collect(),
        operations: preset
            .transports
            .iter()
            .map(|(operation, transports)| proto::ProviderOperation {
                operation: operation.as_str().to_owned(),
                transports: transports.iter().map(|transport| transport.as_str().to_owned()).collect(),
            })
            .collect(),
        requires_known_model: preset.requires_known_model,
    }
}

/// A known model as a message.
pub(crate) fn known_model_into_proto(known: KnownModel) -> proto::KnownModel {
    proto::KnownModel {
        profile: Some(profile_into_proto(&known.profile)),
        provider: known.provider,
        model: known.model,
    }
}
