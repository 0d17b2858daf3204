//! Virtual keys.

use secrecy::ExposeSecret;
use serde::Serialize;
use serde_json::value::RawValue;

use super::deployment::{metadata, public_model};
use super::{Cents, etag_of, stored_json};
use crate::api::problems::{Problems, one_of};
use crate::api::rest::body::{Field, Object};
use crate::control::{IssuedKey, KeyUsage};
use crate::domain::money::NanoCents;
use crate::domain::names::PublicModel;
use crate::domain::patch::Patch;
use crate::domain::virtual_key::{BudgetMode, BudgetReset, VirtualKey, VirtualKeyPatch};
use crate::time::Timestamp;

/// A key, as answered.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct KeyShape {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_prefix: Option<String>,
    allowed_models: Vec<String>,
    max_budget_cents: Option<Cents>,
    budget_reset: Option<&'static str>,
    budget_mode: Option<&'static str>,
    budget_wait_ms: Option<u32>,
    rpm: Option<u32>,
    tpm: Option<u32>,
    max_parallel_requests: Option<u32>,
    expires_at: Option<String>,
    enabled: bool,
    metadata: Option<Box<RawValue>>,
    spend_cents: String,
    previous_secret_expires_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    created_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    updated_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    etag: Option<String>,
}

/// A key with its secret, this once. Without `Debug`: it must not end up in a log.
#[derive(Serialize)]
pub(crate) struct IssuedShape {
    #[serde(flatten)]
    key: KeyShape,
    #[serde(rename = "key", skip_serializing_if = "Option::is_none")]
    plaintext: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    replayed: bool,
}

/// Reads the fields of a key.
pub(crate) fn read(object: &mut Object<'_>, problems: &mut Problems) -> VirtualKeyPatch {
    let resets = one_of(BudgetReset::ALL.map(BudgetReset::as_str));
    let modes = one_of([BudgetMode::Expected, BudgetMode::Hard].map(BudgetMode::as_str));
    VirtualKeyPatch {
        name: object.text("name", problems),
        allowed_models: read_models(object, problems),
        max_budget: object.cents("maxBudgetCents", problems),
        budget_reset: object.read("budgetReset", problems, |field| field.word(BudgetReset::parse, &resets)),
        budget_mode: object.read("budgetMode", problems, |field| field.word(BudgetMode::parse, &modes)),
        budget_wait_ms: object.whole("budgetWaitMs", problems),
        rpm: object.whole("rpm", problems),
        tpm: object.whole("tpm", problems),
        max_parallel_requests: object.whole("maxParallelRequests", problems),
        expires_at: object.read("expiresAt", problems, moment),
        enabled: object.boolean("enabled", problems),
        metadata: object.read("metadata", problems, metadata),
    }
}

fn read_models(object: &mut Object<'_>, problems: &mut Problems) -> Patch<Vec<PublicModel>> {
    match object.read("allowedModels", problems, Field::list) {
        Patch::Keep => Patch::Keep,
        Patch::Clear => Patch::Clear,
        Patch::Set(items) => {
            Patch::Set(items.iter().filter_map(|item| problems.keep(&item.path, public_model(item))).collect())
        }
    }
}

fn moment(field: &Field<'_>) -> Result<Timestamp, String> {
    Timestamp::parse_rfc3339(&field.text()?)
        .ok_or_else(|| "must be a moment as RFC 3339 writes it, such as 2027-01-31T12:00:00Z".to_owned())
}

/// Reads `resetSpend` of an update.
pub(crate) fn read_reset(object: &mut Object<'_>, problems: &mut Problems) -> bool {
    matches!(object.boolean("resetSpend", problems), Patch::Set(true))
}

/// A key, to be answered. What was only validated has no id, prefix, etag and times.
pub(crate) fn write(key: VirtualKey, spend: NanoCents) -> KeyShape {
    let stored = !key.id.as_uuid().is_nil();
    let spec = key.spec;
    KeyShape {
        id: stored.then(|| key.id.to_string()),
        name: spec.name,
        key_prefix: stored.then_some(key.prefix),
        allowed_models: spec.allowed_models.iter().map(|model| model.as_str().to_owned()).collect(),
        max_budget_cents: spec.max_budget.map(Cents),
        budget_reset: spec.budget_reset.map(BudgetReset::as_str),
        budget_mode: spec.budget_mode.map(BudgetMode::as_str),
        budget_wait_ms: spec.budget_wait_ms,
        rpm: spec.rpm,
        tpm: spec.tpm,
        max_parallel_requests: spec.max_parallel_requests,
        expires_at: spec.expires_at.map(Timestamp::to_rfc3339),
        enabled: spec.enabled,
        metadata: stored_json(spec.metadata),
        spend_cents: spend.to_cents_text(),
        previous_secret_expires_at: key.previous.map(|previous| previous.valid_until.to_rfc3339()),
        created_at: stored.then(|| key.created_at.to_rfc3339()),
        updated_at: stored.then(|| key.updated_at.to_rfc3339()),
        etag: etag_of(key.revision),
    }
}

/// How a key stands with its limits, as answered.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UsageShape {
    id: String,
    window_start: Option<String>,
    window_end: Option<String>,
    spend_cents: String,
    held_cents: String,
    overshoot_cents: String,
    requests_in_flight: u64,
    requests_last_minute: u64,
    tokens_last_minute: u64,
}

/// How a key stands, to be answered.
pub(crate) fn write_usage(key: &VirtualKey, usage: &KeyUsage) -> UsageShape {
    let window = usage.window;
    UsageShape {
        id: key.id.to_string(),
        window_start: window.reset.map(|_| window.start.to_rfc3339()),
        window_end: window.end.map(Timestamp::to_rfc3339),
        spend_cents: usage.spent.to_cents_text(),
        held_cents: usage.held.to_cents_text(),
        overshoot_cents: usage.overshoot(key.spec.max_budget).to_cents_text(),
        requests_in_flight: usage.in_flight,
        requests_last_minute: usage.requests,
        tokens_last_minute: usage.tokens,
    }
}

/// A new key or secret, to be answered.
pub(crate) fn write_issued(issued: IssuedKey, spend: NanoCents) -> IssuedShape {
    let IssuedKey { key, plaintext, replayed } = issued;
    IssuedShape { key: write(key, spend), plaintext: plaintext.map(|text| text.expose_secret().to_owned()), replayed }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::rest::body;

    #[test]
    fn every_limit_can_be_set_and_cleared() {
        let patch = body::read(
            r#"{"name":"app","allowedModels":["a","b/c"],"maxBudgetCents":"50000.5","budgetReset":"monthly",
                "budgetMode":null,"rpm":600,"tpm":null,"expiresAt":"2027-01-31T13:00:00+01:00","enabled":false}"#,
            read,
        )
        .unwrap();
        assert_eq!(patch.max_budget, Patch::Set(NanoCents(50_000_500_000_000)));
        assert_eq!(patch.budget_reset, Patch::Set(BudgetReset::Monthly));
        assert_eq!((patch.budget_mode, patch.tpm, patch.rpm), (Patch::Clear, Patch::Clear, Patch::Set(600)));
        let noon = Timestamp::parse_rfc3339("2027-01-31T12:00:00Z").unwrap();
        assert_eq!(patch.expires_at, Patch::Set(noon));
        assert_eq!(patch.max_parallel_requests, Patch::Keep);
    }

    #[test]
    fn wrong_words_moments_and_models_are_named() {
        let fault =
            body::read(r#"{"budgetReset":"yearly","expiresAt":"soon","allowedModels":["ok",7,""]}"#, read).unwrap_err();
        let fields: Vec<&str> = fault.violations().iter().map(|violation| violation.field.as_str()).collect();
        assert_eq!(fields, ["allowedModels[1]", "allowedModels[2]", "budgetReset", "expiresAt"]);
        assert!(
            fault
                .message()
                .contains(r#"budgetReset: must be one of `hourly`, `daily`, `weekly`, `monthly`, not "yearly""#)
        );
    }
}
