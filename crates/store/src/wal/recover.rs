//! Reads what a crash left of the WAL.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use pugmark_event::Records;

use super::frame::{self, FrameAt};
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
#[derive(Debug, Clone)]
pub(crate) enum Item {
    /// A frame in the file at `file` of [`Recovered::files`].
    Frame { file: usize, at: FrameAt },
    /// Ids whose records cannot be read.
    Lost { first_id: i64, count: usize, why: String },
}

/// Reads all files of `dir` and finds the frames with ids from `mark` on. With `repair`, cuts a
/// torn tail and sets broken pieces aside; without, nothing is changed.
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
        scan.file(i, file, i == last)?;
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
    fn file(&mut self, index: usize, file: &mut WalFile, last: bool) -> Result<(), StoreError> {
        let bytes = self.disk.read(&file.path).map_err(StoreError::io("read", &file.path))?;
        let mut pos = 0;
        while pos < bytes.len() {
            if let Some(at) = self.frame(&bytes, pos) {
                self.keep(index, at, &file.path);
                pos = at.offset + at.len;
                continue;
            }
            let next = frame::next_frame(&bytes, pos + 1).filter(|at| at.first_id >= self.expected);
            match next {
                Some(at) => {
                    self.set_aside(&file.path, pos, &bytes[pos..at.offset])?;
                    pos = at.offset;
                }
                None if last => {
                    self.cut(file, pos, bytes.len())?;
                    break;
                }
                None => {
                    self.set_aside(&file.path, pos, &bytes[pos..])?;
                    break;
                }
            }
        }
        Ok(())
    }

    /// A whole frame at `pos` whose ids do not go back.
    fn frame(&self, bytes: &[u8], pos: usize) -> Option<FrameAt> {
        frame::frame_at(bytes, pos).filter(|at| at.first_id >= self.expected)
    }

    fn keep(&mut self, file: usize, at: FrameAt, path: &Path) {
        self.gap_before(at.first_id, path);
        let end = at.first_id.saturating_add(i64::from(at.count));
        if end > self.mark {
            self.report.replayed += (end - at.first_id.max(self.mark)) as u64;
            self.items.push(Item::Frame { file, at });
        }
        self.expected = end;
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

    fn set_aside(&mut self, path: &Path, at: usize, piece: &[u8]) -> Result<(), StoreError> {
        self.report.damaged_pieces += 1;
        if !self.repair {
            return Ok(());
        }
        let dir = self.dir.join("damaged");
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        let copy = dir.join(format!("{stem}-{at}.bin"));
        tracing::error!(
            file = %path.display(), at, bytes = piece.len(), copy = %copy.display(),
            "a piece of the WAL is damaged; it is set aside and the rest is read"
        );
        let write = || {
            self.disk.make_dirs(&dir)?;
            let mut file = self.disk.create(&copy)?;
            file.write_all(piece)?;
            file.sync()?;
            self.disk.sync_dir(&dir)
        };
        write().map_err(StoreError::io("set aside a damaged piece in", &copy))
    }

    fn cut(&mut self, file: &mut WalFile, at: usize, len: usize) -> Result<(), StoreError> {
        self.report.torn_bytes += (len - at) as u64;
        if !self.repair {
            return Ok(());
        }
        tracing::warn!(
            file = %file.path.display(), at, bytes = len - at,
            "the WAL ends in a write that was not finished and not acknowledged; it is cut"
        );
        self.disk
            .cut(&file.path, at as u64)
            .and_then(|()| self.disk.sync_dir(self.dir))
            .map_err(StoreError::io("cut the torn end of", &file.path))?;
        file.bytes = at as u64;
        Ok(())
    }
}

/// Reads the items back one file at a time.
pub(crate) struct Replay {
    disk: Arc<dyn Disk>,
    files: Vec<PathBuf>,
    items: std::vec::IntoIter<Item>,
    mark: i64,
    open: Option<(usize, Bytes)>,
}

impl Replay {
    pub(crate) fn new(disk: Arc<dyn Disk>, recovered: &Recovered, mark: i64) -> Self {
        let files = recovered.files.iter().map(|f| f.path.clone()).collect();
        Self { disk, files, items: recovered.items.clone().into_iter(), mark, open: None }
    }

    fn block(&mut self, file: usize, at: FrameAt) -> Option<Block> {
        if self.open.as_ref().is_none_or(|(open, _)| *open != file) {
            self.open = Some((file, self.disk.read(&self.files[file]).ok()?));
        }
        let (_, bytes) = self.open.as_ref()?;
        // Checked again: the file was read once before.
        frame::frame_at(bytes, at.offset).filter(|found| *found == at)?;
        frame::decode(bytes.get(at.offset..at.offset + at.len)?)
    }
}

impl Iterator for Replay {
    type Item = Block;

    fn next(&mut self) -> Option<Block> {
        match self.items.next()? {
            Item::Lost { first_id, count, why } => Some(lost(first_id, count, why)),
            Item::Frame { file, at } => Some(match self.block(file, at) {
                Some(block) => from_mark(block, self.mark),
                None => {
                    let why = "the WAL could not be read a second time".to_string();
                    let first_id = at.first_id.max(self.mark);
                    let end = at.first_id + i64::from(at.count);
                    lost(first_id, (end - first_id) as usize, why)
                }
            }),
        }
    }
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
