-- Finding recorded requests, summing them up, and following them.
--
-- Every index is paid for by every request that is recorded, so what is rare has an index of its rare rows alone.

-- The transaction that stored it, by its number: ids tell when a request began, and long ones come late.
CREATE TABLE record_sequence (
    only INTEGER NOT NULL PRIMARY KEY CHECK (only = 1),
    last INTEGER NOT NULL
) STRICT;
INSERT INTO record_sequence (only, last) VALUES (1, 0);
ALTER TABLE operations ADD COLUMN stored_in INTEGER NOT NULL DEFAULT 0;
CREATE INDEX operations_stored ON operations (stored_in, id);

CREATE INDEX operations_model ON operations (public_model, id);
CREATE INDEX operations_deployment ON operations (deployment_id, id);
CREATE INDEX operations_operation ON operations (operation, id) WHERE operation <> 'text.generate';
CREATE INDEX operations_outcome ON operations (outcome, id) WHERE outcome <> 'success';
CREATE INDEX operations_status ON operations (http_status, id) WHERE http_status <> 200;
CREATE INDEX operations_degraded ON operations (id) WHERE degraded = 1;
CREATE INDEX operations_cache_hit ON operations (id) WHERE cache_hit = 1;
CREATE INDEX operations_10s ON operations (id) WHERE duration_ms >= 10000;
CREATE INDEX operations_60s ON operations (id) WHERE duration_ms >= 60000;
CREATE INDEX operations_300s ON operations (id) WHERE duration_ms >= 300000;

CREATE TABLE operation_tags (
    tag          TEXT NOT NULL,
    operation_id BLOB NOT NULL CHECK (length(operation_id) = 16),
    PRIMARY KEY (tag, operation_id)
) STRICT, WITHOUT ROWID;
-- By which they are forgotten.
CREATE INDEX operation_tags_operation ON operation_tags (operation_id);

-- Sums by hour (hours since 1970) and by day (days since 1970), added to by the transaction that stores the records.
-- They outlive them. An id is empty where there is none.
CREATE TABLE usage_hours (
    hour                INTEGER NOT NULL,
    public_model        TEXT    NOT NULL,
    key_id              TEXT    NOT NULL,
    deployment_id       TEXT    NOT NULL,
    provider            TEXT    NOT NULL,
    operation           TEXT    NOT NULL,
    requests            INTEGER NOT NULL,
    errors              INTEGER NOT NULL,
    input_tokens        INTEGER NOT NULL,
    cache_read_tokens   INTEGER NOT NULL,
    cache_write_tokens  INTEGER NOT NULL,
    audio_input_tokens  INTEGER NOT NULL,
    output_tokens       INTEGER NOT NULL,
    reasoning_tokens    INTEGER NOT NULL,
    audio_output_tokens INTEGER NOT NULL,
    image_count         INTEGER NOT NULL,
    audio_ms            INTEGER NOT NULL,
    characters          INTEGER NOT NULL,
    search_units        INTEGER NOT NULL,
    cost_nanocents      INTEGER NOT NULL,
    upstream_nanocents  INTEGER NOT NULL,
    unpriced            INTEGER NOT NULL,
    PRIMARY KEY (hour, public_model, key_id, deployment_id, provider, operation)
) STRICT, WITHOUT ROWID;

-- With the tag '' for all requests, and once more for each tag.
CREATE TABLE usage_days (
    tag                 TEXT    NOT NULL,
    day                 INTEGER NOT NULL,
    public_model        TEXT    NOT NULL,
    key_id              TEXT    NOT NULL,
    deployment_id       TEXT    NOT NULL,
    provider            TEXT    NOT NULL,
    operation           TEXT    NOT NULL,
    requests            INTEGER NOT NULL,
    errors              INTEGER NOT NULL,
    input_tokens        INTEGER NOT NULL,
    cache_read_tokens   INTEGER NOT NULL,
    cache_write_tokens  INTEGER NOT NULL,
    audio_input_tokens  INTEGER NOT NULL,
    output_tokens       INTEGER NOT NULL,
    reasoning_tokens    INTEGER NOT NULL,
    audio_output_tokens INTEGER NOT NULL,
    image_count         INTEGER NOT NULL,
    audio_ms            INTEGER NOT NULL,
    characters          INTEGER NOT NULL,
    search_units        INTEGER NOT NULL,
    cost_nanocents      INTEGER NOT NULL,
    upstream_nanocents  INTEGER NOT NULL,
    unpriced            INTEGER NOT NULL,
    PRIMARY KEY (tag, day, public_model, key_id, deployment_id, provider, operation)
) STRICT, WITHOUT ROWID;

-- What is there already.
INSERT INTO operation_tags (tag, operation_id)
SELECT DISTINCT value, operations.id FROM operations, json_each(operations.tags);

INSERT INTO usage_hours
SELECT started_at / 3600000, CASE WHEN error = 'model_not_found' THEN '' ELSE public_model END,
       CASE WHEN key_id IS NULL THEN '' ELSE lower(
           hex(substr(key_id, 1, 4)) || '-' || hex(substr(key_id, 5, 2)) || '-' || hex(substr(key_id, 7, 2)) || '-' ||
           hex(substr(key_id, 9, 2)) || '-' || hex(substr(key_id, 11))) END,
       CASE WHEN deployment_id IS NULL THEN '' ELSE lower(
           hex(substr(deployment_id, 1, 4)) || '-' || hex(substr(deployment_id, 5, 2)) || '-' || hex(substr(deployment_id, 7, 2)) || '-' ||
           hex(substr(deployment_id, 9, 2)) || '-' || hex(substr(deployment_id, 11))) END,
       COALESCE(provider, ''), operation,
       COUNT(*), COUNT(*) FILTER (WHERE outcome = 'error'), SUM(input_tokens), SUM(cache_read_tokens),
       SUM(cache_write_tokens), SUM(audio_input_tokens), SUM(output_tokens), SUM(reasoning_tokens),
       SUM(audio_output_tokens), SUM(image_count), SUM(audio_ms), SUM(characters), SUM(search_units),
       SUM(COALESCE(cost_nanocents, 0)), SUM(COALESCE(upstream_nanocents, 0)),
       COUNT(*) FILTER (WHERE cost_nanocents IS NULL)
FROM operations GROUP BY 1, 2, 3, 4, 5, 6;

INSERT INTO usage_days
SELECT tag, started_at / 86400000, CASE WHEN error = 'model_not_found' THEN '' ELSE public_model END,
       CASE WHEN key_id IS NULL THEN '' ELSE lower(
           hex(substr(key_id, 1, 4)) || '-' || hex(substr(key_id, 5, 2)) || '-' || hex(substr(key_id, 7, 2)) || '-' ||
           hex(substr(key_id, 9, 2)) || '-' || hex(substr(key_id, 11))) END,
       CASE WHEN deployment_id IS NULL THEN '' ELSE lower(
           hex(substr(deployment_id, 1, 4)) || '-' || hex(substr(deployment_id, 5, 2)) || '-' || hex(substr(deployment_id, 7, 2)) || '-' ||
           hex(substr(deployment_id, 9, 2)) || '-' || hex(substr(deployment_id, 11))) END,
       COALESCE(provider, ''), operation,
       COUNT(*), COUNT(*) FILTER (WHERE outcome = 'error'), SUM(input_tokens), SUM(cache_read_tokens),
       SUM(cache_write_tokens), SUM(audio_input_tokens), SUM(output_tokens), SUM(reasoning_tokens),
       SUM(audio_output_tokens), SUM(image_count), SUM(audio_ms), SUM(characters), SUM(search_units),
       SUM(COALESCE(cost_nanocents, 0)), SUM(COALESCE(upstream_nanocents, 0)),
       COUNT(*) FILTER (WHERE cost_nanocents IS NULL)
FROM (
    SELECT '' AS tag, operations.* FROM operations
    UNION ALL
    SELECT value AS tag, operations.* FROM operations, (SELECT DISTINCT operations.id AS tagged, value FROM operations, json_each(operations.tags))
    WHERE tagged = operations.id
)
GROUP BY 1, 2, 3, 4, 5, 6, 7;
