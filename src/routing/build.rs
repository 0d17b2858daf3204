//! Rows to snapshot entries. What does not decrypt or resolve is refused with a reason that names no secret.

use std::time::Duration;

use super::snapshot::{KeyEntry, Target};
use crate::catalog::Catalog;
use crate::domain::deployment::Deployment;
use crate::domain::ids::DeploymentId;
use crate::domain::limits::Limits;
use crate::domain::secret::{Credentials, ExposeSecret};
use crate::domain::virtual_key::{BudgetMode, DEFAULT_BUDGET_WAIT_MS, VirtualKey};
use crate::vault::{Keyring, digest, open_credentials};

/// Makes a deployment callable.
///
/// # Errors
/// The reason to quarantine the row.
pub fn target_from_row(row: &Deployment, catalog: &Catalog, keyring: &Keyring) -> Result<Target, String> {
    let credentials =
        open_credentials(keyring, row.id, &row.credentials).map_err(|error| format!("credentials: {error}"))?;
    let resolved = catalog.resolve(&row.spec).map_err(|fault| fault.message().to_owned())?;
    Ok(Target {
        id: row.id,
        opaque_id: opaque_id(row.id),
        public_model: row.spec.public_model.clone(),
        provider: row.spec.provider.clone(),
        upstream_model: row.spec.upstream_model.clone(),
        upstream_account: upstream_account(&row.spec.provider, &row.spec.upstream_model, &credentials),
        credentials,
        resolved,
        pinned: row.spec.transport_overrides.clone(),
        metadata: row.spec.metadata.clone(),
        enabled: row.spec.enabled,
        weight: row.spec.weight,
        limits: Limits { rpm: row.spec.rpm_limit, tpm: row.spec.tpm_limit, ..Limits::default() },
        priority: row.spec.priority,
        created_at: row.created_at,
        revision: row.revision,
    })
}

/// What admission needs of a key.
#[must_use]
pub fn entry_from_row(row: &VirtualKey) -> KeyEntry {
    let models = &row.spec.allowed_models;
    KeyEntry {
        id: row.id,
        prefix: row.prefix.clone(),
        hash: row.hash,
        previous: row.previous.map(|previous| (previous.hash, previous.valid_until)),
        limits: row.spec.limits(),
        budget_mode: row.spec.budget_mode.unwrap_or(BudgetMode::Expected),
        budget_wait: Duration::from_millis(row.spec.budget_wait_ms.unwrap_or(DEFAULT_BUDGET_WAIT_MS).into()),
        allowed_models: (!models.is_empty()).then(|| models.iter().cloned().collect()),
        enabled: row.spec.enabled,
        expires_at: row.spec.expires_at,
    }
}

/// A digest of all that decides whose rate limit a call meets.
fn upstream_account(provider: &str, upstream_model: &str, credentials: &Credentials) -> [u8; 16] {
    let secrets = credentials.headers.iter().chain(&credentials.extra);
    let named = secrets.flat_map(|(name, secret)| [name.as_str(), secret.expose_secret()]);
    let key = credentials.api_key.as_ref().map(ExposeSecret::expose_secret).unwrap_or_default();
    let base_url = credentials.base_url.as_deref().unwrap_or_default();
    let pieces = [provider, upstream_model, base_url, key].into_iter().chain(named);
    // What stands between the pieces keeps them apart.
    let digest = digest(pieces.flat_map(|piece| [piece.as_bytes(), b"\n".as_slice()]));
    let mut account = [0; 16];
    account.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
    account
}

/// `dep_` + 12 hex digits of a digest: stable, and says nothing of the id or its time.
fn opaque_id(id: DeploymentId) -> String {
    let digest = digest([id.as_uuid().as_bytes().as_slice()]);
    let mut text = String::from("dep_");
    for byte in digest.iter().take(6) {
        text.push_str(&format!("{byte:02x}"));
    }
    text
}
