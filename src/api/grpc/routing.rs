//! `RoutingService`.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::auth::Called;
use super::convert::explain::{explanation_into_proto, question_from_proto};
use super::convert::routing::{
    FIELDS, chain_from_proto, chain_into_proto, patch_from_proto, reason_from_proto, settings_into_proto,
};
use super::convert::{etag_from_proto, filled};
use super::mask::Mask;
use super::status::refuse;
use super::{paging, proto};
use crate::api::page_token::{Binding, Position};
use crate::control::{ChangeOptions, Routing};
use crate::fault::{Fault, Outcome};

/// The service.
#[derive(Debug)]
pub(super) struct Face(pub(super) Arc<Routing>);

#[tonic::async_trait]
impl proto::routing_service_server::RoutingService for Face {
    async fn get_settings(
        &self,
        request: Request<proto::GetSettingsRequest>,
    ) -> Result<Response<proto::RouterSettings>, Status> {
        let called = Called::of(&request)?;
        let answer = self.0.settings().await.map(settings_into_proto);
        answer.map(Response::new).map_err(|fault| refuse(&fault, &called, None))
    }

    async fn update_settings(
        &self,
        request: Request<proto::UpdateSettingsRequest>,
    ) -> Result<Response<proto::RouterSettings>, Status> {
        let called = Called::of(&request)?;
        let answer = self.update(&called, request.into_inner()).await;
        answer.map(Response::new).map_err(|fault| refuse(&fault, &called, Some("settings")))
    }

    async fn list_fallbacks(
        &self,
        request: Request<proto::ListFallbacksRequest>,
    ) -> Result<Response<proto::ListFallbacksResponse>, Status> {
        let called = Called::of(&request)?;
        let answer = self.list(request.into_inner()).await;
        answer.map(Response::new).map_err(|fault| refuse(&fault, &called, None))
    }

    async fn set_fallback(
        &self,
        request: Request<proto::SetFallbackRequest>,
    ) -> Result<Response<proto::Fallback>, Status> {
        let called = Called::of(&request)?;
        let answer = self.set(&called, request.into_inner()).await;
        answer.map(Response::new).map_err(|fault| refuse(&fault, &called, Some("fallback")))
    }

    async fn delete_fallback(
        &self,
        request: Request<proto::DeleteFallbackRequest>,
    ) -> Result<Response<proto::DeleteFallbackResponse>, Status> {
        let called = Called::of(&request)?;
        let answer = self.delete(&called, &request.into_inner()).await;
        answer.map(Response::new).map_err(|fault| refuse(&fault, &called, None))
    }

    async fn explain_route(
        &self,
        request: Request<proto::ExplainRouteRequest>,
    ) -> Result<Response<proto::ExplainRouteResponse>, Status> {
        let called = Called::of(&request)?;
        let answer = self.explain(request.into_inner()).await;
        answer.map(Response::new).map_err(|fault| refuse(&fault, &called, None))
    }
}

impl Face {
    async fn update(&self, called: &Called, message: proto::UpdateSettingsRequest) -> Outcome<proto::RouterSettings> {
        let mask = Mask::read(message.update_mask, FIELDS)?;
        let settings = message.settings.unwrap_or_default();
        let options =
            ChangeOptions { expected: etag_from_proto(&settings.etag)?, validate_only: message.validate_only };
        let patch = patch_from_proto(settings, &mask)?;
        self.0.update_settings(&called.caller, patch, options).await.map(settings_into_proto)
    }

    async fn list(&self, message: proto::ListFallbacksRequest) -> Outcome<proto::ListFallbacksResponse> {
        let primary = filled(message.primary_model);
        let binding = Binding::new("fallbacks", &[primary.as_deref()]);
        let request = paging::read(message.page_size, &message.page_token, binding)?;
        let page = self.0.list_fallbacks(primary.as_deref(), &request).await?;
        let seen = u32::try_from(page.items.len()).unwrap_or(u32::MAX);
        let next = Position::Offset(request.offset.saturating_add(seen));
        Ok(proto::ListFallbacksResponse {
            next_page_token: paging::next(page.has_more, Some(next), binding),
            total_size: paging::total(page.total),
            fallbacks: page.items.iter().map(chain_into_proto).collect(),
        })
    }

    async fn set(&self, called: &Called, message: proto::SetFallbackRequest) -> Outcome<proto::Fallback> {
        let fallback = message.fallback.unwrap_or_default();
        let options =
            ChangeOptions { expected: etag_from_proto(&fallback.etag)?, validate_only: message.validate_only };
        let (primary, reason, targets) = chain_from_proto(&fallback)?;
        self.0
            .set_fallback(&called.caller, primary, reason, targets, options)
            .await
            .map(|chain| chain_into_proto(&chain))
    }

    async fn explain(&self, message: proto::ExplainRouteRequest) -> Outcome<proto::ExplainRouteResponse> {
        self.0.explain(question_from_proto(message)?).await.map(explanation_into_proto)
    }

    async fn delete(
        &self,
        called: &Called,
        message: &proto::DeleteFallbackRequest,
    ) -> Outcome<proto::DeleteFallbackResponse> {
        if message.primary_model.is_empty() {
            return Err(Fault::invalid("primary_model", "is required"));
        }
        let (reason, expected) = (reason_from_proto(message.reason)?, etag_from_proto(&message.etag)?);
        self.0.delete_fallback(&called.caller, &message.primary_model, reason, expected).await?;
        Ok(proto::DeleteFallbackResponse {})
    }
}
