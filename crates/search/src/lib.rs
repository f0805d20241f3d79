//! Answers plans and SQL over the store.
//!
//! The commonest kinds of question have a short way of their own: the newest events that pass a
//! filter, counts and other plain figures by groups, and what follows each other in time.
//! DataFusion answers all others.
//!
//! Floor 4, and the only crate that names datafusion: none of its types leaves this crate.

mod cells;
mod columns;
mod computed;
mod error;
mod estimate;
mod filter;
mod formula;
mod functions;
mod grouped;
mod groups;
mod intern;
mod keys;
mod names;
mod newest;
mod numbers;
mod others;
mod plan;
mod portion;
pub mod postgres;
mod presence;
mod prune;
mod running;
mod scan;
mod sql;
mod steps;
mod stretches;
mod table;
mod trace;
mod values;
mod views;
mod whole;
mod workers;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{AsArray, RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::{Int64Type, Schema};
use arrow::error::ArrowError;
use async_trait::async_trait;
use datafusion::catalog::MemoryCatalogProviderList;
use datafusion::execution::memory_pool::{FairSpillPool, MemoryPool};
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::execution::session_state::{SessionState, SessionStateBuilder};
use datafusion::physical_plan::execute_stream;
use datafusion::prelude::{DataFrame, SessionConfig, SessionContext};
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use pugmark_event::time::Micros;
use pugmark_event::{Batch, json};
use pugmark_query::eval::{self, NoTables, Table, Tables, World};
use pugmark_query::explain::Explanation;
use pugmark_query::scope::Scope;
use pugmark_query::{
    Answer, FieldRef, FieldValues, Kind, Limits, Pipe, Plan, Presence, Request, Search, SearchError,
};
use pugmark_store::{Snapshot, Store, StoreError};

use crate::error::{Asked, search_error};
use crate::grouped::Grouped;
use crate::newest::Newest;
use crate::others::{Answered, Others};
use crate::portion::Portion;
use crate::running::Threads;
use crate::stretches::Stretches;
use crate::table::EventsTable;
use crate::trace::Trace;
use crate::views::Views;
use crate::whole::Whole;
use crate::workers::{Room, failed};

/// How much a search may take.
#[derive(Debug, Clone)]
pub struct Options {
    /// Memory of all running questions together, in bytes. Sorting and grouping beyond it goes to
    /// temporary files, or ends with [`SearchError::TooBig`].
    pub memory_bytes_max: usize,
    /// Temporary files of all running questions together, in bytes.
    pub spill_bytes_max: u64,
    /// Threads that one question may keep busy; `None` is one for each core.
    pub threads: Option<usize>,
    /// What each question may take by itself.
    pub limits: Limits,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            memory_bytes_max: 512 << 20,
            spill_bytes_max: 10 << 30,
            threads: None,
            limits: Limits::default(),
        }
    }
}

/// Searches a store.
#[derive(Clone)]
pub struct StoreSearch {
    store: Arc<Store>,
    /// What all questions share of DataFusion: functions, rules and memory. Made once, since
    /// making it takes longer than most questions do.
    state: Arc<SessionState>,
    /// Tables that `lookup` asks.
    tables: Arc<dyn Tables>,
    room: Room,
    threads: Arc<Threads>,
    limits: Limits,
}

/// Rows of a question inside of another.
const INNER_ROWS_MAX: usize = 1_000_000;

impl std::fmt::Debug for StoreSearch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoreSearch").field("threads", &self.room.threads).finish_non_exhaustive()
    }
}

/// A question that needs no DataFusion.
enum Direct {
    Newest(Newest),
    Grouped(Box<Grouped>),
    Stretches(Box<Stretches>),
}

impl Direct {
    fn new(request: &Request, others: &Others) -> Option<Self> {
        let grouped = || Some(Direct::Grouped(Box::new(Grouped::new(request, others)?)));
        let stretches = || Some(Direct::Stretches(Box::new(Stretches::new(request, others)?)));
        Newest::new(request).map(Direct::Newest).or_else(grouped).or_else(stretches)
    }
}

impl StoreSearch {
    /// A search over `store`.
    pub fn new(store: Arc<Store>, options: Options) -> Self {
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(FairSpillPool::new(options.memory_bytes_max)))
            .with_max_temp_directory_size(options.spill_bytes_max)
            .build_arc()
            .expect("temporary files and caches are made when they are first needed");
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = options.threads.unwrap_or(cores).max(1);
        let config = SessionConfig::new()
            .with_target_partitions(threads)
            .with_create_default_catalog_and_schema(false);
        let state = SessionStateBuilder::new()
            .with_config(config)
            .with_runtime_env(runtime.clone())
            .with_default_features()
            .build();
        let room = Room { threads, pool: runtime.memory_pool.clone() };
        Self {
            store,
            state: Arc::new(state),
            tables: Arc::new(NoTables),
            room,
            threads: Arc::new(Threads::new(threads)),
            limits: options.limits,
        }
    }

    /// The same with tables for `lookup`.
    pub fn with_tables(self, tables: Arc<dyn Tables>) -> Self {
        Self { tables, ..self }
    }

    /// The same for one question, which has only its part of the memory.
    fn for_one(&self) -> Self {
        let Some(bytes_max) = self.limits.memory_bytes_max else { return self.clone() };
        let pool: Arc<dyn MemoryPool> = Arc::new(Portion::new(self.room.pool.clone(), bytes_max));
        Self { room: Room { pool, ..self.room.clone() }, ..self.clone() }
    }

    /// What DataFusion works with: files that all questions share, and the memory of this search.
    fn runtime(&self) -> Arc<RuntimeEnv> {
        let shared = RuntimeEnv::clone(self.state.runtime_env());
        Arc::new(RuntimeEnv { memory_pool: self.room.pool.clone(), ..shared })
    }

    /// A context of its own for every question: tables and settings never mix. It takes longer to
    /// make than some questions take, so only those that go to DataFusion have one.
    fn context(&self) -> SessionContext {
        let catalogs = Arc::new(MemoryCatalogProviderList::new());
        let state = SessionStateBuilder::new_from_existing(SessionState::clone(&self.state))
            .with_runtime_env(self.runtime())
            .with_catalog_list(catalogs);
        SessionContext::new_with_state(state.build())
    }

    /// Answers `request`; `trace` is told what that takes.
    fn traced(&self, request: Request, trace: Arc<Trace>) -> Answer {
        let snapshot = self.store.snapshot();
        let range = table::range(&snapshot, request.from, request.to).unwrap_or_default();
        let request = Request { plan: request.plan.bound(request.now, range), ..request };
        let kind = request.plan.kind();
        let names = shown(&request.plan.scope());
        let last_id = snapshot.last_id();
        let (this, snapshot) = (self.for_one(), snapshot.metered(trace.meter.clone()));
        let work = trace.clone();
        let found = async move { this.rows(&request, &snapshot, &work).await };
        Answer { last_id, ..self.answer(kind, names, found, trace) }
    }

    /// An answer whose rows are found on the threads of questions.
    fn answer(
        &self,
        kind: Kind,
        columns: Vec<String>,
        found: impl Future<Output = Result<Found, SearchError>> + Send + 'static,
        trace: Arc<Trace>,
    ) -> Answer {
        let rows = self.threads.run(found, self.limits, trace.clone());
        Answer { kind, columns, rows, last_id: 0, progress: Arc::new(move || trace.progress()) }
    }

    /// The rows that answer `request`, whose plan has everything bound.
    async fn rows(
        &self,
        request: &Request,
        snapshot: &Snapshot,
        trace: &Arc<Trace>,
    ) -> Result<Found, SearchError> {
        match self.rows_or_table(request, snapshot, trace).await? {
            RowsOrTable::Rows(rows) => Ok(rows),
            RowsOrTable::Table(table) => {
                let batch = cells::batch(&table).map_err(|e| SearchError::Failed(e.to_string()))?;
                Ok(stream::iter([Ok(batch)]).boxed())
            }
        }
    }

    /// The same in the form in which they come.
    async fn rows_or_table(
        &self,
        request: &Request,
        snapshot: &Snapshot,
        trace: &Arc<Trace>,
    ) -> Result<RowsOrTable, SearchError> {
        let others = self.others(request, snapshot, trace).await?;
        let found = match Direct::new(request, &others) {
            Some(Direct::Newest(newest)) => {
                newest.run(snapshot, &self.room, trace).await?.map(RowsOrTable::Rows)
            }
            Some(Direct::Grouped(grouped)) => {
                grouped.run(snapshot, &self.room, trace).await?.map(RowsOrTable::Table)
            }
            Some(Direct::Stretches(stretches)) => {
                stretches.run(snapshot, &self.room, trace).await?.map(RowsOrTable::Table)
            }
            None => None,
        };
        match found {
            Some(found) => Ok(found),
            None => self.general(request, snapshot, &others, trace).await.map(RowsOrTable::Rows),
        }
    }

    /// Answers with DataFusion, and with the plain evaluator from a pipe on that needs all rows.
    async fn general(
        &self,
        request: &Request,
        snapshot: &Snapshot,
        others: &Others,
        trace: &Arc<Trace>,
    ) -> Result<Found, SearchError> {
        let plan = &request.plan;
        let columns = columns::of_plan(plan);
        let table =
            EventsTable::new(snapshot.clone(), request.from, request.to, columns, trace.clone());
        let whole = plan.pipes.iter().position(Pipe::is_whole);
        let pipes = &plan.pipes[..whole.unwrap_or(plan.pipes.len())];
        let mut rows = plan::events(&self.context(), table, plan)?;
        for pipe in pipes {
            rows = rows.pipe(pipe, others)?;
        }
        let Some(place) = whole else {
            let frame = rows.finish(request.limit)?;
            return stream_of(frame, Asked::Plan, trace).await.map(|(_, rows)| rows);
        };
        let whole = Whole { plan, place, known: others, trace };
        let mut table = whole.run(rows, self.room.reserve()).await?;
        table.rows.truncate(request.limit.unwrap_or(usize::MAX));
        let batch = cells::batch(&table).map_err(|e| SearchError::Failed(e.to_string()))?;
        Ok(stream::iter([Ok(batch)]).boxed())
    }

    /// Asks the questions inside of `request`, over the same snapshot.
    async fn others(
        &self,
        request: &Request,
        snapshot: &Snapshot,
        trace: &Arc<Trace>,
    ) -> Result<Others, SearchError> {
        let mut answers = Vec::new();
        for (plan, shift) in others::inner(&request.plan) {
            if shift > 0 && (request.from.is_none() || request.to.is_none()) {
                let message = "`compare` needs a time range with a start and an end";
                return Err(plan::bad_query(message.to_string()));
            }
            let moved = |bound: Option<Micros>| bound.map(|bound| bound.saturating_sub(shift));
            let asked = Request {
                plan,
                from: moved(request.from),
                to: moved(request.to),
                limit: Some(INNER_ROWS_MAX + 1),
                now: request.now,
            };
            let mut memory = self.room.reserve();
            let table = match Box::pin(self.rows_or_table(&asked, snapshot, trace)).await? {
                RowsOrTable::Rows(found) => {
                    let rows = whole::collect(found, &mut memory).await?;
                    Table { columns: asked.plan.scope().columns, rows }
                }
                RowsOrTable::Table(table) => {
                    let grown = memory.try_grow(cells::bytes(&table.rows));
                    grown.map_err(|e| search_error(&e, Asked::Plan))?;
                    table
                }
            };
            let (question, table) = ((asked.plan, shift), Arc::new(table));
            answers.push(Answered { question, table, _memory: memory });
        }
        Ok(Others::new(&request.plan, &*self.tables, answers))
    }
}

/// Rows in the form in which they come.
enum RowsOrTable {
    Rows(Found),
    Table(Table),
}

/// The rows of an answer as they are found.
type Found = BoxStream<'static, Result<RecordBatch, SearchError>>;

#[async_trait]
impl Search for StoreSearch {
    async fn search(&self, request: Request) -> Result<Answer, SearchError> {
        Ok(self.traced(request, Trace::new()))
    }

    async fn explain(&self, request: Request) -> Result<Explanation, SearchError> {
        let trace = Trace::new();
        let mut answer = self.traced(request, trace.clone());
        let mut rows = 0;
        while let Some(batch) = answer.rows.next().await {
            rows += batch?.num_rows() as u64;
        }
        Ok(trace.explanation(rows))
    }

    fn arrived(
        &self,
        plan: &Plan,
        events: &Batch,
        now: Micros,
    ) -> Result<Option<RecordBatch>, SearchError> {
        let tables = Others::new(plan, &*self.tables, Vec::new());
        let batches = std::slice::from_ref(events);
        let world = World { batches, tables: &tables, from: None, to: None, now };
        let table = eval::run(plan, &world, None).map_err(SearchError::Failed)?;
        if table.rows.is_empty() {
            return Ok(None);
        }
        let rows = cells::batch(&table);
        let rows = match plan.kind() {
            Kind::Table => rows,
            Kind::Events => rows.and_then(|rows| beside(events, &plan.scope(), &rows)),
        };
        rows.map(Some).map_err(|e| SearchError::Failed(e.to_string()))
    }

    fn time_max(&self) -> Duration {
        self.limits.time_max
    }

    async fn sql(&self, sql: &str, limit: Option<usize>) -> Result<Answer, SearchError> {
        let trace = Trace::new();
        let views = Views::new(self.store.clone(), trace.clone());
        let frame = sql::frame(&self.for_one().context(), views, sql, limit).await?;
        let asked = trace.clone();
        let found = async move { stream_of(frame, Asked::Sql, &asked).await };
        let (columns, rows) = self.threads.within(found).await?;
        Ok(self.answer(Kind::Table, columns, async { Ok(rows) }, trace))
    }

    async fn fields(
        &self,
        from: Option<Micros>,
        to: Option<Micros>,
    ) -> Result<Presence, SearchError> {
        let snapshot = self.store.snapshot();
        let present = blocking(move || snapshot.present(from, to)).await?;
        Ok(presence::of_columns(present))
    }

    async fn values(
        &self,
        field: &FieldRef,
        from: Option<Micros>,
        to: Option<Micros>,
    ) -> Result<FieldValues, SearchError> {
        let (snapshot, field) = (self.store.snapshot(), field.clone());
        blocking(move || presence::values(&snapshot, &field, from, to)).await
    }
}

/// Does what blocks a thread on one that may be blocked.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, SearchError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|e| SearchError::Failed(e.to_string()))?.map_err(|e| failed(&e))
}

/// The stored columns of events beside what was computed of them; `rows` has their ids first.
fn beside(events: &Batch, scope: &Scope, rows: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let ids = rows.column(0).as_primitive::<Int64Type>().values();
    let place = |id: &i64| events.ids().partition_point(|known| known < id) as u32;
    let places = UInt32Array::from_iter_values(ids.iter().map(place));
    let all = take_record_batch(events.columns(), &places)?;
    let (mut fields, mut columns) = (Vec::new(), Vec::new());
    for name in plan::stored(scope) {
        // A batch has no column for what none of its events has.
        let Some((at, field)) = all.schema_ref().column_with_name(&name) else { continue };
        fields.push(field.clone());
        columns.push(all.column(at).clone());
    }
    for at in 1..rows.num_columns() {
        fields.push(rows.schema_ref().field(at).clone());
        columns.push(rows.column(at).clone());
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
}

/// The names of the columns as they are shown.
fn shown(scope: &Scope) -> Vec<String> {
    let names = scope.names();
    let stored = if scope.events { plan::stored(scope) } else { Vec::new() };
    let mut columns: Vec<String> =
        stored.iter().map(|column| json::name(column).to_string()).collect();
    columns.extend(names.iter().map(|name| json::name(name).to_string()));
    columns
}

/// The rows of a frame, and the names of their columns.
async fn stream_of(
    frame: DataFrame,
    asked: Asked,
    trace: &Trace,
) -> Result<(Vec<String>, Found), SearchError> {
    let task = Arc::new(frame.task_ctx());
    let plan = frame.create_physical_plan().await.map_err(|e| search_error(&e, asked))?;
    trace.plan(plan.clone());
    let stream = execute_stream(plan, task).map_err(|e| search_error(&e, asked))?;
    let empty = RecordBatch::new_empty(stream.schema());
    let columns = json::names(&empty).into_iter().map(str::to_string).collect();
    Ok((columns, stream.map(move |batch| batch.map_err(|e| search_error(&e, asked))).boxed()))
}
