//! Several writes as one in PostgreSQL.

use std::collections::BTreeSet;

use super::{LOAD_PATIENCE, PostgresStore, deployment, fallback, settings, virtual_key, within_time};
use crate::domain::config_batch::{MAX_STEPS, Step, StepChange};
use crate::domain::ids::Revision;
use crate::fault::{Fault, Kind, Outcome};
use crate::store::BatchStore;
use crate::store::batch::batch_store;
use crate::store::values::check_revision;

batch_store!(PostgresStore, bounded);

async fn bounded<T>(call: impl Future<Output = Outcome<T>>) -> Outcome<T> {
    within_time(LOAD_PATIENCE, call).await
}
