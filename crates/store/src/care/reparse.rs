//! Reparse: segments of a source and a time range are read, their events made anew by a function of
//! the caller, and put in the place of the old ones.
//!
//! Each segment is swapped in one transaction, so a query sees the old events or the new ones. Ids
//! stay; event times may change, and with them the partition. Memory is bounded: a large segment
//! becomes several smaller ones, which compaction joins again.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::Schema;
use pugmark_event::batch::{align, schema};
use pugmark_event::fields::ATTRIBUTES;
use pugmark_event::time::Micros;
use pugmark_event::{Batch, fields};
use serde::Serialize;
use serde_json::json;

use crate::error::StoreError;
use crate::manifest::{AuditEntry, SegmentInfo, Tier};
use crate::retention::claims::Claim;
use crate::scan::{Scan, Snapshot};
use crate::segment::Segment;
use crate::store::{Inner, Store, blocking};
use crate::undecided::Swap;

/// Memory of events that are read before they are written again, in bytes.
const PIECE_BYTES: usize = 64 << 20;

/// How long to wait before a segment that another works on is asked for again.
const CLAIM_PAUSE: Duration = Duration::from_millis(50);

/// Which events are made anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RewriteScope {
    /// Of this source.
    pub source: String,
    /// Whose event time is not before this.
    pub from: Option<Micros>,
    /// Whose event time is before this.
    pub to: Option<Micros>,
}

/// How far a rewrite is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Rewritten {
    /// Segments that were looked at.
    pub segments: u64,
    /// Segments in whose place new ones are.
    pub replaced: u64,
    /// Events in the scope that were read.
    pub events: u64,
    /// Segments that were left alone: they are on object storage.
    pub remote: u64,
}

/// Makes events anew: as many rows with the same ids, in the same order.
pub type Rewrite = Arc<dyn Fn(&Batch) -> Result<Batch, String> + Send + Sync>;

impl Store {
    /// Makes the events of a scope anew, segment by segment, and calls `progress` after each. What
    /// comes in meanwhile is left alone. A segment whose events do not change stays as it is.
    ///
    /// # Errors
    /// When a segment cannot be read or written, or `rewrite` fails. Segments swapped before stay
    /// swapped; the rest is as it was.
    pub async fn rewrite(
        &self,
        scope: &RewriteScope,
        actor: &str,
        rewrite: Rewrite,
        mut progress: impl FnMut(Rewritten),
    ) -> Result<Rewritten, StoreError> {
        self.flush().await?;
        self.inner.decide_swaps().await?;
        let end = self.inner.state.lock().mark;
        let mut done = Rewritten::default();
        let mut seen: BTreeSet<String> = BTreeSet::new();
        loop {
            let next = self.inner.next_to_rewrite(scope, end, &seen);
            let Some(segment) = next else { break };
            seen.insert(segment.info.path.clone());
            done.segments += 1;
            if segment.info.tier == Tier::Cold {
                done.remote += 1;
                continue;
            }
            let _claim = self.inner.claim(&segment).await;
            if !self.inner.has(std::slice::from_ref(&segment)) {
                continue;
            }
            let swapped = self.inner.rewrite_one(&segment, scope, &rewrite).await?;
            done.events += swapped.events;
            done.replaced += u64::from(!swapped.added.is_empty());
            seen.extend(swapped.added);
            progress(done);
        }
        let detail = json!({
            "from": scope.from, "to": scope.to, "events": done.events, "segments": done.replaced,
        });
        let audit = AuditEntry::now(actor, "reparse", &scope.source, detail);
        self.inner.manifest.audit(&audit).await?;
        Ok(done)
    }
}

/// What became of one segment.
#[derive(Debug, Default)]
struct Swapped {
    events: u64,
    /// Paths of the segments in its place.
    added: Vec<String>,
}

impl Inner {
    /// A segment with events of the scope that was not looked at yet.
    fn next_to_rewrite(
        &self,
        scope: &RewriteScope,
        end: i64,
        seen: &BTreeSet<String>,
    ) -> Option<Arc<Segment>> {
        let state = self.state.lock();
        let wanted = |info: &SegmentInfo| {
            info.ids.0 < end
                && info.sources.contains_key(&scope.source)
                && scope.from.is_none_or(|from| info.times.1 >= from)
                && scope.to.is_none_or(|to| info.times.0 < to)
                && !seen.contains(&info.path)
        };
        state.segments.iter().find(|segment| wanted(&segment.info)).cloned()
    }

    /// Waits until nobody else works on the segment.
    async fn claim(&self, segment: &Segment) -> Claim {
        loop {
            if let Some(claim) = self.claims.take([segment.info.path.as_str()]) {
                return claim;
            }
            tokio::time::sleep(CLAIM_PAUSE).await;
        }
    }

    async fn rewrite_one(
        self: &Arc<Self>,
        segment: &Arc<Segment>,
        scope: &RewriteScope,
        rewrite: &Rewrite,
    ) -> Result<Swapped, StoreError> {
        let (old, scope, rewrite) = (segment.clone(), scope.clone(), rewrite.clone());
        let changed = {
            let (old, scope, rewrite) = (old.clone(), scope.clone(), rewrite.clone());
            blocking(move || is_changed(&old, &scope, &rewrite)).await?
        };
        let Some(events) = changed.events else {
            return Ok(Swapped { events: changed.read, ..Swapped::default() });
        };
        let inner = self.clone();
        let written = blocking(move || inner.write_anew(&old, &scope, &rewrite)).await?;
        let paths = written.iter().map(|segment| segment.info.path.clone()).collect();
        match self.replace(std::slice::from_ref(segment), written).await {
            Ok(()) => Ok(Swapped { events, added: paths }),
            // Somebody else replaced it meanwhile; what came in its place is looked at next.
            Err(StoreError::Changed(why)) => {
                tracing::debug!(why, "a segment was replaced while it was read again");
                Ok(Swapped::default())
            }
            Err(error) => Err(error),
        }
    }

    /// Writes the segment's events again, those of the scope made anew.
    fn write_anew(
        &self,
        old: &Arc<Segment>,
        scope: &RewriteScope,
        rewrite: &Rewrite,
    ) -> Result<Vec<Arc<Segment>>, StoreError> {
        let mut written = Vec::new();
        let done = pieces(old, |piece| {
            let (inside, outside) = split(piece, scope)?;
            let anew = remake(&inside, rewrite, old)?;
            let parts: Vec<Batch> =
                [anew, outside].into_iter().filter(|batch| batch.rows() > 0).collect();
            written.extend(self.write_segments_now(&parts)?);
            Ok(true)
        });
        if let Err(error) = done {
            written.iter().for_each(|segment: &Arc<Segment>| segment.doom());
            return Err(error);
        }
        Ok(written)
    }

    /// Puts segments in the place of others, in the manifest and for queries.
    pub(crate) async fn replace(
        &self,
        old: &[Arc<Segment>],
        new: Vec<Arc<Segment>>,
    ) -> Result<(), StoreError> {
        let removed: Vec<&str> = old.iter().map(|segment| segment.info.path.as_str()).collect();
        let added: Vec<_> = new.iter().map(|segment| &segment.info).collect();
        if let Err(error) = self.manifest.replace(&removed, &added, None).await {
            if matches!(error, StoreError::Uncertain(_)) {
                self.swaps.lock().push(Swap { old: old.to_vec(), new });
            } else {
                new.iter().for_each(|segment| segment.doom());
            }
            return Err(error);
        }
        let gone: BTreeSet<&str> = removed.into_iter().collect();
        let mut state = self.state.lock();
        let stay = state.segments.iter().filter(|s| !gone.contains(s.info.path.as_str())).cloned();
        let all: Vec<_> = stay.chain(new).collect();
        state.segments = Arc::new(all);
        drop(state);
        old.iter().for_each(|segment| segment.doom());
        Ok(())
    }

    /// Writes events as segments. Blocks the thread.
    pub(crate) fn write_segments_now(
        &self,
        batches: &[Batch],
    ) -> Result<Vec<Arc<Segment>>, StoreError> {
        let Some(writing) = &self.writing else { return Err(StoreError::ReadOnly) };
        writing.segments.write(batches)
    }

    /// The same, on a thread that may block.
    pub(crate) async fn write_segments(
        &self,
        batches: Vec<Batch>,
    ) -> Result<Vec<Arc<Segment>>, StoreError> {
        let Some(writing) = &self.writing else { return Err(StoreError::ReadOnly) };
        let writer = writing.segments.clone();
        blocking(move || writer.write(&batches)).await
    }
}

/// Whether anything would change.
struct Changed {
    /// Events in the scope that were read.
    read: u64,
    /// All events of the segment's scope, when something changes.
    events: Option<u64>,
}

/// Reads until the first event that would change.
fn is_changed(
    old: &Arc<Segment>,
    scope: &RewriteScope,
    rewrite: &Rewrite,
) -> Result<Changed, StoreError> {
    let (mut read, mut changed) = (0, false);
    pieces(old, |piece| {
        let (inside, _) = split(piece, scope)?;
        read += inside.rows() as u64;
        let anew = remake(&inside, rewrite, old)?;
        changed = !same_events(&inside, &anew)?;
        Ok(!changed)
    })?;
    let events = changed.then(|| old.info.sources.get(&scope.source).copied().unwrap_or(0));
    Ok(Changed { read, events })
}

/// True when two batches say the same of the same records. The order of attributes says nothing:
/// those that got a column in the file come first when they are read.
fn same_events(a: &Batch, b: &Batch) -> Result<bool, StoreError> {
    let of_attributes = [ATTRIBUTES, fields::ATTRIBUTE_KINDS.column()];
    let plain: Vec<_> = schema()
        .fields()
        .iter()
        .filter(|field| !of_attributes.contains(&field.name().as_str()))
        .cloned()
        .collect();
    let plain = Arc::new(Schema::new(plain));
    if align(a.columns(), &plain)? != align(b.columns(), &plain)? {
        return Ok(false);
    }
    let sorted = |batch: &Batch, row: usize| {
        let attributes = batch.attributes();
        let mut found: Vec<(String, char, String)> = attributes
            .row(row)
            .map(|(name, value)| (name.to_string(), value.kind(), value.text().to_string()))
            .collect();
        found.sort();
        found
    };
    Ok((0..a.rows()).all(|row| sorted(a, row) == sorted(b, row)))
}

/// Reads a segment in pieces of bounded size, until `each` says false.
fn pieces(
    segment: &Arc<Segment>,
    mut each: impl FnMut(Batch) -> Result<bool, StoreError>,
) -> Result<(), StoreError> {
    let alone = Snapshot::new(Vec::new(), Arc::new(vec![segment.clone()]));
    let mut held: Vec<Batch> = Vec::new();
    let mut bytes = 0;
    for batch in alone.scan(Scan::default()).into_iter().flat_map(|part| part.read()) {
        let batch = without_empty(&batch?)?;
        bytes += batch.get_array_memory_size();
        held.push(Batch::new(batch)?);
        if bytes >= PIECE_BYTES {
            bytes = 0;
            if !each(Batch::concat(&std::mem::take(&mut held))?)? {
                return Ok(());
            }
        }
    }
    if !held.is_empty() {
        each(Batch::concat(&held)?)?;
    }
    Ok(())
}

/// Without the columns that no row has: a scan gives all that there can be.
fn without_empty(columns: &RecordBatch) -> Result<RecordBatch, StoreError> {
    let kept: Vec<usize> = (0..columns.num_columns())
        .filter(|i| columns.column(*i).null_count() < columns.num_rows())
        .collect();
    Ok(columns.project(&kept)?)
}

/// The events in the scope, in the order of their ids, and the others.
fn split(piece: Batch, scope: &RewriteScope) -> Result<(Batch, Batch), StoreError> {
    let sources = piece.text(fields::EVENT_SOURCE);
    let is_inside = |row: usize| {
        let time = piece.event_times()[row];
        sources.is_some_and(|sources| sources.value(row) == scope.source)
            && scope.from.is_none_or(|from| time >= from)
            && scope.to.is_none_or(|to| time < to)
    };
    let (mut inside, outside): (Vec<u32>, Vec<u32>) =
        (0..piece.rows() as u32).partition(|row| is_inside(*row as usize));
    inside.sort_by_key(|row| piece.ids()[*row as usize]);
    let pick = |rows: Vec<u32>| -> Result<Batch, StoreError> {
        Ok(Batch::new(take_record_batch(piece.columns(), &UInt32Array::from(rows))?)?)
    };
    Ok((pick(inside)?, pick(outside)?))
}

/// Calls `rewrite` and looks whether it kept what must stay.
fn remake(inside: &Batch, rewrite: &Rewrite, old: &Segment) -> Result<Batch, StoreError> {
    let failed = |message: String| StoreError::Segment { path: old.path.clone(), message };
    if inside.rows() == 0 {
        return Ok(inside.clone());
    }
    let anew = rewrite(inside).map_err(failed)?;
    if anew.ids() != inside.ids() {
        return Err(failed("BUG: events made anew have other ids".into()));
    }
    if let Some(row) = (0..anew.rows()).find(|row| anew.original(*row) != inside.original(*row)) {
        let id = inside.ids()[row];
        return Err(failed(format!("BUG: event {id} made anew has another raw record")));
    }
    Ok(anew)
}
