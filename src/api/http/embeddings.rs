//! `POST /v1/embeddings`.

use axum::extract::{Request, State};
use axum::response::Response;

use super::{HttpState, text};
use crate::canonical::Operation;

pub(super) async fn create(State(state): State<HttpState>, request: Request) -> Response {
    text::ask(state, Operation::EmbeddingCreate, &[], request).await
}
