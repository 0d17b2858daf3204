//! `/admin/deployments`.

use axum::extract::State;
use http::header::LOCATION;
use http::{HeaderValue, StatusCode};

use super::call::{Answer, Call};
use super::{RestState, answer, body, paging, shapes};
use crate::api::draft;
use crate::api::page_token::{Binding, Position};
use crate::control::{ChangeOptions, CreateOptions};
use crate::domain::deployment::DeploymentFilter;
use crate::domain::ids::{DeploymentId, Revision};

const VALIDATE_ONLY: &str = "validateOnly";

pub(super) async fn create(State(state): State<RestState>, mut call: Call) -> Answer {
    let validate_only = call.query(&[VALIDATE_ONLY])?.boolean(VALIDATE_ONLY)?.unwrap_or_default();
    let options = CreateOptions { request_id: call.idempotency_key()?, validate_only };
    let draft = draft::deployment(body::read(&call.text().await?, shapes::deployment::read)?)?;
    let created = state.control.deployments.create(&call.caller, draft, options).await?;
    let fresh = !created.replayed && !validate_only;
    let status = if fresh { StatusCode::CREATED } else { StatusCode::OK };
    let (id, revision) = (created.deployment.id, created.deployment.revision);
    let mut response = answer::resource(status, shapes::deployment::write(created.deployment), revision)?;
    if fresh && let Ok(location) = HeaderValue::from_str(&format!("/admin/deployments/{id}")) {
        response.headers_mut().insert(LOCATION, location);
    }
    Ok(response)
}

pub(super) async fn get(State(state): State<RestState>, call: Call) -> Answer {
    call.query(&[])?;
    let deployment = state.control.deployments.get(call.id()?).await?;
    let revision = deployment.revision;
    Ok(answer::resource(StatusCode::OK, shapes::deployment::write(deployment), revision)?)
}

pub(super) async fn list(State(state): State<RestState>, call: Call) -> Answer {
    let query = call.query(&["limit", "offset", "cursor", "enabled", "publicModel", "provider", "q"])?;
    let filter = DeploymentFilter {
        enabled: query.boolean("enabled")?,
        public_model: query.text("publicModel").map(str::to_owned),
        provider: query.text("provider").map(str::to_owned),
        text: query.text("q").map(str::to_owned),
    };
    let conditions = [query.text("enabled"), query.text("publicModel"), query.text("provider"), query.text("q")];
    let binding = Binding::new("deployments", &conditions);
    let request = paging::read(&query, binding)?;
    let page = state.control.deployments.list(&filter, &request).await?;
    let last = page.items.last().map(|last| Position::After(*last.id.as_uuid()));
    let pagination = paging::write(&request, &page, last, binding);
    let shapes: Vec<_> = page.items.into_iter().map(shapes::deployment::write).collect();
    Ok(answer::list(shapes, pagination)?)
}

pub(super) async fn update(State(state): State<RestState>, mut call: Call) -> Answer {
    let validate_only = call.query(&[VALIDATE_ONLY])?.boolean(VALIDATE_ONLY)?.unwrap_or_default();
    let id: DeploymentId = call.id()?;
    let (patch, etag) = body::read(&call.text().await?, |object, problems| {
        (shapes::deployment::read(object, problems), shapes::etag(object, problems))
    })?;
    let options = ChangeOptions { expected: call.expected(etag.as_deref())?, validate_only };
    let deployment = state.control.deployments.update(&call.caller, id, patch, options).await?;
    let revision = deployment.revision;
    Ok(answer::resource(StatusCode::OK, shapes::deployment::write(deployment), revision)?)
}

pub(super) async fn delete(State(state): State<RestState>, mut call: Call) -> Answer {
    let id: DeploymentId = call.id()?;
    let expected = expected(&mut call).await?;
    state.control.deployments.delete(&call.caller, id, expected).await?;
    Ok(answer::deleted(id.to_string())?)
}

pub(super) async fn resolve(State(state): State<RestState>, mut call: Call) -> Answer {
    call.query(&[])?;
    let spec = draft::deployment(body::read(&call.text().await?, shapes::deployment::read)?)?.spec;
    let resolved = state.control.deployments.resolve(&spec)?;
    let preset = state.control.catalog.presets().iter().find(|preset| preset.name == spec.provider);
    let shape = shapes::deployment::write_resolved(resolved, preset.map(|preset| preset.adapter));
    Ok(answer::data(StatusCode::OK, shape)?)
}

pub(super) async fn test(State(state): State<RestState>, mut call: Call) -> Answer {
    call.query(&[])?;
    let id: DeploymentId = call.id()?;
    let credentials = body::read(&call.optional_text().await?, shapes::deployment::read_given_credentials)?;
    let probed = state.control.deployments.test(id, credentials).await?;
    Ok(answer::data(StatusCode::OK, shapes::deployment::write_probed(probed))?)
}

pub(super) async fn test_draft(State(state): State<RestState>, mut call: Call) -> Answer {
    call.query(&[])?;
    let draft = draft::deployment(body::read(&call.text().await?, shapes::deployment::read)?)?;
    let probed = state.control.deployments.test_draft(&call.caller, draft).await?;
    Ok(answer::data(StatusCode::OK, shapes::deployment::write_probed(probed))?)
}

/// The state that a deletion expects: the header, or `etag` in an otherwise empty body.
pub(super) async fn expected(call: &mut Call) -> crate::fault::Outcome<Option<Revision>> {
    call.query(&[])?;
    let etag = body::read(&call.optional_text().await?, shapes::etag)?;
    call.expected(etag.as_deref())
}
