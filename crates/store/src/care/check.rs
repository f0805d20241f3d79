//! The check: does everything that was stored still stand, and does the account balance?
//!
//! The same function runs in the server every few minutes ([`Depth::Light`]), in `pugmark doctor`,
//! also beside a running server, and in the simulator after every crash. It changes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pugmark_event::{Batch, fields};
use serde::Serialize;

use crate::disk::{Disk, DiskRead};
use crate::error::StoreError;
use crate::ledger::Counts;
use crate::manifest::check::ALL_SOURCES;
use crate::manifest::{EVENTS, Tier};
use crate::quarantine;
use crate::retention::age::body;
use crate::scan::{Scan, Snapshot};
use crate::segment::{Segment, Tails};
use crate::store::{Store, blocking, handles};
use crate::tier::{Tiers, tail_path};
use crate::wal::{self, recover::Replay};

/// How much of a file is read at once.
const PIECE_BYTES: usize = 1 << 20;
/// Records of the quarantine that are read at once.
const QUARANTINE_PAGE: usize = 64;
/// How often the WAL is read again while a server moves on.
const WAL_TRIES_MAX: usize = 20;
/// Ids that a deep check keeps track of at most, at one bit each; beyond it, ids are not compared.
const IDS_MAX: i64 = 4 << 30;

/// How much a check looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Depth {
    /// The accounts, and whether every file is there: quick at any size.
    Light,
    /// Also every byte of every file against its checksum, footers, WAL, quarantine, database, and
    /// the size of every object.
    Full,
    /// Also every record: it decodes, and no id is there twice or missing. Objects are fetched.
    Deep,
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Worth knowing; nothing is lost.
    Notice,
    /// Something that was stored cannot be read, or an account does not balance.
    Wrong,
}

impl Level {
    /// The lower-case word.
    pub fn name(self) -> &'static str {
        match self {
            Level::Notice => "notice",
            Level::Wrong => "wrong",
        }
    }
}

/// What is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub level: Level,
    /// Where: a file, a record, or an account.
    pub place: String,
    /// Sources that it touches, if it is known.
    pub sources: Vec<String>,
    /// What is wrong, without numbers: the same problem says the same tomorrow.
    pub what: String,
    /// The numbers, or what the system said.
    pub detail: String,
    /// What to do next.
    pub next: String,
}

/// What a check looked at and found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// What is not as it should be.
    pub findings: Vec<Finding>,
    /// Segments whose file was looked for.
    pub segments: u64,
    /// Segments whose bytes stood against their checksum.
    pub summed: u64,
    /// Segments without a checksum: an older version wrote them.
    pub unsummed: u64,
    /// Segments on object storage whose bytes were not fetched.
    pub remote: u64,
    /// Bytes of files read.
    pub bytes: u64,
    /// Events decoded.
    pub events: u64,
    /// Records in quarantine that were unpacked.
    pub quarantined: u64,
    /// Records in the WAL that are in no segment yet.
    pub wal_records: u64,
}

impl Report {
    /// True when nothing is wrong.
    pub fn is_sound(&self) -> bool {
        self.findings.iter().all(|finding| finding.level < Level::Wrong)
    }

    fn wrong(&mut self, place: &str, what: &str, detail: impl ToString, next: &str) {
        self.push(Level::Wrong, place, what, detail, next);
    }

    fn push(&mut self, level: Level, place: &str, what: &str, detail: impl ToString, next: &str) {
        self.findings.push(Finding {
            level,
            place: place.to_string(),
            sources: Vec::new(),
            what: what.to_string(),
            detail: detail.to_string(),
            next: next.to_string(),
        });
    }
}

const FROM_BACKUP: &str = "stop the server, put the file back from a backup (backup.json in the \
    backup says where it is), and look why the disk lost it";
const FROM_STORAGE: &str = "look whether the storage can be reached; a tail that is missing is made \
    anew when the segment is read next; put an object that is missing or changed back from a \
    backup or an older version that the storage keeps";
const REPORT_BUG: &str = "nothing in the data folder explains this: keep a copy of pugmark.db and \
    report it as a bug";

/// Checks everything in the store, down to `depth`. Nothing is changed. Beside a process that
/// writes, what that process is just changing is left out.
///
/// # Errors
/// When the manifest cannot be read at all.
pub async fn check(store: &Store, depth: Depth) -> Result<Report, StoreError> {
    let mut report = Report::default();
    accounts(store, &mut report).await?;
    if depth > Depth::Light {
        database(store, &mut report).await?;
    }
    let listed = Listed::now(store).await?;
    let (disk, dir) = (store.inner.options.disk.clone(), store.inner.dir.clone());
    let (segments, tiers) = (listed.segments.clone(), store.inner.tiers.clone());
    let (mut files, ids, extra) = blocking(move || {
        let extra = orphans(&*disk, &dir, &segments);
        let (report, ids) = (Report::default(), Ids::default());
        let mut files = Files { disk, tiers, depth, report, ids };
        segments.iter().for_each(|segment| files.segment(segment));
        Ok((files.report, files.ids, extra))
    })
    .await?;
    settle(store, &mut files, extra).await?;
    report.findings.append(&mut files.findings);
    files.findings = std::mem::take(&mut report.findings);
    let mut report = files;
    if depth > Depth::Light {
        wal_files(store, &mut report).await?;
        let held = quarantined(store, &mut report).await?;
        if depth == Depth::Deep {
            compare_ids(&mut report, ids, &held, &listed);
        }
    }
    report.findings.sort_by_key(|finding| std::cmp::Reverse(finding.level));
    Ok(report)
}

/// The accounts of the manifest and of the memory.
async fn accounts(store: &Store, report: &mut Report) -> Result<(), StoreError> {
    for imbalance in store.inner.manifest.check().await? {
        let detail = format!("{} and {}", imbalance.one, imbalance.other);
        report.wrong(&imbalance.whose, imbalance.what, detail, REPORT_BUG);
        // What is not of a source names a path or all of them.
        let of_source = !imbalance.whose.contains('/') && imbalance.whose != ALL_SOURCES;
        if let Some(finding) = report.findings.last_mut().filter(|_| of_source) {
            finding.sources.push(imbalance.whose);
        }
    }
    for row in store.ledger().await?.iter().filter(|row| !row.balanced()) {
        let what = "the account does not balance";
        let detail = format!(
            "{} received; {} stored, {} sampled, {} folded, {} quarantined, {} shed",
            row.received, row.stored, row.sampled, row.folded, row.quarantined, row.shed
        );
        report.wrong(&row.source, what, detail, REPORT_BUG);
        if let Some(finding) = report.findings.last_mut() {
            finding.sources.push(row.source.clone());
        }
    }
    Ok(())
}

async fn database(store: &Store, report: &mut Report) -> Result<(), StoreError> {
    for problem in store.inner.manifest.integrity().await? {
        let next = "stop the server and restore the newest backup into a new folder";
        report.wrong("pugmark.db", "the database is damaged", problem, next);
    }
    Ok(())
}

/// What counts at one moment.
struct Listed {
    segments: Arc<Vec<Arc<Segment>>>,
    mark: i64,
    expired: u64,
}

impl Listed {
    /// The writing process holds its files; another looks afresh.
    async fn now(store: &Store) -> Result<Self, StoreError> {
        let expired = |ledger: &BTreeMap<String, Counts>| {
            ledger.values().map(|counts| counts.expired).sum::<u64>()
        };
        if store.inner.writing.is_some() {
            let state = store.inner.state.lock();
            let segments = state.segments.clone();
            return Ok(Self { segments, mark: state.mark, expired: expired(&state.ledger) });
        }
        let loaded = store.inner.manifest.load(EVENTS).await?;
        let (options, dir) = (&store.inner.options, &store.inner.dir);
        let tails = Tails::new(options.tail_bytes_max);
        let segments = Arc::new(handles(&options.disk, dir, &loaded, &tails, &store.inner.tiers));
        Ok(Self { segments, mark: loaded.mark, expired: expired(&loaded.ledger) })
    }
}

/// The local file of a segment.
fn local(segment: &Segment) -> PathBuf {
    match segment.info.tier {
        Tier::Cold => tail_path(&segment.path),
        _ => segment.path.clone(),
    }
}

/// Files below `segments/` that no segment of `known` has.
fn orphans(disk: &dyn Disk, dir: &Path, known: &[Arc<Segment>]) -> Vec<PathBuf> {
    let known: BTreeSet<PathBuf> = known.iter().map(|segment| local(segment)).collect();
    let mut found = Vec::new();
    let mut folders = vec![dir.join("segments")];
    while let Some(folder) = folders.pop() {
        for entry in disk.list(&folder).unwrap_or_default() {
            match entry.is_dir {
                true => folders.push(entry.path),
                false if !known.contains(&entry.path) => found.push(entry.path),
                false => {}
            }
        }
    }
    found
}

/// Looks again at what may have changed meanwhile: a segment that the manifest let go of since is
/// no finding, nor is a file that it took in or that is gone.
async fn settle(store: &Store, files: &mut Report, extra: Vec<PathBuf>) -> Result<(), StoreError> {
    if files.is_sound() && extra.is_empty() {
        return Ok(());
    }
    let listed = Listed::now(store).await?;
    let now: BTreeSet<String> =
        listed.segments.iter().map(|segment| segment.info.path.clone()).collect();
    files.findings.retain(|finding| now.contains(&finding.place));
    let (disk, dir) = (&store.inner.options.disk, &store.inner.dir);
    let local: BTreeSet<PathBuf> = listed.segments.iter().map(|segment| local(segment)).collect();
    for path in extra {
        if local.contains(&path) || disk.open(&path).is_err() {
            continue;
        }
        let place = path.strip_prefix(dir).unwrap_or(&path).to_string_lossy().replace('\\', "/");
        let what = "the manifest does not know this file";
        let next = "nothing: a running server may be writing it, and the next start removes what \
            a crash left";
        files.push(Level::Notice, &place, what, "", next);
    }
    Ok(())
}

/// Reads segment files.
struct Files {
    disk: Arc<dyn Disk>,
    tiers: Option<Arc<Tiers>>,
    depth: Depth,
    report: Report,
    ids: Ids,
}

impl Files {
    fn segment(&mut self, segment: &Arc<Segment>) {
        self.report.segments += 1;
        let before = self.report.findings.len();
        match segment.info.tier {
            Tier::Cold => self.look_at_cold(segment),
            _ => self.look(segment),
        }
        for finding in &mut self.report.findings[before..] {
            finding.sources = segment.info.sources.keys().cloned().collect();
        }
    }

    fn look(&mut self, segment: &Arc<Segment>) {
        let place = &segment.info.path;
        let file = match self.disk.open(&segment.path) {
            Ok(file) => file,
            Err(error) => {
                let what = "the file of a segment is missing";
                return self.report.wrong(place, what, error, FROM_BACKUP);
            }
        };
        if file.len() != segment.info.bytes {
            let detail = format!("{} bytes, not {}", file.len(), segment.info.bytes);
            let what = "the file of a segment has another size than the manifest says";
            return self.report.wrong(place, what, detail, FROM_BACKUP);
        }
        if self.depth == Depth::Light || !self.bytes(segment, &*file) {
            return;
        }
        match rows_in_footer(segment) {
            Ok(rows) if rows == segment.info.rows => {}
            Ok(rows) => {
                let detail = format!("{rows} rows, not {}", segment.info.rows);
                let what = "the segment has another number of rows than the manifest says";
                return self.report.wrong(place, what, detail, FROM_BACKUP);
            }
            Err(error) => {
                let what = "the footer of a segment cannot be read";
                return self.report.wrong(place, what, error, FROM_BACKUP);
            }
        }
        if self.depth == Depth::Deep {
            self.rows(segment);
        }
    }

    /// The local tail and the object's size; in a deep check also the object's bytes and records.
    fn look_at_cold(&mut self, segment: &Arc<Segment>) {
        let deep = self.depth == Depth::Deep;
        let place = self.tiers.as_ref().zip(segment.info.object.as_ref());
        self.report.remote += u64::from(!deep || place.is_none());
        let Some((tiers, key)) = place.filter(|_| self.depth > Depth::Light) else { return };
        if let Some(problem) = tiers.problem(body(segment), key, deep) {
            let what = "a segment on object storage is not whole";
            return self.report.wrong(&segment.info.path, what, problem, FROM_STORAGE);
        }
        if deep {
            self.report.bytes += segment.info.bytes;
            self.report.summed += 1;
            self.rows(segment);
        }
    }

    /// Every byte against the checksum. False when they differ.
    fn bytes(&mut self, segment: &Segment, file: &dyn DiskRead) -> bool {
        let place = &segment.info.path;
        let sum = match checksum(file) {
            Ok(sum) => sum,
            Err(error) => {
                let what = "the file of a segment cannot be read";
                self.report.wrong(place, what, error, FROM_BACKUP);
                return false;
            }
        };
        self.report.bytes += file.len();
        match segment.info.checksum {
            0 => self.report.unsummed += 1,
            expected if expected == sum => self.report.summed += 1,
            expected => {
                let detail = format!("{sum:08x}, not {expected:08x}");
                let what = "the bytes of a segment have changed since it was written";
                self.report.wrong(place, what, detail, FROM_BACKUP);
                return false;
            }
        }
        true
    }

    /// Every record decodes and is where the manifest says.
    fn rows(&mut self, segment: &Arc<Segment>) {
        let place = &segment.info.path;
        let alone = Snapshot::new(Vec::new(), Arc::new(vec![segment.clone()]));
        let mut seen = Seen::default();
        for batch in alone.scan(Scan::default()).into_iter().flat_map(|part| part.read()) {
            let batch = match batch.and_then(|batch| Ok(Batch::new(batch)?)) {
                Ok(batch) => batch,
                Err(error) => {
                    let what = "records of a segment cannot be decoded";
                    return self.report.wrong(place, what, error, FROM_BACKUP);
                }
            };
            seen.add(segment, &batch);
            self.ids.add(batch.ids());
        }
        self.report.events += seen.rows;
        if let Some((what, detail)) = seen.problem(segment) {
            self.report.wrong(place, what, detail, REPORT_BUG);
        }
    }
}

/// The rows that the footer of a segment counts.
fn rows_in_footer(segment: &Segment) -> Result<u64, StoreError> {
    let tail = segment.tail(&segment.open()?)?;
    let footer = &tail.footer;
    Ok(footer.metadata().file_metadata().num_rows().max(0) as u64)
}

/// The checksum of a whole file.
///
/// # Errors
/// When it cannot be read.
pub(crate) fn checksum(file: &dyn DiskRead) -> std::io::Result<u32> {
    let mut sum = crc32fast::Hasher::new();
    let mut offset = 0;
    while offset < file.len() {
        let len = (file.len() - offset).min(PIECE_BYTES as u64);
        sum.update(&file.read_at(offset, len as usize)?);
        offset += len;
    }
    Ok(sum.finalize())
}

/// What the records of a segment add up to.
#[derive(Default)]
struct Seen {
    rows: u64,
    raw_bytes: u64,
    outside: u64,
    sources: BTreeMap<String, u64>,
}

impl Seen {
    fn add(&mut self, segment: &Segment, batch: &Batch) {
        self.rows += batch.rows() as u64;
        let (times, ids) = (segment.info.times, segment.info.ids);
        let within = |value: i64, (min, max): (i64, i64)| (min..=max).contains(&value);
        let rows = batch.ids().iter().zip(batch.event_times());
        self.outside +=
            rows.filter(|(id, time)| !within(**id, ids) || !within(**time, times)).count() as u64;
        let sources = batch.text(fields::EVENT_SOURCE);
        for row in 0..batch.rows() {
            self.raw_bytes += batch.original(row).len() as u64;
            let source = sources.map_or("", |sources| sources.value(row));
            match self.sources.get_mut(source) {
                Some(count) => *count += 1,
                None => drop(self.sources.insert(source.to_string(), 1)),
            }
        }
    }

    fn problem(&self, segment: &Segment) -> Option<(&'static str, String)> {
        let info = &segment.info;
        if self.rows != info.rows || self.sources != info.sources {
            let detail = format!("{} rows, not {}", self.rows, info.rows);
            return Some(("the rows of a segment are not those that the manifest counts", detail));
        }
        if self.outside > 0 {
            let detail = format!("{} records", self.outside);
            return Some(("records of a segment lie outside of its bounds", detail));
        }
        if info.raw_bytes != 0 && info.raw_bytes != self.raw_bytes {
            let detail = format!("{} bytes, not {}", self.raw_bytes, info.raw_bytes);
            return Some((
                "the raw records of a segment have another size than when written",
                detail,
            ));
        }
        None
    }
}

/// Which ids were seen, one bit each.
#[derive(Default)]
struct Ids {
    bits: Vec<u64>,
    count: u64,
    doubled: Vec<i64>,
    doubled_count: u64,
}

impl Ids {
    fn add<'a>(&mut self, ids: impl IntoIterator<Item = &'a i64>) {
        for &id in ids {
            if !(0..IDS_MAX).contains(&id) {
                continue;
            }
            let (word, bit) = ((id / 64) as usize, 1u64 << (id % 64));
            if self.bits.len() <= word {
                self.bits.resize(word + 1, 0);
            }
            if self.bits[word] & bit == 0 {
                self.bits[word] |= bit;
                self.count += 1;
            } else {
                self.doubled_count += 1;
                if self.doubled.len() < 5 {
                    self.doubled.push(id);
                }
            }
        }
    }

    /// The first id from 1 on, below `end`, that was not seen.
    fn first_missing(&self, end: i64) -> Option<i64> {
        let seen = |id: i64| {
            self.bits.get((id / 64) as usize).is_some_and(|word| word & (1 << (id % 64)) != 0)
        };
        (1..end).find(|id| !seen(*id))
    }
}

/// Below the mark, every id is one event, one record in quarantine, or expired.
fn compare_ids(report: &mut Report, mut ids: Ids, held: &[i64], listed: &Listed) {
    ids.add(held.iter().filter(|id| **id < listed.mark));
    if ids.doubled_count > 0 {
        let examples: Vec<_> = ids.doubled.iter().map(ToString::to_string).collect();
        let detail = format!("{} ids, such as {}", ids.doubled_count, examples.join(", "));
        report.wrong("segments", "records are stored twice", detail, REPORT_BUG);
    }
    // What was not fetched is not among the ids, and what could not be read was reported.
    if report.remote > 0 || listed.mark > IDS_MAX || !report.is_sound() {
        return;
    }
    let known = ids.count + listed.expired;
    if known + 1 != listed.mark.max(1) as u64 {
        let missing = ids.first_missing(listed.mark).unwrap_or(listed.mark);
        let detail = format!("{known} of {} are there; id {missing} is not", listed.mark - 1);
        report.wrong("segments", "records are missing that were stored", detail, REPORT_BUG);
    }
}

/// The WAL: what is in no segment yet.
async fn wal_files(store: &Store, report: &mut Report) -> Result<(), StoreError> {
    let (wal_dir, manifest) = (store.inner.dir.join("wal"), &store.inner.manifest);
    for tries in 1.. {
        let mark = manifest.mark().await?;
        let (disk, dir) = (store.inner.options.disk.clone(), wal_dir.clone());
        let read = blocking(move || {
            let recovered = wal::recover(&*disk, &dir, mark, false)?;
            let bytes: u64 = recovered.files.iter().map(|file| file.bytes).sum();
            let mut replay = Replay::new(disk.clone(), recovered.items, mark);
            let mut records = 0;
            while let Some(block) = replay.next_block()? {
                records += block.records.len();
            }
            let aside = disk.list(&dir.join("damaged")).unwrap_or_default().len();
            Ok((recovered.report, records as u64, bytes, aside))
        })
        .await;
        let moved = manifest.mark().await? != mark;
        match read {
            Ok((found, records, bytes, aside)) if !moved => {
                report.wal_records = records;
                report.bytes += bytes;
                wal_findings(report, &found, aside);
                return Ok(());
            }
            Err(error) if !moved || tries >= WAL_TRIES_MAX => {
                let next = "look whether the folder is there and may be read";
                report.wrong("wal", "the WAL cannot be read", error, next);
                return Ok(());
            }
            _ if tries >= WAL_TRIES_MAX => return Ok(()),
            _ => tokio::time::sleep(std::time::Duration::from_millis(20)).await,
        }
    }
    Ok(())
}

fn wal_findings(report: &mut Report, found: &wal::Recovery, aside: usize) {
    if found.damaged_pieces > 0 || found.damaged_records > 0 {
        let detail =
            format!("{} records in {} pieces", found.damaged_records, found.damaged_pieces);
        let next = "start the server: it sets the pieces aside in wal/damaged and counts their \
            records as quarantined; look at the disk";
        report.wrong(
            "wal",
            "records in the WAL are damaged, which may have been acknowledged",
            detail,
            next,
        );
    }
    if found.torn_bytes > 0 {
        let what = "the WAL ends in a write that is not finished";
        let next = "nothing: it was never acknowledged, and the next start cuts it";
        report.push(Level::Notice, "wal", what, format!("{} bytes", found.torn_bytes), next);
    }
    if aside > 0 {
        let what = "pieces of the WAL were damaged and set aside";
        let next = "their records are in the ledger as quarantined, under pugmark.wal.damaged; \
            remove the folder when nobody wants to look at them any more";
        report.push(Level::Notice, "wal/damaged", what, format!("{aside} files"), next);
    }
}

/// Every record in quarantine unpacks; returns their ids.
async fn quarantined(store: &Store, report: &mut Report) -> Result<Vec<i64>, StoreError> {
    let mut ids = Vec::new();
    let mut after = i64::MIN;
    loop {
        let page = store.inner.manifest.quarantine_page(after, QUARANTINE_PAGE).await?;
        let Some(last) = page.last() else { return Ok(ids) };
        after = last.id;
        for held in &page {
            ids.push(held.id);
            report.quarantined += 1;
            let unpacked = quarantine::unpack_whole(&held.packed, held.bytes);
            let Err(problem) = unpacked else { continue };
            let place = format!("quarantine {}", held.id);
            let next =
                "restore the record from a backup: `pugmark quarantine show` works there too";
            report.wrong(&place, "a record in quarantine cannot be unpacked", problem, next);
            if let Some(finding) = report.findings.last_mut() {
                finding.sources.push(held.source.clone());
            }
        }
    }
}
