//! Traces and metrics over OTLP, received by a collector of ours: a real socket, and the messages as the official
//! definitions read them.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::common::v1::any_value::Value as AnyValue;
use opentelemetry_proto::tonic::common::v1::{ArrayValue, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::{Span, status::StatusCode};
use prost::Message;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::support::gateway::{MASTER_KEY, PROVIDER_KEY, TestGateway, chat_stream};
use crate::support::wait::{soon, until};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";
const PROMPT: &str = "a prompt that stays here";

/// A path, a body, a header.
type Arrived = (String, Bytes, Option<String>);

/// What arrived, by path.
#[derive(Debug, Clone, Default)]
pub(crate) struct Inbox(Arc<Mutex<Vec<Arrived>>>);

impl Inbox {
    fn all(&self, path: &str) -> Vec<Bytes> {
        let inbox = self.0.lock().unwrap();
        inbox.iter().filter(|(known, ..)| known == path).map(|(_, body, _)| body.clone()).collect()
    }

    pub(crate) fn spans(&self) -> Vec<Span> {
        let messages = self.all("/v1/traces");
        let messages = messages.iter().map(|body| ExportTraceServiceRequest::decode(body.clone()).unwrap());
        messages.flat_map(spans_of).collect()
    }
}

fn spans_of(message: ExportTraceServiceRequest) -> Vec<Span> {
    let scopes = message.resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
    scopes.flat_map(|scope| scope.spans).collect()
}

/// A collector that speaks `http/protobuf`.
pub(crate) async fn collector() -> (SocketAddr, Inbox, JoinSet<()>) {
    let inbox = Inbox::default();
    let routes = Router::new().fallback(take).with_state(inbox.clone());
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move { axum::serve(listener, routes).await.unwrap() });
    (address, inbox, tasks)
}

async fn take(State(inbox): State<Inbox>, request: Request) -> Response {
    assert_eq!(request.headers()["content-type"], "application/x-protobuf");
    let path = request.uri().path().to_owned();
    let key = request.headers().get("x-collector-key").map(|key| key.to_str().unwrap().to_owned());
    let mut body = request.into_body();
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.frame().await {
        bytes.extend_from_slice(&frame.unwrap().into_data().unwrap());
    }
    inbox.0.lock().unwrap().push((path, bytes.freeze(), key));
    Response::new(Body::empty())
}

/// A gateway that reports to `endpoint`, fast.
pub(crate) async fn reporting(endpoint: &str, more: &[(&str, &str)]) -> TestGateway {
    let own = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-collector-key=open%20sesame"),
        ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=tests"),
        ("OTEL_BSP_SCHEDULE_DELAY", "20"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "100"),
    ];
    let variables: Vec<_> = own.into_iter().chain(more.iter().copied()).collect();
    TestGateway::with(&variables).await
}

fn say<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a AnyValue> {
    attributes.iter().find(|pair| pair.key == key)?.value.as_ref()?.value.as_ref()
}

pub(crate) fn text(attributes: &[KeyValue], key: &str) -> String {
    match say(attributes, key) {
        Some(AnyValue::StringValue(text)) => text.clone(),
        other => panic!("{key} is {other:?} in {attributes:#?}"),
    }
}

pub(crate) fn number(attributes: &[KeyValue], key: &str) -> i64 {
    match say(attributes, key) {
        Some(AnyValue::IntValue(number)) => *number,
        other => panic!("{key} is {other:?} in {attributes:#?}"),
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// One request that a second deployment saves, in a trace of the client's.
async fn saved_request(gateway: &TestGateway) -> String {
    gateway.deploy_with("general", "stub-500", json!({"priority": 1})).await;
    gateway.deploy("general", "stub-text").await;
    let (_, key) = gateway.create_key(&json!({"name": "app"})).await;
    let mut request = chat_stream("general");
    request["messages"][0]["content"] = Value::from(PROMPT);
    let bearer = format!("Bearer {key}");
    let parent = format!("00-{TRACE}-{CALLER}-01");
    let headers = [
        ("authorization", bearer.as_str()),
        ("content-type", "application/json"),
        ("traceparent", parent.as_str()),
        ("tracestate", "vendor=secret-of-a-vendor"),
        ("baggage", "user=alice"),
    ];
    let answer = gateway.client.send("POST", "/v1/chat/completions", &headers, request.to_string()).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    key
}

#[tokio::test]
async fn a_request_is_a_span_with_a_child_for_each_attempt_and_bodies_are_in_neither() {
    let (address, inbox, _collector) = collector().await;
    let gateway = reporting(&format!("http://{address}"), &[]).await;
    let key = saved_request(&gateway).await;
    until("the spans", async || inbox.spans().len() >= 3).await;

    let spans = inbox.spans();
    let server = spans.iter().find(|span| span.kind() == SpanKind::Server).unwrap();
    assert_eq!((hex(&server.trace_id), hex(&server.parent_span_id)), (TRACE.to_owned(), CALLER.to_owned()));
    assert_eq!((server.name.as_str(), server.trace_state.as_str()), ("chat general", "vendor=secret-of-a-vendor"));
    let said = &server.attributes;
    for (key, value) in [
        ("gen_ai.operation.name", "chat"),
        ("gen_ai.provider.name", "openaicompatible"),
        ("gen_ai.request.model", "general"),
        ("gen_ai.response.model", "stub-text"),
        ("unified_gateway.outcome", "success"),
        ("unified_gateway.contract", "chat_completions"),
    ] {
        assert_eq!(text(said, key), value, "{key}");
    }
    assert!(number(said, "gen_ai.usage.input_tokens") > 0 && number(said, "gen_ai.usage.output_tokens") > 0);
    assert_eq!(number(said, "http.response.status_code"), 200);
    assert!(matches!(say(said, "gen_ai.response.time_to_first_chunk"), Some(AnyValue::DoubleValue(_))));
    let Some(AnyValue::ArrayValue(ArrayValue { values })) = say(said, "gen_ai.response.finish_reasons") else {
        panic!("no finish reasons")
    };
    assert_eq!(values.len(), 1);
    assert!(text(said, "unified_gateway.request_id").starts_with("req_"));
    assert!(say(said, "error.type").is_none());

    let attempts: Vec<&Span> = spans.iter().filter(|span| span.kind() == SpanKind::Client).collect();
    assert_eq!(number(said, "unified_gateway.attempts"), attempts.len() as i64);
    for attempt in &attempts {
        assert_eq!((&attempt.trace_id, &attempt.parent_span_id), (&server.trace_id, &server.span_id));
        assert!(attempt.start_time_unix_nano >= server.start_time_unix_nano);
        assert!(attempt.end_time_unix_nano <= server.end_time_unix_nano);
        assert_eq!(text(&attempt.attributes, "server.address"), "127.0.0.1");
        assert_eq!(number(&attempt.attributes, "server.port"), i64::from(gateway.stub.address().port()));
    }
    let failed = attempts.iter().find(|span| span.name == "chat stub-500").unwrap();
    assert_eq!(text(&failed.attributes, "error.type"), "transient");
    assert_eq!(number(&failed.attributes, "http.response.status_code"), 500);
    assert_eq!(failed.status.as_ref().unwrap().code(), StatusCode::Error);
    let served = attempts.iter().find(|span| span.name == "chat stub-text").unwrap();
    assert!(served.status.is_none());

    // The provider hears of the trace and of our span, and nothing else of it.
    let requests = gateway.stub.requests();
    let last = requests.last().unwrap();
    assert_eq!(last.header("traceparent"), Some(format!("00-{TRACE}-{}-01", hex(&served.span_id)).as_str()));
    assert!(last.header("tracestate").is_none() && last.header("baggage").is_none());

    let raw = inbox.0.lock().unwrap().clone();
    for (path, body, collector_key) in &raw {
        assert_eq!(collector_key.as_deref(), Some("open sesame"), "{path}");
        for secret in [PROMPT, &key, &key[..20], PROVIDER_KEY, MASTER_KEY, "alice", "open sesame"] {
            assert!(!body.windows(secret.len()).any(|window| window == secret.as_bytes()), "{secret} in {path}");
        }
    }
    let message = ExportTraceServiceRequest::decode(inbox.all("/v1/traces")[0].clone()).unwrap();
    let resource = message.resource_spans[0].resource.as_ref().unwrap();
    assert_eq!(text(&resource.attributes, "service.name"), "unified-gateway");
    assert_eq!(text(&resource.attributes, "deployment.environment.name"), "tests");
    assert_eq!(text(&resource.attributes, "service.version"), env!("CARGO_PKG_VERSION"));
}

#[tokio::test]
async fn metrics_are_reported_by_the_names_of_the_conventions_and_by_our_own() {
    let (address, inbox, _collector) = collector().await;
    let gateway = reporting(&format!("http://{address}"), &[("OTEL_TRACES_EXPORTER", "none")]).await;
    saved_request(&gateway).await;
    let last = || {
        let body = inbox.all("/v1/metrics").pop()?;
        let message = ExportMetricsServiceRequest::decode(body).unwrap();
        let metrics: Vec<_> = message.resource_metrics.into_iter().flat_map(|one| one.scope_metrics).collect();
        let metrics: Vec<_> = metrics.into_iter().flat_map(|scope| scope.metrics).collect();
        metrics.iter().any(|metric| metric.name == "gen_ai.client.token.usage").then_some(metrics)
    };
    until("a report with tokens", async || last().is_some()).await;
    let metrics = last().unwrap();
    let find = |name: &str| metrics.iter().find(|metric| metric.name == name).unwrap_or_else(|| panic!("no {name}"));
    let Some(Data::Histogram(duration)) = &find("gen_ai.client.operation.duration").data else {
        panic!("no histogram")
    };
    assert_eq!(find("gen_ai.client.operation.duration").unit, "s");
    assert_eq!(duration.aggregation_temporality, 2);
    let by_model = |model: &str| {
        let is_it = |attributes: &[KeyValue]| text(attributes, "gen_ai.request.model") == model;
        duration.data_points.iter().find(|point| is_it(&point.attributes)).unwrap()
    };
    let served = by_model("stub-text");
    assert_eq!((served.count, served.bucket_counts.iter().sum::<u64>()), (1, 1));
    assert_eq!(served.bucket_counts.len(), served.explicit_bounds.len() + 1);
    assert!(served.sum.unwrap() > 0.0 && served.start_time_unix_nano < served.time_unix_nano);
    assert_eq!(text(&served.attributes, "gen_ai.provider.name"), "openaicompatible");
    assert_eq!(text(&by_model("stub-500").attributes, "error.type"), "transient");
    let Some(Data::Histogram(tokens)) = &find("gen_ai.client.token.usage").data else { panic!("no histogram") };
    let kinds: Vec<String> =
        tokens.data_points.iter().map(|point| text(&point.attributes, "gen_ai.token.type")).collect();
    assert!(kinds.contains(&"input".to_owned()) && kinds.contains(&"output".to_owned()), "{kinds:?}");
    let Some(Data::Sum(requests)) = &find("unified_gateway_requests").data else { panic!("no sum") };
    assert!(requests.is_monotonic);
    assert!(matches!(find("unified_gateway_ready").data, Some(Data::Gauge(_))));
    assert!(inbox.all("/v1/traces").is_empty());
}

#[tokio::test]
async fn without_an_endpoint_nothing_is_traced_and_providers_hear_of_no_trace() {
    let gateway = TestGateway::start().await;
    saved_request(&gateway).await;
    assert!(gateway.stub.requests().iter().all(|request| request.header("traceparent").is_none()));
}

#[tokio::test]
async fn a_dead_collector_costs_a_counted_drop_and_nothing_else() {
    // A port that nobody listens on.
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap().local_addr().unwrap().port();
    let endpoint = format!("http://127.0.0.1:{port}");
    let mut gateway = reporting(&endpoint, &[("OTEL_BSP_MAX_QUEUE_SIZE", "2")]).await;
    let (_, key) = gateway.create_key(&json!({"name": "app"})).await;
    gateway.deploy("general", "stub-text").await;
    for _ in 0..20 {
        gateway.client.transcript(&key, &chat_stream("general")).await.is_complete();
    }
    until("the drops", async || {
        let text = gateway.client.get("/metrics", Some(MASTER_KEY)).await.text();
        let count = |outcome: &str| -> f64 {
            let name = format!("unified_gateway_telemetry_total{{signal=\"spans\",outcome=\"{outcome}\"}} ");
            text.lines().find_map(|line| line.strip_prefix(&name)).unwrap().parse().unwrap()
        };
        count("queue_full") > 0.0 && count("undelivered") > 0.0 && count("sent") == 0.0
    })
    .await;
    soon("the end", gateway.stop()).await;
}

/// A collector that speaks gRPC, by the official service definition.
#[derive(Debug, Clone, Default)]
struct GrpcInbox(Arc<Mutex<Vec<Span>>>);

#[tonic::async_trait]
impl TraceService for GrpcInbox {
    async fn export(
        &self,
        request: tonic::Request<ExportTraceServiceRequest>,
    ) -> Result<tonic::Response<ExportTraceServiceResponse>, tonic::Status> {
        assert_eq!(request.metadata().get("x-collector-key").unwrap(), "open sesame");
        self.0.lock().unwrap().extend(spans_of(request.into_inner()));
        Ok(tonic::Response::new(ExportTraceServiceResponse::default()))
    }
}

#[tokio::test]
async fn spans_travel_over_grpc_too_and_the_last_of_them_at_the_end() {
    let inbox = GrpcInbox::default();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let routes = tonic::service::Routes::new(TraceServiceServer::new(inbox.clone())).into_axum_router();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move { axum::serve(listener, routes).await.unwrap() });
    let more = [
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_METRICS_EXPORTER", "none"),
        // Only the end of the gateway sends them.
        ("OTEL_BSP_SCHEDULE_DELAY", "60000"),
    ];
    let mut gateway = TestGateway::with(
        &[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{address}").as_str()),
            ("OTEL_EXPORTER_OTLP_HEADERS", "x-collector-key=open%20sesame"),
        ]
        .into_iter()
        .chain(more)
        .collect::<Vec<_>>(),
    )
    .await;
    saved_request(&gateway).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(inbox.0.lock().unwrap().is_empty());
    gateway.stop().await;
    assert!(inbox.0.lock().unwrap().iter().any(|span| span.name == "chat general"));
}

#[tokio::test]
async fn each_signal_can_have_a_collector_of_its_own_with_headers_of_its_own() {
    let (of_traces, traces, _one) = collector().await;
    let (of_metrics, metrics, _other) = collector().await;
    let own = [
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", format!("http://{of_traces}/tenant/spans")),
        ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "x-collector-key=of%20traces".to_owned()),
        ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "9000".to_owned()),
        ("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "http/protobuf".to_owned()),
        // Of both; the protocol is what the signals do not say.
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc".to_owned()),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/protobuf".to_owned()),
    ];
    let own: Vec<_> = own.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let gateway = reporting(&format!("http://{of_metrics}/base"), &own).await;
    saved_request(&gateway).await;
    let arrived = |inbox: &Inbox| -> Vec<(String, Option<String>)> {
        inbox.0.lock().unwrap().iter().map(|(path, _, key)| (path.clone(), key.clone())).collect()
    };
    until("both signals", async || !arrived(&traces).is_empty() && !arrived(&metrics).is_empty()).await;
    for (inbox, path, key) in [(&traces, "/tenant/spans", "of traces"), (&metrics, "/base/v1/metrics", "open sesame")] {
        let arrived = arrived(inbox);
        assert!(arrived.iter().all(|one| *one == (path.to_owned(), Some(key.to_owned()))), "{arrived:?}");
    }
}
