//! The store of one data folder: joins WAL, memory, segments and manifest.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;
use parking_lot::Mutex;
use pugmark_event::time::{MINUTE, Micros};
use pugmark_event::{Batch, Records};
use tokio::sync::oneshot;

use crate::compact::Retired;
use crate::disk::{Disk, RealDisk};
use crate::error::{AppendError, StoreError};
use crate::ledger::{Book, Counts, LedgerCheck, LedgerRow};
use crate::lock::FolderLock;
use crate::manifest::{Commit, EVENTS, Gate, Loaded, Manifest, ManifestAt, Shed, Tier, open_gate};
use crate::memtable::{Entry, Memtable, Sealed};
use crate::quarantine::{self, Aside, QuarantineEntry};
use crate::retention::age::remove_leftovers;
use crate::retention::{Aging, Claims, Classes, Classify, OneClass};
use crate::scan::Snapshot;
use crate::segment::write::SegmentWriter;
use crate::segment::{self, Segment, Tails};
use crate::state::accounts::Accounts;
use crate::state::alerts::Alerts;
use crate::state::corrections::KeptCorrections;
use crate::state::rules::KeptRules;
use crate::state::searches::KeptSearches;
use crate::state::transforms::KeptTransforms;
use crate::tier::{Cold, ColdUsage, Tiers, tail_problem};
use crate::undecided::{Swap, Undecided};
use crate::wal::{self, Job, Queue, Recovery, Replay, Writer};
use crate::worker::Worker;

/// Bytes of events that one transaction moves into segments at most.
const SEAL_BYTES_MAX: usize = 512 << 20;
/// A flush is due, also when memory is not full, at this part of the bound on the WAL.
const WAL_FLUSH_PART: u64 = 4;
/// Counts of shed records wait this long for a flush at most.
const SHED_WAIT_MAX: Duration = Duration::from_secs(10);
/// How long closing waits for a segment that is being moved.
const AGING_WAIT_MAX: Duration = Duration::from_secs(10);
/// How often a reading process tries while a writing one moves on.
const READ_TRIES_MAX: usize = 20;

/// Sizes and places of the store.
#[derive(Debug, Clone)]
pub struct Options {
    /// Size at which a new WAL file is begun, in bytes.
    pub wal_segment_bytes_max: u64,
    /// Bytes of WAL files beyond which records are refused until a flush has made room.
    pub wal_bytes_max: u64,
    /// Memory for events that are in no segment yet, in bytes; a flush is due beyond it. At
    /// twice this, records are refused until a flush has made room.
    pub memtable_bytes_max: usize,
    /// Memory for records that are taken and not processed yet, in bytes.
    pub queue_bytes_max: usize,
    /// Records are refused when the disk has fewer bytes free.
    pub disk_free_bytes_min: u64,
    /// Segments are moved or deleted, the least important first, while the disk has fewer bytes
    /// free. 0: never.
    pub disk_free_bytes_low: u64,
    /// Durable blocks that wait for the engine at most.
    pub blocks_max: usize,
    /// Says which retention class an event belongs to; a segment holds events of one class.
    pub classify: Arc<dyn Classify>,
    /// How long events of each class are kept.
    pub classes: Classes,
    /// Object storage for cold segments.
    pub cold: Option<Cold>,
    /// Memory for footers, filters and indexes of segments, in bytes; what does not fit is read
    /// again for each question.
    pub tail_bytes_max: usize,
    /// Where files are kept.
    pub disk: Arc<dyn Disk>,
    /// Where the manifest is.
    pub manifest: ManifestAt,
    /// What every change of the manifest goes through.
    pub gate: Arc<dyn Gate>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            wal_segment_bytes_max: 64 << 20,
            wal_bytes_max: 4 << 30,
            memtable_bytes_max: 128 << 20,
            queue_bytes_max: 64 << 20,
            disk_free_bytes_min: 256 << 20,
            disk_free_bytes_low: 0,
            blocks_max: 64,
            classify: Arc::new(OneClass),
            classes: Classes::default(),
            cold: None,
            tail_bytes_max: 128 << 20,
            disk: Arc::new(RealDisk),
            manifest: ManifestAt::Folder,
            gate: open_gate(),
        }
    }
}

/// A block of records with the id of its first. The record at `i` has the id `first_id + i`.
#[derive(Debug, Clone, PartialEq)]
pub struct Block {
    /// Who sent it.
    pub source: Arc<str>,
    /// The records.
    pub records: Arc<Records>,
    /// Id of the first record.
    pub first_id: i64,
    /// When it arrived.
    pub received: Micros,
    /// The format that the door named.
    pub format: Option<Arc<str>>,
    /// Why the door set the block aside: it is to be quarantined whole.
    pub quarantine: Option<String>,
}

/// Records that are durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// Id of the first.
    pub first_id: i64,
    /// How many.
    pub count: usize,
}

/// What a flush did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Flushed {
    /// Events moved into segments.
    pub events: u64,
    /// Records moved into quarantine.
    pub quarantined: u64,
    /// Segments written.
    pub segments: u64,
    /// Bytes of them.
    pub bytes: u64,
}

/// Sizes of what is there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Events that search can find.
    pub events: u64,
    /// Segments in the manifest.
    pub segments: u64,
    /// Bytes of all records stored and quarantined.
    pub raw_bytes: u64,
    /// Bytes of segments on the local disk.
    pub disk_bytes: u64,
    /// Bytes of segments on object storage.
    pub cold_bytes: u64,
    /// Bytes of the WAL.
    pub wal_bytes: u64,
}

/// The store. One process writes to a folder; any number may read it.
pub struct Store {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) dir: PathBuf,
    pub(crate) options: Options,
    pub(crate) manifest: Manifest,
    pub(crate) state: Mutex<State>,
    /// One flush at a time.
    pub(crate) flushing: tokio::sync::Mutex<Option<Undecided>>,
    /// Exchanges of segments that may or may not have been made.
    pub(crate) swaps: Mutex<Vec<Swap>>,
    /// One compaction at a time.
    pub(crate) compacting: tokio::sync::Mutex<Retired>,
    pub(crate) recovery: Recovery,
    /// The cold tier, when there is object storage.
    pub(crate) tiers: Option<Arc<Tiers>>,
    pub(crate) aging: Aging,
    /// Segments that somebody works on.
    pub(crate) claims: Claims,
    /// `None` when opened for reading.
    pub(crate) writing: Option<Writing>,
}

/// What only the writing process has.
pub(crate) struct Writing {
    pub(crate) queue: Arc<Queue>,
    pub(crate) thread: Mutex<Option<JoinHandle<()>>>,
    pub(crate) lock: Mutex<Option<FolderLock>>,
    pub(crate) segments: Arc<SegmentWriter>,
    /// Merges segments.
    pub(crate) compaction: Worker,
}

/// What is in memory. Held for moments only: nothing is written while it is locked.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) memtable: Memtable,
    /// Being written; visible until it is.
    pub(crate) frozen: Sealed,
    pub(crate) frozen_shed: Shed,
    pub(crate) segments: Arc<Vec<Arc<Segment>>>,
    /// Everything below is in segments or in quarantine.
    pub(crate) mark: i64,
    pub(crate) commits: i64,
    /// Everything below has been inserted or set aside.
    pub(crate) processed: i64,
    /// The ledger as the manifest has it.
    pub(crate) ledger: BTreeMap<String, Counts>,
    pub(crate) shed: Shed,
    pub(crate) shed_since: Option<Instant>,
}

impl State {
    fn new(loaded: Loaded, segments: Vec<Arc<Segment>>) -> Self {
        Self {
            segments: Arc::new(segments),
            mark: loaded.mark,
            commits: loaded.commits,
            processed: loaded.mark,
            ledger: loaded.ledger,
            ..Self::default()
        }
    }

    fn memory_bytes(&self) -> usize {
        self.memtable.bytes() + self.frozen.bytes()
    }

    /// Counts of what the manifest does not have yet.
    pub(crate) fn pending(&self) -> Book {
        let active = Sealed {
            entries: self.memtable.entries().to_vec(),
            asides: self.memtable.asides().to_vec(),
            mark: 0,
        };
        let mut book = self.shed.book.clone();
        book.merge(&self.frozen_shed.book);
        book.merge(&active.book());
        book.merge(&self.frozen.book());
        book
    }
}

impl Store {
    /// Opens or makes the data folder `dir` for writing. Returns the store and where durable blocks
    /// come out: first those that a crash left in the WAL, in order, then what is appended. The
    /// receiver is bounded; when nobody takes from it, the WAL waits.
    ///
    /// # Errors
    /// When the folder cannot be written to, another process has it, or the data cannot be read.
    pub async fn open(
        dir: &Path,
        options: Options,
    ) -> Result<(Arc<Store>, Receiver<Block>), StoreError> {
        let lock = FolderLock::take(dir)?;
        let manifest = Manifest::open(dir, &options.manifest).await?.behind(options.gate.clone());
        let loaded = manifest.load(EVENTS).await?;
        let tails = Tails::new(options.tail_bytes_max);
        let tiers = tiers(dir, &options)?;
        let segments = handles(&options.disk, dir, &loaded, &tails, &tiers);
        let mark = loaded.mark;
        let (folder, known) = (dir.to_path_buf(), segments.clone());
        let (disk, cold) = (options.disk.clone(), tiers.clone());
        let (wal_dir, recovered) = blocking(move || {
            segment::remove_orphans(&*disk, &folder, &known)?;
            remove_leftovers(cold.as_ref(), &*disk, &folder, &known)?;
            let wal_dir = folder.join("wal");
            disk.make_dirs(&wal_dir).map_err(StoreError::io("make", &wal_dir))?;
            disk.sync_dir(&folder).map_err(StoreError::io("sync", &folder))?;
            let recovered = wal::recover(&*disk, &wal_dir, mark, true)?;
            Ok((wal_dir, recovered))
        })
        .await?;
        let replay = Replay::new(options.disk.clone(), recovered.items, mark);
        let (queue, jobs) =
            Queue::new(wal_dir.clone(), &options, recovered.next_id, recovered.files);
        let writer = Writer::new(queue.clone(), &options, recovered.next_id)
            .map_err(StoreError::io("start the WAL in", &wal_dir))?;
        let (out, blocks) = crossbeam_channel::bounded(options.blocks_max.max(1));
        let thread = std::thread::Builder::new()
            .name("wal".into())
            .spawn(move || writer.run(&jobs, &out, replay))
            .map_err(StoreError::io("start the WAL thread for", dir))?;
        let compaction = Worker::start("compaction")
            .map_err(StoreError::io("start the compaction thread for", dir))?;
        let (files, classify) = (options.disk.clone(), options.classify.clone());
        // Every flush counts commits up, and writes far fewer files than this leaves room for.
        let serial = (loaded.commits.max(0) as u64) << 16;
        let segment_writer = SegmentWriter::new(files, dir, classify, tails.clone(), serial);
        let inner = Inner {
            dir: dir.to_path_buf(),
            options,
            manifest,
            state: Mutex::new(State::new(loaded, segments)),
            flushing: tokio::sync::Mutex::default(),
            swaps: Mutex::default(),
            compacting: tokio::sync::Mutex::default(),
            recovery: recovered.report,
            tiers,
            aging: Aging::default(),
            claims: Claims::default(),
            writing: Some(Writing {
                queue,
                thread: Mutex::new(Some(thread)),
                lock: Mutex::new(Some(lock)),
                segments: Arc::new(segment_writer),
                compaction,
            }),
        };
        let store = Arc::new(Store { inner: Arc::new(inner) });
        for problem in store.check_ledger().await?.problems {
            tracing::error!("the ledger does not balance: {problem}");
        }
        Ok((store, blocks))
    }

    /// Opens the data folder `dir` for reading, also beside a process that writes. Returns the
    /// blocks that are durable but in no segment yet, for the caller to parse and
    /// [`Store::insert`]; blocks set aside at the door are in the ledger already.
    ///
    /// # Errors
    /// When there are no data, or they cannot be read.
    pub async fn open_read_only(
        dir: &Path,
        options: Options,
    ) -> Result<(Store, Vec<Block>), StoreError> {
        let manifest = Manifest::open_read_only(dir, &options.manifest).await?;
        let (loaded, recovery, blocks) = read_consistently(&options.disk, dir, &manifest).await?;
        let cold = options.cold.as_ref();
        let tiers =
            cold.map(|cold| Arc::new(Tiers::open_read_only(dir, options.disk.clone(), cold)));
        let tails = Tails::new(options.tail_bytes_max);
        let segments = handles(&options.disk, dir, &loaded, &tails, &tiers);
        let inner = Inner {
            dir: dir.to_path_buf(),
            options,
            manifest,
            state: Mutex::new(State::new(loaded, segments)),
            flushing: tokio::sync::Mutex::default(),
            swaps: Mutex::default(),
            compacting: tokio::sync::Mutex::default(),
            recovery,
            tiers,
            aging: Aging::default(),
            claims: Claims::default(),
            writing: None,
        };
        let store = Store { inner: Arc::new(inner) };
        let (aside, blocks): (Vec<_>, _) = blocks.into_iter().partition(|b| b.quarantine.is_some());
        for block in aside {
            let reason = block.quarantine.clone().unwrap_or_default();
            store.quarantine(&block, 0..block.records.len(), &reason);
        }
        Ok((store, blocks))
    }

    /// Makes records durable; the answer comes after fsync. The block is queued when the future is
    /// first polled, so several appends polled together share an fsync.
    ///
    /// # Errors
    /// When nothing was taken; see [`AppendError`].
    pub async fn append(
        &self,
        source: Arc<str>,
        records: Arc<Records>,
        received: Micros,
        format: Option<Arc<str>>,
        quarantine: Option<String>,
    ) -> Result<Appended, AppendError> {
        let Some(writing) = &self.inner.writing else { return Err(AppendError::Closed) };
        if records.is_empty() {
            let first_id = writing.queue.durable.load(Ordering::SeqCst);
            return Ok(Appended { first_id, count: 0 });
        }
        let block = Block { source, records, first_id: 0, received, format, quarantine };
        let (reply, answer) = oneshot::channel();
        writing.queue.push(Job { block, reply })?;
        answer.await.unwrap_or(Err(AppendError::Closed))
    }

    /// Adds the events of a block: search finds them from now on. Events that are in a segment or
    /// in memory already are left out.
    pub fn insert(&self, batch: Batch) {
        let mark = self.inner.state.lock().mark;
        let Some(batch) = from_mark(batch, mark) else { return };
        let book = Book::of(&batch);
        let Some(entry) = Entry::new(batch, book) else { return };
        let ids = entry.ids;
        // The mark has not passed this block meanwhile: it is not processed yet.
        let mut state = self.inner.state.lock();
        if !state.memtable.insert(entry) {
            tracing::error!(?ids, "BUG: events with these ids are in memory already; left out");
        }
        self.inner.note_memory(&state);
    }

    /// Sets records of a block aside, for good and with the reason.
    pub fn quarantine(&self, block: &Block, rows: Range<usize>, reason: &str) {
        let mut state = self.inner.state.lock();
        let known = (state.mark - block.first_id).max(0) as usize;
        let rows = rows.start.max(known)..rows.end.min(block.records.len());
        if rows.is_empty() {
            return;
        }
        let aside = Aside {
            first_id: block.first_id,
            source: block.source.clone(),
            received: block.received,
            reason: quarantine::short(reason),
            records: block.records.clone(),
            rows,
        };
        if !state.memtable.set_aside(aside) {
            tracing::error!(block.first_id, "BUG: these records are set aside already; left out");
        }
        self.inner.note_memory(&state);
    }

    /// Everything with an id below `up_to_id` has been inserted or set aside: a flush may forget
    /// the WAL up to there.
    pub fn processed(&self, up_to_id: i64) {
        let mut state = self.inner.state.lock();
        state.processed = state.processed.max(up_to_id);
        let processed = state.processed;
        state.memtable.tidy(processed);
        self.inner.note_memory(&state);
        drop(state);
        if let Some(writing) = &self.inner.writing {
            writing.queue.release(up_to_id);
        }
    }

    /// Id after the last durable record.
    pub fn durable_end(&self) -> i64 {
        let writing = self.inner.writing.as_ref();
        let durable = writing.map(|writing| writing.queue.durable.load(Ordering::SeqCst));
        durable.unwrap_or_else(|| self.inner.state.lock().processed)
    }

    /// Records that are durable and not processed yet.
    pub fn pending_records(&self) -> u64 {
        let processed = self.inner.state.lock().processed;
        (self.durable_end() - processed).max(0) as u64
    }

    /// Id after the last record whose events are in segments: the WAL has those from here on.
    pub fn mark(&self) -> i64 {
        self.inner.state.lock().mark
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.inner.dir
    }

    pub(crate) fn disk(&self) -> &dyn Disk {
        &*self.inner.options.disk
    }

    /// True when every acknowledged record has been processed.
    pub fn is_settled(&self) -> bool {
        let Some(writing) = &self.inner.writing else { return true };
        self.inner.state.lock().processed >= writing.queue.durable.load(Ordering::SeqCst)
    }

    /// True when a flush is due.
    pub fn needs_flush(&self) -> bool {
        let Some(writing) = &self.inner.writing else { return false };
        if self.inner.flushing.try_lock().is_ok_and(|undecided| undecided.is_some()) {
            return true;
        }
        let state = self.inner.state.lock();
        state.memtable.bytes() >= self.inner.options.memtable_bytes_max
            || state.shed_since.is_some_and(|since| since.elapsed() >= SHED_WAIT_MAX)
            || writing.queue.is_long()
            || (state.processed > state.mark
                && writing.queue.disk_bytes() > self.inner.options.wal_bytes_max / WAL_FLUSH_PART)
    }

    /// Bytes of events and of records set aside that wait for a flush.
    pub fn memtable_bytes(&self) -> usize {
        self.inner.state.lock().memtable.bytes()
    }

    /// Moves what is processed into segments, ledger and quarantine, each in one transaction, and
    /// removes the WAL files that are no longer needed. Insert, append and search go on meanwhile.
    ///
    /// # Errors
    /// When something cannot be written; the events stay in memory and in the WAL then.
    pub async fn flush(&self) -> Result<Flushed, StoreError> {
        let inner = self.inner.clone();
        // A task of its own: a caller that goes away must not leave a flush half-way.
        let flush = tokio::spawn(async move { inner.flush().await });
        flush.await.map_err(|e| StoreError::State { what: "flush", message: e.to_string() })?
    }

    /// Counts records that a door had to drop.
    pub fn shed(&self, source: &str, count: u64, reason: &'static str) {
        if count == 0 {
            return;
        }
        let (source, now) = (Arc::<str>::from(source), crate::now());
        let key = (source.clone(), now.div_euclid(MINUTE) * MINUTE, reason);
        let mut state = self.inner.state.lock();
        state.shed.book.add(&source, &Counts::shed(count, now));
        *state.shed.reasons.entry(key).or_default() += count;
        state.shed_since.get_or_insert_with(Instant::now);
    }

    /// Counts records that a door did not hand on, since equal ones of the source just were.
    pub fn folded(&self, source: &str, count: u64) {
        if count == 0 {
            return;
        }
        let source = Arc::<str>::from(source);
        let mut state = self.inner.state.lock();
        state.shed.book.add(&source, &Counts::folded(count, crate::now()));
        state.shed_since.get_or_insert_with(Instant::now);
    }

    /// A stable view of all events at this moment.
    pub fn snapshot(&self) -> Snapshot {
        let state = self.inner.state.lock();
        let entries = state.frozen.entries.iter().chain(state.memtable.entries());
        Snapshot::new(entries.cloned().collect(), state.segments.clone())
    }

    /// The account of every source, up to this moment.
    ///
    /// # Errors
    /// None at present.
    pub async fn ledger(&self) -> Result<Vec<LedgerRow>, StoreError> {
        let (mut ledger, pending) = {
            let state = self.inner.state.lock();
            (state.ledger.clone(), state.pending())
        };
        add_totals(&mut ledger, &pending);
        Ok(ledger.iter().map(|(source, counts)| LedgerRow::new(source, counts)).collect())
    }

    /// Records received, as source, start of the minute, and count, for minutes from the one of
    /// `since` on.
    ///
    /// # Errors
    /// When the manifest cannot be read.
    pub async fn ledger_minutes(
        &self,
        since: Micros,
    ) -> Result<Vec<(String, Micros, u64)>, StoreError> {
        let since = since.div_euclid(MINUTE) * MINUTE;
        loop {
            let (commits, pending) = {
                let state = self.inner.state.lock();
                (state.commits, state.pending())
            };
            let (seen, minutes) = self.inner.manifest.minutes(since).await?;
            let mut minutes: BTreeMap<_, _> =
                minutes.into_iter().map(|(key, counts)| (key, counts.received)).collect();
            if seen == commits {
                for ((source, minute), counts) in pending.minutes {
                    if minute >= since {
                        *minutes.entry((source.to_string(), minute)).or_default() +=
                            counts.received;
                    }
                }
                return Ok(minutes.into_iter().map(|((s, m), n)| (s, m, n)).collect());
            }
            // A flush is between its transaction and the memory that it frees.
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Checks that the accounts agree with each other, with the segments in the manifest, and with
    /// the files on disk.
    ///
    /// # Errors
    /// When the manifest cannot be read.
    pub async fn check_ledger(&self) -> Result<LedgerCheck, StoreError> {
        let imbalances = self.inner.manifest.check().await?;
        let mut problems: Vec<String> = imbalances.iter().map(ToString::to_string).collect();
        for row in self.ledger().await?.iter().filter(|row| !row.balanced()) {
            problems.push(format!("{}: the account in memory does not balance", row.source));
        }
        let segments = self.inner.state.lock().segments.clone();
        let disk = self.inner.options.disk.clone();
        let files: Vec<String> = blocking(move || {
            Ok(segments.iter().filter_map(|segment| file_problem(&*disk, segment)).collect())
        })
        .await?;
        problems.extend(files);
        Ok(LedgerCheck { balanced: problems.is_empty(), problems })
    }

    /// The newest records set aside, at most `limit`.
    ///
    /// # Errors
    /// When the manifest cannot be read.
    pub async fn quarantined(&self, limit: usize) -> Result<Vec<QuarantineEntry>, StoreError> {
        loop {
            let (commits, asides) = {
                let state = self.inner.state.lock();
                let asides = state.frozen.asides.iter().chain(state.memtable.asides());
                (state.commits, asides.cloned().collect::<Vec<_>>())
            };
            let (seen, stored) = self.inner.manifest.quarantined(limit).await?;
            if seen == commits {
                let mut entries: Vec<_> =
                    asides.iter().flat_map(|a| a.entries().take(limit)).chain(stored).collect();
                entries.sort_by_key(|entry| std::cmp::Reverse(entry.id));
                entries.truncate(limit);
                return Ok(entries);
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Sizes of what is there.
    pub fn usage(&self) -> Usage {
        let state = self.inner.state.lock();
        let pending = state.pending();
        let raw = |counts: &Counts| counts.raw_bytes;
        let fresh: usize = state.memtable.entries().iter().map(|e| e.batch.rows()).sum();
        let frozen: usize = state.frozen.entries.iter().map(|e| e.batch.rows()).sum();
        Usage {
            events: (fresh + frozen) as u64
                + state.segments.iter().map(|s| s.info.rows).sum::<u64>(),
            segments: state.segments.len() as u64,
            raw_bytes: state.ledger.values().map(raw).sum::<u64>()
                + pending.minutes.values().map(raw).sum::<u64>(),
            disk_bytes: bytes_on(&state, Tier::Hot),
            cold_bytes: bytes_on(&state, Tier::Cold),
            wal_bytes: self.inner.writing.as_ref().map_or(0, |w| w.queue.disk_bytes()),
        }
    }

    /// What the cold tier holds and did; `None` without object storage.
    pub fn cold_usage(&self) -> Option<ColdUsage> {
        self.inner.tiers.as_ref().map(|tiers| tiers.usage())
    }

    /// Why records are not taken, if they are not. Clears itself.
    pub fn problem(&self) -> Option<String> {
        self.inner.writing.as_ref()?.queue.problem()
    }

    /// What was found in the WAL when the store was opened.
    pub fn recovery(&self) -> &Recovery {
        &self.inner.recovery
    }

    /// Alerts.
    pub fn alerts(&self) -> Alerts {
        Alerts::new(self.inner.manifest.clone())
    }

    /// Rules that people write in the product.
    pub fn kept_rules(&self) -> KeptRules {
        KeptRules::new(self.inner.manifest.clone())
    }

    /// Searches that people saved.
    pub fn kept_searches(&self) -> KeptSearches {
        KeptSearches::new(self.inner.manifest.clone())
    }

    /// Transforms that people write in the product.
    pub fn kept_transforms(&self) -> KeptTransforms {
        KeptTransforms::new(self.inner.manifest.clone())
    }

    /// Corrections of the clocks of sources.
    pub fn kept_corrections(&self) -> KeptCorrections {
        KeptCorrections::new(self.inner.manifest.clone())
    }

    /// Users, sessions and tokens.
    pub fn accounts(&self) -> Accounts {
        Accounts::new(self.inner.manifest.clone())
    }

    /// Takes no more records. What was taken before still comes out of the receiver, which then
    /// ends.
    pub async fn close_intake(&self) {
        if let Some(writing) = &self.inner.writing {
            writing.queue.close();
        }
    }

    /// True from [`Store::close_intake`] on.
    pub fn is_closing(&self) -> bool {
        self.inner.writing.as_ref().is_none_or(|w| w.queue.is_closing())
    }

    /// Flushes what is processed, and lets go of the folder. What was not processed stays in the
    /// WAL for the next start.
    ///
    /// # Errors
    /// When the flush fails; the WAL has the events then.
    pub async fn close(&self) -> Result<(), StoreError> {
        let Some(writing) = &self.inner.writing else {
            self.inner.manifest.close().await;
            return Ok(());
        };
        writing.queue.abort();
        let thread = writing.thread.lock().take();
        if let Some(thread) = thread {
            // A panic of the thread was logged when it happened.
            blocking(move || {
                drop(thread.join());
                Ok(())
            })
            .await?;
        }
        // A move that is nearly done may count; one that hangs is taken up at the next start.
        let _ = tokio::time::timeout(AGING_WAIT_MAX, self.inner.aging.turn.lock()).await;
        let flushed = self.flush().await;
        let mark = self.inner.state.lock().mark;
        writing.queue.forget(mark, true);
        self.inner.manifest.close().await;
        drop(writing.lock.lock().take());
        flushed.map(|_| ())
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let Some(writing) = &self.writing else { return };
        writing.queue.abort();
        // Nobody else may have the folder before the thread has ended.
        let thread = writing.thread.lock().take();
        if let Some(thread) = thread {
            let _ = thread.join();
        }
    }
}

impl Inner {
    fn note_memory(&self, state: &State) {
        if let Some(writing) = &self.writing {
            writing.queue.memory_bytes.store(state.memory_bytes(), Ordering::Relaxed);
        }
    }

    async fn flush(&self) -> Result<Flushed, StoreError> {
        if self.writing.is_none() {
            return Err(StoreError::ReadOnly);
        }
        let mut undecided = self.flushing.lock().await;
        self.decide(&mut undecided).await?;
        let until = self.state.lock().processed;
        let mut flushed = Flushed::default();
        loop {
            self.flush_some(&mut flushed, &mut undecided).await?;
            if self.state.lock().mark >= until {
                return Ok(flushed);
            }
        }
    }

    /// Seals, writes segments, commits, and swaps memory for segments.
    async fn flush_some(
        &self,
        flushed: &mut Flushed,
        undecided: &mut Option<Undecided>,
    ) -> Result<(), StoreError> {
        let Some((sealed, shed)) = self.seal() else { return self.forget().await };
        let batches: Vec<Batch> = sealed.entries.iter().map(|e| e.batch.clone()).collect();
        let written = match &self.writing {
            Some(writing) => {
                let writer = writing.segments.clone();
                blocking(move || writer.write(&batches)).await
            }
            None => Err(StoreError::ReadOnly),
        };
        let segments = match written {
            Ok(segments) => segments,
            Err(error) => {
                self.unseal(sealed, shed);
                return Err(error);
            }
        };
        let from = self.state.lock().mark;
        let infos = segments.iter().map(|s| &s.info).collect();
        let commit = Commit { from, segments: infos, sealed: &sealed, shed: &shed };
        match self.manifest.commit(&commit).await {
            Ok(()) => {}
            Err(error @ StoreError::Uncertain(_)) => {
                *undecided = Some(Undecided::Flush { sealed, shed, segments });
                return Err(error);
            }
            Err(error) => {
                segments.iter().for_each(|segment| segment.doom());
                self.unseal(sealed, shed);
                return Err(error);
            }
        }
        flushed.events += sealed.entries.iter().map(|e| e.batch.rows() as u64).sum::<u64>();
        flushed.quarantined += sealed.asides.iter().map(|a| a.rows.len() as u64).sum::<u64>();
        flushed.segments += segments.len() as u64;
        flushed.bytes += segments.iter().map(|s| s.info.bytes).sum::<u64>();
        self.swap(sealed, &shed, segments);
        self.forget().await
    }

    /// Removes the WAL files that are no longer needed.
    pub(crate) async fn forget(&self) -> Result<(), StoreError> {
        let Some(writing) = &self.writing else { return Ok(()) };
        let (queue, mark) = (writing.queue.clone(), self.state.lock().mark);
        blocking(move || {
            queue.forget(mark, false);
            Ok(())
        })
        .await
    }

    /// Takes what is processed out of the memtable; it stays visible as frozen. `None` when there
    /// is nothing to write.
    fn seal(&self) -> Option<(Sealed, Shed)> {
        let mut state = self.state.lock();
        let nothing = state.processed <= state.mark && state.shed.book.minutes.is_empty();
        if nothing {
            return None;
        }
        let processed = state.processed;
        let sealed = state.memtable.seal(processed, SEAL_BYTES_MAX);
        let shed = std::mem::take(&mut state.shed);
        state.shed_since = None;
        let rows: usize = sealed.entries.iter().map(|e| e.batch.rows()).sum();
        let rows = rows + sealed.asides.iter().map(|a| a.rows.len()).sum::<usize>();
        if rows as i64 != sealed.mark - state.mark {
            tracing::error!(
                rows,
                from = state.mark,
                to = sealed.mark,
                "BUG: records were called processed that were neither inserted nor set aside"
            );
        }
        state.frozen = sealed.clone();
        state.frozen_shed = shed.clone();
        Some((sealed, shed))
    }

    pub(crate) fn unseal(&self, sealed: Sealed, shed: Shed) {
        let mut state = self.state.lock();
        state.frozen = Sealed::default();
        state.frozen_shed = Shed::default();
        state.memtable.unseal(sealed);
        state.shed.book.merge(&shed.book);
        for (key, count) in shed.reasons {
            *state.shed.reasons.entry(key).or_default() += count;
        }
        if !state.shed.book.minutes.is_empty() {
            state.shed_since.get_or_insert_with(Instant::now);
        }
        self.note_memory(&state);
    }

    pub(crate) fn swap(&self, sealed: Sealed, shed: &Shed, segments: Vec<Arc<Segment>>) {
        let mut book = sealed.book();
        book.merge(&shed.book);
        let mut state = self.state.lock();
        add_totals(&mut state.ledger, &book);
        let mut all = state.segments.to_vec();
        all.extend(segments);
        state.segments = Arc::new(all);
        state.mark = sealed.mark;
        state.commits += 1;
        state.frozen = Sealed::default();
        state.frozen_shed = Shed::default();
        self.note_memory(&state);
    }
}

fn add_totals(ledger: &mut BTreeMap<String, Counts>, book: &Book) {
    for ((source, _), counts) in &book.minutes {
        ledger.entry(source.to_string()).or_default().add(counts);
    }
}

fn bytes_on(state: &State, tier: Tier) -> u64 {
    state.segments.iter().map(|s| &s.info).filter(|i| i.tier == tier).map(|i| i.bytes).sum()
}

fn tiers(dir: &Path, options: &Options) -> Result<Option<Arc<Tiers>>, StoreError> {
    let Some(cold) = &options.cold else { return Ok(None) };
    Ok(Some(Arc::new(Tiers::open(dir, options.disk.clone(), cold)?)))
}

pub(crate) fn handles(
    disk: &Arc<dyn Disk>,
    dir: &Path,
    loaded: &Loaded,
    tails: &Arc<Tails>,
    tiers: &Option<Arc<Tiers>>,
) -> Vec<Arc<Segment>> {
    let infos = loaded.segments.iter();
    infos.map(|info| Arc::new(Segment::new(disk, dir, info.clone(), tails).on(tiers))).collect()
}

fn file_problem(disk: &dyn Disk, segment: &Segment) -> Option<String> {
    if segment.info.tier == Tier::Cold {
        let problem = tail_problem(disk, &segment.path, segment.info.bytes)?;
        return Some(format!("{}: {problem}", segment.info.path));
    }
    match disk.open(&segment.path) {
        Ok(file) if file.len() == segment.info.bytes => None,
        Ok(file) => Some(format!(
            "{}: the file has {} bytes, the manifest says {}",
            segment.info.path,
            file.len(),
            segment.info.bytes
        )),
        Err(error) => Some(format!("{}: {error}", segment.info.path)),
    }
}

/// The rows with ids from `mark` on; `None` when there are none.
fn from_mark(batch: Batch, mark: i64) -> Option<Batch> {
    if batch.ids().iter().all(|id| *id >= mark) {
        return Some(batch);
    }
    tracing::warn!(mark, "events below the WAL mark are in segments already; left out");
    let keep = batch.ids().iter().map(|id| Some(*id >= mark)).collect();
    batch.filter(&keep).ok().filter(|batch| batch.rows() > 0)
}

/// Manifest and WAL that fit together, while another process may be writing both.
async fn read_consistently(
    disk: &Arc<dyn Disk>,
    dir: &Path,
    manifest: &Manifest,
) -> Result<(Loaded, Recovery, Vec<Block>), StoreError> {
    let mut tries = 0;
    loop {
        let loaded = manifest.load(EVENTS).await?;
        let (wal_dir, mark) = (dir.join("wal"), loaded.mark);
        let disk = disk.clone();
        let read = blocking(move || {
            let recovered = wal::recover(&*disk, &wal_dir, mark, false)?;
            let mut replay = Replay::new(disk, recovered.items, mark);
            let mut blocks = Vec::new();
            while let Some(block) = replay.next_block()? {
                blocks.push(block);
            }
            Ok((recovered.report, blocks))
        })
        .await;
        tries += 1;
        // A flush in between removes WAL files, so what was read may have holes: read again.
        let moved = manifest.mark().await? != mark;
        match read {
            Ok((report, blocks)) if !moved => return Ok((loaded, report, blocks)),
            Err(error) if !moved => return Err(error),
            _ if tries >= READ_TRIES_MAX => {
                let message = "the server moves on faster than it can be read".to_string();
                return Err(StoreError::State { what: "WAL", message });
            }
            _ => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

/// Runs work that blocks on a thread made for it.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|e| StoreError::State { what: "background work", message: e.to_string() })?
}
