//! The REST face of the control plane: JSON over HTTP for `curl`, the same use cases as the gRPC face.
//!
//! camelCase bodies, `{"data":…}` on success, the OpenAI error envelope otherwise. What a body may hold is stated once,
//! in [`shapes`]; unknown fields are refused by name.

mod answer;
mod body;
mod cache;
mod call;
mod catalog;
mod config;
mod deployments;
mod keys;
mod logs;
mod paging;
mod replicas;
mod routing;
mod shapes;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{ConnectInfo, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::{MethodRouter, any, delete, get, post};
use http::header::{ALLOW, AUTHORIZATION};
use http::{HeaderName, HeaderValue};
use tokio::sync::watch;

use super::admin_auth::{self, AdminAuth, ClientAddress};
use super::envelope;
use crate::control::Control;
use crate::domain::audit::Caller;
use crate::domain::ids::Revision;
use crate::fault::{Fault, Kind};
use crate::telemetry::names::header;
use call::{Call, Refused};

const REQUEST_ID: HeaderName = HeaderName::from_static(header::REQUEST_ID);
const CONFIG_REVISION: HeaderName = HeaderName::from_static(header::CONFIG_REVISION);

/// Largest request body, in bytes.
pub const MAX_BODY_BYTES: usize = 1024 * 1024;

/// What the face works with.
#[derive(Debug, Clone)]
pub struct RestState {
    /// The use cases.
    pub control: Control,
    /// Checks the operator's credential; shared with the gRPC face.
    pub auth: Arc<AdminAuth>,
}

#[derive(Debug, Clone)]
struct Guard {
    auth: Arc<AdminAuth>,
    revision: watch::Receiver<Revision>,
}

/// Every path under `/admin`. Also the unknown ones, so that it can be merged into a router with other paths.
pub fn router(state: RestState) -> Router {
    let guard_state = Guard { auth: Arc::clone(&state.auth), revision: state.control.system.watch() };
    Router::new()
        .route("/admin/operations", only(get(catalog::operations), "GET, HEAD"))
        .route("/admin/provider-presets", only(get(catalog::presets), "GET, HEAD"))
        .route("/admin/deployments/resolve", only(post(deployments::resolve), "POST"))
        .route("/admin/deployments/test", only(post(deployments::test_draft), "POST"))
        .route("/admin/deployments/{id}/test", only(post(deployments::test), "POST"))
        .route("/admin/deployments", only(get(deployments::list).post(deployments::create), "GET, HEAD, POST"))
        .route(
            "/admin/deployments/{id}",
            only(
                get(deployments::get).patch(deployments::update).delete(deployments::delete),
                "GET, HEAD, PATCH, DELETE",
            ),
        )
        .route("/admin/keys", only(get(keys::list).post(keys::create), "GET, HEAD, POST"))
        .route(
            "/admin/keys/{id}",
            only(get(keys::get).patch(keys::update).delete(keys::delete), "GET, HEAD, PATCH, DELETE"),
        )
        .route("/admin/keys/{id}/rotate", only(post(keys::rotate), "POST"))
        .route("/admin/keys/{id}/usage", only(get(keys::usage), "GET, HEAD"))
        .route("/admin/router-settings", only(get(routing::settings).put(routing::update), "GET, HEAD, PUT"))
        .route("/admin/fallbacks", only(get(routing::list).put(routing::set), "GET, HEAD, PUT"))
        // Names of models may contain `/`; the reason is what follows the last one.
        .route("/admin/fallbacks/{*chain}", only(delete(routing::delete), "DELETE"))
        .route("/admin/cache", only(delete(cache::invalidate), "DELETE"))
        .route("/admin/route/explain", only(post(routing::explain), "POST"))
        .route("/admin/config", only(get(config::export).put(config::apply), "GET, HEAD, PUT"))
        .route("/admin/logs", only(get(logs::list), "GET, HEAD"))
        .route("/admin/logs/tail", only(get(logs::tail), "GET, HEAD"))
        .route("/admin/logs/{id}", only(get(logs::get), "GET, HEAD"))
        .route("/admin/usage", only(get(logs::usage), "GET, HEAD"))
        .route("/admin/observability/summary", only(get(logs::summary), "GET, HEAD"))
        .route("/admin/replicas", only(get(replicas::list), "GET, HEAD"))
        .route("/admin/replicas/wait", only(get(replicas::wait), "GET, HEAD"))
        .route("/admin", any(unknown_path))
        .route("/admin/", any(unknown_path))
        .route("/admin/{*rest}", any(unknown_path))
        .layer(from_fn_with_state(guard_state, guard))
        .with_state(state)
}

fn only(methods: MethodRouter<RestState>, allow: &'static str) -> MethodRouter<RestState> {
    methods.fallback(async move |call: Call| {
        let fault = Fault::new(Kind::MethodNotAllowed).say(format!(
            "`{}` does not take {}; it takes {allow}.",
            call.path(),
            call.method()
        ));
        let mut response = envelope::openai_response(&fault);
        response.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
        response
    })
}

async fn unknown_path(call: Call) -> Response {
    let fault = Fault::new(Kind::NotFound).say(format!("There is no admin path `{}`.", call.path()));
    envelope::openai_response(&fault)
}

/// Lets the operator in and nobody else; says on every answer which configuration is in force.
async fn guard(State(guard): State<Guard>, mut request: Request, next: Next) -> Response {
    let source = request
        .extensions()
        .get::<ClientAddress>()
        .map(|client| client.0)
        .or_else(|| request.extensions().get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(address)| address.ip()));
    let request_id = admin_auth::request_id(request.headers().get(&REQUEST_ID)).map(str::to_owned);
    let mut response = match guard.auth.check(request.headers().get(AUTHORIZATION), source) {
        Ok(()) => {
            let caller = Caller {
                actor: "master",
                face: "rest",
                source: source.map(|address| address.to_string()),
                request_id: request_id.clone(),
            };
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(fault) => envelope::openai_response(&fault),
    };
    if let Some(refused) = response.extensions_mut().remove::<Refused>() {
        envelope::log(refused.fault(), request_id.as_deref());
    }
    let revision = guard.revision.borrow().0;
    response.headers_mut().insert(CONFIG_REVISION, HeaderValue::from(revision));
    response
}
