//! Router settings, durable: one row.

use async_trait::async_trait;

use super::Write;
use crate::domain::ids::Revision;
use crate::domain::settings::{RouterSettings, StoredSettings};
use crate::fault::Outcome;
use crate::time::Timestamp;

/// Router settings, durable.
#[async_trait]
pub trait SettingsStore: Send + Sync {
    /// The settings; defaults at revision 0 and the epoch before the first write.
    ///
    /// # Errors
    /// `Internal` when the row cannot be understood; `Unavailable` when the store is.
    async fn get(&self) -> Outcome<StoredSettings>;

    /// Replaces them if their revision is still `expected`. Answers the new revision.
    ///
    /// # Errors
    /// `Stale`; `Unavailable`.
    async fn replace(
        &self,
        settings: &RouterSettings,
        at: Timestamp,
        expected: Revision,
        write: &Write,
    ) -> Outcome<Revision>;
}
