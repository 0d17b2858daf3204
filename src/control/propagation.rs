//! Brings the snapshot up to date with the store.

use std::sync::Arc;

use crate::catalog::Catalog;
use crate::domain::ids::Revision;
use crate::fault::{Kind, Outcome};
use crate::routing::Publisher;
use crate::store::Stores;
use crate::time::Clock;
use crate::vault::Keyring;

/// Reads what changed and puts it in force. One reader at a time.
pub struct Propagation {
    publisher: Arc<Publisher>,
}

impl std::fmt::Debug for Propagation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Propagation")
    }
}

impl Propagation {
    /// Feeds `publisher` from `stores`.
    #[must_use]
    pub fn new(
        _stores: Stores,
        _catalog: Arc<Catalog>,
        _keyring: Arc<Keyring>,
        publisher: Arc<Publisher>,
        _clock: Arc<dyn Clock>,
    ) -> Self {
        Self { publisher }
    }

    /// Loads everything and puts it in force.
    ///
    /// # Errors
    /// `Unavailable` when the store is.
    pub async fn load(&self) -> Outcome<()> {
        Err(Kind::Internal.into())
    }

    /// Reads what changed since the snapshot in force and puts it in force. Answers the revision then in force.
    ///
    /// # Errors
    /// `Unavailable` when the store is.
    pub async fn catch_up(&self) -> Outcome<Revision> {
        Err(Kind::Internal.into())
    }

    /// What holds the snapshot in force.
    #[must_use]
    pub fn publisher(&self) -> &Arc<Publisher> {
        &self.publisher
    }
}
