//! The data plane over HTTP: one file per endpoint, and what they share.
//!
//! A handler reads, calls the gateway, renders. Authentication, bodies and request ids are settled before it runs.

mod anthropic_models;
mod audio;
pub mod body;
pub mod border;
mod chat_completions;
pub mod cors;
mod credentials;
pub mod edge;
mod embeddings;
mod images;
mod limits;
mod messages;
mod models;
mod moderations;
pub mod multipart;
mod render;
mod rerank;
mod responses;
mod text;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::{any, get, post};
use http::{Method, Uri};
use tower_http::decompression::RequestDecompressionLayer;

use crate::fault::{Fault, Kind};
use crate::gateway::Gateway;
use body::BodyReader;
use multipart::FormReader;

/// What the endpoints work with.
#[derive(Debug, Clone)]
pub struct HttpState {
    /// The data plane.
    pub gateway: Gateway,
    /// Reads bodies under their caps.
    pub bodies: Arc<BodyReader>,
    /// Reads forms.
    pub forms: Arc<FormReader>,
    /// Whether `GET /v1/models` answers without a credential.
    pub public_model_list: bool,
}

/// The `/v1` routes.
pub fn router(state: HttpState) -> Router {
    Router::new()
        .route("/v1/chat/completions", post(chat_completions::create))
        .route("/v1/responses", post(responses::create))
        .route("/v1/responses/compact", any(responses::not_here))
        .route("/v1/responses/input_tokens", any(responses::not_here))
        .route("/v1/responses/{id}", get(responses::get).delete(responses::delete))
        .route("/v1/responses/{id}/cancel", any(responses::not_here))
        .route("/v1/responses/{id}/input_items", get(responses::list_input_items))
        .route("/v1/messages", post(messages::create))
        .route("/v1/messages/count_tokens", post(messages::count_tokens))
        .route("/v1/embeddings", post(embeddings::create))
        .route("/v1/rerank", post(rerank::create))
        .route("/v2/rerank", post(rerank::create))
        .route("/rerank", post(rerank::create))
        .route("/v1/audio/speech", post(audio::speak))
        .route("/v1/audio/transcriptions", post(audio::transcribe))
        .route("/v1/audio/translations", post(audio::translate))
        .route("/v1/images/edits", post(images::edit))
        .route("/v1/images/generations", post(images::generate))
        .route("/v1/moderations", post(moderations::create))
        .route("/v1/models", get(models::list))
        .route("/v1/models/{*model}", get(models::get))
        .layer(RequestDecompressionLayer::new().pass_through_unaccepted(true))
        .layer(from_fn_with_state(state.gateway.clone(), not_before_loaded))
        .with_state(state)
}

/// Without a configuration every key is unknown and every model missing; saying so would be wrong, so nothing is said
/// but that it takes a moment.
async fn not_before_loaded(State(gateway): State<Gateway>, request: Request, next: Next) -> Response {
    if gateway.snapshot().is_loaded() {
        return next.run(request).await;
    }
    let path = request.uri().path().to_owned();
    let fault = Fault::new(Kind::Unavailable)
        .say("The gateway is starting: its configuration is not in force yet; try again.")
        .retry_after(Duration::from_secs(1));
    text::refuse(text::contract_of(&path), &fault, "")
}

/// What an unknown path answers.
pub async fn unknown_path(method: Method, uri: Uri) -> Response {
    let shown: String = uri.path().chars().take(200).collect();
    let fault = Fault::new(Kind::NotFound).say(format!("There is no {method} {shown}."));
    text::refuse(text::contract_of(uri.path()), &fault, "")
}

/// What a known path answers to another method. The router adds `allow`.
pub async fn wrong_method(method: Method, uri: Uri) -> Response {
    let shown: String = uri.path().chars().take(200).collect();
    let fault = Fault::new(Kind::MethodNotAllowed).say(format!("{shown} does not take {method}."));
    text::refuse(text::contract_of(uri.path()), &fault, "")
}
