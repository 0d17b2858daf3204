//! What every guarded call passes: the operator's credential, a request id, and the revision on the way out.

use std::net::IpAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::header::AUTHORIZATION;
use http::{Extensions, HeaderName, HeaderValue};
use tokio::sync::watch;

use super::status;
use crate::api::admin_auth::{self, AdminAuth, ClientAddress};
use crate::domain::audit::Caller;
use crate::domain::ids::Revision;
use crate::fault::{Fault, Kind};
use crate::telemetry::names::header;
use crate::time::Clock;
use crate::vault::Entropy;

pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static(header::REQUEST_ID);
pub(super) const CONFIG_REVISION: HeaderName = HeaderName::from_static(header::CONFIG_REVISION);

/// What the guard works with.
#[derive(Clone)]
pub(super) struct Guard {
    pub(super) auth: Arc<AdminAuth>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) entropy: Arc<dyn Entropy>,
    pub(super) revision: watch::Receiver<Revision>,
}

/// A call that passed the guard.
#[derive(Debug, Clone)]
pub(super) struct Called {
    pub(super) caller: Caller,
    pub(super) request_id: String,
}

impl Called {
    /// Who makes this call. The guard has put it there.
    ///
    /// # Errors
    /// `Internal` when the guard is missing: an unguarded call must not get further.
    pub(super) fn of<T>(request: &tonic::Request<T>) -> Result<Self, tonic::Status> {
        request.extensions().get::<Self>().cloned().ok_or_else(|| status::from_fault(&Fault::new(Kind::Internal), None))
    }
}

/// Lets the operator in and nobody else.
pub(super) async fn guard(State(guard): State<Guard>, mut request: Request, next: Next) -> Response {
    let source = source_address(request.extensions());
    let request_id = match admin_auth::request_id(request.headers().get(&REQUEST_ID)) {
        Some(given) => given.to_owned(),
        None => guard.new_request_id(),
    };
    let mut response = match guard.auth.check(request.headers().get(AUTHORIZATION), source) {
        Ok(()) => {
            let caller = Caller {
                actor: "master",
                face: "grpc",
                source: source.map(|address| address.to_string()),
                request_id: Some(request_id.clone()),
            };
            request.extensions_mut().insert(Called { caller, request_id: request_id.clone() });
            next.run(request).await
        }
        Err(fault) => status::from_fault(&fault, None).into_http::<Body>(),
    };
    let revision = guard.revision.borrow().0;
    if let Ok(value) = HeaderValue::from_str(&request_id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response.headers_mut().insert(CONFIG_REVISION, HeaderValue::from(revision));
    response
}

impl Guard {
    fn new_request_id(&self) -> String {
        let mut dice = [0; 10];
        self.entropy.fill(&mut dice);
        let ms = u64::try_from(self.clock.now().unix_ms()).unwrap_or_default();
        format!("req_{}", uuid::Builder::from_unix_timestamp_millis(ms, &dice).into_uuid().simple())
    }
}

fn source_address(extensions: &Extensions) -> Option<IpAddr> {
    extensions.get().map(|ClientAddress(address)| *address)
}
