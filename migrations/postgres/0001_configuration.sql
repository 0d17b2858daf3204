-- The configuration of the gateway, its revision and change log, idempotency records and the audit trail.
--
-- Ids are UUIDv7, so ids sort by time of creation. Times are Unix milliseconds, money is nano-cents. JSON is kept as
-- text, exactly as it was written; text sorts by bytes. Every write to a configuration table takes the next revision.

CREATE TABLE config_revision (
    id       BIGINT  NOT NULL PRIMARY KEY CHECK (id = 1),
    revision BIGINT  NOT NULL CHECK (revision >= 0)
);

INSERT INTO config_revision (id, revision) VALUES (1, 0);

-- What each revision touched. `id` is the row's key as text; `deleted` marks a row that is gone.
CREATE TABLE config_changes (
    revision BIGINT  NOT NULL CHECK (revision > 0),
    kind     TEXT COLLATE "C" NOT NULL CHECK (kind IN ('deployment', 'virtual_key', 'fallback_chain', 'router_settings')),
    id       TEXT COLLATE "C" NOT NULL,
    deleted  BOOLEAN NOT NULL,
    PRIMARY KEY (revision, kind, id)
);

CREATE TABLE deployments (
    id                  UUID     NOT NULL PRIMARY KEY,
    revision            BIGINT  NOT NULL CHECK (revision > 0),
    created_at          BIGINT  NOT NULL,
    updated_at          BIGINT  NOT NULL,
    public_model        TEXT COLLATE "C" NOT NULL CHECK (octet_length(public_model) BETWEEN 1 AND 256),
    provider            TEXT    NOT NULL CHECK (provider <> ''),
    upstream_model      TEXT COLLATE "C" NOT NULL CHECK (octet_length(upstream_model) BETWEEN 1 AND 256),
    catalog_model       TEXT    CHECK (catalog_model <> ''),
    catalog_entry       TEXT    CHECK (json_typeof(catalog_entry::json) = 'object'),
    pricing             TEXT    CHECK (json_typeof(pricing::json) = 'object'),
    transport_overrides TEXT    NOT NULL
                                CHECK (json_typeof(transport_overrides::json) = 'object'),
    label               TEXT COLLATE "C" CHECK (octet_length(label) <= 200),
    metadata            TEXT    CHECK (octet_length(metadata) <= 16384
                                       AND json_typeof(metadata::json) = 'object'),
    enabled             BOOLEAN NOT NULL,
    weight              BIGINT  NOT NULL CHECK (weight BETWEEN 0 AND 1000),
    priority            BIGINT  NOT NULL CHECK (priority BETWEEN -2147483648 AND 2147483647),
    rpm_limit           BIGINT  CHECK (rpm_limit BETWEEN 0 AND 4294967295),
    tpm_limit           BIGINT  CHECK (tpm_limit BETWEEN 0 AND 4294967295),
    failure_domain      TEXT    CHECK (octet_length(failure_domain) <= 200),
    credentials         BYTEA    NOT NULL CHECK (octet_length(credentials) > 0),
    credential_fields   TEXT    NOT NULL
                                CHECK (json_typeof(credential_fields::json) = 'array')
);

CREATE INDEX deployments_public_model ON deployments (public_model);

CREATE TABLE virtual_keys (
    id                    UUID     NOT NULL PRIMARY KEY,
    revision              BIGINT  NOT NULL CHECK (revision > 0),
    created_at            BIGINT  NOT NULL,
    updated_at            BIGINT  NOT NULL,
    hash                  BYTEA    NOT NULL UNIQUE CHECK (octet_length(hash) = 32),
    prefix                TEXT COLLATE "C" NOT NULL CHECK (octet_length(prefix) BETWEEN 1 AND 32),
    previous_hash         BYTEA    UNIQUE CHECK (octet_length(previous_hash) = 32),
    previous_valid_until  BIGINT,
    name                  TEXT COLLATE "C" NOT NULL CHECK (octet_length(name) BETWEEN 1 AND 200),
    allowed_models        TEXT    NOT NULL CHECK (json_typeof(allowed_models::json) = 'array'
                                                  AND json_array_length(allowed_models::json) <= 1000),
    max_budget_nanocents  BIGINT  CHECK (max_budget_nanocents >= 0),
    budget_reset          TEXT    CHECK (budget_reset IN ('hourly', 'daily', 'weekly', 'monthly')),
    budget_mode           TEXT    CHECK (budget_mode IN ('expected', 'hard')),
    budget_wait_ms        BIGINT  CHECK (budget_wait_ms BETWEEN 0 AND 4294967295),
    rpm                   BIGINT  CHECK (rpm BETWEEN 0 AND 4294967295),
    tpm                   BIGINT  CHECK (tpm BETWEEN 0 AND 4294967295),
    max_parallel_requests BIGINT  CHECK (max_parallel_requests BETWEEN 0 AND 4294967295),
    expires_at            BIGINT,
    enabled               BOOLEAN NOT NULL,
    metadata              TEXT    CHECK (octet_length(metadata) <= 16384
                                         AND json_typeof(metadata::json) = 'object'),
    CHECK ((previous_hash IS NULL) = (previous_valid_until IS NULL)),
    CHECK (previous_hash <> hash)
);

-- One secret opens one key: a current secret of one key is never the previous secret of another.
CREATE FUNCTION virtual_keys_check_secret() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM virtual_keys WHERE previous_hash = NEW.hash AND id <> NEW.id)
       OR EXISTS (SELECT 1 FROM virtual_keys WHERE hash = NEW.previous_hash AND id <> NEW.id) THEN
        RAISE EXCEPTION 'virtual_keys: secret in use' USING ERRCODE = 'unique_violation', CONSTRAINT = 'virtual_keys_hash';
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER virtual_keys_secret_inserted BEFORE INSERT ON virtual_keys
FOR EACH ROW EXECUTE FUNCTION virtual_keys_check_secret();

CREATE TRIGGER virtual_keys_secret_updated BEFORE UPDATE OF hash, previous_hash ON virtual_keys
FOR EACH ROW WHEN (OLD.hash <> NEW.hash OR OLD.previous_hash IS DISTINCT FROM NEW.previous_hash)
EXECUTE FUNCTION virtual_keys_check_secret();

CREATE TABLE fallback_chains (
    primary_model TEXT COLLATE "C" NOT NULL CHECK (octet_length(primary_model) BETWEEN 1 AND 256),
    reason        TEXT COLLATE "C" NOT NULL CHECK (reason IN ('general', 'context_window', 'content_policy')),
    revision      BIGINT  NOT NULL CHECK (revision > 0),
    updated_at    BIGINT  NOT NULL,
    targets       TEXT    NOT NULL CHECK (json_typeof(targets::json) = 'array'
                                          AND json_array_length(targets::json) BETWEEN 1 AND 5),
    PRIMARY KEY (primary_model, reason)
);

CREATE TABLE router_settings (
    id         BIGINT  NOT NULL PRIMARY KEY CHECK (id = 1),
    revision   BIGINT  NOT NULL CHECK (revision > 0),
    updated_at BIGINT  NOT NULL,
    settings   TEXT    NOT NULL CHECK (json_typeof(settings::json) = 'object')
);

-- A client's request_id, remembered for a day with the resource it created.
CREATE TABLE idempotency_keys (
    kind        TEXT COLLATE "C" NOT NULL CHECK (kind IN ('deployment', 'virtual_key')),
    request_id  TEXT COLLATE "C" NOT NULL CHECK (octet_length(request_id) BETWEEN 1 AND 200),
    fingerprint BYTEA    NOT NULL CHECK (octet_length(fingerprint) = 32),
    resource_id UUID    NOT NULL,
    created_at  BIGINT  NOT NULL,
    PRIMARY KEY (kind, request_id)
);

CREATE INDEX idempotency_keys_created_at ON idempotency_keys (created_at);

CREATE TABLE admin_audit (
    id         UUID     NOT NULL PRIMARY KEY,
    revision   BIGINT  NOT NULL CHECK (revision >= 0),
    at         BIGINT  NOT NULL,
    actor      TEXT    NOT NULL CHECK (actor <> ''),
    face       TEXT    NOT NULL CHECK (face <> ''),
    source     TEXT,
    request_id TEXT COLLATE "C",
    action     TEXT    NOT NULL CHECK (action <> ''),
    resource   TEXT COLLATE "C" NOT NULL,
    before     TEXT    CHECK (json_typeof(before::json) <> ''),
    after      TEXT    CHECK (json_typeof(after::json) <> '')
);

CREATE INDEX admin_audit_revision ON admin_audit (revision, id);
CREATE INDEX admin_audit_resource ON admin_audit (resource, revision, id);
