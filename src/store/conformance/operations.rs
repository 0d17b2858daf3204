//! Recorded requests, read: found, listed, followed, summed up.

use std::time::Duration;

use uuid::Uuid;

use super::Backend;
use super::usage::{AT_MS, key, record};
use crate::domain::ids::{DeploymentId, OperationId, VirtualKeyId};
use crate::domain::money::NanoCents;
use crate::domain::operation_query::{
    OperationFilter, OperationOutcome, Percentiles, TailPosition, UsageDimension, UsageQuery, UsageRow,
};
use crate::domain::page::PageRequest;
use crate::domain::record::OperationRecord;
use crate::store::OperationStore;
use crate::time::Timestamp;

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;

fn id_of(record: &OperationRecord) -> OperationId {
    OperationId::from_uuid(record.id.parse().unwrap())
}

/// As lists answer it.
fn listed(record: &OperationRecord) -> OperationRecord {
    OperationRecord { attempts: Vec::new(), charge: None, ..record.clone() }
}

fn all() -> OperationFilter {
    OperationFilter::default()
}

fn at(ms: i64) -> Timestamp {
    Timestamp::from_unix_ms(ms)
}

async fn ids(store: &dyn OperationStore, filter: &OperationFilter) -> Vec<String> {
    let page = store.list(filter, &PageRequest::default()).await.unwrap();
    assert_eq!(page.total, Some(u32::try_from(page.items.len()).unwrap()), "{filter:?}");
    page.items.into_iter().map(|record| record.id).collect()
}

pub(super) async fn every_field_comes_back_with_its_attempts(backend: Backend) {
    let fresh = backend.open().await;
    let (mut old, new) = (record(1, AT_MS, 5), record(2, AT_MS + 1, 7));
    (old.request_id, old.key_id, old.cost, old.attempts) = ("req_1".to_owned(), None, None, Vec::new());
    fresh.stores.usage.record(&[old.clone(), new.clone()]).await.unwrap();
    let store = &fresh.stores.operations;
    assert_eq!(store.find(id_of(&new)).await.unwrap(), Some(OperationRecord { charge: None, ..new.clone() }));
    assert_eq!(store.find(id_of(&old)).await.unwrap(), Some(listed(&old)));
    assert_eq!(store.find(OperationId::from_uuid(Uuid::nil())).await.unwrap(), None);
    let newest = store.find_by_request("req_1").await.unwrap().unwrap();
    assert_eq!((newest.id, newest.attempts.len()), (new.id, 2));
    assert_eq!(store.find_by_request("req_2").await.unwrap(), None);
}

pub(super) async fn pages_begin_with_the_newest_and_meet_every_row_once(backend: Backend) {
    let fresh = backend.open().await;
    // Over midnight, and stored in another order than they began.
    let mut records: Vec<_> = (0..7).map(|n| record(n, AT_MS + i64::try_from(n).unwrap() * DAY_MS / 3, 1)).collect();
    records.reverse();
    let newest_first = records.clone();
    records.swap(1, 5);
    fresh.stores.usage.record(&records).await.unwrap();
    let store = &fresh.stores.operations;
    for by_cursor in [true, false] {
        let (mut seen, mut page) = (Vec::new(), PageRequest { limit: 3, ..PageRequest::default() });
        loop {
            let answer = store.list(&all(), &page).await.unwrap();
            assert_eq!(answer.total, page.after.is_none().then_some(7));
            if by_cursor {
                page.after = answer.items.last().map(|last| *id_of(last).as_uuid());
            } else {
                page.offset += 3;
            }
            seen.extend(answer.items);
            if !answer.has_more {
                break;
            }
        }
        assert_eq!(seen, newest_first.iter().map(listed).collect::<Vec<_>>());
    }
}

/// A record's id is made a moment before its time is taken, so the two can lie on different sides of a bound.
pub(super) async fn bounds_of_time_are_those_of_the_records_and_not_of_their_ids(backend: Backend) {
    let fresh = backend.open().await;
    let late = |number: u128, id_ms: i64, later_ms: i64| OperationRecord {
        started_at: id_ms + later_ms,
        ..record(number, id_ms, 1)
    };
    let (start, end) = (AT_MS, AT_MS + HOUR_MS);
    let records = [
        late(1, start - 50_000, 49_999),
        late(2, start - 50_000, 50_000),
        late(3, start, 0),
        late(4, start + HOUR_MS / 2, 59_999),
        late(5, end - 60_000, 59_999),
        late(6, end - 50_000, 50_000),
        late(7, end, 0),
    ];
    fresh.stores.usage.record(&records).await.unwrap();
    let store = fresh.stores.operations.as_ref();
    let range = OperationFilter { start: Some(at(start)), end: Some(at(end)), ..all() };
    let within: Vec<String> = records[1..5].iter().rev().map(|record| record.id.clone()).collect();
    for filter in [
        range.clone(),
        OperationFilter { key: Some(key()), ..range.clone() },
        OperationFilter { tag: Some("nightly".to_owned()), ..range.clone() },
        OperationFilter { tag: Some("nightly".to_owned()), key: Some(key()), ..range.clone() },
        OperationFilter { tag: Some("nightly".to_owned()), outcome: Some(OperationOutcome::Success), ..range },
    ] {
        assert_eq!(ids(store, &filter).await, within, "{filter:?}");
    }
    let after = OperationFilter { start: Some(at(start)), ..all() };
    assert_eq!(ids(store, &after).await.len(), 6);
    let before = OperationFilter { end: Some(at(start)), ..all() };
    assert_eq!(ids(store, &before).await, [records[0].id.clone()]);
    let short = OperationFilter { start: Some(at(end - 1)), end: Some(at(end)), ..all() };
    assert_eq!(ids(store, &short).await, [records[4].id.clone()]);
}

pub(super) async fn conditions_combine(backend: Backend) {
    let fresh = backend.open().await;
    let plain =
        OperationRecord { degraded: false, cache_hit: false, tags: vec!["a".to_owned()], ..record(1, AT_MS, 1) };
    let other = OperationRecord {
        request_id: "req_2".to_owned(),
        key_id: Some(Uuid::from_u128(70).to_string()),
        public_model: "special".to_owned(),
        deployment_id: None,
        provider: None,
        operation: "embedding.create".to_owned(),
        outcome: "error".to_owned(),
        http_status: 503,
        degraded: true,
        cache_hit: true,
        tags: vec!["a".to_owned(), "b's".to_owned()],
        duration_ms: 61_000,
        ..record(2, AT_MS + DAY_MS, 1)
    };
    fresh.stores.usage.record(&[plain.clone(), other.clone()]).await.unwrap();
    let store = fresh.stores.operations.as_ref();
    let (one, two) = (vec![plain.id.clone()], vec![other.id.clone()]);
    let both = vec![other.id.clone(), plain.id.clone()];
    let text = |text: &str| Some(text.to_owned());
    let cases = [
        (all(), both.clone()),
        (OperationFilter { request_id: text("req_2"), ..all() }, two.clone()),
        (OperationFilter { request_id: text("req_3"), ..all() }, vec![]),
        (OperationFilter { key: Some(key()), ..all() }, one.clone()),
        (OperationFilter { key: Some(VirtualKeyId::from_uuid(Uuid::from_u128(70))), ..all() }, two.clone()),
        (OperationFilter { public_model: text("special"), ..all() }, two.clone()),
        (OperationFilter { deployment: Some(DeploymentId::from_uuid(Uuid::from_u128(9))), ..all() }, one.clone()),
        (OperationFilter { provider: text("echo"), ..all() }, one.clone()),
        (OperationFilter { operation: text("embedding.create"), ..all() }, two.clone()),
        (OperationFilter { operation: text("text.generate"), ..all() }, one.clone()),
        (OperationFilter { outcome: Some(OperationOutcome::Error), ..all() }, two.clone()),
        (OperationFilter { outcome: Some(OperationOutcome::Success), ..all() }, one.clone()),
        (OperationFilter { degraded: Some(true), ..all() }, two.clone()),
        (OperationFilter { degraded: Some(false), ..all() }, one.clone()),
        (OperationFilter { cache_hit: Some(true), ..all() }, two.clone()),
        (OperationFilter { cache_hit: Some(false), ..all() }, one.clone()),
        (OperationFilter { status: Some(503), ..all() }, two.clone()),
        (OperationFilter { status: Some(200), ..all() }, one.clone()),
        (OperationFilter { tag: text("a"), ..all() }, both.clone()),
        (OperationFilter { tag: text("b's"), ..all() }, two.clone()),
        (OperationFilter { tag: text("b"), ..all() }, vec![]),
        (OperationFilter { min_duration_ms: Some(12), ..all() }, both.clone()),
        (OperationFilter { min_duration_ms: Some(61_000), ..all() }, two.clone()),
        (OperationFilter { min_duration_ms: Some(61_001), ..all() }, vec![]),
        (OperationFilter { start: Some(at(AT_MS)), end: Some(at(AT_MS + 1)), ..all() }, one.clone()),
        (OperationFilter { start: Some(at(AT_MS + 1)), ..all() }, two.clone()),
        (OperationFilter { end: Some(at(AT_MS)), ..all() }, vec![]),
        (OperationFilter { tag: text("a"), status: Some(503), start: Some(at(AT_MS)), ..all() }, two.clone()),
        (OperationFilter { tag: text("a"), key: Some(key()), degraded: Some(true), ..all() }, vec![]),
        (OperationFilter { key: Some(key()), public_model: text("special"), ..all() }, vec![]),
        (
            OperationFilter { key: Some(key()), public_model: text("general"), end: Some(at(AT_MS + 1)), ..all() },
            one.clone(),
        ),
        (OperationFilter { provider: text("echo"), operation: text("text.generate"), ..all() }, one.clone()),
        (OperationFilter { tag: text("a"), key: Some(key()), ..all() }, one.clone()),
        (OperationFilter { tag: text("a"), outcome: Some(OperationOutcome::Error), ..all() }, two.clone()),
        (OperationFilter { tag: text("b's"), public_model: text("special"), status: Some(503), ..all() }, two.clone()),
        (OperationFilter { tag: text("a"), outcome: Some(OperationOutcome::Success), ..all() }, one.clone()),
        (OperationFilter { key: Some(key()), outcome: Some(OperationOutcome::Error), ..all() }, vec![]),
        (OperationFilter { public_model: text("special"), status: Some(503), ..all() }, two.clone()),
    ];
    for (filter, expected) in cases {
        assert_eq!(ids(store, &filter).await, expected, "{filter:?}");
        let (mut tailed, _) = tailed(store, &filter, TailPosition::default(), expected.len()).await;
        tailed.reverse();
        assert_eq!(tailed, expected, "{filter:?}");
    }
}

/// What a tail answers until it has so many and is at its end. Other databases of the server can hold it up for a while.
async fn tailed(
    store: &dyn OperationStore,
    filter: &OperationFilter,
    mut place: TailPosition,
    wanted: usize,
) -> (Vec<String>, TailPosition) {
    let mut seen = Vec::new();
    for _ in 0..1000 {
        let batch = store.tail(filter, place, 2).await.unwrap();
        place = batch.next;
        seen.extend(batch.records.into_iter().map(|record| record.id));
        if seen.len() >= wanted && !batch.has_more {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    (seen, place)
}

pub(super) async fn a_tail_meets_late_records_and_goes_on_after_any(backend: Backend) {
    let fresh = backend.open().await;
    let (usage, store) = (&fresh.stores.usage, fresh.stores.operations.as_ref());
    usage.record(&[record(1, AT_MS, 1)]).await.unwrap();
    let end = store.tail_end().await.unwrap();
    let (before, end) = tailed(store, &all(), end, 0).await;
    assert!(before.len() <= 1, "{before:?}");
    // The second group began long before the first.
    let (fast, late) = (record(5, AT_MS + 50, 1), record(2, AT_MS - 10, 1));
    usage.record(std::slice::from_ref(&fast)).await.unwrap();
    usage.record(&[late.clone(), record(6, AT_MS + 60, 1), record(7, AT_MS + 70, 1)]).await.unwrap();
    let (seen, end) = tailed(store, &all(), end, 4).await;
    assert_eq!(seen.iter().filter(|id| **id != record(1, AT_MS, 1).id).count(), 4, "{seen:?}");
    let after = seen.iter().position(|id| *id == late.id).unwrap();
    let place = store.tail_position(id_of(&late)).await.unwrap().unwrap();
    assert_eq!(tailed(store, &all(), place, 2).await.0, seen[after + 1..]);
    assert_eq!(store.tail_position(OperationId::from_uuid(Uuid::nil())).await.unwrap(), None);
    usage.record(&[record(8, AT_MS, 1)]).await.unwrap();
    assert_eq!(tailed(store, &all(), end, 1).await.0, [record(8, AT_MS, 1).id]);
}

fn query(filter: OperationFilter, start: i64, end: i64, group_by: &[UsageDimension]) -> UsageQuery {
    let filter = OperationFilter { start: Some(at(start)), end: Some(at(end)), ..filter };
    UsageQuery { filter, group_by: group_by.to_vec(), limit: 100 }
}

fn groups(rows: &[UsageRow]) -> Vec<(String, u64)> {
    rows.iter().map(|row| (row.group.join("/"), row.totals.requests)).collect()
}

/// Sums as they are kept must be those of the records, whatever the question; a condition that only records can answer,
/// and which all of them fulfil, makes the store add them up.
pub(super) async fn sums_are_those_of_the_records(backend: Backend) {
    let fresh = backend.open().await;
    let (usage, store) = (&fresh.stores.usage, &fresh.stores.operations);
    let mut records = Vec::new();
    for n in 0..60_u128 {
        let small = i64::try_from(n).unwrap();
        let mut one = record(n, AT_MS + small * HOUR_MS, small * 1_000_000_007);
        one.public_model = ["general", "special"][usize::try_from(n % 2).unwrap()].to_owned();
        one.key_id = (n % 3 != 0).then(|| Uuid::from_u128(n % 3).to_string());
        one.outcome = ["success", "error", "cancelled"][usize::try_from(n % 5 % 3).unwrap()].to_owned();
        one.tags = ["a", "b"].iter().take(usize::try_from(n % 3).unwrap()).map(|tag| (*tag).to_owned()).collect();
        one.cost = one.cost.filter(|_| n % 7 != 0);
        one.error = None;
        if n % 4 == 0 {
            (one.provider, one.deployment_id) = (None, None);
        }
        records.push(one);
    }
    // In groups, one of them twice.
    usage.record(&records[..25]).await.unwrap();
    usage.record(&records[20..]).await.unwrap();
    let day = AT_MS.div_euclid(DAY_MS) * DAY_MS;
    let ranges = [
        (day, day + 4 * DAY_MS),
        (AT_MS - HOUR_MS / 2, AT_MS + 40 * HOUR_MS),
        (day + 20 * HOUR_MS, day + 22 * HOUR_MS),
    ];
    use UsageDimension::{Day, Deployment, Hour, Key, Model, Operation, Provider, Tag};
    let dimensions: [&[UsageDimension]; 12] = [
        &[],
        &[Model],
        &[Key],
        &[Deployment],
        &[Provider],
        &[Operation],
        &[Tag],
        &[Day],
        &[Hour],
        &[Day, Model],
        &[Hour, Key],
        &[Tag, Day],
    ];
    for (start, end) in ranges {
        let (start, end) = (start.div_euclid(HOUR_MS) * HOUR_MS, end.div_euclid(HOUR_MS) * HOUR_MS);
        for group_by in dimensions {
            for filter in [
                all(),
                OperationFilter { key: Some(VirtualKeyId::from_uuid(Uuid::from_u128(1))), ..all() },
                OperationFilter { tag: Some("b".to_owned()), public_model: Some("general".to_owned()), ..all() },
            ] {
                let kept = store.aggregate(&query(filter.clone(), start, end, group_by)).await.unwrap();
                let filter = OperationFilter { min_duration_ms: Some(0), ..filter };
                let added = store.aggregate(&query(filter.clone(), start, end, group_by)).await.unwrap();
                assert_eq!(kept, added, "{group_by:?} {filter:?}");
            }
        }
    }
    let whole = store.aggregate(&query(all(), day, day + 4 * DAY_MS, &[])).await.unwrap();
    let cost: i64 = records.iter().filter_map(|record| record.cost).sum();
    assert_eq!((whole[0].totals.requests, whole[0].totals.cost), (60, NanoCents(cost)));
    assert_eq!((whole[0].totals.unpriced, whole[0].totals.errors), (9, 24));
    let by_day = store.aggregate(&query(all(), day, day + 4 * DAY_MS, &[Day])).await.unwrap();
    let expected = [("2026-11-25", 6), ("2026-11-26", 24), ("2026-11-27", 24), ("2026-11-28", 6)];
    assert_eq!(groups(&by_day), expected.map(|(day, count)| (day.to_owned(), count)));
    let by_tag = store.aggregate(&query(all(), day, day + 4 * DAY_MS, &[Tag])).await.unwrap();
    assert_eq!(groups(&by_tag), [("a".to_owned(), 40), ("b".to_owned(), 20)]);
    let by_hour = store.aggregate(&query(all(), day + 18 * HOUR_MS, day + 20 * HOUR_MS, &[Hour, Key])).await.unwrap();
    let first = "2026-11-25T18:00:00.000Z/".to_owned();
    assert_eq!(groups(&by_hour)[0], (first, 1));
}

pub(super) async fn sums_outlive_their_records(backend: Backend) {
    let fresh = backend.open().await;
    let (usage, store) = (&fresh.stores.usage, &fresh.stores.operations);
    usage.record(&[record(1, AT_MS - 3 * DAY_MS, 5), record(2, AT_MS, 7)]).await.unwrap();
    usage.forget_before(AT_MS - DAY_MS).await.unwrap();
    assert_eq!(ids(store.as_ref(), &all()).await, [record(2, AT_MS, 7).id]);
    assert_eq!(ids(store.as_ref(), &OperationFilter { tag: Some("nightly".to_owned()), ..all() }).await.len(), 1);
    let day = AT_MS.div_euclid(DAY_MS) * DAY_MS;
    for group_by in [UsageDimension::Model, UsageDimension::Tag] {
        let rows = store.aggregate(&query(all(), day - 5 * DAY_MS, day + DAY_MS, &[group_by])).await.unwrap();
        assert!(rows.iter().all(|row| row.totals.cost == NanoCents(12)), "{rows:?}");
    }
}

pub(super) async fn names_of_models_that_nobody_has_are_summed_up_as_one(backend: Backend) {
    let fresh = backend.open().await;
    let unknown = |number: u128| OperationRecord {
        public_model: format!("made-up-{number}"),
        error: Some("model_not_found".to_owned()),
        ..record(number, AT_MS, 0)
    };
    fresh.stores.usage.record(&[unknown(1), unknown(2)]).await.unwrap();
    // They are found by those names all the same, also together with another condition.
    let named = OperationFilter { public_model: Some("made-up-1".to_owned()), key: Some(key()), ..all() };
    assert_eq!(ids(fresh.stores.operations.as_ref(), &named).await.len(), 1);
    let day = AT_MS.div_euclid(DAY_MS) * DAY_MS;
    let by_model = query(all(), day, day + DAY_MS, &[UsageDimension::Model]);
    assert_eq!(groups(&fresh.stores.operations.aggregate(&by_model).await.unwrap()), [(String::new(), 2)]);
}

pub(super) async fn a_summary_counts_and_ranks(backend: Backend) {
    let fresh = backend.open().await;
    let store = &fresh.stores.operations;
    let empty = store.summary(at(AT_MS), at(AT_MS + DAY_MS)).await.unwrap();
    assert_eq!((empty.all.requests(), empty.all.duration, empty.models.len()), (0, None, 0));
    let mut records: Vec<_> = (1..=100_u32)
        .map(|n| OperationRecord {
            duration_ms: u64::from(n),
            first_output_ms: (n > 50).then(|| u64::from(n) * 1_001),
            error: None,
            ..record(n.into(), AT_MS + i64::from(n), 2)
        })
        .collect();
    records.push(OperationRecord {
        public_model: "other".to_owned(),
        outcome: "error".to_owned(),
        first_output_ms: None,
        ..record(200, AT_MS, 3)
    });
    records.push(record(300, AT_MS - DAY_MS, 1));
    fresh.stores.usage.record(&records).await.unwrap();
    let summary = store.summary(at(AT_MS), at(AT_MS + DAY_MS)).await.unwrap();
    assert_eq!((summary.all.outcomes, summary.all.cost), ([100, 0, 0, 1, 0, 0], NanoCents(203)));
    assert_eq!(summary.all.duration, Some(Percentiles { p50: 50, p95: 95, p99: 99 }));
    // Three digits of 75075, 98098 and 100100.
    assert_eq!(summary.all.first_output, Some(Percentiles { p50: 75_000, p95: 98_000, p99: 100_000 }));
    let models: Vec<_> = summary.models.iter().map(|part| (part.public_model.as_str(), part.requests())).collect();
    assert_eq!(models, [("general", 100), ("other", 1)]);
    assert_eq!((summary.models[0].duration, summary.models[1].duration), (summary.all.duration, None));
    assert_eq!((summary.all.input_tokens, summary.all.degraded, summary.all.cache_hits), (1010, 101, 101));
}
