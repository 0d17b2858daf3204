//! Several writes as one in PostgreSQL.

use async_trait::async_trait;

use super::PostgresStore;
use crate::domain::config_batch::Step;
use crate::domain::ids::Revision;
use crate::fault::{Kind, Outcome};
use crate::store::BatchStore;

#[async_trait]
impl BatchStore for PostgresStore {
    async fn apply(&self, _steps: &[Step], _expected: Revision) -> Outcome<Revision> {
        Err(Kind::Internal.into())
    }
}
