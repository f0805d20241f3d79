//! The tables of SQL. Their names, columns and types are a promise: columns are only ever added.
//!
//! `events` is the store. `alerts`, `detections`, `ledger` and `ledger_minutes` are read from the
//! state when a question asks for them. `spans` and `metrics` are those events that name a span or
//! a value of a metric, with their attributes in columns.

mod measured;
mod state;

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{SchemaProvider, TableProvider};
use datafusion::common::Result;
use datafusion::error::DataFusionError;
use pugmark_event::batch::schema;
use pugmark_store::{Snapshot, Store};

use crate::table::EventsTable;
use crate::trace::Trace;

/// Names of all views, in the order in which they are listed.
pub(crate) const VIEWS: [&str; 7] =
    ["alerts", "detections", "events", "ledger", "ledger_minutes", "metrics", "spans"];

/// The views over one moment of the store: all of a question sees the same events.
#[derive(Clone)]
pub(crate) struct Views {
    store: Arc<Store>,
    snapshot: Snapshot,
    trace: Arc<Trace>,
}

impl fmt::Debug for Views {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Views").finish_non_exhaustive()
    }
}

impl Views {
    /// The views as of now; `trace` is told what is read of them.
    pub(crate) fn new(store: Arc<Store>, trace: Arc<Trace>) -> Self {
        Self { snapshot: store.snapshot().metered(trace.meter.clone()), store, trace }
    }

    /// The columns of a view.
    pub(crate) fn schema_of(&self, name: &str) -> Result<SchemaRef> {
        let view = self.view(name)?;
        Ok(view.map_or_else(|| Arc::new(Schema::empty()), |view| view.schema()))
    }

    fn events(&self, schema: SchemaRef) -> EventsTable {
        EventsTable::new(self.snapshot.clone(), None, None, schema, self.trace.clone())
    }

    fn view(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        let store = &self.store;
        Ok(Some(match name {
            "events" => Arc::new(self.events(schema())),
            "alerts" => state::alerts(store.clone()),
            "detections" => state::detections(store.clone()),
            "ledger" => state::ledger(store.clone()),
            "ledger_minutes" => state::ledger_minutes(store.clone()),
            "metrics" => measured::metrics(self.events(measured::metrics_schema()))?,
            "spans" => measured::spans(self.events(measured::spans_schema()))?,
            _ => return Ok(None),
        }))
    }
}

#[async_trait]
impl SchemaProvider for Views {
    fn table_names(&self) -> Vec<String> {
        VIEWS.iter().map(ToString::to_string).collect()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>, DataFusionError> {
        self.view(name)
    }

    fn table_exist(&self, name: &str) -> bool {
        VIEWS.contains(&name)
    }
}
