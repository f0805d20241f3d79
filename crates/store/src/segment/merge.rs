//! Merges segments of one partition into one: sorted again, with filters made anew.
//!
//! Records are not taken apart again: templates, variables and fields are copied as they are.
//! Attributes are split anew, so that a key which became frequent gets a column. Memory is bounded
//! by a few batches of each input and one row group of the output, whatever the sizes.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, new_null_array};
use arrow::compute::{cast, interleave_record_batch};
use arrow::datatypes::{
    DataType, Field as ArrowField, Int64Type, Schema, SchemaRef, TimestampMicrosecondType,
};
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use pugmark_event::fields::{
    self, ATTRIBUTE_KINDS, ATTRIBUTES, EVENT_ID, EVENT_SOURCE, EVENT_TIME, FieldId, ORIGINAL,
    ORIGINAL_BYTES,
};

use super::assemble::{AttributeSplit, COMPOSITES, PROMOTED_MAX, PROMOTED_SHARE};
use super::events::{attributes, wide};
use super::file::SegmentFile;
use super::index::{BLOCK_ROWS, IndexBuilder};
use super::layout::{Layout, Promoted, column_names, is_entity};
use super::write::{Effort, Facts, Partition, SegmentWriter};
use super::{Segment, Tail};
use crate::codec::decode::{Decoder, Templates};
use crate::codec::encode::Found;
use crate::codec::rows::Rows;
use crate::codec::stored::{Stored, StoredBuilder};
use crate::error::StoreError;
use crate::manifest::SegmentInfo;

/// Rows read of an input at a time.
const INPUT_ROWS: usize = 4096;

/// Merges `inputs`, all of format 2 or later and of one partition. `pace` is called often; it may wait, and
/// answers whether to go on: `None` comes back when it said no, and no file is left then.
///
/// # Errors
/// When an input cannot be read or the output cannot be written.
pub(crate) fn merge(
    writer: &SegmentWriter,
    inputs: &[Arc<Segment>],
    pace: &mut dyn FnMut() -> bool,
) -> Result<Option<SegmentInfo>, StoreError> {
    let tails = inputs
        .iter()
        .map(|segment| segment.tail(&segment.open()?))
        .collect::<Result<Vec<_>, _>>()?;
    let layout = Layout::new(promote(inputs, &tails)?);
    let schema = union(&tails);
    let mut output = Output::new(&layout, &schema);
    let Some(first) = inputs.first() else { return Ok(None) };
    let partition =
        Partition { class: first.info.class.clone(), day: first.info.partition.clone() };
    let facts = Facts::sum(inputs.iter().map(|segment| &segment.info));
    let mut file = writer.begin(&partition, &facts, &output.schema, Effort::Merge)?;
    let mut sorted = Sorted::new(inputs, &tails, &schema)?;
    let mut rows = 0;
    while let Some(batch) = sorted.next_batch()? {
        rows += batch.num_rows() as u64;
        file.write(&output.assemble(&batch)?)?;
        if !pace() {
            return Ok(None);
        }
    }
    if rows != facts.rows {
        let message = format!("{rows} rows came out of {} that went in", facts.rows);
        return Err(first.damaged(&message));
    }
    file.finish(layout.clone(), output.index).map(Some)
}

/// The attributes that get columns: those that had one, and those that many rows have in the map.
fn promote(inputs: &[Arc<Segment>], tails: &[Arc<Tail>]) -> Result<Vec<Promoted>, StoreError> {
    let mut counts: BTreeMap<(String, u8), (usize, Option<Stored>)> = BTreeMap::new();
    let mut add = |name: &str, kind: u8, rows: usize, stored: Stored| {
        let (count, known) = counts.entry((name.to_string(), kind)).or_default();
        *count += rows;
        *known = Some(match *known {
            Some(known) if known != stored => Stored::Text,
            _ => stored,
        });
    };
    let mut total = 0;
    for (segment, tail) in inputs.iter().zip(tails) {
        total += segment.info.rows as usize;
        for promoted in &tail.layout.promoted {
            let share = segment.info.rows as usize / PROMOTED_SHARE + 1;
            add(&promoted.name, promoted.kind, share, promoted.stored);
        }
        let Some(batches) =
            open(segment, tail, &|name| [ATTRIBUTES, ATTRIBUTE_KINDS.column()].contains(&name))?
        else {
            continue;
        };
        for batch in batches {
            let batch = batch.map_err(|error| segment.damaged(&error.to_string()))?;
            let rows = Rows::new(&batch);
            for row in 0..rows.len() {
                let kinds = rows.kinds(row);
                for (at, entry) in rows.entries(row).enumerate() {
                    let kind = kinds.get(at).copied().unwrap_or(b's');
                    add(rows.key(entry), kind, 1, Stored::of(rows.value(entry)));
                }
            }
        }
    }
    let mut best: BTreeMap<String, (usize, u8, Stored)> = BTreeMap::new();
    for ((name, kind), (count, stored)) in counts {
        let known = best.entry(name).or_insert((0, b's', Stored::Text));
        if kind != b'z' && count > total / PROMOTED_SHARE && count > known.0 {
            *known = (count, kind, stored.unwrap_or(Stored::Text));
        }
    }
    let mut chosen: Vec<_> = best.into_iter().filter(|(_, best)| best.0 > 0).collect();
    chosen.sort_by_key(|(_, best)| std::cmp::Reverse(best.0));
    chosen.truncate(PROMOTED_MAX);
    chosen.sort_by(|a, b| a.0.cmp(&b.0));
    let names: Vec<&str> = chosen.iter().map(|(name, _)| name.as_str()).collect();
    let columns = column_names(&names);
    let promoted = chosen.iter().zip(columns).map(|((name, (_, kind, stored)), column)| Promoted {
        column,
        name: name.clone(),
        kind: *kind,
        stored: *stored,
    });
    Ok(promoted.collect())
}

/// A reader of these columns; `None` when the file has none of them.
fn open(
    segment: &Arc<Segment>,
    tail: &Tail,
    wanted: &dyn Fn(&str) -> bool,
) -> Result<Option<ParquetRecordBatchReader>, StoreError> {
    let footer = tail.footer.clone();
    let fields = footer.schema().fields().iter().enumerate();
    let roots: Vec<usize> = fields.filter(|(_, f)| wanted(f.name())).map(|(i, _)| i).collect();
    if roots.is_empty() {
        return Ok(None);
    }
    let mask = parquet::arrow::ProjectionMask::roots(footer.parquet_schema(), roots);
    let file = SegmentFile(segment.open()?);
    let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(file, footer)
        .with_batch_size(INPUT_ROWS)
        .with_projection(mask)
        .build()
        .map_err(StoreError::parquet(&segment.path))?;
    Ok(Some(reader))
}

/// All columns of the inputs but those of attributes, then the attributes as questions see them.
fn union(tails: &[Arc<Tail>]) -> SchemaRef {
    let events = pugmark_event::batch::schema();
    let mut known: BTreeMap<String, Arc<ArrowField>> = BTreeMap::new();
    for tail in tails {
        for field in tail.footer.schema().fields() {
            let promoted = tail.layout.promoted.iter().any(|p| p.column == *field.name());
            if promoted {
                continue;
            }
            // Where inputs differ in how they hold a column, it is held as events have it.
            let kept = known.entry(field.name().clone()).or_insert_with(|| field.clone());
            if kept.data_type() != field.data_type()
                && let Ok(wide) = events.field_with_name(field.name())
            {
                *kept = Arc::new(wide.clone());
            }
        }
    }
    let mut fields: Vec<Arc<ArrowField>> = Vec::new();
    for field in events.fields() {
        let is_map = [ATTRIBUTES, ATTRIBUTE_KINDS.column()].contains(&field.name().as_str());
        match known.remove(field.name()) {
            _ if is_map => fields.push(field.clone()),
            found => fields.extend(found),
        }
    }
    // What is left is the template and the variables.
    fields.extend(known.into_values());
    Arc::new(Schema::new(fields))
}

/// Rows of all inputs in the order of the output.
struct Sorted<'a> {
    inputs: Vec<Input<'a>>,
    schema: SchemaRef,
}

struct Input<'a> {
    segment: &'a Arc<Segment>,
    layout: &'a Layout,
    reader: Option<ParquetRecordBatchReader>,
    batch: Option<Keyed>,
}

/// A batch with what it is sorted by.
struct Keyed {
    batch: RecordBatch,
    next: usize,
}

impl Keyed {
    fn key(&self) -> (&str, i64, i64) {
        let column = |id: FieldId| self.batch.column_by_name(id.column());
        let source = column(EVENT_SOURCE).and_then(|c| c.as_string_opt::<i32>());
        let time =
            column(EVENT_TIME).and_then(|c| c.as_primitive_opt::<TimestampMicrosecondType>());
        let id = column(EVENT_ID).and_then(|c| c.as_primitive_opt::<Int64Type>());
        let row = self.next;
        (
            source.filter(|c| c.is_valid(row)).map_or("", |c| c.value(row)),
            time.map_or(0, |c| c.value(row)),
            id.map_or(0, |c| c.value(row)),
        )
    }
}

impl<'a> Sorted<'a> {
    fn new(
        inputs: &'a [Arc<Segment>],
        tails: &'a [Arc<Tail>],
        schema: &SchemaRef,
    ) -> Result<Self, StoreError> {
        let mut sorted = Self { inputs: Vec::new(), schema: schema.clone() };
        for (segment, tail) in inputs.iter().zip(tails) {
            let reader = open(segment, tail, &|_| true)?;
            let mut input = Input { segment, layout: &tail.layout, reader, batch: None };
            input.fill(schema)?;
            sorted.inputs.push(input);
        }
        Ok(sorted)
    }

    /// The next rows, as many as a block has; `None` at the end.
    fn next_batch(&mut self) -> Result<Option<RecordBatch>, StoreError> {
        let mut batches: Vec<RecordBatch> = Vec::new();
        // For each input the place of its current batch in `batches`.
        let mut places: Vec<Option<usize>> = vec![None; self.inputs.len()];
        let mut picks: Vec<(usize, usize)> = Vec::with_capacity(BLOCK_ROWS);
        while picks.len() < BLOCK_ROWS {
            let Some(at) = self.least() else { break };
            let input = &mut self.inputs[at];
            let Some(keyed) = &mut input.batch else { break };
            let place = *places[at].get_or_insert_with(|| {
                batches.push(keyed.batch.clone());
                batches.len() - 1
            });
            picks.push((place, keyed.next));
            keyed.next += 1;
            if keyed.next == keyed.batch.num_rows() {
                input.fill(&self.schema)?;
                places[at] = None;
            }
        }
        if picks.is_empty() {
            return Ok(None);
        }
        let batches: Vec<&RecordBatch> = batches.iter().collect();
        Ok(Some(interleave_record_batch(&batches, &picks)?))
    }

    /// The input whose next row comes first.
    fn least(&self) -> Option<usize> {
        let open = self.inputs.iter().enumerate().filter_map(|(i, p)| Some((i, p.batch.as_ref()?)));
        open.min_by(|a, b| a.1.key().cmp(&b.1.key())).map(|(i, _)| i)
    }
}

impl Input<'_> {
    /// Takes the next batch of the file.
    fn fill(&mut self, schema: &SchemaRef) -> Result<(), StoreError> {
        self.batch = None;
        let Some(reader) = &mut self.reader else { return Ok(()) };
        let Some(batch) = reader.next() else {
            self.reader = None;
            return Ok(());
        };
        let batch = wide(&batch.map_err(|error| self.segment.damaged(&error.to_string()))?)?;
        let (map, kinds) = attributes(&batch, self.layout, None)?;
        let column = |field: &Arc<ArrowField>| -> ArrayRef {
            match field.name().as_str() {
                ATTRIBUTES => map.clone(),
                name if name == ATTRIBUTE_KINDS.column() => kinds.clone(),
                name => match batch.column_by_name(name) {
                    Some(column) => column.clone(),
                    None => new_null_array(&in_memory(field), batch.num_rows()),
                },
            }
        };
        let columns: Vec<ArrayRef> = schema.fields().iter().map(column).collect();
        let held = schema.fields().iter().zip(&columns);
        let fields = held.map(|(f, c)| ArrowField::new(f.name(), c.data_type().clone(), true));
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let batch = RecordBatch::try_new(schema, columns)?;
        self.batch = Some(Keyed { batch, next: 0 });
        Ok(())
    }
}

/// The type that a column of a file has once it is read.
fn in_memory(field: &ArrowField) -> DataType {
    let events = pugmark_event::batch::schema();
    let wide = events.field_with_name(field.name());
    wide.map_or(field.data_type().clone(), |wide| wide.data_type().clone())
}

/// Turns sorted rows into rows of the output, and collects the index.
struct Output<'a> {
    layout: &'a Layout,
    schema: SchemaRef,
    index: IndexBuilder,
    entities: Vec<FieldId>,
    known: Templates,
    record: String,
    found: Vec<Found>,
}

impl<'a> Output<'a> {
    fn new(layout: &'a Layout, input: &SchemaRef) -> Self {
        let is_map = |name: &str| [ATTRIBUTES, ATTRIBUTE_KINDS.column()].contains(&name);
        let plain = input.fields().iter().filter(|f| !is_map(f.name())).cloned();
        let promoted = layout
            .promoted
            .iter()
            .map(|p| Arc::new(ArrowField::new(&p.column, p.stored.data_type(), true)));
        let map = input.fields().iter().filter(|f| is_map(f.name())).cloned();
        let schema = Schema::new(plain.chain(promoted).chain(map).collect::<Vec<_>>());
        // A field that is made up of pieces has values though it may have no column.
        let stored = |id: &FieldId| input.index_of(id.column()).is_ok() || COMPOSITES.contains(id);
        let ids = (0..fields::FIELDS.len()).map(|at| FieldId(at as u16));
        let entities: Vec<FieldId> = ids.filter(|id| is_entity(*id)).filter(stored).collect();
        Self {
            layout,
            schema: Arc::new(schema),
            index: IndexBuilder::new(entities.clone()),
            entities,
            known: Templates::default(),
            record: String::new(),
            found: Vec::new(),
        }
    }

    fn assemble(&mut self, batch: &RecordBatch) -> Result<RecordBatch, StoreError> {
        let rows = Rows::new(batch);
        let mut split = AttributeSplit::new(self.layout);
        let joined = Layout::default();
        let mut decoder = Decoder::new(batch, &joined);
        let text = |id: FieldId| {
            batch.column_by_name(id.column()).and_then(|column| column.as_string_opt::<i32>())
        };
        let exact = batch.column_by_name(ORIGINAL_BYTES.column());
        let exact = exact.and_then(|column| column.as_binary_opt::<i32>());
        let (kept, issues) = (text(ORIGINAL), text(fields::ISSUES));
        for row in 0..batch.num_rows() {
            self.record.clear();
            let (record, found) = (&mut self.record, &mut self.found);
            match decoder.record_found(row, &mut self.known, record, found) {
                Some(template) => self.index.record(&template, record.as_bytes(), found),
                None => {
                    if let Some(text) = kept.filter(|c| c.is_valid(row)) {
                        self.index.text(text.value(row).as_bytes());
                    } else if let Some(bytes) = exact.filter(|c| c.is_valid(row)) {
                        let lossy = String::from_utf8_lossy(bytes.value(row));
                        self.index.text(lossy.as_bytes());
                    }
                }
            }
            for place in 0..self.entities.len() {
                self.entity(place, row, batch, &mut decoder);
            }
            if let Some(issues) = issues.filter(|c| c.is_valid(row)) {
                self.index.issues(issues.value(row));
            }
            split.row(&rows, row, None, &mut self.index);
            self.index.end_row();
        }
        self.join(batch, split)
    }

    fn entity(&mut self, place: usize, row: usize, batch: &RecordBatch, decoder: &mut Decoder<'_>) {
        let id = self.entities[place];
        let stored = batch.column_by_name(id.column()).and_then(|c| c.as_string_opt::<i32>());
        if let Some(stored) = stored.filter(|c| c.is_valid(row)) {
            return self.index.entity(place, stored.value(row).as_bytes());
        }
        if COMPOSITES.contains(&id) {
            let mut value = String::new();
            if decoder.composite(row, id, &mut self.known, &mut value).is_some() {
                self.index.entity(place, value.as_bytes());
            }
        }
    }

    fn join(
        &self,
        batch: &RecordBatch,
        split: AttributeSplit<'_>,
    ) -> Result<RecordBatch, StoreError> {
        let (map, kinds, promoted) = split.finish(batch.num_rows())?;
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(self.schema.fields().len());
        let mut promoted = promoted.into_iter();
        for field in self.schema.fields() {
            let column = match field.name().as_str() {
                ATTRIBUTES => map.clone(),
                name if name == ATTRIBUTE_KINDS.column() => kinds.clone(),
                name => match batch.column_by_name(name) {
                    Some(column) => held_as(column, field.data_type())?,
                    None => promoted
                        .next()
                        .unwrap_or_else(|| new_null_array(field.data_type(), batch.num_rows())),
                },
            };
            columns.push(column);
        }
        Ok(RecordBatch::try_new(self.schema.clone(), columns)?)
    }
}

/// The column as the output holds it.
fn held_as(column: &ArrayRef, held: &DataType) -> Result<ArrayRef, StoreError> {
    let stored = match held {
        _ if column.data_type() == held => return Ok(column.clone()),
        DataType::Binary => Stored::Hex,
        DataType::FixedSizeBinary(16) => Stored::Uuid,
        other => return Ok(cast(column, other)?),
    };
    let texts = column.as_string_opt::<i32>();
    let mut builder = StoredBuilder::new(stored);
    for row in 0..column.len() {
        if let Some(texts) = texts.filter(|texts| texts.is_valid(row)) {
            builder.set(row, texts.value(row));
        }
    }
    Ok(builder.finish(column.len()))
}

impl Stored {
    /// The Arrow type of the column.
    pub(crate) fn data_type(self) -> DataType {
        match self {
            Self::Integer => DataType::Int64,
            Self::Hex => DataType::Binary,
            Self::Uuid => DataType::FixedSizeBinary(16),
            Self::Address => DataType::UInt32,
            Self::Text => DataType::Utf8,
        }
    }
}
