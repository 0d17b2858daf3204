//! Metrics: who may read them, that they say what happened, and that what is documented, what is declared and what is
//! exposed are the same.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde_json::json;
use unified_gateway::telemetry::metrics::names::{self, Kind, metrics_table};

use crate::support::client::Client;
use crate::support::gateway::{MASTER_KEY, TestGateway, chat, chat_stream};
use crate::support::wait::until;

/// Series of a scrape by name, then labels as they are written, then value.
type Scrape = BTreeMap<String, BTreeMap<String, f64>>;

/// What a gateway exposes, read by the rules of the text format.
async fn scrape(gateway: &TestGateway) -> Scrape {
    let answer = gateway.client.get("/metrics", Some(MASTER_KEY)).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    read_strictly(&answer.text())
}

/// Reads the text format, version 0.0.4, and refuses what a scraper might trip over: a sample outside of its family, a
/// family twice, a series twice, buckets that fall or do not end at infinity.
fn read_strictly(text: &str) -> Scrape {
    assert!(text.ends_with('\n'));
    let mut scrape = Scrape::new();
    let mut seen = BTreeSet::new();
    let (mut family, mut kind) = (String::new(), String::new());
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            family = rest.split(' ').next().unwrap().to_owned();
            assert!(seen.insert(family.clone()), "{family} comes twice");
            continue;
        }
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, stated) = rest.split_once(' ').unwrap();
            assert_eq!(name, family, "a type follows the help of its family");
            stated.clone_into(&mut kind);
            continue;
        }
        let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no sample: {line}"));
        let value: f64 = value.parse().unwrap_or_else(|_| panic!("no number: {line}"));
        let (name, labels) = series.split_once('{').map_or((series, ""), |(name, rest)| {
            (name, rest.strip_suffix('}').unwrap_or_else(|| panic!("labels do not end: {line}")))
        });
        check_labels(labels, line);
        let belongs = match kind.as_str() {
            "histogram" => ["_bucket", "_sum", "_count"].iter().any(|end| name == format!("{family}{end}")),
            _ => name == family,
        };
        assert!(belongs, "{name} is no sample of {family}, a {kind}");
        let known = scrape.entry(name.to_owned()).or_default().insert(labels.to_owned(), value);
        assert!(known.is_none(), "a series comes twice: {line}");
    }
    check_buckets(&scrape);
    scrape
}

fn check_labels(labels: &str, line: &str) {
    let mut rest = labels;
    while !rest.is_empty() {
        let (name, value) = rest.split_once("=\"").unwrap_or_else(|| panic!("no label: {line}"));
        assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{line}");
        let mut end = None;
        let mut is_escaped = false;
        for (at, byte) in value.bytes().enumerate() {
            match byte {
                _ if is_escaped => {
                    assert!(matches!(byte, b'\\' | b'"' | b'n'), "{line}");
                    is_escaped = false;
                }
                b'\\' => is_escaped = true,
                b'"' => {
                    end = Some(at);
                    break;
                }
                _ => {}
            }
        }
        let end = end.unwrap_or_else(|| panic!("a value does not end: {line}"));
        rest = value[end + 1..].trim_start_matches(',');
    }
}

fn check_buckets(scrape: &Scrape) {
    for (name, series) in scrape.iter().filter(|(name, _)| name.ends_with("_bucket")) {
        let family = name.trim_end_matches("_bucket");
        let mut by_labels: BTreeMap<String, Vec<(f64, f64)>> = BTreeMap::new();
        for (labels, count) in series {
            let (others, bound) = labels.rsplit_once("le=\"").unwrap();
            let bound = bound.trim_end_matches('"').replace("+Inf", "inf").parse().unwrap();
            by_labels.entry(others.trim_end_matches(',').to_owned()).or_default().push((bound, *count));
        }
        for (labels, mut buckets) in by_labels {
            buckets.sort_by(|one, other| one.0.total_cmp(&other.0));
            assert!(buckets.is_sorted_by(|one, other| one.1 <= other.1), "{name} {labels}");
            let (last, count) = buckets.last().unwrap();
            assert!(last.is_infinite());
            assert_eq!(scrape[&format!("{family}_count")][&labels], *count);
            assert!(scrape[&format!("{family}_sum")].contains_key(&labels));
        }
    }
}

/// The only series of `name` whose labels have all of these in them; zero where there is none.
fn value(scrape: &Scrape, name: &str, labels: &[&str]) -> f64 {
    let has = |series: &str| labels.iter().all(|label| series.contains(label));
    let found: Vec<_> = scrape.get(name).into_iter().flatten().filter(|(series, _)| has(series)).collect();
    assert!(found.len() <= 1, "{name} {labels:?}: {found:?}");
    found.first().map_or(0.0, |(_, value)| **value)
}

#[tokio::test]
async fn what_happened_is_counted_by_model_provider_and_outcome() {
    let gateway = TestGateway::serving(&["stub-text", "stub-500"]).await;
    let (_, key) = gateway.create_key(&json!({"name": "app"})).await;
    gateway.client.chat(&key, &chat("stub-text")).await.ok();
    gateway.client.transcript(&key, &chat_stream("stub-text")).await.is_complete();
    let failed = gateway.client.chat(&key, &chat("stub-500")).await;
    assert_eq!(failed.status, 502);

    let scrape = scrape(&gateway).await;
    let text = [r#"model="stub-text""#, r#"provider="openaicompatible""#, r#"outcome="success""#];
    assert_eq!(value(&scrape, names::REQUESTS.name, &text), 2.0, "{scrape:#?}");
    assert_eq!(value(&scrape, "unified_gateway_request_duration_seconds_count", &text), 2.0);
    assert_eq!(value(&scrape, "unified_gateway_attempt_duration_seconds_count", &text), 2.0);
    assert_eq!(value(&scrape, "unified_gateway_time_to_first_output_seconds_count", &[text[0]]), 1.0);
    let tokens = |kind| value(&scrape, names::TOKENS.name, &[text[0], kind]);
    assert!(tokens(r#"kind="input""#) > 0.0 && tokens(r#"kind="output""#) > 0.0);
    let error = [r#"model="stub-500""#, r#"outcome="error""#];
    assert_eq!(value(&scrape, names::REQUESTS.name, &error), 1.0);
    let attempts = value(&scrape, names::ATTEMPTS.name, &[error[0], r#"outcome="transient""#]);
    assert!(attempts > 1.0, "{attempts}");
    assert_eq!(value(&scrape, names::RETRIES.name, &[error[0]]), attempts - 1.0);
    assert_eq!(value(&scrape, names::REQUEST_ERRORS.name, &[error[0], r#"fault="upstream""#]), 1.0);
    assert_eq!(value(&scrape, names::REQUESTS_IN_FLIGHT.name, &[]), 0.0);
}

#[tokio::test]
async fn a_client_cannot_make_a_series() {
    let gateway = TestGateway::start().await;
    let (_, key) = gateway.create_key(&json!({"name": "app"})).await;
    for nth in 0..20 {
        assert_eq!(gateway.client.chat(&key, &chat(&format!("invented-{nth}"))).await.status, 404);
    }
    let scrape = scrape(&gateway).await;
    assert_eq!(value(&scrape, names::REQUESTS.name, &[r#"model="none""#]), 20.0);
    let all = format!("{scrape:?}");
    assert!(!all.contains("invented"), "{all}");
    assert!(!all.contains(&key[..12]) && !all.contains("req_"), "{all}");
}

#[tokio::test]
async fn metrics_take_the_master_key_on_the_main_port() {
    let gateway = TestGateway::start().await;
    let (_, key) = gateway.create_key(&json!({"name": "app"})).await;
    assert_eq!(gateway.client.get("/metrics", None).await.status, 401);
    assert_eq!(gateway.client.get("/metrics", Some(&key)).await.status, 403);
    assert_eq!(gateway.client.get("/metrics", Some(MASTER_KEY)).await.status, 200);
    let posted = gateway.admin("POST", "/metrics", &json!({})).await;
    assert_eq!(posted.status, 405);
}

#[tokio::test]
async fn on_a_port_of_their_own_metrics_take_no_key_and_are_gone_from_the_main_one() {
    let gateway = TestGateway::with(&[("METRICS_PORT", "0")]).await;
    assert_eq!(gateway.client.get("/metrics", Some(MASTER_KEY)).await.status, 404);
    let metrics = Client::new(gateway.metrics_address());
    let answer = metrics.get("/metrics", None).await;
    assert_eq!(answer.status, 200);
    read_strictly(&answer.text());
    assert_eq!(metrics.get("/v1/models", None).await.status, 404);
    assert_eq!(metrics.get("/admin/keys", Some(MASTER_KEY)).await.status, 404);
}

#[tokio::test]
async fn a_running_gateway_exposes_what_is_declared_and_nothing_else() {
    let gateway = TestGateway::serving(&["stub-text"]).await;
    let (_, key) = gateway.create_key(&json!({"name": "app"})).await;
    gateway.client.chat(&key, &chat("stub-text")).await.ok();
    let text = gateway.client.get("/metrics", Some(MASTER_KEY)).await.text();
    let exposed: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
    let declared: Vec<String> =
        names::ALL.iter().map(|metric| format!("{} {}", metric.name, metric.kind.as_str())).collect();
    assert_eq!(exposed, declared);
    for (name, series) in read_strictly(&text) {
        let base = ["_bucket", "_sum", "_count"].iter().fold(name.as_str(), |name, end| name.trim_end_matches(end));
        let metric = names::ALL.iter().find(|metric| metric.name == name || metric.name == base).unwrap();
        for labels in series.keys() {
            let mut shown: Vec<&str> = labels.split("\",").filter_map(|label| label.split('=').next()).collect();
            shown.retain(|label| !label.is_empty() && (*label != "le" || metric.kind != Kind::Histogram));
            assert_eq!(shown, metric.labels, "{name}");
        }
    }
}

#[test]
fn the_page_of_metrics_is_made_from_the_declarations() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/metrics.md")).unwrap();
    let (_, rest) = page.split_once("<!-- metrics -->\n").expect("docs/metrics.md has a mark");
    let (table, _) = rest.split_once("<!-- /metrics -->").expect("docs/metrics.md has an end mark");
    let expected = metrics_table();
    assert!(table.trim() == expected.trim(), "put this between the marks of docs/metrics.md:\n\n{expected}");
}

#[tokio::test]
async fn open_connections_to_providers_and_to_the_database_are_counted_by_their_state() {
    let gateway = TestGateway::serving(&["stub-text", "stub-stall-mid"]).await;
    let (_, key) = gateway.create_key(&json!({"name": "app"})).await;
    let upstream = async || {
        let scrape = scrape(&gateway).await;
        ["connecting", "in_use", "idle"]
            .map(|state| value(&scrape, "unified_gateway_open_upstream_connections", &[&format!("state=\"{state}\"")]))
    };
    assert_eq!(upstream().await, [0.0, 0.0, 0.0]);
    gateway.client.chat(&key, &chat("stub-text")).await.ok();
    until("a connection that is kept", async || upstream().await == [0.0, 0.0, 1.0]).await;
    let stream = gateway.client.open_chat(&key, &chat_stream("stub-stall-mid")).await;
    until("the same, in use", async || upstream().await == [0.0, 1.0, 0.0]).await;
    drop(stream);
    until("its end with that of the client", async || upstream().await == [0.0, 0.0, 0.0]).await;

    let scrape = scrape(&gateway).await;
    let connections = |pool: &str, state: &str| {
        let labels = [&*format!("pool=\"{pool}\""), &format!("state=\"{state}\"")];
        value(&scrape, "unified_gateway_database_connections", &labels)
    };
    let of_writer = connections("sqlite_writer", "in_use") + connections("sqlite_writer", "idle");
    let of_readers = connections("sqlite_readers", "in_use") + connections("sqlite_readers", "idle");
    assert!(of_writer == 1.0 && (1.0..=4.0).contains(&of_readers), "{of_writer} {of_readers}");
    assert_eq!(scrape["unified_gateway_database_writes_waiting"].len(), 1);
}

#[tokio::test]
async fn who_asks_for_openmetrics_gets_it() {
    let gateway = TestGateway::start().await;
    let bearer = format!("Bearer {MASTER_KEY}");
    for (accept, is_open) in [
        ("application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5", true),
        ("text/plain", false),
        ("*/*", false),
        ("application/openmetrics-text;q=0, */*", false),
    ] {
        let headers = [("authorization", bearer.as_str()), ("accept", accept)];
        let answer = gateway.client.send("GET", "/metrics", &headers, String::new()).await;
        let kind = answer.header("content-type").unwrap();
        assert_eq!(kind.starts_with("application/openmetrics-text; version=1.0.0"), is_open, "{accept}: {kind}");
        assert_eq!(answer.text().ends_with("\n# EOF\n"), is_open, "{accept}");
        // Families of that format have names of their own: a counter's is without its ending.
        if is_open {
            let text = answer.text();
            let mut families: Vec<_> = text.lines().filter(|line| line.starts_with("# TYPE ")).collect();
            let count = families.len();
            families.sort_unstable_by_key(|line| line.split(' ').nth(2));
            families.dedup_by_key(|line| line.split(' ').nth(2));
            assert_eq!((families.len(), count), (names::ALL.len(), names::ALL.len()));
        }
    }
}
