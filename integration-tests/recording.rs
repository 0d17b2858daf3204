//! What it costs to store one record, in SQLite and in PostgreSQL, by the number of records that are stored together
//! (`make recording`): records in a second, and microseconds for each.
//!
//! PostgreSQL is the server of `UNIFIED_TEST_DATABASE_URL`, in a database that is dropped at the end; without one it is left
//! out. Nothing else is measured: no request, no queue before the store.

mod made;

use std::io::{self, Write};
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, Connection};
use unified_gateway::domain::record::{AttemptRecord, OperationRecord};
use unified_gateway::store::postgres::{self, PostgresSettings};
use unified_gateway::store::{Stores, sqlite};
use unified_gateway::time::{Clock, SystemClock};

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

const DATABASE: &str = "unified_recording";
const GROUPS: [usize; 4] = [1, 8, 64, 256];
const LONG: Duration = Duration::from_secs(3);

#[tokio::main]
#[expect(clippy::disallowed_methods, reason = "a program of its own reads its own settings")]
async fn main() -> Outcome<()> {
    let folder = tempfile::tempdir()?;
    let store = sqlite::open(&folder.path().join("gateway.db")).await?;
    measure("SQLite", &store.stores()).await?;
    store.close().await;
    let Ok(server) = std::env::var("UNIFIED_TEST_DATABASE_URL") else { return Ok(()) };
    let options: PgConnectOptions = server.parse()?;
    let mut admin = PgConnection::connect_with(&options).await?;
    sqlx::raw_sql(AssertSqlSafe(format!("DROP DATABASE IF EXISTS {DATABASE}"))).execute(&mut admin).await?;
    sqlx::raw_sql(AssertSqlSafe(format!("CREATE DATABASE {DATABASE}"))).execute(&mut admin).await?;
    let url = server.rsplit_once('/').map_or(server.clone(), |(before, _)| format!("{before}/{DATABASE}"));
    let store = postgres::open(&PostgresSettings {
        url: url.into(),
        listen_url: None,
        max_connections: 4,
        acquire_timeout: Duration::from_secs(5),
    })?;
    store.migrate().await?;
    measure("PostgreSQL", &store.stores()).await?;
    store.close().await;
    sqlx::raw_sql(AssertSqlSafe(format!("DROP DATABASE {DATABASE} WITH (FORCE)"))).execute(&mut admin).await?;
    Ok(())
}

async fn measure(name: &str, stores: &Stores) -> Outcome<()> {
    let mut number = 0;
    for group in GROUPS {
        let (mut count, mut took) = (0_u32, Duration::ZERO);
        while took < LONG {
            let records: Vec<OperationRecord> =
                (0..group).map(|_| with_attempt(&mut number)).collect::<Outcome<_>>()?;
            let began = SystemClock.instant();
            stores.usage.record(&records).await?;
            took += began.elapsed();
            count += u32::try_from(group)?;
        }
        let (each, rate) = (took.as_secs_f64() * 1e6 / f64::from(count), f64::from(count) / took.as_secs_f64());
        writeln!(io::stdout(), "{name:11} {group:4} at once {each:8.1} µs each {rate:8.0}/s")?;
    }
    Ok(())
}

/// A record, with its attempt.
fn with_attempt(number: &mut u32) -> Outcome<OperationRecord> {
    let record = made::made(number)?;
    let attempt = AttemptRecord {
        number: 1,
        deployment_id: record.deployment_id.clone().unwrap_or_default(),
        provider: "openai".to_owned(),
        upstream_model: "gpt".to_owned(),
        ok: true,
        http_status: Some(200),
        duration_ms: 2000,
        ..AttemptRecord::default()
    };
    Ok(OperationRecord { served_model: Some(record.public_model.clone()), attempts: vec![attempt], ..record })
}
