//! Deployments: round trips, filters, pages, expected revisions.

use super::Backend;
use super::samples::{any_write, deployment, deployment_id, full_deployment, new_revision, traces, uuid};
use crate::domain::deployment::{Deployment, DeploymentFilter};
use crate::domain::ids::{DeploymentId, Revision};
use crate::domain::page::PageRequest;
use crate::fault::Kind;
use crate::store::Stores;
use crate::time::Timestamp;

pub(super) async fn every_field_comes_back_as_it_was_written(backend: Backend) {
    let fresh = backend.open().await;
    let store = &fresh.stores.deployments;
    for sample in [full_deployment(1, "full"), deployment(2, "plain")] {
        let revision = new_revision(store.create(&sample, &any_write()).await);
        let expected = Deployment { revision, ..sample };
        assert_eq!(store.find(expected.id).await.unwrap(), Some(expected));
    }
}

pub(super) async fn a_replacement_changes_every_field_but_the_time_of_creation(backend: Backend) {
    let fresh = backend.open().await;
    let store = &fresh.stores.deployments;
    let created = deployment(1, "plain");
    let first = new_revision(store.create(&created, &any_write()).await);
    let full = full_deployment(1, "full");
    let revision = store.replace(&full, first, &any_write()).await.unwrap();
    assert!(revision > first);
    let expected = Deployment { revision, created_at: created.created_at, ..full };
    assert_eq!(store.find(created.id).await.unwrap(), Some(expected));
    let back = store.replace(&created, revision, &any_write()).await.unwrap();
    assert_eq!(store.find(created.id).await.unwrap(), Some(Deployment { revision: back, ..created }));
}

pub(super) async fn a_missing_deployment_is_none_and_cannot_be_written(backend: Backend) {
    let fresh = backend.open().await;
    let store = &fresh.stores.deployments;
    let absent = deployment(1, "m");
    assert_eq!(store.find(absent.id).await.unwrap(), None);
    let replaced = store.replace(&absent, Revision(1), &any_write()).await.unwrap_err();
    let deleted = store.delete(absent.id, None, &any_write()).await.unwrap_err();
    assert_eq!([replaced.kind(), deleted.kind()], [Kind::NotFound; 2]);
    assert_eq!(traces(&fresh.stores).await, (Revision(0), 0));
}

pub(super) async fn a_stale_revision_is_refused_and_leaves_no_trace(backend: Backend) {
    let fresh = backend.open().await;
    let store = &fresh.stores.deployments;
    let sample = deployment(1, "m");
    let first = new_revision(store.create(&sample, &any_write()).await);
    let second = store.replace(&sample, first, &any_write()).await.unwrap();
    let before = traces(&fresh.stores).await;
    let replaced = store.replace(&full_deployment(1, "other"), first, &any_write()).await.unwrap_err();
    let deleted = store.delete(sample.id, Some(first), &any_write()).await.unwrap_err();
    assert_eq!([replaced.kind(), deleted.kind()], [Kind::Stale; 2]);
    assert_eq!(traces(&fresh.stores).await, before);
    assert_eq!(store.find(sample.id).await.unwrap(), Some(Deployment { revision: second, ..sample.clone() }));
    store.delete(sample.id, Some(second), &any_write()).await.unwrap();
    assert_eq!(store.find(sample.id).await.unwrap(), None);
}

pub(super) async fn filters_combine_and_text_is_matched_literally(backend: Backend) {
    let fresh = backend.open().await;
    let store = &fresh.stores.deployments;
    let specs: [(&str, &str, &str, Option<&str>, bool); 4] = [
        ("chat", "openai", "gpt-5", Some("50% off"), true),
        ("chat", "anthropic", "claude", None, false),
        ("CHAT-large", "openai", "o_3", Some("back\\slash"), true),
        ("embed", "openai", "text-3", None, false),
    ];
    for (n, (public_model, provider, upstream, label, enabled)) in (1..).zip(specs) {
        let mut sample = deployment(n, public_model);
        sample.spec.provider = provider.into();
        sample.spec.upstream_model = upstream.into();
        sample.spec.label = label.map(str::to_owned);
        sample.spec.enabled = enabled;
        new_revision(store.create(&sample, &any_write()).await);
    }
    let all = DeploymentFilter::default;
    let text = |text: &str| DeploymentFilter { text: Some(text.into()), ..all() };
    let cases: [(DeploymentFilter, &[u64]); 14] = [
        (all(), &[1, 2, 3, 4]),
        (DeploymentFilter { enabled: Some(true), ..all() }, &[1, 3]),
        (DeploymentFilter { enabled: Some(false), ..all() }, &[2, 4]),
        (DeploymentFilter { public_model: Some("chat".into()), ..all() }, &[1, 2]),
        (DeploymentFilter { provider: Some("openai".into()), ..all() }, &[1, 3, 4]),
        (DeploymentFilter { provider: Some("openai".into()), enabled: Some(false), ..text("E") }, &[4]),
        (text("chat"), &[1, 2, 3]),
        (text("GPT"), &[1]),
        (text("%"), &[1]),
        (text("_"), &[3]),
        (text("\\"), &[3]),
        (text("'"), &[]),
        (text(""), &[1, 2, 3, 4]),
        (text("off"), &[1]),
    ];
    for (filter, expected) in cases {
        let page = store.list(&filter, &PageRequest::default()).await.unwrap();
        let ids: Vec<DeploymentId> = page.items.iter().map(|item| item.id).collect();
        assert_eq!(ids, expected.iter().map(|n| deployment_id(*n)).collect::<Vec<_>>(), "{filter:?}");
        assert_eq!(page.total, u32::try_from(expected.len()).unwrap(), "{filter:?}");
        assert!(!page.has_more, "{filter:?}");
    }
}

pub(super) async fn pages_by_offset_and_by_cursor_meet_every_row_once(backend: Backend) {
    let fresh = backend.open().await;
    // Created out of order: the order of the list is that of the ids.
    for n in [4, 1, 7, 3, 6, 2, 5] {
        new_revision(fresh.stores.deployments.create(&deployment(n, "m"), &any_write()).await);
    }
    let page = |limit, offset, after: Option<u64>| PageRequest { limit, offset, after: after.map(uuid) };
    let cases: [(PageRequest, &[u64], bool); 8] = [
        (page(3, 0, None), &[1, 2, 3], true),
        (page(3, 3, None), &[4, 5, 6], true),
        (page(3, 6, None), &[7], false),
        (page(7, 0, None), &[1, 2, 3, 4, 5, 6, 7], false),
        (page(3, 0, Some(3)), &[4, 5, 6], true),
        (page(4, 0, Some(3)), &[4, 5, 6, 7], false),
        (page(2, 1, Some(3)), &[5, 6], true),
        (page(3, 0, Some(7)), &[], false),
    ];
    for (request, expected, has_more) in cases {
        let page = fresh.stores.deployments.list(&DeploymentFilter::default(), &request).await.unwrap();
        let ids: Vec<DeploymentId> = page.items.iter().map(|item| item.id).collect();
        assert_eq!(ids, expected.iter().map(|n| deployment_id(*n)).collect::<Vec<_>>(), "{request:?}");
        assert_eq!((page.total, page.has_more), (7, has_more), "{request:?}");
    }
}

pub(super) async fn a_bulk_read_answers_all_or_those_asked_for(backend: Backend) {
    let fresh = backend.open().await;
    for n in 1..=5 {
        new_revision(fresh.stores.deployments.create(&full_deployment(n, "m"), &any_write()).await);
    }
    assert_eq!(loaded(&fresh.stores, None).await, [1, 2, 3, 4, 5].map(deployment_id));
    let some = [5, 2, 99].map(deployment_id);
    assert_eq!(loaded(&fresh.stores, Some(&some)).await, [2, 5].map(deployment_id));
    assert!(loaded(&fresh.stores, Some(&[])).await.is_empty());
    // More ids than one statement takes.
    let many: Vec<_> = (1..=2500).map(deployment_id).collect();
    assert_eq!(loaded(&fresh.stores, Some(&many)).await, [1, 2, 3, 4, 5].map(deployment_id));
    let found = fresh.stores.deployments.find(deployment_id(3)).await.unwrap().unwrap();
    assert_eq!(fresh.stores.deployments.load(Some(&[found.id])).await.unwrap(), [Ok(found)]);
}

async fn loaded(stores: &Stores, ids: Option<&[DeploymentId]>) -> Vec<DeploymentId> {
    let rows = stores.deployments.load(ids).await.unwrap();
    let mut ids: Vec<_> = rows.into_iter().map(|row| row.unwrap().id).collect();
    ids.sort();
    ids
}

/// Puts a value into a deployment that may not be stored.
type Spoil = fn(&mut Deployment);

pub(super) async fn values_that_the_schema_forbids_are_refused_and_leave_no_trace(backend: Backend) {
    let fresh = backend.open().await;
    let store = &fresh.stores.deployments;
    let sample = deployment(1, "m");
    let revision = new_revision(store.create(&sample, &any_write()).await);
    let before = traces(&fresh.stores).await;
    let spoil: [(&str, Spoil); 7] = [
        ("weight", |sample| sample.spec.weight = 1001),
        ("metadata is no object", |sample| sample.spec.metadata = Some("[]".into())),
        ("metadata is too large", |sample| {
            sample.spec.metadata = Some(format!("{{\"a\":\"{}\"}}", "x".repeat(16_384)));
        }),
        ("label", |sample| sample.spec.label = Some("x".repeat(201))),
        ("no envelope", |sample| sample.credentials.envelope.clear()),
        ("no provider", |sample| sample.spec.provider.clear()),
        ("no upstream model", |sample| sample.spec.upstream_model.clear()),
    ];
    for (what, spoil) in spoil {
        let mut replaced = Deployment { updated_at: Timestamp::from_unix_ms(1), ..sample.clone() };
        spoil(&mut replaced);
        let mut created = deployment(2, "n");
        spoil(&mut created);
        let faults = [
            store.create(&created, &any_write()).await.unwrap_err(),
            store.replace(&replaced, revision, &any_write()).await.unwrap_err(),
        ];
        for fault in faults {
            assert_eq!(fault.kind(), Kind::BadRequest, "{what}");
            assert!(!fault.message().contains("CHECK"), "{what}: {fault}");
            assert!(fault.cause().is_some(), "{what}");
        }
    }
    let twin = store.create(&Deployment { spec: full_deployment(1, "n").spec, ..sample.clone() }, &any_write()).await;
    assert_eq!(twin.unwrap_err().kind(), Kind::AlreadyExists);
    assert_eq!(traces(&fresh.stores).await, before);
    assert_eq!(store.find(sample.id).await.unwrap(), Some(Deployment { revision, ..sample }));
    assert_eq!(store.find(deployment_id(2)).await.unwrap(), None);
}
