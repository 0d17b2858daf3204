//! Deployments: create, change, delete, and the dry run that shows what one could do.

use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use uuid::Uuid;

use super::audit::{DeploymentSpecView, DeploymentView, Unreadable};
use super::check::{Problems, credentials, money, text};
use super::write::{self, ATTEMPTS, Entry, View};
use super::{ChangeOptions, CreateOptions, Parts};
use crate::catalog::Resolved;
use crate::domain::audit::Caller;
use crate::domain::deployment::{
    Deployment, DeploymentDraft, DeploymentFilter, DeploymentPatch, DeploymentSpec, MAX_WEIGHT,
};
use crate::domain::fallback::FallbackChain;
use crate::domain::ids::{DeploymentId, Revision};
use crate::domain::names::check_model_name;
use crate::domain::page::{Page, PageRequest};
use crate::domain::patch::Patch;
use crate::domain::secret::{Credentials, ExposeSecret, SealedCredentials, SecretString};
use crate::fault::{Fault, Kind, Outcome};
use crate::routing::Probed;
use crate::routing::build::target_from_row;
use crate::store::Created;
use crate::vault::seal_credentials;

/// The use cases of deployments.
#[derive(Debug)]
pub struct Deployments {
    parts: Parts,
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
        Self { parts }
    }

    /// Makes a deployment.
    ///
    /// # Errors
    /// `BadRequest` with every violation; `AlreadyExists` when the `request_id` made something else; `NotFound` when
    /// what it made is deleted; `Unavailable`.
    pub async fn create(
        &self,
        caller: &Caller,
        draft: DeploymentDraft,
        options: CreateOptions,
    ) -> Outcome<CreatedDeployment> {
        let mut problems = Problems::default();
        write::check_options(&options, &mut problems);
        self.check_spec(None, &draft.spec, &mut problems)?;
        let credentials = self.check_credentials(&draft.spec, draft.credentials, &mut problems);
        problems.finish()?;

        let idempotency = write::idempotency(&options, &Fingerprint::of(&draft.spec, &credentials))?;
        let now = self.parts.clock.now();
        let id = if options.validate_only { Uuid::nil() } else { self.parts.new_uuid(now) };
        let id = DeploymentId::from_uuid(id);
        let mut deployment = Deployment {
            id,
            revision: Revision(0),
            created_at: now,
            updated_at: now,
            spec: draft.spec,
            credentials: self.seal(id, &credentials)?,
        };
        if options.validate_only {
            return Ok(CreatedDeployment { deployment, replayed: false });
        }
        let view = DeploymentView::of(&deployment);
        let entry = Entry { action: "deployment.create", resource: id.to_string(), before: None, after: Some(&view) };
        let mut write = self.parts.write(caller, now, entry)?;
        write.idempotency = idempotency;
        match self.parts.stores.deployments.create(&deployment, &write).await? {
            Created::New(revision) => {
                self.parts.in_force(revision).await?;
                deployment.revision = revision;
                Ok(CreatedDeployment { deployment, replayed: false })
            }
            Created::Replayed(earlier) => {
                let found = self.parts.stores.deployments.find(DeploymentId::from_uuid(earlier)).await?;
                let deployment = found.ok_or_else(write::replay_of_a_deleted_one)?;
                self.parts.in_force(deployment.revision).await?;
                Ok(CreatedDeployment { deployment, replayed: true })
            }
        }
    }

    /// One deployment.
    ///
    /// # Errors
    /// `NotFound`; `Unavailable`.
    pub async fn get(&self, id: DeploymentId) -> Outcome<Deployment> {
        self.parts.stores.deployments.find(id).await?.ok_or_else(|| Kind::NotFound.into())
    }

    /// One page of deployments, by time of creation.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn list(&self, filter: &DeploymentFilter, page: &PageRequest) -> Outcome<Page<Deployment>> {
        self.parts.stores.deployments.list(filter, page).await
    }

    /// Changes a deployment.
    ///
    /// # Errors
    /// `BadRequest` with every violation; `NotFound`; `Stale`; `InUse` when chains name its old public model and no
    /// other deployment serves it; `Unavailable`.
    pub async fn update(
        &self,
        caller: &Caller,
        id: DeploymentId,
        patch: DeploymentPatch,
        options: ChangeOptions,
    ) -> Outcome<Deployment> {
        for _ in 0..ATTEMPTS {
            let before = self.get(id).await?;
            write::check_expected(options.expected, before.revision)?;
            let mut after = self.patched(&before, patch.clone())?;
            if options.validate_only {
                self.check_rename(&before, &after).await?;
                return Ok(after);
            }
            let (old, new) = (DeploymentView::of(&before), DeploymentView::of(&after));
            let entry =
                Entry { action: "deployment.update", resource: id.to_string(), before: Some(&old), after: Some(&new) };
            let write = self.parts.write(caller, after.updated_at, entry)?;
            match self.parts.stores.deployments.replace(&after, before.revision, &write).await {
                Ok(revision) => {
                    self.parts.in_force(revision).await?;
                    after.revision = revision;
                    return Ok(after);
                }
                Err(fault) if write::lost_a_race(&fault, options.expected) => {}
                Err(fault) => return Err(fault),
            }
        }
        Err(Kind::Stale.into())
    }

    /// Deletes a deployment and prunes the chains that named its public model if it was the last. A row that cannot be
    /// understood any more can still be deleted.
    ///
    /// # Errors
    /// `NotFound`; `Stale`; `Unavailable`.
    pub async fn delete(&self, caller: &Caller, id: DeploymentId, expected: Option<Revision>) -> Outcome<()> {
        for _ in 0..ATTEMPTS {
            let found = self.get(id).await;
            let readable = match &found {
                Ok(before) => Some(before),
                Err(fault) if fault.kind() == Kind::Internal => None,
                Err(_) => return found.map(|_| ()),
            };
            if let Some(before) = readable {
                write::check_expected(expected, before.revision)?;
            }
            let exactly = readable.map(|before| before.revision).or(expected);
            let view = readable.map(DeploymentView::of);
            let before: &dyn View = view.as_ref().map_or(&Unreadable::ROW, |view| view);
            let entry =
                Entry { action: "deployment.delete", resource: id.to_string(), before: Some(before), after: None };
            let write = self.parts.write(caller, self.parts.clock.now(), entry)?;
            match self.parts.stores.deployments.delete(id, exactly, &write).await {
                Ok(revision) => return self.parts.in_force(revision).await,
                Err(fault) if write::lost_a_race(&fault, expected) => {}
                Err(fault) => return Err(fault),
            }
        }
        Err(Kind::Stale.into())
    }

    /// Makes one tiny real call of a stored deployment, enabled or not, with its own or with other credentials. Saves
    /// nothing. That the provider fails is an answer, not an error.
    ///
    /// # Errors
    /// `BadRequest` with every violation; `NotFound`; `Unavailable`; `Internal` when its row cannot be used.
    pub async fn test(&self, id: DeploymentId, credentials: Option<Credentials>) -> Outcome<Probed> {
        let mut deployment = self.get(id).await?;
        if let Some(given) = credentials {
            let mut problems = Problems::default();
            let checked = self.check_credentials(&deployment.spec, given, &mut problems);
            problems.finish()?;
            deployment.credentials = self.seal(id, &checked)?;
        }
        self.call(&deployment).await
    }

    /// The same with a deployment that is not stored.
    ///
    /// # Errors
    /// `BadRequest` with every violation.
    pub async fn test_draft(&self, caller: &Caller, draft: DeploymentDraft) -> Outcome<Probed> {
        let options = CreateOptions { request_id: None, validate_only: true };
        let would_be = self.create(caller, draft, options).await?;
        self.call(&would_be.deployment).await
    }

    async fn call(&self, deployment: &Deployment) -> Outcome<Probed> {
        let target = target_from_row(deployment, &self.parts.catalog, &self.parts.keyring)
            .map_err(|reason| Fault::new(Kind::Internal).say(format!("The deployment cannot be used: {reason}.")))?;
        Ok(self.parts.probe.probe(Arc::new(target)).await)
    }

    /// What a deployment of this spec could do. Saves nothing, needs no credentials.
    ///
    /// # Errors
    /// `BadRequest` with every violation.
    pub fn resolve(&self, spec: &DeploymentSpec) -> Outcome<Resolved> {
        let mut problems = Problems::default();
        let resolved = self.check_spec(None, spec, &mut problems)?;
        problems.finish()?;
        // Without a problem there is an answer.
        resolved.ok_or_else(|| Kind::Internal.into())
    }
}

/// The rules.
impl Deployments {
    pub(super) fn check_spec(
        &self,
        before: Option<&DeploymentSpec>,
        spec: &DeploymentSpec,
        problems: &mut Problems,
    ) -> Outcome<Option<Resolved>> {
        problems.check("upstreamModel", check_model_name(&spec.upstream_model));
        if let Some(name) = &spec.catalog_model {
            problems.check("catalogModel", check_model_name(name));
        }
        for (field, line) in [("label", &spec.label), ("failureDomain", &spec.failure_domain)] {
            problems.check(field, line.as_deref().map_or(Ok(()), text::label));
        }
        problems.check("metadata", spec.metadata.as_deref().map_or(Ok(()), text::metadata));
        if spec.weight > MAX_WEIGHT {
            problems.add("weight", format!("must be 0 to {MAX_WEIGHT}, is {}", spec.weight));
        }
        if let Some(pricing) = &spec.pricing {
            money::pricing("pricing", pricing, problems);
        }
        if let Some(entry) = &spec.catalog_entry {
            money::catalog_entry(entry, problems);
        }
        for (field, limit) in [("rpmLimit", spec.rpm_limit), ("tpmLimit", spec.tpm_limit)] {
            if limit == Some(0) {
                problems.add(field, "must be at least 1; set `enabled` to false to stop a deployment");
            }
        }
        // A name that is not one, or an entry without operations, would only be reported twice.
        if ["upstreamModel", "catalogModel", "catalogEntry.operations"].iter().any(|field| problems.concern(field)) {
            if self.parts.catalog.preset(&spec.provider).is_none() {
                problems.absorb(self.parts.catalog.resolve(spec))?;
            }
            return Ok(None);
        }
        let resolved = problems.absorb(self.parts.catalog.resolve(spec))?;
        // A stored entry stays valid though a later catalog knows the model; a new statement of it does not.
        let restated = before.is_none_or(|before| model_of(before) != model_of(spec));
        if restated && resolved.is_some() {
            problems.absorb(self.parts.catalog.check_entry_allowed(spec))?;
        }
        Ok(resolved)
    }

    /// Checks credentials; those of an unknown preset are passed on, for that is reported already.
    pub(super) fn check_credentials(
        &self,
        spec: &DeploymentSpec,
        given: Credentials,
        problems: &mut Problems,
    ) -> Credentials {
        match self.parts.catalog.preset(&spec.provider) {
            Some(preset) => credentials::check(given, preset, problems),
            None => given,
        }
    }

    fn patched(&self, before: &Deployment, patch: DeploymentPatch) -> Outcome<Deployment> {
        let mut problems = Problems::default();
        let mut spec = before.spec.clone();
        must_set("publicModel", patch.public_model, &mut spec.public_model, &mut problems);
        must_set("provider", patch.provider, &mut spec.provider, &mut problems);
        must_set("upstreamModel", patch.upstream_model, &mut spec.upstream_model, &mut problems);
        patch.catalog_model.apply(&mut spec.catalog_model);
        patch.catalog_entry.apply(&mut spec.catalog_entry);
        patch.pricing.apply(&mut spec.pricing);
        patch.transport_overrides.apply_or(&mut spec.transport_overrides, BTreeMap::new());
        patch.label.apply(&mut spec.label);
        patch.metadata.apply(&mut spec.metadata);
        patch.enabled.apply_or(&mut spec.enabled, true);
        patch.weight.apply_or(&mut spec.weight, 1);
        patch.priority.apply_or(&mut spec.priority, 0);
        patch.rpm_limit.apply(&mut spec.rpm_limit);
        patch.tpm_limit.apply(&mut spec.tpm_limit);
        patch.failure_domain.apply(&mut spec.failure_domain);
        self.check_spec(Some(&before.spec), &spec, &mut problems)?;
        let given = match patch.credentials {
            Patch::Set(given) => Some(self.check_credentials(&spec, given, &mut problems)),
            Patch::Keep if spec.provider != before.spec.provider => {
                self.check_left_credentials(&spec, &mut problems);
                Some(Credentials::default())
            }
            Patch::Keep => None,
            Patch::Clear => {
                problems.add("credentials", "cannot be cleared; state new ones");
                None
            }
        };
        problems.finish()?;
        let credentials = match given {
            Some(given) => self.seal(before.id, &given)?,
            None => before.credentials.clone(),
        };
        Ok(Deployment { updated_at: self.parts.clock.now(), spec, credentials, ..before.clone() })
    }

    /// The credentials of one provider are never sent to another: they are dropped, which the new one must allow.
    pub(super) fn check_left_credentials(&self, spec: &DeploymentSpec, problems: &mut Problems) {
        if self.parts.catalog.preset(&spec.provider).is_some_and(|preset| !credentials::none_needed(preset)) {
            problems.add(
                "credentials",
                format!(
                    "must be stated with a change of `provider`: those of the old one are not sent to `{}`",
                    spec.provider
                ),
            );
        }
    }

    /// What the store refuses in the transaction of a real change, for a dry run.
    async fn check_rename(&self, before: &Deployment, after: &Deployment) -> Outcome<()> {
        let old = &before.spec.public_model;
        if *old == after.spec.public_model {
            return Ok(());
        }
        let filter = DeploymentFilter { public_model: Some(old.as_str().to_owned()), ..DeploymentFilter::default() };
        let pool = self.list(&filter, &PageRequest { limit: 2, ..PageRequest::default() }).await?;
        if pool.items.iter().any(|deployment| deployment.id != before.id) {
            return Ok(());
        }
        let chains = self.parts.stores.fallbacks.load().await?;
        let named = |chain: &FallbackChain| chain.primary == *old || chain.targets.contains(old);
        if chains.iter().flatten().any(named) {
            return Err(Kind::InUse.into());
        }
        Ok(())
    }

    pub(super) fn seal(&self, id: DeploymentId, credentials: &Credentials) -> Outcome<SealedCredentials> {
        seal_credentials(&self.parts.keyring, id, credentials, self.parts.entropy.as_ref())
            .map_err(|error| Fault::new(Kind::Internal).because(error))
    }
}

/// The fields that say which model it is.
fn model_of(spec: &DeploymentSpec) -> impl PartialEq + '_ {
    (&spec.provider, &spec.upstream_model, &spec.catalog_model, &spec.catalog_entry)
}

fn must_set<T>(name: &str, patch: Patch<T>, field: &mut T, problems: &mut Problems) {
    match patch {
        Patch::Keep => {}
        Patch::Clear => problems.add(name, "cannot be cleared"),
        Patch::Set(value) => *field = value,
    }
}

/// What makes two creations the same. It is hashed, never stored.
#[derive(Serialize)]
struct Fingerprint<'a> {
    spec: DeploymentSpecView<'a>,
    api_key: Option<&'a str>,
    base_url: Option<&'a str>,
    headers: BTreeMap<&'a str, &'a str>,
    extra: BTreeMap<&'a str, &'a str>,
}

impl<'a> Fingerprint<'a> {
    fn of(spec: &'a DeploymentSpec, credentials: &'a Credentials) -> Self {
        fn exposed(map: &BTreeMap<String, SecretString>) -> BTreeMap<&str, &str> {
            map.iter().map(|(name, value)| (name.as_str(), value.expose_secret())).collect()
        }
        Self {
            spec: DeploymentSpecView::of(spec),
            api_key: credentials.api_key.as_ref().map(ExposeSecret::expose_secret),
            base_url: credentials.base_url.as_deref(),
            headers: exposed(&credentials.headers),
            extra: exposed(&credentials.extra),
        }
    }
}
