//! The cold tier: moves files to object storage, and reads them there.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;

use super::cache::Cache;
use super::doubt::Doubt;
use super::objects::{ObjectError, Objects};
use super::tail::{self, Sums, Tail, tail_path};
use crate::disk::{Disk, DiskRead};
use crate::error::{COLD_SEGMENT, StoreError};

/// Bytes asked of the storage at once: enough to pay for the round trip, little enough to hold.
const REQUEST_BYTES_MAX: u64 = 8 << 20;
/// Memory of the cache of a process that only reads the data folder.
const READER_CACHE_BYTES_MAX: u64 = 64 << 20;

/// Object storage and the local cache of it.
#[derive(Debug, Clone)]
pub struct Cold {
    /// The storage.
    pub objects: Arc<dyn Objects>,
    /// Local disk for chunks that were read, in bytes.
    pub cache_bytes_max: u64,
}

/// The cold tier of one store.
#[derive(Debug)]
pub(crate) struct Tiers {
    objects: Arc<dyn Objects>,
    disk: Arc<dyn Disk>,
    cache: Cache,
    pub(crate) doubt: Doubt,
    /// Starts every key, so that stores that share a bucket never meet. `None` for a reader.
    store_id: Option<String>,
    /// Bytes of segments that came from the storage.
    fetched_bytes: AtomicU64,
}

/// A segment's file, as it is to be moved.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Body<'a> {
    /// Its path below the data folder: the object's name.
    pub(crate) segment: &'a str,
    pub(crate) path: &'a Path,
    pub(crate) bytes: u64,
    /// crc32 of the file; 0 when nobody knows.
    pub(crate) checksum: u32,
    /// Where filters and footer begin; 0 when nobody knows.
    pub(crate) tail_offset: u64,
}

impl Tiers {
    /// The cold tier of the data folder `dir`, for the process that writes to it.
    pub(crate) fn open(dir: &Path, disk: Arc<dyn Disk>, cold: &Cold) -> Result<Self, StoreError> {
        let folder = dir.join("cold");
        let (id, cache) = (folder.join("id"), folder.join("cache"));
        disk.make_dirs(&folder).map_err(StoreError::io("make", &folder))?;
        let store_id = store_id(&*disk, &id).map_err(StoreError::io("read or write", &id))?;
        let cache = Cache::on_disk(cache.clone(), disk.clone(), cold.cache_bytes_max)
            .map_err(StoreError::io("make", &cache))?;
        let doubt = Doubt::new(folder.join("doubt"), disk.clone());
        let (objects, fetched_bytes) = (cold.objects.clone(), AtomicU64::new(0));
        Ok(Self { objects, disk, cache, doubt, store_id: Some(store_id), fetched_bytes })
    }

    /// The cold tier for a process that only reads, beside one that writes.
    pub(crate) fn open_read_only(dir: &Path, disk: Arc<dyn Disk>, cold: &Cold) -> Self {
        Self {
            objects: cold.objects.clone(),
            cache: Cache::in_memory(cold.cache_bytes_max.min(READER_CACHE_BYTES_MAX)),
            doubt: Doubt::new(dir.join("cold/doubt"), disk.clone()),
            disk,
            store_id: None,
            fetched_bytes: AtomicU64::new(0),
        }
    }

    /// Copies a segment to the storage, proves that it is there, and writes its tail. Returns the
    /// object's key. What a failure leaves is written down as doubtful.
    pub(crate) fn upload(&self, body: Body<'_>) -> Result<String, StoreError> {
        let store_id = self.store_id.as_ref().ok_or(StoreError::ReadOnly)?;
        let key = format!("{store_id}/{}", body.segment);
        let failed = |message: String| StoreError::Cold(self.not_moved(body.segment, &message));
        let local = |error: io::Error| failed(format!("the local file: {error}"));
        let file = self.disk.open(body.path).map_err(local)?;
        let tail_offset = match body.tail_offset {
            0 => tail::body_bytes(&file).map_err(local)?,
            offset => offset.min(file.len()),
        };
        let sums = Sums::of(&*file, tail_offset).map_err(local)?;
        let changed = body.checksum != 0 && sums.whole != body.checksum;
        if changed || sums.file_bytes != body.bytes {
            return Err(failed(
                "the local file is not as it was written; `pugmark doctor` says more".to_string(),
            ));
        }
        self.doubt.add(&key).map_err(|e| failed(format!("cannot note the upload: {e}")))?;
        self.objects.put(&key, &file).map_err(|e| failed(e.to_string()))?;
        self.verify(&key, &sums).map_err(|e| failed(e.to_string()))?;
        let to = tail_path(body.path);
        tail::write(&*self.disk, &to, &*file, &sums).map_err(StoreError::io("write", &to))?;
        Ok(key)
    }

    /// Reads an object back, all of it: sizes and tags that a storage reports say nothing of what
    /// it will answer.
    fn verify(&self, key: &str, sums: &Sums) -> Result<(), ObjectError> {
        let wrong = |what: &str| Err(ObjectError::Wrong(format!("what was read back {what}")));
        if self.objects.size(key)? != sums.file_bytes {
            return wrong("has another size");
        }
        let remote = Remote::new(self.objects.clone(), key, sums.file_bytes);
        match Sums::of(&remote, sums.body_bytes) {
            Ok(back) if back == *sums => Ok(()),
            Ok(_) => wrong("is not what was sent"),
            Err(error) => Err(ObjectError::Failed(error.to_string())),
        }
    }

    fn not_moved(&self, segment: &str, message: &str) -> String {
        let place = self.objects.place();
        format!("the segment {segment} could not be moved to {place}, and stays hot: {message}")
    }

    /// Opens a cold segment. The storage is asked only when something beyond the tail is read.
    pub(crate) fn open_segment(
        self: &Arc<Self>,
        body: Body<'_>,
        key: &str,
    ) -> Result<Arc<dyn DiskRead>, StoreError> {
        let path = tail_path(body.path);
        let tail = match Tail::open(&*self.disk, &path) {
            Ok(tail) => tail,
            Err(error) => {
                let lost =
                    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidData);
                if !lost || self.store_id.is_none() {
                    return Err(StoreError::io("open", &path)(error));
                }
                tracing::warn!(segment = body.segment, %error, "making a tail anew");
                self.restore_tail(body, key)?;
                Tail::open(&*self.disk, &path).map_err(StoreError::io("open", &path))?
            }
        };
        let other = body.checksum != 0 && tail.whole != body.checksum;
        if other || tail.file_bytes != body.bytes {
            let message = "its tail is that of another file".to_string();
            return Err(StoreError::Cold(self.not_read(body.segment, &message)));
        }
        let (segment, key) = (body.segment.to_string(), key.into());
        Ok(Arc::new(ColdFile { tiers: self.clone(), tail, segment, key }))
    }

    /// Makes a tail that was lost from the whole object.
    fn restore_tail(&self, body: Body<'_>, key: &str) -> Result<(), StoreError> {
        let failed = |message: String| StoreError::Cold(self.not_read(body.segment, &message));
        let remote: Arc<dyn DiskRead> =
            Arc::new(Remote::new(self.objects.clone(), key, body.bytes));
        let tail_offset = match body.tail_offset {
            0 => tail::body_bytes(&remote).map_err(|e| failed(e.to_string()))?,
            offset => offset.min(body.bytes),
        };
        let sums = Sums::of(&*remote, tail_offset).map_err(|e| failed(e.to_string()))?;
        if body.checksum != 0 && sums.whole != body.checksum {
            return Err(failed("what is there is not what was stored".to_string()));
        }
        let path = tail_path(body.path);
        tail::write(&*self.disk, &path, &*remote, &sums).map_err(StoreError::io("write", &path))
    }

    /// What is wrong with a cold segment: with its tail, or with its object, which is read whole
    /// when `whole` is asked for.
    pub(crate) fn problem(&self, body: Body<'_>, key: &str, whole: bool) -> Option<String> {
        let tail = Tail::open(&*self.disk, &tail_path(body.path));
        let tail = match tail.and_then(|tail| tail.check().map(|()| tail)) {
            Ok(tail) => tail,
            Err(error) => return Some(format!("its tail cannot be read: {error}")),
        };
        let place = self.objects.place();
        match self.objects.size(key) {
            Ok(bytes) if bytes == body.bytes => {}
            Ok(bytes) => {
                let expected = body.bytes;
                return Some(format!("{key} on {place} has {bytes} bytes and not {expected}"));
            }
            Err(error) => return Some(format!("{key} on {place}: {error}")),
        }
        if !whole {
            return None;
        }
        let remote = Remote::new(self.objects.clone(), key, body.bytes);
        match Sums::of(&remote, tail.body_bytes) {
            Ok(sums) if sums.whole == tail.whole => None,
            Ok(_) => Some(format!("{key} on {place} is not what was stored there")),
            Err(error) => Some(format!("{key} on {place}: {error}")),
        }
    }

    fn not_read(&self, segment: &str, message: &str) -> String {
        let place = self.objects.place();
        format!("{COLD_SEGMENT}{segment} could not be read from {place}: {message}")
    }

    /// Removes the objects in doubt that `needed` does not want. Returns how many are left because
    /// the storage refused.
    pub(crate) fn sweep(&self, needed: &dyn Fn(&str) -> Needed) -> io::Result<usize> {
        let mut left = 0;
        for key in self.doubt.list()? {
            let done = match needed(&key) {
                Needed::Yes => Ok(()),
                Needed::Still => continue,
                Needed::No => self.objects.remove(&key),
            };
            match done {
                Ok(()) => self.doubt.forget(&key)?,
                Err(error) => {
                    tracing::warn!(object = key, %error, "cannot remove an object; trying later");
                    left += 1;
                }
            }
        }
        Ok(left)
    }

    /// Where the storage is, for people.
    pub(crate) fn place(&self) -> &str {
        self.objects.place()
    }

    /// Gives the disk of the cache back; returns the bytes.
    pub(crate) fn clear_cache(&self) -> u64 {
        self.cache.clear()
    }

    /// What the cold tier holds and did.
    pub(crate) fn usage(&self) -> ColdUsage {
        ColdUsage {
            cache_bytes: self.cache.bytes(),
            fetched_bytes: self.fetched_bytes.load(Ordering::Relaxed),
        }
    }
}

/// Whether an object is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Needed {
    /// The manifest names it.
    Yes,
    /// Somebody still reads it.
    Still,
    /// Nobody will ask for it again.
    No,
}

/// What the cold tier holds on the local disk, and what it read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ColdUsage {
    /// Bytes in the local cache.
    pub cache_bytes: u64,
    /// Bytes of segments read from the storage since the start.
    pub fetched_bytes: u64,
}

/// A cold segment open for reading.
struct ColdFile {
    tiers: Arc<Tiers>,
    tail: Tail,
    segment: String,
    key: Arc<str>,
}

impl DiskRead for ColdFile {
    fn len(&self) -> u64 {
        self.tail.file_bytes
    }

    fn read_at(&self, offset: u64, len: usize) -> io::Result<Bytes> {
        let end = offset.checked_add(len as u64).filter(|end| *end <= self.len());
        let end = end.ok_or(io::ErrorKind::UnexpectedEof)?;
        let body_end = end.min(self.tail.body_bytes);
        if offset >= body_end {
            return self.tail.read_at(offset, len);
        }
        let body = self.read_body(offset, body_end)?;
        if end == body_end {
            return Ok(body);
        }
        let mut joined = BytesMut::from(&body[..]);
        joined.extend(self.tail.read_at(body_end, (end - body_end) as usize)?);
        Ok(joined.freeze())
    }
}

impl ColdFile {
    /// Bytes of the body: whole chunks from the cache or the storage, then cut.
    fn read_body(&self, from: u64, to: u64) -> io::Result<Bytes> {
        let bytes = self.tail.chunk_bytes;
        let (first, last) = (from / bytes, (to - 1) / bytes);
        let mut chunks: Vec<Bytes> = Vec::with_capacity((last - first + 1) as usize);
        let mut missing = first..first;
        for chunk in first..=last {
            if let Some(here) = self.cached(chunk)? {
                self.fetch(std::mem::replace(&mut missing, chunk + 1..chunk + 1), &mut chunks)?;
                chunks.push(here);
                continue;
            }
            missing.end = chunk + 1;
            if (missing.end - missing.start) * bytes >= REQUEST_BYTES_MAX {
                self.fetch(std::mem::replace(&mut missing, chunk + 1..chunk + 1), &mut chunks)?;
            }
        }
        self.fetch(missing, &mut chunks)?;
        let skip = (from - first * bytes) as usize;
        let len = (to - from) as usize;
        if let [one] = &chunks[..] {
            return Ok(one.slice(skip..skip + len));
        }
        let mut joined = BytesMut::with_capacity(len);
        let mut skip = skip;
        for chunk in chunks {
            let rest = len - joined.len();
            joined.extend_from_slice(&chunk[skip..chunk.len().min(skip + rest)]);
            skip = 0;
        }
        Ok(joined.freeze())
    }

    fn cached(&self, chunk: u64) -> io::Result<Option<Bytes>> {
        let key = (self.key.clone(), chunk);
        let Some(bytes) = self.tiers.cache.get(&key) else { return Ok(None) };
        if crc32fast::hash(&bytes) == self.tail.sum(chunk)? {
            return Ok(Some(bytes));
        }
        // The storage has it as it was.
        self.tiers.cache.forget(&key);
        Ok(None)
    }

    /// Fetches chunks, checks each, and keeps them in the cache.
    fn fetch(&self, wanted: std::ops::Range<u64>, chunks: &mut Vec<Bytes>) -> io::Result<()> {
        if wanted.is_empty() {
            return Ok(());
        }
        let bytes = self.tail.chunk_bytes;
        let from = wanted.start * bytes;
        let to = (wanted.end * bytes).min(self.tail.body_bytes);
        let fetched =
            self.tiers.objects.get(&self.key, from..to).map_err(|e| self.failed(&e.to_string()))?;
        self.tiers.fetched_bytes.fetch_add(fetched.len() as u64, Ordering::Relaxed);
        for chunk in wanted {
            let start = (chunk * bytes - from) as usize;
            let end = ((chunk + 1) * bytes).min(to) - from;
            let one = fetched.get(start..end as usize).map(|_| fetched.slice(start..end as usize));
            let one = one.filter(|one| {
                self.tail.sum(chunk).is_ok_and(|expected| crc32fast::hash(one) == expected)
            });
            let Some(one) = one else {
                return Err(self.failed(&format!(
                    "the bytes from {} to {} are not those that were stored; the object {} was \
                     changed or damaged",
                    chunk * bytes,
                    ((chunk + 1) * bytes).min(to),
                    self.key
                )));
            };
            self.tiers.cache.put((self.key.clone(), chunk), &one);
            chunks.push(one);
        }
        Ok(())
    }

    fn failed(&self, message: &str) -> io::Error {
        io::Error::other(self.tiers.not_read(&self.segment, message))
    }
}

/// An object as a file, read from start to end; nothing is checked or cached.
struct Remote {
    objects: Arc<dyn Objects>,
    key: String,
    len: u64,
    /// Bytes that came with an earlier request, and where they begin.
    ready: Mutex<(u64, Bytes)>,
}

impl Remote {
    fn new(objects: Arc<dyn Objects>, key: &str, len: u64) -> Self {
        Self { objects, key: key.to_string(), len, ready: Mutex::default() }
    }
}

impl DiskRead for Remote {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&self, offset: u64, len: usize) -> io::Result<Bytes> {
        let end = offset.checked_add(len as u64).filter(|end| *end <= self.len);
        let end = end.ok_or(io::ErrorKind::UnexpectedEof)?;
        let mut ready = self.ready.lock();
        if offset < ready.0 || end > ready.0 + ready.1.len() as u64 {
            let to = end.max(offset.saturating_add(REQUEST_BYTES_MAX).min(self.len));
            *ready = (offset, self.objects.get(&self.key, offset..to).map_err(io::Error::other)?);
        }
        let start = (offset - ready.0) as usize;
        let short = || io::Error::from(io::ErrorKind::UnexpectedEof);
        ready.1.get(start..start + len).ok_or_else(short)?;
        Ok(ready.1.slice(start..start + len))
    }
}

/// The name under which this store keeps its objects; made once.
fn store_id(disk: &dyn Disk, path: &Path) -> io::Result<String> {
    match disk.read(path) {
        Ok(text) if is_id(&text) => return Ok(String::from_utf8_lossy(&text).into_owned()),
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        // One that a crash cut short was never used: it is synced before the first upload.
        _ => {}
    }
    // Chance from the system, without a crate for it.
    let chance = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), path);
    let id = format!("{chance:016x}");
    let unfinished: PathBuf = path.with_extension("tmp");
    let mut out = disk.create(&unfinished)?;
    out.write_all(id.as_bytes())?;
    out.sync()?;
    drop(out);
    disk.rename(&unfinished, path)?;
    disk.sync_dir(path.parent().unwrap_or(Path::new(".")))?;
    Ok(id)
}

fn is_id(text: &[u8]) -> bool {
    text.len() == 16 && text.iter().all(u8::is_ascii_hexdigit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::RealDisk;
    use crate::tier::{ObjectStorage, StorageSettings};

    #[test]
    fn problems_of_a_cold_segment_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let url = format!("file://{}", dir.path().join("objects").display());
        let settings = StorageSettings { url, ..StorageSettings::default() };
        let objects = Arc::new(ObjectStorage::new(&settings).unwrap());
        let cold = Cold { objects, cache_bytes_max: 1 << 20 };
        let tiers = Tiers::open(dir.path(), Arc::new(RealDisk), &cold).unwrap();
        let path = dir.path().join("a.parquet");
        std::fs::write(&path, b"a body and a tail").unwrap();
        let body =
            Body { segment: "a.parquet", path: &path, bytes: 17, checksum: 0, tail_offset: 6 };
        let key = tiers.upload(body).unwrap();
        #[track_caller]
        fn check(found: Option<String>, expected: Option<&str>) {
            let same = expected.is_none() == found.is_none();
            let said = found.as_deref().unwrap_or_default().contains(expected.unwrap_or_default());
            assert!(same && said, "{found:?}");
        }
        check(tiers.problem(body, &key, true), None);
        let object = dir.path().join("objects").join(&key);
        std::fs::write(&object, b"A body and a tail").unwrap();
        check(tiers.problem(body, &key, false), None);
        check(tiers.problem(body, &key, true), Some("is not what was stored there"));
        std::fs::write(&object, b"a body").unwrap();
        check(tiers.problem(body, &key, false), Some("has 6 bytes and not 17"));
        std::fs::remove_file(&object).unwrap();
        check(tiers.problem(body, &key, false), Some("there is no such object"));
        std::fs::remove_file(tail_path(&path)).unwrap();
        check(tiers.problem(body, &key, false), Some("its tail cannot be read"));
    }
}
