//! `CacheService`.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::auth::Called;
use super::convert::filled;
use super::convert::model::unknown_operation;
use super::proto;
use super::status::refuse;
use crate::control::{CacheScope, CachedAnswers};
use crate::fault::{Fault, Outcome};

/// The service.
#[derive(Debug)]
pub(super) struct Face(pub(super) Arc<CachedAnswers>);

#[tonic::async_trait]
impl proto::cache_service_server::CacheService for Face {
    async fn invalidate(
        &self,
        request: Request<proto::InvalidateRequest>,
    ) -> Result<Response<proto::InvalidateResponse>, Status> {
        let called = Called::of(&request)?;
        let answer = self.invalidate(&called, request.into_inner()).await;
        answer.map(Response::new).map_err(|fault| refuse(&fault, &called, None))
    }
}

impl Face {
    async fn invalidate(
        &self,
        called: &Called,
        message: proto::InvalidateRequest,
    ) -> Outcome<proto::InvalidateResponse> {
        let operation = filled(message.operation).map(|word| word.parse());
        let key = filled(message.virtual_key_id).map(|id| id.parse());
        let scope = CacheScope {
            operation: operation.transpose().map_err(|_| Fault::invalid("operation", unknown_operation()))?,
            key: key.transpose().map_err(|_| Fault::invalid("virtual_key_id", "is not a UUID"))?,
        };
        let removed = self.0.invalidate(&called.caller, scope).await?;
        Ok(proto::InvalidateResponse { removed: Some(i64::try_from(removed).unwrap_or(i64::MAX)) })
    }
}
