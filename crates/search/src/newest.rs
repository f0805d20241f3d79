//! The newest events that pass a filter, without DataFusion.
//!
//! First the times and places of those that pass are found, newest parts first, and parts that are
//! older than all found so far are skipped. Then all columns are read, of the winners alone. Most
//! questions find few events however many they allow: only when there turn out to be too many for
//! memory does the general path take over, which may use temporary files.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use arrow::array::{AsArray, RecordBatch, UInt32Array};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef, TimestampMicrosecondType};
use arrow::error::ArrowError;
use datafusion::execution::memory_pool::MemoryReservation;
use pugmark_event::batch::schema;
use pugmark_event::fields::{EVENT_ID, EVENT_TIME};
use pugmark_event::time::Micros;
use pugmark_query::{FieldRef, Filter, Named, Pipe, Request, SearchError, Target};
use pugmark_store::{ROW, Scan, ScanPart, Snapshot};

use crate::columns;
use crate::error::{Asked, search_error};
use crate::filter::Predicate;
use crate::trace::Trace;
use crate::workers::{self, Room, Waiting, failed};

/// Events of one answer beyond which the general path takes over.
const ROWS_MAX: usize = 10_000;

/// A question for the newest events.
#[derive(Debug)]
pub(crate) struct Newest {
    predicate: Predicate,
    rows: usize,
    /// The fields of a table, and what they are called there.
    fields: Option<Vec<(FieldRef, String)>>,
    from: Option<Micros>,
    to: Option<Micros>,
}

/// Time and id of an event: the greater the newer.
type Age = (Micros, i64);

/// Where an event is: the number of its part, and its place there.
type Place = (usize, i64);

/// The newest events so far.
#[derive(Default)]
struct Best {
    heap: BinaryHeap<Reverse<(Age, Place)>>,
    parts: Vec<ScanPart>,
}

impl Newest {
    /// `None` for any other question.
    pub(crate) fn new(request: &Request) -> Option<Self> {
        let mut filters = vec![request.plan.filter.clone()];
        let mut rows = request.limit;
        let mut fields = None;
        let mut cut = false;
        for pipe in &request.plan.pipes {
            match pipe {
                Pipe::Where(filter) if !cut && fields.is_none() => filters.push(filter.clone()),
                Pipe::Head(count) => {
                    cut = true;
                    rows = Some(rows.map_or(*count, |rows| rows.min(*count)));
                }
                Pipe::Select(list) if fields.is_none() => {
                    let named = |n: &Named| Some((n.value.field()?.clone(), n.name.clone()));
                    fields = Some(list.iter().map(named).collect::<Option<Vec<_>>>()?);
                }
                _ => return None,
            }
        }
        let rows = rows?;
        let predicate = Predicate::new(&Filter::And(filters)).ok()?;
        Some(Self { predicate, rows, fields, from: request.from, to: request.to })
    }

    /// The answer; `None` when the events are too many or too big for this way.
    ///
    /// # Errors
    /// When the store fails.
    pub(crate) async fn run(
        &self,
        snapshot: &Snapshot,
        room: &Room,
        trace: &Trace,
    ) -> Result<Option<RecordBatch>, SearchError> {
        let wanted = self.schema();
        let since = Instant::now();
        let best = self.find(snapshot, room.threads).await?;
        trace.step("find the newest events", String::new(), best.heap.len(), since);
        if best.is_too_many() {
            return Ok(None);
        }
        let found = best.heap.len();
        let by_part = best.by_part();
        let since = Instant::now();
        let batches = match read(by_part, &wanted, room).await {
            Err(SearchError::TooBig(_)) => return Ok(None),
            batches => batches?,
        };
        let batch =
            self.sorted(&batches, &wanted).map_err(|e| SearchError::Failed(e.to_string()))?;
        if batch.num_rows() != found {
            return Err(SearchError::Failed("an event that was just found is gone".to_string()));
        }
        trace.step("read these events", String::new(), found, since);
        Ok(Some(batch))
    }

    async fn find(&self, snapshot: &Snapshot, threads: usize) -> Result<Best, SearchError> {
        let mut scan = Scan {
            columns: Some(
                [EVENT_TIME.column(), EVENT_ID.column(), ROW].map(str::to_string).to_vec(),
            ),
            from: self.from,
            to: self.to,
            ..Scan::default()
        };
        self.predicate.apply(&mut scan);
        let parts = snapshot.scan(scan.clone());
        let best = Arc::new(Mutex::new(Best::default()));
        let (shared, rows) = (best.clone(), self.rows);
        let step = move |(): &mut (), part: ScanPart, waiting: &Waiting| {
            let Some(oldest) = lock(&shared).worth(rows, &part) else { return Ok(()) };
            let from = oldest.max(scan.from);
            let narrowed = part.with(Arc::new(Scan { from, ..scan.clone() }));
            let mut number = None;
            for batch in narrowed.read() {
                let batch = batch.map_err(|e| failed(&e))?;
                let too_many = {
                    let mut best = lock(&shared);
                    best.offer(rows, &batch, &part, &mut number);
                    best.is_too_many()
                };
                if too_many || !waiting.still() {
                    break;
                }
            }
            Ok(())
        };
        workers::each(parts, threads, || (), step).await?;
        let best = std::mem::take(&mut *lock(&best));
        Ok(best)
    }

    /// The columns of the answer as they are read.
    fn schema(&self) -> SchemaRef {
        let Some(fields) = &self.fields else { return schema() };
        let mut read: Vec<Field> = vec![EVENT_TIME.field().arrow(), EVENT_ID.field().arrow()];
        for (field, _) in fields {
            let column = match &field.target {
                Target::Column(id) => id.field().arrow(),
                target => Field::new(columns::name(target), DataType::Utf8, true),
            };
            if !read.iter().any(|known| known.name() == column.name()) {
                read.push(column);
            }
        }
        Arc::new(Schema::new(read))
    }

    /// One batch of all, newest first, with the columns that were asked for.
    fn sorted(
        &self,
        batches: &[RecordBatch],
        wanted: &SchemaRef,
    ) -> Result<RecordBatch, ArrowError> {
        let all = concat_batches(wanted, batches)?;
        let ages = ages(&all);
        let mut order: Vec<u32> = (0..ages.len() as u32).collect();
        order.sort_unstable_by_key(|row| Reverse(ages[*row as usize]));
        let all = take_record_batch(&all, &UInt32Array::from(order))?;
        let Some(fields) = &self.fields else { return Ok(all) };
        let places = fields
            .iter()
            .map(|(field, _)| all.schema_ref().index_of(&columns::name(&field.target)))
            .collect::<Result<Vec<_>, _>>()?;
        let shown = all.project(&places)?;
        let named = fields
            .iter()
            .zip(shown.columns())
            .map(|((_, name), column)| Field::new(name.clone(), column.data_type().clone(), true));
        let named = Arc::new(Schema::new(named.collect::<Vec<_>>()));
        RecordBatch::try_new(named, shown.columns().to_vec())
    }
}

/// A panic while it was held is reported by the thread that had it.
fn lock(best: &Mutex<Best>) -> MutexGuard<'_, Best> {
    best.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Time and id of every row.
fn ages(batch: &RecordBatch) -> Vec<Age> {
    let times = batch.column_by_name(EVENT_TIME.column());
    let times = times.and_then(|c| c.as_primitive_opt::<TimestampMicrosecondType>());
    let ids = longs(batch, EVENT_ID.column());
    let (Some(times), Some(ids)) = (times, ids) else { return Vec::new() };
    times.values().iter().copied().zip(ids.iter().copied()).collect()
}

fn longs<'a>(batch: &'a RecordBatch, name: &str) -> Option<&'a [i64]> {
    Some(batch.column_by_name(name)?.as_primitive_opt::<Int64Type>()?.values())
}

impl Best {
    fn is_too_many(&self) -> bool {
        self.heap.len() > ROWS_MAX
    }

    /// The least time that an event of `part` must have to be among the newest, if there can be
    /// one: `Some(None)` while any time will do.
    fn worth(&self, rows: usize, part: &ScanPart) -> Option<Option<Micros>> {
        if rows == 0 || self.is_too_many() {
            return None;
        }
        if self.heap.len() < rows {
            return Some(None);
        }
        let Reverse(((oldest, _), _)) = self.heap.peek()?;
        (part.times().1 >= *oldest).then_some(Some(*oldest))
    }

    fn offer(
        &mut self,
        rows: usize,
        batch: &RecordBatch,
        part: &ScanPart,
        number: &mut Option<usize>,
    ) {
        let rows_of_part = longs(batch, ROW).unwrap_or_default();
        for (age, row) in ages(batch).into_iter().zip(rows_of_part) {
            if self.heap.len() == rows
                && self.heap.peek().is_some_and(|Reverse((oldest, _))| age < *oldest)
            {
                continue;
            }
            let number = *number.get_or_insert_with(|| {
                self.parts.push(part.clone());
                self.parts.len() - 1
            });
            self.heap.push(Reverse((age, (number, *row))));
            if self.heap.len() > rows {
                self.heap.pop();
            }
        }
    }

    /// For each part what to read of it.
    fn by_part(self) -> Vec<(ScanPart, Vec<i64>)> {
        let mut by_part: Vec<(ScanPart, Vec<i64>)> =
            self.parts.into_iter().map(|part| (part, Vec::new())).collect();
        for Reverse((_, (number, row))) in self.heap {
            by_part[number].1.push(row);
        }
        by_part.retain(|(_, rows)| !rows.is_empty());
        by_part
    }
}

async fn read(
    by_part: Vec<(ScanPart, Vec<i64>)>,
    wanted: &SchemaRef,
    room: &Room,
) -> Result<Vec<RecordBatch>, SearchError> {
    let columns = wanted.fields().iter().map(|f| f.name().clone()).collect();
    let scan = Arc::new(Scan { columns: Some(columns), ..Scan::default() });
    let start = || (Vec::new(), room.reserve());
    let step = move |(found, memory): &mut (Vec<RecordBatch>, MemoryReservation),
                     (part, rows): (ScanPart, Vec<i64>),
                     waiting: &Waiting| {
        for batch in part.with(scan.clone()).take(&rows).take_while(|_| waiting.still()) {
            let batch = batch.map_err(|e| failed(&e))?;
            memory
                .try_grow(batch.get_array_memory_size())
                .map_err(|e| search_error(&e, Asked::Plan))?;
            found.push(batch);
        }
        Ok(())
    };
    let found = workers::each(by_part, room.threads, start, step).await?;
    Ok(found.into_iter().flat_map(|(batches, _)| batches).collect())
}
