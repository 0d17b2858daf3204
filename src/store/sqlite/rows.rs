//! Reads rows, distrusting them.

use serde::de::DeserializeOwned;
use sqlx::sqlite::SqliteRow;
use sqlx::{Decode, Row, Sqlite, Type};
use uuid::Uuid;

use crate::domain::ids::Revision;
use crate::domain::names::PublicModel;
use crate::store::values::{hex, readers};
use crate::time::Timestamp;

pub(super) use crate::store::values::Reason;

readers!(SqliteRow, Sqlite);

impl Fields<'_> {
    pub(super) fn uuid(&self, column: &'static str) -> Result<Uuid, Reason> {
        Uuid::from_slice(self.bytes(column)?).map_err(|_| format!("{column} is not a UUID"))
    }

    pub(super) fn optional_uuid(&self, column: &'static str) -> Result<Option<Uuid>, Reason> {
        let bytes = self.optional_bytes(column)?;
        bytes.map(|bytes| Uuid::from_slice(bytes).map_err(|_| format!("{column} is not a UUID"))).transpose()
    }
}

/// A row's `id` column as text, whatever it holds.
pub(super) fn id_text(row: &SqliteRow) -> String {
    match row.try_get::<&[u8], _>("id") {
        Ok(id) => Uuid::from_slice(id).map_or_else(|_| hex(id), |id| id.to_string()),
        Err(_) => "unreadable".to_owned(),
    }
}
