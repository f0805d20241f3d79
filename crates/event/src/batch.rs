//! The batch: events as Arrow columns, with the raw record of each.
//!
//! A batch holds only the columns that some event in it has; [`schema`] lists all of them. Three
//! columns are always there and never null: `event_id`, `event_time`, `received_time`.

use std::sync::{Arc, LazyLock};

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BooleanArray, Int64Array, MapArray, RecordBatch,
    StringArray, new_null_array,
};
use arrow::datatypes::{
    DataType, Field as ArrowField, FieldRef, Fields, Int64Type, Schema, SchemaRef,
    TimestampMicrosecondType,
};
use arrow::error::ArrowError;

use crate::fields::{
    ATTRIBUTE_KINDS, ATTRIBUTES, EVENT_ID, EVENT_TIME, FIELDS, FieldId, ORIGINAL, ORIGINAL_BYTES,
    RECEIVED_TIME,
};
use crate::time::Micros;
use crate::value::Value;

/// Why an Arrow batch is no event batch.
#[derive(Debug, thiserror::Error)]
pub enum BatchError {
    /// A column is absent that every batch has.
    #[error("column {0} is missing; every event batch has it")]
    Missing(&'static str),
    /// A column has another type than the registry says.
    #[error("column {column} is {found}, but the registry says {expected}")]
    Type {
        /// The column.
        column: String,
        /// The type found.
        found: DataType,
        /// The type of the registry.
        expected: DataType,
    },
    /// Arrow refused.
    #[error(transparent)]
    Arrow(#[from] ArrowError),
}

/// The Arrow type of the attributes column: a map from text to text.
pub fn attributes_type() -> DataType {
    DataType::Map(
        Arc::new(ArrowField::new("entries", DataType::Struct(entry_fields()), false)),
        false,
    )
}

/// Key and value of one attribute.
pub(crate) fn entry_fields() -> Fields {
    Fields::from(vec![
        ArrowField::new("key", DataType::Utf8, false),
        ArrowField::new("value", DataType::Utf8, true),
    ])
}

/// The schema of all columns, in the order of the registry, the attributes last.
pub fn schema() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
        let mut fields: Vec<ArrowField> = FIELDS.iter().map(|f| f.arrow()).collect();
        fields.push(ArrowField::new(ATTRIBUTES, attributes_type(), true));
        Arc::new(Schema::new(fields))
    });
    SCHEMA.clone()
}

/// Events of one block of records. Cheap to clone: the columns are shared.
#[derive(Debug, Clone)]
pub struct Batch {
    columns: RecordBatch,
}

impl Batch {
    /// Takes an Arrow batch whose columns follow the registry.
    ///
    /// # Errors
    /// When a column that every batch has is absent, or a registered column has another type.
    pub fn new(columns: RecordBatch) -> Result<Self, BatchError> {
        for id in [EVENT_ID, EVENT_TIME, RECEIVED_TIME] {
            if columns.column_by_name(id.column()).is_none() {
                return Err(BatchError::Missing(id.column()));
            }
        }
        let known = schema();
        for field in columns.schema_ref().fields() {
            let Ok(expected) = known.field_with_name(field.name()) else { continue };
            if expected.data_type() != field.data_type() {
                return Err(BatchError::Type {
                    column: field.name().clone(),
                    found: field.data_type().clone(),
                    expected: expected.data_type().clone(),
                });
            }
        }
        Ok(Self { columns })
    }

    /// Number of events.
    pub fn rows(&self) -> usize {
        self.columns.num_rows()
    }

    /// The Arrow batch.
    pub fn columns(&self) -> &RecordBatch {
        &self.columns
    }

    /// A text or address column, if any event of the batch has it.
    pub fn text(&self, field: FieldId) -> Option<&StringArray> {
        self.columns.column_by_name(field.column())?.as_string_opt::<i32>()
    }

    /// An integer column, if any event of the batch has it.
    pub fn long(&self, field: FieldId) -> Option<&Int64Array> {
        self.columns.column_by_name(field.column())?.as_primitive_opt::<Int64Type>()
    }

    /// Event ids, one per row.
    pub fn ids(&self) -> &[i64] {
        self.long(EVENT_ID).map_or(&[], |ids| ids.values())
    }

    /// When each event happened, in microseconds since the epoch.
    pub fn event_times(&self) -> &[Micros] {
        self.times(EVENT_TIME)
    }

    /// When each event was received, in microseconds since the epoch.
    pub fn received_times(&self) -> &[Micros] {
        self.times(RECEIVED_TIME)
    }

    fn times(&self, field: FieldId) -> &[Micros] {
        self.columns
            .column_by_name(field.column())
            .and_then(|c| c.as_primitive_opt::<TimestampMicrosecondType>())
            .map_or(&[], |times| times.values())
    }

    /// The exact bytes of the record at `row`; empty when the column was not read.
    pub fn original(&self, row: usize) -> &[u8] {
        let exact: Option<&BinaryArray> = self
            .columns
            .column_by_name(ORIGINAL_BYTES.column())
            .and_then(|c| c.as_binary_opt::<i32>())
            .filter(|c| c.is_valid(row));
        match (exact, self.text(ORIGINAL)) {
            (Some(bytes), _) => bytes.value(row),
            (None, Some(text)) if text.is_valid(row) => text.value(row).as_bytes(),
            _ => &[],
        }
    }

    /// The attributes tail.
    pub fn attributes(&self) -> Attributes<'_> {
        Attributes::of(&self.columns)
    }

    /// These events with columns in the place of those of the same names, or beside the others.
    ///
    /// # Errors
    /// When a column has another length than the batch, or another type than the registry says.
    pub fn with_columns(&self, new: Vec<(FieldRef, ArrayRef)>) -> Result<Batch, BatchError> {
        let old = self.columns.schema_ref().fields().iter().cloned();
        let mut all: Vec<(FieldRef, ArrayRef)> =
            old.zip(self.columns.columns().iter().cloned()).collect();
        for (field, array) in new {
            match all.iter_mut().find(|(old, _)| old.name() == field.name()) {
                Some((_, old)) => *old = array,
                None => all.push((field, array)),
            }
        }
        let known = schema();
        all.sort_by_key(|(field, _)| known.index_of(field.name()).unwrap_or(usize::MAX));
        let (fields, arrays): (Vec<FieldRef>, Vec<ArrayRef>) = all.into_iter().unzip();
        Batch::new(RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)?)
    }

    /// Rows `offset .. offset + rows`, sharing the columns.
    pub fn slice(&self, offset: usize, rows: usize) -> Batch {
        Batch { columns: self.columns.slice(offset, rows) }
    }

    /// The rows where `keep` is true.
    ///
    /// # Errors
    /// When `keep` has another length than the batch.
    pub fn filter(&self, keep: &BooleanArray) -> Result<Batch, BatchError> {
        Ok(Batch { columns: arrow::compute::filter_record_batch(&self.columns, keep)? })
    }

    /// One batch out of several, with the columns of all of them.
    ///
    /// # Errors
    /// When Arrow cannot join the columns, such as text past 2 GiB.
    pub fn concat(batches: &[Batch]) -> Result<Batch, BatchError> {
        let mut present = vec![false; schema().fields().len()];
        for batch in batches {
            for field in batch.columns.schema_ref().fields() {
                if let Ok(i) = schema().index_of(field.name()) {
                    present[i] = true;
                }
            }
        }
        let fields: Vec<_> = schema()
            .fields()
            .iter()
            .zip(&present)
            .filter(|(_, p)| **p)
            .map(|(f, _)| f.clone())
            .collect();
        let union: SchemaRef = Arc::new(Schema::new(fields));
        let aligned: Vec<RecordBatch> =
            batches.iter().map(|b| align(&b.columns, &union)).collect::<Result<_, _>>()?;
        Ok(Batch { columns: arrow::compute::concat_batches(&union, &aligned)? })
    }
}

/// Gives `batch` exactly the columns of `to`: nulls where it lacks one, nothing it has beyond.
///
/// # Errors
/// When a column has another type than `to` says.
pub fn align(batch: &RecordBatch, to: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let columns: Vec<ArrayRef> = to
        .fields()
        .iter()
        .map(|field| match batch.column_by_name(field.name()) {
            Some(column) => column.clone(),
            None => new_null_array(field.data_type(), batch.num_rows()),
        })
        .collect();
    let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(to.clone(), columns, &options)
}

/// The attributes tail of a batch.
#[derive(Debug, Clone, Copy)]
pub struct Attributes<'a> {
    map: Option<&'a MapArray>,
    kinds: Option<&'a StringArray>,
}

impl<'a> Attributes<'a> {
    /// The tail of any Arrow batch that has the column.
    pub fn of(batch: &'a RecordBatch) -> Self {
        let map = batch.column_by_name(ATTRIBUTES).and_then(|c| c.as_map_opt());
        let kinds = batch.column_by_name(ATTRIBUTE_KINDS.column());
        Self { map, kinds: kinds.and_then(|c| c.as_string_opt::<i32>()) }
    }

    /// Names and values of the event at `row`, in the order in which they were written.
    pub fn row(self, row: usize) -> impl Iterator<Item = (&'a str, Value<'a>)> + 'a {
        let kinds = self.kinds.filter(|k| k.is_valid(row)).map_or("", |k| k.value(row)).as_bytes();
        let range = self
            .map
            .filter(|m| m.is_valid(row))
            .map_or(0..0, |m| m.value_offsets()[row] as usize..m.value_offsets()[row + 1] as usize);
        let start = range.start;
        range.filter_map(move |i| {
            let map = self.map?;
            let keys: &'a StringArray = map.keys().as_string_opt::<i32>()?;
            let values: &'a StringArray = map.values().as_string_opt::<i32>()?;
            let kind = kinds.get(i - start).copied().unwrap_or(b's');
            let text = if values.is_valid(i) { values.value(i) } else { "" };
            Some((keys.value(i), Value::from_kind(kind, text)))
        })
    }

    /// The value of `name` in the event at `row`.
    pub fn get(self, row: usize, name: &str) -> Option<Value<'a>> {
        self.row(row).find(|(key, _)| *key == name).map(|(_, value)| value)
    }

    /// The Arrow column, if the batch has one.
    pub fn column(self) -> Option<&'a MapArray> {
        self.map
    }
}
