//! `/admin/keys`.

use std::time::Duration;

use axum::extract::State;
use http::header::LOCATION;
use http::{HeaderValue, StatusCode};

use super::call::{Answer, Call};
use super::deployments::expected;
use super::{RestState, answer, body, paging, shapes};
use crate::api::draft;
use crate::api::page_token::{Binding, Position};
use crate::control::{ChangeOptions, CreateOptions};
use crate::domain::ids::VirtualKeyId;
use crate::domain::money::NanoCents;
use crate::domain::virtual_key::{VirtualKey, VirtualKeyFilter};
use crate::fault::{Fault, Kind};

const VALIDATE_ONLY: &str = "validateOnly";

pub(super) async fn create(State(state): State<RestState>, mut call: Call) -> Answer {
    let validate_only = call.query(&[VALIDATE_ONLY])?.boolean(VALIDATE_ONLY)?.unwrap_or_default();
    let options = CreateOptions { request_id: call.idempotency_key()?, validate_only };
    let spec = draft::virtual_key(body::read(&call.text().await?, shapes::virtual_key::read)?)?;
    let issued = state.control.virtual_keys.create(&call.caller, spec, options).await?;
    let fresh = !issued.replayed && !validate_only;
    let status = if fresh { StatusCode::CREATED } else { StatusCode::OK };
    let (id, revision) = (issued.key.id, issued.key.revision);
    let spend = if issued.replayed { state.control.virtual_keys.spend(&issued.key).await? } else { NanoCents(0) };
    let shape = shapes::virtual_key::write_issued(issued, spend);
    let mut response = answer::resource(status, shape, revision)?;
    if fresh && let Ok(location) = HeaderValue::from_str(&format!("/admin/keys/{id}")) {
        response.headers_mut().insert(LOCATION, location);
    }
    Ok(response)
}

pub(super) async fn get(State(state): State<RestState>, call: Call) -> Answer {
    call.query(&[])?;
    let key = state.control.virtual_keys.get(call.id()?).await?;
    shown(&state, key).await
}

pub(super) async fn usage(State(state): State<RestState>, call: Call) -> Answer {
    call.query(&[])?;
    let key = state.control.virtual_keys.get(call.id()?).await?;
    let usages = state.control.virtual_keys.usage(&[&key]).await?;
    let usage = usages.first().ok_or(Fault::new(Kind::Internal))?;
    Ok(answer::resource(StatusCode::OK, shapes::virtual_key::write_usage(&key, usage), key.revision)?)
}

/// A key with what it has spent.
async fn shown(state: &RestState, key: VirtualKey) -> Answer {
    let spend = state.control.virtual_keys.spend(&key).await?;
    let revision = key.revision;
    Ok(answer::resource(StatusCode::OK, shapes::virtual_key::write(key, spend), revision)?)
}

pub(super) async fn list(State(state): State<RestState>, call: Call) -> Answer {
    let query = call.query(&["limit", "offset", "cursor", "enabled", "q"])?;
    let filter = VirtualKeyFilter { enabled: query.boolean("enabled")?, text: query.text("q").map(str::to_owned) };
    let binding = Binding::new("virtual_keys", &[query.text("enabled"), query.text("q")]);
    let request = paging::read(&query, binding)?;
    let page = state.control.virtual_keys.list(&filter, &request).await?;
    let last = page.items.last().map(|last| Position::After(*last.id.as_uuid()));
    let pagination = paging::write(&request, &page, last, binding);
    let spends = state.control.virtual_keys.spends(&page.items.iter().collect::<Vec<_>>()).await?;
    let keys = page.items.into_iter().zip(spends);
    let shapes: Vec<_> = keys.map(|(key, spend)| shapes::virtual_key::write(key, spend)).collect();
    Ok(answer::list(shapes, pagination)?)
}

pub(super) async fn update(State(state): State<RestState>, mut call: Call) -> Answer {
    let validate_only = call.query(&[VALIDATE_ONLY])?.boolean(VALIDATE_ONLY)?.unwrap_or_default();
    let id: VirtualKeyId = call.id()?;
    let (patch, resets, etag) = body::read(&call.text().await?, |object, problems| {
        let patch = shapes::virtual_key::read(object, problems);
        let resets = shapes::virtual_key::read_reset(object, problems);
        (patch, resets, shapes::etag(object, problems))
    })?;
    let options = ChangeOptions { expected: call.expected(etag.as_deref())?, validate_only };
    let keys = &state.control.virtual_keys;
    let mut key = keys.update(&call.caller, id, patch, options).await?;
    if resets && !validate_only {
        key = keys.reset_spend(&call.caller, id, Some(key.revision)).await?;
    }
    shown(&state, key).await
}

pub(super) async fn delete(State(state): State<RestState>, mut call: Call) -> Answer {
    let id: VirtualKeyId = call.id()?;
    let expected = expected(&mut call).await?;
    state.control.virtual_keys.delete(&call.caller, id, expected).await?;
    Ok(answer::deleted(id.to_string())?)
}

pub(super) async fn rotate(State(state): State<RestState>, mut call: Call) -> Answer {
    call.query(&[])?;
    let id: VirtualKeyId = call.id()?;
    let (grace, etag) = body::read(&call.optional_text().await?, |object, problems| {
        (shapes::given(object.whole("gracePeriodSeconds", problems)), shapes::etag(object, problems))
    })?;
    let grace = Duration::from_secs(grace.unwrap_or_default().into());
    let expected = call.expected(etag.as_deref())?;
    let issued = state.control.virtual_keys.rotate(&call.caller, id, grace, expected).await?;
    let revision = issued.key.revision;
    // The secret is answered even when spending cannot be read.
    let spend = state.control.virtual_keys.spend(&issued.key).await.unwrap_or_default();
    let shape = shapes::virtual_key::write_issued(issued, spend);
    Ok(answer::resource(StatusCode::OK, shape, revision)?)
}
