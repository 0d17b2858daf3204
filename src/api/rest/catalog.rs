//! `/admin/operations` and `/admin/provider-presets`.

use axum::extract::State;
use http::StatusCode;

use super::call::{Answer, Call};
use super::{RestState, answer, shapes};

pub(super) async fn operations(State(state): State<RestState>, call: Call) -> Answer {
    call.query(&[])?;
    Ok(answer::data(StatusCode::OK, shapes::catalog::write_adapters(state.control.catalog.presets()))?)
}

pub(super) async fn presets(State(state): State<RestState>, call: Call) -> Answer {
    call.query(&[])?;
    let presets: Vec<_> = state.control.catalog.presets().iter().map(shapes::catalog::write_preset).collect();
    Ok(answer::data(StatusCode::OK, presets)?)
}
