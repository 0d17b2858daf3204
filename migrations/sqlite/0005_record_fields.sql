-- What records say of a request beyond its tokens: how it was sent, how it went, and what else it used.

ALTER TABLE operations ADD COLUMN tags TEXT NOT NULL DEFAULT '[]' CHECK (json_valid(tags));
ALTER TABLE operations ADD COLUMN lane TEXT CHECK (lane IN ('native', 'translated'));
ALTER TABLE operations ADD COLUMN cache_hit INTEGER NOT NULL DEFAULT 0 CHECK (cache_hit IN (0, 1));
ALTER TABLE operations ADD COLUMN service_tier TEXT;
ALTER TABLE operations ADD COLUMN cache_write_1h_tokens INTEGER NOT NULL DEFAULT 0;
ALTER TABLE operations ADD COLUMN image_count INTEGER NOT NULL DEFAULT 0;
ALTER TABLE operations ADD COLUMN audio_ms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE operations ADD COLUMN characters INTEGER NOT NULL DEFAULT 0;
ALTER TABLE operations ADD COLUMN search_units INTEGER NOT NULL DEFAULT 0;
ALTER TABLE operations ADD COLUMN hosted_calls INTEGER NOT NULL DEFAULT 0;
ALTER TABLE operations ADD COLUMN first_byte_ms INTEGER;
ALTER TABLE operations ADD COLUMN first_reasoning_ms INTEGER;
ALTER TABLE operations ADD COLUMN longest_gap_ms INTEGER;
ALTER TABLE operations ADD COLUMN blocked_ms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE operations ADD COLUMN response_bytes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE operations ADD COLUMN reasoning_requested TEXT;
ALTER TABLE operations ADD COLUMN reasoning_effective TEXT;
ALTER TABLE operations ADD COLUMN reasoning_clamped INTEGER NOT NULL DEFAULT 0 CHECK (reasoning_clamped IN (0, 1));
ALTER TABLE operations ADD COLUMN error_class TEXT;

-- The provider's own id of the call, for its support.
ALTER TABLE attempts ADD COLUMN provider_request_id TEXT;
