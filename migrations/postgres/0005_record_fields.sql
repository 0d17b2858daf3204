-- What records say of a request beyond its tokens: how it was sent, how it went, and what else it used.

ALTER TABLE operations
    ADD COLUMN tags TEXT NOT NULL DEFAULT '[]',
    ADD COLUMN lane TEXT CHECK (lane IN ('native', 'translated')),
    ADD COLUMN cache_hit BOOLEAN NOT NULL DEFAULT FALSE,
    ADD COLUMN service_tier TEXT,
    ADD COLUMN cache_write_1h_tokens BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN image_count BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN audio_ms BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN characters BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN search_units BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN hosted_calls BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN first_byte_ms BIGINT,
    ADD COLUMN first_reasoning_ms BIGINT,
    ADD COLUMN longest_gap_ms BIGINT,
    ADD COLUMN blocked_ms BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN response_bytes BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN reasoning_requested TEXT,
    ADD COLUMN reasoning_effective TEXT,
    ADD COLUMN reasoning_clamped BOOLEAN NOT NULL DEFAULT FALSE,
    ADD COLUMN error_class TEXT;

-- The provider's own id of the call, for its support.
ALTER TABLE attempts ADD COLUMN provider_request_id TEXT;
