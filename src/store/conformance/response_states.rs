//! Stored responses.

use std::time::Duration;

use uuid::Uuid;

use super::Backend;
use super::samples::NOW;
use crate::domain::ids::{Revision, VirtualKeyId};
use crate::domain::response_state::{ResponseId, ResponseState, StateScope};
use crate::store::response_state::MAX_EXPIRED;

const TTL_MS: i64 = 1_000;

fn id(number: u128) -> ResponseId {
    ResponseId::from_uuid(Uuid::from_u128(number))
}

fn scope(number: u128) -> StateScope {
    StateScope::of(VirtualKeyId::from_uuid(Uuid::from_u128(number)))
}

fn state(number: u128, scope: StateScope) -> ResponseState {
    let expires_at = NOW.after(Duration::from_millis(TTL_MS.unsigned_abs()));
    ResponseState { id: id(number), scope, created_at: NOW, expires_at, envelope: vec![1, 0, 255, 7] }
}

fn items(ids: &[&str]) -> Vec<String> {
    ids.iter().map(|id| (*id).to_owned()).collect()
}

pub(super) async fn a_response_is_found_by_its_own_scope_until_it_expires(backend: Backend) {
    let fresh = backend.open().await;
    let states = &fresh.stores.response_states;
    states.ping().await.unwrap();
    let kept = state(1, scope(7));
    states.save(&kept, &[]).await.unwrap();
    let find = |scope, id, now| async move { states.find(scope, id, now).await.unwrap() };
    assert_eq!(find(scope(7), id(1), NOW).await, Some(kept.clone()));
    assert_eq!(find(scope(8), id(1), NOW).await, None, "someone else's");
    assert_eq!(find(StateScope::MASTER, id(1), NOW).await, None, "not the operator's either");
    assert_eq!(find(scope(7), id(2), NOW).await, None);
    let last = NOW.after(Duration::from_millis(TTL_MS.unsigned_abs() - 1));
    assert!(find(scope(7), id(1), last).await.is_some());
    assert_eq!(find(scope(7), id(1), kept.expires_at).await, None, "expired");
    assert_eq!(fresh.stores.changes.revision().await.unwrap(), Revision(0), "no configuration");
    assert!(states.save(&kept, &[]).await.is_err(), "an id is given once");
    assert_eq!(find(scope(7), id(1), NOW).await, Some(kept));
}

pub(super) async fn a_response_is_deleted_by_its_own_scope_and_once(backend: Backend) {
    let fresh = backend.open().await;
    let states = &fresh.stores.response_states;
    states.save(&state(1, scope(7)), &items(&["msg_a"])).await.unwrap();
    assert!(!states.delete(scope(8), id(1), NOW).await.unwrap());
    assert!(!states.delete(scope(7), id(1), state(1, scope(7)).expires_at).await.unwrap());
    assert!(states.delete(scope(7), id(1), NOW).await.unwrap());
    assert!(!states.delete(scope(7), id(1), NOW).await.unwrap());
    assert_eq!(states.find_item(scope(7), "msg_a").await.unwrap(), None, "its items go with it");
}

pub(super) async fn items_are_found_in_their_scope_where_they_were_last_seen(backend: Backend) {
    let fresh = backend.open().await;
    let states = &fresh.stores.response_states;
    let long = "x".repeat(300);
    states.save(&state(1, scope(7)), &items(&["rs_a", "msg_a", "msg_a", "", &long, "nul\0"])).await.unwrap();
    states.save(&state(2, scope(7)), &items(&["msg_a"])).await.unwrap();
    states.save(&state(3, scope(8)), &items(&["rs_a"])).await.unwrap();
    let find = |scope, item: &'static str| async move { states.find_item(scope, item).await.unwrap() };
    assert_eq!(find(scope(7), "rs_a").await, Some(id(1)));
    assert_eq!(find(scope(7), "msg_a").await, Some(id(2)));
    assert_eq!(find(scope(8), "rs_a").await, Some(id(3)));
    assert_eq!(find(scope(8), "msg_a").await, None);
    assert_eq!(find(scope(7), "nul\0").await, None);
    assert_eq!(states.find_item(scope(7), &long).await.unwrap(), None);
}

pub(super) async fn expired_responses_are_deleted_in_batches(backend: Backend) {
    let fresh = backend.open().await;
    let states = &fresh.stores.response_states;
    for number in 1..=5 {
        states.save(&state(number, scope(7)), &items(&[&format!("msg_{number}")])).await.unwrap();
    }
    let later = state(1, scope(7)).expires_at;
    let lasting = ResponseState { expires_at: later.after(Duration::from_secs(1)), ..state(9, scope(7)) };
    states.save(&lasting, &[]).await.unwrap();
    assert_eq!(states.delete_expired(NOW, MAX_EXPIRED).await.unwrap(), 0);
    assert_eq!(states.delete_expired(later, 3).await.unwrap(), 3);
    assert_eq!(states.delete_expired(later, 3).await.unwrap(), 2);
    assert_eq!(states.delete_expired(later, 3).await.unwrap(), 0);
    assert_eq!(states.find_item(scope(7), "msg_1").await.unwrap(), None);
    assert!(states.find(scope(7), id(9), later).await.unwrap().is_some());
}

pub(super) async fn envelopes_are_paged_by_id_and_replaced_only_as_they_were_read(backend: Backend) {
    let fresh = backend.open().await;
    let states = &fresh.stores.response_states;
    for number in [3, 1, 2] {
        states.save(&state(number, scope(number)), &[]).await.unwrap();
    }
    let first = states.state_envelopes(None, 2).await.unwrap();
    let rest = states.state_envelopes(Some(first[1].0), 2).await.unwrap();
    assert_eq!(first.iter().chain(&rest).map(|(id, _)| *id).collect::<Vec<_>>(), [id(1), id(2), id(3)]);
    assert!(!states.reseal_state(id(3), b"something else", b"new").await.unwrap());
    assert!(states.reseal_state(id(3), &rest[0].1, b"new").await.unwrap());
    assert_eq!(states.find(scope(3), id(3), NOW).await.unwrap().unwrap().envelope, b"new");
}
