//! Virtual keys.

use super::metadata::{metadata_from_proto, metadata_into_proto};
use super::model::price;
use super::time::{timestamp_from_proto, timestamp_into_proto};
use super::{etag_into_proto, filled};
use crate::api::grpc::mask::{Fields, Mask};
use crate::api::grpc::proto;
use crate::api::problems::Problems;
use crate::control::KeyUsage;
use crate::domain::money::NanoCents;
use crate::domain::names::PublicModel;
use crate::domain::virtual_key::{BudgetMode, BudgetReset, VirtualKey, VirtualKeyPatch};
use crate::fault::Outcome;

/// The fields of a key, as masks name them.
pub(crate) const FIELDS: Fields = Fields {
    message: "VirtualKey",
    changeable: &[
        "name",
        "allowed_models",
        "max_budget_nanocents",
        "budget_reset",
        "budget_mode",
        "budget_wait_ms",
        "rpm",
        "tpm",
        "max_parallel_requests",
        "expire_time",
        "enabled",
        "metadata",
    ],
    output_only: &[
        "id",
        "etag",
        "create_time",
        "update_time",
        "key_prefix",
        "spend_nanocents",
        "previous_secret_expire_time",
    ],
};

/// What a message with its mask asks to change.
///
/// # Errors
/// `BadRequest` with every field that is wrong.
pub(crate) fn patch_from_proto(message: proto::VirtualKey, mask: &Mask) -> Outcome<VirtualKeyPatch> {
    let mut problems = Problems::default();
    let models =
        (!message.allowed_models.is_empty()).then(|| models_from_proto(&message.allowed_models, &mut problems));
    let budget = price(message.max_budget_nanocents, "max_budget_nanocents", &mut problems);
    let reset = reset_from_proto(message.budget_reset, &mut problems);
    let mode = mode_from_proto(message.budget_mode, &mut problems);
    let expires_at = mask.patch("expire_time", message.expire_time);
    let metadata = mask.patch("metadata", message.metadata);
    let patch = VirtualKeyPatch {
        name: mask.patch("name", filled(message.name)),
        allowed_models: mask.patch("allowed_models", models),
        max_budget: mask.patch("max_budget_nanocents", budget),
        budget_reset: mask.patch("budget_reset", reset),
        budget_mode: mask.patch("budget_mode", mode),
        budget_wait_ms: mask.patch("budget_wait_ms", message.budget_wait_ms),
        rpm: mask.patch("rpm", message.rpm),
        tpm: mask.patch("tpm", message.tpm),
        max_parallel_requests: mask.patch("max_parallel_requests", message.max_parallel_requests),
        expires_at: problems.turn("expire_time", expires_at, |moment| timestamp_from_proto(&moment)),
        enabled: mask.patch("enabled", message.enabled),
        metadata: problems.turn("metadata", metadata, metadata_from_proto),
    };
    problems.finish(patch)
}

fn models_from_proto(names: &[String], problems: &mut Problems) -> Vec<PublicModel> {
    names
        .iter()
        .enumerate()
        .filter_map(|(position, name)| problems.keep(&format!("allowed_models[{position}]"), PublicModel::parse(name)))
        .collect()
}

fn reset_from_proto(number: i32, problems: &mut Problems) -> Option<BudgetReset> {
    match proto::BudgetReset::try_from(number) {
        Ok(proto::BudgetReset::Unspecified) => None,
        Ok(proto::BudgetReset::Hourly) => Some(BudgetReset::Hourly),
        Ok(proto::BudgetReset::Daily) => Some(BudgetReset::Daily),
        Ok(proto::BudgetReset::Weekly) => Some(BudgetReset::Weekly),
        Ok(proto::BudgetReset::Monthly) => Some(BudgetReset::Monthly),
        Err(_) => {
            problems.add("budget_reset", format!("{number} is no BudgetReset of this version"));
            None
        }
    }
}

fn mode_from_proto(number: i32, problems: &mut Problems) -> Option<BudgetMode> {
    match proto::BudgetMode::try_from(number) {
        Ok(proto::BudgetMode::Unspecified) => None,
        Ok(proto::BudgetMode::Expected) => Some(BudgetMode::Expected),
        Ok(proto::BudgetMode::Hard) => Some(BudgetMode::Hard),
        Err(_) => {
            problems.add("budget_mode", format!("{number} is no BudgetMode of this version"));
            None
        }
    }
}

/// A key as a message. What was only validated has no id, etag, prefix and times.
pub(crate) fn key_into_proto(key: VirtualKey, spend: NanoCents) -> proto::VirtualKey {
    let stored = !key.id.as_uuid().is_nil();
    let spec = key.spec;
    let reset = spec.budget_reset.map_or(proto::BudgetReset::Unspecified, |reset| match reset {
        BudgetReset::Hourly => proto::BudgetReset::Hourly,
        BudgetReset::Daily => proto::BudgetReset::Daily,
        BudgetReset::Weekly => proto::BudgetReset::Weekly,
        BudgetReset::Monthly => proto::BudgetReset::Monthly,
    });
    let mode = spec.budget_mode.map_or(proto::BudgetMode::Unspecified, |mode| match mode {
        BudgetMode::Expected => proto::BudgetMode::Expected,
        BudgetMode::Hard => proto::BudgetMode::Hard,
    });
    proto::VirtualKey {
        id: if stored { key.id.to_string() } else { String::new() },
        etag: etag_into_proto(key.revision),
        create_time: stored.then(|| timestamp_into_proto(key.created_at)),
        update_time: stored.then(|| timestamp_into_proto(key.updated_at)),
        key_prefix: if stored { key.prefix } else { String::new() },
        name: spec.name,
        allowed_models: spec.allowed_models.iter().map(|model| model.as_str().to_owned()).collect(),
        max_budget_nanocents: spec.max_budget.map(|budget| budget.0),
        budget_reset: reset.into(),
        budget_mode: mode.into(),
        budget_wait_ms: spec.budget_wait_ms,
        rpm: spec.rpm,
        tpm: spec.tpm,
        max_parallel_requests: spec.max_parallel_requests,
        expire_time: spec.expires_at.map(timestamp_into_proto),
        enabled: Some(spec.enabled),
        metadata: spec.metadata.as_deref().and_then(metadata_into_proto),
        spend_nanocents: spend.0,
        previous_secret_expire_time: key.previous.map(|previous| timestamp_into_proto(previous.valid_until)),
    }
}

/// How a key stands, to be answered.
pub(crate) fn usage_into_proto(key: &VirtualKey, usage: &KeyUsage) -> proto::VirtualKeyUsage {
    let window = usage.window;
    proto::VirtualKeyUsage {
        id: key.id.to_string(),
        window_start_time: window.reset.map(|_| timestamp_into_proto(window.start)),
        window_end_time: window.end.map(timestamp_into_proto),
        spend_nanocents: usage.spent.0,
        held_nanocents: usage.held.0,
        overshoot_nanocents: usage.overshoot(key.spec.max_budget).0,
        requests_in_flight: usage.in_flight,
        requests_last_minute: usage.requests,
        tokens_last_minute: usage.tokens,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::draft;
    use crate::domain::ids::{Revision, VirtualKeyId};
    use crate::domain::patch::Patch;
    use crate::domain::virtual_key::{KeyHash, PreviousSecret, VirtualKeySpec};
    use crate::time::Timestamp;
    use uuid::Uuid;

    fn full() -> VirtualKey {
        VirtualKey {
            id: VirtualKeyId::from_uuid(Uuid::from_u128(3)),
            revision: Revision(4),
            created_at: Timestamp::from_unix_ms(10),
            updated_at: Timestamp::from_unix_ms(20),
            hash: KeyHash([0; 32]),
            prefix: "unified-abcd".to_owned(),
            previous: Some(PreviousSecret { hash: KeyHash([1; 32]), valid_until: Timestamp::from_unix_ms(30) }),
            spec: VirtualKeySpec {
                name: "app".to_owned(),
                allowed_models: vec![PublicModel::parse("general").unwrap()],
                max_budget: Some(NanoCents(5_000_000_001)),
                budget_reset: Some(BudgetReset::Weekly),
                budget_mode: Some(BudgetMode::Hard),
                budget_wait_ms: Some(5),
                rpm: Some(1),
                tpm: Some(2),
                max_parallel_requests: Some(3),
                expires_at: Some(Timestamp::from_unix_ms(1_795_424_400_250)),
                enabled: false,
                metadata: Some(r#"{"a":1}"#.to_owned()),
            },
        }
    }

    #[test]
    fn a_key_round_trips() {
        let message = key_into_proto(full(), NanoCents(7));
        assert_eq!(message.spend_nanocents, 7);
        assert_eq!(message.key_prefix, "unified-abcd");
        assert_eq!(message.previous_secret_expire_time.unwrap().nanos, 30_000_000);
        let patch = patch_from_proto(message, &Mask::Populated).unwrap();
        assert_eq!(draft::virtual_key(patch).unwrap(), full().spec);
    }

    #[test]
    fn a_named_field_that_is_unset_is_cleared() {
        let paths = vec!["allowed_models".to_owned(), "max_budget_nanocents".to_owned(), "budget_reset".to_owned()];
        let mask = Mask::read(Some(prost_types::FieldMask { paths }), FIELDS).unwrap();
        let patch = patch_from_proto(proto::VirtualKey::default(), &mask).unwrap();
        assert_eq!(patch.allowed_models, Patch::Clear);
        assert_eq!(patch.max_budget, Patch::Clear);
        assert_eq!(patch.budget_reset, Patch::Clear);
        assert_eq!(patch.rpm, Patch::Keep);
    }

    #[test]
    fn numbers_of_no_enum_and_negative_money_are_refused() {
        let message = proto::VirtualKey {
            budget_reset: 99,
            budget_mode: 99,
            max_budget_nanocents: Some(-1),
            allowed_models: vec!["ok".to_owned(), String::new()],
            ..proto::VirtualKey::default()
        };
        let fault = patch_from_proto(message, &Mask::Populated).unwrap_err();
        let fields: Vec<&str> = fault.violations().iter().map(|violation| violation.field.as_str()).collect();
        assert_eq!(fields, ["allowed_models[1]", "max_budget_nanocents", "budget_reset", "budget_mode"]);
    }
}
