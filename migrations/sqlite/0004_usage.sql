-- What was used: one row for each finished request, its attempts, and spending by key and window.
--
-- No foreign keys: records outlive the keys and deployments that they name. Money is nano-cents, times are Unix
-- milliseconds, ids are UUIDv7, so they sort by time and are deleted by it.

CREATE TABLE operations (
    id                  BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    request_id          TEXT    NOT NULL,
    key_id              BLOB    CHECK (length(key_id) = 16),
    public_model        TEXT    NOT NULL,
    served_model        TEXT,
    deployment_id       BLOB    CHECK (length(deployment_id) = 16),
    provider            TEXT,
    operation           TEXT    NOT NULL,
    contract            TEXT    NOT NULL,
    stream              INTEGER NOT NULL CHECK (stream IN (0, 1)),
    outcome             TEXT    NOT NULL CHECK (outcome IN ('success', 'incomplete', 'blocked', 'error', 'cancelled', 'abandoned')),
    degraded            INTEGER NOT NULL CHECK (degraded IN (0, 1)),
    estimated           INTEGER NOT NULL CHECK (estimated IN (0, 1)),
    http_status         INTEGER NOT NULL,
    input_tokens        INTEGER NOT NULL,
    cache_read_tokens   INTEGER NOT NULL,
    cache_write_tokens  INTEGER NOT NULL,
    audio_input_tokens  INTEGER NOT NULL,
    output_tokens       INTEGER NOT NULL,
    reasoning_tokens    INTEGER NOT NULL,
    audio_output_tokens INTEGER NOT NULL,
    cost_nanocents      INTEGER,
    upstream_nanocents  INTEGER,
    started_at          INTEGER NOT NULL,
    duration_ms         INTEGER NOT NULL,
    first_output_ms     INTEGER,
    request_bytes       INTEGER NOT NULL,
    dropped             TEXT    NOT NULL CHECK (json_valid(dropped)),
    finish_reason       TEXT,
    error               TEXT,
    error_detail        TEXT,
    config_revision     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX operations_key ON operations (key_id, id);
CREATE INDEX operations_request ON operations (request_id);

CREATE TABLE attempts (
    operation_id   BLOB    NOT NULL CHECK (length(operation_id) = 16),
    number         INTEGER NOT NULL,
    deployment_id  BLOB    NOT NULL CHECK (length(deployment_id) = 16),
    provider       TEXT    NOT NULL,
    upstream_model TEXT    NOT NULL,
    ok             INTEGER NOT NULL CHECK (ok IN (0, 1)),
    class          TEXT,
    http_status    INTEGER,
    detail         TEXT,
    duration_ms    INTEGER NOT NULL,
    PRIMARY KEY (operation_id, number)
) STRICT, WITHOUT ROWID;

-- Only the rows of a key's highest epoch count; a reset starts the next one.
CREATE TABLE key_spend (
    key_id       BLOB    NOT NULL CHECK (length(key_id) = 16),
    epoch        INTEGER NOT NULL CHECK (epoch >= 0),
    period       TEXT    NOT NULL CHECK (period IN ('never', 'hourly', 'daily', 'weekly', 'monthly')),
    period_start INTEGER NOT NULL,
    spent        INTEGER NOT NULL,
    PRIMARY KEY (key_id, epoch, period, period_start)
) STRICT, WITHOUT ROWID;

-- Records that no table takes, whole, for people.
CREATE TABLE set_aside_records (
    id     TEXT    NOT NULL PRIMARY KEY,
    at     INTEGER NOT NULL,
    reason TEXT    NOT NULL,
    record TEXT    NOT NULL
) STRICT;
