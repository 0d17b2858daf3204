//! Virtual keys in SQLite. Hashes only.

use std::borrow::Cow;

use async_trait::async_trait;
use futures_util::TryStreamExt;
use serde::Deserialize;
use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqliteConnection, SqliteRow};
use sqlx::{Row, Sqlite};
use uuid::Uuid;

use super::SqliteStore;
use super::errors::fault;
use super::rows::{Fields, Reason, id_text};
use super::tx::WriteTx;
use crate::domain::change::ResourceKind;
use crate::domain::ids::{Revision, VirtualKeyId};
use crate::domain::money::NanoCents;
use crate::domain::names::PublicModel;
use crate::domain::page::{Page, PageRequest};
use crate::domain::virtual_key::{
    BudgetMode, BudgetReset, KeyHash, PreviousSecret, VirtualKey, VirtualKeyFilter, VirtualKeySpec,
};
use crate::fault::Outcome;
use crate::store::values::{bad_row, check_revision, hex, missing, models_to_json, rows_wanted, to_json, to_page};
use crate::store::{BadRow, Created, Loaded, VirtualKeyStore, Write};
use crate::time::Timestamp;

const NOUN: &str = "virtual key";
/// Rows fetched by one statement of a bulk read by id.
const IDS_PER_STATEMENT: usize = 1000;

const INSERT: &str = "
    INSERT INTO virtual_keys (
        id, revision, updated_at, hash, prefix, previous_hash, previous_valid_until, name, allowed_models,
        max_budget_nanocents, budget_reset, budget_mode, budget_wait_ms, rpm, tpm, max_parallel_requests, expires_at,
        enabled, metadata, created_at
    ) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20)";
const UPDATE: &str = "
    UPDATE virtual_keys SET
        revision = ?2, updated_at = ?3, hash = ?4, prefix = ?5, previous_hash = ?6, previous_valid_until = ?7,
        name = ?8, allowed_models = ?9, max_budget_nanocents = ?10, budget_reset = ?11, budget_mode = ?12,
        budget_wait_ms = ?13, rpm = ?14, tpm = ?15, max_parallel_requests = ?16, expires_at = ?17, enabled = ?18,
        metadata = ?19
    WHERE id = ?1";
const COUNT: &str = "
    SELECT COUNT(*) FROM (
        SELECT 1 FROM virtual_keys
        WHERE (?1 IS NULL OR enabled = ?1)
          AND (?2 IS NULL OR instr(lower(name), ?2) OR instr(lower(prefix), ?2))
        LIMIT ?3
    )";
const LIST: &str = "
    SELECT * FROM virtual_keys
    WHERE (?1 IS NULL OR enabled = ?1)
      AND (?2 IS NULL OR instr(lower(name), ?2) OR instr(lower(prefix), ?2))
      AND id > ?3
    ORDER BY id LIMIT ?4 OFFSET ?5";

/// All keys, with what is no blob as one JSON array: a value costs more on its way here than it takes to be read, and there
/// are twenty in a row.
const PACKED: &str = "
    SELECT id, hash, previous_hash, json_array(
        revision, created_at, updated_at, prefix, previous_valid_until, name, allowed_models, max_budget_nanocents,
        budget_reset, budget_mode, budget_wait_ms, rpm, tpm, max_parallel_requests, expires_at, enabled, metadata
    ) FROM virtual_keys";

#[async_trait]
impl VirtualKeyStore for SqliteStore {
    async fn create(&self, virtual_key: &VirtualKey, write: &Write) -> Outcome<Created> {
        let mut tx = self.write().await?;
        if let Some(id) = tx.replayed(ResourceKind::VirtualKey, write).await? {
            return Ok(Created::Replayed(id));
        }
        insert(&mut tx, virtual_key).await?;
        tx.remember(ResourceKind::VirtualKey, virtual_key.id.as_uuid(), write).await?;
        tx.commit(write).await.map(Created::New)
    }

    async fn find(&self, id: VirtualKeyId) -> Outcome<Option<VirtualKey>> {
        let row = sqlx::query("SELECT * FROM virtual_keys WHERE id = ?1")
            .bind(key(id))
            .fetch_optional(&self.readers)
            .await
            .map_err(fault)?;
        row.as_ref().map(read).transpose().map_err(|bad| bad_row(NOUN, &bad))
    }

    async fn list(&self, filter: &VirtualKeyFilter, page: &PageRequest) -> Outcome<Page<VirtualKey>> {
        let text = filter.text.as_deref().map(str::to_ascii_lowercase);
        let mut tx = self.read().await?;
        let total = sqlx::query_scalar(COUNT)
            .bind(filter.enabled)
            .bind(text.as_deref())
            .bind(PageRequest::MAX_OFFSET)
            .fetch_one(&mut *tx)
            .await
            .map_err(fault)?;
        let rows = sqlx::query(LIST)
            .bind(filter.enabled)
            .bind(text.as_deref())
            .bind(page.after.map(|id| id.as_bytes().to_vec()).unwrap_or_default())
            .bind(rows_wanted(page))
            .bind(page.offset.min(PageRequest::MAX_OFFSET))
            .fetch_all(&mut *tx)
            .await
            .map_err(fault)?;
        tx.commit().await.map_err(fault)?;
        let items = rows.iter().map(read).collect::<Result<_, _>>().map_err(|bad| bad_row(NOUN, &bad))?;
        Ok(to_page(items, total, page))
    }

    async fn replace(&self, virtual_key: &VirtualKey, expected: Revision, write: &Write) -> Outcome<Revision> {
        let mut tx = self.write().await?;
        update(&mut tx, virtual_key, Some(expected)).await?;
        tx.commit(write).await
    }

    async fn delete(&self, id: VirtualKeyId, expected: Option<Revision>, write: &Write) -> Outcome<Revision> {
        let mut tx = self.write().await?;
        remove(&mut tx, id, expected).await?;
        tx.commit(write).await
    }

    async fn load(&self, ids: Option<&[VirtualKeyId]>) -> Outcome<Loaded<VirtualKey>> {
        let mut tx = self.read().await?;
        let mut loaded = Vec::new();
        let Some(ids) = ids else {
            return load_all(&mut tx).await;
        };
        for chunk in ids.chunks(IDS_PER_STATEMENT) {
            let keys: Vec<String> = chunk.iter().map(|id| hex(id.as_uuid().as_bytes())).collect();
            let rows = sqlx::query(
                "SELECT * FROM virtual_keys WHERE id IN (SELECT unhex(value) FROM json_each(?1)) ORDER BY id",
            )
            .bind(to_json(&keys)?)
            .fetch_all(&mut *tx)
            .await
            .map_err(fault)?;
            loaded.extend(rows.iter().map(read));
        }
        Ok(loaded)
    }
}

async fn load_all(connection: &mut SqliteConnection) -> Outcome<Loaded<VirtualKey>> {
    let count: i64 =
        sqlx::query_scalar("SELECT COUNT(*) FROM virtual_keys").fetch_one(&mut *connection).await.map_err(fault)?;
    let mut loaded = Vec::with_capacity(usize::try_from(count).unwrap_or_default());
    let mut odd: Vec<Vec<u8>> = Vec::new();
    {
        let mut rows = sqlx::query(PACKED).fetch(&mut *connection);
        while let Some(row) = rows.try_next().await.map_err(fault)? {
            match unpack(&row) {
                Some(virtual_key) => loaded.push(Ok(virtual_key)),
                None => odd.push(row.try_get(0).map_err(fault)?),
            }
        }
    }
    // What is wrong with a row is said by column.
    for id in odd {
        let row = sqlx::query("SELECT * FROM virtual_keys WHERE id = ?1").bind(id).fetch_one(&mut *connection).await;
        loaded.push(read(&row.map_err(fault)?));
    }
    Ok(loaded)
}

/// The array of a row of [`PACKED`].
#[derive(Deserialize)]
struct Packed<'r> {
    revision: i64,
    created_at: i64,
    updated_at: i64,
    prefix: String,
    previous_valid_until: Option<i64>,
    name: String,
    #[serde(borrow)]
    allowed_models: Cow<'r, str>,
    max_budget: Option<i64>,
    budget_reset: Option<String>,
    budget_mode: Option<String>,
    budget_wait_ms: Option<u32>,
    rpm: Option<u32>,
    tpm: Option<u32>,
    max_parallel_requests: Option<u32>,
    expires_at: Option<i64>,
    enabled: u8,
    metadata: Option<String>,
}

/// `None`: there is something wrong with the row.
fn unpack(row: &SqliteRow) -> Option<VirtualKey> {
    let hash = |bytes: &[u8]| bytes.try_into().map(KeyHash).ok();
    let packed: Packed<'_> = serde_json::from_str(row.try_get(3).ok()?).ok()?;
    let previous_hash: Option<&[u8]> = row.try_get(2).ok()?;
    let previous = match (previous_hash, packed.previous_valid_until) {
        (None, None) => None,
        (Some(bytes), Some(at)) => {
            Some(PreviousSecret { hash: hash(bytes)?, valid_until: Timestamp::from_unix_ms(at) })
        }
        (Some(_), None) | (None, Some(_)) => return None,
    };
    // In both a word that is not known is wrong.
    let reset = packed.budget_reset.as_deref().map(BudgetReset::parse);
    let mode = packed.budget_mode.as_deref().map(BudgetMode::parse);
    let models: Vec<Cow<'_, str>> = serde_json::from_str(&packed.allowed_models).ok()?;
    Some(VirtualKey {
        id: VirtualKeyId::from_uuid(Uuid::from_slice(row.try_get(0).ok()?).ok()?),
        revision: Revision(packed.revision),
        created_at: Timestamp::from_unix_ms(packed.created_at),
        updated_at: Timestamp::from_unix_ms(packed.updated_at),
        hash: hash(row.try_get(1).ok()?)?,
        prefix: packed.prefix,
        previous,
        spec: VirtualKeySpec {
            name: packed.name,
            allowed_models: models.iter().map(|name| PublicModel::parse(name)).collect::<Result<_, _>>().ok()?,
            max_budget: packed.max_budget.map(NanoCents),
            budget_reset: if reset == Some(None) { return None } else { reset.flatten() },
            budget_mode: if mode == Some(None) { return None } else { mode.flatten() },
            budget_wait_ms: packed.budget_wait_ms,
            rpm: packed.rpm,
            tpm: packed.tpm,
            max_parallel_requests: packed.max_parallel_requests,
            expires_at: packed.expires_at.map(Timestamp::from_unix_ms),
            enabled: packed.enabled == 1,
            metadata: packed.metadata,
        },
    })
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
    sqlx::query("DELETE FROM virtual_keys WHERE id = ?1").bind(key(id)).execute(tx.conn()).await.map_err(fault)?;
    tx.log(ResourceKind::VirtualKey, &id.to_string(), true).await
}

async fn stored_revision(tx: &mut WriteTx, id: VirtualKeyId) -> Outcome<Revision> {
    sqlx::query_scalar("SELECT revision FROM virtual_keys WHERE id = ?1")
        .bind(key(id))
        .fetch_optional(tx.conn())
        .await
        .map_err(fault)?
        .map(Revision)
        .ok_or_else(|| missing(NOUN))
}

fn key(id: VirtualKeyId) -> Vec<u8> {
    id.as_uuid().as_bytes().to_vec()
}

/// Binds everything but the time of creation, which only an insertion writes.
fn bind(
    sql: &'static str,
    virtual_key: &VirtualKey,
    revision: Revision,
) -> Outcome<Query<'static, Sqlite, SqliteArguments>> {
    let spec = &virtual_key.spec;
    Ok(sqlx::query(sql)
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
        .bind(spec.budget_wait_ms)
        .bind(spec.rpm)
        .bind(spec.tpm)
        .bind(spec.max_parallel_requests)
        .bind(spec.expires_at.map(|at| at.unix_ms()))
        .bind(spec.enabled)
        .bind(spec.metadata.as_deref()))
}

fn read(row: &SqliteRow) -> Result<VirtualKey, BadRow> {
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
