//! Stored responses: what is done to them beside the data plane, which comes through [`ResponseStates`].

use async_trait::async_trait;

use crate::domain::ports::{PortError, ResponseStates};
use crate::domain::response_state::ResponseId;
use crate::fault::{Fault, Outcome};
use crate::time::Timestamp;

/// Most rows that one call deletes.
pub const MAX_EXPIRED: u32 = 500;
/// Most envelopes that one call answers; one may have many MiB.
pub const MAX_STATE_ENVELOPES: u32 = 8;

/// Stored responses. No configuration: they take no revision.
#[async_trait]
pub trait ResponseStateStore: ResponseStates {
    /// Deletes up to `limit` (1..=[`MAX_EXPIRED`]) responses that have expired at `now`, and answers how many.
    ///
    /// # Errors
    /// `Unavailable`.
    async fn delete_expired(&self, now: Timestamp, limit: u32) -> Outcome<u64>;

    /// Ids and envelopes in order of the ids, of those after `after`: at most `limit` (1..=[`MAX_STATE_ENVELOPES`]).
    ///
    /// # Errors
    /// `Unavailable`.
    async fn state_envelopes(&self, after: Option<ResponseId>, limit: u32) -> Outcome<Vec<(ResponseId, Vec<u8>)>>;

    /// Replaces an envelope if it is still `from`, and answers whether it was.
    ///
    /// # Errors
    /// `Unavailable`.
    async fn reseal_state(&self, id: ResponseId, from: &[u8], to: &[u8]) -> Outcome<bool>;
}

/// A fault as the other side of the port may know it.
pub(super) fn port_error(fault: &Fault) -> PortError {
    PortError::Unavailable(fault.cause().unwrap_or_else(|| fault.message().to_owned()).into())
}

/// The ids of items that can be indexed.
pub(super) fn indexable(item_ids: &[String]) -> Vec<&str> {
    use crate::domain::ports::{MAX_INDEXED_ITEMS, MAX_ITEM_ID_BYTES};
    let fits = |id: &&str| !id.is_empty() && id.len() <= MAX_ITEM_ID_BYTES && !id.contains('\0');
    item_ids.iter().map(String::as_str).filter(fits).take(MAX_INDEXED_ITEMS).collect()
}
