//! Rules over stored events: the same matcher as on the stream, fed by the store.
//!
//! Only rows that may match are read, and of those only the columns that the rules look at: the
//! store leaves out blocks without the rules' log sources, a small rule set then decides itself
//! which rows are wanted ([`Keep`]). What matched is sorted by the ids of the events, the order in
//! which the stream had them, so a [`Detector`](pugmark_detect::Detector) that follows it finds
//! what it would have found then.

use std::collections::{BTreeSet, HashMap};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow::array::{AsArray, BooleanArray, RecordBatch};
use arrow::datatypes::Int64Type;
use pugmark_detect::{Detection, Detector, Firing, Hit, RuleSet};
use pugmark_event::fields::{self, ATTRIBUTE_KINDS, ATTRIBUTES, FieldId};
use pugmark_event::time::Micros;
use pugmark_event::{Batch, batch::BatchError};
use pugmark_store::{AnyOf, Keep, PruneValue, Scan, ScanPart, Snapshot, StoreError};

pub use runs::{Sorted, SortedHits};

mod runs;

/// Rules up to which rows are chosen before the columns beyond are read; more rules match so often
/// that they would be asked twice.
const KEEP_RULES_MAX: usize = 16;
/// Batches of hits that wait for whoever takes them.
const WAITING_MAX: usize = 64;

/// Why stored events could not be looked at.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The store gave something that is no event.
    #[error(transparent)]
    Batch(#[from] BatchError),
    /// What matched could not be put aside.
    #[error(
        "cannot put aside what matched, in the folder for temporary files: {0}; \
         it needs room for what all rules match"
    )]
    Aside(#[source] std::io::Error),
    /// Whoever asked does not want it any more.
    #[error("stopped before the end")]
    Stopped,
}

/// Stored events of some time.
#[derive(Debug, Clone)]
pub struct History {
    /// Everything that was stored at some moment.
    pub snapshot: Snapshot,
    /// Earliest event time, inclusive.
    pub from: Option<Micros>,
    /// Latest event time, exclusive.
    pub to: Option<Micros>,
    /// Smallest and largest event id, both inclusive.
    pub ids: Option<(i64, i64)>,
    /// Folder for what does not fit in memory; `None` is that of the system.
    pub aside: Option<PathBuf>,
    /// Threads that read, at most.
    pub threads_max: usize,
}

/// How far the reading is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Progress {
    /// Events looked at or left out.
    pub done: u64,
    /// Events to look at.
    pub events: u64,
    /// Events that rules matched so far.
    pub hits: u64,
}

/// What a thread that reads has to say.
enum Said {
    Hits(Vec<Hit>),
    /// A part with so many events is done.
    Done(u64),
    Failed(HistoryError),
}

impl History {
    /// Everything in a snapshot.
    pub fn new(snapshot: Snapshot) -> Self {
        Self { snapshot, from: None, to: None, ids: None, aside: None, threads_max: usize::MAX }
    }

    /// The events that the rules match, with the order of their ids. `watch` hears how far it is
    /// and of new hits, in no order, and may stop it. Uses every core.
    ///
    /// # Errors
    /// When the store cannot be read, or `watch` stopped it.
    pub fn hits(
        &self,
        rules: &Arc<RuleSet>,
        watch: &mut dyn FnMut(Progress, &[Hit]) -> ControlFlow<()>,
    ) -> Result<SortedHits, HistoryError> {
        let parts = self.snapshot.scan(self.scan(rules));
        let mut progress =
            Progress { done: 0, events: parts.iter().map(ScanPart::rows).sum(), hits: 0 };
        let mut found = SortedHits::new(self.aside.clone());
        let next = AtomicUsize::new(0);
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        std::thread::scope(|scope| {
            let (said, heard) = crossbeam_channel::bounded(WAITING_MAX);
            for _ in 0..threads.min(parts.len()).min(self.threads_max) {
                let (said, next, parts) = (said.clone(), &next, &parts);
                scope.spawn(move || {
                    while let Some(part) = parts.get(next.fetch_add(1, Ordering::Relaxed)) {
                        if read(rules, part, &said).is_none() {
                            return;
                        }
                    }
                });
            }
            drop(said);
            for said in heard {
                let mut hits = Vec::new();
                match said {
                    Said::Hits(more) => hits = more,
                    Said::Done(events) => progress.done += events,
                    Said::Failed(error) => return Err(error),
                }
                progress.hits += hits.len() as u64;
                if watch(progress, &hits).is_break() {
                    return Err(HistoryError::Stopped);
                }
                hits.iter().try_for_each(|hit| found.push(hit))?;
            }
            Ok(found)
        })
    }

    /// Gives every detection of the rules to `each`, in the order of the stream, with the hit that
    /// completed it. `watch` hears how far the reading is and may stop it.
    ///
    /// # Errors
    /// When the store cannot be read, or `watch` stopped it.
    pub fn follow(
        &self,
        rules: &Arc<RuleSet>,
        watch: &mut dyn FnMut(Progress) -> ControlFlow<()>,
        each: &mut dyn FnMut(&Hit, Firing),
    ) -> Result<Progress, HistoryError> {
        let mut last = Progress::default();
        let mut note = |progress: Progress, _: &[Hit]| {
            last = progress;
            watch(progress)
        };
        let hits = self.hits(rules, &mut note)?.read()?;
        let mut detector = Detector::new(rules.clone());
        for hit in hits {
            let hit = hit?;
            detector.follow(&hit).into_iter().for_each(|firing| each(&hit, firing));
        }
        Ok(last)
    }

    /// The events with these ids, of a time from one moment up to before another, with all that
    /// they have.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn events(
        &self,
        ids: BTreeSet<i64>,
        (from, to): (Micros, Micros),
    ) -> Result<Vec<Batch>, HistoryError> {
        let (Some(&first), Some(&last)) = (ids.first(), ids.last()) else { return Ok(Vec::new()) };
        let scan = Scan {
            from: Some(from),
            to: Some(to),
            ids: Some((first, last)),
            keep: Some(Arc::new(Among(ids))),
            ..Scan::default()
        };
        let parts = self.snapshot.scan(scan).into_iter();
        parts.flat_map(ScanPart::read).map(|batch| Ok(Batch::new(batch?)?)).collect()
    }

    /// The detections of some firings, each with the time of the event that completed it, and with
    /// what that event shows.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn explained(
        &self,
        rules: &RuleSet,
        found: Vec<(Micros, Firing)>,
    ) -> Result<Vec<Detection>, HistoryError> {
        let times = || found.iter().map(|(time, _)| *time);
        let (Some(from), Some(to)) = (times().min(), times().max()) else { return Ok(Vec::new()) };
        let ids = found.iter().map(|(_, firing)| firing.detection.event_id).collect();
        let batches = self.events(ids, (from, to.saturating_add(1)))?;
        let rows = batches.iter().flat_map(|batch| {
            batch.ids().iter().enumerate().map(move |(row, id)| (*id, (batch, row)))
        });
        let places: HashMap<i64, (&Batch, usize)> = rows.collect();
        let explained = found.into_iter().map(|(_, Firing { mut detection, matched })| {
            if let Some(&(batch, row)) = places.get(&detection.event_id) {
                detection.why.extend(rules.explain(matched, batch, row));
            }
            detection
        });
        Ok(explained.collect())
    }

    fn scan(&self, rules: &Arc<RuleSet>) -> Scan {
        let needs = rules.needs();
        let matching = columns(&needs.matching);
        let few = rules.rules().len() <= KEEP_RULES_MAX;
        let keep = few.then(|| {
            Arc::new(Matching { rules: rules.clone(), columns: matching.clone() }) as Arc<dyn Keep>
        });
        let sources = [fields::PRODUCT, fields::CATEGORY, fields::SERVICE];
        let any_of = sources.iter().zip(needs.sources).filter_map(|(field, values)| {
            let values = values?.into_iter().map(PruneValue::Text).collect();
            Some(AnyOf { column: field.column().to_string(), values })
        });
        let beyond = needs.hits.iter().map(|field| field.column().to_string());
        Scan {
            columns: Some(matching.iter().cloned().chain(beyond).collect()),
            from: self.from,
            to: self.to,
            ids: self.ids,
            any_of: any_of.collect(),
            attributes: needs.attributes.map(Arc::new),
            parts: needs.record_parts.unwrap_or_default().into_iter().collect(),
            keep,
            ..Scan::default()
        }
    }
}

/// Columns of these fields, and the attributes.
fn columns(fields: &[FieldId]) -> Vec<String> {
    let own = [ATTRIBUTES, ATTRIBUTE_KINDS.column()];
    let fields = fields.iter().map(|field| field.column()).filter(|column| !own.contains(column));
    fields.chain(own).map(str::to_string).collect()
}

/// Reads one part. `None` when nobody listens any more.
fn read(
    rules: &Arc<RuleSet>,
    part: &ScanPart,
    said: &crossbeam_channel::Sender<Said>,
) -> Option<()> {
    for batch in part.clone().read() {
        let hits = batch.map_err(HistoryError::from).and_then(|batch| {
            let batch = Batch::new(batch)?;
            Ok(rules.hits(&batch))
        });
        match hits {
            Ok(hits) if hits.is_empty() => {}
            Ok(hits) => said.send(Said::Hits(hits)).ok()?,
            Err(error) => {
                let _ = said.send(Said::Failed(error));
                return None;
            }
        }
    }
    said.send(Said::Done(part.rows())).ok()
}

/// Keeps the rows that the rules match.
#[derive(Debug)]
struct Matching {
    rules: Arc<RuleSet>,
    columns: Vec<String>,
}

impl Keep for Matching {
    fn columns(&self) -> Vec<String> {
        self.columns.clone()
    }

    fn keep(&self, batch: &RecordBatch) -> BooleanArray {
        let mut keep = vec![false; batch.num_rows()];
        match Batch::new(batch.clone()) {
            Ok(batch) => {
                self.rules.matches(&batch).iter().for_each(|found| keep[found.row as usize] = true)
            }
            // Whatever is wrong with it is said where its rows are read.
            Err(_) => keep.fill(true),
        }
        keep.into()
    }
}

/// Keeps the events with some ids.
#[derive(Debug)]
struct Among(BTreeSet<i64>);

impl Keep for Among {
    fn columns(&self) -> Vec<String> {
        vec![fields::EVENT_ID.column().to_string()]
    }

    fn keep(&self, batch: &RecordBatch) -> BooleanArray {
        let ids = batch.column(0).as_primitive::<Int64Type>().values();
        ids.iter().map(|id| Some(self.0.contains(id))).collect()
    }
}
