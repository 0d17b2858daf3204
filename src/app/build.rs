//! Settings to a running gateway.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::middleware::from_fn;
use tokio::sync::watch;
use tonic_health::server::HealthReporter;

use super::answers::Answers;
use super::books::{Books, Keeping};
use super::doors::{Addresses, Doors, Faces};
use super::figures;
use super::follow::Follower;
use super::retention;
use super::storage::Storage;
use super::sweep;
use super::switches::Switches;
use super::telemetry;
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
use crate::cache::redis::RedisCache;
use crate::cache::{Capacity, ResponseCache};
use crate::catalog::Catalog;
use crate::config::Config;
use crate::config::cache::Cache as CacheSettings;
use crate::config::limits::Limits;
use crate::config::responses::Responses;
use crate::config::server::{Cors, Server};
use crate::config::store::Strictness;
use crate::config::telemetry::Telemetry;
use crate::config::upstream::{self, Upstream};
use crate::control::replicas::Identity;
use crate::control::system::Mode;
use crate::control::{Control, CreateOptions, Parts as ControlParts, Propagation, Replicas, Usage};
use crate::documents::Documents;
use crate::domain::audit::Caller;
use crate::domain::deployment::{DeploymentDraft, DeploymentSpec};
use crate::domain::ids::Revision;
use crate::domain::names::PublicModel;
use crate::domain::replica::ReplicaId;
use crate::domain::secret::{Credentials, ExposeSecret, SecretString};
use crate::fault::{Kind, Outcome};
use crate::gateway::{Bounds, Caching, ErrorDetail, Gateway, Parts as GatewayParts, Refusals, StateParts, States};
use crate::providers;
use crate::routing::{ProbeDeployment, Publisher, Snapshot};
use crate::telemetry::metrics::Metrics;
use crate::telemetry::otel::Sent;
use crate::telemetry::rate::Rate;
use crate::time::{Clock, SystemClock};
use crate::transport::{ClientSettings, Connects, HttpClient, Places, RemoteContent, Uploads};
use crate::vault::{Entropy, Keyring, MasterKey, SystemEntropy};

/// The public model that answers out of the box.
pub(super) const FIRST_MODEL: &str = "echo";
/// Log lines of refused requests in one second.
const REFUSAL_LINES: u32 = 20;
const MAX_REPLY_BYTES: usize = 64 * 1024 * 1024;
const MAX_ERROR_BYTES: usize = 256 * 1024;
const MAX_FRAME_BYTES: usize = 16 * 1024 * 1024;

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
    pub(super) drain_delay: Duration,
    pub(super) shutdown_timeout: Duration,
    pub(super) grpc_health: HealthReporter,
    pub(super) replicas: Arc<Replicas>,
    pub(super) usage: Arc<Usage>,
    pub(super) switches: Switches,
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
    let Config { server, security, store, limits, upstream, responses, cache, telemetry, .. } = config;
    let keeping = Keeping::of(&store).await?;
    let redis = keeping.redis().cloned();
    let retention_days = store.operations_retention_days;
    let is_strict = store.readiness == Strictness::Strict;
    let (storage, secrets) = Storage::open(store, security).await?;
    let doors = Doors::open(&server).await?;
    let keys = (MasterKey::new(secrets.master_key.expose_secret()), Arc::new(secrets.keyring));
    let ground = Ground::lay(storage, keys, keeping, (clock, began))?;
    let is_shared = ground.is_shared();
    let readiness = Readiness {
        postgres: is_shared.then_some(false),
        redis: redis.as_ref().map(|_| false),
        is_strict,
        ..Readiness::default()
    };
    let switches = Switches::new(readiness);
    let settings = GatewaySettings { limits: &limits, upstream, responses, cache, telemetry, redis: redis.as_ref() };
    let plane = ground.data_plane(settings, stage, &switches)?;
    let core = Core::build(&ground, &plane)?;
    if !is_shared {
        // What was answered before is stored before anything is answered now.
        if let Err(error) = ground.books.recorder.recover().await {
            tracing::warn!(%error, "records that an ended process left cannot be stored now; they will be");
        }
        // A file of one's own is there or it is not: what is wrong with it stops the start.
        core.propagation.load().await?;
        core.furnish().await?;
    }

    let bodies = BodyReader::new(limits.max_json_body_bytes, limits.max_inflight_body_bytes, limits.body_read_timeout);
    let bodies = Arc::new(bodies);
    figures::register(&ground.metrics, ground.sources(&plane, &doors, &bodies, &switches));
    let (faces, grpc_health) = ground.faces(&core, plane.gateway, bodies, (&server, &limits, &doors), &switches)?;
    grpc::set_health(&grpc_health, false).await;
    let addresses = doors.serve(faces, &server, &limits, &switches)?;

    let (background, last_breath) = (&switches.background, &switches.last_breath);
    let (sink, states) = (Arc::clone(ground.books.recorder.sink()), ground.storage.stores().response_states);
    background.start(retention::run(sink, Arc::clone(&ground.clock), retention_days, last_breath.clone()));
    background.start(sweep::run(states, Arc::clone(&ground.clock), last_breath.clone()));
    if let Some(cache) = plane.shared_cache {
        switches.keep(async move { cache.run().await });
    }
    let redis = ground.books.keep(&ground.publisher, &ground.clock, &switches);
    let follower = Follower {
        session: ground.storage.listen(background, last_breath.clone()),
        storage: Arc::clone(&ground.storage),
        propagation: core.propagation,
        replicas: Arc::clone(&core.control.replicas),
        redis,
        readiness: switches.readiness.clone(),
        grpc_health: grpc_health.clone(),
        accepting: switches.accepting.subscribe(),
    };
    let mut loaded = switches.readiness.subscribe();
    switches.tasks.start(follower.run());
    if !is_shared {
        // The first report is made at once; nothing of it can fail.
        _ = loaded.wait_for(|readiness| readiness.is_loaded).await;
    }
    let started_in = ground.clock.instant().saturating_duration_since(began);
    let Addresses { http: http_address, grpc: grpc_address, admin, metrics: metrics_address } = addresses;
    tracing::info!(%http_address, %grpc_address, ready_ms = ms(started_in), "the gateway serves");
    Ok(Running {
        http_address,
        admin_http_address: admin.or_else(|| server.admin_http.then_some(http_address)),
        metrics_address,
        is_tls: server.tls.is_some(),
        grpc_address,
        new_master_key: secrets.is_new.then_some(secrets.master_key),
        master_key_path: secrets.path,
        mode: ground.storage.mode(),
        started_in,
        drain_delay: server.drain_delay,
        shutdown_timeout: server.shutdown_timeout,
        grpc_health,
        replicas: core.control.replicas,
        usage: core.control.usage,
        switches,
        storage: ground.storage,
    })
}

/// What both planes stand on.
struct Ground {
    clock: Arc<dyn Clock>,
    began: Instant,
    storage: Arc<Storage>,
    master: MasterKey,
    keyring: Arc<Keyring>,
    identity: Identity,
    publisher: Arc<Publisher>,
    books: Books,
    metrics: Arc<Metrics>,
    sent: Arc<Sent>,
}

/// Settings of the data plane.
struct GatewaySettings<'a> {
    limits: &'a Limits,
    upstream: Upstream,
    responses: Responses,
    cache: CacheSettings,
    telemetry: Telemetry,
    redis: Option<&'a SecretString>,
}

/// The data plane, and what others see of it.
struct DataPlane {
    gateway: Gateway,
    cache: Arc<dyn ResponseCache>,
    shared_cache: Option<Arc<RedisCache>>,
    connects: Arc<Connects>,
    refusals: Arc<Refusals>,
}

impl Ground {
    fn lay(
        storage: Storage,
        (master, keyring): (MasterKey, Arc<Keyring>),
        keeping: Keeping,
        (clock, began): (Arc<dyn Clock>, Instant),
    ) -> Outcome<Self> {
        let identity = identity(&clock);
        Ok(Self {
            books: Books::open(keeping, storage.stores().usage, &identity, &clock)?,
            publisher: Arc::new(Publisher::new(Snapshot::empty(clock.now()))),
            storage: Arc::new(storage),
            metrics: Arc::default(),
            sent: Arc::default(),
            clock,
            began,
            master,
            keyring,
            identity,
        })
    }

    fn is_shared(&self) -> bool {
        self.storage.mode() == Mode::Clustered
    }

    fn data_plane(&self, settings: GatewaySettings<'_>, stage: Stage, switches: &Switches) -> Outcome<DataPlane> {
        let GatewaySettings { limits, upstream, responses, cache, telemetry, redis } = settings;
        let calls = ClientSettings {
            connect_timeout: upstream.connect_timeout,
            extra_authorities_pem: upstream.extra_authorities.map(|bundle| bundle.pem),
        };
        let telemetry_parts = telemetry::Parts {
            settings: telemetry,
            calls: &calls,
            identity: &self.identity,
            metrics: &self.metrics,
            sent: &self.sent,
            clock: &self.clock,
        };
        let tracer = telemetry::start(telemetry_parts, &switches.background, switches.recording_ends.subscribe())?;
        let room = Capacity { bytes: cache.max_bytes, entries: cache.max_entries };
        let Answers { cache, shared } = Answers::open(redis, room, &self.keyring, &self.clock)?;
        let client = HttpClient::new(&calls)?;
        let connects = client.connects();
        let refusals: Arc<Refusals> = Arc::default();
        let gateway = Gateway::new(GatewayParts {
            publisher: Arc::clone(&self.publisher),
            master_key: self.master.clone(),
            client,
            remote: RemoteContent::new(&calls, stage.places)?,
            strips_exif: upstream.strips_exif,
            documents: Documents::new(stage.program),
            clock: Arc::clone(&self.clock),
            dice: Arc::new(SystemEntropy::roll),
            spawn: Arc::new(switches.tasks.clone()),
            stopping: switches.stopping.subscribe(),
            ledger: Arc::clone(&self.books.ledger),
            health: Arc::clone(&self.books.health),
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
                port: self.storage.stores().response_states,
                keyring: Arc::clone(&self.keyring),
                entropy: Arc::new(SystemEntropy),
                clock: Arc::clone(&self.clock),
                default_store: responses.store_default,
                retention: responses.retention,
            })),
            metrics: Arc::clone(&self.metrics),
            tracer,
            refusal_lines: Arc::new(Rate::new(REFUSAL_LINES)),
            caching: Arc::new(Caching::new(Arc::clone(&cache))),
        });
        Ok(DataPlane { gateway, cache, shared_cache: shared, connects, refusals })
    }

    /// What metrics are read from.
    fn sources(
        &self,
        plane: &DataPlane,
        doors: &Doors,
        bodies: &Arc<BodyReader>,
        switches: &Switches,
    ) -> figures::Sources {
        figures::Sources {
            clock: Arc::clone(&self.clock),
            began: self.began,
            publisher: Arc::clone(&self.publisher),
            health: Arc::clone(&self.books.health),
            readiness: switches.readiness.subscribe(),
            bodies: Arc::clone(bodies),
            connects: Arc::clone(&plane.connects),
            connections: doors.counts(),
            sent: Arc::clone(&self.sent),
            refusals: Arc::clone(&plane.refusals),
            mode: self.storage.mode(),
            database: self.storage.counted(),
            recorder: Arc::clone(&self.books.recorder),
        }
    }

    /// What is served behind the doors, and the health that gRPC tells.
    fn faces(
        &self,
        core: &Core,
        gateway: Gateway,
        bodies: Arc<BodyReader>,
        (server, limits, doors): (&Server, &Limits, &Doors),
        switches: &Switches,
    ) -> Outcome<(Faces, HealthReporter)> {
        let auth = Arc::new(AdminAuth::new(self.master.clone(), Arc::clone(&self.clock)));
        let forms = FormReader {
            uploads: Uploads::new(limits.upload_dir.clone(), limits.max_inflight_upload_bytes as u64),
            max_audio_bytes: limits.max_audio_upload_bytes,
            max_image_bytes: limits.max_image_upload_bytes,
        };
        let public_model_list = server.public_model_list;
        let state = HttpState { gateway, forms: Arc::new(forms), bodies, public_model_list };
        let health = core.health(switches.readiness.subscribe(), &self.clock);
        let mut http = http::router(state).merge(health::router(health)).merge(openapi::router());
        let own_auth = (!doors.has_own_metrics()).then(|| Arc::clone(&auth));
        let figures = metrics::router(MetricsState { metrics: Arc::clone(&self.metrics), auth: own_auth });
        let mut apart = None;
        if doors.has_own_metrics() {
            apart = Some(self.with_edge(figures));
        } else {
            http = http.merge(figures);
        }
        let mut admin = None;
        if server.admin_http {
            let routes = rest::router(RestState { control: core.control.clone(), auth: Arc::clone(&auth) });
            if doors.has_own_admin() {
                admin = Some(self.with_edge(routes));
            } else {
                http = http.merge(routes);
            }
        }
        let mut http = self.with_edge(http);
        if let Some(cors) = cors(&server.cors) {
            http = http.layer(cors);
        }
        let (clock, entropy) = (Arc::clone(&self.clock), Arc::new(SystemEntropy));
        let (services, health) = grpc::services(GrpcState { control: core.control.clone(), auth, clock, entropy })?;
        Ok((Faces { http, admin, metrics: apart, grpc: services.into_axum_router() }, health))
    }

    /// What every request passes first and every answer last.
    fn with_edge(&self, routes: Router) -> Router {
        let metrics = Arc::clone(&self.metrics);
        let ids = RequestIds::new(Arc::clone(&self.clock), Arc::new(SystemEntropy));
        routes
            .fallback(http::unknown_path)
            .method_not_allowed_fallback(http::wrong_method)
            .layer(from_fn(no_keys_in_query))
            .layer(from_fn(move |request, next| border::count(Arc::clone(&metrics), request, next)))
            .layer(from_fn(move |request, next| request_ids(ids.clone(), request, next)))
    }
}

/// The control plane and the snapshot it publishes.
struct Core {
    control: Control,
    publisher: Arc<Publisher>,
    propagation: Arc<Propagation>,
}

impl Core {
    /// Puts the control plane together. Reads nothing yet.
    fn build(ground: &Ground, plane: &DataPlane) -> Outcome<Self> {
        let stores = ground.storage.stores();
        let catalog = Arc::new(Catalog::load(providers::presets())?);
        let propagation = Arc::new(Propagation::new(
            stores.clone(),
            Arc::clone(&catalog),
            Arc::clone(&ground.keyring),
            Arc::clone(&ground.publisher),
            Arc::clone(&ground.clock),
        ));
        let gateway = Arc::new(plane.gateway.clone());
        let parts = ControlParts {
            stores,
            catalog,
            keyring: Arc::clone(&ground.keyring),
            entropy: Arc::new(SystemEntropy),
            clock: Arc::clone(&ground.clock),
            propagation: Arc::clone(&propagation),
            ledger: Arc::clone(&ground.books.ledger),
            probe: Arc::clone(&gateway) as Arc<dyn ProbeDeployment>,
            explainer: gateway,
            cache: Arc::clone(&plane.cache),
        };
        let control = Control::new(parts, ground.identity.clone(), ground.storage.mode(), env!("CARGO_PKG_VERSION"));
        Ok(Self { control, publisher: Arc::clone(&ground.publisher), propagation })
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

/// Web pages that may call the data plane, as a layer.
fn cors(origins: &Cors) -> Option<tower_http::cors::CorsLayer> {
    match origins {
        Cors::Off => None,
        Cors::Any => Some(http::cors::layer(None)),
        Cors::Origins(origins) => Some(http::cors::layer(Some(origins.clone()))),
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

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
