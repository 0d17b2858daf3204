//! `CatalogService`.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::auth::Called;
use super::convert::catalog::{known_model_into_proto, preset_into_proto};
use super::convert::filled;
use super::convert::model::unknown_operation;
use super::status::refuse;
use super::{paging, proto};
use crate::api::page_token::{Binding, Position};
use crate::control::CatalogView;
use crate::control::catalog::ModelFilter;
use crate::domain::operation::Operation;
use crate::fault::{Fault, Outcome};

/// The service.
#[derive(Debug)]
pub(super) struct Face(pub(super) Arc<CatalogView>);

#[tonic::async_trait]
impl proto::catalog_service_server::CatalogService for Face {
    async fn list_providers(
        &self,
        request: Request<proto::ListProvidersRequest>,
    ) -> Result<Response<proto::ListProvidersResponse>, Status> {
        Called::of(&request)?;
        let providers = self.0.presets().iter().map(preset_into_proto).collect();
        Ok(Response::new(proto::ListProvidersResponse { providers }))
    }

    async fn list_models(
        &self,
        request: Request<proto::ListModelsRequest>,
    ) -> Result<Response<proto::ListModelsResponse>, Status> {
        let called = Called::of(&request)?;
        let answer = self.list(request.into_inner());
        answer.map(Response::new).map_err(|fault| refuse(&fault, &called, None))
    }
}

impl Face {
    fn list(&self, message: proto::ListModelsRequest) -> Outcome<proto::ListModelsResponse> {
        let operation = match filled(message.operation) {
            Some(word) => {
                Some(word.parse::<Operation>().map_err(|_| Fault::invalid("operation", unknown_operation()))?)
            }
            None => None,
        };
        let filter = ModelFilter { provider: filled(message.provider), operation, text: filled(message.query) };
        let conditions = [filter.provider.as_deref(), filter.operation.map(Operation::as_str), filter.text.as_deref()];
        let binding = Binding::new("models", &conditions);
        let request = paging::read(message.page_size, &message.page_token, binding)?;
        let page = self.0.list_models(&filter, request.limit, request.offset);
        let seen = u32::try_from(page.items.len()).unwrap_or(u32::MAX);
        let next = Position::Offset(request.offset.saturating_add(seen));
        Ok(proto::ListModelsResponse {
            next_page_token: paging::next(page.has_more, Some(next), binding),
            total_size: paging::total(page.total),
            models: page.items.into_iter().map(known_model_into_proto).collect(),
        })
    }
}
