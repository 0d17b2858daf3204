//! The response cache: in this process, or in Redis, where answers are kept encrypted.

use std::sync::Arc;

use crate::cache::memory::MemoryCache;
use crate::cache::redis::{RedisCache, Seal};
use crate::cache::{Capacity, ResponseCache};
use crate::domain::secret::SecretString;
use crate::fault::{Fault, Kind, Outcome};
use crate::time::Clock;
use crate::vault::{Keyring, Purpose, SystemEntropy};

/// What the cache's keys in Redis begin with. The tag keeps them together, should they ever be spread over servers.
const PREFIX: &str = "unified:{cache}:";

/// The cache, and what keeps its connection where it has one.
pub(super) struct Answers {
    pub(super) cache: Arc<dyn ResponseCache>,
    pub(super) shared: Option<Arc<RedisCache>>,
}

impl Answers {
    /// In Redis where replicas share one, else in this process.
    pub(super) fn open(
        redis: Option<&SecretString>,
        capacity: Capacity,
        keyring: &Arc<Keyring>,
        clock: &Arc<dyn Clock>,
    ) -> Outcome<Self> {
        let Some(url) = redis else {
            let cache = MemoryCache::new(Arc::clone(clock), capacity)?;
            return Ok(Self { cache: Arc::new(cache), shared: None });
        };
        let seal = Sealed { keyring: Arc::clone(keyring) };
        let shared = Arc::new(RedisCache::new(url, PREFIX, capacity, Arc::new(seal))?);
        Ok(Self { cache: Arc::clone(&shared) as Arc<dyn ResponseCache>, shared: Some(shared) })
    }
}

struct Sealed {
    keyring: Arc<Keyring>,
}

impl Seal for Sealed {
    fn seal(&self, place: &[u8; 32], plain: &[u8]) -> Outcome<Vec<u8>> {
        let sealed = self.keyring.seal(Purpose::CachedAnswer, place, plain, &SystemEntropy);
        sealed.map_err(|error| Fault::new(Kind::Internal).because(error))
    }

    fn open(&self, place: &[u8; 32], sealed: &[u8]) -> Option<Vec<u8>> {
        let plain = self.keyring.open(Purpose::CachedAnswer, place, sealed).ok()?;
        Some(plain.to_vec())
    }
}
