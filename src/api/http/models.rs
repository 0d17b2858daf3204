//! `GET /v1/models` and `GET /v1/models/{model}`.

use axum::extract::{Path, Request, State};
use axum::response::Response;
use http::HeaderMap;
use serde::Serialize;

use super::{HttpState, credentials, render};
use crate::api::envelope;
use crate::fault::{Fault, Kind, Outcome};
use crate::gateway::models::ModelCard;
use crate::gateway::{Caller, Snapshot};

#[derive(Serialize)]
struct List {
    object: &'static str,
    data: Vec<Model>,
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
}

#[derive(Serialize)]
struct ModelOperation {
    id: &'static str,
    endpoints: &'static [&'static str],
}

pub(super) async fn list(State(state): State<HttpState>, request: Request) -> Response {
    let snapshot = state.gateway.snapshot();
    let listed = visitor(&state, &snapshot, request.headers()).map(|caller| {
        let cards = state.gateway.list_models(&snapshot, caller.as_ref());
        List { object: "list", data: cards.into_iter().map(write_card).collect() }
    });
    respond(listed)
}

pub(super) async fn get(State(state): State<HttpState>, Path(model): Path<String>, request: Request) -> Response {
    let snapshot = state.gateway.snapshot();
    let found = visitor(&state, &snapshot, request.headers())
        .and_then(|caller| state.gateway.get_model(&snapshot, caller.as_ref(), &model));
    respond(found.map(write_card))
}

/// Who looks. A credential that is shown must be right; none is needed where the list is public.
fn visitor(state: &HttpState, snapshot: &Snapshot, headers: &HeaderMap) -> Outcome<Option<Caller>> {
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
        pricing: Pricing { prompt: card.input_usd_per_token, completion: card.output_usd_per_token },
        operations: operations.map(|id| ModelOperation { id, endpoints: endpoints(id) }).collect(),
        supported_parameters: card.supported_parameters,
        endpoint_count: card.endpoint_count,
    }
}

/// The paths that serve an operation.
fn endpoints(operation: &str) -> &'static [&'static str] {
    match operation {
        "text.generate" => &["/v1/chat/completions"],
        _ => &[],
    }
}
