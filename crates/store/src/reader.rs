//! A file behind [`DiskRead`], as the Parquet library wants it: hot and cold are read alike.

use std::io::{self, Read};
use std::sync::Arc;

use bytes::{Buf, Bytes};
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, Length};

use crate::disk::DiskRead;

/// Bytes read at once by one who does not say how many are needed: page headers.
const STREAM_BYTES: u64 = 16 << 10;

/// A file for the Parquet library.
#[derive(Clone)]
pub(crate) struct FileReader {
    file: Arc<dyn DiskRead>,
}

impl FileReader {
    pub(crate) fn new(file: Arc<dyn DiskRead>) -> Self {
        Self { file }
    }
}

impl Length for FileReader {
    fn len(&self) -> u64 {
        self.file.len()
    }
}

impl ChunkReader for FileReader {
    type T = Stream;

    fn get_read(&self, start: u64) -> Result<Stream, ParquetError> {
        Ok(Stream { file: self.file.clone(), offset: start, ready: Bytes::new() })
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        Ok(self.file.read_at(start, length)?)
    }
}

/// The file from some place on.
pub(crate) struct Stream {
    file: Arc<dyn DiskRead>,
    offset: u64,
    ready: Bytes,
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.ready.is_empty() {
            let len = STREAM_BYTES.min(self.file.len().saturating_sub(self.offset));
            self.ready = self.file.read_at(self.offset, len as usize)?;
            self.offset += len;
        }
        let len = buffer.len().min(self.ready.len());
        self.ready.copy_to_slice(&mut buffer[..len]);
        Ok(len)
    }
}
