//! Views of what is no event: alerts, their detections, the ledger. Read when they are scanned.

use std::fmt;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Int64Array, Int64Builder, ListBuilder, RecordBatch, StringArray,
    StringBuilder, TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{Result, ScalarValue};
use datafusion::error::DataFusionError;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{
    BinaryExpr, Expr, Operator, TableProviderFilterPushDown, TableType,
};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use pugmark_alert::{Alert, Firing};
use pugmark_event::time::Micros;
use pugmark_store::{LedgerFilter, LedgerMinute, LedgerRow, Store, StoreError};

/// Alerts read at once.
const ALERTS_AT_ONCE: usize = 500;
/// Rows of one batch.
const ROWS_AT_ONCE: usize = 8192;

/// One column of a view over `T`: its name and how a row's value is found.
struct Column<T: 'static>(&'static str, Cell<T>);

enum Cell<T: 'static> {
    Text(fn(&T) -> Option<&str>),
    Long(fn(&T) -> i64),
    Time(fn(&T) -> Option<Micros>),
    Flag(fn(&T) -> bool),
    Texts(fn(&T) -> &[String]),
    Longs(fn(&T) -> &[i64]),
}

const ALERT: &[Column<Alert>] = &[
    Column("alert_id", Cell::Text(|a| Some(&a.id))),
    Column("rule_id", Cell::Text(|a| Some(&a.rule.id))),
    Column("rule_title", Cell::Text(|a| Some(&a.rule.title))),
    Column("severity", Cell::Text(|a| Some(a.severity.name()))),
    Column("status", Cell::Text(|a| Some(a.status.name()))),
    Column("verdict", Cell::Text(|a| a.verdict.map(|verdict| verdict.name()))),
    Column("note", Cell::Text(|a| Some(a.note.as_str()).filter(|note| !note.is_empty()))),
    Column("entity_kind", Cell::Text(|a| Some(a.entity.kind.name()))),
    Column("entity", Cell::Text(|a| Some(&a.entity.value))),
    Column("summary", Cell::Text(|a| Some(&a.summary))),
    Column("detection_count", Cell::Long(|a| long(a.count))),
    Column("first_seen", Cell::Time(|a| Some(a.first_seen))),
    Column("last_seen", Cell::Time(|a| Some(a.last_seen))),
    Column("closed_at", Cell::Time(|a| a.closed_at)),
    Column("tactics", Cell::Texts(|a| &a.attack.tactics)),
    Column("techniques", Cell::Texts(|a| &a.attack.techniques)),
    Column("event_ids", Cell::Longs(|a| &a.evidence)),
    Column("over_budget", Cell::Flag(|a| a.over_budget)),
];

/// A detection and the alert that holds it.
type Found = (Arc<Alert>, Firing);

const DETECTION: &[Column<Found>] = &[
    Column("detection_id", Cell::Text(|(_, d)| Some(&d.id))),
    Column("alert_id", Cell::Text(|(a, _)| Some(&a.id))),
    Column("rule_id", Cell::Text(|(a, _)| Some(&a.rule.id))),
    Column("rule_title", Cell::Text(|(a, _)| Some(&a.rule.title))),
    Column("severity", Cell::Text(|(a, _)| Some(a.rule.level.name()))),
    Column("entity_kind", Cell::Text(|(a, _)| Some(a.entity.kind.name()))),
    Column("entity", Cell::Text(|(a, _)| Some(&a.entity.value))),
    Column("detection_time", Cell::Time(|(_, d)| Some(d.time))),
    Column("event_id", Cell::Long(|(_, d)| d.event_id)),
    Column("event_count", Cell::Long(|(_, d)| long(d.count))),
];

const LEDGER: &[Column<LedgerRow>] = &[
    Column("source", Cell::Text(|r| Some(&r.source))),
    Column("received", Cell::Long(|r| long(r.received))),
    Column("stored", Cell::Long(|r| long(r.stored))),
    Column("sampled", Cell::Long(|r| long(r.sampled))),
    Column("folded", Cell::Long(|r| long(r.folded))),
    Column("quarantined", Cell::Long(|r| long(r.quarantined))),
    Column("shed", Cell::Long(|r| long(r.shed))),
    Column("expired", Cell::Long(|r| long(r.expired))),
    Column("raw_bytes", Cell::Long(|r| long(r.raw_bytes))),
    Column("last_received", Cell::Time(|r| Some(r.last_received))),
    Column("balanced", Cell::Flag(LedgerRow::balanced)),
];

const LEDGER_MINUTE: &[Column<LedgerMinute>] = &[
    Column("minute", Cell::Time(|m| Some(m.minute))),
    Column("source", Cell::Text(|m| Some(&m.row.source))),
    Column("received", Cell::Long(|m| long(m.row.received))),
    Column("stored", Cell::Long(|m| long(m.row.stored))),
    Column("sampled", Cell::Long(|m| long(m.row.sampled))),
    Column("folded", Cell::Long(|m| long(m.row.folded))),
    Column("quarantined", Cell::Long(|m| long(m.row.quarantined))),
    Column("shed", Cell::Long(|m| long(m.row.shed))),
    Column("raw_bytes", Cell::Long(|m| long(m.row.raw_bytes))),
];

/// SQL has no unsigned numbers.
fn long(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

pub(super) fn alerts(store: Arc<Store>) -> Arc<dyn TableProvider> {
    table(ALERT, move |_| alert_pages(store.clone()).boxed())
}

pub(super) fn detections(store: Arc<Store>) -> Arc<dyn TableProvider> {
    let found = |alert: Alert| {
        let alert = Arc::new(alert);
        let firings = alert.detections.clone();
        firings.into_iter().map(move |firing| (alert.clone(), firing))
    };
    table(DETECTION, move |_| {
        let pages = alert_pages(store.clone());
        pages.map_ok(move |alerts| alerts.into_iter().flat_map(found).collect()).boxed()
    })
}

pub(super) fn ledger(store: Arc<Store>) -> Arc<dyn TableProvider> {
    table(LEDGER, move |_| {
        let store = store.clone();
        stream::once(async move { store.ledger().await }).boxed()
    })
}

pub(super) fn ledger_minutes(store: Arc<Store>) -> Arc<dyn TableProvider> {
    table(LEDGER_MINUTE, move |from| {
        let store = store.clone();
        let filter = LedgerFilter { from, ..LedgerFilter::default() };
        stream::once(async move { store.ledger_by_minute(&filter).await }).boxed()
    })
}

/// All alerts, page after page, so that no more of them are in memory than a page has.
fn alert_pages(
    store: Arc<Store>,
) -> impl futures::Stream<Item = Result<Vec<Alert>, StoreError>> + Send {
    stream::try_unfold(String::new(), move |after| {
        let alerts = store.alerts();
        async move {
            let page = alerts.page(&after, ALERTS_AT_ONCE).await?;
            let next = page.last().map(|alert| alert.id.clone());
            Ok(next.map(|next| (page, next)))
        }
    })
}

/// Rows from a moment on, if the view has a time that it is kept by.
type Read<T> =
    dyn Fn(Option<Micros>) -> BoxStream<'static, Result<Vec<T>, StoreError>> + Send + Sync;

fn table<T: Send + Sync + 'static>(
    columns: &'static [Column<T>],
    read: impl Fn(Option<Micros>) -> BoxStream<'static, Result<Vec<T>, StoreError>>
    + Send
    + Sync
    + 'static,
) -> Arc<dyn TableProvider> {
    let fields = columns.iter().map(|Column(name, cell)| Field::new(*name, cell.kind(), true));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    Arc::new(StateTable { schema, columns, read: Arc::new(read), from: None })
}

/// A view, and once it is scanned its only partition.
struct StateTable<T: 'static> {
    schema: SchemaRef,
    columns: &'static [Column<T>],
    read: Arc<Read<T>>,
    from: Option<Micros>,
}

impl<T> fmt::Debug for StateTable<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StateTable").field("from", &self.from).finish_non_exhaustive()
    }
}

#[async_trait]
impl<T: Send + Sync + 'static> TableProvider for StateTable<T> {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::View
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>> {
        let useful = |filter: &&Expr| match first_minute(filter) {
            Some(_) => TableProviderFilterPushDown::Inexact,
            None => TableProviderFilterPushDown::Unsupported,
        };
        Ok(filters.iter().map(useful).collect())
    }

    async fn scan(
        &self,
        _: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let part = StateTable {
            schema: self.schema.clone(),
            columns: self.columns,
            read: self.read.clone(),
            from: filters.iter().filter_map(first_minute).max(),
        };
        let parts: Vec<Arc<dyn PartitionStream>> = vec![Arc::new(part)];
        let schema = self.schema.clone();
        let exec = StreamingTableExec::try_new(schema, parts, projection, [], false, limit)?;
        Ok(Arc::new(exec))
    }
}

impl<T: Send + Sync + 'static> PartitionStream for StateTable<T> {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let (schema, columns) = (self.schema.clone(), self.columns);
        let of_rows = schema.clone();
        let batches = (self.read)(self.from).map(move |rows| match rows {
            Ok(rows) => {
                rows.chunks(ROWS_AT_ONCE).map(|rows| batch(&of_rows, columns, rows)).collect()
            }
            Err(error) => vec![Err(DataFusionError::External(Box::new(error)))],
        });
        Box::pin(RecordBatchStreamAdapter::new(schema, batches.flat_map(stream::iter)))
    }
}

/// The moment from which a condition wants rows of `ledger_minutes`.
fn first_minute(filter: &Expr) -> Option<Micros> {
    let Expr::BinaryExpr(BinaryExpr { left, op: Operator::Gt | Operator::GtEq, right }) = filter
    else {
        return None;
    };
    match (&**left, &**right) {
        (
            Expr::Column(column),
            Expr::Literal(ScalarValue::TimestampMicrosecond(Some(from), _), _),
        ) if column.name == "minute" => Some(*from),
        _ => None,
    }
}

fn batch<T>(schema: &SchemaRef, columns: &[Column<T>], rows: &[T]) -> Result<RecordBatch> {
    let arrays = columns.iter().map(|Column(_, cell)| cell.array(rows)).collect();
    Ok(RecordBatch::try_new(schema.clone(), arrays)?)
}

impl<T> Cell<T> {
    fn kind(&self) -> DataType {
        match self {
            Cell::Text(_) => DataType::Utf8,
            Cell::Long(_) => DataType::Int64,
            Cell::Time(_) => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Cell::Flag(_) => DataType::Boolean,
            Cell::Texts(_) => DataType::new_list(DataType::Utf8, true),
            Cell::Longs(_) => DataType::new_list(DataType::Int64, true),
        }
    }

    fn array(&self, rows: &[T]) -> ArrayRef {
        match self {
            Cell::Text(get) => Arc::new(rows.iter().map(get).collect::<StringArray>()),
            Cell::Long(get) => Arc::new(Int64Array::from_iter_values(rows.iter().map(get))),
            Cell::Time(get) => {
                let times: TimestampMicrosecondArray = rows.iter().map(get).collect();
                Arc::new(times.with_timezone("UTC"))
            }
            Cell::Flag(get) => Arc::new(rows.iter().map(get).map(Some).collect::<BooleanArray>()),
            Cell::Texts(get) => {
                let mut lists = ListBuilder::new(StringBuilder::new());
                rows.iter().for_each(|row| lists.append_value(get(row).iter().map(Some)));
                Arc::new(lists.finish())
            }
            Cell::Longs(get) => {
                let mut lists = ListBuilder::new(Int64Builder::new());
                rows.iter().for_each(|row| lists.append_value(get(row).iter().copied().map(Some)));
                Arc::new(lists.finish())
            }
        }
    }
}
