//! Answers plans and SQL over the store with DataFusion.
//!
//! Floor 4, and the only crate that names datafusion: none of its types leaves this crate.

mod columns;
mod error;
mod functions;
mod plan;
mod prune;
mod scan;
mod sql;
mod table;

use std::sync::Arc;

use arrow::array::RecordBatch;
use async_trait::async_trait;
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::prelude::{DataFrame, SessionConfig, SessionContext};
use futures::StreamExt;
use pugmark_event::batch::schema;
use pugmark_event::json;
use pugmark_query::{Answer, Kind, Request, Search, SearchError};
use pugmark_store::Store;

use crate::error::{Asked, search_error};
use crate::table::EventsTable;

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
pub struct StoreSearch {
    store: Arc<Store>,
    runtime: Arc<RuntimeEnv>,
    threads: usize,
}

impl std::fmt::Debug for StoreSearch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoreSearch").field("threads", &self.threads).finish_non_exhaustive()
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
        Self { store, runtime, threads: options.threads.unwrap_or(cores).max(1) }
    }

    /// A context of its own for every question: tables and settings never mix.
    fn context(&self) -> SessionContext {
        let config = SessionConfig::new().with_target_partitions(self.threads);
        SessionContext::new_with_config_rt(config, self.runtime.clone())
    }
}

#[async_trait]
impl Search for StoreSearch {
    async fn search(&self, request: Request) -> Result<Answer, SearchError> {
        let kind = request.plan.kind();
        let columns = columns::of_plan(&request.plan);
        let table = EventsTable::new(self.store.snapshot(), request.from, request.to, columns);
        let frame = plan::frame(&self.context(), table, &request)?;
        answer(frame, kind, Asked::Plan).await
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
