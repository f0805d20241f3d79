-- The rules of alerts, as they were when the alerts opened: each is kept once, under its id
-- and a hash of its JSON. Alerts of before have theirs in `alert`, and no hash.
CREATE TABLE alert_rules (
    hash TEXT PRIMARY KEY,
    rule TEXT NOT NULL
) STRICT, WITHOUT ROWID;
ALTER TABLE alerts ADD COLUMN rule_hash TEXT;
