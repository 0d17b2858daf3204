//! `GET /health/live` and `GET /health/ready`. No credentials, nothing about the configuration but its revision.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use axum::{Router, body::Body};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, StatusCode};
use tokio::sync::watch;

/// What is true of the process now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Readiness {
    /// A first snapshot is in force.
    pub is_loaded: bool,
    /// Shutdown has begun.
    pub is_draining: bool,
}

/// What the configuration in force looks like from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SnapshotView {
    /// Its revision.
    pub revision: i64,
    /// How long it has been in force, in milliseconds.
    pub age_ms: i64,
    /// Rows that are left out because they are not understood.
    pub quarantined: usize,
}

/// What the probes read.
#[derive(Clone)]
pub struct HealthState {
    /// What is true of the process now.
    pub readiness: watch::Receiver<Readiness>,
    /// Looks at the configuration in force.
    pub snapshot: Arc<dyn Fn() -> SnapshotView + Send + Sync>,
}

impl std::fmt::Debug for HealthState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HealthState")
    }
}

/// The probe routes.
pub fn router(state: HealthState) -> Router {
    Router::new()
        .route("/health/live", get(async || json(StatusCode::OK, "{\"status\":\"live\"}".to_owned())))
        .route("/health/ready", get(ready))
        .with_state(state)
}

async fn ready(State(state): State<HealthState>) -> Response {
    let readiness = *state.readiness.borrow();
    let SnapshotView { revision, age_ms, quarantined } = (state.snapshot)();
    let (status, word) = match readiness {
        Readiness { is_draining: true, .. } => (StatusCode::SERVICE_UNAVAILABLE, "draining"),
        Readiness { is_loaded: false, .. } => (StatusCode::SERVICE_UNAVAILABLE, "starting"),
        Readiness { .. } if quarantined > 0 => (StatusCode::OK, "degraded"),
        Readiness { .. } => (StatusCode::OK, "ready"),
    };
    let body = format!(
        "{{\"status\":\"{word}\",\"snapshot\":{{\"revision\":{revision},\"ageMs\":{age_ms},\"quarantined\":{quarantined}}}}}"
    );
    json(status, body)
}

fn json(status: StatusCode, body: String) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
