//! The configuration as a document: what there is, what a document would change, and the change itself, all or nothing.
//!
//! A document states deployments, chains and keys in full and settings field by field. A kind that it says nothing of
//! stays as it is. Nothing is deleted without `prune` and the revision that a dry run saw; credentials that are not given
//! are kept; keys are touched only when that is asked for.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use secrecy::SecretString;
use serde::Serialize;
use serde_json::Value;

use super::audit::{ChainView, DeploymentView, KeyView};
use super::check::Problems;
use super::routing::patched;
use super::write::{ATTEMPTS, Entry, View};
use super::{Deployments, Parts, VirtualKeys};
use crate::domain::audit::Caller;
use crate::domain::change::ResourceKind;
use crate::domain::config_batch::{MAX_STEPS, Step, StepChange};
use crate::domain::deployment::{Deployment, DeploymentSpec};
use crate::domain::fallback::{FallbackChain, FallbackReason, Pruned, check_targets, prune};
use crate::domain::ids::{DeploymentId, Revision, VirtualKeyId};
use crate::domain::names::PublicModel;
use crate::domain::secret::{Credentials, ExposeSecret};
use crate::domain::settings::{ExecutionPolicy, SettingsPatch, StoredSettings};
use crate::domain::virtual_key::{VirtualKey, VirtualKeySpec};
use crate::fault::{Fault, Kind, Outcome};
use crate::store::Loaded;
use crate::time::Timestamp;
use crate::vault::{mint_key, open_credentials};

/// What the gateway shall be.
#[derive(Debug, Default)]
pub struct Document {
    /// Deployments; none: they stay as they are.
    pub deployments: Vec<DeclaredDeployment>,
    /// Fallback chains; none: they stay as they are.
    pub fallbacks: Vec<DeclaredChain>,
    /// Settings to change.
    pub settings: Option<SettingsPatch>,
    /// Virtual keys; none: they stay as they are.
    pub keys: Vec<DeclaredKey>,
}

/// A deployment, in full.
#[derive(Debug)]
pub struct DeclaredDeployment {
    /// `None`: found by public model, provider, upstream model and label, else new.
    pub id: Option<DeploymentId>,
    /// What it shall be.
    pub spec: DeploymentSpec,
    /// `None`: those it has.
    pub credentials: Option<Credentials>,
}

/// A chain, in full.
#[derive(Debug)]
pub struct DeclaredChain {
    /// Its primary model.
    pub primary: PublicModel,
    /// Its reason.
    pub reason: FallbackReason,
    /// Its targets.
    pub targets: Vec<PublicModel>,
}

/// A virtual key, in full but for its secret.
#[derive(Debug)]
pub struct DeclaredKey {
    /// `None`: found by name, else new.
    pub id: Option<VirtualKeyId>,
    /// What it shall be.
    pub spec: VirtualKeySpec,
}

/// How a document is applied.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ApplyOptions {
    /// Only say what would change.
    pub validate_only: bool,
    /// Delete what the document does not have, of the kinds of which it has any.
    pub prune: bool,
    /// The configuration must still be at this revision. Required by `prune`, but for a dry run.
    pub revision: Option<Revision>,
    /// Whether the document's keys are applied.
    pub include_keys: bool,
}

/// The configuration, without secrets.
#[derive(Debug)]
pub struct Exported {
    /// Deployments by age.
    pub deployments: Vec<Deployment>,
    /// Chains by primary model and reason.
    pub fallbacks: Vec<FallbackChain>,
    /// Settings.
    pub settings: StoredSettings,
    /// Keys by age; empty unless asked for.
    pub keys: Vec<VirtualKey>,
    /// The revision of all this.
    pub revision: Revision,
}

/// What is done to one resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the words say it")]
pub enum Action {
    Create,
    Update,
    Delete,
}

/// One resource that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// What is done to it.
    pub action: Action,
    /// What it is.
    pub kind: ResourceKind,
    /// Its id; empty for what is new and for settings.
    pub id: String,
    /// For people.
    pub name: String,
    /// What changes, for updates.
    pub fields: Vec<FieldDifference>,
}

/// One field that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldDifference {
    /// Its name in camel case.
    pub field: String,
    /// JSON; `"***"` for credentials.
    pub before: String,
    /// JSON; `"***"` for credentials.
    pub after: String,
}

/// What applying a document did, or would do.
#[derive(Debug)]
pub struct Applied {
    /// Resource by resource.
    pub differences: Vec<Difference>,
    /// The revision of the result; for a dry run and for no difference, the one that was looked at.
    pub revision: Revision,
    /// New keys with their secrets, this once.
    pub issued: Vec<Issued>,
}

/// A new key.
#[derive(Debug)]
pub struct Issued {
    /// Its id.
    pub id: VirtualKeyId,
    /// Its name.
    pub name: String,
    /// Its secret.
    pub plaintext: SecretString,
}

/// The use cases of the configuration as a whole.
#[derive(Debug)]
pub struct Declarative {
    parts: Parts,
    deployments: Arc<Deployments>,
    virtual_keys: Arc<VirtualKeys>,
}

impl Declarative {
    pub(super) fn new(parts: Parts, deployments: Arc<Deployments>, virtual_keys: Arc<VirtualKeys>) -> Self {
        Self { parts, deployments, virtual_keys }
    }

    /// The whole configuration at one revision, without secrets.
    ///
    /// # Errors
    /// `Unavailable`; `Internal` when a row cannot be understood: it must be mended or deleted first.
    pub async fn export(&self, include_keys: bool) -> Outcome<Exported> {
        for _ in 0..ATTEMPTS {
            let exported = self.read(include_keys).await?;
            if self.parts.stores.changes.revision().await? == exported.revision {
                return Ok(exported);
            }
        }
        Err(Fault::new(Kind::Unavailable).say("The configuration keeps changing; try again."))
    }

    /// Makes the configuration what `document` says, in one transaction.
    ///
    /// # Errors
    /// `BadRequest` with every violation, at paths such as `deployments[2].weight`; `Stale` when the configuration is
    /// not at the stated revision; `Unavailable`.
    pub async fn apply(&self, caller: &Caller, document: &Document, options: ApplyOptions) -> Outcome<Applied> {
        if options.prune && !options.validate_only && options.revision.is_none() {
            let why = "is required with `prune`: state the revision that the dry run answered";
            return Err(Fault::invalid("revision", why));
        }
        if !options.include_keys && !document.keys.is_empty() {
            return Err(Fault::invalid("keys", "are applied only when `includeKeys` asks for it"));
        }
        for _ in 0..ATTEMPTS {
            let before = self.export(options.include_keys).await?;
            if options.revision.is_some_and(|revision| revision != before.revision) {
                let sentence =
                    format!("The configuration is at revision {}; look at the differences again.", before.revision);
                return Err(Fault::new(Kind::Stale).say(sentence));
            }
            let mut plan = Plan::new(self, caller, options.prune, &before);
            plan.make(document)?;
            let Plan { steps, differences, issued, .. } = plan;
            if options.validate_only || steps.is_empty() {
                return Ok(Applied { differences, revision: before.revision, issued: Vec::new() });
            }
            match self.parts.stores.batches.apply(&steps, before.revision).await {
                Ok(revision) => {
                    self.parts.in_force_or_warn(revision, &"configuration").await;
                    return Ok(Applied { differences, revision, issued });
                }
                Err(fault) if fault.kind() == Kind::Stale && options.revision.is_none() => {}
                Err(fault) => return Err(fault),
            }
        }
        Err(Kind::Stale.into())
    }

    async fn read(&self, include_keys: bool) -> Outcome<Exported> {
        let stores = &self.parts.stores;
        let revision = stores.changes.revision().await?;
        let mut deployments = readable("deployment", stores.deployments.load(None).await?)?;
        deployments.sort_by_key(|deployment| deployment.id);
        let fallbacks = readable("fallback chain", stores.fallbacks.load().await?)?;
        let settings = stores.settings.get().await?;
        let mut keys = match include_keys {
            true => readable("virtual key", stores.virtual_keys.load(None).await?)?,
            false => Vec::new(),
        };
        keys.sort_by_key(|key| key.id);
        Ok(Exported { deployments, fallbacks, settings, keys, revision })
    }
}

fn readable<T>(noun: &str, rows: Loaded<T>) -> Outcome<Vec<T>> {
    rows.into_iter().collect::<Result<_, _>>().map_err(|bad| {
        Fault::new(Kind::Internal).say(format!(
            "The stored {noun} {} cannot be understood ({}); delete it or write it anew.",
            bad.id, bad.reason
        ))
    })
}

/// The way from what there is to what a document says.
struct Plan<'a> {
    control: &'a Declarative,
    caller: &'a Caller,
    prune: bool,
    before: &'a Exported,
    now: Timestamp,
    problems: Problems,
    steps: Vec<Step>,
    differences: Vec<Difference>,
    issued: Vec<Issued>,
    /// The public models that will have deployments.
    models: HashSet<PublicModel>,
}

impl<'a> Plan<'a> {
    fn new(control: &'a Declarative, caller: &'a Caller, prune: bool, before: &'a Exported) -> Self {
        Self {
            control,
            caller,
            prune,
            before,
            now: control.parts.clock.now(),
            problems: Problems::default(),
            steps: Vec::new(),
            differences: Vec::new(),
            issued: Vec::new(),
            models: HashSet::new(),
        }
    }

    fn make(&mut self, document: &Document) -> Outcome<()> {
        self.deployments(&document.deployments)?;
        self.chains(&document.fallbacks)?;
        if let Some(patch) = &document.settings {
            self.settings(patch)?;
        }
        self.keys(&document.keys)?;
        if self.steps.len() > MAX_STEPS {
            self.problems.add("document", format!("changes more than {MAX_STEPS} resources at once"));
        }
        std::mem::take(&mut self.problems).finish()
    }

    fn deployments(&mut self, declared: &[DeclaredDeployment]) -> Outcome<()> {
        let mut kept = HashSet::new();
        for (position, wanted) in declared.iter().enumerate() {
            let at = format!("deployments[{position}]");
            self.models.insert(wanted.spec.public_model.clone());
            match self.stored_deployment(wanted, &at) {
                Ok(Some(stored)) if !kept.insert(stored.id) => {
                    self.problems.add(at, "names a deployment that another entry names, too");
                }
                Ok(Some(stored)) => self.replace_deployment(stored, wanted, &at)?,
                Ok(None) => self.create_deployment(wanted, &at)?,
                Err(()) => {}
            }
        }
        for stored in &self.before.deployments {
            if self.prune && !declared.is_empty() && !kept.contains(&stored.id) {
                let view = DeploymentView::of(stored);
                let change = StepChange::DeleteDeployment(stored.id);
                self.step(change, "deployment.delete", stored.id.to_string(), Some(&view), None)?;
                self.differ(Action::Delete, ResourceKind::Deployment, stored.id.to_string(), name_of(&stored.spec));
            } else if !kept.contains(&stored.id) {
                self.models.insert(stored.spec.public_model.clone());
            }
        }
        Ok(())
    }

    /// The deployment that an entry means; `Err` when that is not clear, which is noted.
    fn stored_deployment(&mut self, wanted: &DeclaredDeployment, at: &str) -> Result<Option<&'a Deployment>, ()> {
        let stored = &self.before.deployments;
        if let Some(id) = wanted.id {
            let found = stored.iter().find(|deployment| deployment.id == id);
            if found.is_none() {
                self.problems.add(format!("{at}.id"), "is that of no deployment; leave it out to create one");
            }
            return found.map(Some).ok_or(());
        }
        let mut alike = stored.iter().filter(|deployment| is_alike(&deployment.spec, &wanted.spec));
        match (alike.next(), alike.next()) {
            (found, None) => Ok(found),
            (_, Some(_)) => {
                self.problems.add(at, "is like several deployments: give its `id`, or each a `label` of its own");
                Err(())
            }
        }
    }

    fn create_deployment(&mut self, wanted: &DeclaredDeployment, at: &str) -> Outcome<()> {
        let mut problems = Problems::default();
        let rules = &self.control.deployments;
        rules.check_spec(None, &wanted.spec, &mut problems)?;
        let given = wanted.credentials.clone().unwrap_or_default();
        let credentials = rules.check_credentials(&wanted.spec, given, &mut problems);
        check_no_references(&credentials, &mut problems);
        if !self.problems.nest(at, problems) {
            return Ok(());
        }
        let id = DeploymentId::from_uuid(self.control.parts.new_uuid(self.now));
        let deployment = Deployment {
            id,
            revision: Revision(0),
            created_at: self.now,
            updated_at: self.now,
            spec: wanted.spec.clone(),
            credentials: rules.seal(id, &credentials)?,
        };
        let view = DeploymentView::of(&deployment);
        let change = StepChange::CreateDeployment(Box::new(deployment.clone()));
        self.step(change, "deployment.create", id.to_string(), None, Some(&view))?;
        self.differ(Action::Create, ResourceKind::Deployment, String::new(), name_of(&wanted.spec));
        Ok(())
    }

    fn replace_deployment(&mut self, stored: &Deployment, wanted: &DeclaredDeployment, at: &str) -> Outcome<()> {
        let mut problems = Problems::default();
        let rules = &self.control.deployments;
        let is_same = stored.spec == wanted.spec;
        if !is_same {
            rules.check_spec(Some(&stored.spec), &wanted.spec, &mut problems)?;
        }
        let given = match &wanted.credentials {
            Some(given) => Some(rules.check_credentials(&wanted.spec, given.clone(), &mut problems)),
            None if wanted.spec.provider != stored.spec.provider => {
                rules.check_left_credentials(&wanted.spec, &mut problems);
                Some(Credentials::default())
            }
            None => None,
        };
        if let Some(given) = &given {
            check_no_references(given, &mut problems);
        }
        if !self.problems.nest(at, problems) {
            return Ok(());
        }
        // What does not open is replaced.
        let opened = open_credentials(&self.control.parts.keyring, stored.id, &stored.credentials);
        let changed = given.filter(|given| !opened.is_ok_and(|has| exposed(&has) == exposed(given)));
        if is_same && changed.is_none() {
            return Ok(());
        }
        let credentials = match &changed {
            Some(given) => rules.seal(stored.id, given)?,
            None => stored.credentials.clone(),
        };
        let after = Deployment { updated_at: self.now, spec: wanted.spec.clone(), credentials, ..stored.clone() };
        let (old, new) = (DeploymentView::of(stored), DeploymentView::of(&after));
        let mut fields = differing(&old, &new)?;
        if changed.is_some() {
            let hidden = || "\"***\"".to_owned();
            fields.push(FieldDifference { field: "credentials".to_owned(), before: hidden(), after: hidden() });
        }
        let change = StepChange::ReplaceDeployment(Box::new(after.clone()));
        self.step(change, "deployment.update", stored.id.to_string(), Some(&old), Some(&new))?;
        self.differ(Action::Update, ResourceKind::Deployment, stored.id.to_string(), name_of(&wanted.spec));
        self.with_fields(fields);
        Ok(())
    }

    fn chains(&mut self, declared: &[DeclaredChain]) -> Outcome<()> {
        let mut set = HashSet::new();
        for (position, wanted) in declared.iter().enumerate() {
            let at = format!("fallbacks[{position}]");
            if !set.insert((&wanted.primary, wanted.reason)) {
                self.problems.add(at, "is a chain that another entry states, too");
                continue;
            }
            let mut problems = Problems::default();
            problems.check("fallbackModels", check_targets(&wanted.primary, &wanted.targets));
            if !self.models.contains(&wanted.primary) {
                problems.add("primaryModel", format!("there is no deployment of `{}`", wanted.primary));
            }
            for (nth, target) in wanted.targets.iter().enumerate() {
                if !self.models.contains(target) {
                    problems.add(format!("fallbackModels[{nth}]"), format!("there is no deployment of `{target}`"));
                }
            }
            if self.problems.nest(&at, problems) {
                self.set_chain(wanted)?;
            }
        }
        for stored in &self.before.fallbacks {
            if set.contains(&(&stored.primary, stored.reason)) {
                continue;
            }
            if self.prune && !declared.is_empty() {
                self.delete_chain(stored)?;
            } else {
                self.tell_of_pruning(stored)?;
            }
        }
        Ok(())
    }

    fn set_chain(&mut self, wanted: &DeclaredChain) -> Outcome<()> {
        let before = self.before;
        let stored =
            before.fallbacks.iter().find(|chain| chain.primary == wanted.primary && chain.reason == wanted.reason);
        if stored.is_some_and(|stored| stored.targets == wanted.targets) {
            return Ok(());
        }
        let after = FallbackChain {
            primary: wanted.primary.clone(),
            reason: wanted.reason,
            targets: wanted.targets.clone(),
            revision: Revision(0),
            updated_at: self.now,
        };
        let (old, new) = (stored.map(ChainView::of), ChainView::of(&after));
        let name = chain_name(&after);
        let fields = old.as_ref().map(|old| differing(old, &new)).transpose()?;
        let view = old.as_ref().map(|view| view as &dyn View);
        self.step(StepChange::SetChain(after.clone()), "fallback.set", name.clone(), view, Some(&new))?;
        let action = if stored.is_some() { Action::Update } else { Action::Create };
        let id = stored.map(|_| name.clone()).unwrap_or_default();
        self.differ(action, ResourceKind::FallbackChain, id, name);
        self.with_fields(fields.unwrap_or_default());
        Ok(())
    }

    fn delete_chain(&mut self, stored: &FallbackChain) -> Outcome<()> {
        let view = ChainView::of(stored);
        let change = StepChange::DeleteChain { primary: stored.primary.as_str().to_owned(), reason: stored.reason };
        self.step(change, "fallback.delete", chain_name(stored), Some(&view), None)?;
        self.differ(Action::Delete, ResourceKind::FallbackChain, chain_name(stored), chain_name(stored));
        Ok(())
    }

    /// What the store will do to a chain some of whose models cease to exist.
    fn tell_of_pruning(&mut self, stored: &FallbackChain) -> Outcome<()> {
        let mut left = stored.clone();
        for model in std::iter::once(&stored.primary).chain(&stored.targets) {
            if self.models.contains(model) {
                continue;
            }
            match prune(&left, model.as_str()) {
                Pruned::Untouched => {}
                Pruned::Shortened(targets) => left.targets = targets,
                Pruned::Deleted => {
                    self.differ(Action::Delete, ResourceKind::FallbackChain, chain_name(stored), chain_name(stored));
                    return Ok(());
                }
            }
        }
        if left.targets != stored.targets {
            let fields = differing(&ChainView::of(stored), &ChainView::of(&left))?;
            self.differ(Action::Update, ResourceKind::FallbackChain, chain_name(stored), chain_name(stored));
            self.with_fields(fields);
        }
        Ok(())
    }

    fn settings(&mut self, patch: &SettingsPatch) -> Outcome<()> {
        let before = &self.before.settings.settings;
        let after = match patched(before, patch.clone()) {
            Ok(mut after) => {
                // An export states every operation's deadlines; those that are the defaults need no statement.
                let default = |operation| ExecutionPolicy::default_for(operation);
                after.execution_policies.retain(|operation, policy| {
                    before.execution_policies.contains_key(operation) || *policy != default(*operation)
                });
                after
            }
            Err(fault) => {
                let mut problems = Problems::default();
                problems.absorb::<()>(Err(fault))?;
                self.problems.nest("settings", problems);
                return Ok(());
            }
        };
        if after == *before {
            return Ok(());
        }
        let fields = differing(before, &after)?;
        let change = StepChange::SetSettings { settings: Box::new(after.clone()), at: self.now };
        let resource = "router_settings".to_owned();
        self.step(change, "router_settings.update", resource.clone(), Some(before), Some(&after))?;
        self.differ(Action::Update, ResourceKind::RouterSettings, String::new(), resource);
        self.with_fields(fields);
        Ok(())
    }

    fn keys(&mut self, declared: &[DeclaredKey]) -> Outcome<()> {
        let mut kept = HashSet::new();
        for (position, wanted) in declared.iter().enumerate() {
            let at = format!("keys[{position}]");
            match self.stored_key(wanted, &at) {
                Ok(Some(stored)) if !kept.insert(stored.id) => {
                    self.problems.add(at, "names a key that another entry names, too");
                }
                Ok(Some(stored)) => self.replace_key(stored, wanted, &at)?,
                Ok(None) => self.create_key(wanted, &at)?,
                Err(()) => {}
            }
        }
        let before = self.before;
        let gone = before.keys.iter().filter(|stored| !kept.contains(&stored.id));
        for stored in gone.filter(|_| self.prune && !declared.is_empty()).collect::<Vec<_>>() {
            let view = KeyView::of(stored);
            let change = StepChange::DeleteVirtualKey(stored.id);
            self.step(change, "virtual_key.delete", stored.id.to_string(), Some(&view), None)?;
            self.differ(Action::Delete, ResourceKind::VirtualKey, stored.id.to_string(), stored.spec.name.clone());
        }
        Ok(())
    }

    fn stored_key(&mut self, wanted: &DeclaredKey, at: &str) -> Result<Option<&'a VirtualKey>, ()> {
        let stored = &self.before.keys;
        if let Some(id) = wanted.id {
            let found = stored.iter().find(|key| key.id == id);
            if found.is_none() {
                self.problems.add(format!("{at}.id"), "is that of no key; leave it out to create one");
            }
            return found.map(Some).ok_or(());
        }
        let mut alike = stored.iter().filter(|key| key.spec.name == wanted.spec.name);
        match (alike.next(), alike.next()) {
            (found, None) => Ok(found),
            (_, Some(_)) => {
                self.problems.add(at, "has the name of several keys: give its `id`");
                Err(())
            }
        }
    }

    fn create_key(&mut self, wanted: &DeclaredKey, at: &str) -> Outcome<()> {
        let mut problems = Problems::default();
        self.control.virtual_keys.check(None, &wanted.spec, &mut problems);
        if !self.problems.nest(at, problems) {
            return Ok(());
        }
        let minted = mint_key(self.control.parts.entropy.as_ref());
        let key = VirtualKey {
            id: VirtualKeyId::from_uuid(self.control.parts.new_uuid(self.now)),
            revision: Revision(0),
            created_at: self.now,
            updated_at: self.now,
            hash: minted.hash,
            prefix: minted.prefix,
            previous: None,
            spec: wanted.spec.clone(),
        };
        let view = KeyView::of(&key);
        let change = StepChange::CreateVirtualKey(Box::new(key.clone()));
        self.step(change, "virtual_key.create", key.id.to_string(), None, Some(&view))?;
        self.differ(Action::Create, ResourceKind::VirtualKey, String::new(), key.spec.name.clone());
        self.issued.push(Issued { id: key.id, name: key.spec.name.clone(), plaintext: minted.plaintext });
        Ok(())
    }

    fn replace_key(&mut self, stored: &VirtualKey, wanted: &DeclaredKey, at: &str) -> Outcome<()> {
        if stored.spec == wanted.spec {
            return Ok(());
        }
        let mut problems = Problems::default();
        self.control.virtual_keys.check(Some(&stored.spec), &wanted.spec, &mut problems);
        if !self.problems.nest(at, problems) {
            return Ok(());
        }
        let after = VirtualKey { updated_at: self.now, spec: wanted.spec.clone(), ..stored.clone() };
        let (old, new) = (KeyView::of(stored), KeyView::of(&after));
        let fields = differing(&old, &new)?;
        let change = StepChange::ReplaceVirtualKey(Box::new(after.clone()));
        self.step(change, "virtual_key.update", stored.id.to_string(), Some(&old), Some(&new))?;
        self.differ(Action::Update, ResourceKind::VirtualKey, stored.id.to_string(), wanted.spec.name.clone());
        self.with_fields(fields);
        Ok(())
    }

    fn step(
        &mut self,
        change: StepChange,
        action: &'static str,
        resource: String,
        before: Option<&dyn View>,
        after: Option<&dyn View>,
    ) -> Outcome<()> {
        let entry = Entry { action, resource, before, after };
        let audit = self.control.parts.write(self.caller, self.now, entry)?.audit;
        self.steps.push(Step { change, audit });
        Ok(())
    }

    fn differ(&mut self, action: Action, kind: ResourceKind, id: String, name: String) {
        self.differences.push(Difference { action, kind, id, name, fields: Vec::new() });
    }

    fn with_fields(&mut self, fields: Vec<FieldDifference>) {
        if let Some(last) = self.differences.last_mut() {
            last.fields = fields;
        }
    }
}

fn is_alike(one: &DeploymentSpec, other: &DeploymentSpec) -> bool {
    let identity = |spec: &DeploymentSpec| {
        (spec.public_model.clone(), spec.provider.clone(), spec.upstream_model.clone(), spec.label.clone())
    };
    identity(one) == identity(other)
}

fn name_of(spec: &DeploymentSpec) -> String {
    let label = spec.label.as_deref().map(|label| format!(" ({label})")).unwrap_or_default();
    format!("{} on {} {}{label}", spec.public_model, spec.provider, spec.upstream_model)
}

fn chain_name(chain: &FallbackChain) -> String {
    format!("{}/{}", chain.primary, chain.reason)
}

/// A reference that nobody has resolved must not become the secret.
fn check_no_references(credentials: &Credentials, problems: &mut Problems) {
    for (field, _) in exposed(credentials).into_iter().filter(|(_, value)| value.starts_with("env:")) {
        problems.add(
            format!("credentials.{field}"),
            "is a reference to a variable, which the client that applies the document has to resolve",
        );
    }
}

/// Every credential by its field, for comparison.
fn exposed(credentials: &Credentials) -> BTreeMap<String, &str> {
    let key = credentials.api_key.iter().map(|key| ("apiKey".to_owned(), key.expose_secret()));
    let url = credentials.base_url.iter().map(|url| ("baseUrl".to_owned(), url.as_str()));
    let headers = credentials.headers.iter().map(|(name, value)| (format!("headers.{name}"), value.expose_secret()));
    let extra = credentials.extra.iter().map(|(name, value)| (name.clone(), value.expose_secret()));
    key.chain(url).chain(headers).chain(extra).collect()
}

/// The fields in which two views differ.
fn differing(before: &impl Serialize, after: &impl Serialize) -> Outcome<Vec<FieldDifference>> {
    let object = |view: Result<Value, serde_json::Error>| match view {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(_) => Err(Fault::new(Kind::Internal).because("a view that is no object")),
        Err(error) => Err(Fault::new(Kind::Internal).because(error)),
    };
    let (before, after) = (object(serde_json::to_value(before))?, object(serde_json::to_value(after))?);
    let text = |value: Option<&Value>| value.filter(|value| !value.is_null()).map(Value::to_string).unwrap_or_default();
    let mut fields = Vec::new();
    for name in before.keys().chain(after.keys().filter(|name| !before.contains_key(*name))) {
        let (old, new) = (before.get(name), after.get(name));
        if old != new {
            fields.push(FieldDifference { field: name.clone(), before: text(old), after: text(new) });
        }
    }
    Ok(fields)
}
