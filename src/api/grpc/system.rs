//! `SystemService`.

use std::pin::Pin;
use std::sync::Arc;

use tokio_stream::wrappers::WatchStream;
use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Response, Status};

use super::auth::Called;
use super::convert::declarative::{applied_into_proto, document_from_proto, exported_into_proto};
use super::convert::system::{info_into_proto, reach_into_proto, replicas_into_proto, snapshot_into_proto};
use super::convert::time::duration_from_proto;
use super::proto;
use super::status::{from_fault, refuse};
use crate::control::declarative::{Applied, ApplyOptions};
use crate::control::replicas::WaitRequest;
use crate::control::{Declarative, Replicas, System};
use crate::domain::ids::Revision;
use crate::fault::{Fault, Outcome};

/// The service.
#[derive(Debug)]
pub(super) struct Face {
    pub(super) system: Arc<System>,
    pub(super) replicas: Arc<Replicas>,
    pub(super) declarative: Arc<Declarative>,
}

#[tonic::async_trait]
impl proto::system_service_server::SystemService for Face {
    type WatchSnapshotStream = Pin<Box<dyn Stream<Item = Result<proto::SnapshotStatus, Status>> + Send>>;

    async fn get_info(&self, request: Request<proto::GetInfoRequest>) -> Result<Response<proto::Info>, Status> {
        Called::of(&request)?;
        Ok(Response::new(info_into_proto(self.system.info())))
    }

    async fn watch_snapshot(
        &self,
        request: Request<proto::WatchSnapshotRequest>,
    ) -> Result<Response<Self::WatchSnapshotStream>, Status> {
        Called::of(&request)?;
        let system = Arc::clone(&self.system);
        // The stream starts with the present revision; a slow reader sees the latest, not every one.
        let statuses = WatchStream::new(system.watch()).map(move |_| Ok(snapshot_into_proto(system.snapshot())));
        Ok(Response::new(Box::pin(statuses)))
    }

    async fn list_replicas(
        &self,
        request: Request<proto::ListReplicasRequest>,
    ) -> Result<Response<proto::ListReplicasResponse>, Status> {
        Called::of(&request)?;
        let replicas = self.replicas.list().await.map_err(|fault| from_fault(&fault, None))?;
        Ok(Response::new(replicas_into_proto(&replicas, self.replicas.own_id())))
    }

    async fn wait_for_revision(
        &self,
        request: Request<proto::WaitForRevisionRequest>,
    ) -> Result<Response<proto::WaitForRevisionResponse>, Status> {
        Called::of(&request)?;
        let refuse = |fault: Fault| from_fault(&fault, None);
        let request = request.into_inner();
        let timeout = request.timeout.as_ref().map(duration_from_proto).transpose();
        let timeout = timeout.map_err(|why| refuse(Fault::invalid("timeout", why)))?;
        let wanted = WaitRequest { revision: request.revision, replicas: request.replicas.map(i64::from), timeout };
        self.replicas.wait(wanted).await.map(|reach| Response::new(reach_into_proto(reach))).map_err(refuse)
    }

    async fn export_config(
        &self,
        request: Request<proto::ExportConfigRequest>,
    ) -> Result<Response<proto::ExportConfigResponse>, Status> {
        Called::of(&request)?;
        let exported = self.declarative.export(request.into_inner().include_keys).await;
        exported.map(|exported| Response::new(exported_into_proto(exported))).map_err(|fault| from_fault(&fault, None))
    }

    async fn apply_config(
        &self,
        request: Request<proto::ApplyConfigRequest>,
    ) -> Result<Response<proto::ApplyConfigResponse>, Status> {
        let called = Called::of(&request)?;
        let answer = self.apply(&called, request.into_inner()).await;
        answer.map(|applied| Response::new(applied_into_proto(applied))).map_err(|fault| refuse(&fault, &called, None))
    }
}

impl Face {
    async fn apply(&self, called: &Called, message: proto::ApplyConfigRequest) -> Outcome<Applied> {
        let options = ApplyOptions {
            validate_only: message.validate_only,
            prune: message.prune,
            revision: message.revision.map(Revision),
            include_keys: message.include_keys,
        };
        let document = message.document.ok_or_else(|| Fault::invalid("document", "is required"))?;
        self.declarative.apply(&called.caller, &document_from_proto(document)?, options).await
    }
}
