//! Recorded requests, read: lists, single ones, the tail, sums and summaries. The SQL is put together here for both
//! databases; what differs between them is a [`Dialect`].
//!
//! Words of closed lists and numbers stand in the text, so that the planner can use an index of rare rows; texts and ids
//! of callers are always bound.

use std::fmt::Write as _;

use async_trait::async_trait;
use uuid::Uuid;

use super::usage::id_at;
use crate::domain::ids::OperationId;
use crate::domain::operation_query::{
    OperationFilter, OperationOutcome, Summary, TailBatch, TailPosition, UsageQuery, UsageRow,
};
use crate::domain::page::PageRequest;
use crate::domain::record::OperationRecord;
use crate::fault::Outcome;
use crate::time::Timestamp;

/// One page of recorded requests, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperationPage {
    /// The records, without their attempts.
    pub items: Vec<OperationRecord>,
    /// How many match in all, counted up to 10,000; not told after a cursor.
    pub total: Option<u32>,
    /// Whether more follow.
    pub has_more: bool,
}

/// Recorded requests, read.
#[async_trait]
pub trait OperationStore: Send + Sync {
    /// A page, newest first; `page.after` is the id of the last one seen.
    ///
    /// # Errors
    /// `Unavailable`, also when it takes too long.
    async fn list(&self, filter: &OperationFilter, page: &PageRequest) -> Outcome<OperationPage>;

    /// One with its attempts.
    ///
    /// # Errors
    /// `Unavailable`.
    async fn find(&self, id: OperationId) -> Outcome<Option<OperationRecord>>;

    /// The newest with a client's request id, with its attempts.
    ///
    /// # Errors
    /// `Unavailable`.
    async fn find_by_request(&self, request_id: &str) -> Outcome<Option<OperationRecord>>;

    /// The end of the tail: what is stored from now on lies after it.
    ///
    /// # Errors
    /// `Unavailable`.
    async fn tail_end(&self) -> Outcome<TailPosition>;

    /// Where a record lies in the tail.
    ///
    /// # Errors
    /// `Unavailable`.
    async fn tail_position(&self, id: OperationId) -> Outcome<Option<TailPosition>>;

    /// What was stored after a place, without attempts; at most `limit`. Nothing is ever stored before a place that was
    /// answered.
    ///
    /// # Errors
    /// `Unavailable`.
    async fn tail(&self, filter: &OperationFilter, after: TailPosition, limit: u32) -> Outcome<TailBatch>;

    /// Sums, ordered by group; at most `query.limit`.
    ///
    /// # Errors
    /// `Unavailable`, also when it takes too long.
    async fn aggregate(&self, query: &UsageQuery) -> Outcome<Vec<UsageRow>>;

    /// Requests that began in a range of time, in short; of models the busiest 100.
    ///
    /// # Errors
    /// `Unavailable`, also when it takes too long.
    async fn summary(&self, start: Timestamp, end: Timestamp) -> Outcome<Summary>;
}

/// What is said of a question that was given up.
pub(super) const TOO_LONG: &str = "The question took too long: ask for less time, or for one key or model.";
/// A request's id is made a moment before its time is taken; so much lies between them at most.
const SLACK_MS: i64 = 60_000;

/// Whose SQL it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    Sqlite,
    Postgres,
}

/// What is bound in a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    Text(String),
    Whole(i64),
    Id(Uuid),
}

/// A statement with its values, `$1` the first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Statement {
    pub(super) text: String,
    pub(super) values: Vec<Value>,
}

impl Statement {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), values: Vec::new() }
    }

    /// Ours, never a caller's.
    pub(super) fn add(&mut self, text: &str) -> &mut Self {
        self.text.push_str(text);
        self
    }

    pub(super) fn number(&mut self, number: impl Into<i64>) -> &mut Self {
        // Writing to a text cannot fail.
        _ = write!(self.text, "{}", number.into());
        self
    }

    pub(super) fn value(&mut self, value: Value) -> &mut Self {
        self.values.push(value);
        _ = write!(self.text, "${}", self.values.len());
        self
    }

    pub(super) fn and(&mut self, condition: &str, value: Value) -> &mut Self {
        self.add(" AND ").add(condition).value(value)
    }
}

/// The columns of a record, as [`read_operation`] wants them.
pub(super) const COLUMNS: &str = "
    id, request_id, key_id, public_model, served_model, deployment_id, provider, operation, contract, stream, outcome,
    degraded, estimated, CAST(http_status AS BIGINT) AS http_status, input_tokens, cache_read_tokens,
    cache_write_tokens, audio_input_tokens, output_tokens, reasoning_tokens, audio_output_tokens, cost_nanocents,
    upstream_nanocents, started_at, duration_ms, first_output_ms, request_bytes, dropped, finish_reason, error,
    error_detail, config_revision, tags, lane, cache_hit, service_tier, cache_write_1h_tokens, image_count, audio_ms,
    characters, search_units, hosted_calls, first_byte_ms, first_reasoning_ms, longest_gap_ms, blocked_ms,
    response_bytes, reasoning_requested, reasoning_effective, reasoning_clamped, error_class";

/// A record of the row of a backend, without attempts.
macro_rules! read_operation {
    ($fields:expr) => {{
        let fields = $fields;
        let read = || -> Result<$crate::domain::record::OperationRecord, $crate::store::values::Reason> {
            Ok($crate::domain::record::OperationRecord {
                version: $crate::domain::record::RECORD_VERSION,
                id: fields.uuid("id")?.to_string(),
                request_id: fields.owned("request_id")?,
                key_id: fields.optional_uuid("key_id")?.map(|id| id.to_string()),
                public_model: fields.owned("public_model")?,
                served_model: fields.optional_owned("served_model")?,
                deployment_id: fields.optional_uuid("deployment_id")?.map(|id| id.to_string()),
                provider: fields.optional_owned("provider")?,
                operation: fields.owned("operation")?,
                contract: fields.owned("contract")?,
                tags: fields.json("tags")?,
                lane: fields.optional_owned("lane")?,
                stream: fields.flag("stream")?,
                cache_hit: fields.flag("cache_hit")?,
                service_tier: fields.optional_owned("service_tier")?,
                outcome: fields.owned("outcome")?,
                degraded: fields.flag("degraded")?,
                estimated: fields.flag("estimated")?,
                http_status: fields.number("http_status")?,
                input_tokens: fields.number("input_tokens")?,
                cache_read_tokens: fields.number("cache_read_tokens")?,
                cache_write_tokens: fields.number("cache_write_tokens")?,
                cache_write_1h_tokens: fields.number("cache_write_1h_tokens")?,
                audio_input_tokens: fields.number("audio_input_tokens")?,
                output_tokens: fields.number("output_tokens")?,
                reasoning_tokens: fields.number("reasoning_tokens")?,
                audio_output_tokens: fields.number("audio_output_tokens")?,
                image_count: fields.number("image_count")?,
                audio_ms: fields.number("audio_ms")?,
                characters: fields.number("characters")?,
                search_units: fields.number("search_units")?,
                hosted_calls: fields.number("hosted_calls")?,
                cost: fields.optional_number("cost_nanocents")?,
                upstream_cost: fields.optional_number("upstream_nanocents")?,
                started_at: fields.number("started_at")?,
                duration_ms: fields.number("duration_ms")?,
                first_byte_ms: fields.optional_number("first_byte_ms")?,
                first_reasoning_ms: fields.optional_number("first_reasoning_ms")?,
                first_output_ms: fields.optional_number("first_output_ms")?,
                longest_gap_ms: fields.optional_number("longest_gap_ms")?,
                blocked_ms: fields.number("blocked_ms")?,
                request_bytes: fields.number("request_bytes")?,
                response_bytes: fields.number("response_bytes")?,
                reasoning_requested: fields.optional_owned("reasoning_requested")?,
                reasoning_effective: fields.optional_owned("reasoning_effective")?,
                reasoning_clamped: fields.flag("reasoning_clamped")?,
                dropped: fields.json("dropped")?,
                finish_reason: fields.optional_owned("finish_reason")?,
                error: fields.optional_owned("error")?,
                error_class: fields.optional_owned("error_class")?,
                error_detail: fields.optional_owned("error_detail")?,
                config_revision: fields.number("config_revision")?,
                attempts: Vec::new(),
                charge: None,
            })
        };
        read()
    }};
}
pub(super) use read_operation;

/// The attempts of an operation, in order. Their columns as [`read_attempt`] wants them.
pub(super) const ATTEMPTS: &str = "
    SELECT CAST(number AS BIGINT) AS number, deployment_id, provider, upstream_model, ok, class,
           CAST(http_status AS BIGINT) AS http_status, detail, duration_ms, provider_request_id
    FROM attempts WHERE operation_id = $1 ORDER BY 1";

/// An attempt of the row of a backend.
macro_rules! read_attempt {
    ($fields:expr) => {{
        let fields = $fields;
        let read = || -> Result<$crate::domain::record::AttemptRecord, $crate::store::values::Reason> {
            Ok($crate::domain::record::AttemptRecord {
                number: fields.number("number")?,
                deployment_id: fields.uuid("deployment_id")?.to_string(),
                provider: fields.owned("provider")?,
                upstream_model: fields.owned("upstream_model")?,
                ok: fields.flag("ok")?,
                class: fields.optional_owned("class")?,
                http_status: fields.optional_number("http_status")?,
                detail: fields.optional_owned("detail")?,
                duration_ms: fields.number("duration_ms")?,
                provider_request_id: fields.optional_owned("provider_request_id")?,
            })
        };
        read()
    }};
}
pub(super) use read_attempt;

/// One record by its id.
pub(super) fn by_id(id: OperationId) -> Statement {
    let mut sql = Statement::new(format!("SELECT {COLUMNS} FROM operations WHERE true"));
    sql.and("id = ", Value::Id(*id.as_uuid()));
    sql
}

/// The newest record of a request id.
pub(super) fn by_request(request_id: &str) -> Statement {
    let mut sql = Statement::new(format!("SELECT {COLUMNS} FROM operations WHERE true"));
    sql.and("request_id = ", Value::Text(request_id.to_owned())).add(" ORDER BY id DESC LIMIT 1");
    sql
}

/// A page, one row longer than it will be.
pub(super) fn page(dialect: Dialect, filter: &OperationFilter, page: &PageRequest) -> Statement {
    // PostgreSQL follows two indexes side by side in the order of ids, and only what is in both is looked up. SQLite takes
    // an index that has all it needs to tell ids, and not one after which it has to look each row up.
    let is_by_ids = dialect == Dialect::Sqlite || is_paired(filter);
    let want = if is_by_ids { Want::Ids } else { Want::Pages };
    let (mut sql, id) = matching(dialect, want, filter, page.after);
    sql.add(" ORDER BY ").add(id).add(" DESC LIMIT ").number(page.limit.clamp(1, PageRequest::MAX_LIMIT) + 1);
    sql.add(" OFFSET ").number(page.offset.min(PageRequest::MAX_OFFSET));
    if is_by_ids {
        sql.text = format!("SELECT {COLUMNS} FROM operations WHERE id IN ({}) ORDER BY id DESC", sql.text);
    }
    sql
}

/// How many match, counted up to 10,000.
pub(super) fn count(dialect: Dialect, filter: &OperationFilter) -> Statement {
    let mut sql = Statement::new("SELECT COUNT(*) FROM (");
    for (nth, span) in spans(filter).into_iter().enumerate() {
        sql.add(if nth > 0 { " UNION ALL " } else { "" });
        count_in(&mut sql, dialect, filter, span);
    }
    sql.add(" LIMIT ").number(PageRequest::MAX_OFFSET).add(") AS matching");
    sql
}

/// Where a tag is looked for together with what an index leads to.
pub(super) fn is_paired(filter: &OperationFilter) -> bool {
    let rare = [
        filter.key.is_some(),
        filter.public_model.is_some(),
        filter.deployment.is_some(),
        filter.provider.is_some(),
        filter.operation.as_deref().is_some_and(|operation| operation != "text.generate"),
        filter.outcome.is_some_and(|outcome| outcome != OperationOutcome::Success),
        filter.status.is_some_and(|status| status != 200),
        filter.degraded == Some(true),
        filter.cache_hit == Some(true),
    ];
    filter.tag.is_some() && rare.contains(&true)
}

/// Ids of a span of time, in Unix milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct IdSpan {
    from: Option<i64>,
    before: Option<i64>,
    /// Whether what has such an id also began in the time asked for; else the record's own time decides.
    is_within: bool,
}

/// The ids of a range of time: those near its ends apart, so that the others can be counted by an index alone.
fn spans(filter: &OperationFilter) -> Vec<IdSpan> {
    let (start, end) = (filter.start.map(Timestamp::unix_ms), filter.end.map(Timestamp::unix_ms));
    let earliest = start.map(|start| start.saturating_sub(SLACK_MS));
    let surely_before = end.map(|end| end.saturating_sub(SLACK_MS));
    if let (Some(start), Some(surely_before)) = (start, surely_before)
        && start >= surely_before
    {
        return vec![IdSpan { from: earliest, before: end, is_within: false }];
    }
    let first = start.map(|start| IdSpan { from: earliest, before: Some(start), is_within: false });
    let middle = IdSpan { from: start, before: surely_before, is_within: true };
    let last = end.map(|end| IdSpan { from: surely_before, before: Some(end), is_within: false });
    first.into_iter().chain([middle]).chain(last).collect()
}

/// `SELECT 1 …` for each that matches within a span of ids.
fn count_in(sql: &mut Statement, dialect: Dialect, filter: &OperationFilter, span: IdSpan) {
    let bare = OperationFilter { start: None, end: None, ..filter.clone() };
    let is_tag_alone = bare == OperationFilter { tag: filter.tag.clone(), ..OperationFilter::default() };
    sql.add("SELECT 1 FROM ");
    match &filter.tag {
        None => sql.add("operations WHERE true"),
        // There is a tag for as long as there is its record.
        Some(_) if span.is_within && is_tag_alone => sql.add("operation_tags WHERE true"),
        Some(_) => sql.add("operation_tags").add(joined(dialect)).add(" WHERE true"),
    };
    let ids: &[&str] = match &filter.tag {
        None => &["id"],
        Some(tag) => {
            sql.and("tag = ", Value::Text(tag.clone()));
            if span.is_within && is_tag_alone { &["operation_id"] } else { &["operation_id", "id"] }
        }
    };
    for id in ids {
        for (operator, bound) in [(" >= ", span.from), (" < ", span.before)] {
            if let Some(ms) = bound {
                sql.add(" AND ").add(id).add(operator).value(Value::Id(id_at(ms)));
            }
        }
    }
    if !span.is_within {
        began_within(sql, filter);
    }
    conditions(sql, dialect, filter);
}

/// What of the matching rows is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Want {
    /// The first few in the order of ids.
    Pages,
    /// Their ids alone.
    Ids,
    /// All of them, whole.
    Rows,
}

/// `SELECT … FROM … WHERE …` of those before an id, and the column that rows are ordered by.
pub(super) fn matching(
    dialect: Dialect,
    want: Want,
    filter: &OperationFilter,
    before: Option<Uuid>,
) -> (Statement, &'static str) {
    let what = match want {
        Want::Pages => COLUMNS,
        Want::Ids => "id",
        Want::Rows => "operations.*",
    };
    let mut sql = Statement::new(format!("SELECT {what} FROM "));
    let ids: &[&'static str] = match &filter.tag {
        None => {
            sql.add("operations WHERE true");
            &["id"]
        }
        Some(tag) => {
            // For a page the rows of the tag lead, in the order of their ids: SQLite keeps the order of a cross join,
            // PostgreSQL does not look behind an offset.
            sql.add("operation_tags").add(match (dialect, want) {
                (Dialect::Postgres, Want::Pages) => {
                    " JOIN LATERAL (SELECT * FROM operations WHERE id = operation_id OFFSET 0) AS operations ON true"
                }
                (Dialect::Sqlite, _) | (Dialect::Postgres, Want::Ids | Want::Rows) => joined(dialect),
            });
            sql.add(" WHERE true").and("tag = ", Value::Text(tag.clone()));
            if want == Want::Ids { &["operation_id", "id"] } else { &["operation_id"] }
        }
    };
    for id in ids {
        within_time(&mut sql, filter, id, before);
    }
    began_within(&mut sql, filter);
    conditions(&mut sql, dialect, filter);
    (sql, if filter.tag.is_some() { "operation_id" } else { "id" })
}

const fn joined(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Sqlite => " CROSS JOIN operations ON id = operation_id",
        Dialect::Postgres => " JOIN operations ON id = operation_id",
    }
}

/// Bounds on ids lead to the rows. SQLite goes by one bound on either side and reads all rows up to the other, so there
/// is only the closer one.
fn within_time(sql: &mut Statement, filter: &OperationFilter, id: &str, before: Option<Uuid>) {
    if let Some(start) = filter.start {
        sql.add(" AND ").add(id).add(" >= ").value(Value::Id(id_at(start.unix_ms().saturating_sub(SLACK_MS))));
    }
    let end = filter.end.map(|end| id_at(end.unix_ms()));
    if let Some(before) = end.into_iter().chain(before).min() {
        sql.add(" AND ").add(id).add(" < ").value(Value::Id(before));
    }
}

/// Bounds on the time itself decide.
fn began_within(sql: &mut Statement, filter: &OperationFilter) {
    if let Some(start) = filter.start {
        sql.add(" AND started_at >= ").number(start.unix_ms());
    }
    if let Some(end) = filter.end {
        sql.add(" AND started_at < ").number(end.unix_ms());
    }
}

/// Conditions on columns of the record, those that name an index of rare rows twice.
fn conditions(sql: &mut Statement, dialect: Dialect, filter: &OperationFilter) {
    if let Some(request_id) = &filter.request_id {
        sql.and("request_id = ", Value::Text(request_id.clone()));
    }
    if let Some(key) = filter.key {
        sql.and("key_id = ", Value::Id(*key.as_uuid()));
    }
    if let Some(model) = &filter.public_model {
        sql.and("public_model = ", Value::Text(model.clone()));
    }
    if let Some(deployment) = filter.deployment {
        sql.and("deployment_id = ", Value::Id(*deployment.as_uuid()));
    }
    if let Some(provider) = &filter.provider {
        sql.and("provider = ", Value::Text(provider.clone()));
    }
    if let Some(operation) = &filter.operation {
        sql.and("operation = ", Value::Text(operation.clone()));
        if operation != "text.generate" {
            sql.add(" AND operation <> 'text.generate'");
        }
    }
    if let Some(outcome) = filter.outcome {
        sql.add(" AND outcome = '").add(outcome.as_str()).add("'");
        if outcome != OperationOutcome::Success {
            sql.add(" AND outcome <> 'success'");
        }
    }
    if let Some(status) = filter.status {
        sql.add(" AND http_status = ").number(status);
        if status != 200 {
            sql.add(" AND http_status <> 200");
        }
    }
    for (column, wanted) in [("degraded", filter.degraded), ("cache_hit", filter.cache_hit)] {
        if let Some(wanted) = wanted {
            sql.add(" AND ").add(&is(dialect, column, wanted));
        }
    }
    if let Some(least) = filter.min_duration_ms {
        sql.add(" AND duration_ms >= ").number(i64::try_from(least).unwrap_or(i64::MAX));
        if let Some(indexed) = [300_000, 60_000, 10_000].into_iter().find(|tier| *tier <= least) {
            sql.add(" AND duration_ms >= ").number(i64::try_from(indexed).unwrap_or(i64::MAX));
        }
    }
}

pub(super) fn is(dialect: Dialect, column: &str, wanted: bool) -> String {
    match (dialect, wanted) {
        (Dialect::Sqlite, wanted) => format!("{column} = {}", u8::from(wanted)),
        (Dialect::Postgres, true) => column.to_owned(),
        (Dialect::Postgres, false) => format!("NOT {column}"),
    }
}

/// What was stored after a place and before `horizon`, with `stored_in`.
pub(super) fn tail(
    dialect: Dialect,
    filter: &OperationFilter,
    after: TailPosition,
    horizon: i64,
    limit: u32,
) -> Statement {
    let mut sql = Statement::new(format!("SELECT stored_in, {COLUMNS} FROM operations WHERE (stored_in, id) > ("));
    sql.value(Value::Whole(after.stored_in)).add(", ").value(Value::Id(after.id)).add(")");
    sql.add(" AND stored_in < ").number(horizon);
    if let Some(tag) = &filter.tag {
        sql.add(" AND EXISTS (SELECT 1 FROM operation_tags WHERE operation_id = id AND tag = ");
        sql.value(Value::Text(tag.clone())).add(")");
    }
    within_time(&mut sql, filter, "id", None);
    began_within(&mut sql, filter);
    conditions(&mut sql, dialect, filter);
    sql.add(" ORDER BY stored_in, id LIMIT ").number(limit);
    sql
}

/// Where a record lies.
pub(super) fn position(id: OperationId) -> Statement {
    let mut sql = Statement::new("SELECT stored_in FROM operations WHERE true");
    sql.and("id = ", Value::Id(*id.as_uuid()));
    sql
}

/// A batch of what [`tail`] answered.
pub(super) fn to_batch(rows: Vec<(i64, OperationRecord)>, after: TailPosition, horizon: i64, limit: u32) -> TailBatch {
    let is_full = u32::try_from(rows.len()).is_ok_and(|len| len >= limit);
    let last = rows.last().map(|(stored_in, record)| TailPosition {
        stored_in: *stored_in,
        id: Uuid::parse_str(&record.id).unwrap_or_default(),
    });
    // A tail that begins after a record beyond the horizon waits there; it never goes back.
    let seen = after.max(TailPosition { stored_in: horizon, id: Uuid::nil() });
    let next = last.filter(|_| is_full).unwrap_or(seen);
    TailBatch { records: rows.into_iter().map(|(_, record)| record).collect(), next, has_more: is_full }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_one_bound_on_either_side_of_the_ids_of_a_page() {
        let end = 100_000;
        let filter = OperationFilter { end: Some(Timestamp::from_unix_ms(end)), ..OperationFilter::default() };
        for (after, expected) in [(None, id_at(end)), (Some(id_at(50)), id_at(50)), (Some(id_at(200_000)), id_at(end))]
        {
            let page = PageRequest { after, ..PageRequest::default() };
            for dialect in [Dialect::Sqlite, Dialect::Postgres] {
                let sql = super::page(dialect, &filter, &page);
                assert_eq!(sql.values, [Value::Id(expected)], "{after:?} {}", sql.text);
            }
        }
    }

    #[test]
    fn only_the_ends_of_a_range_are_counted_by_the_times_of_records() {
        let filter = |start: Option<i64>, end: Option<i64>| OperationFilter {
            start: start.map(Timestamp::from_unix_ms),
            end: end.map(Timestamp::from_unix_ms),
            ..OperationFilter::default()
        };
        let span = |from, before, is_within| IdSpan { from, before, is_within };
        for (asked, expected) in [
            (filter(None, None), vec![span(None, None, true)]),
            (
                filter(Some(100_000), None),
                vec![span(Some(40_000), Some(100_000), false), span(Some(100_000), None, true)],
            ),
            (
                filter(None, Some(100_000)),
                vec![span(None, Some(40_000), true), span(Some(40_000), Some(100_000), false)],
            ),
            (
                filter(Some(100_000), Some(400_000)),
                vec![
                    span(Some(40_000), Some(100_000), false),
                    span(Some(100_000), Some(340_000), true),
                    span(Some(340_000), Some(400_000), false),
                ],
            ),
            (filter(Some(100_000), Some(160_000)), vec![span(Some(40_000), Some(160_000), false)]),
        ] {
            assert_eq!(spans(&asked), expected, "{asked:?}");
        }
    }

    #[test]
    fn a_tail_never_goes_back() {
        let place = |stored_in, id| TailPosition { stored_in, id: Uuid::from_u128(id) };
        let row = |stored_in, id| {
            (stored_in, OperationRecord { id: Uuid::from_u128(id).to_string(), ..OperationRecord::default() })
        };
        for (rows, after, horizon, next, has_more) in [
            (vec![], place(5, 3), 9, place(9, 0), false),
            (vec![row(6, 1)], place(5, 3), 9, place(9, 0), false),
            (vec![row(6, 1), row(6, 2)], place(5, 3), 9, place(6, 2), true),
            (vec![], place(12, 3), 9, place(12, 3), false),
        ] {
            let batch = to_batch(rows, after, horizon, 2);
            assert_eq!((batch.next, batch.has_more), (next, has_more), "{after:?}");
        }
    }
}
