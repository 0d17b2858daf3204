//! A gateway's control plane of one's own for each test, with both faces on it.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::Value;
use tonic::service::{Interceptor, Routes};
use tower::ServiceExt;
use zeroize::Zeroizing;

use crate::api::admin_auth::AdminAuth;
use crate::api::grpc::proto::cache_service_client::CacheServiceClient;
use crate::api::grpc::proto::catalog_service_client::CatalogServiceClient;
use crate::api::grpc::proto::deployment_service_client::DeploymentServiceClient;
use crate::api::grpc::proto::routing_service_client::RoutingServiceClient;
use crate::api::grpc::proto::system_service_client::SystemServiceClient;
use crate::api::grpc::proto::usage_service_client::UsageServiceClient;
use crate::api::grpc::proto::virtual_key_service_client::VirtualKeyServiceClient;
use crate::api::grpc::{self, GrpcState};
use crate::api::rest::{self, RestState};
use crate::cache::Capacity;
use crate::cache::memory::MemoryCache;
use crate::catalog::Catalog;
use crate::control::replicas::Identity;
use crate::control::system::Mode;
use crate::control::{ChangeOptions, Control, CreateOptions, Parts, Propagation};
use crate::domain::audit::Caller;
use crate::domain::deployment::{Deployment, DeploymentDraft, DeploymentSpec};
use crate::domain::fallback::FallbackReason;
use crate::domain::names::PublicModel;
use crate::domain::replica::ReplicaId;
use crate::domain::secret::Credentials;
use crate::domain::virtual_key::{VirtualKey, VirtualKeySpec};
use crate::ledger::Ledger;
use crate::ledger::memory::MemoryLedger;
use crate::ledger::settle::Recorder;
use crate::providers;
use crate::routing::{ProbeDeployment, Probed, Publisher, Snapshot, Target};
use crate::store::Stores;
use crate::store::sqlite::open_in_memory;
use crate::time::{Clock, ManualClock, Timestamp};
use crate::vault::{KeyId, Keyring, MasterKey, SystemEntropy};

pub(super) const MASTER: &str = "correct horse battery staple";

/// `general` with a chain to `backup`, and one key.
pub(super) struct World {
    pub(super) control: Control,
    pub(super) stores: Stores,
    pub(super) general: Deployment,
    pub(super) key: VirtualKey,
    pub(super) plaintext: String,
    routes: Routes,
    router: Router,
}

/// What REST answered.
pub(super) struct Answered {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Value,
    pub(super) text: String,
}

impl World {
    pub(super) async fn new() -> Self {
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(Timestamp::from_unix_ms(1_800_000_000_000)));
        let stores = open_in_memory().await.unwrap().stores();
        let control = control(stores.clone(), &clock).await;
        let auth = Arc::new(AdminAuth::new(MasterKey::new(MASTER), Arc::clone(&clock)));
        let state = GrpcState {
            control: control.clone(),
            auth: Arc::clone(&auth),
            clock: Arc::clone(&clock),
            entropy: Arc::new(SystemEntropy),
        };
        let (routes, _) = grpc::services(state).unwrap();
        let router = rest::router(RestState { control: control.clone(), auth });
        let general = deploy(&control, "general").await;
        deploy(&control, "backup").await;
        let (primary, targets) = (model("general"), vec![model("backup")]);
        let options = ChangeOptions::default();
        control
            .routing
            .set_fallback(&Caller::system(), primary, FallbackReason::General, targets, options)
            .await
            .unwrap();
        let spec = VirtualKeySpec { name: "app".to_owned(), enabled: true, ..VirtualKeySpec::default() };
        let issued = control.virtual_keys.create(&Caller::system(), spec, CreateOptions::default()).await.unwrap();
        let plaintext = secrecy::ExposeSecret::expose_secret(&issued.plaintext.unwrap()).to_owned();
        Self { control, stores, general, key: issued.key, plaintext, routes, router }
    }

    pub(super) fn as_operator(&self) -> Grpc {
        self.with_key(Some(MASTER))
    }

    /// gRPC clients that present this key.
    pub(super) fn with_key(&self, key: Option<&str>) -> Grpc {
        let bearer = Bearer(key.map(|key| format!("Bearer {key}")));
        let routes = &self.routes;
        Grpc {
            deployments: DeploymentServiceClient::with_interceptor(routes.clone(), bearer.clone()),
            virtual_keys: VirtualKeyServiceClient::with_interceptor(routes.clone(), bearer.clone()),
            routing: RoutingServiceClient::with_interceptor(routes.clone(), bearer.clone()),
            cache: CacheServiceClient::with_interceptor(routes.clone(), bearer.clone()),
            catalog: CatalogServiceClient::with_interceptor(routes.clone(), bearer.clone()),
            system: SystemServiceClient::with_interceptor(routes.clone(), bearer.clone()),
            usage: UsageServiceClient::with_interceptor(routes.clone(), bearer),
        }
    }

    pub(super) fn routes(&self) -> Routes {
        self.routes.clone()
    }

    /// A REST request of the operator.
    pub(super) async fn rest(&self, method: Method, path: &str, body: &str) -> Answered {
        self.send(Sent::new(method, path, body)).await
    }

    pub(super) async fn send(&self, sent: Sent) -> Answered {
        let mut request = Request::builder().method(sent.method).uri(sent.path);
        if let Some(key) = sent.key {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        for (name, value) in sent.headers {
            request = request.header(name, value);
        }
        let response = self.router.clone().oneshot(request.body(Body::from(sent.body)).unwrap()).await.unwrap();
        let (parts, mut body) = response.into_parts();
        let mut bytes = Vec::new();
        while let Some(frame) = body.frame().await {
            bytes.extend_from_slice(&frame.unwrap().into_data().unwrap());
        }
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Answered { status: parts.status, headers: parts.headers, body, text }
    }
}

/// A REST request.
pub(super) struct Sent {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) body: String,
    pub(super) key: Option<String>,
    pub(super) headers: Vec<(&'static str, String)>,
}

impl Sent {
    pub(super) fn new(method: Method, path: impl Into<String>, body: impl Into<String>) -> Self {
        let headers = vec![("content-type", "application/json".to_owned())];
        Self { method, path: path.into(), body: body.into(), key: Some(MASTER.to_owned()), headers }
    }

    pub(super) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(super) fn key(mut self, key: Option<&str>) -> Self {
        self.key = key.map(str::to_owned);
        self
    }
}

type Guarded = tonic::service::interceptor::InterceptedService<Routes, Bearer>;

/// gRPC clients, in process.
pub(super) struct Grpc {
    pub(super) deployments: DeploymentServiceClient<Guarded>,
    pub(super) virtual_keys: VirtualKeyServiceClient<Guarded>,
    pub(super) routing: RoutingServiceClient<Guarded>,
    pub(super) cache: CacheServiceClient<Guarded>,
    pub(super) catalog: CatalogServiceClient<Guarded>,
    pub(super) system: SystemServiceClient<Guarded>,
    pub(super) usage: UsageServiceClient<Guarded>,
}

#[derive(Clone)]
pub(super) struct Bearer(Option<String>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: tonic::Request<()>) -> Result<tonic::Request<()>, tonic::Status> {
        if let Some(bearer) = &self.0 {
            request.metadata_mut().insert("authorization", bearer.parse().unwrap());
        }
        Ok(request)
    }
}

async fn control(stores: Stores, clock: &Arc<dyn Clock>) -> Control {
    let catalog = Arc::new(Catalog::load(providers::presets()).unwrap());
    let keyring = Arc::new(Keyring::single(KeyId::parse("k1").unwrap(), &Zeroizing::new([7; 32])));
    let publisher = Arc::new(Publisher::new(Snapshot::empty(clock.now())));
    let propagation = Arc::new(Propagation::new(
        stores.clone(),
        Arc::clone(&catalog),
        Arc::clone(&keyring),
        publisher,
        Arc::clone(clock),
    ));
    propagation.load().await.unwrap();
    let entropy = Arc::new(SystemEntropy);
    let ledger = ledger(&stores, clock);
    let parts = Parts {
        stores,
        catalog,
        keyring,
        entropy,
        clock: Arc::clone(clock),
        propagation,
        ledger,
        probe: Arc::new(NeverCalled),
        cache: Arc::new(MemoryCache::new(Arc::clone(clock), Capacity { bytes: 1 << 20, entries: 100 }).unwrap()),
        explainer: Arc::new(NeverCalled),
    };
    let identity = Identity {
        id: ReplicaId::from_uuid(uuid::Uuid::from_u128(1)),
        host: "here".to_owned(),
        version: "1.2.3".to_owned(),
        started_at: clock.now(),
    };
    Control::new(parts, identity, Mode::Embedded, "1.2.3")
}

async fn deploy(control: &Control, public_model: &str) -> Deployment {
    let spec = DeploymentSpec::new(model(public_model), "echo", "echo");
    let draft = DeploymentDraft { spec, credentials: Credentials::default() };
    control.deployments.create(&Caller::system(), draft, CreateOptions::default()).await.unwrap().deployment
}

fn model(name: &str) -> PublicModel {
    PublicModel::parse(name).unwrap()
}

/// Answers like a provider that is not there.
struct NeverCalled;

#[async_trait::async_trait]
impl crate::routing::ExplainRoute for NeverCalled {
    async fn explain(
        &self,
        question: crate::routing::explain::Question,
    ) -> crate::fault::Outcome<crate::routing::Explanation> {
        Ok(crate::routing::Explanation::of_nothing(question))
    }
}

#[async_trait::async_trait]
impl ProbeDeployment for NeverCalled {
    async fn probe(&self, _: Arc<Target>) -> Probed {
        Probed { latency: std::time::Duration::ZERO, status: None, transport: None, failure: None, usage: None }
    }
}

/// A ledger of one process on these stores.
fn ledger(stores: &Stores, clock: &Arc<dyn Clock>) -> Arc<dyn Ledger> {
    let recorder = Arc::new(Recorder::new(Arc::clone(&stores.usage), Arc::clone(clock)));
    let running = Arc::clone(&recorder);
    let (stop, must_stop) = tokio::sync::watch::channel(false);
    #[expect(clippy::disallowed_methods, reason = "a test's own task ends with its runtime")]
    drop(tokio::spawn(async move {
        running.run(must_stop).await;
        drop(stop);
    }));
    Arc::new(MemoryLedger::new(Arc::clone(clock), recorder))
}
