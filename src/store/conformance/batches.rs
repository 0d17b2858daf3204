//! Several writes as one.

use super::Backend;
use super::samples::{NOW, any_write, chain, deployment, full_settings, model, new_revision, virtual_key, with_models};
use crate::domain::change::{ChangesSince, ResourceKind};
use crate::domain::config_batch::{Step, StepChange};
use crate::domain::fallback::FallbackReason::{ContextWindow, General};
use crate::domain::ids::Revision;
use crate::fault::Kind;
use crate::store::Stores;

fn steps(changes: Vec<StepChange>) -> Vec<Step> {
    changes.into_iter().map(|change| Step { change, audit: any_write().audit }).collect()
}

async fn entries(stores: &Stores) -> usize {
    stores.audit.list(None, 500).await.unwrap().len()
}

pub(super) async fn all_steps_come_under_one_revision(backend: Backend) {
    let fresh = backend.open().await;
    let stores = &fresh.stores;
    with_models(stores, &["a", "b"]).await;
    let key = virtual_key(9, "old");
    new_revision(stores.virtual_keys.create(&key, &any_write()).await);
    let mut heavier = stores.deployments.find(deployment(1, "a").id).await.unwrap().unwrap();
    heavier.spec.weight = 7;
    let batch = steps(vec![
        StepChange::SetChain(chain("a", General, &["b", "c"])),
        StepChange::CreateDeployment(Box::new(deployment(3, "c"))),
        StepChange::ReplaceDeployment(Box::new(heavier)),
        StepChange::CreateVirtualKey(Box::new(virtual_key(10, "new"))),
        StepChange::DeleteVirtualKey(key.id),
        StepChange::SetSettings { settings: Box::new(full_settings()), at: NOW },
    ]);
    let before = entries(stores).await;
    assert_eq!(stores.batches.apply(&batch, Revision(3)).await.unwrap(), Revision(4));
    assert_eq!(stores.changes.revision().await.unwrap(), Revision(4));
    assert_eq!(entries(stores).await, before + batch.len());
    let ChangesSince::Changes { changes, .. } = stores.changes.changes_since(Revision(3)).await.unwrap() else {
        panic!("a gap");
    };
    assert_eq!(changes.len(), 6);
    assert!(changes.iter().all(|change| change.revision == Revision(4)));
    let stored = stores.deployments.find(deployment(1, "a").id).await.unwrap().unwrap();
    assert_eq!((stored.spec.weight, stored.revision), (7, Revision(4)));
    assert!(stores.fallbacks.find("a", General).await.unwrap().is_some());
    assert!(stores.virtual_keys.find(key.id).await.unwrap().is_none());
    assert_eq!(stores.settings.get().await.unwrap().settings, full_settings());
    assert_eq!(stores.batches.apply(&[], Revision(4)).await.unwrap(), Revision(4));
    assert_eq!(stores.changes.revision().await.unwrap(), Revision(4), "nothing to do makes no revision");
}

pub(super) async fn one_bad_step_undoes_all(backend: Backend) {
    let fresh = backend.open().await;
    let stores = &fresh.stores;
    with_models(stores, &["a"]).await;
    let good = || StepChange::CreateDeployment(Box::new(deployment(5, "e")));
    for (bad, kind) in [
        (StepChange::DeleteDeployment(deployment(8, "x").id), Kind::NotFound),
        (StepChange::ReplaceVirtualKey(Box::new(virtual_key(8, "x"))), Kind::NotFound),
        (StepChange::DeleteChain { primary: "a".to_owned(), reason: General }, Kind::NotFound),
        (StepChange::SetChain(chain("a", General, &["nowhere"])), Kind::BadRequest),
        (StepChange::CreateDeployment(Box::new(deployment(1, "again"))), Kind::AlreadyExists),
    ] {
        let fault = stores.batches.apply(&steps(vec![good(), bad]), Revision(1)).await.unwrap_err();
        assert_eq!(fault.kind(), kind, "{fault}");
    }
    let fault = stores.batches.apply(&steps(vec![good()]), Revision(0)).await.unwrap_err();
    assert_eq!(fault.kind(), Kind::Stale);
    assert!(stores.deployments.find(deployment(5, "e").id).await.unwrap().is_none());
    assert_eq!((stores.changes.revision().await.unwrap(), entries(stores).await), (Revision(1), 1));
}

pub(super) async fn models_that_cease_to_exist_leave_the_chains_that_are_not_set(backend: Backend) {
    let fresh = backend.open().await;
    let stores = &fresh.stores;
    with_models(stores, &["a", "b", "c"]).await;
    for set in [chain("a", General, &["b", "c"]), chain("a", ContextWindow, &["b"])] {
        stores.fallbacks.set(&set, None, &any_write()).await.unwrap();
    }
    let mut renamed = stores.deployments.find(deployment(2, "b").id).await.unwrap().unwrap();
    renamed.spec.public_model = model("d");
    let batch = steps(vec![
        StepChange::ReplaceDeployment(Box::new(renamed)),
        StepChange::SetChain(chain("c", General, &["d"])),
    ]);
    let revision = stores.batches.apply(&batch, Revision(5)).await.unwrap();
    let shortened = stores.fallbacks.find("a", General).await.unwrap().unwrap();
    assert_eq!((shortened.targets, shortened.revision), (vec![model("c")], revision));
    assert!(stores.fallbacks.find("a", ContextWindow).await.unwrap().is_none());
    assert!(stores.fallbacks.find("c", General).await.unwrap().is_some());

    // What prunes a chain and what sets it are one entry of the log.
    let batch = steps(vec![
        StepChange::DeleteDeployment(deployment(3, "c").id),
        StepChange::SetChain(chain("a", General, &["d"])),
    ]);
    stores.batches.apply(&batch, revision).await.unwrap();
    let ChangesSince::Changes { changes, .. } = stores.changes.changes_since(revision).await.unwrap() else {
        panic!("a gap");
    };
    let chains: Vec<_> = changes.iter().filter(|change| change.kind == ResourceKind::FallbackChain).collect();
    assert_eq!(chains.iter().map(|change| change.deleted).collect::<Vec<_>>(), [false, true]);
    assert_eq!(stores.fallbacks.find("a", General).await.unwrap().unwrap().targets, [model("d")]);
}
