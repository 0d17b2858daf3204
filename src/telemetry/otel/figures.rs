//! The metrics of the gateway as OpenTelemetry reads them: all of them by their own names, and those of calls to models
//! once more by the names and attributes of its conventions for generative AI
//! (<https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-metrics/>).

use std::borrow::Cow;

use super::super::metrics::cells::HistogramReading;
use super::super::metrics::names::{self, Kind, Metric};
use super::super::metrics::readings::{Readings, Series, Value};
use super::operation_name;
use super::wire::{CUMULATIVE, Data, Gauge, HistogramPoint, KeyValue, NumberPoint, Sum, WireHistogram, WireMetric};

/// `gen_ai.provider.name` of a preset.
pub type ProviderName = fn(&str) -> &str;

/// When the process began to count, and now; in nanoseconds since 1970.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    pub start: u64,
    pub now: u64,
}

/// All metrics.
pub(super) fn write(readings: &Readings, provider_name: ProviderName, span: Span) -> Vec<WireMetric> {
    let own = names::ALL.iter().map(|metric| own(readings, metric, span));
    let known = [
        duration(readings, provider_name, span),
        tokens(readings, provider_name, span),
        first(readings, provider_name, span),
    ];
    own.chain(known).filter(|metric| !is_empty(metric)).collect()
}

fn is_empty(metric: &WireMetric) -> bool {
    match &metric.data {
        Some(Data::Gauge(gauge)) => gauge.data_points.is_empty(),
        Some(Data::Sum(sum)) => sum.data_points.is_empty(),
        Some(Data::Histogram(histogram)) => histogram.data_points.is_empty(),
        None => true,
    }
}

fn own(readings: &Readings, metric: &'static Metric, span: Span) -> WireMetric {
    let series = readings.of(metric);
    let attributes = |series: &Series| {
        let pairs = metric.labels.iter().zip(&series.labels);
        pairs.map(|(label, value)| KeyValue::text(*label, value.as_ref())).collect::<Vec<_>>()
    };
    let numbers = || {
        let point = |series: &Series| match &series.value {
            Value::Number(number) => Some(NumberPoint {
                start_time_unix_nano: span.start,
                time_unix_nano: span.now,
                as_double: Some(*number),
                attributes: attributes(series),
            }),
            Value::Sizes(_) => None,
        };
        series.iter().filter_map(point).collect()
    };
    let data = match metric.kind {
        Kind::Counter => {
            Data::Sum(Sum { data_points: numbers(), aggregation_temporality: CUMULATIVE, is_monotonic: true })
        }
        Kind::Gauge => Data::Gauge(Gauge { data_points: numbers() }),
        Kind::Histogram => histogram(series.iter().map(|series| (series, attributes(series))), span),
    };
    let unit = match metric.unit() {
        "seconds" => "s",
        "bytes" => "By",
        "tokens" => "{token}",
        "cents" => "{cent}",
        _ => "1",
    };
    // Collectors that speak Prometheus add the ending again.
    metric_of(metric.name.trim_end_matches("_total"), metric.help, unit, data)
}

fn duration(readings: &Readings, provider_name: ProviderName, span: Span) -> WireMetric {
    let series = readings.of(&names::ATTEMPT_SECONDS).iter().filter_map(|series| {
        let [_, provider, upstream_model, operation, outcome] = series.labels.as_slice() else { return None };
        let mut attributes = common(provider_name, (provider, operation, upstream_model));
        if outcome != "success" {
            attributes.push(KeyValue::text("error.type", outcome.as_ref()));
        }
        Some((series, attributes))
    });
    // Deployments of several public models may share an upstream model: their figures are one series.
    metric_of("gen_ai.client.operation.duration", "GenAI operation duration.", "s", merged(series, span))
}

fn tokens(readings: &Readings, provider_name: ProviderName, span: Span) -> WireMetric {
    let series = readings.of(&names::REQUEST_TOKENS).iter().filter_map(|series| {
        let [model, provider, operation, _, direction] = series.labels.as_slice() else { return None };
        let mut attributes = common(provider_name, (provider, operation, model));
        attributes.push(KeyValue::text("gen_ai.token.type", direction.as_ref()));
        Some((series, attributes))
    });
    let help = "Number of input and output tokens used.";
    metric_of("gen_ai.client.token.usage", help, "{token}", merged(series, span))
}

fn first(readings: &Readings, provider_name: ProviderName, span: Span) -> WireMetric {
    let series = readings.of(&names::FIRST_OUTPUT_SECONDS).iter().filter_map(|series| {
        let [model, provider, operation, _] = series.labels.as_slice() else { return None };
        Some((series, common(provider_name, (provider, operation, model))))
    });
    let help = "Time to receive the first chunk of a stream.";
    metric_of("gen_ai.client.operation.time_to_first_chunk", help, "s", merged(series, span))
}

type Text = Cow<'static, str>;

fn common(provider_name: ProviderName, (provider, operation, model): (&Text, &Text, &Text)) -> Vec<KeyValue> {
    vec![
        KeyValue::text("gen_ai.operation.name", operation_name(operation)),
        KeyValue::text("gen_ai.provider.name", provider_name(provider)),
        KeyValue::text("gen_ai.request.model", model.as_ref()),
    ]
}

fn metric_of(name: &str, description: &str, unit: &str, data: Data) -> WireMetric {
    WireMetric { name: name.to_owned(), description: description.to_owned(), unit: unit.to_owned(), data: Some(data) }
}

/// Series of the same attributes added up.
fn merged<'a>(series: impl Iterator<Item = (&'a Series, Vec<KeyValue>)>, span: Span) -> Data {
    let mut sums: Vec<(Vec<KeyValue>, HistogramReading)> = Vec::new();
    for (series, attributes) in series {
        let Value::Sizes(reading) = &series.value else { continue };
        match sums.iter_mut().find(|(known, _)| *known == attributes) {
            Some((_, sum)) => {
                for (into, from) in sum.buckets.iter_mut().zip(&reading.buckets) {
                    into.1 += from.1;
                }
                sum.sum += reading.sum;
                sum.count += reading.count;
            }
            None => sums.push((attributes, reading.clone())),
        }
    }
    let points = sums.into_iter().map(|(attributes, reading)| point(&reading, attributes, span)).collect();
    Data::Histogram(WireHistogram { data_points: points, aggregation_temporality: CUMULATIVE })
}

fn histogram<'a>(series: impl Iterator<Item = (&'a Series, Vec<KeyValue>)>, span: Span) -> Data {
    let points = series.filter_map(|(series, attributes)| match &series.value {
        Value::Sizes(reading) => Some(point(reading, attributes, span)),
        Value::Number(_) => None,
    });
    Data::Histogram(WireHistogram { data_points: points.collect(), aggregation_temporality: CUMULATIVE })
}

fn point(reading: &HistogramReading, attributes: Vec<KeyValue>, span: Span) -> HistogramPoint {
    HistogramPoint {
        start_time_unix_nano: span.start,
        time_unix_nano: span.now,
        count: reading.count,
        sum: Some(reading.sum),
        bucket_counts: reading.buckets.iter().map(|(_, count)| *count).collect(),
        // The last bucket has no bound.
        explicit_bounds: reading.buckets.iter().map(|(bound, _)| *bound).filter(|bound| bound.is_finite()).collect(),
        attributes,
    }
}
