//! Fallback chains, durable.

use async_trait::async_trait;

use super::{Loaded, Write};
use crate::domain::fallback::{FallbackChain, FallbackReason};
use crate::domain::ids::Revision;
use crate::domain::page::{Page, PageRequest};
use crate::fault::Outcome;

/// Fallback chains, durable. The key is `(primary, reason)`.
#[async_trait]
pub trait FallbackStore: Send + Sync {
    /// One chain.
    ///
    /// # Errors
    /// `Internal` when the row cannot be understood; `Unavailable` when the store is.
    async fn find(&self, primary: &str, reason: FallbackReason) -> Outcome<Option<FallbackChain>>;

    /// One page by primary model and reason, optionally of one primary model. `page.after` is not used: page by offset.
    ///
    /// # Errors
    /// As [`Self::find`].
    async fn list(&self, primary: Option<&str>, page: &PageRequest) -> Outcome<Page<FallbackChain>>;

    /// Inserts or replaces; with `expected` only at that revision, which is 0 for a chain that is not there. Every name
    /// must have a deployment, checked in the same transaction.
    ///
    /// # Errors
    /// `BadRequest` naming the model without a deployment, at `primaryModel` or `fallbackModels[i]`; `Stale`; `Unavailable`.
    async fn set(&self, chain: &FallbackChain, expected: Option<Revision>, write: &Write) -> Outcome<Revision>;

    /// Deletes; with `expected` only at that revision.
    ///
    /// # Errors
    /// `NotFound`; `Stale`; `Unavailable`.
    async fn delete(
        &self,
        primary: &str,
        reason: FallbackReason,
        expected: Option<Revision>,
        write: &Write,
    ) -> Outcome<Revision>;

    /// Every chain, for the snapshot. Chains are few.
    ///
    /// # Errors
    /// `Unavailable`. A row that cannot be understood is an item, not an error.
    async fn load(&self) -> Outcome<Loaded<FallbackChain>>;
}
