//! Known models and provider presets.

use std::collections::BTreeMap;

use crate::domain::capability::OperationProfile;
use crate::domain::deployment::DeploymentSpec;
use crate::domain::operation::{Operation, Transport};
use crate::domain::price::Pricing;
use crate::fault::{Kind, Outcome};

/// PLACEHOLDER until the catalog lands.
#[derive(Debug)]
pub struct Catalog;

/// Where the facts about a model come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProfileSource {
    /// The catalog.
    Catalog {
        /// The catalog's id of the model.
        model: String,
    },
    /// The deployment's own entry.
    CatalogEntry,
    /// Nothing is known.
    Preset,
}

/// What a deployment can do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// Where the facts come from.
    pub source: ProfileSource,
    /// By operation.
    pub operations: BTreeMap<Operation, ResolvedOperation>,
    /// What it costs.
    pub pricing: Pricing,
}

/// One operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolvedOperation {
    /// What it can do.
    pub profile: OperationProfile,
    /// Default wire shape.
    pub transport: Transport,
    /// Wire shapes it can speak.
    pub transports: Vec<Transport>,
}

impl Catalog {
    /// Resolves.
    ///
    /// # Errors
    /// Always, for now.
    pub fn resolve(&self, _spec: &DeploymentSpec) -> Outcome<Resolved> {
        Err(Kind::Internal.into())
    }
}
