//! Which replica has which revision.

use std::time::Duration;

use uuid::Uuid;

use super::support::{START, World};
use crate::control::Replicas;
use crate::control::replicas::{Identity, WaitRequest};
use crate::domain::ids::Revision;
use crate::domain::replica::{Heartbeat, ReplicaId};
use crate::fault::Kind;

fn identity(number: u128) -> Identity {
    let id = ReplicaId::from_uuid(Uuid::from_u128(number));
    Identity { id, host: format!("host-{number}"), version: "1.2.3".to_owned(), started_at: START }
}

fn replicas(world: &World, number: u128) -> Replicas {
    let parts = &world.parts;
    let publisher = parts.propagation.publisher().clone();
    Replicas::new(parts.stores.clone(), publisher, parts.clock.clone(), identity(number))
}

#[tokio::test]
async fn a_revision_is_reached_when_every_replica_that_serves_reports_it() {
    let world = World::new().await;
    let here = replicas(&world, 1);
    world.deploy("a").await;
    here.report(false).await.unwrap();
    let Identity { id, host, version, started_at } = identity(2);
    let mut other =
        Heartbeat { id, host, version, started_at, revision: Revision(0), quarantined: 0, is_draining: false };
    world.parts.stores.replicas.beat(&other).await.unwrap();
    let now = WaitRequest { timeout: Some(Duration::ZERO), ..WaitRequest::default() };
    let reach = here.wait(now).await.unwrap();
    assert_eq!((reach.is_reached, reach.revision, reach.in_force, reach.serving), (false, Revision(1), 1, 2));
    assert!(here.wait(WaitRequest { replicas: Some(1), ..now }).await.unwrap().is_reached);
    assert!(!here.wait(WaitRequest { replicas: Some(3), ..now }).await.unwrap().is_reached);

    other.is_draining = true;
    world.parts.stores.replicas.beat(&other).await.unwrap();
    assert!(here.wait(now).await.unwrap().is_reached);
    other.is_draining = false;
    other.revision = Revision(1);
    let (waited, beaten) = tokio::join!(
        here.wait(WaitRequest { replicas: Some(2), timeout: Some(Duration::from_secs(5)), ..now }),
        async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            world.parts.stores.replicas.beat(&other).await
        }
    );
    beaten.unwrap();
    assert_eq!(waited.unwrap().in_force, 2);
    here.retire().await.unwrap();
    assert_eq!(here.list().await.unwrap().len(), 1);
}

#[tokio::test]
async fn what_is_out_of_bounds_is_refused_by_name() {
    let world = World::new().await;
    let here = replicas(&world, 1);
    for (wanted, field) in [
        (WaitRequest { timeout: Some(Duration::from_secs(61)), ..WaitRequest::default() }, "timeout"),
        (WaitRequest { replicas: Some(0), ..WaitRequest::default() }, "replicas"),
        (WaitRequest { revision: Some(-1), ..WaitRequest::default() }, "revision"),
    ] {
        let fault = here.wait(wanted).await.unwrap_err();
        assert_eq!((fault.kind(), fault.violations()[0].field.as_str()), (Kind::BadRequest, field));
    }
}
