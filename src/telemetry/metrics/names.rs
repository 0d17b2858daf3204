//! Every metric: its name, what it is, its labels. Spelt once, here; docs/metrics.md is made from it.

/// What is known of a metric.
#[derive(Debug, PartialEq, Eq)]
pub struct Metric {
    /// Its name, as it is scraped. Base units, `_total` where it only grows.
    pub name: &'static str,
    /// What kind of figure it is.
    pub kind: Kind,
    /// Names of its labels.
    pub labels: &'static [&'static str],
    /// What it says.
    pub help: &'static str,
}

/// What kind of figure a metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only grows while the process lives.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Values by size.
    Histogram,
}

impl Kind {
    /// Its word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

impl Metric {
    const fn counter(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Self {
        Self { name, kind: Kind::Counter, labels, help }
    }

    const fn gauge(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Self {
        Self { name, kind: Kind::Gauge, labels, help }
    }

    const fn histogram(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Self {
        Self { name, kind: Kind::Histogram, labels, help }
    }

    /// The unit of its value, read from its name.
    #[must_use]
    pub fn unit(&self) -> &'static str {
        let bare = self.name.trim_end_matches("_total");
        ["seconds", "bytes", "cents", "tokens"]
            .into_iter()
            .find(|unit| bare.ends_with(&format!("_{unit}")))
            .unwrap_or("1")
    }
}

/// Requests that ended.
pub const REQUESTS: Metric = Metric::counter(
    "unified_gateway_requests_total",
    &["model", "provider", "operation", "contract", "outcome"],
    "Requests for a model that ended",
);
/// How long they took.
pub const REQUEST_SECONDS: Metric = Metric::histogram(
    "unified_gateway_request_duration_seconds",
    &["model", "provider", "operation", "contract", "outcome"],
    "From admission to the end of the answer, all attempts included",
);
/// How long their first output took.
pub const FIRST_OUTPUT_SECONDS: Metric = Metric::histogram(
    "unified_gateway_time_to_first_output_seconds",
    &["model", "provider", "operation", "contract"],
    "From admission to the first output of a stream, all attempts included",
);
/// Requests under way.
pub const REQUESTS_IN_FLIGHT: Metric =
    Metric::gauge("unified_gateway_requests_in_flight", &[], "Requests for a model under way");
/// Why requests failed.
pub const REQUEST_ERRORS: Metric = Metric::counter(
    "unified_gateway_request_errors_total",
    &["model", "operation", "fault"],
    "Requests for a model that ended with an error, by the error",
);
/// Tokens used.
pub const TOKENS: Metric = Metric::counter(
    "unified_gateway_tokens_total",
    &["model", "provider", "operation", "contract", "kind"],
    "Tokens used; the kinds add up",
);
/// Tokens of a request.
pub const REQUEST_TOKENS: Metric = Metric::histogram(
    "unified_gateway_request_tokens",
    &["model", "provider", "operation", "contract", "direction"],
    "Tokens of one request",
);
/// Money.
pub const COST: Metric = Metric::counter(
    "unified_gateway_cost_cents_total",
    &["model", "provider", "operation", "contract"],
    "What requests cost their keys, in US cents",
);
/// Requests whose usage was estimated.
pub const ESTIMATED: Metric = Metric::counter(
    "unified_gateway_estimated_usage_total",
    &["model", "provider", "operation", "contract"],
    "Requests whose tokens the provider did not report and that were estimated",
);
/// Calls of providers.
pub const ATTEMPTS: Metric = Metric::counter(
    "unified_gateway_attempts_total",
    &["model", "provider", "upstream_model", "operation", "outcome"],
    "Calls of providers that ended",
);
/// How long calls of providers took.
pub const ATTEMPT_SECONDS: Metric = Metric::histogram(
    "unified_gateway_attempt_duration_seconds",
    &["model", "provider", "upstream_model", "operation", "outcome"],
    "From the call of a provider to the end of its answer or its failure",
);
/// Attempts after the first.
pub const RETRIES: Metric = Metric::counter(
    "unified_gateway_retries_total",
    &["model", "operation"],
    "Attempts beyond the first one of a request",
);
/// Requests that a fallback served.
pub const FALLBACKS: Metric = Metric::counter(
    "unified_gateway_fallbacks_total",
    &["model", "reason"],
    "Requests whose fallback chain was asked for candidates, by the reason",
);
/// The version that runs.
pub const BUILD_INFO: Metric =
    Metric::gauge("unified_gateway_build_info", &["version", "mode"], "Always 1; the labels say what runs");
/// How long it runs.
pub const UPTIME_SECONDS: Metric = Metric::gauge("unified_gateway_uptime_seconds", &[], "Since the gateway started");
/// Series that found no room.
pub const SERIES_LOST: Metric = Metric::counter(
    "unified_gateway_metric_overflow_total",
    &[],
    "Figures counted under `other` because there were too many label values",
);

/// Answers out of the cache.
pub const CACHE_HITS: Metric = Metric::counter(
    "unified_gateway_cache_hits_total",
    &["model", "operation"],
    "Answers that came out of the response cache; `unified_gateway_requests_total` counts them, too",
);
/// Answers over HTTP.
pub const HTTP_RESPONSES: Metric = Metric::counter(
    "unified_gateway_http_responses_total",
    &["route", "method", "status"],
    "Answers on the HTTP listeners, whatever was asked for",
);
/// Requests refused before a deployment was looked for.
pub const REFUSALS: Metric = Metric::counter(
    "unified_gateway_refusals_total",
    &["contract", "fault"],
    "Requests for a model refused before a deployment was looked for: keys, scopes, bodies",
);
/// Refusals without a record.
pub const REFUSALS_UNRECORDED: Metric = Metric::counter(
    "unified_gateway_refusals_unrecorded_total",
    &[],
    "Refused requests that were not recorded, for there were too many of them",
);
/// Answers that did not wait for their record.
pub const ANSWERS_BEFORE_RECORD: Metric = Metric::counter(
    "unified_gateway_answers_before_record_total",
    &[],
    "Answers that went out before their record was safe, after a second",
);
/// Connections to the database.
pub const DATABASE_CONNECTIONS: Metric = Metric::gauge(
    "unified_gateway_database_connections",
    &["pool", "state"],
    "Connections to the database; SQLite has some that read and one that writes",
);
/// Writes that queue for the one connection that writes to SQLite.
pub const DATABASE_WAITING: Metric = Metric::gauge(
    "unified_gateway_database_writes_waiting",
    &[],
    "Writes that wait for the one connection that writes to SQLite",
);
/// Streams under way.
pub const OPEN_STREAMS: Metric =
    Metric::gauge("unified_gateway_open_streams", &[], "Answers that are being streamed to clients");
/// Bytes of bodies in memory.
pub const BODY_BYTES: Metric =
    Metric::gauge("unified_gateway_request_body_bytes", &[], "Bodies of requests in memory, all together");
/// Connections of clients.
pub const CONNECTIONS: Metric =
    Metric::gauge("unified_gateway_open_connections", &["listener"], "Open connections of clients");
/// Connections of clients that were taken.
pub const CONNECTIONS_TAKEN: Metric =
    Metric::counter("unified_gateway_connections_total", &["listener"], "Connections of clients that were taken");
/// Connections of clients that were closed at once.
pub const CONNECTIONS_REFUSED: Metric = Metric::counter(
    "unified_gateway_connections_refused_total",
    &["listener"],
    "Connections of clients closed at once, for there were too many",
);
/// Connections to providers.
pub const UPSTREAM_CONNECTIONS: Metric = Metric::counter(
    "unified_gateway_upstream_connections_total",
    &["outcome"],
    "Connections to providers that were made, or failed",
);
/// Connections to providers that are open.
pub const OPEN_UPSTREAM: Metric = Metric::gauge(
    "unified_gateway_open_upstream_connections",
    &["state"],
    "Connections to providers that are being made, used by calls, or kept for the next one",
);
/// Deployments by what they take.
pub const DEPLOYMENTS: Metric = Metric::gauge(
    "unified_gateway_deployments",
    &["model", "provider", "state"],
    "Deployments by how they stand; those that are switched off are `disabled`",
);
/// The configuration in force.
pub const CONFIG_REVISION: Metric =
    Metric::gauge("unified_gateway_config_revision", &[], "Revision of the configuration in force");
/// How long it has been.
pub const CONFIG_AGE: Metric =
    Metric::gauge("unified_gateway_config_age_seconds", &[], "Since the configuration in force was put in force");
/// Rows left out of it.
pub const QUARANTINED: Metric = Metric::gauge(
    "unified_gateway_config_quarantined_rows",
    &[],
    "Stored rows left out of the configuration in force, for they are not understood",
);
/// Rows in it.
pub const CONFIG_ROWS: Metric =
    Metric::gauge("unified_gateway_config_rows", &["kind"], "Rows of the configuration in force");
/// Whether it takes traffic.
pub const READY: Metric = Metric::gauge(
    "unified_gateway_ready",
    &[],
    "1 while a configuration is in force and the process neither drains nor stands by",
);
/// Databases.
pub const DEPENDENCY_UP: Metric =
    Metric::gauge("unified_gateway_dependency_up", &["dependency"], "1 while a database answers");
/// Spans and reports to a collector.
pub const TELEMETRY: Metric = Metric::counter(
    "unified_gateway_telemetry_total",
    &["signal", "outcome"],
    "Spans and reports of metrics for a collector, by what became of them",
);
/// CPU.
pub const PROCESS_CPU: Metric =
    Metric::counter("process_cpu_seconds_total", &[], "CPU time of the process, user and system");
/// Memory.
pub const PROCESS_MEMORY: Metric = Metric::gauge("process_resident_memory_bytes", &[], "Memory of the process");
/// File descriptors.
pub const PROCESS_FDS: Metric = Metric::gauge("process_open_fds", &[], "Open file descriptors");
/// Most file descriptors.
pub const PROCESS_MAX_FDS: Metric = Metric::gauge("process_max_fds", &[], "File descriptors that may be open");
/// Threads.
pub const PROCESS_THREADS: Metric = Metric::gauge("process_threads", &[], "Threads of the process");
/// When it started.
pub const PROCESS_START: Metric =
    Metric::gauge("process_start_time_seconds", &[], "When the process started, in seconds since 1970");

/// Requests that waited for a hold.
pub const HOLD_WAITS: Metric =
    Metric::counter("unified_gateway_hold_waits_total", &[], "Requests that waited for money that others held");
/// How long they waited.
pub const HOLD_WAIT_SECONDS: Metric =
    Metric::counter("unified_gateway_hold_wait_seconds_total", &[], "How long they waited, together");
/// Requests that limits refused.
pub const LIMIT_REFUSALS: Metric = Metric::counter(
    "unified_gateway_limit_refusals_total",
    &["reason"],
    "Requests that the limits of their key refused, by the limit",
);
/// How long answers wait for their record.
pub const SETTLEMENT_SECONDS: Metric = Metric::histogram(
    "unified_gateway_settlement_duration_seconds",
    &[],
    "How long the end of an answer waited for its record to be safe",
);
/// Requests let through without a count.
pub const LET_THROUGH: Metric = Metric::counter(
    "unified_gateway_uncounted_requests_total",
    &[],
    "Requests with limits that were let through uncounted, as LEDGER_FAIL_OPEN says",
);
/// Ends that Redis was not told.
pub const NOT_KEPT: Metric = Metric::counter(
    "unified_gateway_records_not_kept_total",
    &[],
    "Ends of requests that Redis could not be told in time; their answers waited for PostgreSQL or the disk",
);
/// Records in memory.
pub const RECORDS_WAITING: Metric =
    Metric::gauge("unified_gateway_records_waiting", &[], "Records that wait in memory for the store");
/// Records in Redis.
pub const RECORDS_KEPT: Metric = Metric::gauge(
    "unified_gateway_records_kept",
    &[],
    "Records that Redis keeps for this replica until they are stored",
);
/// How far behind the store is.
pub const RECORDS_LAG: Metric = Metric::gauge(
    "unified_gateway_records_lag_seconds",
    &[],
    "Age of the oldest record that is not in the store; two failures have to be further apart than this",
);
/// Records on disk.
pub const SPOOL_BYTES: Metric =
    Metric::gauge("unified_gateway_spool_bytes", &[], "Records that wait on disk for the store");
/// Records of the dead.
pub const RECORDS_INHERITED: Metric = Metric::counter(
    "unified_gateway_records_inherited_total",
    &[],
    "Records taken over from replicas that fell silent",
);

/// All of them, as they are listed and scraped.
pub const ALL: &[&Metric] = &[
    &REQUESTS,
    &REQUEST_ERRORS,
    &REQUEST_SECONDS,
    &FIRST_OUTPUT_SECONDS,
    &REQUESTS_IN_FLIGHT,
    &TOKENS,
    &REQUEST_TOKENS,
    &COST,
    &ESTIMATED,
    &ATTEMPTS,
    &ATTEMPT_SECONDS,
    &RETRIES,
    &FALLBACKS,
    &CACHE_HITS,
    &REFUSALS,
    &REFUSALS_UNRECORDED,
    &ANSWERS_BEFORE_RECORD,
    &HTTP_RESPONSES,
    &OPEN_STREAMS,
    &BODY_BYTES,
    &CONNECTIONS,
    &CONNECTIONS_TAKEN,
    &CONNECTIONS_REFUSED,
    &UPSTREAM_CONNECTIONS,
    &OPEN_UPSTREAM,
    &DATABASE_CONNECTIONS,
    &DATABASE_WAITING,
    &DEPLOYMENTS,
    &HOLD_WAITS,
    &HOLD_WAIT_SECONDS,
    &LIMIT_REFUSALS,
    &SETTLEMENT_SECONDS,
    &LET_THROUGH,
    &NOT_KEPT,
    &RECORDS_WAITING,
    &RECORDS_KEPT,
    &RECORDS_LAG,
    &SPOOL_BYTES,
    &RECORDS_INHERITED,
    &CONFIG_REVISION,
    &CONFIG_AGE,
    &QUARANTINED,
    &CONFIG_ROWS,
    &READY,
    &DEPENDENCY_UP,
    &TELEMETRY,
    &SERIES_LOST,
    &BUILD_INFO,
    &UPTIME_SECONDS,
    &PROCESS_CPU,
    &PROCESS_MEMORY,
    &PROCESS_FDS,
    &PROCESS_MAX_FDS,
    &PROCESS_THREADS,
    &PROCESS_START,
];

/// All of them as a Markdown table: name, type, unit, labels, meaning.
#[must_use]
pub fn metrics_table() -> String {
    let mut table = String::from("| metric | type | unit | labels | meaning |\n|---|---|---|---|---|\n");
    for metric in ALL {
        let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        let (name, kind, unit, help) = (metric.name, metric.kind.as_str(), metric.unit(), metric.help);
        table.push_str(&format!("| `{name}` | {kind} | {unit} | {} | {help} |\n", labels.join(", ")));
    }
    table
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_metric_is_listed_once_and_named_by_the_rules() {
        let declared = include_str!("names.rs").lines().filter(|line| line.starts_with("pub const ")).count();
        // The list itself is a constant, too.
        assert_eq!(declared - 1, ALL.len());
        assert_eq!(ALL.iter().map(|metric| metric.name).collect::<BTreeSet<_>>().len(), ALL.len());
        for metric in ALL {
            let name = metric.name;
            assert!(name.starts_with("unified_gateway_") || name.starts_with("process_"), "{name}");
            assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{name}");
            assert_eq!(metric.kind == Kind::Counter, name.ends_with("_total"), "{name}");
            assert!(!name.contains("_ms") && !name.contains("milli"), "{name}");
            assert!(metric.labels.iter().all(|label| !label.contains("id") || label.contains("provider")), "{name}");
        }
    }
}
