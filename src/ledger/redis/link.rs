//! The connection to Redis, and the scripts on the server.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use ::redis::aio::MultiplexedConnection;
use ::redis::{AsyncConnectionConfig, ErrorKind, Pipeline, RedisError, ServerErrorKind};

use super::check::{CLUSTER, Finding, examine, is_cluster};
use super::source::Source;
use crate::domain::secret::SecretString;
use crate::fault::{Fault, Kind, Outcome};

/// Redis answers within a millisecond or so; who waits for it waits no longer than this.
pub(super) const PATIENCE: Duration = Duration::from_millis(250);
const CONNECT_PATIENCE: Duration = Duration::from_secs(1);

const PRELUDE: &str = include_str!("scripts/prelude.lua");

/// A step of the ledger: one script, which Redis runs as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Step {
    Admit,
    TopUp,
    Close,
    Settle,
    Seed,
    Restore,
    Recall,
    Beat,
    Reap,
    Kept,
    Usage,
    Reset,
}

impl Step {
    const ALL: [Self; 12] = [
        Self::Admit,
        Self::TopUp,
        Self::Close,
        Self::Settle,
        Self::Seed,
        Self::Restore,
        Self::Recall,
        Self::Beat,
        Self::Reap,
        Self::Kept,
        Self::Usage,
        Self::Reset,
    ];

    fn code(self) -> String {
        let step = match self {
            Self::Admit => include_str!("scripts/admit.lua"),
            Self::TopUp => include_str!("scripts/top_up.lua"),
            Self::Close => include_str!("scripts/close.lua"),
            Self::Settle => include_str!("scripts/settle.lua"),
            Self::Seed => include_str!("scripts/seed.lua"),
            Self::Restore => include_str!("scripts/restore.lua"),
            Self::Recall => include_str!("scripts/recall.lua"),
            Self::Beat => include_str!("scripts/beat.lua"),
            Self::Reap => include_str!("scripts/reap.lua"),
            Self::Kept => include_str!("scripts/kept.lua"),
            Self::Usage => include_str!("scripts/usage.lua"),
            Self::Reset => include_str!("scripts/reset.lua"),
        };
        format!("{PRELUDE}\n{step}")
    }
}

/// Redis, as configured.
pub struct RedisLink {
    source: Source,
    /// Whether the log has been told of its settings.
    is_examined: AtomicBool,
    prefix: String,
    wire: RwLock<Option<Wire>>,
}

/// A connection, and the names of the scripts on its server.
#[derive(Clone)]
struct Wire {
    connection: MultiplexedConnection,
    names: Arc<HashMap<Step, String>>,
}

impl std::fmt::Debug for RedisLink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RedisLink")
    }
}

impl RedisLink {
    /// Reads the URL. Connects to nothing yet. All keys begin with `prefix`, which has a hash tag (`{…}`).
    ///
    /// # Errors
    /// `Unavailable` when the URL is not understood; it is not repeated, for it may hold a password.
    pub fn new(url: &SecretString, prefix: &str) -> Outcome<Self> {
        let source =
            Source::of(url).ok_or_else(|| Fault::new(Kind::Unavailable).say("REDIS_URL is not a Redis URL."))?;
        let is_examined = AtomicBool::default();
        Ok(Self { source, is_examined, prefix: prefix.to_owned(), wire: RwLock::default() })
    }

    /// Asks the server what it is, if it can be reached, and warns of settings with which more is lost than need be.
    ///
    /// # Errors
    /// `Unavailable` when it is a Redis Cluster. A server that cannot be reached is none: it will be asked again.
    pub async fn check(&self) -> Outcome<()> {
        let Ok(mut connection) = self.open().await else { return Ok(()) };
        match self.examine(&mut connection).await {
            Err(error) if is_cluster(&error) => Err(Fault::new(Kind::Unavailable).say(CLUSTER)),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    async fn examine(&self, connection: &mut MultiplexedConnection) -> Result<(), RedisError> {
        let findings = examine(connection).await?;
        if !self.is_examined.swap(true, Ordering::Relaxed) {
            findings.into_iter().for_each(Finding::warn);
        }
        Ok(())
    }

    /// Connects anew and puts the scripts on the server.
    pub(super) async fn connect(&self) -> Result<(), RedisError> {
        let mut connection = self.open().await?;
        self.examine(&mut connection).await?;
        let mut names = HashMap::new();
        for step in Step::ALL {
            let mut load = ::redis::cmd("SCRIPT");
            load.arg("LOAD").arg(step.code());
            names.insert(step, within(load.query_async(&mut connection)).await?);
        }
        self.put(Some(Wire { connection, names: Arc::new(names) }));
        Ok(())
    }

    /// Gives the connection up.
    pub(super) fn disconnect(&self) {
        self.put(None);
    }

    /// Whether there is a connection.
    pub(super) fn is_connected(&self) -> bool {
        self.wire().is_some()
    }

    /// Takes a step.
    pub(super) async fn call(&self, step: Step, arguments: &[String]) -> Result<Vec<String>, RedisError> {
        let Wire { mut connection, names } = self.wire().ok_or_else(silent)?;
        let mut call = ::redis::cmd("EVALSHA");
        call.arg(names.get(&step)).arg(1).arg(&self.prefix).arg(arguments);
        match within(call.query_async(&mut connection)).await {
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                let mut call = ::redis::cmd("EVAL");
                call.arg(step.code()).arg(1).arg(&self.prefix).arg(arguments);
                within(call.query_async(&mut connection)).await
            }
            answer => answer,
        }
    }

    /// Takes a step many times, in one go. None of them answers anything.
    pub(super) async fn call_all(&self, step: Step, calls: &[&[String]]) -> Result<(), RedisError> {
        let Wire { mut connection, names } = self.wire().ok_or_else(silent)?;
        let mut pipeline = Pipeline::with_capacity(calls.len());
        for arguments in calls {
            pipeline.cmd("EVALSHA").arg(names.get(&step)).arg(1).arg(&self.prefix).arg(*arguments).ignore();
        }
        match within(pipeline.query_async::<()>(&mut connection)).await {
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                // Every step may be taken twice.
                for arguments in calls {
                    self.call(step, arguments).await?;
                }
                Ok(())
            }
            answer => answer,
        }
    }

    async fn open(&self) -> Result<MultiplexedConnection, RedisError> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_PATIENCE))
            .set_response_timeout(Some(PATIENCE));
        let opening = self.source.connect(&config);
        tokio::time::timeout(CONNECT_PATIENCE, opening).await.unwrap_or_else(|_| Err(silent()))
    }

    fn wire(&self) -> Option<Wire> {
        self.wire.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn put(&self, wire: Option<Wire>) {
        *self.wire.write().unwrap_or_else(PoisonError::into_inner) = wire;
    }
}

pub(super) async fn within<T>(call: impl Future<Output = Result<T, RedisError>>) -> Result<T, RedisError> {
    tokio::time::timeout(PATIENCE, call).await.unwrap_or_else(|_| Err(silent()))
}

fn silent() -> RedisError {
    RedisError::from(std::io::Error::new(std::io::ErrorKind::TimedOut, "no answer in time"))
}
