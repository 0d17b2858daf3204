//! Settings to a running gateway.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::middleware::from_fn;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tonic_health::server::HealthReporter;

use super::serve::{GrpcListener, HttpListener};
use super::tasks::Tasks;
use crate::api::admin_auth::AdminAuth;
use crate::api::grpc::{self, GrpcState};
use crate::api::http::body::BodyReader;
use crate::api::http::edge::{RequestIds, no_keys_in_query, request_ids};
use crate::api::http::{self, HttpState};
use crate::api::ops::health::{self, HealthState, Readiness, SnapshotView};
use crate::api::rest::{self, RestState};
use crate::catalog::Catalog;
use crate::config::secrets::{EmbeddedSecrets, GivenSecrets, load_or_create};
use crate::config::{Config, upstream};
use crate::control::system::Mode;
use crate::control::{Control, CreateOptions, Parts as ControlParts, Propagation};
use crate::domain::audit::Caller;
use crate::domain::deployment::{DeploymentDraft, DeploymentSpec};
use crate::domain::ids::Revision;
use crate::domain::names::PublicModel;
use crate::domain::secret::{Credentials, ExposeSecret};
use crate::fault::{Fault, Kind, Outcome};
use crate::gateway::{Bounds, ErrorDetail, Gateway, Parts as GatewayParts};
use crate::providers;
use crate::routing::{Publisher, Snapshot};
use crate::store::sqlite::{self, DataDirLock, SqliteStore};
use crate::time::{Clock, SystemClock};
use crate::transport::{ClientSettings, HttpClient};
use crate::vault::{MasterKey, SystemEntropy};

/// The database's file in `DATA_DIR`.
const DATABASE_FILE: &str = "gateway.db";
/// The public model that answers out of the box.
pub(super) const FIRST_MODEL: &str = "echo";
const KEEP_UP_EVERY: Duration = Duration::from_secs(1);
const MAX_REPLY_BYTES: usize = 64 * 1024 * 1024;
const MAX_ERROR_BYTES: usize = 256 * 1024;
const MAX_FRAME_BYTES: usize = 16 * 1024 * 1024;

/// A gateway that serves.
pub struct Running {
    /// Where HTTP is served.
    pub http_address: SocketAddr,
    /// Where gRPC is served.
    pub grpc_address: SocketAddr,
    /// The file that has the master key, unless a setting gave it.
    pub master_key_path: Option<PathBuf>,
    /// The master key, if this start made it.
    pub new_master_key: Option<crate::domain::secret::SecretString>,
    /// Whether the admin REST paths are served.
    pub has_admin_http: bool,
    /// How long the start took.
    pub started_in: Duration,
    pub(super) tasks: Tasks,
    pub(super) readiness: watch::Sender<Readiness>,
    pub(super) accepting: watch::Sender<bool>,
    pub(super) stopping: watch::Sender<bool>,
    pub(super) drain_delay: Duration,
    pub(super) shutdown_timeout: Duration,
    pub(super) grpc_health: HealthReporter,
    pub(super) store: SqliteStore,
    _data_dir: DataDirLock,
}

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Running").field("http_address", &self.http_address).finish_non_exhaustive()
    }
}

/// Starts a gateway: store, snapshot, faces, listeners. It takes traffic when this returns.
///
/// # Errors
/// What keeps it from starting, in words for the operator.
pub async fn start(config: Config) -> Outcome<Running> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let began = clock.instant();
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    let Config { server, security, store: store_settings, limits, upstream, .. } = config;
    let data_dir = sqlite::lock_data_dir(&store_settings.data_dir)?;
    let database = store_settings.data_dir.join(DATABASE_FILE);
    let given = GivenSecrets { master_key: security.master_key, keyring: security.keyring };
    let secrets = load_or_create(&store_settings.data_dir, given, database.exists(), &SystemEntropy)?;
    for warning in &secrets.warnings {
        tracing::warn!("{warning}");
    }
    let http_listener = listen(server.host, server.port, "PORT").await?;
    let grpc_listener = listen(server.host, server.grpc_port, "GRPC_PORT").await?;
    let store = sqlite::open(&database).await?;

    let tasks = Tasks::default();
    let (stopping, must_stop) = watch::channel(false);
    let (accepting, must_close) = watch::channel(true);
    let (readiness, readiness_view) = watch::channel(Readiness { is_loaded: false, is_draining: false });
    let EmbeddedSecrets { master_key, master_key_is_new, master_key_path, keyring, .. } = secrets;
    let core = Core::build(&store, keyring, &clock).await?;
    readiness.send_replace(Readiness { is_loaded: true, is_draining: false });

    let master = MasterKey::new(master_key.expose_secret());
    let auth = Arc::new(AdminAuth::new(master.clone(), Arc::clone(&clock)));
    let gateway = Gateway::new(GatewayParts {
        publisher: Arc::clone(&core.publisher),
        master_key: master,
        client: HttpClient::new(&ClientSettings {
            connect_timeout: upstream.connect_timeout,
            extra_authorities_pem: upstream.extra_authorities.map(|bundle| bundle.pem),
        })?,
        clock: Arc::clone(&clock),
        dice: Arc::new(SystemEntropy::roll),
        spawn: Arc::new(tasks.clone()),
        stopping: must_stop,
        bounds: Bounds {
            reply_bytes: MAX_REPLY_BYTES,
            error_bytes: MAX_ERROR_BYTES,
            frame_bytes: MAX_FRAME_BYTES,
            keepalive: limits.stream_keepalive,
            client_write_timeout: limits.client_write_timeout,
        },
        error_detail: match upstream.error_detail {
            upstream::ErrorDetail::Sanitized => ErrorDetail::Sanitized,
            upstream::ErrorDetail::Generic => ErrorDetail::Generic,
        },
    });
    let bodies = BodyReader::new(limits.max_json_body_bytes, limits.max_inflight_body_bytes, limits.body_read_timeout);
    let state = HttpState { gateway, bodies: Arc::new(bodies), public_model_list: server.public_model_list };
    let mut routes = http::router(state).merge(health::router(core.health(readiness_view, &clock)));
    if server.admin_http {
        routes = routes.merge(rest::router(RestState { control: core.control.clone(), auth: Arc::clone(&auth) }));
    }
    let grpc_state =
        GrpcState { control: core.control.clone(), auth, clock: Arc::clone(&clock), entropy: Arc::new(SystemEntropy) };
    let (services, grpc_health) = grpc::services(grpc_state)?;
    grpc::set_health(&grpc_health, true).await;

    let http_address = local_address(&http_listener)?;
    let grpc_address = local_address(&grpc_listener)?;
    let http = HttpListener {
        listener: http_listener,
        routes: with_edge(routes, &clock),
        header_read_timeout: limits.header_read_timeout,
        write_timeout: limits.client_write_timeout,
        trusted_proxy_hops: server.trusted_proxy_hops,
        tasks: tasks.clone(),
        accepting: must_close.clone(),
    };
    tasks.start(http.serve());
    let grpc =
        GrpcListener { listener: grpc_listener, services, accepting: must_close, stopping: stopping.subscribe() };
    tasks.start(grpc.serve());
    tasks.start(keep_up(core.propagation, accepting.subscribe()));
    let started_in = clock.instant().saturating_duration_since(began);
    tracing::info!(%http_address, %grpc_address, ready_ms = ms(started_in), "the gateway serves");
    Ok(Running {
        http_address,
        grpc_address,
        new_master_key: master_key_is_new.then_some(master_key),
        master_key_path,
        has_admin_http: server.admin_http,
        started_in,
        tasks,
        readiness,
        accepting,
        stopping,
        drain_delay: server.drain_delay,
        shutdown_timeout: server.shutdown_timeout,
        grpc_health,
        store,
        _data_dir: data_dir,
    })
}

/// The control plane and the snapshot it publishes.
struct Core {
    control: Control,
    publisher: Arc<Publisher>,
    propagation: Arc<Propagation>,
}

impl Core {
    async fn build(store: &SqliteStore, keyring: crate::vault::Keyring, clock: &Arc<dyn Clock>) -> Outcome<Self> {
        let stores = store.stores();
        let catalog = Arc::new(Catalog::load(providers::presets())?);
        let keyring = Arc::new(keyring);
        let publisher = Arc::new(Publisher::new(Snapshot::empty(clock.now())));
        let propagation = Arc::new(Propagation::new(
            stores.clone(),
            Arc::clone(&catalog),
            Arc::clone(&keyring),
            Arc::clone(&publisher),
            Arc::clone(clock),
        ));
        propagation.load().await?;
        let parts = ControlParts {
            stores,
            catalog,
            keyring,
            entropy: Arc::new(SystemEntropy),
            clock: Arc::clone(clock),
            propagation: Arc::clone(&propagation),
        };
        let control = Control::new(parts, clock.now(), Mode::Embedded, env!("CARGO_PKG_VERSION"));
        let core = Self { control, publisher, propagation };
        core.furnish().await?;
        Ok(core)
    }

    /// A gateway that was never configured gets the model that answers out of the box. Deleted, it stays deleted.
    async fn furnish(&self) -> Outcome<()> {
        if self.publisher.current().revision() > Revision(0) {
            return Ok(());
        }
        let model = PublicModel::parse(FIRST_MODEL).map_err(|_| Kind::Internal)?;
        let mut spec = DeploymentSpec::new(model, providers::echo::PROVIDER.name, FIRST_MODEL);
        spec.label = Some("Answers out of the box; not a model. Delete it when you have one.".to_owned());
        let draft = DeploymentDraft { spec, credentials: Credentials::default() };
        self.control.deployments.create(&Caller::system(), draft, CreateOptions::default()).await.map(drop)
    }

    fn health(&self, readiness: watch::Receiver<Readiness>, clock: &Arc<dyn Clock>) -> HealthState {
        let (system, clock) = (Arc::clone(&self.control.system), Arc::clone(clock));
        let snapshot = move || {
            let status = system.snapshot();
            SnapshotView {
                revision: status.revision.0,
                age_ms: clock.now().unix_ms() - status.in_force_since.unix_ms(),
                quarantined: status.quarantined.len(),
            }
        };
        HealthState { readiness, snapshot: Arc::new(snapshot) }
    }
}

/// What every request passes first and every answer last.
fn with_edge(routes: Router, clock: &Arc<dyn Clock>) -> Router {
    let ids = RequestIds::new(Arc::clone(clock), Arc::new(SystemEntropy));
    routes
        .fallback(http::unknown_path)
        .method_not_allowed_fallback(http::wrong_method)
        .layer(from_fn(no_keys_in_query))
        .layer(from_fn(move |request, next| request_ids(ids.clone(), request, next)))
}

/// Reads the change log once a second: a write whose caller hung up before it was in force comes into force all the same.
async fn keep_up(propagation: Arc<Propagation>, mut accepting: watch::Receiver<bool>) {
    let mut is_failing = false;
    loop {
        tokio::select! {
            () = tokio::time::sleep(KEEP_UP_EVERY) => {}
            _ = accepting.wait_for(|accepting| !*accepting) => return,
        }
        let caught_up = propagation.catch_up().await;
        if let (Err(fault), false) = (&caught_up, is_failing) {
            tracing::warn!(error = fault.cause(), "the configuration cannot be read: {fault}");
        }
        is_failing = caught_up.is_err();
    }
}

async fn listen(host: std::net::IpAddr, port: u16, variable: &str) -> Outcome<TcpListener> {
    TcpListener::bind((host, port)).await.map_err(|error| {
        let sentence = format!("{variable}: cannot listen on {host} port {port}: {error}");
        Fault::new(Kind::Unavailable).say(sentence)
    })
}

fn local_address(listener: &TcpListener) -> Outcome<SocketAddr> {
    listener.local_addr().map_err(|error| Fault::new(Kind::Internal).because(error))
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
