//! The generated messages and services of `proto/unifiedgateway/admin/v1`.
#![expect(
    missing_docs,
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    reason = "generated; the contract documents itself in the .proto files"
)]

tonic::include_proto!("unifiedgateway.admin.v1");
