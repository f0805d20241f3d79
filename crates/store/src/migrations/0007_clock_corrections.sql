-- What is added to the times of events of a source, by time of receipt: from `since` on, until the
-- next row of the source. 0 seconds is none. Rows are only ever added, so that a record that is read
-- again gets the time that it had.
CREATE TABLE clock_corrections (
    source  TEXT NOT NULL,
    since   INTEGER NOT NULL,
    seconds INTEGER NOT NULL,
    reason  TEXT NOT NULL,
    actor   TEXT NOT NULL,
    PRIMARY KEY (source, since)
) STRICT, WITHOUT ROWID;
