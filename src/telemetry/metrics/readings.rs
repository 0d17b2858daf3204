//! What all metrics say at one moment, and how Prometheus reads it.

use std::borrow::Cow;
use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder, NoLabelSet, prometheus_text, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use super::cells::HistogramReading;
use super::names::{ALL, Kind, Metric};

/// Series of one metric that are shown at most; a bound on what a scrape costs.
const MOST_SERIES: usize = 10_000;

/// How figures are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// The text format of Prometheus, version 0.0.4
    /// (<https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format>).
    Prometheus,
    /// OpenMetrics, version 1.0.0 (<https://prometheus.io/docs/specs/om/open_metrics_spec/>).
    OpenMetrics,
}

impl Format {
    /// The better of those that a scraper's `accept` names: `OpenMetrics` where it has it, unless with `q=0`.
    #[must_use]
    pub fn accepted(accept: &str) -> Self {
        let takes = |range: &str| {
            let mut parts = range.split(';').map(str::trim);
            let is_it = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("application/openmetrics-text"));
            let mut weights = parts.filter_map(|part| part.strip_prefix("q=")?.trim().parse::<f64>().ok());
            is_it && weights.all(|weight| weight > 0.0)
        };
        if accept.split(',').any(takes) { Self::OpenMetrics } else { Self::Prometheus }
    }

    /// What is sent with the text.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => prometheus_text::CONTENT_TYPE,
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// What all metrics say at one moment.
#[derive(Debug, Default)]
pub struct Readings {
    /// By the name of the metric.
    series: Vec<(&'static str, Vec<Series>)>,
}

/// One series.
#[derive(Debug, Clone)]
pub struct Series {
    /// Values of the metric's labels, in order.
    pub labels: Vec<Cow<'static, str>>,
    /// What it says.
    pub value: Value,
}

/// What a series says.
#[derive(Debug, Clone)]
pub enum Value {
    /// Of a counter or gauge.
    Number(f64),
    /// Of a histogram.
    Sizes(HistogramReading),
}

impl Readings {
    /// Adds a figure of `metric`.
    pub fn number<L: Into<Cow<'static, str>>>(
        &mut self,
        metric: &'static Metric,
        labels: impl IntoIterator<Item = L>,
        value: f64,
    ) {
        self.push(metric, labels.into_iter().map(Into::into).collect(), Value::Number(value));
    }

    /// Adds what a histogram of `metric` has counted.
    pub fn sizes<L: Into<Cow<'static, str>>>(
        &mut self,
        metric: &'static Metric,
        labels: impl IntoIterator<Item = L>,
        reading: HistogramReading,
    ) {
        self.push(metric, labels.into_iter().map(Into::into).collect(), Value::Sizes(reading));
    }

    fn push(&mut self, metric: &'static Metric, labels: Vec<Cow<'static, str>>, value: Value) {
        let series = Series { labels, value };
        match self.series.iter_mut().find(|(name, _)| *name == metric.name) {
            Some((_, known)) if known.len() >= MOST_SERIES => {}
            Some((_, known)) => known.push(series),
            None => self.series.push((metric.name, vec![series])),
        }
    }

    /// The series of a metric.
    #[must_use]
    pub fn of(&self, metric: &Metric) -> &[Series] {
        self.series.iter().find(|(name, _)| *name == metric.name).map_or(&[], |(_, series)| series)
    }

    /// All of it in a format. Metrics without a series are named all the same.
    ///
    /// # Errors
    /// When text cannot be written, which memory always takes.
    pub fn to_text(self, format: Format) -> Result<String, fmt::Error> {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(self));
        let mut written = String::new();
        match format {
            Format::Prometheus => prometheus_text::encode(&mut written, &registry)?,
            Format::OpenMetrics => text::encode(&mut written, &registry)?,
        }
        Ok(written)
    }

    fn write(&self, metric: &'static Metric, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        // The format's writer adds it again.
        let name = metric.name.trim_end_matches("_total");
        let kind = match metric.kind {
            Kind::Counter => MetricType::Counter,
            Kind::Gauge => MetricType::Gauge,
            Kind::Histogram => MetricType::Histogram,
        };
        let mut encoder = encoder.encode_descriptor(name, metric.help, None, kind)?;
        for series in self.of(metric) {
            let values = series.labels.iter().map(AsRef::as_ref);
            let labels: Vec<(&str, &str)> = metric.labels.iter().copied().zip(values).collect();
            let mut encoder = encoder.encode_family(&labels)?;
            match &series.value {
                Value::Sizes(reading) => write_sizes(&mut encoder, reading)?,
                Value::Number(number) if metric.kind == Kind::Counter => ConstCounter::new(*number).encode(encoder)?,
                Value::Number(number) => ConstGauge::new(*number).encode(encoder)?,
            }
        }
        Ok(())
    }
}

fn write_sizes(encoder: &mut MetricEncoder<'_>, reading: &HistogramReading) -> fmt::Result {
    encoder.encode_histogram::<NoLabelSet>(reading.sum, reading.count, &reading.buckets, None)
}

impl Collector for Readings {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        ALL.iter().try_for_each(|metric| self.write(metric, &mut encoder))
    }
}
