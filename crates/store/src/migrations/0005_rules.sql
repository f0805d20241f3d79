-- Rules that were written in the product, and switches of rules from elsewhere (text is null then).
CREATE TABLE rules (
    id      TEXT PRIMARY KEY,
    text    TEXT,
    off     INTEGER NOT NULL,
    reason  TEXT NOT NULL,
    actor   TEXT NOT NULL,
    changed INTEGER NOT NULL
) STRICT;
