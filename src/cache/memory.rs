//! Answers in this process, bounded by their bytes and by their number.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{DefaultHashBuilder, OptionsBuilder, Weighter};

use super::{Capacity, Entry, Found, Generation, MAX_ENTRY_BYTES, Place, ResponseCache, Scope};
use crate::fault::{Fault, Kind, Outcome};
use crate::time::Clock;

/// What an answer takes beside its bytes.
const OVERHEAD_BYTES: u64 = 256;
/// Parts of the cache with a lock each. Each has its share of the room, which has to be enough for a large answer.
const SHARDS: u64 = 8;

/// Answers in this process.
pub struct MemoryCache {
    clock: Arc<dyn Clock>,
    kept: Cache<[u8; 32], Arc<Kept>, Weigh>,
    generation: AtomicI64,
}

#[derive(Debug)]
struct Kept {
    place: Place,
    entry: Entry,
    until: Instant,
}

/// An answer weighs its bytes, and at least an equal share of the room: so their number is bounded, too.
#[derive(Debug, Clone)]
struct Weigh {
    least: u64,
}

impl Weighter<[u8; 32], Arc<Kept>> for Weigh {
    fn weight(&self, _: &[u8; 32], kept: &Arc<Kept>) -> u64 {
        (kept.entry.size() as u64).saturating_add(OVERHEAD_BYTES).max(self.least)
    }
}

impl std::fmt::Debug for MemoryCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemoryCache").field("entries", &self.kept.len()).finish_non_exhaustive()
    }
}

impl MemoryCache {
    /// An empty one.
    ///
    /// # Errors
    /// `Internal` for a capacity of nothing.
    pub fn new(clock: Arc<dyn Clock>, capacity: Capacity) -> Outcome<Self> {
        let Capacity { bytes, entries } = capacity;
        let shards = (bytes / (2 * MAX_ENTRY_BYTES as u64)).clamp(1, SHARDS);
        let options = OptionsBuilder::new()
            .shards(usize::try_from(shards).unwrap_or(1))
            .estimated_items_capacity(usize::try_from(entries.min(10_000)).unwrap_or(10_000))
            .weight_capacity(bytes)
            .build()
            .map_err(|error| Fault::new(Kind::Internal).because(error.to_string()))?;
        let weigh = Weigh { least: bytes.div_ceil(entries.max(1)) };
        let kept = Cache::with_options(options, weigh, DefaultHashBuilder::default(), DefaultLifecycle::default());
        Ok(Self { clock, kept, generation: AtomicI64::new(0) })
    }
}

#[async_trait]
impl ResponseCache for MemoryCache {
    async fn find(&self, place: &Place) -> Found {
        let now = self.clock.instant();
        // Read first: an answer that is put after this belongs to the next generation.
        let generation = Generation(self.generation.load(Ordering::Acquire));
        match self.kept.get(&place.digest) {
            Some(kept) if now < kept.until => Found::Entry(kept.entry.clone()),
            Some(_) => {
                self.kept.remove_if(&place.digest, |kept| kept.until <= now);
                Found::Nothing(generation)
            }
            None => Found::Nothing(generation),
        }
    }

    async fn put(&self, place: &Place, entry: Entry, ttl: Duration, generation: Generation) {
        if entry.size() > MAX_ENTRY_BYTES || self.generation.load(Ordering::Acquire) != generation.0 {
            return;
        }
        let until = self.clock.instant() + ttl;
        self.kept.insert(place.digest, Arc::new(Kept { place: *place, entry, until }));
        if self.generation.load(Ordering::Acquire) != generation.0 {
            // An invalidation came in between and may have missed it.
            self.kept.remove(&place.digest);
        }
    }

    async fn invalidate(&self, scope: Scope) -> Outcome<u64> {
        self.generation.fetch_add(1, Ordering::AcqRel);
        let now = self.clock.instant();
        let removed = AtomicI64::new(0);
        self.kept.retain(|_, kept| {
            let is_meant = scope.covers(kept.place.operation, kept.place.key);
            if is_meant && now < kept.until {
                removed.fetch_add(1, Ordering::Relaxed);
            }
            !is_meant
        });
        Ok(u64::try_from(removed.into_inner()).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use uuid::Uuid;

    use super::*;
    use crate::domain::ids::VirtualKeyId;
    use crate::domain::operation::Operation;
    use crate::time::{ManualClock, Timestamp};

    fn place(number: u8, key: u128, operation: Operation) -> Place {
        Place { digest: [number; 32], operation, key: VirtualKeyId::from_uuid(Uuid::from_u128(key)) }
    }

    fn entry(bytes: usize) -> Entry {
        Entry { body: Bytes::from("x".repeat(bytes)), model: "m".to_owned(), dropped: vec!["seed".to_owned()] }
    }

    fn cache(bytes: u64, entries: u64) -> (MemoryCache, Arc<ManualClock>) {
        let clock = Arc::new(ManualClock::at(Timestamp::from_unix_ms(0)));
        (MemoryCache::new(Arc::clone(&clock) as Arc<dyn Clock>, Capacity { bytes, entries }).unwrap(), clock)
    }

    const MINUTE: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn an_answer_is_found_until_its_time_is_over() {
        let (cache, clock) = cache(1 << 20, 100);
        let here = place(1, 1, Operation::TextGenerate);
        assert_eq!(cache.find(&here).await, Found::Nothing(Generation(0)));
        cache.put(&here, entry(10), MINUTE, Generation(0)).await;
        assert_eq!(cache.find(&here).await, Found::Entry(entry(10)));
        assert_eq!(cache.find(&place(2, 1, Operation::TextGenerate)).await, Found::Nothing(Generation(0)));
        clock.advance(MINUTE);
        assert_eq!(cache.find(&here).await, Found::Nothing(Generation(0)));
        assert_eq!(cache.kept.len(), 0);
    }

    #[tokio::test]
    async fn neither_the_bytes_nor_the_number_of_answers_grow_beyond_the_room() {
        let (cache, _) = cache(1 << 22, 16);
        for number in 0..200 {
            cache.put(&place(number, 1, Operation::TextGenerate), entry(10), MINUTE, Generation(0)).await;
        }
        assert!((8..=16).contains(&cache.kept.len()), "{}", cache.kept.len());
        for number in 0..200 {
            cache.put(&place(number, 1, Operation::TextGenerate), entry(900_000), MINUTE, Generation(0)).await;
        }
        assert!(cache.kept.weight() <= 1 << 22 && cache.kept.len() >= 2, "{cache:?}");
        let large = place(201, 1, Operation::TextGenerate);
        cache.put(&large, entry(MAX_ENTRY_BYTES), MINUTE, Generation(0)).await;
        assert_eq!(cache.find(&large).await, Found::Nothing(Generation(0)));
    }

    #[tokio::test]
    async fn an_invalidation_removes_what_is_meant_and_says_how_many() {
        let (cache, clock) = cache(1 << 22, 100);
        let places = [
            place(1, 1, Operation::TextGenerate),
            place(2, 1, Operation::EmbeddingCreate),
            place(3, 2, Operation::TextGenerate),
            place(4, 2, Operation::EmbeddingCreate),
        ];
        for place in &places {
            cache.put(place, entry(1), MINUTE, Generation(0)).await;
        }
        let of = |operation, key: Option<u128>| Scope {
            operation,
            key: key.map(|key| VirtualKeyId::from_uuid(Uuid::from_u128(key))),
        };
        assert_eq!(cache.invalidate(of(Some(Operation::TextGenerate), Some(1))).await.unwrap(), 1);
        assert_eq!(cache.invalidate(of(None, Some(2))).await.unwrap(), 2);
        assert_eq!(cache.invalidate(of(Some(Operation::TextGenerate), None)).await.unwrap(), 0);
        assert!(matches!(cache.find(&places[1]).await, Found::Entry(_)));
        assert_eq!(cache.invalidate(Scope::default()).await.unwrap(), 1);
        cache.put(&places[0], entry(1), MINUTE, Generation(4)).await;
        clock.advance(MINUTE);
        assert_eq!(cache.invalidate(Scope::default()).await.unwrap(), 0, "what is over does not count");
    }

    #[tokio::test]
    async fn an_answer_that_was_asked_for_before_an_invalidation_is_not_kept_after_it() {
        let (cache, _) = cache(1 << 20, 100);
        let here = place(1, 1, Operation::TextGenerate);
        cache.invalidate(Scope::default()).await.unwrap();
        cache.put(&here, entry(10), MINUTE, Generation(0)).await;
        assert_eq!(cache.find(&here).await, Found::Nothing(Generation(1)));
    }
}
