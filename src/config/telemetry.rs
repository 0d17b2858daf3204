//! Traces and metrics over OTLP, by the standard variables of OpenTelemetry
//! (<https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/> and
//! <https://opentelemetry.io/docs/specs/otel/protocol/exporter/>). Nothing is sent unless an endpoint is named.

use std::fmt;
use std::time::Duration;

use url::Url;

use super::problem::Problems;

/// What variables of an exporter begin with: for both signals, and for one of them.
const COMMON: &str = "OTEL_EXPORTER_OTLP_";
const TRACES: &str = "OTEL_EXPORTER_OTLP_TRACES_";
const METRICS: &str = "OTEL_EXPORTER_OTLP_METRICS_";
const PROTOCOLS: [(&str, Protocol); 2] = [("http/protobuf", Protocol::HttpProtobuf), ("grpc", Protocol::Grpc)];
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
    /// How the collector of traces is spoken to: http/protobuf or grpc [default: from OTEL_EXPORTER_OTLP_PROTOCOL]
    #[arg(long, value_name = "PROTOCOL")]
    otel_exporter_otlp_traces_protocol: Option<String>,
    /// Headers for the collector of traces, in place of those of OTEL_EXPORTER_OTLP_HEADERS [default: from OTEL_EXPORTER_OTLP_HEADERS]
    #[arg(long, value_name = "HEADERS")]
    otel_exporter_otlp_traces_headers: Option<String>,
    /// Milliseconds that the collector of traces may take for one message [default: from OTEL_EXPORTER_OTLP_TIMEOUT]
    #[arg(long, value_name = "MS")]
    otel_exporter_otlp_traces_timeout: Option<String>,
    /// How the collector of metrics is spoken to: http/protobuf or grpc [default: from OTEL_EXPORTER_OTLP_PROTOCOL]
    #[arg(long, value_name = "PROTOCOL")]
    otel_exporter_otlp_metrics_protocol: Option<String>,
    /// Headers for the collector of metrics, in place of those of OTEL_EXPORTER_OTLP_HEADERS [default: from OTEL_EXPORTER_OTLP_HEADERS]
    #[arg(long, value_name = "HEADERS")]
    otel_exporter_otlp_metrics_headers: Option<String>,
    /// Milliseconds that the collector of metrics may take for one message [default: from OTEL_EXPORTER_OTLP_TIMEOUT]
    #[arg(long, value_name = "MS")]
    otel_exporter_otlp_metrics_timeout: Option<String>,
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
    pub traces: Option<Destination>,
    /// Where metrics go; `None`: nowhere.
    pub metrics: Option<Destination>,
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

/// A collector of one signal. What is said of the signal replaces what is said of both, headers as a whole.
#[derive(Debug, Clone)]
pub struct Destination {
    /// Its address; with gRPC that of the server.
    pub url: Url,
    /// How it is spoken to.
    pub protocol: Protocol,
    /// Headers for it.
    pub headers: SecretPairs,
    /// What it may take for one message.
    pub timeout: Duration,
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
        let common = Common {
            base: self
                .otel_exporter_otlp_endpoint
                .as_deref()
                .and_then(|given| url(&name(COMMON, "ENDPOINT"), given, problems)),
            protocol: problems.choice(&name(COMMON, "PROTOCOL"), &self.otel_exporter_otlp_protocol, PROTOCOLS),
            headers: pairs(&name(COMMON, "HEADERS"), self.otel_exporter_otlp_headers.as_deref(), problems),
            timeout: timeout(COMMON, &self.otel_exporter_otlp_timeout, problems),
        };
        let traces = Own {
            prefix: TRACES,
            path: "v1/traces",
            endpoint: self.otel_exporter_otlp_traces_endpoint.as_deref(),
            protocol: self.otel_exporter_otlp_traces_protocol.as_deref(),
            headers: self.otel_exporter_otlp_traces_headers.as_deref(),
            timeout: self.otel_exporter_otlp_traces_timeout.as_deref(),
        };
        let metrics = Own {
            prefix: METRICS,
            path: "v1/metrics",
            endpoint: self.otel_exporter_otlp_metrics_endpoint.as_deref(),
            protocol: self.otel_exporter_otlp_metrics_protocol.as_deref(),
            headers: self.otel_exporter_otlp_metrics_headers.as_deref(),
            timeout: self.otel_exporter_otlp_metrics_timeout.as_deref(),
        };
        let (traces, metrics) = (traces.check(&common, problems), metrics.check(&common, problems));
        let otlp = [("otlp", true), ("none", false)];
        let sends_traces = problems.choice("OTEL_TRACES_EXPORTER", &self.otel_traces_exporter, otlp) && !is_off;
        let sends_metrics = problems.choice("OTEL_METRICS_EXPORTER", &self.otel_metrics_exporter, otlp) && !is_off;
        let (follows_caller, ratio) = self.sampler(problems);
        Telemetry {
            traces: traces.filter(|_| sends_traces),
            metrics: metrics.filter(|_| sends_metrics),
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

/// What is said of both signals.
struct Common {
    base: Option<Url>,
    protocol: Protocol,
    headers: Vec<(String, String)>,
    timeout: Duration,
}

/// What is said of one signal.
struct Own<'a> {
    prefix: &'static str,
    path: &'static str,
    endpoint: Option<&'a str>,
    protocol: Option<&'a str>,
    headers: Option<&'a str>,
    timeout: Option<&'a str>,
}

impl Own<'_> {
    /// Where the signal goes; `None`: no address is named.
    fn check(&self, common: &Common, problems: &mut Problems) -> Option<Destination> {
        let protocol = self
            .protocol
            .map_or(common.protocol, |given| problems.choice(&name(self.prefix, "PROTOCOL"), given, PROTOCOLS));
        let headers = match self.headers {
            Some(given) => pairs(&name(self.prefix, "HEADERS"), Some(given), problems),
            None => common.headers.clone(),
        };
        let timeout = self.timeout.map_or(common.timeout, |given| timeout(self.prefix, given, problems));
        let url = match self.endpoint {
            Some(given) => url(&name(self.prefix, "ENDPOINT"), given, problems),
            None => common.base.as_ref().and_then(|base| below(base, protocol, self.path)),
        };
        Some(Destination { url: url?, protocol, headers: SecretPairs(headers), timeout })
    }
}

fn name(prefix: &str, what: &str) -> String {
    format!("{prefix}{what}")
}

fn timeout(prefix: &str, given: &str, problems: &mut Problems) -> Duration {
    problems.milliseconds(&name(prefix, "TIMEOUT"), given, 1..=60_000)
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
        let read = pairs("HEADERS", Some("api-key=a%20b+c==, x=1&2 ,"), &mut problems);
        assert_eq!(read, [("api-key".into(), "a b+c==".into()), ("x".into(), "1&2".into())]);
        assert!(problems.into_result(()).is_ok());
        for given in ["novalue", "=x", "é=1"] {
            let mut problems = Problems::default();
            pairs("HEADERS", Some(given), &mut problems);
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

    /// Nothing is said of the signal.
    fn own_of(prefix: &'static str) -> Own<'static> {
        Own { prefix, path: "v1/traces", endpoint: None, protocol: None, headers: None, timeout: None }
    }

    #[test]
    fn what_is_said_of_a_signal_replaces_what_is_said_of_both() {
        let common = Common {
            base: Some(Url::parse("http://c:4318").unwrap()),
            protocol: Protocol::HttpProtobuf,
            headers: vec![("key".into(), "common".into()), ("tenant".into(), "t".into())],
            timeout: Duration::from_secs(10),
        };
        let silent = own_of(TRACES);
        let own = Own {
            endpoint: Some("https://other:4317"),
            protocol: Some("grpc"),
            headers: Some("key=own"),
            timeout: Some("250"),
            ..own_of(TRACES)
        };
        let mut problems = Problems::default();
        let [silent, own] = [silent, own].map(|signal| signal.check(&common, &mut problems).unwrap());
        assert_eq!((silent.url.as_str(), silent.protocol), ("http://c:4318/v1/traces", Protocol::HttpProtobuf));
        assert_eq!((silent.headers.0, silent.timeout), (common.headers.clone(), common.timeout));
        assert_eq!((own.url.as_str(), own.protocol), ("https://other:4317/", Protocol::Grpc));
        // The others' headers are not sent beside them.
        assert_eq!((own.headers.0, own.timeout), (vec![("key".into(), "own".into())], Duration::from_millis(250)));
        let grpc = Own { protocol: Some("grpc"), headers: Some(""), ..own_of(METRICS) };
        let grpc = grpc.check(&common, &mut problems).unwrap();
        assert_eq!((grpc.url.as_str(), grpc.headers.0.len()), ("http://c:4318/", 0));
        assert!(problems.into_result(()).is_ok());
        let mut problems = Problems::default();
        let wrong = Own { protocol: Some("http/json"), timeout: Some("0"), headers: Some("x"), ..own_of(METRICS) };
        wrong.check(&common, &mut problems);
        let found: Vec<String> = problems.into_result(()).unwrap_err().iter().map(ToString::to_string).collect();
        for variable in ["METRICS_PROTOCOL", "METRICS_TIMEOUT", "METRICS_HEADERS"] {
            assert!(found.iter().any(|problem| problem.contains(variable)), "{found:?}");
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
