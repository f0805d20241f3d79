//! Turns events into the columns of a segment: each byte once.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, LazyLock};

use arrow::array::{
    Array, ArrayRef, AsArray, Int32Builder, MapArray, RecordBatch, StringArray, StringBuilder,
    StructArray,
};
use arrow::buffer::OffsetBuffer;
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Field as ArrowField, Int32Type, Schema, TimeUnit, TimestampMicrosecondType,
};
use hashbrown::HashMap as FastMap;
use pugmark_event::batch::attributes_type;
use pugmark_event::fields::{self, ATTRIBUTE_KINDS, ATTRIBUTES, FieldId, ORIGINAL, ORIGINAL_BYTES};
use twox_hash::XxHash3_64;

use super::counted;
use super::encoding::Numbers;
use super::gather::Pick;
use super::layout::{Frequent, Layout, Promoted, TEMPLATE, column_names};
use crate::codec::encode::{Encoder, shapes};
use crate::codec::rows::Rows;
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
/// Attributes in the map that the footer names at most.
pub(super) const FREQUENT_MAX: usize = 64;
/// And rows that each of them has at least.
const FREQUENT_ROWS_MIN: usize = 4;

/// Turns a block of rows, in the order of the file, into columns of a segment, as narrow as these
/// rows allow.
///
/// # Errors
/// When Arrow cannot build the columns.
pub(super) fn assemble(
    batch: &RecordBatch,
    layout: &Layout,
    numbers: &Numbers,
    encoder: &mut Encoder,
) -> Result<RecordBatch, StoreError> {
    let rows = Rows::new(batch);
    let mut records = Records::default();
    let mut attributes = AttributeSplit::new(layout);
    for (row, shape) in shapes(&rows).into_iter().enumerate() {
        let template = encoder.encode(&rows, shape, row);
        attributes.row(&rows, row, template.as_deref());
        match template {
            Some(template) => {
                let record = rows.record(row).unwrap_or_default();
                records.templated(row, &template, record, encoder);
            }
            None => records.kept(row),
        }
    }
    join(batch, records, attributes, (layout, numbers))
}

fn join(
    batch: &RecordBatch,
    records: Records,
    attributes: AttributeSplit<'_>,
    (layout, numbers): (&Layout, &Numbers),
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
    let exact = batch.column_by_name(ORIGINAL_BYTES.column());
    for (field, column) in batch.schema_ref().fields().iter().zip(batch.columns()) {
        let name = field.name().as_str();
        if [ATTRIBUTES, ATTRIBUTE_KINDS.column()].contains(&name) {
            continue;
        }
        let derived = records.derived.iter().find(|(id, _)| id.column() == name);
        let column = match derived {
            Some((_, made)) => text_where(column, |row| !made[row]),
            // Where the exact bytes are kept, their text can be made from them.
            None if name == ORIGINAL.column() => text_where(column, |row| {
                records.templates[row].is_none() && exact.is_none_or(|c| c.is_null(row))
            }),
            None => narrow(column, numbers.contains(name))?,
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

/// The texts of these rows, copied: what the others hold must not stay in memory for their sake.
fn text_where(column: &ArrayRef, wanted: impl Fn(usize) -> bool) -> ArrayRef {
    let Some(texts) = column.as_string_opt::<i32>() else { return column.clone() };
    let text = |row: usize| (texts.is_valid(row) && wanted(row)).then(|| texts.value(row));
    Arc::new((0..texts.len()).map(text).collect::<StringArray>())
}

/// The same column in fewer bytes, where every value comes back: times of whole milliseconds, ids
/// in hex digits, UUIDs, and whole numbers where they are wanted as such.
fn narrow(column: &ArrayRef, as_number: bool) -> Result<ArrayRef, StoreError> {
    if let Some(times) = column.as_primitive_opt::<TimestampMicrosecondType>() {
        let whole = times.iter().flatten().all(|time| time % 1000 == 0);
        return Ok(if whole { cast(column, &MILLIS)? } else { column.clone() });
    }
    let Some(texts) = column.as_string_opt::<i32>() else { return Ok(column.clone()) };
    let long = texts.iter().flatten().next().is_some_and(|text| text.len() >= ID_BYTES_MIN);
    let ids = [Stored::Hex, Stored::Uuid, Stored::Guid].into_iter().filter(|_| long);
    let number = as_number.then_some(Stored::Integer);
    let narrowed = number.into_iter().chain(ids).find_map(|stored| stored_as(texts, stored));
    Ok(narrowed.unwrap_or_else(|| column.clone()))
}

/// The texts in this form; `None` when one does not come back from it.
fn stored_as(texts: &StringArray, stored: Stored) -> Option<ArrayRef> {
    let mut builder = StoredBuilder::new(stored);
    for (row, text) in texts.iter().enumerate() {
        if let Some(text) = text {
            builder.set(row, text).then_some(())?;
        }
    }
    Some(builder.finish(texts.len()))
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

    fn kept(&mut self, row: usize) {
        self.templates.push(None);
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

/// The layout of a file with these rows: attributes that many rows have get columns, the most
/// frequent first.
pub(super) fn lay_out(batches: &[Rows<'_>], picks: &[Pick]) -> Layout {
    let counts = attribute_counts(batches, picks);
    let wanted = (picks.len() / PROMOTED_SHARE).max(PROMOTED_ROWS_MIN);
    // A name has one column: that of its most frequent kind. Nulls say nothing worth a column.
    let mut best: HashMap<&str, (usize, u8)> = HashMap::new();
    for ((name, kind), count) in &counts {
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
    let in_map = |(name, kind): (&str, u8)| !chosen.iter().any(|c| (c.0, c.2) == (name, kind));
    let mut rest: Vec<(&str, u8, usize)> = counts
        .iter()
        .filter(|(key, count)| in_map(**key) && key.1 != b'z' && **count >= FREQUENT_ROWS_MIN)
        .map(|(key, count)| (key.0, key.1, *count))
        .collect();
    rest.sort_unstable_by(|a, b| b.2.cmp(&a.2).then(a.cmp(b)));
    rest.truncate(FREQUENT_MAX);
    let names: Vec<&str> = chosen.iter().map(|c| c.0).collect();
    let wanted: Vec<&str> = names.iter().copied().chain(rest.iter().map(|r| r.0)).collect();
    let stored = samples(batches, picks, &wanted);
    let promoted = column_names(&names).into_iter().zip(&chosen).map(|(column, chosen)| Promoted {
        column,
        name: chosen.0.into(),
        kind: chosen.2,
        stored: stored[chosen.0],
    });
    let mut layout = Layout::new(promoted.collect());
    let frequent = rest.into_iter().map(|(name, kind, rows)| Frequent {
        name: name.into(),
        kind: kind.into(),
        stored: stored[name].letter(),
        rows: rows as u64,
    });
    layout.frequent = frequent.collect();
    layout.counted = Some(counted::of_rows(batches, picks, &counts));
    layout
}

/// Rows by the name and the kind letter of an attribute that they have.
pub(super) type AttributeCounts<'a> = BTreeMap<(&'a str, u8), usize>;

/// How many rows have each attribute of each kind.
pub(super) fn attribute_counts<'a>(batches: &[Rows<'a>], picks: &[Pick]) -> AttributeCounts<'a> {
    let mut counts = BTreeMap::new();
    for (_, (count, (batch, first))) in attribute_shapes(batches, picks) {
        let rows = &batches[batch];
        let kinds = rows.kinds(first);
        for (at, entry) in rows.entries(first).enumerate() {
            let kind = kinds.get(at).copied().unwrap_or(b's');
            *counts.entry((rows.key(entry), kind)).or_default() += count;
        }
    }
    counts
}

/// Rows by the names and kinds of their attributes: how many, and one of them.
fn attribute_shapes(batches: &[Rows<'_>], picks: &[Pick]) -> FastMap<u64, (usize, Pick)> {
    let mut shapes: FastMap<u64, (usize, Pick)> = FastMap::new();
    for (batch, row) in picks {
        let rows = &batches[*batch];
        let keys = XxHash3_64::oneshot(rows.keys_bytes(*row));
        let shape = XxHash3_64::oneshot_with_seed(keys, rows.kinds(*row));
        // Names that run together alike but are cut differently are told apart by their number.
        let shape = shape ^ rows.entries(*row).len() as u64;
        shapes.entry(shape).or_insert((0, (*batch, *row))).0 += 1;
    }
    shapes
}

/// How the first values of each name can be stored.
fn samples<'a>(
    batches: &[Rows<'_>],
    picks: &[Pick],
    names: &[&'a str],
) -> HashMap<&'a str, Stored> {
    let places: FastMap<&str, usize> = names.iter().enumerate().map(|(i, n)| (*n, i)).collect();
    let mut seen: Vec<(usize, Option<Stored>)> = vec![(0, None); names.len()];
    let mut open = names.len();
    for (batch, row) in picks {
        if open == 0 {
            break;
        }
        let rows = &batches[*batch];
        for entry in rows.entries(*row) {
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
    let stored = seen.into_iter().map(|(_, stored)| stored.unwrap_or(Stored::Text));
    names.iter().copied().zip(stored).collect()
}

/// Attributes on their way to columns of their own and to the map.
pub(super) struct AttributeSplit<'a> {
    layout: &'a Layout,
    columns: Vec<StoredBuilder>,
    places: FastMap<&'a str, usize>,
    /// For each attribute of the row before its name and place: rows mostly have the same ones.
    before: Vec<(String, Option<usize>)>,
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
            before: Vec::new(),
            keys: StringBuilder::new(),
            values: StringBuilder::new(),
            offsets: vec![0],
            kinds: StringBuilder::new(),
            row_kinds: String::new(),
        }
    }

    /// Takes the attributes of a row but those that its template makes up.
    pub(super) fn row(&mut self, rows: &Rows<'_>, row: usize, template: Option<&Template>) {
        let kinds = rows.kinds(row);
        self.row_kinds.clear();
        let mut in_map = 0;
        for (at, entry) in rows.entries(row).enumerate() {
            let (name, text) = (rows.key(entry), rows.value(entry));
            let kind = kinds.get(at).copied().unwrap_or(b's');
            if template.is_some_and(|t| t.made_attributes().any(|(made, ..)| made == name)) {
                continue;
            }
            let place = self.place(at, name);
            let place = place.filter(|place| self.layout.promoted[*place].kind == kind);
            if place.is_some_and(|place| self.columns[place].set(row, text)) {
                continue;
            }
            self.keys.append_value(name);
            self.values.append_value(text);
            self.row_kinds.push(kind as char);
            in_map += 1;
        }
        let end = self.offsets.last().copied().unwrap_or(0) + in_map;
        self.offsets.push(end);
        match in_map {
            0 => self.kinds.append_null(),
            _ => self.kinds.append_value(&self.row_kinds),
        }
    }

    /// Place of the column of the row's attribute at `at`.
    fn place(&mut self, at: usize, name: &str) -> Option<usize> {
        if let Some((_, place)) = self.before.get(at).filter(|(known, _)| known == name) {
            return *place;
        }
        let place = self.places.get(name).copied();
        self.before.resize(self.before.len().max(at + 1), (String::new(), None));
        self.before[at] = (name.to_string(), place);
        place
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
