//! Deployments: create, change, delete, and the dry run that shows what one could do.

use crate::catalog::Resolved;
use crate::domain::audit::Caller;
use crate::domain::deployment::{Deployment, DeploymentDraft, DeploymentFilter, DeploymentPatch, DeploymentSpec};
use crate::domain::ids::{DeploymentId, Revision};
use crate::domain::page::{Page, PageRequest};
use crate::fault::{Kind, Outcome};

use super::{ChangeOptions, CreateOptions, Parts};

/// The use cases of deployments.
#[derive(Debug)]
pub struct Deployments {
    _parts: Parts,
}

/// What a creation answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreatedDeployment {
    /// The deployment; with `validate_only` what it would be: nil id, revision 0.
    pub deployment: Deployment,
    /// Whether an earlier call with the same `request_id` had made it.
    pub replayed: bool,
}

impl Deployments {
    pub(super) fn new(parts: Parts) -> Self {
        Self { _parts: parts }
    }

    /// Makes a deployment.
    ///
    /// # Errors
    /// `BadRequest` with every violation; `AlreadyExists` when the `request_id` made something else; `Unavailable`.
    pub async fn create(
        &self,
        _caller: &Caller,
        _draft: DeploymentDraft,
        _options: CreateOptions,
    ) -> Outcome<CreatedDeployment> {
        Err(Kind::Internal.into())
    }

    /// One deployment.
    ///
    /// # Errors
    /// `NotFound`; `Unavailable`.
    pub async fn get(&self, _id: DeploymentId) -> Outcome<Deployment> {
        Err(Kind::Internal.into())
    }

    /// One page of deployments, by time of creation.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn list(&self, _filter: &DeploymentFilter, _page: &PageRequest) -> Outcome<Page<Deployment>> {
        Err(Kind::Internal.into())
    }

    /// Changes a deployment.
    ///
    /// # Errors
    /// `BadRequest` with every violation; `NotFound`; `Stale`; `InUse` when chains name its old public model and no
    /// other deployment serves it; `Unavailable`.
    pub async fn update(
        &self,
        _caller: &Caller,
        _id: DeploymentId,
        _patch: DeploymentPatch,
        _options: ChangeOptions,
    ) -> Outcome<Deployment> {
        Err(Kind::Internal.into())
    }

    /// Deletes a deployment and prunes the chains that named its public model if it was the last.
    ///
    /// # Errors
    /// `NotFound`; `Stale`; `Unavailable`.
    pub async fn delete(&self, _caller: &Caller, _id: DeploymentId, _expected: Option<Revision>) -> Outcome<()> {
        Err(Kind::Internal.into())
    }

    /// What a deployment of this spec could do. Saves nothing, needs no credentials.
    ///
    /// # Errors
    /// `BadRequest` with every violation.
    pub fn resolve(&self, _spec: &DeploymentSpec) -> Outcome<Resolved> {
        Err(Kind::Internal.into())
    }
}
