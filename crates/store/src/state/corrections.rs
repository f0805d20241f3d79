//! Corrections of the clocks of sources.

use pugmark_event::time::Micros;

use crate::error::StoreError;
use crate::manifest::{AuditEntry, Manifest, Row, add_audit, args};

/// The corrections in a data folder. Cheap to clone.
#[derive(Debug, Clone)]
pub struct KeptCorrections {
    manifest: Manifest,
}

/// What is added to the times of events of a source from a time of receipt on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptCorrection {
    /// The source.
    pub source: String,
    /// First time of receipt for which it holds, until the next of the source does.
    pub since: Micros,
    /// Seconds that are added; 0 for no correction.
    pub seconds: i64,
    /// Why, in a person's words.
    pub reason: String,
    /// Who said so.
    pub actor: String,
}

/// Every method fails when the database refuses, and those that write also when the store was
/// opened for reading.
#[allow(clippy::missing_errors_doc, reason = "said once for all above")]
impl KeptCorrections {
    pub(crate) fn new(manifest: Manifest) -> Self {
        Self { manifest }
    }

    /// All of them, by source and then in the order of time.
    pub async fn list(&self) -> Result<Vec<KeptCorrection>, StoreError> {
        const SQL: &str = "SELECT source, since, seconds, reason, actor FROM clock_corrections \
            ORDER BY source, since";
        self.manifest.rows(SQL, args![]).await?.iter().map(kept).collect()
    }

    /// Keeps one more, with an entry in the audit trail.
    pub async fn add(&self, correction: &KeptCorrection, now: Micros) -> Result<(), StoreError> {
        const SQL: &str = "INSERT INTO clock_corrections (source, since, seconds, reason, actor) \
            VALUES ($1, $2, $3, $4, $5)";
        let KeptCorrection { source, since, seconds, reason, actor } = correction;
        let mut tx = self.manifest.begin().await?;
        tx.run(SQL, args![source, *since, *seconds, reason, actor]).await?;
        add_audit(&mut tx, Some(&entry(correction, now))).await?;
        self.manifest.finish(tx).await
    }
}

fn entry(correction: &KeptCorrection, now: Micros) -> AuditEntry {
    let action = match correction.seconds {
        0 => "clock correction removed",
        _ => "clock corrected",
    };
    AuditEntry {
        id: 0,
        time: now,
        actor: correction.actor.clone(),
        action: action.to_string(),
        subject: correction.source.clone(),
        detail: serde_json::json!({
            "reason": correction.reason,
            "correction_seconds": correction.seconds,
            "since": pugmark_event::time::format(correction.since),
        }),
    }
}

fn kept(row: &Row) -> Result<KeptCorrection, StoreError> {
    Ok(KeptCorrection {
        source: row.get(0)?,
        since: row.get(1)?,
        seconds: row.get(2)?,
        reason: row.get(3)?,
        actor: row.get(4)?,
    })
}
