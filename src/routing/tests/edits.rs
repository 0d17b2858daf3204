use std::sync::Arc;
use std::time::Duration;

use super::{START, id, model, target};
use crate::domain::change::ResourceKind;
use crate::domain::fallback::{FallbackChain, FallbackReason};
use crate::domain::ids::{Revision, VirtualKeyId};
use crate::domain::settings::RouterSettings;
use crate::domain::virtual_key::KeyHash;
use crate::routing::{KeyEntry, Publisher, Snapshot, SnapshotEdit, Target};

fn key_id(n: u128) -> VirtualKeyId {
    VirtualKeyId::from_uuid(uuid::Uuid::from_u128(n))
}

fn key(n: u128, hash: u8) -> KeyEntry {
    KeyEntry {
        id: key_id(n),
        prefix: "unified-abcd".to_owned(),
        hash: KeyHash([hash; 32]),
        previous: None,
        limits: crate::domain::limits::Limits::default(),
        budget_mode: crate::domain::virtual_key::BudgetMode::Expected,
        budget_wait: std::time::Duration::ZERO,
        allowed_models: None,
        enabled: true,
        expires_at: None,
    }
}

fn edited(from: &Snapshot, change: impl FnOnce(&mut SnapshotEdit)) -> Snapshot {
    let mut edit = from.edit();
    change(&mut edit);
    edit.finish(Revision(from.revision().0 + 1), START)
}

fn chain(primary: &str, target: &str) -> FallbackChain {
    FallbackChain {
        primary: model(primary),
        reason: FallbackReason::General,
        targets: vec![model(target)],
        revision: Revision(1),
        updated_at: START,
    }
}

#[test]
fn a_deployment_moves_between_pools_with_its_public_model() {
    let first = edited(&Snapshot::empty(START), |edit| {
        edit.put_deployment(target(1, "a"));
        edit.put_deployment(target(2, "a"));
    });
    let second = edited(&first, |edit| edit.put_deployment(target(1, "b")));
    let third = edited(&second, |edit| edit.put_deployment(target(2, "b")));
    let pool = |snapshot: &Snapshot, name: &str| snapshot.find_pool(name).map_or(0, |pool| pool.targets.len());
    assert_eq!((pool(&first, "a"), pool(&first, "b")), (2, 0), "what is in force does not change");
    assert_eq!((pool(&second, "a"), pool(&second, "b")), (1, 1));
    assert_eq!((pool(&third, "a"), pool(&third, "b")), (0, 2));
    assert!(third.find_pool("a").is_none(), "an empty pool is no pool");
    assert_eq!(third.pools().count(), 1);
    let fourth = edited(&third, |edit| edit.remove_deployment(id(1)));
    assert!(fourth.find_deployment(id(1)).is_none());
    assert_eq!((pool(&fourth, "b"), fourth.counts()), (1, (1, 0, 0)));
}

#[test]
fn a_pool_lists_higher_tiers_first_and_then_the_older() {
    let snapshot = edited(&Snapshot::empty(START), |edit| {
        for (n, priority) in [(3, 0), (1, 0), (2, 9), (4, -1)] {
            edit.put_deployment(Target { priority, ..target(n, "a") });
        }
    });
    let ids: Vec<_> = snapshot.find_pool("a").unwrap().targets.iter().map(|target| target.id).collect();
    assert_eq!(ids, [id(2), id(1), id(3), id(4)]);
}

#[test]
fn an_untouched_pool_and_key_are_shared_with_the_snapshot_before() {
    let first = edited(&Snapshot::empty(START), |edit| {
        edit.put_deployment(target(1, "a"));
        edit.put_deployment(target(2, "b"));
        edit.put_key(key(1, 1));
        edit.put_key(key(2, 2));
    });
    let second = edited(&first, |edit| {
        edit.put_deployment(target(2, "b"));
        edit.put_key(key(2, 3));
    });
    assert!(Arc::ptr_eq(first.find_pool("a").unwrap(), second.find_pool("a").unwrap()));
    assert!(!Arc::ptr_eq(first.find_pool("b").unwrap(), second.find_pool("b").unwrap()));
    assert!(Arc::ptr_eq(first.find_key(key_id(1)).unwrap(), second.find_key(key_id(1)).unwrap()));
}

#[test]
fn a_rotated_out_secret_works_until_its_grace_ends_and_an_older_one_never() {
    let opens = |snapshot: &Snapshot, hash: u8, at| snapshot.find_live_key(&KeyHash([hash; 32]), at).is_some();
    let end = START.after(Duration::from_secs(60));
    let just_before = START.after(Duration::from_millis(59_999));
    let rotated = |current: u8| KeyEntry { previous: Some((KeyHash([current - 1; 32]), end)), ..key(1, current) };
    let first = edited(&Snapshot::empty(START), |edit| edit.put_key(key(1, 1)));
    let second = edited(&first, |edit| edit.put_key(rotated(2)));
    assert!(opens(&second, 2, end) && opens(&second, 1, just_before) && !opens(&second, 1, end));
    let third = edited(&second, |edit| edit.put_key(rotated(3)));
    assert!(opens(&third, 3, START) && opens(&third, 2, START) && !opens(&third, 1, START));
    let gone = edited(&third, |edit| edit.remove_key(key_id(1)));
    assert!((1..=3).all(|hash| !opens(&gone, hash, START)));
}

#[test]
fn a_key_that_is_off_or_expired_opens_nothing() {
    let opens = |entry: KeyEntry, at| {
        let snapshot = edited(&Snapshot::empty(START), |edit| edit.put_key(entry));
        snapshot.find_live_key(&KeyHash([1; 32]), at).is_some()
    };
    let later = START.after(Duration::from_secs(1));
    assert!(opens(key(1, 1), later));
    assert!(!opens(KeyEntry { enabled: false, ..key(1, 1) }, START));
    assert!(opens(KeyEntry { expires_at: Some(later), ..key(1, 1) }, START));
    assert!(!opens(KeyEntry { expires_at: Some(later), ..key(1, 1) }, later));
}

#[test]
fn a_quarantined_row_is_released_by_its_sound_successor_or_its_removal() {
    let bad = edited(&Snapshot::empty(START), |edit| {
        edit.quarantine(ResourceKind::Deployment, &id(1).to_string(), "does not decrypt");
        edit.quarantine(ResourceKind::VirtualKey, &key_id(1).to_string(), "broken");
        edit.quarantine(ResourceKind::FallbackChain, "a\ngeneral", "broken");
        edit.quarantine(ResourceKind::RouterSettings, "", "broken");
    });
    assert_eq!(bad.quarantined().len(), 4);
    assert_eq!(bad.quarantine_reason(ResourceKind::Deployment, &id(1).to_string()), Some("does not decrypt"));
    let left = |change: &dyn Fn(&mut SnapshotEdit)| {
        let after = edited(&bad, change);
        after.quarantined().into_iter().map(|row| row.kind).collect::<Vec<_>>()
    };
    use ResourceKind::{Deployment, FallbackChain, RouterSettings as Settings, VirtualKey};
    assert_eq!(left(&|edit| edit.put_deployment(target(1, "a"))), [VirtualKey, FallbackChain, Settings]);
    assert_eq!(left(&|edit| edit.put_deployment(target(2, "a"))), [Deployment, VirtualKey, FallbackChain, Settings]);
    assert_eq!(left(&|edit| edit.remove_key(key_id(1))), [Deployment, FallbackChain, Settings]);
    assert_eq!(left(&|edit| edit.set_chains([chain("a", "b")])), [Deployment, VirtualKey, Settings]);
    assert_eq!(left(&|edit| edit.set_settings(RouterSettings::default())), [Deployment, VirtualKey, FallbackChain]);
}

#[test]
fn setting_the_chains_replaces_all_of_them() {
    let first = edited(&Snapshot::empty(START), |edit| edit.set_chains([chain("a", "b"), chain("b", "c")]));
    let second = edited(&first, |edit| edit.set_chains([chain("b", "d")]));
    let general = FallbackReason::General;
    assert_eq!(first.chain(&model("a"), general), [model("b")]);
    assert!(second.chain(&model("a"), general).is_empty());
    assert_eq!(second.chain(&model("b"), general), [model("d")]);
    assert!(second.chain(&model("b"), FallbackReason::ContentPolicy).is_empty());
}

#[test]
fn an_older_snapshot_is_not_published_unless_the_store_itself_went_back() {
    let at = |revision| Snapshot::empty(START).edit().finish(Revision(revision), START);
    let publisher = Publisher::new(at(5));
    let mut revisions = publisher.subscribe();
    assert_eq!(*revisions.borrow_and_update(), Revision(5));
    publisher.publish(at(4));
    assert_eq!(publisher.current().revision(), Revision(5));
    assert!(!revisions.has_changed().unwrap());
    publisher.publish(at(6));
    assert_eq!(*revisions.borrow_and_update(), Revision(6));
    publisher.replace(at(2));
    assert_eq!((publisher.current().revision(), *revisions.borrow_and_update()), (Revision(2), Revision(2)));
}
