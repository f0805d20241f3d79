//! The newest events that pass a filter, without DataFusion.
//!
//! First the times and places of those that pass are found, newest parts first, and parts that are
//! older than all found so far are skipped. As soon as no part that is still to be read can have a
//! newer event, all columns of those that were found are read and given to whoever asked, while
//! the search goes on. Most questions find few events however many they allow: only when there
//! turn out to be too many for memory does the general path take over, which may use temporary
//! files.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{AsArray, RecordBatch, UInt32Array};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef, TimestampMicrosecondType};
use arrow::error::ArrowError;
use datafusion::execution::memory_pool::MemoryReservation;
use futures::StreamExt;
use parking_lot::Mutex;
use pugmark_event::batch::schema;
use pugmark_event::fields::{EVENT_ID, EVENT_TIME};
use pugmark_event::time::Micros;
use pugmark_query::{FieldRef, Filter, Named, Pipe, Request, SearchError, Target};
use pugmark_store::{ROW, Scan, ScanPart, Snapshot};
use tokio::sync::Notify;

use crate::error::{Asked, search_error};
use crate::filter::Predicate;
use crate::trace::Trace;
use crate::workers::{self, Room, Waiting, failed};
use crate::{Found, columns};

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

/// The newest events so far, but for those that were given already.
struct Best {
    /// Events that are asked for and not given yet.
    rows: usize,
    found: BTreeSet<(Age, Place)>,
    /// All parts, those with the newest event first, and which of them are done.
    parts: Arc<[ScanPart]>,
    done: Vec<bool>,
    /// The first part that is not done.
    next: usize,
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

    /// The answer; `None` when the events are too many for this way.
    ///
    /// # Errors
    /// When the store fails.
    pub(crate) async fn run(
        self,
        snapshot: &Snapshot,
        room: &Room,
        trace: &Arc<Trace>,
    ) -> Result<Option<Found>, SearchError> {
        let since = Instant::now();
        let scan = self.scan();
        let parts = snapshot.scan(scan.clone());
        trace.to_read(&parts);
        let best = Arc::new(Mutex::new(Best::new(self.rows, parts)));
        let news = Arc::new(Notify::new());
        let find = find(best.clone(), scan, room.threads, trace.clone(), news.clone());
        let reading = Reading { wanted: self.schema(), newest: self, room: room.clone() };
        if reading.newest.rows <= ROWS_MAX {
            return Ok(Some(reading.rows(best, find, news, since, trace.clone()).boxed()));
        }
        find.await?;
        let too_many = best.lock().is_too_many();
        let found = || async { Ok(()) };
        let rows = || reading.rows(best, found(), news, since, trace.clone()).boxed();
        Ok((!too_many).then(rows))
    }

    /// What to look at to find them.
    fn scan(&self) -> Scan {
        let columns = [EVENT_TIME.column(), EVENT_ID.column(), ROW].map(str::to_string);
        let mut scan = Scan {
            columns: Some(columns.to_vec()),
            from: self.from,
            to: self.to,
            ..Scan::default()
        };
        self.predicate.apply(&mut scan);
        scan
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

/// Fills `best`, and tells of `news` whenever something of it may be given.
async fn find(
    best: Arc<Mutex<Best>>,
    scan: Scan,
    threads: usize,
    trace: Arc<Trace>,
    news: Arc<Notify>,
) -> Result<(), SearchError> {
    let parts = best.lock().parts.iter().cloned().enumerate().collect();
    let step = move |(): &mut (), (number, part): (usize, ScanPart), waiting: &Waiting| {
        look(&best, &scan, number, &part, waiting)?;
        trace.part_done(&part);
        if best.lock().part_done(number) {
            news.notify_one();
        }
        Ok(())
    };
    workers::each(parts, threads, || (), step).await.map(drop)
}

/// Looks for events in one part.
fn look(
    best: &Mutex<Best>,
    scan: &Scan,
    number: usize,
    part: &ScanPart,
    waiting: &Waiting,
) -> Result<(), SearchError> {
    let Some(oldest) = best.lock().worth(part) else { return Ok(()) };
    let from = oldest.max(scan.from);
    for batch in part.with(Arc::new(Scan { from, ..scan.clone() })).read() {
        let batch = batch.map_err(|e| failed(&e))?;
        let too_many = {
            let mut best = best.lock();
            best.offer(&batch, number);
            best.is_too_many()
        };
        if too_many || !waiting.still() {
            break;
        }
    }
    Ok(())
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
    fn new(rows: usize, parts: Vec<ScanPart>) -> Self {
        let done = vec![false; parts.len()];
        Self { rows, found: BTreeSet::new(), parts: parts.into(), done, next: 0 }
    }

    fn is_too_many(&self) -> bool {
        self.found.len() > ROWS_MAX
    }

    /// The least time that an event of `part` must have to be among the newest, if there can be
    /// one: `Some(None)` while any time will do.
    fn worth(&self, part: &ScanPart) -> Option<Option<Micros>> {
        if self.rows == 0 || self.is_too_many() {
            return None;
        }
        if self.found.len() < self.rows {
            return Some(None);
        }
        let ((oldest, _), _) = self.found.first()?;
        (part.times().1 >= *oldest).then_some(Some(*oldest))
    }

    fn offer(&mut self, batch: &RecordBatch, number: usize) {
        let places = longs(batch, ROW).unwrap_or_default();
        for (age, row) in ages(batch).into_iter().zip(places) {
            let is_full = self.found.len() >= self.rows;
            if is_full && self.found.first().is_none_or(|(oldest, _)| age < *oldest) {
                continue;
            }
            self.found.insert((age, (number, *row)));
            if self.found.len() > self.rows {
                self.found.pop_first();
            }
        }
    }

    /// A part was looked at; true when events that were found may be given now.
    fn part_done(&mut self, number: usize) -> bool {
        self.done[number] = true;
        while self.done.get(self.next) == Some(&true) {
            self.next += 1;
        }
        self.found.last().is_some_and(|((time, _), _)| self.is_sure(*time))
    }

    /// True when no event that is still to be found can be newer, or of the same time.
    fn is_sure(&self, time: Micros) -> bool {
        self.parts.get(self.next).is_none_or(|part| time > part.times().1)
    }

    /// Takes out what nothing newer can come before, newest first.
    fn sure(&mut self) -> Vec<Place> {
        let mut sure = Vec::new();
        while let Some(((time, _), place)) = self.found.last().copied() {
            if !self.is_sure(time) {
                break;
            }
            self.found.pop_last();
            sure.push(place);
        }
        self.rows -= sure.len();
        sure
    }
}

/// Reads what was found.
struct Reading {
    newest: Newest,
    /// The columns that are read.
    wanted: SchemaRef,
    room: Room,
}

impl Reading {
    /// The rows while `find` fills `best`, newest first.
    fn rows(
        self,
        best: Arc<Mutex<Best>>,
        find: impl Future<Output = Result<(), SearchError>> + Send + 'static,
        news: Arc<Notify>,
        since: Instant,
        trace: Arc<Trace>,
    ) -> impl futures::Stream<Item = Result<RecordBatch, SearchError>> + Send + 'static {
        async_stream::try_stream! {
            let mut find = pin!(find);
            let (mut given, mut took, mut ended) = (0, Duration::ZERO, false);
            while !ended {
                let end = tokio::select! {
                    biased;
                    end = &mut find => Some(end),
                    () = news.notified() => None,
                };
                if let Some(end) = end {
                    end?;
                    ended = true;
                }
                let mut sure = best.lock().sure();
                while !sure.is_empty() {
                    let since = Instant::now();
                    let batch = self.next(&best, &mut sure).await?;
                    took += since.elapsed();
                    given += batch.num_rows();
                    yield batch;
                }
            }
            let all = since.elapsed().saturating_sub(took);
            trace.step("find the newest events", String::new(), given, all);
            trace.step("read these events", String::new(), given, took);
            // A table has a batch even without rows, a list of events has none.
            if given == 0 && self.newest.fields.is_some() {
                yield self.newest.sorted(&[], &self.wanted).map_err(broken)?;
            }
        }
    }

    /// Reads as many of the first places as memory allows, and takes them off.
    async fn next(
        &self,
        best: &Mutex<Best>,
        places: &mut Vec<Place>,
    ) -> Result<RecordBatch, SearchError> {
        let parts = best.lock().parts.clone();
        let mut count = places.len();
        let batches = loop {
            match read(by_part(&parts, &places[..count]), &self.wanted, &self.room).await {
                Err(SearchError::TooBig(_)) if count > 1 => count /= 2,
                batches => break batches?,
            }
        };
        places.drain(..count);
        let batch = self.newest.sorted(&batches, &self.wanted).map_err(broken)?;
        match batch.num_rows() == count {
            true => Ok(batch),
            false => Err(SearchError::Failed("an event that was just found is gone".to_string())),
        }
    }
}

fn broken(error: ArrowError) -> SearchError {
    SearchError::Failed(error.to_string())
}

/// For each part what to read of it.
fn by_part(parts: &[ScanPart], places: &[Place]) -> Vec<(ScanPart, Vec<i64>)> {
    let mut by_part: BTreeMap<usize, Vec<i64>> = BTreeMap::new();
    for (number, row) in places {
        by_part.entry(*number).or_default().push(*row);
    }
    by_part.into_iter().map(|(number, rows)| (parts[number].clone(), rows)).collect()
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
