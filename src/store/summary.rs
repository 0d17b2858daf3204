//! Recent requests in short: three statements, each over the range once. The first row of each answer is about all
//! requests, the others about one model each, the busiest first.

use std::collections::BTreeMap;

use super::operations::{Dialect, Statement, Want, is, matching};
use crate::domain::operation_query::{OperationFilter, OperationOutcome, Percentiles, Summary, SummaryPart};
use crate::time::Timestamp;

/// Models in a summary.
const MODELS: u32 = 100;
const SUMS: [&str; 4] = ["input_tokens", "output_tokens", "cost_nanocents", "upstream_nanocents"];

/// A column whose percentiles are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Timing {
    Duration,
    FirstOutput,
}

fn range(start: Timestamp, end: Timestamp) -> OperationFilter {
    OperationFilter { start: Some(start), end: Some(end), ..OperationFilter::default() }
}

/// Counts and sums: columns as [`read_part`] wants them.
pub(super) fn parts(dialect: Dialect, start: Timestamp, end: Timestamp) -> Statement {
    let (matching, _) = matching(dialect, Want::Rows, &range(start, end), None);
    let outcomes = OperationOutcome::ALL.map(OperationOutcome::as_str);
    let flags = ["degraded", "cache_hit"];
    let mut sql = Statement::new("WITH by_model AS (SELECT public_model, COUNT(*) AS requests");
    for outcome in outcomes {
        sql.add(&format!(", COUNT(*) FILTER (WHERE outcome = '{outcome}') AS {outcome}"));
    }
    for flag in flags {
        sql.add(&format!(", COUNT(*) FILTER (WHERE {}) AS {flag}", is(dialect, flag, true)));
    }
    for sum in SUMS {
        sql.add(&format!(", SUM({sum}) AS {sum}"));
    }
    sql.add(" FROM (").add(&matching.text).add(") AS matching GROUP BY public_model), parts AS (");
    let columns: Vec<&str> = ["requests"].into_iter().chain(outcomes).chain(flags).chain(SUMS).collect();
    sql.add("SELECT 0 AS rank, '' AS public_model");
    for column in &columns {
        sql.add(&format!(", SUM({column}) AS {column}"));
    }
    sql.add(" FROM by_model UNION ALL SELECT 1 AS rank, public_model, ")
        .add(&columns.join(", "))
        .add(" FROM by_model)");
    sql.add(" SELECT public_model");
    for column in columns {
        sql.add(&format!(", COALESCE(CAST({column} AS BIGINT), 0) AS {column}"));
    }
    sql.add(" FROM parts ORDER BY rank, parts.requests DESC, public_model LIMIT ").number(MODELS + 1);
    sql.values = matching.values;
    sql
}

/// Percentiles: `public_model`, `p50`, `p95`, `p99`. Times are sorted into classes: whole milliseconds below a second, else
/// three digits; so a day of requests is counted without being sorted.
pub(super) fn percentiles(dialect: Dialect, timing: Timing, start: Timestamp, end: Timestamp) -> Statement {
    let (matching, _) = matching(dialect, Want::Rows, &range(start, end), None);
    let (column, wanted) = match timing {
        Timing::Duration => ("duration_ms", "outcome IN ('success', 'incomplete', 'blocked')"),
        Timing::FirstOutput => ("first_output_ms", "first_output_ms IS NOT NULL"),
    };
    let mut sql = Statement::new(format!(
        "WITH by_model AS (
             SELECT public_model,
                    CASE WHEN {column} < 1000 THEN {column} WHEN {column} < 10000 THEN {column} / 10 * 10
                         WHEN {column} < 100000 THEN {column} / 100 * 100 WHEN {column} < 1000000 THEN {column} / 1000 * 1000
                         ELSE {column} / 10000 * 10000 END AS class,
                    COUNT(*) AS requests
             FROM ({}) AS matching WHERE {wanted} GROUP BY 1, 2
         ), classes AS (
             SELECT 0 AS rank, '' AS public_model, class, SUM(requests) AS requests FROM by_model GROUP BY class
             UNION ALL SELECT 1 AS rank, public_model, class, requests FROM by_model
         ), counted AS (
             SELECT rank, public_model, class,
                    SUM(requests) OVER (PARTITION BY rank, public_model ORDER BY class) AS upto,
                    SUM(requests) OVER (PARTITION BY rank, public_model) AS total
             FROM classes
         )
         SELECT public_model, MIN(class) FILTER (WHERE upto * 100 >= total * 50) AS p50,
                MIN(class) FILTER (WHERE upto * 100 >= total * 95) AS p95,
                MIN(class) FILTER (WHERE upto * 100 >= total * 99) AS p99
         FROM counted GROUP BY rank, public_model ORDER BY rank, MAX(total) DESC, public_model LIMIT ",
        matching.text,
    ));
    // Refused requests have no times, so the busiest models of the one list may be further down in the other.
    sql.number(MODELS * 10);
    sql.values = matching.values;
    sql
}

/// The counts and sums of the row of a backend.
macro_rules! read_part {
    ($fields:expr) => {{
        let fields = $fields;
        let read = || -> Result<$crate::domain::operation_query::SummaryPart, $crate::store::values::Reason> {
            Ok($crate::domain::operation_query::SummaryPart {
                public_model: fields.owned("public_model")?,
                outcomes: [
                    fields.number("success")?,
                    fields.number("incomplete")?,
                    fields.number("blocked")?,
                    fields.number("error")?,
                    fields.number("cancelled")?,
                    fields.number("abandoned")?,
                ],
                degraded: fields.number("degraded")?,
                cache_hits: fields.number("cache_hit")?,
                duration: None,
                first_output: None,
                input_tokens: fields.number("input_tokens")?,
                output_tokens: fields.number("output_tokens")?,
                cost: $crate::domain::money::NanoCents(fields.number("cost_nanocents")?),
                upstream_cost: $crate::domain::money::NanoCents(fields.number("upstream_nanocents")?),
            })
        };
        read()
    }};
}
pub(super) use read_part;

/// Percentiles, of all and by model.
pub(super) type Timings = Vec<(String, Percentiles)>;

/// Puts a summary together.
pub(super) fn to_summary(parts: Vec<SummaryPart>, durations: Timings, first_outputs: Timings) -> Summary {
    let split = |timings: Timings| {
        let mut timings = timings.into_iter();
        let all = timings.next().map(|(_, timing)| timing);
        (all, timings.collect::<BTreeMap<_, _>>())
    };
    let ((duration, durations), (first_output, first_outputs)) = (split(durations), split(first_outputs));
    let mut parts = parts.into_iter();
    let all = SummaryPart { duration, first_output, ..parts.next().unwrap_or_default() };
    let with_timings = |part: SummaryPart| SummaryPart {
        duration: durations.get(&part.public_model).copied(),
        first_output: first_outputs.get(&part.public_model).copied(),
        ..part
    };
    Summary { all, models: parts.map(with_timings).collect() }
}
