//! What this replica holds, in its own memory: enough to hold it again in a ledger that was lost.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;

use crate::domain::ids::VirtualKeyId;
use crate::domain::ports::StoredSpend;
use crate::domain::window::Window;
use crate::ledger::{Hold, Subject};

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
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub done: bool,
}

impl State {
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

/// The name of a hold in Redis.
pub(super) fn field_of(hold: &Hold) -> String {
    field(&hold.operation.to_string(), hold.subject)
}
