//! Chunks of cold segments that were read, on the local disk, at most so many bytes of them.
//!
//! What was not used for longest goes first. The cache starts empty: what is in it is known in
//! memory only, so a crash leaves nothing that could be mistaken for data. A file that cannot be
//! written or read is no error, since the storage has the bytes.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

use crate::disk::Disk;

/// Which chunk: the object's key and the chunk's number in it.
pub(crate) type ChunkKey = (Arc<str>, u64);

/// The cache.
#[derive(Debug)]
pub(crate) struct Cache {
    place: Place,
    bytes_max: u64,
    state: Mutex<State>,
}

#[derive(Debug)]
enum Place {
    Folder(PathBuf, Arc<dyn Disk>),
    /// For a process that only reads the data folder.
    Memory,
}

#[derive(Debug, Default)]
struct State {
    chunks: HashMap<ChunkKey, Slot>,
    /// By last use.
    order: BTreeMap<u64, ChunkKey>,
    bytes: u64,
    /// Counts uses, and names files: no number is given twice.
    next: u64,
}

#[derive(Debug)]
struct Slot {
    used: u64,
    bytes: u64,
    file: u64,
    memory: Option<Bytes>,
}

impl Cache {
    /// A cache in the folder `dir`, which is emptied.
    pub(crate) fn on_disk(dir: PathBuf, disk: Arc<dyn Disk>, bytes_max: u64) -> io::Result<Self> {
        disk.make_dirs(&dir)?;
        for entry in disk.list(&dir)? {
            if !entry.is_dir {
                disk.remove(&entry.path)?;
            }
        }
        Ok(Self { place: Place::Folder(dir, disk), bytes_max, state: Mutex::default() })
    }

    /// A cache in memory.
    pub(crate) fn in_memory(bytes_max: u64) -> Self {
        Self { place: Place::Memory, bytes_max, state: Mutex::default() }
    }

    /// The chunk, if it is here.
    pub(crate) fn get(&self, key: &ChunkKey) -> Option<Bytes> {
        let (file, memory) = {
            let mut state = self.state.lock();
            let now = state.next;
            state.next += 1;
            let slot = state.chunks.get_mut(key)?;
            let before = std::mem::replace(&mut slot.used, now);
            let found = (slot.file, slot.memory.clone());
            state.order.remove(&before);
            state.order.insert(now, key.clone());
            found
        };
        match &self.place {
            Place::Memory => memory,
            // It may go between the look and the read: then it is not here.
            Place::Folder(dir, disk) => disk.read(&file_path(dir, file)).ok(),
        }
    }

    /// Keeps a chunk, and lets others go for it.
    pub(crate) fn put(&self, key: ChunkKey, bytes: &Bytes) {
        let len = bytes.len() as u64;
        if len > self.bytes_max {
            return;
        }
        let file = {
            let mut state = self.state.lock();
            state.next += 1;
            state.next - 1
        };
        let memory = match &self.place {
            Place::Memory => Some(bytes.clone()),
            Place::Folder(dir, disk) => {
                let path = file_path(dir, file);
                let written = disk.create(&path).and_then(|mut out| out.write_all(bytes));
                if let Err(error) = written {
                    tracing::debug!(file = %path.display(), %error, "a chunk is not cached");
                    let _ = disk.remove(&path);
                    return;
                }
                None
            }
        };
        let gone = {
            let mut state = self.state.lock();
            let mut gone = state.take(&key).into_iter().collect::<Vec<_>>();
            state.bytes += len;
            state.order.insert(file, key.clone());
            state.chunks.insert(key, Slot { used: file, bytes: len, file, memory });
            while state.bytes > self.bytes_max {
                let Some((_, oldest)) = state.order.first_key_value() else { break };
                let oldest = oldest.clone();
                gone.extend(state.take(&oldest));
            }
            gone
        };
        self.remove_files(gone);
    }

    /// Lets a chunk go, such as one that turned out to be damaged.
    pub(crate) fn forget(&self, key: &ChunkKey) {
        let gone = self.state.lock().take(key);
        self.remove_files(gone);
    }

    /// Lets everything go: the disk is needed. Returns the bytes.
    pub(crate) fn clear(&self) -> u64 {
        let gone = {
            let mut state = self.state.lock();
            let next = state.next;
            std::mem::replace(&mut *state, State { next, ..State::default() })
        };
        self.remove_files(gone.chunks.into_values().map(|slot| slot.file));
        gone.bytes
    }

    /// Bytes in it.
    pub(crate) fn bytes(&self) -> u64 {
        self.state.lock().bytes
    }

    fn remove_files(&self, files: impl IntoIterator<Item = u64>) {
        let Place::Folder(dir, disk) = &self.place else { return };
        for file in files {
            // What cannot be removed goes at the next start.
            let _ = disk.remove(&file_path(dir, file));
        }
    }
}

impl State {
    /// Takes a chunk out; returns the number of its file.
    fn take(&mut self, key: &ChunkKey) -> Option<u64> {
        let slot = self.chunks.remove(key)?;
        self.order.remove(&slot.used);
        self.bytes -= slot.bytes;
        Some(slot.file)
    }
}

fn file_path(dir: &std::path::Path, file: u64) -> PathBuf {
    dir.join(format!("{file}.chunk"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::RealDisk;

    fn key(chunk: u64) -> ChunkKey {
        ("a".into(), chunk)
    }

    #[track_caller]
    fn check(cache: &Cache, here: &[u64], gone: &[u64]) {
        for chunk in here {
            let bytes = cache.get(&key(*chunk)).unwrap_or_else(|| panic!("{chunk} is not here"));
            assert_eq!(&bytes[..], [*chunk as u8; 10]);
        }
        for chunk in gone {
            assert_eq!(cache.get(&key(*chunk)), None, "{chunk} is here");
        }
        assert_eq!(cache.bytes(), 10 * here.len() as u64);
    }

    fn put(cache: &Cache, chunk: u64) {
        cache.put(key(chunk), &Bytes::from(vec![chunk as u8; 10]));
    }

    #[test]
    fn what_was_not_used_for_longest_goes_first() {
        let dir = tempfile::tempdir().unwrap();
        let disk: Arc<dyn Disk> = Arc::new(RealDisk);
        let on_disk = Cache::on_disk(dir.path().join("cache"), disk.clone(), 30).unwrap();
        for cache in [&on_disk, &Cache::in_memory(30)] {
            for chunk in [1, 2, 3] {
                put(cache, chunk);
            }
            check(cache, &[2, 3, 1], &[]);
            put(cache, 4);
            check(cache, &[3, 1, 4], &[2]);
            put(cache, 3);
            cache.forget(&key(1));
            check(cache, &[3, 4], &[1, 2]);
            cache.put(key(9), &Bytes::from(vec![9; 31]));
            check(cache, &[3, 4], &[9]);
        }
        let files = || disk.list(&dir.path().join("cache")).unwrap().len();
        assert_eq!(files(), 2);
        assert_eq!(on_disk.clear(), 20);
        check(&on_disk, &[], &[3, 4]);
        put(&on_disk, 5);
        drop(on_disk);
        assert_eq!(files(), 1);
        Cache::on_disk(dir.path().join("cache"), disk.clone(), 30).unwrap();
        assert_eq!(files(), 0);
    }

    #[test]
    fn a_file_that_is_gone_is_a_chunk_that_is_not_here() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::on_disk(dir.path().into(), Arc::new(RealDisk), 30).unwrap();
        put(&cache, 1);
        for entry in RealDisk.list(dir.path()).unwrap() {
            RealDisk.remove(&entry.path).unwrap();
        }
        assert_eq!(cache.get(&key(1)), None);
    }
}
