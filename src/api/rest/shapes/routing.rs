//! Router settings and fallback chains.

use std::collections::BTreeMap;

use serde::Serialize;

use super::deployment::public_model;
use super::{etag_of, given};
use crate::api::problems::{Problems, one_of};
use crate::api::rest::body::{Field, Object};
use crate::domain::fallback::{FallbackChain, FallbackReason};
use crate::domain::ids::Revision;
use crate::domain::names::PublicModel;
use crate::domain::operation::Operation;
use crate::domain::settings::{
    ExecutionPolicy, ModelOverride, ParameterStrategy, RoutingStrategy, SettingsPatch, StoredSettings,
};

/// The settings, as answered: every field, every operation with its deadlines in force.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SettingsShape {
    routing_strategy: &'static str,
    model_overrides: BTreeMap<String, OverrideShape>,
    session_pinning: bool,
    allowed_fails: u32,
    cooldown_seconds: u32,
    failure_window_seconds: u32,
    max_cooldown_seconds: u32,
    half_open_probe_seconds: u32,
    configuration_cooldown_seconds: u32,
    throttle_cooldown_seconds: u32,
    retry_after_seconds: u32,
    unsupported_parameter_strategy: &'static str,
    execution_policies: BTreeMap<&'static str, PolicyShape>,
    updated_at: Option<String>,
    etag: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct PolicyShape {
    first_output_ms: u32,
    idle_ms: u32,
    commit_by_ms: u32,
    total_ms: u32,
    max_attempts: u32,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct OverrideShape {
    #[serde(skip_serializing_if = "Option::is_none")]
    routing_strategy: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session_pinning: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hedging: Option<bool>,
}

/// A chain, as answered.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ChainShape {
    primary_model: String,
    reason: &'static str,
    fallback_models: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    updated_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    etag: Option<String>,
}

/// A chain, as read: what is missing is `None` and noted.
pub(crate) type ReadChain = (Option<PublicModel>, FallbackReason, Vec<PublicModel>);

/// Reads the fields of the settings.
pub(crate) fn read_settings(object: &mut Object<'_>, problems: &mut Problems) -> SettingsPatch {
    let strategies = one_of(RoutingStrategy::ALL.map(RoutingStrategy::as_str));
    let parameters = one_of(
        [ParameterStrategy::Drop, ParameterStrategy::Error, ParameterStrategy::Allow].map(ParameterStrategy::as_str),
    );
    SettingsPatch {
        routing_strategy: object
            .read("routingStrategy", problems, |field| field.word(RoutingStrategy::parse, &strategies)),
        model_overrides: object.object("modelOverrides", problems, |models, problems| {
            let read =
                |(model, field): (String, Field<'_>)| Some((model, read_override(&field, problems, &strategies)?));
            models.rest().into_iter().filter_map(read).collect()
        }),
        session_pinning: object.boolean("sessionPinning", problems),
        allowed_fails: object.whole("allowedFails", problems),
        cooldown_seconds: object.whole("cooldownSeconds", problems),
        failure_window_seconds: object.whole("failureWindowSeconds", problems),
        max_cooldown_seconds: object.whole("maxCooldownSeconds", problems),
        half_open_probe_seconds: object.whole("halfOpenProbeSeconds", problems),
        configuration_cooldown_seconds: object.whole("configurationCooldownSeconds", problems),
        throttle_cooldown_seconds: object.whole("throttleCooldownSeconds", problems),
        retry_after_seconds: object.whole("retryAfterSeconds", problems),
        unsupported_parameter_strategy: object
            .read("unsupportedParameterStrategy", problems, |field| field.word(ParameterStrategy::parse, &parameters)),
        execution_policies: object.object("executionPolicies", problems, read_policies),
    }
}

/// What differs for a model; a word alone is its strategy.
fn read_override(field: &Field<'_>, problems: &mut Problems, strategies: &str) -> Option<ModelOverride> {
    if field.text().is_ok() {
        let strategy = problems.keep(&field.path, field.word(RoutingStrategy::parse, strategies))?;
        return Some(ModelOverride::strategy(strategy));
    }
    field.read_object(problems, |differs, problems| ModelOverride {
        routing_strategy: given(
            differs.read("routingStrategy", problems, |field| field.word(RoutingStrategy::parse, strategies)),
        ),
        session_pinning: given(differs.boolean("sessionPinning", problems)),
        hedging: given(differs.boolean("hedging", problems)),
    })
}

fn write_override(differs: ModelOverride) -> OverrideShape {
    OverrideShape {
        routing_strategy: differs.routing_strategy.map(RoutingStrategy::as_str),
        session_pinning: differs.session_pinning,
        hedging: differs.hedging,
    }
}

fn read_policies(object: &mut Object<'_>, problems: &mut Problems) -> BTreeMap<Operation, ExecutionPolicy> {
    let mut policies = BTreeMap::new();
    for (word, field) in object.rest() {
        let Ok(operation) = word.parse::<Operation>() else {
            problems.add(field.path, one_of(Operation::ALL.map(Operation::as_str)));
            continue;
        };
        let default = ExecutionPolicy::default_for(operation);
        let policy = field.read_object(problems, |policy, problems| {
            let mut number = |name, default| given(policy.whole(name, problems)).unwrap_or(default);
            ExecutionPolicy {
                first_output_ms: number("firstOutputMs", default.first_output_ms),
                idle_ms: number("idleMs", default.idle_ms),
                commit_by_ms: number("commitByMs", default.commit_by_ms),
                total_ms: number("totalMs", default.total_ms),
                max_attempts: number("maxAttempts", default.max_attempts),
            }
        });
        if let Some(policy) = policy {
            policies.insert(operation, policy);
        }
    }
    policies
}

/// Reads the fields of a chain.
pub(crate) fn read_chain(object: &mut Object<'_>, problems: &mut Problems) -> ReadChain {
    let reasons = reasons();
    let primary = given(object.read("primaryModel", problems, public_model));
    if primary.is_none() {
        problems.add_missing("primaryModel".to_owned());
    }
    let reason = object.read("reason", problems, |field| field.word(|word| word.parse().ok(), &reasons));
    let targets = given(object.read("fallbackModels", problems, Field::list));
    if targets.is_none() {
        problems.add_missing("fallbackModels".to_owned());
    }
    let targets = targets.unwrap_or_default();
    let targets = targets.iter().filter_map(|item| problems.keep(&item.path, public_model(item))).collect();
    (primary, given(reason).unwrap_or(FallbackReason::General), targets)
}

/// The sentence about a word that names no reason.
pub(crate) fn reasons() -> String {
    one_of(FallbackReason::ALL.map(FallbackReason::as_str))
}

/// The settings, to be answered.
pub(crate) fn write_settings(stored: StoredSettings) -> SettingsShape {
    let policies =
        Operation::ALL.map(|operation| (operation.as_str(), policy_shape(stored.settings.policy(operation))));
    let settings = stored.settings;
    SettingsShape {
        routing_strategy: settings.routing_strategy.as_str(),
        model_overrides: settings
            .model_overrides
            .into_iter()
            .map(|(model, differs)| (model, write_override(differs)))
            .collect(),
        session_pinning: settings.session_pinning,
        allowed_fails: settings.allowed_fails,
        cooldown_seconds: settings.cooldown_seconds,
        failure_window_seconds: settings.failure_window_seconds,
        max_cooldown_seconds: settings.max_cooldown_seconds,
        half_open_probe_seconds: settings.half_open_probe_seconds,
        configuration_cooldown_seconds: settings.configuration_cooldown_seconds,
        throttle_cooldown_seconds: settings.throttle_cooldown_seconds,
        retry_after_seconds: settings.retry_after_seconds,
        unsupported_parameter_strategy: settings.unsupported_parameter_strategy.as_str(),
        execution_policies: BTreeMap::from(policies),
        updated_at: (stored.revision != Revision(0)).then(|| stored.updated_at.to_rfc3339()),
        etag: stored.revision.to_etag(),
    }
}

fn policy_shape(policy: ExecutionPolicy) -> PolicyShape {
    PolicyShape {
        first_output_ms: policy.first_output_ms,
        idle_ms: policy.idle_ms,
        commit_by_ms: policy.commit_by_ms,
        total_ms: policy.total_ms,
        max_attempts: policy.max_attempts,
    }
}

/// A chain, to be answered. What was only validated has no etag and time.
pub(crate) fn write_chain(chain: &FallbackChain) -> ChainShape {
    ChainShape {
        primary_model: chain.primary.as_str().to_owned(),
        reason: chain.reason.as_str(),
        fallback_models: chain.targets.iter().map(|target| target.as_str().to_owned()).collect(),
        updated_at: (chain.revision != Revision(0)).then(|| chain.updated_at.to_rfc3339()),
        etag: etag_of(chain.revision),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::rest::body;
    use crate::domain::patch::Patch;

    #[test]
    fn only_what_is_stated_changes_and_null_restores_the_default() {
        let patch = body::read(
            r#"{"allowedFails":null,"cooldownSeconds":9,"executionPolicies":{"rerank":{"totalMs":1000}}}"#,
            read_settings,
        )
        .unwrap();
        assert_eq!((patch.allowed_fails, patch.cooldown_seconds), (Patch::Clear, Patch::Set(9)));
        assert_eq!(patch.routing_strategy, Patch::Keep);
        let expected = ExecutionPolicy { total_ms: 1000, ..ExecutionPolicy::default_for(Operation::Rerank) };
        assert_eq!(patch.execution_policies, Patch::Set(BTreeMap::from([(Operation::Rerank, expected)])));
    }

    #[test]
    fn a_chain_needs_a_primary_and_targets_and_defaults_to_general() {
        let (primary, reason, targets) =
            body::read(r#"{"primaryModel":"gpt","fallbackModels":["gemini","claude"]}"#, read_chain).unwrap();
        assert_eq!((primary.unwrap().as_str(), reason, targets.len()), ("gpt", FallbackReason::General, 2));
        let fault = body::read(r#"{"primaryModel":7,"reason":"rain"}"#, read_chain).unwrap_err();
        assert_eq!(
            fault.message(),
            "primaryModel: must be a text, not 7; \
             reason: must be one of `general`, `context_window`, `content_policy`, not \"rain\"; \
             fallbackModels: is required"
        );
    }
}
