-- Stored responses (`store: true`): what went in and what came out, encrypted. Not configuration: no revision.
--
-- `scope` is the virtual key that made the response; the nil UUID is the master key.

CREATE TABLE response_states (
    id         UUID    NOT NULL PRIMARY KEY,
    scope      UUID    NOT NULL,
    created_at BIGINT  NOT NULL,
    expires_at BIGINT  NOT NULL CHECK (expires_at > created_at),
    envelope   BYTEA   NOT NULL CHECK (octet_length(envelope) BETWEEN 1 AND 67108864)
);

-- Ciphertext does not compress: trying to costs time.
ALTER TABLE response_states ALTER COLUMN envelope SET STORAGE EXTERNAL;

CREATE INDEX response_states_expires_at ON response_states (expires_at);

-- Where items with ids of a provider are found; ids of our own name their response.
CREATE TABLE response_items (
    scope       UUID NOT NULL,
    item_id     TEXT COLLATE "C" NOT NULL CHECK (octet_length(item_id) BETWEEN 1 AND 256),
    response_id UUID NOT NULL REFERENCES response_states (id) ON DELETE CASCADE,
    PRIMARY KEY (scope, item_id)
);

CREATE INDEX response_items_response_id ON response_items (response_id);
