//! `SystemService`.

use std::pin::Pin;
use std::sync::Arc;

use tokio_stream::wrappers::WatchStream;
use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Response, Status};

use super::auth::Called;
use super::convert::system::{info_into_proto, snapshot_into_proto};
use super::proto;
use crate::control::System;

/// The service.
#[derive(Debug)]
pub(super) struct Face(pub(super) Arc<System>);

#[tonic::async_trait]
impl proto::system_service_server::SystemService for Face {
    type WatchSnapshotStream = Pin<Box<dyn Stream<Item = Result<proto::SnapshotStatus, Status>> + Send>>;

    async fn get_info(&self, request: Request<proto::GetInfoRequest>) -> Result<Response<proto::Info>, Status> {
        Called::of(&request)?;
        Ok(Response::new(info_into_proto(self.0.info())))
    }

    async fn watch_snapshot(
        &self,
        request: Request<proto::WatchSnapshotRequest>,
    ) -> Result<Response<Self::WatchSnapshotStream>, Status> {
        Called::of(&request)?;
        let system = Arc::clone(&self.0);
        // The stream starts with the present revision; a slow reader sees the latest, not every one.
        let statuses = WatchStream::new(system.watch()).map(move |_| Ok(snapshot_into_proto(system.snapshot())));
        Ok(Response::new(Box::pin(statuses)))
    }

    async fn list_replicas(
        &self,
        request: Request<proto::ListReplicasRequest>,
    ) -> Result<Response<proto::ListReplicasResponse>, Status> {
        Called::of(&request)?;
        Err(Status::unimplemented(""))
    }

    async fn wait_for_revision(
        &self,
        request: Request<proto::WaitForRevisionRequest>,
    ) -> Result<Response<proto::WaitForRevisionResponse>, Status> {
        Called::of(&request)?;
        Err(Status::unimplemented(""))
    }

    async fn export_config(
        &self,
        request: Request<proto::ExportConfigRequest>,
    ) -> Result<Response<proto::ExportConfigResponse>, Status> {
        Called::of(&request)?;
        Err(Status::unimplemented(""))
    }

    async fn apply_config(
        &self,
        request: Request<proto::ApplyConfigRequest>,
    ) -> Result<Response<proto::ApplyConfigResponse>, Status> {
        Called::of(&request)?;
        Err(Status::unimplemented(""))
    }
}
