//! What must add up in the manifest, as queries that answer a row for each account that does not.

use std::fmt;

use super::Manifest;
use super::sql::args;
use crate::error::StoreError;

/// What is wrong, and the query: whose, one side, the other.
const CHECKS: &[(&str, &str)] = &[
    (
        "received is not stored + sampled + folded + quarantined + shed",
        "SELECT source, received, stored + sampled + folded + quarantined + shed FROM ledger \
         WHERE received <> stored + sampled + folded + quarantined + shed",
    ),
    (
        "the minutes do not add up to the total",
        "SELECT l.source, l.received, coalesce(m.received, 0) FROM ledger l LEFT JOIN \
         (SELECT source, CAST(sum(received) AS BIGINT) AS received, \
          CAST(sum(stored) AS BIGINT) AS stored, CAST(sum(sampled) AS BIGINT) AS sampled, \
          CAST(sum(folded) AS BIGINT) AS folded, \
          CAST(sum(quarantined) AS BIGINT) AS quarantined, CAST(sum(shed) AS BIGINT) AS shed \
          FROM ledger_minutes GROUP BY source) m ON m.source = l.source \
         WHERE l.received <> coalesce(m.received, 0) OR l.stored <> coalesce(m.stored, 0) \
         OR l.sampled <> coalesce(m.sampled, 0) OR l.folded <> coalesce(m.folded, 0) \
         OR l.shed <> coalesce(m.shed, 0) OR l.quarantined <> coalesce(m.quarantined, 0)",
    ),
    (
        "stored events are not the rows in segments and the expired ones",
        "SELECT l.source, l.stored, l.expired + coalesce(s.held, 0) FROM ledger l LEFT JOIN \
         (SELECT source, CAST(sum(rows) AS BIGINT) AS held FROM segment_sources \
          GROUP BY source) s ON s.source = l.source \
         WHERE l.stored <> l.expired + coalesce(s.held, 0)",
    ),
    (
        "segments have rows of a source that the ledger does not know",
        "SELECT s.source, CAST(sum(s.rows) AS BIGINT), CAST(0 AS BIGINT) FROM segment_sources s \
         WHERE NOT EXISTS (SELECT 1 FROM ledger l WHERE l.source = s.source) GROUP BY s.source",
    ),
    (
        "quarantined records are not the rows in quarantine",
        "SELECT l.source, l.quarantined, coalesce(q.held, 0) FROM ledger l LEFT JOIN \
         (SELECT source, count(*) AS held FROM quarantine GROUP BY source) q \
         ON q.source = l.source WHERE l.quarantined <> coalesce(q.held, 0)",
    ),
    (
        "the reasons for setting records aside or dropping them do not add up",
        "SELECT l.source, l.quarantined + l.shed, coalesce(r.held, 0) FROM ledger l LEFT JOIN \
         (SELECT source, CAST(sum(count) AS BIGINT) AS held FROM ledger_reasons \
          WHERE fate IN ('quarantined', 'shed') GROUP BY source) r \
         ON r.source = l.source WHERE l.quarantined + l.shed <> coalesce(r.held, 0)",
    ),
    (
        "rows of a segment are not the sum over its sources",
        "SELECT g.path, g.rows, coalesce(s.held, 0) FROM segments g LEFT JOIN \
         (SELECT segment_id, CAST(sum(rows) AS BIGINT) AS held FROM segment_sources \
          GROUP BY segment_id) s ON s.segment_id = g.id WHERE g.rows <> coalesce(s.held, 0)",
    ),
    (
        "ids below the WAL mark are not the records stored and quarantined",
        "SELECT 'all sources', p.value - 1, l.known FROM progress p, \
         (SELECT CAST(coalesce(sum(stored + quarantined), 0) AS BIGINT) AS known FROM ledger) l \
         WHERE p.name = 'wal_mark' AND p.value - 1 <> l.known",
    ),
];

/// Whose account it is when it is that of all sources together.
pub(crate) const ALL_SOURCES: &str = "all sources";

/// An account that does not balance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Imbalance {
    /// A source, a path, or all sources.
    pub(crate) whose: String,
    pub(crate) what: &'static str,
    pub(crate) one: i64,
    pub(crate) other: i64,
}

impl fmt::Display for Imbalance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ({} and {})", self.whose, self.what, self.one, self.other)
    }
}

impl Manifest {
    /// What does not add up.
    ///
    /// # Errors
    /// When the database refuses.
    pub(crate) async fn check(&self) -> Result<Vec<Imbalance>, StoreError> {
        let mut tx = self.snapshot().await?;
        let mut problems = Vec::new();
        for (what, query) in CHECKS {
            for row in tx.rows(*query, args![]).await? {
                let (whose, one, other) = (row.get(0)?, row.get(1)?, row.get(2)?);
                problems.push(Imbalance { whose, what, one, other });
            }
        }
        Ok(problems)
    }
}
