//! News of health between replicas, and who tries a circuit whose cooldown is over. On connections of its own, in a task
//! of its own: nothing here is in the way of a request, and without Redis each replica goes by what it sees itself.
//!
//! News is published and not kept: who comes later says so and is told again, and all is told again every few seconds.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ::redis::aio::MultiplexedConnection;
use ::redis::{AsyncConnectionConfig, RedisError};
use futures_util::StreamExt as _;
use serde::{Deserialize, Serialize};
use tokio::sync::{Mutex, mpsc};

use super::link::PATIENCE;
use super::source::Source;
use crate::domain::ids::{DeploymentId, Revision};
use crate::domain::ports::{HalfOpen, HealthNews, HearHealth, SharedHealth};
use crate::domain::secret::SecretString;
use crate::fault::{Fault, Kind, Outcome};
use crate::time::Clock;

/// News that waits to be told; more is lost.
const QUEUE: usize = 1024;
const LOOK_EVERY: Duration = Duration::from_millis(50);
const TELL_AGAIN_EVERY: Duration = Duration::from_secs(5);
const PING_EVERY: Duration = Duration::from_secs(1);
/// Without a sign of life for so long each replica is on its own.
const STALE: Duration = Duration::from_secs(2);
const CONNECT_PATIENCE: Duration = Duration::from_secs(1);
const AGAIN_AFTER: Duration = Duration::from_millis(500);
/// A circuit that another replica tries is asked about again after this.
const ASK_AGAIN: Duration = Duration::from_millis(500);
/// Who was to try a circuit and has no request for it lets others try.
const IDLE: Duration = Duration::from_secs(1);
const VERSION: u32 = 1;
/// Deletes a key that is ours.
const LET_GO: &str = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0";

/// News for the other replicas, by way of Redis.
pub struct RedisHealth {
    source: Source,
    prefix: String,
    replica: String,
    clock: Arc<dyn Clock>,
    began: Instant,
    /// Milliseconds after `began` at which Redis last answered, plus one; 0: never.
    answered: AtomicU64,
    news: mpsc::Sender<HealthNews>,
    told: Mutex<mpsc::Receiver<HealthNews>>,
}

impl fmt::Debug for RedisHealth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RedisHealth")
    }
}

/// What is published.
#[derive(Debug, Serialize, Deserialize)]
struct Message {
    v: u32,
    from: String,
    /// `hello`, `opened`, `closed` or `throttled`.
    kind: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    deployment: Option<String>,
    #[serde(default)]
    revision: i64,
    #[serde(default)]
    ms: u64,
    #[serde(default)]
    openings: u32,
    /// Hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    account: Option<String>,
}

type Claims = HashMap<(DeploymentId, Revision), Instant>;

impl RedisHealth {
    /// Reads the URL. Connects to nothing yet. All names begin with `prefix`.
    ///
    /// # Errors
    /// `Unavailable` when the URL is not understood; it is not repeated, for it may hold a password.
    pub fn new(url: &SecretString, prefix: &str, replica: String, clock: Arc<dyn Clock>) -> Outcome<Self> {
        let source =
            Source::of(url).ok_or_else(|| Fault::new(Kind::Unavailable).say("REDIS_URL is not a Redis URL."))?;
        let (news, told) = mpsc::channel(QUEUE);
        let began = clock.instant();
        let (prefix, told, answered) = (prefix.to_owned(), Mutex::new(told), AtomicU64::new(0));
        Ok(Self { source, prefix, replica, clock, began, answered, news, told })
    }

    /// Tells and hears until it is dropped.
    pub async fn run(self: Arc<Self>, hears: Arc<dyn HearHealth>) {
        loop {
            if let Err(error) = self.session(hears.as_ref()).await {
                tracing::debug!(%error, "news of health does not reach other replicas");
            }
            self.answered.store(0, Ordering::Release);
            tokio::time::sleep(AGAIN_AFTER).await;
        }
    }

    async fn session(&self, hears: &dyn HearHealth) -> Result<(), RedisError> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_PATIENCE))
            .set_response_timeout(Some(PATIENCE));
        let client = within(CONNECT_PATIENCE, self.source.client()).await?;
        let mut connection =
            within(CONNECT_PATIENCE, client.get_multiplexed_async_connection_with_config(&config)).await?;
        let mut pubsub = within(CONNECT_PATIENCE, client.get_async_pubsub()).await?;
        within(CONNECT_PATIENCE, pubsub.subscribe(self.channel())).await?;
        let mut heard = pubsub.into_on_message();
        let mut told = self.told.lock().await;
        self.publish(&mut connection, &self.message("hello")).await?;
        let mut claims = Claims::new();
        let (mut look, mut again) = (tokio::time::interval(LOOK_EVERY), tokio::time::interval(TELL_AGAIN_EVERY));
        let mut ping = tokio::time::interval(PING_EVERY);
        loop {
            tokio::select! {
                message = heard.next() => {
                    let Some(message) = message else { return Ok(()) };
                    if self.hear(message.get_payload_bytes(), hears) {
                        self.tell_all(&mut connection, hears).await?;
                    }
                }
                news = told.recv() => {
                    let Some(news) = news else { return Ok(()) };
                    self.settle(&mut connection, &mut claims, &news).await?;
                    self.publish(&mut connection, &self.write(&news)).await?;
                }
                _ = look.tick() => self.claim(&mut connection, &mut claims, hears).await?,
                _ = again.tick() => self.tell_all(&mut connection, hears).await?,
                _ = ping.tick() => {
                    within(PATIENCE, ::redis::cmd("PING").query_async::<()>(&mut connection)).await?;
                    self.answers();
                }
            }
        }
    }

    /// Redis has answered.
    fn answers(&self) {
        let ms = self.clock.instant().saturating_duration_since(self.began).as_millis();
        self.answered.store(u64::try_from(ms).unwrap_or(u64::MAX - 1).saturating_add(1), Ordering::Release);
    }

    fn channel(&self) -> String {
        format!("{}health", self.prefix)
    }

    fn message(&self, kind: &str) -> Message {
        Message {
            v: VERSION,
            from: self.replica.clone(),
            kind: kind.to_owned(),
            deployment: None,
            revision: 0,
            ms: 0,
            openings: 0,
            account: None,
        }
    }

    fn write(&self, news: &HealthNews) -> Message {
        let ms = |wait: &Duration| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        match news {
            HealthNews::Opened { deployment, revision, wait, openings } => Message {
                deployment: Some(deployment.to_string()),
                revision: revision.0,
                ms: ms(wait),
                openings: *openings,
                ..self.message("opened")
            },
            HealthNews::Closed { deployment, revision } => {
                Message { deployment: Some(deployment.to_string()), revision: revision.0, ..self.message("closed") }
            }
            HealthNews::Throttled { account, wait } => {
                let account = account.iter().map(|byte| format!("{byte:02x}")).collect();
                Message { account: Some(account), ms: ms(wait), ..self.message("throttled") }
            }
        }
    }

    async fn publish(&self, connection: &mut MultiplexedConnection, message: &Message) -> Result<(), RedisError> {
        // Plain fields: nothing of it can fail to be written.
        let text = serde_json::to_string(message).unwrap_or_default();
        let mut publish = ::redis::cmd("PUBLISH");
        publish.arg(self.channel()).arg(text);
        within(PATIENCE, publish.query_async::<()>(connection)).await
    }

    async fn tell_all(&self, connection: &mut MultiplexedConnection, hears: &dyn HearHealth) -> Result<(), RedisError> {
        for news in hears.all().iter().take(QUEUE) {
            self.publish(connection, &self.write(news)).await?;
        }
        Ok(())
    }

    /// Passes news on. Answers whether someone came who knows nothing yet.
    fn hear(&self, payload: &[u8], hears: &dyn HearHealth) -> bool {
        let Some(message) = serde_json::from_slice::<Message>(payload).ok().filter(|message| message.v == VERSION)
        else {
            return false;
        };
        if message.from == self.replica {
            return false;
        }
        if let Some(news) = read(&message) {
            hears.hear(news);
        }
        message.kind == "hello"
    }

    /// Agrees with the others on who tries the circuits that wait for it.
    async fn claim(
        &self,
        connection: &mut MultiplexedConnection,
        claims: &mut Claims,
        hears: &dyn HearHealth,
    ) -> Result<(), RedisError> {
        let now = self.clock.instant();
        let old = |claimed: &Instant| now.saturating_duration_since(*claimed) > IDLE;
        let idle: Vec<(DeploymentId, Revision)> =
            claims.iter().filter(|(_, claimed)| old(claimed)).map(|(circuit, _)| *circuit).collect();
        for (deployment, revision) in idle {
            let half_open = HalfOpen { deployment, revision, lease: Duration::ZERO };
            if hears.is_idle(half_open) {
                self.let_go(connection, claims, (deployment, revision)).await?;
                hears.settle_probe(half_open, false);
            }
        }
        for half_open in hears.half_open() {
            let circuit = (half_open.deployment, half_open.revision);
            let mut set = ::redis::cmd("SET");
            set.arg(self.key(circuit)).arg(&self.replica).arg("NX").arg("PX").arg(ms_of(half_open.lease));
            let claimed: Option<String> = within(PATIENCE, set.query_async(connection)).await?;
            let is_ours = claimed.is_some();
            if is_ours {
                claims.insert(circuit, self.clock.instant());
            }
            let lease = if is_ours { half_open.lease } else { ASK_AGAIN.min(half_open.lease) };
            hears.settle_probe(HalfOpen { lease, ..half_open }, is_ours);
        }
        Ok(())
    }

    /// What was tried has an outcome: the next time another may be the one.
    async fn settle(
        &self,
        connection: &mut MultiplexedConnection,
        claims: &mut Claims,
        news: &HealthNews,
    ) -> Result<(), RedisError> {
        match news {
            HealthNews::Opened { deployment, revision, .. } | HealthNews::Closed { deployment, revision } => {
                self.let_go(connection, claims, (*deployment, *revision)).await
            }
            HealthNews::Throttled { .. } => Ok(()),
        }
    }

    async fn let_go(
        &self,
        connection: &mut MultiplexedConnection,
        claims: &mut Claims,
        circuit: (DeploymentId, Revision),
    ) -> Result<(), RedisError> {
        if claims.remove(&circuit).is_none() {
            return Ok(());
        }
        let mut eval = ::redis::cmd("EVAL");
        eval.arg(LET_GO).arg(1).arg(self.key(circuit)).arg(&self.replica);
        within(PATIENCE, eval.query_async::<()>(connection)).await
    }

    fn key(&self, (deployment, revision): (DeploymentId, Revision)) -> String {
        format!("{}probe:{deployment}:{}", self.prefix, revision.0)
    }
}

impl SharedHealth for RedisHealth {
    fn is_up(&self) -> bool {
        let Some(ms) = self.answered.load(Ordering::Acquire).checked_sub(1) else { return false };
        let answered = self.began + Duration::from_millis(ms);
        self.clock.instant().saturating_duration_since(answered) < STALE
    }

    fn tell(&self, news: HealthNews) {
        // A queue that is full means that Redis is away: each replica then learns by itself.
        _ = self.news.try_send(news);
    }
}

fn ms_of(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX).max(1)
}

fn read(message: &Message) -> Option<HealthNews> {
    let wait = Duration::from_millis(message.ms);
    let revision = Revision(message.revision);
    let deployment = || message.deployment.as_deref()?.parse::<DeploymentId>().ok();
    match message.kind.as_str() {
        "opened" => Some(HealthNews::Opened { deployment: deployment()?, revision, wait, openings: message.openings }),
        "closed" => Some(HealthNews::Closed { deployment: deployment()?, revision }),
        "throttled" => Some(HealthNews::Throttled { account: account(message.account.as_deref()?)?, wait }),
        _ => None,
    }
}

fn account(hex: &str) -> Option<[u8; 16]> {
    let mut account = [0; 16];
    if hex.len() != 32 {
        return None;
    }
    for (place, to) in account.iter_mut().enumerate() {
        *to = u8::from_str_radix(hex.get(2 * place..2 * place + 2)?, 16).ok()?;
    }
    Some(account)
}

async fn within<T>(patience: Duration, call: impl Future<Output = Result<T, RedisError>>) -> Result<T, RedisError> {
    let silent = || RedisError::from(std::io::Error::new(std::io::ErrorKind::TimedOut, "no answer in time"));
    tokio::time::timeout(patience, call).await.unwrap_or_else(|_| Err(silent()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn news_is_read_as_it_was_written_and_what_is_none_is_left_alone() {
        let clock: Arc<dyn Clock> = Arc::new(crate::time::SystemClock);
        let health = RedisHealth::new(&"redis://127.0.0.1:1".into(), "{x}:", "me".to_owned(), clock).unwrap();
        let deployment = DeploymentId::from_uuid(uuid::Uuid::from_u128(7));
        let wait = Duration::from_millis(1_234);
        for news in [
            HealthNews::Opened { deployment, revision: Revision(3), wait, openings: 2 },
            HealthNews::Closed { deployment, revision: Revision(3) },
            HealthNews::Throttled { account: [250; 16], wait },
        ] {
            let text = serde_json::to_string(&health.write(&news)).unwrap();
            assert_eq!(read(&serde_json::from_str(&text).unwrap()), Some(news), "{text}");
        }
        for bad in [
            r#"{"v":1,"from":"a","kind":"opened"}"#,
            r#"{"v":1,"from":"a","kind":"throttled","account":"zz"}"#,
            r#"{"v":1,"from":"a","kind":"rain"}"#,
        ] {
            assert_eq!(read(&serde_json::from_str(bad).unwrap()), None, "{bad}");
        }
        assert!(!health.is_up());
    }
}
