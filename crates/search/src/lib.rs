//! Answers plans and SQL over the store.
//!
//! The two commonest kinds of question have a short way of their own: the newest events that pass a
//! filter, and counts and other plain figures by groups. DataFusion answers all others.
//!
//! Floor 4, and the only crate that names datafusion: none of its types leaves this crate.

mod columns;
mod error;
mod filter;
mod functions;
mod grouped;
mod groups;
mod intern;
mod newest;
mod plan;
mod prune;
mod scan;
mod sql;
mod table;
mod values;
mod workers;

use std::sync::Arc;

use arrow::array::RecordBatch;
use async_trait::async_trait;
use datafusion::catalog::MemoryCatalogProviderList;
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::session_state::{SessionState, SessionStateBuilder};
use datafusion::prelude::{DataFrame, SessionConfig, SessionContext};
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use pugmark_event::batch::schema;
use pugmark_event::json;
use pugmark_query::{Answer, Kind, Request, Search, SearchError};
use pugmark_store::{Snapshot, Store};

use crate::error::{Asked, search_error};
use crate::grouped::Grouped;
use crate::newest::Newest;
use crate::table::EventsTable;
use crate::workers::Room;

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
}

impl Default for Options {
    fn default() -> Self {
        Self { memory_bytes_max: 512 << 20, spill_bytes_max: 10 << 30, threads: None }
    }
}

/// Searches a store.
#[derive(Clone)]
pub struct StoreSearch {
    store: Arc<Store>,
    /// What all questions share of DataFusion: functions, rules and memory. Made once, since
    /// making it takes longer than most questions do.
    state: Arc<SessionState>,
    room: Room,
}

impl std::fmt::Debug for StoreSearch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoreSearch").field("threads", &self.room.threads).finish_non_exhaustive()
    }
}

/// A question that needs no DataFusion.
enum Direct {
    Newest(Newest),
    Grouped(Grouped),
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
        Self { store, state: Arc::new(state), room }
    }

    /// A context of its own for every question: tables and settings never mix.
    fn context(&self) -> SessionContext {
        let catalogs = Arc::new(MemoryCatalogProviderList::new());
        let state = SessionStateBuilder::new_from_existing(SessionState::clone(&self.state));
        SessionContext::new_with_state(state.with_catalog_list(catalogs).build())
    }

    /// Answers with DataFusion.
    async fn general(&self, request: &Request) -> Result<Answer, SearchError> {
        let columns = columns::of_plan(&request.plan);
        let table = EventsTable::new(self.store.snapshot(), request.from, request.to, columns);
        let frame = plan::frame(&self.context(), table, request)?;
        answer(frame, request.plan.kind(), Asked::Plan).await
    }

    async fn direct(
        self,
        request: Request,
        direct: Direct,
        snapshot: Snapshot,
    ) -> Result<BoxStream<'static, Result<RecordBatch, SearchError>>, SearchError> {
        let found = match direct {
            Direct::Newest(newest) => newest.run(&snapshot, &self.room).await?,
            Direct::Grouped(grouped) => grouped.run(&snapshot, &self.room).await?,
        };
        match found {
            // A table has a batch even without rows, a list of events has none.
            Some(batch) if batch.num_rows() == 0 && request.plan.kind() == Kind::Events => {
                Ok(stream::empty().boxed())
            }
            Some(batch) => Ok(stream::iter([Ok(batch)]).boxed()),
            None => Ok(self.general(&request).await?.rows),
        }
    }
}

#[async_trait]
impl Search for StoreSearch {
    async fn search(&self, request: Request) -> Result<Answer, SearchError> {
        let newest = Newest::new(&request).map(Direct::Newest);
        let direct = newest.or_else(|| Grouped::new(&request).map(Direct::Grouped));
        let Some(direct) = direct else { return self.general(&request).await };
        let kind = request.plan.kind();
        let columns = match request.plan.table_columns() {
            Some(columns) => columns.iter().map(|c| json::name(c).to_string()).collect(),
            None => schema().fields().iter().map(|f| json::name(f.name()).to_string()).collect(),
        };
        let found = self.clone().direct(request, direct, self.store.snapshot());
        let rows = stream::once(found).try_flatten().boxed();
        Ok(Answer { kind, columns, rows })
    }

    async fn sql(&self, sql: &str, limit: Option<usize>) -> Result<Answer, SearchError> {
        let table = EventsTable::new(self.store.snapshot(), None, None, schema());
        let frame = sql::frame(&self.context(), table, sql, limit).await?;
        answer(frame, Kind::Table, Asked::Sql).await
    }
}

async fn answer(frame: DataFrame, kind: Kind, asked: Asked) -> Result<Answer, SearchError> {
    let stream = frame.execute_stream().await.map_err(|e| search_error(&e, asked))?;
    let empty = RecordBatch::new_empty(stream.schema());
    let columns = json::names(&empty).into_iter().map(str::to_string).collect();
    let rows = stream.map(move |batch| batch.map_err(|e| search_error(&e, asked))).boxed();
    Ok(Answer { kind, columns, rows })
}
