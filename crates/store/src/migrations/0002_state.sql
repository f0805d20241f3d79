-- Alerts as JSON, with what lists are filtered and sorted by beside it.
CREATE TABLE alerts (
    id           TEXT PRIMARY KEY,
    rule_id      TEXT NOT NULL,
    entity_kind  TEXT NOT NULL,
    entity_value TEXT NOT NULL,
    severity     INTEGER NOT NULL,
    status       TEXT NOT NULL,
    first_seen   INTEGER NOT NULL,
    last_seen    INTEGER NOT NULL,
    last_event   INTEGER NOT NULL,
    alert        TEXT NOT NULL
) STRICT;
CREATE INDEX alerts_newest ON alerts (last_seen DESC);
CREATE INDEX alerts_key ON alerts (rule_id, entity_kind, entity_value, last_event DESC);
CREATE INDEX alerts_entity ON alerts (entity_value, last_seen DESC);

CREATE TABLE users (
    name          TEXT PRIMARY KEY,
    password_hash TEXT NOT NULL,
    created       INTEGER NOT NULL
) STRICT;

-- Ids of sessions and tokens are stored hashed.
CREATE TABLE sessions (
    id_hash TEXT PRIMARY KEY,
    "user"  TEXT NOT NULL REFERENCES users (name) ON DELETE CASCADE,
    expires INTEGER NOT NULL
) STRICT;
CREATE INDEX sessions_expires ON sessions (expires);

CREATE TABLE tokens (
    id         TEXT PRIMARY KEY,
    name       TEXT NOT NULL,
    purpose    TEXT NOT NULL,
    token_hash TEXT NOT NULL UNIQUE,
    created    INTEGER NOT NULL,
    last_used  INTEGER
) STRICT;

CREATE TABLE settings (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT;
