//! The lock on a data folder: one writing process at a time.

use std::fs::{File, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;

use crate::error::StoreError;

/// Name of the lock file in the data folder. It holds the process id of the holder.
const FILE: &str = "LOCK";

/// Held while a process may write to the folder; the system lets go when the process ends.
#[derive(Debug)]
pub(crate) struct FolderLock {
    file: File,
}

impl FolderLock {
    /// Makes the folder if it is not there, and locks it.
    ///
    /// # Errors
    /// When the folder cannot be written to, or another process holds the lock.
    pub(crate) fn take(dir: &Path) -> Result<Self, StoreError> {
        let not_writable = |source| StoreError::NotWritable { dir: dir.to_path_buf(), source };
        std::fs::create_dir_all(dir).map_err(not_writable)?;
        let mut file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(dir.join(FILE))
            .map_err(not_writable)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut pid = String::new();
                let _ = (&file).take(32).read_to_string(&mut pid);
                return Err(StoreError::Locked {
                    dir: dir.to_path_buf(),
                    pid: pid.trim().parse().ok(),
                });
            }
            Err(TryLockError::Error(source)) => return Err(not_writable(source)),
        }
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "{}", std::process::id()))
            .map_err(not_writable)?;
        Ok(Self { file })
    }
}

impl Drop for FolderLock {
    fn drop(&mut self) {
        // Closing the file is not enough: a child process that is just being started may still
        // have a copy of it, and with it the lock.
        let _ = self.file.unlock();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_one_holder() {
        let dir = tempfile::tempdir().unwrap();
        let first = FolderLock::take(dir.path()).unwrap();
        let second = FolderLock::take(dir.path()).unwrap_err().to_string();
        assert!(second.contains(&format!("process {}", std::process::id())), "{second}");
        drop(first);
        FolderLock::take(dir.path()).unwrap();
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = FolderLock::take(&file.path().join("data")).unwrap_err();
        assert!(matches!(error, StoreError::NotWritable { .. }), "{error}");
    }
}
