//! Moves stored credentials and stored responses to the active encryption key, a batch at a time, while the gateway runs.
//!
//! Every row is replaced only if it is still what was read, so a write in between wins and is not undone; it was sealed
//! with the active key anyway. What is inside stays the same: no revision, nothing to propagate. Stopped halfway, the
//! next run goes over the rows again and finds those that are done.

use crate::domain::ids::DeploymentId;
use crate::domain::response_state::ResponseId;
use crate::fault::Outcome;
use crate::store::Stores;
use crate::store::response_state::MAX_STATE_ENVELOPES;
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
    pub unreadable: Vec<(Sealed, String)>,
}

/// What an envelope belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sealed {
    /// A deployment's credentials.
    Deployment(DeploymentId),
    /// A stored response.
    Response(ResponseId),
}

impl std::fmt::Display for Sealed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Deployment(id) => write!(f, "deployment {id}"),
            Self::Response(id) => write!(f, "response {id}"),
        }
    }
}

/// Seals all credentials and responses of `stores` with the active key of `keyring`.
///
/// # Errors
/// `Unavailable` when the store is. What was done by then stays done.
pub async fn rotate(stores: &Stores, keyring: &Keyring, entropy: &dyn Entropy) -> Outcome<Rotation> {
    let mut rotation = Rotation::default();
    rotate_credentials(stores, keyring, entropy, &mut rotation).await?;
    rotate_responses(stores, keyring, entropy, &mut rotation).await?;
    Ok(rotation)
}

async fn rotate_credentials(
    stores: &Stores,
    keyring: &Keyring,
    entropy: &dyn Entropy,
    rotation: &mut Rotation,
) -> Outcome<()> {
    let mut after = None;
    loop {
        let rows = stores.deployments.envelopes(after, BATCH).await?;
        let Some((last, _)) = rows.last() else { return Ok(()) };
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
                Err(error) => rotation.unreadable.push((Sealed::Deployment(*id), error.to_string())),
            }
        }
    }
}

async fn rotate_responses(
    stores: &Stores,
    keyring: &Keyring,
    entropy: &dyn Entropy,
    rotation: &mut Rotation,
) -> Outcome<()> {
    let mut after = None;
    loop {
        let rows = stores.response_states.state_envelopes(after, MAX_STATE_ENVELOPES).await?;
        let Some((last, _)) = rows.last() else { return Ok(()) };
        after = Some(*last);
        for (id, envelope) in &rows {
            match keyring.reseal(Purpose::ResponseState, id.as_uuid().as_bytes(), envelope, entropy) {
                Ok(None) => rotation.current += 1,
                Ok(Some(sealed)) => {
                    if stores.response_states.reseal_state(*id, envelope, &sealed).await? {
                        rotation.resealed += 1;
                    } else {
                        rotation.overtaken += 1;
                    }
                }
                Err(error) => rotation.unreadable.push((Sealed::Response(*id), error.to_string())),
            }
        }
    }
}
