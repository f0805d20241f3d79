-- The process that writes: one that takes over counts `epoch` up, and the one before it can change
-- nothing more. `changes` counts its transactions.
CREATE TABLE writer (
    epoch   INTEGER NOT NULL,
    changes INTEGER NOT NULL
) STRICT;
INSERT INTO writer (epoch, changes) VALUES (0, 0);

-- What a segment is beyond its rows; see SegmentInfo.
ALTER TABLE segments ADD COLUMN class TEXT NOT NULL DEFAULT 'default';
ALTER TABLE segments ADD COLUMN tier TEXT NOT NULL DEFAULT 'hot';
ALTER TABLE segments ADD COLUMN format INTEGER NOT NULL DEFAULT 1;
ALTER TABLE segments ADD COLUMN checksum INTEGER NOT NULL DEFAULT 0;
ALTER TABLE segments ADD COLUMN raw_bytes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE segments ADD COLUMN tail_offset INTEGER NOT NULL DEFAULT 0;
ALTER TABLE segments ADD COLUMN object TEXT;

-- Records of `stored` whose segments have been deleted since, as retention asked.
ALTER TABLE ledger ADD COLUMN expired INTEGER NOT NULL DEFAULT 0;

-- ledger_reasons by minute of receipt. Minutes before this version have none.
CREATE TABLE ledger_reason_minutes (
    minute INTEGER NOT NULL,
    source TEXT NOT NULL REFERENCES ledger (source),
    fate   TEXT NOT NULL,
    reason TEXT NOT NULL,
    count  INTEGER NOT NULL,
    PRIMARY KEY (minute, source, fate, reason)
) STRICT, WITHOUT ROWID;

CREATE INDEX quarantine_source ON quarantine (source, id);

-- Who did what to the data. Rows are only ever added. `detail` is JSON.
CREATE TABLE audit (
    id      INTEGER PRIMARY KEY,
    time    INTEGER NOT NULL,
    actor   TEXT NOT NULL,
    action  TEXT NOT NULL,
    subject TEXT NOT NULL,
    detail  TEXT NOT NULL
) STRICT;
