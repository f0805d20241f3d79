//! Which columns a file has when its parts differ: every column of some part, in a form that holds
//! the values of all.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, new_null_array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field as ArrowField, Schema, SchemaRef};
use pugmark_event::fields::{ATTRIBUTE_KINDS, ATTRIBUTES};

use super::events::texts;
use super::layout::{Layout, TEMPLATE};
use crate::error::StoreError;

/// The columns of a file with this layout whose parts have these, in the order of the file: fields,
/// the template, variables, attributes.
pub(super) fn unite<'a>(parts: impl Iterator<Item = &'a Schema>, layout: &Layout) -> SchemaRef {
    let mut columns: BTreeMap<(u8, usize, String), DataType> = BTreeMap::new();
    for field in parts.flat_map(|part| part.fields()) {
        let kind = field.data_type();
        let known = columns.entry(place(field.name(), layout)).or_insert_with(|| kind.clone());
        if known != kind {
            *known = widest(field.name());
        }
    }
    let fields = columns.into_iter().map(|((.., name), kind)| ArrowField::new(name, kind, true));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// Where a column stands among the others.
fn place(name: &str, layout: &Layout) -> (u8, usize, String) {
    let promoted = || layout.promoted.iter().position(|p| p.column == name);
    let (part, at) = match pugmark_event::batch::schema().index_of(name) {
        Ok(at) if name == ATTRIBUTES || name == ATTRIBUTE_KINDS.column() => (4, at),
        Ok(at) => (0, at),
        Err(_) if name == TEMPLATE => (1, 0),
        Err(_) => promoted().map_or((2, 0), |at| (3, at)),
    };
    (part, at, name.to_string())
}

/// The form that holds all values that a column may have.
fn widest(name: &str) -> DataType {
    let events = pugmark_event::batch::schema();
    events.field_with_name(name).map_or(DataType::Utf8, |field| field.data_type().clone())
}

/// The batch with exactly these columns; those it lacks are null.
///
/// # Errors
/// When Arrow cannot build the columns.
pub(super) fn fit(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, StoreError> {
    let columns = schema
        .fields()
        .iter()
        .map(|field| match batch.column_by_name(field.name()) {
            Some(column) => held_as(column, field.data_type()),
            None => Ok(new_null_array(field.data_type(), batch.num_rows())),
        })
        .collect::<Result<Vec<_>, _>>()?;
    Ok(RecordBatch::try_new(schema.clone(), columns)?)
}

/// The same values in this form, which is as wide or wider.
///
/// # Errors
/// When Arrow cannot build the column.
pub(super) fn held_as(column: &ArrayRef, kind: &DataType) -> Result<ArrayRef, StoreError> {
    match kind {
        same if column.data_type() == same => Ok(column.clone()),
        DataType::Utf8 => Ok(texts(column)),
        other => Ok(cast(column, other)?),
    }
}
