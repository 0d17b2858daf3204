//! Heartbeats, and envelopes sealed anew.

use std::time::Duration;

use uuid::Uuid;

use super::Backend;
use super::samples::{NOW, any_write, deployment, full_deployment, new_revision, with_models};
use crate::domain::ids::Revision;
use crate::domain::replica::{Heartbeat, ReplicaId};

fn heartbeat(number: u128) -> Heartbeat {
    Heartbeat {
        id: ReplicaId::from_uuid(Uuid::from_u128(number)),
        host: format!("host-{number}"),
        version: "1.2.3".to_owned(),
        started_at: NOW,
        revision: Revision(7),
        quarantined: 1,
        is_draining: false,
    }
}

pub(super) async fn every_replica_is_listed_as_it_last_reported(backend: Backend) {
    let fresh = backend.open().await;
    let replicas = &fresh.stores.replicas;
    assert!(replicas.list().await.unwrap().is_empty());
    replicas.beat(&heartbeat(2)).await.unwrap();
    replicas.beat(&heartbeat(1)).await.unwrap();
    let later = Heartbeat { revision: Revision(8), quarantined: 0, is_draining: true, ..heartbeat(2) };
    replicas.beat(&later).await.unwrap();
    let listed = replicas.list().await.unwrap();
    assert!(listed.iter().all(|replica| replica.is_alive() && replica.silent_for < Duration::from_secs(10)));
    assert_eq!(listed.into_iter().map(|replica| replica.heartbeat).collect::<Vec<_>>(), [heartbeat(1), later]);
    assert_eq!(fresh.stores.changes.revision().await.unwrap(), Revision(0), "heartbeats are no configuration");
    replicas.retire(heartbeat(1).id).await.unwrap();
    replicas.retire(heartbeat(1).id).await.unwrap();
    assert_eq!(replicas.list().await.unwrap().len(), 1);
}

pub(super) async fn envelopes_are_paged_by_id_and_replaced_only_as_they_were_read(backend: Backend) {
    let fresh = backend.open().await;
    let store = &fresh.stores.deployments;
    with_models(&fresh.stores, &["a", "b", "c"]).await;
    let revision = fresh.stores.changes.revision().await.unwrap();
    let first = store.envelopes(None, 2).await.unwrap();
    let rest = store.envelopes(Some(first[1].0), 2).await.unwrap();
    assert_eq!((first.len(), rest.len()), (2, 1));
    let (id, envelope) = &rest[0];
    assert_eq!(*id, deployment(3, "c").id);
    assert!(!store.reseal(*id, b"something else", b"new").await.unwrap());
    assert!(store.reseal(*id, envelope, b"new").await.unwrap());
    let stored = store.find(*id).await.unwrap().unwrap();
    assert_eq!((stored.credentials.envelope.as_slice(), stored.revision), (b"new".as_slice(), revision));
    assert_eq!(fresh.stores.changes.revision().await.unwrap(), revision, "what is inside is the same");
    let other = full_deployment(9, "z");
    new_revision(store.create(&other, &any_write()).await);
    assert!(!store.reseal(deployment(8, "none").id, b"x", b"y").await.unwrap());
}
