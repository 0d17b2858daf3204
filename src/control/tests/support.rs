//! A control plane of one's own for each test.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::cache::Capacity;
use crate::cache::memory::MemoryCache;
use crate::catalog::Catalog;
use crate::control::deployment::CreatedDeployment;
use crate::control::replicas::Identity;
use crate::control::system::Mode;
use crate::control::{ChangeOptions, Control, CreateOptions, Parts, Propagation};
use crate::domain::audit::{AuditEntry, Caller};
use crate::domain::deployment::{Deployment, DeploymentDraft, DeploymentSpec};
use crate::domain::ids::Revision;
use crate::domain::names::PublicModel;
use crate::domain::operation::{Operation, Transport};
use crate::domain::preset::{CredentialField, Preset};
use crate::domain::replica::ReplicaId;
use crate::domain::secret::Credentials;
use crate::domain::virtual_key::VirtualKeySpec;
use crate::fault::Fault;
use crate::ledger::Ledger;
use crate::ledger::memory::MemoryLedger;
use crate::ledger::settle::Recorder;
use crate::routing::{ProbeDeployment, Probed, Publisher, Snapshot, Target};
use crate::store::Stores;
use crate::store::sqlite::open_in_memory;
use crate::time::{Clock, ManualClock, Timestamp};
use crate::vault::{KeyId, Keyring, SystemEntropy};

pub(super) const START: Timestamp = Timestamp::from_unix_ms(1_800_000_000_000);
pub(super) const GRPC: Caller = Caller { actor: "master", face: "grpc", source: None, request_id: None };
/// A model that the catalog knows, and one that it does not.
pub(super) const KNOWN: &str = "gpt-4o";
pub(super) const UNKNOWN: &str = "my-own-model";

pub(super) struct World {
    pub(super) control: Control,
    pub(super) parts: Parts,
    pub(super) clock: Arc<ManualClock>,
}

impl World {
    /// Empty, loaded.
    pub(super) async fn new() -> Self {
        Self::on(open_in_memory().await.unwrap().stores()).await
    }

    pub(super) async fn on(stores: Stores) -> Self {
        let clock = Arc::new(ManualClock::at(START));
        let (parts, control) = replica(stores, &clock);
        parts.propagation.load().await.unwrap();
        Self { control, parts, clock }
    }

    pub(super) fn snapshot(&self) -> Arc<Snapshot> {
        self.parts.propagation.publisher().current()
    }

    pub(super) fn advance(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    pub(super) async fn revision(&self) -> Revision {
        self.parts.stores.changes.revision().await.unwrap()
    }

    /// The newest audit entry.
    pub(super) async fn last_audit(&self) -> AuditEntry {
        self.parts.stores.audit.list(None, 1).await.unwrap().remove(0)
    }

    /// A deployment of `public_model` on the preset that takes anything.
    pub(super) async fn deploy(&self, public_model: &str) -> Deployment {
        self.create(draft(public_model, "echo", UNKNOWN, Credentials::default())).await.unwrap().deployment
    }

    pub(super) async fn create(&self, draft: DeploymentDraft) -> Result<CreatedDeployment, Fault> {
        self.control.deployments.create(&GRPC, draft, CreateOptions::default()).await
    }
}

/// Another replica on the same store.
pub(super) fn replica(stores: Stores, clock: &Arc<ManualClock>) -> (Parts, Control) {
    let clock = Arc::clone(clock) as Arc<dyn Clock>;
    let catalog = Arc::new(Catalog::load(presets()).unwrap());
    let keyring = Arc::new(Keyring::single(KeyId::parse("k1").unwrap(), &Zeroizing::new([7; 32])));
    let publisher = Arc::new(Publisher::new(Snapshot::empty(clock.now())));
    let propagation = Arc::new(Propagation::new(
        stores.clone(),
        Arc::clone(&catalog),
        Arc::clone(&keyring),
        publisher,
        Arc::clone(&clock),
    ));
    let ledger = ledger(&stores, &clock);
    let parts = Parts {
        stores,
        catalog,
        keyring,
        entropy: Arc::new(SystemEntropy),
        clock: Arc::clone(&clock),
        propagation,
        ledger,
        probe: Arc::new(NeverCalled),
        cache: Arc::new(MemoryCache::new(Arc::clone(&clock), Capacity { bytes: 1 << 20, entries: 100 }).unwrap()),
        explainer: Arc::new(NeverCalled),
    };
    let identity = Identity {
        id: ReplicaId::from_uuid(uuid::Uuid::from_u128(1)),
        host: "here".to_owned(),
        version: "1.2.3".to_owned(),
        started_at: clock.now(),
    };
    let control = Control::new(parts.clone(), identity, Mode::Embedded, "1.2.3");
    (parts, control)
}

fn presets() -> Vec<Preset> {
    const fn field(name: &'static str, required: bool) -> CredentialField {
        CredentialField { name, required, description: "as the provider shows it" }
    }
    const OPENAI: &[CredentialField] = &[field("apiKey", true), field("organization", false)];
    const AZURE: &[CredentialField] = &[field("apiKey", true), field("baseUrl", true), field("apiVersion", true)];
    const COMPATIBLE: &[CredentialField] = &[field("baseUrl", true), field("apiKey", false)];
    let text = |wires: &[Transport]| BTreeMap::from([(Operation::TextGenerate, wires.to_vec())]);
    let preset = |name, default_base_url, credentials, requires_known_model| Preset {
        name,
        adapter: name,
        title: name,
        default_base_url,
        credentials,
        transports: text(&[Transport::ChatCompletions, Transport::Responses]),
        by_pin_only: &[],
        requires_known_model,
    };
    vec![
        preset("openai", Some("https://api.openai.com/v1"), OPENAI, true),
        preset("azureopenai", None, AZURE, true),
        preset("openaicompatible", None, COMPATIBLE, false),
        preset("echo", None, &[], false),
    ]
}

pub(super) fn model(name: &str) -> PublicModel {
    PublicModel::parse(name).unwrap()
}

pub(super) fn draft(public: &str, provider: &str, upstream: &str, credentials: Credentials) -> DeploymentDraft {
    DeploymentDraft { spec: DeploymentSpec::new(model(public), provider, upstream), credentials }
}

/// A deployment on the preset that needs a key.
pub(super) fn openai(public: &str) -> DeploymentDraft {
    draft(public, "openai", KNOWN, api_key("sk-upstream-secret"))
}

pub(super) fn api_key(key: &str) -> Credentials {
    Credentials { api_key: Some(key.into()), ..Credentials::default() }
}

pub(super) fn key_spec(name: &str) -> VirtualKeySpec {
    VirtualKeySpec { name: name.to_owned(), enabled: true, ..VirtualKeySpec::default() }
}

pub(super) const DRY: ChangeOptions = ChangeOptions { expected: None, validate_only: true };

pub(super) fn at(expected: Revision) -> ChangeOptions {
    ChangeOptions { expected: Some(expected), validate_only: false }
}

pub(super) fn request(id: &str) -> CreateOptions {
    CreateOptions { request_id: Some(id.to_owned()), validate_only: false }
}

pub(super) fn dry_create() -> CreateOptions {
    CreateOptions { request_id: None, validate_only: true }
}

/// The fields at fault, in order of their names.
pub(super) fn fields(fault: &Fault) -> Vec<&str> {
    let mut fields: Vec<&str> = fault.violations().iter().map(|violation| violation.field.as_str()).collect();
    fields.sort_unstable();
    fields
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
