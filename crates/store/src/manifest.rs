//! The manifest: which segments count, how far the WAL is covered, the ledger, the quarantine,
//! the audit trail.
//!
//! One database: a SQLite file in the data folder, or PostgreSQL with the same schema and the same
//! statements. [`Manifest::commit`] is the only place where events change from "in the WAL" to "in
//! a segment"; it and every other change is one transaction: a crash leaves either the old or the
//! new.
//!
//! One process writes. Each that begins to write counts the epoch up, and every change checks it:
//! whoever was there before can change nothing more.

mod change;
pub(crate) mod check;
mod gate;
mod migrations;
mod owner;
mod place;
pub(crate) mod sql;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use pugmark_event::time::Micros;

pub(crate) use change::add_audit;
pub use gate::Gate;
pub(crate) use gate::open as open_gate;
pub use place::{ManifestAt, PostgresAt};
pub(crate) use sql::{Arg, Row, args};

use self::sql::{Pool, Tx};
use crate::error::StoreError;
use crate::ledger::{Book, Counts};
use crate::memtable::Sealed;
use crate::quarantine::{self, QuarantineEntry};
use crate::retention::DEFAULT as DEFAULT_CLASS;

/// The dataset of events. Others have segments, tiers and a ledger of the same kind.
pub(crate) const EVENTS: &str = "events";

/// The manifest of one data folder. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Manifest {
    at: ManifestAt,
    /// One connection. `None` when opened for reading.
    writer: Option<Pool>,
    pub(crate) reader: Pool,
    /// The number of this writer.
    epoch: i64,
    gate: Arc<dyn Gate>,
    /// Changes take turns.
    turn: Arc<tokio::sync::Mutex<()>>,
}

/// What the manifest says at one moment.
#[derive(Debug, Default)]
pub(crate) struct Loaded {
    /// Id below which everything is in segments or in quarantine.
    pub(crate) mark: i64,
    /// Flushes so far.
    pub(crate) commits: i64,
    /// Segments of the dataset that was asked for.
    pub(crate) segments: Vec<SegmentInfo>,
    /// Accounts of all sources; records of all datasets are counted in the same.
    pub(crate) ledger: BTreeMap<String, Counts>,
}

/// What a flush adds.
#[derive(Debug)]
pub(crate) struct Commit<'a> {
    /// The WAL mark before it.
    pub(crate) from: i64,
    pub(crate) segments: Vec<&'a SegmentInfo>,
    pub(crate) sealed: &'a Sealed,
    pub(crate) shed: &'a Shed,
}

/// Records that doors did not hand on: those dropped, by minute and with reasons, and those folded.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shed {
    pub(crate) book: Book,
    /// Counts by source, start of the minute, and reason.
    pub(crate) reasons: BTreeMap<(Arc<str>, Micros, &'static str), u64>,
}

/// Where the file of a segment is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tier {
    /// On the local disk.
    #[default]
    Hot,
    /// On object storage; filters and footer are local.
    Cold,
}

impl Tier {
    /// Its word: `hot` or `cold`.
    pub fn name(self) -> &'static str {
        match self {
            Tier::Hot => "hot",
            Tier::Cold => "cold",
        }
    }

    /// The tier of this word.
    pub fn parse(name: &str) -> Option<Self> {
        [Tier::Hot, Tier::Cold].into_iter().find(|tier| tier.name() == name)
    }
}

/// What became of records that were not stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Fate {
    Quarantined,
    Shed,
}

impl Fate {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Fate::Quarantined => "quarantined",
            Fate::Shed => "shed",
        }
    }
}

/// What the manifest says of a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SegmentInfo {
    /// What its rows are: `events`.
    pub(crate) dataset: String,
    /// Path below the data folder, with forward slashes. Never used again for another file.
    pub(crate) path: String,
    /// The UTC day of all events in it, or `mixed`.
    pub(crate) partition: String,
    pub(crate) rows: u64,
    /// Size of the file.
    pub(crate) bytes: u64,
    /// Earliest and latest event time.
    pub(crate) times: (Micros, Micros),
    /// Smallest and largest event id.
    pub(crate) ids: (i64, i64),
    /// Rows of each source.
    pub(crate) sources: BTreeMap<String, u64>,
    /// Retention class of all events in it.
    pub(crate) class: String,
    pub(crate) tier: Tier,
    /// Version of the layout of the file.
    pub(crate) format: u32,
    /// CRC-32 of the whole file; 0 when it is not known (format 1).
    pub(crate) checksum: u32,
    /// Bytes of the records in it; 0 when it is not known (format 1).
    pub(crate) raw_bytes: u64,
    /// From here to the end the file holds filters and footer; 0 when it is not known.
    pub(crate) tail_offset: u64,
    /// Key of the file on object storage, when it is cold.
    pub(crate) object: Option<String>,
}

impl Default for SegmentInfo {
    fn default() -> Self {
        Self {
            dataset: EVENTS.into(),
            path: String::new(),
            partition: String::new(),
            rows: 0,
            bytes: 0,
            times: (0, 0),
            ids: (0, 0),
            sources: BTreeMap::new(),
            class: DEFAULT_CLASS.into(),
            tier: Tier::Hot,
            format: 1,
            checksum: 0,
            raw_bytes: 0,
            tail_offset: 0,
            object: None,
        }
    }
}

/// An entry of the audit trail: who did what to the data.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct AuditEntry {
    /// Its number; 0 before it is kept.
    pub id: i64,
    /// When it was done.
    pub time: Micros,
    /// Who did it: a user, or `pugmark` for what it does by itself.
    pub actor: String,
    /// What was done, in a word or two: `expire`, `reparse`.
    pub action: String,
    /// What it was done to.
    pub subject: String,
    /// More, as JSON.
    pub detail: serde_json::Value,
}

impl AuditEntry {
    /// An entry for what is done now.
    pub fn now(actor: &str, action: &str, subject: &str, detail: serde_json::Value) -> Self {
        let (actor, action, subject) = (actor.into(), action.into(), subject.into());
        Self { id: 0, time: crate::now(), actor, action, subject, detail }
    }
}

/// How many records of a source were set aside or dropped, and why.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct LedgerReason {
    /// The source.
    pub source: String,
    /// `quarantined` or `shed`.
    pub fate: String,
    /// Why.
    pub reason: String,
    /// Start of the minute of receipt; `None` in totals.
    pub minute: Option<Micros>,
    /// How many.
    pub count: u64,
}

/// Which records in quarantine.
#[derive(Debug, Clone, Default)]
pub struct QuarantineFilter {
    /// Of this source.
    pub source: Option<String>,
    /// Received from this moment on.
    pub from: Option<Micros>,
    /// Received before this moment.
    pub to: Option<Micros>,
    /// With an id above this one: the last of the page before.
    pub after_id: i64,
}

impl Manifest {
    /// Opens or makes the manifest of `dir`, brings its schema up to date, and takes over writing.
    ///
    /// # Errors
    /// When the database refuses, another process writes, a newer version wrote it, or it is not
    /// the manifest of this folder.
    pub(crate) async fn open(dir: &Path, at: &ManifestAt) -> Result<Self, StoreError> {
        owner::check_place(dir, at)?;
        let writer = at.writer(dir).await?;
        migrations::migrate(&writer).await?;
        owner::check_database(dir, at, &writer).await?;
        let sql = "UPDATE writer SET epoch = epoch + 1 RETURNING epoch";
        let row = writer.row(sql, args![]).await?;
        let missing =
            StoreError::State { what: "manifest", message: "it has no writer row".into() };
        let epoch = row.ok_or(missing)?.get(0)?;
        let reader = at.readers(dir).await?;
        Ok(Self {
            at: at.clone(),
            writer: Some(writer),
            reader,
            epoch,
            gate: open_gate(),
            turn: Arc::default(),
        })
    }

    /// Opens the manifest of `dir` for reading, also while another process writes.
    ///
    /// # Errors
    /// When there is none, the database refuses, or its schema is not the one this program knows.
    pub(crate) async fn open_read_only(dir: &Path, at: &ManifestAt) -> Result<Self, StoreError> {
        let reader = at.readers(dir).await?;
        let (found, known) = (migrations::version(&reader).await?, migrations::KNOWN);
        if found > known {
            return Err(StoreError::TooNew { found, known });
        }
        if found == 0 {
            return Err(StoreError::NoData(dir.to_path_buf()));
        }
        if found < known {
            let message = "an older version wrote it; start the server once".to_string();
            return Err(StoreError::State { what: "manifest", message });
        }
        Ok(Self {
            at: at.clone(),
            writer: None,
            reader,
            epoch: 0,
            gate: open_gate(),
            turn: Arc::default(),
        })
    }

    /// The same, with every change going through `gate`.
    pub(crate) fn behind(self, gate: Arc<dyn Gate>) -> Self {
        Self { gate, ..self }
    }

    /// A stable view of everything: later changes are not in it.
    ///
    /// # Errors
    /// When the database refuses.
    pub(crate) async fn snapshot(&self) -> Result<Tx, StoreError> {
        self.reader.snapshot().await
    }

    /// The rows that a single statement answers.
    ///
    /// # Errors
    /// When the database refuses.
    pub(crate) async fn rows(
        &self,
        sql: impl sqlx::SqlSafeStr,
        args: &[Arg<'_>],
    ) -> Result<Vec<Row>, StoreError> {
        self.reader.rows(sql, args).await
    }

    /// The first row that a single statement answers.
    ///
    /// # Errors
    /// When the database refuses.
    pub(crate) async fn row(
        &self,
        sql: impl sqlx::SqlSafeStr,
        args: &[Arg<'_>],
    ) -> Result<Option<Row>, StoreError> {
        self.reader.row(sql, args).await
    }

    /// Runs a single statement that changes something; returns how many rows it changed.
    ///
    /// # Errors
    /// As for every change, see [`Manifest::begin`] and [`Manifest::finish`].
    pub(crate) async fn run(
        &self,
        sql: impl sqlx::SqlSafeStr,
        args: &[Arg<'_>],
    ) -> Result<u64, StoreError> {
        let mut tx = self.begin().await?;
        let changed = tx.run(sql, args).await?;
        self.finish(tx).await?;
        Ok(changed)
    }

    /// The pool that writes.
    fn writer(&self) -> Result<&Pool, StoreError> {
        self.writer.as_ref().ok_or(StoreError::ReadOnly)
    }

    /// Everything about a dataset at one moment.
    ///
    /// # Errors
    /// When the database refuses.
    pub(crate) async fn load(&self, dataset: &str) -> Result<Loaded, StoreError> {
        let mut tx = self.snapshot().await?;
        let (mark, commits) = progress(&mut tx).await?;
        let segments = segments(&mut tx, dataset).await?;
        let ledger = ledger(&mut tx).await?;
        Ok(Loaded { mark, commits, segments, ledger })
    }

    /// The WAL mark.
    ///
    /// # Errors
    /// When the database refuses.
    pub(crate) async fn mark(&self) -> Result<i64, StoreError> {
        Ok(progress(&mut self.snapshot().await?).await?.0)
    }

    /// Counts by source and minute of receipt since `since`, and the number of flushes that this
    /// answer knows.
    ///
    /// # Errors
    /// When the database refuses.
    pub(crate) async fn minutes(
        &self,
        since: Micros,
    ) -> Result<(i64, BTreeMap<(String, Micros), Counts>), StoreError> {
        const SQL: &str = "SELECT source, received, stored, sampled, folded, quarantined, shed, \
            raw_bytes, last_received, minute FROM ledger_minutes WHERE minute >= $1";
        let mut tx = self.snapshot().await?;
        let (_, commits) = progress(&mut tx).await?;
        let mut minutes = BTreeMap::new();
        for row in tx.rows(SQL, args![since]).await? {
            minutes.insert((row.get(0)?, row.get(9)?), counts(&row)?);
        }
        Ok((commits, minutes))
    }

    /// Why records were set aside or dropped: totals, or by minute since a moment. With the number
    /// of flushes that this answer knows.
    ///
    /// # Errors
    /// When the database refuses.
    pub(crate) async fn reasons(
        &self,
        since: Option<Micros>,
    ) -> Result<(i64, Vec<LedgerReason>), StoreError> {
        let mut tx = self.snapshot().await?;
        let (_, commits) = progress(&mut tx).await?;
        let rows = match since {
            None => {
                let sql = "SELECT source, fate, reason, count FROM ledger_reasons \
                    ORDER BY source, fate, reason";
                tx.rows(sql, args![]).await?
            }
            Some(since) => {
                let sql = "SELECT source, fate, reason, count, minute FROM ledger_reason_minutes \
                    WHERE minute >= $1 ORDER BY minute, source, fate, reason";
                tx.rows(sql, args![since]).await?
            }
        };
        let mut reasons = Vec::with_capacity(rows.len());
        for row in &rows {
            let minute = since.map(|_| row.get(4)).transpose()?;
            let (source, fate, reason) = (row.get(0)?, row.get(1)?, row.get(2)?);
            reasons.push(LedgerReason { source, fate, reason, minute, count: row.count(3)? });
        }
        Ok((commits, reasons))
    }

    /// The newest records set aside, and the number of flushes that this answer knows.
    ///
    /// # Errors
    /// When the database refuses or a record cannot be unpacked.
    pub(crate) async fn quarantined(
        &self,
        limit: usize,
    ) -> Result<(i64, Vec<QuarantineEntry>), StoreError> {
        const SQL: &str = "SELECT id, source, received, reason, bytes, record FROM quarantine \
            ORDER BY id DESC LIMIT $1";
        let mut tx = self.snapshot().await?;
        let (_, commits) = progress(&mut tx).await?;
        let mut entries = Vec::new();
        for row in tx.rows(SQL, args![limit]).await? {
            let record = quarantine::unpack(&row.get::<Vec<u8>>(5)?)?;
            entries.push(quarantine_entry(&row, record)?);
        }
        Ok((commits, entries))
    }

    /// Records in quarantine that fit, whole, in the order of their ids, at most `limit`.
    ///
    /// # Errors
    /// When the database refuses or a record cannot be unpacked.
    #[allow(dead_code, reason = "for the ledger and the quarantine as people see them")]
    pub(crate) async fn quarantined_whole(
        &self,
        filter: &QuarantineFilter,
        limit: usize,
    ) -> Result<Vec<QuarantineEntry>, StoreError> {
        const SQL: &str = "SELECT id, source, received, reason, bytes, record FROM quarantine \
            WHERE id > $1 AND received >= $2 AND received < $3 ORDER BY id LIMIT $4";
        const OF_SOURCE: &str = "SELECT id, source, received, reason, bytes, record \
            FROM quarantine WHERE id > $1 AND received >= $2 AND received < $3 AND source = $5 \
            ORDER BY id LIMIT $4";
        let (from, to) = (filter.from.unwrap_or(i64::MIN), filter.to.unwrap_or(i64::MAX));
        let (after, limit) = (Arg::from(filter.after_id), Arg::from(limit));
        let rows = match &filter.source {
            None => self.rows(SQL, &[after, from.into(), to.into(), limit]).await?,
            Some(source) => {
                let args = [after, from.into(), to.into(), limit, source.into()];
                self.rows(OF_SOURCE, &args).await?
            }
        };
        rows.iter().map(whole_record).collect()
    }

    /// A record in quarantine, whole.
    ///
    /// # Errors
    /// When the database refuses or the record cannot be unpacked.
    pub(crate) async fn quarantined_record(
        &self,
        id: i64,
    ) -> Result<Option<QuarantineEntry>, StoreError> {
        const SQL: &str =
            "SELECT id, source, received, reason, bytes, record FROM quarantine WHERE id = $1";
        self.row(SQL, args![id]).await?.as_ref().map(whole_record).transpose()
    }

    /// The newest entries of the audit trail, newest first.
    ///
    /// # Errors
    /// When the database refuses.
    pub(crate) async fn audit_list(&self, limit: usize) -> Result<Vec<AuditEntry>, StoreError> {
        const SQL: &str = "SELECT id, time, actor, action, subject, detail FROM audit \
            ORDER BY id DESC LIMIT $1";
        let mut entries = Vec::new();
        for row in self.rows(SQL, args![limit]).await? {
            let detail: String = row.get(5)?;
            entries.push(AuditEntry {
                id: row.get(0)?,
                time: row.get(1)?,
                actor: row.get(2)?,
                action: row.get(3)?,
                subject: row.get(4)?,
                detail: serde_json::from_str(&detail)
                    .map_err(|e| StoreError::State { what: "audit", message: e.to_string() })?,
            });
        }
        Ok(entries)
    }

    /// Closes all connections.
    pub(crate) async fn close(&self) {
        self.reader.close().await;
        if let Some(writer) = &self.writer {
            writer.close().await;
        }
    }
}

/// The WAL mark and the number of flushes.
async fn progress(tx: &mut Tx) -> Result<(i64, i64), StoreError> {
    let (mut mark, mut commits) = (1, 0);
    for row in tx.rows("SELECT name, value FROM progress", args![]).await? {
        match row.get::<String>(0)?.as_str() {
            "wal_mark" => mark = row.get(1)?,
            "commits" => commits = row.get(1)?,
            _ => {}
        }
    }
    Ok((mark, commits))
}

async fn segments(tx: &mut Tx, dataset: &str) -> Result<Vec<SegmentInfo>, StoreError> {
    const SOURCES: &str = "SELECT s.segment_id, s.source, s.rows FROM segment_sources s \
        JOIN segments g ON g.id = s.segment_id WHERE g.dataset = $1";
    const SEGMENTS: &str = "SELECT id, dataset, path, partition, rows, bytes, min_time, max_time, \
        min_id, max_id, class, tier, format, checksum, raw_bytes, tail_offset, object \
        FROM segments WHERE dataset = $1 ORDER BY id";
    let mut sources: BTreeMap<i64, BTreeMap<String, u64>> = BTreeMap::new();
    for row in tx.rows(SOURCES, args![dataset]).await? {
        sources.entry(row.get(0)?).or_default().insert(row.get(1)?, row.count(2)?);
    }
    let mut segments = Vec::new();
    for row in tx.rows(SEGMENTS, args![dataset]).await? {
        let tier: String = row.get(11)?;
        let tier = Tier::parse(&tier).ok_or_else(|| StoreError::State {
            what: "manifest",
            message: format!("{tier:?} is no tier"),
        })?;
        segments.push(SegmentInfo {
            dataset: row.get(1)?,
            path: row.get(2)?,
            partition: row.get(3)?,
            rows: row.count(4)?,
            bytes: row.count(5)?,
            times: (row.get(6)?, row.get(7)?),
            ids: (row.get(8)?, row.get(9)?),
            class: row.get(10)?,
            tier,
            format: row.count(12)? as u32,
            checksum: row.count(13)? as u32,
            raw_bytes: row.count(14)?,
            tail_offset: row.count(15)?,
            object: row.get(16)?,
            sources: sources.remove(&row.get(0)?).unwrap_or_default(),
        });
    }
    Ok(segments)
}

async fn ledger(tx: &mut Tx) -> Result<BTreeMap<String, Counts>, StoreError> {
    const SQL: &str = "SELECT source, received, stored, sampled, folded, quarantined, shed, \
        raw_bytes, last_received, expired FROM ledger";
    let mut ledger = BTreeMap::new();
    for row in tx.rows(SQL, args![]).await? {
        ledger.insert(row.get(0)?, Counts { expired: row.count(9)?, ..counts(&row)? });
    }
    Ok(ledger)
}

/// Counts from the columns after the source.
fn counts(row: &Row) -> Result<Counts, sqlx::Error> {
    Ok(Counts {
        received: row.count(1)?,
        stored: row.count(2)?,
        sampled: row.count(3)?,
        folded: row.count(4)?,
        quarantined: row.count(5)?,
        shed: row.count(6)?,
        raw_bytes: row.count(7)?,
        last_received: row.get(8)?,
        expired: 0,
    })
}

fn quarantine_entry(row: &Row, record: Vec<u8>) -> Result<QuarantineEntry, StoreError> {
    Ok(QuarantineEntry {
        id: row.get(0)?,
        source: row.get(1)?,
        received: row.get(2)?,
        reason: row.get(3)?,
        bytes: row.count(4)?,
        record,
    })
}

fn whole_record(row: &Row) -> Result<QuarantineEntry, StoreError> {
    let record = quarantine::unpack_whole(&row.get::<Vec<u8>>(5)?, row.count(4)?)?;
    quarantine_entry(row, record)
}
