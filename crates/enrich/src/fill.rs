//! New values for a batch: into the columns that the registry has for them, else into the tail.
//!
//! What a record says itself stays as it is; only what it leaves open is filled.

use std::rc::Rc;
use std::sync::Arc;

use arrow::array::{
    Array as _, ArrayRef, AsArray as _, Int64Array, MapArray, RecordBatch, StringArray,
    StringBuilder, StructArray,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, FieldRef, Int64Type, Schema};
use arrow::error::ArrowError;
use hashbrown::HashMap;
use pugmark_event::batch::{Batch, BatchError, attributes_type, schema};
use pugmark_event::build::ATTRIBUTES_PER_EVENT_MAX;
use pugmark_event::fields::{self, ATTRIBUTE_KINDS, ATTRIBUTES, FieldId, SYSTEM};
use pugmark_event::{Kind, Value};

/// No value in this row.
const NONE: u32 = u32::MAX;

/// The different values of a text column, and which of them each row has.
pub(crate) struct Distinct<'a> {
    pub(crate) values: Vec<&'a str>,
    rows: Rc<[u32]>,
}

impl<'a> Distinct<'a> {
    pub(crate) fn of(column: &'a StringArray) -> Self {
        let mut known: HashMap<&str, u32> = HashMap::new();
        let mut values = Vec::new();
        let place = |text: Option<&'a str>| {
            let Some(text) = text.filter(|text| !text.is_empty()) else { return NONE };
            *known.entry(text).or_insert_with(|| {
                values.push(text);
                values.len() as u32 - 1
            })
        };
        let rows = column.iter().map(place).collect();
        Self { values, rows }
    }

    /// The position among the values of what a row has.
    pub(crate) fn at(&self, row: usize) -> Option<usize> {
        self.rows.get(row).filter(|at| **at != NONE).map(|at| *at as usize)
    }

    /// A new field with one value for each of the different values here.
    pub(crate) fn fill(&self, name: String, values: Vec<Option<String>>) -> Fill {
        Fill { name, kind: Kind::Text, rows: self.rows.clone(), values }
    }
}

/// A field and the values that rows get.
pub(crate) struct Fill {
    name: String,
    kind: Kind,
    /// For each row its place in `values`.
    rows: Rc<[u32]>,
    values: Vec<Option<String>>,
}

impl Fill {
    /// A field with a value for each row, as places in a list of values.
    pub(crate) fn by_row(
        name: String,
        rows: Vec<Option<u32>>,
        values: Vec<Option<String>>,
    ) -> Self {
        let rows = rows.into_iter().map(|at| at.unwrap_or(NONE)).collect();
        Self { name, kind: Kind::Text, rows, values }
    }

    /// The same; the values are numbers.
    pub(crate) fn numbers(self) -> Self {
        Self { kind: Kind::Long, ..self }
    }

    fn is_empty(&self) -> bool {
        self.values.iter().all(Option::is_none)
    }

    fn at(&self, row: usize) -> Option<&str> {
        self.values.get(*self.rows.get(row)? as usize)?.as_deref()
    }

    fn value(&self, row: usize) -> Option<Value<'_>> {
        self.at(row).map(|text| match self.kind {
            Kind::Long => Value::Number(text),
            _ => Value::Text(text),
        })
    }
}

/// The batch with the fields filled. Of two that fill the same, the first counts.
///
/// # Errors
/// When Arrow cannot build the columns, such as text past 2 GiB.
pub(crate) fn apply(batch: &Batch, fills: Vec<Fill>) -> Result<Batch, BatchError> {
    let record = batch.columns();
    let mut columns: Vec<(FieldRef, ArrayRef)> = record
        .schema_ref()
        .fields()
        .iter()
        .cloned()
        .zip(record.columns().iter().cloned())
        .collect();
    let mut tail = Vec::new();
    for fill in fills.into_iter().filter(|fill| !fill.is_empty()) {
        match fields::by_ecs_name(&fill.name) {
            // Nothing speaks for Pugmark itself.
            Some(id) if SYSTEM.contains(&id) => {}
            Some(id) => {
                let old = columns.iter().find(|(field, _)| field.name() == id.column());
                if let Some(filled) = column(id, old.map(|(_, array)| array), &fill, batch.rows()) {
                    put(&mut columns, id.field().arrow(), filled);
                }
            }
            None => tail.push(fill),
        }
    }
    if !tail.is_empty() {
        let (attributes, kinds) = attributes(batch, &tail)?;
        put(&mut columns, Field::new(ATTRIBUTES, attributes_type(), true), attributes);
        put(&mut columns, ATTRIBUTE_KINDS.field().arrow(), kinds);
    }
    let all = schema();
    columns.sort_by_key(|(field, _)| all.index_of(field.name()).unwrap_or(usize::MAX));
    let (fields, arrays): (Vec<FieldRef>, Vec<ArrayRef>) = columns.into_iter().unzip();
    Batch::new(RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)?)
}

fn put(columns: &mut Vec<(FieldRef, ArrayRef)>, field: Field, array: ArrayRef) {
    match columns.iter_mut().find(|(old, _)| old.name() == field.name()) {
        Some((_, old)) => *old = array,
        None => columns.push((Arc::new(field), array)),
    }
}

/// A registered column with its gaps filled; `None` for a kind that no lookup answers.
fn column(id: FieldId, old: Option<&ArrayRef>, fill: &Fill, rows: usize) -> Option<ArrayRef> {
    match id.field().kind {
        Kind::Text | Kind::Ip => {
            let old = old.and_then(|array| array.as_string_opt::<i32>());
            let own = |row| old.filter(|o| o.is_valid(row)).map(|o| o.value(row));
            let values = (0..rows).map(|row| own(row).or_else(|| fill.at(row)));
            Some(Arc::new(values.collect::<StringArray>()))
        }
        Kind::Long => {
            let old = old.and_then(|array| array.as_primitive_opt::<Int64Type>());
            let own = |row| old.filter(|o| o.is_valid(row)).map(|o| o.value(row));
            let new = |row| fill.at(row)?.parse::<i64>().ok();
            let values = (0..rows).map(|row| own(row).or_else(|| new(row)));
            Some(Arc::new(values.collect::<Int64Array>()))
        }
        Kind::Time | Kind::Bytes => None,
    }
}

/// The tail with new entries, and the letters of their kinds.
fn attributes(batch: &Batch, fills: &[Fill]) -> Result<(ArrayRef, ArrayRef), ArrowError> {
    let (mut keys, mut values) = (StringBuilder::new(), StringBuilder::new());
    let (mut kinds, mut offsets) = (StringBuilder::new(), vec![0i32]);
    let mut letters = String::new();
    let mut row_names: Vec<&str> = Vec::new();
    for row in 0..batch.rows() {
        row_names.clear();
        letters.clear();
        let new = fills.iter().filter_map(|fill| Some((fill.name.as_str(), fill.value(row)?)));
        for (index, (name, value)) in batch.attributes().row(row).chain(new).enumerate() {
            // The record's own names are different already; only ours may come twice.
            if index >= ATTRIBUTES_PER_EVENT_MAX || row_names.contains(&name) {
                continue;
            }
            row_names.push(name);
            keys.append_value(name);
            values.append_value(value.text());
            letters.push(value.kind());
        }
        kinds.append_value(&letters);
        let end = i32::try_from(keys.offsets_slice().len() - 1);
        offsets.push(end.map_err(|_| ArrowError::OffsetOverflowError(row))?);
    }
    let DataType::Map(entry, _) = attributes_type() else {
        unreachable!("the attributes column is a map")
    };
    let DataType::Struct(entry_fields) = entry.data_type() else {
        unreachable!("the entries of a map are structs")
    };
    let arrays: Vec<ArrayRef> = vec![Arc::new(keys.finish()), Arc::new(values.finish())];
    let entries = StructArray::try_new(entry_fields.clone(), arrays, None)?;
    let map = MapArray::try_new(entry, OffsetBuffer::new(offsets.into()), entries, None, false)?;
    Ok((Arc::new(map), Arc::new(kinds.finish())))
}
