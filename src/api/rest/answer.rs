//! How success looks.

use axum::body::Body;
use axum::response::Response;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG};
use http::{HeaderValue, StatusCode};
use serde::Serialize;

use super::paging::Pagination;
use crate::domain::ids::Revision;
use crate::fault::{Fault, Kind, Outcome};

#[derive(Serialize)]
struct Data<T> {
    data: T,
    #[serde(skip_serializing_if = "Option::is_none")]
    pagination: Option<Pagination>,
}

/// What a deletion answers.
#[derive(Debug, Serialize)]
pub(super) struct Deleted {
    /// What is gone.
    pub(super) id: String,
    /// Always true.
    pub(super) deleted: bool,
}

/// `{"data":…}`.
///
/// # Errors
/// `Internal` when it does not serialise.
pub(super) fn data(status: StatusCode, data: impl Serialize) -> Outcome<Response> {
    write(status, &Data { data, pagination: None })
}

/// `{"data":…}` of a resource, with its etag as a header. What is not stored has none.
///
/// # Errors
/// As [`data`].
pub(super) fn resource(status: StatusCode, body: impl Serialize, revision: Revision) -> Outcome<Response> {
    let mut response = data(status, body)?;
    if revision != Revision(0)
        && let Ok(etag) = HeaderValue::from_str(&format!("\"{}\"", revision.to_etag()))
    {
        response.headers_mut().insert(ETAG, etag);
    }
    Ok(response)
}

/// A body that has its own `data`, and more beside it.
///
/// # Errors
/// As [`data`].
pub(super) fn whole(body: &impl Serialize) -> Outcome<Response> {
    write(StatusCode::OK, body)
}

/// `{"data":[…],"pagination":{…}}`.
///
/// # Errors
/// As [`data`].
pub(super) fn list(items: impl Serialize, pagination: Pagination) -> Outcome<Response> {
    write(StatusCode::OK, &Data { data: items, pagination: Some(pagination) })
}

/// `{"data":{"id":…,"deleted":true}}`.
///
/// # Errors
/// As [`data`].
pub(super) fn deleted(id: impl Into<String>) -> Outcome<Response> {
    data(StatusCode::OK, Deleted { id: id.into(), deleted: true })
}

fn write(status: StatusCode, body: &impl Serialize) -> Outcome<Response> {
    let bytes = serde_json::to_vec(body).map_err(|error| Fault::new(Kind::Internal).because(error))?;
    let mut response = Response::new(Body::from(bytes));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}
