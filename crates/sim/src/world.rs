//! A store on a fake disk, what is done to it, and whether it keeps its promises.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use arrow::array::{Array, AsArray, BooleanArray};
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use crossbeam_channel::Receiver;
use futures::poll;
use pugmark_event::fields::{EVENT_SOURCE, ORIGINAL};
use pugmark_event::time::{DAY, MINUTE, Micros};
use pugmark_event::{Batch, BatchBuilder, Records, Value};
use pugmark_parse::{Input, Parser};
use pugmark_store::{
    Aged, AppendError, Appended, Block, Class, ClassId, Classes, Classify, Cold, Depth, Options,
    QuarantineEntry, ReplayFilter, RewriteScope, Scan, Store, StoreError,
};
use tempfile::TempDir;

use crate::disk::{FakeDisk, Session, Weather};
use crate::model::{Kept, Model};
use crate::objects::FakeObjects;
use crate::plan::{Action, BAD, BlockPlan, SOURCES};

/// 2026-11-23T10:00:00Z
const START: Micros = 1_795_428_000_000_000;
/// Room on the disk when nothing else is said.
const DISK_BYTES: u64 = 1 << 30;
const BYTES_COLUMN: &str = "event_original_bytes";
/// Below this much room a flush may fail.
const FLUSH_BYTES: u64 = 16 << 20;
/// Below this much room segments are moved or deleted.
const DISK_BYTES_LOW: u64 = 64 << 10;
/// Name and days of the class that is deleted soon.
const SHORT: (&str, u32) = ("short", 3);
/// Days after which segments move to object storage.
const DAYS_HOT: u32 = 1;
/// How long anything may take before it counts as stuck. Nothing here takes a tenth of it.
const PATIENCE: Duration = Duration::from_secs(20);
/// Durable blocks that may wait. An append beyond it would wait for the one who is to call it.
const BLOCKS_MAX: usize = 40;
/// How often a start may fail while the disk does.
const STARTS_MAX: u32 = 4;

/// What went wrong: a promise that was not kept.
pub(crate) type Violation = String;

pub(crate) struct World {
    dir: TempDir,
    disk: Arc<FakeDisk>,
    objects: Arc<FakeObjects>,
    parser: Arc<Parser>,
    up: Option<Up>,
    model: Model,
    now: Micros,
}

/// The running store.
struct Up {
    store: Arc<Store>,
    blocks: Receiver<Block>,
    /// Acknowledged blocks that were not taken yet.
    waiting: u64,
    /// Everything below is processed.
    processed: i64,
    /// The outcome of a flush is not known.
    undecided: bool,
}

type Answer = Result<Appended, AppendError>;
type Appending<'a> = Pin<Box<dyn Future<Output = Answer> + 'a>>;

impl World {
    /// An empty world, the store started.
    pub(crate) async fn new(seed: u64, parser: Arc<Parser>) -> Result<World, Violation> {
        // In memory where there is such a folder: SQLite syncs, and that is not what is tested.
        let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
        let dir = dir.map_err(|error| format!("no temporary folder: {error}"))?;
        let disk = FakeDisk::new(seed, dir.path(), DISK_BYTES);
        let (model, objects) = (Model::default(), FakeObjects::new(seed));
        let mut world = World { dir, disk, objects, parser, up: None, model, now: START };
        world.start().await?;
        Ok(world)
    }

    /// Does one thing; says what came of it.
    pub(crate) async fn step(&mut self, action: &Action) -> Result<String, Violation> {
        let done = match action {
            Action::Append(plans) => self.append(plans).await?,
            Action::Process(count) => self.process(*count)?,
            Action::Flush => self.flush().await?,
            Action::Compact => self.compact().await?,
            Action::Scan => self.scan().await?,
            Action::Shed(count) => {
                self.up()?.store.shed(SOURCES[0], *count, "the simulator says so");
                String::new()
            }
            Action::Wait(minutes) => {
                self.now += *minutes as i64 * MINUTE;
                String::new()
            }
            Action::Age => {
                let (store, now) = (self.up()?.store.clone(), self.now);
                self.age(async move { store.age(now).await }).await?
            }
            Action::Relieve => {
                let store = self.up()?.store.clone();
                self.age(async move { store.relieve().await }).await?
            }
            Action::Rewrite(source) => self.rewrite(SOURCES[*source]).await?,
            Action::Replay(count) => self.replay(*count).await?,
            Action::Weather(weather) => {
                self.set_weather(*weather);
                String::new()
            }
            Action::Fill(bytes) => {
                self.disk.set_free(*bytes);
                String::new()
            }
            Action::CutPowerIn(calls) => {
                self.disk.cut_power_in(*calls);
                String::new()
            }
            Action::Kill => {
                self.disk.kill();
                String::new()
            }
            Action::CutPower => {
                self.disk.cut_power();
                String::new()
            }
            Action::CutPowerInStart(calls) => {
                self.disk.cut_power();
                self.up = None;
                let session = self.disk.start();
                self.disk.cut_power_in(*calls);
                let opened = self.open(session).await.is_ok();
                self.disk.cut_power();
                format!("opened: {opened}")
            }
            Action::CutPowerInReplay(blocks) => self.cut_in_replay(*blocks).await?,
            Action::Restart => self.stop().await?,
        };
        if self.disk.is_out() {
            let report = self.start().await?;
            return Ok(format!("{done}; {report}"));
        }
        Ok(done)
    }

    /// Everything is taken, flushed, stopped and started: it is all there, nothing is left over.
    pub(crate) async fn finish(&mut self) -> Result<(), Violation> {
        self.disk.keep_power();
        self.set_weather(Weather::CALM);
        self.disk.set_free(DISK_BYTES);
        self.process(u64::MAX)?;
        self.flush().await?;
        self.check().await?;
        self.stop().await?;
        self.nothing_left("wal")?;
        self.start().await?;
        // What could not be removed when it was to be is removed by a start.
        self.nothing_left("tmp")
    }

    fn nothing_left(&self, extension: &str) -> Result<(), Violation> {
        let mut files = self.disk.files().into_iter();
        let left = files.find(|(path, _)| path.extension().is_some_and(|e| e == extension));
        left.map_or(Ok(()), |(path, bytes)| {
            Err(format!("{} ({bytes} bytes) is left", path.display()))
        })
    }

    fn up(&mut self) -> Result<&mut Up, Violation> {
        self.up.as_mut().ok_or_else(|| "the store is not running".to_string())
    }

    fn set_weather(&self, weather: Weather) {
        self.disk.set_weather(weather);
        self.objects.set_fails(weather.objects);
    }

    /// True when a failure has a reason.
    fn is_excused(&self) -> bool {
        !self.is_calm() || self.disk.free() < FLUSH_BYTES
    }

    fn is_calm(&self) -> bool {
        self.disk.weather() == Weather::CALM && !self.disk.is_out()
    }

    async fn append(&mut self, plans: &[BlockPlan]) -> Result<String, Violation> {
        let waiting = self.up()?.waiting as usize;
        if waiting + plans.len() > BLOCKS_MAX {
            self.process((waiting + plans.len() - BLOCKS_MAX) as u64)?;
        }
        let (disk, now) = (self.disk.clone(), self.now);
        let store = self.up()?.store.clone();
        let mut asked: Vec<(Vec<Kept>, Appending<'_>)> = Vec::new();
        let mut answers = Vec::new();
        if plans.len() > 1 {
            disk.hold();
        }
        for plan in plans {
            let source = SOURCES[plan.source];
            let records = plan.records();
            let block: Records = records.iter().map(Vec::as_slice).collect();
            let aside = plan.aside.then(|| "set aside at the door".to_string());
            let kept = |record| Kept { source: source.to_string(), record };
            let kept: Vec<Kept> = records.into_iter().map(kept).collect();
            let mut future: Appending<'_> =
                Box::pin(store.append(source.into(), Arc::new(block), now, None, aside));
            // The first is queued and being written; those that follow are queued behind it, so
            // that they share the next sync whatever the threads do.
            let since = Instant::now();
            let answer = loop {
                match poll!(&mut future) {
                    Poll::Ready(answer) => break Some(answer),
                    Poll::Pending if disk.is_holding() || plans.len() == 1 => break None,
                    Poll::Pending if since.elapsed() > PATIENCE => break None,
                    Poll::Pending => tokio::time::sleep(Duration::from_micros(200)).await,
                }
            };
            match answer {
                Some(answer) => answers.push((kept, answer)),
                None => asked.push((kept, future)),
            }
        }
        disk.release();
        for (kept, future) in asked {
            let answer = tokio::time::timeout(PATIENCE, future).await;
            let answer = answer.map_err(|_| "an append was never answered".to_string())?;
            answers.push((kept, answer));
        }
        self.note(answers)
    }

    /// Holds the store to its answers.
    fn note(&mut self, answers: Vec<(Vec<Kept>, Answer)>) -> Result<String, Violation> {
        let mut said = Vec::new();
        // Those that were answered at once may have been asked later; ids tell the order.
        let (mut taken, refused): (Vec<_>, Vec<_>) =
            answers.into_iter().partition(|(_, answer)| answer.is_ok());
        taken.sort_by_key(|(_, answer)| answer.as_ref().map_or(0, |done| done.first_id));
        for (kept, answer) in taken {
            let Ok(done) = answer else { continue };
            if done.count != kept.len() {
                return Err(format!("{} records of {} were taken", done.count, kept.len()));
            }
            self.model.acknowledge(done.first_id, kept)?;
            self.up()?.waiting += 1;
            said.push(format!("{}+{}", done.first_id, done.count));
        }
        let full = self.disk.free() < FLUSH_BYTES;
        for (kept, answer) in refused {
            let Err(error) = answer else { continue };
            let expected = match &error {
                AppendError::Full => true,
                AppendError::DiskFull(_) => full,
                AppendError::Io(_) => !self.is_calm(),
                AppendError::Closed => self.disk.is_out(),
                AppendError::TooBig { .. } => false,
            };
            if !expected {
                return Err(format!("records were refused for no reason: {error}"));
            }
            if error != AppendError::Full {
                self.model.unknown.push(kept);
            }
            said.push(word(&error).to_string());
        }
        Ok(said.join(" "))
    }

    fn process(&mut self, count: u64) -> Result<String, Violation> {
        let parser = self.parser.clone();
        let up = self.up.as_mut().ok_or("the store is not running")?;
        let count = count.min(up.waiting);
        for _ in 0..count {
            let block = up.take()?;
            self.model.expect(&block)?;
            up.handle(&parser, &block)?;
            up.waiting -= 1;
        }
        Ok(format!("{count} blocks"))
    }

    async fn flush(&mut self) -> Result<String, Violation> {
        let store = self.up()?.store.clone();
        let flushed = tokio::time::timeout(PATIENCE, store.flush()).await;
        let flushed = flushed.map_err(|_| "a flush does not end".to_string())?;
        match &flushed {
            Ok(_) => self.up()?.undecided = false,
            Err(StoreError::Uncertain(_)) => self.up()?.undecided = true,
            Err(_) => {}
        }
        match flushed {
            Ok(done) => Ok(format!("{} events, {} aside", done.events, done.quarantined)),
            Err(_) if !self.is_calm() || self.disk.free() < FLUSH_BYTES => Ok("failed".to_string()),
            Err(error) => Err(format!("a flush failed for no reason: {error}")),
        }
    }

    async fn compact(&mut self) -> Result<String, Violation> {
        let store = self.up()?.store.clone();
        let compacted = tokio::time::timeout(PATIENCE, store.compact()).await;
        match compacted.map_err(|_| "a compaction does not end".to_string())? {
            Ok(done) => Ok(format!("{} made of {}", done.added, done.removed)),
            Err(error) => self.excuse("a compaction", &error),
        }
    }

    /// Lets time or a full disk take their part, after a note of what they may take.
    async fn age(
        &mut self,
        aging: impl Future<Output = Result<Aged, StoreError>>,
    ) -> Result<String, Violation> {
        if self.up()?.undecided {
            return Ok("not asked".to_string());
        }
        let full = self.disk.free() < DISK_BYTES_LOW;
        let before = self.now - i64::from(SHORT.1) * DAY;
        let found = self.found().await?;
        let may = found.events.iter().filter(|(id, kept)| {
            full || (class_of(&kept.source) == ClassId(0) && found.times[id] < before)
        });
        self.model.may_go.extend(may.map(|(id, _)| *id));
        let aged = tokio::time::timeout(PATIENCE, aging).await;
        let done = match aged.map_err(|_| "aging does not end".to_string())? {
            Ok(aged) => format!("{} moved, {} deleted", aged.moved.events, aged.deleted.events),
            Err(error) => self.excuse("aging", &error)?,
        };
        if self.disk.is_out() || self.up()?.undecided {
            return Ok(done);
        }
        let found = self.found().await?;
        let end = self.up()?.processed;
        self.model.compare(&found.all(), end, false)?;
        Ok(done)
    }

    /// Makes the events of a source anew, with one attribute more.
    async fn rewrite(&mut self, source: &str) -> Result<String, Violation> {
        let store = self.up()?.store.clone();
        let scope = RewriteScope { source: source.to_string(), from: None, to: None };
        let rewriting = store.rewrite(&scope, "sim", Arc::new(again), |_| {});
        let done = tokio::time::timeout(PATIENCE, rewriting).await;
        match done.map_err(|_| "a rewrite does not end".to_string())? {
            Ok(done) => Ok(format!("{} of {} segments", done.replaced, done.segments)),
            Err(error) => self.excuse("a rewrite", &error),
        }
    }

    /// Gives records in quarantine another chance; all of them become events now.
    async fn replay(&mut self, count: usize) -> Result<String, Violation> {
        let (store, parser) = (self.up()?.store.clone(), self.parser.clone());
        let replaying = async {
            let ids = store.quarantine_ids(&ReplayFilter::default()).await?;
            let mut batches = Vec::new();
            for (id, _) in ids.into_iter().take(count) {
                let Some(entry) = store.quarantined_record(id).await? else { continue };
                // What is lost stays lost.
                if entry.source != pugmark_store::DAMAGED_SOURCE {
                    batches.push(event_of(&parser, &entry));
                }
            }
            store.replay("sim", batches).await
        };
        let done = tokio::time::timeout(PATIENCE, replaying).await;
        match done.map_err(|_| "a replay of the quarantine does not end".to_string())? {
            Ok(done) => Ok(format!("{done} records")),
            Err(error) => self.excuse("a replay of the quarantine", &error),
        }
    }

    fn excuse(&mut self, what: &str, error: &StoreError) -> Result<String, Violation> {
        self.up()?.undecided |= matches!(error, StoreError::Uncertain(_));
        if self.is_excused() {
            return Ok("failed".to_string());
        }
        Err(format!("{what} failed for no reason: {error}"))
    }

    /// What is processed is found, nothing else, whatever else goes on.
    async fn scan(&mut self) -> Result<String, Violation> {
        let calm = self.is_calm();
        if self.up()?.undecided {
            // The account of a source waits until it is known what the manifest has.
            return Ok("not asked".to_string());
        }
        let up = self.up()?;
        let (store, end) = (up.store.clone(), up.processed);
        match read(&store).await? {
            Ok(found) => {
                self.model.compare(&found.all(), end, false)?;
                Ok(format!("{} records", found.events.len()))
            }
            Err(_) if !calm => Ok("failed".to_string()),
            Err(error) => Err(format!("a scan failed for no reason: {error}")),
        }
    }

    /// An orderly stop. The power is off afterwards.
    async fn stop(&mut self) -> Result<String, Violation> {
        let store = self.up()?.store.clone();
        store.close_intake().await;
        self.process(u64::MAX)?;
        let closed = tokio::time::timeout(PATIENCE, store.close()).await;
        let closed = closed.map_err(|_| "a stop does not end".to_string())?;
        let excused = !self.is_calm() || self.disk.free() < FLUSH_BYTES;
        self.disk.kill();
        drop(store);
        self.up = None;
        match closed {
            Ok(()) => Ok("closed".to_string()),
            Err(_) if excused => Ok("closed, not flushed".to_string()),
            Err(error) => Err(format!("a stop failed for no reason: {error}")),
        }
    }

    async fn cut_in_replay(&mut self, blocks: u64) -> Result<String, Violation> {
        self.disk.cut_power();
        self.up = None;
        let session = self.disk.start();
        let Ok(mut up) = self.open(session).await else {
            self.disk.cut_power();
            return Ok("not opened".to_string());
        };
        let mut taken = 0;
        while taken < blocks && !up.store.is_settled() {
            let block = up.take()?;
            up.handle(&self.parser, &block)?;
            taken += 1;
        }
        self.disk.cut_power();
        Ok(format!("{taken} blocks"))
    }

    async fn open(&self, session: Arc<Session>) -> Result<Up, String> {
        let options = Options {
            wal_segment_bytes_max: 8 << 10,
            memtable_bytes_max: 4 << 20,
            queue_bytes_max: 1 << 20,
            disk_free_bytes_min: 4 << 10,
            blocks_max: BLOCKS_MAX + 8,
            disk_free_bytes_low: DISK_BYTES_LOW,
            classify: Arc::new(BySource([SHORT.0.into(), pugmark_store::DEFAULT_CLASS.into()])),
            classes: classes()?,
            cold: Some(Cold { objects: self.objects.clone(), cache_bytes_max: 1 << 20 }),
            disk: session.clone(),
            gate: session,
            ..Options::default()
        };
        let opened = Store::open(self.dir.path(), options).await;
        let (store, blocks) = opened.map_err(|error| error.to_string())?;
        Ok(Up { store, blocks, waiting: 0, processed: 0, undecided: false })
    }

    /// Starts the store again, takes back what the WAL holds, and checks everything.
    async fn start(&mut self) -> Result<String, Violation> {
        self.up = None;
        let mut starts = 0;
        let mut up = loop {
            if starts >= STARTS_MAX {
                self.set_weather(Weather::CALM);
                self.disk.set_free(DISK_BYTES);
            }
            let session = self.disk.start();
            starts += 1;
            match self.open(session).await {
                Ok(up) => break up,
                Err(error) if starts > STARTS_MAX => {
                    return Err(format!("the store does not open: {error}"));
                }
                Err(_) => self.disk.kill(),
            }
        };
        while !up.store.is_settled() {
            let block = up.take()?;
            up.handle(&self.parser, &block)?;
        }
        let replayed = up.store.recovery().clone();
        self.up = Some(up);
        let found = self.found().await?;
        self.model.settle(&found.all())?;
        let end = self.model.last + 1;
        self.up()?.processed = end;
        self.check().await?;
        Ok(format!("{starts} starts, {replayed:?}, {} records", found.all().len()))
    }

    /// What is in the store; for that long the disk does not fail.
    async fn found(&mut self) -> Result<Found, Violation> {
        let weather = self.disk.weather();
        self.set_weather(Weather::CALM);
        let store = self.up()?.store.clone();
        let found = read(&store).await?;
        self.set_weather(weather);
        found.map_err(|error| format!("the store cannot be read: {error}"))
    }

    /// What `pugmark doctor` would say, at its deepest.
    async fn doctor(&self, store: &Store) -> Result<(), Violation> {
        let weather = self.disk.weather();
        self.set_weather(Weather::CALM);
        let report = pugmark_store::check(store, Depth::Deep).await;
        self.set_weather(weather);
        let report = report.map_err(|error| format!("the check does not run: {error}"))?;
        // A write that power cut short in its middle looks like damage to what was acknowledged:
        // only the model knows better.
        let wrong = report.findings.iter().filter(|f| f.level >= pugmark_store::Level::Wrong);
        let wrong = wrong.into_iter().find(|f| !f.what.contains("in the WAL are damaged"));
        wrong.map_or(Ok(()), |f| Err(format!("{}: {} ({})", f.place, f.what, f.detail)))
    }

    /// All promises, when everything acknowledged is processed.
    async fn check(&mut self) -> Result<(), Violation> {
        let found = self.found().await?;
        self.model.compare(&found.all(), i64::MAX, false)?;
        let end = self.up()?.processed;
        self.model.note_gone(&found.all(), end);
        let weather = self.disk.weather();
        self.set_weather(Weather::CALM);
        let store = self.up()?.store.clone();
        let checked = store.check_ledger().await;
        self.set_weather(weather);
        let checked = checked.map_err(|error| format!("the ledger cannot be read: {error}"))?;
        if !checked.balanced {
            return Err(format!("the ledger does not balance: {}", checked.problems.join("; ")));
        }
        self.doctor(&store).await?;
        let ledger = store.ledger().await.map_err(|error| error.to_string())?;
        let mut stored: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
        for kept in found.events.values() {
            stored.entry(&kept.source).or_default().0 += 1;
        }
        for kept in found.aside.values() {
            stored.entry(&kept.source).or_default().1 += 1;
        }
        for row in &ledger {
            let there = stored.remove(row.source.as_str()).unwrap_or_default();
            let gone = self.model.gone.get(&row.source).copied().unwrap_or(0);
            let received = there.0 + gone + there.1 + row.shed;
            if !row.balanced()
                || (row.stored, row.expired) != (there.0 + gone, gone)
                || (row.quarantined, row.received) != (there.1, received)
            {
                return Err(format!("the account does not fit {there:?} found: {row:?}"));
            }
        }
        match stored.keys().next() {
            Some(source) => Err(format!("{source:?} has records and no account")),
            None => Ok(()),
        }
    }
}

/// The class of a source: what `web` sends is deleted soon.
fn class_of(source: &str) -> ClassId {
    ClassId(u16::from(source != SOURCES[0]))
}

/// Puts events into classes by their source.
#[derive(Debug)]
struct BySource([Arc<str>; 2]);

impl Classify for BySource {
    fn names(&self) -> &[Arc<str>] {
        &self.0
    }

    fn classes(&self, batch: &Batch) -> Vec<ClassId> {
        let sources = batch.text(EVENT_SOURCE);
        let source = |row| sources.map_or("", |sources| sources.value(row));
        (0..batch.rows()).map(|row| class_of(source(row))).collect()
    }
}

fn classes() -> Result<Classes, String> {
    let (name, days) = SHORT;
    let short = Class { days_hot: Some(DAYS_HOT), days_total: Some(days), ..Class::for_ever(name) };
    let rest = Class { days_hot: Some(DAYS_HOT), ..Class::for_ever(pugmark_store::DEFAULT_CLASS) };
    Classes::new(vec![short, rest]).map_err(|error| error.to_string())
}

/// The events with their ids, records and times, and one attribute alone.
fn again(batch: &Batch) -> Result<Batch, String> {
    let (text, bytes) = (batch.text(ORIGINAL), batch.columns().column_by_name(BYTES_COLUMN));
    let source = batch.text(EVENT_SOURCE).map_or("", |sources| sources.value(0));
    let received = batch.received_times().first().copied().unwrap_or_default();
    let mut builder = BatchBuilder::new(source, received);
    for row in 0..batch.rows() {
        let bytes = bytes.map(|b| b.as_binary::<i32>()).filter(|bytes| bytes.is_valid(row));
        let text = text.filter(|text| text.is_valid(row)).map_or("", |text| text.value(row));
        builder.begin(batch.ids()[row], bytes.map_or(text.as_bytes(), |bytes| bytes.value(row)));
        builder.attribute("again", Value::Text("yes"));
        builder.end(Some(batch.event_times()[row]));
    }
    builder.finish().map_err(|error| error.to_string())
}

/// The event of a record in quarantine.
fn event_of(parser: &Parser, entry: &QuarantineEntry) -> Batch {
    let records: Records = [entry.record.as_slice()].into_iter().collect();
    let (source, first_id, received) = (entry.source.as_str(), entry.id, entry.received);
    parser.parse(&Input { source, records: &records, first_id, received, format: None })
}

fn word(error: &AppendError) -> &'static str {
    match error {
        AppendError::Full => "full",
        AppendError::DiskFull(_) => "disk full",
        AppendError::TooBig { .. } => "too big",
        AppendError::Io(_) => "failed",
        AppendError::Closed => "closed",
    }
}

impl Up {
    fn take(&self) -> Result<Block, Violation> {
        let taken = self.blocks.recv_timeout(PATIENCE);
        taken.map_err(|error| format!("an acknowledged block does not come out: {error}"))
    }

    /// What the engine does with a block.
    fn handle(&mut self, parser: &Parser, block: &Block) -> Result<(), Violation> {
        let end = block.first_id + block.records.len() as i64;
        if let Some(reason) = &block.quarantine {
            self.store.quarantine(block, 0..block.records.len(), reason);
        } else {
            let (source, records) = (&*block.source, &*block.records);
            let (first_id, received) = (block.first_id, block.received);
            let input = Input { source, records, first_id, received, format: None };
            let batch = parser.parse(&input);
            let bad = |row: usize| block.records.get(row).starts_with(BAD);
            for row in (0..block.records.len()).filter(|row| bad(*row)) {
                self.store.quarantine(block, row..row + 1, "bad");
            }
            let good: BooleanArray = (0..block.records.len()).map(|row| Some(!bad(row))).collect();
            self.store.insert(batch.filter(&good).map_err(|error| error.to_string())?);
        }
        self.store.processed(end);
        self.processed = end;
        Ok(())
    }
}

/// What was found.
struct Found {
    events: BTreeMap<i64, Kept>,
    times: BTreeMap<i64, Micros>,
    aside: BTreeMap<i64, Kept>,
}

impl Found {
    fn all(&self) -> BTreeMap<i64, Kept> {
        let both = self.events.iter().chain(&self.aside);
        both.map(|(id, kept)| (*id, kept.clone())).collect()
    }
}

/// Everything in the store. The outer error is a broken promise, the inner one a failed read.
async fn read(store: &Store) -> Result<Result<Found, String>, Violation> {
    let names = ["event_id", "event_source", "event_original", BYTES_COLUMN, "event_time"];
    let columns = Some(names.iter().map(|name| (*name).to_string()).collect());
    let (events, times, aside) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    let mut found = Found { events, times, aside };
    for part in store.snapshot().scan(Scan { columns, ..Scan::default() }) {
        for batch in part.read() {
            let batch = match batch {
                Ok(batch) => batch,
                Err(error) => return Ok(Err(error.to_string())),
            };
            let ids = batch.column(0).as_primitive::<Int64Type>();
            let sources = batch.column(1).as_string::<i32>();
            let (text, bytes) = (batch.column(2).as_string::<i32>(), batch.column(3));
            let bytes = bytes.as_binary::<i32>();
            let times = batch.column(4).as_primitive::<TimestampMicrosecondType>();
            for row in 0..batch.num_rows() {
                let record = match (bytes.is_valid(row), text.is_valid(row)) {
                    (true, _) => bytes.value(row).to_vec(),
                    (false, true) => text.value(row).as_bytes().to_vec(),
                    (false, false) => Vec::new(),
                };
                let kept = Kept { source: sources.value(row).to_string(), record };
                found.times.insert(ids.value(row), times.value(row));
                if found.events.insert(ids.value(row), kept).is_some() {
                    return Err(format!("id {} is found twice", ids.value(row)));
                }
            }
        }
    }
    let aside = match store.quarantined(usize::MAX).await {
        Ok(aside) => aside,
        Err(error) => return Ok(Err(error.to_string())),
    };
    for entry in aside {
        let mut record = entry.record;
        if record.len() as u64 != entry.bytes {
            // The list has the start of long records alone.
            record = match store.quarantined_record(entry.id).await {
                Ok(whole) => whole.map(|whole| whole.record).unwrap_or_default(),
                Err(error) => return Ok(Err(error.to_string())),
            };
        }
        let kept = Kept { source: entry.source, record };
        if found.events.contains_key(&entry.id) || found.aside.insert(entry.id, kept).is_some() {
            return Err(format!("id {} is set aside and found", entry.id));
        }
    }
    Ok(Ok(found))
}
