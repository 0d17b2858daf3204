//! What a provider preset asks of an operator and offers in return. How it is called is the business of `providers`.

use std::collections::BTreeMap;

use super::operation::{Operation, Transport};

/// One provider preset, as `CatalogService.ListProviders` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preset {
    /// The word in a deployment's `provider`: `openai`, `groq`, `echo`.
    pub name: &'static str,
    /// The adapter that serves it: the code, of which several presets can be rows.
    pub adapter: &'static str,
    /// Name for people.
    pub title: &'static str,
    /// Base URL when the credentials have none. `None`: the operator must give one (or the preset needs none).
    pub default_base_url: Option<&'static str>,
    /// The credential fields it takes.
    pub credentials: &'static [CredentialField],
    /// Operations it can serve, with the wire shapes it speaks for each; the first is the default.
    pub transports: BTreeMap<Operation, Vec<Transport>>,
    /// Those of them that not every server behind the preset speaks: they are used only where a deployment pins them.
    pub by_pin_only: &'static [Transport],
    /// Whether models outside the catalog need a `catalogEntry`. `false` for hosts that serve anything.
    pub requires_known_model: bool,
}

/// One credential field of a preset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CredentialField {
    /// camelCase name inside `credentials`.
    pub name: &'static str,
    /// Whether a deployment must state it.
    pub required: bool,
    /// What it is, for people.
    pub description: &'static str,
}
