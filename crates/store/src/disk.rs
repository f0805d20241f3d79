//! The disk as the store sees it: every file of the data folder is written and read through it.
//!
//! [`RealDisk`] is the system's. The simulator puts one in its place that loses power, fails to
//! sync and fills up. Two things go past it: the manifest, because SQLite has its own care for
//! power cuts, and the lock file, which holds no data.
//!
//! What a disk promises, and no more: a file's bytes are safe once [`DiskWrite::sync`] has
//! returned; a name (a new file, a rename, a removal) is safe once [`Disk::sync_dir`] of its folder
//! has. What was not synced may be lost, kept in part, or kept in another order.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

/// Files and folders. All calls block the thread.
pub trait Disk: Send + Sync + std::fmt::Debug {
    /// Creates the file, or empties it when it is there.
    ///
    /// # Errors
    /// When the system refuses.
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskWrite>>;

    /// Opens the file for reading. It stays readable when it is removed meanwhile.
    ///
    /// # Errors
    /// When it is not there or the system refuses.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskRead>>;

    /// The whole file.
    ///
    /// # Errors
    /// When it is not there or cannot be read.
    fn read(&self, path: &Path) -> io::Result<Bytes>;

    /// Cuts the file to `len` bytes, and syncs it.
    ///
    /// # Errors
    /// When the system refuses; the file may be cut or not then.
    fn cut(&self, path: &Path, len: u64) -> io::Result<()>;

    /// Writes what a file has from `offset` on once more in its place, and syncs it. A sync alone
    /// is not enough for what another process wrote: a page whose sync has failed may count as
    /// clean, and is then in memory only.
    ///
    /// # Errors
    /// When the system refuses. The file reads as before, and nobody knows how much is durable.
    fn write_again(&self, path: &Path, offset: u64) -> io::Result<()>;

    /// Gives a file another name, in one step; what had that name is gone.
    ///
    /// # Errors
    /// When the system refuses.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// When it is not there or the system refuses.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Makes a folder and those above it that are missing.
    ///
    /// # Errors
    /// When the system refuses.
    fn make_dirs(&self, path: &Path) -> io::Result<()>;

    /// What is in a folder, in no order. An entry that goes away meanwhile may be left out.
    ///
    /// # Errors
    /// When it is not there or cannot be read.
    fn list(&self, dir: &Path) -> io::Result<Vec<DiskEntry>>;

    /// Makes names in `dir` durable: new files, renames, removals.
    ///
    /// # Errors
    /// When the system refuses.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;

    /// Bytes that may still be written to the disk of `dir`; `None` where nobody can tell.
    fn free_bytes(&self, dir: &Path) -> Option<u64>;
}

/// A file being written from its start.
pub trait DiskWrite: Write + Send {
    /// Makes what was written durable. After an error nobody knows how much of it is.
    ///
    /// # Errors
    /// When the system refuses.
    fn sync(&mut self) -> io::Result<()>;
}

/// A file open for reading at any place, by several threads at once.
pub trait DiskRead: Send + Sync {
    /// Its size in bytes when it was opened.
    fn len(&self) -> u64;

    /// True when it has no bytes.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Exactly `len` bytes from `offset` on.
    ///
    /// # Errors
    /// When they cannot be read, or the file ends before.
    fn read_at(&self, offset: u64, len: usize) -> io::Result<Bytes>;
}

/// Something in a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskEntry {
    /// Where it is.
    pub path: PathBuf,
    /// Size of a file.
    pub bytes: u64,
    /// True for a folder.
    pub is_dir: bool,
}

/// Bytes that are written again at once.
const WRITE_AGAIN_BYTES: usize = 1 << 20;

/// The system's disk.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealDisk;

impl Disk for RealDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskWrite>> {
        Ok(Box::new(RealWrite(File::create(path)?)))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskRead>> {
        let file = File::open(path)?;
        let len = file.metadata()?.len();
        Ok(Arc::new(RealRead { file, len }))
    }

    fn read(&self, path: &Path) -> io::Result<Bytes> {
        std::fs::read(path).map(Bytes::from)
    }

    fn cut(&self, path: &Path, len: u64) -> io::Result<()> {
        let file = File::options().write(true).open(path)?;
        file.set_len(len)?;
        file.sync_all()
    }

    fn write_again(&self, path: &Path, offset: u64) -> io::Result<()> {
        let mut file = File::options().read(true).write(true).open(path)?;
        let (mut at, end) = (offset, file.metadata()?.len());
        let mut bytes = vec![0; WRITE_AGAIN_BYTES];
        while at < end {
            let len = WRITE_AGAIN_BYTES.min(usize::try_from(end - at).unwrap_or(usize::MAX));
            read_exact_at(&file, &mut bytes[..len], at)?;
            file.seek(SeekFrom::Start(at))?;
            file.write_all(&bytes[..len])?;
            at += len as u64;
        }
        file.sync_all()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn make_dirs(&self, path: &Path) -> io::Result<()> {
        std::fs::create_dir_all(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DiskEntry>> {
        let mut entries = Vec::new();
        for entry in std::fs::read_dir(dir)? {
            let entry = entry?;
            let meta = match entry.metadata() {
                Ok(meta) => meta,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            entries.push(DiskEntry {
                path: entry.path(),
                bytes: meta.len(),
                is_dir: meta.is_dir(),
            });
        }
        Ok(entries)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        // Only Unix lets a folder be opened and synced; elsewhere the file system does it itself.
        if cfg!(unix) { File::open(dir)?.sync_all() } else { Ok(()) }
    }

    fn free_bytes(&self, dir: &Path) -> Option<u64> {
        #[cfg(unix)]
        {
            let stat = rustix::fs::statvfs(dir).ok()?;
            Some(stat.f_bavail.saturating_mul(stat.f_frsize))
        }
        #[cfg(not(unix))]
        {
            let _ = dir;
            None
        }
    }
}

struct RealWrite(File);

impl Write for RealWrite {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl DiskWrite for RealWrite {
    fn sync(&mut self) -> io::Result<()> {
        // The size is synced too: without it the bytes could not be read back.
        self.0.sync_data()
    }
}

struct RealRead {
    file: File,
    len: u64,
}

impl DiskRead for RealRead {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&self, offset: u64, len: usize) -> io::Result<Bytes> {
        // The length may come from a broken file: no memory for what is not there.
        if offset.checked_add(len as u64).is_none_or(|end| end > self.len) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut bytes = vec![0; len];
        read_exact_at(&self.file, &mut bytes, offset)?;
        Ok(bytes.into())
    }
}

#[cfg(unix)]
fn read_exact_at(file: &File, bytes: &mut [u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, bytes, offset)
}

#[cfg(windows)]
fn read_exact_at(file: &File, mut bytes: &mut [u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match std::os::windows::fs::FileExt::seek_read(file, bytes, offset)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => {
                bytes = &mut bytes[read..];
                offset += read as u64;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_comes_back_whole_and_in_pieces() {
        let dir = tempfile::tempdir().unwrap();
        let (disk, folder) = (RealDisk, dir.path().join("a/b"));
        disk.make_dirs(&folder).unwrap();
        let (first, second) = (folder.join("x.tmp"), folder.join("x"));
        let mut file = disk.create(&first).unwrap();
        file.write_all(b"0123456789").unwrap();
        file.sync().unwrap();
        disk.rename(&first, &second).unwrap();
        disk.sync_dir(&folder).unwrap();
        disk.cut(&second, 8).unwrap();
        let entry = DiskEntry { path: second.clone(), bytes: 8, is_dir: false };
        assert_eq!(disk.list(&folder).unwrap(), [entry]);
        let open = disk.open(&second).unwrap();
        disk.remove(&second).unwrap();
        assert_eq!((open.len(), &*open.read_at(3, 4).unwrap()), (8, b"3456".as_slice()));
        assert!(disk.read(&second).is_err());
        assert!(disk.free_bytes(&folder).is_none_or(|free| free > 0));
    }

    #[test]
    fn what_is_written_again_is_the_same() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let bytes: Vec<u8> = (0..WRITE_AGAIN_BYTES as u32 + 9).map(|i| (i % 251) as u8).collect();
        std::fs::write(file.path(), &bytes).unwrap();
        for offset in [0, 5, bytes.len() as u64, u64::MAX] {
            RealDisk.write_again(file.path(), offset).unwrap();
            assert!(std::fs::read(file.path()).unwrap() == bytes, "from {offset} on");
        }
    }

    #[test]
    fn what_is_past_the_end_is_not_read() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), b"0123").unwrap();
        let open = RealDisk.open(file.path()).unwrap();
        for (offset, len) in [(0, 5), (4, 1), (u64::MAX, 1), (1, usize::MAX)] {
            let kind = open.read_at(offset, len).unwrap_err().kind();
            assert_eq!(kind, io::ErrorKind::UnexpectedEof, "{len} bytes at {offset}");
        }
    }
}
