//! Several writes as one in SQLite.

use async_trait::async_trait;

use super::SqliteStore;
use crate::domain::config_batch::Step;
use crate::domain::ids::Revision;
use crate::fault::{Kind, Outcome};
use crate::store::BatchStore;

#[async_trait]
impl BatchStore for SqliteStore {
    async fn apply(&self, _steps: &[Step], _expected: Revision) -> Outcome<Revision> {
        Err(Kind::Internal.into())
    }
}
