//! The control plane's use cases: one file per noun. Rules live here and in `domain`; the faces own none.
//!
//! Every write goes the same way: check, write in one transaction with its audit entry, bring the snapshot up to date,
//! answer. So what was answered OK is in force on this replica.

mod audit;
pub mod cache;
pub mod catalog;
mod check;
pub mod declarative;
pub mod deployment;
pub mod encryption;
pub mod propagation;
pub mod replicas;
pub mod routing;
pub mod system;
mod unenforced;
pub mod usage;
pub mod virtual_key;
mod write;

use std::sync::Arc;

pub use cache::CachedAnswers;
pub use catalog::CatalogView;
pub use declarative::Declarative;
pub use deployment::Deployments;
pub use propagation::Propagation;
pub use replicas::Replicas;
pub use routing::Routing;
pub use system::System;
pub use usage::Usage;
pub use virtual_key::{IssuedKey, VirtualKeys};

/// What [`Deployments::resolve`] answers.
pub use crate::catalog::{ProfileSource, Resolved};

/// What [`CachedAnswers::invalidate`] removes.
pub use crate::cache::Scope as CacheScope;

/// What [`VirtualKeys::usage`] answers.
pub use crate::ledger::KeyUsage;

/// What [`Deployments::test`] answers.
pub use crate::routing::Probed;

/// What [`Routing::explain`] is asked and answers.
pub use crate::routing::explain;

use crate::cache::ResponseCache;
use crate::catalog::Catalog;
use crate::domain::ids::Revision;
use crate::ledger::Ledger;
use crate::routing::{ExplainRoute, ProbeDeployment};
use crate::store::Stores;
use crate::time::Clock;
use crate::vault::{Entropy, Keyring};

/// Everything the faces call.
#[derive(Clone, Debug)]
pub struct Control {
    /// Deployments.
    pub deployments: Arc<Deployments>,
    /// Virtual keys.
    pub virtual_keys: Arc<VirtualKeys>,
    /// Settings and fallback chains.
    pub routing: Arc<Routing>,
    /// Presets and known models.
    pub catalog: Arc<CatalogView>,
    /// The gateway itself.
    pub system: Arc<System>,
    /// The configuration as a document.
    pub declarative: Arc<Declarative>,
    /// The replicas of a fleet.
    pub replicas: Arc<Replicas>,
    /// Finished requests.
    pub usage: Arc<Usage>,
    /// The response cache.
    pub cache: Arc<CachedAnswers>,
}

/// What the use cases work with.
#[derive(Clone)]
pub struct Parts {
    /// Durable configuration.
    pub stores: Stores,
    /// Known models and presets.
    pub catalog: Arc<Catalog>,
    /// Seals credentials.
    pub keyring: Arc<Keyring>,
    /// Makes keys, nonces and ids.
    pub entropy: Arc<dyn Entropy>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Brings the snapshot up to date after a write.
    pub propagation: Arc<Propagation>,
    /// Limits of keys, and what they have spent.
    pub ledger: Arc<dyn Ledger>,
    /// Calls a deployment that is to be tested.
    pub probe: Arc<dyn ProbeDeployment>,
    /// The response cache.
    pub cache: Arc<dyn ResponseCache>,
    /// Says what would become of a request.
    pub explainer: Arc<dyn ExplainRoute>,
}

impl std::fmt::Debug for Parts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Parts")
    }
}

/// Options of a creation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CreateOptions {
    /// The client's id of the call: the same twice creates once.
    pub request_id: Option<String>,
    /// Check everything, save nothing.
    pub validate_only: bool,
}

/// Options of a change.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ChangeOptions {
    /// Only in this state (the etag).
    pub expected: Option<Revision>,
    /// Check everything, save nothing.
    pub validate_only: bool,
}

impl Control {
    /// Puts the use cases together.
    #[must_use]
    pub fn new(parts: Parts, identity: replicas::Identity, mode: system::Mode, version: &'static str) -> Self {
        let publisher = Arc::clone(parts.propagation.publisher());
        let started_at = identity.started_at;
        let replicas = Replicas::new(parts.stores.clone(), Arc::clone(&publisher), Arc::clone(&parts.clock), identity);
        let deployments = Arc::new(Deployments::new(parts.clone()));
        let virtual_keys = Arc::new(VirtualKeys::new(parts.clone()));
        let declarative = Declarative::new(parts.clone(), Arc::clone(&deployments), Arc::clone(&virtual_keys));
        let usage =
            Usage::new(Arc::clone(&parts.stores.operations), Arc::clone(&parts.ledger), Arc::clone(&parts.clock));
        Self {
            usage: Arc::new(usage),
            catalog: Arc::new(CatalogView::new(Arc::clone(&parts.catalog))),
            system: Arc::new(System::new(publisher, Arc::clone(&parts.clock), started_at, mode, version)),
            deployments,
            virtual_keys,
            declarative: Arc::new(declarative),
            cache: Arc::new(CachedAnswers::new(parts.clone())),
            routing: Arc::new(Routing::new(parts)),
            replicas: Arc::new(replicas),
        }
    }
}

#[cfg(test)]
mod tests;
