-- Where the store stands: `wal_mark` is the id below which everything is in segments or in
-- quarantine; `commits` counts flushes.
CREATE TABLE progress (
    name  TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO progress (name, value) VALUES ('wal_mark', 1), ('commits', 0);

-- One row per Parquet file. Times are microseconds since the epoch, UTC.
CREATE TABLE segments (
    id        INTEGER PRIMARY KEY,
    dataset   TEXT NOT NULL DEFAULT 'events',
    path      TEXT NOT NULL UNIQUE,
    partition TEXT NOT NULL,
    rows      INTEGER NOT NULL,
    bytes     INTEGER NOT NULL,
    min_time  INTEGER NOT NULL,
    max_time  INTEGER NOT NULL,
    min_id    INTEGER NOT NULL,
    max_id    INTEGER NOT NULL
) STRICT;

CREATE TABLE segment_sources (
    segment_id INTEGER NOT NULL REFERENCES segments (id) ON DELETE CASCADE,
    source     TEXT NOT NULL,
    rows       INTEGER NOT NULL,
    PRIMARY KEY (segment_id, source)
) STRICT, WITHOUT ROWID;

-- received = stored + sampled + quarantined + shed, for every row.
CREATE TABLE ledger (
    source        TEXT PRIMARY KEY,
    received      INTEGER NOT NULL,
    stored        INTEGER NOT NULL,
    sampled       INTEGER NOT NULL,
    quarantined   INTEGER NOT NULL,
    shed          INTEGER NOT NULL,
    raw_bytes     INTEGER NOT NULL,
    last_received INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The same by minute of receipt.
CREATE TABLE ledger_minutes (
    minute        INTEGER NOT NULL,
    source        TEXT NOT NULL REFERENCES ledger (source),
    received      INTEGER NOT NULL,
    stored        INTEGER NOT NULL,
    sampled       INTEGER NOT NULL,
    quarantined   INTEGER NOT NULL,
    shed          INTEGER NOT NULL,
    raw_bytes     INTEGER NOT NULL,
    last_received INTEGER NOT NULL,
    PRIMARY KEY (minute, source)
) STRICT, WITHOUT ROWID;

-- Why records were shed or quarantined.
CREATE TABLE ledger_reasons (
    source TEXT NOT NULL REFERENCES ledger (source),
    fate   TEXT NOT NULL,
    reason TEXT NOT NULL,
    count  INTEGER NOT NULL,
    PRIMARY KEY (source, fate, reason)
) STRICT, WITHOUT ROWID;

-- Records set aside, each whole: `record` is zstd.
CREATE TABLE quarantine (
    id       INTEGER PRIMARY KEY,
    source   TEXT NOT NULL,
    received INTEGER NOT NULL,
    reason   TEXT NOT NULL,
    bytes    INTEGER NOT NULL,
    record   BLOB NOT NULL
) STRICT;
