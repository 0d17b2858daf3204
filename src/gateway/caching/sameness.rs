//! What makes two requests the same, and which ones the cache has a part in.

use std::time::Duration;

use http::HeaderMap;

use crate::cache::Place;
use crate::dialects::cacheable::normal_form;
use crate::domain::operation::Operation;
use crate::gateway::Caller;
use crate::routing::Snapshot;
use crate::vault::digest;

/// Bodies above this are not cached.
const MAX_REQUEST_BYTES: usize = 512 * 1024;
/// Header that passes up and makes no other answer.
const NO_MATTER: &str = "idempotency-key";

/// A request that may be answered from the cache.
#[derive(Debug, Clone, Copy)]
pub(in crate::gateway) struct Through {
    pub(super) place: Place,
    pub(super) ttl: Duration,
}

/// What makes two requests the same.
pub(in crate::gateway) struct Sameness<'a> {
    pub caller: &'a Caller,
    pub snapshot: &'a Snapshot,
    /// The word of the contract.
    pub contract: &'a str,
    pub operation: Operation,
    /// The public model it names.
    pub model: &'a str,
    pub body: &'a [u8],
    /// The client's headers that pass up.
    pub forwarded: &'a HeaderMap,
    pub is_strict: bool,
}

impl Through {
    /// The way through the cache for a request that opted in; `None` where the cache has no part in it: for the master key,
    /// for large bodies, and for what is not text in and text out.
    pub(in crate::gateway) fn of(asked: &Sameness<'_>, ttl: Duration) -> Option<Self> {
        let Caller::Key(key) = asked.caller else { return None };
        if asked.body.len() > MAX_REQUEST_BYTES {
            return None;
        }
        let body = normal_form(asked.body)?;
        let place =
            Place { digest: asked.digest(key.id.as_uuid().as_bytes(), &body), operation: asked.operation, key: key.id };
        Some(Self { place, ttl })
    }
}

impl Sameness<'_> {
    /// Every piece ends where the next begins: all but the last are of a fixed length or end in a zero, which none holds.
    fn digest(&self, key: &[u8], body: &str) -> [u8; 32] {
        let (pool, headers) = (self.pool(), self.headers());
        digest([
            self.contract.as_bytes(),
            b"\0",
            self.operation.as_str().as_bytes(),
            b"\0",
            key,
            &pool,
            &headers,
            body.as_bytes(),
        ])
    }

    /// The state of the deployments that can serve it, and of what decides about its fields.
    fn pool(&self) -> [u8; 32] {
        let settings = self.snapshot.settings();
        let mut state = Vec::from(settings.unsupported_parameter_strategy.as_str());
        for target in self.snapshot.find_pool(self.model).iter().flat_map(|pool| pool.enabled()) {
            state.extend_from_slice(target.id.as_uuid().as_bytes());
            state.extend_from_slice(&target.revision.0.to_be_bytes());
        }
        digest([state.as_slice()])
    }

    fn headers(&self) -> [u8; 32] {
        let passing = self.forwarded.iter().filter(|(name, _)| *name != NO_MATTER);
        let mut lines: Vec<Vec<u8>> =
            passing.map(|(name, value)| [name.as_str().as_bytes(), b"\0", value.as_bytes(), b"\0"].concat()).collect();
        // Values of one name keep their order.
        lines.sort_by(|one, other| one.split(|byte| *byte == 0).next().cmp(&other.split(|byte| *byte == 0).next()));
        let is_strict: &[u8] = if self.is_strict { b"strict" } else { b"" };
        digest(std::iter::once(is_strict).chain(lines.iter().map(Vec::as_slice)))
    }
}
