//! Deployments, durable.

use async_trait::async_trait;

use super::{Created, Loaded, Write};
use crate::domain::deployment::{Deployment, DeploymentFilter};
use crate::domain::ids::{DeploymentId, Revision};
use crate::domain::page::{Page, PageRequest};
use crate::fault::Outcome;

/// Most envelopes that one call answers.
pub const MAX_ENVELOPES: u32 = 1000;

/// Deployments, durable.
#[async_trait]
pub trait DeploymentStore: Send + Sync {
    /// Inserts `deployment`; its `revision` is ignored and becomes the one answered.
    ///
    /// # Errors
    /// `AlreadyExists` when the same `request_id` was used for other content, or the id exists; `BadRequest` when the
    /// schema refuses a value; `Unavailable` when the store is.
    async fn create(&self, deployment: &Deployment, write: &Write) -> Outcome<Created>;

    /// One deployment. `None` when there is none of this id.
    ///
    /// # Errors
    /// `Internal` when the row cannot be understood; `Unavailable` when the store is.
    async fn find(&self, id: DeploymentId) -> Outcome<Option<Deployment>>;

    /// One page of those that match, by id.
    ///
    /// # Errors
    /// As [`Self::find`]: a row that cannot be understood is named and fails its page.
    async fn list(&self, filter: &DeploymentFilter, page: &PageRequest) -> Outcome<Page<Deployment>>;

    /// Replaces the row, but for its time of creation, if its revision is still `expected`. Answers the new revision.
    /// Needs nothing else of the stored row, so it cures one that cannot be understood.
    ///
    /// When the public model changes and this was its last deployment, the change is refused while chains name it.
    ///
    /// # Errors
    /// `NotFound`; `Stale` when the row has another revision; `InUse` as above; `BadRequest` when the schema refuses a
    /// value; `Unavailable`.
    async fn replace(&self, deployment: &Deployment, expected: Revision, write: &Write) -> Outcome<Revision>;

    /// Deletes the row, even one that cannot be understood; if `expected` is given only at that revision. When it was the last deployment of its public
    /// model, chains are pruned by [`crate::domain::fallback::prune`] in the same transaction and revision.
    ///
    /// # Errors
    /// `NotFound`; `Stale`; `Unavailable`.
    async fn delete(&self, id: DeploymentId, expected: Option<Revision>, write: &Write) -> Outcome<Revision>;

    /// Every deployment, or those of `ids`, for the snapshot.
    ///
    /// # Errors
    /// `Unavailable`. A row that cannot be understood is an item, not an error.
    async fn load(&self, ids: Option<&[DeploymentId]>) -> Outcome<Loaded<Deployment>>;

    /// Ids and envelopes of the credentials, in order of the ids, of those after `after`: at most `limit` (1..=[`MAX_ENVELOPES`]).
    ///
    /// # Errors
    /// `Unavailable` when the store is.
    async fn envelopes(&self, after: Option<DeploymentId>, limit: u32) -> Outcome<Vec<(DeploymentId, Vec<u8>)>>;

    /// Replaces the envelope of one row if it is still `from`; says whether it was. What is inside stays the same, so
    /// this is no change of the configuration: no revision, no log entry, no new etag.
    ///
    /// # Errors
    /// `Unavailable` when the store is.
    async fn reseal(&self, id: DeploymentId, from: &[u8], to: &[u8]) -> Outcome<bool>;
}
