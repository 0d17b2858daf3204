//! `/admin/replicas` and `/admin/replicas/wait`.

use std::time::Duration;

use axum::extract::State;
use http::StatusCode;

use super::call::{Answer, Call, Query};
use super::{RestState, answer, shapes};
use crate::control::replicas::WaitRequest;
use crate::fault::{Fault, Outcome};

pub(super) async fn list(State(state): State<RestState>, call: Call) -> Answer {
    call.query(&[])?;
    let replicas = state.control.replicas.list().await?;
    let own = state.control.replicas.own_id();
    Ok(answer::data(StatusCode::OK, shapes::replica::write_list(&replicas, own))?)
}

pub(super) async fn wait(State(state): State<RestState>, call: Call) -> Answer {
    let query = call.query(&["revision", "replicas", "timeoutMs"])?;
    let timeout = number(&query, "timeoutMs")?.map(|ms| {
        u64::try_from(ms).map(Duration::from_millis).map_err(|_| Fault::invalid("timeoutMs", "must not be negative"))
    });
    let wanted = WaitRequest {
        revision: number(&query, "revision")?,
        replicas: number(&query, "replicas")?,
        timeout: timeout.transpose()?,
    };
    Ok(answer::data(StatusCode::OK, shapes::replica::write_reach(state.control.replicas.wait(wanted).await?))?)
}

fn number(query: &Query, name: &'static str) -> Outcome<Option<i64>> {
    let text = query.text(name);
    text.map(|text| text.parse().map_err(|_| Fault::invalid(name, "must be a whole number"))).transpose()
}
