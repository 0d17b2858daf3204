//! A write: one transaction of the row, the next revision, its change-log entries, the audit entry and, for creations,
//! the idempotency record. Dropped before [`WriteTx::commit`], it leaves nothing behind.

use sqlx::sqlite::{SqliteArguments, SqliteConnection, SqliteQueryResult, SqliteRow};
use sqlx::{Row, Sqlite, Transaction};
use uuid::Uuid;

use super::errors::fault;
use super::{BEGIN, SqliteStore};
use crate::domain::audit::AuditDraft;
use crate::domain::change::ResourceKind;
use crate::domain::ids::Revision;
use crate::fault::{Fault, Kind, Outcome};
use crate::store::Write;
use crate::store::write::IDEMPOTENCY_MS;

/// A write under way.
pub(super) struct WriteTx {
    tx: Transaction<'static, Sqlite>,
    revision: Revision,
    log_revisions: i64,
}

impl SqliteStore {
    /// Begins a write and takes the next revision.
    pub(super) async fn write(&self) -> Outcome<WriteTx> {
        let mut tx = self.begin().await.map_err(fault)?;
        let revision = sqlx::query_scalar("UPDATE config_revision SET revision = revision + 1 RETURNING revision")
            .fetch_one(&mut *tx)
            .await
            .map_err(fault)?;
        Ok(WriteTx { tx, revision: Revision(revision), log_revisions: self.log_revisions })
    }

    /// Begins a write.
    pub(super) async fn begin(&self) -> Result<Transaction<'static, Sqlite>, sqlx::Error> {
        self.turn(self.writer.begin_with(BEGIN)).await
    }

    /// One statement that is a write of its own and no change of configuration.
    pub(super) async fn execute(
        &self,
        statement: sqlx::query::Query<'_, Sqlite, SqliteArguments>,
    ) -> Result<SqliteQueryResult, sqlx::Error> {
        let mut tx = self.begin().await?;
        let done = statement.execute(&mut *tx).await?;
        tx.commit().await?;
        Ok(done)
    }

    /// Begins a read of several statements that shall see one state.
    pub(super) async fn read(&self) -> Outcome<Transaction<'static, Sqlite>> {
        self.readers.begin().await.map_err(fault)
    }
}

impl WriteTx {
    /// The connection, inside the transaction.
    pub(super) fn conn(&mut self) -> &mut SqliteConnection {
        &mut self.tx
    }

    /// The revision this write makes.
    pub(super) fn revision(&self) -> Revision {
        self.revision
    }

    /// Notes that a row changed.
    pub(super) async fn log(&mut self, kind: ResourceKind, id: &str, deleted: bool) -> Outcome<()> {
        sqlx::query(
            "INSERT INTO config_changes (revision, kind, id, deleted) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (revision, kind, id) DO UPDATE SET deleted = excluded.deleted",
        )
        .bind(self.revision.0)
        .bind(kind.as_str())
        .bind(id)
        .bind(deleted)
        .execute(self.conn())
        .await
        .map_err(fault)?;
        Ok(())
    }

    /// The resource that the write's `request_id` created before, if it did and is remembered.
    pub(super) async fn replayed(&mut self, kind: ResourceKind, write: &Write) -> Outcome<Option<Uuid>> {
        let Some(idempotency) = &write.idempotency else { return Ok(None) };
        let row: Option<SqliteRow> = sqlx::query(
            "SELECT fingerprint, resource_id FROM idempotency_keys
             WHERE kind = ?1 AND request_id = ?2 AND created_at >= ?3",
        )
        .bind(kind.as_str())
        .bind(&idempotency.request_id)
        .bind(forgotten_before(write))
        .fetch_optional(self.conn())
        .await
        .map_err(fault)?;
        let Some(row) = row else { return Ok(None) };
        let fingerprint: &[u8] = row.try_get("fingerprint").map_err(fault)?;
        if fingerprint != idempotency.fingerprint {
            return Err(Fault::new(Kind::AlreadyExists)
                .say("The request_id was already used for a different request.")
                .param("request_id"));
        }
        let resource: &[u8] = row.try_get("resource_id").map_err(fault)?;
        Uuid::from_slice(resource).map(Some).map_err(|error| Fault::new(Kind::Internal).because(error))
    }

    /// Remembers what the write's `request_id` created, and forgets what is older than a day.
    pub(super) async fn remember(&mut self, kind: ResourceKind, resource: &Uuid, write: &Write) -> Outcome<()> {
        let Some(idempotency) = &write.idempotency else { return Ok(()) };
        sqlx::query("DELETE FROM idempotency_keys WHERE created_at < ?1")
            .bind(forgotten_before(write))
            .execute(self.conn())
            .await
            .map_err(fault)?;
        sqlx::query(
            "INSERT INTO idempotency_keys (kind, request_id, fingerprint, resource_id, created_at)
             VALUES (?1, ?2, ?3, ?4, ?5)",
        )
        .bind(kind.as_str())
        .bind(&idempotency.request_id)
        .bind(idempotency.fingerprint.as_slice())
        .bind(resource.as_bytes().as_slice())
        .bind(write.audit.at.unix_ms())
        .execute(self.conn())
        .await
        .map_err(fault)?;
        Ok(())
    }

    /// Records the audit entry, cuts the change log to its length and commits.
    pub(super) async fn commit(self, write: &Write) -> Outcome<Revision> {
        self.commit_all(std::iter::once(&write.audit)).await
    }

    /// The same with several audit entries.
    pub(super) async fn commit_all(mut self, entries: impl Iterator<Item = &AuditDraft> + Send) -> Outcome<Revision> {
        let revision = self.revision;
        for entry in entries {
            self.record(entry).await?;
        }
        let cut = revision.0.saturating_sub(self.log_revisions);
        sqlx::query("DELETE FROM config_changes WHERE revision <= ?1")
            .bind(cut)
            .execute(self.conn())
            .await
            .map_err(fault)?;
        self.tx.commit().await.map_err(fault)?;
        Ok(revision)
    }

    async fn record(&mut self, audit: &AuditDraft) -> Outcome<()> {
        sqlx::query(
            "INSERT INTO admin_audit
               (id, revision, at, actor, face, source, request_id, action, resource, before, after)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        )
        .bind(audit.id.as_uuid().as_bytes().as_slice())
        .bind(self.revision.0)
        .bind(audit.at.unix_ms())
        .bind(audit.caller.actor)
        .bind(audit.caller.face)
        .bind(audit.caller.source.as_deref())
        .bind(audit.caller.request_id.as_deref())
        .bind(audit.action)
        .bind(audit.resource.as_str())
        .bind(audit.before.as_deref())
        .bind(audit.after.as_deref())
        .execute(self.conn())
        .await
        .map_err(fault)?;
        Ok(())
    }
}

fn forgotten_before(write: &Write) -> i64 {
    write.audit.at.unix_ms().saturating_sub(IDEMPOTENCY_MS)
}
