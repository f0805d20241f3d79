-- Most event time that a schedule asks about at once, in microseconds; 0 for as much as there
-- may be.
ALTER TABLE search_runs ADD COLUMN span INTEGER NOT NULL DEFAULT 0;
