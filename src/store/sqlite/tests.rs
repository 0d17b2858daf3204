//! What is particular to SQLite: files, the lock, bad rows, the embedded migrations.

use std::collections::BTreeSet;
use std::path::Path;

use sqlx::SqlSafeStr;

use super::open::MIGRATIONS;
use super::{SqliteStore, lock_data_dir, open, open_in_memory};
use crate::domain::deployment::DeploymentFilter;
use crate::domain::fallback::FallbackReason;
use crate::domain::ids::Revision;
use crate::domain::page::PageRequest;
use crate::domain::record::OperationRecord;
use crate::domain::settings::RouterSettings;
use crate::domain::virtual_key::VirtualKeyFilter;
use crate::fault::Kind;
use crate::store::BadRow;
use crate::store::conformance::samples::{any_write, chain, deployment, new_revision, virtual_key};
use crate::store::conformance::usage::{assert_row_is_whole, whole_record};
use crate::time::Timestamp;

/// Runs SQL behind the store's back, as a damaged disk or another program would.
async fn tamper(store: &SqliteStore, sql: &'static str) {
    let mut connection = store.writer.acquire().await.unwrap();
    for statement in ["PRAGMA ignore_check_constraints = ON", sql, "PRAGMA ignore_check_constraints = OFF"] {
        sqlx::raw_sql(statement.into_sql_str()).execute(&mut *connection).await.unwrap();
    }
}

#[cfg(unix)]
fn mode(path: &Path) -> u32 {
    std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(path).unwrap().permissions()) & 0o777
}

#[tokio::test]
async fn what_was_committed_is_there_when_the_file_is_opened_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("gateway.db");
    let store = open(&path).await.unwrap();
    let revision = new_revision(store.stores().virtual_keys.create(&virtual_key(1, "k"), &any_write()).await);
    let written = store.stores().virtual_keys.find(virtual_key(1, "k").id).await.unwrap();
    store.close().await;
    assert_eq!(store.stores().changes.revision().await.unwrap_err().kind(), Kind::Unavailable);
    assert!(!path.with_extension("db-wal").exists(), "closing folds the log into the file");

    let again = open(&path).await.unwrap();
    assert_eq!(again.stores().virtual_keys.find(virtual_key(1, "k").id).await.unwrap(), written);
    assert_eq!(again.stores().changes.revision().await.unwrap(), revision);
    again.close().await;
}

#[tokio::test]
async fn a_reader_is_closed_when_its_closing_was_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir.path().join("gateway.db")).await.unwrap();
    new_revision(store.stores().virtual_keys.create(&virtual_key(1, "k"), &any_write()).await);
    let mut reader = store.readers.acquire().await.unwrap();
    sqlx::query("SELECT * FROM virtual_keys WHERE enabled = 1").fetch_all(&mut *reader).await.unwrap();
    // Who closes fails where the last words of a connection do, and its thread goes on closing behind our back.
    reader.close().await.unwrap();
    store.close().await;
}

fn numbered(number: u128) -> OperationRecord {
    OperationRecord { id: uuid::Uuid::from_u128(number).to_string(), ..whole_record() }
}

#[tokio::test]
async fn configuration_waits_for_the_disk_and_records_of_requests_do_not() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir.path().join("gateway.db")).await.unwrap();
    let (usage, keys) = (store.stores().usage, store.stores().virtual_keys);
    let setting = async || {
        let setting = sqlx::query_scalar::<_, i64>("SELECT synchronous FROM pragma_synchronous");
        setting.fetch_one(&store.writer).await.unwrap()
    };
    let (full, normal) = (2_i64, 1_i64);
    for number in 1..=3 {
        new_revision(keys.create(&virtual_key(number, "k"), &any_write()).await);
        assert_eq!(setting().await, full);
        for record in 1..=2 {
            usage.record(&[numbered(u128::from(number * 10 + record))]).await.unwrap();
            assert_eq!(setting().await, normal);
        }
        // One that is there, with one that is not: the longer way.
        let mixed = [numbered(u128::from(number * 10 + 1)), numbered(u128::from(number * 10 + 5))];
        usage.record(&mixed).await.unwrap();
        assert_eq!(setting().await, normal);
        usage.put_aside(&mixed[0], "a word").await.unwrap();
        assert_eq!(setting().await, full);
    }
    let count: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM operations").fetch_one(&store.writer).await.unwrap();
    assert_eq!(count, 9);
    store.close().await;
}

#[tokio::test]
async fn whoever_gives_up_on_a_record_leaves_nothing_open() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir.path().join("gateway.db")).await.unwrap();
    let usage = store.stores().usage;
    for number in 0..20 {
        let records: Vec<_> = (0..50).map(|at| numbered(number * 100 + at)).collect();
        let given_up = std::time::Duration::from_micros(u64::try_from(number).unwrap() * 150);
        // Whether it was in time does not matter.
        _ = tokio::time::timeout(given_up, usage.record(&records)).await;
        usage.record(&records).await.unwrap();
    }
    let count: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM operations").fetch_one(&store.writer).await.unwrap();
    assert_eq!(count, 1_000);
    store.close().await;
}

#[tokio::test]
async fn a_write_that_was_answered_is_there_without_a_close() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("gateway.db");
    let store = open(&path).await.unwrap();
    new_revision(store.stores().virtual_keys.create(&virtual_key(1, "k"), &any_write()).await);
    // What is on disk at this moment is what a crash would leave.
    let crashed = dir.path().join("crashed.db");
    std::fs::copy(&path, &crashed).unwrap();
    std::fs::copy(path.with_extension("db-wal"), crashed.with_extension("db-wal")).unwrap();
    let recovered = open(&crashed).await.unwrap();
    assert_eq!(recovered.stores().virtual_keys.load(None).await.unwrap().len(), 1);
    for store in [store, recovered] {
        let settings = sqlx::query_as::<_, (i64, String, i64)>(
            "SELECT synchronous, journal_mode, foreign_keys
             FROM pragma_synchronous, pragma_journal_mode, pragma_foreign_keys",
        );
        assert_eq!(settings.fetch_one(&store.writer).await.unwrap(), (2, "wal".to_owned(), 1));
    }
}

#[tokio::test]
#[cfg(unix)]
async fn nobody_else_can_read_the_data() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("deep/data");
    let _lock = lock_data_dir(&data).unwrap();
    let path = data.join("gateway.db");
    let store = open(&path).await.unwrap();
    new_revision(store.stores().virtual_keys.create(&virtual_key(1, "k"), &any_write()).await);
    assert_eq!(mode(&data), 0o700);
    for file in ["gateway.db", "gateway.db-wal", "gateway.db-shm"] {
        assert_eq!(mode(&data.join(file)), 0o600, "{file}");
    }
}

#[test]
fn a_data_directory_has_one_owner_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let lock = lock_data_dir(dir.path()).unwrap();
    let fault = lock_data_dir(dir.path()).unwrap_err();
    assert_eq!(fault.kind(), Kind::Unavailable);
    let expected =
        format!("DATA_DIR {} is in use by another gateway process (pid {}).", dir.path().display(), std::process::id());
    assert_eq!(fault.message(), expected);
    drop(lock);
    lock_data_dir(dir.path()).unwrap();
}

#[tokio::test]
async fn what_is_no_database_is_refused_with_its_path() {
    let dir = tempfile::tempdir().unwrap();
    let garbage = dir.path().join("garbage.db");
    std::fs::write(&garbage, "this is no database, however long it is".repeat(100)).unwrap();
    for path in [garbage, dir.path().join("missing/gateway.db"), dir.path().to_owned()] {
        let fault = open(&path).await.unwrap_err();
        assert_eq!(fault.kind(), Kind::Unavailable);
        assert!(fault.message().contains(path.to_str().unwrap()), "{fault}");
        assert!(fault.cause().is_some());
    }
}

#[tokio::test]
async fn a_database_of_a_newer_version_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("gateway.db");
    let store = open(&path).await.unwrap();
    tamper(&store, "INSERT INTO _sqlx_migrations VALUES (9999, 'later', '2026-01-01', TRUE, x'00', 0)").await;
    store.close().await;
    let fault = open(&path).await.unwrap_err();
    assert_eq!(fault.kind(), Kind::Unavailable);
    assert_eq!(fault.message(), "The database was written by a newer version of the gateway (schema 9999).");
}

#[test]
fn every_migration_file_is_embedded_under_its_number_and_name() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations/sqlite");
    let files: BTreeSet<String> =
        std::fs::read_dir(dir).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    let embedded = MIGRATIONS.iter().map(|(number, name, _)| format!("{number:04}_{name}.sql")).collect();
    assert_eq!(files, embedded);
}

#[tokio::test]
async fn a_bad_deployment_is_quarantined_named_and_can_be_removed() {
    let store = open_in_memory().await.unwrap();
    let stores = store.stores();
    let spoil = [
        ("UPDATE deployments SET pricing = '{' WHERE substr(id, 16) = x'01'", "pricing is not understood"),
        (
            "UPDATE deployments SET transport_overrides = '{\"text.generate\":\"telepathy\"}' WHERE substr(id, 16) = x'01'",
            "transport_overrides is not understood",
        ),
        (
            "UPDATE deployments SET public_model = 'two words' WHERE substr(id, 16) = x'01'",
            "public_model must be visible ASCII without spaces",
        ),
        ("UPDATE deployments SET weight = -1 WHERE substr(id, 16) = x'01'", "weight is out of range"),
    ];
    let (bad, good) = (deployment(1, "a").id, deployment(2, "b").id);
    new_revision(stores.deployments.create(&deployment(2, "b"), &any_write()).await);
    for (sql, reason) in spoil {
        let first = new_revision(stores.deployments.create(&deployment(1, "a"), &any_write()).await);
        tamper(&store, sql).await;
        for ids in [None, Some([bad, good])] {
            let loaded = stores.deployments.load(ids.as_ref().map(<[_; 2]>::as_slice)).await.unwrap();
            assert_eq!(loaded.len(), 2);
            assert!(loaded.contains(&Err(BadRow { id: bad.to_string(), reason: reason.into() })), "{loaded:?}");
            assert!(loaded.iter().flatten().any(|deployment| deployment.id == good));
        }
        let found = stores.deployments.find(bad).await.unwrap_err();
        let listed = stores.deployments.list(&DeploymentFilter::default(), &Default::default()).await.unwrap_err();
        for fault in [found, listed] {
            assert_eq!(fault.kind(), Kind::Internal);
            assert!(fault.message().contains(&bad.to_string()) && fault.message().contains(reason), "{fault}");
        }
        let cured = stores.deployments.replace(&deployment(1, "a"), first, &any_write()).await.unwrap();
        assert_eq!(stores.deployments.find(bad).await.unwrap().unwrap().revision, cured);
        tamper(&store, sql).await;
        stores.deployments.delete(bad, Some(cured), &any_write()).await.unwrap();
        assert_eq!(stores.deployments.find(bad).await.unwrap(), None);
    }
}

#[tokio::test]
async fn a_bad_key_holds_nothing_back_and_can_be_removed() {
    let store = open_in_memory().await.unwrap();
    let stores = store.stores();
    let (bad, good) = (virtual_key(1, "bad").id, virtual_key(2, "good").id);
    for sample in [virtual_key(1, "bad"), virtual_key(2, "good")] {
        new_revision(stores.virtual_keys.create(&sample, &any_write()).await);
    }
    tamper(&store, "UPDATE virtual_keys SET budget_mode = 'lavish' WHERE name = 'bad'").await;
    let loaded = stores.virtual_keys.load(None).await.unwrap();
    let reason = "budget_mode holds an unknown word";
    assert!(loaded.contains(&Err(BadRow { id: bad.to_string(), reason: reason.into() })), "{loaded:?}");
    assert_eq!(loaded.iter().flatten().map(|key| key.id).collect::<Vec<_>>(), [good]);
    assert_eq!(stores.virtual_keys.find(bad).await.unwrap_err().kind(), Kind::Internal);
    let listed = stores.virtual_keys.list(&VirtualKeyFilter::default(), &Default::default()).await.unwrap_err();
    assert!(listed.message().contains(&bad.to_string()), "{listed}");
    stores.virtual_keys.delete(bad, None, &any_write()).await.unwrap();
    assert_eq!(stores.virtual_keys.load(None).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_bad_chain_holds_back_neither_other_chains_nor_deployments() {
    let store = open_in_memory().await.unwrap();
    let stores = store.stores();
    for (n, name) in [(1, "a"), (2, "b"), (3, "c")] {
        new_revision(stores.deployments.create(&deployment(n, name), &any_write()).await);
    }
    for (primary, target) in [("a", "b"), ("c", "b")] {
        stores.fallbacks.set(&chain(primary, FallbackReason::General, &[target]), None, &any_write()).await.unwrap();
    }
    tamper(&store, "UPDATE fallback_chains SET targets = '[\"a\"]' WHERE primary_model = 'a'").await;
    let loaded = stores.fallbacks.load().await.unwrap();
    let reason = "targets must not contain the primary model `a`";
    assert_eq!(loaded[0], Err(BadRow { id: "a\ngeneral".into(), reason: reason.into() }));
    assert!(loaded[1].is_ok());
    stores.deployments.delete(deployment(2, "b").id, None, &any_write()).await.unwrap();
    assert_eq!(stores.fallbacks.find("c", FallbackReason::General).await.unwrap(), None);
    stores.fallbacks.delete("a", FallbackReason::General, None, &any_write()).await.unwrap();
    assert!(stores.fallbacks.load().await.unwrap().is_empty());
}

#[tokio::test]
async fn bad_settings_are_named_and_can_be_written_anew() {
    let store = open_in_memory().await.unwrap();
    let settings = &store.stores().settings;
    let at = Timestamp::from_unix_ms(1);
    let revision = settings.replace(&RouterSettings::default(), at, Revision(0), &any_write()).await.unwrap();
    tamper(&store, r#"UPDATE router_settings SET settings = '{"routing_strategy":"by-mood"}'"#).await;
    let fault = settings.get().await.unwrap_err();
    assert_eq!(fault.kind(), Kind::Internal);
    assert!(fault.message().contains("settings is not understood"), "{fault}");
    settings.replace(&RouterSettings::default(), at, revision, &any_write()).await.unwrap();
    assert_eq!(settings.get().await.unwrap().settings, RouterSettings::default());
}

#[tokio::test]
async fn a_table_that_is_gone_is_a_defect_and_shows_no_sql() {
    let store = open_in_memory().await.unwrap();
    tamper(&store, "DROP TABLE fallback_chains").await;
    let fault = store.stores().fallbacks.load().await.unwrap_err();
    assert_eq!(fault.kind(), Kind::Internal);
    assert!(!fault.message().contains("fallback_chains"), "{fault}");
    assert!(fault.cause().unwrap().contains("fallback_chains"));
}

#[tokio::test]
async fn metadata_that_is_no_json_is_the_callers_fault() {
    let store = open_in_memory().await.unwrap();
    let mut sample = deployment(1, "a");
    sample.spec.metadata = Some("{".into());
    let fault = store.stores().deployments.create(&sample, &any_write()).await.unwrap_err();
    assert_eq!(fault.kind(), Kind::BadRequest, "{:?}", fault);
}

const MANY_KEYS: &str = "
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10050)
    INSERT INTO virtual_keys (id, revision, created_at, updated_at, hash, prefix, name, allowed_models, enabled)
    SELECT randomblob(16), 1, 1, 1, randomblob(32), 'unified-many', 'key ' || i, '[]', 1 FROM n";

#[tokio::test]
async fn a_total_is_counted_up_to_ten_thousand() {
    let store = open_in_memory().await.unwrap();
    tamper(&store, MANY_KEYS).await;
    let page = PageRequest { limit: 500, offset: 10_000, after: None };
    let page = store.stores().virtual_keys.list(&VirtualKeyFilter::default(), &page).await.unwrap();
    assert_eq!((page.items.len(), page.total, page.has_more), (50, 10_000, false));
}

#[tokio::test]
async fn a_record_keeps_every_field_in_its_column() {
    let store = open_in_memory().await.unwrap();
    let record = whole_record();
    store.stores().usage.record(std::slice::from_ref(&record)).await.unwrap();
    let columns =
        "SELECT group_concat('''' || name || ''', ' || CASE type WHEN 'BLOB' THEN 'hex(' || name || ')' ELSE name END)
                   FROM pragma_table_info(?1)";
    for (table, expected) in [("operations", None), ("attempts", Some("req_up"))] {
        let columns: String = sqlx::query_scalar(columns).bind(table).fetch_one(&store.readers).await.unwrap();
        let read = format!("SELECT json_object({columns}) FROM {table} LIMIT 1");
        let row: String = sqlx::query_scalar(sqlx::AssertSqlSafe(read)).fetch_one(&store.readers).await.unwrap();
        let row: serde_json::Value = serde_json::from_str(&row).unwrap();
        match expected {
            Some(id) => assert_eq!(row["provider_request_id"], id),
            None => assert_row_is_whole(&record, &row),
        }
    }
}
