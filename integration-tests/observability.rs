//! Alert rules and the dashboard use metrics and labels that there are, and every alert is explained.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;
use unified_gateway::telemetry::metrics::names::{self, Kind, Metric};

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Expressions of the alert rules, with their names.
fn alerts() -> Vec<(String, String)> {
    let rules: Value = serde_saphyr::from_str(&read("docs/observability/alerts.yml")).unwrap();
    let groups = rules["groups"].as_array().unwrap().clone();
    let rules = groups.iter().flat_map(|group| group["rules"].as_array().unwrap().clone());
    let text = |value: &Value| value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned();
    rules.map(|rule| (text(&rule["alert"]), text(&rule["expr"]))).collect()
}

/// Every expression of the dashboard.
fn queries() -> Vec<String> {
    let dashboard: Value = serde_json::from_str(&read("docs/observability/dashboard.json")).unwrap();
    let mut found = Vec::new();
    collect(&dashboard, &mut found);
    found
}

fn collect(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                match field.as_str() {
                    Some(text) if name == "expr" || name == "query" => found.push(text.to_owned()),
                    _ => collect(field, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
        _ => {}
    }
}

/// Words of an expression that name metrics of ours, each with the labels in the braces behind it.
fn metrics_in(expression: &str) -> Vec<(String, Vec<String>)> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut found = Vec::new();
    let mut rest = expression;
    while let Some(start) = rest.find(is_word) {
        rest = &rest[start..];
        let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        rest = after;
        if !word.starts_with("unified_gateway_") && !word.starts_with("process_") {
            continue;
        }
        let braces = after.strip_prefix('{').and_then(|inner| inner.split_once('}')).map_or("", |(inner, _)| inner);
        let labels =
            braces.split(',').filter_map(|pair| pair.split(['=', '!']).next()).map(|name| name.trim().to_owned());
        found.push((word.to_owned(), labels.filter(|name| !name.is_empty()).collect()));
    }
    found
}

fn metric(name: &str) -> Option<&'static Metric> {
    names::ALL.iter().copied().find(|metric| {
        let ends = ["_bucket", "_sum", "_count"];
        metric.name == name
            || (metric.kind == Kind::Histogram && ends.iter().any(|end| name == format!("{}{end}", metric.name)))
    })
}

/// What is wrong with an expression.
fn problems(expression: &str) -> Vec<String> {
    let mut problems = Vec::new();
    for (name, labels) in metrics_in(expression) {
        match metric(&name) {
            None => problems.push(format!("{name} is no metric: {expression}")),
            Some(metric) if metric.kind == Kind::Histogram && metric.name == name => {
                problems.push(format!("{name} is a histogram and has no value of its own: {expression}"));
            }
            Some(metric) => {
                // Prometheus adds these.
                let is_known = |label: &String| {
                    ["job", "instance", "le"].contains(&label.as_str()) || metric.labels.contains(&label.as_str())
                };
                let unknown: Vec<_> = labels.iter().filter(|label| !is_known(label)).collect();
                if !unknown.is_empty() {
                    problems.push(format!("{name} has no labels {unknown:?}: {expression}"));
                }
            }
        }
    }
    problems
}

#[test]
fn alerts_and_dashboard_use_metrics_and_labels_that_there_are() {
    let alerts = alerts();
    let queries = queries();
    assert!(alerts.len() >= 10 && queries.len() >= 20, "{} alerts, {} queries", alerts.len(), queries.len());
    let expressions = alerts.iter().map(|(_, expression)| expression).chain(&queries);
    let found: Vec<String> = expressions.flat_map(|expression| problems(expression)).collect();
    assert!(found.is_empty(), "{found:#?}");

    for planted in [
        "rate(unified_gateway_request_total[5m])",
        "unified_gateway_request_duration_seconds > 1",
        "unified_gateway_requests_total{modell=\"x\"}",
    ] {
        assert_eq!(problems(planted).len(), 1, "{planted}");
    }
}

#[test]
fn every_alert_is_explained_and_nothing_else_is() {
    let page = read("docs/operations.md");
    let (_, section) = page.split_once("\n## Alerts\n").expect("docs/operations.md has alerts");
    let section = section.split("\n## ").next().unwrap();
    let explained: BTreeSet<String> =
        section.lines().filter_map(|line| Some(line.strip_prefix("| `")?.split_once('`')?.0.to_owned())).collect();
    let alerts: BTreeSet<String> = alerts().into_iter().map(|(name, _)| name).collect();
    assert_eq!(explained, alerts);
}
