//! The database in a temporary file of SQLite.

use std::path::PathBuf;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteSynchronous};
use sqlx::{AssertSqlSafe, Connection};
use tempfile::TempDir;
use unified_gateway::store::sqlite::{self, SqliteStore};
use unified_gateway::time::{Clock, SystemClock};

use crate::{DAY_MS, DAYS, Outcome, now};

const LOAD: &str = include_str!("bigdata_sqlite.sql");
/// The tags and sums of what is loaded, as the migration makes them of what is there.
const MIGRATION: &str = include_str!("../migrations/sqlite/0006_operation_queries.sql");

/// A file of its own.
pub(crate) struct Base {
    pub(crate) store: SqliteStore,
    path: PathBuf,
    folder: TempDir,
}

impl Base {
    pub(crate) async fn open() -> Outcome<Self> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("gateway.db");
        Ok(Self { store: sqlite::open(&path).await?, path, folder })
    }

    /// Indexes are made when the rows are there, which takes a tenth of the time.
    pub(crate) async fn load(&self, rows: u64) -> Outcome<String> {
        let began = now();
        let mut connection = self.connection().await?;
        let indexes = indexes(&mut connection).await?;
        for (name, _) in &indexes {
            run(&mut connection, format!("DROP INDEX {name}")).await?;
        }
        let moment = SystemClock.now().unix_ms();
        let load = LOAD
            .replace("$ROWS", &rows.to_string())
            .replace("$DAYS", &DAYS.to_string())
            .replace("$TODAY", &moment.div_euclid(DAY_MS).to_string())
            .replace("$NOW", &moment.to_string());
        run(&mut connection, load).await?;
        for (_, statement) in indexes {
            run(&mut connection, statement).await?;
        }
        let backfill = MIGRATION
            .split_once("INSERT INTO operation_tags")
            .map(|(_, rest)| format!("INSERT INTO operation_tags{rest}"));
        run(&mut connection, backfill.ok_or("the migration has no sums")?).await?;
        run(&mut connection, "PRAGMA wal_checkpoint(TRUNCATE)".to_owned()).await?;
        let (count, sums): (i64, i64) =
            sqlx::query_as("SELECT (SELECT COUNT(*) FROM operations), (SELECT COUNT(*) FROM usage_days)")
                .fetch_one(&mut connection)
                .await?;
        connection.close().await?;
        let (mib, took) = (std::fs::metadata(&self.path)?.len() / (1 << 20), began.elapsed().as_secs());
        Ok(format!("{count} rows loaded in {took} s: {mib} MiB; {sums} sums by day"))
    }

    pub(crate) async fn without_indexes(&self) -> Outcome<()> {
        let mut connection = self.connection().await?;
        for (name, _) in indexes(&mut connection).await? {
            if !["operations_key", "operations_request"].contains(&name.as_str()) {
                run(&mut connection, format!("DROP INDEX {name}")).await?;
            }
        }
        Ok(connection.close().await?)
    }

    pub(crate) async fn close(self) -> Outcome<()> {
        self.store.close().await;
        Ok(self.folder.close()?)
    }

    async fn connection(&self) -> Outcome<SqliteConnection> {
        let options = SqliteConnectOptions::new().filename(&self.path).synchronous(SqliteSynchronous::Off);
        Ok(SqliteConnection::connect_with(&options.pragma("cache_size", "-500000")).await?)
    }
}

/// Names of the indexes of records, and how they are made.
async fn indexes(connection: &mut SqliteConnection) -> Outcome<Vec<(String, String)>> {
    let indexes = "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND tbl_name = 'operations' AND sql <> ''";
    Ok(sqlx::query_as(indexes).fetch_all(connection).await?)
}

async fn run(connection: &mut SqliteConnection, statement: String) -> Outcome<()> {
    sqlx::raw_sql(AssertSqlSafe(statement)).execute(connection).await?;
    Ok(())
}
