//! `/admin/config`: the configuration as a document.

use axum::extract::State;
use http::StatusCode;

use super::call::{Answer, Call};
use super::{RestState, answer, body, shapes};
use crate::control::declarative::ApplyOptions;
use crate::domain::ids::Revision;
use crate::fault::Fault;

const INCLUDE_KEYS: &str = "includeKeys";

pub(super) async fn export(State(state): State<RestState>, call: Call) -> Answer {
    let include_keys = call.query(&[INCLUDE_KEYS])?.boolean(INCLUDE_KEYS)?.unwrap_or_default();
    let exported = state.control.declarative.export(include_keys).await?;
    Ok(answer::data(StatusCode::OK, shapes::declarative::write_exported(exported))?)
}

pub(super) async fn apply(State(state): State<RestState>, mut call: Call) -> Answer {
    let query = call.query(&["dryRun", "prune", "revision", INCLUDE_KEYS])?;
    let revision = query.text("revision").map(|text| text.parse().map(Revision));
    let options = ApplyOptions {
        validate_only: query.boolean("dryRun")?.unwrap_or_default(),
        prune: query.boolean("prune")?.unwrap_or_default(),
        revision: revision.transpose().map_err(|_| Fault::invalid("revision", "must be a whole number"))?,
        include_keys: query.boolean(INCLUDE_KEYS)?.unwrap_or_default(),
    };
    let document = body::read(&call.text().await?, shapes::declarative::read)??;
    let applied = state.control.declarative.apply(&call.caller, &document, options).await?;
    Ok(answer::data(StatusCode::OK, shapes::declarative::write_applied(applied))?)
}
