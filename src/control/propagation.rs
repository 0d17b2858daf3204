//! Brings the snapshot up to date with the store: everything at the start and after a gap, else only the changed rows.
//!
//! Rows are read after the revision they are filed under, so a snapshot is never behind what it says; it may be ahead,
//! and then the next look reads the same rows again. A row that cannot be understood or used is taken out and
//! quarantined: a revoked key stops though its new row is unreadable, and no bad row holds back the others.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::Mutex;

use crate::catalog::Catalog;
use crate::domain::change::{ChangesSince, ConfigChange, ResourceKind};
use crate::domain::deployment::Deployment;
use crate::domain::fallback::FallbackChain;
use crate::domain::ids::{DeploymentId, Revision, VirtualKeyId};
use crate::domain::virtual_key::VirtualKey;
use crate::fault::{Fault, Kind, Outcome};
use crate::routing::build::{entry_from_row, target_from_row};
use crate::routing::{Publisher, Snapshot, SnapshotEdit};
use crate::store::{BadRow, Loaded, Stores};
use crate::time::Clock;
use crate::vault::Keyring;

/// Reads what changed and puts it in force. One reader at a time.
pub struct Propagation {
    stores: Stores,
    catalog: Arc<Catalog>,
    keyring: Arc<Keyring>,
    publisher: Arc<Publisher>,
    clock: Arc<dyn Clock>,
    turn: Mutex<()>,
}

impl std::fmt::Debug for Propagation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Propagation")
    }
}

impl Propagation {
    /// Feeds `publisher` from `stores`.
    #[must_use]
    pub fn new(
        stores: Stores,
        catalog: Arc<Catalog>,
        keyring: Arc<Keyring>,
        publisher: Arc<Publisher>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { stores, catalog, keyring, publisher, clock, turn: Mutex::new(()) }
    }

    /// Loads everything and puts it in force.
    ///
    /// # Errors
    /// `Unavailable` when the store is. The snapshot in force stays.
    pub async fn load(&self) -> Outcome<()> {
        let _turn = self.turn.lock().await;
        self.load_in_turn().await.map(|_| ())
    }

    /// Reads what changed since the snapshot in force and puts it in force; after a gap in the change log, everything.
    /// Answers the revision then in force.
    ///
    /// # Errors
    /// `Unavailable` when the store is. The snapshot in force stays.
    pub async fn catch_up(&self) -> Outcome<Revision> {
        let _turn = self.turn.lock().await;
        self.catch_up_in_turn().await
    }

    /// Waits until `revision` is in force. Writes that wait for their turn find that an earlier one has brought them in.
    ///
    /// # Errors
    /// `Unavailable` when the store is, or does not show the revision.
    pub(super) async fn reach(&self, revision: Revision) -> Outcome<()> {
        let _turn = self.turn.lock().await;
        if self.publisher.current().revision() >= revision || self.catch_up_in_turn().await? >= revision {
            return Ok(());
        }
        Err(Fault::new(Kind::Unavailable).because(format!("the change log does not show revision {revision}")))
    }

    /// What holds the snapshot in force.
    #[must_use]
    pub fn publisher(&self) -> &Arc<Publisher> {
        &self.publisher
    }
}

/// Reading.
impl Propagation {
    async fn load_in_turn(&self) -> Outcome<Revision> {
        let base = self.stores.changes.revision().await?;
        let mut draft = Draft::new(self, &Snapshot::empty(self.clock.now()));
        for row in self.stores.deployments.load(None).await? {
            draft.deployment(row);
        }
        for row in self.stores.virtual_keys.load(None).await? {
            draft.virtual_key(row);
        }
        draft.chains(self.stores.fallbacks.load().await?);
        self.read_settings(&mut draft).await?;
        // The tables were read one after the other; what was written meanwhile is read again.
        let revision = match self.stores.changes.changes_since(base).await? {
            ChangesSince::Changes { changes, revision } => {
                self.read_changes(&changes, &mut draft).await?;
                revision
            }
            ChangesSince::Gap => base,
        };
        self.publisher.replace(draft.edit.finish(revision, self.clock.now()));
        Ok(revision)
    }

    async fn catch_up_in_turn(&self) -> Outcome<Revision> {
        let current = self.publisher.current();
        if !current.is_loaded() {
            return self.load_in_turn().await;
        }
        let (changes, revision) = match self.stores.changes.changes_since(current.revision()).await? {
            ChangesSince::Gap => return self.load_in_turn().await,
            ChangesSince::Changes { changes, revision } => (changes, revision),
        };
        if revision == current.revision() {
            return Ok(revision);
        }
        let mut draft = Draft::new(self, &current);
        self.read_changes(&changes, &mut draft).await?;
        self.publisher.publish(draft.edit.finish(revision, self.clock.now()));
        Ok(revision)
    }

    /// Reads every changed row once, however often it changed.
    async fn read_changes(&self, changes: &[ConfigChange], draft: &mut Draft<'_>) -> Outcome<()> {
        let mut last: BTreeMap<(ResourceKind, &str), bool> = BTreeMap::new();
        for change in changes {
            last.insert((change.kind, &change.id), change.deleted);
        }
        let (mut deployments, mut keys) = (Vec::new(), Vec::new());
        let (mut chains, mut settings) = (false, false);
        for ((kind, id), deleted) in last {
            match kind {
                ResourceKind::Deployment => match id.parse::<DeploymentId>() {
                    // Gone first: a row that is not found, or not usable, any more must not stay.
                    Ok(id) => {
                        draft.edit.remove_deployment(id);
                        deployments.extend((!deleted).then_some(id));
                    }
                    Err(error) => draft.quarantine(kind, id, &error.to_string()),
                },
                ResourceKind::VirtualKey => match id.parse::<VirtualKeyId>() {
                    Ok(id) => {
                        draft.edit.remove_key(id);
                        keys.extend((!deleted).then_some(id));
                    }
                    Err(error) => draft.quarantine(kind, id, &error.to_string()),
                },
                ResourceKind::FallbackChain => chains = true,
                ResourceKind::RouterSettings => settings = true,
            }
        }
        if !deployments.is_empty() {
            for row in self.stores.deployments.load(Some(&deployments)).await? {
                draft.deployment(row);
            }
        }
        if !keys.is_empty() {
            for row in self.stores.virtual_keys.load(Some(&keys)).await? {
                draft.virtual_key(row);
            }
        }
        if chains {
            draft.chains(self.stores.fallbacks.load().await?);
        }
        if settings {
            self.read_settings(draft).await?;
        }
        Ok(())
    }

    async fn read_settings(&self, draft: &mut Draft<'_>) -> Outcome<()> {
        match self.stores.settings.get().await {
            Ok(stored) => draft.edit.set_settings(stored.settings),
            // One row among others: unreadable, it leaves the settings as they are.
            Err(fault) if fault.kind() == Kind::Internal => {
                draft.edit.set_settings(draft.in_force.settings().clone());
                draft.quarantine(ResourceKind::RouterSettings, "", "cannot be understood");
            }
            Err(fault) => return Err(fault),
        }
        Ok(())
    }
}

/// A snapshot in the making, off to the side.
struct Draft<'a> {
    edit: SnapshotEdit,
    in_force: Arc<Snapshot>,
    catalog: &'a Catalog,
    keyring: &'a Keyring,
}

impl<'a> Draft<'a> {
    fn new(propagation: &'a Propagation, base: &Snapshot) -> Self {
        Self {
            edit: base.edit(),
            in_force: propagation.publisher.current(),
            catalog: &propagation.catalog,
            keyring: &propagation.keyring,
        }
    }

    fn deployment(&mut self, row: Result<Deployment, BadRow>) {
        match row {
            Ok(row) => match target_from_row(&row, self.catalog, self.keyring) {
                Ok(target) => self.edit.put_deployment(target),
                Err(reason) => {
                    self.edit.withhold_deployment(row.id, row.spec.public_model.clone());
                    self.quarantine(ResourceKind::Deployment, &row.id.to_string(), &reason);
                }
            },
            Err(bad) => {
                if let Ok(id) = bad.id.parse() {
                    self.edit.remove_deployment(id);
                }
                self.quarantine(ResourceKind::Deployment, &bad.id, &bad.reason);
            }
        }
    }

    fn virtual_key(&mut self, row: Result<VirtualKey, BadRow>) {
        match row {
            Ok(row) => self.edit.put_key(entry_from_row(&row)),
            Err(bad) => {
                if let Ok(id) = bad.id.parse() {
                    self.edit.remove_key(id);
                }
                self.quarantine(ResourceKind::VirtualKey, &bad.id, &bad.reason);
            }
        }
    }

    fn chains(&mut self, rows: Loaded<FallbackChain>) {
        let (good, bad): (Vec<_>, Vec<_>) = rows.into_iter().partition(Result::is_ok);
        self.edit.set_chains(good.into_iter().flatten());
        for row in bad.into_iter().filter_map(Result::err) {
            self.quarantine(ResourceKind::FallbackChain, &row.id, &row.reason);
        }
    }

    /// Notes a row that is left out, and says so in the log the first time.
    fn quarantine(&mut self, kind: ResourceKind, id: &str, reason: &str) {
        if self.in_force.quarantine_reason(kind, id) != Some(reason) {
            tracing::warn!(kind = kind.as_str(), id, reason, "left a row out of the configuration in force");
        }
        self.edit.quarantine(kind, id, reason);
    }
}
