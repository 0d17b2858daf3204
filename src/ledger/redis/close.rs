//! The end of a request in Redis, before the last byte of its answer: its hold becomes its cost, its place is free, and its
//! record is kept until the store has it. All of that is one step; steps go out in groups, while one is under way the next
//! gathers, and nobody waits for company.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Notify, oneshot};

use super::held::{field_of, field_of_record, name};
use super::link::Step;
use super::shared::RedisLedger;
use crate::domain::record::OperationRecord;
use crate::ledger::{Hold, Ledger};

/// Steps of one group.
const GROUP: usize = 500;

/// Ends that wait to be told. No more than requests that end at the same time.
#[derive(Debug, Default)]
pub(super) struct Closing {
    queue: Mutex<Vec<End>>,
    filled: Notify,
}

/// The end of one request.
#[derive(Debug)]
struct End {
    field: String,
    /// Whether a hold is closed, and whether money of it stays held.
    hold: Option<Stays>,
    /// Whether its record is to be kept.
    is_kept: bool,
    arguments: [String; 7],
    done: oneshot::Sender<bool>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stays {
    Held,
    Nothing,
}

impl Closing {
    fn take(&self) -> Vec<End> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let count = queue.len().min(GROUP);
        queue.drain(..count).collect()
    }
}

/// Tells Redis of ends, until it is dropped.
pub async fn run(ledger: Arc<RedisLedger>) {
    loop {
        let ends = ledger.closing.take();
        if ends.is_empty() {
            ledger.closing.filled.notified().await;
        } else {
            ledger.close_all(ends).await;
        }
    }
}

impl RedisLedger {
    /// Hands over the end of a request, before its record is on its way to the store. The receiver hears whether Redis keeps
    /// the record.
    pub(super) fn close(
        &self,
        hold: Option<&Hold>,
        tokens: u64,
        cost: i64,
        record: &OperationRecord,
    ) -> oneshot::Receiver<bool> {
        let (done, heard) = oneshot::channel();
        let field = hold.map_or_else(|| field_of_record(record), field_of);
        let text = if self.link.is_connected() { text_of(record) } else { None };
        let (stays, is_kept) = {
            let mut state = self.held.state();
            let stays = hold.and_then(|hold| {
                let entry = state.holds.get_mut(&field)?;
                if !entry.money.done {
                    let before = entry.money.clone();
                    entry.used = tokens;
                    entry.money.budget = cost.to_string();
                    entry.money.least = cost.to_string();
                    entry.money.done = true;
                    state.used(hold.subject, &before, tokens);
                }
                Some(if hold.epoch.is_some() { Stays::Held } else { Stays::Nothing })
            });
            (stays, text.as_ref().is_some_and(|text| state.keep(&field, text.len(), false)))
        };
        if stays.is_none() && !is_kept {
            return heard;
        }
        let subject = hold.map(|hold| name(hold.subject)).or_else(|| record.key_id.clone());
        let arguments = [
            self.time(),
            subject.unwrap_or_default(),
            record.id.clone(),
            self.setup.replica.clone(),
            tokens.to_string(),
            cost.to_string(),
            text.filter(|_| is_kept).unwrap_or_default(),
        ];
        let end = End { field, hold: stays, is_kept, arguments, done };
        self.closing.queue.lock().unwrap_or_else(PoisonError::into_inner).push(end);
        self.closing.filled.notify_one();
        heard
    }

    async fn close_all(&self, mut ends: Vec<End>) {
        let _whole = self.joining.read().await;
        {
            let mut state = self.held.state();
            for end in ends.iter_mut().filter(|end| end.is_kept && !state.sends(&end.field)) {
                end.is_kept = false;
                end.arguments[6].clear();
            }
        }
        // What is stored by now and held nothing has nothing to tell.
        ends.retain(|end| end.is_kept || end.hold.is_some());
        let calls: Vec<&[String]> = ends.iter().map(|end| end.arguments.as_slice()).collect();
        let told = self.link.call_all(Step::Close, &calls).await;
        if let Err(error) = &told {
            tracing::debug!(%error, "Redis could not be told what requests used; their records go to the store");
            self.figures().were_not_kept(ends.len());
        }
        let mut state = self.held.state();
        for end in &ends {
            match (end.hold, &told) {
                // Nothing of it is held any more, unless its record is kept under the same name.
                (Some(Stays::Nothing), Ok(())) => drop(state.holds.remove(&end.field)),
                (Some(Stays::Nothing), Err(_)) => {
                    if let Some(entry) = state.holds.get_mut(&end.field) {
                        entry.is_over = true;
                    }
                }
                (Some(Stays::Held) | None, _) => {}
            }
        }
        drop(state);
        for end in ends {
            // Whoever waited may have heard from the store before.
            _ = end.done.send(end.is_kept && told.is_ok());
        }
    }
}

/// A record as Redis keeps it: its version, so that a script can read it, and its JSON.
fn text_of(record: &OperationRecord) -> Option<String> {
    let json = serde_json::to_string(record).ok()?;
    Some(format!("{} {json}", record.version))
}

/// A record as Redis kept it.
pub(super) fn record_of(text: &str) -> Option<OperationRecord> {
    let (_, json) = text.split_once(' ')?;
    serde_json::from_str(json).ok()
}
