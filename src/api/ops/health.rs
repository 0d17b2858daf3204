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
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Readiness {
    /// A first snapshot is in force.
    pub is_loaded: bool,
    /// Shutdown has begun.
    pub is_draining: bool,
    /// Another replica has the database for itself; this one waits for its place.
    pub is_standby: bool,
    /// Whether PostgreSQL answers; `None` in embedded mode.
    pub postgres: Option<bool>,
    /// Whether Redis answers; `None` where there is none.
    pub redis: Option<bool>,
    /// Not ready while a database does not answer.
    pub is_strict: bool,
}

impl Readiness {
    /// The status of the answer and its word.
    fn judge(self, quarantined: usize) -> (StatusCode, &'static str) {
        let is_cut_off = self.postgres == Some(false) || self.redis == Some(false);
        match self {
            Self { is_draining: true, .. } => (StatusCode::SERVICE_UNAVAILABLE, "draining"),
            Self { is_standby: true, .. } => (StatusCode::SERVICE_UNAVAILABLE, "standby"),
            Self { is_loaded: false, .. } => (StatusCode::SERVICE_UNAVAILABLE, "starting"),
            Self { is_strict: true, .. } if is_cut_off => (StatusCode::SERVICE_UNAVAILABLE, "degraded"),
            Self { .. } if is_cut_off || quarantined > 0 => (StatusCode::OK, "degraded"),
            Self { .. } => (StatusCode::OK, "ready"),
        }
    }
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
    let (status, word) = readiness.judge(quarantined);
    let mut body = format!(
        "{{\"status\":\"{word}\",\"snapshot\":{{\"revision\":{revision},\"ageMs\":{age_ms},\"quarantined\":{quarantined}}}"
    );
    for (name, is_up) in [("postgres", readiness.postgres), ("redis", readiness.redis)] {
        if let Some(is_up) = is_up {
            let word = if is_up { "up" } else { "down" };
            body.push_str(&format!(",\"{name}\":\"{word}\""));
        }
    }
    body.push('}');
    json(status, body)
}

fn json(status: StatusCode, body: String) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readiness_is_about_serving_unless_it_shall_be_strict() {
        let serving = Readiness { is_loaded: true, postgres: Some(true), redis: Some(true), ..Readiness::default() };
        let lost = Readiness { postgres: Some(false), ..serving };
        let cases = [
            (Readiness::default(), 0, 503, "starting"),
            (serving, 0, 200, "ready"),
            (serving, 1, 200, "degraded"),
            (lost, 0, 200, "degraded"),
            (Readiness { is_strict: true, ..lost }, 0, 503, "degraded"),
            (Readiness { is_strict: true, ..serving }, 1, 200, "degraded"),
            (Readiness { redis: Some(false), ..serving }, 0, 200, "degraded"),
            (Readiness { is_standby: true, ..serving }, 0, 503, "standby"),
            (Readiness { is_draining: true, ..serving }, 0, 503, "draining"),
        ];
        for (readiness, quarantined, status, word) in cases {
            let (code, said) = readiness.judge(quarantined);
            assert_eq!((code.as_u16(), said), (status, word), "{readiness:?}");
        }
    }
}
