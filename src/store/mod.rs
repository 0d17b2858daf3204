//! The control store: configuration and its audit trail, durable.
//!
//! One trait per noun; every backend implements all of them and passes `conformance`. A write is one transaction: the
//! row, the next configuration revision, its change-log entries, the audit entry and, for creations that carry a client
//! `request_id`, the idempotency record. The data plane never comes here; it reads the snapshot. What it keeps of responses crosses a port.
//!
//! Constraints live in the schema; what they refuse comes back as a [`Fault`](crate::fault::Fault) of the right kind, never as SQL.

pub mod audit;
pub mod batch;
pub mod change;
pub mod deployment;
pub mod fallback;
pub mod operations;
pub mod replica;
pub mod response_state;
pub mod settings;
mod summary;
mod sums;
mod usage;
mod values;
pub mod virtual_key;
pub mod write;

pub mod postgres;
pub mod sqlite;

#[cfg(test)]
mod conformance;

use std::sync::Arc;

use crate::domain::ports::UsageSink;

pub use audit::AuditStore;
pub use batch::BatchStore;
pub use change::ChangeStore;
pub use deployment::DeploymentStore;
pub use fallback::FallbackStore;
pub use operations::{OperationPage, OperationStore};
pub use replica::ReplicaStore;
pub use response_state::ResponseStateStore;
pub use settings::SettingsStore;
pub use sums::sums_can_tell;
pub use virtual_key::VirtualKeyStore;
pub use write::{BadRow, Created, Idempotency, Loaded, Write};

/// All stores of one backend.
#[derive(Clone)]
pub struct Stores {
    /// Deployments.
    pub deployments: Arc<dyn DeploymentStore>,
    /// Virtual keys.
    pub virtual_keys: Arc<dyn VirtualKeyStore>,
    /// Fallback chains.
    pub fallbacks: Arc<dyn FallbackStore>,
    /// Router settings.
    pub settings: Arc<dyn SettingsStore>,
    /// Revision and change log.
    pub changes: Arc<dyn ChangeStore>,
    /// Audit trail.
    pub audit: Arc<dyn AuditStore>,
    /// Several writes as one.
    pub batches: Arc<dyn BatchStore>,
    /// Heartbeats.
    pub replicas: Arc<dyn ReplicaStore>,
    /// Stored responses.
    pub response_states: Arc<dyn ResponseStateStore>,
    /// Records of finished requests.
    pub usage: Arc<dyn UsageSink>,
    /// The same, read.
    pub operations: Arc<dyn OperationStore>,
}

impl std::fmt::Debug for Stores {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Stores")
    }
}
