//! What it costs to store one record, in SQLite and in PostgreSQL, by the number of records that are stored together
//! (`make recording`): records in a second, and microseconds for each.
//!
//! PostgreSQL is the server of `UNIFIED_TEST_DATABASE_URL`, in a database that is dropped at the end; without one it is left
//! out. Nothing else is measured: no request, no queue before the store.

use std::io::{self, Write};
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, Connection};
use unified_gateway::domain::record::{AttemptRecord, OperationRecord, RECORD_VERSION};
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
            let records: Vec<OperationRecord> = (0..group).map(|_| made(&mut number)).collect::<Outcome<_>>()?;
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

/// A request of one of 50 keys for one of 20 models, with its attempt.
fn made(number: &mut u32) -> Outcome<OperationRecord> {
    *number += 1;
    let at = SystemClock.now().unix_ms();
    let mut dice = [0; 10];
    dice.iter_mut().zip(number.to_be_bytes()).for_each(|(to, from)| *to = from);
    dice[4] = u8::try_from(at % 251)?;
    let id = uuid::Builder::from_unix_timestamp_millis(u64::try_from(at)?, &dice).into_uuid();
    let deployment = format!("00000000-0000-7000-9000-{:012x}", *number % 20);
    let attempt = AttemptRecord {
        number: 1,
        deployment_id: deployment.clone(),
        provider: "openai".to_owned(),
        upstream_model: "gpt".to_owned(),
        ok: true,
        http_status: Some(200),
        duration_ms: 2000,
        ..AttemptRecord::default()
    };
    Ok(OperationRecord {
        version: RECORD_VERSION,
        id: id.to_string(),
        request_id: format!("req_{id}"),
        key_id: Some(format!("00000000-0000-7000-8000-{:012x}", *number % 50)),
        public_model: format!("model-{}", *number % 20),
        served_model: Some(format!("model-{}", *number % 20)),
        deployment_id: Some(deployment),
        provider: Some("openai".to_owned()),
        operation: "text.generate".to_owned(),
        contract: "chat_completions".to_owned(),
        outcome: "success".to_owned(),
        http_status: 200,
        input_tokens: 1000,
        output_tokens: 100,
        cost: Some(1_000_000),
        upstream_cost: Some(1_000_000),
        started_at: at,
        duration_ms: 2000,
        attempts: vec![attempt],
        ..OperationRecord::default()
    })
}
