//! Sums over recorded requests: what is added by whoever stores records, and the SQL that reads it.
//!
//! There are sums by hour and by day, so a month is a few thousand rows whatever its requests. A question that they
//! cannot answer goes to the records themselves.

use std::collections::{BTreeMap, HashSet};

use serde::Serialize;
use uuid::Uuid;

use super::operations::{Dialect, Statement, Value, Want, is_paired, matching};
use crate::domain::operation_query::{OperationFilter, OperationOutcome, UsageDimension, UsageQuery};
use crate::domain::record::OperationRecord;
use crate::time::Timestamp;

/// Sums by tag are kept for so many days longer than the records: tags are the clients' own inventions, and without an end
/// their sums would grow for ever.
pub(super) const DAYS_OF_TAGS: i64 = 400;
const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;
/// The error of a request for a model that nobody has. Its name is the client's own invention, so sums do not keep it.
const NO_SUCH_MODEL: &str = "model_not_found";

/// Sums of columns that have the same names in records and in sums.
const PLAIN: [&str; 11] = [
    "input_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "audio_input_tokens",
    "output_tokens",
    "reasoning_tokens",
    "audio_output_tokens",
    "image_count",
    "audio_ms",
    "characters",
    "search_units",
];

/// What requests have in common that are summed up in one row.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct Group<'a> {
    pub(super) tag: &'a str,
    /// Hours or days since 1970.
    pub(super) span: i64,
    pub(super) public_model: &'a str,
    pub(super) key_id: &'a str,
    pub(super) deployment_id: &'a str,
    pub(super) provider: &'a str,
    pub(super) operation: &'a str,
}

/// What is added to a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub(super) struct Amounts {
    pub(super) requests: u64,
    pub(super) errors: u64,
    pub(super) input_tokens: u64,
    pub(super) cache_read_tokens: u64,
    pub(super) cache_write_tokens: u64,
    pub(super) audio_input_tokens: u64,
    pub(super) output_tokens: u64,
    pub(super) reasoning_tokens: u64,
    pub(super) audio_output_tokens: u64,
    pub(super) image_count: u64,
    pub(super) audio_ms: u64,
    pub(super) characters: u64,
    pub(super) search_units: u64,
    pub(super) cost_nanocents: i64,
    pub(super) upstream_nanocents: i64,
    pub(super) unpriced: u64,
}

impl Amounts {
    fn add(&mut self, record: &OperationRecord) {
        self.requests += 1;
        self.errors += u64::from(record.outcome == OperationOutcome::Error.as_str());
        self.input_tokens += record.input_tokens;
        self.cache_read_tokens += record.cache_read_tokens;
        self.cache_write_tokens += record.cache_write_tokens;
        self.audio_input_tokens += record.audio_input_tokens;
        self.output_tokens += record.output_tokens;
        self.reasoning_tokens += record.reasoning_tokens;
        self.audio_output_tokens += record.audio_output_tokens;
        self.image_count += record.image_count;
        self.audio_ms += record.audio_ms;
        self.characters += record.characters;
        self.search_units += record.search_units;
        self.cost_nanocents = self.cost_nanocents.saturating_add(record.cost.unwrap_or_default());
        self.upstream_nanocents = self.upstream_nanocents.saturating_add(record.upstream_cost.unwrap_or_default());
        self.unpriced += u64::from(record.cost.is_none());
    }
}

/// A row of sums that is added to.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Addition<'a> {
    #[serde(flatten)]
    pub(super) group: Group<'a>,
    #[serde(flatten)]
    pub(super) amounts: Amounts,
}

/// A tag of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Tagged<'a> {
    tag: &'a str,
    operation_id: &'a str,
}

/// What the records that were really stored add: to hours, to days, and their tags. Rows are in the order of their keys,
/// in which all writers lock them.
pub(super) struct Additions<'a> {
    pub(super) hours: Vec<Addition<'a>>,
    pub(super) days: Vec<Addition<'a>>,
    pub(super) tags: Vec<Tagged<'a>>,
}

impl<'a> Additions<'a> {
    pub(super) fn of(records: &'a [OperationRecord], stored: &HashSet<Uuid>) -> Self {
        // Each id counts once, even if a group has it twice.
        let mut fresh = stored.clone();
        let (mut hours, mut days, mut tagged) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
        for record in records {
            if !Uuid::parse_str(&record.id).is_ok_and(|id| fresh.remove(&id)) {
                continue;
            }
            let is_unknown = record.error.as_deref() == Some(NO_SUCH_MODEL);
            let group = |tag: &'a str, span_ms: i64| Group {
                tag,
                span: record.started_at.div_euclid(span_ms),
                public_model: if is_unknown { "" } else { &record.public_model },
                key_id: record.key_id.as_deref().unwrap_or_default(),
                deployment_id: record.deployment_id.as_deref().unwrap_or_default(),
                provider: record.provider.as_deref().unwrap_or_default(),
                operation: &record.operation,
            };
            let amounts: fn() -> Amounts = Amounts::default;
            hours.entry(group("", HOUR_MS)).or_insert_with(amounts).add(record);
            let own: HashSet<&str> = record.tags.iter().map(String::as_str).filter(|tag| !tag.is_empty()).collect();
            for tag in own.into_iter().chain([""]) {
                days.entry(group(tag, DAY_MS)).or_insert_with(amounts).add(record);
                if !tag.is_empty() {
                    tagged.push(Tagged { tag, operation_id: &record.id });
                }
            }
        }
        let rows = |sums: BTreeMap<Group<'a>, Amounts>| {
            sums.into_iter().map(|(group, amounts)| Addition { group, amounts }).collect()
        };
        Self { hours: rows(hours), days: rows(days), tags: tagged }
    }
}

/// Sums by group: columns `g1`, `g2` as text where asked for, then those of `UsageTotals`.
pub(super) fn aggregate(dialect: Dialect, query: &UsageQuery) -> Statement {
    let start = query.filter.start.map_or(0, Timestamp::unix_ms);
    let end = query.filter.end.map_or(i64::MAX / 2, Timestamp::unix_ms);
    let is_of_tags = query.filter.tag.is_some() || query.group_by.contains(&UsageDimension::Tag);
    let is_of_hours = query.group_by.contains(&UsageDimension::Hour);
    let is_of_days = start.rem_euclid(DAY_MS) == 0 && end.rem_euclid(DAY_MS) == 0;
    if !sums_can_tell(&query.filter) || (is_of_tags && (is_of_hours || !is_of_days)) {
        return of_records(dialect, query);
    }
    let (from, to) = (start.div_euclid(HOUR_MS), end.div_euclid(HOUR_MS));
    // The whole days of the range, unless hours are asked for; the rest of it is hours.
    let (first, after) = (from.div_euclid(24) + i64::from(from.rem_euclid(24) != 0), to.div_euclid(24));
    let (first, after) = if is_of_hours || first >= after { (to, to) } else { (first * 24, after * 24) };
    let mut sql = groups(query, |dimension| match dimension {
        UsageDimension::Model => "public_model",
        UsageDimension::Key => "key_id",
        UsageDimension::Deployment => "deployment_id",
        UsageDimension::Provider => "provider",
        UsageDimension::Tag => "tag",
        UsageDimension::Operation => "operation",
        UsageDimension::Day => "CAST(hour / 24 AS TEXT)",
        UsageDimension::Hour => "CAST(hour AS TEXT)",
    });
    let sums = columns().into_iter().map(|name| format!("COALESCE(CAST(SUM({name}) AS BIGINT), 0) AS {name}"));
    sql.add(&sums.collect::<Vec<_>>().join(", "));
    let wanted =
        format!("tag, hour, public_model, key_id, deployment_id, provider, operation, {}", columns().join(", "));
    let of_days = wanted.replace("tag, hour,", "tag, day * 24 AS hour,");
    let of_hours = wanted.replace("tag, hour,", "'' AS tag, hour,");
    sql.add(" FROM (SELECT ").add(&of_days).add(" FROM usage_days WHERE tag ");
    match &query.filter.tag {
        Some(tag) => sql.add("= ").value(Value::Text(tag.clone())),
        None if is_of_tags => sql.add("<> ''"),
        None => sql.add("= ''"),
    };
    sql.add(" AND day >= ").number(first.div_euclid(24)).add(" AND day < ").number(after.div_euclid(24));
    conditions(&mut sql, &query.filter);
    for (start, end) in [(from, first), (after, to)] {
        if start < end && !is_of_tags {
            sql.add(" UNION ALL SELECT ").add(&of_hours).add(" FROM usage_hours WHERE hour >= ").number(start);
            sql.add(" AND hour < ").number(end);
            conditions(&mut sql, &query.filter);
        }
    }
    sql.add(") AS sums");
    end_of_groups(sql, query)
}

/// Whether sums can answer a question with these conditions; else the records must, as long as they are kept.
#[must_use]
pub fn sums_can_tell(filter: &OperationFilter) -> bool {
    filter.request_id.is_none()
        && filter.outcome.is_none()
        && filter.degraded.is_none()
        && filter.cache_hit.is_none()
        && filter.status.is_none()
        && filter.min_duration_ms.is_none()
}

fn columns() -> Vec<&'static str> {
    ["requests", "errors"]
        .into_iter()
        .chain(PLAIN)
        .chain(["cost_nanocents", "upstream_nanocents", "unpriced"])
        .collect()
}

fn conditions(sql: &mut Statement, filter: &OperationFilter) {
    let texts = [
        ("public_model = ", filter.public_model.clone()),
        ("key_id = ", filter.key.map(|id| id.to_string())),
        ("deployment_id = ", filter.deployment.map(|id| id.to_string())),
        ("provider = ", filter.provider.clone()),
        ("operation = ", filter.operation.clone()),
    ];
    for (condition, text) in texts {
        if let Some(text) = text {
            sql.and(condition, Value::Text(text));
        }
    }
}

/// Between which days there are requests that meet these conditions: `first` and `last`, both null when there are none.
/// An index leads to the rows of one condition; this tells which of them need not be looked at. `None`: not worth asking.
pub(super) fn days_of(dialect: Dialect, filter: &OperationFilter) -> Option<Statement> {
    let known = [
        filter.public_model.is_some(),
        filter.key.is_some(),
        filter.deployment.is_some(),
        filter.provider.is_some(),
        filter.operation.is_some(),
        filter.tag.is_some(),
    ];
    let count = known.into_iter().filter(|is_set| *is_set).count();
    // One index leads to the rows of a key and model together, two side by side to those of a tag and something else.
    let is_led = count == 2 && filter.key.is_some() && filter.public_model.is_some();
    let is_led = is_led || (dialect == Dialect::Postgres && is_paired(filter));
    if is_led || count < 2 {
        return None;
    }
    let mut rows = Statement::new(" FROM usage_days WHERE tag = ");
    days_where(&mut rows, filter);
    // The last day is looked for where there is a first one: that there is none takes all sums to tell.
    let text = format!(
        "SELECT first, CASE WHEN first IS NOT NULL THEN (SELECT MAX(day){0}) END AS last FROM (SELECT MIN(day) AS first{0}) AS days",
        rows.text
    );
    Some(Statement { text, values: rows.values })
}

/// Which sums, after `WHERE tag = `.
fn days_where(sql: &mut Statement, filter: &OperationFilter) {
    sql.value(Value::Text(filter.tag.clone().unwrap_or_default()));
    if let Some(start) = filter.start {
        sql.add(" AND day >= ").number(start.unix_ms().div_euclid(DAY_MS));
    }
    if let Some(end) = filter.end {
        sql.add(" AND day <= ").number(end.unix_ms().div_euclid(DAY_MS));
    }
    if let Some(model) = &filter.public_model {
        // Models that nobody has are summed up without their names.
        sql.add(" AND public_model IN ('', ").value(Value::Text(model.clone())).add(")");
    }
    conditions(sql, &OperationFilter { public_model: None, ..filter.clone() });
}

/// The filter with no more time than there are such requests; `None`: there are none.
pub(super) fn within_days(filter: &OperationFilter, first: Option<i64>, last: Option<i64>) -> Option<OperationFilter> {
    let (first, last) = (first?, last?);
    let start = Timestamp::from_unix_ms(first.saturating_mul(DAY_MS));
    let end = Timestamp::from_unix_ms(last.saturating_add(1).saturating_mul(DAY_MS));
    Some(OperationFilter {
        start: Some(filter.start.map_or(start, |given| given.max(start))),
        end: Some(filter.end.map_or(end, |given| given.min(end))),
        ..filter.clone()
    })
}

fn of_records(dialect: Dialect, query: &UsageQuery) -> Statement {
    let (key, deployment) = match dialect {
        Dialect::Sqlite => ("COALESCE(hex(key_id), '')", "COALESCE(hex(deployment_id), '')"),
        Dialect::Postgres => ("COALESCE(key_id::text, '')", "COALESCE(deployment_id::text, '')"),
    };
    let mut sql = groups(query, |dimension| match dimension {
        UsageDimension::Model => "CASE WHEN error = 'model_not_found' THEN '' ELSE public_model END",
        UsageDimension::Key => key,
        UsageDimension::Deployment => deployment,
        UsageDimension::Provider => "COALESCE(provider, '')",
        UsageDimension::Tag => "of_tag.tag",
        UsageDimension::Operation => "operation",
        UsageDimension::Day => "CAST(started_at / 86400000 AS TEXT)",
        UsageDimension::Hour => "CAST(started_at / 3600000 AS TEXT)",
    });
    sql.add("COUNT(*) AS requests, COUNT(*) FILTER (WHERE outcome = 'error') AS errors, ");
    for name in PLAIN.into_iter().chain(["cost_nanocents", "upstream_nanocents"]) {
        sql.add(&format!("COALESCE(CAST(SUM({name}) AS BIGINT), 0) AS {name}, "));
    }
    sql.add("COUNT(*) FILTER (WHERE cost_nanocents IS NULL) AS unpriced");
    let (matching, _) = matching(dialect, Want::Rows, &query.filter, None);
    sql.add(" FROM (").add(&matching.text).add(") AS matching");
    sql.values.extend(matching.values);
    if query.group_by.contains(&UsageDimension::Tag) {
        sql.add(" JOIN operation_tags AS of_tag ON of_tag.operation_id = id");
        if let Some(tag) = &query.filter.tag {
            sql.add(" AND of_tag.tag = ").value(Value::Text(tag.clone()));
        }
    }
    end_of_groups(sql, query)
}

fn groups<'e>(query: &UsageQuery, expression: impl Fn(UsageDimension) -> &'e str) -> Statement {
    let mut sql = Statement::new("SELECT ");
    for (dimension, name) in query.group_by.iter().zip(["g1", "g2"]) {
        sql.add(expression(*dimension)).add(" AS ").add(name).add(", ");
    }
    sql
}

fn end_of_groups(mut sql: Statement, query: &UsageQuery) -> Statement {
    let places = ["1", "1, 2"];
    if let Some(places) = query.group_by.len().checked_sub(1).and_then(|count| places.get(count)) {
        sql.add(" GROUP BY ").add(places).add(" ORDER BY ").add(places);
    }
    sql.add(" LIMIT ").number(query.limit);
    sql
}

/// A group's value, as it is answered.
pub(super) fn group_text(dimension: UsageDimension, text: &str) -> String {
    let moment = |span_ms: i64| Timestamp::from_unix_ms(text.parse::<i64>().unwrap_or_default() * span_ms).to_rfc3339();
    match dimension {
        UsageDimension::Day => moment(DAY_MS).split('T').next().unwrap_or_default().to_owned(),
        UsageDimension::Hour => moment(HOUR_MS),
        UsageDimension::Key | UsageDimension::Deployment => {
            Uuid::parse_str(text).map_or_else(|_| text.to_owned(), |id| id.to_string())
        }
        UsageDimension::Model | UsageDimension::Provider | UsageDimension::Tag | UsageDimension::Operation => {
            text.to_owned()
        }
    }
}

/// The sums of the row of a backend.
macro_rules! read_totals {
    ($fields:expr) => {{
        let fields = $fields;
        let read = || -> Result<$crate::domain::operation_query::UsageTotals, $crate::store::values::Reason> {
            Ok($crate::domain::operation_query::UsageTotals {
                requests: fields.number("requests")?,
                errors: fields.number("errors")?,
                input_tokens: fields.number("input_tokens")?,
                cache_read_tokens: fields.number("cache_read_tokens")?,
                cache_write_tokens: fields.number("cache_write_tokens")?,
                audio_input_tokens: fields.number("audio_input_tokens")?,
                output_tokens: fields.number("output_tokens")?,
                reasoning_tokens: fields.number("reasoning_tokens")?,
                audio_output_tokens: fields.number("audio_output_tokens")?,
                image_count: fields.number("image_count")?,
                audio_ms: fields.number("audio_ms")?,
                characters: fields.number("characters")?,
                search_units: fields.number("search_units")?,
                cost: $crate::domain::money::NanoCents(fields.number("cost_nanocents")?),
                upstream_cost: $crate::domain::money::NanoCents(fields.number("upstream_nanocents")?),
                unpriced: fields.number("unpriced")?,
            })
        };
        read()
    }};
}
pub(super) use read_totals;
