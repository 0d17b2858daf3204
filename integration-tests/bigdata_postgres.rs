//! The database in PostgreSQL.

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, Connection};
use unified_gateway::store::postgres::{self, PostgresSettings, PostgresStore};

use crate::{DAYS, Outcome, now};

const DATABASE: &str = "unified_bigdata";
const LOAD: &str = include_str!("bigdata.sql");
/// The sums of what is loaded, as the migration makes them of what is there.
const MIGRATION: &str = include_str!("../migrations/postgres/0006_operation_queries.sql");

/// A database of its own.
pub(crate) struct Base {
    pub(crate) store: PostgresStore,
    server: String,
    url: String,
}

impl Base {
    pub(crate) async fn open(server: &str) -> Outcome<Self> {
        let mut admin = PgConnection::connect(server).await?;
        run(&mut admin, format!("DROP DATABASE IF EXISTS {DATABASE}")).await?;
        run(&mut admin, format!("CREATE DATABASE {DATABASE}")).await?;
        let url = server.rsplit_once('/').map_or(server.to_owned(), |(before, _)| format!("{before}/{DATABASE}"));
        let store = postgres::open(&PostgresSettings {
            url: url.clone().into(),
            listen_url: None,
            max_connections: 4,
            acquire_timeout: Duration::from_secs(5),
        })?;
        store.migrate().await?;
        Ok(Self { store, server: server.to_owned(), url })
    }

    pub(crate) async fn load(&self, rows: u64) -> Outcome<String> {
        let options: PgConnectOptions = self.url.parse()?;
        let options = options.options([("bigdata.days", DAYS.to_string()), ("bigdata.rows", rows.to_string())]);
        let mut connection = PgConnection::connect_with(&options).await?;
        let began = now();
        sqlx::raw_sql(LOAD).execute(&mut connection).await?;
        let backfill =
            MIGRATION.split_once("INSERT INTO usage_hours").map(|(_, rest)| format!("INSERT INTO usage_hours{rest}"));
        run(&mut connection, backfill.ok_or("the migration has no sums")?).await?;
        for table in ["operations", "operation_tags", "usage_hours", "usage_days"] {
            run(&mut connection, format!("VACUUM ANALYZE {table}")).await?;
        }
        let (count, bytes, of_indexes, sums): (i64, i64, i64, i64) = sqlx::query_as(
            "SELECT (SELECT COUNT(*) FROM operations), (SELECT SUM(pg_relation_size(inhrelid))::bigint FROM pg_inherits
                 WHERE inhparent = 'operations'::regclass),
             (SELECT SUM(pg_indexes_size(inhrelid))::bigint FROM pg_inherits WHERE inhparent = 'operations'::regclass),
             (SELECT COUNT(*) FROM usage_days)",
        )
        .fetch_one(&mut connection)
        .await?;
        let (mib, took) = (|bytes: i64| bytes / (1 << 20), began.elapsed().as_secs());
        Ok(format!(
            "{count} rows loaded in {took} s: {} MiB, indexes {} MiB; {sums} sums by day",
            mib(bytes),
            mib(of_indexes)
        ))
    }

    pub(crate) async fn without_indexes(&self) -> Outcome<()> {
        let mut connection = PgConnection::connect(&self.url).await?;
        let indexes: Vec<String> = sqlx::query_scalar(
            "SELECT indexrelid::regclass::text FROM pg_index WHERE indrelid = 'operations'::regclass AND NOT indisprimary
                 AND indexrelid::regclass::text NOT IN ('operations_key', 'operations_request')",
        )
        .fetch_all(&mut connection)
        .await?;
        for index in indexes {
            run(&mut connection, format!("DROP INDEX {index}")).await?;
        }
        Ok(())
    }

    pub(crate) async fn close(self) -> Outcome<()> {
        self.store.close().await;
        let mut admin = PgConnection::connect(&self.server).await?;
        run(&mut admin, format!("DROP DATABASE {DATABASE} WITH (FORCE)")).await
    }
}

async fn run(connection: &mut PgConnection, statement: String) -> Outcome<()> {
    sqlx::raw_sql(AssertSqlSafe(statement)).execute(connection).await?;
    Ok(())
}
