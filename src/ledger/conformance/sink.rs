//! A store in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use async_trait::async_trait;

use crate::domain::ids::VirtualKeyId;
use crate::domain::ports::{PortError, StoredSpend, UsageSink};
use crate::domain::record::OperationRecord;
use crate::domain::window::Window;

/// A store in memory.
#[derive(Default)]
pub(super) struct FakeSink {
    pub(super) state: Mutex<FakeState>,
}

#[derive(Default)]
pub(super) struct FakeState {
    pub(super) ids: BTreeSet<String>,
    pub(super) records: Vec<OperationRecord>,
    pub(super) aside: Vec<String>,
    pub(super) epochs: BTreeMap<String, i64>,
    pub(super) spends: BTreeMap<(String, i64, String, i64), i64>,
    pub(super) is_away: bool,
}

impl FakeSink {
    pub(super) fn set_away(&self, is_away: bool) {
        self.state.lock().unwrap().is_away = is_away;
    }

    pub(super) fn ids(&self) -> Vec<String> {
        self.state.lock().unwrap().ids.iter().cloned().collect()
    }

    pub(super) fn amounts(&self) -> Vec<i64> {
        self.state.lock().unwrap().spends.values().copied().collect()
    }

    pub(super) fn total(&self) -> i64 {
        self.amounts().iter().sum()
    }
}

fn is_away() -> PortError {
    PortError::Unavailable("away".into())
}

#[async_trait]
impl UsageSink for FakeSink {
    async fn record(&self, records: &[OperationRecord]) -> Result<(), PortError> {
        let mut state = self.state.lock().unwrap();
        if state.is_away {
            return Err(is_away());
        }
        if records.iter().any(|record| record.id == "bad") {
            return Err(PortError::Refused("bad".into()));
        }
        for record in records {
            if !state.ids.insert(record.id.clone()) {
                continue;
            }
            state.records.push(record.clone());
            if let Some(charge) = &record.charge {
                let current = state.epochs.get(&charge.key_id).copied().unwrap_or_default();
                let epoch = charge.epoch.unwrap_or(current);
                let at = (charge.key_id.clone(), epoch, charge.window.clone(), charge.window_start);
                *state.spends.entry(at).or_default() += charge.amount;
            }
        }
        Ok(())
    }

    async fn put_aside(&self, record: &OperationRecord, _reason: &str) -> Result<(), PortError> {
        self.state.lock().unwrap().aside.push(record.id.clone());
        Ok(())
    }

    async fn spend(&self, keys: &[(VirtualKeyId, Window)]) -> Result<Vec<StoredSpend>, PortError> {
        let state = self.state.lock().unwrap();
        if state.is_away {
            return Err(is_away());
        }
        let of = |(key, window): &(VirtualKeyId, Window)| {
            let key = key.to_string();
            let epoch = state.epochs.get(&key).copied().unwrap_or_default();
            let at = (key, epoch, window.word().to_owned(), window.start.unix_ms());
            StoredSpend { epoch, spent: state.spends.get(&at).copied().unwrap_or_default() }
        };
        Ok(keys.iter().map(of).collect())
    }

    async fn next_epoch(&self, key: VirtualKeyId) -> Result<i64, PortError> {
        let mut state = self.state.lock().unwrap();
        let epoch = state.epochs.entry(key.to_string()).or_default();
        *epoch += 1;
        Ok(*epoch)
    }

    async fn forget_before(&self, _moment_ms: i64) -> Result<(), PortError> {
        Ok(())
    }
}
