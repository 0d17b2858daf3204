//! Records of finished requests, and spending.

use uuid::Uuid;

use super::Backend;
use crate::domain::ids::VirtualKeyId;
use crate::domain::ports::{PortError, StoredSpend};
use crate::domain::record::{AttemptRecord, Charge, OperationRecord, RECORD_VERSION};
use crate::domain::virtual_key::BudgetReset;
use crate::domain::window::Window;
use crate::time::Timestamp;

/// 2026-11-25T18:30:00Z.
pub(super) const AT_MS: i64 = 1_795_631_400_000;

pub(super) fn key() -> VirtualKeyId {
    VirtualKeyId::from_uuid(Uuid::from_u128(7))
}

fn window() -> Window {
    Window::at(Some(BudgetReset::Daily), Timestamp::from_unix_ms(AT_MS))
}

/// A record with every field set, made at a moment.
pub(super) fn record(number: u128, at_ms: i64, amount: i64) -> OperationRecord {
    let id = Uuid::from_u128((u128::try_from(at_ms).unwrap() << 80) | (7 << 76) | number).to_string();
    let deployment_id = Uuid::from_u128(9).to_string();
    let attempt = AttemptRecord {
        number: 1,
        deployment_id: deployment_id.clone(),
        provider: "echo".to_owned(),
        upstream_model: "m".to_owned(),
        class: Some("transient".to_owned()),
        http_status: Some(503),
        detail: Some("it's \"down\"".to_owned()),
        duration_ms: 3,
        ok: false,
        provider_request_id: Some("req_up".to_owned()),
    };
    OperationRecord {
        version: RECORD_VERSION,
        id,
        request_id: "req_1".to_owned(),
        key_id: Some(key().to_string()),
        public_model: "general".to_owned(),
        served_model: Some("backup".to_owned()),
        deployment_id: Some(deployment_id),
        provider: Some("echo".to_owned()),
        operation: "text.generate".to_owned(),
        contract: "messages".to_owned(),
        tags: vec!["team-a".to_owned(), "nightly".to_owned()],
        lane: Some("translated".to_owned()),
        stream: true,
        cache_hit: true,
        service_tier: Some("priority".to_owned()),
        outcome: "success".to_owned(),
        degraded: true,
        estimated: true,
        http_status: 200,
        input_tokens: 10,
        cache_read_tokens: 1,
        cache_write_tokens: 2,
        cache_write_1h_tokens: 1,
        audio_input_tokens: 3,
        output_tokens: 20,
        reasoning_tokens: 4,
        audio_output_tokens: 5,
        image_count: 6,
        audio_ms: 7,
        characters: 8,
        search_units: 9,
        hosted_calls: 10,
        cost: Some(amount),
        upstream_cost: Some(amount),
        started_at: at_ms,
        duration_ms: 12,
        first_byte_ms: Some(1),
        first_reasoning_ms: Some(2),
        first_output_ms: Some(3),
        longest_gap_ms: Some(4),
        blocked_ms: 5,
        request_bytes: 100,
        response_bytes: 200,
        reasoning_requested: Some("high".to_owned()),
        reasoning_effective: Some("medium".to_owned()),
        reasoning_clamped: true,
        dropped: vec!["seed".to_owned()],
        finish_reason: Some("stop".to_owned()),
        error: Some("upstream".to_owned()),
        error_class: Some("transient".to_owned()),
        error_detail: Some("it's \"down\"".to_owned()),
        config_revision: 4,
        attempts: vec![attempt.clone(), AttemptRecord { number: 2, ok: true, ..attempt }],
        charge: Some(Charge {
            key_id: key().to_string(),
            window: window().word().to_owned(),
            window_start: window().start.unix_ms(),
            epoch: None,
            amount,
        }),
    }
}

pub(super) async fn a_record_is_stored_once_and_charged_once(backend: Backend) {
    let fresh = backend.open().await;
    let usage = &fresh.stores.usage;
    usage.record(&[record(1, AT_MS, 5), record(2, AT_MS, 7)]).await.unwrap();
    usage.record(&[record(2, AT_MS, 7), record(3, AT_MS, 11)]).await.unwrap();
    usage.record(&[record(3, AT_MS, 11)]).await.unwrap();
    // Twice in one group.
    usage.record(&[record(4, AT_MS, 1), record(4, AT_MS, 1)]).await.unwrap();
    let spend = usage.spend(&[(key(), window())]).await.unwrap();
    assert_eq!(spend[0].spent, 5 + 7 + 11 + 1);
}

pub(super) async fn spending_is_kept_by_window_and_epoch(backend: Backend) {
    let fresh = backend.open().await;
    let usage = &fresh.stores.usage;
    let none = Window::at(None, Timestamp::from_unix_ms(AT_MS));
    let other = VirtualKeyId::from_uuid(Uuid::from_u128(8));
    let asked = [(other, window()), (key(), none), (key(), window())];
    let of = |epoch, spent| StoredSpend { epoch, spent };
    assert_eq!(usage.spend(&asked).await.unwrap(), [of(0, 0), of(0, 0), of(0, 0)]);
    usage.record(&[record(1, AT_MS, 5)]).await.unwrap();
    assert_eq!(usage.spend(&asked).await.unwrap(), [of(0, 0), of(0, 0), of(0, 5)]);
    assert_eq!(usage.next_epoch(key()).await.unwrap(), 1);
    assert_eq!(usage.spend(&asked).await.unwrap(), [of(0, 0), of(1, 0), of(1, 0)]);
    // Admitted before the reset, or without knowing of it.
    let mut late = record(2, AT_MS, 100);
    late.charge.as_mut().unwrap().epoch = Some(0);
    usage.record(&[late, record(3, AT_MS, 3)]).await.unwrap();
    assert_eq!(usage.spend(&asked).await.unwrap(), [of(0, 0), of(1, 0), of(1, 3)]);
    assert_eq!(usage.next_epoch(key()).await.unwrap(), 2);
}

pub(super) async fn a_bad_record_is_refused_with_its_group_and_can_be_put_aside(backend: Backend) {
    let fresh = backend.open().await;
    let usage = &fresh.stores.usage;
    let bad = OperationRecord { outcome: "unheard of".to_owned(), ..record(2, AT_MS, 7) };
    let refused = usage.record(&[record(1, AT_MS, 5), bad.clone()]).await;
    assert!(matches!(refused, Err(PortError::Refused(_))), "{refused:?}");
    assert_eq!(usage.spend(&[(key(), window())]).await.unwrap()[0].spent, 0);
    usage.put_aside(&bad, "a word").await.unwrap();
    usage.put_aside(&bad, "a word").await.unwrap();
    let no_id = OperationRecord { id: "x".to_owned(), ..record(3, AT_MS, 1) };
    assert!(matches!(usage.record(&[no_id]).await, Err(PortError::Refused(_))));
}

pub(super) async fn what_is_old_is_forgotten_and_spending_is_not(backend: Backend) {
    const DAY_MS: i64 = 86_400_000;
    let fresh = backend.open().await;
    let usage = &fresh.stores.usage;
    usage.record(&[record(1, AT_MS - 2 * DAY_MS, 5), record(2, AT_MS, 7)]).await.unwrap();
    usage.forget_before(AT_MS - DAY_MS).await.unwrap();
    usage.forget_before(AT_MS - DAY_MS).await.unwrap();
    // The young one is known still, the old one is new again.
    usage.record(&[record(2, AT_MS, 7)]).await.unwrap();
    assert_eq!(usage.spend(&[(key(), window())]).await.unwrap()[0].spent, 12);
    usage.record(&[record(1, AT_MS - 2 * DAY_MS, 5)]).await.unwrap();
    assert_eq!(usage.spend(&[(key(), window())]).await.unwrap()[0].spent, 17);
}

/// Checks that a row, as JSON, holds what its record says: every field under its own name.
pub(in crate::store) fn assert_row_is_whole(record: &OperationRecord, row: &serde_json::Value) {
    let record = serde_json::to_value(record).unwrap();
    for (field, said) in record.as_object().unwrap() {
        let column = match field.as_str() {
            // Parts that have tables of their own, and the form of the JSON.
            "version" | "attempts" | "charge" => continue,
            "cost" => "cost_nanocents",
            "upstream_cost" => "upstream_nanocents",
            other => other,
        };
        let kept = &row[column];
        let is_same = match said {
            serde_json::Value::Bool(said) => kept == said || *kept == u64::from(*said),
            serde_json::Value::Array(_) => {
                kept.as_str() == Some(&said.to_string())
                    || kept.as_str().is_some_and(|text| {
                        serde_json::from_str::<serde_json::Value>(text).is_ok_and(|kept| kept == *said)
                    })
            }
            // SQLite keeps ids as bytes and shows them in hexadecimal.
            serde_json::Value::String(text) => {
                let plain = |text: &str| text.replace('-', "").to_lowercase();
                kept.as_str().is_some_and(|kept| kept == text || plain(kept) == plain(text))
            }
            said => kept == said,
        };
        assert!(is_same && !said.is_null(), "{field}: {said} is kept as {kept}");
    }
}

/// A record with every field set.
pub(in crate::store) fn whole_record() -> OperationRecord {
    record(1, AT_MS, 5)
}
