//! Several writes as one: declarative configuration.

use async_trait::async_trait;

use crate::domain::config_batch::Step;
use crate::domain::ids::Revision;
use crate::fault::Outcome;

/// Several writes as one.
#[async_trait]
pub trait BatchStore: Send + Sync {
    /// Applies all steps in one transaction under one new revision, or none of them. The configuration must still be at
    /// revision `expected` as a whole. Answers the new revision; without steps, `expected`.
    ///
    /// The order of the steps does not matter to what is checked, which is the state after all of them: every chain that
    /// the batch sets must name models that then have a deployment, and a model that loses its last deployment is taken
    /// out of the chains that the batch does not set, as by [`super::DeploymentStore::delete`].
    ///
    /// # Errors
    /// `Stale` when the configuration is at another revision; `NotFound` when a row to replace or delete is not there;
    /// `AlreadyExists`; `BadRequest` naming the model without a deployment, or when the schema refuses a value, or with
    /// more than [`crate::domain::config_batch::MAX_STEPS`]; `Unavailable`.
    async fn apply(&self, steps: &[Step], expected: Revision) -> Outcome<Revision>;
}
