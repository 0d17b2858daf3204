//! Many writers at once.

use tokio::task::JoinSet;

use super::Backend;
use super::samples::{any_write, deployment, new_revision, virtual_key, write_once};
use crate::domain::change::ChangesSince;
use crate::domain::ids::Revision;
use crate::domain::virtual_key::VirtualKeyFilter;
use crate::fault::{Kind, Outcome};
use crate::store::{Created, Stores};

const WRITERS: u64 = 50;
const ROUNDS: u64 = 20;

/// Half the rounds change the row that all share, half create a row of the writer's own. Answers the revisions made and
/// how many changes of the shared row were refused.
async fn write_rounds(stores: Stores, writer: u64) -> (Vec<Revision>, Vec<Outcome<Revision>>) {
    let mut created = Vec::new();
    let mut replaced = Vec::new();
    for round in 0..ROUNDS {
        if round % 2 == 0 {
            let sample = virtual_key(1000 + writer * ROUNDS + round, "own");
            created.push(new_revision(stores.virtual_keys.create(&sample, &any_write()).await));
        } else {
            let mut shared = stores.deployments.find(deployment(1, "m").id).await.unwrap().unwrap();
            let seen = shared.revision;
            shared.spec.label = Some(format!("seen {seen}"));
            replaced.push(stores.deployments.replace(&shared, seen, &any_write()).await);
        }
    }
    (created, replaced)
}

pub(super) async fn one_writer_wins_per_expected_revision_and_revisions_have_no_gaps(backend: Backend) {
    let fresh = backend.open().await;
    let stores = &fresh.stores;
    let first = new_revision(stores.deployments.create(&deployment(1, "m"), &any_write()).await);
    let mut writers: JoinSet<_> = (0..WRITERS).map(|writer| write_rounds(stores.clone(), writer)).collect();
    let mut revisions = vec![first];
    let mut chain_of_wins = vec![first];
    while let Some(done) = writers.join_next().await {
        let (created, replaced) = done.unwrap();
        assert!(created.is_sorted());
        revisions.extend(created);
        for outcome in replaced {
            match outcome {
                Ok(revision) => chain_of_wins.push(revision),
                Err(fault) => assert_eq!(fault.kind(), Kind::Stale, "{fault}"),
            }
        }
    }
    revisions.extend(&chain_of_wins[1..]);
    revisions.sort();
    let expected: Vec<Revision> = (1..=i64::try_from(revisions.len()).unwrap()).map(Revision).collect();
    assert_eq!(revisions, expected);
    assert_eq!(stores.changes.revision().await.unwrap(), *expected.last().unwrap());
    let ChangesSince::Changes { changes, .. } = stores.changes.changes_since(Revision(0)).await.unwrap() else {
        panic!("the log must reach back to the start");
    };
    assert_eq!(changes.iter().map(|change| change.revision).collect::<Vec<_>>(), expected);
    // The row carries the last win, made from the win before it.
    chain_of_wins.sort();
    let shared = stores.deployments.find(deployment(1, "m").id).await.unwrap().unwrap();
    let [.., before, last] = chain_of_wins.as_slice() else { panic!("nobody won") };
    assert_eq!((shared.revision, shared.spec.label), (*last, Some(format!("seen {before}"))));
}

pub(super) async fn concurrent_creations_of_one_request_id_create_one_resource(backend: Backend) {
    let fresh = backend.open().await;
    let stores = &fresh.stores;
    let mut clients: JoinSet<_> = (0..WRITERS)
        .map(|n| {
            let store = stores.virtual_keys.clone();
            async move { store.create(&virtual_key(n, "once"), &write_once("once", 1)).await.unwrap() }
        })
        .collect();
    let mut new = 0;
    let mut replayed = Vec::new();
    while let Some(created) = clients.join_next().await {
        match created.unwrap() {
            Created::New(revision) => {
                assert_eq!(revision, Revision(1));
                new += 1;
            }
            Created::Replayed(id) => replayed.push(id),
        }
    }
    let page = stores.virtual_keys.list(&VirtualKeyFilter::default(), &Default::default()).await.unwrap();
    let [only] = page.items.as_slice() else { panic!("{} keys", page.items.len()) };
    assert_eq!(new, 1);
    assert_eq!(replayed, vec![*only.id.as_uuid(); usize::try_from(WRITERS).unwrap() - 1]);
    assert_eq!(stores.changes.revision().await.unwrap(), Revision(1));
}
