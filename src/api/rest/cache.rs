//! `/admin/cache`.

use axum::extract::State;
use http::StatusCode;
use serde::Serialize;

use super::call::{Answer, Call};
use super::{RestState, answer};
use crate::api::problems::one_of;
use crate::control::CacheScope;
use crate::domain::operation::Operation;
use crate::fault::Fault;

const CALL_TYPE: &str = "callType";
const NAMESPACE: &str = "namespace";

/// What an invalidation answers.
#[derive(Serialize)]
struct Removed {
    removed: u64,
}

pub(super) async fn invalidate(State(state): State<RestState>, call: Call) -> Answer {
    let query = call.query(&[CALL_TYPE, NAMESPACE])?;
    let operation = query.text(CALL_TYPE).map(str::parse).transpose();
    let key = query.text(NAMESPACE).map(str::parse).transpose();
    let scope = CacheScope {
        operation: operation.map_err(|_| Fault::invalid(CALL_TYPE, one_of(Operation::ALL.map(Operation::as_str))))?,
        key: key.map_err(|_| Fault::invalid(NAMESPACE, "is not the UUID of a virtual key"))?,
    };
    let removed = state.control.cache.invalidate(&call.caller, scope).await?;
    Ok(answer::data(StatusCode::OK, Removed { removed })?)
}
