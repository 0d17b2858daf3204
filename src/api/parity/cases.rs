//! One table, both faces.

use std::future::Future;
use std::pin::Pin;

use http::{Method, StatusCode};
use prost_types::FieldMask;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use super::support::{Sent, World};
use crate::api::grpc::{DOMAIN, proto};
use crate::fault::Kind;

type Call = Pin<Box<dyn Future<Output = Result<(), Status>>>>;

/// A field in REST's words and in those of the messages.
type Named = (&'static str, &'static str);

struct Case {
    name: &'static str,
    /// What is to happen: success, or a kind of fault about a field.
    expected: Result<StatusCode, (Kind, Option<Named>)>,
    grpc: fn(&World) -> Call,
    rest: fn(&World) -> Sent,
}

const NOBODY: &str = "018f0000-0000-7000-8000-000000000000";

fn echo(public_model: &str) -> proto::Deployment {
    proto::Deployment {
        public_model: public_model.to_owned(),
        provider: "echo".to_owned(),
        upstream_model: "echo".to_owned(),
        ..proto::Deployment::default()
    }
}

fn create(world: &World, request: proto::CreateDeploymentRequest) -> Call {
    let mut client = world.as_operator().deployments;
    Box::pin(async move { client.create_deployment(request).await.map(drop) })
}

fn create_plainly(world: &World, deployment: proto::Deployment) -> Call {
    create(world, proto::CreateDeploymentRequest { deployment: Some(deployment), ..Default::default() })
}

fn update(world: &World, deployment: proto::Deployment, paths: &[&str]) -> Call {
    let mut client = world.as_operator().deployments;
    let update_mask = Some(FieldMask { paths: paths.iter().map(|path| (*path).to_owned()).collect() });
    let request = proto::UpdateDeploymentRequest { deployment: Some(deployment), update_mask, ..Default::default() };
    Box::pin(async move { client.update_deployment(request).await.map(drop) })
}

fn post(path: &str, body: &str) -> Sent {
    Sent::new(Method::POST, path, body)
}

fn get_with(world: &World, key: Option<&str>) -> Call {
    let mut client = world.with_key(key).routing;
    Box::pin(async move { client.get_settings(proto::GetSettingsRequest {}).await.map(drop) })
}

fn invalidate(world: &World, operation: &str, key: &str) -> Call {
    let mut client = world.as_operator().cache;
    let request = proto::InvalidateRequest { operation: operation.to_owned(), virtual_key_id: key.to_owned() };
    Box::pin(async move { client.invalidate(request).await.map(drop) })
}

fn cases_of_creation() -> Vec<Case> {
    vec![
        Case {
            name: "create",
            expected: Ok(StatusCode::CREATED),
            grpc: |world| create_plainly(world, echo("new")),
            rest: |_| post("/admin/deployments", r#"{"publicModel":"new","provider":"echo","upstreamModel":"echo"}"#),
        },
        Case {
            name: "a missing field",
            expected: Err((Kind::BadRequest, Some(("publicModel", "deployment.public_model")))),
            grpc: |world| create_plainly(world, echo("")),
            rest: |_| post("/admin/deployments", r#"{"provider":"echo","upstreamModel":"echo"}"#),
        },
        Case {
            name: "a base URL with a query",
            expected: Err((Kind::BadRequest, Some(("credentials.baseUrl", "deployment.credentials.base_url")))),
            grpc: |world| {
                let credentials = proto::Credentials {
                    api_key: Some("sk-1".to_owned()),
                    base_url: Some("https://example.com/v1?x=1".to_owned()),
                    ..Default::default()
                };
                let deployment = proto::Deployment {
                    provider: "openaicompatible".to_owned(),
                    credentials: Some(credentials),
                    ..echo("new")
                };
                create_plainly(world, deployment)
            },
            rest: |_| {
                post(
                    "/admin/deployments",
                    r#"{"publicModel":"new","provider":"openaicompatible","upstreamModel":"echo",
                        "credentials":{"apiKey":"sk-1","baseUrl":"https://example.com/v1?x=1"}}"#,
                )
            },
        },
        Case {
            name: "values of a field that nobody checks",
            expected: Err((
                Kind::BadRequest,
                Some((
                    "catalogEntry.operations.image.generate.values.voice",
                    "deployment.catalog_entry.operations.image.generate.values.voice",
                )),
            )),
            grpc: |world| {
                let voices = proto::FieldValues { values: vec!["alloy".to_owned()] };
                let profile =
                    proto::OperationProfile { values: [("voice".to_owned(), voices)].into(), ..Default::default() };
                let entry = proto::ModelProfile {
                    operations: [("image.generate".to_owned(), profile)].into(),
                    ..Default::default()
                };
                let deployment = proto::Deployment {
                    provider: "googleaistudio".to_owned(),
                    upstream_model: "imagen-9".to_owned(),
                    credentials: Some(proto::Credentials { api_key: Some("sk-1".to_owned()), ..Default::default() }),
                    catalog_entry: Some(entry),
                    ..echo("new")
                };
                create_plainly(world, deployment)
            },
            rest: |_| {
                post(
                    "/admin/deployments",
                    r#"{"publicModel":"new","provider":"googleaistudio","upstreamModel":"imagen-9",
                        "credentials":{"apiKey":"sk-1"},
                        "catalogEntry":{"operations":{"image.generate":{"values":{"voice":["alloy"]}}}}}"#,
                )
            },
        },
        Case {
            name: "an unknown preset",
            expected: Err((Kind::BadRequest, Some(("provider", "deployment.provider")))),
            grpc: |world| create_plainly(world, proto::Deployment { provider: "acme".to_owned(), ..echo("new") }),
            rest: |_| post("/admin/deployments", r#"{"publicModel":"new","provider":"acme","upstreamModel":"echo"}"#),
        },
        Case {
            name: "a limit of nothing",
            expected: Err((Kind::BadRequest, Some(("maxParallelRequests", "virtual_key.max_parallel_requests")))),
            grpc: |world| {
                let mut client = world.as_operator().virtual_keys;
                let virtual_key =
                    proto::VirtualKey { name: "x".to_owned(), max_parallel_requests: Some(0), ..Default::default() };
                let request = proto::CreateVirtualKeyRequest { virtual_key: Some(virtual_key), ..Default::default() };
                Box::pin(async move { client.create_virtual_key(request).await.map(drop) })
            },
            rest: |_| post("/admin/keys", r#"{"name":"x","maxParallelRequests":0}"#),
        },
        Case {
            name: "only validate",
            expected: Ok(StatusCode::OK),
            grpc: |world| {
                let request = proto::CreateDeploymentRequest {
                    deployment: Some(echo("new")),
                    validate_only: true,
                    ..Default::default()
                };
                create(world, request)
            },
            rest: |_| {
                post(
                    "/admin/deployments?validateOnly=true",
                    r#"{"publicModel":"new","provider":"echo","upstreamModel":"echo"}"#,
                )
            },
        },
    ]
}

fn cases_of_change() -> Vec<Case> {
    vec![
        Case {
            name: "an update with a stale etag",
            expected: Err((Kind::Stale, None)),
            grpc: |world| {
                let id = world.general.id.to_string();
                update(world, proto::Deployment { id, etag: "r999".to_owned(), ..Default::default() }, &["label"])
            },
            rest: |world| {
                let path = format!("/admin/deployments/{}", world.general.id);
                Sent::new(Method::PATCH, path, r#"{"label":null}"#).header("if-match", "\"r999\"")
            },
        },
        Case {
            name: "an etag that is none",
            expected: Err((Kind::BadRequest, Some(("etag", "deployment.etag")))),
            grpc: |world| {
                let id = world.general.id.to_string();
                update(world, proto::Deployment { id, etag: "yesterday".to_owned(), ..Default::default() }, &["label"])
            },
            rest: |world| {
                let path = format!("/admin/deployments/{}", world.general.id);
                Sent::new(Method::PATCH, path, r#"{"label":null,"etag":"yesterday"}"#)
            },
        },
        Case {
            name: "get a missing one",
            expected: Err((Kind::NotFound, None)),
            grpc: |world| {
                let mut client = world.as_operator().deployments;
                let request = proto::GetDeploymentRequest { id: NOBODY.to_owned() };
                Box::pin(async move { client.get_deployment(request).await.map(drop) })
            },
            rest: |_| Sent::new(Method::GET, format!("/admin/deployments/{NOBODY}"), ""),
        },
        Case {
            name: "an id that is none",
            expected: Err((Kind::BadRequest, Some(("id", "id")))),
            grpc: |world| {
                let mut client = world.as_operator().virtual_keys;
                let request = proto::GetVirtualKeyRequest { id: "seven".to_owned() };
                Box::pin(async move { client.get_virtual_key(request).await.map(drop) })
            },
            rest: |_| Sent::new(Method::GET, "/admin/keys/seven", ""),
        },
        Case {
            name: "delete a missing one",
            expected: Err((Kind::NotFound, None)),
            grpc: |world| {
                let mut client = world.as_operator().virtual_keys;
                let request = proto::DeleteVirtualKeyRequest { id: NOBODY.to_owned(), ..Default::default() };
                Box::pin(async move { client.delete_virtual_key(request).await.map(drop) })
            },
            rest: |_| Sent::new(Method::DELETE, format!("/admin/keys/{NOBODY}"), ""),
        },
        Case {
            name: "rename a model that a chain names",
            expected: Err((Kind::InUse, Some(("publicModel", "deployment.public_model")))),
            grpc: |world| {
                let id = world.general.id.to_string();
                update(world, proto::Deployment { id, ..echo("renamed") }, &["public_model"])
            },
            rest: |world| {
                let path = format!("/admin/deployments/{}", world.general.id);
                Sent::new(Method::PATCH, path, r#"{"publicModel":"renamed"}"#)
            },
        },
        Case {
            name: "a required field cannot be cleared",
            expected: Err((Kind::BadRequest, Some(("provider", "deployment.provider")))),
            grpc: |world| {
                let id = world.general.id.to_string();
                update(world, proto::Deployment { id, ..Default::default() }, &["provider"])
            },
            rest: |world| {
                Sent::new(Method::PATCH, format!("/admin/deployments/{}", world.general.id), r#"{"provider":null}"#)
            },
        },
        Case {
            name: "a grace period that is too long",
            expected: Err((Kind::BadRequest, Some(("gracePeriodSeconds", "grace_period")))),
            grpc: |world| {
                let mut client = world.as_operator().virtual_keys;
                let grace_period = Some(prost_types::Duration { seconds: 864_000, nanos: 0 });
                let request =
                    proto::RotateVirtualKeyRequest { id: world.key.id.to_string(), grace_period, ..Default::default() };
                Box::pin(async move { client.rotate_virtual_key(request).await.map(drop) })
            },
            rest: |world| post(&format!("/admin/keys/{}/rotate", world.key.id), r#"{"gracePeriodSeconds":864000}"#),
        },
    ]
}

fn explain(world: &World, request: proto::ExplainRouteRequest) -> Call {
    let mut client = world.as_operator().routing;
    Box::pin(async move { client.explain_route(request).await.map(drop) })
}

fn cases_of_explaining() -> Vec<Case> {
    vec![
        Case {
            name: "explain a route",
            expected: Ok(StatusCode::OK),
            grpc: |world| {
                explain(
                    world,
                    proto::ExplainRouteRequest {
                        public_model: "general".to_owned(),
                        tools: true,
                        ..Default::default()
                    },
                )
            },
            rest: |_| post("/admin/route/explain", r#"{"publicModel":"general","tools":true}"#),
        },
        Case {
            name: "explain the route of nothing",
            expected: Err((Kind::BadRequest, Some(("publicModel", "public_model")))),
            grpc: |world| explain(world, proto::ExplainRouteRequest::default()),
            rest: |_| post("/admin/route/explain", "{}"),
        },
        Case {
            name: "explain the route of a key that is none",
            expected: Err((Kind::BadRequest, Some(("keyId", "key_id")))),
            grpc: |world| {
                explain(
                    world,
                    proto::ExplainRouteRequest {
                        public_model: "general".to_owned(),
                        key_id: "7".to_owned(),
                        ..Default::default()
                    },
                )
            },
            rest: |_| post("/admin/route/explain", r#"{"publicModel":"general","keyId":"7"}"#),
        },
        Case {
            name: "explain the route of an operation that is none",
            expected: Err((Kind::BadRequest, Some(("operation", "operation")))),
            grpc: |world| {
                explain(
                    world,
                    proto::ExplainRouteRequest {
                        public_model: "general".to_owned(),
                        operation: "text".to_owned(),
                        ..Default::default()
                    },
                )
            },
            rest: |_| post("/admin/route/explain", r#"{"publicModel":"general","operation":"text"}"#),
        },
        Case {
            name: "explain a route told in two ways",
            expected: Err((Kind::BadRequest, Some(("body", "body")))),
            grpc: |world| {
                explain(
                    world,
                    proto::ExplainRouteRequest {
                        stream: true,
                        body: Some(prost_types::Struct::default()),
                        ..Default::default()
                    },
                )
            },
            rest: |_| post("/admin/route/explain", r#"{"stream":true,"body":{}}"#),
        },
    ]
}

fn cases_of_the_rest() -> Vec<Case> {
    vec![
        Case {
            name: "a fallback to an unknown model",
            expected: Err((Kind::BadRequest, Some(("fallbackModels[0]", "fallback.fallback_models[0]")))),
            grpc: |world| {
                let mut client = world.as_operator().routing;
                let fallback = proto::Fallback {
                    primary_model: "general".to_owned(),
                    fallback_models: vec!["nobody".to_owned()],
                    ..Default::default()
                };
                let request = proto::SetFallbackRequest { fallback: Some(fallback), ..Default::default() };
                Box::pin(async move { client.set_fallback(request).await.map(drop) })
            },
            rest: |_| {
                let body = r#"{"primaryModel":"general","fallbackModels":["nobody"]}"#;
                Sent::new(Method::PUT, "/admin/fallbacks", body)
            },
        },
        Case {
            name: "delete a missing chain",
            expected: Err((Kind::NotFound, None)),
            grpc: |world| {
                let mut client = world.as_operator().routing;
                let request = proto::DeleteFallbackRequest {
                    primary_model: "a/b".to_owned(),
                    reason: proto::FallbackReason::ContentPolicy.into(),
                    ..Default::default()
                };
                Box::pin(async move { client.delete_fallback(request).await.map(drop) })
            },
            rest: |_| Sent::new(Method::DELETE, "/admin/fallbacks/a/b/content_policy", ""),
        },
        Case {
            name: "a setting that is out of range",
            expected: Err((
                Kind::BadRequest,
                Some((
                    "executionPolicies.text.generate.maxAttempts",
                    "settings.execution_policies.text.generate.max_attempts",
                )),
            )),
            grpc: |world| {
                let mut client = world.as_operator().routing;
                let policy = proto::ExecutionPolicy { max_attempts: Some(99), ..Default::default() };
                let settings = proto::RouterSettings {
                    execution_policies: [("text.generate".to_owned(), policy)].into(),
                    ..Default::default()
                };
                let request = proto::UpdateSettingsRequest { settings: Some(settings), ..Default::default() };
                Box::pin(async move { client.update_settings(request).await.map(drop) })
            },
            rest: |_| {
                let body = r#"{"executionPolicies":{"text.generate":{"maxAttempts":99}}}"#;
                Sent::new(Method::PUT, "/admin/router-settings", body)
            },
        },
        Case {
            name: "invalidate all that is cached",
            expected: Ok(StatusCode::OK),
            grpc: |world| invalidate(world, "", ""),
            rest: |_| Sent::new(Method::DELETE, "/admin/cache", ""),
        },
        Case {
            name: "invalidate what is cached of an operation and a key",
            expected: Ok(StatusCode::OK),
            grpc: |world| invalidate(world, "embedding.create", NOBODY),
            rest: |_| {
                let path = format!("/admin/cache?callType=embedding.create&namespace={NOBODY}");
                Sent::new(Method::DELETE, path, "")
            },
        },
        Case {
            name: "invalidate what is cached of an unknown operation",
            expected: Err((Kind::BadRequest, Some(("callType", "operation")))),
            grpc: |world| invalidate(world, "text.sing", ""),
            rest: |_| Sent::new(Method::DELETE, "/admin/cache?callType=text.sing", ""),
        },
        Case {
            name: "invalidate what is cached of no key",
            expected: Err((Kind::BadRequest, Some(("namespace", "virtual_key_id")))),
            grpc: |world| invalidate(world, "", "app"),
            rest: |_| Sent::new(Method::DELETE, "/admin/cache?namespace=app", ""),
        },
        Case {
            name: "no credential",
            expected: Err((Kind::Unauthenticated, None)),
            grpc: |world| get_with(world, None),
            rest: |_| Sent::new(Method::GET, "/admin/router-settings", "").key(None),
        },
        Case {
            name: "a wrong credential",
            expected: Err((Kind::Unauthenticated, None)),
            grpc: |world| get_with(world, Some("guess")),
            rest: |_| Sent::new(Method::GET, "/admin/router-settings", "").key(Some("guess")),
        },
        Case {
            name: "a virtual key as credential",
            expected: Err((Kind::Forbidden, None)),
            grpc: |world| get_with(world, Some(&world.plaintext)),
            rest: |world| Sent::new(Method::GET, "/admin/router-settings", "").key(Some(&world.plaintext)),
        },
    ]
}

#[tokio::test]
async fn the_same_request_has_the_same_outcome_through_both_faces() {
    for case in
        cases_of_creation().into_iter().chain(cases_of_change()).chain(cases_of_explaining()).chain(cases_of_the_rest())
    {
        let through_grpc = (case.grpc)(&World::new().await).await;
        let world = World::new().await;
        let answered = world.send((case.rest)(&world)).await;
        let name = case.name;
        assert!(answered.headers.contains_key("x-unified-config-revision"), "{name}");
        match case.expected {
            Ok(status) => {
                through_grpc.unwrap_or_else(|status| panic!("{name}: {status}"));
                assert_eq!(answered.status, status, "{name}: {}", answered.body);
                assert!(answered.body["data"].is_object(), "{name}");
            }
            Err((kind, field)) => {
                let row = kind.row();
                let status = through_grpc.expect_err(name);
                assert_eq!(status.code(), Code::from_i32(row.grpc as i32), "{name}: {status}");
                let info = status.get_details_error_info().expect(name);
                assert_eq!(
                    (info.reason.as_str(), info.domain.as_str()),
                    (row.slug.to_uppercase().as_str(), DOMAIN),
                    "{name}"
                );
                let violations = status.get_details_bad_request().map(|bad| bad.field_violations).unwrap_or_default();
                let named = violations.first().map(|violation| violation.field.as_str());
                let named = named.or(info.metadata.get("field").map(String::as_str));
                assert_eq!(named, field.map(|(_, proto)| proto), "{name}");

                assert_eq!(answered.status.as_u16(), row.http, "{name}: {}", answered.body);
                let error = &answered.body["error"];
                assert_eq!(error["type"], row.openai_type, "{name}");
                assert_eq!(error["code"].as_str(), row.code, "{name}");
                assert_eq!(error["param"].as_str(), field.map(|(rest, _)| rest), "{name}");
                if field.is_none() {
                    assert_eq!(error["message"], status.message(), "{name}");
                }
            }
        }
    }
}
