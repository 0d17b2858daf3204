-- What was used: one row for each finished request, its attempts, and spending by key and window.
--
-- No foreign keys: records outlive the keys and deployments that they name. Money is nano-cents, times are Unix
-- milliseconds. Ids are UUIDv7, so a day is a range of them: tables are partitioned by it, and a day is dropped as one.

CREATE TABLE operations (
    id                  UUID    NOT NULL PRIMARY KEY,
    request_id          TEXT    NOT NULL,
    key_id              UUID,
    public_model        TEXT    NOT NULL,
    served_model        TEXT,
    deployment_id       UUID,
    provider            TEXT,
    operation           TEXT    NOT NULL,
    contract            TEXT    NOT NULL,
    stream              BOOLEAN NOT NULL,
    outcome             TEXT    NOT NULL CHECK (outcome IN ('success', 'incomplete', 'blocked', 'error', 'cancelled', 'abandoned')),
    degraded            BOOLEAN NOT NULL,
    estimated           BOOLEAN NOT NULL,
    http_status         INTEGER NOT NULL,
    input_tokens        BIGINT  NOT NULL,
    cache_read_tokens   BIGINT  NOT NULL,
    cache_write_tokens  BIGINT  NOT NULL,
    audio_input_tokens  BIGINT  NOT NULL,
    output_tokens       BIGINT  NOT NULL,
    reasoning_tokens    BIGINT  NOT NULL,
    audio_output_tokens BIGINT  NOT NULL,
    cost_nanocents      BIGINT,
    upstream_nanocents  BIGINT,
    started_at          BIGINT  NOT NULL,
    duration_ms         BIGINT  NOT NULL,
    first_output_ms     BIGINT,
    request_bytes       BIGINT  NOT NULL,
    dropped             TEXT    NOT NULL,
    finish_reason       TEXT,
    error               TEXT,
    error_detail        TEXT,
    config_revision     BIGINT  NOT NULL
) PARTITION BY RANGE (id);

CREATE INDEX operations_key ON operations (key_id, id);
CREATE INDEX operations_request ON operations (request_id);

CREATE TABLE attempts (
    operation_id   UUID    NOT NULL,
    number         INTEGER NOT NULL,
    deployment_id  UUID    NOT NULL,
    provider       TEXT    NOT NULL,
    upstream_model TEXT    NOT NULL,
    ok             BOOLEAN NOT NULL,
    class          TEXT,
    http_status    INTEGER,
    detail         TEXT,
    duration_ms    BIGINT  NOT NULL,
    PRIMARY KEY (operation_id, number)
) PARTITION BY RANGE (operation_id);

-- Only the rows of a key's highest epoch count; a reset starts the next one.
CREATE TABLE key_spend (
    key_id       UUID   NOT NULL,
    epoch        BIGINT NOT NULL CHECK (epoch >= 0),
    period       TEXT   NOT NULL CHECK (period IN ('never', 'hourly', 'daily', 'weekly', 'monthly')),
    period_start BIGINT NOT NULL,
    spent        BIGINT NOT NULL,
    PRIMARY KEY (key_id, epoch, period, period_start)
);

-- Records that no table takes, whole, for people.
CREATE TABLE set_aside_records (
    id     TEXT   NOT NULL PRIMARY KEY,
    at     BIGINT NOT NULL,
    reason TEXT   NOT NULL,
    record TEXT   NOT NULL
);

-- The smallest id of a millisecond.
CREATE FUNCTION usage_id_at(ms BIGINT) RETURNS UUID LANGUAGE sql IMMUTABLE AS
$$ SELECT rpad(lpad(to_hex(ms), 12, '0'), 32, '0')::uuid $$;

-- Makes the partitions of a day (days since 1970-01-01) unless they are there.
CREATE FUNCTION usage_make_day(day BIGINT) RETURNS VOID LANGUAGE plpgsql AS $$
DECLARE
    name  TEXT := to_char(to_timestamp(day * 86400) AT TIME ZONE 'UTC', 'YYYYMMDD');
    first TEXT := usage_id_at(day * 86400000);
    after TEXT := usage_id_at((day + 1) * 86400000);
BEGIN
    IF to_regclass('operations_' || name) IS NOT NULL AND to_regclass('attempts_' || name) IS NOT NULL THEN
        RETURN;
    END IF;
    PERFORM pg_advisory_xact_lock(7253144930012001);
    EXECUTE format('CREATE TABLE IF NOT EXISTS operations_%s PARTITION OF operations FOR VALUES FROM (%L) TO (%L)',
                   name, first, after);
    EXECUTE format('CREATE TABLE IF NOT EXISTS attempts_%s PARTITION OF attempts FOR VALUES FROM (%L) TO (%L)',
                   name, first, after);
END $$;

-- Drops the partitions of all days before one.
CREATE FUNCTION usage_drop_before(day BIGINT) RETURNS VOID LANGUAGE plpgsql AS $$
DECLARE
    kept TEXT := to_char(to_timestamp(day * 86400) AT TIME ZONE 'UTC', 'YYYYMMDD');
    old  TEXT;
BEGIN
    PERFORM pg_advisory_xact_lock(7253144930012001);
    FOR old IN
        SELECT child.relname FROM pg_inherits
        JOIN pg_class child ON child.oid = inhrelid
        WHERE inhparent IN ('operations'::regclass, 'attempts'::regclass)
          AND right(child.relname, 8) < kept
    LOOP
        EXECUTE format('DROP TABLE %I', old);
    END LOOP;
END $$;
