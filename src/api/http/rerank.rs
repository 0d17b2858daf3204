//! `POST /v1/rerank`, also at the paths of other clients: `/rerank` and `/v2/rerank`.

use axum::extract::{Request, State};
use axum::response::Response;

use super::{HttpState, text};
use crate::canonical::Operation;

pub(super) async fn create(State(state): State<HttpState>, request: Request) -> Response {
    text::ask(state, Operation::Rerank, &[], request).await
}
