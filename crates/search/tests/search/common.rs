//! A store in a temporary folder with part of its events in segments, part in memory.

use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Float64Type, Int64Type, TimestampMicrosecondType, UInt64Type};
use futures::TryStreamExt;
use pugmark_event::{Batch, BatchBuilder, Records, Value};
use pugmark_query::eval::{Cell, Known, LookupTable, Table, Tables};
use pugmark_query::{Answer, Plan, SearchError};
use pugmark_search::{Options, StoreSearch};
use pugmark_store::Store;

/// 2026-11-23T10:00:00Z
pub(crate) const NOW: i64 = 1_795_428_000_000_000;
/// After all events, so that every clock is believed.
const RECEIVED: i64 = NOW + 200_000 * 1_000_000;

/// One event to store: its time in seconds after [`NOW`], its text, its fields and attributes.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) second: i64,
    pub(crate) raw: String,
    pub(crate) fields: Vec<(&'static str, String)>,
}

/// A store and all that it holds.
pub(crate) struct World {
    pub(crate) search: StoreSearch,
    pub(crate) batches: Vec<Batch>,
    pub(crate) store: Arc<Store>,
    _dir: tempfile::TempDir,
}

impl World {
    /// Stores each block of rows; a flush follows every block but the last `in_memory`.
    pub(crate) async fn new(blocks: &[Vec<Row>], in_memory: usize) -> World {
        let dir = tempfile::tempdir().unwrap();
        let (store, _blocks) =
            Store::open(dir.path(), pugmark_store::Options::default()).await.unwrap();
        let mut batches = Vec::new();
        for (i, rows) in blocks.iter().enumerate() {
            let source = format!("source{}", i % 2);
            let records: Records = rows.iter().map(|row| row.raw.as_bytes()).collect();
            let appended = store
                .append(source.as_str().into(), Arc::new(records), RECEIVED, None, None)
                .await
                .unwrap();
            let batch = build(&source, rows, appended.first_id);
            store.insert(batch.clone());
            store.processed(appended.first_id + rows.len() as i64);
            batches.push(batch);
            if i + in_memory < blocks.len() {
                store.flush().await.unwrap();
            }
        }
        let search =
            StoreSearch::new(store.clone(), Options::default()).with_tables(Arc::new(People));
        World { search, batches, store, _dir: dir }
    }
}

/// The lookup table `people`: a team for some users, and who they were at odd seconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct People;

impl Tables for People {
    fn names(&self) -> Vec<String> {
        vec!["people".into()]
    }

    fn table(&self, name: &str) -> Option<Arc<dyn LookupTable>> {
        (name == "people").then(|| Arc::new(People) as Arc<dyn LookupTable>)
    }
}

impl Known for People {
    fn rows(&self, _: &Plan, _: i64) -> Result<Arc<Table>, String> {
        Err("none".into())
    }

    fn table(&self, name: &str) -> Result<Arc<dyn LookupTable>, String> {
        Tables::table(self, name).ok_or_else(|| "none".into())
    }
}

impl LookupTable for People {
    fn columns(&self) -> Vec<String> {
        vec!["team".into(), "odd".into()]
    }

    fn goes_by_time(&self, column: &str) -> bool {
        column == "odd"
    }

    fn value(&self, key: &str, time: Option<i64>, column: &str) -> Option<String> {
        match (column, key.to_lowercase().as_str()) {
            ("odd", _) => time.map(|time| (time / 1_000_000 % 2).to_string()),
            (_, "root") => Some("ops".into()),
            (_, "22" | "bob") => Some(format!("team of {key}")),
            _ => None,
        }
    }
}

fn build(source: &str, rows: &[Row], first_id: i64) -> Batch {
    let mut builder = BatchBuilder::new(source, RECEIVED);
    for (row, id) in rows.iter().zip(first_id..) {
        builder.begin(id, row.raw.as_bytes());
        for (name, value) in &row.fields {
            match *name {
                "IpPort" | "IpAddress" => builder.native("windows", name, Value::Text(value)),
                _ => builder.named(name, Value::Text(value)),
            }
        }
        builder.end(Some(NOW + row.second * 1_000_000));
    }
    builder.finish().unwrap()
}

/// All rows of an answer as cells; of events only the id.
pub(crate) async fn rows(answer: Answer) -> Result<Vec<Vec<Cell>>, SearchError> {
    rows_with(answer, 0).await
}

/// All rows of an answer as cells; of events the id and so many columns that were computed.
pub(crate) async fn rows_with(
    answer: Answer,
    computed: usize,
) -> Result<Vec<Vec<Cell>>, SearchError> {
    let batches: Vec<RecordBatch> = answer.rows.try_collect().await?;
    let mut rows = Vec::new();
    for batch in &batches {
        let columns: Vec<&dyn Array> = match answer.kind {
            pugmark_query::Kind::Events => {
                let id = batch.column_by_name("event_id").unwrap().as_ref();
                let made = &batch.columns()[batch.num_columns() - computed..];
                std::iter::once(id).chain(made.iter().map(|c| c.as_ref())).collect()
            }
            pugmark_query::Kind::Table => batch.columns().iter().map(|c| c.as_ref()).collect(),
        };
        for row in 0..batch.num_rows() {
            rows.push(columns.iter().map(|column| cell(*column, row)).collect());
        }
    }
    Ok(rows)
}

fn cell(column: &dyn Array, row: usize) -> Cell {
    if column.is_null(row) {
        return Cell::Null;
    }
    match column.data_type() {
        DataType::Utf8 => Cell::Text(column.as_string::<i32>().value(row).into()),
        DataType::Utf8View => Cell::Text(column.as_string_view().value(row).into()),
        DataType::Boolean => Cell::Bool(column.as_boolean().value(row)),
        DataType::Int64 => Cell::Long(column.as_primitive::<Int64Type>().value(row)),
        DataType::UInt64 => Cell::Long(column.as_primitive::<UInt64Type>().value(row) as i64),
        DataType::Float64 => Cell::Float(column.as_primitive::<Float64Type>().value(row)),
        DataType::Timestamp(..) => {
            Cell::Time(column.as_primitive::<TimestampMicrosecondType>().value(row))
        }
        other => panic!("a column of {other}"),
    }
}
