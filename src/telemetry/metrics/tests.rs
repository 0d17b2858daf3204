//! What is counted is what is shown.

use std::time::Duration;

use super::readings::Format;
use super::*;

fn ended(model: &str) -> Ended<'_> {
    Ended {
        model,
        provider: "openai",
        operation: "text.generate",
        contract: "messages",
        outcome: "success",
        fault: None,
        duration: Duration::from_millis(1500),
        first_output: Some(Duration::from_millis(30)),
        tokens: TokenCounts { input: 100, output: 20, cache_read: 60, cache_write: 10, reasoning: 5 },
        is_estimated: false,
        cost: 2_500_000_000,
        attempts: 3,
        is_cached: false,
    }
}

#[test]
fn a_request_is_counted_in_every_metric_it_belongs_to() {
    let metrics = Metrics::default();
    metrics.request_begins();
    metrics.request_ended(&ended("gpt \"x\"\\\n"));
    let text = metrics.read().to_text(Format::Prometheus).unwrap();
    let all = r#"model="gpt \"x\"\\\n",provider="openai",operation="text.generate",contract="messages""#;
    for line in [
        format!("unified_gateway_requests_total{{{all},outcome=\"success\"}} 1.0"),
        format!("unified_gateway_request_duration_seconds_bucket{{{all},outcome=\"success\",le=\"1.28\"}} 0"),
        format!("unified_gateway_request_duration_seconds_bucket{{{all},outcome=\"success\",le=\"2.56\"}} 1"),
        format!("unified_gateway_request_duration_seconds_sum{{{all},outcome=\"success\"}} 1.5"),
        format!("unified_gateway_tokens_total{{{all},kind=\"input\"}} 30.0"),
        format!("unified_gateway_tokens_total{{{all},kind=\"cache_read\"}} 60.0"),
        format!("unified_gateway_tokens_total{{{all},kind=\"output\"}} 15.0"),
        format!("unified_gateway_cost_cents_total{{{all}}} 2.5"),
        format!("unified_gateway_time_to_first_output_seconds_count{{{all}}} 1"),
        "unified_gateway_retries_total{model=\"gpt \\\"x\\\"\\\\\\n\",operation=\"text.generate\"} 2.0".to_owned(),
        "unified_gateway_requests_in_flight 0.0".to_owned(),
    ] {
        assert!(text.lines().any(|shown| shown == line), "{line}\n\n{text}");
    }
}

#[test]
fn every_metric_is_named_before_anything_has_happened() {
    let text = Metrics::default().read().to_text(Format::Prometheus).unwrap();
    for metric in names::ALL {
        assert!(text.contains(&format!("# TYPE {} {}\n", metric.name, metric.kind.as_str())), "{}", metric.name);
        assert!(text.contains(&format!("# HELP {} {}\n", metric.name, metric.help)), "{}", metric.name);
    }
}
