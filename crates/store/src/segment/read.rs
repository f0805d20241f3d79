//! Reads a segment: skips what cannot match, reads the columns that are needed, and gives events
//! back as they were.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, RecordBatch, RecordBatchOptions, StringArray,
    StringBuilder, new_null_array,
};
use arrow::compute::{cast, filter_record_batch};
use arrow::datatypes::{DataType, Schema, SchemaRef};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowPredicateFn, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder, RowFilter,
    RowSelection, RowSelector,
};
use pugmark_event::batch::Attributes;
use pugmark_event::conflict::{self, CONFLICTS_PREFIX};
use pugmark_event::fields::{
    self, ATTRIBUTE_KINDS, ATTRIBUTES, EVENT_ID, EVENT_TIME, FieldId, ISSUES, ORIGINAL,
    ORIGINAL_BYTES,
};

use super::assemble::{COMPOSITES, attribute_columns, columns_of, map};
use super::file::SegmentFile;
use super::index::{BLOCK_ROWS, GroupIndex, Index, Where};
use super::layout::{ATTRIBUTE_PREFIX, Layout, TEMPLATE};
use super::{Segment, Tail};
use crate::codec::decode::{Decoder, Templates};
use crate::codec::stored::push_text;
use crate::codec::template::{Piece, Template};
use crate::codec::words::{has_word, hash_value, hash_word, is_common};
use crate::disk::DiskRead;
use crate::error::StoreError;
use crate::keep::record_schema;
use crate::scan::{AnyOf, PruneValue, Scan};

/// What is to be read of one segment.
pub(crate) struct SegmentScan {
    pub(crate) scan: Arc<Scan>,
    pub(crate) segment: Arc<Segment>,
    pub(crate) file: Arc<dyn DiskRead>,
    pub(crate) tail: Arc<Tail>,
    /// Row groups that may hold a wanted row.
    pub(crate) groups: Vec<usize>,
    /// True when every row is wanted as far as times and ids go.
    pub(crate) all: bool,
}

/// One run over the file: these rows, these columns, words looked for in this way.
struct Pass {
    groups: Vec<usize>,
    selection: Option<RowSelection>,
    columns: BTreeSet<String>,
    lookup: Lookup,
}

/// How the words of a record are known.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Lookup {
    /// No words are asked for.
    None,
    /// Only in templates and in these columns, for each word.
    Listed(Vec<Vec<String>>),
    /// The record must be put together.
    Whole,
}

/// Where the words may be in a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Block {
    Skip,
    Listed,
    Whole,
}

impl SegmentScan {
    /// The batches, each with exactly the columns of [`Scan::schema`].
    pub(crate) fn read(self) -> Result<Rows, StoreError> {
        let wanted = self.scan.schema()?;
        let passes = self.passes(&wanted)?;
        Ok(Rows {
            scan: self,
            wanted,
            passes: passes.into(),
            open: None,
            known: Templates::default(),
        })
    }

    fn passes(&self, wanted: &SchemaRef) -> Result<Vec<Pass>, StoreError> {
        let mut names: Vec<&str> = wanted.fields().iter().map(|f| f.name().as_str()).collect();
        let tested = self.scan.keep_schema()?;
        names.extend(tested.iter().flat_map(|s| s.fields()).map(|f| f.name().as_str()));
        if self.scan.asks_records() {
            names.push(ORIGINAL.column());
        }
        let needed = self.needed(&names);
        let Some(index) = self.tail.index.as_ref().filter(|_| self.asks_index()) else {
            let whole = !self.scan.words.is_empty();
            let lookup = if whole { Lookup::Whole } else { Lookup::None };
            let columns = if whole { &needed | &self.needed(&[ORIGINAL.column()]) } else { needed };
            return Ok(vec![Pass {
                groups: self.groups.clone(),
                selection: None,
                columns,
                lookup,
            }]);
        };
        let words = Words::new(&self.scan.words, index);
        let mut passes = Vec::new();
        let mut whole = (Vec::new(), Vec::new());
        for group in &self.groups {
            let Some(facts) = index.groups.get(*group) else {
                return Err(self.segment.damaged("its index has fewer row groups than the file"));
            };
            let blocks = self.blocks(index, facts, &words);
            if blocks.contains(&Block::Listed) {
                let listed = words.columns(facts);
                let lookup = match words.is_empty() {
                    true => Lookup::None,
                    false => Lookup::Listed(listed.clone()),
                };
                let mut columns = needed.clone();
                columns.insert(TEMPLATE.to_string());
                for column in listed.iter().flatten() {
                    self.stored(column, &mut columns);
                }
                let selection = Some(select(&blocks, Block::Listed, facts.rows).into());
                passes.push(Pass { groups: vec![*group], selection, columns, lookup });
            }
            if blocks.contains(&Block::Whole) {
                whole.0.push(*group);
                whole.1.extend(select(&blocks, Block::Whole, facts.rows));
            }
        }
        if !whole.0.is_empty() {
            let columns = &needed | &self.needed(&[ORIGINAL.column()]);
            let selection = Some(whole.1.into());
            passes.push(Pass { groups: whole.0, selection, columns, lookup: Lookup::Whole });
        }
        Ok(passes)
    }

    fn asks_index(&self) -> bool {
        !self.scan.words.is_empty() || !self.scan.any_of.is_empty()
    }

    fn blocks(&self, index: &Index, group: &GroupIndex, words: &Words<'_>) -> Vec<Block> {
        // A value that did not fit its column is not among the column's values.
        let fits =
            |any: &&AnyOf| !fields::by_name(&any.column).is_some_and(|id| index.conflicts(id));
        let asked = self.scan.any_of.iter().filter(fits);
        let places: Vec<(&AnyOf, Vec<Where>)> =
            asked.map(|any| (any, places(any, group))).collect();
        (0..group.blocks())
            .map(|block| {
                let possible = places.iter().all(|(any, places)| {
                    any.values.iter().zip(places).any(|(value, place)| match place {
                        Where::Nowhere => false,
                        Where::Anywhere => true,
                        Where::SomeBlocks => index.block_has(group, block, value_hash(value)),
                    })
                });
                if possible { words.block(index, group, block) } else { Block::Skip }
            })
            .collect()
    }

    /// The columns of the file that these columns of the question come from.
    fn needed(&self, names: &[&str]) -> BTreeSet<String> {
        let mut columns = BTreeSet::new();
        for name in names {
            match composite(name) {
                _ if *name == ORIGINAL.column() => {
                    columns.extend([ORIGINAL_BYTES.column().to_string(), name.to_string()]);
                    self.templates(&mut columns, |template| Some(0..template.pieces.len()));
                }
                Some(id) => {
                    columns.insert(name.to_string());
                    self.templates(&mut columns, |template| template.derived(id));
                }
                None if [ATTRIBUTES, ATTRIBUTE_KINDS.column()].contains(name) => {
                    let promoted = self.tail.layout.promoted.iter().map(|p| p.column.clone());
                    columns.extend(promoted);
                    columns.extend([ATTRIBUTES.into(), ATTRIBUTE_KINDS.column().into()]);
                }
                None => match conflicts_of(name) {
                    Some(id) if self.tail.index.as_ref().is_none_or(|i| i.conflicts(id)) => {
                        columns.extend(self.needed(&[ATTRIBUTES, ISSUES.column()]));
                    }
                    Some(_) => drop(columns.insert(EVENT_ID.column().to_string())),
                    None => self.stored(name, &mut columns),
                },
            }
        }
        columns
    }

    /// Adds the columns that a value is stored in, called as the index calls it.
    fn stored(&self, name: &str, columns: &mut BTreeSet<String>) {
        match name.strip_prefix(ATTRIBUTE_PREFIX) {
            Some(name) => {
                let map_has = |name: &str| self.map_has(name);
                attribute_columns(name, &self.tail.layout, map_has, columns);
            }
            None => drop(columns.insert(name.to_string())),
        }
    }

    fn map_has(&self, name: &str) -> bool {
        self.tail.index.as_ref().is_none_or(|index| index.in_map(name))
    }

    /// Adds what is needed to put together the pieces that `range` picks of each template.
    fn templates(
        &self,
        columns: &mut BTreeSet<String>,
        range: impl Fn(&Template) -> Option<std::ops::Range<usize>>,
    ) {
        let Some(index) = &self.tail.index else { return };
        let pieces = index.templates.iter().filter_map(|t| t.pieces.get(range(t)?)).flatten();
        columns.extend(columns_of(pieces, &self.tail.layout, |name| self.map_has(name)));
        columns.extend([TEMPLATE.to_string(), EVENT_TIME.column().to_string()]);
    }

    fn open(&self, pass: &Pass) -> Result<ParquetRecordBatchReader, StoreError> {
        let footer = self.tail.footer.clone();
        let roots = |wanted: &dyn Fn(&str) -> bool| {
            let fields = footer.schema().fields().iter().enumerate();
            let roots = fields.filter(|(_, f)| wanted(f.name())).map(|(i, _)| i);
            ProjectionMask::roots(footer.parquet_schema(), roots)
        };
        let mask = roots(&|name| pass.columns.contains(name));
        let bounds = roots(&|name| [EVENT_TIME.column(), EVENT_ID.column()].contains(&name));
        let file = SegmentFile(self.file.clone());
        let mut builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, footer.clone())
            .with_batch_size(BLOCK_ROWS)
            .with_row_groups(pass.groups.clone())
            .with_projection(mask);
        if let Some(selection) = &pass.selection {
            builder = builder.with_row_selection(selection.clone());
        }
        if !self.all {
            let scan = self.scan.clone();
            let keep = ArrowPredicateFn::new(bounds, move |batch| Ok(scan.within(&batch)));
            builder = builder.with_row_filter(RowFilter::new(vec![Box::new(keep)]));
        }
        builder.build().map_err(StoreError::parquet(&self.segment.path))
    }
}

/// The batches of a segment.
pub(crate) struct Rows {
    scan: SegmentScan,
    wanted: SchemaRef,
    passes: VecDeque<Pass>,
    open: Option<(ParquetRecordBatchReader, Pass)>,
    known: Templates,
}

impl Rows {
    fn next_batch(&mut self) -> Result<Option<RecordBatch>, StoreError> {
        loop {
            let Some((reader, pass)) = &mut self.open else {
                let Some(pass) = self.passes.pop_front() else { return Ok(None) };
                self.open = Some((self.scan.open(&pass)?, pass));
                continue;
            };
            let Some(batch) = reader.next() else {
                self.open = None;
                continue;
            };
            let batch = batch.map_err(|error| self.scan.segment.damaged(&error.to_string()))?;
            let batch = wide(&batch)?;
            let layout = &self.scan.tail.layout;
            let words = &self.scan.scan.words;
            let batch = match &pass.lookup {
                Lookup::None => batch,
                lookup => {
                    let keep = with_words(&batch, layout, &mut self.known, words, lookup);
                    filter_record_batch(&batch, &keep)?
                }
            };
            let batch = passing(batch, layout, &mut self.known, &self.scan.scan)?;
            if batch.num_rows() > 0 {
                return events(&batch, layout, &mut self.known, &self.wanted).map(Some);
            }
        }
    }
}

impl Iterator for Rows {
    type Item = Result<RecordBatch, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.next_batch().transpose();
        if matches!(next, Some(Err(_))) {
            // Nothing sensible comes after an error.
            self.open = None;
            self.passes.clear();
        }
        next
    }
}

/// A word of a question.
struct Word {
    hash: u64,
    in_template: bool,
    /// Filters say nothing of it.
    unfiltered: bool,
}

/// The rows that pass the tests of whoever asks.
fn passing(
    batch: RecordBatch,
    layout: &Layout,
    known: &mut Templates,
    scan: &Scan,
) -> Result<RecordBatch, StoreError> {
    let mut batch = batch;
    if let (Some(keep), Some(schema)) = (&scan.keep, scan.keep_schema()?)
        && batch.num_rows() > 0
    {
        let kept = keep.keep(&events(&batch, layout, known, &schema)?);
        batch = filter_record_batch(&batch, &kept)?;
    }
    if scan.asks_records() && batch.num_rows() > 0 {
        let passed = scan.records_pass(&events(&batch, layout, known, &record_schema())?);
        batch = filter_record_batch(&batch, &passed)?;
    }
    Ok(batch)
}

/// The words of a question against the index of one file.
struct Words<'a> {
    words: Vec<Word>,
    texts: &'a [String],
}

impl<'a> Words<'a> {
    fn new(texts: &'a [String], index: &Index) -> Self {
        let words = texts.iter().map(|word| Word {
            hash: hash_word(word.as_bytes()),
            in_template: index.templates.iter().any(|t| t.has_word(word.as_bytes())),
            unfiltered: is_common(word.as_bytes()),
        });
        Self { words: words.collect(), texts }
    }

    fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }

    /// For each word the columns with few values that have it.
    fn columns(&self, group: &GroupIndex) -> Vec<Vec<String>> {
        let of = |hash| group.columns_with(hash).map(str::to_string).collect();
        self.words.iter().map(|word| of(word.hash)).collect()
    }

    fn block(&self, index: &Index, group: &GroupIndex, block: usize) -> Block {
        let mut found = Block::Listed;
        for word in &self.words {
            let listed = word.in_template || group.columns_with(word.hash).next().is_some();
            let among_many = word.unfiltered || index.block_has(group, block, word.hash);
            match (among_many, listed) {
                (true, _) => found = Block::Whole,
                (false, true) => {}
                (false, false) => return Block::Skip,
            }
        }
        found
    }
}

fn places(any: &AnyOf, group: &GroupIndex) -> Vec<Where> {
    let place = |value: &PruneValue| match value {
        PruneValue::Text(text) => group.value(&any.column, hash_value(text.as_bytes())),
        PruneValue::Long(_) => Where::Anywhere,
    };
    any.values.iter().map(place).collect()
}

fn value_hash(value: &PruneValue) -> u64 {
    match value {
        PruneValue::Text(text) => hash_value(text.as_bytes()),
        PruneValue::Long(long) => hash_value(long.to_string().as_bytes()),
    }
}

/// The rows of the blocks of one kind.
fn select(blocks: &[Block], kind: Block, rows: usize) -> Vec<RowSelector> {
    blocks
        .iter()
        .enumerate()
        .map(|(i, block)| {
            let rows = BLOCK_ROWS.min(rows - i * BLOCK_ROWS);
            if *block == kind { RowSelector::select(rows) } else { RowSelector::skip(rows) }
        })
        .collect()
}

/// Rows whose record has every word.
fn with_words(
    batch: &RecordBatch,
    layout: &Layout,
    known: &mut Templates,
    words: &[String],
    lookup: &Lookup,
) -> BooleanArray {
    let mut decoder = Decoder::new(batch, layout);
    let kept = batch.column_by_name(ORIGINAL.column()).and_then(|c| c.as_string_opt::<i32>());
    let exact =
        batch.column_by_name(ORIGINAL_BYTES.column()).and_then(|c| c.as_binary_opt::<i32>());
    let mut record = String::new();
    (0..batch.num_rows())
        .map(|row| {
            let template = decoder.template(row, known);
            let missing = |word: &String| {
                !template.as_ref().is_some_and(|template| template.has_word(word.as_bytes()))
            };
            if !words.iter().any(missing) {
                return Some(true);
            }
            match lookup {
                Lookup::None => {}
                Lookup::Listed(columns) => {
                    let Some(template) = &template else { return Some(false) };
                    let found = words.iter().zip(columns).all(|(word, columns)| {
                        !missing(word) || value_has(&decoder, layout, template, row, word, columns)
                    });
                    return Some(found);
                }
                Lookup::Whole => {
                    record.clear();
                    if decoder.record(row, known, &mut record).is_none() {
                        record.clear();
                        if let Some(text) = kept.filter(|c| c.is_valid(row)) {
                            record.push_str(text.value(row));
                        } else if let Some(bytes) = exact.filter(|c| c.is_valid(row)) {
                            record.push_str(&String::from_utf8_lossy(bytes.value(row)));
                        }
                    }
                }
            }
            Some(words.iter().all(|word| has_word(record.as_bytes(), word.as_bytes())))
        })
        .collect()
}

/// True when one of these columns has the word in a value that the template takes from it.
fn value_has(
    decoder: &Decoder<'_>,
    layout: &Layout,
    template: &Template,
    row: usize,
    word: &str,
    columns: &[String],
) -> bool {
    let mut text = String::new();
    template.pieces.iter().zip(&template.glued).any(|(piece, glued)| {
        let Some(name) = piece.column().filter(|name| !glued && columns.contains(name)) else {
            return false;
        };
        text.clear();
        let found = match piece {
            Piece::Attribute(name, _) => {
                let promoted = layout.promoted(name);
                let column = promoted.and_then(|p| decoder.column(&p.column));
                match column.filter(|column| column.is_valid(row)) {
                    Some(column) => push_text(column, row, &mut text),
                    None => decoder.attribute(row, name).map(|value| text.push_str(value)),
                }
            }
            Piece::Field(EVENT_TIME, _) => decoder.time(row, piece, &mut text),
            _ => decoder.column(&name).and_then(|column| push_text(column, row, &mut text)),
        };
        found.is_some() && has_word(text.as_bytes(), word.as_bytes())
    })
}

fn conflicts_of(name: &str) -> Option<FieldId> {
    fields::by_name(name.strip_prefix(CONFLICTS_PREFIX)?)
}

/// The values of a field that did not fit its column.
fn conflicts(batch: &RecordBatch, layout: &Layout, id: FieldId) -> Result<ArrayRef, StoreError> {
    let issues = batch.column_by_name(ISSUES.column());
    let Some(issues) = issues.filter(|issues| issues.null_count() < issues.len()) else {
        return Ok(new_null_array(&conflict::data_type(), batch.num_rows()));
    };
    let (map, kinds) = attributes(batch, layout)?;
    let columns = [(ISSUES.column(), issues.clone()), (ATTRIBUTES, map)];
    let columns = columns.into_iter().chain([(ATTRIBUTE_KINDS.column(), kinds)]);
    let batch = RecordBatch::try_from_iter_with_nullable(columns.map(|(n, c)| (n, c, true)))?;
    Ok(Arc::new(conflict::column(&batch, id)))
}

fn composite(name: &str) -> Option<FieldId> {
    COMPOSITES.into_iter().find(|id| id.column() == name)
}

/// The batch with times in microseconds and ids as text, whatever the file has them in.
pub(super) fn wide(batch: &RecordBatch) -> Result<RecordBatch, StoreError> {
    let known = pugmark_event::batch::schema();
    let mut fields = Vec::with_capacity(batch.num_columns());
    let mut columns = Vec::with_capacity(batch.num_columns());
    for (field, column) in batch.schema_ref().fields().iter().zip(batch.columns()) {
        let wanted = known.field_with_name(field.name()).ok();
        match wanted.filter(|wanted| wanted.data_type() != field.data_type()) {
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

/// The column as text, whatever the file has it in.
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

/// The columns of the question from the columns of the file.
fn events(
    batch: &RecordBatch,
    layout: &Layout,
    known: &mut Templates,
    wanted: &SchemaRef,
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
                    merged = Some(attributes(batch, layout)?);
                }
                let (map, kinds) = merged.clone().unzip();
                if name == ATTRIBUTES { map } else { kinds }
            }
            None => match (name.strip_prefix(ATTRIBUTE_PREFIX), conflicts_of(name)) {
                (Some(name), _) => Some(attribute(&decoder, layout, name, rows)),
                (_, Some(id)) => Some(conflicts(batch, layout, id)?),
                _ => stored.cloned(),
            },
        };
        columns.push(column.unwrap_or_else(|| new_null_array(field.data_type(), rows)));
    }
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(RecordBatch::try_new_with_options(wanted.clone(), columns, &options)?)
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

fn attribute(decoder: &Decoder<'_>, layout: &Layout, name: &str, rows: usize) -> ArrayRef {
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
        match promoted.or_else(|| decoder.attribute(row, name).map(|value| text.push_str(value))) {
            Some(()) => out.append_value(&text),
            None => out.append_null(),
        }
    }
    Arc::new(out.finish())
}

/// The map and the kinds with the promoted attributes back in them.
pub(super) fn attributes(
    batch: &RecordBatch,
    layout: &Layout,
) -> Result<(ArrayRef, ArrayRef), StoreError> {
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
