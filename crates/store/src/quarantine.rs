//! The quarantine: records that were set aside, whole, with the reason.

use std::io::Read;
use std::ops::Range;
use std::sync::Arc;

use pugmark_event::Records;
use pugmark_event::time::Micros;

use crate::error::StoreError;

/// Longest part of a record that [`QuarantineEntry::record`] holds, in bytes.
pub const QUARANTINE_RECORD_BYTES_MAX: usize = 64 * 1024;
/// Longest reason kept, in bytes.
const REASON_BYTES_MAX: usize = 512;
const LEVEL: i32 = 3;

/// A record that was set aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuarantineEntry {
    /// Its id.
    pub id: i64,
    /// Who sent it.
    pub source: String,
    /// When it arrived.
    pub received: Micros,
    /// Why it was set aside.
    pub reason: String,
    /// Bytes of the whole record.
    pub bytes: u64,
    /// Its start, at most [`QUARANTINE_RECORD_BYTES_MAX`].
    pub record: Vec<u8>,
}

/// Records set aside that are in no transaction yet.
#[derive(Debug, Clone)]
pub(crate) struct Aside {
    pub(crate) first_id: i64,
    pub(crate) source: Arc<str>,
    pub(crate) received: Micros,
    pub(crate) reason: String,
    pub(crate) records: Arc<Records>,
    pub(crate) rows: Range<usize>,
}

impl Aside {
    /// Id after the last record.
    pub(crate) fn end_id(&self) -> i64 {
        self.first_id + self.rows.end as i64
    }

    /// Id of the first record set aside.
    pub(crate) fn start_id(&self) -> i64 {
        self.first_id + self.rows.start as i64
    }

    pub(crate) fn raw_bytes(&self) -> usize {
        self.rows.clone().map(|row| self.records.get(row).len()).sum()
    }

    /// Memory that it counts for.
    pub(crate) fn bytes(&self) -> usize {
        self.raw_bytes() + 16 * self.rows.len() + 64
    }

    /// Ids and records.
    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = (i64, &[u8])> {
        self.rows.clone().map(|row| (self.first_id + row as i64, self.records.get(row)))
    }

    /// One entry for each record, newest first.
    pub(crate) fn entries(&self) -> impl Iterator<Item = QuarantineEntry> + '_ {
        self.iter().rev().map(|(id, record)| QuarantineEntry {
            id,
            source: self.source.to_string(),
            received: self.received,
            reason: self.reason.clone(),
            bytes: record.len() as u64,
            record: record[..record.len().min(QUARANTINE_RECORD_BYTES_MAX)].to_vec(),
        })
    }
}

/// `reason`, cut to a length that a table can show.
pub(crate) fn short(reason: &str) -> String {
    let mut end = reason.len().min(REASON_BYTES_MAX);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    reason[..end].to_string()
}

/// A record as the manifest holds it.
pub(crate) fn pack(record: &[u8]) -> std::io::Result<Vec<u8>> {
    zstd::bulk::compress(record, LEVEL)
}

/// The start of a packed record.
pub(crate) fn unpack(packed: &[u8]) -> Result<Vec<u8>, StoreError> {
    let mut record = Vec::new();
    zstd::stream::read::Decoder::with_buffer(packed)
        .and_then(|d| d.take(QUARANTINE_RECORD_BYTES_MAX as u64).read_to_end(&mut record))
        .map_err(|e| StoreError::State { what: "quarantine", message: e.to_string() })?;
    Ok(record)
}

/// A packed record of `bytes` bytes, whole.
pub(crate) fn unpack_whole(packed: &[u8], bytes: u64) -> Result<Vec<u8>, StoreError> {
    let wrong = |message| StoreError::State { what: "quarantine", message };
    let mut record = Vec::new();
    // One more than there should be, so that a wrong size is seen.
    zstd::stream::read::Decoder::with_buffer(packed)
        .and_then(|d| d.take(bytes.saturating_add(1)).read_to_end(&mut record))
        .map_err(|e| wrong(e.to_string()))?;
    if record.len() as u64 != bytes {
        return Err(wrong(format!("a record does not have the {bytes} bytes that it should")));
    }
    Ok(record)
}
