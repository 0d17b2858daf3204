//! `UsageService`.

use std::pin::Pin;
use std::sync::Arc;

use tokio_stream::Stream;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::auth::Called;
use super::convert::filled;
use super::convert::usage::{
    dimensions_from_proto, filter_from_proto, operation_into_proto, report_into_proto, summary_into_proto,
    window_from_proto,
};
use super::status::refuse;
use super::{paging, proto};
use crate::api::page_token::Position;
use crate::api::usage::binding;
use crate::control::Usage;
use crate::control::usage::Tail;
use crate::fault::Outcome;

const FILTER: Option<&str> = Some("filter");

/// The service.
#[derive(Debug)]
pub(super) struct Face(pub(super) Arc<Usage>);

#[tonic::async_trait]
impl proto::usage_service_server::UsageService for Face {
    type TailOperationsStream = Pin<Box<dyn Stream<Item = Result<proto::Operation, Status>> + Send>>;

    async fn list_operations(
        &self,
        request: Request<proto::ListOperationsRequest>,
    ) -> Result<Response<proto::ListOperationsResponse>, Status> {
        let called = Called::of(&request)?;
        let answer = self.list(request.into_inner()).await;
        answer.map(Response::new).map_err(|fault| refuse(&fault, &called, FILTER))
    }

    async fn get_operation(
        &self,
        request: Request<proto::GetOperationRequest>,
    ) -> Result<Response<proto::Operation>, Status> {
        let called = Called::of(&request)?;
        let found = self.0.get(&request.into_inner().id).await;
        found.map(|record| Response::new(operation_into_proto(record))).map_err(|fault| refuse(&fault, &called, None))
    }

    async fn aggregate_usage(
        &self,
        request: Request<proto::AggregateUsageRequest>,
    ) -> Result<Response<proto::AggregateUsageResponse>, Status> {
        let called = Called::of(&request)?;
        let answer = self.aggregate(request.into_inner()).await;
        answer.map(Response::new).map_err(|fault| refuse(&fault, &called, FILTER))
    }

    async fn tail_operations(
        &self,
        request: Request<proto::TailOperationsRequest>,
    ) -> Result<Response<Self::TailOperationsStream>, Status> {
        let called = Called::of(&request)?;
        let tail = self.tail(request.into_inner()).await.map_err(|fault| refuse(&fault, &called, FILTER))?;
        // A record is read when the one before it is on its way.
        let records = futures_util::stream::unfold(Some(tail), move |tail| {
            let called = called.clone();
            async move {
                let mut tail = tail?;
                match tail.next().await {
                    Ok(record) => Some((Ok(operation_into_proto(record)), Some(tail))),
                    Err(fault) => Some((Err(refuse(&fault, &called, FILTER)), None)),
                }
            }
        });
        Ok(Response::new(Box::pin(records)))
    }

    async fn get_summary(
        &self,
        request: Request<proto::GetSummaryRequest>,
    ) -> Result<Response<proto::Summary>, Status> {
        let called = Called::of(&request)?;
        let answer = self.summary(request.into_inner()).await;
        answer.map(Response::new).map_err(|fault| refuse(&fault, &called, None))
    }
}

impl Face {
    async fn list(&self, message: proto::ListOperationsRequest) -> Outcome<proto::ListOperationsResponse> {
        let filter = filter_from_proto(message.filter)?;
        let binding = binding(&filter);
        let request = paging::read(message.page_size, &message.page_token, binding)?;
        let page = self.0.list(&filter, &request).await?;
        let last = page.items.last().and_then(|last| Uuid::parse_str(&last.id).ok()).map(Position::After);
        Ok(proto::ListOperationsResponse {
            next_page_token: paging::next(page.has_more, last, binding),
            total_size: page.total.map(paging::total),
            operations: page.items.into_iter().map(operation_into_proto).collect(),
        })
    }

    async fn aggregate(&self, message: proto::AggregateUsageRequest) -> Outcome<proto::AggregateUsageResponse> {
        let filter = filter_from_proto(message.filter)?;
        let group_by = dimensions_from_proto(&message.group_by)?;
        self.0.aggregate(filter, group_by).await.map(report_into_proto)
    }

    async fn tail(&self, message: proto::TailOperationsRequest) -> Outcome<Tail> {
        let filter = filter_from_proto(message.filter)?;
        self.0.tail(filter, filled(message.after_operation_id).as_deref()).await
    }

    async fn summary(&self, message: proto::GetSummaryRequest) -> Outcome<proto::Summary> {
        self.0.summary(window_from_proto(message.window)?).await.map(summary_into_proto)
    }
}
