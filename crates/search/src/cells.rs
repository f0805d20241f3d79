//! Columns of Arrow as cells of answers, and back.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array, RecordBatch,
    RecordBatchOptions, StringArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{
    DataType, Field, Float64Type, Int32Type, Int64Type, Schema, TimeUnit, TimestampMicrosecondType,
    UInt64Type,
};
use arrow::error::ArrowError;
use pugmark_query::eval::{Cell, Shape, Table};

/// A column read row by row.
pub(crate) enum Cells<'a> {
    Text(&'a StringArray),
    View(&'a arrow::array::StringViewArray),
    Dictionary(&'a arrow::array::Int32Array, &'a StringArray),
    Bytes(&'a arrow::array::BinaryArray),
    Long(&'a Int64Array),
    Unsigned(&'a arrow::array::UInt64Array),
    Float(&'a Float64Array),
    Time(&'a TimestampMicrosecondArray),
    Bool(&'a BooleanArray),
    /// Nothing that has a cell.
    Other,
}

impl<'a> Cells<'a> {
    /// Those of `column`.
    pub(crate) fn of(column: &'a ArrayRef) -> Self {
        match column.data_type() {
            DataType::Utf8 => Cells::Text(column.as_string()),
            DataType::Utf8View => Cells::View(column.as_string_view()),
            DataType::Binary => Cells::Bytes(column.as_binary()),
            DataType::Int64 => Cells::Long(column.as_primitive::<Int64Type>()),
            DataType::UInt64 => Cells::Unsigned(column.as_primitive::<UInt64Type>()),
            DataType::Float64 => Cells::Float(column.as_primitive::<Float64Type>()),
            DataType::Boolean => Cells::Bool(column.as_boolean()),
            DataType::Timestamp(TimeUnit::Microsecond, _) => {
                Cells::Time(column.as_primitive::<TimestampMicrosecondType>())
            }
            DataType::Dictionary(..) => {
                let dictionary = column.as_dictionary_opt::<Int32Type>();
                let texts = dictionary.and_then(|d| d.values().as_string_opt::<i32>());
                match (dictionary, texts) {
                    (Some(dictionary), Some(texts)) => Cells::Dictionary(dictionary.keys(), texts),
                    _ => Cells::Other,
                }
            }
            _ => Cells::Other,
        }
    }

    /// The value in a row.
    pub(crate) fn cell(&self, row: usize) -> Cell {
        let text = |text: &str| Cell::Text(text.to_string());
        match self {
            Cells::Text(a) if a.is_valid(row) => text(a.value(row)),
            Cells::View(a) if a.is_valid(row) => text(a.value(row)),
            Cells::Dictionary(keys, texts) if keys.is_valid(row) => {
                match keys.value(row) as usize {
                    key if texts.is_valid(key) => text(texts.value(key)),
                    _ => Cell::Null,
                }
            }
            Cells::Bytes(a) if a.is_valid(row) => text(&String::from_utf8_lossy(a.value(row))),
            Cells::Long(a) if a.is_valid(row) => Cell::Long(a.value(row)),
            Cells::Unsigned(a) if a.is_valid(row) => {
                Cell::Long(i64::try_from(a.value(row)).unwrap_or(i64::MAX))
            }
            Cells::Float(a) if a.is_valid(row) => Cell::Float(a.value(row)),
            Cells::Time(a) if a.is_valid(row) => Cell::Time(a.value(row)),
            Cells::Bool(a) if a.is_valid(row) => Cell::Bool(a.value(row)),
            _ => Cell::Null,
        }
    }
}

/// How the values of a shape are stored.
pub(crate) fn data_type(shape: Shape) -> DataType {
    match shape {
        Shape::Text => DataType::Utf8,
        Shape::Long => DataType::Int64,
        Shape::Float => DataType::Float64,
        Shape::Bool => DataType::Boolean,
        Shape::Time => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
    }
}

/// A column of cells. What is not of the shape is absent.
pub(crate) fn array(cells: impl Iterator<Item = Cell>, shape: Shape) -> ArrayRef {
    match shape {
        Shape::Text => Arc::new(
            cells
                .map(|cell| match cell {
                    Cell::Text(text) => Some(text),
                    _ => None,
                })
                .collect::<StringArray>(),
        ),
        Shape::Long => Arc::new(
            cells
                .map(|cell| match cell {
                    Cell::Long(long) => Some(long),
                    _ => None,
                })
                .collect::<Int64Array>(),
        ),
        Shape::Float => Arc::new(
            cells
                .map(|cell| match cell {
                    Cell::Float(float) => Some(float),
                    _ => None,
                })
                .collect::<Float64Array>(),
        ),
        Shape::Bool => Arc::new(
            cells
                .map(|cell| match cell {
                    Cell::Bool(bool) => Some(bool),
                    _ => None,
                })
                .collect::<BooleanArray>(),
        ),
        Shape::Time => {
            let times = cells.map(|cell| match cell {
                Cell::Time(time) => Some(time),
                _ => None,
            });
            Arc::new(times.collect::<TimestampMicrosecondArray>().with_timezone("UTC"))
        }
    }
}

/// A table as one batch.
pub(crate) fn batch(table: &Table) -> Result<RecordBatch, ArrowError> {
    let mut fields = Vec::new();
    let mut arrays: Vec<ArrayRef> = Vec::new();
    for (place, column) in table.columns.iter().enumerate() {
        let cells = table.rows.iter().map(|row| row.get(place).cloned().unwrap_or(Cell::Null));
        let array = array(cells, column.shape);
        fields.push(Field::new(&column.name, array.data_type().clone(), true));
        arrays.push(array);
    }
    let options = RecordBatchOptions::new().with_row_count(Some(table.rows.len()));
    RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), arrays, &options)
}

/// The rows of a batch, of which the columns are in the order of the cells.
pub(crate) fn rows(batch: &RecordBatch) -> Vec<Vec<Cell>> {
    let columns: Vec<Cells<'_>> = batch.columns().iter().map(Cells::of).collect();
    let row = |row| columns.iter().map(|column| column.cell(row)).collect();
    (0..batch.num_rows()).map(row).collect()
}

/// Memory of rows, about.
pub(crate) fn bytes(rows: &[Vec<Cell>]) -> usize {
    let cell = |cell: &Cell| match cell {
        Cell::Text(text) => size_of::<Cell>() + text.len(),
        _ => size_of::<Cell>(),
    };
    rows.iter().map(|row| size_of::<Vec<Cell>>() + row.iter().map(cell).sum::<usize>()).sum()
}
