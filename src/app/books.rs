//! Limits, budgets, records and the health of deployments, as either mode keeps them: in this process, or shared over Redis.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::watch;

use super::switches::Switches;
use crate::config::store::Store;
use crate::control::replicas::Identity;
use crate::domain::ports::{SharedHealth, UsageSink};
use crate::domain::secret::SecretString;
use crate::fault::Outcome;
use crate::ledger::Ledger;
use crate::ledger::journal::Journal;
use crate::ledger::memory::MemoryLedger;
use crate::ledger::redis::{RedisHealth, RedisLedger, RedisLink, Setup, beat, close};
use crate::ledger::settle::Recorder;
use crate::ledger::spool::{MOST_BYTES, Spool};
use crate::routing::{Health, Publisher, Shared};
use crate::time::Clock;

/// What the ledger's keys in Redis begin with. The tag keeps them together, should they ever be spread over servers.
const PREFIX: &str = "unified:{ledger}:";
/// In a ledger that was lost every replica holds again what it held by then: four signs of life.
const YOUTH: Duration = Duration::from_secs(2);

/// What of the settings decides how they are kept.
pub(super) struct Keeping {
    redis: Option<(SecretString, RedisLink)>,
    fails_open: bool,
    spool: Option<Spool>,
    /// The folder of the journal, in embedded mode.
    journal: Option<PathBuf>,
}

/// The ledger and what feeds it.
pub(super) struct Books {
    pub recorder: Arc<Recorder>,
    pub ledger: Arc<dyn Ledger>,
    pub health: Arc<Health>,
    redis: Option<Arc<RedisLedger>>,
    news: Option<Arc<RedisHealth>>,
}

impl Keeping {
    /// Reads the settings, and looks whether Redis is one that can be used, as far as it answers.
    ///
    /// # Errors
    /// What is wrong with it, in words for the operator.
    pub(super) async fn of(store: &Store) -> Outcome<Self> {
        let Some(databases) = &store.databases else {
            let journal = Some(store.data_dir.join("journal"));
            return Ok(Self { redis: None, fails_open: false, spool: None, journal });
        };
        let redis = match &databases.redis {
            Some(url) => {
                let link = RedisLink::new(url, PREFIX)?;
                link.check().await?;
                Some((url.clone(), link))
            }
            None => None,
        };
        Ok(Self { redis, fails_open: databases.fails_open, spool: spool(&store.data_dir), journal: None })
    }

    /// Where Redis is, if there is one.
    pub(super) fn redis(&self) -> Option<&SecretString> {
        self.redis.as_ref().map(|(url, _)| url)
    }
}

impl Books {
    /// Puts them together. Nothing is stored yet.
    ///
    /// # Errors
    /// A Redis that cannot be spoken to by its address.
    pub(super) fn open(
        keeping: Keeping,
        sink: Arc<dyn UsageSink>,
        identity: &Identity,
        clock: &Arc<dyn Clock>,
    ) -> Outcome<Self> {
        let Keeping { redis, fails_open, spool, journal } = keeping;
        let recorder = Recorder::new(sink, Arc::clone(clock));
        let recorder = Arc::new(match spool {
            Some(spool) => recorder.with_spool(spool),
            None => journaled(recorder, journal.as_deref()),
        });
        let health = Arc::new(Health::new(clock.instant()));
        let Some((url, link)) = redis else {
            // Counters of this process alone are right only where it is alone.
            let ledger = Arc::new(MemoryLedger::new(Arc::clone(clock), Arc::clone(&recorder)));
            return Ok(Self { recorder, ledger, health, redis: None, news: None });
        };
        let replica = identity.id.as_uuid().to_string();
        let setup = Setup { replica: replica.clone(), fails_open, youth: YOUTH };
        let ledger = Arc::new(RedisLedger::new(link, setup, Arc::clone(&recorder), Arc::clone(clock)));
        let after: Weak<RedisLedger> = Arc::downgrade(&ledger);
        recorder.tell(after);
        let news = Arc::new(RedisHealth::new(&url, PREFIX, replica, Arc::clone(clock))?);
        health.share(Arc::clone(&news) as Arc<dyn SharedHealth>);
        Ok(Self {
            recorder,
            ledger: Arc::clone(&ledger) as Arc<dyn Ledger>,
            health,
            redis: Some(ledger),
            news: Some(news),
        })
    }

    /// Starts what keeps them: records are stored until recording ends, the rest is kept up until the last. Answers
    /// whether Redis is there, where there is one.
    pub(super) fn keep(
        self,
        publisher: &Arc<Publisher>,
        clock: &Arc<dyn Clock>,
        switches: &Switches,
    ) -> Option<watch::Receiver<bool>> {
        let Self { recorder, health, redis, news, .. } = self;
        let must_end = switches.recording_ends.subscribe();
        switches.background.start(async move { recorder.run(must_end).await });
        if let Some(news) = news {
            let hears = Arc::new(Shared::new(health, Arc::clone(publisher), Arc::clone(clock)));
            switches.keep(async move { news.run(hears).await });
        }
        let ledger = redis?;
        let (is_up, seen) = watch::channel(false);
        switches.keep(close::run(Arc::clone(&ledger)));
        switches.keep(beat::run(ledger, is_up));
        Some(seen)
    }
}

/// Where records wait while PostgreSQL is away. Without a folder that can be written to they wait in memory.
fn spool(data_dir: &Path) -> Option<Spool> {
    match Spool::open(&data_dir.join("spool"), MOST_BYTES) {
        Ok(spool) => Some(spool),
        Err(error) => {
            tracing::warn!(%error, "DATA_DIR cannot be written to: while PostgreSQL is away, records wait in memory alone");
            None
        }
    }
}

/// Where records wait a moment for SQLite. Without a folder that can be written to, answers wait for it.
fn journaled(recorder: Recorder, folder: Option<&Path>) -> Recorder {
    match folder.map(Journal::open) {
        Some(Ok(journal)) => recorder.with_journal(journal),
        Some(Err(error)) => {
            tracing::warn!(%error, "DATA_DIR/journal cannot be used: every answer waits for the database");
            recorder
        }
        None => recorder,
    }
}
