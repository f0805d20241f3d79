//! The columns that a question names, from the columns that a file has.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, RecordBatch, RecordBatchOptions, StringArray, StringBuilder,
    new_null_array,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use pugmark_event::batch::Attributes;
use pugmark_event::conflict::{self, CONFLICTS_PREFIX};
use pugmark_event::fields::{
    self, ATTRIBUTE_KINDS, ATTRIBUTES, FieldId, ISSUES, ORIGINAL, ORIGINAL_BYTES,
};

use super::assemble::{COMPOSITES, map};
use super::layout::{ATTRIBUTE_PREFIX, Layout};
use crate::codec::decode::{Decoder, Templates};
use crate::codec::stored::push_text;
use crate::error::StoreError;

/// The field whose conflicts a column of a question holds.
pub(super) fn conflicts_of(name: &str) -> Option<FieldId> {
    fields::by_name(name.strip_prefix(CONFLICTS_PREFIX)?)
}

/// The values of a field that did not fit its column.
fn conflicts(
    batch: &RecordBatch,
    layout: &Layout,
    known: &mut Templates,
    id: FieldId,
) -> Result<ArrayRef, StoreError> {
    let issues = batch.column_by_name(ISSUES.column());
    let Some(issues) = issues.filter(|issues| issues.null_count() < issues.len()) else {
        return Ok(new_null_array(&conflict::data_type(), batch.num_rows()));
    };
    let (map, kinds) = attributes(batch, layout, Some(known))?;
    let columns = [(ISSUES.column(), issues.clone()), (ATTRIBUTES, map)];
    let columns = columns.into_iter().chain([(ATTRIBUTE_KINDS.column(), kinds)]);
    let batch = RecordBatch::try_from_iter_with_nullable(columns.map(|(n, c)| (n, c, true)))?;
    Ok(Arc::new(conflict::column(&batch, id)))
}

/// The field, if it is one that templates may make up.
pub(super) fn composite(name: &str) -> Option<FieldId> {
    COMPOSITES.into_iter().find(|id| id.column() == name)
}

/// The batch with times in microseconds and ids as text, whatever the file has them in.
pub(super) fn wide(batch: &RecordBatch) -> Result<RecordBatch, StoreError> {
    let known = pugmark_event::batch::schema();
    let mut fields = Vec::with_capacity(batch.num_columns());
    let mut columns = Vec::with_capacity(batch.num_columns());
    for (field, column) in batch.schema_ref().fields().iter().zip(batch.columns()) {
        let wanted = known.field_with_name(field.name()).ok();
        let is_dictionary = matches!(field.data_type(), DataType::Dictionary(..));
        match wanted.filter(|wanted| !is_dictionary && wanted.data_type() != field.data_type()) {
            None => {
                fields.push(field.clone());
                columns.push(column.clone());
            }
            Some(wanted) => {
                fields.push(Arc::new(wanted.clone()));
                columns.push(match wanted.data_type() {
                    DataType::Utf8 => texts(column),
                    other => cast(column, other)?,
                });
            }
        }
    }
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    let schema = Arc::new(Schema::new(fields));
    Ok(RecordBatch::try_new_with_options(schema, columns, &options)?)
}

/// The texts of values in any form.
pub(super) fn texts(column: &ArrayRef) -> ArrayRef {
    let mut out = StringBuilder::new();
    let mut text = String::new();
    for row in 0..column.len() {
        text.clear();
        match push_text(column, row, &mut text) {
            Some(()) => out.append_value(&text),
            None => out.append_null(),
        }
    }
    Arc::new(out.finish())
}

/// The columns of the question from the columns of the file. Text comes as a dictionary where it
/// was read as one; that of an attribute, if `as_stored`, as integers where all its values are.
pub(super) fn events(
    batch: &RecordBatch,
    layout: &Layout,
    known: &mut Templates,
    (wanted, as_stored): (&SchemaRef, bool),
) -> Result<RecordBatch, StoreError> {
    let rows = batch.num_rows();
    let mut decoder = Decoder::new(batch, layout);
    let mut merged: Option<(ArrayRef, ArrayRef)> = None;
    let mut columns: Vec<ArrayRef> = Vec::with_capacity(wanted.fields().len());
    for field in wanted.fields() {
        let name = field.name().as_str();
        let stored = batch.column_by_name(name);
        let column = match composite(name) {
            _ if name == ORIGINAL.column() => Some(originals(batch, &mut decoder, known)),
            Some(id) => Some(composites(stored, &mut decoder, known, id, rows)),
            None if [ATTRIBUTES, ATTRIBUTE_KINDS.column()].contains(&name) => {
                if merged.is_none() {
                    merged = Some(attributes(batch, layout, Some(known))?);
                }
                let (map, kinds) = merged.clone().unzip();
                if name == ATTRIBUTES { map } else { kinds }
            }
            None => match (name.strip_prefix(ATTRIBUTE_PREFIX), conflicts_of(name)) {
                (Some(name), _) => Some(match integers(&decoder, layout, name) {
                    Some(integers) if as_stored => integers,
                    _ => attribute(&mut decoder, layout, known, name, rows),
                }),
                (_, Some(id)) => Some(conflicts(batch, layout, known, id)?),
                _ => stored.cloned(),
            },
        };
        columns.push(column.unwrap_or_else(|| new_null_array(field.data_type(), rows)));
    }
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    let held = as_held(wanted, &columns);
    Ok(RecordBatch::try_new_with_options(held, columns, &options)?)
}

/// The schema with the types that the columns have.
fn as_held(wanted: &SchemaRef, columns: &[ArrayRef]) -> SchemaRef {
    let fields = wanted.fields().iter().zip(columns);
    if fields.clone().all(|(field, column)| field.data_type() == column.data_type()) {
        return wanted.clone();
    }
    let fields = fields.map(|(field, column)| {
        Field::new(field.name(), column.data_type().clone(), field.is_nullable())
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

fn originals(batch: &RecordBatch, decoder: &mut Decoder<'_>, known: &mut Templates) -> ArrayRef {
    let text = batch.column_by_name(ORIGINAL.column()).and_then(|c| c.as_string_opt::<i32>());
    let exact =
        batch.column_by_name(ORIGINAL_BYTES.column()).and_then(|c| c.as_binary_opt::<i32>());
    let mut out = StringBuilder::new();
    let mut record = String::new();
    for row in 0..batch.num_rows() {
        record.clear();
        if decoder.record(row, known, &mut record).is_some() {
            out.append_value(&record);
        } else if let Some(text) = text.filter(|c| c.is_valid(row)) {
            out.append_value(text.value(row));
        } else if let Some(bytes) = exact.filter(|c| c.is_valid(row)) {
            out.append_value(String::from_utf8_lossy(bytes.value(row)));
        } else {
            out.append_null();
        }
    }
    Arc::new(out.finish())
}

fn composites(
    stored: Option<&ArrayRef>,
    decoder: &mut Decoder<'_>,
    known: &mut Templates,
    id: FieldId,
    rows: usize,
) -> ArrayRef {
    let stored = stored.and_then(|c| c.as_string_opt::<i32>());
    let mut out = StringBuilder::new();
    let mut text = String::new();
    for row in 0..rows {
        if let Some(stored) = stored.filter(|c| c.is_valid(row)) {
            out.append_value(stored.value(row));
            continue;
        }
        text.clear();
        match decoder.composite(row, id, known, &mut text) {
            Some(()) => out.append_value(&text),
            None => out.append_null(),
        }
    }
    Arc::new(out.finish())
}

/// The values of an attribute, if all are integers: no row has it elsewhere than in its column.
fn integers(decoder: &Decoder<'_>, layout: &Layout, name: &str) -> Option<ArrayRef> {
    let column = layout.promoted(name).and_then(|p| decoder.column(&p.column))?;
    let only = column.null_count() == 0 || decoder.has_columns_alone();
    (only && *column.data_type() == DataType::Int64).then(|| column.clone())
}

fn attribute(
    decoder: &mut Decoder<'_>,
    layout: &Layout,
    known: &mut Templates,
    name: &str,
    rows: usize,
) -> ArrayRef {
    let column = layout.promoted(name).and_then(|p| decoder.column(&p.column));
    if let Some(column) =
        column.filter(|c| c.as_string_opt::<i32>().is_some() && c.null_count() == 0)
    {
        return column.clone();
    }
    let mut out = StringBuilder::new();
    let mut text = String::new();
    for row in 0..rows {
        text.clear();
        let promoted = column.and_then(|column| push_text(column, row, &mut text));
        let mut found =
            promoted.or_else(|| decoder.attribute(row, name).map(|value| text.push_str(value)));
        if found.is_none() {
            decoder.made_attributes(row, known, &mut |made, _, value| {
                if made == name {
                    text.push_str(value);
                    found = Some(());
                }
            });
        }
        match found {
            Some(()) => out.append_value(&text),
            None => out.append_null(),
        }
    }
    Arc::new(out.finish())
}

/// The map and the kinds with the promoted attributes back in them; given templates, also those
/// that templates make up.
pub(super) fn attributes(
    batch: &RecordBatch,
    layout: &Layout,
    mut known: Option<&mut Templates>,
) -> Result<(ArrayRef, ArrayRef), StoreError> {
    let mut decoder = Decoder::new(batch, layout);
    let promoted: Vec<_> = layout
        .promoted
        .iter()
        .filter_map(|p| Some((p, batch.column_by_name(&p.column)?)))
        .collect();
    let rest = Attributes::of(batch);
    let (mut keys, mut values) = (StringBuilder::new(), StringBuilder::new());
    let mut kinds = StringBuilder::new();
    let mut offsets = vec![0i32];
    let (mut text, mut row_kinds) = (String::new(), String::new());
    for row in 0..batch.num_rows() {
        row_kinds.clear();
        for (attribute, column) in &promoted {
            text.clear();
            if push_text(column, row, &mut text).is_some() {
                keys.append_value(&attribute.name);
                values.append_value(&text);
                row_kinds.push(attribute.kind as char);
            }
        }
        for (key, value) in rest.row(row) {
            keys.append_value(key);
            values.append_value(value.text());
            row_kinds.push(value.kind());
        }
        if let Some(known) = &mut known {
            decoder.made_attributes(row, known, &mut |name, kind, text| {
                keys.append_value(name);
                values.append_value(text);
                row_kinds.push(kind as char);
            });
        }
        offsets.push(offsets[row] + row_kinds.len() as i32);
        match row_kinds.is_empty() {
            true => kinds.append_null(),
            false => kinds.append_value(&row_kinds),
        }
    }
    let kinds: StringArray = kinds.finish();
    let map = map(keys.finish(), values.finish(), offsets, &kinds)?;
    Ok((map, Arc::new(kinds)))
}
