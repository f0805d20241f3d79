//! Reads parts of the store on blocking threads, newest part first in each partition.
//!
//! An answer that nobody takes pauses: its thread goes back to where threads come from.
//!
//! A sort that keeps only the newest rows tells the scan through a dynamic filter what is already
//! too old; parts whose newest event is older than that are never opened.

use std::fmt;
use std::sync::Arc;

use arrow::array::TimestampMicrosecondArray;
use arrow::array::{ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions};
use arrow::datatypes::SchemaRef;
use datafusion::common::config::ConfigOptions;
use datafusion::common::pruning::PruningStatistics;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Column, DataFusionError, Result, ScalarValue, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_optimizer::pruning::PruningPredicateBuilder;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::filter_pushdown::{
    ChildPushdownResult, FilterPushdownPhase, FilterPushdownPropagation,
};
use datafusion::physical_plan::metrics::{
    BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet, Time,
};
use datafusion::physical_plan::stream::RecordBatchReceiverStream;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties,
};
use pugmark_event::fields::EVENT_TIME;
use pugmark_event::time::Micros;
use pugmark_store::{Batches, ScanPart};
use tokio::sync::mpsc::Sender;
use tokio::sync::mpsc::error::TrySendError;
use tokio::task::spawn_blocking;

use crate::trace::Trace;

/// Batches that wait between a reader and who asked. More would only hold memory.
const BATCHES_WAITING: usize = 2;

/// The leaf of every plan.
#[derive(Clone)]
pub(crate) struct EventsScan {
    schema: SchemaRef,
    /// Parts of each partition, newest first.
    partitions: Vec<Vec<ScanPart>>,
    /// Filters that change while the question runs.
    dynamic: Vec<Arc<dyn PhysicalExpr>>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
    trace: Arc<Trace>,
}

impl fmt::Debug for EventsScan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventsScan").field("partitions", &self.partitions.len()).finish()
    }
}

impl EventsScan {
    /// Reads `parts`, which come newest first, in at most `partitions` streams. The parts give the
    /// columns of `schema`, or any column where it has none.
    pub(crate) fn new(
        schema: SchemaRef,
        parts: Vec<ScanPart>,
        partitions: usize,
        trace: Arc<Trace>,
    ) -> Self {
        let count = partitions.min(parts.len()).max(1);
        let mut split: Vec<Vec<ScanPart>> = vec![Vec::new(); count];
        for (i, part) in parts.into_iter().enumerate() {
            split[i % count].push(part);
        }
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema.clone()),
            Partitioning::UnknownPartitioning(count),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        let (properties, metrics) = (Arc::new(properties), ExecutionPlanMetricsSet::new());
        Self { schema, partitions: split, dynamic: Vec::new(), properties, metrics, trace }
    }
}

impl DisplayAs for EventsScan {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: usize = self.partitions.iter().map(Vec::len).sum();
        let names: Vec<&str> = self.schema.fields().iter().map(|f| f.name().as_str()).collect();
        write!(f, "EventsScan: parts={parts}, columns=[{}]", names.join(", "))?;
        for filter in &self.dynamic {
            write!(f, ", filter={filter}")?;
        }
        Ok(())
    }
}

impl ExecutionPlan for EventsScan {
    fn name(&self) -> &str {
        "EventsScan"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        if children.is_empty() { Ok(self) } else { internal_err!("a scan has no inputs") }
    }

    fn apply_expressions(
        &self,
        visit: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        for filter in &self.dynamic {
            if visit(filter)? == TreeNodeRecursion::Stop {
                return Ok(TreeNodeRecursion::Stop);
            }
        }
        Ok(TreeNodeRecursion::Continue)
    }

    fn handle_child_pushdown_result(
        &self,
        phase: FilterPushdownPhase,
        result: ChildPushdownResult,
        _: &ConfigOptions,
    ) -> Result<FilterPushdownPropagation<Arc<dyn ExecutionPlan>>> {
        let filters: Vec<_> = result.parent_filters.iter().map(|f| f.filter.clone()).collect();
        let answer = FilterPushdownPropagation::all_unsupported(result);
        if phase != FilterPushdownPhase::Post || filters.is_empty() {
            return Ok(answer);
        }
        // Whoever made the filter still applies it: here it only tells which parts to skip.
        let mut scan = self.clone();
        scan.dynamic.extend(filters);
        Ok(answer.with_updated_node(Arc::new(scan)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn execute(&self, partition: usize, _: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let Some(parts) = self.partitions.get(partition).cloned() else {
            return internal_err!("there is no partition {partition}");
        };
        self.trace.to_read(&parts);
        let mut stream = RecordBatchReceiverStream::builder(self.schema.clone(), BATCHES_WAITING);
        let reading = Reading {
            parts: parts.into_iter(),
            open: None,
            schema: self.schema.clone(),
            dynamic: self.dynamic.clone(),
            metrics: BaselineMetrics::new(&self.metrics, partition),
            trace: self.trace.clone(),
        };
        let out = stream.tx();
        stream.spawn(reading.pass_on(out));
        Ok(stream.build())
    }
}

/// One partition while it is read.
struct Reading {
    parts: std::vec::IntoIter<ScanPart>,
    /// The part that is being read, and what is left of it.
    open: Option<(ScanPart, Batches)>,
    schema: SchemaRef,
    dynamic: Vec<Arc<dyn PhysicalExpr>>,
    metrics: BaselineMetrics,
    trace: Arc<Trace>,
}

impl Reading {
    /// Reads all. While nobody takes what was read, no thread waits.
    async fn pass_on(self, out: Sender<Result<RecordBatch>>) -> Result<()> {
        let mut reading = self;
        loop {
            let room = out.clone();
            let read = move || {
                let held = reading.read(&room);
                (reading, held)
            };
            let done = spawn_blocking(read).await;
            let (rest, held) = done.map_err(|e| DataFusionError::External(Box::new(e)))?;
            let Some(batch) = held else { return Ok(()) };
            if out.send(batch).await.is_err() {
                return Ok(());
            }
            reading = rest;
        }
    }

    /// Reads for as long as there is room. What finds none is given back.
    fn read(&mut self, out: &Sender<Result<RecordBatch>>) -> Option<Result<RecordBatch>> {
        // When nobody listens any more, the question was dropped or has enough.
        while !out.is_closed() {
            let Some((part, batches)) = &mut self.open else {
                if self.open_next() {
                    continue;
                }
                return None;
            };
            let Some(batch) = timed(self.metrics.elapsed_compute(), || batches.next()) else {
                self.trace.part_done(part);
                self.open = None;
                continue;
            };
            let batch = batch.map_err(|e| DataFusionError::External(Box::new(e)));
            let batch = batch.and_then(|b| shape(b, &self.schema));
            self.metrics.record_output(batch.as_ref().map_or(0, RecordBatch::num_rows));
            if let Err(TrySendError::Full(batch)) = out.try_send(batch) {
                return Some(batch);
            }
        }
        None
    }

    /// Goes on to the next part, unless it can be skipped; false when there is none.
    fn open_next(&mut self) -> bool {
        let Some(part) = self.parts.next() else { return false };
        if may_match(&self.dynamic, &self.schema, part.times()) {
            let batches = timed(self.metrics.elapsed_compute(), || part.clone().read());
            self.open = Some((part, batches));
        } else {
            self.trace.part_done(&part);
        }
        true
    }
}

fn timed<T>(time: &Time, work: impl FnOnce() -> T) -> T {
    let _timer = time.timer();
    work()
}

/// Drops the column that stands in where only rows are counted.
fn shape(batch: RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    if !schema.fields().is_empty() {
        return Ok(batch);
    }
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(schema.clone(), Vec::new(), &options)?)
}

/// False when the filters, as they are now, pass no event of these times.
fn may_match(
    filters: &[Arc<dyn PhysicalExpr>],
    schema: &SchemaRef,
    times: (Micros, Micros),
) -> bool {
    filters.iter().all(|filter| {
        let predicate =
            PruningPredicateBuilder::new().with_file_schema(schema.clone()).build(filter.clone());
        // A filter that cannot be decided by times alone skips nothing.
        predicate.is_none_or(|predicate| {
            predicate.prune(&Times(times)).map_or(true, |kept| kept.first() != Some(&false))
        })
    })
}

/// What is known of a part.
struct Times((Micros, Micros));

impl Times {
    fn of(&self, column: &Column, value: Micros) -> Option<ArrayRef> {
        let times = TimestampMicrosecondArray::from(vec![value]).with_timezone("UTC");
        (column.name == EVENT_TIME.column()).then(|| Arc::new(times) as ArrayRef)
    }
}

impl PruningStatistics for Times {
    fn min_values(&self, column: &Column) -> Option<ArrayRef> {
        self.of(column, self.0.0)
    }

    fn max_values(&self, column: &Column) -> Option<ArrayRef> {
        self.of(column, self.0.1)
    }

    fn num_containers(&self) -> usize {
        1
    }

    fn null_counts(&self, _: &Column) -> Option<ArrayRef> {
        None
    }

    fn row_counts(&self) -> Option<ArrayRef> {
        None
    }

    #[allow(clippy::mutable_key_type)] // The trait says so.
    fn contained(
        &self,
        _: &Column,
        _: &std::collections::HashSet<ScalarValue>,
    ) -> Option<BooleanArray> {
        None
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures::StreamExt;
    use pugmark_event::BatchBuilder;
    use pugmark_event::batch::schema;
    use pugmark_store::{Options, Scan, Store};
    use tokio::runtime::Builder;
    use tokio::time::{sleep, timeout};

    use super::*;

    const PARTS: i64 = 8;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_scan_that_nobody_reads_holds_no_thread() {
        let dir = tempfile::tempdir().unwrap();
        let (store, _blocks) = Store::open(dir.path(), Options::default()).await.unwrap();
        for id in 1..=PARTS {
            let mut builder = BatchBuilder::new("test", 1_795_428_000_000_000);
            builder.begin(id, b"an event");
            builder.end(None);
            store.insert(builder.finish().unwrap());
        }
        let parts = store.snapshot().scan(Scan::default());
        let scan = EventsScan::new(schema(), parts, 1, Trace::new());

        let mut builder = Builder::new_multi_thread();
        let runtime = builder.worker_threads(1).max_blocking_threads(1).enable_all().build();
        let runtime = runtime.unwrap();
        let asked = runtime.spawn(async move {
            let open = || scan.execute(0, Arc::new(TaskContext::default())).unwrap();
            let unread = open();
            sleep(Duration::from_millis(50)).await;
            let mut read = open();
            let mut rows = 0;
            while let Some(batch) = read.next().await {
                rows += batch.unwrap().num_rows() as i64;
            }
            drop(unread);
            rows
        });
        let rows = timeout(Duration::from_secs(10), asked).await;
        runtime.shutdown_background();
        assert_eq!(rows.expect("the only thread is free").unwrap(), PARTS);
    }
}
