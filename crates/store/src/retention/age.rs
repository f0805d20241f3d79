//! Carries out what [`plan`] says: segments move to object storage and are deleted.
//!
//! One run at a time, each of bounded work. A segment is deleted in one transaction with its entry
//! in the audit trail; its file goes when no question reads it any more, its object after that.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use pugmark_event::time::{self, Micros};
use serde_json::json;

use super::{Action, Amount, Classes, Conditions, Kept, Preview, Step, plan, preview};
use crate::disk::{Disk, DiskEntry};
use crate::error::StoreError;
use crate::manifest::{AuditEntry, SegmentInfo, Tier, args};
use crate::segment::Segment;
use crate::store::{Inner, Store, blocking};
use crate::tier::{Body, Needed, Tiers, tail_path};

/// Segments that a run moves at most, so that another run can look at the disk in between.
const MOVES_MAX: usize = 32;
/// Segments that one transaction deletes at most: others wait for it.
const EXPIRED_PER_CHANGE_MAX: usize = 256;
/// Who did it, in the audit trail.
const ACTOR: &str = "pugmark";

/// What a run did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Aged {
    /// Moved to object storage.
    pub moved: Amount,
    /// Deleted.
    pub deleted: Amount,
    /// There is more to do than one run may.
    pub more: bool,
    /// Why something that was due could not be done. It is tried again.
    pub problem: Option<String>,
}

/// What the runs have to know of each other.
#[derive(Debug, Default)]
pub(crate) struct Aging {
    /// One at a time.
    pub(crate) turn: tokio::sync::Mutex<()>,
    leaving: Mutex<Vec<Leaving>>,
}

/// A segment that the manifest has let go of, while somebody may still read it.
#[derive(Debug)]
struct Leaving {
    segment: Weak<Segment>,
    /// Bytes of the local disk that are free once nobody reads it.
    local_bytes: u64,
    object: Option<String>,
}

impl Aging {
    /// Bytes of the local disk that come free by themselves.
    pub(crate) fn leaving_bytes(&self) -> u64 {
        self.still_read().iter().map(|leaving| leaving.local_bytes).sum()
    }

    fn reads(&self, object: &str) -> bool {
        self.still_read().iter().any(|leaving| leaving.object.as_deref() == Some(object))
    }

    fn still_read(&self) -> parking_lot::MutexGuard<'_, Vec<Leaving>> {
        let mut leaving = self.leaving.lock();
        leaving.retain(|leaving| leaving.segment.strong_count() > 0);
        leaving
    }

    fn add(&self, segment: &Arc<Segment>) {
        let hot = segment.info.tier == Tier::Hot;
        self.leaving.lock().push(Leaving {
            segment: Arc::downgrade(segment),
            local_bytes: if hot { segment.info.bytes } else { 0 },
            object: segment.info.object.clone(),
        });
    }
}

impl From<&SegmentInfo> for Kept {
    fn from(info: &SegmentInfo) -> Self {
        Self {
            path: info.path.clone(),
            class: info.class.clone(),
            cold: info.tier == Tier::Cold,
            rows: info.rows,
            bytes: info.bytes,
            times: info.times,
        }
    }
}

impl Store {
    /// Moves and deletes what is due at `now`, a bounded part of it.
    ///
    /// # Errors
    /// When the manifest cannot be read or written to; object storage that is away is no error,
    /// see [`Aged::problem`].
    pub async fn age(&self, now: Micros) -> Result<Aged, StoreError> {
        let inner = self.inner.clone();
        // A task of its own: a caller that goes away must not leave a move half-way.
        let run = tokio::spawn(async move { inner.age(now).await });
        run.await.map_err(|e| StoreError::State { what: "aging", message: e.to_string() })?
    }

    /// What [`Store::age`] would do at `at`, under the classes of the settings or others.
    ///
    /// # Errors
    /// When the manifest cannot be read.
    pub async fn retention_preview(
        &self,
        classes: Option<&Classes>,
        at: Micros,
    ) -> Result<Preview, StoreError> {
        let holds = self.inner.held_classes().await?;
        let conditions =
            Conditions { holds: &holds, cold_storage: self.inner.options.cold.is_some() };
        let classes = classes.unwrap_or(&self.inner.options.classes);
        Ok(preview(&self.inner.kept(), classes, conditions, at))
    }
}

impl Inner {
    /// All segments, as far as their age matters.
    pub(crate) fn kept(&self) -> Vec<Kept> {
        self.state.lock().segments.iter().map(|segment| Kept::from(&segment.info)).collect()
    }

    async fn age(self: &Arc<Self>, now: Micros) -> Result<Aged, StoreError> {
        if self.writing.is_none() {
            return Err(StoreError::ReadOnly);
        }
        let _alone = self.aging.turn.lock().await;
        self.decide_swaps().await?;
        self.sweep().await?;
        let holds = self.held_classes().await?;
        let conditions = Conditions { holds: &holds, cold_storage: self.tiers.is_some() };
        let steps = plan(&self.kept(), &self.options.classes, conditions, now);
        let aged = self.carry_out(steps).await?;
        self.sweep().await?;
        Ok(aged)
    }

    /// Does what the steps say: first what frees disk at once, then what needs the network.
    pub(crate) async fn carry_out(self: &Arc<Self>, steps: Vec<Step>) -> Result<Aged, StoreError> {
        let mut aged = Aged::default();
        let (deleted, moved): (Vec<Step>, Vec<Step>) =
            steps.into_iter().partition(|step| step.action == Action::Expire);
        let mut by_reason: BTreeMap<(String, String), Vec<Step>> = BTreeMap::new();
        for step in deleted {
            let reason = (step.segment.class.clone(), step.why.clone());
            by_reason.entry(reason).or_default().push(step);
        }
        for ((class, why), steps) in by_reason {
            for steps in steps.chunks(EXPIRED_PER_CHANGE_MAX) {
                self.expire(&class, &why, steps, &mut aged).await?;
            }
        }
        aged.more = moved.len() > MOVES_MAX;
        for step in moved.iter().take(MOVES_MAX) {
            if self.is_closing() {
                break;
            }
            match self.move_to_cold(step).await {
                Ok(true) => aged.moved.add(&step.segment),
                Ok(false) => {}
                // The next would meet the same storage: the rest waits for the next run.
                Err(StoreError::Cold(problem)) => {
                    tracing::warn!("{problem}");
                    aged.problem = Some(problem);
                    aged.more = false;
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(aged)
    }

    fn is_closing(&self) -> bool {
        self.writing.as_ref().is_none_or(|writing| writing.queue.is_closing())
    }

    fn find(&self, path: &str) -> Option<Arc<Segment>> {
        self.state.lock().segments.iter().find(|segment| segment.info.path == path).cloned()
    }

    /// Moves one segment. False when somebody else works on it or it is gone.
    async fn move_to_cold(self: &Arc<Self>, step: &Step) -> Result<bool, StoreError> {
        let path = step.segment.path.as_str();
        let Some(tiers) = self.tiers.clone() else { return Ok(false) };
        let Some(_claim) = self.claims.take([path]) else { return Ok(false) };
        let Some(old) = self.find(path).filter(|old| old.info.tier == Tier::Hot) else {
            return Ok(false);
        };
        let (uploader, segment) = (tiers.clone(), old.clone());
        let object = blocking(move || uploader.upload(body(&segment))).await?;
        let audit = AuditEntry::now(
            ACTOR,
            "move",
            path,
            json!({
                "to": tiers.place(),
                "object": object,
                "class": step.segment.class,
                "bytes": step.segment.bytes,
                "why": step.why,
            }),
        );
        // When this fails, the object stays in doubt, and the next run asks the manifest about it.
        self.manifest.move_to(path, Tier::Cold, Some(&object), Some(&audit)).await?;
        let mut info = old.info.clone();
        (info.tier, info.object) = (Tier::Cold, Some(object.clone()));
        let new = old.moved(info).on(&self.tiers);
        self.replace_in_memory(&[path], vec![Arc::new(new)]);
        self.aging.add(&old);
        old.doom();
        drop(old);
        blocking(move || {
            let forgotten = tiers.doubt.forget(&object);
            forgotten
                .map_err(StoreError::io("update the list of doubtful objects for", object.as_ref()))
        })
        .await?;
        tracing::info!(segment = path, why = step.why, "moved to object storage");
        Ok(true)
    }

    /// Deletes segments of one class, in one transaction with its entry in the audit trail.
    async fn expire(
        self: &Arc<Self>,
        class: &str,
        why: &str,
        steps: &[Step],
        aged: &mut Aged,
    ) -> Result<(), StoreError> {
        let mut claims = Vec::new();
        let mut going = Vec::new();
        for step in steps {
            let path = step.segment.path.as_str();
            // One that somebody else works on goes with the next run.
            let Some(claim) = self.claims.take([path]) else { continue };
            let Some(segment) = self.find(path) else { continue };
            claims.push(claim);
            going.push(segment);
        }
        if going.is_empty() {
            return Ok(());
        }
        self.doubt_objects(&going).await?;
        let mut amount = Amount::default();
        going.iter().for_each(|segment| amount.add(&Kept::from(&segment.info)));
        let paths: Vec<&str> = going.iter().map(|segment| segment.info.path.as_str()).collect();
        let from = going.iter().map(|s| s.info.times.0).min().unwrap_or(0);
        let to = going.iter().map(|s| s.info.times.1).max().unwrap_or(0);
        let detail = json!({
            "why": why,
            "segments": paths,
            "events": amount.events,
            "bytes": amount.bytes,
            "from": time::format(from),
            "to": time::format(to),
        });
        let audit = AuditEntry::now(ACTOR, "expire", class, detail);
        match self.manifest.expire(&paths, &audit).await {
            Ok(_) => self.let_go(&going),
            // Memory and manifest may have parted: what the manifest does not name is gone.
            Err(error @ (StoreError::Changed(_) | StoreError::Uncertain(_))) => {
                let gone = self.gone(&going).await?;
                self.let_go(&gone);
                return Err(error);
            }
            Err(error) => return Err(error),
        }
        tracing::info!(class, why, segments = amount.segments, events = amount.events, "deleted");
        aged.deleted.segments += amount.segments;
        aged.deleted.events += amount.events;
        aged.deleted.bytes += amount.bytes;
        Ok(())
    }

    /// Those of `segments` that the manifest does not name.
    async fn gone(&self, segments: &[Arc<Segment>]) -> Result<Vec<Arc<Segment>>, StoreError> {
        let mut gone = Vec::new();
        for segment in segments {
            let sql = "SELECT id FROM segments WHERE path = $1";
            if self.manifest.row(sql, args![&segment.info.path]).await?.is_none() {
                gone.push(segment.clone());
            }
        }
        Ok(gone)
    }

    /// Writes down the objects of segments that the manifest is about to let go of: compaction and
    /// reparse call this before their transaction too.
    pub(crate) async fn doubt_objects(&self, going: &[Arc<Segment>]) -> Result<(), StoreError> {
        let Some(tiers) = self.tiers.clone() else { return Ok(()) };
        let objects: Vec<String> =
            going.iter().filter_map(|segment| segment.info.object.clone()).collect();
        if objects.is_empty() {
            return Ok(());
        }
        blocking(move || {
            for object in objects {
                let added = tiers.doubt.add(&object);
                added.map_err(StoreError::io("note the doubtful object", object.as_ref()))?;
            }
            Ok(())
        })
        .await
    }

    /// Takes segments that have expired in the manifest out of memory.
    fn let_go(&self, gone: &[Arc<Segment>]) {
        let paths: Vec<&str> = gone.iter().map(|segment| segment.info.path.as_str()).collect();
        self.replace_in_memory(&paths, Vec::new());
        let mut state = self.state.lock();
        for (source, rows) in gone.iter().flat_map(|segment| &segment.info.sources) {
            state.ledger.entry(source.clone()).or_default().expired += rows;
        }
        drop(state);
        for segment in gone {
            self.aging.add(segment);
            segment.doom();
        }
    }

    /// Puts segments in the place of others; snapshots that are held do not change.
    fn replace_in_memory(&self, paths: &[&str], new: Vec<Arc<Segment>>) {
        let mut state = self.state.lock();
        let mut all = state.segments.to_vec();
        all.retain(|segment| !paths.contains(&segment.info.path.as_str()));
        all.extend(new);
        state.segments = Arc::new(all);
    }

    /// Removes objects that nobody needs: what a crash or a deletion left on the storage.
    async fn sweep(self: &Arc<Self>) -> Result<(), StoreError> {
        let Some(tiers) = self.tiers.clone() else { return Ok(()) };
        let failed = |e| StoreError::io("read", &self.dir.join("cold/doubt"))(e);
        let mut needed: BTreeMap<String, Needed> = BTreeMap::new();
        for object in tiers.doubt.list().map_err(failed)? {
            // The manifest knows best: memory may have missed the end of a transaction.
            let sql = "SELECT id FROM segments WHERE object = $1";
            let named = self.manifest.row(sql, args![&object]).await?.is_some();
            let need = match (named, self.aging.reads(&object)) {
                (true, _) => Needed::Yes,
                (false, true) => Needed::Still,
                (false, false) => Needed::No,
            };
            needed.insert(object, need);
        }
        if needed.is_empty() {
            return Ok(());
        }
        let dir = self.dir.join("cold/doubt");
        blocking(move || {
            let of = |object: &str| needed.get(object).copied().unwrap_or(Needed::Still);
            tiers.sweep(&of).map(drop).map_err(StoreError::io("update", &dir))
        })
        .await
    }
}

/// A segment's file.
pub(crate) fn body(segment: &Segment) -> Body<'_> {
    Body {
        segment: &segment.info.path,
        path: &segment.path,
        bytes: segment.info.bytes,
        checksum: segment.info.checksum,
        tail_offset: segment.info.tail_offset,
    }
}

/// Removes local files that a crash left: the body of a segment that is cold, the tail of one that
/// is not.
///
/// # Errors
/// When a folder cannot be read or a file cannot be removed.
pub(crate) fn remove_leftovers(
    tiers: Option<&Arc<Tiers>>,
    disk: &dyn Disk,
    dir: &Path,
    segments: &[Arc<Segment>],
) -> Result<(), StoreError> {
    let cold: HashSet<PathBuf> = segments
        .iter()
        .filter(|segment| segment.info.tier == Tier::Cold)
        .map(|segment| segment.path.clone())
        .collect();
    let mut folders = vec![dir.join("segments")];
    while let Some(folder) = folders.pop() {
        for file in list(disk, &folder)? {
            if file.is_dir {
                folders.push(file.path);
            } else if is_leftover(&file.path, tiers.is_some(), disk, &cold) {
                tracing::info!(file = %file.path.display(), "removing what a crash left of a move");
                disk.remove(&file.path).map_err(StoreError::io("remove", &file.path))?;
            }
        }
    }
    Ok(())
}

fn is_leftover(file: &Path, has_storage: bool, disk: &dyn Disk, cold: &HashSet<PathBuf>) -> bool {
    if cold.contains(file) {
        // The whole file is worth more than the tail: it goes only when the tail is there, and
        // there is storage to read the rest from.
        return has_storage && disk.open(&tail_path(file)).is_ok();
    }
    let name = file.to_string_lossy();
    let body = name.strip_suffix(".tail").map(Path::new);
    name.ends_with(".tail.tmp") || body.is_some_and(|body| !cold.contains(body))
}

fn list(disk: &dyn Disk, dir: &Path) -> Result<Vec<DiskEntry>, StoreError> {
    match disk.list(dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        entries => entries.map_err(StoreError::io("list", dir)),
    }
}
