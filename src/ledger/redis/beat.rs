//! Signs of life. Each one may find that Redis was emptied, so that the ledger there is a new one, and that another replica
//! has fallen silent.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use ::redis::RedisError;
use tokio::sync::watch;

use super::held::{Entry, Money};
use super::link::Step;
use super::shared::RedisLedger;
use crate::domain::ids::VirtualKeyId;
use crate::domain::record::{Charge, OperationRecord, RECORD_VERSION};
use crate::domain::virtual_key::BudgetReset;
use crate::domain::window::Window;
use crate::ledger::Subject;
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
        if !self.link.is_connected() {
            self.link.connect().await?;
        }
        let name = format!("{}-{}", self.setup.replica, self.clock.now().unix_ms());
        let arguments = [self.time(), self.setup.replica.clone(), name];
        let words = self.link.call(Step::Beat, &arguments).await?;
        let [ledger, silent] = words.as_slice() else { return Ok(()) };
        let is_joined = *self.joined.read().unwrap_or_else(PoisonError::into_inner) == *ledger;
        if !is_joined {
            self.join(ledger).await?;
        }
        if !silent.is_empty() && *silent != self.setup.replica {
            self.reap(silent).await?;
        }
        Ok(())
    }

    /// Holds in a new ledger what this replica holds.
    async fn join(&self, ledger: &str) -> Result<(), RedisError> {
        let _alone = self.joining.write().await;
        let calls: Vec<Vec<String>> = {
            let state = self.held.state();
            let held = state.holds.values().filter(|entry| !entry.is_over);
            held.filter_map(|entry| self.restore_arguments(ledger, entry)).collect()
        };
        for some in calls.chunks(RESTORED_AT_ONCE) {
            self.link.call_all(Step::Restore, some).await?;
        }
        let before =
            std::mem::replace(&mut *self.joined.write().unwrap_or_else(PoisonError::into_inner), ledger.to_owned());
        if before.is_empty() {
            tracing::info!("limits are counted in Redis");
        } else {
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

    /// Takes over what a silent replica holds and charges what it must have used at least.
    async fn reap(&self, replica: &str) -> Result<(), RedisError> {
        let arguments = [self.time(), replica.to_owned(), self.setup.replica.clone()];
        let words = {
            let _whole = self.joining.read().await;
            let words = self.link.call(Step::Reap, &arguments).await?;
            for hold in words.chunks_exact(5) {
                self.inherit(hold);
            }
            words
        };
        let count = words.len() / 5;
        if count > 0 {
            tracing::warn!(replica, count, "a replica has fallen silent: what it held is charged with an estimate");
        }
        Ok(())
    }

    fn inherit(&self, words: &[String]) {
        let [field, cost, reset, start, epoch] = words else { return };
        let Some((operation, key)) = field.split_once('|') else { return };
        let Ok(key) = key.parse::<VirtualKeyId>() else { return };
        let reset = BudgetReset::parse(reset);
        let window = Window::at(reset, Timestamp::from_unix_ms(start.parse().unwrap_or_default()));
        let entry = Entry {
            subject: Subject::Key(key),
            operation: operation.to_owned(),
            window,
            money: Money {
                second: "0".to_owned(),
                tokens: "0".to_owned(),
                budget: cost.clone(),
                reset: window.word(),
                start: start.clone(),
                epoch: epoch.clone(),
                least: cost.clone(),
                done: true,
            },
            used: 0,
            is_stored: false,
            is_over: false,
            is_doubtful: false,
            spend: None,
        };
        self.held.state().holds.insert(field.clone(), entry);
        let amount = cost.parse().unwrap_or_default();
        // Whether the silent one has stored it after all: then this changes nothing.
        drop(self.recorder.record(OperationRecord {
            version: RECORD_VERSION,
            id: operation.to_owned(),
            key_id: Some(key.to_string()),
            operation: "text.generate".to_owned(),
            outcome: "abandoned".to_owned(),
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
        }));
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
