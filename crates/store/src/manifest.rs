//! The manifest: which segments count, how far the WAL is covered, the ledger, the quarantine.
//!
//! One SQLite file. [`Manifest::commit`] is the only place where events change from "in the WAL"
//! to "in a segment", in one transaction: a crash leaves either the one or the other.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use pugmark_event::time::Micros;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteRow,
    SqliteSynchronous,
};
use sqlx::{AssertSqlSafe, Row, Sqlite, SqliteConnection, Transaction};

use crate::error::StoreError;
use crate::ledger::{Book, Counts};
use crate::memtable::Sealed;
use crate::quarantine::{self, QuarantineEntry};
use crate::segment::SegmentInfo;

/// Name of the file in the data folder.
const FILE: &str = "pugmark.db";
/// Connections for reading.
const READERS_MAX: u32 = 4;
/// How long a statement waits for another process.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// Every change of the schema, in order; the position is the version.
const MIGRATIONS: &[&str] =
    &[include_str!("migrations/0001_start.sql"), include_str!("migrations/0002_state.sql")];

/// The manifest of one data folder. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Manifest {
    /// One connection: writers take turns. `None` when opened for reading.
    writer: Option<SqlitePool>,
    reader: SqlitePool,
}

/// What the manifest says at one moment.
#[derive(Debug, Default)]
pub(crate) struct Loaded {
    /// Id below which everything is in segments or in quarantine.
    pub(crate) mark: i64,
    /// Flushes so far.
    pub(crate) commits: i64,
    pub(crate) segments: Vec<SegmentInfo>,
    pub(crate) ledger: BTreeMap<String, Counts>,
}

/// What a flush adds.
#[derive(Debug)]
pub(crate) struct Commit<'a> {
    pub(crate) segments: Vec<&'a SegmentInfo>,
    pub(crate) sealed: &'a Sealed,
    pub(crate) shed: &'a Shed,
}

/// Records that doors dropped, by minute and with reasons.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shed {
    pub(crate) book: Book,
    pub(crate) reasons: BTreeMap<(String, &'static str), u64>,
}

impl Manifest {
    /// Opens or makes the manifest of `dir`, and brings its schema up to date.
    ///
    /// # Errors
    /// When SQLite refuses, or a newer version wrote it.
    pub(crate) async fn open(dir: &Path) -> Result<Self, StoreError> {
        let options = options(dir)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true);
        let writer = SqlitePoolOptions::new()
            .max_connections(1)
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_with(options)
            .await?;
        migrate(&writer).await?;
        Ok(Self { writer: Some(writer), reader: open_reader(dir).await? })
    }

    /// Opens the manifest of `dir` for reading, also while another process writes.
    ///
    /// # Errors
    /// When there is none, SQLite refuses, or its schema is not the one this program knows.
    pub(crate) async fn open_read_only(dir: &Path) -> Result<Self, StoreError> {
        if !path(dir).is_file() {
            return Err(StoreError::NoData(dir.to_path_buf()));
        }
        let reader = open_reader(dir).await?;
        let found = version(&mut *reader.acquire().await?).await?;
        let known = MIGRATIONS.len() as i64;
        if found > known {
            return Err(StoreError::TooNew { found, known });
        }
        if found < known {
            let message = "an older version wrote it; start the server once".to_string();
            return Err(StoreError::State { what: "manifest", message });
        }
        Ok(Self { writer: None, reader })
    }

    /// The pool that reads.
    pub(crate) fn reader(&self) -> &SqlitePool {
        &self.reader
    }

    /// The pool that writes.
    ///
    /// # Errors
    /// When the store was opened for reading.
    pub(crate) fn writer(&self) -> Result<&SqlitePool, StoreError> {
        self.writer.as_ref().ok_or(StoreError::ReadOnly)
    }

    /// Everything at one moment.
    ///
    /// # Errors
    /// When SQLite refuses.
    pub(crate) async fn load(&self) -> Result<Loaded, StoreError> {
        let mut tx = self.reader.begin().await?;
        let (mark, commits) = progress(&mut tx).await?;
        let mut sources: BTreeMap<i64, BTreeMap<String, u64>> = BTreeMap::new();
        for row in sqlx::query("SELECT segment_id, source, rows FROM segment_sources")
            .fetch_all(&mut *tx)
            .await?
        {
            let of_segment = sources.entry(row.try_get(0)?).or_default();
            of_segment.insert(row.try_get(1)?, count(&row, 2)?);
        }
        let rows = sqlx::query(
            "SELECT id, path, partition, rows, bytes, min_time, max_time, min_id, max_id \
             FROM segments WHERE dataset = 'events' ORDER BY id",
        )
        .fetch_all(&mut *tx)
        .await?;
        let mut segments = Vec::with_capacity(rows.len());
        for row in rows {
            segments.push(SegmentInfo {
                path: row.try_get(1)?,
                partition: row.try_get(2)?,
                rows: count(&row, 3)?,
                bytes: count(&row, 4)?,
                times: (row.try_get(5)?, row.try_get(6)?),
                ids: (row.try_get(7)?, row.try_get(8)?),
                sources: sources.remove(&row.try_get::<i64, _>(0)?).unwrap_or_default(),
            });
        }
        let ledger = ledger(&mut tx).await?;
        Ok(Loaded { mark, commits, segments, ledger })
    }

    /// The WAL mark.
    ///
    /// # Errors
    /// When SQLite refuses.
    pub(crate) async fn mark(&self) -> Result<i64, StoreError> {
        Ok(progress(&mut *self.reader.acquire().await?).await?.0)
    }

    /// Adds a flush, all or nothing.
    ///
    /// # Errors
    /// When SQLite refuses; nothing is changed then, or all of it (see [`Manifest::mark`]).
    pub(crate) async fn commit(&self, commit: &Commit<'_>) -> Result<(), StoreError> {
        let mut tx = self.writer()?.begin().await?;
        for segment in &commit.segments {
            add_segment(&mut tx, segment).await?;
        }
        let mut book = commit.sealed.book();
        book.merge(&commit.shed.book);
        add_to_ledger(&mut tx, &book).await?;
        for ((source, reason), count) in &commit.shed.reasons {
            add_reason(&mut tx, source, "shed", reason, *count).await?;
        }
        for aside in &commit.sealed.asides {
            let count = aside.rows.len() as u64;
            add_reason(&mut tx, &aside.source, "quarantined", &aside.reason, count).await?;
            for (id, record) in aside.iter() {
                let packed = quarantine::pack(record).map_err(|e| StoreError::State {
                    what: "quarantine",
                    message: e.to_string(),
                })?;
                sqlx::query("INSERT INTO quarantine VALUES (?, ?, ?, ?, ?, ?)")
                    .bind(id)
                    .bind(&*aside.source)
                    .bind(aside.received)
                    .bind(&aside.reason)
                    .bind(record.len() as i64)
                    .bind(packed)
                    .execute(&mut *tx)
                    .await?;
            }
        }
        sqlx::query("UPDATE progress SET value = ? WHERE name = 'wal_mark'")
            .bind(commit.sealed.mark)
            .execute(&mut *tx)
            .await?;
        sqlx::query("UPDATE progress SET value = value + 1 WHERE name = 'commits'")
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(())
    }

    /// Records received by source and minute since `since`, and the number of flushes that this
    /// answer knows.
    ///
    /// # Errors
    /// When SQLite refuses.
    pub(crate) async fn minutes(
        &self,
        since: Micros,
    ) -> Result<(i64, BTreeMap<(String, Micros), u64>), StoreError> {
        let mut tx = self.reader.begin().await?;
        let (_, commits) = progress(&mut tx).await?;
        let rows =
            sqlx::query("SELECT source, minute, received FROM ledger_minutes WHERE minute >= ?")
                .bind(since)
                .fetch_all(&mut *tx)
                .await?;
        let mut minutes = BTreeMap::new();
        for row in rows {
            minutes.insert((row.try_get(0)?, row.try_get(1)?), count(&row, 2)?);
        }
        Ok((commits, minutes))
    }

    /// The newest records set aside, and the number of flushes that this answer knows.
    ///
    /// # Errors
    /// When SQLite refuses or a record cannot be unpacked.
    pub(crate) async fn quarantined(
        &self,
        limit: usize,
    ) -> Result<(i64, Vec<QuarantineEntry>), StoreError> {
        let mut tx = self.reader.begin().await?;
        let (_, commits) = progress(&mut tx).await?;
        let rows = sqlx::query(
            "SELECT id, source, received, reason, bytes, record FROM quarantine \
             ORDER BY id DESC LIMIT ?",
        )
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(&mut *tx)
        .await?;
        let mut entries = Vec::with_capacity(rows.len());
        for row in rows {
            entries.push(QuarantineEntry {
                id: row.try_get(0)?,
                source: row.try_get(1)?,
                received: row.try_get(2)?,
                reason: row.try_get(3)?,
                bytes: count(&row, 4)?,
                record: quarantine::unpack(row.try_get(5)?)?,
            });
        }
        Ok((commits, entries))
    }

    /// What does not add up, in words.
    ///
    /// # Errors
    /// When SQLite refuses.
    pub(crate) async fn check(&self) -> Result<Vec<String>, StoreError> {
        let mut tx = self.reader.begin().await?;
        let mut problems = Vec::new();
        for (what, query) in CHECKS {
            for row in sqlx::query(*query).fetch_all(&mut *tx).await? {
                let (whose, one, other): (String, i64, i64) =
                    (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
                problems.push(format!("{whose}: {what} ({one} and {other})"));
            }
        }
        Ok(problems)
    }

    /// Closes all connections.
    pub(crate) async fn close(&self) {
        self.reader.close().await;
        if let Some(writer) = &self.writer {
            writer.close().await;
        }
    }
}

/// Queries that return a row for each account that does not balance: whose, one side, the other.
const CHECKS: &[(&str, &str)] = &[
    (
        "received is not stored + sampled + quarantined + shed",
        "SELECT source, received, stored + sampled + quarantined + shed FROM ledger \
         WHERE received <> stored + sampled + quarantined + shed",
    ),
    (
        "the minutes do not add up to the total",
        "SELECT l.source, l.received, coalesce(sum(m.received), 0) AS minutes FROM ledger l \
         LEFT JOIN ledger_minutes m ON m.source = l.source GROUP BY l.source \
         HAVING l.received <> minutes OR l.stored <> coalesce(sum(m.stored), 0) \
         OR l.quarantined <> coalesce(sum(m.quarantined), 0) OR l.shed <> coalesce(sum(m.shed), 0)",
    ),
    (
        "stored events are not the rows in segments",
        "SELECT l.source, l.stored, coalesce(sum(s.rows), 0) AS held FROM ledger l \
         LEFT JOIN segment_sources s ON s.source = l.source GROUP BY l.source \
         HAVING l.stored <> held",
    ),
    (
        "quarantined records are not the rows in quarantine",
        "SELECT l.source, l.quarantined, count(q.id) AS held FROM ledger l \
         LEFT JOIN quarantine q ON q.source = l.source GROUP BY l.source \
         HAVING l.quarantined <> held",
    ),
    (
        "rows of a segment are not the sum over its sources",
        "SELECT g.path, g.rows, coalesce(sum(s.rows), 0) AS total FROM segments g \
         LEFT JOIN segment_sources s ON s.segment_id = g.id GROUP BY g.id HAVING g.rows <> total",
    ),
    (
        "ids below the WAL mark are not the records stored and quarantined",
        "SELECT 'all sources', p.value - 1, l.known FROM progress p, \
         (SELECT coalesce(sum(stored + quarantined), 0) AS known FROM ledger) l \
         WHERE p.name = 'wal_mark' AND p.value - 1 <> l.known",
    ),
];

fn path(dir: &Path) -> PathBuf {
    dir.join(FILE)
}

fn options(dir: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new().filename(path(dir)).busy_timeout(BUSY_TIMEOUT)
}

async fn open_reader(dir: &Path) -> Result<SqlitePool, StoreError> {
    let pool = SqlitePoolOptions::new().max_connections(READERS_MAX);
    Ok(pool.connect_with(options(dir).read_only(true)).await?)
}

async fn version(connection: &mut SqliteConnection) -> Result<i64, StoreError> {
    Ok(sqlx::query("PRAGMA user_version").fetch_one(connection).await?.try_get(0)?)
}

async fn migrate(writer: &SqlitePool) -> Result<(), StoreError> {
    let found = version(&mut *writer.acquire().await?).await?;
    let known = MIGRATIONS.len() as i64;
    if found > known {
        return Err(StoreError::TooNew { found, known });
    }
    for (i, migration) in MIGRATIONS.iter().enumerate().skip(found as usize) {
        let mut tx = writer.begin().await?;
        sqlx::raw_sql(*migration).execute(&mut *tx).await?;
        // A pragma takes no parameters; the number is ours.
        sqlx::query(AssertSqlSafe(format!("PRAGMA user_version = {}", i + 1)))
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
    }
    Ok(())
}

/// A count, which SQLite holds signed.
pub(crate) fn count(row: &SqliteRow, column: usize) -> Result<u64, sqlx::Error> {
    Ok(row.try_get::<i64, _>(column)?.max(0) as u64)
}

/// The WAL mark and the number of flushes.
async fn progress(connection: &mut SqliteConnection) -> Result<(i64, i64), StoreError> {
    let row = sqlx::query(
        "SELECT (SELECT value FROM progress WHERE name = 'wal_mark'), \
                (SELECT value FROM progress WHERE name = 'commits')",
    )
    .fetch_one(connection)
    .await?;
    Ok((row.try_get(0)?, row.try_get(1)?))
}

async fn ledger(connection: &mut SqliteConnection) -> Result<BTreeMap<String, Counts>, StoreError> {
    let rows = sqlx::query(
        "SELECT source, received, stored, sampled, quarantined, shed, raw_bytes, last_received \
         FROM ledger",
    )
    .fetch_all(connection)
    .await?;
    let mut ledger = BTreeMap::new();
    for row in rows {
        let counts = Counts {
            received: count(&row, 1)?,
            stored: count(&row, 2)?,
            sampled: count(&row, 3)?,
            quarantined: count(&row, 4)?,
            shed: count(&row, 5)?,
            raw_bytes: count(&row, 6)?,
            last_received: row.try_get(7)?,
        };
        ledger.insert(row.try_get(0)?, counts);
    }
    Ok(ledger)
}

async fn add_segment(
    tx: &mut Transaction<'_, Sqlite>,
    segment: &SegmentInfo,
) -> Result<(), StoreError> {
    let id = sqlx::query(
        "INSERT INTO segments (path, partition, rows, bytes, min_time, max_time, min_id, max_id) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(&segment.path)
    .bind(&segment.partition)
    .bind(segment.rows as i64)
    .bind(segment.bytes as i64)
    .bind(segment.times.0)
    .bind(segment.times.1)
    .bind(segment.ids.0)
    .bind(segment.ids.1)
    .execute(&mut **tx)
    .await?
    .last_insert_rowid();
    for (source, rows) in &segment.sources {
        sqlx::query("INSERT INTO segment_sources VALUES (?, ?, ?)")
            .bind(id)
            .bind(source)
            .bind(*rows as i64)
            .execute(&mut **tx)
            .await?;
    }
    Ok(())
}

async fn add_to_ledger(tx: &mut Transaction<'_, Sqlite>, book: &Book) -> Result<(), StoreError> {
    const TOTAL: &str = "INSERT INTO ledger VALUES (?, ?, ?, ?, ?, ?, ?, ?) \
        ON CONFLICT (source) DO UPDATE SET received = received + excluded.received, \
        stored = stored + excluded.stored, sampled = sampled + excluded.sampled, \
        quarantined = quarantined + excluded.quarantined, shed = shed + excluded.shed, \
        raw_bytes = raw_bytes + excluded.raw_bytes, \
        last_received = max(last_received, excluded.last_received)";
    const MINUTE: &str = "INSERT INTO ledger_minutes \
        (source, received, stored, sampled, quarantined, shed, raw_bytes, last_received, minute) \
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) \
        ON CONFLICT (minute, source) DO UPDATE SET received = received + excluded.received, \
        stored = stored + excluded.stored, sampled = sampled + excluded.sampled, \
        quarantined = quarantined + excluded.quarantined, shed = shed + excluded.shed, \
        raw_bytes = raw_bytes + excluded.raw_bytes, \
        last_received = max(last_received, excluded.last_received)";
    for ((source, minute), counts) in &book.minutes {
        for (sql, minute) in [(TOTAL, None), (MINUTE, Some(*minute))] {
            let query = sqlx::query(sql)
                .bind(&**source)
                .bind(counts.received as i64)
                .bind(counts.stored as i64)
                .bind(counts.sampled as i64)
                .bind(counts.quarantined as i64)
                .bind(counts.shed as i64)
                .bind(counts.raw_bytes as i64)
                .bind(counts.last_received);
            let query = match minute {
                Some(minute) => query.bind(minute),
                None => query,
            };
            query.execute(&mut **tx).await?;
        }
    }
    Ok(())
}

async fn add_reason(
    tx: &mut Transaction<'_, Sqlite>,
    source: &str,
    fate: &str,
    reason: &str,
    count: u64,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO ledger_reasons VALUES (?, ?, ?, ?) \
         ON CONFLICT (source, fate, reason) DO UPDATE SET count = count + excluded.count",
    )
    .bind(source)
    .bind(fate)
    .bind(reason)
    .bind(count as i64)
    .execute(&mut **tx)
    .await?;
    Ok(())
}
