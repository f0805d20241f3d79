//! The ledger as people ask for it: by source, by minute, with the reasons.

use std::collections::BTreeMap;
use std::time::Duration;

use pugmark_event::time::{MINUTE, Micros};
use serde::Serialize;

use crate::error::StoreError;
use crate::ledger::{Book, Counts, LedgerRow};
use crate::manifest::{Fate, LedgerReason};
use crate::store::{State, Store};

/// A flush between its transaction and the memory that it frees is waited for.
const PAUSE: Duration = Duration::from_millis(2);

/// Which part of the ledger.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LedgerFilter {
    /// Of this source.
    pub source: Option<String>,
    /// Received from the minute of this moment on.
    pub from: Option<Micros>,
    /// Received in minutes that begin before this moment.
    pub to: Option<Micros>,
}

impl LedgerFilter {
    fn fits(&self, source: &str, minute: Micros) -> bool {
        self.source.as_ref().is_none_or(|wanted| wanted == source)
            && minute >= self.since()
            && self.to.is_none_or(|to| minute < to)
    }

    fn since(&self) -> Micros {
        self.from.map_or(i64::MIN, |from| from.div_euclid(MINUTE) * MINUTE)
    }

    fn is_bounded(&self) -> bool {
        self.from.is_some() || self.to.is_some()
    }
}

/// Counts of one source in one minute of receipt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LedgerMinute {
    /// Start of the minute.
    pub minute: Micros,
    /// The counts. What expired since is known for whole sources alone.
    #[serde(flatten)]
    pub row: LedgerRow,
}

impl Store {
    /// The account of each source that fits. Within bounds of time, counts are those of the minutes
    /// of receipt, and what expired since is not among them.
    ///
    /// # Errors
    /// When the manifest cannot be read.
    pub async fn ledger_of(&self, filter: &LedgerFilter) -> Result<Vec<LedgerRow>, StoreError> {
        if !filter.is_bounded() {
            let mut rows = self.ledger().await?;
            rows.retain(|row| filter.fits(&row.source, Micros::MAX));
            return Ok(rows);
        }
        let mut totals: BTreeMap<String, Counts> = BTreeMap::new();
        for ((_, source), counts) in self.minutes_of(filter).await? {
            totals.entry(source).or_default().add(&counts);
        }
        Ok(totals.iter().map(|(source, counts)| LedgerRow::new(source, counts)).collect())
    }

    /// The account by minute of receipt, oldest first, then by source.
    ///
    /// # Errors
    /// When the manifest cannot be read.
    pub async fn ledger_by_minute(
        &self,
        filter: &LedgerFilter,
    ) -> Result<Vec<LedgerMinute>, StoreError> {
        let minutes = self.minutes_of(filter).await?;
        let row = |((minute, source), counts): (&(Micros, String), &Counts)| LedgerMinute {
            minute: *minute,
            row: LedgerRow::new(source, counts),
        };
        Ok(minutes.iter().map(row).collect())
    }

    async fn minutes_of(
        &self,
        filter: &LedgerFilter,
    ) -> Result<BTreeMap<(Micros, String), Counts>, StoreError> {
        loop {
            let (commits, mut pending) = {
                let state = self.inner.state.lock();
                (state.commits, state.pending())
            };
            let (seen, stored) = self.inner.manifest.minutes(filter.since()).await?;
            if seen != commits && self.is_settling().await {
                continue;
            }
            if seen != commits {
                pending = Book::default();
            }
            let pending = pending.minutes.iter().map(|((s, m), counts)| ((&**s, *m), counts));
            let stored = stored.iter().map(|((s, m), counts)| ((s.as_str(), *m), counts));
            let mut minutes: BTreeMap<(Micros, String), Counts> = BTreeMap::new();
            for ((source, minute), counts) in stored.chain(pending) {
                if filter.fits(source, minute) {
                    minutes.entry((minute, source.to_string())).or_default().add(counts);
                }
            }
            return Ok(minutes);
        }
    }

    /// Why records were set aside or dropped, by source; the largest count first in each.
    ///
    /// # Errors
    /// When the manifest cannot be read.
    pub async fn ledger_reasons(
        &self,
        filter: &LedgerFilter,
    ) -> Result<Vec<LedgerReason>, StoreError> {
        let since = filter.is_bounded().then(|| filter.since());
        loop {
            let (commits, mut pending) = {
                let state = self.inner.state.lock();
                (state.commits, pending_reasons(&state))
            };
            let (seen, stored) = self.inner.manifest.reasons(since).await?;
            if seen != commits && self.is_settling().await {
                continue;
            }
            if seen != commits {
                pending.clear();
            }
            let mut counts: BTreeMap<(String, String, String), u64> = BTreeMap::new();
            for reason in stored.into_iter().chain(pending) {
                // Totals have no minute: any fits.
                if filter.fits(&reason.source, reason.minute.unwrap_or(filter.since())) {
                    let key = (reason.source, reason.fate, reason.reason);
                    *counts.entry(key).or_default() += reason.count;
                }
            }
            let mut reasons: Vec<_> = counts
                .into_iter()
                .map(|((source, fate, reason), count)| LedgerReason {
                    source,
                    fate,
                    reason,
                    minute: None,
                    count,
                })
                .collect();
            reasons.sort_by(|a, b| a.source.cmp(&b.source).then(b.count.cmp(&a.count)));
            return Ok(reasons);
        }
    }

    /// Waits for a flush to free the memory that its transaction has counted. False for a reader of
    /// another process's folder: there the manifest went on, and what was read before is old.
    async fn is_settling(&self) -> bool {
        let writing = self.inner.writing.is_some();
        if writing {
            tokio::time::sleep(PAUSE).await;
        }
        writing
    }
}

/// Reasons of what no transaction has yet.
fn pending_reasons(state: &State) -> Vec<LedgerReason> {
    let shed = state.shed.reasons.iter().chain(&state.frozen_shed.reasons);
    let shed = shed.map(|((source, minute, reason), count)| LedgerReason {
        source: source.to_string(),
        fate: Fate::Shed.name().into(),
        reason: (*reason).to_string(),
        minute: Some(*minute),
        count: *count,
    });
    let asides = state.frozen.asides.iter().chain(state.memtable.asides());
    let asides = asides.map(|aside| LedgerReason {
        source: aside.source.to_string(),
        fate: Fate::Quarantined.name().into(),
        reason: aside.reason.clone(),
        minute: Some(aside.received.div_euclid(MINUTE) * MINUTE),
        count: aside.rows.len() as u64,
    });
    shed.chain(asides).collect()
}
