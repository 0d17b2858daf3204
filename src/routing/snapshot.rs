//! The immutable routing state that every request reads.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use imbl::{HashMap, OrdMap};

use crate::catalog::{ProfileSource, Resolved};
use crate::domain::change::ResourceKind;
use crate::domain::fallback::{FallbackChain, FallbackReason};
use crate::domain::ids::{DeploymentId, Revision, VirtualKeyId};
use crate::domain::limits::Limits;
use crate::domain::names::PublicModel;
use crate::domain::operation::{Operation, Transport};
use crate::domain::secret::Credentials;
use crate::domain::settings::RouterSettings;
use crate::domain::virtual_key::{BudgetMode, KeyHash};
use crate::time::Timestamp;

/// One deployment, ready to be called.
#[derive(Debug)]
pub struct Target {
    /// The deployment's id. Never shown on the data plane.
    pub id: DeploymentId,
    /// `dep_` + 12 hex digits: the name of the deployment on the data plane.
    pub opaque_id: String,
    /// The name clients use.
    pub public_model: PublicModel,
    /// Provider preset.
    pub provider: String,
    /// The provider's name of the model.
    pub upstream_model: String,
    /// Names the upstream model at its provider's account; equal for deployments that share its rate limit.
    pub upstream_account: [u8; 16],
    /// Decrypted credentials.
    pub credentials: Credentials,
    /// What it can do and costs.
    pub resolved: Resolved,
    /// Wire shapes pinned by the operator.
    pub pinned: BTreeMap<Operation, Transport>,
    /// Options of the preset and free data of the operator: JSON object text.
    pub metadata: Option<String>,
    /// Whether it takes traffic.
    pub enabled: bool,
    /// Share of the traffic within its tier; 0: never picked at random.
    pub weight: u32,
    /// Requests and tokens a minute that it takes.
    pub limits: Limits,
    /// Pool tier; higher first.
    pub priority: i32,
    /// When the deployment was created.
    pub created_at: Timestamp,
    /// The revision that last wrote it.
    pub revision: Revision,
}

impl Target {
    /// Whether neither the catalog nor the operator says anything of the model.
    #[must_use]
    pub fn is_unknown_model(&self) -> bool {
        self.resolved.source == ProfileSource::Preset
    }
}

/// The deployments of one public model.
#[derive(Debug)]
pub struct Pool {
    /// The name they share.
    pub public_model: PublicModel,
    /// All of them, higher tiers first, then by age.
    pub targets: Vec<Arc<Target>>,
}

impl Pool {
    /// Those that take traffic.
    pub fn enabled(&self) -> impl Iterator<Item = &Arc<Target>> {
        self.targets.iter().filter(|target| target.enabled)
    }
}

/// One virtual key, as admission needs it.
#[derive(Debug)]
pub struct KeyEntry {
    /// The key's id.
    pub id: VirtualKeyId,
    /// Shown prefix, for logs.
    pub prefix: String,
    /// Hash of the current secret.
    pub hash: KeyHash,
    /// Hash of the rotated-out secret, and when it stops working.
    pub previous: Option<(KeyHash, Timestamp)>,
    /// Its limits.
    pub limits: Limits,
    /// How strictly its budget is kept.
    pub budget_mode: BudgetMode,
    /// How long a request waits for money that others hold.
    pub budget_wait: Duration,
    /// Models it may call; `None`: all.
    pub allowed_models: Option<HashSet<PublicModel>>,
    /// Whether it works.
    pub enabled: bool,
    /// It stops working at this moment.
    pub expires_at: Option<Timestamp>,
}

impl KeyEntry {
    /// Whether the key may call a model.
    #[must_use]
    pub fn allows(&self, public_model: &str) -> bool {
        self.allowed_models.as_ref().is_none_or(|models| models.contains(public_model))
    }

    fn is_live(&self, presented: &KeyHash, now: Timestamp) -> bool {
        let secret_lives =
            self.hash == *presented || self.previous.is_some_and(|(hash, until)| hash == *presented && now < until);
        secret_lives && self.enabled && self.expires_at.is_none_or(|expires_at| now < expires_at)
    }
}

/// A row left out of the snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quarantined {
    /// Which table.
    pub kind: ResourceKind,
    /// Which row.
    pub id: String,
    /// What is wrong with it.
    pub reason: String,
}

/// The configuration in force. Cloning shares everything.
#[derive(Debug, Clone)]
pub struct Snapshot {
    is_loaded: bool,
    revision: Revision,
    in_force_since: Timestamp,
    deployments: OrdMap<DeploymentId, Arc<Target>>,
    pools: OrdMap<PublicModel, Arc<Pool>>,
    keys: HashMap<VirtualKeyId, Arc<KeyEntry>>,
    keys_by_hash: HashMap<KeyHash, Arc<KeyEntry>>,
    chains: OrdMap<(PublicModel, FallbackReason), Arc<FallbackChain>>,
    settings: Arc<RouterSettings>,
    quarantined: OrdMap<(ResourceKind, String), Arc<str>>,
    /// Public models of quarantined deployments: they are configured, and cannot be served.
    withheld: OrdMap<DeploymentId, PublicModel>,
}

impl Snapshot {
    /// Nothing is configured, and nothing was loaded yet.
    #[must_use]
    pub fn empty(at: Timestamp) -> Self {
        Self {
            is_loaded: false,
            revision: Revision(0),
            in_force_since: at,
            deployments: OrdMap::new(),
            pools: OrdMap::new(),
            keys: HashMap::new(),
            keys_by_hash: HashMap::new(),
            chains: OrdMap::new(),
            settings: Arc::new(RouterSettings::default()),
            quarantined: OrdMap::new(),
            withheld: OrdMap::new(),
        }
    }

    /// Whether it shows a stored configuration; `false` until the first one was read.
    #[must_use]
    pub fn is_loaded(&self) -> bool {
        self.is_loaded
    }

    /// The configuration revision it shows.
    #[must_use]
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// When it was put in force.
    #[must_use]
    pub fn in_force_since(&self) -> Timestamp {
        self.in_force_since
    }

    /// The pool of a public model.
    #[must_use]
    pub fn find_pool(&self, public_model: &str) -> Option<&Arc<Pool>> {
        self.pools.get(public_model)
    }

    /// Whether a public model is configured by a deployment that is left out.
    #[must_use]
    pub fn is_withheld(&self, public_model: &str) -> bool {
        self.withheld.values().any(|withheld| withheld.as_str() == public_model)
    }

    /// All pools, by name.
    pub fn pools(&self) -> impl Iterator<Item = &Arc<Pool>> {
        self.pools.values()
    }

    /// One deployment.
    #[must_use]
    pub fn find_deployment(&self, id: DeploymentId) -> Option<&Arc<Target>> {
        self.deployments.get(&id)
    }

    /// The key that this secret opens at `now`: known, enabled, not expired, not rotated out.
    #[must_use]
    pub fn find_live_key(&self, presented: &KeyHash, now: Timestamp) -> Option<&Arc<KeyEntry>> {
        self.keys_by_hash.get(presented).filter(|entry| entry.is_live(presented, now))
    }

    /// One key by id, live or not.
    #[must_use]
    pub fn find_key(&self, id: VirtualKeyId) -> Option<&Arc<KeyEntry>> {
        self.keys.get(&id)
    }

    /// Where requests for `primary` go when all of its pool failed for `reason`.
    #[must_use]
    pub fn chain(&self, primary: &PublicModel, reason: FallbackReason) -> &[PublicModel] {
        self.chains.get(&(primary.clone(), reason)).map_or(&[], |chain| chain.targets.as_slice())
    }

    /// The router settings.
    #[must_use]
    pub fn settings(&self) -> &RouterSettings {
        &self.settings
    }

    /// The router settings, to keep for as long as an attempt lasts.
    #[must_use]
    pub fn shared_settings(&self) -> &Arc<RouterSettings> {
        &self.settings
    }

    /// How many deployments, keys and chains it holds.
    #[must_use]
    pub fn counts(&self) -> (usize, usize, usize) {
        (self.deployments.len(), self.keys.len(), self.chains.len())
    }

    /// Rows that are left out, and why.
    #[must_use]
    pub fn quarantined(&self) -> Vec<Quarantined> {
        let entry = |((kind, id), reason): (&(ResourceKind, String), &Arc<str>)| Quarantined {
            kind: *kind,
            id: id.clone(),
            reason: reason.as_ref().to_owned(),
        };
        self.quarantined.iter().map(entry).collect()
    }

    /// Why a row is left out, if it is.
    #[must_use]
    pub fn quarantine_reason(&self, kind: ResourceKind, id: &str) -> Option<&str> {
        if self.quarantined.is_empty() {
            return None;
        }
        self.quarantined.get(&(kind, id.to_owned())).map(AsRef::as_ref)
    }

    /// A copy to change. Costs nothing until something is changed.
    #[must_use]
    pub fn edit(&self) -> SnapshotEdit {
        SnapshotEdit { draft: self.clone() }
    }
}

/// A snapshot being changed, off to the side.
#[derive(Debug)]
pub struct SnapshotEdit {
    draft: Snapshot,
}

impl SnapshotEdit {
    /// Adds or replaces a deployment.
    pub fn put_deployment(&mut self, target: Target) {
        self.remove_deployment(target.id);
        let target = Arc::new(target);
        let mut targets = self.members(&target.public_model);
        targets.push(Arc::clone(&target));
        self.put_pool(target.public_model.clone(), targets);
        self.draft.deployments.insert(target.id, target);
    }

    /// Takes a deployment out.
    pub fn remove_deployment(&mut self, id: DeploymentId) {
        self.release(ResourceKind::Deployment, &id.to_string());
        self.draft.withheld.remove(&id);
        let Some(gone) = self.draft.deployments.remove(&id) else { return };
        let mut targets = self.members(&gone.public_model);
        targets.retain(|target| target.id != id);
        self.put_pool(gone.public_model.clone(), targets);
    }

    /// Takes a deployment out whose row is not usable; its public model stays known.
    pub fn withhold_deployment(&mut self, id: DeploymentId, public_model: PublicModel) {
        self.remove_deployment(id);
        self.draft.withheld.insert(id, public_model);
    }

    /// Adds or replaces a key.
    pub fn put_key(&mut self, entry: KeyEntry) {
        self.remove_key(entry.id);
        let entry = Arc::new(entry);
        self.draft.keys_by_hash.insert(entry.hash, Arc::clone(&entry));
        if let Some((previous, _)) = entry.previous {
            self.draft.keys_by_hash.insert(previous, Arc::clone(&entry));
        }
        self.draft.keys.insert(entry.id, entry);
    }

    /// Takes a key out.
    pub fn remove_key(&mut self, id: VirtualKeyId) {
        self.release(ResourceKind::VirtualKey, &id.to_string());
        let Some(gone) = self.draft.keys.remove(&id) else { return };
        self.draft.keys_by_hash.remove(&gone.hash);
        if let Some((previous, _)) = gone.previous {
            self.draft.keys_by_hash.remove(&previous);
        }
    }

    /// Replaces all chains. They are few.
    pub fn set_chains(&mut self, chains: impl IntoIterator<Item = FallbackChain>) {
        self.draft.chains =
            chains.into_iter().map(|chain| ((chain.primary.clone(), chain.reason), Arc::new(chain))).collect();
        let others = self.draft.quarantined.iter().filter(|((kind, _), _)| *kind != ResourceKind::FallbackChain);
        self.draft.quarantined = others.map(|(row, reason)| (row.clone(), Arc::clone(reason))).collect();
    }

    /// Replaces the settings.
    pub fn set_settings(&mut self, settings: RouterSettings) {
        self.draft.settings = Arc::new(settings);
        self.release(ResourceKind::RouterSettings, "");
    }

    /// Notes a row that is left out. The caller has removed the entry it would have replaced.
    pub fn quarantine(&mut self, kind: ResourceKind, id: &str, reason: &str) {
        self.draft.quarantined.insert((kind, id.to_owned()), reason.into());
    }

    /// The changed snapshot, as of `revision`.
    #[must_use]
    pub fn finish(mut self, revision: Revision, at: Timestamp) -> Snapshot {
        self.draft.is_loaded = true;
        self.draft.revision = revision;
        self.draft.in_force_since = at;
        self.draft
    }

    fn release(&mut self, kind: ResourceKind, id: &str) {
        if !self.draft.quarantined.is_empty() {
            self.draft.quarantined.remove(&(kind, id.to_owned()));
        }
    }

    fn members(&self, public_model: &PublicModel) -> Vec<Arc<Target>> {
        self.draft.pools.get(public_model).map(|pool| pool.targets.clone()).unwrap_or_default()
    }

    fn put_pool(&mut self, public_model: PublicModel, mut targets: Vec<Arc<Target>>) {
        if targets.is_empty() {
            self.draft.pools.remove(&public_model);
            return;
        }
        targets.sort_by_key(|target| (std::cmp::Reverse(target.priority), target.id));
        self.draft.pools.insert(public_model.clone(), Arc::new(Pool { public_model, targets }));
    }
}
