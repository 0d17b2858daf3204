//! Router settings and fallback chains.

use std::collections::BTreeMap;

use super::etag_into_proto;
use super::model::unknown_operation;
use super::time::timestamp_into_proto;
use crate::api::grpc::mask::{Fields, Mask};
use crate::api::grpc::proto;
use crate::api::problems::{Problems, one_of};
use crate::domain::fallback::{FallbackChain, FallbackReason};
use crate::domain::ids::Revision;
use crate::domain::names::PublicModel;
use crate::domain::operation::Operation;
use crate::domain::settings::{
    ExecutionPolicy, ModelOverride, ParameterStrategy, RoutingStrategy, SettingsPatch, StoredSettings,
};
use crate::fault::{Fault, Outcome};

/// The fields of the settings, as masks name them.
pub(crate) const FIELDS: Fields = Fields {
    message: "RouterSettings",
    changeable: &[
        "routing_strategy",
        "model_overrides",
        "allowed_fails",
        "cooldown_seconds",
        "failure_window_seconds",
        "max_cooldown_seconds",
        "half_open_probe_seconds",
        "configuration_cooldown_seconds",
        "throttle_cooldown_seconds",
        "retry_after_seconds",
        "unsupported_parameter_strategy",
        "execution_policies",
        "session_pinning",
    ],
    output_only: &["etag", "update_time"],
};

/// What a message with its mask asks to change.
///
/// # Errors
/// `BadRequest` with every field that is wrong.
pub(crate) fn patch_from_proto(message: proto::RouterSettings, mask: &Mask) -> Outcome<SettingsPatch> {
    let mut problems = Problems::default();
    let strategy = mask.patch("routing_strategy", message.routing_strategy);
    let parameters = mask.patch("unsupported_parameter_strategy", message.unsupported_parameter_strategy);
    let overrides =
        (!message.model_overrides.is_empty()).then(|| overrides_from_proto(&message.model_overrides, &mut problems));
    let policies = (!message.execution_policies.is_empty())
        .then(|| policies_from_proto(&message.execution_policies, &mut problems));
    let patch = SettingsPatch {
        routing_strategy: problems.turn("routing_strategy", strategy, |word| strategy_from_word(&word)),
        model_overrides: mask.patch("model_overrides", overrides),
        allowed_fails: mask.patch("allowed_fails", message.allowed_fails),
        cooldown_seconds: mask.patch("cooldown_seconds", message.cooldown_seconds),
        failure_window_seconds: mask.patch("failure_window_seconds", message.failure_window_seconds),
        max_cooldown_seconds: mask.patch("max_cooldown_seconds", message.max_cooldown_seconds),
        half_open_probe_seconds: mask.patch("half_open_probe_seconds", message.half_open_probe_seconds),
        configuration_cooldown_seconds: mask
            .patch("configuration_cooldown_seconds", message.configuration_cooldown_seconds),
        throttle_cooldown_seconds: mask.patch("throttle_cooldown_seconds", message.throttle_cooldown_seconds),
        retry_after_seconds: mask.patch("retry_after_seconds", message.retry_after_seconds),
        unsupported_parameter_strategy: problems.turn("unsupported_parameter_strategy", parameters, |word| {
            ParameterStrategy::parse(&word).ok_or_else(parameter_strategies)
        }),
        execution_policies: mask.patch("execution_policies", policies),
        session_pinning: mask.patch("session_pinning", message.session_pinning),
    };
    problems.finish(patch)
}

fn strategy_from_word(word: &str) -> Result<RoutingStrategy, String> {
    RoutingStrategy::parse(word).ok_or_else(|| one_of(RoutingStrategy::ALL.map(RoutingStrategy::as_str)))
}

fn parameter_strategies() -> String {
    use ParameterStrategy::{Allow, Drop, Error};
    one_of([Drop, Error, Allow].map(ParameterStrategy::as_str))
}

fn overrides_from_proto(
    message: &BTreeMap<String, proto::ModelOverride>,
    problems: &mut Problems,
) -> BTreeMap<String, ModelOverride> {
    let read = |(model, differs): (&String, &proto::ModelOverride)| {
        let field = format!("model_overrides.{model}.routing_strategy");
        let strategy = differs.routing_strategy.as_deref();
        let routing_strategy = strategy.and_then(|word| problems.keep(&field, strategy_from_word(word)));
        let differs =
            ModelOverride { routing_strategy, session_pinning: differs.session_pinning, hedging: differs.hedging };
        // What was not understood is noted already.
        (strategy.is_none() || routing_strategy.is_some()).then(|| (model.clone(), differs))
    };
    message.iter().filter_map(read).collect()
}

fn policies_from_proto(
    message: &BTreeMap<String, proto::ExecutionPolicy>,
    problems: &mut Problems,
) -> BTreeMap<Operation, ExecutionPolicy> {
    let mut policies = BTreeMap::new();
    for (word, policy) in message {
        let Ok(operation) = word.parse::<Operation>() else {
            problems.add(format!("execution_policies.{word}"), unknown_operation());
            continue;
        };
        let default = ExecutionPolicy::default_for(operation);
        let policy = ExecutionPolicy {
            first_output_ms: policy.first_output_ms.unwrap_or(default.first_output_ms),
            idle_ms: policy.idle_ms.unwrap_or(default.idle_ms),
            commit_by_ms: policy.commit_by_ms.unwrap_or(default.commit_by_ms),
            total_ms: policy.total_ms.unwrap_or(default.total_ms),
            max_attempts: policy.max_attempts.unwrap_or(default.max_attempts),
        };
        policies.insert(operation, policy);
    }
    policies
}

/// The settings as a message: every field set, every operation with its deadlines in force.
pub(crate) fn settings_into_proto(stored: StoredSettings) -> proto::RouterSettings {
    let policies = Operation::ALL
        .into_iter()
        .map(|operation| (operation.as_str().to_owned(), policy_into_proto(stored.settings.policy(operation))))
        .collect();
    let settings = stored.settings;
    proto::RouterSettings {
        etag: stored.revision.to_etag(),
        update_time: (stored.revision != Revision(0)).then(|| timestamp_into_proto(stored.updated_at)),
        routing_strategy: Some(settings.routing_strategy.as_str().to_owned()),
        model_overrides: settings
            .model_overrides
            .into_iter()
            .map(|(model, differs)| (model, override_into_proto(differs)))
            .collect(),
        session_pinning: Some(settings.session_pinning),
        allowed_fails: Some(settings.allowed_fails),
        cooldown_seconds: Some(settings.cooldown_seconds),
        failure_window_seconds: Some(settings.failure_window_seconds),
        max_cooldown_seconds: Some(settings.max_cooldown_seconds),
        half_open_probe_seconds: Some(settings.half_open_probe_seconds),
        configuration_cooldown_seconds: Some(settings.configuration_cooldown_seconds),
        throttle_cooldown_seconds: Some(settings.throttle_cooldown_seconds),
        retry_after_seconds: Some(settings.retry_after_seconds),
        unsupported_parameter_strategy: Some(settings.unsupported_parameter_strategy.as_str().to_owned()),
        execution_policies: policies,
    }
}

fn override_into_proto(differs: ModelOverride) -> proto::ModelOverride {
    proto::ModelOverride {
        routing_strategy: differs.routing_strategy.map(|strategy| strategy.as_str().to_owned()),
        session_pinning: differs.session_pinning,
        hedging: differs.hedging,
    }
}

fn policy_into_proto(policy: ExecutionPolicy) -> proto::ExecutionPolicy {
    proto::ExecutionPolicy {
        first_output_ms: Some(policy.first_output_ms),
        idle_ms: Some(policy.idle_ms),
        commit_by_ms: Some(policy.commit_by_ms),
        total_ms: Some(policy.total_ms),
        max_attempts: Some(policy.max_attempts),
    }
}

/// A reason; unspecified is general.
///
/// # Errors
/// `BadRequest` on `reason` for a number that is none.
pub(crate) fn reason_from_proto(number: i32) -> Outcome<FallbackReason> {
    match proto::FallbackReason::try_from(number) {
        Ok(proto::FallbackReason::Unspecified | proto::FallbackReason::General) => Ok(FallbackReason::General),
        Ok(proto::FallbackReason::ContextWindow) => Ok(FallbackReason::ContextWindow),
        Ok(proto::FallbackReason::ContentPolicy) => Ok(FallbackReason::ContentPolicy),
        Err(_) => Err(Fault::invalid("reason", format!("{number} is no FallbackReason of this version"))),
    }
}

/// The chain that a message states: primary model, reason, targets.
///
/// # Errors
/// `BadRequest` with every field that is wrong.
pub(crate) fn chain_from_proto(message: &proto::Fallback) -> Outcome<(PublicModel, FallbackReason, Vec<PublicModel>)> {
    let mut problems = Problems::default();
    let primary = match message.primary_model.as_str() {
        "" => problems.keep("primary_model", Err("is required")),
        name => problems.keep("primary_model", PublicModel::parse(name)),
    };
    let targets = message
        .fallback_models
        .iter()
        .enumerate()
        .filter_map(|(position, name)| problems.keep(&format!("fallback_models[{position}]"), PublicModel::parse(name)))
        .collect();
    let reason = reason_from_proto(message.reason)?;
    let Some(primary) = primary else { return problems.finish(()).and(Err(crate::fault::Kind::Internal.into())) };
    problems.finish((primary, reason, targets))
}

/// A chain as a message.
pub(crate) fn chain_into_proto(chain: &FallbackChain) -> proto::Fallback {
    let reason = match chain.reason {
        FallbackReason::General => proto::FallbackReason::General,
        FallbackReason::ContextWindow => proto::FallbackReason::ContextWindow,
        FallbackReason::ContentPolicy => proto::FallbackReason::ContentPolicy,
    };
    let stored = chain.revision != Revision(0);
    proto::Fallback {
        primary_model: chain.primary.as_str().to_owned(),
        reason: reason.into(),
        fallback_models: chain.targets.iter().map(|target| target.as_str().to_owned()).collect(),
        etag: etag_into_proto(chain.revision),
        update_time: stored.then(|| timestamp_into_proto(chain.updated_at)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::patch::Patch;
    use crate::domain::settings::RouterSettings;
    use crate::time::Timestamp;

    #[test]
    fn settings_are_answered_whole_and_read_back() {
        let settings = RouterSettings {
            model_overrides: BTreeMap::from([(
                "general".to_owned(),
                ModelOverride::strategy(RoutingStrategy::SimpleShuffle),
            )]),
            allowed_fails: 9,
            ..RouterSettings::default()
        };
        let stored = StoredSettings { settings, revision: Revision(2), updated_at: Timestamp::from_unix_ms(1) };
        let message = settings_into_proto(stored.clone());
        assert_eq!(message.execution_policies.len(), Operation::ALL.len());
        let patch = patch_from_proto(message, &Mask::Populated).unwrap();
        assert_eq!(patch.allowed_fails, Patch::Set(9));
        assert_eq!(patch.model_overrides, Patch::Set(stored.settings.model_overrides.clone()));
        let Patch::Set(policies) = patch.execution_policies else { panic!("policies were answered") };
        for operation in Operation::ALL {
            assert_eq!(policies[&operation], stored.settings.policy(operation));
        }
    }

    #[test]
    fn a_policy_fills_up_from_its_operation() {
        let partial = proto::ExecutionPolicy { total_ms: Some(1_000), ..proto::ExecutionPolicy::default() };
        let message = proto::RouterSettings {
            execution_policies: BTreeMap::from([("rerank".to_owned(), partial)]),
            ..proto::RouterSettings::default()
        };
        let Patch::Set(policies) = patch_from_proto(message, &Mask::Populated).unwrap().execution_policies else {
            panic!("policies were given");
        };
        let expected = ExecutionPolicy { total_ms: 1_000, ..ExecutionPolicy::default_for(Operation::Rerank) };
        assert_eq!(policies, BTreeMap::from([(Operation::Rerank, expected)]));
    }

    #[test]
    fn unknown_words_are_answered_with_the_known_ones() {
        let luck = proto::ModelOverride { routing_strategy: Some("luck".to_owned()), ..Default::default() };
        let message = proto::RouterSettings {
            routing_strategy: Some("luck".to_owned()),
            model_overrides: BTreeMap::from([("m".to_owned(), luck)]),
            ..proto::RouterSettings::default()
        };
        let fault = patch_from_proto(message, &Mask::Populated).unwrap_err();
        assert_eq!(fault.violations().len(), 2);
        assert!(fault.message().contains("`simple-shuffle`"));
    }

    #[test]
    fn a_chain_round_trips_and_its_reason_defaults_to_general() {
        let model = |name: &str| PublicModel::parse(name).unwrap();
        let chain = FallbackChain {
            primary: model("a/b"),
            reason: FallbackReason::ContextWindow,
            targets: vec![model("c")],
            revision: Revision(1),
            updated_at: Timestamp::from_unix_ms(0),
        };
        let message = chain_into_proto(&chain);
        assert_eq!(chain_from_proto(&message).unwrap(), (chain.primary, chain.reason, chain.targets));
        let empty = proto::Fallback { primary_model: "a".to_owned(), ..proto::Fallback::default() };
        assert_eq!(chain_from_proto(&empty).unwrap().1, FallbackReason::General);
        assert_eq!(chain_from_proto(&proto::Fallback::default()).unwrap_err().at(), Some("primary_model"));
        assert!(reason_from_proto(99).is_err());
    }
}
