//! Reads rows, distrusting them.

use serde::de::DeserializeOwned;
use sqlx::postgres::PgRow;
use sqlx::{Decode, Postgres, Row, Type};
use uuid::Uuid;

use crate::domain::ids::Revision;
use crate::domain::names::PublicModel;
use crate::store::values::readers;
use crate::time::Timestamp;

pub(super) use crate::store::values::Reason;

readers!(PgRow, Postgres);

impl Fields<'_> {
    pub(super) fn uuid(&self, column: &'static str) -> Result<Uuid, Reason> {
        self.get(column)
    }

    pub(super) fn optional_uuid(&self, column: &'static str) -> Result<Option<Uuid>, Reason> {
        self.get(column)
    }
}

/// A row's `id` column as text, whatever it holds.
pub(super) fn id_text(row: &PgRow) -> String {
    row.try_get::<Uuid, _>("id").map_or_else(|_| "unreadable".to_owned(), |id| id.to_string())
}
