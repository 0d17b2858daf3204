//! Creations that carry a client's `request_id`.

use std::time::Duration;

use super::Backend;
use super::samples::{NOW, deployment, deployment_id, key_id, new_revision, traces, uuid, virtual_key, write_once};
use crate::fault::Kind;
use crate::store::Created;
use crate::time::Timestamp;

pub(super) async fn a_repeated_creation_answers_the_first_resource_and_writes_nothing(backend: Backend) {
    let fresh = backend.open().await;
    let stores = &fresh.stores;
    new_revision(stores.deployments.create(&deployment(1, "a"), &write_once("once", 1)).await);
    new_revision(stores.virtual_keys.create(&virtual_key(2, "k"), &write_once("once", 1)).await);
    let before = traces(stores).await;
    let again = stores.deployments.create(&deployment(3, "a"), &write_once("once", 1)).await.unwrap();
    assert_eq!(again, Created::Replayed(uuid(1)));
    let again = stores.virtual_keys.create(&virtual_key(4, "k"), &write_once("once", 1)).await.unwrap();
    assert_eq!(again, Created::Replayed(uuid(2)));
    assert_eq!(traces(stores).await, before);
    assert_eq!(stores.deployments.find(deployment_id(3)).await.unwrap(), None);
    assert_eq!(stores.virtual_keys.find(key_id(4)).await.unwrap(), None);
}

pub(super) async fn the_same_request_id_for_other_content_is_a_conflict(backend: Backend) {
    let fresh = backend.open().await;
    let stores = &fresh.stores;
    new_revision(stores.deployments.create(&deployment(1, "a"), &write_once("once", 1)).await);
    new_revision(stores.virtual_keys.create(&virtual_key(2, "k"), &write_once("once", 1)).await);
    let before = traces(stores).await;
    let faults = [
        stores.deployments.create(&deployment(3, "b"), &write_once("once", 2)).await.unwrap_err(),
        stores.virtual_keys.create(&virtual_key(4, "l"), &write_once("once", 2)).await.unwrap_err(),
    ];
    for fault in faults {
        assert_eq!(fault.kind(), Kind::AlreadyExists);
        assert_eq!(fault.message(), "The request_id was already used for a different request.");
    }
    assert_eq!(traces(stores).await, before);
}

pub(super) async fn a_request_id_is_remembered_per_kind(backend: Backend) {
    let fresh = backend.open().await;
    let stores = &fresh.stores;
    new_revision(stores.deployments.create(&deployment(1, "a"), &write_once("once", 1)).await);
    new_revision(stores.virtual_keys.create(&virtual_key(2, "k"), &write_once("once", 2)).await);
    new_revision(stores.deployments.create(&deployment(3, "a"), &write_once("Once", 3)).await);
}

pub(super) async fn a_request_id_is_forgotten_after_a_day(backend: Backend) {
    let fresh = backend.open().await;
    let store = &fresh.stores.deployments;
    let at = |at: Timestamp, fingerprint| {
        let mut write = write_once("once", fingerprint);
        write.audit.at = at;
        write
    };
    let day = Duration::from_secs(24 * 60 * 60);
    new_revision(store.create(&deployment(1, "a"), &at(NOW, 1)).await);
    let replay = store.create(&deployment(2, "a"), &at(NOW.after(day), 1)).await.unwrap();
    assert_eq!(replay, Created::Replayed(uuid(1)));
    let later = NOW.after(day + Duration::from_millis(1));
    new_revision(store.create(&deployment(3, "b"), &at(later, 2)).await);
    let replay = store.create(&deployment(4, "b"), &at(later, 2)).await.unwrap();
    assert_eq!(replay, Created::Replayed(uuid(3)));
}
