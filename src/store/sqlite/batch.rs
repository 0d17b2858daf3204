//! Several writes as one in SQLite.

use std::collections::BTreeSet;

use super::{SqliteStore, deployment, fallback, settings, virtual_key};
use crate::domain::config_batch::{MAX_STEPS, Step, StepChange};
use crate::domain::ids::Revision;
use crate::fault::{Fault, Kind, Outcome};
use crate::store::BatchStore;
use crate::store::batch::batch_store;
use crate::store::values::check_revision;

batch_store!(SqliteStore, as_it_is);

/// Nothing but the disk is waited for.
async fn as_it_is<T>(call: impl Future<Output = Outcome<T>>) -> Outcome<T> {
    call.await
}
