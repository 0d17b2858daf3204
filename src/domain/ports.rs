//! Ports: what one room needs of another that it must not know. Backends implement them and the app wires them.

use std::time::Duration;

use async_trait::async_trait;

use super::ids::{DeploymentId, Revision, VirtualKeyId};
use super::record::OperationRecord;
use super::response_state::{ResponseId, ResponseState, StateScope};
use super::window::Window;
use crate::time::Timestamp;

/// What is behind a port failed.
#[derive(Debug, thiserror::Error)]
pub enum PortError {
    /// Not now; the same call may succeed later.
    #[error("not reachable now: {0}")]
    Unavailable(Box<dyn std::error::Error + Send + Sync>),
    /// Not ever, as it was put.
    #[error("refused: {0}")]
    Refused(Box<dyn std::error::Error + Send + Sync>),
}

/// What a key has spent in one window, of its newest epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StoredSpend {
    /// Starts at 0; one higher with every reset.
    pub epoch: i64,
    /// Nano-cents.
    pub spent: i64,
}

/// Where the records of finished requests go, and spending with them.
#[async_trait]
pub trait UsageSink: Send + Sync {
    /// Stores records, those that are there already excepted, and adds the charges of those really stored. All or none.
    ///
    /// # Errors
    /// [`PortError`]; nothing was stored.
    async fn record(&self, records: &[OperationRecord]) -> Result<(), PortError>;

    /// Puts a record aside that can never be stored.
    ///
    /// # Errors
    /// [`PortError`].
    async fn put_aside(&self, record: &OperationRecord, reason: &str) -> Result<(), PortError>;

    /// What each of the keys has spent in its window, in order.
    ///
    /// # Errors
    /// [`PortError`].
    async fn spend(&self, keys: &[(VirtualKeyId, Window)]) -> Result<Vec<StoredSpend>, PortError>;

    /// Starts the key's next epoch, in which nothing is spent. Answers its number.
    ///
    /// # Errors
    /// [`PortError`].
    async fn next_epoch(&self, key: VirtualKeyId) -> Result<i64, PortError>;

    /// Makes room ahead for operations that begin within a range of time, milliseconds since the Unix epoch, where the
    /// store needs room; else the first record of a day would make it.
    ///
    /// # Errors
    /// [`PortError`].
    async fn make_room(&self, from_ms: i64, to_ms: i64) -> Result<(), PortError> {
        _ = (from_ms, to_ms);
        Ok(())
    }

    /// Forgets operations that began before a moment, milliseconds since the Unix epoch.
    ///
    /// # Errors
    /// [`PortError`].
    async fn forget_before(&self, moment_ms: i64) -> Result<(), PortError>;
}

/// Most items of one response that can be found by their own id.
pub const MAX_INDEXED_ITEMS: usize = 1024;
/// Longest id of an item that can be found by it, in bytes.
pub const MAX_ITEM_ID_BYTES: usize = 256;

/// Where stored responses are kept.
#[async_trait]
pub trait ResponseStates: Send + Sync {
    /// Whether it can be reached: one cheap question.
    ///
    /// # Errors
    /// [`PortError`] when not.
    async fn ping(&self) -> Result<(), PortError>;

    /// Keeps a response, and notes under which ids its items are found: at most [`MAX_INDEXED_ITEMS`], each of at most
    /// [`MAX_ITEM_ID_BYTES`]. An id that another response of the scope had is this one's from now on. It is durable when
    /// this returns.
    ///
    /// # Errors
    /// [`PortError`]; then nothing of it is kept.
    async fn save(&self, state: &ResponseState, item_ids: &[String]) -> Result<(), PortError>;

    /// A response of a scope that has not expired at `now`.
    ///
    /// # Errors
    /// [`PortError`].
    async fn find(&self, scope: StateScope, id: ResponseId, now: Timestamp)
    -> Result<Option<ResponseState>, PortError>;

    /// Which response of a scope an item belongs to.
    ///
    /// # Errors
    /// [`PortError`].
    async fn find_item(&self, scope: StateScope, item_id: &str) -> Result<Option<ResponseId>, PortError>;

    /// Deletes a response of a scope that has not expired at `now`, and answers whether there was one.
    ///
    /// # Errors
    /// [`PortError`].
    async fn delete(&self, scope: StateScope, id: ResponseId, now: Timestamp) -> Result<bool, PortError>;
}

/// What a replica learned of how deployments do, for the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HealthNews {
    /// The circuit of a deployment is open, or it is quarantined.
    Opened {
        /// The deployment.
        deployment: DeploymentId,
        /// As it was then; a changed one starts afresh.
        revision: Revision,
        /// For so long.
        wait: Duration,
        /// How often the circuit has opened since the last whole answer.
        openings: u32,
    },
    /// The circuit of a deployment is closed again.
    Closed {
        /// The deployment.
        deployment: DeploymentId,
        /// As it was then.
        revision: Revision,
    },
    /// The provider of an upstream model asked to wait.
    Throttled {
        /// The upstream model at its account.
        account: [u8; 16],
        /// For so long.
        wait: Duration,
    },
}

/// Carries news of health between replicas. Beside requests, never in their way.
pub trait SharedHealth: Send + Sync {
    /// Whether the others can be reached. While not, each replica is on its own.
    fn is_up(&self) -> bool;

    /// Tells the others. Does not wait; what cannot be told now is lost, and each replica learns it by itself.
    fn tell(&self, news: HealthNews);
}

/// A circuit whose cooldown is over, and that nobody tries yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HalfOpen {
    /// The deployment.
    pub deployment: DeploymentId,
    /// As it is now.
    pub revision: Revision,
    /// How long one replica may take to try it.
    pub lease: Duration,
}

/// Who hears the news of the others.
pub trait HearHealth: Send + Sync {
    /// Takes note.
    fn hear(&self, news: HealthNews);

    /// Circuits that wait for one replica to try them.
    fn half_open(&self) -> Vec<HalfOpen>;

    /// Says who tries a circuit: this replica, or another until `lease` is over.
    fn settle_probe(&self, half_open: HalfOpen, is_ours: bool);

    /// Whether this replica was to try a circuit and has no request that does.
    fn is_idle(&self, half_open: HalfOpen) -> bool;

    /// What is open and throttled now, for those who come later.
    fn all(&self) -> Vec<HealthNews>;
}
