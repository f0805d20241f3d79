-- Records that were not stored again, since an equal one of the source just was:
-- received = stored + sampled + folded + quarantined + shed, for every row.
ALTER TABLE ledger ADD COLUMN folded INTEGER NOT NULL DEFAULT 0;
ALTER TABLE ledger_minutes ADD COLUMN folded INTEGER NOT NULL DEFAULT 0;
