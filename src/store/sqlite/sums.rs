//! What a transaction that stores records adds besides: their tags, and sums by hour and by day.

/// The tags of records.
pub(super) const TAGS: &str = "
    INSERT INTO operation_tags (tag, operation_id)
    SELECT value->>'tag', unhex(replace(value->>'operation_id', '-', '')) FROM json_each(?1) WHERE true
    ON CONFLICT (tag, operation_id) DO NOTHING";
/// Sums by hour.
pub(super) const HOURS: &str = "
    INSERT INTO usage_hours (
        hour, public_model, key_id, deployment_id, provider, operation, requests, errors, input_tokens,
        cache_read_tokens, cache_write_tokens, audio_input_tokens, output_tokens, reasoning_tokens,
        audio_output_tokens, image_count, audio_ms, characters, search_units, cost_nanocents,
        upstream_nanocents, unpriced
    )
    SELECT
        value->>'span', value->>'public_model', value->>'key_id', value->>'deployment_id', value->>'provider',
        value->>'operation', value->>'requests', value->>'errors', value->>'input_tokens',
        value->>'cache_read_tokens', value->>'cache_write_tokens', value->>'audio_input_tokens',
        value->>'output_tokens', value->>'reasoning_tokens', value->>'audio_output_tokens',
        value->>'image_count', value->>'audio_ms', value->>'characters', value->>'search_units',
        value->>'cost_nanocents', value->>'upstream_nanocents', value->>'unpriced'
    FROM json_each(?1) WHERE true
    ON CONFLICT (hour, public_model, key_id, deployment_id, provider, operation) DO UPDATE SET
        requests = usage_hours.requests + excluded.requests, errors = usage_hours.errors + excluded.errors,
        input_tokens = usage_hours.input_tokens + excluded.input_tokens,
        cache_read_tokens = usage_hours.cache_read_tokens + excluded.cache_read_tokens,
        cache_write_tokens = usage_hours.cache_write_tokens + excluded.cache_write_tokens,
        audio_input_tokens = usage_hours.audio_input_tokens + excluded.audio_input_tokens,
        output_tokens = usage_hours.output_tokens + excluded.output_tokens,
        reasoning_tokens = usage_hours.reasoning_tokens + excluded.reasoning_tokens,
        audio_output_tokens = usage_hours.audio_output_tokens + excluded.audio_output_tokens,
        image_count = usage_hours.image_count + excluded.image_count,
        audio_ms = usage_hours.audio_ms + excluded.audio_ms,
        characters = usage_hours.characters + excluded.characters,
        search_units = usage_hours.search_units + excluded.search_units,
        cost_nanocents = usage_hours.cost_nanocents + excluded.cost_nanocents,
        upstream_nanocents = usage_hours.upstream_nanocents + excluded.upstream_nanocents,
        unpriced = usage_hours.unpriced + excluded.unpriced";
/// Sums by day.
pub(super) const DAYS: &str = "
    INSERT INTO usage_days (
        tag, day, public_model, key_id, deployment_id, provider, operation, requests, errors, input_tokens,
        cache_read_tokens, cache_write_tokens, audio_input_tokens, output_tokens, reasoning_tokens,
        audio_output_tokens, image_count, audio_ms, characters, search_units, cost_nanocents,
        upstream_nanocents, unpriced
    )
    SELECT
        value->>'tag', value->>'span', value->>'public_model', value->>'key_id', value->>'deployment_id',
        value->>'provider', value->>'operation', value->>'requests', value->>'errors', value->>'input_tokens',
        value->>'cache_read_tokens', value->>'cache_write_tokens', value->>'audio_input_tokens',
        value->>'output_tokens', value->>'reasoning_tokens', value->>'audio_output_tokens',
        value->>'image_count', value->>'audio_ms', value->>'characters', value->>'search_units',
        value->>'cost_nanocents', value->>'upstream_nanocents', value->>'unpriced'
    FROM json_each(?1) WHERE true
    ON CONFLICT (tag, day, public_model, key_id, deployment_id, provider, operation) DO UPDATE SET
        requests = usage_days.requests + excluded.requests, errors = usage_days.errors + excluded.errors,
        input_tokens = usage_days.input_tokens + excluded.input_tokens,
        cache_read_tokens = usage_days.cache_read_tokens + excluded.cache_read_tokens,
        cache_write_tokens = usage_days.cache_write_tokens + excluded.cache_write_tokens,
        audio_input_tokens = usage_days.audio_input_tokens + excluded.audio_input_tokens,
        output_tokens = usage_days.output_tokens + excluded.output_tokens,
        reasoning_tokens = usage_days.reasoning_tokens + excluded.reasoning_tokens,
        audio_output_tokens = usage_days.audio_output_tokens + excluded.audio_output_tokens,
        image_count = usage_days.image_count + excluded.image_count,
        audio_ms = usage_days.audio_ms + excluded.audio_ms,
        characters = usage_days.characters + excluded.characters,
        search_units = usage_days.search_units + excluded.search_units,
        cost_nanocents = usage_days.cost_nanocents + excluded.cost_nanocents,
        upstream_nanocents = usage_days.upstream_nanocents + excluded.upstream_nanocents,
        unpriced = usage_days.unpriced + excluded.unpriced";
/// Sums by tag, before a day.
pub(super) const FORGET_SUMS: &str = "DELETE FROM usage_days WHERE tag <> '' AND day < ?1";
