use std::collections::BTreeMap;

use super::support::*;
use crate::control::CreateOptions;
use crate::domain::capability::{ModelProfile, OperationProfile};
use crate::domain::deployment::{DeploymentFilter, DeploymentPatch, DeploymentSpec};
use crate::domain::fallback::FallbackReason;
use crate::domain::ids::{DeploymentId, Revision};
use crate::domain::money::NanoCents;
use crate::domain::operation::{Operation, Transport};
use crate::domain::page::PageRequest;
use crate::domain::patch::Patch;
use crate::domain::price::{PriceTier, Pricing};
use crate::domain::secret::{Credentials, ExposeSecret};
use crate::fault::Kind;

fn entry() -> ModelProfile {
    ModelProfile {
        operations: BTreeMap::from([(Operation::TextGenerate, OperationProfile::default())]),
        pricing: Pricing::default(),
    }
}

#[tokio::test]
async fn what_is_created_is_in_force_recorded_and_sealed() {
    let world = World::new().await;
    let before = world.revision().await;
    let created = world.create(openai("fast")).await.unwrap().deployment;
    assert_eq!(created.revision, Revision(before.0 + 1));
    assert_eq!(created.created_at, START);
    assert_eq!(created.id.as_uuid().get_version_num(), 7);
    assert_eq!(world.control.deployments.get(created.id).await.unwrap(), created);

    let snapshot = world.snapshot();
    assert_eq!(snapshot.revision(), created.revision);
    let target = snapshot.find_deployment(created.id).unwrap();
    assert_eq!(target.credentials.api_key.as_ref().unwrap().expose_secret(), "sk-upstream-secret");
    assert_eq!(snapshot.find_pool("fast").unwrap().targets.len(), 1);

    let audit = world.last_audit().await;
    assert_eq!(
        (audit.action.as_str(), audit.actor.as_str(), audit.face.as_str()),
        ("deployment.create", "master", "grpc")
    );
    assert_eq!((audit.resource, audit.revision, audit.before), (created.id.to_string(), created.revision, None));
    let after: serde_json::Value = serde_json::from_str(&audit.after.unwrap()).unwrap();
    assert_eq!(after["publicModel"], "fast");
    assert_eq!(after["credentialFields"], serde_json::json!(["apiKey"]));
    assert!(!after.to_string().contains("secret"));
}

#[tokio::test]
async fn everything_that_is_wrong_is_reported_at_once() {
    let world = World::new().await;
    let mut draft = openai("fast");
    draft.spec.upstream_model = "two words".to_owned();
    draft.spec.weight = 1001;
    draft.spec.metadata = Some("[]".to_owned());
    draft.spec.label = Some(String::new());
    draft.spec.failure_domain = Some("x".repeat(201));
    draft.spec.rpm_limit = Some(0);
    draft.spec.tpm_limit = Some(0);
    draft.spec.pricing =
        Some(Pricing { input: Some(NanoCents(-1)), tiers: vec![PriceTier::default()], ..Pricing::default() });
    draft.credentials = Credentials {
        api_key: None,
        base_url: Some("http://169.254.169.254".to_owned()),
        headers: BTreeMap::from([("Host".to_owned(), "x".into()), ("bad name".to_owned(), "x".into())]),
        extra: BTreeMap::from([("apiVersion".to_owned(), "1".into())]),
    };
    let options = CreateOptions { request_id: Some("two words".to_owned()), validate_only: false };
    let fault = world.control.deployments.create(&GRPC, draft, options).await.unwrap_err();
    assert_eq!(fault.kind(), Kind::BadRequest);
    assert_eq!(
        fields(&fault),
        [
            "credentials.apiKey",
            "credentials.apiVersion",
            "credentials.baseUrl",
            "credentials.headers.Host",
            "credentials.headers.bad name",
            "failureDomain",
            "label",
            "metadata",
            "pricing.inputCentsPerMTokens",
            "pricing.tiers[0].aboveInputTokens",
            "requestId",
            "rpmLimit",
            "tpmLimit",
            "upstreamModel",
            "weight",
        ]
    );
    assert!(fault.message().contains("it takes: apiKey, baseUrl, headers, organization"), "{fault}");
    assert_eq!(world.revision().await, Revision(0));
}

#[tokio::test]
async fn credentials_are_held_against_the_preset() {
    let world = World::new().await;
    let base = |url: &str| Credentials { base_url: Some(url.to_owned()), ..Credentials::default() };
    for (provider, credentials, wrong) in [
        ("openaicompatible", Credentials::default(), vec!["credentials.baseUrl"]),
        ("openaicompatible", base("http://10.0.0.1:8000/v1/"), vec![]),
        ("echo", Credentials::default(), vec![]),
        ("echo", api_key("k"), vec!["credentials.apiKey"]),
        ("echo", base("http://localhost"), vec!["credentials.baseUrl"]),
        ("nobody", api_key("k"), vec!["provider"]),
    ] {
        let checked = world.create(draft("m", provider, UNKNOWN, credentials)).await;
        let found = checked.as_ref().err().map(fields).unwrap_or_default();
        assert_eq!(found, wrong, "{provider}");
    }
    for wrong in ["", " k", "k\n", "ü"] {
        let fault = world.create(draft("m", "openai", KNOWN, api_key(wrong))).await.unwrap_err();
        assert_eq!(fields(&fault), ["credentials.apiKey"], "{wrong:?}");
    }
    let snapshot = world.snapshot();
    let mut targets = snapshot.find_pool("m").unwrap().targets.iter();
    let target = targets.find(|target| target.provider == "openaicompatible").unwrap();
    assert_eq!(target.credentials.base_url.as_deref(), Some("http://10.0.0.1:8000/v1"));
}

#[tokio::test]
async fn headers_are_lower_cased_bounded_and_leave_the_connection_alone() {
    let world = World::new().await;
    let with = |headers: Vec<(String, &str)>| {
        let mut draft = openai("m");
        draft.credentials.headers = headers.into_iter().map(|(name, value)| (name, value.into())).collect();
        draft
    };
    let named = |name: &str| with(vec![(name.to_owned(), "v")]);
    for refused in ["authorization", "Content-Type", "content-length", "transfer-encoding", "Connection", "TE", "host"]
    {
        let fault = world.create(named(refused)).await.unwrap_err();
        assert_eq!(fields(&fault), [format!("credentials.headers.{refused}")]);
    }
    let twice = with(vec![("X-A".to_owned(), "1"), ("x-a".to_owned(), "2")]);
    assert_eq!(fields(&world.create(twice).await.unwrap_err()), ["credentials.headers.x-a"]);
    let broken = with(vec![("x-a".to_owned(), "a\r\nb: c")]);
    assert_eq!(fields(&world.create(broken).await.unwrap_err()), ["credentials.headers.x-a"]);
    let many = with((0..33).map(|n| (format!("x-{n}"), "v")).collect());
    assert_eq!(fields(&world.create(many).await.unwrap_err()), ["credentials.headers"]);
    let kept = world.create(named("X-Title")).await.unwrap().deployment;
    assert_eq!(kept.credentials.fields, ["apiKey", "headers.x-title"]);
}

#[tokio::test]
async fn a_catalog_entry_is_for_unknown_models_and_a_stored_one_stays_valid() {
    let world = World::new().await;
    let mut known = openai("m");
    known.spec.catalog_entry = Some(entry());
    assert_eq!(fields(&world.create(known).await.unwrap_err()), ["catalogEntry"]);
    let unknown = draft("m", "openai", UNKNOWN, api_key("k"));
    assert_eq!(fields(&world.create(unknown.clone()).await.unwrap_err()), ["catalogEntry"]);

    let mut custom = unknown;
    custom.spec.catalog_entry = Some(entry());
    let created = world.create(custom).await.unwrap().deployment;
    // As if the catalog had learnt of the model since.
    let mut stored = created.clone();
    stored.spec.upstream_model = KNOWN.to_owned();
    let write = world.parts.write(
        &GRPC,
        START,
        crate::control::write::Entry {
            action: "deployment.update",
            resource: created.id.to_string(),
            before: None,
            after: None,
        },
    );
    world.parts.stores.deployments.replace(&stored, created.revision, &write.unwrap()).await.unwrap();
    let relabel = DeploymentPatch { label: Patch::Set("x".to_owned()), ..DeploymentPatch::default() };
    let update = |patch| world.control.deployments.update(&GRPC, created.id, patch, Default::default());
    assert_eq!(update(relabel).await.unwrap().spec.label.as_deref(), Some("x"));
    let mut other = entry();
    other.pricing.input = Some(NanoCents(1));
    let restate = DeploymentPatch { catalog_entry: Patch::Set(other), ..DeploymentPatch::default() };
    assert_eq!(fields(&update(restate).await.unwrap_err()), ["catalogEntry"]);
}

#[tokio::test]
async fn every_wrong_value_and_bound_of_a_profile_is_named() {
    let world = World::new().await;
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let images = OperationProfile {
        values: BTreeMap::from([
            ("quality".to_owned(), words(&["low", "low", ""])),
            ("size".to_owned(), Vec::new()),
            ("voice".to_owned(), words(&["alloy"])),
        ]),
        most_results: Some(11),
        most_inputs: Some(1),
        ..OperationProfile::default()
    };
    let vectors = OperationProfile { most_inputs: Some(0), ..OperationProfile::default() };
    let mut custom = draft("m", "openai", UNKNOWN, api_key("k"));
    custom.spec.catalog_entry = Some(ModelProfile {
        operations: BTreeMap::from([
            (Operation::TextGenerate, OperationProfile::default()),
            (Operation::ImageGenerate, images),
            (Operation::EmbeddingCreate, vectors),
        ]),
        pricing: Pricing::default(),
    });
    let fault = world.create(custom.clone()).await.unwrap_err();
    let mut named = fields(&fault);
    named.sort_unstable();
    assert_eq!(
        named,
        [
            "catalogEntry.operations.embedding.create.mostInputs",
            "catalogEntry.operations.image.generate.mostInputs",
            "catalogEntry.operations.image.generate.mostResults",
            "catalogEntry.operations.image.generate.values.quality[1]",
            "catalogEntry.operations.image.generate.values.quality[2]",
            "catalogEntry.operations.image.generate.values.size",
            "catalogEntry.operations.image.generate.values.voice",
        ]
    );
    let images = OperationProfile {
        values: BTreeMap::from([("size".to_owned(), words(&["1024x1024"]))]),
        most_results: Some(4),
        ..OperationProfile::default()
    };
    custom.spec.catalog_entry = Some(ModelProfile {
        operations: BTreeMap::from([
            (Operation::TextGenerate, OperationProfile::default()),
            (Operation::ImageGenerate, images),
        ]),
        pricing: Pricing::default(),
    });
    let created = world.create(custom.clone()).await.unwrap().deployment;
    assert_eq!(created.spec.catalog_entry, custom.spec.catalog_entry);
}

#[tokio::test]
async fn resolving_saves_nothing_needs_no_credentials_and_checks_the_same() {
    let world = World::new().await;
    let spec = DeploymentSpec::new(model("m"), "openai", KNOWN);
    let resolved = world.control.deployments.resolve(&spec).unwrap();
    assert!(resolved.operations.contains_key(&Operation::TextGenerate));
    let wrong = DeploymentSpec { weight: 5000, rpm_limit: Some(0), ..spec };
    assert_eq!(fields(&world.control.deployments.resolve(&wrong).unwrap_err()), ["rpmLimit", "weight"]);
    let pinned = DeploymentSpec {
        transport_overrides: BTreeMap::from([(Operation::TextGenerate, Transport::Messages)]),
        ..DeploymentSpec::new(model("m"), "openai", KNOWN)
    };
    let fault = world.control.deployments.resolve(&pinned).unwrap_err();
    assert_eq!(fields(&fault), ["transportOverrides.text.generate"]);
    assert_eq!(world.revision().await, Revision(0));
}

#[tokio::test]
async fn the_same_request_id_creates_once() {
    let world = World::new().await;
    let create = |draft| world.control.deployments.create(&GRPC, draft, request("r-1"));
    let first = create(openai("m")).await.unwrap();
    let again = create(openai("m")).await.unwrap();
    assert!(!first.replayed && again.replayed);
    assert_eq!(first.deployment, again.deployment);
    assert_eq!(world.revision().await, first.deployment.revision);
    let other_secret = draft("m", "openai", KNOWN, api_key("sk-other"));
    assert_eq!(create(other_secret).await.unwrap_err().kind(), Kind::AlreadyExists);
    assert_eq!(create(openai("other")).await.unwrap_err().kind(), Kind::AlreadyExists);
    world.control.deployments.delete(&GRPC, first.deployment.id, None).await.unwrap();
    assert_eq!(create(openai("m")).await.unwrap_err().kind(), Kind::NotFound);
}

#[tokio::test]
async fn a_dry_run_checks_everything_and_saves_nothing() {
    let world = World::new().await;
    let would_be = world.control.deployments.create(&GRPC, openai("m"), dry_create()).await.unwrap().deployment;
    assert!(would_be.id.as_uuid().is_nil());
    assert_eq!(would_be.revision, Revision(0));
    assert_eq!(would_be.credentials.fields, ["apiKey"]);
    assert_eq!(world.revision().await, Revision(0));

    let stored = world.deploy("m").await;
    let patch = DeploymentPatch { weight: Patch::Set(7), ..DeploymentPatch::default() };
    let after = world.control.deployments.update(&GRPC, stored.id, patch.clone(), DRY).await.unwrap();
    assert_eq!((after.spec.weight, after.revision), (7, stored.revision));
    assert_eq!(world.control.deployments.get(stored.id).await.unwrap(), stored);
    let stale = crate::control::ChangeOptions { expected: Some(Revision(999)), validate_only: true };
    let fault = world.control.deployments.update(&GRPC, stored.id, patch, stale).await.unwrap_err();
    assert_eq!(fault.kind(), Kind::Stale);
}

#[tokio::test]
async fn an_update_changes_what_it_mentions_and_clearing_restores_defaults() {
    let world = World::new().await;
    let mut draft = openai("m");
    draft.spec = DeploymentSpec { weight: 9, priority: 3, enabled: false, label: Some("l".to_owned()), ..draft.spec };
    let stored = world.create(draft).await.unwrap().deployment;
    world.advance(5);
    let update = |patch| world.control.deployments.update(&GRPC, stored.id, patch, Default::default());

    let same = update(DeploymentPatch::default()).await.unwrap();
    assert_eq!(same.spec, stored.spec);
    assert_eq!(same.created_at, stored.created_at);
    assert_eq!(same.updated_at, START.after(std::time::Duration::from_secs(5)));
    assert!(same.revision > stored.revision);

    let cleared = update(DeploymentPatch {
        weight: Patch::Clear,
        priority: Patch::Clear,
        enabled: Patch::Clear,
        label: Patch::Clear,
        ..DeploymentPatch::default()
    });
    let spec = cleared.await.unwrap().spec;
    assert_eq!((spec.weight, spec.priority, spec.enabled, spec.label), (1, 0, true, None));
    assert!(world.snapshot().find_deployment(stored.id).unwrap().enabled);

    let impossible = update(DeploymentPatch {
        public_model: Patch::Clear,
        provider: Patch::Clear,
        upstream_model: Patch::Clear,
        credentials: Patch::Clear,
        rpm_limit: Patch::Set(0),
        ..DeploymentPatch::default()
    });
    let fault = impossible.await.unwrap_err();
    assert_eq!(fields(&fault), ["credentials", "provider", "publicModel", "rpmLimit", "upstreamModel"]);
    let audit = world.last_audit().await;
    assert_eq!(audit.action, "deployment.update");
    assert!(audit.before.unwrap().contains(r#""weight":9"#) && audit.after.unwrap().contains(r#""weight":1"#));
}

#[tokio::test]
async fn the_credentials_of_one_provider_are_never_sent_to_another() {
    let world = World::new().await;
    let stored = world.create(openai("m")).await.unwrap().deployment;
    let update = |patch| world.control.deployments.update(&GRPC, stored.id, patch, Default::default());
    let to = |provider: &str| DeploymentPatch {
        provider: Patch::Set(provider.to_owned()),
        upstream_model: Patch::Set(UNKNOWN.to_owned()),
        ..DeploymentPatch::default()
    };
    assert_eq!(fields(&update(to("openaicompatible")).await.unwrap_err()), ["credentials"]);
    assert_eq!(update(to("echo")).await.unwrap().credentials.fields, Vec::<String>::new());
    let target = world.snapshot().find_deployment(stored.id).unwrap().clone();
    assert!(target.credentials.api_key.is_none());
    let back = DeploymentPatch {
        credentials: Patch::Set(api_key("sk-new")),
        upstream_model: Patch::Set(KNOWN.to_owned()),
        ..to("openai")
    };
    update(back).await.unwrap();
    let target = world.snapshot().find_deployment(stored.id).unwrap().clone();
    assert_eq!(target.credentials.api_key.as_ref().unwrap().expose_secret(), "sk-new");
    let renamed = DeploymentPatch { public_model: Patch::Set(model("n")), ..DeploymentPatch::default() };
    assert_eq!(update(renamed).await.unwrap().credentials.fields, ["apiKey"]);
}

#[tokio::test]
async fn a_stale_etag_is_refused_and_a_fresh_one_is_not() {
    let world = World::new().await;
    let stored = world.deploy("m").await;
    let weigh = |weight| DeploymentPatch { weight: Patch::Set(weight), ..DeploymentPatch::default() };
    let deployments = &world.control.deployments;
    let second = deployments.update(&GRPC, stored.id, weigh(2), at(stored.revision)).await.unwrap();
    let fault = deployments.update(&GRPC, stored.id, weigh(3), at(stored.revision)).await.unwrap_err();
    assert_eq!(fault.kind(), Kind::Stale);
    let fault = deployments.delete(&GRPC, stored.id, Some(stored.revision)).await.unwrap_err();
    assert_eq!(fault.kind(), Kind::Stale);
    assert_eq!(deployments.get(stored.id).await.unwrap().spec.weight, 2);
    deployments.delete(&GRPC, stored.id, Some(second.revision)).await.unwrap();
    assert_eq!(deployments.get(stored.id).await.unwrap_err().kind(), Kind::NotFound);
}

#[tokio::test]
async fn concurrent_updates_without_an_etag_all_land() {
    let world = World::new().await;
    let id = world.deploy("m").await.id;
    let update = |patch| world.control.deployments.update(&GRPC, id, patch, Default::default());
    let (label, weight, domain) = tokio::join!(
        update(DeploymentPatch { label: Patch::Set("l".to_owned()), ..DeploymentPatch::default() }),
        update(DeploymentPatch { weight: Patch::Set(5), ..DeploymentPatch::default() }),
        update(DeploymentPatch { failure_domain: Patch::Set("f".to_owned()), ..DeploymentPatch::default() }),
    );
    assert!(label.is_ok() && weight.is_ok() && domain.is_ok());
    let spec = world.control.deployments.get(id).await.unwrap().spec;
    assert_eq!((spec.label.as_deref(), spec.weight, spec.failure_domain.as_deref()), (Some("l"), 5, Some("f")));
}

#[tokio::test]
async fn deleting_the_last_deployment_prunes_chains_and_renaming_it_is_refused() {
    let world = World::new().await;
    let (a, b) = (world.deploy("a").await, world.deploy("b").await);
    world.deploy("c").await;
    let reason = FallbackReason::General;
    let targets = vec![model("b"), model("c")];
    world.control.routing.set_fallback(&GRPC, model("a"), reason, targets, Default::default()).await.unwrap();

    let rename = || DeploymentPatch { public_model: Patch::Set(model("z")), ..DeploymentPatch::default() };
    for (id, options) in [(b.id, DRY), (b.id, Default::default()), (a.id, DRY), (a.id, Default::default())] {
        let fault = world.control.deployments.update(&GRPC, id, rename(), options).await.unwrap_err();
        assert_eq!(fault.kind(), Kind::InUse);
    }
    world.control.deployments.delete(&GRPC, b.id, None).await.unwrap();
    assert_eq!(world.snapshot().chain(&model("a"), reason), [model("c")]);
    assert!(world.snapshot().find_pool("b").is_none());
    assert_eq!(world.last_audit().await.action, "deployment.delete");
    world.control.deployments.delete(&GRPC, a.id, None).await.unwrap();
    assert!(world.snapshot().chain(&model("a"), reason).is_empty());
}

#[tokio::test]
async fn lists_are_filtered_and_unknown_ids_are_not_found() {
    let world = World::new().await;
    world.deploy("a").await;
    let b = world.deploy("b").await;
    let filter = DeploymentFilter { public_model: Some("b".to_owned()), ..DeploymentFilter::default() };
    let page = world.control.deployments.list(&filter, &PageRequest::default()).await.unwrap();
    assert_eq!(page.items, [b]);
    let nobody = DeploymentId::from_uuid(uuid::Uuid::from_u128(1));
    let deployments = &world.control.deployments;
    assert_eq!(deployments.get(nobody).await.unwrap_err().kind(), Kind::NotFound);
    assert_eq!(deployments.delete(&GRPC, nobody, None).await.unwrap_err().kind(), Kind::NotFound);
    let patched = deployments.update(&GRPC, nobody, DeploymentPatch::default(), Default::default()).await;
    assert_eq!(patched.unwrap_err().kind(), Kind::NotFound);
}
