-- Stored responses (`store: true`): what went in and what came out, encrypted. Not configuration: no revision.
--
-- `scope` is the virtual key that made the response; 16 zero bytes are the master key.

CREATE TABLE response_states (
    id         BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    scope      BLOB    NOT NULL CHECK (length(scope) = 16),
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL CHECK (expires_at > created_at),
    envelope   BLOB    NOT NULL CHECK (length(envelope) BETWEEN 1 AND 67108864)
) STRICT;

CREATE INDEX response_states_expires_at ON response_states (expires_at);

-- Where items with ids of a provider are found; ids of our own name their response.
CREATE TABLE response_items (
    scope       BLOB NOT NULL CHECK (length(scope) = 16),
    item_id     TEXT NOT NULL CHECK (octet_length(item_id) BETWEEN 1 AND 256),
    response_id BLOB NOT NULL REFERENCES response_states (id) ON DELETE CASCADE,
    PRIMARY KEY (scope, item_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX response_items_response_id ON response_items (response_id);
