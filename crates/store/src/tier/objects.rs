//! Object storage as the store sees it: whole objects go there, ranges of them come back.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use crate::disk::DiskRead;

/// Why object storage did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ObjectError {
    /// There is no such object.
    #[error("there is no such object")]
    Missing,
    /// The storage cannot be reached, refuses, or takes too long. A later try may go well.
    #[error("{0}")]
    Failed(String),
    /// What came back is not what went there.
    #[error("{0}")]
    Wrong(String),
}

/// Object storage. All calls block the thread, each for a bounded time. A call that failed may
/// have been carried out all the same, and may be made again.
pub trait Objects: Send + Sync + std::fmt::Debug {
    /// Where it is, for people: `s3://bucket/prefix`.
    fn place(&self) -> &str;

    /// Writes the whole of `file` as `key`. An object is there whole or not at all.
    ///
    /// # Errors
    /// When the file cannot be read or the storage refuses.
    fn put(&self, key: &str, file: &Arc<dyn DiskRead>) -> Result<(), ObjectError>;

    /// Exactly the bytes of `range`.
    ///
    /// # Errors
    /// When there is no such object, it is shorter, or the storage refuses.
    fn get(&self, key: &str, range: Range<u64>) -> Result<Bytes, ObjectError>;

    /// The size of an object in bytes.
    ///
    /// # Errors
    /// When there is no such object or the storage refuses.
    fn size(&self, key: &str) -> Result<u64, ObjectError>;

    /// Removes an object; one that is not there is removed already.
    ///
    /// # Errors
    /// When the storage refuses.
    fn remove(&self, key: &str) -> Result<(), ObjectError>;
}
