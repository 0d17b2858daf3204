//! What only gRPC has.

use tokio_stream::StreamExt;
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use tonic_types::StatusExt;
use tower::ServiceExt;

use super::support::{MASTER, World};
use crate::api::admin_auth::MAX_FAILURES;
use crate::api::grpc::proto;

fn key_request(name: &str, request_id: &str) -> proto::CreateVirtualKeyRequest {
    proto::CreateVirtualKeyRequest {
        virtual_key: Some(proto::VirtualKey { name: name.to_owned(), ..Default::default() }),
        request_id: request_id.to_owned(),
        validate_only: false,
    }
}

#[tokio::test]
async fn the_same_request_id_creates_once_and_shows_the_key_once() {
    let world = World::new().await;
    let mut client = world.as_operator().virtual_keys;
    let first = client.create_virtual_key(key_request("a", "once")).await.unwrap().into_inner();
    let second = client.create_virtual_key(key_request("a", "once")).await.unwrap().into_inner();
    assert!(first.key.starts_with("unified-") && !first.replayed);
    assert!(second.key.is_empty() && second.replayed);
    assert_eq!(first.virtual_key, second.virtual_key);
    let other = client.create_virtual_key(key_request("b", "once")).await.unwrap_err();
    assert_eq!(other.code(), Code::AlreadyExists);
}

#[tokio::test]
async fn answers_carry_the_request_id_and_the_revision() {
    let world = World::new().await;
    let mut client = world.as_operator().virtual_keys;
    let mut request = tonic::Request::new(key_request("a", ""));
    request.metadata_mut().insert("x-request-id", "req-9".parse().unwrap());
    let answer = client.create_virtual_key(request).await.unwrap();
    assert_eq!(answer.metadata().get("x-request-id").unwrap(), "req-9");
    let revision = world.control.system.snapshot().revision.to_string();
    assert_eq!(answer.metadata().get("x-unified-config-revision").unwrap(), revision.as_str());
    let entry = world.stores.audit.list(None, 1).await.unwrap().remove(0);
    assert_eq!((entry.face.as_str(), entry.request_id.as_deref()), ("grpc", Some("req-9")));

    let refused = client.get_virtual_key(proto::GetVirtualKeyRequest::default()).await.unwrap_err();
    assert_eq!(refused.metadata().get("x-request-id").unwrap().len(), 36);
    assert!(refused.metadata().contains_key("x-unified-config-revision"));
}

#[tokio::test]
async fn a_source_that_keeps_guessing_is_told_when_to_come_back() {
    let world = World::new().await;
    let mut client = world.with_key(Some("guess")).system;
    for _ in 0..MAX_FAILURES {
        let status = client.get_info(proto::GetInfoRequest {}).await.unwrap_err();
        assert_eq!(status.code(), Code::Unauthenticated);
    }
    let status = client.get_info(proto::GetInfoRequest {}).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert_eq!(status.get_details_retry_info().unwrap().retry_delay.unwrap().as_secs(), 60);
    let info = world.as_operator().system.get_info(proto::GetInfoRequest {}).await.unwrap().into_inner();
    assert_eq!((info.version.as_str(), info.mode()), ("1.2.3", proto::info::Mode::Embedded));
}

#[tokio::test]
async fn lists_page_with_tokens_bound_to_their_filter() {
    let world = World::new().await;
    let mut client = world.as_operator().deployments;
    let request = proto::ListDeploymentsRequest { page_size: 1, ..Default::default() };
    let first = client.list_deployments(request.clone()).await.unwrap().into_inner();
    assert_eq!((first.deployments.len(), first.total_size), (1, 2));
    let next = proto::ListDeploymentsRequest { page_token: first.next_page_token, ..request };
    let second = client.list_deployments(next.clone()).await.unwrap().into_inner();
    assert_eq!((second.deployments.len(), second.next_page_token.as_str()), (1, ""));
    assert_ne!(first.deployments, second.deployments);
    let other = proto::ListDeploymentsRequest { enabled: Some(true), ..next };
    let refused = client.list_deployments(other).await.unwrap_err();
    assert_eq!(refused.get_details_bad_request().unwrap().field_violations[0].field, "page_token");
}

#[tokio::test]
async fn a_mask_says_what_is_cleared() {
    let world = World::new().await;
    let mut client = world.as_operator().deployments;
    let id = world.general.id.to_string();
    let mut update = async |deployment: proto::Deployment, paths: &[&str]| {
        let paths = paths.iter().map(|path| (*path).to_owned()).collect();
        let update_mask = Some(prost_types::FieldMask { paths });
        let deployment = Some(proto::Deployment { id: id.clone(), ..deployment });
        client.update_deployment(proto::UpdateDeploymentRequest { deployment, update_mask, validate_only: false }).await
    };
    let labelled = proto::Deployment { label: Some("blue".to_owned()), weight: Some(3), ..Default::default() };
    let populated = update(labelled, &[]).await.unwrap().into_inner();
    assert_eq!((populated.label.as_deref(), populated.weight), (Some("blue"), Some(3)));
    let cleared = update(proto::Deployment::default(), &["label"]).await.unwrap().into_inner();
    assert_eq!((cleared.label, cleared.weight), (None, Some(3)));
    let refused = update(proto::Deployment::default(), &["pricing.units"]).await.unwrap_err();
    assert_eq!(refused.get_details_bad_request().unwrap().field_violations[0].field, "update_mask");
}

#[tokio::test]
async fn watching_starts_with_the_present_and_follows() {
    let world = World::new().await;
    let clients = world.as_operator();
    let (mut system, mut virtual_keys) = (clients.system, clients.virtual_keys);
    let mut statuses = system.watch_snapshot(proto::WatchSnapshotRequest {}).await.unwrap().into_inner();
    let present = statuses.next().await.unwrap().unwrap();
    assert_eq!((present.deployments, present.virtual_keys, present.fallbacks), (2, 1, 1));
    virtual_keys.create_virtual_key(key_request("a", "")).await.unwrap();
    let next = statuses.next().await.unwrap().unwrap();
    assert_eq!((next.virtual_keys, next.revision), (2, present.revision + 1));
}

#[tokio::test]
async fn the_catalog_is_listed() {
    let world = World::new().await;
    let mut client = world.as_operator().catalog;
    let providers = client.list_providers(proto::ListProvidersRequest {}).await.unwrap().into_inner().providers;
    assert!(providers.iter().any(|preset| preset.name == "openai" && !preset.operations.is_empty()));
    let request = proto::ListModelsRequest {
        page_size: 1,
        provider: "openai".to_owned(),
        operation: "text.generate".to_owned(),
        ..Default::default()
    };
    let first = client.list_models(request.clone()).await.unwrap().into_inner();
    assert!(first.models.len() == 1 && first.total_size > 1);
    let next = proto::ListModelsRequest { page_token: first.next_page_token, ..request };
    let second = client.list_models(next).await.unwrap().into_inner();
    assert_ne!(first.models[0].model, second.models[0].model);
    let sung = proto::ListModelsRequest { operation: "text.sing".to_owned(), ..Default::default() };
    assert_eq!(client.list_models(sung).await.unwrap_err().code(), Code::InvalidArgument);
}

#[tokio::test]
async fn an_unknown_method_is_told_only_to_the_operator() {
    let world = World::new().await;
    for (key, code) in [(None, Code::Unauthenticated), (Some(MASTER), Code::Unimplemented)] {
        let mut request = http::Request::post("/unifiedgateway.admin.v1.Secrets/List");
        if let Some(key) = key {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        let response = world.routes().oneshot(request.body(tonic::body::Body::empty()).unwrap()).await.unwrap();
        let status = tonic::Status::from_header_map(response.headers()).unwrap();
        assert_eq!(status.code(), code);
    }
}

#[tokio::test]
async fn health_and_reflection_need_no_credential() {
    let world = World::new().await;
    let mut health = HealthClient::new(world.routes());
    health.check(HealthCheckRequest { service: String::new() }).await.unwrap();
    let mut reflection = ServerReflectionClient::new(world.routes());
    let ask = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut answers = reflection.server_reflection_info(tokio_stream::once(ask)).await.unwrap().into_inner();
    let Some(MessageResponse::ListServicesResponse(listed)) = answers.next().await.unwrap().unwrap().message_response
    else {
        panic!("services were asked for");
    };
    let names: Vec<String> = listed.service.into_iter().map(|service| service.name).collect();
    for name in crate::api::grpc::SERVICE_NAMES.into_iter().skip(1) {
        assert!(names.iter().any(|listed| listed == name), "{name} is not in {names:?}");
    }
}
