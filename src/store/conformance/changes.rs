//! The revision and the change log.

use super::Backend;
use super::samples::{NOW, any_write, chain, deployment, full_settings, new_revision, virtual_key, with_models};
use crate::domain::change::{ChangesSince, ConfigChange, ResourceKind, chain_key};
use crate::domain::fallback::FallbackReason::General;
use crate::domain::ids::Revision;
use crate::store::Stores;

async fn changes_since(stores: &Stores, seen: i64) -> Vec<ConfigChange> {
    match stores.changes.changes_since(Revision(seen)).await.unwrap() {
        ChangesSince::Changes { changes, revision } => {
            assert_eq!(revision, stores.changes.revision().await.unwrap());
            changes
        }
        ChangesSince::Gap => panic!("a gap after {seen}"),
    }
}

pub(super) async fn every_write_takes_the_next_revision_and_logs_its_row(backend: Backend) {
    let fresh = backend.open().await;
    let stores = &fresh.stores;
    assert_eq!(stores.changes.revision().await.unwrap(), Revision(0));
    assert!(changes_since(stores, 0).await.is_empty());
    let (sample, other, key) = (deployment(1, "a"), deployment(2, "b"), virtual_key(3, "k"));
    let links = chain("a", General, &["b"]);
    let revisions = [
        new_revision(stores.deployments.create(&sample, &any_write()).await),
        stores.deployments.replace(&sample, Revision(1), &any_write()).await.unwrap(),
        new_revision(stores.deployments.create(&other, &any_write()).await),
        new_revision(stores.virtual_keys.create(&key, &any_write()).await),
        stores.virtual_keys.replace(&key, Revision(4), &any_write()).await.unwrap(),
        stores.fallbacks.set(&links, None, &any_write()).await.unwrap(),
        stores.settings.replace(&full_settings(), NOW, Revision(0), &any_write()).await.unwrap(),
        stores.fallbacks.delete("a", General, None, &any_write()).await.unwrap(),
        stores.virtual_keys.delete(key.id, None, &any_write()).await.unwrap(),
        stores.deployments.delete(sample.id, None, &any_write()).await.unwrap(),
    ];
    assert_eq!(revisions, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10].map(Revision));
    let links_id = chain_key("a", "general");
    let expected = [
        (ResourceKind::Deployment, sample.id.to_string(), false),
        (ResourceKind::Deployment, sample.id.to_string(), false),
        (ResourceKind::Deployment, other.id.to_string(), false),
        (ResourceKind::VirtualKey, key.id.to_string(), false),
        (ResourceKind::VirtualKey, key.id.to_string(), false),
        (ResourceKind::FallbackChain, links_id.clone(), false),
        (ResourceKind::RouterSettings, String::new(), false),
        (ResourceKind::FallbackChain, links_id, true),
        (ResourceKind::VirtualKey, key.id.to_string(), true),
        (ResourceKind::Deployment, sample.id.to_string(), true),
    ];
    let expected: Vec<ConfigChange> = (1..)
        .zip(expected)
        .map(|(n, (kind, id, deleted))| ConfigChange { revision: Revision(n), kind, id, deleted })
        .collect();
    assert_eq!(changes_since(stores, 0).await, expected);
}

pub(super) async fn a_reader_learns_only_what_it_has_not_seen(backend: Backend) {
    let fresh = backend.open().await;
    with_models(&fresh.stores, &["a", "b", "c"]).await;
    let revisions = async |seen| -> Vec<i64> {
        changes_since(&fresh.stores, seen).await.into_iter().map(|change| change.revision.0).collect()
    };
    assert_eq!(revisions(0).await, [1, 2, 3]);
    assert_eq!(revisions(2).await, [3]);
    assert_eq!(revisions(3).await, [0; 0]);
}

pub(super) async fn a_reader_beyond_the_log_is_told_to_load_everything(backend: Backend) {
    let fresh = backend.open_with_log_of(3).await;
    with_models(&fresh.stores, &["a", "b", "c", "d", "e"]).await;
    let is_gap = async |seen| fresh.stores.changes.changes_since(Revision(seen)).await.unwrap() == ChangesSince::Gap;
    for (seen, expected) in [(-1, true), (0, true), (1, true), (2, false), (4, false), (5, false), (6, true)] {
        assert_eq!(is_gap(seen).await, expected, "seen {seen}");
    }
    assert_eq!(changes_since(&fresh.stores, 2).await.len(), 3);
}
