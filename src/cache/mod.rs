//! The response cache: whole answers, found again by what was asked.
//!
//! [`ResponseCache`] is the contract. [`memory`] keeps answers in this process; [`redis`] keeps them for replicas
//! together. A cache never fails a request: one that cannot be reached is [`Found::Away`], and nothing is kept.
//!
//! Both pass `conformance`.
//!
//! What a key is made of, and which answers may be kept, is decided by the gateway; here it is 32 bytes.

#[cfg(test)]
mod conformance;
pub mod memory;
pub mod redis;

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use crate::domain::ids::VirtualKeyId;
use crate::domain::operation::Operation;
use crate::fault::Outcome;

/// Largest answer that is kept, in bytes.
pub const MAX_ENTRY_BYTES: usize = 1 << 20;

/// Where an answer is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Place {
    /// A digest of all that was asked, and by whom.
    pub digest: [u8; 32],
    /// What was asked for.
    pub operation: Operation,
    /// Whose answer it is.
    pub key: VirtualKeyId,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The whole JSON body, as the client has it.
    pub body: Bytes,
    /// The public model that made it.
    pub model: String,
    /// Request fields that did not reach the provider as sent.
    pub dropped: Vec<String>,
}

impl Entry {
    /// What it takes, in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        self.dropped.iter().map(String::len).sum::<usize>() + self.model.len() + self.body.len()
    }
}

/// How often the cache was emptied. What was asked before an invalidation is not kept after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Generation(pub i64);

/// What a look-up finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// An answer.
    Entry(Entry),
    /// None.
    Nothing(Generation),
    /// The cache cannot be reached, or not fast enough.
    Away,
}

/// Which answers are meant; nothing said means all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Scope {
    /// Those of this operation.
    pub operation: Option<Operation>,
    /// Those of this key.
    pub key: Option<VirtualKeyId>,
}

impl Scope {
    /// Whether an answer is meant.
    #[must_use]
    pub fn covers(&self, operation: Operation, key: VirtualKeyId) -> bool {
        self.operation.is_none_or(|wanted| wanted == operation) && self.key.is_none_or(|wanted| wanted == key)
    }
}

/// Keeps answers for a while.
#[async_trait]
pub trait ResponseCache: Send + Sync + std::fmt::Debug {
    /// Looks an answer up.
    async fn find(&self, place: &Place) -> Found;

    /// Keeps an answer for `ttl`, unless the cache was emptied since `generation`, the answer is larger than
    /// [`MAX_ENTRY_BYTES`], or the cache cannot be reached.
    async fn put(&self, place: &Place, entry: Entry, ttl: Duration, generation: Generation);

    /// Removes answers, and answers how many.
    ///
    /// # Errors
    /// `Unavailable`: some of them may be left.
    async fn invalidate(&self, scope: Scope) -> Outcome<u64>;
}

/// How much a cache keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capacity {
    /// Bytes of all answers together. At least 1.
    pub bytes: u64,
    /// How many answers. At least 1.
    pub entries: u64,
}
