//! `POST /v1/messages` and `POST /v1/messages/count_tokens`.

use axum::extract::{Request, State};
use axum::response::Response;

use super::{HttpState, render, text};
use crate::canonical::Wire;

/// The client's headers that may pass up to a provider of the same wire. All others stay here.
const FORWARDED: [&str; 2] = ["anthropic-beta", "anthropic-version"];

pub(super) async fn create(State(state): State<HttpState>, request: Request) -> Response {
    text::generate(state, Wire::Messages, &FORWARDED, request).await
}

pub(super) async fn count_tokens(State(state): State<HttpState>, request: Request) -> Response {
    let counted = text::read_call(&state, Wire::Messages, &FORWARDED, request).await;
    let (id, counted) = match counted {
        (id, Ok((call, _held))) => (id, state.gateway.count_tokens(call).await),
        (id, Err(unread)) => (id, Err(unread.fault)),
    };
    let response = match counted {
        Ok(counted) => render::count(counted),
        Err(fault) => text::refuse(Wire::Messages, &fault, &id),
    };
    text::with_request_id(Wire::Messages, &id, response)
}
