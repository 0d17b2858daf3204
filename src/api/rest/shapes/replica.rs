//! Replicas, and how far a revision has come.

use serde::Serialize;

use crate::control::replicas::{Reach, serves};
use crate::domain::replica::{Replica, ReplicaId};

/// Replicas, and how many of them serve.
#[derive(Debug, Serialize)]
pub(crate) struct ReplicaList {
    replicas: Vec<ReplicaShape>,
    serving: usize,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ReplicaShape {
    id: String,
    host: String,
    version: String,
    started_at: String,
    revision: i64,
    quarantined: u32,
    draining: bool,
    silent_for_ms: u64,
    alive: bool,
    #[serde(rename = "self")]
    is_self: bool,
}

/// How far a revision has come.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ReachShape {
    reached: bool,
    revision: i64,
    in_force: usize,
    serving: usize,
}

pub(crate) fn write_list(replicas: &[Replica], own: ReplicaId) -> ReplicaList {
    ReplicaList {
        replicas: replicas.iter().map(|replica| write(replica, own)).collect(),
        serving: replicas.iter().filter(|replica| serves(replica)).count(),
    }
}

fn write(replica: &Replica, own: ReplicaId) -> ReplicaShape {
    let heartbeat = &replica.heartbeat;
    ReplicaShape {
        id: heartbeat.id.to_string(),
        host: heartbeat.host.clone(),
        version: heartbeat.version.clone(),
        started_at: heartbeat.started_at.to_rfc3339(),
        revision: heartbeat.revision.0,
        quarantined: heartbeat.quarantined,
        draining: heartbeat.is_draining,
        silent_for_ms: u64::try_from(replica.silent_for.as_millis()).unwrap_or(u64::MAX),
        alive: replica.is_alive(),
        is_self: heartbeat.id == own,
    }
}

pub(crate) fn write_reach(reach: Reach) -> ReachShape {
    ReachShape {
        reached: reach.is_reached,
        revision: reach.revision.0,
        in_force: reach.in_force,
        serving: reach.serving,
    }
}
