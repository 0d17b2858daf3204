//! What kind of server Redis is, and whether its settings lose more than need be. Asked at every new connection, said once.

use std::collections::HashMap;

use ::redis::aio::MultiplexedConnection;
use ::redis::{ErrorKind, RedisError};

use super::link::within;

/// What the operator of a Redis Cluster is told.
pub(super) const CLUSTER: &str = "REDIS_URL leads to a Redis Cluster, which is not supported; use one server, with \
                                  replicas of it and Sentinels where it has to survive a failure.";

/// What a server is told about at its start, once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Finding {
    /// Neither an append-only file nor snapshots.
    NothingOnDisk,
    /// It may drop counters when memory is short.
    Evicts,
    /// It does not tell.
    Silent,
}

impl Finding {
    /// Says it in the log.
    pub(super) fn warn(self) {
        match self {
            Self::NothingOnDisk => tracing::warn!(
                "Redis keeps nothing on disk (appendonly no, save empty): after its restart spending is read from PostgreSQL \
                 again and what living replicas held is held again, which takes two seconds"
            ),
            Self::Evicts => tracing::warn!(
                "Redis may evict counters of limits when its memory is short; set maxmemory-policy to noeviction"
            ),
            Self::Silent => tracing::warn!(
                "Redis does not tell its settings (CONFIG GET is not allowed): see to it that it keeps an append-only file \
                 and that maxmemory-policy is noeviction"
            ),
        }
    }
}

/// Asks a server what it is.
///
/// # Errors
/// [`is_cluster`] when it is a Redis Cluster; else Redis's own.
pub(super) async fn examine(connection: &mut MultiplexedConnection) -> Result<Vec<Finding>, RedisError> {
    let info: Result<String, _> = within(::redis::cmd("INFO").arg("cluster").query_async(connection)).await;
    match info {
        Ok(info) if info.lines().any(|line| line.trim() == "cluster_enabled:1") => return Err(cluster()),
        Err(error) if !is_forbidden(&error) => return Err(error),
        Ok(_) | Err(_) => {}
    }
    let mut settings = HashMap::new();
    for name in ["appendonly", "save", "maxmemory-policy"] {
        let mut ask = ::redis::cmd("CONFIG");
        let told: Result<HashMap<String, String>, _> = within(ask.arg("GET").arg(name).query_async(connection)).await;
        match told {
            Ok(told) => settings.extend(told),
            Err(error) if is_forbidden(&error) => return Ok(vec![Finding::Silent]),
            Err(error) => return Err(error),
        }
    }
    Ok(findings(&settings))
}

fn findings(settings: &HashMap<String, String>) -> Vec<Finding> {
    let is = |name: &str, value: &str| settings.get(name).is_some_and(|told| told == value);
    let mut findings = Vec::new();
    if is("appendonly", "no") && is("save", "") {
        findings.push(Finding::NothingOnDisk);
    }
    if settings.contains_key("maxmemory-policy") && !is("maxmemory-policy", "noeviction") {
        findings.push(Finding::Evicts);
    }
    findings
}

/// Whether the user may not ask, or a service in front does not know the question.
fn is_forbidden(error: &RedisError) -> bool {
    let text = error.to_string().to_lowercase();
    error.code() == Some("NOPERM") || text.contains("unknown command") || text.contains("not allowed")
}

fn cluster() -> RedisError {
    RedisError::from((ErrorKind::InvalidClientConfig, CLUSTER))
}

/// Whether it is the error of a Redis Cluster.
pub(super) fn is_cluster(error: &RedisError) -> bool {
    error.kind() == ErrorKind::InvalidClientConfig
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_lose_more_than_need_be_are_named() {
        for (appendonly, save, policy, expected) in [
            ("yes", "", "noeviction", vec![]),
            ("no", "3600 1 300 100", "noeviction", vec![]),
            ("no", "", "noeviction", vec![Finding::NothingOnDisk]),
            ("no", "", "allkeys-lru", vec![Finding::NothingOnDisk, Finding::Evicts]),
            ("yes", "", "volatile-ttl", vec![Finding::Evicts]),
        ] {
            let told = [("appendonly", appendonly), ("save", save), ("maxmemory-policy", policy)];
            let told = told.map(|(name, value)| (name.to_owned(), value.to_owned()));
            assert_eq!(findings(&HashMap::from(told)), expected, "{appendonly} {save} {policy}");
        }
        assert_eq!(findings(&HashMap::new()), []);
    }
}
