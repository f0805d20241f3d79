//! Pipes that look at one row at a time, over batches.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{Field, Schema};
use arrow::error::ArrowError;
use pugmark_event::fields::EVENT_TIME;
use pugmark_event::time::Micros;
use pugmark_query::eval::{Cell, Known, LookupTable, Shape};
use pugmark_query::pipes::Lookup;
use pugmark_query::scope::Column;
use pugmark_query::{Expr, FieldRef, Filter, Pipe};
use pugmark_store::Keep as _;

use crate::cells::{Cells, array};
use crate::filter::Node;
use crate::formula::{Formula, of_each};
use crate::names::Names;

/// Such pipes in their order, made ready.
#[derive(Debug)]
pub(crate) struct Steps {
    names: Names,
    list: Vec<Step>,
    /// Columns that must be there before the first step.
    reads: BTreeSet<String>,
}

#[derive(Debug)]
enum Step {
    /// Only the rows that pass.
    Keep(Node),
    /// One more column.
    Put(String, Value),
}

#[derive(Debug)]
enum Value {
    Formula(Formula),
    Found(Found),
}

/// What a kept table has for a key.
struct Found {
    table: Arc<dyn LookupTable>,
    /// Of the table.
    column: String,
    /// Columns of the batch: with the key, and with the time where the table goes by it.
    key: (String, Shape),
    time: Option<String>,
}

impl std::fmt::Debug for Found {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Found").field("column", &self.column).field("key", &self.key).finish()
    }
}

impl Steps {
    /// None yet, over batches with these names.
    pub(crate) fn new(names: Names) -> Self {
        Self { names, list: Vec::new(), reads: BTreeSet::new() }
    }

    /// What names stand for behind the last step.
    pub(crate) fn names(&self) -> &Names {
        &self.names
    }

    /// Columns that must be there before the first step.
    pub(crate) fn reads(&self) -> &BTreeSet<String> {
        &self.reads
    }

    /// True when rows pass as they come.
    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Adds a pipe; `None` when it needs more than a row at a time, or is wrong.
    pub(crate) fn pipe(&mut self, pipe: &Pipe, known: &dyn Known) -> Option<()> {
        match pipe {
            Pipe::Where(Filter::All) => {}
            Pipe::Where(filter) => {
                let node = Node::new(filter, &self.names).ok()?;
                self.read(node.columns());
                self.list.push(Step::Keep(node));
            }
            Pipe::Extend(list) => {
                for named in list {
                    let column = self.column(&named.value)?;
                    let shape = named.value.shape(self.names.scope());
                    self.names.put(Column::new(&named.name, shape), column);
                }
            }
            Pipe::Lookup(lookup) => self.lookup(lookup, known)?,
            _ => return None,
        }
        Some(())
    }

    /// The column with the values of an expression, computed where it is no field.
    pub(crate) fn column(&mut self, value: &Expr) -> Option<String> {
        if let Some(field) = value.field() {
            let column = self.names.column(field)?;
            self.read([column.clone()]);
            return Some(column);
        }
        let formula = Formula::new(value, &self.names).ok()?;
        self.read(formula.columns().cloned());
        Some(self.put(Value::Formula(formula)))
    }

    fn lookup(&mut self, lookup: &Lookup, known: &dyn Known) -> Option<()> {
        let table = known.table(&lookup.table).ok()?;
        lookup.check(&*table).ok()?;
        let key = (self.names.column(&lookup.key)?, self.names.scope().shape(&lookup.key));
        let time = self.names.column(&FieldRef::new(EVENT_TIME.name()));
        for (column, name) in &lookup.columns {
            let time = time.clone().filter(|_| table.goes_by_time(column));
            self.read(time.iter().cloned().chain([key.0.clone()]));
            let (table, column, key) = (table.clone(), column.clone(), key.clone());
            let made = self.put(Value::Found(Found { table, column, key, time }));
            self.names.put(Column::new(name, Shape::Text), made);
        }
        Some(())
    }

    fn read(&mut self, columns: impl IntoIterator<Item = String>) {
        self.reads.extend(columns.into_iter().filter(|column| !Names::is_made(column)));
    }

    fn put(&mut self, value: Value) -> String {
        let name = self.names.make();
        self.list.push(Step::Put(name.clone(), value));
        name
    }

    /// Takes a batch through all steps.
    ///
    /// # Errors
    /// When Arrow cannot build the columns.
    pub(crate) fn apply(&self, batch: RecordBatch) -> Result<RecordBatch, ArrowError> {
        self.list.iter().try_fold(batch, |batch, step| match step {
            Step::Keep(node) => filter_record_batch(&batch, &node.keep(&batch)),
            Step::Put(name, value) => {
                let values = value.of(&batch);
                with(&batch, name, values)
            }
        })
    }
}

impl Value {
    fn of(&self, batch: &RecordBatch) -> ArrayRef {
        match self {
            Value::Formula(formula) => formula.values(batch),
            Value::Found(found) => found.values(batch),
        }
    }
}

impl Found {
    fn values(&self, batch: &RecordBatch) -> ArrayRef {
        let (key, time) = (&self.key.0, self.time.as_ref());
        let rows = batch.num_rows();
        let Some(keys) = batch.column_by_name(key) else {
            return array(std::iter::repeat_n(Cell::Null, rows), Shape::Text);
        };
        let Some(time) = time else {
            return of_each(keys, Shape::Text, |key| self.value(key, None));
        };
        let column = batch.column_by_name(time);
        let (keys, times) = (Cells::of(keys), column.map_or(Cells::Other, Cells::of));
        let value = |row| self.value(keys.cell(row), times.cell(row).time());
        array((0..rows).map(value), Shape::Text)
    }

    fn value(&self, key: Cell, time: Option<Micros>) -> Cell {
        let found = key.is_some().then(|| self.table.value(&key.text(), time, &self.column));
        found.flatten().map_or(Cell::Null, Cell::Text)
    }
}

/// The batch with one more column.
fn with(batch: &RecordBatch, name: &str, values: ArrayRef) -> Result<RecordBatch, ArrowError> {
    let field = Arc::new(Field::new(name, values.data_type().clone(), true));
    let fields = batch.schema_ref().fields().iter().cloned().chain([field]);
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let columns = batch.columns().iter().cloned().chain([values]).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(schema, columns, &options)
}
