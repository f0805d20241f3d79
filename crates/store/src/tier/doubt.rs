//! Objects that may be on the storage though no segment needs them.
//!
//! A key is written down here, synced, before its object is uploaded and before the manifest lets
//! go of it; it is struck out when the manifest names the object, or when the object is removed.
//! So a crash at any moment leaves a list of what to look at, and nobody has to list the storage,
//! where others may keep objects too.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::disk::Disk;

/// The list: one small file per key.
#[derive(Debug)]
pub(crate) struct Doubt {
    dir: PathBuf,
    disk: Arc<dyn Disk>,
}

impl Doubt {
    /// The list in the folder `dir`.
    pub(crate) fn new(dir: PathBuf, disk: Arc<dyn Disk>) -> Self {
        Self { dir, disk }
    }

    /// Writes a key down. When this returns, a crash does not lose it.
    pub(crate) fn add(&self, key: &str) -> io::Result<()> {
        self.disk.make_dirs(&self.dir)?;
        let mut file = self.disk.create(&self.path(key))?;
        file.write_all(key.as_bytes())?;
        file.sync()?;
        self.disk.sync_dir(&self.dir)
    }

    /// Strikes a key out. One that comes back after a crash is looked at once more, no harm done.
    pub(crate) fn forget(&self, key: &str) -> io::Result<()> {
        match self.disk.remove(&self.path(key)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            done => done,
        }
    }

    /// All keys.
    pub(crate) fn list(&self) -> io::Result<Vec<String>> {
        let entries = match self.disk.list(&self.dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut keys = Vec::new();
        for entry in entries.iter().filter(|entry| !entry.is_dir) {
            let text = self.disk.read(&entry.path)?;
            match std::str::from_utf8(&text) {
                // What a crash cut short was never acted on: the upload comes after the sync.
                Ok(key) if entry.path == self.path(key) => keys.push(key.to_string()),
                _ => self.disk.remove(&entry.path)?,
            }
        }
        keys.sort();
        Ok(keys)
    }

    fn path(&self, key: &str) -> PathBuf {
        self.dir.join(Path::new(&key.replace('/', "~")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::RealDisk;

    #[test]
    fn keys_are_listed_until_they_are_struck_out() {
        let dir = tempfile::tempdir().unwrap();
        let doubt = Doubt::new(dir.path().join("doubt"), Arc::new(RealDisk));
        assert_eq!(doubt.list().unwrap(), [""; 0]);
        for key in ["1f/segments/2026-11-23/b.parquet", "1f/segments/mixed/a.parquet"] {
            doubt.add(key).unwrap();
            doubt.add(key).unwrap();
        }
        assert_eq!(
            doubt.list().unwrap(),
            ["1f/segments/2026-11-23/b.parquet", "1f/segments/mixed/a.parquet"]
        );
        doubt.forget("1f/segments/mixed/a.parquet").unwrap();
        doubt.forget("1f/segments/mixed/a.parquet").unwrap();
        std::fs::write(dir.path().join("doubt/1f~segments~mixed~c.parquet"), "1f/segm").unwrap();
        assert_eq!(doubt.list().unwrap(), ["1f/segments/2026-11-23/b.parquet"]);
    }
}
