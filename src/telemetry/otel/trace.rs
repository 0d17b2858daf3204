//! The trace of one request: a span for all of it, and one below it for each call of a provider.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use super::Tracer;
use super::context::{TraceContext, traceparent};
use super::wire::{AnyKind, AnyValue, KeyValue, SpanKind, Status, Values, WireSpan};

/// Longest text of an attribute.
const MAX_TEXT_CHARS: usize = 1_000;
/// Spans of one request; a request has few attempts.
const MOST_ATTEMPTS: usize = 64;
/// Flags of a span: the caller is known to be elsewhere (`SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK` and `…_IS_REMOTE_MASK`).
const REMOTE: u32 = 0x300;

/// A span that ended.
#[derive(Debug)]
pub struct Span {
    pub(super) wire: Box<WireSpan>,
}

/// The trace of one request under way.
#[derive(Debug)]
pub struct Trace {
    tracer: Arc<Tracer>,
    trace_id: [u8; 16],
    span_id: [u8; 8],
    caller: Option<TraceContext>,
    is_sampled: bool,
    began: Instant,
    began_unix_ns: u64,
    attempt: Option<Arc<AttemptTrace>>,
    attempts: Vec<Span>,
}

/// The call of a provider under way.
#[derive(Debug)]
pub struct AttemptTrace {
    span_id: [u8; 8],
    began: Instant,
    traceparent: Option<String>,
    address: OnceLock<(String, u16)>,
}

impl AttemptTrace {
    /// The header that tells a provider of the trace, where it is to be told.
    #[must_use]
    pub fn traceparent(&self) -> Option<&str> {
        self.traceparent.as_deref()
    }

    /// Notes where the call goes.
    pub fn goes_to(&self, host: &str, port: u16) {
        _ = self.address.set((capped(host), port));
    }
}

/// What is said of a span. Empty values are left out.
#[derive(Debug, Default)]
pub struct Attributes(Vec<KeyValue>);

impl Attributes {
    /// A text.
    #[must_use]
    pub fn text(mut self, key: &'static str, value: &str) -> Self {
        if !value.is_empty() {
            self.0.push(KeyValue::text(key, capped(value)));
        }
        self
    }

    /// A number.
    #[must_use]
    pub fn number(mut self, key: &'static str, value: impl TryInto<i64>) -> Self {
        let value = value.try_into().unwrap_or(i64::MAX);
        self.0.push(KeyValue::new(key, AnyKind::Int(value)));
        self
    }

    /// A number that is left out when there is none.
    #[must_use]
    pub fn some_number(self, key: &'static str, value: Option<impl TryInto<i64>>) -> Self {
        match value {
            Some(value) => self.number(key, value),
            None => self,
        }
    }

    /// A time in seconds.
    #[must_use]
    pub fn seconds(mut self, key: &'static str, value: Option<Duration>) -> Self {
        self.0.extend(value.map(|value| KeyValue::new(key, AnyKind::Float(value.as_secs_f64()))));
        self
    }

    /// Yes or no.
    #[must_use]
    pub fn flag(mut self, key: &'static str, value: bool) -> Self {
        self.0.push(KeyValue::new(key, AnyKind::Flag(value)));
        self
    }

    /// A list of one text.
    #[must_use]
    pub fn list_of(mut self, key: &'static str, value: Option<&str>) -> Self {
        self.0.extend(value.map(|value| {
            let values = vec![AnyValue { value: Some(AnyKind::Text(capped(value))) }];
            KeyValue::new(key, AnyKind::List(Values { values }))
        }));
        self
    }
}

impl Trace {
    pub(super) fn begin(tracer: Arc<Tracer>, caller: Option<TraceContext>, now: (Instant, i64)) -> Self {
        let mut ids = [0; 24];
        (tracer.dice)(&mut ids);
        let [a, b, c] =
            [0, 8, 16].map(|at| <[u8; 8]>::try_from(ids.get(at..at + 8).unwrap_or(&[1; 8])).unwrap_or([1; 8]));
        let trace_id = caller.as_ref().map_or_else(
            || {
                let mut id = [0; 16];
                id.iter_mut().zip(a.iter().chain(&b)).for_each(|(to, from)| *to = *from);
                id
            },
            |caller| caller.trace_id,
        );
        let is_sampled = tracer.settings.sampler.samples(&trace_id, caller.as_ref());
        let (began, unix_ms) = now;
        let began_unix_ns = u64::try_from(unix_ms).unwrap_or_default().saturating_mul(1_000_000);
        Self {
            tracer,
            trace_id,
            span_id: c,
            caller,
            is_sampled,
            began,
            began_unix_ns,
            attempt: None,
            attempts: Vec::new(),
        }
    }

    /// The call of a provider begins.
    pub fn attempt_begins(&mut self, now: Instant) {
        self.attempt = Some(self.beside_begins(now));
    }

    /// A call of a provider begins beside the one under way.
    #[must_use]
    pub fn beside_begins(&self, now: Instant) -> Arc<AttemptTrace> {
        let mut span_id = [0; 8];
        (self.tracer.dice)(&mut span_id);
        let tells = self.tracer.settings.propagates;
        let traceparent = tells.then(|| traceparent(&self.trace_id, &span_id, self.is_sampled));
        Arc::new(AttemptTrace { span_id, began: now, traceparent, address: OnceLock::new() })
    }

    /// A call that began beside another one is the one under way.
    pub fn goes_on_with(&mut self, beside: Arc<AttemptTrace>) {
        self.attempt = Some(beside);
    }

    /// The call under way.
    #[must_use]
    pub fn attempt(&self) -> Option<&Arc<AttemptTrace>> {
        self.attempt.as_ref()
    }

    /// A call ended, the one under way or one beside it: its name, what is said of it, and its error if it failed.
    pub fn attempt_ends(
        &mut self,
        attempt: &AttemptTrace,
        (name, said, error): (&str, Attributes, Option<(&str, &str)>),
        now: Instant,
    ) {
        if self.attempt.as_ref().is_some_and(|under_way| under_way.span_id == attempt.span_id) {
            self.attempt = None;
        }
        if !self.is_sampled || self.attempts.len() >= MOST_ATTEMPTS {
            return;
        }
        let mut attributes = said.0;
        if let Some((host, port)) = attempt.address.get() {
            attributes.push(KeyValue::text("server.address", host.as_str()));
            attributes.push(KeyValue::new("server.port", AnyKind::Int(i64::from(*port))));
        }
        let mut span = self.span(name, attributes, error);
        span.span_id = attempt.span_id.to_vec();
        span.parent_span_id = self.span_id.to_vec();
        span.kind = SpanKind::Client.into();
        span.start_time_unix_nano = self.unix_ns(attempt.began);
        span.end_time_unix_nano = self.unix_ns(now);
        self.attempts.push(Span { wire: Box::new(span) });
    }

    /// The request ended: all its spans are handed over.
    pub fn ends(mut self, name: &str, said: Attributes, error: Option<(&str, &str)>, now: Instant) {
        if !self.is_sampled {
            return;
        }
        let mut span = self.span(name, said.0, error);
        span.span_id = self.span_id.to_vec();
        span.kind = SpanKind::Server.into();
        span.start_time_unix_nano = self.began_unix_ns;
        span.end_time_unix_nano = self.unix_ns(now);
        if let Some(caller) = &self.caller {
            span.parent_span_id = caller.span_id.to_vec();
            span.flags |= REMOTE;
        }
        let attempts = std::mem::take(&mut self.attempts);
        for span in attempts.into_iter().chain([Span { wire: Box::new(span) }]) {
            self.tracer.hand_over(span);
        }
    }

    fn span(&self, name: &str, mut attributes: Vec<KeyValue>, error: Option<(&str, &str)>) -> WireSpan {
        attributes.extend(error.map(|(kind, _)| KeyValue::text("error.type", kind)));
        WireSpan {
            trace_id: self.trace_id.to_vec(),
            trace_state: self.caller.as_ref().map(|caller| caller.state.clone()).unwrap_or_default(),
            name: capped(name),
            attributes,
            status: error.map(|(_, message)| Status { message: capped(message), code: 2 }),
            flags: 1,
            ..WireSpan::default()
        }
    }

    fn unix_ns(&self, at: Instant) -> u64 {
        let since = u64::try_from(at.saturating_duration_since(self.began).as_nanos()).unwrap_or(u64::MAX);
        self.began_unix_ns.saturating_add(since)
    }
}

fn capped(text: &str) -> String {
    text.chars().take(MAX_TEXT_CHARS).collect()
}
