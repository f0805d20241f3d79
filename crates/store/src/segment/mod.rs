//! Segments: immutable Parquet files of events, of one retention class and UTC day each.
//!
//! Rows are sorted by source, then time. A file is written beside its place, synced, and renamed: a
//! file with its final name is whole. The manifest says which files count. [`layout`] says what is
//! in a file, [`write`] makes files, [`read`] reads them, [`index`] says where words may be,
//! [`counts`] answers from dictionaries alone, [`counted`] says how many events have a column,
//! [`pages`] unpacks what they read, [`cache`] keeps some of it.

pub(crate) mod assemble;
mod cache;
mod columns;
pub(crate) mod counted;
pub(crate) mod counts;
mod encoding;
pub(crate) mod events;
pub(crate) mod file;
pub(crate) mod find;
mod gather;
pub(crate) mod index;
pub(crate) mod layout;
pub(crate) mod merge;
mod pages;
mod raw;
pub(crate) mod read;
#[cfg(test)]
mod tests;
pub(crate) mod write;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::file::metadata::PageIndexPolicy;

use self::counts::CountsCache;
use self::file::{SegmentFile, checksum};
use self::find::Lookup;
use self::index::Index;
use self::layout::Layout;
use self::pages::PageCache;
use crate::disk::{Disk, DiskRead};
use crate::error::StoreError;
use crate::manifest::{SegmentInfo, Tier};
use crate::retention::age::body;
use crate::tier::{Tiers, tail_path};

/// What a reader must know before it reads rows.
#[derive(Debug)]
pub(crate) struct Tail {
    pub(crate) footer: ArrowReaderMetadata,
    pub(crate) layout: Layout,
    /// `None` for a file of format 1.
    pub(crate) index: Option<Index>,
    /// What the index says of templates, made ready.
    pub(crate) lookup: Option<Lookup>,
}

/// Unpacked pages that are kept in memory.
const PAGES_BYTES_MAX: usize = 32 << 20;
/// Counts of values that are kept in memory.
const COUNTS_BYTES_MAX: usize = 32 << 20;

/// Memory for the tails, pages and counts of segments, shared by all of a store.
#[derive(Debug)]
pub(crate) struct Tails {
    bytes: AtomicUsize,
    bytes_max: usize,
    pages: Arc<PageCache>,
    counts: CountsCache,
    /// Segments so far: each has a number, by which its pages are known.
    segments: AtomicU64,
}

impl Tails {
    pub(crate) fn new(bytes_max: usize) -> Arc<Self> {
        Arc::new(Self {
            bytes: AtomicUsize::new(0),
            bytes_max,
            pages: Arc::new(PageCache::new(PAGES_BYTES_MAX)),
            counts: CountsCache::new(COUNTS_BYTES_MAX),
            segments: AtomicU64::new(0),
        })
    }
}

/// A segment in use. The file goes when the manifest has let go of it and no snapshot holds it.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) info: SegmentInfo,
    pub(crate) path: PathBuf,
    /// When it came into use in this process.
    pub(crate) since: Instant,
    disk: Arc<dyn Disk>,
    doomed: AtomicBool,
    tail: OnceLock<(Arc<Tail>, usize)>,
    tails: Arc<Tails>,
    /// No other segment of the store has it in this process.
    number: u64,
    /// Reads the file when it is cold.
    tiers: Option<Arc<Tiers>>,
}

impl Segment {
    pub(crate) fn new(
        disk: &Arc<dyn Disk>,
        dir: &Path,
        info: SegmentInfo,
        tails: &Arc<Tails>,
    ) -> Self {
        let path = dir.join(&info.path);
        let doomed = AtomicBool::new(false);
        let (disk, tails, since) = (disk.clone(), tails.clone(), Instant::now());
        let number = tails.segments.fetch_add(1, Ordering::Relaxed);
        Self { info, path, since, disk, doomed, tail: OnceLock::new(), tails, number, tiers: None }
    }

    /// The same, read through `tiers` when it is cold.
    pub(crate) fn on(mut self, tiers: &Option<Arc<Tiers>>) -> Self {
        self.tiers = tiers.clone();
        self
    }

    /// The file is removed when the last holder lets go.
    pub(crate) fn doom(&self) {
        self.doomed.store(true, Ordering::SeqCst);
    }

    pub(crate) fn open(&self) -> Result<Arc<dyn DiskRead>, StoreError> {
        match (self.info.tier, &self.tiers, &self.info.object) {
            (Tier::Hot, ..) => {
                self.disk.open(&self.path).map_err(StoreError::io("open the segment", &self.path))
            }
            (Tier::Cold, Some(tiers), Some(object)) => tiers.open_segment(body(self), object),
            (Tier::Cold, _, object) => Err(StoreError::Cold(format!(
                "the cold segment {} could not be read: it lies on object storage as {}, and the \
                 settings name none; set store.cold.url",
                self.info.path,
                object.as_deref().unwrap_or("an object without a name")
            ))),
        }
    }

    /// A handle of the same segment on another tier.
    pub(crate) fn moved(&self, info: SegmentInfo) -> Self {
        let (disk, tails, tiers) = (self.disk.clone(), self.tails.clone(), self.tiers.clone());
        let (path, doomed) = (self.path.clone(), AtomicBool::new(false));
        Self {
            info,
            path,
            since: Instant::now(),
            disk,
            doomed,
            tail: OnceLock::new(),
            tails,
            // The bytes are the same.
            number: self.number,
            tiers,
        }
    }

    /// What lies on the local disk: the file, or the tail of one that is cold.
    pub(crate) fn local_path(&self) -> PathBuf {
        match self.info.tier {
            Tier::Hot => self.path.clone(),
            Tier::Cold => tail_path(&self.path),
        }
    }

    /// Footer, layout and index; kept in memory as long as there is room for tails.
    ///
    /// # Errors
    /// When the file cannot be read or is no segment.
    pub(crate) fn tail(&self, file: &Arc<dyn DiskRead>) -> Result<Arc<Tail>, StoreError> {
        if let Some((tail, _)) = self.tail.get() {
            return Ok(tail.clone());
        }
        let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Optional);
        let footer = ArrowReaderMetadata::load(&SegmentFile(file.clone()), options)
            .map_err(StoreError::parquet(&self.path))?;
        let layout = Layout::of(footer.metadata()).ok_or_else(|| {
            self.damaged("its footer is not one that this version reads; use a newer Pugmark")
        })?;
        let index = self.index(file, &layout)?;
        let lookup = index.as_ref().map(|index| Lookup::new(index, &layout));
        let bytes = footer.metadata().memory_size()
            + layout.bytes()
            + index.as_ref().map_or(0, Index::bytes)
            + lookup.as_ref().map_or(0, Lookup::bytes);
        let tail = Arc::new(Tail { footer, layout, index, lookup });
        let before = self.tails.bytes.fetch_add(bytes, Ordering::Relaxed);
        let kept =
            before + bytes <= self.tails.bytes_max && self.tail.set((tail.clone(), bytes)).is_ok();
        if !kept {
            self.tails.bytes.fetch_sub(bytes, Ordering::Relaxed);
        }
        Ok(tail)
    }

    fn index(
        &self,
        file: &Arc<dyn DiskRead>,
        layout: &Layout,
    ) -> Result<Option<Index>, StoreError> {
        let (Some(filters), Some(index)) = (layout.filters, layout.index) else { return Ok(None) };
        let read = |(offset, len): (u64, u64)| {
            let fits = offset.checked_add(len).is_some_and(|end| end <= file.len());
            if !fits {
                return Err(self.damaged("its index lies outside of the file"));
            }
            file.read_at(offset, len as usize)
                .map_err(StoreError::io("read the index of", &self.path))
        };
        let (index, filters) = (read(index)?, read(filters)?);
        if checksum(&filters, &index) != layout.checksum {
            return Err(self.damaged("its index is damaged; restore the file from a backup"));
        }
        let index = Index::read(&index, filters, layout.format);
        index.map(Some).ok_or_else(|| self.damaged("its index cannot be read"))
    }

    /// The number of this segment, with the cache of pages.
    fn pages(&self) -> (u64, Arc<PageCache>) {
        (self.number, self.tails.pages.clone())
    }

    /// An error that says what is wrong with the file.
    pub(crate) fn damaged(&self, message: &str) -> StoreError {
        StoreError::segment(&self.path, message.to_string())
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        if let Some((_, bytes)) = self.tail.get() {
            self.tails.bytes.fetch_sub(*bytes, Ordering::Relaxed);
        }
        if *self.doomed.get_mut()
            && let Err(error) = self.disk.remove(&self.local_path())
        {
            // The next start removes files that the manifest does not know.
            tracing::warn!(file = %self.path.display(), %error, "cannot remove a segment");
        }
    }
}

/// Removes files below `dir` that the manifest does not know: what a crash left of a flush.
///
/// # Errors
/// When a folder cannot be read.
pub(crate) fn remove_orphans(
    disk: &dyn Disk,
    dir: &Path,
    known: &[Arc<Segment>],
) -> Result<usize, StoreError> {
    let root = dir.join("segments");
    disk.make_dirs(&root).map_err(StoreError::io("make the folder", &root))?;
    let known: HashSet<&Path> = known.iter().map(|s| s.path.as_path()).collect();
    let mut removed = 0;
    let mut folders = vec![root];
    while let Some(folder) = folders.pop() {
        for entry in disk.list(&folder).map_err(StoreError::io("list", &folder))? {
            if entry.is_dir {
                folders.push(entry.path);
                continue;
            }
            let ours = entry.path.extension().is_some_and(|e| e == "parquet" || e == "tmp");
            if ours && !known.contains(entry.path.as_path()) {
                tracing::info!(file = %entry.path.display(), "removing what a crash left of a flush");
                disk.remove(&entry.path).map_err(StoreError::io("remove", &entry.path))?;
                removed += 1;
            }
        }
    }
    Ok(removed)
}
