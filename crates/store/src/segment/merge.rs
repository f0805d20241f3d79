//! Merges segments of one partition into one: sorted again, with filters made anew.
//!
//! Records are not taken apart again: columns are copied as they are stored. Only where an
//! attribute that was in the map of an input became frequent are its attributes split anew. Inputs
//! mostly cover different times, so rows are copied in runs. Memory is bounded by a few batches of
//! each input and one row group of the output, whatever the sizes.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field as ArrowField, Int64Type, Schema, SchemaRef};
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use pugmark_event::batch::attributes_type;
use pugmark_event::fields::{
    ATTRIBUTE_KINDS, ATTRIBUTES, EVENT_ID, EVENT_SOURCE, EVENT_TIME, FieldId,
};
use pugmark_event::time::Micros;

use super::assemble::{AttributeSplit, FREQUENT_MAX, PROMOTED_MAX, PROMOTED_SHARE};
use super::columns::{fit, held_as, unite};
use super::counted;
use super::encoding::of_files;
use super::events::{attributes, texts};
use super::file::SegmentFile;
use super::gather::{Pick, gather};
use super::index::BLOCK_ROWS;
use super::layout::{Frequent, Layout, Promoted, column_names};
use super::write::{Effort, Facts, Partition, SegmentWriter};
use super::{Segment, Tail};
use crate::codec::decode::times_of;
use crate::codec::rows::Rows;
use crate::codec::stored::{GUID_BYTES, Stored};
use crate::error::StoreError;
use crate::manifest::SegmentInfo;

/// Rows read of an input at a time.
const INPUT_ROWS: usize = 4096;
/// An attribute moves from the map of an input to a column when one in so many rows has it there.
const MOVED_SHARE: u64 = 64;

/// Merges `inputs`, all of format 2 or later and of one partition. `pace` is called often; it may
/// wait, and answers whether to go on: `None` comes back when it said no, and no file is left then.
///
/// # Errors
/// When an input cannot be read or the output cannot be written.
pub(crate) fn merge(
    writer: &SegmentWriter,
    inputs: &[Arc<Segment>],
    pace: &mut dyn FnMut() -> bool,
) -> Result<Option<SegmentInfo>, StoreError> {
    let Some(first) = inputs.first() else { return Ok(None) };
    let tails = inputs
        .iter()
        .map(|segment| segment.tail(&segment.open()?))
        .collect::<Result<Vec<_>, _>>()?;
    let layout = lay_out(inputs, &tails);
    let mut sorted = Sorted::new(inputs, &tails, &layout)?;
    let parts: Vec<Schema> = sorted.inputs.iter().map(|i| i.route.schema(&layout)).collect();
    let schema = unite(parts.iter(), &layout);
    let footers = tails.iter().map(|tail| &**tail.footer.metadata());
    let encodings = of_files(footers, &schema);
    let partition =
        Partition { class: first.info.class.clone(), day: first.info.partition.clone() };
    let facts = Facts::sum(inputs.iter().map(|segment| &segment.info));
    let mut file = writer.begin(&partition, &facts, &schema, &encodings, Effort::Merge)?;
    let mut rows = 0;
    while let Some(batch) = sorted.next_batch(&schema)? {
        rows += batch.num_rows() as u64;
        file.write(&batch, &layout)?;
        if !pace() {
            return Ok(None);
        }
    }
    if rows != facts.rows {
        let message = format!("{rows} rows came out of {} that went in", facts.rows);
        return Err(first.damaged(&message));
    }
    file.finish(layout).map(Some)
}

/// What is known of an attribute of one kind in all inputs.
#[derive(Debug, Default)]
struct Count {
    rows: u64,
    stored: Option<Stored>,
}

impl Count {
    fn add(&mut self, rows: u64, stored: Stored) {
        self.rows += rows;
        self.stored = Some(match self.stored {
            Some(known) if known != stored => Stored::Text,
            _ => stored,
        });
    }
}

/// The attributes that get columns: those that had one, and those that many rows have in the map.
fn lay_out(inputs: &[Arc<Segment>], tails: &[Arc<Tail>]) -> Layout {
    let mut counts: BTreeMap<(&str, u8), Count> = BTreeMap::new();
    let mut total = 0;
    for (segment, tail) in inputs.iter().zip(tails) {
        total += segment.info.rows;
        for promoted in &tail.layout.promoted {
            // How many have a value is not known: a column stays one, since a few nulls cost less
            // than values in the map.
            let count = counts.entry((&promoted.name, promoted.kind)).or_default();
            count.add(segment.info.rows, promoted.stored);
        }
        for frequent in &tail.layout.frequent {
            let stored = Stored::of_letter(frequent.stored).unwrap_or(Stored::Text);
            let count = counts.entry((&frequent.name, frequent.kind as u8)).or_default();
            count.add(frequent.rows, stored);
        }
    }
    let mut best: BTreeMap<&str, (u64, u8)> = BTreeMap::new();
    for ((name, kind), count) in &counts {
        let known = best.entry(name).or_insert((0, b's'));
        if *kind != b'z' && count.rows > total / PROMOTED_SHARE as u64 && count.rows > known.0 {
            *known = (count.rows, *kind);
        }
    }
    let mut chosen: Vec<(&str, (u64, u8))> =
        best.into_iter().filter(|(_, best)| best.0 > 0).collect();
    chosen.sort_by_key(|(_, best)| std::cmp::Reverse(best.0));
    chosen.truncate(PROMOTED_MAX);
    chosen.sort_unstable();
    let names: Vec<&str> = chosen.iter().map(|(name, _)| *name).collect();
    let promoted = column_names(&names).into_iter().zip(&chosen);
    let promoted = promoted.map(|(column, (name, (_, kind)))| Promoted {
        column,
        name: name.to_string(),
        kind: *kind,
        stored: counts[&(*name, *kind)].stored.unwrap_or(Stored::Text),
    });
    let mut layout = Layout::new(promoted.collect());
    layout.frequent = frequent(&counts, &layout);
    layout.counted = counted::of_files(tails.iter().map(|tail| tail.layout.counted.as_ref()));
    layout
}

/// The attributes that stay in the map, for the next merge to know.
fn frequent(counts: &BTreeMap<(&str, u8), Count>, layout: &Layout) -> Vec<Frequent> {
    let stays = |name: &str, kind| layout.promoted(name).is_none_or(|p| p.kind != kind);
    let mut rest: Vec<Frequent> = counts
        .iter()
        .filter(|((name, kind), _)| stays(name, *kind))
        .map(|((name, kind), count)| Frequent {
            name: name.to_string(),
            kind: char::from(*kind),
            stored: count.stored.unwrap_or(Stored::Text).letter(),
            rows: count.rows,
        })
        .collect();
    rest.sort_by_key(|frequent| std::cmp::Reverse(frequent.rows));
    rest.truncate(FREQUENT_MAX);
    rest
}

/// How the columns of an input become columns of the output.
#[derive(Debug)]
struct Route {
    /// Columns that stay as they are: their place in the input, their name in the output.
    kept: Vec<(usize, ArrowField)>,
    /// Attributes whose place is another in the output: they are taken apart again.
    split: bool,
}

impl Route {
    fn new(segment: &Segment, tail: &Tail, layout: &Layout) -> Self {
        let goes_on = |promoted: &Promoted| {
            layout.promoted(&promoted.name).filter(|to| to.kind == promoted.kind)
        };
        // A few values may as well stay in the map.
        let moves = |frequent: &Frequent| {
            frequent.rows > segment.info.rows / MOVED_SHARE
                && layout.promoted(&frequent.name).is_some_and(|to| to.kind == frequent.kind as u8)
        };
        let split = tail.layout.promoted.iter().any(|promoted| goes_on(promoted).is_none())
            || tail.layout.frequent.iter().any(moves);
        let mut kept = Vec::new();
        for (at, field) in tail.footer.schema().fields().iter().enumerate() {
            let promoted = tail.layout.promoted.iter().find(|p| p.column == *field.name());
            let is_map = [ATTRIBUTES, ATTRIBUTE_KINDS.column()].contains(&field.name().as_str());
            if split && (is_map || promoted.is_some()) {
                continue;
            }
            match promoted.and_then(goes_on) {
                Some(to) => {
                    let kind = to.stored.data_type();
                    kept.push((at, ArrowField::new(&to.column, kind, true)));
                }
                None => kept.push((at, field.as_ref().clone().with_nullable(true))),
            }
        }
        Self { kept, split }
    }

    /// Columns that the input may have in the output.
    fn schema(&self, output: &Layout) -> Schema {
        let column = |name: &str, kind| ArrowField::new(name, kind, true);
        let promoted = output.promoted.iter().map(|p| column(&p.column, p.stored.data_type()));
        let map = column(ATTRIBUTES, attributes_type());
        let kinds = column(ATTRIBUTE_KINDS.column(), DataType::Utf8);
        let split = promoted.chain([map, kinds]).filter(|_| self.split);
        Schema::new(self.kept.iter().map(|(_, f)| f.clone()).chain(split).collect::<Vec<_>>())
    }

    /// The batch with the columns that it has in the output.
    fn follow(
        &self,
        batch: &RecordBatch,
        input: &Layout,
        output: &Layout,
    ) -> Result<RecordBatch, StoreError> {
        let mut fields = Vec::with_capacity(self.kept.len());
        let mut columns = Vec::with_capacity(self.kept.len());
        let mut add = |name: &str, column: ArrayRef| {
            fields.push(ArrowField::new(name, column.data_type().clone(), true));
            columns.push(column);
        };
        for (at, field) in &self.kept {
            add(field.name(), batch.column(*at).clone());
        }
        if self.split {
            let (map, kinds) = attributes(batch, input, None)?;
            let joined = [(ATTRIBUTES, map), (ATTRIBUTE_KINDS.column(), kinds)];
            let joined = joined.map(|(name, column)| (name, column, true));
            let joined = RecordBatch::try_from_iter_with_nullable(joined)?;
            let rows = Rows::new(&joined);
            let mut split = AttributeSplit::new(output);
            (0..rows.len()).for_each(|row| split.row(&rows, row, None));
            let (map, kinds, promoted) = split.finish(rows.len())?;
            for (column, promoted) in promoted.into_iter().zip(&output.promoted) {
                add(&promoted.column, column);
            }
            add(ATTRIBUTES, map);
            add(ATTRIBUTE_KINDS.column(), kinds);
        }
        Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)
    }
}

/// Rows of all inputs in the order of the output.
struct Sorted<'a> {
    inputs: Vec<Input<'a>>,
}

struct Input<'a> {
    segment: &'a Arc<Segment>,
    layout: &'a Layout,
    output: &'a Layout,
    route: Route,
    reader: Option<ParquetRecordBatchReader>,
    batch: Option<Keyed>,
}

/// A batch with what it is sorted by.
struct Keyed {
    batch: RecordBatch,
    sources: Option<StringArray>,
    times: Vec<Micros>,
    ids: Vec<i64>,
    next: usize,
}

impl Keyed {
    fn new(batch: RecordBatch) -> Self {
        let column = |id: FieldId| batch.column_by_name(id.column());
        // Names of sources may be numbers or ids.
        let sources = column(EVENT_SOURCE).map(texts);
        let sources = sources.and_then(|c| c.as_string_opt::<i32>().cloned());
        let times = column(EVENT_TIME).map_or(Vec::new(), |times| times_of(times).into_owned());
        let ids = column(EVENT_ID).and_then(|c| c.as_primitive_opt::<Int64Type>());
        let ids = ids.map_or(Vec::new(), |ids| ids.values().to_vec());
        Self { sources, times, ids, batch, next: 0 }
    }

    fn key(&self, row: usize) -> (&str, Micros, i64) {
        let source = self.sources.as_ref().filter(|c| c.is_valid(row));
        let number = |numbers: &[i64]| numbers.get(row).copied().unwrap_or(0);
        (source.map_or("", |c| c.value(row)), number(&self.times), number(&self.ids))
    }

    /// The row after the last that comes before `end`, of at most `rows` more.
    fn before(&self, end: Option<(&str, Micros, i64)>, rows: usize) -> usize {
        let last = self.batch.num_rows().min(self.next + rows);
        let Some(end) = end else { return last };
        // The next row comes first of all, and mostly many of its like follow.
        let (mut known, mut step) = (self.next + 1, 1);
        while known < last && self.key((known + step).min(last) - 1) < end {
            known = (known + step).min(last);
            step *= 2;
        }
        let mut after = (known + step).min(last);
        while known < after {
            let middle = (known + after) / 2;
            if self.key(middle) < end {
                known = middle + 1;
            } else {
                after = middle;
            }
        }
        known
    }
}

impl<'a> Sorted<'a> {
    fn new(
        inputs: &'a [Arc<Segment>],
        tails: &'a [Arc<Tail>],
        output: &'a Layout,
    ) -> Result<Self, StoreError> {
        let mut sorted = Self { inputs: Vec::new() };
        for (segment, tail) in inputs.iter().zip(tails) {
            let reader = Some(open(segment, tail)?);
            let route = Route::new(segment, tail, output);
            let mut input =
                Input { segment, layout: &tail.layout, output, route, reader, batch: None };
            input.fill()?;
            sorted.inputs.push(input);
        }
        Ok(sorted)
    }

    /// The next rows, as many as a block has; `None` at the end.
    fn next_batch(&mut self, schema: &SchemaRef) -> Result<Option<RecordBatch>, StoreError> {
        let mut batches: Vec<RecordBatch> = Vec::new();
        // For each input the place of its current batch in `batches`.
        let mut places: Vec<Option<usize>> = vec![None; self.inputs.len()];
        let mut picks: Vec<Pick> = Vec::with_capacity(BLOCK_ROWS);
        while picks.len() < BLOCK_ROWS {
            let Some((at, rows)) = self.next_run(BLOCK_ROWS - picks.len()) else { break };
            let input = &mut self.inputs[at];
            let Some(keyed) = &mut input.batch else { break };
            let place = *places[at].get_or_insert_with(|| {
                batches.push(keyed.batch.clone());
                batches.len() - 1
            });
            picks.extend(rows.clone().map(|row| (place, row)));
            keyed.next = rows.end;
            if keyed.next == keyed.batch.num_rows() {
                input.fill()?;
                places[at] = None;
            }
        }
        if picks.is_empty() {
            return Ok(None);
        }
        let batches = batches.iter().map(|batch| alike(batch, schema));
        let batches = batches.collect::<Result<Vec<_>, _>>()?;
        let batches: Vec<&RecordBatch> = batches.iter().collect();
        fit(&gather(&batches, &picks)?, schema).map(Some)
    }

    /// The input whose next row comes first, and those of its rows that come before any other's.
    fn next_run(&self, rows_max: usize) -> Option<(usize, Range<usize>)> {
        let mut least: Option<(usize, &Keyed)> = None;
        let mut second: Option<&Keyed> = None;
        for (at, keyed) in self.inputs.iter().enumerate() {
            let Some(keyed) = &keyed.batch else { continue };
            let is_before = |other: &Keyed| keyed.key(keyed.next) < other.key(other.next);
            match least {
                Some((_, known)) if !is_before(known) => {
                    if second.is_none_or(is_before) {
                        second = Some(keyed);
                    }
                }
                _ => {
                    second = least.map(|(_, known)| known);
                    least = Some((at, keyed));
                }
            }
        }
        let (at, keyed) = least?;
        let end = second.map(|other| other.key(other.next));
        Some((at, keyed.next..keyed.before(end, rows_max)))
    }
}

impl Input<'_> {
    /// Takes the next batch of the file.
    fn fill(&mut self) -> Result<(), StoreError> {
        self.batch = None;
        let Some(reader) = &mut self.reader else { return Ok(()) };
        let Some(batch) = reader.next() else {
            self.reader = None;
            return Ok(());
        };
        let batch = batch.map_err(|error| self.segment.damaged(&error.to_string()))?;
        self.batch = Some(Keyed::new(self.route.follow(&batch, self.layout, self.output)?));
        Ok(())
    }
}

/// A reader of all columns.
fn open(segment: &Arc<Segment>, tail: &Tail) -> Result<ParquetRecordBatchReader, StoreError> {
    let file = SegmentFile(segment.open()?);
    ParquetRecordBatchReaderBuilder::new_with_metadata(file, tail.footer.clone())
        .with_batch_size(INPUT_ROWS)
        .build()
        .map_err(StoreError::parquet(&segment.path))
}

/// The batch with its columns in the form of the output.
fn alike(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, StoreError> {
    let mut fields = Vec::with_capacity(batch.num_columns());
    let mut columns = Vec::with_capacity(batch.num_columns());
    for (field, column) in batch.schema_ref().fields().iter().zip(batch.columns()) {
        let (_, to) = schema.column_with_name(field.name()).unwrap_or((0, field));
        columns.push(held_as(column, to.data_type())?);
        fields.push(ArrowField::new(field.name(), to.data_type().clone(), true));
    }
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)
}

impl Stored {
    /// The Arrow type of the column.
    pub(crate) fn data_type(self) -> DataType {
        match self {
            Self::Integer => DataType::Int64,
            Self::Hex => DataType::Binary,
            Self::Uuid => DataType::FixedSizeBinary(16),
            Self::HexNumber => DataType::UInt64,
            Self::Guid => DataType::FixedSizeBinary(GUID_BYTES as i32),
            Self::Address => DataType::UInt32,
            Self::Text => DataType::Utf8,
        }
    }
}
