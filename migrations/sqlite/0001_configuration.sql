-- The configuration of the gateway, its revision and change log, idempotency records and the audit trail.
--
-- Ids are UUIDv7 (16 bytes), so ids sort by time of creation. Times are Unix milliseconds, money is nano-cents.
-- JSON is kept as text. Every write to a configuration table takes the next revision.

CREATE TABLE config_revision (
    id       INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    revision INTEGER NOT NULL CHECK (revision >= 0)
) STRICT;

INSERT INTO config_revision (id, revision) VALUES (1, 0);

-- What each revision touched. `id` is the row's key as text; `deleted` marks a row that is gone.
CREATE TABLE config_changes (
    revision INTEGER NOT NULL CHECK (revision > 0),
    kind     TEXT    NOT NULL CHECK (kind IN ('deployment', 'virtual_key', 'fallback_chain', 'router_settings')),
    id       TEXT    NOT NULL,
    deleted  INTEGER NOT NULL CHECK (deleted IN (0, 1)),
    PRIMARY KEY (revision, kind, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE deployments (
    id                  BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    revision            INTEGER NOT NULL CHECK (revision > 0),
    created_at          INTEGER NOT NULL,
    updated_at          INTEGER NOT NULL,
    public_model        TEXT    NOT NULL CHECK (octet_length(public_model) BETWEEN 1 AND 256),
    provider            TEXT    NOT NULL CHECK (provider <> ''),
    upstream_model      TEXT    NOT NULL CHECK (octet_length(upstream_model) BETWEEN 1 AND 256),
    catalog_model       TEXT    CHECK (catalog_model <> ''),
    catalog_entry       TEXT    CHECK (json_valid(catalog_entry) AND json_type(catalog_entry) = 'object'),
    pricing             TEXT    CHECK (json_valid(pricing) AND json_type(pricing) = 'object'),
    transport_overrides TEXT    NOT NULL
                                CHECK (json_valid(transport_overrides) AND json_type(transport_overrides) = 'object'),
    label               TEXT    CHECK (octet_length(label) <= 200),
    metadata            TEXT    CHECK (octet_length(metadata) <= 16384
                                       AND json_valid(metadata) AND json_type(metadata) = 'object'),
    enabled             INTEGER NOT NULL CHECK (enabled IN (0, 1)),
    weight              INTEGER NOT NULL CHECK (weight BETWEEN 0 AND 1000),
    priority            INTEGER NOT NULL CHECK (priority BETWEEN -2147483648 AND 2147483647),
    rpm_limit           INTEGER CHECK (rpm_limit BETWEEN 0 AND 4294967295),
    tpm_limit           INTEGER CHECK (tpm_limit BETWEEN 0 AND 4294967295),
    failure_domain      TEXT    CHECK (octet_length(failure_domain) <= 200),
    credentials         BLOB    NOT NULL CHECK (length(credentials) > 0),
    credential_fields   TEXT    NOT NULL
                                CHECK (json_valid(credential_fields) AND json_type(credential_fields) = 'array')
) STRICT;

CREATE INDEX deployments_public_model ON deployments (public_model);

CREATE TABLE virtual_keys (
    id                    BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    revision              INTEGER NOT NULL CHECK (revision > 0),
    created_at            INTEGER NOT NULL,
    updated_at            INTEGER NOT NULL,
    hash                  BLOB    NOT NULL UNIQUE CHECK (length(hash) = 32),
    prefix                TEXT    NOT NULL CHECK (octet_length(prefix) BETWEEN 1 AND 32),
    previous_hash         BLOB    UNIQUE CHECK (length(previous_hash) = 32),
    previous_valid_until  INTEGER,
    name                  TEXT    NOT NULL CHECK (octet_length(name) BETWEEN 1 AND 200),
    allowed_models        TEXT    NOT NULL CHECK (json_valid(allowed_models) AND json_type(allowed_models) = 'array'
                                                  AND json_array_length(allowed_models) <= 1000),
    max_budget_nanocents  INTEGER CHECK (max_budget_nanocents >= 0),
    budget_reset          TEXT    CHECK (budget_reset IN ('hourly', 'daily', 'weekly', 'monthly')),
    budget_mode           TEXT    CHECK (budget_mode IN ('expected', 'hard')),
    budget_wait_ms        INTEGER CHECK (budget_wait_ms BETWEEN 0 AND 4294967295),
    rpm                   INTEGER CHECK (rpm BETWEEN 0 AND 4294967295),
    tpm                   INTEGER CHECK (tpm BETWEEN 0 AND 4294967295),
    max_parallel_requests INTEGER CHECK (max_parallel_requests BETWEEN 0 AND 4294967295),
    expires_at            INTEGER,
    enabled               INTEGER NOT NULL CHECK (enabled IN (0, 1)),
    metadata              TEXT    CHECK (octet_length(metadata) <= 16384
                                         AND json_valid(metadata) AND json_type(metadata) = 'object'),
    CHECK ((previous_hash IS NULL) = (previous_valid_until IS NULL)),
    CHECK (previous_hash <> hash)
) STRICT;

-- One secret opens one key: a current secret of one key is never the previous secret of another.
CREATE TRIGGER virtual_keys_secret_inserted BEFORE INSERT ON virtual_keys
WHEN EXISTS (SELECT 1 FROM virtual_keys WHERE previous_hash = NEW.hash)
  OR EXISTS (SELECT 1 FROM virtual_keys WHERE hash = NEW.previous_hash)
BEGIN
    SELECT RAISE(ABORT, 'virtual_keys: secret in use');
END;

CREATE TRIGGER virtual_keys_secret_updated BEFORE UPDATE OF hash, previous_hash ON virtual_keys
WHEN EXISTS (SELECT 1 FROM virtual_keys WHERE previous_hash = NEW.hash AND id <> NEW.id)
  OR EXISTS (SELECT 1 FROM virtual_keys WHERE hash = NEW.previous_hash AND id <> NEW.id)
BEGIN
    SELECT RAISE(ABORT, 'virtual_keys: secret in use');
END;

CREATE TABLE fallback_chains (
    primary_model TEXT    NOT NULL CHECK (octet_length(primary_model) BETWEEN 1 AND 256),
    reason        TEXT    NOT NULL CHECK (reason IN ('general', 'context_window', 'content_policy')),
    revision      INTEGER NOT NULL CHECK (revision > 0),
    updated_at    INTEGER NOT NULL,
    targets       TEXT    NOT NULL CHECK (json_valid(targets) AND json_type(targets) = 'array'
                                          AND json_array_length(targets) BETWEEN 1 AND 5),
    PRIMARY KEY (primary_model, reason)
) STRICT, WITHOUT ROWID;

CREATE TABLE router_settings (
    id         INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    revision   INTEGER NOT NULL CHECK (revision > 0),
    updated_at INTEGER NOT NULL,
    settings   TEXT    NOT NULL CHECK (json_valid(settings) AND json_type(settings) = 'object')
) STRICT;

-- A client's request_id, remembered for a day with the resource it created.
CREATE TABLE idempotency_keys (
    kind        TEXT    NOT NULL CHECK (kind IN ('deployment', 'virtual_key')),
    request_id  TEXT    NOT NULL CHECK (octet_length(request_id) BETWEEN 1 AND 200),
    fingerprint BLOB    NOT NULL CHECK (length(fingerprint) = 32),
    resource_id BLOB    NOT NULL CHECK (length(resource_id) = 16),
    created_at  INTEGER NOT NULL,
    PRIMARY KEY (kind, request_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX idempotency_keys_created_at ON idempotency_keys (created_at);

CREATE TABLE admin_audit (
    id         BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    revision   INTEGER NOT NULL CHECK (revision >= 0),
    at         INTEGER NOT NULL,
    actor      TEXT    NOT NULL CHECK (actor <> ''),
    face       TEXT    NOT NULL CHECK (face <> ''),
    source     TEXT,
    request_id TEXT,
    action     TEXT    NOT NULL CHECK (action <> ''),
    resource   TEXT    NOT NULL,
    before     TEXT    CHECK (json_valid(before)),
    after      TEXT    CHECK (json_valid(after))
) STRICT;

CREATE INDEX admin_audit_revision ON admin_audit (revision, id);
CREATE INDEX admin_audit_resource ON admin_audit (resource, revision, id);
