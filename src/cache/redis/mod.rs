//! Answers in Redis, for replicas together.
//!
//! Nothing waits for it: who looks up or keeps gives up after a tenth of a second, and while there is no connection nobody
//! asks. [`RedisCache::run`] keeps the connection. What is kept is bounded here, by bytes and by number, so that the cache
//! never takes the room that counters of limits need in the same server: those whose time is over soonest make way.

mod link;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{Capacity, Entry, Found, Generation, MAX_ENTRY_BYTES, Place, ResponseCache, Scope};
use crate::domain::operation::Operation;
use crate::domain::secret::SecretString;
use crate::fault::{Fault, Kind, Outcome};
use link::{Link, Step};

/// Says how an entry is written. Entries of another form are not found.
const FORM: u8 = 1;
/// Entries looked at in one go by an invalidation.
const SCANNED_AT_ONCE: u32 = 500;
/// Most goes of an invalidation.
const MAX_SCANS: u32 = 100_000;

/// Turns what is kept into what others cannot read, and back; bound to where it is kept.
pub trait Seal: Send + Sync {
    /// Encrypts.
    ///
    /// # Errors
    /// When it cannot.
    fn seal(&self, place: &[u8; 32], plain: &[u8]) -> Outcome<Vec<u8>>;

    /// Decrypts. `None` for what was sealed elsewhere, or by nobody.
    fn open(&self, place: &[u8; 32], sealed: &[u8]) -> Option<Vec<u8>>;
}

/// Answers in Redis.
pub struct RedisCache {
    link: Link,
    capacity: Capacity,
    seal: Arc<dyn Seal>,
}

/// What stands before the body of an entry.
#[derive(Debug, Serialize, Deserialize)]
struct Head {
    model: String,
    dropped: Vec<String>,
}

impl std::fmt::Debug for RedisCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedisCache").field("capacity", &self.capacity).finish_non_exhaustive()
    }
}

impl RedisCache {
    /// Reads the URL; connects to nothing yet. All keys begin with `prefix`, which has a hash tag (`{…}`).
    ///
    /// # Errors
    /// `Unavailable` when the URL is not understood; it is not repeated, for it may hold a password.
    pub fn new(url: &SecretString, prefix: &str, capacity: Capacity, seal: Arc<dyn Seal>) -> Outcome<Self> {
        Ok(Self { link: Link::new(url, prefix)?, capacity, seal })
    }

    /// Keeps the connection, until it is dropped.
    pub async fn run(&self) {
        self.link.run().await;
    }
}

#[async_trait]
impl ResponseCache for RedisCache {
    async fn find(&self, place: &Place) -> Found {
        let Ok((generation, sealed)) = self.link.find(&name(place)).await else { return Found::Away };
        let generation = Generation(generation);
        let plain = sealed.and_then(|sealed| self.seal.open(&place.digest, &sealed));
        plain.and_then(read).map_or(Found::Nothing(generation), Found::Entry)
    }

    async fn put(&self, place: &Place, entry: Entry, ttl: Duration, generation: Generation) {
        if entry.size() > MAX_ENTRY_BYTES {
            return;
        }
        let sealed = match write(&entry).and_then(|plain| self.seal.seal(&place.digest, &plain)) {
            Ok(sealed) => sealed,
            Err(fault) => {
                tracing::warn!(error = fault.cause(), "an answer is not cached: {fault}");
                return;
            }
        };
        let words = [
            name(place),
            place.operation.as_str().to_owned(),
            place.key.to_string(),
            ttl.as_millis().to_string(),
            generation.0.to_string(),
            self.capacity.bytes.to_string(),
            self.capacity.entries.to_string(),
        ];
        let arguments = words.into_iter().map(String::into_bytes).chain([sealed]).collect();
        if let Err(error) = self.link.call(Step::Put, arguments).await {
            tracing::debug!(%error, "an answer is not cached");
        }
    }

    async fn invalidate(&self, scope: Scope) -> Outcome<u64> {
        self.remove(scope).await.map_err(|error| {
            let sentence = "The response cache in Redis cannot be reached now; try again.";
            Fault::new(Kind::Unavailable).say(sentence).because(error)
        })
    }
}

impl RedisCache {
    async fn remove(&self, scope: Scope) -> Result<u64, ::redis::RedisError> {
        self.link.call(Step::Forget, Vec::new()).await?;
        let (mut cursor, mut removed) = (0, 0);
        for _ in 0..MAX_SCANS {
            let (next, entries) = self.link.scan(cursor, SCANNED_AT_ONCE).await?;
            let meant: Vec<Vec<u8>> =
                entries.into_iter().filter(|(_, about)| is_meant(scope, about)).map(|(name, _)| name.into()).collect();
            if !meant.is_empty() {
                removed += u64::try_from(self.link.call(Step::Drop, meant).await?).unwrap_or_default();
            }
            cursor = next;
            if cursor == 0 {
                break;
            }
        }
        Ok(removed)
    }
}

/// Whether what the index says of an entry, `operation|key|bytes`, is meant. What it cannot have said is removed, too.
fn is_meant(scope: Scope, about: &str) -> bool {
    let mut words = about.split('|');
    let operation = words.next().and_then(|word| word.parse::<Operation>().ok());
    let key = words.next().and_then(|word| word.parse().ok());
    match (operation, key) {
        (Some(operation), Some(key)) => scope.covers(operation, key),
        _ => true,
    }
}

fn name(place: &Place) -> String {
    place.digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn write(entry: &Entry) -> Outcome<Vec<u8>> {
    let head = Head { model: entry.model.clone(), dropped: entry.dropped.clone() };
    let head = serde_json::to_vec(&head).map_err(|error| Fault::new(Kind::Internal).because(error))?;
    let length = u32::try_from(head.len()).map_err(|error| Fault::new(Kind::Internal).because(error))?;
    Ok([&[FORM], length.to_be_bytes().as_slice(), &head, &entry.body].concat())
}

fn read(mut plain: Vec<u8>) -> Option<Entry> {
    let (form, rest) = plain.split_first()?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let head = rest.get(..usize::try_from(u32::from_be_bytes(*length)).ok()?).filter(|_| *form == FORM)?;
    let Head { model, dropped } = serde_json::from_slice(head).ok()?;
    let start = 1 + 4 + head.len();
    let body = Bytes::from(plain.split_off(start));
    Some(Entry { body, model, dropped })
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::domain::ids::VirtualKeyId;

    #[test]
    fn an_entry_reads_back_and_nothing_else_reads_as_one() {
        let body = Bytes::from_static(br#"{"a":1}"#);
        let entry = Entry { body, model: "m".to_owned(), dropped: vec!["seed".to_owned()] };
        let written = write(&entry).unwrap();
        assert_eq!(read(written.clone()), Some(entry));
        for cut in 0..written.len() - 7 {
            assert_eq!(read(written[..cut].to_vec()), None, "{cut}");
        }
        let mut other = written;
        other[0] = FORM + 1;
        assert_eq!(read(other), None);
    }

    #[test]
    fn the_index_tells_which_entries_are_meant() {
        let key = VirtualKeyId::from_uuid(Uuid::from_u128(7));
        let about = format!("text.generate|{key}|120");
        let scope = |operation, key| Scope { operation, key };
        assert!(is_meant(Scope::default(), &about));
        assert!(is_meant(scope(Some(Operation::TextGenerate), Some(key)), &about));
        assert!(!is_meant(scope(Some(Operation::EmbeddingCreate), None), &about));
        assert!(!is_meant(scope(None, Some(VirtualKeyId::from_uuid(Uuid::from_u128(8)))), &about));
        assert!(is_meant(scope(Some(Operation::EmbeddingCreate), None), "of a later version"));
    }
}
