//! Connects to the database and brings its schema up to date.

use std::time::Duration;

use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, SqlSafeStr};

use super::errors::{fault, migration_fault, outdated};
use super::statement::query_scalar;
use super::{LOAD_PATIENCE, PostgresStore, within, within_time};
use crate::domain::secret::{ExposeSecret, SecretString};
use crate::fault::{Fault, Kind, Outcome};
use crate::store::write::LOG_REVISIONS;

/// How long a direct connection may take to be there.
pub(super) const CONNECT: Duration = Duration::from_secs(5);
/// A connection that nobody used for so long is closed.
const IDLE: Duration = Duration::from_secs(300);
/// A connection is replaced at this age, so that a fail-over or a new address is noticed.
const LIFETIME: Duration = Duration::from_secs(1800);
const APPLICATION: &str = "unified-gateway";

/// The schema's history, embedded: number, name and SQL of each file in `migrations/postgres`.
pub(super) const MIGRATIONS: [(i64, &str, &str); 7] = [
    (1, "configuration", include_str!("../../../migrations/postgres/0001_configuration.sql")),
    (2, "replicas", include_str!("../../../migrations/postgres/0002_replicas.sql")),
    (3, "response_states", include_str!("../../../migrations/postgres/0003_response_states.sql")),
    (4, "usage", include_str!("../../../migrations/postgres/0004_usage.sql")),
    (5, "record_fields", include_str!("../../../migrations/postgres/0005_record_fields.sql")),
    (6, "operation_queries", include_str!("../../../migrations/postgres/0006_operation_queries.sql")),
    (7, "failures", include_str!("../../../migrations/postgres/0007_failures.sql")),
];

/// How to reach the database.
#[derive(Debug, Clone)]
pub struct PostgresSettings {
    /// Connection URL; `sslmode` and the like are read from it.
    pub url: SecretString,
    /// Connection URL past a pooler in transaction mode; given, the other one is taken to lead through such a pooler.
    pub listen_url: Option<SecretString>,
    /// Most connections for statements.
    pub max_connections: u32,
    /// How long a call waits for a connection before it answers `Unavailable`.
    pub acquire_timeout: Duration,
}

/// Makes the store. Connects to nothing yet.
///
/// # Errors
/// `Unavailable` when a URL is not understood; it is not repeated, for it may hold a password.
pub fn open(settings: &PostgresSettings) -> Outcome<PostgresStore> {
    let url = options("DATABASE_URL", &settings.url)?;
    let (pooled, direct) = match &settings.listen_url {
        // A statement prepared on one connection of the pooler is unknown on the next.
        Some(listen) => (url.statement_cache_capacity(0), options("DATABASE_LISTEN_URL", listen)?),
        None => (url.clone(), url),
    };
    let pool = PgPoolOptions::new()
        .max_connections(settings.max_connections)
        .acquire_timeout(settings.acquire_timeout)
        .idle_timeout(IDLE)
        .max_lifetime(LIFETIME)
        .connect_lazy_with(pooled);
    Ok(PostgresStore { pool, direct, log_revisions: LOG_REVISIONS })
}

fn options(variable: &str, url: &SecretString) -> Outcome<PgConnectOptions> {
    let options: PgConnectOptions = url.expose_secret().parse().map_err(|_| {
        // The parser's own words may quote the URL.
        Fault::new(Kind::Unavailable).say(format!("{variable} is not a PostgreSQL URL that can be used."))
    })?;
    let application = options.get_application_name().is_none().then_some(APPLICATION);
    let options = application.into_iter().fold(options, PgConnectOptions::application_name);
    // What fails is logged by whoever called; a slow statement is no news at a start with very many keys.
    Ok(options.disable_statement_logging())
}

impl PostgresStore {
    /// Brings the schema up to date, one process at a time.
    ///
    /// # Errors
    /// `Unavailable` when the database cannot be reached, or was written by a newer version or another build.
    pub async fn migrate(&self) -> Outcome<()> {
        within_time(LOAD_PATIENCE, async {
            // Its lock belongs to a session, which a pooler in transaction mode would share out.
            let direct = PgPoolOptions::new().max_connections(1).acquire_timeout(CONNECT);
            let direct = direct.connect_with(self.direct.clone()).await.map_err(fault)?;
            let migrations = MIGRATIONS.into_iter().map(|(number, name, sql)| {
                Migration::new(number, name.into(), MigrationType::Simple, sql.into_sql_str(), false)
            });
            let done = Migrator::with_migrations(migrations.collect()).run(&direct).await;
            direct.close().await;
            done.map_err(migration_fault)
        })
        .await
    }

    /// Finds that the schema is what this version needs. Changes nothing.
    ///
    /// # Errors
    /// `Unavailable` when it is not, or the database cannot be reached.
    pub async fn check_schema(&self) -> Outcome<()> {
        within(async {
            let mut tx = self.read().await?;
            let newest: Option<i64> = query_scalar("SELECT MAX(version) FROM _sqlx_migrations WHERE success")
                .fetch_one(&mut *tx)
                .await
                .map_err(fault)?;
            let wanted = MIGRATIONS.last().map(|(number, ..)| *number);
            if newest == wanted { Ok(()) } else { Err(outdated()) }
        })
        .await
    }
}
