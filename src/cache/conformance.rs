//! What every response cache does alike. Each case is a function of a [`World`]; each runs as a test of its own on each
//! backend.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use uuid::Uuid;

use super::memory::MemoryCache;
use super::redis::{RedisCache, Seal};
use super::{Capacity, Entry, Found, Generation, MAX_ENTRY_BYTES, Place, ResponseCache, Scope};
use crate::domain::ids::VirtualKeyId;
use crate::domain::operation::Operation;
use crate::fault::Outcome;
use crate::time::{Clock, ManualClock, Timestamp};

const MINUTE: Duration = Duration::from_secs(60);
const ROOM: Capacity = Capacity { bytes: 1 << 23, entries: 100 };

macro_rules! suite {
    ($($case:ident $room:expr;)+) => {
        mod memory {
            $(#[tokio::test]
            async fn $case() {
                super::$case(&super::World::memory($room)).await;
            })+
        }

        mod redis {
            $(#[tokio::test]
            async fn $case() {
                super::$case(&super::World::redis($room).await).await;
            })+
        }
    };
}

suite! {
    an_answer_is_found_until_its_time_is_over super::ROOM;
    an_answer_that_is_kept_again_replaces_the_first super::ROOM;
    what_is_too_large_is_not_kept super::ROOM;
    an_invalidation_removes_what_is_meant_and_says_how_many super::ROOM;
    what_was_asked_before_an_invalidation_is_not_kept_after_it super::ROOM;
    no_more_answers_are_kept_than_there_is_room_for super::Capacity { bytes: 1 << 23, entries: 4 };
    no_more_bytes_are_kept_than_there_is_room_for super::Capacity { bytes: 3 << 20, entries: 100 };
}

/// A cache of one's own.
struct World {
    cache: Arc<dyn ResponseCache>,
    /// The time, where it is not Redis's.
    clock: Option<Arc<ManualClock>>,
}

/// Turns every bit over, which is enough to be told from what was not sealed.
struct Inverted;

impl Seal for Inverted {
    fn seal(&self, _: &[u8; 32], plain: &[u8]) -> Outcome<Vec<u8>> {
        Ok(plain.iter().map(|byte| !byte).collect())
    }

    fn open(&self, _: &[u8; 32], sealed: &[u8]) -> Option<Vec<u8>> {
        Some(sealed.iter().map(|byte| !byte).collect())
    }
}

impl World {
    fn memory(room: Capacity) -> Self {
        let clock = Arc::new(ManualClock::at(Timestamp::from_unix_ms(0)));
        let cache = MemoryCache::new(Arc::clone(&clock) as Arc<dyn Clock>, room).unwrap();
        Self { cache: Arc::new(cache), clock: Some(clock) }
    }

    async fn redis(room: Capacity) -> Self {
        #[expect(clippy::disallowed_methods, reason = "the test command tells where its servers are")]
        let url = std::env::var("UNIFIED_TEST_REDIS_URL").expect("run `make test`, which starts the servers");
        let prefix = format!("test:{{{:032x}}}:", crate::vault::SystemEntropy::roll(u64::MAX));
        let cache = Arc::new(RedisCache::new(&url.as_str().into(), &prefix, room, Arc::new(Inverted)).unwrap());
        let running = Arc::clone(&cache);
        #[expect(clippy::disallowed_methods, reason = "a test's own task ends with its runtime")]
        drop(tokio::spawn(async move { running.run().await }));
        let world = Self { cache, clock: None };
        world.find(&place(0)).await;
        world
    }

    /// Looks until the cache answers: a machine that is busy makes it late.
    async fn find(&self, place: &Place) -> Found {
        for _ in 0..100 {
            match self.cache.find(place).await {
                Found::Away => tokio::time::sleep(Duration::from_millis(20)).await,
                found => return found,
            }
        }
        panic!("the cache does not answer");
    }

    async fn has(&self, place: &Place) -> bool {
        matches!(self.find(place).await, Found::Entry(_))
    }

    async fn keep(&self, place: &Place, entry: &Entry) {
        for _ in 0..100 {
            let generation = match self.find(place).await {
                Found::Entry(found) if found == *entry => return,
                Found::Nothing(generation) => generation,
                Found::Entry(_) | Found::Away => Generation(0),
            };
            self.cache.put(place, entry.clone(), MINUTE, generation).await;
        }
        panic!("the answer is not kept");
    }

    async fn wait(&self, time: Duration) {
        match &self.clock {
            Some(clock) => clock.advance(time),
            None => tokio::time::sleep(time).await,
        }
    }
}

fn place(number: u8) -> Place {
    of(number, Operation::TextGenerate, 1)
}

fn of(number: u8, operation: Operation, key: u128) -> Place {
    Place { digest: [number; 32], operation, key: VirtualKeyId::from_uuid(Uuid::from_u128(key)) }
}

fn entry(bytes: usize) -> Entry {
    Entry { body: Bytes::from("x".repeat(bytes)), model: "m".to_owned(), dropped: vec!["seed".to_owned()] }
}

async fn an_answer_is_found_until_its_time_is_over(world: &World) {
    world.cache.put(&place(1), entry(10), Duration::from_secs(1), Generation(0)).await;
    world.keep(&place(2), &entry(20)).await;
    assert_eq!(world.find(&place(2)).await, Found::Entry(entry(20)));
    assert_eq!(world.find(&place(3)).await, Found::Nothing(Generation(0)));
    world.wait(Duration::from_millis(1_050)).await;
    assert_eq!(world.find(&place(1)).await, Found::Nothing(Generation(0)));
    assert!(world.has(&place(2)).await);
}

async fn an_answer_that_is_kept_again_replaces_the_first(world: &World) {
    world.keep(&place(1), &entry(10)).await;
    world.keep(&place(1), &entry(11)).await;
    assert_eq!(world.find(&place(1)).await, Found::Entry(entry(11)));
    assert_eq!(world.cache.invalidate(Scope::default()).await.unwrap(), 1);
}

async fn what_is_too_large_is_not_kept(world: &World) {
    world.cache.put(&place(1), entry(MAX_ENTRY_BYTES), MINUTE, Generation(0)).await;
    assert!(!world.has(&place(1)).await);
}

async fn an_invalidation_removes_what_is_meant_and_says_how_many(world: &World) {
    let (text, embedding) = (Operation::TextGenerate, Operation::EmbeddingCreate);
    let places = [of(1, text, 1), of(2, embedding, 1), of(3, text, 2), of(4, embedding, 2)];
    for place in &places {
        world.keep(place, &entry(1)).await;
    }
    let scope = |operation, key: Option<u128>| Scope {
        operation,
        key: key.map(|key| VirtualKeyId::from_uuid(Uuid::from_u128(key))),
    };
    assert_eq!(world.cache.invalidate(scope(Some(text), Some(1))).await.unwrap(), 1);
    assert_eq!(world.cache.invalidate(scope(None, Some(2))).await.unwrap(), 2);
    assert_eq!(world.cache.invalidate(scope(Some(text), None)).await.unwrap(), 0);
    assert!(world.has(&places[1]).await);
    assert_eq!(world.cache.invalidate(Scope::default()).await.unwrap(), 1);
    assert!(!world.has(&places[1]).await);
}

async fn what_was_asked_before_an_invalidation_is_not_kept_after_it(world: &World) {
    let Found::Nothing(before) = world.find(&place(1)).await else { panic!("it is empty") };
    world.cache.invalidate(Scope::default()).await.unwrap();
    world.cache.put(&place(1), entry(10), MINUTE, before).await;
    assert!(!world.has(&place(1)).await);
    world.keep(&place(1), &entry(10)).await;
}

async fn no_more_answers_are_kept_than_there_is_room_for(world: &World) {
    let mut kept = 0;
    for number in 0..20 {
        world.cache.put(&place(number), entry(10), MINUTE, Generation(0)).await;
    }
    for number in 0..20 {
        kept += u32::from(world.has(&place(number)).await);
    }
    assert!((1..=4).contains(&kept), "{kept}");
}

async fn no_more_bytes_are_kept_than_there_is_room_for(world: &World) {
    let mut kept = 0;
    for number in 0..12 {
        world.cache.put(&place(number), entry(900_000), MINUTE, Generation(0)).await;
    }
    for number in 0..12 {
        kept += u32::from(world.has(&place(number)).await);
    }
    assert!((1..=3).contains(&kept), "{kept}");
}
