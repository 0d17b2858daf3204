-- The replicas around this database: who they are and which revision each has in force.

CREATE TABLE replicas (
    id          UUID    NOT NULL PRIMARY KEY,
    host        TEXT    NOT NULL CHECK (octet_length(host) <= 255),
    version     TEXT    NOT NULL,
    started_at  BIGINT  NOT NULL,
    revision    BIGINT  NOT NULL,
    quarantined BIGINT  NOT NULL,
    draining    BOOLEAN NOT NULL,
    -- By the clock of the database, so that replicas need not agree on the time.
    seen_at     TIMESTAMPTZ NOT NULL
);
