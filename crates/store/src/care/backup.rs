//! Backup and restore.
//!
//! A backup folder holds copies of segments under the names they have, and for each backup a copy
//! of the WAL and of the manifest. `backup.json` names every file with its checksum; it is written
//! last, in one step, so the folder always holds one whole backup. Segments never change, so the
//! next backup into the same folder copies only the new ones.
//!
//! A server may go on writing meanwhile. The WAL is copied before the manifest: whatever leaves the
//! WAL in between is in segments that the manifest knows, so nothing that was acknowledged before
//! the backup began can be missing, and the mark in the manifest keeps everything from being there
//! twice. A segment that a compaction or a retention rule removes while it should be copied makes
//! the backup look at the manifest again.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use pugmark_event::time;
use serde::{Deserialize, Serialize};

use super::read::SegmentFile;
use crate::disk::{Disk, RealDisk};
use crate::error::StoreError;
use crate::lock::FolderLock;
use crate::manifest::{Manifest, ManifestAt, Tier};
use crate::store::blocking;
use crate::wal;

/// The list of files of a backup.
const LIST: &str = "backup.json";
/// Version of that list.
const VERSION: u32 = 1;
/// Name of the manifest in a data folder.
const MANIFEST: &str = "pugmark.db";
/// How often the manifest is read again because segments have gone meanwhile.
const TRIES_MAX: usize = 20;
/// How much of a file is copied at once.
const PIECE_BYTES: usize = 1 << 20;

/// What a backup did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct BackupReport {
    /// Files of the backup.
    pub files: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Files copied now; the others were there from an earlier backup.
    pub copied: u64,
    /// Bytes copied now.
    pub copied_bytes: u64,
    /// Files of earlier backups that were removed.
    pub removed: u64,
    /// Segments that are on object storage: the backup has their names, not their bytes.
    pub remote: u64,
}

/// What a restore did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct RestoreReport {
    /// Files restored, each with the checksum that the backup says.
    pub files: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// When the backup was made.
    pub made: String,
}

/// `backup.json`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct List {
    version: u32,
    program: String,
    made: String,
    files: Vec<Entry>,
}

/// A file of the backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    /// Where it belongs in a data folder.
    path: String,
    /// Where it is in the backup folder.
    stored: String,
    bytes: u64,
    crc32: String,
}

/// Copies the data folder `data` into the folder `to`; a server may be running on it.
///
/// # Errors
/// When something cannot be read or written, `to` is no backup folder, or a segment is damaged.
/// What the folder held before is whole then.
pub async fn backup(data: &Path, at: &ManifestAt, to: &Path) -> Result<BackupReport, StoreError> {
    let manifest = Manifest::open_read_only(data, at).await?;
    let (data, to) = (data.to_path_buf(), to.to_path_buf());
    let (data, to, _lock, old) = blocking(move || {
        let lock = prepare(&data, &to)?;
        let old = read_list(&to)?.unwrap_or_default();
        Ok((data, to, lock, old))
    })
    .await?;
    let stamp = crate::now();
    let mut copy = Copy {
        disk: Arc::new(RealDisk),
        old: old.files.into_iter().map(|entry| (entry.path.clone(), entry)).collect(),
        data,
        to,
        files: Vec::new(),
        report: BackupReport::default(),
    };
    copy = copy.run(move |copy| copy.wal(&format!("wal-{stamp}"))).await?;
    for tries in 1.. {
        let folder = format!("manifest-{stamp}-{tries}");
        let path = copy.to.join(&folder);
        copy.disk.make_dirs(&path).map_err(StoreError::io("make the folder", &path))?;
        manifest.copy_to(&path.join(MANIFEST)).await?;
        let snapshot = Manifest::open_read_only(&path, &ManifestAt::Folder).await?;
        let segments = snapshot.segment_files().await;
        snapshot.close().await;
        let (segments, stored) = (segments?, format!("{folder}/{MANIFEST}"));
        let whole;
        (copy, whole) = copy.segments(segments, stored).await?;
        if whole {
            break;
        }
        if tries >= TRIES_MAX {
            let message = "segments go away faster than they can be copied; try again later";
            return Err(failed(&copy.to, message));
        }
    }
    manifest.close().await;
    copy = copy.run(move |copy| copy.finish(stamp)).await?;
    Ok(copy.report)
}

/// Copies the backup in `from` to the new data folder `to`. Every byte stands against its checksum
/// before the folder has its name.
///
/// # Errors
/// When the backup is damaged or incomplete, `to` is there already, or something cannot be written.
pub async fn restore(from: &Path, to: &Path) -> Result<RestoreReport, StoreError> {
    let (from, to) = (from.to_path_buf(), to.to_path_buf());
    blocking(move || restore_now(&RealDisk, &from, &to)).await
}

fn failed(place: &Path, message: impl Into<String>) -> StoreError {
    StoreError::Backup { path: place.to_path_buf(), message: message.into() }
}

/// Makes the folder and takes it.
fn prepare(data: &Path, to: &Path) -> Result<FolderLock, StoreError> {
    if to.join(MANIFEST).exists() {
        return Err(failed(to, "this is a data folder; give a folder of its own to backups"));
    }
    let foreign = std::fs::read_dir(to).is_ok_and(|mut entries| entries.next().is_some());
    if foreign && !to.join(LIST).exists() && !to.join("LOCK").exists() {
        return Err(failed(to, "the folder holds something else; give one that is empty or new"));
    }
    let lock = FolderLock::take(to)?;
    let whole = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    if whole(to).starts_with(whole(data)) {
        let message = "the folder is inside the data folder; give one on another disk";
        return Err(failed(to, message));
    }
    Ok(lock)
}

fn read_list(folder: &Path) -> Result<Option<List>, StoreError> {
    let path = folder.join(LIST);
    let text = match std::fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(StoreError::io("read", &path)(error)),
    };
    let list: List = serde_json::from_slice(&text)
        .map_err(|e| failed(&path, format!("the list of files cannot be read: {e}")))?;
    if list.version != VERSION {
        let message = format!("a newer Pugmark made this backup (version {})", list.version);
        return Err(failed(&path, message));
    }
    for entry in &list.files {
        for name in [&entry.path, &entry.stored] {
            let plain = Path::new(name).components().all(|c| matches!(c, Component::Normal(_)));
            if !plain || name.is_empty() {
                return Err(failed(&path, format!("{name:?} leads out of the folder")));
            }
        }
    }
    Ok(Some(list))
}

/// A backup under way.
struct Copy {
    disk: Arc<dyn Disk>,
    data: PathBuf,
    to: PathBuf,
    /// Files of the backup before, by their path in the data folder.
    old: BTreeMap<String, Entry>,
    files: Vec<Entry>,
    report: BackupReport,
}

impl Copy {
    /// Runs a step on a thread that may block.
    async fn run(
        mut self,
        step: impl FnOnce(&mut Copy) -> Result<(), StoreError> + Send + 'static,
    ) -> Result<Copy, StoreError> {
        blocking(move || {
            step(&mut self)?;
            Ok(self)
        })
        .await
    }

    fn wal(&mut self, folder: &str) -> Result<(), StoreError> {
        let dir = self.data.join("wal");
        let files = wal::list(&*self.disk, &dir).map_err(StoreError::io("list", &dir))?;
        for file in files {
            let name = file.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            // One that has gone since is in segments by now.
            self.copy(&format!("wal/{name}"), &format!("{folder}/{name}"))?;
        }
        Ok(())
    }

    /// Copies what is not there yet, then the manifest. False when a segment has gone meanwhile.
    async fn segments(
        self,
        segments: Vec<SegmentFile>,
        manifest: String,
    ) -> Result<(Copy, bool), StoreError> {
        blocking(move || {
            let mut copy = self;
            let before = copy.files.len();
            for segment in &segments {
                if !copy.segment(segment)? {
                    copy.files.truncate(before);
                    return Ok((copy, false));
                }
            }
            copy.note(MANIFEST, &manifest)?;
            Ok((copy, true))
        })
        .await
    }

    fn segment(&mut self, segment: &SegmentFile) -> Result<bool, StoreError> {
        if segment.tier == Tier::Cold {
            self.report.remote += 1;
            return Ok(true);
        }
        let path = &segment.path;
        let sum = (segment.checksum != 0).then(|| format!("{:08x}", segment.checksum));
        let known = self.old.get(path).filter(|entry| {
            entry.bytes == segment.bytes
                && sum.as_ref().is_none_or(|sum| *sum == entry.crc32)
                && self.disk.open(&self.to.join(path)).is_ok_and(|file| file.len() == entry.bytes)
        });
        if let Some(entry) = known {
            self.files.push(entry.clone());
            return Ok(true);
        }
        let Some(entry) = self.copy(path, path)? else { return Ok(false) };
        if entry.bytes != segment.bytes || sum.is_some_and(|sum| sum != entry.crc32) {
            let message = format!(
                "the segment {path} is not what the manifest says; `pugmark doctor` says more, and \
                 an older backup may have it"
            );
            return Err(failed(&self.data, message));
        }
        Ok(true)
    }

    /// Copies a file, made durable; `None` when it is not there any more.
    fn copy(&mut self, path: &str, stored: &str) -> Result<Option<Entry>, StoreError> {
        let (from, to) = (self.data.join(path), self.to.join(stored));
        let Some((bytes, crc32)) = copy_file(&*self.disk, &from, &to)? else { return Ok(None) };
        self.report.copied += 1;
        self.report.copied_bytes += bytes;
        let entry = Entry { path: path.into(), stored: stored.into(), bytes, crc32 };
        self.files.push(entry.clone());
        Ok(Some(entry))
    }

    /// Notes a file that is in the backup folder already.
    fn note(&mut self, path: &str, stored: &str) -> Result<(), StoreError> {
        let full = self.to.join(stored);
        let file = self.disk.open(&full).map_err(StoreError::io("open", &full))?;
        let sum = super::check::checksum(&*file).map_err(StoreError::io("read", &full))?;
        std::fs::File::open(&full)
            .and_then(|file| file.sync_all())
            .map_err(StoreError::io("sync", &full))?;
        let crc32 = format!("{sum:08x}");
        self.report.copied += 1;
        self.report.copied_bytes += file.len();
        let entry = Entry { path: path.into(), stored: stored.into(), bytes: file.len(), crc32 };
        self.files.push(entry);
        Ok(())
    }

    /// Puts the list in place: from here on the new backup counts. Then removes what only the old
    /// one needed.
    fn finish(&mut self, stamp: i64) -> Result<(), StoreError> {
        let list = List {
            version: VERSION,
            program: concat!("pugmark ", env!("CARGO_PKG_VERSION")).into(),
            made: time::format(stamp),
            files: std::mem::take(&mut self.files),
        };
        let folders: BTreeSet<PathBuf> = list
            .files
            .iter()
            .flat_map(|entry| Path::new(&entry.stored).ancestors().skip(1))
            .map(|folder| self.to.join(folder))
            .collect();
        for folder in &folders {
            self.disk.sync_dir(folder).map_err(StoreError::io("sync the folder", folder))?;
        }
        let text = serde_json::to_vec_pretty(&list)
            .map_err(|e| failed(&self.to, format!("the list cannot be written: {e}")))?;
        let (unfinished, path) = (self.to.join("backup.json.tmp"), self.to.join(LIST));
        let write = || -> io::Result<()> {
            let mut file = self.disk.create(&unfinished)?;
            file.write_all(&text)?;
            file.sync()?;
            drop(file);
            self.disk.rename(&unfinished, &path)?;
            self.disk.sync_dir(&self.to)
        };
        write().map_err(StoreError::io("write", &path))?;
        self.report.files = list.files.len() as u64;
        self.report.bytes = list.files.iter().map(|entry| entry.bytes).sum();
        self.remove_old(&list)
    }

    fn remove_old(&mut self, list: &List) -> Result<(), StoreError> {
        let wanted: BTreeSet<PathBuf> =
            list.files.iter().map(|entry| self.to.join(&entry.stored)).collect();
        for entry in self.list(&self.to)? {
            let name = entry.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let ours =
                name == "segments" || name.starts_with("wal-") || name.starts_with("manifest-");
            if entry.is_dir && ours {
                self.remove_below(&entry.path, &wanted)?;
            }
        }
        Ok(())
    }

    /// Removes files below `folder` that are not wanted, and folders that are empty then.
    fn remove_below(
        &mut self,
        folder: &Path,
        wanted: &BTreeSet<PathBuf>,
    ) -> Result<(), StoreError> {
        for entry in self.list(folder)? {
            if entry.is_dir {
                self.remove_below(&entry.path, wanted)?;
            } else if !wanted.contains(&entry.path) {
                let removed = self.disk.remove(&entry.path);
                removed.map_err(StoreError::io("remove", &entry.path))?;
                self.report.removed += 1;
            }
        }
        // Fails when something is left in it, as it should.
        let _ = std::fs::remove_dir(folder);
        Ok(())
    }

    fn list(&self, folder: &Path) -> Result<Vec<crate::disk::DiskEntry>, StoreError> {
        self.disk.list(folder).map_err(StoreError::io("list", folder))
    }
}

/// Copies a file and makes it durable; size and checksum of what was copied. `None` when it is not
/// there. What is appended to it meanwhile is left out.
fn copy_file(disk: &dyn Disk, from: &Path, to: &Path) -> Result<Option<(u64, String)>, StoreError> {
    let file = match disk.open(from) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(StoreError::io("open", from)(error)),
    };
    if let Some(folder) = to.parent() {
        disk.make_dirs(folder).map_err(StoreError::io("make the folder", folder))?;
    }
    let mut out = disk.create(to).map_err(StoreError::io("create", to))?;
    let mut sum = crc32fast::Hasher::new();
    let mut offset = 0;
    while offset < file.len() {
        let len = (file.len() - offset).min(PIECE_BYTES as u64);
        let piece = file.read_at(offset, len as usize).map_err(StoreError::io("read", from))?;
        sum.update(&piece);
        out.write_all(&piece).map_err(StoreError::io("write", to))?;
        offset += len;
    }
    out.sync().map_err(StoreError::io("sync", to))?;
    Ok(Some((file.len(), format!("{:08x}", sum.finalize()))))
}

fn restore_now(disk: &dyn Disk, from: &Path, to: &Path) -> Result<RestoreReport, StoreError> {
    let list = read_list(from)?
        .ok_or_else(|| failed(from, "there is no backup.json here; give the folder of a backup"))?;
    if std::fs::read_dir(to).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(failed(to, "the folder is not empty; restore into a new one"));
    }
    let mut name = to.file_name().unwrap_or_default().to_os_string();
    name.push(".restoring");
    let unfinished = to.with_file_name(name);
    if unfinished.exists() {
        let message = "a restore that did not finish left this folder; remove it and try again";
        return Err(failed(&unfinished, message));
    }
    let restored = copy_all(disk, from, &unfinished, &list).and_then(|report| {
        // An empty folder may be there; a rename puts ours in its place.
        disk.rename(&unfinished, to).map_err(StoreError::io("rename", &unfinished))?;
        if let Some(parent) = to.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            disk.sync_dir(parent).map_err(StoreError::io("sync the folder", parent))?;
        }
        Ok(report)
    });
    if restored.is_err() {
        // Nothing of it counts.
        let _ = std::fs::remove_dir_all(&unfinished);
    }
    restored
}

fn copy_all(
    disk: &dyn Disk,
    from: &Path,
    to: &Path,
    list: &List,
) -> Result<RestoreReport, StoreError> {
    let mut report = RestoreReport { made: list.made.clone(), ..RestoreReport::default() };
    for folder in ["wal", "segments"].map(|folder| to.join(folder)) {
        disk.make_dirs(&folder).map_err(StoreError::io("make the folder", &folder))?;
    }
    let mut folders: BTreeSet<PathBuf> = BTreeSet::new();
    for entry in &list.files {
        let (stored, path) = (from.join(&entry.stored), to.join(&entry.path));
        let missing = || failed(&stored, "the file is missing: this backup is not whole");
        let (bytes, crc32) = copy_file(disk, &stored, &path)?.ok_or_else(missing)?;
        if bytes != entry.bytes || crc32 != entry.crc32 {
            let message = format!(
                "the file has changed since the backup was made ({bytes} bytes with checksum \
                 {crc32}, not {} with {}); restore another backup",
                entry.bytes, entry.crc32
            );
            return Err(failed(&stored, message));
        }
        report.files += 1;
        report.bytes += bytes;
        folders.extend(path.parent().map(Path::to_path_buf));
    }
    folders.insert(to.to_path_buf());
    folders.insert(to.join("segments"));
    for folder in folders {
        disk.sync_dir(&folder).map_err(StoreError::io("sync the folder", &folder))?;
    }
    Ok(report)
}
