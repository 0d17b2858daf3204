//! A deployment: public model + provider preset + upstream model + credentials + weight and limits.

use std::collections::BTreeMap;

use super::capability::ModelProfile;
use super::ids::{DeploymentId, Revision};
use super::names::PublicModel;
use super::operation::{Operation, Transport};
use super::patch::Patch;
use super::price::Pricing;
use super::secret::{Credentials, SealedCredentials};
use crate::time::Timestamp;

/// Largest `weight`.
pub const MAX_WEIGHT: u32 = 1000;
/// Largest `metadata`, as JSON text.
pub const MAX_METADATA_BYTES: usize = 16 * 1024;
/// Longest `label` or `failureDomain`.
pub const MAX_LABEL_BYTES: usize = 200;

/// A stored deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deployment {
    /// Its id.
    pub id: DeploymentId,
    /// The revision that last wrote it; also its etag.
    pub revision: Revision,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last written.
    pub updated_at: Timestamp,
    /// Everything an operator states about it, credentials apart.
    pub spec: DeploymentSpec,
    /// Its credentials, encrypted.
    pub credentials: SealedCredentials,
}

/// What an operator states about a deployment, credentials apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeploymentSpec {
    /// The name clients use. Deployments that share it form its pool.
    pub public_model: PublicModel,
    /// Provider preset.
    pub provider: String,
    /// The provider's name of the model.
    pub upstream_model: String,
    /// The known model behind an upstream name of one's own.
    pub catalog_model: Option<String>,
    /// What a model outside the catalog can do.
    pub catalog_entry: Option<ModelProfile>,
    /// Overrides the catalog's prices.
    pub pricing: Option<Pricing>,
    /// Pins the wire shape per operation.
    pub transport_overrides: BTreeMap<Operation, Transport>,
    /// For people.
    pub label: Option<String>,
    /// JSON object text, for people and presets. At most [`MAX_METADATA_BYTES`].
    pub metadata: Option<String>,
    /// Whether it takes traffic.
    pub enabled: bool,
    /// Share of the traffic within its tier, 0..=[`MAX_WEIGHT`]. 0: never picked at random.
    pub weight: u32,
    /// Pool tier; higher tiers come first.
    pub priority: i32,
    /// Requests per minute it may take.
    pub rpm_limit: Option<u32>,
    /// Tokens per minute it may take.
    pub tpm_limit: Option<u32>,
    /// Deployments that share an upstream account share this word.
    pub failure_domain: Option<String>,
}

/// A deployment to be created: plaintext credentials, checked by `control`.
#[derive(Debug, Clone)]
pub struct DeploymentDraft {
    /// What it shall be.
    pub spec: DeploymentSpec,
    /// Its credentials.
    pub credentials: Credentials,
}

/// A partial update of a deployment.
#[derive(Debug, Clone, Default)]
pub struct DeploymentPatch {
    /// New public model. Cannot be cleared.
    pub public_model: Patch<PublicModel>,
    /// New preset. Cannot be cleared.
    pub provider: Patch<String>,
    /// New upstream model. Cannot be cleared.
    pub upstream_model: Patch<String>,
    /// Replaces all credentials. Cannot be cleared.
    pub credentials: Patch<Credentials>,
    /// Known model behind the upstream name.
    pub catalog_model: Patch<String>,
    /// Custom model profile.
    pub catalog_entry: Patch<ModelProfile>,
    /// Price override.
    pub pricing: Patch<Pricing>,
    /// Transport pins; clearing removes them all.
    pub transport_overrides: Patch<BTreeMap<Operation, Transport>>,
    /// Label.
    pub label: Patch<String>,
    /// Metadata.
    pub metadata: Patch<String>,
    /// Clearing restores `true`.
    pub enabled: Patch<bool>,
    /// Clearing restores 1.
    pub weight: Patch<u32>,
    /// Clearing restores 0.
    pub priority: Patch<i32>,
    /// RPM limit.
    pub rpm_limit: Patch<u32>,
    /// TPM limit.
    pub tpm_limit: Patch<u32>,
    /// Failure domain.
    pub failure_domain: Patch<String>,
}

/// Which deployments a list shows. All conditions must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeploymentFilter {
    /// Only enabled, or only disabled, ones.
    pub enabled: Option<bool>,
    /// Only of this public model.
    pub public_model: Option<String>,
    /// Only of this preset.
    pub provider: Option<String>,
    /// Only those whose public model, upstream model or label contains this text (ASCII case ignored).
    pub text: Option<String>,
}

impl DeploymentSpec {
    /// A spec with the defaults of every optional field.
    #[must_use]
    pub fn new(public_model: PublicModel, provider: impl Into<String>, upstream_model: impl Into<String>) -> Self {
        Self {
            public_model,
            provider: provider.into(),
            upstream_model: upstream_model.into(),
            catalog_model: None,
            catalog_entry: None,
            pricing: None,
            transport_overrides: BTreeMap::new(),
            label: None,
            metadata: None,
            enabled: true,
            weight: 1,
            priority: 0,
            rpm_limit: None,
            tpm_limit: None,
            failure_domain: None,
        }
    }
}
