//! `POST /v1/chat/completions`.

use axum::extract::{Request, State};
use axum::response::Response;
use http::HeaderMap;

use super::edge::request_id;
use super::{HttpState, credentials, render};
use crate::fault::Outcome;
use crate::gateway::{Answer, Call};

/// The client's headers that may pass up to the provider. All others stay here.
const FORWARDED: [&str; 2] = ["openai-beta", "idempotency-key"];

pub(super) async fn create(State(state): State<HttpState>, request: Request) -> Response {
    render::openai(answer(&state, request).await)
}

async fn answer(state: &HttpState, request: Request) -> Outcome<Answer> {
    let (parts, body) = request.into_parts();
    let snapshot = state.gateway.snapshot();
    let caller = state.gateway.authenticate(&snapshot, &credentials::presented(&parts.headers))?;
    let held = state.bodies.read_json(&parts.headers, body).await?;
    let call = Call {
        snapshot,
        caller,
        body: held.bytes.clone(),
        forwarded: forwarded(&parts.headers),
        request_id: request_id(&parts.headers),
    };
    // The body's share of memory is held until the answer commits.
    state.gateway.chat(call).await
}

fn forwarded(headers: &HeaderMap) -> HeaderMap {
    let passing = FORWARDED.into_iter().filter_map(|name| headers.get(name).map(|value| (name, value.clone())));
    passing.map(|(name, value)| (http::HeaderName::from_static(name), value)).collect()
}
