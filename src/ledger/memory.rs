//! The ledger of one process: counters in memory, records in the store.
//!
//! One short critical section per step. Spending is read from the store once per key, in the order of the records, so it
//! is exact from the first request on. Nothing of it is shared, so another replica must not run beside it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::figures::Figures;
use super::minute::Minute;
use super::settle::Recorder;
use super::{
    Admitted, Ask, BudgetMeter, Hold, KeyUsage, Ledger, Limits, Meter, Reason, Refusal, Settlement, Standing, Subject,
};
use crate::domain::ids::{OperationId, VirtualKeyId};
use crate::domain::money::NanoCents;
use crate::domain::window::Window;
use crate::fault::{Fault, Kind, Outcome};
use crate::time::{Clock, Timestamp};
use std::time::Duration;

/// A request that waits for a place at once: tell it to come back soon.
const SOON: Duration = Duration::from_secs(1);

/// The ledger of one process.
pub struct MemoryLedger {
    clock: Arc<dyn Clock>,
    recorder: Arc<Recorder>,
    accounts: Mutex<HashMap<Subject, Account>>,
    /// Held while a key's spending is read or reset; one at a time is enough.
    reading: tokio::sync::Mutex<()>,
}

impl std::fmt::Debug for MemoryLedger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemoryLedger").field("recorder", &self.recorder).finish_non_exhaustive()
    }
}

/// What is counted of one subject.
#[derive(Debug, Default)]
struct Account {
    spending: Spending,
    requests: Minute,
    tokens: Minute,
    holds: HashMap<OperationId, Held>,
}

/// One hold.
#[derive(Debug)]
struct Held {
    tokens: u64,
    second: i64,
    /// Money in the window and epoch in which it was held.
    budget: i64,
    window: Window,
    epoch: i64,
    takes_place: bool,
}

#[derive(Debug, Default)]
enum Spending {
    /// Nobody has asked yet.
    #[default]
    Unknown,
    /// Being read: what was settled since the question was put.
    Reading {
        window: Window,
        since: i64,
    },
    Known(Known),
}

#[derive(Debug)]
struct Known {
    window: Window,
    epoch: i64,
    spent: i64,
    held: i64,
}

impl MemoryLedger {
    /// Counts by `clock`, keeps records with `recorder`.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, recorder: Arc<Recorder>) -> Self {
        Self { clock, recorder, accounts: Mutex::default(), reading: tokio::sync::Mutex::default() }
    }

    fn accounts(&self) -> MutexGuard<'_, HashMap<Subject, Account>> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Learns what a key has spent, unless it is known.
    async fn learn(&self, key: VirtualKeyId, window: Window) -> Outcome<()> {
        let subject = Subject::Key(key);
        if self.accounts().entry(subject).or_default().knows(window) {
            return Ok(());
        }
        let _one_at_a_time = self.reading.lock().await;
        let answered = {
            let mut accounts = self.accounts();
            let account = accounts.entry(subject).or_default();
            if account.knows(window) {
                return Ok(());
            }
            account.spending = Spending::Reading { window, since: 0 };
            // Under the lock: what is settled before is stored before the read, what is settled after is in `since`.
            self.recorder.spend(key, window)
        };
        let stored = answered.await.map_err(|_| stopping())?.map_err(away);
        let mut accounts = self.accounts();
        let account = accounts.entry(subject).or_default();
        let since = match &account.spending {
            Spending::Reading { since, .. } => *since,
            Spending::Unknown | Spending::Known(_) => 0,
        };
        match stored {
            Ok(stored) => {
                let mut known =
                    Known { window, epoch: stored.epoch, spent: stored.spent.saturating_add(since), held: 0 };
                known.held = account.held_in(&known);
                account.spending = Spending::Known(known);
                Ok(())
            }
            Err(fault) => {
                account.spending = Spending::Unknown;
                Err(fault)
            }
        }
    }
}

impl Account {
    /// Whether spending of this window is known. A window that has ended gives way to the next, in which nothing is
    /// spent yet; another kind of window has to be read.
    fn knows(&mut self, window: Window) -> bool {
        let Spending::Known(known) = &mut self.spending else { return false };
        if known.window == window {
            return true;
        }
        let follows = known.window.reset == window.reset && known.window.start < window.start;
        if follows {
            *known = Known { window, spent: 0, held: 0, ..*known };
        }
        // A clock that went back: the window in force stays.
        follows || known.window.reset == window.reset
    }

    fn held_in(&self, known: &Known) -> i64 {
        let here = self.holds.values().filter(|held| held.window == known.window && held.epoch == known.epoch);
        here.fold(0, |sum, held| sum.saturating_add(held.budget))
    }

    fn places(&self) -> u64 {
        self.holds.values().filter(|held| held.takes_place).count() as u64
    }

    fn admit(&mut self, ask: &Ask, window: Window, now: Timestamp) -> Admitted {
        let limits = &ask.limits;
        if let Some(reason) = self.objection(ask, now) {
            let retry_after = self.retry_after(reason, ask, now);
            return Admitted::Refused(Refusal { reason, retry_after, standing: self.standing(limits, now) });
        }
        let second = now.unix_s();
        if limits.rpm.is_some() {
            self.requests.add(second, 1);
        }
        let second = if limits.tpm.is_some() { self.tokens.add(second, ask.tokens) } else { second };
        let (window, epoch) = match &mut self.spending {
            Spending::Known(known) => {
                known.held = known.held.saturating_add(ask.budget.0);
                (known.window, Some(known.epoch))
            }
            Spending::Unknown | Spending::Reading { .. } => (window, None),
        };
        if limits.any() {
            let held = Held {
                tokens: ask.tokens,
                second,
                budget: ask.budget.0,
                window,
                epoch: epoch.unwrap_or_default(),
                takes_place: true,
            };
            self.holds.insert(ask.operation, held);
        }
        Admitted::Held(Hold {
            operation: ask.operation,
            subject: ask.subject,
            window,
            epoch,
            budget: ask.budget,
            standing: self.standing(limits, now),
            is_counted: limits.any(),
        })
    }

    /// What speaks against a request; what no waiting cures first.
    fn objection(&mut self, ask: &Ask, now: Timestamp) -> Option<Reason> {
        let limits = &ask.limits;
        let second = now.unix_s();
        let left = match (&self.spending, limits.budget) {
            (Spending::Known(known), Some(budget)) => Some((budget.0.saturating_sub(known.spent), known.held)),
            _ => None,
        };
        if let Some((left, _)) = left {
            if left <= 0 {
                return Some(Reason::BudgetSpent);
            }
            if ask.budget.0 > left {
                return Some(Reason::BudgetTooSmall { could_cost: ask.budget, left: NanoCents(left) });
            }
        }
        let (requests, tokens) = (self.requests.sum(second), self.tokens.sum(second));
        if limits.rpm.is_some_and(|limit| requests >= u64::from(limit)) {
            return Some(Reason::Requests);
        }
        if let Some(limit) = limits.tpm.map(u64::from) {
            if ask.tokens > limit {
                return Some(Reason::TooManyTokens { needed: ask.tokens });
            }
            if tokens.saturating_add(ask.tokens) > limit {
                return Some(Reason::Tokens);
            }
        }
        if limits.parallel.is_some_and(|limit| self.places() >= u64::from(limit)) {
            return Some(Reason::Parallel);
        }
        left.filter(|(left, held)| ask.budget.0 > left.saturating_sub(*held)).map(|_| Reason::BudgetReserved)
    }

    fn retry_after(&self, reason: Reason, ask: &Ask, now: Timestamp) -> Option<Duration> {
        let ms = now.unix_ms();
        match reason {
            Reason::Requests => self.requests.wait(ms, ask.limits.rpm.map_or(0, u64::from), 1),
            Reason::Tokens => self.tokens.wait(ms, ask.limits.tpm.map_or(0, u64::from), ask.tokens),
            Reason::Parallel | Reason::BudgetReserved => Some(SOON),
            Reason::BudgetSpent => self.until_reset(now),
            // The next window is no larger than what is left of a fresh one: it helps only where something was spent.
            Reason::BudgetTooSmall { could_cost, .. } => {
                let fits = ask.limits.budget.is_some_and(|budget| could_cost <= budget);
                if fits { self.until_reset(now) } else { None }
            }
            Reason::TooManyTokens { .. } => None,
        }
    }

    fn until_reset(&self, now: Timestamp) -> Option<Duration> {
        match &self.spending {
            Spending::Known(known) => known.window.end.map(|end| between(now, end)),
            Spending::Unknown | Spending::Reading { .. } => None,
        }
    }

    fn standing(&self, limits: &Limits, now: Timestamp) -> Standing {
        let meter = |minute: &Minute, limit: u32| {
            let (limit, used) = (u64::from(limit), minute.clone().sum(now.unix_s()));
            Meter { limit, remaining: limit.saturating_sub(used), reset: minute.empty_in(now.unix_ms()) }
        };
        let budget = limits.budget.map(|limit| match &self.spending {
            Spending::Known(known) => BudgetMeter {
                limit,
                remaining: NanoCents((limit.0.saturating_sub(known.spent).saturating_sub(known.held)).max(0)),
                reset: self.until_reset(now),
            },
            Spending::Unknown | Spending::Reading { .. } => BudgetMeter { limit, remaining: limit, reset: None },
        });
        Standing {
            at: now,
            requests: limits.rpm.map(|limit| meter(&self.requests, limit)),
            tokens: limits.tpm.map(|limit| meter(&self.tokens, limit)),
            budget,
        }
    }

    /// Replaces a hold by what was used. What was settled before is left alone.
    fn settle(&mut self, hold: &Hold, tokens: u64, cost: i64) {
        if hold.is_counted {
            let Some(held) = self.holds.remove(&hold.operation) else { return };
            self.tokens.replace(held.second, held.tokens, tokens);
            if let Spending::Known(known) = &mut self.spending
                && known.window == held.window
                && known.epoch == held.epoch
            {
                known.held = known.held.saturating_sub(held.budget).max(0);
            }
        }
        let is_here =
            |window: Window, epoch: i64| window == hold.window && hold.epoch.is_none_or(|admitted| admitted == epoch);
        match &mut self.spending {
            Spending::Known(known) if is_here(known.window, known.epoch) => {
                known.spent = known.spent.saturating_add(cost);
            }
            Spending::Reading { window, since } if *window == hold.window => *since = since.saturating_add(cost),
            Spending::Unknown | Spending::Reading { .. } | Spending::Known(_) => {}
        }
    }
}

#[async_trait]
impl Ledger for MemoryLedger {
    async fn admit(&self, ask: &Ask) -> Outcome<Admitted> {
        if self.recorder.is_full() {
            let sentence = "The gateway cannot store what is used now, so it takes no further requests; try again.";
            return Err(Fault::new(Kind::Unavailable).say(sentence).retry_after(SOON));
        }
        let now = self.clock.now();
        let window = Window::at(ask.limits.reset, now);
        if let (Subject::Key(key), Some(_)) = (ask.subject, ask.limits.budget) {
            self.learn(key, window).await?;
        }
        if !ask.limits.any() {
            let (operation, subject, budget) = (ask.operation, ask.subject, ask.budget);
            let standing = Standing { at: now, ..Standing::default() };
            let hold = Hold { operation, subject, window, epoch: None, budget, standing, is_counted: false };
            return Ok(Admitted::Held(hold));
        }
        Ok(self.accounts().entry(ask.subject).or_default().admit(ask, window, now))
    }

    async fn top_up(&self, hold: &mut Hold, budget: NanoCents) -> Outcome<bool> {
        let more = budget.0.saturating_sub(hold.budget.0);
        if more <= 0 {
            return Ok(true);
        }
        let limit = hold.standing.budget.map(|meter| meter.limit.0);
        let mut accounts = self.accounts();
        let Some(account) = accounts.get_mut(&hold.subject) else { return Ok(limit.is_none()) };
        if let (Spending::Known(known), Some(limit)) = (&mut account.spending, limit) {
            if more > limit.saturating_sub(known.spent).saturating_sub(known.held) {
                return Ok(false);
            }
            let Some(held) = account.holds.get_mut(&hold.operation) else { return Ok(false) };
            held.budget = budget.0;
            if known.window == held.window && known.epoch == held.epoch {
                known.held = known.held.saturating_add(more);
            }
        }
        hold.budget = budget;
        Ok(true)
    }

    async fn settle(&self, settlement: Settlement) -> Outcome<()> {
        let Settlement { hold, tokens, cost, record } = settlement;
        let stored = {
            let mut accounts = self.accounts();
            if let Some(hold) = &hold
                && let Some(account) = accounts.get_mut(&hold.subject)
            {
                account.settle(hold, tokens, cost.0);
            }
            // Under the lock, so that whoever reads spending later in the queue reads this, too.
            self.recorder.record(record)
        };
        stored.await.map_err(|_| stopping())
    }

    async fn release(&self, hold: &Hold, tokens: u64) -> Outcome<()> {
        if let Some(account) = self.accounts().get_mut(&hold.subject) {
            account.settle(hold, tokens, 0);
        }
        Ok(())
    }

    async fn usage(&self, keys: &[(VirtualKeyId, Limits)]) -> Outcome<Vec<KeyUsage>> {
        self.recorder.caught_up().await;
        let now = self.clock.now();
        let windows: Vec<_> = keys.iter().map(|(key, limits)| (*key, Window::at(limits.reset, now))).collect();
        let stored = self.recorder.sink().spend(&windows).await.map_err(away)?;
        let mut accounts = self.accounts();
        let mut usages = Vec::with_capacity(keys.len());
        for ((key, window), stored) in windows.into_iter().zip(stored) {
            let spent = NanoCents(stored.spent);
            let mut usage = KeyUsage { window, spent, held: NanoCents(0), in_flight: 0, requests: 0, tokens: 0 };
            if let Some(account) = accounts.get_mut(&Subject::Key(key)) {
                usage.in_flight = account.places();
                usage.requests = account.requests.sum(now.unix_s());
                usage.tokens = account.tokens.sum(now.unix_s());
                if account.knows(window)
                    && let Spending::Known(known) = &account.spending
                {
                    usage.spent = NanoCents(known.spent);
                    usage.held = NanoCents(known.held);
                }
            }
            usages.push(usage);
        }
        Ok(usages)
    }

    async fn reset_spend(&self, key: VirtualKeyId) -> Outcome<()> {
        let _one_at_a_time = self.reading.lock().await;
        let epoch = self.recorder.next_epoch(key).await.map_err(|_| stopping())?.map_err(away)?;
        if let Some(account) = self.accounts().get_mut(&Subject::Key(key))
            && let Spending::Known(known) = &mut account.spending
        {
            *known = Known { epoch, spent: 0, held: 0, ..*known };
        }
        Ok(())
    }

    async fn caught_up(&self) {
        self.recorder.caught_up().await;
    }

    fn figures(&self) -> &Figures {
        self.recorder.figures()
    }
}

fn between(from: Timestamp, to: Timestamp) -> Duration {
    Duration::from_millis(u64::try_from(to.unix_ms() - from.unix_ms()).unwrap_or_default())
}

fn away(error: crate::domain::ports::PortError) -> Fault {
    let sentence = "The gateway cannot read what this API key has spent now; try again.";
    Fault::new(Kind::Unavailable).say(sentence).retry_after(SOON).because(error)
}

fn stopping() -> Fault {
    Fault::new(Kind::Unavailable).say("The gateway is shutting down.")
}
