//! Compaction: many small segments become few large ones, in the background.
//!
//! Each flush leaves a small file for each partition. Files of like size are merged when there are
//! [`FAN_IN`] of them, or fewer that make a file of [`SEGMENT_BYTES_MAX`]; a partition that gets no
//! more events is merged to the end when it is [`QUIET`]. The manifest exchanges old for new in one
//! transaction. Merging uses one thread and, while records wait, a quarter of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::error::StoreError;
use crate::manifest::{SegmentInfo, Tier};
use crate::segment::Segment;
use crate::segment::layout::MERGED_FORMAT_MIN;
use crate::segment::merge::merge;
use crate::store::{Inner, Store};

/// Segments of like size that are merged at once. More would cost more memory, since each is read
/// at the same time; with fewer, events are written again more often.
const FAN_IN: usize = 12;
/// Largest segment that merging makes.
const SEGMENT_BYTES_MAX: u64 = 256 << 20;
/// A partition that got no segment for so long is merged to the end.
const QUIET: Duration = Duration::from_secs(600);
/// Old files stay so long: another process may have begun to read them.
const RETIRED_FOR: Duration = Duration::from_secs(60);
/// Work is cut into pieces of this length, after which a busy store gets three times as long.
const PIECE: Duration = Duration::from_millis(20);

/// What a compaction did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Compacted {
    /// Segments that were merged.
    pub removed: u64,
    /// Segments made of them.
    pub added: u64,
    /// Bytes of those that were merged.
    pub bytes_before: u64,
    /// Bytes of those that were made.
    pub bytes_after: u64,
}

/// Segments that were merged, until their files may go.
#[derive(Debug, Default)]
pub(crate) struct Retired(Vec<(Instant, Vec<Arc<Segment>>)>);

impl Store {
    /// Merges small segments while there are some that should be. Insert, flush and search go on
    /// meanwhile.
    ///
    /// # Errors
    /// When a segment cannot be read or written, or the manifest refuses; nothing is changed by the
    /// merge that failed.
    pub async fn compact(&self) -> Result<Compacted, StoreError> {
        self.compact_until(&Arc::new(AtomicBool::new(false))).await
    }

    /// As [`Store::compact`], but ends soon after `stop` is set.
    ///
    /// # Errors
    /// As [`Store::compact`].
    pub async fn compact_until(&self, stop: &Arc<AtomicBool>) -> Result<Compacted, StoreError> {
        let mut compacted = Compacted::default();
        let mut retired = self.inner.compacting.lock().await;
        retired.0.retain(|(since, _)| since.elapsed() < RETIRED_FOR);
        self.inner.decide_swaps().await?;
        while let Some(inputs) = self.inner.choose() {
            if stop.load(Ordering::SeqCst) {
                break;
            }
            // A move or an expiry may be at work on one of them; there will be another time.
            let paths = inputs.iter().map(|segment| segment.info.path.as_str());
            let Some(_claim) = self.inner.claims.take(paths) else { break };
            if !self.inner.has(&inputs) {
                break;
            }
            let made = match self.inner.merge(&inputs, stop).await {
                Ok(Some(made)) => made,
                Ok(None) => break,
                // Somebody else replaced one of them meanwhile; what is there now is looked at.
                Err(StoreError::Changed(why)) => {
                    tracing::debug!(why, "segments were replaced while they were merged");
                    break;
                }
                Err(error) => return Err(error),
            };
            compacted.removed += inputs.len() as u64;
            compacted.added += 1;
            compacted.bytes_before += inputs.iter().map(|s| s.info.bytes).sum::<u64>();
            compacted.bytes_after += made.info.bytes;
            retired.0.push((Instant::now(), inputs));
        }
        Ok(compacted)
    }
}

impl Inner {
    fn choose(&self) -> Option<Vec<Arc<Segment>>> {
        let segments = self.state.lock().segments.clone();
        let infos: Vec<_> = segments.iter().map(|s| (&s.info, s.since.elapsed())).collect();
        let chosen = choose(&infos)?;
        Some(chosen.into_iter().map(|at| segments[at].clone()).collect())
    }

    /// True when all of these segments still count.
    pub(crate) fn has(&self, segments: &[Arc<Segment>]) -> bool {
        let state = self.state.lock();
        let counts = |segment| state.segments.iter().any(|known| Arc::ptr_eq(known, segment));
        segments.iter().all(counts)
    }

    async fn merge(
        self: &Arc<Self>,
        inputs: &[Arc<Segment>],
        stop: &Arc<AtomicBool>,
    ) -> Result<Option<Arc<Segment>>, StoreError> {
        let Some(writing) = &self.writing else { return Err(StoreError::ReadOnly) };
        let writer = writing.segments.clone();
        let (sources, stop, inner) = (inputs.to_vec(), stop.clone(), self.clone());
        let merged = writing.compaction.run(move || {
            let mut pace = Pace { inner, stop, since: Instant::now() };
            let Some(info) = merge(&writer, &sources, &mut || pace.go_on())? else {
                return Ok(None);
            };
            let made = writer.handle(info);
            let synced = writer.sync_folder(&made);
            if synced.is_err() {
                made.doom();
            }
            synced.map(|()| Some(made))
        });
        let Some(made) = merged.await? else { return Ok(None) };
        self.replace(inputs, vec![made.clone()]).await?;
        Ok(Some(made))
    }

    /// True while records wait to be processed or memory waits to be flushed.
    fn is_busy(&self) -> bool {
        let Some(writing) = &self.writing else { return false };
        let processed = self.state.lock().processed;
        processed < writing.queue.durable.load(Ordering::SeqCst)
    }
}

/// Makes merging give way.
struct Pace {
    inner: Arc<Inner>,
    stop: Arc<AtomicBool>,
    since: Instant,
}

impl Pace {
    fn go_on(&mut self) -> bool {
        let worked = self.since.elapsed();
        if worked >= PIECE {
            let worked = worked.min(10 * PIECE);
            // A little rest at all times, so that it is less than a core.
            let rest = if self.inner.is_busy() { 3 * worked } else { worked / 32 };
            std::thread::sleep(rest);
            self.since = Instant::now();
        }
        let closing = self.inner.writing.as_ref().is_none_or(|w| w.queue.is_closing());
        !closing && !self.stop.load(Ordering::SeqCst)
    }
}

/// Which segments to merge next, given each with the time since it came: places in `infos`. `None`
/// when all is well.
fn choose(infos: &[(&SegmentInfo, Duration)]) -> Option<Vec<usize>> {
    let mut partitions: BTreeMap<(&str, &str, &str), Vec<usize>> = BTreeMap::new();
    for (at, (info, _)) in infos.iter().enumerate() {
        let small = info.bytes < SEGMENT_BYTES_MAX / 2;
        if info.tier == Tier::Hot && info.format >= MERGED_FORMAT_MIN && small {
            let key = (info.dataset.as_str(), info.class.as_str(), info.partition.as_str());
            partitions.entry(key).or_default().push(at);
        }
    }
    partitions.into_values().find_map(|mut places| {
        places.sort_by_key(|at| (infos[*at].0.bytes, *at));
        let quiet = places.iter().all(|at| infos[*at].1 >= QUIET);
        let wanted = if quiet { 2 } else { FAN_IN };
        let bytes = |run: &[usize]| run.iter().map(|at| infos[*at].0.bytes).sum::<u64>();
        let large = |run: &[usize]| run.len() > 1 && bytes(run) >= SEGMENT_BYTES_MAX / 2;
        (0..places.len())
            .map(|start| run(infos, &places[start..], quiet))
            .find(|(run, full)| run.len() >= wanted || *full && large(run))
            .map(|(run, _)| run)
    })
}

/// The first of these places, sorted by size, that go together, and whether one more would make
/// too large a file.
fn run(infos: &[(&SegmentInfo, Duration)], places: &[usize], quiet: bool) -> (Vec<usize>, bool) {
    let mut bytes = 0;
    let least = places.first().map_or(0, |at| infos[*at].0.bytes).max(1 << 20);
    let fits = |at: &&usize| {
        let size = infos[**at].0.bytes;
        bytes += size;
        (quiet || size <= 8 * least) && bytes <= SEGMENT_BYTES_MAX
    };
    let run = places.iter().take(FAN_IN).take_while(fits).copied().collect();
    (run, bytes > SEGMENT_BYTES_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sizes in MiB, a letter for the partition before each.
    #[track_caller]
    fn check(segments: &[(&str, u64)], age: Duration, expected: Option<&[usize]>) {
        let infos: Vec<SegmentInfo> = segments
            .iter()
            .map(|(partition, mib)| SegmentInfo {
                partition: partition.to_string(),
                bytes: mib << 20,
                format: MERGED_FORMAT_MIN,
                ..SegmentInfo::default()
            })
            .collect();
        let infos: Vec<_> = infos.iter().map(|info| (info, age)).collect();
        assert_eq!(choose(&infos).as_deref(), expected);
    }

    #[test]
    fn segments_of_like_size_are_merged_when_there_are_enough() {
        check(&[], Duration::ZERO, None);
        let twelve: Vec<usize> = (0..12).collect();
        check(&[("a", 1); 11], Duration::ZERO, None);
        check(&[("a", 1); 13], Duration::ZERO, Some(&twelve));
        let mixed: Vec<_> = [("b", 100)].into_iter().chain([("a", 2); 12]).collect();
        check(&mixed, Duration::ZERO, Some(&(1..13).collect::<Vec<_>>()));
        check(&[("a", 100), ("a", 100), ("a", 1)], Duration::ZERO, None);
    }

    #[test]
    fn fewer_are_merged_when_they_make_a_large_one() {
        check(&[("a", 30); 8], Duration::ZERO, None);
        check(&[("a", 30); 9], Duration::ZERO, Some(&(0..8).collect::<Vec<_>>()));
        check(&[("a", 100), ("a", 100), ("a", 100)], Duration::ZERO, Some(&[0, 1]));
        check(&[("a", 30), ("a", 30), ("a", 1), ("b", 250)], Duration::ZERO, None);
    }

    #[test]
    fn a_quiet_partition_is_merged_to_the_end() {
        check(&[("a", 100), ("a", 100), ("a", 1)], 2 * QUIET, Some(&[2, 0, 1]));
        check(&[("a", 120), ("a", 120), ("a", 127)], 2 * QUIET, Some(&[0, 1]));
        check(&[("a", 200), ("a", 1)], 2 * QUIET, None);
        check(&[("a", 1), ("b", 1)], 2 * QUIET, None);
    }
}
