use std::time::Duration;

use secrecy::ExposeSecret;

use super::support::*;
use crate::control::ChangeOptions;
use crate::control::virtual_key::{IssuedKey, MAX_GRACE};
use crate::domain::ids::Revision;
use crate::domain::money::NanoCents;
use crate::domain::patch::Patch;
use crate::domain::virtual_key::{BudgetMode, BudgetReset, KeyHash, VirtualKeyPatch, VirtualKeySpec};
use crate::fault::Kind;
use crate::time::Clock;
use crate::vault::{hash_key, looks_like_virtual_key};

fn secret(issued: &IssuedKey) -> KeyHash {
    hash_key(issued.plaintext.as_ref().unwrap().expose_secret())
}

impl World {
    async fn issue(&self, name: &str) -> IssuedKey {
        self.control.virtual_keys.create(&GRPC, key_spec(name), Default::default()).await.unwrap()
    }

    fn opens(&self, hash: &KeyHash) -> bool {
        self.snapshot().find_live_key(hash, self.clock.now()).is_some()
    }
}

#[tokio::test]
async fn an_issued_key_works_at_once_and_its_secret_is_kept_nowhere() {
    let world = World::new().await;
    let issued = world.issue("app").await;
    let plaintext = issued.plaintext.as_ref().unwrap().expose_secret();
    assert!(looks_like_virtual_key(plaintext));
    assert_eq!(issued.key.prefix, plaintext[..12]);
    assert!(world.opens(&secret(&issued)));
    assert_eq!(world.control.virtual_keys.get(issued.key.id).await.unwrap(), issued.key);
    let audit = world.last_audit().await;
    assert_eq!(audit.action, "virtual_key.create");
    let after = audit.after.unwrap();
    assert!(after.contains(r#""keyPrefix":"unified-"#) && !after.contains(plaintext) && !after.contains("hash"));
}

#[tokio::test]
async fn everything_that_is_wrong_with_a_key_is_reported_at_once() {
    let world = World::new().await;
    let spec = VirtualKeySpec {
        name: " ".to_owned(),
        allowed_models: vec![model("a"), model("b"), model("a")],
        max_budget: Some(NanoCents(1)),
        budget_reset: Some(BudgetReset::Daily),
        budget_mode: Some(BudgetMode::Hard),
        budget_wait_ms: Some(60_001),
        rpm: Some(0),
        tpm: Some(0),
        max_parallel_requests: Some(0),
        expires_at: Some(START),
        enabled: true,
        metadata: Some("1".to_owned()),
    };
    let fault = world.control.virtual_keys.create(&GRPC, spec, Default::default()).await.unwrap_err();
    assert_eq!(
        fields(&fault),
        ["allowedModels[2]", "budgetWaitMs", "expiresAt", "maxParallelRequests", "metadata", "name", "rpm", "tpm",]
    );
    assert_eq!(world.revision().await, Revision(0));
}

#[tokio::test]
async fn a_replayed_creation_answers_the_key_without_its_secret() {
    let world = World::new().await;
    let create = |spec| world.control.virtual_keys.create(&GRPC, spec, request("r"));
    let first = create(key_spec("app")).await.unwrap();
    let again = create(key_spec("app")).await.unwrap();
    assert!(again.replayed && again.plaintext.is_none());
    assert_eq!(again.key, first.key);
    assert_eq!(create(key_spec("other")).await.unwrap_err().kind(), Kind::AlreadyExists);
}

#[tokio::test]
async fn a_dry_run_issues_nothing() {
    let world = World::new().await;
    let issued = world.control.virtual_keys.create(&GRPC, key_spec("app"), dry_create()).await.unwrap();
    assert!(issued.plaintext.is_none() && issued.key.id.as_uuid().is_nil() && issued.key.prefix.is_empty());
    assert_eq!((issued.key.revision, world.revision().await), (Revision(0), Revision(0)));
}

#[tokio::test]
async fn rotation_lets_the_old_secret_work_until_the_grace_ends() {
    let world = World::new().await;
    let first = world.issue("app").await;
    let rotate = |seconds| world.control.virtual_keys.rotate(&GRPC, first.key.id, Duration::from_secs(seconds), None);
    let second = rotate(60).await.unwrap();
    assert_eq!(second.key.id, first.key.id);
    assert!(world.opens(&secret(&first)) && world.opens(&secret(&second)));
    world.advance(59);
    assert!(world.opens(&secret(&first)));
    world.advance(1);
    assert!(!world.opens(&secret(&first)) && world.opens(&secret(&second)));

    let third = rotate(60).await.unwrap();
    let fourth = rotate(60).await.unwrap();
    assert!(!world.opens(&secret(&second)) && world.opens(&secret(&third)) && world.opens(&secret(&fourth)));
    let fifth = rotate(0).await.unwrap();
    assert!(fifth.key.previous.is_none());
    assert!(!world.opens(&secret(&fourth)) && world.opens(&secret(&fifth)));
    assert_eq!(world.last_audit().await.action, "virtual_key.rotate");
}

#[tokio::test]
async fn a_rotation_minds_its_grace_and_etag() {
    let world = World::new().await;
    let issued = world.issue("app").await;
    let keys = &world.control.virtual_keys;
    let longer = MAX_GRACE + Duration::from_millis(1);
    let fault = keys.rotate(&GRPC, issued.key.id, longer, None).await.unwrap_err();
    assert_eq!(fields(&fault), ["gracePeriod"]);
    let fault = keys.rotate(&GRPC, issued.key.id, MAX_GRACE, Some(Revision(99))).await.unwrap_err();
    assert_eq!(fault.kind(), Kind::Stale);
    assert!(world.opens(&secret(&issued)));
    assert!(keys.rotate(&GRPC, issued.key.id, MAX_GRACE, Some(issued.key.revision)).await.is_ok());
}

#[tokio::test]
async fn an_update_takes_effect_at_once_and_a_passed_expiry_does_not_block_it() {
    let world = World::new().await;
    let issued = world.issue("app").await;
    let update = |patch| world.control.virtual_keys.update(&GRPC, issued.key.id, patch, ChangeOptions::default());
    let soon = world.clock.now().after(Duration::from_secs(10));
    let limited = VirtualKeyPatch {
        expires_at: Patch::Set(soon),
        allowed_models: Patch::Set(vec![model("not-yet-there")]),
        ..VirtualKeyPatch::default()
    };
    update(limited).await.unwrap();
    let snapshot = world.snapshot();
    let entry = snapshot.find_key(issued.key.id).unwrap();
    assert!(entry.allows("not-yet-there") && !entry.allows("other"));
    world.advance(10);
    assert!(!world.opens(&secret(&issued)));
    let renamed = VirtualKeyPatch { name: Patch::Set("new".to_owned()), ..VirtualKeyPatch::default() };
    assert_eq!(update(renamed).await.unwrap().spec.name, "new");
    let past = VirtualKeyPatch { expires_at: Patch::Set(START), name: Patch::Clear, ..VirtualKeyPatch::default() };
    assert_eq!(fields(&update(past).await.unwrap_err()), ["expiresAt", "name"]);
    let forever =
        VirtualKeyPatch { expires_at: Patch::Clear, allowed_models: Patch::Clear, ..VirtualKeyPatch::default() };
    update(forever).await.unwrap();
    assert!(world.opens(&secret(&issued)));
    let off = VirtualKeyPatch { enabled: Patch::Set(false), ..VirtualKeyPatch::default() };
    update(off).await.unwrap();
    assert!(!world.opens(&secret(&issued)));
    let limited = VirtualKeyPatch { rpm: Patch::Set(0), ..VirtualKeyPatch::default() };
    assert_eq!(fields(&update(limited).await.unwrap_err()), ["rpm"]);
    assert!(update(VirtualKeyPatch { rpm: Patch::Clear, ..VirtualKeyPatch::default() }).await.is_ok());
}

#[tokio::test]
async fn a_deleted_key_stops_at_once() {
    let world = World::new().await;
    let issued = world.issue("app").await;
    let keys = &world.control.virtual_keys;
    let fault = keys.delete(&GRPC, issued.key.id, Some(Revision(99))).await.unwrap_err();
    assert_eq!(fault.kind(), Kind::Stale);
    keys.delete(&GRPC, issued.key.id, None).await.unwrap();
    assert!(!world.opens(&secret(&issued)));
    assert_eq!(keys.get(issued.key.id).await.unwrap_err().kind(), Kind::NotFound);
    assert_eq!(keys.delete(&GRPC, issued.key.id, None).await.unwrap_err().kind(), Kind::NotFound);
    assert_eq!(world.last_audit().await.after, None);
}

#[tokio::test]
async fn a_reset_of_spending_is_audited_and_changes_nothing_else() {
    let world = World::new().await;
    let issued = world.issue("app").await;
    let keys = &world.control.virtual_keys;
    let after = keys.reset_spend(&GRPC, issued.key.id, Some(issued.key.revision)).await.unwrap();
    assert_eq!(after.spec, issued.key.spec);
    assert_eq!(world.last_audit().await.action, "virtual_key.reset_spend");
    assert_eq!(keys.spend(&after).await.unwrap(), NanoCents(0));
    let stale = keys.reset_spend(&GRPC, issued.key.id, Some(issued.key.revision)).await.unwrap_err();
    assert_eq!(stale.kind(), Kind::Stale);
}
