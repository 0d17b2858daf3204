//! The connection to Redis, tested once a second.

use std::time::Duration;

use ::redis::aio::{ConnectionManager, ConnectionManagerConfig};
use ::redis::{Client, ErrorKind, RedisError};
use tokio::sync::watch;

use crate::domain::secret::{ExposeSecret, SecretString};
use crate::fault::{Fault, Kind, Outcome};

const PING_EVERY: Duration = Duration::from_secs(1);
/// Redis answers within a millisecond or so; what takes longer than this counts as down.
const PATIENCE: Duration = Duration::from_secs(1);

/// Redis, as configured.
pub struct RedisLink {
    client: Client,
}

impl std::fmt::Debug for RedisLink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RedisLink")
    }
}

impl RedisLink {
    /// Reads the URL. Connects to nothing yet.
    ///
    /// # Errors
    /// `Unavailable` when the URL is not understood; it is not repeated, for it may hold a password.
    pub fn new(url: &SecretString) -> Outcome<Self> {
        let client = Client::open(url.expose_secret())
            .map_err(|_| Fault::new(Kind::Unavailable).say("REDIS_URL is not a Redis URL."))?;
        Ok(Self { client })
    }

    /// Keeps a connection and tells whether it works, until it is dropped.
    pub async fn watch(self, is_up: watch::Sender<bool>) {
        loop {
            match self.connect().await {
                Ok(connection) => {
                    let error = ping_until_it_fails(connection, &is_up).await;
                    tell(&is_up, Err(&error));
                }
                Err(error) => tell(&is_up, Err(&error)),
            }
            tokio::time::sleep(PING_EVERY).await;
        }
    }

    async fn connect(&self) -> Result<ConnectionManager, RedisError> {
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(PATIENCE))
            .set_number_of_retries(0);
        within(ConnectionManager::new_with_config(self.client.clone(), config)).await
    }
}

async fn ping_until_it_fails(mut connection: ConnectionManager, is_up: &watch::Sender<bool>) -> RedisError {
    loop {
        match within(::redis::cmd("PING").query_async::<()>(&mut connection)).await {
            Ok(()) => tell(is_up, Ok(())),
            Err(error) => return error,
        }
        tokio::time::sleep(PING_EVERY).await;
    }
}

async fn within<T>(call: impl Future<Output = Result<T, RedisError>>) -> Result<T, RedisError> {
    let silent = || RedisError::from((ErrorKind::Io, "no answer in time"));
    tokio::time::timeout(PATIENCE, call).await.unwrap_or_else(|_| Err(silent()))
}

/// Notes the state; logs it when it changes.
fn tell(is_up: &watch::Sender<bool>, state: Result<(), &RedisError>) {
    let changed = is_up.send_if_modified(|is_up| std::mem::replace(is_up, state.is_ok()) != state.is_ok());
    match state {
        Ok(()) if changed => tracing::info!("Redis answers"),
        // The error's own words can hold the address, never the password.
        Err(error) if changed => tracing::warn!(%error, "Redis cannot be reached"),
        Ok(()) | Err(_) => {}
    }
}
