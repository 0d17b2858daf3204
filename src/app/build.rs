//! Settings to a running gateway.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::Duration;

use axum::Router;
use axum::middleware::from_fn;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic_health::server::HealthReporter;

use super::answers::Answers;
use super::figures;
use super::follow::Follower;
use super::retention;
use super::serve::{ConnectionCount, Listener};
use super::storage::{Secrets, Storage};
use super::sweep;
use super::tasks::Tasks;
use super::telemetry;
use super::tls::{self, Protocols};
use crate::api::admin_auth::AdminAuth;
use crate::api::grpc::{self, GrpcState};
use crate::api::http::body::BodyReader;
use crate::api::http::border;
use crate::api::http::edge::{RequestIds, no_keys_in_query, request_ids};
use crate::api::http::multipart::FormReader;
use crate::api::http::{self, HttpState};
use crate::api::openapi;
use crate::api::ops::health::{self, HealthState, Readiness, SnapshotView};
use crate::api::ops::metrics::{self, MetricsState};
use crate::api::rest::{self, RestState};
use crate::cache::{Capacity, ResponseCache};
use crate::catalog::Catalog;
use crate::config::server::{Cors, TlsFiles};
use crate::config::store::Strictness;
use crate::config::{Config, upstream};
use crate::control::replicas::Identity;
use crate::control::system::Mode;
use crate::control::{Control, CreateOptions, Parts as ControlParts, Propagation, Replicas, Usage};
use crate::documents::Documents;
use crate::domain::audit::Caller;
use crate::domain::deployment::{DeploymentDraft, DeploymentSpec};
use crate::domain::ids::Revision;
use crate::domain::names::PublicModel;
use crate::domain::ports::SharedHealth;
use crate::domain::replica::ReplicaId;
use crate::domain::secret::{Credentials, ExposeSecret};
use crate::fault::{Fault, Kind, Outcome};
use crate::gateway::{Bounds, Caching, ErrorDetail, Gateway, Parts as GatewayParts, Refusals, StateParts, States};
use crate::ledger::Ledger;
use crate::ledger::memory::MemoryLedger;
use crate::ledger::redis::{RedisHealth, RedisLedger, RedisLink, Setup, beat, close};
use crate::ledger::settle::{Journal, Recorder};
use crate::ledger::spool::{MOST_BYTES, Spool};
use crate::providers;
use crate::routing::{Health, ProbeDeployment, Publisher, Shared, Snapshot};
use crate::telemetry::metrics::Metrics;
use crate::telemetry::otel::Sent;
use crate::telemetry::rate::Rate;
use crate::time::{Clock, SystemClock};
use crate::transport::{ClientSettings, HttpClient, Places, RemoteContent, Uploads};
use crate::vault::{Entropy, MasterKey, SystemEntropy};

/// The public model that answers out of the box.
pub(super) const FIRST_MODEL: &str = "echo";
/// Log lines of refused requests in one second.
const REFUSAL_LINES: u32 = 20;
const MAX_REPLY_BYTES: usize = 64 * 1024 * 1024;
const MAX_ERROR_BYTES: usize = 256 * 1024;
const MAX_FRAME_BYTES: usize = 16 * 1024 * 1024;

/// What the ledger's keys in Redis begin with. The tag keeps them together, should they ever be spread over servers.
const LEDGER_PREFIX: &str = "unified:{ledger}:";
/// In a ledger that was lost every replica holds again what it held by then: four signs of life.
const LEDGER_YOUTH: Duration = Duration::from_secs(2);

/// A gateway that serves.
pub struct Running {
    /// Where HTTP is served.
    pub http_address: SocketAddr,
    /// Where `/admin` is served, if at all.
    pub admin_http_address: Option<SocketAddr>,
    /// Where `/metrics` is served, if it has a listener of its own.
    pub metrics_address: Option<SocketAddr>,
    /// Whether HTTP is served over TLS.
    pub is_tls: bool,
    /// Where gRPC is served.
    pub grpc_address: SocketAddr,
    /// The file that has the master key, unless a setting gave it.
    pub master_key_path: Option<PathBuf>,
    /// The master key, if this start made it.
    pub new_master_key: Option<crate::domain::secret::SecretString>,
    /// How it is set up.
    pub mode: Mode,
    /// How long the start took.
    pub started_in: Duration,
    pub(super) tasks: Tasks,
    pub(super) readiness: watch::Sender<Readiness>,
    pub(super) accepting: watch::Sender<bool>,
    pub(super) stopping: watch::Sender<bool>,
    pub(super) drain_delay: Duration,
    pub(super) shutdown_timeout: Duration,
    pub(super) grpc_health: HealthReporter,
    pub(super) replicas: Arc<Replicas>,
    pub(super) usage: Arc<Usage>,
    /// Ends what lives until the store is closed.
    pub(super) last_breath: CancellationToken,
    /// Becomes `true` when nothing more is recorded.
    pub(super) recording_ends: watch::Sender<bool>,
    pub(super) background: Tasks,
    pub(super) storage: Arc<Storage>,
}

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Running").field("http_address", &self.http_address).finish_non_exhaustive()
    }
}

/// Starts a gateway: store, snapshot, faces, listeners. In embedded mode it takes traffic when this returns; in
/// production mode as soon as its databases have given it a configuration, which `GET /health/ready` tells.
///
/// # Errors
/// What keeps it from starting, in words for the operator.
pub async fn start(config: Config) -> Outcome<Running> {
    Box::pin(start_on(config, Stage::default())).await
}

/// What tests put in the place of the world around a gateway: no setting leads here.
#[derive(Debug, Clone, Default)]
pub struct Stage {
    /// Where hosts of URLs in requests are.
    pub places: Places,
    /// The program that reads documents, instead of the running one.
    pub program: Option<PathBuf>,
}

/// The same as [`start`] in a world of the caller's making.
///
/// # Errors
/// What keeps it from starting, in words for the operator.
pub async fn start_on(config: Config, stage: Stage) -> Outcome<Running> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let began = clock.instant();
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    let Config { server, security, store: store_settings, limits, upstream, responses, cache, telemetry: otel, .. } =
        config;
    let is_strict = store_settings.readiness == Strictness::Strict;
    let redis = store_settings.databases.as_ref().and_then(|databases| databases.redis.as_ref());
    let news_url = redis.cloned();
    let answers_in = redis.cloned();
    let redis = redis.map(|url| RedisLink::new(url, LEDGER_PREFIX)).transpose()?;
    if let Some(link) = &redis {
        link.check().await?;
    }
    let fails_open = store_settings.databases.as_ref().is_some_and(|databases| databases.fails_open);
    let spool = store_settings.databases.as_ref().and_then(|_| spool(&store_settings.data_dir));
    let journal_folder = store_settings.databases.is_none().then(|| store_settings.data_dir.join("journal"));
    let retention_days = store_settings.operations_retention_days;
    let (storage, secrets) = Storage::open(store_settings, security).await?;
    let storage = Arc::new(storage);
    let http_listener = listen(server.host, server.port, "PORT").await?;
    let grpc_listener = listen(server.host, server.grpc_port, "GRPC_PORT").await?;
    let admin_listener = match server.admin_http_port {
        Some(port) => Some(listen(server.host, port, "ADMIN_HTTP_PORT").await?),
        None => None,
    };

    let metrics_listener = match server.metrics_port {
        Some(port) => Some(listen(server.host, port, "METRICS_PORT").await?),
        None => None,
    };
    let (metrics, sent) = (Arc::new(Metrics::default()), Arc::new(Sent::default()));

    let tasks = Tasks::default();
    let (stopping, must_stop) = watch::channel(false);
    let (accepting, must_close) = watch::channel(true);
    let is_shared = storage.mode() == Mode::Clustered;
    let (readiness, readiness_view) = watch::channel(Readiness {
        postgres: is_shared.then_some(false),
        redis: redis.as_ref().map(|_| false),
        is_strict,
        ..Readiness::default()
    });
    let Secrets { master_key, is_new, path: master_key_path, keyring } = secrets;
    let keyring = Arc::new(keyring);
    let publisher = Arc::new(Publisher::new(Snapshot::empty(clock.now())));
    let master = MasterKey::new(master_key.expose_secret());
    let auth = Arc::new(AdminAuth::new(master.clone(), Arc::clone(&clock)));
    let identity = identity(&clock);
    let recorder = Recorder::new(storage.stores().usage, Arc::clone(&clock));
    let recorder = Arc::new(match spool {
        Some(spool) => recorder.with_spool(spool),
        None => journaled(recorder, journal_folder.as_deref()),
    });
    if let Err(error) = recorder.recover().await {
        tracing::warn!(%error, "records that an ended process left cannot be stored now; they will be");
    }
    let redis = redis.map(|link| {
        let setup = Setup { replica: identity.id.as_uuid().to_string(), fails_open, youth: LEDGER_YOUTH };
        let ledger = Arc::new(RedisLedger::new(link, setup, Arc::clone(&recorder), Arc::clone(&clock)));
        let after: Weak<RedisLedger> = Arc::downgrade(&ledger);
        recorder.tell(after);
        ledger
    });
    // Counters of this process alone are right only where it is alone.
    let ledger: Arc<dyn Ledger> = match &redis {
        Some(shared) => Arc::clone(shared) as Arc<dyn Ledger>,
        None => Arc::new(MemoryLedger::new(Arc::clone(&clock), Arc::clone(&recorder))),
    };
    let health = Arc::new(Health::new(clock.instant()));
    let replica = identity.id.as_uuid().to_string();
    let news = news_url.map(|url| RedisHealth::new(&url, LEDGER_PREFIX, replica, Arc::clone(&clock)));
    let news = news.transpose()?.map(Arc::new);
    if let Some(news) = &news {
        health.share(Arc::clone(news) as Arc<dyn SharedHealth>);
    }
    let hears = Shared::new(Arc::clone(&health), Arc::clone(&publisher), Arc::clone(&clock));
    let calls = ClientSettings {
        connect_timeout: upstream.connect_timeout,
        extra_authorities_pem: upstream.extra_authorities.map(|bundle| bundle.pem),
    };
    let background = Tasks::default();
    let (recording_ends, must_end) = watch::channel(false);
    let telemetry_parts = telemetry::Parts {
        settings: otel,
        calls: &calls,
        identity: &identity,
        metrics: &metrics,
        sent: &sent,
        clock: &clock,
    };
    let tracer = telemetry::start(telemetry_parts, &background, must_end.clone())?;
    let client = HttpClient::new(&calls)?;
    let connects = client.connects();
    let room = Capacity { bytes: cache.max_bytes, entries: cache.max_entries };
    let Answers { cache, shared } = Answers::open(answers_in.as_ref(), room, &keyring, &clock)?;
    let refusals: Arc<Refusals> = Arc::default();
    let gateway = Gateway::new(GatewayParts {
        publisher: Arc::clone(&publisher),
        master_key: master,
        client,
        remote: RemoteContent::new(&calls, stage.places)?,
        documents: Documents::new(stage.program),
        clock: Arc::clone(&clock),
        dice: Arc::new(SystemEntropy::roll),
        spawn: Arc::new(tasks.clone()),
        stopping: must_stop,
        ledger: Arc::clone(&ledger),
        health: Arc::clone(&health),
        learned: Arc::default(),
        turns: Arc::default(),
        refusals: Arc::clone(&refusals),
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
        states: Arc::new(States::new(StateParts {
            port: storage.stores().response_states,
            keyring: Arc::clone(&keyring),
            entropy: Arc::new(SystemEntropy),
            clock: Arc::clone(&clock),
            default_store: responses.store_default,
            retention: responses.retention,
        })),
        metrics: Arc::clone(&metrics),
        tracer,
        refusal_lines: Arc::new(Rate::new(REFUSAL_LINES)),
        caching: Arc::new(Caching::new(Arc::clone(&cache))),
    });
    let core = Core::build(&storage, keyring, &clock, publisher, identity, (ledger, Arc::new(gateway.clone()), cache))?;
    if !is_shared {
        // A file of one's own is there or it is not: what is wrong with it stops the start.
        core.propagation.load().await?;
        core.furnish().await?;
    }

    let bodies = BodyReader::new(limits.max_json_body_bytes, limits.max_inflight_body_bytes, limits.body_read_timeout);
    let bodies = Arc::new(bodies);
    let uploads = Uploads::new(limits.upload_dir.clone(), limits.max_inflight_upload_bytes as u64);
    let forms = FormReader {
        uploads,
        max_audio_bytes: limits.max_audio_upload_bytes,
        max_image_bytes: limits.max_image_upload_bytes,
    };
    let state = HttpState {
        gateway,
        forms: Arc::new(forms),
        bodies: Arc::clone(&bodies),
        public_model_list: server.public_model_list,
    };
    let mut routes = http::router(state).merge(health::router(core.health(readiness_view, &clock)));
    let counts = ["http", "admin", "grpc", "metrics"].map(ConnectionCount::new);
    figures::register(
        &metrics,
        figures::Sources {
            clock: Arc::clone(&clock),
            began,
            publisher: Arc::clone(&core.publisher),
            health,
            readiness: readiness.subscribe(),
            bodies,
            connects,
            connections: counts.to_vec(),
            sent,
            refusals,
            mode: storage.mode(),
            postgres: storage.shared(),
            recorder: Arc::clone(&recorder),
        },
    );
    let [http_count, admin_count, grpc_count, metrics_count] = counts;
    let figures_auth = metrics_listener.is_none().then(|| Arc::clone(&auth));
    let figures_routes = metrics::router(MetricsState { metrics: Arc::clone(&metrics), auth: figures_auth });
    let mut metrics_routes = None;
    match metrics_listener {
        Some(_) => metrics_routes = Some(with_edge(figures_routes, &clock, &metrics)),
        None => routes = routes.merge(figures_routes),
    }
    routes = routes.merge(openapi::router());
    let mut admin_routes = None;
    if server.admin_http {
        let admin = rest::router(RestState { control: core.control.clone(), auth: Arc::clone(&auth) });
        match admin_listener {
            Some(_) => admin_routes = Some(with_edge(admin, &clock, &metrics)),
            None => routes = routes.merge(admin),
        }
    }
    let mut routes = with_edge(routes, &clock, &metrics);
    if let Some(cors) = cors(&server.cors) {
        routes = routes.layer(cors);
    }
    let grpc_state =
        GrpcState { control: core.control.clone(), auth, clock: Arc::clone(&clock), entropy: Arc::new(SystemEntropy) };
    let (services, grpc_health) = grpc::services(grpc_state)?;
    grpc::set_health(&grpc_health, false).await;

    let http_address = local_address(&http_listener)?;
    let grpc_address = local_address(&grpc_listener)?;
    let admin_http_address = match &admin_listener {
        Some(listener) => Some(local_address(listener)?),
        None => server.admin_http.then_some(http_address),
    };
    let metrics_address = metrics_listener.as_ref().map(local_address).transpose()?;
    let is_tls = server.tls.is_some();
    let certificates = |files: Option<TlsFiles>, protocols| {
        let read = |files| tls::certificates(files, protocols, server.tls_reload, &tasks, must_close.clone());
        files.map(read).transpose()
    };
    let http_certificates = certificates(server.tls, Protocols::Http)?;
    let grpc_certificates = certificates(server.grpc_tls, Protocols::Grpc)?;
    let serve = |(listener, count), routes, certificates, stopping| {
        let listener = Listener {
            listener,
            count,
            routes,
            certificates,
            header_read_timeout: limits.header_read_timeout,
            write_timeout: limits.client_write_timeout,
            trusted_proxy_hops: server.trusted_proxy_hops,
            tasks: tasks.clone(),
            accepting: must_close.clone(),
            stopping,
        };
        tasks.start(listener.serve());
    };
    serve((http_listener, http_count), routes, http_certificates.clone(), None);
    if let (Some(listener), Some(routes)) = (admin_listener, admin_routes) {
        serve((listener, admin_count), routes, http_certificates.clone(), None);
    }
    if let (Some(listener), Some(routes)) = (metrics_listener, metrics_routes) {
        serve((listener, metrics_count), routes, http_certificates, None);
    }
    serve((grpc_listener, grpc_count), services.into_axum_router(), grpc_certificates, Some(stopping.subscribe()));
    let last_breath = CancellationToken::new();
    background.start(retention::run(
        Arc::clone(recorder.sink()),
        Arc::clone(&clock),
        retention_days,
        last_breath.clone(),
    ));
    background.start(async move { recorder.run(must_end).await });
    let redis = redis.map(|ledger| {
        let (is_up, seen) = watch::channel(false);
        let (stop, closing) = (last_breath.clone(), Arc::clone(&ledger));
        background.start(async move {
            _ = stop.run_until_cancelled(beat::run(ledger, is_up)).await;
        });
        let stop = last_breath.clone();
        background.start(async move {
            _ = stop.run_until_cancelled(close::run(closing)).await;
        });
        seen
    });
    if let Some(news) = news {
        let stop = last_breath.clone();
        background.start(async move {
            _ = stop.run_until_cancelled(news.run(Arc::new(hears))).await;
        });
    }
    if let Some(cache) = shared {
        let stop = last_breath.clone();
        background.start(async move {
            _ = stop.run_until_cancelled(cache.run()).await;
        });
    }
    let follower = Follower {
        session: storage.listen(&background, last_breath.clone()),
        storage: Arc::clone(&storage),
        propagation: core.propagation,
        replicas: Arc::clone(&core.control.replicas),
        redis,
        readiness: readiness.clone(),
        grpc_health: grpc_health.clone(),
        accepting: accepting.subscribe(),
    };
    background.start(sweep::run(storage.stores().response_states, Arc::clone(&clock), last_breath.clone()));
    let mut loaded = readiness.subscribe();
    tasks.start(follower.run());
    if !is_shared {
        // The first report is made at once; nothing of it can fail.
        _ = loaded.wait_for(|readiness| readiness.is_loaded).await;
    }
    let started_in = clock.instant().saturating_duration_since(began);
    tracing::info!(%http_address, %grpc_address, ready_ms = ms(started_in), "the gateway serves");
    Ok(Running {
        http_address,
        admin_http_address,
        metrics_address,
        is_tls,
        grpc_address,
        new_master_key: is_new.then_some(master_key),
        master_key_path,
        mode: storage.mode(),
        started_in,
        tasks,
        readiness,
        accepting,
        stopping,
        drain_delay: server.drain_delay,
        shutdown_timeout: server.shutdown_timeout,
        grpc_health,
        replicas: core.control.replicas,
        usage: core.control.usage,
        last_breath,
        recording_ends,
        background,
        storage,
    })
}

/// The control plane and the snapshot it publishes.
struct Core {
    control: Control,
    publisher: Arc<Publisher>,
    propagation: Arc<Propagation>,
}

impl Core {
    /// Puts the control plane together. Reads nothing yet.
    fn build(
        storage: &Storage,
        keyring: Arc<crate::vault::Keyring>,
        clock: &Arc<dyn Clock>,
        publisher: Arc<Publisher>,
        identity: Identity,
        (ledger, gateway, cache): (Arc<dyn Ledger>, Arc<Gateway>, Arc<dyn ResponseCache>),
    ) -> Outcome<Self> {
        let stores = storage.stores();
        let catalog = Arc::new(Catalog::load(providers::presets())?);
        let propagation = Arc::new(Propagation::new(
            stores.clone(),
            Arc::clone(&catalog),
            Arc::clone(&keyring),
            Arc::clone(&publisher),
            Arc::clone(clock),
        ));
        let parts = ControlParts {
            stores,
            catalog,
            keyring,
            entropy: Arc::new(SystemEntropy),
            clock: Arc::clone(clock),
            propagation: Arc::clone(&propagation),
            ledger,
            probe: Arc::clone(&gateway) as Arc<dyn ProbeDeployment>,
            explainer: gateway,
            cache,
        };
        let control = Control::new(parts, identity, storage.mode(), env!("CARGO_PKG_VERSION"));
        Ok(Self { control, publisher, propagation })
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
fn with_edge(routes: Router, clock: &Arc<dyn Clock>, metrics: &Arc<Metrics>) -> Router {
    let metrics = Arc::clone(metrics);
    let ids = RequestIds::new(Arc::clone(clock), Arc::new(SystemEntropy));
    routes
        .fallback(http::unknown_path)
        .method_not_allowed_fallback(http::wrong_method)
        .layer(from_fn(no_keys_in_query))
        .layer(from_fn(move |request, next| border::count(Arc::clone(&metrics), request, next)))
        .layer(from_fn(move |request, next| request_ids(ids.clone(), request, next)))
}

/// Web pages that may call the data plane, as a layer.
fn cors(origins: &Cors) -> Option<tower_http::cors::CorsLayer> {
    match origins {
        Cors::Off => None,
        Cors::Any => Some(http::cors::layer(None)),
        Cors::Origins(origins) => Some(http::cors::layer(Some(origins.clone()))),
    }
}

/// Where records wait while PostgreSQL is away. Without a folder that can be written to they wait in memory.
fn spool(data_dir: &std::path::Path) -> Option<Spool> {
    match Spool::open(&data_dir.join("spool"), MOST_BYTES) {
        Ok(spool) => Some(spool),
        Err(error) => {
            tracing::warn!(%error, "DATA_DIR cannot be written to: while PostgreSQL is away, records wait in memory alone");
            None
        }
    }
}

/// Where records wait a moment for SQLite. Without a folder that can be written to, answers wait for it.
fn journaled(recorder: Recorder, folder: Option<&std::path::Path>) -> Recorder {
    match folder.map(Journal::open) {
        Some(Ok(journal)) => recorder.with_journal(journal),
        Some(Err(error)) => {
            tracing::warn!(%error, "DATA_DIR/journal cannot be used: every answer waits for the database");
            recorder
        }
        None => recorder,
    }
}

/// This process, as the other replicas see it.
fn identity(clock: &Arc<dyn Clock>) -> Identity {
    let mut dice = [0; 10];
    SystemEntropy.fill(&mut dice);
    let started_at = clock.now();
    let ms = u64::try_from(started_at.unix_ms()).unwrap_or_default();
    let id = uuid::Builder::from_unix_timestamp_millis(ms, &dice).into_uuid();
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host: String = host.trim().chars().take(63).collect();
    Identity {
        id: ReplicaId::from_uuid(id),
        host: if host.is_empty() { "unknown".to_owned() } else { host },
        version: env!("CARGO_PKG_VERSION").to_owned(),
        started_at,
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
