//! Quarantine: look at a record whole, and give records another chance once a parser is fixed.

use std::collections::BTreeSet;

use pugmark_event::Batch;
use pugmark_event::time::MINUTE;
use serde_json::json;

use crate::error::StoreError;
use crate::manifest::sql::args;
use crate::manifest::{AuditEntry, Fate, Manifest};
use crate::quarantine::{self, QuarantineEntry};
use crate::store::{Inner, Store};
use crate::undecided::Undecided;

/// Which records in quarantine are tried again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReplayFilter {
    /// Of this source.
    pub source: Option<String>,
    /// With this in their reason.
    pub reason: Option<String>,
    /// With one of these ids; all when there is none.
    pub ids: BTreeSet<i64>,
}

impl Store {
    /// A record in quarantine, whole.
    ///
    /// # Errors
    /// When the manifest cannot be read, or the record cannot be unpacked.
    pub async fn quarantined_record(&self, id: i64) -> Result<Option<QuarantineEntry>, StoreError> {
        if let Some(entry) = self.inner.aside_in_memory(id) {
            return Ok(Some(entry));
        }
        self.inner.manifest.quarantined_record(id).await
    }

    /// Ids in quarantine that fit the filter, the oldest first, with the size of each record. What
    /// is in memory alone is flushed before.
    ///
    /// # Errors
    /// When the flush fails or the manifest cannot be read.
    pub async fn quarantine_ids(
        &self,
        filter: &ReplayFilter,
    ) -> Result<Vec<(i64, u64)>, StoreError> {
        self.flush().await?;
        self.inner.manifest.quarantine_ids(filter).await
    }

    /// Makes events of records in quarantine: `batches` has one row for each, with the id of the
    /// record. In one transaction they leave the quarantine, the segments count, and the ledger has
    /// them as stored.
    ///
    /// # Errors
    /// When one of them is not in quarantine any more, or something cannot be written; nothing is
    /// changed then.
    pub async fn replay(&self, actor: &str, batches: Vec<Batch>) -> Result<u64, StoreError> {
        let (inner, actor) = (self.inner.clone(), actor.to_string());
        // A task of its own: a caller that goes away must not leave a change half-way.
        let replay = tokio::spawn(async move { inner.replay(&actor, batches).await });
        replay.await.map_err(|e| StoreError::State { what: "replay", message: e.to_string() })?
    }

    /// Gives records that stay in quarantine another reason.
    ///
    /// # Errors
    /// When the manifest cannot be written.
    pub async fn set_quarantine_reason(&self, ids: &[i64], reason: &str) -> Result<(), StoreError> {
        let _one_at_a_time = self.inner.flushing.lock().await;
        self.inner.manifest.set_reason(ids, &quarantine::short(reason)).await
    }
}

impl Inner {
    /// The record, if it was set aside and no flush has taken it yet.
    fn aside_in_memory(&self, id: i64) -> Option<QuarantineEntry> {
        let state = self.state.lock();
        let asides = state.frozen.asides.iter().chain(state.memtable.asides());
        let aside = asides.into_iter().find(|a| (a.start_id()..a.end_id()).contains(&id))?;
        let record = aside.records.get((id - aside.first_id) as usize);
        Some(QuarantineEntry {
            id,
            source: aside.source.to_string(),
            received: aside.received,
            reason: aside.reason.clone(),
            bytes: record.len() as u64,
            record: record.to_vec(),
        })
    }

    async fn replay(&self, actor: &str, batches: Vec<Batch>) -> Result<u64, StoreError> {
        // A flush counts commits too.
        let mut undecided = self.flushing.lock().await;
        self.decide(&mut undecided).await?;
        let ids: Vec<i64> = batches.iter().flat_map(|batch| batch.ids().to_vec()).collect();
        if ids.is_empty() {
            return Ok(0);
        }
        let segments = self.write_segments(batches).await?;
        let infos: Vec<_> = segments.iter().map(|segment| &segment.info).collect();
        let sources: BTreeSet<_> = infos.iter().flat_map(|info| info.sources.keys()).collect();
        let subject = sources.into_iter().cloned().collect::<Vec<_>>().join(", ");
        let detail = json!({"records": ids.len()});
        let audit = AuditEntry::now(actor, "replay of quarantine", &subject, detail);
        let replayed = self.manifest.replay_quarantine(&ids, &infos, Some(&audit)).await;
        match replayed {
            Ok(_) => self.add_replayed(segments),
            Err(error @ StoreError::Uncertain(_)) => {
                *undecided = Some(Undecided::Replay(segments));
                return Err(error);
            }
            Err(error) => {
                segments.iter().for_each(|segment| segment.doom());
                return Err(error);
            }
        }
        Ok(ids.len() as u64)
    }
}

impl Manifest {
    /// Changes the reason of records in quarantine, there and in the ledger.
    ///
    /// # Errors
    /// As for every change.
    pub(crate) async fn set_reason(&self, ids: &[i64], reason: &str) -> Result<(), StoreError> {
        const TAKE: &str = "SELECT source, received, reason FROM quarantine WHERE id = $1";
        let mut tx = self.begin().await?;
        for id in ids {
            let Some(row) = tx.row(TAKE, args![*id]).await? else { continue };
            let (source, received, old): (String, i64, String) =
                (row.get(0)?, row.get(1)?, row.get(2)?);
            if old == reason {
                continue;
            }
            let sql = "UPDATE quarantine SET reason = $1 WHERE id = $2";
            tx.run(sql, args![reason, *id]).await?;
            let minute = received.div_euclid(MINUTE) * MINUTE;
            let fate = Fate::Quarantined.name();
            for (reason, count) in [(old.as_str(), -1_i64), (reason, 1)] {
                let total = "INSERT INTO ledger_reasons (source, fate, reason, count) \
                    VALUES ($1, $2, $3, $4) ON CONFLICT (source, fate, reason) \
                    DO UPDATE SET count = ledger_reasons.count + excluded.count";
                tx.run(total, args![&source, fate, reason, count]).await?;
                let of_minute = "INSERT INTO ledger_reason_minutes \
                    (minute, source, fate, reason, count) VALUES ($1, $2, $3, $4, $5) \
                    ON CONFLICT (minute, source, fate, reason) \
                    DO UPDATE SET count = ledger_reason_minutes.count + excluded.count";
                tx.run(of_minute, args![minute, &source, fate, reason, count]).await?;
            }
        }
        tx.run("DELETE FROM ledger_reasons WHERE count <= 0", args![]).await?;
        self.finish(tx).await
    }
}
