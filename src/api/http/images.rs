//! `POST /v1/images/generations`, `POST /v1/images/edits`.

use axum::extract::{Request, State};
use axum::response::Response;
use http::header::CONTENT_TYPE;

use super::{HttpState, text};
use crate::canonical::{Operation, Wire};
use crate::dialects::media::EDIT_LISTS;
use crate::gateway::form::Carries;

pub(super) async fn generate(State(state): State<HttpState>, request: Request) -> Response {
    let (id, answer) = match text::read_call(&state, Wire::Chat, &[], request).await {
        (id, Ok((call, _held))) => (id, state.gateway.draw(call).await),
        (id, Err(unread)) => {
            let operation = Operation::ImageGenerate;
            let denied = unread.recorded(&state, operation.as_str(), &id, operation);
            (id, Err(denied))
        }
    };
    text::respond(Wire::Chat, &id, answer)
}

pub(super) async fn edit(State(state): State<HttpState>, request: Request) -> Response {
    let kind = request.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let is_json = kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json");
    let (id, answer) = if is_json {
        match text::read_call(&state, Wire::Chat, &[], request).await {
            (id, Ok((call, _held))) => (id, state.gateway.edit(call, None).await),
            (id, Err(unread)) => {
                let operation = Operation::ImageEdit;
                let denied = unread.recorded(&state, operation.as_str(), &id, operation);
                (id, Err(denied))
            }
        }
    } else {
        match text::read_form(&state, request, Carries::Pictures, &EDIT_LISTS).await {
            (id, Ok((call, held))) => (id, state.gateway.edit(call, Some(held.form.clone())).await),
            (id, Err(unread)) => {
                let operation = Operation::ImageEdit;
                let denied = unread.recorded(&state, operation.as_str(), &id, operation);
                (id, Err(denied))
            }
        }
    };
    text::respond(Wire::Chat, &id, answer)
}
