//! Records of finished requests in PostgreSQL, a partition for each day. A group is one transaction.

use std::collections::{BTreeSet, HashSet};

use async_trait::async_trait;
use sqlx::Row;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use super::errors::fault;
use super::statement::{query, query_scalar};
use super::sums::{DAYS, FORGET_SUMS, HOURS, TAGS};
use super::{PostgresStore, within};
use crate::domain::ids::VirtualKeyId;
use crate::domain::ports::{PortError, StoredSpend, UsageSink};
use crate::domain::record::OperationRecord;
use crate::domain::window::Window;
use crate::fault::Outcome;
use crate::store::sums::{Additions, DAYS_OF_TAGS};
use crate::store::usage::{Question, json, made_at, parts_of, port_error};

const DAY_MS: i64 = 86_400_000;
/// Bounds that hold within the transaction alone, so that they work behind a pooler.
const BEGIN: &str = "BEGIN; SET LOCAL lock_timeout = '5s'; SET LOCAL statement_timeout = '8s'; \
                     SET LOCAL idle_in_transaction_session_timeout = '15s'";

const OPERATIONS: &str = "
    INSERT INTO operations (
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
        id, request_id, key_id, public_model, served_model, deployment_id, provider, operation, contract,
        stream, outcome, degraded, estimated, http_status, input_tokens, cache_read_tokens,
        cache_write_tokens, audio_input_tokens, output_tokens, reasoning_tokens, audio_output_tokens, cost,
        upstream_cost, started_at, duration_ms, first_output_ms, request_bytes, dropped::text,
        finish_reason, error, error_detail, config_revision,
        tags::text, lane, cache_hit, service_tier, cache_write_1h_tokens, image_count, audio_ms, characters,
        search_units, hosted_calls, first_byte_ms, first_reasoning_ms, longest_gap_ms, blocked_ms,
        response_bytes, reasoning_requested, reasoning_effective, reasoning_clamped, error_class
    FROM jsonb_to_recordset($1::jsonb) AS given (
        id uuid, request_id text, key_id uuid, public_model text, served_model text, deployment_id uuid,
        provider text, operation text, contract text, stream boolean, outcome text, degraded boolean,
        estimated boolean, http_status integer, input_tokens bigint, cache_read_tokens bigint,
        cache_write_tokens bigint, audio_input_tokens bigint, output_tokens bigint,
        reasoning_tokens bigint, audio_output_tokens bigint, cost bigint, upstream_cost bigint,
        started_at bigint, duration_ms bigint, first_output_ms bigint, request_bytes bigint, dropped jsonb,
        finish_reason text, error text, error_detail text, config_revision bigint,
        tags jsonb, lane text, cache_hit boolean, service_tier text, cache_write_1h_tokens bigint,
        image_count bigint, audio_ms bigint, characters bigint, search_units bigint, hosted_calls bigint,
        first_byte_ms bigint, first_reasoning_ms bigint, longest_gap_ms bigint, blocked_ms bigint,
        response_bytes bigint, reasoning_requested text, reasoning_effective text, reasoning_clamped boolean,
        error_class text
    )
    ON CONFLICT (id) DO NOTHING
    RETURNING id";
const ATTEMPTS: &str = "
    INSERT INTO attempts (
        operation_id, number, deployment_id, provider, upstream_model, ok, class, http_status, detail,
        duration_ms, provider_request_id
    )
    SELECT
        operation_id, number, deployment_id, provider, upstream_model, ok, class, http_status, detail,
        duration_ms, provider_request_id
    FROM jsonb_to_recordset($1::jsonb) AS given (
        operation_id uuid, number integer, deployment_id uuid, provider text, upstream_model text,
        ok boolean, class text, http_status integer, detail text, duration_ms bigint,
        provider_request_id text
    )
    ON CONFLICT (operation_id, number) DO NOTHING";
const SPEND: &str = "
    INSERT INTO key_spend (key_id, epoch, period, period_start, spent)
    SELECT key_id, epoch, period, period_start, SUM(amount)::bigint FROM (
        SELECT given.key_id, given.\"window\" AS period, given.window_start AS period_start, given.amount,
               COALESCE(given.epoch, (SELECT MAX(epoch) FROM key_spend known WHERE known.key_id = given.key_id), 0) AS epoch
        FROM jsonb_to_recordset($1::jsonb)
             AS given (key_id uuid, epoch bigint, \"window\" text, window_start bigint, amount bigint)
    ) AS charges
    GROUP BY key_id, epoch, period, period_start ORDER BY key_id, epoch, period, period_start
    ON CONFLICT (key_id, epoch, period, period_start) DO UPDATE SET spent = key_spend.spent + excluded.spent";
const ASK: &str = "
    SELECT newest.epoch AS epoch, COALESCE((
        SELECT spent FROM key_spend
        WHERE key_id = newest.key_id AND epoch = newest.epoch AND period = newest.period
          AND period_start = newest.period_start
    ), 0) AS spent
    FROM (
        SELECT given.*, COALESCE((SELECT MAX(epoch) FROM key_spend known WHERE known.key_id = given.key_id), 0) AS epoch
        FROM ROWS FROM (jsonb_to_recordset($1::jsonb) AS (key_id uuid, period text, period_start bigint))
             WITH ORDINALITY AS given (key_id, period, period_start, number)
    ) AS newest ORDER BY newest.number";
const NEXT_EPOCH: &str = "
    INSERT INTO key_spend (key_id, epoch, period, period_start, spent)
    SELECT $1, COALESCE(MAX(epoch), 0) + 1, 'never', 0, 0 FROM key_spend WHERE key_id = $1
    RETURNING epoch";
const ASIDE: &str = "
    INSERT INTO set_aside_records (id, at, reason, record) VALUES ($1, $2, $3, $4)
    ON CONFLICT (id) DO NOTHING";

#[async_trait]
impl UsageSink for PostgresStore {
    async fn record(&self, records: &[OperationRecord]) -> Result<(), PortError> {
        let rows = json(records)?;
        let days: BTreeSet<i64> = records.iter().filter_map(|record| day_of(&record.id)).collect();
        let stored = async {
            let mut tx = self.pool.begin_with(BEGIN).await.map_err(fault)?;
            for day in days {
                query("SELECT usage_make_day($1)").bind(day).execute(&mut *tx).await.map_err(fault)?;
            }
            let ids: Vec<Uuid> = query_scalar(OPERATIONS).bind(&rows).fetch_all(&mut *tx).await.map_err(fault)?;
            let stored: HashSet<Uuid> = ids.into_iter().collect();
            let (attempts, charges) = parts_of(records, &stored);
            let Additions { hours, days, tags } = Additions::of(records, &stored);
            let texts = [
                (ATTEMPTS, json(&attempts), attempts.is_empty()),
                (TAGS, json(&tags), tags.is_empty()),
                (SPEND, json(&charges), charges.is_empty()),
                (HOURS, json(&hours), hours.is_empty()),
                (DAYS, json(&days), days.is_empty()),
            ];
            for (statement, text, is_empty) in texts {
                if !is_empty {
                    let text =
                        text.map_err(|error| crate::fault::Fault::new(crate::fault::Kind::Internal).because(error))?;
                    query(statement).bind(text).execute(&mut *tx).await.map_err(fault)?;
                }
            }
            tx.commit().await.map_err(fault)
        };
        within(stored).await.map_err(port_error)
    }

    async fn put_aside(&self, record: &OperationRecord, reason: &str) -> Result<(), PortError> {
        let text = json(record)?;
        let put = async {
            let mut tx = self.pool.begin_with(BEGIN).await.map_err(fault)?;
            let aside = query(ASIDE).bind(&record.id).bind(record.started_at).bind(reason).bind(&text);
            aside.execute(&mut *tx).await.map_err(fault)?;
            tx.commit().await.map_err(fault)
        };
        within(put).await.map_err(port_error)
    }

    async fn spend(&self, keys: &[(VirtualKeyId, Window)]) -> Result<Vec<StoredSpend>, PortError> {
        let questions = json(&Question::all(keys))?;
        let read = async {
            let mut tx = self.read().await?;
            let rows: Vec<PgRow> = query(ASK).bind(&questions).fetch_all(&mut *tx).await.map_err(fault)?;
            rows.iter().map(spend_of).collect()
        };
        within(read).await.map_err(port_error)
    }

    async fn next_epoch(&self, key: VirtualKeyId) -> Result<i64, PortError> {
        let next = async {
            let mut tx = self.pool.begin_with(BEGIN).await.map_err(fault)?;
            let epoch = query_scalar(NEXT_EPOCH).bind(key.as_uuid()).fetch_one(&mut *tx).await.map_err(fault)?;
            tx.commit().await.map_err(fault)?;
            Ok(epoch)
        };
        within(next).await.map_err(port_error)
    }

    async fn make_room(&self, from_ms: i64, to_ms: i64) -> Result<(), PortError> {
        let made = async {
            for day in from_ms.div_euclid(DAY_MS)..=to_ms.div_euclid(DAY_MS) {
                let mut tx = self.pool.begin_with(BEGIN).await.map_err(fault)?;
                query("SELECT usage_make_day($1)").bind(day).execute(&mut *tx).await.map_err(fault)?;
                tx.commit().await.map_err(fault)?;
            }
            Ok(())
        };
        within(made).await.map_err(port_error)
    }

    async fn forget_before(&self, moment_ms: i64) -> Result<(), PortError> {
        let forgotten = async {
            let mut tx = self.pool.begin_with(BEGIN).await.map_err(fault)?;
            let day = moment_ms.div_euclid(DAY_MS);
            query("SELECT usage_drop_before($1)").bind(day).execute(&mut *tx).await.map_err(fault)?;
            tx.commit().await.map_err(fault)?;
            let mut tx = self.pool.begin_with(BEGIN).await.map_err(fault)?;
            query(FORGET_SUMS).bind(day - DAYS_OF_TAGS).execute(&mut *tx).await.map_err(fault)?;
            tx.commit().await.map_err(fault)
        };
        within(forgotten).await.map_err(port_error)
    }
}

fn day_of(id: &str) -> Option<i64> {
    Uuid::parse_str(id).ok().map(|id| made_at(&id).div_euclid(DAY_MS))
}

fn spend_of(row: &PgRow) -> Outcome<StoredSpend> {
    let read = |column| row.try_get(column).map_err(fault);
    Ok(StoredSpend { epoch: read("epoch")?, spent: read("spent")? })
}
