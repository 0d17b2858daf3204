//! The gRPC face of the control plane: one file per noun, each call three lines of reading, calling, writing.
//!
//! Reflection (v1 and v1alpha) and the standard health service stand outside the guard; everything else needs the
//! operator's credential, unknown methods included. Listeners, TLS and time limits belong to whoever serves this.

mod auth;
mod cache;
mod catalog;
mod convert;
mod deployment;
mod mask;
mod paging;
pub mod proto;
mod routing;
mod status;
mod system;
mod usage;
mod virtual_key;

use std::sync::Arc;

use axum::middleware::from_fn_with_state;
use tonic::service::Routes;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use super::admin_auth::AdminAuth;
use crate::control::Control;
use crate::fault::{Fault, Kind, Outcome};
use crate::time::Clock;
use crate::vault::Entropy;
use auth::Guard;
use proto::cache_service_server::{CacheServiceServer, SERVICE_NAME as CACHE};
use proto::catalog_service_server::{CatalogServiceServer, SERVICE_NAME as CATALOG};
use proto::deployment_service_server::{DeploymentServiceServer, SERVICE_NAME as DEPLOYMENT};
use proto::routing_service_server::{RoutingServiceServer, SERVICE_NAME as ROUTING};
use proto::system_service_server::{SERVICE_NAME as SYSTEM, SystemServiceServer};
use proto::usage_service_server::{SERVICE_NAME as USAGE, UsageServiceServer};
use proto::virtual_key_service_server::{SERVICE_NAME as VIRTUAL_KEY, VirtualKeyServiceServer};

pub use status::DOMAIN;

/// Largest message a client may send, in bytes.
pub const MAX_MESSAGE_BYTES: usize = 4 * 1024 * 1024;

/// The services of the contract, as the health service names them. The empty name is the server as a whole.
pub const SERVICE_NAMES: [&str; 8] = ["", CACHE, CATALOG, DEPLOYMENT, ROUTING, SYSTEM, USAGE, VIRTUAL_KEY];

const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/admin_v1_descriptor.bin"));

/// What the face works with.
#[derive(Clone)]
pub struct GrpcState {
    /// The use cases.
    pub control: Control,
    /// Checks the operator's credential; shared with the REST face.
    pub auth: Arc<AdminAuth>,
    /// Dates the request ids made here.
    pub clock: Arc<dyn Clock>,
    /// Makes the request ids unique.
    pub entropy: Arc<dyn Entropy>,
}

impl std::fmt::Debug for GrpcState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("GrpcState")
    }
}

/// Everything that is served on the gRPC port, and the switch of its health service.
///
/// # Errors
/// `Internal` when the descriptors of the contract cannot be read for reflection.
pub fn services(state: GrpcState) -> Outcome<(Routes, HealthReporter)> {
    let GrpcState { control, auth, clock, entropy } = state;
    let guard = Guard { auth, clock, entropy, revision: control.system.watch() };
    let guarded = Routes::new(
        DeploymentServiceServer::new(deployment::Face {
            deployments: control.deployments,
            catalog: Arc::clone(&control.catalog),
        })
        .max_decoding_message_size(MAX_MESSAGE_BYTES),
    )
    .add_service(
        VirtualKeyServiceServer::new(virtual_key::Face(control.virtual_keys))
            .max_decoding_message_size(MAX_MESSAGE_BYTES),
    )
    .add_service(RoutingServiceServer::new(routing::Face(control.routing)).max_decoding_message_size(MAX_MESSAGE_BYTES))
    .add_service(CacheServiceServer::new(cache::Face(control.cache)).max_decoding_message_size(MAX_MESSAGE_BYTES))
    .add_service(CatalogServiceServer::new(catalog::Face(control.catalog)).max_decoding_message_size(MAX_MESSAGE_BYTES))
    .add_service(
        SystemServiceServer::new(system::Face {
            system: control.system,
            replicas: control.replicas,
            declarative: control.declarative,
        })
        .max_decoding_message_size(MAX_MESSAGE_BYTES),
    )
    .add_service(UsageServiceServer::new(usage::Face(control.usage)).max_decoding_message_size(MAX_MESSAGE_BYTES))
    .into_axum_router()
    .layer(from_fn_with_state(guard, auth::guard));

    let (reporter, health) = tonic_health::server::health_reporter();
    let routes = Routes::from(guarded)
        .add_service(health)
        .add_service(reflection().build_v1().map_err(unreadable)?)
        .add_service(reflection().build_v1alpha().map_err(unreadable)?);
    Ok((routes.prepare(), reporter))
}

/// Tells health clients whether every service takes calls.
pub async fn set_health(reporter: &HealthReporter, serving: bool) {
    let status = if serving { ServingStatus::Serving } else { ServingStatus::NotServing };
    for name in SERVICE_NAMES {
        reporter.set_service_status(name, status).await;
    }
}

fn reflection() -> tonic_reflection::server::Builder<'static> {
    tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
}

fn unreadable(error: tonic_reflection::server::Error) -> Fault {
    Fault::new(Kind::Internal).because(error)
}
