//! What a question has looked at, counted while it runs.

use std::collections::HashSet;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;

use crate::disk::DiskRead;

/// A number that several threads add to.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// What it is at this moment.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }
}

/// Counts what the scans of a [`Snapshot`](crate::Snapshot) look at.
///
/// A row group that statistics, an index or the range of time rules out is not read; neither is one
/// whose figures its file already has.
#[derive(Debug, Default)]
pub struct Meter {
    /// Segments of the store, for each scan.
    pub segments: Counter,
    /// Row groups of these segments.
    pub row_groups: Counter,
    /// Events of the store, for each scan.
    pub rows: Counter,
    /// Events in memory, and in row groups of which a column was read.
    pub rows_read: Counter,
    /// Bytes that were read of files; what was kept in memory is not read again.
    pub bytes_read: Counter,
    /// First id of the segment, and number, of every row group of which a column was read.
    read: Mutex<HashSet<(i64, usize)>>,
}

impl Meter {
    /// Row groups of which a column was read.
    pub fn row_groups_read(&self) -> u64 {
        self.read.lock().len() as u64
    }

    /// Segments that have these row groups.
    pub fn segments_read(&self) -> u64 {
        let read = self.read.lock();
        read.iter().map(|(segment, _)| segment).collect::<HashSet<_>>().len() as u64
    }

    /// Columns of this row group of so many rows are read, perhaps not for the first time.
    pub(crate) fn group_read(&self, segment: i64, group: usize, rows: usize) {
        if self.read.lock().insert((segment, group)) {
            self.rows_read.add(rows as u64);
        }
    }

    /// The same file, whose bytes are counted.
    pub(crate) fn of_file(self: &Arc<Self>, file: Arc<dyn DiskRead>) -> Arc<dyn DiskRead> {
        Arc::new(Metered { file, meter: self.clone() })
    }
}

struct Metered {
    file: Arc<dyn DiskRead>,
    meter: Arc<Meter>,
}

impl DiskRead for Metered {
    fn len(&self) -> u64 {
        self.file.len()
    }

    fn read_at(&self, offset: u64, len: usize) -> io::Result<Bytes> {
        let bytes = self.file.read_at(offset, len)?;
        self.meter.bytes_read.add(bytes.len() as u64);
        Ok(bytes)
    }
}
