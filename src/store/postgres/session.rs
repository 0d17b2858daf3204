//! One session per replica: it listens for changes and holds the replica's place at the database.
//!
//! The place is a session advisory lock, shared by replicas that count together and exclusive to one that counts alone,
//! so that a budget is never kept by two that do not know of each other. A session that does not answer is replaced.

use std::time::Duration;

use sqlx::Executor;
use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use tokio::sync::watch;
use tokio::time::timeout;

use super::CHANNEL;
use super::open::CONNECT;

const PING_EVERY: Duration = Duration::from_secs(5);
/// A session that is silent for so long after a question is replaced.
const PING_PATIENCE: Duration = Duration::from_secs(2);
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// A place that is taken is asked for again after this.
const PLACE_EVERY: Duration = Duration::from_secs(1);

const TAKE_ALONE: &str = "SELECT pg_try_advisory_lock(hashtext('unified-gateway'), hashtext('place'))";
const TAKE_SHARED: &str = "SELECT pg_try_advisory_lock_shared(hashtext('unified-gateway'), hashtext('place'))";

/// Who else may serve this database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sharing {
    /// Nobody: this replica counts in its own memory.
    Sole,
    /// Replicas that count together.
    Shared,
}

/// What is known of the session.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SessionState {
    /// It listens: a change is heard of at once.
    pub is_listening: bool,
    /// It holds this replica's place. Lost only with the session; kept in mind while there is none.
    pub has_place: bool,
    /// How often there was reason to look for changes: a notification, or a new session that may have missed some.
    pub wakeups: u64,
}

/// One session, replaced whenever it fails.
#[derive(Debug)]
pub struct Session {
    options: PgConnectOptions,
    sharing: Sharing,
}

impl Session {
    pub(super) fn new(options: PgConnectOptions, sharing: Sharing) -> Self {
        // Nothing is prepared on it twice.
        Self { options: options.statement_cache_capacity(0), sharing }
    }

    /// Listens and tells, for as long as it is polled.
    pub async fn run(self, states: watch::Sender<SessionState>) {
        let mut pause = FIRST_PAUSE;
        loop {
            let Err(error) = self.listen(&states, &mut pause).await;
            let was_listening = states.send_if_modified(|state| std::mem::replace(&mut state.is_listening, false));
            if was_listening {
                tracing::warn!(%error, "the session that listens for changes is lost; a new one is made");
            } else {
                tracing::debug!(%error, "no session to listen for changes with");
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// One session, until it fails.
    async fn listen(
        &self,
        states: &watch::Sender<SessionState>,
        pause: &mut Duration,
    ) -> Result<std::convert::Infallible, sqlx::Error> {
        // A pool of its own: a session that hangs must not stand in the way of the next.
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .acquire_timeout(CONNECT)
            .max_lifetime(None)
            .idle_timeout(None)
            .connect_lazy_with(self.options.clone());
        let mut listener = bounded(CONNECT, PgListener::connect_with(&pool)).await?;
        listener.eager_reconnect(false);
        bounded(PING_PATIENCE, listener.listen(CHANNEL)).await?;
        let mut has_place = false;
        *pause = FIRST_PAUSE;
        loop {
            if !has_place {
                has_place = bounded(PING_PATIENCE, self.take_place(&mut listener)).await?;
            }
            states.send_modify(|state| {
                *state = SessionState { is_listening: true, has_place, wakeups: state.wakeups + 1 };
            });
            let quiet = if has_place { PING_EVERY } else { PLACE_EVERY };
            // A burst is one reason to look.
            match timeout(quiet, listener.try_recv()).await {
                Ok(Ok(Some(_))) => while listener.next_buffered().is_some() {},
                Ok(Ok(None)) => return Err(std::io::Error::from(std::io::ErrorKind::ConnectionAborted).into()),
                Ok(Err(error)) => return Err(error),
                Err(_) => {
                    bounded(PING_PATIENCE, listener.execute("SELECT 1")).await?;
                }
            }
        }
    }

    async fn take_place(&self, listener: &mut PgListener) -> Result<bool, sqlx::Error> {
        let sql = match self.sharing {
            Sharing::Sole => TAKE_ALONE,
            Sharing::Shared => TAKE_SHARED,
        };
        sqlx::query_scalar(sql).fetch_one(listener).await
    }
}

async fn bounded<T>(within: Duration, call: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, sqlx::Error> {
    let silent = |_| Err(sqlx::Error::Io(std::io::Error::from(std::io::ErrorKind::TimedOut)));
    timeout(within, call).await.unwrap_or_else(silent)
}
