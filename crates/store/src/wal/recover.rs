//! Reads what a crash left of the WAL, a window at a time.

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::sync::Arc;

use pugmark_event::Records;

use super::frame::{FrameAt, Frames};
use super::{WalFile, list};
use crate::Block;
use crate::disk::Disk;
use crate::error::StoreError;

/// Source under which records of a damaged piece of the WAL are counted.
pub const DAMAGED_SOURCE: &str = "pugmark.wal.damaged";

/// What was found when the store was opened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Records that were durable but in no segment yet.
    pub replayed: u64,
    /// Bytes cut from the end: a write that was never acknowledged.
    pub torn_bytes: u64,
    /// Broken pieces set aside in `wal/damaged/`.
    pub damaged_pieces: u64,
    /// Records lost in them; the ledger counts them as quarantined.
    pub damaged_records: u64,
}

/// The WAL as found.
#[derive(Debug)]
pub(crate) struct Recovered {
    pub(crate) files: Vec<WalFile>,
    pub(crate) items: Vec<Item>,
    /// Id of the next record.
    pub(crate) next_id: i64,
    pub(crate) report: Recovery,
}

/// Something to replay, in the order of ids.
#[derive(Debug)]
pub(crate) enum Item {
    /// Frames that follow each other in a file.
    Run(Run),
    /// Ids whose records cannot be read.
    Lost { first_id: i64, count: usize, why: String },
}

/// Frames that follow each other in a file, without a gap between their ids.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) path: Arc<Path>,
    /// Offset of the first.
    pub(crate) start: u64,
    /// Offset after the last.
    pub(crate) end: u64,
    /// Id of the first record.
    pub(crate) first_id: i64,
    /// Id after the last record.
    pub(crate) end_id: i64,
}

/// Bytes of a broken piece that are copied at once.
const COPY_BYTES: u64 = 1 << 20;
/// How often a frame that was whole is read again before it counts as broken.
const READS_MAX: u32 = 3;

/// Reads all files of `dir` and finds the frames with ids from `mark` on. With `repair`, cuts a
/// torn tail, sets broken pieces aside, and makes durable what was found; without, nothing is
/// changed.
///
/// # Errors
/// When a file cannot be read or repaired.
pub(crate) fn recover(
    disk: &dyn Disk,
    dir: &Path,
    mark: i64,
    repair: bool,
) -> Result<Recovered, StoreError> {
    let mut files = list(disk, dir).map_err(StoreError::io("list", dir))?;
    let mut scan = Scan {
        disk,
        dir,
        mark,
        repair,
        expected: files.first().map_or(mark, |f| f.first_id.min(mark)),
        items: Vec::new(),
        report: Recovery::default(),
    };
    let last = files.len().saturating_sub(1);
    for (i, file) in files.iter_mut().enumerate() {
        scan.gap_before(file.first_id, &file.path);
        scan.file(file, i == last)?;
    }
    if let Some(file) = files.last() {
        scan.make_durable(&file.path)?;
    }
    let (items, report, next_id) = (scan.items, scan.report, scan.expected.max(mark).max(1));
    Ok(Recovered { files, items, next_id, report })
}

struct Scan<'a> {
    disk: &'a dyn Disk,
    dir: &'a Path,
    mark: i64,
    repair: bool,
    /// Id that the next frame should start with.
    expected: i64,
    items: Vec<Item>,
    report: Recovery,
}

impl Scan<'_> {
    fn file(&mut self, file: &mut WalFile, last: bool) -> Result<(), StoreError> {
        let path: Arc<Path> = file.path.as_path().into();
        let failed = |source| StoreError::Io { action: "read", path: path.to_path_buf(), source };
        let mut frames = Frames::new(self.disk.open(&path).map_err(failed)?);
        let mut pos = 0;
        while pos < frames.len() {
            let whole = frames.at(pos).map_err(failed)?;
            if let Some(at) = whole.filter(|at| at.first_id >= self.expected) {
                self.keep(at, &path);
                pos = at.end();
                continue;
            }
            let next = frames.after(pos).map_err(failed)?;
            match next.filter(|at| at.first_id >= self.expected) {
                Some(at) => {
                    self.set_aside(&path, &mut frames, pos, at.offset)?;
                    pos = at.offset;
                }
                None if last => {
                    self.cut(file, pos, frames.len())?;
                    break;
                }
                None => {
                    let end = frames.len();
                    self.set_aside(&path, &mut frames, pos, end)?;
                    break;
                }
            }
        }
        Ok(())
    }

    fn keep(&mut self, at: FrameAt, path: &Arc<Path>) {
        self.gap_before(at.first_id, path);
        let (start, end, first_id, end_id) = (at.offset, at.end(), at.first_id, at.end_id());
        self.expected = end_id;
        if end_id <= self.mark {
            return;
        }
        self.report.replayed += (end_id - first_id.max(self.mark)) as u64;
        match self.items.last_mut() {
            Some(Item::Run(run)) if run.path == *path && run.end == start => {
                (run.end, run.end_id) = (end, end_id);
            }
            _ => {
                let path = path.clone();
                self.items.push(Item::Run(Run { path, start, end, first_id, end_id }));
            }
        }
    }

    /// Ids have no gaps: what is missing before `id` was lost. What is below the mark is safe in
    /// segments.
    fn gap_before(&mut self, id: i64, path: &Path) {
        let first_id = self.expected.max(self.mark);
        if id > first_id {
            let count = (id - first_id) as usize;
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let why = format!("lost with a damaged piece of the WAL, see wal/damaged, file {name}");
            self.items.push(Item::Lost { first_id, count, why });
            self.report.damaged_records += count as u64;
        }
        self.expected = self.expected.max(id);
    }

    fn set_aside(
        &mut self,
        path: &Path,
        frames: &mut Frames,
        start: u64,
        end: u64,
    ) -> Result<(), StoreError> {
        self.report.damaged_pieces += 1;
        if !self.repair {
            return Ok(());
        }
        let dir = self.dir.join("damaged");
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        let copy = dir.join(format!("{stem}-{start}.bin"));
        tracing::error!(
            file = %path.display(), at = start, bytes = end - start, copy = %copy.display(),
            "a piece of the WAL is damaged; it is set aside and the rest is read"
        );
        let mut write = || {
            self.disk.make_dirs(&dir)?;
            let mut file = self.disk.create(&copy)?;
            for at in (start..end).step_by(COPY_BYTES as usize) {
                let len = (end - at).min(COPY_BYTES) as usize;
                file.write_all(&frames.bytes(at, len)?.unwrap_or_default())?;
            }
            file.sync()?;
            self.disk.sync_dir(&dir)?;
            self.disk.sync_dir(self.dir)
        };
        write().map_err(StoreError::io("set aside a damaged piece in", &copy))
    }

    /// Makes durable what is about to be handed out of the last file. A process may have ended
    /// between a write and its sync, or after a sync that failed: what is read back then is in
    /// memory only, and must not be seen before the next power cut and gone after it. The files
    /// before have been synced, since nothing is written behind a frame that could not be.
    fn make_durable(&self, path: &Path) -> Result<(), StoreError> {
        let starts = self.items.iter().filter_map(|item| match item {
            Item::Run(run) if *run.path == *path => Some(run.start),
            _ => None,
        });
        let Some(start) = starts.min().filter(|_| self.repair) else { return Ok(()) };
        self.disk.write_again(path, start).map_err(StoreError::io("make durable", path))
    }

    fn cut(&mut self, file: &mut WalFile, at: u64, len: u64) -> Result<(), StoreError> {
        self.report.torn_bytes += len - at;
        if !self.repair {
            return Ok(());
        }
        tracing::warn!(
            file = %file.path.display(), at, bytes = len - at,
            "the WAL ends in a write that was not finished and not acknowledged; it is cut"
        );
        self.disk
            .cut(&file.path, at)
            .and_then(|()| self.disk.sync_dir(self.dir))
            .map_err(StoreError::io("cut the torn end of", &file.path))?;
        file.bytes = at;
        Ok(())
    }
}

/// Hands out the records of the WAL, frame by frame.
pub(crate) struct Replay {
    disk: Arc<dyn Disk>,
    items: VecDeque<Item>,
    mark: i64,
    open: Option<(Arc<Path>, Frames)>,
    /// How often the next frame was read and found broken.
    reads: u32,
}

impl Replay {
    /// What is to be handed out from `mark` on.
    pub(crate) fn new(disk: Arc<dyn Disk>, items: Vec<Item>, mark: i64) -> Self {
        Self { disk, items: items.into(), mark, open: None, reads: 0 }
    }

    /// True when everything was handed out.
    pub(crate) fn is_done(&self) -> bool {
        self.items.is_empty()
    }

    /// Adds frames that were written meanwhile.
    pub(crate) fn add(&mut self, added: Run) {
        match self.items.back_mut() {
            Some(Item::Run(run)) if run.path == added.path && run.end == added.start => {
                (run.end, run.end_id) = (added.end, added.end_id);
            }
            _ => self.items.push_back(Item::Run(added)),
        }
    }

    /// The next block; `None` at the end. After an error the same block is tried again.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub(crate) fn next_block(&mut self) -> Result<Option<Block>, StoreError> {
        loop {
            let Some(item) = self.items.front_mut() else { return Ok(None) };
            let run = match item {
                Item::Run(run) => run,
                Item::Lost { first_id, count, why } => {
                    let block = lost(*first_id, *count, std::mem::take(why));
                    self.items.pop_front();
                    return Ok(Some(block));
                }
            };
            let read = frame_of(&*self.disk, &mut self.open, run);
            let read = read.inspect_err(|_| self.open = None);
            let block = match read.map_err(StoreError::io("read", &run.path))? {
                Some((at, block)) => {
                    (run.start, run.first_id) = (at.end(), at.end_id());
                    block
                }
                // It was whole when it was written, or when the store was opened.
                None if self.reads < READS_MAX => {
                    self.reads += 1;
                    self.open = None;
                    continue;
                }
                None => self.skip()?,
            };
            self.reads = 0;
            if matches!(self.items.front(), Some(Item::Run(run)) if run.start >= run.end) {
                self.items.pop_front();
            }
            let end_id = block.first_id + block.records.len() as i64;
            if end_id > self.mark {
                return Ok(Some(from_mark(block, self.mark)));
            }
        }
    }

    /// Goes on behind a frame that has become unreadable; stands for its records.
    fn skip(&mut self) -> Result<Block, StoreError> {
        let (Some(Item::Run(run)), Some((_, frames))) = (self.items.front_mut(), &mut self.open)
        else {
            return Ok(lost(self.mark, 0, String::new()));
        };
        let next = frames.after(run.start).map_err(StoreError::io("read", &run.path))?;
        let next = next.filter(|at| at.end() <= run.end && at.first_id > run.first_id);
        let first_id = run.first_id;
        (run.start, run.first_id) =
            next.map_or((run.end, run.end_id), |at| (at.offset, at.first_id));
        let count = (run.first_id - first_id) as usize;
        tracing::error!(first_id, count, file = %run.path.display(), "records of the WAL are lost");
        Ok(lost(first_id, count, "the WAL could not be read a second time".to_string()))
    }
}

/// The first frame of a run; `None` when it is not there any more.
fn frame_of(
    disk: &dyn Disk,
    open: &mut Option<(Arc<Path>, Frames)>,
    run: &Run,
) -> io::Result<Option<(FrameAt, Block)>> {
    // A file may have grown since it was opened.
    if open.as_ref().is_none_or(|(path, frames)| *path != run.path || frames.len() < run.end) {
        *open = Some((run.path.clone(), Frames::new(disk.open(&run.path)?)));
    }
    let Some((_, frames)) = open else { return Ok(None) };
    let Some(at) = frames.at(run.start)?.filter(|at| at.first_id == run.first_id) else {
        return Ok(None);
    };
    Ok(frames.block(&at)?.map(|block| (at, block)))
}

/// Stands for records that cannot be read, so that their ids are accounted for.
fn lost(first_id: i64, count: usize, why: String) -> Block {
    let records = Records::from_parts(Vec::new(), vec![0; count]).unwrap_or_default();
    Block {
        source: DAMAGED_SOURCE.into(),
        records: Arc::new(records),
        first_id,
        received: crate::now(),
        format: None,
        quarantine: Some(why),
    }
}

/// The records of `block` with ids from `mark` on.
fn from_mark(block: Block, mark: i64) -> Block {
    if block.first_id >= mark {
        return block;
    }
    let known = (mark - block.first_id) as usize;
    let records = block.records.iter().skip(known).collect();
    Block { records: Arc::new(records), first_id: mark, ..block }
}
