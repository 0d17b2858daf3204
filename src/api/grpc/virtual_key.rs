//! `VirtualKeyService`.

use std::sync::Arc;
use std::time::Duration;

use secrecy::ExposeSecret;
use tonic::{Request, Response, Status};

use super::auth::Called;
use super::convert::time::duration_from_proto;
use super::convert::virtual_key::{FIELDS, key_into_proto, patch_from_proto, usage_into_proto};
use super::convert::{etag_from_proto, filled};
use super::mask::Mask;
use super::status::refuse;
use super::{paging, proto};
use crate::api::draft;
use crate::api::page_token::{Binding, Position};
use crate::control::{ChangeOptions, CreateOptions, VirtualKeys};
use crate::domain::ids::VirtualKeyId;
use crate::domain::money::NanoCents;
use crate::domain::virtual_key::{VirtualKey, VirtualKeyFilter};
use crate::fault::{Fault, Kind, Outcome};

const RESOURCE: Option<&str> = Some("virtual_key");

/// The service.
#[derive(Debug)]
pub(super) struct Face(pub(super) Arc<VirtualKeys>);

#[tonic::async_trait]
impl proto::virtual_key_service_server::VirtualKeyService for Face {
    async fn create_virtual_key(
        &self,
        request: Request<proto::CreateVirtualKeyRequest>,
    ) -> Result<Response<proto::CreateVirtualKeyResponse>, Status> {
        let called = Called::of(&request)?;
        let answer = self.create(&called, request.into_inner()).await;
        answer.map(Response::new).map_err(|fault| refuse(&fault, &called, RESOURCE))
    }

    async fn get_virtual_key(
        &self,
        request: Request<proto::GetVirtualKeyRequest>,
    ) -> Result<Response<proto::VirtualKey>, Status> {
        let called = Called::of(&request)?;
        let answer = self.get(&request.into_inner().id).await;
        answer.map(Response::new).map_err(|fault| refuse(&fault, &called, None))
    }

    async fn list_virtual_keys(
        &self,
        request: Request<proto::ListVirtualKeysRequest>,
    ) -> Result<Response<proto::ListVirtualKeysResponse>, Status> {
        let called = Called::of(&request)?;
        let answer = self.list(request.into_inner()).await;
        answer.map(Response::new).map_err(|fault| refuse(&fault, &called, None))
    }

    async fn update_virtual_key(
        &self,
        request: Request<proto::UpdateVirtualKeyRequest>,
    ) -> Result<Response<proto::VirtualKey>, Status> {
        let called = Called::of(&request)?;
        let answer = self.update(&called, request.into_inner()).await;
        answer.map(Response::new).map_err(|fault| refuse(&fault, &called, RESOURCE))
    }

    async fn delete_virtual_key(
        &self,
        request: Request<proto::DeleteVirtualKeyRequest>,
    ) -> Result<Response<proto::DeleteVirtualKeyResponse>, Status> {
        let called = Called::of(&request)?;
        let answer = self.delete(&called, &request.into_inner()).await;
        answer.map(Response::new).map_err(|fault| refuse(&fault, &called, None))
    }

    async fn rotate_virtual_key(
        &self,
        request: Request<proto::RotateVirtualKeyRequest>,
    ) -> Result<Response<proto::RotateVirtualKeyResponse>, Status> {
        let called = Called::of(&request)?;
        let answer = self.rotate(&called, &request.into_inner()).await;
        answer.map(Response::new).map_err(|fault| refuse(&fault, &called, None))
    }

    async fn reset_virtual_key_spend(
        &self,
        request: Request<proto::ResetVirtualKeySpendRequest>,
    ) -> Result<Response<proto::VirtualKey>, Status> {
        let called = Called::of(&request)?;
        let answer = self.reset_spend(&called, &request.into_inner()).await;
        answer.map(Response::new).map_err(|fault| refuse(&fault, &called, None))
    }

    async fn get_virtual_key_usage(
        &self,
        request: Request<proto::GetVirtualKeyUsageRequest>,
    ) -> Result<Response<proto::VirtualKeyUsage>, Status> {
        let called = Called::of(&request)?;
        let answer = self.usage(&request.into_inner().id).await;
        answer.map(Response::new).map_err(|fault| refuse(&fault, &called, None))
    }
}

impl Face {
    async fn create(
        &self,
        called: &Called,
        message: proto::CreateVirtualKeyRequest,
    ) -> Outcome<proto::CreateVirtualKeyResponse> {
        let patch = patch_from_proto(message.virtual_key.unwrap_or_default(), &Mask::Populated)?;
        let spec = draft::virtual_key(patch)?;
        let options = CreateOptions { request_id: filled(message.request_id), validate_only: message.validate_only };
        let issued = self.0.create(&called.caller, spec, options).await?;
        let spend = if issued.replayed { self.0.spend(&issued.key).await? } else { NanoCents(0) };
        Ok(proto::CreateVirtualKeyResponse {
            virtual_key: Some(key_into_proto(issued.key, spend)),
            key: issued.plaintext.map(|plaintext| plaintext.expose_secret().to_owned()).unwrap_or_default(),
            replayed: issued.replayed,
        })
    }

    async fn get(&self, id: &str) -> Outcome<proto::VirtualKey> {
        self.shown(self.0.get(id_from_proto(id)?).await?).await
    }

    async fn list(&self, message: proto::ListVirtualKeysRequest) -> Outcome<proto::ListVirtualKeysResponse> {
        let filter = VirtualKeyFilter { enabled: message.enabled, text: filled(message.query) };
        let enabled = filter.enabled.map(|enabled| if enabled { "true" } else { "false" });
        let binding = Binding::new("virtual_keys", &[enabled, filter.text.as_deref()]);
        let request = paging::read(message.page_size, &message.page_token, binding)?;
        let page = self.0.list(&filter, &request).await?;
        let last = page.items.last().map(|last| Position::After(*last.id.as_uuid()));
        let spends = self.0.spends(&page.items.iter().collect::<Vec<_>>()).await?;
        Ok(proto::ListVirtualKeysResponse {
            next_page_token: paging::next(page.has_more, last, binding),
            total_size: paging::total(page.total),
            virtual_keys: page.items.into_iter().zip(spends).map(|(key, spend)| key_into_proto(key, spend)).collect(),
        })
    }

    async fn update(&self, called: &Called, message: proto::UpdateVirtualKeyRequest) -> Outcome<proto::VirtualKey> {
        let mask = Mask::read(message.update_mask, FIELDS)?;
        let key = message.virtual_key.unwrap_or_default();
        let id = id_from_proto(&key.id)?;
        let options = ChangeOptions { expected: etag_from_proto(&key.etag)?, validate_only: message.validate_only };
        let patch = patch_from_proto(key, &mask)?;
        self.shown(self.0.update(&called.caller, id, patch, options).await?).await
    }

    async fn reset_spend(
        &self,
        called: &Called,
        message: &proto::ResetVirtualKeySpendRequest,
    ) -> Outcome<proto::VirtualKey> {
        let (id, expected) = (id_from_proto(&message.id)?, etag_from_proto(&message.etag)?);
        self.shown(self.0.reset_spend(&called.caller, id, expected).await?).await
    }

    async fn usage(&self, id: &str) -> Outcome<proto::VirtualKeyUsage> {
        let key = self.0.get(id_from_proto(id)?).await?;
        let usages = self.0.usage(&[&key]).await?;
        usages.first().map(|usage| usage_into_proto(&key, usage)).ok_or_else(|| Kind::Internal.into())
    }

    /// A key with what it has spent.
    async fn shown(&self, key: VirtualKey) -> Outcome<proto::VirtualKey> {
        let spend = self.0.spend(&key).await?;
        Ok(key_into_proto(key, spend))
    }

    async fn delete(
        &self,
        called: &Called,
        message: &proto::DeleteVirtualKeyRequest,
    ) -> Outcome<proto::DeleteVirtualKeyResponse> {
        let (id, expected) = (id_from_proto(&message.id)?, etag_from_proto(&message.etag)?);
        self.0.delete(&called.caller, id, expected).await?;
        Ok(proto::DeleteVirtualKeyResponse {})
    }

    async fn rotate(
        &self,
        called: &Called,
        message: &proto::RotateVirtualKeyRequest,
    ) -> Outcome<proto::RotateVirtualKeyResponse> {
        let (id, expected) = (id_from_proto(&message.id)?, etag_from_proto(&message.etag)?);
        let grace = message.grace_period.as_ref().map_or(Ok(Duration::ZERO), duration_from_proto);
        let grace = grace.map_err(|problem| Fault::invalid("grace_period", problem))?;
        let issued = self.0.rotate(&called.caller, id, grace, expected).await?;
        // The secret is answered even when spending cannot be read.
        let spend = self.0.spend(&issued.key).await.unwrap_or_default();
        Ok(proto::RotateVirtualKeyResponse {
            virtual_key: Some(key_into_proto(issued.key, spend)),
            key: issued.plaintext.map(|plaintext| plaintext.expose_secret().to_owned()).unwrap_or_default(),
        })
    }
}

fn id_from_proto(id: &str) -> Outcome<VirtualKeyId> {
    match id {
        "" => Err(Fault::invalid("id", "is required")),
        id => id.parse().map_err(|_| Fault::invalid("id", "is not a UUID")),
    }
}
