//! Where Redis is: a server, or a name that Sentinels know the server of.
//!
//! `redis+sentinel://user:password@host:26379/name/database` names the Sentinel that is asked first; `?sentinel=host:port`,
//! as often as need be, the others. User and password are those of the server; the Sentinels' own are
//! `sentinelUser` and `sentinelPassword`. With `rediss+sentinel` both are spoken to over TLS.

use ::redis::aio::MultiplexedConnection;
use ::redis::sentinel::{SentinelClient, SentinelClientBuilder, SentinelServerType};
use ::redis::{AsyncConnectionConfig, Client, ConnectionAddr, IntoConnectionInfo, RedisError, TlsMode};
use url::Url;

use crate::domain::secret::{ExposeSecret, SecretString};

/// Sentinels listen there unless told otherwise.
const SENTINEL_PORT: u16 = 26_379;

/// Where Redis is.
pub enum Source {
    /// At one address.
    Server(Box<Client>),
    /// Where the Sentinels say; they are asked anew for each connection.
    Watched(Box<tokio::sync::Mutex<SentinelClient>>),
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Source")
    }
}

impl Source {
    /// Reads a URL. `None`: it is not understood.
    #[must_use]
    pub fn of(url: &SecretString) -> Option<Self> {
        let parsed = Url::parse(url.expose_secret()).ok()?;
        match parsed.scheme() {
            "redis+sentinel" => watched(&parsed, false),
            "rediss+sentinel" => watched(&parsed, true),
            _ => Client::open(url.expose_secret()).ok().map(|client| Self::Server(Box::new(client))),
        }
    }

    /// Connects.
    ///
    /// # Errors
    /// Redis's own.
    pub async fn connect(&self, config: &AsyncConnectionConfig) -> Result<MultiplexedConnection, RedisError> {
        self.client().await?.get_multiplexed_async_connection_with_config(config).await
    }

    /// What connects to the server, wherever it is now.
    ///
    /// # Errors
    /// Redis's own, where no Sentinel tells.
    pub async fn client(&self) -> Result<Client, RedisError> {
        match self {
            Self::Server(client) => Ok(client.as_ref().clone()),
            Self::Watched(client) => client.lock().await.async_get_client().await,
        }
    }
}

fn watched(url: &Url, is_tls: bool) -> Option<Source> {
    let mut path = url.path_segments()?;
    let (name, database) = (path.next().filter(|name| !name.is_empty())?, path.next().unwrap_or("0"));
    let others =
        url.query_pairs().filter(|(name, _)| name == "sentinel").map(|(_, at)| Url::parse(&format!("redis://{at}")));
    let all = std::iter::once(Ok(url.clone())).chain(others);
    let addresses: Option<Vec<ConnectionAddr>> = all.map(|url| address(&url.ok()?, is_tls)).collect();
    let mut builder = SentinelClientBuilder::new(addresses?, name, SentinelServerType::Master).ok()?;

    // The words before the `@` are read as they are for a server.
    let mut server = url.clone();
    server.set_scheme("redis").ok()?;
    server.set_path(database);
    server.set_query(None);
    let server = server.as_str().into_connection_info().ok()?;
    let server = server.redis_settings();
    builder = builder.set_client_to_redis_db(server.db());
    if let Some(user) = server.username() {
        builder = builder.set_client_to_redis_username(user);
    }
    if let Some(password) = server.password() {
        builder = builder.set_client_to_redis_password(password);
    }
    for (name, value) in url.query_pairs() {
        builder = match &*name {
            "sentinel" => builder,
            "sentinelUser" => builder.set_client_to_sentinel_username(value),
            "sentinelPassword" => builder.set_client_to_sentinel_password(value),
            _ => return None,
        };
    }
    if is_tls {
        builder =
            builder.set_client_to_redis_tls_mode(TlsMode::Secure).set_client_to_sentinel_tls_mode(TlsMode::Secure);
    }
    builder.build().ok().map(|client| Source::Watched(Box::new(tokio::sync::Mutex::new(client))))
}

fn address(url: &Url, is_tls: bool) -> Option<ConnectionAddr> {
    let (host, port) = (url.host_str()?.to_owned(), url.port().unwrap_or(SENTINEL_PORT));
    Some(if is_tls {
        ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None }
    } else {
        ConnectionAddr::Tcp(host, port)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_lead_to_a_server_or_to_sentinels() {
        for (url, is_watched) in [
            ("redis://localhost", Some(false)),
            ("rediss://user:p%40ss@redis.example:6380/3", Some(false)),
            ("redis+sentinel://localhost/main", Some(true)),
            ("redis+sentinel://user:p%40ss@a:1/main/3?sentinel=b:2&sentinel=c&sentinelPassword=x", Some(true)),
            ("rediss+sentinel://a/main", Some(true)),
            ("redis+sentinel://localhost", None),
            ("redis+sentinel://localhost/main/not-a-number", None),
            ("redis+sentinel://localhost/main?sentinels=b", None),
            ("http://localhost", None),
        ] {
            let source = Source::of(&url.into()).map(|source| matches!(source, Source::Watched(_)));
            assert_eq!(source, is_watched, "{url}");
        }
    }
}
