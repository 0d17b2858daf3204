//! `POST /v1/chat/completions`.

use axum::extract::{Request, State};
use axum::response::Response;

use super::{HttpState, text};
use crate::canonical::Wire;

/// The client's headers that may pass up to a provider of the same wire. All others stay here.
const FORWARDED: [&str; 2] = ["openai-beta", "idempotency-key"];

pub(super) async fn create(State(state): State<HttpState>, request: Request) -> Response {
    text::generate(state, Wire::Chat, &FORWARDED, request).await
}
