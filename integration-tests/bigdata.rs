//! Five million recorded requests in PostgreSQL: how long questions about them take, how they are found, and what it costs
//! to record one more (`make bigdata`). The number of rows can be given as an argument.
//!
//! It makes a database of its own on the server of `UNIFIED_TEST_DATABASE_URL` and drops it at the end.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, Connection};
use unified_gateway::domain::ids::VirtualKeyId;
use unified_gateway::domain::operation_query::{OperationFilter, OperationOutcome, UsageDimension, UsageQuery};
use unified_gateway::domain::page::PageRequest;
use unified_gateway::domain::record::{OperationRecord, RECORD_VERSION};
use unified_gateway::store::Stores;
use unified_gateway::store::postgres::{self, PostgresSettings, PostgresStore};
use unified_gateway::time::{Clock, SystemClock, Timestamp};

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

const DATABASE: &str = "unified_bigdata";
const ROWS: u64 = 5_000_000;
const DAYS: i64 = 30;
const DAY_MS: i64 = 86_400_000;
const RUNS: usize = 5;
const LOAD: &str = include_str!("bigdata.sql");
/// The sums of what is loaded, as the migration makes them of what is there.
const MIGRATION: &str = include_str!("../migrations/postgres/0006_operation_queries.sql");
const PAGE: PageRequest = PageRequest { limit: 50, offset: 0, after: None };

#[tokio::main]
#[expect(clippy::disallowed_methods, reason = "a program of its own reads its own settings")]
async fn main() -> Outcome<()> {
    let server = std::env::var("UNIFIED_TEST_DATABASE_URL")?;
    let rows = std::env::args().nth(1).map_or(Ok(ROWS), |rows| rows.parse())?;
    let options: PgConnectOptions = server.parse()?;
    let mut admin = PgConnection::connect_with(&options).await?;
    sqlx::raw_sql(AssertSqlSafe(format!("DROP DATABASE IF EXISTS {DATABASE}"))).execute(&mut admin).await?;
    sqlx::raw_sql(AssertSqlSafe(format!("CREATE DATABASE {DATABASE}"))).execute(&mut admin).await?;
    let url = server.rsplit_once('/').map_or(server.clone(), |(before, _)| format!("{before}/{DATABASE}"));
    let store = postgres::open(&PostgresSettings {
        url: url.clone().into(),
        listen_url: None,
        max_connections: 4,
        acquire_timeout: Duration::from_secs(5),
    })?;
    store.migrate().await?;
    load(&url, rows).await?;
    lists(&store, &store.stores()).await?;
    sums(&store.stores()).await?;
    recording(&store.stores(), &url).await?;
    store.close().await;
    sqlx::raw_sql(AssertSqlSafe(format!("DROP DATABASE {DATABASE} WITH (FORCE)"))).execute(&mut admin).await?;
    Ok(())
}

async fn load(url: &str, rows: u64) -> Outcome<()> {
    let options: PgConnectOptions = url.parse()?;
    let options = options.options([("bigdata.days", DAYS.to_string()), ("bigdata.rows", rows.to_string())]);
    let mut connection = PgConnection::connect_with(&options).await?;
    let began = now();
    sqlx::raw_sql(LOAD).execute(&mut connection).await?;
    let backfill =
        MIGRATION.split_once("INSERT INTO usage_hours").map(|(_, rest)| format!("INSERT INTO usage_hours{rest}"));
    let backfill = backfill.ok_or("the migration has no sums")?;
    sqlx::raw_sql(AssertSqlSafe(backfill)).execute(&mut connection).await?;
    for table in ["operations", "operation_tags", "usage_hours", "usage_days"] {
        sqlx::raw_sql(AssertSqlSafe(format!("VACUUM ANALYZE {table}"))).execute(&mut connection).await?;
    }
    let sizes: (i64, i64, i64, i64) = sqlx::query_as(
        "SELECT (SELECT COUNT(*) FROM operations), (SELECT SUM(pg_relation_size(inhrelid))::bigint FROM pg_inherits
             WHERE inhparent = 'operations'::regclass),
         (SELECT SUM(pg_indexes_size(inhrelid))::bigint FROM pg_inherits WHERE inhparent = 'operations'::regclass),
         (SELECT COUNT(*) FROM usage_days)",
    )
    .fetch_one(&mut connection)
    .await?;
    let mib = |bytes: i64| bytes / (1 << 20);
    say(&format!(
        "{} rows loaded in {} s: {} MiB, indexes {} MiB; {} sums by day",
        sizes.0,
        began.elapsed().as_secs(),
        mib(sizes.1),
        mib(sizes.2),
        sizes.3,
    ))
}

async fn lists(store: &PostgresStore, stores: &Stores) -> Outcome<()> {
    let newest = stores.operations.list(&OperationFilter::default(), &PAGE).await?;
    let first = newest.items.first().ok_or("nothing was loaded")?;
    let key = VirtualKeyId::from_uuid(first.key_id.as_deref().unwrap_or_default().parse()?);
    let text = |text: &str| Some(text.to_owned());
    let any = OperationFilter::default;
    let day = Timestamp::from_unix_ms(first.started_at - 10 * DAY_MS);
    let cases = [
        ("no condition", any()),
        ("request id", OperationFilter { request_id: Some(first.request_id.clone()), ..any() }),
        ("key", OperationFilter { key: Some(key), ..any() }),
        ("busy model", OperationFilter { public_model: text("model-3"), ..any() }),
        ("rare model", OperationFilter { public_model: text("rare"), ..any() }),
        ("unknown model", OperationFilter { public_model: text("nobody"), ..any() }),
        ("deployment", OperationFilter { deployment: Some("00000000-0000-7000-9000-000000000007".parse()?), ..any() }),
        ("provider", OperationFilter { provider: text("gemini"), ..any() }),
        ("unknown provider", OperationFilter { provider: text("nobody"), ..any() }),
        ("operation", OperationFilter { operation: text("embedding.create"), ..any() }),
        ("errors", OperationFilter { outcome: Some(OperationOutcome::Error), ..any() }),
        ("blocked", OperationFilter { outcome: Some(OperationOutcome::Blocked), ..any() }),
        ("abandoned (none)", OperationFilter { outcome: Some(OperationOutcome::Abandoned), ..any() }),
        ("degraded", OperationFilter { degraded: Some(true), ..any() }),
        ("cache hit", OperationFilter { cache_hit: Some(true), ..any() }),
        ("status 503", OperationFilter { status: Some(503), ..any() }),
        ("status 418 (none)", OperationFilter { status: Some(418), ..any() }),
        ("12 s and more", OperationFilter { min_duration_ms: Some(12_000), ..any() }),
        ("5 min and more", OperationFilter { min_duration_ms: Some(300_000), ..any() }),
        ("tag", OperationFilter { tag: text("team-a"), ..any() }),
        ("key and model", OperationFilter { key: Some(key), public_model: text("model-3"), ..any() }),
        ("key, errors", OperationFilter { key: Some(key), outcome: Some(OperationOutcome::Error), ..any() }),
        (
            "a day, ten days ago",
            OperationFilter { start: Some(day), end: Some(day.after(Duration::from_secs(86_400))), ..any() },
        ),
    ];
    say("\nfirst page of 50 with its count, and a page by cursor from the middle (best of 5, ms)")?;
    let middle = PageRequest { after: Some(id_of(first.started_at - 15 * DAY_MS)?), ..PAGE };
    for (name, filter) in cases {
        let first_page = best(async || stores.operations.list(&filter, &PAGE).await.map(drop)).await?;
        let later_page = best(async || stores.operations.list(&filter, &middle).await.map(drop)).await?;
        let plan = store.explain_operations(&filter, &PAGE).await?;
        let index = plan.iter().find_map(|line| line.trim().split_once(" using ").map(|(_, index)| index.to_owned()));
        let index = index.unwrap_or_else(|| plan.get(1).cloned().unwrap_or_default());
        say(&format!("{name:22} {first_page:8.1} {later_page:8.1}   {}", index.trim()))?;
    }
    // Page 10,000 of 50, reached by the id before it.
    let deep: Option<uuid::Uuid> = nth_id(store, 10_000 * 50).await?;
    let deep = PageRequest { after: deep, ..PAGE };
    let took = best(async || stores.operations.list(&OperationFilter::default(), &deep).await.map(drop)).await?;
    say(&format!("{:22} {:>8} {took:8.1}", "page 10,000", ""))
}

/// The id that so many newer ones stand before, found page by page as a client would.
async fn nth_id(store: &PostgresStore, rows: usize) -> Outcome<Option<uuid::Uuid>> {
    let (stores, mut seen) = (store.stores(), 0);
    let mut page = PageRequest { limit: 500, ..PAGE };
    while seen < rows {
        let answer = stores.operations.list(&OperationFilter::default(), &page).await?;
        seen += answer.items.len();
        let Some(last) = answer.items.last() else { break };
        page.after = Some(last.id.parse()?);
    }
    Ok(page.after)
}

async fn sums(stores: &Stores) -> Outcome<()> {
    let now = SystemClock.now().unix_ms();
    let end = (now.div_euclid(DAY_MS) + 1) * DAY_MS;
    let range = |filter: OperationFilter, start: i64, end: i64| OperationFilter {
        start: Some(Timestamp::from_unix_ms(start)),
        end: Some(Timestamp::from_unix_ms(end)),
        ..filter
    };
    use UsageDimension::{Day, Deployment, Hour, Key, Model, Tag};
    say("\nsums (best of 5, ms)")?;
    let month = range(OperationFilter::default(), end - DAYS * DAY_MS, end);
    let ragged = range(OperationFilter::default(), end - DAYS * DAY_MS + 7 * 3_600_000, end - 3_600_000);
    let errors = OperationFilter { outcome: Some(OperationOutcome::Error), ..month.clone() };
    let cases: [(&str, &OperationFilter, &[UsageDimension]); 10] = [
        ("30 days", &month, &[]),
        ("30 days by model", &month, &[Model]),
        ("30 days by key", &month, &[Key]),
        ("30 days by deployment", &month, &[Deployment]),
        ("30 days by day and model", &month, &[Day, Model]),
        ("30 days by key and model", &month, &[Key, Model]),
        ("30 days by tag", &month, &[Tag]),
        ("30 days by hour", &month, &[Hour]),
        ("30 days less some hours by model", &ragged, &[Model]),
        ("30 days, errors by model (from records)", &errors, &[Model]),
    ];
    for (name, filter, group_by) in cases {
        let query = UsageQuery { filter: filter.clone(), group_by: group_by.to_vec(), limit: 10_001 };
        let took = best(async || stores.operations.aggregate(&query).await.map(drop)).await?;
        say(&format!("{name:42} {took:8.1}"))?;
    }
    for (name, minutes) in [("5m", 5), ("1h", 60), ("24h", 1440)] {
        let (start, end) = (Timestamp::from_unix_ms(now - minutes * 60_000), Timestamp::from_unix_ms(now));
        let took = best(async || stores.operations.summary(start, end).await.map(drop)).await?;
        say(&format!("summary of {name:31} {took:8.1}"))?;
    }
    let place = stores.operations.tail_end().await?;
    let took = best(async || stores.operations.tail(&OperationFilter::default(), place, 200).await.map(drop)).await?;
    say(&format!("{:42} {took:8.1}", "a look for news of a tail"))
}

/// What is recorded in a second, in groups, one after the other; then without what the questions need.
async fn recording(stores: &Stores, url: &str) -> Outcome<()> {
    say("\nrecords stored in a second")?;
    for group in [1, 20, 200] {
        say(&format!("groups of {group:4} {:8.0}", record_for(stores, group).await?))?;
    }
    let mut connection = PgConnection::connect(url).await?;
    let indexes: Vec<String> = sqlx::query_scalar(
        "SELECT indexrelid::regclass::text FROM pg_index WHERE indrelid = 'operations'::regclass AND NOT indisprimary
             AND indexrelid::regclass::text NOT IN ('operations_key', 'operations_request')",
    )
    .fetch_all(&mut connection)
    .await?;
    for index in indexes {
        sqlx::raw_sql(AssertSqlSafe(format!("DROP INDEX {index}"))).execute(&mut connection).await?;
    }
    for group in [1, 20, 200] {
        say(&format!(
            "groups of {group:4} {:8.0}   without the indexes of questions",
            record_for(stores, group).await?
        ))?;
    }
    Ok(())
}

async fn record_for(stores: &Stores, group: usize) -> Outcome<f64> {
    let began = now();
    let mut count = 0_u32;
    while began.elapsed() < Duration::from_secs(4) {
        let records: Vec<OperationRecord> = (0..group).map(|_| made(&mut count)).collect::<Outcome<_>>()?;
        stores.usage.record(&records).await?;
    }
    Ok(f64::from(count) / began.elapsed().as_secs_f64())
}

fn made(count: &mut u32) -> Outcome<OperationRecord> {
    *count += 1;
    let at = SystemClock.now().unix_ms();
    let mut dice = [0; 10];
    dice.iter_mut().zip(count.to_be_bytes()).for_each(|(to, from)| *to = from);
    dice[4] = u8::try_from(at % 251)?;
    let id = uuid::Builder::from_unix_timestamp_millis(u64::try_from(at)?, &dice).into_uuid();
    Ok(OperationRecord {
        version: RECORD_VERSION,
        id: id.to_string(),
        request_id: format!("req_{id}"),
        key_id: Some(format!("00000000-0000-7000-8000-{:012x}", *count % 50)),
        public_model: format!("model-{}", *count % 20),
        deployment_id: Some(format!("00000000-0000-7000-9000-{:012x}", *count % 60)),
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
        ..OperationRecord::default()
    })
}

fn id_of(ms: i64) -> Outcome<uuid::Uuid> {
    Ok(uuid::Uuid::from_u128(u128::try_from(ms)? << 80))
}

/// The shortest of some runs, in milliseconds.
async fn best<E: Into<Box<dyn std::error::Error + Send + Sync>>>(run: impl AsyncFn() -> Result<(), E>) -> Outcome<f64> {
    let mut shortest = f64::INFINITY;
    for _ in 0..RUNS {
        let began = now();
        run().await.map_err(Into::into)?;
        shortest = shortest.min(began.elapsed().as_secs_f64() * 1000.0);
    }
    Ok(shortest)
}

fn now() -> Instant {
    SystemClock.instant()
}

fn say(line: &str) -> Outcome<()> {
    Ok(writeln!(io::stdout(), "{line}")?)
}
