//! Finished requests, sums and summaries.

use std::time::Duration;

use super::filled;
use super::time::{duration_from_proto, duration_into_proto, timestamp_from_proto, timestamp_into_proto};
use crate::api::grpc::proto;
use crate::api::problems::{Problems, one_of};
use crate::control::usage::{SummaryWindow, UsageReport, WindowSummary};
use crate::domain::ids::{DeploymentId, VirtualKeyId};
use crate::domain::operation_query::{
    OperationFilter, OperationOutcome, Percentiles, SummaryPart, UsageDimension, UsageTotals,
};
use crate::domain::record::{AttemptRecord, OperationRecord};
use crate::fault::{Fault, Outcome};
use crate::time::Timestamp;

/// Reads a filter.
///
/// # Errors
/// `BadRequest` with every condition that is wrong.
pub(crate) fn filter_from_proto(message: Option<proto::OperationFilter>) -> Outcome<OperationFilter> {
    let message = message.unwrap_or_default();
    let mut problems = Problems::default();
    let outcome = outcome_from_proto(message.outcome, &mut problems);
    let mut moment = |field: &str, given: Option<prost_types::Timestamp>| {
        given.and_then(|given| problems.keep(field, timestamp_from_proto(&given)))
    };
    let (start, end) = (moment("start", message.start_time), moment("end", message.end_time));
    let key = filled(message.virtual_key_id);
    let deployment = filled(message.deployment_id);
    let filter = OperationFilter {
        request_id: filled(message.request_id),
        key: key.and_then(|id| problems.keep("virtualKeyId", id.parse::<VirtualKeyId>())),
        public_model: filled(message.public_model),
        deployment: deployment.and_then(|id| problems.keep("deploymentId", id.parse::<DeploymentId>())),
        provider: filled(message.provider),
        operation: filled(message.operation),
        outcome,
        degraded: message.degraded,
        cache_hit: message.cache_hit,
        status: message.http_status.and_then(|status| {
            problems.keep("status", u16::try_from(status).map_err(|_| "must be an HTTP status from 100 to 599"))
        }),
        tag: filled(message.tag),
        min_duration_ms: message
            .min_duration
            .and_then(|duration| problems.keep("minDurationMs", duration_from_proto(&duration)))
            .map(ms),
        start,
        end,
    };
    problems.finish(filter)
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn outcome_from_proto(number: i32, problems: &mut Problems) -> Option<OperationOutcome> {
    match proto::Outcome::try_from(number) {
        Ok(proto::Outcome::Unspecified) => None,
        Ok(proto::Outcome::Success) => Some(OperationOutcome::Success),
        Ok(proto::Outcome::Incomplete) => Some(OperationOutcome::Incomplete),
        Ok(proto::Outcome::Blocked) => Some(OperationOutcome::Blocked),
        Ok(proto::Outcome::Error) => Some(OperationOutcome::Error),
        Ok(proto::Outcome::Cancelled) => Some(OperationOutcome::Cancelled),
        Ok(proto::Outcome::Abandoned) => Some(OperationOutcome::Abandoned),
        Err(_) => {
            problems.add("outcome", one_of(OperationOutcome::ALL.map(OperationOutcome::as_str)));
            None
        }
    }
}

fn outcome_into_proto(word: &str) -> proto::Outcome {
    match OperationOutcome::parse(word) {
        None => proto::Outcome::Unspecified,
        Some(OperationOutcome::Success) => proto::Outcome::Success,
        Some(OperationOutcome::Incomplete) => proto::Outcome::Incomplete,
        Some(OperationOutcome::Blocked) => proto::Outcome::Blocked,
        Some(OperationOutcome::Error) => proto::Outcome::Error,
        Some(OperationOutcome::Cancelled) => proto::Outcome::Cancelled,
        Some(OperationOutcome::Abandoned) => proto::Outcome::Abandoned,
    }
}

/// A finished request, as a message.
pub(crate) fn operation_into_proto(record: OperationRecord) -> proto::Operation {
    let time = |ms: u64| duration_into_proto(Duration::from_millis(ms));
    let text = Option::unwrap_or_default;
    proto::Operation {
        id: record.id,
        request_id: record.request_id,
        virtual_key_id: text(record.key_id),
        public_model: record.public_model,
        served_model: text(record.served_model),
        deployment_id: text(record.deployment_id),
        provider: text(record.provider),
        operation: record.operation,
        contract: record.contract,
        stream: record.stream,
        outcome: outcome_into_proto(&record.outcome).into(),
        degraded: record.degraded,
        estimated: record.estimated,
        http_status: record.http_status.into(),
        input_tokens: record.input_tokens,
        cache_read_tokens: record.cache_read_tokens,
        cache_write_tokens: record.cache_write_tokens,
        audio_input_tokens: record.audio_input_tokens,
        output_tokens: record.output_tokens,
        reasoning_tokens: record.reasoning_tokens,
        audio_output_tokens: record.audio_output_tokens,
        cost_nanocents: record.cost,
        upstream_cost_nanocents: record.upstream_cost,
        start_time: Some(timestamp_into_proto(Timestamp::from_unix_ms(record.started_at))),
        duration: Some(time(record.duration_ms)),
        first_output: record.first_output_ms.map(time),
        request_bytes: record.request_bytes,
        dropped: record.dropped,
        finish_reason: text(record.finish_reason),
        error: text(record.error),
        error_detail: text(record.error_detail),
        config_revision: record.config_revision,
        attempts: record.attempts.into_iter().map(attempt_into_proto).collect(),
        tags: record.tags,
        lane: text(record.lane),
        cache_hit: record.cache_hit,
        service_tier: text(record.service_tier),
        cache_write_1h_tokens: record.cache_write_1h_tokens,
        image_count: record.image_count,
        audio_ms: record.audio_ms,
        characters: record.characters,
        search_units: record.search_units,
        hosted_calls: record.hosted_calls,
        first_byte: record.first_byte_ms.map(time),
        first_reasoning: record.first_reasoning_ms.map(time),
        longest_gap: record.longest_gap_ms.map(time),
        blocked: Some(time(record.blocked_ms)),
        response_bytes: record.response_bytes,
        reasoning_requested: text(record.reasoning_requested),
        reasoning_effective: text(record.reasoning_effective),
        reasoning_clamped: record.reasoning_clamped,
        error_class: text(record.error_class),
    }
}

fn attempt_into_proto(attempt: AttemptRecord) -> proto::Attempt {
    let text = Option::unwrap_or_default;
    proto::Attempt {
        number: i32::try_from(attempt.number).unwrap_or(i32::MAX),
        deployment_id: attempt.deployment_id,
        provider: attempt.provider,
        upstream_model: attempt.upstream_model,
        ok: attempt.ok,
        class: text(attempt.class),
        http_status: attempt.http_status.map(i32::from),
        detail: text(attempt.detail),
        duration: Some(duration_into_proto(Duration::from_millis(attempt.duration_ms))),
        provider_request_id: text(attempt.provider_request_id),
    }
}

/// Reads dimensions.
///
/// # Errors
/// `BadRequest` on `groupBy`.
pub(crate) fn dimensions_from_proto(numbers: &[i32]) -> Outcome<Vec<UsageDimension>> {
    let wrong = || Fault::invalid("groupBy", one_of(UsageDimension::ALL.map(UsageDimension::as_str)));
    let read = |number: &i32| match proto::UsageDimension::try_from(*number) {
        Ok(proto::UsageDimension::Model) => Ok(UsageDimension::Model),
        Ok(proto::UsageDimension::Key) => Ok(UsageDimension::Key),
        Ok(proto::UsageDimension::Deployment) => Ok(UsageDimension::Deployment),
        Ok(proto::UsageDimension::Provider) => Ok(UsageDimension::Provider),
        Ok(proto::UsageDimension::Tag) => Ok(UsageDimension::Tag),
        Ok(proto::UsageDimension::Operation) => Ok(UsageDimension::Operation),
        Ok(proto::UsageDimension::Day) => Ok(UsageDimension::Day),
        Ok(proto::UsageDimension::Hour) => Ok(UsageDimension::Hour),
        Ok(proto::UsageDimension::Unspecified) | Err(_) => Err(wrong()),
    };
    numbers.iter().map(read).collect()
}

/// Sums, as a message.
pub(crate) fn report_into_proto(report: UsageReport) -> proto::AggregateUsageResponse {
    proto::AggregateUsageResponse {
        rows: report
            .rows
            .into_iter()
            .map(|row| proto::UsageRow { group: row.group, totals: Some(totals_into_proto(&row.totals)) })
            .collect(),
        total: Some(totals_into_proto(&report.total)),
        start_time: Some(timestamp_into_proto(report.start)),
        end_time: Some(timestamp_into_proto(report.end)),
    }
}

fn totals_into_proto(totals: &UsageTotals) -> proto::UsageTotals {
    proto::UsageTotals {
        requests: whole(totals.requests),
        errors: whole(totals.errors),
        input_tokens: totals.input_tokens,
        cache_read_tokens: totals.cache_read_tokens,
        cache_write_tokens: totals.cache_write_tokens,
        audio_input_tokens: totals.audio_input_tokens,
        output_tokens: totals.output_tokens,
        reasoning_tokens: totals.reasoning_tokens,
        audio_output_tokens: totals.audio_output_tokens,
        image_count: totals.image_count,
        audio_ms: totals.audio_ms,
        characters: totals.characters,
        search_units: totals.search_units,
        cost_nanocents: totals.cost.0,
        upstream_cost_nanocents: totals.upstream_cost.0,
        unpriced: whole(totals.unpriced),
    }
}

fn whole(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Reads a window; none is an hour.
///
/// # Errors
/// `BadRequest` on `window`.
pub(crate) fn window_from_proto(message: Option<prost_types::Duration>) -> Outcome<SummaryWindow> {
    let Some(message) = message else { return Ok(SummaryWindow::Hour) };
    let length = duration_from_proto(&message).map_err(|why| Fault::invalid("window", why))?;
    let known = SummaryWindow::ALL.into_iter().find(|window| window.duration() == length);
    known.ok_or_else(|| Fault::invalid("window", "must be 5 minutes, 1 hour or 24 hours"))
}

/// A summary, as a message.
pub(crate) fn summary_into_proto(window: WindowSummary) -> proto::Summary {
    proto::Summary {
        window: Some(duration_into_proto(window.window.duration())),
        start_time: Some(timestamp_into_proto(window.start)),
        end_time: Some(timestamp_into_proto(window.end)),
        all: Some(part_into_proto(window.summary.all)),
        models: window.summary.models.into_iter().map(part_into_proto).collect(),
    }
}

fn part_into_proto(part: SummaryPart) -> proto::SummaryPart {
    let outcomes = OperationOutcome::ALL.into_iter().zip(part.outcomes).filter(|(_, count)| *count > 0);
    proto::SummaryPart {
        requests: whole(part.requests()),
        outcomes: outcomes.map(|(outcome, count)| (outcome.as_str().to_owned(), whole(count))).collect(),
        public_model: part.public_model,
        degraded: whole(part.degraded),
        cache_hits: whole(part.cache_hits),
        duration: part.duration.map(percentiles_into_proto),
        first_output: part.first_output.map(percentiles_into_proto),
        input_tokens: part.input_tokens,
        output_tokens: part.output_tokens,
        cost_nanocents: part.cost.0,
        upstream_cost_nanocents: part.upstream_cost.0,
    }
}

fn percentiles_into_proto(percentiles: Percentiles) -> proto::Percentiles {
    proto::Percentiles { p50_ms: percentiles.p50, p95_ms: percentiles.p95, p99_ms: percentiles.p99 }
}
