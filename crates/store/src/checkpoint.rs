//! Checkpoints: bytes that whoever reads the WAL keeps beside it, so that it need not begin at the
//! beginning. The store does not know what they mean.
//!
//! The file is written whole under another name and then takes the place of the one before, so
//! there is always one that is complete. It is a convenience: without it, or when it is damaged, a
//! start takes longer and nothing is lost.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::disk::Disk;
use crate::error::StoreError;
use crate::store::Store;

/// Whose checkpoint it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckpointOf {
    /// Rules over time.
    Detection,
    /// The health of sources.
    Sources,
    /// Who had which address.
    Bindings,
    /// Headers of sources that send rows of a table.
    Headers,
}

impl CheckpointOf {
    /// Name of the file in a data folder.
    fn file(self) -> &'static str {
        match self {
            CheckpointOf::Detection => "detection.checkpoint",
            CheckpointOf::Sources => "sources.checkpoint",
            CheckpointOf::Bindings => "bindings.checkpoint",
            CheckpointOf::Headers => "headers.checkpoint",
        }
    }
}

/// What the file begins with.
const MAGIC: &[u8; 8] = b"pugmck01";
/// Largest checkpoint that is read, in bytes before compression.
const BYTES_MAX: usize = 1 << 30;

impl Store {
    /// Keeps these bytes in place of those before. Blocks the thread.
    ///
    /// # Errors
    /// When the disk refuses; the checkpoint before stays then.
    pub fn put_checkpoint(&self, of: CheckpointOf, bytes: &[u8]) -> Result<(), StoreError> {
        let path = self.dir().join(of.file());
        put(self.disk(), &path, bytes).map_err(StoreError::io("write", &path))
    }

    /// The bytes kept last; `None` when there are none, or not all of them. Blocks the thread.
    ///
    /// # Errors
    /// When the disk refuses to read.
    pub fn checkpoint(&self, of: CheckpointOf) -> Result<Option<Vec<u8>>, StoreError> {
        let path = self.dir().join(of.file());
        match self.disk().read(&path) {
            Ok(bytes) => Ok(unpack(&bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(StoreError::io("read", &path)(error)),
        }
    }
}

fn put(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let packed = zstd::bulk::compress(bytes, 1)?;
    let aside: PathBuf = path.with_extension("new");
    let mut file = disk.create(&aside)?;
    file.write_all(MAGIC)?;
    file.write_all(&crc32fast::hash(&packed).to_le_bytes())?;
    file.write_all(&packed)?;
    file.sync()?;
    drop(file);
    disk.rename(&aside, path)?;
    path.parent().map_or(Ok(()), |dir| disk.sync_dir(dir))
}

fn unpack(bytes: &[u8]) -> Option<Vec<u8>> {
    let rest = bytes.strip_prefix(MAGIC.as_slice())?;
    let (sum, packed) = rest.split_first_chunk::<4>()?;
    if crc32fast::hash(packed) != u32::from_le_bytes(*sum) {
        return None;
    }
    let size = zstd::zstd_safe::get_frame_content_size(packed).ok().flatten()?;
    let size = usize::try_from(size).ok().filter(|size| *size <= BYTES_MAX)?;
    zstd::bulk::decompress(packed, size).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::RealDisk;

    #[test]
    fn what_is_kept_last_comes_back_and_damage_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(CheckpointOf::Sources.file());
        for bytes in [&b"first"[..], b"", &[7; 100_000]] {
            put(&RealDisk, &path, bytes).unwrap();
            let file = std::fs::read(&path).unwrap();
            assert_eq!(unpack(&file).as_deref(), Some(bytes));
            for at in [0, 9, file.len() - 1] {
                let mut torn = file.clone();
                torn[at] ^= 1;
                assert_eq!(unpack(&torn), None, "byte {at}");
            }
            assert_eq!(unpack(&file[..file.len() - 1]), None);
        }
    }
}
