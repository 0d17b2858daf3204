//! Presets, and adapters put together from them.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::domain::operation::{Operation, Transport};
use crate::domain::preset::{CredentialField, Preset};

/// A preset, as answered.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PresetShape {
    provider: &'static str,
    adapter: &'static str,
    title: &'static str,
    default_base_url: Option<&'static str>,
    credentials: Vec<CredentialShape>,
    operations: BTreeMap<&'static str, OperationShape>,
    requires_known_model: bool,
}

/// An adapter, as answered: what the presets on it have between them.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AdapterShape {
    adapter: &'static str,
    providers: Vec<&'static str>,
    operations: BTreeMap<&'static str, OperationShape>,
    credentials: Vec<CredentialShape>,
}

#[derive(Debug, Clone, Serialize)]
struct CredentialShape {
    name: &'static str,
    required: bool,
    description: &'static str,
}

/// Wire shapes of one operation, the default first.
#[derive(Debug, Default, Serialize)]
struct OperationShape {
    transports: Vec<&'static str>,
}

/// A preset, to be answered.
pub(crate) fn write_preset(preset: &Preset) -> PresetShape {
    PresetShape {
        provider: preset.name,
        adapter: preset.adapter,
        title: preset.title,
        default_base_url: preset.default_base_url,
        credentials: preset.credentials.iter().map(credential_shape).collect(),
        operations: preset
            .transports
            .iter()
            .map(|(operation, transports)| {
                (operation.as_str(), OperationShape { transports: transports.iter().map(|one| one.as_str()).collect() })
            })
            .collect(),
        requires_known_model: preset.requires_known_model,
    }
}

/// Adapters, to be answered, by name. A credential is required where every preset of the adapter requires it.
pub(crate) fn write_adapters(presets: &[Preset]) -> Vec<AdapterShape> {
    let mut adapters: BTreeMap<&'static str, AdapterShape> = BTreeMap::new();
    for preset in presets {
        let first = !adapters.contains_key(preset.adapter);
        let adapter = adapters.entry(preset.adapter).or_insert_with(|| AdapterShape {
            adapter: preset.adapter,
            providers: Vec::new(),
            operations: BTreeMap::new(),
            credentials: Vec::new(),
        });
        adapter.providers.push(preset.name);
        for (operation, transports) in &preset.transports {
            adapter.add_transports(*operation, transports);
        }
        adapter.add_credentials(preset.credentials, first);
    }
    adapters.into_values().collect()
}

impl AdapterShape {
    fn add_transports(&mut self, operation: Operation, transports: &[Transport]) {
        let known = &mut self.operations.entry(operation.as_str()).or_default().transports;
        for transport in transports {
            if !known.contains(&transport.as_str()) {
                known.push(transport.as_str());
            }
        }
    }

    fn add_credentials(&mut self, fields: &[CredentialField], first: bool) {
        for known in &mut self.credentials {
            known.required &= fields.iter().any(|field| field.name == known.name && field.required);
        }
        for field in fields {
            if !self.credentials.iter().any(|known| known.name == field.name) {
                let mut shape = credential_shape(field);
                shape.required &= first;
                self.credentials.push(shape);
            }
        }
    }
}

fn credential_shape(field: &CredentialField) -> CredentialShape {
    CredentialShape { name: field.name, required: field.required, description: field.description }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets_of_one_adapter_are_put_together() {
        const KEY: CredentialField = CredentialField { name: "apiKey", required: true, description: "key" };
        const URL: CredentialField = CredentialField { name: "baseUrl", required: true, description: "host" };
        let preset = |name, credentials, transports: &[Transport]| Preset {
            name,
            adapter: "compatible",
            title: name,
            default_base_url: None,
            credentials,
            transports: BTreeMap::from([(Operation::TextGenerate, transports.to_vec())]),
            by_pin_only: &[],
            requires_known_model: false,
        };
        let presets = [
            preset("one", &[KEY], &[Transport::ChatCompletions]),
            preset("two", &[KEY, URL], &[Transport::ChatCompletions, Transport::Responses]),
        ];
        let adapters = write_adapters(&presets);
        assert_eq!(
            serde_json::to_value(&adapters).unwrap(),
            serde_json::json!([{
                "adapter": "compatible",
                "providers": ["one", "two"],
                "operations": {"text.generate": {"transports": ["chat_completions", "responses"]}},
                "credentials": [
                    {"name": "apiKey", "required": true, "description": "key"},
                    {"name": "baseUrl", "required": false, "description": "host"},
                ],
            }])
        );
    }
}
