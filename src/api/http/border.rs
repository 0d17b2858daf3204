//! Counts every answer by its route, whatever was asked for.

use std::sync::Arc;

use axum::extract::{MatchedPath, Request};
use axum::middleware::Next;
use axum::response::Response;
use http::Method;

use crate::telemetry::metrics::Metrics;

/// Stands for paths that are not known: a client cannot make a series.
const UNKNOWN: &str = "unknown";

/// Counts the answer to `request`.
pub async fn count(metrics: Arc<Metrics>, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().cloned();
    let method = word(request.method());
    let response = next.run(request).await;
    metrics.responded(route.as_ref().map_or(UNKNOWN, MatchedPath::as_str), method, response.status().as_u16());
    response
}

/// Clients may make up methods, too.
fn word(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}
