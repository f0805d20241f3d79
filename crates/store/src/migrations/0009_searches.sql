-- Searches that people saved. `schedule` is JSON: how often it is asked, and what its rows become.
CREATE TABLE searches (
    name        TEXT PRIMARY KEY,
    query       TEXT NOT NULL,
    range_from  TEXT NOT NULL,
    range_to    TEXT NOT NULL,
    description TEXT NOT NULL,
    schedule    TEXT,
    owner       TEXT NOT NULL,
    created     INTEGER NOT NULL,
    changed     INTEGER NOT NULL
) STRICT;

-- How those with a schedule do. Event times before `done` were asked about, those before
-- `until` are being asked about; `ran` is 0 before the first run ended.
CREATE TABLE search_runs (
    name  TEXT PRIMARY KEY,
    done  INTEGER NOT NULL,
    until INTEGER NOT NULL,
    ran   INTEGER NOT NULL,
    took  INTEGER NOT NULL,
    found INTEGER NOT NULL,
    error TEXT
) STRICT;
