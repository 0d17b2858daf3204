//! What a transaction that stores records adds besides: their tags, and sums by hour and by day.

use std::sync::LazyLock;

use super::insert::{Column, SIZES, Value, insert};
use crate::store::sums::Addition;

/// The tags of records.
pub(super) const TAGS: &str = "
    INSERT INTO operation_tags (tag, operation_id)
    SELECT value->>'tag', unhex(replace(value->>'operation_id', '-', '')) FROM json_each(?1) WHERE true
    ON CONFLICT (tag, operation_id) DO NOTHING";
/// Sums by hour, by their number.
pub(super) static HOURS: LazyLock<[String; SIZES.len()]> = LazyLock::new(|| {
    upserts(
        "usage_hours",
        &hour_columns(),
        &["hour", "public_model", "key_id", "deployment_id", "provider", "operation"],
    )
});
/// Sums by day, by their number.
pub(super) static DAYS: LazyLock<[String; SIZES.len()]> = LazyLock::new(|| {
    upserts(
        "usage_days",
        &day_columns(),
        &["tag", "day", "public_model", "key_id", "deployment_id", "provider", "operation"],
    )
});

/// Rows of sums, or what is added to those that are there.
fn upserts(table: &str, columns: &[Column<Addition<'_>>], key: &[&str]) -> [String; SIZES.len()] {
    let added = columns.iter().map(|(name, _)| *name).filter(|name| !key.contains(name));
    let added: Vec<String> = added.map(|name| format!("{name} = {table}.{name} + excluded.{name}")).collect();
    let (key, added) = (key.join(", "), added.join(", "));
    SIZES.map(|size| format!("{} ON CONFLICT ({key}) DO UPDATE SET {added}", insert(table, columns, None, size)))
}

/// The columns of sums by hour.
pub(super) fn hour_columns<'s>() -> Vec<Column<Addition<'s>>> {
    let span: [Column<Addition<'s>>; 1] = [("hour", |sum| Value::Int(Some(sum.group.span)))];
    span.into_iter().chain(columns()).collect()
}

/// The columns of sums by day.
pub(super) fn day_columns<'s>() -> Vec<Column<Addition<'s>>> {
    let span: [Column<Addition<'s>>; 2] =
        [("tag", |sum| Value::text(sum.group.tag)), ("day", |sum| Value::Int(Some(sum.group.span)))];
    span.into_iter().chain(columns()).collect()
}

fn columns<'s>() -> [Column<Addition<'s>>; 21] {
    [
        ("public_model", |sum| Value::text(sum.group.public_model)),
        ("key_id", |sum| Value::text(sum.group.key_id)),
        ("deployment_id", |sum| Value::text(sum.group.deployment_id)),
        ("provider", |sum| Value::text(sum.group.provider)),
        ("operation", |sum| Value::text(sum.group.operation)),
        ("requests", |sum| Value::count(sum.amounts.requests)),
        ("errors", |sum| Value::count(sum.amounts.errors)),
        ("input_tokens", |sum| Value::count(sum.amounts.input_tokens)),
        ("cache_read_tokens", |sum| Value::count(sum.amounts.cache_read_tokens)),
        ("cache_write_tokens", |sum| Value::count(sum.amounts.cache_write_tokens)),
        ("audio_input_tokens", |sum| Value::count(sum.amounts.audio_input_tokens)),
        ("output_tokens", |sum| Value::count(sum.amounts.output_tokens)),
        ("reasoning_tokens", |sum| Value::count(sum.amounts.reasoning_tokens)),
        ("audio_output_tokens", |sum| Value::count(sum.amounts.audio_output_tokens)),
        ("image_count", |sum| Value::count(sum.amounts.image_count)),
        ("audio_ms", |sum| Value::count(sum.amounts.audio_ms)),
        ("characters", |sum| Value::count(sum.amounts.characters)),
        ("search_units", |sum| Value::count(sum.amounts.search_units)),
        ("cost_nanocents", |sum| Value::Int(Some(sum.amounts.cost_nanocents))),
        ("upstream_nanocents", |sum| Value::Int(Some(sum.amounts.upstream_nanocents))),
        ("unpriced", |sum| Value::count(sum.amounts.unpriced)),
    ]
}

/// Sums by tag, before a day.
pub(super) const FORGET_SUMS: &str = "DELETE FROM usage_days WHERE tag <> '' AND day < ?1";
