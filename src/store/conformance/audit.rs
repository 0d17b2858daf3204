//! The audit trail.

use super::Backend;
use super::samples::{NOW, any_write, deployment, new_revision, with_models, write};
use crate::domain::audit::{AuditEntry, Caller};
use crate::domain::ids::Revision;
use crate::store::Write;

pub(super) async fn every_write_is_recorded_with_its_revision(backend: Backend) {
    let fresh = backend.open().await;
    let sample = deployment(1, "a");
    let caller =
        Caller { actor: "master", face: "rest", source: Some("2001:db8::1".into()), request_id: Some("req-7".into()) };
    let mut creation = write("deployment.create", &sample.id);
    creation.audit.caller = caller;
    let revision = new_revision(fresh.stores.deployments.create(&sample, &creation).await);
    let mut deletion = write("deployment.delete", &sample.id);
    (deletion.audit.before, deletion.audit.after) = (Some(r#"{"weight":1}"#.into()), None);
    let last = fresh.stores.deployments.delete(sample.id, None, &deletion).await.unwrap();
    let expected = [entry(&deletion, last), entry(&creation, revision)];
    assert_eq!(fresh.stores.audit.list(None, 10).await.unwrap(), expected);
}

fn entry(write: &Write, revision: Revision) -> AuditEntry {
    let draft = write.audit.clone();
    AuditEntry {
        id: draft.id,
        at: NOW,
        actor: draft.caller.actor.into(),
        face: draft.caller.face.into(),
        source: draft.caller.source,
        request_id: draft.caller.request_id,
        action: draft.action.into(),
        resource: draft.resource,
        before: draft.before,
        after: draft.after,
        revision,
    }
}

pub(super) async fn what_is_done_beside_the_configuration_is_recorded_at_its_revision(backend: Backend) {
    let fresh = backend.open().await;
    let sample = deployment(1, "a");
    let creation = write("deployment.create", &sample.id);
    let revision = new_revision(fresh.stores.deployments.create(&sample, &creation).await);
    let mut noted = write("response_cache.invalidate", &sample.id);
    noted.audit.before = None;
    fresh.stores.audit.note(&noted.audit).await.unwrap();
    let listed = fresh.stores.audit.list(None, 10).await.unwrap();
    assert_eq!(listed.len(), 2);
    assert!(listed.contains(&entry(&noted, revision)), "{listed:?}");
}

pub(super) async fn the_newest_come_first_and_one_resource_can_be_asked_for(backend: Backend) {
    let fresh = backend.open().await;
    let stores = &fresh.stores;
    with_models(stores, &["a", "b"]).await;
    let sample = deployment(3, "c");
    let first = new_revision(stores.deployments.create(&sample, &write("deployment.create", &sample.id)).await);
    let second = stores.deployments.replace(&sample, first, &write("deployment.update", &sample.id)).await.unwrap();
    stores.deployments.replace(&sample, second, &any_write()).await.unwrap();
    let revisions = async |resource: Option<&str>, limit| -> Vec<i64> {
        let entries = stores.audit.list(resource, limit).await.unwrap();
        entries.into_iter().map(|entry| entry.revision.0).collect()
    };
    let resource = sample.id.to_string();
    assert_eq!(revisions(None, 500).await, [5, 4, 3, 2, 1]);
    assert_eq!(revisions(None, 2).await, [5, 4]);
    assert_eq!(revisions(Some(&resource), 500).await, [4, 3]);
    assert_eq!(revisions(Some(&resource), 1).await, [4]);
    assert_eq!(revisions(Some("nobody"), 500).await, [0; 0]);
}
