//! `DeploymentService`.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::auth::Called;
use super::convert::deployment::{
    FIELDS, credentials_from_proto, deployment_into_proto, patch_from_proto, probed_into_proto, resolved_into_proto,
};
use super::convert::{etag_from_proto, filled};
use super::mask::Mask;
use super::status::refuse;
use super::{paging, proto};
use crate::api::draft;
use crate::api::page_token::{Binding, Position};
use crate::control::{CatalogView, ChangeOptions, CreateOptions, Deployments};
use crate::domain::deployment::DeploymentFilter;
use crate::domain::ids::DeploymentId;
use crate::fault::{Fault, Outcome};

const RESOURCE: Option<&str> = Some("deployment");

/// The service.
#[derive(Debug)]
pub(super) struct Face {
    pub(super) deployments: Arc<Deployments>,
    pub(super) catalog: Arc<CatalogView>,
}

#[tonic::async_trait]
impl proto::deployment_service_server::DeploymentService for Face {
    async fn create_deployment(
        &self,
        request: Request<proto::CreateDeploymentRequest>,
    ) -> Result<Response<proto::Deployment>, Status> {
        let called = Called::of(&request)?;
        let answer = self.create(&called, request.into_inner()).await;
        answer.map(Response::new).map_err(|fault| refuse(&fault, &called, RESOURCE))
    }

    async fn get_deployment(
        &self,
        request: Request<proto::GetDeploymentRequest>,
    ) -> Result<Response<proto::Deployment>, Status> {
        let called = Called::of(&request)?;
        let answer = self.get(&request.into_inner().id).await;
        answer.map(Response::new).map_err(|fault| refuse(&fault, &called, None))
    }

    async fn list_deployments(
        &self,
        request: Request<proto::ListDeploymentsRequest>,
    ) -> Result<Response<proto::ListDeploymentsResponse>, Status> {
        let called = Called::of(&request)?;
        let answer = self.list(request.into_inner()).await;
        answer.map(Response::new).map_err(|fault| refuse(&fault, &called, None))
    }

    async fn update_deployment(
        &self,
        request: Request<proto::UpdateDeploymentRequest>,
    ) -> Result<Response<proto::Deployment>, Status> {
        let called = Called::of(&request)?;
        let answer = self.update(&called, request.into_inner()).await;
        answer.map(Response::new).map_err(|fault| refuse(&fault, &called, RESOURCE))
    }

    async fn delete_deployment(
        &self,
        request: Request<proto::DeleteDeploymentRequest>,
    ) -> Result<Response<proto::DeleteDeploymentResponse>, Status> {
        let called = Called::of(&request)?;
        let answer = self.delete(&called, &request.into_inner()).await;
        answer.map(Response::new).map_err(|fault| refuse(&fault, &called, None))
    }

    async fn test_deployment(
        &self,
        request: Request<proto::TestDeploymentRequest>,
    ) -> Result<Response<proto::TestDeploymentResponse>, Status> {
        let called = Called::of(&request)?;
        let answer = self.test(&called, request.into_inner()).await;
        answer.map(Response::new).map_err(|fault| refuse(&fault, &called, RESOURCE))
    }

    async fn resolve_deployment(
        &self,
        request: Request<proto::ResolveDeploymentRequest>,
    ) -> Result<Response<proto::ResolvedDeployment>, Status> {
        let called = Called::of(&request)?;
        let answer = self.resolve(request.into_inner());
        answer.map(Response::new).map_err(|fault| refuse(&fault, &called, RESOURCE))
    }
}

impl Face {
    async fn create(&self, called: &Called, message: proto::CreateDeploymentRequest) -> Outcome<proto::Deployment> {
        let patch = patch_from_proto(message.deployment.unwrap_or_default(), &Mask::Populated)?;
        let draft = draft::deployment(patch)?;
        let options = CreateOptions { request_id: filled(message.request_id), validate_only: message.validate_only };
        let created = self.deployments.create(&called.caller, draft, options).await?;
        Ok(deployment_into_proto(created.deployment))
    }

    async fn get(&self, id: &str) -> Outcome<proto::Deployment> {
        self.deployments.get(id_from_proto(id)?).await.map(deployment_into_proto)
    }

    async fn list(&self, message: proto::ListDeploymentsRequest) -> Outcome<proto::ListDeploymentsResponse> {
        let filter = DeploymentFilter {
            enabled: message.enabled,
            public_model: filled(message.public_model),
            provider: filled(message.provider),
            text: filled(message.query),
        };
        let binding = binding(&filter);
        let request = paging::read(message.page_size, &message.page_token, binding)?;
        let page = self.deployments.list(&filter, &request).await?;
        let last = page.items.last().map(|last| Position::After(*last.id.as_uuid()));
        Ok(proto::ListDeploymentsResponse {
            next_page_token: paging::next(page.has_more, last, binding),
            total_size: paging::total(page.total),
            deployments: page.items.into_iter().map(deployment_into_proto).collect(),
        })
    }

    async fn update(&self, called: &Called, message: proto::UpdateDeploymentRequest) -> Outcome<proto::Deployment> {
        let mask = Mask::read(message.update_mask, FIELDS)?;
        let deployment = message.deployment.unwrap_or_default();
        let id = id_from_proto(&deployment.id)?;
        let options =
            ChangeOptions { expected: etag_from_proto(&deployment.etag)?, validate_only: message.validate_only };
        let patch = patch_from_proto(deployment, &mask)?;
        self.deployments.update(&called.caller, id, patch, options).await.map(deployment_into_proto)
    }

    async fn delete(
        &self,
        called: &Called,
        message: &proto::DeleteDeploymentRequest,
    ) -> Outcome<proto::DeleteDeploymentResponse> {
        let (id, expected) = (id_from_proto(&message.id)?, etag_from_proto(&message.etag)?);
        self.deployments.delete(&called.caller, id, expected).await?;
        Ok(proto::DeleteDeploymentResponse {})
    }

    async fn test(
        &self,
        called: &Called,
        message: proto::TestDeploymentRequest,
    ) -> Outcome<proto::TestDeploymentResponse> {
        let probed = match (filled(message.id), message.deployment, message.credentials) {
            (Some(id), None, credentials) => {
                let credentials = credentials.map(credentials_from_proto);
                self.deployments.test(id_from_proto(&id)?, credentials).await?
            }
            (None, Some(deployment), None) => {
                let draft = draft::deployment(patch_from_proto(deployment, &Mask::Populated)?)?;
                self.deployments.test_draft(&called.caller, draft).await?
            }
            (None, Some(_), Some(_)) => {
                return Err(Fault::invalid("credentials", "go with `id`; those of `deployment` are in it"));
            }
            (None, None, _) => return Err(Fault::invalid("id", "is required, or `deployment`")),
            (Some(_), Some(_), _) => return Err(Fault::invalid("deployment", "cannot go with `id`; send one of them")),
        };
        Ok(probed_into_proto(probed))
    }

    fn resolve(&self, message: proto::ResolveDeploymentRequest) -> Outcome<proto::ResolvedDeployment> {
        let patch = patch_from_proto(message.deployment.unwrap_or_default(), &Mask::Populated)?;
        let spec = draft::deployment(patch)?.spec;
        let resolved = self.deployments.resolve(&spec)?;
        let adapter = self.catalog.presets().iter().find(|preset| preset.name == spec.provider);
        Ok(resolved_into_proto(resolved, adapter.map_or("", |preset| preset.adapter)))
    }
}

fn id_from_proto(id: &str) -> Outcome<DeploymentId> {
    match id {
        "" => Err(Fault::invalid("id", "is required")),
        id => id.parse().map_err(|_| Fault::invalid("id", "is not a UUID")),
    }
}

/// What the page tokens of a filtered list are bound to.
fn binding(filter: &DeploymentFilter) -> Binding {
    let enabled = filter.enabled.map(|enabled| if enabled { "true" } else { "false" });
    let conditions = [enabled, filter.public_model.as_deref(), filter.provider.as_deref(), filter.text.as_deref()];
    Binding::new("deployments", &conditions)
}
