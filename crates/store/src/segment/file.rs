//! A segment file as Parquet's reader and writer see it.

use std::io::{self, Read, Write};
use std::sync::Arc;

use bytes::Bytes;
use parquet::file::reader::{ChunkReader, Length};

use crate::disk::{DiskRead, DiskWrite};

/// Bytes that a sequential reader asks for at once.
const CHUNK_BYTES: usize = 64 * 1024;

/// A file that Parquet reads.
#[derive(Clone)]
pub(crate) struct SegmentFile(pub(crate) Arc<dyn DiskRead>);

impl Length for SegmentFile {
    fn len(&self) -> u64 {
        self.0.len()
    }
}

impl ChunkReader for SegmentFile {
    type T = Sequential;

    fn get_read(&self, start: u64) -> parquet::errors::Result<Sequential> {
        Ok(Sequential { file: self.0.clone(), next: start, chunk: Bytes::new() })
    }

    fn get_bytes(&self, start: u64, length: usize) -> parquet::errors::Result<Bytes> {
        Ok(self.0.read_at(start, length)?)
    }
}

/// Reads a file from some place on.
pub(crate) struct Sequential {
    file: Arc<dyn DiskRead>,
    next: u64,
    chunk: Bytes,
}

impl Read for Sequential {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.chunk.is_empty() {
            let left = self.file.len().saturating_sub(self.next);
            let len = CHUNK_BYTES.min(usize::try_from(left).unwrap_or(usize::MAX));
            if len == 0 {
                return Ok(0);
            }
            self.chunk = self.file.read_at(self.next, len)?;
            self.next += len as u64;
        }
        let len = out.len().min(self.chunk.len());
        out[..len].copy_from_slice(&self.chunk.split_to(len));
        Ok(len)
    }
}

/// CRC-32 of two pieces, one after the other.
pub(crate) fn checksum(first: &[u8], second: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(first);
    crc.update(second);
    crc.finalize()
}

/// A file being written, with the checksum of what was written.
pub(crate) struct Checked {
    file: Box<dyn DiskWrite>,
    crc: crc32fast::Hasher,
    bytes: u64,
}

impl Checked {
    pub(crate) fn new(file: Box<dyn DiskWrite>) -> Self {
        Self { file, crc: crc32fast::Hasher::new(), bytes: 0 }
    }

    /// Syncs the file; returns its size and the checksum of all of it.
    pub(crate) fn finish(mut self) -> io::Result<(u64, u32)> {
        self.file.sync()?;
        Ok((self.bytes, self.crc.finalize()))
    }
}

impl Write for Checked {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.crc.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
