-- Transforms that were written in the product.
CREATE TABLE transforms (
    name    TEXT PRIMARY KEY,
    text    TEXT NOT NULL,
    reason  TEXT NOT NULL,
    actor   TEXT NOT NULL,
    changed INTEGER NOT NULL
) STRICT;
