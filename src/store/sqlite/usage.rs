//! Records of finished requests in SQLite. A group is one transaction, on disk when it is answered.

use std::collections::HashSet;

use async_trait::async_trait;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;
use uuid::Uuid;

use super::SqliteStore;
use super::errors::fault;
use super::sums::{DAYS, FORGET_SUMS, HOURS, TAGS};
use crate::domain::ids::VirtualKeyId;
use crate::domain::ports::{PortError, StoredSpend, UsageSink};
use crate::domain::record::OperationRecord;
use crate::domain::window::Window;
use crate::store::sums::{Additions, DAYS_OF_TAGS};
use crate::store::usage::{Question, id_at, json, parts_of, port_error};

/// Rows forgotten in one transaction, so that nobody waits for long.
const ROWS_PER_STEP: u32 = 500;

/// Numbers the transactions that store records, for whoever follows them.
const NEXT_NUMBER: &str = "UPDATE record_sequence SET last = last + 1";
const OPERATIONS: &str = "
    INSERT INTO operations (
        stored_in,
        id, request_id, key_id, public_model, served_model, deployment_id, provider, operation, contract,
        stream, outcome, degraded, estimated, http_status, input_tokens, cache_read_tokens,
        cache_write_tokens, audio_input_tokens, output_tokens, reasoning_tokens, audio_output_tokens,
        cost_nanocents, upstream_nanocents, started_at, duration_ms, first_output_ms, request_bytes,
        dropped, finish_reason, error, error_detail, config_revision,
        tags, lane, cache_hit, service_tier, cache_write_1h_tokens, image_count, audio_ms, characters,
        search_units, hosted_calls, first_byte_ms, first_reasoning_ms, longest_gap_ms, blocked_ms,
        response_bytes, reasoning_requested, reasoning_effective, reasoning_clamped, error_class
    )
    SELECT
        (SELECT last FROM record_sequence),
        unhex(replace(value->>'id', '-', '')), value->>'request_id',
        unhex(replace(value->>'key_id', '-', '')), value->>'public_model', value->>'served_model',
        unhex(replace(value->>'deployment_id', '-', '')), value->>'provider', value->>'operation',
        value->>'contract', value->>'stream', value->>'outcome', value->>'degraded', value->>'estimated',
        value->>'http_status', value->>'input_tokens', value->>'cache_read_tokens',
        value->>'cache_write_tokens', value->>'audio_input_tokens', value->>'output_tokens',
        value->>'reasoning_tokens', value->>'audio_output_tokens', value->>'cost', value->>'upstream_cost',
        value->>'started_at', value->>'duration_ms', value->>'first_output_ms', value->>'request_bytes',
        value->>'dropped', value->>'finish_reason', value->>'error', value->>'error_detail',
        value->>'config_revision',
        value->>'tags', value->>'lane', value->>'cache_hit', value->>'service_tier',
        value->>'cache_write_1h_tokens', value->>'image_count', value->>'audio_ms', value->>'characters',
        value->>'search_units', value->>'hosted_calls', value->>'first_byte_ms', value->>'first_reasoning_ms',
        value->>'longest_gap_ms', value->>'blocked_ms', value->>'response_bytes',
        value->>'reasoning_requested', value->>'reasoning_effective', value->>'reasoning_clamped',
        value->>'error_class'
    FROM json_each(?1) WHERE true
    ON CONFLICT (id) DO NOTHING
    RETURNING id";
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

#[async_trait]
impl UsageSink for SqliteStore {
    async fn record(&self, records: &[OperationRecord]) -> Result<(), PortError> {
        let rows = json(records)?;
        let mut tx = self.writer.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
        sqlx::query(NEXT_NUMBER).execute(&mut *tx).await.map_err(failed)?;
        let ids: Vec<Vec<u8>> = sqlx::query_scalar(OPERATIONS).bind(rows).fetch_all(&mut *tx).await.map_err(failed)?;
        let stored: HashSet<Uuid> = ids.iter().filter_map(|id| Uuid::from_slice(id).ok()).collect();
        let (attempts, charges) = parts_of(records, &stored);
        let Additions { hours, days, tags } = Additions::of(records, &stored);
        let texts = [
            (ATTEMPTS, json(&attempts)?, attempts.is_empty()),
            (TAGS, json(&tags)?, tags.is_empty()),
            (SPEND, json(&charges)?, charges.is_empty()),
            (HOURS, json(&hours)?, hours.is_empty()),
            (DAYS, json(&days)?, days.is_empty()),
        ];
        for (statement, text, is_empty) in texts {
            if !is_empty {
                sqlx::query(statement).bind(text).execute(&mut *tx).await.map_err(failed)?;
            }
        }
        tx.commit().await.map_err(failed)
    }

    async fn put_aside(&self, record: &OperationRecord, reason: &str) -> Result<(), PortError> {
        let aside = sqlx::query(ASIDE).bind(&record.id).bind(record.started_at).bind(reason).bind(json(record)?);
        aside.execute(&self.writer).await.map(drop).map_err(failed)
    }

    async fn spend(&self, keys: &[(VirtualKeyId, Window)]) -> Result<Vec<StoredSpend>, PortError> {
        let questions = json(&Question::all(keys))?;
        let rows: Vec<SqliteRow> = sqlx::query(ASK).bind(questions).fetch_all(&self.readers).await.map_err(failed)?;
        let read = |row: &SqliteRow| Ok(StoredSpend { epoch: row.try_get("epoch")?, spent: row.try_get("spent")? });
        rows.iter().map(read).collect::<Result<_, sqlx::Error>>().map_err(failed)
    }

    async fn next_epoch(&self, key: VirtualKeyId) -> Result<i64, PortError> {
        let next = sqlx::query_scalar(NEXT_EPOCH).bind(key.as_uuid().as_bytes().as_slice());
        next.fetch_one(&self.writer).await.map_err(failed)
    }

    async fn forget_before(&self, moment_ms: i64) -> Result<(), PortError> {
        let before = id_at(moment_ms);
        let day = moment_ms.div_euclid(86_400_000) - DAYS_OF_TAGS;
        sqlx::query(FORGET_SUMS).bind(day).execute(&self.writer).await.map_err(failed)?;
        loop {
            let mut tx = self.writer.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
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
