//! What a question does while it runs: what is read, and the time of each step.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use datafusion::physical_plan::{ExecutionPlan, displayable};
use parking_lot::Mutex;
use pugmark_query::explain::{Explanation, Progress, Reading, Step};
use pugmark_store::{Meter, ScanPart};

/// Characters of a step's detail; a list of columns can be long.
const DETAIL_CHARS_MAX: usize = 300;

/// Takes down what one question does.
#[derive(Debug)]
pub(crate) struct Trace {
    pub(crate) meter: Arc<Meter>,
    began: Mutex<Instant>,
    done: Mutex<Vec<Done>>,
    /// Events in the parts that are to be read, and in those that are done.
    events: AtomicU64,
    events_done: AtomicU64,
}

#[derive(Debug)]
enum Done {
    Step(Step),
    /// Steps that DataFusion counts itself while they run.
    Plan(Arc<dyn ExecutionPlan>),
}

impl Trace {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            meter: Arc::default(),
            began: Mutex::new(Instant::now()),
            done: Mutex::default(),
            events: AtomicU64::new(0),
            events_done: AtomicU64::new(0),
        })
    }

    /// These parts are going to be read.
    pub(crate) fn to_read(&self, parts: &[ScanPart]) {
        let events = parts.iter().map(ScanPart::rows).sum();
        self.events.fetch_add(events, Ordering::Relaxed);
    }

    /// A part was read, or ruled out.
    pub(crate) fn part_done(&self, part: &ScanPart) {
        self.events_done.fetch_add(part.rows(), Ordering::Relaxed);
    }

    /// How far the answer is.
    pub(crate) fn progress(&self) -> Progress {
        Progress {
            events: self.events.load(Ordering::Relaxed),
            events_done: self.events_done.load(Ordering::Relaxed),
            bytes_read: self.meter.bytes_read.get(),
            took_us: micros(self.elapsed()),
        }
    }

    /// The question begins now, however long ago it was planned.
    pub(crate) fn begin(&self) {
        *self.began.lock() = Instant::now();
    }

    /// Time since the question.
    pub(crate) fn elapsed(&self) -> Duration {
        self.began.lock().elapsed()
    }

    /// A step took so long and gave so many rows.
    pub(crate) fn step(&self, name: &str, detail: String, rows: usize, took: Duration) {
        let (name, rows, took_us) = (name.to_string(), rows as u64, micros(took));
        self.done.lock().push(Done::Step(Step { name, detail, rows, took_us }));
    }

    /// A plan is about to run.
    pub(crate) fn plan(&self, plan: Arc<dyn ExecutionPlan>) {
        self.done.lock().push(Done::Plan(plan));
    }

    /// All of it, once the answer with so many rows has ended.
    pub(crate) fn explanation(&self, rows: u64) -> Explanation {
        let mut steps = Vec::new();
        for done in self.done.lock().iter() {
            match done {
                Done::Step(step) => steps.push(step.clone()),
                Done::Plan(plan) => steps_of(plan, &mut steps),
            }
        }
        Explanation { reading: self.reading(), steps, rows, took_us: micros(self.elapsed()) }
    }

    /// What was read so far.
    pub(crate) fn reading(&self) -> Reading {
        let meter = &self.meter;
        Reading {
            segments: meter.segments.get(),
            segments_read: meter.segments_read(),
            row_groups: meter.row_groups.get(),
            row_groups_read: meter.row_groups_read(),
            events: meter.rows.get(),
            events_read: meter.rows_read.get(),
            bytes_read: meter.bytes_read.get(),
        }
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// The operators of a plan, those that read first.
fn steps_of(plan: &Arc<dyn ExecutionPlan>, steps: &mut Vec<Step>) {
    plan.children().into_iter().for_each(|child| steps_of(child, steps));
    let Some(name) = name_of(plan.name()) else { return };
    let metrics = plan.metrics().unwrap_or_default();
    let nanos = metrics.elapsed_compute().unwrap_or(0) as u64;
    let detail = displayable(plan.as_ref()).one_line().to_string();
    steps.push(Step {
        name: name.to_string(),
        detail: detail.trim().chars().take(DETAIL_CHARS_MAX).collect(),
        rows: metrics.output_rows().unwrap_or(0) as u64,
        took_us: nanos / 1000,
    });
}

/// A plain word for an operator; none for those that only hand rows on.
fn name_of(operator: &str) -> Option<&str> {
    Some(match operator {
        "EventsScan" => "read events",
        "FilterExec" => "filter",
        "ProjectionExec" => "compute",
        "AggregateExec" => "group",
        "SortExec" | "SortPreservingMergeExec" => "sort",
        "GlobalLimitExec" | "LocalLimitExec" => "limit",
        "HashJoinExec" | "NestedLoopJoinExec" | "SortMergeJoinExec" => "join",
        "UnionExec" | "InterleaveExec" => "union",
        "BoundedWindowAggExec" | "WindowAggExec" => "compare rows",
        "CoalesceBatchesExec"
        | "CoalescePartitionsExec"
        | "RepartitionExec"
        | "CooperativeExec" => return None,
        other => other,
    })
}
