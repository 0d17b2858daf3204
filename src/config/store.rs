//! Where state lives.

use std::path::PathBuf;

use secrecy::SecretString;
use url::Url;

use super::problem::Problems;

const POSTGRES_URL: &str = "a PostgreSQL URL such as postgres://user:password@host:5432/database?sslmode=verify-full";
const REDIS_URL: &str = "a Redis URL: redis://, rediss:// (TLS), redis+sentinel://, rediss+sentinel:// or unix:/path";

#[derive(clap::Args)]
#[group(skip)]
#[command(next_help_heading = "State")]
pub(super) struct Raw {
    /// Folder of the database and of generated secrets; made when missing
    #[arg(long, value_name = "FOLDER", default_value = "./data")]
    data_dir: String,
    /// PostgreSQL connection URL: production mode; as a flag, other users of the machine can read it [default: unset: state is kept in DATA_DIR]
    #[arg(long, value_name = "URL")]
    database_url: Option<String>,
    /// Direct connection to the same database, for LISTEN, when DATABASE_URL leads through a pooler in transaction mode [default: DATABASE_URL]
    #[arg(long, value_name = "URL")]
    database_listen_url: Option<String>,
    /// Most connections to PostgreSQL besides the listening one: 1 to 1000
    #[arg(long, value_name = "COUNT", default_value = "10")]
    database_max_connections: String,
    /// Whether start-up brings the schema of PostgreSQL up to date: true or false; false leaves it to `unified-gateway migrate`
    #[arg(long, value_name = "BOOL", default_value = "true")]
    auto_migrate: String,
    /// Redis connection URL, shared by all replicas; without it one replica alone may serve a PostgreSQL database [default: unset: counters are kept in process]
    #[arg(long, value_name = "URL")]
    redis_url: Option<String>,
    /// Whether keys with limits are let through, uncounted, while Redis cannot be reached: true or false (they are answered 503)
    #[arg(long, value_name = "BOOL", default_value = "false")]
    ledger_fail_open: String,
    /// What GET /health/ready wants: serving (a configuration is in force) or strict (and PostgreSQL and Redis can be reached)
    #[arg(long, value_name = "SERVING|STRICT", default_value = "serving")]
    readiness: String,
    /// Days for which records of requests are kept: 1 to 3650; spending is kept for as long as its key
    #[arg(long, value_name = "DAYS", default_value = "30")]
    operations_retention_days: String,
}

/// Where state lives.
#[derive(Debug, Clone)]
pub struct Store {
    /// Folder of the database and of generated secrets. May not exist yet.
    pub data_dir: PathBuf,
    /// The shared databases of production mode; `None`: embedded mode.
    pub databases: Option<Databases>,
    /// What readiness wants.
    pub readiness: Strictness,
    /// Days for which records of requests are kept.
    pub operations_retention_days: u32,
}

/// The shared databases of production mode.
#[derive(Debug, Clone)]
pub struct Databases {
    /// PostgreSQL, for statements.
    pub postgres: SecretString,
    /// PostgreSQL, for the listening connection, where it is another.
    pub postgres_listen: Option<SecretString>,
    /// Most connections for statements.
    pub max_connections: u32,
    /// Whether start-up migrates.
    pub auto_migrate: bool,
    /// Redis; `None`: one replica alone.
    pub redis: Option<SecretString>,
    /// Whether keys with limits are let through while Redis cannot be reached.
    pub fails_open: bool,
}

/// What readiness wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strictness {
    /// A configuration in force.
    Serving,
    /// And every database within reach.
    Strict,
}

/// Which way to run was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// One process, state in `DATA_DIR`.
    Embedded,
    /// Replicas around shared databases.
    Clustered,
}

impl Raw {
    pub(super) fn check(&self, problems: &mut Problems) -> (Store, Mode) {
        let data_dir = PathBuf::from(&self.data_dir);
        if data_dir.exists() && !data_dir.is_dir() {
            problems.refuse_given("DATA_DIR", &self.data_dir, "a folder, or a path where one can be made");
        }
        let postgres = secret_url("DATABASE_URL", self.database_url.as_deref(), is_postgres, POSTGRES_URL, problems);
        let postgres_listen =
            secret_url("DATABASE_LISTEN_URL", self.database_listen_url.as_deref(), is_postgres, POSTGRES_URL, problems);
        let redis = secret_url("REDIS_URL", self.redis_url.as_deref(), is_redis, REDIS_URL, problems);
        if self.database_url.is_none() {
            let dependent = [("DATABASE_LISTEN_URL", &self.database_listen_url), ("REDIS_URL", &self.redis_url)];
            for (variable, _) in dependent.iter().filter(|(_, given)| given.is_some()) {
                problems.refuse(variable, "is allowed only together with DATABASE_URL");
            }
        }
        let max_connections = problems.number("DATABASE_MAX_CONNECTIONS", &self.database_max_connections, 1..=1000);
        let auto_migrate = problems.choice("AUTO_MIGRATE", &self.auto_migrate, [("true", true), ("false", false)]);
        let fails_open =
            problems.choice("LEDGER_FAIL_OPEN", &self.ledger_fail_open, [("true", true), ("false", false)]);
        let readiness = problems.choice(
            "READINESS",
            &self.readiness,
            [("serving", Strictness::Serving), ("strict", Strictness::Strict)],
        );
        let retention = problems.number("OPERATIONS_RETENTION_DAYS", &self.operations_retention_days, 1..=3_650);
        let databases = postgres.map(|postgres| Databases {
            postgres,
            postgres_listen,
            max_connections: u32::try_from(max_connections).unwrap_or(u32::MAX),
            auto_migrate,
            redis,
            fails_open,
        });
        let mode = if self.database_url.is_some() { Mode::Clustered } else { Mode::Embedded };
        let operations_retention_days = u32::try_from(retention).unwrap_or(u32::MAX);
        (Store { data_dir, databases, readiness, operations_retention_days }, mode)
    }
}

/// A URL that may carry a password, so it is never shown.
fn secret_url(
    variable: &str,
    given: Option<&str>,
    fits: fn(&Url) -> bool,
    allowed: &str,
    problems: &mut Problems,
) -> Option<SecretString> {
    let given = given?;
    if Url::parse(given).is_ok_and(|url| fits(&url)) {
        return Some(given.into());
    }
    problems.refuse(variable, format!("is not understood; allowed: {allowed}"));
    None
}

fn is_postgres(url: &Url) -> bool {
    matches!(url.scheme(), "postgres" | "postgresql")
}

fn is_redis(url: &Url) -> bool {
    matches!(url.scheme(), "redis" | "rediss" | "redis+sentinel" | "rediss+sentinel" | "unix" | "redis+unix")
}
