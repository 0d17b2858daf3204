//! Moving credentials to another key.

use zeroize::Zeroizing;

use super::support::{START, World, openai, replica};
use crate::control::encryption::{Rotation, Sealed, rotate};
use crate::domain::response_state::{ResponseId, ResponseState, StateScope};
use crate::vault::{KeyId, Keyring, Purpose, SystemEntropy, open_credentials};

fn ring(keys: &[(&str, u8)], active: &str) -> Keyring {
    let keys = keys.iter().map(|(id, byte)| (KeyId::parse(id).unwrap(), Zeroizing::new([*byte; 32])));
    Keyring::new(keys.collect(), KeyId::parse(active).unwrap()).unwrap()
}

#[tokio::test]
async fn every_row_moves_once_and_nothing_else_changes() {
    let world = World::new().await;
    let mut made = Vec::new();
    for number in 0..3 {
        made.push(world.create(openai(&format!("m{number}"))).await.unwrap().deployment);
    }
    let (both, revision) = (ring(&[("k1", 7), ("k2", 8)], "k2"), world.revision().await);
    let stores = &world.parts.stores;
    let first = rotate(stores, &both, &SystemEntropy).await.unwrap();
    assert_eq!(first, Rotation { resealed: 3, ..Rotation::default() });
    let again = rotate(stores, &both, &SystemEntropy).await.unwrap();
    assert_eq!(again, Rotation { current: 3, ..Rotation::default() });
    assert_eq!(world.revision().await, revision);
    let only_new = ring(&[("k2", 8)], "k2");
    for deployment in made {
        let stored = stores.deployments.find(deployment.id).await.unwrap().unwrap();
        assert_eq!(stored.revision, deployment.revision);
        assert!(open_credentials(&only_new, stored.id, &stored.credentials).is_ok());
    }
}

#[tokio::test]
async fn a_row_of_a_lost_key_is_named_and_left_and_quarantines_itself_alone() {
    let world = World::new().await;
    let lost = world.create(openai("lost")).await.unwrap().deployment;
    let stores = &world.parts.stores;
    rotate(stores, &ring(&[("k1", 7), ("k2", 8)], "k2"), &SystemEntropy).await.unwrap();
    // Sealed with k1, the only key of this ring.
    let sound = world.create(openai("sound")).await.unwrap().deployment;
    let rotation = rotate(stores, &ring(&[("k1", 7)], "k1"), &SystemEntropy).await.unwrap();
    assert_eq!(rotation.current, 1);
    assert!(matches!(rotation.unreadable.as_slice(), [(id, _)] if *id == Sealed::Deployment(lost.id)), "{rotation:?}");
    let (parts, control) = replica(stores.clone(), &world.clock);
    parts.propagation.load().await.unwrap();
    let quarantined = control.system.snapshot().quarantined;
    assert!(matches!(quarantined.as_slice(), [one] if one.id == lost.id.to_string()), "{quarantined:?}");
    assert!(parts.propagation.publisher().current().find_deployment(sound.id).is_some());
    assert!(START <= control.system.snapshot().in_force_since);
}

#[tokio::test]
async fn stored_responses_move_too() {
    let world = World::new().await;
    let states = &world.parts.stores.response_states;
    let old = ring(&[("k1", 7)], "k1");
    for number in 0..20 {
        let id = ResponseId::from_uuid(uuid::Uuid::from_u128(number));
        let envelope = old.seal(Purpose::ResponseState, id.as_uuid().as_bytes(), b"said", &SystemEntropy).unwrap();
        let expires_at = START.after(std::time::Duration::from_secs(1));
        let state = ResponseState { id, scope: StateScope::MASTER, created_at: START, expires_at, envelope };
        states.save(&state, &[]).await.unwrap();
    }
    let both = ring(&[("k1", 7), ("k2", 8)], "k2");
    let rotation = rotate(&world.parts.stores, &both, &SystemEntropy).await.unwrap();
    assert_eq!(rotation, Rotation { resealed: 20, ..Rotation::default() });
    let only_new = ring(&[("k2", 8)], "k2");
    let id = ResponseId::from_uuid(uuid::Uuid::from_u128(19));
    let state = states.find(StateScope::MASTER, id, START).await.unwrap().unwrap();
    assert!(only_new.open(Purpose::ResponseState, id.as_uuid().as_bytes(), &state.envelope).is_ok());
}
