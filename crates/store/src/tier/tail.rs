//! What stays local of a cold segment: the end of its file, and a checksum of every chunk.
//!
//! ```text
//! <file>.tail = the segment's file from `body_bytes` on, byte for byte: filters and footer
//!               crc32 of each chunk of the body, u32 each, little-endian like all below
//!               body_bytes u64, file_bytes u64, crc32 of the whole file u32,
//!               crc32 of the tail's bytes u32, chunk_bytes u32,
//!               crc32 of the checksums and of the numbers above u32, "PMTAIL1\n"
//! ```

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use crc32fast::Hasher;
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaDataReader};

use crate::disk::{Disk, DiskRead};
use crate::segment::file::SegmentFile;

/// Bytes of a chunk: what is fetched, checked and cached as one. Object storage answers in some
/// tens of milliseconds; this much more is there in a few, and a needle needs no more.
pub(crate) const CHUNK_BYTES: u64 = 256 << 10;
const MAGIC: &[u8; 8] = b"PMTAIL1\n";
const NUMBERS_BYTES: usize = 8 + 8 + 4 + 4 + 4;
const TRAILER_BYTES: usize = NUMBERS_BYTES + 4 + MAGIC.len();
/// Bytes read at once when a file is read whole.
const PIECE_BYTES: u64 = 1 << 20;
/// A file of a smaller chunk size would need more memory for its checksums than for itself.
const CHUNK_BYTES_MIN: u32 = 4 << 10;

/// Path of the tail of the segment at `path`.
pub(crate) fn tail_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".tail");
    name.into()
}

/// Checksums of a segment's file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sums {
    pub(crate) body_bytes: u64,
    pub(crate) file_bytes: u64,
    /// crc32 of the whole file.
    pub(crate) whole: u32,
    tail: u32,
    chunks: Vec<u32>,
}

impl Sums {
    /// Reads `file` once from start to end; `body_bytes` is where its tail begins.
    pub(crate) fn of(file: &dyn DiskRead, body_bytes: u64) -> io::Result<Self> {
        let mut whole = Hasher::new();
        let mut tail = Hasher::new();
        let mut chunks = Vec::new();
        for (offset, len) in pieces(0, body_bytes, CHUNK_BYTES) {
            let bytes = file.read_at(offset, len)?;
            whole.update(&bytes);
            chunks.push(crc32fast::hash(&bytes));
        }
        for (offset, len) in pieces(body_bytes, file.len(), PIECE_BYTES) {
            let bytes = file.read_at(offset, len)?;
            whole.update(&bytes);
            tail.update(&bytes);
        }
        let (whole, tail) = (whole.finalize(), tail.finalize());
        Ok(Self { body_bytes, file_bytes: file.len(), whole, tail, chunks })
    }

    fn encode(&self) -> Vec<u8> {
        let mut out: Vec<u8> = self.chunks.iter().flat_map(|sum| sum.to_le_bytes()).collect();
        out.extend(self.body_bytes.to_le_bytes());
        out.extend(self.file_bytes.to_le_bytes());
        out.extend(self.whole.to_le_bytes());
        out.extend(self.tail.to_le_bytes());
        out.extend((CHUNK_BYTES as u32).to_le_bytes());
        out.extend(crc32fast::hash(&out).to_le_bytes());
        out.extend(MAGIC);
        out
    }
}

/// Starts and lengths of the pieces of `from .. to`.
pub(crate) fn pieces(from: u64, to: u64, bytes: u64) -> impl Iterator<Item = (u64, usize)> {
    let step = usize::try_from(bytes).unwrap_or(usize::MAX);
    (from..to).step_by(step).map(move |offset| (offset, bytes.min(to - offset) as usize))
}

/// Where the tail of a segment's file begins: after the last byte of its columns.
pub(crate) fn body_bytes(file: &Arc<dyn DiskRead>) -> io::Result<u64> {
    let mut reader = ParquetMetaDataReader::new().with_page_index_policy(PageIndexPolicy::Skip);
    reader.try_parse(&SegmentFile(file.clone())).map_err(io::Error::other)?;
    let metadata = reader.finish().map_err(io::Error::other)?;
    let columns = metadata.row_groups().iter().flat_map(|group| group.columns());
    let ends = columns.map(|column| {
        let (start, bytes) = column.byte_range();
        start.saturating_add(bytes)
    });
    Ok(ends.max().unwrap_or(0).min(file.len()))
}

/// Writes the tail of `file` as `path`, whole or not at all.
pub(crate) fn write(
    disk: &dyn Disk,
    path: &Path,
    file: &dyn DiskRead,
    sums: &Sums,
) -> io::Result<()> {
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(".tmp");
    let unfinished = PathBuf::from(unfinished);
    let mut out = disk.create(&unfinished)?;
    for (offset, len) in pieces(sums.body_bytes, sums.file_bytes, PIECE_BYTES) {
        out.write_all(&file.read_at(offset, len)?)?;
    }
    out.write_all(&sums.encode())?;
    out.sync()?;
    drop(out);
    disk.rename(&unfinished, path)?;
    disk.sync_dir(path.parent().unwrap_or(Path::new(".")))
}

/// The tail of a cold segment, open for reading.
pub(crate) struct Tail {
    file: Arc<dyn DiskRead>,
    pub(crate) body_bytes: u64,
    pub(crate) file_bytes: u64,
    pub(crate) chunk_bytes: u64,
    pub(crate) whole: u32,
    tail: u32,
}

impl Tail {
    /// Opens the file and checks its numbers; the bytes of the tail are not read yet.
    pub(crate) fn open(disk: &dyn Disk, path: &Path) -> io::Result<Self> {
        let file = disk.open(path)?;
        let trailer_at =
            file.len().checked_sub(TRAILER_BYTES as u64).ok_or_else(|| damaged("too short"))?;
        let trailer = file.read_at(trailer_at, TRAILER_BYTES)?;
        if &trailer[NUMBERS_BYTES + 4..] != MAGIC {
            return Err(damaged("it does not end like one"));
        }
        let long = |at: usize| u64::from_le_bytes(trailer[at..at + 8].try_into().expect("8 bytes"));
        let int = |at: usize| u32::from_le_bytes(trailer[at..at + 4].try_into().expect("4 bytes"));
        let (body_bytes, file_bytes, chunk_bytes) = (long(0), long(8), int(24));
        if chunk_bytes < CHUNK_BYTES_MIN || body_bytes > file_bytes {
            return Err(damaged("its numbers make no sense"));
        }
        let sums_bytes = body_bytes.div_ceil(u64::from(chunk_bytes)) * 4;
        if file_bytes - body_bytes + sums_bytes != trailer_at {
            return Err(damaged("its size is not what it says"));
        }
        let sums = file.read_at(trailer_at - sums_bytes, sums_bytes as usize)?;
        let mut hasher = Hasher::new();
        hasher.update(&sums);
        hasher.update(&trailer[..NUMBERS_BYTES]);
        if hasher.finalize() != int(NUMBERS_BYTES) {
            return Err(damaged("its checksum is wrong"));
        }
        let (whole, tail) = (int(16), int(20));
        let chunk_bytes = u64::from(chunk_bytes);
        Ok(Self { file, body_bytes, file_bytes, chunk_bytes, whole, tail })
    }

    /// Bytes of the segment's file that lie in the tail.
    pub(crate) fn read_at(&self, offset: u64, len: usize) -> io::Result<Bytes> {
        self.file.read_at(offset - self.body_bytes, len)
    }

    /// Checksum of a chunk of the body.
    pub(crate) fn sum(&self, chunk: u64) -> io::Result<u32> {
        let at = self.file_bytes - self.body_bytes + 4 * chunk;
        let bytes = self.file.read_at(at, 4)?;
        Ok(u32::from_le_bytes(bytes[..].try_into().expect("4 bytes were asked for")))
    }

    /// Reads all of it and compares its checksum.
    pub(crate) fn check(&self) -> io::Result<()> {
        let mut hasher = Hasher::new();
        for (offset, len) in pieces(0, self.file_bytes - self.body_bytes, PIECE_BYTES) {
            hasher.update(&self.file.read_at(offset, len)?);
        }
        match hasher.finalize() == self.tail {
            true => Ok(()),
            false => Err(damaged("its bytes have changed")),
        }
    }
}

/// What is wrong with the tail of the segment at `path`, whose file has `bytes` bytes.
pub(crate) fn tail_problem(disk: &dyn Disk, path: &Path, bytes: u64) -> Option<String> {
    match Tail::open(disk, &tail_path(path)) {
        Ok(tail) if tail.file_bytes == bytes => None,
        Ok(tail) => Some(format!(
            "the tail is of a file of {} bytes, the manifest says {bytes}",
            tail.file_bytes
        )),
        Err(error) => Some(format!("its tail cannot be read: {error}")),
    }
}

fn damaged(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the tail is damaged: {what}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::disk::RealDisk;

    fn written(bytes: &[u8], body: u64) -> (tempfile::TempDir, PathBuf, Sums) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.parquet");
        std::fs::write(&path, bytes).unwrap();
        let file = RealDisk.open(&path).unwrap();
        let sums = Sums::of(&*file, body).unwrap();
        write(&RealDisk, &tail_path(&path), &*file, &sums).unwrap();
        (dir, tail_path(&path), sums)
    }

    #[test]
    fn a_tail_has_the_end_of_the_file_and_every_checksum() {
        let bytes: Vec<u8> = (0..CHUNK_BYTES * 2 + 999).map(|i| (i % 251) as u8).collect();
        let body = CHUNK_BYTES * 2 + 99;
        let (_dir, path, sums) = written(&bytes, body);
        let tail = Tail::open(&RealDisk, &path).unwrap();
        assert_eq!((tail.body_bytes, tail.file_bytes), (body, bytes.len() as u64));
        assert_eq!((tail.whole, sums.whole), (crc32fast::hash(&bytes), crc32fast::hash(&bytes)));
        assert_eq!(tail.read_at(body + 1, 9).unwrap(), bytes[body as usize + 1..][..9]);
        for chunk in 0..3 {
            let from = (chunk * CHUNK_BYTES) as usize;
            let to = (from + CHUNK_BYTES as usize).min(body as usize);
            assert_eq!(tail.sum(chunk).unwrap(), crc32fast::hash(&bytes[from..to]));
        }
        tail.check().unwrap();
    }

    proptest! {
        #[test]
        fn a_damaged_tail_is_noticed(at in 0usize..2000, cut in 0usize..2000, flip in 1u8..) {
            let bytes: Vec<u8> = (0..5000u32).map(|i| (i % 251) as u8).collect();
            let (_dir, path, _) = written(&bytes, 4000);
            let mut whole = std::fs::read(&path).unwrap();
            let len = whole.len();
            whole[at % len] ^= flip;
            whole.truncate(len - cut % 3);
            std::fs::write(&path, &whole).unwrap();
            let found = Tail::open(&RealDisk, &path).and_then(|tail| tail.check());
            prop_assert_eq!(found.unwrap_err().kind(), io::ErrorKind::InvalidData);
        }
    }
}
