//! Recorded requests, read from SQLite.
//!
//! One connection writes, so records become visible in the order of their transactions' numbers, and the tail goes by
//! those.

use async_trait::async_trait;
use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{AssertSqlSafe, Row, Sqlite, SqliteConnection, Transaction};

use super::SqliteStore;
use super::errors::fault;
use super::rows::{Fields, Reason};
use crate::domain::ids::OperationId;
use crate::domain::operation_query::{
    OperationFilter, Percentiles, Summary, TailBatch, TailPosition, UsageQuery, UsageRow,
};
use crate::domain::page::PageRequest;
use crate::domain::record::OperationRecord;
use crate::fault::{Fault, Kind, Outcome};
use crate::store::BadRow;
use crate::store::operations::{
    self as sql, ATTEMPTS, Dialect, OperationPage, OperationStore, Statement, Value, read_attempt, read_operation,
    to_batch,
};
use crate::store::summary::{self, Timing, Timings, read_part, to_summary};
use crate::store::sums::{self, group_text, read_totals};
use crate::store::values::{bad_row, to_page};
use crate::time::Timestamp;

const NOUN: &str = "record";
const HERE: Dialect = Dialect::Sqlite;
/// Longest time of a question about records.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(20);
/// What the next transaction that stores records will be.
const HORIZON: &str = "SELECT last + 1 FROM record_sequence";

#[async_trait]
impl OperationStore for SqliteStore {
    async fn list(&self, filter: &OperationFilter, page: &PageRequest) -> Outcome<OperationPage> {
        within(async {
            let mut tx = self.report().await?;
            let Some(filter) = &narrowed(&mut tx, filter).await? else {
                let total = page.after.is_none().then_some(0);
                return Ok(OperationPage { items: Vec::new(), total, has_more: false });
            };
            let rows = all(&mut tx, sql::page(HERE, filter, page)).await?;
            let total = match page.after {
                Some(_) => None,
                None => all(&mut tx, sql::count(HERE, filter))
                    .await?
                    .first()
                    .map(|row| row.try_get(0))
                    .transpose()
                    .map_err(fault)?,
            };
            tx.commit().await.map_err(fault)?;
            let items = rows.iter().map(read).collect::<Outcome<Vec<_>>>()?;
            let answered = to_page(items, total.unwrap_or_default(), page);
            Ok(OperationPage {
                items: answered.items,
                total: total.map(|_| answered.total),
                has_more: answered.has_more,
            })
        })
        .await
    }

    async fn find(&self, id: OperationId) -> Outcome<Option<OperationRecord>> {
        self.one(sql::by_id(id)).await
    }

    async fn find_by_request(&self, request_id: &str) -> Outcome<Option<OperationRecord>> {
        self.one(sql::by_request(request_id)).await
    }

    async fn tail_end(&self) -> Outcome<TailPosition> {
        within(async {
            let mut tx = self.report().await?;
            let stored_in = sqlx::query_scalar(HORIZON).fetch_one(&mut *tx).await.map_err(fault)?;
            tx.commit().await.map_err(fault)?;
            Ok(TailPosition { stored_in, id: uuid::Uuid::nil() })
        })
        .await
    }

    async fn tail_position(&self, id: OperationId) -> Outcome<Option<TailPosition>> {
        within(async {
            let mut tx = self.report().await?;
            let rows = all(&mut tx, sql::position(id)).await?;
            tx.commit().await.map_err(fault)?;
            let stored_in = rows.first().map(|row| row.try_get(0)).transpose().map_err(fault)?;
            Ok(stored_in.map(|stored_in| TailPosition { stored_in, id: *id.as_uuid() }))
        })
        .await
    }

    async fn tail(&self, filter: &OperationFilter, after: TailPosition, limit: u32) -> Outcome<TailBatch> {
        within(async {
            let mut tx = self.report().await?;
            let horizon: i64 = sqlx::query_scalar(HORIZON).fetch_one(&mut *tx).await.map_err(fault)?;
            if horizon <= after.stored_in {
                // Nothing was stored since that could be seen.
                return Ok(to_batch(Vec::new(), after, horizon, limit));
            }
            let rows = all(&mut tx, sql::tail(HERE, filter, after, horizon, limit)).await?;
            tx.commit().await.map_err(fault)?;
            let with_place = |row: &SqliteRow| Ok((row.try_get("stored_in").map_err(fault)?, read(row)?));
            Ok(to_batch(rows.iter().map(with_place).collect::<Outcome<_>>()?, after, horizon, limit))
        })
        .await
    }

    async fn aggregate(&self, query: &UsageQuery) -> Outcome<Vec<UsageRow>> {
        within(async {
            let mut tx = self.report().await?;
            let rows = all(&mut tx, sums::aggregate(HERE, query)).await?;
            tx.commit().await.map_err(fault)?;
            rows.iter()
                .map(|row| {
                    let totals = read_totals!(Fields(row)).map_err(unreadable)?;
                    let group = query.group_by.iter().enumerate().map(|(place, dimension)| {
                        row.try_get(place).map(|text: &str| group_text(*dimension, text)).map_err(fault)
                    });
                    Ok(UsageRow { group: group.collect::<Outcome<_>>()?, totals })
                })
                .collect()
        })
        .await
    }

    async fn summary(&self, start: Timestamp, end: Timestamp) -> Outcome<Summary> {
        within(async {
            let mut tx = self.report().await?;
            let rows = all(&mut tx, summary::parts(HERE, start, end)).await?;
            let parts = rows.iter().map(|row| read_part!(Fields(row)).map_err(unreadable)).collect::<Outcome<_>>()?;
            let mut timings = [Timings::new(), Timings::new()];
            for (timing, place) in [Timing::Duration, Timing::FirstOutput].into_iter().zip(&mut timings) {
                let rows = all(&mut tx, summary::percentiles(HERE, timing, start, end)).await?;
                *place = rows.iter().map(read_timing).collect::<Outcome<_>>()?;
            }
            tx.commit().await.map_err(fault)?;
            let [durations, first_outputs] = timings;
            Ok(to_summary(parts, durations, first_outputs))
        })
        .await
    }
}

impl SqliteStore {
    /// How a page of records would be found: the plan, line by line, for those who measure.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn explain_operations(&self, filter: &OperationFilter, page: &PageRequest) -> Outcome<Vec<String>> {
        within(async {
            let mut tx = self.report().await?;
            let mut statement = sql::page(HERE, filter, page);
            statement.text.insert_str(0, "EXPLAIN QUERY PLAN ");
            let rows = all(&mut tx, statement).await?;
            tx.commit().await.map_err(fault)?;
            rows.iter().map(|row| row.try_get("detail").map_err(fault)).collect()
        })
        .await
    }

    async fn report(&self) -> Outcome<Transaction<'static, Sqlite>> {
        self.readers.begin().await.map_err(fault)
    }

    async fn one(&self, statement: Statement) -> Outcome<Option<OperationRecord>> {
        within(async {
            let mut tx = self.report().await?;
            let Some(row) = all(&mut tx, statement).await?.pop() else { return Ok(None) };
            let mut record = read(&row)?;
            let id: Vec<u8> = row.try_get("id").map_err(fault)?;
            let attempts = sqlx::query(ATTEMPTS).bind(id).fetch_all(&mut *tx).await.map_err(fault)?;
            tx.commit().await.map_err(fault)?;
            let attempts = attempts.iter().map(|row| read_attempt!(Fields(row)).map_err(unreadable));
            record.attempts = attempts.collect::<Outcome<_>>()?;
            Ok(Some(record))
        })
        .await
    }
}

/// The filter with no more time than sums say it needs; `None`: nothing matches.
async fn narrowed(connection: &mut SqliteConnection, filter: &OperationFilter) -> Outcome<Option<OperationFilter>> {
    let Some(question) = sums::days_of(HERE, filter) else { return Ok(Some(filter.clone())) };
    let rows = all(connection, question).await?;
    let days = |place: usize| rows.first().map(|row| row.try_get(place)).transpose().map_err(fault);
    Ok(sums::within_days(filter, days(0)?.flatten(), days(1)?.flatten()))
}

async fn all(connection: &mut SqliteConnection, statement: Statement) -> Outcome<Vec<SqliteRow>> {
    let Statement { text, values } = statement;
    let unbound: Query<'_, Sqlite, SqliteArguments> = sqlx::query(AssertSqlSafe(text));
    let bound = values.into_iter().fold(unbound, |query, value| match value {
        Value::Text(text) => query.bind(text),
        Value::Whole(number) => query.bind(number),
        Value::Id(id) => query.bind(id.as_bytes().to_vec()),
    });
    bound.fetch_all(connection).await.map_err(fault)
}

fn read(row: &SqliteRow) -> Outcome<OperationRecord> {
    read_operation!(Fields(row)).map_err(unreadable)
}

fn read_timing(row: &SqliteRow) -> Outcome<(String, Percentiles)> {
    let fields = Fields(row);
    let timing = || -> Result<(String, Percentiles), Reason> {
        let timing = Percentiles { p50: fields.number("p50")?, p95: fields.number("p95")?, p99: fields.number("p99")? };
        Ok((fields.owned("public_model")?, timing))
    };
    timing().map_err(unreadable)
}

fn unreadable(reason: Reason) -> Fault {
    bad_row(NOUN, &BadRow { id: "of a request".to_owned(), reason })
}

/// Gives a question up that takes too long.
async fn within<T>(call: impl Future<Output = Outcome<T>>) -> Outcome<T> {
    let late = |_| Err(Fault::new(Kind::Unavailable).say(sql::TOO_LONG));
    tokio::time::timeout(PATIENCE, call).await.unwrap_or_else(late)
}
