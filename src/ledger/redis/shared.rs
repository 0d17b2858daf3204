//! The ledger itself.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use ::redis::RedisError;
use async_trait::async_trait;
use tokio::sync::Notify;

use super::close::Closing;
use super::held::{Entry, Held, MOST_HOLDS, Money, field, field_of, field_of_record, name};
use super::link::{PATIENCE, RedisLink, Step};
use crate::domain::ids::VirtualKeyId;
use crate::domain::money::NanoCents;
use crate::domain::ports::{PortError, StoredSpend};
use crate::domain::record::OperationRecord;
use crate::domain::virtual_key::BudgetReset;
use crate::domain::window::Window;
use crate::fault::{Fault, Kind, Outcome};
use crate::ledger::figures::Figures;
use crate::ledger::settle::{AfterStore, Recorder};
use crate::ledger::{
    About, Admitted, Ask, BudgetMeter, Hold, KeyUsage, Ledger, Limits, Meter, Reason, Refusal, Settlement, Standing,
    Subject,
};
use crate::time::{Clock, Timestamp};

/// Holds that Redis is told of in one go.
const TOLD_AT_ONCE: usize = 500;
const SOON: Duration = Duration::from_secs(1);

/// How a [`RedisLedger`] is set up.
#[derive(Debug, Clone)]
pub struct Setup {
    /// This replica's name, unique.
    pub replica: String,
    /// Whether keys with limits are let through while Redis is silent.
    pub fails_open: bool,
    /// How old a ledger has to be before budgets and places are counted in it: time for all replicas to hold again what
    /// they held in the one that was lost.
    pub youth: Duration,
}

/// The ledger that replicas share.
pub struct RedisLedger {
    pub(super) link: RedisLink,
    pub(in crate::ledger) setup: Setup,
    pub(super) recorder: Arc<Recorder>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) held: Held,
    pub(super) closing: Closing,
    /// The name of the ledger that this replica is part of.
    pub(super) joined: RwLock<String>,
    /// Taken alone while this replica joins a ledger: nothing of it may begin or end meanwhile.
    pub(super) joining: tokio::sync::RwLock<()>,
    pub(super) hurry: Notify,
    /// Requests with limits that were let through because Redis was silent.
    pub(super) let_through: AtomicU64,
    /// Held while spending is read; one at a time is enough.
    reading: tokio::sync::Mutex<()>,
    /// Held while Redis is told what is over.
    telling: tokio::sync::Mutex<()>,
    /// The time, where it is not Redis's.
    #[cfg(test)]
    pub(crate) test_time: Option<Arc<crate::time::ManualClock>>,
}

impl std::fmt::Debug for RedisLedger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedisLedger").field("setup", &self.setup).finish_non_exhaustive()
    }
}

impl RedisLedger {
    /// Counts over `link`, keeps records with `recorder`. Its [`super::beat::run`] and
    /// [`super::close::run`] have to run.
    #[must_use]
    pub fn new(link: RedisLink, setup: Setup, recorder: Arc<Recorder>, clock: Arc<dyn Clock>) -> Self {
        Self {
            link,
            setup,
            recorder,
            clock,
            held: Held::default(),
            closing: Closing::default(),
            joined: RwLock::default(),
            joining: tokio::sync::RwLock::default(),
            hurry: Notify::new(),
            let_through: AtomicU64::new(0),
            reading: tokio::sync::Mutex::default(),
            telling: tokio::sync::Mutex::default(),
            #[cfg(test)]
            test_time: None,
        }
    }

    /// The time to state: none, for Redis has its own.
    pub(super) fn time(&self) -> String {
        #[cfg(test)]
        if let Some(clock) = &self.test_time {
            return clock.now().unix_ms().to_string();
        }
        String::new()
    }

    fn ledger_name(&self) -> String {
        self.joined.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// One try: `Err` with the window where spending has to be read first.
    async fn try_to_admit(&self, ask: &Ask, about: &str) -> Outcome<Result<Admitted, Window>> {
        let _whole = self.joining.read().await;
        let mut asking = Asking { ledger: self, ask, is_answered: false };
        let answer = self.link.call(Step::Admit, &self.admit_arguments(ask, about)).await;
        asking.is_answered = true;
        match answer {
            Ok(words) if words.first().is_some_and(|word| word == "SEED") => {
                let start = words.get(1).and_then(|start| start.parse().ok()).unwrap_or_default();
                Ok(Err(Window::at(ask.limits.reset, Timestamp::from_unix_ms(start))))
            }
            Ok(words) => self.read(ask, about, &words).map(Ok),
            Err(error) => {
                if self.link.is_connected() {
                    self.doubt(ask);
                }
                self.without_redis(ask, error).map(Ok)
            }
        }
    }

    fn admit_arguments(&self, ask: &Ask, about: &str) -> [String; 15] {
        let number = |limit: Option<u32>| limit.map(|limit| limit.to_string()).unwrap_or_default();
        let limits = &ask.limits;
        [
            self.time(),
            name(ask.subject),
            ask.operation.to_string(),
            self.setup.replica.clone(),
            self.ledger_name(),
            self.setup.youth.as_millis().to_string(),
            number(limits.rpm),
            number(limits.tpm),
            number(limits.parallel),
            limits.budget.map(|budget| budget.0.to_string()).unwrap_or_default(),
            limits.reset.map_or("never", BudgetReset::as_str).to_owned(),
            ask.tokens.to_string(),
            ask.budget.0.to_string(),
            ask.least.0.to_string(),
            about.to_owned(),
        ]
    }

    /// Waits until what was settled here is stored, but not for long: what is not stays held.
    async fn flush(&self) {
        if tokio::time::timeout(PATIENCE, self.recorder.flush()).await.is_ok() {
            self.tell().await;
        }
    }

    /// Tells Redis what the store says a key has spent.
    async fn seed(&self, key: VirtualKeyId, window: Window) -> Outcome<()> {
        let _one_at_a_time = self.reading.lock().await;
        self.flush().await;
        let spends = self.recorder.sink().spend(&[(key, window)]).await.map_err(unread)?;
        let spend = spends.first().copied().unwrap_or_default();
        self.link.call(Step::Seed, &seed_arguments(key, window, spend)).await.map_err(silent)?;
        Ok(())
    }

    /// What a request is told, and what this replica remembers of it.
    fn read(&self, ask: &Ask, about: &str, words: &[String]) -> Outcome<Admitted> {
        let number = |at: usize| words.get(at).and_then(|word| word.parse::<i64>().ok()).unwrap_or_default();
        let ms = |at: usize| Duration::from_millis(u64::try_from(number(at)).unwrap_or_default());
        let count = |at: usize| u64::try_from(number(at)).unwrap_or_default();
        let word = words.first().map(String::as_str).unwrap_or_default();
        let limits = &ask.limits;
        let meter = |limit: u32, at: usize| {
            let limit = u64::from(limit);
            Meter { limit, remaining: limit.saturating_sub(count(at)), reset: ms(at + 1) }
        };
        let now = number(1);
        let (spent, held) = (number(10), number(11));
        let standing = Standing {
            at: Timestamp::from_unix_ms(now),
            requests: limits.rpm.map(|limit| meter(limit, 6)),
            tokens: limits.tpm.map(|limit| meter(limit, 8)),
            budget: limits.budget.map(|limit| BudgetMeter {
                limit,
                remaining: NanoCents(limit.0.saturating_sub(spent).saturating_sub(held).max(0)),
                reset: (number(4) >= 0)
                    .then(|| Duration::from_millis(u64::try_from(number(4) - now).unwrap_or_default())),
            }),
        };
        let left = NanoCents(limits.budget.unwrap_or_default().0.saturating_sub(spent));
        let reason = match word {
            "HELD" => {
                let window = Window::at(limits.reset, Timestamp::from_unix_ms(number(3)));
                let epoch = words.get(5).and_then(|epoch| epoch.parse().ok());
                return Ok(Admitted::Held(self.remember(ask, about, (window, epoch), standing)));
            }
            "SPENT" => Reason::BudgetSpent,
            "SMALL" => Reason::BudgetTooSmall { could_cost: ask.budget, left },
            "REQUESTS" => Reason::Requests,
            "MANY" => Reason::TooManyTokens { needed: ask.tokens },
            "TOKENS" => Reason::Tokens,
            "PARALLEL" => Reason::Parallel,
            "RESERVED" => Reason::BudgetReserved,
            other => {
                self.hurry.notify_one();
                return Err(unavailable().because(format!("the ledger in Redis is not ready: {other}")));
            }
        };
        let retry_after = (number(2) >= 0).then(|| ms(2));
        Ok(Admitted::Refused(Refusal { reason, retry_after, standing }))
    }

    fn remember(&self, ask: &Ask, about: &str, (window, epoch): (Window, Option<i64>), standing: Standing) -> Hold {
        let (operation, subject, budget) = (ask.operation, ask.subject, ask.budget);
        let hold = Hold { operation, subject, window, epoch, budget, standing, is_counted: true };
        let mut entry = entry(&hold, ask, false);
        about.clone_into(&mut entry.money.about);
        let mut state = self.held.state();
        state.admitted(subject, &ask.limits, ask.tokens, standing.at.unix_s());
        state.holds.insert(field_of(&hold), entry);
        drop(state);
        hold
    }

    /// An admission whose answer was lost may hold something all the same: it is ended as soon as Redis answers.
    fn doubt(&self, ask: &Ask) {
        let hold = Hold {
            operation: ask.operation,
            subject: ask.subject,
            window: Window::at(ask.limits.reset, self.clock.now()),
            epoch: None,
            budget: ask.budget,
            standing: Standing::default(),
            is_counted: true,
        };
        self.held.state().holds.insert(field_of(&hold), entry(&hold, ask, true));
        self.hurry.notify_one();
    }

    /// What a request may do while Redis is silent.
    fn without_redis(&self, ask: &Ask, error: RedisError) -> Outcome<Admitted> {
        if !self.setup.fails_open {
            return Err(unavailable().because(error));
        }
        self.let_through.fetch_add(1, Ordering::Relaxed);
        self.figures().was_let_through();
        Ok(Admitted::Held(self.uncounted(ask)))
    }

    fn uncounted(&self, ask: &Ask) -> Hold {
        let at = self.clock.now();
        Hold {
            operation: ask.operation,
            subject: ask.subject,
            window: Window::at(ask.limits.reset, at),
            epoch: None,
            budget: ask.budget,
            standing: Standing { at, ..Standing::default() },
            is_counted: false,
        }
    }

    /// Tells Redis of holds that are over and of spending that it does not know. Who comes second finds it told.
    pub(super) async fn tell(&self) {
        let _one_at_a_time = self.telling.lock().await;
        self.read_unread().await;
        let _whole = self.joining.read().await;
        let (over, stored, spends) = {
            let mut state = self.held.state();
            let over = state.holds.iter().filter(|(_, entry)| entry.is_over).take(TOLD_AT_ONCE);
            let over: Vec<_> = over.map(|(field, entry)| (field.clone(), entry.clone())).collect();
            // One that is not over yet takes its record along when it is.
            let stored = state.stored.iter().filter(|field| !state.holds.contains_key(*field)).take(TOLD_AT_ONCE);
            let stored: Vec<_> = stored.cloned().collect();
            (over, stored, std::mem::take(&mut state.spends))
        };
        let mut calls: Vec<_> = over.iter().map(|(_, entry)| self.end_arguments(entry)).collect();
        calls.extend(stored.iter().filter_map(|field| self.stored_arguments(field)));
        calls.extend(spends.iter().map(|((key, window), spend)| self.note_arguments(*key, *window, *spend)));
        if calls.is_empty() {
            return;
        }
        let calls: Vec<&[String]> = calls.iter().map(Vec::as_slice).collect();
        let told = self.link.call_all(Step::Settle, &calls).await;
        let mut state = self.held.state();
        match told {
            Ok(()) => {
                over.iter().for_each(|(field, _)| drop(state.holds.remove(field)));
                over.iter().map(|(field, _)| field).chain(&stored).for_each(|field| state.forget(field));
            }
            Err(error) => {
                tracing::debug!(%error, "Redis could not be told what was used; it will be");
                for (at, spend) in spends {
                    state.spends.entry(at).or_insert(spend);
                }
            }
        }
    }

    async fn read_unread(&self) {
        let unread: Vec<_> = self.held.state().unread.drain().collect();
        if unread.is_empty() {
            return;
        }
        match self.recorder.sink().spend(&unread).await {
            Ok(spends) => self.held.state().learn(&unread.into_iter().zip(spends).collect()),
            Err(error) => {
                tracing::debug!(%error, "what keys have spent cannot be read; it will be");
                self.held.state().unread.extend(unread);
            }
        }
    }

    fn end_arguments(&self, entry: &Entry) -> Vec<String> {
        let mut arguments = vec![
            self.time(),
            name(entry.subject),
            entry.operation.clone(),
            self.setup.replica.clone(),
            entry.used.to_string(),
        ];
        arguments.extend(match entry.spend {
            Some(spend) => spend_words(entry.window, spend),
            None => std::array::from_fn(|_| String::new()),
        });
        arguments.push(if entry.is_doubtful { "1" } else { "" }.to_owned());
        arguments
    }

    /// That a record is stored which Redis kept without a hold.
    fn stored_arguments(&self, field: &str) -> Option<Vec<String>> {
        let (operation, subject) = field.split_once('|')?;
        let mut arguments =
            vec![self.time(), subject.to_owned(), operation.to_owned(), self.setup.replica.clone(), "0".to_owned()];
        arguments.resize(10, String::new());
        Some(arguments)
    }

    fn note_arguments(&self, key: VirtualKeyId, window: Window, spend: StoredSpend) -> Vec<String> {
        let mut arguments =
            vec![self.time(), key.to_string(), String::new(), self.setup.replica.clone(), "0".to_owned()];
        arguments.extend(spend_words(window, spend));
        arguments.push(String::new());
        arguments
    }
}

/// An admission under way. Whoever gives it up may hold something all the same.
struct Asking<'a> {
    ledger: &'a RedisLedger,
    ask: &'a Ask,
    is_answered: bool,
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        if !self.is_answered && self.ledger.link.is_connected() {
            self.ledger.doubt(self.ask);
        }
    }
}

fn entry(hold: &Hold, ask: &Ask, is_doubtful: bool) -> Entry {
    Entry {
        subject: hold.subject,
        operation: hold.operation.to_string(),
        window: hold.window,
        money: Money {
            second: hold.standing.at.unix_s().to_string(),
            tokens: ask.tokens.to_string(),
            budget: ask.budget.0.to_string(),
            reset: hold.window.word(),
            start: hold.window.start.unix_ms().to_string(),
            epoch: hold.epoch.map(|epoch| epoch.to_string()).unwrap_or_default(),
            least: ask.least.0.to_string(),
            about: String::new(),
            done: false,
        },
        used: 0,
        is_over: is_doubtful,
        is_doubtful,
        is_stored: false,
        spend: None,
    }
}

fn spend_words(window: Window, spend: StoredSpend) -> [String; 4] {
    let start = window.start.unix_ms().to_string();
    [window.word().to_owned(), start, spend.epoch.to_string(), spend.spent.to_string()]
}

fn seed_arguments(key: VirtualKeyId, window: Window, spend: StoredSpend) -> Vec<String> {
    std::iter::once(key.to_string()).chain(spend_words(window, spend)).collect()
}

fn unavailable() -> Fault {
    let sentence = "The limits of this API key cannot be counted now; try again.";
    Fault::new(Kind::Unavailable).say(sentence).retry_after(SOON)
}

fn silent(error: RedisError) -> Fault {
    unavailable().because(error)
}

fn unread(error: PortError) -> Fault {
    unavailable().because(error)
}

fn stopping() -> Fault {
    Fault::new(Kind::Unavailable).say("The gateway is shutting down.")
}

#[async_trait]
impl Ledger for RedisLedger {
    async fn admit(&self, ask: &Ask) -> Outcome<Admitted> {
        self.admit_for(ask, About::default()).await
    }

    async fn admit_for(&self, ask: &Ask, about: About<'_>) -> Outcome<Admitted> {
        if self.recorder.is_full() {
            let sentence = "The gateway cannot store what is used now, so it takes no further requests; try again.";
            return Err(Fault::new(Kind::Unavailable).say(sentence).retry_after(SOON));
        }
        if !ask.limits.any() {
            return Ok(Admitted::Held(self.uncounted(ask)));
        }
        if ask.limits.budget.is_some() && self.held.state().holds.len() >= MOST_HOLDS {
            return Err(unavailable().because("too many costs wait for the store"));
        }
        let about = serde_json::to_string(&about).unwrap_or_default();
        match (self.try_to_admit(ask, &about).await?, ask.subject) {
            (Ok(admitted), _) => return Ok(admitted),
            (Err(window), Subject::Key(key)) => self.seed(key, window).await?,
            (Err(_), Subject::Deployment(_)) => {}
        }
        let again = self.try_to_admit(ask, &about).await?;
        again.map_err(|_| unavailable().because("what Redis was told is gone"))
    }

    async fn top_up(&self, hold: &mut Hold, budget: NanoCents) -> Outcome<bool> {
        if budget.0 <= hold.budget.0 || !hold.is_counted {
            return Ok(true);
        }
        let Some(limit) = hold.standing.budget.map(|meter| meter.limit) else { return Ok(true) };
        let _whole = self.joining.read().await;
        let arguments = [
            name(hold.subject),
            hold.operation.to_string(),
            self.setup.replica.clone(),
            budget.0.to_string(),
            limit.0.to_string(),
        ];
        let is_raised = match self.link.call(Step::TopUp, &arguments).await {
            Ok(words) => words.first().is_some_and(|word| word == "1"),
            Err(error) if self.setup.fails_open => {
                tracing::debug!(%error, "a hold is not raised: Redis is silent");
                self.let_through.fetch_add(1, Ordering::Relaxed);
                self.figures().was_let_through();
                return Ok(true);
            }
            Err(error) => return Err(silent(error)),
        };
        if is_raised {
            hold.budget = budget;
            if let Some(entry) = self.held.state().holds.get_mut(&field_of(hold)) {
                entry.money.budget = budget.0.to_string();
            }
        }
        Ok(is_raised)
    }

    async fn settle(&self, settlement: Settlement) -> Outcome<()> {
        let Settlement { hold, tokens, cost, record } = settlement;
        let counted = hold.filter(|hold| hold.is_counted);
        // In this order: what is stored first needs no keeping.
        let kept = self.close(counted.as_ref(), tokens, cost.0, &record);
        let stored = self.recorder.record(record);
        tokio::select! {
            Ok(true) = kept => Ok(()),
            stored = stored => stored.map_err(|_| stopping()),
        }
    }

    async fn release(&self, hold: &Hold, tokens: u64) -> Outcome<()> {
        {
            let mut state = self.held.state();
            let Some(entry) = state.holds.get_mut(&field_of(hold)) else { return Ok(()) };
            entry.used = tokens;
            entry.is_over = true;
            let money = entry.money.clone();
            state.used(hold.subject, &money, tokens);
        }
        self.tell().await;
        Ok(())
    }

    async fn usage(&self, keys: &[(VirtualKeyId, Limits)]) -> Outcome<Vec<KeyUsage>> {
        let now = self.clock.now();
        let windows: Vec<_> = keys.iter().map(|(key, limits)| (*key, Window::at(limits.reset, now))).collect();
        self.flush().await;
        let stored = self.recorder.sink().spend(&windows).await.map_err(unread)?;
        let asked = windows.iter().map(|(key, window)| {
            let arguments = [self.time(), key.to_string(), window.word().to_owned()];
            async move { self.link.call(Step::Usage, &arguments).await.map_err(silent) }
        });
        let answers = futures_util::future::try_join_all(asked).await?;
        let all = windows.into_iter().zip(stored).zip(answers);
        Ok(all.map(|(((_, window), stored), words)| usage_of(window, stored, &words)).collect())
    }

    async fn reset_spend(&self, key: VirtualKeyId) -> Outcome<()> {
        let epoch = self.recorder.next_epoch(key).await.map_err(|_| stopping())?.map_err(unread)?;
        let arguments = [key.to_string(), epoch.to_string()];
        self.link.call(Step::Reset, &arguments).await.map(drop).map_err(silent)
    }

    fn figures(&self) -> &Figures {
        self.recorder.figures()
    }
}

fn usage_of(window: Window, stored: StoredSpend, words: &[String]) -> KeyUsage {
    let number = |at: usize| words.get(at).and_then(|word| word.parse::<i64>().ok());
    let count = |at: usize| number(at).and_then(|count| u64::try_from(count).ok()).unwrap_or_default();
    let (mut spent, mut held) = (stored.spent, 0);
    if number(0) == Some(stored.epoch) && number(6) == Some(window.start.unix_ms()) {
        spent = spent.max(number(1).unwrap_or_default());
        held = number(2).unwrap_or_default();
    }
    let (spent, held) = (NanoCents(spent), NanoCents(held));
    KeyUsage { window, spent, held, in_flight: count(3), requests: count(4), tokens: count(5) }
}

#[async_trait]
impl AfterStore for RedisLedger {
    async fn stored(&self, records: &[OperationRecord]) {
        {
            let mut state = self.held.state();
            for record in records {
                state.is_stored(field_of_record(record));
                let Some(charge) = &record.charge else { continue };
                let Ok(key) = charge.key_id.parse::<VirtualKeyId>() else { continue };
                let start = Timestamp::from_unix_ms(charge.window_start);
                state.unread.insert((key, Window::at(BudgetReset::parse(&charge.window), start)));
                if let Some(entry) = state.holds.get_mut(&field(&record.id, Subject::Key(key))) {
                    entry.is_stored = true;
                }
            }
        }
        self.tell().await;
    }
}
