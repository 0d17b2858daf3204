//! `/admin/router-settings`, `/admin/fallbacks` and `/admin/route/explain`.

use axum::extract::State;
use http::StatusCode;

use super::call::{Answer, Call};
use super::deployments::expected;
use super::{RestState, answer, body, paging, shapes};
use crate::api::page_token::{Binding, Position};
use crate::control::ChangeOptions;
use crate::domain::fallback::FallbackReason;
use crate::fault::{Fault, Kind};

const VALIDATE_ONLY: &str = "validateOnly";

pub(super) async fn settings(State(state): State<RestState>, call: Call) -> Answer {
    call.query(&[])?;
    let stored = state.control.routing.settings().await?;
    let revision = stored.revision;
    Ok(answer::resource(StatusCode::OK, shapes::routing::write_settings(stored), revision)?)
}

pub(super) async fn update(State(state): State<RestState>, mut call: Call) -> Answer {
    let validate_only = call.query(&[VALIDATE_ONLY])?.boolean(VALIDATE_ONLY)?.unwrap_or_default();
    let (patch, etag) = body::read(&call.text().await?, |object, problems| {
        (shapes::routing::read_settings(object, problems), shapes::etag(object, problems))
    })?;
    let options = ChangeOptions { expected: call.expected(etag.as_deref())?, validate_only };
    let stored = state.control.routing.update_settings(&call.caller, patch, options).await?;
    let revision = stored.revision;
    Ok(answer::resource(StatusCode::OK, shapes::routing::write_settings(stored), revision)?)
}

pub(super) async fn list(State(state): State<RestState>, call: Call) -> Answer {
    let query = call.query(&["limit", "offset", "cursor", "primaryModel"])?;
    let primary = query.text("primaryModel");
    let binding = Binding::new("fallbacks", &[primary]);
    let request = paging::read(&query, binding)?;
    let page = state.control.routing.list_fallbacks(primary, &request).await?;
    let seen = u32::try_from(page.items.len()).unwrap_or(u32::MAX);
    let next = Position::Offset(request.offset.saturating_add(seen));
    let pagination = paging::write(&request, &page, Some(next), binding);
    let shapes: Vec<_> = page.items.iter().map(shapes::routing::write_chain).collect();
    Ok(answer::list(shapes, pagination)?)
}

pub(super) async fn set(State(state): State<RestState>, mut call: Call) -> Answer {
    let validate_only = call.query(&[VALIDATE_ONLY])?.boolean(VALIDATE_ONLY)?.unwrap_or_default();
    let ((primary, reason, targets), etag) = body::read(&call.text().await?, |object, problems| {
        (shapes::routing::read_chain(object, problems), shapes::etag(object, problems))
    })?;
    let primary = primary.ok_or_else(|| Fault::invalid("primaryModel", "is required"))?;
    let options = ChangeOptions { expected: call.expected(etag.as_deref())?, validate_only };
    let chain = state.control.routing.set_fallback(&call.caller, primary, reason, targets, options).await?;
    let revision = chain.revision;
    Ok(answer::resource(StatusCode::OK, shapes::routing::write_chain(&chain), revision)?)
}

pub(super) async fn delete(State(state): State<RestState>, mut call: Call) -> Answer {
    let (primary, reason) = split_chain(call.variable())?;
    let expected = expected(&mut call).await?;
    state.control.routing.delete_fallback(&call.caller, &primary, reason, expected).await?;
    Ok(answer::deleted(format!("{primary}/{reason}"))?)
}

pub(super) async fn explain(State(state): State<RestState>, mut call: Call) -> Answer {
    call.query(&[])?;
    let question = body::read(&call.text().await?, shapes::explain::read)?;
    let explanation = state.control.routing.explain(question).await?;
    Ok(answer::data(StatusCode::OK, shapes::explain::write(&explanation))?)
}

/// `<primary model>/<reason>`; the model may contain `/`.
fn split_chain(path: &str) -> Result<(String, FallbackReason), Fault> {
    let (primary, word) = path.rsplit_once('/').ok_or_else(|| {
        Fault::new(Kind::NotFound).say("A chain is deleted at `/admin/fallbacks/<primaryModel>/<reason>`.")
    })?;
    let reason = word.parse().map_err(|_| Fault::invalid("reason", shapes::routing::reasons()))?;
    Ok((primary.to_owned(), reason))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_follows_the_last_slash() {
        assert_eq!(split_chain("a/b/general").unwrap(), ("a/b".to_owned(), FallbackReason::General));
        assert_eq!(split_chain("gpt/content_policy").unwrap().1, FallbackReason::ContentPolicy);
        assert_eq!(split_chain("gpt").unwrap_err().kind(), Kind::NotFound);
        assert_eq!(split_chain("gpt/rain").unwrap_err().at(), Some("reason"));
    }
}
