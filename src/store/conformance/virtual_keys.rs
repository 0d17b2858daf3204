//! Virtual keys: round trips, filters, pages, expected revisions, one key per secret.

use super::Backend;
use super::samples::{any_write, full_virtual_key, hash, key_id, new_revision, traces, uuid, virtual_key};
use crate::domain::ids::{Revision, VirtualKeyId};
use crate::domain::page::PageRequest;
use crate::domain::virtual_key::{PreviousSecret, VirtualKey, VirtualKeyFilter};
use crate::fault::Kind;
use crate::store::Stores;
use crate::time::Timestamp;

pub(super) async fn every_field_comes_back_as_it_was_written(backend: Backend) {
    let fresh = backend.open().await;
    let store = &fresh.stores.virtual_keys;
    for sample in [full_virtual_key(1), virtual_key(2, "plain")] {
        let revision = new_revision(store.create(&sample, &any_write()).await);
        let expected = VirtualKey { revision, ..sample };
        assert_eq!(store.find(expected.id).await.unwrap(), Some(expected));
    }
}

pub(super) async fn a_replacement_changes_every_field_but_the_time_of_creation(backend: Backend) {
    let fresh = backend.open().await;
    let store = &fresh.stores.virtual_keys;
    let created = virtual_key(1, "plain");
    let first = new_revision(store.create(&created, &any_write()).await);
    let full = full_virtual_key(1);
    let revision = store.replace(&full, first, &any_write()).await.unwrap();
    let expected = VirtualKey { revision, created_at: created.created_at, ..full };
    assert_eq!(store.find(created.id).await.unwrap(), Some(expected));
    let back = store.replace(&created, revision, &any_write()).await.unwrap();
    assert_eq!(store.find(created.id).await.unwrap(), Some(VirtualKey { revision: back, ..created }));
}

pub(super) async fn a_missing_key_is_none_and_cannot_be_written(backend: Backend) {
    let fresh = backend.open().await;
    let store = &fresh.stores.virtual_keys;
    let absent = virtual_key(1, "absent");
    assert_eq!(store.find(absent.id).await.unwrap(), None);
    let replaced = store.replace(&absent, Revision(1), &any_write()).await.unwrap_err();
    let deleted = store.delete(absent.id, None, &any_write()).await.unwrap_err();
    assert_eq!([replaced.kind(), deleted.kind()], [Kind::NotFound; 2]);
    assert_eq!(traces(&fresh.stores).await, (Revision(0), 0));
}

pub(super) async fn a_stale_revision_is_refused_and_leaves_no_trace(backend: Backend) {
    let fresh = backend.open().await;
    let store = &fresh.stores.virtual_keys;
    let sample = virtual_key(1, "a");
    let first = new_revision(store.create(&sample, &any_write()).await);
    let second = store.replace(&sample, first, &any_write()).await.unwrap();
    let before = traces(&fresh.stores).await;
    let replaced = store.replace(&full_virtual_key(1), first, &any_write()).await.unwrap_err();
    let deleted = store.delete(sample.id, Some(first), &any_write()).await.unwrap_err();
    assert_eq!([replaced.kind(), deleted.kind()], [Kind::Stale; 2]);
    assert_eq!(traces(&fresh.stores).await, before);
    assert_eq!(store.find(sample.id).await.unwrap(), Some(VirtualKey { revision: second, ..sample.clone() }));
    store.delete(sample.id, None, &any_write()).await.unwrap();
    assert_eq!(store.find(sample.id).await.unwrap(), None);
}

pub(super) async fn filters_combine_and_text_is_matched_literally(backend: Backend) {
    let fresh = backend.open().await;
    let store = &fresh.stores.virtual_keys;
    let specs = [("Team A", "unified-xyZ1", true), ("team_b", "unified-Q111", false), ("100%", "unified-R111", true)];
    for (n, (name, prefix, enabled)) in (1..).zip(specs) {
        let mut sample = virtual_key(n, name);
        sample.prefix = prefix.into();
        sample.spec.enabled = enabled;
        new_revision(store.create(&sample, &any_write()).await);
    }
    let filter = |enabled, text: Option<&str>| VirtualKeyFilter { enabled, text: text.map(str::to_owned) };
    let cases: [(VirtualKeyFilter, &[u64]); 9] = [
        (filter(None, None), &[1, 2, 3]),
        (filter(Some(true), None), &[1, 3]),
        (filter(Some(false), None), &[2]),
        (filter(None, Some("TEAM")), &[1, 2]),
        (filter(Some(true), Some("team")), &[1]),
        (filter(None, Some("_")), &[2]),
        (filter(None, Some("%")), &[3]),
        (filter(None, Some("XYz")), &[1]),
        (filter(None, Some("nobody")), &[]),
    ];
    for (filter, expected) in cases {
        let page = store.list(&filter, &PageRequest::default()).await.unwrap();
        let ids: Vec<VirtualKeyId> = page.items.iter().map(|item| item.id).collect();
        assert_eq!(ids, expected.iter().map(|n| key_id(*n)).collect::<Vec<_>>(), "{filter:?}");
        assert_eq!(page.total, u32::try_from(expected.len()).unwrap(), "{filter:?}");
    }
}

pub(super) async fn pages_by_offset_and_by_cursor_meet_every_row_once(backend: Backend) {
    let fresh = backend.open().await;
    for n in [3, 1, 5, 2, 4] {
        new_revision(fresh.stores.virtual_keys.create(&virtual_key(n, "k"), &any_write()).await);
    }
    let page = |limit, offset, after: Option<u64>| PageRequest { limit, offset, after: after.map(uuid) };
    let cases: [(PageRequest, &[u64], bool); 5] = [
        (page(2, 0, None), &[1, 2], true),
        (page(2, 2, None), &[3, 4], true),
        (page(2, 4, None), &[5], false),
        (page(2, 0, Some(2)), &[3, 4], true),
        (page(2, 0, Some(3)), &[4, 5], false),
    ];
    for (request, expected, has_more) in cases {
        let page = fresh.stores.virtual_keys.list(&VirtualKeyFilter::default(), &request).await.unwrap();
        let ids: Vec<VirtualKeyId> = page.items.iter().map(|item| item.id).collect();
        assert_eq!(ids, expected.iter().map(|n| key_id(*n)).collect::<Vec<_>>(), "{request:?}");
        assert_eq!((page.total, page.has_more), (5, has_more), "{request:?}");
    }
}

pub(super) async fn a_bulk_read_answers_all_or_those_asked_for(backend: Backend) {
    let fresh = backend.open().await;
    for n in 1..=5 {
        new_revision(fresh.stores.virtual_keys.create(&full_virtual_key(n), &any_write()).await);
    }
    assert_eq!(loaded(&fresh.stores, None).await, [1, 2, 3, 4, 5].map(key_id));
    assert_eq!(loaded(&fresh.stores, Some(&[4, 1, 99].map(key_id))).await, [1, 4].map(key_id));
    let many: Vec<_> = (1..=2500).map(key_id).collect();
    assert_eq!(loaded(&fresh.stores, Some(&many)).await, [1, 2, 3, 4, 5].map(key_id));
    let found = fresh.stores.virtual_keys.find(key_id(3)).await.unwrap().unwrap();
    assert_eq!(fresh.stores.virtual_keys.load(Some(&[found.id])).await.unwrap(), [Ok(found)]);
}

async fn loaded(stores: &Stores, ids: Option<&[VirtualKeyId]>) -> Vec<VirtualKeyId> {
    let rows = stores.virtual_keys.load(ids).await.unwrap();
    let mut ids: Vec<_> = rows.into_iter().map(|row| row.unwrap().id).collect();
    ids.sort();
    ids
}

pub(super) async fn one_secret_opens_one_key(backend: Backend) {
    let fresh = backend.open().await;
    let store = &fresh.stores.virtual_keys;
    let previous = |n| Some(PreviousSecret { hash: hash(n), valid_until: Timestamp::from_unix_ms(1) });
    let first = VirtualKey { previous: previous(10), ..virtual_key(1, "first") };
    let second = VirtualKey { previous: previous(20), ..virtual_key(2, "second") };
    new_revision(store.create(&first, &any_write()).await);
    let revision = new_revision(store.create(&second, &any_write()).await);
    let before = traces(&fresh.stores).await;
    let stolen = [(hash(1), None), (hash(10), None), (hash(2), previous(1)), (hash(2), previous(10))];
    for (stolen_hash, stolen_previous) in stolen {
        let clash = VirtualKey { hash: stolen_hash, previous: stolen_previous, ..second.clone() };
        let replaced = store.replace(&clash, revision, &any_write()).await.unwrap_err();
        // A newcomer's own secret is free where the clash is in the previous one.
        let free = if stolen_previous.is_some() { hash(3) } else { stolen_hash };
        let newcomer = VirtualKey { hash: free, previous: stolen_previous, ..virtual_key(3, "third") };
        let created = store.create(&newcomer, &any_write()).await.unwrap_err();
        for fault in [replaced, created] {
            assert_eq!(fault.kind(), Kind::AlreadyExists, "{clash:?}");
            assert_eq!(fault.message(), "A virtual key with this secret already exists.");
        }
    }
    assert_eq!(traces(&fresh.stores).await, before);
    // A rotation makes the current secret the previous one, of the same key.
    let rotated = VirtualKey { hash: hash(22), previous: previous(2), ..second };
    store.replace(&rotated, revision, &any_write()).await.unwrap();
}
