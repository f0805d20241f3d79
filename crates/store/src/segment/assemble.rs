//! Turns events into the columns of a segment: each byte once.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Int32Builder, MapArray, RecordBatch, StringArray,
    StringBuilder, StructArray,
};
use arrow::buffer::OffsetBuffer;
use arrow::compute::{cast, nullif};
use arrow::datatypes::{
    DataType, Field as ArrowField, Int32Type, Schema, TimeUnit, TimestampMicrosecondType,
};
use hashbrown::HashMap as FastMap;
use pugmark_event::batch::attributes_type;
use pugmark_event::fields::{self, ATTRIBUTE_KINDS, ATTRIBUTES, FieldId, ORIGINAL, ORIGINAL_BYTES};
use twox_hash::XxHash3_64;

use super::index::IndexBuilder;
use super::layout::{Layout, Promoted, TEMPLATE, column_names, is_entity};
use crate::codec::encode::{Encoder, shapes};
use crate::codec::rows::{Column, Rows};
use crate::codec::stored::{Stored, StoredBuilder};
use crate::codec::template::{Piece, Template, Variable};
use crate::error::StoreError;

/// Attributes that get columns of their own in one file.
pub(super) const PROMOTED_MAX: usize = 192;
/// Rows that must have an attribute before it gets a column: one in so many.
pub(super) const PROMOTED_SHARE: usize = 512;
/// And at least so many.
const PROMOTED_ROWS_MIN: usize = 16;
/// Shorter ids gain nothing as bytes.
const ID_BYTES_MIN: usize = 16;
/// Values that decide how a column holds them; one that does not fit later stays in the map.
const SAMPLES: usize = 64;

/// The columns of a segment, not written yet.
pub(crate) struct Assembled {
    pub(crate) columns: RecordBatch,
    pub(crate) layout: Layout,
    pub(crate) index: IndexBuilder,
}

/// Turns `batch`, rows in the order of the file, into the columns of a segment.
///
/// # Errors
/// When Arrow cannot build the columns.
pub(crate) fn assemble(
    batch: &RecordBatch,
    encoder: &mut Encoder,
) -> Result<Assembled, StoreError> {
    let rows = Rows::new(batch);
    let layout = Layout::new(promote(&rows));
    let entities: Vec<FieldId> = rows.present.iter().copied().filter(|id| is_entity(*id)).collect();
    let mut index = IndexBuilder::new(entities.clone());
    let mut records = Records::default();
    let mut attributes = AttributeSplit::new(&layout);
    let shapes = shapes(&rows);
    let issues = batch.column_by_name(fields::ISSUES.column());
    let issues = issues.and_then(|column| column.as_string_opt::<i32>());
    for (row, shape) in shapes.into_iter().enumerate() {
        let template = encoder.encode(&rows, shape, row);
        attributes.row(&rows, row, template.as_deref(), &mut index);
        match template {
            Some(template) => {
                let record = rows.record(row).unwrap_or_default();
                index.record(&template, record.as_bytes(), encoder.found());
                records.templated(row, &template, record, encoder);
            }
            None => records.kept(row, &rows, &mut index),
        }
        for (place, id) in entities.iter().enumerate() {
            if let Some(Column::Text(texts)) = rows.field(*id)
                && texts.is_valid(row)
            {
                index.entity(place, texts.value(row).as_bytes());
            }
        }
        if let Some(issues) = issues.filter(|issues| issues.is_valid(row)) {
            index.issues(issues.value(row));
        }
        index.end_row();
    }
    let columns = join(batch, records, attributes, &layout)?;
    Ok(Assembled { columns, layout, index })
}

fn join(
    batch: &RecordBatch,
    records: Records,
    attributes: AttributeSplit<'_>,
    layout: &Layout,
) -> Result<RecordBatch, StoreError> {
    let rows = batch.num_rows();
    let mut fields: Vec<ArrowField> = Vec::new();
    let mut arrays: Vec<ArrayRef> = Vec::new();
    let mut add = |name: &str, array: ArrayRef| {
        if array.null_count() < rows {
            fields.push(ArrowField::new(name, array.data_type().clone(), true));
            arrays.push(array);
        }
    };
    let kept =
        BooleanArray::from(records.templates.iter().map(Option::is_some).collect::<Vec<_>>());
    let exact = batch.column_by_name(ORIGINAL_BYTES.column());
    for (field, column) in batch.schema_ref().fields().iter().zip(batch.columns()) {
        let name = field.name().as_str();
        if [ATTRIBUTES, ATTRIBUTE_KINDS.column()].contains(&name) {
            continue;
        }
        let derived = records.derived.iter().find(|(id, _)| id.column() == name);
        let column = match derived {
            Some((_, rows)) => nullif(column, &BooleanArray::from(rows.clone()))?,
            None if name == ORIGINAL.column() => {
                // Where the exact bytes are kept, their text can be made from them.
                let column = nullif(column, &kept)?;
                match exact {
                    Some(exact) => nullif(&column, &arrow::compute::is_not_null(exact)?)?,
                    None => column,
                }
            }
            None => narrow(column)?,
        };
        add(name, column);
    }
    add(TEMPLATE, records.template_column()?);
    for (variable, builder) in records.variables {
        add(&variable.column(), builder.finish(rows));
    }
    let (map, kinds, promoted) = attributes.finish(rows)?;
    for (column, promoted) in promoted.into_iter().zip(&layout.promoted) {
        add(&promoted.column, column);
    }
    add(ATTRIBUTES, map);
    add(ATTRIBUTE_KINDS.column(), kinds);
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)?)
}

/// The same column in fewer bytes, where every value comes back: times of whole milliseconds, ids
/// in hex digits, UUIDs.
fn narrow(column: &ArrayRef) -> Result<ArrayRef, StoreError> {
    if let Some(times) = column.as_primitive_opt::<TimestampMicrosecondType>() {
        let whole = times.iter().flatten().all(|time| time % 1000 == 0);
        return Ok(if whole { cast(column, &MILLIS)? } else { column.clone() });
    }
    let Some(texts) = column.as_string_opt::<i32>() else { return Ok(column.clone()) };
    let fits = |stored: &Stored| texts.iter().flatten().all(|text| stored.fits(text));
    let long = texts.iter().flatten().next().is_some_and(|text| text.len() >= ID_BYTES_MIN);
    let stored = [Stored::Hex, Stored::Uuid].into_iter().filter(|_| long).find(fits);
    let Some(stored) = stored else { return Ok(column.clone()) };
    let mut builder = StoredBuilder::new(stored);
    for (row, text) in texts.iter().enumerate() {
        if let Some(text) = text {
            builder.set(row, text);
        }
    }
    Ok(builder.finish(texts.len()))
}

/// A time of whole milliseconds.
static MILLIS: LazyLock<DataType> =
    LazyLock::new(|| DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())));

/// Templates and variables of the rows so far.
#[derive(Default)]
struct Records {
    templates: Vec<Option<i32>>,
    texts: Vec<Arc<Template>>,
    places: FastMap<usize, i32>,
    /// Sorted by variable, so that files of the same events have the same columns.
    variables: std::collections::BTreeMap<Variable, StoredBuilder>,
    /// Rows whose value of a field is made up of pieces.
    derived: Vec<(FieldId, Vec<bool>)>,
}

impl Records {
    fn templated(&mut self, row: usize, template: &Arc<Template>, record: &str, encoder: &Encoder) {
        let next = self.texts.len() as i32;
        let key = Arc::as_ptr(template) as usize;
        let place = *self.places.entry(key).or_insert(next);
        if place == next {
            self.texts.push(template.clone());
        }
        self.templates.push(Some(place));
        for found in encoder.found() {
            if let Piece::Variable(variable) = &template.pieces[found.piece] {
                let builder = self
                    .variables
                    .entry(*variable)
                    .or_insert_with(|| StoredBuilder::new(variable.kind));
                builder.set(row, &record[found.start..found.end]);
            }
        }
        for id in template.derives() {
            let at = self.derived.iter().position(|(known, _)| *known == id);
            let at = at.unwrap_or_else(|| {
                self.derived.push((id, Vec::new()));
                self.derived.len() - 1
            });
            let rows = &mut self.derived[at].1;
            rows.resize(row, false);
            rows.push(true);
        }
        self.pad(row);
    }

    fn kept(&mut self, row: usize, rows: &Rows<'_>, index: &mut IndexBuilder) {
        self.templates.push(None);
        if let Some(text) = rows.original.filter(|texts| texts.is_valid(row)) {
            index.text(text.value(row).as_bytes());
        }
        self.pad(row);
    }

    fn pad(&mut self, row: usize) {
        for (_, rows) in &mut self.derived {
            rows.resize(row + 1, false);
        }
    }

    fn template_column(&self) -> Result<ArrayRef, StoreError> {
        let texts = StringArray::from_iter_values(self.texts.iter().map(|t| &*t.text));
        let mut keys = Int32Builder::with_capacity(self.templates.len());
        keys.extend(self.templates.iter().copied());
        let column =
            arrow::array::DictionaryArray::<Int32Type>::try_new(keys.finish(), Arc::new(texts))?;
        Ok(Arc::new(column))
    }
}

/// Which attributes get columns: those that many rows have, the most frequent first.
fn promote(rows: &Rows<'_>) -> Vec<Promoted> {
    let mut counts: FastMap<(&str, u8), (usize, Vec<&str>)> = FastMap::new();
    for (_, (count, first)) in attribute_shapes(rows) {
        let kinds = rows.kinds(first);
        for (at, entry) in rows.entries(first).enumerate() {
            let kind = kinds.get(at).copied().unwrap_or(b's');
            let counted = counts.entry((rows.key(entry), kind)).or_default();
            counted.0 += count;
        }
    }
    let wanted = (rows.len() / PROMOTED_SHARE).max(PROMOTED_ROWS_MIN);
    // A name has one column: that of its most frequent kind. Nulls say nothing worth a column.
    let mut best: HashMap<&str, (usize, u8)> = HashMap::new();
    for ((name, kind), (count, _)) in &counts {
        let known = best.entry(name).or_default();
        if *kind != b'z' && *count >= wanted && (*count, *kind) > *known {
            *known = (*count, *kind);
        }
    }
    let mut chosen: Vec<(&str, usize, u8)> =
        best.into_iter().filter(|(_, b)| b.0 > 0).map(|(n, b)| (n, b.0, b.1)).collect();
    chosen.sort_unstable_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
    chosen.truncate(PROMOTED_MAX);
    chosen.sort_unstable();
    let names: Vec<&str> = chosen.iter().map(|c| c.0).collect();
    let samples = samples(rows, &names);
    column_names(&names)
        .into_iter()
        .zip(chosen)
        .zip(samples)
        .map(|((column, (name, _, kind)), stored)| Promoted {
            column,
            name: name.into(),
            kind,
            stored,
        })
        .collect()
}

/// Rows by the names and kinds of their attributes: how many, and one of them.
fn attribute_shapes(rows: &Rows<'_>) -> FastMap<u64, (usize, usize)> {
    let mut shapes: FastMap<u64, (usize, usize)> = FastMap::new();
    for row in 0..rows.len() {
        let keys = XxHash3_64::oneshot(rows.keys_bytes(row));
        let shape = XxHash3_64::oneshot_with_seed(keys, rows.kinds(row));
        // Names that run together alike but are cut differently are told apart by their number.
        let shape = shape ^ rows.entries(row).len() as u64;
        shapes.entry(shape).or_insert((0, row)).0 += 1;
    }
    shapes
}

/// How the first values of each name can be stored.
fn samples(rows: &Rows<'_>, names: &[&str]) -> Vec<Stored> {
    let places: FastMap<&str, usize> = names.iter().enumerate().map(|(i, n)| (*n, i)).collect();
    let mut seen: Vec<(usize, Option<Stored>)> = vec![(0, None); names.len()];
    let mut open = names.len();
    for row in 0..rows.len() {
        if open == 0 {
            break;
        }
        for entry in rows.entries(row) {
            let Some(place) = places.get(rows.key(entry)) else { continue };
            let (count, stored) = &mut seen[*place];
            if *count == SAMPLES {
                continue;
            }
            let this = Stored::of(rows.value(entry));
            *stored = Some(match stored {
                Some(known) if *known != this => Stored::Text,
                _ => this,
            });
            *count += 1;
            open -= usize::from(*count == SAMPLES);
        }
    }
    seen.into_iter().map(|(_, stored)| stored.unwrap_or(Stored::Text)).collect()
}

/// Attributes on their way to columns of their own and to the map.
pub(super) struct AttributeSplit<'a> {
    layout: &'a Layout,
    columns: Vec<StoredBuilder>,
    places: FastMap<&'a str, usize>,
    keys: StringBuilder,
    values: StringBuilder,
    offsets: Vec<i32>,
    kinds: StringBuilder,
    row_kinds: String,
}

impl<'a> AttributeSplit<'a> {
    pub(super) fn new(layout: &'a Layout) -> Self {
        let promoted = layout.promoted.iter();
        Self {
            layout,
            columns: promoted.clone().map(|p| StoredBuilder::new(p.stored)).collect(),
            places: promoted.enumerate().map(|(i, p)| (p.name.as_str(), i)).collect(),
            keys: StringBuilder::new(),
            values: StringBuilder::new(),
            offsets: vec![0],
            kinds: StringBuilder::new(),
            row_kinds: String::new(),
        }
    }

    /// Takes the attributes of a row but those that its template makes up.
    pub(super) fn row(
        &mut self,
        rows: &Rows<'_>,
        row: usize,
        template: Option<&Template>,
        index: &mut IndexBuilder,
    ) {
        let kinds = rows.kinds(row);
        self.row_kinds.clear();
        let mut in_map = 0;
        for (at, entry) in rows.entries(row).enumerate() {
            let (name, text) = (rows.key(entry), rows.value(entry));
            let kind = kinds.get(at).copied().unwrap_or(b's');
            if template.is_some_and(|t| t.made_attributes().any(|(made, ..)| made == name)) {
                continue;
            }
            let place = self.places.get(name).copied();
            let place = place.filter(|place| self.layout.promoted[*place].kind == kind);
            if place.is_some_and(|place| self.columns[place].set(row, text)) {
                continue;
            }
            self.keys.append_value(name);
            self.values.append_value(text);
            self.row_kinds.push(kind as char);
            index.map_name(name);
            in_map += 1;
        }
        let end = self.offsets.last().copied().unwrap_or(0) + in_map;
        self.offsets.push(end);
        match in_map {
            0 => self.kinds.append_null(),
            _ => self.kinds.append_value(&self.row_kinds),
        }
    }

    /// The map, the kinds, and the promoted columns in the order of the layout.
    pub(super) fn finish(
        mut self,
        rows: usize,
    ) -> Result<(ArrayRef, ArrayRef, Vec<ArrayRef>), StoreError> {
        let kinds = self.kinds.finish();
        let map = map(self.keys.finish(), self.values.finish(), self.offsets, &kinds)?;
        let columns = self.columns.into_iter().map(|column| column.finish(rows)).collect();
        Ok((map, Arc::new(kinds), columns))
    }
}

/// A map column; a row without kinds has none.
pub(crate) fn map(
    keys: StringArray,
    values: StringArray,
    offsets: Vec<i32>,
    kinds: &StringArray,
) -> Result<ArrayRef, StoreError> {
    let DataType::Map(entries, ordered) = attributes_type() else {
        return Err(StoreError::Column(ATTRIBUTES.to_string()));
    };
    let DataType::Struct(fields) = entries.data_type() else {
        return Err(StoreError::Column(ATTRIBUTES.to_string()));
    };
    let columns: Vec<ArrayRef> = vec![Arc::new(keys), Arc::new(values)];
    let structs = StructArray::try_new(fields.clone(), columns, None)?;
    let offsets = OffsetBuffer::new(offsets.into());
    let nulls = kinds.nulls().cloned();
    Ok(Arc::new(MapArray::try_new(entries.clone(), offsets, structs, nulls, ordered)?))
}

/// The columns that hold the values of these templates, by their names in the file.
pub(crate) fn columns_of<'a>(
    pieces: impl Iterator<Item = &'a Piece>,
    layout: &Layout,
    map_has: impl Fn(&str) -> bool,
) -> std::collections::BTreeSet<String> {
    let mut columns = std::collections::BTreeSet::new();
    for piece in pieces {
        match piece {
            Piece::Field(id, _) => drop(columns.insert(id.column().to_string())),
            Piece::Variable(variable) => drop(columns.insert(variable.column())),
            Piece::Attribute(name, _) => attribute_columns(name, layout, &map_has, &mut columns),
            Piece::Text(_)
            | Piece::Open(_)
            | Piece::Close(_)
            | Piece::OpenAttribute(..)
            | Piece::CloseAttribute(_) => {}
        }
    }
    columns
}

/// The columns that may hold the attribute `name`.
pub(crate) fn attribute_columns(
    name: &str,
    layout: &Layout,
    map_has: impl Fn(&str) -> bool,
    columns: &mut std::collections::BTreeSet<String>,
) {
    columns.extend(layout.promoted(name).map(|promoted| promoted.column.clone()));
    if map_has(name) {
        columns.insert(ATTRIBUTES.to_string());
    }
}

/// Fields that some template may make up.
pub(crate) const COMPOSITES: [FieldId; 2] = [fields::MESSAGE, fields::URL_ORIGINAL];
