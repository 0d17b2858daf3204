//! Moves stored credentials to the active encryption key, a batch at a time, while the gateway runs.
//!
//! Every row is replaced only if it is still what was read, so a write in between wins and is not undone; it was sealed
//! with the active key anyway. What is inside stays the same: no revision, nothing to propagate. Stopped halfway, the
//! next run goes over the rows again and finds those that are done.

use crate::domain::ids::DeploymentId;
use crate::fault::Outcome;
use crate::store::Stores;
use crate::vault::{Entropy, Keyring, Purpose};

/// Rows read at a time.
const BATCH: u32 = 200;

/// What a run did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rotation {
    /// Rows sealed anew.
    pub resealed: usize,
    /// Rows that the active key had sealed already.
    pub current: usize,
    /// Rows that somebody else wrote meanwhile.
    pub overtaken: usize,
    /// Rows that do not open, and why. They are left as they are.
    pub unreadable: Vec<(DeploymentId, String)>,
}

/// Seals all credentials of `stores` with the active key of `keyring`.
///
/// # Errors
/// `Unavailable` when the store is. What was done by then stays done.
pub async fn rotate(stores: &Stores, keyring: &Keyring, entropy: &dyn Entropy) -> Outcome<Rotation> {
    let mut rotation = Rotation::default();
    let mut after = None;
    loop {
        let rows = stores.deployments.envelopes(after, BATCH).await?;
        let Some((last, _)) = rows.last() else { return Ok(rotation) };
        after = Some(*last);
        for (id, envelope) in &rows {
            match keyring.reseal(Purpose::DeploymentCredentials, id.as_uuid().as_bytes(), envelope, entropy) {
                Ok(None) => rotation.current += 1,
                Ok(Some(sealed)) => {
                    if stores.deployments.reseal(*id, envelope, &sealed).await? {
                        rotation.resealed += 1;
                    } else {
                        rotation.overtaken += 1;
                    }
                }
                Err(error) => rotation.unreadable.push((*id, error.to_string())),
            }
        }
    }
}
