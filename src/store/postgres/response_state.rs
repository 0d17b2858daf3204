//! Stored responses in PostgreSQL.

use async_trait::async_trait;
use sqlx::Row;
use sqlx::postgres::PgRow;

use super::errors::fault;
use super::rows::{Fields, Reason};
use super::statement::query;
use super::{PostgresStore, within};
use crate::domain::ports::{PortError, ResponseStates};
use crate::domain::response_state::{ResponseId, ResponseState, StateScope};
use crate::fault::{Fault, Kind, Outcome};
use crate::store::ResponseStateStore;
use crate::store::response_state::{MAX_EXPIRED, MAX_STATE_ENVELOPES, indexable, port_error};
use crate::time::Timestamp;

#[async_trait]
impl ResponseStates for PostgresStore {
    async fn ping(&self) -> Result<(), PortError> {
        let pinged = within(async {
            let mut tx = self.pool.begin().await.map_err(fault)?;
            query("SELECT 1").execute(&mut *tx).await.map(drop).map_err(fault)
        });
        pinged.await.map_err(|fault| port_error(&fault))
    }

    async fn save(&self, state: &ResponseState, item_ids: &[String]) -> Result<(), PortError> {
        within(self.keep(state, item_ids)).await.map_err(|fault| port_error(&fault))
    }

    async fn find(
        &self,
        scope: StateScope,
        id: ResponseId,
        now: Timestamp,
    ) -> Result<Option<ResponseState>, PortError> {
        let found = within(async {
            query(
                "SELECT id, scope, created_at, expires_at, envelope FROM response_states
                 WHERE id = $1 AND scope = $2 AND expires_at > $3",
            )
            .bind(id.as_uuid())
            .bind(scope.as_uuid())
            .bind(now.unix_ms())
            .fetch_optional(&mut *self.read().await?)
            .await
            .map_err(fault)
        });
        let row = found.await.map_err(|fault| port_error(&fault))?;
        row.map(|row| read(&row, scope).map_err(|what| PortError::Refused(what.into()))).transpose()
    }

    async fn find_item(&self, scope: StateScope, item_id: &str) -> Result<Option<ResponseId>, PortError> {
        // A text with a NUL is none to PostgreSQL, and no item has such an id.
        if item_id.contains('\0') {
            return Ok(None);
        }
        let found = within(async {
            query("SELECT response_id FROM response_items WHERE scope = $1 AND item_id = $2")
                .bind(scope.as_uuid())
                .bind(item_id)
                .fetch_optional(&mut *self.read().await?)
                .await
                .map_err(fault)
        });
        let row = found.await.map_err(|fault| port_error(&fault))?;
        row.map(|row| {
            Fields(&row).uuid("response_id").map(ResponseId::from_uuid).map_err(|what| PortError::Refused(what.into()))
        })
        .transpose()
    }

    async fn delete(&self, scope: StateScope, id: ResponseId, now: Timestamp) -> Result<bool, PortError> {
        let deleted = within(async {
            let mut tx = self.pool.begin().await.map_err(fault)?;
            let done = query("DELETE FROM response_states WHERE id = $1 AND scope = $2 AND expires_at > $3")
                .bind(id.as_uuid())
                .bind(scope.as_uuid())
                .bind(now.unix_ms())
                .execute(&mut *tx)
                .await
                .map_err(fault)?;
            tx.commit().await.map_err(fault)?;
            Ok(done.rows_affected() > 0)
        });
        deleted.await.map_err(|fault| port_error(&fault))
    }
}

#[async_trait]
impl ResponseStateStore for PostgresStore {
    async fn delete_expired(&self, now: Timestamp, limit: u32) -> Outcome<u64> {
        within(async {
            let mut tx = self.pool.begin().await.map_err(fault)?;
            // Replicas that clear up at the same time share the work.
            let done = query(
                "DELETE FROM response_states WHERE id IN
                   (SELECT id FROM response_states WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2
                    FOR UPDATE SKIP LOCKED)",
            )
            .bind(now.unix_ms())
            .bind(i64::from(limit.clamp(1, MAX_EXPIRED)))
            .execute(&mut *tx)
            .await
            .map_err(fault)?;
            tx.commit().await.map_err(fault)?;
            Ok(done.rows_affected())
        })
        .await
    }

    async fn state_envelopes(&self, after: Option<ResponseId>, limit: u32) -> Outcome<Vec<(ResponseId, Vec<u8>)>> {
        within(async {
            let rows = query("SELECT id, envelope FROM response_states WHERE id > $1 ORDER BY id LIMIT $2")
                .bind(after.map(|id| *id.as_uuid()).unwrap_or_default())
                .bind(i64::from(limit.clamp(1, MAX_STATE_ENVELOPES)))
                .fetch_all(&mut *self.read().await?)
                .await
                .map_err(fault)?;
            rows.iter()
                .map(|row| {
                    let id = Fields(row).uuid("id").map_err(|reason| Fault::new(Kind::Internal).because(reason))?;
                    Ok((ResponseId::from_uuid(id), row.try_get("envelope").map_err(fault)?))
                })
                .collect()
        })
        .await
    }

    async fn reseal_state(&self, id: ResponseId, from: &[u8], to: &[u8]) -> Outcome<bool> {
        within(async {
            let mut tx = self.pool.begin().await.map_err(fault)?;
            let done = query("UPDATE response_states SET envelope = $3 WHERE id = $1 AND envelope = $2")
                .bind(id.as_uuid())
                .bind(from)
                .bind(to)
                .execute(&mut *tx)
                .await
                .map_err(fault)?;
            tx.commit().await.map_err(fault)?;
            Ok(done.rows_affected() > 0)
        })
        .await
    }
}

impl PostgresStore {
    async fn keep(&self, state: &ResponseState, item_ids: &[String]) -> Outcome<()> {
        let mut tx = self.pool.begin().await.map_err(fault)?;
        query("INSERT INTO response_states (id, scope, created_at, expires_at, envelope) VALUES ($1, $2, $3, $4, $5)")
            .bind(state.id.as_uuid())
            .bind(state.scope.as_uuid())
            .bind(state.created_at.unix_ms())
            .bind(state.expires_at.unix_ms())
            .bind(state.envelope.as_slice())
            .execute(&mut *tx)
            .await
            .map_err(fault)?;
        let mut items = indexable(item_ids);
        // In one order everywhere, so that two writers never wait for each other; each once, as one statement must.
        items.sort_unstable();
        items.dedup();
        if !items.is_empty() {
            query(
                "INSERT INTO response_items (scope, item_id, response_id)
                 SELECT $1, item_id, $3 FROM unnest($2::text[]) AS item_id
                 ON CONFLICT (scope, item_id) DO UPDATE SET response_id = excluded.response_id",
            )
            .bind(state.scope.as_uuid())
            .bind(items)
            .bind(state.id.as_uuid())
            .execute(&mut *tx)
            .await
            .map_err(fault)?;
        }
        tx.commit().await.map_err(fault)
    }
}

fn read(row: &PgRow, scope: StateScope) -> Result<ResponseState, Reason> {
    let row = Fields(row);
    Ok(ResponseState {
        id: ResponseId::from_uuid(row.uuid("id")?),
        scope,
        created_at: row.time("created_at")?,
        expires_at: row.time("expires_at")?,
        envelope: row.bytes("envelope")?.to_vec(),
    })
}
