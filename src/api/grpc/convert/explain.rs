//! What would become of a request.

use super::filled;
use super::metadata::text_from_proto;
use super::model::unknown_operation;
use super::time::duration_into_proto;
use crate::api::grpc::proto;
use crate::api::problems::Problems;
use crate::control::explain::{BudgetView, CandidateView, ChainView, Explanation, LimitView, Outline, Question, Shape};
use crate::domain::fallback::FallbackReason;
use crate::domain::ids::VirtualKeyId;
use crate::domain::operation::{Operation, Transport};
use crate::fault::{Fault, Outcome};

/// The question of a message.
///
/// # Errors
/// `BadRequest` with every field that is wrong.
pub(crate) fn question_from_proto(message: proto::ExplainRouteRequest) -> Outcome<Question> {
    let mut problems = Problems::default();
    let key = filled(message.key_id);
    let key = key.and_then(|id| problems.keep("key_id", id.parse::<VirtualKeyId>()));
    let operation = filled(message.operation);
    let operation = operation
        .and_then(|word| problems.keep("operation", word.parse::<Operation>().map_err(|_| unknown_operation())));
    let parameters = message.parameters.and_then(|parameters| problems.keep("parameters", text_from_proto(parameters)));
    let outline = Outline {
        public_model: message.public_model,
        stream: message.stream,
        tools: message.tools,
        vision: message.vision,
        structured_outputs: message.structured_outputs,
        reasoning: filled(message.reasoning),
        parameters,
        input_tokens: message.input_tokens,
        max_output_tokens: message.max_output_tokens,
    };
    let shape = match message.body {
        Some(body) => {
            if outline != Outline::default() {
                problems.add("body", "says all of the request: leave the fields that describe it out");
            }
            Shape::Body(problems.keep("body", text_from_proto(body)).unwrap_or_default())
        }
        None => {
            if outline.public_model.is_empty() {
                problems.add_missing("public_model".to_owned());
            }
            Shape::Outline(outline)
        }
    };
    problems.finish(Question {
        key,
        operation,
        contract: filled(message.contract),
        session: filled(message.session),
        shape,
    })
}

/// An explanation as a message.
pub(crate) fn explanation_into_proto(explanation: Explanation) -> proto::ExplainRouteResponse {
    proto::ExplainRouteResponse {
        config_revision: explanation.revision.0,
        public_model: explanation.public_model,
        operation: explanation.operation.as_str().to_owned(),
        contract: explanation.contract.to_owned(),
        refusal: explanation.refusal.as_ref().map(refusal_into_proto),
        scope: explanation.scope.to_owned(),
        limits: explanation.limits.iter().map(limit_into_proto).collect(),
        budget: explanation.budget.as_ref().map(budget_into_proto),
        routing_strategy: explanation.strategy.as_str().to_owned(),
        pinned_by: explanation.pinned_by.unwrap_or_default().to_owned(),
        max_attempts: explanation.max_attempts,
        chain_serves: explanation.chain_serves,
        candidates: explanation.candidates.into_iter().map(candidate_into_proto).collect(),
        chains: explanation.chains.into_iter().map(chain_into_proto).collect(),
    }
}

fn refusal_into_proto(fault: &Fault) -> proto::RouteRefusal {
    let row = fault.kind().row();
    proto::RouteRefusal {
        status: row.http.into(),
        error: row.slug.to_owned(),
        code: fault.error_code().unwrap_or_default().to_owned(),
        message: fault.message().to_owned(),
        param: fault.at().unwrap_or_default().to_owned(),
        retry_after: fault.wait().map(duration_into_proto),
    }
}

fn limit_into_proto(view: &LimitView) -> proto::RouteLimit {
    proto::RouteLimit {
        name: view.name.to_owned(),
        limit: view.limit,
        used: view.used,
        needs: view.needs,
        fits: view.fits(),
    }
}

fn budget_into_proto(view: &BudgetView) -> proto::RouteBudget {
    proto::RouteBudget {
        mode: view.mode.to_owned(),
        limit_nanocents: view.limit.0,
        spent_nanocents: view.spent.0,
        held_nanocents: view.held.0,
        needs_nanocents: view.needs.map(|needs| needs.0),
        fits: view.fits(),
    }
}

fn candidate_into_proto(view: CandidateView) -> proto::RouteCandidate {
    proto::RouteCandidate {
        deployment_id: view.deployment.to_string(),
        opaque_id: view.opaque_id,
        public_model: view.public_model,
        provider: view.provider,
        upstream_model: view.upstream_model,
        priority: view.priority,
        weight: view.weight,
        verdict: view.verdict.to_owned(),
        reason: view.reason,
        wait: view.wait.map(duration_into_proto),
        position: view.position.unwrap_or_default(),
        share: view.share,
        figure: view.figure,
        standing: view.standing.map(|standing| proto::RouteStanding {
            in_flight: standing.in_flight,
            requests_per_minute: standing.requests_per_minute,
            tokens_per_minute: standing.tokens_per_minute,
            latency_ms: standing.latency_ms,
            tokens_per_second: standing.tokens_per_second,
            success_rate: standing.success_rate,
        }),
        rpm_limit: view.rpm_limit,
        tpm_limit: view.tpm_limit,
        lane: view.lane.unwrap_or_default().to_owned(),
        transport: view.transport.map(Transport::as_str).unwrap_or_default().to_owned(),
        dropped: view.dropped,
        input_tokens: view.input_tokens,
        cost_nanocents: view.cost.map(|cost| cost.0),
    }
}

fn chain_into_proto(view: ChainView) -> proto::RouteChain {
    let reason = match view.reason {
        FallbackReason::General => proto::FallbackReason::General,
        FallbackReason::ContextWindow => proto::FallbackReason::ContextWindow,
        FallbackReason::ContentPolicy => proto::FallbackReason::ContentPolicy,
    };
    let targets = view.targets.into_iter().map(|target| proto::RouteChainTarget {
        public_model: target.public_model,
        candidates: target.candidates.into_iter().map(candidate_into_proto).collect(),
    });
    proto::RouteChain { reason: reason.into(), targets: targets.collect() }
}
