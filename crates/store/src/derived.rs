//! Columns that no file has: a scan makes them from those that it has.
//!
//! `attributes.NAME` is the text of one attribute, so that nobody else needs the whole map.
//! `conflicts.COLUMN` holds the values of a registered field that did not fit its column. `row` is
//! where a row is in its part.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Int64Array, RecordBatch, RecordBatchOptions, StringBuilder,
    new_null_array,
};
use arrow::datatypes::{DataType, Field, SchemaRef};
use arrow::error::ArrowError;
use pugmark_event::conflict::{self, CONFLICTS_PREFIX};
use pugmark_event::fields::{self, ATTRIBUTES, FieldId};

/// Column with the place of a row in its part of a snapshot: a number that says nothing else.
pub const ROW: &str = "row";

/// What stands before an attribute's name in the name of its column.
const ATTRIBUTES_PREFIX: &str = "attributes.";

enum Derived<'a> {
    Attribute(&'a str),
    Conflicts(FieldId),
    Row,
}

impl<'a> Derived<'a> {
    fn named(column: &'a str) -> Option<Self> {
        if let Some(name) = column.strip_prefix(ATTRIBUTES_PREFIX) {
            return Some(Derived::Attribute(name));
        }
        if column == ROW {
            return Some(Derived::Row);
        }
        let field = fields::by_name(column.strip_prefix(CONFLICTS_PREFIX)?)?;
        Some(Derived::Conflicts(field))
    }
}

/// The Arrow field of a derived column; `None` for any other name.
pub(crate) fn field(column: &str) -> Option<Arc<Field>> {
    let kind = match Derived::named(column)? {
        Derived::Attribute(_) => DataType::Utf8,
        Derived::Conflicts(_) => conflict::data_type(),
        Derived::Row => DataType::Int64,
    };
    Some(Arc::new(Field::new(column, kind, true)))
}

/// Gives `batch` exactly the columns of `to`, derived ones too.
pub(crate) fn align(batch: &RecordBatch, to: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let column = |field: &Arc<Field>| -> ArrayRef {
        match (Derived::named(field.name()), batch.column_by_name(field.name())) {
            (Some(Derived::Attribute(name)), _) => attribute(batch, name),
            (Some(Derived::Conflicts(id)), _) => Arc::new(conflict::column(batch, id)),
            (Some(Derived::Row), _) => {
                Arc::new(Int64Array::from_iter_values(0..batch.num_rows() as i64))
            }
            (None, Some(column)) => column.clone(),
            (None, None) => new_null_array(field.data_type(), batch.num_rows()),
        }
    };
    let columns: Vec<ArrayRef> = to.fields().iter().map(column).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(to.clone(), columns, &options)
}

/// The text of attribute `name` of every event: null where there is none, empty where it has no
/// value.
fn attribute(batch: &RecordBatch, name: &str) -> ArrayRef {
    let nothing = || new_null_array(&DataType::Utf8, batch.num_rows());
    let map = batch.column_by_name(ATTRIBUTES).and_then(|c| c.as_map_opt());
    let Some(map) = map else { return nothing() };
    let (keys, values) = (map.keys().as_string_opt::<i32>(), map.values().as_string_opt::<i32>());
    let (Some(keys), Some(values)) = (keys, values) else { return nothing() };
    let mut found = StringBuilder::with_capacity(map.len(), 0);
    for (row, ends) in map.value_offsets().windows(2).enumerate() {
        let mut entries = ends[0] as usize..ends[1] as usize;
        let entry = entries.find(|i| keys.value(*i) == name);
        match entry.filter(|_| map.is_valid(row)) {
            Some(i) if values.is_valid(i) => found.append_value(values.value(i)),
            Some(_) => found.append_value(""),
            None => found.append_null(),
        }
    }
    Arc::new(found.finish())
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::Schema;
    use pugmark_event::{BatchBuilder, Value};

    #[test]
    fn columns_are_made_of_attributes() {
        let mut b = BatchBuilder::new("s", 1_795_428_000_000_000);
        for (id, size, port) in [(1, Value::Number("5"), "x"), (2, Value::Null, "22")] {
            b.begin(id, b"raw");
            b.named("size", size);
            b.named("source.port", Value::Text(port));
            b.end(None);
        }
        let batch = b.finish().unwrap();
        let names = ["attributes.size", "conflicts.source_port", "attributes.no", "user_name"];
        let known = pugmark_event::batch::schema();
        let wanted = names.map(|n| {
            field(n).unwrap_or_else(|| Arc::new(known.field_with_name(n).unwrap().clone()))
        });
        let made = align(batch.columns(), &Arc::new(Schema::new(wanted.to_vec()))).unwrap();
        let shown = arrow::util::pretty::pretty_format_batches(&[made]).unwrap().to_string();
        let cells: Vec<String> = shown.lines().map(|l| l.replace(' ', "")).collect();
        assert_eq!(cells[3..5], ["|5|[x]|||", "|||||"], "{shown}");
        assert!(field("conflicts.nothing").is_none() && field("user_name").is_none());
    }
}
