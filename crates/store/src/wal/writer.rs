//! The thread that writes the WAL, and the queue in front of it.

use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, SendTimeoutError, Sender, TrySendError};
use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::frame::{BLOCK_BYTES_MAX, Encoder};
use super::recover::{Replay, Run};
use super::{WalFile, file_path};
use crate::disk::{Disk, DiskWrite};
use crate::error::AppendError;
use crate::{Appended, Block, Options};

/// Bytes of records that one fsync covers at most; a single larger block goes alone.
const GROUP_BYTES_MAX: usize = 8 << 20;
/// Events in memory may take so many times what makes a flush due: those that are being written,
/// and those that come in meanwhile.
const CROWDED_TIMES: usize = 2;
/// How often an idle writer looks at the disk.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);
/// How long a held-back writer sleeps before it looks again.
const HOLD_INTERVAL: Duration = Duration::from_millis(5);
/// How long a replay that nobody takes from waits for records to write meanwhile.
const TURN_INTERVAL: Duration = Duration::from_millis(1);
/// Longest pause before a file that could not be read is tried again.
const RETRY_INTERVAL_MAX: Duration = Duration::from_secs(1);

/// Records on their way to the disk.
pub(crate) struct Job {
    /// The records; their id is given when they are written.
    pub(crate) block: Block,
    /// Answered after fsync.
    pub(crate) reply: oneshot::Sender<Result<Appended, AppendError>>,
}

impl Job {
    fn bytes(&self) -> usize {
        block_bytes(&self.block)
    }
}

/// Memory that a block counts for.
pub(crate) fn block_bytes(block: &Block) -> usize {
    block.records.byte_len() + 4 * block.records.len() + 64
}

/// The writer's queue and what others may know of the writer.
pub(crate) struct Queue {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    jobs: Mutex<Option<Sender<Job>>>,
    in_flight: Mutex<InFlight>,
    bytes_max: usize,
    memory_bytes_max: usize,
    wal_bytes_max: u64,
    /// Bytes of events in memory; the writer holds blocks back when there are too many.
    pub(crate) memory_bytes: AtomicUsize,
    /// Id of the first record that is not durable yet.
    pub(crate) durable: AtomicI64,
    /// Files, oldest first; the last is being written.
    files: Mutex<VecDeque<WalFile>>,
    /// Bytes of all files but the one being written.
    closed_bytes: AtomicU64,
    problem: Mutex<Option<String>>,
    closing: AtomicBool,
    abort: AtomicBool,
}

/// Blocks that are in memory and not processed yet: those that were taken, and those that a replay
/// has read.
#[derive(Default)]
struct InFlight {
    bytes: usize,
    durable: VecDeque<(i64, usize)>,
    replay_bytes: usize,
    replayed: VecDeque<(i64, usize)>,
}

impl InFlight {
    /// Frees what was taken and ends before `up_to_id`.
    fn free(&mut self, up_to_id: i64) {
        while let Some((_, bytes)) = self.durable.pop_front_if(|(end, _)| *end <= up_to_id) {
            self.bytes -= bytes;
        }
    }

    /// Frees everything that ends before `up_to_id`.
    fn release(&mut self, up_to_id: i64) {
        self.free(up_to_id);
        while let Some((_, bytes)) = self.replayed.pop_front_if(|(end, _)| *end <= up_to_id) {
            self.replay_bytes -= bytes;
        }
    }
}

impl Queue {
    /// The queue, and the end that the writer takes from.
    pub(crate) fn new(
        dir: PathBuf,
        options: &Options,
        next_id: i64,
        files: Vec<WalFile>,
    ) -> (Arc<Self>, Receiver<Job>) {
        // The channel has no bound of its own: `in_flight` bounds it by bytes.
        let (sender, receiver) = crossbeam_channel::unbounded();
        let queue = Self {
            disk: options.disk.clone(),
            dir,
            jobs: Mutex::new(Some(sender)),
            in_flight: Mutex::default(),
            bytes_max: options.queue_bytes_max,
            memory_bytes_max: options.memtable_bytes_max.saturating_mul(CROWDED_TIMES),
            wal_bytes_max: options.wal_bytes_max,
            memory_bytes: AtomicUsize::new(0),
            durable: AtomicI64::new(next_id),
            files: Mutex::new(files.into()),
            closed_bytes: AtomicU64::new(0),
            problem: Mutex::new(None),
            closing: AtomicBool::new(false),
            abort: AtomicBool::new(false),
        };
        queue.count_closed(&queue.files.lock());
        (Arc::new(queue), receiver)
    }

    /// Queues a block, or says at once why not.
    pub(crate) fn push(&self, job: Job) -> Result<(), AppendError> {
        let bytes = job.bytes();
        if bytes > BLOCK_BYTES_MAX {
            return Err(AppendError::TooBig { bytes, max: BLOCK_BYTES_MAX });
        }
        let jobs = self.jobs.lock();
        let Some(sender) = &*jobs else { return Err(AppendError::Closed) };
        if self.is_crowded() || self.is_long() {
            return Err(AppendError::Full);
        }
        let mut in_flight = self.in_flight.lock();
        // A block larger than the whole queue must pass some time: when it is alone.
        if in_flight.bytes > 0 && in_flight.bytes + bytes > self.bytes_max {
            return Err(AppendError::Full);
        }
        in_flight.bytes += bytes;
        sender.send(job).map_err(|_| AppendError::Closed)
    }

    /// Everything below `up_to_id` is processed: its memory is free.
    pub(crate) fn release(&self, up_to_id: i64) {
        self.in_flight.lock().release(up_to_id);
    }

    /// True when the files have reached their bound: only a flush makes room.
    pub(crate) fn is_long(&self) -> bool {
        self.closed_bytes.load(Ordering::Relaxed) > self.wal_bytes_max
    }

    /// Notes the size of the files. The last is left out, since it may be the only one left when
    /// everything is flushed.
    fn count_closed(&self, files: &VecDeque<WalFile>) {
        let closed = files.iter().rev().skip(1).map(|file| file.bytes).sum();
        self.closed_bytes.store(closed, Ordering::Relaxed);
    }

    fn is_crowded(&self) -> bool {
        self.memory_bytes.load(Ordering::Relaxed) > self.memory_bytes_max
    }

    /// Takes no more blocks. What is queued is still written and handed out.
    pub(crate) fn close(&self) {
        self.closing.store(true, Ordering::SeqCst);
        self.jobs.lock().take();
    }

    /// Makes the writer end soon: what it did not hand out stays in the WAL for a replay.
    pub(crate) fn abort(&self) {
        self.abort.store(true, Ordering::SeqCst);
        self.close();
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::SeqCst)
    }

    fn is_aborted(&self) -> bool {
        self.abort.load(Ordering::SeqCst)
    }

    /// Why records are not taken.
    pub(crate) fn problem(&self) -> Option<String> {
        self.problem.lock().clone()
    }

    fn set_problem(&self, problem: Option<String>) {
        let mut held = self.problem.lock();
        match (&*held, &problem) {
            (None, Some(new)) => tracing::error!("logs are not taken: {new}"),
            (Some(_), None) => tracing::info!("logs are taken again"),
            _ => {}
        }
        *held = problem;
    }

    /// Bytes of all files.
    pub(crate) fn disk_bytes(&self) -> u64 {
        self.files.lock().iter().map(|f| f.bytes).sum()
    }

    /// Removes files with nothing from `mark` on. The file being written stays, unless the writer
    /// has ended (`all`).
    pub(crate) fn forget(&self, mark: i64, all: bool) {
        let mut files = self.files.lock();
        while let Some(file) = files.front() {
            let end = match files.get(1) {
                Some(next) => next.first_id,
                None if all => self.durable.load(Ordering::SeqCst),
                None => break,
            };
            if end > mark {
                break;
            }
            if let Err(error) = self.disk.remove(&file.path)
                && error.kind() != io::ErrorKind::NotFound
            {
                tracing::warn!(file = %file.path.display(), %error, "cannot remove a WAL file");
                break;
            }
            files.pop_front();
        }
        self.count_closed(&files);
        // A file that comes back after a crash is below the mark and does no harm.
        let _ = self.disk.sync_dir(&self.dir);
    }
}

/// The one that writes. Lives on its own thread.
pub(crate) struct Writer {
    queue: Arc<Queue>,
    next_id: i64,
    file_bytes_max: u64,
    disk_free_bytes_min: u64,
    encoder: Encoder,
    file: Option<Open>,
    /// A file whose end could not be cut after a failed write; nothing is written until it is.
    uncut: Option<(Arc<Path>, u64)>,
    buffer: Vec<u8>,
}

/// What is handed out before anything new.
struct Behind {
    replay: Replay,
    /// Read, and not taken yet.
    next: Option<Block>,
    /// How long to wait before what could not be read is tried again.
    retry_in: Option<Duration>,
}

impl Behind {
    fn is_done(&self) -> bool {
        self.next.is_none() && self.replay.is_done()
    }

    /// Reads the next block, if there is none.
    fn read(&mut self) {
        if self.next.is_some() {
            return;
        }
        match self.replay.next_block() {
            Ok(next) => (self.next, self.retry_in) = (next, None),
            Err(error) => {
                let pause = self.retry_in.map_or(HOLD_INTERVAL, |pause| pause * 2);
                tracing::error!(%error, "the WAL cannot be read back; trying again");
                self.retry_in = Some(pause.min(RETRY_INTERVAL_MAX));
            }
        }
    }
}

struct Open {
    file: Box<dyn DiskWrite>,
    path: Arc<Path>,
    /// Bytes that are durable.
    len: u64,
}

impl Writer {
    /// A writer that continues at `next_id`.
    pub(crate) fn new(queue: Arc<Queue>, options: &Options, next_id: i64) -> io::Result<Self> {
        Ok(Self {
            queue,
            next_id,
            file_bytes_max: options.wal_segment_bytes_max,
            disk_free_bytes_min: options.disk_free_bytes_min,
            encoder: Encoder::new()?,
            file: None,
            uncut: None,
            buffer: Vec::new(),
        })
    }

    /// Hands out the replay and writes what is queued meanwhile; then writes and hands out what is
    /// queued until the queue closes.
    pub(crate) fn run(self, jobs: &Receiver<Job>, out: &Sender<Block>, replay: Replay) {
        let queue = self.queue.clone();
        let ended = catch_unwind(AssertUnwindSafe(|| self.work(jobs, out, replay)));
        // The engine is gone, or there is a defect; after a close nobody asks any more.
        let was_asked = queue.is_closing();
        queue.close();
        if ended.is_err() || !was_asked {
            let problem =
                "BUG: the WAL has stopped; start Pugmark again, nothing acknowledged is lost";
            queue.set_problem(Some(problem.to_string()));
        }
    }

    fn work(mut self, jobs: &Receiver<Job>, out: &Sender<Block>, replay: Replay) {
        self.look_at_disk(0);
        let mut behind = Behind { replay, next: None, retry_in: None };
        while !behind.is_done() {
            if !self.catch_up(&mut behind, jobs, out) {
                return;
            }
        }
        loop {
            match jobs.recv_timeout(LOOK_INTERVAL) {
                Ok(job) => {
                    let group = gather(job, jobs);
                    let blocks = self.commit(group).map_or_else(Vec::new, |(blocks, _)| blocks);
                    if !blocks.into_iter().all(|block| self.hand_out(block, out)) {
                        return;
                    }
                }
                Err(RecvTimeoutError::Timeout) => {
                    self.look_at_disk(0);
                }
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if self.queue.is_aborted() {
                return;
            }
        }
    }

    /// One turn while a replay is not at its end: hands a block out if somebody takes it, and
    /// writes what is queued. What is written has its turn behind, from the disk: nobody who sends
    /// waits for the replay, and memory does not fill up. False when nobody will take blocks any
    /// more.
    fn catch_up(&mut self, behind: &mut Behind, jobs: &Receiver<Job>, out: &Sender<Block>) -> bool {
        if self.queue.is_aborted() {
            return false;
        }
        behind.read();
        let closing = self.queue.is_closing();
        if closing && behind.retry_in.is_some() {
            // It cannot be read, and nobody waits: the next start tries again.
            return false;
        }
        let mut wait = behind.retry_in.unwrap_or(TURN_INTERVAL);
        if let Some(block) = behind.next.take() {
            let (end, bytes) = (block.first_id + block.records.len() as i64, block_bytes(&block));
            match self.offer(block, closing, out) {
                Ok(()) => {
                    let mut in_flight = self.queue.in_flight.lock();
                    in_flight.replay_bytes += bytes;
                    in_flight.replayed.push_back((end, bytes));
                    wait = Duration::ZERO;
                }
                Err(Some(block)) => behind.next = Some(block),
                Err(None) => return false,
            }
        }
        match jobs.recv_timeout(wait) {
            Ok(job) => {
                if let Some((blocks, run)) = self.commit(gather(job, jobs)) {
                    behind.replay.add(run);
                    let end = blocks.last().map_or(0, |b| b.first_id + b.records.len() as i64);
                    self.queue.in_flight.lock().free(end);
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            // Closed: nothing wakes the wait any more.
            Err(RecvTimeoutError::Disconnected) => std::thread::sleep(wait),
        }
        true
    }

    /// Sends a block of the replay on if there is room for it. Gives it back if not; nothing when
    /// nobody will take it any more.
    fn offer(&self, block: Block, closing: bool, out: &Sender<Block>) -> Result<(), Option<Block>> {
        let (held, bytes) = (self.queue.in_flight.lock().replay_bytes, block_bytes(&block));
        let full = held > 0 && held + bytes > self.queue.bytes_max;
        if full || (self.queue.is_crowded() && !closing) {
            return Err(Some(block));
        }
        out.try_send(block).map_err(|error| match error {
            TrySendError::Full(block) => Some(block),
            TrySendError::Disconnected(_) => None,
        })
    }

    /// Sends a block on, held back while memory or the channel is full. False when nobody will
    /// take it any more.
    fn hand_out(&self, block: Block, out: &Sender<Block>) -> bool {
        while self.queue.is_crowded() && !self.queue.is_closing() {
            std::thread::sleep(HOLD_INTERVAL);
        }
        let mut block = block;
        loop {
            if self.queue.is_aborted() {
                return false;
            }
            match out.send_timeout(block, LOOK_INTERVAL) {
                Ok(()) => return true,
                Err(SendTimeoutError::Timeout(back)) => block = back,
                Err(SendTimeoutError::Disconnected(_)) => return false,
            }
        }
    }

    /// Writes a group with one fsync and answers. Returns the blocks and where they are; `None`
    /// when they could not be written.
    fn commit(&mut self, mut group: Vec<Job>) -> Option<(Vec<Block>, Run)> {
        let start_id = self.next_id;
        let mut id = start_id;
        for job in &mut group {
            job.block.first_id = id;
            id += job.block.records.len() as i64;
        }
        let run = match self.write(&group) {
            Ok((path, start, end)) => Run { path, start, end, first_id: start_id, end_id: id },
            Err(error) => {
                self.refuse(group, &error);
                return None;
            }
        };
        self.next_id = id;
        {
            let mut in_flight = self.queue.in_flight.lock();
            for job in &group {
                let end = job.block.first_id + job.block.records.len() as i64;
                in_flight.durable.push_back((end, job.bytes()));
            }
            self.queue.durable.store(id, Ordering::SeqCst);
        }
        let mut blocks = Vec::with_capacity(group.len());
        for Job { block, reply } in group {
            let (first_id, count) = (block.first_id, block.records.len());
            // Nobody waiting is fine: the records are durable all the same.
            let _ = reply.send(Ok(Appended { first_id, count }));
            blocks.push(block);
        }
        Some((blocks, run))
    }

    fn refuse(&self, group: Vec<Job>, error: &AppendError) {
        let bytes: usize = group.iter().map(Job::bytes).sum();
        self.queue.in_flight.lock().bytes -= bytes;
        for job in group {
            let _ = job.reply.send(Err(error.clone()));
        }
    }

    /// Makes the group durable, or leaves the file as it was. Returns the file and the offsets.
    fn write(&mut self, group: &[Job]) -> Result<(Arc<Path>, u64, u64), AppendError> {
        let bytes: usize = group.iter().map(Job::bytes).sum();
        if let Some(problem) = self.look_at_disk(bytes as u64) {
            return Err(AppendError::DiskFull(problem));
        }
        self.try_write(group).map_err(|error| {
            self.roll_back();
            let error = describe(&error, &self.queue.dir);
            if let AppendError::DiskFull(why) = &error {
                self.queue.set_problem(Some(why.clone()));
            }
            error
        })
    }

    fn try_write(&mut self, group: &[Job]) -> io::Result<(Arc<Path>, u64, u64)> {
        self.cut_uncut()?;
        self.buffer.clear();
        for job in group {
            self.encoder.encode(&job.block, &mut self.buffer)?;
        }
        if self.file.as_ref().is_none_or(|open| open.len >= self.file_bytes_max) {
            self.file = Some(self.create()?);
        }
        let open = self.file.as_mut().expect("a file was opened above");
        open.file.write_all(&self.buffer)?;
        open.file.sync()?;
        let start = open.len;
        open.len += self.buffer.len() as u64;
        if let Some(file) = self.queue.files.lock().back_mut() {
            file.bytes = open.len;
        }
        self.buffer.shrink_to(GROUP_BYTES_MAX);
        Ok((open.path.clone(), start, open.len))
    }

    /// A new file, named by the next id, known to the disk before anything in it is acknowledged.
    fn create(&self) -> io::Result<Open> {
        let path = file_path(&self.queue.dir, self.next_id);
        let mut file = self.queue.disk.create(&path)?;
        // Known from here on, so that it goes when it is not needed, also if it stays empty.
        let mut files = self.queue.files.lock();
        // A file without a single frame has the same name as its successor.
        files.retain(|f| f.path != path);
        files.push_back(WalFile { first_id: self.next_id, path: path.clone(), bytes: 0 });
        self.queue.count_closed(&files);
        drop(files);
        file.sync()?;
        self.queue.disk.sync_dir(&self.queue.dir)?;
        Ok(Open { file, path: path.into(), len: 0 })
    }

    /// Cuts what a failed write left. The file is not written to again: after a failed fsync the
    /// system may have dropped pages that it calls clean.
    fn roll_back(&mut self) {
        if let Some(open) = self.file.take() {
            self.uncut = Some((open.path, open.len));
        }
        if let Err(error) = self.cut_uncut() {
            tracing::error!(%error, "cannot cut the WAL after a failed write; trying again later");
        }
    }

    fn cut_uncut(&mut self) -> io::Result<()> {
        let Some((path, len)) = &self.uncut else { return Ok(()) };
        self.queue.disk.cut(path, *len)?;
        self.uncut = None;
        Ok(())
    }

    /// Notes whether the disk has room for `bytes` and the reserve; returns the problem.
    fn look_at_disk(&self, bytes: u64) -> Option<String> {
        let problem = self.queue.disk.free_bytes(&self.queue.dir).and_then(|free| {
            let needed = self.disk_free_bytes_min.saturating_add(bytes);
            (free < needed).then(|| disk_full(&self.queue.dir, free, self.disk_free_bytes_min))
        });
        self.queue.set_problem(problem.clone());
        problem
    }
}

/// What else is queued already, as far as one fsync should cover it.
fn gather(first: Job, jobs: &Receiver<Job>) -> Vec<Job> {
    let mut bytes = first.bytes();
    let mut group = vec![first];
    while bytes < GROUP_BYTES_MAX {
        let Ok(job) = jobs.try_recv() else { break };
        bytes += job.bytes();
        group.push(job);
    }
    group
}

fn disk_full(dir: &Path, free: u64, min: u64) -> String {
    format!(
        "the disk of {} is full: {} MiB are free and {} MiB are kept in reserve; free some space, \
         logs are taken again by themselves",
        dir.display(),
        free >> 20,
        min >> 20
    )
}

fn describe(error: &io::Error, dir: &Path) -> AppendError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            AppendError::DiskFull(format!(
                "the disk of {} is full; free some space, logs are taken again by themselves",
                dir.display()
            ))
        }
        _ => AppendError::Io(format!("cannot write the WAL in {}: {error}", dir.display())),
    }
}
