//! What every ledger does alike. Each case is a function of a [`World`]; each runs as a test of its own on each backend.

mod cases;
mod journaled;
mod shared;
mod sink;
mod spooled;

use std::sync::Arc;
use std::time::Duration;

use sink::FakeSink;
use uuid::Uuid;

use super::journal::Journal;
use super::memory::MemoryLedger;
use super::redis::{RedisLedger, RedisLink, Setup};
use super::settle::Recorder;
use super::{Admitted, Ask, Hold, Ledger, Limits, Reason, Refusal, Settlement, Subject};
use crate::domain::ids::{OperationId, VirtualKeyId};
use crate::domain::money::NanoCents;
use crate::domain::record::{Charge, OperationRecord, RECORD_VERSION};
use crate::domain::virtual_key::BudgetReset;
use crate::domain::window::Window;
use crate::time::{ManualClock, Timestamp};

/// 2026-11-25T18:30:00Z, a Wednesday.
const START_MS: i64 = 1_795_631_400_000;

macro_rules! suite {
    ($($case:ident)+) => {
        mod memory {
            $(#[tokio::test]
            async fn $case() {
                super::cases::$case(&super::World::memory()).await;
            })+
        }

        mod journaled_memory {
            $(#[tokio::test]
            async fn $case() {
                super::cases::$case(&super::World::journaled()).await;
            })+
        }

        mod redis {
            $(#[tokio::test]
            async fn $case() {
                super::cases::$case(&super::World::redis().await).await;
            })+
        }
    };
}

suite! {
    the_minute_admits_exactly_its_requests
    tokens_are_held_and_settled_to_the_exact_figure
    a_request_larger_than_the_minute_never_fits
    places_are_freed_by_settlements
    a_refused_request_takes_nothing
    a_spent_budget_is_told_apart_from_a_held_one
    a_hold_larger_than_what_is_left_says_what_is_left
    a_hundred_at_once_never_hold_more_than_there_is
    a_window_that_ends_starts_from_zero_and_late_costs_stay_behind
    a_reset_starts_from_zero_and_late_costs_stay_behind
    settling_twice_settles_once
    a_hold_is_raised_or_left_alone
    spending_is_known_after_a_restart
    spending_without_limits_is_counted_and_known_once_a_limit_comes
    a_budget_whose_spending_cannot_be_read_lets_nobody_in
    one_bad_record_does_not_hold_back_the_others
}

/// A ledger and what is around it.
struct World {
    ledger: Arc<dyn Ledger>,
    clock: Arc<ManualClock>,
    sink: Arc<FakeSink>,
    recorder: Arc<Recorder>,
    /// Of its journal, where it has one.
    folder: Option<Arc<tempfile::TempDir>>,
    /// The ledger, where it is in Redis, and what its keys begin with.
    shared: Option<(Arc<RedisLedger>, String)>,
    _stop: tokio::sync::watch::Sender<bool>,
}

impl World {
    fn memory() -> Self {
        Self::around(Arc::new(FakeSink::default()), None)
    }

    /// With answers from a journal, the store behind them.
    fn journaled() -> Self {
        Self::around(Arc::new(FakeSink::default()), Some(Arc::new(tempfile::TempDir::new().unwrap())))
    }

    fn around(sink: Arc<FakeSink>, folder: Option<Arc<tempfile::TempDir>>) -> Self {
        let clock = Arc::new(ManualClock::at(Timestamp::from_unix_ms(START_MS)));
        let mut recorder = Recorder::new(sink.clone(), clock.clone());
        if let Some(folder) = &folder {
            recorder = recorder.with_journal(Journal::open(folder.path()).unwrap());
        }
        let recorder = Arc::new(recorder);
        let ledger = Arc::new(MemoryLedger::new(clock.clone(), Arc::clone(&recorder)));
        Self { ledger, clock, sink, _stop: run(&recorder), recorder, folder, shared: None }
    }

    /// Around the test command's Redis, with keys of its own.
    async fn redis() -> Self {
        let prefix = format!("test:{{{:032x}}}:", dice());
        Self::sharing(Arc::new(FakeSink::default()), &prefix).await
    }

    async fn sharing(sink: Arc<FakeSink>, prefix: &str) -> Self {
        #[expect(clippy::disallowed_methods, reason = "the test command tells where its servers are")]
        let url = std::env::var("UNIFIED_TEST_REDIS_URL").expect("run `make test`, which starts the servers");
        let clock = Arc::new(ManualClock::at(Timestamp::from_unix_ms(START_MS)));
        let recorder = Arc::new(Recorder::new(sink.clone(), clock.clone()));
        let setup = Setup { replica: format!("{:032x}", dice()), fails_open: false, youth: Duration::ZERO };
        let link = RedisLink::new(&url.as_str().into(), prefix).unwrap();
        let mut ledger = RedisLedger::new(link, setup, Arc::clone(&recorder), clock.clone());
        ledger.test_time = Some(Arc::clone(&clock));
        let ledger = Arc::new(ledger);
        let after: std::sync::Weak<RedisLedger> = Arc::downgrade(&ledger);
        recorder.tell(after);
        ledger.beat().await.unwrap();
        let closing = super::redis::close::run(Arc::clone(&ledger));
        #[expect(clippy::disallowed_methods, reason = "a test's own task ends with its runtime")]
        drop(tokio::spawn(closing));
        let shared = Some((Arc::clone(&ledger), prefix.to_owned()));
        Self { ledger, clock, sink, _stop: run(&recorder), recorder, folder: None, shared }
    }

    /// Another process on the same store.
    async fn restarted(&self) -> Self {
        match &self.shared {
            Some((_, prefix)) => Self::sharing(Arc::clone(&self.sink), prefix).await,
            None => Self::around(Arc::clone(&self.sink), self.folder.clone()),
        }
    }

    fn advance(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    async fn ask(&self, ask: &Ask) -> Result<Hold, Refusal> {
        match self.ledger.admit(ask).await.unwrap() {
            Admitted::Held(hold) => Ok(hold),
            Admitted::Refused(refusal) => Err(refusal),
        }
    }

    async fn settle(&self, hold: Hold, tokens: u64, cost: i64) {
        self.ledger.settle(settlement(hold, tokens, cost)).await.unwrap();
        // Redis may keep a record before the store has it.
        self.recorder.flush().await;
    }

    async fn spent(&self, limits: Limits) -> (i64, i64) {
        let usage = self.ledger.usage(&[(key(), limits)]).await.unwrap().remove(0);
        (usage.spent.0, usage.held.0)
    }
}

/// Works the recorder off until this is dropped.
fn run(recorder: &Arc<Recorder>) -> tokio::sync::watch::Sender<bool> {
    let (stop, must_stop) = tokio::sync::watch::channel(false);
    let running = Arc::clone(recorder);
    #[expect(clippy::disallowed_methods, reason = "a test's own task ends with its runtime")]
    drop(tokio::spawn(async move { running.run(must_stop).await }));
    stop
}

/// A number that no other test has.
fn dice() -> u128 {
    use std::hash::{BuildHasher, RandomState};
    u128::from(RandomState::new().hash_one(0)) << 64 | u128::from(RandomState::new().hash_one(1))
}

fn key() -> VirtualKeyId {
    VirtualKeyId::from_uuid(Uuid::from_u128(7))
}

fn ask(number: u128, limits: Limits) -> Ask {
    Ask {
        operation: OperationId::from_uuid(Uuid::from_u128(number)),
        subject: Subject::Key(key()),
        limits,
        tokens: 0,
        budget: NanoCents(0),
        least: NanoCents(0),
    }
}

fn budget(amount: i64, reset: Option<BudgetReset>) -> Limits {
    Limits { budget: Some(NanoCents(amount)), reset, ..Limits::default() }
}

fn costing(number: u128, limits: Limits, amount: i64) -> Ask {
    Ask { budget: NanoCents(amount), ..ask(number, limits) }
}

fn settlement(hold: Hold, tokens: u64, cost: i64) -> Settlement {
    let record = OperationRecord {
        version: RECORD_VERSION,
        id: hold.operation.to_string(),
        key_id: Some(key().to_string()),
        charge: Some(Charge {
            key_id: key().to_string(),
            window: hold.window.word().to_owned(),
            window_start: hold.window.start.unix_ms(),
            epoch: hold.epoch,
            amount: cost,
        }),
        ..OperationRecord::default()
    };
    Settlement { hold: Some(hold), tokens, cost: NanoCents(cost), record }
}

/// Waits until it is so.
async fn eventually(is_so: impl AsyncFn() -> bool) {
    for _ in 0..500 {
        if is_so().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it never came to be");
}

fn named(id: &str) -> OperationRecord {
    OperationRecord { id: id.to_owned(), ..OperationRecord::default() }
}

/// The store goes away, and three records are safe at once all the same, one of them a bad one.
async fn answers_while_away(sink: &FakeSink, recorder: &Recorder) {
    sink.set_away(true);
    for id in ["a", "bad", "c"] {
        tokio::time::timeout(Duration::from_secs(1), recorder.record(named(id))).await.unwrap().unwrap();
    }
}
