//! What one replica learns of a deployment is known on the other: circuits, quarantines, throttles; and one of them tries.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::support::fleet::{Database, Replica, redis_url};
use crate::support::stub_provider::StubProvider;
use crate::support::tunnel::{Passage, Tunnel};
use crate::support::wait::{soon, until};
use crate::support::{PROVIDER_KEY, chat};

struct Pair {
    a: Replica,
    b: Replica,
    key: String,
    stub: StubProvider,
    _database: Database,
}

impl Pair {
    async fn start(settings: Value, extra: &[(&str, &str)]) -> Self {
        let database = Database::create().await;
        let url = database.url();
        let (a, b) = tokio::join!(Replica::begin(&url, extra), Replica::begin(&url, extra));
        tokio::join!(a.until_ready("ready"), b.until_ready("ready"));
        a.configure("PUT", "/admin/router-settings", &settings).await;
        let (_, key) = a.create_key().await;
        Self { a, b, key, stub: StubProvider::start().await, _database: database }
    }

    /// A deployment that both replicas have in force.
    async fn deploy(&self, public: &str, upstream: &str) -> String {
        let body = json!({
            "publicModel": public, "provider": "openaicompatible", "upstreamModel": upstream,
            "credentials": {"apiKey": PROVIDER_KEY, "baseUrl": self.stub.base_url()},
        });
        let id = self.a.configure("POST", "/admin/deployments", &body).await["id"].as_str().unwrap().to_owned();
        soon("both to have the deployment", async {
            while !self.lists(&self.b, public).await {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
        id
    }

    async fn lists(&self, replica: &Replica, public: &str) -> bool {
        replica.client.get(&format!("/v1/models/{public}/deployments"), Some(&self.key)).await.status == 200
    }

    async fn standing(&self, replica: &Replica, public: &str) -> String {
        let answer = replica.client.get(&format!("/v1/models/{public}/deployments"), Some(&self.key)).await;
        answer.ok()["data"][0]["status"].as_str().unwrap().to_owned()
    }

    /// How long until a replica shows this.
    async fn until_standing(&self, replica: &Replica, public: &str, status: &str) -> Duration {
        let from = Instant::now();
        soon(&format!("{public} to be {status}"), async {
            while self.standing(replica, public).await != status {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        })
        .await;
        from.elapsed()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_opens_closes_and_throttles_on_one_replica_does_on_the_other_within_a_second() {
    let once =
        json!({"allowedFails": 0, "cooldownSeconds": 60, "executionPolicies": {"text.generate": {"maxAttempts": 1}}});
    let pair = Pair::start(once, &[]).await;
    let (a, b) = (&pair.a, &pair.b);
    // News that comes before the replicas have heard of each other would be told again in five seconds.
    tokio::time::sleep(Duration::from_millis(300)).await;
    for (public, upstream, calls, shown) in [
        ("my/flaky", "stub-flaky", 1, "cooldown"),
        ("my/wrong", "stub-401", 2, "cooldown"),
        ("my/throttled", "stub-429", 1, "rate_limited"),
    ] {
        let id = pair.deploy(public, upstream).await;
        for _ in 0..calls {
            assert!(a.status(&pair.key, public).await >= 429);
        }
        assert_eq!(pair.standing(a, public).await, shown);
        let took = pair.until_standing(b, public, shown).await;
        println!("{public}: {shown} on the other replica after {} ms", took.as_millis());
        assert!(took < Duration::from_secs(1), "{took:?}");
        let before = pair.stub.calls_of(upstream);
        assert!(matches!(b.status(&pair.key, public).await, 429 | 503));
        assert_eq!(pair.stub.calls_of(upstream), before, "not called");
        if public == "my/flaky" {
            let tested = b.configure("POST", &format!("/admin/deployments/{id}/test"), &json!({})).await;
            assert_eq!(tested["ok"], true);
            let took = pair.until_standing(a, public, "available").await;
            println!("{public}: available on the other replica after {} ms", took.as_millis());
            assert!(took < Duration::from_secs(1), "{took:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_request_of_all_replicas_tries_a_circuit_whose_cooldown_is_over() {
    let slow = json!({"allowedFails": 0, "cooldownSeconds": 1, "maxCooldownSeconds": 1,
        "executionPolicies": {"text.generate": {"maxAttempts": 1}}});
    let pair = Arc::new(Pair::start(slow, &[]).await);
    tokio::time::sleep(Duration::from_millis(300)).await;
    pair.deploy("my/dead", "stub-500").await;
    assert_eq!(pair.a.status(&pair.key, "my/dead").await, 502);
    pair.until_standing(&pair.b, "my/dead", "cooldown").await;
    // Both are asked all the time; a third of a second after the cooldown one of them has tried, once.
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(1_600) {
        let question = chat("my/dead");
        let asked = (0..4).map(|number| {
            let replica = if number % 2 == 0 { &pair.a } else { &pair.b };
            replica.client.chat(&pair.key, &question)
        });
        join_all(asked).await;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(pair.stub.calls_of("stub-500"), 2, "the first failure, and one that tried");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_redis_each_replica_goes_by_what_it_sees() {
    let address = redis_url().parse::<url::Url>().unwrap();
    let address = tokio::net::lookup_host((address.host_str().unwrap(), address.port().unwrap_or(6379)));
    let tunnel = Tunnel::to(address.await.unwrap().next().unwrap(), Passage::Open).await;
    let through = format!("redis://{}/0", tunnel.address);
    let settings =
        json!({"allowedFails": 0, "cooldownSeconds": 1, "executionPolicies": {"text.generate": {"maxAttempts": 1}}});
    let pair = Pair::start(settings, &[("REDIS_URL", &through), ("LEDGER_FAIL_OPEN", "true")]).await;
    pair.deploy("my/flaky", "stub-flaky").await;
    tunnel.set(Passage::Cut);
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!(pair.a.status(&pair.key, "my/flaky").await, 502);
    assert_eq!(pair.standing(&pair.a, "my/flaky").await, "cooldown");
    assert_eq!(pair.standing(&pair.b, "my/flaky").await, "available");
    until("the circuit to be tried without anyone's leave", || async {
        pair.a.status(&pair.key, "my/flaky").await == 200
    })
    .await;
}
