//! `unified-gateway admin logs …`, `admin usage` and `admin summary`.

use serde_json::{Map, Value, json};

use super::admin::items;
use super::call::Client;
use super::print::{Column, Output, say};
use super::{Done, Failure, fields};
use crate::config::admin::LogVerb;

/// Rows asked for at once.
const PAGE: usize = 500;
const OPERATIONS: &[Column] = &[
    ("ID", "id"),
    ("STARTED", "startedAt"),
    ("REQUEST", "requestId"),
    ("MODEL", "publicModel"),
    ("PROVIDER", "provider"),
    ("OUTCOME", "outcome"),
    ("STATUS", "httpStatus"),
    ("MS", "durationMs"),
    ("IN", "inputTokens"),
    ("OUT", "outputTokens"),
    ("CENTS", "costCents"),
];
const MODELS: &[Column] = &[
    ("MODEL", "publicModel"),
    ("REQUESTS", "requests"),
    ("ERRORS", "errors"),
    ("P50 MS", "p50"),
    ("P95 MS", "p95"),
    ("P99 MS", "p99"),
    ("IN", "inputTokens"),
    ("OUT", "outputTokens"),
    ("CENTS", "costCents"),
];
/// What sums are printed of, as the contract names it, and the heading.
const SUMS: &[Column] = &[
    ("REQUESTS", "requests"),
    ("ERRORS", "errors"),
    ("INPUT TOKENS", "inputTokens"),
    ("CACHE READ", "cacheReadTokens"),
    ("CACHE WRITE", "cacheWriteTokens"),
    ("OUTPUT TOKENS", "outputTokens"),
    ("REASONING", "reasoningTokens"),
    ("CENTS", "costCents"),
    ("UPSTREAM CENTS", "upstreamCostCents"),
    ("UNPRICED", "unpriced"),
];

pub(super) async fn run(client: &Client, output: Output, verb: LogVerb) -> Done {
    match verb {
        LogVerb::List { filters, limit } => list(client, output, &filters, limit).await,
        LogVerb::Show { id } => output.one(&client.call("UsageService/GetOperation", &json!({"id": id})).await?),
        LogVerb::Tail { filters, after } => {
            let request = json!({"filter": filter(fields::assignments(&filters)?), "afterOperationId": after});
            client.follow("UsageService/TailOperations", &request, |operation| output.line(operation, OPERATIONS)).await
        }
    }
}

async fn list(client: &Client, output: Output, filters: &[String], limit: usize) -> Done {
    let filter = filter(fields::assignments(filters)?);
    let (mut all, mut token) = (Vec::new(), Value::Null);
    while all.len() < limit {
        let request = json!({"filter": filter, "pageSize": PAGE.min(limit - all.len()), "pageToken": token});
        let answer = client.call("UsageService/ListOperations", &request).await?;
        all.extend(items(&answer, "operations").iter().cloned());
        match answer.get("nextPageToken") {
            Some(next) => token = next.clone(),
            None => break,
        }
    }
    output.list(&all, OPERATIONS)
}

/// Conditions in the words of the REST API as those of the contract; a day is its first moment.
fn filter(fields: Map<String, Value>) -> Value {
    let named = fields.into_iter().map(|(name, value)| match name.as_str() {
        "status" => ("httpStatus".to_owned(), value),
        "start" => ("startedAt".to_owned(), moment(value)),
        "end" => ("endTime".to_owned(), moment(value)),
        _ => (name, value),
    });
    Value::Object(named.collect())
}

fn moment(value: Value) -> Value {
    match value.as_str() {
        Some(text) if text.len() == "2030-01-31".len() => Value::from(format!("{text}T00:00:00Z")),
        Some(_) | None => value,
    }
}

pub(super) async fn usage(client: &Client, output: Output, texts: &[String], csv: bool) -> Done {
    let mut fields = fields::assignments(texts)?;
    let group_by = match fields.remove("groupBy") {
        None => Vec::new(),
        Some(Value::String(words)) => words.split(',').map(str::to_owned).collect(),
        Some(_) => return Err(Failure::new("groupBy: must be words such as model,day")),
    };
    let request = json!({"filter": filter(fields), "groupBy": group_by});
    let answer = client.call("UsageService/AggregateUsage", &request).await?;
    if output.json {
        return output.one(&answer);
    }
    let rows: Vec<Vec<String>> = items(&answer, "rows").iter().map(cells).collect();
    let names = |named: fn(&Column) -> &str| {
        group_by.iter().cloned().chain(SUMS.iter().map(|column| named(column).to_owned())).collect::<Vec<_>>()
    };
    if csv {
        let lines = std::iter::once(names(|column| column.1)).chain(rows);
        return lines
            .map(|cells| cells.iter().map(|cell| quoted(cell)).collect::<Vec<_>>().join(",") + "\r\n")
            .try_for_each(|line| say(&line));
    }
    output.rows(names(|column| column.0).iter().map(|name| name.to_uppercase()).collect(), rows)
}

/// The group's values and its sums; what is not set is nothing.
fn cells(row: &Value) -> Vec<String> {
    let group = items(row, "group").iter().map(|text| text.as_str().unwrap_or_default().to_owned());
    let sums = SUMS.iter().map(|(_, name)| match &row["totals"][name] {
        Value::Null => "0".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    });
    group.chain(sums).collect()
}

/// A cell of a table for spreadsheets. What one would take for a formula is told to be text.
fn quoted(text: &str) -> String {
    let guard = if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { "'" } else { "" };
    if guard.is_empty() && !text.contains([',', '"', '\r', '\n']) {
        return text.to_owned();
    }
    format!("\"{guard}{}\"", text.replace('"', "\"\""))
}

pub(super) async fn summary(client: &Client, output: Output, window: &str) -> Done {
    let ms = match window {
        "5m" => 300_000,
        "1h" => 3_600_000,
        "24h" => 86_400_000,
        _ => return Err(Failure::new("the window must be 5m, 1h or 24h")),
    };
    let answer = client.call("UsageService/GetSummary", &json!({"windowMs": ms})).await?;
    if output.json {
        return output.one(&answer);
    }
    let all = json!({"publicModel": "(all)"});
    let parts = std::iter::once((&all, &answer["all"])).chain(items(&answer, "models").iter().map(|part| (part, part)));
    let rows: Vec<Value> = parts
        .map(|(named, part)| {
            let number = |name: &str| part.get(name).cloned().unwrap_or(Value::from(0));
            let time = |name: &str| part["duration"].get(name).cloned().unwrap_or(Value::Null);
            json!({"publicModel": named["publicModel"], "requests": number("requests"),
                "errors": part["outcomes"].get("error").cloned().unwrap_or(Value::from(0)),
                "p50": time("p50Ms"), "p95": time("p95Ms"), "p99": time("p99Ms"),
                "inputTokens": number("inputTokens"), "outputTokens": number("outputTokens"),
                "costCents": number("costCents")})
        })
        .collect();
    output.list(&rows, MODELS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_those_of_the_rest_api() {
        let fields = fields::assignments(&["status=503", "start=2027-01-15", "tag=a"].map(str::to_owned)).unwrap();
        let expected = json!({"httpStatus": 503, "startedAt": "2027-01-15T00:00:00Z", "tag": "a"});
        assert_eq!(filter(fields), expected);
    }

    #[test]
    fn a_cell_is_never_a_formula() {
        let cases = [("general", "general"), ("a,b", "\"a,b\""), ("=1+1", "\"'=1+1\""), ("a\"b", "\"a\"\"b\"")];
        for (text, expected) in cases {
            assert_eq!(quoted(text), expected);
        }
    }
}
