-- Finding recorded requests, summing them up, and following them.
--
-- Every index is paid for by every request that is recorded, so what is rare has an index of its rare rows alone.

-- The transaction that stored it. Ids tell when a request began, and long ones come late: whoever follows the records
-- goes by this, up to the oldest transaction that is still open.
ALTER TABLE operations ADD COLUMN stored_in BIGINT NOT NULL DEFAULT (pg_current_xact_id()::text::bigint);
CREATE INDEX operations_stored ON operations (stored_in, id);

CREATE INDEX operations_model ON operations (public_model, id);
CREATE INDEX operations_deployment ON operations (deployment_id, id);
CREATE INDEX operations_provider ON operations (provider, id);
CREATE INDEX operations_operation ON operations (operation, id) WHERE operation <> 'text.generate';
CREATE INDEX operations_outcome ON operations (outcome, id) WHERE outcome <> 'success';
CREATE INDEX operations_status ON operations (http_status, id) WHERE http_status <> 200;
CREATE INDEX operations_degraded ON operations (id) WHERE degraded;
CREATE INDEX operations_cache_hit ON operations (id) WHERE cache_hit;
CREATE INDEX operations_10s ON operations (id) WHERE duration_ms >= 10000;
CREATE INDEX operations_60s ON operations (id) WHERE duration_ms >= 60000;
CREATE INDEX operations_300s ON operations (id) WHERE duration_ms >= 300000;

CREATE TABLE operation_tags (
    tag          TEXT NOT NULL,
    operation_id UUID NOT NULL,
    PRIMARY KEY (tag, operation_id)
) PARTITION BY RANGE (operation_id);

-- Sums by hour (hours since 1970) and by day (days since 1970), added to by the transaction that stores the records.
-- They outlive them. An id is empty where there is none.
CREATE TABLE usage_hours (
    hour                BIGINT NOT NULL,
    public_model        TEXT   NOT NULL,
    key_id              TEXT   NOT NULL,
    deployment_id       TEXT   NOT NULL,
    provider            TEXT   NOT NULL,
    operation           TEXT   NOT NULL,
    requests            BIGINT NOT NULL,
    errors              BIGINT NOT NULL,
    input_tokens        BIGINT NOT NULL,
    cache_read_tokens   BIGINT NOT NULL,
    cache_write_tokens  BIGINT NOT NULL,
    audio_input_tokens  BIGINT NOT NULL,
    output_tokens       BIGINT NOT NULL,
    reasoning_tokens    BIGINT NOT NULL,
    audio_output_tokens BIGINT NOT NULL,
    image_count         BIGINT NOT NULL,
    audio_ms            BIGINT NOT NULL,
    characters          BIGINT NOT NULL,
    search_units        BIGINT NOT NULL,
    cost_nanocents      BIGINT NOT NULL,
    upstream_nanocents  BIGINT NOT NULL,
    unpriced            BIGINT NOT NULL,
    PRIMARY KEY (hour, public_model, key_id, deployment_id, provider, operation)
) WITH (fillfactor = 70);

-- With the tag '' for all requests, and once more for each tag.
CREATE TABLE usage_days (
    tag                 TEXT   NOT NULL,
    day                 BIGINT NOT NULL,
    public_model        TEXT   NOT NULL,
    key_id              TEXT   NOT NULL,
    deployment_id       TEXT   NOT NULL,
    provider            TEXT   NOT NULL,
    operation           TEXT   NOT NULL,
    requests            BIGINT NOT NULL,
    errors              BIGINT NOT NULL,
    input_tokens        BIGINT NOT NULL,
    cache_read_tokens   BIGINT NOT NULL,
    cache_write_tokens  BIGINT NOT NULL,
    audio_input_tokens  BIGINT NOT NULL,
    output_tokens       BIGINT NOT NULL,
    reasoning_tokens    BIGINT NOT NULL,
    audio_output_tokens BIGINT NOT NULL,
    image_count         BIGINT NOT NULL,
    audio_ms            BIGINT NOT NULL,
    characters          BIGINT NOT NULL,
    search_units        BIGINT NOT NULL,
    cost_nanocents      BIGINT NOT NULL,
    upstream_nanocents  BIGINT NOT NULL,
    unpriced            BIGINT NOT NULL,
    PRIMARY KEY (tag, day, public_model, key_id, deployment_id, provider, operation)
) WITH (fillfactor = 70);

-- Makes the partitions of a day (days since 1970-01-01) unless they are there.
CREATE OR REPLACE FUNCTION usage_make_day(day BIGINT) RETURNS VOID LANGUAGE plpgsql AS $$
DECLARE
    name   TEXT := to_char(to_timestamp(day * 86400) AT TIME ZONE 'UTC', 'YYYYMMDD');
    first  TEXT := usage_id_at(day * 86400000);
    after  TEXT := usage_id_at((day + 1) * 86400000);
    parent TEXT;
BEGIN
    IF to_regclass('operations_' || name) IS NOT NULL AND to_regclass('attempts_' || name) IS NOT NULL
       AND to_regclass('operation_tags_' || name) IS NOT NULL THEN
        RETURN;
    END IF;
    PERFORM pg_advisory_xact_lock(7253144930012001);
    FOREACH parent IN ARRAY ARRAY['operations', 'attempts', 'operation_tags'] LOOP
        EXECUTE format('CREATE TABLE IF NOT EXISTS %I PARTITION OF %I FOR VALUES FROM (%L) TO (%L)',
                       parent || '_' || name, parent, first, after);
    END LOOP;
END $$;

-- Drops the partitions of all days before one. While another replica is at it, nothing.
CREATE OR REPLACE FUNCTION usage_drop_before(day BIGINT) RETURNS VOID LANGUAGE plpgsql AS $$
DECLARE
    kept TEXT := to_char(to_timestamp(day * 86400) AT TIME ZONE 'UTC', 'YYYYMMDD');
    old  TEXT;
BEGIN
    IF NOT pg_try_advisory_xact_lock(7253144930012002) THEN
        RETURN;
    END IF;
    PERFORM pg_advisory_xact_lock(7253144930012001);
    FOR old IN
        SELECT child.relname FROM pg_inherits
        JOIN pg_class child ON child.oid = inhrelid
        WHERE inhparent IN ('operations'::regclass, 'attempts'::regclass, 'operation_tags'::regclass)
          AND right(child.relname, 8) < kept
    LOOP
        EXECUTE format('DROP TABLE %I', old);
    END LOOP;
END $$;

-- What is there already.
DO $$
DECLARE
    name TEXT;
BEGIN
    FOR name IN
        SELECT right(child.relname, 8) FROM pg_inherits
        JOIN pg_class child ON child.oid = inhrelid WHERE inhparent = 'operations'::regclass
    LOOP
        PERFORM usage_make_day(extract(epoch FROM to_date(name, 'YYYYMMDD'))::bigint / 86400);
    END LOOP;
END $$;

INSERT INTO operation_tags (tag, operation_id)
SELECT DISTINCT tag, id FROM operations CROSS JOIN LATERAL jsonb_array_elements_text(tags::jsonb) AS tag;

INSERT INTO usage_hours
SELECT started_at / 3600000, CASE WHEN error = 'model_not_found' THEN '' ELSE public_model END,
       COALESCE(key_id::text, ''), COALESCE(deployment_id::text, ''), COALESCE(provider, ''), operation,
       COUNT(*), COUNT(*) FILTER (WHERE outcome = 'error'), SUM(input_tokens), SUM(cache_read_tokens),
       SUM(cache_write_tokens), SUM(audio_input_tokens), SUM(output_tokens), SUM(reasoning_tokens),
       SUM(audio_output_tokens), SUM(image_count), SUM(audio_ms), SUM(characters), SUM(search_units),
       SUM(COALESCE(cost_nanocents, 0)), SUM(COALESCE(upstream_nanocents, 0)),
       COUNT(*) FILTER (WHERE cost_nanocents IS NULL)
FROM operations GROUP BY 1, 2, 3, 4, 5, 6;

INSERT INTO usage_days
SELECT tag, started_at / 86400000, CASE WHEN error = 'model_not_found' THEN '' ELSE public_model END,
       COALESCE(key_id::text, ''), COALESCE(deployment_id::text, ''), COALESCE(provider, ''), operation,
       COUNT(*), COUNT(*) FILTER (WHERE outcome = 'error'), SUM(input_tokens), SUM(cache_read_tokens),
       SUM(cache_write_tokens), SUM(audio_input_tokens), SUM(output_tokens), SUM(reasoning_tokens),
       SUM(audio_output_tokens), SUM(image_count), SUM(audio_ms), SUM(characters), SUM(search_units),
       SUM(COALESCE(cost_nanocents, 0)), SUM(COALESCE(upstream_nanocents, 0)),
       COUNT(*) FILTER (WHERE cost_nanocents IS NULL)
FROM operations
CROSS JOIN LATERAL (SELECT '' AS tag UNION SELECT jsonb_array_elements_text(tags::jsonb)) AS tagged
GROUP BY 1, 2, 3, 4, 5, 6, 7;
