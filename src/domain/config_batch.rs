//! A change of the configuration as a whole: several writes that come into force together or not at all.

use super::audit::AuditDraft;
use super::deployment::Deployment;
use super::fallback::{FallbackChain, FallbackReason};
use super::ids::{DeploymentId, VirtualKeyId};
use super::settings::RouterSettings;
use super::virtual_key::VirtualKey;
use crate::time::Timestamp;

/// Most writes of one batch.
pub const MAX_STEPS: usize = 10_000;

/// One write of a batch, with its audit entry.
#[derive(Debug, Clone)]
pub struct Step {
    /// What to write.
    pub change: StepChange,
    /// The audit entry.
    pub audit: AuditDraft,
}

/// What one step writes. Rows are named by their id; their revisions are ignored and become that of the batch.
#[derive(Debug, Clone)]
pub enum StepChange {
    /// Inserts a deployment.
    CreateDeployment(Box<Deployment>),
    /// Replaces a deployment, but for its time of creation.
    ReplaceDeployment(Box<Deployment>),
    /// Deletes a deployment.
    DeleteDeployment(DeploymentId),
    /// Inserts a virtual key.
    CreateVirtualKey(Box<VirtualKey>),
    /// Replaces a virtual key, but for its time of creation.
    ReplaceVirtualKey(Box<VirtualKey>),
    /// Deletes a virtual key.
    DeleteVirtualKey(VirtualKeyId),
    /// Inserts or replaces a fallback chain.
    SetChain(FallbackChain),
    /// Deletes a fallback chain.
    DeleteChain {
        /// Its primary model.
        primary: String,
        /// Its reason.
        reason: FallbackReason,
    },
    /// Replaces the router settings.
    SetSettings {
        /// The new settings.
        settings: Box<RouterSettings>,
        /// When.
        at: Timestamp,
    },
}
