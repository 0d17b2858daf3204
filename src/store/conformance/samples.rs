//! Values to store: plain ones, and ones with every field set.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use uuid::Uuid;

use crate::domain::audit::{AuditDraft, Caller};
use crate::domain::capability::{ModelProfile, OperationProfile, Reasoning, ReasoningKind, ReasoningLevel};
use crate::domain::deployment::{Deployment, DeploymentSpec};
use crate::domain::fallback::{FallbackChain, FallbackReason};
use crate::domain::ids::{AuditId, DeploymentId, Revision, VirtualKeyId};
use crate::domain::money::NanoCents;
use crate::domain::names::PublicModel;
use crate::domain::operation::{Operation, Transport};
use crate::domain::price::{PriceTier, Pricing};
use crate::domain::secret::SealedCredentials;
use crate::domain::settings::{ExecutionPolicy, ParameterStrategy, RouterSettings, RoutingStrategy};
use crate::domain::virtual_key::{BudgetMode, BudgetReset, KeyHash, PreviousSecret, VirtualKey, VirtualKeySpec};
use crate::fault::Outcome;
use crate::store::{Created, Idempotency, Stores, Write};
use crate::time::Timestamp;

/// When samples are created and written.
pub(super) const NOW: Timestamp = Timestamp::from_unix_ms(1_795_424_400_123);

/// The `n`th UUIDv7 of one millisecond; they sort by `n`.
pub(in crate::store) fn uuid(n: u64) -> Uuid {
    Uuid::from_u128(0x019a_2b3c_4d5e_7000_8000_0000_0000_0000 + u128::from(n))
}

pub(super) fn deployment_id(n: u64) -> DeploymentId {
    DeploymentId::from_uuid(uuid(n))
}

pub(super) fn key_id(n: u64) -> VirtualKeyId {
    VirtualKeyId::from_uuid(uuid(n))
}

pub(super) fn model(name: &str) -> PublicModel {
    PublicModel::parse(name).unwrap()
}

/// What accompanies a write.
pub(in crate::store) fn write(action: &'static str, resource: &impl ToString) -> Write {
    static COUNT: AtomicU64 = AtomicU64::new(1_000_000);
    let id = AuditId::from_uuid(uuid(COUNT.fetch_add(1, Ordering::Relaxed)));
    let resource = resource.to_string();
    let audit =
        AuditDraft { id, at: NOW, caller: Caller::system(), action, resource, before: None, after: Some("{}".into()) };
    Write { audit, idempotency: None }
}

/// A write of any kind, where the audit entry is not the point.
pub(in crate::store) fn any_write() -> Write {
    write("sample.write", &"sample")
}

/// A write that carries a client's `request_id`.
pub(super) fn write_once(request_id: &str, fingerprint: u8) -> Write {
    let idempotency = Idempotency { request_id: request_id.into(), fingerprint: [fingerprint; 32] };
    Write { idempotency: Some(idempotency), ..any_write() }
}

/// The revision of a creation that was no replay.
pub(in crate::store) fn new_revision(created: Outcome<Created>) -> Revision {
    match created.unwrap() {
        Created::New(revision) => revision,
        Created::Replayed(id) => panic!("replayed {id}"),
    }
}

pub(in crate::store) fn deployment(n: u64, public_model: &str) -> Deployment {
    Deployment {
        id: deployment_id(n),
        revision: Revision::default(),
        created_at: NOW,
        updated_at: NOW,
        spec: DeploymentSpec::new(model(public_model), "openai", "gpt-5-mini"),
        credentials: SealedCredentials { envelope: vec![1, 2, 3], fields: vec!["apiKey".into()] },
    }
}

/// With every field set to something that is not its default.
pub(super) fn full_deployment(n: u64, public_model: &str) -> Deployment {
    let profile = OperationProfile {
        tools: true,
        vision: true,
        audio_input: true,
        pdf_input: true,
        structured_outputs: true,
        reasoning: Some(Reasoning {
            kind: ReasoningKind::OpenaiEffort,
            levels: vec![ReasoningLevel::None, ReasoningLevel::Xhigh],
        }),
        max_input_tokens: Some(1_048_576),
        max_output_tokens: Some(u64::from(u32::MAX)),
        parameters: vec!["temperature".into()],
        dimensions: None,
        values: [("voice".into(), vec!["alloy".into()])].into(),
        most_results: Some(4),
        most_inputs: Some(96),
    };
    Deployment {
        created_at: Timestamp::from_unix_ms(-1),
        updated_at: NOW,
        spec: DeploymentSpec {
            public_model: model(public_model),
            provider: "openaicompatible".into(),
            upstream_model: "meta/llama:free".into(),
            catalog_model: Some("llama".into()),
            catalog_entry: Some(ModelProfile {
                operations: BTreeMap::from([(Operation::TextGenerate, profile)]),
                pricing: full_pricing(),
            }),
            pricing: Some(full_pricing()),
            transport_overrides: BTreeMap::from([
                (Operation::TextGenerate, Transport::Responses),
                (Operation::EmbeddingCreate, Transport::Embeddings),
            ]),
            label: Some("Größe 50 % 'quoted' \"double\" \\".into()),
            metadata: Some(r#"{"b":1,"a":{"ü":"\u0000"}}"#.into()),
            enabled: false,
            weight: 1000,
            priority: i32::MIN,
            rpm_limit: Some(u32::MAX),
            tpm_limit: Some(0),
            failure_domain: Some("eu-1".into()),
        },
        credentials: SealedCredentials {
            envelope: (0..=255).collect(),
            fields: vec!["apiKey".into(), "headers.x-org".into()],
        },
        ..deployment(n, public_model)
    }
}

fn full_pricing() -> Pricing {
    let rate = |nanos| Some(NanoCents(nanos));
    Pricing {
        input: rate(1),
        output: rate(i64::MAX),
        cache_read: rate(0),
        cache_write: rate(4),
        cache_write_1h: rate(5),
        tiers: vec![PriceTier {
            above_input_tokens: 200_000,
            input: rate(6),
            output: rate(7),
            cache_read: rate(8),
            cache_write: rate(9),
        }],
        units: vec![("per_image".into(), NanoCents(10))],
        ..Pricing::default()
    }
}

/// The hash of no key in particular, one per `n`.
pub(super) fn hash(n: u64) -> KeyHash {
    let mut bytes = [7; 32];
    bytes[..8].copy_from_slice(&n.to_be_bytes());
    KeyHash(bytes)
}

pub(in crate::store) fn virtual_key(n: u64, name: &str) -> VirtualKey {
    VirtualKey {
        id: key_id(n),
        revision: Revision::default(),
        created_at: NOW,
        updated_at: NOW,
        hash: hash(n),
        prefix: "unified-AbCd".into(),
        previous: None,
        spec: VirtualKeySpec { name: name.into(), enabled: true, ..VirtualKeySpec::default() },
    }
}

/// With every field set to something that is not its default.
pub(super) fn full_virtual_key(n: u64) -> VirtualKey {
    VirtualKey {
        created_at: Timestamp::from_unix_ms(-1),
        previous: Some(PreviousSecret { hash: hash(n + 1_000_000), valid_until: Timestamp::from_unix_ms(i64::MAX) }),
        spec: VirtualKeySpec {
            name: "Größe 50 % 'quoted'".into(),
            allowed_models: vec![model("b"), model("a/b:c")],
            max_budget: Some(NanoCents(i64::MAX)),
            budget_reset: Some(BudgetReset::Weekly),
            budget_mode: Some(BudgetMode::Hard),
            budget_wait_ms: Some(250),
            rpm: Some(u32::MAX),
            tpm: Some(0),
            max_parallel_requests: Some(3),
            expires_at: Some(Timestamp::from_unix_ms(i64::MIN)),
            enabled: false,
            metadata: Some(r#"{"team":"\u0000"}"#.into()),
        },
        ..virtual_key(n, "")
    }
}

pub(in crate::store) fn chain(primary: &str, reason: FallbackReason, targets: &[&str]) -> FallbackChain {
    FallbackChain {
        primary: model(primary),
        reason,
        targets: targets.iter().map(|name| model(name)).collect(),
        revision: Revision::default(),
        updated_at: NOW,
    }
}

/// With every field set to something that is not its default.
pub(super) fn full_settings() -> RouterSettings {
    RouterSettings {
        routing_strategy: RoutingStrategy::UsageBasedRpm,
        session_pinning: true,
        model_overrides: BTreeMap::from([(
            "a/b".into(),
            crate::domain::settings::ModelOverride {
                session_pinning: Some(true),
                ..crate::domain::settings::ModelOverride::strategy(RoutingStrategy::LeastBusy)
            },
        )]),
        allowed_fails: 11,
        cooldown_seconds: 12,
        failure_window_seconds: 13,
        max_cooldown_seconds: 14,
        half_open_probe_seconds: 15,
        configuration_cooldown_seconds: 16,
        throttle_cooldown_seconds: 17,
        retry_after_seconds: 18,
        unsupported_parameter_strategy: ParameterStrategy::Error,
        execution_policies: BTreeMap::from([(
            Operation::Rerank,
            ExecutionPolicy { first_output_ms: 1, idle_ms: 2, commit_by_ms: 3, total_ms: 4, max_attempts: 5 },
        )]),
    }
}

/// Deployments 1, 2, … of these public models, in this order.
pub(super) async fn with_models(stores: &Stores, names: &[&str]) {
    for (n, name) in (1..).zip(names) {
        new_revision(stores.deployments.create(&deployment(n, name), &any_write()).await);
    }
}

/// Everything a refused write could have left behind: the revision and the number of audit entries.
pub(super) async fn traces(stores: &Stores) -> (Revision, usize) {
    let revision = stores.changes.revision().await.unwrap();
    (revision, stores.audit.list(None, 500).await.unwrap().len())
}
