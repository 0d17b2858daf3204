//! Stored responses in SQLite.

use async_trait::async_trait;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::SqliteStore;
use super::errors::fault;
use super::rows::{Fields, Reason};
use crate::domain::ports::{PortError, ResponseStates};
use crate::domain::response_state::{ResponseId, ResponseState, StateScope};
use crate::fault::{Fault, Kind, Outcome};
use crate::store::ResponseStateStore;
use crate::store::response_state::{MAX_EXPIRED, MAX_STATE_ENVELOPES, indexable, port_error};
use crate::time::Timestamp;

#[async_trait]
impl ResponseStates for SqliteStore {
    async fn ping(&self) -> Result<(), PortError> {
        let pinged = sqlx::query("SELECT 1").execute(&self.readers).await.map(drop);
        pinged.map_err(|error| port_error(&fault(error)))
    }

    async fn save(&self, state: &ResponseState, item_ids: &[String]) -> Result<(), PortError> {
        self.keep(state, item_ids).await.map_err(|fault| port_error(&fault))
    }

    async fn find(
        &self,
        scope: StateScope,
        id: ResponseId,
        now: Timestamp,
    ) -> Result<Option<ResponseState>, PortError> {
        let row = sqlx::query(
            "SELECT id, scope, created_at, expires_at, envelope FROM response_states
             WHERE id = ?1 AND scope = ?2 AND expires_at > ?3",
        )
        .bind(key(id))
        .bind(scope_key(scope))
        .bind(now.unix_ms())
        .fetch_optional(&self.readers)
        .await
        .map_err(|error| port_error(&fault(error)))?;
        row.map(|row| read(&row, scope).map_err(|what| PortError::Refused(what.into()))).transpose()
    }

    async fn find_item(&self, scope: StateScope, item_id: &str) -> Result<Option<ResponseId>, PortError> {
        let row = sqlx::query("SELECT response_id FROM response_items WHERE scope = ?1 AND item_id = ?2")
            .bind(scope_key(scope))
            .bind(item_id)
            .fetch_optional(&self.readers)
            .await
            .map_err(|error| port_error(&fault(error)))?;
        row.map(|row| {
            Fields(&row).uuid("response_id").map(ResponseId::from_uuid).map_err(|what| PortError::Refused(what.into()))
        })
        .transpose()
    }

    async fn delete(&self, scope: StateScope, id: ResponseId, now: Timestamp) -> Result<bool, PortError> {
        let change = sqlx::query("DELETE FROM response_states WHERE id = ?1 AND scope = ?2 AND expires_at > ?3")
            .bind(key(id))
            .bind(scope_key(scope))
            .bind(now.unix_ms());
        let done = self.execute(change).await.map_err(|error| port_error(&fault(error)))?;
        Ok(done.rows_affected() > 0)
    }
}

#[async_trait]
impl ResponseStateStore for SqliteStore {
    async fn delete_expired(&self, now: Timestamp, limit: u32) -> Outcome<u64> {
        let change = sqlx::query(
            "DELETE FROM response_states WHERE id IN
               (SELECT id FROM response_states WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2)",
        )
        .bind(now.unix_ms())
        .bind(limit.clamp(1, MAX_EXPIRED));
        let done = self.execute(change).await.map_err(fault)?;
        Ok(done.rows_affected())
    }

    async fn state_envelopes(&self, after: Option<ResponseId>, limit: u32) -> Outcome<Vec<(ResponseId, Vec<u8>)>> {
        let rows = sqlx::query("SELECT id, envelope FROM response_states WHERE id > ?1 ORDER BY id LIMIT ?2")
            .bind(after.map(key).unwrap_or_default())
            .bind(limit.clamp(1, MAX_STATE_ENVELOPES))
            .fetch_all(&self.readers)
            .await
            .map_err(fault)?;
        rows.iter()
            .map(|row| {
                let id = Fields(row).uuid("id").map_err(|reason| Fault::new(Kind::Internal).because(reason))?;
                Ok((ResponseId::from_uuid(id), row.try_get("envelope").map_err(fault)?))
            })
            .collect()
    }

    async fn reseal_state(&self, id: ResponseId, from: &[u8], to: &[u8]) -> Outcome<bool> {
        let change = sqlx::query("UPDATE response_states SET envelope = ?3 WHERE id = ?1 AND envelope = ?2")
            .bind(key(id))
            .bind(from)
            .bind(to);
        let done = self.execute(change).await.map_err(fault)?;
        Ok(done.rows_affected() > 0)
    }
}

impl SqliteStore {
    async fn keep(&self, state: &ResponseState, item_ids: &[String]) -> Outcome<()> {
        let mut tx = self.begin().await.map_err(fault)?;
        sqlx::query(
            "INSERT INTO response_states (id, scope, created_at, expires_at, envelope) VALUES (?1, ?2, ?3, ?4, ?5)",
        )
        .bind(key(state.id))
        .bind(scope_key(state.scope))
        .bind(state.created_at.unix_ms())
        .bind(state.expires_at.unix_ms())
        .bind(state.envelope.as_slice())
        .execute(&mut *tx)
        .await
        .map_err(fault)?;
        for item in indexable(item_ids) {
            sqlx::query(
                "INSERT INTO response_items (scope, item_id, response_id) VALUES (?1, ?2, ?3)
                 ON CONFLICT (scope, item_id) DO UPDATE SET response_id = excluded.response_id",
            )
            .bind(scope_key(state.scope))
            .bind(item)
            .bind(key(state.id))
            .execute(&mut *tx)
            .await
            .map_err(fault)?;
        }
        tx.commit().await.map_err(fault)
    }
}

fn read(row: &SqliteRow, scope: StateScope) -> Result<ResponseState, Reason> {
    let row = Fields(row);
    Ok(ResponseState {
        id: ResponseId::from_uuid(row.uuid("id")?),
        scope,
        created_at: row.time("created_at")?,
        expires_at: row.time("expires_at")?,
        envelope: row.bytes("envelope")?.to_vec(),
    })
}

fn key(id: ResponseId) -> Vec<u8> {
    id.as_uuid().as_bytes().to_vec()
}

fn scope_key(scope: StateScope) -> Vec<u8> {
    scope.as_uuid().as_bytes().to_vec()
}
