//! Heartbeats in PostgreSQL, by the clock of the database.

use std::time::Duration;

use async_trait::async_trait;

use super::errors::fault;
use super::rows::{Fields, Reason, id_text};
use super::statement::query;
use super::{PostgresStore, within};
use crate::domain::replica::{FORGOTTEN_AFTER, Heartbeat, Replica, ReplicaId};
use crate::fault::Outcome;
use crate::store::values::bad_row;
use crate::store::{BadRow, ReplicaStore};

const BEAT: &str = "
    INSERT INTO replicas (id, host, version, started_at, revision, quarantined, draining, seen_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, clock_timestamp())
    ON CONFLICT (id) DO UPDATE SET
        revision = excluded.revision, quarantined = excluded.quarantined, draining = excluded.draining,
        seen_at = excluded.seen_at";
const LIST: &str = "
    SELECT id, host, version, started_at, revision, quarantined, draining,
           GREATEST(0, EXTRACT(EPOCH FROM clock_timestamp() - seen_at) * 1000)::BIGINT AS silent_ms
    FROM replicas ORDER BY id";

#[async_trait]
impl ReplicaStore for PostgresStore {
    async fn beat(&self, heartbeat: &Heartbeat) -> Outcome<()> {
        within(async {
            let mut tx = self.pool.begin().await.map_err(fault)?;
            query(BEAT)
                .bind(heartbeat.id.as_uuid())
                .bind(heartbeat.host.as_str())
                .bind(heartbeat.version.as_str())
                .bind(heartbeat.started_at.unix_ms())
                .bind(heartbeat.revision.0)
                .bind(i64::from(heartbeat.quarantined))
                .bind(heartbeat.is_draining)
                .execute(&mut *tx)
                .await
                .map_err(fault)?;
            let seconds = i64::try_from(FORGOTTEN_AFTER.as_secs()).unwrap_or(i64::MAX);
            query("DELETE FROM replicas WHERE seen_at < clock_timestamp() - $1 * interval '1 second'")
                .bind(seconds)
                .execute(&mut *tx)
                .await
                .map_err(fault)?;
            tx.commit().await.map_err(fault)
        })
        .await
    }

    async fn list(&self) -> Outcome<Vec<Replica>> {
        within(async {
            let mut tx = self.read().await?;
            let rows = query(LIST).fetch_all(&mut *tx).await.map_err(fault)?;
            rows.iter()
                .map(|row| {
                    read(&Fields(row)).map_err(|reason| bad_row("replica", &BadRow { id: id_text(row), reason }))
                })
                .collect()
        })
        .await
    }

    async fn retire(&self, id: ReplicaId) -> Outcome<()> {
        within(async {
            let mut tx = self.pool.begin().await.map_err(fault)?;
            query("DELETE FROM replicas WHERE id = $1").bind(id.as_uuid()).execute(&mut *tx).await.map_err(fault)?;
            tx.commit().await.map_err(fault)
        })
        .await
    }
}

fn read(row: &Fields<'_>) -> Result<Replica, Reason> {
    Ok(Replica {
        heartbeat: Heartbeat {
            id: ReplicaId::from_uuid(row.uuid("id")?),
            host: row.owned("host")?,
            version: row.owned("version")?,
            started_at: row.time("started_at")?,
            revision: row.revision()?,
            quarantined: row.number("quarantined")?,
            is_draining: row.flag("draining")?,
        },
        silent_for: Duration::from_millis(row.number("silent_ms")?),
    })
}
