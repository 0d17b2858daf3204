//! The snapshot, its edits and the plan, without a store.

mod edits;
mod plans;
mod strategies;

use std::collections::BTreeMap;

use super::Target;
use crate::catalog::{ProfileSource, Resolved, ResolvedOperation};
use crate::domain::capability::OperationProfile;
use crate::domain::ids::{DeploymentId, Revision};
use crate::domain::names::PublicModel;
use crate::domain::operation::{Operation, Transport};
use crate::domain::price::Pricing;
use crate::domain::secret::Credentials;
use crate::time::Timestamp;

pub(super) const START: Timestamp = Timestamp::from_unix_ms(1_800_000_000_000);

fn model(name: &str) -> PublicModel {
    PublicModel::parse(name).unwrap()
}

fn id(n: u128) -> DeploymentId {
    DeploymentId::from_uuid(uuid::Uuid::from_u128(n))
}

/// Text in chat completions and responses, enabled, weight 1, tier 0.
pub(super) fn target(n: u128, public_model: &str) -> Target {
    let transports = vec![Transport::ChatCompletions, Transport::Responses];
    let profile = OperationProfile::default();
    let text = ResolvedOperation { profile, transport: Transport::ChatCompletions, transports };
    Target {
        id: id(n),
        opaque_id: format!("dep_{n:012x}"),
        public_model: model(public_model),
        provider: "echo".to_owned(),
        upstream_model: "up".to_owned(),
        upstream_account: n.to_be_bytes(),
        credentials: Credentials::default(),
        resolved: Resolved {
            source: ProfileSource::Preset,
            operations: BTreeMap::from([(Operation::TextGenerate, text)]),
            pricing: Pricing::default(),
        },
        pinned: BTreeMap::new(),
        metadata: None,
        enabled: true,
        weight: 1,
        limits: crate::domain::limits::Limits::default(),
        priority: 0,
        created_at: START,
        revision: Revision(1),
    }
}
