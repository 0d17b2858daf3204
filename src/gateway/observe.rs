//! What is told of a request to those who watch: figures always, a trace where traces are made. Prompts, answers and the
//! words of providers are in neither.

use std::sync::Arc;
use std::time::Instant;

use super::{Gateway, Parts};
use crate::domain::ids::{OperationId, VirtualKeyId};
use crate::fault::Fault;
use crate::providers::conventional_name;
use crate::routing::Target;
use crate::telemetry::metrics::{AttemptEnded, Ended, Metrics, NONE};
use crate::telemetry::otel::operation_name;
use crate::telemetry::otel::trace::{AttemptTrace, Attributes, Trace};
use crate::telemetry::rate::Leave;

/// Watches one request.
pub(super) struct Watch {
    metrics: Arc<Metrics>,
    trace: Option<Trace>,
}

/// What is said of a request besides its figures.
pub(super) struct Said<'a> {
    pub request_id: &'a str,
    pub operation_id: OperationId,
    pub key_id: Option<VirtualKeyId>,
    /// The model that was asked for, as far as it is configured.
    pub model: Option<&'a str>,
    pub served_by: Option<&'a Target>,
    pub is_stream: bool,
    pub finish_reason: Option<&'a str>,
    pub fault: Option<&'a Fault>,
}

impl Watch {
    /// A request begins.
    pub(super) fn begin(parts: &Parts) -> Self {
        parts.metrics.request_begins();
        Self { metrics: Arc::clone(&parts.metrics), trace: None }
    }

    /// Begins its trace.
    pub(super) fn follows(&mut self, trace: Option<Trace>) {
        self.trace = trace;
    }

    /// A call of a provider begins.
    pub(super) fn attempt_begins(&mut self, now: Instant) {
        if let Some(trace) = &mut self.trace {
            trace.attempt_begins(now);
        }
    }

    /// A call of a provider begins beside the one under way. Answers its trace.
    pub(super) fn beside_begins(&self, now: Instant) -> Option<Arc<AttemptTrace>> {
        self.trace.as_ref().map(|trace| trace.beside_begins(now))
    }

    /// A call that began beside another one is the one under way.
    pub(super) fn goes_on_with(&mut self, beside: Option<Arc<AttemptTrace>>) {
        if let (Some(trace), Some(beside)) = (&mut self.trace, beside) {
            trace.goes_on_with(beside);
        }
    }

    /// The trace of the call under way.
    pub(super) fn attempt(&self) -> Option<&Arc<AttemptTrace>> {
        self.trace.as_ref()?.attempt()
    }

    /// The call under way ended; `status` is the provider's, where it was an error.
    pub(super) fn attempt_ends(&mut self, of: (&Target, &str), ended: (&str, Option<u16>), times: (Instant, Instant)) {
        let attempt = self.attempt().map(Arc::clone);
        self.beside_ends(attempt.as_deref(), of, ended, times);
    }

    /// A call ended, the one under way or one beside it.
    pub(super) fn beside_ends(
        &mut self,
        attempt: Option<&AttemptTrace>,
        (target, operation): (&Target, &str),
        (outcome, status): (&str, Option<u16>),
        (began, now): (Instant, Instant),
    ) {
        self.metrics.attempt_ended(&AttemptEnded {
            model: target.public_model.as_str(),
            provider: &target.provider,
            upstream_model: &target.upstream_model,
            operation,
            outcome,
            duration: now.saturating_duration_since(began),
        });
        let (Some(trace), Some(attempt)) = (&mut self.trace, attempt) else { return };
        let name = operation_name(operation);
        let said = Attributes::default()
            .text("gen_ai.operation.name", name)
            .text("gen_ai.provider.name", conventional_name(&target.provider))
            .text("gen_ai.request.model", &target.upstream_model)
            .text("unified_gateway.deployment_id", &target.id.to_string())
            .some_number("http.response.status_code", status);
        let message = status.map(|status| format!("HTTP {status}")).unwrap_or_default();
        let error = (outcome != "success").then_some((outcome, message.as_str()));
        trace.attempt_ends(attempt, (&format!("{name} {}", target.upstream_model), said, error), now);
    }

    /// The request ended.
    pub(super) fn ends(&mut self, ended: &Ended<'_>, said: &Said<'_>, now: Instant) {
        self.metrics.request_ended(ended);
        let Some(trace) = self.trace.take() else { return };
        let name = operation_name(ended.operation);
        let full_name = said.model.map_or_else(|| name.to_owned(), |model| format!("{name} {model}"));
        let row = said.fault.map(|fault| fault.kind().row());
        let error =
            row.map(|row| (row.slug, row.sentence)).or((ended.outcome == "cancelled").then_some(("cancelled", "")));
        trace.ends(&full_name, attributes(name, ended, said), error, now);
    }
}

fn attributes(name: &str, ended: &Ended<'_>, said: &Said<'_>) -> Attributes {
    let provider = if ended.provider == NONE { "" } else { conventional_name(ended.provider) };
    let has_usage = ended.attempts > 0 && (ended.tokens.input > 0 || ended.tokens.output > 0);
    let used = |tokens: u64| has_usage.then_some(tokens);
    let part = |tokens: u64| (tokens > 0).then_some(tokens);
    let status = said.fault.map_or(200, |fault| fault.kind().row().http);
    Attributes::default()
        .text("gen_ai.operation.name", name)
        .text("gen_ai.provider.name", provider)
        .text("gen_ai.request.model", said.model.unwrap_or_default())
        .text("gen_ai.response.model", said.served_by.map_or("", |target| target.upstream_model.as_str()))
        .flag("gen_ai.request.stream", said.is_stream)
        .some_number("gen_ai.usage.input_tokens", used(ended.tokens.input))
        .some_number("gen_ai.usage.output_tokens", used(ended.tokens.output))
        .some_number("gen_ai.usage.cache_read.input_tokens", part(ended.tokens.cache_read))
        .some_number("gen_ai.usage.cache_creation.input_tokens", part(ended.tokens.cache_write))
        .some_number("gen_ai.usage.reasoning.output_tokens", part(ended.tokens.reasoning))
        .list_of("gen_ai.response.finish_reasons", said.finish_reason)
        .seconds("gen_ai.response.time_to_first_chunk", ended.first_output)
        .number("http.response.status_code", status)
        .text("unified_gateway.request_id", said.request_id)
        .text("unified_gateway.operation_id", &said.operation_id.to_string())
        .text("unified_gateway.virtual_key_id", &said.key_id.map(|id| id.to_string()).unwrap_or_default())
        .text("unified_gateway.contract", ended.contract)
        .text("unified_gateway.outcome", ended.outcome)
        .text("unified_gateway.deployment_id", &said.served_by.map(|target| target.id.to_string()).unwrap_or_default())
        .number("unified_gateway.attempts", u64::try_from(ended.attempts).unwrap_or(u64::MAX))
}

impl Gateway {
    /// Tells of a request that was refused before a deployment was looked for: a wrong key, a scope, a body. Anyone can
    /// cause such a line, so they are bounded.
    pub fn note_refusal(&self, contract: &'static str, request_id: &str, fault: &Fault) {
        let row = fault.kind().row();
        self.parts.metrics.refused(contract, row.slug);
        let Leave::Granted(left_out) = self.parts.refusal_lines.ask(self.parts.clock.now()) else { return };
        tracing::info!(
            request_id,
            contract,
            outcome = "refused",
            status = row.http,
            fault = row.slug,
            error = fault.cause(),
            left_out = (left_out > 0).then_some(left_out),
            "request refused"
        );
    }
}
