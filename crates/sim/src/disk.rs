//! A disk in memory that behaves as badly as real ones may.
//!
//! It keeps what programs see apart from what is safe. A file's pages are safe after a sync of the
//! file, a name after a sync of its folder. When power goes, each page and each name that was not
//! synced is kept or lost on its own: writes come out torn and in any order, a rename may be there
//! without the bytes, a removal without the rename before it. A sync that fails leaves pages that
//! look clean and are never written (Linux does that), and may throw them out of memory.
//!
//! What goes wrong follows from the seed, the file's name, the kind of call and how often it was
//! made on that file since the start: not from the order in which threads happen to run.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::{Condvar, Mutex};
use pugmark_store::{Disk, DiskEntry, DiskRead, DiskWrite, Gate};

use crate::random::Random;

/// What the disk writes in one go: a page is kept whole or not at all.
const PAGE_BYTES: usize = 512;

/// How often calls fail, in a thousand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Weather {
    /// Writes that fail, some after a part.
    pub write: u64,
    /// Writes that take less than they were given, without an error.
    pub short_write: u64,
    /// Syncs of a file that fail.
    pub sync: u64,
    /// Changes of names that fail: create, rename, remove, make a folder, sync a folder.
    pub name: u64,
    /// Reads that fail.
    pub read: u64,
    /// Changes of the manifest that do not begin, are undone, or whose answer is lost.
    pub manifest: u64,
    /// Calls of object storage that fail or answer wrong bytes.
    pub objects: u64,
}

impl Weather {
    /// Nothing fails.
    pub const CALM: Self =
        Self { write: 0, short_write: 0, sync: 0, name: 0, read: 0, manifest: 0, objects: 0 };
    /// Everything fails now and then.
    pub const ROUGH: Self = Self {
        write: 60,
        short_write: 200,
        sync: 60,
        name: 30,
        read: 20,
        manifest: 60,
        objects: 200,
    };
    /// The manifest is hard to reach, and its answers get lost.
    pub const LOST: Self = Self { manifest: 400, ..Self::CALM };
    /// Much fails.
    pub const STORM: Self = Self {
        write: 300,
        short_write: 300,
        sync: 300,
        name: 200,
        read: 100,
        manifest: 300,
        objects: 500,
    };
}

/// What outlives a power cut: the disk itself.
#[derive(Debug)]
pub struct FakeDisk {
    platter: Mutex<Platter>,
    released: Condvar,
}

impl FakeDisk {
    /// An empty disk that has the folder `root` and room for `bytes_max`.
    pub fn new(seed: u64, root: &Path, bytes_max: u64) -> Arc<Self> {
        let mut names = BTreeMap::new();
        names.insert(root.to_path_buf(), Name::Folder);
        let platter = Platter {
            seed,
            root: root.to_path_buf(),
            durable: names.clone(),
            names,
            pending: Vec::new(),
            files: BTreeMap::new(),
            next_file: 0,
            boot: 0,
            calls: BTreeMap::new(),
            weather: Weather::CALM,
            cut_in: None,
            is_out: true,
            bytes_max,
            hold: Hold::Off,
        };
        Arc::new(Self { platter: Mutex::new(platter), released: Condvar::new() })
    }

    /// The disk as a process sees it that starts now. What an earlier process still does fails.
    pub fn start(self: &Arc<Self>) -> Arc<Session> {
        let mut platter = self.platter.lock();
        platter.boot += 1;
        platter.is_out = false;
        platter.cut_in = None;
        platter.hold = Hold::Off;
        platter.calls.clear();
        Arc::new(Session { disk: self.clone(), boot: platter.boot })
    }

    /// From now on calls fail as often as this says.
    pub fn set_weather(&self, weather: Weather) {
        self.platter.lock().weather = weather;
    }

    /// How often calls fail now.
    pub fn weather(&self) -> Weather {
        self.platter.lock().weather
    }

    /// Room for so many bytes beyond what is there.
    pub fn set_free(&self, bytes: u64) {
        let mut platter = self.platter.lock();
        platter.bytes_max = platter.used() + bytes;
    }

    /// Bytes that are free.
    pub fn free(&self) -> u64 {
        let platter = self.platter.lock();
        platter.bytes_max.saturating_sub(platter.used())
    }

    /// The process ends: what it wrote is in the hands of the system, synced or not.
    pub fn kill(&self) {
        let mut platter = self.platter.lock();
        platter.is_out = true;
        platter.hold = Hold::Off;
        drop(platter);
        self.released.notify_all();
    }

    /// Power goes, now.
    pub fn cut_power(&self) {
        let mut platter = self.platter.lock();
        platter.lose_power();
        drop(platter);
        self.released.notify_all();
    }

    /// Power goes in the middle of the `calls`th change from now.
    pub fn cut_power_in(&self, calls: u64) {
        self.platter.lock().cut_in = Some(calls);
    }

    /// Power does not go, whatever was said before.
    pub fn keep_power(&self) {
        self.platter.lock().cut_in = None;
    }

    /// True when power is out or the process was killed.
    pub fn is_out(&self) -> bool {
        self.platter.lock().is_out
    }

    /// The next write waits until [`FakeDisk::release`].
    pub fn hold(&self) {
        self.platter.lock().hold = Hold::Next;
    }

    /// True when a write waits.
    pub fn is_holding(&self) -> bool {
        self.platter.lock().hold == Hold::Waiting
    }

    /// Lets the waiting write go on.
    pub fn release(&self) {
        self.platter.lock().hold = Hold::Off;
        self.released.notify_all();
    }

    /// Every file as programs see it, with its size.
    pub fn files(&self) -> Vec<(PathBuf, u64)> {
        let platter = self.platter.lock();
        let sizes = platter.names.iter().filter_map(|(path, name)| match name {
            Name::Folder => None,
            Name::File(file) => Some((path.clone(), platter.files[file].live.len() as u64)),
        });
        sizes.collect()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hold {
    Off,
    Next,
    Waiting,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Name {
    Folder,
    File(u64),
}

/// Names that change together.
#[derive(Debug, Clone)]
struct Change(Vec<(PathBuf, Option<Name>)>);

#[derive(Debug, Default)]
struct File {
    /// As programs see it.
    live: Vec<u8>,
    /// As it is when power goes, but for pages that the system wrote on its own.
    synced: Vec<u8>,
    /// Pages that the next sync writes.
    dirty: BTreeSet<usize>,
}

impl File {
    fn write(&mut self, at: usize, bytes: &[u8]) {
        let end = at + bytes.len();
        if self.live.len() < end {
            self.live.resize(end, 0);
        }
        self.live[at..end].copy_from_slice(bytes);
        self.dirty.extend(pages(at, end));
    }

    fn cut(&mut self, len: usize) {
        self.live.resize(len, 0);
        self.dirty.retain(|page| page * PAGE_BYTES < len);
        if !len.is_multiple_of(PAGE_BYTES) {
            // The page that is cut through is written anew.
            self.dirty.insert(len / PAGE_BYTES);
        }
    }

    fn sync(&mut self) {
        self.synced.resize(self.live.len(), 0);
        for page in std::mem::take(&mut self.dirty) {
            copy_page(&self.live, &mut self.synced, page);
        }
    }

    /// A sync that fails, that power cuts short, or that is done.
    fn try_sync(&mut self, fails: bool, cut: bool, random: &mut Random) {
        if fails {
            self.fail_sync(random);
        } else if !cut {
            self.sync();
        }
    }

    /// Some pages reach the disk, the others are given up; some of those are forgotten at once.
    fn fail_sync(&mut self, random: &mut Random) {
        if random.chance(500) {
            self.synced.resize(self.live.len(), 0);
        }
        for page in std::mem::take(&mut self.dirty) {
            if random.chance(400) {
                copy_page(&self.live, &mut self.synced, page);
            } else if random.chance(300) {
                let end = self.live.len().min((page + 1) * PAGE_BYTES);
                let start = page * PAGE_BYTES;
                self.live[start.min(end)..end].fill(0);
                let kept = end.min(self.synced.len());
                if start < kept {
                    self.live[start..kept].copy_from_slice(&self.synced[start..kept]);
                }
            }
        }
    }

    /// What is there after a power cut.
    fn lose_power(&mut self, random: &mut Random) {
        let (short, long) =
            (self.live.len().min(self.synced.len()), self.live.len().max(self.synced.len()));
        let len = match random.below(3) {
            0 => self.synced.len(),
            1 => self.live.len(),
            _ => short + random.index(long - short + 1),
        };
        self.synced.resize(len, 0);
        for page in std::mem::take(&mut self.dirty) {
            if random.chance(500) {
                copy_page(&self.live, &mut self.synced, page);
            }
        }
        self.live = self.synced.clone();
    }
}

fn pages(start: usize, end: usize) -> std::ops::Range<usize> {
    start / PAGE_BYTES..end.div_ceil(PAGE_BYTES)
}

/// Copies what both have of a page.
fn copy_page(from: &[u8], to: &mut [u8], page: usize) {
    let start = page * PAGE_BYTES;
    let end = (start + PAGE_BYTES).min(from.len()).min(to.len());
    if start < end {
        to[start..end].copy_from_slice(&from[start..end]);
    }
}

#[derive(Debug)]
struct Platter {
    seed: u64,
    root: PathBuf,
    /// Names as programs see them.
    names: BTreeMap<PathBuf, Name>,
    /// Names as they are when power goes, but for those that the system wrote on its own.
    durable: BTreeMap<PathBuf, Name>,
    /// Changes of names that are not safe, oldest first.
    pending: Vec<Change>,
    files: BTreeMap<u64, File>,
    next_file: u64,
    boot: u64,
    /// Calls since the start by kind and path.
    calls: BTreeMap<(&'static str, PathBuf), u64>,
    weather: Weather,
    /// Changes until power goes.
    cut_in: Option<u64>,
    is_out: bool,
    bytes_max: u64,
    hold: Hold,
}

impl Platter {
    fn used(&self) -> u64 {
        let file_bytes = |name: &Name| match name {
            Name::Folder => 0,
            Name::File(file) => self.files[file].live.len() as u64,
        };
        self.names.values().map(file_bytes).sum()
    }

    /// Chance for one call.
    fn roll(&mut self, what: &'static str, path: &Path) -> Random {
        let calls = self.calls.entry((what, path.to_path_buf())).or_default();
        *calls += 1;
        // The folder of a run has another name each time.
        let path = path.strip_prefix(&self.root).unwrap_or(path).to_string_lossy();
        let (boot, calls) = (self.boot.to_le_bytes(), calls.to_le_bytes());
        Random::of(self.seed, &[&boot, what.as_bytes(), path.as_bytes(), &calls])
    }

    /// Counts a change. True when power goes in the middle of it.
    fn power_goes(&mut self) -> bool {
        match &mut self.cut_in {
            None => false,
            Some(0 | 1) => true,
            Some(calls) => {
                *calls -= 1;
                false
            }
        }
    }

    fn lose_power(&mut self) {
        if self.is_out {
            return;
        }
        self.is_out = true;
        self.cut_in = None;
        self.hold = Hold::Off;
        let mut random = self.roll("power", Path::new(""));
        for change in std::mem::take(&mut self.pending) {
            if random.chance(500) {
                apply(&mut self.durable, &change);
            }
        }
        let durable = &self.durable;
        let has_folder = |path: &Path| {
            path == self.root
                || path
                    .ancestors()
                    .skip(1)
                    .take_while(|folder| folder.starts_with(&self.root))
                    .all(|folder| matches!(durable.get(folder), Some(Name::Folder)))
        };
        let names: BTreeMap<PathBuf, Name> = durable
            .iter()
            .filter(|(path, _)| has_folder(path))
            .map(|(path, name)| (path.clone(), *name))
            .collect();
        self.durable = names.clone();
        self.names = names;
        let kept: BTreeSet<u64> = self.names.values().filter_map(Name::file).collect();
        self.files.retain(|file, _| kept.contains(file));
        for file in self.files.values_mut() {
            file.lose_power(&mut random);
        }
    }

    fn change(&mut self, change: Change) {
        apply(&mut self.names, &change);
        self.pending.push(change);
    }

    /// Makes names in `dir` safe.
    fn sync_dir(&mut self, dir: &Path) {
        let (here, elsewhere): (Vec<_>, Vec<_>) = std::mem::take(&mut self.pending)
            .into_iter()
            .partition(|change| change.0.iter().any(|(path, _)| path.parent() == Some(dir)));
        self.pending = elsewhere;
        here.iter().for_each(|change| apply(&mut self.durable, change));
    }

    fn file(&self, path: &Path) -> io::Result<u64> {
        match self.names.get(path) {
            Some(Name::File(file)) => Ok(*file),
            Some(Name::Folder) => Err(ErrorKind::IsADirectory.into()),
            None => Err(ErrorKind::NotFound.into()),
        }
    }

    fn folder(&self, path: &Path) -> io::Result<()> {
        match self.names.get(path) {
            Some(Name::Folder) => Ok(()),
            Some(Name::File(_)) => Err(ErrorKind::NotADirectory.into()),
            None => Err(ErrorKind::NotFound.into()),
        }
    }
}

impl Name {
    fn file(&self) -> Option<u64> {
        match self {
            Name::Folder => None,
            Name::File(file) => Some(*file),
        }
    }
}

fn apply(names: &mut BTreeMap<PathBuf, Name>, change: &Change) {
    for (path, name) in &change.0 {
        match name {
            Some(name) => drop(names.insert(path.clone(), *name)),
            None => drop(names.remove(path)),
        }
    }
}

fn failed() -> io::Error {
    io::Error::other("the simulated disk failed")
}

fn power_is_out() -> io::Error {
    io::Error::other("the simulated power is out")
}

/// The disk from one start of a process to its end.
#[derive(Debug)]
pub struct Session {
    disk: Arc<FakeDisk>,
    boot: u64,
}

impl Session {
    /// The platter, while there is power.
    fn platter(&self) -> io::Result<parking_lot::MutexGuard<'_, Platter>> {
        let platter = self.disk.platter.lock();
        if platter.is_out || platter.boot != self.boot { Err(power_is_out()) } else { Ok(platter) }
    }

    /// Makes a change of names, fails, or loses power before or after it.
    fn rename_like(
        &self,
        what: &'static str,
        path: &Path,
        change: impl FnOnce(&mut Platter) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut platter = self.platter()?;
        let mut random = platter.roll(what, path);
        let (fails, cut) = (random.chance(platter.weather.name), platter.power_goes());
        if fails && !cut {
            return Err(failed());
        }
        if !cut || random.chance(500) {
            change(&mut platter)?;
        }
        if cut {
            platter.lose_power();
            return Err(power_is_out());
        }
        Ok(())
    }
}

/// The manifest is no part of the disk; what goes wrong with it stands at its gate.
impl Gate for Session {
    fn begin(&self) -> io::Result<()> {
        let mut platter = self.platter()?;
        let weather = platter.weather;
        let fails = platter.roll("begin", Path::new("manifest")).chance(weather.manifest);
        if fails { Err(failed()) } else { Ok(()) }
    }

    fn commit(&self) -> io::Result<()> {
        self.rename_like("commit", Path::new("manifest"), |platter| {
            let weather = platter.weather;
            let fails = platter.roll("undo", Path::new("manifest")).chance(weather.manifest);
            if fails { Err(failed()) } else { Ok(()) }
        })
    }

    fn committed(&self) -> io::Result<()> {
        self.rename_like("committed", Path::new("manifest"), |platter| {
            let weather = platter.weather;
            let fails = platter.roll("answer", Path::new("manifest")).chance(weather.manifest);
            if fails { Err(failed()) } else { Ok(()) }
        })
    }
}

impl Disk for Session {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskWrite>> {
        let mut created = 0;
        self.rename_like("create", path, |platter| {
            platter.folder(path.parent().unwrap_or(path))?;
            if let Ok(file) = platter.file(path) {
                let open = platter.files.entry(file).or_default();
                open.cut(0);
                created = file;
                return Ok(());
            }
            platter.next_file += 1;
            created = platter.next_file;
            platter.files.insert(created, File::default());
            platter.change(Change(vec![(path.to_path_buf(), Some(Name::File(created)))]));
            Ok(())
        })?;
        let session = Session { disk: self.disk.clone(), boot: self.boot };
        Ok(Box::new(Writing { session, path: path.to_path_buf(), file: created, at: 0 }))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskRead>> {
        let bytes = self.read(path)?;
        let session = Session { disk: self.disk.clone(), boot: self.boot };
        Ok(Arc::new(Reading { session, path: path.to_path_buf(), bytes }))
    }

    fn read(&self, path: &Path) -> io::Result<Bytes> {
        let mut platter = self.platter()?;
        let mut random = platter.roll("read", path);
        let file = platter.file(path)?;
        if random.chance(platter.weather.read) {
            return Err(failed());
        }
        Ok(Bytes::copy_from_slice(&platter.files[&file].live))
    }

    fn cut(&self, path: &Path, len: u64) -> io::Result<()> {
        let mut platter = self.platter()?;
        let mut random = platter.roll("cut", path);
        let file = platter.file(path)?;
        let (fails, cut) = (random.chance(platter.weather.sync), platter.power_goes());
        let open = platter.files.entry(file).or_default();
        if (fails || cut) && random.chance(500) {
            // Before anything was changed.
        } else {
            open.cut(len as usize);
            open.try_sync(fails, cut, &mut random);
        }
        if cut {
            platter.lose_power();
            return Err(power_is_out());
        }
        if fails { Err(failed()) } else { Ok(()) }
    }

    fn write_again(&self, path: &Path, offset: u64) -> io::Result<()> {
        let mut platter = self.platter()?;
        let mut random = platter.roll("write again", path);
        let file = platter.file(path)?;
        let (fails, cut) = (random.chance(platter.weather.sync), platter.power_goes());
        let open = platter.files.entry(file).or_default();
        open.dirty.extend(pages(offset as usize, open.live.len()));
        open.try_sync(fails, cut, &mut random);
        if cut {
            platter.lose_power();
            return Err(power_is_out());
        }
        if fails { Err(failed()) } else { Ok(()) }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.rename_like("rename", from, |platter| {
            let file = platter.file(from)?;
            platter.folder(to.parent().unwrap_or(to))?;
            let moved = vec![(from.into(), None), (to.into(), Some(Name::File(file)))];
            platter.change(Change(moved));
            Ok(())
        })
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.rename_like("remove", path, |platter| {
            platter.file(path)?;
            platter.change(Change(vec![(path.into(), None)]));
            Ok(())
        })
    }

    fn make_dirs(&self, path: &Path) -> io::Result<()> {
        if self.platter()?.folder(path).is_ok() {
            return Ok(());
        }
        self.rename_like("make", path, |platter| {
            let root = platter.root.clone();
            let folders: Vec<_> = path.ancestors().take_while(|f| f.starts_with(&root)).collect();
            for folder in folders.into_iter().rev() {
                match platter.folder(folder) {
                    Ok(()) => {}
                    Err(error) if error.kind() == ErrorKind::NotFound => {
                        platter.change(Change(vec![(folder.into(), Some(Name::Folder))]));
                    }
                    Err(error) => return Err(error),
                }
            }
            Ok(())
        })
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DiskEntry>> {
        let mut platter = self.platter()?;
        let mut random = platter.roll("list", dir);
        platter.folder(dir)?;
        if random.chance(platter.weather.read) {
            return Err(failed());
        }
        let names = platter.names.iter().filter(|(path, _)| path.parent() == Some(dir));
        let mut entries: Vec<DiskEntry> = names
            .map(|(path, name)| DiskEntry {
                path: path.clone(),
                bytes: name.file().map_or(0, |file| platter.files[&file].live.len() as u64),
                is_dir: *name == Name::Folder,
            })
            .collect();
        // In no order.
        for i in (1..entries.len()).rev() {
            entries.swap(i, random.index(i + 1));
        }
        Ok(entries)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.rename_like("sync_dir", dir, |platter| {
            platter.folder(dir)?;
            platter.sync_dir(dir);
            Ok(())
        })
    }

    fn free_bytes(&self, _dir: &Path) -> Option<u64> {
        // Asked by a timer too: nothing may depend on how often.
        let platter = self.disk.platter.lock();
        Some(platter.bytes_max.saturating_sub(platter.used()))
    }
}

struct Writing {
    session: Session,
    path: PathBuf,
    file: u64,
    at: usize,
}

impl Writing {
    /// Adds what there is room for, at least one byte or an error.
    fn put(&mut self, platter: &mut Platter, bytes: &[u8]) -> io::Result<usize> {
        let room = platter.bytes_max.saturating_sub(platter.used());
        let fits = bytes.len().min(usize::try_from(room).unwrap_or(usize::MAX));
        if fits == 0 && !bytes.is_empty() {
            return Err(ErrorKind::StorageFull.into());
        }
        platter.files.entry(self.file).or_default().write(self.at, &bytes[..fits]);
        self.at += fits;
        Ok(fits)
    }
}

impl Write for Writing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let disk = self.session.disk.clone();
        let mut platter = disk.platter.lock();
        if platter.hold == Hold::Next && platter.boot == self.session.boot {
            platter.hold = Hold::Waiting;
            disk.released.wait_while(&mut platter, |p| p.hold == Hold::Waiting);
        }
        if platter.is_out || platter.boot != self.session.boot {
            return Err(power_is_out());
        }
        let mut random = platter.roll("write", &self.path);
        let weather = platter.weather;
        let cut = platter.power_goes();
        let part = if bytes.is_empty() { 0 } else { random.index(bytes.len()) };
        let fails = random.chance(weather.write);
        if cut || fails {
            // A part is written; whether there was room for it makes no difference now.
            let _ = self.put(&mut platter, &bytes[..part]);
        }
        if cut {
            platter.lose_power();
            return Err(power_is_out());
        }
        if fails {
            return Err(failed());
        }
        let short = part > 0 && random.chance(weather.short_write);
        self.put(&mut platter, if short { &bytes[..part] } else { bytes })
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl DiskWrite for Writing {
    fn sync(&mut self) -> io::Result<()> {
        let mut platter = self.session.platter()?;
        let mut random = platter.roll("sync", &self.path);
        let (fails, cut) = (random.chance(platter.weather.sync), platter.power_goes());
        let after = cut && random.chance(300);
        let file = platter.files.entry(self.file).or_default();
        if after || !(cut || fails) {
            file.sync();
        } else if fails && !cut {
            file.fail_sync(&mut random);
        }
        if cut {
            platter.lose_power();
            return Err(power_is_out());
        }
        if fails { Err(failed()) } else { Ok(()) }
    }
}

struct Reading {
    session: Session,
    path: PathBuf,
    bytes: Bytes,
}

impl DiskRead for Reading {
    fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn read_at(&self, offset: u64, len: usize) -> io::Result<Bytes> {
        let mut platter = self.session.platter()?;
        let mut random = platter.roll("read_at", &self.path);
        if random.chance(platter.weather.read) {
            return Err(failed());
        }
        let start = usize::try_from(offset).map_err(io::Error::other)?;
        let end = start.checked_add(len).filter(|end| *end <= self.bytes.len());
        let end = end.ok_or(ErrorKind::UnexpectedEof)?;
        Ok(self.bytes.slice(start..end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk(seed: u64) -> (Arc<FakeDisk>, Arc<Session>) {
        let disk = FakeDisk::new(seed, Path::new("/data"), 1 << 20);
        let session = disk.start();
        (disk, session)
    }

    /// In how many of 200 worlds `holds` after a power cut.
    fn worlds(before: impl Fn(&Session), holds: impl Fn(&Session) -> bool) -> usize {
        (0..200)
            .filter(|seed| {
                let (disk, session) = disk(*seed);
                before(&session);
                disk.cut_power();
                assert!(session.list(Path::new("/data")).is_err(), "power is out");
                holds(&disk.start())
            })
            .count()
    }

    fn write(disk: &Session, path: &str, bytes: &[u8], synced: bool) {
        let mut file = disk.create(Path::new(path)).unwrap();
        file.write_all(bytes).unwrap();
        if synced {
            file.sync().unwrap();
            disk.sync_dir(Path::new(path).parent().unwrap()).unwrap();
        }
    }

    #[test]
    fn what_is_synced_outlives_a_power_cut() {
        let bytes = vec![7; 3000];
        let all = worlds(
            |disk| write(disk, "/data/x", &bytes, true),
            |disk| disk.read(Path::new("/data/x")).is_ok_and(|read| *read == bytes),
        );
        assert_eq!(all, 200);
    }

    #[test]
    fn what_is_not_synced_may_be_lost_in_part() {
        let bytes = vec![7; 3000];
        let unsynced = |disk: &Session| write(disk, "/data/x", &bytes, false);
        let name = worlds(unsynced, |disk| disk.read(Path::new("/data/x")).is_ok());
        assert!((1..200).contains(&name), "{name}");
        let torn = worlds(unsynced, |disk| {
            let read = disk.read(Path::new("/data/x")).unwrap_or_default();
            read.contains(&7) && *read != bytes
        });
        assert!(torn > 0);
    }

    #[test]
    fn a_rename_may_come_before_the_bytes() {
        let early = worlds(
            |disk| {
                write(disk, "/data/x.tmp", &[7; 3000], false);
                disk.rename(Path::new("/data/x.tmp"), Path::new("/data/x")).unwrap();
            },
            |disk| disk.read(Path::new("/data/x")).is_ok_and(|read| *read != vec![7; 3000]),
        );
        assert!(early > 0);
    }

    #[test]
    fn a_failed_sync_gives_pages_up_for_good() {
        let lost = worlds(
            |session| {
                write(session, "/data/x", b"", true);
                let mut file = session.create(Path::new("/data/x")).unwrap();
                file.write_all(&[7; 3000]).unwrap();
                session.disk.set_weather(Weather { sync: 1000, ..Weather::CALM });
                file.sync().unwrap_err();
                session.disk.set_weather(Weather::CALM);
                file.sync().unwrap();
            },
            |disk| disk.read(Path::new("/data/x")).unwrap() != vec![7; 3000],
        );
        assert!(lost > 150, "{lost}");
    }

    #[test]
    fn a_killed_process_loses_nothing_that_it_wrote() {
        let (disk, session) = disk(1);
        write(&session, "/data/x", b"abc", false);
        disk.kill();
        assert!(session.read(Path::new("/data/x")).is_err());
        assert_eq!(&*disk.start().read(Path::new("/data/x")).unwrap(), b"abc");
    }

    #[test]
    fn a_full_disk_takes_what_fits() {
        let (disk, session) = disk(1);
        disk.set_free(10);
        let mut file = session.create(Path::new("/data/x")).unwrap();
        let error = file.write_all(&[1; 20]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StorageFull);
        assert_eq!((session.free_bytes(Path::new("/data")), disk.files().len()), (Some(0), 1));
    }
}
