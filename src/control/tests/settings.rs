use std::collections::BTreeMap;

use super::support::*;
use crate::control::catalog::ModelFilter;
use crate::control::system::Mode;
use crate::domain::fallback::FallbackReason;
use crate::domain::ids::Revision;
use crate::domain::operation::Operation;
use crate::domain::page::PageRequest;
use crate::domain::patch::Patch;
use crate::domain::settings::{
    ExecutionPolicy, ModelOverride, ParameterStrategy, RouterSettings, RoutingStrategy, SettingsPatch,
};
use crate::fault::Kind;

const TEXT: Operation = Operation::TextGenerate;

fn policy(change: impl FnOnce(&mut ExecutionPolicy)) -> ExecutionPolicy {
    let mut policy = ExecutionPolicy::default_for(TEXT);
    change(&mut policy);
    policy
}

fn policies(operation: Operation, policy: ExecutionPolicy) -> SettingsPatch {
    SettingsPatch { execution_policies: Patch::Set(BTreeMap::from([(operation, policy)])), ..SettingsPatch::default() }
}

#[tokio::test]
async fn execution_policies_of_text_are_in_force_at_once() {
    let world = World::new().await;
    let routing = &world.control.routing;
    let impatient = policy(|policy| policy.first_output_ms = 500);
    let stored = routing.update_settings(&GRPC, policies(TEXT, impatient), Default::default()).await.unwrap();
    assert_eq!(routing.settings().await.unwrap(), stored);
    assert_eq!(world.snapshot().settings().policy(TEXT), impatient);
    assert_eq!(world.snapshot().revision(), stored.revision);
    let audit = world.last_audit().await;
    assert_eq!((audit.action.as_str(), audit.resource.as_str()), ("router_settings.update", "router_settings"));
    assert!(audit.after.unwrap().contains("500"));

    let clear = SettingsPatch { execution_policies: Patch::Clear, ..SettingsPatch::default() };
    routing.update_settings(&GRPC, clear, at(stored.revision)).await.unwrap();
    assert_eq!(world.snapshot().settings(), &RouterSettings::default());
    let fault = routing.update_settings(&GRPC, SettingsPatch::default(), at(stored.revision)).await.unwrap_err();
    assert_eq!(fault.kind(), Kind::Stale);
}

#[tokio::test]
async fn settings_that_nothing_follows_are_refused_unless_they_say_what_happens_anyway() {
    let world = World::new().await;
    let update = |patch| world.control.routing.update_settings(&GRPC, patch, Default::default());
    let ahead = SettingsPatch {
        execution_policies: Patch::Set(BTreeMap::from([(Operation::VideoGenerate, policy(|_| {}))])),
        ..SettingsPatch::default()
    };
    let fault = update(ahead).await.unwrap_err();
    assert_eq!(fields(&fault), ["executionPolicies.video.generate"]);
    let same = SettingsPatch {
        routing_strategy: Patch::Set(RoutingStrategy::SimpleShuffle),
        allowed_fails: Patch::Set(3),
        retry_after_seconds: Patch::Set(1),
        unsupported_parameter_strategy: Patch::Set(ParameterStrategy::Error),
        ..SettingsPatch::default()
    };
    assert!(update(same).await.is_ok());
}

#[tokio::test]
async fn strategies_and_circuits_are_set_and_in_force_at_once() {
    let world = World::new().await;
    let update = |patch| world.control.routing.update_settings(&GRPC, patch, Default::default());
    let all = SettingsPatch {
        routing_strategy: Patch::Set(RoutingStrategy::LeastBusy),
        model_overrides: Patch::Set(BTreeMap::from([(
            "m".to_owned(),
            ModelOverride::strategy(RoutingStrategy::PriceBased),
        )])),
        allowed_fails: Patch::Set(4),
        cooldown_seconds: Patch::Set(6),
        failure_window_seconds: Patch::Set(61),
        max_cooldown_seconds: Patch::Set(301),
        half_open_probe_seconds: Patch::Set(31),
        configuration_cooldown_seconds: Patch::Set(301),
        throttle_cooldown_seconds: Patch::Set(61),
        retry_after_seconds: Patch::Set(2),
        ..SettingsPatch::default()
    };
    let stored = update(all).await.unwrap();
    let snapshot = world.snapshot();
    assert_eq!(snapshot.settings(), &stored.settings);
    assert_eq!(snapshot.settings().strategy("m"), RoutingStrategy::PriceBased);
    assert_eq!(snapshot.settings().strategy("n"), RoutingStrategy::LeastBusy);
    for (patch, field) in [
        (SettingsPatch { allowed_fails: Patch::Set(1001), ..SettingsPatch::default() }, "allowedFails"),
        (SettingsPatch { cooldown_seconds: Patch::Set(0), ..SettingsPatch::default() }, "cooldownSeconds"),
        (SettingsPatch { failure_window_seconds: Patch::Set(0), ..SettingsPatch::default() }, "failureWindowSeconds"),
        (
            SettingsPatch { half_open_probe_seconds: Patch::Set(3601), ..SettingsPatch::default() },
            "halfOpenProbeSeconds",
        ),
        (
            SettingsPatch { configuration_cooldown_seconds: Patch::Set(86_401), ..SettingsPatch::default() },
            "configurationCooldownSeconds",
        ),
        (
            SettingsPatch { throttle_cooldown_seconds: Patch::Set(0), ..SettingsPatch::default() },
            "throttleCooldownSeconds",
        ),
    ] {
        assert_eq!(fields(&update(patch).await.unwrap_err()), [field]);
    }
}

#[tokio::test]
async fn numbers_out_of_range_are_named() {
    let world = World::new().await;
    let update = |patch| world.control.routing.update_settings(&GRPC, patch, DRY);
    let silly = policy(|policy| policy.first_output_ms = 0);
    let fault = update(policies(TEXT, silly)).await.unwrap_err();
    assert_eq!(fields(&fault), ["executionPolicies.text.generate.firstOutputMs"]);
    let endless = policy(|policy| policy.max_attempts = 21);
    let fault = update(policies(TEXT, endless)).await.unwrap_err();
    assert_eq!(fields(&fault), ["executionPolicies.text.generate.maxAttempts"]);
    let zero = SettingsPatch {
        retry_after_seconds: Patch::Set(0),
        max_cooldown_seconds: Patch::Set(4),
        model_overrides: Patch::Set(BTreeMap::from([(
            "two words".to_owned(),
            ModelOverride::strategy(RoutingStrategy::SimpleShuffle),
        )])),
        ..SettingsPatch::default()
    };
    let fault = update(zero).await.unwrap_err();
    assert_eq!(fields(&fault), ["maxCooldownSeconds", "modelOverrides.two words", "retryAfterSeconds"]);
    assert!(fault.message().contains("retryAfterSeconds: must be 1 to 3600, is 0"), "{fault}");
    assert_eq!(world.revision().await, Revision(0));
}

#[tokio::test]
async fn a_chain_is_set_replaced_listed_and_deleted() {
    let world = World::new().await;
    for name in ["a", "b", "c"] {
        world.deploy(name).await;
    }
    let routing = &world.control.routing;
    let reason = FallbackReason::ContextWindow;
    let set = |targets: &[&str], options| {
        let targets = targets.iter().map(|name| model(name)).collect();
        routing.set_fallback(&GRPC, model("a"), reason, targets, options)
    };
    let fault = set(&["b"], at(Revision(1))).await.unwrap_err();
    assert_eq!(fault.kind(), Kind::Stale, "there is nothing that could have been read");
    let first = set(&["b", "c"], Default::default()).await.unwrap();
    assert_eq!(world.snapshot().chain(&model("a"), reason), [model("b"), model("c")]);
    assert!(world.snapshot().chain(&model("a"), FallbackReason::General).is_empty());
    let second = set(&["c"], at(first.revision)).await.unwrap();
    assert_eq!(set(&["b"], at(first.revision)).await.unwrap_err().kind(), Kind::Stale);
    let audit = world.last_audit().await;
    assert_eq!((audit.action.as_str(), audit.resource.as_str()), ("fallback.set", "a/context_window"));
    assert!(audit.before.unwrap().contains(r#"["b","c"]"#) && audit.after.unwrap().contains(r#"["c"]"#));
    let dry = set(&["b"], DRY).await.unwrap();
    assert_eq!((dry.targets, dry.revision), (vec![model("b")], second.revision));
    let page = routing.list_fallbacks(Some("a"), &PageRequest::default()).await.unwrap();
    assert_eq!(page.items, std::slice::from_ref(&second));

    let delete = |expected| routing.delete_fallback(&GRPC, "a", reason, expected);
    assert_eq!(delete(Some(first.revision)).await.unwrap_err().kind(), Kind::Stale);
    delete(Some(second.revision)).await.unwrap();
    assert!(world.snapshot().chain(&model("a"), reason).is_empty());
    assert_eq!(delete(None).await.unwrap_err().kind(), Kind::NotFound);
}

#[tokio::test]
async fn a_chain_names_only_other_models_that_are_deployed() {
    let world = World::new().await;
    for name in ["a", "b"] {
        world.deploy(name).await;
    }
    for (primary, targets, wrong) in [
        ("a", vec![], "fallbackModels"),
        ("a", vec!["a"], "fallbackModels"),
        ("a", vec!["b", "b"], "fallbackModels"),
        ("a", vec!["b", "ghost"], "fallbackModels[1]"),
        ("ghost", vec!["b"], "primaryModel"),
    ] {
        for options in [DRY, Default::default()] {
            let targets = targets.iter().map(|name| model(name)).collect();
            let reason = FallbackReason::General;
            let set = world.control.routing.set_fallback(&GRPC, model(primary), reason, targets, options).await;
            assert_eq!(fields(&set.unwrap_err()), [wrong], "{primary}");
        }
    }
}

#[tokio::test]
async fn the_system_tells_what_is_in_force_and_since_when() {
    let world = World::new().await;
    let mut revisions = world.control.system.watch();
    assert_eq!(*revisions.borrow_and_update(), Revision(0));
    world.advance(7);
    let deployed = world.deploy("a").await;
    assert!(revisions.has_changed().unwrap());
    assert_eq!(*revisions.borrow_and_update(), deployed.revision);
    let info = world.control.system.info();
    assert_eq!((info.version, info.mode, info.started_at), ("1.2.3", Mode::Embedded, START));
    assert_eq!(info.uptime.as_secs(), 7);
    assert_eq!(info.snapshot.revision, deployed.revision);
    assert_eq!(info.snapshot.in_force_since, START.after(info.uptime));
    assert_eq!((info.snapshot.deployments, info.snapshot.virtual_keys, info.snapshot.fallbacks), (1, 0, 0));
    assert!(info.snapshot.quarantined.is_empty());
}

#[tokio::test]
async fn known_models_are_listed_with_what_their_preset_can_serve() {
    let world = World::new().await;
    let catalog = &world.control.catalog;
    assert!(catalog.presets().iter().any(|preset| preset.name == "echo"));
    let filter = ModelFilter { provider: Some("openai".to_owned()), text: Some("GPT-4O".to_owned()), operation: None };
    let all = catalog.list_models(&filter, 500, 0);
    assert!(all.items.iter().any(|known| known.model == KNOWN && known.provider == "openai"));
    assert!(all.items.iter().all(|known| known.profile.operations.keys().eq([&TEXT])));
    let second = catalog.list_models(&filter, 1, 1);
    assert_eq!(second.items, all.items[1..2]);
    assert_eq!((second.total, second.has_more), (all.total, all.total > 2));
}
