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

/// Implements [`BatchStore`] for a backend: `batch_store!(Store, bound)`, in a module whose parent has the backend's nouns
/// and its write transaction. `bound` limits the time of the whole.
macro_rules! batch_store {
    ($store:ty, $bound:path) => {
        #[async_trait::async_trait]
        impl BatchStore for $store {
            async fn apply(&self, steps: &[Step], expected: Revision) -> Outcome<Revision> {
                if steps.len() > MAX_STEPS {
                    return Err(Fault::new(Kind::BadRequest).say(format!("More than {MAX_STEPS} changes at once.")));
                }
                $bound(async {
                    let mut tx = self.write().await?;
                    check_revision("configuration", Revision(tx.revision().0 - 1), Some(expected))?;
                    let Some(last) = steps.last() else { return Ok(expected) };
                    let mut left = BTreeSet::new();
                    for step in steps {
                        if let StepChange::DeleteChain { primary, reason } = &step.change {
                            fallback::delete_chain(&mut tx, primary, *reason, None).await?;
                        }
                    }
                    for step in steps {
                        match &step.change {
                            StepChange::CreateDeployment(row) => deployment::insert(&mut tx, row).await?,
                            StepChange::ReplaceDeployment(row) => {
                                left.insert(deployment::update(&mut tx, row, None).await?);
                            }
                            StepChange::DeleteDeployment(id) => {
                                left.insert(deployment::remove(&mut tx, *id, None).await?);
                            }
                            StepChange::CreateVirtualKey(row) => virtual_key::insert(&mut tx, row).await?,
                            StepChange::ReplaceVirtualKey(row) => virtual_key::update(&mut tx, row, None).await?,
                            StepChange::DeleteVirtualKey(id) => virtual_key::remove(&mut tx, *id, None).await?,
                            StepChange::SetSettings { settings, at } => settings::put(&mut tx, settings, *at).await?,
                            StepChange::SetChain(_) | StepChange::DeleteChain { .. } => {}
                        }
                    }
                    for model in left {
                        if !deployment::has_deployment(&mut tx, &model).await? {
                            fallback::prune_chains(&mut tx, &model, last.audit.at).await?;
                        }
                    }
                    for step in steps {
                        if let StepChange::SetChain(chain) = &step.change {
                            fallback::put_checked(&mut tx, chain).await?;
                        }
                    }
                    tx.commit_all(steps.iter().map(|step| &step.audit)).await
                })
                .await
            }
        }
    };
}
pub(super) use batch_store;
