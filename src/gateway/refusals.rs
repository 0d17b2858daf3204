//! Requests of a known caller that were refused before anything was held for them. They are recorded like others, but nobody
//! waits for it, and a flood of them is bounded: so many per caller and second, so many on their way to the store. What is
//! beyond is counted, and said in the log once a second.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use super::{Caller, Gateway, Parts};
use crate::domain::ids::{OperationId, VirtualKeyId};
use crate::domain::money::NanoCents;
use crate::domain::operation::Operation;
use crate::domain::record::{OperationRecord, RECORD_VERSION};
use crate::fault::Fault;
use crate::ledger::Settlement;
use crate::routing::Snapshot;
use crate::time::Timestamp;

/// Refusals of one caller that are recorded in one second.
const MOST_PER_SECOND: u32 = 20;
/// Callers that are told apart in one second.
const MOST_CALLERS: usize = 4_096;
/// Records of refusals on their way to the store.
const MOST_UNDER_WAY: usize = 1_024;

/// Which refusals are recorded, and how many records were not, or late.
#[derive(Debug, Default)]
pub struct Refusals {
    second: Mutex<Second>,
    left_out: AtomicU64,
    late: AtomicU64,
}

#[derive(Debug, Default)]
struct Second {
    at: i64,
    callers: HashMap<Option<VirtualKeyId>, u32>,
    left_out: u64,
    under_way: usize,
}

/// A refusal on its way to the store.
struct Place(Arc<Refusals>);

impl Drop for Place {
    fn drop(&mut self) {
        let mut second = self.0.second.lock().unwrap_or_else(PoisonError::into_inner);
        second.under_way = second.under_way.saturating_sub(1);
    }
}

impl Refusals {
    /// Refusals that were not recorded since the start.
    #[must_use]
    pub fn left_out(&self) -> u64 {
        self.left_out.load(Ordering::Relaxed)
    }

    /// Answers that went out before their records were safe, since the start.
    #[must_use]
    pub fn late(&self) -> u64 {
        self.late.load(Ordering::Relaxed)
    }

    /// Notes that an answer goes out before its record is safe.
    pub(super) fn was_late(&self) {
        self.late.fetch_add(1, Ordering::Relaxed);
    }

    fn enter(self: &Arc<Self>, caller: Option<VirtualKeyId>, now: Timestamp) -> Option<Place> {
        let mut second = self.second.lock().unwrap_or_else(PoisonError::into_inner);
        if second.at != now.unix_s() {
            let left_out = std::mem::take(&mut second.left_out);
            if left_out > 0 {
                tracing::warn!(left_out, "refused requests were not recorded: there are too many of them");
            }
            second.at = now.unix_s();
            second.callers.clear();
        }
        let is_room = second.under_way < MOST_UNDER_WAY
            && (second.callers.len() < MOST_CALLERS || second.callers.contains_key(&caller));
        if is_room {
            let count = second.callers.entry(caller).or_default();
            if *count < MOST_PER_SECOND {
                *count += 1;
                second.under_way += 1;
                return Some(Place(Arc::clone(self)));
            }
        }
        second.left_out += 1;
        self.left_out.fetch_add(1, Ordering::Relaxed);
        None
    }
}

/// Hands the record of a refusal over to be stored, unless there are too many. Nobody waits for it.
pub(super) fn hand_in(parts: &Arc<Parts>, caller: Option<VirtualKeyId>, record: OperationRecord) {
    let Some(place) = parts.refusals.enter(caller, parts.clock.now()) else { return };
    let ledger = Arc::clone(&parts.ledger);
    parts.spawn.spawn(Box::pin(async move {
        let request_id = record.request_id.clone();
        let settlement = Settlement { hold: None, tokens: 0, cost: NanoCents(0), record };
        if let Err(fault) = ledger.settle(settlement).await {
            tracing::warn!(request_id, error = fault.cause(), "a refusal was not recorded: {fault}");
        }
        drop(place);
    }));
}

/// What is known of a request before it has an account.
#[derive(Debug, Clone)]
pub struct Intake {
    /// Who calls.
    pub caller: Caller,
    /// The request's id.
    pub request_id: String,
    /// The client's tags.
    pub tags: Vec<String>,
    /// The client's contract.
    pub contract: &'static str,
    /// What is asked for.
    pub operation: Operation,
    /// The model, as far as it was read.
    pub public_model: String,
    /// Whether a stream is wanted, as far as it was read.
    pub is_stream: bool,
    /// Bytes of its body.
    pub request_bytes: u64,
    /// The configuration it was read under.
    pub revision: i64,
    /// When it came.
    pub began: Instant,
    /// The same by the wall clock.
    pub began_at: Timestamp,
}

impl Gateway {
    /// A request of a known caller, of which nothing was read yet.
    #[must_use]
    pub fn intake(&self, snapshot: &Snapshot, caller: &Caller, contract: &'static str, request_id: &str) -> Intake {
        Intake {
            caller: caller.clone(),
            request_id: request_id.to_owned(),
            tags: Vec::new(),
            contract,
            operation: Operation::TextGenerate,
            public_model: String::new(),
            is_stream: false,
            request_bytes: 0,
            revision: snapshot.revision().0,
            began: self.parts.clock.instant(),
            began_at: self.parts.clock.now(),
        }
    }

    /// Records a request that was refused before anything was held for it.
    pub fn refused(&self, intake: Intake, fault: &Fault) {
        self.note_refusal(intake.contract, &intake.request_id, fault);
        let key = match &intake.caller {
            Caller::Master => None,
            Caller::Key(key) => Some(key.id),
        };
        let took = self.parts.clock.instant().saturating_duration_since(intake.began);
        let row = fault.kind().row();
        let record = OperationRecord {
            version: RECORD_VERSION,
            id: OperationId::from_uuid(super::account::new_id(&self.parts)).to_string(),
            request_id: intake.request_id,
            key_id: key.map(|key| key.to_string()),
            public_model: super::settle::capped(&intake.public_model),
            tags: intake.tags,
            operation: intake.operation.as_str().to_owned(),
            contract: intake.contract.to_owned(),
            stream: intake.is_stream,
            outcome: "error".to_owned(),
            http_status: row.http,
            cost: Some(0),
            upstream_cost: Some(0),
            started_at: intake.began_at.unix_ms(),
            duration_ms: super::settle::whole_ms(took),
            request_bytes: intake.request_bytes,
            error: Some(row.slug.to_owned()),
            error_detail: Some(super::settle::detail_of(fault)),
            config_revision: intake.revision,
            ..OperationRecord::default()
        };
        hand_in(&self.parts, key, record);
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn key(number: u128) -> Option<VirtualKeyId> {
        Some(VirtualKeyId::from_uuid(Uuid::from_u128(number)))
    }

    #[test]
    fn a_flood_of_one_caller_is_cut_and_that_of_another_is_not() {
        let refusals = Arc::new(Refusals::default());
        let at = Timestamp::from_unix_ms(5_000);
        let kept = (0..1_000).filter(|_| refusals.enter(key(1), at).is_some()).count();
        assert_eq!((kept, refusals.left_out()), (20, 980));
        assert!(refusals.enter(key(2), at).is_some() && refusals.enter(None, at).is_some());
        assert!(refusals.enter(key(1), Timestamp::from_unix_ms(6_000)).is_some());
    }

    #[test]
    fn a_store_that_takes_nothing_is_not_given_more_than_so_many() {
        let refusals = Arc::new(Refusals::default());
        let places: Vec<Place> =
            (0..2_000).filter_map(|number| refusals.enter(key(number), Timestamp::from_unix_ms(5_000))).collect();
        assert_eq!(places.len(), MOST_UNDER_WAY);
        drop(places);
        assert!(refusals.enter(key(1), Timestamp::from_unix_ms(6_000)).is_some());
    }
}
