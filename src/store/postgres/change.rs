//! The configuration revision and its change log in PostgreSQL.

use async_trait::async_trait;
use sqlx::Row;
use sqlx::postgres::PgRow;

use super::errors::fault;
use super::rows::{Fields, Reason};
use super::statement::{query, query_scalar};
use super::{LOOK_PATIENCE, PostgresStore, within_time};
use crate::domain::change::{ChangesSince, ConfigChange, ResourceKind};
use crate::domain::ids::Revision;
use crate::fault::{Fault, Kind, Outcome};
use crate::store::ChangeStore;

/// One statement, so that revision, reach and entries are of one state. With no entry, one row without one.
const CHANGES: &str = "
    SELECT now.revision AS current, (SELECT MIN(revision) FROM config_changes) AS oldest,
           changes.revision, changes.kind, changes.id, changes.deleted
    FROM config_revision AS now
    LEFT JOIN config_changes AS changes ON changes.revision > $1
    ORDER BY changes.revision, changes.kind, changes.id";

#[async_trait]
impl ChangeStore for PostgresStore {
    async fn revision(&self) -> Outcome<Revision> {
        within_time(LOOK_PATIENCE, async {
            query_scalar("SELECT revision FROM config_revision")
                .fetch_one(&mut *self.read().await?)
                .await
                .map(Revision)
                .map_err(fault)
        })
        .await
    }

    async fn changes_since(&self, seen: Revision) -> Outcome<ChangesSince> {
        within_time(LOOK_PATIENCE, async {
            let rows = query(CHANGES).bind(seen.0).fetch_all(&mut *self.read().await?).await.map_err(fault)?;
            let first = rows.first().ok_or_else(|| Fault::new(Kind::Internal).because("config_revision has no row"))?;
            let current: i64 = first.try_get("current").map_err(fault)?;
            let oldest: Option<i64> = first.try_get("oldest").map_err(fault)?;
            if seen.0 == current {
                return Ok(ChangesSince::Changes { changes: Vec::new(), revision: seen });
            }
            // Every revision has an entry, so the log reaches back to the revision before its oldest entry.
            let reaches = oldest.is_some_and(|oldest| oldest <= seen.0.saturating_add(1));
            if seen.0 > current || !reaches {
                return Ok(ChangesSince::Gap);
            }
            let changes = rows
                .iter()
                .map(read)
                .collect::<Result<_, _>>()
                .map_err(|reason| Fault::new(Kind::Internal).because(format!("change log: {reason}")))?;
            Ok(ChangesSince::Changes { changes, revision: Revision(current) })
        })
        .await
    }
}

fn read(row: &PgRow) -> Result<ConfigChange, Reason> {
    let row = Fields(row);
    Ok(ConfigChange {
        revision: row.revision()?,
        kind: ResourceKind::parse(row.text("kind")?).ok_or("kind holds an unknown word")?,
        id: row.owned("id")?,
        deleted: row.flag("deleted")?,
    })
}
