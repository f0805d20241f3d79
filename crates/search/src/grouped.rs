//! Tables of groups without DataFusion: the pipe that groups, and what follows it.

use std::sync::Arc;

use arrow::array::Array;
use arrow::array::{
    ArrayRef, Float64Array, Int64Array, RecordBatch, RecordBatchOptions, StringArray,
    TimestampMicrosecondArray,
};
use arrow::datatypes::{Field, Schema};
use arrow::error::ArrowError;
use datafusion::execution::memory_pool::MemoryReservation;
use pugmark_event::fields::EVENT_ID;
use pugmark_event::time::Micros;
use pugmark_query::eval::{self, Cell, Table};
use pugmark_query::{Filter, Pipe, Request, SearchError, span_for};
use pugmark_store::{Scan, ScanPart, Snapshot};

use crate::filter::Predicate;
use crate::groups::{Grouping, Groups, Shape};
use crate::table::range;
use crate::workers::{self, Room, Waiting, failed};

/// A question for a table of groups.
#[derive(Debug)]
pub(crate) struct Grouped {
    predicate: Predicate,
    pipe: Pipe,
    after: Vec<Pipe>,
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
    /// `None` for any other question.
    pub(crate) fn new(request: &Request) -> Option<Self> {
        let mut filters = vec![request.plan.filter.clone()];
        let mut pipes = request.plan.pipes.iter();
        let pipe = loop {
            match pipes.next()? {
                Pipe::Where(filter) => filters.push(filter.clone()),
                pipe => break pipe,
            }
        };
        Grouping::new(pipe, 1)?;
        Some(Self {
            predicate: Predicate::new(&Filter::And(filters)).ok()?,
            pipe: pipe.clone(),
            after: pipes.cloned().collect(),
            from: request.from,
            to: request.to,
            limit: request.limit,
        })
    }

    /// The answer; `None` when there are too many groups for this way.
    ///
    /// # Errors
    /// When the store fails.
    pub(crate) async fn run(
        &self,
        snapshot: &Snapshot,
        room: &Room,
    ) -> Result<Option<RecordBatch>, SearchError> {
        let (first, last) = range(snapshot, self.from, self.to).unwrap_or_default();
        let span = span_for(first, last.saturating_add(1));
        let Some(grouping) = Grouping::new(&self.pipe, span) else { return Ok(None) };
        let mut columns = grouping.columns();
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
        let start = || Share { groups: Some(Groups::new(&grouping)), memory: room.reserve() };
        let step = step(grouping.clone());
        let parts = snapshot.scan(scan);
        let shares = workers::each(parts, room.threads, start, step).await?;
        let Some(Share { groups: Some(groups), memory: _memory }) = merge(&grouping, shares) else {
            return Ok(None);
        };
        let table = Table {
            columns: self.pipe.columns(None).unwrap_or_default(),
            rows: groups.finish(&grouping),
        };
        let batch = self.shown(table, grouping.shapes());
        batch.map(Some).map_err(|e| SearchError::Failed(e.to_string()))
    }

    fn shown(&self, mut table: Table, mut shapes: Vec<Shape>) -> Result<RecordBatch, ArrowError> {
        for pipe in &self.after {
            if let Pipe::Fields(fields) = pipe {
                let places = fields.iter().map(|field| field.find(&table.columns));
                shapes = places.map(|at| at.map_or(Shape::Text, |at| shapes[at])).collect();
            }
            table = eval::on_table(pipe, table);
        }
        table.rows.truncate(self.limit.unwrap_or(usize::MAX));
        batch(&table, &shapes)
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

/// Takes a part into the groups of a thread.
fn step(
    grouping: Grouping,
) -> impl Fn(&mut Share, ScanPart, &Waiting) -> Result<(), SearchError> + Clone {
    move |share, part, waiting| {
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
        for batch in part.read() {
            let Some(groups) = &mut share.groups else { break };
            groups.add(&grouping, &batch.map_err(|e| failed(&e))?);
            if !share.fits() || !waiting.still() {
                break;
            }
        }
        Ok(())
    }
}

/// Cells as columns.
fn batch(table: &Table, shapes: &[Shape]) -> Result<RecordBatch, ArrowError> {
    let mut fields = Vec::new();
    let mut arrays: Vec<ArrayRef> = Vec::new();
    for (place, (name, shape)) in table.columns.iter().zip(shapes).enumerate() {
        let array = column(&table.rows, place, *shape);
        fields.push(Field::new(name, array.data_type().clone(), true));
        arrays.push(array);
    }
    let options = RecordBatchOptions::new().with_row_count(Some(table.rows.len()));
    RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), arrays, &options)
}

fn column(rows: &[Vec<Cell>], place: usize, shape: Shape) -> ArrayRef {
    let cells = rows.iter().map(|row| row.get(place));
    let longs = |cells: &dyn Fn(&Cell) -> Option<i64>| -> Vec<Option<i64>> {
        rows.iter().map(|row| row.get(place).and_then(cells)).collect()
    };
    match shape {
        Shape::Text => Arc::new(
            cells
                .map(|cell| match cell {
                    Some(Cell::Text(text)) => Some(text.as_str()),
                    _ => None,
                })
                .collect::<StringArray>(),
        ),
        Shape::Long => Arc::new(Int64Array::from(longs(&|cell| match cell {
            Cell::Long(long) => Some(*long),
            _ => None,
        }))),
        Shape::Float => Arc::new(
            cells
                .map(|cell| match cell {
                    Some(Cell::Float(float)) => Some(*float),
                    _ => None,
                })
                .collect::<Float64Array>(),
        ),
        Shape::Time => {
            let times = longs(&|cell| match cell {
                Cell::Time(time) => Some(*time),
                _ => None,
            });
            Arc::new(TimestampMicrosecondArray::from(times).with_timezone("UTC"))
        }
    }
}
