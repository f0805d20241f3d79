//! Users' transforms: programs in VRL that change events after the parser, per source.
//!
//! A program sees one event and nothing else: no clock, no chance, no files, no network, so that
//! the same bytes give the same event again. It is bounded in size, in steps, and in what it leaves
//! behind. Whatever it does, no record is lost: an event whose program fails stays as the parser
//! made it, with an issue that says so ([`FAILED`], [`ABORTED`], [`LIMIT`], [`SLOW`]).

use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use pugmark_event::{Batch, BatchBuilder};
use vrl::compiler::runtime::{Runtime, Terminate};
use vrl::compiler::{ExpressionError, TargetValue, TimeZone};
use vrl::value::{ObjectMap, Secrets, Value as Vrl};

mod event;
pub mod functions;
mod nesting;
mod source;

pub use source::{
    PROGRAM_BYTES_MAX, Problem, TEXT_BYTES_MAX, Transform, TransformSource, TransformTest,
};

use event::{Event, Events};
use source::STACK_BYTES;

/// The issue of an event whose program ended in an error.
pub const FAILED: &str = "transform_failed";
/// The issue of an event whose program called `abort` or deleted everything.
pub const ABORTED: &str = "transform_aborted";
/// The issue of an event that was too large for a program, or that a program made too large, or
/// that took too many steps.
pub const LIMIT: &str = "transform_limit";
/// The issue of an event whose program was taking too long.
pub const SLOW: &str = "transform_slow";

/// Bytes of the values of an event that a program is given at most; its record comes with them.
pub const EVENT_BYTES_MAX: usize = 256 << 10;
/// Expressions that a program may evaluate for one event.
pub const STEPS_MAX: usize = 10_000;
/// Time that a program may take for one event. Steps end far before it, unless one step is huge.
pub const EVENT_TIME_MAX: Duration = Duration::from_secs(1);
/// Time that a program may take for a block of events, besides [`EVENT_TIME_SHARE`] for each.
pub const BLOCK_TIME: Duration = Duration::from_millis(500);
/// Time that a program may take for an event of a block, on average.
pub const EVENT_TIME_SHARE: Duration = Duration::from_micros(500);
/// Steps between two looks at the time.
const STEPS_PER_LOOK: usize = 16;
/// Longest reason in characters.
const REASON_CHARS_MAX: usize = 300;

/// Compiled transforms, in the order of their names. Holds nothing that changes.
#[derive(Debug, Default)]
pub struct Transforms {
    list: Vec<Transform>,
}

/// What one transform did to the events of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Name of the transform.
    pub name: String,
    /// Events that it was for.
    pub events: u64,
    /// Of these, those that stayed as they were because it failed.
    pub failed: u64,
    /// Why the first of them did.
    pub reason: Option<String>,
    /// Time that it took.
    pub took: Duration,
}

/// Why an event stays as it was.
struct Failure {
    issue: &'static str,
    reason: String,
}

impl Failure {
    fn new(issue: &'static str, reason: impl Into<String>) -> Self {
        let reason = reason.into().chars().take(REASON_CHARS_MAX).collect();
        Self { issue, reason }
    }
}

impl Transforms {
    /// Compiles texts. One that is broken is left out, with what is wrong; the others work.
    pub fn compile(sources: &[TransformSource]) -> (Transforms, Vec<Problem>) {
        let (mut list, mut problems) = (Vec::new(), Vec::new());
        for source in sources {
            match source::compile(source) {
                Ok(transform) => list.push(transform),
                Err(found) => problems.extend(found),
            }
        }
        list.sort_by(|a, b| a.name.cmp(&b.name));
        (Transforms { list }, problems)
    }

    /// The transforms that compiled, in the order in which they run.
    pub fn list(&self) -> &[Transform] {
        &self.list
    }

    /// True when some transform is for this source.
    pub fn concerns(&self, source: &str) -> bool {
        self.list.iter().any(|transform| transform.is_for(source))
    }

    /// Runs the transforms that are for `source`, one after the other, over each event. Rows, ids,
    /// records and their order stay. `elapsed` says how much time has passed since some moment.
    ///
    /// A batch that no transform is for comes back as it is. Events must be of one block: received
    /// at one time.
    pub fn apply(
        &self,
        source: &str,
        batch: Batch,
        elapsed: &dyn Fn() -> Duration,
    ) -> (Batch, Vec<Outcome>) {
        let mine: Vec<&Transform> = self.list.iter().filter(|t| t.is_for(source)).collect();
        if mine.is_empty() || batch.rows() == 0 {
            return (batch, Vec::new());
        }
        stacker::grow(STACK_BYTES, || {
            let mut runs: Vec<Run<'_>> =
                mine.into_iter().map(|transform| Run::new(transform, batch.rows())).collect();
            let written = write(source, &batch, &mut runs, elapsed);
            (written, runs.into_iter().map(|run| run.outcome).collect())
        })
    }
}

fn write(
    source: &str,
    batch: &Batch,
    runs: &mut [Run<'_>],
    elapsed: &dyn Fn() -> Duration,
) -> Batch {
    let received = batch.received_times().first().copied().unwrap_or_default();
    let raw_bytes = (0..batch.rows()).map(|row| batch.original(row).len()).sum();
    let mut builder = BatchBuilder::with_capacity(source, received, batch.rows(), raw_bytes);
    let events = Events::new(batch);
    // A second program goes on where the first left off, also when it fails.
    let several = runs.len() > 1;
    for row in 0..batch.rows() {
        let mut issues = Vec::new();
        let mut event = None;
        for run in runs.iter_mut() {
            let event = event.get_or_insert_with(|| events.event(row));
            if let Err(failure) = run.over(event, several, events.bytes(row), elapsed) {
                issues.push(failure.issue);
                run.outcome.failed += 1;
                run.outcome.reason.get_or_insert(failure.reason);
            }
        }
        match event.filter(|_| issues.len() < runs.len()) {
            Some(event) => events.write(row, event, &issues, &mut builder),
            None => events.copy(row, &issues, &mut builder),
        }
    }
    builder.finish().expect("the builder keeps its columns in step")
}

/// One transform on its way through a batch.
struct Run<'t> {
    transform: &'t Transform,
    runtime: Runtime,
    zone: TimeZone,
    /// Time that it may take for this batch.
    time_max: Duration,
    outcome: Outcome,
}

impl<'t> Run<'t> {
    fn new(transform: &'t Transform, rows: usize) -> Self {
        let name = transform.name.clone();
        let rows = u32::try_from(rows).unwrap_or(u32::MAX);
        Self {
            transform,
            runtime: Runtime::default(),
            zone: TimeZone::parse("UTC").expect("the list of zones has UTC"),
            time_max: BLOCK_TIME.saturating_add(EVENT_TIME_SHARE.saturating_mul(rows)),
            outcome: Outcome { name, events: 0, failed: 0, reason: None, took: Duration::ZERO },
        }
    }

    /// Changes the event. When it fails, the event is as it was if `keep` says so.
    fn over(
        &mut self,
        event: &mut Event<'_>,
        keep: bool,
        bytes: usize,
        elapsed: &dyn Fn() -> Duration,
    ) -> Result<(), Failure> {
        self.outcome.events += 1;
        if bytes > EVENT_BYTES_MAX {
            let reason = format!("the event has {bytes} bytes; a program takes {EVENT_BYTES_MAX}");
            return Err(Failure::new(LIMIT, reason));
        }
        if self.outcome.took > self.time_max {
            let reason = format!("it took {:?} for this block of events", self.outcome.took);
            return Err(Failure::new(SLOW, reason));
        }
        let begun = elapsed();
        let object = match keep {
            true => event.object.clone(),
            false => std::mem::replace(&mut event.object, Vrl::Null),
        };
        let changed = self.run(object, begun, elapsed);
        self.outcome.took += elapsed().saturating_sub(begun);
        event.object = changed?;
        Ok(())
    }

    fn run(
        &mut self,
        object: Vrl,
        begun: Duration,
        elapsed: &dyn Fn() -> Duration,
    ) -> Result<Vrl, Failure> {
        let mut target = TargetValue {
            value: object,
            metadata: Vrl::Object(ObjectMap::new()),
            secrets: Secrets::default(),
        };
        let (mut steps, mut slow) = (0, false);
        let mut control = || {
            steps += 1;
            slow = steps % STEPS_PER_LOOK == 0 && elapsed().saturating_sub(begun) > EVENT_TIME_MAX;
            match slow || steps > STEPS_MAX {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        };
        let (runtime, program) = (&mut self.runtime, &self.transform.program);
        // The library may have a defect; the record must not suffer from it.
        let result = catch_unwind(AssertUnwindSafe(|| {
            runtime.resolve_with_control(&mut target, program, &self.zone, &mut control)
        }));
        self.runtime.clear();
        match result {
            Ok(Ok(_)) => {}
            Ok(Err(Terminate::Interrupted)) if slow => {
                return Err(Failure::new(SLOW, format!("an event took over {EVENT_TIME_MAX:?}")));
            }
            Ok(Err(Terminate::Interrupted)) => {
                return Err(Failure::new(LIMIT, format!("an event took over {STEPS_MAX} steps")));
            }
            Ok(Err(Terminate::Abort(error))) => return Err(aborted(error)),
            Ok(Err(Terminate::Error(error))) => {
                return Err(Failure::new(FAILED, self.transform.located(&error.to_string())));
            }
            Err(_) => return Err(Failure::new(FAILED, "VRL panicked: a defect of the library")),
        }
        match &target.value {
            Vrl::Object(object) if object.is_empty() => {
                Err(Failure::new(ABORTED, "the program deleted the whole event"))
            }
            Vrl::Object(_) => {
                event::measure(&target.value).map_err(|reason| Failure::new(LIMIT, reason))?;
                Ok(target.value)
            }
            _ => Err(Failure::new(FAILED, "the program left something else than an object")),
        }
    }
}

fn aborted(error: ExpressionError) -> Failure {
    match error {
        ExpressionError::Abort { message: Some(message), .. } => Failure::new(ABORTED, message),
        ExpressionError::Abort { .. } => Failure::new(ABORTED, "the program called abort"),
        error => Failure::new(FAILED, error.to_string()),
    }
}

#[cfg(test)]
mod tests;
