//! The gateway itself.

use super::time::{duration_into_proto, timestamp_into_proto};
use crate::api::grpc::paging::count;
use crate::api::grpc::proto;
use crate::control::system::{Info, Mode, SnapshotStatus};

/// What the gateway says of itself, as a message.
pub(crate) fn info_into_proto(info: Info) -> proto::Info {
    let mode = match info.mode {
        Mode::Embedded => proto::info::Mode::Embedded,
        Mode::Clustered => proto::info::Mode::Clustered,
    };
    proto::Info {
        version: info.version.to_owned(),
        mode: mode.into(),
        start_time: Some(timestamp_into_proto(info.started_at)),
        uptime: Some(duration_into_proto(info.uptime)),
        snapshot: Some(snapshot_into_proto(info.snapshot)),
    }
}

/// The configuration in force, as a message.
pub(crate) fn snapshot_into_proto(status: SnapshotStatus) -> proto::SnapshotStatus {
    proto::SnapshotStatus {
        revision: status.revision.0,
        in_force_since: Some(timestamp_into_proto(status.in_force_since)),
        deployments: count(status.deployments),
        virtual_keys: count(status.virtual_keys),
        fallbacks: count(status.fallbacks),
        quarantined: status
            .quarantined
            .into_iter()
            .map(|row| proto::QuarantinedRow { kind: row.kind.as_str().to_owned(), id: row.id, reason: row.reason })
            .collect(),
    }
}
