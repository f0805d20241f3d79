//! What a question does while it runs: what is read, and the time of each step.

use std::sync::Arc;
use std::time::Instant;

use datafusion::physical_plan::{ExecutionPlan, displayable};
use parking_lot::Mutex;
use pugmark_query::explain::{Explanation, Reading, Step};
use pugmark_store::Meter;

/// Characters of a step's detail; a list of columns can be long.
const DETAIL_CHARS_MAX: usize = 300;

/// Takes down what one question does.
#[derive(Debug)]
pub(crate) struct Trace {
    pub(crate) meter: Arc<Meter>,
    began: Instant,
    done: Mutex<Vec<Done>>,
}

#[derive(Debug)]
enum Done {
    Step(Step),
    /// Steps that DataFusion counts itself while they run.
    Plan(Arc<dyn ExecutionPlan>),
}

impl Trace {
    pub(crate) fn new() -> Arc<Self> {
        let (meter, began, done) = (Arc::default(), Instant::now(), Mutex::default());
        Arc::new(Self { meter, began, done })
    }

    /// A step that began at `since` has ended and gave so many rows.
    pub(crate) fn step(&self, name: &str, detail: String, rows: usize, since: Instant) {
        let (name, rows) = (name.to_string(), rows as u64);
        self.done.lock().push(Done::Step(Step { name, detail, rows, took_us: micros(since) }));
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
        let meter = &self.meter;
        let reading = Reading {
            segments: meter.segments.get(),
            segments_read: meter.segments_read(),
            row_groups: meter.row_groups.get(),
            row_groups_read: meter.row_groups_read(),
            events: meter.rows.get(),
            events_read: meter.rows_read.get(),
            bytes_read: meter.bytes_read.get(),
        };
        Explanation { reading, steps, rows, took_us: micros(self.began) }
    }
}

fn micros(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX)
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
