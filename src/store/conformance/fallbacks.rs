//! Fallback chains: round trips, and what keeps them and the deployments they name in step.

use super::Backend;
use super::samples::{any_write, chain, deployment, deployment_id, new_revision, traces, with_models};
use crate::domain::change::{ChangesSince, ConfigChange, ResourceKind, chain_key};
use crate::domain::fallback::{FallbackChain, FallbackReason};
use crate::domain::ids::Revision;
use crate::domain::page::PageRequest;
use crate::fault::Kind;
use crate::store::Stores;

use FallbackReason::{ContentPolicy, ContextWindow, General};

async fn set(stores: &Stores, primary: &str, reason: FallbackReason, targets: &[&str]) -> Revision {
    stores.fallbacks.set(&chain(primary, reason, targets), None, &any_write()).await.unwrap()
}

pub(super) async fn a_chain_comes_back_as_it_was_written(backend: Backend) {
    let fresh = backend.open().await;
    with_models(&fresh.stores, &["a", "b", "c"]).await;
    let store = &fresh.stores.fallbacks;
    assert_eq!(store.find("a", General).await.unwrap(), None);
    for reason in FallbackReason::ALL {
        let sample = chain("a", reason, &["c", "b"]);
        let revision = store.set(&sample, None, &any_write()).await.unwrap();
        let expected = FallbackChain { revision, ..sample };
        assert_eq!(store.find("a", reason).await.unwrap(), Some(expected.clone()));
        assert!(store.load().await.unwrap().contains(&Ok(expected)));
    }
    let revision = set(&fresh.stores, "a", General, &["b"]).await;
    let replaced = store.find("a", General).await.unwrap().unwrap();
    assert_eq!(replaced, FallbackChain { revision, ..chain("a", General, &["b"]) });
    assert_eq!(store.load().await.unwrap().len(), 3);
}

pub(super) async fn chains_are_listed_by_primary_and_reason(backend: Backend) {
    let fresh = backend.open().await;
    with_models(&fresh.stores, &["a", "b", "B"]).await;
    for (primary, reason) in
        [("b", General), ("a", General), ("a", ContentPolicy), ("B", General), ("a", ContextWindow)]
    {
        let target = if primary == "a" { "b" } else { "a" };
        set(&fresh.stores, primary, reason, &[target]).await;
    }
    let list = async |primary: Option<&str>, limit, offset| {
        let request = PageRequest { limit, offset, after: None };
        let page = fresh.stores.fallbacks.list(primary, &request).await.unwrap();
        let keys: Vec<_> = page.items.iter().map(|item| (item.primary.to_string(), item.reason)).collect();
        (keys, page.total, page.has_more)
    };
    let key = |primary: &str, reason| (primary.to_owned(), reason);
    let all =
        [key("B", General), key("a", ContentPolicy), key("a", ContextWindow), key("a", General), key("b", General)];
    assert_eq!(list(None, 50, 0).await, (all.to_vec(), 5, false));
    assert_eq!(list(None, 2, 1).await, (all[1..3].to_vec(), 5, true));
    assert_eq!(list(Some("a"), 2, 2).await, (all[3..4].to_vec(), 3, false));
    assert_eq!(list(Some("nobody"), 50, 0).await, (Vec::new(), 0, false));
}

pub(super) async fn a_model_without_a_deployment_is_refused_by_field(backend: Backend) {
    let fresh = backend.open().await;
    with_models(&fresh.stores, &["a", "b"]).await;
    let before = traces(&fresh.stores).await;
    let cases = [
        (chain("x", General, &["a"]), "primaryModel"),
        (chain("a", General, &["x", "b"]), "fallbackModels[0]"),
        (chain("a", General, &["b", "x"]), "fallbackModels[1]"),
    ];
    for (chain, field) in cases {
        let fault = fresh.stores.fallbacks.set(&chain, None, &any_write()).await.unwrap_err();
        assert_eq!((fault.kind(), fault.at()), (Kind::BadRequest, Some(field)));
        assert!(fault.message().contains("`x`"), "{fault}");
    }
    assert_eq!(traces(&fresh.stores).await, before);
    assert!(fresh.stores.fallbacks.load().await.unwrap().is_empty());
}

pub(super) async fn a_chain_is_replaced_and_deleted_at_the_expected_revision_only(backend: Backend) {
    let fresh = backend.open().await;
    with_models(&fresh.stores, &["a", "b"]).await;
    let store = &fresh.stores.fallbacks;
    let sample = chain("a", General, &["b"]);
    let absent = store.set(&sample, Some(Revision(1)), &any_write()).await.unwrap_err();
    assert_eq!(absent.kind(), Kind::Stale);
    assert_eq!(store.delete("a", General, None, &any_write()).await.unwrap_err().kind(), Kind::NotFound);
    // Revision 0 is that of a chain that is not there yet.
    let first = store.set(&sample, Some(Revision(0)), &any_write()).await.unwrap();
    assert_eq!(store.set(&sample, Some(Revision(0)), &any_write()).await.unwrap_err().kind(), Kind::Stale);
    let second = store.set(&sample, Some(first), &any_write()).await.unwrap();
    let before = traces(&fresh.stores).await;
    assert_eq!(store.set(&sample, Some(first), &any_write()).await.unwrap_err().kind(), Kind::Stale);
    assert_eq!(store.delete("a", General, Some(first), &any_write()).await.unwrap_err().kind(), Kind::Stale);
    assert_eq!(traces(&fresh.stores).await, before);
    store.delete("a", General, Some(second), &any_write()).await.unwrap();
    assert_eq!(store.find("a", General).await.unwrap(), None);
}

pub(super) async fn the_last_deployment_of_a_model_takes_its_chains_along(backend: Backend) {
    let fresh = backend.open().await;
    let stores = &fresh.stores;
    with_models(stores, &["a", "b", "c"]).await;
    set(stores, "a", General, &["b"]).await;
    set(stores, "b", General, &["a"]).await;
    let untouched = set(stores, "c", General, &["a"]).await;
    let seen = set(stores, "c", ContextWindow, &["b", "a"]).await;
    let revision = stores.deployments.delete(deployment_id(2), None, &any_write()).await.unwrap();
    assert_eq!(stores.fallbacks.find("a", General).await.unwrap(), None);
    assert_eq!(stores.fallbacks.find("b", General).await.unwrap(), None);
    let kept = FallbackChain { revision: untouched, ..chain("c", General, &["a"]) };
    assert_eq!(stores.fallbacks.find("c", General).await.unwrap(), Some(kept));
    let shortened = FallbackChain { revision, ..chain("c", ContextWindow, &["a"]) };
    assert_eq!(stores.fallbacks.find("c", ContextWindow).await.unwrap(), Some(shortened));
    let change = |kind, id: String, deleted| ConfigChange { revision, kind, id, deleted };
    let chain_change = |primary, reason: FallbackReason, deleted| {
        change(ResourceKind::FallbackChain, chain_key(primary, reason.as_str()), deleted)
    };
    let changes = vec![
        change(ResourceKind::Deployment, deployment_id(2).to_string(), true),
        chain_change("a", General, true),
        chain_change("b", General, true),
        chain_change("c", ContextWindow, false),
    ];
    assert_eq!(stores.changes.changes_since(seen).await.unwrap(), ChangesSince::Changes { changes, revision });
}

pub(super) async fn a_deployment_that_is_not_the_last_leaves_chains_alone(backend: Backend) {
    let fresh = backend.open().await;
    let stores = &fresh.stores;
    with_models(stores, &["a", "b", "b"]).await;
    let before = set(stores, "a", General, &["b"]).await;
    stores.deployments.delete(deployment_id(2), None, &any_write()).await.unwrap();
    let kept = stores.fallbacks.find("a", General).await.unwrap().unwrap();
    assert_eq!(kept, FallbackChain { revision: before, ..chain("a", General, &["b"]) });
}

pub(super) async fn a_model_that_chains_name_keeps_its_last_deployment_by_name(backend: Backend) {
    let fresh = backend.open().await;
    let stores = &fresh.stores;
    with_models(stores, &["a", "b", "free"]).await;
    set(stores, "a", General, &["b"]).await;
    let rename = async |n, name: &str| {
        let stored = stores.deployments.find(deployment_id(n)).await.unwrap().unwrap();
        stores.deployments.replace(&deployment(n, name), stored.revision, &any_write()).await
    };
    let before = traces(stores).await;
    for n in [1, 2] {
        let fault = rename(n, "new").await.unwrap_err();
        assert_eq!((fault.kind(), fault.at()), (Kind::InUse, Some("publicModel")));
        assert!(fault.message().contains("fallback chain of `a` (general)"), "{fault}");
    }
    assert_eq!(traces(stores).await, before);
    rename(2, "b").await.unwrap();
    rename(3, "new").await.unwrap();
    new_revision(stores.deployments.create(&deployment(4, "b"), &any_write()).await);
    rename(2, "new").await.unwrap();
}
