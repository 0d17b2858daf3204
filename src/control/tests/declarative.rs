//! The configuration as a document.

use super::support::{GRPC, World, api_key, key_spec, model, openai};
use crate::control::ChangeOptions;
use crate::control::declarative::{
    Action, Applied, ApplyOptions, DeclaredChain, DeclaredDeployment, DeclaredKey, Document, Exported,
};
use crate::domain::change::ResourceKind;
use crate::domain::fallback::FallbackReason::General;
use crate::domain::ids::Revision;
use crate::domain::patch::Patch;
use crate::domain::secret::Credentials;
use crate::domain::settings::SettingsPatch;
use crate::fault::{Kind, Outcome};

const WITH_KEYS: ApplyOptions = ApplyOptions { validate_only: false, prune: false, revision: None, include_keys: true };

fn document(exported: Exported) -> Document {
    let deployments = exported.deployments.into_iter();
    let fallbacks = exported.fallbacks.into_iter();
    let keys = exported.keys.into_iter();
    Document {
        deployments: deployments
            .map(|row| DeclaredDeployment { id: Some(row.id), spec: row.spec, credentials: None })
            .collect(),
        fallbacks: fallbacks
            .map(|row| DeclaredChain { primary: row.primary, reason: row.reason, targets: row.targets })
            .collect(),
        settings: Some(SettingsPatch::default()),
        keys: keys.map(|row| DeclaredKey { id: Some(row.id), spec: row.spec }).collect(),
    }
}

/// Two models, a chain and a key.
async fn furnished() -> World {
    let world = World::new().await;
    world.create(openai("a")).await.unwrap();
    world.deploy("b").await;
    let targets = vec![model("b")];
    world.control.routing.set_fallback(&GRPC, model("a"), General, targets, ChangeOptions::default()).await.unwrap();
    world.control.virtual_keys.create(&GRPC, key_spec("app"), Default::default()).await.unwrap();
    world
}

async fn exported(world: &World) -> Document {
    let mut document = document(world.control.declarative.export(true).await.unwrap());
    // Made in the same millisecond, their ids say nothing of their order.
    document.deployments.sort_by(|one, other| one.spec.public_model.cmp(&other.spec.public_model));
    document
}

async fn apply(world: &World, document: &Document, options: ApplyOptions) -> Outcome<Applied> {
    world.control.declarative.apply(&GRPC, document, options).await
}

fn summary(applied: &Applied) -> Vec<(Action, ResourceKind, &str)> {
    applied
        .differences
        .iter()
        .map(|difference| (difference.action, difference.kind, difference.name.as_str()))
        .collect()
}

#[tokio::test]
async fn an_export_applied_as_it_is_changes_nothing() {
    let world = furnished().await;
    let revision = world.revision().await;
    let applied = apply(&world, &exported(&world).await, WITH_KEYS).await.unwrap();
    assert!(applied.differences.is_empty() && applied.issued.is_empty(), "{applied:?}");
    assert_eq!((applied.revision, world.revision().await), (revision, revision));
}

#[tokio::test]
async fn a_document_makes_another_gateway_the_same_under_one_revision() {
    let world = furnished().await;
    let mut document = exported(&world).await;
    for deployment in &mut document.deployments {
        deployment.id = None;
    }
    document.keys[0].id = None;
    document.deployments[0].credentials = Some(api_key("sk-upstream-secret"));
    let other = World::new().await;
    let applied = apply(&other, &document, WITH_KEYS).await.unwrap();
    assert_eq!((applied.revision, other.revision().await), (Revision(1), Revision(1)));
    assert_eq!(applied.differences.len(), 4);
    assert!(applied.differences.iter().all(|difference| difference.action == Action::Create));
    assert_eq!(applied.issued.len(), 1);
    let copy = exported(&other).await;
    let specs = |document: &Document| document.deployments.iter().map(|row| row.spec.clone()).collect::<Vec<_>>();
    assert_eq!(specs(&copy), specs(&document));
    assert_eq!(copy.keys[0].spec, document.keys[0].spec);
    assert_eq!(copy.fallbacks[0].targets, [model("b")]);
    assert!(other.snapshot().find_pool("a").is_some(), "in force when it is answered");
    let again = apply(&other, &document, WITH_KEYS).await.unwrap();
    assert!(again.differences.is_empty(), "the same credentials are no difference: {again:?}");
    assert_eq!(other.parts.stores.audit.list(None, 100).await.unwrap().len(), 4);
}

#[tokio::test]
async fn differences_name_fields_and_never_show_credentials() {
    let world = furnished().await;
    let mut document = exported(&world).await;
    document.deployments[0].spec.weight = 9;
    document.deployments[0].credentials = Some(api_key("sk-other-secret"));
    document.settings = Some(SettingsPatch { execution_policies: Patch::Keep, ..SettingsPatch::default() });
    let revision = world.revision().await;
    let dry = ApplyOptions { validate_only: true, ..WITH_KEYS };
    let applied = apply(&world, &document, dry).await.unwrap();
    assert_eq!(summary(&applied), [(Action::Update, ResourceKind::Deployment, "a on openai gpt-4o")]);
    let fields: Vec<_> =
        applied.differences[0].fields.iter().map(|field| (field.field.as_str(), field.after.as_str())).collect();
    assert_eq!(fields, [("weight", "9"), ("credentials", "\"***\"")]);
    assert!(!format!("{applied:?}").contains("sk-"));
    assert_eq!((applied.revision, world.revision().await), (revision, revision), "a dry run saves nothing");
}

#[tokio::test]
async fn nothing_is_deleted_without_prune_and_the_revision_of_the_dry_run() {
    let world = furnished().await;
    let mut document = exported(&world).await;
    document.deployments.truncate(1);
    document.fallbacks.clear();
    document.keys.clear();
    assert!(apply(&world, &document, WITH_KEYS).await.unwrap().differences.is_empty());
    let prune = ApplyOptions { prune: true, ..WITH_KEYS };
    let refused = apply(&world, &document, prune).await.unwrap_err();
    assert_eq!((refused.kind(), refused.at()), (Kind::BadRequest, Some("revision")));
    let seen = apply(&world, &document, ApplyOptions { validate_only: true, ..prune }).await.unwrap();
    assert_eq!(
        summary(&seen),
        [
            (Action::Delete, ResourceKind::Deployment, "b on echo my-own-model"),
            // The chain loses its only target, and with it its life; the key's kind is not in the document.
            (Action::Delete, ResourceKind::FallbackChain, "a/general"),
        ]
    );
    world.deploy("c").await;
    let exactly = ApplyOptions { revision: Some(seen.revision), ..prune };
    assert_eq!(apply(&world, &document, exactly).await.unwrap_err().kind(), Kind::Stale);
    let seen = apply(&world, &document, ApplyOptions { validate_only: true, ..prune }).await.unwrap();
    let exactly = ApplyOptions { revision: Some(seen.revision), ..prune };
    assert_eq!(apply(&world, &document, exactly).await.unwrap().differences.len(), 3);
    assert_eq!(world.snapshot().counts(), (1, 1, 0));
}

#[tokio::test]
async fn everything_that_is_wrong_is_named_where_it_is_and_nothing_is_written() {
    let world = furnished().await;
    let mut document = exported(&world).await;
    document.deployments[1].spec.weight = 4000;
    document.deployments[0].credentials = Some(api_key("env:OPENAI_API_KEY"));
    document.fallbacks[0].targets = vec![model("nowhere")];
    document.keys[0].spec.name = String::new();
    let unknown = DeclaredDeployment {
        id: Some(crate::domain::ids::DeploymentId::from_uuid(uuid::Uuid::from_u128(7))),
        spec: document.deployments[0].spec.clone(),
        credentials: Some(Credentials::default()),
    };
    document.deployments.push(unknown);
    let revision = world.revision().await;
    let fault = apply(&world, &document, WITH_KEYS).await.unwrap_err();
    let fields = super::support::fields(&fault);
    assert_eq!(
        fields,
        [
            "deployments[0].credentials.apiKey",
            "deployments[1].weight",
            "deployments[2].id",
            "fallbacks[0].fallbackModels[0]",
            "keys[0].name",
        ]
    );
    assert_eq!(world.revision().await, revision);
    let without = ApplyOptions { include_keys: false, ..WITH_KEYS };
    assert_eq!(apply(&world, &document, without).await.unwrap_err().at(), Some("keys"));
}
