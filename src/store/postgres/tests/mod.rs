//! What is PostgreSQL's own: migrations, bounds, the session that listens.

pub(in crate::store) mod database;

use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::{PostgresStore, SessionState, Sharing, open};
use crate::domain::ids::Revision;
use crate::fault::Kind;
use crate::store::conformance::samples::{any_write, virtual_key};
use crate::store::conformance::usage::{assert_row_is_whole, whole_record};
use database::TestDatabase;

async fn migrated() -> (TestDatabase, PostgresStore) {
    let database = TestDatabase::create().await;
    let store = open(&database.settings()).unwrap();
    store.migrate().await.unwrap();
    (database, store)
}

async fn run(database: &TestDatabase, sql: &str) {
    let mut connection = PgConnection::connect(&database.url()).await.unwrap();
    connection.execute(AssertSqlSafe(sql.to_owned())).await.unwrap();
}

#[tokio::test]
async fn migrating_is_once_for_all_and_its_lack_is_told() {
    let database = TestDatabase::create().await;
    let stores: Vec<PostgresStore> = (0..4).map(|_| open(&database.settings()).unwrap()).collect();
    let fault = stores[0].check_schema().await.unwrap_err();
    assert_eq!(fault.kind(), Kind::Unavailable);
    assert!(fault.message().contains("unified-gateway migrate"), "{fault}");
    assert!(stores[0].stores().changes.revision().await.unwrap_err().message().contains("migrate"));
    let (a, b, c, d) = tokio::join!(stores[0].migrate(), stores[1].migrate(), stores[2].migrate(), stores[3].migrate());
    for done in [a, b, c, d] {
        done.unwrap();
    }
    stores[0].check_schema().await.unwrap();
    assert_eq!(stores[1].stores().changes.revision().await.unwrap(), Revision(0));
    stores[2].migrate().await.unwrap();
}

#[tokio::test]
async fn a_database_of_another_version_or_build_is_refused() {
    let (database, store) = migrated().await;
    run(&database, "UPDATE _sqlx_migrations SET checksum = '\\x00' WHERE version = 1").await;
    assert!(store.migrate().await.unwrap_err().message().contains("another build"));
    let (database, store) = migrated().await;
    run(
        &database,
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (9999, 'later', true, '\\x00', 0)",
    )
    .await;
    assert!(store.migrate().await.unwrap_err().message().contains("newer version"));
    assert!(store.check_schema().await.is_err());
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unavailable_and_the_url_is_not_told() {
    let mut settings = super::PostgresSettings {
        url: "postgres://someone:hunter2@127.0.0.1:1/x".into(),
        listen_url: None,
        max_connections: 1,
        acquire_timeout: Duration::from_millis(200),
    };
    let fault = open(&settings).unwrap().stores().changes.revision().await.unwrap_err();
    assert_eq!(fault.kind(), Kind::Unavailable);
    assert!(!format!("{fault} {fault:?}").contains("hunter2"), "{fault:?}");
    settings.url = "postgres://someone:hunter2@h/x?sslmode=rain".into();
    let fault = open(&settings).unwrap_err();
    assert!(fault.message().contains("DATABASE_URL") && !format!("{fault:?}").contains("hunter2"), "{fault:?}");
}

/// A session that runs beside the test.
fn listen(store: &PostgresStore, sharing: Sharing) -> (watch::Receiver<SessionState>, JoinSet<()>) {
    let (states, seen) = watch::channel(SessionState::default());
    let session = store.session(sharing);
    (seen, std::iter::once(session.run(states)).collect())
}

async fn until(seen: &mut watch::Receiver<SessionState>, what: impl FnMut(&SessionState) -> bool) -> SessionState {
    *tokio::time::timeout(Duration::from_secs(10), seen.wait_for(what)).await.unwrap().unwrap()
}

#[tokio::test]
async fn a_write_is_heard_of_at_once_and_a_lost_session_is_replaced() {
    let (database, store) = migrated().await;
    let (mut seen, listening) = listen(&store, Sharing::Shared);
    let before = until(&mut seen, |state| state.is_listening && state.has_place).await;
    store.stores().virtual_keys.create(&virtual_key(1, "k"), &any_write()).await.unwrap();
    let heard = until(&mut seen, |state| state.wakeups > before.wakeups).await;
    assert!(heard.is_listening);
    run(
        &database,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE query ILIKE '%LISTEN%' AND pid <> pg_backend_pid() AND datname = current_database()",
    )
    .await;
    until(&mut seen, |state| !state.is_listening || state.wakeups > heard.wakeups).await;
    let again = until(&mut seen, |state| state.is_listening && state.wakeups > heard.wakeups).await;
    store.stores().virtual_keys.create(&virtual_key(2, "k"), &any_write()).await.unwrap();
    until(&mut seen, |state| state.wakeups > again.wakeups).await;
    drop(listening);
}

#[tokio::test]
async fn who_counts_alone_keeps_the_others_out_until_its_end() {
    let (_database, store) = migrated().await;
    let (mut first, alone) = listen(&store, Sharing::Sole);
    until(&mut first, |state| state.has_place).await;
    let (mut second, waiting) = listen(&store, Sharing::Sole);
    let (mut third, sharing) = listen(&store, Sharing::Shared);
    assert!(!until(&mut second, |state| state.is_listening).await.has_place);
    assert!(!until(&mut third, |state| state.is_listening).await.has_place);
    drop((alone, waiting));
    until(&mut third, |state| state.has_place).await;
    drop(sharing);
}

#[tokio::test]
async fn a_record_keeps_every_field_in_its_column() {
    let (database, store) = migrated().await;
    let record = whole_record();
    store.stores().usage.record(std::slice::from_ref(&record)).await.unwrap();
    let mut connection = PgConnection::connect(&database.url()).await.unwrap();
    let read = "SELECT to_jsonb(operations)::text FROM operations";
    let row: String = sqlx::query_scalar(read).fetch_one(&mut connection).await.unwrap();
    assert_row_is_whole(&record, &serde_json::from_str(&row).unwrap());
    let read = "SELECT provider_request_id FROM attempts LIMIT 1";
    let id: String = sqlx::query_scalar(read).fetch_one(&mut connection).await.unwrap();
    assert_eq!(id, "req_up");
}

#[tokio::test]
async fn a_tail_waits_for_the_oldest_transaction_that_is_open() {
    let (database, store) = migrated().await;
    let stores = store.stores();
    let record = whole_record();
    stores.usage.record(std::slice::from_ref(&record)).await.unwrap();
    let mut slow = PgConnection::connect(&database.url()).await.unwrap();
    let first = uuid::Uuid::from_u128(uuid::Uuid::parse_str(&record.id).unwrap().as_u128() + 1);
    let copy = "INSERT INTO operations SELECT (jsonb_populate_record(known, jsonb_build_object(
                    'id', $1::uuid, 'stored_in', pg_current_xact_id()::text::bigint))).* FROM operations AS known";
    sqlx::raw_sql("BEGIN").execute(&mut slow).await.unwrap();
    sqlx::query(copy).bind(first).execute(&mut slow).await.unwrap();
    let mut place = stores.operations.tail_position(id(&record)).await.unwrap().unwrap();
    // Began later, ends earlier.
    let second = uuid::Uuid::from_u128(first.as_u128() + 1).to_string();
    let fast = crate::domain::record::OperationRecord { id: second.clone(), ..record };
    stores.usage.record(std::slice::from_ref(&fast)).await.unwrap();
    let early = stores.operations.tail(&Default::default(), place, 10).await.unwrap();
    assert_eq!(early.records.len(), 0);
    place = early.next;
    sqlx::raw_sql("COMMIT").execute(&mut slow).await.unwrap();
    let mut seen = Vec::new();
    for _ in 0..1000 {
        let batch = stores.operations.tail(&Default::default(), place, 10).await.unwrap();
        place = batch.next;
        seen.extend(batch.records.into_iter().map(|record| record.id));
        if seen.len() == 2 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    assert_eq!(seen, [first.to_string(), second]);
}

fn id(record: &crate::domain::record::OperationRecord) -> crate::domain::ids::OperationId {
    crate::domain::ids::OperationId::from_uuid(record.id.parse().unwrap())
}

#[tokio::test]
async fn room_for_the_days_ahead_is_made_before_they_come_and_goes_with_its_day() {
    const DAY_MS: i64 = 86_400_000;
    let (database, store) = migrated().await;
    let mut connection = PgConnection::connect(&database.url()).await.unwrap();
    let mut days = async |table: &'static str| {
        let count = "SELECT COUNT(*) FROM pg_inherits WHERE inhparent = $1::regclass";
        sqlx::query_scalar::<_, i64>(count).bind(table).fetch_one(&mut connection).await.unwrap()
    };
    let usage = &store.stores().usage;
    for _ in 0..2 {
        usage.make_room(20_000 * DAY_MS + 5, 20_002 * DAY_MS + 5).await.unwrap();
    }
    for table in ["operations", "attempts", "operation_tags"] {
        assert_eq!(days(table).await, 3, "{table}");
    }
    usage.forget_before(20_001 * DAY_MS).await.unwrap();
    for table in ["operations", "attempts", "operation_tags"] {
        assert_eq!(days(table).await, 2, "{table}");
    }
}
