//! The write-ahead log: a record is acknowledged when its frame is on disk.
//!
//! A file is named by the first id in it and is a run of frames (see `frame`). One thread writes:
//! it takes what is queued, writes it in one go, syncs once, and only then answers. [`recover`]
//! reads what a crash left: a torn tail is cut; a broken piece in the middle is set aside in
//! `damaged/` and its records are counted as quarantined, since ids have no gaps. What it found is
//! handed out while new records are taken already: those are written behind, and read back from
//! there in their turn.
//!
//! Its size is bounded: beyond `wal_bytes_max` of the options nothing is taken until a flush has
//! freed a part of it.

pub(crate) mod frame;
pub(crate) mod recover;
pub(crate) mod writer;

use std::io;
use std::path::{Path, PathBuf};

use crate::disk::Disk;

pub use recover::Recovery;
pub(crate) use recover::{Replay, recover};
pub(crate) use writer::{Job, Queue, Writer};

/// One file of the WAL.
#[derive(Debug, Clone)]
pub(crate) struct WalFile {
    /// Id of the first record in it.
    pub(crate) first_id: i64,
    /// Where it is.
    pub(crate) path: PathBuf,
    /// Its size.
    pub(crate) bytes: u64,
}

/// Path of the file that starts with `first_id`. Names sort like ids.
pub(crate) fn file_path(dir: &Path, first_id: i64) -> PathBuf {
    dir.join(format!("{first_id:020}.wal"))
}

/// The files of `dir` in the order of their ids.
pub(crate) fn list(disk: &dyn Disk, dir: &Path) -> io::Result<Vec<WalFile>> {
    let mut files = Vec::new();
    for entry in disk.list(dir)? {
        let name = entry.path.file_name().and_then(|n| n.to_str());
        let Some(stem) = name.and_then(|n| n.strip_suffix(".wal")) else { continue };
        let Ok(first_id) = stem.parse() else { continue };
        files.push(WalFile { first_id, path: entry.path, bytes: entry.bytes });
    }
    files.sort_by_key(|f| f.first_id);
    Ok(files)
}
