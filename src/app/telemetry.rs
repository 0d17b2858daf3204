//! Traces and metrics to a collector: settings to a tracer and a task that sends.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use tokio::sync::watch;

use super::tasks::Tasks;
use crate::config::telemetry::{Destination, Protocol, Telemetry};
use crate::control::replicas::Identity;
use crate::fault::{Fault, Kind, Outcome};
use crate::providers;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::otel::export::{Deliver, Exporter, Signal, Undelivered};
use crate::telemetry::otel::sampler::Sampler;
use crate::telemetry::otel::{Sent, Settings, Tracer};
use crate::time::Clock;
use crate::transport::{ClientSettings, CollectorClient};
use crate::vault::{Entropy, SystemEntropy};

const TRACES_CALL: &str = "opentelemetry.proto.collector.trace.v1.TraceService/Export";
const METRICS_CALL: &str = "opentelemetry.proto.collector.metrics.v1.MetricsService/Export";

/// What telemetry is made from.
pub(super) struct Parts<'a> {
    pub settings: Telemetry,
    pub calls: &'a ClientSettings,
    pub identity: &'a Identity,
    pub metrics: &'a Arc<Metrics>,
    pub sent: &'a Arc<Sent>,
    pub clock: &'a Arc<dyn Clock>,
}

/// Starts what sends, until `stop` is `true`. `None`: nothing is sent.
///
/// # Errors
/// What is wrong with the settings, in words for the operator.
pub(super) fn start(parts: Parts<'_>, tasks: &Tasks, stop: watch::Receiver<bool>) -> Outcome<Option<Arc<Tracer>>> {
    let Parts { settings: telemetry, calls, identity, metrics, sent, clock } = parts;
    if telemetry.traces.is_none() && telemetry.metrics.is_none() {
        return Ok(None);
    }
    let collector = Collector::new(&telemetry, calls)?;
    let settings = settings(telemetry, identity);
    let dice = Arc::new(|bytes: &mut [u8]| SystemEntropy.fill(bytes));
    let (tracer, spans) = Tracer::new(settings.clone(), dice, Arc::clone(sent));
    let exporter = Exporter {
        settings,
        spans,
        metrics: Arc::clone(metrics),
        provider_name: providers::conventional_name,
        collector: Arc::new(collector),
        sent: Arc::clone(sent),
        clock: Arc::clone(clock),
    };
    tasks.start(exporter.run(stop));
    Ok(Some(tracer))
}

fn settings(telemetry: Telemetry, identity: &Identity) -> Settings {
    let mut resource = telemetry.resource;
    let own = [
        ("service.version", identity.version.clone()),
        ("service.instance.id", identity.id.to_string()),
        ("host.name", identity.host.clone()),
    ];
    for (key, value) in own {
        if resource.iter().all(|(known, _)| known != key) {
            resource.push((key.to_owned(), value));
        }
    }
    Settings {
        sampler: Sampler { follows_caller: telemetry.follows_caller, ratio: telemetry.ratio },
        propagates: telemetry.propagates,
        sends_traces: telemetry.traces.is_some(),
        sends_metrics: telemetry.metrics.is_some(),
        resource,
        queue: telemetry.queue,
        batch: telemetry.batch,
        delay: telemetry.delay,
        interval: telemetry.interval,
    }
}

/// The collectors of the settings.
struct Collector {
    traces: Option<Place>,
    metrics: Option<Place>,
}

/// Where one signal goes.
struct Place {
    client: CollectorClient,
    uri: Uri,
    headers: HeaderMap,
}

impl Collector {
    fn new(telemetry: &Telemetry, calls: &ClientSettings) -> Outcome<Self> {
        let place =
            |to: &Option<Destination>, call: &str| to.as_ref().map(|to| Place::new(to, call, calls)).transpose();
        Ok(Self { traces: place(&telemetry.traces, TRACES_CALL)?, metrics: place(&telemetry.metrics, METRICS_CALL)? })
    }
}

impl Place {
    fn new(to: &Destination, call: &str, calls: &ClientSettings) -> Outcome<Self> {
        let is_grpc = to.protocol == Protocol::Grpc;
        let text =
            if is_grpc { format!("{}/{call}", to.url.as_str().trim_end_matches('/')) } else { to.url.to_string() };
        let unusable =
            |_| Fault::new(Kind::Internal).say("An endpoint of OTEL_EXPORTER_OTLP_… cannot be used as an address.");
        let uri = text.parse().map_err(unusable)?;
        let mut headers = HeaderMap::new();
        for (name, value) in &to.headers.0 {
            let unusable =
                || Fault::new(Kind::Internal).say("The headers of OTEL_EXPORTER_OTLP_… hold what is no header.");
            let name = HeaderName::try_from(name.as_str()).map_err(|_| unusable())?;
            let mut value = HeaderValue::try_from(value.as_str()).map_err(|_| unusable())?;
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        Ok(Self { client: CollectorClient::new(calls, is_grpc, to.timeout)?, uri, headers })
    }
}

#[async_trait]
impl Deliver for Collector {
    async fn deliver(&self, signal: Signal, message: Bytes) -> Result<(), Undelivered> {
        let place = match signal {
            Signal::Traces => &self.traces,
            Signal::Metrics => &self.metrics,
        };
        let Some(Place { client, uri, headers }) = place else { return Ok(()) };
        let posted = client.post(uri.clone(), headers, message).await;
        posted.map_err(|error| Undelivered { may_pass: error.may_pass(), reason: error.to_string() })
    }
}
