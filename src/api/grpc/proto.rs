//! The generated messages and services of `proto/unifiedgateway/admin/v1`.
#![expect(missing_docs, reason = "generated; the contract documents itself in the .proto files")]

tonic::include_proto!("unifiedgateway.admin.v1");
