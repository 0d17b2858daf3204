//! What this replica holds, in its own memory: enough to hold it again in a ledger that was lost.

use std::collections::hash_map::Entry as Place;
use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;

use crate::domain::ids::VirtualKeyId;
use crate::domain::ports::StoredSpend;
use crate::domain::record::OperationRecord;
use crate::domain::window::Window;
use crate::ledger::minute::Minute;
use crate::ledger::{Hold, Limits, Subject};

/// Holds of keys with budgets that may wait for the store; with more of them no further such request is let in.
pub(super) const MOST_HOLDS: usize = 100_000;
/// Records that Redis may keep for this replica, and their bytes. Further ones are safe when they are stored or spooled.
const MOST_KEPT: usize = 20_000;
const MOST_KEPT_BYTES: usize = 64 << 20;

/// Holds of this replica, and what else Redis has to be told.
#[derive(Debug, Default)]
pub(super) struct Held {
    state: Mutex<State>,
}

/// See [`Held`].
#[derive(Debug, Default)]
pub(super) struct State {
    /// By operation and subject. No more than requests under way and records that wait.
    pub holds: HashMap<String, Entry>,
    /// What keys without holds have spent, and Redis was not told.
    pub spends: HashMap<(VirtualKeyId, Window), StoredSpend>,
    /// Keys whose records are stored and whose spending could not be read since.
    pub unread: HashSet<(VirtualKeyId, Window)>,
    /// Records that Redis keeps, or is about to.
    kept: HashMap<String, Kept>,
    kept_bytes: usize,
    /// Records that Redis keeps and that are stored.
    pub stored: HashSet<String>,
    /// What was admitted in the last minute.
    pub recent: HashMap<Subject, Recent>,
}

/// A record that Redis keeps.
#[derive(Debug, Clone, Copy)]
struct Kept {
    bytes: usize,
    /// Whether Redis may have it by now.
    is_sent: bool,
}

/// Requests and tokens of the last minute, by the second of their admission.
#[derive(Debug, Default)]
pub(super) struct Recent {
    requests: Minute,
    tokens: Minute,
}

/// One hold.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub subject: Subject,
    pub operation: String,
    pub window: Window,
    pub money: Money,
    /// Tokens used, once that is known.
    pub used: u64,
    /// Whether the store has its record.
    pub is_stored: bool,
    /// Nothing of it has to be held any more.
    pub is_over: bool,
    /// The admission may not have arrived: its end has to outrun it.
    pub is_doubtful: bool,
    /// What its key has spent, once its record is stored.
    pub spend: Option<StoredSpend>,
}

/// The part that Redis keeps, as it keeps it.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Money {
    pub second: String,
    pub tokens: String,
    pub budget: String,
    pub reset: &'static str,
    pub start: String,
    pub epoch: String,
    pub least: String,
    /// What the request is, as JSON; of an inherited hold nothing is known.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub about: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub done: bool,
}

impl State {
    /// Makes room for a record that Redis is to keep. `false`: there is none.
    pub(super) fn keep(&mut self, field: &str, bytes: usize, is_sent: bool) -> bool {
        let is_full = self.kept.len() >= MOST_KEPT || self.kept_bytes.saturating_add(bytes) > MOST_KEPT_BYTES;
        if is_full && !is_sent {
            return false;
        }
        if let Place::Vacant(place) = self.kept.entry(field.to_owned()) {
            place.insert(Kept { bytes, is_sent });
            self.kept_bytes = self.kept_bytes.saturating_add(bytes);
        }
        true
    }

    /// Notes that Redis is being told a record. `false`: it is stored by now, so Redis need not keep it.
    pub(super) fn sends(&mut self, field: &str) -> bool {
        self.kept.get_mut(field).is_some_and(|kept| {
            kept.is_sent = true;
            true
        })
    }

    /// Notes that a record is stored. One that Redis keeps goes there, too.
    pub(super) fn is_stored(&mut self, field: String) {
        match self.kept.get(&field).map(|kept| kept.is_sent) {
            Some(true) => {
                self.stored.insert(field);
            }
            Some(false) => self.forget(&field),
            None => {}
        }
    }

    /// Notes that Redis does not keep a record any more.
    pub(super) fn forget(&mut self, field: &str) {
        self.stored.remove(field);
        if let Some(kept) = self.kept.remove(field) {
            self.kept_bytes = self.kept_bytes.saturating_sub(kept.bytes);
        }
    }

    /// Whether Redis may keep this record for a reason that is known here.
    pub(super) fn knows(&self, field: &str) -> bool {
        self.kept.contains_key(field)
    }

    /// How many records Redis keeps, or may.
    pub(super) fn kept(&self) -> usize {
        self.kept.len()
    }

    /// Counts an admission in the minute of its subject.
    pub(super) fn admitted(&mut self, subject: Subject, limits: &Limits, tokens: u64, second: i64) {
        if limits.rpm.is_none() && limits.tpm.is_none() {
            return;
        }
        let recent = self.recent.entry(subject).or_default();
        if limits.rpm.is_some() {
            recent.requests.add(second, 1);
        }
        if limits.tpm.is_some() {
            recent.tokens.add(second, tokens);
        }
    }

    /// Replaces tokens that were held by those that were used.
    pub(super) fn used(&mut self, subject: Subject, money: &Money, used: u64) {
        let number = |text: &str| text.parse::<i64>().unwrap_or_default();
        let held = u64::try_from(number(&money.tokens)).unwrap_or_default();
        if let Some(recent) = self.recent.get_mut(&subject) {
            recent.tokens.replace(number(&money.second), held, used);
        }
    }

    /// Forgets minutes in which nothing happened.
    pub(super) fn forget_minutes(&mut self, second: i64) {
        self.recent.retain(|_, recent| recent.requests.sum(second) > 0 || recent.tokens.sum(second) > 0);
    }

    /// What keys have spent: their holds whose records are stored are over.
    pub(super) fn learn(&mut self, spends: &HashMap<(VirtualKeyId, Window), StoredSpend>) {
        let mut untold = spends.clone();
        for entry in self.holds.values_mut().filter(|entry| entry.is_stored) {
            if let Subject::Key(key) = entry.subject
                && let Some(spend) = spends.get(&(key, entry.window))
            {
                entry.spend = Some(*spend);
                entry.is_over = true;
                untold.remove(&(key, entry.window));
            }
        }
        self.spends.extend(untold);
    }
}

impl Recent {
    /// Kind and second, and how many, of each second in which there were some.
    pub(super) fn words(&self) -> Vec<String> {
        let of = |kind: char, minute: &Minute| {
            let some =
                minute.seconds().flat_map(move |(second, amount)| [format!("{kind}{second}"), amount.to_string()]);
            some.collect::<Vec<_>>()
        };
        let mut words = of('r', &self.requests);
        words.extend(of('t', &self.tokens));
        words
    }
}

impl Held {
    /// The state, for a moment.
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The name of a subject in Redis.
pub(super) fn name(subject: Subject) -> String {
    match subject {
        Subject::Key(key) => key.to_string(),
        Subject::Deployment(deployment) => format!("d:{deployment}"),
    }
}

/// The name of a hold in Redis.
pub(super) fn field(operation: &str, subject: Subject) -> String {
    format!("{operation}|{}", name(subject))
}

/// The name of a record in Redis: that of its key's hold.
pub(super) fn field_of_record(record: &OperationRecord) -> String {
    format!("{}|{}", record.id, record.key_id.as_deref().unwrap_or_default())
}

/// The name of a hold in Redis.
pub(super) fn field_of(hold: &Hold) -> String {
    field(&hold.operation.to_string(), hold.subject)
}
