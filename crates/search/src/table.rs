//! The table `events`: one stable view of the store.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::Result;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use pugmark_event::fields::EVENT_ID;
use pugmark_event::time::Micros;
use pugmark_store::{Scan, Snapshot};

use crate::filter::Predicate;
use crate::prune::{self, Conditions};
use crate::scan::EventsScan;
use crate::trace::Trace;

/// Events of a snapshot whose time lies in a range.
#[derive(Debug, Clone)]
pub(crate) struct EventsTable {
    snapshot: Snapshot,
    from: Option<Micros>,
    to: Option<Micros>,
    schema: SchemaRef,
    predicate: Arc<Predicate>,
    trace: Arc<Trace>,
}

impl EventsTable {
    /// Events from `from` to before `to`, `None` is unbounded, with the columns of `schema`;
    /// `trace` is told how far a reader of them is.
    pub(crate) fn new(
        snapshot: Snapshot,
        from: Option<Micros>,
        to: Option<Micros>,
        schema: SchemaRef,
        trace: Arc<Trace>,
    ) -> Self {
        Self { snapshot, from, to, schema, predicate: Arc::default(), trace }
    }

    /// Only those that pass.
    pub(crate) fn only(self, predicate: Predicate) -> Self {
        Self { predicate: Arc::new(predicate), ..self }
    }
}

/// First and last moment of events from `from` to before `to`, as far as whole parts tell.
pub(crate) fn range(
    snapshot: &Snapshot,
    from: Option<Micros>,
    to: Option<Micros>,
) -> Option<(Micros, Micros)> {
    let parts = snapshot.scan(Scan { from, to, ..Scan::default() });
    let first = parts.iter().map(|part| part.times().0).min()?;
    let last = parts.iter().map(|part| part.times().1).max()?;
    let from = from.map_or(first, |from| from.max(first));
    let to = to.map_or(last, |to| to.saturating_sub(1).min(last));
    Some((from, to))
}

#[async_trait]
impl TableProvider for EventsTable {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>> {
        let useful = |filter: &&Expr| match prune::conditions(filter).is_empty() {
            true => TableProviderFilterPushDown::Unsupported,
            false => TableProviderFilterPushDown::Inexact,
        };
        Ok(filters.iter().map(useful).collect())
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let schema = match projection {
            Some(columns) => Arc::new(self.schema.project(columns)?),
            None => self.schema.clone(),
        };
        // Rows are counted by the smallest column there is.
        let columns = match schema.fields().is_empty() {
            true => vec![EVENT_ID.column().to_string()],
            false => schema.fields().iter().map(|f| f.name().clone()).collect(),
        };
        let mut conditions = Conditions::default();
        filters.iter().for_each(|filter| conditions.add(prune::conditions(filter)));
        let mut scan = Scan {
            columns: Some(columns),
            from: self.from,
            to: self.to,
            filters: conditions.filters,
            any_of: conditions.any_of,
            words: conditions.words,
            ..Scan::default()
        };
        self.predicate.apply(&mut scan);
        let parts = self.snapshot.scan(scan);
        let (partitions, trace) = (state.config().target_partitions(), self.trace.clone());
        Ok(Arc::new(EventsScan::new(schema, parts, partitions, trace)))
    }
}
