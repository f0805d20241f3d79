//! Changes of the manifest: each is one transaction, all or nothing.
//!
//! A change takes the writer's row first: it waits there for a change that is under way, and ends
//! there when another process has taken over.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use pugmark_event::time::{MINUTE, Micros};
use tokio::sync::OwnedMutexGuard;

use super::sql::{Tx, args};
use super::{Arg, AuditEntry, Commit, Fate, Manifest, SegmentInfo, Tier};
use crate::error::StoreError;
use crate::ledger::Counts;
use crate::quarantine::{self, Aside};

/// Records that one statement puts in quarantine together, unless they are few.
const QUARANTINE_BYTES_PER_INSERT: usize = 4 << 20;

/// Counts of reasons: source, minute, fate, reason.
type Reasons<'a> = BTreeMap<(&'a str, Micros, Fate, &'a str), i64>;

impl Manifest {
    /// A transaction that changes something. Until it is finished or dropped, every other change
    /// waits: begin no second one in the same task.
    ///
    /// # Errors
    /// When the store was opened for reading, another process has taken over, or the database
    /// refuses.
    pub(crate) async fn begin(&self) -> Result<Tx, StoreError> {
        self.begin_in_turn(self.turn.clone().lock_owned().await).await
    }

    async fn begin_in_turn(&self, turn: OwnedMutexGuard<()>) -> Result<Tx, StoreError> {
        self.gate.begin().map_err(sqlx::Error::Io)?;
        let mut tx = self.writer()?.begin().await?;
        let sql = "UPDATE writer SET changes = changes + 1 WHERE epoch = $1 RETURNING changes";
        match tx.row(sql, args![self.epoch]).await? {
            Some(row) => tx.turn = Some((turn, row.get(0)?)),
            None => return Err(StoreError::Fenced { place: self.at.to_string() }),
        }
        Ok(tx)
    }

    /// Makes a change count. When the answer of the database is lost, asks again whether it does.
    ///
    /// # Errors
    /// When the change does not count, or nobody knows ([`StoreError::Uncertain`]).
    pub(crate) async fn finish(&self, mut tx: Tx) -> Result<(), StoreError> {
        let turn = tx.turn.take();
        let Err(error) = self.commit_through_gate(tx).await else { return Ok(()) };
        let Some(turn) = turn else { return Err(error.into()) };
        match self.counts(turn).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(error.into()),
            Err(_) => Err(StoreError::Uncertain(error)),
        }
    }

    async fn commit_through_gate(&self, tx: Tx) -> Result<(), sqlx::Error> {
        self.gate.commit().map_err(sqlx::Error::Io)?;
        tx.commit().await?;
        self.gate.committed().map_err(sqlx::Error::Io)
    }

    /// Whether the change of this turn counts. The turn is still ours, so nobody counted in
    /// between: the next number is one higher if it does, and the same if it does not.
    pub(super) async fn counts(
        &self,
        (turn, change): (OwnedMutexGuard<()>, i64),
    ) -> Result<bool, StoreError> {
        let next = self.begin_in_turn(turn).await?;
        Ok(next.turn.as_ref().is_some_and(|(_, number)| *number != change))
    }

    /// Adds a flush.
    ///
    /// # Errors
    /// When the WAL mark is not where the flush begins, or as for every change.
    pub(crate) async fn commit(&self, commit: &Commit<'_>) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        let sql = "UPDATE progress SET value = $1 WHERE name = 'wal_mark' AND value = $2";
        if tx.run(sql, args![commit.sealed.mark, commit.from]).await? != 1 {
            let what = format!("its WAL mark is not {}, where this flush begins", commit.from);
            return Err(StoreError::Changed(what));
        }
        add_commit(&mut tx).await?;
        for segment in &commit.segments {
            add_segment(&mut tx, segment).await?;
        }
        let mut book = commit.sealed.book();
        book.merge(&commit.shed.book);
        add_to_ledger(&mut tx, &book.minutes.iter().map(|((s, m), c)| ((&**s, *m), *c)).collect())
            .await?;
        let mut reasons = Reasons::new();
        for ((source, minute, reason), count) in &commit.shed.reasons {
            reasons.insert((source, *minute, Fate::Shed, reason), *count as i64);
        }
        for aside in &commit.sealed.asides {
            let key = (&*aside.source, minute(aside.received), Fate::Quarantined, &*aside.reason);
            *reasons.entry(key).or_default() += aside.rows.len() as i64;
        }
        add_reasons(&mut tx, &reasons).await?;
        add_to_quarantine(&mut tx, &commit.sealed.asides).await?;
        self.finish(tx).await
    }

    /// Puts segments in the place of others that hold the same rows: compaction, reparse.
    ///
    /// # Errors
    /// When one of `removed` is not there, or the rows of a source are not the same on both sides;
    /// and as for every change.
    pub(crate) async fn replace(
        &self,
        removed: &[&str],
        added: &[&SegmentInfo],
        audit: Option<&AuditEntry>,
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        let before = remove_segments(&mut tx, removed).await?;
        let after = rows_per_source(added);
        if let Some((source, old, new)) = first_difference(&before, &after) {
            let what = format!("source {source} has {old} rows in the segments that go and {new}");
            return Err(StoreError::Changed(format!("{what} in those that come")));
        }
        for segment in added {
            add_segment(&mut tx, segment).await?;
        }
        add_audit(&mut tx, audit).await?;
        self.finish(tx).await
    }

    /// Notes that a segment is on another tier now.
    ///
    /// # Errors
    /// When it is not there, and as for every change.
    pub(crate) async fn move_to(
        &self,
        path: &str,
        tier: Tier,
        object: Option<&str>,
        audit: Option<&AuditEntry>,
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        let sql = "UPDATE segments SET tier = $1, object = $2 WHERE path = $3";
        if tx.run(sql, args![tier.name(), object, path]).await? != 1 {
            return Err(StoreError::Changed(format!("it has no segment {path}")));
        }
        add_audit(&mut tx, audit).await?;
        self.finish(tx).await
    }

    /// Forgets segments whose time is over; the ledger counts their rows as expired, and the audit
    /// trail says so. Returns the rows of each source.
    ///
    /// # Errors
    /// When one of them is not there, and as for every change.
    pub(crate) async fn expire(
        &self,
        paths: &[&str],
        audit: &AuditEntry,
    ) -> Result<BTreeMap<String, u64>, StoreError> {
        let mut tx = self.begin().await?;
        let expired = remove_segments(&mut tx, paths).await?;
        for (source, rows) in &expired {
            let sql = "UPDATE ledger SET expired = expired + $1 WHERE source = $2";
            tx.run(sql, args![*rows, source]).await?;
        }
        add_audit(&mut tx, Some(audit)).await?;
        self.finish(tx).await?;
        Ok(expired)
    }

    /// Turns records set aside into events: they leave the quarantine, `added` holds them, and the
    /// ledger counts them as stored. Counts as a flush. Returns what changed, by source and minute.
    ///
    /// # Errors
    /// When one of `ids` is not in quarantine, or `added` has not a row for each; and as for every
    /// change.
    pub(crate) async fn replay_quarantine(
        &self,
        ids: &[i64],
        added: &[&SegmentInfo],
        audit: Option<&AuditEntry>,
    ) -> Result<BTreeMap<(String, Micros), u64>, StoreError> {
        let mut tx = self.begin().await?;
        let taken = take_from_quarantine(&mut tx, ids).await?;
        let mut minutes: BTreeMap<(String, Micros), u64> = BTreeMap::new();
        let mut sources: BTreeMap<String, u64> = BTreeMap::new();
        let mut reasons = Reasons::new();
        for (source, minute, reason) in &taken {
            *minutes.entry((source.clone(), *minute)).or_default() += 1;
            *sources.entry(source.clone()).or_default() += 1;
            *reasons.entry((source, *minute, Fate::Quarantined, reason)).or_default() += 1;
        }
        if let Some((source, old, new)) = first_difference(&sources, &rows_per_source(added)) {
            let what = format!("source {source} has {old} records to replay and {new} rows");
            return Err(StoreError::Changed(format!("{what} in the segments that come")));
        }
        for ((source, minute), rows) in &minutes {
            let sql = "UPDATE ledger_minutes SET stored = stored + $1, \
                quarantined = quarantined - $1 WHERE source = $2 AND minute = $3";
            tx.run(sql, args![*rows, source, *minute]).await?;
        }
        for (source, rows) in &sources {
            let sql = "UPDATE ledger SET stored = stored + $1, quarantined = quarantined - $1 \
                WHERE source = $2";
            tx.run(sql, args![*rows, source]).await?;
        }
        lower_reasons(&mut tx, &reasons).await?;
        for segment in added {
            add_segment(&mut tx, segment).await?;
        }
        add_commit(&mut tx).await?;
        add_audit(&mut tx, audit).await?;
        self.finish(tx).await?;
        Ok(minutes)
    }

    /// Keeps a value under a name, with an entry in the audit trail.
    ///
    /// # Errors
    /// As for every change.
    pub(crate) async fn keep(
        &self,
        name: &str,
        value: &str,
        audit: &AuditEntry,
    ) -> Result<(), StoreError> {
        const SQL: &str = "INSERT INTO settings (name, value) VALUES ($1, $2) \
            ON CONFLICT (name) DO UPDATE SET value = excluded.value";
        let mut tx = self.begin().await?;
        tx.run(SQL, args![name, value]).await?;
        add_audit(&mut tx, Some(audit)).await?;
        self.finish(tx).await
    }

    /// Adds an entry to the audit trail.
    ///
    /// # Errors
    /// As for every change.
    pub(crate) async fn audit(&self, entry: &AuditEntry) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        add_audit(&mut tx, Some(entry)).await?;
        self.finish(tx).await
    }
}

/// Start of the minute.
fn minute(time: Micros) -> Micros {
    time.div_euclid(MINUTE) * MINUTE
}

async fn add_commit(tx: &mut Tx) -> Result<(), StoreError> {
    tx.run("UPDATE progress SET value = value + 1 WHERE name = 'commits'", args![]).await?;
    Ok(())
}

async fn add_segment(tx: &mut Tx, segment: &SegmentInfo) -> Result<(), StoreError> {
    const SQL: &str = "INSERT INTO segments (dataset, path, partition, rows, bytes, min_time, \
        max_time, min_id, max_id, class, tier, format, checksum, raw_bytes, tail_offset, object) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16) \
        RETURNING id";
    let args = args![
        &segment.dataset,
        &segment.path,
        &segment.partition,
        segment.rows,
        segment.bytes,
        segment.times.0,
        segment.times.1,
        segment.ids.0,
        segment.ids.1,
        &segment.class,
        segment.tier.name(),
        segment.format,
        segment.checksum,
        segment.raw_bytes,
        segment.tail_offset,
        segment.object.as_deref(),
    ];
    let row = tx.row(SQL, args).await?;
    let row = row.ok_or_else(|| StoreError::Changed("it gave a segment no number".into()))?;
    let id: i64 = row.get(0)?;
    let mut args = Vec::with_capacity(3 * segment.sources.len());
    for (source, rows) in &segment.sources {
        args.extend([id.into(), source.into(), (*rows).into()]);
    }
    tx.insert("INSERT INTO segment_sources (segment_id, source, rows)", 3, "", &args).await
}

/// Removes segments; returns the rows of each source.
async fn remove_segments(tx: &mut Tx, paths: &[&str]) -> Result<BTreeMap<String, u64>, StoreError> {
    const SOURCES: &str = "SELECT source, rows FROM segment_sources WHERE segment_id = $1";
    let mut sources: BTreeMap<String, u64> = BTreeMap::new();
    for path in paths {
        let found = tx.row("SELECT id FROM segments WHERE path = $1", args![*path]).await?;
        let missing = || StoreError::Changed(format!("it has no segment {path}"));
        let id: i64 = found.ok_or_else(missing)?.get(0)?;
        for row in tx.rows(SOURCES, args![id]).await? {
            *sources.entry(row.get(0)?).or_default() += row.count(1)?;
        }
        // The rows by source go with it.
        tx.run("DELETE FROM segments WHERE id = $1", args![id]).await?;
    }
    Ok(sources)
}

fn rows_per_source(segments: &[&SegmentInfo]) -> BTreeMap<String, u64> {
    let mut sources: BTreeMap<String, u64> = BTreeMap::new();
    for (source, rows) in segments.iter().flat_map(|segment| &segment.sources) {
        *sources.entry(source.clone()).or_default() += rows;
    }
    sources
}

/// The first source whose numbers differ, with both.
fn first_difference<'a>(
    one: &'a BTreeMap<String, u64>,
    other: &'a BTreeMap<String, u64>,
) -> Option<(&'a str, u64, u64)> {
    let of = |rows: &BTreeMap<String, u64>, source| rows.get(source).copied().unwrap_or(0);
    let both = one.keys().chain(other.keys()).map(|s| (s.as_str(), of(one, s), of(other, s)));
    both.into_iter().find(|(_, one, other)| one != other)
}

async fn add_to_ledger(
    tx: &mut Tx,
    minutes: &BTreeMap<(&str, Micros), Counts>,
) -> Result<(), StoreError> {
    const COLUMNS: &str =
        "source, received, stored, sampled, folded, quarantined, shed, raw_bytes, last_received";
    let mut totals: BTreeMap<&str, Counts> = BTreeMap::new();
    for ((source, _), counts) in minutes {
        totals.entry(source).or_default().add(counts);
    }
    let mut args = Vec::with_capacity(9 * totals.len());
    for (source, counts) in &totals {
        args.extend(ledger_args(source, counts));
    }
    let head = format!("INSERT INTO ledger ({COLUMNS})");
    tx.insert(&head, 9, &ledger_tail("ledger", "source"), &args).await?;
    let mut args = Vec::with_capacity(10 * minutes.len());
    for ((source, minute), counts) in minutes {
        args.extend(ledger_args(source, counts));
        args.push((*minute).into());
    }
    let head = format!("INSERT INTO ledger_minutes ({COLUMNS}, minute)");
    tx.insert(&head, 10, &ledger_tail("ledger_minutes", "minute, source"), &args).await
}

fn ledger_args<'a>(source: &'a str, counts: &Counts) -> [Arg<'a>; 9] {
    [
        source.into(),
        counts.received.into(),
        counts.stored.into(),
        counts.sampled.into(),
        counts.folded.into(),
        counts.quarantined.into(),
        counts.shed.into(),
        counts.raw_bytes.into(),
        counts.last_received.into(),
    ]
}

/// What becomes of counts that are there already.
fn ledger_tail(table: &str, key: &str) -> String {
    let sums = ["received", "stored", "sampled", "folded", "quarantined", "shed", "raw_bytes"]
        .map(|column| format!("{column} = {table}.{column} + excluded.{column}"))
        .join(", ");
    format!(
        "ON CONFLICT ({key}) DO UPDATE SET {sums}, last_received = CASE \
         WHEN excluded.last_received > {table}.last_received THEN excluded.last_received \
         ELSE {table}.last_received END"
    )
}

/// Adds to the counts of reasons, in total and by minute.
async fn add_reasons(tx: &mut Tx, reasons: &Reasons<'_>) -> Result<(), StoreError> {
    const TOTAL: &str = "ON CONFLICT (source, fate, reason) \
        DO UPDATE SET count = ledger_reasons.count + excluded.count";
    const MINUTE: &str = "ON CONFLICT (minute, source, fate, reason) \
        DO UPDATE SET count = ledger_reason_minutes.count + excluded.count";
    if reasons.is_empty() {
        return Ok(());
    }
    let mut totals: BTreeMap<(&str, Fate, &str), i64> = BTreeMap::new();
    let mut args = Vec::with_capacity(5 * reasons.len());
    for ((source, minute, fate, reason), count) in reasons {
        *totals.entry((source, *fate, reason)).or_default() += count;
        args.extend([
            (*minute).into(),
            Arg::from(*source),
            fate.name().into(),
            (*reason).into(),
            (*count).into(),
        ]);
    }
    let head = "INSERT INTO ledger_reason_minutes (minute, source, fate, reason, count)";
    tx.insert(head, 5, MINUTE, &args).await?;
    let mut args = Vec::with_capacity(4 * totals.len());
    for ((source, fate, reason), count) in &totals {
        args.extend([Arg::from(*source), fate.name().into(), (*reason).into(), (*count).into()]);
    }
    let head = "INSERT INTO ledger_reasons (source, fate, reason, count)";
    tx.insert(head, 4, TOTAL, &args).await?;
    Ok(())
}

/// Takes from the counts of reasons; what comes down to nothing goes.
async fn lower_reasons(tx: &mut Tx, reasons: &Reasons<'_>) -> Result<(), StoreError> {
    for ((source, minute, fate, reason), count) in reasons {
        let sql = "UPDATE ledger_reasons SET count = count - $1 \
            WHERE source = $2 AND fate = $3 AND reason = $4";
        tx.run(sql, args![*count, *source, fate.name(), *reason]).await?;
        let sql = "UPDATE ledger_reason_minutes SET count = count - $1 \
            WHERE source = $2 AND fate = $3 AND reason = $4 AND minute = $5";
        tx.run(sql, args![*count, *source, fate.name(), *reason, *minute]).await?;
    }
    tx.run("DELETE FROM ledger_reasons WHERE count <= 0", args![]).await?;
    tx.run("DELETE FROM ledger_reason_minutes WHERE count <= 0", args![]).await?;
    Ok(())
}

async fn add_to_quarantine(tx: &mut Tx, asides: &[Arc<Aside>]) -> Result<(), StoreError> {
    const HEAD: &str = "INSERT INTO quarantine (id, source, received, reason, bytes, record)";
    let (mut args, mut bytes) = (Vec::new(), 0);
    for aside in asides {
        for (id, record) in aside.iter() {
            let packed = quarantine::pack(record)
                .map_err(|e| StoreError::State { what: "quarantine", message: e.to_string() })?;
            bytes += packed.len();
            args.extend([
                id.into(),
                Arg::from(&*aside.source),
                aside.received.into(),
                (&aside.reason).into(),
                record.len().into(),
                packed.into(),
            ]);
            if bytes >= QUARANTINE_BYTES_PER_INSERT {
                tx.insert(HEAD, 6, "", &args).await?;
                args.clear();
                bytes = 0;
            }
        }
    }
    tx.insert(HEAD, 6, "", &args).await
}

/// Takes records out of quarantine; answers source, minute and reason of each.
async fn take_from_quarantine(
    tx: &mut Tx,
    ids: &[i64],
) -> Result<Vec<(String, Micros, String)>, StoreError> {
    const TAKE: &str = "DELETE FROM quarantine WHERE id = $1 RETURNING source, received, reason";
    let mut taken = Vec::with_capacity(ids.len());
    for id in ids.iter().collect::<BTreeSet<_>>() {
        let row = tx.row(TAKE, args![*id]).await?;
        let missing = || StoreError::Changed(format!("it has no record {id} in quarantine"));
        let row = row.ok_or_else(missing)?;
        taken.push((row.get(0)?, minute(row.get(1)?), row.get(2)?));
    }
    Ok(taken)
}

pub(crate) async fn add_audit(tx: &mut Tx, entry: Option<&AuditEntry>) -> Result<(), StoreError> {
    const SQL: &str =
        "INSERT INTO audit (time, actor, action, subject, detail) VALUES ($1, $2, $3, $4, $5)";
    if let Some(entry) = entry {
        let detail = entry.detail.to_string();
        let args = args![entry.time, &entry.actor, &entry.action, &entry.subject, detail];
        tx.run(SQL, args).await?;
    }
    Ok(())
}
