//! Tables of groups without DataFusion: the pipe that groups, and what follows it.

use std::sync::Arc;
use std::time::Instant;

use arrow::array::RecordBatch;
use datafusion::execution::memory_pool::MemoryReservation;
use pugmark_event::fields::EVENT_ID;
use pugmark_event::time::Micros;
use pugmark_query::eval::{self, Known, Rows, Table};
use pugmark_query::scope::Scope;
use pugmark_query::{Filter, Pipe, Plan, Request, SearchError};
use pugmark_store::{Scan, ScanPart, Snapshot};

use crate::cells;
use crate::filter::Predicate;
use crate::groups::{Grouping, Groups};
use crate::others::Others;
use crate::running::busy;
use crate::trace::Trace;
use crate::whole;
use crate::workers::{self, Room, Waiting, failed};

/// A question for a table of groups.
pub(crate) struct Grouped {
    predicate: Predicate,
    grouping: Grouping,
    plan: Plan,
    /// The number of the pipe that groups.
    place: usize,
    others: Others,
    from: Option<Micros>,
    to: Option<Micros>,
    limit: Option<usize>,
}

/// The groups of one thread; `None` when they were too many for the memory.
struct Share {
    groups: Option<Groups>,
    memory: MemoryReservation,
}

impl Share {
    /// Counts the memory; when it is too much, gives up the groups and answers false.
    fn fits(&mut self) -> bool {
        let bytes = self.groups.as_ref().map_or(0, Groups::bytes);
        let fits = self.memory.try_resize(bytes).is_ok();
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
        let mut filters = vec![request.plan.filter.clone()];
        let mut pipes = request.plan.pipes.iter().enumerate();
        let (place, stats) = loop {
            match pipes.next()? {
                (_, Pipe::Where(filter)) => filters.push(filter.clone()),
                (place, Pipe::Stats(stats)) => break (place, stats),
                _ => return None,
            }
        };
        let grouping = Grouping::new(stats, &request.plan.pipes[place + 1..])?;
        Some(Self {
            predicate: Predicate::new(&Filter::And(filters)).ok()?,
            grouping,
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
    ) -> Result<Option<RecordBatch>, SearchError> {
        let since = Instant::now();
        let mut columns = self.grouping.columns();
        if columns.is_empty() {
            columns.push(EVENT_ID.column().to_string());
        }
        let mut scan = Scan {
            columns: Some(columns),
            from: self.from,
            to: self.to,
            dictionaries: true,
            ..Scan::default()
        };
        self.predicate.apply(&mut scan);
        let start = || Share { groups: Some(Groups::new(&self.grouping)), memory: room.reserve() };
        let parts = snapshot.scan(scan);
        trace.to_read(&parts);
        let step = step(self.grouping.clone(), trace.clone());
        let shares = workers::each(parts, room.threads, start, step).await?;
        let Some(share) = merge(&self.grouping, shares) else { return Ok(None) };
        let Share { groups: Some(groups), memory: _memory } = share else { return Ok(None) };
        let groups = busy(|| groups.finish(&self.grouping));
        let pipes = &self.plan.pipes[self.place..];
        trace.step(
            "read and group events",
            whole::shown(&pipes[..1]),
            groups.len(),
            since.elapsed(),
        );
        let since = Instant::now();
        let table = busy(|| self.shown(groups))?;
        if pipes.len() > 1 {
            trace.step("evaluate", whole::shown(&pipes[1..]), table.rows.len(), since.elapsed());
        }
        let batch = cells::batch(&table);
        batch.map(Some).map_err(|e| SearchError::Failed(e.to_string()))
    }

    /// The groups taken through the pipes that follow.
    fn shown(&self, groups: Vec<Vec<eval::Cell>>) -> Result<Table, SearchError> {
        let scope = self.plan.pipes[self.place].scope(Scope::events());
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
        let ours = all.groups.as_mut()?;
        ours.merge(grouping, share.groups.as_ref()?);
        all.memory.try_resize(ours.bytes()).ok()?;
    }
    Some(all)
}

/// Takes parts into the groups of a thread.
fn step(
    grouping: Grouping,
    trace: Arc<Trace>,
) -> impl Fn(&mut Share, ScanPart, &Waiting) -> Result<(), SearchError> + Clone {
    move |share, part, waiting| {
        take(&grouping, share, &part, waiting)?;
        trace.part_done(&part);
        Ok(())
    }
}

fn take(
    grouping: &Grouping,
    share: &mut Share,
    part: &ScanPart,
    waiting: &Waiting,
) -> Result<(), SearchError> {
    let Some(groups) = &mut share.groups else { return Ok(()) };
    if let (true, Some(rows)) = (grouping.is_count(), part.rows_wanted()) {
        groups.add_rows(rows);
        return Ok(());
    }
    if let Some(column) = grouping.counted()
        && let Some(counts) = part.counts(column).map_err(|e| failed(&e))?
    {
        groups.add_counts(&counts);
        share.fits();
        return Ok(());
    }
    for batch in part.clone().read() {
        let Some(groups) = &mut share.groups else { break };
        groups.add(grouping, &batch.map_err(|e| failed(&e))?);
        if !share.fits() || !waiting.still() {
            break;
        }
    }
    Ok(())
}
