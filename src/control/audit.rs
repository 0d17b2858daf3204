//! Resources as the audit trail shows them: everything an operator stated, and no secret in any form.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::domain::capability::ModelProfile;
use crate::domain::deployment::{Deployment, DeploymentSpec};
use crate::domain::fallback::FallbackChain;
use crate::domain::operation::{Operation, Transport};
use crate::domain::price::Pricing;
use crate::domain::virtual_key::{BudgetMode, BudgetReset, VirtualKey, VirtualKeySpec};
use crate::time::Timestamp;

/// A deployment.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct DeploymentView<'a> {
    #[serde(flatten)]
    spec: DeploymentSpecView<'a>,
    credential_fields: &'a [String],
}

/// What an operator stated about a deployment. Also what a repeated creation is recognised by.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct DeploymentSpecView<'a> {
    public_model: &'a str,
    provider: &'a str,
    upstream_model: &'a str,
    catalog_model: Option<&'a str>,
    catalog_entry: Option<&'a ModelProfile>,
    pricing: Option<&'a Pricing>,
    transport_overrides: &'a BTreeMap<Operation, Transport>,
    label: Option<&'a str>,
    metadata: Option<Value>,
    enabled: bool,
    weight: u32,
    priority: i32,
    rpm_limit: Option<u32>,
    tpm_limit: Option<u32>,
    failure_domain: Option<&'a str>,
}

/// A virtual key.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct KeyView<'a> {
    #[serde(flatten)]
    spec: KeySpecView<'a>,
    key_prefix: &'a str,
    previous_secret_valid_until: Option<String>,
}

/// What an operator stated about a key. Also what a repeated creation is recognised by.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct KeySpecView<'a> {
    name: &'a str,
    allowed_models: Vec<&'a str>,
    max_budget_nano_cents: Option<i64>,
    budget_reset: Option<&'static str>,
    budget_mode: Option<&'static str>,
    budget_wait_ms: Option<u32>,
    rpm: Option<u32>,
    tpm: Option<u32>,
    max_parallel_requests: Option<u32>,
    expires_at: Option<String>,
    enabled: bool,
    metadata: Option<Value>,
}

/// A fallback chain.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ChainView<'a> {
    primary_model: &'a str,
    reason: &'static str,
    targets: Vec<&'a str>,
}

/// A row that cannot be understood any more and is deleted.
#[derive(Serialize)]
pub(super) struct Unreadable {
    unreadable: bool,
}

impl Unreadable {
    pub(super) const ROW: Self = Self { unreadable: true };
}

impl<'a> DeploymentView<'a> {
    pub(super) fn of(deployment: &'a Deployment) -> Self {
        Self { spec: DeploymentSpecView::of(&deployment.spec), credential_fields: &deployment.credentials.fields }
    }
}

impl<'a> DeploymentSpecView<'a> {
    pub(super) fn of(spec: &'a DeploymentSpec) -> Self {
        Self {
            public_model: spec.public_model.as_str(),
            provider: &spec.provider,
            upstream_model: &spec.upstream_model,
            catalog_model: spec.catalog_model.as_deref(),
            catalog_entry: spec.catalog_entry.as_ref(),
            pricing: spec.pricing.as_ref(),
            transport_overrides: &spec.transport_overrides,
            label: spec.label.as_deref(),
            metadata: metadata(spec.metadata.as_deref()),
            enabled: spec.enabled,
            weight: spec.weight,
            priority: spec.priority,
            rpm_limit: spec.rpm_limit,
            tpm_limit: spec.tpm_limit,
            failure_domain: spec.failure_domain.as_deref(),
        }
    }
}

impl<'a> KeyView<'a> {
    pub(super) fn of(key: &'a VirtualKey) -> Self {
        Self {
            spec: KeySpecView::of(&key.spec),
            key_prefix: &key.prefix,
            previous_secret_valid_until: key.previous.map(|previous| previous.valid_until.to_rfc3339()),
        }
    }
}

impl<'a> KeySpecView<'a> {
    pub(super) fn of(spec: &'a VirtualKeySpec) -> Self {
        Self {
            name: &spec.name,
            allowed_models: spec.allowed_models.iter().map(|model| model.as_str()).collect(),
            max_budget_nano_cents: spec.max_budget.map(|amount| amount.0),
            budget_reset: spec.budget_reset.map(BudgetReset::as_str),
            budget_mode: spec.budget_mode.map(BudgetMode::as_str),
            budget_wait_ms: spec.budget_wait_ms,
            rpm: spec.rpm,
            tpm: spec.tpm,
            max_parallel_requests: spec.max_parallel_requests,
            expires_at: spec.expires_at.map(Timestamp::to_rfc3339),
            enabled: spec.enabled,
            metadata: metadata(spec.metadata.as_deref()),
        }
    }
}

impl<'a> ChainView<'a> {
    pub(super) fn of(chain: &'a FallbackChain) -> Self {
        Self {
            primary_model: chain.primary.as_str(),
            reason: chain.reason.as_str(),
            targets: chain.targets.iter().map(|model| model.as_str()).collect(),
        }
    }
}

/// Metadata as JSON rather than as JSON inside a string; text that is none is shown as it is.
fn metadata(text: Option<&str>) -> Option<Value> {
    text.map(|text| serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned())))
}
