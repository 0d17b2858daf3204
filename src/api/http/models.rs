//! `GET /v1/models`, `GET /v1/models/{model}` and `GET /v1/models/{model}/deployments`.

use std::collections::BTreeMap;

use axum::extract::{Path, Request, State};
use axum::response::Response;
use http::HeaderMap;
use serde::Serialize;

use super::{HttpState, anthropic_models, credentials, render};
use crate::api::envelope;
use crate::fault::{Fault, Kind, Outcome};
use crate::gateway::models::{DeploymentCard, ModelCard};
use crate::gateway::{Caller, Snapshot};

#[derive(Serialize)]
struct List<T> {
    object: &'static str,
    data: Vec<T>,
}

#[derive(Serialize)]
struct Deployment {
    id: String,
    object: &'static str,
    provider: String,
    status: &'static str,
    retry_after_ms: Option<u64>,
    weight: u32,
    limits: Limits,
    metrics: Metrics,
}

#[derive(Serialize)]
struct Limits {
    rpm: Option<u32>,
    tpm: Option<u32>,
}

#[derive(Serialize)]
struct Metrics {
    inflight: u32,
    rpm: u64,
    tpm: u64,
    health_score: Option<f64>,
    latency_ms: Option<f64>,
    throughput_tps: Option<f64>,
}

#[derive(Serialize)]
struct Model {
    id: String,
    object: &'static str,
    created: i64,
    owned_by: &'static str,
    architecture: Architecture,
    top_provider: TopProvider,
    pricing: Pricing,
    operations: Vec<ModelOperation>,
    supported_parameters: Vec<String>,
    endpoint_count: usize,
}

#[derive(Serialize)]
struct Architecture {
    modality: String,
    input_modalities: Vec<&'static str>,
    output_modalities: Vec<&'static str>,
}

#[derive(Serialize)]
struct TopProvider {
    context_length: Option<u64>,
    max_completion_tokens: Option<u64>,
}

#[derive(Serialize)]
struct Pricing {
    prompt: Option<String>,
    completion: Option<String>,
    /// By the unit, such as `per_image`, `per_minute` and `per_search_unit`.
    #[serde(flatten)]
    units: BTreeMap<String, String>,
}

#[derive(Serialize)]
struct ModelOperation {
    id: &'static str,
    endpoints: &'static [&'static str],
}

pub(super) async fn list(State(state): State<HttpState>, request: Request) -> Response {
    if anthropic_models::is_asked_for(request.headers()) {
        return anthropic_models::list(&state, &request);
    }
    let snapshot = state.gateway.snapshot();
    let listed = visitor(&state, &snapshot, request.headers()).map(|caller| {
        let cards = state.gateway.list_models(&snapshot, caller.as_ref());
        List { object: "list", data: cards.into_iter().map(write_card).collect() }
    });
    respond(listed)
}

pub(super) async fn get(State(state): State<HttpState>, Path(model): Path<String>, request: Request) -> Response {
    let snapshot = state.gateway.snapshot();
    // A model's own name may end like the path below it, and goes first.
    if let Some(pool) = model.strip_suffix("/deployments").filter(|_| snapshot.find_pool(&model).is_none()) {
        return respond(deployments(&state, &snapshot, pool, request.headers()));
    }
    let found = visitor(&state, &snapshot, request.headers())
        .and_then(|caller| state.gateway.get_model(&snapshot, caller.as_ref(), &model));
    if anthropic_models::is_asked_for(request.headers()) {
        return anthropic_models::one(found, request.headers());
    }
    respond(found.map(write_card))
}

/// The pool of a model. A credential is needed even where the list of models is public.
fn deployments(state: &HttpState, snapshot: &Snapshot, model: &str, headers: &HeaderMap) -> Outcome<List<Deployment>> {
    let caller = state.gateway.authenticate(snapshot, &credentials::presented(headers))?;
    let cards = state.gateway.list_deployments(snapshot, &caller, model)?;
    Ok(List { object: "list", data: cards.into_iter().map(write_deployment).collect() })
}

fn write_deployment(card: DeploymentCard) -> Deployment {
    let standing = card.standing;
    let wait = |wait: std::time::Duration| Some(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
    Deployment {
        id: card.id,
        object: "deployment",
        provider: card.provider,
        status: card.status,
        retry_after_ms: card.wait.and_then(wait),
        weight: card.weight,
        limits: Limits { rpm: card.rpm_limit, tpm: card.tpm_limit },
        metrics: Metrics {
            inflight: standing.in_flight,
            rpm: standing.requests_per_minute,
            tpm: standing.tokens_per_minute,
            health_score: standing.success_rate,
            latency_ms: standing.latency_ms,
            throughput_tps: standing.tokens_per_second,
        },
    }
}

/// Who looks. A credential that is shown must be right; none is needed where the list is public.
pub(super) fn visitor(state: &HttpState, snapshot: &Snapshot, headers: &HeaderMap) -> Outcome<Option<Caller>> {
    let presented = credentials::presented(headers);
    if presented.is_empty() && state.public_model_list {
        return Ok(None);
    }
    state.gateway.authenticate(snapshot, &presented).map(Some)
}

fn respond<T: Serialize>(answer: Outcome<T>) -> Response {
    let json = answer
        .and_then(|answer| serde_json::to_vec(&answer).map_err(|error| Fault::new(Kind::Internal).because(error)));
    match json {
        Ok(json) => render::json_response(vec![json.into()]),
        Err(fault) => envelope::openai_response(&fault),
    }
}

fn write_card(card: ModelCard) -> Model {
    let modality = format!("{}->{}", card.input_modalities.join("+"), card.output_modalities.join("+"));
    let operations = card.operations.iter().map(|operation| operation.as_str());
    Model {
        id: card.id,
        object: "model",
        created: card.created_s,
        owned_by: "unified-gateway",
        architecture: Architecture {
            modality,
            input_modalities: card.input_modalities,
            output_modalities: card.output_modalities,
        },
        top_provider: TopProvider {
            context_length: card.max_input_tokens,
            max_completion_tokens: card.max_output_tokens,
        },
        pricing: Pricing {
            prompt: card.input_usd_per_token,
            completion: card.output_usd_per_token,
            units: card.usd_per_unit,
        },
        operations: operations.map(|id| ModelOperation { id, endpoints: endpoints(id) }).collect(),
        supported_parameters: card.supported_parameters,
        endpoint_count: card.endpoint_count,
    }
}

/// The paths that serve an operation.
fn endpoints(operation: &str) -> &'static [&'static str] {
    match operation {
        "text.generate" => &["/v1/chat/completions", "/v1/responses", "/v1/messages"],
        "embedding.create" => &["/v1/embeddings"],
        "rerank" => &["/v1/rerank"],
        "moderate" => &["/v1/moderations"],
        "image.generate" => &["/v1/images/generations"],
        "image.edit" => &["/v1/images/edits"],
        "audio.transcribe" => &["/v1/audio/transcriptions", "/v1/audio/translations"],
        "audio.speech" => &["/v1/audio/speech"],
        _ => &[],
    }
}
