//! The engine: starts the stages, joins them, and stops them in order.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use crossbeam_channel::{Receiver, Sender};
use parking_lot::Mutex;
use pugmark_alert::{Alert, Verdict};
use pugmark_detect::RuleSet;
use pugmark_event::{Batch, Records};
use pugmark_parse::health::{Health, Report, Summary};
use pugmark_query::Search;
use pugmark_store::{Block, Store, StoreError};
use tokio::sync::{broadcast, watch};

use crate::aging;
use crate::care::ReparseState;
use crate::clock::Clock;
use crate::compactor;
use crate::corrections::CorrectionError;
use crate::flusher;
use crate::intake::{Doors, IngestError, Intake, Receipt};
use crate::parsers::ParserBook;
use crate::pipeline::{CostLimit, Pipeline, SharedHealth};
use crate::reader::Reader;
use crate::reloader;
use crate::rulebook::{Origin, OriginError, RuleBook};
use crate::schedule::{Found, Scheduler, Turns};
use crate::self_check::SelfCheck;
use crate::status::{Counters, Status};
use crate::transforms::{self, TransformBook};

/// Notices that a slow listener may lag behind before it misses some. Each may hold the events of a
/// block (about 1 MiB of records), so this also bounds the memory that a slow listener costs.
const NOTICES_MAX: usize = 16;

/// How the engine runs.
#[derive(Debug, Clone)]
pub struct Options {
    /// Longest time that an event waits in memory before it is in a segment.
    pub flush_interval: Duration,
    /// Whether small segments are merged in the background.
    pub compaction: bool,
    /// Time between two checkpoints of rules over time, at least.
    pub checkpoint_interval: Duration,
    /// How often folders with rules are looked at for changes; zero for never.
    pub reload_interval: Duration,
    /// Alerts that a rule may open in a day, unless it says otherwise; 0 for any number.
    pub noise_budget: u64,
    /// What a rule may cost on the stream.
    pub cost_limit: CostLimit,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            flush_interval: Duration::from_secs(10),
            compaction: true,
            checkpoint_interval: Duration::from_secs(10),
            reload_interval: Duration::from_secs(5),
            noise_budget: 100,
            cost_limit: CostLimit::default(),
        }
    }
}

/// Something that a listener may want to show.
#[derive(Debug, Clone)]
#[allow(clippy::large_enum_variant, reason = "a notice always travels behind an Arc")]
pub enum Notice {
    /// An alert was opened or grew, or a person judged it.
    Alert(Alert),
    /// Events became visible to search.
    Events(Batch),
}

/// What can go wrong in the engine.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A folder with rules cannot be read.
    #[error(transparent)]
    Rules(#[from] OriginError),
    /// One reparse at a time.
    #[error("another reparse is under way; try again when it is done")]
    Busy,
}

/// Folders of the user's own; none for nothing of that kind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Folders {
    /// Parser packs.
    pub parsers: Option<PathBuf>,
    /// Transforms.
    pub transforms: Option<PathBuf>,
}

/// What an engine is made of; the binary joins the parts.
pub struct Parts {
    /// The store, and the durable blocks that it hands out.
    pub store: Arc<Store>,
    /// Blocks to process, first those of a replay.
    pub blocks: Receiver<Block>,
    /// Answers questions.
    pub search: Arc<dyn Search>,
    /// Turns records into events.
    pub reader: Arc<Reader>,
    /// What is done to records at the door.
    pub doors: Doors,
    /// Where the user's own packs and transforms come from; looked at for changes.
    pub folders: Folders,
    /// Watches the events.
    pub rules: RuleBook,
    /// Where these rules come from; looked at for changes.
    pub origin: Origin,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
}

/// A running engine. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    store: Arc<Store>,
    search: Arc<dyn Search>,
    reader: Arc<Reader>,
    folders: Folders,
    doors: Doors,
    rules: ArcSwap<RuleBook>,
    origin: Origin,
    /// One reload at a time.
    reloading: tokio::sync::Mutex<()>,
    /// Brings other rules to the pipeline.
    change: Sender<Arc<RuleBook>>,
    /// Brings what scheduled searches found to the pipeline.
    found: Sender<Found>,
    clock: Arc<dyn Clock>,
    intake: Intake,
    reparse: Mutex<ReparseState>,
    notices: broadcast::Sender<Arc<Notice>>,
    counters: Arc<Counters>,
    health: SharedHealth,
    started: i64,
    stop: watch::Sender<bool>,
    pipeline: Mutex<Option<std::thread::JoinHandle<()>>>,
}

impl From<Arc<Inner>> for Engine {
    fn from(inner: Arc<Inner>) -> Self {
        Self { inner }
    }
}

impl Engine {
    /// Starts the pipeline on a thread of its own and the flusher on the current runtime.
    ///
    /// # Panics
    /// Outside of a tokio runtime, or when the system gives no thread.
    pub fn start(parts: Parts, options: Options) -> Engine {
        let (notices, _) = broadcast::channel(NOTICES_MAX);
        let (stop, stopped) = watch::channel(false);
        let watched = stopped.clone();
        let counters = Arc::new(Counters::default());
        let health = SharedHealth::new(Mutex::new(Health::new(0)));
        let rules = Arc::new(parts.rules);
        let pipeline = Pipeline {
            store: parts.store.clone(),
            reader: parts.reader.clone(),
            rules: rules.clone(),
            notices: notices.clone(),
            counters: counters.clone(),
            health: health.clone(),
            runtime: tokio::runtime::Handle::current(),
            checkpoint_interval: options.checkpoint_interval,
            noise_budget: options.noise_budget,
            cost_limit: options.cost_limit,
        };
        let (change, changed) = crossbeam_channel::unbounded();
        let (found, to_raise) = crossbeam_channel::bounded(1);
        let blocks = parts.blocks;
        let thread = std::thread::Builder::new()
            .name("pipeline".into())
            .spawn(move || pipeline.run(&blocks, changed, to_raise))
            .expect("the system gives a thread at the start");
        if options.compaction {
            tokio::spawn(compactor::run(parts.store.clone(), stopped.clone()));
        }
        tokio::spawn(aging::run(parts.store.clone(), parts.clock.clone(), stopped.clone()));
        let check = SelfCheck {
            store: parts.store.clone(),
            clock: parts.clock.clone(),
            notices: notices.clone(),
        };
        tokio::spawn(check.run(stopped.clone()));
        tokio::spawn(flusher::run(parts.store.clone(), options.flush_interval, stopped));
        let inner = Inner {
            intake: Intake::new(parts.store.clone(), parts.clock.clone(), parts.doors.clone()),
            started: parts.clock.now(),
            store: parts.store,
            search: parts.search,
            reader: parts.reader,
            folders: parts.folders,
            doors: parts.doors,
            rules: ArcSwap::new(rules),
            origin: parts.origin,
            reloading: tokio::sync::Mutex::default(),
            change,
            found,
            clock: parts.clock,
            reparse: Mutex::default(),
            notices,
            counters,
            health,
            stop,
            pipeline: Mutex::new(Some(thread)),
        };
        let inner = Arc::new(inner);
        if !options.reload_interval.is_zero() {
            let engine = Arc::downgrade(&inner);
            tokio::spawn(reloader::run(engine, options.reload_interval, watched));
        }
        Engine { inner }
    }

    /// Takes records of a source; the answer comes when they are on disk.
    ///
    /// # Errors
    /// When nothing was taken; see [`IngestError`].
    pub async fn ingest(
        &self,
        source: &str,
        records: Records,
        format: Option<&str>,
    ) -> Result<Receipt, IngestError> {
        self.inner.intake.ingest(source, records, format).await
    }

    /// Counts records that a door had to drop.
    pub fn shed(&self, source: &str, count: u64, reason: &'static str) {
        self.inner.store.shed(source, count, reason);
    }

    /// The store.
    pub fn store(&self) -> &Arc<Store> {
        &self.inner.store
    }

    /// Answers questions.
    pub fn search(&self) -> Arc<dyn Search> {
        self.inner.search.clone()
    }

    /// The rules that watch the stream.
    pub fn rules(&self) -> Arc<RuleSet> {
        self.inner.rules.load().rules.clone()
    }

    /// The same, with those that do not run and why.
    pub fn rule_book(&self) -> Arc<RuleBook> {
        self.inner.rules.load_full()
    }

    /// Reads all rules again and watches the stream with them from the next block on. Rules over
    /// time that did not change keep what they know.
    ///
    /// # Errors
    /// When they cannot be read; the rules of before go on then.
    pub async fn reload_rules(&self) -> Result<(), EngineError> {
        let _one = self.inner.reloading.lock().await;
        let kept = self.inner.store.kept_rules().list().await?;
        let (origin, now) = (self.inner.origin.clone(), self.now());
        let compile = move || Ok(RuleBook::compile(origin.read()?, &kept, now));
        let compiled = tokio::task::spawn_blocking(compile).await;
        let failed = |error: tokio::task::JoinError| {
            EngineError::Store(StoreError::State { what: "rules", message: error.to_string() })
        };
        let book: RuleBook = compiled.map_err(failed)?.map_err(EngineError::Rules)?;
        book.report();
        // The pipeline has gone only when the engine stops.
        let book = Arc::new(book);
        let _ = self.inner.change.send(book.clone());
        self.inner.rules.store(book);
        Ok(())
    }

    /// Where rules come from, beside those written in the product.
    pub(crate) fn origin(&self) -> &Origin {
        &self.inner.origin
    }

    /// What turns records into events.
    pub fn reader(&self) -> Arc<Reader> {
        self.inner.reader.clone()
    }

    /// Reads the transforms again; they are in force from the next block on.
    ///
    /// # Errors
    /// When those that were written in the product cannot be read; the ones of before go on then.
    pub async fn reload_transforms(&self) -> Result<(), EngineError> {
        let _one = self.inner.reloading.lock().await;
        let dir = self.inner.folders.transforms.clone();
        let kept = self.inner.store.kept_transforms().list().await?;
        let compile = move || {
            let found = dir.as_deref().map(transforms::read_folder).unwrap_or_default();
            TransformBook::compile(found, kept)
        };
        let compiled = tokio::task::spawn_blocking(compile).await;
        let book = compiled.map_err(|error| StoreError::State {
            what: "transforms",
            message: error.to_string(),
        })?;
        book.report();
        self.inner.reader.change(book);
        Ok(())
    }

    /// Corrects the clock of a source by so many seconds, for records that are received from two
    /// seconds after now on; 0 takes the correction off. What was received before stays as it is.
    ///
    /// # Errors
    /// When it is no correction, or cannot be written down; see [`CorrectionError`].
    pub async fn correct_clock(
        &self,
        source: &str,
        seconds: i64,
        actor: &str,
        reason: &str,
    ) -> Result<(), CorrectionError> {
        let _one = self.inner.reloading.lock().await;
        let (known, now) = (self.inner.reader.corrections(), self.now());
        let Some(next) = known.next(source, seconds, (actor, reason), now)? else { return Ok(()) };
        self.inner.store.kept_corrections().add(&next, now).await?;
        self.inner.reader.change_corrections(known.with(next));
        Ok(())
    }

    /// Reads the packs of the user's own again; they are in force from the next block on.
    ///
    /// # Errors
    /// When a pack in the binary is broken, which a test rules out.
    pub async fn reload_parsers(&self) -> Result<(), EngineError> {
        let _one = self.inner.reloading.lock().await;
        let dir = self.inner.folders.parsers.clone();
        let load = move || ParserBook::load(dir.as_deref()).map_err(|error| error.to_string());
        let loaded = tokio::task::spawn_blocking(load).await;
        let failed = |message| EngineError::Store(StoreError::State { what: "parsers", message });
        let book = loaded.map_err(|error| failed(error.to_string()))?.map_err(failed)?;
        book.report();
        self.inner.reader.change_parsers(book);
        Ok(())
    }

    /// Where the user's own packs and transforms come from.
    pub fn folders(&self) -> &Folders {
        &self.inner.folders
    }

    /// How the reparse that was started last is.
    pub(crate) fn reparse_cell(&self) -> &Mutex<ReparseState> {
        &self.inner.reparse
    }

    /// Runs saved searches as their schedules say, from now on until the engine stops. To be called
    /// once, by who answers questions: `turns` says when a search may run.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn schedule(&self, turns: Arc<dyn Turns>) {
        let inner = &self.inner;
        let scheduler = Scheduler {
            store: inner.store.clone(),
            search: inner.search.clone(),
            clock: inner.clock.clone(),
            turns,
            pipeline: inner.found.clone(),
        };
        tokio::spawn(scheduler.run(inner.stop.subscribe()));
    }

    /// The time.
    pub fn now(&self) -> i64 {
        self.inner.clock.now()
    }

    /// Counters since the start.
    pub fn counters(&self) -> &Counters {
        &self.inner.counters
    }

    /// How each source is, in short, by its name.
    pub fn source_states(&self) -> BTreeMap<String, Summary> {
        let health = self.inner.health.lock();
        health.summaries().map(|(name, summary)| (name.to_string(), summary)).collect()
    }

    /// All that is known about what the records of a source look like; `None` before its first.
    pub fn source_health(&self, source: &str) -> Option<Report> {
        self.inner.health.lock().report(source)
    }

    /// Alerts and events from now on. A listener that lags misses some and is told how many.
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<Notice>> {
        self.inner.notices.subscribe()
    }

    /// The state of the engine.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn status(&self) -> Result<Status, EngineError> {
        let inner = &self.inner;
        let now = inner.clock.now();
        let usage = inner.store.usage();
        let problem = inner.store.problem();
        let ledger = inner.store.ledger().await?;
        let by_severity = inner.store.alerts().counts_by_severity().await?;
        Ok(Status {
            version: env!("CARGO_PKG_VERSION"),
            started: inner.started,
            uptime_seconds: (now - inner.started).max(0) as u64 / 1_000_000,
            events: usage.events,
            events_per_second: inner.counters.rate(now),
            raw_bytes: usage.raw_bytes,
            disk_bytes: usage.disk_bytes,
            wal_bytes: usage.wal_bytes,
            segments: usage.segments,
            rules: inner.rules.load().rules.rules().iter().filter(|rule| !rule.silent).count()
                as u64,
            detections: inner.counters.detections(),
            not_understood: inner.counters.not_understood(),
            pending_records: inner.store.pending_records(),
            forgotten: inner.counters.forgotten(),
            throttled: inner.counters.throttled(),
            transforms: inner.reader.trouble(),
            masked: inner.doors.masking.as_ref().map(|m| m.counts()).unwrap_or_default(),
            folded: ledger.iter().map(|row| row.folded).sum(),
            open_alerts: by_severity.into_iter().collect(),
            sources: ledger.len() as u64,
            taking_logs: problem.is_none(),
            problem,
        })
    }

    /// Records a person's judgement: a verdict closes the alert, none opens it again. Returns the
    /// alert, or `None` when there is none of that id.
    ///
    /// # Errors
    /// When the store refuses.
    pub async fn set_verdict(
        &self,
        alert_id: &str,
        verdict: Option<Verdict>,
        note: &str,
    ) -> Result<Option<Alert>, EngineError> {
        let alerts = self.inner.store.alerts();
        let Some(mut alert) = alerts.get(alert_id).await? else { return Ok(None) };
        pugmark_alert::judge(&mut alert, verdict, note, self.inner.clock.now());
        alerts.upsert(&alert).await?;
        let _ = self.inner.notices.send(Arc::new(Notice::Alert(alert.clone())));
        Ok(Some(alert))
    }

    /// Waits until every acknowledged record is visible to search.
    pub async fn settle(&self) {
        while !self.inner.store.is_settled() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Stops in order: no more records, the rest of the queue processed, memory in segments.
    ///
    /// # Errors
    /// When the last flush fails; nothing is lost then, the WAL still has the events.
    pub async fn stop(&self) -> Result<(), EngineError> {
        let _ = self.inner.stop.send(true);
        self.inner.store.close_intake().await;
        let pipeline = self.inner.pipeline.lock().take();
        if let Some(thread) = pipeline {
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
        self.inner.store.close().await?;
        Ok(())
    }
}
