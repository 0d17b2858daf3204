//! One deployment: its circuit and its figures.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::window::Window;
use super::{Availability, Impact, Moment, Standing, seconds};
use crate::domain::ids::Revision;
use crate::domain::settings::RouterSettings;

/// Weight of the newest figure in an exponential average.
const NEWEST: f64 = 0.2;
/// Distinct requests that have to find the configuration wrong.
const WITNESSES: u32 = 2;
/// Times to the first output that are remembered.
const FIRSTS: usize = 64;

#[derive(Debug, Default)]
pub(super) struct Cell {
    in_flight: AtomicU32,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The revision of the deployment that the circuit speaks of.
    revision: Revision,
    /// `None`: closed.
    open: Option<Open>,
    /// When the failures within the window were, the oldest first.
    failures: VecDeque<Instant>,
    /// Requests in a row that found the configuration wrong.
    witnesses: u32,
    /// How often the circuit opened since the last whole answer.
    openings: u32,
    latency_ms: Option<f64>,
    tokens_per_second: Option<f64>,
    /// Times to the first output of streams in milliseconds, a ring of the newest.
    firsts: VecDeque<u32>,
    /// Requests and tokens, by second.
    seconds: Window<60>,
    /// Answers and failures, by minute.
    minutes: Window<10>,
}

/// An open circuit; half open when its time is over.
#[derive(Debug, Clone, Copy)]
struct Open {
    until: Instant,
    /// Who tries it, and until when others wait for that.
    probe: Option<(u64, Instant)>,
    /// What the replicas agreed on: until when one of them may try it, and whether it is this one.
    lease: Option<(Instant, bool)>,
    /// Whether a request would try it, if this replica were the one to.
    is_wanted: bool,
}

/// When to look again, for who is told to wait for that.
const SOON: Duration = Duration::from_millis(250);

/// Whether a request is let in.
pub(super) enum Entry {
    Open,
    /// As the one that tries.
    Probe,
    Closed(Duration),
}

impl Cell {
    pub(super) fn standing(&self, revision: Revision, at: Moment, is_shared: bool) -> Standing {
        let mut state = self.lock();
        let is_current = revision <= state.revision;
        let open = state.open.as_mut().filter(|_| is_current);
        let availability = match open.map(|open| open.asked(at.now, is_shared)) {
            None => Availability::Available,
            Some(None) => Availability::HalfOpen,
            Some(Some(wait)) => Availability::Cooldown(wait),
        };
        let (requests_per_minute, tokens_per_minute) = state.seconds.sums(at.second);
        let (answers, failures) = state.minutes.sums(at.second / 60);
        let all = answers.saturating_add(failures);
        Standing {
            availability,
            in_flight: self.in_flight.load(Ordering::Relaxed),
            requests_per_minute,
            tokens_per_minute,
            latency_ms: state.latency_ms,
            tokens_per_second: state.tokens_per_second,
            success_rate: (all > 0).then(|| ratio(answers, all)),
        }
    }

    pub(super) fn enter(&self, revision: Revision, at: Moment, probe: (u64, Duration), is_shared: bool) -> Entry {
        let mut state = self.lock();
        state.follow(revision);
        let entry = match &mut state.open {
            None => Entry::Open,
            Some(open) => match open.asked(at.now, is_shared) {
                Some(wait) => return Entry::Closed(wait),
                None => {
                    open.probe = Some((probe.0, at.now + probe.1));
                    Entry::Probe
                }
            },
        };
        drop(state);
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        entry
    }

    pub(super) fn counts_request(&self, at: Moment) {
        self.lock().seconds.add(at.second, 1, 0);
    }

    pub(super) fn leave(&self, ticket: Option<u64>) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
        self.give_back(ticket);
    }

    /// The request that tried ended without saying anything: another may try.
    pub(super) fn give_back(&self, ticket: Option<u64>) {
        if ticket.is_some() {
            let mut state = self.lock();
            if let Some(open) = state.open.as_mut().filter(|open| open.is_held(ticket)) {
                open.probe = None;
            }
        }
    }

    /// Closes a half-open circuit so that one more failure opens it again.
    /// Answers whether it was closed.
    pub(super) fn on_probation(
        &self,
        revision: Revision,
        ticket: u64,
        (settings, now): (&RouterSettings, Instant),
    ) -> bool {
        let mut state = self.lock();
        let closes = state.revision == revision && state.open.is_some_and(|open| open.is_held(Some(ticket)));
        if closes {
            state.open = None;
            state.witnesses = 0;
            state.failures = (0..settings.allowed_fails).map(|_| now).collect();
        }
        closes
    }

    /// A stream began to answer after so long.
    pub(super) fn began_to_answer(&self, after: Duration) {
        let mut state = self.lock();
        if state.firsts.len() >= FIRSTS {
            state.firsts.pop_front();
        }
        state.firsts.push_back(u32::try_from(after.as_millis()).unwrap_or(u32::MAX));
    }

    /// Adds the times to the first output.
    pub(super) fn add_firsts(&self, all: &mut Vec<u32>) {
        all.extend(&self.lock().firsts);
    }

    /// For how long it is open, as of which revision, and how often it has opened; `None`: it is closed.
    pub(super) fn opened(&self, now: Instant) -> Option<(Revision, Duration, u32)> {
        let state = self.lock();
        let open = state.open?;
        Some((state.revision, open.until.saturating_duration_since(now), state.openings))
    }

    /// Another replica opened it.
    pub(super) fn hear_opened(&self, revision: Revision, until: Instant, openings: u32) {
        let mut state = self.lock();
        state.follow(revision);
        if state.revision == revision && state.open.is_none_or(|open| open.until < until) {
            state.failures.clear();
            state.openings = state.openings.max(openings);
            state.open = Some(Open { until, probe: None, lease: None, is_wanted: false });
        }
    }

    /// Another replica closed it.
    pub(super) fn hear_closed(&self, revision: Revision) {
        let mut state = self.lock();
        if state.revision == revision {
            state.acquit();
        }
    }

    /// The revision of a circuit whose time is over and that no replica tries.
    pub(super) fn half_open(&self, now: Instant) -> Option<Revision> {
        let state = self.lock();
        let open = state.open?;
        let is_leased = open.lease.is_some_and(|(until, _)| now < until);
        (open.is_wanted && open.until <= now && !is_leased).then_some(state.revision)
    }

    /// Whether this replica may try it and does not.
    pub(super) fn is_idle(&self, revision: Revision) -> bool {
        let state = self.lock();
        let idle = |open: &Open| open.probe.is_none() && open.lease.is_some_and(|(_, is_ours)| is_ours);
        state.revision == revision && state.open.as_ref().is_some_and(idle)
    }

    /// Who tries it.
    pub(super) fn settle_probe(&self, revision: Revision, until: Instant, is_ours: bool) {
        let mut state = self.lock();
        if state.revision == revision
            && let Some(open) = &mut state.open
        {
            open.lease = Some((until, is_ours));
            open.is_wanted = false;
        }
    }

    /// Answers whether it closed an open circuit.
    pub(super) fn succeeded(
        &self,
        revision: Revision,
        ticket: Option<u64>,
        at: Moment,
        (latency, tokens, output): (Duration, u64, u64),
    ) -> bool {
        let mut state = self.lock();
        state.seconds.add(at.second, 0, tokens);
        if state.revision != revision {
            return false;
        }
        state.minutes.add(at.second / 60, 1, 0);
        let taken = latency.as_secs_f64();
        state.latency_ms = Some(averaged(state.latency_ms, taken * 1000.0));
        if output > 0 && taken > 0.0 {
            state.tokens_per_second = Some(averaged(state.tokens_per_second, float(output) / taken));
        }
        // An answer that was under way when the circuit opened does not close it.
        let was_open = state.open.is_some();
        let acquits = state.open.is_none_or(|open| open.is_held(ticket));
        if acquits {
            state.acquit();
        }
        was_open && acquits
    }

    pub(super) fn failed(
        &self,
        revision: Revision,
        (ticket, counts): (Option<u64>, bool),
        at: Moment,
        settings: &RouterSettings,
    ) -> Impact {
        let mut state = self.lock();
        if state.revision != revision {
            return Impact::None;
        }
        if counts {
            state.minutes.add(at.second / 60, 0, 1);
        }
        if let Some(open) = state.open {
            if !open.is_held(ticket) {
                return Impact::None;
            }
            state.open_for_cooldown(settings, at.now);
            return Impact::Opened;
        }
        if !counts {
            return Impact::None;
        }
        let window = seconds(settings.failure_window_seconds);
        state.failures.retain(|failure| at.now.saturating_duration_since(*failure) < window);
        state.failures.push_back(at.now);
        let most = usize::try_from(settings.allowed_fails).unwrap_or(usize::MAX);
        if state.failures.len() > most {
            state.open_for_cooldown(settings, at.now);
            return Impact::Opened;
        }
        Impact::Counted
    }

    pub(super) fn misconfigured(
        &self,
        revision: Revision,
        (ticket, counts): (Option<u64>, bool),
        at: Moment,
        settings: &RouterSettings,
    ) -> Impact {
        let mut state = self.lock();
        if state.revision != revision {
            return Impact::None;
        }
        if counts {
            state.minutes.add(at.second / 60, 0, 1);
            state.witnesses = state.witnesses.saturating_add(1);
        }
        match state.open {
            Some(open) if !open.is_held(ticket) => return Impact::None,
            None if state.witnesses < WITNESSES => {
                return if counts { Impact::Counted } else { Impact::None };
            }
            Some(_) | None => {}
        }
        state.quarantine(settings, at.now);
        Impact::Quarantined
    }

    pub(super) fn absolve(&self) {
        let mut state = self.lock();
        state.open = None;
        state.acquit();
    }

    pub(super) fn condemn(&self, revision: Revision, settings: &RouterSettings, now: Instant) {
        let mut state = self.lock();
        state.follow(revision);
        state.quarantine(settings, now);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// A deployment that was changed starts afresh.
    fn follow(&mut self, revision: Revision) {
        if revision > self.revision {
            self.revision = revision;
            self.acquit();
        }
    }

    fn acquit(&mut self) {
        self.open = None;
        self.failures.clear();
        self.witnesses = 0;
        self.openings = 0;
    }

    fn open_for_cooldown(&mut self, settings: &RouterSettings, now: Instant) {
        let doubled = u64::from(settings.cooldown_seconds).saturating_mul(1 << self.openings.min(30));
        let cooldown = doubled.min(settings.max_cooldown_seconds.into());
        self.openings = self.openings.saturating_add(1);
        self.failures.clear();
        self.open =
            Some(Open { until: now + Duration::from_secs(cooldown), probe: None, lease: None, is_wanted: false });
    }

    fn quarantine(&mut self, settings: &RouterSettings, now: Instant) {
        self.failures.clear();
        self.open = Some(Open {
            until: now + seconds(settings.configuration_cooldown_seconds),
            probe: None,
            lease: None,
            is_wanted: false,
        });
    }
}

impl Open {
    /// The same for a request that would try it.
    fn asked(&mut self, now: Instant, is_shared: bool) -> Option<Duration> {
        let wait = self.wait(now, is_shared);
        self.is_wanted |= wait.is_some() && self.until <= now && self.probe.is_none();
        wait
    }

    /// How long until the next may try; `None`: now. With others to agree with, only the replica may that they agreed on.
    fn wait(&self, now: Instant, is_shared: bool) -> Option<Duration> {
        let until = self.probe.map_or(self.until, |(_, until)| until.max(self.until));
        let wait = until.saturating_duration_since(now);
        if !wait.is_zero() {
            return Some(wait);
        }
        let lease = self.lease.filter(|(until, _)| is_shared && now < *until);
        match lease {
            Some((_, true)) => None,
            Some((until, false)) => Some(until.saturating_duration_since(now)),
            None if is_shared => Some(SOON),
            None => None,
        }
    }

    fn is_held(&self, ticket: Option<u64>) -> bool {
        ticket.is_some() && self.probe.map(|(holder, _)| holder) == ticket
    }
}

fn averaged(before: Option<f64>, newest: f64) -> f64 {
    before.map_or(newest, |before| before * (1.0 - NEWEST) + newest * NEWEST)
}

fn ratio(part: u64, whole: u64) -> f64 {
    float(part) / float(whole)
}

/// Counts here are far below what a float holds exactly.
fn float(count: u64) -> f64 {
    count as f64
}
