//! Opens the database and brings its schema up to date.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sqlx::SqlSafeStr;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};

use super::SqliteStore;
use super::errors::{fault, migration_fault};
use crate::fault::{Fault, Kind, Outcome};
use crate::store::write::LOG_REVISIONS;

/// How long a call waits for a connection or a lock before it answers `Unavailable`.
const PATIENCE: Duration = Duration::from_secs(5);
/// Connections that read a database file.
const READERS: u32 = 4;
/// Rows that a connection may be ahead of its reader.
const ROWS_AHEAD: usize = 512;

/// The schema's history, embedded: number, name and SQL of each file in `migrations/sqlite`.
pub(super) const MIGRATIONS: [(i64, &str, &str); 7] = [
    (1, "configuration", include_str!("../../../migrations/sqlite/0001_configuration.sql")),
    (2, "replicas", include_str!("../../../migrations/sqlite/0002_replicas.sql")),
    (3, "response_states", include_str!("../../../migrations/sqlite/0003_response_states.sql")),
    (4, "usage", include_str!("../../../migrations/sqlite/0004_usage.sql")),
    (5, "record_fields", include_str!("../../../migrations/sqlite/0005_record_fields.sql")),
    (6, "operation_queries", include_str!("../../../migrations/sqlite/0006_operation_queries.sql")),
    (7, "failures", include_str!("../../../migrations/sqlite/0007_failures.sql")),
];

/// Opens the database file, which is created with mode 0600 when there is none, and migrates it.
///
/// # Errors
/// `Unavailable` when the file cannot be opened, is no database, or was written by a newer version of the gateway.
pub async fn open(path: &Path) -> Outcome<SqliteStore> {
    create_private(path).await?;
    let options = base_options()
        .filename(path)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .optimize_on_close(true, None);
    let writer = pool_options(1).connect_with(options.clone()).await.map_err(|error| {
        Fault::new(Kind::Unavailable).say(format!("The database {} cannot be opened.", path.display())).because(error)
    })?;
    migrate(&writer).await?;
    // A reader cannot store what optimising finds out, and its closing would fail for that and not be waited for.
    let reading = options.optimize_on_close(false, None).pragma("query_only", "ON");
    let readers = pool_options(READERS).connect_lazy_with(reading);
    Ok(SqliteStore {
        writer,
        readers,
        log_revisions: LOG_REVISIONS,
        heartbeats: Arc::default(),
        waiting: Arc::default(),
    })
}

/// A fresh, migrated database in memory. It is gone when the store and its clones are.
///
/// # Errors
/// `Unavailable` when memory or threads are exhausted.
pub async fn open_in_memory() -> Outcome<SqliteStore> {
    // A private in-memory database belongs to one connection, which both sides share and which must never be recycled.
    let only = pool_options(1)
        .max_lifetime(None)
        .idle_timeout(None)
        .connect_with(base_options().filename(":memory:"))
        .await
        .map_err(fault)?;
    migrate(&only).await?;
    Ok(SqliteStore {
        writer: only.clone(),
        readers: only,
        log_revisions: LOG_REVISIONS,
        heartbeats: Arc::default(),
        waiting: Arc::default(),
    })
}

fn base_options() -> SqliteConnectOptions {
    SqliteConnectOptions::new().foreign_keys(true).busy_timeout(PATIENCE).row_buffer_size(ROWS_AHEAD)
}

fn pool_options(connections: u32) -> SqlitePoolOptions {
    // A connection to a file does not go stale, so none is tested before use.
    SqlitePoolOptions::new().max_connections(connections).acquire_timeout(PATIENCE).test_before_acquire(false)
}

async fn migrate(writer: &sqlx::SqlitePool) -> Outcome<()> {
    let migrations = MIGRATIONS.into_iter().map(|(number, name, sql)| {
        Migration::new(number, name.into(), MigrationType::Simple, sql.into_sql_str(), false)
    });
    Migrator::with_migrations(migrations.collect()).run(writer).await.map_err(migration_fault)
}

/// Creates the file before SQLite does, so that nobody else can read it at any moment. The files that SQLite puts next
/// to it take over its mode.
async fn create_private(path: &Path) -> Outcome<()> {
    let mut options = tokio::fs::OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    options.mode(0o600);
    options.open(path).await.map(drop).map_err(|error| {
        Fault::new(Kind::Unavailable)
            .say(format!("The database {} cannot be created or written.", path.display()))
            .because(error)
    })
}
