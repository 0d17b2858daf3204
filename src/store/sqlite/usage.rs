//! Records of finished requests in SQLite. A group is one transaction.
//!
//! It is in the write-ahead log when it is answered, but not yet forced to the disk: it survives the death of the process,
//! and a loss of power may take the last moments, whole groups of them. Waiting for the disk would cost every answer a
//! millisecond or more. The configuration waits for it ([`super::BEGIN`]), and with it all that was before.

use std::collections::HashSet;
use std::sync::LazyLock;

use async_trait::async_trait;
use serde::Serialize;
use sqlx::sqlite::{SqliteArguments, SqliteConnection, SqliteRow};
use sqlx::{Arguments, Row};
use uuid::Uuid;

use super::errors::fault;
use super::insert::{Column, MOST_ROWS, SIZES, Value, bind, insert, size_for};
use super::sums::{DAYS, FORGET_SUMS, HOURS, TAGS, day_columns, hour_columns};
use super::{BEGIN_SOON_DURABLE, SqliteStore};
use crate::domain::ids::VirtualKeyId;
use crate::domain::ports::{PortError, StoredSpend, UsageSink};
use crate::domain::record::{Charge, OperationRecord};
use crate::domain::window::Window;
use crate::store::sums::{Additions, DAYS_OF_TAGS, Tagged};
use crate::store::usage::{Attempt, Question, id_at, json, parts_of, port_error};

/// Rows forgotten in one transaction, so that nobody waits for longer than some milliseconds.
const ROWS_PER_STEP: u32 = 100;

/// Numbers the transactions that store records, for whoever follows them.
const NEXT_NUMBER: &str = "UPDATE record_sequence SET last = last + 1";
/// That number, in each row.
const STORED_IN: (&str, &str) = ("stored_in", "(SELECT last FROM record_sequence)");

const OPERATION_COLUMNS: [Column<OperationRecord>; 51] = [
    ("id", |record| Value::Id(Some(&record.id))),
    ("request_id", |record| Value::text(&record.request_id)),
    ("key_id", |record| Value::Id(record.key_id.as_deref())),
    ("public_model", |record| Value::text(&record.public_model)),
    ("served_model", |record| Value::maybe_text(&record.served_model)),
    ("deployment_id", |record| Value::Id(record.deployment_id.as_deref())),
    ("provider", |record| Value::maybe_text(&record.provider)),
    ("operation", |record| Value::text(&record.operation)),
    ("contract", |record| Value::text(&record.contract)),
    ("stream", |record| Value::count(record.stream)),
    ("outcome", |record| Value::text(&record.outcome)),
    ("degraded", |record| Value::count(record.degraded)),
    ("estimated", |record| Value::count(record.estimated)),
    ("http_status", |record| Value::count(record.http_status)),
    ("input_tokens", |record| Value::count(record.input_tokens)),
    ("cache_read_tokens", |record| Value::count(record.cache_read_tokens)),
    ("cache_write_tokens", |record| Value::count(record.cache_write_tokens)),
    ("audio_input_tokens", |record| Value::count(record.audio_input_tokens)),
    ("output_tokens", |record| Value::count(record.output_tokens)),
    ("reasoning_tokens", |record| Value::count(record.reasoning_tokens)),
    ("audio_output_tokens", |record| Value::count(record.audio_output_tokens)),
    ("cost_nanocents", |record| Value::Int(record.cost)),
    ("upstream_nanocents", |record| Value::Int(record.upstream_cost)),
    ("started_at", |record| Value::Int(Some(record.started_at))),
    ("duration_ms", |record| Value::count(record.duration_ms)),
    ("first_output_ms", |record| Value::maybe_count(record.first_output_ms)),
    ("request_bytes", |record| Value::count(record.request_bytes)),
    ("dropped", |record| Value::list(&record.dropped)),
    ("finish_reason", |record| Value::maybe_text(&record.finish_reason)),
    ("error", |record| Value::maybe_text(&record.error)),
    ("error_detail", |record| Value::maybe_text(&record.error_detail)),
    ("config_revision", |record| Value::Int(Some(record.config_revision))),
    ("tags", |record| Value::list(&record.tags)),
    ("lane", |record| Value::maybe_text(&record.lane)),
    ("cache_hit", |record| Value::count(record.cache_hit)),
    ("service_tier", |record| Value::maybe_text(&record.service_tier)),
    ("cache_write_1h_tokens", |record| Value::count(record.cache_write_1h_tokens)),
    ("image_count", |record| Value::count(record.image_count)),
    ("audio_ms", |record| Value::count(record.audio_ms)),
    ("characters", |record| Value::count(record.characters)),
    ("search_units", |record| Value::count(record.search_units)),
    ("hosted_calls", |record| Value::count(record.hosted_calls)),
    ("first_byte_ms", |record| Value::maybe_count(record.first_byte_ms)),
    ("first_reasoning_ms", |record| Value::maybe_count(record.first_reasoning_ms)),
    ("longest_gap_ms", |record| Value::maybe_count(record.longest_gap_ms)),
    ("blocked_ms", |record| Value::count(record.blocked_ms)),
    ("response_bytes", |record| Value::count(record.response_bytes)),
    ("reasoning_requested", |record| Value::maybe_text(&record.reasoning_requested)),
    ("reasoning_effective", |record| Value::maybe_text(&record.reasoning_effective)),
    ("reasoning_clamped", |record| Value::count(record.reasoning_clamped)),
    ("error_class", |record| Value::maybe_text(&record.error_class)),
];
const ATTEMPTS: &str = "
    INSERT INTO attempts (
        operation_id, number, deployment_id, provider, upstream_model, ok, class, http_status, detail,
        duration_ms, provider_request_id
    )
    SELECT
        unhex(replace(value->>'operation_id', '-', '')), value->>'number',
        unhex(replace(value->>'deployment_id', '-', '')), value->>'provider', value->>'upstream_model',
        value->>'ok', value->>'class', value->>'http_status', value->>'detail', value->>'duration_ms',
        value->>'provider_request_id'
    FROM json_each(?1) WHERE true
    ON CONFLICT (operation_id, number) DO NOTHING";
const SPEND: &str = "
    INSERT INTO key_spend (key_id, epoch, period, period_start, spent)
    SELECT key_id, epoch, period, period_start, SUM(amount) FROM (
        SELECT given.key_id, given.period, given.period_start, given.amount,
               COALESCE(given.epoch, (SELECT MAX(epoch) FROM key_spend known WHERE known.key_id = given.key_id), 0) AS epoch
        FROM (
            SELECT unhex(replace(value->>'key_id', '-', '')) AS key_id, value->>'window' AS period,
                   value->>'window_start' AS period_start, value->>'epoch' AS epoch, value->>'amount' AS amount
            FROM json_each(?1)
        ) AS given
    ) WHERE true GROUP BY key_id, epoch, period, period_start
    ON CONFLICT (key_id, epoch, period, period_start) DO UPDATE SET spent = spent + excluded.spent";
/// Operations that may be stored already. Answers the ids of those that were not.
static ANY: LazyLock<[String; SIZES.len()]> = LazyLock::new(|| {
    SIZES.map(|size| {
        let operations = insert("operations", &OPERATION_COLUMNS, Some(STORED_IN), size);
        format!("{operations} ON CONFLICT (id) DO NOTHING RETURNING id")
    })
});
/// What goes into other tables: see [`Parts`].
static PARTS: LazyLock<String> = LazyLock::new(|| {
    let all = [("attempts", ATTEMPTS), ("tags", TAGS), ("charges", SPEND)];
    let of =
        |(part, statement): (&str, &str)| statement.replace("json_each(?1)", &format!("json_each(?1, '$.{part}')"));
    all.map(of).join("; ")
});

const ASK: &str = "
    SELECT newest.epoch AS epoch, COALESCE((
        SELECT spent FROM key_spend
        WHERE key_id = newest.key_id AND epoch = newest.epoch AND period = newest.period
          AND period_start = newest.period_start
    ), 0) AS spent
    FROM (
        SELECT given.*, COALESCE((SELECT MAX(epoch) FROM key_spend known WHERE known.key_id = given.key_id), 0) AS epoch
        FROM (
            SELECT key AS number, unhex(replace(value->>'key_id', '-', '')) AS key_id, value->>'period' AS period,
                   value->>'period_start' AS period_start
            FROM json_each(?1)
        ) AS given
    ) AS newest ORDER BY newest.number";
const NEXT_EPOCH: &str = "
    INSERT INTO key_spend (key_id, epoch, period, period_start, spent)
    SELECT ?1, COALESCE(MAX(epoch), 0) + 1, 'never', 0, 0 FROM key_spend WHERE key_id = ?1
    RETURNING epoch";
const ASIDE: &str = "
    INSERT INTO set_aside_records (id, at, reason, record) VALUES (?1, ?2, ?3, ?4)
    ON CONFLICT (id) DO NOTHING";
const FORGET_ATTEMPTS: &str = "
    DELETE FROM attempts WHERE operation_id IN (SELECT id FROM operations WHERE id < ?1 ORDER BY id LIMIT ?2)";
const FORGET_TAGS: &str = "
    DELETE FROM operation_tags
    WHERE operation_id IN (SELECT id FROM operations WHERE id < ?1 ORDER BY id LIMIT ?2)";
const FORGET_OPERATIONS: &str = "
    DELETE FROM operations WHERE id IN (SELECT id FROM operations WHERE id < ?1 ORDER BY id LIMIT ?2)";

fn failed(error: sqlx::Error) -> PortError {
    port_error(fault(error))
}

/// What goes into other tables.
#[derive(Serialize)]
struct Parts<'a> {
    attempts: Vec<Attempt<'a>>,
    charges: Vec<&'a Charge>,
    tags: Vec<Tagged<'a>>,
}

/// Executes a statement for all of these rows, some at a time; `statements` are for [`SIZES`] of them.
async fn add<R>(
    connection: &mut SqliteConnection,
    statements: &'static [String; SIZES.len()],
    columns: &[Column<R>],
    rows: &[R],
) -> Result<HashSet<Uuid>, PortError> {
    let mut answered = HashSet::new();
    for some in rows.chunks(MOST_ROWS) {
        let mut arguments = SqliteArguments::default();
        // Rows are numbered from the second on.
        arguments.add(None::<i64>).map_err(PortError::Refused)?;
        bind(&mut arguments, columns, some)?;
        let statement = statements.get(size_for(some.len())).map(String::as_str).unwrap_or_default();
        let ids: Vec<Vec<u8>> =
            sqlx::query_scalar_with(statement, arguments).fetch_all(&mut *connection).await.map_err(failed)?;
        answered.extend(ids.iter().filter_map(|id| Uuid::from_slice(id).ok()));
    }
    Ok(answered)
}

#[async_trait]
impl UsageSink for SqliteStore {
    async fn record(&self, records: &[OperationRecord]) -> Result<(), PortError> {
        let mut tx = self.turn(self.writer.begin_with(BEGIN_SOON_DURABLE)).await.map_err(failed)?;
        sqlx::query(NEXT_NUMBER).execute(&mut *tx).await.map_err(failed)?;
        let stored = add(&mut tx, &ANY, &OPERATION_COLUMNS, records).await?;
        let (attempts, charges) = parts_of(records, &stored);
        let Additions { hours, days, tags } = Additions::of(records, &stored);
        let parts = json(&Parts { attempts, charges, tags })?;
        sqlx::query(PARTS.as_str()).bind(parts).execute(&mut *tx).await.map_err(failed)?;
        add(&mut tx, &HOURS, &hour_columns(), &hours).await?;
        add(&mut tx, &DAYS, &day_columns(), &days).await?;
        tx.commit().await.map_err(failed)
    }

    async fn put_aside(&self, record: &OperationRecord, reason: &str) -> Result<(), PortError> {
        let aside = sqlx::query(ASIDE).bind(&record.id).bind(record.started_at).bind(reason).bind(json(record)?);
        self.execute(aside).await.map(drop).map_err(failed)
    }

    async fn spend(&self, keys: &[(VirtualKeyId, Window)]) -> Result<Vec<StoredSpend>, PortError> {
        let questions = json(&Question::all(keys))?;
        let rows: Vec<SqliteRow> = sqlx::query(ASK).bind(questions).fetch_all(&self.readers).await.map_err(failed)?;
        let read = |row: &SqliteRow| Ok(StoredSpend { epoch: row.try_get("epoch")?, spent: row.try_get("spent")? });
        rows.iter().map(read).collect::<Result<_, sqlx::Error>>().map_err(failed)
    }

    async fn next_epoch(&self, key: VirtualKeyId) -> Result<i64, PortError> {
        let mut tx = self.begin().await.map_err(failed)?;
        let next = sqlx::query_scalar(NEXT_EPOCH).bind(key.as_uuid().as_bytes().as_slice());
        let epoch = next.fetch_one(&mut *tx).await.map_err(failed)?;
        tx.commit().await.map_err(failed)?;
        Ok(epoch)
    }

    async fn forget_before(&self, moment_ms: i64) -> Result<(), PortError> {
        let before = id_at(moment_ms);
        let day = moment_ms.div_euclid(86_400_000) - DAYS_OF_TAGS;
        self.execute(sqlx::query(FORGET_SUMS).bind(day)).await.map_err(failed)?;
        loop {
            let mut tx = self.turn(self.writer.begin_with(BEGIN_SOON_DURABLE)).await.map_err(failed)?;
            let mut forgotten = 0;
            for statement in [FORGET_ATTEMPTS, FORGET_TAGS, FORGET_OPERATIONS] {
                let delete = sqlx::query(statement).bind(before.as_bytes().as_slice()).bind(ROWS_PER_STEP);
                forgotten = delete.execute(&mut *tx).await.map_err(failed)?.rows_affected();
            }
            tx.commit().await.map_err(failed)?;
            if forgotten == 0 {
                return Ok(());
            }
        }
    }
}
