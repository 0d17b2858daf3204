//! The backends under test, each able to make fresh stores.

use std::any::Any;

use crate::store::Stores;
use crate::store::postgres;
use crate::store::postgres::tests::database::TestDatabase;
use crate::store::sqlite::{self, SqliteStore};
use crate::store::write::LOG_REVISIONS;

/// A backend under test.
#[derive(Debug, Clone, Copy)]
pub(in crate::store) enum Backend {
    /// SQLite in memory: one connection.
    SqliteMemory,
    /// SQLite in a file: readers and the writer have their own connections.
    SqliteFile,
    /// PostgreSQL: a database of its own on the server of `UNIFIED_TEST_DATABASE_URL`.
    Postgres,
}

/// Fresh, empty stores; what they live in goes when this is dropped.
pub(in crate::store) struct Fresh {
    pub(in crate::store) stores: Stores,
    _home: Box<dyn Any + Send>,
}

impl Backend {
    pub(in crate::store) async fn open(self) -> Fresh {
        self.open_with_log_of(LOG_REVISIONS).await
    }

    /// With a change log that keeps so many revisions.
    pub(in crate::store) async fn open_with_log_of(self, revisions: i64) -> Fresh {
        match self {
            Self::SqliteMemory => fresh(sqlite::open_in_memory().await.unwrap(), revisions, ()),
            Self::SqliteFile => {
                let dir = tempfile::tempdir().unwrap();
                let store = sqlite::open(&dir.path().join("gateway.db")).await.unwrap();
                fresh(store, revisions, dir)
            }
            Self::Postgres => {
                let database = TestDatabase::create().await;
                let store = postgres::open(&database.settings()).unwrap().with_log_of(revisions);
                store.migrate().await.unwrap();
                Fresh { stores: store.stores(), _home: Box::new(database) }
            }
        }
    }
}

fn fresh(store: SqliteStore, log_revisions: i64, home: impl Any + Send) -> Fresh {
    Fresh { stores: store.with_log_of(log_revisions).stores(), _home: Box::new(home) }
}
