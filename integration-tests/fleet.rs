//! Replicas around one database: a change on one is in force on all; what happens when the database is lost, late, or
//! not there at all.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::MASTER_KEY;
use crate::support::fleet::{Database, Replica};
use crate::support::tunnel::Passage;

/// Ends the sessions that listen.
const END_LISTENERS: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
     WHERE query ILIKE '%LISTEN%' AND pid <> pg_backend_pid() AND datname = current_database()";

async fn pair(database: &Database) -> (Replica, Replica) {
    tokio::join!(Replica::start(database), Replica::start(database))
}

#[tokio::test(flavor = "multi_thread")]
async fn two_replicas_start_on_an_empty_database_and_every_change_reaches_both() {
    let database = Database::create().await;
    let (a, b) = pair(&database).await;
    let deployment = a.deploy_echo("echo").await;
    let (id, key) = a.create_key().await;
    assert_eq!(a.status(&key, "echo").await, 200, "the writing replica obeys at once");
    b.until_status(&key, "echo", 200).await;

    b.configure("PATCH", &format!("/admin/keys/{id}"), &json!({"enabled": false})).await;
    assert_eq!(b.status(&key, "echo").await, 401);
    a.until_status(&key, "echo", 401).await;
    b.configure("PATCH", &format!("/admin/keys/{id}"), &json!({"enabled": true})).await;
    a.until_status(&key, "echo", 200).await;
    a.configure("PATCH", &format!("/admin/deployments/{deployment}"), &json!({"enabled": false})).await;
    b.until_status(&key, "echo", 503).await;
    a.configure("DELETE", &format!("/admin/deployments/{deployment}"), &Value::Null).await;
    b.until_status(&key, "echo", 404).await;
    a.configure("DELETE", &format!("/admin/keys/{id}"), &Value::Null).await;
    b.until_status(&key, "echo", 401).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_a_revision_is_in_force_can_be_asked_for() {
    let database = Database::create().await;
    let (a, mut b) = pair(&database).await;
    let written = a.admin("POST", "/admin/keys", &json!({"name": "k"})).await;
    assert_eq!(written.header("x-unified-config-revision"), Some("1"));
    let reach = b.configure("GET", "/admin/replicas/wait?revision=1&replicas=2", &Value::Null).await;
    assert_eq!(reach, json!({"reached": true, "revision": 1, "inForce": 2, "serving": 2}));
    let none = a.configure("GET", "/admin/replicas/wait?revision=2&timeoutMs=50", &Value::Null).await;
    assert_eq!(none, json!({"reached": false, "revision": 2, "inForce": 0, "serving": 2}));
    let list = a.configure("GET", "/admin/replicas", &Value::Null).await;
    assert_eq!((list["serving"].as_i64(), list["replicas"].as_array().unwrap().len()), (Some(2), 2));
    b.stop().await;
    let list = a.configure("GET", "/admin/replicas", &Value::Null).await;
    let rest = list["replicas"].as_array().unwrap();
    assert!(matches!(rest.as_slice(), [one] if one["self"] == true), "who ends in good order is off the list: {list}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_whose_listening_session_is_ended_misses_nothing() {
    let database = Database::create().await;
    let (a, b) = pair(&database).await;
    a.deploy_echo("echo").await;
    for _ in 0..3 {
        database.run(END_LISTENERS).await;
        let (id, key) = a.create_key().await;
        b.until_status(&key, "echo", 200).await;
        a.configure("DELETE", &format!("/admin/keys/{id}"), &Value::Null).await;
        b.until_status(&key, "echo", 401).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_whose_packets_are_lost_serves_on_and_catches_up() {
    let database = Database::create().await;
    let tunnel = database.tunnel(Passage::Open).await;
    let a = Replica::start(&database).await;
    let b = Replica::begin(&database.url_through(&tunnel), &[]).await;
    b.until_ready("ready").await;
    a.deploy_echo("echo").await;
    let (id, key) = a.create_key().await;
    b.until_status(&key, "echo", 200).await;
    tunnel.set(Passage::Silent);
    a.configure("DELETE", &format!("/admin/keys/{id}"), &Value::Null).await;
    let (_, later) = a.create_key().await;
    assert_eq!(b.status(MASTER_KEY, "echo").await, 200, "traffic flows on what is in force");
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(b.status(&later, "echo").await, 401, "it cannot know of it");
    tunnel.set(Passage::Open);
    b.until_status(&later, "echo", 200).await;
    b.until_status(&key, "echo", 401).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_database_lost_traffic_flows_and_writes_fail_cleanly() {
    let database = Database::create().await;
    let tunnel = database.tunnel(Passage::Open).await;
    let url = database.url_through(&tunnel);
    let (lenient, strict) = tokio::join!(Replica::begin(&url, &[]), Replica::begin(&url, &[("READINESS", "strict")]));
    lenient.until_ready("ready").await;
    strict.until_ready("ready").await;
    lenient.deploy_echo("echo").await;
    let (_, key) = lenient.create_key().await;
    strict.until_status(&key, "echo", 200).await;

    tunnel.set(Passage::Cut);
    lenient.until_ready("degraded").await;
    strict.until_ready("degraded").await;
    assert_eq!((lenient.ready().await.0, strict.ready().await.0), (200, 503));
    assert_eq!(lenient.ready().await.1["postgres"], "down");
    assert_eq!(lenient.status(&key, "echo").await, 200);
    let refused = lenient.admin("POST", "/admin/keys", &json!({"name": "never"})).await;
    assert_eq!(refused.status, 503);
    let said = refused.text();
    assert!(said.contains("cannot be reached") && !said.contains("postgres:") && !said.contains("127.0.0.1"), "{said}");

    tunnel.set(Passage::Open);
    lenient.until_ready("ready").await;
    strict.until_ready("ready").await;
    let (_, key) = strict.create_key().await;
    lenient.until_status(&key, "echo", 200).await;
    let keys = lenient.admin("GET", "/admin/keys?q=never", &Value::Null).await.json();
    assert_eq!(keys["pagination"]["total"], 0, "what was refused was not written");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_without_its_database_is_live_not_ready_and_recovers_by_itself() {
    let database = Database::create().await;
    let tunnel = database.tunnel(Passage::Cut).await;
    let replica = Replica::begin(&database.url_through(&tunnel), &[]).await;
    assert_eq!(replica.client.get("/health/live", None).await.status, 200);
    let (status, body) = replica.ready().await;
    assert_eq!((status, &body["status"]), (503, &json!("starting")));
    let call = replica.client.chat(MASTER_KEY, &crate::support::chat("echo")).await;
    assert_eq!(call.status, 503);
    assert_eq!(call.header("retry-after"), Some("1"));
    assert!(call.text().contains("is starting"), "{}", call.text());
    assert_eq!(replica.admin("GET", "/admin/keys", &Value::Null).await.status, 503);
    tunnel.set(Passage::Open);
    replica.until_ready("ready").await;
    replica.deploy_echo("echo").await;
    assert_eq!(replica.status(MASTER_KEY, "echo").await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_counts_alone_keeps_a_second_waiting_until_it_ends() {
    let database = Database::create().await;
    let alone = [("REDIS_URL", "")];
    let mut first = Replica::begin(&database.url(), &alone).await;
    first.until_ready("ready").await;
    first.deploy_echo("echo").await;
    let second = Replica::begin(&database.url(), &alone).await;
    second.until_ready("standby").await;
    assert_eq!(second.ready().await.0, 503);
    let sharing = Replica::begin(&database.url(), &[]).await;
    sharing.until_ready("standby").await;
    drop(sharing);
    first.stop().await;
    second.until_ready("ready").await;
    assert_eq!(second.status(MASTER_KEY, "echo").await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_leave_to_migrate_an_empty_database_is_waited_for() {
    let database = Database::create().await;
    let patient = Replica::begin(&database.url(), &[("AUTO_MIGRATE", "false")]).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(patient.ready().await.1["status"], "starting");
    let refused = patient.admin("GET", "/admin/keys", &Value::Null).await;
    assert!(refused.status == 503 && refused.text().contains("unified-gateway migrate"), "{}", refused.text());
    let mut other = Replica::start(&database).await;
    other.stop().await;
    patient.until_ready("ready").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_moves_to_another_fleet_as_a_document() {
    let (here, there) = (Database::create().await, Database::create().await);
    let (a, b) = (Replica::start(&here).await, Replica::start(&there).await);
    a.deploy_echo("echo").await;
    a.deploy_echo("spare").await;
    let chain = json!({"primaryModel": "echo", "reason": "general", "fallbackModels": ["spare"]});
    a.configure("PUT", "/admin/fallbacks", &chain).await;
    a.create_key().await;
    let mut document = a.configure("GET", "/admin/config?includeKeys=true", &Value::Null).await;
    let same = a.configure("PUT", "/admin/config?includeKeys=true", &document).await;
    assert_eq!((&same["differences"], &same["revision"]), (&json!([]), &json!(4)), "an export changes nothing");
    for list in ["deployments", "keys"] {
        for entry in document[list].as_array_mut().unwrap() {
            entry.as_object_mut().unwrap().remove("id");
        }
    }
    let dry = b.configure("PUT", "/admin/config?includeKeys=true&dryRun=true", &document).await;
    assert_eq!((dry["differences"].as_array().unwrap().len(), &dry["issuedKeys"]), (4, &json!([])));
    assert_eq!(dry["revision"], 0);
    let applied = b.configure("PUT", "/admin/config?includeKeys=true", &document).await;
    assert_eq!(applied["revision"], 1);
    let key = applied["issuedKeys"][0]["key"].as_str().unwrap();
    assert_eq!(b.status(key, "spare").await, 200, "the new secret is answered once and works at once");

    document["deployments"][0]["wieght"] = json!(3);
    let refused = b.admin("PUT", "/admin/config?includeKeys=true", &document).await;
    assert_eq!(refused.status, 400);
    assert_eq!(refused.json()["error"]["param"], "deployments[0].wieght", "{}", refused.text());
    let pruned = b.admin("PUT", "/admin/config?prune=true", &json!({"deployments": []})).await;
    assert_eq!((pruned.status, pruned.json()["error"]["param"].as_str()), (400, Some("revision")));
}
