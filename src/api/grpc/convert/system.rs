//! The gateway itself.

use super::time::{duration_into_proto, timestamp_into_proto};
use crate::api::grpc::paging::count;
use crate::api::grpc::proto;
use crate::control::replicas::{Reach, serves};
use crate::control::system::{Info, Mode, SnapshotStatus};
use crate::domain::replica::{Replica, ReplicaId};

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

/// Replicas, as a message.
pub(crate) fn replicas_into_proto(replicas: &[Replica], own: ReplicaId) -> proto::ListReplicasResponse {
    proto::ListReplicasResponse {
        replicas: replicas.iter().map(|replica| replica_into_proto(replica, own)).collect(),
        serving: count(replicas.iter().filter(|replica| serves(replica)).count()),
    }
}

fn replica_into_proto(replica: &Replica, own: ReplicaId) -> proto::Replica {
    let heartbeat = &replica.heartbeat;
    proto::Replica {
        id: heartbeat.id.to_string(),
        host: heartbeat.host.clone(),
        version: heartbeat.version.clone(),
        start_time: Some(timestamp_into_proto(heartbeat.started_at)),
        revision: heartbeat.revision.0,
        quarantined: i32::try_from(heartbeat.quarantined).unwrap_or(i32::MAX),
        draining: heartbeat.is_draining,
        silent_for: Some(duration_into_proto(replica.silent_for)),
        alive: replica.is_alive(),
        self_: heartbeat.id == own,
    }
}

/// How far a revision has come, as a message.
pub(crate) fn reach_into_proto(reach: Reach) -> proto::WaitForRevisionResponse {
    proto::WaitForRevisionResponse {
        reached: reach.is_reached,
        revision: reach.revision.0,
        in_force: count(reach.in_force),
        serving: count(reach.serving),
    }
}
