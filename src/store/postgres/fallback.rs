//! Fallback chains in PostgreSQL.

use async_trait::async_trait;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};

use super::deployment::has_deployment;
use super::errors::fault;
use super::rows::{Fields, Reason};
use super::statement::{query, query_scalar};
use super::tx::WriteTx;
use super::{PostgresStore, within};
use crate::domain::change::{ResourceKind, chain_key};
use crate::domain::fallback::{FallbackChain, FallbackReason, Pruned, check_targets, prune};
use crate::domain::ids::Revision;
use crate::domain::names::PublicModel;
use crate::domain::page::{Page, PageRequest};
use crate::fault::{Fault, Outcome};
use crate::store::values::{bad_row, check_revision, missing, models_to_json, rows_wanted, to_page};
use crate::store::{BadRow, FallbackStore, Loaded, Write};
use crate::time::Timestamp;

const NOUN: &str = "fallback chain";

#[async_trait]
impl FallbackStore for PostgresStore {
    async fn find(&self, primary: &str, reason: FallbackReason) -> Outcome<Option<FallbackChain>> {
        within(async {
            let row = query("SELECT * FROM fallback_chains WHERE primary_model = $1 AND reason = $2")
                .bind(primary)
                .bind(reason.as_str())
                .fetch_optional(&mut *self.read().await?)
                .await
                .map_err(fault)?;
            row.as_ref().map(read).transpose().map_err(|bad| bad_row(NOUN, &bad))
        })
        .await
    }

    async fn list(&self, primary: Option<&str>, page: &PageRequest) -> Outcome<Page<FallbackChain>> {
        within(async {
            let mut tx = self.read().await?;
            let total = query_scalar(
                "SELECT COUNT(*) FROM (
                SELECT 1 FROM fallback_chains WHERE ($1 IS NULL OR primary_model = $1) LIMIT $2
             ) AS matching",
            )
            .bind(primary)
            .bind(i64::from(PageRequest::MAX_OFFSET))
            .fetch_one(&mut *tx)
            .await
            .map_err(fault)?;
            let rows = query(
                "SELECT * FROM fallback_chains WHERE ($1 IS NULL OR primary_model = $1)
             ORDER BY primary_model, reason LIMIT $2 OFFSET $3",
            )
            .bind(primary)
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

    async fn set(&self, chain: &FallbackChain, expected: Option<Revision>, write: &Write) -> Outcome<Revision> {
        within(async {
            let mut tx = self.write().await?;
            let stored = stored_revision(&mut tx, chain.primary.as_str(), chain.reason).await?;
            check_revision(NOUN, stored.unwrap_or_default(), expected)?;
            put_checked(&mut tx, chain).await?;
            tx.commit(write).await
        })
        .await
    }

    async fn delete(
        &self,
        primary: &str,
        reason: FallbackReason,
        expected: Option<Revision>,
        write: &Write,
    ) -> Outcome<Revision> {
        within(async {
            let mut tx = self.write().await?;
            delete_chain(&mut tx, primary, reason, expected).await?;
            tx.commit(write).await
        })
        .await
    }

    async fn load(&self) -> Outcome<Loaded<FallbackChain>> {
        within(async {
            let mut tx = self.read().await?;
            load_all(&mut tx).await
        })
        .await
    }
}

/// The chains that name this model, as `(primary, reason)`, in the order of the list.
pub(super) async fn chains_naming(tx: &mut WriteTx, model: &str) -> Outcome<Vec<(PublicModel, FallbackReason)>> {
    let chains = load_all(tx.conn()).await?;
    // A chain that cannot be understood is not in force and holds nothing back.
    let naming = chains.into_iter().flatten().filter(|chain| prune(chain, model) != Pruned::Untouched);
    Ok(naming.map(|chain| (chain.primary, chain.reason)).collect())
}

/// Takes a model that ceased to exist out of every chain.
pub(super) async fn prune_chains(tx: &mut WriteTx, gone: &str, at: Timestamp) -> Outcome<()> {
    for chain in load_all(tx.conn()).await?.into_iter().flatten() {
        match prune(&chain, gone) {
            Pruned::Untouched => {}
            Pruned::Shortened(targets) => put(tx, &FallbackChain { targets, updated_at: at, ..chain }).await?,
            Pruned::Deleted => remove(tx, chain.primary.as_str(), chain.reason).await?,
        }
    }
    Ok(())
}

async fn load_all(connection: &mut PgConnection) -> Outcome<Loaded<FallbackChain>> {
    let rows = query("SELECT * FROM fallback_chains ORDER BY primary_model, reason")
        .fetch_all(connection)
        .await
        .map_err(fault)?;
    Ok(rows.iter().map(read).collect())
}

async fn stored_revision(tx: &mut WriteTx, primary: &str, reason: FallbackReason) -> Outcome<Option<Revision>> {
    let revision = query_scalar("SELECT revision FROM fallback_chains WHERE primary_model = $1 AND reason = $2")
        .bind(primary)
        .bind(reason.as_str())
        .fetch_optional(tx.conn())
        .await
        .map_err(fault)?;
    Ok(revision.map(Revision))
}

/// Writes a chain whose models all have deployments.
pub(super) async fn put_checked(tx: &mut WriteTx, chain: &FallbackChain) -> Outcome<()> {
    check_models_exist(tx, chain).await?;
    put(tx, chain).await
}

/// Deletes a chain, if it is at revision `expected`.
pub(super) async fn delete_chain(
    tx: &mut WriteTx,
    primary: &str,
    reason: FallbackReason,
    expected: Option<Revision>,
) -> Outcome<()> {
    let stored = stored_revision(tx, primary, reason).await?.ok_or_else(|| missing(NOUN))?;
    check_revision(NOUN, stored, expected)?;
    remove(tx, primary, reason).await
}

async fn check_models_exist(tx: &mut WriteTx, chain: &FallbackChain) -> Outcome<()> {
    let primary = ("primaryModel".to_owned(), &chain.primary);
    let targets = chain.targets.iter().enumerate().map(|(index, model)| (format!("fallbackModels[{index}]"), model));
    for (field, model) in std::iter::once(primary).chain(targets) {
        if !has_deployment(tx, model.as_str()).await? {
            return Err(Fault::invalid(field, format!("there is no deployment of `{model}`")));
        }
    }
    Ok(())
}

async fn put(tx: &mut WriteTx, chain: &FallbackChain) -> Outcome<()> {
    query(
        "INSERT INTO fallback_chains (primary_model, reason, revision, updated_at, targets)
         VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (primary_model, reason) DO UPDATE SET
            revision = excluded.revision, updated_at = excluded.updated_at, targets = excluded.targets",
    )
    .bind(chain.primary.as_str())
    .bind(chain.reason.as_str())
    .bind(tx.revision().0)
    .bind(chain.updated_at.unix_ms())
    .bind(models_to_json(&chain.targets)?)
    .execute(tx.conn())
    .await
    .map_err(fault)?;
    tx.log(ResourceKind::FallbackChain, &chain_key(chain.primary.as_str(), chain.reason.as_str()), false).await
}

async fn remove(tx: &mut WriteTx, primary: &str, reason: FallbackReason) -> Outcome<()> {
    query("DELETE FROM fallback_chains WHERE primary_model = $1 AND reason = $2")
        .bind(primary)
        .bind(reason.as_str())
        .execute(tx.conn())
        .await
        .map_err(fault)?;
    tx.log(ResourceKind::FallbackChain, &chain_key(primary, reason.as_str()), true).await
}

fn read(row: &PgRow) -> Result<FallbackChain, BadRow> {
    read_fields(&Fields(row)).map_err(|reason| BadRow { id: key_text(row), reason })
}

fn read_fields(row: &Fields<'_>) -> Result<FallbackChain, Reason> {
    let chain = FallbackChain {
        primary: row.model("primary_model")?,
        reason: row.text("reason")?.parse().map_err(|_| "reason holds an unknown word")?,
        targets: row.models("targets")?,
        revision: row.revision()?,
        updated_at: row.time("updated_at")?,
    };
    check_targets(&chain.primary, &chain.targets).map_err(|why| format!("targets {why}"))?;
    Ok(chain)
}

fn key_text(row: &PgRow) -> String {
    match (row.try_get("primary_model"), row.try_get("reason")) {
        (Ok(primary), Ok(reason)) => chain_key(primary, reason),
        (Err(_), _) | (_, Err(_)) => "unreadable".to_owned(),
    }
}
