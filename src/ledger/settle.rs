//! Stores records in groups: while one group is being committed, the next one gathers. Order is kept, so a reader that
//! stands in the same queue sees everything that was settled before it asked.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, oneshot, watch};

use crate::domain::ids::VirtualKeyId;
use crate::domain::ports::{PortError, StoredSpend, UsageSink};
use crate::domain::record::OperationRecord;
use crate::domain::window::Window;

/// Most records of one group.
const GROUP: usize = 500;
/// Records that may wait while the store is away; with more of them no further request is let in.
const BACKLOG: usize = 20_000;
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// What waits for the store, in order.
enum Item {
    Record(Box<OperationRecord>, oneshot::Sender<()>),
    Spend(VirtualKeyId, Window, oneshot::Sender<Result<StoredSpend, PortError>>),
    NextEpoch(VirtualKeyId, oneshot::Sender<Result<i64, PortError>>),
}

/// The queue before the store, and who works it off.
pub struct Recorder {
    sink: Arc<dyn UsageSink>,
    queue: Mutex<VecDeque<Item>>,
    waiting: AtomicUsize,
    filled: Notify,
}

impl std::fmt::Debug for Recorder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recorder").field("waiting", &self.waiting).finish_non_exhaustive()
    }
}

impl Recorder {
    /// Stores into `sink`, once [`Self::run`] runs.
    #[must_use]
    pub fn new(sink: Arc<dyn UsageSink>) -> Self {
        Self { sink, queue: Mutex::default(), waiting: AtomicUsize::new(0), filled: Notify::new() }
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
        self.push(Item::Record(Box::new(record), done));
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

    /// Works the queue off until `stop` is `true`, and then what is left of it, as long as the store takes it.
    pub async fn run(&self, mut stop: watch::Receiver<bool>) {
        loop {
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
                return;
            }
            tokio::select! {
                () = self.filled.notified() => {}
                changed = stop.changed() => if changed.is_err() { return },
            }
        }
    }

    fn push(&self, item: Item) {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).push_back(item);
        self.filled.notify_one();
    }

    fn take(&self) -> Vec<Item> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let count = queue.len().min(GROUP);
        queue.drain(..count).collect()
    }

    /// Answers whether all of the group is dealt with.
    async fn store(&self, group: Vec<Item>, stop: &watch::Receiver<bool>) -> bool {
        let count = group.len();
        let mut is_safe = true;
        let mut records = Vec::new();
        for item in group {
            match item {
                Item::Record(record, done) => records.push((*record, done)),
                Item::Spend(key, window, answer) => {
                    is_safe &= self.store_records(std::mem::take(&mut records), stop).await;
                    let spends = self.sink.spend(&[(key, window)]).await;
                    // Whoever asked may have left.
                    _ = answer.send(spends.map(|spends| spends.first().copied().unwrap_or_default()));
                }
                Item::NextEpoch(key, answer) => {
                    is_safe &= self.store_records(std::mem::take(&mut records), stop).await;
                    _ = answer.send(self.sink.next_epoch(key).await);
                }
            }
        }
        is_safe &= self.store_records(records, stop).await;
        self.waiting.fetch_sub(count, Ordering::Relaxed);
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
        loop {
            let stored = match self.sink.record(records).await {
                Err(PortError::Refused(reason)) => self.one_by_one(records, &reason.to_string()).await,
                stored => stored,
            };
            let Err(error) = stored else { return true };
            if *stop.borrow() {
                tracing::error!(%error, records = records.len(), "records of requests are lost: the store is away");
                return false;
            }
            tracing::warn!(%error, records = records.len(), "records of requests wait: the store is away");
            tokio::time::sleep(pause).await;
            pause = LONGEST_PAUSE.min(pause * 2);
        }
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
