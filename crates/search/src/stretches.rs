//! Transactions and sequences without DataFusion: of each event its entity as a number, its time
//! and what it passes are kept; all of one entity are then looked at in the order of time.

use std::cmp::Reverse;
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use arrow::array::{
    ArrayRef, AsArray, DictionaryArray, Float64Array, Int32Array, RecordBatch, RecordBatchOptions,
    TimestampMicrosecondArray,
};
use arrow::datatypes::{Field, Int64Type, Schema, TimestampMicrosecondType};
use arrow::error::ArrowError;
use datafusion::execution::memory_pool::MemoryReservation;
use pugmark_event::fields::{EVENT_ID, EVENT_TIME};
use pugmark_event::time::{Micros, SECOND};
use pugmark_query::eval::{self, Cell, Rows, Shape, Table, list};
use pugmark_query::pipes::{Sequence, Transaction};
use pugmark_query::scope::Column;
use pugmark_query::{Expr, Filter, Pipe, Plan, Request, SearchError};
use pugmark_store::{Scan, ScanPart, Snapshot};

use crate::cells::array;
use crate::filter::Predicate;
use crate::grouped::{Work, filtered, scope_behind};
use crate::groups::key_of;
use crate::keys::{Key, Keys};
use crate::names::Names;
use crate::others::Others;
use crate::plan::inner;
use crate::running::busy;
use crate::steps::Steps;
use crate::trace::Trace;
use crate::whole;
use crate::workers::{self, Room, Waiting, failed};

/// A question for what follows each other in time.
pub(crate) struct Stretches {
    /// What is looked for: all events, or those of each step of a sequence by themselves, so that
    /// each is found in the way that is fastest for it.
    predicates: Vec<Predicate>,
    keys: Arc<[Key]>,
    what: What,
    plan: Plan,
    /// The number of the pipe.
    place: usize,
    /// What groups the rows that it makes, and the number of that pipe.
    work: Option<(Work, usize)>,
    others: Others,
    from: Option<Micros>,
    to: Option<Micros>,
    limit: Option<usize>,
}

enum What {
    Transaction(Transaction),
    Sequence(Sequence),
}

/// An event.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Seen {
    time: Micros,
    id: i64,
    entity: u32,
    /// A bit for each step that it passes.
    steps: u16,
}

/// Events of one thread; `None` when they were too many for the memory.
struct Share {
    found: Option<Found>,
    memory: MemoryReservation,
}

struct Found {
    keys: Keys,
    events: Vec<Seen>,
    /// The entities of the last batch.
    scratch: Vec<u32>,
}

/// One transaction or sequence.
struct Stretch {
    entity: u32,
    start: Micros,
    end: Micros,
    /// Its column `events`.
    events: Cell,
}

impl Stretches {
    /// `None` for any other question. The plan has everything bound.
    pub(crate) fn new(request: &Request, others: &Others) -> Option<Self> {
        let plan = &request.plan;
        let (filter, place) = filtered(plan);
        let pipe = plan.pipes.get(place)?;
        let (what, by, steps) = match pipe {
            // Figures look at all rows of each.
            Pipe::Transaction(t) if t.figures.is_empty() => {
                (What::Transaction(t.clone()), &t.by, &[Filter::All][..])
            }
            Pipe::Sequence(s) => (What::Sequence(s.clone()), &s.by, &s.steps[..]),
            _ => return None,
        };
        let predicates = steps
            .iter()
            .map(|step| Predicate::new(&Filter::And(vec![filter.clone(), step.clone()])).ok());
        let mut none = Steps::new(Names::events());
        let keys = by.iter().map(|field| key_of(&Expr::Field(field.clone()), &mut none));
        let columns = scope_behind(plan, place).columns;
        Some(Self {
            predicates: predicates.collect::<Option<_>>()?,
            keys: keys.collect::<Option<_>>()?,
            what,
            plan: plan.clone(),
            place,
            work: Work::new(plan, place + 1, Names::table(columns), others),
            others: others.clone(),
            from: request.from,
            to: request.to,
            limit: request.limit,
        })
    }

    /// The answer; `None` when there are too many events for this way.
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
        let mut shares = Vec::new();
        for (step, predicate) in self.predicates.iter().enumerate() {
            let parts = snapshot.scan(self.scan(predicate));
            trace.to_read(&parts);
            let start = || Share { found: Some(Found::new(&self.keys)), memory: room.reserve() };
            let work = take_in(self.keys.clone(), 1 << step, trace.clone());
            shares.extend(workers::each(parts, room.threads, start, work).await?);
        }
        let Some((found, memory)) = merge(shares, &self.keys, room) else { return Ok(None) };
        let shown = whole::shown(&self.plan.pipes[..self.place]);
        trace.step("read events", shown, found.events.len(), since.elapsed());
        let since = Instant::now();
        let table = busy(|| {
            let Found { keys, events, .. } = found;
            let stretches = self.find(&keys, events);
            let bytes = stretches.len() * size_of::<Stretch>();
            if memory.try_resize(keys.bytes() + bytes).is_err() {
                return Ok(None);
            }
            self.table(&keys, stretches).map(Some)
        })?;
        if let Some(table) = &table {
            let shown = whole::shown(&self.plan.pipes[self.place..]);
            trace.step("evaluate", shown, table.rows.len(), since.elapsed());
        }
        Ok(table)
    }

    fn scan(&self, predicate: &Predicate) -> Scan {
        let keys = self.keys.iter().map(|key| key.column().as_str());
        let columns = [EVENT_TIME, EVENT_ID].map(|id| id.column()).into_iter().chain(keys);
        let mut scan = Scan {
            columns: Some(columns.map(str::to_string).collect()),
            from: self.from,
            to: self.to,
            dictionaries: true,
            ..Scan::default()
        };
        predicate.apply(&mut scan);
        scan
    }

    /// All that is found, by entity and from the oldest on.
    fn find(&self, keys: &Keys, events: Vec<Seen>) -> Vec<Stretch> {
        let (events, ends) = by_entity(events, keys.len());
        let mut found = Vec::new();
        let mut start = 0;
        for (entity, end) in ends.into_iter().enumerate() {
            let events = &events[start..end];
            start = end;
            if !events.is_empty() && !keys.lacks_one(entity as u32) {
                self.find_of(entity as u32, events, &mut found);
            }
        }
        found
    }

    /// The same for one entity, of which the events are in the order of time.
    fn find_of(&self, entity: u32, events: &[Seen], found: &mut Vec<Stretch>) {
        let time = |place: usize| events[place].time;
        match &self.what {
            What::Transaction(transaction) => {
                let parts = transaction.parts(events.len(), time).into_iter();
                found.extend(parts.map(|Range { start, end }| Stretch {
                    entity,
                    start: time(start),
                    end: time(end - 1),
                    events: Cell::Long((end - start) as i64),
                }));
            }
            What::Sequence(sequence) => {
                let passes = |step: usize, place: usize| events[place].steps >> step & 1 == 1;
                for places in sequence.find(0..events.len(), time, passes) {
                    let (Some(first), Some(last)) = (places.first(), places.last()) else {
                        continue;
                    };
                    let ids = places.iter().map(|place| events[*place].id.to_string());
                    let (start, end) = (time(*first), time(*last));
                    found.push(Stretch { entity, start, end, events: list(ids) });
                }
            }
        }
    }

    /// What was found taken through the pipes that follow.
    fn table(&self, keys: &Keys, found: Vec<Stretch>) -> Result<Table, SearchError> {
        let columns = scope_behind(&self.plan, self.place).columns;
        let (rows, next) = match &self.work {
            Some((work, place)) => {
                let mut groups = work.start();
                let wanted = work.columns();
                batch(&columns, keys, found, |name| wanted.contains(name))
                    .and_then(|batch| work.add(&mut groups, batch))
                    .map_err(|e| SearchError::Failed(e.to_string()))?;
                let columns = scope_behind(&self.plan, *place).columns;
                (Rows::of_table(columns, work.finish(groups)), place + 1)
            }
            None => (Rows::of_table(columns, rows(keys, found)), self.place + 1),
        };
        let table = eval::after(&self.plan, next, rows, &self.others);
        let mut table = table.map_err(SearchError::Failed)?;
        table.rows.truncate(self.limit.unwrap_or(usize::MAX));
        Ok(table)
    }
}

impl Found {
    fn new(keys: &[Key]) -> Self {
        Self { keys: Keys::new(keys), events: Vec::new(), scratch: Vec::new() }
    }

    /// Memory that it takes, about: there is a copy of the events while they are sorted.
    fn bytes(&self) -> usize {
        self.keys.bytes() + 2 * self.events.capacity() * size_of::<Seen>()
    }

    /// Takes in events that pass these steps.
    fn add(&mut self, keys: &[Key], batch: &RecordBatch, steps: u16) {
        let column = |name: &str| batch.column_by_name(name);
        let times = column(EVENT_TIME.column());
        let times = times.and_then(|c| c.as_primitive_opt::<TimestampMicrosecondType>());
        let ids = column(EVENT_ID.column()).and_then(|c| c.as_primitive_opt::<Int64Type>());
        let (Some(times), Some(ids)) = (times, ids) else { return };
        self.keys.rows(keys, batch, &mut self.scratch);
        let rows = times.values().iter().zip(ids.values()).zip(&self.scratch);
        let rows =
            rows.map(|((time, id), entity)| Seen { time: *time, id: *id, entity: *entity, steps });
        self.events.extend(rows);
    }

    /// Takes in the events of another thread.
    fn merge(&mut self, other: Found) {
        let entities: Vec<u32> = (0..other.keys.len() as u32).collect();
        let places = self.keys.adopt(&other.keys, &entities);
        let events = other.events.into_iter();
        self.events.extend(events.map(|e| Seen { entity: places[e.entity as usize], ..e }));
    }
}

/// Takes parts into the events of a thread, which pass these steps.
fn take_in(
    keys: Arc<[Key]>,
    steps: u16,
    trace: Arc<Trace>,
) -> impl Fn(&mut Share, ScanPart, &Waiting) -> Result<(), SearchError> + Clone {
    move |share, part, waiting| {
        for batch in part.clone().read() {
            let Some(found) = &mut share.found else { break };
            found.add(&keys, &batch.map_err(|e| failed(&e))?, steps);
            if share.memory.try_resize(found.bytes()).is_err() {
                share.found = None;
                share.memory.free();
            }
            if !waiting.still() {
                break;
            }
        }
        trace.part_done(&part);
        Ok(())
    }
}

/// The events of all threads; `None` when they are too many for the memory.
fn merge(shares: Vec<Share>, keys: &[Key], room: &Room) -> Option<(Found, MemoryReservation)> {
    let mut shares = shares.into_iter();
    let Some(first) = shares.next() else { return Some((Found::new(keys), room.reserve())) };
    let (mut all, memory) = (first.found?, first.memory);
    for share in shares {
        all.merge(share.found?);
        memory.try_resize(all.bytes()).ok()?;
    }
    Some((all, memory))
}

/// The events by entity, those of one in the order of time, each once with all steps that it
/// passes; and where those of each of so many entities end.
fn by_entity(events: Vec<Seen>, entities: usize) -> (Vec<Seen>, Vec<usize>) {
    let mut ends = vec![0; entities];
    events.iter().for_each(|event| ends[event.entity as usize] += 1);
    let mut sum = 0;
    for end in &mut ends {
        // The place of the next event of the entity, for now.
        (*end, sum) = (sum, sum + *end);
    }
    let mut sorted = events.clone();
    for event in events {
        let next = &mut ends[event.entity as usize];
        sorted[*next] = event;
        *next += 1;
    }
    let (mut kept, mut start) = (0, 0);
    for end in &mut ends {
        sorted[start..*end].sort_unstable();
        let first = kept;
        for at in start..*end {
            let event = sorted[at];
            match sorted[first..kept].last_mut() {
                Some(last) if (last.time, last.id) == (event.time, event.id) => {
                    last.steps |= event.steps;
                }
                _ => {
                    sorted[kept] = event;
                    kept += 1;
                }
            }
        }
        (start, *end) = (*end, kept);
    }
    sorted.truncate(kept);
    (sorted, ends)
}

/// What was found as rows, the newest first.
fn rows(keys: &Keys, mut found: Vec<Stretch>) -> Vec<Vec<Cell>> {
    let mut ranks = vec![0u32; keys.len()];
    let entities = keys.sorted((0..keys.len() as u32).collect());
    for (rank, entity) in (0..).zip(entities) {
        ranks[entity as usize] = rank;
    }
    found.sort_by_key(|stretch| (Reverse(stretch.start), ranks[stretch.entity as usize]));
    let row = |stretch: Stretch| {
        let Stretch { entity, start, end, events } = stretch;
        let times = [Cell::Time(start), Cell::Time(end), Cell::Float(seconds(start, end))];
        keys.cells(entity).chain(times).chain([events]).collect()
    };
    found.into_iter().map(row).collect()
}

/// What was found as a batch with those of the columns of its table that are wanted.
fn batch(
    columns: &[Column],
    keys: &Keys,
    found: Vec<Stretch>,
    wanted: impl Fn(&String) -> bool,
) -> Result<RecordBatch, ArrowError> {
    let options = RecordBatchOptions::new().with_row_count(Some(found.len()));
    let times = |time: fn(&Stretch) -> Micros| {
        let times = TimestampMicrosecondArray::from_iter_values(found.iter().map(time));
        Arc::new(times.with_timezone("UTC")) as ArrayRef
    };
    let by = columns.len() - 4;
    let (mut fields, mut arrays) = (Vec::new(), Vec::new());
    for (place, column) in columns.iter().enumerate() {
        let name = inner(place);
        if !wanted(&name) {
            continue;
        }
        let values = match place.checked_sub(by) {
            None => key_values(keys, place, column.shape, &found),
            Some(0) => times(|stretch| stretch.start),
            Some(1) => times(|stretch| stretch.end),
            Some(2) => {
                let all = found.iter().map(|stretch| seconds(stretch.start, stretch.end));
                Arc::new(Float64Array::from_iter_values(all))
            }
            Some(_) => array(found.iter().map(|stretch| stretch.events.clone()), column.shape),
        };
        fields.push(Field::new(name, values.data_type().clone(), true));
        arrays.push(values);
    }
    RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), arrays, &options)
}

/// The values of one key.
fn key_values(keys: &Keys, place: usize, shape: Shape, found: &[Stretch]) -> ArrayRef {
    let values = keys.values(place);
    let number = |stretch: &Stretch| keys.parts(stretch.entity)[place];
    if shape != Shape::Text {
        return array(found.iter().map(|stretch| values.cell(number(stretch))), shape);
    }
    let places = Int32Array::from_iter_values(found.iter().map(|s| number(s) as i32));
    let texts = array((0..values.len() as u32).map(|number| values.cell(number)), shape);
    Arc::new(DictionaryArray::new(places, texts))
}

fn seconds(start: Micros, end: Micros) -> f64 {
    end.saturating_sub(start) as f64 / SECOND as f64
}
