//! Stores records in groups: while one group is being committed, the next one gathers. Order is kept, so a reader that
//! stands in the same queue sees everything that was settled before it asked.
//!
//! With a [`Spool`], what the store does not take at once goes to disk and is safe there; it is stored first once the store
//! is back. With a [`Journal`], all of it goes there first.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio::sync::{Notify, oneshot, watch};

use super::figures::Figures;
use super::journal::Journal;
use super::spool::{Spool, lines};

use crate::domain::ids::VirtualKeyId;
use crate::domain::ports::{PortError, StoredSpend, UsageSink};
use crate::domain::record::OperationRecord;
use crate::domain::window::Window;
use crate::time::{Clock, Timestamp};

/// Most records of one group.
const GROUP: usize = 500;
/// So many are stored without waiting for more.
const ENOUGH: usize = 64;
/// How long fewer wait.
const LINGER: Duration = Duration::from_millis(20);
/// Records that may wait while the store is away; with more of them no further request is let in.
const BACKLOG: usize = 20_000;
pub(super) const FIRST_PAUSE: Duration = Duration::from_millis(50);
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// With a spool, a store that does not answer by then is taken to be away.
pub(super) const STORE_PATIENCE: Duration = Duration::from_secs(1);

/// Who hears of records that were stored, before those who wait for them.
#[async_trait]
pub trait AfterStore: Send + Sync {
    /// These are stored, or put aside.
    async fn stored(&self, records: &[OperationRecord]);
}

/// What waits for the store, in order.
pub(super) enum Item {
    Record(Box<OperationRecord>, Timestamp, oneshot::Sender<()>),
    Spend(VirtualKeyId, Window, oneshot::Sender<Result<StoredSpend, PortError>>),
    NextEpoch(VirtualKeyId, oneshot::Sender<Result<i64, PortError>>),
    Flush(oneshot::Sender<()>),
}

/// The queue before the store, and who works it off.
pub struct Recorder {
    pub(super) sink: Arc<dyn UsageSink>,
    pub(super) queue: Mutex<VecDeque<Item>>,
    pub(super) waiting: AtomicUsize,
    pub(super) filled: Notify,
    after: OnceLock<Weak<dyn AfterStore>>,
    spooling: Option<Spooling>,
    pub(super) journal: Option<Journal>,
    pub(super) clock: Arc<dyn Clock>,
    figures: Figures,
    since: Mutex<Since>,
}

/// Since when records wait that are not in the queue.
#[derive(Debug, Default)]
pub(super) struct Since {
    pub(super) under_way: Option<Timestamp>,
    on_disk: Option<Timestamp>,
}

/// A spool, and when to try the store again. Only the task that works the queue off touches the spool; what waits for the
/// disk does so on a thread for that.
struct Spooling {
    spool: Arc<Mutex<Spool>>,
    clock: Arc<dyn Clock>,
    rest: Mutex<Option<(Instant, Duration)>>,
}

impl Spooling {
    fn spool(&self) -> MutexGuard<'_, Spool> {
        self.spool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn rest(&self) -> MutexGuard<'_, Option<(Instant, Duration)>> {
        self.rest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the store may be tried.
    fn is_due(&self) -> bool {
        self.rest().is_none_or(|(until, _)| self.clock.instant() >= until)
    }

    /// The store is away: it is left alone for a while, each time longer.
    fn store_is_away(&self) {
        let mut rest = self.rest();
        let pause = rest.map_or(FIRST_PAUSE, |(_, pause)| LONGEST_PAUSE.min(pause * 2));
        *rest = Some((self.clock.instant() + pause, pause));
    }

    /// Puts records on disk. Answers whether they are there.
    async fn keep(&self, records: &[OperationRecord]) -> bool {
        let kept = match lines(records) {
            Ok(lines) => on_disk(&self.spool, move |spool| spool.append(&lines)).await,
            Err(error) => Err(error),
        };
        match kept {
            Ok(true) => true,
            Ok(false) => {
                tracing::error!("the spool is full: records wait in memory");
                false
            }
            Err(error) => {
                tracing::error!(%error, "the spool cannot be written: records wait in memory");
                false
            }
        }
    }
}

impl std::fmt::Debug for Recorder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recorder").field("waiting", &self.waiting).finish_non_exhaustive()
    }
}

impl Recorder {
    /// Stores into `sink`, once [`Self::run`] runs.
    #[must_use]
    pub fn new(sink: Arc<dyn UsageSink>, clock: Arc<dyn Clock>) -> Self {
        Self {
            sink,
            queue: Mutex::default(),
            waiting: AtomicUsize::new(0),
            filled: Notify::new(),
            after: OnceLock::new(),
            spooling: None,
            journal: None,
            clock,
            figures: Figures::default(),
            since: Mutex::default(),
        }
    }

    /// How it goes.
    #[must_use]
    pub fn figures(&self) -> &Figures {
        &self.figures
    }

    /// Keeps on disk what the store does not take.
    #[must_use]
    pub fn with_spool(self, spool: Spool) -> Self {
        let clock = Arc::clone(&self.clock);
        let spooling = Spooling { spool: Arc::new(Mutex::new(spool)), clock, rest: Mutex::default() };
        Self { spooling: Some(spooling), ..self }
    }

    /// Answers records from `journal` and stores them behind.
    #[must_use]
    pub fn with_journal(self, journal: Journal) -> Self {
        Self { journal: Some(journal), ..self }
    }

    /// Tells `after` of all that is stored from now on. The first one stays.
    pub fn tell(&self, after: Weak<dyn AfterStore>) {
        _ = self.after.set(after);
    }

    /// The store behind it, for reads that need no order.
    #[must_use]
    pub fn sink(&self) -> &Arc<dyn UsageSink> {
        &self.sink
    }

    /// Whether so many records wait that no further request may be let in.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) >= BACKLOG
    }

    /// Hands a record over. The receiver hears when it is stored.
    pub fn record(&self, record: OperationRecord) -> oneshot::Receiver<()> {
        let (done, stored) = oneshot::channel();
        self.push(Item::Record(Box::new(record), self.clock.now(), done));
        stored
    }

    /// What a key has spent, with all that was handed over before.
    pub fn spend(&self, key: VirtualKeyId, window: Window) -> oneshot::Receiver<Result<StoredSpend, PortError>> {
        let (answer, answered) = oneshot::channel();
        self.push(Item::Spend(key, window, answer));
        answered
    }

    /// Starts a key's next epoch, after all that was handed over before.
    pub fn next_epoch(&self, key: VirtualKeyId) -> oneshot::Receiver<Result<i64, PortError>> {
        let (answer, answered) = oneshot::channel();
        self.push(Item::NextEpoch(key, answer));
        answered
    }

    /// Waits until all that was handed over before is stored, or safe on disk.
    pub async fn flush(&self) {
        let (done, safe) = oneshot::channel();
        self.push(Item::Flush(done));
        // At the end of the process nobody answers any more.
        _ = safe.await;
    }

    /// Works the queue off until `stop` is `true`, and then what is left of it, as long as the store takes it.
    pub async fn run(&self, mut stop: watch::Receiver<bool>) {
        if let Some(journal) = &self.journal {
            return self.run_behind(journal, stop).await;
        }
        loop {
            self.replay(false).await;
            if !*stop.borrow() {
                self.linger().await;
            }
            let group = self.take();
            if !group.is_empty() {
                if !self.store(group, &stop).await {
                    let waiting = self.waiting.load(Ordering::Relaxed);
                    tracing::error!(waiting, "the store is away at the end: what still waits for it is lost");
                    return;
                }
                continue;
            }
            if *stop.borrow() {
                if !self.replay(true).await {
                    tracing::warn!("the store is away at the end: what waits on disk is stored at the next start");
                }
                return;
            }
            let nap = if self.is_spooled() { FIRST_PAUSE } else { Duration::from_secs(3600) };
            tokio::select! {
                () = self.filled.notified() => {}
                () = tokio::time::sleep(nap) => {}
                changed = stop.changed() => if changed.is_err() { return },
            }
        }
    }

    /// Where answers wait for something else than the store, a few records wait for more to be stored with.
    async fn linger(&self) {
        let is_few = {
            let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
            let are_records = queue.iter().all(|item| matches!(item, Item::Record(..)));
            !queue.is_empty() && queue.len() < ENOUGH && are_records
        };
        if is_few && self.after.get().is_some() {
            tokio::time::sleep(LINGER).await;
        }
    }

    fn push(&self, item: Item) {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).push_back(item);
        self.filled.notify_one();
    }

    fn take(&self) -> Vec<Item> {
        let group = self.drain();
        self.since().under_way = oldest(&group);
        self.measure();
        group
    }

    pub(super) fn drain(&self) -> Vec<Item> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let count = queue.len().min(GROUP);
        queue.drain(..count).collect()
    }

    pub(super) fn since(&self) -> MutexGuard<'_, Since> {
        self.since.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes how much waits, and since when.
    pub(super) fn measure(&self) {
        let spool_bytes = self.spooling.as_ref().map_or(0, |spooling| spooling.spool().bytes());
        let queued = oldest(&*self.queue.lock().unwrap_or_else(PoisonError::into_inner));
        let since = {
            let mut since = self.since();
            let now = self.clock.now();
            since.on_disk = (spool_bytes > 0).then(|| since.on_disk.or(since.under_way).unwrap_or(now));
            [since.under_way, since.on_disk]
        };
        let oldest = since.into_iter().chain([queued]).flatten().min();
        self.figures.set_waiting(self.waiting.load(Ordering::Relaxed), oldest);
        self.figures.set_spool_bytes(spool_bytes);
    }

    /// Answers whether all of the group is dealt with.
    async fn store(&self, group: Vec<Item>, stop: &watch::Receiver<bool>) -> bool {
        let count = group.len();
        let mut is_safe = true;
        let mut records = Vec::new();
        for item in group {
            match item {
                Item::Record(record, _, done) => records.push((*record, done)),
                Item::Spend(key, window, answer) => {
                    is_safe &= self.store_records(std::mem::take(&mut records), stop).await;
                    if !self.replay(true).await {
                        _ = answer.send(Err(waits_on_disk()));
                        continue;
                    }
                    let spends = self.sink.spend(&[(key, window)]).await;
                    // Whoever asked may have left.
                    _ = answer.send(spends.map(|spends| spends.first().copied().unwrap_or_default()));
                }
                Item::NextEpoch(key, answer) => {
                    is_safe &= self.store_records(std::mem::take(&mut records), stop).await;
                    let next =
                        if self.replay(true).await { self.sink.next_epoch(key).await } else { Err(waits_on_disk()) };
                    _ = answer.send(next);
                }
                Item::Flush(done) => {
                    is_safe &= self.store_records(std::mem::take(&mut records), stop).await;
                    // Whoever waited may have left.
                    _ = done.send(());
                }
            }
        }
        is_safe &= self.store_records(records, stop).await;
        self.waiting.fetch_sub(count, Ordering::Relaxed);
        self.since().under_way = None;
        self.measure();
        is_safe
    }

    async fn store_records(
        &self,
        records: Vec<(OperationRecord, oneshot::Sender<()>)>,
        stop: &watch::Receiver<bool>,
    ) -> bool {
        if records.is_empty() {
            return true;
        }
        let (records, done): (Vec<_>, Vec<_>) = records.into_iter().unzip();
        let is_safe = self.insist(&records, stop).await;
        if is_safe {
            // Whoever waited may have gone.
            done.into_iter().for_each(|done| _ = done.send(()));
        }
        is_safe
    }

    /// Stores records, however long it takes; only an end of the process gives up. A record that the store can never
    /// take is put aside, alone. Answers whether all are safe.
    async fn insist(&self, records: &[OperationRecord], stop: &watch::Receiver<bool>) -> bool {
        let mut pause = FIRST_PAUSE;
        if let Some(spooling) = &self.spooling
            && (self.is_spooled() || !spooling.is_due())
            && spooling.keep(records).await
        {
            return true;
        }
        loop {
            let Err(error) = self.store_once(records).await else { return true };
            if let Some(spooling) = &self.spooling {
                spooling.store_is_away();
                if spooling.keep(records).await {
                    tracing::warn!(%error, "the store is away: records of requests go to the disk");
                    return true;
                }
            }
            if *stop.borrow() {
                tracing::error!(%error, records = records.len(), "records of requests are lost: the store is away");
                return false;
            }
            tracing::warn!(%error, records = records.len(), "records of requests wait: the store is away");
            tokio::time::sleep(pause).await;
            pause = LONGEST_PAUSE.min(pause * 2);
        }
    }

    /// Stores records, and tells who wants to know.
    pub(super) async fn store_once(&self, records: &[OperationRecord]) -> Result<(), PortError> {
        let storing = async {
            match self.sink.record(records).await {
                Err(PortError::Refused(reason)) => self.one_by_one(records, &reason.to_string()).await,
                stored => stored,
            }
        };
        match &self.spooling {
            Some(spooling) => {
                let late = |_| Err(PortError::Unavailable("no answer in time".into()));
                tokio::time::timeout(STORE_PATIENCE, storing).await.unwrap_or_else(late)?;
                *spooling.rest() = None;
            }
            None => storing.await?,
        }
        if let Some(after) = self.after.get().and_then(Weak::upgrade) {
            after.stored(records).await;
        }
        Ok(())
    }

    fn is_spooled(&self) -> bool {
        self.spooling.as_ref().is_some_and(|spooling| !spooling.spool().is_empty())
    }

    /// Stores what waits on disk. Answers whether nothing waits there any more.
    async fn replay(&self, at_once: bool) -> bool {
        let Some(spooling) = &self.spooling else { return true };
        let mut count = 0;
        while self.is_spooled() {
            if !at_once && !spooling.is_due() {
                return false;
            }
            let (records, next) = match on_disk(&spooling.spool, |spool| spool.oldest(GROUP)).await {
                Ok(oldest) => oldest,
                Err(error) => {
                    tracing::error!(%error, "the spool cannot be read");
                    spooling.store_is_away();
                    return false;
                }
            };
            if !records.is_empty() && self.store_once(&records).await.is_err() {
                spooling.store_is_away();
                return false;
            }
            count += records.len();
            if let Err(error) = on_disk(&spooling.spool, move |spool| spool.stored_up_to(next)).await {
                tracing::error!(%error, "the spool cannot be emptied; what is stored twice counts once");
            }
        }
        if count > 0 {
            tracing::info!(count, "records that waited on disk are stored");
        }
        true
    }

    async fn one_by_one(&self, records: &[OperationRecord], reason: &str) -> Result<(), PortError> {
        let [record] = records else {
            for record in records {
                match self.sink.record(std::slice::from_ref(record)).await {
                    Err(PortError::Refused(reason)) => self.put_aside(record, &reason.to_string()).await?,
                    stored => stored?,
                }
            }
            return Ok(());
        };
        self.put_aside(record, reason).await
    }

    async fn put_aside(&self, record: &OperationRecord, reason: &str) -> Result<(), PortError> {
        tracing::error!(operation = record.id, reason, "a record cannot be stored and is put aside");
        match self.sink.put_aside(record, reason).await {
            Err(PortError::Refused(error)) => {
                tracing::error!(operation = record.id, %error, "a record cannot even be put aside and is lost");
                Ok(())
            }
            put => put,
        }
    }
}

/// When the first record among these was handed over.
fn oldest<'a>(items: impl IntoIterator<Item = &'a Item>) -> Option<Timestamp> {
    items.into_iter().find_map(|item| match item {
        Item::Record(_, at, _) => Some(*at),
        Item::Spend(..) | Item::NextEpoch(..) | Item::Flush(_) => None,
    })
}

/// Uses files where waiting for the disk holds nobody up.
pub(super) async fn on_disk<F: Send + 'static, T: Send + 'static>(
    files: &Arc<Mutex<F>>,
    work: impl FnOnce(&mut F) -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let files = Arc::clone(files);
    let done = tokio::task::spawn_blocking(move || work(&mut files.lock().unwrap_or_else(PoisonError::into_inner)));
    done.await.map_err(io::Error::other)?
}

pub(super) fn waits_on_disk() -> PortError {
    PortError::Unavailable("records wait on disk for the store".into())
}
