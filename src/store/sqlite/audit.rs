//! The audit trail in SQLite.

use async_trait::async_trait;

use super::SqliteStore;
use super::errors::fault;
use super::rows::{Fields, Reason, id_text};
use crate::domain::audit::{AuditDraft, AuditEntry};
use crate::domain::ids::AuditId;
use crate::fault::Outcome;
use crate::store::audit::MAX_ENTRIES;
use crate::store::values::bad_row;
use crate::store::{AuditStore, BadRow};

#[async_trait]
impl AuditStore for SqliteStore {
    async fn note(&self, entry: &AuditDraft) -> Outcome<()> {
        let entry = sqlx::query(
            "INSERT INTO admin_audit
               (id, revision, at, actor, face, source, request_id, action, resource, before, after)
             SELECT ?1, revision, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10 FROM config_revision WHERE id = 1",
        )
        .bind(entry.id.as_uuid().as_bytes().as_slice())
        .bind(entry.at.unix_ms())
        .bind(entry.caller.actor)
        .bind(entry.caller.face)
        .bind(entry.caller.source.as_deref())
        .bind(entry.caller.request_id.as_deref())
        .bind(entry.action)
        .bind(entry.resource.as_str())
        .bind(entry.before.as_deref())
        .bind(entry.after.as_deref());
        self.execute(entry).await.map_err(fault)?;
        Ok(())
    }

    async fn list(&self, resource: Option<&str>, limit: u32) -> Outcome<Vec<AuditEntry>> {
        let limit = limit.clamp(1, MAX_ENTRIES);
        let query = match resource {
            Some(resource) => {
                sqlx::query("SELECT * FROM admin_audit WHERE resource = ?2 ORDER BY revision DESC, id DESC LIMIT ?1")
                    .bind(limit)
                    .bind(resource)
            }
            None => sqlx::query("SELECT * FROM admin_audit ORDER BY revision DESC, id DESC LIMIT ?1").bind(limit),
        };
        let rows = query.fetch_all(&self.readers).await.map_err(fault)?;
        rows.iter()
            .map(|row| {
                read(&Fields(row)).map_err(|reason| bad_row("audit entry", &BadRow { id: id_text(row), reason }))
            })
            .collect()
    }
}

fn read(row: &Fields<'_>) -> Result<AuditEntry, Reason> {
    Ok(AuditEntry {
        id: AuditId::from_uuid(row.uuid("id")?),
        at: row.time("at")?,
        actor: row.owned("actor")?,
        face: row.owned("face")?,
        source: row.optional_owned("source")?,
        request_id: row.optional_owned("request_id")?,
        action: row.owned("action")?,
        resource: row.owned("resource")?,
        before: row.optional_owned("before")?,
        after: row.optional_owned("after")?,
        revision: row.revision()?,
    })
}
