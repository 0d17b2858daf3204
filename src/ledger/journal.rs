//! Records that are answered from a file of one's own and stored behind the answers, many at a time.
//!
//! A transaction of SQLite costs as much as ten records in it, and answers come one by one: waiting for the store made each
//! pay for a transaction. A line in a file survives the death of the process as well. Who reads records, or spending, has
//! the store catch up first, so nothing of this can be seen.
//!
//! Nothing is noted of how far the store has come. What a process that died leaves is stored by the next one before anything
//! else, and what is stored twice counts once. So that little is left there are two files: one is emptied while the other fills.

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{oneshot, watch};

use super::settle::{FIRST_PAUSE, Item, LONGEST_PAUSE, Recorder, STORE_PATIENCE, on_disk, waits_on_disk};
use super::spool::{MOST_BYTES, Spool, lines};
use crate::domain::ports::PortError;
use crate::domain::record::OperationRecord;
use crate::time::Timestamp;

/// Most records that are stored at once.
const MOST_AT_ONCE: usize = 256;
/// A record waits so long for others to be stored with.
const LINGER: Duration = Duration::from_millis(50);
/// With so many behind, answers wait for the store: whoever asks faster than it takes is slowed down and not refused.
const TOO_FAR: usize = 2_000;
/// A file of which so much is stored is left to be emptied.
const ENOUGH: u64 = 1 << 20;

/// Two files of records that are answered and not yet stored.
#[derive(Debug)]
pub struct Journal(Arc<Mutex<Files>>);

#[derive(Debug)]
struct Files {
    first: Spool,
    second: Spool,
    /// Which of them records are added to.
    to_second: bool,
}

/// What is before this in a file is stored.
#[derive(Debug, Clone, Copy)]
struct Mark {
    in_second: bool,
    end: u64,
}

impl Journal {
    /// Opens the files in `folder`, which no other process may have.
    ///
    /// # Errors
    /// When the folder cannot be made or written to.
    pub fn open(folder: &Path) -> io::Result<Self> {
        // The first to be opened takes over what is left in all of them.
        let first = Spool::open(folder, MOST_BYTES)?.without_sync();
        let second = Spool::open(folder, MOST_BYTES)?.without_sync();
        Ok(Self(Arc::new(Mutex::new(Files { first, second, to_second: false }))))
    }

    /// Adds records, in order. `None`: they are not on the disk, for a reason that is logged.
    async fn append(&self, lines: Vec<u8>) -> Option<Mark> {
        match on_disk(&self.0, move |files| files.append(&lines)).await {
            Ok(Some(mark)) => Some(mark),
            Ok(None) => {
                tracing::error!("the journal of records is full: answers wait for the store");
                None
            }
            Err(error) => {
                tracing::error!(%error, "the journal of records cannot be written: answers wait for the store");
                None
            }
        }
    }

    async fn stored(&self, marks: Vec<Mark>) {
        if let Err(error) = on_disk(&self.0, move |files| files.stored(&marks)).await {
            tracing::error!(%error, "the journal of records cannot be emptied; what is stored twice counts once");
        }
    }

    fn files(&self) -> MutexGuard<'_, Files> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Files {
    fn file(&mut self, second: bool) -> &mut Spool {
        if second { &mut self.second } else { &mut self.first }
    }

    fn append(&mut self, lines: &[u8]) -> io::Result<Option<Mark>> {
        let in_second = self.to_second;
        let file = self.file(in_second);
        Ok(file.append(lines)?.then(|| Mark { in_second, end: file.end() }))
    }

    fn stored(&mut self, marks: &[Mark]) -> io::Result<()> {
        for mark in marks {
            self.file(mark.in_second).stored_up_to(mark.end)?;
        }
        let to_second = self.to_second;
        if self.file(to_second).start() >= ENOUGH && self.file(!to_second).is_empty() {
            self.to_second = !to_second;
        }
        Ok(())
    }
}

/// A record, or a question that is answered once all before it is stored.
enum Waiting {
    Record {
        record: Box<OperationRecord>,
        at: Timestamp,
        mark: Option<Mark>,
        /// Whoever could not be answered from the disk.
        done: Option<oneshot::Sender<()>>,
    },
    Question(Item),
}

/// What is stored, or answered, in one go.
#[derive(Default)]
struct Batch {
    records: Vec<OperationRecord>,
    oldest: Option<Timestamp>,
    marks: Vec<Mark>,
    done: Vec<oneshot::Sender<()>>,
    question: Option<Item>,
}

/// What is behind the answers, in order.
#[derive(Default)]
struct Behind {
    waiting: VecDeque<(Waiting, Option<Instant>)>,
    /// How many of them somebody waits for.
    urgent: usize,
    /// What the store did not take, when it is tried again, and after which pause.
    again: Option<(Batch, Instant, Duration)>,
    /// The oldest record that is being stored.
    under_way: Option<Timestamp>,
}

impl Behind {
    fn push(&mut self, waiting: Waiting, now: Instant) {
        let is_urgent = match &waiting {
            Waiting::Record { done, .. } => done.is_some(),
            Waiting::Question(_) => true,
        };
        self.urgent += usize::from(is_urgent);
        self.waiting.push_back((waiting, now.checked_add(LINGER)));
    }

    /// When the next batch is due, where nobody waits for it.
    fn due(&self) -> Option<Instant> {
        match &self.again {
            Some((_, at, _)) => Some(*at),
            None => self.waiting.front().and_then(|(_, due)| *due),
        }
    }

    /// What is to be stored now, and the pause that went before if it was tried already.
    fn next(&mut self, now: Instant, is_last: bool) -> Option<(Batch, Duration)> {
        let in_a_hurry = is_last || self.urgent > 0 || self.waiting.len() >= MOST_AT_ONCE;
        let is_due = self.due().is_some_and(|due| due <= now);
        if !(is_due || (self.again.is_none() && in_a_hurry)) {
            return None;
        }
        let (batch, pause) = match self.again.take() {
            Some((batch, _, pause)) => (batch, pause),
            None => (self.take(), Duration::ZERO),
        };
        self.under_way = batch.oldest;
        (!batch.records.is_empty() || batch.question.is_some()).then_some((batch, pause))
    }

    fn take(&mut self) -> Batch {
        let mut batch = Batch::default();
        while batch.records.len() < MOST_AT_ONCE {
            match self.waiting.pop_front() {
                Some((Waiting::Record { record, at, mark, done }, _)) => {
                    self.urgent -= usize::from(done.is_some());
                    batch.oldest.get_or_insert(at);
                    batch.records.push(*record);
                    batch.marks.extend(mark);
                    batch.done.extend(done);
                }
                Some((Waiting::Question(item), due)) if !batch.records.is_empty() => {
                    self.waiting.push_front((Waiting::Question(item), due));
                    break;
                }
                Some((Waiting::Question(item), _)) => {
                    self.urgent -= 1;
                    batch.question = Some(item);
                    break;
                }
                None => break,
            }
        }
        batch
    }

    /// The store is away: nobody's question can be answered.
    fn turn_away(&mut self) -> usize {
        let before = self.waiting.len();
        let all = std::mem::take(&mut self.waiting);
        for (waiting, due) in all {
            match waiting {
                Waiting::Question(item) => {
                    self.urgent -= 1;
                    refuse(item);
                }
                record @ Waiting::Record { .. } => self.waiting.push_back((record, due)),
            }
        }
        before - self.waiting.len()
    }

    fn oldest(&self) -> Option<Timestamp> {
        let again = self.again.as_ref().and_then(|(batch, ..)| batch.oldest);
        let waiting = self.waiting.iter().find_map(|(waiting, _)| match waiting {
            Waiting::Record { at, .. } => Some(*at),
            Waiting::Question(_) => None,
        });
        self.under_way.or(again).or(waiting)
    }

    fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.again.is_none()
    }
}

fn refuse(item: Item) {
    match item {
        // Whoever asked may have left.
        Item::Spend(_, _, answer) => _ = answer.send(Err(waits_on_disk())),
        Item::NextEpoch(_, answer) => _ = answer.send(Err(waits_on_disk())),
        Item::Flush(_) | Item::Record(..) => {}
    }
}

type Storing<'a> = Pin<Box<dyn Future<Output = (Batch, Result<(), PortError>)> + Send + 'a>>;

impl Recorder {
    /// Stores what an ended process left in its journal.
    ///
    /// # Errors
    /// The store's. What is left is tried again by [`Self::run`], before all else.
    pub async fn recover(&self) -> Result<(), PortError> {
        let Some(journal) = &self.journal else { return Ok(()) };
        let mut count = 0;
        loop {
            if journal.files().first.is_empty() {
                break;
            }
            let read = on_disk(&journal.0, |files| files.first.oldest(MOST_AT_ONCE)).await;
            let (records, next) = read.map_err(|error| PortError::Unavailable(error.into()))?;
            if !records.is_empty() {
                self.store_once(&records).await?;
            }
            count += records.len();
            journal.stored(vec![Mark { in_second: false, end: next }]).await;
        }
        if count > 0 {
            tracing::info!(count, "records that were answered before the process died are stored");
        }
        Ok(())
    }

    /// Waits until all that was handed over before is in the store, or known not to get there now.
    pub async fn caught_up(&self) {
        if self.journal.is_some() {
            // A store that is away says so itself when it is asked.
            _ = tokio::time::timeout(STORE_PATIENCE, self.flush()).await;
        }
    }

    /// As [`Self::run`].
    pub(super) async fn run_behind(&self, journal: &Journal, mut stop: watch::Receiver<bool>) {
        while let Err(error) = self.recover().await {
            if *stop.borrow() {
                tracing::error!(%error, "the store is away at the end: what still waits for it in memory is lost");
                return;
            }
            tracing::warn!(%error, "records that an ended process left wait: the store is away");
            tokio::time::sleep(LONGEST_PAUSE).await;
        }
        let mut behind = Behind::default();
        let mut storing: Option<(Storing<'_>, Duration)> = None;
        loop {
            let group = self.drain();
            if !group.is_empty() {
                self.keep(journal, group, &mut behind).await;
            }
            let is_last = *stop.borrow();
            let now = self.clock.instant();
            if storing.is_none()
                && let Some((batch, pause)) = behind.next(now, is_last)
            {
                storing = Some((Box::pin(self.store_batch(journal, batch)), pause));
            }
            self.since().under_way = behind.oldest();
            self.measure();
            if is_last && storing.is_none() && behind.is_empty() && self.is_idle() {
                return;
            }
            let nap = behind.due().map_or(Duration::from_secs(3600), |due| due.saturating_duration_since(now));
            tokio::select! {
                biased;
                (done, pause) = stored(&mut storing), if storing.is_some() => {
                    storing = None;
                    if !self.is_stored(done, pause, &mut behind) && is_last {
                        tracing::warn!("the store is away at the end: what waits on disk is stored at the next start");
                        return;
                    }
                }
                () = std::future::ready(()), if !self.is_idle() => {}
                () = self.filled.notified() => {}
                () = tokio::time::sleep(nap), if storing.is_none() => {}
                changed = stop.changed(), if !is_last => if changed.is_err() { return },
            }
        }
    }

    /// Whether nothing was handed over since the last look.
    fn is_idle(&self) -> bool {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Puts a group's records on disk and answers who waits for them.
    async fn keep(&self, journal: &Journal, group: Vec<Item>, behind: &mut Behind) {
        let records = group.iter().filter_map(|item| match item {
            Item::Record(record, ..) => Some(&**record),
            Item::Spend(..) | Item::NextEpoch(..) | Item::Flush(_) => None,
        });
        let kept = match lines(records) {
            Ok(lines) if lines.is_empty() => None,
            Ok(lines) => journal.append(lines).await,
            Err(error) => {
                tracing::error!(%error, "records have no form for the disk: answers wait for the store");
                None
            }
        };
        let is_too_far = behind.waiting.len() >= TOO_FAR;
        let now = self.clock.instant();
        let mut left = group.iter().filter(|item| matches!(item, Item::Record(..))).count();
        for item in group {
            match item {
                Item::Record(record, at, done) => {
                    left -= 1;
                    let mark = kept.filter(|_| left == 0);
                    let done = if kept.is_some() && !is_too_far {
                        // Whoever waited may have gone.
                        _ = done.send(());
                        None
                    } else {
                        Some(done)
                    };
                    behind.push(Waiting::Record { record, at, mark, done }, now);
                }
                question => behind.push(Waiting::Question(question), now),
            }
        }
    }

    async fn store_batch(&self, journal: &Journal, mut batch: Batch) -> (Batch, Result<(), PortError>) {
        match batch.question.take() {
            Some(Item::Spend(key, window, answer)) => {
                let spends = self.sink.spend(&[(key, window)]).await;
                // Whoever asked may have left; so below.
                _ = answer.send(spends.map(|spends| spends.first().copied().unwrap_or_default()));
            }
            Some(Item::NextEpoch(key, answer)) => _ = answer.send(self.sink.next_epoch(key).await),
            Some(Item::Flush(done)) => _ = done.send(()),
            Some(Item::Record(..)) | None => {
                if let Err(error) = self.store_once(&batch.records).await {
                    return (batch, Err(error));
                }
                journal.stored(std::mem::take(&mut batch.marks)).await;
            }
        }
        (batch, Ok(()))
    }

    /// Answers whether the batch is dealt with; else it is tried again later.
    fn is_stored(
        &self,
        (batch, outcome): (Batch, Result<(), PortError>),
        pause: Duration,
        behind: &mut Behind,
    ) -> bool {
        behind.under_way = None;
        let count = match outcome {
            Ok(()) => {
                let count = batch.records.len().max(1);
                batch.done.into_iter().for_each(|done| _ = done.send(()));
                count
            }
            Err(error) => {
                tracing::warn!(%error, records = batch.records.len(), "records of requests wait: the store is away");
                let pause = (pause * 2).clamp(FIRST_PAUSE, LONGEST_PAUSE);
                behind.again = Some((batch, self.clock.instant() + pause, pause));
                let turned_away = behind.turn_away();
                self.waiting.fetch_sub(turned_away, Ordering::Relaxed);
                return false;
            }
        };
        self.waiting.fetch_sub(count, Ordering::Relaxed);
        true
    }
}

/// What is under way, once it is done.
async fn stored(storing: &mut Option<(Storing<'_>, Duration)>) -> ((Batch, Result<(), PortError>), Duration) {
    match storing {
        Some((storing, pause)) => (storing.await, *pause),
        None => std::future::pending().await,
    }
}
