//! Virtual keys in PostgreSQL. Hashes only.

use async_trait::async_trait;
use futures_util::TryStreamExt;
use sqlx::Postgres;
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;

use uuid::Uuid;

use super::errors::fault;
use super::rows::{Fields, Reason, id_text};
use super::statement::{query, query_scalar};
use super::tx::WriteTx;
use super::{LOAD_PATIENCE, PostgresStore, within, within_time};
use crate::domain::change::ResourceKind;
use crate::domain::ids::{Revision, VirtualKeyId};
use crate::domain::money::NanoCents;
use crate::domain::page::{Page, PageRequest};
use crate::domain::virtual_key::{
    BudgetMode, BudgetReset, KeyHash, PreviousSecret, VirtualKey, VirtualKeyFilter, VirtualKeySpec,
};
use crate::fault::Outcome;
use crate::store::values::{bad_row, check_revision, missing, models_to_json, rows_wanted, to_page};
use crate::store::{BadRow, Created, Loaded, VirtualKeyStore, Write};

const NOUN: &str = "virtual key";
/// Rows fetched by one statement of a bulk read by id.
const IDS_PER_STATEMENT: usize = 1000;

const INSERT: &str = "
    INSERT INTO virtual_keys (
        id, revision, updated_at, hash, prefix, previous_hash, previous_valid_until, name, allowed_models,
        max_budget_nanocents, budget_reset, budget_mode, budget_wait_ms, rpm, tpm, max_parallel_requests, expires_at,
        enabled, metadata, created_at
    ) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)";
const UPDATE: &str = "
    UPDATE virtual_keys SET
        revision = $2, updated_at = $3, hash = $4, prefix = $5, previous_hash = $6, previous_valid_until = $7,
        name = $8, allowed_models = $9, max_budget_nanocents = $10, budget_reset = $11, budget_mode = $12,
        budget_wait_ms = $13, rpm = $14, tpm = $15, max_parallel_requests = $16, expires_at = $17, enabled = $18,
        metadata = $19
    WHERE id = $1";
const COUNT: &str = "
    SELECT COUNT(*) FROM (
        SELECT 1 FROM virtual_keys
        WHERE ($1 IS NULL OR enabled = $1)
          AND ($2 IS NULL OR strpos(lower(name), $2) > 0 OR strpos(lower(prefix), $2) > 0)
        LIMIT $3
    ) AS matching";
const LIST: &str = "
    SELECT * FROM virtual_keys
    WHERE ($1 IS NULL OR enabled = $1)
      AND ($2 IS NULL OR strpos(lower(name), $2) > 0 OR strpos(lower(prefix), $2) > 0)
      AND id > $3
    ORDER BY id LIMIT $4 OFFSET $5";

#[async_trait]
impl VirtualKeyStore for PostgresStore {
    async fn create(&self, virtual_key: &VirtualKey, write: &Write) -> Outcome<Created> {
        within(async {
            let mut tx = self.write().await?;
            if let Some(id) = tx.replayed(ResourceKind::VirtualKey, write).await? {
                return Ok(Created::Replayed(id));
            }
            insert(&mut tx, virtual_key).await?;
            tx.remember(ResourceKind::VirtualKey, virtual_key.id.as_uuid(), write).await?;
            tx.commit(write).await.map(Created::New)
        })
        .await
    }

    async fn find(&self, id: VirtualKeyId) -> Outcome<Option<VirtualKey>> {
        within(async {
            let row = query("SELECT * FROM virtual_keys WHERE id = $1")
                .bind(key(id))
                .fetch_optional(&mut *self.read().await?)
                .await
                .map_err(fault)?;
            row.as_ref().map(read).transpose().map_err(|bad| bad_row(NOUN, &bad))
        })
        .await
    }

    async fn list(&self, filter: &VirtualKeyFilter, page: &PageRequest) -> Outcome<Page<VirtualKey>> {
        within(async {
            let text = filter.text.as_deref().map(str::to_ascii_lowercase);
            let mut tx = self.read().await?;
            let total = query_scalar(COUNT)
                .bind(filter.enabled)
                .bind(text.as_deref())
                .bind(i64::from(PageRequest::MAX_OFFSET))
                .fetch_one(&mut *tx)
                .await
                .map_err(fault)?;
            let rows = query(LIST)
                .bind(filter.enabled)
                .bind(text.as_deref())
                .bind(page.after.unwrap_or_default())
                .bind(rows_wanted(page))
                .bind(i64::from(page.offset.min(PageRequest::MAX_OFFSET)))
                .fetch_all(&mut *tx)
                .await
                .map_err(fault)?;
            tx.commit().await.map_err(fault)?;
            let items = rows.iter().map(read).collect::<Result<_, _>>().map_err(|bad| bad_row(NOUN, &bad))?;
            Ok(to_page(items, total, page))
        })
        .await
    }

    async fn replace(&self, virtual_key: &VirtualKey, expected: Revision, write: &Write) -> Outcome<Revision> {
        within(async {
            let mut tx = self.write().await?;
            update(&mut tx, virtual_key, Some(expected)).await?;
            tx.commit(write).await
        })
        .await
    }

    async fn delete(&self, id: VirtualKeyId, expected: Option<Revision>, write: &Write) -> Outcome<Revision> {
        within(async {
            let mut tx = self.write().await?;
            remove(&mut tx, id, expected).await?;
            tx.commit(write).await
        })
        .await
    }

    async fn load(&self, ids: Option<&[VirtualKeyId]>) -> Outcome<Loaded<VirtualKey>> {
        within_time(LOAD_PATIENCE, async {
            let mut tx = self.read().await?;
            let mut loaded = Vec::new();
            let Some(ids) = ids else {
                let mut rows = query("SELECT * FROM virtual_keys").fetch(&mut *tx);
                while let Some(row) = rows.try_next().await.map_err(fault)? {
                    loaded.push(read(&row));
                }
                return Ok(loaded);
            };
            for chunk in ids.chunks(IDS_PER_STATEMENT) {
                let keys: Vec<Uuid> = chunk.iter().map(|id| *id.as_uuid()).collect();
                let rows = query("SELECT * FROM virtual_keys WHERE id = ANY($1) ORDER BY id")
                    .bind(keys)
                    .fetch_all(&mut *tx)
                    .await
                    .map_err(fault)?;
                loaded.extend(rows.iter().map(read));
            }
            Ok(loaded)
        })
        .await
    }
}

/// Inserts a row and logs it.
pub(super) async fn insert(tx: &mut WriteTx, virtual_key: &VirtualKey) -> Outcome<()> {
    bind(INSERT, virtual_key, tx.revision())?
        .bind(virtual_key.created_at.unix_ms())
        .execute(tx.conn())
        .await
        .map_err(fault)?;
    tx.log(ResourceKind::VirtualKey, &virtual_key.id.to_string(), false).await
}

/// Replaces a row, if it is at revision `expected`, and logs it.
pub(super) async fn update(tx: &mut WriteTx, virtual_key: &VirtualKey, expected: Option<Revision>) -> Outcome<()> {
    check_revision(NOUN, stored_revision(tx, virtual_key.id).await?, expected)?;
    bind(UPDATE, virtual_key, tx.revision())?.execute(tx.conn()).await.map_err(fault)?;
    tx.log(ResourceKind::VirtualKey, &virtual_key.id.to_string(), false).await
}

/// Deletes a row, if it is at revision `expected`, and logs it.
pub(super) async fn remove(tx: &mut WriteTx, id: VirtualKeyId, expected: Option<Revision>) -> Outcome<()> {
    check_revision(NOUN, stored_revision(tx, id).await?, expected)?;
    query("DELETE FROM virtual_keys WHERE id = $1").bind(key(id)).execute(tx.conn()).await.map_err(fault)?;
    tx.log(ResourceKind::VirtualKey, &id.to_string(), true).await
}

async fn stored_revision(tx: &mut WriteTx, id: VirtualKeyId) -> Outcome<Revision> {
    query_scalar("SELECT revision FROM virtual_keys WHERE id = $1")
        .bind(key(id))
        .fetch_optional(tx.conn())
        .await
        .map_err(fault)?
        .map(Revision)
        .ok_or_else(|| missing(NOUN))
}

fn key(id: VirtualKeyId) -> Uuid {
    *id.as_uuid()
}

/// Binds everything but the time of creation, which only an insertion writes.
fn bind(
    sql: &'static str,
    virtual_key: &VirtualKey,
    revision: Revision,
) -> Outcome<Query<'static, Postgres, PgArguments>> {
    let spec = &virtual_key.spec;
    Ok(query(sql)
        .bind(key(virtual_key.id))
        .bind(revision.0)
        .bind(virtual_key.updated_at.unix_ms())
        .bind(virtual_key.hash.0.as_slice())
        .bind(virtual_key.prefix.as_str())
        .bind(virtual_key.previous.as_ref().map(|previous| previous.hash.0.as_slice()))
        .bind(virtual_key.previous.map(|previous| previous.valid_until.unix_ms()))
        .bind(spec.name.as_str())
        .bind(models_to_json(&spec.allowed_models)?)
        .bind(spec.max_budget.map(|budget| budget.0))
        .bind(spec.budget_reset.map(BudgetReset::as_str))
        .bind(spec.budget_mode.map(BudgetMode::as_str))
        .bind(spec.budget_wait_ms.map(i64::from))
        .bind(spec.rpm.map(i64::from))
        .bind(spec.tpm.map(i64::from))
        .bind(spec.max_parallel_requests.map(i64::from))
        .bind(spec.expires_at.map(|at| at.unix_ms()))
        .bind(spec.enabled)
        .bind(spec.metadata.as_deref()))
}

fn read(row: &PgRow) -> Result<VirtualKey, BadRow> {
    read_fields(&Fields(row)).map_err(|reason| BadRow { id: id_text(row), reason })
}

fn read_fields(row: &Fields<'_>) -> Result<VirtualKey, Reason> {
    Ok(VirtualKey {
        id: VirtualKeyId::from_uuid(row.uuid("id")?),
        revision: row.revision()?,
        created_at: row.time("created_at")?,
        updated_at: row.time("updated_at")?,
        hash: read_hash("hash", row.bytes("hash")?)?,
        prefix: row.owned("prefix")?,
        previous: read_previous(row)?,
        spec: VirtualKeySpec {
            name: row.owned("name")?,
            allowed_models: row.models("allowed_models")?,
            max_budget: row.optional_number("max_budget_nanocents")?.map(NanoCents),
            budget_reset: row.optional_word("budget_reset", BudgetReset::parse)?,
            budget_mode: row.optional_word("budget_mode", BudgetMode::parse)?,
            budget_wait_ms: row.optional_number("budget_wait_ms")?,
            rpm: row.optional_number("rpm")?,
            tpm: row.optional_number("tpm")?,
            max_parallel_requests: row.optional_number("max_parallel_requests")?,
            expires_at: row.optional_time("expires_at")?,
            enabled: row.flag("enabled")?,
            metadata: row.optional_owned("metadata")?,
        },
    })
}

fn read_previous(row: &Fields<'_>) -> Result<Option<PreviousSecret>, Reason> {
    match (row.optional_bytes("previous_hash")?, row.optional_time("previous_valid_until")?) {
        (Some(hash), Some(valid_until)) => {
            Ok(Some(PreviousSecret { hash: read_hash("previous_hash", hash)?, valid_until }))
        }
        (None, None) => Ok(None),
        (Some(_), None) | (None, Some(_)) => Err("previous_hash and previous_valid_until do not match".to_owned()),
    }
}

fn read_hash(column: &'static str, bytes: &[u8]) -> Result<KeyHash, Reason> {
    bytes.try_into().map(KeyHash).map_err(|_| format!("{column} is not 32 bytes long"))
}
