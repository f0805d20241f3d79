//! What can go wrong in the store.

use std::io;
use std::path::{Path, PathBuf};

use arrow::error::ArrowError;
use parquet::errors::ParquetError;
use pugmark_event::batch::BatchError;

/// How the text of an error of the cold tier begins.
pub(crate) const COLD_SEGMENT: &str = "the cold segment ";

/// Why the store could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A file could not be read or written.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The data folder cannot be written to.
    #[error(
        "the data folder {} cannot be written to: {source}; give another folder or its owner's \
         rights to this user", dir.display()
    )]
    NotWritable {
        /// The data folder.
        dir: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another process works in the data folder.
    #[error(
        "the data folder {} is in use by {}; stop it, or send to it with --server", dir.display(),
        pid.map_or("another process".to_string(), |pid| format!("process {pid}"))
    )]
    Locked {
        /// The data folder.
        dir: PathBuf,
        /// The process that holds the lock, if it said so.
        pid: Option<u32>,
    },
    /// The folder holds no data of Pugmark.
    #[error("there is no Pugmark data in {}; check the path of the data folder", .0.display())]
    NoData(PathBuf),
    /// The data were written by a newer version.
    #[error(
        "the data were written by a newer Pugmark (manifest version {found}, this program knows \
         {known}); use that version or a newer one"
    )]
    TooNew {
        /// Version found.
        found: i64,
        /// Newest version that this program knows.
        known: i64,
    },
    /// The database of the manifest refused.
    #[error("the manifest cannot be used: {0}")]
    Manifest(#[from] sqlx::Error),
    /// The setting that says where the manifest is makes no sense.
    #[error(
        "the place of the manifest cannot be used: {message}; write \
         postgres://user:password@host/database, or nothing for a file in the data folder"
    )]
    ManifestPlace {
        /// What is wrong with it.
        message: String,
    },
    /// A data folder with a manifest that is not its own.
    #[error(
        "the data folder {} and the manifest in {place} do not belong together: {problem}; check \
         the data folder and store.manifest, or restore both from one backup", dir.display()
    )]
    NotTogether {
        /// The data folder.
        dir: PathBuf,
        /// Where the manifest is.
        place: String,
        /// Why not.
        problem: &'static str,
    },
    /// Another process writes to the manifest.
    #[error(
        "the manifest in {place} is in use by {holder}; stop that Pugmark, or give this data \
         folder a database of its own"
    )]
    ManifestTaken {
        /// Where the manifest is.
        place: String,
        /// Who writes to it.
        holder: String,
    },
    /// Another process took over writing.
    #[error(
        "another Pugmark has taken over the manifest in {place}, so this one may change nothing \
         more; see that only one runs, and restart it"
    )]
    Fenced {
        /// Where the manifest is.
        place: String,
    },
    /// The manifest is not what a change started from.
    #[error("the manifest does not allow this change: {0}; nothing was changed")]
    Changed(String),
    /// The answer to a change was lost.
    #[error(
        "it is not known whether the manifest has the last change ({0}); a restart looks it up"
    )]
    Uncertain(sqlx::Error),
    /// A segment cannot be read or written.
    #[error("segment {}: {message}", path.display())]
    Segment {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// A column was asked for that no event can have.
    #[error("there is no column {0:?}; columns are those of the field registry")]
    Column(String),
    /// Columns could not be joined or cut.
    #[error("events in memory cannot be read: {0}")]
    Arrow(#[from] ArrowError),
    /// Batches could not be joined.
    #[error("events in memory cannot be joined: {0}")]
    Batch(#[from] BatchError),
    /// Stored state is not what this program wrote.
    #[error("stored {what} cannot be read: {message}")]
    State {
        /// What was read.
        what: &'static str,
        /// What is wrong.
        message: String,
    },
    /// Object storage did not give or take a segment; the text says which, where and why.
    #[error("{0}")]
    Cold(String),
    /// A backup cannot be made or used.
    #[error("{}: {message}", path.display())]
    Backup {
        /// The folder or the file.
        path: PathBuf,
        /// What is wrong with it, and what to do.
        message: String,
    },
    /// Rows cannot be written as Parquet.
    #[error("these rows cannot be written as Parquet: {0}; choose another format, or columns")]
    Export(String),
    /// The store was opened for reading.
    #[error("the data folder was opened for reading only")]
    ReadOnly,
}

impl StoreError {
    /// An [`StoreError::Io`] maker for `map_err`.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
        let path = path.to_path_buf();
        move |source| StoreError::Io { action, path, source }
    }

    /// A [`StoreError::Segment`] maker for `map_err`.
    pub(crate) fn parquet(path: &Path) -> impl Fn(ParquetError) -> StoreError {
        let path = path.to_path_buf();
        move |error| StoreError::segment(&path, error.to_string())
    }

    /// A segment cannot be read. What the cold tier says stands for itself: the libraries in
    /// between put their own words before it and know nothing of the cause.
    pub(crate) fn segment(path: &Path, message: String) -> StoreError {
        match message.find(COLD_SEGMENT) {
            Some(at) => StoreError::Cold(message[at..].to_string()),
            None => StoreError::Segment { path: path.to_path_buf(), message },
        }
    }
}

/// Why records were not taken. Nothing of them is on disk then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The queue or the memory behind it has no room; try again soon.
    #[error("the intake queue is full")]
    Full,
    /// The disk has no room.
    #[error("{0}")]
    DiskFull(String),
    /// The block is larger than a frame may be.
    #[error("a block of {bytes} bytes is larger than {max}; send it in smaller pieces")]
    TooBig {
        /// Bytes of the block.
        bytes: usize,
        /// Bytes allowed.
        max: usize,
    },
    /// The disk refused.
    #[error("{0}")]
    Io(String),
    /// The store is closing.
    #[error("the store is closing")]
    Closed,
}
