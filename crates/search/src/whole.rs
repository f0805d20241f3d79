//! Pipes that need all rows at once: their rows are read with the columns they need, and the plain
//! evaluator does the rest.

use std::time::Instant;

use datafusion::execution::memory_pool::MemoryReservation;
use datafusion::logical_expr::Expr;
use futures::StreamExt;
use pugmark_event::fields::{EVENT_ID, EVENT_TIME};
use pugmark_query::eval::{self, Before, Known, Row, Rows, Shape, Table};
use pugmark_query::pipes::{Sequence, Transaction};
use pugmark_query::plan::is_attribute;
use pugmark_query::scope::{Column, Scope};
use pugmark_query::{
    Aggregate, Expr as Value, FieldRef, Filter, Function, Pipe, Plan, SearchError,
};

use crate::cells;
use crate::error::{Asked, search_error};
use crate::functions::number;
use crate::plan::{self, bad_query};
use crate::running::busy;
use crate::trace::Trace;
use crate::{Found, stream_of};

/// The rest of a plan, from a pipe on that needs all rows.
pub(crate) struct Whole<'q> {
    pub(crate) plan: &'q Plan,
    /// Number of that pipe.
    pub(crate) place: usize,
    pub(crate) known: &'q dyn Known,
    pub(crate) trace: &'q Trace,
}

impl Whole<'_> {
    /// Takes its rows through that pipe and all that follow.
    ///
    /// # Errors
    /// When the rows cannot be had or held.
    pub(crate) async fn run(
        &self,
        rows: plan::Rows,
        mut memory: MemoryReservation,
    ) -> Result<Table, SearchError> {
        let Self { plan, place, known, trace } = *self;
        let Wanted { pipe, columns, values } = wanted(&rows, &plan.pipes[place])?;
        let events = rows.scope.events;
        let (_, found) = stream_of(rows.only(values)?, Asked::Plan, trace).await?;
        let cells = collect(found, &mut memory).await?;
        let since = Instant::now();
        let row = |cells| Row { event: None, cells };
        let rows =
            Rows { scope: Scope { events, columns }, rows: cells.into_iter().map(row).collect() };
        let table = busy(|| {
            let rows = eval::step(&pipe, rows, &Before { plan, place, known })?;
            eval::after(plan, place + 1, rows, known)
        });
        let table = table.map_err(SearchError::Failed)?;
        trace.step("evaluate", shown(&plan.pipes[place..]), table.rows.len(), since.elapsed());
        Ok(table)
    }
}

/// Pipes as they are typed.
pub(crate) fn shown(pipes: &[Pipe]) -> String {
    let pipes = pipes.iter().map(Pipe::to_string);
    pipes.collect::<Vec<_>>().join(" | ")
}

/// All rows as cells, counted as memory.
pub(crate) async fn collect(
    mut found: Found,
    memory: &mut MemoryReservation,
) -> Result<Vec<Vec<eval::Cell>>, SearchError> {
    let mut all = Vec::new();
    while let Some(batch) = found.next().await {
        let rows = cells::rows(&batch?);
        memory.try_grow(cells::bytes(&rows)).map_err(|e| search_error(&e, Asked::Plan))?;
        all.extend(rows);
    }
    Ok(all)
}

/// What a pipe reads, and the pipe over it.
struct Wanted {
    pipe: Pipe,
    columns: Vec<Column>,
    values: Vec<Expr>,
}

/// Columns of events that a pipe reads.
struct Reads<'r> {
    rows: &'r plan::Rows,
    columns: Vec<Column>,
    values: Vec<Expr>,
}

impl Reads<'_> {
    fn field(&mut self, field: &FieldRef) -> Result<(), SearchError> {
        let shape = self.rows.scope.shape(field);
        let value = self.rows.value(field)?;
        self.put(Column::new(&field.typed, shape), value);
        Ok(())
    }

    fn put(&mut self, column: Column, value: Expr) {
        if !self.columns.iter().any(|known| known.name == column.name) {
            self.columns.push(column);
            self.values.push(value);
        }
    }

    /// The same figure over what is read: least and greatest of an attribute are of its numbers.
    fn figure(&mut self, figure: &Aggregate) -> Result<Aggregate, SearchError> {
        let Some(of) = &figure.of else { return Ok(figure.clone()) };
        let extreme = matches!(figure.function, Function::Min | Function::Max);
        if extreme && is_attribute(of, &self.rows.scope) {
            let name = format!("number of {of}");
            self.put(Column::new(&name, Shape::Float), number(self.rows.compute(of)?));
            return Ok(Aggregate {
                of: Some(Value::Field(FieldRef::new(&name))),
                alias: Some(figure.name()),
                ..figure.clone()
            });
        }
        let mut fields = Vec::new();
        of.fields(&mut fields);
        fields.into_iter().try_for_each(|field| self.field(field))?;
        Ok(figure.clone())
    }

    fn finish(self, pipe: Pipe) -> Wanted {
        Wanted { pipe, columns: self.columns, values: self.values }
    }
}

fn wanted(rows: &plan::Rows, pipe: &Pipe) -> Result<Wanted, SearchError> {
    if !rows.scope.events {
        let names = rows.scope.names();
        let values: Result<Vec<_>, _> =
            names.iter().map(|name| rows.value(&FieldRef::new(name))).collect();
        return Ok(Wanted {
            pipe: pipe.clone(),
            columns: rows.scope.columns.clone(),
            values: values?,
        });
    }
    let mut reads = Reads { rows, columns: Vec::new(), values: Vec::new() };
    match pipe {
        Pipe::Transaction(transaction) => {
            times(&mut reads)?;
            transaction.by.iter().try_for_each(|field| reads.field(field))?;
            let figures: Result<Vec<_>, _> =
                transaction.figures.iter().map(|figure| reads.figure(figure)).collect();
            let figures = figures?;
            let pipe = Transaction { figures, ..transaction.clone() };
            Ok(reads.finish(Pipe::Transaction(pipe)))
        }
        Pipe::Sequence(sequence) => {
            times(&mut reads)?;
            sequence.by.iter().try_for_each(|field| reads.field(field))?;
            let mut steps = Vec::new();
            for (place, step) in sequence.steps.iter().enumerate() {
                // Whether a row passes is for the events themselves to say.
                let name = format!("step {place}");
                reads.put(Column::new(&name, Shape::Bool), rows.predicate(step)?);
                steps.push(Filter::Holds(Value::Field(FieldRef::new(&name))));
            }
            Ok(reads.finish(Pipe::Sequence(Sequence { steps, ..sequence.clone() })))
        }
        Pipe::Patterns(patterns) => {
            patterns.fields().iter().try_for_each(|field| reads.field(field))?;
            Ok(reads.finish(pipe.clone()))
        }
        other => Err(bad_query(format!("`{other}` works on a table"))),
    }
}

/// Whatever goes by time needs the time, and the id to tell events of the same time apart.
fn times(reads: &mut Reads<'_>) -> Result<(), SearchError> {
    reads.field(&FieldRef::new(EVENT_TIME.name()))?;
    reads.field(&FieldRef::new(EVENT_ID.name()))
}
