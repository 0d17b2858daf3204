//! What every ledger does alike. Each case is a function of a [`World`]; each runs as a test of its own on each backend.

mod shared;
mod spooled;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;

use super::memory::MemoryLedger;
use super::redis::{RedisLedger, RedisLink, Setup};
use super::settle::Recorder;
use super::{Admitted, Ask, Hold, Ledger, Limits, Reason, Refusal, Settlement, Subject};
use crate::domain::ids::{OperationId, VirtualKeyId};
use crate::domain::money::NanoCents;
use crate::domain::ports::{PortError, StoredSpend, UsageSink};
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
                super::$case(&super::World::memory()).await;
            })+
        }

        mod redis {
            $(#[tokio::test]
            async fn $case() {
                super::$case(&super::World::redis().await).await;
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
    /// The ledger, where it is in Redis, and what its keys begin with.
    shared: Option<(Arc<RedisLedger>, String)>,
    _stop: tokio::sync::watch::Sender<bool>,
}

impl World {
    fn memory() -> Self {
        Self::around(Arc::new(FakeSink::default()))
    }

    fn around(sink: Arc<FakeSink>) -> Self {
        let clock = Arc::new(ManualClock::at(Timestamp::from_unix_ms(START_MS)));
        let recorder = Arc::new(Recorder::new(sink.clone(), clock.clone()));
        let ledger = Arc::new(MemoryLedger::new(clock.clone(), Arc::clone(&recorder)));
        Self { ledger, clock, sink, _stop: run(&recorder), recorder, shared: None }
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
        Self { ledger, clock, sink, _stop: run(&recorder), recorder, shared }
    }

    /// Another process on the same store.
    async fn restarted(&self) -> Self {
        match &self.shared {
            Some((_, prefix)) => Self::sharing(Arc::clone(&self.sink), prefix).await,
            None => Self::around(Arc::clone(&self.sink)),
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

async fn the_minute_admits_exactly_its_requests(world: &World) {
    let limits = Limits { rpm: Some(3), ..Limits::default() };
    for number in 0..3 {
        let hold = world.ask(&ask(number, limits)).await.unwrap();
        assert_eq!(hold.standing.requests.unwrap().remaining, 2 - u64::try_from(number).unwrap());
        world.settle(hold, 0, 0).await;
        world.advance(10);
    }
    let refusal = world.ask(&ask(9, limits)).await.unwrap_err();
    assert_eq!((refusal.reason, refusal.retry_after), (Reason::Requests, Some(Duration::from_secs(30))));
    assert_eq!(refusal.standing.requests.unwrap().reset, Duration::from_secs(50));
    world.advance(29);
    assert!(world.ask(&ask(10, limits)).await.is_err());
    world.advance(1);
    assert!(world.ask(&ask(11, limits)).await.is_ok());
    assert!(world.ask(&ask(12, limits)).await.is_err());
}

async fn tokens_are_held_and_settled_to_the_exact_figure(world: &World) {
    let limits = Limits { tpm: Some(1_000), ..Limits::default() };
    let with = |number, tokens| Ask { tokens, ..ask(number, limits) };
    let hold = world.ask(&with(1, 900)).await.unwrap();
    assert_eq!(world.ask(&with(2, 101)).await.unwrap_err().reason, Reason::Tokens);
    world.advance(20);
    world.settle(hold, 50, 0).await;
    let hold = world.ask(&with(3, 950)).await.unwrap();
    assert_eq!(hold.standing.tokens.unwrap().remaining, 0);
    // Used more than was held: that counts, too, in the second of its admission.
    world.settle(hold, 980, 0).await;
    let refusal = world.ask(&with(4, 20)).await.unwrap_err();
    assert_eq!((refusal.reason, refusal.retry_after), (Reason::Tokens, Some(Duration::from_secs(40))));
    world.advance(40);
    assert!(world.ask(&with(5, 20)).await.is_ok());
}

async fn a_request_larger_than_the_minute_never_fits(world: &World) {
    let limits = Limits { tpm: Some(100), ..Limits::default() };
    let refusal = world.ask(&Ask { tokens: 101, ..ask(1, limits) }).await.unwrap_err();
    assert_eq!((refusal.reason, refusal.retry_after), (Reason::TooManyTokens { needed: 101 }, None));
}

async fn places_are_freed_by_settlements(world: &World) {
    let limits = Limits { parallel: Some(2), ..Limits::default() };
    let first = world.ask(&ask(1, limits)).await.unwrap();
    let _second = world.ask(&ask(2, limits)).await.unwrap();
    assert_eq!(world.ask(&ask(3, limits)).await.unwrap_err().reason, Reason::Parallel);
    world.settle(first, 0, 0).await;
    assert!(world.ask(&ask(4, limits)).await.is_ok());
    assert_eq!(world.ask(&ask(5, limits)).await.unwrap_err().reason, Reason::Parallel);
}

async fn a_refused_request_takes_nothing(world: &World) {
    let limits = Limits { rpm: Some(5), tpm: Some(100), parallel: Some(1), budget: Some(NanoCents(100)), reset: None };
    let hold = world.ask(&Ask { tokens: 10, ..costing(1, limits, 10) }).await.unwrap();
    for number in 2..20 {
        assert_eq!(
            world.ask(&Ask { tokens: 10, ..costing(number, limits, 10) }).await.unwrap_err().reason,
            Reason::Parallel
        );
    }
    world.settle(hold, 10, 10).await;
    let standing = world.ask(&Ask { tokens: 10, ..costing(30, limits, 10) }).await.unwrap().standing;
    assert_eq!(standing.requests.unwrap().remaining, 3);
    assert_eq!(standing.tokens.unwrap().remaining, 80);
    assert_eq!(standing.budget.unwrap().remaining, NanoCents(80));
}

async fn a_spent_budget_is_told_apart_from_a_held_one(world: &World) {
    let limits = budget(100, Some(BudgetReset::Hourly));
    let hold = world.ask(&costing(1, limits, 60)).await.unwrap();
    let refusal = world.ask(&costing(2, limits, 60)).await.unwrap_err();
    assert_eq!(refusal.reason, Reason::BudgetReserved);
    assert!(refusal.retry_after.is_some());
    world.settle(hold, 0, 100).await;
    let refusal = world.ask(&costing(3, limits, 1)).await.unwrap_err();
    assert_eq!((refusal.reason, refusal.retry_after), (Reason::BudgetSpent, Some(Duration::from_secs(1_800))));
    // One that never resets has nothing to wait for.
    let refusal = world.ask(&costing(4, budget(0, None), 0)).await.unwrap_err();
    assert_eq!((refusal.reason, refusal.retry_after), (Reason::BudgetSpent, None));
}

async fn a_hold_larger_than_what_is_left_says_what_is_left(world: &World) {
    let limits = budget(100, Some(BudgetReset::Daily));
    let hold = world.ask(&costing(1, limits, 10)).await.unwrap();
    world.settle(hold, 0, 40).await;
    let refusal = world.ask(&costing(2, limits, 61)).await.unwrap_err();
    assert_eq!(refusal.reason, Reason::BudgetTooSmall { could_cost: NanoCents(61), left: NanoCents(60) });
    assert!(refusal.retry_after.is_some(), "tomorrow it fits");
    assert_eq!(world.ask(&costing(3, limits, 101)).await.unwrap_err().retry_after, None, "it never fits");
    assert!(world.ask(&costing(4, limits, 60)).await.is_ok());
}

async fn a_hundred_at_once_never_hold_more_than_there_is(world: &World) {
    let limits = budget(1_000, None);
    let asks: Vec<Ask> = (0..100).map(|number| costing(number, limits, 30)).collect();
    let answers = futures_util::future::join_all(asks.iter().map(|ask| world.ask(ask))).await;
    let holds: Vec<Hold> = answers.into_iter().filter_map(Result::ok).collect();
    assert_eq!(holds.len(), 33);
    futures_util::future::join_all(holds.into_iter().map(|hold| world.settle(hold, 1, 30))).await;
    assert_eq!(world.spent(limits).await, (990, 0));
    assert_eq!(world.sink.total(), 990);
}

async fn a_window_that_ends_starts_from_zero_and_late_costs_stay_behind(world: &World) {
    let limits = budget(100, Some(BudgetReset::Hourly));
    let late = world.ask(&costing(1, limits, 100)).await.unwrap();
    world.advance(1_800);
    let hold = world.ask(&costing(2, limits, 90)).await.unwrap();
    assert_eq!(hold.standing.budget.unwrap().remaining, NanoCents(10));
    world.settle(late, 0, 100).await;
    assert_eq!(world.spent(limits).await, (0, 90));
    world.settle(hold, 0, 5).await;
    assert_eq!(world.spent(limits).await, (5, 0));
    let windows = world.sink.amounts();
    assert_eq!(windows, [100, 5]);
}

async fn a_reset_starts_from_zero_and_late_costs_stay_behind(world: &World) {
    let limits = budget(100, None);
    let hold = world.ask(&costing(1, limits, 50)).await.unwrap();
    world.settle(hold, 0, 70).await;
    let late = world.ask(&costing(2, limits, 30)).await.unwrap();
    world.ledger.reset_spend(key()).await.unwrap();
    assert_eq!(world.spent(limits).await, (0, 0));
    world.settle(late, 0, 30).await;
    assert_eq!(world.spent(limits).await, (0, 0));
    let hold = world.ask(&costing(3, limits, 100)).await.unwrap();
    world.settle(hold, 0, 1).await;
    assert_eq!(world.spent(limits).await, (1, 0));
    assert_eq!(world.restarted().await.spent(limits).await, (1, 0));
}

async fn settling_twice_settles_once(world: &World) {
    let limits = Limits { tpm: Some(100), ..budget(100, None) };
    let hold = world.ask(&Ask { tokens: 50, ..costing(1, limits, 50) }).await.unwrap();
    world.settle(hold.clone(), 10, 10).await;
    world.settle(hold, 10, 10).await;
    assert_eq!(world.spent(limits).await, (10, 0));
    assert_eq!(world.sink.total(), 10);
    let usage = world.ledger.usage(&[(key(), limits)]).await.unwrap().remove(0);
    assert_eq!((usage.tokens, usage.in_flight), (10, 0));
}

async fn a_hold_is_raised_or_left_alone(world: &World) {
    let limits = budget(100, None);
    let mut first = world.ask(&costing(1, limits, 40)).await.unwrap();
    let mut second = world.ask(&costing(2, limits, 40)).await.unwrap();
    assert!(world.ledger.top_up(&mut first, NanoCents(60)).await.unwrap());
    assert!(!world.ledger.top_up(&mut second, NanoCents(41)).await.unwrap());
    assert!(world.ledger.top_up(&mut second, NanoCents(10)).await.unwrap(), "less is no raise");
    assert_eq!((first.budget, second.budget), (NanoCents(60), NanoCents(40)));
    assert_eq!(world.spent(limits).await, (0, 100));
    world.settle(first, 0, 1).await;
    world.settle(second, 0, 1).await;
    assert_eq!(world.spent(limits).await, (2, 0));
}

async fn spending_is_known_after_a_restart(world: &World) {
    let limits = budget(100, Some(BudgetReset::Monthly));
    let hold = world.ask(&costing(1, limits, 10)).await.unwrap();
    world.settle(hold, 0, 95).await;
    let again = world.restarted().await;
    let refusal = again.ask(&costing(2, limits, 6)).await.unwrap_err();
    assert!(matches!(refusal.reason, Reason::BudgetTooSmall { left: NanoCents(5), .. }), "{refusal:?}");
    assert!(again.ask(&costing(3, limits, 5)).await.is_ok());
}

async fn spending_without_limits_is_counted_and_known_once_a_limit_comes(world: &World) {
    let hold = world.ask(&ask(1, Limits::default())).await.unwrap();
    let late = world.ask(&ask(2, Limits::default())).await.unwrap();
    world.settle(hold, 5, 30).await;
    assert_eq!(world.spent(Limits::default()).await, (30, 0));
    let limits = budget(100, None);
    let hold = world.ask(&costing(3, limits, 70)).await.unwrap();
    world.settle(late, 5, 20).await;
    assert_eq!(world.spent(limits).await, (50, 70));
    world.settle(hold, 0, 1).await;
    assert_eq!(world.restarted().await.spent(limits).await, (51, 0));
}

async fn a_budget_whose_spending_cannot_be_read_lets_nobody_in(world: &World) {
    world.sink.set_away(true);
    let fault = world.ledger.admit(&costing(1, budget(100, None), 1)).await.unwrap_err();
    assert_eq!(fault.kind(), crate::fault::Kind::Unavailable);
    assert!(fault.wait().is_some());
    world.sink.set_away(false);
    assert!(world.ask(&costing(2, budget(100, None), 1)).await.is_ok());
}

async fn one_bad_record_does_not_hold_back_the_others(world: &World) {
    let records = ["a", "bad", "c"].map(|id| OperationRecord { id: id.to_owned(), ..OperationRecord::default() });
    for stored in records.map(|record| world.recorder.record(record)) {
        stored.await.unwrap();
    }
    assert_eq!(world.sink.ids(), ["a", "c"]);
    assert_eq!(world.sink.state.lock().unwrap().aside, ["bad"]);
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

/// A store in memory.
#[derive(Default)]
pub(super) struct FakeSink {
    state: Mutex<FakeState>,
}

#[derive(Default)]
struct FakeState {
    ids: BTreeSet<String>,
    records: Vec<OperationRecord>,
    aside: Vec<String>,
    epochs: BTreeMap<String, i64>,
    spends: BTreeMap<(String, i64, String, i64), i64>,
    is_away: bool,
}

impl FakeSink {
    fn set_away(&self, is_away: bool) {
        self.state.lock().unwrap().is_away = is_away;
    }

    fn ids(&self) -> Vec<String> {
        self.state.lock().unwrap().ids.iter().cloned().collect()
    }

    fn amounts(&self) -> Vec<i64> {
        self.state.lock().unwrap().spends.values().copied().collect()
    }

    fn total(&self) -> i64 {
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
