//! Finished requests of all replicas: found, followed, summed up.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use uuid::Uuid;

use super::check::Problems;
use crate::domain::ids::OperationId;
use crate::domain::money::NanoCents;
use crate::domain::operation_query::{
    OperationFilter, Summary, TailPosition, UsageDimension, UsageQuery, UsageRow, UsageTotals,
};
use crate::domain::page::PageRequest;
use crate::domain::record::OperationRecord;
use crate::fault::{Fault, Kind, Outcome};
use crate::ledger::Ledger;
use crate::store::{OperationPage, OperationStore, sums_can_tell};
use crate::time::{Clock, Timestamp};

/// Most groups that one call answers.
pub const MAX_GROUPS: u32 = 10_000;
/// Longest range that sums are asked for, and records.
const MAX_DAYS: i64 = 366;
const MAX_DAYS_OF_RECORDS: i64 = 31;
const DEFAULT_DAYS: i64 = 30;
const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;
/// Longest request id that is looked for; longer ones are never recorded.
const MAX_REQUEST_ID_BYTES: usize = 256;

/// Tails that one replica serves at a time.
pub const MAX_TAILS: usize = 32;
/// Records that a tail holds for its reader; the store holds the others.
const BATCH: u32 = 200;
/// How often a tail at its end looks for more.
const LOOK_EVERY: Duration = Duration::from_millis(400);
/// A store that fails is asked again after this, so many times in a row.
const RETRY_AFTER: Duration = Duration::from_secs(1);
const RETRIES: u32 = 30;

/// How far back a summary looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SummaryWindow {
    /// Five minutes.
    FiveMinutes,
    /// An hour.
    Hour,
    /// Twenty-four hours.
    Day,
}

impl SummaryWindow {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::FiveMinutes, Self::Hour, Self::Day];

    /// The word of the REST API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::FiveMinutes => "5m",
            Self::Hour => "1h",
            Self::Day => "24h",
        }
    }

    /// Its length.
    #[must_use]
    pub const fn duration(self) -> Duration {
        match self {
            Self::FiveMinutes => Duration::from_secs(300),
            Self::Hour => Duration::from_secs(3_600),
            Self::Day => Duration::from_secs(86_400),
        }
    }
}

/// A summary and what it is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WindowSummary {
    /// How far it looks back.
    pub window: SummaryWindow,
    /// Requests that began then or later.
    pub start: Timestamp,
    /// And before.
    pub end: Timestamp,
    /// What there was.
    pub summary: Summary,
}

/// Sums and what they are of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageReport {
    /// Requests that began then or later: a whole hour.
    pub start: Timestamp,
    /// And before: a whole hour.
    pub end: Timestamp,
    /// The dimensions of the rows.
    pub group_by: Vec<UsageDimension>,
    /// A row for each group, in order.
    pub rows: Vec<UsageRow>,
    /// All requests, each once.
    pub total: UsageTotals,
}

/// Records with all that was answered before they are asked for.
#[derive(Clone)]
struct Records {
    store: Arc<dyn OperationStore>,
    ledger: Arc<dyn Ledger>,
}

impl Records {
    async fn complete(&self) -> &dyn OperationStore {
        self.ledger.caught_up().await;
        &*self.store
    }
}

/// The use cases of finished requests.
pub struct Usage {
    records: Records,
    clock: Arc<dyn Clock>,
    tails: Arc<Semaphore>,
    ends: watch::Sender<bool>,
}

impl std::fmt::Debug for Usage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Usage")
    }
}

impl Usage {
    pub(super) fn new(store: Arc<dyn OperationStore>, ledger: Arc<dyn Ledger>, clock: Arc<dyn Clock>) -> Self {
        Self {
            records: Records { store, ledger },
            clock,
            tails: Arc::new(Semaphore::new(MAX_TAILS)),
            ends: watch::channel(false).0,
        }
    }

    /// A page of finished requests, newest first.
    ///
    /// # Errors
    /// `BadRequest` with every violation; `Unavailable`, also when it takes too long.
    pub async fn list(&self, filter: &OperationFilter, page: &PageRequest) -> Outcome<OperationPage> {
        let mut problems = Problems::default();
        check(filter, &mut problems);
        problems.finish()?;
        if filter.request_id.as_ref().is_some_and(|id| id.len() > MAX_REQUEST_ID_BYTES) {
            return Ok(OperationPage { items: Vec::new(), total: Some(0), has_more: false });
        }
        self.records.complete().await.list(filter, page).await
    }

    /// One finished request with its attempts, by its id or by the id that the client saw; of several the newest.
    ///
    /// # Errors
    /// `NotFound`; `Unavailable`.
    pub async fn get(&self, id: &str) -> Outcome<OperationRecord> {
        let missing = || Fault::new(Kind::NotFound).say("There is no record of such a request, or no longer.");
        if id.is_empty() || id.len() > MAX_REQUEST_ID_BYTES {
            return Err(missing());
        }
        if let Ok(id) = Uuid::try_parse(id)
            && let Some(found) = self.records.complete().await.find(OperationId::from_uuid(id)).await?
        {
            return Ok(found);
        }
        self.records.complete().await.find_by_request(id).await?.ok_or_else(missing)
    }

    /// Sums by none, one or two dimensions.
    ///
    /// # Errors
    /// `BadRequest` with every violation, or when there are too many groups; `Unavailable`, also when it takes too long.
    pub async fn aggregate(&self, filter: OperationFilter, group_by: Vec<UsageDimension>) -> Outcome<UsageReport> {
        let mut problems = Problems::default();
        check(&filter, &mut problems);
        match group_by.as_slice() {
            [] | [_] => {}
            [first, second] if first == second => problems.add("groupBy", format!("names `{}` twice", first.as_str())),
            [_, _] => {}
            more => problems.add("groupBy", format!("takes two dimensions at most, not {}", more.len())),
        }
        let (start, end) = self.whole_hours(&filter);
        let days = if sums_can_tell(&filter) { MAX_DAYS } else { MAX_DAYS_OF_RECORDS };
        if !problems.concern("end") && end.unix_ms() - start.unix_ms() > days * DAY_MS {
            problems.add("start", format!("must be at most {days} days before `end` with these conditions"));
        }
        problems.finish()?;
        let filter = OperationFilter { start: Some(start), end: Some(end), ..filter };
        let of_tags = group_by.contains(&UsageDimension::Tag);
        let query = UsageQuery { filter, group_by, limit: MAX_GROUPS + 1 };
        let rows = self.records.complete().await.aggregate(&query).await?;
        if rows.len() > usize::try_from(MAX_GROUPS).unwrap_or(usize::MAX) {
            let sentence = format!("makes more than {MAX_GROUPS} groups: ask for less time, or for one key or model");
            return Err(Fault::invalid("groupBy", sentence));
        }
        let UsageQuery { filter, group_by, .. } = query;
        let total = if of_tags {
            // A request with two tags is in two groups.
            let all = UsageQuery { filter, group_by: Vec::new(), limit: 1 };
            self.records.complete().await.aggregate(&all).await?.first().map(|row| row.totals).unwrap_or_default()
        } else {
            rows.iter().fold(UsageTotals::default(), |sum, row| plus(sum, &row.totals))
        };
        Ok(UsageReport { start, end, group_by, rows, total })
    }

    /// The range of time in whole hours; without one the last thirty days, today included.
    fn whole_hours(&self, filter: &OperationFilter) -> (Timestamp, Timestamp) {
        let up = |ms: i64, unit: i64| ms.div_euclid(unit).saturating_add(i64::from(ms.rem_euclid(unit) != 0)) * unit;
        let now = self.clock.now().unix_ms();
        let end = filter.end.map_or_else(|| up(now.saturating_add(1), DAY_MS), |end| up(end.unix_ms(), HOUR_MS));
        let start = filter.start.map_or_else(
            || end.div_euclid(DAY_MS) * DAY_MS - DEFAULT_DAYS * DAY_MS,
            |start| start.unix_ms().div_euclid(HOUR_MS) * HOUR_MS,
        );
        (Timestamp::from_unix_ms(start), Timestamp::from_unix_ms(end))
    }

    /// Recent requests in short.
    ///
    /// # Errors
    /// `Unavailable`, also when it takes too long.
    pub async fn summary(&self, window: SummaryWindow) -> Outcome<WindowSummary> {
        let end = self.clock.now().after(Duration::from_millis(1));
        let length = i64::try_from(window.duration().as_millis()).unwrap_or(i64::MAX);
        let start = Timestamp::from_unix_ms(end.unix_ms() - length);
        Ok(WindowSummary { window, start, end, summary: self.records.complete().await.summary(start, end).await? })
    }

    /// Follows what is recorded, from now on or after one record.
    ///
    /// # Errors
    /// `BadRequest` when `after` is not known (any more) or there are times in the filter; `RateLimited` when there are too many
    /// tails; `Unavailable`.
    pub async fn tail(&self, filter: OperationFilter, after: Option<&str>) -> Outcome<Tail> {
        let mut problems = Problems::default();
        for (field, is_set) in [("start", filter.start.is_some()), ("end", filter.end.is_some())] {
            if is_set {
                problems.add(field, "cannot go with a tail, which begins now or after a record");
            }
        }
        check(&filter, &mut problems);
        problems.finish()?;
        let place = Arc::clone(&self.tails).try_acquire_owned().map_err(|_| {
            Fault::new(Kind::RateLimited).say(format!("This replica serves {MAX_TAILS} tails already."))
        })?;
        let position = match after {
            None => self.records.complete().await.tail_end().await?,
            Some(text) => {
                let id = Uuid::try_parse(text).map_err(|_| Fault::invalid("afterOperationId", "is not a UUID"))?;
                self.records.complete().await.tail_position(OperationId::from_uuid(id)).await?.ok_or_else(|| {
                    Fault::invalid("afterOperationId", "names no request that is recorded, or no longer")
                })?
            }
        };
        Ok(Tail {
            records: self.records.clone(),
            filter,
            position,
            ahead: VecDeque::new(),
            has_more: true,
            ends: self.ends.subscribe(),
            _place: place,
        })
    }

    /// Ends every tail: the gateway stops.
    pub fn end_tails(&self) {
        self.ends.send_replace(true);
    }
}

/// What was recorded, one after the other. Its reader sets the pace: what waits for a slow one waits in the store, so
/// nothing is left out and nothing piles up here.
pub struct Tail {
    records: Records,
    filter: OperationFilter,
    position: TailPosition,
    ahead: VecDeque<OperationRecord>,
    has_more: bool,
    ends: watch::Receiver<bool>,
    _place: OwnedSemaphorePermit,
}

impl std::fmt::Debug for Tail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tail").field("position", &self.position).finish_non_exhaustive()
    }
}

impl Tail {
    /// The next record, as soon as there is one. Given up while it waits, it loses nothing.
    ///
    /// # Errors
    /// `Unavailable` when the gateway stops, or the store fails for half a minute. The tail is over then; a new one goes on
    /// after the last record that was answered.
    pub async fn next(&mut self) -> Outcome<OperationRecord> {
        let mut failures = 0;
        loop {
            if let Some(record) = self.ahead.pop_front() {
                return Ok(record);
            }
            if *self.ends.borrow() {
                return Err(Fault::new(Kind::Unavailable)
                    .say("The gateway stops; follow on another replica, after the last operation that was seen."));
            }
            if !self.has_more {
                self.pause(LOOK_EVERY).await;
                self.has_more = true;
                continue;
            }
            match self.records.complete().await.tail(&self.filter, self.position, BATCH).await {
                Ok(batch) => {
                    failures = 0;
                    self.position = batch.next;
                    self.has_more = batch.has_more;
                    self.ahead.extend(batch.records);
                }
                Err(fault) if fault.kind() == Kind::Unavailable && failures < RETRIES => {
                    failures += 1;
                    self.pause(RETRY_AFTER).await;
                }
                Err(fault) => return Err(fault),
            }
        }
    }

    /// Waits, but not for longer than the gateway lives.
    async fn pause(&mut self, pause: Duration) {
        _ = tokio::time::timeout(pause, self.ends.wait_for(|ends| *ends)).await;
    }
}

fn check(filter: &OperationFilter, problems: &mut Problems) {
    if let (Some(start), Some(end)) = (filter.start, filter.end)
        && start >= end
    {
        problems.add("end", "must be after `start`");
    }
    if filter.status.is_some_and(|status| !(100..=599).contains(&status)) {
        problems.add("status", "must be an HTTP status from 100 to 599");
    }
}

fn plus(sum: UsageTotals, row: &UsageTotals) -> UsageTotals {
    let money = |a: NanoCents, b: NanoCents| NanoCents(a.0.saturating_add(b.0));
    UsageTotals {
        requests: sum.requests + row.requests,
        errors: sum.errors + row.errors,
        input_tokens: sum.input_tokens + row.input_tokens,
        cache_read_tokens: sum.cache_read_tokens + row.cache_read_tokens,
        cache_write_tokens: sum.cache_write_tokens + row.cache_write_tokens,
        audio_input_tokens: sum.audio_input_tokens + row.audio_input_tokens,
        output_tokens: sum.output_tokens + row.output_tokens,
        reasoning_tokens: sum.reasoning_tokens + row.reasoning_tokens,
        audio_output_tokens: sum.audio_output_tokens + row.audio_output_tokens,
        image_count: sum.image_count + row.image_count,
        audio_ms: sum.audio_ms + row.audio_ms,
        characters: sum.characters + row.characters,
        search_units: sum.search_units + row.search_units,
        cost: money(sum.cost, row.cost),
        upstream_cost: money(sum.upstream_cost, row.upstream_cost),
        unpriced: sum.unpriced + row.unpriced,
    }
}
