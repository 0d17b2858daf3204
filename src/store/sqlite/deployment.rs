//! Deployments in SQLite.

use async_trait::async_trait;
use futures_util::TryStreamExt;
use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{Row, Sqlite};

use super::SqliteStore;
use super::errors::fault;
use super::fallback::{chains_naming, prune_chains};
use super::rows::{Fields, Reason, id_text};
use super::tx::WriteTx;
use crate::domain::change::ResourceKind;
use crate::domain::deployment::{Deployment, DeploymentFilter, DeploymentSpec};
use crate::domain::ids::{DeploymentId, Revision};
use crate::domain::page::{Page, PageRequest};
use crate::domain::secret::SealedCredentials;
use crate::fault::{Fault, Kind, Outcome};
use crate::store::deployment::MAX_ENVELOPES;
use crate::store::values::{bad_row, check_revision, hex, missing, rows_wanted, to_json, to_optional_json, to_page};
use crate::store::{BadRow, Created, DeploymentStore, Loaded, Write};

const NOUN: &str = "deployment";
/// Rows fetched by one statement of a bulk read by id.
const IDS_PER_STATEMENT: usize = 1000;

const INSERT: &str = "
    INSERT INTO deployments (
        id, revision, updated_at, public_model, provider, upstream_model, catalog_model, catalog_entry, pricing,
        transport_overrides, label, metadata, enabled, weight, priority, rpm_limit, tpm_limit, failure_domain,
        credentials, credential_fields, created_at
    ) VALUES (
        ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21
    )";
const UPDATE: &str = "
    UPDATE deployments SET
        revision = ?2, updated_at = ?3, public_model = ?4, provider = ?5, upstream_model = ?6, catalog_model = ?7,
        catalog_entry = ?8, pricing = ?9, transport_overrides = ?10, label = ?11, metadata = ?12, enabled = ?13,
        weight = ?14, priority = ?15, rpm_limit = ?16, tpm_limit = ?17, failure_domain = ?18, credentials = ?19,
        credential_fields = ?20
    WHERE id = ?1";
const COUNT: &str = "
    SELECT COUNT(*) FROM (
        SELECT 1 FROM deployments
        WHERE (?1 IS NULL OR enabled = ?1)
          AND (?2 IS NULL OR public_model = ?2)
          AND (?3 IS NULL OR provider = ?3)
          AND (?4 IS NULL OR instr(lower(public_model), ?4) OR instr(lower(upstream_model), ?4)
               OR instr(lower(label), ?4))
        LIMIT ?5
    )";
const LIST: &str = "
    SELECT * FROM deployments
    WHERE (?1 IS NULL OR enabled = ?1)
      AND (?2 IS NULL OR public_model = ?2)
      AND (?3 IS NULL OR provider = ?3)
      AND (?4 IS NULL OR instr(lower(public_model), ?4) OR instr(lower(upstream_model), ?4)
           OR instr(lower(label), ?4))
      AND id > ?5
    ORDER BY id LIMIT ?6 OFFSET ?7";

#[async_trait]
impl DeploymentStore for SqliteStore {
    async fn create(&self, deployment: &Deployment, write: &Write) -> Outcome<Created> {
        let mut tx = self.write().await?;
        if let Some(id) = tx.replayed(ResourceKind::Deployment, write).await? {
            return Ok(Created::Replayed(id));
        }
        insert(&mut tx, deployment).await?;
        tx.remember(ResourceKind::Deployment, deployment.id.as_uuid(), write).await?;
        tx.commit(write).await.map(Created::New)
    }

    async fn find(&self, id: DeploymentId) -> Outcome<Option<Deployment>> {
        let row = sqlx::query("SELECT * FROM deployments WHERE id = ?1")
            .bind(key(id))
            .fetch_optional(&self.readers)
            .await
            .map_err(fault)?;
        row.as_ref().map(read).transpose().map_err(|bad| bad_row(NOUN, &bad))
    }

    async fn list(&self, filter: &DeploymentFilter, page: &PageRequest) -> Outcome<Page<Deployment>> {
        let text = filter.text.as_deref().map(str::to_ascii_lowercase);
        let mut tx = self.read().await?;
        let total = sqlx::query_scalar(COUNT)
            .bind(filter.enabled)
            .bind(filter.public_model.as_deref())
            .bind(filter.provider.as_deref())
            .bind(text.as_deref())
            .bind(PageRequest::MAX_OFFSET)
            .fetch_one(&mut *tx)
            .await
            .map_err(fault)?;
        let rows = sqlx::query(LIST)
            .bind(filter.enabled)
            .bind(filter.public_model.as_deref())
            .bind(filter.provider.as_deref())
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

    async fn replace(&self, deployment: &Deployment, expected: Revision, write: &Write) -> Outcome<Revision> {
        let mut tx = self.write().await?;
        let model = update(&mut tx, deployment, Some(expected)).await?;
        if model != deployment.spec.public_model.as_str() {
            check_not_orphaned(&mut tx, &model).await?;
        }
        tx.commit(write).await
    }

    async fn delete(&self, id: DeploymentId, expected: Option<Revision>, write: &Write) -> Outcome<Revision> {
        let mut tx = self.write().await?;
        let model = remove(&mut tx, id, expected).await?;
        if !has_deployment(&mut tx, &model).await? {
            prune_chains(&mut tx, &model, write.audit.at).await?;
        }
        tx.commit(write).await
    }

    async fn load(&self, ids: Option<&[DeploymentId]>) -> Outcome<Loaded<Deployment>> {
        let mut tx = self.read().await?;
        let mut loaded = Vec::new();
        let Some(ids) = ids else {
            let mut rows = sqlx::query("SELECT * FROM deployments").fetch(&mut *tx);
            while let Some(row) = rows.try_next().await.map_err(fault)? {
                loaded.push(read(&row));
            }
            return Ok(loaded);
        };
        for chunk in ids.chunks(IDS_PER_STATEMENT) {
            let keys: Vec<String> = chunk.iter().map(|id| hex(id.as_uuid().as_bytes())).collect();
            let rows = sqlx::query(
                "SELECT * FROM deployments WHERE id IN (SELECT unhex(value) FROM json_each(?1)) ORDER BY id",
            )
            .bind(to_json(&keys)?)
            .fetch_all(&mut *tx)
            .await
            .map_err(fault)?;
            loaded.extend(rows.iter().map(read));
        }
        Ok(loaded)
    }

    async fn envelopes(&self, after: Option<DeploymentId>, limit: u32) -> Outcome<Vec<(DeploymentId, Vec<u8>)>> {
        let rows = sqlx::query("SELECT id, credentials FROM deployments WHERE id > ?1 ORDER BY id LIMIT ?2")
            .bind(after.map(key).unwrap_or_default())
            .bind(limit.clamp(1, MAX_ENVELOPES))
            .fetch_all(&self.readers)
            .await
            .map_err(fault)?;
        rows.iter()
            .map(|row| {
                let id = Fields(row).uuid("id").map_err(|reason| Fault::new(Kind::Internal).because(reason))?;
                Ok((DeploymentId::from_uuid(id), row.try_get("credentials").map_err(fault)?))
            })
            .collect()
    }

    async fn reseal(&self, id: DeploymentId, from: &[u8], to: &[u8]) -> Outcome<bool> {
        let change = sqlx::query("UPDATE deployments SET credentials = ?3 WHERE id = ?1 AND credentials = ?2")
            .bind(key(id))
            .bind(from)
            .bind(to);
        let done = self.execute(change).await.map_err(fault)?;
        Ok(done.rows_affected() > 0)
    }
}

/// What a write has to know of the row it changes. Readable even when the rest of the row is not.
struct Stored {
    revision: Revision,
    public_model: String,
}

impl Stored {
    async fn get(tx: &mut WriteTx, id: DeploymentId) -> Outcome<Self> {
        let row = sqlx::query("SELECT revision, public_model FROM deployments WHERE id = ?1")
            .bind(key(id))
            .fetch_optional(tx.conn())
            .await
            .map_err(fault)?
            .ok_or_else(|| missing(NOUN))?;
        Ok(Self {
            revision: Revision(row.try_get("revision").map_err(fault)?),
            public_model: row.try_get("public_model").map_err(fault)?,
        })
    }
}

/// Inserts a row and logs it.
pub(super) async fn insert(tx: &mut WriteTx, deployment: &Deployment) -> Outcome<()> {
    bind(INSERT, deployment, tx.revision())?
        .bind(deployment.created_at.unix_ms())
        .execute(tx.conn())
        .await
        .map_err(fault)?;
    tx.log(ResourceKind::Deployment, &deployment.id.to_string(), false).await
}

/// Replaces a row, if it is at revision `expected`, and logs it. Answers the public model it had.
pub(super) async fn update(tx: &mut WriteTx, deployment: &Deployment, expected: Option<Revision>) -> Outcome<String> {
    let stored = Stored::get(tx, deployment.id).await?;
    check_revision(NOUN, stored.revision, expected)?;
    bind(UPDATE, deployment, tx.revision())?.execute(tx.conn()).await.map_err(fault)?;
    tx.log(ResourceKind::Deployment, &deployment.id.to_string(), false).await?;
    Ok(stored.public_model)
}

/// Deletes a row, if it is at revision `expected`, and logs it. Answers the public model it had.
pub(super) async fn remove(tx: &mut WriteTx, id: DeploymentId, expected: Option<Revision>) -> Outcome<String> {
    let stored = Stored::get(tx, id).await?;
    check_revision(NOUN, stored.revision, expected)?;
    sqlx::query("DELETE FROM deployments WHERE id = ?1").bind(key(id)).execute(tx.conn()).await.map_err(fault)?;
    tx.log(ResourceKind::Deployment, &id.to_string(), true).await?;
    Ok(stored.public_model)
}

/// Whether any deployment, enabled or not, has this public model.
pub(super) async fn has_deployment(tx: &mut WriteTx, public_model: &str) -> Outcome<bool> {
    sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM deployments WHERE public_model = ?1)")
        .bind(public_model)
        .fetch_one(tx.conn())
        .await
        .map_err(fault)
}

async fn check_not_orphaned(tx: &mut WriteTx, public_model: &str) -> Outcome<()> {
    if has_deployment(tx, public_model).await? {
        return Ok(());
    }
    let chains = chains_naming(tx, public_model).await?;
    let Some((primary, reason)) = chains.first() else { return Ok(()) };
    Err(Fault::new(Kind::InUse)
        .say(format!(
            "This is the last deployment of `{public_model}`, which the fallback chain of `{primary}` ({reason}) names; \
             change the chain first or add a deployment of `{public_model}`."
        ))
        .param("publicModel"))
}

fn key(id: DeploymentId) -> Vec<u8> {
    id.as_uuid().as_bytes().to_vec()
}

/// Binds everything but the time of creation, which only an insertion writes.
fn bind(
    sql: &'static str,
    deployment: &Deployment,
    revision: Revision,
) -> Outcome<Query<'static, Sqlite, SqliteArguments>> {
    let spec = &deployment.spec;
    Ok(sqlx::query(sql)
        .bind(key(deployment.id))
        .bind(revision.0)
        .bind(deployment.updated_at.unix_ms())
        .bind(spec.public_model.as_str())
        .bind(spec.provider.as_str())
        .bind(spec.upstream_model.as_str())
        .bind(spec.catalog_model.as_deref())
        .bind(to_optional_json(spec.catalog_entry.as_ref())?)
        .bind(to_optional_json(spec.pricing.as_ref())?)
        .bind(to_json(&spec.transport_overrides)?)
        .bind(spec.label.as_deref())
        .bind(spec.metadata.as_deref())
        .bind(spec.enabled)
        .bind(spec.weight)
        .bind(spec.priority)
        .bind(spec.rpm_limit)
        .bind(spec.tpm_limit)
        .bind(spec.failure_domain.as_deref())
        .bind(deployment.credentials.envelope.as_slice())
        .bind(to_json(&deployment.credentials.fields)?))
}

fn read(row: &SqliteRow) -> Result<Deployment, BadRow> {
    read_fields(&Fields(row)).map_err(|reason| BadRow { id: id_text(row), reason })
}

fn read_fields(row: &Fields<'_>) -> Result<Deployment, Reason> {
    Ok(Deployment {
        id: DeploymentId::from_uuid(row.uuid("id")?),
        revision: row.revision()?,
        created_at: row.time("created_at")?,
        updated_at: row.time("updated_at")?,
        spec: DeploymentSpec {
            public_model: row.model("public_model")?,
            provider: row.owned("provider")?,
            upstream_model: row.owned("upstream_model")?,
            catalog_model: row.optional_owned("catalog_model")?,
            catalog_entry: row.optional_json("catalog_entry")?,
            pricing: row.optional_json("pricing")?,
            transport_overrides: row.json("transport_overrides")?,
            label: row.optional_owned("label")?,
            metadata: row.optional_owned("metadata")?,
            enabled: row.flag("enabled")?,
            weight: row.number("weight")?,
            priority: row.number("priority")?,
            rpm_limit: row.optional_number("rpm_limit")?,
            tpm_limit: row.optional_number("tpm_limit")?,
            failure_domain: row.optional_owned("failure_domain")?,
        },
        credentials: SealedCredentials {
            envelope: row.bytes("credentials")?.to_vec(),
            fields: row.json("credential_fields")?,
        },
    })
}
