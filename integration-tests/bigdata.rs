//! Five million recorded requests: how long questions about them take, how they are found, what it costs to record one
//! more, and what forgetting costs those who record (`make bigdata`; `ARGS="--store sqlite --rows 1000000"`).
//!
//! In PostgreSQL it makes a database of its own on the server of `UNIFIED_TEST_DATABASE_URL` and drops it at the end; in
//! SQLite a temporary file.

mod made;
#[path = "bigdata_postgres.rs"]
mod postgres;
#[path = "bigdata_sqlite.rs"]
mod sqlite;

use std::io::{self, Write};
use std::time::{Duration, Instant};

use unified_gateway::domain::ids::VirtualKeyId;
use unified_gateway::domain::operation_query::{OperationFilter, OperationOutcome, UsageDimension, UsageQuery};
use unified_gateway::domain::page::PageRequest;
use unified_gateway::domain::record::OperationRecord;
use unified_gateway::store::Stores;
use unified_gateway::time::{Clock, SystemClock, Timestamp};

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

const ROWS: u64 = 5_000_000;
const DAYS: i64 = 30;
const DAY_MS: i64 = 86_400_000;
const RUNS: usize = 5;
const PAGE: PageRequest = PageRequest { limit: 50, offset: 0, after: None };

#[tokio::main]
#[expect(clippy::disallowed_methods, reason = "a program of its own reads its own settings")]
async fn main() -> Outcome<()> {
    let (mut rows, mut is_sqlite) = (ROWS, false);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match (argument.as_str(), arguments.next()) {
            ("--store", Some(store)) if store == "sqlite" || store == "postgres" => is_sqlite = store == "sqlite",
            ("--rows", Some(count)) => rows = count.parse()?,
            _ => return Err("[--store sqlite|postgres] [--rows COUNT]".into()),
        }
    }
    let base: Base = if is_sqlite {
        Base::Sqlite(sqlite::Base::open().await?)
    } else {
        Base::Postgres(Box::new(postgres::Base::open(&std::env::var("UNIFIED_TEST_DATABASE_URL")?).await?))
    };
    let stores = base.stores();
    say(&base.load(rows).await?)?;
    lists(&base, &stores).await?;
    sums(&stores).await?;
    forgetting(&stores).await?;
    recording(&base, &stores).await?;
    base.close().await
}

/// The database that is measured.
enum Base {
    Sqlite(sqlite::Base),
    Postgres(Box<postgres::Base>),
}

impl Base {
    fn stores(&self) -> Stores {
        match self {
            Self::Sqlite(base) => base.store.stores(),
            Self::Postgres(base) => base.store.stores(),
        }
    }

    /// Fills it, and says with how much.
    async fn load(&self, rows: u64) -> Outcome<String> {
        match self {
            Self::Sqlite(base) => base.load(rows).await,
            Self::Postgres(base) => base.load(rows).await,
        }
    }

    /// What a page is found by.
    async fn index_of(&self, filter: &OperationFilter) -> Outcome<String> {
        let plan = match self {
            Self::Sqlite(base) => base.store.explain_operations(filter, &PAGE).await?,
            Self::Postgres(base) => base.store.explain_operations(filter, &PAGE).await?,
        };
        let mut found: Vec<String> = Vec::new();
        for line in &plan {
            let Some((_, named)) = line.split_once(" using ").or_else(|| line.split_once(" USING ")) else { continue };
            let index = named.split(" on ").next().unwrap_or_default().trim();
            // Partitions have indexes of their own, named after the day and the columns.
            let index = index.split('_').filter(|part| part.len() != 8 || part.parse::<u32>().is_err());
            let index = index.collect::<Vec<_>>().join("_");
            if !found.contains(&index) {
                found.push(index);
            }
        }
        Ok(if found.is_empty() { plan.get(1).cloned().unwrap_or_default() } else { found.join(" + ") })
    }

    /// Removes the indexes of questions.
    async fn without_indexes(&self) -> Outcome<()> {
        match self {
            Self::Sqlite(base) => base.without_indexes().await,
            Self::Postgres(base) => base.without_indexes().await,
        }
    }

    async fn close(self) -> Outcome<()> {
        match self {
            Self::Sqlite(base) => base.close().await,
            Self::Postgres(base) => base.close().await,
        }
    }
}

/// Questions that operators ask, with conditions that hold for few, for many and for none.
fn questions(first: &OperationRecord) -> Outcome<Vec<(&'static str, OperationFilter)>> {
    let key = VirtualKeyId::from_uuid(first.key_id.as_deref().unwrap_or_default().parse()?);
    let text = |text: &str| Some(text.to_owned());
    let any = OperationFilter::default;
    let days = |from: i64, count: u64| {
        let start = Timestamp::from_unix_ms(first.started_at - from * DAY_MS);
        OperationFilter { start: Some(start), end: Some(start.after(Duration::from_secs(count * 86_400))), ..any() }
    };
    let (ten_days, error) = (days(15, 10), Some(OperationOutcome::Error));
    let deployment = Some("00000000-0000-7000-9000-000000000007".parse()?);
    let (of_key, of_model) =
        (OperationFilter { key: Some(key), ..any() }, OperationFilter { public_model: text("model-3"), ..any() });
    let of_tag = OperationFilter { tag: text("team-a"), ..any() };
    Ok(vec![
        ("no condition", any()),
        ("request id", OperationFilter { request_id: Some(first.request_id.clone()), ..any() }),
        ("key", of_key.clone()),
        ("busy model", of_model.clone()),
        ("rare model", OperationFilter { public_model: text("rare"), ..any() }),
        ("unknown model", OperationFilter { public_model: text("nobody"), ..any() }),
        ("deployment", OperationFilter { deployment, ..any() }),
        ("provider", OperationFilter { provider: text("gemini"), ..any() }),
        ("unknown provider", OperationFilter { provider: text("nobody"), ..any() }),
        ("operation", OperationFilter { operation: text("embedding.create"), ..any() }),
        ("errors", OperationFilter { outcome: error, ..any() }),
        ("blocked", OperationFilter { outcome: Some(OperationOutcome::Blocked), ..any() }),
        ("abandoned (none)", OperationFilter { outcome: Some(OperationOutcome::Abandoned), ..any() }),
        ("degraded", OperationFilter { degraded: Some(true), ..any() }),
        ("cache hit", OperationFilter { cache_hit: Some(true), ..any() }),
        ("status 503", OperationFilter { status: Some(503), ..any() }),
        ("status 418 (none)", OperationFilter { status: Some(418), ..any() }),
        ("12 s and more", OperationFilter { min_duration_ms: Some(12_000), ..any() }),
        ("5 min and more", OperationFilter { min_duration_ms: Some(300_000), ..any() }),
        ("tag", of_tag.clone()),
        ("a day, ten days ago", days(10, 1)),
        ("ten days", ten_days.clone()),
        ("key, ten days", OperationFilter { key: Some(key), ..ten_days.clone() }),
        ("key, errors", OperationFilter { outcome: error, ..of_key.clone() }),
        ("key, errors, ten days", OperationFilter { outcome: error, key: Some(key), ..ten_days.clone() }),
        ("key, status 429", OperationFilter { status: Some(429), ..of_key.clone() }),
        ("key, model", OperationFilter { key: Some(key), ..of_model.clone() }),
        ("key, rare model", OperationFilter { public_model: text("rare"), ..of_key.clone() }),
        ("key, unknown model", OperationFilter { public_model: text("nobody"), ..of_key }),
        ("model, ten days", OperationFilter { public_model: text("model-3"), ..ten_days.clone() }),
        ("model, errors", OperationFilter { outcome: error, ..of_model.clone() }),
        ("model, status 503", OperationFilter { status: Some(503), ..of_model }),
        ("provider, errors", OperationFilter { provider: text("openai"), outcome: error, ..any() }),
        ("deployment, ten days", OperationFilter { deployment, ..ten_days.clone() }),
        ("deployment, errors", OperationFilter { deployment, outcome: error, ..any() }),
        ("tag, ten days", OperationFilter { tag: text("team-a"), ..ten_days }),
        ("tag, key", OperationFilter { key: Some(key), ..of_tag.clone() }),
        ("tag, errors", OperationFilter { outcome: error, ..of_tag.clone() }),
        ("tag, model", OperationFilter { public_model: text("model-3"), ..of_tag }),
    ])
}

async fn lists(base: &Base, stores: &Stores) -> Outcome<()> {
    let newest = stores.operations.list(&OperationFilter::default(), &PAGE).await?;
    let first = newest.items.first().ok_or("nothing was loaded")?;
    say("\nfirst page of 50 with its count, and a page by cursor from the middle (best of 5, ms)")?;
    let middle = PageRequest { after: Some(id_of(first.started_at - 15 * DAY_MS)?), ..PAGE };
    for (name, filter) in questions(first)? {
        let first_page = best(async || stores.operations.list(&filter, &PAGE).await.map(drop)).await?;
        let later_page = best(async || stores.operations.list(&filter, &middle).await.map(drop)).await?;
        let mark = if first_page.max(later_page) > 50.0 { "!" } else { " " };
        let index = base.index_of(&filter).await?;
        say(&format!("{name:22} {first_page:8.1} {later_page:8.1} {mark} {index}"))?;
    }
    // Page 10,000 of 50, reached by the id before it.
    let deep = PageRequest { after: nth_id(stores, 10_000 * 50).await?, ..PAGE };
    let took = best(async || stores.operations.list(&OperationFilter::default(), &deep).await.map(drop)).await?;
    say(&format!("{:22} {:>8} {took:8.1}", "page 10,000", ""))
}

/// The id that so many newer ones stand before, found page by page as a client would.
async fn nth_id(stores: &Stores, rows: usize) -> Outcome<Option<uuid::Uuid>> {
    let mut seen = 0;
    let mut page = PageRequest { limit: 500, ..PAGE };
    while seen < rows {
        let answer = stores.operations.list(&OperationFilter::default(), &page).await?;
        seen += answer.items.len();
        let Some(last) = answer.items.last() else { break };
        page.after = Some(last.id.parse()?);
    }
    Ok(page.after)
}

/// Two days are forgotten while records are stored one by one: how long the longest of them took.
async fn forgetting(stores: &Stores) -> Outcome<()> {
    let before = (SystemClock.now().unix_ms().div_euclid(DAY_MS) - DAYS + 3) * DAY_MS;
    let began = now();
    let (mut longest, mut count) = (Duration::ZERO, 0);
    let mut forgets = std::pin::pin!(stores.usage.forget_before(before));
    let storing = async {
        loop {
            let records = [made::made(&mut count)?];
            let each = now();
            stores.usage.record(&records).await?;
            longest = longest.max(each.elapsed());
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let took: Outcome<Duration> = tokio::select! {
        forgotten = &mut forgets => forgotten.map(|()| began.elapsed()).map_err(Into::into),
        failed = storing => failed,
    };
    let took = took?.as_secs_f64();
    let longest = longest.as_secs_f64() * 1000.0;
    say(&format!(
        "\ntwo days are forgotten: {took:.1} s; of {count} records stored meanwhile the longest took {longest:.1} ms"
    ))
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
async fn recording(base: &Base, stores: &Stores) -> Outcome<()> {
    say("\nrecords stored in a second")?;
    for group in [1, 20, 200] {
        say(&format!("groups of {group:4} {:8.0}", record_for(stores, group).await?))?;
    }
    base.without_indexes().await?;
    for group in [1, 20, 200] {
        let per_second = record_for(stores, group).await?;
        say(&format!("groups of {group:4} {per_second:8.0}   without the indexes of questions"))?;
    }
    Ok(())
}

async fn record_for(stores: &Stores, group: usize) -> Outcome<f64> {
    let began = now();
    let mut count = 0_u32;
    while began.elapsed() < Duration::from_secs(4) {
        let records: Vec<OperationRecord> = (0..group).map(|_| made::made(&mut count)).collect::<Result<_, _>>()?;
        stores.usage.record(&records).await?;
    }
    Ok(f64::from(count) / began.elapsed().as_secs_f64())
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
