//! What the data plane needs of rooms that it does not know: traits that a backend implements and `app` wires.

use async_trait::async_trait;

use super::response_state::{ResponseId, ResponseState, StateScope};
use crate::time::Timestamp;

/// A backend that cannot do its work now, and why: for the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PortError(pub String);

/// Most items of one response that can be found by their own id.
pub const MAX_INDEXED_ITEMS: usize = 1024;
/// Longest id of an item that can be found by it, in bytes.
pub const MAX_ITEM_ID_BYTES: usize = 256;

/// Where stored responses are kept.
#[async_trait]
pub trait ResponseStates: Send + Sync {
    /// Whether it can be reached: one cheap question.
    ///
    /// # Errors
    /// [`PortError`] when not.
    async fn ping(&self) -> Result<(), PortError>;

    /// Keeps a response, and notes under which ids its items are found: at most [`MAX_INDEXED_ITEMS`], each of at most
    /// [`MAX_ITEM_ID_BYTES`]. An id that another response of the scope had is this one's from now on. It is durable when
    /// this returns.
    ///
    /// # Errors
    /// [`PortError`]; then nothing of it is kept.
    async fn save(&self, state: &ResponseState, item_ids: &[String]) -> Result<(), PortError>;

    /// A response of a scope that has not expired at `now`.
    ///
    /// # Errors
    /// [`PortError`].
    async fn find(&self, scope: StateScope, id: ResponseId, now: Timestamp)
    -> Result<Option<ResponseState>, PortError>;

    /// Which response of a scope an item belongs to.
    ///
    /// # Errors
    /// [`PortError`].
    async fn find_item(&self, scope: StateScope, item_id: &str) -> Result<Option<ResponseId>, PortError>;

    /// Deletes a response of a scope that has not expired at `now`, and answers whether there was one.
    ///
    /// # Errors
    /// [`PortError`].
    async fn delete(&self, scope: StateScope, id: ResponseId, now: Timestamp) -> Result<bool, PortError>;
}
