//! Which web pages may call the data plane from a browser. The administration API is for none of them: a master key has
//! no place in a page.

use http::header::RETRY_AFTER;
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method};
use std::time::Duration;
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};

use crate::telemetry::names::header;

/// How long a browser may remember what it was told.
const MAX_AGE: Duration = Duration::from_secs(600);
const EXPOSED: [&str; 16] = [
    header::REQUEST_ID,
    header::ANTHROPIC_REQUEST_ID,
    header::LIMIT_REQUESTS,
    header::REMAINING_REQUESTS,
    header::RESET_REQUESTS,
    header::LIMIT_TOKENS,
    header::REMAINING_TOKENS,
    header::RESET_TOKENS,
    header::LIMIT_BUDGET_CENTS,
    header::REMAINING_BUDGET_CENTS,
    header::RESET_BUDGET,
    header::RETRY_AFTER_MS,
    header::CACHE_STATUS,
    header::SERVED_BY,
    header::DROPPED,
    header::ESTIMATED,
];

/// Lets pages of these origins in; of all when there is no list.
pub fn layer(origins: Option<Vec<String>>) -> CorsLayer {
    let is_allowed = move |origin: &HeaderValue, request: &Parts| {
        let is_listed = |origins: &Vec<String>| origins.iter().any(|own| own.as_bytes() == origin.as_bytes());
        request.uri.path().starts_with("/v1/") && origins.as_ref().is_none_or(is_listed)
    };
    CorsLayer::new()
        .allow_origin(AllowOrigin::predicate(is_allowed))
        .allow_methods([Method::GET, Method::POST, Method::DELETE])
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers(EXPOSED.map(HeaderName::from_static).into_iter().chain([RETRY_AFTER]).collect::<Vec<_>>())
        .max_age(MAX_AGE)
}
