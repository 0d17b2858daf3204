//! Traces and metrics over OTLP, by the standard variables of OpenTelemetry
//! (<https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/> and
//! <https://opentelemetry.io/docs/specs/otel/protocol/exporter/>). Nothing is sent unless an endpoint is named.

use std::fmt;
use std::time::Duration;

use url::Url;

use super::problem::Problems;

const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const HEADERS: &str = "OTEL_EXPORTER_OTLP_HEADERS";
const MAX_PAIRS: usize = 64;

#[derive(clap::Args)]
#[group(skip)]
#[command(next_help_heading = "OpenTelemetry")]
pub(super) struct Raw {
    /// Whether nothing is sent to a collector, whatever the others say: true or false
    #[arg(long, value_name = "BOOL", default_value = "false")]
    otel_sdk_disabled: String,
    /// Base URL of an OTLP collector, such as http://localhost:4318, or http://localhost:4317 for grpc; it gets traces and metrics [default: none, nothing is sent]
    #[arg(long, value_name = "URL")]
    otel_exporter_otlp_endpoint: Option<String>,
    /// Whole URL for traces alone, such as http://localhost:4318/v1/traces [default: from OTEL_EXPORTER_OTLP_ENDPOINT]
    #[arg(long, value_name = "URL")]
    otel_exporter_otlp_traces_endpoint: Option<String>,
    /// Whole URL for metrics alone, such as http://localhost:4318/v1/metrics [default: from OTEL_EXPORTER_OTLP_ENDPOINT]
    #[arg(long, value_name = "URL")]
    otel_exporter_otlp_metrics_endpoint: Option<String>,
    /// How the collector is spoken to: http/protobuf or grpc
    #[arg(long, value_name = "PROTOCOL", default_value = "http/protobuf")]
    otel_exporter_otlp_protocol: String,
    /// Headers for the collector, such as its key: name=value, separated by commas, values percent-encoded [default: none]
    #[arg(long, value_name = "HEADERS")]
    otel_exporter_otlp_headers: Option<String>,
    /// Milliseconds that a collector may take for one message
    #[arg(long, value_name = "MS", default_value = "10000")]
    otel_exporter_otlp_timeout: String,
    /// What sends traces: otlp or none
    #[arg(long, value_name = "OTLP|NONE", default_value = "otlp")]
    otel_traces_exporter: String,
    /// What sends metrics: otlp or none; GET /metrics is there in any case
    #[arg(long, value_name = "OTLP|NONE", default_value = "otlp")]
    otel_metrics_exporter: String,
    /// Which traces are recorded: always_on, always_off, traceidratio, or one of these after parentbased_
    #[arg(long, value_name = "SAMPLER", default_value = "parentbased_always_on")]
    otel_traces_sampler: String,
    /// Share of the traces that traceidratio records, 0 to 1 [default: 1]
    #[arg(long, value_name = "RATIO")]
    otel_traces_sampler_arg: Option<String>,
    /// Whether the trace context of clients is read and providers are sent traceparent, while traces are sent: tracecontext or none; baggage may be named beside it and is never read nor sent
    #[arg(long, value_name = "TRACECONTEXT|NONE", default_value = "tracecontext")]
    otel_propagators: String,
    /// Name of this service in traces and metrics [default: service.name of OTEL_RESOURCE_ATTRIBUTES, else unified-gateway]
    #[arg(long, value_name = "NAME")]
    otel_service_name: Option<String>,
    /// What else is said of this process: name=value, separated by commas, values percent-encoded [default: none]
    #[arg(long, value_name = "ATTRIBUTES")]
    otel_resource_attributes: Option<String>,
    /// Milliseconds between reports of metrics
    #[arg(long, value_name = "MS", default_value = "60000")]
    otel_metric_export_interval: String,
    /// Spans that wait to be sent; more are dropped and counted
    #[arg(long, value_name = "COUNT", default_value = "2048")]
    otel_bsp_max_queue_size: String,
    /// Spans that are sent together at most
    #[arg(long, value_name = "COUNT", default_value = "512")]
    otel_bsp_max_export_batch_size: String,
    /// Milliseconds that spans wait for others to be sent with
    #[arg(long, value_name = "MS", default_value = "5000")]
    otel_bsp_schedule_delay: String,
}

/// Traces and metrics over OTLP.
#[derive(Debug, Clone)]
pub struct Telemetry {
    /// Where traces go; `None`: nowhere.
    pub traces: Option<Url>,
    /// Where metrics go; `None`: nowhere.
    pub metrics: Option<Url>,
    /// How the collector is spoken to.
    pub protocol: Protocol,
    /// Headers for the collector.
    pub headers: SecretPairs,
    /// What a collector may take for one message.
    pub timeout: Duration,
    /// Whether a caller's decision to record is taken.
    pub follows_caller: bool,
    /// Share of the traces that are recorded, 0 to 1.
    pub ratio: f64,
    /// Whether trace context is read and written.
    pub propagates: bool,
    /// What is said of this process, `service.name` first.
    pub resource: Vec<(String, String)>,
    /// Between reports of metrics.
    pub interval: Duration,
    /// Spans that wait to be sent.
    pub queue: usize,
    /// Spans that are sent together.
    pub batch: usize,
    /// How long spans wait for others.
    pub delay: Duration,
}

/// How a collector is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// Protocol buffers in HTTP bodies.
    HttpProtobuf,
    /// gRPC.
    Grpc,
}

/// Names and values that print nothing.
#[derive(Clone, Default)]
pub struct SecretPairs(pub Vec<(String, String)>);

impl fmt::Debug for SecretPairs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} headers", self.0.len())
    }
}

impl Raw {
    pub(super) fn check(&self, problems: &mut Problems) -> Telemetry {
        let on_or_off = [("true", true), ("false", false)];
        let is_off = problems.choice("OTEL_SDK_DISABLED", &self.otel_sdk_disabled, on_or_off);
        let words = [("http/protobuf", Protocol::HttpProtobuf), ("grpc", Protocol::Grpc)];
        let protocol = problems.choice("OTEL_EXPORTER_OTLP_PROTOCOL", &self.otel_exporter_otlp_protocol, words);
        let base = self.otel_exporter_otlp_endpoint.as_deref().and_then(|given| url(ENDPOINT, given, problems));
        let to = |path: &str| base.as_ref().and_then(|base| below(base, protocol, path));
        let own = |variable, given: &Option<String>, problems: &mut Problems| {
            given.as_deref().and_then(|given| url(variable, given, problems))
        };
        let (traces_variable, metrics_variable) =
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT");
        let traces =
            own(traces_variable, &self.otel_exporter_otlp_traces_endpoint, problems).or_else(|| to("v1/traces"));
        let metrics =
            own(metrics_variable, &self.otel_exporter_otlp_metrics_endpoint, problems).or_else(|| to("v1/metrics"));
        let otlp = [("otlp", true), ("none", false)];
        let sends_traces = problems.choice("OTEL_TRACES_EXPORTER", &self.otel_traces_exporter, otlp) && !is_off;
        let sends_metrics = problems.choice("OTEL_METRICS_EXPORTER", &self.otel_metrics_exporter, otlp) && !is_off;
        let (follows_caller, ratio) = self.sampler(problems);
        Telemetry {
            traces: traces.filter(|_| sends_traces),
            metrics: metrics.filter(|_| sends_metrics),
            protocol,
            headers: SecretPairs(pairs(HEADERS, self.otel_exporter_otlp_headers.as_deref(), problems)),
            timeout: problems.milliseconds("OTEL_EXPORTER_OTLP_TIMEOUT", &self.otel_exporter_otlp_timeout, 1..=60_000),
            follows_caller,
            ratio,
            propagates: propagates(&self.otel_propagators, problems),
            resource: self.resource(problems),
            interval: problems.milliseconds(
                "OTEL_METRIC_EXPORT_INTERVAL",
                &self.otel_metric_export_interval,
                100..=3_600_000,
            ),
            queue: problems.count("OTEL_BSP_MAX_QUEUE_SIZE", &self.otel_bsp_max_queue_size, 1..=100_000),
            batch: problems.count("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", &self.otel_bsp_max_export_batch_size, 1..=10_000),
            delay: problems.milliseconds("OTEL_BSP_SCHEDULE_DELAY", &self.otel_bsp_schedule_delay, 1..=60_000),
        }
    }

    fn sampler(&self, problems: &mut Problems) -> (bool, f64) {
        let given = self.otel_traces_sampler.as_str();
        let bare = given.strip_prefix("parentbased_");
        let ratio = match bare.unwrap_or(given) {
            "always_on" => 1.0,
            "always_off" => 0.0,
            "traceidratio" => self.ratio(problems),
            _ => {
                let allowed = "always_on, always_off, traceidratio, or one of these after parentbased_";
                problems.refuse_given("OTEL_TRACES_SAMPLER", given, allowed);
                1.0
            }
        };
        (bare.is_some(), ratio)
    }

    fn ratio(&self, problems: &mut Problems) -> f64 {
        let Some(given) = &self.otel_traces_sampler_arg else { return 1.0 };
        match given.parse::<f64>() {
            Ok(ratio) if (0.0..=1.0).contains(&ratio) => ratio,
            Ok(_) | Err(_) => {
                problems.refuse_given("OTEL_TRACES_SAMPLER_ARG", given, "a number from 0 to 1");
                1.0
            }
        }
    }

    fn resource(&self, problems: &mut Problems) -> Vec<(String, String)> {
        const NAME: &str = "service.name";
        let given = pairs("OTEL_RESOURCE_ATTRIBUTES", self.otel_resource_attributes.as_deref(), problems);
        let stated = given.iter().find(|(name, _)| name == NAME).map(|(_, value)| value.clone());
        let name = self.otel_service_name.clone().or(stated).unwrap_or_else(|| "unified-gateway".to_owned());
        let others = given.into_iter().filter(|(name, _)| name != NAME);
        [(NAME.to_owned(), name)].into_iter().chain(others).collect()
    }
}

/// A list of propagators; one of them is known here.
fn propagates(given: &str, problems: &mut Problems) -> bool {
    let names: Vec<&str> = given.split(',').map(str::trim).collect();
    if !names.iter().all(|name| ["tracecontext", "baggage", "none"].contains(name)) {
        problems.refuse_given("OTEL_PROPAGATORS", given, "tracecontext, with baggage beside it or not, or none");
    }
    names.contains(&"tracecontext") && !names.contains(&"none")
}

/// The URL of a signal below the base URL. With gRPC the path is that of the call.
fn below(base: &Url, protocol: Protocol, path: &str) -> Option<Url> {
    if protocol == Protocol::Grpc {
        return Some(base.clone());
    }
    let mut base = base.clone();
    if !base.path().ends_with('/') {
        let path = format!("{}/", base.path());
        base.set_path(&path);
    }
    base.join(path).ok()
}

fn url(variable: &str, given: &str, problems: &mut Problems) -> Option<Url> {
    let url = Url::parse(given).ok().filter(|url| {
        let is_plain = url.username().is_empty() && url.password().is_none() && url.query().is_none();
        matches!(url.scheme(), "http" | "https") && url.has_host() && is_plain
    });
    if url.is_none() {
        // What was given may hold a key.
        let allowed = "must be an http or https URL without user info and query, such as http://localhost:4318";
        problems.refuse(variable, allowed);
    }
    url
}

/// `name=value,name=value`, values percent-encoded, as a list in the form of W3C baggage.
fn pairs(variable: &str, given: Option<&str>, problems: &mut Problems) -> Vec<(String, String)> {
    let items = given.unwrap_or_default().split(',').map(str::trim).filter(|item| !item.is_empty());
    let mut pairs = Vec::new();
    for item in items {
        let pair = item.split_once('=').map(|(name, value)| (name.trim(), value.trim()));
        match pair.filter(|(name, _)| !name.is_empty() && name.is_ascii()) {
            Some((name, value)) if pairs.len() < MAX_PAIRS => pairs.push((name.to_owned(), decoded(value))),
            Some(_) | None => {
                let allowed = format!("must be at most {MAX_PAIRS} of name=value, separated by commas");
                problems.refuse(variable, allowed);
                break;
            }
        }
    }
    pairs
}

fn decoded(value: &str) -> String {
    // A plus is no space here.
    let kept = value.replace('+', "%2B");
    let query = format!("v={}", kept.replace('&', "%26"));
    url::form_urlencoded::parse(query.as_bytes()).next().map(|(_, value)| value.into_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_read_and_what_is_none_is_refused() {
        let mut problems = Problems::default();
        let read = pairs(HEADERS, Some("api-key=a%20b+c==, x=1&2 ,"), &mut problems);
        assert_eq!(read, [("api-key".into(), "a b+c==".into()), ("x".into(), "1&2".into())]);
        assert!(problems.into_result(()).is_ok());
        for given in ["novalue", "=x", "é=1"] {
            let mut problems = Problems::default();
            pairs(HEADERS, Some(given), &mut problems);
            let found = problems.into_result(()).unwrap_err();
            assert!(!found[0].to_string().contains(given), "what was given may be a secret");
        }
    }

    #[test]
    fn the_standard_list_of_propagators_is_taken_and_others_are_refused() {
        for (given, expected) in
            [("tracecontext", Some(true)), ("tracecontext,baggage", Some(true)), ("none", Some(false)), ("b3", None)]
        {
            let mut problems = Problems::default();
            let propagates = propagates(given, &mut problems);
            assert_eq!(problems.into_result(propagates).ok(), expected, "{given}");
        }
    }

    #[test]
    fn a_signal_has_its_path_below_the_base() {
        for (base, protocol, expected) in [
            ("http://c:4318", Protocol::HttpProtobuf, "http://c:4318/v1/traces"),
            ("https://c/otlp", Protocol::HttpProtobuf, "https://c/otlp/v1/traces"),
            ("https://c/otlp/", Protocol::HttpProtobuf, "https://c/otlp/v1/traces"),
            ("http://c:4317", Protocol::Grpc, "http://c:4317/"),
        ] {
            let url = below(&Url::parse(base).unwrap(), protocol, "v1/traces").unwrap();
            assert_eq!(url.as_str(), expected);
        }
    }
}
