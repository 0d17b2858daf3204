//! What is kept, for whom, and what happens while nothing can be.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::*;
use crate::canonical::Wire;
use crate::dialects::Asked;
use crate::dialects::openai_responses::native::read_request;
use crate::fault::Kind;
use crate::time::ManualClock;
use crate::vault::{KeyId, SystemEntropy};

const START: Timestamp = Timestamp::from_unix_ms(1_790_000_000_000);

/// Keeps responses in memory, as long as it is up.
#[derive(Default)]
struct Memory {
    rows: Mutex<BTreeMap<ResponseId, (ResponseState, Vec<String>)>>,
    is_down: AtomicBool,
    pings: std::sync::atomic::AtomicUsize,
}

impl Memory {
    fn check(&self) -> Result<(), PortError> {
        if self.is_down.load(Ordering::Relaxed) { Err(PortError::Unavailable("down".into())) } else { Ok(()) }
    }
}

#[async_trait]
impl ResponseStates for Memory {
    async fn ping(&self) -> Result<(), PortError> {
        self.pings.fetch_add(1, Ordering::Relaxed);
        self.check()
    }

    async fn save(&self, state: &ResponseState, item_ids: &[String]) -> Result<(), PortError> {
        self.check()?;
        self.rows.lock().unwrap().insert(state.id, (state.clone(), item_ids.to_vec()));
        Ok(())
    }

    async fn find(
        &self,
        scope: StateScope,
        id: ResponseId,
        now: Timestamp,
    ) -> Result<Option<ResponseState>, PortError> {
        self.check()?;
        let rows = self.rows.lock().unwrap();
        let found =
            rows.get(&id).map(|(state, _)| state).filter(|state| state.scope == scope && state.expires_at > now);
        Ok(found.cloned())
    }

    async fn find_item(&self, scope: StateScope, item_id: &str) -> Result<Option<ResponseId>, PortError> {
        self.check()?;
        let rows = self.rows.lock().unwrap();
        let has = |(state, items): &&(ResponseState, Vec<String>)| {
            state.scope == scope && items.iter().any(|item| item == item_id)
        };
        Ok(rows.values().find(has).map(|(state, _)| state.id))
    }

    async fn delete(&self, _: StateScope, id: ResponseId, _: Timestamp) -> Result<bool, PortError> {
        self.check()?;
        Ok(self.rows.lock().unwrap().remove(&id).is_some())
    }
}

struct Bench {
    memory: Arc<Memory>,
    clock: Arc<ManualClock>,
    states: Arc<States>,
}

fn bench(default_store: bool) -> Bench {
    let memory = Arc::new(Memory::default());
    let clock = Arc::new(ManualClock::at(START));
    let keyring = Arc::new(Keyring::single(KeyId::parse("k1").unwrap(), &Zeroizing::new([7; 32])));
    let states = States::new(StateParts {
        port: Arc::clone(&memory) as Arc<dyn ResponseStates>,
        keyring,
        entropy: Arc::new(SystemEntropy),
        clock: Arc::clone(&clock) as Arc<dyn Clock>,
        default_store,
        retention: Duration::from_secs(60),
    });
    Bench { memory, clock, states: Arc::new(states) }
}

fn id(number: u128) -> ResponseId {
    ResponseId::from_uuid(uuid::Uuid::from_u128(number))
}

fn request(fields: &Value) -> NativeRequest {
    let mut body = json!({"model": "m", "input": "hi"});
    body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    read_request(Bytes::from(body.to_string())).unwrap()
}

impl Bench {
    async fn resume(&self, number: u128, fields: &Value) -> Outcome<(NativeRequest, Option<Keep>)> {
        self.states.resume(&Caller::Master, request(fields), id(number)).await
    }

    /// Keeps an answer that says these items.
    async fn keep(&self, number: u128, fields: &Value, output: &Value) {
        let (_, keep) = self.resume(number, fields).await.unwrap();
        let response = json!({"id": id(number).to_string(), "output": output}).to_string();
        assert!(keep.unwrap().save(&Bytes::from(response), "dep_1", "req").await);
    }

    async fn refusal(&self, fields: &Value) -> (Kind, Option<&'static str>, Option<String>) {
        let fault = self.resume(99, fields).await.expect_err("a refusal");
        (fault.kind(), fault.error_code(), fault.at().map(str::to_owned))
    }
}

fn input_of(request: &NativeRequest) -> Value {
    let body: Value = serde_json::from_slice(request.bytes()).unwrap();
    assert_eq!(request.wire(), Wire::Responses);
    assert_eq!(body.get("previous_response_id"), None, "{body}");
    body["input"].clone()
}

fn said(text: &str) -> Value {
    let content = json!([{"type": "output_text", "text": text}]);
    json!({"type": "message", "status": "completed", "role": "assistant", "content": content})
}

fn asked(text: &str) -> Value {
    json!({"type": "message", "status": "completed", "role": "user", "content": [{"type": "input_text", "text": text}]})
}

#[tokio::test]
async fn a_chain_is_rebuilt_whole_and_survives_its_beginning() {
    let bench = bench(true);
    bench.keep(1, &json!({"input": "one", "instructions": "be brief"}), &json!([said("1")])).await;
    let next = json!({"input": "two", "previous_response_id": id(1).to_string()});
    bench.keep(2, &next, &json!([said("2")])).await;
    let third = json!({"input": [{"role": "user", "content": "three"}], "previous_response_id": id(2).to_string()});
    bench.memory.delete(StateScope::MASTER, id(1), START).await.unwrap();
    let (request, _) = bench.resume(3, &third).await.unwrap();
    let three = json!({"role": "user", "content": "three"});
    assert_eq!(input_of(&request), json!([asked("one"), said("1"), asked("two"), said("2"), three]));
    let body: Value = serde_json::from_slice(request.bytes()).unwrap();
    assert_eq!(body.get("instructions"), None, "instructions are not inherited");
    bench.keep(3, &third, &json!([])).await;
    let kept = bench.states.load(StateScope::MASTER, &id(3).to_string()).await.unwrap().unwrap();
    let ids: Vec<String> =
        kept.input.iter().map(|item| item.read::<Value>().unwrap()["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(ids, (0..5).map(|place| format!("msg_{}_i{place}", id(3).to_hex())).collect::<Vec<_>>());
}

#[tokio::test]
async fn items_are_referred_to_by_the_providers_ids_and_by_ours() {
    let bench = bench(true);
    let output = json!([{"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"}, said("1")]);
    bench.keep(1, &json!({"input": "one"}), &output).await;
    let ours = format!("msg_{}_i0", id(1).to_hex());
    let input = json!([{"type": "item_reference", "id": ours}, {"id": "rs_1"}, {"role": "user", "content": "go"}]);
    let (request, _) = bench.resume(2, &json!({"input": input})).await.unwrap();
    let reasoning = json!({"type": "reasoning", "summary": [], "encrypted_content": "ug1.r.s.dep_1.gAAA"});
    assert_eq!(input_of(&request), json!([asked("one"), reasoning, {"role": "user", "content": "go"}]));
}

#[tokio::test]
async fn what_is_not_there_is_refused_alike() {
    let bench = bench(true);
    bench.keep(1, &json!({}), &json!([])).await;
    let not_found = |param: &str| (Kind::BadRequest, Some("previous_response_not_found"), Some(param.to_owned()));
    for unknown in [id(2).to_string(), "resp_1".to_owned(), "x".repeat(9000), id(1).to_hex()] {
        let refused = bench.refusal(&json!({"previous_response_id": unknown})).await;
        assert_eq!(refused, not_found("previous_response_id"), "{unknown}");
    }
    let reference = json!({"input": [{"role": "user", "content": "x"}, {"type": "item_reference", "id": "msg_0"}]});
    assert_eq!(bench.refusal(&reference).await, not_found("input[1].id"));
    // The row of somebody else, put under another scope, is nobody's.
    let moved = {
        let rows = bench.memory.rows.lock().unwrap();
        let (state, _) = rows[&id(1)].clone();
        ResponseState {
            scope: StateScope::of(crate::domain::ids::VirtualKeyId::from_uuid(uuid::Uuid::from_u128(7))),
            ..state
        }
    };
    let scope = moved.scope;
    bench.memory.save(&moved, &[]).await.unwrap();
    assert_eq!(bench.states.load(scope, &id(1).to_string()).await.unwrap(), None);
    bench.keep(4, &json!({}), &json!([])).await;
    bench.clock.advance(Duration::from_secs(60));
    let expired = bench.refusal(&json!({"previous_response_id": id(4).to_string()})).await;
    assert_eq!(expired, not_found("previous_response_id"));
    let broken = json!({"previous_response_id": 5});
    assert!(read_request(Bytes::from(json!({"model": "m", "input": "x"}).to_string())).is_ok());
    let mut body = json!({"model": "m", "input": "x"});
    body.as_object_mut().unwrap().extend(broken.as_object().unwrap().clone());
    assert_eq!(read_request(Bytes::from(body.to_string())).unwrap_err().at(), Some("previous_response_id"));
}

#[tokio::test]
async fn the_setting_decides_where_the_request_does_not() {
    for (default_store, store, expected) in [
        (true, json!(null), true),
        (true, json!(false), false),
        (false, json!(null), false),
        (false, json!(true), true),
    ] {
        let (_, keep) = bench(default_store).resume(1, &json!({"store": store})).await.unwrap();
        assert_eq!(keep.is_some(), expected, "{default_store} {store}");
    }
}

#[tokio::test]
async fn a_keeper_that_is_down_costs_the_keeping_and_not_the_answers() {
    let bench = bench(true);
    bench.memory.is_down.store(true, Ordering::Relaxed);
    let (_, keep) = bench.resume(1, &json!({})).await.unwrap();
    assert!(keep.is_none(), "what was only the default is not kept");
    let (kind, code, param) = bench.refusal(&json!({"store": true})).await;
    assert_eq!((kind, code, param.as_deref()), (Kind::Unavailable, Some("service_unavailable"), Some("store")));
    let needs = json!({"store": false, "previous_response_id": id(1).to_string()});
    assert_eq!(bench.refusal(&needs).await.0, Kind::Unavailable, "it cannot go on without it");
    assert!(bench.resume(1, &json!({"store": false})).await.is_ok());
    assert_eq!(bench.memory.pings.load(Ordering::Relaxed), 1, "it is not asked again at once");
    bench.memory.is_down.store(false, Ordering::Relaxed);
    bench.clock.advance(HEALTH_HOLDS);
    let (_, keep) = bench.resume(1, &json!({"store": true})).await.unwrap();
    bench.memory.is_down.store(true, Ordering::Relaxed);
    assert!(!keep.unwrap().save(&Bytes::from_static(b"{}"), "dep_1", "req").await, "and what fails late is said, too");
}

#[test]
fn ids_sort_by_time_and_differ() {
    let at = |ms| next_id(Timestamp::from_unix_ms(ms), &|_| 0x0123_4567_89ab_cdef);
    assert!(at(1_000) < at(2_000));
    let (one, other) = (next_id(START, &SystemEntropy::roll), next_id(START, &SystemEntropy::roll));
    assert_ne!(one, other);
    assert_eq!(ResponseId::parse(&one.to_string()), Some(one));
}
