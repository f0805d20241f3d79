//! The naive evaluator: says which events match, and in tests what every answer must be.
//!
//! Live tail filters with [`matches`]. [`run`] holds everything in memory and looks at every
//! event, so it is the oracle that the search engine is compared with, not an engine itself. The
//! engine does use [`after`]: once the rows of a table are few, plain is fast enough.

mod filter;
mod rows;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use pugmark_event::Batch;
use pugmark_event::time::Micros;

pub use crate::cell::{Cell, Shape, order};
pub use crate::functions::{items, list};
pub use filter::{Matcher, matches};
pub(crate) use rows::{Reader, compare_rows, group};
pub use rows::{Row, Rows, cell};

use crate::plan::{Pipe, Plan};
use crate::scope::{Column, Scope};

/// An answer held in memory.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// The columns. An answer of events has `event.id`, then what was computed.
    pub columns: Vec<Column>,
    /// The rows in order.
    pub rows: Vec<Vec<Cell>>,
}

/// What is known beside the rows of a question.
pub trait Known: Send + Sync {
    /// The rows of another question over the same range, moved back by `shift`.
    ///
    /// # Errors
    /// With a sentence when they cannot be had.
    fn rows(&self, plan: &Plan, shift: Micros) -> Result<Arc<Table>, String>;

    /// The table that is kept under this name.
    ///
    /// # Errors
    /// With a sentence when there is none.
    fn table(&self, name: &str) -> Result<Arc<dyn LookupTable>, String>;
}

/// A table that is kept under a name: values by a key, and perhaps by time.
pub trait LookupTable: Send + Sync {
    /// The names of its values.
    fn columns(&self) -> Vec<String>;

    /// Whether the values in a column depend on the time.
    fn goes_by_time(&self, _column: &str) -> bool {
        true
    }

    /// The value in a column at a time; with `None` the one that holds now, or always.
    fn value(&self, key: &str, time: Option<Micros>, column: &str) -> Option<String>;
}

/// Tables that are kept under names.
pub trait Tables: Send + Sync {
    /// Their names.
    fn names(&self) -> Vec<String>;

    /// The table of this name.
    fn table(&self, name: &str) -> Option<Arc<dyn LookupTable>>;
}

/// No table at all.
#[derive(Debug, Clone, Copy)]
pub struct NoTables;

impl Tables for NoTables {
    fn names(&self) -> Vec<String> {
        Vec::new()
    }

    fn table(&self, _: &str) -> Option<Arc<dyn LookupTable>> {
        None
    }
}

/// Nothing beside the rows.
#[derive(Debug, Clone, Copy)]
pub struct Nothing;

impl Known for Nothing {
    fn rows(&self, _: &Plan, _: Micros) -> Result<Arc<Table>, String> {
        Err("the rows of another query are not at hand here".into())
    }

    fn table(&self, name: &str) -> Result<Arc<dyn LookupTable>, String> {
        Err(no_table(name, &[]))
    }
}

/// What is said of a table that is not there.
pub fn no_table(name: &str, known: &[String]) -> String {
    match known {
        [] => format!("there is no lookup table `{name}`"),
        _ => format!("there is no lookup table `{name}`; there are {}", known.join(", ")),
    }
}

/// Everything that can be asked, and the time at which it is.
pub struct World<'a> {
    /// All events.
    pub batches: &'a [Batch],
    /// The kept tables.
    pub tables: &'a dyn Known,
    /// First event time, in microseconds since the epoch.
    pub from: Option<Micros>,
    /// First event time after the range.
    pub to: Option<Micros>,
    /// When it is asked.
    pub now: Micros,
}

impl Known for World<'_> {
    fn rows(&self, plan: &Plan, shift: Micros) -> Result<Arc<Table>, String> {
        let moved = |bound: Option<Micros>| bound.map(|bound| bound.saturating_sub(shift));
        let moved = World { from: moved(self.from), to: moved(self.to), ..*self };
        run(plan, &moved, None).map(Arc::new)
    }

    fn table(&self, name: &str) -> Result<Arc<dyn LookupTable>, String> {
        self.tables.table(name)
    }
}

/// Answers `plan` the slow and plain way; at most `limit` rows.
///
/// # Errors
/// With a sentence when a table is not there or a limit is reached.
pub fn run(plan: &Plan, world: &World<'_>, limit: Option<usize>) -> Result<Table, String> {
    let inside = |time: Micros| {
        world.from.is_none_or(|from| time >= from) && world.to.is_none_or(|to| time < to)
    };
    let times = || world.batches.iter().flat_map(|b| b.event_times().iter().copied());
    let range = (
        times().filter(|t| inside(*t)).min().unwrap_or(0),
        times().filter(|t| inside(*t)).max().unwrap_or(0),
    );
    let range = (world.from.unwrap_or(range.0), world.to.map_or(range.1, |to| to - 1));
    let plan = plan.bound(world.now, range);
    let matcher = Matcher::new(&plan.filter);
    let mut found = Vec::new();
    for batch in world.batches {
        let keep = matcher.matches(batch);
        let rows = 0..batch.rows();
        let kept = rows.filter(|row| keep.value(*row) && inside(batch.event_times()[*row]));
        found.extend(kept.map(|row| Row { event: Some((batch, row)), cells: Vec::new() }));
    }
    let mut rows = Rows { scope: Scope::events(), rows: found };
    newest_first(&mut rows);
    for (place, pipe) in plan.pipes.iter().enumerate() {
        rows = pipe.run(rows, &Before { plan: &plan, place, known: world })?;
    }
    let mut table = table(rows);
    table.rows.truncate(limit.unwrap_or(usize::MAX));
    Ok(table)
}

/// Where a pipe stands.
pub struct Before<'a> {
    /// The whole question.
    pub plan: &'a Plan,
    /// The number of the pipe.
    pub place: usize,
    /// What is known beside the rows.
    pub known: &'a dyn Known,
}

impl Before<'_> {
    /// The question up to this pipe.
    pub(crate) fn question(&self) -> Plan {
        Plan { filter: self.plan.filter.clone(), pipes: self.plan.pipes[..self.place].to_vec() }
    }
}

/// Takes rows through the pipes of `plan` from number `place` on.
///
/// # Errors
/// With a sentence when a table is not there or a limit is reached.
pub fn after(
    plan: &Plan,
    place: usize,
    mut rows: Rows<'_>,
    known: &dyn Known,
) -> Result<Table, String> {
    for place in place..plan.pipes.len() {
        rows = step(&plan.pipes[place], rows, &Before { plan, place, known })?;
    }
    Ok(table(rows))
}

/// Takes rows through one pipe.
///
/// # Errors
/// With a sentence when a table is not there or a limit is reached.
pub fn step<'a>(pipe: &Pipe, rows: Rows<'a>, before: &Before<'_>) -> Result<Rows<'a>, String> {
    pipe.run(rows, before)
}

/// Events with the newest first.
pub(crate) fn newest_first(rows: &mut Rows<'_>) {
    rows.rows.sort_by_key(|row| {
        let event = row.event.map(|(batch, at)| (batch.event_times()[at], batch.ids()[at]));
        std::cmp::Reverse(event)
    });
}

/// The rows as they are shown.
fn table(rows: Rows<'_>) -> Table {
    let Scope { events, columns } = rows.scope;
    if !events {
        return Table { columns, rows: rows.rows.into_iter().map(|row| row.cells).collect() };
    }
    let id = Column::new("event.id", Shape::Long);
    let row = |row: Row<'_>| {
        let id = row.event.map_or(Cell::Null, |(batch, at)| Cell::Long(batch.ids()[at]));
        std::iter::once(id).chain(row.cells).collect()
    };
    Table {
        columns: std::iter::once(id).chain(columns).collect(),
        rows: rows.rows.into_iter().map(row).collect(),
    }
}
