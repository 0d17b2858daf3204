//! Finished requests, sums and summaries.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::control::usage::{UsageReport, WindowSummary};
use crate::domain::money::NanoCents;
use crate::domain::operation_query::{OperationOutcome, Percentiles, SummaryPart, UsageDimension, UsageTotals};
use crate::domain::record::{AttemptRecord, OperationRecord};
use crate::time::Timestamp;

/// A finished request, as answered.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OperationShape {
    id: String,
    request_id: String,
    virtual_key_id: Option<String>,
    public_model: String,
    served_model: Option<String>,
    deployment_id: Option<String>,
    provider: Option<String>,
    operation: String,
    contract: String,
    lane: Option<String>,
    stream: bool,
    outcome: String,
    http_status: u16,
    degraded: bool,
    estimated: bool,
    cache_hit: bool,
    tags: Vec<String>,
    started_at: String,
    duration_ms: u64,
    first_byte_ms: Option<u64>,
    first_reasoning_ms: Option<u64>,
    first_output_ms: Option<u64>,
    longest_gap_ms: Option<u64>,
    blocked_ms: u64,
    input_tokens: u64,
    cache_read_tokens: u64,
    cache_write_tokens: u64,
    cache_write_1h_tokens: u64,
    audio_input_tokens: u64,
    output_tokens: u64,
    reasoning_tokens: u64,
    audio_output_tokens: u64,
    image_count: u64,
    audio_ms: u64,
    characters: u64,
    search_units: u64,
    hosted_calls: u64,
    cost_cents: Option<String>,
    upstream_cost_cents: Option<String>,
    service_tier: Option<String>,
    reasoning_requested: Option<String>,
    reasoning_effective: Option<String>,
    reasoning_clamped: bool,
    request_bytes: u64,
    response_bytes: u64,
    dropped: Vec<String>,
    finish_reason: Option<String>,
    error: Option<String>,
    error_class: Option<String>,
    error_detail: Option<String>,
    config_revision: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempts: Option<Vec<AttemptShape>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct AttemptShape {
    number: u32,
    deployment_id: String,
    provider: String,
    upstream_model: String,
    ok: bool,
    class: Option<String>,
    http_status: Option<u16>,
    detail: Option<String>,
    duration_ms: u64,
    provider_request_id: Option<String>,
}

/// A finished request without its attempts.
pub(crate) fn write(record: OperationRecord) -> OperationShape {
    let cents = |cost: Option<i64>| cost.map(|cost| NanoCents(cost).to_cents_text());
    OperationShape {
        id: record.id,
        request_id: record.request_id,
        virtual_key_id: record.key_id,
        public_model: record.public_model,
        served_model: record.served_model,
        deployment_id: record.deployment_id,
        provider: record.provider,
        operation: record.operation,
        contract: record.contract,
        lane: record.lane,
        stream: record.stream,
        outcome: record.outcome,
        http_status: record.http_status,
        degraded: record.degraded,
        estimated: record.estimated,
        cache_hit: record.cache_hit,
        tags: record.tags,
        started_at: Timestamp::from_unix_ms(record.started_at).to_rfc3339(),
        duration_ms: record.duration_ms,
        first_byte_ms: record.first_byte_ms,
        first_reasoning_ms: record.first_reasoning_ms,
        first_output_ms: record.first_output_ms,
        longest_gap_ms: record.longest_gap_ms,
        blocked_ms: record.blocked_ms,
        input_tokens: record.input_tokens,
        cache_read_tokens: record.cache_read_tokens,
        cache_write_tokens: record.cache_write_tokens,
        cache_write_1h_tokens: record.cache_write_1h_tokens,
        audio_input_tokens: record.audio_input_tokens,
        output_tokens: record.output_tokens,
        reasoning_tokens: record.reasoning_tokens,
        audio_output_tokens: record.audio_output_tokens,
        image_count: record.image_count,
        audio_ms: record.audio_ms,
        characters: record.characters,
        search_units: record.search_units,
        hosted_calls: record.hosted_calls,
        cost_cents: cents(record.cost),
        upstream_cost_cents: cents(record.upstream_cost),
        service_tier: record.service_tier,
        reasoning_requested: record.reasoning_requested,
        reasoning_effective: record.reasoning_effective,
        reasoning_clamped: record.reasoning_clamped,
        request_bytes: record.request_bytes,
        response_bytes: record.response_bytes,
        dropped: record.dropped,
        finish_reason: record.finish_reason,
        error: record.error,
        error_class: record.error_class,
        error_detail: record.error_detail,
        config_revision: record.config_revision,
        attempts: None,
    }
}

/// A finished request with its attempts.
pub(crate) fn write_whole(mut record: OperationRecord) -> OperationShape {
    let attempts = std::mem::take(&mut record.attempts).into_iter().map(write_attempt).collect();
    OperationShape { attempts: Some(attempts), ..write(record) }
}

fn write_attempt(attempt: AttemptRecord) -> AttemptShape {
    AttemptShape {
        number: attempt.number,
        deployment_id: attempt.deployment_id,
        provider: attempt.provider,
        upstream_model: attempt.upstream_model,
        ok: attempt.ok,
        class: attempt.class,
        http_status: attempt.http_status,
        detail: attempt.detail,
        duration_ms: attempt.duration_ms,
        provider_request_id: attempt.provider_request_id,
    }
}

/// Sums, as answered.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TotalsShape {
    requests: u64,
    errors: u64,
    input_tokens: u64,
    cache_read_tokens: u64,
    cache_write_tokens: u64,
    audio_input_tokens: u64,
    output_tokens: u64,
    reasoning_tokens: u64,
    audio_output_tokens: u64,
    total_tokens: u64,
    image_count: u64,
    audio_ms: u64,
    characters: u64,
    search_units: u64,
    cost_cents: String,
    upstream_cost_cents: String,
    unpriced: u64,
}

/// The sums of one group: its dimensions beside its sums.
#[derive(Debug, Serialize)]
pub(crate) struct GroupShape {
    #[serde(flatten)]
    group: BTreeMap<&'static str, String>,
    #[serde(flatten)]
    totals: TotalsShape,
}

/// What was summed up.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UsageShape {
    data: Vec<GroupShape>,
    total: TotalsShape,
    group_by: Vec<&'static str>,
    start: String,
    end: String,
}

fn write_totals(totals: &UsageTotals) -> TotalsShape {
    TotalsShape {
        requests: totals.requests,
        errors: totals.errors,
        input_tokens: totals.input_tokens,
        cache_read_tokens: totals.cache_read_tokens,
        cache_write_tokens: totals.cache_write_tokens,
        audio_input_tokens: totals.audio_input_tokens,
        output_tokens: totals.output_tokens,
        reasoning_tokens: totals.reasoning_tokens,
        audio_output_tokens: totals.audio_output_tokens,
        total_tokens: totals.input_tokens.saturating_add(totals.output_tokens),
        image_count: totals.image_count,
        audio_ms: totals.audio_ms,
        characters: totals.characters,
        search_units: totals.search_units,
        cost_cents: totals.cost.to_cents_text(),
        upstream_cost_cents: totals.upstream_cost.to_cents_text(),
        unpriced: totals.unpriced,
    }
}

/// The name of a dimension's value: that of the condition on it.
const fn member(dimension: UsageDimension) -> &'static str {
    match dimension {
        UsageDimension::Model => "publicModel",
        UsageDimension::Key => "virtualKeyId",
        UsageDimension::Deployment => "deploymentId",
        UsageDimension::Provider => "provider",
        UsageDimension::Tag => "tag",
        UsageDimension::Operation => "operation",
        UsageDimension::Day => "day",
        UsageDimension::Hour => "hour",
    }
}

/// Sums, to be answered.
pub(crate) fn write_usage(report: UsageReport) -> UsageShape {
    let members: Vec<&str> = report.group_by.iter().copied().map(member).collect();
    let data = report.rows.into_iter().map(|row| GroupShape {
        group: members.iter().copied().zip(row.group).collect(),
        totals: write_totals(&row.totals),
    });
    UsageShape {
        data: data.collect(),
        total: write_totals(&report.total),
        group_by: report.group_by.iter().copied().map(UsageDimension::as_str).collect(),
        start: report.start.to_rfc3339(),
        end: report.end.to_rfc3339(),
    }
}

/// Sums as a table after RFC 4180: a line of names, then one for each group.
pub(crate) fn write_csv(report: &UsageReport) -> String {
    let mut names: Vec<&str> = report.group_by.iter().copied().map(member).collect();
    names.extend([
        "requests",
        "errors",
        "inputTokens",
        "cacheReadTokens",
        "cacheWriteTokens",
        "audioInputTokens",
        "outputTokens",
        "reasoningTokens",
        "audioOutputTokens",
        "imageCount",
        "audioMs",
        "characters",
        "searchUnits",
        "costCents",
        "upstreamCostCents",
        "unpriced",
    ]);
    let mut text = names.join(",") + "\r\n";
    for row in &report.rows {
        let totals = &row.totals;
        let numbers = [
            totals.requests,
            totals.errors,
            totals.input_tokens,
            totals.cache_read_tokens,
            totals.cache_write_tokens,
            totals.audio_input_tokens,
            totals.output_tokens,
            totals.reasoning_tokens,
            totals.audio_output_tokens,
            totals.image_count,
            totals.audio_ms,
            totals.characters,
            totals.search_units,
        ];
        let cells = row.group.iter().map(|text| cell(text));
        let cells = cells.chain(numbers.iter().map(u64::to_string));
        let money = [totals.cost.to_cents_text(), totals.upstream_cost.to_cents_text(), totals.unpriced.to_string()];
        text += &cells.chain(money).collect::<Vec<_>>().join(",");
        text += "\r\n";
    }
    text
}

/// A text of a client in a table. What a spreadsheet would take for a formula is told to be text.
fn cell(text: &str) -> String {
    let guard = if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { "'" } else { "" };
    if guard.is_empty() && !text.contains([',', '"', '\r', '\n']) {
        return text.to_owned();
    }
    format!("\"{guard}{}\"", text.replace('"', "\"\""))
}

/// A summary, as answered.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SummaryShape {
    window: &'static str,
    start: String,
    end: String,
    #[serde(flatten)]
    all: PartShape,
    models: Vec<PartShape>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct PartShape {
    #[serde(skip_serializing_if = "Option::is_none")]
    public_model: Option<String>,
    requests: u64,
    outcomes: BTreeMap<&'static str, u64>,
    degraded: u64,
    cache_hits: u64,
    duration_ms: Option<PercentilesShape>,
    first_output_ms: Option<PercentilesShape>,
    input_tokens: u64,
    output_tokens: u64,
    cost_cents: String,
    upstream_cost_cents: String,
}

#[derive(Debug, Serialize)]
struct PercentilesShape {
    p50: u64,
    p95: u64,
    p99: u64,
}

/// A summary, to be answered.
pub(crate) fn write_summary(summary: &WindowSummary) -> SummaryShape {
    let all = write_part(&summary.summary.all);
    let named = |part: &SummaryPart| PartShape { public_model: Some(part.public_model.clone()), ..write_part(part) };
    SummaryShape {
        window: summary.window.as_str(),
        start: summary.start.to_rfc3339(),
        end: summary.end.to_rfc3339(),
        all,
        models: summary.summary.models.iter().map(named).collect(),
    }
}

fn write_part(part: &SummaryPart) -> PartShape {
    let percentiles = |timing: Percentiles| PercentilesShape { p50: timing.p50, p95: timing.p95, p99: timing.p99 };
    PartShape {
        public_model: None,
        requests: part.requests(),
        outcomes: OperationOutcome::ALL.map(OperationOutcome::as_str).into_iter().zip(part.outcomes).collect(),
        degraded: part.degraded,
        cache_hits: part.cache_hits,
        duration_ms: part.duration.map(percentiles),
        first_output_ms: part.first_output.map(percentiles),
        input_tokens: part.input_tokens,
        output_tokens: part.output_tokens,
        cost_cents: part.cost.to_cents_text(),
        upstream_cost_cents: part.upstream_cost.to_cents_text(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_in_a_table_is_a_cell_and_never_a_formula() {
        let cases = [
            ("general", "general"),
            ("a,b", "\"a,b\""),
            ("say \"hi\"", "\"say \"\"hi\"\"\""),
            ("=HYPERLINK(1)", "\"'=HYPERLINK(1)\""),
            ("", ""),
        ];
        for (text, expected) in cases {
            assert_eq!(cell(text), expected);
        }
    }
}
