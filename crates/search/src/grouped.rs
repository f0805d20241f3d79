//! Tables of groups without DataFusion: the pipe that groups, and what follows it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use arrow::array::RecordBatch;
use arrow::error::ArrowError;
use datafusion::execution::memory_pool::MemoryReservation;
use pugmark_event::time::Micros;
use pugmark_query::eval::{self, Known, Rows, Table};
use pugmark_query::scope::Scope;
use pugmark_query::{Filter, Pipe, Plan, Request, SearchError};
use pugmark_store::{Scan, ScanPart, Snapshot};

use crate::filter::Predicate;
use crate::groups::{Grouping, Groups, weighted};
use crate::names::Names;
use crate::others::Others;
use crate::running::busy;
use crate::steps::Steps;
use crate::trace::Trace;
use crate::whole;
use crate::workers::{self, Room, Waiting, failed};

/// A question for a table of groups.
pub(crate) struct Grouped {
    predicate: Predicate,
    work: Arc<Work>,
    /// The column by which all is told, where there is a single one.
    column: Option<String>,
    plan: Plan,
    /// The number of the pipe that groups.
    place: usize,
    others: Others,
    from: Option<Micros>,
    to: Option<Micros>,
    limit: Option<usize>,
}

/// Pipes that look at one row at a time, and the one after them that groups the rows.
#[derive(Debug)]
pub(crate) struct Work {
    steps: Steps,
    grouping: Grouping,
}

impl Work {
    /// The pipes from number `place` on, over rows with these names, and the number of the one
    /// that groups; `None` when they are others.
    pub(crate) fn new(
        plan: &Plan,
        place: usize,
        names: Names,
        known: &dyn Known,
    ) -> Option<(Self, usize)> {
        let mut steps = Steps::new(names);
        for (place, pipe) in plan.pipes.iter().enumerate().skip(place) {
            if let Pipe::Stats(stats) = pipe {
                let grouping = Grouping::new(stats, &plan.pipes[place + 1..], &mut steps)?;
                return Some((Self { steps, grouping }, place));
            }
            steps.pipe(pipe, known)?;
        }
        None
    }

    /// The columns that must be there.
    pub(crate) fn columns(&self) -> BTreeSet<String> {
        let made = |column: &&String| !Names::is_made(column);
        let grouped = self.grouping.columns().filter(made);
        self.steps.reads().iter().chain(grouped).cloned().collect()
    }

    /// True when nothing but the number of rows is asked for.
    fn is_count(&self) -> bool {
        self.steps.is_empty() && self.grouping.is_count()
    }

    /// No groups yet.
    pub(crate) fn start(&self) -> Groups {
        Groups::new(&self.grouping)
    }

    /// Takes in rows that have the columns.
    ///
    /// # Errors
    /// When Arrow cannot build what is computed of them.
    pub(crate) fn add(&self, groups: &mut Groups, batch: RecordBatch) -> Result<(), ArrowError> {
        groups.add(&self.grouping, &self.steps.apply(batch)?);
        Ok(())
    }

    /// The rows of the table.
    pub(crate) fn finish(&self, groups: Groups) -> Vec<Vec<eval::Cell>> {
        groups.finish(&self.grouping)
    }
}

/// The groups of one thread; `None` when they were too many for the memory.
struct Share {
    groups: Option<Groups>,
    memory: MemoryReservation,
}

impl Share {
    /// Counts the memory; when it is too much, gives up the groups and answers false.
    fn fits(&mut self) -> bool {
        let bytes = |groups: &Option<Groups>| groups.as_ref().map_or(0, Groups::bytes);
        let fits = self.memory.try_resize(bytes(&self.groups)).is_ok()
            || self.groups.as_mut().is_some_and(Groups::shrink)
                && self.memory.try_resize(bytes(&self.groups)).is_ok();
        if !fits {
            self.groups = None;
            self.memory.free();
        }
        fits
    }
}

impl Grouped {
    /// `None` for any other question. The plan has everything bound.
    pub(crate) fn new(request: &Request, others: &Others) -> Option<Self> {
        let (filter, first) = filtered(&request.plan);
        let predicate = Predicate::new(&filter).ok()?;
        let (work, place) = Work::new(&request.plan, first, Names::events(), others)?;
        let columns = work.columns();
        let column = match columns.len() {
            _ if !work.grouping.takes_weights() => None,
            0 => predicate.column(),
            1 => columns.into_iter().next(),
            _ => None,
        };
        Some(Self {
            predicate,
            work: Arc::new(work),
            column,
            plan: request.plan.clone(),
            place,
            others: others.clone(),
            from: request.from,
            to: request.to,
            limit: request.limit,
        })
    }

    /// The answer; `None` when there are too many groups for this way.
    ///
    /// # Errors
    /// When the store fails, or a table that is asked for is not there.
    pub(crate) async fn run(
        &self,
        snapshot: &Snapshot,
        room: &Room,
        trace: &Arc<Trace>,
    ) -> Result<Option<Table>, SearchError> {
        let since = Instant::now();
        let mut scan = Scan {
            columns: Some(self.work.columns().into_iter().collect()),
            from: self.from,
            to: self.to,
            dictionaries: true,
            ..Scan::default()
        };
        self.predicate.apply(&mut scan);
        let start = || Share { groups: Some(self.work.start()), memory: room.reserve() };
        let parts = snapshot.scan(scan);
        trace.to_read(&parts);
        let step = step(self.work.clone(), self.column.clone(), trace.clone());
        let shares = workers::each(parts, room.threads, start, step).await?;
        let Some(share) = busy(|| merge(&self.work.grouping, shares)) else { return Ok(None) };
        let Share { groups: Some(groups), memory: _memory } = share else { return Ok(None) };
        let groups = busy(|| self.work.finish(groups));
        let pipes = &self.plan.pipes[self.place..];
        let first = filtered(&self.plan).1;
        trace.step(
            "read and group events",
            whole::shown(&self.plan.pipes[first..=self.place]),
            groups.len(),
            since.elapsed(),
        );
        let since = Instant::now();
        let table = busy(|| self.shown(groups))?;
        if pipes.len() > 1 {
            trace.step("evaluate", whole::shown(&pipes[1..]), table.rows.len(), since.elapsed());
        }
        Ok(Some(table))
    }

    /// The groups taken through the pipes that follow.
    fn shown(&self, groups: Vec<Vec<eval::Cell>>) -> Result<Table, SearchError> {
        let scope = scope_behind(&self.plan, self.place);
        let rows = Rows::of_table(scope.columns, groups);
        let known: &dyn Known = &self.others;
        let table = eval::after(&self.plan, self.place + 1, rows, known);
        let mut table = table.map_err(SearchError::Failed)?;
        table.rows.truncate(self.limit.unwrap_or(usize::MAX));
        Ok(table)
    }
}

/// The groups of all threads; `None` when they are too many for the memory.
fn merge(grouping: &Grouping, shares: Vec<Share>) -> Option<Share> {
    let groups = shares.iter().map(|share| share.groups.as_ref()).collect::<Option<Vec<_>>>()?;
    let first = Groups::most_frequent(grouping, &groups);
    let mut shares = shares.into_iter();
    let mut all = shares.next()?;
    if first.is_some() {
        all.groups = first;
        return Some(all);
    }
    for share in shares {
        all.groups.as_mut()?.merge(grouping, share.groups?);
        all.fits().then_some(())?;
    }
    Some(all)
}

/// The filter of a plan with those of its first pipes, and the number of the pipe behind them.
pub(crate) fn filtered(plan: &Plan) -> (Filter, usize) {
    let mut filters = vec![plan.filter.clone()];
    for pipe in &plan.pipes {
        let Pipe::Where(filter) = pipe else { break };
        filters.push(filter.clone());
    }
    let first = filters.len() - 1;
    (Filter::And(filters), first)
}

/// What names stand for behind the pipe of this number.
pub(crate) fn scope_behind(plan: &Plan, place: usize) -> Scope {
    plan.pipes[..=place].iter().fold(Scope::events(), |scope, pipe| pipe.scope(scope))
}

/// Takes parts into the groups of a thread.
fn step(
    work: Arc<Work>,
    column: Option<String>,
    trace: Arc<Trace>,
) -> impl Fn(&mut Share, ScanPart, &Waiting) -> Result<(), SearchError> + Clone {
    move |share, part, waiting| {
        take(&work, column.as_deref(), share, &part, waiting)?;
        trace.part_done(&part);
        Ok(())
    }
}

fn take(
    work: &Work,
    column: Option<&str>,
    share: &mut Share,
    part: &ScanPart,
    waiting: &Waiting,
) -> Result<(), SearchError> {
    let Some(groups) = &mut share.groups else { return Ok(()) };
    let add = |groups: &mut Groups, batch| {
        work.add(groups, batch).map_err(|e| SearchError::Failed(e.to_string()))
    };
    if let (true, Some(rows)) = (work.is_count(), part.rows_wanted()) {
        groups.add_rows(rows);
        return Ok(());
    }
    if let Some(column) = column
        && let Some(counts) = part.counts(column).map_err(|e| failed(&e))?
    {
        let batch = weighted(column, &counts).map_err(|e| SearchError::Failed(e.to_string()))?;
        add(groups, batch)?;
        share.fits();
        return Ok(());
    }
    for batch in part.clone().read() {
        let Some(groups) = &mut share.groups else { break };
        add(groups, batch.map_err(|e| failed(&e))?)?;
        if !share.fits() || !waiting.still() {
            break;
        }
    }
    Ok(())
}
