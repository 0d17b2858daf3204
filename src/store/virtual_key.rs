//! Virtual keys, durable. Hashes only.

use async_trait::async_trait;

use super::{Created, Loaded, Write};
use crate::domain::ids::{Revision, VirtualKeyId};
use crate::domain::page::{Page, PageRequest};
use crate::domain::virtual_key::{VirtualKey, VirtualKeyFilter};
use crate::fault::Outcome;

/// Virtual keys, durable.
#[async_trait]
pub trait VirtualKeyStore: Send + Sync {
    /// Inserts `key`; its `revision` is ignored and becomes the one answered.
    ///
    /// # Errors
    /// `AlreadyExists` when the same `request_id` was used for other content, or the hash exists; `Unavailable`.
    async fn create(&self, key: &VirtualKey, write: &Write) -> Outcome<Created>;

    /// One key. `None` when there is none of this id.
    ///
    /// # Errors
    /// `Internal` when the row cannot be understood; `Unavailable` when the store is.
    async fn find(&self, id: VirtualKeyId) -> Outcome<Option<VirtualKey>>;

    /// One page of those that match, by id.
    ///
    /// # Errors
    /// As [`Self::find`]: a row that cannot be understood is named and fails its page.
    async fn list(&self, filter: &VirtualKeyFilter, page: &PageRequest) -> Outcome<Page<VirtualKey>>;

    /// Replaces the row, but for its time of creation, if its revision is still `expected`. Answers the new revision.
    /// Needs nothing else of the stored row, so it cures one that cannot be understood.
    ///
    /// # Errors
    /// `NotFound`; `Stale`; `Unavailable`.
    async fn replace(&self, key: &VirtualKey, expected: Revision, write: &Write) -> Outcome<Revision>;

    /// Deletes the row, even one that cannot be understood; if `expected` is given only at that revision.
    ///
    /// # Errors
    /// `NotFound`; `Stale`; `Unavailable`.
    async fn delete(&self, id: VirtualKeyId, expected: Option<Revision>, write: &Write) -> Outcome<Revision>;

    /// Every key, or those of `ids`, for the snapshot.
    ///
    /// # Errors
    /// `Unavailable`. A row that cannot be understood is an item, not an error.
    async fn load(&self, ids: Option<&[VirtualKeyId]>) -> Outcome<Loaded<VirtualKey>>;
}
