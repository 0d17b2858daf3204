//! Records of finished requests: what both databases do alike. They go in a group at a time.

use std::collections::HashSet;

use serde::Serialize;
use uuid::Uuid;

use crate::domain::ids::VirtualKeyId;
use crate::domain::ports::PortError;
use crate::domain::record::{AttemptRecord, Charge, OperationRecord};
use crate::domain::window::Window;
use crate::fault::{Fault, Kind};

/// The smallest id of a millisecond.
pub(super) fn id_at(ms: i64) -> Uuid {
    let ms = u64::try_from(ms).unwrap_or_default() & 0xffff_ffff_ffff;
    Uuid::from_u128(u128::from(ms) << 80)
}

/// When an id was made: milliseconds since the Unix epoch.
pub(super) fn made_at(id: &Uuid) -> i64 {
    i64::try_from(id.as_u128() >> 80).unwrap_or_default()
}

/// An attempt with the id of its operation.
#[derive(Serialize)]
pub(super) struct Attempt<'a> {
    operation_id: &'a str,
    #[serde(flatten)]
    attempt: &'a AttemptRecord,
}

/// The parts of the records whose ids were really stored.
pub(super) fn parts_of<'a>(
    records: &'a [OperationRecord],
    stored: &HashSet<Uuid>,
) -> (Vec<Attempt<'a>>, Vec<&'a Charge>) {
    // Each id counts once, even if a group has it twice.
    let mut fresh = stored.clone();
    let (mut attempts, mut charges) = (Vec::new(), Vec::new());
    for record in records {
        if !Uuid::parse_str(&record.id).is_ok_and(|id| fresh.remove(&id)) {
            continue;
        }
        attempts.extend(record.attempts.iter().map(|attempt| Attempt { operation_id: &record.id, attempt }));
        charges.extend(&record.charge);
    }
    (attempts, charges)
}

/// Whose spending in which window is asked for.
#[derive(Serialize)]
pub(super) struct Question {
    key_id: String,
    period: &'static str,
    period_start: i64,
}

impl Question {
    /// All of them.
    pub(super) fn all(keys: &[(VirtualKeyId, Window)]) -> Vec<Self> {
        let one = |(key, window): &(VirtualKeyId, Window)| Self {
            key_id: key.to_string(),
            period: window.word(),
            period_start: window.start.unix_ms(),
        };
        keys.iter().map(one).collect()
    }
}

/// What a fault of a store means to who is behind the port: only what passes is worth trying again.
pub(super) fn port_error(fault: Fault) -> PortError {
    match fault.kind() {
        Kind::Unavailable | Kind::Timeout => PortError::Unavailable(fault.into()),
        _ => PortError::Refused(fault.into()),
    }
}

/// Values as JSON text.
pub(super) fn json(values: &(impl Serialize + ?Sized)) -> Result<String, PortError> {
    serde_json::to_string(values).map_err(|error| PortError::Refused(error.into()))
}
