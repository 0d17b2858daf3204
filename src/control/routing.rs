//! Router settings and fallback chains.

use std::collections::BTreeMap;

use super::audit::{ChainView, Unreadable};
use super::check::Problems;
use super::write::{self, ATTEMPTS, Entry, View};
use super::{ChangeOptions, Parts, unenforced};
use crate::domain::audit::Caller;
use crate::domain::deployment::DeploymentFilter;
use crate::domain::fallback::{FallbackChain, FallbackReason, check_targets};
use crate::domain::ids::Revision;
use crate::domain::names::{PublicModel, check_model_name};
use crate::domain::page::{Page, PageRequest};
use crate::domain::settings::{ParameterStrategy, RouterSettings, RoutingStrategy, SettingsPatch, StoredSettings};
use crate::fault::{Fault, Kind, Outcome};
use crate::routing::explain::{Explanation, Question, Shape};

/// Most models with a strategy of their own.
const MAX_OVERRIDES: usize = 1000;
const DAY_SECONDS: u32 = 24 * 60 * 60;

/// The use cases of routing.
#[derive(Debug)]
pub struct Routing {
    parts: Parts,
}

impl Routing {
    pub(super) fn new(parts: Parts) -> Self {
        Self { parts }
    }

    /// The settings.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn settings(&self) -> Outcome<StoredSettings> {
        self.parts.stores.settings.get().await
    }

    /// Changes the settings.
    ///
    /// # Errors
    /// `BadRequest` with every violation; `Stale`; `Unavailable`.
    pub async fn update_settings(
        &self,
        caller: &Caller,
        patch: SettingsPatch,
        options: ChangeOptions,
    ) -> Outcome<StoredSettings> {
        for _ in 0..ATTEMPTS {
            let before = self.settings().await?;
            write::check_expected(options.expected, before.revision)?;
            let settings = patched(&before.settings, patch.clone())?;
            let updated_at = self.parts.clock.now();
            let mut after = StoredSettings { settings, revision: before.revision, updated_at };
            if options.validate_only {
                return Ok(after);
            }
            let entry = Entry {
                action: "router_settings.update",
                resource: "router_settings".to_owned(),
                before: Some(&before.settings),
                after: Some(&after.settings),
            };
            let write = self.parts.write(caller, updated_at, entry)?;
            match self.parts.stores.settings.replace(&after.settings, updated_at, before.revision, &write).await {
                Ok(revision) => {
                    self.parts.in_force(revision).await?;
                    after.revision = revision;
                    return Ok(after);
                }
                Err(fault) if write::lost_a_race(&fault, options.expected) => {}
                Err(fault) => return Err(fault),
            }
        }
        Err(Kind::Stale.into())
    }

    /// What would become of a request now. No provider is called, nothing is held, nothing is recorded.
    ///
    /// # Errors
    /// `BadRequest` for a question that makes no request; `NotFound` for a key that is not there; `Unavailable`.
    pub async fn explain(&self, question: Question) -> Outcome<Explanation> {
        if let Shape::Outline(outline) = &question.shape {
            PublicModel::parse(&outline.public_model).map_err(|why| Fault::invalid("publicModel", why))?;
        }
        self.parts.explainer.explain(question).await
    }

    /// One page of chains by primary model and reason, optionally of one primary model.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn list_fallbacks(&self, primary: Option<&str>, page: &PageRequest) -> Outcome<Page<FallbackChain>> {
        self.parts.stores.fallbacks.list(primary, page).await
    }

    /// Makes or replaces a chain.
    ///
    /// # Errors
    /// `BadRequest` (targets, or a model without a deployment); `Stale`; `Unavailable`.
    pub async fn set_fallback(
        &self,
        caller: &Caller,
        primary: PublicModel,
        reason: FallbackReason,
        targets: Vec<PublicModel>,
        options: ChangeOptions,
    ) -> Outcome<FallbackChain> {
        check_targets(&primary, &targets).map_err(|description| Fault::invalid("fallbackModels", description))?;
        for _ in 0..ATTEMPTS {
            // A chain that cannot be understood any more can still be replaced.
            let (before, unreadable) = match self.parts.stores.fallbacks.find(primary.as_str(), reason).await {
                Ok(before) => (before, false),
                Err(fault) if fault.kind() == Kind::Internal => (None, true),
                Err(fault) => return Err(fault),
            };
            // What is not there has revision 0, which no caller can have read.
            let stored = before.as_ref().map(|chain| chain.revision).unwrap_or_default();
            let exactly = if unreadable { options.expected } else { Some(stored) };
            write::check_expected(options.expected, exactly.unwrap_or_default())?;
            let mut after = FallbackChain {
                primary: primary.clone(),
                reason,
                targets: targets.clone(),
                revision: stored,
                updated_at: self.parts.clock.now(),
            };
            if options.validate_only {
                self.check_deployed(&after).await?;
                return Ok(after);
            }
            let (old, new) = (before.as_ref().map(ChainView::of), ChainView::of(&after));
            let entry = Entry {
                action: "fallback.set",
                resource: resource(primary.as_str(), reason),
                before: old.as_ref().map(|view| view as &dyn View),
                after: Some(&new),
            };
            let write = self.parts.write(caller, after.updated_at, entry)?;
            match self.parts.stores.fallbacks.set(&after, exactly, &write).await {
                Ok(revision) => {
                    self.parts.in_force(revision).await?;
                    after.revision = revision;
                    return Ok(after);
                }
                Err(fault) if write::lost_a_race(&fault, options.expected) => {}
                Err(fault) => return Err(fault),
            }
        }
        Err(Kind::Stale.into())
    }

    /// Deletes a chain. One that cannot be understood any more can still be deleted.
    ///
    /// # Errors
    /// `NotFound`; `Stale`; `Unavailable`.
    pub async fn delete_fallback(
        &self,
        caller: &Caller,
        primary: &str,
        reason: FallbackReason,
        expected: Option<Revision>,
    ) -> Outcome<()> {
        for _ in 0..ATTEMPTS {
            let found = match self.parts.stores.fallbacks.find(primary, reason).await {
                Ok(found) => Some(found.ok_or(Kind::NotFound)?),
                Err(fault) if fault.kind() == Kind::Internal => None,
                Err(fault) => return Err(fault),
            };
            if let Some(before) = &found {
                write::check_expected(expected, before.revision)?;
            }
            let view = found.as_ref().map(ChainView::of);
            let before: &dyn View = view.as_ref().map_or(&Unreadable::ROW, |view| view);
            let entry = Entry {
                action: "fallback.delete",
                resource: resource(primary, reason),
                before: Some(before),
                after: None,
            };
            let write = self.parts.write(caller, self.parts.clock.now(), entry)?;
            let exactly = found.as_ref().map(|before| before.revision).or(expected);
            match self.parts.stores.fallbacks.delete(primary, reason, exactly, &write).await {
                Ok(revision) => return self.parts.in_force(revision).await,
                Err(fault) if write::lost_a_race(&fault, expected) => {}
                Err(fault) => return Err(fault),
            }
        }
        Err(Kind::Stale.into())
    }

    /// What the store refuses in the transaction of a real change, for a dry run.
    async fn check_deployed(&self, chain: &FallbackChain) -> Outcome<()> {
        let mut problems = Problems::default();
        let targets = chain.targets.iter().enumerate();
        let named = targets.map(|(position, target)| (format!("fallbackModels[{position}]"), target));
        for (field, model) in std::iter::once(("primaryModel".to_owned(), &chain.primary)).chain(named) {
            let public_model = Some(model.as_str().to_owned());
            let filter = DeploymentFilter { public_model, ..DeploymentFilter::default() };
            let page = PageRequest { limit: 1, ..PageRequest::default() };
            if self.parts.stores.deployments.list(&filter, &page).await?.items.is_empty() {
                problems.add(field, format!("there is no deployment of `{model}`"));
            }
        }
        problems.finish()
    }
}

fn resource(primary: &str, reason: FallbackReason) -> String {
    format!("{primary}/{reason}")
}

/// The settings after a patch.
///
/// # Errors
/// `BadRequest` with every violation.
pub(super) fn patched(before: &RouterSettings, patch: SettingsPatch) -> Outcome<RouterSettings> {
    let default = RouterSettings::default();
    let mut settings = before.clone();
    patch.routing_strategy.apply_or(&mut settings.routing_strategy, RoutingStrategy::default());
    patch.model_overrides.apply_or(&mut settings.model_overrides, BTreeMap::new());
    patch.session_pinning.apply_or(&mut settings.session_pinning, default.session_pinning);
    for (field, change, default) in [
        (&mut settings.allowed_fails, patch.allowed_fails, default.allowed_fails),
        (&mut settings.cooldown_seconds, patch.cooldown_seconds, default.cooldown_seconds),
        (&mut settings.failure_window_seconds, patch.failure_window_seconds, default.failure_window_seconds),
        (&mut settings.max_cooldown_seconds, patch.max_cooldown_seconds, default.max_cooldown_seconds),
        (&mut settings.half_open_probe_seconds, patch.half_open_probe_seconds, default.half_open_probe_seconds),
        (
            &mut settings.configuration_cooldown_seconds,
            patch.configuration_cooldown_seconds,
            default.configuration_cooldown_seconds,
        ),
        (&mut settings.throttle_cooldown_seconds, patch.throttle_cooldown_seconds, default.throttle_cooldown_seconds),
        (&mut settings.retry_after_seconds, patch.retry_after_seconds, default.retry_after_seconds),
    ] {
        change.apply_or(field, default);
    }
    let strategy = &mut settings.unsupported_parameter_strategy;
    patch.unsupported_parameter_strategy.apply_or(strategy, ParameterStrategy::default());
    patch.execution_policies.apply_or(&mut settings.execution_policies, BTreeMap::new());
    check(before, &settings)?;
    Ok(settings)
}

fn check(before: &RouterSettings, after: &RouterSettings) -> Outcome<()> {
    let mut problems = Problems::default();
    for (field, value, (least, most)) in [
        ("allowedFails", after.allowed_fails, (0, 1000)),
        ("cooldownSeconds", after.cooldown_seconds, (1, DAY_SECONDS)),
        ("failureWindowSeconds", after.failure_window_seconds, (1, DAY_SECONDS)),
        ("maxCooldownSeconds", after.max_cooldown_seconds, (1, DAY_SECONDS)),
        ("halfOpenProbeSeconds", after.half_open_probe_seconds, (1, 3600)),
        ("configurationCooldownSeconds", after.configuration_cooldown_seconds, (1, DAY_SECONDS)),
        ("throttleCooldownSeconds", after.throttle_cooldown_seconds, (1, DAY_SECONDS)),
        ("retryAfterSeconds", after.retry_after_seconds, (1, 3600)),
    ] {
        if !(least..=most).contains(&value) {
            problems.add(field, format!("must be {least} to {most}, is {value}"));
        }
    }
    if after.max_cooldown_seconds < after.cooldown_seconds && !problems.concern("maxCooldownSeconds") {
        problems.add("maxCooldownSeconds", "must not be less than `cooldownSeconds`");
    }
    if after.model_overrides.len() > MAX_OVERRIDES {
        problems.add("modelOverrides", format!("must be at most {MAX_OVERRIDES}"));
    }
    for (model, differs) in &after.model_overrides {
        let field = format!("modelOverrides.{model}");
        problems.check(&field, check_model_name(model));
        if differs.is_empty() {
            problems.add(field, "must say what differs: `routingStrategy`, `sessionPinning` or `hedging`");
        }
    }
    for (operation, policy) in &after.execution_policies {
        if let Err((field, description)) = policy.check() {
            problems.add(format!("executionPolicies.{operation}.{field}"), description);
        }
    }
    unenforced::settings(before, after, &mut problems);
    problems.finish()
}
