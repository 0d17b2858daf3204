//! `GET /metrics`: figures in the text format of Prometheus or in that of OpenMetrics. On a listener of its own for anyone who reaches that, else
//! for the holder of the master key.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::response::Response;
use axum::routing::get;
use http::HeaderValue;
use http::header::{ACCEPT, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, VARY};

use crate::api::admin_auth::{AdminAuth, ClientAddress};
use crate::api::envelope;
use crate::fault::{Fault, Kind};
use crate::telemetry::metrics::Metrics;
use crate::telemetry::metrics::readings::Format;

/// What the endpoint works with.
#[derive(Debug, Clone)]
pub struct MetricsState {
    /// The figures.
    pub metrics: Arc<Metrics>,
    /// Who may read them; `None`: anyone.
    pub auth: Option<Arc<AdminAuth>>,
}

/// The route.
pub fn router(state: MetricsState) -> Router {
    Router::new().route("/metrics", get(show)).with_state(state)
}

async fn show(State(state): State<MetricsState>, request: Request) -> Response {
    if let Some(auth) = &state.auth {
        let extensions = request.extensions();
        let peer = || extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip());
        let source = extensions.get::<ClientAddress>().map(|client| client.0).or_else(peer);
        if let Err(fault) = auth.check(request.headers().get(AUTHORIZATION), source) {
            return envelope::openai_response(&fault);
        }
    }
    let accept = request.headers().get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let format = Format::accepted(&accept.collect::<Vec<_>>().join(","));
    match state.metrics.read().to_text(format) {
        Ok(text) => {
            let mut response = Response::new(Body::from(text));
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(format.content_type()));
            response.headers_mut().insert(VARY, HeaderValue::from_static("accept"));
            response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
            response
        }
        Err(error) => envelope::openai_response(&Fault::new(Kind::Internal).because(error)),
    }
}
