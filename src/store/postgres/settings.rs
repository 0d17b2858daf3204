//! Router settings in PostgreSQL: one row, absent until they are first written.

use async_trait::async_trait;

use super::errors::fault;
use super::rows::{Fields, Reason};
use super::statement::{query, query_scalar};
use super::tx::WriteTx;
use super::{PostgresStore, within};

use crate::domain::change::ResourceKind;
use crate::domain::ids::Revision;
use crate::domain::settings::{RouterSettings, StoredSettings};
use crate::fault::Outcome;
use crate::store::values::{bad_row, check_revision, to_json};
use crate::store::{BadRow, SettingsStore, Write};
use crate::time::Timestamp;

const NOUN: &str = "router settings";

#[async_trait]
impl SettingsStore for PostgresStore {
    async fn get(&self) -> Outcome<StoredSettings> {
        within(async {
            let row = query("SELECT revision, updated_at, settings FROM router_settings")
                .fetch_optional(&mut *self.read().await?)
                .await
                .map_err(fault)?;
            match row {
                Some(row) => read(&Fields(&row)).map_err(|reason| bad_row(NOUN, &BadRow { id: String::new(), reason })),
                None => Ok(StoredSettings {
                    settings: RouterSettings::default(),
                    revision: Revision::default(),
                    updated_at: Timestamp::default(),
                }),
            }
        })
        .await
    }

    async fn replace(
        &self,
        settings: &RouterSettings,
        at: Timestamp,
        expected: Revision,
        write: &Write,
    ) -> Outcome<Revision> {
        within(async {
            let mut tx = self.write().await?;
            let stored: Option<i64> =
                query_scalar("SELECT revision FROM router_settings").fetch_optional(tx.conn()).await.map_err(fault)?;
            check_revision(NOUN, stored.map(Revision).unwrap_or_default(), Some(expected))?;
            put(&mut tx, settings, at).await?;
            tx.commit(write).await
        })
        .await
    }
}

/// Replaces the row and logs it.
pub(super) async fn put(tx: &mut WriteTx, settings: &RouterSettings, at: Timestamp) -> Outcome<()> {
    query(
        "INSERT INTO router_settings (id, revision, updated_at, settings) VALUES (1, $1, $2, $3)
             ON CONFLICT (id) DO UPDATE SET
                revision = excluded.revision, updated_at = excluded.updated_at, settings = excluded.settings",
    )
    .bind(tx.revision().0)
    .bind(at.unix_ms())
    .bind(to_json(settings)?)
    .execute(tx.conn())
    .await
    .map_err(fault)?;
    tx.log(ResourceKind::RouterSettings, "", false).await
}

fn read(row: &Fields<'_>) -> Result<StoredSettings, Reason> {
    Ok(StoredSettings {
        settings: row.json("settings")?,
        revision: row.revision()?,
        updated_at: row.time("updated_at")?,
    })
}
