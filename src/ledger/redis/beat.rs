//! Signs of life. Each one may find that Redis was emptied, so that the ledger there is a new one, and that another replica
//! has fallen silent.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use ::redis::RedisError;
use serde::Deserialize;
use tokio::sync::watch;

use super::close::record_of;
use super::held::{Entry, Money};
use super::link::Step;
use super::shared::RedisLedger;
use crate::domain::ids::VirtualKeyId;
use crate::domain::record::{Charge, OperationRecord, RECORD_VERSION};
use crate::domain::virtual_key::BudgetReset;
use crate::domain::window::Window;
use crate::ledger::{Ledger, Subject};
use crate::time::Timestamp;

const BEAT_EVERY: Duration = Duration::from_millis(500);
/// So many signs of life without an answer, and Redis is taken to be down.
const MISSES: u32 = 2;
const RESTORED_AT_ONCE: usize = 500;

/// Keeps the connection, gives signs of life and tells whether Redis answers, until it is dropped.
pub async fn run(ledger: Arc<RedisLedger>, is_up: watch::Sender<bool>) {
    let mut misses = 0;
    loop {
        match ledger.beat().await {
            Ok(()) => {
                misses = 0;
                state(&is_up, Ok(()));
                ledger.tell().await;
                let count = ledger.let_through.swap(0, Ordering::Relaxed);
                if count > 0 {
                    tracing::warn!(count, "requests with limits were let through uncounted: LEDGER_FAIL_OPEN is set");
                }
            }
            Err(error) => {
                misses += 1;
                // A slow answer is not an outage yet; an end of the connection is.
                if misses >= MISSES || !error.is_timeout() && error.is_unrecoverable_error() {
                    ledger.link.disconnect();
                    state(&is_up, Err(&error));
                }
            }
        }
        tokio::select! {
            () = tokio::time::sleep(BEAT_EVERY) => {}
            () = ledger.hurry.notified() => tokio::time::sleep(BEAT_EVERY / 20).await,
        }
    }
}

impl RedisLedger {
    /// One sign of life.
    pub(crate) async fn beat(&self) -> Result<(), RedisError> {
        let is_connected = self.link.is_connected();
        if !is_connected {
            self.link.connect().await?;
        }
        let name = format!("{}-{}", self.setup.replica, self.clock.now().unix_ms());
        let arguments = [self.time(), self.setup.replica.clone(), name, RECORD_VERSION.to_string()];
        let words = self.link.call(Step::Beat, &arguments).await?;
        let [ledger, silent, kept, now] = words.as_slice() else { return Ok(()) };
        let is_joined = *self.joined.read().unwrap_or_else(PoisonError::into_inner) == *ledger;
        // Another server may have taken over, without the last moments of the one before.
        if !is_joined || !is_connected {
            self.join(ledger, !is_joined).await?;
        }
        if !silent.is_empty() && *silent != self.setup.replica {
            self.reap(silent).await?;
        }
        let known = {
            let mut state = self.held.state();
            state.forget_minutes(Timestamp::from_unix_ms(now.parse().unwrap_or_default()).unix_s());
            state.kept()
        };
        self.figures().set_kept(known);
        if kept.parse::<usize>().unwrap_or_default() > known {
            self.adopt().await?;
        }
        Ok(())
    }

    /// Holds in a ledger what this replica holds; in a new one it counts its last minute, too.
    async fn join(&self, ledger: &str, is_new: bool) -> Result<(), RedisError> {
        let _alone = self.joining.write().await;
        let (calls, minutes) = {
            let state = self.held.state();
            let held = state.holds.values().filter(|entry| !entry.is_over);
            let calls: Vec<_> = held.filter_map(|entry| self.restore_arguments(ledger, entry)).collect();
            let minutes = state.recent.iter().filter(|_| is_new).map(|(subject, recent)| {
                let words = [ledger.to_owned(), super::held::name(*subject)];
                words.into_iter().chain(recent.words()).collect::<Vec<_>>()
            });
            (calls, minutes.collect::<Vec<_>>())
        };
        for (step, calls) in [(Step::Restore, &calls), (Step::Recall, &minutes)] {
            for some in calls.chunks(RESTORED_AT_ONCE) {
                let some: Vec<&[String]> = some.iter().map(Vec::as_slice).collect();
                self.link.call_all(step, &some).await?;
            }
        }
        let before =
            std::mem::replace(&mut *self.joined.write().unwrap_or_else(PoisonError::into_inner), ledger.to_owned());
        if before.is_empty() {
            tracing::info!("limits are counted in Redis");
        } else if is_new {
            tracing::warn!(
                holds = calls.len(),
                "Redis was emptied: what this replica holds is held again, and spending is read from the store"
            );
        }
        Ok(())
    }

    fn restore_arguments(&self, ledger: &str, entry: &Entry) -> Option<Vec<String>> {
        let hold = serde_json::to_string(&entry.money).ok()?;
        let subject = super::held::name(entry.subject);
        Some(vec![ledger.to_owned(), subject, entry.operation.clone(), self.setup.replica.clone(), hold])
    }

    /// Takes over what a silent replica left: its records go to the store, and what it held without one is charged with what
    /// it must have cost at least.
    async fn reap(&self, replica: &str) -> Result<(), RedisError> {
        let version = RECORD_VERSION.to_string();
        let arguments = [self.time(), replica.to_owned(), self.setup.replica.clone(), version];
        let (mut stored, mut abandoned) = (0, 0);
        {
            let _whole = self.joining.read().await;
            let words = self.link.call(Step::Reap, &arguments).await?;
            for left in words.chunks_exact(7) {
                let Some(record) = self.inherit(left) else { continue };
                if record.outcome == ABANDONED {
                    abandoned += 1;
                } else {
                    stored += 1;
                }
                // Whether the silent one has stored it after all: then this changes nothing.
                drop(self.recorder.record(record));
            }
        }
        if stored + abandoned > 0 {
            self.figures().inherited(stored + abandoned);
            tracing::warn!(
                replica,
                stored,
                abandoned,
                "a replica has fallen silent: its records are stored, and what it held without one is charged with an estimate"
            );
        }
        Ok(())
    }

    /// Stores what Redis keeps for this replica though nobody here knows of it: an answer of Redis was lost on its way.
    async fn adopt(&self) -> Result<(), RedisError> {
        let words = self.link.call(Step::Kept, std::slice::from_ref(&self.setup.replica)).await?;
        for pair in words.chunks_exact(2) {
            let [field, text] = pair else { continue };
            if self.held.state().knows(field) {
                continue;
            }
            match record_of(text) {
                Some(record) if record.version <= RECORD_VERSION => {
                    self.held.state().keep(field, text.len(), true);
                    drop(self.recorder.record(record));
                }
                _ => tracing::error!(field, "a record that Redis keeps cannot be read"),
            }
        }
        Ok(())
    }

    /// Holds what another replica held, and answers the record to store.
    fn inherit(&self, words: &[String]) -> Option<OperationRecord> {
        let [field, cost, reset, start, epoch, text, about] = words else { return None };
        let (operation, key) = field.split_once('|')?;
        let mut state = self.held.state();
        let window = Window::at(BudgetReset::parse(reset), Timestamp::from_unix_ms(start.parse().unwrap_or_default()));
        let key = key.parse::<VirtualKeyId>().ok();
        if let Some(key) = key
            && !cost.is_empty()
        {
            let entry = inherited(operation, key, window, (cost.as_str(), start.as_str(), epoch.as_str()));
            state.holds.insert(field.clone(), entry);
        }
        if text.is_empty() {
            return key.map(|key| abandoned(operation, (key, window), (cost.as_str(), epoch.as_str()), about));
        }
        state.keep(field, text.len(), true);
        let record = record_of(text);
        if record.is_none() {
            tracing::error!(field, "a record that a silent replica left cannot be read");
        }
        record
    }
}

const ABANDONED: &str = "abandoned";

fn inherited(operation: &str, key: VirtualKeyId, window: Window, money: (&str, &str, &str)) -> Entry {
    let (cost, start, epoch) = money;
    Entry {
        subject: Subject::Key(key),
        operation: operation.to_owned(),
        window,
        money: Money {
            second: "0".to_owned(),
            tokens: "0".to_owned(),
            budget: cost.to_owned(),
            reset: window.word(),
            start: start.to_owned(),
            epoch: epoch.to_owned(),
            least: cost.to_owned(),
            about: String::new(),
            done: true,
        },
        used: 0,
        is_stored: false,
        is_over: false,
        is_doubtful: false,
        spend: None,
    }
}

/// What its hold says of a request.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Was {
    public_model: String,
    contract: String,
    operation: String,
}

/// What is stored of a request whose replica died before its end.
fn abandoned(
    operation: &str,
    (key, window): (VirtualKeyId, Window),
    (cost, epoch): (&str, &str),
    about: &str,
) -> OperationRecord {
    let amount = cost.parse().unwrap_or_default();
    let about: Was = serde_json::from_str(about).unwrap_or_default();
    OperationRecord {
        version: RECORD_VERSION,
        id: operation.to_owned(),
        key_id: Some(key.to_string()),
        public_model: about.public_model,
        contract: about.contract,
        operation: if about.operation.is_empty() { "text.generate".to_owned() } else { about.operation },
        outcome: ABANDONED.to_owned(),
        estimated: true,
        cost: Some(amount),
        upstream_cost: Some(amount),
        started_at: made_at(operation),
        charge: Some(Charge {
            key_id: key.to_string(),
            window: window.word().to_owned(),
            window_start: window.start.unix_ms(),
            epoch: epoch.parse().ok(),
            amount,
        }),
        ..OperationRecord::default()
    }
}

/// When a time-ordered id was made, in milliseconds since the Unix epoch.
fn made_at(operation: &str) -> i64 {
    let id = uuid::Uuid::parse_str(operation).map(|id| id.as_u128() >> 80).unwrap_or_default();
    i64::try_from(id).unwrap_or_default()
}

/// Notes the state; logs it when it changes.
fn state(is_up: &watch::Sender<bool>, state: Result<(), &RedisError>) {
    let changed = is_up.send_if_modified(|is_up| std::mem::replace(is_up, state.is_ok()) != state.is_ok());
    match state {
        Ok(()) if changed => tracing::info!("Redis answers"),
        // The error's own words can hold the address, never the password.
        Err(error) if changed => tracing::warn!(%error, "Redis cannot be reached"),
        Ok(()) | Err(_) => {}
    }
}
