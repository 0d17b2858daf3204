//! What would become of a request.

use std::time::Duration;

use serde::Serialize;

use super::{Cents, given};
use crate::api::problems::{Problems, one_of};
use crate::api::rest::body::{Field, Object};
use crate::control::explain::{
    BudgetView, CandidateView, ChainTarget, ChainView, Explanation, LimitView, Outline, Question, Shape,
};
use crate::domain::ids::VirtualKeyId;
use crate::domain::operation::{Operation, Transport};
use crate::fault::Fault;

/// Reads a question.
pub(crate) fn read(object: &mut Object<'_>, problems: &mut Problems) -> Question {
    let operations = one_of(Operation::ALL.map(Operation::as_str));
    let key = object
        .read("keyId", problems, |field| field.text()?.parse::<VirtualKeyId>().map_err(|error| error.to_string()));
    let operation = object.read("operation", problems, |field| field.word(|word| word.parse().ok(), &operations));
    let contract = object.text("contract", problems);
    let session = given(object.text("session", problems));
    let mut flag = |name| given(object.boolean(name, problems)).unwrap_or_default();
    let (stream, tools, vision) = (flag("stream"), flag("tools"), flag("vision"));
    let outline = Outline {
        stream,
        tools,
        vision,
        structured_outputs: flag("structuredOutputs"),
        public_model: given(object.text("publicModel", problems)).unwrap_or_default(),
        reasoning: given(object.text("reasoning", problems)),
        parameters: given(object.read("parameters", problems, Field::json_object)),
        input_tokens: given(object.read("inputTokens", problems, Field::large)),
        max_output_tokens: given(object.read("maxOutputTokens", problems, Field::large)),
    };
    let shape = match given(object.read("body", problems, Field::json_object)) {
        Some(body) => {
            if outline != Outline::default() {
                problems.add("body", "says all of the request: leave the fields that describe it out");
            }
            Shape::Body(body)
        }
        None => {
            if outline.public_model.is_empty() {
                problems.add_missing("publicModel".to_owned());
            }
            Shape::Outline(outline)
        }
    };
    Question { key: given(key), operation: given(operation), contract: given(contract), session, shape }
}

/// An explanation, as answered.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ExplanationShape {
    config_revision: i64,
    public_model: String,
    operation: &'static str,
    contract: &'static str,
    refusal: Option<RefusalShape>,
    scope: &'static str,
    limits: Vec<LimitShape>,
    budget: Option<BudgetShape>,
    routing_strategy: &'static str,
    pinned_by: Option<&'static str>,
    max_attempts: u32,
    chain_serves: bool,
    candidates: Vec<CandidateShape>,
    chains: Vec<ChainShape>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct RefusalShape {
    status: u16,
    error: &'static str,
    code: Option<&'static str>,
    message: String,
    param: Option<String>,
    retry_after_ms: Option<u64>,
}

#[derive(Debug, Serialize)]
struct LimitShape {
    name: &'static str,
    limit: u64,
    used: u64,
    needs: u64,
    fits: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct BudgetShape {
    mode: &'static str,
    limit_cents: Cents,
    spent_cents: Cents,
    held_cents: Cents,
    needs_cents: Option<Cents>,
    fits: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct CandidateShape {
    deployment_id: String,
    opaque_id: String,
    public_model: String,
    provider: String,
    upstream_model: String,
    priority: i32,
    weight: u32,
    verdict: &'static str,
    reason: String,
    wait_ms: Option<u64>,
    position: Option<u32>,
    share: f64,
    figure: Option<f64>,
    standing: Option<StandingShape>,
    rpm_limit: Option<u32>,
    tpm_limit: Option<u32>,
    lane: Option<&'static str>,
    transport: Option<&'static str>,
    dropped: Vec<String>,
    input_tokens: Option<u64>,
    cost_cents: Option<Cents>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct StandingShape {
    in_flight: u32,
    requests_per_minute: u64,
    tokens_per_minute: u64,
    latency_ms: Option<f64>,
    tokens_per_second: Option<f64>,
    success_rate: Option<f64>,
}

#[derive(Debug, Serialize)]
struct ChainShape {
    reason: &'static str,
    targets: Vec<TargetShape>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct TargetShape {
    public_model: String,
    candidates: Vec<CandidateShape>,
}

/// An explanation, to be answered.
pub(crate) fn write(explanation: &Explanation) -> ExplanationShape {
    ExplanationShape {
        config_revision: explanation.revision.0,
        public_model: explanation.public_model.clone(),
        operation: explanation.operation.as_str(),
        contract: explanation.contract,
        refusal: explanation.refusal.as_ref().map(refusal),
        scope: explanation.scope,
        limits: explanation.limits.iter().map(limit).collect(),
        budget: explanation.budget.as_ref().map(budget),
        routing_strategy: explanation.strategy.as_str(),
        pinned_by: explanation.pinned_by,
        max_attempts: explanation.max_attempts,
        chain_serves: explanation.chain_serves,
        candidates: explanation.candidates.iter().map(candidate).collect(),
        chains: explanation.chains.iter().map(chain).collect(),
    }
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn refusal(fault: &Fault) -> RefusalShape {
    let row = fault.kind().row();
    RefusalShape {
        status: row.http,
        error: row.slug,
        code: fault.error_code(),
        message: fault.message().to_owned(),
        param: fault.at().map(str::to_owned),
        retry_after_ms: fault.wait().map(ms),
    }
}

fn limit(view: &LimitView) -> LimitShape {
    LimitShape { name: view.name, limit: view.limit, used: view.used, needs: view.needs, fits: view.fits() }
}

fn budget(view: &BudgetView) -> BudgetShape {
    BudgetShape {
        mode: view.mode,
        limit_cents: Cents(view.limit),
        spent_cents: Cents(view.spent),
        held_cents: Cents(view.held),
        needs_cents: view.needs.map(Cents),
        fits: view.fits(),
    }
}

fn candidate(view: &CandidateView) -> CandidateShape {
    CandidateShape {
        deployment_id: view.deployment.to_string(),
        opaque_id: view.opaque_id.clone(),
        public_model: view.public_model.clone(),
        provider: view.provider.clone(),
        upstream_model: view.upstream_model.clone(),
        priority: view.priority,
        weight: view.weight,
        verdict: view.verdict,
        reason: view.reason.clone(),
        wait_ms: view.wait.map(ms),
        position: view.position,
        share: view.share,
        figure: view.figure,
        standing: view.standing.map(|standing| StandingShape {
            in_flight: standing.in_flight,
            requests_per_minute: standing.requests_per_minute,
            tokens_per_minute: standing.tokens_per_minute,
            latency_ms: standing.latency_ms,
            tokens_per_second: standing.tokens_per_second,
            success_rate: standing.success_rate,
        }),
        rpm_limit: view.rpm_limit,
        tpm_limit: view.tpm_limit,
        lane: view.lane,
        transport: view.transport.map(Transport::as_str),
        dropped: view.dropped.clone(),
        input_tokens: view.input_tokens,
        cost_cents: view.cost.map(Cents),
    }
}

fn chain(view: &ChainView) -> ChainShape {
    let target = |target: &ChainTarget| TargetShape {
        public_model: target.public_model.clone(),
        candidates: target.candidates.iter().map(candidate).collect(),
    };
    ChainShape { reason: view.reason.as_str(), targets: view.targets.iter().map(target).collect() }
}
