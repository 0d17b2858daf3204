//! What is written of a request at its end: its record, its line in the log, its figures.

use std::sync::Arc;
use std::time::Duration;

use super::{Ending, Record, detail_of, whole_ms};
use crate::canonical::text::Effort;
use crate::domain::money::NanoCents;
use crate::domain::record::{OperationRecord, RECORD_VERSION};
use crate::domain::usage::TokenUsage;
use crate::fault::Fault;
use crate::gateway::observe::Said;
use crate::telemetry::metrics::{self, Ended, TokenCounts};

impl Record {
    pub(super) fn record(
        &self,
        ending: Ending,
        fault: Option<&Fault>,
        usage: &TokenUsage,
        cost: Option<NanoCents>,
    ) -> OperationRecord {
        let target = self.served_by.as_ref();
        let served_model = target.map(|target| target.public_model.as_str().to_owned());
        let served_model = served_model.or_else(|| self.cached_from.clone());
        let is_fallback = served_model.as_ref().is_some_and(|served| *served != self.facts.public_model);
        let upstream = i128::from(cost.unwrap_or_default().0).saturating_add(self.lost);
        OperationRecord {
            version: RECORD_VERSION,
            id: self.account.operation().to_string(),
            request_id: self.facts.request_id.clone(),
            key_id: self.account.key().map(|key| key.id.to_string()),
            public_model: self.facts.public_model.clone(),
            served_model,
            deployment_id: target.map(|target| target.id.to_string()),
            provider: target.map(|target| target.provider.clone()),
            operation: self.facts.operation.as_str().to_owned(),
            contract: self.facts.contract.to_owned(),
            tags: self.facts.tags.clone(),
            lane: self.is_native.map(|is_native| if is_native { "native" } else { "translated" }.to_owned()),
            stream: self.facts.is_stream,
            cache_hit: self.cached_from.is_some(),
            service_tier: usage.terms.service.word().map(str::to_owned),
            outcome: self.outcome(ending).to_owned(),
            degraded: is_fallback || !self.dropped.is_empty(),
            estimated: false,
            http_status: self.http_status(ending, fault),
            input_tokens: usage.input,
            cache_read_tokens: usage.cache_read,
            cache_write_tokens: usage.cache_write,
            cache_write_1h_tokens: usage.cache_write_1h,
            audio_input_tokens: usage.audio_input,
            output_tokens: usage.output,
            reasoning_tokens: usage.reasoning,
            audio_output_tokens: usage.audio_output,
            hosted_calls: usage.terms.searches,
            search_units: usage.search_units,
            image_count: usage.images,
            audio_ms: usage.audio_ms.saturating_add(usage.audio_output_ms),
            characters: usage.characters,
            cost: cost.map(|cost| cost.0),
            upstream_cost: cost.map(|_| i64::try_from(upstream).unwrap_or(i64::MAX)),
            started_at: self.started_at.unix_ms(),
            duration_ms: self.elapsed_ms(),
            first_byte_ms: self.seen.first_byte.map(|at| self.ms_until(at)),
            first_reasoning_ms: self.first_reasoning_ms,
            first_output_ms: self.first_output_ms,
            longest_gap_ms: self.longest_gap_ms,
            blocked_ms: whole_ms(self.blocked),
            request_bytes: self.account.size().bytes,
            response_bytes: self.response_bytes,
            reasoning_requested: self.steps.requested.map(|step| step.as_str().to_owned()),
            reasoning_effective: self.steps.effective.map(|step| step.as_str().to_owned()),
            reasoning_clamped: self.steps.requested.is_some() && self.steps.is_clamped(),
            dropped: self.dropped.clone(),
            finish_reason: self.finish_reason.clone(),
            error: fault.map(|fault| fault.kind().row().slug.to_owned()),
            error_class: self.error_class(ending),
            error_detail: fault.map(detail_of),
            config_revision: self.facts.revision,
            attempts: self.attempts.clone(),
            ..OperationRecord::default()
        }
    }

    /// What the client was answered; 499: it left before there was an answer.
    fn http_status(&self, ending: Ending, fault: Option<&Fault>) -> u16 {
        match fault {
            // After the commit point the status has been sent.
            _ if self.is_committed && self.facts.is_stream => 200,
            Some(fault) => fault.kind().row().http,
            None if ending == Ending::Cancelled && !self.is_committed => 499,
            None => 200,
        }
    }

    fn error_class(&self, ending: Ending) -> Option<String> {
        let last = self.attempts.last().filter(|_| ending == Ending::Error)?;
        last.class.clone()
    }

    /// The ending in the words of records: an answer can be complete and still not be what was asked for.
    fn outcome(&self, ending: Ending) -> &'static str {
        match (ending, self.finish_reason.as_deref()) {
            (Ending::Success, Some("length" | "max_tokens" | "max_output_tokens" | "incomplete")) => "incomplete",
            (Ending::Success, Some("content_filter" | "refusal" | "safety")) => "blocked",
            (ending, _) => ending.as_str(),
        }
    }

    pub(super) fn log(&self, ending: Ending, fault: Option<&Fault>, usage: &TokenUsage, cost: Option<NanoCents>) {
        tracing::info!(
            request_id = self.facts.request_id,
            operation_id = %self.account.operation(),
            key = self.account.key().map(|key| key.prefix.as_str()),
            public_model = self.facts.public_model,
            deployment_id = self.served_by.as_ref().map(|target| tracing::field::display(target.id)),
            provider = self.served_by.as_ref().map(|target| target.provider.as_str()),
            stream = self.facts.is_stream,
            cache_hit = self.cached_from.is_some(),
            outcome = ending.as_str(),
            status = fault.map_or(200, |fault| fault.kind().row().http),
            fault = fault.map(|fault| fault.kind().row().slug),
            error = fault.and_then(Fault::cause),
            attempts = self.attempts.len(),
            finish_reason = self.finish_reason,
            input_tokens = usage.input,
            cached_tokens = usage.cache_read,
            output_tokens = usage.output,
            reasoning_tokens = usage.reasoning,
            reasoning_requested = self.steps.requested.map(Effort::as_str),
            reasoning_effective = self.steps.effective.map(Effort::as_str),
            reasoning_clamped = self.steps.requested.map(|_| self.steps.is_clamped()),
            usage_known = self.usage.is_some(),
            cost_cents = cost.map(tracing::field::display),
            first_output_ms = self.first_output_ms,
            duration_ms = self.elapsed_ms(),
            "request served"
        );
    }

    /// Tells those who watch. Only names that are configured become labels: a client cannot make a series.
    pub(super) fn measure(
        &mut self,
        ending: Ending,
        fault: Option<&Fault>,
        used: (&TokenUsage, bool),
        cost: Option<NanoCents>,
    ) {
        if self.attempts.last().is_some_and(|last| last.class.is_none()) {
            self.measure_attempt(if ending == Ending::Success { "success" } else { "cancelled" }, None);
        }
        let (usage, is_estimated) = used;
        let parts = Arc::clone(self.account.parts());
        let is_known =
            self.served_by.is_some() || parts.publisher.current().find_pool(&self.facts.public_model).is_some();
        let now = parts.clock.instant();
        let ended = Ended {
            model: if is_known { &self.facts.public_model } else { metrics::NONE },
            provider: self.served_by.as_ref().map_or(metrics::NONE, |target| target.provider.as_str()),
            operation: self.facts.operation.as_str(),
            contract: self.facts.contract,
            outcome: self.outcome(ending),
            fault: fault.map(|fault| fault.kind().row().slug),
            duration: now.saturating_duration_since(self.started),
            first_output: self.first_of_stream(),
            tokens: TokenCounts {
                input: usage.input,
                output: usage.output,
                cache_read: usage.cache_read,
                cache_write: usage.cache_write,
                reasoning: usage.reasoning,
            },
            is_estimated,
            cost: cost.unwrap_or_default().0,
            attempts: self.attempts.len(),
            is_cached: self.cached_from.is_some(),
        };
        let said = Said {
            request_id: &self.facts.request_id,
            operation_id: self.account.operation(),
            key_id: self.account.key().map(|key| key.id),
            model: is_known.then_some(self.facts.public_model.as_str()),
            served_by: self.served_by.as_deref(),
            is_stream: self.facts.is_stream,
            finish_reason: self.finish_reason.as_deref(),
            fault,
        };
        self.watch.ends(&ended, &said, now);
    }

    /// Until the first of a stream, reasoning or not.
    fn first_of_stream(&self) -> Option<Duration> {
        let first = self.first_reasoning_ms.into_iter().chain(self.first_output_ms).min();
        first.filter(|_| self.facts.is_stream).map(Duration::from_millis)
    }
}
