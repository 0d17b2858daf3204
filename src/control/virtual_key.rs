//! Virtual keys: issue, change, rotate, revoke.

use std::time::Duration;

use secrecy::SecretString;
use uuid::Uuid;

use super::audit::{KeySpecView, KeyView, Unreadable};
use super::check::{Problems, text};
use super::write::{self, ATTEMPTS, Entry, View};
use super::{ChangeOptions, CreateOptions, KeyUsage, Parts};
use crate::domain::audit::Caller;
use crate::domain::ids::{Revision, VirtualKeyId};
use crate::domain::money::NanoCents;
use crate::domain::page::{Page, PageRequest};
use crate::domain::patch::Patch;
use crate::domain::virtual_key::{
    MAX_ALLOWED_MODELS, MAX_BUDGET_WAIT_MS, PreviousSecret, VirtualKey, VirtualKeyFilter, VirtualKeyPatch,
    VirtualKeySpec,
};
use crate::fault::{Fault, Kind, Outcome};
use crate::store::Created;
use crate::vault::mint_key;

/// Longest time that a rotated-out secret goes on working.
pub const MAX_GRACE: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// The use cases of virtual keys.
#[derive(Debug)]
pub struct VirtualKeys {
    parts: Parts,
}

/// A key and, this once, its secret.
#[derive(Debug)]
pub struct IssuedKey {
    /// The key; with `validate_only` what it would be: nil id, revision 0, empty prefix.
    pub key: VirtualKey,
    /// The secret; `None` on a replay and on a dry run.
    pub plaintext: Option<SecretString>,
    /// Whether an earlier call with the same `request_id` had made it.
    pub replayed: bool,
}

impl VirtualKeys {
    pub(super) fn new(parts: Parts) -> Self {
        Self { parts }
    }

    /// Makes a key. Its secret is answered once, even when the key is saved but not yet in force on this replica.
    ///
    /// # Errors
    /// `BadRequest` with every violation; `AlreadyExists` when the `request_id` made something else; `NotFound` when
    /// what it made is deleted; `Unavailable`.
    pub async fn create(&self, caller: &Caller, spec: VirtualKeySpec, options: CreateOptions) -> Outcome<IssuedKey> {
        let mut problems = Problems::default();
        write::check_options(&options, &mut problems);
        self.check(None, &spec, &mut problems);
        problems.finish()?;

        let idempotency = write::idempotency(&options, &KeySpecView::of(&spec))?;
        let now = self.parts.clock.now();
        let minted = mint_key(self.parts.entropy.as_ref());
        let mut key = VirtualKey {
            id: VirtualKeyId::from_uuid(self.parts.new_uuid(now)),
            revision: Revision(0),
            created_at: now,
            updated_at: now,
            hash: minted.hash,
            prefix: minted.prefix,
            previous: None,
            spec,
        };
        if options.validate_only {
            key.id = VirtualKeyId::from_uuid(Uuid::nil());
            key.prefix.clear();
            return Ok(IssuedKey { key, plaintext: None, replayed: false });
        }
        let view = KeyView::of(&key);
        let entry =
            Entry { action: "virtual_key.create", resource: key.id.to_string(), before: None, after: Some(&view) };
        let mut write = self.parts.write(caller, now, entry)?;
        write.idempotency = idempotency;
        match self.parts.stores.virtual_keys.create(&key, &write).await? {
            Created::New(revision) => {
                self.parts.in_force_or_warn(revision, &key.id).await;
                key.revision = revision;
                Ok(IssuedKey { key, plaintext: Some(minted.plaintext), replayed: false })
            }
            Created::Replayed(earlier) => {
                let found = self.parts.stores.virtual_keys.find(VirtualKeyId::from_uuid(earlier)).await?;
                let key = found.ok_or_else(write::replay_of_a_deleted_one)?;
                self.parts.in_force(key.revision).await?;
                Ok(IssuedKey { key, plaintext: None, replayed: true })
            }
        }
    }

    /// One key.
    ///
    /// # Errors
    /// `NotFound`; `Unavailable`.
    pub async fn get(&self, id: VirtualKeyId) -> Outcome<VirtualKey> {
        self.parts.stores.virtual_keys.find(id).await?.ok_or_else(|| Kind::NotFound.into())
    }

    /// One page of keys, by time of creation.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn list(&self, filter: &VirtualKeyFilter, page: &PageRequest) -> Outcome<Page<VirtualKey>> {
        self.parts.stores.virtual_keys.list(filter, page).await
    }

    /// How keys stand with their limits, in order.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn usage(&self, keys: &[&VirtualKey]) -> Outcome<Vec<KeyUsage>> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let limits: Vec<_> = keys.iter().map(|key| (key.id, key.spec.limits())).collect();
        self.parts.ledger.usage(&limits).await
    }

    /// What keys have spent in the window of their budget, in order.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn spends(&self, keys: &[&VirtualKey]) -> Outcome<Vec<NanoCents>> {
        Ok(self.usage(keys).await?.into_iter().map(|usage| usage.spent).collect())
    }

    /// What one key has spent. One that is not saved has spent nothing.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn spend(&self, key: &VirtualKey) -> Outcome<NanoCents> {
        if key.id.as_uuid().is_nil() {
            return Ok(NanoCents(0));
        }
        Ok(self.spends(&[key]).await?.first().copied().unwrap_or_default())
    }

    /// Starts a key's spending from zero. Requests under way are charged to what was before. The row is written anew,
    /// unchanged, so that the audit trail has it.
    ///
    /// # Errors
    /// `NotFound`; `Stale`; `Unavailable`.
    pub async fn reset_spend(
        &self,
        caller: &Caller,
        id: VirtualKeyId,
        expected: Option<Revision>,
    ) -> Outcome<VirtualKey> {
        for _ in 0..ATTEMPTS {
            let before = self.get(id).await?;
            write::check_expected(expected, before.revision)?;
            let after = VirtualKey { updated_at: self.parts.clock.now(), ..before.clone() };
            match self.replace(caller, "virtual_key.reset_spend", &before, after).await {
                Ok(after) => {
                    self.parts.ledger.reset_spend(id).await?;
                    self.parts.in_force(after.revision).await?;
                    return Ok(after);
                }
                Err(fault) if write::lost_a_race(&fault, expected) => {}
                Err(fault) => return Err(fault),
            }
        }
        Err(Kind::Stale.into())
    }

    /// Changes a key.
    ///
    /// # Errors
    /// `BadRequest` with every violation; `NotFound`; `Stale`; `Unavailable`.
    pub async fn update(
        &self,
        caller: &Caller,
        id: VirtualKeyId,
        patch: VirtualKeyPatch,
        options: ChangeOptions,
    ) -> Outcome<VirtualKey> {
        for _ in 0..ATTEMPTS {
            let before = self.get(id).await?;
            write::check_expected(options.expected, before.revision)?;
            let after = self.patched(&before, patch.clone())?;
            if options.validate_only {
                return Ok(after);
            }
            match self.replace(caller, "virtual_key.update", &before, after).await {
                Ok(after) => {
                    self.parts.in_force(after.revision).await?;
                    return Ok(after);
                }
                Err(fault) if write::lost_a_race(&fault, options.expected) => {}
                Err(fault) => return Err(fault),
            }
        }
        Err(Kind::Stale.into())
    }

    /// Revokes a key for good. A row that cannot be understood any more can still be deleted.
    ///
    /// # Errors
    /// `NotFound`; `Stale`; `Unavailable`.
    pub async fn delete(&self, caller: &Caller, id: VirtualKeyId, expected: Option<Revision>) -> Outcome<()> {
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
            let view = readable.map(KeyView::of);
            let before: &dyn View = view.as_ref().map_or(&Unreadable::ROW, |view| view);
            let entry =
                Entry { action: "virtual_key.delete", resource: id.to_string(), before: Some(before), after: None };
            let write = self.parts.write(caller, self.parts.clock.now(), entry)?;
            let exactly = readable.map(|before| before.revision).or(expected);
            match self.parts.stores.virtual_keys.delete(id, exactly, &write).await {
                Ok(revision) => return self.parts.in_force(revision).await,
                Err(fault) if write::lost_a_race(&fault, expected) => {}
                Err(fault) => return Err(fault),
            }
        }
        Err(Kind::Stale.into())
    }

    /// Gives a key a new secret; the old one works for `grace` more (0 to 7 days), and one before that no longer. The
    /// new secret is answered even when it is saved but not yet in force on this replica.
    ///
    /// # Errors
    /// `BadRequest`; `NotFound`; `Stale`; `Unavailable`.
    pub async fn rotate(
        &self,
        caller: &Caller,
        id: VirtualKeyId,
        grace: Duration,
        expected: Option<Revision>,
    ) -> Outcome<IssuedKey> {
        if grace > MAX_GRACE {
            return Err(Fault::invalid(
                "gracePeriod",
                format!("must be 0 to {} seconds (7 days)", MAX_GRACE.as_secs()),
            ));
        }
        for _ in 0..ATTEMPTS {
            let before = self.get(id).await?;
            write::check_expected(expected, before.revision)?;
            let now = self.parts.clock.now();
            let minted = mint_key(self.parts.entropy.as_ref());
            let until = now.after(grace);
            let previous = (until > now).then_some(PreviousSecret { hash: before.hash, valid_until: until });
            let after =
                VirtualKey { hash: minted.hash, prefix: minted.prefix, previous, updated_at: now, ..before.clone() };
            match self.replace(caller, "virtual_key.rotate", &before, after).await {
                Ok(key) => {
                    self.parts.in_force_or_warn(key.revision, &key.id).await;
                    return Ok(IssuedKey { key, plaintext: Some(minted.plaintext), replayed: false });
                }
                Err(fault) if write::lost_a_race(&fault, expected) => {}
                Err(fault) => return Err(fault),
            }
        }
        Err(Kind::Stale.into())
    }
}

/// The rules.
impl VirtualKeys {
    pub(super) fn check(&self, before: Option<&VirtualKeySpec>, spec: &VirtualKeySpec, problems: &mut Problems) {
        problems.check("name", text::key_name(&spec.name));
        if spec.allowed_models.len() > MAX_ALLOWED_MODELS {
            let count = spec.allowed_models.len();
            problems.add("allowedModels", format!("must be at most {MAX_ALLOWED_MODELS}, are {count}"));
        }
        let mut seen = std::collections::HashSet::new();
        for (position, model) in spec.allowed_models.iter().enumerate() {
            if !seen.insert(model) {
                problems.add(format!("allowedModels[{position}]"), format!("names `{model}` a second time"));
            }
        }
        // An expiry that is stored may pass; one that is stated must lie ahead.
        let stated = spec.expires_at.filter(|at| before.and_then(|before| before.expires_at) != Some(*at));
        if stated.is_some_and(|at| at <= self.parts.clock.now()) {
            problems.add("expiresAt", "must be in the future; set `enabled` to false to stop a key now");
        }
        problems.check("metadata", spec.metadata.as_deref().map_or(Ok(()), text::metadata));
        for (field, limit) in
            [("rpm", spec.rpm), ("tpm", spec.tpm), ("maxParallelRequests", spec.max_parallel_requests)]
        {
            if limit == Some(0) {
                problems.add(field, "must be at least 1; set `enabled` to false to stop a key");
            }
        }
        if spec.budget_wait_ms.is_some_and(|wait| wait > MAX_BUDGET_WAIT_MS) {
            problems.add("budgetWaitMs", format!("must be at most {MAX_BUDGET_WAIT_MS}"));
        }
    }

    fn patched(&self, before: &VirtualKey, patch: VirtualKeyPatch) -> Outcome<VirtualKey> {
        let mut problems = Problems::default();
        let mut spec = before.spec.clone();
        match patch.name {
            Patch::Keep => {}
            Patch::Clear => problems.add("name", "cannot be cleared"),
            Patch::Set(name) => spec.name = name,
        }
        patch.allowed_models.apply_or(&mut spec.allowed_models, Vec::new());
        patch.max_budget.apply(&mut spec.max_budget);
        patch.budget_reset.apply(&mut spec.budget_reset);
        patch.budget_mode.apply(&mut spec.budget_mode);
        patch.budget_wait_ms.apply(&mut spec.budget_wait_ms);
        patch.rpm.apply(&mut spec.rpm);
        patch.tpm.apply(&mut spec.tpm);
        patch.max_parallel_requests.apply(&mut spec.max_parallel_requests);
        patch.expires_at.apply(&mut spec.expires_at);
        patch.enabled.apply_or(&mut spec.enabled, true);
        patch.metadata.apply(&mut spec.metadata);
        self.check(Some(&before.spec), &spec, &mut problems);
        problems.finish()?;
        Ok(VirtualKey { updated_at: self.parts.clock.now(), spec, ..before.clone() })
    }

    async fn replace(
        &self,
        caller: &Caller,
        action: &'static str,
        before: &VirtualKey,
        after: VirtualKey,
    ) -> Outcome<VirtualKey> {
        let (old, new) = (KeyView::of(before), KeyView::of(&after));
        let entry = Entry { action, resource: before.id.to_string(), before: Some(&old), after: Some(&new) };
        let write = self.parts.write(caller, after.updated_at, entry)?;
        let revision = self.parts.stores.virtual_keys.replace(&after, before.revision, &write).await?;
        Ok(VirtualKey { revision, ..after })
    }
}
