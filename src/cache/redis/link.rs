//! The cache's own connection to Redis: none waits for the counters of limits, and these wait for none of it.

use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use ::redis::aio::MultiplexedConnection;
use ::redis::{AsyncConnectionConfig, RedisError};
use tokio::sync::Notify;

use crate::domain::secret::SecretString;
use crate::fault::{Fault, Kind, Outcome};
use crate::ledger::redis::Source;

/// Who asks waits no longer than this.
const PATIENCE: Duration = Duration::from_millis(100);
const CONNECT_PATIENCE: Duration = Duration::from_secs(1);
/// Between two signs of life.
const LOOK_EVERY: Duration = Duration::from_millis(500);

const PRELUDE: &str = include_str!("scripts/prelude.lua");

/// A step that Redis takes as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Keeps an entry.
    Put,
    /// Removes entries by name.
    Drop,
    /// Begins the next generation.
    Forget,
}

/// Redis, as configured.
pub(super) struct Link {
    source: Source,
    prefix: String,
    connection: RwLock<Option<MultiplexedConnection>>,
    /// Wakes [`Self::run`].
    lost: Notify,
}

impl Link {
    pub(super) fn new(url: &SecretString, prefix: &str) -> Outcome<Self> {
        let source =
            Source::of(url).ok_or_else(|| Fault::new(Kind::Unavailable).say("REDIS_URL is not a Redis URL."))?;
        Ok(Self { source, prefix: prefix.to_owned(), connection: RwLock::default(), lost: Notify::new() })
    }

    /// Connects, looks whether it still is, and connects anew when it is not.
    pub(super) async fn run(&self) {
        let mut was_up = None;
        loop {
            let is_up = match self.connected() {
                Ok(mut connection) => {
                    self.within(::redis::cmd("PING").query_async::<()>(&mut connection)).await.is_ok()
                }
                Err(_) => match self.open().await {
                    Ok(connection) => {
                        self.set(Some(connection));
                        true
                    }
                    Err(_) => false,
                },
            };
            if was_up.replace(is_up) != Some(is_up) {
                if is_up {
                    tracing::info!("answers are cached in Redis");
                } else {
                    tracing::warn!("the response cache in Redis cannot be reached: requests pass it by");
                }
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK_EVERY) => {}
                () = self.lost.notified() => tokio::time::sleep(LOOK_EVERY / 10).await,
            }
        }
    }

    /// The generation, and the entry of this name.
    pub(super) async fn find(&self, name: &str) -> Result<(i64, Option<Vec<u8>>), RedisError> {
        let mut connection = self.connected()?;
        let mut command = ::redis::cmd("MGET");
        command.arg(format!("{}g", self.prefix)).arg(format!("{}e:{name}", self.prefix));
        let found = self.within(command.query_async::<(Option<i64>, Option<Vec<u8>>)>(&mut connection)).await?;
        Ok((found.0.unwrap_or_default(), found.1))
    }

    /// Takes a step. What it answers is a number.
    pub(super) async fn call(&self, step: Step, arguments: Vec<Vec<u8>>) -> Result<i64, RedisError> {
        let mut connection = self.connected()?;
        let step = match step {
            Step::Put => include_str!("scripts/put.lua"),
            Step::Drop => include_str!("scripts/drop.lua"),
            Step::Forget => include_str!("scripts/forget.lua"),
        };
        // Redis knows a script that it has seen before; sent in full, it is never missing.
        let mut call = ::redis::cmd("EVAL");
        call.arg(format!("{PRELUDE}\n{step}")).arg(1).arg(&self.prefix).arg(arguments);
        self.within(call.query_async(&mut connection)).await
    }

    /// Some of the index: the next cursor, names, and what is said of them.
    pub(super) async fn scan(&self, cursor: u64, count: u32) -> Result<(u64, Vec<(String, String)>), RedisError> {
        let mut connection = self.connected()?;
        let mut command = ::redis::cmd("HSCAN");
        command.arg(format!("{}m", self.prefix)).arg(cursor).arg("COUNT").arg(count);
        self.within(command.query_async(&mut connection)).await
    }

    fn connected(&self) -> Result<MultiplexedConnection, RedisError> {
        self.connection.read().unwrap_or_else(PoisonError::into_inner).clone().ok_or_else(silent)
    }

    /// A server that is slow is taken to be away, or everyone would wait for it.
    async fn within<T>(&self, call: impl Future<Output = Result<T, RedisError>>) -> Result<T, RedisError> {
        let answer = tokio::time::timeout(PATIENCE, call).await.unwrap_or_else(|_| Err(silent()));
        if let Err(error) = &answer
            && (error.is_io_error() || error.is_timeout() || error.is_unrecoverable_error())
        {
            self.set(None);
            self.lost.notify_one();
        }
        answer
    }

    async fn open(&self) -> Result<MultiplexedConnection, RedisError> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_PATIENCE))
            .set_response_timeout(Some(CONNECT_PATIENCE));
        let opening = async {
            let mut connection = self.source.connect(&config).await?;
            ::redis::cmd("PING").query_async::<()>(&mut connection).await?;
            Ok(connection)
        };
        tokio::time::timeout(CONNECT_PATIENCE, opening).await.unwrap_or_else(|_| Err(silent()))
    }

    fn set(&self, connection: Option<MultiplexedConnection>) {
        *self.connection.write().unwrap_or_else(PoisonError::into_inner) = connection;
    }
}

fn silent() -> RedisError {
    RedisError::from(std::io::Error::new(std::io::ErrorKind::TimedOut, "no answer in time"))
}
