use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use secrecy::ExposeSecret;

use super::support::*;
use crate::control::write::Entry;
use crate::domain::change::{ChangesSince, ResourceKind};
use crate::domain::deployment::DeploymentPatch;
use crate::domain::fallback::FallbackReason;
use crate::domain::ids::{Revision, VirtualKeyId};
use crate::domain::page::{Page, PageRequest};
use crate::domain::patch::Patch;
use crate::domain::virtual_key::{KeyHash, VirtualKey, VirtualKeyFilter, VirtualKeyPatch};
use crate::fault::{Kind, Outcome};
use crate::routing::build::entry_from_row;
use crate::store::sqlite::open_in_memory;
use crate::store::{BadRow, ChangeStore, Created, Loaded, Stores, VirtualKeyStore, Write};
use crate::vault::hash_key;

/// A change log that can be out of reach, or too short.
struct Log {
    inner: Arc<dyn ChangeStore>,
    down: AtomicBool,
    short: AtomicBool,
}

#[async_trait]
impl ChangeStore for Log {
    async fn revision(&self) -> Outcome<Revision> {
        self.inner.revision().await
    }

    async fn changes_since(&self, seen: Revision) -> Outcome<ChangesSince> {
        if self.down.load(Ordering::SeqCst) {
            return Err(Kind::Unavailable.into());
        }
        if self.short.load(Ordering::SeqCst) {
            return Ok(ChangesSince::Gap);
        }
        self.inner.changes_since(seen).await
    }
}

/// Keys whose rows can turn unreadable.
struct Keys {
    inner: Arc<dyn VirtualKeyStore>,
    rotten: AtomicBool,
}

impl Keys {
    fn spoil(&self, row: Result<VirtualKey, BadRow>) -> Result<VirtualKey, BadRow> {
        match row {
            Ok(key) if self.rotten.load(Ordering::SeqCst) => {
                Err(BadRow { id: key.id.to_string(), reason: "expires_at is not a number".to_owned() })
            }
            other => other,
        }
    }
}

#[async_trait]
impl VirtualKeyStore for Keys {
    async fn create(&self, key: &VirtualKey, write: &Write) -> Outcome<Created> {
        self.inner.create(key, write).await
    }

    async fn find(&self, id: VirtualKeyId) -> Outcome<Option<VirtualKey>> {
        if self.rotten.load(Ordering::SeqCst) {
            return Err(Kind::Internal.into());
        }
        self.inner.find(id).await
    }

    async fn list(&self, filter: &VirtualKeyFilter, page: &PageRequest) -> Outcome<Page<VirtualKey>> {
        self.inner.list(filter, page).await
    }

    async fn replace(&self, key: &VirtualKey, expected: Revision, write: &Write) -> Outcome<Revision> {
        self.inner.replace(key, expected, write).await
    }

    async fn delete(&self, id: VirtualKeyId, expected: Option<Revision>, write: &Write) -> Outcome<Revision> {
        self.inner.delete(id, expected, write).await
    }

    async fn load(&self, ids: Option<&[VirtualKeyId]>) -> Outcome<Loaded<VirtualKey>> {
        Ok(self.inner.load(ids).await?.into_iter().map(|row| self.spoil(row)).collect())
    }
}

struct Faulty {
    world: World,
    log: Arc<Log>,
    keys: Arc<Keys>,
}

async fn faulty() -> Faulty {
    let sound = open_in_memory().await.unwrap().stores();
    let (down, short) = (AtomicBool::new(false), AtomicBool::new(false));
    let log = Arc::new(Log { inner: Arc::clone(&sound.changes), down, short });
    let keys = Arc::new(Keys { inner: Arc::clone(&sound.virtual_keys), rotten: AtomicBool::new(false) });
    let stores = Stores { changes: Arc::clone(&log) as _, virtual_keys: Arc::clone(&keys) as _, ..sound };
    Faulty { world: World::on(stores).await, log, keys }
}

#[tokio::test]
async fn another_replica_catches_up_with_every_kind_of_change() {
    let here = World::new().await;
    let (there, _) = replica(here.parts.stores.clone(), &here.clock);
    there.propagation.load().await.unwrap();
    here.deploy("a").await;
    let gone = here.deploy("b").await;
    here.deploy("c").await;
    let reason = FallbackReason::General;
    here.control.routing.set_fallback(&GRPC, model("a"), reason, vec![model("c")], Default::default()).await.unwrap();
    let issued = here.control.virtual_keys.create(&GRPC, key_spec("k"), Default::default()).await.unwrap();
    here.control.deployments.delete(&GRPC, gone.id, None).await.unwrap();
    here.control.routing.update_settings(&GRPC, Default::default(), Default::default()).await.unwrap();

    let revision = there.propagation.catch_up().await.unwrap();
    assert_eq!(revision, here.revision().await);
    let snapshot = there.propagation.publisher().current();
    assert_eq!((snapshot.revision(), snapshot.counts()), (revision, here.snapshot().counts()));
    assert!(snapshot.find_pool("b").is_none());
    assert_eq!(snapshot.chain(&model("a"), reason), [model("c")]);
    assert!(snapshot.find_key(issued.key.id).is_some());
    let (cold, _) = replica(here.parts.stores.clone(), &here.clock);
    cold.propagation.load().await.unwrap();
    assert_eq!(cold.propagation.publisher().current().counts(), snapshot.counts());
    assert_eq!(cold.propagation.publisher().current().revision(), revision);
}

#[tokio::test]
async fn nothing_new_leaves_the_snapshot_as_it_is() {
    let world = World::new().await;
    world.deploy("a").await;
    let before = world.snapshot();
    world.parts.propagation.catch_up().await.unwrap();
    assert!(Arc::ptr_eq(&before, &world.snapshot()));
}

#[tokio::test]
async fn one_changed_key_among_twenty_thousand_touches_one_entry() {
    let world = World::new().await;
    let issued = world.control.virtual_keys.create(&GRPC, key_spec("k"), Default::default()).await.unwrap();
    let publisher = world.parts.propagation.publisher();
    let mut edit = world.snapshot().edit();
    let ids: Vec<VirtualKeyId> = (1..=20_000).map(|n| VirtualKeyId::from_uuid(uuid::Uuid::from_u128(n))).collect();
    for (id, n) in ids.iter().zip(1_u64..) {
        let mut hash = [0; 32];
        hash[..8].copy_from_slice(&n.to_be_bytes());
        edit.put_key(entry_from_row(&VirtualKey { id: *id, hash: KeyHash(hash), ..issued.key.clone() }));
    }
    publisher.publish(edit.finish(issued.key.revision, START));

    let before = world.snapshot();
    let off = VirtualKeyPatch { enabled: Patch::Set(false), ..VirtualKeyPatch::default() };
    world.control.virtual_keys.update(&GRPC, issued.key.id, off, Default::default()).await.unwrap();
    let after = world.snapshot();
    assert_eq!(after.counts(), (0, 20_001, 0));
    assert!(!after.find_key(issued.key.id).unwrap().enabled);
    assert!(!Arc::ptr_eq(before.find_key(issued.key.id).unwrap(), after.find_key(issued.key.id).unwrap()));
    for id in ids {
        assert!(Arc::ptr_eq(before.find_key(id).unwrap(), after.find_key(id).unwrap()));
    }
}

#[tokio::test]
async fn a_key_whose_row_turns_unreadable_stops_and_is_reported_and_can_be_deleted() {
    let Faulty { world, keys, .. } = faulty().await;
    let issued = world.control.virtual_keys.create(&GRPC, key_spec("k"), Default::default()).await.unwrap();
    let hash = hash_key(issued.plaintext.unwrap().expose_secret());
    assert!(world.snapshot().find_live_key(&hash, START).is_some());
    let entry = Entry { action: "virtual_key.update", resource: String::new(), before: None, after: None };
    let write = world.parts.write(&GRPC, START, entry).unwrap();
    keys.inner.replace(&issued.key, issued.key.revision, &write).await.unwrap();
    keys.rotten.store(true, Ordering::SeqCst);

    world.parts.propagation.catch_up().await.unwrap();
    let status = world.control.system.snapshot();
    assert!(world.snapshot().find_live_key(&hash, START).is_none());
    assert_eq!(status.virtual_keys, 0);
    assert_eq!(status.quarantined.len(), 1);
    assert_eq!(status.quarantined[0].kind, ResourceKind::VirtualKey);
    assert_eq!(status.quarantined[0].id, issued.key.id.to_string());
    assert_eq!(status.quarantined[0].reason, "expires_at is not a number");

    world.parts.propagation.load().await.unwrap();
    assert_eq!(world.control.system.snapshot().quarantined, status.quarantined);
    world.control.virtual_keys.delete(&GRPC, issued.key.id, None).await.unwrap();
    assert!(world.control.system.snapshot().quarantined.is_empty());
    assert_eq!(world.last_audit().await.before.as_deref(), Some(r#"{"unreadable":true}"#));
}

#[tokio::test]
async fn a_deployment_that_does_not_decrypt_holds_nobody_back_until_it_is_mended() {
    let world = World::new().await;
    let (sound, broken) = (world.deploy("a").await, world.create(openai("b")).await.unwrap().deployment);
    let mut moved = broken.clone();
    moved.credentials = sound.credentials.clone();
    let entry = Entry { action: "deployment.update", resource: String::new(), before: None, after: None };
    let write = world.parts.write(&GRPC, START, entry).unwrap();
    world.parts.stores.deployments.replace(&moved, broken.revision, &write).await.unwrap();
    world.parts.propagation.catch_up().await.unwrap();
    assert!(world.snapshot().find_pool("b").is_none() && world.snapshot().find_pool("a").is_some());
    let quarantined = world.control.system.snapshot().quarantined;
    assert_eq!(quarantined.len(), 1);
    assert!(quarantined[0].reason.starts_with("credentials: "), "{}", quarantined[0].reason);
    let mend = DeploymentPatch { credentials: Patch::Set(api_key("sk-again")), ..DeploymentPatch::default() };
    world.control.deployments.update(&GRPC, broken.id, mend, Default::default()).await.unwrap();
    assert!(world.control.system.snapshot().quarantined.is_empty());
    assert!(world.snapshot().find_pool("b").is_some());
}

#[tokio::test]
async fn a_gap_in_the_change_log_loads_everything() {
    let Faulty { world, log, .. } = faulty().await;
    log.short.store(true, Ordering::SeqCst);
    let deployed = world.deploy("a").await;
    assert_eq!(world.snapshot().revision(), deployed.revision);
    assert!(world.snapshot().find_pool("a").is_some());
}

#[tokio::test]
async fn a_change_that_is_saved_but_not_in_force_says_so_and_no_secret_is_lost() {
    let Faulty { world, log, .. } = faulty().await;
    let deployed = world.deploy("a").await;
    log.down.store(true, Ordering::SeqCst);
    let patch = DeploymentPatch { weight: Patch::Set(3), ..DeploymentPatch::default() };
    let fault = world.control.deployments.update(&GRPC, deployed.id, patch, Default::default()).await.unwrap_err();
    assert_eq!(fault.kind(), Kind::Unavailable);
    assert!(fault.is_final() && fault.message().contains("saved") && fault.message().contains("not yet in force"));
    assert_eq!(world.control.deployments.get(deployed.id).await.unwrap().spec.weight, 3);
    let issued = world.control.virtual_keys.create(&GRPC, key_spec("k"), Default::default()).await.unwrap();
    let rotated =
        world.control.virtual_keys.rotate(&GRPC, issued.key.id, std::time::Duration::ZERO, None).await.unwrap();
    assert!(issued.plaintext.is_some());
    assert_eq!(world.snapshot().counts(), (1, 0, 0));

    log.down.store(false, Ordering::SeqCst);
    world.parts.propagation.catch_up().await.unwrap();
    assert_eq!(world.snapshot().find_deployment(deployed.id).unwrap().weight, 3);
    let hash = hash_key(rotated.plaintext.unwrap().expose_secret());
    assert!(world.snapshot().find_live_key(&hash, START).is_some());
}

#[tokio::test]
async fn concurrent_writes_are_all_in_force_when_they_are_answered() {
    let world = World::new().await;
    let (a, b, c) = tokio::join!(world.deploy("a"), world.deploy("b"), world.deploy("c"));
    for deployed in [a, b, c] {
        assert!(world.snapshot().find_deployment(deployed.id).is_some());
    }
    assert_eq!(world.snapshot().revision(), Revision(3));
}
